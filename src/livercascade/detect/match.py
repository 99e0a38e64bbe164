"""match: which lesions of two sets are the same, and what the others are (paper, eq. 6 and 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.data.lesion import LesionSet


class Counting(StrEnum):
    """What one count stands for."""

    PAPER = "paper"
    """One per found lesion for TP and FL, one per true lesion for FN: the only rule that fits the paper's tables."""
    GT = "gt"
    """One per true lesion."""
    ONE2ONE = "one2one"
    """One per pair of a one-to-one matching, the largest number of pairs first, then the largest overlap."""


class Overlap(Enum):
    """Measure that `match` compares with its least overlap."""

    IOU = "iou"
    DICE = "dice"
    TRUTH_SHARE = "truth_share"


class Outcome(Enum):
    """What became of one lesion: same label, other label, found without truth, true but not found."""

    TP = "TP"
    FL = "FL"
    FP = "FP"
    FN = "FN"


@runtime_checkable
class Typed(Protocol):
    """Anything with a lesion type: a lesion, or its measures alone."""

    @property
    def label(self) -> LesionType:
        """Its type."""
        ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Overlap of true lesion number ``truth`` with found lesion number ``found`` in ``voxels`` voxels."""

    truth: int
    found: int
    voxels: int


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Verdict on every true and every found lesion.

    Every found lesion has exactly one of TP, FL, FP, every true lesion exactly one of TP, FL, FN:

    * ``paper`` and ``gt``: a lesion that overlaps one of the other side with its label is TP; that overlaps only
      others is FL; that overlaps none is FP (found) or FN (true). The counts TP and FL are those of the found
      lesions (``paper``) or of the true ones (``gt``).
    * ``one2one``: a lesion in a pair of the matching is TP or FL with its partner; any other is FP or FN.

    Attributes:
        truth: The true lesions.
        found: The found lesions.
        counting: The rule.
        pairs: All overlaps that count.
        counted: The overlaps behind the counts TP and FL, one for each count.
        truth_outcomes: Verdict on each true lesion.
        found_outcomes: Verdict on each found lesion.
    """

    truth: Sequence[Typed]
    found: Sequence[Typed]
    counting: Counting
    pairs: tuple[Pair, ...]
    counted: tuple[Pair, ...]
    truth_outcomes: tuple[Outcome, ...]
    found_outcomes: tuple[Outcome, ...]

    @property
    def confusion(self) -> Int[np.ndarray, "7 7"]:
        """Counts by true type (rows) and found type (columns) in label order; row 6 spurious, column 6 missed."""
        table = np.zeros((7, 7), dtype=np.int64)
        for pair in self.counted:
            table[self.truth[pair.truth].label - 1, self.found[pair.found].label - 1] += 1
        for lesion, outcome in zip(self.truth, self.truth_outcomes, strict=True):
            table[lesion.label - 1, 6] += outcome is Outcome.FN
        for lesion, outcome in zip(self.found, self.found_outcomes, strict=True):
            table[6, lesion.label - 1] += outcome is Outcome.FP
        return table

    @property
    def tp(self) -> Mapping[LesionType, int]:
        """True positives by type."""
        return _by_type(np.diagonal(self.confusion)[:6])

    @property
    def fl(self) -> Mapping[LesionType, int]:
        """False labels by true type: the paper's FL."""
        typed = self.confusion[:6, :6]
        return _by_type(typed.sum(axis=1) - np.diagonal(typed))

    @property
    def fl_pred(self) -> Mapping[LesionType, int]:
        """False labels by found type: what the paper's precision counts but never prints."""
        typed = self.confusion[:6, :6]
        return _by_type(typed.sum(axis=0) - np.diagonal(typed))

    @property
    def fn(self) -> Mapping[LesionType, int]:
        """Missed lesions by true type."""
        return _by_type(self.confusion[:6, 6])

    @property
    def fp(self) -> Mapping[LesionType, int]:
        """Found lesions without truth by found type."""
        return _by_type(self.confusion[6, :6])

    @property
    def splits(self) -> int:
        """True lesions that overlap two or more found ones."""
        return _with_several([pair.truth for pair in self.pairs])

    @property
    def merges(self) -> int:
        """Found lesions that overlap two or more true ones."""
        return _with_several([pair.found for pair in self.pairs])


def match(
    truth: LesionSet,
    found: LesionSet,
    *,
    counting: Counting | str = Counting.PAPER,
    min_overlap: float = 0.0,
    overlap: Overlap = Overlap.IOU,
) -> Match:
    """Verdict on every lesion of two sets (paper, eq. 6).

    Args:
        truth: The true lesions.
        found: The found lesions, on the same grid.
        counting: ``paper``, ``gt`` or ``one2one``, see `Counting` and `Match`.
        min_overlap: Pairs below this overlap do not count, 0 to 1; at 0 one common voxel suffices.
        overlap: Measure of ``min_overlap``.

    Raises:
        ValueError: The sets differ in shape, ``counting`` is unknown, or ``min_overlap`` is not in 0 to 1.
    """
    rule = Counting(counting)
    if not 0 <= min_overlap <= 1:
        raise ValueError(f"min_overlap must be between 0 and 1, got {min_overlap}")
    in_truth, in_found = ([int(np.count_nonzero(lesion.mask)) for lesion in side] for side in (truth, found))
    pairs = [
        pair
        for pair in overlaps(truth, found)
        if overlap_of(pair.voxels, in_truth[pair.truth], in_found[pair.found], overlap) >= min_overlap
    ]
    return judge(truth, found, pairs, counting=rule)


def judge(truth: Sequence[Typed], found: Sequence[Typed], pairs: Sequence[Pair], *, counting: Counting) -> Match:
    """Verdict on every lesion of two sides whose overlaps are known: `match` without voxels.

    Args:
        truth: The true lesions.
        found: The found lesions.
        pairs: Every overlap that counts, by position in ``truth`` and ``found``.
        counting: The rule.
    """
    rule, pairs = counting, tuple(pairs)
    chosen = _one_to_one(pairs) if rule is Counting.ONE2ONE else pairs
    by_truth, by_found = _partners(chosen, truth, found)
    return Match(
        truth,
        found,
        rule,
        pairs,
        tuple((by_found if rule is Counting.PAPER else by_truth).values()),
        tuple(_outcome(by_truth.get(i), truth, found, Outcome.FN) for i in range(len(truth))),
        tuple(_outcome(by_found.get(i), truth, found, Outcome.FP) for i in range(len(found))),
    )


def overlaps(one: LesionSet, two: LesionSet) -> tuple[Pair, ...]:
    """Every pair of lesions with common voxels, from one joint histogram over the voxels of ``two``.

    Raises:
        ValueError: The sets differ in shape.
    """
    if one.shape != two.shape:
        raise ValueError(f"lesion sets lie on arrays of shape {one.shape} and {two.shape}")
    if not len(one) or not len(two):
        return ()
    first = one.instances()
    below = [first[lesion.bbox][lesion.mask] for lesion in two]
    number = np.repeat(np.arange(len(two)), [len(values) for values in below])
    values = np.concatenate(below).astype(np.int64)
    # One number per pair of lesions: counting equal ones gives all overlaps at once.
    codes = (values - 1) * len(two) + number
    hit, voxels = np.unique(codes[values > 0], return_counts=True)
    return tuple(Pair(int(c) // len(two), int(c) % len(two), int(v)) for c, v in zip(hit, voxels, strict=True))


def overlap_of(common: int, in_truth: int, in_found: int, measure: Overlap) -> float:
    """Overlap, 0 to 1, of two lesions from their voxels and those they share.

    >>> overlap_of(10, 20, 40, Overlap.IOU)
    0.2
    """
    if measure is Overlap.IOU:
        return common / (in_truth + in_found - common)
    if measure is Overlap.DICE:
        return 2 * common / (in_truth + in_found)
    return common / in_truth


def _one_to_one(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    if not pairs:
        return ()
    rows = {t: i for i, t in enumerate(sorted({p.truth for p in pairs}))}
    columns = {f: i for i, f in enumerate(sorted({p.found for p in pairs}))}
    # Half of the import time of the whole package, and only this counting mode needs it.
    from scipy.optimize import linear_sum_assignment

    # One more pair outweighs any overlap: every pair is worth more than all voxels together.
    bonus = 1 + sum(p.voxels for p in pairs)
    worth = np.zeros((len(rows), len(columns)))
    for p in pairs:
        worth[rows[p.truth], columns[p.found]] = bonus + p.voxels
    assigned = set(zip(*(axis.tolist() for axis in linear_sum_assignment(worth, maximize=True)), strict=True))
    return tuple(p for p in pairs if (rows[p.truth], columns[p.found]) in assigned)


def _partners(
    pairs: tuple[Pair, ...], truth: Sequence[Typed], found: Sequence[Typed]
) -> tuple[dict[int, Pair], dict[int, Pair]]:
    """The pair of each true and each found lesion: one of its label if there is any, then the largest overlap."""
    # A dict keeps the last of equal keys: in rising order that is the best pair, of equal ones the first.
    ranked = sorted(pairs, key=lambda p: (_same_label(p, truth, found), p.voxels, -p.truth, -p.found))
    return {p.truth: p for p in ranked}, {p.found: p for p in ranked}


def _same_label(pair: Pair, truth: Sequence[Typed], found: Sequence[Typed]) -> bool:
    return truth[pair.truth].label is found[pair.found].label


def _outcome(pair: Pair | None, truth: Sequence[Typed], found: Sequence[Typed], alone: Outcome) -> Outcome:
    if pair is None:
        return alone
    return Outcome.TP if _same_label(pair, truth, found) else Outcome.FL


def _by_type(counts: Int[np.ndarray, " 6"]) -> Mapping[LesionType, int]:
    return {t: int(n) for t, n in zip(LESION_TYPES, counts, strict=True)}


def _with_several(numbers: list[int]) -> int:
    return sum(numbers.count(n) > 1 for n in set(numbers))


class Agreement(Enum):
    """How a lesion of one sensitivity relates to those of the other."""

    SAME = "same"
    LABEL_CONFLICT = "label_conflict"
    ONLY_LOW = "only_low"
    ONLY_HIGH = "only_high"


def compare(low: LesionSet, high: LesionSet) -> tuple[tuple[Agreement, ...], tuple[Agreement, ...]]:
    """Which lesions a low and a high sensitivity share: relation of each low and of each high lesion (paper, eq. 7).

    Same are lesions that overlap and have one label. All others differ, with the reason: the label, or no
    lesion at that place on the other side. High lesions that are the same are the paper's ``Det_same``, all others
    ``Det_diff``; low lesions without a high one of their label exist only after reclassification.

    Raises:
        ValueError: The sets differ in shape.
    """
    result = match(low, high, counting=Counting.GT)
    reasons = {Outcome.TP: Agreement.SAME, Outcome.FL: Agreement.LABEL_CONFLICT}
    return (
        tuple(reasons.get(outcome, Agreement.ONLY_LOW) for outcome in result.truth_outcomes),
        tuple(reasons.get(outcome, Agreement.ONLY_HIGH) for outcome in result.found_outcomes),
    )
