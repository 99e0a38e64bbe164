"""Shoulders with their bones and muscles, arms in every position, the upper ribs, breasts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from livercascade.virtual.bodies.body_plan import Arms
from livercascade.virtual.bodies.body_tissue import BodyTissue
from livercascade.virtual.bodies.whole_body import SHOULDER_MM, WholeBody
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue

_SOFT = (Tissue.FAT, Tissue.MUSCLE)
Course = Float64[np.ndarray, "n 3"]
"""Points (z, y, x) in mm."""


def arms(body: WholeBody) -> None:
    """Arms raised, beside the trunk or on the belly, as far as the field of view shows them."""
    plan, h = body.plan, body.habitus
    thick = float(np.clip(0.24 * h.half_width + 0.12 * h.fat_side, 32.0, 56.0))
    for side in (-1.0, 1.0):
        down = plan.arms in (Arms.DOWN, Arms.FOLDED) or (plan.arms is Arms.ONE_DOWN and side > 0)
        course = _hanging(body, side) if down else _raised(body, side)
        if plan.arms is Arms.FOLDED:
            course = _folded(body, side)
        radii = thick * np.array([1.0, 0.86, 0.8, 0.78, 0.55, 0.62, 0.4])
        _limb(body, course, radii)


def shoulder_girdle(body: WholeBody) -> None:
    """Muscles of chest and shoulders, shoulder blades, collar bones, heads of the arm bones."""
    h = body.habitus
    up = body.plan.arms is Arms.UP
    inner = np.maximum(body.skin + 0.55 * h.fat_side + 5.0, -body.cavity)
    girdle = np.maximum(inner, 128.0 - body.straight[0] + 12.0 * coarse_noise(body.shape, (8.0, 7.0, 7.0), body.rng))
    body.tissue_map.fill(girdle.astype(np.float32), (0.0, Tissue.MUSCLE), only=(Tissue.FAT,))
    seams = np.abs(coarse_noise(body.shape, (14.0, 8.0, 8.0), body.rng)) - 0.16
    seams = np.maximum(20.0 * seams, girdle + 4.0)
    body.tissue_map.fill(seams.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.MUSCLE,))
    for side in (-1.0, 1.0):
        out, height = (0.72, SHOULDER_MM + 18.0) if up else (0.88, SHOULDER_MM - 6.0)
        joint = np.array([height, 12.0, side * out * h.half_width])
        blade = np.array([joint, [120.0, 0.72 * h.half_depth, side * 92.0], [60.0, 0.80 * h.half_depth, side * 84.0]])
        inner_edge = np.array([[170.0, 0.72 * h.half_depth, side * 66.0], [70.0, 0.82 * h.half_depth, side * 70.0]])
        for course, radii in ((blade, (9.0, 4.5, 3.5)), (inner_edge, (4.0, 3.5))):
            _bone(body, course, np.array(radii))
        collar = np.array(
            [
                [176.0, -0.45 * h.half_depth, side * 14.0],
                [206.0, -22.0, side * 80.0],
                joint + np.array([14.0, -6.0, 0.0]),
            ]
        )
        _bone(body, collar, np.array([8.0, 5.5, 6.0]))
        _bone(body, np.array([joint, joint + np.array([6.0, 0.0, side * 2.0])]), np.array([24.0, 22.0]))


def upper_ribs(body: WholeBody) -> None:
    """Ribs over those of the lower chest, each shorter than the one below."""
    half_y, half_x = body.habitus.cavity
    for number in range(3):
        height = 232.0 - 22.0 * number
        narrow = (0.52, 0.68, 0.8)[number]
        angle = np.linspace(0.1, 0.86, 12) * np.pi
        for side in (-1.0, 1.0):
            x = side * (half_x * narrow + 3.0) * np.sin(angle) ** 0.9
            y = (half_y * (0.62 + 0.1 * number) + 4.0) * np.cos(angle) + 6.0
            z = height - (46.0 + 8.0 * number) * (angle - angle[0]) / np.pi
            _bone(body, np.stack([z, y, x], axis=1), np.full(12, 5.0))


def breasts(body: WholeBody) -> None:
    """Glandular tissue in the breasts of women, dense or fatty."""
    if not body.plan.female:
        return
    h, size = body.habitus, body.breast_size
    density = float(body.rng.uniform(-1.2, 0.6))
    for side in (-1.0, 1.0):
        bowl = body.ellipsoid((58.0, -0.9 * h.half_depth - 6.0, side * 78.0), (38.0 * size, 26.0 * size, 40.0 * size))
        lobes = 12.0 * (coarse_noise(body.shape, (4.0, 4.0, 4.0), body.rng) - density)
        gland = np.maximum(np.maximum(bowl, lobes), body.skin + 5.0)
        body.tissue_map.fill(gland.astype(np.float32), (0.0, BodyTissue.BREAST), only=(Tissue.FAT,))


def _raised(body: WholeBody, side: float) -> Course:
    w = body.habitus.half_width
    lean, bend = float(body.rng.uniform(-30, 20)), float(body.rng.uniform(0.6, 1.15))
    elbow = np.array([SHOULDER_MM + 150.0, lean, side * bend * w * 1.2])
    shoulder = np.array([SHOULDER_MM + 18.0, 10.0, side * 0.74 * w])
    hand = np.array([SHOULDER_MM + 330.0, lean + 20.0, side * float(body.rng.uniform(20, 120))])
    return _joined(shoulder, elbow, hand)


def _hanging(body: WholeBody, side: float) -> Course:
    w = body.habitus.half_width
    shoulder = np.array([SHOULDER_MM - 8.0, 12.0, side * 0.95 * w])
    away = w + float(body.rng.uniform(38, 60))
    elbow = np.array([-110.0, float(body.rng.uniform(10, 50)), side * away])
    hand = np.array([-420.0, float(body.rng.uniform(-40, 40)), side * (away - float(body.rng.uniform(0, 25)))])
    return _joined(shoulder, elbow, hand)


def _folded(body: WholeBody, side: float) -> Course:
    w, d = body.habitus.half_width, body.habitus.half_depth
    shoulder = np.array([SHOULDER_MM - 8.0, 12.0, side * 0.95 * w])
    elbow = np.array([-95.0 + 30.0 * side, -10.0, side * (w + 40.0)])
    hand = np.array(
        [float(body.rng.uniform(-190, -60)) + 40.0 * side, -d - 34.0, -side * float(body.rng.uniform(-40, 40))]
    )
    return _joined(shoulder, elbow, hand)


def _joined(shoulder: np.ndarray, elbow: np.ndarray, hand: np.ndarray) -> Course:
    """Seven points: shoulder, two along the upper arm, elbow, two along the forearm, hand."""
    upper = [shoulder + (elbow - shoulder) * t for t in (0.0, 0.35, 0.7)]
    lower = [elbow + (hand - elbow) * t for t in (0.0, 0.3, 0.65, 1.0)]
    return np.array([*upper, lower[0], *lower[1:]])


def _limb(body: WholeBody, course: Course, radii: np.ndarray) -> None:
    fat = float(np.clip(0.3 * body.habitus.fat_side, 3.0, 12.0))
    for less, tissue in ((0.0, Tissue.SKIN), (2.0, Tissue.FAT), (2.0 + fat, Tissue.MUSCLE)):
        body.tissue_map.tube(course, np.maximum(radii - less, 4.0), tissue)
    body.tissue_map.tube(course[:4], np.full(4, 11.0), Tissue.CORTICAL_BONE)
    body.tissue_map.tube(course[:4], np.full(4, 6.0), Tissue.MARROW)
    for aside in (-9.0, 9.0):
        shifted = course[3:] + np.array([0.0, aside, 0.3 * aside])
        body.tissue_map.tube(shifted, np.full(4, 6.5), Tissue.CORTICAL_BONE)
        body.tissue_map.tube(shifted, np.full(4, 3.0), Tissue.MARROW)
    vessel = course + np.array([0.0, -14.0, 4.0])
    body.tissue_map.tube(vessel, np.full(len(course), 2.5), Tissue.AORTA, (Tissue.MUSCLE,))


def _bone(body: WholeBody, course: Course, radii: np.ndarray) -> None:
    over = (*_SOFT, Tissue.SKIN, Tissue.CORTICAL_BONE, Tissue.MARROW)
    body.tissue_map.tube(course, radii, Tissue.CORTICAL_BONE, over)
    body.tissue_map.tube(course, np.maximum(radii - 1.8, 0.5), Tissue.MARROW, over)
