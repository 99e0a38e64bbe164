"""FROC with CPM, and average precision, of the proposals of High ranked by a confidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.detect.match import Pair
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, ProposalScore
from livercascade.evaluation.matching.matched_lesions import LesionSummary, MatchedLesions
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate, RankedFindings, estimates

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False positives per case at which recall is given; CPM is the mean of these recalls (LUNA16)."""
GRID = tuple(float(rate) for rate in np.geomspace(1 / 16, 8, 29))
"""False positives per case at which the band of the curve is given."""
FIELD_IOU = 0.1
"""Least IoU of a hit by the rule `HitRule.IOU`, as PI-CAI has it."""


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
        score: Confidence by which the proposals are ranked.
        hit: Rule by which a true lesion is found.
        fp_per_case, recall: The curve, one point for each distinct confidence, confidence falling.
        at: Recall at each of `RATES`: the highest that is reached without more false positives per case.
        cpm: Mean of these.
        average_precision: Area under the precision-recall curve of the pooled proposals, by steps; lesions that no
            proposal finds limit it.
        band: Recall at each rate of `GRID`.
        lesions, proposals, cases: Number of each.
    """

    score: ProposalScore
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


def froc(
    cases: Sequence[EvidenceCase],
    score: ProposalScore,
    resamples: Resamples,
    *,
    hit: HitRule = HitRule.ANY,
) -> Froc:
    """Free-response curve of all proposals of High, also of those that reclassification removes.

    Args:
        cases: All cases, those without lesions too.
        score: Confidence by which the proposals are ranked.
        resamples: Resamples of the patients.
        hit: Rule by which a true lesion is found.
    """
    response = free_response(cases, score.of, hit=hit)
    true, false = response.counts(np.ones((1, len(cases))))
    lesions = float(response.positives.sum())

    def metrics(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows metrics"]:
        # In one function, so that all share the resamples and CPM is the mean of the recalls printed beside it.
        at = response.at_rates(weights, RATES)
        parts = (
            at,
            at.mean(axis=1, keepdims=True),
            response.average_precision(weights),
            response.at_rates(weights, GRID),
        )
        return np.concatenate(parts, axis=1)

    made = estimates(metrics, len(cases), resamples)
    rates = len(RATES)
    return Froc(
        score,
        hit,
        tuple((false[0] / len(cases)).tolist()),
        tuple((true[0] / lesions).tolist()) if lesions else (),
        made[:rates],
        made[rates],
        made[rates + 1],
        made[rates + 2 :],
        int(lesions),
        len(response.true),
        len(cases),
    )


def average_precision_by_type(
    cases: Sequence[EvidenceCase], score: ProposalScore, resamples: Resamples
) -> dict[LesionType, Estimate]:
    """Average precision of each type: true lesions and proposals of that type alone; another type does not find it."""
    out: dict[LesionType, Estimate] = {}
    for lesion_type in LESION_TYPES:
        response = free_response(cases, score.of, only=lesion_type)
        (out[lesion_type],) = estimates(response.average_precision, len(cases), resamples)
    return out


def difference(one: RankedFindings, two: RankedFindings, resamples: Resamples) -> dict[str, Estimate]:
    """CPM and average precision of ``two`` less those of ``one`` on the same patients, by their names in `Froc`."""

    def both(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 2"]:
        cpm = [r.at_rates(weights, RATES).mean(axis=1, keepdims=True) for r in (one, two)]
        area = [r.average_precision(weights) for r in (one, two)]
        return np.concatenate([cpm[1] - cpm[0], area[1] - area[0]], axis=1)

    return dict(zip(("cpm", "average_precision"), estimates(both, len(one.positives), resamples), strict=True))


def free_response(
    cases: Sequence[EvidenceCase],
    score: Callable[[LesionSummary], float],
    *,
    hit: HitRule = HitRule.ANY,
    only: LesionType | None = None,
) -> RankedFindings:
    """Found lesions and false proposals of High in all cases.

    Args:
        cases: All cases.
        score: Confidence of a proposal.
        hit: Rule by which a true lesion is found.
        only: Take true lesions and proposals of this type alone.
    """
    return ranked_responses(_responses(case.high, score, hit, only) for case in cases)


def ranked_responses(cases: Iterable[tuple[Sequence[float], Sequence[float], int]]) -> RankedFindings:
    """Found reference lesions, with the score of their best proposal, and false proposals of all cases, ranked.

    Args:
        cases: Scores of the found lesions and of the false proposals of each case, and its number of reference lesions.
    """
    scores: list[float] = []
    true: list[bool] = []
    owner: list[int] = []
    lesions: list[int] = []
    for number, (found, false, total) in enumerate(cases):
        scores += [*found, *false]
        true += [True] * len(found) + [False] * len(false)
        owner += [number] * (len(found) + len(false))
        lesions.append(total)
    return RankedFindings.of(
        np.array(scores, dtype=np.float64),
        np.array(true, dtype=np.bool_),
        np.array(owner, dtype=np.int64),
        np.array(lesions, dtype=np.float64),
    )


def _responses(
    lesions: MatchedLesions, score: Callable[[LesionSummary], float], hit: HitRule, only: LesionType | None
) -> tuple[list[float], list[float], int]:
    """Confidences of found reference lesions, of false proposals, and the number of reference lesions."""
    wanted = {i for i, lesion in enumerate(lesions.reference) if only is None or lesion.label is only}
    if only is not None:
        lesions = lesions.where([p.label is only for p in lesions.predicted])
    pairs = [p for p in lesions.pairs if p.truth in wanted]
    confidence = [score(p) for p in lesions.predicted]
    if hit is HitRule.IOU:
        pairs = [p for p in pairs if lesions.iou(p) >= FIELD_IOU]
    taken = _one_to_one(pairs) if hit is HitRule.IOU else pairs
    best: dict[int, float] = {}
    for pair in taken:
        best[pair.truth] = max(best.get(pair.truth, 0.0), confidence[pair.found])
    # A proposal that touches a lesion which a better one took is left out: neither a second hit nor a false one.
    touching = {p.found for p in pairs}
    return list(best.values()), [c for j, c in enumerate(confidence) if j not in touching], len(wanted)


def _one_to_one(pairs: Sequence[Pair]) -> list[Pair]:
    if not pairs:
        return []
    # Numbered anew: the table of worth holds lesions with partners alone.
    rows = {t: i for i, t in enumerate(sorted({p.truth for p in pairs}))}
    columns = {f: i for i, f in enumerate(sorted({p.found for p in pairs}))}
    # One more pair outweighs all voxels together.
    bonus = 1 + sum(p.voxels for p in pairs)
    worth = np.zeros((len(rows), len(columns)))
    for p in pairs:
        worth[rows[p.truth], columns[p.found]] = bonus + p.voxels
    chosen = set(zip(*(axis.tolist() for axis in linear_sum_assignment(worth, maximize=True)), strict=True))
    return [p for p in pairs if (rows[p.truth], columns[p.found]) in chosen]
