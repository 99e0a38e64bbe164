from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from livercascade.alignment.align_pair import DeedsAligner, align_pair
from livercascade.alignment.align_phases import PhaseUse, align_phases
from livercascade.alignment.align_settings import AlignSettings
from livercascade.alignment.similarity import mutual_information
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.testing.moving_trunk import (
    TRUNK_GRID,
    breathing_displacement,
    no_displacement,
    trunk_pair,
    trunk_points,
    trunk_scan,
)

ONE = AlignSettings(threads=1)


@pytest.fixture(scope="module")
def aligned():
    fixed, moving = trunk_pair()
    return fixed, moving, align_pair(fixed, moving, settings=ONE)


def error_mm(field, points=None):
    points = trunk_points() if points is None else points
    return np.linalg.norm(field.at(points) - breathing_displacement(points), axis=1)


def test_known_motion_between_phases_is_found(aligned):
    fixed, moving, found = aligned
    before = np.linalg.norm(breathing_displacement(trunk_points()), axis=1)
    assert before.mean() > 5 and error_mm(found.field).mean() < 0.3 * before.mean()
    assert found.folded == 0 and found.field.jacobian().min() > 0 and found.offset_mm == 0
    likeness = [mutual_information(fixed.hu, hu, found.valid) for hu in (moving.hu, found.moved)]
    assert likeness[1] > 1.2 * likeness[0]


def test_same_bits_for_any_number_of_threads(aligned):
    fixed, moving, found = aligned
    told = []
    again = align_pair(fixed, moving, settings=AlignSettings(threads=2), progress=lambda *step: told.append(step))
    assert np.array_equal(again.field.vectors_mm, found.field.vectors_mm)
    assert np.array_equal(again.moved, found.moved) and np.array_equal(again.valid, found.valid)
    assert [done for _, done, _ in told] == list(range(told[0][2] + 1)) and told[0][0] == "align arterial"


def test_identity_gives_a_field_of_nothing():
    fixed = trunk_scan(Phase.VP)
    searched = AlignSettings(threads=1, no_motion_gain=0.0)
    same = align_pair(fixed, replace(fixed, phase=Phase.AP), settings=searched)
    assert same.field.length_mm.max() < 0.1 and same.valid.mean() > 0.99 and not same.already_aligned


def test_phases_that_were_aligned_before_stay_where_they_are(aligned):
    fixed, moving = trunk_scan(Phase.VP), trunk_scan(Phase.AP, contrast=Phase.AP, seed=2)
    searched = align_pair(fixed, moving, settings=AlignSettings(threads=1, no_motion_gain=0.0))
    assert 0 < np.linalg.norm(searched.field.at(trunk_points()), axis=1).mean() < 0.5
    found = align_pair(fixed, moving, settings=ONE)
    assert found.already_aligned and not found.field.vectors_mm.any() and found.valid.all()
    assert np.array_equal(found.moved, moving.hu)
    assert not aligned[2].already_aligned


def turned(grid, angle):
    """A grid over the same trunk, turned about its own centre."""
    rotation = Rotation.from_euler("xz", [angle, angle / 2], degrees=True)
    middle = grid.world((np.array(grid.shape) - 1.0) / 2)
    axes = rotation.apply(np.array(grid.direction))
    origin = middle + rotation.apply(np.array(grid.origin) - middle)
    return replace(grid, origin=tuple(map(float, origin)), direction=tuple(tuple(map(float, a)) for a in axes))


def test_copies_on_other_grids_give_the_same_field(aligned):
    fixed, moving, found = aligned
    last = tuple(map(float, TRUNK_GRID.world(np.array(TRUNK_GRID.shape) - 1.0)))
    flipped = Grid(
        TRUNK_GRID.shape, TRUNK_GRID.spacing, last, tuple(tuple(-v for v in axis) for axis in TRUNK_GRID.direction)
    )
    copies = {
        "flipped": tuple(
            replace(v, hu=np.ascontiguousarray(v.hu[::-1, ::-1, ::-1]), grid=flipped) for v in (fixed, moving)
        ),
        "oblique": tuple(
            trunk_scan(
                v.phase,
                turned(TRUNK_GRID, a),
                contrast=v.phase,
                moved_by=no_displacement if v is fixed else breathing_displacement,
            )
            for v, a in ((fixed, 5.0), (moving, -4.0))
        ),
        "anisotropic": (
            fixed,
            trunk_scan(
                Phase.AP,
                Grid.axial((38, 70, 44), (3.0, 1.9, 3.2), (-66.0, -72.0, -15.0)),
                contrast=Phase.AP,
                moved_by=breathing_displacement,
            ),
        ),
    }
    points = trunk_points()
    limits = {"flipped": 0.05, "oblique": 0.8, "anisotropic": 0.6}
    for name, (one, other) in copies.items():
        field = align_pair(one, other, settings=ONE).field
        apart = np.linalg.norm(field.at(points) - found.field.at(points), axis=1)
        assert apart.mean() < limits[name], name
        assert error_mm(field).mean() < 2.2, name


def test_what_the_moving_phase_does_not_cover_is_marked(aligned):
    fixed, moving, whole = aligned
    x, y, z = TRUNK_GRID.origin
    grid = Grid.axial((20, 52, 56), TRUNK_GRID.spacing, (x, y, z + 16))
    short = replace(moving, hu=np.ascontiguousarray(moving.hu[4:24]), grid=grid)
    found = align_pair(fixed, short, settings=ONE)
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in TRUNK_GRID.shape], indexing="ij"), axis=-1)
    z, y, x = np.moveaxis(grid.voxel(TRUNK_GRID.world(index) + found.field.vectors_mm), -1, 0)
    covered = (np.abs(z - 9.5) <= 10) & (np.abs(y - 25.5) <= 26) & (np.abs(x - 27.5) <= 28)
    assert 0.5 < covered.mean() < 0.8 and (found.valid != covered).mean() < 1e-4
    assert np.all(found.moved[~found.valid] == -1024)
    inner = trunk_points()
    inner = inner[np.abs(inner[:, 2] - 40) < 20]
    assert error_mm(found.field, inner).mean() < error_mm(whole.field, inner).mean() + 0.8


def test_headers_without_a_common_frame(aligned):
    fixed, moving, found = aligned
    x, y, z = TRUNK_GRID.origin
    far = replace(moving, grid=replace(moving.grid, origin=(x, y, z + 240.0)))
    shifted = align_pair(fixed, far, settings=ONE)
    assert shifted.offset_mm == pytest.approx(240, abs=7)
    expected = found.field.at(trunk_points()) + np.array([0, 0, 240])
    assert np.linalg.norm(shifted.field.at(trunk_points()) - expected, axis=1).mean() < 1.0


def test_study_keeps_the_reference_and_moves_the_rest(aligned):
    fixed, moving, found = aligned
    study = align_phases([moving, fixed], aligner=DeedsAligner(ONE))
    assert study.scan.reference is Phase.VP and study.scan.hu[Phase.VP] is fixed.hu
    assert np.array_equal(study.scan.hu[Phase.AP], found.moved) and set(study.scan.valid) == {Phase.AP}
    assert [(p.phase, p.use) for p in study.phases] == [(Phase.AP, PhaseUse.ALIGNED)] and study.scan.grid is fixed.grid
    assert study.phases[0].quality.good and not study.notices


def test_single_phase_is_left_alone_and_a_missing_reference_is_an_error():
    alone = replace(trunk_scan(Phase.VP), phase=Phase.NC)
    study = align_phases([alone])
    assert study.scan.hu[Phase.NC] is alone.hu and not study.phases and not study.scan.valid
    with pytest.raises(InputError) as caught:
        align_phases([alone], reference=Phase.VP)
    assert caught.value.code == "MISSING_PHASE"
