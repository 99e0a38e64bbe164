import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume
from livercascade.io.reference_grid import resample, to_scan
from livercascade.io.study import Study


def ramp(grid, gradient=(3.0, -2.0, 1.0)):
    """HU that grows linearly in LPS: linear interpolation must keep it exactly."""
    index = np.stack(np.indices(grid.shape), axis=-1).astype(float)
    return (grid.world(index) @ np.array(gradient)).round().astype(np.int16)


def study(**volumes):
    phases = tuple(PhaseVolume(Phase[name], hu, grid) for name, (hu, grid) in volumes.items())
    return Study("case", phases, (), (), dicom=False)


BASE = Grid.axial((20, 30, 32), (5.0, 1.5, 1.5), (-20.0, -20.0, 0.0))


@settings(max_examples=25)
@given(
    shift=st.tuples(*[st.floats(-6, 6)] * 3),
    spacing=st.tuples(st.floats(1, 8), st.floats(0.8, 3), st.floats(0.8, 3)),
    angle=st.sampled_from([0.0, 0.0, 8.0, -15.0]),
)
def test_a_ramp_stays_a_ramp_inside(shift, spacing, angle):
    axes = Rotation.from_euler("xz", [angle, angle / 2], degrees=True).apply(np.eye(3)[::-1])
    direction = tuple(tuple(float(v) for v in axis) for axis in axes)
    moving = Grid(
        (int(100 / spacing[0]) + 2, int(50 / spacing[1]) + 2, int(50 / spacing[2]) + 2), spacing, shift, direction
    )
    hu, inside = resample(PhaseVolume(Phase.NC, ramp(moving), moving), BASE)
    index = moving.voxel(BASE.world(np.stack(np.indices(BASE.shape), axis=-1).reshape(-1, 3).astype(float)))
    sizes = np.array(moving.shape)
    exact_inside = ((index >= -0.5) & (index <= sizes - 0.5)).all(axis=1).reshape(BASE.shape)
    assert (inside != exact_inside).mean() < 0.01
    assert np.all(hu[~inside] == -1024)
    margin = np.array(BASE.spacing).max() / np.array(spacing) + 1
    deep = ((index >= margin) & (index <= sizes - 1 - margin)).all(axis=1).reshape(BASE.shape)
    if deep.any():
        assert np.abs(hu[deep].astype(int) - ramp(BASE)[deep]).max() <= 2


def test_equals_scipy_where_nothing_is_averaged():
    rng = np.random.default_rng(1)
    moving = Grid.axial((12, 20, 20), (9.0, 2.5, 2.5), (-21.0, -22.5, -3.0))
    hu = rng.integers(-100, 200, moving.shape).astype(np.int16)
    got, inside = resample(PhaseVolume(Phase.NC, hu, moving), BASE)
    index = moving.voxel(BASE.world(np.stack(np.indices(BASE.shape), axis=-1).reshape(-1, 3).astype(float)))
    oracle = map_coordinates(hu.astype(float), index.T, order=1, mode="nearest").reshape(BASE.shape)
    assert np.abs(got - oracle)[inside].max() <= 0.51


def test_thin_slices_are_averaged():
    rng = np.random.default_rng(2)
    thin = Grid.axial((100, 30, 32), (1.0, 1.5, 1.5), (-20.0, -20.0, -2.0))
    hu = rng.normal(50, 40, thin.shape).astype(np.int16)
    got, inside = resample(PhaseVolume(Phase.NC, hu, thin), BASE)
    assert inside.all()
    boxes = hu.reshape(20, 5, 30, 32).mean(axis=1)
    assert np.corrcoef(got.ravel(), boxes.ravel())[0, 1] > 0.95
    assert got.std() < 0.55 * hu.std()


def test_same_grid_is_not_copied_and_other_grid_is_told():
    hu = ramp(BASE)
    other = Grid.axial((22, 30, 32), (5.0, 1.5, 1.5), (-20.0, -20.0, 2.0))
    scan, notices = to_scan(study(NC=(ramp(other), other), AP=(hu + 1, BASE), VP=(hu, BASE)))
    assert scan.reference is Phase.VP and scan.hu[Phase.VP] is hu
    assert set(scan.valid) == {Phase.NC} and [n.code for n in notices] == ["NOT_ALIGNED"]
    assert scan.phases == (Phase.NC, Phase.AP, Phase.VP)


def test_phase_that_hardly_overlaps_is_left_out():
    far = Grid.axial((20, 30, 32), (5.0, 1.5, 1.5), (-20.0, -20.0, 70.0))
    scan, notices = to_scan(study(AP=(ramp(far), far), VP=(ramp(BASE), BASE)))
    assert scan.phases == (Phase.VP,) and [n.code for n in notices] == ["PHASE_NO_OVERLAP"]


def test_reference_falls_back_and_can_be_named():
    nc, dp = (ramp(BASE), BASE), (ramp(BASE), BASE)
    assert to_scan(study(NC=nc, DP=dp))[0].reference is Phase.DP
    assert to_scan(study(NC=nc, DP=dp), Phase.NC)[0].reference is Phase.NC
    for absent in (study(), study(NC=nc)):
        with pytest.raises(InputError) as caught:
            to_scan(absent, Phase.VP)
        assert caught.value.code == "MISSING_PHASE"
