"""Where UNet^whole looks closely."""

from __future__ import annotations

from enum import Enum


class Search(Enum):
    """Which windows of UNet^whole are computed."""

    LIVER = "liver"
    """Windows side by side find the liver; the overlapping ones between them are computed only where they have weight
    in it. Liver, lesions and vessels in it come out as in ``WHOLE`` but for a margin of weight under 2 %; organs
    elsewhere rest on fewer windows."""
    WHOLE = "whole"
    """All windows, everywhere."""
