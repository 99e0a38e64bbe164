"""predict: one study in, one case folder out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from livercascade import __version__
from livercascade.cascade.cascade import Cascade
from livercascade.cascade.prediction import RESULT, StageClock
from livercascade.data.labels import Phase
from livercascade.io.phase_naming import PhaseNaming
from livercascade.io.study import Study
from livercascade.io.study_reader import read_study
from livercascade.io.study_sources import StudyLocation
from livercascade.results.result import CaseResult
from livercascade.system.manifest import check_place, verify
from livercascade.system.progress import Progress


def predict(
    source: str | Path | StudyLocation | None,
    out: Path,
    cascade: Cascade,
    *,
    files: Mapping[Phase, Path] | None = None,
    resample: bool = False,
    naming: PhaseNaming | None = None,
    progress: Progress | None = None,
    again: bool = False,
) -> CaseResult:
    """Analyse one study and write its case folder; a finished result of the same input, models and settings is kept.

    Args:
        source: DICOM study folder or zip, folder with ``nc|ap|vp|dp.nii.gz``, one NIfTI file, or one of `studies_in`;
            None if ``files`` is given.
        out: Case folder; appears complete or not at all.
        cascade: Networks and settings.
        files: NIfTI file per phase, instead of ``source``.
        resample: True interpolates DICOM slices that are missing, unevenly spaced or tilted, and tells it.
        naming: Phases of DICOM series that people name.
        progress: Called with (step in words, done, total).
        again: True analyses even if the result is there already.

    Raises:
        InputError: The study cannot be used; nothing is written.
        OutputError: The result cannot be written; nothing is left behind.
        UsageError: Neither or both of ``source`` and ``files``.
    """
    (result,) = predict_variants(
        source, [(out, cascade)], files=files, resample=resample, naming=naming, progress=progress, again=again
    )
    return result


def predict_variants(
    source: str | Path | StudyLocation | None,
    variants: Sequence[tuple[Path, Cascade]],
    *,
    files: Mapping[Phase, Path] | None = None,
    resample: bool = False,
    naming: PhaseNaming | None = None,
    case_id: str | None = None,
    progress: Progress | None = None,
    again: bool = False,
    report: bool = True,
) -> tuple[CaseResult, ...]:
    """Analyse one study by cascades that differ behind UNet^whole alone: its pass over the scan is made once.

    Args:
        source: Study, see `predict`.
        variants: Case folder and cascade of each; all propose the same lesions. A later one whose ``high_factor`` is
            its ``low_factor`` judges the lesions of Base alone.
        files: NIfTI file per phase, instead of ``source``.
        resample: True interpolates DICOM slices that are missing, unevenly spaced or tilted, and tells it.
        naming: Phases of DICOM series that people name.
        case_id: Name of the case; taken from the path if absent.
        progress: Called with (step in words, done, total).
        again: True analyses even if the result is there already.
        report: False leaves out ``report.html``, for cohorts that nobody leafs through.

    Raises:
        InputError: The study cannot be used; nothing is written.
        OutputError: A result cannot be written; nothing of it is left behind.
        UsageError: Neither or both of ``source`` and ``files``.
        ValueError: There is no variant, or they differ before UNet^patch.
    """
    first = variants[0][1] if variants else None
    if first is None or any(_proposing(cascade, first) != _proposing(first, first) for _, cascade in variants):
        raise ValueError("variants share UNet^whole and every setting up to it")
    for out, _ in variants:
        # A result that is there may be the one that is wanted, which asks for no room.
        if again or not verify(out):
            check_place(out)
    clock = StageClock()
    with clock.stage("read"):
        study = read_study(source, files=files, case_id=case_id, resample=resample, naming=naming)
    # Before anything takes time: a cohort that is run again is mostly there.
    results = [None if again else finished_result(out, study, cascade) for out, cascade in variants]
    if all(results):
        return tuple(result for result in results if result is not None)
    for result, (out, _) in zip(results, variants, strict=True):
        if result is None:
            check_place(out)
    with clock.stage("align"):
        aligned = first.align(study, progress=progress)
    with clock.stage("find"):
        findings = first.find(aligned.scan, progress=progress)
    proposals = findings.proposals
    for number, (out, cascade) in enumerate(variants):
        if results[number] is not None:
            continue
        if number:
            detect = cascade.settings.detect
            own = proposals.base_only() if detect.high_factor == detect.low_factor else proposals
            with clock.stage("find"):
                findings = cascade.judge(aligned.scan, own, progress=progress)
        made = cascade.conclude(study, aligned, findings, clock, progress=progress)
        results[number] = made.save(out, report=report)
    return tuple(result for result in results if result is not None)


def _proposing(cascade: Cascade, first: Cascade) -> tuple[str, str, str]:
    """What proposals depend on; one that judges Base alone takes the High of the first for its own."""
    settings = cascade.settings
    if settings.detect.high_factor == settings.detect.low_factor:
        settings = settings.changed("detect", high_factor=first.settings.detect.high_factor)
    types = "" if cascade.classifier is None else cascade.classifier.sha256
    return cascade.segmenter.sha256, types, settings.stage_sha256("classify")


def finished_result(out: Path, study: Study, cascade: Cascade) -> CaseResult | None:
    """The result in ``out`` if it is whole and came from the same input, models, settings and version."""
    if not verify(out):
        return None
    try:
        result = CaseResult.model_validate_json((out / RESULT).read_bytes())
    except (OSError, ValidationError):
        return None
    made = result.provenance
    same_input = sorted(i.sha256 for i in result.inputs) == sorted(v.sha256 for v in study.volumes)
    same_way = (made.models, made.settings_sha256, made.calibration_sha256, made.version) == (
        cascade.models,
        cascade.settings.sha256,
        None if cascade.calibration is None else cascade.calibration.sha256,
        __version__,
    )
    return result if same_input and same_way else None
