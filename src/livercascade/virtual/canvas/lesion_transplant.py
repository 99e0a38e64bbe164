"""Lesions of one scan moved into the liver of another: turned, scaled, on the new liver's HU and with its noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int, UInt8
from scipy import ndimage

from livercascade.data.coverage import IGNORED, ClassCoverage, Coverage
from livercascade.data.grid import Triple
from livercascade.data.labels import LESION_TYPES, LesionType, Organ, Phase
from livercascade.data.lesion import Box, grown
from livercascade.reclassification.patches import PATCH_LIVER, PatchVolume
from livercascade.reclassification.place import Stamp, find_place
from livercascade.virtual.canvas.canvas_case import CanvasCase, is_closed
from livercascade.virtual.canvas.edge_keeping_filter import denoised
from livercascade.virtual.canvas.liver_phantom import fitted_physiology, liver_box, measured_liver
from livercascade.virtual.canvas.phase_curves import liver_knots
from livercascade.virtual.canvas.scan_properties import measure_noise
from livercascade.virtual.canvas.scanned_liver import ScanArray, ScannedLiver, quiet_residual, scanned_liver
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.randomness import StreamPurpose, random_stream

_FADE_MM = 3.0
"""Width of the soft rim that is carried along with a lesion."""
LEAST_ML, MOST_ML = 0.1, 150.0
# A lesion with more of its surface at the capsule would show a cut face elsewhere.
_MOST_CAPSULE = 0.25
# Free liver kept between two lesions.
_GAP_MM = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class DonorLesion:
    """A lesion taken out of a scan.

    Attributes:
        case, patient: Origin.
        label: Type 1-6, or 14 where nobody knows it.
        volume_ml: Volume.
        spacing: Voxel spacing (z, y, x) in mm.
        body: The lesion in its box.
        share: Weight of the lesion, 1 inside and falling to 0 over some mm of its liver.
        contrast: HU against the liver's background without noise, by phase.
        liver_hu: HU of the donor's liver by phase.
    """

    case: str
    patient: str
    label: int
    volume_ml: float
    spacing: Triple
    body: Bool[np.ndarray, "z y x"]
    share: ScanArray
    contrast: Mapping[Phase, ScanArray]
    liver_hu: Mapping[Phase, float]


@dataclass(frozen=True, slots=True)
class Transplant:
    """A lesion as it was moved.

    Attributes:
        donor, donor_patient: Case and patient that it comes from: both have to be in the same fold as the new case.
        label: Type 1-6, or 14.
        volume_ml: Volume at its new place.
        centre: LPS mm (x, y, z) at its new place.
        scale: Linear scale.
        turn_deg: Turn about the axis of the body.
        mirrored: Axes (z, y, x) along which it was mirrored.
    """

    donor: str
    donor_patient: str
    label: int
    volume_ml: float
    centre: Triple
    scale: float
    turn_deg: float
    mirrored: tuple[bool, bool, bool]


def take_lesions(case: CanvasCase) -> list[DonorLesion]:
    """Lesions of a case that can be moved: 0.1 to 150 ml, mostly inside the liver, known or unknown of type."""
    lesion = is_closed(case.labels) & (case.labels != IGNORED)
    if not lesion.any():
        return []
    box = liver_box(case)
    spacing, labels, inside = case.grid.spacing, case.labels[box], case.liver[box]
    livers = {phase: scanned_liver(hu[box], inside, spacing) for phase, hu in case.hu.items()}
    parts, _ = ndimage.label(lesion[box])
    found: list[DonorLesion] = []
    for number, sides in enumerate(ndimage.find_objects(parts), start=1):
        volume = float(np.count_nonzero(parts[sides] == number)) * case.grid.voxel_ml
        if LEAST_ML <= volume <= MOST_ML:
            one = _cut_out(case, box, labels, parts == number, (sides[0], sides[1], sides[2]), livers)
            found += [replace(one, volume_ml=volume)] if one is not None else []
    return found


def _cut_out(
    case: CanvasCase,
    box: Box,
    labels: UInt8[np.ndarray, "z y x"],
    body: Bool[np.ndarray, "z y x"],
    sides: Box,
    livers: Mapping[Phase, ScannedLiver],
) -> DonorLesion | None:
    spacing = case.grid.spacing
    z, y, x = (int(np.ceil(2 * _FADE_MM / step)) for step in spacing)
    crop = grown(sides, (z, y, x), (body.shape[0], body.shape[1], body.shape[2]))
    own, liver = body[crop], case.liver[box][crop]
    rim = next(iter(livers.values())).rim[crop]
    apart = np.asarray(ndimage.distance_transform_edt(~own, sampling=spacing), dtype=np.float32)
    ring = (apart > 0) & (apart <= 1.5 * max(spacing))
    if (ring & ~(liver & ~rim)).sum() > _MOST_CAPSULE * ring.sum():
        return None
    share = np.clip(1.0 - apart / np.float32(_FADE_MM), 0.0, 1.0) * (own | (liver & ~rim))
    contrast: dict[Phase, ScanArray] = {}
    for phase, found in livers.items():
        noise, _ = measure_noise(found.residual, found.plain)
        clean = denoised(case.hu[phase][box][crop], spacing, noise)
        contrast[phase] = clean - found.background[crop]
    kind = int(np.bincount(labels[body]).argmax())
    return DonorLesion(
        case.name, case.patient, kind, 0.0, spacing, own, share.astype(np.float32), contrast, measured_liver(livers)
    )


def transplant(
    case: CanvasCase, donors: Sequence[DonorLesion], count: int, seed: int
) -> tuple[CanvasCase, list[Transplant]]:
    """A scan with up to ``count`` lesions of other scans in its liver.

    A lesion is mirrored, turned and scaled at random and laid where shuffling would lay it (`find_place`): inside the
    liver, touching no lesion and nothing that is ignored. It brings its difference to its own liver without noise; HU
    of the new liver and the noise of the new scan are added. In a phase that the donor does not have, the difference
    follows from the donor's VP as the liver's own HU would. Lesions of unknown type stay unknown.

    Args:
        case: The scan.
        donors: Lesions to choose from; those of the same patient are left out.
        count: Number of lesions.
        seed: Makes the same choice again.
    """
    rng = random_stream(seed, StreamPurpose.CANVAS, 10)
    usable = [donor for donor in donors if donor.patient != case.patient and _serves(donor, case)]
    done: list[Transplant] = []
    if not usable or count < 1:
        return case, done
    recipient = _Recipient(case, rng)
    for _ in range(count):
        donor = usable[int(rng.integers(len(usable)))]
        moved = _turned(donor, case.grid.spacing, rng)
        at = recipient.place(moved)
        if at is not None:
            recipient.lay(moved, at)
            done.append(_record(moved, at, recipient.box, case))
    coverage = _with_types(case.coverage, done)
    return replace(case, hu=recipient.hu, labels=recipient.labels, coverage=coverage), done


def _with_types(coverage: Coverage, done: Sequence[Transplant]) -> Coverage:
    """Coverage in which no type that was moved here is said to be absent."""
    moved = {one.label for one in done}
    kinds = set(LESION_TYPES) if moved - set(LESION_TYPES) else {LesionType(value) for value in moved}
    absent = [kind for kind in kinds if coverage.of(kind) is ClassCoverage.ABSENT]
    changed = {kind.title: ClassCoverage.LABELLED for kind in absent}
    return Coverage(classes={**coverage.classes, **changed}) if changed else coverage


@dataclass(frozen=True, slots=True, eq=False)
class _MovedLesion:
    """A donor lesion on the new scan's voxels, with how it was turned."""

    donor: DonorLesion
    body: Bool[np.ndarray, "z y x"]
    share: ScanArray
    contrast: Mapping[Phase, ScanArray]
    scale: float
    turn_deg: float
    mirrored: tuple[bool, bool, bool]


def _serves(donor: DonorLesion, case: CanvasCase) -> bool:
    """True if the donor's look in all phases of a case is known or follows from its VP."""
    return Phase.VP in donor.contrast or set(case.hu) <= set(donor.contrast)


def _turned(donor: DonorLesion, spacing: Triple, rng: np.random.Generator) -> _MovedLesion:
    scale, turn = float(rng.uniform(0.8, 1.25)), float(rng.uniform(0, 360))
    mirrored = (bool(rng.random() < 0.5), bool(rng.random() < 0.5), bool(rng.random() < 0.5))
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    turned = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag([-1.0 if m else 1.0 for m in mirrored]) * scale
    old = np.asarray(donor.body.shape) * np.asarray(donor.spacing)
    reach = np.abs(turned) @ old
    shape = np.ceil(reach / np.asarray(spacing)).astype(int) + 1
    # From voxels of the new scan to mm, turned back, to voxels of the old one.
    back = np.diag(1.0 / np.asarray(donor.spacing)) @ np.linalg.inv(turned) @ np.diag(spacing)
    offset = (np.asarray(donor.body.shape) - 1) / 2 - back @ ((shape - 1) / 2)

    def carried(values: np.ndarray) -> np.ndarray:
        return np.asarray(
            ndimage.affine_transform(values, back, offset, output_shape=tuple(shape), order=1), dtype=np.float32
        )

    share = carried(donor.share)
    contrast = {phase: carried(values) for phase, values in donor.contrast.items()}
    body = carried(donor.body.astype(np.float32)) > 0.5
    return _MovedLesion(donor, body, share, contrast, scale, turn, mirrored)


class _Recipient:
    """A liver that takes lesions one after the other."""

    def __init__(self, case: CanvasCase, rng: np.random.Generator) -> None:
        self.rng, self.spacing, self.box = rng, case.grid.spacing, liver_box(case)
        inside = case.liver[self.box]
        self.livers = {phase: scanned_liver(hu[self.box], inside, self.spacing) for phase, hu in case.hu.items()}
        self.rim = self.livers[case.reference].rim
        self.physiology = fitted_physiology(measured_liver(self.livers), rng)
        self.hu = {phase: image.copy() for phase, image in case.hu.items()}
        self.labels = case.labels.copy()

    def place(self, moved: _MovedLesion) -> Int[np.ndarray, " 3"] | None:
        """Index (z, y, x) in the liver's box at which the lesion's array begins; None if it fits nowhere."""
        if not moved.body.any():
            return None
        labels = self.labels[self.box]
        closed = is_closed(labels)
        reach = [max(1, round(_GAP_MM / step)) for step in self.spacing]
        near = np.asarray(ndimage.maximum_filter(closed, size=[2 * r + 1 for r in reach]))
        room = closed | (np.isin(labels, (Organ.LIVER, Organ.HEPATIC_VESSELS)) & ~self.rim)
        classes = np.where(room, PATCH_LIVER, 0).astype(np.uint8)
        volume = PatchVolume.of(np.zeros((0, *labels.shape), np.float32), classes, self.spacing, (), avoid=near)
        return find_place(Stamp.of(moved.body, (0, 0, 0), self.spacing, 2.0), volume, self.rng, min_inside=0.99)

    def lay(self, moved: _MovedLesion, at: Int[np.ndarray, " 3"]) -> None:
        """Draw a moved lesion into the phases and labels; nothing outside the liver changes."""
        view = self.labels[self.box]
        there, part = _overlap(at, moved.body.shape, view.shape)
        liver = np.isin(view[there], (Organ.LIVER, Organ.HEPATIC_VESSELS))
        share = moved.share[part] * liver
        wanted = np.zeros(view.shape, dtype=bool)
        wanted[there] = share > 0
        for phase, image in self.hu.items():
            found = self.livers[phase]
            noise = quiet_residual(found, wanted, self.spacing, self.rng)[there]
            new = found.background[there] + _difference(moved, part, phase, self.physiology) + noise
            old = image[self.box][there]
            mixed = np.clip(np.rint((1.0 - share) * old + share * new), -1024, 3071)
            old[...] = np.where(share > 0, mixed, old).astype(np.int16)
        view[there][moved.body[part] & liver] = moved.donor.label


def _difference(moved: _MovedLesion, part: Box, phase: Phase, physiology: Physiology) -> ScanArray:
    """Difference to the liver in a phase of the new scan: the donor's own, or carried over from its VP."""
    if phase in moved.contrast:
        return moved.contrast[phase][part]
    venous = float(physiology.liver[Phase.VP.index])
    low, high = zip(*liver_knots(physiology, phase), strict=True)
    shifted = np.interp(venous + moved.contrast[Phase.VP][part], low, high)
    return (shifted - np.interp(venous, low, high)).astype(np.float32)


def _overlap(at: Int[np.ndarray, " 3"], shape: tuple[int, ...], whole: tuple[int, ...]) -> tuple[Box, Box]:
    """Where an array that begins at ``at`` lies in the whole, and which part of it that is."""
    low = [max(int(a), 0) for a in at]
    high = [min(int(a) + n, m) for a, n, m in zip(at, shape, whole, strict=True)]
    there = tuple(slice(lo, hi) for lo, hi in zip(low, high, strict=True))
    part = tuple(slice(lo - int(a), hi - int(a)) for a, lo, hi in zip(at, low, high, strict=True))
    return (there[0], there[1], there[2]), (part[0], part[1], part[2])


def _record(moved: _MovedLesion, at: Int[np.ndarray, " 3"], box: Box, case: CanvasCase) -> Transplant:
    middle = np.argwhere(moved.body).mean(axis=0) + at + [s.start for s in box]
    x, y, z = (round(float(v), 2) for v in case.grid.world(middle))
    volume = round(float(np.count_nonzero(moved.body)) * case.grid.voxel_ml, 3)
    donor = moved.donor
    return Transplant(
        donor.case,
        donor.patient,
        donor.label,
        volume,
        (x, y, z),
        round(moved.scale, 3),
        round(moved.turn_deg, 1),
        moved.mirrored,
    )
