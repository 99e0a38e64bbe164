"""reclassify: scores, votes and verdicts with networks whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade import reclassify, seg2det
from livercascade.data.labels import LesionType, Organ
from livercascade.data.lesion import Lesion
from livercascade.reclassification.candidate import CandidateStatus
from livercascade.reclassification.large_lesions import lesion_windows
from livercascade.reclassification.patches import PATCH_SHAPE, PatchVolume, Scheme, patch_labels
from livercascade.reclassification.reclassify import (
    LargeLesions,
    ReclassifySettings,
    ScoreMode,
    elect,
    judge,
    make_patches,
    score_of,
)

SPACING = (5.0, 0.78, 0.78)
VOXEL_ML = float(np.prod(SPACING)) / 1000
LAWS = settings(max_examples=40)
FAST = {"relabel": True, "stop_when_decided": False, "n_original": 2, "n_shuffled": 2}


def patient(*boxes):
    """Liver block with lesions ``(label, z, y, x, sizes)``; the image holds 10 times the label."""
    mask = np.full((14, 100, 110), Organ.LIVER, dtype=np.uint8)
    for label, first, size in boxes:
        mask[tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))] = label
    image = (10 * mask)[None].astype(np.float32)
    return PatchVolume.of(image, patch_labels(mask), SPACING, (-99.0,)), seg2det(mask, SPACING, min_volume_ml=0.0)


def says(answer):
    """Network that gives each voxel the class ``answer(value)`` of its image value."""

    def network(images):
        classes = answer(images[:, 0])
        return (np.arange(8)[None, :, None, None, None] == classes[:, None]).astype(np.float32)

    return network


def reader(images):
    return np.where(images > 0, np.rint(images / 10), 0).astype(int)


TWO = ((3, (4, 20, 20), (3, 12, 12)), (6, (8, 60, 70), (2, 14, 14)))


def run(volume, proposals, answer, seed=0, **choices):
    return reclassify(
        proposals, volume, says(answer), ReclassifySettings(**{**FAST, **choices}), np.random.default_rng(seed)
    )


def test_a_network_that_sees_the_lesion_keeps_it_with_its_whole_volume_as_score():
    volume, proposals = patient(*TWO)
    result = run(volume, proposals, reader)
    assert [o.status for o in result.candidates] == [CandidateStatus.KEPT, CandidateStatus.KEPT]
    for lesion, outcome in zip(proposals, result.candidates, strict=True):
        assert outcome.score == pytest.approx(lesion.volume_ml)
        assert outcome.votes == {lesion.label: 1.0}
        assert (outcome.patches, outcome.shuffled_patches, outcome.no_room) == (4, 2, False)
    assert [x.label for x in result.lesions] == [x.label for x in proposals]


def test_a_network_that_sees_liver_removes_all_and_says_why():
    volume, proposals = patient(*TWO)
    result = run(volume, proposals, lambda image: np.full(image.shape, 7))
    assert len(result.lesions) == 0
    for lesion, outcome in zip(proposals, result.candidates, strict=True):
        assert outcome.status is CandidateStatus.REMOVED and outcome.score == 0.0 and not outcome.votes
        assert outcome.label is lesion.label and "below 0.50" in outcome.reason


def test_type_is_by_vote_and_the_score_ignores_it():
    volume, proposals = patient(*TWO)
    result = run(volume, proposals, lambda image: np.where(reader(image) < 7, 2, 7))
    assert {o.status for o in result.candidates} == {CandidateStatus.RELABELLED}
    assert [x.label for x in result.lesions] == [LesionType.ICC] * 2
    for before, after, outcome in zip(proposals, result.lesions, result.candidates, strict=True):
        assert outcome.score == pytest.approx(before.volume_ml)
        assert np.array_equal(before.mask, after.mask) and outcome.lesion is before
        assert "ICC instead of" in outcome.reason
    kept = run(volume, proposals, lambda image: np.where(reader(image) < 7, 2, 7), relabel=False)
    assert [x.label for x in kept.lesions] == [x.label for x in proposals]


def test_large_proposals_pass_by_where_the_settings_say_so():
    volume, proposals = patient(*TWO)
    limit = (proposals[0].volume_ml + proposals[1].volume_ml) / 2
    keep = LargeLesions.KEEP
    result = run(volume, proposals, lambda image: np.full(image.shape, 7), bypass_ml=limit, large=keep)
    assert [o.status for o in result.candidates] == [CandidateStatus.BYPASSED, CandidateStatus.REMOVED]
    assert result.candidates[0].score is None and result.candidates[0].patches == 0
    at_limit = run(volume, proposals, lambda image: np.full(image.shape, 7), bypass_ml=proposals[0].volume_ml)
    assert at_limit.candidates[0].status is CandidateStatus.REMOVED


def test_large_proposals_are_judged_by_the_share_that_windows_inside_confirm():
    volume, proposals = patient(*TWO)
    limit = (proposals[0].volume_ml + proposals[1].volume_ml) / 2
    for answer, score, status in (
        (reader, 1.0, CandidateStatus.KEPT),
        (lambda image: np.full(image.shape, 7), 0.0, CandidateStatus.REMOVED),
    ):
        for mode in ScoreMode:
            large, small = run(volume, proposals, answer, bypass_ml=limit, score=mode, large_ratio=0.3).candidates
            assert (large.score, large.threshold, large.status) == (score, 0.3, status)
            assert "windows inside" in large.reason and "windows" not in small.reason
            assert large.patches == 1 and large.shuffled_patches == 0 and not large.no_room
    # Another seed moves the small one and nothing of the large one.
    noisy = lambda image: np.where(np.sin(image.cumsum(axis=2)) > 0, 4, 7)  # noqa: E731
    one, two = (run(volume, proposals, noisy, seed=s, bypass_ml=limit).candidates[0] for s in (1, 2))
    assert one.score == two.score and 0 < one.score < 1
    assert judge(one.lesion, one.tally, ReclassifySettings(bypass_ml=limit, large_ratio=1.0)).score == one.score
    kept = judge(one.lesion, one.tally, ReclassifySettings(bypass_ml=limit, large=LargeLesions.KEEP))
    assert kept.status is CandidateStatus.BYPASSED and kept.score is None


@LAWS
@given(st.integers(0, 2), st.integers(1, 300), st.integers(0, 20), st.integers(0, 20))
def test_cores_of_windows_cover_every_voxel_of_a_lesion(axis, length, before, after):
    shape, first, size = [1, 1, 1], [0, 0, 0], [1, 1, 1]
    shape[axis], first[axis], size[axis] = before + length + after, before, length
    box = tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))
    lesion = Lesion(LesionType.HCC, 100.0, (0.0, 0.0, 0.0), box, np.ones(size, dtype=bool))
    labels = np.full(shape, 7, dtype=np.uint8)
    volume = PatchVolume.of(np.zeros((1, *shape), dtype=np.float32), labels, SPACING, (0.0,))
    seen, count = np.zeros(shape, dtype=int), 0
    for window in lesion_windows(lesion, volume):
        at = np.argwhere(window.lesion)
        # Judged in the core alone: an eighth of the window from every border.
        assert (at >= np.array(PATCH_SHAPE) // 8).all() and (at < np.array(PATCH_SHAPE) * 7 // 8).all()
        seen[tuple((at + window.start).T)] += 1
        count += 1
    assert (seen[box] > 0).all() and seen.sum() == seen[box].sum()
    assert count <= max(3, -(-length // (PATCH_SHAPE[axis] * 3 // 4)))


def test_small_proposals_cannot_reach_the_volume_threshold_but_the_other_modes():
    volume, proposals = patient((3, (5, 30, 30), (2, 6, 6)))
    assert proposals[0].volume_ml < 0.5
    verdicts = {m: run(volume, proposals, reader, score=m).candidates[0].status for m in ScoreMode}
    assert verdicts[ScoreMode.VOLUME] is CandidateStatus.REMOVED
    assert verdicts[ScoreMode.RATIO] is verdicts[ScoreMode.ADAPTIVE] is CandidateStatus.KEPT


def test_without_lesion_shuffling_no_patch_is_moved():
    volume, proposals = patient(*TWO)
    result = run(volume, proposals, reader, shuffled=False)
    assert all((o.patches, o.shuffled_patches, o.no_room) == (4, 0, False) for o in result.candidates)


def test_without_room_original_patches_take_the_place_and_it_is_flagged():
    volume, proposals = patient((1, (1, 5, 5), (12, 60, 100)))
    outcome = run(volume, proposals, reader, bypass_ml=1000.0).candidates[0]
    assert outcome.no_room and outcome.patches == 4 and outcome.shuffled_patches == 0


def test_equal_generators_give_equal_verdicts_and_proposals_do_not_disturb_each_other():
    volume, proposals = patient(*TWO)
    noisy = lambda image: np.where(np.sin(image.cumsum(axis=2)) > 0, 4, 7)  # noqa: E731
    one, two = run(volume, proposals, noisy, seed=3), run(volume, proposals, noisy, seed=3)
    assert [o.score for o in one.candidates] == [o.score for o in two.candidates]
    alone = run(volume, proposals.where([True, False]), noisy, seed=3)
    assert alone.candidates[0].score == one.candidates[0].score


@pytest.mark.parametrize("batch", [3, 8, 100])
def test_the_length_of_batches_changes_nothing(batch):
    volume, proposals = patient(*TWO)
    chosen, lengths = ReclassifySettings(**FAST), []

    def network(images):
        lengths.append(len(images))
        return says(reader)(images)

    one = reclassify(proposals, volume, says(reader), chosen, np.random.default_rng(5))
    many = reclassify(proposals, volume, network, chosen, np.random.default_rng(5), batch=batch)
    assert [(o.score, o.shuffled_patches) for o in one.candidates] == [
        (o.score, o.shuffled_patches) for o in many.candidates
    ]
    assert lengths == {3: [3, 3, 2], 8: [8], 100: [8]}[batch]


@settings(max_examples=8)
@given(
    st.sampled_from(ScoreMode),
    st.floats(0.0, 2.5),
    st.floats(0.0, 1.0),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.integers(1, 5),
)
def test_stopping_when_decided_changes_no_verdict(score, threshold_ml, ratio, seed, confirmed, batch):
    volume, proposals = patient(*TWO)

    def unsure(images):
        # Some patches confirm all, others a part; which, follows from their place alone.
        noise = np.sin((images[:, 0] * np.arange(128)).sum(axis=(1, 2, 3), dtype=float))
        part = np.random.default_rng(seed).random(images.shape[2:]) < confirmed
        classes = np.where((images[:, 0] > 0) & (images[:, 0] < 65) & part, np.rint(images[:, 0] / 10), 7)
        classes[noise > 0.5] = 7
        return (np.arange(8)[None, :, None, None, None] == classes[:, None]).astype(np.float32)

    def outcomes(stop, batch=1):
        chosen = ReclassifySettings(
            score=score, threshold_ml=threshold_ml, ratio=ratio, relabel=False, stop_when_decided=stop
        )
        return reclassify(proposals, volume, unsure, chosen, np.random.default_rng(seed), batch=batch).candidates

    every, few, batched = outcomes(False), outcomes(True), outcomes(True, batch)
    assert [(o.status, o.label, o.no_room) for o in every] == [(o.status, o.label, o.no_room) for o in few]
    assert [(o.score, o.patches) for o in few] == [(o.score, o.patches) for o in batched]
    assert all(o.patches == 10 for o in every) and all(1 <= o.patches <= 10 for o in few)


def test_a_clear_verdict_needs_few_patches_and_votes_need_all():
    volume, proposals = patient(*TWO)
    clear = {"n_original": 5, "n_shuffled": 5, "threshold_ml": 0.01}
    few = run(volume, proposals, reader, relabel=False, stop_when_decided=True, **clear)
    assert [o.patches for o in few.candidates] == [1, 1]
    assert [
        o.patches for o in run(volume, proposals, reader, relabel=True, stop_when_decided=True, **clear).candidates
    ] == [10, 10]


def test_ten_patches_half_of_them_shuffled_are_the_default():
    volume, proposals = patient(*TWO)
    patches = make_patches(proposals[0], volume, ReclassifySettings(), np.random.default_rng(0))
    assert [p.scheme for p in patches] == [Scheme.ORIGINAL_POSITIVE] * 5 + [Scheme.SHUFFLED_POSITIVE] * 5


def test_type_weights_turn_a_doubtful_vote_and_confirm_no_more_and_no_less():
    volume, proposals = patient(*TWO)

    def doubtful(images):
        logits = np.zeros((len(images), 8, *images.shape[2:]), dtype=np.float32)
        logits[:, 7] = 1.0
        for label in (3, 6):
            logits[:, label][reader(images[:, 0]) == label] = 3.0
        logits[:, 1] = logits[:, 3] - 0.5
        return logits

    def judged(weights):
        return reclassify(
            proposals, volume, doubtful, ReclassifySettings(**FAST), np.random.default_rng(0), weights=weights
        ).candidates

    plain, moved = judged(None), judged(np.array([1, 0, 0, 0, 0, 0], dtype=np.float32))
    assert [o.label for o in plain] == [LesionType.META, LesionType.CYST]
    assert [o.label for o in moved] == [LesionType.HCC, LesionType.CYST]
    assert [o.score for o in plain] == [o.score for o in moved]


@LAWS
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 900)), min_size=1, max_size=10))
def test_scores_obey_their_definitions(counts):
    overlap = np.array([min(a, b) for a, b in counts])
    sizes = np.array([b for _, b in counts])
    volume, _ = score_of(overlap, sizes, VOXEL_ML, ReclassifySettings())
    ratio, _ = score_of(overlap, sizes, VOXEL_ML, ReclassifySettings(score=ScoreMode.RATIO))
    same, limit = score_of(overlap, sizes, VOXEL_ML, ReclassifySettings(score=ScoreMode.ADAPTIVE))
    assert volume == pytest.approx(sum(overlap) * VOXEL_ML / len(counts)) and volume == same
    assert 0 <= ratio <= 1
    assert limit <= 0.5 and limit <= 0.5 * sizes.mean() * VOXEL_ML + 1e-9
    assert volume <= sizes.max() * VOXEL_ML + 1e-9


@LAWS
@given(st.lists(st.integers(0, 5), min_size=6, max_size=6), st.sampled_from(LesionType))
def test_election_takes_the_most_votes_then_the_current_label_then_priority(votes, current):
    winner = elect(np.array(votes), current)
    assert votes[winner - 1] == max(votes)
    if votes[current - 1] == max(votes):
        assert winner is current
    else:
        assert winner == 1 + votes.index(max(votes))


def test_wrong_settings_and_sets_are_refused():
    volume, proposals = patient(*TWO)
    for wrong in ({"n_original": 0, "n_shuffled": 0}, {"n_original": -1}, {"ratio": 1.5}, {"threshold_ml": -1.0}):
        with pytest.raises(ValueError, match=r"patch|greater|less"):
            ReclassifySettings(**wrong)
    with pytest.raises(ValueError, match="1 lesions"):
        reclassify(
            proposals,
            volume,
            says(reader),
            ReclassifySettings(),
            np.random.default_rng(0),
            on_volume=proposals.where([True, False]),
        )
