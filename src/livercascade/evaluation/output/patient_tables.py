"""Table IV of the paper, the joint model in full, and what is asked of patient metrics beyond them, as printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from livercascade.evaluation.metrics.model_comparison import FALSE_POSITIVES, ModelComparison
from livercascade.evaluation.metrics.model_counts import CLASSES
from livercascade.evaluation.metrics.patient_metrics import GROUPS
from livercascade.evaluation.output.lesion_tables import by_setting
from livercascade.evaluation.output.number_text import NONE, of_cohort, p_value, slug, with_interval
from livercascade.evaluation.output.printed_table import PrintedTable, Row, heads
from livercascade.evaluation.output.tables_json import ModelTables, PatientMetricsRecord, Tables

_UNCERTAIN = "UNCERTAIN"
_BY_PATIENT = ("sensitivity", "specificity", "accuracy", "AUROC")


def table_4(tables: Tables) -> PrintedTable:
    """Sensitivity and specificity of every model in every setting (paper, Table IV)."""
    settings = by_setting(tables)
    titles = list(dict.fromkeys(model.title for model in tables.models.values()))
    rows: list[Row] = []
    for title in titles:
        cells: list[str] = []
        for models in settings.values():
            model = next((m for m in models.values() if m.title == title), None)
            cells += [NONE, NONE, NONE] if model is None else _verdicts(model)
        rows.append(Row((title, *cells)))
    named = () if list(settings) == [""] else (heads("", *((name or "no setting", 3) for name in settings)),)
    return PrintedTable(
        "table_4",
        of_cohort("Table IV. Malignancy of the patient", virtual=tables.virtual),
        "Percent, 95 % interval (Wilson), counts. A joint model is judged on the cases it decides alone; the table of "
        "the joint models restates it over all cases.",
        (*named, heads("Model", *(("Sensitivity", "Specificity", "Decided") * len(settings)))),
        tuple(rows),
    )


def patients_table(tables: Tables) -> PrintedTable:
    """Class of seven and malignancy score of every model."""
    rows: list[Row] = []
    for key, model in tables.models.items():
        p = model.patient
        metrics = ("accuracy", "balanced_accuracy", "macro_f1", "auroc")
        ece = (NONE, NONE) if p.calibration is None else (f"{p.calibration.ece:.3f}", f"{p.calibration.brier:.3f}")
        rows.append(Row((key, *(with_interval(getattr(p, f), p.intervals[f]) for f in metrics), *ece)))
    return PrintedTable(
        "patients",
        of_cohort("Class of the patient and malignancy score", virtual=tables.virtual),
        "Accuracy over the seven classes (Wilson), balanced over the classes that occur and macro F1 (bootstrap), area "
        "under the ROC curve (DeLong) of the score max over malignant lesions of confidence × share of malignant "
        "votes; its calibration error (ECE) and Brier score. Percent, 95 % interval.",
        (heads("Model", "Accuracy", "Balanced", "Macro F1", "AUROC", "ECE", "Brier"),),
        tuple(rows),
    )


def predictive_table(tables: Tables) -> PrintedTable:
    """Predictive values at several prevalences of malignancy."""
    prevalences = [v.prevalence for v in next(iter(tables.models.values())).patient.predictive_values]
    rows = [
        Row(
            (
                key,
                *(with_interval(v.ppv, v.ppv_interval) for v in model.patient.predictive_values),
                *(with_interval(v.npv, v.npv_interval, 1) for v in model.patient.predictive_values),
            )
        )
        for key, model in tables.models.items()
    ]
    shown = [f"{100 * p:g} %" for p in prevalences]
    return PrintedTable(
        "predictive_values",
        of_cohort("Predictive values by prevalence of malignancy", virtual=tables.virtual),
        "From sensitivity and specificity by Bayes; percent, 95 % interval (bootstrap over patients; from the ends of "
        "Wilson's intervals where either is 0 or 100 %).",
        (
            heads("", ("PPV at prevalence", len(shown)), ("NPV at prevalence", len(shown))),
            heads("Model", *shown, *shown),
        ),
        tuple(rows),
    )


def joint_table(tables: Tables) -> PrintedTable | None:
    """Joint models over the decided cases and restated over all; None if there is none."""
    rows: list[Row] = []
    for key, model in joint_models(tables):
        p = model.patient
        decided = (_share(p, "sensitivity"), _share(p, "specificity"))
        for number, (name, sens, spec) in enumerate(
            (
                ("decided cases", *decided),
                ("all, UNCERTAIN as positive", *_restated(p, "uncertain_as_positive")),
                ("all, UNCERTAIN as error", *_restated(p, "uncertain_as_error")),
            )
        ):
            coverage = f"{model.decided}/{model.cases}, {with_interval(p.coverage, p.intervals['coverage'], 1)}"
            rows.append(
                Row((key if number == 0 else "", name, sens, spec, coverage if number == 0 else ""), number == 0)
            )
    if not rows:
        return None
    return PrintedTable(
        "joint",
        of_cohort("Joint models: coverage and restatements", virtual=tables.virtual),
        "What the joint model leaves UNCERTAIN goes to a human. Its figures on decided cases alone look better than "
        "any model can on all cases: read the three rows together. Percent, 95 % interval (Wilson).",
        (heads("Model", "Counted", "Sensitivity", "Specificity", "Coverage"),),
        tuple(rows),
    )


def distribution_table(key: str, model: ModelTables, tables: Tables) -> PrintedTable:
    """Patients by true group and verdict (paper, Fig. 10)."""
    rows = [
        Row((group, *map(str, counts), str(sum(counts))))
        for group, counts in zip(GROUPS, model.patient.distribution, strict=True)
    ]
    return PrintedTable(
        f"figure_10_{slug(key)}",
        of_cohort(f"Figure 10. Patients by truth and verdict: {key}", virtual=tables.virtual),
        "True group in rows, verdict in columns.",
        (heads("Truth", *GROUPS, _UNCERTAIN, "Total"),),
        tuple(rows),
    )


def class_table(key: str, model: ModelTables, tables: Tables) -> PrintedTable:
    """Patients by reference and predicted class."""
    names = [c.value for c in CLASSES]
    rows = [Row((name, *map(str, row))) for name, row in zip(names, model.patient.confusion, strict=True)]
    return PrintedTable(
        f"classes_{slug(key)}",
        of_cohort(f"Class of the patient: {key}", virtual=tables.virtual),
        "True class in rows, found class in columns.",
        (heads("True \\ found", *names, _UNCERTAIN),),
        tuple(rows),
    )


def comparison_tables(tables: Tables) -> Iterator[PrintedTable]:
    """Differences between the models, lesions and patients apart; none if there is but one."""
    metrics = list(dict.fromkeys(row.figure for row in tables.comparisons))
    by_lesion = [m for m in metrics if m not in _BY_PATIENT]
    if metrics:
        yield _comparisons(
            "lesion_differences",
            "Lesions: differences between models",
            "Counting mode paper; paired bootstrap over patients. Percentage points, false positives as number a case",
            by_lesion,
            tables,
        )
        yield _comparisons(
            "patient_differences",
            "Patients: differences between models",
            "McNemar, exact; AUROC: DeLong. Percentage points",
            [m for m in metrics if m in _BY_PATIENT],
            tables,
        )


def _comparisons(name: str, title: str, test: str, metrics: list[str], tables: Tables) -> PrintedTable:
    pairs = list(dict.fromkeys((row.one, row.two) for row in tables.comparisons))
    compared = {(row.one, row.two, row.figure): row for row in tables.comparisons}
    rows = [Row((f"{one} → {two}", *(_difference(compared[one, two, m]) for m in metrics))) for one, two in pairs]
    return PrintedTable(
        name,
        of_cohort(title, virtual=tables.virtual),
        f"{test}. Second less first on the patients on whom both decide, 95 % interval, p after Holm's correction over "
        "all differences, lesions and patients.",
        (heads("Models", *(m[0].upper() + m[1:] for m in metrics)),),
        tuple(rows),
    )


def joint_models(tables: Tables) -> Sequence[tuple[str, ModelTables]]:
    """The models that leave cases undecided, or could have."""
    return [(key, m) for key, m in tables.models.items() if m.joint]


def _verdicts(model: ModelTables) -> list[str]:
    p = model.patient
    counts = ((p.true_positive, p.n_malignant), (p.true_negative, p.n_other))
    shares = (_share(p, "sensitivity", 1), _share(p, "specificity", 1))
    both = [f"{share} ({part}/{whole})" for share, (part, whole) in zip(shares, counts, strict=True)]
    return [*both, f"{model.decided}/{model.cases}"]


def _share(p: PatientMetricsRecord, metric: str, digits: int = 1) -> str:
    return with_interval(getattr(p, metric), p.intervals[metric], digits)


def _restated(p: PatientMetricsRecord, which: str) -> tuple[str, str]:
    r = getattr(p, which)
    return (
        with_interval(r.sensitivity, r.sensitivity_interval, 1),
        with_interval(r.specificity, r.specificity_interval, 1),
    )


def _difference(row: ModelComparison) -> str:
    if row.difference is None:
        return NONE
    points = row.figure != FALSE_POSITIVES
    scale, digits = (100, 1) if points else (1, 2)

    def number(value: float) -> str:
        return f"{scale * value:+.{digits}f}".replace("-", "−")

    interval = "" if row.interval is None else f" [{number(row.interval[0])}, {number(row.interval[1])}]"
    p = "" if row.p_holm is None else f"\np {p_value(row.p_holm)}"
    return f"{number(row.difference)}{interval}{p}"
