"""Phases that people name: one by one, and by a site's rules."""

import pytest
from typer.testing import CliRunner

from livercascade.cli.main import app
from livercascade.data.errors import UsageError
from livercascade.data.labels import Phase
from livercascade.io.phase_naming import NamedSeries, PhaseNaming
from livercascade.io.study_reader import read_study
from livercascade.testing.ct_series import CtSeries

SERIES = [
    NamedSeries("series 2", "1.2.3", ("Leber nativ", "Abdomen")),
    NamedSeries("series 3 part 1", "1.2.4", ("Leber art/ven", "Abdomen")),
    NamedSeries("series 3 part 2", "1.2.4", ("Leber art/ven", "Abdomen")),
    NamedSeries("series 40", "1.2.5", ("Leber SP3", "Abdomen")),
]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("AP=2", 0),
        ("AP=series 2", 0),
        ("ap = Series 40", 3),
        ("AP=1.2.5", 3),
        ("AP=leber sp3", 3),
        ("AP=3 part 2", 2),
        ("AP=series 3 part 1", 1),
    ],
)
def test_a_series_by_number_uid_or_description(text, place):
    assert PhaseNaming.of([text]).phases_of(SERIES) == {place: Phase.AP}


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (["AP"], "BAD_PHASE_NAME"),
        (["XX=2"], "BAD_PHASE_NAME"),
        (["AP="], "BAD_PHASE_NAME"),
        (["AP=4"], "SERIES_NOT_FOUND"),
        (["AP=3"], "SERIES_AMBIGUOUS"),
        (["AP=1.2.4"], "SERIES_AMBIGUOUS"),
        (["AP=Abdomen"], "SERIES_AMBIGUOUS"),
        (["AP=2", "AP=40"], "PHASE_NAMED_TWICE"),
        (["AP=2", "VP=2"], "PHASE_NAMED_TWICE"),
    ],
)
def test_what_cannot_be_meant_is_refused(texts, code):
    with pytest.raises(UsageError) as caught:
        PhaseNaming.of(texts).phases_of(SERIES)
    assert caught.value.code == code and caught.value.exit_code == 2


def test_rules_are_tried_in_order_and_give_way_to_names(tmp_path):
    rules = tmp_path / "phases.toml"
    rules.write_text('[phases]\n"sp3" = "DP"\n"NATIV$" = "NC"\n"leber" = "none"\n')
    naming = PhaseNaming.of([], rules)
    assert naming.phases_of(SERIES) == {0: Phase.NC, 1: None, 2: None, 3: Phase.DP}
    named = PhaseNaming.of(["DP=3 part 2", "none=2"], rules)
    assert named.phases_of(SERIES) == {0: None, 1: None, 2: Phase.DP}


@pytest.mark.parametrize(
    "text", ["", "[phases", '"a" = "AP"', '[phases]\n"a" = "XX"', '[phases]\n"(" = "AP"', "[phases]\na = 1", "[a]\n"]
)
def test_rules_that_cannot_be_used_are_refused(tmp_path, text):
    (tmp_path / "phases.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        PhaseNaming.of([], tmp_path / "phases.toml")
    assert caught.value.code == "BAD_PHASE_RULES"
    with pytest.raises(UsageError):
        PhaseNaming.of([], tmp_path / "absent.toml")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two series that nothing tells apart: no words, no times, no organs."""
    folder = tmp_path_factory.mktemp("study")
    for number in (3, 7):
        series = CtSeries(number=number, uid=f"1.2.3.4.{number}", description=f"scan {number}", noise_hu=number)
        series.write(folder / str(number))
    return folder


def test_a_named_series_is_taken_and_the_other_is_not_guessed(study):
    found = read_study(study, naming=PhaseNaming.of(["VP=series 7", "NC=scan 3"]))
    assert [(v.phase, v.description, v.source, v.confidence) for v in found.volumes] == [
        (Phase.NC, "series 3", "user", 1.0),
        (Phase.VP, "series 7", "user", 1.0),
    ]
    alone = read_study(study, naming=PhaseNaming.of(["VP=series 7"]))
    assert [v.phase for v in alone.volumes] == [Phase.VP] and all(v.known for v in alone.volumes)
    assert ("series 3", "PHASE_UNKNOWN") in [(u.name, u.code) for u in alone.unused]
    assert any(n.code == "PHASE_UNKNOWN" and "series 3" in n.message for n in alone.warnings)
    out = read_study(study, naming=PhaseNaming.of(["VP=7", "none=3"]))
    assert ("series 3", "LEFT_OUT") in [(u.name, u.code) for u in out.unused]


def test_the_command_line_names_and_explains(study, tmp_path):
    run = CliRunner().invoke
    told = run(app, ["check", str(study), "--phase", "AP=7", "--explain"])
    assert told.exit_code == 0 and "Words" in told.output and "PHASE_UNKNOWN" in told.output
    wrong = run(app, ["check", str(study), "--phase", "AP=9"])
    assert wrong.exit_code == 2 and "SERIES_NOT_FOUND" in wrong.output
    done = run(app, ["convert", str(study), "--phase", "DP=3", "--phase", "AP=7", "--out", str(tmp_path / "out")])
    assert (
        done.exit_code == 0
        and (tmp_path / "out" / "dp.nii.gz").is_file()
        and (tmp_path / "out" / "ap.nii.gz").is_file()
    )
