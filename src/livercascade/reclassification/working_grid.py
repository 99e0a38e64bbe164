"""From the CT grid to the grid of the patches: the liver box at the working spacing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int16, UInt8
from scipy import ndimage

from livercascade.data.grid import Grid, Shape, Triple
from livercascade.data.labels import PHASES, Phase
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import bounding_box
from livercascade.reclassification.patches import WORKING_SPACING, PatchVolume, liver_region, patch_labels

MARGIN_MM = 10.0
"""Room kept round the liver region on every side."""

Normalise = Callable[[Phase, Float32[np.ndarray, "z y x"]], Float32[np.ndarray, "z y x"]]
"""HU of one phase to the values the network was trained on."""


@dataclass(frozen=True, slots=True)
class WorkingScan:
    """One patient on the grid of the patches.

    Attributes:
        volume: Image (one channel per phase, in channel order) and patch classes.
        proposals: The proposals on this grid, in the order in which they were given.
        grid: The working grid.
    """

    volume: PatchVolume
    proposals: LesionSet
    grid: Grid


def to_working_grid(
    scan: Scan,
    mask: UInt8[np.ndarray, "z y x"],
    proposals: LesionSet,
    *,
    normalise: Normalise,
    fill: Mapping[Phase, float],
    spacing: Triple = WORKING_SPACING,
) -> WorkingScan:
    """The liver of a scan as patches need it.

    Phases that are absent are 0 everywhere, after normalisation.

    Args:
        scan: The phases, in HU.
        mask: Labels 0-13 on the scan's grid.
        proposals: Lesions of ``mask``.
        normalise: Called once per phase that is present.
        fill: Normalised value of each present phase for voxels outside the liver.
        spacing: Working spacing (z, y, x) in mm.

    Raises:
        ValueError: ``mask`` or ``proposals`` do not lie on the scan's grid, or there is neither liver nor lesion.
    """
    if mask.shape != scan.grid.shape or proposals.shape != scan.grid.shape:
        raise ValueError(f"scan {scan.grid.shape}, mask {mask.shape} and proposals {proposals.shape} differ in shape")
    liver = liver_region(mask)
    grid = liver_grid(liver, scan.grid, spacing)
    image = np.zeros((len(PHASES), *grid.shape), dtype=np.float32)
    for phase in scan.phases:
        image[phase.index] = normalise(phase, resample_linear(scan.hu[phase], scan.grid, grid))
    labels = resample_nearest(patch_labels(mask, liver), scan.grid, grid)
    moved = resample_lesions(proposals, scan.grid, grid)
    for lesion in moved:
        # A lesion that keeps a single voxel may have no label there.
        inside = labels[lesion.bbox]
        inside[lesion.mask & ((inside < 1) | (inside > 6))] = int(lesion.label)
    fills = [float(fill[p]) if p in scan.hu else 0.0 for p in PHASES]
    return WorkingScan(PatchVolume.of(image, labels, grid.spacing, fills), moved, grid)


def liver_grid(liver: Bool[np.ndarray, "z y x"], grid: Grid, spacing: Triple, *, margin_mm: float = MARGIN_MM) -> Grid:
    """Grid of the box round the liver region, with the directions of ``grid`` and the given spacing.

    Raises:
        ValueError: The region is empty.
    """
    box = bounding_box(liver)
    if box is None:
        raise ValueError("there is neither liver nor lesion to make patches of")
    old, new = np.asarray(grid.spacing), np.asarray(spacing)
    margin = np.ceil(margin_mm / new) * new
    first = np.array([s.start for s in box]) * old - margin
    length = (np.array([s.stop - s.start for s in box]) - 1) * old + 2 * margin
    # A length that fits exactly must not gain a voxel by rounding.
    z, y, x = (int(n) + 1 for n in np.ceil(length / new - 1e-6))
    px, py, pz = (float(v) for v in grid.world(first / old))
    return Grid((z, y, x), spacing, (px, py, pz), grid.direction)


def resample_linear(
    values: Float[np.ndarray, "z y x"] | Int16[np.ndarray, "z y x"], source: Grid, target: Grid
) -> Float32[np.ndarray, "a b c"]:
    """Values on ``target`` by linear interpolation; the border goes on outside.

    Axes that get coarser by half or more are averaged first, as a thick slice averages.
    """
    start, step = _index_map(source, target)
    out = values
    for axis, size in enumerate(np.rint(step).astype(int)):
        if size > 1:
            out = ndimage.uniform_filter1d(out.astype(np.float32, copy=False), int(size), axis=axis, mode="nearest")
    result: Float32[np.ndarray, "a b c"] = np.empty(target.shape, dtype=np.float32)
    ndimage.affine_transform(out, step, offset=start, output=result, order=1, mode="nearest")
    return result


def resample_nearest(labels: UInt8[np.ndarray, "z y x"], source: Grid, target: Grid) -> UInt8[np.ndarray, "a b c"]:
    """Labels on ``target``, each from the nearest voxel; 0 outside ``source``."""
    out = np.zeros(target.shape, dtype=labels.dtype)
    nearest = _nearest(source, target)
    inside = [(i >= 0) & (i < n) for i, n in zip(nearest, source.shape, strict=True)]
    picked = [i[k] for i, k in zip(nearest, inside, strict=True)]
    out[np.ix_(*inside)] = labels[np.ix_(*picked)]
    return out


def resample_lesions(lesions: LesionSet, source: Grid, target: Grid) -> LesionSet:
    """The same lesions, one for one and in the same order, on another grid.

    A lesion too small to meet a voxel centre of ``target`` keeps the voxel nearest to its centre of mass.
    Volumes are those on ``target``; labels and centroids stay.
    """
    nearest = _nearest(source, target)
    moved = tuple(_resample_lesion(lesion, nearest, target) for lesion in lesions)
    return LesionSet(moved, target.shape, target.spacing)


def _resample_lesion(lesion: Lesion, nearest: list[Int[np.ndarray, " _"]], target: Grid) -> Lesion:
    hits = [np.flatnonzero((i >= s.start) & (i < s.stop)) for i, s in zip(nearest, lesion.bbox, strict=True)]
    picked = [i[h] - s.start for i, h, s in zip(nearest, hits, lesion.bbox, strict=True)]
    mask = lesion.mask[np.ix_(*picked)]
    if not mask.any():
        centre = np.rint(target.voxel(np.array(lesion.centroid))).astype(int)
        hits = [np.array([min(max(int(c), 0), n - 1)]) for c, n in zip(centre, target.shape, strict=True)]
        mask = np.ones((1, 1, 1), dtype=bool)
    z, y, x = (slice(int(h[0]), int(h[-1]) + 1) for h in hits)
    volume = int(np.count_nonzero(mask)) * target.voxel_ml
    return replace(lesion, bbox=(z, y, x), mask=mask, volume_ml=volume)


def _index_map(source: Grid, target: Grid) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Index in ``source`` of the first voxel of ``target``, and the step from voxel to voxel."""
    start = source.voxel(np.array(target.origin))
    return start, np.asarray(target.spacing) / np.asarray(source.spacing)


def _nearest(source: Grid, target: Grid) -> list[Int[np.ndarray, " _"]]:
    start, step = _index_map(source, target)
    shape: Shape = target.shape
    # np.rint would go to the even index, now up and now down.
    return [np.floor(s + d * np.arange(n) + 0.5).astype(np.int64) for s, d, n in zip(start, step, shape, strict=True)]
