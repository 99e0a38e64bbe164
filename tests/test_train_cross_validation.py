"""Folds: every patient in one, the same for everyone, and undisturbed by cases that come later."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livercascade.data.errors import InputError, UsageError
from livercascade.testing.nifti_cases import write_training_case
from livercascade.train.cross_validation import CaseSplit, assign_folds, split_cases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import find_cases

COHORTS = st.dictionaries(st.text("abc0123", min_size=1, max_size=4), st.sampled_from("pqrstuvwxyz"), max_size=30)


@given(patients=COHORTS, count=st.integers(2, 7))
def test_patients_are_whole_folds_are_even_and_order_does_not_matter(patients: dict[str, str], count: int) -> None:
    folds = assign_folds(patients, count=count)
    assert folds == assign_folds(dict(reversed(patients.items())), count=count)
    assert folds.keys() == patients.keys() and set(folds.values()) <= set(range(count))
    of_patient = {(patients[case], fold) for case, fold in folds.items()}
    assert len(of_patient) == len(set(patients.values()))
    sizes = Counter(fold for _, fold in of_patient)
    assert not sizes or max(sizes.values()) - min(sizes[f] for f in range(count)) <= 1


@given(patients=COHORTS, more=COHORTS)
def test_known_cases_stay_where_they_are(patients: dict[str, str], more: dict[str, str]) -> None:
    known = assign_folds(patients)
    folds = assign_folds(more | patients, known)
    assert all(folds[case] == fold for case, fold in known.items())


def test_both_trainings_hold_out_the_same_cases_and_later_ones_change_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(6):
        write_training_case(data / f"c{number}", (4, 16, 16), number)
    one, two = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "patch")
    for folder in (one, two):
        folder.root.mkdir()
    splits = [split_cases(folder, find_cases(data), fold) for folder in (one, two) for fold in range(5)]
    assert splits[:5] == splits[5:]
    held = sorted(name for split in splits[:5] for name in split.validation)
    assert held == [f"c{i}" for i in range(6)]
    for number in range(6, 9):
        write_training_case(data / f"c{number}", (4, 16, 16), number)
    again = [split_cases(one, find_cases(data), fold).validation for fold in range(5)]
    assert all(set(before.validation) <= set(after) for before, after in zip(splits, again, strict=False))
    assert json.loads(one.split.read_text())["validation"] == list(again[4])


def test_a_table_of_patients_keeps_their_cases_together(tmp_path: Path) -> None:
    for number in range(6):
        write_training_case(tmp_path / f"c{number}", (4, 16, 16), number)
    (tmp_path / "patients.csv").write_text("case,patient\nc0,ann\nc5,ann\nc1,bob\n")
    cases = {case.name: case.patient for case in find_cases(tmp_path)}
    assert (cases["c0"], cases["c5"], cases["c2"]) == ("ann", "ann", "c2")
    folds = assign_folds(cases)
    assert folds["c0"] == folds["c5"]
    (tmp_path / "patients.csv").write_text("name\nc0\n")
    with pytest.raises(InputError, match="BAD_PATIENTS"):
        find_cases(tmp_path)


def test_a_fold_that_leaves_nothing_is_refused_and_all_holds_nothing_out(tmp_path: Path) -> None:
    write_training_case(tmp_path / "data" / "only", (4, 16, 16), 0)
    folder = RunFolder(tmp_path)
    with pytest.raises(UsageError, match="TOO_FEW_PATIENTS"):
        split_cases(folder, find_cases(tmp_path / "data"), 0)
    assert split_cases(folder, find_cases(tmp_path / "data"), "all") == CaseSplit(train=("only",), validation=("only",))


def test_a_run_begun_before_there_were_noted_folds_keeps_its_split(tmp_path: Path) -> None:
    for number in range(4):
        write_training_case(tmp_path / "data" / f"c{number}", (4, 16, 16), number)
    folder = RunFolder(tmp_path)
    folder.split.write_text('{"train": ["c1", "c2"], "validation": ["c0"]}')
    assert split_cases(folder, find_cases(tmp_path / "data"), 0) == CaseSplit(train=("c1", "c2"), validation=("c0",))
    assert not folder.folds.exists()
