"""Helpers for tests: phantoms are what they say, strategies keep their ranges, made files are read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.grid import Grid
from livercascade.data.labels import LESION_TYPES, LesionType, Phase
from livercascade.data.lesion import LesionSet
from livercascade.detect.match import match
from livercascade.io.study_reader import read_study
from livercascade.results.evidence_file import read_evidence
from livercascade.testing.ct_series import CtSeries, landmark_errors
from livercascade.testing.example_results import EVIDENCE_GRID, two_lesion_map, write_example_folders
from livercascade.testing.moving_trunk import breathing_displacement, no_displacement, trunk_points, trunk_scan
from livercascade.testing.nifti_cases import write_training_case
from livercascade.testing.phantoms import ball, enhancing_phantom, lesion_of
from livercascade.testing.strategies import SMALL_SHAPE, grids, label_maps, lesion_sets, masks

FEW = settings(max_examples=15)


@FEW
@given(grids(), st.integers(0, 10**6))
def test_grids_have_orthogonal_axes_and_take_points_there_and_back(grid: Grid, seed: int) -> None:
    axes = np.asarray(grid.direction)
    assert np.allclose(axes @ axes.T, np.eye(3)) and min(grid.shape) >= 1
    points = np.random.default_rng(seed).uniform(-500, 500, (5, 3))
    assert np.allclose(grid.world(grid.voxel(points)), points)


@FEW
@given(label_maps(labels=(3, 7), density=(0.2, 0.9)), masks())
def test_label_maps_hold_what_was_asked_for(labels: np.ndarray, mask: np.ndarray) -> None:
    assert labels.dtype == np.uint8 and set(np.unique(labels)) <= {0, 3, 7}
    assert mask.any() and mask.dtype == bool


@FEW
@given(lesion_sets(), lesion_sets())
def test_two_lesion_sets_can_be_matched(one: LesionSet, two: LesionSet) -> None:
    assert one.shape == two.shape == SMALL_SHAPE
    assert len(match(one, two).truth_outcomes) == len(one)
    assert {lesion.label for lesion in one} <= set(LESION_TYPES)


def test_a_ball_has_its_volume_and_place() -> None:
    grid = Grid.axial((40, 50, 60), (1.0, 1.0, 1.0), (5.0, 6.0, 7.0))
    lesion = lesion_of(ball((20, 25, 30), 12.0, grid), LesionType.CYST, grid)
    assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.02)
    assert lesion.centroid == pytest.approx((35.0, 31.0, 27.0))


def test_the_enhancing_phantom_shows_the_given_hu() -> None:
    scan, labels, lesion = enhancing_phantom((40, 110, 95, 65), phases=(Phase.AP, Phase.VP))
    assert scan.reference is Phase.VP and lesion.label is LesionType.HCC
    assert {int(v) for v in scan.hu[Phase.AP][lesion.bbox][lesion.mask]} == {110}
    assert set(np.unique(labels)) == {0, 1, 7, 8}


def test_the_trunk_moves_by_its_displacement() -> None:
    grid = Grid.axial((6, 20, 20), (8.0, 6.0, 6.0), (-55.0, -60.0, 10.0))
    rest, moved = (trunk_scan(Phase.VP, grid, moved_by=f, noise=0.0) for f in (no_displacement, breathing_displacement))
    assert (rest.hu != moved.hu).mean() > 0.1
    assert np.linalg.norm(breathing_displacement(trunk_points(50)), axis=1).max() < 13


def test_a_written_series_is_read_with_its_landmarks(tmp_path: Path) -> None:
    (volume,) = read_study(CtSeries(slices=18).write(tmp_path / "ct")).volumes
    assert volume.hu.shape[0] == 18 and max(landmark_errors(volume.hu, volume.grid)) < 0.7


def test_equal_seeds_write_equal_cases(tmp_path: Path) -> None:
    one, two = (write_training_case(tmp_path / name, (6, 20, 20), 3, phases="vp") for name in "ab")
    assert np.array_equal(one, two) and sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "labels.nii.gz",
        "vp.nii.gz",
    ]


def test_example_folders_hold_evidence_of_two_lesions(tmp_path: Path) -> None:
    truth, found = write_example_folders(tmp_path)
    evidence = read_evidence(found / "case-1")
    assert evidence.grid.matches(EVIDENCE_GRID) and (truth / "case-1.nii.gz").is_file()
    assert [len(evidence.proposals(f)) for f in (1.0, 4.0)] == [1, 2]
    assert set(np.unique(two_lesion_map().mask(4.0))) == {0, 1, 3, 7}
