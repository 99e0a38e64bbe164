"""Settings of the two trainings, as read from a TOML file; what a file leaves out keeps the value below."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from livercascade.data.class_priors import EVEN, ClassPriors
from livercascade.data.labels import PHASES, Phase
from livercascade.reclassify.patches import PATCH_SHAPE, WORKING_SPACING
from livercascade.segment.card import NetworkClass, Resampling, Size, Spacing

Share = float


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


class NormaliseBy(Enum):
    """Voxels whose intensities decide how HU are clipped and scaled."""

    LIVER = "liver"
    """The liver and what lies in it: lesions and hepatic vessels."""
    LABELS = "labels"
    """All labels, nnU-Net's own way; with the stomach's gas among them the window is very wide."""


class Planner(Enum):
    """``settings`` takes spacing, patch size and width from these settings; ``nnunet`` plans them by data and GPU."""

    SETTINGS = "settings"
    NNUNET = "nnunet"


class AugmentationRecipe(Enum):
    """``light``: our own few disturbances by the shares below; ``nnunet``: nnU-Net's, mirroring included."""

    LIGHT = "light"
    NNUNET = "nnunet"


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
    """Chance of each disturbance per sample; in the light recipe left and right, head and feet are never swapped.

    Attributes:
        recipe: Whose disturbances; the other values are for the light recipe.
        rotation_degrees: Largest rotation in the axial plane.
        scale: Range of zoom factors.
    """

    recipe: AugmentationRecipe = AugmentationRecipe.LIGHT
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
        fold: Fifth of the patients kept for validation, or ``all`` to train on every one; then no score tells which
            weights are best, and the newest are exported.
        phases: What the network may see; the others are hidden from it, as in a model for screening (NC alone).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        score_smoothing: Share of the earlier validations in the running mean of the score that picks the best weights.
        patience: Validations in a row without a better one after which the training ends; None never ends early.
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
    phases: tuple[Phase, ...] = PHASES
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    validate_every: PositiveInt = 1000
    score_smoothing: float = Field(default=0.3, ge=0, lt=1)
    patience: PositiveInt | None = None
    checkpoint_minutes: NonNegativeFloat = 5.0
    log_every: PositiveInt = 50

    @model_validator(mode="after")
    def _fold(self) -> TrainSettings:
        if isinstance(self.fold, int) and not 0 <= self.fold < 5:
            raise ValueError(f"fold is 0 to 4 or 'all', not {self.fold}")
        if not self.phases:
            raise ValueError("phases is empty")
        return self

    @property
    def class_priors(self) -> ClassPriors | None:
        """How common the network will take each lesion type for: `type_entropy` weighs the types of a batch alike."""
        return EVEN if self.loss is LossKind.GROUPED and self.type_weight > 0 else None


class WholeSettings(TrainSettings):
    """Training of UNet^whole, 14 classes on the whole scan.

    Attributes:
        organ_share: Share of samples centred on an organ or vessel; what is left of 1 lies anywhere.
        hard_share: Share of the samples of a case that is centred on what an earlier UNet^whole missed or found where
            nothing is, where that is given; the other shares hold for the rest.
        planner: Who decides spacing, patch size, batch size and network; nnU-Net's planner ignores ours.
        resampling: How images come to the spacing, here and at inference.
        normalise_by: Voxels whose intensities decide how HU are clipped and scaled.
        fingerprint_cases: Cases from which nnU-Net takes intensities and sizes.
        validation_patients: Held-out patients that are examined at each validation, whole liver each.
    """

    name: str = "whole"
    spacing_mm: Spacing = (5.0, 2.0, 2.0)
    patch_size: Size = (24, 112, 112)
    organ_share: Share = Field(default=0.2, ge=0, le=1)
    hard_share: Share = Field(default=0.3, ge=0, le=1)
    planner: Planner = Planner.SETTINGS
    resampling: Resampling = Resampling.LINEAR
    normalise_by: NormaliseBy = NormaliseBy.LIVER
    fingerprint_cases: PositiveInt = 60
    validation_patients: PositiveInt = 6

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
        patches_per_lesion: Patches of each lesion and scheme (times the scheme's weight) in a round; every round is
            gone through before the next (the paper: about 20). None draws cases evenly instead, without rounds.
        rounds: Length of the training in rounds, in place of ``steps``.
        validation_patches: Fixed patches of held-out cases that are examined at each validation.
    """

    name: str = "patch"
    spacing_mm: Spacing = WORKING_SPACING
    patch_size: Size = PATCH_SHAPE
    shuffling: bool = True
    schemes: SchemeShares = SchemeShares()
    hard_share: Share = Field(default=0.3, ge=0, le=1)
    predicted_liver_share: Share = Field(default=0.5, ge=0, le=1)
    liver_margin_mm: NonNegativeFloat = 10.0
    patches_per_lesion: PositiveInt | None = None
    rounds: PositiveFloat | None = None
    validation_patches: PositiveInt = 48

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
        if self.rounds is not None and self.patches_per_lesion is None:
            raise ValueError("rounds needs patches_per_lesion")
        return self


class TypesSettings(_Record):
    """Training of the network that tells types from enhancement.

    Attributes:
        version: Of the model.
        trained_on: The lesions, in words.
        min_volume_ml: Smaller lesions are left out; below the cascade's own limit, so that parts of lesions are known.
        outlines: Further outlines of each lesion, drawn as a network might.
        folds: Parts of the patients; one member learns from all but one part and is tested on that.
        hidden, dropout: Of each member.
        steps, batch_size, learning_rate, weight_decay: AdamW with one cycle of the learning rate.
        noise: SD of what is added to standardised measures.
        views: Sets of phases that each outline is seen with: all, and others drawn by ``phase_dropout``.
        phase_dropout: How phases are hidden.
        seed: Of outlines and members.
        processes: That measure.
    """

    version: str = "0.1.0"
    trained_on: str = "virtual patients"
    min_volume_ml: PositiveFloat = 0.2
    outlines: NonNegativeInt = 3
    folds: int = Field(default=5, ge=2)
    hidden: PositiveInt = 96
    dropout: float = Field(default=0.5, ge=0, lt=1)
    steps: PositiveInt = 2000
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 3e-3
    weight_decay: NonNegativeFloat = 1e-2
    noise: NonNegativeFloat = 0.1
    views: PositiveInt = 6
    phase_dropout: PhaseDropout = PhaseDropout()
    seed: NonNegativeInt = 0
    processes: PositiveInt = 1
