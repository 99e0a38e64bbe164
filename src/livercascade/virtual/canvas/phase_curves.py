"""From the HU of VP to those of another phase, tissue by tissue: curves and where they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.labels import Phase
from livercascade.virtual.canvas.scanned_liver import ScanArray, ScanMask
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.tissue import Tissue

_COARSE_MM = 3.0
_BONE_HU = 245.0
Knots = tuple[tuple[float, float], ...]
"""Pairs (HU in VP, HU in the other phase), rising in the first."""


@dataclass(frozen=True, slots=True, eq=False)
class BodyParts:
    """Parts of the body that enhance on their own, told from VP by brightness, size and place.

    Attributes:
        bone: Ribs and spine with their marrow.
        aorta: The one bright tube that runs through all slices left of the midline, before the spine.
        heart: Large and bright, above the liver's middle and in front.
        kidneys: Large and bright, behind.
        medulla: What of the kidneys lies deeper than their cortex.
        spleen: Large, as bright as enhanced organs, on the left and behind.
    """

    bone: ScanMask
    aorta: ScanMask
    heart: ScanMask
    kidneys: ScanMask
    medulla: ScanMask
    spleen: ScanMask


def liver_knots(physiology: Physiology, phase: Phase) -> Knots:
    """Curve inside the liver: fat and fluid stay, dark lesions stay dark, vessels have their own HU."""
    hu = physiology.hu
    liver, new = float(hu[Phase.VP.index, Tissue.LIVER]), float(hu[phase.index, Tissue.LIVER])
    vein, new_vein = (
        0.5 * float(hu[p, Tissue.PORTAL_BRANCH] + hu[p, Tissue.HEPATIC_VEIN]) for p in (Phase.VP.index, phase.index)
    )
    vein = max(vein, liver + 25.0)
    dark = min(0.45 * liver, liver - 20.0)
    # A solid lesion that is dark in VP holds little contrast medium: it loses less than the liver does.
    new_dark = min(dark - 0.35 * max(dark - 15.0, 0.0) * (1.0 if phase is Phase.NC else 0.5), new - 6.0)
    knots = [(-1000.0, -1000.0), (-60.0, -60.0), (min(5.0, dark - 12.0), min(5.0, dark - 12.0, new_dark - 6.0))]
    knots += [(dark, new_dark), (liver, new), (vein, new_vein), (max(300.0, vein + 60), max(300.0, vein + 60))]
    return tuple(knots)


def body_knots(physiology: Physiology, phase: Phase) -> Knots:
    """Curve outside the liver for what is not one of the `BodyParts`: fat, muscle, glands, bowel wall, veins."""
    hu, p = physiology.hu, phase.index

    def new(*tissues: Tissue) -> float:
        return float(np.mean([hu[p, tissue] for tissue in tissues]))

    veins = max(float(hu[Phase.VP.index, Tissue.PORTAL_TRUNK]), 140.0)
    return (
        (-1000.0, -1000.0),
        (-100.0, -100.0 + new(Tissue.FAT) - float(hu[Phase.VP.index, Tissue.FAT])),
        (0.0, 0.0),
        (22.0, 21.0),
        (62.0, 62.0 + float(hu[p, Tissue.MUSCLE] - hu[Phase.VP.index, Tissue.MUSCLE])),
        (95.0, new(Tissue.PANCREAS, Tissue.BOWEL_WALL)),
        (veins, new(Tissue.PORTAL_TRUNK, Tissue.IVC)),
        (max(260.0, veins + 60.0), new(Tissue.PORTAL_TRUNK, Tissue.IVC) + 10.0),
        (max(420.0, veins + 200.0), max(400.0, veins + 190.0)),
        (3100.0, 3090.0),
    )


def body_parts(smooth: ScanArray, liver: ScanMask, spacing: Triple) -> BodyParts:
    """Bone, aorta, heart, kidneys and spleen in a venous scan.

    Args:
        smooth: VP without its noise, HU.
        liver: The liver with all that lies in it.
        spacing: Voxel spacing (z, y, x) in mm.
    """
    stride = tuple(max(1, round(_COARSE_MM / step)) for step in spacing)
    cut = tuple(slice(None, None, n) for n in stride)
    steps = (spacing[0] * stride[0], spacing[1] * stride[1], spacing[2] * stride[2])
    inside = np.asarray(ndimage.binary_dilation(liver[cut]))
    image = _without_table(smooth[cut], steps)
    level = float(np.median(image[liver[cut]])) if liver[cut].any() else 100.0
    dense = _bone(image, inside, steps)
    bright = (image > max(125.0, level + 12.0)) & (image < 330.0) & ~inside
    aorta = _aorta((image > 105.0) & (image < 400.0) & ~dense & ~inside, image, steps)
    spine = _spine(image, aorta, inside, steps)
    # Kidneys late in the venous phase are as bright as ribs, but wide.
    large = _opened(bright & ~aorta & ~spine, 10.0, steps, closing=5.0)
    heart, kidneys = _heart_and_kidneys(large, inside, image, steps)
    bone = (dense | spine) & ~_wider(kidneys, 3.0, steps) & ~aorta
    soft = (image > 72.0) & (image < 170.0) & ~inside & ~bone & ~aorta & ~kidneys & ~heart
    spleen = _spleen(_opened(soft, 9.0, steps, closing=0.0), image, steps)

    def whole(mask: np.ndarray) -> np.ndarray:
        for axis, n in enumerate(stride):
            mask = np.repeat(mask, n, axis=axis)
        return mask[: smooth.shape[0], : smooth.shape[1], : smooth.shape[2]]

    outside = ~liver
    close = {
        name: whole(_wider(mask, 3.5, steps)) & outside for name, mask in (("a", aorta), ("h", heart), ("k", kidneys))
    }
    return BodyParts(
        bone=whole(bone) & (smooth > 90) & outside,
        aorta=close["a"] & (smooth > 90),
        heart=close["h"] & (smooth > 80),
        kidneys=close["k"] & (smooth > 90),
        medulla=whole(np.asarray(ndimage.distance_transform_edt(kidneys, sampling=steps)) > 5.0) & outside,
        spleen=whole(spleen) & outside & (smooth > 55),
    )


def _without_table(image: ScanArray, steps: Triple) -> ScanArray:
    """The image with air for all that is not the trunk."""
    body = image > -300.0
    trunk = _opened(body, 12.0, steps, closing=0.0)
    parts, count = ndimage.label(trunk)
    if not count:
        return image
    trunk = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    # Lungs are air too, and lie inside: fill what the trunk encloses in a slice.
    for k in range(len(trunk)):
        trunk[k] = np.asarray(ndimage.binary_fill_holes(trunk[k]))
    return np.where(trunk, image, np.float32(-1000.0)).astype(np.float32)


def _bone(image: ScanArray, liver: ScanMask, steps: Triple) -> ScanMask:
    """Dense voxels, what they enclose in a slice, and what is bright beside them."""
    dense = (image > _BONE_HU) & ~liver
    closed = np.asarray(ndimage.binary_closing(np.pad(dense, ((0, 0), (4, 4), (4, 4))), np.ones((1, 5, 5), dtype=bool)))
    enclosed = np.zeros_like(dense)
    for k in range(len(dense)):
        enclosed[k] = np.asarray(ndimage.binary_fill_holes(closed[k]))[4:-4, 4:-4]
    return _wider(enclosed, 3.0, steps) & (image > 90) & ~liver


def _spine(image: ScanArray, aorta: ScanMask, liver: ScanMask, steps: Triple) -> ScanMask:
    """The bright body of the spine behind the aorta, also where a scan shows no dense bone."""
    body = np.argwhere((image > -200).any(axis=0))
    middle = body.mean(axis=0)
    seen = np.argwhere(aorta)
    front = float(np.median(seen[:, 1])) + 13.0 / steps[1] if len(seen) else middle[0] + 18.0 / steps[1]
    column = np.zeros(image.shape, dtype=bool)
    left, right = (round(float(middle[1]) + side / steps[2]) for side in (-38.0, 38.0))
    column[:, max(int(front), 0) :, max(left, 0) : right] = True
    marrow = (image > 105.0) & column & ~liver & ~aorta
    return np.asarray(ndimage.binary_closing(marrow, np.ones((1, 3, 3), dtype=bool))) & column & ~liver & ~aorta


def _aorta(bright: ScanMask, image: ScanArray, steps: Triple) -> ScanMask:
    """Round bright blobs that follow each other from slice to slice through the scan; empty if none do."""
    body = np.argwhere((image > -200).any(axis=0))
    middle = body.mean(axis=0)
    tracks: list[list[tuple[int, np.ndarray]]] = []
    stacks: list[np.ndarray] = []
    for k in range(len(bright)):
        parts, count = ndimage.label(bright[k])
        stacks.append(parts)
        for number in range(1, count + 1):
            at = np.argwhere(parts == number)
            area = len(at) * steps[1] * steps[2]
            spread = np.sqrt(((at - at.mean(axis=0)) ** 2).sum(axis=1).mean() * steps[1] * steps[2])
            # For a disc the mean square distance from the middle is half of the radius squared.
            if not 120.0 < area < 1100.0 or spread > 1.25 * np.sqrt(area / np.pi / 2):
                continue
            place = at.mean(axis=0)
            # Behind the middle of the body, at most 5 cm from the midline.
            if place[0] < middle[0] - 15.0 / steps[1] or abs(place[1] - middle[1]) * steps[2] > 50.0:
                continue
            for track in tracks:
                last, where = track[-1]
                if last < k <= last + 5 and np.linalg.norm((place - where) * steps[1:]) < 6.0 + 2.0 * (k - last):
                    track.append((k, place))
                    break
            else:
                tracks.append([(k, place)])
    out = np.zeros_like(bright)
    long = [track for track in tracks if len({k for k, _ in track}) > 0.35 * len(bright)]
    if not long:
        return out
    # The aorta lies further to the left than the caval vein.
    best = max(long, key=lambda track: float(np.mean([place[1] for _, place in track])))
    for k, place in best:
        y, x = np.rint(place).astype(int)
        number = stacks[k][y, x]
        if number:
            out[k] = stacks[k] == number
    return out


def _heart_and_kidneys(large: ScanMask, liver: ScanMask, image: ScanArray, steps: Triple) -> tuple[ScanMask, ScanMask]:
    parts, _ = ndimage.label(large)
    heart, kidneys = np.zeros_like(large), np.zeros_like(large)
    rows = np.flatnonzero(liver.any(axis=(1, 2)))
    top = float(rows.max()) if rows.size else len(large) - 1.0
    middle = np.argwhere((image > -200).any(axis=0)).mean(axis=0)
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        own = parts[box] == number
        volume = np.count_nonzero(own) * float(np.prod(steps)) / 1000.0
        if volume < 15.0:
            continue
        place = np.argwhere(own).mean(axis=0) + [s.start for s in box]
        high = (top - place[0]) * steps[0] < 60.0
        if high and place[1] < middle[0]:
            heart[box] |= own
        elif not high and place[1] > middle[0] - 20.0 / steps[1] and abs(place[2] - middle[1]) * steps[2] > 25.0:
            kidneys[box] |= own
    return heart, kidneys


def _spleen(soft: ScanMask, image: ScanArray, steps: Triple) -> ScanMask:
    parts, _ = ndimage.label(soft)
    middle = np.argwhere((image > -200).any(axis=0)).mean(axis=0)
    best, most = np.zeros_like(soft), 30.0
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        own = parts[box] == number
        volume = np.count_nonzero(own) * float(np.prod(steps)) / 1000.0
        place = np.argwhere(own).mean(axis=0) + [s.start for s in box]
        left, behind = (place[2] - middle[1]) * steps[2], (place[1] - middle[0]) * steps[1]
        if volume > most and left > 40.0 and behind > -10.0:
            best, most = np.zeros_like(soft), volume
            best[box] = own
    return _wider(best, 3.0, steps)


def _wider(mask: ScanMask, by_mm: float, steps: Triple) -> ScanMask:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=steps)) <= by_mm


def _opened(mask: ScanMask, radius: float, steps: Triple, closing: float) -> ScanMask:
    """A mask without parts thinner than ``radius``, after holes narrower than ``closing`` are filled."""
    if closing and mask.any():
        wide = _wider(mask, closing, steps)
        mask = np.asarray(ndimage.distance_transform_edt(wide, sampling=steps)) > closing
    if not mask.any():
        return mask
    core = np.asarray(ndimage.distance_transform_edt(mask, sampling=steps)) > radius
    return mask & _wider(core, radius + 1.0, steps)
