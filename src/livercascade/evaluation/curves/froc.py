"""FROC with CPM, and average precision, of the proposals of High ranked by a confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.detect.match import Overlap, Pair, overlap_of
from livercascade.evaluation.cohort.evidence_case import CurveCase, Proposal, Side, countable
from livercascade.evaluation.curves.proposal_confidence import CandidateScore
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.evaluation.statistics.ranking import Estimate, Ranked, estimates, share

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False positives per case at which recall is told; CPM is the mean of these recalls (LUNA16)."""
GRID = tuple(float(rate) for rate in np.geomspace(1 / 16, 8, 29))
"""False positives per case at which the band of the curve is told."""
FIELD_IOU = 0.1
_SLACK = 1e-9


class HitRule(StrEnum):
    """When a proposal finds a true lesion."""

    ANY = "any"
    """One common voxel, or the least overlap of the settings (paper): each true lesion by its best proposal."""
    IOU = "iou"
    """IoU of at least 0.1, one to one, most pairs first, then most overlap; other proposals with such an IoU are left
    out (PI-CAI's convention)."""


@dataclass(frozen=True, slots=True)
class Froc:
    """Free-response curve of one confidence.

    Attributes:
        score: What the proposals are ranked by.
        hit: When a true lesion is found.
        fp_per_case, recall: The curve, one point for each distinct confidence, confidence falling.
        at: Recall at each of `RATES`: the highest that is reached without more false positives per case.
        cpm: Mean of these.
        average_precision: Area under the precision-recall curve of the pooled proposals, by steps; lesions that no
            proposal finds limit it.
        band: Recall at each rate of `GRID`.
        lesions, proposals, cases: How many.
    """

    score: CandidateScore
    hit: HitRule
    fp_per_case: tuple[float, ...]
    recall: tuple[float, ...]
    at: tuple[Estimate, ...]
    cpm: Estimate
    average_precision: Estimate
    band: tuple[Estimate, ...]
    lesions: int
    proposals: int
    cases: int


@dataclass(frozen=True, slots=True, eq=False)
class FreeResponse:
    """Found lesions and false proposals of all cases, ranked, and the number of true lesions.

    Attributes:
        ranked: Found true lesions with the confidence of their proposal (true), false proposals (false).
        lesions: True lesions per case.
    """

    ranked: Ranked
    lesions: Float[np.ndarray, " cases"]

    def at(self, weights: Float[np.ndarray, "rows cases"], rates: Sequence[float]) -> Float[np.ndarray, "rows rates"]:
        """Recall at rates of false positives per case."""
        counts, lesions = self.ranked.counts(weights), weights @ self.lesions
        per_case = counts.false / weights.sum(axis=1, keepdims=True)
        out = np.zeros((len(weights), len(rates)))
        for column, rate in enumerate(rates):
            # Thresholds fall, so false positives only grow: the last allowed point has the highest recall.
            allowed = (per_case <= rate * (1 + _SLACK)).sum(axis=1)
            some = np.flatnonzero(allowed)
            out[some, column] = counts.true[some, allowed[some] - 1]
        return share(out, np.broadcast_to(lesions[:, None], out.shape))

    def average_precision(self, weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 1"]:
        """Average precision: sum of the steps of recall times the precision there."""
        counts, lesions = self.ranked.counts(weights), weights @ self.lesions
        precision = np.nan_to_num(share(counts.true, counts.true + counts.false))
        area = (np.diff(counts.true, axis=1, prepend=0) * precision).sum(axis=1)
        return share(area, lesions)[:, None]


def froc(
    cases: Sequence[CurveCase],
    score: CandidateScore,
    settings: EvaluationSettings,
    draws: Resampling,
    *,
    hit: HitRule = HitRule.ANY,
) -> Froc:
    """Free-response curve of all proposals of High, also of those that reclassification removes.

    Args:
        cases: All cases, those without lesions too.
        score: What the proposals are ranked by.
        settings: Which lesions count, and when they overlap.
        draws: Resamples of the patients.
        hit: When a true lesion is found.
    """
    response = free_response(cases, score.of, settings, hit=hit)
    once = response.ranked.once(len(cases))
    lesions = float(response.lesions.sum())

    def figures(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows figures"]:
        at = response.at(weights, RATES)
        parts = (at, at.mean(axis=1, keepdims=True), response.average_precision(weights), response.at(weights, GRID))
        return np.concatenate(parts, axis=1)

    told = estimates(figures, len(cases), draws)
    rates = len(RATES)
    return Froc(
        score,
        hit,
        tuple((once.false[0] / len(cases)).tolist()),
        tuple((once.true[0] / lesions).tolist()) if lesions else (),
        told[:rates],
        told[rates],
        told[rates + 1],
        told[rates + 2 :],
        int(lesions),
        len(response.ranked.true),
        len(cases),
    )


def average_precision_by_type(
    cases: Sequence[CurveCase], score: CandidateScore, settings: EvaluationSettings, draws: Resampling
) -> dict[LesionType, Estimate]:
    """Average precision of each type: true lesions and proposals of that type alone; another type does not find it."""
    out: dict[LesionType, Estimate] = {}
    for lesion_type in LESION_TYPES:
        response = free_response(cases, score.of, settings, only=lesion_type)
        (out[lesion_type],) = estimates(response.average_precision, len(cases), draws)
    return out


def difference(one: FreeResponse, two: FreeResponse, draws: Resampling) -> tuple[Estimate, Estimate]:
    """CPM and average precision of ``two`` less those of ``one`` on the same patients."""

    def both(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 2"]:
        cpm = [r.at(weights, RATES).mean(axis=1, keepdims=True) for r in (one, two)]
        area = [r.average_precision(weights) for r in (one, two)]
        return np.concatenate([cpm[1] - cpm[0], area[1] - area[0]], axis=1)

    cpm, area = estimates(both, len(one.lesions), draws)
    return cpm, area


def free_response(
    cases: Sequence[CurveCase],
    score: Callable[[Proposal], float],
    settings: EvaluationSettings,
    *,
    hit: HitRule = HitRule.ANY,
    only: LesionType | None = None,
) -> FreeResponse:
    """Found lesions and false proposals of High in all cases.

    Args:
        cases: All cases.
        score: Confidence of a proposal.
        settings: Which lesions count.
        hit: When a true lesion is found.
        only: Take true lesions and proposals of this type alone.
    """
    scores: list[float] = []
    true: list[bool] = []
    owner: list[int] = []
    lesions = np.zeros(len(cases))
    for number, case in enumerate(cases):
        found, false, total = _responses(case, score, settings, hit, only)
        scores += [*found, *false]
        true += [True] * len(found) + [False] * len(false)
        owner += [number] * (len(found) + len(false))
        lesions[number] = total
    ranked = Ranked.of(np.array(scores, dtype=float), np.array(true, dtype=bool), np.array(owner, dtype=np.int64))
    return FreeResponse(ranked, lesions)


def _responses(
    case: CurveCase,
    score: Callable[[Proposal], float],
    settings: EvaluationSettings,
    hit: HitRule,
    only: LesionType | None,
) -> tuple[list[float], list[float], int]:
    """Confidences of found true lesions, of false proposals, and the number of true lesions."""
    true, side = countable(case, case.sides[case.high_factor], settings)
    if only is not None:
        true = tuple(i for i in true if case.truth[i].label is only)
        side = side.where(lambda p: p.label is only)
    wanted = frozenset(true)
    pairs = [p for p in side.pairs if p.truth in wanted]
    confidence = [score(p) for p in side.proposals]
    if hit is HitRule.IOU:
        pairs = [p for p in pairs if _iou(case, side, p) >= FIELD_IOU]
    taken = _one_to_one(pairs) if hit is HitRule.IOU else pairs
    best: dict[int, float] = {}
    for pair in taken:
        best[pair.truth] = max(best.get(pair.truth, 0.0), confidence[pair.found])
    touching = {p.found for p in pairs}
    return list(best.values()), [c for j, c in enumerate(confidence) if j not in touching], len(true)


def _iou(case: CurveCase, side: Side, pair: Pair) -> float:
    voxels = case.truth[pair.truth].voxels, side.proposals[pair.found].voxels
    return overlap_of(pair.voxels, *voxels, Overlap.IOU)


def _one_to_one(pairs: Sequence[Pair]) -> list[Pair]:
    if not pairs:
        return []
    rows = {t: i for i, t in enumerate(sorted({p.truth for p in pairs}))}
    columns = {f: i for i, f in enumerate(sorted({p.found for p in pairs}))}
    # One more pair outweighs all voxels together.
    bonus = 1 + sum(p.voxels for p in pairs)
    worth = np.zeros((len(rows), len(columns)))
    for p in pairs:
        worth[rows[p.truth], columns[p.found]] = bonus + p.voxels
    chosen = set(zip(*(axis.tolist() for axis in linear_sum_assignment(worth, maximize=True)), strict=True))
    return [p for p in pairs if (rows[p.truth], columns[p.found]) in chosen]
