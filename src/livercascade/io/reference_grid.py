"""All phases of a study on the grid of a reference phase, by header geometry only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16
from scipy import ndimage, sparse

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import OUTSIDE_HU, PhaseVolume, Scan
from livercascade.io.study import Study

REFERENCE_ORDER = (Phase.VP, Phase.AP, Phase.DP, Phase.NC)
"""The first of these that is present gives the grid."""
MIN_OVERLAP = 0.5
"""Share of the reference's height that a phase must cover."""
MIN_BODY = 0.35
"""Share of the reference's tissue that a phase must cover: less than any field of view of the liver leaves out."""
Placed = tuple[Int16[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]]
"""HU of a phase on the grid of another, and where it has data."""
# Grids whose axes drift apart by less than this over the whole image count as parallel, which is much faster.
_PARALLEL_VOXELS = 0.05
# A share of the tissue needs every fourth row and column at most.
_STRIDE, _TISSUE_HU = 4, -300
# Half a voxel beyond the outermost centres still lies inside the image.
_EDGE = 0.5 + 1e-6


def to_scan(study: Study, reference: Phase | None = None) -> tuple[Scan, tuple[Notice, ...]]:
    """Scan of a study on the grid of one phase, VP unless named otherwise.

    Phases on another grid are resampled linearly through LPS positions; voxels they do not cover are -1024 and not
    valid. Thinner slices are averaged over the thickness of the reference's. Phases are not registered.

    Args:
        study: Study of at least one phase.
        reference: Phase that gives the grid.

    Returns:
        The scan, and notices ``NOT_ALIGNED`` and ``PHASE_NO_OVERLAP``.

    Raises:
        InputError: ``MISSING_PHASE`` if the reference, or every phase, is absent.
    """
    fixed = reference_of(study.volumes, reference, f"case {study.case_id}: ")
    grid = fixed.grid
    hu: dict[Phase, Int16[np.ndarray, "z y x"]] = {}
    valid: dict[Phase, Bool[np.ndarray, "z y x"]] = {}
    notices: list[Notice] = []
    for volume in study.volumes:
        phase = volume.phase
        if grid.matches(volume.grid):
            hu[phase] = volume.hu
            continue
        moved, inside = resample(volume, grid)
        missing = too_little_covered(phase, fixed, inside)
        if missing is not None:
            notices.append(missing)
            continue
        hu[phase], valid[phase] = moved, inside
        text = f"{phase.title}: resampled by header geometry only; phases are not registered."
        notices.append(Notice("NOT_ALIGNED", text))
    return Scan(grid, hu, fixed.phase, valid), tuple(notices)


def reference_of(volumes: Iterable[PhaseVolume], reference: Phase | None = None, where: str = "") -> PhaseVolume:
    """The phase that gives the grid: the one named, or the first present in `REFERENCE_ORDER`.

    Args:
        volumes: Phases of one study.
        reference: Phase that must give the grid.
        where: Beginning of the error's message, for example ``case 12: ``.

    Raises:
        InputError: ``MISSING_PHASE`` if that phase, or every phase, is absent.
    """
    by_phase = {volume.phase: volume for volume in volumes}
    wanted = REFERENCE_ORDER if reference is None else (reference,)
    found = next((by_phase[phase] for phase in wanted if phase in by_phase), None)
    if found is None:
        message = f"{where}the {reference.title if reference else 'reference'} phase is missing."
        raise InputError("MISSING_PHASE", message, "Give a study that holds it.", stage="register")
    return found


def on_grid(volume: PhaseVolume, grid: Grid) -> Placed:
    """HU of a volume on a grid by header geometry, and where it has data: the volume's own HU if it lies there."""
    if grid.matches(volume.grid):
        return volume.hu, np.ones(grid.shape, dtype=np.bool_)
    return resample(volume, grid)


def without_offset(volume: PhaseVolume, offset_mm: tuple[float, float, float]) -> PhaseVolume:
    """The volume where it would lie if its header were not wrong by a shift (x, y, z) in LPS mm."""
    if not any(offset_mm):
        return volume
    x, y, z = (at - mm for at, mm in zip(volume.grid.origin, offset_mm, strict=True))
    return replace(volume, grid=replace(volume.grid, origin=(x, y, z)))


def resample(volume: PhaseVolume, grid: Grid) -> Placed:
    """HU of a volume on another grid, and which voxels of that grid it covers."""
    index = np.linalg.inv(volume.grid.affine) @ grid.affine
    sheared = np.abs(index[:3, :3] - np.diag(np.diag(index[:3, :3]))) * np.asarray(grid.shape)
    if sheared.max() <= _PARALLEL_VOXELS:
        return _resample_parallel(volume.hu, index, grid)
    return _resample_oblique(volume.hu, index, grid)


def _axis(scale: float, start: float, new: int, old: int) -> tuple[sparse.csr_array, Bool[np.ndarray, " n"]]:
    """Weights (new, old) that resample one axis, and which new samples lie inside.

    Linear interpolation at ``start + scale * i``, averaged over the new spacing where that is the coarser one.
    """
    centres = start + scale * np.arange(new)
    offsets = _offsets(abs(scale))
    places = np.clip(centres[:, None] + offsets, 0, old - 1)
    below = np.minimum(np.floor(places).astype(np.int64), max(old - 2, 0))
    share = places - below
    rows = np.broadcast_to(np.arange(new)[:, None], places.shape)
    above = np.minimum(below + 1, old - 1)
    values = np.concatenate([(1 - share).ravel(), share.ravel()]) / len(offsets)
    where = (np.tile(rows.ravel(), 2), np.concatenate([below.ravel(), above.ravel()]))
    weights = sparse.coo_array((values.astype(np.float32), where), shape=(new, old)).tocsr()
    return weights, (centres >= -_EDGE) & (centres <= old - 1 + _EDGE)


def _offsets(ratio: float) -> Float[np.ndarray, " k"]:
    """Places within one new voxel at which the old grid is sampled, in old voxels round its centre."""
    if ratio <= 1 + 1e-3:
        return np.zeros(1)
    count = int(np.ceil(2 * ratio))
    return ratio * ((np.arange(count) + 0.5) / count - 0.5)


def _resample_parallel(
    hu: Int16[np.ndarray, "a b c"], index: Float[np.ndarray, "4 4"], grid: Grid
) -> tuple[Int16[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]]:
    """Axes are parallel: one axis after the other, slice by slice."""
    (along_z, inside_z), (along_y, inside_y), (along_x, inside_x) = (
        _axis(float(index[i, i]), float(index[i, 3]), grid.shape[i], hu.shape[i]) for i in range(3)
    )

    def plane(z: int) -> Float32[np.ndarray, "y x"]:
        row = along_z[[z], :].tocoo()
        mixed = np.zeros(hu.shape[1:], dtype=np.float32)
        for weight, old in zip(row.data, row.coords[1], strict=True):
            mixed += weight * hu[old]
        return np.asarray(along_x @ (along_y @ mixed).T).T

    inside = inside_z[:, None, None] & inside_y[:, None] & inside_x
    return _by_slice(plane, inside), inside


def _resample_oblique(
    hu: Int16[np.ndarray, "a b c"], index: Float[np.ndarray, "4 4"], grid: Grid
) -> tuple[Int16[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]]:
    """Any axes: trilinear, slice by slice, averaged over the new slice thickness."""
    shape = np.asarray(hu.shape, dtype=np.float64)[:, None, None]
    rows, columns = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij")
    in_plane = np.tensordot(index[:3, 1:3], np.stack([rows, columns]).astype(np.float64), axes=1)
    step = index[:3, 0]
    offsets = _offsets(float(np.linalg.norm(step))) / max(float(np.linalg.norm(step)), 1e-9)

    def places(z: float) -> Float[np.ndarray, "3 y x"]:
        return in_plane + (index[:3, 3] + z * step)[:, None, None]

    def plane(z: int) -> Float32[np.ndarray, "y x"]:
        samples = [
            ndimage.map_coordinates(hu, places(float(z + o)), np.float32, order=1, mode="nearest") for o in offsets
        ]
        return np.asarray(np.mean(samples, axis=0, dtype=np.float32))

    inside = np.empty(grid.shape, dtype=np.bool_)
    for z in range(grid.shape[0]):
        at = places(float(z))
        inside[z] = ((at >= -_EDGE) & (at <= shape - 1 + _EDGE)).all(axis=0)
    return _by_slice(plane, inside), inside


def _by_slice(
    plane: Callable[[int], Float32[np.ndarray, "y x"]], inside: Bool[np.ndarray, "z y x"]
) -> Int16[np.ndarray, "z y x"]:
    out = np.full(inside.shape, OUTSIDE_HU, dtype=np.int16)
    for z in np.flatnonzero(inside.any(axis=(1, 2))):
        np.copyto(out[z], np.rint(plane(int(z))).astype(np.int16), where=inside[z])
    return out


def too_little_covered(phase: Phase, reference: PhaseVolume, valid: Bool[np.ndarray, "z y x"]) -> Notice | None:
    """Notice ``PHASE_NO_OVERLAP`` if a phase covers under half of the reference's height, or a third of its tissue."""
    tall = float(valid.any(axis=(1, 2)).mean())
    tissue = reference.hu[:, ::_STRIDE, ::_STRIDE] > _TISSUE_HU
    body = float(valid[:, ::_STRIDE, ::_STRIDE][tissue].mean()) if tissue.any() else 1.0
    if tall >= MIN_OVERLAP and body >= MIN_BODY:
        return None
    name = reference.phase.title
    share = f"{tall:.0%} of the height" if tall < MIN_OVERLAP else f"{body:.0%} of the tissue"
    return Notice("PHASE_NO_OVERLAP", f"{phase.title}: covers {share} of the {name} phase and was left out.")
