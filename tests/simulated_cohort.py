"""Patients as the reproduction judges them, without voxels: lesions, proposals and scores drawn from simple rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from livercascade.data.labels import LesionType
from livercascade.detect.match import Pair
from livercascade.diagnose.patient import classify_patient
from livercascade.evaluation.cohort.evaluated_case import CasePrediction, EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, stays, voted_type
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.matched_lesions import LesionSummary, MatchedLesions
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.reproduce.experiment import ModelKey, PaperModel, PaperSetting

RULES = ReclassifySettings(n_original=2, n_shuffled=2)
SETTINGS = EvaluationSettings(bootstrap=20)
VOXEL_ML = 0.01
_TYPES = (LesionType.HCC, LesionType.META, LesionType.CYST, LesionType.OTHER)
_HARDER = {PaperSetting.DIAGNOSIS: 0.0, PaperSetting.SCREENING: 0.9}
"""How much less sure UNet^whole is of lesions with NC alone, in log odds."""


def simulated(patients: int, seed: int = 0) -> list[EvaluatedCase]:
    """Patients with lesions of known volumes; both settings see the same lesions, screening less well."""
    rng = np.random.default_rng(seed)
    return [_patient(number, rng) for number in range(patients)]


def _patient(number: int, rng: np.random.Generator) -> EvaluatedCase:
    lesions = [
        LesionSummary(_TYPES[int(rng.choice(4, p=(0.5, 0.25, 0.15, 0.1)))], v, round(v / VOXEL_ML))
        for v in np.exp(rng.uniform(np.log(0.6), np.log(60), int(rng.integers(0, 4)))).tolist()
    ]
    truth = tuple(sorted(lesions, key=lambda x: -x.volume_ml))
    sure = [0.9 * np.log(t.volume_ml) + rng.normal(0.4, 1.2) for t in truth]
    predictions: dict[EvaluatedModel, CasePrediction] = {}
    evidence: dict[str, EvidenceCase] = {}
    for setting in PaperSetting:
        high = _proposals(truth, [s - _HARDER[setting] for s in sure], rng)
        low = high.where([p.onset <= 1 for p in high.predicted])
        place = {id(p): j for j, p in enumerate(high.predicted)}
        shared = tuple(Pair(i, place[id(p)], p.voxels) for i, p in enumerate(low.predicted))
        evidence[setting.value] = EvidenceCase(
            f"case-{number:03d}", {1.0: low, 4.0: high}, shared, 1.0, 4.0, RULES, SETTINGS
        )
        plain = low.where([stays(p, RULES) and rng.random() < 0.88 for p in low.predicted])
        low_after, high_after = (x.where([stays(p, RULES) for p in x.predicted]) for x in (low, high))
        for model, lesions, after in (
            (PaperModel.BASE, low, False),
            (PaperModel.WITHOUT_LS, plain, True),
            (PaperModel.WITH_LS, low_after, True),
            (PaperModel.BASE_RECLS, low_after, True),
            (PaperModel.HIGH, high, False),
            (PaperModel.HIGH_RECLS, high_after, True),
        ):
            predictions[ModelKey(setting, model).evaluated] = _prediction(lesions, after)
    return EvaluatedCase(f"case-{number:03d}", truth, classify_patient(truth), predictions, evidence, Path("truth"), {})


def _proposals(truth: tuple[LesionSummary, ...], sure: list[float], rng: np.random.Generator) -> MatchedLesions:
    made: list[tuple[LesionSummary, int | None]] = []
    for number, (lesion, odds) in enumerate(zip(truth, sure, strict=True)):
        if odds > -np.log(4):
            right = rng.random() < 0.85
            label = lesion.label if right else _TYPES[int(rng.integers(0, 4))]
            confirmed = float(np.clip(rng.normal(0.75, 0.25), 0, 1))
            made.append((_proposal(label, lesion.volume_ml, odds, confirmed, rng), number))
    for _ in range(int(rng.poisson(0.7))):
        volume = float(np.exp(rng.uniform(np.log(0.5), np.log(8))))
        confirmed = float(np.clip(rng.normal(0.1, 0.2), 0, 1))
        odds = float(rng.normal(-0.5, 0.8))
        if odds > -np.log(4):
            made.append((_proposal(_TYPES[int(rng.integers(0, 4))], volume, odds, confirmed, rng), None))
    made.sort(key=lambda pair: -pair[0].volume_ml)
    pairs = tuple(Pair(t, j, p.voxels) for j, (p, t) in enumerate(made) if t is not None)
    return MatchedLesions(truth, tuple(p for p, _ in made), pairs)


def _proposal(label: LesionType, volume: float, odds: float, share: float, rng: np.random.Generator) -> LesionSummary:
    size = max(round(volume / VOXEL_ML), 1)
    votes = np.zeros((4, 6), dtype=np.int64)
    other = _TYPES[int(rng.integers(0, 4))]
    votes[:, label - 1] += round(0.7 * share * size)
    votes[:, other - 1] += int(0.3 * share * size)
    votes = np.minimum(votes, size)
    tally = None if volume > RULES.bypass_ml else PatchTally(votes, np.full(4, size), np.arange(4) >= 2, VOXEL_ML)
    confidence, onset = float(1 / (1 + np.exp(-odds))), float(np.exp(-odds))
    return LesionSummary(label, volume, size, confidence=confidence, onset=onset, tally=tally)


def _prediction(lesions: MatchedLesions, after: bool) -> CasePrediction:
    predicted = tuple(
        replace(p, label=voted_type(p) if after else p.label, original=p.label, tally=None) for p in lesions.predicted
    )
    return CasePrediction.of(replace(lesions, predicted=predicted), SETTINGS)
