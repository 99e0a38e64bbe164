"""Settings of the trainings, as read from a TOML file; what a file leaves out keeps the value below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from livercascade.data.class_priors import EVEN, ClassPriors
from livercascade.data.labels import PHASES, Phase
from livercascade.data.record import Fraction, Record
from livercascade.reclassification.patches import PATCH_SHAPE, WORKING_SPACING, Scheme
from livercascade.segment.model_card import NetworkClass, PhaseNormalisation, ResamplingScheme, Size, Spacing

WIDE_WINDOW = PhaseNormalisation(lower=-1000.0, upper=500.0, mean=-250.0, std=250.0)
"""Air, lung, fat, water, tissue and bone apart, scaled to -3..3 whatever the data hold."""


class PhaseDropout(Record):
    """Shares of samples that see all phases, NC alone or AP alone; the rest see a random non-empty subset."""

    all_phases: Fraction = 0.4
    nc_only: Fraction = 0.2
    ap_only: Fraction = 0.1

    @model_validator(mode="after")
    def _sum(self) -> PhaseDropout:
        # Shares such as 0.6 + 0.3 + 0.1 add up to a little more than 1 in floating point.
        if self.all_phases + self.nc_only + self.ap_only > 1 + 1e-9:
            raise ValueError("shares of phase dropout add up to more than 1")
        return self


class Augmentation(Record):
    """Probability of each random change per sample; in the light recipe no axis is ever mirrored.

    Left and right, head and feet differ in the abdomen: a mirrored liver lies where none is.

    Attributes:
        recipe: ``light`` for the few changes whose probabilities stand below, ``nnunet`` for nnU-Net's own, mirroring
            included; the other values belong to the light recipe.
        rotation_degrees: Largest rotation in the axial plane.
        scale: Range of zoom factors.
    """

    recipe: Literal["light", "nnunet"] = "light"
    spatial: Fraction = 0.2
    rotation_degrees: NonNegativeFloat = 15.0
    scale: tuple[PositiveFloat, PositiveFloat] = (0.85, 1.18)
    noise: Fraction = 0.1
    blur: Fraction = 0.1
    brightness: Fraction = 0.15
    contrast: Fraction = 0.15
    low_resolution: Fraction = 0.1
    gamma: Fraction = 0.15


class TrainSettings(Record):
    """Settings that both trainings share.

    Attributes:
        trained_on: Data in words, for the model card.
        base_features: Channels of the first stage; they double per stage up to ``max_features``.
        stages: Most stages; nnU-Net's planner may give fewer.
        optimiser: ``adamw``, or nnU-Net's ``sgd`` with Nesterov momentum 0.99.
        schedule: Fall of the learning rate to 0 over all steps: ``cosine``, or nnU-Net's ``poly`` with exponent 0.9.
        loss: ``nnunet`` for Dice of each class plus cross-entropy; ``grouped`` adds the Dice of any lesion and of the
            liver with its content.
        type_weight: Weight of the cross-entropy among lesion types on true lesions, in the grouped loss.
        lesion_share: Share of samples centred on a lesion.
        ema_decay: Decay of the running mean of the weights, which is what gets exported.
        bf16: Mixed precision in bfloat16; None uses it on a GPU only, since many CPUs train no faster with it.
        threads: Threads of the training process.
        workers: Extra processes that make batches; 0 makes them between the steps.
        processes: Processes that prepare the data.
        fold: Fifth of the patients kept for validation, or ``all`` to train on every one; then no score tells which
            weights are best, and the newest are exported.
        phases: Phases the network may see; the others are hidden from it, as in a model for screening (NC alone).
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
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 2e-3
    # Weight decay and gradient clip are nnU-Net's (nnUNetTrainer).
    weight_decay: NonNegativeFloat = 3e-5
    schedule: Literal["poly", "cosine"] = "poly"
    warmup_steps: NonNegativeInt = 200
    gradient_clip: PositiveFloat = 12.0
    loss: Literal["nnunet", "grouped"] = "grouped"
    type_weight: NonNegativeFloat = 0.3
    deep_supervision: bool = True
    lesion_share: Fraction = 0.6
    phase_dropout: PhaseDropout = PhaseDropout()
    augmentation: Augmentation = Augmentation()
    # The mean of about the last thousand steps.
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
        """Frequency of each lesion type that the network comes to expect; None leaves it that of the data.

        `type_entropy` weighs the types of a batch alike.
        """
        return EVEN if self.loss == "grouped" and self.type_weight > 0 else None


class WholeSettings(TrainSettings):
    """Training of UNet^whole, 14 classes on the whole scan.

    Attributes:
        organ_share: Share of samples centred on an organ or vessel; what is left of 1 lies anywhere.
        hard_share: Share of the samples of a case centred on a lesion that an earlier UNet^whole missed, or on a
            finding of its where nothing is, in cases where that is known; the other shares divide the rest.
        planner: ``settings`` takes spacing, patch size, batch size and network from here, ``nnunet`` lets nnU-Net plan
            them by data and GPU.
        resampling: Interpolation that brings images to the spacing, here and at inference.
        normalise_by: Voxels whose intensities decide how HU are clipped and scaled: ``liver`` with the lesions and
            hepatic vessels in it, or all ``labels``, nnU-Net's own way; with the stomach's gas among them the range
            is very wide. ``start`` keeps the windows of the model that the training starts from.
        wide_window: True shows the network each phase once more, from air to bone (`WIDE_WINDOW`).
        fingerprint_cases: Cases from which nnU-Net takes intensities and sizes.
        validation_patients: Held-out patients of each validation, whole liver each.
    """

    name: str = "whole"
    spacing_mm: Spacing = (5.0, 2.0, 2.0)
    patch_size: Size = (24, 112, 112)
    organ_share: Fraction = 0.2
    hard_share: Fraction = 0.3
    planner: Literal["settings", "nnunet"] = "settings"
    resampling: ResamplingScheme = ResamplingScheme.LINEAR
    normalise_by: Literal["liver", "labels", "start"] = "liver"
    wide_window: bool = True
    fingerprint_cases: PositiveInt = 60
    validation_patients: PositiveInt = 6

    @model_validator(mode="after")
    def _shares(self) -> WholeSettings:
        if self.lesion_share + self.organ_share > 1 + 1e-9:
            raise ValueError("lesion_share and organ_share add up to more than 1")
        return self


class PatchSettings(TrainSettings):
    """Training of UNet^patch, 8 classes on patches of liver only.

    Attributes:
        shuffling: True for lesion shuffling; False trains on original patches alone (the paper's "w/o LS").
        schemes: Weights of the four shuffling schemes (paper, Fig. 4), 1 where none is given; their sum is free.
        hard_share: Share of positive samples taken from lesions that UNet^whole missed, where there are any, and of
            negative ones taken from its false findings.
        predicted_liver_share: Share of patches cut from the predicted liver region, where there is one.
        liver_margin_mm: Width kept round the liver in the cache.
        patches_per_lesion: Patches of each lesion and scheme (times the scheme's weight) in a round; every round is
            gone through before the next (the paper: about 20). None draws cases evenly instead, without rounds.
        rounds: Length of the training in rounds, in place of ``steps``.
        validation_patches: Fixed patches of held-out cases for each validation.
    """

    name: str = "patch"
    spacing_mm: Spacing = WORKING_SPACING
    patch_size: Size = PATCH_SHAPE
    shuffling: bool = True
    schemes: Mapping[Scheme, NonNegativeFloat] = Field(default_factory=lambda: dict.fromkeys(Scheme, 1.0))
    hard_share: Fraction = 0.3
    predicted_liver_share: Fraction = 0.5
    liver_margin_mm: NonNegativeFloat = 10.0
    patches_per_lesion: PositiveInt | None = None
    rounds: PositiveFloat | None = None
    validation_patches: PositiveInt = 48

    @model_validator(mode="after")
    def _patch(self) -> PatchSettings:
        # Shuffling cuts and judges patches of this shape alone.
        if self.patch_size != PATCH_SHAPE:
            raise ValueError(f"patches are {PATCH_SHAPE}, not {self.patch_size}")
        if not any(self.scheme_weights.values()):
            raise ValueError("no scheme has a weight above 0")
        if self.rounds is not None and self.patches_per_lesion is None:
            raise ValueError("rounds needs patches_per_lesion")
        return self

    @field_validator("schemes")
    @classmethod
    def _all_schemes(cls, given: Mapping[Scheme, float]) -> Mapping[Scheme, float]:
        # In the order of `Scheme`, whatever a file's is: the draw of a scheme goes by it.
        return {scheme: given.get(scheme, 1.0) for scheme in Scheme}

    @property
    def scheme_weights(self) -> dict[Scheme, float]:
        """Weight of each scheme in use."""
        return {scheme: weight for scheme, weight in self.schemes.items() if self.shuffling or not scheme.shuffled}


class LesionClassifierSettings(Record):
    """Training of the network that tells lesion types from enhancement.

    Attributes:
        version: Version of the model.
        trained_on: Lesions in words, for the model card.
        min_volume_ml: Least volume of a lesion; below the cascade's own limit, so that parts of lesions are known.
        outlines: Further outlines of each lesion, drawn as a network might.
        folds: Parts of the patients; one member learns from all but one part and is tested on that.
        hidden, dropout: Width and dropout of each member.
        steps, batch_size, learning_rate, weight_decay: AdamW with one cycle of the learning rate.
        noise: SD of what is added to standardised features.
        views: Sets of phases that each outline is seen with: all, and others drawn by ``phase_dropout``.
        phase_dropout: Shares of those other sets.
        seed: Seed of outlines and members.
        processes: Processes that measure the lesions.
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
