"""The paper's definitions written down word for word in numpy: what the fast implementations are measured against."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from scipy import ndimage

from livercascade.data.labels import FIRST_LESION, LAST_LESION, LESION_TYPES, LesionType

Found = tuple[LesionType, int]
"""Type and voxels of a lesion."""


def mask(probabilities: Float32[np.ndarray, "14 z y x"], factor: float) -> UInt8[np.ndarray, "z y x"]:
    """Eq. 3, then eq. 2: lesion probabilities times f, then the argmax over the classes."""
    scaled = probabilities.copy()
    scaled[FIRST_LESION : LAST_LESION + 1] *= factor
    return scaled.argmax(axis=0).astype(np.uint8)


def seg2det(labels: UInt8[np.ndarray, "z y x"], min_voxels: float) -> list[Found]:
    """Eq. 4 and 5: components of every slice, joined where those of neighbouring slices share a pixel."""
    lesion = (labels >= FIRST_LESION) & (labels <= LAST_LESION)
    numbers: Int32[np.ndarray, "z y x"] = np.zeros(labels.shape, dtype=np.int32)
    count = 0
    for z in range(len(labels)):
        own, found = ndimage.label(lesion[z], structure=np.ones((3, 3)))
        numbers[z] = np.where(own > 0, own + count, 0)
        count += found
    group = list(range(count + 1))

    def root(number: int) -> int:
        while group[number] != number:
            number = group[number]
        return number

    for below, above in pairwise(numbers):
        both = (below > 0) & (above > 0)
        for one, two in set(zip(below[both].tolist(), above[both].tolist(), strict=True)):
            group[max(root(one), root(two))] = min(root(one), root(two))
    roots = np.array([root(number) for number in range(count + 1)])[numbers]
    lesions: list[Found] = []
    for number in np.unique(roots[roots > 0]):
        votes = np.bincount(labels[roots == number], minlength=LAST_LESION + 1)[: LAST_LESION + 1]
        if votes.sum() >= min_voxels:
            lesions.append((LESION_TYPES[int(votes[FIRST_LESION:].argmax())], int(votes.sum())))
    return lesions


def match(
    truth: Int32[np.ndarray, "z y x"], found: Int32[np.ndarray, "z y x"], types: tuple[list[int], list[int]]
) -> Counter[str]:
    """Eq. 6: every found lesion against every true one, volume by volume; counts of the found side, and FN.

    Args:
        truth: Number of the true lesion at each voxel, from 1; 0 elsewhere.
        found: The same of the found lesions.
        types: Types of the true and of the found lesions, in the order of their numbers.
    """
    out: Counter[str] = Counter()
    missed = set(range(len(types[0])))
    for j, found_type in enumerate(types[1]):
        touched = [i for i in range(len(types[0])) if bool(((truth == i + 1) & (found == j + 1)).any())]
        missed -= set(touched)
        if not touched:
            out["FP"] += 1
        else:
            out["TP" if any(types[0][i] == found_type for i in touched) else "FL"] += 1
    out["FN"] = len(missed)
    return out
