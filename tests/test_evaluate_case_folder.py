"""Case folders: every model of the cascade from one result, with and without the evidence."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from livercascade.cli.main import app
from livercascade.data.errors import CascadeError
from livercascade.data.grid import Grid
from livercascade.data.labels import LesionType, PatientClass
from livercascade.diagnose.confidence import malignant_share
from livercascade.evaluation.cohort.cohort_files import find_cohort
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.evaluation import evaluate_cohort
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.io.nifti import write_nifti
from livercascade.reclassification.candidate import CandidateStatus
from livercascade.results.evidence_file import EVIDENCE
from livercascade.results.result import CaseResult, ErrorRecord, Stage, VerdictRecord
from livercascade.testing.example_results import (
    CASE_GRID,
    CONFIRMED,
    EXAMPLE_FACTORS,
    example_case,
    example_evidence,
    example_result,
    two_lesion_map,
    write_example_folders,
)

RULES = EvaluationSettings(bootstrap=20)
HIGH_ONLY = ["High", "High+ReCls", "Joint"]


def write_result(folder: Path, result: CaseResult, lesions: np.ndarray, grid: Grid) -> Path:
    folder.mkdir(parents=True)
    write_nifti(folder / "lesions.nii.gz", lesions.astype(np.int32), grid)
    (folder / "result.json").write_text(result.to_json())
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> tuple[Path, Path]:
    """Two cases of High with an HCC that is kept and a false Cyst that is removed; the second truth is a Meta."""
    scan, labels, candidates = example_case()
    numbers = np.zeros(CASE_GRID.shape, dtype=np.int32)
    for number, candidate in enumerate(candidates, start=1):
        numbers[candidate.lesion.bbox][candidate.lesion.mask] = number
    for case, verdict, true in (
        ("one", VerdictRecord.of(PatientClass.HCC, PatientClass.HCC, EXAMPLE_FACTORS), LesionType.HCC),
        ("two", VerdictRecord.of(PatientClass.NORMAL, PatientClass.HCC, EXAMPLE_FACTORS), LesionType.META),
    ):
        result = example_result(scan, labels, candidates, case_id=case, verdict=verdict)
        write_result(tmp_path / "found" / case, result, numbers, CASE_GRID)
        (tmp_path / "truth").mkdir(exist_ok=True)
        only = np.where(labels == LesionType.HCC, np.uint8(true), np.uint8(0))
        write_nifti(tmp_path / "truth" / f"{case}.nii.gz", only, CASE_GRID)
    return tmp_path / "truth", tmp_path / "found"


def tables_of(truth: Path, *found: tuple[str | None, Path]):
    return evaluate_cohort(find_cohort(truth, found), RULES)


def counts(model, row: str = "All") -> tuple[int, ...]:
    made = getattr(model.lesion.paper, row)
    return made.TP, made.FL, made.FN, made.FP


def test_high_with_and_without_reclassification_and_joint_from_the_record_alone(plain: tuple[Path, Path]) -> None:
    made = tables_of(plain[0], (None, plain[1]))
    models = made.tables.models
    assert list(models) == HIGH_ONLY
    assert made.tables.virtual
    assert counts(models["High"]) == (1, 1, 0, 2)
    assert counts(models["High+ReCls"]) == (1, 1, 0, 0)
    # The record says that Base+ReCls calls the second case normal: the joint model leaves it.
    joint = models["Joint"]
    assert (joint.cases, joint.decided, joint.patient.uncertain) == (2, 1, 1)
    assert counts(joint) == (1, 0, 0, 0)
    assert joint.patient.distribution == ((1, 0, 0, 1), (0, 0, 0, 0), (0, 0, 0, 0))
    assert joint.patient.uncertain_as_error.sensitivity == 0.5
    assert joint.patient.uncertain_as_positive.sensitivity == 1
    assert any("evidence" in note for note in made.tables.notes)


def test_scores_and_votes_reach_the_record(plain: tuple[Path, Path]) -> None:
    case = tables_of(plain[0], (None, plain[1])).cases[0]
    kept, removed = case.predictions[EvaluatedModel("High")].lesions
    assert (removed.status, removed.label, kept.status) == (
        CandidateStatus.REMOVED,
        LesionType.CYST,
        CandidateStatus.KEPT,
    )
    assert (kept.score, kept.threshold, kept.original) == (0.8, 0.5, LesionType.HCC)
    assert malignant_share(kept.label, kept.votes) == pytest.approx(0.9)
    (final,) = case.predictions[EvaluatedModel("High+ReCls")].lesions
    assert final.confidence == pytest.approx((0.8 / final.volume_ml) ** 0.5)


@pytest.mark.parametrize("settings", [{"reclassify": {"score": "ratio"}}, {"score": "ratio"}])
def test_the_score_is_read_in_its_unit_from_settings_by_stage_and_of_before(
    plain: tuple[Path, Path], settings: dict[str, object]
) -> None:
    file = plain[1] / "one" / "result.json"
    record = json.loads(file.read_text())
    record["provenance"]["settings"] = settings
    file.write_text(json.dumps(record))
    case = tables_of(plain[0], (None, plain[1])).cases[0]
    (final,) = case.predictions[EvaluatedModel("High+ReCls")].lesions
    assert final.confidence == pytest.approx(0.8**0.5)


def test_a_name_stands_for_the_answer_and_the_setting(plain: tuple[Path, Path]) -> None:
    truth, found = plain
    made = tables_of(truth, ("NC", found), ("screening/labels", truth))
    assert list(made.tables.models) == ["NC/High", "NC", "screening/labels", "NC/Joint"]
    answer = made.tables.models["NC"]
    assert (answer.title, answer.setting) == ("High+ReCls", "NC")
    assert made.tables.models["screening/labels"].setting == "screening"


@pytest.mark.parametrize("damage", ["result", "lesions", "rejected"])
def test_case_folders_that_are_not_whole(plain: tuple[Path, Path], damage: str) -> None:
    truth, found = plain
    path = found / "two" / "result.json"
    record = json.loads(path.read_text())
    if damage == "result":
        path.write_text("{}")
    elif damage == "lesions":
        (found / "two" / "lesions.nii.gz").unlink()
    else:
        error = ErrorRecord(code="NOT_CT", message="No CT.", remedy="", stage=Stage.READ).model_dump(mode="json")
        path.write_text(json.dumps(record | {"status": "rejected", "error": error}))
    with pytest.raises(CascadeError) as caught:
        find_cohort(truth, [(None, found)])
    assert caught.value.code == ("BAD_RESULT" if damage == "result" else "NOT_FINISHED")


def test_lesions_that_are_not_those_of_the_record(plain: tuple[Path, Path]) -> None:
    truth, found = plain
    write_nifti(found / "two" / "lesions.nii.gz", np.zeros(CASE_GRID.shape, dtype=np.int32), CASE_GRID)
    with pytest.raises(CascadeError, match="BAD_LESIONS"):
        tables_of(truth, (None, found))


@pytest.fixture
def with_evidence(tmp_path: Path) -> tuple[Path, Path]:
    """One case: an HCC found at f = 1 and confirmed; at f = 4 also a false Meta that reclassification removes."""
    return write_example_folders(tmp_path)


def test_all_models_from_the_evidence(with_evidence: tuple[Path, Path]) -> None:
    made = tables_of(with_evidence[0], (None, with_evidence[1]))
    models = made.tables.models
    assert list(models) == ["Base", "Base+ReCls", "High", "High+ReCls", "Joint"]
    evidence = example_evidence(two_lesion_map(), CONFIRMED)
    for key, factor in (("Base", 1.0), ("High", 4.0)):
        others = len(evidence.proposals(factor)) - 1
        assert counts(models[key]) == (1, 0, 0, others)
        assert counts(models[f"{key}+ReCls"]) == (1, 0, 0, 0)
    assert counts(models["High"])[3] > 0
    assert models["Joint"].decided == 1
    assert made.tables.curves and made.curves["found"].cases == 1
    assert not made.tables.notes


def test_the_command_on_case_folders_draws_the_curves(with_evidence: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["evaluate", "--truth", str(with_evidence[0]), "--found", str(with_evidence[1]), "--out", str(out)]
    result = CliRunner().invoke(app, [*words, "--bootstrap", "20"])
    assert result.exit_code == 0, result.output
    assert "High+ReCls" in result.output
    assert json.loads((out / "tables.json").read_text())["curves"]["found"]["sweep"]
    page = (out / "evaluation.html").read_text()
    assert 'id="section-figures"' in page and list((out / "figures").iterdir())


def test_another_result_than_the_cascades_is_refused(with_evidence: tuple[Path, Path]) -> None:
    truth, found = with_evidence
    path = found / "case-1" / EVIDENCE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CascadeError, match="EVIDENCE_DAMAGED"):
        tables_of(truth, (None, found))


def test_grid_of_case_folders_is_checked(plain: tuple[Path, Path]) -> None:
    truth, found = plain
    moved = replace(CASE_GRID, origin=(0.0, 0.0, 0.0))
    write_nifti(found / "one" / "lesions.nii.gz", np.zeros(moved.shape, dtype=np.int32), moved)
    with pytest.raises(CascadeError, match="GRID_MISMATCH"):
        find_cohort(truth, [(None, found)])
