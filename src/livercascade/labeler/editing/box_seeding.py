"""Mask 00: boxes of pathology-proven lesions become lesions (paper, Fig. 6, step 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cc3d
import numpy as np
from jaxtyping import Bool, Int16, UInt8
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.lesion import Box
from livercascade.labeler.editing.lesion_components import lesion_voxels
from livercascade.labeler.editing.lesion_tools import change
from livercascade.labeler.imaging.mask_delta import Delta
from livercascade.labeler.label_error import LabelError, bad_request

# Wide enough to hold liver round a lesion, narrow enough to stay in it.
_RING_MM = 6.0
# Below this, medians of core and ring differ by noise.
_MIN_CONTRAST_HU = 8.0
# Takes the noise of thin slices without moving edges by a pixel.
_SMOOTH_MM = 1.2


def checked_box(box: Sequence[Sequence[int]], shape: Sequence[int]) -> Box:
    """A half-open box ``[[z0, z1], [y0, y1], [x0, x1]]`` as slices.

    Raises:
        LabelError: ``BAD_REQUEST`` if it is empty or leaves the image.
    """
    fits = len(box) == 3 and all(
        len(side) == 2 and 0 <= side[0] < side[1] <= n for side, n in zip(box, shape, strict=True)
    )
    if not fits:
        raise bad_request("The box is empty or leaves the image.")
    z, y, x = (slice(side[0], side[1]) for side in box)
    return z, y, x


def from_prediction(
    mask: UInt8[np.ndarray, "z y x"], predicted: UInt8[np.ndarray, "z y x"], box: Box, label: int
) -> Delta:
    """Keep what was predicted inside the box, as one label.

    Raises:
        LabelError: ``NEEDS_DRAWING`` if there is nothing.
    """
    part = lesion_voxels(predicted[box])
    if not part.any():
        raise needs_drawing("no lesion was predicted inside the box")
    return change(mask, box, part, label, spare_lesions=True)


def from_intensity(
    mask: UInt8[np.ndarray, "z y x"], hu: Int16[np.ndarray, "z y x"], spacing: Triple, *, box: Box, label: int
) -> Delta:
    """Voxels inside the box's ellipsoid that are nearer to the HU of its core than to that of its surroundings.

    The largest connected part that reaches the core is taken, its holes filled.

    Raises:
        LabelError: ``NEEDS_DRAWING`` if core and surroundings look alike.
    """
    wide = cast("Box", tuple(_wider(s, mm, n) for s, mm, n in zip(box, spacing, mask.shape, strict=True)))
    smooth = np.asarray(ndimage.gaussian_filter(hu[wide].astype(np.float32), [_SMOOTH_MM / mm for mm in spacing]))
    radius = _ellipsoid(wide, box)
    outside = np.ones(smooth.shape, dtype=bool)
    outside[tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))] = False
    # Between -50 and 300 HU: neither lung, fat and gas nor bone and clips count as what surrounds a lesion.
    core, ring = radius <= 0.5, outside & (smooth > -50) & (smooth < 300)
    if not core.any() or not ring.any():
        raise needs_drawing("the box is too small, or lies at the edge of the body")
    # Medians: a vessel in the core or fat in the ring does not move them.
    inner, outer = float(np.median(smooth[core])), float(np.median(smooth[ring]))
    if abs(inner - outer) < _MIN_CONTRAST_HU:
        raise needs_drawing(f"core and surroundings differ by {abs(inner - outer):.0f} HU only")
    nearer = (np.abs(smooth - inner) < np.abs(smooth - outer)) & (radius <= 1)
    part = _main_part(nearer, core)
    return change(mask, wide, part, label, spare_lesions=True)


def needs_drawing(reason: str) -> LabelError:
    """Error for a box from which no lesion can be made."""
    return LabelError("NEEDS_DRAWING", f"The box gives no lesion: {reason}.", "Draw the lesion by hand.")


def _main_part(region: Bool[np.ndarray, "a b c"], core: Bool[np.ndarray, "a b c"]) -> Bool[np.ndarray, "a b c"]:
    numbers = cc3d.connected_components(np.ascontiguousarray(region).astype(np.uint8), connectivity=26)
    # The part with most of the core, not the largest: vessels beside the lesion may be larger than it.
    votes = np.bincount(numbers[core & region])
    if votes.size < 2:
        raise needs_drawing("nothing in its middle stands out")
    part = numbers == int(votes[1:].argmax()) + 1
    return np.stack([np.asarray(ndimage.binary_fill_holes(plane)) for plane in part])


def _ellipsoid(wide: Box, box: Box) -> np.ndarray:
    """Radius of each voxel in units of the ellipsoid that touches the sides of the box."""
    z, y, x = (
        ((np.arange(w.start, w.stop) - (s.start + s.stop - 1) / 2) / ((s.stop - s.start) / 2)) ** 2
        for w, s in zip(wide, box, strict=True)
    )
    return np.sqrt(z[:, None, None] + y[:, None] + x)


def _wider(side: slice, mm: float, length: int) -> slice:
    margin = max(1, round(_RING_MM / mm))
    return slice(max(0, side.start - margin), min(length, side.stop + margin))
