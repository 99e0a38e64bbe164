"""predict: one study in, one case folder out."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8
from pydantic import ValidationError

from livercascade import __version__
from livercascade.alignment.align_phases import PhaseUse, StudyAlignment
from livercascade.cascade.chances import chances_of, verdict_record, with_chances
from livercascade.cascade.evidence import collect_evidence
from livercascade.cascade.findings import Findings, Progress, find, judge_proposals, liver_notices
from livercascade.cascade.one_grid import to_one_grid
from livercascade.cascade.proposals import Character
from livercascade.cascade.settings import CascadeSettings
from livercascade.classify.lesion_classifier import LesionClassifier
from livercascade.data.grid import Grid
from livercascade.data.labels import LESION_TYPES, PHASES, Phase
from livercascade.data.lesion import LesionSet
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import seg2det
from livercascade.diagnose.calibration import Calibration, SettingCalibration
from livercascade.io.nifti import write_nifti, write_slabs
from livercascade.io.study import Study
from livercascade.io.study_reader import read_study
from livercascade.reclassify.candidate import Candidate, FoundAt
from livercascade.report.alignment import alignment_pictures, measure_alignment
from livercascade.report.html import render_report
from livercascade.report.measure import measure_lesions, measure_liver
from livercascade.report.pictures import build_pictures
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import EVIDENCE, write_evidence
from livercascade.results.result import (
    CaseResult,
    InputRecord,
    ModelRecord,
    OutputKind,
    OutputRecord,
    PhaseSource,
    Provenance,
    SensitivityFactors,
    Status,
    SweepRow,
    TypeCount,
    WarningRecord,
)
from livercascade.segment.model import Model
from livercascade.system.manifest import new_result_folder, verify
from livercascade.system.memory import peak_resident_mb

RESULT, REPORT = "result.json", "report.html"
SEGMENTATION, LESIONS = "segmentation.nii.gz", "lesions.nii.gz"
_SLAB = 8
"""Slices of the map of candidates that are made and written at a time."""
_PACKAGES = ("numpy", "scipy", "torch", "nibabel", "pydicom", "dynamic-network-architectures", "numba")


@dataclass(frozen=True, slots=True)
class Cascade:
    """Networks and settings: everything that does not change from case to case.

    Attributes:
        whole: UNet^whole.
        patch: UNet^patch.
        settings: How to analyse.
        calibration: Probabilities and abstention for these networks; None gives none.
        classifier: Says of which type a proposal is; None leaves the types of UNet^whole.
    """

    whole: Model
    patch: Model
    settings: CascadeSettings
    calibration: Calibration | None = None
    classifier: LesionClassifier | None = None

    @property
    def models(self) -> tuple[ModelRecord, ...]:
        """What was used, for the record."""
        cards = (self.whole.card, self.patch.card, *(() if self.classifier is None else (self.classifier.card,)))
        return tuple(ModelRecord(name=c.name, version=c.version, sha256=c.sha256) for c in cards)

    def find(self, scan: Scan, *, progress: Progress | None = None) -> Findings:
        """Everything found in one scan of aligned phases.

        Raises:
            InputError: As `livercascade.cascade.findings.find`.
        """
        return find(scan, self.whole, self.patch, self.settings, classifier=self.classifier, progress=progress)

    def calibrated(self, scan: Scan) -> SettingCalibration | None:
        """Probabilities for the phases of a scan; None without a calibration that fits, or without all patches."""
        if self.calibration is None or self.settings.reclassify.stop_when_decided:
            return None
        models = tuple(model.sha256 for model in self.models)
        return self.calibration.for_phases(scan.phases, models, self.settings.judging_sha256)


@dataclass(slots=True)
class _Clock:
    """Wall time of each stage."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def stage(self, name: str) -> Generator[None, None, None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 2)


def predict(
    source: Path | None,
    out: Path,
    cascade: Cascade,
    *,
    files: Mapping[Phase, Path] | None = None,
    progress: Progress | None = None,
    again: bool = False,
) -> CaseResult:
    """Analyse one study and write its case folder; a finished result of the same input, models and settings is kept.

    Args:
        source: DICOM study folder, folder with ``nc|ap|vp|dp.nii.gz``, or one NIfTI file; None if ``files`` is given.
        out: Case folder; appears complete or not at all.
        cascade: Networks and settings.
        files: NIfTI file per phase, instead of ``source``.
        progress: Called with (step in words, done, in all).
        again: True analyses even if the result is there already.

    Raises:
        InputError: The study cannot be used; nothing is written.
        OutputError: The result cannot be written; nothing is left behind.
        UsageError: Neither or both of ``source`` and ``files``.
    """
    (result,) = predict_variants(source, [(out, cascade)], files=files, progress=progress, again=again)
    return result


def predict_variants(
    source: Path | None,
    variants: Sequence[tuple[Path, Cascade]],
    *,
    files: Mapping[Phase, Path] | None = None,
    case_id: str | None = None,
    progress: Progress | None = None,
    again: bool = False,
    report: bool = True,
) -> tuple[CaseResult, ...]:
    """Analyse one study by cascades that differ behind UNet^whole alone: its pass over the scan is made once.

    Args:
        source: As `predict`.
        variants: Case folder and cascade of each; all with the same UNet^whole and the same settings up to it. A later
            one whose ``high_factor`` is its ``low_factor`` judges the lesions of Base alone.
        files: As `predict`.
        case_id: Name of the case; taken from the path if absent.
        progress: As `predict`.
        again: As `predict`.
        report: False leaves out ``report.html``, for cohorts that nobody leafs through.

    Raises:
        InputError: The study cannot be used; nothing is written.
        OutputError: A result cannot be written; nothing of it is left behind.
        UsageError: Neither or both of ``source`` and ``files``.
        ValueError: There is no variant, or they differ before UNet^patch.
    """
    first = variants[0][1] if variants else None
    if first is None or any(_ahead(_as_wide(c, first)) != _ahead(first) for _, c in variants):
        raise ValueError("variants share UNet^whole and every setting up to it")
    clock = _Clock()
    with clock.stage("read"):
        study = read_study(source, files=files, case_id=case_id)
    earlier = tuple(None if again else finished_result(out, study, cascade) for out, cascade in variants)
    if all(earlier):
        return tuple(result for result in earlier if result is not None)
    with clock.stage("align"):
        placed = to_one_grid(study, first.settings, progress=progress)
    with clock.stage("find"):
        findings = first.find(placed.scan, progress=progress)
    folder = source if source is not None else next(iter((files or {}).values())).parent
    virtual = (folder / "virtual.json").is_file()
    results: list[CaseResult] = []
    for number, ((out, cascade), known) in enumerate(zip(variants, earlier, strict=True)):
        if known is not None:
            results.append(known)
            continue
        with clock.stage("find"):
            own = findings if number == 0 else _judged_again(placed, findings, cascade, progress)
        evidence = _evidence(study, placed, own, cascade, clock, progress)
        notices = (*study.warnings, *placed.notices, *liver_notices(own.proposals, placed.scan))
        made = _write(out, study, placed, own, cascade, notices, clock, evidence, virtual=virtual, report=report)
        results.append(made)
    return tuple(results)


_BEHIND_WHOLE = {
    *("score", "threshold_ml", "ratio", "bypass_ml", "relabel", "n_original", "n_shuffled", "shuffled"),
    *("sweep", "seed", "evidence", "stop_when_decided"),
}
"""Settings that UNet^whole and the proposals do not depend on."""


def _ahead(cascade: Cascade) -> tuple[str, str, str]:
    """What the proposals depend on."""
    types = "" if cascade.classifier is None else cascade.classifier.card.sha256
    return cascade.whole.card.sha256, types, cascade.settings.model_dump_json(exclude=_BEHIND_WHOLE)


def _as_wide(cascade: Cascade, first: Cascade) -> Cascade:
    """The cascade with the High of the first if its own is its Base."""
    settings = cascade.settings
    if settings.high_factor != settings.low_factor:
        return cascade
    return replace(cascade, settings=settings.model_copy(update={"high_factor": first.settings.high_factor}))


def _judged_again(placed: StudyAlignment, findings: Findings, cascade: Cascade, progress: Progress | None) -> Findings:
    proposals, settings = findings.proposals, cascade.settings
    proposals = proposals.base_only() if settings.high_factor == settings.low_factor else proposals
    return judge_proposals(placed.scan, proposals, cascade.patch, settings, progress=progress)


def _evidence(
    study: Study, placed: StudyAlignment, findings: Findings, cascade: Cascade, clock: _Clock, progress: Progress | None
) -> Evidence | None:
    if not cascade.settings.evidence:
        return None
    models = (cascade.whole, cascade.patch)
    with clock.stage("evidence"):
        return collect_evidence(study.case_id, placed.scan, findings, models, cascade.settings, progress=progress)


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


def candidates_of(findings: Findings, settings: CascadeSettings) -> tuple[Candidate, ...]:
    """Every proposal of High with its fate, largest first; proposals of Base lie inside them."""
    low = findings.proposals.det_low
    characters = findings.proposals.characters or (None,) * len(findings.high.candidates)
    return tuple(
        _located(candidate, character, findings, low.instances(candidate.lesion.bbox), settings.low_factor)
        for candidate, character in zip(findings.high.candidates, characters, strict=True)
    )


def _located(
    candidate: Candidate,
    character: Character | None,
    findings: Findings,
    low_box: Int32[np.ndarray, "z y x"],
    base: float,
) -> Candidate:
    """The candidate with where it was found, what its type rests on, and a reason that says so."""
    inside = low_box[candidate.lesion.mask]
    numbers = np.unique(inside[inside > 0])
    kept_low = [n for n in numbers if findings.low.candidates[int(n) - 1].present]
    reason = candidate.reason[0].upper() + candidate.reason[1:]
    if not candidate.present and kept_low:
        reason += f"; its core at f = {base:g} was kept"
    if candidate.present and len(numbers) and not kept_low:
        reason += f"; at f = {base:g} it was removed"
    return replace(
        candidate,
        reason=f"{reason}.",
        found_at=FoundAt.BASE_AND_HIGH if len(numbers) else FoundAt.HIGH_ONLY,
        core_ml=int(np.count_nonzero(inside)) * findings.proposals.det_low.voxel_ml,
        enhancement=None if character is None else character.chances,
        network_type=None if character is None else character.network_type,
    )


def sweep_rows(findings: Findings, scan: Scan, settings: CascadeSettings) -> tuple[SweepRow, ...]:
    """Lesions at every sensitivity of the sweep, before reclassification (paper, Fig. 11)."""
    rows: list[SweepRow] = []
    masks = findings.proposals.liver_masks(settings.sweep)
    for factor, mask in zip(settings.sweep, masks, strict=True):
        lesions = seg2det(mask, scan.grid.spacing, min_volume_ml=settings.min_volume_ml)
        by_type = {
            t: TypeCount(
                lesions=sum(x.label is t for x in lesions),
                volume_ml=float(sum(x.volume_ml for x in lesions if x.label is t)),
            )
            for t in LESION_TYPES
        }
        rows.append(
            SweepRow(
                factor=factor,
                lesions=len(lesions),
                volume_ml=float(sum(x.volume_ml for x in lesions)),
                by_type={t: count for t, count in by_type.items() if count.lesions},
            )
        )
    return tuple(rows)


def _write(
    out: Path,
    study: Study,
    placed: StudyAlignment,
    findings: Findings,
    cascade: Cascade,
    notices: tuple[Notice, ...],
    clock: _Clock,
    evidence: Evidence | None,
    *,
    virtual: bool,
    report: bool,
) -> CaseResult:
    scan, labels = placed.scan, findings.labels
    factors = SensitivityFactors(base=cascade.settings.low_factor, high=cascade.settings.high_factor)
    with clock.stage("report"):
        candidates = candidates_of(findings, cascade.settings)
        chances = chances_of(findings, cascade.calibrated(scan))
        records = with_chances(measure_lesions(candidates, scan, labels), chances)
        sweep = sweep_rows(findings, scan, cascade.settings)
        pictures = None
        if report:
            pictures = build_pictures(scan, labels, candidates, records, sweep)
            pictures = replace(pictures, alignment=alignment_pictures(scan, labels, placed.phases))
    with new_result_folder(out) as folder:
        outputs = _write_maps(folder, labels, findings.high.proposals, scan.grid, evidence)
        result = CaseResult(
            case_id=study.case_id,
            status=Status.OK_WITH_WARNINGS if notices else Status.OK,
            virtual=virtual,
            warnings=tuple(WarningRecord(code=n.code, message=n.message) for n in notices),
            inputs=_inputs(study, placed),
            reference_phase=scan.reference,
            alignment=tuple(measure_alignment(phase, labels, scan.grid) for phase in placed.phases),
            factors=factors,
            verdict=verdict_record(findings.verdict, factors, chances),
            liver=measure_liver(scan, labels),
            lesions=records,
            sensitivity=sweep,
            not_analysed=_not_analysed(study, scan, findings, cascade.settings),
            outputs=outputs,
            provenance=_provenance(cascade, clock),
        )
        (folder / RESULT).write_text(result.to_json())
        if pictures is not None:
            (folder / REPORT).write_text(render_report(result, pictures))
    return result


def _write_maps(
    folder: Path,
    labels: UInt8[np.ndarray, "z y x"],
    candidates: LesionSet,
    grid: Grid,
    evidence: Evidence | None,
) -> tuple[OutputRecord, ...]:
    write_nifti(folder / SEGMENTATION, labels, grid)
    depth, height, width = grid.shape
    numbers = (
        candidates.instances((slice(z, min(z + _SLAB, depth)), slice(0, height), slice(0, width)))
        for z in range(0, depth, _SLAB)
    )
    write_slabs(folder / LESIONS, numbers, np.int32, grid)
    kinds = {SEGMENTATION: OutputKind.MASK, LESIONS: OutputKind.INSTANCES}
    if evidence is not None:
        write_evidence(folder / EVIDENCE, evidence)
        kinds[EVIDENCE] = OutputKind.EVIDENCE
    return tuple(_output(folder / name, kind) for name, kind in kinds.items())


def _output(path: Path, kind: OutputKind) -> OutputRecord:
    return OutputRecord(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), kind=kind)


def _inputs(study: Study, placed: StudyAlignment) -> tuple[InputRecord, ...]:
    moved = {p.phase for p in placed.phases if p.use is PhaseUse.ALIGNED} | set(placed.scan.valid)
    return tuple(
        InputRecord(
            phase=v.phase,
            source=PhaseSource(v.source),
            confidence=min(max(v.confidence, 0.0), 1.0),
            sha256=v.sha256,
            shape=v.grid.shape,
            spacing_mm=v.grid.spacing,
            description=v.description,
            resampled=v.phase in moved,
        )
        for v in study.volumes
    )


def _not_analysed(study: Study, scan: Scan, findings: Findings, settings: CascadeSettings) -> tuple[str, ...]:
    absent = [p.title for p in PHASES if p not in scan.hu]
    unused: dict[str, list[str]] = {}
    for one in study.unused:
        unused.setdefault(f"{one.reason} ({one.code})", []).append(one.name)
    items = [f"{', '.join(names)}: {why}" for why, names in unused.items()]
    if absent:
        items.append(f"Phases that are absent: {', '.join(absent)}. Types rest on fewer phases than they could.")
    items.append(f"Lesions under {settings.min_volume_ml:g} ml.")
    items.append("Lesions outside the liver, vessels, bile ducts and the other organs.")
    if findings.proposals.strays:
        items.append(f"{findings.proposals.strays} lesion-like spots outside the liver were left out.")
    return tuple(items)


def _provenance(cascade: Cascade, clock: _Clock) -> Provenance:
    return Provenance(
        version=__version__,
        models=cascade.models,
        calibration_sha256=None if cascade.calibration is None else cascade.calibration.sha256,
        settings=cascade.settings.model_dump(mode="json"),
        settings_sha256=cascade.settings.sha256,
        packages={name: version(name) for name in (*_PACKAGES, *cascade.whole.engine.packages)}
        | {"python": sys.version.split()[0]},
        device=cascade.whole.engine.name,
        seed=cascade.settings.seed,
        started=clock.began,
        seconds=clock.seconds,
        peak_rss_mb=round(peak_resident_mb(), 1),
    )
