"""Model card: everything needed to rebuild a network and feed it, kept beside the weights as ``model.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from pydantic import AliasChoices, Field, PositiveFloat, PositiveInt, model_validator

from livercascade.data.class_priors import ClassPriors
from livercascade.data.labels import LESION_TYPES, Phase
from livercascade.data.record import Record

Size = tuple[PositiveInt, PositiveInt, PositiveInt]
Spacing = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class ModelKind(Enum):
    """Which of the two networks of the cascade a model is."""

    WHOLE = "whole"
    PATCH = "patch"


class NetworkClass(Enum):
    """U-Nets of nnU-Net (package dynamic-network-architectures)."""

    PLAIN = "PlainConvUNet"
    RESIDUAL = "ResidualEncoderUNet"


class ResamplingScheme(Enum):
    """How phases get to the model's spacing, as they did in its training (`livercascade.segment.network_input`)."""

    LINEAR = "linear"
    """Linearly; where the new grid is coarser, averaged over its pixels and slices."""
    SPLINE = "spline"
    """nnU-Net's default: splines of order 3, between thick slices the nearest one."""


class PhaseNormalisation(Record):
    """nnU-Net's CT scheme for one phase: clip to ``lower..upper`` HU, subtract ``mean``, divide by ``std``.

    Clipping comes before resampling, as in nnU-Net.
    """

    lower: float
    upper: float
    mean: float
    std: PositiveFloat


class Architecture(Record):
    """Arguments of the network as nnU-Net's plans give them; operators are names from a fixed list.

    Attributes:
        n_conv_per_stage: Convolutions per encoder stage of a ``PlainConvUNet``.
        n_blocks_per_stage: Residual blocks per encoder stage of a ``ResidualEncoderUNet``.
    """

    network: NetworkClass = NetworkClass.PLAIN
    n_stages: PositiveInt
    features_per_stage: tuple[PositiveInt, ...]
    kernel_sizes: tuple[Size, ...]
    strides: tuple[Size, ...]
    n_conv_per_stage: tuple[PositiveInt, ...] | None = None
    n_blocks_per_stage: tuple[PositiveInt, ...] | None = None
    n_conv_per_stage_decoder: tuple[PositiveInt, ...]
    conv_op: str = "torch.nn.modules.conv.Conv3d"
    conv_bias: bool = True
    norm_op: str = "torch.nn.modules.instancenorm.InstanceNorm3d"
    norm_op_kwargs: dict[str, Any] = Field(default_factory=lambda: {"eps": 1e-5, "affine": True})
    dropout_op: str | None = None
    dropout_op_kwargs: dict[str, Any] | None = None
    nonlin: str = "torch.nn.LeakyReLU"
    nonlin_kwargs: dict[str, Any] = Field(default_factory=lambda: {"inplace": True})

    @model_validator(mode="after")
    def _lengths(self) -> Architecture:
        per_stage = [self.features_per_stage, self.kernel_sizes, self.strides]
        per_stage += [v for v in (self.n_conv_per_stage, self.n_blocks_per_stage) if v is not None]
        if any(len(v) != self.n_stages for v in per_stage) or len(self.n_conv_per_stage_decoder) != self.n_stages - 1:
            raise ValueError(f"lists of the architecture do not fit {self.n_stages} stages")
        expected = self.n_conv_per_stage if self.network is NetworkClass.PLAIN else self.n_blocks_per_stage
        if expected is None:
            raise ValueError(f"{self.network.value} needs its blocks per encoder stage")
        return self

    @property
    def divisor(self) -> tuple[int, int, int]:
        """Numbers (z, y, x) that must divide the size of every input."""
        z = y = x = 1
        for stride in self.strides:
            z, y, x = z * stride[0], y * stride[1], x * stride[2]
        return z, y, x


class TrainingProvenance(Record):
    """How a model came about, in enough detail to make it again.

    Attributes:
        command: Command line of the training.
        seed: Seed of all its random work.
        cases: Number of training cases.
        steps: Optimiser steps behind the exported weights.
        trained_on: Description of the training data.
        log_summary: Last values of the training log, for example ``{"loss": 0.31}``.
        settings: All settings of the run.
        started_from: Name, version, steps and SHA-256 of the model that the training started from; empty if none.
        chosen: Checkpoint of the run that these weights are, in words; empty if unknown.
        scores: Metrics on held-out patients, see `livercascade.train.whole.whole_validation`; empty if not measured.
        fold: Fifth of the patients that the network did not see, 0 to 4; None if it saw all, or it is not known.
        temperature: Divisor of the logits of the training (`livercascade.train.temperature_scaling`).
    """

    command: str = ""
    seed: int = 0
    cases: int = Field(default=0, ge=0)
    steps: int = Field(default=0, ge=0)
    trained_on: str = ""
    log_summary: dict[str, float] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    started_from: str = ""
    chosen: str = ""
    scores: dict[str, float] = Field(default_factory=dict)
    fold: int | None = Field(default=None, ge=0, le=4)
    temperature: PositiveFloat = 1.0


class ModelCard(Record):
    """One network of the cascade.

    Attributes:
        phases: Phases of the channels, in order. With a wide window all of them follow once more, with
            ``presence_flags`` as many flags (`phase_input`).
        classes: Name of each output channel.
        spacing_mm: Voxel spacing (z, y, x) of the network's grid.
        patch_size: Voxels (z, y, x) of one window.
        normalisation: Scheme of each phase, in the order of ``phases``: a narrow window, round the liver's intensities.
        wide_window: Scheme of every phase the second time, from air to bone, which shows where in the body the liver
            can be; None if the network sees each phase in the narrow window alone, as all of before 0.3.
        resampling: Scheme by which phases get to that grid.
        needs: Phases without which the network cannot work; none for one trained on every subset.
        class_priors: Frequency of each lesion type that the network assumes; None if its training did not settle that.
        sha256: Hash of ``weights.safetensors``, of an ensemble that of all its members' hashes; empty until saved.
    """

    name: str
    kind: ModelKind
    version: str
    phases: tuple[Phase, ...]
    classes: tuple[str, ...]
    spacing_mm: Spacing
    patch_size: Size
    normalisation: tuple[PhaseNormalisation, ...]
    wide_window: PhaseNormalisation | None = None
    architecture: Architecture
    presence_flags: bool = True
    resampling: ResamplingScheme = ResamplingScheme.LINEAR
    needs: tuple[Phase, ...] = ()
    # Cards of before 0.2 say type_shares.
    class_priors: ClassPriors | None = Field(default=None, validation_alias=AliasChoices("class_priors", "type_shares"))
    training: TrainingProvenance = TrainingProvenance()
    sha256: str = ""

    @model_validator(mode="after")
    def _fits(self) -> ModelCard:
        if len(self.normalisation) != len(self.phases):
            raise ValueError(f"{len(self.phases)} phases but {len(self.normalisation)} normalisations")
        if any(size % by for size, by in zip(self.patch_size, self.architecture.divisor, strict=True)):
            raise ValueError(f"patch size {self.patch_size} is not a multiple of {self.architecture.divisor}")
        return self

    @property
    def input_channels(self) -> int:
        """Channels of the network's input: phases, phases in the wide window, presence flags."""
        return len(self.windows) + (len(self.phases) if self.presence_flags else 0)

    @property
    def windows(self) -> tuple[PhaseNormalisation, ...]:
        """Scheme of each image channel: every phase in its narrow window, then every phase in the wide one."""
        wide = () if self.wide_window is None else (self.wide_window,) * len(self.phases)
        return self.normalisation + wide


def card_markdown(card: ModelCard, members: Sequence[ModelCard] = ()) -> str:
    """The card as a page for people.

    Args:
        card: Card of a network, or of an ensemble.
        members: Cards of the networks of an ensemble.
    """
    page = f"# {card.name}\n\nResearch software, not a medical device.\n\n| | |\n|---|---|\n{_rows(card)}\n"
    if not members:
        return page
    head = "| fold | weights | steps | held-out scores | SHA-256 |\n|---|---|---|---|---|"
    return f"{page}\n## Networks\n\nTheir logits are averaged.\n\n{head}\n" + "".join(map(_member_row, members))


def _member_row(card: ModelCard) -> str:
    made = card.training
    fold = "-" if made.fold is None else made.fold
    return f"| {fold} | {made.chosen or '-'} | {made.steps} | {_listed(made.scores)} | `{card.sha256[:12]}` |\n"


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in values.items()) or "-"


def _rows(card: ModelCard) -> str:
    made = card.training
    rows = {
        "Kind": f"UNet^{card.kind.value}, version {card.version}",
        "Input": _input(card),
        "Output": ", ".join(f"{i} {name}" for i, name in enumerate(card.classes)),
        "Grid": f"{_times(card.spacing_mm)} mm, {card.resampling.value} resampling",
        "Window": f"{_times(card.patch_size)} voxels",
        "Network": f"{card.architecture.network.value}, features {list(card.architecture.features_per_stage)}",
        "Types expected": _shares(card),
        "Trained on": f"{made.trained_on} ({made.cases} cases)",
        "Steps, seed": f"{made.steps}, {made.seed}",
        "Weights": made.chosen or "newest",
        "Held-out scores": _listed(made.scores),
        "Temperature": f"{made.temperature:.3g}",
        "Started from": made.started_from or "random weights",
        "Command": f"`{made.command}`",
        "Log": _listed(made.log_summary),
        "SHA-256": f"`{card.sha256}`",
    }
    return "\n".join(f"| {key} | {value} |" for key, value in rows.items())


def _shares(card: ModelCard) -> str:
    if card.class_priors is None:
        return "as they come in the training cases"
    return ", ".join(f"{t.title} {share:.0%}" for t, share in zip(LESION_TYPES, card.class_priors, strict=True))


def _input(card: ModelCard) -> str:
    text = f"phases {', '.join(p.value for p in card.phases)}; any subset"
    if card.needs:
        text = f"phases {', '.join(p.value for p in card.needs)}; others are ignored"
    if card.wide_window is not None:
        text += f", each once more from {card.wide_window.lower:g} to {card.wide_window.upper:g} HU"
    return text + (", absent ones zero and flagged" if card.presence_flags and not card.needs else "")


def _times(values: Sequence[float | int]) -> str:
    return " x ".join(f"{value:g}" for value in values)
