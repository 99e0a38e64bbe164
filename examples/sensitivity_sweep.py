"""The lesions of every sensitivity from the logits of one pass of a network. No network runs here.

python examples/sensitivity_sweep.py
"""

from __future__ import annotations

import numpy as np

import livercascade as lc

SPACING = (5.0, 1.0, 1.0)
"""Millimetres along z, y and x."""


def main() -> dict[float, int]:
    smap = lc.SensitivityMap.from_logits(logits())
    found: dict[float, int] = {}
    for factor in (0.5, 1.0, 2.0, 4.0, 8.0):
        lesions = lc.seg2det(smap.mask(factor), SPACING)
        found[factor] = len(lesions)
        volumes = ", ".join(f"{lesion.label.title} {lesion.volume_ml:.1f} ml" for lesion in lesions)
        print(f"f = {factor:g}: {len(lesions)} lesions ({volumes}); patient: {lc.classify_patient(lesions).value}")
    return found


def logits() -> np.ndarray:
    """Logits (14, z, y, x) of a liver with a clear cyst and a doubtful HCC, as a network might give them."""
    z, y, x = np.ogrid[0:12, 0:64, 0:64]
    values = np.full((14, 12, 64, 64), -8.0, dtype=np.float32)
    values[lc.Organ.LIVER] = 0.0
    values[lc.LesionType.CYST] = 3.0 - 0.3 * np.hypot(np.hypot(2 * (z - 6), y - 20), x - 20)
    values[lc.LesionType.HCC] = 0.5 - 0.2 * np.hypot(np.hypot(2 * (z - 6), y - 44), x - 44)
    return values


if __name__ == "__main__":
    main()
