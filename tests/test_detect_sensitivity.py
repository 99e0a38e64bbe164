"""SensitivityMap equals the literal definition at every factor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from livercascade import SensitivityMap
from livercascade.cascade.settings import CascadeSettings, SegmentStage
from livercascade.data.class_priors import EVEN, PAPER, logit_adjustment

LAWS = settings(max_examples=60)
FACTORS = st.floats(0.01, 1000.0)


def random_logits(seed, integers=False, shape=(3, 4, 5)):
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 3, (14, *shape)) if integers else rng.normal(0, 3, (14, *shape))
    return values.astype(np.float32)


def scaled(logits, factor):
    """Softmax in float64, lesions times f."""
    exact = logits.astype(np.float64)
    prob = np.exp(exact - exact.max(axis=0))
    prob /= prob.sum(axis=0)
    prob[1:7] *= factor
    return prob


@LAWS
@given(st.integers(0, 10**6), FACTORS)
def test_mask_is_the_argmax_of_scaled_probabilities(seed, factor):
    logits = random_logits(seed)
    prob = scaled(logits, factor)
    top = np.sort(prob, axis=0)
    clear = top[-1] > top[-2] * (1 + 1e-5)
    mask = SensitivityMap.from_logits(logits).mask(factor)
    assert clear.mean() > 0.9
    assert np.array_equal(mask[clear], prob.argmax(axis=0)[clear])


@LAWS
@given(st.integers(0, 10**6))
def test_factor_one_is_the_plain_argmax_ties_included(seed):
    logits = random_logits(seed, integers=True)
    assert np.array_equal(SensitivityMap.from_logits(logits).mask(1.0), logits.argmax(axis=0))


def test_a_tie_at_a_factor_above_one_goes_to_the_lowest_label():
    logits = np.full((14, 1, 1, 2), -50.0, dtype=np.float32)
    logits[3] = 0.0
    logits[0, 0, 0, 0] = logits[7, 0, 0, 1] = np.float32(np.log(4.0))
    assert SensitivityMap.from_logits(logits).mask(4.0).tolist() == [[[0, 3]]]


@LAWS
@given(st.integers(0, 10**6), FACTORS, FACTORS, st.booleans())
def test_masks_nest_and_types_stay(seed, one, two, pooled):
    low, high = sorted((one, two))
    smap = SensitivityMap.from_logits(random_logits(seed), pooled=pooled)
    small, large = smap.mask(low), smap.mask(high)
    lesion = (small >= 1) & (small <= 6)
    assert np.array_equal(small[lesion], large[lesion])
    other = (large < 1) | (large > 6)
    assert np.array_equal(small[other], large[other])


@LAWS
@given(st.integers(0, 10**6), FACTORS)
def test_the_map_of_a_box_gives_that_part_of_every_mask(seed, factor):
    smap = SensitivityMap.from_logits(random_logits(seed, shape=(4, 5, 6)))
    box = (slice(1, 3), slice(0, 4), slice(2, 6))
    assert np.array_equal(smap.within(box).mask(factor), smap.mask(factor)[box])


@LAWS
@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 5))
def test_channels_and_slabs_give_the_same_map_as_the_whole(seed, pooled, thickness):
    logits = random_logits(seed, shape=(7, 4, 5))
    whole = SensitivityMap.from_logits(logits, pooled=pooled)
    streamed = SensitivityMap.from_logits((channel for channel in logits), pooled=pooled)
    slabs = ((z0, logits[:, z0 : z0 + thickness]) for z0 in range(0, 7, thickness))
    for other in (streamed, SensitivityMap.from_slabs((7, 4, 5), slabs, pooled=pooled)):
        assert np.array_equal(other.best_lesion, whole.best_lesion)
        assert np.array_equal(other.best_other, whole.best_other)
        assert np.array_equal(other.margin, whole.margin)


@LAWS
@given(st.integers(0, 10**6), FACTORS)
def test_pooled_lets_all_lesions_compete_together(seed, factor):
    logits = random_logits(seed)
    prob = scaled(logits, factor)
    others = np.delete(prob, slice(1, 7), axis=0)
    gap = prob[1:7].sum(axis=0) / others.max(axis=0)
    mask = SensitivityMap.from_logits(logits, pooled=True).mask(factor)
    clear = np.abs(np.log(gap)) > 1e-4
    assert np.array_equal(((mask >= 1) & (mask <= 6))[clear], (gap > 1)[clear])
    lesion = (mask >= 1) & (mask <= 6)
    assert np.array_equal(mask[lesion], (1 + logits[1:7].argmax(axis=0))[lesion])


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_factors_are_refused(factor):
    with pytest.raises(ValueError, match="above 0"):
        SensitivityMap.from_logits(random_logits(0)).mask(factor)


def test_bad_channels_and_slabs_are_refused():
    logits = random_logits(0)
    with pytest.raises(ValueError, match="14 channels are needed, got 13"):
        SensitivityMap.from_logits(logits[:13])
    with pytest.raises(ValueError, match="more than 14"):
        SensitivityMap.from_logits([*logits, logits[0]])
    with pytest.raises(ValueError, match="has shape"):
        SensitivityMap.from_logits([*logits[:13], logits[0, :2]])
    with pytest.raises(ValueError, match="does not fit"):
        SensitivityMap.from_slabs((4, 4, 5), [(2, logits)])
    with pytest.raises(ValueError, match="slice 3"):
        SensitivityMap.from_slabs((4, 4, 5), [(0, logits)])


@LAWS
@given(st.integers(0, 10**6), FACTORS, st.booleans())
def test_type_weights_move_types_as_bayes_says_and_find_nothing_more_or_less(seed, factor, pooled):
    logits = random_logits(seed)
    shares = np.random.default_rng(seed).dirichlet(np.ones(6)) + 0.01
    weights = logit_adjustment((1 / 6,) * 6, tuple(shares / shares.sum()))
    plain = SensitivityMap.from_logits(logits, pooled=pooled)
    moved = SensitivityMap.from_logits(logits, pooled=pooled, weights=weights)
    assert np.array_equal(plain.margin, moved.margin) and np.array_equal(plain.best_other, moved.best_other)
    # The literal rule: posterior among the types, times the expected share over the learnt one.
    prob = scaled(logits, 1.0)[1:7] * (shares / shares.sum() * 6)[:, None, None, None]
    top = np.sort(prob, axis=0)
    clear = top[-1] > top[-2] * (1 + 1e-4)
    assert np.array_equal(moved.best_lesion[clear], 1 + prob.argmax(axis=0)[clear])
    lesion = [(m > 0) & (m < 7) for m in (plain.mask(factor), moved.mask(factor))]
    assert np.array_equal(*lesion)


def test_no_weights_where_either_side_is_not_known():
    assert logit_adjustment(None, PAPER) is None and logit_adjustment(EVEN, None) is None
    assert np.allclose(logit_adjustment(PAPER, PAPER), 0)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.5, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValidationError):
        CascadeSettings(segment=SegmentStage(class_priors=shares))
