"""What one reproduction consists of, as read from a preset: patients by seed, trainings, prediction, evaluation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from livercascade.cascade.settings import CascadeSettings
from livercascade.data.errors import UsageError
from livercascade.data.labels import PHASES, Phase
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.virtual.settings import CaseMix, PhaseMotion, VirtualSettings

_PRESETS = Path(__file__).parent / "presets"


class Preset(StrEnum):
    """Size of a reproduction."""

    CI = "ci"
    """Minutes on two cores: shows that every step runs; its networks have learnt next to nothing."""
    DESK = "desk"
    """Two nights on a small computer; a few hours for networks that are given."""
    FULL = "full"
    """As many patients as the paper's, nnU-Net's full training; needs a GPU."""


class Setting(Enum):
    """Which phases the models are given (paper, Sec. IV-C3)."""

    DIAGNOSIS = "diagnosis"
    """All four phases."""
    SCREENING = "screening"
    """NC alone."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that are there."""
        return PHASES if self is Setting.DIAGNOSIS else (Phase.NC,)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Record):
    """Virtual patients of one purpose.

    Attributes:
        seed: Of the first; the next ones follow.
        cases: How many.
        mix: Case mix.
        randomise: Domain randomisation.
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
        """One for each patient."""
        return range(self.seed, self.seed + self.cases)


class Groups(_Record):
    """The patients; nobody is in two groups.

    Attributes:
        train: Both networks learn from them.
        validation: Probabilities and abstention are fitted to them.
        test: Touched once, at the end.
    """

    train: Group
    validation: Group
    test: Group

    @model_validator(mode="after")
    def _apart(self) -> Groups:
        seeds = [set(group.seeds) for group in (self.train, self.validation, self.test)]
        if sum(map(len, seeds)) != len(set.union(*seeds)):
            raise ValueError("a patient is in two of train, validation and test")
        return self


class TrainingPlan(_Record):
    """How both networks are trained.

    Attributes:
        folds: Folds of UNet^whole that are trained, of five; hard cases come from the others' predictions alone.
        preset: Preset of ``livercascade train`` that the tables below change.
        whole, patch: Settings of the trainings, see `livercascade.train.training_settings`.
    """

    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    preset: str | None = None
    whole: dict[str, Any] = {}
    patch: dict[str, Any] = {}


class ReproduceSettings(_Record):
    """One reproduction.

    Attributes:
        title: What it is, for the page.
        matrix: Pixels along each side of a slice.
        slice_mm: Slice thickness.
        motion: How the phases lie against each other; ``residual`` is what alignment leaves over.
        groups: The patients.
        training: How the networks are trained.
        cascade: How patients are analysed; evidence is always kept.
        alpha: Error that abstention may make in each of the two classes of patients, malignant and not.
        evaluation: How lesions are counted.
    """

    title: str
    matrix: int = Field(default=256, ge=64, le=1024)
    slice_mm: float = 5.0
    motion: PhaseMotion = PhaseMotion.RESIDUAL
    groups: Groups
    training: TrainingPlan = TrainingPlan()
    cascade: CascadeSettings = CascadeSettings(align=False)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    evaluation: EvaluationSettings = EvaluationSettings()

    def virtual(self, group: Group) -> VirtualSettings:
        """How the patients of a group are made."""
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

    def limited(self, cases: int | None) -> ReproduceSettings:
        """The same with at most so many test patients."""
        if cases is None or cases >= self.groups.test.cases:
            return self
        test = self.groups.test.model_copy(update={"cases": cases})
        return self.model_copy(update={"groups": self.groups.model_copy(update={"test": test})})


def read_preset(preset: Preset) -> ReproduceSettings:
    """Settings of a preset.

    >>> read_preset(Preset.FULL).groups.test.cases
    331
    """
    return read_reproduction(_PRESETS / f"{preset.value}.toml")


def read_reproduction(path: Path) -> ReproduceSettings:
    """Settings of a TOML file of the form of the presets.

    Raises:
        UsageError: ``BAD_SETTINGS``: the file is absent, not TOML, or holds an unknown or impossible value.
    """
    try:
        values: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return ReproduceSettings.model_validate(values)
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError("BAD_SETTINGS", f"{path} cannot be used: {error}.", "Correct the file.") from error
