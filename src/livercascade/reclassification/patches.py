"""Liver-only patches: what belongs to the liver, the classes of UNet^patch, and how a patch is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped, UInt8
from scipy import ndimage

from livercascade.data.grid import Shape, Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, Organ
from livercascade.detect.seg2det import bounding_box

PATCH_SHAPE: Shape = (16, 128, 128)
"""Voxels of every patch (paper, Sec. IV-B1)."""
WORKING_SPACING: Triple = (5.0, 0.78, 0.78)
"""Spacing in mm at which a patch spans the paper's 8 x 10 x 10 cm."""
PATCH_OUTSIDE = 0
"""Patch class of everything outside the liver; the lesions keep their labels 1-6."""
PATCH_LIVER = 7
"""Patch class of the liver with its vessels."""
NUM_PATCH_CLASSES = 8
"""Output channels of UNet^patch."""


class Scheme(Enum):
    """The four ways to make a patch (paper, Fig. 4)."""

    ORIGINAL_POSITIVE = "original_positive"
    ORIGINAL_NEGATIVE = "original_negative"
    SHUFFLED_POSITIVE = "shuffled_positive"
    SHUFFLED_NEGATIVE = "shuffled_negative"

    @property
    def shuffled(self) -> bool:
        """True if the scheme changes voxels."""
        return self in (Scheme.SHUFFLED_POSITIVE, Scheme.SHUFFLED_NEGATIVE)


class Room(IntEnum):
    """What a voxel offers to a lesion that looks for a new place."""

    OUTSIDE = 0
    FREE = 1
    TAKEN = 2


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch for UNet^patch.

    Attributes:
        image: Intensities per channel; outside the liver the fill value of the channel.
        labels: Patch classes 0-7.
        lesion: Voxels of the lesion the patch was made for, at the place where it now lies; empty in negative patches.
        scheme: Scheme by which the patch was made.
        start: Index (z, y, x) of the first patch voxel in the volume; negative where the patch reaches over it.
    """

    image: Float32[np.ndarray, "c 16 128 128"]
    labels: UInt8[np.ndarray, "16 128 128"]
    lesion: Bool[np.ndarray, "16 128 128"]
    scheme: Scheme
    start: Shape


@dataclass(frozen=True, slots=True)
class PatchVolume:
    """The liver of one patient, ready to be cut into patches.

    Attributes:
        image: Intensities ``[c, z, y, x]``: HU, or normalised already.
        labels: Patch classes 0-7, see `patch_labels`.
        spacing: Voxel spacing (z, y, x) in mm.
        fill: Value per channel that voxels outside the liver get.
        room: `Room` of every voxel.
        free: Flat indices of the free voxels.
    """

    image: Shaped[np.ndarray, "c z y x"]
    labels: UInt8[np.ndarray, "z y x"]
    spacing: Triple
    fill: tuple[float, ...]
    room: UInt8[np.ndarray, "z y x"]
    free: Int[np.ndarray, " n"]

    @classmethod
    def of(
        cls,
        image: Shaped[np.ndarray, "c z y x"],
        labels: UInt8[np.ndarray, "z y x"],
        spacing: Triple,
        fill: Sequence[float],
        *,
        avoid: Bool[np.ndarray, "z y x"] | None = None,
    ) -> PatchVolume:
        """Volume of an image and its patch classes.

        Args:
            image: Intensities, int16 or float32.
            labels: Patch classes 0-7.
            spacing: Voxel spacing (z, y, x) in mm.
            fill: One value per channel for voxels outside the liver, the lower clip of its intensity window.
            avoid: More voxels that no lesion may be moved to, and no texture taken from: detections that
                are not in ``labels``.

        Raises:
            ValueError: ``fill`` has not one value per channel, or a label is above 7.
        """
        if len(fill) != image.shape[0]:
            raise ValueError(f"{len(fill)} fill values for {image.shape[0]} channels")
        if labels.max(initial=0) > PATCH_LIVER:
            raise ValueError(f"patch classes are 0-7, found {labels.max()}")
        room = (labels > PATCH_OUTSIDE).astype(np.uint8)
        room[is_lesion(labels)] = Room.TAKEN
        if avoid is not None:
            room[avoid] = Room.TAKEN
        free = np.flatnonzero(room == Room.FREE)
        return cls(image, labels, spacing, tuple(float(v) for v in fill), room, free)

    @property
    def shape(self) -> Shape:
        """Voxels along z, y, x."""
        z, y, x = self.labels.shape
        return z, y, x

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing)) / 1000.0


def is_lesion(labels: UInt8[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """True where the label is one of 1-6."""
    return (labels >= FIRST_LESION) & (labels <= LAST_LESION)


def liver_region(mask: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Everything that counts as liver for the patches: liver tissue, lesions and the vessels inside.

    Liver and lesions are closed by one voxel in the slice and their holes filled slice by slice; so vessels
    inside belong to the region, and the portal trunk outside does not. Other organs never do.
    Every lesion voxel is kept.

    Args:
        mask: Labels 0-13.
    """
    core = is_lesion(mask) | (mask == Organ.LIVER)
    region = np.zeros_like(core)
    box = bounding_box(core)
    if box is None:
        return region
    filled = _fill_slices(_close_slices(core[box]))
    region[box] = core[box] | (filled & (mask[box] < Organ.GALLBLADDER))
    return region


def _close_slices(region: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    # Closing erodes at the array's edge: it needs a pixel of background there.
    padded = np.pad(region, ((0, 0), (1, 1), (1, 1)))
    cross = ndimage.generate_binary_structure(2, 1)[None]
    return ndimage.binary_closing(padded, structure=cross)[:, 1:-1, 1:-1]


def _fill_slices(region: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Fill what no path inside the slice joins to the border; one labelling instead of iterated dilations."""
    background = np.pad(~region, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    in_slice = np.zeros((3, 3, 3), dtype=bool)
    in_slice[1] = ndimage.generate_binary_structure(2, 1)
    parts = np.empty(background.shape, dtype=np.int32)
    count = int(ndimage.label(background, structure=in_slice, output=parts))
    open_parts = np.zeros(count + 1, dtype=bool)
    # The corner is padding: its part is what reaches the border.
    open_parts[parts[:, 0, 0]] = True
    return ~open_parts[parts][:, 1:-1, 1:-1]


def patch_labels(
    mask: UInt8[np.ndarray, "z y x"], liver: Bool[np.ndarray, "z y x"] | None = None
) -> UInt8[np.ndarray, "z y x"]:
    """Patch classes of a label map: 0 outside the liver, 1-6 the lesions, 7 the liver with its vessels.

    Args:
        mask: Labels 0-13.
        liver: The liver region; `liver_region` of ``mask`` by default.
    """
    inside = liver_region(mask) if liver is None else liver
    return np.where(inside, np.where(is_lesion(mask), mask, PATCH_LIVER), PATCH_OUTSIDE).astype(np.uint8)


def cut(array: Shaped[np.ndarray, "*c z y x"], start: Shape, fill: float) -> Shaped[np.ndarray, "*c 16 128 128"]:
    """Patch of ``array`` whose first voxel is ``start``; ``fill`` where the patch reaches over the border."""
    out = np.full((*array.shape[:-3], *PATCH_SHAPE), fill, dtype=array.dtype)
    inside = tuple(
        slice(max(s, 0), max(min(s + p, n), 0)) for s, p, n in zip(start, PATCH_SHAPE, array.shape[-3:], strict=True)
    )
    part = array[(..., *inside)]
    target = tuple(slice(i.start - s, i.start - s + n) for i, s, n in zip(inside, start, part.shape[-3:], strict=True))
    if part.size:
        out[(..., *target)] = part
    return out


def cut_patch(
    volume: PatchVolume, start: Shape
) -> tuple[Float32[np.ndarray, "c 16 128 128"], UInt8[np.ndarray, "16 128 128"]]:
    """Image and patch classes from ``start`` on, with the fill value outside the liver."""
    labels = cut(volume.labels, start, 0.0)
    outside = labels == PATCH_OUTSIDE
    image = cut(volume.image, start, 0.0).astype(np.float32, copy=False)
    for channel, fill in zip(image, volume.fill, strict=True):
        channel[outside] = fill
    return image, labels
