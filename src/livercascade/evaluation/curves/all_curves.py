"""All curves of one cohort, and the same as plain values for ``tables.json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, TypeAdapter

from livercascade.data.labels import LesionType
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, ProposalScore
from livercascade.evaluation.curves.froc import (
    Froc,
    HitRule,
    average_precision_by_type,
    difference,
    free_response,
    froc,
)
from livercascade.evaluation.curves.recall_by_volume import VolumeStrata, volume_strata
from livercascade.evaluation.curves.score_roc import ScoreRoc, score_roc
from livercascade.evaluation.curves.sensitivity_agreement import AgreementYield, agreement_yield
from livercascade.evaluation.curves.sensitivity_sweep import Sweep, sweep
from livercascade.evaluation.curves.small_lesions import SizeFair, size_fair
from livercascade.evaluation.curves.vote_effects import Transition, transition
from livercascade.evaluation.matching.matched_lesions import LesionSummary
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate
from livercascade.evaluation.statistics.reliability import Reliability
from livercascade.reclassification.reclassify import ScoreMode

DEFAULT_SCORE = ProposalScore.BLEND
CurveReliability = Annotated[Reliability, PlainSerializer(Reliability.curve_json)]


@dataclass(frozen=True, slots=True)
class CohortCurves:
    """Everything that follows from the evidence of a cohort.

    Attributes:
        cases: Number of cases.
        low_factor, high_factor: Factors of Base and High.
        sweep: Misses and false positives over f (paper, Fig. 11).
        frocs: Free-response curves by every confidence, one common voxel as a hit, then by IoU for the default.
        gain: CPM and average precision by ``blend`` less those by ``probability``: what the second network adds to the
            ranking; by the names that `Froc` has for them.
        average_precision_by_type: By the default confidence.
        score_rocs: ROC of the reclassification scores.
        volume: Recall by volume.
        size_fair: Lesions of 0.5 to 2 ml under each score at equal false positives.
        transitions: What the vote does to types, for Base and High.
        agreement: Same and diff (paper, eq. 7).
        calibration: Default confidence against the share of proposals that touch a true lesion; None without proposals.
            Its ``patients`` are proposals, its ``malignant`` true ones.
        calibrated: The same for the calibrated probability; None where the model is not calibrated.
    """

    cases: int
    low_factor: float
    high_factor: float
    sweep: Sweep
    frocs: tuple[Froc, ...]
    gain: dict[str, Estimate]
    average_precision_by_type: dict[LesionType, Estimate]
    score_rocs: tuple[ScoreRoc, ...]
    volume: VolumeStrata
    size_fair: SizeFair
    transitions: tuple[Transition, ...]
    agreement: AgreementYield
    calibration: CurveReliability | None
    calibrated: CurveReliability | None = None


def build_curves(cases: Sequence[EvidenceCase], resamples: Resamples) -> CohortCurves:
    """All curves of a cohort.

    Args:
        cases: At least one, all analysed with the same settings.
        resamples: Resamples of the patients, in the order of ``cases``.

    Raises:
        ValueError: There is no case, the resamples are of another number of cases, or the cases were analysed with
            different settings.
    """
    if not cases or resamples.shape[1] != len(cases):
        raise ValueError(f"{len(cases)} cases and resamples of {resamples.shape[1]}")
    # Pooled curves of two thresholds would be of no cascade that anybody runs.
    ways = {(c.low_factor, c.high_factor, c.rules) for c in cases}
    if len(ways) > 1:
        raise ValueError("the cases were analysed with different settings")
    frocs = tuple(froc(cases, score, resamples) for score in ProposalScore)
    plain, blended = (free_response(cases, s.of) for s in (ProposalScore.PROBABILITY, ProposalScore.BLEND))
    return CohortCurves(
        len(cases),
        cases[0].low_factor,
        cases[0].high_factor,
        sweep(cases, resamples),
        (*frocs, froc(cases, DEFAULT_SCORE, resamples, hit=HitRule.IOU)),
        difference(plain, blended, resamples),
        average_precision_by_type(cases, DEFAULT_SCORE, resamples),
        tuple(score_roc(cases, mode, resamples) for mode in ScoreMode),
        volume_strata(cases, resamples),
        size_fair(cases, resamples),
        tuple(transition(cases, resamples, high=high) for high in (False, True)),
        agreement_yield(cases, resamples),
        _candidate_calibration(cases, DEFAULT_SCORE.of),
        _candidate_calibration(cases, lambda p: p.probability),
    )


def curves_json(curves: CohortCurves) -> dict[str, Any]:
    """The curves as values of JSON: types by their short name, undefined metrics null."""
    return TypeAdapter(CohortCurves).dump_python(curves, mode="json")


def _candidate_calibration(
    cases: Sequence[EvidenceCase], score: Callable[[LesionSummary], float | None]
) -> Reliability | None:
    """Agreement of a score with the share of true proposals; None unless every proposal has one."""
    scores: list[float | None] = []
    true: list[bool] = []
    for case in cases:
        scores += [score(p) for p in case.high.predicted]
        true += [bool(touched) for touched in case.high.touched]
    known = [s for s in scores if s is not None]
    return Reliability.of(np.array(known), np.array(true, dtype=bool)) if known and len(known) == len(true) else None
