"""Training cases made of single-phase scans with a liver mask, lesions of unknown type, and regions to ignore.

A source folder holds ``<case>/image.nii.gz`` (HU) and ``labels.nii.gz`` (1 liver, 2 lesion), and where they are known
``lesions.nii.gz`` (instances), ``lesions.json`` (one record per instance) and ``ignore.nii.gz``, all on one grid.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32

from livercascade.data.coverage import COVERAGE_FILE, IGNORED, UNKNOWN_LESION, ClassCoverage, Coverage
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Organ, Phase
from livercascade.io.nifti import read_instances, read_nifti, write_nifti
from livercascade.system.files import new_folder, write_file
from livercascade.train.training_cases import LABELS_FILE

IMAGE_FILE, INSTANCES_FILE, IGNORE_FILE, RECORDS_FILE = (
    "image.nii.gz",
    "lesions.nii.gz",
    "ignore.nii.gz",
    "lesions.json",
)
MIN_CONTRAST_HU = 15.0
"""Lesions that stand out less from the liver cannot be told from it on one phase."""
_SOURCE_LESION = 2


def find_scans(source: Path) -> tuple[Path, ...]:
    """Folders with a scan and a label map, by name.

    Raises:
        InputError: There is none (``EMPTY_FOLDER``).
    """
    homes = sorted(path.parent for path in source.glob(f"*/{LABELS_FILE}") if (path.parent / IMAGE_FILE).is_file())
    if not homes:
        raise InputError(
            "EMPTY_FOLDER", f"{source} holds no <case>/{IMAGE_FILE} with {LABELS_FILE}.", "Give the folder of cases."
        )
    return tuple(homes)


def import_scan(home: Path, out: Path, *, phase: Phase, min_contrast: float = MIN_CONTRAST_HU) -> None:
    """Writes a training case to ``out``, unless it is there.

    Everything but liver and lesions is unlabelled, types are unknown (``coverage.json``).

    Args:
        home: Folder of the scan.
        out: Folder of the training case.
        phase: Contrast phase of the scan.
        min_contrast: Least difference to the liver, in HU, of a lesion whose record gives one (``delta_hu``); what
            stands out less is ignored.

    Raises:
        InputError: Its files lie on different grids (``GRID_MISMATCH``), or as `read_nifti` and `read_instances`.
    """
    if not out.is_dir():
        with new_folder(out) as fresh:
            _import(home, fresh, phase, min_contrast)


def _import(home: Path, out: Path, phase: Phase, min_contrast: float) -> None:
    hu, grid = read_nifti(home / IMAGE_FILE)
    stored = _on_grid(home / LABELS_FILE, grid)
    labels = np.where(stored > 0, np.uint8(Organ.LIVER), np.uint8(0))
    labels[_lesions(home, stored, grid)] = UNKNOWN_LESION
    labels[_ignored(home, grid, min_contrast)] = IGNORED
    write_nifti(out / f"{phase.value.lower()}.nii.gz", hu, grid)
    write_nifti(out / LABELS_FILE, labels, grid)
    unlabelled = {organ.title: ClassCoverage.UNLABELLED for organ in Organ if organ is not Organ.LIVER}
    write_file(out / COVERAGE_FILE, Coverage(classes=unlabelled).model_dump_json(indent=1) + "\n")


def _lesions(home: Path, stored: Int32[np.ndarray, "z y x"], grid: Grid) -> Bool[np.ndarray, "z y x"]:
    path = home / INSTANCES_FILE
    return (stored == _SOURCE_LESION) | (_on_grid(path, grid) > 0 if path.is_file() else False)


def _ignored(home: Path, grid: Grid, min_contrast: float) -> Bool[np.ndarray, "z y x"]:
    """Regions that nobody could judge, and lesions that hardly stand out."""
    path, records = home / IGNORE_FILE, home / RECORDS_FILE
    ignored = _on_grid(path, grid) > 0 if path.is_file() else np.zeros(grid.shape, dtype=bool)
    if records.is_file():
        faint = [one["id"] for one in json.loads(records.read_text()) if abs(one["delta_hu"]) < min_contrast]
        if faint:
            ignored |= np.isin(_on_grid(home / INSTANCES_FILE, grid), faint)
    return ignored


def _on_grid(path: Path, grid: Grid) -> Int32[np.ndarray, "z y x"]:
    numbers, placed = read_instances(path)
    if not placed.matches(grid):
        raise InputError("GRID_MISMATCH", f"{path} lies on another grid than its image.", "Resample it to the image.")
    return numbers
