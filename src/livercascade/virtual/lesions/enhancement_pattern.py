"""What a lesion's pattern is made of: zones by depth and texture, each with its four-phase curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np

from livercascade.virtual.tissue import Curve

_Choice = TypeVar("_Choice")


class ZoneExtent(Enum):
    """Part of a lesion that a zone takes.

    ``WHOLE``: all of it. ``RIM``: the outer ``mm``, a ``share`` of its round. ``NODULES``: lumps of the outer ``mm``.
    ``PATCHES``: ``share`` of the inside, in pieces of ``size_mm``. ``SHEETS``: thin septa of ``mm`` through the inside.
    ``CENTRE``: the innermost ``share`` of the volume. ``STAR``: a scar with arms, about ``share`` of the radius wide.
    """

    WHOLE = "whole"
    RIM = "rim"
    NODULES = "nodules"
    PATCHES = "patches"
    SHEETS = "sheets"
    CENTRE = "centre"
    STAR = "star"


@dataclass(frozen=True, slots=True)
class Zone:
    """One part of a lesion.

    Attributes:
        name: For the record, for example ``rim``.
        curve: HU in NC, AP, VP and DP, of the textbook's patient, or with ``pool`` of this one.
        where: Part of the lesion.
        mm: Thickness of rims, nodules and sheets.
        share: Share of that part that the zone takes.
        size_mm: Size of patches; 0 follows the lesion's size.
        fluid: True for a part without vessels and mottle.
        pool: True if the curve already holds this patient's own blood pool.
    """

    name: str
    curve: Curve
    where: ZoneExtent = ZoneExtent.WHOLE
    mm: float = 0.0
    share: float = 1.0
    size_mm: float = 0.0
    fluid: bool = False
    pool: bool = False


@dataclass(frozen=True, slots=True)
class SideEffects:
    """Chances, 0 to 1, of what a lesion does to its surroundings."""

    perfusion: float = 0.0
    ducts: float = 0.0
    retraction: float = 0.0
    thrombus: float = 0.0
    satellites: float = 0.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one sub-type looks.

    Attributes:
        name: Sub-type, for example ``HCC capsule``.
        zones: From the first painted to the last; the first is the whole lesion.
        ripple: Irregularity of the surface, 0.04 sharp to 0.22 ill-defined.
        fray_mm: Raggedness of the margin at about 2.5 mm: what thick slices show as a soft edge.
        lobes: Depth of lobulation, 0 for none.
        jitter: SD of the lesion's own shift of HU, shared by all phases after NC.
        lens: True for a lesion that lies flat on the capsule and partly outside the liver.
        subcapsular: Chance of lying under the capsule.
        family: Family of mimic that it counts as besides its type, 0 for none.
        around: Changes of its surroundings.
    """

    name: str
    zones: tuple[Zone, ...]
    ripple: float = 0.08
    fray_mm: float = 1.0
    lobes: float = 0.0
    jitter: float = 8.0
    lens: bool = False
    subcapsular: float = 0.28
    family: int = 0
    around: SideEffects = SideEffects()


def pick(rng: np.random.Generator, choices: Sequence[tuple[float, _Choice]]) -> _Choice:
    """One of ``choices`` (weight, value) by weight."""
    weights = np.array([weight for weight, _ in choices])
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))][1]


def radius_mm(volume_ml: float) -> float:
    """Radius of the ball of this volume.

    >>> round(radius_mm(0.5), 1)
    4.9
    """
    return float((volume_ml * 1000.0 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0))
