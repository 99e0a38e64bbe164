"""Sizes, attenuation and surrounding liver of lesions, in the units people report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import distance_transform_edt

from livercascade.data.grid import Shape, Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, Organ, Phase
from livercascade.data.lesion import Box, Lesion, with_margin
from livercascade.data.scan import Scan
from livercascade.detect.diameter import boundary, farthest, farthest_pair, width_across
from livercascade.reclassification.candidate import Candidate, lesion_id
from livercascade.results.result import HuRecord, LesionRecord, LiverRecord

RING_INNER_MM = 5.0
RING_OUTER_MM = 10.0
MIN_RING_VOXELS = 20


# Compared by identity: arrays have no single truth value.
@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Diameters of one lesion in mm.

    Attributes:
        long_mm: Longest diameter within one slice, over all slices (RECIST 1.1).
        short_mm: Width across that diameter in the same slice.
        craniocaudal_mm: Extent across the slices.
        max3d_mm: Longest diameter in space.
        slice_index: Slice, in the whole array, with the largest cross-section; the first of equals.
        long_ends: Ends of the longest diameter, as indices z, y, x in the whole array.
        short_ends: Ends of the width across it.
    """

    long_mm: float
    short_mm: float
    craniocaudal_mm: float
    max3d_mm: float
    slice_index: int
    long_ends: Float[np.ndarray, "2 3"]
    short_ends: Float[np.ndarray, "2 3"]


def axes(lesion: Lesion, spacing: Triple) -> Axes:
    """Diameters of a lesion on a grid with this spacing (z, y, x) in mm.

    Raises:
        ValueError: The mask is empty.
    """
    mask = lesion.mask
    if not mask.any():
        raise ValueError("lesion mask is empty")
    planes = np.flatnonzero(mask.any(axis=(1, 2)))
    in_plane = np.asarray(spacing[1:])
    lengths = [_axial(mask[plane], spacing) for plane in planes]
    longest = max(range(len(planes)), key=lambda n: (lengths[n][0][0], lengths[n][1][0]))
    (long_mm, ends), (short_mm, across) = lengths[longest]
    corner = np.array([int(side.start or 0) for side in lesion.bbox])
    return Axes(
        long_mm=long_mm,
        short_mm=short_mm,
        craniocaudal_mm=float(planes[-1] - planes[0] + 1) * spacing[0],
        max3d_mm=farthest(boundary(mask) * np.asarray(spacing))[0],
        slice_index=int(corner[0] + mask.sum(axis=(1, 2)).argmax()),
        long_ends=np.insert(ends / in_plane, 0, planes[longest], axis=1) + corner,
        short_ends=np.insert(across / in_plane, 0, planes[longest], axis=1) + corner,
    )


def _axial(
    plane: Bool[np.ndarray, "y x"], spacing: Triple
) -> tuple[tuple[float, Float[np.ndarray, "2 2"]], tuple[float, Float[np.ndarray, "2 2"]]]:
    """Longest diameter in mm and where it ends, and the same of the width across it."""
    points = boundary(plane) * np.asarray(spacing[1:])
    ends = farthest_pair(points)
    return (float(np.linalg.norm(ends[1] - ends[0])), ends), width_across(points, ends)


def occupied(lesions: Sequence[Lesion], shape: Shape) -> Bool[np.ndarray, "z y x"]:
    """Voxels of any of the lesions."""
    out = np.zeros(shape, dtype=np.bool_)
    for lesion in lesions:
        out[lesion.bbox] |= lesion.mask
    return out


def liver_ring(
    lesion: Lesion, labels: UInt8[np.ndarray, "z y x"], excluded: Bool[np.ndarray, "z y x"], spacing: Triple
) -> tuple[Box, Bool[np.ndarray, "rz ry rx"]]:
    """Liver parenchyma round a lesion: a box and the chosen voxels in it.

    Vessels and every voxel of ``excluded`` (the other candidates) are left out. The ring runs from 5 to 10 mm from
    the lesion, clear of capsule and partial volume; where it holds under 20 voxels, from 0 to 10 mm.
    """
    box, inside = with_margin(lesion, labels.shape, spacing, RING_OUTER_MM)
    distance = np.asarray(distance_transform_edt(~inside, sampling=spacing))
    near = (labels[box] == Organ.LIVER) & ~excluded[box] & ~inside & (distance <= RING_OUTER_MM)
    ring = near & (distance >= RING_INNER_MM)
    # A median of fewer voxels is noise; nearer ones are better than none.
    return box, ring if ring.sum() >= MIN_RING_VOXELS else near


def _values(scan: Scan, phase: Phase, box: Box, chosen: Bool[np.ndarray, "bz by bx"]) -> Float[np.ndarray, " n"]:
    if phase in scan.valid:
        chosen = chosen & scan.valid[phase][box]
    return scan.hu[phase][box][chosen].astype(np.float64)


def lesion_hu(
    lesion: Lesion, scan: Scan, labels: UInt8[np.ndarray, "z y x"], excluded: Bool[np.ndarray, "z y x"]
) -> dict[Phase, HuRecord]:
    """Attenuation per phase, against the liver ring; a phase without data at the lesion is left out."""
    box, ring = liver_ring(lesion, labels, excluded, scan.grid.spacing)
    out: dict[Phase, HuRecord] = {}
    for phase in scan.phases:
        inside = _values(scan, phase, lesion.bbox, lesion.mask)
        if inside.size:
            out[phase] = _hu_record(inside, _values(scan, phase, box, ring))
    return out


def _hu_record(inside: Float[np.ndarray, " n"], around: Float[np.ndarray, " m"]) -> HuRecord:
    median = float(np.median(inside))
    liver = float(np.median(around)) if around.size else None
    return HuRecord(
        mean=round(float(inside.mean()), 1),
        sd=round(float(inside.std()), 1),
        median=median,
        n=inside.size,
        liver_median=liver,
        delta=None if liver is None else median - liver,
    )


def measure_lesions(
    candidates: Sequence[Candidate], scan: Scan, labels: UInt8[np.ndarray, "z y x"]
) -> tuple[LesionRecord, ...]:
    """Records of all candidates, ``L1`` first, in the given order.

    Args:
        candidates: Every proposal, removed ones too.
        scan: The phases on one grid.
        labels: Label map 0-13 on the same grid.
    """
    excluded = occupied([c.lesion for c in candidates], scan.grid.shape)
    return tuple(_record(number, c, scan, labels, excluded) for number, c in enumerate(candidates, start=1))


def _record(
    number: int,
    candidate: Candidate,
    scan: Scan,
    labels: UInt8[np.ndarray, "z y x"],
    excluded: Bool[np.ndarray, "z y x"],
) -> LesionRecord:
    lesion, size = candidate.lesion, axes(candidate.lesion, scan.grid.spacing)
    return LesionRecord(
        id=lesion_id(number),
        type=candidate.label,
        original_type=lesion.label,
        votes=dict(candidate.votes),
        status=candidate.status,
        found_at=candidate.found_at,
        score=candidate.score,
        threshold=candidate.threshold,
        enhancement=None
        if candidate.enhancement is None
        else {t: round(p, 4) for t, p in candidate.enhancement.items()},
        network_type=candidate.network_type,
        reason=candidate.reason,
        volume_ml=lesion.volume_ml,
        core_ml=candidate.core_ml,
        centroid_lps_mm=lesion.centroid,
        long_axis_mm=round(size.long_mm, 1),
        short_axis_mm=round(size.short_mm, 1),
        craniocaudal_mm=round(size.craniocaudal_mm, 1),
        max3d_mm=round(size.max3d_mm, 1),
        slice_index=size.slice_index,
        hu=lesion_hu(lesion, scan, labels, excluded),
    )


def whole_liver(labels: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Liver parenchyma, lesions and hepatic vessels of a label map."""
    lesions = (labels >= FIRST_LESION) & (labels <= LAST_LESION)
    return lesions | (labels == Organ.LIVER) | (labels == Organ.HEPATIC_VESSELS)


def measure_liver(scan: Scan, labels: UInt8[np.ndarray, "z y x"]) -> LiverRecord:
    """Liver volume with lesions and hepatic vessels, whether it is cut, and the parenchyma's median per phase."""
    whole = whole_liver(labels)
    edges = (np.take(whole, (0, -1), axis=axis).any() for axis in range(3))
    everywhere: Box = (slice(None), slice(None), slice(None))
    values = {p: _values(scan, p, everywhere, labels == Organ.LIVER) for p in scan.phases}
    return LiverRecord(
        volume_ml=float(whole.sum()) * scan.grid.voxel_ml,
        touches_border=any(edges),
        hu_median={p: float(np.median(v)) for p, v in values.items() if v.size},
    )
