"""One case made from a canvas and a seed: outlines loosened, phases made, lesions transplanted and painted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int16, UInt8
from scipy import ndimage

from livercascade.data.coverage import ClassCoverage, Coverage
from livercascade.data.labels import LesionType, Phase
from livercascade.data.lesion import Box
from livercascade.virtual.canvas.canvas_case import CanvasCase
from livercascade.virtual.canvas.canvas_plan import draw_canvas_plan
from livercascade.virtual.canvas.edge_keeping_filter import presmoothed
from livercascade.virtual.canvas.lesion_compositing import KEPT, composed, differences, painted_tissue, with_labels
from livercascade.virtual.canvas.liver_phantom import canvas_phantom, liver_box, measured_liver
from livercascade.virtual.canvas.scan_properties import measure_blur
from livercascade.virtual.canvas.scanned_liver import ScannedLiver, scanned_liver
from livercascade.virtual.lesions.lesion_painting import PlacedLesion, paint_lesions
from livercascade.virtual.mimics.mimic_families import Mimic
from livercascade.virtual.randomness import StreamPurpose, random_stream

_SOFTER = (1.0, 1.5)
# Chance that a lesion at the capsule grows through it.
_BULGING = 0.4


@dataclass(frozen=True, slots=True)
class PaintedLesion:
    """A lesion as it lies in the scan.

    Attributes:
        placed: What was painted; its centre is in LPS mm of the scan.
        labelled_ml: Volume of the voxels with its label.
        planned: Planned mean difference to the liver by phase, HU.
        shown: The same measured on the image, against the liver's background where the lesion lies.
    """

    placed: PlacedLesion
    labelled_ml: float
    planned: Mapping[str, float]
    shown: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class PaintedScan:
    """A scan with lesions painted into it.

    Attributes:
        case: The scan and its labels.
        lesions: Lesions that were painted.
        mimics: Perfusion changes and ducts that came with them.
        liver_hu: HU of the liver by phase.
        noise_hu: SD of the liver's texture and noise by phase.
        blur_mm: Sigma of the scan's blur in the slice.
    """

    case: CanvasCase
    lesions: tuple[PaintedLesion, ...]
    mimics: tuple[Mimic, ...]
    liver_hu: Mapping[str, float]
    noise_hu: Mapping[str, float]
    blur_mm: float


def paint_scan(case: CanvasCase, mean_count: float, seed: int) -> PaintedScan:
    """The scan with virtual lesions in its liver, in every phase; everything else stays to the bit.

    Args:
        case: The scan.
        mean_count: Mean number of lesions.
        seed: Makes the same lesions again.
    """
    rng = random_stream(seed, StreamPurpose.CANVAS)
    spacing, box = case.grid.spacing, liver_box(case)
    inside = case.liver[box]
    livers = {phase: scanned_liver(hu[box], inside, spacing) for phase, hu in case.hu.items()}
    # Margins of real lesions are soft beyond what any scanner adds.
    blur = measure_blur(case.hu[case.reference], spacing) * float(rng.uniform(*_SOFTER))
    smooth = presmoothed(case.hu[case.reference][box].astype(np.float32), spacing)
    canvas = canvas_phantom(case, box, smooth, livers[case.reference], measured_liver(livers), rng)
    liver_ml = canvas.phantom.habitus.liver_ml
    plan = draw_canvas_plan(liver_ml, spacing, mean_count, rng)
    placed, mimics = paint_lesions(canvas.phantom, plan, seed, bulging=_BULGING)
    painted = painted_tissue(canvas, case, blur, rng)
    notes = (
        {phase.value: round(liver.median_hu, 1) for phase, liver in livers.items()},
        {phase.value: _texture_hu(liver) for phase, liver in livers.items()},
        round(blur, 2),
    )
    if painted is None:
        return PaintedScan(case, (), (), *notes)
    hu: dict[Phase, Int16[np.ndarray, "z y x"]] = {}
    for phase, image in case.hu.items():
        hu[phase] = image.copy()
        hu[phase][box] = composed(image[box], painted, phase, livers[phase], spacing, rng)
    new = replace(
        case, hu=hu, labels=with_labels(case.labels, painted), coverage=_covered(case.coverage, painted.labels)
    )
    lesions = _records(new, box, painted.labels, placed, livers)
    return PaintedScan(new, lesions, tuple(_in_scan(mimic, case) for mimic in mimics), *notes)


def _texture_hu(liver: ScannedLiver) -> float:
    return round(float(liver.residual[liver.plain].std()), 1) if liver.plain.any() else 0.0


def _records(
    case: CanvasCase,
    box: Box,
    labels: UInt8[np.ndarray, "z y x"],
    placed: Sequence[PlacedLesion],
    livers: Mapping[Phase, ScannedLiver],
) -> tuple[PaintedLesion, ...]:
    """Each lesion with what the scan shows of it."""
    parts, _ = ndimage.label((labels != KEPT) & (labels > 0), np.ones((3, 3, 3)))
    images = {phase: hu[box] for phase, hu in case.hu.items()}
    liver_hu = {phase: liver.median_hu for phase, liver in livers.items()}
    out: list[PaintedLesion] = []
    for lesion in placed:
        where = _part_at(parts, lesion, case, box)
        planned = {p.value: round(float(lesion.mean_hu[p.index] - hu), 1) for p, hu in liver_hu.items()}
        shown = differences(images, livers, where) if where.any() else {}
        volume = float(np.count_nonzero(where)) * case.grid.voxel_ml
        out.append(PaintedLesion(_moved(lesion, case), round(volume, 3), planned, shown))
    return tuple(out)


def _part_at(parts: np.ndarray, lesion: PlacedLesion, case: CanvasCase, box: Box) -> Bool[np.ndarray, "z y x"]:
    """Voxels of the labelled part nearest to a lesion's centre, if it is within 6 mm."""
    x, y, z = lesion.centre
    at = np.array([z, y, x]) / np.asarray(case.grid.spacing) - [s.start for s in box]
    reach = np.ceil(6.0 / np.asarray(case.grid.spacing)).astype(int)
    centre = np.rint(at).astype(int)
    near = tuple(slice(max(c - r, 0), c + r + 1) for c, r in zip(centre, reach, strict=True))
    found = np.argwhere(parts[near] > 0)
    if not len(found):
        return np.zeros(parts.shape, dtype=bool)
    place = found + [s.start for s in near]
    nearest = place[int((((place - at) * np.asarray(case.grid.spacing)) ** 2).sum(axis=1).argmin())]
    return parts == parts[tuple(nearest)]


def _moved(lesion: PlacedLesion, case: CanvasCase) -> PlacedLesion:
    return replace(lesion, centre=_world(lesion.centre, case))


def _in_scan(mimic: Mimic, case: CanvasCase) -> Mimic:
    return replace(mimic, centre=_world(mimic.centre, case))


def _world(centre: tuple[float, float, float], case: CanvasCase) -> tuple[float, float, float]:
    """LPS mm of a place in the phantom's millimetres (x, y, z)."""
    x, y, z = centre
    at = case.grid.world(np.array([z, y, x]) / np.asarray(case.grid.spacing))
    return (round(float(at[0]), 2), round(float(at[1]), 2), round(float(at[2]), 2))


def _covered(coverage: Coverage, labels: UInt8[np.ndarray, "z y x"]) -> Coverage:
    """Coverage in which no painted type is said to be absent."""
    classes = dict(coverage.classes)
    for value in np.unique(labels[(labels != KEPT) & (labels > 0)]).tolist():
        if coverage.of(value) is ClassCoverage.ABSENT:
            classes[LesionType(value).title] = ClassCoverage.LABELLED
    return Coverage(classes=classes)
