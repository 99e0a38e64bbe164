"""Predictions compared with references: arrays in memory, then folders of files. Needs the extra `evaluate`.

python examples/evaluate_masks.py evaluation
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import livercascade as lc
from livercascade.evaluation.evaluation import Evaluation
from livercascade.io.nifti import write_nifti

GRID = lc.Grid.axial((12, 64, 64), (5.0, 1.0, 1.0))


def main(out: Path) -> tuple[Evaluation, Evaluation]:
    reference = {name: cohort_mask(seed) for seed, name in enumerate("abcd")}
    # A method that misses the lesions of case a.
    prediction = {name: np.where(mask < 7, 7, mask) if name == "a" else mask for name, mask in reference.items()}
    prediction = {name: mask.astype(np.uint8) for name, mask in prediction.items()}

    from_arrays = lc.evaluate(reference, {"mine": prediction}, GRID)

    with tempfile.TemporaryDirectory() as scratch:
        for side, masks in (("reference", reference), ("mine", prediction)):
            (Path(scratch) / side).mkdir()
            for name, mask in masks.items():
                write_nifti(Path(scratch) / side / f"{name}.nii.gz", mask, GRID)
        from_files = lc.evaluate(Path(scratch) / "reference", {"mine": Path(scratch) / "mine"})

    from_files.save(out)
    print(f"tables and page: {out}")
    return from_arrays, from_files


def cohort_mask(seed: int) -> np.ndarray:
    """A liver with two lesions."""
    rng = np.random.default_rng(seed)
    mask = np.full(GRID.shape, lc.Organ.LIVER, dtype=np.uint8)
    for label, centre in ((lc.LesionType.HCC, 18), (lc.LesionType.CYST, 44)):
        y, x = rng.integers(centre - 4, centre + 4, 2)
        mask[4:8, y - 6 : y + 6, x - 6 : x + 6] = label
    return mask


if __name__ == "__main__":
    main(Path(sys.argv[1]))
