"""Predictions of every patient, setting and model against the reference, ready for tables, claims and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from livercascade.diagnose.calibration import Calibration
from livercascade.evaluation.cohort.cohort_files import Cohort, PredictionSource
from livercascade.evaluation.cohort.evaluated_case import CasePrediction, EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.cohort.evidence_case import EvidenceCase
from livercascade.evaluation.cohort.read_case import read_case
from livercascade.evaluation.evaluation import Evaluation, summarise
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.fit_calibration import calibration_of
from livercascade.evaluation.matching.matched_lesions import MatchedLesions
from livercascade.evaluation.statistics.intervals import draw_resamples
from livercascade.reproduce.claim_metrics import PatientResults
from livercascade.reproduce.experiment import (
    SHUFFLING_TRIALS,
    ExperimentSettings,
    ModelKey,
    PaperModel,
    PaperSetting,
    joint_model,
    single_models,
)
from livercascade.reproduce.predictions import prediction_folder, refusal_file
from livercascade.system.parallel import one_thread, parallel_map
from livercascade.system.progress import Progress, counter
from livercascade.virtual.fixed_cohorts import CohortPart


def compare_patients(
    cases: Sequence[Path],
    group: Path,
    patches: Sequence[PaperModel],
    settings: ExperimentSettings,
    *,
    workers: int,
    progress: Progress,
) -> list[EvaluatedCase]:
    """Hold the predictions of a group against its reference, patient by patient.

    Args:
        cases: Folders of the patients, with their reference.
        group: Folder that `predict_patients` wrote to.
        patches: Models of the ablation that a UNet^patch was there for, see `NetworkFolders.patches`.
        settings: Settings of the experiment.
        workers: Number of processes.
        progress: Told after every patient.
    """
    work = partial(_compare_patient, group=group, patches=patches, settings=settings)
    advance = counter(progress, "comparing lesions", len(cases))
    return parallel_map(work, cases, workers=workers, advance=advance, setup=one_thread)


def summarise_patients(
    judged: Sequence[EvaluatedCase],
    sides: Sequence[PredictionSource],
    patches: Mapping[PaperModel, Any],
    settings: EvaluationSettings,
) -> tuple[Evaluation, PatientResults]:
    """Tables of all models, and what the claims are held against, with the resamples of the tables.

    Args:
        judged: At least one patient.
        sides: Predictions of the cascade in each setting, see `cascade_sides`; without them there are no curves.
        patches: As for `compare_patients`.
        settings: Rules by which lesions are counted.
    """
    reference = {each.case_id: each.reference_path for each in judged if each.reference_path is not None}
    models = [name for setting in PaperSetting for name in single_models(setting, patches)]
    joints = [joint_model(setting) for setting in PaperSetting]
    evaluation = summarise(Cohort(reference, tuple(sides), {}, virtual=True), judged, models, joints, settings)
    predictions = {ModelKey.parse(str(counts.model)): counts for counts in evaluation.counts}
    for setting in PaperSetting:
        # Without a twin the UNet^patch of the cascade is the one that lesion shuffling is judged by.
        own = predictions[ModelKey(setting, PaperModel.BASE_RECLS)]
        predictions.setdefault(ModelKey(setting, PaperModel.WITH_LS), own)
    curves = {setting: [each.evidence[setting.value] for each in judged] for setting in PaperSetting}
    resampling = draw_resamples(len(judged), settings.bootstrap, np.random.default_rng(settings.seed))
    return evaluation, PatientResults(predictions, curves, resampling)


def fit_calibration(
    judged: Sequence[EvaluatedCase], hashes: Mapping[str, str], settings: ExperimentSettings
) -> Calibration:
    """Probabilities and abstention of both settings, fitted to the predictions of the validation patients.

    Args:
        judged: The patients.
        hashes: SHA-256 of the networks by role.
        settings: Settings of the experiment.
    """
    group = settings.groups[CohortPart.VALIDATION]
    return calibration_of(
        {setting.phases: [each.evidence[setting.value] for each in judged] for setting in PaperSetting},
        alpha=settings.alpha,
        # In the order of `Cascade.models`, which it is held against.
        models=tuple(hashes[role] for role in ("whole", "patch", "types") if role in hashes),
        judging=settings.cascade.scoring_sha256,
        about=f"{len(judged)} virtual validation patients, seeds {group.seeds[0]}-{group.seeds[-1]}, "
        f"mix {group.mix.value}, matrix {settings.matrix}",
        names=[each.case_id for each in judged],
    )


def cascade_sides(group: Path, cases: Sequence[str]) -> list[PredictionSource]:
    """Predictions of the cascade's own networks in each setting, as `livercascade.evaluation` knows them."""
    return [_side(group, setting, PaperModel.BASE_RECLS, cases) for setting in PaperSetting]


def _side(group: Path, setting: PaperSetting, patch: PaperModel, cases: Sequence[str]) -> PredictionSource:
    folder = prediction_folder(group, setting, patch)
    found = {case: folder / case for case in cases if not refusal_file(group, setting, case).is_file()}
    name = f"{setting.value} {folder.name}" if patch in SHUFFLING_TRIALS else setting.value
    return PredictionSource(name, found, case_folders=True, named=True, evidence=True, virtual=True)


def _compare_patient(
    case: Path, group: Path, patches: Sequence[PaperModel], settings: ExperimentSettings
) -> EvaluatedCase:
    """One patient; in a setting in which the cascade refused it every model finds nothing."""
    # Made here and not handed over: a side with all patients would be pickled for each of them.
    sides = {(s, p): _side(group, s, p, [case.name]) for s in PaperSetting for p in patches}
    sources = tuple(side for side in sides.values() if side.paths)
    cohort = Cohort({case.name: case / "labels.nii.gz"}, sources, {}, virtual=True)
    read = read_case(cohort, settings.evaluation)
    nothing = MatchedLesions(read.reference, (), ())
    predictions: dict[EvaluatedModel, CasePrediction] = dict(read.predictions)
    evidence = dict(read.evidence)
    for (setting, patch), side in sides.items():
        evidence.setdefault(side.name, _empty_evidence(read.case_id, nothing, settings))
        # `evaluation` names models by side and variant; tables and claims speak of models of the ablation.
        for variant, name in side.models.items():
            prediction = predictions.setdefault(name, CasePrediction.of(nothing, settings.evaluation))
            for model in _models_of(patch):
                if model.variant is variant:
                    predictions[ModelKey(setting, model).evaluated] = prediction
    return replace(read, predictions=predictions, evidence=evidence)


def _models_of(patch: PaperModel) -> tuple[PaperModel, ...]:
    """Models of the ablation that the case folders of one UNet^patch give."""
    if patch in SHUFFLING_TRIALS:
        return (patch,)
    return tuple(m for m in PaperModel if m is not PaperModel.JOINT and m not in SHUFFLING_TRIALS)


def _empty_evidence(case: str, nothing: MatchedLesions, settings: ExperimentSettings) -> EvidenceCase:
    cascade = settings.cascade
    low, high = cascade.detect.low_factor, cascade.detect.high_factor
    proposals = dict.fromkeys(sorted({low, high, *cascade.output.sweep}), nothing)
    return EvidenceCase(case, proposals, (), low, high, cascade.reclassify, settings.evaluation)
