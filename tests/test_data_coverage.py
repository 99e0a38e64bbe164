"""Label maps that say a part: sets of classes as whole numbers, and what coverage makes of a stored value."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livercascade.data.coverage import (
    ALL_CLASSES,
    IGNORED,
    LESION_CLASSES,
    UNKNOWN_LESION,
    ClassCoverage,
    Coverage,
    classes_of,
    ignored,
    label_of,
    read_coverage,
    resolved,
    surely,
)
from livercascade.data.errors import InputError
from livercascade.data.labels import NUM_CLASSES, label_name

SETS = st.sets(st.integers(0, NUM_CLASSES - 1), min_size=1)
COVERAGES = st.dictionaries(
    st.sampled_from([label_name(value) for value in range(1, NUM_CLASSES)]), st.sampled_from(ClassCoverage)
).map(lambda classes: Coverage(classes=classes))


@given(SETS)
def test_a_set_and_its_number_stand_for_each_other(classes):
    number = label_of(classes)
    assert classes_of(number) == classes
    assert (number < NUM_CLASSES) == (len(classes) == 1)
    # 16 bits hold every set: nnU-Net stores label maps so.
    assert number < 2**15


@given(COVERAGES, st.integers(0, NUM_CLASSES - 1))
def test_a_drawn_class_is_among_those_that_its_voxels_may_be(coverage, stored):
    if stored and coverage.of(stored) is ClassCoverage.ABSENT:
        with pytest.raises(ValueError, match="absent"):
            coverage.label_of(stored)
        return
    possible = classes_of(coverage.label_of(stored))
    assert stored in possible
    others = possible - {stored}
    assert all(coverage.of(label) is ClassCoverage.UNLABELLED for label in others)


@given(COVERAGES)
def test_every_class_that_was_not_drawn_may_be_somewhere(coverage):
    values = [v for v in (0, 7) if v == 0 or coverage.of(v) is not ClassCoverage.ABSENT]
    possible = set[int]().union(*(classes_of(coverage.label_of(value)) for value in values))
    hidden = {label for label in range(1, NUM_CLASSES) if coverage.of(label) is ClassCoverage.UNLABELLED}
    # Without a liver in the patient nothing lies in it.
    if coverage.of(7) is not ClassCoverage.ABSENT:
        assert hidden <= possible


def test_a_venous_scan_with_liver_and_lesions_alone():
    organs = ["hepatic vessels", "portal and splenic vein", "gallbladder", "spleen", "pancreas", "stomach"]
    coverage = Coverage(classes=dict.fromkeys(organs, ClassCoverage.UNLABELLED))
    assert classes_of(coverage.label_of(7)) == {7, 8, 9}
    assert classes_of(coverage.label_of(0)) == {0, 9, 10, 11, 12, 13}
    assert classes_of(coverage.label_of(UNKNOWN_LESION)) == LESION_CLASSES
    assert classes_of(coverage.label_of(IGNORED)) == ALL_CLASSES
    assert coverage.label_of(6) == 6
    assert not coverage.complete


def test_a_case_in_which_only_the_spleen_was_drawn_says_nothing_of_livers():
    names = [label_name(value) for value in range(1, NUM_CLASSES) if value != 11]
    coverage = Coverage(classes=dict.fromkeys(names, ClassCoverage.UNLABELLED))
    assert classes_of(coverage.label_of(0)) == ALL_CLASSES - {11}


def test_lesions_stand_for_all_types_and_one_type_for_itself():
    coverage = Coverage(classes={"lesions": ClassCoverage.ABSENT, "Cyst": ClassCoverage.LABELLED})
    assert coverage.complete
    assert coverage.label_of(UNKNOWN_LESION) == 6
    with pytest.raises(ValueError, match="HCC is said to be absent"):
        coverage.label_of(1)


@given(st.lists(SETS, min_size=1, max_size=20))
def test_maps_agree_with_sets_voxel_by_voxel(sets):
    labels = np.array([label_of(s) for s in sets], dtype=np.int16)
    assert surely(labels, LESION_CLASSES).tolist() == [s <= LESION_CLASSES for s in sets]
    assert ignored(labels).tolist() == [s == ALL_CLASSES for s in sets]
    plain = resolved(labels, unknown_lesion=5)
    for members, value in zip(sets, plain.tolist(), strict=True):
        assert value in members or members <= LESION_CLASSES


def test_a_file_is_read_and_a_bad_one_refused(tmp_path):
    path = tmp_path / "coverage.json"
    assert read_coverage(path) == Coverage()
    path.write_text(json.dumps({"classes": {"lesions": "unlabelled"}}))
    assert read_coverage(path).of(3) is ClassCoverage.UNLABELLED
    path.write_text(json.dumps({"classes": {"brain": "unlabelled"}}))
    with pytest.raises(InputError, match="brain") as caught:
        read_coverage(path)
    assert caught.value.code == "BAD_COVERAGE"
