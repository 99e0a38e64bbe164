"""DICOM results of cases whose lesions lie at known places, read back by highdicom, pydicom, dciodvfy and poppler."""

import io
import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.sr.codedict import codes as dictionary

from livercascade.data.errors import UsageError
from livercascade.data.labels import NUM_CLASSES, Phase, label_name
from livercascade.dicom.codes import DicomCodes, default_codes, read_codes
from livercascade.dicom.dicom_case import DicomCase
from livercascade.dicom.dicom_stage import DicomObject, DicomStage, SegType
from livercascade.dicom.read_segmentation import SegmentationFile
from livercascade.dicom.result_uids import ResultUids
from livercascade.dicom.source_images import SourceSeries, decimals
from livercascade.dicom.write_results import write_results
from livercascade.dicom.write_segmentation import write_segmentation
from livercascade.io.study_reader import read_study
from livercascade.results.result import OutputKind
from livercascade.testing.ct_series import BALLS, BODY_CENTRE
from livercascade.testing.dicom_results import example_dicom_case, write_two_phases

TILT = np.deg2rad(8)
SERIES = {
    "straight": {},
    "oblique": {"column": np.array([0, np.cos(TILT), np.sin(TILT)])},
    "feet first": {"row": np.array([-1.0, 0, 0])},
    "from the head down": {"row": np.array([-1.0, 0, 0]), "column": np.array([0, -1.0, 0])},
    "coronal": {"column": np.array([0, 0, -1.0]), "slices": 40},
    "enhanced": {"enhanced": True},
}
WITHOUT_DCIODVFY = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)"
)
# Lesion: HU of the ball that it is, see `ct_series`.
BALL_OF = {"L1": 300, "L2": 500}


@pytest.fixture(scope="module", params=SERIES)
def written(request, tmp_path_factory) -> tuple[DicomCase, Path]:
    home = tmp_path_factory.mktemp("case")
    case, pictures = example_dicom_case(write_two_phases(home / "study", **SERIES[request.param]))
    (home / "out").mkdir()
    write_results(case, DicomStage(), pictures, home / "out")
    return case, home / "out"


def empty_case(home: Path) -> Path:
    case, pictures = example_dicom_case(write_two_phases(home / "study"), found=())
    (home / "out").mkdir()
    write_results(case, DicomStage(), pictures, home / "out")
    return home / "out"


def faults(path: Path) -> list[str]:
    ran = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (ran.stdout + ran.stderr).splitlines()
    assert any("Storage" in line or line.strip() for line in lines)
    return [line for line in lines if line.startswith(("Error", "Abort"))]


def centre_of(volume: hd.Volume, index: int) -> np.ndarray:
    voxels = np.argwhere(volume.array[..., index])
    return (np.append(voxels.mean(axis=0), 1) @ volume.affine.T)[:3]


@WITHOUT_DCIODVFY
def test_dciodvfy_finds_no_error(written):
    files = sorted(written[1].glob("*.dcm"))
    assert len(files) == 6
    assert {path.name: faults(path) for path in files} == {path.name: [] for path in files}


@WITHOUT_DCIODVFY
def test_dciodvfy_finds_no_error_in_a_result_without_findings(tmp_path):
    files = sorted(empty_case(tmp_path).glob("*.dcm"))
    assert [path.name for path in files] == ["capture-overview.dcm", "report.dcm", "seg.dcm", "sr.dcm"]
    assert {path.name: faults(path) for path in files} == {path.name: [] for path in files}


@pytest.mark.parametrize("seg_type", SegType)
def test_each_lesion_lies_where_it_is(written, tmp_path, seg_type):
    """By the affine of highdicom alone; truth is the formula of the body, not a grid."""
    case, _ = written
    write_results(case, DicomStage(objects=(DicomObject.SEG,), seg_type=seg_type), None, tmp_path)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    assert str(seg.SegmentationType) == seg_type.name
    volume = seg.get_volume(rescale_fractional=False)
    names = [seg.get_segment_description(n).segment_label for n in seg.segment_numbers]
    for name, ball in BALL_OF.items():
        index = next(i for i, text in enumerate(names) if text.startswith(f"{name} "))
        assert np.linalg.norm(centre_of(volume, index) - BODY_CENTRE - BALLS[ball]) < 0.5
    assert names == ["L1 HCC", "L2 Cyst", "liver"]


def test_frames_lie_on_the_slices_they_name(written):
    case, out = written
    seg = pydicom.dcmread(out / "seg.dcm")
    images = case.reference.placement.images
    sources = {(i.sop_uid, i.frame): h for i, h in zip(images, case.reference.headers, strict=True)}
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == case.reference.first.SeriesInstanceUID
    assert seg.FrameOfReferenceUID == case.reference.first.FrameOfReferenceUID
    assert seg.StudyInstanceUID == "1.2.3.4"
    for info in seg.PerFrameFunctionalGroupsSequence:
        (named,) = info.DerivationImageSequence[0].SourceImageSequence
        number = named.get("ReferencedFrameNumber")
        source = sources[named.ReferencedSOPInstanceUID, None if number is None else int(number) - 1]
        assert np.allclose(info.PlanePositionSequence[0].ImagePositionPatient, source.ImagePositionPatient, atol=1e-6)


def test_segments_say_what_they_are(written):
    case, out = written
    seg = pydicom.dcmread(out / "seg.dcm")
    assert len({s.TrackingUID for s in seg.SegmentSequence}) == len(seg.SegmentSequence)
    for segment, item in zip(case.segments, seg.SegmentSequence, strict=True):
        assert (item.TrackingID, item.TrackingUID) == (segment.tracking_id, segment.tracking_uid)
        assert item.SegmentAlgorithmType == "AUTOMATIC"
        assert len(item.RecommendedDisplayCIELabValue) == 3
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodeValue == default_codes().label(segment.label).value
    assert len({tuple(s.RecommendedDisplayCIELabValue) for s in seg.SegmentSequence}) == 3
    regions = SegmentationFile.read((out / "seg.dcm").read_bytes()).regions(range(1, 4))
    assert sum(region.sum() for _, region, _ in regions) == np.count_nonzero(case.numbers)


def volumetric_groups(path: Path):
    report = hd.sr.srread(path)
    assert isinstance(report.content, hd.sr.MeasurementReport)
    return report.content.get_volumetric_roi_measurement_groups()


def values_of(group) -> dict[tuple[str, str], float]:
    out = {}
    for item in group.get_measurements():
        phase = [c.value.meaning for c in item[0].get("ContentSequence", []) if c.name.meaning == "Contrast Phase"]
        out[item.name.meaning, *phase] = item.value
    return out


def test_report_holds_the_measures_of_the_record(written):
    case, out = written
    seg = pydicom.dcmread(out / "seg.dcm")
    groups = volumetric_groups(out / "sr.dcm")
    records = [record for record in case.result.lesions or () if record.present]
    for number, (group, record) in enumerate(zip(groups, records, strict=True), start=1):
        assert group.tracking_identifier == record.id
        assert group.tracking_uid == seg.SegmentSequence[number - 1].TrackingUID
        assert group.finding_type == default_codes().label(int(record.type))
        assert [site.value.meaning for site in group.finding_sites] == ["Liver"]
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert list(np.atleast_1d(segment.referenced_segment_numbers)) == [number]
        found = values_of(group)
        assert found["Volume",] == pytest.approx(record.volume_ml, abs=1e-3)
        assert found["Long axis",] == pytest.approx(record.long_axis_mm, abs=0.06)
        assert found["Short axis",] == pytest.approx(record.short_axis_mm, abs=0.06)
        assert found["Reclassification score",] == pytest.approx(record.score)
        for phase, words in {Phase.NC: "Non-contrast phase", Phase.VP: "Portal venous phase"}.items():
            assert found["Attenuation Coefficient", words] == pytest.approx(record.hu[phase].mean)


def line_ends(files, group) -> np.ndarray:
    """Ends of a planar measurement in LPS mm, by the header of the slice it names."""
    roi = group.roi
    if isinstance(roi, hd.sr.ImageRegion3D):
        assert roi.frame_of_reference_uid == "1.2.3.9"
        return np.asarray(roi.value)
    named = roi.ContentSequence[0]
    source = next(d for d in map(pydicom.dcmread, files) if d.SOPInstanceUID == named.referenced_sop_instance_uid)
    place = spacing = orientation = source
    if "PerFrameFunctionalGroupsSequence" in source:
        (number,) = named.referenced_frame_numbers
        shared = source.SharedFunctionalGroupsSequence[0]
        place = source.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0]
        spacing, orientation = shared.PixelMeasuresSequence[0], shared.PlaneOrientationSequence[0]
    right, down = np.reshape(np.array(orientation.ImageOrientationPatient, float), (2, 3))
    rows, columns = (float(v) for v in spacing.PixelSpacing)
    corner = np.array(place.ImagePositionPatient, float)
    return corner + (roi.value - 0.5) @ np.stack([right * columns, down * rows])


def test_lines_end_on_the_lesion_and_are_as_long_as_they_say(written):
    case, out = written
    report = hd.sr.srread(out / "sr.dcm")
    planar = report.content.get_planar_roi_measurement_groups()
    slices = sorted({image.path for image in case.slices[Phase.VP].images})
    assert [g.tracking_identifier for g in planar] == ["L1", "L1 short axis", "L2", "L2 short axis", "liver"]
    for group in planar[:4]:
        ends = line_ends(slices, group)
        (length,) = group.get_measurements()
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(length.value, abs=0.01)
        ball = BALLS[BALL_OF[group.tracking_identifier[:2]]]
        # Ends lie on faces of voxels, so up to half a voxel outside a ball of 6 mm.
        assert all(np.linalg.norm(end - BODY_CENTRE - ball) < 6 + 2.5 for end in ends)


def test_every_group_of_one_tracking_identifier_has_a_line(written):
    """OHIF merges groups by their identifier and fails on one without coordinates."""
    root = hd.sr.srread(written[1] / "sr.dcm").content[0]
    (container,) = (c for c in root.ContentSequence if c.name == dictionary.DCM.ImagingMeasurements)
    merged: dict[str, set[str]] = {}
    for group in container.ContentSequence:
        (uid,) = (str(c.value) for c in group.ContentSequence if c.name.meaning == "Tracking Unique Identifier")
        merged.setdefault(uid, set()).update(str(c.ValueType) for c in group.ContentSequence)
    assert merged and all(kinds & {"SCOORD", "SCOORD3D"} for kinds in merged.values())


def test_report_names_the_class_of_the_patient(written):
    root = hd.sr.srread(written[1] / "sr.dcm").content[0]
    (container,) = (c for c in root.ContentSequence if c.name.meaning == "Qualitative Evaluations")
    assert container.ContentSequence[0].value == default_codes().verdict("HCC")
    assert "suspicious for hepatocellular carcinoma" in container.ContentSequence[3].value


def test_what_a_report_refers_to_is_in_the_study_or_beside_it(written):
    case, out = written
    report = hd.sr.srread(out / "sr.dcm")
    there = {image.sop_uid for place in case.slices.values() for image in place.images}
    there.add(str(pydicom.dcmread(out / "seg.dcm").SOPInstanceUID))
    evidence = report.get_evidence()
    assert evidence and {str(sop) for _, _, sop, _ in evidence} <= there


def test_pdf_and_captures_show_the_case(written):
    _, out = written
    made = pydicom.dcmread(out / "report.dcm")
    content = made.EncapsulatedDocument[: made.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    for name in ("overview", "L1", "L2"):
        picture = hd.imread(out / f"capture-{name}.dcm").pixel_array
        assert picture.ndim == 3 and picture.std() > 10
    assert not (out / "capture-L3.dcm").exists()


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed (Debian: poppler-utils)")
def test_pdf_says_what_the_record_says(written, tmp_path):
    made = pydicom.dcmread(written[1] / "report.dcm")
    (tmp_path / "report.pdf").write_bytes(made.EncapsulatedDocument[: made.EncapsulatedDocumentLength])
    ran = subprocess.run(["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"], capture_output=True, check=True)
    text = ran.stdout.decode()
    for words in ("Jane", "Suspicious for hepatocellular carcinoma", "L1", "L2", "favours a cyst", "L3", "needed 0.50"):
        assert words in text


def test_result_without_findings_replaces_an_older_one(tmp_path):
    out = empty_case(tmp_path)
    seg = hd.seg.segread(out / "seg.dcm")
    assert [seg.get_segment_description(n).segment_label for n in seg.segment_numbers] == ["liver"]
    report = hd.sr.srread(out / "sr.dcm")
    assert [g.tracking_identifier for g in report.content.get_planar_roi_measurement_groups()] == ["liver"]


def test_segmentation_without_any_voxel_keeps_all_its_frames(tmp_path):
    case, _ = example_dicom_case(write_two_phases(tmp_path))
    bare = DicomCase(
        case.result.model_copy(update={"lesions": (), "liver": None}),
        np.zeros_like(case.labels), {}, case.grid, case.slices, case.uids, case.codes,
    )  # fmt: skip
    write_results(bare, DicomStage(objects=(DicomObject.SEG, DicomObject.SR)), None, tmp_path)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    assert seg.number_of_frames == case.grid.shape[0] and not seg.pixel_array.any()
    assert hd.sr.srread(tmp_path / "sr.dcm").content.get_volumetric_roi_measurement_groups() == []
    if shutil.which("dciodvfy"):
        assert faults(tmp_path / "seg.dcm") == faults(tmp_path / "sr.dcm") == []


def test_mask_on_another_grid_keeps_its_own_place(tmp_path):
    """As of a series that was resampled to be read."""
    case, _ = example_dicom_case(write_two_phases(tmp_path))
    coarse = case.numbers[::2, ::2, ::2]
    affine = case.grid.affine @ np.diag([2.0, 2, 2, 1])
    grid = type(case.grid).from_affine(affine, coarse.shape)
    seg = write_segmentation(
        coarse, grid, case.segments, case.reference, uids=("1.2.3", "1.2.4"), codes=default_codes()
    )
    out = io.BytesIO()
    seg.save_as(out)
    for number, region, placed in SegmentationFile.read(out.getvalue()).regions([1, 2]):
        here = placed.world(np.argwhere(region).mean(axis=0))
        assert np.allclose(here, grid.world(np.argwhere(coarse == number).mean(axis=0)))


def all_uids(folder: Path) -> dict[str, str]:
    found = {path.name: pydicom.dcmread(path) for path in folder.glob("*.dcm")}
    assert len({d.SeriesInstanceUID for d in found.values()}) == 4
    return {name: str(dataset.SOPInstanceUID) for name, dataset in found.items()}


def made(study: Path, out: Path, key: str | None = None, stage: DicomStage | None = None) -> dict[str, str]:
    case, pictures = example_dicom_case(study)
    if key:
        case = DicomCase(
            case.result,
            case.labels,
            case.lesions,
            case.grid,
            case.slices,
            ResultUids.of(case.slices, [key]),
            case.codes,
        )
    out.mkdir()
    write_results(case, stage or DicomStage(), pictures, out)
    return all_uids(out)


def test_uids_follow_from_input_model_and_kind(tmp_path):
    first = made(write_two_phases(tmp_path / "study"), tmp_path / "first")
    assert len(set(first.values())) == len(first)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in first.values())
    moved = tmp_path / "moved" / "elsewhere"
    shutil.copytree(tmp_path / "study", moved)
    for path in list(moved.iterdir()):
        path.rename(moved / f"x{path.name}")
    assert made(moved, tmp_path / "again") == first
    other_model = made(moved, tmp_path / "model", "another model")
    assert not set(other_model.values()) & set(first.values())
    other_study = made(write_two_phases(tmp_path / "other", study="1.2.3.5"), tmp_path / "third")
    assert not set(other_study.values()) & set(first.values())
    label_map = made(moved, tmp_path / "label map", stage=DicomStage(seg_type=SegType.LABELMAP))
    assert label_map["seg.dcm"] != first["seg.dcm"] and label_map["report.dcm"] == first["report.dcm"]


NAMES = {
    "ISO_IR 100": "Müller^Jürgen",
    "ISO_IR 144": "Люкceмбypг^Иван",
    "ISO_IR 192": "Wang^XiaoDong=王^小東",
    ("", "ISO 2022 IR 87"): "Yamada^Tarou=山田^太郎",
    "GB18030": "Zhang^XiaoDong=张^小东",
}


@pytest.mark.parametrize("charset", NAMES, ids=str)
def test_patient_and_study_are_those_of_the_source(tmp_path, charset):
    expected = {
        "PatientName": NAMES[charset], "PatientID": "0815-x", "PatientBirthDate": "19500312", "PatientSex": "F",
        "StudyDate": "20240102", "StudyTime": "101112.13", "StudyID": "77", "AccessionNumber": "ACC9",
        "ReferringPhysicianName": "Arzt^Anna", "StudyDescription": "CT Abdomen",
    }  # fmt: skip

    def change(index, ds):
        ds.SpecificCharacterSet = list(charset) if isinstance(charset, tuple) else charset
        for keyword, value in expected.items():
            setattr(ds, keyword, value)

    case, pictures = example_dicom_case(write_two_phases(tmp_path / "study", change=change))
    write_results(case, DicomStage(), pictures, tmp_path)
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        assert {k: str(dataset[k].value) for k in expected} == expected, path.name
        assert dataset.StudyInstanceUID == "1.2.3.4"
        assert shutil.which("dciodvfy") is None or faults(path) == []


def test_values_that_dicom_does_not_allow_are_left_empty(tmp_path):
    def change(index, ds):
        ds.PatientSex, ds.PatientBirthDate, ds.StudyDate, ds.StudyTime = "X", "unbekannt", "2024-01-02", "10:11"
        ds.PatientAge = "sixty"
        del ds.PatientName, ds.FrameOfReferenceUID
        ds.StudyID, ds.AccessionNumber = "", None

    with pytest.warns(UserWarning):
        folder = write_two_phases(tmp_path / "study", change=change)
    case, pictures = example_dicom_case(folder)
    write_results(case, DicomStage(), pictures, tmp_path)
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        assert not dataset.PatientSex and not dataset.PatientBirthDate and not dataset.StudyDate
        assert dataset.PatientID == "A"
        assert shutil.which("dciodvfy") is None or faults(path) == []


def test_settings_say_which_objects_are_written(tmp_path):
    case, pictures = example_dicom_case(write_two_phases(tmp_path / "study"))
    assert write_results(case, DicomStage(objects=()), pictures, tmp_path) == {}
    assert write_results(case, DicomStage(objects=(DicomObject.PDF,)), pictures, tmp_path) == {
        "report.dcm": OutputKind.PDF
    }
    only = write_results(case, DicomStage(), None, tmp_path)
    assert only == {"seg.dcm": OutputKind.SEG, "sr.dcm": OutputKind.SR}


def test_codes_can_be_replaced(tmp_path):
    file = tmp_path / "codes.toml"
    file.write_text('[labels]\n"HCC" = ["109841003", "SCT", "Liver cell carcinoma"]\n')
    case, pictures = example_dicom_case(write_two_phases(tmp_path / "study"), codes=read_codes(file))
    write_results(case, DicomStage(), pictures, tmp_path)
    first, second, _ = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeValue == "109841003"
    assert second.SegmentedPropertyTypeCodeSequence[0].CodeValue == default_codes().label(6).value
    assert volumetric_groups(tmp_path / "sr.dcm")[0].finding_type.value == "109841003"
    assert read_codes(file).label_of("109841003") == 1


@pytest.mark.parametrize(
    "text", ['[labels]\nHCC = "1"', '[labels]\nFNH = ["1", "SCT", "x"]', "[labels", "[words]\na = 1", "labels = 3",
             '[terms]\nvolume = ["12345678901234567", "SCT", "too long"]'],
)  # fmt: skip
def test_codes_that_cannot_be_used_are_refused(tmp_path, text):
    (tmp_path / "codes.toml").write_text(text)
    with pytest.raises(UsageError, match="BAD_CODES"):
        read_codes(tmp_path / "codes.toml")
    with pytest.raises(UsageError, match="BAD_CODES"):
        read_codes(tmp_path / "absent.toml")


def test_codes_are_those_of_the_dictionary():
    """Where pydicom's copy of the standard knows a code, its scheme and value must be there under one meaning."""
    from pydicom.sr._concepts_dict import concepts

    known = {scheme: {v for names in table.values() for v in names} for scheme, table in concepts.items()}
    absent = {"25370001", "70179006", "C0034375", "169070004"}
    every = [c for table in default_codes().model_dump().values() for c in table.values()]
    assert {v for v, scheme, _ in every if v not in known.get(scheme, ()) and scheme != "99LIVERCASCADE"} <= absent
    assert len({DicomCodes.model_validate({}).label(n).value for n in range(1, NUM_CLASSES)}) == NUM_CLASSES - 1
    assert {label_name(n) for n in range(1, NUM_CLASSES)} == set(default_codes().labels)


def test_decimals_are_short_and_exact():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 10.0**power, 200) for power in range(-6, 7)])
    texts = decimals(values)
    assert max(map(len, texts)) <= 16
    assert np.allclose([float(t) for t in texts], values, rtol=1e-9, atol=0)


def test_source_headers_keep_the_place_of_each_slice(tmp_path):
    study = read_study(write_two_phases(tmp_path, **SERIES["oblique"]))
    source = SourceSeries.of(study.slices[Phase.VP])
    for header, image in zip(source.headers, source.placement.images, strict=True):
        written = pydicom.dcmread(image.path)
        assert header.ImagePositionPatient == written.ImagePositionPatient
        assert np.allclose(header.ImageOrientationPatient, written.ImageOrientationPatient, atol=1e-9)
    middle = np.array(source.headers[5].ImagePositionPatient, float)
    assert source.nearest(middle) is source.headers[5]
    assert source.nearest(middle + 1e4) is source.headers[-1]
    assert np.allclose(source.pixel(middle), [0, 0, 5], atol=1e-6)


def test_captures_are_the_pictures_of_the_report(written, tmp_path):
    case, out = written
    _, pictures = example_dicom_case(case.slices[Phase.VP].images[0].path.parent)
    stored = pydicom.dcmread(out / "capture-L1.dcm").pixel_array
    assert np.array_equal(stored, np.asarray(Image.open(io.BytesIO(pictures.lesions["L1"].png)).convert("RGB")))
