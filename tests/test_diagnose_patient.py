"""Patient class and joint verdict."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livercascade import classify_patient
from livercascade.data.labels import LesionType, PatientClass
from livercascade.data.lesion import Lesion
from livercascade.diagnose.joint import AgreementLevel, JointClass, joint_class


def lesion_of(label):
    return Lesion(label, 1.0, (0.0, 0.0, 0.0), (slice(0, 1),) * 3, np.ones((1, 1, 1), dtype=bool))


@given(st.lists(st.sampled_from(LesionType), min_size=1), st.randoms())
def test_the_highest_priority_wins_in_any_order(types, random):
    random.shuffle(types)
    assert classify_patient([lesion_of(t) for t in types]) is PatientClass.of(LesionType(min(types)))


def test_no_lesion_is_normal():
    assert classify_patient([]) is PatientClass.NORMAL


@pytest.mark.parametrize(("base", "high"), list(itertools.product(PatientClass, PatientClass)))
def test_a_verdict_only_where_both_agree(base, high):
    seven, three, two = (joint_class(base, high, level) for level in AgreementLevel)
    assert (seven is JointClass.UNCERTAIN) == (base is not high)
    assert (three is JointClass.UNCERTAIN) == (base.group != high.group)
    assert (two is JointClass.UNCERTAIN) == (base.malignant != high.malignant)
    for verdict in (seven, three, two):
        assert verdict.patient_class in (None, high)
