"""Small lesions under the scores of reclassification at equal false positives: what the paper's 0.5 ml costs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.evaluation.cohort.evidence_case import EvidenceCase, excess
from livercascade.evaluation.curves.froc import ranked_responses
from livercascade.evaluation.matching.matched_lesions import MatchedLesions
from livercascade.evaluation.matching.volume_bins import BIN_NAMES, bin_of
from livercascade.evaluation.statistics.intervals import Resamples
from livercascade.evaluation.statistics.ranking import Estimate, RankedFindings, estimates, share
from livercascade.reclassification.reclassify import ReclassifySettings, ScoreMode

SMALL = BIN_NAMES.index("0.5-2")
"""The paper's first volume bin, where its score asks for more than a quarter of a lesion."""


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


def size_fair(cases: Sequence[EvidenceCase], resamples: Resamples) -> SizeFair:
    """Compare the scores on small lesions of High.

    The threshold of a score is found anew in each resample, so that the intervals hold its uncertainty too.

    Args:
        cases: At least one.
        resamples: Resamples of the patients.
    """
    by_mode = {mode: small_lesion_recall(cases, mode) for mode in ScoreMode}
    modes = list(ScoreMode)

    def metrics(weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows metrics"]:
        patients = weights.sum(axis=1)
        _, allowed = by_mode[ScoreMode.VOLUME].above(weights, 1.0)
        recall = [by_mode[mode].at(weights, allowed) for mode in modes]
        paper = recall[modes.index(ScoreMode.VOLUME)]
        # Beside it what the thresholds as they are give, at different false positives.
        set_ = [by_mode[mode].above(weights, 1.0) for mode in modes]
        without, _ = by_mode[ScoreMode.VOLUME].above(weights, -np.inf)
        columns = [share(allowed, patients), without, *recall, *(r - paper for r in recall)]
        columns += [column for found, false in set_ for column in (found, share(false, patients))]
        return np.stack(columns, axis=1)

    made = estimates(metrics, len(cases), resamples)
    n = len(modes)
    pairs = iter(made[2 + 2 * n :])
    return SizeFair(
        int(by_mode[ScoreMode.VOLUME].positives.sum()),
        made[0],
        made[1],
        {mode: (next(pairs), next(pairs)) for mode in modes},
        dict(zip(modes, made[2 : 2 + n], strict=True)),
        dict(zip(modes, made[2 + n : 2 + 2 * n], strict=True)),
    )


def small_lesion_recall(cases: Sequence[EvidenceCase], mode: ScoreMode) -> RankedFindings:
    """Small lesions and false proposals of High by score over threshold; infinite if too large to be judged."""
    return ranked_responses(_responses(case.high, case.rules.model_copy(update={"score": mode})) for case in cases)


def _responses(lesions: MatchedLesions, rules: ReclassifySettings) -> tuple[list[float], list[float], int]:
    """Best score over threshold of each small lesion that is found, that of each false proposal, and small lesions."""
    values = [excess(p, rules) for p in lesions.predicted]
    over = [np.inf if v is None else v for v in values]
    small = [i for i, lesion in enumerate(lesions.reference) if bin_of(lesion.volume_ml) == SMALL]
    best = [max((over[p.found] for p in lesions.pairs if p.truth == i), default=None) for i in small]
    false = [v for v, touched in zip(over, lesions.touched, strict=True) if not touched]
    return [b for b in best if b is not None], false, len(small)
