"""What is written: the published schema, sheets, LaTeX, the page; nothing that needs a network, nothing unescaped."""

import json
import re
import xml.dom.minidom
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

from evaluation_cohort import write_cohort
from livercascade.evaluation.cohort.cohort_files import find_cohort
from livercascade.evaluation.evaluation import evaluate_cohort
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.output.figure_files import DrawnFigure, Figures
from livercascade.evaluation.output.html_page import render_page, sections
from livercascade.evaluation.output.number_text import percent
from livercascade.evaluation.output.printed_table import latex_table
from livercascade.evaluation.output.tables_json import Tables, schema_text
from livercascade.system.manifest import verify

PUBLISHED = Path(__file__).parent.parent / "docs" / "tables.schema.json"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0L9 9"/></svg>'
FIGURES = Figures((DrawnFigure("figure_11", "Figure 11 & more", "What <is> seen.", svg=SVG),), {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("cohort")
    truth, found, _ = write_cohort(folder)
    (truth / "virtual.json").write_text("{}")
    cohort = find_cohort(truth, [("NC/a <b> & c", found), ("NC/truth", truth)])
    return evaluate_cohort(cohort, EvaluationSettings(bootstrap=50), joint=["NC/Joint=NC/truth,NC/a <b> & c"])


@pytest.fixture(scope="module")
def out(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "evaluation"
    made.save(folder, FIGURES)
    return folder


def test_published_schema_is_the_models_schema() -> None:
    assert PUBLISHED.read_text() == schema_text()


def test_tables_fit_the_schema_and_come_back(out: Path, made) -> None:
    text = (out / "tables.json").read_text()
    jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text())).validate(json.loads(text))
    assert Tables.model_validate_json(text) == made.tables
    assert "NaN" not in text


def test_keys_that_scripts_rest_on(out: Path) -> None:
    tables = json.loads((out / "tables.json").read_text())
    rows = {"HCC", "ICC", "Meta", "Hem", "Other", "Cyst", "All", "Malign"}
    for model in tables["models"].values():
        assert {"cases", "lesion", "patient", "table1"} <= set(model)
        assert set(model["lesion"]) == {"paper", "gt", "one2one"}
        for mode in model["lesion"].values():
            assert set(mode) == rows
            for name, row in mode.items():
                assert {"TP", "FL", "FL_pred", "FN", "FP", "precision", "recall", "recall_rough"} <= set(row)
                assert ("precision_corrected" in row) == (name == "Malign")
                assert all(row[k] is None or 0 <= row[k] <= 1 for k in ("precision", "recall", "recall_rough"))
        assert {"accuracy", "sensitivity", "specificity", "n_malignant", "n_other"} <= set(model["patient"])
        assert set(model["table1"]) == rows


def test_folder_is_sealed_and_holds_everything(out: Path) -> None:
    assert verify(out)
    assert {p.name for p in out.iterdir()} == {
        "tables.json",
        "evaluation.html",
        "csv",
        "latex",
        "figures",
        "manifest.json",
    }
    assert (out / "figures" / "figure_11.svg").read_bytes() == SVG


def test_sheets_hold_the_numbers_of_the_tables(out: Path, made) -> None:
    lesions = pd.read_csv(out / "csv" / "lesions.csv")
    assert len(lesions) == 3 * 3 * 8
    for _, row in lesions.iterrows():
        model = made.tables.models[row["model"]]
        record = getattr(getattr(model.lesion, row["counting"]), row["type"])
        assert row["TP"] == record.TP
        assert (row["recall"] == record.recall) or (pd.isna(row["recall"]) and record.recall is None)
    cases = pd.read_csv(out / "csv" / "cases.csv")
    assert list(cases["case"]) == [case.case_id for case in made.cases]
    assert cases["NC/truth: TP"].sum() == made.tables.models["NC/truth"].lesion.paper.All.TP
    assert set(pd.read_csv(out / "csv" / "comparisons.csv")["figure"]) >= {"recall", "sensitivity", "AUROC"}


class _Page(HTMLParser):
    """Counts what is open, and keeps addresses and titles."""

    VOID = frozenset({"meta", "img", "br", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        values = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]
        self.ids += [values["id"]] if "id" in values else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_needs_no_network_and_says_virtual(out: Path, made) -> None:
    text = (out / "evaluation.html").read_text()
    page = _Page()
    page.feed(text)
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert all(a.startswith(("data:image/svg+xml;base64,", "#")) for a in page.addresses)
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    assert "<script" not in text and "@import" not in text
    assert "a &lt;b&gt; &amp; c" in text and "a <b>" not in text
    assert "What &lt;is&gt; seen." in text
    titles = re.findall(r"<h3>(.*?)</h3>", text)
    tables = [t for s in sections(made.tables) for t in s.tables]
    assert sum("(virtual patients)" in t for t in titles) == len(tables) > 10
    assert "Virtual patients: simulated images" in text


def test_titles_do_not_say_virtual_for_real_patients(made) -> None:
    real = made.tables.model_copy(update={"virtual": False})
    assert "irtual" not in re.sub(r"<style>.*</style>", "", render_page(real), flags=re.DOTALL)


def test_every_printed_table_is_a_rectangle_and_its_latex_too(made) -> None:
    for table in (t for s in sections(made.tables) for t in s.tables):
        width = {sum(span for _, span in row) for row in table.head} | {len(row.cells) for row in table.rows}
        assert len(width) == 1, table.name
        latex = latex_table(table)
        body = [line for line in latex.splitlines() if line.endswith(r" \\") and "multicolumn" not in line]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {next(iter(width)) - 1}
        assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1
        assert not re.search(r"(?<!\\)[%_#](?!$)", latex.split(r"\begin{tabular}")[1].split(r"\toprule")[1]), table.name


def test_percent_rounds_half_up_as_the_paper() -> None:
    assert percent(385 / 400) == "96.3"
    assert percent(1 / 3) == "33.3" and percent(2 / 3) == "66.7"
    assert percent(0.0005) == "0.1" and percent(1.0) == "100.0"
    for whole in range(1, 120):
        for part in range(whole + 1):
            assert percent(part / whole) == f"{(2000 * part + whole) // (2 * whole) / 10:.1f}"


def test_svg_keeps_its_drawing(out: Path) -> None:
    xml.dom.minidom.parseString((out / "figures" / "figure_11.svg").read_bytes())
    with pytest.raises(ValueError, match="neither"):
        DrawnFigure("x", "x", "x")
