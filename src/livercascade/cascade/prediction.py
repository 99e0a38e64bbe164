"""What the cascade says about one study: in memory, as a record, and as a case folder."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32, UInt8

from livercascade import __version__
from livercascade.alignment.align_phases import PhaseUse, StudyAlignment
from livercascade.cascade.case_probabilities import (
    CaseProbabilities,
    probabilities_of,
    verdict_record,
    with_probabilities,
)
from livercascade.cascade.findings import Findings
from livercascade.cascade.proposals import form_lesions
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.errors import UsageError
from livercascade.data.labels import LESION_TYPES, PHASES
from livercascade.data.lesion import LesionSet
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.diagnose.calibration import SettingCalibration
from livercascade.io.nifti import write_nifti, write_slabs
from livercascade.io.study import Study
from livercascade.reclassification.candidate import Candidate, numbered
from livercascade.report.alignment import alignment_pictures, measure_alignment
from livercascade.report.html import render_report
from livercascade.report.measure import measure_lesions, measure_liver
from livercascade.report.pictures import ReportPictures, build_pictures
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import EVIDENCE, write_evidence
from livercascade.results.result import (
    CaseResult,
    InputRecord,
    LesionRecord,
    ModelRecord,
    OutputKind,
    OutputRecord,
    PhaseSource,
    Provenance,
    SensitivityFactors,
    Status,
    SweepRow,
    TypeCount,
    VerdictRecord,
)
from livercascade.results.wording import NO_VERDICT
from livercascade.segment.engine import Engine
from livercascade.system.extras import require
from livercascade.system.files import sha256_of
from livercascade.system.manifest import new_result_folder
from livercascade.system.memory import peak_resident_mb

if TYPE_CHECKING:
    from livercascade.dicom.dicom_case import DicomCase
    from livercascade.dicom.result_uids import ResultUids

_LOG = logging.getLogger(__name__)
RESULT, REPORT = "result.json", "report.html"
SEGMENTATION, LESIONS = "segmentation.nii.gz", "lesions.nii.gz"
_NOT_WRITTEN = "DICOM_NOT_WRITTEN"
_SLAB = 8
"""Slices of the map of candidates that are made and written at a time."""
_PACKAGES = ("numpy", "scipy", "torch", "nibabel", "pydicom", "dynamic-network-architectures", "numba")


@dataclass(slots=True)
class StageClock:
    """Wall time of each stage, in seconds."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def stage(self, name: str) -> Generator[None, None, None]:
        """Add the time of the block to a stage."""
        start = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 2)


# Without slots, which leave cached properties no place.
@dataclass(frozen=True, eq=False)
class Prediction:
    """What the cascade says about one study. Nothing is written before `save`.

    Attributes:
        study: Study that was read.
        alignment: Its phases on one grid.
        findings: Proposals and verdicts.
        settings: Settings of the cascade.
        models: Networks that were used.
        engine: What computed them.
        calibration: Fit that probabilities follow from; None if the networks are not calibrated for these phases.
        calibration_sha256: Hash of the calibration that came with the networks; None without one.
        evidence: What curves and figures of `evaluate` follow from; None unless the settings keep it.
        clock: Time of each stage.
    """

    study: Study
    alignment: StudyAlignment
    findings: Findings
    settings: CascadeSettings
    models: tuple[ModelRecord, ...]
    engine: Engine
    calibration: SettingCalibration | None = None
    calibration_sha256: str | None = None
    evidence: Evidence | None = None
    clock: StageClock = field(default_factory=StageClock)

    @property
    def scan(self) -> Scan:
        """The phases that were analysed, on one grid."""
        return self.alignment.scan

    @cached_property
    def segmentation(self) -> UInt8[np.ndarray, "z y x"]:
        """Final label map 0-13 on the grid of `scan`; removed lesions are not in it."""
        return self.findings.labels

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every proposal with its fate; number ``n`` counted from 1 is ``Ln``."""
        return self.findings.candidates(self.settings)

    @property
    def candidate_map(self) -> Int32[np.ndarray, "z y x"]:
        """Number of the candidate in every voxel, removed ones too; 0 outside."""
        return self.findings.high.proposals.instances()

    @property
    def verdict(self) -> VerdictRecord | None:
        """Class of the patient by Base, High and jointly; None where a warning says that none is given."""
        if any(notice.code in NO_VERDICT for notice in self.findings.proposals.warnings):
            return None
        return verdict_record(self.findings, self.factors, self._probabilities)

    @cached_property
    def lesions(self) -> tuple[LesionRecord, ...]:
        """Measures of every candidate, in the order of `candidates`."""
        return with_probabilities(measure_lesions(self.candidates, self.scan, self.segmentation), self._probabilities)

    @property
    def factors(self) -> SensitivityFactors:
        """Sensitivity factors f of Base and High."""
        detect = self.settings.detect
        return SensitivityFactors(base=detect.low_factor, high=detect.high_factor)

    def mask(self, factor: float) -> UInt8[np.ndarray, "z y x"]:
        """Label map at any sensitivity factor f, before reclassification (paper, eq. 2 and 3).

        Raises:
            ValueError: ``factor`` is not a finite number above 0.
        """
        return self.findings.proposals.mask(factor)

    @cached_property
    def sweep(self) -> tuple[SweepRow, ...]:
        """Lesions at every sensitivity of the sweep, before reclassification (paper, Fig. 11)."""
        factors, spacing = self.settings.output.sweep, self.scan.grid.spacing
        masks = self.findings.proposals.liver_masks(factors)
        formed = (form_lesions(mask, spacing, self.settings.detect) for mask in masks)
        return tuple(_sweep_row(factor, lesions) for factor, lesions in zip(factors, formed, strict=True))

    @property
    def result(self) -> CaseResult:
        """The record that ``result.json`` would hold, without files."""
        return self._record(())

    def report_html(self) -> str:
        """The report as one HTML page that needs no network."""
        return render_report(self.result, self._pictures())

    def save(self, out: str | Path, *, report: bool = True) -> CaseResult:
        """Write the case folder; all of it appears at ``out``, or nothing does.

        An earlier result there is replaced.

        Args:
            out: Case folder.
            report: False leaves out ``report.html``, for cohorts that nobody leafs through.

        Raises:
            OutputError: ``OUT_TAKEN`` if something that is not a result lies there, ``NO_SPACE`` or ``CANNOT_WRITE``.
        """
        with self.clock.stage("report"):
            # Made within this stage, so that its time is not counted as writing.
            _ = self.segmentation, self.lesions, self.sweep
            pictures = self._pictures() if report else None
        with new_result_folder(Path(out)) as folder:
            kinds, notices = self._write_dicom(folder, pictures)
            kinds = self._write_maps(folder) | kinds
            outputs = tuple(OutputRecord(path=n, sha256=sha256_of(folder / n), kind=k) for n, k in kinds.items())
            result = self._record(outputs, notices)
            (folder / RESULT).write_text(result.to_json())
            if pictures is not None:
                (folder / REPORT).write_text(render_report(result, pictures))
        return result

    @cached_property
    def _probabilities(self) -> CaseProbabilities | None:
        return probabilities_of(self.findings, self.calibration)

    def _pictures(self) -> ReportPictures:
        scan, labels = self.scan, self.segmentation
        pictures = build_pictures(scan, labels, self.candidates, self.lesions, self.sweep)
        return replace(pictures, alignment=alignment_pictures(scan, labels, self.alignment.phases))

    def _write_dicom(
        self, folder: Path, pictures: ReportPictures | None
    ) -> tuple[dict[str, OutputKind], tuple[Notice, ...]]:
        """Kind of each DICOM object by its name; none for NIfTI or where the settings ask for none."""
        stage = self.settings.output.dicom
        if not self.study.slices or not stage.objects:
            return {}, ()
        try:
            require("dicom")
        except UsageError as error:
            return {}, (Notice(_NOT_WRITTEN, f"No DICOM objects were written. {error.message}", error.remedy),)
        # Only here: the libraries are an extra, and take a second to load.
        from livercascade.dicom.write_results import write_results

        try:
            return write_results(self._dicom_case(), stage, pictures, folder), ()
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # After minutes of work, headers that no DICOM object can be made from must not cost the result.
            # Without the error's words, which may hold a value of the header.
            _LOG.warning("the results could not be written as DICOM (%s)", type(error).__name__)
            for path in folder.glob("*.dcm"):
                path.unlink()
            message = f"The results could not be written as DICOM ({type(error).__name__})."
            return {}, (Notice(_NOT_WRITTEN, message, "Use the NIfTI files, and report the study's kind."),)

    def _dicom_case(self) -> DicomCase:
        from livercascade.dicom.codes import default_codes
        from livercascade.dicom.dicom_case import DicomCase

        named = numbered(self.candidates)
        return DicomCase(
            self.result,
            self.segmentation,
            {name: candidate.result for name, candidate in named.items() if candidate.present},
            self.scan.grid,
            self.study.slices,
            result_uids(self.study, self.models, self.calibration_sha256, self.settings),
            self.settings.output.dicom.codes or default_codes(),
        )

    def _write_maps(self, folder: Path) -> dict[str, OutputKind]:
        grid, candidates = self.scan.grid, self.findings.high.proposals
        write_nifti(folder / SEGMENTATION, self.segmentation, grid)
        depth, height, width = grid.shape
        numbers = (
            candidates.instances((slice(z, min(z + _SLAB, depth)), slice(0, height), slice(0, width)))
            for z in range(0, depth, _SLAB)
        )
        write_slabs(folder / LESIONS, numbers, np.int32, grid)
        kinds = {SEGMENTATION: OutputKind.MASK, LESIONS: OutputKind.INSTANCES}
        if self.evidence is not None:
            write_evidence(folder / EVIDENCE, self.evidence)
            kinds[EVIDENCE] = OutputKind.EVIDENCE
        return kinds

    def _record(self, outputs: tuple[OutputRecord, ...], noticed: tuple[Notice, ...] = ()) -> CaseResult:
        scan = self.scan
        notices = (*self.study.warnings, *self.alignment.notices, *self.findings.proposals.warnings, *noticed)
        return CaseResult(
            case_id=self.study.case_id,
            status=Status.OK_WITH_WARNINGS if notices else Status.OK,
            virtual=self.study.virtual,
            warnings=notices,
            inputs=self._inputs(),
            reference_phase=scan.reference,
            alignment=tuple(measure_alignment(p, self.segmentation, scan.grid) for p in self.alignment.phases),
            factors=self.factors,
            verdict=self.verdict,
            liver=measure_liver(scan, self.segmentation),
            lesions=self.lesions,
            sensitivity=self.sweep,
            not_analysed=self._not_analysed(),
            outputs=outputs,
            provenance=self._provenance(),
        )

    def _inputs(self) -> tuple[InputRecord, ...]:
        moved = {p.phase for p in self.alignment.phases if p.use is PhaseUse.ALIGNED} | set(self.scan.valid)
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
            for v in self.study.volumes
        )

    def _not_analysed(self) -> tuple[str, ...]:
        absent = [p.title for p in PHASES if p not in self.scan.hu]
        unused: dict[str, list[str]] = {}
        for one in self.study.unused:
            unused.setdefault(f"{one.reason} ({one.code})", []).append(one.name)
        items = [f"{', '.join(names)}: {why}" for why, names in unused.items()]
        if absent:
            items.append(f"Phases that are absent: {', '.join(absent)}. Types rest on fewer phases than they could.")
        items.append(f"Lesions under {self.settings.detect.min_volume_ml:g} ml.")
        items.append("Lesions outside the liver, vessels, bile ducts and the other organs.")
        if self.findings.proposals.strays:
            items.append(f"{self.findings.proposals.strays} lesion-like spots outside the liver were left out.")
        return tuple(items)

    def _provenance(self) -> Provenance:
        return Provenance(
            version=__version__,
            models=self.models,
            calibration_sha256=self.calibration_sha256,
            settings=self.settings.model_dump(mode="json"),
            settings_sha256=self.settings.sha256,
            packages={name: version(name) for name in (*_PACKAGES, *self.engine.packages)}
            | {"python": sys.version.split()[0]},
            device=self.engine.name,
            seed=self.settings.reclassify.seed,
            started=self.clock.began,
            seconds=self.clock.seconds,
            peak_rss_mb=round(peak_resident_mb(), 1),
        )


def result_uids(
    study: Study, models: Sequence[ModelRecord], calibration_sha256: str | None, settings: CascadeSettings
) -> ResultUids:
    """Identifiers of the DICOM results of a study; they are known before it is analysed.

    Args:
        study: Study from DICOM.
        models: Networks.
        calibration_sha256: Hash of the calibration that came with them.
        settings: Settings of the cascade.
    """
    from livercascade.dicom.result_uids import ResultUids

    made_by = [model.sha256 for model in models]
    return ResultUids.of(study.slices, [*made_by, calibration_sha256 or "", settings.stage_sha256("reclassify")])


def _sweep_row(factor: float, lesions: LesionSet) -> SweepRow:
    by_type = {
        t: TypeCount(
            lesions=sum(x.label is t for x in lesions),
            volume_ml=float(sum(x.volume_ml for x in lesions if x.label is t)),
        )
        for t in LESION_TYPES
    }
    return SweepRow(
        factor=factor,
        lesions=len(lesions),
        volume_ml=float(sum(x.volume_ml for x in lesions)),
        by_type={t: count for t, count in by_type.items() if count.lesions},
    )
