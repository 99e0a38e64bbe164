"""What finds lesions and organs in a scan: the place to plug in another network."""

from __future__ import annotations

from enum import Enum
from typing import Protocol, runtime_checkable

from livercascade.data.labels import Phase
from livercascade.data.scan import Scan
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.system.progress import Progress

OVERLAP = 0.5
"""Overlap of neighbouring windows, the default of nnU-Net."""
HIGHEST_FACTOR = 4.0
"""Sensitivity f up to which a search of the liver finds what a search of the whole finds: the paper's High."""


class WindowSearch(Enum):
    """Which windows of UNet^whole are computed."""

    LIVER = "liver"
    """Windows side by side find the liver; the overlapping ones between them are computed only where they have weight
    in it. Liver, lesions and vessels in it come out as in ``WHOLE`` but for a margin of weight under 2 %; organs
    elsewhere rest on fewer windows."""
    WHOLE = "whole"
    """All windows, everywhere."""


@runtime_checkable
class Segmenter(Protocol):
    """A network, or anything else, that gives the sensitivity map of a scan; `UNetWhole` is the one of this package."""

    @property
    def name(self) -> str:
        """Name, for people and for provenance."""
        ...

    @property
    def version(self) -> str:
        """Version, for people and for provenance."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the weights, and of whatever else changes its results: a result is reused only for the same."""
        ...

    @property
    def needs(self) -> tuple[Phase, ...]:
        """Phases without which it cannot work; empty if any subset will do."""
        ...

    def segment(self, scan: Scan, *, progress: Progress | None = None) -> SensitivityMap:
        """Best lesion type, best other label and margin of every voxel, on the grid of the scan.

        `SensitivityMap.from_logits` makes one from logits or log probabilities ``[14, z, y, x]``.

        Args:
            scan: One to four phases on one grid, `needs` among them.
            progress: Called with (step in words, done, total); may be ignored.
        """
        ...
