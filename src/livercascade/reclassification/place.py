"""Where a region fits into the free liver: its voxels and surroundings, and a random place for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8
from scipy import ndimage

from livercascade.data.grid import Shape, Triple
from livercascade.reclassification.patches import PatchVolume, Room

CANDIDATES = 1024
"""Places that are tried on a few voxels of the lesion to find one for the whole lesion."""
FULL_CHECKS = 64
"""Places that passed the quick trial and are then tried on all voxels."""
PROBES = 48
"""Voxels of the lesion in the quick trial."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Voxels of one region and its surroundings, as indices ``[n, 3]`` (z, y, x).

    Attributes:
        body: The region itself.
        edge: Pixels of the slice that touch it.
        contact: All voxels that touch it by face, edge or corner.
        ring: Voxels at most ``ring_mm`` away.
    """

    body: Int[np.ndarray, "n 3"]
    edge: Int[np.ndarray, "e 3"]
    contact: Int[np.ndarray, "k 3"]
    ring: Int[np.ndarray, "r 3"]

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "z y x"], first: Shape, spacing: Triple, ring_mm: float) -> Stamp:
        """Stamp of a mask whose voxel ``[0, 0, 0]`` has index ``first`` in the volume."""
        pad = [int(np.ceil(ring_mm / s)) + 1 for s in spacing]
        region = np.pad(mask, [(p, p) for p in pad])
        origin = np.asarray(first) - pad
        outside = ~region
        distance = ndimage.distance_transform_edt(outside, sampling=spacing)
        touching = ndimage.binary_dilation(region, np.ones((3, 3, 3), dtype=bool)) & outside
        in_slice = ndimage.binary_dilation(region, np.ones((1, 3, 3), dtype=bool)) & outside
        parts = (region, in_slice, touching, outside & (distance <= ring_mm))
        body, edge, contact, ring = (np.argwhere(part) + origin for part in parts)
        return cls(body, edge, contact, ring)


def find_place(
    stamp: Stamp, volume: PatchVolume, rng: np.random.Generator, *, min_inside: float = 0.99
) -> Int[np.ndarray, " 3"] | None:
    """Displacement (z, y, x) in voxels that brings ``stamp`` to a random free place in the liver.

    There ``min_inside`` of its voxels lie in the liver, and none touches a lesion, avoided voxels or the place it
    comes from. Random places are tried on a few voxels first, then on all: a place that is rare may be missed.

    Returns:
        The displacement, or None if no place was found.
    """
    if not volume.free.size:
        return None
    room = volume.room.copy()
    # Its own place counts as taken: a lesion that stays is not shuffled.
    room[tuple(stamp.body[inside(stamp.body, volume.shape)].T)] = Room.TAKEN
    shifts = places(volume, rng, CANDIDATES) - stamp.body.mean(axis=0).round().astype(np.int64)
    lowest, highest = stamp.body.min(axis=0) + shifts, stamp.body.max(axis=0) + shifts
    # With that no index below needs a check.
    shifts = shifts[((lowest >= 0) & (highest < volume.shape)).all(axis=1)]
    probes = stamp.body[np.linspace(0, len(stamp.body) - 1, min(PROBES, len(stamp.body))).astype(np.int64)]
    z, y, x = np.moveaxis(probes + shifts[:, None], -1, 0)
    found = room[z, y, x]
    taken, outside = (found == Room.TAKEN).any(axis=1), (found == Room.OUTSIDE).sum(axis=1)
    for shift in shifts[~taken & (outside <= PROBES // 16)][:FULL_CHECKS]:
        if _fits(stamp, shift, room, min_inside):
            return shift
    return None


def _fits(stamp: Stamp, shift: Int[np.ndarray, " 3"], room: UInt8[np.ndarray, "z y x"], min_inside: float) -> bool:
    z, y, x = (stamp.body + shift).T
    body = room[z, y, x]
    if (body == Room.TAKEN).any() or (body == Room.FREE).mean() < min_inside:
        return False
    # Two lesions that touch would be one to the network.
    return not (room_at(stamp.contact + shift, room) == Room.TAKEN).any()


def room_at(voxels: Int[np.ndarray, "n 3"], room: UInt8[np.ndarray, "z y x"]) -> UInt8[np.ndarray, " n"]:
    """Room of each voxel; outside the array there is none."""
    out = np.full(len(voxels), Room.OUTSIDE, dtype=np.uint8)
    within = inside(voxels, room.shape)
    z, y, x = voxels[within].T
    out[within] = room[z, y, x]
    return out


def places(volume: PatchVolume, rng: np.random.Generator, count: int) -> Int[np.ndarray, "n 3"]:
    """Random free voxels, with replacement."""
    picks = volume.free[rng.integers(volume.free.size, size=count)]
    return np.stack(np.unravel_index(picks, volume.shape), axis=1)


def inside(voxels: Int[np.ndarray, "n 3"], shape: Shape) -> Bool[np.ndarray, " n"]:
    """True for indices that lie in an array of this shape."""
    return np.logical_and.reduce((voxels >= 0) & (voxels < np.asarray(shape)), axis=1)
