"""shuffle: a lesion exchanges its place with normal liver of the same patient (paper, eq. 9, Fig. 4)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int
from pydantic import Field

from livercascade.data.grid import Shape, Triple
from livercascade.data.lesion import Lesion
from livercascade.data.record import Record
from livercascade.detect.components import components
from livercascade.reclassification.patches import (
    PATCH_LIVER,
    PATCH_OUTSIDE,
    PATCH_SHAPE,
    Patch,
    PatchVolume,
    Room,
    Scheme,
    cut_patch,
    is_lesion,
)
from livercascade.reclassification.place import Stamp, find_place, inside, places, room_at

EDGE_WEIGHT = 0.5
"""Share of the new tissue in the one-pixel seam round a pasted region."""
NEGATIVE_TRIES = 64
"""Places that are tried to find a patch without any lesion."""
QUIET_TRIES = 8
"""Patches round one place that are tried to find one without another lesion."""


class ShuffleSettings(Record):
    """How lesions are moved.

    Attributes:
        jitter: Distance that a patch may be off centre, as a fraction of its size; a lesion that fits stays inside.
        min_inside: Fraction of the moved lesion that must lie in the liver.
        match_background: True shifts every channel by the difference of the surroundings' medians.
        ring_mm: Width in mm of those surroundings.
    """

    jitter: float = Field(default=0.25, ge=0, le=0.5)
    min_inside: float = Field(default=0.99, gt=0, le=1)
    match_background: bool = True
    ring_mm: float = Field(default=5.0, gt=0)


def shuffle(
    lesion: Lesion | None,
    volume: PatchVolume,
    scheme: Scheme,
    rng: np.random.Generator,
    *,
    paste_label: int | None = None,
    settings: ShuffleSettings | None = None,
) -> Patch | None:
    """One random patch of a lesion, as it is or with lesion and liver exchanged (paper, eq. 9, Fig. 4).

    * ``ORIGINAL_POSITIVE``: cut round the lesion.
    * ``ORIGINAL_NEGATIVE``: cut from the liver where no lesion lies; ``lesion`` may be None.
    * ``SHUFFLED_POSITIVE``: the lesion is copied, by whole voxels and alike in every channel, to a free
      place in the liver; its shape never changes.
    * ``SHUFFLED_NEGATIVE``: the lesion, and whatever other lesion the patch holds, is replaced by free
      liver of the same shape.

    A free place lies in the liver, touches no lesion and nothing of ``volume``'s avoided voxels. No voxel
    outside the liver ever changes, and ``volume`` is not modified.

    Args:
        lesion: The lesion, or a detection that is none, with its box in the array of ``volume``.
        volume: Image and patch classes of the patient.
        scheme: Which of the four patches.
        rng: Source of all choices; the same state gives the same bytes.
        paste_label: Patch class of the moved lesion: its type by default; 7 (liver) for a false positive that
            the network shall learn to leave, the true type for a missed lesion.
        settings: Settings of lesion shuffling; the defaults if absent.

    Returns:
        The patch, or None if the liver has no room for it: then use original patches.

    Raises:
        ValueError: ``lesion`` is None though the scheme needs one.
    """
    chosen = settings or ShuffleSettings()
    if scheme is Scheme.ORIGINAL_NEGATIVE:
        return _original_negative(volume, rng)
    if lesion is None:
        raise ValueError(f"scheme {scheme.value} needs a lesion")
    if scheme is Scheme.ORIGINAL_POSITIVE:
        return _original_positive(lesion, volume, rng, chosen)
    if scheme is Scheme.SHUFFLED_NEGATIVE:
        return _shuffled_negative(lesion, volume, rng, chosen)
    return _shuffled_positive(lesion, volume, rng, chosen, int(lesion.label) if paste_label is None else paste_label)


def _original_positive(
    lesion: Lesion, volume: PatchVolume, rng: np.random.Generator, settings: ShuffleSettings
) -> Patch:
    start = _start_round(_voxels(lesion), rng, settings.jitter)
    image, labels = cut_patch(volume, start)
    return Patch(image, labels, _mark(_voxels(lesion), start), Scheme.ORIGINAL_POSITIVE, start)


def _original_negative(volume: PatchVolume, rng: np.random.Generator) -> Patch | None:
    if not volume.free.size:
        return None
    for centre in places(volume, rng, NEGATIVE_TRIES):
        start = _shape(centre - np.asarray(PATCH_SHAPE) // 2)
        if not _taken(volume, start):
            image, labels = cut_patch(volume, start)
            return Patch(image, labels, np.zeros(PATCH_SHAPE, dtype=bool), Scheme.ORIGINAL_NEGATIVE, start)
    return None


def _shuffled_positive(
    lesion: Lesion, volume: PatchVolume, rng: np.random.Generator, settings: ShuffleSettings, paste_label: int
) -> Patch | None:
    stamp = _stamp_of(lesion, volume.spacing, settings.ring_mm)
    shift = find_place(stamp, volume, rng, min_inside=settings.min_inside)
    if shift is None:
        return None
    start = _quiet_start(stamp.body + shift, volume, rng, settings.jitter)
    image, labels = cut_patch(volume, start)
    _paste(image, start, stamp, volume, settings, source=np.zeros_like(shift), target=shift)
    moved = _mark(stamp.body + shift, start)
    # What hangs over the edge of the liver was not drawn.
    labels[moved & (labels != PATCH_OUTSIDE)] = paste_label
    return Patch(image, labels, moved, Scheme.SHUFFLED_POSITIVE, start)


@lru_cache(maxsize=1)
def _stamp_of(lesion: Lesion, spacing: Triple, ring_mm: float) -> Stamp:
    """Stamp of a lesion, kept until the next: a lesion is moved several times in a row."""
    return Stamp.of(lesion.mask, _first(lesion), spacing, ring_mm)


def _shuffled_negative(
    lesion: Lesion, volume: PatchVolume, rng: np.random.Generator, settings: ShuffleSettings
) -> Patch | None:
    start = _quiet_start(_voxels(lesion), volume, rng, settings.jitter)
    image, labels = cut_patch(volume, start)
    erased = is_lesion(labels) | (_mark(_voxels(lesion), start) & (labels != PATCH_OUTSIDE))
    for box, part in components(erased):
        first = _shape(np.array([s.start for s in box]) + start)
        stamp = Stamp.of(part, first, volume.spacing, settings.ring_mm)
        # All of it inside: what is pasted here must be liver alone.
        shift = find_place(stamp, volume, rng, min_inside=1.0)
        if shift is None:
            return None
        _paste(image, start, stamp, volume, settings, source=shift, target=np.zeros_like(shift))
        labels[box][part] = PATCH_LIVER
    return Patch(image, labels, np.zeros(PATCH_SHAPE, dtype=bool), Scheme.SHUFFLED_NEGATIVE, start)


def _paste(
    image: Float32[np.ndarray, "c 16 128 128"],
    start: Shape,
    stamp: Stamp,
    volume: PatchVolume,
    settings: ShuffleSettings,
    *,
    source: Int[np.ndarray, " 3"],
    target: Int[np.ndarray, " 3"],
) -> None:
    """Draw into the patch what lies under ``stamp`` moved by ``source``, at ``stamp`` moved by ``target``.

    Voxels outside the liver stay as they are; the seam is drawn only from free liver onto free liver.
    """
    step = _background_step(stamp, volume, source=source, target=target) if settings.match_background else 0.0
    body = room_at(stamp.body + target, volume.room) != Room.OUTSIDE
    edge = _both_free(stamp.edge, volume, source, target)
    for voxels, weight in ((stamp.body[body], 1.0), (stamp.edge[edge], EDGE_WEIGHT)):
        at = voxels + target - start
        shown = inside(at, PATCH_SHAPE)
        z, y, x = at[shown].T
        sz, sy, sx = (voxels[shown] + source).T
        new = volume.image[:, sz, sy, sx].astype(np.float32) + step
        image[:, z, y, x] = weight * new + (1 - weight) * image[:, z, y, x]


def _background_step(
    stamp: Stamp, volume: PatchVolume, *, source: Int[np.ndarray, " 3"], target: Int[np.ndarray, " 3"]
) -> Float32[np.ndarray, "c 1"]:
    """Difference of the medians of free liver round the target and round the source; 0 where either has none."""
    medians: list[Float32[np.ndarray, " c"]] = []
    for shift in (source, target):
        ring = stamp.ring + shift
        z, y, x = ring[room_at(ring, volume.room) == Room.FREE].T
        if not z.size:
            return np.zeros((len(volume.fill), 1), dtype=np.float32)
        medians.append(np.median(volume.image[:, z, y, x], axis=1).astype(np.float32))
    return (medians[1] - medians[0])[:, None]


def _both_free(
    voxels: Int[np.ndarray, "n 3"], volume: PatchVolume, source: Int[np.ndarray, " 3"], target: Int[np.ndarray, " 3"]
) -> Bool[np.ndarray, " n"]:
    free = room_at(voxels + source, volume.room) == Room.FREE
    return free & (room_at(voxels + target, volume.room) == Room.FREE)


def _quiet_start(voxels: Int[np.ndarray, "n 3"], volume: PatchVolume, rng: np.random.Generator, jitter: float) -> Shape:
    """Start of a patch round the voxels; one of few tries that holds no lesion elsewhere, if there is one."""
    start = _start_round(voxels, rng, jitter)
    own = int((room_at(voxels, volume.room) == Room.TAKEN).sum())
    for _ in range(QUIET_TRIES):
        if _taken(volume, start) <= own:
            break
        start = _start_round(voxels, rng, jitter)
    return start


def _taken(volume: PatchVolume, start: Shape) -> int:
    """Voxels of lesions in the patch."""
    z, y, x = (slice(max(s, 0), max(s + p, 0)) for s, p in zip(start, PATCH_SHAPE, strict=True))
    return int(np.count_nonzero(volume.room[z, y, x] == Room.TAKEN))


def _start_round(voxels: Int[np.ndarray, "n 3"], rng: np.random.Generator, jitter: float) -> Shape:
    """Random start of a patch that holds all the voxels, or as many as it can."""
    size = np.asarray(PATCH_SHAPE)
    lowest, highest = voxels.min(axis=0), voxels.max(axis=0) + 1 - size
    centred = (voxels.min(axis=0) + voxels.max(axis=0) + 1) // 2 - size // 2
    # The lesion is inside from `highest` to `lowest`; of one larger than a patch the two change places.
    reach = (jitter * size).astype(np.int64)
    lower = np.maximum(centred - reach, np.minimum(lowest, highest))
    upper = np.minimum(centred + reach, np.maximum(lowest, highest))
    return _shape(rng.integers(lower, upper, endpoint=True))


def _mark(voxels: Int[np.ndarray, "n 3"], start: Shape) -> Bool[np.ndarray, "16 128 128"]:
    """Patch mask of voxels given in the volume."""
    mask = np.zeros(PATCH_SHAPE, dtype=bool)
    at = voxels - np.asarray(start)
    z, y, x = at[inside(at, PATCH_SHAPE)].T
    mask[z, y, x] = True
    return mask


def _voxels(lesion: Lesion) -> Int[np.ndarray, "n 3"]:
    return np.argwhere(lesion.mask) + np.asarray(_first(lesion))


def _first(lesion: Lesion) -> Shape:
    z, y, x = (int(s.start) for s in lesion.bbox)
    return z, y, x


def _shape(values: Int[np.ndarray, " 3"]) -> Shape:
    z, y, x = (int(v) for v in values)
    return z, y, x
