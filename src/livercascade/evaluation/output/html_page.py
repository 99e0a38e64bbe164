"""The evaluation as one HTML page that needs no network, reads top to bottom and prints."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from livercascade.evaluation.output.abstention_tables import abstention_tables
from livercascade.evaluation.output.figure_files import NO_FIGURES, DrawnFigure, Figures
from livercascade.evaluation.output.lesion_tables import (
    confusion_table,
    full_table,
    table_1,
    table_5,
    tables_2_3,
    volume_table,
)
from livercascade.evaluation.output.number_text import percent, percent_interval
from livercascade.evaluation.output.patient_tables import (
    class_table,
    comparison_tables,
    distribution_table,
    joint_models,
    joint_table,
    patients_table,
    predictive_table,
    table_4,
)
from livercascade.evaluation.output.printed_table import PrintedTable
from livercascade.evaluation.output.tables_json import Tables

_SCALABLE = re.compile(rb"<svg\b.*</svg>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """Part of the page: a heading, a sentence on what it answers, tables."""

    name: str
    title: str
    lead: str
    tables: tuple[PrintedTable, ...]


def sections(tables: Tables) -> tuple[Section, ...]:
    """Every printed table, in reading order."""
    models = tables.models.items()
    joints = joint_models(tables)
    patient = (table_4(tables), joint_table(tables), *(distribution_table(k, m, tables) for k, m in joints))
    made = (
        Section("truth", "What there was to find", "", (table_1(tables),)),
        Section(
            "lesions",
            "Lesions",
            "How many lesions each model finds, types and invents.",
            (*tables_2_3(tables), *table_5(tables)),
        ),
        Section(
            "patients",
            "Patients",
            "What follows for the patient: malignant or not, and which class.",
            (*(t for t in patient if t is not None), patients_table(tables), predictive_table(tables)),
        ),
        Section(
            "abstention",
            "Probabilities and abstention",
            "Whether calibrated probabilities mean what they say, and what abstention with controlled error decides.",
            tuple(abstention_tables(tables)),
        ),
        Section(
            "differences",
            "Differences between models",
            "Which differences are larger than chance on these patients.",
            tuple(comparison_tables(tables)),
        ),
        Section(
            "volumes",
            "By volume",
            "Small lesions are the hard ones.",
            tuple(volume_table(k, m, tables) for k, m in models),
        ),
        Section(
            "counting",
            "Counting modes in full",
            "The same lesions counted in three ways: figures that hold in one mode alone are not robust.",
            tuple(full_table(k, m, tables) for k, m in models),
        ),
        Section(
            "confusion",
            "What is taken for what",
            "",
            tuple(t for k, m in models for t in (confusion_table(k, m, tables), class_table(k, m, tables))),
        ),
    )
    return _named_apart([section for section in made if section.tables])


def _named_apart(made: Sequence[Section]) -> tuple[Section, ...]:
    """The sections with a number behind a table's name that stood before: ``A b`` and ``A-b`` are two models."""
    taken: Counter[str] = Counter()
    parts: list[Section] = []
    for section in made:
        tables: list[PrintedTable] = []
        for table in section.tables:
            taken[table.name] += 1
            count = taken[table.name]
            tables.append(table if count == 1 else replace(table, name=f"{table.name}-{count}"))
        parts.append(replace(section, tables=tuple(tables)))
    return tuple(parts)


def render_page(tables: Tables, figures: Figures = NO_FIGURES) -> str:
    """HTML page of an evaluation; every text is escaped, every figure inside."""
    return (
        environment("livercascade.evaluation")
        .get_template("evaluation.html.j2")
        .render(
            tables=tables,
            sections=sections(tables),
            pictures=[(figure, inline(figure)) for figure in figures.drawn],
            missing=list(figures.missing.values()),
        )
    )


def environment(*packages: str) -> Environment:
    """Templates of packages, the first that has one of a name; every text is escaped."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=percent, interval=percent_interval)
    return made


def inline(figure: DrawnFigure) -> Markup:
    """The drawing as data of an image element: scripts in it cannot run, its styles stay inside."""
    if figure.svg is not None:
        found = _SCALABLE.search(figure.svg)
        # Without the XML prologue and its link to a DTD, which a data address does not need.
        data, kind = (figure.svg if found is None else found.group()), "svg+xml"
    else:
        data, kind = figure.png or b"", "png"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Markup('<img src="{}" alt="{}">').format(source, figure.alt or figure.title)
