"""Recall by lesion volume under the scores of reclassification: what the paper's 0.5 ml costs small lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.evaluation.cohort.evidence_case import EvidenceCase, excess
from livercascade.evaluation.matching.matched_lesions import MatchedLesions
from livercascade.evaluation.matching.volume_bins import BIN_NAMES, bin_of
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate, estimates, share
from livercascade.reclassification.reclassify import ScoreMode


@dataclass(frozen=True, slots=True)
class VolumeRecall:
    """Recall of High by volume after one rule, whatever the type.

    Attributes:
        name: ``without ReCls``, or the score.
        cut: Multiple of the cascade's threshold that was asked for; None without reclassification.
        recall: One for each of `volume_bins.BIN_NAMES`; None where there are no lesions.
        total: Recall of all lesions.
        fp: False positives that are left.
    """

    name: str
    cut: float | None
    recall: tuple[Estimate, ...]
    total: Estimate
    fp: Estimate


@dataclass(frozen=True, slots=True)
class VolumeStrata:
    """Recall by volume.

    Attributes:
        lesions: True lesions per bin.
        as_set: Without reclassification, then every score at the cascade's threshold.
        at_equal_fp: Every score at the lowest multiple of its threshold that leaves no more false positives than the
            paper's rule (``volume`` at 0.5 ml): the fair comparison.
    """

    lesions: tuple[int, ...]
    as_set: tuple[VolumeRecall, ...]
    at_equal_fp: tuple[VolumeRecall, ...]


def volume_strata(cases: Sequence[EvidenceCase], resamples: Resamples) -> VolumeStrata:
    """Recall by volume without reclassification and with each score."""
    # Scores do not depend on the cut: they are worked out once for all multiples.
    over = {mode: [_excesses(case.proposals[case.high_factor], case, mode) for case in cases] for mode in ScoreMode}

    def recall(name: str, mode: ScoreMode | None, cut: float) -> VolumeRecall:
        asked = None if mode is None else cut
        return _recall(name, asked, _table(cases, None if mode is None else over[mode], cut), resamples)

    as_set = (recall("without ReCls", None, 0.0), *(recall(mode.value, mode, 1.0) for mode in ScoreMode))
    allowed = next(r.fp.value or 0.0 for r in as_set if r.name == ScoreMode.VOLUME.value)
    equal = tuple(recall(mode.value, mode, _cut(cases, mode, allowed)) for mode in ScoreMode)
    whole = _table(cases, None, 0.0)
    return VolumeStrata(tuple(int(n) for n in whole[:, : len(BIN_NAMES)].sum(axis=0)), as_set, equal)


def _excesses(lesions: MatchedLesions, case: EvidenceCase, mode: ScoreMode) -> list[float]:
    """Score over threshold of each proposal; infinite if it was too large to be judged."""
    rules = case.rules.model_copy(update={"score": mode})
    values = [excess(p, rules) for p in lesions.predicted]
    return [np.inf if v is None else v for v in values]


def _table(
    cases: Sequence[EvidenceCase], over: list[list[float]] | None, cut: float
) -> Float[np.ndarray, "cases columns"]:
    """Per case: reference lesions by bin, found ones by bin, false positives."""
    bins = len(BIN_NAMES)
    table = np.zeros((len(cases), 2 * bins + 1))
    for number, case in enumerate(cases):
        if over is None:
            lesions = case.high
        else:
            lesions = case.counted(case.high_factor, [value >= cut for value in over[number]])
        found = {pair.truth for pair in lesions.pairs}
        for i, lesion in enumerate(lesions.reference):
            place = bin_of(lesion.volume_ml)
            table[number, place] += 1
            table[number, bins + place] += i in found
        table[number, -1] = sum(not touched for touched in lesions.touched)
    return table


def _cut(cases: Sequence[EvidenceCase], mode: ScoreMode, allowed: float) -> float:
    """Lowest multiple of the threshold that leaves at most ``allowed`` false positives."""
    false: list[float] = []
    for case in cases:
        values = _excesses(case.high, case, mode)
        false += [value for value, touched in zip(values, case.high.touched, strict=True) if not touched]
    false.sort(reverse=True)
    more = [v for v in false[int(allowed) :] if np.isfinite(v)]
    # One step above the first that would be too many: a threshold equal to its score would keep it.
    return float(np.nextafter(more[0], np.inf)) if more else 0.0


def _recall(
    name: str, cut: float | None, table: Float[np.ndarray, "cases columns"], resamples: Resamples
) -> VolumeRecall:
    bins = len(BIN_NAMES)

    def metrics(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows metrics"]:
        sums = weights @ table
        true, found = sums[:, :bins], sums[:, bins : 2 * bins]
        all_ = share(found.sum(axis=1), true.sum(axis=1))
        return np.concatenate([share(found, true), all_[:, None], sums[:, -1:]], axis=1)

    made = estimates(metrics, len(table), resamples)
    return VolumeRecall(name, cut, made[:bins], made[bins], made[bins + 1])
