"""Procedural anatomy of the upper abdomen: a fine tissue map from a `Habitus`.

Organs are signed distances on a coarse grid bent by one smooth random warp, so that neighbours fit each other;
vessels, ribs and other thin things are painted straight into the fine map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from livercascade.virtual.canvas import COARSE_MM, Canvas, Sculptor
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.settings import VirtualSettings
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.vessels import VesselTree, curve

Field = Float32[np.ndarray, "z y x"]
ABDOMINAL = (Tissue.FAT, Tissue.BOWEL_WALL, Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS, Tissue.STOOL, Tissue.FLUID)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A patient's body before lesions.

    Attributes:
        canvas: The fine tissue map.
        hilum: Where the portal vein enters the liver, (z, y, x) mm; mimics refer to it.
        habitus: The build it shows.
        source: ``procedural``, or the name of the label map it was made from.
    """

    canvas: Canvas
    hilum: Float64[np.ndarray, " 3"]
    habitus: Habitus
    source: str


def make_anatomy(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """Fine tissue map of a body with this build."""
    sculptor = _blank(habitus, settings, rng)
    trunk = _Trunk(sculptor, habitus, rng)
    trunk.build()
    return Anatomy(sculptor.canvas, trunk.hilum, habitus, "procedural")


def blank_canvas(habitus: Habitus, settings: VirtualSettings) -> Canvas:
    """Canvas full of air over the patient's field of view."""
    slices = int(np.clip(round((habitus.top - habitus.bottom) / settings.slice_mm), 30, 110))
    n = settings.matrix
    fine_z = settings.slice_mm / settings.subslices
    z = habitus.bottom + fine_z * (np.arange(slices * settings.subslices) + 0.5)
    xy = (np.arange(n) - (n - 1) / 2) * habitus.fov / n
    return Canvas(
        np.zeros((len(z), n, n), dtype=np.uint8), z.astype(np.float32), xy.astype(np.float32), xy.astype(np.float32)
    )


def _blank(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Sculptor:
    canvas = blank_canvas(habitus, settings)
    axes = [
        np.linspace(a[0], a[-1], max(round(float(a[-1] - a[0]) / COARSE_MM) + 1, 8), dtype=np.float32)
        for a in (canvas.z, canvas.y, canvas.x)
    ]
    grids = np.meshgrid(*axes, indexing="ij")
    a, b, c = grids[0].shape
    wave, ripple = 45.0 / COARSE_MM, 20.0 / COARSE_MM
    bent = [g + habitus.warp * coarse_noise((a, b, c), (wave, wave, wave), rng) for g in grids]
    # Ripples of 20 mm keep surfaces from looking turned on a lathe.
    bent = [g + 1.5 * coarse_noise((a, b, c), (ripple, ripple, ripple), rng) for g in bent]
    return Sculptor(canvas, bent[0], bent[1], bent[2])


def smooth_max(a: Field, b: Field, radius: float) -> Field:
    """Intersection of two signed distances with edges rounded to ``radius`` mm."""
    h = np.clip(0.5 + 0.5 * (a - b) / radius, 0.0, 1.0)
    return (b + (a - b) * h + radius * h * (1.0 - h)).astype(np.float32)


class _Trunk:
    """Builds one body in the order in which organs cover each other."""

    def __init__(self, sculptor: Sculptor, habitus: Habitus, rng: np.random.Generator) -> None:
        self.s, self.h, self.rng = sculptor, habitus, rng
        self.cavity = self._superellipse(*habitus.cavity, y0=-4.0)
        self.diaphragm = self._diaphragm()
        self.hilum = np.array([-95.0, -5.0, -28.0]) + rng.normal(0, 6, 3)

    def build(self) -> None:
        self._wall()
        self._chest()
        self._bowel()
        self._spine()
        self._retroperitoneum()
        self._stomach()
        self._spleen()
        self._liver()
        self._gallbladder()
        self._pancreas_and_portal_trunk()
        self._great_vessels()
        self._ribs()
        self._portal_tree()
        self._hepatic_veins()
        self._table()

    def _superellipse(self, half_y: float, half_x: float, y0: float = 0.0, power: float = 2.4) -> Field:
        taper = 1.0 - 0.0006 * np.clip(self.s.z - 20.0, 0, 120)
        rho = (np.abs(self.s.x / (half_x * taper)) ** power + np.abs((self.s.y - y0) / (half_y * taper)) ** power) ** (
            1 / power
        )
        return ((rho - 1.0) * min(half_x, half_y)).astype(np.float32)

    def _diaphragm(self) -> Field:
        """Height of the diaphragm above each point minus z: positive below it."""
        half_y, half_x = self.h.cavity
        s = self.s
        right = np.exp(-(((s.x + 0.48 * half_x) / (0.42 * half_x)) ** 2))
        left = np.exp(-(((s.x - 0.5 * half_x) / (0.4 * half_x)) ** 2))
        top = -16.0 + 16.0 * right + self.rng.uniform(-6, 6) * left
        rho2 = (s.x / half_x) ** 2 + ((s.y + 8.0) / half_y) ** 2
        flat, steep = self.rng.uniform(25, 40), self.rng.uniform(45, 80)
        drop = (flat * rho2 + steep * np.clip(rho2, 0, 1.4) ** 5) * (1.0 + 0.35 * np.tanh(s.y / 60.0))
        return (top - drop - s.z).astype(np.float32)

    def _wall(self) -> None:
        h = self.h
        skin = self._superellipse(h.half_depth, h.half_width)
        muscle = np.maximum(skin, self.cavity - h.wall)
        self.s.fill(skin, (0.0, Tissue.SKIN), (-2.0, Tissue.FAT))
        self.s.fill(muscle, (-4.0, Tissue.MUSCLE))
        self.s.fill(self.cavity, (0.0, Tissue.FAT))
        for side in (-1.0, 1.0):
            back = self.s.ellipsoid((-100.0, h.spine_y + 30.0, side * 38.0), (600.0, 17.0, 30.0))
            self.s.fill(back, (0.0, Tissue.MUSCLE))
            psoas = self.s.ellipsoid((-260.0, h.spine_y - 4.0, side * 44.0), (150.0, 22.0, 19.0))
            self.s.fill(psoas, (0.0, Tissue.MUSCLE))

    def _chest(self) -> None:
        above = np.maximum(self.cavity + 2.0, self.diaphragm + 2.0)
        mediastinum = self.s.ellipsoid((60.0, self.h.spine_y - 30.0, 0.0), (400.0, 42.0, 30.0))
        lung = smooth_max(above, -mediastinum, 8.0)
        self.s.fill(lung, (0.0, Tissue.LUNG))
        centre = (float(self.rng.uniform(38, 50)), -22.0, float(self.rng.uniform(14, 30)))
        heart = smooth_max(
            self.s.ellipsoid(centre, (48.0, 44.0, 58.0), tilt=0.35), (self.diaphragm + 3.0).astype(np.float32), 6.0
        )
        self.s.fill(heart, (4.0, Tissue.FAT), (0.0, Tissue.HEART), (-9.0, Tissue.HEART_BLOOD))
        diaphragm_sheet = np.maximum(np.abs(self.diaphragm) - 2.0, self.cavity)
        self.s.fill(diaphragm_sheet.astype(np.float32), (0.0, Tissue.MUSCLE))

    def _bowel(self) -> None:
        half_y, half_x = self.h.cavity
        for _ in range(int(self.rng.integers(14, 34))):
            centre = (
                float(self.rng.uniform(self.h.bottom - 10, -125)),
                float(self.rng.uniform(-0.8 * half_y, 0.25 * half_y)),
                float(self.rng.uniform(-0.75 * half_x, 0.8 * half_x)),
            )
            radii = self.rng.uniform(11, 25, 3)
            radii[int(self.rng.integers(3))] *= self.rng.uniform(1.0, 2.6)
            loop = np.maximum(
                self.s.ellipsoid(centre, (float(radii[0]), float(radii[1]), float(radii[2]))), self.cavity + 4.0
            )
            inside = self.rng.choice([Tissue.BOWEL_CONTENT, Tissue.STOOL, Tissue.BOWEL_GAS], p=[0.5, 0.3, 0.2])
            self.s.fill(loop.astype(np.float32), (0.0, Tissue.BOWEL_WALL), (-2.5, int(inside)))
        for _ in range(int(self.rng.integers(15, 35))):
            start = np.array(
                [self.rng.uniform(self.h.bottom, -110), self.rng.uniform(-50, 15), self.rng.uniform(-60, 70)]
            )
            points = np.cumsum(np.vstack([start, self.rng.normal(0, 10, (6, 3))]), axis=0)
            radius = self.rng.uniform(1.0, 3.0)
            self.s.canvas.tube(points, np.full(7, radius), Tissue.MESENTERIC_VESSEL, (Tissue.FAT,))

    def _spine(self) -> None:
        y = self.h.spine_y
        canvas = self.s.canvas
        body_radius = self.rng.uniform(17, 21)
        rho = np.sqrt((self.s.x / (body_radius * 1.22)) ** 2 + ((self.s.y - y) / body_radius) ** 2)
        period, shift = self.rng.uniform(32, 38), self.rng.uniform(0, 35)
        disc = np.abs(((self.s.z + shift) % period) - period / 2) < 4.0
        column = ((rho - 1.0) * body_radius).astype(np.float32)
        self.s.fill(column, (0.0, Tissue.CORTICAL_BONE), (-2.2, Tissue.MARROW))
        self.s.fill(np.where(disc, column, 50.0).astype(np.float32), (0.5, Tissue.CARTILAGE))
        back = y + body_radius + 9.0
        for side in (-1.0, 1.0):
            arch = self.s.ellipsoid((0.0, back - 1.0, side * 14.0), (900.0, 7.0, 6.0))
            gaps = np.where(disc, 50.0, arch).astype(np.float32)
            self.s.fill(gaps, (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
        spinous = self.s.ellipsoid((0.0, back + 20.0, 0.0), (900.0, 15.0, 4.0))
        self.s.fill(
            np.where(disc, 50.0, spinous).astype(np.float32), (0.0, Tissue.CORTICAL_BONE), (-1.8, Tissue.MARROW)
        )
        z = np.linspace(float(canvas.z[0]), float(canvas.z[-1]), 12)
        canal = np.stack([z, np.full(12, back - 2.0), np.zeros(12)], axis=1)
        canvas.tube(canal, np.full(12, 8.5), Tissue.SPINAL_CANAL)

    def _retroperitoneum(self) -> None:
        for side, z in ((-1.0, -150.0), (1.0, -135.0)):
            centre = (z + self.rng.normal(0, 10), self.h.spine_y - 8.0, side * (62.0 + self.rng.normal(0, 4)))
            kidney = self.s.ellipsoid(
                (float(centre[0]), float(centre[1]), float(centre[2])), (54.0, 26.0, 29.0), tilt=-0.2 * side
            )
            sinus = self.s.ellipsoid(
                (float(centre[0]), float(centre[1]) - 6.0, float(centre[2]) - side * 16.0), (26.0, 11.0, 16.0)
            )
            self.s.fill(kidney, (9.0, Tissue.FAT), only=ABDOMINAL)
            self.s.fill(kidney, (0.0, Tissue.RENAL_CORTEX), (-7.0, Tissue.RENAL_MEDULLA))
            self.s.fill(sinus, (0.0, Tissue.FAT), only=(Tissue.RENAL_CORTEX, Tissue.RENAL_MEDULLA))
            adrenal = self.s.ellipsoid(
                (float(centre[0]) + 62.0, float(centre[1]) - 8.0, float(centre[2]) - side * 18.0), (13.0, 11.0, 4.0)
            )
            self.s.fill(adrenal, (0.0, Tissue.ADRENAL), only=(Tissue.FAT,))

    def _stomach(self) -> None:
        fill = self.rng.uniform(0.7, 1.2)
        parts = (
            self.s.ellipsoid((-45.0, 30.0, 62.0), (38.0, 36.0 * fill, 36.0 * fill)),
            self.s.ellipsoid((-85.0, -22.0, 66.0), (48.0, 28.0 * fill, 28.0 * fill), tilt=0.3),
            self.s.ellipsoid((-125.0, -45.0, 22.0), (20.0 * fill, 19.0 * fill, 38.0)),
        )
        union = np.minimum(np.minimum(parts[0], parts[1]), parts[2])
        stomach = np.maximum(np.maximum(union, self.cavity + 4.0), -(self.diaphragm - 5.0)).astype(np.float32)
        wall = self.rng.uniform(3.0, 6.0)
        self.s.fill(stomach, (0.0, Tissue.STOMACH_WALL), (-wall, Tissue.STOMACH_CONTENT))
        gas_level = self.rng.uniform(-75, -25)
        gas = np.maximum(stomach + wall, self.s.y - gas_level).astype(np.float32)
        self.s.fill(gas, (0.0, Tissue.STOMACH_GAS))

    def _spleen(self) -> None:
        k = self.h.spleen_scale
        half_x = self.h.cavity[1]
        spleen = self.s.ellipsoid((-55.0 - 10 * k, 34.0, half_x - 38.0), (56.0 * k, 46.0 * k, 36.0 * k), tilt=-0.2)
        hollow = self.s.ellipsoid((-75.0, 2.0, half_x - 84.0), (60.0, 36.0, 30.0))
        shape = smooth_max(spleen, -hollow, 8.0)
        shape = smooth_max(shape, (self.cavity + 4.0).astype(np.float32), 6.0)
        shape = smooth_max(shape, (5.0 - self.diaphragm).astype(np.float32), 6.0)
        if self.h.ascites:
            self.s.fill(shape, (self.rng.uniform(4, 10), Tissue.FLUID), only=ABDOMINAL)
        self.s.fill(shape, (0.0, Tissue.SPLEEN))

    def _liver(self) -> None:
        liver = self._liver_shape()
        volume = np.sort(liver.ravel())
        cell_ml = (COARSE_MM**3) / 1000.0
        level = float(np.clip(volume[min(int(self.h.liver_ml / cell_ml), volume.size - 1)], -14.0, 7.0))
        liver = liver - level
        if self.h.cirrhotic:
            a, b, c = self.s.shape
            cells = 11.0 / COARSE_MM
            liver = liver + self.rng.uniform(1.0, 2.5) * coarse_noise((a, b, c), (cells, cells, cells), self.rng)
        liver = np.maximum(np.maximum(liver, self.cavity + 2.0), 3.0 - self.diaphragm).astype(np.float32)
        if self.h.ascites:
            fluid = np.maximum(liver, self.cavity + 1.0).astype(np.float32)
            self.s.fill(fluid, (self.rng.uniform(5, 16), Tissue.FLUID), only=ABDOMINAL)
        self.s.fill(liver, (2.5, Tissue.FAT), only=(*ABDOMINAL, Tissue.STOMACH_WALL, Tissue.RENAL_CORTEX))
        self.s.fill(liver, (0.0, Tissue.LIVER))
        self._fissure()

    def _liver_shape(self) -> Field:
        h, s = self.h, self.s
        half_x = h.cavity[1]
        along = np.clip((s.x + half_x) / (h.left_lobe + half_x), 0.0, 1.2)
        height = h.liver_height * (1.0 - 0.72 * along ** self.rng.uniform(1.0, 1.6))
        bottom = -height + 0.42 * np.clip(s.y + 10.0, 0, 200) - 0.10 * np.clip(-s.y - 20.0, 0, 100)
        under = (bottom - s.z) * 0.8
        shape = smooth_max((self.cavity + 3.0).astype(np.float32), (4.0 - self.diaphragm).astype(np.float32), 10.0)
        shape = smooth_max(shape, under.astype(np.float32), 22.0)
        shape = smooth_max(shape, (s.x - h.left_lobe).astype(np.float32) * 0.8, 25.0)
        behind_left = (s.y - (18.0 - 0.75 * (s.x + 15.0))) * 0.75
        shape = smooth_max(shape, behind_left.astype(np.float32), 18.0)
        spine = np.sqrt(s.x**2 * 0.8 + (s.y - h.spine_y) ** 2) - 37.0
        shape = smooth_max(shape, -spine.astype(np.float32), 10.0)
        kidney = s.ellipsoid((-158.0, h.spine_y - 6.0, -60.0), (62.0, 34.0, 38.0))
        shape = smooth_max(shape, -kidney, 10.0)
        a, b, c = s.shape
        cells = 28.0 / COARSE_MM
        return (shape + 2.5 * coarse_noise((a, b, c), (cells, cells, cells), self.rng)).astype(np.float32)

    def _fissure(self) -> None:
        s = self.s
        at = self.rng.uniform(-14, 12)
        width = np.clip((-s.z - 55.0) * 0.05, 0.0, 4.0) * (1.5 if self.h.cirrhotic else 1.0)
        cleft = np.maximum(np.abs(s.x - at - 0.12 * s.y) - width, np.maximum(s.z + 60.0, s.y + 18.0)) + 0.5
        self.s.fill(cleft.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.LIVER,))
        venous = np.maximum(np.abs(s.y - 14.0 + 0.25 * s.x) - 2.0, np.abs(s.x - at - 8.0) - 16.0)
        venous = np.maximum(venous, np.abs(s.z + 62.0) - 24.0)
        self.s.fill(venous.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.LIVER,))

    def _gallbladder(self) -> None:
        if self.rng.random() < 0.12:
            return
        size = self.rng.uniform(0.7, 1.25)
        centre = (
            float(-112.0 - self.rng.uniform(0, 25)),
            float(-38.0 + self.rng.normal(0, 8)),
            float(-45.0 + self.rng.normal(0, 8)),
        )
        gall = self.s.ellipsoid(
            centre, (27.0 * size, 17.0 * size, 14.0 * size), tilt=float(self.rng.uniform(-0.7, 0.2))
        )
        only = (*ABDOMINAL, Tissue.LIVER, Tissue.STOMACH_WALL)
        self.s.fill(gall, (0.0, Tissue.GALLBLADDER_WALL), (-2.0, Tissue.BILE), only=only)

    def _pancreas_and_portal_trunk(self) -> None:
        canvas = self.s.canvas
        head = np.array([-135.0, 2.0, -24.0]) + self.rng.normal(0, 5, 3)
        tail = np.array([-80.0, 28.0, 84.0]) + self.rng.normal(0, 7, 3)
        bow = np.array([0.0, -26.0, 0.0])
        t = np.linspace(0, 1, 14)[:, None]
        course = head + (tail - head) * t + bow * (4 * t * (1 - t)) + self.rng.normal(0, 1.5, (14, 3))
        radii = np.linspace(14, 9, 14) * self.rng.uniform(0.8, 1.15) * (1 + 0.12 * self.rng.normal(size=14))
        only = (*ABDOMINAL, Tissue.STOMACH_WALL)
        canvas.tube(course, radii, Tissue.PANCREAS, only)
        splenic = course[3:] + np.array([2.0, 9.0, 0.0])
        confluence = splenic[0]
        over = (*ABDOMINAL, Tissue.PANCREAS)
        width = self.rng.uniform(5.5, 8.0) * (1.2 if self.h.cirrhotic else 1.0)
        canvas.tube(splenic, np.linspace(0.75, 0.5, len(splenic)) * width, Tissue.PORTAL_TRUNK, over)
        down = confluence + np.outer(np.linspace(0, 1, 6), np.array([-110.0, -18.0, 6.0]))
        canvas.tube(down, np.full(6, 0.8 * width), Tissue.MESENTERIC_VESSEL, over)
        trunk = curve(confluence, self.hilum, 6, 4.0, self.rng)
        canvas.tube(trunk, np.full(6, width), Tissue.PORTAL_TRUNK, (*over, Tissue.LIVER, Tissue.GALLBLADDER_WALL))
        artery = curve(
            np.array([-95.0, self.h.spine_y - 42.0, 8.0]), self.hilum + np.array([0, -9.0, 4.0]), 8, 6.0, self.rng
        )
        canvas.tube(artery, np.full(8, 2.3), Tissue.HEPATIC_ARTERY, over)

    def _great_vessels(self) -> None:
        canvas, y = self.s.canvas, self.h.spine_y
        z = np.linspace(float(canvas.z[0]) - 5, float(canvas.z[-1]) + 5, 16)
        wave = self.rng.normal(0, 2.0, (16, 2))
        aorta = np.stack([z, y - 32.0 + wave[:, 0], 10.0 + wave[:, 1]], axis=1)
        canvas.tube(aorta, np.full(16, self.rng.uniform(8.5, 13.0)), Tissue.AORTA)
        upper = np.clip((z + 60.0) / 80.0, 0, 1)
        ivc = np.stack([z, y - 30.0 - 22.0 * upper, -21.0 - 4.0 * upper], axis=1)[z < 25.0]
        canvas.tube(ivc, np.full(len(ivc), self.rng.uniform(9.0, 13.5)), Tissue.IVC)
        gullet = np.stack([z, np.full(16, y - 40.0), np.full(16, 26.0)], axis=1)[z > -25.0]
        if len(gullet) > 1:
            canvas.tube(gullet, np.full(len(gullet), 8.0), Tissue.OESOPHAGUS, (Tissue.FAT, Tissue.LUNG))

    def _ribs(self) -> None:
        half_y, half_x = self.h.cavity
        spacing = self.rng.uniform(24, 30)
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
                if points[:, 0].max() < float(self.s.canvas.z[0]) - 10:
                    continue
                self.s.canvas.tube(points, np.full(count, 5.0), Tissue.CORTICAL_BONE)
                self.s.canvas.tube(points, np.full(count, 3.0), Tissue.MARROW)

    def _portal_tree(self) -> None:
        goals = [np.array(g) for g in ((-70.0, 10.0, -85.0), (-75.0, -25.0, 15.0), (-45.0, 5.0, -75.0))]
        VesselTree(self.s.canvas, self.rng).portal(self.hilum, goals)

    def _hepatic_veins(self) -> None:
        root = np.array([-22.0, self.h.spine_y - 50.0, -26.0])
        ends = ((-75.0, 15.0, -100.0), (-80.0, -45.0, -60.0), (-60.0, -35.0, 25.0), (-120.0, 10.0, -80.0))
        VesselTree(self.s.canvas, self.rng).veins(root, [np.array(g) for g in ends])

    def _table(self) -> None:
        paint_table(self.s.canvas, self.h.half_depth)


def paint_table(canvas: Canvas, half_depth: float) -> None:
    """The couch under the patient, in the air behind ``half_depth`` mm."""
    curved = half_depth + 6.0 + 18.0 * (1 - np.clip(np.abs(canvas.x) / 210.0, 0, 1) ** 2)
    sheet = np.abs(canvas.y[:, None] - curved[None, :]) < 2.2
    canvas.tissue[(canvas.tissue == Tissue.AIR) & sheet[None]] = Tissue.TABLE


def liver_volume_ml(canvas: Canvas) -> float:
    """Volume of the liver with its vessels in ml."""
    return float(np.isin(canvas.tissue, LIVER_TISSUES).sum()) * canvas.voxel_ml
