"""Ensembles: folders ``fold_0 ... fold_4`` (any of them), each a model folder; their logits are averaged.

The networks run one after the other into one running sum, so memory does not grow with the number of folds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import nn

from livercascade.data.errors import ModelError
from livercascade.models.model_folder import CARD_FILE, PAGE_FILE
from livercascade.segment.card import ModelCard, card_markdown
from livercascade.segment.network import load_card, load_network

FOLDS = 5
_ALIKE = ("kind", "phases", "classes", "spacing_mm", "patch_size", "normalisation", "presence_flags", "needs")


class Ensemble(nn.Module):
    """Networks of one shape whose logits are averaged; to whoever runs it, one network like any other."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Float[torch.Tensor, "n c z y x"]) -> Float[torch.Tensor, "n k z y x"]:
        """Mean of the members' logits, summed in float32."""
        total: Any = None
        for member in self.members:
            logits = member(x).float()
            total = logits if total is None else total.add_(logits)
        return total.div_(len(self.members))


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


def load_model_network(folder: Path) -> nn.Module:
    """Network of a model folder, or the `Ensemble` of several, float32, in evaluation mode.

    Raises:
        ModelError: As `load_model_card`, or weights are damaged (``MODEL_HASH``).
    """
    members = [load_network(path) for path in member_folders(folder)]
    return members[0] if len(members) == 1 else Ensemble(members).eval()


def write_ensemble_page(folder: Path) -> None:
    """Writes ``MODEL_CARD.md`` of an ensemble beside its folds.

    Raises:
        ModelError: As `load_model_card`.
    """
    cards = [load_card(path) for path in member_folders(folder)]
    (folder / PAGE_FILE).write_text(card_markdown(load_model_card(folder), cards))


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
    digest = hashlib.sha256("".join(card.sha256 for card in cards).encode()).hexdigest()
    return first.model_copy(
        update={"name": f"{first.name}, ensemble of {len(cards)}", "training": made, "sha256": digest}
    )


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    common = [key for key in scores[0] if all(key in one for one in scores)]
    return {key: sum(one[key] for one in scores) / len(scores) for key in common}
