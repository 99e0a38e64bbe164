"""Painted tissue into a scan: partial volume, the scan's blur, its own noise, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int16, UInt8
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, Phase
from livercascade.data.lesion import Box
from livercascade.virtual.canvas.canvas_case import CanvasCase, is_closed
from livercascade.virtual.canvas.liver_phantom import CanvasPhantom, block_mean
from livercascade.virtual.canvas.scanned_liver import ScanArray, ScannedLiver, quiet_residual
from livercascade.virtual.randomness import coarse_noise

# Blur along the body beyond the slice's own thickness, in slices: profiles of thin slices overlap.
_SLICE_BLUR = 0.35
# Shares of new tissue under this change nothing: rounding would hide them.
_LEAST_SHARE = 0.004
_MOST_OFFSET_HU = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class PaintedTissue:
    """What the painters changed of a fine map, on the voxels of the scan.

    Attributes:
        box: Part of the scan.
        share: Share of each voxel that was painted, after the scan's blur; 0 where nothing may change.
        hu: Planned HU times share by phase.
        solid: Share of tissue with the liver's own unevenness.
        patches: Unevenness of the lesions themselves, HU.
        labels: New label where more than half of a voxel was painted, `KEPT` elsewhere.
    """

    box: Box
    share: ScanArray
    hu: Mapping[Phase, ScanArray]
    solid: ScanArray
    patches: ScanArray
    labels: UInt8[np.ndarray, "z y x"]


KEPT = 254
"""Value of `PaintedTissue.labels` where the label stays."""


def painted_tissue(
    canvas: CanvasPhantom, case: CanvasCase, blur_mm: float, rng: np.random.Generator
) -> PaintedTissue | None:
    """What was painted since the phantom was made; None if nothing.

    Args:
        canvas: The phantom after painting.
        case: The scan that it was made from.
        blur_mm: Sigma of the scan's blur in the slice.
        rng: Source of the lesions' unevenness.
    """
    fine, table, spacing = canvas.phantom.tissue_map.values, canvas.phantom.tissue_table, case.grid.spacing
    changed = fine != canvas.before
    if not changed.any():
        return None

    def on_scan(values: np.ndarray) -> ScanArray:
        return _blurred(block_mean(values, canvas.parts), spacing, blur_mm)

    closed = is_closed(case.labels[canvas.box])
    share = on_scan(changed)
    share[closed | (share < _LEAST_SHARE)] = 0.0
    solid = on_scan(changed & (table.mottle > 0)[fine])
    patchy = block_mean(np.where(changed, table.patchy_hu[fine], np.float32(0)), canvas.parts)
    a, b, c = patchy.shape
    patches = coarse_noise((a, b, c), (max(1.0, 9.0 / spacing[0]), 9.0 / spacing[1], 9.0 / spacing[2]), rng) * patchy
    solid[share == 0] = patches[share == 0] = 0.0
    hu = {phase: on_scan(np.where(changed, table.hu[phase.index][fine], np.float32(0))) for phase in case.hu}
    return PaintedTissue(canvas.box, share, hu, solid, patches, _new_labels(canvas, changed, closed))


def composed(
    image: Int16[np.ndarray, "z y x"],
    painted: PaintedTissue,
    phase: Phase,
    liver: ScannedLiver,
    spacing: Triple,
    rng: np.random.Generator,
) -> Int16[np.ndarray, "z y x"]:
    """One phase with what was painted, in the phantom's box.

    Where a voxel is all painted it holds the planned HU, shifted by what the liver there differs from its median, with
    the scan's own noise; where it is painted in part, that part. Voxels without a share keep their value to the bit.

    Args:
        image: The phase in the box.
        painted: What was painted.
        phase: The phase.
        liver: The liver of that phase in the box.
        spacing: Voxel spacing (z, y, x) in mm.
        rng: Source of the places from which noise is taken where the scan shows no plain liver.
    """
    there = painted.share > 0
    offset = np.clip(liver.background - np.float32(liver.median_hu), -_MOST_OFFSET_HU, _MOST_OFFSET_HU)
    noise = quiet_residual(liver, there, spacing, rng)
    new = painted.hu[phase] + painted.solid * offset + painted.patches + painted.share * noise
    mixed = (1.0 - painted.share) * image + new
    return np.where(there, np.clip(np.rint(mixed), -1024, 3071), image).astype(np.int16)


def _blurred(values: ScanArray, spacing: Triple, blur_mm: float) -> ScanArray:
    sigma = (_SLICE_BLUR, blur_mm / spacing[1], blur_mm / spacing[2])
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3.0), dtype=np.float32)


def _new_labels(
    canvas: CanvasPhantom, changed: Bool[np.ndarray, "fine rows columns"], closed: Bool[np.ndarray, "z y x"]
) -> UInt8[np.ndarray, "z y x"]:
    """Type of the lesion that fills half of a voxel and more, 0 where liver gave way to fat, `KEPT` elsewhere."""
    fine, table = canvas.phantom.tissue_map.values, canvas.phantom.tissue_table.labels
    meaning = table[fine]
    lesion = changed & (meaning >= FIRST_LESION) & (meaning <= LAST_LESION)
    out = np.full(closed.shape, KEPT, dtype=np.uint8)
    total = block_mean(lesion, canvas.parts)
    most = np.zeros_like(total)
    for value in np.unique(meaning[lesion]).tolist():
        own = block_mean(lesion & (meaning == value), canvas.parts)
        wins = (own > most) & (total >= 0.5)
        out[wins] = value
        np.maximum(most, own, out=most)
    out[(total < 0.5) & (block_mean(changed & (meaning == 0), canvas.parts) > 0.5)] = 0
    out[closed] = KEPT
    return out


def with_labels(labels: UInt8[np.ndarray, "z y x"], painted: PaintedTissue) -> UInt8[np.ndarray, "z y x"]:
    """Stored label map of the whole scan with what was painted."""
    out = labels.copy()
    view = out[painted.box]
    view[painted.labels != KEPT] = painted.labels[painted.labels != KEPT]
    return out


def differences(
    images: Mapping[Phase, Int16[np.ndarray, "z y x"]],
    livers: Mapping[Phase, ScannedLiver],
    where: Bool[np.ndarray, "z y x"],
) -> dict[str, float]:
    """Mean of each phase over some voxels minus the liver's background there, HU."""
    return {
        phase.value: round(float((image[where] - livers[phase].background[where]).mean()), 1)
        for phase, image in images.items()
    }
