"""Laws of the counts: every lesion once, rows that sum, modes that differ only as they must."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.grid import Grid
from livercascade.detect.match import Counting, match
from livercascade.detect.seg2det import seg2det
from livercascade.diagnose.patient import classify_patient
from livercascade.evaluation.cohort.evaluated_case import CasePrediction, EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.evaluation_settings import EvaluationSettings, SmallLesions
from livercascade.evaluation.matching.matched_lesions import ReferenceLesions
from livercascade.evaluation.metrics.lesion_metrics import ROWS, LesionMetrics, Proportion
from livercascade.evaluation.metrics.model_counts import ModelCounts, counts_of_model, lesions_by_volume

LAWS = settings(max_examples=15)
GRID = Grid.axial((3, 9, 9), (5.0, 5.0, 5.0))
MODEL = EvaluatedModel("m")
DROP, IGNORE = (EvaluationSettings(small=small) for small in (SmallLesions.DROP, SmallLesions.IGNORE))


def random_map(rng: np.random.Generator) -> np.ndarray:
    labels = rng.integers(1, 7, GRID.shape).astype(np.uint8)
    labels[rng.random(GRID.shape) > 0.3] = 0
    # Runs of equal labels, so that lesions on both sides of the volume limit occur.
    return np.maximum(labels, np.roll(labels, 1, axis=2))


def case_of(truth: np.ndarray, found: np.ndarray, rules: EvaluationSettings, name: str = "x") -> EvaluatedCase:
    true, made = (seg2det(m, GRID, min_volume_ml=rules.smallest_ml, per_label=True) for m in (truth, found))
    reference = ReferenceLesions(true, None, rules)
    counted = [x for x in reference.summaries if rules.counts(x.volume_ml)]
    prediction = CasePrediction.of(reference.match(made), rules)
    return EvaluatedCase(name, reference.summaries, classify_patient(counted), {MODEL: prediction})


def counts_of(case: EvaluatedCase, rules: EvaluationSettings) -> ModelCounts:
    return counts_of_model([case], MODEL, rules)


def random_case(seed: int, rules: EvaluationSettings = DROP) -> EvaluatedCase:
    rng = np.random.default_rng(seed)
    return case_of(random_map(rng), random_map(rng), rules, f"case{seed}")


@LAWS
@given(st.integers(0, 10**6))
def test_every_lesion_is_counted_exactly_once(seed: int) -> None:
    case = random_case(seed)
    lesions = case.predictions[MODEL].lesions
    counts = counts_of(case, DROP)
    true, found = len(case.reference), len(lesions)
    by_true = np.bincount([x.label - 1 for x in case.reference], minlength=6)
    by_found = np.bincount([x.label - 1 for x in lesions], minlength=6)
    gt, one, paper = (counts.confusion[m][0] for m in (Counting.GT, Counting.ONE2ONE, Counting.PAPER))
    assert (gt[:6].sum(axis=1) == by_true).all() and (one[:6].sum(axis=1) == by_true).all()
    assert (one[:, :6].sum(axis=0) == by_found).all() and (paper[:, :6].sum(axis=0) == by_found).all()
    assert gt[:6].sum() == true and paper[:, :6].sum() == found
    assert counts.reference_by_volume.sum() == true
    assert counts.false_by_volume.sum() == paper[6].sum() == gt[6].sum() <= one[6].sum()
    assert (paper[:6, 6] == gt[:6, 6]).all() and (gt[:6, 6] <= one[:6, 6]).all()
    assert all(table[0, 6, 6] == 0 for table in counts.confusion.values())


@LAWS
@given(st.integers(0, 10**6), st.sampled_from(Counting))
def test_same_as_matching_the_voxels(seed: int, mode: Counting) -> None:
    rng = np.random.default_rng(seed)
    truth, found = random_map(rng), random_map(rng)
    case = case_of(truth, found, DROP)
    direct = match(*(seg2det(m, GRID, per_label=True) for m in (truth, found)), counting=mode)
    assert (counts_of(case, DROP).confusion[mode][0] == direct.confusion).all()


@LAWS
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_a_higher_overlap_never_finds_more(seed: int, overlap: float) -> None:
    case = random_case(seed)
    strict = EvaluationSettings(min_overlap=overlap)
    loose, hard = (counts_of(case, s).confusion[Counting.GT][0] for s in (DROP, strict))
    assert hard[:6, :6].sum() <= loose[:6, :6].sum()


@LAWS
@given(st.integers(0, 10**6))
def test_ignoring_small_lesions_never_makes_errors(seed: int) -> None:
    """A lesion that is wrong or missed when small ones are ignored is so when they are dropped."""
    rng = np.random.default_rng(seed)
    truth, found = random_map(rng), random_map(rng)
    dropped, ignored = (
        {mode: table[0] for mode, table in counts_of(c, rules).confusion.items()}
        for c, rules in ((case_of(truth, found, rules), rules) for rules in (DROP, IGNORE))
    )
    for mode in Counting:
        assert (ignored[mode][:6, 6] <= dropped[mode][:6, 6]).all()
        assert (ignored[mode][6] <= dropped[mode][6]).all()
        assert (ignored[mode][:6, :6] == dropped[mode][:6, :6]).all()


@LAWS
@given(st.integers(0, 10**6))
def test_truth_against_itself_is_perfect(seed: int) -> None:
    labels = random_map(np.random.default_rng(seed))
    case = case_of(labels, labels, DROP)
    made = counts_of(case, DROP)
    assert case.predictions[MODEL].patient_class is case.reference_class
    for (table,) in made.confusion.values():
        figures = LesionMetrics.of(table)
        for proportion in Proportion:
            shares = figures.share(proportion)
            assert np.all(np.isnan(shares) | (shares == 1))
        assert (table == np.diag([*np.diagonal(table)[:6], 0])).all()
    assert made.splits == made.merges == 0


@LAWS
@given(st.lists(st.integers(0, 10**4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_order_of_cases_changes_nothing(seeds: list[int], shuffler) -> None:
    cases = [random_case(seed) for seed in seeds]
    mixed = cases.copy()
    shuffler.shuffle(mixed)
    one, two = (counts_of_model(c, MODEL, DROP) for c in (cases, mixed))
    for mode in Counting:
        assert (one.confusion[mode].sum(axis=0) == two.confusion[mode].sum(axis=0)).all()
    assert (one.patients.sum(axis=0) == two.patients.sum(axis=0)).all()
    assert (lesions_by_volume(cases, DROP) == lesions_by_volume(mixed, DROP)).all()


@LAWS
@given(st.integers(0, 10**6))
def test_rows_all_and_malign_sum_as_they_must(seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 9, (7, 7))
    table[6, 6] = 0
    f = LesionMetrics.of(table)
    every, malign = ROWS.index("All"), ROWS.index("Malign")
    for counts in (f.tp, f.fl, f.fl_pred, f.fn, f.fp):
        assert counts[every] == counts[:6].sum()
    assert f.fl[every] == f.fl_pred[every]
    assert f.tp[malign] + f.fl[malign] + f.fn[malign] == table[:3].sum()
    assert f.tp[malign] + f.fl_pred[malign] + f.fp[malign] == table[:, :3].sum()
    assert f.tp[malign] >= f.tp[:3].sum() and f.fl[malign] <= f.fl[:3].sum()
    assert f.share(Proportion.RECALL_ROUGH)[every] >= f.share(Proportion.RECALL)[every]
    p, r = f.share(Proportion.PRECISION_CORRECTED), f.share(Proportion.RECALL)
    assert np.allclose(f.f1, 2 * p * r / np.where(p + r > 0, p + r, 1))


def test_batches_are_figures_of_each_table() -> None:
    tables = np.random.default_rng(0).integers(0, 9, (5, 7, 7))
    whole = LesionMetrics.of(tables)
    for k, table in enumerate(tables):
        one = LesionMetrics.of(table)
        for proportion in Proportion:
            assert whole.share(proportion)[k] == pytest.approx(one.share(proportion), nan_ok=True)
