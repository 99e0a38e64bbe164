"""Probabilities fitted on validation patients: Platt's scaling by scikit-learn, types by likelihood, and abstention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from livercascade import __version__
from livercascade.alignment.align_phases import PhaseUse
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.errors import InputError
from livercascade.data.labels import LESION_TYPES, PHASES, Phase
from livercascade.diagnose.calibration import (
    Calibration,
    Logistic,
    SettingCalibration,
    TypeScaling,
    logit,
    scaled_types,
)
from livercascade.diagnose.confidence import malignancy_score, malignant_share
from livercascade.diagnose.conformal import Abstention
from livercascade.evaluation.cohort.cohort_files import Cohort, PredictionSource, read_result
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, ProposalScore
from livercascade.evaluation.cohort.read_case import read_case
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.results.result import CaseResult
from livercascade.system.files import sha256_text
from livercascade.system.progress import Progress, counter

LEAST_CASES = 10
"""With fewer cases of one set of phases no probability is fitted to them."""


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationSample:
    """Candidates of High and patients, with the reference.

    Attributes:
        confidence: Confidence of every candidate that counts.
        true: True for one that touches a reference lesion.
        label: Type of those that do, by UNet^whole, from 0.
        votes: Votes of UNet^patch for them.
        true_type: Type of the reference lesion each shares most voxels with, from 0.
        score: Malignancy score of every patient.
        malignant: True for a patient with a malignant lesion that counts.
    """

    confidence: Float[np.ndarray, " candidates"]
    true: Bool[np.ndarray, " candidates"]
    label: Int[np.ndarray, " touching"]
    votes: Float[np.ndarray, "touching 6"]
    true_type: Int[np.ndarray, " touching"]
    score: Float[np.ndarray, " patients"]
    malignant: Bool[np.ndarray, " patients"]


def sample_of(cases: Sequence[EvidenceCase]) -> CalibrationSample:
    """Candidates and patients of cases that keep the evidence."""
    confidence: list[float] = []
    true: list[bool] = []
    touching: list[tuple[int, Sequence[float], int]] = []
    score: list[float] = []
    malignant: list[bool] = []
    for case in cases:
        lesions = case.high
        own_votes = [{} if p.tally is None else p.tally.votes_by_type for p in lesions.predicted]
        own_confidence = [ProposalScore.BLEND.of(p) for p in lesions.predicted]
        for j, (one, by_type) in enumerate(zip(lesions.predicted, own_votes, strict=True)):
            touched = [pair for pair in lesions.pairs if pair.found == j]
            true.append(bool(touched))
            if touched:
                # The lesion it mostly lies on: a proposal over two lesions still has one type to learn.
                largest = max(touched, key=lambda pair: pair.voxels)
                votes = [by_type.get(t, 0.0) for t in LESION_TYPES]
                touching.append((LESION_TYPES.index(one.label), votes, lesions.reference[largest.truth].label - 1))
        confidence += own_confidence
        shares = [malignant_share(p.label, votes) for p, votes in zip(lesions.predicted, own_votes, strict=True)]
        score.append(malignancy_score(zip(own_confidence, shares, strict=True)))
        malignant.append(any(lesion.label.malignant for lesion in lesions.reference))
    return CalibrationSample(
        np.array(confidence, dtype=np.float64),
        np.array(true, dtype=np.bool_),
        np.array([each[0] for each in touching], dtype=np.int64),
        np.array([each[1] for each in touching], dtype=np.float64).reshape(-1, len(LESION_TYPES)),
        np.array([each[2] for each in touching], dtype=np.int64),
        np.array(score, dtype=np.float64),
        np.array(malignant, dtype=np.bool_),
    )


def calibrate_cohort(
    cohort: Cohort, settings: EvaluationSettings, *, alpha: float, about: str, progress: Progress | None = None
) -> Calibration:
    """Probabilities and abstention for each set of phases that enough cases were analysed with.

    Args:
        cohort: One source of case folders that keep the evidence, of one pair of networks and one choice of
            settings; neither network has learnt from these patients.
        settings: Rules by which lesions are counted.
        alpha: Error allowed in each class.
        about: The patients in words.
        progress: Called after each case.

    Raises:
        InputError: ``NO_EVIDENCE``, ``MIXED_RUNS`` or ``TOO_FEW_CASES``, and what `read_case` raises.
    """
    (source,) = cohort.predictions
    if not source.evidence:
        message = f"Not every case folder of {source.name!r} keeps its evidence."
        raise InputError("NO_EVIDENCE", message, "Analyse them with 'predict --evidence'.", stage="measure")
    results = {case: read_result(folder) for case, folder in source.paths.items()}
    models, judging = _one_run(source, results)
    by_phases: dict[tuple[Phase, ...], list[EvidenceCase]] = {}
    advance = counter(progress, "cases", len(results))
    for one in cohort.single():
        case = read_case(one, settings).evidence[source.name]
        by_phases.setdefault(_phases(results[case.case_id]), []).append(case)
        advance()
    fitted = {phases: cases for phases, cases in by_phases.items() if len(cases) >= LEAST_CASES}
    if not fitted:
        message = f"No set of phases has {LEAST_CASES} cases."
        raise InputError("TOO_FEW_CASES", message, "Give more cases that are read.", stage="measure")
    return calibration_of(
        fitted, alpha=alpha, models=models, judging=judging, about=about, names=list(cohort.reference)
    )


def calibration_of(
    by_phases: Mapping[tuple[Phase, ...], Sequence[EvidenceCase]],
    *,
    alpha: float,
    models: tuple[str, ...],
    judging: str,
    about: str,
    names: Sequence[str],
) -> Calibration:
    """Calibration of all sets of phases, with what it may be used with.

    Args:
        by_phases: Validation patients by the phases they were analysed with.
        alpha: Error allowed in each class.
        models: SHA-256 of the models, as the results name them.
        judging: `CascadeSettings.scoring_sha256` of the analysis.
        about: The patients in words.
        names: Names of the patients.
    """
    return Calibration(
        models=models,
        settings_sha256=judging,
        fitted_on=about,
        cases_sha256=sha256_text("\n".join(names)),
        software=__version__,
        settings=tuple(fit_setting(cases, phases, alpha=alpha) for phases, cases in by_phases.items()),
    )


def _one_run(source: PredictionSource, results: dict[str, CaseResult]) -> tuple[tuple[str, ...], str]:
    """Hashes of the networks and of the settings that proposals and scores depend on, the same in every case."""
    runs = {
        (
            tuple(model.sha256 for model in result.provenance.models),
            CascadeSettings.model_validate(result.provenance.settings).scoring_sha256,
        )
        for result in results.values()
    }
    if len(runs) > 1:
        message = f"The cases of {source.name!r} were analysed by {len(runs)} choices of networks and settings."
        raise InputError("MIXED_RUNS", message, "Analyse all in one way.", stage="measure")
    ((models, judging),) = runs
    return models, judging


def _phases(result: CaseResult) -> tuple[Phase, ...]:
    """Phases that the networks saw."""
    dropped = {record.phase for record in result.alignment if record.use is PhaseUse.DROPPED}
    seen = {record.phase for record in result.inputs} - dropped
    return tuple(phase for phase in PHASES if phase in seen)


def fit_setting(cases: Sequence[EvidenceCase], phases: tuple[Phase, ...], *, alpha: float) -> SettingCalibration:
    """Probabilities and abstention for one set of phases.

    Args:
        cases: Validation patients: neither network has learnt from them and no metric is of them.
        phases: Phases they were analysed with.
        alpha: Error allowed in each class.
    """
    sample = sample_of(cases)
    return SettingCalibration(
        phases=phases,
        lesion=fit_logistic(sample.confidence, sample.true),
        types=fit_types(sample),
        malignancy=fit_logistic(sample.score, sample.malignant),
        abstention=Abstention.fit(sample.score, sample.malignant, alpha),
        patients=len(sample.score),
        malignant=int(sample.malignant.sum()),
        candidates=len(sample.confidence),
        true_candidates=int(sample.true.sum()),
    )


def fit_logistic(score: Float[np.ndarray, " n"], true: Bool[np.ndarray, " n"]) -> Logistic:
    """Platt's scaling (Platt 1999) with his prior-corrected targets, so that a perfect split gives no certainty.

    With one class alone, or a score that falls with the reference, the probability is the same for every score.
    """
    positive, negative = int(true.sum()), int((~true).sum())
    high, low = (positive + 1) / (positive + 2), 1 / (negative + 2)
    if not positive or not negative:
        share = (positive + 1) / (positive + negative + 2)
        return Logistic(slope=0.0, intercept=float(np.log(share / (1 - share))))
    # Targets between 0 and 1 are two weighted copies of each, one of either class.
    x = np.concatenate([logit(score), logit(score)])[:, None]
    y = np.concatenate([np.ones(len(score)), np.zeros(len(score))])
    target = np.where(true, high, low)
    # Without penalty: two coefficients need none, and Platt's targets already hold them back.
    made = LogisticRegression(C=np.inf).fit(x, y, sample_weight=np.concatenate([target, 1 - target]))
    slope = float(np.ravel(made.coef_)[0])
    # A score that ranks backwards on these patients by chance must not turn the ranking round for the next.
    if slope <= 0:
        share = float(target.mean())
        return Logistic(slope=0.0, intercept=float(np.log(share / (1 - share))))
    return Logistic(slope=slope, intercept=float(np.ravel(made.intercept_)[0]))


def fit_types(sample: CalibrationSample) -> TypeScaling:
    """Temperature and weight of least negative log likelihood; neutral ones with fewer than ten candidates."""
    # Fewer say more about themselves than about the next patient.
    if len(sample.label) < 10:
        return TypeScaling(temperature=1.0, weight=0.5)
    rows = np.arange(len(sample.label))

    def loss(at: np.ndarray) -> float:
        p = scaled_types(sample.label, sample.votes, float(np.exp(at[0])), float(1 / (1 + np.exp(-at[1]))))
        return float(-np.log(p[rows, sample.true_type]).mean())

    # In logarithm and logit both are free; Nelder-Mead needs no gradient, and two dimensions are few. The bounds keep
    # a separable sample from running away.
    best = minimize(loss, np.zeros(2), method="Nelder-Mead", bounds=((-2.0, 3.0), (-8.0, 8.0)))
    return TypeScaling(temperature=float(np.exp(best.x[0])), weight=float(1 / (1 + np.exp(-best.x[1]))))
