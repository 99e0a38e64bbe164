"""Recall by lesion volume under the scores of reclassification: what the paper's 0.5 ml costs small lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from livercascade.evaluation.cohort.evidence_case import CurveCase, Side, countable
from livercascade.evaluation.curves.proposal_confidence import excess
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.volume_bins import BINS, bin_of
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.evaluation.statistics.ranking import Estimate, estimates, share
from livercascade.reclassify.reclassify import ScoreMode


@dataclass(frozen=True, slots=True)
class VolumeRecall:
    """Recall of High by volume after one rule, whatever the type.

    Attributes:
        name: ``without ReCls``, or the score.
        cut: Multiple of the cascade's threshold that was asked for; None without reclassification.
        recall: One for each of `volume_bins.BINS`; None where there are no lesions.
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


def volume_strata(cases: Sequence[CurveCase], settings: EvaluationSettings, draws: Resampling) -> VolumeStrata:
    """Recall by volume without reclassification and with each score."""
    over = {mode: [_excesses(case, mode) for case in cases] for mode in ScoreMode}

    def recall(name: str, mode: ScoreMode | None, cut: float) -> VolumeRecall:
        asked = None if mode is None else cut
        return _recall(name, asked, _table(cases, None if mode is None else over[mode], cut, settings), draws)

    as_set = (recall("without ReCls", None, 0.0), *(recall(mode.value, mode, 1.0) for mode in ScoreMode))
    allowed = next(r.fp.value or 0.0 for r in as_set if r.name == ScoreMode.VOLUME.value)
    equal = tuple(recall(mode.value, mode, _cut(cases, over[mode], allowed, settings)) for mode in ScoreMode)
    whole = _table(cases, None, 0.0, settings)
    return VolumeStrata(tuple(int(n) for n in whole[:, : len(BINS)].sum(axis=0)), as_set, equal)


def _excesses(case: CurveCase, mode: ScoreMode) -> list[float]:
    """Score over threshold of each proposal of High; infinite if it was too large to be judged."""
    rules = case.rules.model_copy(update={"score": mode})
    values = [excess(p, rules) for p in case.sides[case.high_factor].proposals]
    return [np.inf if v is None else v for v in values]


def _table(
    cases: Sequence[CurveCase], over: list[list[float]] | None, cut: float, settings: EvaluationSettings
) -> Float[np.ndarray, "cases figures"]:
    """Per case: true lesions by bin, found ones by bin, false positives."""
    table = np.zeros((len(cases), 2 * len(BINS) + 1))
    for number, case in enumerate(cases):
        side = case.sides[case.high_factor]
        if over is not None:
            side = _above(side, over[number], cut)
        true, counted = countable(case, side, settings)
        found = {p.truth for p in counted.pairs}
        for i in true:
            place = bin_of(case.truth[i].volume_ml)
            table[number, place] += 1
            table[number, len(BINS) + place] += i in found
        table[number, -1] = len(counted.proposals) - len({p.found for p in counted.pairs})
    return table


def _above(side: Side, over: Sequence[float], cut: float) -> Side:
    place = {old: new for new, old in enumerate(j for j, v in enumerate(over) if v >= cut)}
    pairs = tuple(replace(p, found=place[p.found]) for p in side.pairs if p.found in place)
    return Side(tuple(side.proposals[j] for j in place), pairs)


def _cut(cases: Sequence[CurveCase], over: list[list[float]], allowed: float, settings: EvaluationSettings) -> float:
    """Lowest multiple of the threshold that leaves at most ``allowed`` false positives."""
    false: list[float] = []
    for case, values in zip(cases, over, strict=True):
        side = case.sides[case.high_factor]
        _, counted = countable(case, side, settings)
        touching = {p.found for p in counted.pairs}
        identity = {id(p): v for p, v in zip(side.proposals, values, strict=True)}
        false += [identity[id(p)] for j, p in enumerate(counted.proposals) if j not in touching]
    false.sort(reverse=True)
    more = [v for v in false[int(allowed) :] if np.isfinite(v)]
    return float(np.nextafter(more[0], np.inf)) if more else 0.0


def _recall(name: str, cut: float | None, table: Float[np.ndarray, "cases figures"], draws: Resampling) -> VolumeRecall:
    bins = len(BINS)

    def figures(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows figures"]:
        sums = weights @ table
        true, found = sums[:, :bins], sums[:, bins : 2 * bins]
        all_ = share(found.sum(axis=1), true.sum(axis=1))
        return np.concatenate([share(found, true), all_[:, None], sums[:, -1:]], axis=1)

    told = estimates(figures, len(table), draws)
    return VolumeRecall(name, cut, told[:bins], told[bins], told[bins + 1])
