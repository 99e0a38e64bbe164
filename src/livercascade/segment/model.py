"""Networks with their card, ready to run.

The networks of an ensemble run one after the other into one running sum, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import nn

from livercascade.data.errors import InputError, ModelError
from livercascade.data.labels import PHASES, Phase
from livercascade.segment.engine import Engine
from livercascade.segment.model_card import ModelCard, ModelKind
from livercascade.segment.network_folder import load_model_card, load_model_networks
from livercascade.segment.network_input import phase_input


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network, or an ensemble of several, and how to feed it.

    Attributes:
        card: Description of its input, output and training.
        networks: The network, or all of an ensemble, on the engine's device; their logits are averaged.
        engine: Engine that runs it.
    """

    card: ModelCard
    networks: tuple[nn.Module, ...]
    engine: Engine

    @classmethod
    def load(cls, folder: Path, kind: ModelKind, engine: Engine | None = None) -> Model:
        """Model of a folder written by ``livercascade train``; a folder of folds becomes their ensemble.

        Raises:
            ModelError: ``MODEL_MISSING``, ``MODEL_HASH``, ``MODEL_MISMATCH`` or ``ENSEMBLE_MIXED``.
        """
        card = load_model_card(folder)
        if card.kind is not kind or card.phases != PHASES:
            found = f"UNet^{card.kind.value} for {', '.join(p.value for p in card.phases)}"
            raise ModelError(
                "MODEL_MISMATCH",
                f"{folder} holds {found}, not UNet^{kind.value} for all phases.",
                "Give the folder of the other network.",
                stage="segment",
            )
        engine = engine or Engine.choose()
        networks = tuple(network.to(engine.device) for network in load_model_networks(folder))
        return cls(card, networks, engine)

    def run(self, batch: Float32[torch.Tensor, "n c z y x"]) -> Float32[torch.Tensor, "n k z y x"]:
        """Logits of network inputs; of an ensemble the mean, one member after the other through the engine."""
        total = self.engine.run(self.networks[0], batch)
        for network in self.networks[1:]:
            total = total + self.engine.run(network, batch)
        return total / len(self.networks) if len(self.networks) > 1 else total

    def release_memory(self) -> None:
        """Give back the memory that passes need, when none will come for a while; weights and speed stay."""
        for network in self.networks:
            self.engine.release_memory(network)

    def require(self, phases: Collection[Phase]) -> None:
        """Checks that the phases a network cannot do without are there.

        Raises:
            InputError: One is absent (``PHASE_NEEDED``).
        """
        absent = [phase.value for phase in self.card.needs if phase not in phases]
        if absent:
            raise InputError(
                "PHASE_NEEDED",
                f"{self.card.name} needs {', '.join(absent)}, which the study does not have.",
                "Give that phase, or use a model trained on any subset of phases.",
                stage="segment",
            )

    def normalise(self, phase: Phase, hu: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
        """HU of one phase clipped and z-scored by the card."""
        scheme = self.card.normalisation[phase.index]
        return ((np.clip(hu, scheme.lower, scheme.upper) - scheme.mean) / scheme.std).astype(np.float32)

    def fill(self, phase: Phase) -> float:
        """Normalised value of voxels that are left out of a patch."""
        scheme = self.card.normalisation[phase.index]
        return (scheme.lower - scheme.mean) / scheme.std

    def on_phases(
        self, phases: tuple[Phase, ...]
    ) -> Callable[[Float32[np.ndarray, "n 4 z y x"]], Float[np.ndarray, "n k z y x"]]:
        """The network as a function of normalised patches in which ``phases`` are present."""
        present = [phase in phases for phase in PHASES]

        def run(patches: Float32[np.ndarray, "n 4 z y x"]) -> Float[np.ndarray, "n k z y x"]:
            batch = phase_input(torch.from_numpy(patches), present)
            return self.run(batch).numpy()

        return run
