"""Alignment coarse enough for tests of what lies round it."""

from livercascade.alignment.settings import AlignSettings, Level

QUICK = AlignSettings(
    spacing_mm=5.0,
    smooth_mm=3.0,
    levels=(Level(block=6, radius=5, step=2, distance=2), Level(block=4, radius=3, step=1, stride=1)),
)
