"""Trunks pass, heads and limbs do not."""

from __future__ import annotations

import numpy as np
import pytest

from livercascade.data.grid import Grid
from livercascade.detect.body import body_section, is_trunk
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import VirtualSettings


def tube(half_axes_mm: tuple[float, float], shell_mm: float) -> tuple[np.ndarray, Grid]:
    """An elliptic cylinder of soft tissue in a shell of bone."""
    grid = Grid.axial((12, 128, 128), (5.0, 3.0, 3.0))
    y, x = ((np.arange(128) - 63.5) * 3.0 for _ in range(2))
    inside = lambda a, b: (y[:, None] / a) ** 2 + (x[None, :] / b) ** 2 < 1  # noqa: E731
    a, b = half_axes_mm
    plane = np.where(inside(a, b), 700, -1000)
    plane[inside(a - shell_mm, b - shell_mm)] = 40
    return np.repeat(plane[None], 12, axis=0).astype(np.int16), grid


def test_area_and_bone_of_a_cylinder() -> None:
    area_cm2, bone_share = body_section(*tube((80.0, 100.0), 8.0))
    assert area_cm2 == pytest.approx(np.pi * 8 * 10, rel=0.03)
    assert bone_share == pytest.approx(1 - 72 * 92 / 8000, abs=0.02)


@pytest.mark.parametrize(
    ("axes", "shell", "trunk"), [((95, 78), 7, False), ((60, 60), 3, False), ((110, 160), 3, True)]
)
def test_head_and_limb_are_no_trunk(axes: tuple[float, float], shell: float, trunk: bool) -> None:
    assert is_trunk(*body_section(*tube((float(axes[0]), float(axes[1])), float(shell)))) is trunk


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_virtual_patients_are_trunks(seed: int) -> None:
    patient = make_patient(seed, VirtualSettings(matrix=96, subslices=2))
    assert all(is_trunk(*body_section(hu, patient.grid)) for hu in patient.hu.values())
