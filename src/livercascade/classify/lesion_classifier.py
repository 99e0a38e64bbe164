"""Types of lesions from their enhancement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from livercascade.classify.enhancement import Background, measure
from livercascade.classify.type_network import TypeNetwork, TypesCard, load_types
from livercascade.data.class_priors import ClassPriors, logit_adjustment
from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.data.lesion import Lesion
from livercascade.data.scan import Scan


@dataclass(frozen=True, slots=True)
class LesionClassifier:
    """A trained network of types.

    Attributes:
        card: What it is told and what it was trained on.
        network: The network.
    """

    card: TypesCard
    network: TypeNetwork

    @classmethod
    def load(cls, folder: Path) -> LesionClassifier:
        """That of a folder written by ``livercascade train types``.

        Raises:
            ModelError: As `load_types`.
        """
        return cls(*load_types(folder))

    def types(
        self,
        scan: Scan,
        labels: UInt8[np.ndarray, "z y x"],
        lesions: Sequence[Lesion],
        shares: ClassPriors | None = None,
    ) -> tuple[dict[LesionType, float], ...]:
        """Probability of each type for every lesion, which add up to 1.

        Args:
            scan: One to four phases on one grid.
            labels: Label map 0-13 on it: where liver, hepatic vessels and spleen are read.
            lesions: What to type; their own labels do not matter.
            shares: How common the types are among the lesions of one's patients (`livercascade.data.class_priors`);
                None leaves them as the network takes them.
        """
        if not lesions:
            return ()
        background = Background.measure(scan, labels)
        rows = np.stack([measure(scan, labels, lesion, background).features() for lesion in lesions])
        chances = weighted(self.probabilities(rows), self.card.class_priors, shares)
        return tuple({t: float(p) for t, p in zip(LESION_TYPES, row, strict=True)} for row in chances)

    def probabilities(self, features: Float32[np.ndarray, "n feature"]) -> Float32[np.ndarray, "n 6"]:
        """Probabilities of measured lesions, in label order."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(features)).numpy()


def weighted(
    chances: Float32[np.ndarray, "n 6"], learnt: ClassPriors | None, expected: ClassPriors | None
) -> Float32[np.ndarray, "n 6"]:
    """Probabilities where the types are of other frequencies than in training (Bayes' rule)."""
    weights = logit_adjustment(learnt, expected)
    if weights is None:
        return chances
    moved = chances * np.exp(weights)
    return moved / moved.sum(axis=1, keepdims=True)
