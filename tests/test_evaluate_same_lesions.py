"""One definition of a lesion: label maps, arrays and case folders of the same result give the same tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation_cohort import CASES, GRID, labels_of, write_cohort
from livercascade.data.errors import CascadeError
from livercascade.data.labels import LESION_TYPES
from livercascade.detect.match import Counting
from livercascade.detect.seg2det import LesionRule
from livercascade.evaluation.cohort.cohort_files import find_cohort
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.cohort.read_case import lesions_of, read_case
from livercascade.evaluation.curves.sensitivity_sweep import Arm, sweep_table
from livercascade.evaluation.evaluation import Evaluation, evaluate, evaluate_folders, evaluate_masks
from livercascade.evaluation.evaluation_settings import EvaluationSettings, SmallLesions
from livercascade.evaluation.metrics.model_counts import counts_of_model
from livercascade.io.nifti import write_nifti
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import EVIDENCE, write_evidence
from livercascade.results.result import OutputKind, OutputRecord
from livercascade.system.files import sha256_of
from livercascade.testing.example_results import EVIDENCE_GRID, example_case, example_evidence, example_result
from livercascade.testing.phantoms import cone, sensitivity_phantom

FEW = EvaluationSettings(bootstrap=20)
VARIANTS = ("Base", "Base+ReCls", "High", "High+ReCls")


def made_evidence(seed: int) -> Evidence:
    """Evidence of lesions of many types that touch each other, some confirmed, some relabelled."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform((25.0, 45.0, 50.0), (45.0, 75.0, 90.0))
    bumps = [
        (cone(tuple(middle + rng.uniform(-18, 18, 3)), rng.uniform(12, 30), EVIDENCE_GRID), int(label), -2.0)
        for label in rng.integers(1, 7, 5)
    ]
    confirmed = {int(t): (float(rng.uniform()), {int(rng.integers(1, 7)): 0.9}) for t in LESION_TYPES}
    return example_evidence(sensitivity_phantom(bumps, EVIDENCE_GRID), confirmed, case_id=f"case-{seed}")


def reference_of(seed: int) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    labels = np.zeros(EVIDENCE_GRID.shape, dtype=np.uint8)
    for label in rng.integers(1, 7, 6):
        labels[cone(tuple(rng.uniform((20, 40, 40), (50, 80, 100))), rng.uniform(8, 20), EVIDENCE_GRID) > 0] = label
    return labels


def label_maps(evidence: Evidence) -> dict[str, np.ndarray]:
    """What Base and High see voxel by voxel, and the lesions after reclassification."""
    maps: dict[str, np.ndarray] = {}
    for name, factor in (("Base", evidence.low_factor), ("High", evidence.high_factor)):
        maps[name] = evidence.typed_map(factor)
        maps[f"{name}+ReCls"] = evidence.lesion_map(evidence.reclassified(factor).lesions)
    return maps


def write_all(home: Path, seeds: range) -> None:
    for seed in seeds:
        evidence = made_evidence(seed)
        folder = home / "folders" / evidence.case_id
        folder.mkdir(parents=True)
        write_evidence(folder / EVIDENCE, evidence)
        kept = OutputRecord(path=EVIDENCE, sha256=sha256_of(folder / EVIDENCE), kind=OutputKind.EVIDENCE)
        (folder / "result.json").write_text(
            example_result(*example_case(), case_id=evidence.case_id, outputs=[kept]).to_json()
        )
        write_nifti(folder / "lesions.nii.gz", np.zeros(EVIDENCE_GRID.shape, dtype=np.int32), EVIDENCE_GRID)
        for name, labels in {"reference": reference_of(seed), **label_maps(evidence)}.items():
            (home / name).mkdir(exist_ok=True)
            write_nifti(home / name / f"{evidence.case_id}.nii.gz", labels, EVIDENCE_GRID)


def tables_of(evaluation: Evaluation, model: str) -> dict:
    """Everything about a model that does not rest on its confidence, which a label map cannot tell."""
    record = evaluation.tables.models[model].model_dump(exclude={"title", "setting", "calibrated"})
    for name in ("auroc", "calibration"):
        record["patient"].pop(name)
    record["patient"]["intervals"].pop("auroc")
    return record


def test_label_maps_case_folders_and_arrays_of_one_result_give_the_same_tables(tmp_path: Path) -> None:
    seeds = range(4)
    write_all(tmp_path, seeds)
    folders = evaluate(tmp_path / "reference", tmp_path / "folders", settings=FEW)
    files = evaluate_folders(tmp_path / "reference", {name: tmp_path / name for name in VARIANTS}, settings=FEW)
    names = [f"case-{seed}" for seed in seeds]
    arrays = evaluate(
        {name: reference_of(seed) for name, seed in zip(names, seeds, strict=True)},
        {v: {n: label_maps(made_evidence(s))[v] for n, s in zip(names, seeds, strict=True)} for v in VARIANTS},
        EVIDENCE_GRID,
        settings=FEW,
    )
    for name in VARIANTS:
        assert tables_of(folders, name) == tables_of(files, name)
        model = EvaluatedModel(name)
        for one, two in zip(folders.cases, files.cases, strict=True):
            lesions, others = one.predictions[model].lesions, two.predictions[model].lesions
            assert sorted((x.label, x.voxels) for x in lesions) == sorted((x.label, x.voxels) for x in others)
    assert sum(len(case.predictions[EvaluatedModel("High")].lesions) for case in folders.cases) > 4
    assert arrays.tables.models == files.tables.models
    assert arrays.tables.comparisons == files.tables.comparisons


def test_the_reading_of_the_paper_is_chosen_in_one_place() -> None:
    touching = labels_of(CASES["d_touching"][0])
    for rule, number in ((LesionRule.UNION, 1), (LesionRule.PER_LABEL, 2)):
        assert len(lesions_of(touching, GRID, EvaluationSettings(instances=rule))) == number
    assert EvaluationSettings().instances is LesionRule.UNION


@pytest.mark.parametrize("limit", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("small", SmallLesions)
def test_curves_count_what_the_tables_count(tmp_path: Path, limit: float, small: SmallLesions) -> None:
    """Also where the evaluation's volume limit is above the cascade's."""
    rules = EvaluationSettings(min_volume_ml=limit, small=small)
    write_all(tmp_path, range(5, 7))
    cohort = find_cohort(tmp_path / "reference", [(None, tmp_path / "folders")])
    for whole in (read_case(one, rules) for one in cohort.single()):
        _check_counts(whole, rules)


def _check_counts(whole: EvaluatedCase, rules: EvaluationSettings) -> None:
    case = whole.evidence["folders"]
    for name, arm, factor in (
        ("Base", Arm.WHOLE, 1.0),
        ("High", Arm.WHOLE, 4.0),
        ("Base+ReCls", Arm.RECLASSIFIED, 1.0),
        ("High+ReCls", Arm.RECLASSIFIED, 4.0),
    ):
        (table,) = counts_of_model([whole], EvaluatedModel(name), rules).confusion[Counting.PAPER]
        tp, fl, fn, fp = sweep_table([case], [factor], arm)[0, 0]
        typed = table[:6, :6]
        assert (tp, fl) == (np.trace(typed), typed.sum() - np.trace(typed))
        assert (fn, fp) == (table[:6, 6].sum(), table[6].sum())


def test_arrays_give_what_their_files_give(tmp_path: Path) -> None:
    truth, found, coverage = write_cohort(tmp_path)
    files = evaluate_folders(truth, {"M": found}, settings=FEW, coverage=coverage)
    covered = np.zeros(GRID.shape, dtype=np.bool_)
    covered[:3] = True
    arrays = evaluate_masks(
        {name: labels_of(bars) for name, (bars, _) in CASES.items()},
        {"M": {name: labels_of(bars) for name, (_, bars) in CASES.items()}},
        dict.fromkeys(CASES, GRID.spacing),
        settings=FEW,
        coverage={"g_outside": covered},
    )
    assert arrays.tables == files.tables
    arrays.save(tmp_path / "out")
    assert (tmp_path / "out" / "tables.json").read_text() == files.tables.to_json()


@pytest.mark.parametrize(
    ("reference", "predictions", "code"),
    [
        ({}, {"M": {}}, "NO_CASES"),
        ({"a": labels_of([])}, {}, "NO_FOUND"),
        ({"a": labels_of([])}, {"M": {}}, "MISSING_CASES"),
        ({"a": labels_of([])}, {"M": {"a": labels_of([]), "b": labels_of([])}}, "EXTRA_CASES"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(reference: dict, predictions: dict, code: str) -> None:
    with pytest.raises(CascadeError) as caught:
        evaluate_masks(reference, predictions, (5.0, 5.0, 5.0))
    assert caught.value.code == code
