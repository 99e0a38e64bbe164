"""What treatment or another illness left: lipiodol, ablation, resection, stent, drain, thrombosis, fluid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from livercascade.data.labels import BACKGROUND, Organ, PatientClass
from livercascade.data.lesion import Box
from livercascade.virtual.mimics.mimic_families import ConfounderKind, Mimic, MimicFamily
from livercascade.virtual.mimics.mimic_region import body, outline, summary
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.randomness import StreamPurpose, random_stream
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.vessel_trees import bent_line

# Tissue values that the last confounder must find free; what comes later than confounders needs none.
_SPARE_VALUES = 12


def resect(phantom: Phantom, intended: PatientClass, seed: int) -> list[Mimic]:
    """Cut a part of the liver away and leave clips along the margin; before lesions are painted."""
    rng = random_stream(seed, StreamPurpose.CONFOUNDERS)
    chance = 0.05 if intended in (PatientClass.HCC, PatientClass.META) else 0.01
    if rng.random() > chance or not len(phantom.liver.places):
        return []
    tissue_map, liver = phantom.tissue_map, phantom.liver
    spot = int(rng.choice(np.flatnonzero(liver.depth < 12.0)))
    normal = liver.outward[spot].astype(np.float64) + rng.normal(0, 0.3, 3)
    normal /= np.linalg.norm(normal)
    centre = liver.places[spot] - normal * float(rng.uniform(5, 22))
    box = tissue_map.box_round((float(centre[0]), float(centre[1]), float(centre[2])), 75.0)
    dz, dy, dx = tissue_map.offsets(box, (float(centre[0]), float(centre[1]), float(centre[2])))
    along = dz * np.float32(normal[0]) + dy * np.float32(normal[1]) + dx * np.float32(normal[2])
    gone = (along > 0) & (dz**2 + dy**2 + dx**2 < 75.0**2) & np.isin(tissue_map.values[box], LIVER_TISSUES)
    tissue_map.write(box, gone, Tissue.FAT)
    value = phantom.tissue_table.add(
        np.full(4, rng.uniform(2000, 3000), np.float32), BACKGROUND, int(ConfounderKind.RESECTION), solid=False
    )
    edge = np.argwhere(gone & (along < 2.0))
    for _ in range(int(rng.integers(3, 8)) if len(edge) else 0):
        z, y, x = tissue_map.place(edge[int(rng.integers(len(edge)))] + [s.start for s in box])
        points = np.array([[z, y, x], [z + rng.normal(0, 2), y + rng.normal(0, 2), x + rng.normal(0, 3)]])
        tissue_map.tube(points, np.full(2, 0.9), value)
    return _recorded(phantom, box, ConfounderKind.RESECTION, value)


def paint_confounders(phantom: Phantom, intended: PatientClass, seed: int) -> list[Mimic]:
    """Paint what the patient's history left, never over a lesion, and record it."""
    found: list[Mimic] = []
    hcc, malignant = intended is PatientClass.HCC, intended.malignant
    chances = (
        (0.08 if hcc else 0.0, _lipiodol),
        (0.05 if malignant else 0.005, _ablation),
        (0.25 if intended is PatientClass.ICC else 0.015, _stent),
        (0.015, _drain),
        (0.05 if phantom.habitus.cirrhotic else 0.005, _thrombosis),
    )
    for number, (chance, maker) in enumerate(chances, start=1):
        rng = random_stream(seed, StreamPurpose.CONFOUNDERS, number)
        if rng.random() < chance and phantom.tissue_table.room > _SPARE_VALUES and len(phantom.liver.places):
            found += maker(phantom, rng)
    for there, tissue, kind in (
        (phantom.habitus.ascites, Tissue.FLUID, ConfounderKind.ASCITES),
        (phantom.habitus.effusion > 0, Tissue.PLEURAL_FLUID, ConfounderKind.PLEURAL_EFFUSION),
    ):
        if there:
            whole = (slice(None), slice(None), slice(None))
            found += _recorded(phantom, whole, kind, tissue)
    return found


def _lipiodol(phantom: Phantom, rng: np.random.Generator) -> list[Mimic]:
    """One to three treated spots that hold iodised oil, patchy or full."""
    found: list[Mimic] = []
    for _ in range(int(rng.integers(1, 4))):
        grown = body(
            phantom, _anywhere(phantom, rng), float(np.exp(rng.uniform(np.log(0.3), np.log(20)))), outline(rng), rng
        )
        if grown is None:
            continue
        level = rng.uniform(300, 1500)
        value = phantom.tissue_table.add(
            np.full(4, level, np.float32), int(Organ.LIVER), int(ConfounderKind.LIPIODOL), solid=False,
            patchy_hu=float(0.3 * level),
        )  # fmt: skip
        phantom.tissue_map.write(*grown, value, (Tissue.LIVER,))
        found += _recorded(phantom, grown[0], ConfounderKind.LIPIODOL, value)
    return found


def _ablation(phantom: Phantom, rng: np.random.Generator) -> list[Mimic]:
    """A cavity of 20 to 35 HU that does not enhance and has no rim."""
    radius = float(rng.uniform(8, 20))
    # 4.19e-3 is 4/3 pi, from mm3 to ml.
    grown = body(phantom, _anywhere(phantom, rng), 4.19e-3 * radius**3, outline(rng), rng)
    if grown is None:
        return []
    level = rng.uniform(20, 35)
    hu = np.array([level, level + 1, level + 2, level + 2], np.float32)
    value = phantom.tissue_table.add(
        hu, int(Organ.LIVER), int(ConfounderKind.ABLATION), patchy_hu=float(rng.uniform(1.5, 5))
    )
    phantom.tissue_map.write(*grown, value, (Tissue.LIVER,))
    return _recorded(phantom, grown[0], ConfounderKind.ABLATION, value)


def _stent(phantom: Phantom, rng: np.random.Generator) -> list[Mimic]:
    """Metal or plastic from the hilum down the bile duct, and gas in the ducts."""
    start = phantom.hilum + rng.normal(0, 3, 3)
    end = start + np.array([-55.0, 8.0, 12.0])
    value = phantom.tissue_table.add(
        np.full(4, rng.uniform(250, 1800), np.float32), BACKGROUND, int(ConfounderKind.STENT), solid=False
    )
    phantom.tissue_map.tube(bent_line(start, end, 8, 4.0, rng), np.full(8, float(rng.uniform(1.8, 3.5))), value)
    gas = phantom.tissue_table.add(
        np.full(4, -400.0, np.float32), int(Organ.LIVER), int(MimicFamily.BILIARY), solid=False
    )
    for _ in range(int(rng.integers(0, 5))):
        heading = rng.normal((0.0, -0.8, 0.0), 1.0)
        at = start + heading / np.linalg.norm(heading) * float(rng.uniform(15, 45))
        phantom.tissue_map.tube(
            bent_line(at, at + rng.normal(0, 8, 3), 4, 1.0, rng), np.full(4, 1.0), gas, (Tissue.LIVER,)
        )
    return _recorded(phantom, _round(phantom, start, 80.0), ConfounderKind.STENT, value)


def _drain(phantom: Phantom, rng: np.random.Generator) -> list[Mimic]:
    """A catheter from the skin into the liver."""
    at = np.asarray(_anywhere(phantom, rng))
    outside = at + np.array([rng.normal(0, 10), -40.0, -170.0])
    value = phantom.tissue_table.add(
        np.full(4, rng.uniform(250, 900), np.float32), BACKGROUND, int(ConfounderKind.DRAIN), solid=False
    )
    body_only = tuple(int(t) for t in Tissue if t not in (Tissue.AIR, Tissue.TABLE))
    phantom.tissue_map.tube(
        bent_line(at, outside, 8, 6.0, rng), np.full(8, float(rng.uniform(1.4, 2.2))), value, body_only
    )
    return _recorded(phantom, _round(phantom, at, 200.0), ConfounderKind.DRAIN, value)


def _thrombosis(phantom: Phantom, rng: np.random.Generator) -> list[Mimic]:
    """A clot without vessels in the portal vein and its first branches: 30 to 50 HU in every phase."""
    tissue_map = phantom.tissue_map
    box = _round(phantom, phantom.hilum + rng.normal(0, 10, 3), float(rng.uniform(15, 40)))
    view = tissue_map.values[box]
    level = rng.uniform(30, 50)
    hu = np.array([level, level + 2, level + 4, level + 4], np.float32)
    found: list[Mimic] = []
    for tissue, label in (
        (Tissue.PORTAL_BRANCH, Organ.HEPATIC_VESSELS),
        (Tissue.PORTAL_TRUNK, Organ.PORTAL_SPLENIC_VEIN),
    ):
        vein = view == tissue
        if rng.random() < 0.4:
            # A clot that fills the vein in part leaves flow at the wall.
            vein = np.asarray(ndimage.binary_erosion(vein))
        if vein.any():
            value = phantom.tissue_table.add(hu, int(label), int(ConfounderKind.PORTAL_THROMBOSIS), solid=False)
            tissue_map.write(box, vein, value)
            found += _recorded(phantom, box, ConfounderKind.PORTAL_THROMBOSIS, value)
    return found


def _anywhere(phantom: Phantom, rng: np.random.Generator) -> tuple[float, float, float]:
    z, y, x = (float(v) for v in phantom.liver.places[int(rng.integers(len(phantom.liver.places)))])
    return (z, y, x)


def _round(phantom: Phantom, centre: np.ndarray, reach: float) -> Box:
    return phantom.tissue_map.box_round((float(centre[0]), float(centre[1]), float(centre[2])), reach)


def _recorded(phantom: Phantom, box: Box, kind: ConfounderKind, value: int) -> list[Mimic]:
    found = summary(phantom.tissue_map, box, kind, kind.name.lower(), value)
    return [] if found is None else [found]
