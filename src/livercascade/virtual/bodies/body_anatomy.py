"""Anatomy of a whole body: painters in the order in which organs cover each other, each on its part of the height."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from livercascade.virtual import abdomen, bones, chest, liver_shape, pelvis
from livercascade.virtual.anatomy import Anatomy, liver_volume_ml
from livercascade.virtual.bodies.body_plan import BodyPlan, LiverVariant, shows_liver
from livercascade.virtual.bodies.body_tissue import BodyTissue
from livercascade.virtual.bodies.couch_and_covers import implants, surround
from livercascade.virtual.bodies.head_and_neck import SPINE_FROM_MM, head, neck
from livercascade.virtual.bodies.heart_and_vessels import ARCH_MM, dense_lung, heart, lung_marks, mediastinum
from livercascade.virtual.bodies.pelvic_organs import decoys, fatty_muscles, pelvic_organs, thigh_seams
from livercascade.virtual.bodies.real_liver import (
    fit_liver,
    gallbladder_below,
    liver_vessels,
    load_liver,
    real_liver,
    room_for,
)
from livercascade.virtual.bodies.shoulders import arms, breasts, shoulder_girdle, upper_ribs
from livercascade.virtual.bodies.whole_body import APEX_MM, WholeBody, scanned, start_body
from livercascade.virtual.body_builder import CREST_MM, CROTCH_MM, DistanceField
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.virtual_settings import VirtualSettings

_FEET_MM, _VERTEX_MM = -900.0, 900.0
_LIVER_MM = (-300.0, 45.0)


def make_body(habitus: Habitus, plan: BodyPlan, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """Fine tissue map of a whole body over its scan range.

    Raises:
        InputError: A mask given as a liver's shape cannot be used.
    """
    path = _liver_shape(habitus, settings, rng)
    if path is not None:
        habitus = room_for(habitus, load_liver(path))
    body = start_body(habitus, plan, settings, rng)
    if path is not None:
        fit_liver(body, load_liver(path))
    arms(body)
    _trunk(body)
    _abdomen(body)
    body.paint(ARCH_MM - 120.0, 330.0, mediastinum)
    body.paint(170.0, 345.0, neck)
    body.paint(300.0, 560.0, head)
    body.paint(_FEET_MM, _VERTEX_MM, decoys, implants, surround)
    source = "procedural body" if path is None else f"procedural body, liver {path.name}"
    return Anatomy(scanned(body, settings), body.hilum, habitus, source)


def _liver_shape(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Path | None:
    """Mask of the real liver that this body gets; None for a procedural one, or where the scan holds no liver."""
    if not settings.liver_shapes or rng.random() >= settings.liver_shape_share:
        return None
    path = settings.liver_shapes[int(rng.integers(len(settings.liver_shapes)))]
    return path if shows_liver(habitus) else None


def _trunk(body: WholeBody) -> None:
    body.paint(_FEET_MM, 330.0, chest.wall)
    body.paint(_FEET_MM, CREST_MM + 20.0, pelvis.pelvis)
    body.paint(_FEET_MM, CROTCH_MM, thigh_seams)
    body.paint(CREST_MM - 230.0, CREST_MM, pelvic_organs)
    body.paint(_FEET_MM, 250.0, fatty_muscles)
    body.paint(110.0, 260.0, shoulder_girdle)
    body.paint(0.0, 130.0, breasts)
    body.paint(-150.0, APEX_MM, partial(chest.chest, heart=heart), lung_marks, dense_lung)


def _abdomen(body: WholeBody) -> None:
    body.paint(CREST_MM - 130.0, -90.0, abdomen.bowel)
    body.paint(_FEET_MM, SPINE_FROM_MM - 36.0, bones.spine, _keep_inside)
    body.paint(-290.0, -60.0, abdomen.retroperitoneum)
    body.paint(-170.0, 30.0, abdomen.stomach)
    body.paint(-190.0, 45.0, abdomen.spleen)
    low, high = _LIVER_MM
    shaped = body.liver_field is not None
    if shaped:
        body.paint(low, high + 20.0, real_liver, gallbladder_below)
    else:
        body.paint(low, high, liver_shape.liver, _liver_variant, liver_shape.gallbladder)
    body.paint(-260.0, 0.0, abdomen.pancreas_and_portal_trunk)
    body.paint(CREST_MM, ARCH_MM - 50.0, abdomen.great_vessels)
    body.paint(-200.0, 160.0, bones.ribs, bones.breastbone)
    body.paint(140.0, 240.0, upper_ribs)
    if shaped:
        body.paint(low, high + 20.0, liver_vessels, _liver_variant)
    else:
        body.paint(low, high, liver_shape.portal_tree, liver_shape.hepatic_veins)


def _keep_inside(body: WholeBody) -> None:
    """Processes of the spine end under the skin."""
    near = np.maximum(-body.skin, np.abs(body.x) - 60.0).astype(np.float32)
    bone = (Tissue.CORTICAL_BONE, Tissue.MARROW)
    body.tissue_map.fill(near, (6.0, Tissue.FAT), (2.0, Tissue.SKIN), (0.0, Tissue.AIR), only=bone)


def _liver_variant(body: WholeBody) -> None:
    """A tongue down from the right lobe, or a part of the liver that surgeons took out, with clips at the margin."""
    rng, tissue_map = body.rng, body.tissue_map
    if body.plan.liver is LiverVariant.RIEDEL:
        half_x = body.habitus.cavity[1]
        length = float(rng.uniform(50.0, 95.0))
        tongue = body.ellipsoid((-150.0, 0.0, -half_x + 34.0), (60.0 + length, 50.0, 28.0))
        tongue = np.maximum(np.maximum(tongue, body.cavity + 3.0), 10.0 - body.diaphragm)
        tongue = np.maximum(tongue, body.z + 90.0).astype(np.float32)
        over = (Tissue.FAT, Tissue.BOWEL_WALL, Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS, Tissue.STOOL)
        tissue_map.fill(tongue, (2.0, Tissue.FAT), only=over)
        tissue_map.fill(tongue, (0.0, Tissue.LIVER), only=over)
    if body.plan.liver is LiverVariant.RESECTED:
        _resect(body)


def _resect(body: WholeBody) -> None:
    rng, tissue_map = body.rng, body.tissue_map
    right = rng.random() < 0.5
    tilt = float(rng.uniform(-0.35, 0.35))
    at = float(rng.uniform(-90.0, -55.0)) if right else float(rng.uniform(-10.0, 15.0))
    plane = (body.x - at + tilt * body.y) * (1.0 if right else -1.0)
    liver = (*LIVER_TISSUES, Tissue.GALLBLADDER_WALL, Tissue.BILE)
    before = liver_volume_ml(tissue_map)
    margin = plane.astype(np.float32)
    tissue_map.fill(margin, (0.0, Tissue.FAT), only=liver)
    if before - liver_volume_ml(tissue_map) < 20.0:
        return
    _bowel_instead(body, margin, right=right)
    for _ in range(int(rng.integers(2, 7))):
        z, y = float(rng.uniform(-110.0, -30.0)), float(rng.uniform(-40.0, 30.0))
        clip = np.array([[z, y, at - tilt * y], [z + rng.normal(0, 3), y + rng.normal(0, 3), at - tilt * y]])
        tissue_map.tube(clip, np.full(2, 0.9), BodyTissue.METAL, (Tissue.FAT, Tissue.LIVER))


def _bowel_instead(body: WholeBody, margin: DistanceField, *, right: bool) -> None:
    """Loops of bowel that have moved to where the liver was."""
    rng, half_x = body.rng, body.habitus.cavity[1]
    aside = (-half_x + 15.0, -60.0) if right else (5.0, 60.0)
    for _ in range(int(rng.integers(8, 16)) if right else 4):
        centre = (float(rng.uniform(-150, -25)), float(rng.uniform(-60, 50)), float(rng.uniform(*aside)))
        radii = rng.uniform(14, 27, 3)
        loop = body.ellipsoid(centre, (float(radii[0]), float(radii[1]), float(radii[2])))
        loop = np.maximum(np.maximum(loop, margin + 3.0), np.maximum(body.cavity + 4.0, 5.0 - body.diaphragm))
        inside = (Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS, Tissue.STOOL)[int(rng.integers(3))]
        body.tissue_map.fill(loop.astype(np.float32), (0.0, Tissue.BOWEL_WALL), (-2.5, inside), only=(Tissue.FAT,))
