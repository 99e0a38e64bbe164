"""Folders of virtual patients, made in parallel from seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import Enum
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from livercascade import __version__
from livercascade.alignment.displacement_field import DisplacementField, write_field
from livercascade.data.grid import Grid
from livercascade.data.labels import FIRST_LESION, LAST_LESION, Organ, Phase
from livercascade.io.nifti import write_nifti
from livercascade.system.manifest import check_place, new_result_folder
from livercascade.system.parallel import as_finished, one_thread
from livercascade.virtual.mimics.mimic_families import Mimic
from livercascade.virtual.patient_preview import draw_preview
from livercascade.virtual.virtual_patient import VirtualPatient, make_patient
from livercascade.virtual.virtual_settings import VirtualSettings

RECORD = "virtual.json"
"""File beside the images that marks a patient as virtual and says how it was made."""
GENERATOR = 2
"""Raised when the same seed gives another patient; patients of an older generator are made again."""
PREVIEW = "preview.png"
"""Picture of the patient for people, written when asked for."""


def case_name(seed: int) -> str:
    """Folder name of the patient with this seed.

    >>> case_name(900001)
    'virtual-900001'
    """
    return f"virtual-{seed:06d}"


def is_virtual(folder: Path) -> bool:
    """True if the images in ``folder`` are those of a virtual patient, by the record beside them."""
    return _read_record(folder).get("virtual") is True


def write_patient(patient: VirtualPatient, settings: VirtualSettings, folder: Path, *, preview: bool = False) -> Path:
    """Write phases, truth and record of one patient; a finished folder appears at once or not at all.

    ``virtual.json`` holds ``virtual`` (true), ``version`` of the package, ``generator``, ``seed``, ``settings``,
    ``anatomy``, ``patient_class``, ``grid`` (shape and spacing as z, y, x; origin as LPS x, y, z), ``lesions`` (type,
    sub-type, true volume in ml, LPS centre in mm, segment, effects, HU per zone and phase), ``mimics``,
    ``confounders``, ``bolus``, ``liver_hu``, ``habitus`` and ``scanner``; for whole bodies ``body`` with their plan;
    for phases that breathed, ``motion`` with the numbers of `Breath` and the displacement in the liver.

    Returns:
        The patient's folder: ``nc|ap|vp|dp.nii.gz``, ``labels.nii.gz``, ``mimics.nii.gz``, ``virtual.json`` and,
        if asked for, ``preview.png``. For each phase that breathed, ``field_nc|ap|dp.nii.gz``, the true displacement
        from points of VP to that phase in LPS mm, and ``labels_nc|ap|dp.nii.gz``, the true labels as it shows them.

    Raises:
        OutputError: The folder cannot be written, or something else lies there.
    """
    place = folder / case_name(patient.seed)
    with new_result_folder(place) as case:
        for phase, hu in patient.hu.items():
            write_nifti(case / f"{phase.value.lower()}.nii.gz", hu, patient.grid)
        write_nifti(case / "labels.nii.gz", patient.labels, patient.grid)
        write_nifti(case / "mimics.nii.gz", patient.mimics_map, patient.grid)
        record = _record(patient, settings)
        if patient.body is not None:
            record["body"] = asdict(patient.body, dict_factory=_plain)
        if patient.motions:
            record["motion"] = {phase.value: _write_motion(patient, phase, case) for phase in patient.motions}
        (case / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if preview:
            (case / PREVIEW).write_bytes(draw_preview(patient))
    return place


def make_cohort(
    seeds: Sequence[int], settings: VirtualSettings, folder: Path, *, workers: int = 1, preview: bool = False
) -> Iterator[Path]:
    """Make and write the patients of ``seeds``, yielding each folder when it is done.

    Patients already finished with the same settings and version are skipped; others of these seeds are made again.

    Args:
        seeds: Seeds, one patient each.
        settings: Settings of all patients.
        folder: Folder for the patients' folders, made if absent.
        workers: Number of processes.
        preview: True writes ``preview.png`` too; a finished patient without one is made again.

    Raises:
        InputError: A label map given as anatomy cannot be used.
        OutputError: As `write_patient`.
    """
    done = [seed for seed in seeds if _finished(folder / case_name(seed), settings, preview)]
    yield from (folder / case_name(seed) for seed in done)
    todo = sorted(set(seeds) - set(done))
    if todo:
        check_place(folder / case_name(todo[0]))
    make = partial(_make_one, settings=settings, folder=folder, preview=preview)
    yield from (made for _, made in as_finished(make, todo, workers=workers, setup=one_thread))


def _make_one(seed: int, settings: VirtualSettings, folder: Path, preview: bool) -> Path:
    return write_patient(make_patient(seed, settings), settings, folder, preview=preview)


def _finished(place: Path, settings: VirtualSettings, preview: bool) -> bool:
    record = _read_record(place)
    try:
        # Records from before a setting existed hold its default.
        made_with = VirtualSettings.model_validate(record.get("settings"))
    except ValidationError:
        return False
    same = made_with == settings and (record.get("version"), record.get("generator")) == (__version__, GENERATOR)
    return same and (not preview or (place / PREVIEW).is_file())


def _read_record(place: Path) -> dict[str, object]:
    """The record, empty if there is none that can be read."""
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _record(patient: VirtualPatient, settings: VirtualSettings) -> dict[str, object]:
    return {
        "virtual": True,
        "version": __version__,
        "generator": GENERATOR,
        "seed": patient.seed,
        "settings": settings.model_dump(mode="json"),
        "anatomy": patient.anatomy,
        "patient_class": patient.patient_class.value,
        "grid": _grid_record(patient.grid),
        "lesions": [asdict(lesion) | {"label": int(lesion.label)} for lesion in patient.lesions],
        "mimics": [asdict(mimic) | {"family": mimic.family.name.lower()} for mimic in patient.mimics],
        "confounders": [_without_family(one) for one in patient.confounders],
        "bolus": asdict(patient.physiology.bolus) | {"arterial_timing": patient.physiology.bolus.timing},
        "liver_hu": [round(float(v), 1) for v in patient.physiology.liver],
        "habitus": asdict(patient.habitus),
        "scanner": asdict(patient.scanner),
    }


def _plain(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Fields of a plan with words for what is drawn from a list."""
    return {key: value.value if isinstance(value, Enum) else value for key, value in pairs}


def _without_family(confounder: Mimic) -> dict[str, object]:
    # Its kind says it all; records have had no family here from the first.
    return {key: value for key, value in asdict(confounder).items() if key != "family"}


def _write_motion(patient: VirtualPatient, phase: Phase, folder: Path) -> dict[str, object]:
    """Write field and labels of a phase that breathed; its record."""
    name = phase.value.lower()
    field = patient.true_field(phase)
    write_field(folder / f"field_{name}.nii.gz", field)
    write_nifti(folder / f"labels_{name}.nii.gz", patient.moved_labels[phase], patient.grid)
    return {**asdict(patient.breaths[phase]), "liver_mm": _in_liver(patient, field)}


def _in_liver(patient: VirtualPatient, field: DisplacementField) -> dict[str, float]:
    """Mean and 95th percentile of the displacement over the liver with its lesions and vessels."""
    labels = patient.labels
    liver = ((labels >= FIRST_LESION) & (labels <= LAST_LESION)) | np.isin(labels, (Organ.LIVER, Organ.HEPATIC_VESSELS))
    length = field.length_mm[liver]
    return {"mean": round(float(length.mean()), 2), "p95": round(float(np.percentile(length, 95)), 2)}


def _grid_record(grid: Grid) -> dict[str, object]:
    return {"shape": grid.shape, "spacing_mm": grid.spacing, "origin_lps_mm": grid.origin}
