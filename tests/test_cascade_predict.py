"""predict on a virtual patient with the bundled weights: a whole case folder, or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from livercascade.alignment.align_phases import PhaseUse
from livercascade.cascade.cascade import Cascade
from livercascade.cascade.predict import predict
from livercascade.cascade.settings import AlignStage, CascadeSettings, SegmentStage
from livercascade.cli.main import app
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.io.nifti import read_labels, write_nifti
from livercascade.reclassification.candidate import FoundAt
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.results.result import CaseResult
from livercascade.system.manifest import verify
from livercascade.testing.ct_series import CtSeries
from livercascade.testing.tiny_networks import COARSE_ALIGNMENT
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

SETTINGS = CascadeSettings(
    reclassify=ReclassifySettings(n_original=1, n_shuffled=1),
    segment=SegmentStage(overlap=0.25),
    align=AlignStage(registration=COARSE_ALIGNMENT),
)


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade.load(SETTINGS, device="cpu")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patients")
    (case,) = make_cohort([900_004], VirtualSettings(matrix=160, subslices=2, motion=PhaseMotion.BREATHING), folder)
    return case


@pytest.fixture(scope="module")
def finished(patient: Path, cascade: Cascade, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("results") / "case"
    predict(patient, out, cascade)
    yield out


def test_case_folder_is_complete_and_agrees_with_its_record(finished: Path) -> None:
    assert verify(finished)
    result = CaseResult.model_validate_json((finished / "result.json").read_bytes())
    assert result.status.finished
    assert result.virtual
    assert not (finished / "evidence.npz").exists()
    assert [i.phase for i in result.inputs] == list(Phase)
    labels, _ = read_labels(finished / "segmentation.nii.gz")
    instances, _ = read_labels(finished / "lesions.nii.gz", classes=256)
    assert result.lesions is not None
    for number, lesion in enumerate(result.lesions, start=1):
        inside = labels[instances == number]
        if lesion.present:
            assert (inside == lesion.type).all()
        else:
            assert not ((inside >= 1) & (inside <= 6)).any()
    kept = [n for n, lesion in enumerate(result.lesions, start=1) if lesion.present]
    assert np.isin(instances[(labels >= 1) & (labels <= 6)], kept).all()


def test_what_is_found_at_f_1_lies_within_the_candidates(finished: Path) -> None:
    result = CaseResult.model_validate_json((finished / "result.json").read_bytes())
    assert result.lesions
    for lesion in result.lesions:
        assert lesion.core_ml is not None and 0 <= lesion.core_ml <= lesion.volume_ml
        assert (lesion.core_ml > 0) == (lesion.found_at is FoundAt.BASE_AND_HIGH)
    at_one = next(row for row in result.sensitivity if row.factor == 1)
    assert sum(lesion.core_ml or 0 for lesion in result.lesions) == pytest.approx(at_one.volume_ml)


def test_liver_of_the_virtual_patient_is_found(finished: Path, patient: Path) -> None:
    found, _ = read_labels(finished / "segmentation.nii.gz")
    truth, _ = read_labels(patient / "labels.nii.gz")
    a, b = ((m >= 1) & (m <= 8) for m in (found, truth))
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.85


def test_phases_that_breathed_are_aligned(finished: Path) -> None:
    result = CaseResult.model_validate_json((finished / "result.json").read_bytes())
    assert [a.phase for a in result.alignment] == [Phase.NC, Phase.AP, Phase.DP]
    for record in result.alignment:
        assert record.use is PhaseUse.ALIGNED and not record.reasons
        assert record.similarity.after > record.similarity.before
        assert record.liver_mean_mm is not None and record.liver_mean_mm > 3
    assert not {w.code for w in result.warnings} & {"NOT_ALIGNED", "REGISTRATION_POOR"}
    assert {i.phase: i.resampled for i in result.inputs} == {p: p is not Phase.VP for p in Phase}
    page = (finished / "report.html").read_text()
    assert "Alignment of the phases" in page and page.count("coronal chequerboards") == 3


def test_report_is_one_file_without_network(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "virtual patient" in page.lower()
    assert "not a medical device" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_finished_result_is_kept_and_a_damaged_one_made_again(finished: Path, patient: Path, cascade: Cascade) -> None:
    before = (finished / "result.json").read_bytes()
    predict(patient, finished, cascade)
    assert (finished / "result.json").read_bytes() == before
    (finished / "report.html").write_text("damaged")
    predict(patient, finished, cascade)
    assert verify(finished)


def test_same_seed_gives_the_same_lesions(finished: Path, patient: Path, cascade: Cascade, tmp_path: Path) -> None:
    predict(patient, tmp_path / "again", cascade)
    for name in ("segmentation.nii.gz", "lesions.nii.gz"):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes()


def test_one_phase_is_enough(patient: Path, cascade: Cascade, tmp_path: Path) -> None:
    result = predict(None, tmp_path / "nc", cascade, files={Phase.NC: patient / "nc.nii.gz"})
    assert [i.phase for i in result.inputs] == [Phase.NC]
    assert any("absent" in item for item in result.not_analysed)


def bad_inputs(folder: Path, patient: Path) -> dict[str, list[str]]:
    """Arguments of predict for each bad input, by the code that has to come."""
    rng = np.random.default_rng(0)
    grid = Grid.axial((30, 64, 64), (5.0, 3.0, 3.0))
    whole = (patient / "vp.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    head = rng.normal(0, 5, grid.shape) - 1000
    z, y, x = np.ogrid[:30, :64, :64]
    ball = ((z - 15) / 13) ** 2 + ((y - 32) / 25) ** 2 + ((x - 32) / 25) ** 2
    head[ball < 1] = 600
    head[ball < 0.92] = 35 + rng.normal(0, 5, int((ball < 0.92).sum()))
    write_nifti(folder / "head.nii.gz", head.astype(np.int16), grid)
    broken = rng.normal(0, 200, grid.shape).astype(np.float32)
    broken[:4] = np.nan
    write_nifti(folder / "nan.nii.gz", broken, grid)
    write_nifti(folder / "flat.nii.gz", head[15:16].astype(np.int16), Grid.axial((1, 64, 64), (5.0, 3.0, 3.0)))
    (folder / "empty").mkdir()
    CtSeries(change=lambda i, _: i != 9).write(folder / "gap")
    CtSeries(change=lambda i, ds: setattr(ds, "PatientID", "AB"[i % 2])).write(folder / "two")
    return {
        "FILE_MISSING": ["--vp", str(folder / "absent.nii.gz")],
        "TRUNCATED_FILE": ["--vp", str(folder / "cut.nii.gz")],
        "NOT_HU": ["--vp", str(patient / "labels.nii.gz")],
        "NO_LIVER": ["--vp", str(folder / "head.nii.gz")],
        "BAD_VALUES": ["--vp", str(folder / "nan.nii.gz")],
        "WRONG_DIMS": ["--vp", str(folder / "flat.nii.gz")],
        "EMPTY_FOLDER": [str(folder / "empty")],
        "MISSING_SLICES": [str(folder / "gap")],
        "MIXED_PATIENTS": [str(folder / "two")],
    }


CODES = "FILE_MISSING TRUNCATED_FILE NOT_HU NO_LIVER BAD_VALUES WRONG_DIMS EMPTY_FOLDER MISSING_SLICES MIXED_PATIENTS"


@pytest.mark.parametrize("code", CODES.split())
def test_bad_input_gives_a_code_and_no_output(code: str, patient: Path, tmp_path: Path) -> None:
    arguments = bad_inputs(tmp_path, patient)[code]
    done = CliRunner().invoke(app, ["predict", *arguments, "--out", str(tmp_path / "out"), "--quiet"])
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith(f"{code}: ")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_settings_are_checked(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("unknown = 1\n")
    arguments = ["predict", str(tmp_path), "--out", str(tmp_path / "o"), "--settings", str(tmp_path / "bad.toml")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "BAD_SETTINGS" in done.stderr


def test_bundled_models_fit_the_promise() -> None:
    from livercascade.models.bundled import ROOT

    assert sum(p.stat().st_size for p in ROOT.rglob("*.safetensors")) <= 25e6
    for card in ROOT.glob("*/model.json"):
        told = json.loads(card.read_text())
        made = told.get("training", told)
        assert made["command"].startswith("livercascade train")
        assert "virtual patients" in made["trained_on"]
