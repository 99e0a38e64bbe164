"""Two models on the same patients: paired bootstrap, McNemar, DeLong, and Holm over all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field, NonNegativeInt
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from livercascade.data.record import Fraction, Record
from livercascade.detect.match import Counting
from livercascade.evaluation.metrics.lesion_metrics import ROWS, LesionMetrics, Proportion
from livercascade.evaluation.metrics.model_counts import ModelCounts
from livercascade.evaluation.statistics.delong import delong
from livercascade.evaluation.statistics.intervals import (
    Interval,
    Resamples,
    as_interval,
    percentile_interval,
    resampled_sums,
)


class ModelComparison(Record):
    """Difference of one metric between two models on the same patients, those on whom both decide."""

    one: str
    two: str
    figure: str = Field(description="The metric.")
    difference: float | None = Field(description="Two less one.")
    interval: Interval | None
    p: Fraction | None
    p_holm: Fraction | None = Field(description="Corrected by Holm over all comparisons.")
    test: str
    cases: NonNegativeInt


_LESION_METRICS: dict[str, Callable[[LesionMetrics], Float[np.ndarray, "*batch"]]] = {
    "recall": lambda m: m.share(Proportion.RECALL)[..., ROWS.index("All")],
    "precision": lambda m: m.share(Proportion.PRECISION)[..., ROWS.index("All")],
    "Malign recall": lambda m: m.share(Proportion.RECALL)[..., ROWS.index("Malign")],
    "Malign precision, corrected": lambda m: m.share(Proportion.PRECISION_CORRECTED)[..., ROWS.index("Malign")],
}
FALSE_POSITIVES = "false positives per case"


def compare_models(models: Sequence[ModelCounts], resamples: Resamples) -> tuple[ModelComparison, ...]:
    """Every pair of models, every metric; lesions by the counting mode ``paper``.

    Joint models are left out: where they decide they say what their sides say.

    Args:
        models: Counts on the same patients in the same order.
        resamples: Resamples of these patients.
    """
    # Holm and not Benjamini-Hochberg: a table of few comparisons is read one by one, each has to hold alone.
    raw = [c for one, two in combinations([m for m in models if not m.joint], 2) for c in _compare(one, two, resamples)]
    tested = [c.p for c in raw if c.p is not None]
    corrected = iter(np.asarray(multipletests(tested, method="holm")[1]).tolist() if tested else [])
    return tuple(c if c.p is None else c.model_copy(update={"p_holm": float(next(corrected))}) for c in raw)


def _compare(one: ModelCounts, two: ModelCounts, resamples: Resamples) -> list[ModelComparison]:
    # On the patients of both alone: a model is not to win by leaving hard ones out.
    both = one.decided & two.decided
    first, second = one.where(both), two.where(both)
    names, cases = (str(one.model), str(two.model)), int(both.sum())
    return [
        *_lesions(first, second, names, cases, resamples),
        _patients("sensitivity", first, second, names, both & one.truly_malignant),
        _patients("specificity", first, second, names, both & ~one.truly_malignant),
        _patients("accuracy", first, second, names, both),
        _areas(first, second, names, both),
    ]


def _lesions(
    one: ModelCounts, two: ModelCounts, names: tuple[str, str], cases: int, resamples: Resamples
) -> list[ModelComparison]:
    tables = [m.confusion[Counting.PAPER] for m in (one, two)]
    whole = [LesionMetrics.of(t.sum(axis=0)) for t in tables]
    drawn = [LesionMetrics.of(resampled_sums(resamples, t)) for t in tables]
    patients = resampled_sums(resamples, one.decided.astype(np.int64))

    def row(name: str, metric: Callable[[LesionMetrics, Any], Any]) -> ModelComparison:
        point = float(metric(whole[1], cases) - metric(whole[0], cases)) if cases else float("nan")
        differences = metric(drawn[1], patients) - metric(drawn[0], patients)
        interval = as_interval(percentile_interval(differences))
        p = _two_sided(differences)
        defined = not np.isnan(point)
        return ModelComparison(
            one=names[0],
            two=names[1],
            figure=name,
            difference=point if defined else None,
            interval=interval if defined else None,
            p=p if defined else None,
            p_holm=None,
            test="paired bootstrap over patients",
            cases=cases,
        )

    rows = [row(name, lambda m, _, metric=metric: metric(m)) for name, metric in _LESION_METRICS.items()]
    return [*rows, row(FALSE_POSITIVES, lambda m, n: m.fp[..., ROWS.index("All")] / np.maximum(n, 1))]


def _two_sided(differences: Float[np.ndarray, " resamples"]) -> float | None:
    """Twice the smaller share of resamples on one side of 0, never 0."""
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return None
    # One more in both, as if the data were one of the resamples: a p-value of 0 cannot be claimed from so many draws.
    side = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(2 * (side + 1) / (len(defined) + 1), 1.0)


def _patients(
    metric: str, one: ModelCounts, two: ModelCounts, names: tuple[str, str], among: Bool[np.ndarray, " cases"]
) -> ModelComparison:
    """McNemar's exact test on the patients whom only one of the two calls right."""
    right = [_right(metric, m)[among] for m in (one, two)]
    table = _agreement(right[0], right[1])
    cases = int(among.sum())
    # Exact: few patients are called right by one model alone, too few for the chi-square.
    result: Any = mcnemar(table, exact=True) if cases else None
    p = None if result is None else float(result.pvalue)
    difference = float(right[1].mean() - right[0].mean()) if cases else None
    return _exact(metric, names, difference, p, test="McNemar, exact", cases=cases)


def _right(metric: str, model: ModelCounts) -> Bool[np.ndarray, " cases"]:
    if metric == "accuracy":
        return model.class_right
    return model.called_malignant if metric == "sensitivity" else ~model.called_malignant


def _agreement(one: Bool[np.ndarray, " n"], two: Bool[np.ndarray, " n"]) -> Int[np.ndarray, "2 2"]:
    return np.array([[np.sum(one & two), np.sum(one & ~two)], [np.sum(~one & two), np.sum(~one & ~two)]])


def _areas(
    one: ModelCounts, two: ModelCounts, names: tuple[str, str], both: Bool[np.ndarray, " cases"]
) -> ModelComparison:
    # DeLong and not the bootstrap: a test of two areas of the same patients whose p-value does not depend on draws.
    scores = np.stack([one.malignancy[both], two.malignancy[both]])
    areas = delong(scores, one.truly_malignant[both])
    difference = None if areas is None else float(areas.areas[1] - areas.areas[0])
    p = None if areas is None else areas.p_equal()
    return _exact("AUROC", names, difference, p, test="DeLong", cases=int(both.sum()))


def _exact(
    metric: str, names: tuple[str, str], difference: float | None, p: float | None, *, test: str, cases: int
) -> ModelComparison:
    """A comparison whose test gives no interval."""
    return ModelComparison(
        one=names[0],
        two=names[1],
        figure=metric,
        difference=difference,
        interval=None,
        p=p,
        p_holm=None,
        test=test,
        cases=cases,
    )
