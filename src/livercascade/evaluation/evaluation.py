"""evaluate: from two or more folders to all tables (paper, Sec. IV)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from livercascade import __version__
from livercascade.evaluation.cohort.cohort_files import Cohort, FoundSide, Kind
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.cohort.model_keys import (
    JointName,
    ModelName,
    check_unique,
    parse_joint,
    side_joint,
    side_models,
)
from livercascade.evaluation.cohort.read_case import CaseFiles, JudgedCase, check_labels, files_of, read_case
from livercascade.evaluation.curves.all_curves import Curves, build_curves, curves_json
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.model_counts import Answers, answers_of, joint_answers
from livercascade.evaluation.matching.volume_bins import lesions_by_volume
from livercascade.evaluation.output.calibrated_records import calibrated_record
from livercascade.evaluation.output.lesion_records import by_volume, model_tables
from livercascade.evaluation.output.tables_json import ComparisonRow, ModelTables, Tables
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.evaluation.statistics.paired_tests import compare_models

Progress = Callable[[str, int], Callable[[], None]]
"""Called with (step in words, how many); gives the function that is called after each."""
_T = TypeVar("_T")
_CASES_PER_WORKER = 8


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Cases, answers and tables of one evaluation.

    Attributes:
        cohort: The files.
        cases: Figures of every case, in the order of the names.
        answers: Counts of every model, in the order of the tables.
        curves: Curves over sensitivity and score, by name of the found sides that keep the evidence.
        tables: What is written as ``tables.json``.
    """

    cohort: Cohort
    cases: tuple[EvaluatedCase, ...]
    answers: tuple[Answers, ...]
    curves: Mapping[str, Curves]
    tables: Tables


def evaluate(
    cohort: Cohort,
    settings: EvaluationSettings,
    *,
    joint: Sequence[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate every model of a cohort.

    Args:
        cohort: The files, see `find_cohort`.
        settings: How to count.
        joint: Joint models besides those of case folders, each ``NAME=LOW,HIGH``.
        workers: Processes side by side; a small cohort is done in this one.
        progress: Told about every step.

    Raises:
        UsageError: ``NAME_TWICE`` or ``BAD_JOINT``.
        InputError: A label map is damaged or holds values outside the map, or a case folder is not whole; found before
            any case is judged, but for case folders damaged inside.
    """
    single, joints = models_of(cohort, joint)
    files = files_of(cohort)
    tell = progress or _silent
    with _pool(min(workers, len(files) // _CASES_PER_WORKER)) as run:
        _in_order(run, check_labels, files, tell("checking label maps", len(files)))
        judge = partial(read_case, settings=settings)
        judged = _in_order(run, judge, files, tell("comparing lesions", len(files)))
    return summarise(cohort, judged, single, joints, settings)


def models_of(cohort: Cohort, joint: Sequence[str] = ()) -> tuple[list[ModelName], list[JointName]]:
    """The models and the joint models of a cohort.

    Raises:
        UsageError: ``NAME_TWICE`` or ``BAD_JOINT``.
    """
    single = [name for side in cohort.found for name in side_models(side).values()]
    keys = [name.key for name in single]
    joints = [made for side in cohort.found if (made := side_joint(side)) is not None]
    joints += [parse_joint(text, keys) for text in joint]
    check_unique([*single, *(made.name for made in joints)])
    return single, joints


def summarise(
    cohort: Cohort,
    judged: Sequence[JudgedCase],
    single: Sequence[ModelName],
    joints: Sequence[JointName],
    settings: EvaluationSettings,
) -> Evaluation:
    """Tables and curves of cases that were read."""
    cases = tuple(each.case for each in judged)
    answers = [answers_of(cases, name, settings) for name in single]
    answers += [joint_answers(cases, name, settings) for name in joints]
    resampling = Resampling.draw(len(cases), settings.bootstrap, np.random.default_rng(settings.seed))
    comparisons = compare_models(answers, resampling)
    curves = {
        side.name: build_curves([each.curves[side.name] for each in judged], settings, resampling)
        for side in cohort.found
        if side.evidence
    }
    tables = Tables(
        software="livercascade",
        version=__version__,
        virtual=cohort.virtual,
        cases=len(cases),
        settings=settings.model_dump(mode="json"),
        settings_sha256=settings.sha256,
        table1=by_volume(lesions_by_volume(cases, settings)),
        models={a.name.key: _tables_of(a, cases, resampling) for a in answers},
        comparisons=tuple(
            ComparisonRow(
                one=c.one,
                two=c.two,
                figure=c.figure,
                difference=c.difference,
                interval=c.interval,
                p=c.p,
                p_holm=c.p_holm,
                test=c.test,
                cases=c.cases,
            )
            for c in comparisons
        ),
        curves={name: curves_json(made) for name, made in curves.items()},
        notes=tuple(_notes(cohort.found, settings)),
    )
    return Evaluation(cohort, cases, tuple(answers), curves, tables)


def _tables_of(answers: Answers, cases: Sequence[EvaluatedCase], resampling: Resampling) -> ModelTables:
    made = model_tables(answers, resampling)
    calibrated = calibrated_record(answers, cases)
    return made if calibrated is None else made.model_copy(update={"calibrated": calibrated})


def _notes(found: Iterable[FoundSide], settings: EvaluationSettings) -> Generator[str, None, None]:
    if any(side.kind is Kind.LABEL_MAPS for side in found):
        yield (
            "A label map says nothing about confidence: its malignancy score is 1 with a malignant lesion and 0 "
            "without, so that its AUROC is the mean of sensitivity and specificity."
        )
    for side in found:
        if side.kind is Kind.CASE_FOLDERS and not side.evidence:
            yield (
                f"The case folders of {side.name!r} keep no evidence: Base and Base+ReCls are absent, and the joint "
                "model takes the verdict of Base+ReCls from result.json. Run 'livercascade predict --evidence'."
            )
    if not settings.bootstrap:
        yield "Without resamples there are no intervals of lesion figures."


@contextmanager
def _pool(workers: int) -> Generator[ProcessPoolExecutor | None, None, None]:
    """Worker processes; none for work that would be done before they had started."""
    if workers < 2:
        yield None
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor | None,
    work: Callable[[CaseFiles], _T],
    files: Sequence[CaseFiles],
    advance: Callable[[], None],
) -> list[_T]:
    """Results in the order of the files, whichever is done first."""
    results: list[_T] = []
    if pool is None:
        for each in files:
            results.append(work(each))
            advance()
        return results
    jobs: list[Future[_T]] = [pool.submit(work, each) for each in files]
    for job in as_completed(jobs):
        job.result()
        advance()
    return [job.result() for job in jobs]


def _silent(step: str, total: int) -> Callable[[], None]:
    del step, total
    return lambda: None
