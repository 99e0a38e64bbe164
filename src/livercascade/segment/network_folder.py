"""Model folders (``model.json``, ``weights.safetensors``, ``MODEL_CARD.md``), or folders of folds of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from livercascade.data.errors import ModelError
from livercascade.models.model_folder import CARD_FILE, PAGE_FILE, WEIGHTS_FILE, check_weights, write_folder
from livercascade.segment.model_card import Architecture, ModelCard, NetworkClass, card_markdown
from livercascade.system.files import sha256_text

FOLDS = 5
# What must be the same in all cards of an ensemble for their logits to mean the same.
_ALIKE = (
    "kind",
    "phases",
    "classes",
    "spacing_mm",
    "patch_size",
    "normalisation",
    "wide_window",
    "presence_flags",
    "needs",
)
# The only operators that a card may name: a card is data, and must not choose code.
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
        card: Description of the network.
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
        folder: Model folder to write; an older one there is replaced.
        card: Description of the network; its hash is set here.
        state_dict: Weights of `build_network`.
        dtype: Precision of the stored weights.

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


def start_weights(network: nn.Module, card: ModelCard, folder: Path) -> None:
    """Copy the weights of a model folder into a network of the same architecture, for training to go on from.

    A network with a wide window may start from one without: what it sees there counts nothing at first.

    Args:
        network: Network to fill.
        card: Its card.
        folder: Model folder to take the weights of.

    Raises:
        ModelError: As `load_network`, or the architectures differ (``MODEL_MISMATCH``).
    """
    start, weights = load_card(folder), dict(load_network(folder).named_parameters())
    if card.wide_window is not None and start.wide_window is None:
        first, phases = next(iter(weights)), len(start.phases)
        narrow, flags = weights[first][:, :phases], weights[first][:, phases:]
        weights[first] = nn.Parameter(torch.cat((narrow, torch.zeros_like(narrow), flags), dim=1))
    _fill(network, weights, str(folder))


def member_folders(folder: Path) -> tuple[Path, ...]:
    """Model folders of an ensemble in the order of their folds; the folder itself if it is no ensemble."""
    found = [folder / f"fold_{k}" for k in range(FOLDS)]
    found = [path for path in found if (path / CARD_FILE).is_file()]
    return (folder,) if (folder / CARD_FILE).is_file() or not found else tuple(found)


def load_model_card(folder: Path) -> ModelCard:
    """Card of a model folder or an ensemble; the hash of an ensemble changes with any of its members.

    Raises:
        ModelError: ``MODEL_MISSING``, ``MODEL_MISMATCH``, or networks that do not belong together (``ENSEMBLE_MIXED``).
    """
    cards = [load_card(path) for path in member_folders(folder)]
    return cards[0] if len(cards) == 1 else _joint_card(folder, cards)


def load_model_networks(folder: Path) -> tuple[nn.Module, ...]:
    """The network of a model folder, or those of an ensemble, float32, in evaluation mode.

    Raises:
        ModelError: As `load_model_card`, or weights are damaged (``MODEL_HASH``).
    """
    return tuple(load_network(path) for path in member_folders(folder))


def write_ensemble_page(folder: Path) -> None:
    """Writes ``MODEL_CARD.md`` of an ensemble beside its folds.

    Raises:
        ModelError: As `load_model_card`.
    """
    cards = [load_card(path) for path in member_folders(folder)]
    (folder / PAGE_FILE).write_text(card_markdown(load_model_card(folder), cards))


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


def _joint_card(folder: Path, cards: Sequence[ModelCard]) -> ModelCard:
    first = cards[0]
    for card in cards[1:]:
        differ = [key for key in _ALIKE if getattr(card, key) != getattr(first, key)]
        if differ:
            raise ModelError(
                "ENSEMBLE_MIXED",
                f"The networks in {folder} differ in {', '.join(differ)}.",
                "Keep only the folds of one training there.",
                stage="segment",
            )
    made = first.training.model_copy(
        update={
            "steps": sum(card.training.steps for card in cards),
            "cases": max(card.training.cases for card in cards),
            "fold": None,
            "chosen": f"{len(cards)} networks, each the choice of its fold",
            "scores": _means([card.training.scores for card in cards]),
            "log_summary": {},
        }
    )
    digest = sha256_text("".join(card.sha256 for card in cards))
    return first.model_copy(
        update={"name": f"{first.name}, ensemble of {len(cards)}", "training": made, "sha256": digest}
    )


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    common = [key for key in scores[0] if all(key in one for one in scores)]
    return {key: sum(one[key] for one in scores) / len(scores) for key in common}
