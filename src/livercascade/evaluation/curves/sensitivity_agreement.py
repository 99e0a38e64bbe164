"""How much more a finding is worth that both sensitivities make: same and diff (paper, eq. 7, Sec. IV-B2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from livercascade.detect.match import Agreement, Counting, Outcome, judge
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, stays
from livercascade.evaluation.matching.matched_lesions import MatchedLesions
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate, estimates, share


@dataclass(frozen=True, slots=True)
class Yield:
    """Findings of one kind.

    Attributes:
        findings: Number of them.
        true: Number of those that touch a true lesion.
        typed: Number of those that touch one of their type.
        ppv: ``true / findings``.
        typed_ppv: ``typed / findings``.
    """

    findings: int
    true: int
    typed: int
    ppv: Estimate
    typed_ppv: Estimate


@dataclass(frozen=True, slots=True)
class AgreementYield:
    """Findings of Base+ReCls and High+ReCls by how they relate.

    Attributes:
        same: Findings of High+ReCls that Base+ReCls makes too, with the same type (``Det_same``).
        diff: All others of both (``Det_diff``).
        reasons: ``diff`` by reason: another type, only in High+ReCls, only in Base+ReCls.
    """

    same: Yield
    diff: Yield
    reasons: dict[Agreement, Yield]


def agreement_yield(cases: Sequence[EvidenceCase], resamples: Resamples) -> AgreementYield:
    """Positive predictive value of findings that both sensitivities share, and of the rest."""
    kinds, table = list(Agreement), agreement_table(cases)
    by_kind = {kind: table[:, k] for k, kind in enumerate(kinds)}
    others = [kind for kind in kinds if kind is not Agreement.SAME]
    # A conflict of types shows on both sides; it is one finding, counted with High's type.
    return AgreementYield(
        _yield(by_kind[Agreement.SAME], resamples),
        _yield(np.sum([by_kind[kind] for kind in others], axis=0), resamples),
        {kind: _yield(by_kind[kind], resamples) for kind in others},
    )


def agreement_table(cases: Sequence[EvidenceCase]) -> Float[np.ndarray, "cases kinds 3"]:
    """Per case and `Agreement`, in its order: findings, those that touch a true lesion, and one of their type."""
    kinds = list(Agreement)
    table = np.zeros((len(cases), len(kinds), 3))
    for number, case in enumerate(cases):
        for kind, true, typed in _findings(case):
            table[number, kinds.index(kind)] += (1, true, typed)
    return table


def _findings(case: EvidenceCase) -> list[tuple[Agreement, bool, bool]]:
    low, high = (case.reclassified(factor) for factor in (case.low_factor, case.high_factor))
    low_place, high_place = (_places(case, factor) for factor in (case.low_factor, case.high_factor))
    pairs = [
        replace(pair, truth=low_place[pair.truth], found=high_place[pair.found])
        for pair in case.low_high
        if pair.truth in low_place and pair.found in high_place
    ]
    # Base stands in the place of the reference: its findings missing from High are then the FN.
    made = judge(low.predicted, high.predicted, pairs, counting=Counting.GT)
    out: list[tuple[Agreement, bool, bool]] = []
    alone = {Outcome.TP: Agreement.SAME, Outcome.FL: Agreement.LABEL_CONFLICT}
    for outcome, counted in zip(made.found_outcomes, _hits(case, high), strict=True):
        if counted is not None:
            out.append((alone.get(outcome, Agreement.ONLY_HIGH), *counted))
    for outcome, counted in zip(made.truth_outcomes, _hits(case, low), strict=True):
        if outcome is Outcome.FN and counted is not None:
            out.append((Agreement.ONLY_LOW, *counted))
    return out


def _places(case: EvidenceCase, factor: float) -> dict[int, int]:
    """Positions after reclassification by position among the proposals."""
    kept = [j for j, proposal in enumerate(case.proposals[factor].predicted) if stays(proposal, case.rules)]
    return {old: new for new, old in enumerate(kept)}


def _hits(case: EvidenceCase, lesions: MatchedLesions) -> list[tuple[bool, bool] | None]:
    """Whether each finding touches a reference lesion, and one of its type; None if it does not count."""
    counted = lesions.countable(case.settings)
    out: list[tuple[bool, bool] | None] = [None] * len(lesions.predicted)
    positions = lesions.countable_predictions(case.settings)
    for position, finding, touched in zip(positions, counted.predicted, counted.touched, strict=True):
        types = [counted.reference[i].label for i in touched]
        out[position] = bool(types), finding.label in types
    return out


def _yield(per_case: Float[np.ndarray, "cases 3"], resamples: Resamples) -> Yield:
    def metrics(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 2"]:
        findings, true, typed = (weights @ per_case).T
        return np.stack([share(true, findings), share(typed, findings)], axis=1)

    findings, true, typed = (int(n) for n in per_case.sum(axis=0))
    return Yield(findings, true, typed, *estimates(metrics, len(per_case), resamples))
