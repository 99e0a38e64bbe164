"""Types of lesions from their enhancement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from livercascade.classify.enhancement import Background, measure
from livercascade.classify.type_network import TypeNetwork, TypesCard, load_types
from livercascade.data.class_priors import ClassPriors, logit_adjustment
from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.data.lesion import Lesion
from livercascade.data.scan import Scan


@runtime_checkable
class LesionClassifier(Protocol):
    """What gives lesions their types: the place to plug in another one; `EnhancementClassifier` is this package's."""

    @property
    def name(self) -> str:
        """Name, for people and for provenance."""
        ...

    @property
    def version(self) -> str:
        """Version, for people and for provenance."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the weights, and of whatever else changes its results: a result is reused only for the same."""
        ...

    def types(
        self,
        scan: Scan,
        labels: UInt8[np.ndarray, "z y x"],
        lesions: Sequence[Lesion],
        priors: ClassPriors | None = None,
    ) -> tuple[Mapping[LesionType, float], ...]:
        """Probability of each type for every lesion, in their order, which add up to 1.

        Args:
            scan: Scan of one to four phases on one grid.
            labels: Label map 0-13 on that grid.
            lesions: Lesions to type; their own labels do not matter.
            priors: Frequency of the types among the lesions of one's patients; None leaves them as they were learnt.
        """
        ...


@dataclass(frozen=True, slots=True)
class EnhancementClassifier:
    """Types by how lesions take up contrast medium: a small trained network as a `LesionClassifier`.

    Attributes:
        card: Model card.
        network: The network.
    """

    card: TypesCard
    network: TypeNetwork

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.card.name

    @property
    def version(self) -> str:
        """Version of the model."""
        return self.card.version

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return self.card.sha256

    @classmethod
    def load(cls, folder: Path) -> EnhancementClassifier:
        """Classifier of a folder written by ``livercascade train types``.

        Raises:
            ModelError: As `load_types`.
        """
        return cls(*load_types(folder))

    def types(
        self,
        scan: Scan,
        labels: UInt8[np.ndarray, "z y x"],
        lesions: Sequence[Lesion],
        priors: ClassPriors | None = None,
    ) -> tuple[dict[LesionType, float], ...]:
        """Probability of each type for every lesion, which add up to 1.

        Args:
            scan: Scan of one to four phases on one grid.
            labels: Label map 0-13 on it: liver and hepatic vessels are measured by it.
            lesions: Lesions to type; their own labels do not matter.
            priors: Frequency of the types among the lesions of one's patients (`livercascade.data.class_priors`);
                None leaves them as the network learnt them.
        """
        if not lesions:
            return ()
        background = Background.measure(scan, labels)
        rows = np.stack([measure(scan, labels, lesion, background).features() for lesion in lesions])
        probabilities = weighted(self.probabilities(rows), self.card.class_priors, priors)
        return tuple({t: float(p) for t, p in zip(LESION_TYPES, row, strict=True)} for row in probabilities)

    def probabilities(self, features: Float32[np.ndarray, "n feature"]) -> Float32[np.ndarray, "n 6"]:
        """Probabilities of measured lesions, in label order."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(features)).numpy()


def weighted(
    probabilities: Float32[np.ndarray, "n 6"], learnt: ClassPriors | None, expected: ClassPriors | None
) -> Float32[np.ndarray, "n 6"]:
    """Probabilities where the types are of other frequencies than in training (Bayes' rule)."""
    weights = logit_adjustment(learnt, expected)
    if weights is None:
        return probabilities
    moved = probabilities * np.exp(weights)
    return moved / moved.sum(axis=1, keepdims=True)
