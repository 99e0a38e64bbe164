"""Dense displacement fields in LPS mm, from fixed to moving points, and their files."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int16, UInt8
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage

from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.scan import OUTSIDE_HU, PhaseVolume

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Fixed-point iteration stops at an error far below a voxel.
_INVERSE_STEPS = 30
_INVERSE_MM = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class DisplacementField:
    """Displacement ``u``: the point p of the fixed phase lies at p + u(p) in the moving one.

    Attributes:
        grid: Grid of the fixed phase.
        vectors_mm: Vectors (x, y, z) in LPS mm, ``[z, y, x, 3]``, as in ITK's displacement fields.
    """

    grid: Grid
    vectors_mm: Float32[np.ndarray, "z y x 3"]

    @classmethod
    def zero(cls, grid: Grid) -> DisplacementField:
        """Field that moves nothing."""
        return cls.uniform(grid, (0.0, 0.0, 0.0))

    @classmethod
    def uniform(cls, grid: Grid, mm: tuple[float, float, float]) -> DisplacementField:
        """Field that moves everything by one vector (x, y, z) in LPS mm."""
        vectors = np.empty((*grid.shape, 3), dtype=np.float32)
        vectors[...] = mm
        return cls(grid, vectors)

    @property
    def length_mm(self) -> Float32[np.ndarray, "z y x"]:
        """Length of each vector in mm."""
        return np.sqrt(np.einsum("zyxk,zyxk->zyx", self.vectors_mm, self.vectors_mm, dtype=np.float32))

    def at(self, points: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        """Displacement in mm at LPS points (x, y, z), linear between voxels; outside, that of the nearest border."""
        from livercascade.alignment.sampling import vectors_at

        out = np.empty((len(points), 3), dtype=np.float32)
        vectors_at(np.ascontiguousarray(self.vectors_mm), np.ascontiguousarray(self.grid.voxel(points)), out)
        return out

    def on(self, grid: Grid, *, threads: int = 1) -> DisplacementField:
        """The same displacement sampled on another grid."""
        from livercascade.alignment.sampling import vectors_on_grid

        if grid == self.grid:
            return self
        index = np.linalg.inv(self.grid.affine) @ grid.affine
        vectors = np.ascontiguousarray(self.vectors_mm)
        out = np.empty((*grid.shape, 3), dtype=np.float32)
        with AlignmentThreads.of(threads) as workers:
            workers.ranges(lambda start, stop: vectors_on_grid(vectors, index, out, start, stop), grid.shape[0])
        return DisplacementField(grid, out)

    def warp(
        self, volume: PhaseVolume, *, threads: int = 1
    ) -> tuple[Int16[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]]:
        """HU of a moving phase on the field's grid, and where that phase had data.

        Linear between voxels, -1024 where the phase has none: outside its box, and in the padding round a circular
        field of view. A phase of thinner slices or smaller pixels is averaged over the fixed voxel first.
        """
        from livercascade.alignment.sampling import averaged, displaced_hu, empty_columns

        to_moving = np.linalg.inv(volume.grid.affine)
        source = averaged(volume, self.grid)
        empty = empty_columns(volume.hu)
        vectors = np.ascontiguousarray(self.vectors_mm)
        hu = np.full(self.grid.shape, OUTSIDE_HU, dtype=np.int16)
        inside = np.zeros(self.grid.shape, dtype=np.bool_)
        index, turn = to_moving @ self.grid.affine, np.ascontiguousarray(to_moving[:3, :3])

        def slices(start: int, stop: int) -> None:
            displaced_hu(source, empty, index, turn, vectors, hu, inside, start, stop)

        with AlignmentThreads.of(threads) as workers:
            workers.ranges(slices, self.grid.shape[0])
        return hu, inside

    def warp_labels(self, labels: UInt8[np.ndarray, "a b c"], grid: Grid) -> UInt8[np.ndarray, "z y x"]:
        """Label map of the moving phase on the field's grid, by nearest neighbour; 0 outside."""
        out = np.zeros(self.grid.shape, dtype=np.uint8)
        for z in range(self.grid.shape[0]):
            rows = np.stack(np.meshgrid(*[np.arange(n) for n in self.grid.shape[1:]], indexing="ij"), axis=-1)
            index = np.concatenate([np.full((*rows.shape[:2], 1), z), rows], axis=-1).astype(np.float64)
            at = grid.voxel((self.grid.world(index) + self.vectors_mm[z]).reshape(-1, 3))
            out[z] = ndimage.map_coordinates(labels, at.T, order=0, mode="constant", cval=0).reshape(rows.shape[:2])
        return out

    def coarse(self, spacing_mm: float = 4.0) -> DisplacementField:
        """The field on every few voxels, about ``spacing_mm`` apart: small enough to be kept for pictures."""
        steps = [max(1, round(spacing_mm / s)) for s in self.grid.spacing]
        vectors = np.ascontiguousarray(self.vectors_mm[:: steps[0], :: steps[1], :: steps[2]])
        nz, ny, nx = vectors.shape[:3]
        dz, dy, dx = self.grid.spacing
        spacing = (dz * steps[0], dy * steps[1], dx * steps[2])
        return DisplacementField(Grid((nz, ny, nx), spacing, self.grid.origin, self.grid.direction), vectors)

    def after(self, first: DisplacementField) -> DisplacementField:
        """Field of ``p -> self(first(p))`` on the grid of ``first``."""
        points = _points(first.grid) + first.vectors_mm.reshape(-1, 3)
        total = first.vectors_mm + self.at(points).reshape(first.vectors_mm.shape)
        return DisplacementField(first.grid, total)

    def inverse(self, grid: Grid | None = None) -> DisplacementField:
        """Field ``v`` with v(p) = -u(p + v(p)), by fixed-point iteration; exact to 0.02 mm where u does not fold.

        Args:
            grid: Grid of the inverse, usually that of the moving phase; the field's own if absent.
        """
        where = grid or self.grid
        points = _points(where)
        found = np.zeros((len(points), 3), dtype=np.float32)
        for _ in range(_INVERSE_STEPS):
            step = -self.at(points + found) - found
            # A damped step also converges where the field stretches by up to three.
            found += np.float32(0.7) * step
            if float(np.abs(step).max()) < _INVERSE_MM:
                break
        return DisplacementField(where, found.reshape(*where.shape, 3))

    def jacobian(self, *, threads: int = 1) -> Float32[np.ndarray, "z y x"]:
        """Determinant of d(p + u)/dp per voxel by central differences: 1 keeps volume, 0 or less folds."""
        from livercascade.alignment.jacobian import jacobian

        with AlignmentThreads.of(threads) as workers:
            return jacobian(self.vectors_mm, self.grid, workers)

    @property
    def folded(self) -> float:
        """Share of voxels where the field folds (Jacobian at or below 0), 0 to 1."""
        return float((self.jacobian() <= 0).mean())

    def unfolded(self, *, threads: int = 1) -> DisplacementField:
        """The field itself if it does not fold; else smoothed round the folds until none is left."""
        from livercascade.alignment.jacobian import without_folds

        with AlignmentThreads.of(threads) as workers:
            return DisplacementField(self.grid, without_folds(self.vectors_mm, self.grid, workers))


def write_field(path: Path, field: DisplacementField) -> None:
    """Write a field that SimpleITK, ANTs and ITK-SNAP read as vectors in LPS mm from fixed to moving points.

    Args:
        path: File to write; ``.nii.gz`` is compressed, ``.nii`` is not.
        field: Field to write; the same field gives the same bytes.
    """
    affine = _LPS_FROM_RAS @ field.grid.affine[:, [2, 1, 0, 3]]
    stored = np.transpose(field.vectors_mm, (2, 1, 0, 3))[:, :, :, None, :]
    image = nib.Nifti1Image(stored, affine)
    image.header.set_intent("vector")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1, strip_shears=True)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    path.write_bytes(gzip.compress(data, compresslevel=3, mtime=0) if path.name.endswith(".gz") else data)


def read_field(path: Path) -> DisplacementField:
    """Field from a file as `write_field`, SimpleITK or ANTs write it.

    Raises:
        InputError: ``FILE_MISSING`` or ``NOT_A_FIELD``.
    """
    if not path.is_file():
        raise InputError("FILE_MISSING", f"{path}: there is no such file.", "Check the path.", stage="register")
    try:
        image = nib.Nifti1Image.from_filename(path)
        shape = image.shape
        if len(shape) != 5 or shape[3:] != (1, 3):
            raise ImageFileError(f"its dimensions are {' x '.join(map(str, shape))}, not x y z 1 3")
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        message = f"{path.name}: this is not a displacement field: {error}."
        raise InputError("NOT_A_FIELD", message, "Give a file as `align` writes it.", stage="register") from error
    affine = _LPS_FROM_RAS @ np.asarray(image.affine)
    vectors = np.ascontiguousarray(np.transpose(data[:, :, :, 0, :], (2, 1, 0, 3)))
    nz, ny, nx = vectors.shape[:3]
    return DisplacementField(Grid.from_affine(affine[:, [2, 1, 0, 3]], (nz, ny, nx)), vectors)


def _points(grid: Grid) -> Float64[np.ndarray, "n 3"]:
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float64) for n in grid.shape], indexing="ij"), axis=-1)
    return grid.world(index.reshape(-1, 3))
