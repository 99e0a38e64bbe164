"""The liver with its fissures, gallbladder and vessel trees."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.body_builder import ABDOMINAL, BodyBuilder, DistanceField, smooth_max
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import COARSE_MM
from livercascade.virtual.vessel_trees import paint_hepatic_veins, paint_portal_tree


def liver(body: BodyBuilder) -> None:
    """The liver of the volume aimed at, nodular in cirrhosis, with fat and fluid round it, and its fissures."""
    shape = _shape(body)
    # The level that holds the wanted number of cells: the shape is grown or shrunk, not scaled.
    order = np.sort(shape.ravel())
    cell_ml = (COARSE_MM**3) / 1000.0
    level = float(np.clip(order[min(int(body.habitus.liver_ml / cell_ml), order.size - 1)], -14.0, 7.0))
    shape = shape - level
    if body.habitus.cirrhotic:
        cells = 11.0 / COARSE_MM
        shape = shape + body.rng.uniform(1.0, 2.5) * coarse_noise(body.shape, (cells, cells, cells), body.rng)
    organ = np.maximum(np.maximum(shape, body.cavity + 2.0), 3.0 - body.diaphragm).astype(np.float32)
    if body.habitus.ascites:
        fluid = np.maximum(organ, body.cavity + 1.0).astype(np.float32)
        body.tissue_map.fill(fluid, (float(body.rng.uniform(5, 16)), Tissue.FLUID), only=ABDOMINAL)
    body.tissue_map.fill(organ, (2.5, Tissue.FAT), only=(*ABDOMINAL, Tissue.STOMACH_WALL, Tissue.RENAL_CORTEX))
    body.tissue_map.fill(organ, (0.0, Tissue.LIVER))
    _fissure(body)


def _shape(body: BodyBuilder) -> DistanceField:
    h = body.habitus
    half_x = h.cavity[1]
    along = np.clip((body.x + half_x) / (h.left_lobe + half_x), 0.0, 1.2)
    height = h.liver_height * (1.0 - 0.72 * along ** body.rng.uniform(1.0, 1.6))
    bottom = -height + 0.42 * np.clip(body.y + 10.0, 0, 200) - 0.10 * np.clip(-body.y - 20.0, 0, 100)
    under = (bottom - body.z) * 0.8
    shape = smooth_max((body.cavity + 3.0).astype(np.float32), (4.0 - body.diaphragm).astype(np.float32), 10.0)
    shape = smooth_max(shape, under.astype(np.float32), 22.0)
    shape = smooth_max(shape, (body.x - h.left_lobe).astype(np.float32) * 0.8, 25.0)
    behind_left = (body.y - (18.0 - 0.75 * (body.x + 15.0))) * 0.75
    shape = smooth_max(shape, behind_left.astype(np.float32), 18.0)
    spine = np.sqrt(body.x**2 * 0.8 + (body.y - h.spine_y) ** 2) - 37.0
    shape = smooth_max(shape, -spine.astype(np.float32), 10.0)
    kidney = body.ellipsoid((-158.0, h.spine_y - 6.0, -60.0), (62.0, 34.0, 38.0))
    shape = smooth_max(shape, -kidney, 10.0)
    cells = 28.0 / COARSE_MM
    return (shape + 2.5 * coarse_noise(body.shape, (cells, cells, cells), body.rng)).astype(np.float32)


def _fissure(body: BodyBuilder) -> None:
    at = body.rng.uniform(-14, 12)
    width = np.clip((-body.z - 55.0) * 0.05, 0.0, 4.0) * (1.5 if body.habitus.cirrhotic else 1.0)
    cleft = np.maximum(np.abs(body.x - at - 0.12 * body.y) - width, np.maximum(body.z + 60.0, body.y + 18.0)) + 0.5
    body.tissue_map.fill(cleft.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.LIVER,))
    venous = np.maximum(np.abs(body.y - 14.0 + 0.25 * body.x) - 2.0, np.abs(body.x - at - 8.0) - 16.0)
    venous = np.maximum(venous, np.abs(body.z + 62.0) - 24.0)
    body.tissue_map.fill(venous.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.LIVER,))


def gallbladder(body: BodyBuilder) -> None:
    """Gallbladder; 12 % have none."""
    if body.rng.random() < 0.12:
        return
    size = body.rng.uniform(0.7, 1.25)
    centre = (
        float(-112.0 - body.rng.uniform(0, 25)),
        float(-38.0 + body.rng.normal(0, 8)),
        float(-45.0 + body.rng.normal(0, 8)),
    )
    gall = body.ellipsoid(centre, (27.0 * size, 17.0 * size, 14.0 * size), tilt=float(body.rng.uniform(-0.7, 0.2)))
    only = (*ABDOMINAL, Tissue.LIVER, Tissue.STOMACH_WALL)
    body.tissue_map.fill(gall, (0.0, Tissue.GALLBLADDER_WALL), (-2.0, Tissue.BILE), only=only)


def portal_tree(body: BodyBuilder) -> None:
    """Portal branches with arteries beside them."""
    goals = [np.array(g) for g in ((-70.0, 10.0, -85.0), (-75.0, -25.0, 15.0), (-45.0, 5.0, -75.0))]
    paint_portal_tree(body.tissue_map, body.hilum, goals, body.rng)


def hepatic_veins(body: BodyBuilder) -> None:
    """Hepatic veins from the caval vein."""
    root = np.array([-22.0, body.habitus.spine_y - 50.0, -26.0])
    ends = ((-75.0, 15.0, -100.0), (-80.0, -45.0, -60.0), (-60.0, -35.0, 25.0), (-120.0, 10.0, -80.0))
    paint_hepatic_veins(body.tissue_map, root, [np.array(g) for g in ends], body.rng)
