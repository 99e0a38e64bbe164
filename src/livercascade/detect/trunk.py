"""What a CT shows of a trunk: body, lungs and spine, on voxels of about 4 mm, before and without any network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16, Shaped
from scipy import ndimage

from livercascade.data.grid import Grid, Triple

VOXEL_MM = 4.0
"""Voxels are averaged to about this size: noise of thin slices falls below the differences between tissues."""
BODY_HU = -300.0
"""Between lung and fat; everything denser is the patient, or the table."""
LUNG_HU = (-940.0, -400.0)
"""Mean of aerated lung, from inflated apices to the bases at expiration; gas in bowel and air outside are emptier."""
BONE_HU = 150.0
"""Trabecular bone of adults averages 150 to 250 HU at 120 kVp; soft tissue without contrast medium stays below 80."""
LUNG_PIECE_ML = 40.0
"""Smaller pieces at the HU of lung are the rims of gas in bowel, or airways."""
SPINE_WIDTH_MM = 45.0
"""Half of the width about the middle of the body in which the spine is looked for; scoliosis rarely exceeds it."""
ODD_HU = (-380.0, -180.0)
"""No tissue has these HU but where lung and soft tissue share a voxel."""
SOFT_HU = (-160.0, 120.0)
"""From fat to muscle, with their spread."""
UNDER_SKIN_MM = (6.0, 16.0)
"""Depth at which there is fat, or muscle in the lean, and neither organ nor bone but for ribs and crests."""
SPINE_CM2 = 2.0
"""Least bone of a vertebra in an axial section; its body alone has 8 to 15 cm²."""


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """One phase on voxels of about 4 mm, and what is seen in it without a network.

    Attributes:
        hu: Mean HU, ``[z, y, x]`` in canonical orientation: to the head, to the back, to the patient's left.
        spacing: Voxel spacing (z, y, x) in mm.
        factor: Voxels of the scan in one voxel along z, y, x.
        body: The patient: the largest connected piece without table, clothes and what hangs on by a thin sheet.
        lung: Aerated lung.
        bone: Bone of the body; vessels and kidneys full of contrast medium are in it too.
    """

    hu: Float32[np.ndarray, "z y x"]
    spacing: Triple
    factor: tuple[int, int, int]
    body: Bool[np.ndarray, "z y x"]
    lung: Bool[np.ndarray, "z y x"]
    bone: Bool[np.ndarray, "z y x"]

    @classmethod
    def of(cls, hu: Int16[np.ndarray, "z y x"], grid: Grid) -> Trunk:
        """Trunk in one phase.

        Args:
            hu: The phase.
            grid: Its grid; the spacing alone plays a part.
        """
        factor = _factor(grid)
        z, y, x = (s * f for s, f in zip(grid.spacing, factor, strict=True))
        mean = coarse_mean(hu, factor)
        body = body_of(mean, (z, y, x))
        return cls(mean, (z, y, x), factor, body, _lung(mean, body, (z, y, x)), body & (mean > BONE_HU))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def pixel_cm2(self) -> float:
        """Area of a pixel of a slice in cm²."""
        return self.spacing[1] * self.spacing[2] / 100.0

    @property
    def spine_share(self) -> float:
        """Share of the slices with body that show a spine, 0 to 1."""
        slices = self.body.any(axis=(1, 2))
        return float(np.mean(~np.isnan(self.spine()[slices, 0]))) if slices.any() else 0.0

    @property
    def odd_share(self) -> float:
        """Share of the body at HU that no tissue has: between lung and fat, 0 to 1."""
        values = self.hu[self.body]
        return float(np.mean((values > ODD_HU[0]) & (values < ODD_HU[1]))) if values.size else 1.0

    @property
    def soft_skin_share(self) -> float:
        """Share of what lies 6 to 16 mm under the skin that has the HU of fat or muscle, 0 to 1."""
        # Where a crop cuts the body there is no skin.
        depth = np.stack(
            [
                ndimage.distance_transform_edt(np.pad(one, 1, mode="edge"), sampling=self.spacing[1:])[1:-1, 1:-1]
                for one in self.body
            ]
        )
        values = self.hu[self.body & (depth > UNDER_SKIN_MM[0]) & (depth < UNDER_SKIN_MM[1])]
        return float(np.mean((values > SOFT_HU[0]) & (values < SOFT_HU[1]))) if values.size else 0.0

    def lung_cm2(self) -> Float[np.ndarray, " z"]:
        """Section of the lungs in every slice."""
        return self.lung.sum(axis=(1, 2)) * self.pixel_cm2

    def coarse(self, region: Bool[np.ndarray, "z y x"], *, least: float = 0.5) -> Bool[np.ndarray, "a b c"]:
        """A region of the scan on these voxels: those of which it fills more than ``least``."""
        return coarse_mean(region, self.factor) > least

    def body_in(self, hu: Int16[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
        """The body on the voxels of the scan; its edge, a voxel of 4 mm wide, is drawn by HU.

        Args:
            hu: The phase that this trunk is of.
        """
        near = ndimage.binary_dilation(self.body, _disc(1))
        far = ndimage.binary_erosion(self.body, _disc(1), border_value=1)
        depth, height, width = hu.shape
        out = np.empty(hu.shape, dtype=np.bool_)
        for z in range(depth):
            edge, inside = (
                np.repeat(np.repeat(one[z // self.factor[0]], self.factor[1], 0), self.factor[2], 1)[:height, :width]
                for one in (near, far)
            )
            out[z] = inside | (edge & (hu[z] > BODY_HU))
        return out

    def spine(self) -> Float[np.ndarray, "z 2"]:
        """Centre (y, x) in voxels of the bone about the middle of the body's back half, per slice; NaN without any."""
        out = np.full((len(self.hu), 2), np.nan)
        for z, (body, bone) in enumerate(zip(self.body, self.bone, strict=True)):
            rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
            if not rows.size:
                continue
            middle, half = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
            y, x = np.nonzero(bone)
            near = (np.abs(x - middle) * self.spacing[2] <= SPINE_WIDTH_MM) & (y >= half)
            if np.count_nonzero(near) * self.pixel_cm2 >= SPINE_CM2:
                out[z] = float(y[near].mean()), float(x[near].mean())
        return out


def _factor(grid: Grid) -> tuple[int, int, int]:
    z, y, x = (max(1, round(VOXEL_MM / s)) for s in grid.spacing)
    return z, y, x


def coarse_mean(values: Shaped[np.ndarray, "z y x"], factor: tuple[int, int, int]) -> Float32[np.ndarray, "a b c"]:
    """Means of blocks of ``factor`` voxels; blocks at the upper ends hold what is left."""
    out = np.asarray(values, dtype=np.float32)
    for axis, size in enumerate(factor):
        if size > 1:
            starts = np.arange(0, out.shape[axis], size)
            counts = np.diff(np.append(starts, out.shape[axis])).astype(np.float32)
            shape = [1, 1, 1]
            shape[axis] = len(counts)
            out = np.add.reduceat(out, starts, axis=axis) / counts.reshape(shape)
    return out


def body_of(mean: Float32[np.ndarray, "z y x"], spacing: Triple) -> Bool[np.ndarray, "z y x"]:
    """The patient in a scan: the largest connected piece of tissue, gas inside it included.

    Sheets thinner than about 8 mm are cut first, so that a table that touches the back is no part of the body.

    Args:
        mean: HU, averaged in the plane to pixels of 2 to 4 mm.
        spacing: Voxel spacing (z, y, x) in mm.
    """
    tissue = mean > BODY_HU
    reach = max(1, round(4.0 / max(spacing[1:])))
    disc = _disc(reach)
    # Beyond the border the body goes on: a crop must not lose its rim.
    core = ndimage.binary_erosion(tissue, disc, border_value=1)
    pieces, count = ndimage.label(ndimage.binary_dilation(core, disc) & tissue)
    if not count:
        return np.zeros(tissue.shape, dtype=np.bool_)
    largest = pieces == int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    return _filled(largest)


def _disc(reach: int) -> Bool[np.ndarray, "1 y x"]:
    step = np.arange(-reach, reach + 1)
    return (step[:, None] ** 2 + step[None, :] ** 2 <= reach**2 + 0.5)[None]


def _filled(region: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Fill what no path inside the slice joins to the border; one labelling of all slices."""
    in_slice = np.zeros((3, 3, 3), dtype=bool)
    in_slice[1] = ndimage.generate_binary_structure(2, 1)
    parts, count = ndimage.label(np.pad(~region, ((0, 0), (1, 1), (1, 1)), constant_values=True), structure=in_slice)
    is_open = np.zeros(count + 1, dtype=bool)
    is_open[parts[:, 0, 0]] = True
    return ~is_open[parts][:, 1:-1, 1:-1]


def _lung(
    mean: Float32[np.ndarray, "z y x"], body: Bool[np.ndarray, "z y x"], spacing: Triple
) -> Bool[np.ndarray, "z y x"]:
    """Pieces at the HU of lung with body on three sides or more in their slice: a crop may open the fourth."""
    airy = (mean > LUNG_HU[0]) & (mean < LUNG_HU[1]) & (_sides(body) >= 3)
    # Rims of gas in bowel are one voxel thin.
    opened = ndimage.binary_opening(airy, np.ones((1, 3, 3), dtype=bool))
    pieces, count = ndimage.label(opened)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    large = np.bincount(pieces.ravel(), minlength=count + 1) * voxel_ml >= LUNG_PIECE_ML
    large[0] = False
    return large[pieces]


def _sides(body: Bool[np.ndarray, "z y x"]) -> Int16[np.ndarray, "z y x"]:
    """On how many of the four sides within its slice each voxel has body."""
    out = np.zeros(body.shape, dtype=np.int16)
    for axis in (1, 2):
        out += np.maximum.accumulate(body, axis=axis)
        out += np.flip(np.maximum.accumulate(np.flip(body, axis), axis=axis), axis)
    return out
