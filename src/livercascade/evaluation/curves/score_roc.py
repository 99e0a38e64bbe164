"""How well the reclassification score alone tells true from false proposals, with the threshold marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.evaluation.cohort.evidence_case import EvidenceCase, excess
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate, RankedFindings, estimates, share
from livercascade.reclassification.reclassify import ScoreMode


@dataclass(frozen=True, slots=True)
class ScoreRoc:
    """ROC of one score over the proposals of High that were judged.

    Attributes:
        mode: The score.
        false_kept, true_kept: The curve: shares of false and of true proposals kept, threshold falling from infinity;
            empty unless there are both kinds.
        area: Area under it; 0.5 is chance.
        threshold: Score that the cascade asks for: ml for ``volume``, a share for ``ratio`` and ``adaptive``.
        true_at, false_at: Shares kept at that threshold.
        true, false: Proposals judged that touch a true lesion, and that do not.
        bypassed: Proposals too large to be judged, left out.
    """

    mode: ScoreMode
    false_kept: tuple[float, ...]
    true_kept: tuple[float, ...]
    area: Estimate
    threshold: float
    true_at: Estimate
    false_at: Estimate
    true: int
    false: int
    bypassed: int


def score_roc(cases: Sequence[EvidenceCase], mode: ScoreMode, resamples: Resamples) -> ScoreRoc:
    """ROC of a score, with the other rules as the cascade had them.

    ``adaptive`` asks small proposals for less, so it is ranked by score over threshold; the others too, which leaves
    their order as it is.
    """
    scores: list[float] = []
    true: list[bool] = []
    owner: list[int] = []
    bypassed = 0
    for number, case in enumerate(cases):
        rules = case.rules.model_copy(update={"score": mode})
        for proposal, touched in zip(case.high.predicted, case.high.touched, strict=True):
            over = excess(proposal, rules)
            if over is None:
                bypassed += 1
                continue
            scores.append(over)
            true.append(bool(touched))
            owner.append(number)
    hits, at = np.array(true, dtype=np.bool_), np.array(owner, dtype=np.int64)
    # Recall is here a share of the true proposals: of lesions that none touches no score can tell.
    positives = np.bincount(at[hits], minlength=len(cases)).astype(np.float64)
    ranked = RankedFindings.of(np.array(scores, dtype=np.float64), hits, at, positives)
    kept = int((ranked.score >= 1).sum())

    def metrics(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 3"]:
        tpr, fpr = rates(ranked, weights)
        # The last point is NaN where there are no true or no false proposals; so is the area then.
        area = np.trapezoid(tpr, fpr, axis=1) + 0 * (tpr[:, -1] + fpr[:, -1])
        return np.stack([area, tpr[:, kept], fpr[:, kept]], axis=1)

    area, true_at, false_at = estimates(metrics, len(cases), resamples)
    tpr, fpr = rates(ranked, np.ones((1, len(cases))))
    rules, defined = cases[0].rules, area.value is not None
    return ScoreRoc(
        mode,
        tuple(fpr[0].tolist()) if defined else (),
        tuple(tpr[0].tolist()) if defined else (),
        area,
        rules.threshold_ml if mode is ScoreMode.VOLUME else rules.ratio,
        true_at,
        false_at,
        int(ranked.true.sum()),
        int((~ranked.true).sum()),
        bypassed,
    )


def rates(
    ranked: RankedFindings, weights: Float[np.ndarray, "rows cases"]
) -> tuple[Float[np.ndarray, "rows points"], Float[np.ndarray, "rows points"]]:
    """True and false positive rate from (0, 0) on; NaN where there are none."""
    out: list[Float[np.ndarray, "rows points"]] = []
    for part in ranked.counts(weights):
        padded = np.concatenate([np.zeros((len(part), 1)), part], axis=1)
        out.append(share(padded, np.broadcast_to(padded[:, -1:], padded.shape)))
    return out[0], out[1]
