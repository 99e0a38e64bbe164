"""What the vote of UNet^patch does to types: correct to wrong, wrong to correct (paper, eq. 8, Sec. V-C4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int

from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, stays, voted_type
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate, estimates


class VoteEffect(StrEnum):
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
    changes: dict[VoteEffect, Estimate]
    gain: Estimate
    types: tuple[tuple[int, ...], ...]
    in_force: bool


def transition(cases: Sequence[EvidenceCase], resamples: Resamples, *, high: bool = True) -> Transition:
    """What the vote does, or would do if it were in force, to the proposals of High or Base."""
    table, types = transition_table(cases, high=high)

    def metrics(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows metrics"]:
        sums = weights @ table
        column = list(VoteEffect).index
        gain = sums[:, column(VoteEffect.WRONG_CORRECT)] - sums[:, column(VoteEffect.CORRECT_WRONG)]
        return np.concatenate([sums, gain[:, None]], axis=1)

    made = estimates(metrics, len(cases), resamples)
    return Transition(
        cases[0].high_factor if high else cases[0].low_factor,
        dict(zip(VoteEffect, made, strict=False)),
        made[-1],
        tuple(tuple(int(n) for n in row) for row in types),
        cases[0].rules.relabel,
    )


def transition_table(
    cases: Sequence[EvidenceCase], *, high: bool
) -> tuple[Float[np.ndarray, "cases changes"], Int[np.ndarray, "6 6"]]:
    """Per case and `VoteEffect`, in its order, the true proposals; and types before by types after of those kept."""
    table = np.zeros((len(cases), len(VoteEffect)))
    types = np.zeros((len(LESION_TYPES), len(LESION_TYPES)), dtype=np.int64)
    for number, case in enumerate(cases):
        # A proposal may touch lesions of several types; either of them is right.
        for before, after, kept, true_types in _true_proposals(case, high=high):
            table[number, list(VoteEffect).index(_change(before in true_types, after in true_types, kept))] += 1
            if kept:
                types[before - 1, after - 1] += 1
    return table, types


def _true_proposals(case: EvidenceCase, *, high: bool) -> list[tuple[LesionType, LesionType, bool, set[LesionType]]]:
    """Type before, type voted, kept, and the types of the reference lesions touched."""
    lesions = case.high if high else case.low
    return [
        (p.label, voted_type(p), stays(p, case.rules), {lesions.reference[i].label for i in touched})
        for p, touched in zip(lesions.predicted, lesions.touched, strict=True)
        if touched
    ]


def _change(before: bool, after: bool, kept: bool) -> VoteEffect:
    if not kept:
        return VoteEffect.REMOVED_CORRECT if before else VoteEffect.REMOVED_WRONG
    if before:
        return VoteEffect.CORRECT_CORRECT if after else VoteEffect.CORRECT_WRONG
    return VoteEffect.WRONG_CORRECT if after else VoteEffect.WRONG_WRONG
