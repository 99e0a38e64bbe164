"""What the vote of UNet^patch does to types: correct to wrong, wrong to correct (paper, eq. 8, Sec. V-C4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int

from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.evaluation.cohort.evidence_case import CurveCase, countable
from livercascade.evaluation.curves.proposal_confidence import keeps, voted
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.evaluation.statistics.ranking import Estimate, estimates


class Change(StrEnum):
    """What the vote does to the type of a proposal that touches a true lesion."""

    CORRECT_CORRECT = "correct, stays"
    CORRECT_WRONG = "correct to wrong"
    WRONG_CORRECT = "wrong to correct"
    WRONG_WRONG = "wrong, stays wrong"
    REMOVED_CORRECT = "correct, removed"
    REMOVED_WRONG = "wrong, removed"


@dataclass(frozen=True, slots=True)
class Transition:
    """Types before and after the vote, for one sensitivity.

    A proposal is correct if a true lesion that it touches has its type.

    Attributes:
        factor: Sensitivity of the proposals.
        changes: True proposals by what happened to them; removed ones by their type before.
        gain: Corrected less spoilt.
        types: Counts by type before (rows) and after the vote (columns) of the true proposals kept.
        in_force: True if the cascade took the votes over.
    """

    factor: float
    changes: dict[Change, Estimate]
    gain: Estimate
    types: tuple[tuple[int, ...], ...]
    in_force: bool


def transition(
    cases: Sequence[CurveCase], settings: EvaluationSettings, draws: Resampling, *, high: bool = True
) -> Transition:
    """What the vote does, or would do if it were in force, to the proposals of High or Base."""
    table, types = transition_table(cases, settings, high=high)

    def figures(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows figures"]:
        sums = weights @ table
        column = list(Change).index
        gain = sums[:, column(Change.WRONG_CORRECT)] - sums[:, column(Change.CORRECT_WRONG)]
        return np.concatenate([sums, gain[:, None]], axis=1)

    told = estimates(figures, len(cases), draws)
    return Transition(
        cases[0].high_factor if high else cases[0].low_factor,
        dict(zip(Change, told, strict=False)),
        told[-1],
        tuple(tuple(int(n) for n in row) for row in types),
        cases[0].rules.relabel,
    )


def transition_table(
    cases: Sequence[CurveCase], settings: EvaluationSettings, *, high: bool
) -> tuple[Float[np.ndarray, "cases changes"], Int[np.ndarray, "6 6"]]:
    """Per case and `Change`, in its order, the true proposals; and types before by types after of those kept."""
    table = np.zeros((len(cases), len(Change)))
    types = np.zeros((len(LESION_TYPES), len(LESION_TYPES)), dtype=np.int64)
    for number, case in enumerate(cases):
        for before, after, kept, true_types in _true_proposals(case, settings, high=high):
            table[number, list(Change).index(_change(before in true_types, after in true_types, kept))] += 1
            if kept:
                types[before - 1, after - 1] += 1
    return table, types


def _true_proposals(
    case: CurveCase, settings: EvaluationSettings, *, high: bool
) -> list[tuple[LesionType, LesionType, bool, set[LesionType]]]:
    """Type before, type voted, kept, and the types of the true lesions touched."""
    _, side = countable(case, case.sides[case.high_factor if high else case.low_factor], settings)
    out: list[tuple[LesionType, LesionType, bool, set[LesionType]]] = []
    for j, proposal in enumerate(side.proposals):
        true_types = {case.truth[p.truth].label for p in side.pairs if p.found == j}
        if true_types:
            out.append((proposal.label, voted(proposal), keeps(proposal, case.rules), true_types))
    return out


def _change(before: bool, after: bool, kept: bool) -> Change:
    if not kept:
        return Change.REMOVED_CORRECT if before else Change.REMOVED_WRONG
    if before:
        return Change.CORRECT_CORRECT if after else Change.CORRECT_WRONG
    return Change.WRONG_CORRECT if after else Change.WRONG_WRONG
