"""Anatomy from real organ label maps (TotalSegmentator numbering): filled in, warped, repainted.

Real anatomy is what training on virtual patients gains most from; one label map serves for many patients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, UInt8
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from livercascade.data.errors import InputError
from livercascade.data.grid import Triple
from livercascade.io.nifti import read_labels
from livercascade.virtual.anatomy import Anatomy, blank_tissue_map, liver_volume_ml, paint_table
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.randomness import coarse_noise, enlarge
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.vessel_trees import paint_liver_vessels
from livercascade.virtual.virtual_settings import VirtualSettings

Tissues = UInt8[np.ndarray, "z y x"]
_SOLID: dict[Tissue, tuple[int, ...]] = {
    Tissue.SPLEEN: (1,),
    Tissue.RENAL_CORTEX: (2, 3),
    Tissue.GALLBLADDER_WALL: (4,),
    Tissue.LIVER: (5,),
    Tissue.STOMACH_WALL: (6,),
    Tissue.PANCREAS: (7,),
    Tissue.ADRENAL: (8, 9),
    Tissue.LUNG: (10, 11, 12, 13, 14, 16),
    Tissue.OESOPHAGUS: (15,),
    Tissue.BOWEL_WALL: (18, 19, 20),
    Tissue.BLADDER: (21,),
    Tissue.MUSCLE: (22, *range(80, 90)),
    Tissue.FLUID: (23, 24),
    Tissue.CORTICAL_BONE: (*range(25, 51), *range(69, 79), *range(92, 117)),
    Tissue.HEART: (51, 61),
    Tissue.AORTA: (52, 54, 55, 56, 57, 58, 65, 66),
    Tissue.HEART_BLOOD: (53,),
    Tissue.IVC: (59, 60, 62, 63, 67, 68),
    Tissue.PORTAL_TRUNK: (64,),
    Tissue.SPINAL_CANAL: (79,),
    Tissue.CARTILAGE: (117,),
}
# Outer tissue, inner tissue, thickness of the outer one in mm.
_LAYERS = (
    (Tissue.RENAL_CORTEX, Tissue.RENAL_MEDULLA, 7.0),
    (Tissue.GALLBLADDER_WALL, Tissue.BILE, 1.6),
    (Tissue.STOMACH_WALL, Tissue.STOMACH_CONTENT, 4.0),
    (Tissue.BOWEL_WALL, Tissue.BOWEL_CONTENT, 2.6),
    (Tissue.CORTICAL_BONE, Tissue.MARROW, 1.6),
    (Tissue.HEART, Tissue.HEART_BLOOD, 9.0),
)


@dataclass(frozen=True, slots=True)
class Atlas:
    """One real label map turned into tissues.

    Attributes:
        tissue: ``[z, y, x]``, head up, patient's left at high x, unlabelled body already filled in.
        spacing: mm (z, y, x).
        dome: z of the liver's top, mm from the first slice.
        middle: (y, x) of the body's centre in mm.
        half: Half depth and half width of the body in mm.
    """

    tissue: Tissues
    spacing: Triple
    dome: float
    middle: tuple[float, float]
    half: tuple[float, float]


def make_atlas_anatomy(path: Path, habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """A warped copy of a real body, with vessels painted into its liver.

    Args:
        path: NIfTI label map in TotalSegmentator v2 numbering; needs a liver (5).
        habitus: Gives scan range, state of the liver and warp; its build is replaced by the label map's, and it
            has no ascites.
        settings: Matrix, slice thickness, randomisation.
        rng: Source of the warp and the vessels.

    Raises:
        InputError: As `load_atlas`.
    """
    atlas = load_atlas(path)
    # One label map serves for many patients: each is stretched along z, y and x on its own.
    scale = rng.uniform(0.86, 1.14, 3) if settings.randomise else rng.uniform(0.92, 1.08, 3)
    half_depth, half_width = atlas.half[0] * float(scale[1]), atlas.half[1] * float(scale[2])
    top = (atlas.tissue.shape[0] * atlas.spacing[0] - atlas.dome) * float(scale[0])
    habitus = replace(
        habitus,
        half_depth=half_depth,
        half_width=half_width,
        fov=2 * half_width + float(rng.uniform(10, 60)),
        top=min(habitus.top, top - 3.0),
        bottom=max(habitus.bottom, -atlas.dome * float(scale[0]) + 3.0),
        ascites=False,
        arms_down=False,
        effusion=0.0,
    )
    tissue_map = blank_tissue_map(habitus, settings)
    _warp_into(tissue_map, atlas, scale, habitus.warp, rng)
    _fill_hollow(tissue_map, rng)
    paint_table(tissue_map, half_depth)
    hilum = paint_liver_vessels(tissue_map, rng)
    habitus = replace(habitus, liver_ml=liver_volume_ml(tissue_map))
    return Anatomy(tissue_map, hilum, habitus, path.name)


@lru_cache(maxsize=8)
def load_atlas(path: Path) -> Atlas:
    """Read a label map and fill in what it does not label: body outline, wall, fat, layers of hollow organs.

    Raises:
        InputError: ``NO_LIVER``, or as `read_labels`: ``FILE_MISSING``, ``NOT_NIFTI``, ``BAD_VALUES`` and others.
    """
    labels, grid = read_labels(path, classes=256)
    spacing = grid.spacing
    tissue = _solid(labels)
    if not (tissue == Tissue.LIVER).any():
        raise InputError("NO_LIVER", f"{path.name} holds no liver (label 5).", "Give a label map of the abdomen.")
    for outer, inner, thickness in _LAYERS:
        _hollow(tissue, outer, inner, thickness, spacing)
    half = _body(tissue, spacing)
    rows = np.nonzero((tissue == Tissue.LIVER).any(axis=(1, 2)))[0]
    body = np.nonzero((tissue != Tissue.AIR).any(axis=0))
    middle = ((body[0].min() + body[0].max()) / 2 * spacing[1], (body[1].min() + body[1].max()) / 2 * spacing[2])
    return Atlas(tissue, spacing, float(rows.max()) * spacing[0], (float(middle[0]), float(middle[1])), half)


def _solid(labels: UInt8[np.ndarray, "z y x"]) -> Tissues:
    table = np.full(256, Tissue.AIR, dtype=np.uint8)
    for tissue, numbers in _SOLID.items():
        table[list(numbers)] = tissue
    return table[labels]


def _hollow(tissue: Tissues, outer: int, inner: int, thickness: float, spacing: Triple) -> None:
    where = tissue == outer
    if not where.any():
        return
    # One voxel more on each side: the surface at the box's own border counts too.
    box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in ndimage.find_objects(where.astype(np.uint8))[0])
    depth = np.asarray(ndimage.distance_transform_edt(where[box], sampling=spacing))
    tissue[box][depth > thickness] = inner


def _body(tissue: Tissues, spacing: Triple) -> tuple[float, float]:
    """Fill the unlabelled body: hull of all structures, then muscle, fat and skin round it; returns its half axes."""
    hull = np.zeros(tissue.shape, dtype=np.float32)
    for k in range(tissue.shape[0]):
        hull[k] = _hull(tissue[k] != Tissue.AIR)
    hull = np.asarray(ndimage.gaussian_filter(hull, (6.0 / spacing[0], 3.0 / spacing[1], 3.0 / spacing[2])))
    inner = hull > 0.5
    distance = np.empty(tissue.shape, dtype=np.float32)
    for k in range(tissue.shape[0]):
        out = ndimage.distance_transform_edt(~inner[k], sampling=spacing[1:])
        depth = ndimage.distance_transform_edt(inner[k], sampling=spacing[1:])
        distance[k] = np.asarray(out) - np.asarray(depth)
    free = tissue == Tissue.AIR
    # From the outside in, each over the one before: 2 mm of skin, 12 mm of fat, a wall of muscle, fat between organs.
    tissue[free & (distance <= 17.0)] = Tissue.SKIN
    tissue[free & (distance <= 15.0)] = Tissue.FAT
    tissue[free & (distance <= 3.0)] = Tissue.MUSCLE
    tissue[free & (distance <= -7.0)] = Tissue.FAT
    body = np.nonzero((distance <= 17.0).any(axis=0))
    return float(np.ptp(body[0])) / 2 * spacing[1], float(np.ptp(body[1])) / 2 * spacing[2]


def _hull(mask: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    points = np.argwhere(mask)
    if len(points) < 3:
        return np.zeros(mask.shape, dtype=bool)
    try:
        sides = ConvexHull(points).equations
    except QhullError:
        # All points lie on one line.
        return np.zeros(mask.shape, dtype=bool)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    out = np.ones(mask.shape, dtype=bool)
    for normal_y, normal_x, offset in sides:
        out &= normal_y * y + normal_x * x + offset <= 1e-9
    return out


def _warp_into(
    tissue_map: TissueMap, atlas: Atlas, scale: Float64[np.ndarray, " 3"], amplitude: float, rng: np.random.Generator
) -> None:
    """Nearest-neighbour sampling of the atlas at smoothly displaced positions, slab by slab."""
    depth, height, width = tissue_map.values.shape
    coarse = (max(depth // 4, 4), max(height // 4, 4), max(width // 4, 4))
    steps = [float(a[-1] - a[0]) / n for a, n in zip((tissue_map.z, tissue_map.y, tissue_map.x), coarse, strict=True)]
    cells = tuple(50.0 / step for step in steps)
    bends = [0.7 * amplitude * coarse_noise(coarse, (cells[0], cells[1], cells[2]), rng) for _ in range(3)]
    source = torch.from_numpy(atlas.tissue.astype(np.float32))[None, None]
    angle = np.deg2rad(rng.normal(0, 3))
    extent = [n * s for n, s in zip(atlas.tissue.shape, atlas.spacing, strict=True)]
    for first in range(0, depth, 16):
        last = min(first + 16, depth)
        at = _slab_positions(tissue_map, bends, (first, last), scale, angle)
        at = [at[0] + atlas.dome, at[1] + atlas.middle[0], at[2] + atlas.middle[1]]
        unit = [2.0 * (p + 0.5 * s) / e - 1.0 for p, s, e in zip(at, atlas.spacing, extent, strict=True)]
        grid = torch.from_numpy(np.stack([unit[2], unit[1], unit[0]], axis=-1).astype(np.float32))[None]
        part = torch.nn.functional.grid_sample(source, grid, mode="nearest", align_corners=False)
        tissue_map.values[first:last] = part[0, 0].numpy().astype(np.uint8)


def _slab_positions(
    tissue_map: TissueMap,
    bends: list[Float32[np.ndarray, "a b c"]],
    rows: tuple[int, int],
    scale: Float64[np.ndarray, " 3"],
    angle: float,
) -> list[Float32[np.ndarray, "z y x"]]:
    depth, height, width = tissue_map.values.shape
    span = np.arange(rows[0], rows[1]) / max(depth - 1, 1) * (bends[0].shape[0] - 1)
    low = np.clip(span.astype(int), 0, bends[0].shape[0] - 2)
    weight = (span - low).astype(np.float32)[:, None, None]
    z = tissue_map.z[rows[0] : rows[1], None, None]
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y0, x0 = tissue_map.y[None, :, None], tissue_map.x[None, None, :]
    straight = (z + 0 * y0 * x0, c * y0 - s * x0 + 0 * z, s * y0 + c * x0 + 0 * z)
    out: list[Float32[np.ndarray, "z y x"]] = []
    for base, bend, factor in zip(straight, bends, scale, strict=True):
        slab = bend[low] * (1 - weight) + bend[low + 1] * weight
        out.append((base / np.float32(factor) + enlarge(slab, (rows[1] - rows[0], height, width))).astype(np.float32))
    return out


def _fill_hollow(tissue_map: TissueMap, rng: np.random.Generator) -> None:
    """Gas above fluid in the stomach; gas and stool in patches of the bowel."""
    gas_level = rng.uniform(-70, 0)
    gas = (tissue_map.values == Tissue.STOMACH_CONTENT) & (tissue_map.y[None, :, None] < gas_level)
    tissue_map.values[gas] = Tissue.STOMACH_GAS
    a, b, c = tissue_map.values.shape
    patches = coarse_noise((a, b, c), (24.0, 20.0, 20.0), rng)
    bowel = tissue_map.values == Tissue.BOWEL_CONTENT
    tissue_map.values[bowel & (patches > 0.9)] = Tissue.BOWEL_GAS
    tissue_map.values[bowel & (patches < -0.5)] = Tissue.STOOL
