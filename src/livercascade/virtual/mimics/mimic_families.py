"""The twelve families of mimics and the confounders, with the values they have in ``mimics.nii.gz``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class MimicFamily(IntEnum):
    """What may be taken for a lesion and is none (docs/virtual.md, mimics)."""

    PERFUSION = 1
    FOCAL_FAT = 2
    VESSEL = 3
    PARTIAL_VOLUME = 4
    NODULE = 5
    FIBROSIS = 6
    BILIARY = 7
    DENSE = 8
    ARTEFACT = 9
    MISREGISTRATION = 10
    NEIGHBOUR = 11
    PSEUDO_ENHANCEMENT = 12


class ConfounderKind(IntEnum):
    """What an earlier treatment or another illness left; beside the mimics in the same map, from 21 on."""

    LIPIODOL = 21
    ABLATION = 22
    RESECTION = 23
    STENT = 24
    DRAIN = 25
    PORTAL_THROMBOSIS = 26
    ASCITES = 27
    PLEURAL_EFFUSION = 28


@dataclass(frozen=True, slots=True)
class Mimic:
    """One mimic or confounder.

    Attributes:
        family: One of the twelve families, or the kind of a confounder; its value in ``mimics.nii.gz``.
        kind: What exactly, for example ``third inflow``; of a confounder its name.
        centre: LPS centre (x, y, z) in mm.
        volume_ml: Volume; for an effect of the image, of the liver that it touches.
    """

    family: MimicFamily | ConfounderKind
    kind: str
    centre: tuple[float, float, float]
    volume_ml: float
