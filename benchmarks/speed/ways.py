"""The ways of `predict` that are measured, each a step beyond the one before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_ALL: dict[str, Any] = {"stop_when_decided": False}


@dataclass(frozen=True)
class Way:
    """Runtime and precision as on the command line, settings that differ from the defaults, and whether nnU-Net's.

    With ``as_nnunet`` the network is treated as an imported nnU-Net model is: its images are resampled by splines, and
    its types are left as it says them.
    """

    runtime: str
    precision: str
    settings: dict[str, Any] = field(default_factory=dict)
    as_nnunet: bool = False


WAYS = {
    "exact": Way("auto", "fp32", _ALL, as_nnunet=True),
    "default": Way("auto", "auto"),
    "search the liver": Way("auto", "auto", {"search": "liver"}),
    "torch eager": Way("torch", "fp32", _ALL, as_nnunet=True),
}
"""``exact`` is float32 on all windows and patches; the phases are taken as they lie, as nnU-Net takes them."""
