"""What both sensitivities say of one scan, without a network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.cascade.proposals import Proposals
from livercascade.data.lesion import LesionSet
from livercascade.detect.liver import without_strays
from livercascade.detect.sensitivity import SensitivityMap

FACTORS = (0.5, 1.0, 4.0)


def proposals(seed: int, share: float) -> Proposals:
    rng = np.random.default_rng(seed)
    smap = SensitivityMap.from_logits(rng.normal(size=(14, 4, 6, 7)).astype(np.float32))
    liver = np.zeros((4, 6, 7), dtype=np.bool_)
    liver[1:3, 2:5, 1:6] = rng.random((2, 3, 5)) < share
    none = LesionSet((), (4, 6, 7), (5.0, 1.0, 1.0))
    masks = [without_strays(smap.mask(f), liver) for f in (1.0, 4.0)]
    return Proposals(masks[0], masks[1], none, none, smap, liver, 0)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.floats(0.1, 1.0))
def test_the_masks_of_the_liver_hold_every_lesion_of_the_whole_masks(seed: int, share: float) -> None:
    found = proposals(seed, share)
    if not found.liver.any():
        return
    for factor, near in zip(FACTORS, found.liver_masks(FACTORS), strict=True):
        whole = found.mask(factor)
        for label in range(1, 7):
            assert np.count_nonzero(near == label) == np.count_nonzero(whole == label)
        low = np.argwhere(found.liver).min(axis=0)
        part = tuple(slice(a, a + n) for a, n in zip(low, near.shape, strict=True))
        assert np.array_equal(near, whole[part])


def test_without_a_liver_there_are_no_masks_of_it() -> None:
    with pytest.raises(ValueError, match="no liver"):
        next(proposals(0, 0.0).liver_masks(FACTORS))
