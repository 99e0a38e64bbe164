"""Files as they come: transfer syntaxes, enhanced images, padding, odd values, links, archives, several studies."""

import os
import stat
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from independent_reader import frames_by_highdicom, places_apart_mm, series_by_itk
from livercascade.cli.main import app
from livercascade.data.errors import InputError
from livercascade.data.labels import Phase
from livercascade.io import archive, dicom_header
from livercascade.io.dicom_header import read_images
from livercascade.io.dicom_pixels import slice_hu
from livercascade.io.study_reader import read_study, survey_study
from livercascade.io.study_sources import studies_in
from livercascade.testing.ct_series import COLUMNS, ROWS, SLICES, CtSeries, landmark_errors
from livercascade.testing.nifti_cases import write_array

TURN = Rotation.from_euler("xyz", (8, -12, 20), degrees=True)
TURNED = {"row": TURN.apply([1, 0, 0]), "column": TURN.apply([0, 1, 0])}
IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
RLE, JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"


def code_of(source):
    with pytest.raises(InputError) as caught:
        read_study(source)
    assert caught.value.remedy
    return caught.value.code


def only(source):
    (volume,) = read_study(source).volumes
    return volume


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return only(CtSeries(noise_hu=5).write(tmp_path_factory.mktemp("plain")))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, RLE, JPEG_LS, JPEG_2000])
def test_any_transfer_syntax_gives_the_same_voxels(tmp_path, plain, syntax):
    volume = only(CtSeries(noise_hu=5, syntax=syntax).write(tmp_path))
    assert np.array_equal(volume.hu, plain.hu) and volume.grid == plain.grid


@pytest.mark.parametrize("turned", [{}, TURNED], ids=["axial", "oblique"])
def test_an_independent_reader_has_the_same_voxels_at_the_same_place(tmp_path, turned):
    volume = only(CtSeries(noise_hu=5, **turned).write(tmp_path / "s"))
    assert places_apart_mm(volume.hu, volume.grid.affine, *series_by_itk(tmp_path / "s")) < 0.01


@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED, JPEG_LS])
@pytest.mark.parametrize("order", [None, np.random.default_rng(1).permutation(SLICES).tolist()], ids=["up", "shuffled"])
def test_enhanced_image_is_read_as_an_independent_reader_reads_it(tmp_path, syntax, order):
    path = CtSeries(noise_hu=5, syntax=syntax, **TURNED).write_enhanced(tmp_path / "e.dcm", order)
    volume = only(tmp_path)
    assert volume.hu.shape[0] == SLICES and max(landmark_errors(volume.hu, volume.grid)) < 1.0
    assert places_apart_mm(volume.hu, volume.grid.affine, *frames_by_highdicom(path)) < 0.01
    assert np.array_equal(only(path).hu, volume.hu)


def test_two_phases_of_one_enhanced_image_are_told_apart(tmp_path):
    def twice(i, ds):
        ds.AcquisitionNumber = 1 + i % 2

    heights = np.repeat(np.arange(SLICES) * 2.5 - 27, 2)
    CtSeries(heights=heights, noise_hu=5, change=twice).write_enhanced(tmp_path / "e.dcm")
    study = survey_study(tmp_path)
    assert study.warnings[0].code == "MULTI_ACQUISITION"
    assert {v.hu.shape[0] for v in study.volumes} == {SLICES}


def test_enhanced_image_that_miscounts_its_frames_is_refused(tmp_path):
    path = CtSeries().write_enhanced(tmp_path / "e.dcm")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"IS\x02\x0022", b"IS\x02\x0021"))
    assert code_of(path) in ("TAG_MISSING", "TOO_FEW_SLICES", "NOTHING_READABLE")


def test_a_jpeg_2000_stream_that_claims_another_size_is_not_decoded(tmp_path):
    def forge(i, ds):
        ds.compress(JPEG_2000, generate_instance_uid=False)
        at = ds.PixelData.index(b"\xff\x4f\xff\x51")
        ds.PixelData = ds.PixelData[: at + 8] + (60000).to_bytes(4, "big") * 2 + ds.PixelData[at + 16 :]

    for index in range(SLICES):
        dataset = CtSeries().dataset(index)
        forge(index, dataset)
        dataset.save_as(tmp_path / f"{index}.dcm", enforce_file_format=True)
    assert code_of(tmp_path) == "DECODE_FAILED"


def test_a_decoder_that_ends_its_process_does_not_end_ours(tmp_path, plain, monkeypatch, capfd):
    monkeypatch.setattr("livercascade.io.dicom_pixels._SAFE_DECODERS", ())
    folder = CtSeries(noise_hu=5, syntax=JPEG_LS).write(tmp_path)
    assert np.array_equal(only(folder).hu, plain.hu)
    path = folder / "a007.dcm"
    whole = path.read_bytes()
    at = whole.index(b"\xff\xd8\xff")
    for place in range(2, 40, 3):
        path.write_bytes(whole[: at + place] + bytes([whole[at + place] ^ 0x55]) + whole[at + place + 1 :])
        try:
            found = read_images(path)
            hu = slice_hu(found[0], "series 1") if found else None
        except InputError as error:
            assert error.code in ("DECODE_FAILED", "MALFORMED_DICOM", "TRUNCATED_FILE")
        else:
            assert hu is None or hu.shape == (ROWS, COLUMNS)
    assert not capfd.readouterr().err


def edited(folder, change, series=None):
    """A series whose files are changed byte by byte."""
    for path in sorted((series or CtSeries(noise_hu=5)).write(folder).iterdir()):
        path.write_bytes(change(path.read_bytes()))
    return folder


def with_syntax(data, value):
    """The file with another transfer syntax, padded to the length of the standard's implicit one."""
    at = data.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    group = 140
    size = int.from_bytes(data[group : group + 4], "little") - length + len(value)
    data = data[: at + 6] + len(value).to_bytes(2, "little") + value + data[at + 8 + length :]
    return data[:group] + size.to_bytes(4, "little") + data[group + 4 :]


def big_endian_pixels(data):
    start = data.index(b"\xe0\x7f\x10\x00") + 8
    return data[:start] + np.frombuffer(data[start:], "<u2").astype(">u2").tobytes()


ODD = {
    "empty": (IMPLICIT, lambda data: with_syntax(data, b"")),
    "a vendor's with big endian pixels": (
        IMPLICIT,
        lambda data: with_syntax(big_endian_pixels(data), b"1.2.840.113619.5.2"),
    ),
    "meta header without preamble": (EXPLICIT, lambda data: data[132:]),
    "neither meta header nor preamble": (
        EXPLICIT,
        lambda data: data[144 + int.from_bytes(data[140:144], "little") :],
    ),
    "the same, implicit": (IMPLICIT, lambda data: data[144 + int.from_bytes(data[140:144], "little") :]),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_transfer_syntaxes_and_headers(tmp_path, plain, kind):
    syntax, change = ODD[kind]
    volume = only(edited(tmp_path, change, CtSeries(noise_hu=5, syntax=syntax)))
    assert np.array_equal(volume.hu, plain.hu)


@pytest.mark.parametrize("uid", [b"1.3.46.670589.33.1\0", b"1.2.3", b"nonsense", b"\xff\xfe"])
def test_unknown_transfer_syntaxes_are_refused(tmp_path, uid):
    assert code_of(edited(tmp_path, lambda data: with_syntax(data, uid))) in ("UNSUPPORTED_SYNTAX", "MALFORMED_DICOM")


def raw(tag, vr, value):
    def change(i, ds):
        ds._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (raw(0x00200011, "IS", b"3.1 "), None),
        (raw(0x00200012, "IS", b"1.5 "), None),
        (raw(0x00200013, "IS", b"IM12"), None),
        (raw(0x00200011, "IS", b"456115117112105110101 "), None),
        (raw(0x00280008, "IS", b""), None),
        (raw(0x00200013, "IS", b"\xff\xfe\xfd "), None),
        (raw(0x00280103, "US", b"\x01\x00\x01\x00"), "BAD_VALUE"),
        (raw(0x00280002, "US", b"\x02\x00"), "NOTHING_READABLE"),
        (raw(0x00280010, "US", b"\x40\x00\x40\x00"), "BAD_VALUE"),
        (raw(0x00280100, "US", b"\x0c\x00"), "DECODE_FAILED"),
        (raw(0x00280101, "US", b"\x11\x00"), "DECODE_FAILED"),
        (raw(0x00281053, "DS", b"1,0 "), "BAD_VALUE"),
        (raw(0x00281053, "DS", b"1e999 "), "BAD_VALUE"),
        (raw(0x00281053, "DS", b"nan "), "BAD_VALUE"),
        (raw(0x00281054, "LO", b"MGML"), "NOT_HU"),
        (raw(0x00280030, "DS", b"-1.4\\1.4"), "BAD_VALUE"),
        (raw(0x00200037, "DS", b"0\\0\\0\\0\\0\\0 "), "BAD_VALUE"),
    ],
)
def test_odd_values_are_read_or_refused_by_code_without_a_warning(tmp_path, change, code):
    def put(i, ds):
        if "PixelRepresentation" in ds:
            change(i, ds)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CtSeries(change=put).write(tmp_path)
    if code is None:
        assert only(tmp_path).hu.shape[0] == SLICES
    else:
        assert code_of(tmp_path) == code


def stored_as(bits, change):
    """Pixels as unsigned words, changed by a function of the words and the data set."""

    def write(i, ds):
        words = np.frombuffer(ds.PixelData, "<i2").reshape(ROWS, COLUMNS).astype(int)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, 0
        ds.PixelData = change(words, ds).astype("<u2").tobytes()

    return write


ROUND = np.hypot(*np.meshgrid(np.arange(COLUMNS) - 39.5, np.arange(ROWS) - 31.5)) > 46
WIDE = np.hypot(*np.meshgrid(np.arange(COLUMNS) - 39.5, np.arange(ROWS) - 31.5)) > 38


def overlay(words, ds):
    words[20:30, 20:30] |= 0x1000
    return words


def signed12(words, ds):
    ds.PixelRepresentation, ds.RescaleIntercept = 1, 0
    return (words - 1024) & 0x0FFF


def left_justified(words, ds):
    ds.HighBit = 15
    return words << 4


@pytest.mark.parametrize("change", [overlay, signed12, left_justified])
def test_the_bits_of_a_pixel_are_its_own(tmp_path, plain, change):
    volume = only(CtSeries(noise_hu=5, change=stored_as(12, change)).write(tmp_path))
    assert np.array_equal(volume.hu, plain.hu)


def padded(value, mask, tag=None, vr="US", limit=None, intercept=-1024):
    def change(i, ds):
        words = np.frombuffer(ds.PixelData, "<i2").reshape(ROWS, COLUMNS).astype(int) - 1024 - intercept
        words[mask] = value + (i % 5 if limit else 0)
        signed = intercept == 0
        ds.RescaleIntercept, ds.PixelRepresentation = intercept, int(signed)
        ds.PixelData = words.astype("<i2" if signed else "<u2").tobytes()
        if tag is not None:
            ds.add_new(0x00280120, vr, tag)
        if limit is not None:
            ds.add_new(0x00280121, vr, limit)

    return change


@pytest.mark.parametrize("mask", [ROUND, WIDE], ids=["corners", "wide"])
@pytest.mark.parametrize(
    "options",
    [
        {"value": 63536, "tag": 63536},
        {"value": 63536, "tag": -2000, "vr": "SS"},
        {"value": 63536},
        {"value": 3000, "tag": 3000, "vr": "SS", "limit": 3005, "intercept": 0},
        {"value": 3000, "tag": 3005, "vr": "SS", "limit": 3000, "intercept": 0},
        {"value": -3024, "tag": -3024, "vr": "SS", "intercept": 0},
        {"value": 1024 + 45, "tag": 1024 + 45},
        {"value": 0, "tag": 0, "limit": 40},
    ],
    ids=lambda o: str(o),
)
def test_padding_is_outside_and_tissue_stays(tmp_path, mask, options):
    volume = only(CtSeries(change=padded(mask=mask, **options)).write(tmp_path))
    assert np.all(volume.hu[:, mask] == -1024)
    clean = volume.hu[:, ~mask]
    assert (clean == 45).mean() > 0.2 and clean.max() == 650


def test_values_beyond_any_ct_are_refused(tmp_path):
    def hot(i, ds):
        words = np.frombuffer(ds.PixelData, "<i2").astype("<u2").reshape(ROWS, COLUMNS)
        words[30, 30] = 63536
        ds.PixelRepresentation, ds.PixelData = 0, words.tobytes()

    assert code_of(CtSeries(change=hot).write(tmp_path)) == "NOT_HU"


def test_ct_in_another_class_is_read_with_a_notice(tmp_path):
    def captured(i, ds):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"

    study = read_study(CtSeries(change=captured).write(tmp_path / "sc"))
    assert "CLASS_ODD" in {n.code for n in study.warnings} and study.volumes[0].hu.shape[0] == SLICES

    def other(i, ds):
        ds.Modality = "OT"

    assert "MODALITY_ODD" in {n.code for n in read_study(CtSeries(change=other).write(tmp_path / "ot")).warnings}

    def picture(i, ds):
        captured(i, ds)
        del ds.RescaleSlope

    with pytest.raises(InputError, match=r"WRONG_MODALITY.*secondary captures"):
        read_study(CtSeries(change=picture).write(tmp_path / "page"))


def test_linked_folders_and_files_are_followed_once(tmp_path):
    CtSeries(description="venous").write(tmp_path / "store")
    study = tmp_path / "study"
    study.mkdir()
    (study / "vp").symlink_to(tmp_path / "store")
    (study / "again").symlink_to(tmp_path / "store")
    (study / "loop").symlink_to(study)
    assert only(study).hu.shape[0] == SLICES and not read_study(study).warnings
    files = tmp_path / "files"
    files.mkdir()
    for path in (tmp_path / "store").iterdir():
        (files / path.name).symlink_to(path)
    assert only(files).hu.shape[0] == SLICES
    (files / "a021.dcm").unlink()
    (files / "a021.dcm").symlink_to(tmp_path / "gone.dcm")
    assert code_of(files) == "CANNOT_READ"


def test_a_pipe_in_the_folder_is_no_file(tmp_path):
    CtSeries().write(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert only(tmp_path).hu.shape[0] == SLICES


def test_a_file_that_cannot_be_read_refuses_the_study_it_lies_in(tmp_path, monkeypatch):
    CtSeries().write(tmp_path)
    real = dicom_header.read_images

    def denied(path):
        if path.name == "a021.dcm":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("livercascade.io.dicom_files.read_images", denied)
    with pytest.raises(InputError, match=r"CANNOT_READ.*a021\.dcm"):
        read_study(tmp_path)


def test_a_damaged_file_beside_the_slices_refuses_and_elsewhere_it_does_not(tmp_path):
    CtSeries().write(tmp_path / "s")
    deep = b"\0" * 128 + b"DICM" + b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3
    bad = deep + b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 2000
    (tmp_path / "bad.dcm").write_bytes(bad)
    assert only(tmp_path).hu.shape[0] == SLICES
    (tmp_path / "s" / "bad.dcm").write_bytes(bad)
    assert code_of(tmp_path) == "MALFORMED_DICOM"


@pytest.mark.parametrize("tag", [b"\x08\x00\x3e\x10", b"\x20\x00\x32\x00", b"\x10\x00\x10\x00"])
@pytest.mark.parametrize("length", [0xFFFFFFF0, 0x7FFFFFFF, 0xFFFF])
def test_an_element_that_claims_more_than_the_file_holds_is_refused(tmp_path, tag, length):
    def claim(data):
        at = data.index(tag) + 4
        # Unknown, with a long length.
        return data[:at] + b"UN\0\0" + length.to_bytes(4, "little") + data[at + 4 :]

    assert code_of(edited(tmp_path, claim, CtSeries(description="venous"))) == "MALFORMED_DICOM"


def test_a_deflated_bomb_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_header, "MAX_INFLATED_BYTES", 1 << 22)
    path = CtSeries(slices=1, syntax=DEFLATED).write(tmp_path) / "a000.dcm"
    data = path.read_bytes()
    body = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(data[:body] + packer.compress(bytes(1 << 24)) + packer.flush())
    with pytest.raises(InputError, match="TOO_LARGE"):
        read_images(path)


def zipped(folder, path, extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                made.write(file, file.relative_to(folder.parent))
        for info, data in extra:
            made.writestr(info, data)
    return path


def test_a_zip_is_read_as_its_folder_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    folder = CtSeries(noise_hu=5).write(tmp_path / "study")
    study = read_study(zipped(folder, tmp_path / "scan.zip"))
    assert study.case_id == "scan" and np.array_equal(study.volumes[0].hu, only(folder).hu)
    assert all(image.path.is_file() for image in next(iter(study.slices.values())).images)
    del study
    assert not list((tmp_path / "tmp").iterdir())


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "extra",
    [
        ("../evil.dcm", b"x"),
        ("/etc/evil", b"x"),
        ("a/../../evil", b"x"),
        ("C:\\evil", b"x"),
        (link("a"), b"/etc/passwd"),
    ],
    ids=str,
)
def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path, extra):
    folder = CtSeries(slices=2).write(tmp_path / "study")
    assert code_of(zipped(folder, tmp_path / "s.zip", [extra])) == "UNSAFE_ARCHIVE"
    assert not (tmp_path / "evil.dcm").exists()


def test_bombs_and_damaged_archives_are_refused(tmp_path, monkeypatch):
    folder = CtSeries(slices=2).write(tmp_path / "study")
    assert code_of(zipped(folder, tmp_path / "bomb.zip", [("zeros", bytes(1 << 25))])) == "TOO_LARGE"
    whole = zipped(folder, tmp_path / "cut.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    assert code_of(tmp_path / "cut.zip") == "DAMAGED_ARCHIVE"
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    assert code_of(zipped(folder, tmp_path / "many.zip")) == "TOO_LARGE"


def test_the_index_of_a_cd_leads_to_its_images(tmp_path):
    def index(i, ds):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"

    CtSeries(description="venous").write(tmp_path / "DICOM" / "ST0" / "SE0")
    (CtSeries(slices=1, prefix="i", change=index).write(tmp_path) / "i000.dcm").rename(tmp_path / "DICOMDIR")
    for source in (tmp_path, tmp_path / "DICOMDIR"):
        study = read_study(source)
        assert study.volumes[0].phase is Phase.VP and not study.warnings


def test_several_studies_in_one_folder(tmp_path):
    for number in (1, 2):
        series = CtSeries(study=f"1.2.{number}", uid=f"1.2.{number}.1", patient=f"P{number}", prefix=f"s{number}")
        series.write(tmp_path / "flat")
        series.write(tmp_path / "nested" / f"visit {number}" / "SE1")
    assert code_of(tmp_path / "flat") == "MIXED_PATIENTS"
    flat, nested = (studies_in(tmp_path / name) for name in ("flat", "nested"))
    assert [one.case_id for one in nested] == ["visit-1-SE1", "visit-2-SE1"]
    assert len({one.case_id for one in flat}) == 2 and all(one.case_id.startswith("flat-") for one in flat)
    assert [read_study(one).volumes[0].hu.shape[0] for one in flat] == [SLICES] * 2
    out = CliRunner().invoke(app, ["convert", str(tmp_path / "nested"), "--out", str(tmp_path / "out")])
    assert out.exit_code == 0, out.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["visit-1-SE1", "visit-2-SE1"]


def ct(value):
    hu = np.full((8, 16, 18), -1000, dtype=np.int16)
    hu[:, 3:13, 3:13], hu[:, 5:11, 5:11] = -100, value
    return hu


def test_names_of_nnunet_and_their_channels(tmp_path):
    for case in ("liver_1", "liver_2"):
        for channel in range(4):
            write_array(tmp_path / "four" / f"{case}_{channel:04d}.nii.gz", ct(40 + channel))
    one, two = studies_in(tmp_path / "four")
    study = read_study(one)
    assert (one.case_id, two.case_id) == ("liver_1", "liver_2") and [v.phase for v in study.volumes] == list(Phase)
    assert [n.code for n in study.warnings] == ["PHASE_ASSUMED"]
    write_array(tmp_path / "two" / "a_0000.nii.gz", ct(40))
    write_array(tmp_path / "two" / "a_0001.nii.gz", ct(41))
    assert code_of(tmp_path / "two") == "PHASE_UNKNOWN"
    (tmp_path / "two" / "dataset.json").write_text('{"channel_names": {"0": "portal venous", "1": "NC"}}')
    assert {v.phase: int(v.hu.max()) for v in read_study(tmp_path / "two").volumes} == {Phase.NC: 41, Phase.VP: 40}
    (one,) = studies_in(tmp_path / "two", (Phase.AP, Phase.DP))
    assert [v.phase for v in read_study(one).volumes] == [Phase.AP, Phase.DP]


def test_one_file_of_several_volumes_needs_the_names_of_its_phases(tmp_path):
    import nibabel as nib

    volumes = np.stack([ct(40 + k).transpose(2, 1, 0) for k in range(3)], axis=-1)
    nib.save(nib.Nifti1Image(volumes, np.diag([-1.4, -1.4, 5, 1])), tmp_path / "all.nii.gz")
    assert code_of(tmp_path / "all.nii.gz") == "WRONG_DIMS"
    (one,) = studies_in(tmp_path / "all.nii.gz", (Phase.VP, Phase.NC, Phase.AP))
    study = read_study(one)
    assert {v.phase: int(v.hu.max()) for v in study.volumes} == {Phase.NC: 41, Phase.AP: 42, Phase.VP: 40}
    assert len({v.sha256 for v in study.volumes}) == 3
    with pytest.raises(InputError, match="PHASE_AMBIGUOUS"):
        studies_in(tmp_path / "all.nii.gz", (Phase.VP, Phase.NC))


def test_equal_files_are_no_two_phases(tmp_path):
    for name in ("ap", "vp"):
        write_array(tmp_path / f"{name}.nii.gz", ct(50))
    assert code_of(tmp_path) == "EQUAL_PHASES"


def test_names_in_another_encoding_are_shown_and_do_no_harm(tmp_path):
    write_array(tmp_path / "x.nii.gz", ct(50))
    name = os.fsdecode(b"vp_M\xfcller.nii.gz")
    (tmp_path / "x.nii.gz").rename(tmp_path / name)
    study = read_study(tmp_path / name)
    texts = [study.case_id, study.volumes[0].description, *(n.message for n in study.warnings)]
    assert all(text.encode() for text in texts) and "M\ufffdller" in study.volumes[0].description
