"""The masks of another program in place of UNet^whole; everything behind it stays.

python examples/own_segmenter.py path/to/study path/to/mask.nii.gz
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

import livercascade as lc
from livercascade.data.scan import Scan
from livercascade.io.nifti import read_labels
from livercascade.system.files import sha256_of
from livercascade.system.progress import Progress


class SavedMask:
    """A label map (0-13) in a file, as a `Segmenter`."""

    name, version = "mask of another program", "1"
    needs: tuple[lc.Phase, ...] = ()

    def __init__(self, path: Path) -> None:
        self.labels, self.grid = read_labels(path)
        if not (self.labels == lc.Organ.LIVER).any():
            raise ValueError(f"{path.name} has no liver (label {lc.Organ.LIVER:d}): are its labels numbered as ours?")
        # A result is reused only for the same hash.
        self.sha256 = sha256_of(path)

    def segment(self, scan: Scan, *, progress: Progress | None = None) -> lc.SensitivityMap:
        """Smooth edges of the labels as logits, so that the mask grows with f."""
        if scan.grid.shape != self.grid.shape:
            raise ValueError("mask and scan are not on one grid")
        if progress is not None:
            progress("reading the mask", 1, 1)
        return lc.SensitivityMap.from_logits(self.logits())

    def logits(self) -> Iterator[np.ndarray]:
        """One channel after the other, so that fourteen volumes are never held together."""
        for label in range(14):
            inside = (self.labels == label).astype(np.float32)
            yield np.log(ndimage.gaussian_filter(inside, (0.5, 1.5, 1.5)) + 1e-4, dtype=np.float32)


def main(study: Path, mask: Path, cascade: lc.Cascade | None = None) -> lc.Prediction:
    cascade = replace(cascade or lc.Cascade.load(), segmenter=SavedMask(mask))
    prediction = cascade.predict(lc.read_study(study))
    for number, candidate in enumerate(prediction.candidates, start=1):
        print(f"L{number}: {candidate.label.title}, {candidate.lesion.volume_ml:.1f} ml, {candidate.status.value}")
    return prediction


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
