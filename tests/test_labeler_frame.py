from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from labeler_project import SHAPE, lps_affine, phantom_labels, save
from livercascade.labeler.imaging.decoded_volume import volume_of_file
from livercascade.labeler.imaging.frame import Frame, label_file_bytes
from livercascade.labeler.project.versions import NewVersion, Versions

CODES = [
    "".join(("RL", "AP", "SI")[axis][flip] for axis, flip in zip(order, flips, strict=True))
    for order in permutations(range(3))
    for flips in product((0, 1), repeat=3)
]
OBLIQUE = Rotation.from_euler("xyz", [12, 0, 5], degrees=True).as_matrix()


@pytest.mark.parametrize("turn", [None, OBLIQUE], ids=["straight", "oblique"])
def test_48_orientations_show_the_same_and_an_edit_lands_on_its_voxel(tmp_path, turn):
    assert len(set(CODES)) == 48
    display = phantom_labels()
    place = (6, 11, 30)
    world = (lps_affine(turn) @ [place[2], place[1], place[0], 1])[:3]
    for codes in CODES:
        path = save(tmp_path / f"{codes}.nii.gz", display, codes=codes, turn=turn)
        frame = Frame.of_file(path)
        assert frame.stored_codes == codes and frame.grid.shape == SHAPE
        assert frame.oblique_deg == (0 if turn is None else pytest.approx(13.0, abs=0.2))
        source = nib.load(path)
        stored = np.asarray(source.dataobj)
        assert np.array_equal(frame.stored(display), stored), codes
        edited = display.copy()
        edited[place] = 2
        out = tmp_path / "out.nii"
        out.write_bytes(label_file_bytes(edited, frame, keep_type=True))
        saved = nib.load(out)
        changed = np.argwhere(np.asarray(saved.dataobj) != stored)
        assert len(changed) == 1
        # Where the voxel lies in the patient is asked of nibabel, from the file alone.
        assert nib.affines.apply_affine(saved.affine, changed[0]) == pytest.approx(world, abs=1e-3)
        assert np.array_equal(saved.affine, source.affine) and saved.shape == source.shape
        assert saved.get_data_dtype() == source.get_data_dtype()
        assert [int(saved.header[k]) for k in ("qform_code", "sform_code")] == [1, 1]


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIR", "SAR"])
def test_simpleitk_reads_the_same_geometry(tmp_path, codes):
    path = save(tmp_path / "a.nii.gz", phantom_labels(), codes=codes, turn=OBLIQUE)
    out = tmp_path / "out.nii"
    out.write_bytes(label_file_bytes(phantom_labels(), Frame.of_file(path), keep_type=True))
    one, other = (sitk.ReadImage(str(p)) for p in (path, out))
    assert one.GetSize() == other.GetSize() and one.GetPixelID() == other.GetPixelID()
    for get in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(one, get)() == pytest.approx(getattr(other, get)(), abs=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))


@pytest.mark.parametrize(("codes", "slab"), [("LPS", True), ("RAI", True), ("SAR", False)])
def test_volume_is_decoded_in_display_order(tmp_path, codes, slab):
    from labeler_project import phantom_hu

    hu = phantom_hu(np.random.default_rng(0), 100)
    volume = volume_of_file(save(tmp_path / "vp.nii.gz", hu, codes=codes), tmp_path / "cache")
    assert np.array_equal(volume.slab(3, 5), hu[3:5]) and np.array_equal(volume.whole(), hu)
    stored = np.load(volume.cache)
    assert stored.dtype == np.int16 and np.array_equal(stored, hu)
    again = volume_of_file(tmp_path / "vp.nii.gz", tmp_path / "cache")
    assert np.array_equal(again.whole(), hu)


def test_type_of_the_source_mask_is_kept_and_that_of_a_ct_is_not(tmp_path):
    path = save(tmp_path / "labels.nii.gz", phantom_labels().astype(np.int16))
    for keep, dtype in ((True, np.int16), (False, np.uint8)):
        versions = Versions(tmp_path / f"{keep}", Frame.of_file(path), keep_type=keep)
        mask = phantom_labels()
        mask[0, 0, 0] = 5
        record = versions.add(mask, phantom_labels(), NewVersion("labels", "mia", "edit"))
        saved = nib.load(versions.mask_file(record.ref))
        assert saved.get_data_dtype() == dtype and record.voxels_changed == 1
        assert [r.ref for r in Versions(tmp_path / f"{keep}", None).all()] == ["v1"]
