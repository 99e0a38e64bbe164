"""The page of a simulated reproduction: claims that the simulation makes true hold, and everything is on one file."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from livercascade.evaluation.evaluation import Evaluation
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.output.figure_files import Figures
from livercascade.reproduce.claim_metrics import PatientResults, judge_claims
from livercascade.reproduce.claim_results import ClaimResult, Statement
from livercascade.reproduce.claims import read_claims
from livercascade.reproduce.experiment import SHUFFLING_TRIALS, ModelKey, PaperModel, PaperSetting, read_experiment
from livercascade.reproduce.patient_comparison import summarise_patients
from livercascade.reproduce.reproduction_page import claims_markdown, measured, page_html
from livercascade.reproduce.reproduction_tables import ablation_table
from simulated_cohort import simulated

SETTINGS = EvaluationSettings(bootstrap=200)
TRUE_BY_MAKE = {
    "sensitivity-finds-missed",
    "sensitivity-trade",
    "recls-removes-fp",
    "without-shuffling-loses",
    "same-is-reliable",
}
"""Claims whose effect is built into the simulation."""


Simulation = tuple[Evaluation, PatientResults, tuple[ClaimResult, ...]]


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    evaluation, results = summarise_patients(simulated(150, 6), (), dict.fromkeys(SHUFFLING_TRIALS), SETTINGS)
    return evaluation, results, judge_claims(read_claims(), results)


def test_what_the_simulation_makes_true_holds(simulation: Simulation) -> None:
    statements = {each.claim.id: each.statement for each in simulation[2]}
    assert {statements[name] for name in TRUE_BY_MAKE} == {Statement.HOLDS}
    # Its models are far from 99 %.
    assert statements["high-recls-diagnosis"] is Statement.FAILS


def test_without_a_twin_shuffling_is_judged_by_the_network_of_the_cascade() -> None:
    evaluation, results = summarise_patients(simulated(30, 6), (), {PaperModel.WITHOUT_LS: None}, SETTINGS)
    twin, own = (
        results.predictions[ModelKey(PaperSetting.DIAGNOSIS, model)]
        for model in (PaperModel.WITH_LS, PaperModel.BASE_RECLS)
    )
    assert twin is own
    assert not any("w/ LS" in row.cells[0] for row in ablation_table(evaluation.tables, results).rows)


def test_ablation_counts_are_those_of_the_tables(simulation: Simulation) -> None:
    evaluation, results, _ = simulation
    rows = [row.cells for row in ablation_table(evaluation.tables, results).rows if any(row.cells[1:])]
    assert len(rows) == len(PaperSetting) * len(PaperModel)
    base = evaluation.tables.models["diagnosis/Base"].lesion.paper.All
    assert (rows[0][1], rows[0][3]) == (str(base.FN), str(base.FP))


def test_the_summary_says_of_every_claim_what_the_page_says(simulation: Simulation) -> None:
    evaluation, results, claims = simulation
    ablation = ablation_table(evaluation.tables, results)
    lines = claims_markdown("a test", claims, ablation, ["a note"]).splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    widths = {len(row) for row in rows}
    assert widths == {3, 11}
    said = {row[1]: row[0].removeprefix("| ") for row in rows if len(row) == 3 and row[1] != "claim"}
    assert said == {each.claim.title: each.statement.value for each in claims}
    assert all(measured(part) in "".join(lines) for each in claims for part in each.parts)


class _Balance(HTMLParser):
    """Tags that were opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(simulation: Simulation) -> None:
    evaluation, results, claims = simulation
    page = page_html(
        read_experiment("ci").model_copy(update={"title": "a <simulation>"}),
        evaluation.tables,
        results,
        claims,
        figures=Figures((), {}),
        networks={"whole": "a" * 64},
        steps=[],
        notes=["a note"],
    )
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert "a &lt;simulation&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    for each in claims:
        assert f'id="claim-{each.claim.id}"' in page
    assert page.count("Virtual patients") == 1
