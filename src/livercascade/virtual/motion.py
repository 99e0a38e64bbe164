"""Known motion of one phase against VP: a smooth, invertible map between both, and how tissue follows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Int32

from livercascade.data.grid import Grid, Triple
from livercascade.virtual.tissue_map import TissueMap

Points = Float32[np.ndarray, "n 3"]
TOLERANCE_MM = 1e-3
"""Largest step at which an inversion has converged."""
# With slopes up to 0.7 a step shrinks the error to 0.7 of it: 30 steps take 40 mm below 0.001 mm.
_MAX_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where the tissue of one phase lies, against VP.

    A point of the moving phase first drifts, then slides along z, and is then at its place in VP. Each step can be
    undone alone by a fixed-point iteration that converges: the drift changes by less than its step (it is a
    contraction), the slide does so along z. Their product is thus free of folds by construction.

    Attributes:
        slide: mm along z towards the head, on a lattice over the tissue map; its slope along z is under 1.
        drift: mm along z, y and x, on the same lattice; every slope is under 1.
        low, high: Position (z, y, x) in mm of the first and the last lattice point.
    """

    slide: Float32[np.ndarray, "a b c"]
    drift: Float32[np.ndarray, "3 a b c"]
    low: Triple
    high: Triple

    def at_rest(self, moved: Points) -> Points:
        """PositionMm in VP (z, y, x in mm) of the tissue that this phase shows at ``moved``."""
        out = moved + self._drift(moved)
        out[:, 0] += self._slide(out)
        return out

    def moved(self, at_rest: Points, guess: Points | None = None) -> Points:
        """PositionMm in this phase of the tissue that lies ``at_rest`` in VP: the inverse, to 0.001 mm.

        Args:
            at_rest: Positions (z, y, x) in mm.
            guess: First guess, to save steps.
        """
        slid = at_rest.copy()
        if guess is not None:
            slid[:, 0] = (guess + self._drift(guess))[:, 0]
        for _ in range(_MAX_STEPS):
            step = at_rest[:, 0] - self._slide(slid) - slid[:, 0]
            slid[:, 0] += step
            if np.abs(step).max() < TOLERANCE_MM:
                break
        out = slid if guess is None else guess
        for _ in range(_MAX_STEPS):
            new = slid - self._drift(out)
            step, out = np.abs(new - out).max(), new
            if step < TOLERANCE_MM:
                break
        return out

    def displacement(self, grid: Grid) -> Float32[np.ndarray, "z y x 3"]:
        """LPS mm (x, y, z) from each voxel of an axial VP grid to where this phase shows the same tissue."""
        (dz, dy, dx), (x0, y0, z0) = grid.spacing, grid.origin
        z, y, x = (
            (first + step * np.arange(n)).astype(np.float32)
            for first, step, n in zip((z0, y0, x0), (dz, dy, dx), grid.shape, strict=True)
        )
        rows, columns = self._reach(y, x)
        out = np.zeros((*grid.shape, 3), dtype=np.float32)
        step: Float32[np.ndarray, "n 3"] | None = None
        for k, height in enumerate(z):
            places = _slice_places(height, y[rows], x[columns])
            # The motion of the slice below is a good start.
            step = self.moved(places, None if step is None else places + step) - places
            out[k, rows, columns] = step[:, ::-1].reshape(rows.stop - rows.start, columns.stop - columns.start, 3)
        # Whole thousandths of a mm, which pack well.
        return np.rint(out * 1024.0) / np.float32(1024.0)

    def sources(self, tissue_map: TissueMap) -> Int32[np.ndarray, "z y x"]:
        """Flat index, for each voxel of this phase's own map, of the voxel of ``tissue_map`` whose tissue lies there.

        What comes from beyond the map repeats its border.
        """
        shape = tissue_map.values.shape
        out = np.arange(tissue_map.values.size, dtype=np.int32).reshape(shape)
        rows, columns = self._reach(tissue_map.y, tissue_map.x)
        first = np.array([tissue_map.z[0], tissue_map.y[0], tissue_map.x[0]])
        step = np.array([axis[1] - axis[0] for axis in (tissue_map.z, tissue_map.y, tissue_map.x)])
        for k, z in enumerate(tissue_map.z):
            places = _slice_places(z, tissue_map.y[rows], tissue_map.x[columns])
            index = np.rint((self.at_rest(places) - first) / step).astype(np.int32)
            np.clip(index, 0, np.array(shape) - 1, out=index)
            flat = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
            out[k, rows, columns] = flat.reshape(rows.stop - rows.start, columns.stop - columns.start)
        return out

    def _reach(self, y: Float32[np.ndarray, " h"], x: Float32[np.ndarray, " w"]) -> tuple[slice, slice]:
        """Rows and columns at these positions beyond which nothing moves; one of each at least."""
        moves = self.slide.any(axis=0) | self.drift.any(axis=(0, 1))
        parts: list[slice] = []
        for axis, places in ((0, y), (1, x)):
            found = np.unique(np.nonzero(moves)[axis])
            lattice = np.linspace(self.low[axis + 1], self.high[axis + 1], moves.shape[axis])
            first, last = (found[0], found[-1]) if found.size else (0, 0)
            # Between two lattice points the motion fades to nothing, and beyond the lattice it goes on.
            low = lattice[first - 1] if first else -np.inf
            high = lattice[last + 1] if last + 1 < len(lattice) else np.inf
            start, stop = np.searchsorted(places, low), np.searchsorted(places, high, "right")
            parts.append(slice(int(start), max(int(stop), int(start) + 1)))
        return parts[0], parts[1]

    def _slide(self, places: Points) -> Float32[np.ndarray, " n"]:
        return _sample(self.slide[None], places, self.low, self.high)[0]

    def _drift(self, places: Points) -> Points:
        return _sample(self.drift, places, self.low, self.high).T


def moved_tissue_map(tissue_map: TissueMap, sources: Int32[np.ndarray, "z y x"]) -> TissueMap:
    """The tissue map as a moved phase sees it; ``sources`` as `Motion.sources` gives them."""
    return replace(tissue_map, values=tissue_map.values.reshape(-1)[sources])


def follow_slices(
    values: Float32[np.ndarray, "z y x"], sources: Int32[np.ndarray, "fine y x"], subslices: int
) -> Float32[np.ndarray, "z y x"]:
    """Values per slice that go along with the tissue: alike in the fine slices of one slice, averaged again."""
    area = values.shape[1] * values.shape[2]
    flat = values.reshape(-1)
    out = np.empty_like(values)
    for k in range(len(values)):
        fine = sources[k * subslices : (k + 1) * subslices]
        out[k] = flat[fine // (area * subslices) * area + fine % area].mean(axis=0)
    return out


def _slice_places(z: np.float32, y: Float32[np.ndarray, " h"], x: Float32[np.ndarray, " w"]) -> Points:
    """Positions (z, y, x) in mm of the points of one slice, row by row."""
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return np.stack([np.full_like(rows, z), rows, columns], axis=-1).reshape(-1, 3)


def _sample(
    fields: Float32[np.ndarray, "c a b d"], places: Float32[np.ndarray, "n 3"], low: Triple, high: Triple
) -> Float32[np.ndarray, "c n"]:
    """Trilinear values of ``fields`` at places (z, y, x) in mm; outside, those of the nearest place inside.

    Args:
        fields: Lattice ``[channel, z, y, x]``, corner points at ``low`` and ``high``.
        places: Positions in mm.
        low: Position (z, y, x) in mm of the first lattice point.
        high: Position of the last one.
    """
    start, extent = np.asarray(low, dtype=np.float32), np.subtract(high, low).astype(np.float32)
    unit = (2.0 * (places - start) / extent - 1.0).astype(np.float32)[None, None, None, :, ::-1]
    out = torch.nn.functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(fields))[None],
        torch.from_numpy(np.ascontiguousarray(unit)),
        padding_mode="border",
        align_corners=True,
    )
    return out[0, :, 0, 0].numpy()
