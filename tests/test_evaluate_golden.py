"""The paper's printed tables from its reconstructed counts, through the code that makes ours.

``paper_tables.json`` holds, for the eight columns of Tables II and III and for Table V, the counts TP, FL, FL by found
type, FN, FP of each type (the only integers that fit the printed cells), the malignant lesions called by another
malignant type, and the cells as printed: FN, FP, precision, recall and, for Table V, rough recall.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from livercascade.evaluation.metrics.lesion_metrics import ROWS, LesionMetrics, Proportion, ratio
from livercascade.evaluation.output.number_text import percent

HERE = Path(__file__).parent
COLUMNS = json.loads((HERE / "paper_tables.json").read_text())
TYPES = ROWS[:6]
TEXT = "the text's formulas"
USED = "the formulas used"


def confusion_of(column):
    """A table of types with the column's counts: off the diagonal, whole numbers with the known sums."""
    counts = np.array([column["counts"][t] for t in TYPES])
    cells = [(i, j) for i in range(6) for j in range(6) if i != j]
    sums = [[float(i == k) for i, _ in cells] for k in range(6)] + [[float(j == k) for _, j in cells] for k in range(6)]
    malignant = [float(i < 3 and j < 3) for i, j in cells]
    wanted = [*counts[:, 1], *counts[:, 2], column["malignant_to_other_malignant"]]
    found = milp(
        np.zeros(len(cells)),
        integrality=np.ones(len(cells)),
        bounds=Bounds(0, np.inf),
        constraints=LinearConstraint(np.array([*sums, malignant]), wanted, wanted),
    )
    assert found.success
    table = np.zeros((7, 7), dtype=np.int64)
    for (i, j), n in zip(cells, np.rint(found.x), strict=True):
        table[i, j] = int(n)
    np.fill_diagonal(table[:6, :6], counts[:, 0])
    table[:6, 6], table[6, :6] = counts[:, 3], counts[:, 4]
    return table


def cells(name):
    """Row, printed texts and our texts of every cell of a column."""
    column = COLUMNS[name]
    figures = LesionMetrics.of(confusion_of(column))
    shares = [figures.share(p) for p in (Proportion.PRECISION, Proportion.RECALL, Proportion.RECALL_ROUGH)]
    for k, row in enumerate(ROWS):
        fn, fp, *printed = column["printed"][row]
        ours = [percent(float(s[k])) for s in shares[: len(printed)]]
        yield row, (fn, fp), (int(figures.fn[k]), int(figures.fp[k])), [f"{p:.1f}" for p in printed], ours


@pytest.mark.parametrize("name", COLUMNS)
def test_every_cell_comes_out_as_published(name):
    compared = 0
    for row, printed_counts, counts, printed, ours in cells(name):
        print(f"{name:>10} {row:>6}  printed {printed}  ours {ours}")
        assert counts == printed_counts, row
        assert ours == printed, row
        compared += len(printed)
    assert compared == (24 if name == "V" else 16)


def test_there_are_152_cells():
    assert sum(len(printed) for name in COLUMNS for *_, printed, _ in cells(name)) == 8 * 16 + 24


@pytest.mark.parametrize(
    ("column", "corrected"),
    [
        *(("II/Base", "88.9"), ("II/noLS", "92.9"), ("II/B+R", "91.4"), ("II/H+R", "89.5"), ("V", "90.2")),
        *(("III/Base", "85.0"), ("III/noLS", "92.0"), ("III/B+R", "90.4"), ("III/H+R", "85.5")),
    ],
)
def test_malign_precision_with_benign_called_malignant(column, corrected):
    figures = LesionMetrics.of(confusion_of(COLUMNS[column]))
    assert percent(float(figures.share(Proportion.PRECISION_CORRECTED)[ROWS.index("Malign")])) == corrected


def matches():
    """Cells that come out as printed, by table and figure: of all, by the text's formulas, by the formulas used."""
    found = {}
    for name, column in COLUMNS.items():
        f = LesionMetrics.of(confusion_of(column))
        ways = {
            "recall": (ratio(f.tp, f.tp + f.fn), f.share(Proportion.RECALL)),
            "precision": (ratio(f.tp, f.tp + f.fp), f.share(Proportion.PRECISION)),
        }
        for figure, (text, used) in ways.items():
            place = 3 if figure == "recall" else 2
            printed = [f"{column['printed'][row][place]:.1f}" for row in ROWS]
            total = found.setdefault((name.split("/")[0], figure), [0, 0, 0])
            for k, way in enumerate((printed, [percent(float(v)) for v in text], [percent(float(v)) for v in used])):
                total[k] += sum(a == b for a, b in zip(printed, way, strict=True))
    return found


def test_table_5_in_the_document_is_what_the_code_gives():
    document = (HERE.parent / "docs" / "paper.md").read_text()
    column = COLUMNS["V"]
    f = LesionMetrics.of(confusion_of(column))
    for k, row in enumerate(ROWS):
        counts = [int(n[k]) for n in (f.tp, f.fl, f.fl_pred, f.fn, f.fp)]
        printed = f"{column['printed'][row][3]:.1f}, {column['printed'][row][2]:.1f}"
        text = ", ".join(percent(float(v[k])) for v in (ratio(f.tp, f.tp + f.fn), ratio(f.tp, f.tp + f.fp)))
        used = ", ".join(percent(float(f.share(p)[k])) for p in (Proportion.RECALL, Proportion.PRECISION))
        assert f"| {row} | {' | '.join(map(str, counts))} | {printed} | {text} | {used} |" in document


def test_the_texts_own_formulas_do_not_reproduce_the_cells():
    """docs/paper.md holds exactly what this prints."""
    document = (HERE.parent / "docs" / "paper.md").read_text()
    for (table, figure), (cells_, text, used) in matches().items():
        line = f"| {table} | {figure} | {cells_} | {text} | {used} |"
        print(line)
        assert used == cells_
        assert text < cells_ / 2
        assert line in document
