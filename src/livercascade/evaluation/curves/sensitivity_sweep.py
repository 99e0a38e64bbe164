"""Misses and false positives over the sensitivity factor, with and without reclassification (paper, Fig. 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from livercascade.detect.match import Counting, Outcome, judge
from livercascade.evaluation.cohort.evidence_case import EvidenceCase
from livercascade.evaluation.matching.matched_lesions import MatchedLesions
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate, estimates, share

_OUTCOMES = (Outcome.TP, Outcome.FL, Outcome.FN, Outcome.FP)


class Arm(StrEnum):
    """What happens to the proposals of a sensitivity."""

    WHOLE = "without ReCls"
    """Nothing: Base at f = 1, High at f = 4."""
    RECLASSIFIED = "with ReCls"
    """Candidate as the cascade did it: Base+ReCls and High+ReCls."""
    ORIGINAL_PATCHES = "with ReCls, original patches"
    """Candidate by the patches that were not shuffled; UNet^patch is the one trained with shuffling."""


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """Counts at one sensitivity, by the paper's counting.

    Attributes:
        factor: Sensitivity factor f.
        tp, fl, fn, fp: Counts over all cases.
        fn_estimate, fp_estimate: The same with intervals.
        precision, recall_rough: With intervals; precision by type, recall whatever the type.
    """

    factor: float
    tp: int
    fl: int
    fn: int
    fp: int
    fn_estimate: Estimate
    fp_estimate: Estimate
    precision: Estimate
    recall_rough: Estimate


@dataclass(frozen=True, slots=True)
class EqualMisses:
    """False positives of both arms at the same number of misses.

    Attributes:
        factor: Factor of the reclassified arm.
        fn: Its misses.
        fp: Its false positives.
        fp_whole: False positives without reclassification at as many misses, on straight lines between the factors;
            None if no factor of the sweep brackets that many.
        difference: ``fp`` less ``fp_whole``, with interval.
    """

    factor: float
    fn: int
    fp: int
    fp_whole: float | None
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Sweep:
    """All factors, all arms.

    Attributes:
        arms: Points by arm, factors rising.
        matched: Reclassified against not, at equal misses: the fair comparison, since a lower f alone lowers FP too.
        cases: Number of cases.
    """

    arms: dict[Arm, tuple[SweepPoint, ...]]
    matched: tuple[EqualMisses, ...]
    cases: int


def sweep(cases: Sequence[EvidenceCase], resamples: Resamples) -> Sweep:
    """Counts of every factor that all cases have.

    Args:
        cases: At least one.
        resamples: Resamples of the patients.
    """
    # Cases of different sweeps: a point must be of all of them, or the curve would change patients on its way.
    factors = sorted(set.intersection(*(set(case.proposals) for case in cases)))
    tables = {arm: sweep_table(cases, factors, arm) for arm in Arm}
    arms = {arm: tuple(_point(f, tables[arm][:, k], resamples) for k, f in enumerate(factors)) for arm in Arm}
    # Side by side, so that each resample draws the same patients for both arms.
    both = np.concatenate([tables[Arm.WHOLE], tables[Arm.RECLASSIFIED]], axis=1)
    return Sweep(arms, _matched(factors, both, resamples), len(cases))


def sweep_table(
    cases: Sequence[EvidenceCase], factors: Sequence[float], arm: Arm
) -> Float[np.ndarray, "cases factors 4"]:
    """TP, FL, FN, FP of each case at each factor."""
    table = np.zeros((len(cases), len(factors), len(_OUTCOMES)))
    for number, case in enumerate(cases):
        for k, factor in enumerate(factors):
            table[number, k] = paper_counts(arm_of(case, factor, arm))
    return table


def arm_of(case: EvidenceCase, factor: float, arm: Arm) -> MatchedLesions:
    """Proposals that an arm leaves at a factor and that count, with its types."""
    if arm is Arm.WHOLE:
        return case.counted(factor)
    return case.reclassified(factor, shuffled=arm is Arm.RECLASSIFIED).countable(case.settings)


def paper_counts(lesions: MatchedLesions) -> tuple[int, int, int, int]:
    """TP, FL, FN, FP of one case by the paper's counting."""
    made = judge(lesions.reference, lesions.predicted, lesions.pairs, counting=Counting.PAPER)
    return sum(made.tp.values()), sum(made.fl.values()), sum(made.fn.values()), sum(made.fp.values())


def _point(factor: float, per_case: Float[np.ndarray, "cases 4"], resamples: Resamples) -> SweepPoint:
    def metrics(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 4"]:
        tp, fl, fn, fp = (weights @ per_case).T
        return np.stack([fn, fp, share(tp, tp + fp + fl), share(tp + fl, tp + fl + fn)], axis=1)

    tp, fl, fn, fp = (int(n) for n in per_case.sum(axis=0))
    return SweepPoint(factor, tp, fl, fn, fp, *estimates(metrics, len(per_case), resamples))


def _matched(
    factors: Sequence[float], both: Float[np.ndarray, "cases twice 4"], resamples: Resamples
) -> tuple[EqualMisses, ...]:
    n = len(factors)

    def at_equal_misses(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows factors"]:
        sums = np.einsum("rc,cfo->rfo", weights, both)
        fn, fp = sums[..., 2], sums[..., 3]
        return np.stack([_interpolated(fn[r, :n], fp[r, :n], fn[r, n:]) for r in range(len(weights))])

    def differences(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows factors"]:
        return np.einsum("rc,cf->rf", weights, both[:, n:, 3]) - at_equal_misses(weights)

    total, once = both.sum(axis=0), at_equal_misses(np.ones((1, len(both))))[0]
    made = estimates(differences, len(both), resamples)
    return tuple(
        EqualMisses(
            f, int(total[n + k, 2]), int(total[n + k, 3]), None if np.isnan(once[k]) else float(once[k]), made[k]
        )
        for k, f in enumerate(factors)
    )


def _interpolated(
    fn: Float[np.ndarray, " f"], fp: Float[np.ndarray, " f"], wanted: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Fewest false positives at ``wanted`` misses on the lines between neighbouring factors; NaN outside."""
    out = np.full(len(wanted), np.inf)
    for k in range(len(fn) - 1):
        low, high = sorted((k, k + 1), key=lambda i: fn[i])
        # Misses need not fall with f everywhere: each piece is asked by itself.
        inside = (wanted >= fn[low]) & (wanted <= fn[high])
        span = fn[high] - fn[low]
        part = (wanted - fn[low]) / span if span else np.zeros(len(wanted))
        level = fp[low] + part * (fp[high] - fp[low]) if span else np.full(len(wanted), min(fp[low], fp[high]))
        out = np.where(inside, np.minimum(out, level), out)
    return np.where(np.isfinite(out), out, np.nan)
