"""Configurations of `predict` that are measured, each a step beyond the one before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_AS_NNUNET: dict[str, Any] = {
    "segment": {"class_priors": None},
    "classify": {"types_from": "network"},
    "reclassify": {"stop_when_decided": False},
}
"""All patches, and types as an imported nnU-Net model says them."""


@dataclass(frozen=True)
class Configuration:
    """Runtime and precision as on the command line, and settings that differ from the defaults.

    With ``splines`` the images are resampled as for an imported nnU-Net model.
    """

    runtime: str
    precision: str
    settings: dict[str, Any] = field(default_factory=dict)
    splines: bool = False


CONFIGURATIONS = {
    "exact": Configuration("auto", "fp32", _AS_NNUNET, splines=True),
    "default": Configuration("auto", "auto"),
    "search the liver": Configuration("auto", "auto", {"segment": {"search": "liver"}}),
    "torch eager": Configuration("torch", "fp32", _AS_NNUNET, splines=True),
}
"""``exact`` is float32 on all windows and patches; the phases are taken as they lie, as nnU-Net takes them."""
