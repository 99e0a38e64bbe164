"""Scans that hold no liver to be read, made from geometry, from virtual bodies, and from real volumes where there are.

Nothing is drawn at random but from fixed seeds: the same call makes the same scans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int16
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.detect.liver import liver_with_content
from livercascade.io.nifti import read_ct, read_labels
from livercascade.virtual.habitus import draw_habitus
from livercascade.virtual.lesions.lesion_plan import draw_plan
from livercascade.virtual.randomness import StreamPurpose, random_stream
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import CaseMix, VirtualSettings

BODY = VirtualSettings(mix=CaseMix.TRAINING, matrix=160, subslices=2)
FIRST_SEED = 960_000
"""From here on virtual bodies are looked for; no network was trained on these."""
AIR, LUNG, FAT, MUSCLE, BRAIN, BLOOD, BONE = -1000.0, -850.0, -100.0, 60.0, 38.0, 150.0, 700.0
_NOISE_HU = 12.0

Values = Float[np.ndarray, "z y x"]
Mask = Bool[np.ndarray, "z y x"]


@dataclass(frozen=True, slots=True, eq=False)
class NonsenseScan:
    """A scan that must get no verdict.

    Attributes:
        name: What it is, for people.
        hu: Values as a CT would hold them, ``[z, y, x]``.
        grid: Their grid.
        phase: Phase that it is given out as.
    """

    name: str
    hu: Int16[np.ndarray, "z y x"]
    grid: Grid
    phase: Phase = Phase.VP


@dataclass(frozen=True, slots=True, eq=False)
class KnownBody:
    """A body whose liver is known.

    Attributes:
        name: Where it comes from.
        hu: HU, ``[z, y, x]``.
        liver: The liver with its content.
        grid: Grid of both.
    """

    name: str
    hu: Int16[np.ndarray, "z y x"]
    liver: Mask
    grid: Grid


def every_scan(data: Path) -> Iterator[NonsenseScan]:
    """All of them; those of real volumes only where ``data`` holds them."""
    yield from phantoms()
    yield from parts()
    bodies = list(virtual_bodies(2))
    for body in bodies:
        yield from crops(body)
    for body in (*bodies, *real_bodies(data)):
        yield from turned(body)
        yield from without_liver(body)
        yield from halves(body)
        yield from other_modalities(body)
    yield from real_crops(data)


def phantoms() -> Iterator[NonsenseScan]:
    """Air, a table, noise, and what scanners are tested with."""
    canvas = _Canvas.blank((40, 128, 128), (5.0, 3.0, 3.0))
    rng = np.random.default_rng(1)
    yield canvas.scan("air")
    table = canvas.copy()
    table.paint(np.abs(table.y - 120 - 0.001 * table.x**2) < 4.0, 150.0)
    yield table.scan("table alone")
    blanket = table.copy()
    blanket.paint(np.abs(blanket.y - 60 + 0.002 * blanket.x**2) < 12.0, -90.0)
    yield blanket.scan("table with a blanket")
    white = rng.uniform(-1000, 1000, canvas.hu.shape)
    yield NonsenseScan("white noise", white.astype(np.int16), canvas.grid)
    lumpy = ndimage.gaussian_filter(rng.standard_normal(canvas.hu.shape), 3.0)
    yield NonsenseScan("lumpy noise", (60 + 4000 * lumpy).clip(-1024, 600).astype(np.int16), canvas.grid)
    for name, a, b, filling in (
        ("water cylinder", 100, 100, 0.0),
        ("cylinder at the HU of liver", 110, 160, 105.0),
        ("cylinder of fat", 110, 160, -100.0),
    ):
        made = canvas.copy()
        made.tube(0, 0, a, b, filling)
        yield made.scan(name)
    yield _with_inserts(canvas)
    yield _anthropomorphic(canvas)


def _with_inserts(canvas: _Canvas) -> NonsenseScan:
    """A calibration phantom: rods of all HU in an ellipse of water."""
    made = canvas.copy()
    made.tube(0, 0, 115, 165, 10.0)
    for n, hu in enumerate((-1000, -800, -100, 60, 110, 250, 500, 900)):
        at = 2 * np.pi * n / 8
        made.tube(75 * np.sin(at), 105 * np.cos(at), 18, 18, hu)
    return made.scan("calibration phantom")


def _anthropomorphic(canvas: _Canvas) -> NonsenseScan:
    """Fat, a spine and an ellipsoid at the HU of liver, as phantoms of abdomens have; no lung."""
    made = canvas.copy()
    made.tube(0, 0, 110, 160, FAT)
    made.tube(0, 0, 95, 145, 40.0)
    made.tube(70, 0, 22, 24, 300.0)
    made.ball((100, -10, -65), (65, 70, 65), 110.0)
    return made.scan("abdominal phantom without lungs")


def parts() -> Iterator[NonsenseScan]:
    """Heads, necks, shoulders, legs."""
    for name, brain in (("head", BRAIN), ("head with contrast medium", 55.0)):
        canvas = _Canvas.blank((44, 128, 128), (5.0, 2.0, 2.0))
        _head(canvas, 110.0, brain)
        yield canvas.scan(name)
    for phase in (Phase.VP, Phase.NC):
        canvas = _Canvas.blank((76, 160, 160), (5.0, 3.0, 3.0))
        _chest(canvas, 0.0, 120.0)
        _neck(canvas, 110.0, 230.0)
        _head(canvas, 290.0, BRAIN)
        yield canvas.scan(f"head, neck and shoulders, {phase.title}", phase)
    canvas = _Canvas.blank((30, 128, 128), (4.0, 2.0, 2.0))
    _neck(canvas, -10.0, 200.0)
    yield canvas.scan("neck")
    for name, blood in (("apex of the chest", BLOOD), ("apex of the chest, arterial", 320.0)):
        canvas = _Canvas.blank((32, 160, 160), (5.0, 3.0, 3.0))
        _chest(canvas, -40.0, 150.0, blood)
        yield canvas.scan(name)
    canvas = _Canvas.blank((40, 160, 160), (5.0, 3.0, 3.0))
    for x in (-95.0, 95.0):
        _leg(canvas, x)
    yield canvas.scan("two thighs")
    canvas = _Canvas.blank((40, 128, 128), (5.0, 2.0, 2.0))
    _leg(canvas, 0.0, 1.2)
    yield canvas.scan("one thigh")


@dataclass(slots=True, eq=False)
class _Canvas:
    """Volume that tubes and ellipsoids are painted into; z from 0 upwards, y and x from the middle, mm."""

    hu: Values
    spacing: tuple[float, float, float]

    @classmethod
    def blank(cls, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> _Canvas:
        return cls(np.full(shape, AIR), spacing)

    def copy(self) -> _Canvas:
        return _Canvas(self.hu.copy(), self.spacing)

    @property
    def grid(self) -> Grid:
        z, y, x = self.hu.shape
        return Grid.axial((z, y, x), self.spacing)

    @property
    def z(self) -> Values:
        return (np.arange(self.hu.shape[0]) * self.spacing[0])[:, None, None]

    @property
    def y(self) -> Values:
        return ((np.arange(self.hu.shape[1]) - self.hu.shape[1] / 2) * self.spacing[1])[None, :, None]

    @property
    def x(self) -> Values:
        return ((np.arange(self.hu.shape[2]) - self.hu.shape[2] / 2) * self.spacing[2])[None, None, :]

    def paint(self, where: Mask, hu: float) -> None:
        self.hu[np.broadcast_to(where, self.hu.shape)] = hu

    def tube(self, y: float, x: float, a: float, b: float, hu: float, z: tuple[float, float] = (-1.0, 1e4)) -> None:
        """Elliptic tube round (y, x) with half axes a and b between two heights."""
        inside = ((self.y - y) / a) ** 2 + ((self.x - x) / b) ** 2 <= 1
        self.paint(inside & (self.z >= z[0]) & (self.z < z[1]), hu)

    def ball(self, centre: tuple[float, float, float], radii: tuple[float, float, float], hu: float) -> None:
        places = zip((self.z, self.y, self.x), centre, radii, strict=True)
        self.paint(sum(((p - c) / r) ** 2 for p, c, r in places) <= 1, hu)

    def scan(self, name: str, phase: Phase = Phase.VP) -> NonsenseScan:
        noise = np.random.default_rng(7).normal(0, _NOISE_HU, self.hu.shape)
        blurred = ndimage.gaussian_filter(self.hu, (0, 0.6, 0.6)) + noise
        return NonsenseScan(name, blurred.clip(-1024, 3071).astype(np.int16), self.grid, phase)


def _head(canvas: _Canvas, z: float, brain: float) -> None:
    for radii, hu in (((98, 100, 82), MUSCLE), ((93, 95, 77), BONE), ((86, 88, 70), brain)):
        canvas.ball((z, 0, 0), radii, hu)
    for side in (-1, 1):
        canvas.ball((z, 5, side * 14), (18, 28, 8), 8.0)
    canvas.ball((z - 60, -55, 0), (20, 18, 22), -950.0)


def _neck(canvas: _Canvas, low: float, high: float) -> None:
    reach = (low, high)
    for a, b, hu in ((62, 66, FAT), (56, 60, MUSCLE)):
        canvas.tube(0, 0, a, b, hu, reach)
    canvas.tube(22, 0, 14, 16, 400.0, reach)
    canvas.tube(38, 0, 8, 9, 35.0, reach)
    canvas.tube(-15, 0, 9, 10, -1000.0, reach)
    for side in (-1, 1):
        canvas.tube(-8, side * 30, 6, 6, BLOOD, reach)
        canvas.tube(-18, side * 18, 14, 12, 110.0, (low + 20, low + 60))


def _chest(canvas: _Canvas, low: float, high: float, blood: float = BLOOD) -> None:
    reach = (low, high)
    for a, b, hu in ((105, 205, FAT), (95, 190, MUSCLE)):
        canvas.tube(0, 0, a, b, hu, reach)
    for side in (-1, 1):
        canvas.ball((low + 30, 0, side * 70), (high - low - 20, 75, 60), BONE)
        canvas.ball((low + 30, 0, side * 70), (high - low - 24, 71, 56), LUNG)
        canvas.tube(0, side * 170, 18, 18, BONE, (high - 50, high))
        canvas.tube(0, side * 170, 13, 13, 180.0, (high - 50, high))
    canvas.tube(-10, 0, 60, 32, 20.0, reach)
    canvas.tube(0, 20, 13, 13, blood, reach)
    canvas.tube(-35, -18, 10, 10, blood, reach)
    canvas.tube(10, 0, 9, 9, -1000.0, reach)
    canvas.tube(62, 0, 20, 24, 350.0, reach)
    canvas.tube(85, 0, 8, 9, 35.0, reach)
    canvas.tube(-85, 0, 6, 24, 300.0, reach)


def _leg(canvas: _Canvas, x: float, size: float = 1.0) -> None:
    canvas.tube(0, x, 92 * size, 88 * size, FAT)
    canvas.tube(0, x, 72 * size, 70 * size, MUSCLE)
    for side in (-1, 1):
        canvas.tube(side * 25, x, 1.5, 60 * size, FAT)
    canvas.tube(-8, x, 16, 16, 1200.0)
    canvas.tube(-8, x, 8, 8, -60.0)
    canvas.tube(10, x + 30, 6, 6, BLOOD)


def virtual_bodies(count: int) -> Iterator[KnownBody]:
    """Virtual patients that were scanned from above the dome to the thighs."""
    seed = FIRST_SEED
    for _ in range(count):
        while not _is_long(seed):
            seed += 1
        patient = make_patient(seed, BODY)
        yield KnownBody(f"virtual {seed}", patient.hu[Phase.VP], liver_with_content(patient.labels), patient.grid)
        seed += 1


def _is_long(seed: int) -> bool:
    plan = draw_plan(BODY.mix, random_stream(seed, StreamPurpose.PLAN))
    habitus = draw_habitus(BODY, plan.cirrhotic, random_stream(seed, StreamPurpose.HABITUS))
    return habitus.top > 80 and habitus.bottom < -455


def real_bodies(data: Path) -> Iterator[KnownBody]:
    """Three real volumes with manual masks of the liver."""
    for name in ("ircadb_05", "ircadb_12", "ircadb_15"):
        folder = data / "real_ct" / name
        if folder.is_dir():
            hu, grid, _ = read_ct(folder / "image.nii.gz")
            labels, _ = read_labels(folder / "labels.nii.gz")
            yield KnownBody(name, hu, labels > 0, grid)


def crops(body: KnownBody) -> Iterator[NonsenseScan]:
    """Chest above the liver, abdomen below it, pelvis, thighs of a virtual body, whose dome lies near z = 0."""
    z = body.grid.world(np.array([(k, 0.0, 0.0) for k in range(body.grid.shape[0])]))[:, 2]
    top, bottom = (float(z[k]) for k in np.flatnonzero(body.liver.any(axis=(1, 2)))[[-1, 0]])
    for name, low, high in (
        ("chest above the liver", top + 5, 1e4),
        ("abdomen and pelvis below the liver", -1e4, bottom - 10),
        ("pelvis", -1e4, -300.0),
        ("thighs", -1e4, -420.0),
    ):
        keep = np.flatnonzero((z >= low) & (z <= high))
        if keep.size >= 5:
            yield _cut(f"{body.name}: {name}", body, (slice(int(keep[0]), int(keep[-1]) + 1), slice(None), slice(None)))


def turned(body: KnownBody) -> Iterator[NonsenseScan]:
    """The body under a header that is wrong."""
    for name, step in (
        ("upside-down", (-1, 1, 1)),
        ("mirrored", (1, 1, -1)),
        ("front to back", (1, -1, 1)),
        ("upside-down and front to back", (-1, -1, 1)),
    ):
        flipped = body.hu[tuple(slice(None, None, s) for s in step)]
        yield NonsenseScan(f"{body.name}: {name}", np.ascontiguousarray(flipped), body.grid)


def without_liver(body: KnownBody) -> Iterator[NonsenseScan]:
    """The liver painted over with fat, and with bowel."""
    rng = np.random.default_rng(3)
    place = ndimage.binary_dilation(body.liver, iterations=2)
    lumps = ndimage.gaussian_filter(rng.standard_normal(body.hu.shape), [12.0 / s for s in body.grid.spacing])
    lumps /= lumps.std()
    bowel = np.where(lumps > 0.8, -900.0, np.where(lumps < -0.2, -100.0, 30.0))
    for name, filling in (("fat for liver", np.full(body.hu.shape, FAT)), ("bowel for liver", bowel)):
        noisy = filling + rng.normal(0, _NOISE_HU, body.hu.shape)
        yield NonsenseScan(f"{body.name}: {name}", np.where(place, noisy, body.hu).astype(np.int16), body.grid)


def halves(body: KnownBody) -> Iterator[NonsenseScan]:
    """Scans that end in the middle of the liver."""
    z, _, x = (int(np.median(side)) for side in np.nonzero(body.liver))
    whole = slice(None)
    for name, box in (
        ("upper half of the liver", (slice(z, None), whole, whole)),
        ("lower half of the liver", (slice(None, z), whole, whole)),
        ("right half of the liver cut off", (whole, whole, slice(x, None))),
    ):
        yield _cut(f"{body.name}: {name}", body, box)


def _cut(name: str, body: KnownBody, box: tuple[slice, slice, slice]) -> NonsenseScan:
    hu = np.ascontiguousarray(body.hu[box])
    x, y, z = (float(v) for v in body.grid.world(np.array([float(s.start or 0) for s in box])))
    return NonsenseScan(name, hu, replace(body.grid, shape=hu.shape, origin=(x, y, z)))


def other_modalities(body: KnownBody) -> Iterator[NonsenseScan]:
    """MR and PET of the body, scaled into a range that could be that of a CT."""
    shape = body.hu.shape
    coil = 1.0 + 0.25 * np.linspace(-1, 1, shape[1])[None, :, None]
    known = (-1000, -500, -120, -80, 0, 40, 70, 130, 250, 600)
    # Signal of air, lung, fat, water, muscle, liver, blood and bone at each of these HU.
    for name, signal in (
        ("T1-weighted MR", (0, 40, 800, 780, 180, 300, 360, 420, 300, 60)),
        ("T2-weighted MR", (0, 50, 520, 500, 950, 420, 260, 220, 150, 40)),
    ):
        mr = np.interp(body.hu, known, signal) * coil
        for how, factor, offset in (("as stored", 1.0, 0.0), ("shifted by -1000", 1.5, -1000.0)):
            yield NonsenseScan(f"{body.name}: {name}, {how}", (mr * factor + offset).astype(np.int16), body.grid)
    uptake = np.where(body.liver, 2.2, np.where(body.hu > -150, 0.8, 0.2)) * (body.hu > -950)
    blurred = ndimage.gaussian_filter(uptake, [3.5 / s for s in body.grid.spacing])
    yield NonsenseScan(f"{body.name}: PET", (blurred * 500 - 1000).astype(np.int16), body.grid)


def real_crops(data: Path) -> Iterator[NonsenseScan]:
    """Parts of real scans that hold no liver."""
    for folder in sorted((data / "real_ct").glob("ircadb_*")):
        labels, grid = read_labels(folder / "labels.nii.gz")
        first = int(np.flatnonzero((labels > 0).any(axis=(1, 2)))[0]) - round(10.0 / grid.spacing[0])
        if first * grid.spacing[0] >= 60.0:
            hu, grid, _ = read_ct(folder / "image.nii.gz")
            body = KnownBody(folder.name, hu, labels > 0, grid)
            yield _cut(f"{folder.name}: below the liver", body, (slice(0, first), slice(None), slice(None)))
    example = data / "totalsegmentator_example" / "ct.nii.gz"
    if example.is_file():
        hu, grid, _ = read_ct(example)
        body = KnownBody("example", hu, np.zeros(hu.shape, dtype=bool), grid)
        half = hu.shape[0] * 2 // 5
        yield _cut("real pelvis", body, (slice(0, half), slice(None), slice(None)))
        low = hu.shape[0] // 5
        yield _cut("real thighs", body, (slice(0, low), slice(None), slice(None)))
