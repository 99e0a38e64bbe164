"""Claims as data, what is measured for them, and when they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curve_cases import SETTINGS, draws
from livercascade.data.labels import PatientClass
from livercascade.detect.match import Counting
from livercascade.evaluation.cohort.model_keys import ModelName
from livercascade.evaluation.matching.model_counts import CLASSES, Answers
from livercascade.evaluation.matching.volume_bins import BINS
from livercascade.reproduce.ablation import ORDER
from livercascade.reproduce.claims import Compared, Figure, Part, Relation, read_claims
from livercascade.reproduce.judging import key_of
from livercascade.reproduce.measure import Ground, measure
from livercascade.reproduce.page import in_unit, measured, wanted
from livercascade.reproduce.settings import Setting
from livercascade.reproduce.verdict import LEAST, Statement, judge_claims, statement_of, together

OF_CURVES = {Figure.PPV, Figure.DIFF_ONLY_HIGH, Figure.VOTE_RIGHT, Figure.SMALL_RECALL}
KNOWN = {key_of(setting, title) for setting in Setting for title in ORDER}
INTERVALS = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(lambda ends: (min(ends), max(ends)))


def answers(key: str, fn: list[int], fp: list[int], hits: list[int]) -> Answers:
    """HCC alone: misses, false positives and right findings of each patient; every second patient is malignant."""
    n = len(fn)
    confusion = np.zeros((n, 7, 7), dtype=np.int64)
    confusion[:, 0, 6], confusion[:, 6, 0], confusion[:, 0, 0] = fn, fp, hits
    patients = np.zeros((n, 7, 8), dtype=np.int64)
    normal = CLASSES.index(PatientClass.NORMAL)
    for k in range(n):
        patients[k, 0 if k % 2 == 0 else normal, 0 if hits[k] + fp[k] else normal] = 1
    return Answers(
        ModelName(key, key, ""),
        np.ones(n, dtype=np.bool_),
        dict.fromkeys(Counting, confusion),
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
        np.zeros((n, 6, len(BINS), 3), dtype=np.int64),
        np.zeros((n, 6, len(BINS)), dtype=np.int64),
        patients,
        np.zeros(n),
    )


def ground(*models: Answers) -> Ground:
    return Ground({m.name.key: m for m in models}, {}, SETTINGS, draws(len(models[0].decided), 400))


def part(figure: Figure, compared: Compared, relation: Relation, threshold: float) -> Part:
    one = "" if compared is Compared.VALUE else "a"
    return Part(figure=figure, compared=compared, one=one, two="b", relation=relation, threshold=threshold)


def test_every_claim_names_models_that_are_run() -> None:
    claims = read_claims()
    assert len({c.id for c in claims}) == len(claims) >= 20
    for claim in claims:
        for each in claim.parts:
            if each.figure in OF_CURVES:
                assert each.two.partition("/")[0] in {s.value for s in Setting}
            else:
                assert {each.two, each.one or each.two} <= KNOWN


@given(interval=INTERVALS, threshold=st.floats(-1, 1), counted=st.integers(0, 40))
def test_a_claim_and_its_opposite_never_agree(interval: tuple[float, float], threshold: float, counted: int) -> None:
    opposite = {Relation.AT_LEAST: Relation.BELOW, Relation.ABOVE: Relation.AT_MOST}
    turned = {Statement.HOLDS: Statement.FAILS, Statement.FAILS: Statement.HOLDS}
    for one, other in opposite.items():
        first = statement_of(one, threshold, interval, counted)[0]
        second = statement_of(other, threshold, interval, counted)[0]
        assert second is turned.get(first, Statement.UNDECIDED)
        if counted < LEAST:
            assert first is Statement.UNDECIDED
        if interval[0] < threshold < interval[1]:
            assert first is Statement.UNDECIDED


@given(parts=st.lists(st.sampled_from(Statement), min_size=1, max_size=4))
def test_a_claim_is_worth_its_weakest_part(parts: list[Statement]) -> None:
    made = together(parts)
    assert (made is Statement.HOLDS) is (set(parts) == {Statement.HOLDS})
    assert (made is Statement.FAILS) is (Statement.FAILS in parts)


def test_reduction_is_the_share_that_is_gone() -> None:
    before = answers("a", [0] * 40, [2, 1] * 20, [1] * 40)
    after = answers("b", [0] * 40, [1, 0] * 20, [1] * 40)
    made = measure(part(Figure.FP, Compared.REDUCTION, Relation.AT_LEAST, 0.5), ground(before, after))
    assert made is not None and made.value == pytest.approx(1 - 20 / 60)
    assert made.counts == "60 → 20"
    # Each pair of patients loses one of three or one of one: resamples lie between.
    assert made.interval is not None and 0.5 < made.interval[0] < made.value < made.interval[1] <= 1


def test_differences_are_of_pairs() -> None:
    # The same miss in the same patients: however the patients are drawn, nothing differs.
    rng = np.random.default_rng(0)
    fn = rng.integers(0, 4, 60).tolist()
    one, two = answers("a", fn, [0] * 60, [1] * 60), answers("b", fn, [0] * 60, [1] * 60)
    made = measure(part(Figure.RECALL, Compared.DIFFERENCE, Relation.ABOVE, 0.0), ground(one, two))
    assert made is not None and made.value == 0
    # Nothing that differs is not proof of nothing: the interval keeps the width of none of so many.
    assert made.interval is not None and made.interval[0] < 0 < made.interval[1]
    assert made.interval[1] < 0.05


def test_all_gone_is_not_certainty() -> None:
    before, after = answers("a", [0] * 40, [1] * 40, [1] * 40), answers("b", [0] * 40, [0] * 40, [1] * 40)
    made = measure(part(Figure.FP, Compared.REDUCTION, Relation.AT_LEAST, 0.5), ground(before, after))
    assert made is not None and made.value == 1 and made.interval is not None
    assert 0.85 < made.interval[0] < 1 == made.interval[1]


def test_sensitivity_and_specificity_of_patients() -> None:
    found = [1, 0] * 30
    found[0] = found[2] = 0
    model = answers("b", [0] * 60, [0] * 57 + [1] + [0] * 2, found)
    told = ground(model)
    sensitivity = measure(part(Figure.SENSITIVITY, Compared.VALUE, Relation.AT_LEAST, 0.9), told)
    specificity = measure(part(Figure.SPECIFICITY, Compared.VALUE, Relation.AT_LEAST, 0.9), told)
    assert sensitivity is not None and specificity is not None
    assert (sensitivity.counts, specificity.counts) == ("28/30", "29/30")
    assert (sensitivity.method, specificity.method) == ("Wilson", "Wilson")


def test_what_was_not_run_is_undecided() -> None:
    told = judge_claims(read_claims(), Ground({}, {}, SETTINGS, draws(3)))
    assert {each.statement for each in told} == {Statement.UNDECIDED}
    assert all(p.why for each in told for p in each.parts)


@pytest.mark.parametrize(
    ("figure", "compared", "value", "text"),
    [
        (Figure.FP, Compared.REDUCTION, 0.64, "64 %"),
        (Figure.RECALL, Compared.DIFFERENCE, -0.018, "−1.8 points"),
        (Figure.RECALL, Compared.DIFFERENCE, 0.018, "+1.8 points"),
        (Figure.FN, Compared.DIFFERENCE, -0.25, "−0.25 a case"),
        (Figure.SENSITIVITY, Compared.VALUE, 0.992, "99.2 %"),
    ],
)
def test_units(figure: Figure, compared: Compared, value: float, text: str) -> None:
    made = part(figure, compared, Relation.AT_LEAST, 0.5)
    assert in_unit(made, value) == text
    told = judge_claims(read_claims()[:1], Ground({}, {}, SETTINGS, draws(3)))[0].parts[0]
    assert measured(told) == "–"
    shown = measured(told.model_copy(update={"part": made, "value": value, "interval": (value, value)}))
    assert shown.startswith(f"{text} [")
    assert wanted(made).startswith("at least")
