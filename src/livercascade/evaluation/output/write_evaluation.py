"""The output folder: tables.json, CSV, LaTeX, figures and the page, written aside and renamed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.metrics.model_counts import ModelCounts
from livercascade.evaluation.output.figure_files import Figures
from livercascade.evaluation.output.html_page import render_page, sections
from livercascade.evaluation.output.printed_table import latex_table
from livercascade.evaluation.output.tables_json import Tables
from livercascade.evaluation.output.tidy_tables import tidy_tables
from livercascade.system.manifest import new_result_folder

PAGE, TABLES = "evaluation.html", "tables.json"


def write_evaluation(
    out: Path, tables: Tables, cases: Sequence[EvaluatedCase], counts: Sequence[ModelCounts], figures: Figures
) -> None:
    """Write everything; all of it appears at ``out`` or nothing does.

    Files: ``tables.json``, ``evaluation.html``, ``csv/*.csv``, ``latex/*.tex``, ``figures/*.svg`` and ``*.png``.

    Raises:
        OutputError: ``OUT_TAKEN``, ``NO_SPACE`` or ``CANNOT_WRITE``.
    """
    with new_result_folder(out) as folder:
        (folder / TABLES).write_text(tables.to_json(), encoding="utf-8")
        (folder / PAGE).write_text(render_page(tables, figures), encoding="utf-8")
        csv, latex, drawings = (folder / name for name in ("csv", "latex", "figures"))
        csv.mkdir()
        for name, frame in tidy_tables(tables, cases, counts).items():
            frame.to_csv(csv / f"{name}.csv", index=False)
        latex.mkdir()
        # The tables of the page themselves, so that a paper and the page cannot differ.
        for table in (table for section in sections(tables) for table in section.tables):
            (latex / f"{table.name}.tex").write_text(latex_table(table), encoding="utf-8")
        if figures.drawn:
            drawings.mkdir()
        for figure in figures.drawn:
            for ending, data in (("svg", figure.svg), ("png", figure.png)):
                if data is not None:
                    (drawings / f"{figure.name}.{ending}").write_bytes(data)
