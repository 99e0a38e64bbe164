"""A virtual four-phase study of a given size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livercascade.data.grid import Grid
from livercascade.io.nifti import read_nifti, write_nifti
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import VirtualSettings


def make_study(folder: Path, seed: int, slices: int = 60, matrix: int = 512) -> Path:
    """Study folder of a virtual patient, cut to ``slices`` or going on with its last one."""
    (case,) = make_cohort([seed], VirtualSettings(matrix=matrix), folder / "patient")
    study = folder / "study"
    study.mkdir()
    for path in sorted(case.glob("?[cp].nii.gz")):
        hu, grid = read_nifti(path)
        rows = np.clip(np.arange(slices), 0, len(hu) - 1)
        longer = Grid((slices, *grid.shape[1:]), grid.spacing, grid.origin, grid.direction)
        write_nifti(study / path.name, np.ascontiguousarray(hu[rows]), longer)
    return study


def make(folder: str, seed: int, slices: int, matrix: int) -> str:
    """As `make_study`, for `measuring.apart`."""
    return str(make_study(Path(folder), seed, slices, matrix))
