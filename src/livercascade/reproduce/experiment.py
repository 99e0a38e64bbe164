"""What one experiment consists of: the paper's settings and models, patients by seed, trainings, analysis, counting."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, ValidationError, model_validator

from livercascade.cascade.settings import AlignStage, CascadeSettings, DetectStage
from livercascade.data.errors import UsageError
from livercascade.data.labels import PHASES, Phase
from livercascade.data.record import Record
from livercascade.detect.seg2det import LesionRule
from livercascade.evaluation.cohort.evaluated_models import JOINT, EvaluatedModel, JointModel, Variant
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.reclassification.reclassify import LargeLesions, ReclassifySettings, ScoreMode
from livercascade.virtual.fixed_cohorts import CohortPart
from livercascade.virtual.virtual_settings import CaseMix, PhaseMotion, VirtualSettings

PRESETS = ("ci", "desk", "full")
"""Sizes of an experiment: minutes (every step runs, the networks learn next to nothing), two nights on a small computer
(a few hours for networks that are given), and as many patients as the paper's with nnU-Net's full training on a GPU."""
_PRESET_FOLDER = Path(__file__).parent / "presets"


class PaperSetting(Enum):
    """Which phases the models are given (paper, Sec. IV-C3)."""

    DIAGNOSIS = "diagnosis"
    """All four phases."""
    SCREENING = "screening"
    """NC alone."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that are there."""
        return PHASES if self is PaperSetting.DIAGNOSIS else (Phase.NC,)


class PaperModel(Enum):
    """A model of the paper's ablation, in the order of its rows.

    The paper has no row for High without reclassification; it stands here because claims speak of it.
    """

    BASE = "Base"
    WITHOUT_LS = "Base+ReCls w/o LS"
    """Reclassified by a UNet^patch that was trained without lesion shuffling."""
    WITH_LS = "Base+ReCls w/ LS"
    """By its twin: trained alike, but with lesion shuffling."""
    BASE_RECLS = "Base+ReCls"
    HIGH = "High"
    HIGH_RECLS = "High+ReCls"
    JOINT = JOINT

    @property
    def variant(self) -> Variant | None:
        """What it is called inside one case folder; None for the joint model, which is made of two."""
        if self is PaperModel.JOINT:
            return None
        return Variant.BASE_RECLS if self in SHUFFLING_TRIALS else Variant(self.value)


SHUFFLING_TRIALS = (PaperModel.WITHOUT_LS, PaperModel.WITH_LS)
"""Models with a UNet^patch of their own, for what lesion shuffling is worth; all others share that of the cascade."""


class FindingGroup(StrEnum):
    """Findings of Base+ReCls and High+ReCls by whether both make them (paper, eq. 7)."""

    SAME = "same"
    DIFF = "diff"


@dataclass(frozen=True, slots=True)
class ModelKey:
    """What a number belongs to; written ``setting/variant``, as in ``tables.json`` and ``claims.toml``.

    Attributes:
        setting: Phases given.
        variant: Model of the ablation; or High+ReCls by another score; or one group of its findings.
    """

    setting: PaperSetting
    variant: PaperModel | ScoreMode | FindingGroup

    def __str__(self) -> str:
        """The key as text.

        >>> str(ModelKey(PaperSetting.SCREENING, PaperModel.WITH_LS))
        'screening/Base+ReCls w/ LS'
        """
        return f"{self.setting.value}/{self.variant.value}"

    @classmethod
    def parse(cls, text: str) -> ModelKey:
        """The key that is written so.

        Raises:
            ValueError: No model is called so.

        >>> ModelKey.parse("diagnosis/adaptive").variant is ScoreMode.ADAPTIVE
        True
        """
        setting, _, name = text.partition("/")
        # No name is in two of these.
        for kind in (PaperModel, ScoreMode, FindingGroup):
            if setting in _values(PaperSetting) and name in _values(kind):
                return cls(PaperSetting(setting), kind(name))
        raise ValueError(f"there is no model {text!r}")

    @property
    def evaluated(self) -> EvaluatedModel:
        """The model as `livercascade.evaluation` knows it."""
        return EvaluatedModel(self.variant.value, self.setting.value)


def single_models(setting: PaperSetting, patches: Mapping[PaperModel, Any]) -> list[EvaluatedModel]:
    """Models of a setting, but for the joint one.

    Args:
        setting: Phases given.
        patches: Models that a UNet^patch is there for; see `NetworkFolders.patches`.
    """
    models = [m for m in PaperModel if m is not PaperModel.JOINT and (m not in SHUFFLING_TRIALS or m in patches)]
    return [ModelKey(setting, model).evaluated for model in models]


def joint_model(setting: PaperSetting) -> JointModel:
    """The joint model of a setting and its two sides."""
    low, high = (ModelKey(setting, model).evaluated for model in (PaperModel.BASE_RECLS, PaperModel.HIGH_RECLS))
    return JointModel(ModelKey(setting, PaperModel.JOINT).evaluated, low, high)


def _values(kind: type[Enum]) -> set[str]:
    return {member.value for member in kind}


class PatientGroup(Record):
    """Virtual patients of one purpose.

    Attributes:
        seed: Seed of the first patient; the next ones follow.
        cases: Number of patients.
        mix: Case mix.
        randomise: True for domain randomisation.
        lesion_contrast, noise, mimics, mottle: Factors on how hard the patients are, see `VirtualSettings`.
    """

    seed: int = Field(ge=0)
    cases: PositiveInt
    mix: CaseMix = CaseMix.DIAGNOSIS
    randomise: bool = False
    lesion_contrast: float = 1.0
    noise: float = 1.0
    mimics: float = 1.0
    mottle: float = 1.0

    @property
    def seeds(self) -> range:
        """One seed for each patient."""
        return range(self.seed, self.seed + self.cases)


class TrainingPlan(Record):
    """Training of both networks.

    Attributes:
        folds: Folds of UNet^whole that are trained, of five; hard cases come from the others' predictions alone.
        preset: Preset of ``livercascade train`` that the tables below change.
        whole, patch: Settings of the trainings, see `livercascade.train.training_settings`.
    """

    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    preset: str | None = None
    whole: dict[str, Any] = Field(default_factory=dict)
    patch: dict[str, Any] = Field(default_factory=dict)


class ExperimentSettings(Record):
    """One experiment.

    Attributes:
        title: Description for the page.
        matrix: Number of pixels along each side of a slice.
        slice_mm: Slice thickness in mm.
        motion: Motion between the phases; ``residual`` is what alignment leaves over.
        groups: Patients by purpose; nobody is in two groups. Both networks learn from ``train``, probabilities and
            abstention are fitted to ``validation``, and ``test`` is looked at once, at the end.
        training: Training of both networks.
        cascade: Settings of the analysis; evidence is always kept.
        alpha: Error that abstention may make in each of the two classes of patients, malignant and not.
        evaluation: Rules by which lesions are counted.
    """

    title: str
    matrix: int = Field(default=256, ge=64, le=1024)
    slice_mm: float = 5.0
    motion: PhaseMotion = PhaseMotion.RESIDUAL
    groups: dict[CohortPart, PatientGroup]
    training: TrainingPlan = TrainingPlan()
    # Virtual phases differ by what alignment leaves over: to align them again would measure the aligner.
    # Every patient is judged, and what is larger than 64 ml is kept, as in the paper.
    cascade: CascadeSettings = CascadeSettings(
        align=AlignStage(enabled=False),
        detect=DetectStage(check_liver=False, min_contact=0.0),
        reclassify=ReclassifySettings(large=LargeLesions.KEEP),
    )
    alpha: float = Field(default=0.05, gt=0, lt=1)
    # The numbers to compare with are the paper's, which counts touching lesions of two types as two.
    evaluation: EvaluationSettings = EvaluationSettings(instances=LesionRule.PER_LABEL)

    @model_validator(mode="after")
    def _groups_are_apart(self) -> ExperimentSettings:
        if self.groups.keys() != set(CohortPart):
            raise ValueError("groups are train, validation and test")
        seeds = [set(group.seeds) for group in self.groups.values()]
        if sum(map(len, seeds)) != len(set[int]().union(*seeds)):
            raise ValueError("a patient is in two of train, validation and test")
        return self

    def virtual(self, part: CohortPart) -> VirtualSettings:
        """How the patients of a group are made."""
        group = self.groups[part]
        return VirtualSettings(
            mix=group.mix,
            matrix=self.matrix,
            slice_mm=self.slice_mm,
            randomise=group.randomise,
            lesion_contrast=group.lesion_contrast,
            noise=group.noise,
            mimics=group.mimics,
            mottle=group.mottle,
            motion=self.motion,
        )

    def limited(self, cases: int | None) -> ExperimentSettings:
        """The same with at most so many test patients; None leaves all."""
        test = self.groups[CohortPart.TEST]
        if cases is None or cases >= test.cases:
            return self
        return self.model_copy(
            update={"groups": self.groups | {CohortPart.TEST: test.model_copy(update={"cases": cases})}}
        )


def read_experiment(preset: str | Path) -> ExperimentSettings:
    """Settings of a preset, or of a TOML file of the form of the presets.

    Args:
        preset: One of `PRESETS`, or a path.

    Raises:
        UsageError: ``BAD_SETTINGS``: the file is absent, not TOML, or holds an unknown or impossible value.

    >>> read_experiment("full").groups[CohortPart.TEST].cases
    331
    """
    path = _PRESET_FOLDER / f"{preset}.toml" if preset in PRESETS else Path(preset)
    try:
        return ExperimentSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError("BAD_SETTINGS", f"{path} cannot be used: {error}.", "Correct the file.") from error
