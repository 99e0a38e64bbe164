"""Every patient's truth and findings, of both settings and all models, ready for the tables and the claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from livercascade.cascade.settings import CascadeSettings
from livercascade.data.labels import PatientClass
from livercascade.evaluation.cohort.cohort_files import Cohort, FoundSide, Kind
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase, Reading
from livercascade.evaluation.cohort.evidence_case import CurveCase, Side
from livercascade.evaluation.cohort.model_keys import JOINT, JointName, ModelName, Variant, side_models
from livercascade.evaluation.cohort.read_case import CaseFiles, JudgedCase, read_case
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.reproduce.predicting import TWIN, WITH, WITHOUT, Places
from livercascade.reproduce.settings import Setting
from livercascade.reproduce.side_by_side import each

Advance = Callable[[str, int], Callable[[], None]]
WITHOUT_LS, WITH_LS = "Base+ReCls w/o LS", "Base+ReCls w/ LS"
"""Base judged by UNet^patch trained without lesion shuffling, and by its twin trained alike but with it."""
_MARKS = {WITHOUT: " w/o LS", TWIN: " w/ LS"}
_NOTHING = Reading((), (), PatientClass.NORMAL)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """All patients of a group.

    Attributes:
        cohort: Their files, with the sides of lesion shuffling.
        cases: One for each patient.
        models: The models in the order of the ablation, by setting.
        joints: The joint model of each setting.
        refused: Patients whom the cascade refused, by setting; there it finds nothing.
    """

    cohort: Cohort
    cases: tuple[JudgedCase, ...]
    models: tuple[ModelName, ...]
    joints: tuple[JointName, ...]
    refused: Mapping[Setting, tuple[str, ...]]


def key_of(setting: Setting, title: str) -> str:
    """Key of a model in ``tables.json``.

    >>> key_of(Setting.SCREENING, "Base")
    'screening/Base'
    """
    return f"{setting.value}/{title}"


def judge_patients(
    cases: Sequence[Path],
    places: Places,
    cascade: CascadeSettings,
    settings: EvaluationSettings,
    *,
    variants: Sequence[str] = (WITH,),
    workers: int,
    progress: Advance,
) -> Judged:
    """Hold the predictions of a group against its truth.

    Args:
        cases: Folders of the patients, with their truth.
        places: Where `predict_patients` put the case folders.
        cascade: How they were analysed.
        settings: How lesions are counted.
        variants: Those of UNet^patch that there are predictions of.
        workers: Processes side by side.
        progress: Told about every patient.
    """
    names = [case.name for case in cases]
    truth = {case.name: case / "labels.nii.gz" for case in cases}
    sides = {(s, v): _side(places, s, v, names) for s in Setting for v in variants}
    files = [
        CaseFiles(name, truth[name], tuple(_of_case(side, name) for side in sides.values()), None, True)
        for name in names
    ]
    judge = partial(_judge, cascade=cascade, settings=settings)
    judged = each(judge, files, workers=workers, advance=progress("comparing lesions", len(files)))
    refused = {s: tuple(n for n in names if places.refusal(s, n).is_file()) for s in Setting}
    cohort = Cohort(truth, tuple(sides[s, WITH] for s in Setting), {}, True)
    models = tuple(name for setting in Setting for name in models_of(setting, variants))
    return Judged(cohort, tuple(judged), models, tuple(map(joint_of, Setting)), refused)


def _side(places: Places, setting: Setting, variant: str, names: Sequence[str]) -> FoundSide:
    name = setting.value + _MARKS.get(variant, "")
    found = {n: places.side(setting, variant) / n for n in names if not places.refusal(setting, n).is_file()}
    return FoundSide(name, Kind.CASE_FOLDERS, found, named=True, evidence=True, virtual=True)


def _of_case(side: FoundSide, case: str) -> FoundSide:
    return replace(side, paths={case: side.paths[case]} if case in side.paths else {})


def _judge(files: CaseFiles, cascade: CascadeSettings, settings: EvaluationSettings) -> JudgedCase:
    """One patient; a side that refused it finds nothing."""
    made = read_case(replace(files, found=tuple(side for side in files.found if side.paths)), settings)
    readings: dict[str, Reading] = dict(made.case.readings)
    curves = dict(made.curves)
    for side in files.found:
        for variant, name in side_models(side).items():
            readings.setdefault(name.key, _NOTHING)
            readings[_key(side, variant)] = readings[name.key]
        curves.setdefault(side.name, _empty(made.case, cascade))
    case = replace(made.case, readings=readings)
    return JudgedCase(case, curves)


def _key(side: FoundSide, variant: Variant | None) -> str:
    """Key of the ablation: ``setting/model``; that of no model for what the ablation does not show."""
    setting, _, rest = side.name.partition(" ")
    title = "" if variant is None else variant.value
    return f"{setting}/{title}" if not rest else f"{setting}/{title} {rest}"


def _empty(case: EvaluatedCase, cascade: CascadeSettings) -> CurveCase:
    factors = {cascade.low_factor, cascade.high_factor, *cascade.sweep}
    nothing = {factor: Side((), ()) for factor in sorted(factors)}
    low, high = cascade.low_factor, cascade.high_factor
    return CurveCase(case.case_id, case.truth, nothing, (), low, high, cascade.reclassify)


def models_of(setting: Setting, variants: Sequence[str] = (WITH,)) -> list[ModelName]:
    """The models of a setting in the order of the ablation."""
    titles = [variant.value for variant in Variant]
    titles[1:1] = [title for variant, title in ((WITHOUT, WITHOUT_LS), (TWIN, WITH_LS)) if variant in variants]
    return [ModelName(key_of(setting, title), title, setting.value) for title in titles]


def joint_of(setting: Setting) -> JointName:
    """The joint model of a setting."""
    name = ModelName(key_of(setting, JOINT), JOINT, setting.value)
    low, high = (key_of(setting, variant.value) for variant in (Variant.BASE_RECLS, Variant.HIGH_RECLS))
    return JointName(name, low, high)
