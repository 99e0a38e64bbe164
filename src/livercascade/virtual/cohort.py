"""Folders of virtual patients, made in parallel from seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch

from livercascade.data.grid import Grid
from livercascade.io.case_folder import CaseFolder
from livercascade.io.nifti import write_nifti
from livercascade.virtual.patient import VirtualPatient, make_patient
from livercascade.virtual.settings import VirtualSettings

RECORD = "virtual.json"
"""File beside the images that marks a patient as virtual and says how it was made."""


def case_name(seed: int) -> str:
    """Folder name of the patient with this seed.

    >>> case_name(900001)
    'virtual-900001'
    """
    return f"virtual-{seed:06d}"


def write_patient(patient: VirtualPatient, settings: VirtualSettings, folder: Path) -> Path:
    """Write phases, truth and record of one patient; a finished folder appears at once or not at all.

    Returns:
        The patient's folder: ``nc|ap|vp|dp.nii.gz``, ``labels.nii.gz``, ``mimics.nii.gz``, ``virtual.json``.
    """
    place = folder / case_name(patient.seed)
    with CaseFolder.open(place) as case:
        for phase, hu in patient.hu.items():
            write_nifti(case.path / f"{phase.value.lower()}.nii.gz", hu, patient.grid)
        write_nifti(case.path / "labels.nii.gz", patient.labels, patient.grid)
        write_nifti(case.path / "mimics.nii.gz", patient.mimics_map, patient.grid)
        (case.path / RECORD).write_text(json.dumps(_record(patient, settings), indent=1) + "\n")
    return place


def make_cohort(seeds: Sequence[int], settings: VirtualSettings, folder: Path, *, workers: int = 1) -> Iterator[Path]:
    """Make and write the patients of ``seeds``, yielding each folder when it is done; finished ones are skipped.

    Args:
        seeds: One patient each.
        settings: The same for all.
        folder: Where the patients' folders go; made if absent.
        workers: Processes working side by side.
    """
    folder.mkdir(parents=True, exist_ok=True)
    todo = [seed for seed in seeds if not (folder / case_name(seed) / RECORD).is_file()]
    yield from (folder / case_name(seed) for seed in seeds if seed not in set(todo))
    if workers == 1:
        for seed in todo:
            yield _make_one(seed, settings, folder)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for done in as_completed([pool.submit(_make_one, seed, settings, folder) for seed in todo]):
            yield done.result()


def _one_thread() -> None:
    torch.set_num_threads(1)


def _make_one(seed: int, settings: VirtualSettings, folder: Path) -> Path:
    return write_patient(make_patient(seed, settings), settings, folder)


def _record(patient: VirtualPatient, settings: VirtualSettings) -> dict[str, object]:
    scanner, habitus = asdict(patient.scanner), asdict(patient.habitus)
    return {
        "virtual": True,
        "seed": patient.seed,
        "settings": json.loads(settings.model_dump_json()),
        "patient_class": patient.patient_class.value,
        "grid": _grid_record(patient.grid),
        "lesions": [asdict(lesion) | {"label": int(lesion.label)} for lesion in patient.lesions],
        "mimics": [asdict(mimic) | {"family": mimic.family.name.lower()} for mimic in patient.mimics],
        "bolus": {"arterial_timing": patient.physiology.timing, "iodine": round(patient.physiology.iodine, 3)},
        "habitus": habitus,
        "scanner": scanner,
    }


def _grid_record(grid: Grid) -> dict[str, object]:
    return {"shape": grid.shape, "spacing_mm": grid.spacing, "origin_lps_mm": grid.origin}
