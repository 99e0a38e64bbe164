"""models calibrate: from case folders with evidence to a UNet^patch whose probabilities `predict` takes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.settings import CascadeSettings
from livercascade.classify.lesion_classifier import EnhancementClassifier
from livercascade.cli.models import app
from livercascade.diagnose.calibration import read_calibration
from livercascade.evaluation.fit_calibration import LEAST_CASES
from livercascade.models.bundled import bundled
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.results.evidence_file import EVIDENCE
from livercascade.results.result import ModelRecord
from livercascade.segment.network_folder import load_card
from livercascade.testing.example_results import example_case, write_example_folders

PATCH = load_card(bundled("patch")).sha256
WHOLE = load_card(bundled("whole")).sha256
TYPES = EnhancementClassifier.load(bundled("types")).card.sha256


def models_of(patch: str) -> tuple[ModelRecord, ...]:
    hashes = {"whole": WHOLE, "patch": patch, "types": TYPES}
    return tuple(ModelRecord(name=n, version="1", sha256=h) for n, h in hashes.items())


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("cases")
    for number in range(LEAST_CASES):
        write_example_folders(home, f"case-{number}", true=number % 2 == 0, models=models_of(PATCH))
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
    phases = tuple(example_case()[0].phases)
    models = (WHOLE, PATCH, TYPES)
    assert made.for_phases(phases, models, CascadeSettings().scoring_sha256) == one
    assert made.for_phases(phases, models[:2], CascadeSettings().scoring_sha256) is None
    assert (
        made.for_phases(phases, models, CascadeSettings(reclassify=ReclassifySettings(n_original=3)).scoring_sha256)
        is None
    )
    assert load_card(tmp_path / "patch").sha256 == PATCH
    # Probabilities are fitted to all patches: `predict` makes them all, and tells none for fewer.
    cascade = Cascade.load(
        CascadeSettings(reclassify=ReclassifySettings(stop_when_decided=True)),
        device="cpu",
        whole=None,
        patch=tmp_path / "patch",
    )
    assert not cascade.settings.reclassify.stop_when_decided and cascade.calibrated(example_case()[0]) == one
    assert (
        replace(cascade, settings=CascadeSettings(reclassify=ReclassifySettings(stop_when_decided=True))).calibrated(
            example_case()[0]
        )
        is None
    )
    # Other types make other probabilities of malignancy.
    assert replace(cascade, classifier=None).calibrated(example_case()[0]) is None
    assert run(cases, tmp_path / "patch").exit_code != 0


def test_cases_of_two_ways_are_refused(cases: Path, tmp_path: Path) -> None:
    shutil.copytree(cases, tmp_path / "mixed")
    write_example_folders(tmp_path / "mixed", "other", models=models_of("0" * 64))
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
        write_example_folders(tmp_path, f"case-{number}", true=number % 2 == 0, models=models_of("0" * 64))
    done = run(tmp_path, tmp_path / "out")
    assert done.exit_code != 0 and "MODEL_MISMATCH" in done.output
