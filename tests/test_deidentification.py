"""De-identified exports: what was planted is gone, what science needs is there."""

import datetime
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage, generate_uid
from typer.testing import CliRunner

from livercascade.cli.main import app
from livercascade.data.errors import InputError, UsageError
from livercascade.data.labels import Phase
from livercascade.deidentification import kept_attributes as kept
from livercascade.deidentification.clean_dataset import ImageCleaner
from livercascade.deidentification.export import deidentify, identity_of
from livercascade.deidentification.moved_times import moved, moved_moment, parsed_date, parsed_time
from livercascade.deidentification.pseudonyms import Pseudonyms, read_key
from livercascade.io.study_reader import read_study
from livercascade.testing.ct_series import CtSeries
from livercascade.testing.dicom_results import write_two_phases

KEY = Pseudonyms(b"0" * 32)
TEXT_VRS = ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
# A value of each kind of text that is long enough to be found again, and that nothing makes by chance.
PLANTED = {
    "AE": "ZQXAE{n:04d}", "AS": "{n:03d}Y", "CS": "ZQXCS{n:04d}", "DA": "1931{m:02d}{d:02d}",
    "DT": "1931{m:02d}{d:02d}131719.3{n:04d}", "PN": "Zqxname{n:04d}^Given", "TM": "131719.3{n:04d}",
    "UI": "1.2.99.7777.{n}", "UR": "http://zqx{n:04d}.example",
}  # fmt: skip


def planted_value(vr: str, number: int) -> str:
    form = PLANTED.get(vr, "Zqxtext {n:04d}")
    return form.format(n=number, m=number % 12 + 1, d=number % 28 + 1)


def trace_of(vr: str, value: str) -> str:
    """Part of a planted value that must not be found anywhere."""
    return value.split("^")[0] if vr == "PN" else value


def stored(dataset: FileDataset, folder: Path) -> bytes:
    path = folder / "one.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path.read_bytes()


def bytes_of(folder: Path) -> bytes:
    names = "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return b"\n".join([names.encode(), *(path.read_bytes() for path in folder.rglob("*") if path.is_file())])


def found_in(data: bytes, text: str) -> bool:
    return any(text.encode(code, "replace") in data for code in ("utf-8", "latin-1", "utf-16-le"))


# 100 secrets: names, numbers and dates, in every place where people or machines put them.
def plant(index: int, ds: FileDataset) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    plain = {
        "PatientName": "Mustermann^Maximilian", "PatientID": "PID-4711-0815", "PatientBirthDate": "19310417",
        "PatientBirthName": "Geborene^Zqx", "PatientMotherBirthName": "Mutter^Zqx",
        "OtherPatientNames": "Deckname^Zqx", "OtherPatientIDs": "OTHER-993311",
        "PatientAddress": "Zeisigweg 12, 99999 Musterhausen", "PatientTelephoneNumbers": "+49-555-7788990",
        "PatientInsurancePlanCodeSequence": None, "MedicalRecordLocator": "MRL-552288", "MilitaryRank": "Oberzqx",
        "CountryOfResidence": "Zqxland", "RegionOfResidence": "Zqxregion",
        "PatientReligiousPreference": "Zqxreligion", "Occupation": "Zqxmeister",
        "PatientComments": "Tochter Brunhilde Mustermann rief an",
        "AdditionalPatientHistory": "nach Sturz am 17.03.", "PatientAge": "092Y", "PatientSex": "M",
        "ReferringPhysicianName": "Zuweiser^Zqxa", "ReferringPhysicianAddress": "Zqxstrasse 3",
        "ReferringPhysicianTelephoneNumbers": "0555-112233", "PerformingPhysicianName": "Macher^Zqxb",
        "OperatorsName": "Bediener^Zqxc", "RequestingPhysician": "Arzt^Zqxd", "PhysiciansOfRecord": "Akte^Zqxe",
        "NameOfPhysiciansReadingStudy": "Leser^Zqxf", "InstitutionName": "Klinik Zqx",
        "InstitutionAddress": "Klinikweg 9 Zqxstadt", "InstitutionalDepartmentName": "Radiologie Zqx Nord",
        "StationName": "ZQXSTATION7", "StudyID": "STUDY-8181", "AccessionNumber": "ACC-2024-99",
        "StudyDescription": "CT Leber Mustermann", "SeriesDescription": f"{ds.SeriesDescription} Mustermann 4711",
        "ProtocolName": "Leber_Mustermann", "ImageComments": "siehe Befund Zqx 12",
        "RequestedProcedureDescription": "Zqx?", "RequestedProcedureID": "RP-31337",
        "ScheduledProcedureStepID": "SPS-31338", "PerformedProcedureStepID": "PPS-39",
        "PerformedProcedureStepDescription": "Zqx Schritt", "AdmissionID": "ADM-606060",
        "DeviceSerialNumber": "SN-70707", "SoftwareVersions": "Zqxware 7", "ManufacturerModelName": "Zqxscan 3000",
        "Manufacturer": "Siemens bei Zqx", "ContrastBolusAgent": "Ultravist Zqx Charge 9",
        "ConvolutionKernel": "ZqxKernel", "ScanOptions": "ZQXOPTION", "FilterType": "ZQXFILTER",
        "DateOfLastCalibration": "19990131", "TimeOfLastCalibration": "131415.926",
        "AcquisitionDeviceProcessingDescription": "Zqx desc", "DerivationDescription": "made by Zqx",
        "IssuerOfPatientID": "Zqxissuer", "BodyPartExamined": "ZQXPART", "PatientPosition": "ZQX",
        "ClinicalTrialSubjectID": "TRIAL-404", "ClinicalTrialSiteName": "Zqxsite",
        "CurrentPatientLocation": "Zimmer Zqx9", "ReasonForStudy": "Zqx reason", "StudyComments": "Zqx comment",
        "InterpretationAuthor": "Autor^Zqxg", "TextComments": "Zqx text", "PositionReferenceIndicator": "XYZQX",
        "AcquisitionComments": "Zqx acq", "FrameComments": "Zqx frame",
        "WindowCenterWidthExplanation": "Zqx window", "StudyDate": "20240229", "SeriesDate": "20240229",
        "AcquisitionDate": "20240229", "ContentDate": "20240229", "StudyTime": "221107.111",
        "SeriesTime": "221207.222", "AcquisitionTime": f"2213{index:02d}.333", "ContentTime": f"2214{index:02d}.444",
        "ContrastBolusStartTime": "221238.555", "ContrastBolusStopTime": "221308.666",
        "AcquisitionDateTime": f"202402292213{index:02d}.333+0100", "InstanceCreationDate": "20240302",
        "InstanceCreationTime": "050607.789", "TimezoneOffsetFromUTC": "+0155",
        "InstanceCreatorUID": "1.2.99.8888.1", "DeviceUID": "1.2.99.8888.2", "IrradiationEventUID": "1.2.99.8888.3",
    }  # fmt: skip
    for keyword, value in plain.items():
        if value is not None:
            setattr(ds, keyword, value)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "MUSTERMANN"]
    block = ds.private_block(0x0029, "ZQX PRIVATE", create=True)
    block.add_new(1, "LO", "privat: Mustermann")
    block.add_new(2, "OB", b"private bytes of Zqx 1931")
    item = Dataset()
    item.PatientName, item.ReferencedSOPInstanceUID = "Versteckt^Zqxh", "1.2.99.8888.4"
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    inner = Dataset()
    inner.TextValue = "tief verschachtelt Zqx"
    item.ContentSequence = Sequence([inner])
    ds.ReferencedImageSequence = Sequence([item])
    ds.RequestAttributesSequence = Sequence([item])
    ds.add_new(0x60000022, "LO", "Overlay von Zqx")
    ds.add_new(0x60003000, "OW", b"OVERLAY ZQX PIXELS")
    ds.add_new(0x00090010, "LO", "ZQX GROUP NINE")
    ds.add_new(0x40000010, "LT", "retired Zqx text")
    ds.add_new(0xFFFCFFFC, "OB", b"padding behind, by Zqx Mustermann ")
    ds.PixelData = ds.PixelData + b"BEHIND THE PIXELS: MUSTERMANN "
    ds.file_meta.SourceApplicationEntityTitle = "ZQXAETITLE"
    ds.file_meta.PrivateInformationCreatorUID = "1.2.99.8888.5"
    ds.file_meta.PrivateInformation = b"PRIVATE META ZQX"
    ds.preamble = b"MUSTERMANN IN THE PREAMBLE".ljust(128, b"\0")


SECRETS = """
Mustermann Maximilian PID-4711-0815 19310417 Geborene Mutter^ Deckname OTHER-993311 Zeisigweg Musterhausen 7788990
MRL-552288 Oberzqx Zqxland Zqxregion Zqxreligion Zqxmeister Brunhilde Tochter Sturz 17.03. 092Y Zuweiser Zqxa Zqxstrasse
0555-112233 Macher Zqxb Bediener Zqxc Arzt^ Zqxd Akte^ Zqxe Leser^ Zqxf Klinik Klinikweg Zqxstadt Radiologie ZQXSTATION7
STUDY-8181 ACC-2024-99 Leber Leber_Mustermann Befund Zqx? RP-31337 SPS-31338 PPS-39 Schritt ADM-606060 SN-70707 Zqxware
Zqxscan Ultravist Charge ZqxKernel ZQXOPTION ZQXFILTER 19990131 131415 Zqxissuer ZQXPART TRIAL-404 Zqxsite Zimmer Autor
XYZQX 20240229 221107 221207 221300 221321 221400 221238 221308 20240302 050607 +0155 1.2.99.8888 privat private
Versteckt Zqxh tief verschachtelt Overlay OVERLAY GROUP retired padding BEHIND ZQXAETITLE META PREAMBLE MUSTERMANN
Zqx ZQX zqx 1.2.3.4 1.2.3.9 4711-0815 +49-555
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("deidentify")
    source = write_two_phases(home / "Mustermann 4711", change=plant)
    (source / "note to Brunhilde.txt").write_text("Maximilian Mustermann, 17.04.1931")
    written, notices = deidentify(source, home / "out", KEY)
    assert written == 44
    assert {notice.code: notice.message.split()[0] for notice in notices} == {"FILES_SKIPPED": "1"}
    return source, home / "out"


def test_there_are_a_hundred_secrets_and_all_are_in_the_source(exported):
    data = bytes_of(exported[0].parent / exported[0].name) + exported[0].name.encode()
    assert len(set(SECRETS)) >= 100
    absent = [secret for secret in SECRETS if not found_in(data, secret)]
    assert not absent


def test_no_secret_survives_anywhere(exported):
    data = bytes_of(exported[1])
    assert [secret for secret in SECRETS if found_in(data, secret)] == []


def images_of(folder: Path) -> list[FileDataset]:
    images = [pydicom.dcmread(path) for path in folder.rglob("*.dcm")]
    return sorted(images, key=lambda d: (d.SeriesNumber, d.InstanceNumber))


def moment(image: Dataset, date: str, time: str) -> datetime.datetime:
    return datetime.datetime.combine(parsed_date(str(image[date].value)), parsed_time(str(image[time].value)))


def test_relative_times_survive(exported):
    before, after = (images_of(folder) for folder in exported)
    steps = set()
    for old, new in zip(before, after, strict=True):
        for kind in ("Study", "Series", "Acquisition", "Content"):
            pair = f"{kind}Date", f"{kind}Time"
            steps.add(moment(new, *pair) - moment(old, *pair))
    (step,) = steps
    assert step == KEY.shift("id PID-4711-0815") and step < datetime.timedelta(days=-399)
    for old, new in zip(before, after, strict=True):
        for time in ("ContrastBolusStartTime", "ContrastBolusStopTime"):
            gaps = [
                moment(image, "AcquisitionDate", "AcquisitionTime") - moment(image, "AcquisitionDate", time)
                for image in (old, new)
            ]
            # A time without a date says no more than the time of day.
            assert (gaps[0] - gaps[1]) % datetime.timedelta(days=1) == datetime.timedelta()
        assert new.AcquisitionDateTime == new.AcquisitionDate + new.AcquisitionTime


def test_voxels_place_and_phases_survive(exported):
    before, after = (read_study(folder) for folder in exported)
    assert [v.phase for v in after.volumes] == [v.phase for v in before.volumes] == [Phase.NC, Phase.VP]
    for old, new in zip(before.volumes, after.volumes, strict=True):
        assert np.array_equal(old.hu, new.hu) and old.grid == new.grid
        assert new.confidence >= 0.9


def test_enhanced_images_keep_frames_place_and_phase(tmp_path):
    def change(index, ds):
        ds.PatientName, ds.InstitutionName = "Mustermann^Maximilian", "Klinik Zqx"

    source = write_two_phases(tmp_path / "in", enhanced=True, change=change)
    assert deidentify(source, tmp_path / "out", KEY) == (2, ())
    before, after = (read_study(folder) for folder in (source, tmp_path / "out"))
    assert [v.phase for v in after.volumes] == [Phase.NC, Phase.VP]
    for old, new in zip(before.volumes, after.volumes, strict=True):
        assert np.array_equal(old.hu, new.hu) and old.grid == new.grid
    assert not found_in(bytes_of(tmp_path / "out"), "Mustermann") and not found_in(bytes_of(tmp_path / "out"), "Zqx")


def test_phase_stands_in_its_place(exported):
    terms = {(d.SeriesNumber, d.ContrastBolusAgentPhase, d.SeriesDescription) for d in images_of(exported[1])}
    assert terms == {(1, "PRE_CONTRAST", "non-contrast"), (2, "PORTAL_VENOUS", "portal venous phase")}


def test_identifiers_are_replaced_and_still_fit(exported):
    before, after = (images_of(folder) for folder in exported)
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        pairs = {(old[keyword].value, new[keyword].value) for old, new in zip(before, after, strict=True)}
        assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})
        assert all(old != new and new.startswith("2.25.") for old, new in pairs)
    (named,) = {d.ReferencedImageSequence[0].ReferencedSOPInstanceUID for d in after}
    assert named == KEY.uid("1.2.99.8888.4")
    assert {d.ReferencedImageSequence[0].ReferencedSOPClassUID.name for d in after} == {"CT Image Storage"}
    assert {(d.PatientID, str(d.PatientName)) for d in after} == {(KEY.patient("id PID-4711-0815"),) * 2}


def test_what_was_done_is_marked(exported):
    for image in images_of(exported[1]):
        assert image.PatientIdentityRemoved == "YES" and image.LongitudinalTemporalInformationModified == "MODIFIED"
        codes = [item.CodeValue for item in image.DeidentificationMethodCodeSequence]
        assert codes == ["113100", "113105", "113107"]
        assert image.ImageType[:3] == ["ORIGINAL", "PRIMARY", "AXIAL"] and image.Manufacturer == "SIEMENS"


def test_dciodvfy_finds_nothing_worse_than_in_the_source(exported, tmp_path):
    """The made series lack attributes of a scanner; de-identification must not add faults of its own."""
    if not __import__("shutil").which("dciodvfy"):
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    plain = CtSeries().write(tmp_path / "plain")
    before = _faults(next(plain.iterdir()))
    after = _faults(next(exported[1].rglob("*.dcm")))
    assert after <= before


def _faults(path: Path) -> set[str]:
    ran = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return {line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("Error")}


def one_image(change: Callable[[FileDataset], None] = lambda ds: None) -> FileDataset:
    dataset = CtSeries().dataset(0)
    change(dataset)
    return dataset


ALL_TEXT = sorted(
    {keyword_for_tag(tag) for tag, entry in DicomDictionary.items() if entry[0] in TEXT_VRS}
    - {"", "SOPClassUID", "SpecificCharacterSet"}
)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(ALL_TEXT), min_size=20, max_size=60, unique=True), st.data())
def test_no_text_of_any_attribute_of_the_standard_survives(tmp_path_factory, keywords, data):
    source = one_image()
    item = Dataset()
    planted = {}
    for number, keyword in enumerate(keywords):
        vr = dictionary_VR(keyword)
        value = planted_value(vr, number)
        place = data.draw(st.sampled_from([source, item]))
        if keyword in ("BurnedInAnnotation", "ConversionType", "ImageType", "TransferSyntaxUID"):
            continue
        place.add_new(keyword, vr, value)
        planted[keyword] = trace_of(vr, value)
    source.SourceImageSequence = Sequence([item])
    clean = ImageCleaner(KEY, "id A").clean(source, VALUES)
    out = stored(clean, tmp_path_factory.mktemp("one"))
    assert [keyword for keyword, trace in planted.items() if found_in(out, trace)] == []


def test_nothing_that_ps3_15_removes_is_kept():
    """Against the table of PS3.15 in another project, as an independent reading of the standard."""
    table = pytest.importorskip("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    numbers = (
        kept.NUMBERS | kept.SEQUENCES | set(kept.TERMS) | {"ImageType", "FrameType", "ConvolutionKernel", "StackID"}
    )
    lists = [
        getattr(table, name) for name in dir(table) if name.endswith("_TAGS") and name not in ("U_TAGS", "ALL_TAGS")
    ]
    removed = {keyword_for_tag(tag) for tags in lists for tag in tags if len(tag) == 2}
    # The table lets these stay with replaced identifiers (X/Z/U*); of their items nothing else is kept.
    assert removed & numbers <= {"ReferencedImageSequence", "SourceImageSequence"}
    replaced = {keyword_for_tag(tag) for tag in table.U_TAGS if len(tag) == 2}
    assert kept.UIDS - {"ReferencedSOPClassUID", "SOPClassUID"} <= replaced | {"SynchronizationFrameOfReferenceUID"}


VALUES = np.zeros((64, 80), np.int16)
REFUSED = {
    "secondary capture": lambda ds: setattr(ds, "SOPClassUID", SecondaryCaptureImageStorage),
    "screen save": lambda ds: setattr(ds, "ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"]),
    "dose page": lambda ds: setattr(ds, "ImageType", ["DERIVED", "SECONDARY", "DOSE_INFO"]),
    "says so": lambda ds: setattr(ds, "BurnedInAnnotation", "YES"),
    "converted": lambda ds: setattr(ds, "ConversionType", "WSD"),
    "colour": lambda ds: setattr(ds, "SamplesPerPixel", 3),
    "8 bit": lambda ds: setattr(ds, "BitsAllocated", 8),
    "no place": lambda ds: delattr(ds, "ImagePositionPatient"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_show_a_name_is_refused(kind):
    with pytest.raises(InputError, match="NOT_PLAIN_CT"):
        ImageCleaner(KEY, "id A").clean(one_image(REFUSED[kind]), VALUES)


def test_refused_objects_are_left_out_and_counted(tmp_path):
    CtSeries(slices=12).write(tmp_path / "in")
    CtSeries(slices=3, uid="1.2.3.4.9", prefix="s", change=lambda i, d: REFUSED["screen save"](d)).write(
        tmp_path / "in"
    )
    written, notices = deidentify(tmp_path / "in", tmp_path / "out")
    assert written == 12 and [(n.code, n.message.split()[0]) for n in notices] == [("NOT_PLAIN_CT", "3")]
    CtSeries(slices=3, change=lambda i, d: REFUSED["says so"](d)).write(tmp_path / "none")
    with pytest.raises(InputError, match="NOTHING_READABLE"):
        deidentify(tmp_path / "none", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(InputError, match="FILE_MISSING"):
        deidentify(tmp_path / "absent", tmp_path / "nothing")


def exported_image(source: FileDataset, home: Path) -> FileDataset:
    (home / "in").mkdir(parents=True)
    stored(source, home / "in")
    deidentify(home / "in", home / "out", KEY)
    (made,) = (home / "out").rglob("*.dcm")
    return pydicom.dcmread(made)


@settings(max_examples=25)
@given(st.integers(8, 16), st.booleans(), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_bits_beyond_those_stored_are_emptied(tmp_path_factory, bits, signed, above, seed):
    """Overlays were kept in the high bits of pixels once."""
    low = min(above, 16 - bits)
    rng = np.random.default_rng(seed)
    span = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    values = rng.integers(*span, (4, 5))
    raw = (values.astype(np.int64) & ((1 << bits) - 1)) << low
    noise = rng.integers(0, 1 << 16, (4, 5)) & ~(((1 << bits) - 1) << low) & 0xFFFF

    def change(ds):
        ds.Rows, ds.Columns, ds.BitsStored, ds.HighBit = 4, 5, bits, bits - 1 + low
        ds.PixelRepresentation = int(signed)
        ds.PixelData = (raw | noise).astype("<u2").tobytes()

    made = exported_image(one_image(change), tmp_path_factory.mktemp("bits"))
    words = np.frombuffer(made.PixelData, "<i2" if signed else "<u2").reshape(4, 5)
    assert np.array_equal(words, values) and made.HighBit == made.BitsStored - 1


def test_padding_that_needs_more_bits_fits_afterwards(tmp_path):
    def change(ds):
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.PixelPaddingValue = 12, 11, 0, 63536
        ds.Rows, ds.Columns, ds.PixelData = 1, 4, np.array([63536, 100, 4095, 63536], "<u2").tobytes()

    made = exported_image(one_image(change), tmp_path)
    assert made.pixel_array.tolist() == [[made.PixelPaddingValue, 100, 4095, made.PixelPaddingValue]]


def test_compressed_images_come_out_plain_and_equal(tmp_path):
    source = one_image()
    values = source.pixel_array.copy()
    source.compress(RLELossless)
    made = exported_image(source, tmp_path)
    assert not made.file_meta.TransferSyntaxUID.is_compressed and np.array_equal(made.pixel_array, values)


def test_patients_of_one_folder_stay_apart_and_fit_across_exports(tmp_path):
    for number in (1, 2):
        for patient in "AB":
            CtSeries(slices=10, patient=patient, study=f"1.2.{number}.{ord(patient)}", uid=generate_uid()).write(
                tmp_path / f"in{number}" / f"{patient}"
            )
    for number in (1, 2):
        assert deidentify(tmp_path / f"in{number}", tmp_path / f"out{number}", KEY)[0] == 20
    first, second = ({p.name for p in (tmp_path / f"out{n}").iterdir()} for n in (1, 2))
    assert first == second == {KEY.patient("id A"), KEY.patient("id B"), "manifest.json"}
    deidentify(tmp_path / "in1", tmp_path / "other")
    assert not ({p.name for p in (tmp_path / "other").iterdir()} & first - {"manifest.json"})


def test_who_a_patient_is():
    ds = Dataset()
    ds.StudyInstanceUID = "1.2"
    assert identity_of(ds) == "study 1.2"
    ds.PatientName, ds.PatientBirthDate = "A^B", "19000101"
    assert identity_of(ds) == "name A^B 19000101"
    ds.PatientID = " 7 "
    assert identity_of(ds) == "id 7"


UIDS = st.lists(st.integers(0, 10**9), min_size=2, max_size=5).map(lambda parts: "1.9." + ".".join(map(str, parts)))


@given(UIDS, UIDS, st.binary(min_size=32, max_size=32))
def test_replacements_are_one_to_one_and_keyed(first, second, key):
    names, others = Pseudonyms(key), Pseudonyms(bytes(32) if key != bytes(32) else b"1" * 32)
    assert (names.uid(first) == names.uid(second)) == (first == second)
    assert names.uid(first) == Pseudonyms(key).uid(first) != others.uid(first)
    assert len(names.uid(first)) <= 64 and pydicom.uid.UID(names.uid(first)).is_valid
    assert names.patient(first) != names.patient("x" + first)
    assert datetime.timedelta(days=-4001) < names.shift(first) < datetime.timedelta(days=-399)


@given(
    st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2060, 1, 1)),
    st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=40)),
    st.timedeltas(datetime.timedelta(days=-5000), datetime.timedelta(days=-300)),
)
def test_moving_keeps_distances(first, gap, shift):
    second = first + gap
    texts = [(f"{m:%Y%m%d}", f"{m:%H%M%S.%f}") for m in (first, second)]
    after = [datetime.datetime.strptime("".join(moved(*text, shift)), "%Y%m%d%H%M%S.%f") for text in texts]
    assert after[1] - after[0] == gap and after[0] - first == shift
    assert moved_moment("".join(texts[0]), shift) == "".join(moved(*texts[0], shift))


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_no_date_becomes_empty(date, time):
    day, clock = moved(date, time, datetime.timedelta(days=-500, seconds=1))
    assert (day == "") == (parsed_date(date) is None) and (clock == "") == (parsed_time(time) is None)


def test_key_file_is_made_once_and_kept_private(tmp_path):
    first = read_key(tmp_path / "key")
    assert read_key(tmp_path / "key") == first and (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert first.key.hex() not in repr(first)
    for text in ("words", "00ff"):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(UsageError, match="BAD_KEY"):
            read_key(tmp_path / "bad")


def test_command_tells_what_it_left_out_and_no_name(tmp_path):
    write_two_phases(tmp_path / "in", change=plant, slices=12)
    (tmp_path / "in" / "x.txt").write_text("x")
    command = ["deidentify", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--key", str(tmp_path / "key")]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    assert "24 images" in ran.output and "FILES_SKIPPED" in ran.output
    assert [s for s in SECRETS if s in ran.output.replace(str(tmp_path), "")] == []
    assert CliRunner().invoke(app, command).exit_code == 0
    assert CliRunner().invoke(app, [*command[:1], str(tmp_path / "absent"), *command[2:]]).exit_code == 1
