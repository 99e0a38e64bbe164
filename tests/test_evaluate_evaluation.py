"""The whole evaluation: many processes give what one gives, and no setting breaks it."""

from pathlib import Path

import numpy as np
import pytest

from evaluation_cohort import CASES, GRID, labels_of, write_cohort, write_maps
from livercascade.data.errors import CascadeError
from livercascade.diagnose.joint import AgreementLevel
from livercascade.evaluation.cohort.cohort_files import find_cohort
from livercascade.evaluation.evaluation import evaluate_cohort, models_of
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.io.nifti import write_nifti

RULES = EvaluationSettings(bootstrap=20)


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    truth = write_maps(
        tmp_path / "t", {f"{k}-{case}": labels_of(bars) for k in range(3) for case, (bars, _) in CASES.items()}
    )
    found = write_maps(
        tmp_path / "f", {f"{k}-{case}": labels_of(bars) for k in range(3) for case, (_, bars) in CASES.items()}
    )
    cohort = find_cohort(truth, [(None, found)])
    told: list[tuple[str, int, int]] = []

    def progress(step: str, done: int, total: int) -> None:
        told.append((step, done, total))

    one, two = evaluate_cohort(cohort, RULES), evaluate_cohort(cohort, RULES, workers=2, progress=progress)
    assert one.tables == two.tables
    assert one.cases == two.cases
    steps = list(dict.fromkeys(step for step, _, _ in told))
    assert told == [(step, done, 21) for step in steps for done in range(22)] and len(steps) == 2
    labels = labels_of([])
    labels[0, 0, 0] = 99
    write_nifti(found / "1-c_type.nii.gz", labels, GRID)
    with pytest.raises(CascadeError, match=r"BAD_VALUES.*1-c_type"):
        evaluate_cohort(cohort, RULES, workers=2)


def test_the_seed_makes_the_intervals_again(tmp_path: Path) -> None:
    truth, found, _ = write_cohort(tmp_path)
    cohort = find_cohort(truth, [(None, found)])
    first, again = evaluate_cohort(cohort, RULES).tables, evaluate_cohort(cohort, RULES).tables
    other = evaluate_cohort(cohort, RULES.model_copy(update={"seed": 1})).tables
    assert first == again
    assert other.models["found"].lesion.paper.All.intervals != first.models["found"].lesion.paper.All.intervals
    assert other.settings_sha256 != first.settings_sha256


def test_without_resamples_there_are_no_bootstrap_intervals(tmp_path: Path) -> None:
    truth, found, _ = write_cohort(tmp_path)
    settings = EvaluationSettings(bootstrap=0)
    made = evaluate_cohort(find_cohort(truth, [("a", found), ("b", truth)]), settings, joint=["j=a,b"]).tables
    assert made.models["a"].lesion.paper.All.intervals["fp_per_case"] is None
    assert made.models["a"].patient.intervals["sensitivity"] is not None
    assert any("resamples" in note for note in made.notes)


@pytest.mark.parametrize(
    ("level", "decided"), [(AgreementLevel.CLASS, 4), (AgreementLevel.GROUP, 6), (AgreementLevel.MALIGNANCY, 7)]
)
def test_joint_model_by_level(tmp_path: Path, level: AgreementLevel, decided: int) -> None:
    """Truth and found differ in c (both malignant), e (both benign) and g (normal against benign)."""
    truth, found, _ = write_cohort(tmp_path)
    settings = EvaluationSettings(bootstrap=0, level=level)
    made = evaluate_cohort(find_cohort(truth, [("a", found), ("b", truth)]), settings, joint=["j=b,a"]).tables
    assert made.models["j"].decided == decided
    assert made.models["j"].patient.uncertain == 7 - decided


def test_a_joint_model_that_never_decides(tmp_path: Path) -> None:
    maps = {"x": labels_of([(1, 2, 5, 2, 8)])}
    truth = write_maps(tmp_path / "t", maps)
    found = write_maps(tmp_path / "f", {"x": labels_of([])})
    made = evaluate_cohort(find_cohort(truth, [("a", truth), ("b", found)]), RULES, joint=["j=a,b"]).tables.models["j"]
    assert (made.decided, made.patient.coverage, made.patient.accuracy) == (0, 0, None)
    assert made.lesion.paper.All.recall is None and made.lesion.paper.All.fp_per_case is None
    assert made.patient.uncertain_as_positive.sensitivity == 1 and made.patient.uncertain_as_error.sensitivity == 0


def test_a_single_empty_case(tmp_path: Path) -> None:
    folder = write_maps(tmp_path / "t", {"x": np.zeros((6, 20, 20), dtype=np.uint8)})
    made = evaluate_cohort(find_cohort(folder, [(None, folder)]), RULES).tables.models["t"]
    assert made.lesion.paper.All.recall is None and made.lesion.paper.All.precision is None
    assert made.lesion.paper.All.fp_per_case == 0
    assert (made.patient.accuracy, made.patient.sensitivity, made.patient.specificity) == (1, None, 1)


def test_models_of_several_sides_have_names_of_their_own(tmp_path: Path) -> None:
    truth, found, _ = write_cohort(tmp_path)
    cohort = find_cohort(truth, [("diagnosis/Base", found), ("screening/Base", truth)])
    single, joints = models_of(cohort, ["Both=diagnosis/Base,screening/Base"])
    assert [(str(m), m.title, m.setting) for m in single] == [
        ("diagnosis/Base", "Base", "diagnosis"),
        ("screening/Base", "Base", "screening"),
    ]
    assert [str(j.model) for j in joints] == ["Both"]
    with pytest.raises(CascadeError, match="NAME_TWICE"):
        models_of(cohort, ["J=diagnosis/Base,screening/Base", "J=screening/Base,diagnosis/Base"])
