"""Settings of the two trainings, as read from a TOML file; what a file leaves out keeps the value below."""

from __future__ import annotations

import tomllib
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from livercascade.data.errors import UsageError
from livercascade.reclassify.patches import PATCH_SHAPE, WORKING_SPACING
from livercascade.segment.card import NetworkClass, Size, Spacing

Share = float
SettingsT = TypeVar("SettingsT", bound="TrainSettings")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimiser(Enum):
    """``sgd`` is nnU-Net's: Nesterov momentum 0.99."""

    ADAMW = "adamw"
    SGD = "sgd"


class Schedule(Enum):
    """Fall of the learning rate to 0 over all steps; ``poly`` is nnU-Net's (exponent 0.9)."""

    POLY = "poly"
    COSINE = "cosine"


class LossKind(Enum):
    """``nnunet``: Dice of each class plus cross-entropy; ``grouped`` adds the Dice of any lesion and of the liver."""

    NNUNET = "nnunet"
    GROUPED = "grouped"


class PhaseDropout(_Record):
    """Shares of training samples by what is left of their phases; the rest gets a random non-empty subset."""

    all_phases: Share = Field(default=0.4, ge=0, le=1)
    nc_only: Share = Field(default=0.2, ge=0, le=1)
    ap_only: Share = Field(default=0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _sum(self) -> PhaseDropout:
        if self.all_phases + self.nc_only + self.ap_only > 1 + 1e-9:
            raise ValueError("shares of phase dropout add up to more than 1")
        return self


class Augmentation(_Record):
    """Chance of each disturbance per sample; left and right, or head and feet, are never swapped.

    Attributes:
        rotation_degrees: Largest rotation in the axial plane.
        scale: Range of zoom factors.
    """

    spatial: Share = Field(default=0.2, ge=0, le=1)
    rotation_degrees: NonNegativeFloat = 15.0
    scale: tuple[PositiveFloat, PositiveFloat] = (0.85, 1.18)
    noise: Share = Field(default=0.1, ge=0, le=1)
    blur: Share = Field(default=0.1, ge=0, le=1)
    brightness: Share = Field(default=0.15, ge=0, le=1)
    contrast: Share = Field(default=0.15, ge=0, le=1)
    low_resolution: Share = Field(default=0.1, ge=0, le=1)
    gamma: Share = Field(default=0.15, ge=0, le=1)


class TrainSettings(_Record):
    """What both trainings share.

    Attributes:
        trained_on: What the data are, in words, for the model card.
        base_features: Channels of the first stage; they double per stage up to ``max_features``.
        stages: Upper limit; nnU-Net's planner decides below it.
        type_weight: Weight of the cross-entropy among lesion types on true lesions, in the grouped loss.
        lesion_share: Share of samples centred on a lesion.
        ema_decay: Decay of the running mean of the weights, which is what gets exported.
        bf16: Mixed precision in bfloat16; None uses it on a GPU only, since many CPUs train no faster with it.
        threads: Threads of the training process.
        workers: Extra processes that make batches; 0 makes them between the steps.
        fold: Fifth of the cases kept for validation, or ``all`` to train on every case.
        checkpoint_minutes: Time between checkpoints; 0 writes one after every step.
    """

    name: str = "model"
    version: str = "0.1.0"
    trained_on: str = "virtual patients"
    spacing_mm: Spacing
    patch_size: Size
    network: NetworkClass = NetworkClass.PLAIN
    base_features: PositiveInt = 16
    max_features: PositiveInt = 160
    stages: PositiveInt = 6
    blocks_per_stage: PositiveInt = 2
    decoder_blocks_per_stage: PositiveInt = 1
    steps: PositiveInt = 20_000
    batch_size: PositiveInt = 2
    optimiser: Optimiser = Optimiser.ADAMW
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 3e-5
    schedule: Schedule = Schedule.POLY
    warmup_steps: NonNegativeInt = 200
    gradient_clip: PositiveFloat = 12.0
    loss: LossKind = LossKind.GROUPED
    type_weight: NonNegativeFloat = 0.3
    deep_supervision: bool = True
    lesion_share: Share = Field(default=0.6, ge=0, le=1)
    phase_dropout: PhaseDropout = PhaseDropout()
    augmentation: Augmentation = Augmentation()
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    bf16: bool | None = None
    channels_last: bool = True
    threads: PositiveInt = 1
    workers: NonNegativeInt = 0
    processes: PositiveInt = 1
    seed: NonNegativeInt = 0
    fold: int | Literal["all"] = 0
    validate_every: PositiveInt = 1000
    validation_batches: PositiveInt = 8
    checkpoint_minutes: NonNegativeFloat = 5.0
    log_every: PositiveInt = 50

    @model_validator(mode="after")
    def _fold(self) -> TrainSettings:
        if isinstance(self.fold, int) and not 0 <= self.fold < 5:
            raise ValueError(f"fold is 0 to 4 or 'all', not {self.fold}")
        return self


class WholeSettings(TrainSettings):
    """Training of UNet^whole, 14 classes on the whole scan.

    Attributes:
        organ_share: Share of samples centred on an organ or vessel; what is left of 1 lies anywhere.
        fingerprint_cases: Cases from which nnU-Net takes intensities and sizes.
    """

    name: str = "whole"
    spacing_mm: Spacing = (5.0, 2.0, 2.0)
    patch_size: Size = (24, 112, 112)
    organ_share: Share = Field(default=0.2, ge=0, le=1)
    fingerprint_cases: PositiveInt = 60

    @model_validator(mode="after")
    def _shares(self) -> WholeSettings:
        if self.lesion_share + self.organ_share > 1 + 1e-9:
            raise ValueError("lesion_share and organ_share add up to more than 1")
        return self


class SchemeShares(_Record):
    """Weights of the four shuffling schemes (paper, Fig. 4); they need not add up to 1."""

    original_positive: NonNegativeFloat = 1.0
    original_negative: NonNegativeFloat = 1.0
    shuffled_positive: NonNegativeFloat = 1.0
    shuffled_negative: NonNegativeFloat = 1.0


class PatchSettings(TrainSettings):
    """Training of UNet^patch, 8 classes on patches of liver only.

    Attributes:
        shuffling: False trains on original patches alone (the paper's "w/o LS").
        schemes: Weights of the shuffling schemes.
        hard_share: Share of positive samples taken from lesions that UNet^whole missed, where there are any, and of
            negative ones taken from its false findings.
        predicted_liver_share: Share of patches cut from the predicted liver region, where there is one.
        liver_margin_mm: Width kept round the liver in the cache.
    """

    name: str = "patch"
    spacing_mm: Spacing = WORKING_SPACING
    patch_size: Size = PATCH_SHAPE
    shuffling: bool = True
    schemes: SchemeShares = SchemeShares()
    hard_share: Share = Field(default=0.3, ge=0, le=1)
    predicted_liver_share: Share = Field(default=0.5, ge=0, le=1)
    liver_margin_mm: NonNegativeFloat = 10.0

    @model_validator(mode="after")
    def _patch(self) -> PatchSettings:
        if self.patch_size != PATCH_SHAPE:
            raise ValueError(f"patches are {PATCH_SHAPE}, not {self.patch_size}")
        schemes = self.schemes
        used = schemes.original_positive + schemes.original_negative
        if self.shuffling:
            used += schemes.shuffled_positive + schemes.shuffled_negative
        if used <= 0:
            raise ValueError("no scheme has a weight above 0")
        return self


def read_settings(kind: type[SettingsT], path: Path | None, overrides: dict[str, Any]) -> SettingsT:
    """Settings of a TOML file (or none) with ``overrides`` on top; overrides that are None do not count.

    Raises:
        UsageError: The file is absent or holds something unknown or impossible (``BAD_SETTINGS``).
    """
    try:
        values = {} if path is None else tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError("BAD_SETTINGS", f"{path} cannot be read: {error}.", "Give a TOML file.") from error
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise UsageError("BAD_SETTINGS", f"{where}: {first['msg']}.", "See 'livercascade train --help'.") from error
