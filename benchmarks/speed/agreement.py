"""How equal two masks are: voxels, and lesions one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from livercascade.data.grid import Triple
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.detect.match import match
from livercascade.detect.seg2det import seg2det

SAME_DICE = 0.95
"""Lesions are the same one if they overlap this much and have the same type."""


@dataclass(frozen=True)
class MaskAgreement:
    """Voxels that differ, lesions on both sides, how many are the same, and the others in words."""

    differ: int
    voxels: int
    lesions: tuple[int, int]
    same: int
    others: tuple[str, ...]

    @property
    def share(self) -> str:
        return f"{100 * (1 - self.differ / self.voxels):.4f} % ({self.differ} differ)"

    @property
    def lists(self) -> str:
        return f"{self.same} the same of {self.lesions[0]} and {self.lesions[1]}"


def compare(theirs: Path, ours: Path, spacing: Triple) -> MaskAgreement:
    """Two label maps stored as ``.npy``."""
    one, two = (np.load(path) for path in (theirs, ours))
    return compare_masks(one, two, spacing)


def compare_masks(
    theirs: UInt8[np.ndarray, "z y x"], ours: UInt8[np.ndarray, "z y x"], spacing: Triple
) -> MaskAgreement:
    """Two label maps on one grid; lesions of at least 0.5 ml."""
    one, two = (seg2det(labels, spacing) for labels in (theirs, ours))
    pairs = match(one, two).pairs
    in_one, in_two = ([int(lesion.mask.sum()) for lesion in side] for side in (one, two))
    dice = {(p.truth, p.found): 2 * p.voxels / (in_one[p.truth] + in_two[p.found]) for p in pairs}
    same = {key for key, value in dice.items() if value >= SAME_DICE and one[key[0]].label is two[key[1]].label}
    others = _others("nnU-Net", one, {i for i, _ in same}, "ours", two, dice)
    # Of ours only those that nnU-Net has nothing of: the others stand beside theirs already.
    swapped = {(j, i): d for (i, j), d in dice.items()}
    others += _others("ours", two, {j for j, _ in swapped}, "nnU-Net", one, swapped)
    return MaskAgreement(int((theirs != ours).sum()), theirs.size, (len(one), len(two)), len(same), tuple(others))


def _others(
    name: str, side: LesionSet, same: set[int], rival: str, other: LesionSet, dice: dict[tuple[int, int], float]
) -> list[str]:
    out: list[str] = []
    for number, lesion in enumerate(side):
        if number in same:
            continue
        best = max((key for key in dice if key[0] == number), key=lambda key: dice[key], default=None)
        text = "alone" if best is None else f"{rival} has {_in_words(other[best[1]])}, Dice {dice[best]:.3f}"
        out.append(f"{name} {_in_words(lesion)}: {text}")
    return out


def _in_words(lesion: Lesion) -> str:
    return f"{lesion.label.title} {lesion.volume_ml:.2f} ml"
