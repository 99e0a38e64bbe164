"""A made cohort whose answers are known by hand: one voxel is 0.125 ml, four of them are the volume limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livercascade.data.grid import Grid
from livercascade.io.nifti import write_nifti

SHAPE = (6, 20, 20)
GRID = Grid.axial(SHAPE, (5.0, 5.0, 5.0), (-50.0, 10.0, 3.0))
HCC, ICC, META, HEM, OTHER, CYST, LIVER = 1, 2, 3, 4, 5, 6, 7
Bar = tuple[int, int, int, int, int]
"""Label, z, y, first x and length of a row of voxels."""

CASES: dict[str, tuple[list[Bar], list[Bar]]] = {
    "a_split": ([(HCC, 2, 5, 2, 10)], [(HCC, 2, 5, 2, 4), (HCC, 2, 5, 8, 4)]),
    "b_merge": ([(META, 2, 5, 2, 4), (META, 2, 5, 8, 4)], [(META, 2, 5, 2, 10)]),
    "c_type": ([(ICC, 1, 3, 3, 8)], [(HCC, 1, 3, 3, 8)]),
    "d_touching": ([(HCC, 3, 9, 2, 7), (CYST, 3, 9, 9, 5)], [(HCC, 3, 9, 2, 12)]),
    "e_small": ([(HEM, 1, 2, 2, 3), (CYST, 4, 10, 4, 8)], [(HEM, 1, 2, 2, 6), (CYST, 4, 10, 4, 3)]),
    "f_empty": ([], []),
    "g_outside": ([], [(OTHER, 5, 15, 4, 8)]),
}
"""Truth and found of every case."""


def labels_of(bars: list[Bar]) -> np.ndarray:
    labels = np.full(SHAPE, LIVER, dtype=np.uint8)
    for label, z, y, x, length in bars:
        labels[z, y, x : x + length] = label
    return labels


def write_maps(folder: Path, maps: dict[str, np.ndarray], grid: Grid = GRID) -> Path:
    folder.mkdir(parents=True)
    for case, labels in maps.items():
        write_nifti(folder / f"{case}.nii.gz", labels, grid)
    return folder


def write_cohort(folder: Path) -> tuple[Path, Path, Path]:
    """Folders of truth, found, and coverage: the truth of the last case was read in its first slices alone."""
    truth = write_maps(folder / "truth", {case: labels_of(bars) for case, (bars, _) in CASES.items()})
    found = write_maps(folder / "found", {case: labels_of(bars) for case, (_, bars) in CASES.items()})
    covered = np.zeros(SHAPE, dtype=np.uint8)
    covered[:3] = 1
    return truth, found, write_maps(folder / "coverage", {"g_outside": covered})
