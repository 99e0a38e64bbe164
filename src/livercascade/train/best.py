"""Which state of a training is the best so far: a running mean of the held-out score, its maximum, and patience."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Weights(StrEnum):
    """Which weights of a run to export."""

    BEST = "best"
    """Those with the best score on the held-out fold; the newest where there is no such fold, or no score yet."""
    NEWEST = "newest"
    """Those of the newest checkpoint."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a training stands after some validations.

    Attributes:
        smoothed: Running mean of the score; None before the first validation.
        best: Its highest value.
        best_step: Step at which that was.
        stale: Validations since.
    """

    smoothed: float | None = None
    best: float = float("-inf")
    best_step: int = 0
    stale: int = 0

    def after(self, step: int, score: float, *, smoothing: float) -> Standing:
        """Standing after one more validation; it is the best so far exactly if its ``stale`` is 0.

        Args:
            step: Of the training.
            score: At this step, higher is better.
            smoothing: Share of the earlier mean, 0 (no smoothing) to under 1.

        >>> standing = Standing().after(10, 0.5, smoothing=0.5).after(20, 0.3, smoothing=0.5)
        >>> (standing.smoothed, standing.best_step, standing.stale)
        (0.4, 10, 1)
        """
        smoothed = score if self.smoothed is None else smoothing * self.smoothed + (1 - smoothing) * score
        if smoothed > self.best:
            return Standing(smoothed, smoothed, step, 0)
        return Standing(smoothed, self.best, self.best_step, self.stale + 1)

    def exhausted(self, patience: int | None) -> bool:
        """True if ``patience`` validations in a row brought nothing better; never without patience."""
        return patience is not None and self.stale >= patience

    def record(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)
