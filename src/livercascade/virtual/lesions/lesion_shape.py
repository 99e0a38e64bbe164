"""Outlines of lesions and mimics: rippled, lobulated, frayed bodies of an exact volume, and their zones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from livercascade.data.lesion import Box
from livercascade.virtual.lesions.enhancement_pattern import Zone, ZoneExtent
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import FIRST_PART
from livercascade.virtual.tissue_map import TissueMap

# Below the distance of slices, so that thick slices show a frayed margin as a soft edge.
_FRAY_CELL_MM = 2.5
# Distance to other lesions and mimics, so that they do not grow together.
_APART_MM = 3.0
DepthField = Float32[np.ndarray, "z y x"]
"""Depth under a surface in mm, positive inside."""
VoxelMask = Bool[np.ndarray, "z y x"]


@dataclass(frozen=True, slots=True)
class LesionOutline:
    """How a body's surface looks.

    Attributes:
        ripple: Irregularity, 0.04 sharp to 0.22 ill-defined.
        fray_mm: Raggedness of the margin at about 2.5 mm.
        lobes: Depth of lobulation.
        flat: Unit vector (z, y, x) along which the body is flat as a lens, or None.
    """

    ripple: float
    fray_mm: float
    lobes: float = 0.0
    flat: Float32[np.ndarray, " 3"] | None = None


def grow(
    tissue_map: TissueMap,
    centre: tuple[float, float, float],
    volume_ml: float,
    outline: LesionOutline,
    allowed: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[Box, DepthField] | None:
    """A body of this volume inside the ``allowed`` tissues, apart from lesions and mimics that are there.

    Returns:
        Box and depth under the surface in mm, positive inside; None if there is no room for half of the volume or if
        nothing of a body that was kept near its centre is left.
    """
    radius = float((volume_ml * 1000.0 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0))
    # A lens is wider than the ball of its volume; ripples reach beyond it.
    reach = radius * (1.9 if outline.flat is not None else 1.5 + 1.5 * outline.ripple) + 6.0
    box = tissue_map.box_round(centre, reach)
    depth = _body(tissue_map, box, centre, radius, outline, rng)
    view = tissue_map.values[box]
    table = np.zeros(256, dtype=bool)
    table[list(allowed)] = True
    free = table[view] & ~_beside_parts(view, tissue_map)
    count = round(volume_ml / tissue_map.voxel_ml)
    room = depth[free]
    if count < 1 or room.size < 0.5 * count:
        return None
    # What the capsule or another lesion cuts off is made up for elsewhere: the volume stays.
    level = np.partition(room, -min(count, room.size))[-min(count, room.size)]
    # A body that would have to crawl far along a surface stays smaller.
    depth -= np.float32(max(float(level) - 1e-4, -0.35 * radius - 1.0))
    np.minimum(depth, np.where(free, np.float32(1e6), np.float32(-0.1)), out=depth)
    depth = _main_part(depth)
    return (box, depth) if (depth > 0).any() else None


def cut(zone: Zone, depth: DepthField, inside: VoxelMask, tissue_map: TissueMap, rng: np.random.Generator) -> VoxelMask:
    """The part of a lesion that a zone takes (see `ZoneExtent`)."""
    if zone.where is ZoneExtent.WHOLE or not inside.any():
        return inside
    deepest = float(depth.max())
    if zone.where is ZoneExtent.CENTRE:
        wobble = depth + np.float32(0.12 * deepest) * _lumps(depth, 0.5 * deepest, tissue_map, rng)
        return inside & (wobble > np.quantile(wobble[inside], 1.0 - zone.share))
    if zone.where is ZoneExtent.STAR:
        return _star(zone, depth, inside, tissue_map, rng)
    if zone.where is ZoneExtent.SHEETS:
        sheet = _lumps(depth, max(5.0, 0.45 * deepest), tissue_map, rng)
        step = np.maximum.reduce([np.abs(np.gradient(sheet, d, axis=k)) for k, d in enumerate(tissue_map.steps)])
        return inside & (depth > 1.0) & (np.abs(sheet) < 0.5 * zone.mm * np.maximum(step, 0.02))
    if zone.where is ZoneExtent.PATCHES:
        size = zone.size_mm or max(3.0, 0.3 * deepest)
        return _quantile(_lumps(depth, size, tissue_map, rng), inside & (depth > min(2.0, 0.3 * deepest)), zone.share)
    lumps = _lumps(depth, max(3.0, 0.8 * zone.mm), tissue_map, rng)
    band = inside & (depth < np.float32(zone.mm) * (1.0 + 0.3 * lumps))
    if zone.where is ZoneExtent.RIM and zone.share >= 0.999:
        return band
    size = 1.2 * zone.mm if zone.where is ZoneExtent.NODULES else max(2.5 * zone.mm, 0.5 * deepest)
    return _quantile(_lumps(depth, max(3.0, size), tissue_map, rng), band, zone.share)


def _body(
    tissue_map: TissueMap,
    box: Box,
    centre: tuple[float, float, float],
    radius: float,
    outline: LesionOutline,
    rng: np.random.Generator,
) -> DepthField:
    offsets = tissue_map.offsets(box, centre)
    turn = _turn(outline.flat, rng)
    ratios = np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.7, 1.0)])
    if outline.flat is not None:
        ratios = np.array([rng.uniform(0.35, 0.5), rng.uniform(0.8, 1.0), 1.0])
    ratios /= np.prod(ratios) ** (1 / 3)
    rho2 = np.zeros(tuple(s.stop - s.start for s in box), dtype=np.float32)
    for row, ratio in zip(turn, ratios, strict=True):
        along = sum(np.float32(r / (ratio * radius)) * d for r, d in zip(row, offsets, strict=True))
        rho2 += np.square(along, dtype=np.float32)
    depth = 1.0 - np.sqrt(rho2)
    depth += outline.ripple * _lumps(depth, 0.7 * radius, tissue_map, rng)
    if outline.lobes:
        # Creases between lobes: valleys where a coarse field changes sign.
        creases = np.exp(-(np.square(_lumps(depth, 0.9 * radius, tissue_map, rng) / 0.45)))
        depth -= (outline.lobes * creases).astype(np.float32)
    depth *= np.float32(radius)
    # Small lesions have thinner margins: a frayed 5 mm lesion would be crumbs.
    fray = min(outline.fray_mm, 0.15 * radius)
    depth += np.float32(fray) * _lumps(depth, _FRAY_CELL_MM, tissue_map, rng)
    return depth.astype(np.float32)


def _turn(flat: Float32[np.ndarray, " 3"] | None, rng: np.random.Generator) -> np.ndarray:
    """Random rotation; with ``flat`` its first row is that direction."""
    frame = rng.normal(size=(3, 3))
    if flat is not None:
        frame[0] = flat
    q, _ = np.linalg.qr(frame.T)
    return q.T


def _lumps(like: DepthField, size_mm: float, tissue_map: TissueMap, rng: np.random.Generator) -> DepthField:
    a, b, c = like.shape
    steps = tissue_map.steps
    cells = (max(1.0, size_mm / steps[0]), max(1.0, size_mm / steps[1]), max(1.0, size_mm / steps[2]))
    return coarse_noise((a, b, c), cells, rng)


def _quantile(field: DepthField, zone: VoxelMask, share: float) -> VoxelMask:
    if not zone.any():
        return zone
    return zone & (field > np.quantile(field[zone], 1.0 - share))


def _star(
    zone: Zone, depth: DepthField, inside: VoxelMask, tissue_map: TissueMap, rng: np.random.Generator
) -> VoxelMask:
    """A core at the deepest point with arms along random planes."""
    at = np.unravel_index(int(depth.argmax()), depth.shape)
    z, y, x = ((np.arange(n, dtype=np.float32) - k) * np.float32(d) for n, k, d in
               zip(depth.shape, at, tissue_map.steps, strict=True))  # fmt: skip
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    radius = np.sqrt(z**2 + y**2 + x**2) + np.float32(0.1)
    arms = np.zeros(depth.shape, dtype=bool)
    for _ in range(int(rng.integers(3, 6))):
        normal = rng.normal(size=3)
        normal /= np.linalg.norm(normal)
        across = np.abs(normal[0] * z + normal[1] * y + normal[2] * x)
        arms |= across < 0.09 * float(depth.max()) * np.clip(1.4 - radius / float(depth.max()), 0.15, 1.0) + 0.3
    wobble = 1.0 + 0.25 * _lumps(depth, 4.0, tissue_map, rng)
    reach = float(depth.max()) * zone.share
    return inside & ((radius < 0.75 * reach * wobble) | (arms & (radius < 2.2 * reach * wobble)))


def _beside_parts(view: np.ndarray, tissue_map: TissueMap) -> VoxelMask:
    parts = view >= FIRST_PART
    if not parts.any():
        return parts
    z, y, x = (2 * max(1, round(_APART_MM / d)) + 1 for d in tissue_map.steps)
    return np.asarray(ndimage.maximum_filter(parts, size=(z, y, x)))


def _main_part(depth: DepthField) -> DepthField:
    """The depth with crumbs apart from the largest piece pushed outside."""
    parts, count = ndimage.label(depth > 0)
    sizes = np.bincount(parts.ravel())
    if count > 1:
        main = 1 + int(sizes[1:].argmax())
        depth[(parts > 0) & (parts != main)] = -0.1
    return depth
