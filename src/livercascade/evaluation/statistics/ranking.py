"""True and false counts above every threshold, for all resamples of the patients at once.

scikit-learn computes one curve per call; intervals need thousands with other weights and the same order, so the scores
are sorted once and the weights summed up. The tests compare with scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from livercascade.evaluation.statistics.intervals import BootstrapResamples, Interval, as_interval, percentile_interval

_CHUNK = 250


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

    Attributes:
        score: Distinct scores, falling: the thresholds.
        last: Position of the last finding with each of these scores.
        true: Whether each finding is true, in order of the scores.
        case: Number of the patient, in the same order.
    """

    score: Float[np.ndarray, " thresholds"]
    last: Int[np.ndarray, " thresholds"]
    true: Bool[np.ndarray, " n"]
    case: Int[np.ndarray, " n"]

    @classmethod
    def of(
        cls, score: Float[np.ndarray, " n"], true: Bool[np.ndarray, " n"], case: Int[np.ndarray, " n"]
    ) -> RankedFindings:
        """Sort by score; equal scores share a threshold."""
        order = np.argsort(-score, kind="stable")
        sorted_score = score[order]
        last = np.flatnonzero(np.append(sorted_score[1:] != sorted_score[:-1], len(score) > 0)[: len(score)])
        return cls(sorted_score[last], last, true[order], case[order])

    def counts(
        self, weights: Float[np.ndarray, "rows cases"]
    ) -> tuple[Float[np.ndarray, "rows thresholds"], Float[np.ndarray, "rows thresholds"]]:
        """Weighted true and false findings that score at least each threshold, thresholds falling."""
        weight = weights[:, self.case]
        true = np.cumsum(weight * self.true, axis=1)[:, self.last]
        return true, np.cumsum(weight, axis=1)[:, self.last] - true


def resampled(
    metric: Callable[[Float[np.ndarray, "rows cases"]], Float[np.ndarray, "rows metrics"]],
    resamples: BootstrapResamples,
) -> Float[np.ndarray, "metrics 2"]:
    """Ends of the intervals of metrics that follow from the patients' weights, some resamples at a time."""
    rows = [metric(part) for part in _chunks(resamples.weights)]
    return percentile_interval(np.concatenate(rows) if rows else metric(resamples.weights))


def estimates(
    metric: Callable[[Float[np.ndarray, "rows cases"]], Float[np.ndarray, "rows metrics"]],
    cases: int,
    resamples: BootstrapResamples,
) -> tuple[Estimate, ...]:
    """Metrics of the patients as they are, with intervals."""
    values = metric(np.ones((1, cases)))[0]
    ends = resampled(metric, resamples) if len(resamples.weights) else np.full((len(values), 2), np.nan)
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
