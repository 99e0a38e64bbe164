"""From the files of one case to its figures: the voxels are read, compared and let go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.lesion import LesionSet
from livercascade.detect.seg2det import seg2det
from livercascade.diagnose.patient import classify_patient
from livercascade.evaluation.cohort.cohort_files import Cohort, FoundSide, Kind
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase, FoundLesion, Reading, TrueLesion
from livercascade.evaluation.cohort.evidence_case import CurveCase
from livercascade.evaluation.cohort.model_keys import side_models
from livercascade.evaluation.cohort.read_case_folder import read_folder
from livercascade.evaluation.evaluation_settings import EvaluationSettings, Instances
from livercascade.evaluation.matching.reference_lesions import Truth
from livercascade.io.nifti import read_instances, read_labels


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """Everything needed to judge one case, in whatever process.

    Attributes:
        case_id: The case.
        truth: Label map of the truth.
        found: The found sides, with the paths of this case alone.
        coverage: Mask of what was read for the truth; None if everything was.
        virtual: True if the patient is virtual.
    """

    case_id: str
    truth: Path
    found: tuple[FoundSide, ...]
    coverage: Path | None
    virtual: bool


def files_of(cohort: Cohort) -> list[CaseFiles]:
    """The files of every case, in the order of the names."""
    return [
        CaseFiles(
            case,
            path,
            tuple(replace(side, paths={case: side.paths[case]}) for side in cohort.found),
            cohort.coverage.get(case),
            cohort.virtual,
        )
        for case, path in cohort.truth.items()
    ]


def check_labels(files: CaseFiles) -> None:
    """Refuse label maps that are damaged or hold values outside the map.

    Raises:
        InputError: As `read_labels`.
    """
    _labels(files.truth, files.case_id)
    for side in files.found:
        if side.kind is Kind.LABEL_MAPS:
            _labels(side.paths[files.case_id], files.case_id)


@dataclass(frozen=True, slots=True)
class JudgedCase:
    """One case without its voxels.

    Attributes:
        case: Truth and readings.
        curves: What curves need, by name of the found side, where its case folder keeps the evidence.
    """

    case: EvaluatedCase
    curves: Mapping[str, CurveCase]


def read_case(files: CaseFiles, settings: EvaluationSettings) -> JudgedCase:
    """Figures of one case.

    Raises:
        InputError: As `read_labels` and `read_folder`.
    """
    lesions = _lesions(files.truth, files.case_id, settings)
    covered = None if files.coverage is None else read_instances(files.coverage, is_ct=False)[0] > 0
    truth = Truth(lesions, covered, settings)
    readings: dict[str, Reading] = {}
    curves: dict[str, CurveCase] = {}
    for side in files.found:
        path = side.paths[files.case_id]
        if side.kind is Kind.LABEL_MAPS:
            readings[side_models(side)[None].key] = _from_label_map(path, files.case_id, truth)
            continue
        made = read_folder(path, truth, evidence=side.evidence)
        readings.update({n.key: made.readings[v] for v, n in side_models(side).items() if v is not None})
        if made.curves is not None:
            curves[side.name] = made.curves
    true = tuple(TrueLesion.of(lesion) for lesion in lesions)
    case = EvaluatedCase(
        files.case_id,
        true,
        classify_patient([lesion for lesion in true if settings.counts(lesion.volume_ml)]),
        readings,
        files.truth,
        {side.name: side.paths[files.case_id] for side in files.found},
        files.virtual,
    )
    return JudgedCase(case, curves)


def _from_label_map(path: Path, case: str, truth: Truth) -> Reading:
    lesions = _lesions(path, case, truth.settings)
    found = [FoundLesion(x.label, x.volume_ml, int(np.count_nonzero(x.mask)), x.centroid) for x in lesions]
    return truth.reading(lesions, found)


def _lesions(path: Path, case: str, settings: EvaluationSettings) -> LesionSet:
    labels, grid = _labels(path, case)
    per_label = settings.instances is Instances.PER_LABEL
    return seg2det(labels, grid, min_volume_ml=settings.least_ml, per_label=per_label)


def _labels(path: Path, case: str) -> tuple[UInt8[np.ndarray, "z y x"], Grid]:
    try:
        return read_labels(path, is_ct=False)
    except InputError as error:
        message = f"case {case}, {path.parent.name}/{error.message}"
        raise InputError(error.code, message, error.remedy, stage="measure") from error
