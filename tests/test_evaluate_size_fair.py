"""Small lesions at equal false positives: against the definition, counted by hand over every threshold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from curve_cases import COHORTS, case, cohort_of, draws, proposal, truth
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, excess
from livercascade.evaluation.curves.small_lesions import size_fair
from livercascade.reclassification.reclassify import ScoreMode


def by_hand(cases: list[EvidenceCase], mode: ScoreMode, over: float) -> tuple[int, int]:
    """Small lesions found and false positives among the proposals whose score is at least ``over`` thresholds."""
    found = false = 0
    for each in cases:
        side = each.high
        values = [excess(p, each.rules.model_copy(update={"score": mode})) for p in side.predicted]
        kept = [v is None or v >= over for v in values]
        found += sum(
            0.5 <= lesion.volume_ml < 2 and any(kept[p.found] for p in side.pairs if p.truth == i)
            for i, lesion in enumerate(side.reference)
        )
        false += sum(k and j not in {p.found for p in side.pairs} for j, k in enumerate(kept))
    return found, false


def thresholds(cases: list[EvidenceCase], mode: ScoreMode) -> list[float]:
    values = [
        excess(p, c.rules.model_copy(update={"score": mode}))
        for c in cases
        for p in c.proposals[c.high_factor].predicted
    ]
    return [np.inf, *(v for v in values if v is not None)]


@given(numbers=COHORTS)
@settings(max_examples=60)
def test_recall_at_equal_false_positives_is_the_best_that_some_threshold_gives(numbers: list) -> None:
    cases = cohort_of(numbers)
    told = size_fair(cases, draws(len(cases), 0))
    _, allowed = by_hand(cases, ScoreMode.VOLUME, 1.0)
    small = sum(0.5 <= t.volume_ml < 2 for c in cases for t in c.high.reference)
    assert told.lesions == small
    assert told.fp_per_case.value == allowed / len(cases)
    for mode in ScoreMode:
        counts = [by_hand(cases, mode, over) for over in thresholds(cases, mode)]
        best = max((found for found, false in counts if false <= allowed), default=0)
        value = told.recall[mode].value
        assert value is None if small == 0 else np.isclose(value, best / small)
    if small:
        assert told.recall[ScoreMode.VOLUME].value >= told.as_set[ScoreMode.VOLUME][0].value
        assert told.gain[ScoreMode.VOLUME].value == 0


def test_half_confirmed_small_lesions_come_back_under_the_adaptive_score() -> None:
    # 0.6 of 0.8 ml are confirmed: 0.48 ml miss the paper's 0.5 ml, as the 0.49 ml of a large false one do, and pass
    # half of the lesion. No threshold in ml finds the one without the other.
    cases = [
        case(
            [truth(volume_ml=0.8)],
            [proposal(volume_ml=0.8, share=0.6), proposal(volume_ml=6.0, share=0.0817)],
            [(0, 0)],
        )
        for _ in range(12)
    ]
    told = size_fair(cases, draws(len(cases), 50))
    assert told.as_set[ScoreMode.VOLUME][0].value == 0
    assert told.as_set[ScoreMode.ADAPTIVE][0].value == 1
    assert told.recall[ScoreMode.ADAPTIVE].value == 1
    assert told.recall[ScoreMode.VOLUME].value == 0
    assert told.gain[ScoreMode.ADAPTIVE].value == 1
    assert told.gain[ScoreMode.ADAPTIVE].interval == (1.0, 1.0)
