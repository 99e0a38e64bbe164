"""predict on a DICOM study: results that a PACS takes, beside those that everything else reads."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.predict import predict
from livercascade.cascade.prediction import Prediction
from livercascade.cascade.settings import AlignStage, CascadeSettings, OutputStage, SegmentStage
from livercascade.cli.main import app
from livercascade.cli.predict_command import _dicom_stage
from livercascade.data.labels import Phase
from livercascade.dicom.dicom_stage import DicomObject, DicomStage, SegType
from livercascade.io.nifti import read_ct, read_labels
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.results.result import CaseResult
from livercascade.system.manifest import MANIFEST, verify
from livercascade.testing.dicom_results import write_volumes
from livercascade.testing.tiny_networks import COARSE_ALIGNMENT
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import VirtualSettings

SETTINGS = CascadeSettings(
    reclassify=ReclassifySettings(n_original=1, n_shuffled=1),
    segment=SegmentStage(overlap=0.25),
    align=AlignStage(registration=COARSE_ALIGNMENT, enabled=False),
)
NAME, NUMBER, BIRTH = "Geheim^Gundula", "PID-998877", "19411231"


def _identify(index: int, dataset: pydicom.FileDataset) -> None:
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, NUMBER, BIRTH
    dataset.StudyDate, dataset.AccessionNumber = "20240517", "ACC-445566"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("patients")
    (case,) = make_cohort([900_004], VirtualSettings(matrix=160, subslices=2), home)
    volumes = {}
    for name, description in {"nc": "non-contrast", "vp": "portal venous"}.items():
        hu, grid, _ = read_ct(case / f"{name}.nii.gz")
        volumes[description] = (hu, grid)
    return write_volumes(home / "dicom", volumes, change=_identify)


@pytest.fixture(scope="module")
def finished(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[logging.LogRecord]]]:
    out = tmp_path_factory.mktemp("results") / "case"
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger().addHandler(handler)
    try:
        predict(study, out, Cascade.load(SETTINGS, device="cpu"))
    finally:
        logging.getLogger().removeHandler(handler)
    yield out, records


def test_dicom_results_are_in_the_folder_record_and_manifest(finished: tuple[Path, list[logging.LogRecord]]) -> None:
    out, _ = finished
    assert verify(out)
    result = CaseResult.model_validate_json((out / "result.json").read_bytes())
    named = {output.path: output.kind.value for output in result.outputs or ()}
    present = [lesion.id for lesion in result.lesions or () if lesion.present]
    dicom = {"seg.dcm": "seg", "sr.dcm": "sr", "report.dcm": "pdf", "capture-overview.dcm": "capture"}
    dicom |= {f"capture-{name}.dcm": "capture" for name in present[:12]}
    assert {path: kind for path, kind in named.items() if path.endswith(".dcm")} == dicom
    listed = json.loads((out / MANIFEST).read_text())["files"]
    assert set(dicom) <= set(listed) and {p.name for p in out.glob("*.dcm")} == set(dicom)


def test_segmentation_says_what_the_label_map_says(finished: tuple[Path, list[logging.LogRecord]]) -> None:
    out, _ = finished
    labels, grid = read_labels(out / "segmentation.nii.gz")
    seg = hd.seg.segread(out / "seg.dcm")
    volume = seg.get_volume()
    result = CaseResult.model_validate_json((out / "result.json").read_bytes())
    lesions = {lesion.id: lesion for lesion in result.lesions or ()}
    for index, number in enumerate(seg.segment_numbers):
        description = seg.get_segment_description(number)
        voxels = np.argwhere(volume.array[..., index])
        world = np.c_[voxels, np.ones(len(voxels))] @ volume.affine.T
        if description.tracking_id in lesions:
            lesion = lesions[description.tracking_id]
            assert len(voxels) * grid.voxel_ml == pytest.approx(lesion.volume_ml)
            assert np.linalg.norm(world[:, :3].mean(axis=0) - lesion.centroid_lps_mm) < 0.01
        else:
            there = np.rint(grid.voxel(world[:, :3])).astype(int)
            assert len(set(labels[tuple(there.T)].tolist())) == 1


def test_who_the_patient_is_stays_within_dicom(finished: tuple[Path, list[logging.LogRecord]]) -> None:
    out, records = finished
    secrets = [*NAME.split("^"), NUMBER, BIRTH, "20240517", "ACC-445566"]
    for path in out.iterdir():
        data = path.read_bytes()
        if path.suffix == ".dcm":
            made = pydicom.dcmread(path)
            assert (str(made.PatientName), made.PatientID, made.PatientBirthDate) == (NAME, NUMBER, BIRTH)
        else:
            assert [s for s in secrets if s.encode() in data] == [], path.name
    told = " ".join(record.getMessage() for record in records)
    assert [s for s in secrets if s in told] == []


def test_same_study_again_has_the_same_identifiers(
    finished: tuple[Path, list[logging.LogRecord]], study: Path, tmp_path: Path
) -> None:
    """The networks of another run are the same; so a result that is sent again replaces itself."""
    out, _ = finished
    moved = shutil.copytree(study, tmp_path / "elsewhere")
    only = SETTINGS.changed("output", dicom=DicomStage(objects=(DicomObject.SEG,)))
    predict(moved, tmp_path / "again", Cascade.load(only, device="cpu"))
    one, other = (pydicom.dcmread(folder / "seg.dcm") for folder in (out, tmp_path / "again"))
    assert (one.SOPInstanceUID, one.SeriesInstanceUID) == (other.SOPInstanceUID, other.SeriesInstanceUID)
    assert one.PixelData == other.PixelData
    assert [p.name for p in (tmp_path / "again").glob("*.dcm")] == ["seg.dcm"]


def test_options_of_the_command_line_reach_the_settings(tmp_path: Path) -> None:
    codes = tmp_path / "codes.toml"
    codes.write_text('[labels]\n"HCC" = ["109841003", "SCT", "Liver cell carcinoma"]\n')
    stage = _dicom_stage(DicomStage(), False, SegType.LABELMAP, codes)
    assert stage.seg_type is SegType.LABELMAP and stage.codes is not None
    assert stage.codes.label(1).value == "109841003"
    assert _dicom_stage(DicomStage(), True, None, None).objects == ()
    # A result with other codes is another result.
    plain, other = (CascadeSettings(output=OutputStage(dicom=s)) for s in (DicomStage(), stage))
    assert plain.sha256 != other.sha256 and plain.stage_sha256("reclassify") == other.stage_sha256("reclassify")
    assert CascadeSettings.model_validate(other.model_dump(mode="json")) == other
    ran = CliRunner().invoke(app, ["predict", "x", "--out", str(tmp_path / "o"), "--codes", str(tmp_path / "none")])
    assert ran.exit_code == 2 and "BAD_CODES" in ran.output


def test_report_of_an_identified_phase(finished: tuple[Path, list[logging.LogRecord]]) -> None:
    report = hd.sr.srread(finished[0] / "sr.dcm")
    assert report.PatientID == NUMBER
    result = CaseResult.model_validate_json((finished[0] / "result.json").read_bytes())
    assert result.reference_phase is Phase.VP
    groups = report.content.get_planar_roi_measurement_groups()
    assert len(groups) == 2 * sum(lesion.present for lesion in result.lesions or ()) + 1


def test_without_the_extra_the_result_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of a result is lost for want of libraries that only its DICOM copies need."""
    monkeypatch.setattr("livercascade.system.extras.find_spec", lambda name: None)
    unfinished = SimpleNamespace(study=SimpleNamespace(slices={Phase.VP: None}), settings=CascadeSettings())
    kinds, (notice,) = Prediction._write_dicom(unfinished, tmp_path, None)
    assert kinds == {} and notice.code == "DICOM_NOT_WRITTEN"
    assert "highdicom" in notice.message and "livercascade[dicom]" in notice.remedy
    for other in (
        SimpleNamespace(study=SimpleNamespace(slices={}), settings=CascadeSettings()),
        SimpleNamespace(study=unfinished.study, settings=CascadeSettings().changed("output", dicom={"objects": []})),
    ):
        assert Prediction._write_dicom(other, tmp_path, None) == ({}, ())


def test_objects_that_cannot_be_made_do_not_cost_the_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(case: object, stage: object, pictures: object, folder: Path) -> None:
        (folder / "seg.dcm").write_bytes(b"half")
        raise ValueError("Geheim^Gundula is no name")

    monkeypatch.setattr("livercascade.dicom.write_results.write_results", fail)
    unfinished = SimpleNamespace(
        study=SimpleNamespace(slices={Phase.VP: None}), settings=CascadeSettings(), _dicom_case=lambda: None
    )
    kinds, (notice,) = Prediction._write_dicom(unfinished, tmp_path, None)
    assert kinds == {} and notice.code == "DICOM_NOT_WRITTEN" and "Gundula" not in notice.message
    assert list(tmp_path.iterdir()) == []
