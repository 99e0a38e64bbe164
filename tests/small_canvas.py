"""A small made scan for tests of painting: a liver with vessels in fat, an old lesion, a part that is ignored."""

import numpy as np
from scipy import ndimage

from livercascade.data.coverage import Coverage
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.virtual.canvas.canvas_case import CanvasCase

SPACING = (4.0, 2.5, 2.5)
NOISE_HU = 11.0
UNLABELLED = Coverage(classes={"hepatic vessels": "unlabelled", "spleen": "unlabelled"})


def small_canvas(seed=0, *, liver_hu=110.0, coverage=UNLABELLED, phases=(Phase.VP,), name="made", patient="someone"):
    """A liver of about 430 ml on 26 x 52 x 56 voxels of 4 x 2.5 x 2.5 mm."""
    rng = np.random.default_rng(seed)
    shape = (26, 52, 56)
    z, y, x = (((np.arange(n) - (n - 1) / 2) * d) for n, d in zip(shape, SPACING, strict=True))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    clean = np.full(shape, -1000.0)
    clean[np.broadcast_to((y / 62) ** 2 + (x / 67) ** 2 < 1, shape)] = -100.0
    liver = (z / 42) ** 2 + (y / 47) ** 2 + (x / 52) ** 2 < 1
    clean[liver] = liver_hu
    vessel = ((y - 0.2 * x) ** 2 + (z - 6) ** 2 < 20) & liver
    clean[vessel] = liver_hu + 60
    labels = np.where(liver, 7, 0).astype(np.uint8)
    old = (z + 10) ** 2 + (y + 13) ** 2 + (x - 18) ** 2 < 12**2
    clean[old] = 45.0
    labels[old & liver] = 14
    labels[((z - 20) ** 2 + (y - 15) ** 2 + (x + 20) ** 2 < 8**2) & liver] = 255
    clean = ndimage.gaussian_filter(clean, (0, 0.5, 0.5))
    images = {}
    for phase in phases:
        noise = ndimage.gaussian_filter(rng.standard_normal(shape), (0.3, 0.6, 0.6))
        images[phase] = np.clip(np.rint(clean + NOISE_HU * noise / noise.std()), -1024, 3071).astype(np.int16)
    return CanvasCase(name, patient, Grid.axial(shape, SPACING, (5.0, -7.0, 11.0)), images, labels, coverage)
