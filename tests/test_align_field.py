import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from livercascade.alignment.displacement_field import DisplacementField, read_field, write_field
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume
from livercascade.io.nifti import write_nifti

GRID = Grid.axial((20, 30, 32), (5.0, 1.5, 1.5), (-20.0, -20.0, 3.0))


def oblique(angle=12.0):
    axes = Rotation.from_euler("xz", [angle, angle / 2], degrees=True).apply(np.eye(3)[::-1])
    return Grid(GRID.shape, GRID.spacing, GRID.origin, tuple(tuple(float(v) for v in axis) for axis in axes))


def smooth_field(grid=GRID, size=3.0, seed=0):
    rng = np.random.default_rng(seed)
    noise = [gaussian_filter(rng.normal(0, 1, grid.shape), (2, 6, 6)) for _ in range(3)]
    vectors = np.stack([size * n / np.abs(n).max() for n in noise], axis=-1)
    return DisplacementField(grid, vectors.astype(np.float32))


def volume(grid=GRID, seed=1):
    hu = gaussian_filter(np.random.default_rng(seed).normal(50, 500, grid.shape), 1.0)
    return PhaseVolume(Phase.AP, hu.astype(np.int16), grid)


@pytest.mark.parametrize("grid", [GRID, oblique()], ids=["axial", "oblique"])
def test_simpleitk_reads_the_field_and_warps_the_same(tmp_path, grid):
    field, moving = smooth_field(grid), volume(grid)
    write_field(tmp_path / "field.nii.gz", field)
    write_nifti(tmp_path / "moving.nii.gz", moving.hu, grid)
    image = sitk.ReadImage(str(tmp_path / "moving.nii.gz"))
    read = sitk.ReadImage(str(tmp_path / "field.nii.gz"), sitk.sitkVectorFloat64)
    assert np.allclose(sitk.GetArrayFromImage(read), field.vectors_mm, atol=1e-5)
    transform = sitk.DisplacementFieldTransform(read)
    points = grid.world(np.random.default_rng(2).uniform(2, 17, (20, 3)))
    moved = np.array([transform.TransformPoint(p) for p in points])
    assert np.allclose(points + field.at(points), moved, atol=1e-3)
    # Reading again, since the transform takes the image's pixels away.
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(tmp_path / "field.nii.gz"), sitk.sitkVectorFloat64))
    expected = sitk.GetArrayFromImage(
        sitk.Resample(image, image, transform, sitk.sitkLinear, -1024.0, sitk.sitkFloat32)
    )
    hu, valid = field.warp(moving)
    inner = np.zeros(GRID.shape, dtype=bool)
    inner[1:-1, 3:-3, 3:-3] = True
    both = inner & valid & (expected != -1024)
    assert both.mean() > 0.5 and np.abs(hu[both] - expected[both]).max() <= 1.01


def test_a_field_written_by_simpleitk_is_read(tmp_path):
    field = smooth_field(oblique())
    write_field(tmp_path / "one.nii.gz", field)
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "one.nii.gz")), str(tmp_path / "two.nii.gz"))
    back = read_field(tmp_path / "two.nii.gz")
    assert np.array_equal(back.vectors_mm, field.vectors_mm) and back.grid.matches(field.grid, 0.01)
    write_field(tmp_path / "again.nii.gz", field)
    assert (tmp_path / "again.nii.gz").read_bytes() == (tmp_path / "one.nii.gz").read_bytes()


def test_what_is_no_field_is_refused(tmp_path):
    write_nifti(tmp_path / "image.nii.gz", volume().hu, GRID)
    (tmp_path / "text.nii.gz").write_text("no")
    for name, code in (
        ("image.nii.gz", "NOT_A_FIELD"),
        ("text.nii.gz", "NOT_A_FIELD"),
        ("absent.nii.gz", "FILE_MISSING"),
    ):
        with pytest.raises(InputError) as caught:
            read_field(tmp_path / name)
        assert caught.value.code == code


def test_zero_field_on_the_same_grid_changes_nothing():
    moving = volume()
    hu, valid = DisplacementField.zero(GRID).warp(moving)
    assert np.array_equal(hu, np.maximum(moving.hu, -1024)) and valid.all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_translation_moves_by_whole_voxels_and_marks_what_is_outside(threads):
    moving = volume()
    vectors = np.broadcast_to(np.float32([3.0, -1.5, 10.0]), (*GRID.shape, 3))
    hu, valid = DisplacementField(GRID, np.ascontiguousarray(vectors)).warp(moving, threads=threads)
    assert np.array_equal(hu[:-2, 1:, :-2], np.maximum(moving.hu, -1024)[2:, :-1, 2:])
    assert valid[:-2, 1:, :-2].all() and not valid[-2:].any() and not valid[:, 0].any() and not valid[:, :, -2:].any()
    assert np.all(hu[~valid] == -1024)


def test_padding_round_the_field_of_view_is_not_data():
    moving = volume()
    y, x = np.ogrid[:30, :32]
    circle = (y - 14.5) ** 2 + (x - 15.5) ** 2 < 14**2
    for padding in (-1024, -2048, -3024):
        padded = PhaseVolume(Phase.AP, np.where(circle, moving.hu, padding).astype(np.int16), GRID)
        hu, valid = DisplacementField.zero(GRID).warp(padded)
        assert np.array_equal(valid, np.broadcast_to(circle, valid.shape)) and hu.min() >= -1024


def test_flipped_moving_phase_gives_the_same():
    moving, field = volume(), smooth_field()
    turned = Grid(
        GRID.shape,
        GRID.spacing,
        tuple(float(v) for v in GRID.world(np.array([19.0, 29.0, 31.0]))),
        tuple(tuple(-v for v in axis) for axis in GRID.direction),
    )
    flipped = PhaseVolume(Phase.AP, np.ascontiguousarray(moving.hu[::-1, ::-1, ::-1]), turned)
    one, other = field.warp(moving), field.warp(flipped)
    assert np.abs(one[0].astype(int) - other[0]).max() <= 1 and np.array_equal(one[1], other[1])


def test_thin_slices_are_averaged():
    thin = Grid.axial((100, 30, 32), (1.0, 1.5, 1.5), (-20.0, -20.0, 1.0))
    moving = PhaseVolume(Phase.NC, np.random.default_rng(0).normal(50, 40, thin.shape).astype(np.int16), thin)
    hu, valid = DisplacementField.zero(GRID).warp(moving)
    boxes = moving.hu.reshape(20, 5, 30, 32).mean(axis=1)
    assert valid.all() and np.abs(hu - boxes).max() <= 1


def test_composition_and_inverse():
    field = smooth_field()
    inverse = field.inverse()
    around = inverse.after(field).length_mm[2:-2, 4:-4, 4:-4]
    assert field.length_mm.max() > 2.5 and around.max() < 0.25
    points = GRID.world(np.random.default_rng(3).uniform(4, 15, (50, 3)))
    first, second = smooth_field(seed=4), smooth_field(seed=5)
    step = points + first.at(points)
    assert np.allclose(second.after(first).at(points), step + second.at(step) - points, atol=0.1)


@pytest.mark.parametrize("grid", [GRID, oblique()], ids=["axial", "oblique"])
def test_sampling_on_another_grid_keeps_a_linear_field(grid):
    slope = np.array([[0.01, 0.0, 0.02], [0.0, -0.03, 0.0], [0.01, 0.01, 0.0]])
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in grid.shape], indexing="ij"), axis=-1)
    field = DisplacementField(grid, (grid.world(index) @ slope).astype(np.float32))
    x, y, z = (float(v) for v in grid.world(np.array([8.0, 10.0, 10.0])))
    inner = Grid.axial((6, 8, 7), (3.0, 2.0, 2.0), (x, y, z))
    points = inner.world(
        np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in inner.shape], indexing="ij"), axis=-1)
    )
    assert np.allclose(field.on(inner, threads=2).vectors_mm, points @ slope, atol=1e-4)
    assert np.allclose(field.jacobian(), np.linalg.det(np.eye(3) + slope), atol=1e-4) and field.folded == 0


def test_jacobian_equals_that_of_simpleitk(tmp_path):
    # On axial grids only: SimpleITK takes the vectors' components to lie along the grid's axes.
    field = smooth_field(size=6.0)
    write_field(tmp_path / "field.nii.gz", field)
    image = sitk.ReadImage(str(tmp_path / "field.nii.gz"), sitk.sitkVectorFloat64)
    expected = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(image))
    inner = (slice(1, -1),) * 3
    assert np.allclose(field.jacobian(threads=2)[inner], expected[inner], atol=1e-3)


@pytest.mark.parametrize("size", [20.0, 200.0])
def test_folds_are_smoothed_away_and_the_rest_stays(size):
    field = smooth_field(size=2.0)
    vectors = field.vectors_mm.copy()
    vectors[10, 15, 8:14] += np.float32(size) * np.linspace(1, -1, 6)[:, None]
    folded = DisplacementField(GRID, vectors)
    assert folded.folded > 0
    mended = folded.unfolded()
    assert mended.jacobian().min() > 0
    assert mended.folded == 0 and field.unfolded().vectors_mm is field.vectors_mm
    if size < 100:
        assert np.array_equal(mended.vectors_mm[:, :, 28:], vectors[:, :, 28:])


def test_labels_follow_by_nearest_neighbour():
    labels = np.random.default_rng(0).integers(0, 14, GRID.shape).astype(np.uint8)
    vectors = np.broadcast_to(np.float32([1.5, 0.0, -5.0]), (*GRID.shape, 3))
    seen = DisplacementField(GRID, np.ascontiguousarray(vectors)).warp_labels(labels, GRID)
    assert np.array_equal(seen[1:, :, :-1], labels[:-1, :, 1:]) and not seen[0].any()
