"""Patients as the reproduction judges them, without voxels: lesions, proposals and scores drawn from simple rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livercascade.data.labels import LesionType
from livercascade.detect.match import Pair
from livercascade.diagnose.patient import classify_patient
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase, FoundLesion, Reading, TrueLesion
from livercascade.evaluation.cohort.evidence_case import CurveCase, Proposal, Side
from livercascade.evaluation.cohort.read_case import JudgedCase
from livercascade.evaluation.curves.proposal_confidence import keeps, voted
from livercascade.reclassify.patch_tally import PatchTally
from livercascade.reclassify.reclassify import ReclassifySettings
from livercascade.reproduce.experiment import ModelKey, PaperModel, PaperSetting

RULES = ReclassifySettings(n_original=2, n_shuffled=2)
VOXEL_ML = 0.01
_TYPES = (LesionType.HCC, LesionType.META, LesionType.CYST, LesionType.OTHER)
_HARDER = {PaperSetting.DIAGNOSIS: 0.0, PaperSetting.SCREENING: 0.9}
"""How much less sure UNet^whole is of lesions with NC alone, in log odds."""


def simulated(patients: int, seed: int = 0) -> list[JudgedCase]:
    """Patients with lesions of known volumes; both settings see the same lesions, screening less well."""
    rng = np.random.default_rng(seed)
    return [_patient(number, rng) for number in range(patients)]


def _patient(number: int, rng: np.random.Generator) -> JudgedCase:
    lesions = [
        TrueLesion(_TYPES[int(rng.choice(4, p=(0.5, 0.25, 0.15, 0.1)))], v, round(v / VOXEL_ML), (0.0, 0.0, 0.0))
        for v in np.exp(rng.uniform(np.log(0.6), np.log(60), int(rng.integers(0, 4)))).tolist()
    ]
    truth = tuple(sorted(lesions, key=lambda x: -x.volume_ml))
    sure = [0.9 * np.log(t.volume_ml) + rng.normal(0.4, 1.2) for t in truth]
    readings: dict[str, Reading] = {}
    curves: dict[str, CurveCase] = {}
    for setting in PaperSetting:
        high, pairs = _proposals(truth, [s - _HARDER[setting] for s in sure], rng)
        low = Side(high, pairs).where(lambda p: p.onset <= 1)
        place = {id(p): j for j, p in enumerate(high)}
        shared = tuple(Pair(i, place[id(p)], p.voxels) for i, p in enumerate(low.proposals))
        curves[setting.value] = CurveCase(
            f"case-{number:03d}", truth, {1.0: low, 4.0: Side(high, pairs)}, shared, 1.0, 4.0, RULES
        )
        plain = Side(low.proposals, low.pairs).where(lambda p: keeps(p, RULES) and rng.random() < 0.88)
        for model, side, after in (
            (PaperModel.BASE, low, False),
            (PaperModel.WITHOUT_LS, plain, True),
            (PaperModel.WITH_LS, low.where(lambda p: keeps(p, RULES)), True),
            (PaperModel.BASE_RECLS, low.where(lambda p: keeps(p, RULES)), True),
            (PaperModel.HIGH, Side(high, pairs), False),
            (PaperModel.HIGH_RECLS, Side(high, pairs).where(lambda p: keeps(p, RULES)), True),
        ):
            readings[str(ModelKey(setting, model))] = _reading(side, after)
    case = EvaluatedCase(f"case-{number:03d}", truth, classify_patient(truth), readings, Path("truth"), {}, True)
    return JudgedCase(case, curves)


def _proposals(
    truth: tuple[TrueLesion, ...], sure: list[float], rng: np.random.Generator
) -> tuple[tuple[Proposal, ...], tuple[Pair, ...]]:
    made: list[tuple[Proposal, int | None]] = []
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
    return tuple(p for p, _ in made), pairs


def _proposal(label: LesionType, volume: float, odds: float, share: float, rng: np.random.Generator) -> Proposal:
    size = max(round(volume / VOXEL_ML), 1)
    votes = np.zeros((4, 6), dtype=np.int64)
    other = _TYPES[int(rng.integers(0, 4))]
    votes[:, label - 1] += round(0.7 * share * size)
    votes[:, other - 1] += int(0.3 * share * size)
    votes = np.minimum(votes, size)
    tally = None if volume > RULES.bypass_ml else PatchTally(votes, np.full(4, size), np.arange(4) >= 2, VOXEL_ML)
    return Proposal(label, volume, size, float(1 / (1 + np.exp(-odds))), float(np.exp(-odds)), tally, True)


def _reading(side: Side, after: bool) -> Reading:
    found = tuple(
        FoundLesion(
            voted(p) if after else p.label,
            p.volume_ml,
            p.voxels,
            (0.0, 0.0, 0.0),
            original=p.label,
            confidence=p.probability,
        )
        for p in side.proposals
    )
    return Reading(found, side.pairs, classify_patient(found))
