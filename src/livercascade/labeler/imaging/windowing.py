"""Automatic window of each phase, centred on the liver of this patient (paper, Sec. III-C)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int16

from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.io.phase_from_image import measure_organ_hu

HuWindow = tuple[int, int]
"""Centre and width in HU."""

USUAL: Mapping[Phase, HuWindow] = {Phase.NC: (55, 150), Phase.AP: (75, 200), Phase.VP: (105, 200), Phase.DP: (90, 180)}
"""Windows of the usual liver, for volumes in which no liver is found."""
PRESETS: Mapping[str, HuWindow] = {
    "liver": (60, 150),
    "narrow": (70, 100),
    "soft": (40, 400),
    "lung": (-600, 1500),
    "bone": (400, 1800),
}
# Mean HU of a liver in any phase; outside, what was measured is no liver.
_PLAUSIBLE = (0.0, 220.0)


def automatic_window(hu: Int16[np.ndarray, "z y x"], grid: Grid, phase: Phase) -> HuWindow:
    """Window whose centre is the HU of the liver, to 5 HU, and whose width is the usual one of the phase."""
    liver = measure_organ_hu(np.asarray(hu), grid).liver
    centre, width = USUAL[phase]
    if liver is not None and _PLAUSIBLE[0] <= liver <= _PLAUSIBLE[1]:
        # Steps that a reader would choose; finer ones would only carry the noise of the estimate.
        centre = 5 * round(liver / 5)
    return centre, width
