"""True and false counts above every threshold, for all resamples of the patients at once.

scikit-learn computes one curve per call; intervals need thousands with other weights and the same order, so the scores
are sorted once and the weights summed up. The tests compare with scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from livercascade.evaluation.statistics.intervals import Interval, Resamples, as_interval, percentile_interval

_CHUNK = 250
"""Resamples at a time: findings times resamples of a large cohort do not fit into memory at once."""
_SLACK = 1e-9
"""A rate that equals the limit must not pass it by rounding."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its interval.

    Attributes:
        value: The metric; None where it is undefined.
        interval: 95 % percentile interval by resampling patients; None where undefined.
    """

    value: float | None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RankedFindings:
    """Findings with a score, some of them true, each of one patient; highest score first.

    A threshold calls every finding that scores at least as much. All is for patients with weights, each row one
    resample.

    Attributes:
        score: Distinct scores, falling: the thresholds.
        last: Position of the last finding with each of these scores.
        true: True for each finding that is, in order of the scores.
        case: Number of the patient, in the same order.
        positives: Things to be found in each patient, what recall is a share of; some may have no finding.
    """

    score: Float[np.ndarray, " thresholds"]
    last: Int[np.ndarray, " thresholds"]
    true: Bool[np.ndarray, " n"]
    case: Int[np.ndarray, " n"]
    positives: Float[np.ndarray, " cases"]

    @classmethod
    def of(
        cls,
        score: Float[np.ndarray, " n"],
        true: Bool[np.ndarray, " n"],
        case: Int[np.ndarray, " n"],
        positives: Float[np.ndarray, " cases"],
    ) -> RankedFindings:
        """Sort by score; equal scores share a threshold."""
        # Stable: the same patients in the same order give the same bits.
        order = np.argsort(-score, kind="stable")
        sorted_score = score[order]
        last = np.flatnonzero(np.append(sorted_score[1:] != sorted_score[:-1], len(score) > 0)[: len(score)])
        return cls(sorted_score[last], last, true[order], case[order], positives)

    def counts(
        self, weights: Float[np.ndarray, "rows cases"]
    ) -> tuple[Float[np.ndarray, "rows thresholds"], Float[np.ndarray, "rows thresholds"]]:
        """Weighted true and false findings that score at least each threshold, thresholds falling."""
        weight = weights[:, self.case]
        true = np.cumsum(weight * self.true, axis=1)[:, self.last]
        return true, np.cumsum(weight, axis=1)[:, self.last] - true

    def at_rates(
        self, weights: Float[np.ndarray, "rows cases"], rates: Sequence[float]
    ) -> Float[np.ndarray, "rows rates"]:
        """Recall at rates of false findings per patient."""
        (true, false), positives = self.counts(weights), weights @ self.positives
        per_case = false / weights.sum(axis=1, keepdims=True)
        out = np.zeros((len(weights), len(rates)))
        for column, rate in enumerate(rates):
            # Thresholds fall, so false findings only grow: the last allowed point has the highest recall.
            allowed = (per_case <= rate * (1 + _SLACK)).sum(axis=1)
            some = np.flatnonzero(allowed)
            out[some, column] = true[some, allowed[some] - 1]
        return share(out, np.broadcast_to(positives[:, None], out.shape))

    def at(
        self, weights: Float[np.ndarray, "rows cases"], allowed: Float[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " rows"]:
        """Highest recall that some threshold reaches with at most ``allowed`` false findings in each row."""
        true, false = self.counts(weights)
        # As above: the last allowed threshold has the highest recall.
        number = (false <= allowed[:, None] * (1 + _SLACK)).sum(axis=1)
        found = (
            np.where(number > 0, true[np.arange(len(weights)), number - 1], 0.0)
            if len(self.score)
            else np.zeros(len(weights))
        )
        return share(found, weights @ self.positives)

    def above(
        self, weights: Float[np.ndarray, "rows cases"], threshold: float
    ) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        """Recall and number of false findings at a threshold."""
        (true, false), number = self.counts(weights), int((self.score >= threshold).sum())
        none = np.zeros(len(weights))
        found, wrong = (true[:, number - 1], false[:, number - 1]) if number else (none, none)
        return share(found, weights @ self.positives), wrong

    def average_precision(self, weights: Float[np.ndarray, "rows cases"]) -> Float[np.ndarray, "rows 1"]:
        """Average precision: sum of the steps of recall times the precision there."""
        (true, false), positives = self.counts(weights), weights @ self.positives
        # Steps, not trapezoids: lines between points of precision and recall promise what no threshold reaches.
        precision = np.nan_to_num(share(true, true + false))
        area = (np.diff(true, axis=1, prepend=0) * precision).sum(axis=1)
        return share(area, positives)[:, None]


def resampled(
    metric: Callable[[Float[np.ndarray, "rows cases"]], Float[np.ndarray, "rows metrics"]],
    resamples: Resamples,
) -> Float[np.ndarray, "metrics 2"]:
    """Ends of the intervals of metrics that follow from the patients' weights, some resamples at a time."""
    rows = [metric(part) for part in _chunks(resamples)]
    return percentile_interval(np.concatenate(rows) if rows else metric(resamples))


def estimates(
    metric: Callable[[Float[np.ndarray, "rows cases"]], Float[np.ndarray, "rows metrics"]],
    cases: int,
    resamples: Resamples,
) -> tuple[Estimate, ...]:
    """Metrics of the patients as they are, with intervals."""
    # The point is that of the patients as they are, not the mean of the resamples, which is biased for ratios.
    values = metric(np.ones((1, cases)))[0]
    ends = resampled(metric, resamples) if len(resamples) else np.full((len(values), 2), np.nan)
    return tuple(
        Estimate(None if np.isnan(value) else float(value), as_interval(end))
        for value, end in zip(values, ends, strict=True)
    )


def share(part: Float[np.ndarray, "*n"], whole: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """``part / whole``, NaN where ``whole`` is 0."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)


def _chunks(weights: Float[np.ndarray, "rows cases"]) -> Iterator[Float[np.ndarray, "some cases"]]:
    for start in range(0, len(weights), _CHUNK):
        yield weights[start : start + _CHUNK]
