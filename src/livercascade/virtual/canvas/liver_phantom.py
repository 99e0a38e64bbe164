"""A scanned liver as a phantom: the lesion models paint into it as they paint into virtual patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped, UInt8
from scipy import ndimage

from livercascade.data.grid import Shape, Triple
from livercascade.data.labels import PHASES, Phase
from livercascade.data.lesion import Box, grown
from livercascade.detect.seg2det import bounding_box
from livercascade.virtual.anatomy import Anatomy, liver_volume_ml
from livercascade.virtual.canvas.canvas_case import CanvasCase, is_closed
from livercascade.virtual.canvas.scanned_liver import ScannedLiver
from livercascade.virtual.habitus import draw_habitus
from livercascade.virtual.lesions.liver_sites import LiverMap
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.physiology import Physiology, draw_physiology
from livercascade.virtual.tissue import Tissue, TissueTable
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_settings import VirtualSettings

_FINE_MM = 1.0
"""Distance of fine voxels that is aimed at: several of them make one of the scan."""
MARGIN_MM = 30.0
_HILAR_MM = 55.0
_TRUNK_ML = 1.0
# Gains over NC of the table in `physiology`, normal and fatty; HU of the liver in VP under which it is taken for fatty.
_GAIN, _FATTY_GAIN = (0.0, 15.0, 51.0, 32.0), (0.0, 13.0, 45.0, 30.0)
_FATTY_VP_HU = 74.0


@dataclass(frozen=True, slots=True, eq=False)
class CanvasPhantom:
    """A scanned liver and its surroundings on a fine map.

    Attributes:
        phantom: What lesions are painted into; its millimetres count from the scan's first voxel.
        box: The part of the scan that the map covers.
        parts: Fine voxels per voxel along z, y, x.
        before: The map before anything was painted.
    """

    phantom: Phantom
    box: Box
    parts: Shape
    before: UInt8[np.ndarray, "z y x"]


def liver_box(case: CanvasCase) -> Box:
    """The part of a scan that holds the liver, with a margin."""
    box = bounding_box(case.liver | is_closed(case.labels))
    if box is None:
        raise ValueError(f"{case.name} holds no liver")
    z, y, x = (int(np.ceil(MARGIN_MM / step)) for step in case.grid.spacing)
    return grown(box, (z, y, x), case.grid.shape)


def canvas_phantom(
    case: CanvasCase,
    box: Box,
    smooth: Float32[np.ndarray, "z y x"],
    liver: ScannedLiver,
    measured: Mapping[Phase, float],
    rng: np.random.Generator,
) -> CanvasPhantom:
    """Phantom of a scanned liver.

    Args:
        case: The scan.
        box: Part of it that is turned into a map.
        smooth: The reference phase in ``box`` without its noise.
        liver: The liver of that phase in ``box``.
        measured: HU of the liver in each phase that is there.
        rng: Source of what a scan does not tell: timing of other phases, state of the patient.
    """
    spacing = case.grid.spacing
    parts = tuple(int(np.clip(np.ceil(step / _FINE_MM - 0.05), 1, 8)) for step in spacing)
    tissue = _tissues(case.labels[box], smooth, liver)
    hilum = _hilum(tissue, box, spacing)
    _tell_veins_apart(tissue, hilum, box, spacing)
    settings = VirtualSettings()
    habitus = draw_habitus(settings, False, rng)
    physiology = fitted_physiology(measured, rng)
    table = TissueTable(physiology.hu)
    closed = table.add(physiology.liver.copy(), 0)
    tissue[is_closed(case.labels[box])] = closed
    fine = tissue
    for axis, n in enumerate(parts):
        fine = np.repeat(fine, n, axis=axis)
    axes = [_positions(s, step, n) for s, step, n in zip(box, spacing, parts, strict=True)]
    tissue_map = TissueMap(np.ascontiguousarray(fine), axes[0], axes[1], axes[2])
    anatomy = Anatomy(tissue_map, hilum, replace(habitus, liver_ml=liver_volume_ml(tissue_map)), case.name)
    phantom = Phantom(anatomy, LiverMap.of(anatomy), table, physiology)
    phantom.liver.taken.extend(_closed_places(is_closed(case.labels[box]), box, spacing))
    return CanvasPhantom(phantom, box, (parts[0], parts[1], parts[2]), tissue_map.values.copy())


def fitted_physiology(measured: Mapping[Phase, float], rng: np.random.Generator) -> Physiology:
    """Contrast behaviour that gives the liver the HU measured in the phases that are there.

    From VP alone the liver before contrast medium is drawn, and the dose follows from its gain; a liver that is dark in
    VP is taken for fatty.
    """
    drawn = draw_physiology(draw_habitus(VirtualSettings(), False, rng), VirtualSettings(), rng)
    before = measured.get(Phase.NC)
    venous = measured.get(Phase.VP)
    fatty = venous is not None and venous < _FATTY_VP_HU and (before is None or before < 42)
    gains = np.asarray(_FATTY_GAIN if fatty else _GAIN, dtype=np.float32)
    if before is None:
        guess = float(rng.normal(55, 5))
        before = guess if venous is None else float(np.clip(venous - gains[2] if fatty else guess, -10, venous - 28))
    gain = 1.0 if venous is None else float(np.clip((venous - before) / gains[2], 0.5, 1.7))
    on_time = replace(drawn.bolus, iodine=gain, tube_kv=120, early_veins=False)
    if Phase.AP in measured:
        on_time = replace(on_time, error_s=0.0)
    hu = drawn.hu.copy()
    scale = np.float32(gain / max(drawn.bolus.gain, 1e-3))
    hu[1:] = hu[:1] + scale * (hu[1:] - hu[:1])
    hu[:, Tissue.LIVER] = _liver_curve(float(before), gains * np.float32(gain), on_time.arterial, on_time.venous, rng)
    for phase, value in measured.items():
        hu[phase.index, Tissue.LIVER] = value
    return Physiology(hu, on_time)


def _liver_curve(
    before: float, gains: Float32[np.ndarray, " 4"], arterial: float, venous: float, rng: np.random.Generator
) -> Float32[np.ndarray, " 4"]:
    curve = before + gains + np.array([0.0, rng.normal(0, 3), 0.0, rng.normal(0, 4)])
    early = 1.0 if arterial >= 1.0 else 0.45
    curve[1] = before + early * (curve[1] - before)
    curve[1] += venous * (curve[2] - curve[1])
    return curve.astype(np.float32)


def measured_liver(livers: Mapping[Phase, ScannedLiver]) -> dict[Phase, float]:
    """HU of the liver in each phase that is there, in the order of the phases."""
    return {phase: livers[phase].median_hu for phase in PHASES if phase in livers}


def _tissues(
    labels: UInt8[np.ndarray, "z y x"], smooth: Float32[np.ndarray, "z y x"], liver: ScannedLiver
) -> UInt8[np.ndarray, "z y x"]:
    tissue = np.full(labels.shape, Tissue.MUSCLE, dtype=np.uint8)
    tissue[smooth < -20] = Tissue.FAT
    tissue[smooth < -250] = Tissue.LUNG
    tissue[smooth < -920] = Tissue.AIR
    inside = (labels == 7) | (labels == 8)
    tissue[inside] = Tissue.LIVER
    tissue[liver.vessels] = Tissue.HEPATIC_VEIN
    tissue[(labels == 8) & ~liver.rim] = Tissue.HEPATIC_VEIN
    tissue[liver.rim] = Tissue.MUSCLE
    tissue[liver.rim & (smooth < 0)] = Tissue.FAT
    return tissue


def _hilum(tissue: UInt8[np.ndarray, "z y x"], box: Box, spacing: Triple) -> Float64[np.ndarray, " 3"]:
    """Where the thickest vessels of the liver's lower middle are, (z, y, x) mm: about the bifurcation of the portal."""
    vessel = tissue == Tissue.HEPATIC_VEIN
    liver = vessel | (tissue == Tissue.LIVER)
    first = np.array([s.start for s in box])
    middle = np.asarray(ndimage.center_of_mass(liver))
    if np.count_nonzero(vessel) < 20:
        return (first + middle) * np.asarray(spacing)
    width = np.asarray(ndimage.distance_transform_edt(vessel, sampling=spacing))
    thick = np.argwhere(width > 0.6 * width.max())
    # The portal vein enters from below and behind, nearer to the midline than the liver's centre.
    goal = middle * np.asarray(spacing) + np.array([-15.0, 12.0, 20.0])
    apart = np.linalg.norm(thick * np.asarray(spacing) - goal, axis=1)
    return (first + thick[int(apart.argmin())]) * np.asarray(spacing)


def _tell_veins_apart(
    tissue: UInt8[np.ndarray, "z y x"], hilum: Float64[np.ndarray, " 3"], box: Box, spacing: Triple
) -> None:
    """Thick vessels near the hilum become portal branches: those that tumour may grow into, but no specks of noise."""
    parts, _ = ndimage.label(tissue == Tissue.HEPATIC_VEIN, np.ones((3, 3, 3), dtype=bool))
    trunk = np.bincount(parts.ravel()) * (float(np.prod(spacing)) / 1000.0) > _TRUNK_ML
    trunk[0] = False
    at = np.argwhere(trunk[parts])
    places = (at + np.array([s.start for s in box])) * np.asarray(spacing)
    near = at[np.linalg.norm(places - hilum, axis=1) < _HILAR_MM]
    tissue[tuple(near.T)] = Tissue.PORTAL_BRANCH


def _closed_places(closed: Bool[np.ndarray, "z y x"], box: Box, spacing: Triple) -> list[tuple[Triple, float]]:
    """Centre (z, y, x) and radius in mm of each part where nothing may be painted: sites keep away from them."""
    parts, _ = ndimage.label(closed)
    places: list[tuple[Triple, float]] = []
    for sides in ndimage.find_objects(parts):
        middle = [(s.start + s.stop - 1) / 2 + b.start for s, b in zip(sides, box, strict=True)]
        z, y, x = (m * step for m, step in zip(middle, spacing, strict=True))
        lengths = [(s.stop - s.start) * step for s, step in zip(sides, spacing, strict=True)]
        # Between the balls of the shortest and of the longest side.
        places.append(((z, y, x), 0.25 * (max(lengths) + min(lengths))))
    return places


def _positions(side: slice, step: float, parts: int) -> Float32[np.ndarray, " n"]:
    count = (side.stop - side.start) * parts
    return ((side.start - 0.5 + (np.arange(count) + 0.5) / parts) * step).astype(np.float32)


def block_mean(values: Shaped[np.ndarray, "z y x"], parts: Shape) -> Float32[np.ndarray, "a b c"]:
    """Mean over the fine voxels that make up each voxel of the scan."""
    z, y, x = (n // p for n, p in zip(values.shape, parts, strict=True))
    cells = values.reshape(z, parts[0], y, parts[1], x, parts[2])
    return cells.mean(axis=(1, 3, 5), dtype=np.float32)
