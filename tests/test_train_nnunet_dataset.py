"""nnU-Net data sets are read as training cases; what their names do not say is asked for, never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import InputError, UsageError
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase, label_name
from livercascade.testing.nifti_cases import write_array
from livercascade.train.training_cases import find_cases, read_arrays

SHAPE = (4, 12, 12)
LABELS = {"background": 0, "Spleen": 1, "tumor": 2, "liver": 3}
SAID = DatasetNames.parse([], ["tumor=ICC"])


def write_dataset(folder: Path, *, channels: dict[str, str] | None = None, **changes: object) -> np.ndarray:
    """Two cases of two phases; returns the stored labels of the first."""
    names = channels or {"0": "portal venous", "1": "CT_arterial_phase"}
    stored = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    for case in ("liver_001", "liver_007"):
        write_array(folder / "labelsTr" / f"{case}.nii.gz", stored)
        for number in names:
            write_array(folder / "imagesTr" / f"{case}_{int(number):04d}.nii.gz", np.full(SHAPE, int(number), np.int16))
    content = {"channel_names": names, "labels": LABELS, "numTraining": 2, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content | changes))
    return stored


def test_channels_and_labels_find_their_meaning(tmp_path: Path) -> None:
    stored = write_dataset(tmp_path)
    cases = find_cases(tmp_path, SAID)
    assert [case.name for case in cases] == ["liver_001", "liver_007"]
    assert cases[0].present.tolist() == [False, True, True, False]
    assert cases[0].phases[Phase.VP].name == "liver_001_0000.nii.gz"
    arrays = read_arrays(cases[0])
    np.testing.assert_array_equal(arrays.labels, np.array([0, 11, 2, 7])[stored])
    assert (arrays.hu[1] == 1).all() and (arrays.hu[2] == 0).all()


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_and_label_is_known_by_our_own_name(phase: Phase) -> None:
    assert DatasetNames().phases({"0": phase.value}) == {0: phase}
    assert DatasetNames().phases({"0": phase.title}) == {0: phase}
    ours = {label_name(value): value for value in range(NUM_CLASSES)}
    assert DatasetNames().values(ours) == {value: value for value in range(NUM_CLASSES)}


def test_what_the_user_says_outweighs_the_name(tmp_path: Path) -> None:
    names = DatasetNames.parse(["0=DP", "other one=nc"], ["liver=gallbladder", "a=b=HCC"])
    assert names.phases({"0": "venous", "1": "other one"}) == {0: Phase.DP, 1: Phase.NC}
    assert names.values({"liver": 4, "a=b": 1}) == {4: 10, 1: 1}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("CHANNEL_UNKNOWN", {"channel_names": {"0": "CT"}}),
        ("CHANNEL_TWICE", {"channel_names": {"0": "venous", "1": "VP"}}),
        ("LABEL_UNKNOWN", {"labels": {"background": 0, "kidney": 1}}),
        ("LABEL_REGIONS", {"labels": {"background": 0, "whole liver": [1, 2]}}),
        ("BAD_DATASET", {"labels": [1, 2]}),
        ("NOT_NIFTI", {"file_ending": ".nrrd"}),
        ("FILE_MISSING", {"channel_names": {"0": "venous", "1": "arterial", "2": "delayed"}}),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_code(tmp_path: Path, code: str, changes: dict[str, object]) -> None:
    write_dataset(tmp_path, **changes)
    with pytest.raises(InputError, match=code):
        find_cases(tmp_path, SAID)


def test_a_tumor_of_unknown_type_is_not_guessed(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    with pytest.raises(InputError, match=r"LABEL_UNKNOWN.*tumor.*--label tumor=HCC"):
        find_cases(tmp_path)


def test_a_value_without_a_meaning_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, labels={"background": 0, "spleen": 1, "HCC": 2})
    with pytest.raises(InputError, match=r"BAD_LABELS.*3"):
        read_arrays(find_cases(tmp_path)[0])


@pytest.mark.parametrize("said", [("0", "tumor=HCC"), ("0=PET", "tumor=HCC"), ("0=VP", "tumor=cancer")])
def test_names_that_say_nothing_are_wrong_use(said: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="BAD_NAMES"):
        DatasetNames.parse([said[0]], [said[1]])
