"""How well the reclassification score alone tells true from false proposals, with the threshold marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.evaluation.cohort.evidence_case import CurveCase, countable
from livercascade.evaluation.curves.proposal_confidence import excess
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.evaluation.statistics.ranking import Estimate, Ranked, estimates, share
from livercascade.reclassify.reclassify import ScoreMode


@dataclass(frozen=True, slots=True)
class ScoreRoc:
    """ROC of one score over the proposals of High that were judged.

    Attributes:
        mode: The score.
        false_kept, true_kept: The curve: shares of false and of true proposals kept, threshold falling from infinity;
            empty unless there are both kinds.
        area: Area under it; 0.5 is chance.
        threshold: What the cascade asks for: ml for ``volume``, a share for ``ratio`` and ``adaptive``.
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


def score_roc(cases: Sequence[CurveCase], mode: ScoreMode, settings: EvaluationSettings, draws: Resampling) -> ScoreRoc:
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
        _, side = countable(case, case.sides[case.high_factor], settings)
        touching = {p.found for p in side.pairs}
        for j, proposal in enumerate(side.proposals):
            over = excess(proposal, rules)
            if over is None:
                bypassed += 1
                continue
            scores.append(over)
            true.append(j in touching)
            owner.append(number)
    ranked = Ranked.of(np.array(scores, dtype=float), np.array(true, dtype=bool), np.array(owner, dtype=np.int64))
    kept = int((ranked.score >= 1).sum())

    def figures(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 3"]:
        tpr, fpr = rates(ranked, weights)
        # The last point is NaN where there are no true or no false proposals; so is the area then.
        area = np.trapezoid(tpr, fpr, axis=1) + 0 * (tpr[:, -1] + fpr[:, -1])
        return np.stack([area, tpr[:, kept], fpr[:, kept]], axis=1)

    area, true_at, false_at = estimates(figures, len(cases), draws)
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
    ranked: Ranked, weights: Float[np.ndarray, "rows cases"]
) -> tuple[Float[np.ndarray, "rows points"], Float[np.ndarray, "rows points"]]:
    """True and false positive rate from (0, 0) on; NaN where there are none."""
    counts = ranked.counts(weights)
    out: list[Float[np.ndarray, "rows points"]] = []
    for part in (counts.true, counts.false):
        padded = np.concatenate([np.zeros((len(part), 1)), part], axis=1)
        out.append(share(padded, np.broadcast_to(padded[:, -1:], padded.shape)))
    return out[0], out[1]
