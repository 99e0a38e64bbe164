import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from livercascade.data.errors import InputError
from livercascade.io.dicom_files import find_images
from livercascade.io.dicom_series import read_stack, stacks_of
from livercascade.io.study_reader import read_study
from livercascade.testing.ct_series import COLUMNS, PIXEL_MM, ROWS, SLICES, STEP_MM, CtSeries, body_hu, landmark_errors


def read_one(folder):
    study = read_study(folder)
    assert len(study.volumes) == 1
    return study.volumes[0], study


def codes(study):
    return {notice.code for notice in study.warnings}


def code_of(folder):
    with pytest.raises(InputError) as caught:
        read_study(folder)
    assert caught.value.remedy
    return caught.value


def at(index, **tags):
    def change(i, ds):
        if i == index:
            for name, value in tags.items():
                setattr(ds, name, value)

    return change


def without(index, *tags):
    def change(i, ds):
        if index in (i, None):
            for tag in tags:
                delattr(ds, tag)

    return change


def test_plain_series_has_landmarks_in_place_and_house_order(tmp_path):
    volume, study = read_one(CtSeries().write(tmp_path / "study one"))
    assert study.case_id == "study-one" and study.dicom
    assert volume.hu.shape == (SLICES, ROWS, COLUMNS)
    assert volume.grid.spacing == pytest.approx((STEP_MM, PIXEL_MM, PIXEL_MM))
    assert max(landmark_errors(volume.hu, volume.grid)) < 0.7
    z, y, x = np.indices(volume.hu.shape)
    exact = body_hu(volume.grid.world(np.stack([z, y, x], axis=-1).astype(float)))
    assert (np.abs(volume.hu - exact) > 0.5).mean() < 1e-3


@settings(max_examples=8)
@given(
    angles=st.tuples(*[st.floats(-30, 30)] * 3),
    turned=st.sampled_from(["head first", "feet first", "prone", "decubitus"]),
    seed=st.integers(0, 9),
)
def test_any_position_of_the_patient_keeps_landmarks(tmp_path_factory, angles, turned, seed):
    row, column = {
        "head first": ([1, 0, 0], [0, 1, 0]),
        "feet first": ([-1, 0, 0], [0, 1, 0]),
        "prone": ([-1, 0, 0], [0, -1, 0]),
        "decubitus": ([0, 1, 0], [-1, 0, 0]),
    }[turned]
    rotation = Rotation.from_euler("xyz", angles, degrees=True)
    numbers = np.random.default_rng(seed).permutation(SLICES)

    def shuffle(i, ds):
        ds.InstanceNumber = int(numbers[i])

    series = CtSeries(row=rotation.apply(row), column=rotation.apply(column), change=shuffle)
    images = find_images(series.write(tmp_path_factory.mktemp("d"))).images
    volume = read_stack(stacks_of(images).stacks[0])
    assert max(landmark_errors(volume.hu, volume.grid)) < 1.0
    towards = np.array(volume.grid.direction)
    assert towards[0, 2] > 0.5 and towards[1, 1] > 0.5 and towards[2, 0] > 0.5


def test_each_slice_has_its_own_rescale(tmp_path):
    def rescale(i, ds):
        stored = np.frombuffer(ds.PixelData, "<i2").astype(int) - 1024
        ds.RescaleSlope, ds.RescaleIntercept = (2, -2 * i) if i % 2 else (0.5, i)
        ds.PixelData = np.rint((stored - ds.RescaleIntercept) / ds.RescaleSlope).astype("<i2").tobytes()

    volume, _ = read_one(CtSeries(change=rescale).write(tmp_path / "s"))
    assert set(np.unique(volume.hu // 4 * 4)) <= {v // 4 * 4 for v in (-1000, -100, 45, 46, 300, 500, 650)}


def test_padding_becomes_outside_and_tissue_padding_is_not_believed(tmp_path):
    def pad(i, ds):
        stored = np.frombuffer(ds.PixelData, "<i2").copy().reshape(ROWS, COLUMNS)
        stored[:5] = -2000
        ds.PixelData = stored.tobytes()
        ds.PixelPaddingValue = 63536
        ds["PixelPaddingValue"].VR = "US"

    volume, _ = read_one(CtSeries(change=pad).write(tmp_path / "s"))
    assert np.all(volume.hu[:, :5] == -1024) and volume.hu.min() == -1024

    def wrong(i, ds):
        ds.PixelPaddingValue = 1024 + 45
        ds["PixelPaddingValue"].VR = "SS"

    volume, _ = read_one(CtSeries(change=wrong).write(tmp_path / "t"))
    assert (volume.hu == 45).mean() > 0.2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda i, ds: i != 9, "MISSING_SLICES"),
        (lambda i, ds: not 5 <= i <= 9, "MISSING_SLICES"),
        (at(4, Rows=32, Columns=40), "INCONSISTENT_MATRIX"),
        (at(4, PixelSpacing=[1.5, 1.5]), "INCONSISTENT_SPACING"),
        (at(4, ImageOrientationPatient=[0.99, 0.141, 0, -0.141, 0.99, 0]), "INCONSISTENT_ORIENTATION"),
        (without(4, "ImagePositionPatient"), "TAG_MISSING"),
        (without(None, "RescaleIntercept", "RescaleSlope"), "TAG_MISSING"),
        (at(4, RescaleSlope=0), "BAD_RESCALE"),
        (at(4, RescaleIntercept=-924), "HU_JUMP"),
        (lambda i, ds: setattr(ds, "PixelData", ds.PixelData[: 500 if i == 4 else None]), "TRUNCATED_FILE"),
        (lambda i, ds: setattr(ds, "Modality", "MR"), "WRONG_MODALITY"),
        (at(4, PatientID="B"), "MIXED_PATIENTS"),
        (at(4, StudyInstanceUID="1.2.3.5"), "MIXED_PATIENTS"),
        (lambda i, ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), "NOTHING_READABLE"),
        (lambda i, ds: setattr(ds, "RescaleIntercept", 0), "NOT_HU"),
        (lambda i, ds: setattr(ds, "Rows", 2000), "TOO_LARGE"),
    ],
)
def test_defects_are_refused_by_code(tmp_path, change, code):
    assert code_of(CtSeries(change=change).write(tmp_path / "s")).code == code


def test_gap_is_named(tmp_path):
    error = code_of(CtSeries(change=lambda i, ds: i != 9).write(tmp_path / "s"))
    below, above = (105 + (i - (SLICES - 1) / 2) * STEP_MM for i in (8, 10))
    assert f"{below:.1f} and {above:.1f} mm" in error.message and "1 of 22" in error.message


def test_gantry_tilt_tells_the_angle(tmp_path):
    shift = np.array([0, STEP_MM * np.tan(np.radians(15)), 0])
    error = code_of(CtSeries(shift=shift).write(tmp_path / "s"))
    assert error.code == "GANTRY_TILT" and "15.0 degrees" in error.message


def move(index, mm):
    def change(i, ds):
        if i in index:
            x, y, z = ds.ImagePositionPatient
            ds.ImagePositionPatient = [x, y, f"{float(z) + mm:.6f}"]

    return change


def test_variable_spacing_refused_and_jitter_accepted(tmp_path):
    assert code_of(CtSeries(change=move(range(11, 22), 1.1)).write(tmp_path / "a")).code == "VARIABLE_SPACING"
    read_one(CtSeries(change=move((3, 8), 0.01)).write(tmp_path / "b"))


def test_orientation_with_three_decimals_is_accepted(tmp_path):
    turn = Rotation.from_euler("z", 10, degrees=True)

    def cut(i, ds):
        if i % 2:
            ds.ImageOrientationPatient = [f"{v:.3f}" for v in ds.ImageOrientationPatient]

    series = CtSeries(row=turn.apply([1, 0, 0]), column=turn.apply([0, 1, 0]), change=cut)
    volume, _ = read_one(series.write(tmp_path / "s"))
    assert max(landmark_errors(volume.hu, volume.grid)) < 0.8


def test_one_more_slice_at_a_position_is_refused(tmp_path):
    folder = CtSeries().write(tmp_path / "s")
    extra = CtSeries(offset_hu=9).dataset(7)
    extra.SOPInstanceUID = extra.file_meta.MediaStorageSOPInstanceUID = "1.2.3.77"
    extra.save_as(folder / "x.dcm", enforce_file_format=True)
    assert code_of(folder).code == "DUPLICATE_POSITION"


def test_copy_is_dropped_and_false_copy_refused(tmp_path):
    folder = CtSeries().write(tmp_path / "s")
    shutil.copy(folder / "a007.dcm", folder / "copy.dcm")
    assert "DUPLICATE_DROPPED" in codes(read_one(folder)[1])
    other = CtSeries().dataset(7)
    other.PixelData = bytes(len(other.PixelData))
    other.save_as(folder / "copy.dcm", enforce_file_format=True)
    assert code_of(folder).code == "DUPLICATE_CONFLICT"


@pytest.mark.parametrize("told_by", ["AcquisitionNumber", "AcquisitionTime", "InstanceNumber"])
def test_two_acquisitions_in_one_series_are_split(tmp_path, told_by):
    def mark(number):
        def change(i, ds):
            ds.InstanceNumber = i + 1 + 100 * number
            if told_by == "AcquisitionNumber":
                ds.AcquisitionNumber = number
            if told_by == "AcquisitionTime":
                ds.AcquisitionTime = f"1200{30 * number - 30 + i // 10:02d}.500"
                ds.InstanceNumber = 1

        return change

    CtSeries(prefix="b", offset_hu=40, change=mark(2)).write(tmp_path / "s")
    CtSeries(prefix="c", offset_hu=0, change=mark(1)).write(tmp_path / "s")
    found = stacks_of(find_images(tmp_path / "s").images)
    assert [n.code for n in found.notices] == ["MULTI_ACQUISITION"]
    stacks = found.stacks
    hu = [read_stack(stack).hu for stack in stacks]
    assert [int(np.median(h[h > 0])) for h in hu] == [45, 85]
    assert [stack.part for stack in stacks] == [1, 2]


def test_steps_of_one_acquisition_with_own_numbers_stay_whole(tmp_path):
    def number(i, ds):
        ds.AcquisitionNumber = i

    images = find_images(CtSeries(change=number).write(tmp_path / "s")).images
    assert len(stacks_of(images).stacks) == 1


def test_junk_localizer_and_other_objects_are_counted(tmp_path):
    folder = CtSeries().write(tmp_path / "s")
    (folder / "sub").mkdir()
    (folder / "sub" / "notes.txt").write_text("hello")
    (folder / "empty").touch()
    scout = CtSeries(
        uid="1.2.3.4.8", slices=1, prefix="l", change=at(0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    scout.write(folder)
    CtSeries(uid="1.2.3.4.9", slices=2, prefix="m", change=lambda i, ds: setattr(ds, "Modality", "SEG")).write(folder)
    _, study = read_one(folder)
    text = {n.code: n.message for n in study.warnings}
    assert text["FILES_SKIPPED"].startswith("2 ") and text["LOCALIZER_DROPPED"].startswith("1 ")
    assert text["OBJECTS_SKIPPED"].startswith("2 ")


def test_short_series_is_set_aside_unless_alone(tmp_path):
    folder = CtSeries(description="portal venous").write(tmp_path / "s")
    CtSeries(uid="1.2.3.4.7", number=7, slices=4, prefix="k").write(folder)
    _, study = read_one(folder)
    assert [(u.name, u.code) for u in study.unused] == [("series 7", "TOO_FEW_SLICES")]
    _, alone = read_one(CtSeries(slices=8).write(tmp_path / "t"))
    assert "TOO_FEW_SLICES" in codes(alone)


def test_derived_images_give_way_to_original_ones(tmp_path):
    def derive(i, ds):
        ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]

    folder = CtSeries(uid="1.2.3.4.7", prefix="d", change=derive).write(tmp_path / "s")
    assert "DERIVED_USED" in codes(read_one(folder)[1])
    CtSeries(offset_hu=3).write(folder)
    volume, study = read_one(folder)
    assert "DERIVED_SKIPPED" in codes(study) and (volume.hu == 48).any()
    assert [u.code for u in study.unused] == ["DERIVED_SKIPPED"]


def test_lossy_input_is_told(tmp_path):
    _, study = read_one(CtSeries(change=at(3, LossyImageCompression="01")).write(tmp_path / "s"))
    assert "LOSSY_INPUT" in codes(study)


def test_cut_file_is_refused(tmp_path):
    folder = CtSeries().write(tmp_path / "s")
    data = (folder / "a005.dcm").read_bytes()
    (folder / "a005.dcm").write_bytes(data[: len(data) // 2])
    assert code_of(folder).code == "TRUNCATED_FILE"


def test_rle_reads_like_plain_and_unknown_syntax_is_refused(tmp_path):
    plain, _ = read_one(CtSeries().write(tmp_path / "a"))

    def rle(i, ds):
        ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)

    packed, _ = read_one(CtSeries(change=rle).write(tmp_path / "b"))
    assert np.array_equal(plain.hu, packed.hu)

    def video(i, ds):
        rle(i, ds)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"

    assert code_of(CtSeries(change=video).write(tmp_path / "c")).code == "UNSUPPORTED_SYNTAX"


def test_missing_codec_names_the_package_and_damaged_frame_is_refused(tmp_path, monkeypatch):
    def rle(i, ds):
        ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)

    folder = CtSeries(change=rle).write(tmp_path / "s")
    absent = SimpleNamespace(is_available=False, missing_dependencies=["python-gdcm"])
    with monkeypatch.context() as patch:
        patch.setattr("livercascade.io.dicom_pixels.get_decoder", lambda syntax: absent)
        error = code_of(folder)
    assert error.code == "CODEC_MISSING" and "python-gdcm" in error.remedy

    def damage(i, ds):
        rle(i, ds)
        if i == 3:
            ds.PixelData = ds.PixelData[:100] + bytes(len(ds.PixelData) - 108) + ds.PixelData[-8:]

    assert code_of(CtSeries(change=damage).write(tmp_path / "t")).code == "DECODE_FAILED"


def test_empty_folder_and_unknown_contents(tmp_path):
    assert code_of(tmp_path).code == "EMPTY_FOLDER"
    (tmp_path / "a.txt").write_text("x")
    assert code_of(tmp_path).code == "NOTHING_READABLE"
    assert code_of(tmp_path / "nothing").code == "FILE_MISSING"
