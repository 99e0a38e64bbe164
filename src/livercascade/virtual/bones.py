"""Spine, ribs and breastbone."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.body_builder import CREST_MM, BodyBuilder
from livercascade.virtual.tissue import Tissue


def spine(body: BodyBuilder) -> None:
    """Vertebrae with arches, transverse and spinous processes, discs between them, the canal."""
    y = body.habitus.spine_y
    tissue_map = body.tissue_map
    body_radius = body.rng.uniform(17, 21)
    rho = np.sqrt((body.x / (body_radius * 1.22)) ** 2 + ((body.y - y) / body_radius) ** 2)
    period, shift = body.rng.uniform(32, 38), body.rng.uniform(0, 35)
    disc = np.abs(((body.z + shift) % period) - period / 2) < 4.0
    column = np.maximum((rho - 1.0) * body_radius, CREST_MM - 30.0 - body.z).astype(np.float32)
    body.tissue_map.fill(column, (0.0, Tissue.CORTICAL_BONE), (-1.4, Tissue.MARROW))
    body.tissue_map.fill(np.where(disc, column, 50.0).astype(np.float32), (0.5, Tissue.DISC))
    back = y + body_radius + 9.0
    low = body.z < CREST_MM - 30.0
    for side in (-1.0, 1.0):
        arch = body.ellipsoid((0.0, back - 1.0, side * 14.0), (900.0, 7.0, 6.0))
        gaps = np.where(disc | low, 50.0, arch).astype(np.float32)
        body.tissue_map.fill(gaps, (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
    for side in (-1.0, 1.0):
        wing = body.ellipsoid((0.0, back - 3.0, side * 30.0), (900.0, 4.0, 20.0))
        middle = np.where(~low & (np.abs(((body.z + shift) % period) - period / 2) > 0.3 * period), wing, 50.0).astype(
            np.float32
        )
        body.tissue_map.fill(middle, (0.0, Tissue.CORTICAL_BONE), (-1.4, Tissue.MARROW))
    spinous = body.ellipsoid((0.0, back + 20.0, 0.0), (900.0, 15.0, 4.0))
    body.tissue_map.fill(
        np.where(disc | low, 50.0, spinous).astype(np.float32), (0.0, Tissue.CORTICAL_BONE), (-1.8, Tissue.MARROW)
    )
    z = np.linspace(max(float(tissue_map.z[0]), CREST_MM - 60.0), float(tissue_map.z[-1]), 12)
    canal = np.stack([z, np.full(12, back - 2.0), np.zeros(12)], axis=1)
    tissue_map.tube(canal, np.full(12, 8.5), Tissue.SPINAL_CANAL)


def ribs(body: BodyBuilder) -> None:
    """Ribs from the spine round the chest, the lower ones shorter."""
    half_y, half_x = body.habitus.cavity
    spacing = body.rng.uniform(24, 30)
    angle = np.linspace(0.12, 0.82, 18) * np.pi
    for number in range(-1, 12):
        # Lower ribs are shorter: the front of the arch stays open below the costal margin.
        count = 18 if number < 5 else max(6, 18 - 2 * (number - 4))
        z0 = 130.0 - spacing * number
        for side in (-1.0, 1.0):
            theta = angle[:count]
            x = side * (half_x + 5.0) * np.sin(theta) ** 0.9
            y = (half_y + 5.0) * np.cos(theta) - 4.0
            z = z0 - 70.0 * (theta - theta[0]) / np.pi + 3.0 * np.sin(6 * theta)
            points = np.stack([z, y, x], axis=1)
            if points[:, 0].max() < float(body.tissue_map.z[0]) - 10:
                continue
            body.tissue_map.tube(points, np.full(count, 5.0), Tissue.CORTICAL_BONE)
            body.tissue_map.tube(points, np.full(count, 3.0), Tissue.MARROW)


def breastbone(body: BodyBuilder) -> None:
    """Sternum in front, as far down as the xiphoid."""
    half_y = body.habitus.cavity[0]
    z = np.linspace(10.0, 160.0, 8)
    for side in (-7.0, 0.0, 7.0):
        points = np.stack([z, np.full(8, -half_y - 9.0 + 0.04 * (z - 10)), np.full(8, side)], axis=1)
        body.tissue_map.tube(points, np.full(8, 5.5), Tissue.CORTICAL_BONE)
        body.tissue_map.tube(points, np.full(8, 3.8), Tissue.MARROW)
