"""What treatment or another illness left: lipiodol, ablation, resection, stent, drain, thrombosis, fluid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from livercascade.data.labels import BACKGROUND, Organ, PatientClass
from livercascade.data.lesion import Box
from livercascade.virtual.mimics.family import Confounder, ConfounderKind, MimicFamily
from livercascade.virtual.mimics.region import body, outline, summary
from livercascade.virtual.scene import Scene
from livercascade.virtual.streams import Streams, Subject
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.vessels import curve

_SPARE_VALUES = 12


def resect(scene: Scene, intended: PatientClass, streams: Streams) -> list[Confounder]:
    """Cut a part of the liver away and leave clips along the margin; before lesions are painted."""
    rng = streams.of(Subject.CONFOUNDERS)
    chance = 0.05 if intended in (PatientClass.HCC, PatientClass.META) else 0.01
    if rng.random() > chance or not len(scene.liver.places):
        return []
    canvas, liver = scene.canvas, scene.liver
    spot = int(rng.choice(np.flatnonzero(liver.depth < 12.0)))
    normal = liver.outward[spot].astype(np.float64) + rng.normal(0, 0.3, 3)
    normal /= np.linalg.norm(normal)
    centre = liver.places[spot] - normal * float(rng.uniform(5, 22))
    box = canvas.box_round((float(centre[0]), float(centre[1]), float(centre[2])), 75.0)
    dz, dy, dx = canvas.offsets(box, (float(centre[0]), float(centre[1]), float(centre[2])))
    along = dz * np.float32(normal[0]) + dy * np.float32(normal[1]) + dx * np.float32(normal[2])
    gone = (along > 0) & (dz**2 + dy**2 + dx**2 < 75.0**2) & np.isin(canvas.tissue[box], LIVER_TISSUES)
    canvas.write(box, gone, Tissue.FAT)
    value = scene.palette.add(
        np.full(4, rng.uniform(2000, 3000), np.float32), BACKGROUND, int(ConfounderKind.RESECTION), solid=False
    )
    edge = np.argwhere(gone & (along < 2.0))
    for _ in range(int(rng.integers(3, 8)) if len(edge) else 0):
        z, y, x = canvas.place(edge[int(rng.integers(len(edge)))] + [s.start for s in box])
        points = np.array([[z, y, x], [z + rng.normal(0, 2), y + rng.normal(0, 2), x + rng.normal(0, 3)]])
        canvas.tube(points, np.full(2, 0.9), value)
    return _recorded(scene, box, ConfounderKind.RESECTION, value)


def paint_confounders(scene: Scene, intended: PatientClass, streams: Streams) -> list[Confounder]:
    """Paint what the patient's history left, never over a lesion, and record it."""
    found: list[Confounder] = []
    hcc, malignant = intended is PatientClass.HCC, intended.malignant
    chances = (
        (0.08 if hcc else 0.0, _lipiodol),
        (0.05 if malignant else 0.005, _ablation),
        (0.25 if intended is PatientClass.ICC else 0.015, _stent),
        (0.015, _drain),
        (0.05 if scene.habitus.cirrhotic else 0.005, _thrombosis),
    )
    for number, (chance, maker) in enumerate(chances, start=1):
        rng = streams.of(Subject.CONFOUNDERS, number)
        if rng.random() < chance and scene.palette.room > _SPARE_VALUES and len(scene.liver.places):
            found += maker(scene, rng)
    for there, tissue, kind in (
        (scene.habitus.ascites, Tissue.FLUID, ConfounderKind.ASCITES),
        (scene.habitus.effusion > 0, Tissue.PLEURAL_FLUID, ConfounderKind.PLEURAL_EFFUSION),
    ):
        if there:
            whole = (slice(None), slice(None), slice(None))
            found += _recorded(scene, whole, kind, tissue)
    return found


def _lipiodol(scene: Scene, rng: np.random.Generator) -> list[Confounder]:
    """One to three treated spots that hold iodised oil, patchy or full."""
    found: list[Confounder] = []
    for _ in range(int(rng.integers(1, 4))):
        grown = body(
            scene, _anywhere(scene, rng), float(np.exp(rng.uniform(np.log(0.3), np.log(20)))), outline(rng), rng
        )
        if grown is None:
            continue
        level = rng.uniform(300, 1500)
        value = scene.palette.add(
            np.full(4, level, np.float32), int(Organ.LIVER), int(ConfounderKind.LIPIODOL), solid=False,
            patchy_hu=float(0.3 * level),
        )  # fmt: skip
        scene.canvas.write(*grown, value, (Tissue.LIVER,))
        found += _recorded(scene, grown[0], ConfounderKind.LIPIODOL, value)
    return found


def _ablation(scene: Scene, rng: np.random.Generator) -> list[Confounder]:
    """A cavity of 20 to 35 HU that does not enhance and has no rim."""
    radius = float(rng.uniform(8, 20))
    grown = body(scene, _anywhere(scene, rng), 4.19e-3 * radius**3, outline(rng), rng)
    if grown is None:
        return []
    level = rng.uniform(20, 35)
    curve_ = np.array([level, level + 1, level + 2, level + 2], np.float32)
    value = scene.palette.add(
        curve_, int(Organ.LIVER), int(ConfounderKind.ABLATION), patchy_hu=float(rng.uniform(1.5, 5))
    )
    scene.canvas.write(*grown, value, (Tissue.LIVER,))
    return _recorded(scene, grown[0], ConfounderKind.ABLATION, value)


def _stent(scene: Scene, rng: np.random.Generator) -> list[Confounder]:
    """Metal or plastic from the hilum down the bile duct, and gas in the ducts."""
    start = scene.hilum + rng.normal(0, 3, 3)
    end = start + np.array([-55.0, 8.0, 12.0])
    value = scene.palette.add(
        np.full(4, rng.uniform(250, 1800), np.float32), BACKGROUND, int(ConfounderKind.STENT), solid=False
    )
    scene.canvas.tube(curve(start, end, 8, 4.0, rng), np.full(8, float(rng.uniform(1.8, 3.5))), value)
    gas = scene.palette.add(np.full(4, -400.0, np.float32), int(Organ.LIVER), int(MimicFamily.BILIARY), solid=False)
    for _ in range(int(rng.integers(0, 5))):
        heading = rng.normal((0.0, -0.8, 0.0), 1.0)
        at = start + heading / np.linalg.norm(heading) * float(rng.uniform(15, 45))
        scene.canvas.tube(curve(at, at + rng.normal(0, 8, 3), 4, 1.0, rng), np.full(4, 1.0), gas, (Tissue.LIVER,))
    return _recorded(scene, _round(scene, start, 80.0), ConfounderKind.STENT, value)


def _drain(scene: Scene, rng: np.random.Generator) -> list[Confounder]:
    """A catheter from the skin into the liver."""
    at = np.asarray(_anywhere(scene, rng))
    outside = at + np.array([rng.normal(0, 10), -40.0, -170.0])
    value = scene.palette.add(
        np.full(4, rng.uniform(250, 900), np.float32), BACKGROUND, int(ConfounderKind.DRAIN), solid=False
    )
    body_only = tuple(int(t) for t in Tissue if t not in (Tissue.AIR, Tissue.TABLE))
    scene.canvas.tube(curve(at, outside, 8, 6.0, rng), np.full(8, float(rng.uniform(1.4, 2.2))), value, body_only)
    return _recorded(scene, _round(scene, at, 200.0), ConfounderKind.DRAIN, value)


def _thrombosis(scene: Scene, rng: np.random.Generator) -> list[Confounder]:
    """A clot without vessels in the portal vein and its first branches: 30 to 50 HU in every phase."""
    canvas = scene.canvas
    box = _round(scene, scene.hilum + rng.normal(0, 10, 3), float(rng.uniform(15, 40)))
    view = canvas.tissue[box]
    level = rng.uniform(30, 50)
    curve_ = np.array([level, level + 2, level + 4, level + 4], np.float32)
    found: list[Confounder] = []
    for tissue, label in (
        (Tissue.PORTAL_BRANCH, Organ.HEPATIC_VESSELS),
        (Tissue.PORTAL_TRUNK, Organ.PORTAL_SPLENIC_VEIN),
    ):
        vein = view == tissue
        if rng.random() < 0.4:
            # A clot that fills the vein in part leaves flow at the wall.
            vein = np.asarray(ndimage.binary_erosion(vein))
        if vein.any():
            value = scene.palette.add(curve_, int(label), int(ConfounderKind.PORTAL_THROMBOSIS), solid=False)
            canvas.write(box, vein, value)
            found += _recorded(scene, box, ConfounderKind.PORTAL_THROMBOSIS, value)
    return found


def _anywhere(scene: Scene, rng: np.random.Generator) -> tuple[float, float, float]:
    z, y, x = (float(v) for v in scene.liver.places[int(rng.integers(len(scene.liver.places)))])
    return (z, y, x)


def _round(scene: Scene, centre: np.ndarray, reach: float) -> Box:
    return scene.canvas.box_round((float(centre[0]), float(centre[1]), float(centre[2])), reach)


def _recorded(scene: Scene, box: Box, kind: ConfounderKind, value: int) -> list[Confounder]:
    found = summary(scene.canvas, box, MimicFamily.DENSE, kind.name.lower(), value)
    return [] if found is None else [Confounder(kind, found.centre, found.volume_ml)]
