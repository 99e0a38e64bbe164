"""Probabilities that mean what they say: fitted on validation patients, kept as ``calibration.json`` beside a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeInt, PositiveFloat, ValidationError

from livercascade.data.errors import ModelError
from livercascade.data.labels import LESION_TYPES, LesionType, Phase
from livercascade.data.record import Record, Sha256
from livercascade.diagnose.conformal import Abstention

CALIBRATION = "calibration.json"
# The log odds of 0 and 1 are infinite: one such score would decide a fit alone.
_LEAST, _MOST = 0.001, 0.999
# A type without any vote keeps a little, or one miss would make the cross-entropy infinite.
_SMOOTH = 0.02


class Logistic(Record):
    """Platt's scaling of a score between 0 and 1: p = 1 / (1 + exp(-(slope logit(score) + intercept))).

    Slope 1 and intercept 0 leave the score as it is.
    """

    slope: float = Field(ge=0)
    intercept: float

    def __call__(self, score: float) -> float:
        """The probability; scores are clipped to 0.001 to 0.999."""
        return 1 / (1 + math.exp(-(self.slope * float(logit(np.array([score]))[0]) + self.intercept)))


class TypeScaling(Record):
    """Probabilities of the six types from the votes of UNet^patch and the type by UNet^whole.

    q = (1 - weight) votes + weight [the type by UNet^whole], smoothed; p is q to the power 1 / temperature, to sum 1.
    Without votes the weight is 1.

    Attributes:
        temperature: Above 1 it makes the types more alike.
        weight: Weight of UNet^whole's type, 0 to 1.
    """

    temperature: PositiveFloat
    weight: float = Field(ge=0, le=1)

    def __call__(self, label: LesionType, votes: Mapping[LesionType, float]) -> dict[LesionType, float]:
        """Probability of every type; ``votes`` are empty if UNet^patch did not judge."""
        row = np.array([[votes.get(t, 0.0) for t in LESION_TYPES]], dtype=np.float64)
        made = self.of(np.array([LESION_TYPES.index(label)]), row)[0]
        return {t: float(p) for t, p in zip(LESION_TYPES, made, strict=True)}

    def of(self, label: np.ndarray, votes: Float[np.ndarray, "n 6"]) -> Float[np.ndarray, "n 6"]:
        """Probabilities of many candidates; ``label`` counts from 0."""
        return scaled_types(label, votes, self.temperature, self.weight)


class SettingCalibration(Record):
    """What was fitted for one set of phases.

    Attributes:
        phases: The phases of the patients; probabilities are given for these alone.
        lesion: Confidence of a candidate to the chance that it touches a true lesion.
        types: Types of candidates that touch one.
        malignancy: Suspicion of a patient to the chance of a malignant lesion.
        abstention: Thresholds of the conformal decision on the score, which no patient was used to fit.
        patients, malignant, candidates, true_candidates: Numbers of patients and candidates they rest on.
    """

    phases: tuple[Phase, ...]
    lesion: Logistic
    types: TypeScaling
    malignancy: Logistic
    abstention: Abstention
    patients: NonNegativeInt
    malignant: NonNegativeInt
    candidates: NonNegativeInt
    true_candidates: NonNegativeInt


class Calibration(Record):
    """``calibration.json``.

    Attributes:
        models: SHA-256 of UNet^whole, UNet^patch and, where types follow from enhancement, of what names them; with
            others the probabilities would mean nothing.
        settings_sha256: Hash of the settings that proposals and scores depend on.
        fitted_on: The patients, in words.
        cases_sha256: Hash of their names, one a line.
        software: Version that fitted it.
        settings: One for each set of phases.
    """

    schema_version: Literal["1.0"] = "1.0"
    models: tuple[Sha256, ...]
    settings_sha256: Sha256
    fitted_on: str
    cases_sha256: Sha256
    software: str
    settings: tuple[SettingCalibration, ...]

    @property
    def sha256(self) -> str:
        """Hash of all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def for_phases(
        self, phases: Collection[Phase], models: tuple[str, ...], settings_sha256: str
    ) -> SettingCalibration | None:
        """What fits these phases; None if there is none, or it was fitted to other networks or settings."""
        # Scores of another network or other settings have another distribution.
        if models != self.models or settings_sha256 != self.settings_sha256:
            return None
        return next((s for s in self.settings if set(s.phases) == set(phases)), None)

    def to_json(self) -> str:
        """Text of the file."""
        return self.model_dump_json(indent=1) + "\n"


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration beside a model; None if there is none.

    Raises:
        ModelError: ``BAD_CALIBRATION``: the file cannot be read.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return None
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        message = f"{path} is not a calibration of this version."
        raise ModelError("BAD_CALIBRATION", message, "Fit it again or remove it.", stage="classify") from error


def logit(score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Log odds of scores clipped to 0.001 to 0.999."""
    p = np.clip(score.astype(np.float64), _LEAST, _MOST)
    return np.log(p / (1 - p))


def scaled_types(
    label: np.ndarray, votes: Float[np.ndarray, "n 6"], temperature: float, weight: float
) -> Float[np.ndarray, "n 6"]:
    """Probabilities of the types, see `TypeScaling`."""
    total = votes.sum(axis=1, keepdims=True)
    judged: Bool[np.ndarray, "n 1"] = total > 0
    share = np.divide(votes, total, out=np.zeros_like(votes, dtype=np.float64), where=judged)
    own = np.eye(len(LESION_TYPES))[label]
    mixed = np.where(judged, (1 - weight) * share + weight * own, own)
    smooth = (mixed + _SMOOTH) / (1 + _SMOOTH * len(LESION_TYPES))
    power = smooth ** (1 / temperature)
    return power / power.sum(axis=1, keepdims=True)
