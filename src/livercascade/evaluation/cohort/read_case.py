"""From the files or arrays of one case to an evaluated case: the voxels are compared and let go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid, Triple
from livercascade.data.lesion import LesionSet
from livercascade.detect.seg2det import LesionRule, seg2det
from livercascade.diagnose.patient import classify_patient
from livercascade.evaluation.cohort.cohort_files import Cohort
from livercascade.evaluation.cohort.evaluated_case import CasePrediction, EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.cohort.evidence_case import EvidenceCase
from livercascade.evaluation.cohort.read_case_folder import read_folder
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.matched_lesions import ReferenceLesions
from livercascade.io.nifti import read_instances, read_labels

LabelMap = UInt8[np.ndarray, "z y x"]


def check_labels(case: Cohort) -> None:
    """Refuse label maps that are damaged or hold values outside the map.

    Args:
        case: Cohort of one case.

    Raises:
        InputError: As `read_labels`.
    """
    for name, path in case.reference.items():
        _labels(path, name)
        for source in case.predictions:
            if not source.case_folders:
                _labels(source.paths[name], name)


def read_case(case: Cohort, settings: EvaluationSettings) -> EvaluatedCase:
    """Lesions and predictions of one case.

    Args:
        case: Cohort of one case, see `Cohort.single`.
        settings: Rules by which lesions are counted.

    Raises:
        InputError: As `read_labels` and `read_folder`.
    """
    ((name, path),) = case.reference.items()
    covered = read_instances(case.coverage[name], is_ct=False)[0] > 0 if name in case.coverage else None
    reference = ReferenceLesions(lesions_of(*_labels(path, name), settings), covered, settings)
    predictions: dict[EvaluatedModel, CasePrediction] = {}
    evidence: dict[str, EvidenceCase] = {}
    for source in case.predictions:
        place = source.paths[name]
        if not source.case_folders:
            matched = reference.match(lesions_of(*_labels(place, name), settings))
            predictions[source.models[None]] = CasePrediction.of(matched, settings)
            continue
        made, kept = read_folder(place, reference, evidence=source.evidence)
        predictions |= {key: made[variant] for variant, key in source.models.items() if variant is not None}
        if kept is not None:
            evidence[source.name] = kept
    paths = {source.name: source.paths[name] for source in case.predictions}
    return _case(name, reference, predictions, evidence, (path, paths))


def compare_masks(
    name: str,
    reference: LabelMap,
    predictions: Mapping[EvaluatedModel, LabelMap],
    spacing: Triple | Grid,
    settings: EvaluationSettings,
    *,
    covered: np.ndarray | None = None,
) -> EvaluatedCase:
    """Lesions and predictions of one case from label maps in memory.

    Args:
        name: Name of the case.
        reference: Label values 0-13.
        predictions: Label maps of the models, of the shape of ``reference``.
        spacing: Voxel spacing (z, y, x) in mm, or the grid of all maps.
        settings: Rules by which lesions are counted.
        covered: Voxels where the reference was read; None if everywhere.

    Raises:
        ValueError: Shapes differ.
    """
    known = ReferenceLesions(lesions_of(reference, spacing, settings), covered, settings)
    made = {
        key: CasePrediction.of(known.match(lesions_of(mask, spacing, settings)), settings)
        for key, mask in predictions.items()
    }
    return _case(name, known, made, {}, (None, {}))


def lesions_of(labels: LabelMap, spacing: Triple | Grid, settings: EvaluationSettings) -> LesionSet:
    """Lesions of a label map that take part, by the definition of a lesion in the settings."""
    per_label = settings.instances is LesionRule.PER_LABEL
    return seg2det(labels, spacing, min_volume_ml=settings.smallest_ml, per_label=per_label)


def _case(
    name: str,
    reference: ReferenceLesions,
    predictions: Mapping[EvaluatedModel, CasePrediction],
    evidence: Mapping[str, EvidenceCase],
    paths: tuple[Path | None, Mapping[str, Path]],
) -> EvaluatedCase:
    lesions = reference.summaries
    counted = [lesion for lesion in lesions if reference.settings.counts(lesion.volume_ml)]
    return EvaluatedCase(name, lesions, classify_patient(counted), predictions, evidence, *paths)


def _labels(path: Path, case: str) -> tuple[LabelMap, Grid]:
    try:
        return read_labels(path, is_ct=False)
    except InputError as error:
        message = f"case {case}, {path.parent.name}/{error.message}"
        raise InputError(error.code, message, error.remedy, stage="measure") from error
