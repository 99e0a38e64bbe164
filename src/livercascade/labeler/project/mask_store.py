"""Masks of one case that do not change, by reference: read once, kept while there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from livercascade.data.errors import CascadeError
from livercascade.data.grid import ROUNDED_MM, Grid
from livercascade.io.nifti import read_labels
from livercascade.labeler.imaging.mask_delta import LabelMask
from livercascade.labeler.label_error import not_found
from livercascade.labeler.project.case_inputs import CaseInputs, other_grid
from livercascade.labeler.project.identifiers import version_number
from livercascade.labeler.project.versions import Versions, no_image

# Six masks of 400 slices of 512 x 512: head, both sides of a comparison, one beside, and two to go back to.
_KEPT_BYTES = 700 << 20
# Both sides of a comparison, however large.
_KEPT_AT_LEAST = 2


@dataclass(eq=False)
class MaskStore:
    """Versions, source masks and the empty mask of a case.

    Attributes:
        files: Files of the case.
        versions: Versions of the case.
    """

    files: CaseInputs
    versions: Versions
    _kept: OrderedDict[tuple[str, str], LabelMask] = field(default_factory=OrderedDict[tuple[str, str], np.ndarray])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, ref: str) -> LabelMask:
        """Labels in display order, read-only.

        Raises:
            LabelError: ``NOT_FOUND`` or ``NO_IMAGE``.
            InputError: The file cannot be used.
        """
        key = (ref, self.files.mask_tag(ref) if ref in self.files.masks else "")
        with self._lock:
            if key not in self._kept:
                mask = self._read(ref)
                mask.flags.writeable = False
                self._kept[key] = mask
                self._make_room()
            self._kept.move_to_end(key)
            return self._kept[key]

    def forget(self) -> None:
        """Let go of all of them."""
        with self._lock:
            self._kept.clear()

    def _read(self, ref: str) -> LabelMask:
        if self.files.grid is None:
            raise no_image()
        if ref == "empty":
            return np.zeros(self.files.grid.shape, np.uint8)
        if version_number(ref) is not None:
            self.versions.record(ref)
            return _on_grid(self.versions.mask_file(ref), self.files.grid)
        if ref not in self.files.masks:
            raise not_found("mask")
        frame = self.files.mask_frames[ref]
        if isinstance(frame, CascadeError):
            raise frame
        return _on_grid(self.files.masks[ref], self.files.grid)

    def _make_room(self) -> None:
        while len(self._kept) > _KEPT_AT_LEAST and sum(mask.nbytes for mask in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)


def _on_grid(path: Path, grid: Grid) -> LabelMask:
    mask, placed = read_labels(path, is_ct=False)
    if not placed.matches(grid, ROUNDED_MM):
        raise other_grid(path.name, placed, grid)
    return mask
