"""Tables I, II, III and V of the paper, and the lesion tables a reviewer asks for beyond them, as printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from livercascade.detect.match import Counting
from livercascade.evaluation.metrics.lesion_metrics import ALL, ROWS
from livercascade.evaluation.output.number_text import NONE, of_cohort, percent, slug, with_interval
from livercascade.evaluation.output.printed_table import PrintedTable, Row, heads
from livercascade.evaluation.output.tables_json import LesionRow, LesionTable, MalignRow, ModelTables, Tables

_CORRECTED = "Malign, corrected"
_MODES = {
    Counting.PAPER: "paper: TP, FL, FP per found lesion, FN per true lesion",
    Counting.GT: "gt: TP, FL, FN per true lesion, FP per found lesion",
    Counting.ONE2ONE: "one2one: one count per pair of a one-to-one matching",
}
_RULE = (
    "Recall = TP/(TP+FN+FL); precision = TP/(TP+FP+FL_pred), FL_pred being wrong types by found type. The row Malign "
    "takes any malignant type for right; its precision leaves out benign lesions called malignant, as in the paper, "
    "and the row below counts them."
)


def table_1(tables: Tables) -> PrintedTable:
    """True lesions by type and volume (paper, Table I)."""
    bins = list(tables.table1[ALL])
    rows = [
        Row((row, *(str(tables.table1[row][b]) for b in bins), str(sum(tables.table1[row].values()))), row == ALL)
        for row in ROWS
    ]
    limit = tables.settings["min_volume_ml"]
    return PrintedTable(
        "table_1",
        of_cohort("Table I. True lesions by type and volume", virtual=tables.virtual),
        f"Volume in ml, from the first number up to but not including the second; below {limit} ml nothing counts.",
        (heads("Type", *bins, "Total"),),
        tuple(rows),
    )


def tables_2_3(tables: Tables) -> Iterator[PrintedTable]:
    """Lesion metrics of the models of each setting (paper, Tables II and III)."""
    for setting, models in by_setting(tables).items():
        columns = {key: m for key, m in models.items() if not m.joint}
        if columns:
            yield _side_by_side(setting, columns, tables)


def table_5(tables: Tables) -> Iterator[PrintedTable]:
    """Lesions of the patients on whom a joint model decides (paper, Table V)."""
    for key, model in tables.models.items():
        if model.joint:
            table = model.lesion.paper
            rows = tuple(_table_5_row(name, table) for name in (*ROWS, _CORRECTED))
            caption = f"Only the {model.decided} of {model.cases} cases on which both sides agree. {_RULE}"
            yield PrintedTable(
                f"table_5_{slug(key)}",
                of_cohort(f"Table V. Lesions where the joint model decides: {key}", virtual=tables.virtual),
                caption,
                (heads("Type", "FN", "FP", "FL", "TP", "Precision", "Recall", "Recall-rough"),),
                rows,
            )


def full_table(key: str, model: ModelTables, tables: Tables) -> PrintedTable:
    """All counts and metrics of one model in the three counting modes, with intervals."""
    rows = [row for mode in Counting for row in _mode_rows(mode, getattr(model.lesion, mode.value))]
    return PrintedTable(
        f"lesions_{slug(key)}",
        of_cohort(f"Lesions in the three counting modes: {key}", virtual=tables.virtual),
        "Brackets: 95 % interval, cluster bootstrap over patients. FL by true type, FL_pred by found type. Rough "
        f"recall and rough precision do not look at the type. True lesions found in parts: {model.splits}; found "
        f"lesions that join several true ones: {model.merges}.",
        (
            heads(
                *("Type", "TP", "FL", "FL_pred", "FN", "FP"),
                *("Precision %", "Recall %", "Rough recall %", "Rough prec. %", "F1 %", "Type right %", "FP/case"),
            ),
        ),
        tuple(rows),
    )


def confusion_table(key: str, model: ModelTables, tables: Tables) -> PrintedTable:
    """Reference by predicted type of one model, counting mode paper; the paper never prints it."""
    names = ROWS[:6]
    rows = [
        Row((name, *map(str, counts)), name == "spurious")
        for name, counts in zip((*names, "spurious"), model.confusion.paper, strict=True)
    ]
    rows[-1] = Row((*rows[-1].cells[:-1], NONE), True)
    return PrintedTable(
        f"confusion_{slug(key)}",
        of_cohort(f"Confusion of types: {key}", virtual=tables.virtual),
        "True type in rows, found type in columns, counting mode paper.",
        (heads("True \\ found", *names, "missed"),),
        tuple(rows),
    )


def volume_table(key: str, model: ModelTables, tables: Tables) -> PrintedTable:
    """Recall and false positives by volume of one model."""
    rows = []
    for group in (*ROWS[6:], *ROWS[:6]):
        shown = {name: b for name, b in model.by_volume[group].items() if b.n or b.FP}
        for number, (name, b) in enumerate(shown.items()):
            cells = (
                *(group if number == 0 else "", name, str(b.n), str(b.TP), str(b.FL), str(b.FN)),
                with_interval(b.recall, b.intervals["recall"]),
                with_interval(b.recall_rough, b.intervals["recall_rough"]),
                str(b.FP),
            )
            rows.append(Row(cells, number == 0))
    return PrintedTable(
        f"volume_{slug(key)}",
        of_cohort(f"Recall and false positives by volume: {key}", virtual=tables.virtual),
        "One count per true lesion; FP by found type and volume. Brackets: 95 % interval, bootstrap over patients.",
        (heads("Type", "Volume ml", "True", "TP", "FL", "FN", "Recall %", "Rough recall %", "FP"),),
        tuple(rows),
    )


def by_setting(tables: Tables) -> dict[str, dict[str, ModelTables]]:
    """Models by setting, in their order."""
    groups: dict[str, dict[str, ModelTables]] = {}
    for key, model in tables.models.items():
        groups.setdefault(model.setting, {})[key] = model
    return groups


def _side_by_side(setting: str, models: Mapping[str, ModelTables], tables: Tables) -> PrintedTable:
    columns = ("FN", "FP", "Precision", "Recall")
    rows: list[Row] = []
    for name in (*ROWS, _CORRECTED):
        cells = [cell for model in models.values() for cell in _side_cells(name, model.lesion.paper)]
        rows.append(Row((name, *cells), name == ALL))
    of_setting = f", {setting}" if setting else ""
    return PrintedTable(
        f"table_2_{slug(setting)}" if setting else "table_2",
        of_cohort(f"Tables II, III. Lesions by type and model{of_setting}", virtual=tables.virtual),
        f"Percent. {_RULE}",
        (
            heads("", *((model.title, len(columns)) for model in models.values())),
            heads("Type", *(columns * len(models))),
        ),
        tuple(rows),
    )


def _side_cells(name: str, table: LesionTable) -> tuple[str, ...]:
    if name == _CORRECTED:
        return ("", "", percent(table.Malign.precision_corrected), "")
    row = _row(table, name)
    return (str(row.FN), str(row.FP), percent(row.precision), percent(row.recall))


def _table_5_row(name: str, table: LesionTable) -> Row:
    if name == _CORRECTED:
        return Row((name, "", "", "", "", percent(table.Malign.precision_corrected), "", ""))
    row = _row(table, name)
    shares = map(percent, (row.precision, row.recall, row.recall_rough))
    return Row((name, *map(str, (row.FN, row.FP, row.FL, row.TP)), *shares), name == ALL)


def _mode_rows(mode: Counting, table: LesionTable) -> Iterator[Row]:
    yield Row((_MODES[mode], *[""] * 12), True)
    for name in ROWS:
        row = _row(table, name)
        metrics = ("precision", "recall", "recall_rough", "precision_rough", "f1", "type_accuracy")
        shares = [with_interval(getattr(row, f), row.intervals[f]) for f in metrics]
        rate = NONE if row.fp_per_case is None else f"{row.fp_per_case:.2f}"
        yield Row((name, *map(str, (row.TP, row.FL, row.FL_pred, row.FN, row.FP)), *shares, rate))
    malign = table.Malign
    corrected = with_interval(malign.precision_corrected, malign.intervals["precision_corrected"])
    yield Row((_CORRECTED, *[""] * 5, corrected, *[""] * 6))


def _row(table: LesionTable, name: str) -> LesionRow | MalignRow:
    return getattr(table, name)
