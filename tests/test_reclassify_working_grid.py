"""The working grid: positions, intensities and proposals survive the change of grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade import seg2det
from livercascade.data.grid import Grid
from livercascade.data.labels import Organ, Phase
from livercascade.data.scan import Scan
from livercascade.reclassification.patches import liver_region
from livercascade.reclassification.working_grid import (
    liver_grid,
    resample_lesions,
    resample_linear,
    resample_nearest,
    to_working_grid,
)

LAWS = settings(max_examples=20)
SPACINGS = st.tuples(st.sampled_from([2.0, 2.5, 5.0]), st.floats(0.6, 1.0), st.floats(0.6, 1.0))


def patient(spacing, turned=False):
    shape = tuple(int(n / s) for n, s in zip((100, 90, 95), spacing, strict=True))
    flip = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)) if turned else Grid.axial(shape, spacing).direction
    grid = Grid(shape, spacing, (-50.0, 12.0, 300.0), flip)
    z, y, x = (np.arange(n) * s for n, s in zip(shape, spacing, strict=True))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    mask = np.zeros(shape, dtype=np.uint8)
    mask[((z - 50) / 40) ** 2 + ((y - 45) / 35) ** 2 + ((x - 45) / 38) ** 2 <= 1] = Organ.LIVER
    mask[((z - 45) / 12) ** 2 + ((y - 40) / 10) ** 2 + ((x - 50) / 10) ** 2 <= 1] = 3
    mask[((z - 70) / 9) ** 2 + ((y - 55) / 8) ** 2 + ((x - 35) / 8) ** 2 <= 1] = 6
    return grid, mask


def linear_field(grid):
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).astype(float)
    return (grid.world(index) @ np.array([1.0, -2.0, 0.5])).astype(np.float32)


@LAWS
@given(SPACINGS, st.booleans())
def test_a_linear_field_keeps_its_value_at_every_position(spacing, turned):
    grid, mask = patient(spacing, turned)
    target = liver_grid(mask > 0, grid, (5.0, 0.78, 0.78), margin_mm=0.0)
    moved = resample_linear(linear_field(grid), grid, target)
    inner = (slice(1, -2), slice(2, -2), slice(2, -2))
    assert np.allclose(moved[inner], linear_field(target)[inner], atol=2.0 if spacing[0] < 5 else 1e-2)


@LAWS
@given(SPACINGS, st.booleans())
def test_labels_and_proposals_agree_and_volumes_stay(spacing, turned):
    grid, mask = patient(spacing, turned)
    target = liver_grid(liver_region(mask), grid, (5.0, 0.78, 0.78))
    proposals = seg2det(mask, grid)
    moved = resample_lesions(proposals, grid, target)
    labels = resample_nearest(mask, grid, target)
    assert len(moved) == len(proposals) == 2
    for before, after in zip(proposals, moved, strict=True):
        assert after.label is before.label
        assert after.volume_ml == pytest.approx(before.volume_ml, rel=0.12)
        assert (labels[after.bbox][after.mask] == after.label).all()
        centre = np.argwhere(after.mask).mean(axis=0) + [s.start for s in after.bbox]
        assert np.linalg.norm(target.world(centre) - before.centroid) < 2.0
    assert np.array_equal(moved.instances() > 0, (labels >= 1) & (labels <= 6))


def test_the_same_spacing_changes_no_voxel():
    grid, mask = patient((5.0, 0.78, 0.78))
    target = liver_grid(mask > 0, grid, grid.spacing, margin_mm=0.0)
    first = np.rint(grid.voxel(np.array(target.origin))).astype(int).tolist()
    box = tuple(slice(f, f + n) for f, n in zip(first, target.shape, strict=True))
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    assert np.allclose(resample_linear(values, grid, target), values[box], atol=1e-4)
    assert np.array_equal(resample_nearest(mask, grid, target), mask[box])


def test_a_proposal_between_the_slices_keeps_one_voxel():
    grid = Grid.axial((40, 60, 60), (1.0, 0.8, 0.8))
    mask = np.full(grid.shape, Organ.LIVER, dtype=np.uint8)
    mask[7, 30:33, 30:33] = 1
    proposals = seg2det(mask, grid, min_volume_ml=0.0)
    target = Grid.axial((8, 60, 60), (5.0, 0.8, 0.8))
    (moved,) = resample_lesions(proposals, grid, target)
    assert moved.mask.sum() == 1 and moved.bbox[1].start == 31


def test_a_scan_becomes_a_volume_with_empty_channels_for_absent_phases():
    grid, mask = patient((5.0, 0.9, 0.9))
    hu = np.full(grid.shape, 60, dtype=np.int16)
    scan = Scan(grid, {Phase.NC: hu, Phase.VP: (hu + 40).astype(np.int16)}, Phase.VP)
    seen = []

    def normalise(phase, values):
        seen.append(phase)
        return values / 100

    fill = {Phase.NC: -1.0, Phase.VP: -2.0}
    ready = to_working_grid(scan, mask, seg2det(mask, grid), normalise=normalise, fill=fill)
    assert seen == [Phase.NC, Phase.VP]
    assert ready.volume.fill == (-1.0, 0.0, -2.0, 0.0)
    assert np.allclose(ready.volume.image[[0, 2]], np.array([0.6, 1.0])[:, None, None, None])
    assert not ready.volume.image[[1, 3]].any()
    assert ready.volume.shape == ready.grid.shape == ready.proposals.shape
    for lesion in ready.proposals:
        assert (ready.volume.labels[lesion.bbox][lesion.mask] == lesion.label).all()


def test_what_has_no_liver_or_another_shape_is_refused():
    grid, mask = patient((5.0, 0.9, 0.9))
    scan = Scan(grid, {Phase.NC: np.zeros(grid.shape, dtype=np.int16)}, Phase.NC)
    nothing = np.zeros_like(mask)
    options = {"normalise": lambda phase, values: values, "fill": {Phase.NC: 0.0}}
    with pytest.raises(ValueError, match="neither liver nor lesion"):
        to_working_grid(scan, nothing, seg2det(nothing, grid), **options)
    with pytest.raises(ValueError, match="differ in shape"):
        to_working_grid(scan, mask[1:], seg2det(mask, grid), **options)
