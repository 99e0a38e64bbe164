"""The page of a simulated reproduction: claims that the simulation makes true hold, and everything is on one file."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from livercascade.evaluation.evaluation import Evaluation, summarise
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.plots.draw_all import Figures
from livercascade.reproduce.ablation import ORDER, ablation_table
from livercascade.reproduce.beyond import beyond_sections
from livercascade.reproduce.claims import read_claims
from livercascade.reproduce.markdown import claims_markdown
from livercascade.reproduce.measure import Ground
from livercascade.reproduce.page import PageParts, measured, render
from livercascade.reproduce.predicting import WITH, WITHOUT
from livercascade.reproduce.run import ground_of
from livercascade.reproduce.settings import Preset, read_preset
from livercascade.reproduce.verdict import JudgedClaim, Statement, judge_claims
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


@pytest.fixture(scope="module")
def told() -> tuple[Evaluation, Ground, tuple[JudgedClaim, ...]]:
    judged = simulated(150, 6)
    made = summarise(judged.cohort, judged.cases, judged.models, judged.joints, SETTINGS)
    ground = ground_of(judged, made)
    return made, ground, judge_claims(read_claims(), ground)


def test_what_the_simulation_makes_true_holds(told: tuple[Evaluation, Ground, tuple[JudgedClaim, ...]]) -> None:
    statements = {each.claim.id: each.statement for each in told[2]}
    assert {statements[name] for name in TRUE_BY_MAKE} == {Statement.HOLDS}
    # Its models are far from 99 %.
    assert statements["high-recls-diagnosis"] is Statement.FAILS


def test_without_a_twin_shuffling_is_judged_by_the_network_of_the_cascade() -> None:
    judged = simulated(30, 6, (WITH, WITHOUT))
    made = summarise(judged.cohort, judged.cases, judged.models, judged.joints, SETTINGS)
    ground = ground_of(judged, made)
    assert ground.answers["diagnosis/Base+ReCls w/ LS"] is ground.answers["diagnosis/Base+ReCls"]
    assert not any("w/ LS" in row.cells[0] for row in ablation_table(made.tables, ground).rows)


def test_ablation_counts_are_those_of_the_tables(told: tuple[Evaluation, Ground, tuple[JudgedClaim, ...]]) -> None:
    made, ground, _ = told
    rows = [row.cells for row in ablation_table(made.tables, ground).rows if any(row.cells[1:])]
    assert len(rows) == 2 * len(ORDER)
    base = made.tables.models["diagnosis/Base"].lesion.paper.All
    assert (rows[0][1], rows[0][3]) == (str(base.FN), str(base.FP))


def test_the_summary_says_of_every_claim_what_the_page_says(
    told: tuple[Evaluation, Ground, tuple[JudgedClaim, ...]],
) -> None:
    made, ground, claims = told
    lines = claims_markdown("a test", claims, ablation_table(made.tables, ground), ["a note"]).splitlines()
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


def test_the_page_is_whole_and_needs_nothing_else(told: tuple[Evaluation, Ground, tuple[JudgedClaim, ...]]) -> None:
    made, ground, claims = told
    page = render(
        PageParts(
            "a <simulation>",
            made.tables,
            claims,
            ablation_table(made.tables, ground),
            beyond_sections(ground, virtual=True),
            Figures((), ()),
            {"whole": "a" * 64},
            [],
            read_preset(Preset.CI).model_dump(mode="json"),
            ["a note"],
        )
    )
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert "a &lt;simulation&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    for each in claims:
        assert f'id="claim-{each.claim.id}"' in page
    assert page.count("Virtual patients") == 1
