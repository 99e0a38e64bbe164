"""Families 4, 9 and 10 as effects of the image: partial volume, streaks, ghosts, misregistration."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from livercascade.data.labels import PHASES, Organ, Phase
from livercascade.virtual.mimics.mimic_families import Mimic, MimicFamily
from livercascade.virtual.slice_averaging import SliceValues, averaged
from livercascade.virtual.tissue import FIRST_PART, Tissue, TissueTable
from livercascade.virtual.tissue_map import TissueMap

DENSE_HU = 1000.0
"""Above this, metal and lipiodol throw streaks."""
# Changes of HU from which an effect is marked: streaks and ghosts, displaced phases, edges within a slice.
_SEEN_HU = 12.0
_MISFIT_HU = 25.0
_EDGE_HU = 35.0
_LEAST_ML = 0.1


def add_streaks(
    images: dict[Phase, SliceValues], tissue_map: TissueMap, tissue_table: TissueTable, rng: np.random.Generator
) -> SliceValues:
    """Add streaks round dense spots, alike in all phases; returns what was added."""
    first = next(iter(images.values()))
    added = np.zeros_like(first)
    dense = tissue_table.hu[2] > DENSE_HU
    dense[list(tissue_table.spared)] = False
    if not dense[FIRST_PART:].any():
        return added
    dense[:FIRST_PART] = False
    share = averaged(tissue_map, dense.astype(np.float32), tissue_map.values.shape[0] // first.shape[0])
    parts, count = ndimage.label(share > 0.2)
    # Patchy lipiodol falls into many spots, and the rays of each cover whole slices: a dozen are enough.
    for number, box in enumerate(ndimage.find_objects(parts)[:12], start=1):
        _star(added, np.argwhere(parts[box] == number) + [s.start for s in box], tissue_map, rng)
    if count:
        for image in images.values():
            image += added
    return added


def add_ghost(
    images: dict[Phase, SliceValues], labels: UInt8[np.ndarray, "z y x"], rng: np.random.Generator
) -> SliceValues | None:
    """A breath or heart beat in one phase: slices under the dome hold a shifted copy; returns the change."""
    rows = np.flatnonzero((labels == Organ.LIVER).any(axis=(1, 2)))
    if rows.size < 6:
        return None
    image = images[PHASES[int(rng.integers(4))]]
    high = int(rows[-1]) - int(rng.integers(0, 3))
    low = max(high - int(rng.integers(2, 6)), 0)
    reach = max(1, round(image.shape[1] / 512 * float(rng.uniform(6, 16))))
    part = image[low : high + 1]
    change = np.zeros_like(image)
    shifted = np.roll(part, (reach * (1 if rng.random() < 0.5 else -1), reach // 2), axis=(1, 2))
    change[low : high + 1] = float(rng.uniform(0.15, 0.4)) * (shifted - part)
    image += change
    return change


def mark_effects(
    family_map: UInt8[np.ndarray, "z y x"],
    labels: UInt8[np.ndarray, "z y x"],
    effects: list[tuple[MimicFamily, str, SliceValues | None]],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> list[Mimic]:
    """Write into ``family_map`` where an effect shows in the liver, and nothing else is marked; one mimic per effect.

    Args:
        family_map: Families so far, changed in place.
        labels: True labels.
        effects: Family, kind and change of HU, or None for effects that did not happen.
        spacing: mm (z, y, x).
        origin: LPS mm (x, y, z) of the first voxel.
    """
    free = (labels == Organ.LIVER) & (family_map == 0)
    found: list[Mimic] = []
    for family, kind, change in effects:
        if change is None:
            continue
        limit = {MimicFamily.MISREGISTRATION: _MISFIT_HU, MimicFamily.PARTIAL_VOLUME: _EDGE_HU}.get(family, _SEEN_HU)
        where = _opened(free & (np.abs(change) > limit), spacing)
        volume = float(np.count_nonzero(where)) * float(np.prod(spacing)) / 1000.0
        if volume < _LEAST_ML:
            continue
        family_map[where] = family
        free &= ~where
        z, y, x = (float(axis.mean()) * step for axis, step in zip(np.nonzero(where), spacing, strict=True))
        found.append(Mimic(family, kind, (x + origin[0], y + origin[1], z + origin[2]), volume))
    return found


def thin_liver(tissue_map: TissueMap, tissue_table: TissueTable, subslices: int) -> SliceValues:
    """HU by which air and fat within a slice's thickness darken it in VP: partial volume at dome and fissures."""
    liver = tissue_table.hu[2, Tissue.LIVER]
    table = np.minimum(tissue_table.hu[2] - liver, 0.0)
    table[table > -60.0] = 0.0
    return averaged(tissue_map, table.astype(np.float32), subslices)


def _star(added: SliceValues, voxels: np.ndarray, tissue_map: TissueMap, rng: np.random.Generator) -> None:
    """Bright and dark rays from the middle of a dense spot in each of its slices."""
    pixel = tissue_map.steps[2]
    for k in np.unique(voxels[:, 0]):
        at = voxels[voxels[:, 0] == k].mean(axis=0)
        y = (np.arange(added.shape[1], dtype=np.float32)[:, None] - np.float32(at[1])) * np.float32(pixel)
        x = (np.arange(added.shape[2], dtype=np.float32)[None, :] - np.float32(at[2])) * np.float32(pixel)
        radius, angle = np.sqrt(y**2 + x**2), np.arctan2(y, x)
        rays = sum(
            float(rng.uniform(0.4, 1)) * np.cos(int(n) * angle + float(rng.uniform(0, 6.3)))
            for n in rng.integers(3, 16, 4)
        )
        size = min(float(np.sqrt(len(voxels))) * pixel, 12.0)
        strength = float(rng.uniform(12, 30)) * size / 3.0
        added[k] += (np.clip(strength, 0, 120) * rays * np.exp(-radius / float(rng.uniform(18, 40)))).astype(np.float32)


def _opened(mask: Bool[np.ndarray, "z y x"], spacing: tuple[float, float, float]) -> Bool[np.ndarray, "z y x"]:
    """Without what is narrower than some 4 mm in the slice."""
    wide = (max(2, round(4.0 / spacing[1])), max(2, round(4.0 / spacing[2])))
    return np.asarray(
        ndimage.maximum_filter(
            ndimage.minimum_filter(mask, size=(1, *wide)), size=(1, *wide), origin=(0, *(w % 2 - 1 for w in wide))
        )
    )
