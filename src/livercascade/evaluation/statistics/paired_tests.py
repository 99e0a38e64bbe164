"""Two models on the same patients: paired bootstrap, McNemar, DeLong, and Holm over all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from livercascade.detect.match import Counting
from livercascade.evaluation.matching.model_counts import Answers
from livercascade.evaluation.metrics.lesion_metrics import ROWS, LesionFigures, Proportion
from livercascade.evaluation.statistics.delong import delong
from livercascade.evaluation.statistics.intervals import Interval, Resampling, as_interval, percentile_interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """Difference of one figure between two models, over the patients on whom both decide.

    Attributes:
        one, two: The models.
        figure: What is compared.
        difference: ``two`` less ``one``; None if undefined.
        interval: 95 % interval of the difference, where the test gives one.
        p: Two-sided p-value; None where the test has nothing to go by.
        p_holm: The same, corrected over all comparisons of the evaluation.
        test: How p was found.
        cases: Patients compared.
    """

    one: str
    two: str
    figure: str
    difference: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    test: str
    cases: int


_Figure = Callable[[LesionFigures], Float[np.ndarray, "*batch"]]
_LESION_FIGURES: dict[str, _Figure] = {
    "recall": lambda f: f.share(Proportion.RECALL)[..., ROWS.index("All")],
    "precision": lambda f: f.share(Proportion.PRECISION)[..., ROWS.index("All")],
    "Malign recall": lambda f: f.share(Proportion.RECALL)[..., ROWS.index("Malign")],
    "Malign precision, corrected": lambda f: f.share(Proportion.PRECISION_CORRECTED)[..., ROWS.index("Malign")],
}
FALSE_POSITIVES = "false positives per case"


def compare_models(models: Sequence[Answers], resampling: Resampling) -> tuple[Comparison, ...]:
    """Every pair of models, every figure; lesions by the counting mode ``paper``.

    Joint models are left out: where they decide they say what their sides say.

    Args:
        models: Answers on the same patients in the same order.
        resampling: The draws of these patients.
    """
    raw = [
        c for one, two in combinations([m for m in models if not m.joint], 2) for c in _compare(one, two, resampling)
    ]
    tested = [c.p for c in raw if c.p is not None]
    corrected = iter(np.asarray(multipletests(tested, method="holm")[1]).tolist() if tested else [])
    return tuple(c if c.p is None else replace(c, p_holm=float(next(corrected))) for c in raw)


def _compare(one: Answers, two: Answers, resampling: Resampling) -> list[Comparison]:
    both = one.decided & two.decided
    first, second = one.where(both), two.where(both)
    names, cases = (one.name.key, two.name.key), int(both.sum())
    return [
        *_lesions(first, second, names, cases, resampling),
        _patients("sensitivity", first, second, names, both & one.truly_malignant),
        _patients("specificity", first, second, names, both & ~one.truly_malignant),
        _patients("accuracy", first, second, names, both),
        _areas(first, second, names, both),
    ]


def _lesions(
    one: Answers, two: Answers, names: tuple[str, str], cases: int, resampling: Resampling
) -> list[Comparison]:
    tables = [m.confusion[Counting.PAPER] for m in (one, two)]
    whole = [LesionFigures.of(t.sum(axis=0)) for t in tables]
    drawn = [LesionFigures.of(resampling.sums(t)) for t in tables]
    patients = resampling.sums(one.decided.astype(np.int64))

    def row(name: str, figure: Callable[[LesionFigures, Any], Any]) -> Comparison:
        point = float(figure(whole[1], cases) - figure(whole[0], cases)) if cases else float("nan")
        differences = figure(drawn[1], patients) - figure(drawn[0], patients)
        interval = as_interval(percentile_interval(differences))
        p = _two_sided(differences)
        defined = not np.isnan(point)
        return Comparison(
            *names,
            name,
            point if defined else None,
            interval if defined else None,
            p if defined else None,
            None,
            "paired bootstrap over patients",
            cases,
        )

    rows = [row(name, lambda f, _, figure=figure: figure(f)) for name, figure in _LESION_FIGURES.items()]
    return [*rows, row(FALSE_POSITIVES, lambda f, n: f.fp[..., ROWS.index("All")] / np.maximum(n, 1))]


def _two_sided(differences: Float[np.ndarray, " resamples"]) -> float | None:
    """Twice the smaller share of resamples on one side of 0, never 0."""
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return None
    side = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(2 * (side + 1) / (len(defined) + 1), 1.0)


def _patients(
    figure: str, one: Answers, two: Answers, names: tuple[str, str], among: Bool[np.ndarray, " cases"]
) -> Comparison:
    """McNemar's exact test on the patients whom only one of the two calls right."""
    right = [_right(figure, m)[among] for m in (one, two)]
    table = _agreement(right[0], right[1])
    cases = int(among.sum())
    test: Any = mcnemar(table, exact=True) if cases else None
    p = None if test is None else float(test.pvalue)
    difference = float(right[1].mean() - right[0].mean()) if cases else None
    return Comparison(*names, figure, difference, None, p, None, "McNemar, exact", cases)


def _right(figure: str, model: Answers) -> Bool[np.ndarray, " cases"]:
    if figure == "accuracy":
        return model.class_right
    return model.called_malignant if figure == "sensitivity" else ~model.called_malignant


def _agreement(one: Bool[np.ndarray, " n"], two: Bool[np.ndarray, " n"]) -> Int[np.ndarray, "2 2"]:
    return np.array([[np.sum(one & two), np.sum(one & ~two)], [np.sum(~one & two), np.sum(~one & ~two)]])


def _areas(one: Answers, two: Answers, names: tuple[str, str], both: Bool[np.ndarray, " cases"]) -> Comparison:
    scores = np.stack([one.malignancy[both], two.malignancy[both]])
    areas = delong(scores, one.truly_malignant[both])
    difference = None if areas is None else float(areas.areas[1] - areas.areas[0])
    p = None if areas is None else areas.p_equal()
    return Comparison(*names, "AUROC", difference, None, p, None, "DeLong", int(both.sum()))
