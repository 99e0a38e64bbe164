"""How much more a finding is worth that both sensitivities make: same and diff (paper, eq. 7, Sec. IV-B2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from livercascade.detect.match import Agreement, Counting, Outcome, judge
from livercascade.evaluation.cohort.evidence_case import CurveCase, Side, countable
from livercascade.evaluation.curves.proposal_confidence import keeps, voted
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.evaluation.statistics.ranking import Estimate, estimates, share


@dataclass(frozen=True, slots=True)
class Yield:
    """Findings of one kind.

    Attributes:
        findings: How many.
        true: How many of them touch a true lesion.
        typed: How many of them touch one of their type.
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


def agreement_yield(cases: Sequence[CurveCase], settings: EvaluationSettings, draws: Resampling) -> AgreementYield:
    """Positive predictive value of findings that both sensitivities share, and of the rest."""
    kinds, table = list(Agreement), agreement_table(cases, settings)
    by_kind = {kind: table[:, k] for k, kind in enumerate(kinds)}
    others = [kind for kind in kinds if kind is not Agreement.SAME]
    # A conflict of types shows on both sides; it is one finding, counted with High's type.
    return AgreementYield(
        _yield(by_kind[Agreement.SAME], draws),
        _yield(np.sum([by_kind[kind] for kind in others], axis=0), draws),
        {kind: _yield(by_kind[kind], draws) for kind in others},
    )


def agreement_table(cases: Sequence[CurveCase], settings: EvaluationSettings) -> Float[np.ndarray, "cases kinds 3"]:
    """Per case and `Agreement`, in its order: findings, those that touch a true lesion, and one of their type."""
    kinds = list(Agreement)
    table = np.zeros((len(cases), len(kinds), 3))
    for number, case in enumerate(cases):
        for kind, true, typed in _findings(case, settings):
            table[number, kinds.index(kind)] += (1, true, typed)
    return table


def _findings(case: CurveCase, settings: EvaluationSettings) -> list[tuple[Agreement, bool, bool]]:
    low, low_place = _kept(case, case.low_factor)
    high, high_place = _kept(case, case.high_factor)
    pairs = [
        replace(p, truth=low_place[p.truth], found=high_place[p.found])
        for p in case.low_high
        if p.truth in low_place and p.found in high_place
    ]
    made = judge(low.proposals, high.proposals, pairs, counting=Counting.GT)
    out: list[tuple[Agreement, bool, bool]] = []
    alone = {Outcome.TP: Agreement.SAME, Outcome.FL: Agreement.LABEL_CONFLICT}
    for outcome, counted in zip(made.found_outcomes, _hits(case, high, settings), strict=True):
        if counted is not None:
            out.append((alone.get(outcome, Agreement.ONLY_HIGH), *counted))
    for outcome, counted in zip(made.truth_outcomes, _hits(case, low, settings), strict=True):
        if outcome is Outcome.FN and counted is not None:
            out.append((Agreement.ONLY_LOW, *counted))
    return out


def _kept(case: CurveCase, factor: float) -> tuple[Side, dict[int, int]]:
    """Findings after reclassification, and their positions by position among the proposals."""
    side, rules = case.sides[factor], case.rules
    place = {old: new for new, old in enumerate(j for j, p in enumerate(side.proposals) if keeps(p, rules))}
    kept = side.where(lambda p: keeps(p, rules))
    if rules.relabel:
        kept = Side(tuple(replace(p, label=voted(p)) for p in kept.proposals), kept.pairs)
    return kept, place


def _hits(case: CurveCase, side: Side, settings: EvaluationSettings) -> list[tuple[bool, bool] | None]:
    """Whether each finding touches a true lesion, and one of its type; None if it does not count."""
    _, counted = countable(case, side, settings)
    known = {id(p): j for j, p in enumerate(counted.proposals)}
    out: list[tuple[bool, bool] | None] = []
    for proposal in side.proposals:
        j = known.get(id(proposal))
        types = [case.truth[p.truth].label for p in counted.pairs if p.found == j]
        out.append(None if j is None else (bool(types), proposal.label in types))
    return out


def _yield(per_case: Float[np.ndarray, "cases 3"], draws: Resampling) -> Yield:
    def figures(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 2"]:
        findings, true, typed = (weights @ per_case).T
        return np.stack([share(true, findings), share(typed, findings)], axis=1)

    findings, true, typed = (int(n) for n in per_case.sum(axis=0))
    return Yield(findings, true, typed, *estimates(figures, len(per_case), draws))
