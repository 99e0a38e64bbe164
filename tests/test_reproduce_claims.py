"""Claims as data, what is measured for them, and when they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curve_cases import draws
from livercascade.data.labels import PatientClass
from livercascade.detect.match import Counting
from livercascade.evaluation.matching.volume_bins import BIN_NAMES
from livercascade.evaluation.metrics.model_counts import CLASSES, ModelCounts
from livercascade.reclassification.reclassify import ScoreMode
from livercascade.reproduce.claim_metrics import PatientResults, judge_claims, measure
from livercascade.reproduce.claim_results import LEAST_COUNTED, Statement, combined, statement_of
from livercascade.reproduce.claims import ClaimMetric, ClaimPart, Contrast, Relation, read_claims
from livercascade.reproduce.experiment import FindingGroup, ModelKey, PaperModel, PaperSetting
from livercascade.reproduce.reproduction_page import in_unit, measured, wanted

BEFORE = ModelKey(PaperSetting.DIAGNOSIS, PaperModel.BASE)
AFTER = ModelKey(PaperSetting.DIAGNOSIS, PaperModel.BASE_RECLS)
INTERVALS = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(lambda ends: (min(ends), max(ends)))


def answers(key: ModelKey, fn: list[int], fp: list[int], hits: list[int]) -> ModelCounts:
    """HCC alone: misses, false positives and right findings of each patient; every second patient is malignant."""
    n = len(fn)
    confusion = np.zeros((n, 7, 7), dtype=np.int64)
    confusion[:, 0, 6], confusion[:, 6, 0], confusion[:, 0, 0] = fn, fp, hits
    patients = np.zeros((n, 7, 8), dtype=np.int64)
    normal = CLASSES.index(PatientClass.NORMAL)
    for k in range(n):
        patients[k, 0 if k % 2 == 0 else normal, 0 if hits[k] + fp[k] else normal] = 1
    return ModelCounts(
        key.evaluated,
        np.ones(n, dtype=np.bool_),
        dict.fromkeys(Counting, confusion),
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
        np.zeros((n, 6, len(BIN_NAMES), 3), dtype=np.int64),
        np.zeros((n, 6, len(BIN_NAMES)), dtype=np.int64),
        patients,
        np.zeros(n),
    )


NOTHING_RUN = PatientResults({}, {}, draws(3))


def results_of(*models: ModelCounts) -> PatientResults:
    predictions = {ModelKey.parse(str(m.model)): m for m in models}
    return PatientResults(predictions, {}, draws(len(models[0].decided), 400))


def part(metric: ClaimMetric, contrast: Contrast, relation: Relation, threshold: float) -> ClaimPart:
    one = None if contrast is Contrast.VALUE else BEFORE
    return ClaimPart(metric=metric, contrast=contrast, one=one, two=AFTER, relation=relation, threshold=threshold)


def test_claims_are_many_and_each_has_its_own_name() -> None:
    claims = read_claims()
    assert len({c.id for c in claims}) == len(claims) >= 20


@given(setting=st.sampled_from(PaperSetting), variant=st.sampled_from([*PaperModel, *ScoreMode, *FindingGroup]))
def test_a_key_is_read_as_it_was_written(setting: PaperSetting, variant: PaperModel | ScoreMode | FindingGroup) -> None:
    key = ModelKey(setting, variant)
    assert ModelKey.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "diagnosis", "diagnosis/", "Base", "diagnosis/base", "elsewhere/Base"])
def test_an_unknown_model_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no model"):
        ModelKey.parse(text)


@pytest.mark.parametrize(
    "change", [{"two": "diagnosis/volume"}, {"one": "diagnosis/same"}, {"one": ""}, {"row": "HHC"}, {"two": ""}]
)
def test_a_part_that_cannot_be_measured_is_refused(change: dict[str, str]) -> None:
    good = {"figure": "recall", "compared": "difference", "one": "diagnosis/Base", "two": "screening/Base"}
    rest = {"relation": "above", "threshold": 0.0}
    assert ClaimPart.model_validate(good | rest)
    with pytest.raises(ValidationError):
        ClaimPart.model_validate(good | rest | change)


@given(interval=INTERVALS, threshold=st.floats(-1, 1), counted=st.integers(0, 40))
def test_a_claim_and_its_opposite_never_agree(interval: tuple[float, float], threshold: float, counted: int) -> None:
    opposite = {Relation.AT_LEAST: Relation.BELOW, Relation.ABOVE: Relation.AT_MOST}
    turned = {Statement.HOLDS: Statement.FAILS, Statement.FAILS: Statement.HOLDS}
    for one, other in opposite.items():
        first = statement_of(one, threshold, interval, counted)[0]
        second = statement_of(other, threshold, interval, counted)[0]
        assert second is turned.get(first, Statement.UNDECIDED)
        if counted < LEAST_COUNTED:
            assert first is Statement.UNDECIDED
        if interval[0] < threshold < interval[1]:
            assert first is Statement.UNDECIDED


@given(parts=st.lists(st.sampled_from(Statement), min_size=1, max_size=4))
def test_a_claim_is_worth_its_weakest_part(parts: list[Statement]) -> None:
    made = combined(parts)
    assert (made is Statement.HOLDS) is (set(parts) == {Statement.HOLDS})
    assert (made is Statement.FAILS) is (Statement.FAILS in parts)


def test_reduction_is_the_share_that_is_gone() -> None:
    before = answers(BEFORE, [0] * 40, [2, 1] * 20, [1] * 40)
    after = answers(AFTER, [0] * 40, [1, 0] * 20, [1] * 40)
    made = measure(part(ClaimMetric.FP, Contrast.REDUCTION, Relation.AT_LEAST, 0.5), results_of(before, after))
    assert made.value == pytest.approx(1 - 20 / 60)
    assert made.counts == "60 → 20"
    # Each pair of patients loses one of three or one of one: resamples lie between.
    assert made.interval is not None and 0.5 < made.interval[0] < made.value < made.interval[1] <= 1


def test_differences_are_of_pairs() -> None:
    # The same miss in the same patients: however the patients are drawn, nothing differs.
    rng = np.random.default_rng(0)
    fn = rng.integers(0, 4, 60).tolist()
    one, two = answers(BEFORE, fn, [0] * 60, [1] * 60), answers(AFTER, fn, [0] * 60, [1] * 60)
    made = measure(part(ClaimMetric.RECALL, Contrast.DIFFERENCE, Relation.ABOVE, 0.0), results_of(one, two))
    assert made.value == 0
    # Nothing that differs is not proof of nothing: the interval keeps the width of none of so many.
    assert made.interval is not None and made.interval[0] < 0 < made.interval[1]
    assert made.interval[1] < 0.05


def test_all_gone_is_not_certainty() -> None:
    before, after = answers(BEFORE, [0] * 40, [1] * 40, [1] * 40), answers(AFTER, [0] * 40, [0] * 40, [1] * 40)
    made = measure(part(ClaimMetric.FP, Contrast.REDUCTION, Relation.AT_LEAST, 0.5), results_of(before, after))
    assert made.value == 1 and made.interval is not None
    assert 0.85 < made.interval[0] < 1 == made.interval[1]


def test_sensitivity_and_specificity_of_patients() -> None:
    found = [1, 0] * 30
    found[0] = found[2] = 0
    model = answers(AFTER, [0] * 60, [0] * 57 + [1] + [0] * 2, found)
    results = results_of(model)
    sensitivity = measure(part(ClaimMetric.SENSITIVITY, Contrast.VALUE, Relation.AT_LEAST, 0.9), results)
    specificity = measure(part(ClaimMetric.SPECIFICITY, Contrast.VALUE, Relation.AT_LEAST, 0.9), results)
    assert (sensitivity.counts, specificity.counts) == ("28/30", "29/30")
    assert (sensitivity.method, specificity.method) == ("Wilson", "Wilson")


def test_what_was_not_run_is_undecided() -> None:
    told = judge_claims(read_claims(), NOTHING_RUN)
    assert {each.statement for each in told} == {Statement.UNDECIDED}
    assert all(p.why for each in told for p in each.parts)


@pytest.mark.parametrize(
    ("metric", "contrast", "value", "text"),
    [
        (ClaimMetric.FP, Contrast.REDUCTION, 0.64, "64 %"),
        (ClaimMetric.RECALL, Contrast.DIFFERENCE, -0.018, "−1.8 points"),
        (ClaimMetric.RECALL, Contrast.DIFFERENCE, 0.018, "+1.8 points"),
        (ClaimMetric.FN, Contrast.DIFFERENCE, -0.25, "−0.25 a case"),
        (ClaimMetric.SENSITIVITY, Contrast.VALUE, 0.992, "99.2 %"),
    ],
)
def test_units(metric: ClaimMetric, contrast: Contrast, value: float, text: str) -> None:
    made = part(metric, contrast, Relation.AT_LEAST, 0.5)
    assert in_unit(made, value) == text
    told = judge_claims(read_claims()[:1], NOTHING_RUN)[0].parts[0]
    assert measured(told) == "–"
    shown = measured(told.model_copy(update={"part": made, "value": value, "interval": (value, value)}))
    assert shown.startswith(f"{text} [")
    assert wanted(made).startswith("at least")
