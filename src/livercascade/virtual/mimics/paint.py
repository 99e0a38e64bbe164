"""Which mimics a patient has, and their painting (docs/virtual.md, mimics)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livercascade.virtual.mimics.borders import (
    colon_interposition,
    diaphragm_slip,
    fat_cleft,
    neighbour,
    rib_indentation,
)
from livercascade.virtual.mimics.family import Mimic
from livercascade.virtual.mimics.parenchyma import fibrosis, focal_fat, nodule, sparing
from livercascade.virtual.mimics.perfusion import shunt, third_inflow
from livercascade.virtual.mimics.tracts import artery, biloma, confluence, ducts, granuloma, periportal, unfilled_veins
from livercascade.virtual.scene import Scene
from livercascade.virtual.streams import Streams, Subject

Maker = Callable[[Scene, np.random.Generator], Mimic | None]
_SPARE_VALUES = 24
_STEATOSIS = 0.2


def paint_mimics(scene: Scene, streams: Streams, factor: float) -> list[Mimic]:
    """Paint a random choice of mimics in and at the liver, never over a lesion.

    Args:
        scene: The patient.
        streams: A stream per maker, so that one more kind of mimic changes no other.
        factor: On every expected number.
    """
    found: list[Mimic] = []
    if not len(scene.liver.places):
        return found
    for number, (expected, maker) in enumerate(_expected(scene)):
        rng = streams.of(Subject.MIMICS, number)
        for _ in range(int(rng.poisson(expected * factor))):
            if scene.palette.room < _SPARE_VALUES:
                return found
            mimic = maker(scene, rng)
            if mimic is not None:
                found.append(mimic)
    if scene.physiology.bolus.early_veins:
        veins = unfilled_veins(scene)
        found += [veins] if veins is not None else []
    return found


def _expected(scene: Scene) -> tuple[tuple[float, Maker], ...]:
    """Expected number per patient; new makers go to the end."""
    cirrhotic, fatty = scene.habitus.cirrhotic, scene.habitus.fat_fraction > _STEATOSIS
    return (
        (1.1 if cirrhotic else 0.7, shunt),
        (0.35, third_inflow),
        (0.35, focal_fat),
        (1.5 if fatty else 0.0, sparing),
        (3.0 if cirrhotic else 0.0, nodule),
        (0.5 if cirrhotic else 0.03, fibrosis),
        (0.5, artery),
        (0.4, confluence),
        (0.12, ducts),
        (0.45, periportal),
        (0.05, biloma),
        (0.3, granuloma),
        (0.9, rib_indentation),
        (0.35, diaphragm_slip),
        (0.6, fat_cleft),
        (0.06, colon_interposition),
        (0.5, neighbour),
    )
