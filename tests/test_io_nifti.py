import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.io.nifti import read_ct, read_labels, read_nifti, write_nifti, write_slabs
from livercascade.testing.strategies import grids

AFFINE = np.diag([-1.5, -1.5, 4.0, 1.0])


def ct(shape=(20, 24, 9)):
    """Air, fat and soft tissue in slabs, [i, j, k]."""
    hu = np.full(shape, -1000, dtype=np.int16)
    hu[4:16] = -100
    hu[6:14] = 50
    hu[7, 8, 3] = 300
    return hu


def save(path, array, affine=AFFINE, *, sform=1, qform=1):
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    path.write_bytes(gzip.compress(image.to_bytes()))
    return path


def edit(path, **fields):
    data = bytearray(gzip.decompress(path.read_bytes()))
    header = np.frombuffer(bytes(data[:348]), nib.Nifti1Header.template_dtype).copy()
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.tobytes()
    path.write_bytes(gzip.compress(bytes(data)))
    return path


def code_of(path, read=read_nifti):
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.remedy and path.name in caught.value.message
    return caught.value.code


@settings(max_examples=40)
@given(grid=grids((5, 6, 7)), seed=st.integers(0, 99), packed=st.booleans())
def test_write_then_read_is_identity(tmp_path_factory, grid, seed, packed):
    path = tmp_path_factory.mktemp("n") / ("a.nii.gz" if packed else "a.nii")
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 14, grid.shape, dtype=np.uint8)
    write_nifti(path, labels, grid)
    back, placed = read_labels(path)
    assert np.array_equal(back, labels) and placed.matches(grid, 0.01)
    hu = rng.choice(np.array([-1000, -80, 20, 60, 200], dtype=np.int16), grid.shape)
    write_nifti(path, hu, grid)
    back, placed = read_nifti(path)
    assert np.array_equal(back, hu) and placed.matches(grid, 0.01)


@settings(max_examples=24)
@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_stored_order_of_axes_does_not_matter(tmp_path_factory, order, flips):
    path = tmp_path_factory.mktemp("n") / "a.nii.gz"
    image = nib.Nifti1Image(ct(), AFFINE)
    codes = [("RL", "AP", "SI")[axis][int(flip)] for axis, flip in zip(order, flips, strict=True)]
    target = nib.orientations.axcodes2ornt(codes)
    moved = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(AFFINE), target))
    hu, grid = read_nifti(save(path, np.asarray(moved.dataobj), moved.affine))
    spot = np.argwhere(hu == 300)
    assert len(spot) == 1
    # RAS to LPS of stored voxel (7, 8, 3), worked out by hand.
    assert grid.world(spot[0].astype(float)) == pytest.approx([7 * 1.5, 8 * 1.5, 3 * 4.0], abs=1e-4)
    assert np.allclose(grid.direction, [(0, 0, 1), (0, 1, 0), (1, 0, 0)])


def test_same_input_gives_same_bytes(tmp_path):
    grid = Grid.axial((4, 5, 6), (2.0, 1.0, 1.0))
    array = np.zeros(grid.shape, dtype=np.float32)
    for name in "ab":
        write_nifti(tmp_path / f"{name}.nii.gz", array, grid)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    header = nib.load(tmp_path / "a.nii.gz").header
    assert header["qform_code"] == header["sform_code"] == 1


@settings(max_examples=40)
@given(
    grid=grids((5, 6, 7)),
    dtype=st.sampled_from(["uint8", "int16", "int32", "float32"]),
    cuts=st.sets(st.integers(1, 4)),
    seed=st.integers(0, 99),
)
def test_files_are_those_nibabel_writes_however_the_image_is_cut(tmp_path_factory, grid, dtype, cuts, seed):
    folder = tmp_path_factory.mktemp("n")
    array = np.random.default_rng(seed).integers(0, 9, grid.shape).astype(dtype)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(np.transpose(array), affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1, strip_shears=True)
    image.header.set_xyzt_units("mm")
    for name in ("a.nii", "a.nii.gz"):
        write_slabs(folder / name, np.split(array, sorted(cuts)), array.dtype, grid)
        written = (folder / name).read_bytes()
        assert (gzip.decompress(written) if name.endswith("gz") else written) == image.to_bytes()
        write_nifti(folder / name, array, grid)
        assert (folder / name).read_bytes() == written


def test_slabs_that_do_not_make_up_the_image_are_refused(tmp_path):
    grid, path = Grid.axial((4, 5, 6), (2.0, 1.0, 1.0)), tmp_path / "a.nii.gz"
    good = np.zeros((2, 5, 6), dtype=np.uint8)
    for bad in ([good], [good] * 3, [good, good[:, 1:]], [good, good.astype(np.int16)]):
        with pytest.raises(ValueError):
            write_slabs(path, bad, np.uint8, grid)
    with pytest.raises(ValueError):
        write_slabs(path, [], np.float64, grid)


def test_what_cannot_be_written_is_refused(tmp_path):
    grid = Grid.axial((4, 5, 6), (2.0, 1.0, 1.0))
    with pytest.raises(ValueError):
        write_nifti(tmp_path / "a.nii", np.zeros(grid.shape, dtype=np.float64), grid)
    with pytest.raises(ValueError):
        write_nifti(tmp_path / "a.nii", np.zeros((4, 5, 7), dtype=np.uint8), grid)


def test_damaged_files(tmp_path):
    path = tmp_path / "a.nii.gz"
    assert code_of(path) == "FILE_MISSING"
    rng = np.random.default_rng(0)
    good = save(path, (ct() + rng.integers(-9, 9, ct().shape)).astype(np.int16)).read_bytes()
    for cut in (10, 200, len(good) // 2, len(good) - 4):
        path.write_bytes(good[:cut])
        assert code_of(path) == "TRUNCATED_FILE", cut
    path.write_bytes(gzip.decompress(good)[:-100])
    assert code_of(path) == "TRUNCATED_FILE"
    path.write_bytes(b"not an image at all" * 100)
    assert code_of(path) == "NOT_NIFTI"


def test_plain_file_named_gz_is_read(tmp_path):
    path = save(tmp_path / "a.nii.gz", ct())
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert read_nifti(path)[0].shape == (9, 24, 20)


def test_header_that_claims_too_much(tmp_path):
    path = save(tmp_path / "a.nii.gz", ct())
    assert code_of(edit(path, dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])) == "TOO_LARGE"
    assert code_of(edit(path, dim=[3, 1024, 1024, 3000, 1, 1, 1, 1])) == "TOO_LARGE"


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (ct()[..., None, None], None),
        (np.stack([ct()] * 2, -1), "WRONG_DIMS"),
        (ct()[..., 0], "WRONG_DIMS"),
        (ct().astype(np.complex64), "WRONG_DIMS"),
        (np.zeros((20, 20, 9), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "WRONG_DIMS"),
        (np.zeros((1, 1, 1), np.int16), "EMPTY_IMAGE"),
        (np.full((20, 20, 9), 7, np.int16), "EMPTY_IMAGE"),
        ((ct() + 1024).astype(np.int16), "NOT_HU"),
        (((ct() + 1000) / 1300).astype(np.float32), "NOT_HU"),
        (((ct() + 1000) * 255 / 1300).astype(np.uint8), "NOT_HU"),
        ((ct() > 0).astype(np.uint8) * 7, "NOT_HU"),
        (np.where(ct() > 0, np.nan, ct()).astype(np.float32), "BAD_VALUES"),
    ],
)
def test_contents(tmp_path, array, code):
    path = save(tmp_path / "a.nii.gz", array)
    if code is None:
        assert read_nifti(path)[0].shape == (9, 24, 20)
    else:
        assert code_of(path) == code


def test_shift_by_1024_under_padding_is_seen(tmp_path):
    hu = ct() + 1024
    hu[0] = -976
    assert code_of(save(tmp_path / "a.nii.gz", hu.astype(np.int16))) == "NOT_HU"


def test_few_bad_voxels_are_filled_with_a_notice(tmp_path):
    hu = ct().astype(np.float32)
    hu[0, 0, 0], hu[10, 10, 5] = np.inf, np.nan
    read, _, notices = read_ct(save(tmp_path / "a.nii.gz", hu))
    assert (read == -1024).sum() == 2 and [n.code for n in notices] == ["BAD_VALUES"]


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_senseless_slope_counts_as_one(tmp_path, slope):
    path = edit(save(tmp_path / "a.nii.gz", ct()), scl_slope=slope)
    assert read_nifti(path)[0].max() == 300


def test_slope_is_applied_and_low_values_clipped(tmp_path):
    path = edit(save(tmp_path / "a.nii.gz", (ct() * 2 + 100).astype(np.int16)), scl_slope=0.5, scl_inter=-50)
    hu, _ = read_nifti(path)
    assert sorted(np.unique(hu)) == [-1000, -100, 50, 300]
    low = ct()
    low[:2] = -3024
    assert read_nifti(save(path, low))[0].min() == -1024


def affine(*rows):
    return np.vstack([np.array(rows, dtype=float), [0, 0, 0, 1]])


def test_affines(tmp_path):
    path = tmp_path / "a.nii.gz"
    sheared = affine([1.5, 0.3, 0, 0], [0, 1.5, 0, 0], [0, 0, 4, 0])
    image = nib.Nifti1Image(ct(), None)
    image.set_sform(sheared, 1)
    path.write_bytes(gzip.compress(image.to_bytes()))
    assert code_of(path) == "SHEARED"
    assert code_of(edit(save(path, ct()), srow_x=[0, 0, 0, 0])) == "BAD_AFFINE"
    assert code_of(edit(save(path, ct()), srow_x=[np.nan, 0, 0, 0])) == "BAD_AFFINE"
    assert code_of(edit(save(path, ct()), srow_x=[0, -1.5, 0, 0], qform_code=0)) == "BAD_AFFINE"
    assert code_of(save(path, ct(), sform=0, qform=0)) == "BAD_AFFINE"
    assert code_of(edit(save(path, ct()), pixdim=[1, 3, 3, 8, 0, 0, 0, 0])) == "AFFINE_CONFLICT"
    assert code_of(edit(save(path, ct()), magic=b"n+1a")) == "NOT_NIFTI"
    for unit in (1, 3):
        assert code_of(edit(save(path, ct()), xyzt_units=unit)) == "BAD_SPACING"
    for offset in (1, 348, 351, 352.5, -1, np.nan, np.inf):
        assert code_of(edit(save(path, ct()), vox_offset=offset)) == "NOT_NIFTI"
    for bad in (0.0015, 1500.0):
        assert code_of(save(path, ct(), np.diag([bad, bad, 4 * bad / 1.5, 1]))) == "BAD_SPACING"


def test_label_maps_hold_labels_only(tmp_path):
    path = tmp_path / "a.nii.gz"
    for bad in (
        np.full((4, 4, 4), 14, np.int16),
        np.full((4, 4, 4), -1, np.int16),
        np.full((4, 4, 4), 0.5, np.float32),
    ):
        assert code_of(save(path, bad), read_labels) == "BAD_VALUES"
    assert read_labels(save(path, np.zeros((4, 4, 4), np.float32)))[0].dtype == np.uint8


def placed(path):
    hu, grid, notices = read_ct(path)
    spot = np.argwhere(hu == 300)
    assert len(spot) == 1
    return grid.world(spot[0].astype(float)).tolist(), [n.code for n in notices]


def test_odd_forms_are_read_as_the_standard_says_or_told(tmp_path):
    path, turned = tmp_path / "a.nii.gz", np.diag([1.5, -1.5, 4.0, 1.0])
    here = pytest.approx([7 * 1.5, 8 * 1.5, 3 * 4.0], abs=1e-4)
    assert placed(save(path, ct())) == (here, [])
    # No qfac counts as 1: a qform alone is right-handed then, and beside an sform it was never written.
    assert placed(edit(save(path, ct(), sform=0), pixdim=[0, 1.5, 1.5, 4, 0, 0, 0, 0]))[0] == here
    mirrored = edit(save(path, ct(), turned), pixdim=[0, 1.5, 1.5, 4, 0, 0, 0, 0])
    assert placed(mirrored)[1] == ["QFORM_IGNORED"]
    unset = dict.fromkeys(("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"), 0)
    assert placed(edit(save(path, ct()), **unset)) == (here, ["QFORM_IGNORED"])
    rows = {key: [0, 0, 0, 0] for key in ("srow_x", "srow_y", "srow_z")}
    assert placed(edit(save(path, ct()), **rows)) == (here, ["SFORM_IGNORED"])
    assert placed(edit(save(path, ct()), pixdim=[1, 1.5, -1.5, -4, 0, 0, 0, 0])) == (here, [])
    assert placed(edit(save(path, ct()), vox_offset=0)) == (here, [])


def test_a_file_without_the_right_to_read_it_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "vp.nii.gz", ct())

    def denied(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    assert code_of(path) == "CANNOT_READ"
