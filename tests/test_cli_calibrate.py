"""models calibrate: from case folders with evidence to a UNet^patch whose probabilities `predict` takes."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evidence_case import CONFIRMED, GRID, TWO, evidence_of, sensitivity_of
from livercascade.cascade.settings import CascadeSettings
from livercascade.cli.models import app
from livercascade.cli.predict import load_cascade
from livercascade.data.labels import LesionType
from livercascade.diagnose.calibration import read_calibration
from livercascade.evaluate.calibrating import LEAST_CASES
from livercascade.io.nifti import write_nifti
from livercascade.models.bundled import bundled
from livercascade.report.evidence_file import EVIDENCE, write_evidence
from livercascade.report.result import CaseResult, ModelRecord, OutputKind, OutputRecord
from livercascade.segment.network import load_card
from report_case import make_case, make_result

PATCH = load_card(bundled("patch")).sha256
WHOLE = load_card(bundled("whole")).sha256


def add_case(home: Path, case: str, *, true: bool, patch: str = PATCH) -> None:
    """A case with an HCC found at f = 1 and a false Meta at f = 4; in truth the HCC, or nothing."""
    evidence = evidence_of(sensitivity_of(TWO), CONFIRMED, case_id=case)
    scan, labels, candidates = make_case()
    folder = home / "found" / case
    folder.mkdir(parents=True)
    write_evidence(folder / EVIDENCE, evidence)
    digest = hashlib.sha256((folder / EVIDENCE).read_bytes()).hexdigest()
    kept = OutputRecord(path=EVIDENCE, sha256=digest, kind=OutputKind.EVIDENCE)
    result = make_result(scan, labels, candidates, case_id=case, outputs=[kept])
    models = tuple(ModelRecord(name=n, version="1", sha256=h) for n, h in (("whole", WHOLE), ("patch", patch)))
    settings = CascadeSettings(evidence=True).model_dump(mode="json")
    made = result.provenance.model_copy(update={"models": models, "settings": settings})
    text = CaseResult.model_validate(result.model_copy(update={"provenance": made}).model_dump(mode="json")).to_json()
    (folder / "result.json").write_text(text)
    write_nifti(folder / "lesions.nii.gz", np.zeros(GRID.shape, dtype=np.int32), GRID)
    truth = np.zeros(GRID.shape, dtype=np.uint8)
    if true:
        (hcc,) = (x for x in evidence.proposals(1.0) if x.label is LesionType.HCC)
        truth[hcc.bbox][hcc.mask] = LesionType.HCC
    (home / "truth").mkdir(exist_ok=True)
    write_nifti(home / "truth" / f"{case}.nii.gz", truth, GRID)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("cases")
    for number in range(LEAST_CASES):
        add_case(home, f"case-{number}", true=number % 2 == 0)
    return home


def run(home: Path, out: Path, *more: str):
    words = ["calibrate", "--truth", str(home / "truth"), "--found", str(home / "found"), "--out", str(out), "--quiet"]
    return CliRunner().invoke(app, [*words, *more])


def test_the_calibration_fits_the_networks_settings_and_phases_of_the_cases(cases: Path, tmp_path: Path) -> None:
    done = run(cases, tmp_path / "patch")
    assert done.exit_code == 0, done.output
    made = read_calibration(tmp_path / "patch")
    assert made is not None
    (one,) = made.settings
    assert one.patients == LEAST_CASES and one.malignant == LEAST_CASES // 2
    assert one.candidates > one.true_candidates > 0
    phases = tuple(make_case()[0].phases)
    assert made.for_phases(phases, (WHOLE, PATCH), CascadeSettings().judging_sha256) == one
    assert made.for_phases(phases, (WHOLE, PATCH), CascadeSettings(n_original=3).judging_sha256) is None
    assert load_card(tmp_path / "patch").sha256 == PATCH
    # Probabilities are fitted to all patches: `predict` makes them all, and tells none for fewer.
    cascade = load_cascade("cpu", None, tmp_path / "patch", CascadeSettings(stop_when_decided=True))
    assert not cascade.settings.stop_when_decided and cascade.calibrated(make_case()[0]) == one
    assert replace(cascade, settings=CascadeSettings(stop_when_decided=True)).calibrated(make_case()[0]) is None
    assert run(cases, tmp_path / "patch").exit_code != 0


def test_cases_of_two_ways_are_refused(cases: Path, tmp_path: Path) -> None:
    shutil.copytree(cases, tmp_path / "mixed")
    add_case(tmp_path / "mixed", "other", true=True, patch="0" * 64)
    done = run(tmp_path / "mixed", tmp_path / "out")
    assert done.exit_code != 0 and "MIXED_RUNS" in done.output
    assert not (tmp_path / "out").exists()


def test_too_few_cases_and_cases_without_evidence_are_refused(cases: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for name in ("case-0", "case-1"):
        shutil.copytree(cases / "found" / name, few / "found" / name)
        (few / "truth").mkdir(exist_ok=True)
        shutil.copy(cases / "truth" / f"{name}.nii.gz", few / "truth")
    done = run(few, tmp_path / "out")
    assert done.exit_code != 0 and "TOO_FEW_CASES" in done.output
    (few / "found" / "case-0" / EVIDENCE).unlink()
    done = run(few, tmp_path / "out")
    assert done.exit_code != 0 and "NO_EVIDENCE" in done.output


def test_another_unet_patch_is_refused(tmp_path: Path) -> None:
    for number in range(LEAST_CASES):
        add_case(tmp_path, f"case-{number}", true=number % 2 == 0, patch="0" * 64)
    done = run(tmp_path, tmp_path / "out")
    assert done.exit_code != 0 and "MODEL_MISMATCH" in done.output
