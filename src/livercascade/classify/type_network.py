"""The network that names a lesion's type from its measures, and its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool, Float32
from pydantic import AliasChoices, Field, PositiveFloat, PositiveInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from livercascade.classify.enhancement import FIRST_LEVEL, FORM, LEVELS, NUM_FEATURES
from livercascade.data.class_priors import EVEN, ClassPriors
from livercascade.data.errors import ModelError
from livercascade.data.labels import LESION_TYPES, PHASES
from livercascade.data.record import Record
from livercascade.models.model_folder import CARD_FILE, WEIGHTS_FILE, check_weights, write_folder

_CLIP = 4.0
"""Standard deviations beyond which a measure says no more: real scans leave the range of virtual ones."""


class TypesCard(Record):
    """``model.json`` of a network of lesion types.

    Attributes:
        levels, form: Names of the measures it takes (`livercascade.classify.enhancement`).
        members: Networks whose probabilities are averaged, one for each fold of the training.
        hidden: Width of both hidden layers.
        temperature: What logits are divided by, fitted on the lesions each member did not see.
        class_priors: Frequency of each type that it assumes.
        trained_on: The lesions, in words.
        lesions, cases: Numbers of training lesions and patients.
        scores: Metrics on lesions of the fold that a member did not see, by phases.
        command, settings: Command line and settings of the training.
        sha256: Hash of the weights; empty until saved.
    """

    name: str = "types"
    kind: Literal["types"] = "types"
    version: str
    levels: tuple[str, ...] = LEVELS
    form: tuple[str, ...] = FORM
    members: PositiveInt
    hidden: PositiveInt
    temperature: PositiveFloat = 1.0
    # Cards of before 0.2 say type_shares.
    class_priors: ClassPriors = Field(default=EVEN, validation_alias=AliasChoices("class_priors", "type_shares"))
    trained_on: str = ""
    cases: Annotated[int, Field(ge=0)] = 0
    lesions: Annotated[int, Field(ge=0)] = 0
    scores: dict[str, dict[str, float]] = Field(default_factory=dict)
    command: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""

    def markdown(self) -> str:
        """The card as a page for people."""
        shares = ", ".join(f"{t.title} {share:.0%}" for t, share in zip(LESION_TYPES, self.class_priors, strict=True))
        rows = {
            "Kind": f"types from enhancement, version {self.version}",
            "Input": f"in each phase {', '.join(self.levels)}; {', '.join(self.form)}; any subset of phases",
            "Output": ", ".join(t.title for t in LESION_TYPES),
            "Network": f"{self.members} x two hidden layers of {self.hidden}; their probabilities are averaged",
            "Types expected": shares,
            "Trained on": f"{self.trained_on} ({self.lesions} lesions of {self.cases} cases)",
            "Temperature": f"{self.temperature:.3g}",
            "Command": f"`{self.command}`",
            "SHA-256": f"`{self.sha256}`",
        }
        page = f"# {self.name}\n\nResearch software, not a medical device.\n\n| | |\n|---|---|\n"
        page += "".join(f"| {key} | {value} |\n" for key, value in rows.items())
        if not self.scores:
            return page
        names = list(next(iter(self.scores.values())))
        page += f"\n## On lesions that the member had not seen\n\n| phases | {' | '.join(names)} |\n"
        page += "|---|" + "---|" * len(names) + "\n"
        for phases, row in self.scores.items():
            page += f"| {phases} | {' | '.join(f'{row[name]:.3g}' for name in names)} |\n"
        return page


class TypeMember(nn.Module):
    """One small network: measures, standardised and with gaps marked, to six logits.

    Args:
        hidden: Width of both hidden layers.
        dropout: In training.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(NUM_FEATURES))
        self.register_buffer("std", torch.ones(NUM_FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(NUM_FEATURES + len(PHASES), hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, len(LESION_TYPES)),
        )

    def standardise(self, features: Float32[torch.Tensor, "n feature"]) -> None:
        """Take mean and spread of every measure from training lesions, gaps left out."""
        known = ~torch.isnan(features)
        count = known.sum(0).clamp(min=1)
        mean = torch.where(known, features, 0.0).sum(0) / count
        spread = torch.where(known, features - mean, 0.0).square().sum(0) / count
        self.mean.copy_(mean)
        # A measure that never varies must not divide by 0.
        self.std.copy_(spread.sqrt().clamp(min=1e-3))

    def prepare(self, features: Float32[torch.Tensor, "n feature"]) -> Float32[torch.Tensor, "n input"]:
        """Standardised measures, 0 where one is absent, and a flag for each phase."""
        scaled = ((features - self.mean) / self.std).clamp(-_CLIP, _CLIP)
        # 0 is the mean: an absent measure speaks for no type.
        return torch.cat([torch.nan_to_num(scaled, nan=0.0), _present(features).to(features.dtype)], dim=1)

    def forward(self, features: Float32[torch.Tensor, "n feature"]) -> Float32[torch.Tensor, "n 6"]:
        """Logits of the types in label order; ``features`` as `Enhancement.features` gives them."""
        return self.layers(self.prepare(features))


class TypeNetwork(nn.Module):
    """All members.

    Args:
        members: Their number.
        hidden: As in `TypeMember`.
        temperature: What their logits are divided by.
    """

    def __init__(self, members: int, hidden: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.members = nn.ModuleList(TypeMember(hidden) for _ in range(members))
        self.temperature = temperature

    def forward(self, features: Float32[torch.Tensor, "n feature"]) -> Float32[torch.Tensor, "n 6"]:
        """Mean probabilities."""
        each = [torch.softmax(member(features) / self.temperature, dim=1) for member in self.members]
        return torch.stack(each).mean(0)


def save_types(folder: Path, card: TypesCard, network: TypeNetwork) -> TypesCard:
    """Writes the folder beside its place, then moves it there; returns the card with the weights' hash."""
    return write_folder(folder, card, network.state_dict(), TypesCard.markdown)


def is_types(folder: Path) -> bool:
    """Whether a model folder says that it holds a network of lesion types."""
    try:
        return json.loads((folder / CARD_FILE).read_bytes()).get("kind") == "types"
    except (OSError, ValueError, AttributeError):
        return False


def load_types(folder: Path) -> tuple[TypesCard, TypeNetwork]:
    """Card and network of a folder, in evaluation mode.

    Raises:
        ModelError: Files are missing (``MODEL_MISSING``), changed since they were made (``MODEL_HASH``), or of another
            kind or version (``MODEL_MISMATCH``).
    """
    path, weights = folder / CARD_FILE, folder / WEIGHTS_FILE
    if not (path.is_file() and weights.is_file()):
        raise ModelError("MODEL_MISSING", f"There is no model at {folder}.", "Give a folder of 'train types'.")
    try:
        card = TypesCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _mismatch(path, f"the card is not that of a network of types ({error.error_count()} errors)") from error
    if (card.levels, card.form) != (LEVELS, FORM):
        raise _mismatch(path, "its measures are not those of this version")
    check_weights(weights, card.sha256)
    network = TypeNetwork(card.members, card.hidden, card.temperature)
    try:
        network.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise _mismatch(weights, "the weights do not fit the card") from error
    return card, network.eval()


def _present(features: Float32[torch.Tensor, "n feature"]) -> Bool[torch.Tensor, "n 4"]:
    return ~torch.isnan(features[:, list(FIRST_LEVEL)])


def _mismatch(where: Path, why: str) -> ModelError:
    return ModelError("MODEL_MISMATCH", f"{where} does not fit: {why}.", "Install the model again.", stage="classify")
