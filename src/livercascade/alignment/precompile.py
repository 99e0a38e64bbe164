"""Compile the loops of the alignment now, not in the first study: ``python -m livercascade.alignment.precompile``."""

from __future__ import annotations

import numpy as np

from livercascade.alignment.align_pair import align_pair
from livercascade.alignment.align_settings import AlignSettings, SearchLevel
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume

_LEVELS = (SearchLevel(block=4, radius=1, step=2), SearchLevel(block=4, radius=1, step=1, stride=1))


def precompile() -> None:
    """Align two small boxes of noise, so that numba's cache holds what a study needs; about ten seconds, once."""
    grid = Grid.axial((16, 24, 24), (3.0, 3.0, 3.0))
    rng = np.random.default_rng(0)
    fixed, moving = (
        PhaseVolume(phase, rng.normal(40, 60, grid.shape).astype(np.int16), grid) for phase in (Phase.VP, Phase.AP)
    )
    align_pair(fixed, moving, settings=AlignSettings(levels=_LEVELS, threads=1))


if __name__ == "__main__":
    precompile()
