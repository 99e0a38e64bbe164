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
from livercascade.virtual.mimics.mimic_families import Mimic
from livercascade.virtual.mimics.parenchyma import fibrosis, focal_fat, nodule, shunt, sparing, third_inflow
from livercascade.virtual.mimics.tracts import artery, biloma, confluence, ducts, granuloma, periportal, unfilled_veins
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.randomness import StreamPurpose, random_stream

MimicMaker = Callable[[Phantom, np.random.Generator], Mimic | None]
# Tissue values that confounders will need, which are painted later.
_SPARE_VALUES = 24
# Share of fat from which a liver is dark enough for spared parts to stand out.
_STEATOSIS = 0.2


def paint_mimics(phantom: Phantom, seed: int, factor: float) -> list[Mimic]:
    """Paint a random choice of mimics in and at the liver, never over a lesion.

    Args:
        phantom: The patient.
        seed: Seed of the patient; each maker has a stream of it, so that one more kind of mimic changes no other.
        factor: On every expected number.
    """
    found: list[Mimic] = []
    if not len(phantom.liver.places):
        return found
    for number, (expected, maker) in enumerate(_expected(phantom)):
        rng = random_stream(seed, StreamPurpose.MIMICS, number)
        for _ in range(int(rng.poisson(expected * factor))):
            if phantom.tissue_table.room < _SPARE_VALUES:
                return found
            mimic = maker(phantom, rng)
            if mimic is not None:
                found.append(mimic)
    if phantom.physiology.bolus.early_veins:
        veins = unfilled_veins(phantom)
        found += [veins] if veins is not None else []
    return found


def _expected(phantom: Phantom) -> tuple[tuple[float, MimicMaker], ...]:
    """Expected number per patient; new makers go to the end."""
    cirrhotic, fatty = phantom.habitus.cirrhotic, phantom.habitus.fat_fraction > _STEATOSIS
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
