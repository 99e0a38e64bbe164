"""match: one verdict for every lesion, in every counting mode."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade import match, seg2det
from livercascade.data.labels import LesionType
from livercascade.detect.match import Agreement, Counting, Outcome, Overlap, compare

LAWS = settings(max_examples=60)
UNIT = (10.0, 10.0, 10.0)


def lesions(mask, **options):
    return seg2det(mask, UNIT, min_volume_ml=0.0, **options)


def random_sets(seed):
    rng = np.random.default_rng(seed)
    masks = rng.integers(1, 4, (2, 3, 9, 9)).astype(np.uint8)
    masks[rng.random(masks.shape) > 0.25] = 0
    return lesions(masks[0]), lesions(masks[1])


def voxel_sets(found):
    return [set(map(tuple, (np.argwhere(x.mask) + [s.start for s in x.bbox]).tolist())) for x in found]


def brute_pairs(truth, found):
    a, b = voxel_sets(truth), voxel_sets(found)
    return {(i, j): len(p & q) for i, p in enumerate(a) for j, q in enumerate(b) if p & q}


def totals(result):
    return {name: sum(getattr(result, name).values()) for name in ("tp", "fl", "fl_pred", "fp", "fn")}


@LAWS
@given(st.integers(0, 10**6), st.sampled_from(Counting))
def test_every_lesion_has_exactly_one_verdict(seed, counting):
    truth, found = random_sets(seed)
    result = match(truth, found, counting=counting)
    assert len(result.truth_outcomes) == len(truth) and len(result.found_outcomes) == len(found)
    assert set(result.truth_outcomes) <= {Outcome.TP, Outcome.FL, Outcome.FN}
    assert set(result.found_outcomes) <= {Outcome.TP, Outcome.FL, Outcome.FP}
    n = totals(result)
    assert n["fl"] == n["fl_pred"]
    assert n["tp"] + n["fl"] == len(result.counted)
    if counting is not Counting.GT:
        assert n["tp"] + n["fl"] + n["fp"] == len(found)
    if counting is not Counting.PAPER:
        assert n["tp"] + n["fl"] + n["fn"] == len(truth)
    assert result.confusion.sum() == len(result.counted) + n["fp"] + n["fn"]


@LAWS
@given(st.integers(0, 10**6))
def test_paper_and_gt_follow_the_written_rule(seed):
    truth, found = random_sets(seed)
    pairs = brute_pairs(truth, found)
    paper, gt = match(truth, found), match(truth, found, counting="gt")
    assert {(p.truth, p.found): p.voxels for p in paper.pairs} == pairs
    for j, lesion in enumerate(found):
        labels = [truth[i].label for i, k in pairs if k == j]
        want = Outcome.FP if not labels else Outcome.TP if lesion.label in labels else Outcome.FL
        assert paper.found_outcomes[j] is gt.found_outcomes[j] is want
    for i, lesion in enumerate(truth):
        labels = [found[j].label for k, j in pairs if k == i]
        want = Outcome.FN if not labels else Outcome.TP if lesion.label in labels else Outcome.FL
        assert paper.truth_outcomes[i] is gt.truth_outcomes[i] is want
    assert sum(paper.tp.values()) == paper.found_outcomes.count(Outcome.TP)
    assert sum(gt.tp.values()) == gt.truth_outcomes.count(Outcome.TP)


@LAWS
@given(st.integers(0, 10**6))
def test_false_labels_count_under_the_type_of_the_largest_overlap(seed):
    truth, found = random_sets(seed)
    pairs = brute_pairs(truth, found)
    result = match(truth, found)
    for pair in result.counted:
        if truth[pair.truth].label is not found[pair.found].label:
            assert pair.voxels == max(v for (_, j), v in pairs.items() if j == pair.found)


@LAWS
@given(st.integers(0, 10**6))
def test_one_to_one_takes_most_pairs_then_most_overlap(seed):
    truth, found = random_sets(seed)
    pairs = dict(list(brute_pairs(truth, found).items())[:9])
    kept_truth = truth.where([any(i == t for t, _ in pairs) for i in range(len(truth))])
    kept_found = found.where([any(j == f for _, f in pairs) for j in range(len(found))])
    pairs = brute_pairs(kept_truth, kept_found)
    if len(pairs) > 14:
        return
    best = (0, 0)
    for size in range(1, len(pairs) + 1):
        for choice in combinations(pairs, size):
            if len({i for i, _ in choice}) == len({j for _, j in choice}) == size:
                best = max(best, (size, sum(pairs[c] for c in choice)))
    result = match(kept_truth, kept_found, counting=Counting.ONE2ONE)
    assert (len(result.counted), sum(p.voxels for p in result.counted)) == best


@LAWS
@given(st.integers(0, 10**6), st.sampled_from(Counting))
def test_a_set_matches_itself(seed, counting):
    truth, _ = random_sets(seed)
    result = match(truth, truth, counting=counting)
    assert set(result.truth_outcomes) | set(result.found_outcomes) <= {Outcome.TP}
    assert result.splits == result.merges == 0


def line(*values):
    return np.array([[values]], dtype=np.uint8)


def test_one_found_lesion_over_two_counts_once_in_the_paper_and_twice_by_truth():
    truth, found = lesions(line(3, 3, 0, 3, 3)), lesions(line(3, 3, 3, 3, 3))
    counts = {c: totals(match(truth, found, counting=c)) for c in Counting}
    assert [counts[c]["tp"] for c in Counting] == [1, 2, 1]
    assert [counts[c]["fn"] for c in Counting] == [0, 0, 1]
    assert match(truth, found).merges == 1 and match(found, truth).splits == 1
    turned = {c: totals(match(found, truth, counting=c)) for c in Counting}
    assert [turned[c]["tp"] for c in Counting] == [2, 1, 1]
    assert [turned[c]["fp"] for c in Counting] == [0, 0, 1]


def test_confusion_holds_types_missed_and_spurious():
    truth, found = lesions(line(1, 1, 0, 6, 0, 2)), lesions(line(3, 3, 0, 0, 0, 2))
    result = match(truth, found)
    table = result.confusion
    assert table[0, 2] == 1 and table[1, 1] == 1 and table[5, 6] == 1 and table.sum() == 3
    assert result.fl[LesionType.HCC] == 1 and result.fl_pred[LesionType.META] == 1
    assert result.fn[LesionType.CYST] == 1 and sum(result.fp.values()) == 0
    spurious = match(lesions(line(0, 0, 7)), lesions(line(4, 0, 7)))
    assert spurious.confusion[6, 3] == 1 and spurious.fp[LesionType.HEM] == 1


@pytest.mark.parametrize(
    ("measure", "value"), [(Overlap.IOU, 1 / 4), (Overlap.DICE, 2 / 5), (Overlap.TRUTH_SHARE, 1 / 2)]
)
def test_least_overlap_is_met_at_its_own_value(measure, value):
    truth, found = lesions(line(1, 1, 0, 0)), lesions(line(0, 1, 1, 1))
    assert match(truth, found, min_overlap=value, overlap=measure).found_outcomes == (Outcome.TP,)
    above = match(truth, found, min_overlap=value + 0.01, overlap=measure)
    assert above.found_outcomes == (Outcome.FP,) and above.truth_outcomes == (Outcome.FN,)


def test_compare_tells_same_and_why_different():
    low = lesions(line(1, 0, 3, 0, 0, 0, 2))
    high = lesions(line(1, 0, 4, 0, 5, 0, 0))
    of_low, of_high = compare(low, high)
    by_type = {Agreement.SAME: LesionType.HCC, Agreement.LABEL_CONFLICT: LesionType.META}
    assert {a: x.label for a, x in zip(of_low, low, strict=True)} == by_type | {Agreement.ONLY_LOW: LesionType.ICC}
    by_type[Agreement.LABEL_CONFLICT] = LesionType.HEM
    assert {a: x.label for a, x in zip(of_high, high, strict=True)} == by_type | {Agreement.ONLY_HIGH: LesionType.OTHER}


@LAWS
@given(st.integers(0, 10**6))
def test_compare_splits_each_side_in_same_and_different(seed):
    low, high = random_sets(seed)
    of_low, of_high = compare(low, high)
    assert (len(of_low), len(of_high)) == (len(low), len(high))
    assert (Agreement.SAME in of_low) == (Agreement.SAME in of_high)
    assert Agreement.ONLY_HIGH not in of_low and Agreement.ONLY_LOW not in of_high


def test_empty_sets_and_bad_input():
    none, some = lesions(line(0, 7, 7)), lesions(line(1, 7, 7))
    assert match(none, none).confusion.sum() == 0
    assert match(some, none, counting="one2one").truth_outcomes == (Outcome.FN,)
    with pytest.raises(ValueError, match="shape"):
        match(none, lesions(line(0, 7)))
    with pytest.raises(ValueError, match="not a valid Counting"):
        match(none, none, counting="strict")
    with pytest.raises(ValueError, match="min_overlap"):
        match(none, none, min_overlap=2.0)
