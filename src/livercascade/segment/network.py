"""Model folders: ``model.json`` (card), ``weights.safetensors`` and ``MODEL_CARD.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from livercascade.data.errors import ModelError
from livercascade.models.model_folder import CARD_FILE, WEIGHTS_FILE, check_weights, write_folder
from livercascade.segment.card import Architecture, ModelCard, NetworkClass, card_markdown

_OPERATORS: dict[str, type[nn.Module]] = {
    "torch.nn.modules.conv.Conv3d": nn.Conv3d,
    "torch.nn.modules.instancenorm.InstanceNorm3d": nn.InstanceNorm3d,
    "torch.nn.modules.dropout.Dropout3d": nn.Dropout3d,
    "torch.nn.LeakyReLU": nn.LeakyReLU,
    "torch.nn.ReLU": nn.ReLU,
    "torch.nn.GELU": nn.GELU,
}


def build_network(card: ModelCard, *, deep_supervision: bool = False) -> nn.Module:
    """Untrained network of ``card``: float32 input ``[batch, card.input_channels, z, y, x]`` to logits.

    Args:
        card: Describes the network.
        deep_supervision: True gives a list of logits, finest first, as training wants them.

    Raises:
        ModelError: The card names an operator that is not on the list of allowed ones (``MODEL_MISMATCH``).
    """
    network = PlainConvUNet if card.architecture.network is NetworkClass.PLAIN else ResidualEncoderUNet
    return network(
        input_channels=card.input_channels,
        num_classes=len(card.classes),
        deep_supervision=deep_supervision,
        **_arguments(card.architecture),
    )


def save_model(
    folder: Path, card: ModelCard, state_dict: Mapping[str, torch.Tensor], *, dtype: torch.dtype = torch.float16
) -> ModelCard:
    """Writes a model folder beside its place, then moves it there; returns the card with the weights' hash.

    Args:
        folder: Model folder; an older one there is replaced.
        card: Describes the network; its hash is set here.
        state_dict: Weights of `build_network`.
        dtype: Precision they are stored in.

    Raises:
        ModelError: Weights do not fit the card (``MODEL_MISMATCH``).
    """
    network = build_network(card)
    _fill(network, state_dict, str(folder))
    stored = {name: value.detach().to(dtype) for name, value in network.named_parameters()}
    return write_folder(folder, card, stored, card_markdown)


def load_card(folder: Path) -> ModelCard:
    """Card of a model folder.

    Raises:
        ModelError: No card there (``MODEL_MISSING``) or not one that can be read (``MODEL_MISMATCH``).
    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise ModelError("MODEL_MISSING", f"There is no model at {folder}.", "Give a folder with model.json.")
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _mismatch(str(path), f"the card cannot be read ({error.error_count()} errors)") from error


def load_network(folder: Path) -> nn.Module:
    """Trained network of a model folder, float32, in evaluation mode.

    Raises:
        ModelError: Files are missing (``MODEL_MISSING``), changed since they were made (``MODEL_HASH``), or do not fit
            the card (``MODEL_MISMATCH``).
    """
    card = load_card(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ModelError("MODEL_MISSING", f"There are no weights at {path}.", "Restore the file or install it again.")
    check_weights(path, card.sha256)
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise _mismatch(str(path), "it is not a safetensors file") from error
    network = build_network(card)
    _fill(network, weights, str(path))
    return network.eval()


def start_weights(network: nn.Module, folder: Path) -> None:
    """Copy the weights of a model folder into a network of the same architecture, for training to go on from.

    Raises:
        ModelError: As `load_network`, or the architectures differ (``MODEL_MISMATCH``).
    """
    _fill(network, dict(load_network(folder).named_parameters()), str(folder))


def _arguments(architecture: Architecture) -> dict[str, Any]:
    values = architecture.model_dump(exclude={"network"}, exclude_none=True)
    values |= {"dropout_op": architecture.dropout_op, "dropout_op_kwargs": architecture.dropout_op_kwargs}
    for key in ("conv_op", "norm_op", "dropout_op", "nonlin"):
        values[key] = None if values[key] is None else _operator(values[key])
    return values


def _operator(name: str) -> type[nn.Module]:
    if name not in _OPERATORS:
        raise _mismatch("the model card", f"operator {name!r} is not allowed")
    return _OPERATORS[name]


def _fill(network: nn.Module, weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Copies weights by parameter name; nnU-Net's modules list each parameter under several, of which one counts."""
    for name, parameter in network.named_parameters():
        value = weights.get(name)
        if value is None or value.shape != parameter.shape:
            found = "is absent" if value is None else f"has shape {tuple(value.shape)}"
            raise _mismatch(where, f"{name} {found}, expected {tuple(parameter.shape)}")
        parameter.data.copy_(value)


def _mismatch(where: str, why: str) -> ModelError:
    return ModelError("MODEL_MISMATCH", f"{where} does not fit: {why}.", "Install the model again.", stage="segment")
