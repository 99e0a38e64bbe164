"""The f sweep from made-up evidence, against `match` on the lesions themselves, and the comparison at equal misses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curve_cases import SETTINGS, case, draws, proposal, truth
from livercascade.data.labels import LesionType
from livercascade.detect.match import Agreement, Counting, compare, match
from livercascade.detect.seg2det import seg2det
from livercascade.evaluation.cohort.evaluated_case import CasePrediction, EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, evidence_case
from livercascade.evaluation.curves.recall_by_volume import volume_strata
from livercascade.evaluation.curves.score_roc import score_roc
from livercascade.evaluation.curves.sensitivity_agreement import agreement_yield
from livercascade.evaluation.curves.sensitivity_sweep import Arm, sweep, sweep_table
from livercascade.evaluation.curves.vote_effects import VoteEffect, transition
from livercascade.evaluation.evaluation_settings import EvaluationSettings, SmallLesions
from livercascade.evaluation.matching.matched_lesions import ReferenceLesions
from livercascade.evaluation.metrics.model_counts import counts_of_model
from livercascade.reclassification.reclassify import ReclassifySettings, ScoreMode
from livercascade.results.evidence import Evidence
from livercascade.testing.example_results import (
    CONFIRMED,
    EVIDENCE_FACTORS,
    EVIDENCE_GRID,
    example_evidence,
    two_lesion_map,
)
from livercascade.testing.phantoms import cone


def true_map(spheres: list[tuple[tuple[float, float, float], float, int]]) -> np.ndarray:
    labels = np.zeros(EVIDENCE_GRID.shape, dtype=np.uint8)
    for centre, radius, label in spheres:
        labels[cone(centre, radius, EVIDENCE_GRID) > 0] = label
    return labels


def made(
    evidence: Evidence, labels: np.ndarray, chosen: EvaluationSettings = SETTINGS
) -> tuple[EvidenceCase, ReferenceLesions]:
    lesions = seg2det(labels, EVIDENCE_GRID, min_volume_ml=chosen.smallest_ml, per_label=True)
    held = ReferenceLesions(lesions, None, chosen)
    return evidence_case(held, evidence), held


@settings(max_examples=8)
@given(
    spheres=st.lists(
        st.tuples(
            st.tuples(st.floats(10, 60), st.floats(25, 95), st.floats(25, 110)), st.floats(5, 14), st.integers(1, 6)
        ),
        max_size=4,
    )
)
def test_counts_are_those_of_match_at_every_factor(
    spheres: list[tuple[tuple[float, float, float], float, int]],
) -> None:
    evidence = example_evidence(two_lesion_map(), CONFIRMED)
    one, held = made(evidence, true_map(spheres))
    for arm in (Arm.WHOLE, Arm.RECLASSIFIED):
        table = sweep_table([one], EVIDENCE_FACTORS, arm)
        for k, factor in enumerate(EVIDENCE_FACTORS):
            judged = evidence.reclassified(factor)
            literal = match(held.lesions, judged.proposals if arm is Arm.WHOLE else judged.lesions)
            expected = [sum(part.values()) for part in (literal.tp, literal.fl, literal.fn, literal.fp)]
            assert table[0, k].tolist() == expected


@pytest.mark.parametrize("small", SmallLesions)
def test_counts_are_those_of_the_tables(small: SmallLesions) -> None:
    chosen = EvaluationSettings(small=small)
    evidence = example_evidence(two_lesion_map(), CONFIRMED)
    # The second proposal touches a lesion below the volume limit alone.
    one, held = made(evidence, true_map([((30.0, 50.0, 60.0), 9.0, 1), ((40.0, 70.0, 100.0), 4.0, 3)]), chosen)
    prediction = CasePrediction.of(held.match(evidence.proposals(4.0)), chosen)
    high = EvaluatedModel("High")
    whole = EvaluatedCase("x", held.summaries, prediction.patient_class, {high: prediction})
    table = counts_of_model([whole], high, chosen).confusion[Counting.PAPER][0]
    tp, fl, fn, fp = sweep_table([one], [4.0], Arm.WHOLE)[0, 0]
    typed = table[:6, :6]
    assert (tp, fl) == (np.trace(typed), typed.sum() - np.trace(typed))
    assert (fn, fp) == (table[:6, 6].sum(), table[6, :6].sum())
    assert fp == (0 if small is SmallLesions.IGNORE else 1)


def test_onset_is_the_least_factor_that_makes_half_a_millilitre() -> None:
    evidence = example_evidence(two_lesion_map(), CONFIRMED)
    one, _ = made(evidence, true_map([]))
    for lesion, told in zip(evidence.proposals(4.0), one.proposals[4.0].predicted, strict=True):

        def volume(
            factor: float, at: tuple[slice, slice, slice] = lesion.bbox, mask: np.ndarray = lesion.mask
        ) -> float:
            return float((evidence.typed_map(factor)[at][mask] > 0).sum()) * EVIDENCE_GRID.voxel_ml

        assert volume(told.onset * 1.0001) >= 0.5 > volume(told.onset * 0.9999)
        assert 0 < told.confidence < 1


def test_agreement_is_that_of_compare() -> None:
    evidence = example_evidence(two_lesion_map(), {1: (0.9, {1: 1.0}), 3: (0.9, {2: 1.0})})
    one, held = made(evidence, true_map([((30.0, 50.0, 60.0), 9.0, 1)]))
    low, high = (evidence.reclassified(f).lesions for f in (1.0, 4.0))
    of_low, of_high = compare(low, high)
    same = high.where([a is Agreement.SAME for a in of_high])
    told = agreement_yield([one], draws(1))
    assert told.same.findings == len(same)
    assert told.diff.findings == sum(a is not Agreement.SAME for a in (*of_low, *of_high))
    touching = {p.found for p in match(held.lesions, same).pairs}
    assert told.same.true == len(touching) == 1
    assert (told.same.ppv.value, told.diff.ppv.value) == (1.0, 0.0)


def test_equal_misses_are_compared_on_the_line_between_factors() -> None:
    hit = [(0, 0)]
    easy = proposal(probability=0.9, share=0.9)
    cases = [
        case([truth()], [easy, proposal(share=0.0)], hit, low=[easy], low_pairs=((0, 0),)),
        case([truth()], [easy, proposal(share=0.0)], hit),
    ]
    told = sweep(cases, draws(2))
    assert [(p.fn, p.fp) for p in told.arms[Arm.WHOLE]] == [(1, 0), (0, 2)]
    assert [(p.fn, p.fp) for p in told.arms[Arm.RECLASSIFIED]] == [(1, 0), (0, 0)]
    assert [(m.fn, m.fp, m.fp_whole) for m in told.matched] == [(1, 0, 0.0), (0, 0, 2.0)]
    assert told.matched[1].difference.value == -2.0


def test_misses_that_no_factor_reaches_have_no_partner() -> None:
    lost = proposal(probability=0.9, share=0.0)
    told = sweep([case([truth()], [lost], [(0, 0)], low=[lost], low_pairs=((0, 0),))], draws(1))
    assert [(m.fn, m.fp_whole, m.difference.value) for m in told.matched] == [(1, None, None)] * 2


def test_score_roc_marks_the_threshold() -> None:
    found = [
        proposal(volume_ml=2.0, share=0.9), proposal(volume_ml=2.0, share=0.2),
        proposal(volume_ml=2.0, share=0.3), proposal(volume_ml=100.0, share=None),
    ]  # fmt: skip
    cases = [case([truth(), truth()], found, [(0, 0), (1, 1)])]
    told = score_roc(cases, ScoreMode.VOLUME, draws(1))
    # Scores in ml are 1.8 and 0.4 (true) and 0.6 (false): one of two pairs is in order.
    assert (told.area.value, told.true_at.value, told.false_at.value) == (0.5, 0.5, 1.0)
    assert (told.true, told.false, told.bypassed, told.threshold) == (2, 1, 1, 0.5)
    ratio = score_roc(cases, ScoreMode.RATIO, draws(1))
    assert (ratio.true_at.value, ratio.false_at.value, ratio.threshold) == (0.5, 0.0, 0.5)
    assert told.true_kept[0] == told.false_kept[0] == 0.0
    assert told.true_kept[-1] == told.false_kept[-1] == 1.0


def test_volume_score_loses_small_lesions_that_the_others_keep() -> None:
    small, big = proposal(volume_ml=0.7, share=0.6), proposal(volume_ml=10.0, share=0.6)
    one = case([truth(volume_ml=0.7), truth(volume_ml=10.0)], [small, big, proposal(share=0.2)], [(0, 0), (1, 1)])
    told = {r.name: r for r in volume_strata([one], draws(1)).as_set}
    recall = {name: [e.value for e in row.recall if e.value is not None] for name, row in told.items()}
    assert recall == {"without ReCls": [1.0, 1.0], "volume": [0.0, 1.0], "ratio": [1.0, 1.0], "adaptive": [1.0, 1.0]}
    assert [told[n].fp.value for n in recall] == [1.0, 0.0, 0.0, 0.0]


def test_at_equal_false_positives_no_score_has_more() -> None:
    rng = np.random.default_rng(3)
    cases = [
        case(
            [truth(volume_ml=float(v)) for v in rng.uniform(0.6, 20, 3)],
            [proposal(volume_ml=float(v), share=float(s)) for v, s in rng.uniform((0.6, 0.0), (9.0, 1.0), (6, 2))],
            [(0, 0), (1, 1), (2, 2)],
        )
        for _ in range(10)
    ]
    told = volume_strata(cases, draws(10))
    allowed = next(r.fp.value for r in told.as_set if r.name == "volume")
    for row in told.at_equal_fp:
        assert row.fp.value <= allowed
    assert told.at_equal_fp[0].total.value >= told.as_set[1].total.value


def test_transitions_count_both_ways() -> None:
    hcc, meta = LesionType.HCC, LesionType.META
    found = [
        proposal(before, share=share, votes=vote)
        for before, vote, share in [
            (hcc, hcc, 0.9), (hcc, meta, 0.9), (meta, hcc, 0.9), (meta, meta, 0.9), (hcc, meta, 0.1), (meta, hcc, 0.9),
        ]
    ]  # fmt: skip
    told = transition([case([truth(hcc)] * 5, found, [(i, i) for i in range(5)])], draws(1))
    assert [told.changes[c].value for c in VoteEffect] == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    assert told.gain.value == 0.0
    assert np.array(told.types).sum() == 4
    assert told.types[hcc - 1][meta - 1] == told.types[meta - 1][hcc - 1] == 1


def test_original_patches_alone_can_decide_otherwise() -> None:
    tallied = proposal(share=0.9)
    assert tallied.tally is not None
    tallied.tally.votes[1] = 0
    one = case([truth()], [tallied], [(0, 0)], rules=ReclassifySettings(threshold_ml=1.0, n_original=1, n_shuffled=1))
    told = sweep([one], draws(1))
    assert [told.arms[arm][-1].fn for arm in Arm] == [0, 1, 0]
