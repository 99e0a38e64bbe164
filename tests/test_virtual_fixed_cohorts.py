"""Fixed cohorts: disjoint seeds, sizes of the paper, and the command that makes them."""

import json

import typer
from typer.testing import CliRunner

from livercascade.cli.virtual import virtual
from livercascade.virtual.fixed_cohorts import USED_BEFORE, CohortPart, cohorts
from livercascade.virtual.patient_folders import case_name
from livercascade.virtual.virtual_settings import CaseMix


def run(*options):
    app = typer.Typer()
    app.command()(virtual)
    return CliRunner().invoke(app, [*options, "--matrix", "64", "--quiet"])


def test_no_seed_serves_twice():
    every = [seed for cohort in cohorts().values() for seed in cohort.seeds]
    assert len(every) == len(set(every))
    assert not set(every) & {seed for used in USED_BEFORE for seed in used}


def test_sizes_are_the_papers():
    for mix in (CaseMix.DIAGNOSIS, CaseMix.SCREENING):
        sizes = {c.part: len(c.seeds) for c in cohorts().values() if c.mix is mix}
        assert sizes[CohortPart.TEST] == 331 and sizes[CohortPart.TRAIN] == 1300 and sizes[CohortPart.VALIDATION] == 300


def test_the_old_name_of_the_screening_mix_is_understood():
    assert CaseMix("screening") is CaseMix.SCREENING


def test_the_command_makes_part_of_a_cohort(tmp_path):
    result = run("--cohort", "screening-population-validation", "--cases", "1", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    first = cohorts()["screening-population-validation"].seeds[0]
    record = json.loads((tmp_path / case_name(first) / "virtual.json").read_text())
    assert record["settings"]["mix"] == "screening-population" and record["seed"] == first


def test_the_command_refuses_what_does_not_go_together(tmp_path):
    out = ("--out", str(tmp_path))
    for options in (
        ("--cohort", "diagnosis-tset"),
        ("--cohort", "diagnosis-test", "--seed", "3"),
        ("--cohort", "diagnosis-test", "--mix", "training"),
        ("--cohort", "diagnosis-test", "--cases", "332"),
    ):
        assert run(*options, *out).exit_code == 2
