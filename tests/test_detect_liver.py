"""The main liver: strays go, a detached lobe stays."""

from __future__ import annotations

import numpy as np
import pytest

from livercascade.data.grid import Grid
from livercascade.detect.liver import liver_with_content, main_liver, without_strays

GRID = Grid.axial((20, 60, 60), (5.0, 2.0, 2.0))


def body() -> np.ndarray:
    mask = np.zeros(GRID.shape, dtype=np.uint8)
    mask[4:16, 10:40, 5:35] = 7
    return mask


def test_lesions_in_the_liver_belong_to_it_and_strays_do_not() -> None:
    mask = body()
    mask[8:10, 20:24, 20:24] = 1
    mask[8:10, 50:54, 50:54] = 3
    mask[1, 50:54, 5:8] = 7
    kept = main_liver(mask, GRID)
    assert kept[9, 21, 21]
    assert not kept[9, 51, 51]
    assert not kept[1, 51, 6]
    clean = without_strays(mask, kept)
    assert set(np.unique(clean)) == {0, 1, 7}
    assert (liver_with_content(clean) == kept).all()


def test_a_large_detached_lobe_stays() -> None:
    mask = body()
    mask[4:16, 10:30, 40:56] = 7
    assert main_liver(mask, GRID)[8, 20, 50]


@pytest.mark.parametrize("shape", [(1, 61, 61), (61, 1, 61), (61, 61, 1)])
def test_crumbs_in_a_flat_scan_are_pieces_like_any(shape: tuple[int, int, int]) -> None:
    mask = np.zeros(shape, dtype=np.uint8)
    mask[::2, ::2, ::2] = 7
    assert main_liver(mask, Grid.axial(shape, (5.0, 2.0, 2.0))).sum() == np.count_nonzero(mask)


def test_a_scan_without_liver_has_none() -> None:
    mask = np.zeros(GRID.shape, dtype=np.uint8)
    mask[3, 3, 3] = 2
    assert not main_liver(mask, GRID).any()
