"""evaluate: from folders or arrays to all tables and curves (paper, Sec. IV)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, UInt8

from livercascade import __version__
from livercascade.data.errors import UsageError
from livercascade.data.grid import Grid, Triple
from livercascade.evaluation.cohort.cohort_files import Cohort, PredictionSource, find_cohort
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel, JointModel, check_unique
from livercascade.evaluation.cohort.read_case import check_labels, compare_masks, read_case
from livercascade.evaluation.curves.all_curves import CohortCurves, build_curves, curves_json
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.metrics.model_comparison import compare_models
from livercascade.evaluation.metrics.model_counts import (
    ModelCounts,
    counts_of_joint_model,
    counts_of_model,
    lesions_by_volume,
)
from livercascade.evaluation.output.figure_files import NO_FIGURES, Figures
from livercascade.evaluation.output.lesion_records import by_volume, model_tables
from livercascade.evaluation.output.tables_json import Tables
from livercascade.evaluation.output.write_evaluation import write_evaluation
from livercascade.evaluation.statistics.intervals import draw_resamples
from livercascade.system.parallel import parallel_map
from livercascade.system.progress import Progress, counter

_CASES_PER_WORKER = 8
"""A process takes as long to start as it needs for about so many cases."""
_DEFAULT = EvaluationSettings()
_Folders = Path | Mapping[str, Path] | Sequence[tuple[str | None, Path]]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Cases, counts and tables of one evaluation.

    Attributes:
        cohort: Files of the cases; without paths where they came as arrays.
        cases: Lesions and predictions of every case, in the order of the names.
        counts: Counts of every model, in the order of the tables.
        curves: Curves over sensitivity and score, by name of the sources that keep the evidence.
        tables: Content of ``tables.json``.
    """

    cohort: Cohort
    cases: tuple[EvaluatedCase, ...]
    counts: tuple[ModelCounts, ...]
    curves: Mapping[str, CohortCurves]
    tables: Tables

    def save(self, out: Path, figures: Figures = NO_FIGURES) -> None:
        """Write ``tables.json``, tables as CSV and LaTeX, figures and one HTML page; all of it appears or nothing.

        Args:
            out: Folder to write; an earlier result there is replaced.
            figures: Figures drawn, see `livercascade.evaluation.plots.draw_all.build_figures`.

        Raises:
            OutputError: ``OUT_TAKEN``, ``NO_SPACE`` or ``CANNOT_WRITE``.
        """
        write_evaluation(out, self.tables, self.cases, self.counts, figures)


@overload
def evaluate(
    reference: Path,
    predictions: _Folders,
    spacing: None = None,
    *,
    settings: EvaluationSettings = ...,
    joint: Sequence[str] = ...,
    workers: int = ...,
    progress: Progress | None = ...,
) -> Evaluation: ...
@overload
def evaluate(
    reference: Mapping[str, UInt8[np.ndarray, "z y x"]],
    predictions: Mapping[str, Mapping[str, UInt8[np.ndarray, "z y x"]]],
    spacing: Triple | Grid | Mapping[str, Triple | Grid],
    *,
    settings: EvaluationSettings = ...,
    joint: Sequence[str] = ...,
    workers: int = ...,
    progress: Progress | None = ...,
) -> Evaluation: ...
def evaluate(
    reference: Any,
    predictions: Any,
    spacing: Any = None,
    *,
    settings: EvaluationSettings = _DEFAULT,
    joint: Sequence[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluation of folders (`evaluate_folders`) or of label maps in memory (`evaluate_masks`).

    Args:
        reference: Folder of the reference, or label map of every case by its name.
        predictions: Folder, folders by name of the model or pairs of both; or by name of the model label maps of every
            case.
        spacing: Voxel spacing (z, y, x) in mm or grid of the label maps, of all or by case; None for folders.
        settings: Rules by which lesions are counted.
        joint: Joint models, each ``NAME=LOW,HIGH``.
        workers: Processes side by side for folders.
        progress: Called at every step.

    Raises:
        CascadeError: What was given does not fit together or cannot be read.
    """
    if isinstance(reference, Path):
        return evaluate_folders(
            reference, predictions, settings=settings, joint=joint, workers=workers, progress=progress
        )
    return evaluate_masks(reference, predictions, spacing, settings=settings, joint=joint, progress=progress)


def evaluate_folders(
    reference: Path,
    predictions: _Folders,
    *,
    settings: EvaluationSettings = _DEFAULT,
    coverage: Path | None = None,
    joint: Sequence[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluation of label maps or case folders against label maps.

    Args:
        reference: Folder of the reference, see `find_cohort`.
        predictions: Folder, folders by name, or pairs of a name (None for the folder's own) and a folder.
        settings: Rules by which lesions are counted.
        coverage: Folder of masks of where the reference was read; None if everywhere.
        joint: Joint models besides those of case folders, each ``NAME=LOW,HIGH``.
        workers: Processes side by side.
        progress: Called at every step.

    Raises:
        UsageError: ``NO_FOUND``, ``NAME_TWICE`` or ``BAD_JOINT``.
        InputError: Cases, grids or files do not fit, see `find_cohort` and `evaluate_cohort`.
    """
    sources = _sources(predictions)
    cohort = find_cohort(reference, sources, coverage=coverage)
    return evaluate_cohort(cohort, settings, joint=joint, workers=workers, progress=progress)


def evaluate_masks(
    reference: Mapping[str, UInt8[np.ndarray, "z y x"]],
    predictions: Mapping[str, Mapping[str, UInt8[np.ndarray, "z y x"]]],
    spacing: Triple | Grid | Mapping[str, Triple | Grid],
    *,
    settings: EvaluationSettings = _DEFAULT,
    coverage: Mapping[str, Bool[np.ndarray, "z y x"]] | None = None,
    joint: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluation of label maps in memory.

    Args:
        reference: Label map (values 0-13) of every case by its name.
        predictions: Label maps of every case by name of the model; ``setting/title`` as in `EvaluatedModel.parse`.
        spacing: Voxel spacing (z, y, x) in mm or grid, of all cases or by name of the case.
        settings: Rules by which lesions are counted.
        coverage: Voxels where the reference was read, for the cases that were not read everywhere.
        joint: Joint models, each ``NAME=LOW,HIGH``.
        progress: Called after each case.

    Raises:
        UsageError: ``NO_FOUND``, ``NO_CASES``, ``MISSING_CASES``, ``EXTRA_CASES`` or ``BAD_JOINT``.
        ValueError: Shapes of a case differ.

    >>> mask = np.zeros((4, 8, 8), dtype=np.uint8)
    >>> mask[1:3, 2:5, 2:5] = 1
    >>> made = evaluate_masks({"a": mask}, {"model": {"a": mask}}, (5.0, 5.0, 5.0))
    >>> made.tables.models["model"].lesion.paper.All.TP
    1
    """
    _check_masks(reference, predictions)
    sources = tuple(PredictionSource(name, {}) for name in predictions)
    cohort = Cohort({}, sources, {}, virtual=False)
    single, joints = models_of(cohort, joint)
    advance, cases = counter(progress, "comparing lesions", len(reference)), list[EvaluatedCase]()
    for name, mask in reference.items():
        masks = {key: maps[name] for key, maps in zip(single, predictions.values(), strict=True)}
        at = spacing[name] if isinstance(spacing, Mapping) else spacing
        cases.append(compare_masks(name, mask, masks, at, settings, covered=(coverage or {}).get(name)))
        advance()
    return summarise(cohort, cases, single, joints, settings)


def evaluate_cohort(
    cohort: Cohort,
    settings: EvaluationSettings,
    *,
    joint: Sequence[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluation of every model of a cohort.

    Args:
        cohort: Files of the cases, see `find_cohort`.
        settings: Rules by which lesions are counted.
        joint: Joint models besides those of case folders, each ``NAME=LOW,HIGH``.
        workers: Processes side by side; a small cohort is done in this one.
        progress: Called at every step.

    Raises:
        UsageError: ``NAME_TWICE`` or ``BAD_JOINT``.
        InputError: A label map is damaged or holds values outside the map, or a case folder is not whole; found before
            any case is judged, but for case folders damaged inside.
    """
    single, joints = models_of(cohort, joint)
    files = cohort.single()
    workers = min(workers, len(files) // _CASES_PER_WORKER)
    # All label maps are read twice: hours of work are not to end at a damaged last one.
    advance = counter(progress, "checking label maps", len(files))
    parallel_map(check_labels, files, workers=workers, advance=advance)
    advance = counter(progress, "comparing lesions", len(files))
    cases = parallel_map(partial(read_case, settings=settings), files, workers=workers, advance=advance)
    return summarise(cohort, cases, single, joints, settings)


def models_of(cohort: Cohort, joint: Sequence[str] = ()) -> tuple[list[EvaluatedModel], list[JointModel]]:
    """The models and the joint models of a cohort.

    Raises:
        UsageError: ``NAME_TWICE`` or ``BAD_JOINT``.
    """
    single = [key for source in cohort.predictions for key in source.models.values()]
    joints = [made for source in cohort.predictions if (made := source.joint) is not None]
    joints += [JointModel.parse(text, single) for text in joint]
    check_unique([*single, *(made.model for made in joints)])
    return single, joints


def summarise(
    cohort: Cohort,
    cases: Sequence[EvaluatedCase],
    single: Sequence[EvaluatedModel],
    joints: Sequence[JointModel],
    settings: EvaluationSettings,
) -> Evaluation:
    """Tables and curves of cases that were read.

    Args:
        cohort: Files of the cases, or sources without paths.
        cases: The cases; at least one.
        single: Models, each of which every case has a prediction of.
        joints: Joint models of these.
        settings: Rules by which lesions are counted.
    """
    counts = [counts_of_model(cases, key, settings) for key in single]
    counts += [counts_of_joint_model(cases, joint, settings) for joint in joints]
    # One draw for all models and curves: differences are then of pairs, and a seed gives the same tables.
    resamples = draw_resamples(len(cases), settings.bootstrap, np.random.default_rng(settings.seed))
    comparisons = compare_models(counts, resamples)
    curves = {
        source.name: build_curves([case.evidence[source.name] for case in cases], resamples)
        for source in cohort.predictions
        if source.evidence
    }
    tables = Tables(
        software="livercascade",
        version=__version__,
        virtual=cohort.virtual,
        cases=len(cases),
        settings=settings.model_dump(mode="json"),
        settings_sha256=settings.sha256,
        table1=by_volume(lesions_by_volume(cases, settings)),
        models={str(made.model): model_tables(made, cases, resamples) for made in counts},
        comparisons=comparisons,
        curves={name: curves_json(made) for name, made in curves.items()},
        notes=tuple(_notes(cohort.predictions, settings)),
    )
    return Evaluation(cohort, tuple(cases), tuple(counts), curves, tables)


def _sources(predictions: _Folders) -> Sequence[tuple[str | None, Path]]:
    if isinstance(predictions, Path):
        return [(None, predictions)]
    return list(predictions.items()) if isinstance(predictions, Mapping) else predictions


def _check_masks(reference: Mapping[str, np.ndarray], predictions: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    if not predictions:
        raise UsageError("NO_FOUND", "There is nothing to evaluate.", "Give the label maps of at least one model.")
    if not reference:
        raise UsageError("NO_CASES", "There is no case.", "Give the label map of at least one case.")
    for name, maps in predictions.items():
        missing, extra = reference.keys() - maps.keys(), maps.keys() - reference.keys()
        if missing or extra:
            code = "MISSING_CASES" if missing else "EXTRA_CASES"
            message = f"{name!r} and the reference have different cases: {', '.join(sorted(missing or extra))}."
            raise UsageError(code, message, "Give a label map of every case of the reference, and of no other.")


def _notes(sources: Iterable[PredictionSource], settings: EvaluationSettings) -> Iterator[str]:
    if any(not source.case_folders for source in sources):
        yield (
            "A label map says nothing about confidence: its malignancy score is 1 with a malignant lesion and 0 "
            "without, so that its AUROC is the mean of sensitivity and specificity."
        )
    for source in sources:
        if source.case_folders and not source.evidence:
            yield (
                f"The case folders of {source.name!r} keep no evidence: Base and Base+ReCls are absent, and the joint "
                "model takes the verdict of Base+ReCls from result.json. Run 'livercascade predict --evidence'."
            )
    if not settings.bootstrap:
        yield "Without resamples there are no intervals of lesion figures."
