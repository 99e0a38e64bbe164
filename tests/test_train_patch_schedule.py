"""Rounds of patches: every lesion and scheme as often as asked, whatever worker or restart makes them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.labels import LesionType
from livercascade.data.lesion import Lesion
from livercascade.reclassification.patches import Scheme
from livercascade.train.patch.patch_cases import PatchCase
from livercascade.train.patch.patch_sampling import SamplingSchedule, build_schedule, training_steps
from livercascade.train.training_settings import PatchSettings


def made_up(*lesions: int) -> list[PatchCase]:
    """Cases with so many lesions each."""
    voxel = np.ones((1, 1, 1), dtype=bool)
    one = Lesion(LesionType.HCC, 1.0, (0.0, 0.0, 0.0), np.s_[0:1, 0:1, 0:1], voxel, {LesionType.HCC: 1.0})
    there = np.ones(4, dtype=bool)
    return [
        PatchCase(f"c{i}", there, Path("nowhere"), (5.0, 0.78, 0.78), (one,) * count, (), (), predicted=False)
        for i, count in enumerate(lesions)
    ]


def scheduled(schedule: SamplingSchedule, first: int, count: int) -> Counter[Any]:
    return Counter(schedule.at(number) for number in range(first, first + count))


@settings(max_examples=30)
@given(lesions=st.lists(st.integers(0, 4), min_size=1, max_size=6), rounds=st.integers(0, 3), seed=st.integers(0, 99))
def test_each_round_deals_every_lesion_and_scheme_twenty_times(lesions: list[int], rounds: int, seed: int) -> None:
    schedule = build_schedule(made_up(*lesions), PatchSettings(patches_per_lesion=20, seed=seed))
    if schedule is None:
        raise AssertionError("no schedule")
    counts = scheduled(schedule, rounds * len(schedule), len(schedule))
    assert set(counts.values()) == {20}
    for case, number in enumerate(lesions):
        schemes = Counter(scheme for number_of_case, _, scheme in counts if number_of_case == case)
        assert schemes == (dict.fromkeys(Scheme, number) if number else {Scheme.ORIGINAL_NEGATIVE: 1})


def test_weights_and_the_ablation_without_shuffling_change_the_round() -> None:
    schemes = {Scheme.ORIGINAL_POSITIVE: 1.5, Scheme.ORIGINAL_NEGATIVE: 0.0}
    schedule = build_schedule(made_up(1), PatchSettings(patches_per_lesion=20, schemes=schemes, shuffling=False))
    assert schedule is not None and Counter(scheme for _, _, scheme in schedule.entries) == {
        Scheme.ORIGINAL_POSITIVE: 30
    }
    assert build_schedule(made_up(1), PatchSettings()) is None


def test_the_order_hangs_on_the_seed_and_the_number_alone() -> None:
    cases = made_up(2, 3)
    one, two, other = (build_schedule(cases, PatchSettings(patches_per_lesion=3, seed=seed)) for seed in (5, 5, 6))
    assert one is not None and two is not None and other is not None
    numbers = [70, 3, 59, 60, 3]
    assert [one.at(n) for n in numbers] == [two.at(n) for n in reversed(numbers)][::-1]
    assert [one.at(n) for n in range(60)] != [other.at(n) for n in range(60)]
    assert [one.at(n) for n in range(60)] != [one.at(n) for n in range(60, 120)]


def test_rounds_set_the_length_of_the_training() -> None:
    settings = PatchSettings(patches_per_lesion=20, rounds=1.5, batch_size=4, steps=7)
    schedule = build_schedule(made_up(2, 1), settings)
    assert training_steps(settings, schedule) == 1.5 * 3 * 4 * 20 / 4
    assert training_steps(settings.model_copy(update={"rounds": None}), schedule) == 7
