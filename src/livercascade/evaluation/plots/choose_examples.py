"""Which cases and lesions the figures show: by rule, never by hand.

* Sensitivity (Fig. 3, 7): the case in which High finds most true lesions that Base misses; then most new proposals.
* Patches (Fig. 4, 5, 8, 9, 12): over all cases, the judged proposal of High of at most `LARGEST_ML` that touches a true
  lesion, stays, and is largest; without one that stays, the largest that was removed.
* Removed (Fig. 13): the two largest proposals of High that touch no true lesion and were removed, of two cases if
  there are two.
* Relabelled (Fig. 14, 15): the proposal of High with a wrong type of which the true type won the vote by the largest
  share.

Ties go to the first case by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from livercascade.data.labels import LesionType
from livercascade.evaluation.cohort.evaluated_case import CasePrediction, EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.matching.matched_lesions import LesionSummary
from livercascade.reclassification.candidate import CandidateStatus

LARGEST_ML = 16.0
"""Volume in ml up to which a proposal may be shown in a patch: room is left round it."""
_OFFERED = 2


@dataclass(frozen=True, slots=True)
class ProposalExample:
    """One proposal of one case.

    Attributes:
        case: Position of the case.
        lesion: The proposal, as the prediction of High holds it.
        true_types: Types of the reference lesions that it touches.
    """

    case: int
    lesion: LesionSummary
    true_types: frozenset[LesionType]


def largest_change(
    cases: Sequence[EvaluatedCase], base: EvaluatedModel, high: EvaluatedModel
) -> tuple[int, str] | None:
    """Position of the case in which High differs most from Base, and why it is shown; None without any proposal."""
    changes: list[tuple[int, int, int]] = []
    for number, case in enumerate(cases):
        one, two = case.predictions[base], case.predictions[high]
        if two.lesions:
            changes.append((len(_touched(two) - _touched(one)), len(two.lesions) - len(one.lesions), -number))
    if not changes:
        return None
    gained, proposals, number = max(changes)
    if gained:
        return -number, f"High touches {gained} true lesions that Base misses, more than in any other case."
    return -number, f"No case gains a true lesion; here High has most new proposals ({proposals} more than Base)."


def patch_example(cases: Sequence[EvaluatedCase], high: EvaluatedModel) -> ProposalExample | None:
    """The proposal that patches are shown of."""
    fit = [p for p in _picks(cases, high) if p.true_types and p.lesion.score is not None]
    # Without a small one a large one is better than no figure.
    fit = [p for p in fit if p.lesion.volume_ml <= LARGEST_ML] or fit
    return _largest(fit, lambda p: (p.lesion.status is not CandidateStatus.REMOVED, p.lesion.volume_ml))


def removed_examples(cases: Sequence[EvaluatedCase], high: EvaluatedModel) -> tuple[ProposalExample, ...]:
    """Up to two false positives that reclassification removed."""
    false = [p for p in _picks(cases, high) if not p.true_types and p.lesion.status is CandidateStatus.REMOVED]
    ranked = sorted(false, key=lambda p: (-p.lesion.volume_ml, p.case))
    chosen = ranked[:1]
    # Two of one patient may be one artefact seen twice.
    chosen += [p for p in ranked[1:] if p.case != chosen[0].case][:1]
    return tuple(chosen + [p for p in ranked if p not in chosen][: _OFFERED - len(chosen)])


def relabelled_example(cases: Sequence[EvaluatedCase], high: EvaluatedModel) -> ProposalExample | None:
    """A false label that the vote of UNet^patch corrects, whether or not the cascade took it over."""
    fit = [
        p
        for p in _picks(cases, high)
        if p.true_types and p.lesion.label not in p.true_types and _winner(p.lesion.votes) in p.true_types
    ]
    return _largest(fit, lambda p: (p.lesion.status is not CandidateStatus.REMOVED, max(p.lesion.votes.values())))


def _picks(cases: Sequence[EvaluatedCase], high: EvaluatedModel) -> list[ProposalExample]:
    out: list[ProposalExample] = []
    for k, case in enumerate(cases):
        matched = case.predictions[high].matched
        for lesion, touched in zip(matched.predicted, matched.touched, strict=True):
            types = frozenset(matched.reference[i].label for i in touched)
            out.append(ProposalExample(k, lesion, types))
    return out


def _touched(prediction: CasePrediction) -> set[int]:
    return {p.truth for p in prediction.matched.pairs}


def _winner(votes: Mapping[LesionType, float]) -> LesionType | None:
    # Ties go to the type of higher priority, as in the cascade's own vote.
    return max(votes, key=lambda t: (votes[t], -t.priority)) if votes else None


def _largest(
    picks: Sequence[ProposalExample], rank: Callable[[ProposalExample], tuple[bool, float]]
) -> ProposalExample | None:
    return max(picks, key=lambda p: (*rank(p), -p.case), default=None)
