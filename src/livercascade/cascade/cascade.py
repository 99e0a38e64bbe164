"""The cascade: networks and settings that stay the same from study to study, and the stages they make."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from livercascade.alignment.align_phases import StudyAlignment
from livercascade.alignment.aligner import Aligner
from livercascade.cascade.align_study import align_study
from livercascade.cascade.evidence_sweep import collect_evidence
from livercascade.cascade.findings import Findings, PatchJudge
from livercascade.cascade.plausibility import check_trunk
from livercascade.cascade.prediction import Prediction, StageClock
from livercascade.cascade.proposals import Proposals, propose, typed
from livercascade.cascade.settings import CascadeSettings, TypesFrom, read_settings
from livercascade.classify.lesion_classifier import EnhancementClassifier, LesionClassifier
from livercascade.data.scan import Scan
from livercascade.diagnose.calibration import Calibration, SettingCalibration, read_calibration
from livercascade.io.study import Study
from livercascade.models.bundled import bundled
from livercascade.results.result import ModelRecord
from livercascade.segment.engine import Engine, Precision, Runtime
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.segment.segmenter import Segmenter
from livercascade.segment.unet_whole import UNetWhole
from livercascade.system.progress import Progress


@dataclass(frozen=True, slots=True)
class Cascade:
    """Networks and settings: everything that does not change from study to study.

    Each part can be another than the package's own: see `Segmenter`, `LesionClassifier` and `Aligner`.

    Attributes:
        segmenter: Finds lesions and organs in a scan; UNet^whole.
        patch: UNet^patch, which judges the lesions found.
        settings: Settings of every stage.
        calibration: Probabilities and abstention for these networks; None gives none.
        classifier: Gives proposals their types; None leaves those of the segmenter.
        aligner: Carries one phase onto another; None is DEEDS as the settings say.
    """

    segmenter: Segmenter
    patch: Model
    settings: CascadeSettings = field(default_factory=CascadeSettings)
    calibration: Calibration | None = None
    classifier: LesionClassifier | None = None
    aligner: Aligner | None = None

    @classmethod
    def load(
        cls,
        settings: CascadeSettings | str | Path | None = None,
        *,
        whole: str | Path | None = None,
        patch: str | Path | None = None,
        types: str | Path | None = None,
        device: str = "auto",
        engine: Runtime = Runtime.AUTO,
        precision: Precision = Precision.AUTO,
    ) -> Cascade:
        """Cascade of the bundled networks, or of model folders.

        With a calibration beside UNet^patch every proposal gets all its patches, since probabilities are fitted to
        scores over all of them.

        Args:
            settings: Settings, or a TOML file of them; the defaults if absent.
            whole: Model folder of UNet^whole.
            patch: Model folder of UNet^patch.
            types: Model folder of the network of lesion types; not read where types are those of UNet^whole.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            engine: What computes the networks; by default OpenVINO on a processor and torch on a GPU.
            precision: ``fp32`` computes in float32 even where the machine has bfloat16, which is faster.

        Raises:
            ModelError: A network or its calibration is missing, damaged or of another kind.
            UsageError: ``BAD_ENGINE``: the machine lacks what is asked for; ``BAD_SETTINGS``.

        >>> Cascade.load().settings.detect.high_factor
        4.0
        """
        chosen = settings if isinstance(settings, CascadeSettings) else read_settings(_path(settings))
        compute, folder = Engine.choose(device, engine, precision), _path(patch) or bundled("patch")
        calibration = read_calibration(folder)
        if calibration is not None:
            chosen = chosen.changed("reclassify", stop_when_decided=False)
        return cls(
            UNetWhole(Model.load(_path(whole) or bundled("whole"), ModelKind.WHOLE, compute)),
            Model.load(folder, ModelKind.PATCH, compute),
            chosen,
            calibration,
            load_classifier(chosen, _path(types)),
        )

    @property
    def whole(self) -> Model:
        """Network behind our own UNet^whole.

        Raises:
            TypeError: The segmenter is another.
        """
        if not isinstance(self.segmenter, UNetWhole):
            raise TypeError(f"the segmenter is {self.segmenter.name}, not UNet^whole")
        return self.segmenter.model

    @property
    def models(self) -> tuple[ModelRecord, ...]:
        """Names and hashes of the networks, for provenance."""
        parts = (self.segmenter, self.patch.card, self.classifier)
        return tuple(ModelRecord(name=p.name, version=p.version, sha256=p.sha256) for p in parts if p is not None)

    def predict(self, study: Study, *, progress: Progress | None = None) -> Prediction:
        """Everything about one study, in memory; `Prediction.save` writes its case folder.

        Args:
            study: Study of `read_study` or `Study.from_arrays`.
            progress: Called with (step in words, done, total).

        Raises:
            InputError: ``NO_LIVER``, ``LIVER_IMPLAUSIBLE`` or ``NOT_HU`` if there is no liver to be read;
                ``PHASE_NEEDED`` if a network needs a phase that is absent; ``REGISTRATION_POOR`` if a phase fails
                quality control and the settings refuse the case.
        """
        clock = StageClock()
        with clock.stage("align"):
            aligned = self.align(study, progress=progress)
        with clock.stage("find"):
            findings = self.find(aligned.scan, progress=progress)
        return self.conclude(study, aligned, findings, clock, progress=progress)

    def align(self, study: Study, *, progress: Progress | None = None) -> StudyAlignment:
        """All phases on the grid of VP, or of the first present of AP, DP and NC; that phase keeps its voxels.

        Raises:
            InputError: ``MISSING_PHASE``; ``NO_LIVER`` or ``NOT_HU`` if it is no trunk; ``REGISTRATION_POOR``.
        """
        return align_study(study, self.settings.align, aligner=self.aligner, progress=progress)

    def find(self, scan: Scan, *, progress: Progress | None = None) -> Findings:
        """Proposals of a scan of aligned phases, and the verdict on each.

        Raises:
            InputError: ``NO_LIVER``, ``LIVER_IMPLAUSIBLE``, ``NOT_HU`` or ``PHASE_NEEDED``.
        """
        return self.judge(scan, self.propose(scan, progress=progress), progress=progress)

    def propose(self, scan: Scan, *, progress: Progress | None = None) -> Proposals:
        """Lesion proposals at both sensitivities with their types (paper, eq. 1 to 5).

        Raises:
            InputError: ``NO_LIVER``, ``LIVER_IMPLAUSIBLE``, ``NOT_HU`` or ``PHASE_NEEDED``.
        """
        # First: what UNet^patch lacks must not be found out after minutes of segmenting.
        self.patch.require(scan.phases)
        trunk = check_trunk(scan)
        sensitivity = self._own_segmenter().segment(scan, progress=progress)
        proposals = propose(sensitivity, scan, self.settings.detect, trunk=trunk)
        if self.classifier is None:
            return proposals
        return typed(proposals, scan, self.classifier, self.settings.segment.class_priors)

    def judge(self, scan: Scan, proposals: Proposals, *, progress: Progress | None = None) -> Findings:
        """Everything behind the segmenter: reclassification and the class of the patient (paper, eq. 8 to 12).

        Args:
            scan: Scan that was segmented.
            proposals: Its proposals; several cascades can judge the same.
            progress: Called with (step in words, done, total).
        """
        low, high = PatchJudge(self.patch, self.settings).both(scan, proposals, progress)
        return Findings(proposals, low, high)

    def conclude(
        self,
        study: Study,
        aligned: StudyAlignment,
        findings: Findings,
        clock: StageClock,
        *,
        progress: Progress | None = None,
    ) -> Prediction:
        """Prediction of a study whose findings are known, with its evidence if the settings ask for it.

        Args:
            study: Study that was read.
            aligned: Its phases on one grid.
            findings: What was found in them.
            clock: Times of the stages so far.
            progress: Called with (step in words, done, total).
        """
        evidence = None
        if self.settings.output.evidence:
            with clock.stage("evidence"):
                judge = PatchJudge(self.patch, self.settings)
                evidence = collect_evidence(
                    study.case_id, aligned.scan, findings, judge, self.segmenter.sha256, progress=progress
                )
        return Prediction(
            study=study,
            alignment=aligned,
            findings=findings,
            settings=self.settings,
            models=self.models,
            engine=self.patch.engine,
            calibration=self.calibrated(aligned.scan),
            calibration_sha256=None if self.calibration is None else self.calibration.sha256,
            evidence=evidence,
            clock=clock,
        )

    def calibrated(self, scan: Scan) -> SettingCalibration | None:
        """Probabilities for the phases of a scan; None without a calibration that fits, or without all patches."""
        if self.calibration is None or self.settings.judging.stop_when_decided:
            return None
        models = tuple(model.sha256 for model in self.models)
        return self.calibration.for_phases(scan.phases, models, self.settings.scoring_sha256)

    def _own_segmenter(self) -> Segmenter:
        """The segmenter; options of our own UNet^whole are those of the settings."""
        if not isinstance(self.segmenter, UNetWhole):
            return self.segmenter
        stage, detect = self.settings.segment, self.settings.detect
        return replace(
            self.segmenter,
            overlap=stage.overlap,
            pooled=stage.pooled,
            search=stage.search,
            factor=max(detect.low_factor, detect.high_factor),
            class_priors=stage.class_priors,
        )


def load_classifier(settings: CascadeSettings, folder: Path | None = None) -> LesionClassifier | None:
    """What types follow from, bundled unless a folder is given; None where they are those of UNet^whole.

    Raises:
        ModelError: It is missing, damaged or of another kind.
    """
    if settings.classify.types_from is TypesFrom.NETWORK:
        return None
    return EnhancementClassifier.load(folder or bundled("types"))


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
