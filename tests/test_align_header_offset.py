"""Headers that place phases wrongly: the shift that puts them right, and when they are believed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.header_offset import _correlations, header_offset_mm
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume
from livercascade.testing.moving_trunk import TRUNK_GRID, trunk_pair, trunk_scan


def offset_of(fixed, moving):
    with AlignmentThreads.of(1) as workers:
        return header_offset_mm(fixed, moving, workers)


def away(volume, shift):
    """The volume with a header that is wrong by a shift (x, y, z)."""
    return replace(volume, grid=replace(volume.grid, origin=tuple(np.add(volume.grid.origin, shift))))


images = hnp.arrays(np.float32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(-250, 250).map(float))


@settings(max_examples=40)
@given(images, images)
def test_correlations_by_their_definition(fixed, moving):
    """numpy.corrcoef over what is common, for every shift."""
    found, shifts = _correlations(fixed, moving)
    for place in np.ndindex(found.shape):
        common = [], []
        for axis, at in enumerate(place):
            shift, n, m = int(shifts[axis][at]), fixed.shape[axis], moving.shape[axis]
            first, last = max(0, -shift), min(n, m - shift)
            common[0].append(slice(first, last))
            common[1].append(slice(first + shift, last + shift))
        a, b = fixed[tuple(common[0])].ravel(), moving[tuple(common[1])].ravel()
        assert a.size > 0
        if a.std() * b.std() > 1.5:
            assert found[place] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=5e-3)


@pytest.mark.parametrize(
    "shift", [(0, 0, 240), (0, 0, -96), (36, -30, 0), (-60, 0, 60), (166.5, 166.5, 67.5), (500, -500, 700)]
)
def test_a_wrong_header_is_put_right(shift):
    fixed, moving = trunk_pair()
    found = offset_of(fixed, away(moving, shift))
    # The phases differ by breathing too, up to 12 mm.
    assert np.abs(np.subtract(found, shift)).max() <= 12


@pytest.mark.parametrize("shift", [(0, 0, 0), (4, -3, 18), (0, 6, -24)])
def test_breathing_is_left_to_the_field(shift):
    fixed, moving = trunk_pair()
    assert offset_of(fixed, away(moving, shift)) == (0, 0, 0)


def part(phase, first, last):
    """Slices first to last of a trunk, where they lie."""
    x, y, z = TRUNK_GRID.origin
    grid = Grid.axial((last - first, *TRUNK_GRID.shape[1:]), TRUNK_GRID.spacing, (x, y, z + 4.0 * first))
    return trunk_scan(phase, grid, contrast=phase)


def test_neighbouring_parts_of_the_body_are_believed():
    """Two stations of one examination have a little in common, and look alike there."""
    lower, upper = part(Phase.VP, 0, 16), part(Phase.AP, 12, 28)
    assert offset_of(lower, upper) == (0, 0, 0)


def test_nothing_to_see_moves_nothing():
    fixed = trunk_pair()[0]
    blank = PhaseVolume(Phase.AP, np.full(TRUNK_GRID.shape, -1000, np.int16), TRUNK_GRID)
    assert offset_of(fixed, blank) == offset_of(blank, fixed) == (0, 0, 0)
