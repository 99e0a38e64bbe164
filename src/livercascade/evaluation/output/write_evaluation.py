"""The output folder: tables.json, sheets, LaTeX, figures and the page, written aside and renamed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from livercascade.evaluation.evaluation import Evaluation
from livercascade.evaluation.output.html_page import render_page, sections
from livercascade.evaluation.output.latex_tables import latex_table
from livercascade.evaluation.output.tidy_tables import sheets
from livercascade.evaluation.plots.picture import NotDrawn, Picture
from livercascade.system.manifest import new_result_folder

PAGE, TABLES = "evaluation.html", "tables.json"


def write_evaluation(
    evaluation: Evaluation, out: Path, pictures: Sequence[Picture] = (), missing: Sequence[NotDrawn] = ()
) -> None:
    """Write everything; all of it appears at ``out`` or nothing does.

    Files: ``tables.json``, ``evaluation.html``, ``csv/*.csv``, ``latex/*.tex``, ``figures/*.svg`` and ``*.png``.

    Raises:
        OutputError: ``OUT_TAKEN``, ``NO_SPACE`` or ``CANNOT_WRITE``.
    """
    tables = evaluation.tables
    with new_result_folder(out) as folder:
        (folder / TABLES).write_text(tables.to_json(), encoding="utf-8")
        (folder / PAGE).write_text(render_page(tables, pictures, missing), encoding="utf-8")
        csv, latex, figures = (folder / name for name in ("csv", "latex", "figures"))
        csv.mkdir()
        for name, sheet in sheets(tables, evaluation.cases, evaluation.answers).items():
            sheet.to_csv(csv / f"{name}.csv", index=False)
        latex.mkdir()
        for table in (table for section in sections(tables) for table in section.tables):
            (latex / f"{table.name}.tex").write_text(latex_table(table), encoding="utf-8")
        if pictures:
            figures.mkdir()
        for picture in pictures:
            for ending, data in (("svg", picture.svg), ("png", picture.png)):
                if data is not None:
                    (figures / f"{picture.name}.{ending}").write_bytes(data)
