"""A trained nnU-Net v2 model folder as UNet^whole: weights only, its plans as a card; no code of the file ever runs.

nnU-Net's checkpoints are pickles. They are read by torch's restricted unpickler, which builds tensors and plain values
and nothing else; a few harmless types of numpy that nnU-Net stores are allowed by name. What nnU-Net itself is asked to
do here is nothing: it need not be installed.

The network keeps its function. Its channels find their place among our eight inputs by zero weights for the others, its
labels among our fourteen by zero weights and a logit that never wins.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from livercascade.data.dataset_names import DatasetNames, read_described
from livercascade.data.errors import InputError, ModelError
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase, label_name
from livercascade.segment.model_card import (
    Architecture,
    ModelCard,
    ModelKind,
    NetworkClass,
    PhaseNormalisation,
    ResamplingScheme,
    TrainingProvenance,
)
from livercascade.segment.network_folder import FOLDS, build_network, save_model, write_ensemble_page

# Finite, so that means over folds and differences stay numbers.
NEVER = -1e4
"""Logit of labels that the network does not know."""
_CT = "CTNormalization"
_SPLINE, _SPLINE_KWARGS = "resample_data_or_seg_to_shape", {"order": 3, "order_z": 0, "force_separate_z": None}
_LINEAR = "resample_torch"
_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_HARMLESS: tuple[Any, ...] = (
    np.dtype,
    np.ndarray,
    np.float64,
    np.float32,
    np.int64,
    *(type(np.dtype(name)) for name in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")),
)


@dataclass(frozen=True, slots=True)
class TrainedFolder:
    """Contents of the JSON files of a trained nnU-Net model.

    Attributes:
        folder: Folder of the trained model.
        card: Card of the network as UNet^whole, without weights.
        channels: Phase of each of its channels.
        labels: Our label of each of its outputs.
        notes: What differs from nnU-Net's own prediction, for people.
    """

    folder: Path
    card: ModelCard
    channels: Mapping[int, Phase]
    labels: Mapping[int, int]
    notes: tuple[str, ...]


def import_nnunet(
    folder: Path, out: Path, names: DatasetNames, *, configuration: str = "3d_fullres", name: str = ""
) -> TrainedFolder:
    """Writes the folds of a trained model as a model folder, or as an ensemble of them.

    Args:
        folder: ``.../nnUNetTrainer__nnUNetPlans__3d_fullres`` with ``plans.json``, ``dataset.json`` and ``fold_*``.
        out: Model folder to write.
        names: What channels and labels mean, where their names do not say it.
        configuration: Name of the configuration in the plans.
        name: Name of the model; that of nnU-Net's data set if empty.

    Raises:
        InputError: Channels or labels are not understood, see `DatasetNames`.
        ModelError: Files are missing (``MODEL_MISSING``), the plans are not supported (``NNUNET_PLANS``), a checkpoint
            holds more than weights and plain values (``NNUNET_UNSAFE``), or weights and plans differ
            (``MODEL_MISMATCH``).
    """
    described = read_trained(folder, names, configuration=configuration, name=name)
    checkpoints = find_checkpoints(folder)
    for fold, path in checkpoints.items():
        place = out if len(checkpoints) == 1 else out / f"fold_{fold}"
        weights = fitted_weights(described, read_weights(path))
        made = described.card.training.model_copy(update={"fold": fold, "chosen": path.stem.rpartition("_")[2]})
        save_model(place, described.card.model_copy(update={"training": made}), weights, dtype=torch.float32)
    if len(checkpoints) > 1:
        write_ensemble_page(out)
    return described


def find_checkpoints(folder: Path) -> dict[int, Path]:
    """Checkpoint of each fold, final before best.

    Raises:
        ModelError: There is none (``MODEL_MISSING``).
    """
    found: dict[int, Path] = {}
    for fold in range(FOLDS):
        paths = [folder / f"fold_{fold}" / name for name in _CHECKPOINTS]
        there = [path for path in paths if path.is_file()]
        if there:
            found[fold] = there[0]
    if not found:
        raise ModelError(
            "MODEL_MISSING",
            f"{folder} has no fold_0 to fold_4 with {' or '.join(_CHECKPOINTS)}.",
            "Give the folder of a finished nnU-Net v2 training.",
            stage="segment",
        )
    return found


def read_trained(folder: Path, names: DatasetNames, *, configuration: str, name: str = "") -> TrainedFolder:
    """Card of a trained nnU-Net model as UNet^whole.

    Raises:
        InputError: As `DatasetNames`.
        ModelError: ``MODEL_MISSING`` or ``NNUNET_PLANS``.
    """
    plans, dataset = _json(folder / "plans.json"), read_described(folder / "dataset.json")
    channels, labels = names.phases(dataset["channel_names"]), names.values(dataset["labels"])
    if sorted(labels) != list(range(len(labels))) or len(set(labels.values())) != len(labels):
        raise InputError(
            "LABEL_TWICE",
            "Two labels of the model have one meaning.",
            "Give each its own with --label.",
            stage="segment",
        )
    chosen = _configuration(plans, configuration)
    try:
        card = ModelCard(
            name=name or str(plans.get("dataset_name", folder.name)),
            kind=ModelKind.WHOLE,
            version="nnU-Net",
            phases=PHASES,
            needs=tuple(phase for phase in PHASES if phase in channels.values()),
            classes=tuple(label_name(i) for i in range(NUM_CLASSES)),
            spacing_mm=tuple(chosen["spacing"]),
            patch_size=tuple(chosen["patch_size"]),
            normalisation=_normalisation(plans, chosen, channels),
            architecture=_architecture(chosen),
            resampling=planned_resampling(chosen),
            training=TrainingProvenance(trained_on=f"nnU-Net data set {plans.get('dataset_name', '')}".strip()),
        )
    except (KeyError, TypeError, ValueError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        raise _unsupported(first) from error
    return TrainedFolder(folder, card, channels, labels, _notes(chosen))


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Weights of an nnU-Net checkpoint.

    Raises:
        ModelError: It is no checkpoint, or holds something that only code could build (``NNUNET_UNSAFE``).
    """
    try:
        # Older forms of the file than torch's zip archive hold bare pickles.
        if not zipfile.is_zipfile(path):
            raise pickle.UnpicklingError("it is not an archive of torch.save")
        with torch.serialization.safe_globals(_allowed()):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
        weights = content["network_weights"]
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError) as error:
        raise ModelError(
            "NNUNET_UNSAFE",
            f"{path} cannot be read as weights and plain values ({str(error).splitlines()[0]}).",
            "Save network_weights alone with nnU-Net: torch.save({'network_weights': network.state_dict()}, FILE).",
            stage="segment",
        ) from error
    return {key.removeprefix("module.").removeprefix("_orig_mod."): value for key, value in weights.items()}


def _allowed() -> list[Any]:
    """Numpy's plain numbers and arrays, under the names that numpy 1 and 2 pickle them by."""
    core: Any = getattr(np, "_core", None) or np.core  # pyright: ignore[reportDeprecated]
    makers = ((core.multiarray.scalar, "scalar"), (core.multiarray._reconstruct, "_reconstruct"))
    named = [(maker, f"numpy.{place}.multiarray.{name}") for maker, name in makers for place in ("core", "_core")]
    return [*_HARMLESS, *named]


def fitted_weights(described: TrainedFolder, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights for our inputs and outputs.

    Raises:
        ModelError: Plans and weights differ (``MODEL_MISMATCH``).
    """
    network = build_network(described.card)
    fitted = {name: weights[name].float() for name, _ in network.named_parameters() if name in weights}
    first, last = _first_convolution(network), "decoder.seg_layers."
    for name in fitted:
        if name == first:
            fitted[name] = _spread(
                fitted[name], {i: p.index for i, p in described.channels.items()}, 1, 2 * len(PHASES)
            )
        elif name.startswith(last):
            fill = 0.0 if name.endswith("weight") else NEVER
            fitted[name] = _spread(fitted[name], described.labels, 0, NUM_CLASSES, fill)
    return fitted


def _spread(weights: torch.Tensor, place: Mapping[int, int], axis: int, size: int, fill: float = 0.0) -> torch.Tensor:
    """Slices of ``weights`` along ``axis`` at their new places in a larger tensor."""
    if weights.shape[axis] != len(place):
        raise ModelError(
            "MODEL_MISMATCH",
            f"The weights have {weights.shape[axis]} channels or labels, dataset.json {len(place)}.",
            "Give the folder as nnU-Net wrote it.",
            stage="segment",
        )
    shape = list(weights.shape)
    shape[axis] = size
    spread = torch.full(shape, fill)
    spread.index_copy_(axis, torch.tensor([place[i] for i in range(len(place))]), weights)
    return spread


def _first_convolution(network: nn.Module) -> str:
    return next(name for name, value in network.named_parameters() if value.ndim == 5)


def _configuration(plans: dict[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits from others."""
    known: dict[str, Any] = plans.get("configurations", {})
    if name not in known:
        raise _unsupported(f"they have no configuration {name}, but {', '.join(known) or 'none'}")
    chosen = known[name]
    while "inherits_from" in chosen:
        chosen = known[chosen["inherits_from"]] | {k: v for k, v in chosen.items() if k != "inherits_from"}
    if plans.get("transpose_forward", [0, 1, 2]) != [0, 1, 2]:
        raise _unsupported(f"they turn the axes ({plans['transpose_forward']}); the slices must come first")
    if chosen.get("previous_stage"):
        raise _unsupported("the configuration needs the output of another one")
    if "architecture" not in chosen:
        raise _unsupported("they are older than nnU-Net 2.4 and do not name the network")
    return chosen


def _architecture(chosen: dict[str, Any]) -> Architecture:
    entry = chosen["architecture"]
    network = NetworkClass(entry["network_class_name"].rpartition(".")[2])
    arguments = {key: value for key, value in entry["arch_kwargs"].items() if key in Architecture.model_fields}
    # nnU-Net writes one number where all stages have as many convolutions.
    stages = arguments["n_stages"]
    for key, count in (
        ("n_conv_per_stage", stages),
        ("n_blocks_per_stage", stages),
        ("n_conv_per_stage_decoder", stages - 1),
    ):
        if isinstance(arguments.get(key), int):
            arguments[key] = [arguments[key]] * count
    return Architecture.model_validate({"network": network} | arguments)


def _normalisation(
    plans: dict[str, Any], chosen: dict[str, Any], channels: Mapping[int, Phase]
) -> tuple[PhaseNormalisation, ...]:
    """Per phase; phases that the model does not know get that of its first channel, and are not looked at."""
    schemes = chosen["normalization_schemes"]
    odd = [scheme for scheme in schemes if scheme != _CT]
    if odd:
        raise _unsupported(f"images are normalised by {odd[0]}; only {_CT} keeps HU")
    properties = plans["foreground_intensity_properties_per_channel"]
    made = {phase: _scheme(properties[str(number)]) for number, phase in channels.items()}
    return tuple(made.get(phase, made[channels[min(channels)]]) for phase in PHASES)


def _scheme(entry: dict[str, float]) -> PhaseNormalisation:
    return PhaseNormalisation(
        lower=entry["percentile_00_5"], upper=entry["percentile_99_5"], mean=entry["mean"], std=max(entry["std"], 1e-8)
    )


def planned_resampling(chosen: Mapping[str, Any]) -> ResamplingScheme:
    """The scheme that comes nearest to that of a configuration of nnU-Net's plans."""
    return (
        ResamplingScheme.LINEAR
        if str(chosen.get("resampling_fn_data")).startswith(_LINEAR)
        else ResamplingScheme.SPLINE
    )


def _notes(chosen: dict[str, Any]) -> tuple[str, ...]:
    notes = ["Axes are turned to left, posterior, superior first; nnU-Net takes them as they lie."]
    name, kwargs = chosen.get("resampling_fn_data"), chosen.get("resampling_fn_data_kwargs", {})
    if planned_resampling(chosen) is ResamplingScheme.LINEAR:
        notes.append(f"Images are resampled linearly and averaged where they get coarser, in nnU-Net by {name}.")
    elif name != _SPLINE or kwargs | _SPLINE_KWARGS != kwargs:
        notes.append(f"Images are resampled by splines of order 3, in nnU-Net by {name} with {kwargs}.")
    return (*notes, "No mirroring at inference; folds are averaged as logits.")


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ModelError("MODEL_MISSING", f"{path} is not there.", "Give a trained nnU-Net v2 folder.") from error
    except ValueError as error:
        raise _unsupported(f"{path} is not JSON") from error


def _unsupported(why: str) -> ModelError:
    remedy = "Train that network anew with 'livercascade train whole --data <nnU-Net data set>'."
    return ModelError("NNUNET_PLANS", f"The plans are not supported: {why}.", remedy, stage="segment")
