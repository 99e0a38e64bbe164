"""A liver of real shape in a procedural body: mask read, bent, placed under the dome, neighbours moved aside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from scipy import ndimage

from livercascade.data.errors import InputError
from livercascade.io.nifti import read_labels
from livercascade.virtual.bodies.whole_body import WholeBody
from livercascade.virtual.body_builder import ABDOMINAL, DistanceField
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import COARSE_MM
from livercascade.virtual.vessel_trees import paint_liver_vessels

_CELL_MM = 3.0
_EDGE_MM = 15.0
_LIVER_ML = (300.0, 5000.0)
"""Volumes that a whole liver can have; masks of others have a wrong spacing, or are none."""
_SPINE_MM = 29.0
"""Distance of a liver from the middle of the spine."""
_KEPT = 0.97
"""Share of a liver that must fit between ribs and spine; what does not is scaled down."""
_STEPS_MM = np.arange(-40.0, 41.0, 8.0)
_NEIGHBOURS = (*ABDOMINAL, Tissue.STOMACH_WALL, Tissue.RENAL_CORTEX, Tissue.SPLEEN, Tissue.ADRENAL)


@dataclass(frozen=True, slots=True, eq=False)
class RealLiver:
    """Shape of a real liver.

    Attributes:
        field: Signed distance in mm on a grid of 3 mm, negative inside, ``[z, y, x]``, x to the left, y to the back.
        points: Some of its voxels, mm (z, y, x) from the middle of that grid.
    """

    field: Float32[np.ndarray, "z y x"]
    points: Float64[np.ndarray, "n 3"]


@lru_cache(maxsize=4)
def load_liver(path: Path) -> RealLiver:
    """Read a mask: every voxel above 0 is liver.

    Raises:
        InputError: It holds no liver (``NO_LIVER``), the volume is none that a whole liver has (``ODD_LIVER``), or as
            `read_labels`.
    """
    labels, grid = read_labels(path, classes=256)
    mask = labels > 0
    if not mask.any():
        raise InputError("NO_LIVER", f"{path.name} holds no voxel above 0.", "Give masks of whole livers.")
    volume = float(np.count_nonzero(mask)) * grid.voxel_ml
    if not _LIVER_ML[0] <= volume <= _LIVER_ML[1]:
        raise InputError(
            "ODD_LIVER",
            f"{path.name} holds {volume:.0f} ml.",
            f"Give masks of whole livers with the right spacing ({_LIVER_ML[0]:.0f} to {_LIVER_ML[1]:.0f} ml).",
        )
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    margin = [(round(_EDGE_MM / s) + 1,) * 2 for s in grid.spacing]
    padded = np.pad(mask[box], margin).astype(np.float32)
    small = np.asarray(ndimage.zoom(padded, [s / _CELL_MM for s in grid.spacing], order=1)) > 0.5
    out, inside = ndimage.distance_transform_edt(~small), ndimage.distance_transform_edt(small)
    field = np.asarray(out) - np.asarray(inside)
    # Distances between voxel centres: half a cell lies on either side of the surface.
    field = (field - 0.5 * np.sign(field)) * _CELL_MM
    field = np.asarray(ndimage.gaussian_filter(field, 0.6), dtype=np.float32)
    where = np.argwhere(small)
    middle = (np.array(small.shape) - 1) / 2
    return RealLiver(field, (where[:: max(1, len(where) // 4000)] - middle) * _CELL_MM)


def room_for(habitus: Habitus, liver: RealLiver) -> Habitus:
    """The habitus with a trunk wide and deep enough for a liver, and not much wider or deeper."""
    half_y, half_x = habitus.cavity
    _, deep, wide = np.ptp(liver.points, axis=0)
    more_y = _change(half_y, 0.54 * float(deep) + 2.0, 0.66 * float(deep) + 2.0)
    more_x = _change(half_x, 0.57 * float(wide), 0.68 * float(wide))
    return replace(
        habitus,
        half_width=habitus.half_width + more_x,
        half_depth=habitus.half_depth + more_y,
        fov=habitus.fov + 2.0 * more_x,
    )


def _change(half: float, least: float, most: float) -> float:
    """What brings a half axis between two lengths: up to 45 mm more, up to 20 mm less."""
    return float(np.clip(max(least - half, 0.0) + min(most - half, 0.0), -20.0, 45.0))


def fit_liver(body: WholeBody, liver: RealLiver) -> None:
    """Place a liver in a body, warped; diaphragm and right kidney follow it.

    Its right side touches the ribs, its top the dome. A liver that finds no room between ribs and spine is made
    smaller, and what is left over is cut.
    """
    rng = body.rng
    matrix = _affine(rng)
    shift, kept = _place(body, liver.points @ matrix.T)
    for _ in range(3):
        if kept >= _KEPT:
            break
        matrix = matrix * 0.96
        shift, kept = _place(body, liver.points @ matrix.T)
    field = _warped(body, liver, matrix, shift)
    y, x = body.y - body.habitus.spine_y, body.x
    spine = np.hypot(0.9 * x, y) - _SPINE_MM
    field = np.maximum(np.maximum(field, body.cavity + 2.0), -spine).astype(np.float32)
    body.liver_field = field
    body.diaphragm = _lifted(body, field)
    _lower_kidney(body, field)


def real_liver(body: WholeBody) -> None:
    """Paint the liver that was placed: neighbours keep a rim of fat or their own wall."""
    field = body.liver_field
    if field is None:
        return
    if body.habitus.cirrhotic:
        cells = 11.0 / COARSE_MM
        field = field + body.rng.uniform(1.0, 2.2) * coarse_noise(body.shape, (cells, cells, cells), body.rng)
    field = np.maximum(field, 3.0 - body.diaphragm).astype(np.float32)
    tissue_map = body.tissue_map
    if body.habitus.ascites:
        fluid = np.maximum(field, body.cavity + 1.0).astype(np.float32)
        tissue_map.fill(fluid, (float(body.rng.uniform(5, 16)), Tissue.FLUID), only=ABDOMINAL)
    tissue_map.fill(field, (6.0, Tissue.STOMACH_WALL), only=(Tissue.STOMACH_CONTENT, Tissue.STOMACH_GAS))
    tissue_map.fill(field, (2.0, Tissue.FAT), only=_NEIGHBOURS)
    tissue_map.fill(field, (0.0, Tissue.LIVER))
    body.hilum[:] = _hilum(body, field)


def gallbladder_below(body: WholeBody) -> None:
    """Gallbladder under the liver, between its lobes; 12 % have none."""
    if body.rng.random() < 0.12 or body.liver_field is None:
        return
    at = body.hilum + np.array([0.0, -30.0, -20.0]) + body.rng.normal(0, 6, 3)
    column = (np.abs(body.straight[1] - at[1]) < 8.0) & (np.abs(body.straight[2] - at[2]) < 8.0)
    inside = column & (body.liver_field < 0)
    if not inside.any():
        return
    size = float(body.rng.uniform(0.7, 1.25))
    low = float(body.z[inside].min()) - 6.0 * size
    gall = body.ellipsoid((low, float(at[1]), float(at[2])), (27.0 * size, 17.0 * size, 14.0 * size))
    only = (*ABDOMINAL, Tissue.LIVER, Tissue.STOMACH_WALL)
    body.tissue_map.fill(gall, (0.0, Tissue.GALLBLADDER_WALL), (-2.0, Tissue.BILE), only=only)


def liver_vessels(body: WholeBody) -> None:
    """Portal and hepatic trees that follow the liver's own shape."""
    body.hilum[:] = paint_liver_vessels(body.tissue_map, body.rng)


def _affine(rng: np.random.Generator) -> Float64[np.ndarray, "3 3"]:
    """Scaled, turned and sheared a little along every axis (z, y, x)."""
    a, b, c = (float(v) for v in np.deg2rad(np.clip(rng.normal(0, 4, 3), -8, 8)))
    about_x = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    stretch = np.diag(rng.uniform(0.9, 1.1, 3)) + np.clip(rng.normal(0, 0.04, (3, 3)), -0.08, 0.08) * (1 - np.eye(3))
    return about_x @ about_y @ about_z @ stretch


def _place(body: WholeBody, points: Float64[np.ndarray, "n 3"]) -> tuple[Float64[np.ndarray, " 3"], float]:
    """Shift (z, y, x) in mm that puts points best between ribs and spine, and the share of them that fits."""
    h = body.habitus
    half_x = h.cavity[1]
    low, high = points.min(axis=0), points.max(axis=0)
    top = float(-4.0 + body.plan.dome_mm - high[0])
    first = np.array([top, -0.5 * (low[1] + high[1]) - 2.0, -half_x + 6.0 - low[2]])
    right = points[:, 2] < low[2] + 12.0
    best, cost, kept = first, np.inf, 0.0
    for dy in _STEPS_MM:
        for dx in _STEPS_MM[4:]:
            shift = first + np.array([0.0, dy, dx])
            at = points + shift
            wall = _ribs(body, at)
            spine = np.hypot(0.9 * at[:, 2], at[:, 1] - h.spine_y) - _SPINE_MM
            bad = (wall > -2.0) | (spine < 0.0)
            here = 20.0 * float(bad.mean()) + 0.02 * float(np.abs(wall[right] + 6.0).mean()) + 0.002 * abs(float(dy))
            if here < cost:
                best, cost, kept = shift, here, 1.0 - float(bad.mean())
    return best, kept


def _ribs(body: WholeBody, at: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
    """Distance to the inner wall of the trunk without its bending, mm, negative inside."""
    half_y, half_x = body.habitus.cavity
    rho = (np.abs(at[:, 2] / half_x) ** 2.4 + np.abs((at[:, 1] + 4.0) / half_y) ** 2.4) ** (1 / 2.4)
    return (rho - 1.0) * half_y


def _warped(
    body: WholeBody, liver: RealLiver, matrix: Float64[np.ndarray, "3 3"], shift: Float64[np.ndarray, " 3"]
) -> DistanceField:
    """Signed distance to the placed liver on the body's coarse grid; it bends with the body and by itself."""
    cells = (45.0 / COARSE_MM, 45.0 / COARSE_MM, 45.0 / COARSE_MM)
    away = [
        axis - np.float32(at) + 3.0 * coarse_noise(body.shape, cells, body.rng)
        for axis, at in zip((body.z, body.y, body.x), shift, strict=True)
    ]
    back = np.linalg.inv(matrix) / _CELL_MM
    middle = (np.array(liver.field.shape) - 1) / 2
    index = [sum(np.float32(back[n, k]) * away[k] for k in range(3)) + np.float32(middle[n]) for n in range(3)]
    reach = float(liver.field.max())
    field = ndimage.map_coordinates(liver.field, index, order=1, mode="constant", cval=reach)
    return (np.asarray(field) * float(np.cbrt(np.linalg.det(matrix)))).astype(np.float32)


def _lifted(body: WholeBody, field: DistanceField) -> DistanceField:
    """The diaphragm drawn over the liver: it follows the liver's top on the right, and clears it on the left."""
    heights = body.straight[0][:, 0, 0]
    inside = field < 0
    covered = np.asarray(inside.any(axis=0))
    if not covered.any():
        return body.diaphragm
    last = len(heights) - 1 - np.argmax(inside[::-1], axis=0)
    step = [float(np.ptp(body.straight[k])) / (body.shape[k] - 1) for k in (1, 2)]
    away, nearest = ndimage.distance_transform_edt(~covered, sampling=step, return_indices=True)
    top = heights[last[nearest[0], nearest[1]]] - 1.3 * np.asarray(away)
    top = np.asarray(ndimage.gaussian_filter(top, 1.0)) + 5.0
    over = (top[None] - body.straight[0]).astype(np.float32)
    weight = 1.0 / (1.0 + np.exp((body.straight[2] + 5.0) / 12.0))
    if heights[last[covered]].max() >= heights[-1] - 1.0:
        # The scan begins within the liver: its top is not known.
        return np.maximum(body.diaphragm, over)
    return (weight * over + (1.0 - weight) * np.maximum(body.diaphragm, over)).astype(np.float32)


def _lower_kidney(body: WholeBody, field: DistanceField) -> None:
    """Lower the right kidney until the liver hardly reaches into it."""
    for down in (0.0, -15.0, -30.0, -45.0, -60.0):
        body.right_kidney_mm = down
        kidney = body.ellipsoid((-150.0 + down, body.habitus.spine_y - 8.0, -62.0), (54.0, 26.0, 29.0))
        inside = kidney < 0
        if not inside.any() or float((field[inside] < 0).mean()) < 0.12:
            return


def _hilum(body: WholeBody, field: DistanceField) -> Float64[np.ndarray, " 3"]:
    """The place on the liver's lower surface next to where the portal vein comes from."""
    rows = np.argwhere((field < 0) & (field > -9.0))
    if not len(rows):
        return body.hilum
    at = np.stack([body.straight[k][tuple(rows.T)] for k in range(3)], axis=1).astype(np.float64)
    far = np.linalg.norm((at - np.array([-105.0, 6.0, -14.0])) * (0.8, 1.0, 1.0), axis=1)
    return at[int(far.argmin())]
