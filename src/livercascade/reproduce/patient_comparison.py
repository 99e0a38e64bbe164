"""Predictions of every patient, setting and model held against the truth, ready for tables, claims and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from livercascade.cascade.settings import CascadeSettings
from livercascade.data.labels import PatientClass
from livercascade.diagnose.calibration import Calibration
from livercascade.evaluation.cohort.cohort_files import Cohort, FoundSide, Kind
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase, Reading
from livercascade.evaluation.cohort.evidence_case import CurveCase, Side
from livercascade.evaluation.cohort.model_keys import side_models
from livercascade.evaluation.cohort.read_case import CaseFiles, JudgedCase, read_case
from livercascade.evaluation.evaluation import Evaluation, summarise
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.fit_calibration import calibration_of
from livercascade.evaluation.statistics.intervals import Resampling
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

_NOTHING = Reading((), (), PatientClass.NORMAL)


def compare_patients(
    cases: Sequence[Path],
    group: Path,
    patches: Sequence[PaperModel],
    settings: ExperimentSettings,
    *,
    workers: int,
    progress: Progress,
) -> list[JudgedCase]:
    """Hold the predictions of a group against its truth, patient by patient.

    Args:
        cases: Folders of the patients, with their truth.
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
    judged: Sequence[JudgedCase],
    sides: Sequence[FoundSide],
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
    truth = {each.case.case_id: each.case.truth_path for each in judged}
    models = [name for setting in PaperSetting for name in single_models(setting, patches)]
    joints = [joint_model(setting) for setting in PaperSetting]
    evaluation = summarise(Cohort(truth, tuple(sides), {}, True), judged, models, joints, settings)
    predictions = {ModelKey.parse(answers.name.key): answers for answers in evaluation.answers}
    for setting in PaperSetting:
        # Without a twin the UNet^patch of the cascade is the one that lesion shuffling is judged by.
        own = predictions[ModelKey(setting, PaperModel.BASE_RECLS)]
        predictions.setdefault(ModelKey(setting, PaperModel.WITH_LS), own)
    curves = {setting: [each.curves[setting.value] for each in judged] for setting in PaperSetting}
    resampling = Resampling.draw(len(judged), settings.bootstrap, np.random.default_rng(settings.seed))
    return evaluation, PatientResults(predictions, curves, settings, resampling)


def fit_calibration(
    judged: Sequence[JudgedCase], hashes: Mapping[str, str], settings: ExperimentSettings
) -> Calibration:
    """Probabilities and abstention of both settings, fitted to the predictions of the validation patients.

    Args:
        judged: The patients.
        hashes: SHA-256 of the networks by role.
        settings: Settings of the experiment.
    """
    group = settings.groups[CohortPart.VALIDATION]
    return calibration_of(
        {setting.phases: [each.curves[setting.value] for each in judged] for setting in PaperSetting},
        settings.evaluation,
        alpha=settings.alpha,
        # In the order of `Cascade.models`, which it is held against.
        models=tuple(hashes[role] for role in ("whole", "patch", "types") if role in hashes),
        judging=settings.cascade.judging_sha256,
        about=f"{len(judged)} virtual validation patients, seeds {group.seeds[0]}-{group.seeds[-1]}, "
        f"mix {group.mix.value}, matrix {settings.matrix}",
        names=[each.case.case_id for each in judged],
    )


def cascade_sides(group: Path, cases: Sequence[str]) -> list[FoundSide]:
    """Predictions of the cascade's own networks in each setting, as `livercascade.evaluation` knows them."""
    return [_side(group, setting, PaperModel.BASE_RECLS, cases) for setting in PaperSetting]


def _side(group: Path, setting: PaperSetting, patch: PaperModel, cases: Sequence[str]) -> FoundSide:
    folder = prediction_folder(group, setting, patch)
    found = {case: folder / case for case in cases if not refusal_file(group, setting, case).is_file()}
    name = f"{setting.value} {folder.name}" if patch in SHUFFLING_TRIALS else setting.value
    return FoundSide(name, Kind.CASE_FOLDERS, found, named=True, evidence=True, virtual=True)


def _compare_patient(
    case: Path, group: Path, patches: Sequence[PaperModel], settings: ExperimentSettings
) -> JudgedCase:
    """One patient; in a setting in which the cascade refused it every model finds nothing."""
    # Made here and not handed over: a side with all patients would be pickled for each of them.
    sides = {(s, p): _side(group, s, p, [case.name]) for s in PaperSetting for p in patches}
    found = tuple(side for side in sides.values() if side.paths)
    judged = read_case(CaseFiles(case.name, case / "labels.nii.gz", found, None, True), settings.evaluation)
    readings: dict[str, Reading] = dict(judged.case.readings)
    curves = dict(judged.curves)
    for (setting, patch), side in sides.items():
        curves.setdefault(side.name, _empty_curves(judged.case, settings.cascade))
        # `evaluation` names models by side and variant; tables and claims speak of models of the ablation.
        for variant, name in side_models(side).items():
            reading = readings.setdefault(name.key, _NOTHING)
            for model in _models_of(patch):
                if model.variant is variant:
                    readings[str(ModelKey(setting, model))] = reading
    return JudgedCase(replace(judged.case, readings=readings), curves)


def _models_of(patch: PaperModel) -> tuple[PaperModel, ...]:
    """Models of the ablation that the case folders of one UNet^patch give."""
    if patch in SHUFFLING_TRIALS:
        return (patch,)
    return tuple(m for m in PaperModel if m is not PaperModel.JOINT and m not in SHUFFLING_TRIALS)


def _empty_curves(case: EvaluatedCase, cascade: CascadeSettings) -> CurveCase:
    low, high = cascade.low_factor, cascade.high_factor
    nothing = {factor: Side((), ()) for factor in sorted({low, high, *cascade.sweep})}
    return CurveCase(case.case_id, case.truth, nothing, (), low, high, cascade.reclassify)
