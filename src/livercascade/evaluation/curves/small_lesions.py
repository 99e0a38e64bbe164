"""Small lesions under the scores of reclassification at equal false positives: what the paper's 0.5 ml costs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.evaluation.cohort.evidence_case import CurveCase, countable
from livercascade.evaluation.curves.proposal_confidence import excess
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.volume_bins import BINS, bin_of
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.evaluation.statistics.ranking import Estimate, Ranked, estimates, share
from livercascade.reclassify.reclassify import ScoreMode

SMALL = next(k for k, each in enumerate(BINS) if each.name == "0.5-2")
"""The paper's first volume bin, where its score asks for more than a quarter of a lesion."""
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class SizeFair:
    """Recall of lesions of 0.5 to 2 ml by each score, at no more false positives than the paper's rule leaves.

    Attributes:
        lesions: True lesions of that size.
        fp_per_case: False positives a case of the paper's rule (``volume`` at 0.5 ml), which all are given.
        without: Recall without reclassification, which none can pass, whatever its false positives.
        as_set: Recall and false positives a case of each score at the cascade's threshold.
        recall: Recall at equal false positives, by score.
        gain: The same less that of ``volume``, in pairs.
    """

    lesions: int
    fp_per_case: Estimate
    without: Estimate
    as_set: dict[ScoreMode, tuple[Estimate, Estimate]]
    recall: dict[ScoreMode, Estimate]
    gain: dict[ScoreMode, Estimate]


@dataclass(frozen=True, slots=True, eq=False)
class SmallLesionRecall:
    """Small true lesions with the best score over threshold of their proposals, and false proposals with theirs.

    Attributes:
        ranked: Found small lesions (true) and false proposals (false), by score over threshold.
        lesions: Small true lesions per case.
    """

    ranked: Ranked
    lesions: Float[np.ndarray, " cases"]

    def at(
        self, weights: Float[np.ndarray, "rows cases"], allowed: Float[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " rows"]:
        """Highest recall that some threshold reaches with at most ``allowed`` false positives in each row."""
        counts = self.ranked.counts(weights)
        # Thresholds fall, so false positives only grow: the last allowed one has the highest recall.
        number = (counts.false <= allowed[:, None] * (1 + _SLACK)).sum(axis=1)
        found = (
            np.where(number > 0, counts.true[np.arange(len(weights)), number - 1], 0.0)
            if len(self.ranked.score)
            else np.zeros(len(weights))
        )
        return share(found, weights @ self.lesions)

    def above(
        self, weights: Float[np.ndarray, "rows cases"], over: float
    ) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        """Recall and number of false positives at one threshold: score over threshold of at least ``over``."""
        counts, number = self.ranked.counts(weights), int((self.ranked.score >= over).sum())
        none = np.zeros(len(weights))
        found, false = (counts.true[:, number - 1], counts.false[:, number - 1]) if number else (none, none)
        return share(found, weights @ self.lesions), false


def size_fair(cases: Sequence[CurveCase], settings: EvaluationSettings, draws: Resampling) -> SizeFair:
    """Compare the scores on small lesions of High.

    The threshold of a score is found anew in each resample, so that the intervals hold its uncertainty too.

    Args:
        cases: At least one.
        settings: Which lesions count.
        draws: Resamples of the patients.
    """
    by_mode = {mode: small_lesion_recall(cases, mode, settings) for mode in ScoreMode}
    modes = list(ScoreMode)

    def figures(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows figures"]:
        patients = weights.sum(axis=1)
        _, allowed = by_mode[ScoreMode.VOLUME].above(weights, 1.0)
        recall = [by_mode[mode].at(weights, allowed) for mode in modes]
        paper = recall[modes.index(ScoreMode.VOLUME)]
        set_ = [by_mode[mode].above(weights, 1.0) for mode in modes]
        without, _ = by_mode[ScoreMode.VOLUME].above(weights, -np.inf)
        columns = [share(allowed, patients), without, *recall, *(r - paper for r in recall)]
        columns += [column for found, false in set_ for column in (found, share(false, patients))]
        return np.stack(columns, axis=1)

    told = estimates(figures, len(cases), draws)
    n = len(modes)
    pairs = iter(told[2 + 2 * n :])
    return SizeFair(
        int(by_mode[ScoreMode.VOLUME].lesions.sum()),
        told[0],
        told[1],
        {mode: (next(pairs), next(pairs)) for mode in modes},
        dict(zip(modes, told[2 : 2 + n], strict=True)),
        dict(zip(modes, told[2 + n : 2 + 2 * n], strict=True)),
    )


def small_lesion_recall(cases: Sequence[CurveCase], mode: ScoreMode, settings: EvaluationSettings) -> SmallLesionRecall:
    """Small lesions and false proposals of High by score over threshold; infinite if too large to be judged."""
    scores: list[float] = []
    true: list[bool] = []
    owner: list[int] = []
    lesions = np.zeros(len(cases))
    for number, case in enumerate(cases):
        rules = case.rules.model_copy(update={"score": mode})
        counted_true, side = countable(case, case.sides[case.high_factor], settings)
        values = [excess(p, rules) for p in side.proposals]
        over = [np.inf if v is None else v for v in values]
        small = [i for i in counted_true if bin_of(case.truth[i].volume_ml) == SMALL]
        lesions[number] = len(small)
        best = [max((over[p.found] for p in side.pairs if p.truth == i), default=None) for i in small]
        touching = {p.found for p in side.pairs}
        found = [b for b in best if b is not None]
        false = [v for j, v in enumerate(over) if j not in touching]
        scores += [*found, *false]
        true += [True] * len(found) + [False] * len(false)
        owner += [number] * (len(found) + len(false))
    ranked = Ranked.of(
        np.array(scores, dtype=np.float64), np.array(true, dtype=np.bool_), np.array(owner, dtype=np.int64)
    )
    return SmallLesionRecall(ranked, lesions)
