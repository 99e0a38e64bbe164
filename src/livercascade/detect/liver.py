"""Which part of a label map is the liver: the body's one large organ, not look-alikes elsewhere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import FIRST_LESION, Organ
from livercascade.data.lesion import Box, grown
from livercascade.detect.components import components
from livercascade.detect.seg2det import is_lesion

SECOND_PIECE_ML, SECOND_PIECE_SHARE, SECOND_PIECE_MM = 50.0, 0.1, 30.0
"""A detached piece stays if it has at least this volume and this share of the largest, and lies no further from it: a
left lobe that hangs free in the plane of the slices does; muscle at the other end of the scan does not."""
MIN_CONTACT = 0.1
"""Share of its surface by which a lesion must touch the liver. A ball that sinks in by a fifth of its radius has as
much; what reaches out of the chest wall or the heart and meets the liver at a point has less."""
SPECK_ML = 0.1
"""Smaller lesions are not looked at: no volume limit in use lets them count."""


def liver_with_content(mask: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Voxels of liver, lesions and hepatic vessels (labels 1-8)."""
    return (mask >= FIRST_LESION) & (mask <= Organ.HEPATIC_VESSELS)


def main_liver(
    mask: UInt8[np.ndarray, "z y x"], grid: Grid, *, min_contact: float = MIN_CONTACT
) -> Bool[np.ndarray, "z y x"]:
    """The liver with the lesions in it: where liver, lesions and hepatic vessels count.

    It is the largest connected piece of `liver_with_content` and other large pieces near to it that hold mostly liver,
    without lesions that hardly touch liver.

    Args:
        mask: Labels 0-13.
        grid: Gives the size of the voxels.
        min_contact: Least share of a lesion's surface that touches liver or its vessels, 0 to 1; 0 keeps all.
    """
    content = liver_with_content(mask)
    main = np.zeros(mask.shape, dtype=np.bool_)
    # Labelled inside its box alone: the air and the organs around it take most of the time.
    for box in ndimage.find_objects(content.view(np.uint8)):
        pieces, count = ndimage.label(content[box], structure=np.ones((3, 3, 3)))
        liver_ml = np.bincount(pieces[mask[box] == Organ.LIVER], minlength=count + 1) * grid.voxel_ml
        liver_ml[0] = 0.0
        largest = float(liver_ml.max())
        if largest > 0:
            kept = liver_ml >= max(min(SECOND_PIECE_ML, largest), SECOND_PIECE_SHARE * largest)
            kept[0] = False
            # Of crumbs alone none is the main one.
            near = pieces if largest < SECOND_PIECE_ML else _near(pieces, int(liver_ml.argmax()), kept, grid)
            main[box] = kept[near]
    if min_contact > 0:
        _leave_out(main, mask, grid, min_contact)
    return main


def _near(
    pieces: Int32[np.ndarray, "z y x"], first: int, kept: Bool[np.ndarray, " n"], grid: Grid
) -> Int32[np.ndarray, "z y x"]:
    """The pieces with those set to 0 that would be kept but lie too far from the first."""
    others = [n for n in np.flatnonzero(kept).tolist() if n != first]
    if not others:
        return pieces
    # Millimetres suffice: every other pixel or fewer.
    step = max(1, round(3.0 / grid.spacing[2]))
    coarse = pieces[:, ::step, ::step]
    spacing = (grid.spacing[0], grid.spacing[1] * step, grid.spacing[2] * step)
    away = np.asarray(ndimage.distance_transform_edt(coarse != first, sampling=spacing))
    far = [n for n in others if float(away[coarse == n].min(initial=np.inf)) > SECOND_PIECE_MM]
    return np.where(np.isin(pieces, far), 0, pieces) if far else pieces


def _leave_out(
    main: Bool[np.ndarray, "z y x"], mask: UInt8[np.ndarray, "z y x"], grid: Grid, min_contact: float
) -> None:
    """Take lesions that hardly touch liver out of the main liver, in place."""
    liver = main & ~is_lesion(mask)
    for box, part in components(main & is_lesion(mask), least=SPECK_ML / grid.voxel_ml):
        if contact_share(box, part, liver, grid) < min_contact:
            main[box][part] = False


def contact_share(box: Box, part: Bool[np.ndarray, "a b c"], liver: Bool[np.ndarray, "z y x"], grid: Grid) -> float:
    """Share of a lesion's surface, 0 to 1, that touches liver; 1 for one without surface.

    The surface is made of the faces of its voxels; those at the border of the scan are no part of it.

    Args:
        box: Box of the lesion.
        part: The lesion inside its box.
        liver: Liver without lesions, of the whole scan.
        grid: Gives the area of the faces.
    """
    z, y, x = liver.shape
    around = grown(box, (1, 1, 1), (z, y, x))
    lesion, near = np.zeros([s.stop - s.start for s in around], dtype=np.bool_), liver[around]
    lesion[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, around, strict=True))] = part
    surface = touching = 0.0
    for axis, spacing in enumerate(grid.spacing):
        one, two = (np.moveaxis(lesion, axis, 0)[s] for s in (slice(None, -1), slice(1, None)))
        liver_one, liver_two = (np.moveaxis(near, axis, 0)[s] for s in (slice(None, -1), slice(1, None)))
        area = grid.voxel_ml / spacing
        surface += area * float(np.count_nonzero(one != two))
        touching += area * float(np.count_nonzero((one & liver_two) | (two & liver_one)))
    return touching / surface if surface else 1.0


def without_strays(mask: UInt8[np.ndarray, "z y x"], liver: Bool[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "z y x"]:
    """Labels with liver, lesions and hepatic vessels outside ``liver`` turned to background."""
    out = mask.copy()
    out[liver_with_content(mask) & ~liver] = 0
    return out
