"""Every counting mode on a cohort whose answers were written by hand, through the command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation_cohort import write_cohort
from livercascade.cli.main import app

TYPES = ("HCC", "ICC", "Meta", "Hem", "Other", "Cyst", "All", "Malign")
# TP, FL, FL_pred, FN, FP of every row that is not all zero.
DROP = {
    # a: two findings in one HCC are two TP. b: one finding over two Meta is one TP. d: HCC over HCC and Cyst is one TP,
    # and no Cyst is missed. e: the Hem below the limit is gone, what was found there is false; the Cyst was found too
    # small.
    "paper": {
        "HCC": (3, 0, 1, 0, 0),
        "ICC": (0, 1, 0, 0, 0),
        "Meta": (1, 0, 0, 0, 0),
        "Hem": (0, 0, 0, 0, 1),
        "Other": (0, 0, 0, 0, 1),
        "Cyst": (0, 0, 0, 1, 0),
        "All": (4, 1, 1, 1, 2),
        "Malign": (5, 0, 0, 0, 0),
    },
    "gt": {
        "HCC": (2, 0, 2, 0, 0),
        "ICC": (0, 1, 0, 0, 0),
        "Meta": (2, 0, 0, 0, 0),
        "Hem": (0, 0, 0, 0, 1),
        "Other": (0, 0, 0, 0, 1),
        "Cyst": (0, 1, 0, 1, 0),
        "All": (4, 2, 2, 1, 2),
        "Malign": (5, 0, 1, 0, 0),
    },
    # a: the second finding is false. b: the second Meta is missed. d: the larger overlap, HCC, is the pair.
    "one2one": {
        "HCC": (2, 0, 1, 0, 1),
        "ICC": (0, 1, 0, 0, 0),
        "Meta": (1, 0, 0, 1, 0),
        "Hem": (0, 0, 0, 0, 1),
        "Other": (0, 0, 0, 0, 1),
        "Cyst": (0, 0, 0, 2, 0),
        "All": (3, 1, 1, 3, 3),
        "Malign": (4, 0, 0, 1, 1),
    },
}


def run(tmp_path: Path, *options: str) -> dict:
    truth, found, _ = write_cohort(tmp_path)
    out = tmp_path / "out"
    words = [
        "evaluate",
        "--truth",
        str(truth),
        "--found",
        f"M={found}",
        "--out",
        str(out),
        "--bootstrap",
        "50",
        "--quiet",
        "--no-figures",
        "--instances",
        "per-label",
    ]
    result = CliRunner().invoke(app, [*words, *options])
    assert result.exit_code == 0, result.output
    return json.loads((out / "tables.json").read_text())["models"]["M"]


def counts(model: dict, mode: str) -> dict[str, tuple[int, ...]]:
    return {t: tuple(model["lesion"][mode][t][n] for n in ("TP", "FL", "FL_pred", "FN", "FP")) for t in TYPES}


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return run(tmp_path_factory.mktemp("cohort"))


@pytest.mark.parametrize("mode", DROP)
def test_counts_of_every_mode(dropped: dict, mode: str) -> None:
    assert counts(dropped, mode) == DROP[mode]


def test_proportions(dropped: dict) -> None:
    paper, gt, one = (dropped["lesion"][mode] for mode in DROP)
    assert (paper["All"]["recall"], paper["All"]["precision"], paper["All"]["recall_rough"]) == (4 / 6, 4 / 7, 5 / 6)
    assert paper["HCC"]["precision"] == 3 / 4
    assert paper["Hem"]["recall"] is None and paper["Hem"]["precision"] == 0
    assert paper["Other"]["recall_rough"] is None
    assert gt["Malign"]["precision"] == 1 and gt["Malign"]["precision_corrected"] == 5 / 6
    assert one["Malign"]["recall"] == 4 / 5
    assert "precision_corrected" not in paper["All"]


def test_table_of_types_with_missed_and_spurious(dropped: dict) -> None:
    assert dropped["confusion"]["paper"] == [
        [3, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1, 0, 0],
    ]
    assert dropped["confusion"]["gt"][5] == [1, 0, 0, 0, 0, 0, 1]
    # a; b and d.
    assert (dropped["splits"], dropped["merges"]) == (1, 2)


def test_patients_and_volumes(dropped: dict) -> None:
    patient = dropped["patient"]
    assert dropped["cases"] == 7
    # Right: a, b, d, f. c is an ICC called HCC, e a Cyst called Hem, g is normal and called Other.
    assert patient["accuracy"] == 4 / 7
    assert (patient["n_malignant"], patient["n_other"]) == (4, 3)
    assert patient["sensitivity"] == patient["specificity"] == patient["auroc"] == 1
    assert {t: bins["0.5-2"] for t, bins in dropped["table1"].items()} == {
        "HCC": 2, "ICC": 1, "Meta": 2, "Hem": 0, "Other": 0, "Cyst": 2, "All": 7, "Malign": 5,
    }  # fmt: skip
    assert all(sum(bins.values()) == bins["0.5-2"] for bins in dropped["table1"].values())
    assert list(dropped["table1"]["All"]) == ["0.5-2", "2-4", "4-8", "8-16", "16-64", ">64"]


def test_small_lesions_ignored_excuse_their_partners(tmp_path: Path) -> None:
    model = run(tmp_path, "--small", "ignore")
    # e leaves every count: the Hem found over a small one is not false, the Cyst found too small is not missed.
    assert counts(model, "paper") == DROP["paper"] | {
        "Hem": (0, 0, 0, 0, 0),
        "Cyst": (0, 0, 0, 0, 0),
        "All": (4, 1, 1, 0, 1),
    }


def test_findings_where_the_truth_was_not_read_do_not_count(tmp_path: Path) -> None:
    model = run(tmp_path, "--coverage", str(tmp_path / "coverage"))
    assert counts(model, "paper") == DROP["paper"] | {"Other": (0, 0, 0, 0, 0), "All": (4, 1, 1, 1, 1)}
    assert model["patient"]["accuracy"] == 5 / 7


def test_extras_of_one2one_can_be_ignored(tmp_path: Path) -> None:
    model = run(tmp_path, "--extras", "ignore")
    assert counts(model, "one2one")["HCC"] == (2, 0, 1, 0, 0)
    assert counts(model, "gt") == DROP["gt"]


def test_touching_types_as_one_lesion(tmp_path: Path) -> None:
    model = run(tmp_path, "--instances", "union")
    # d is now one HCC by the majority of its voxels.
    assert counts(model, "gt")["HCC"] == (2, 0, 1, 0, 0)
    assert counts(model, "gt")["Cyst"] == (0, 0, 0, 1, 0)


def test_least_overlap(tmp_path: Path) -> None:
    model = run(tmp_path, "--min-overlap", "0.5", "--overlap", "iou")
    # a: 4 of 10; b: 4 of 10; c: all; d: 7 of 12 for HCC.
    assert counts(model, "paper")["HCC"] == (1, 0, 1, 1, 2)
    assert counts(model, "paper")["Meta"] == (0, 0, 0, 2, 1)


def test_no_lower_limit(tmp_path: Path) -> None:
    model = run(tmp_path, "--min-volume-ml", "0")
    assert counts(model, "paper")["Hem"] == (1, 0, 0, 0, 0)
    assert counts(model, "paper")["Cyst"] == (1, 0, 0, 0, 0)
    assert model["table1"]["Hem"]["<0.5"] == 1
