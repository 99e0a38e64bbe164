"""One virtual patient from one seed: anatomy, lesions, mimics, four phases, exact truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int16, UInt8

from livercascade.align.field import DisplacementField
from livercascade.data.grid import Grid
from livercascade.data.labels import LesionType, PatientClass, Phase
from livercascade.virtual.anatomy import Anatomy, liver_volume_ml, make_anatomy
from livercascade.virtual.atlas import make_atlas_anatomy
from livercascade.virtual.breathing import Breath, breathe
from livercascade.virtual.canvas import Canvas
from livercascade.virtual.habitus import Habitus, draw_habitus
from livercascade.virtual.lesions import PlacedLesion, PlannedLesion, draw_volume, paint_lesion
from livercascade.virtual.mimics import Mimic, paint_mimics
from livercascade.virtual.motion import Motion, moved_canvas
from livercascade.virtual.palette import Palette
from livercascade.virtual.physiology import Physiology, draw_physiology
from livercascade.virtual.scanner import Scanner, draw_scanner, scan_phases, true_labels
from livercascade.virtual.settings import CaseMix, PhaseMotion, VirtualSettings

MIN_COUNTED_ML = 0.5
"""Smaller lesions do not count for the patient's class (paper, Sec. III)."""
_CLASSES = tuple(PatientClass)
_MIX: dict[CaseMix, tuple[float, ...]] = {
    # HCC, ICC, Meta, Hem, Other, Cyst, normal; the paper's 261 malignant of 331.
    CaseMix.DIAGNOSIS: (0.49, 0.035, 0.265, 0.025, 0.065, 0.055, 0.065),
    CaseMix.SCREENING: (0.02, 0.003, 0.007, 0.08, 0.04, 0.12, 0.73),
    CaseMix.TRAINING: (0.25, 0.13, 0.21, 0.12, 0.13, 0.09, 0.07),
}
_COUNTS: dict[LesionType, tuple[float, ...]] = {
    LesionType.HCC: (0.68, 0.18, 0.08, 0.06),
    LesionType.ICC: (0.75, 0.15, 0.07, 0.03),
    LesionType.META: (0.40, 0.18, 0.12, 0.10, 0.07, 0.05, 0.04, 0.02, 0.02),
    LesionType.HEM: (0.70, 0.20, 0.10),
    LesionType.OTHER: (0.75, 0.18, 0.07),
    LesionType.CYST: (0.5, 0.25, 0.15, 0.10),
}


@dataclass(frozen=True, slots=True)
class VirtualPatient:
    """A virtual patient with its truth.

    Attributes:
        seed: Makes the same patient again, byte for byte, with the same settings.
        grid: Grid of every array.
        hu: HU per phase, int16 ``[z, y, x]``.
        labels: True labels 0-13, as VP shows them.
        mimics_map: Family of the mimic at each voxel, 0 for none.
        lesions: Every lesion as painted, also those under 0.5 ml.
        mimics: Every mimic.
        patient_class: PatCls over the lesions of at least 0.5 ml.
        anatomy: ``procedural``, or the name of the label map the body was made from.
        habitus, physiology, scanner: What the patient was made from.
        motions: Per phase that moved against VP, how; empty unless the settings ask for breathing.
        breaths: The same in numbers.
        moved_labels: True labels 0-13 as each of these phases shows them.
    """

    seed: int
    grid: Grid
    hu: Mapping[Phase, Int16[np.ndarray, "z y x"]]
    labels: UInt8[np.ndarray, "z y x"]
    mimics_map: UInt8[np.ndarray, "z y x"]
    lesions: tuple[PlacedLesion, ...]
    mimics: tuple[Mimic, ...]
    patient_class: PatientClass
    anatomy: str
    habitus: Habitus
    physiology: Physiology
    scanner: Scanner
    motions: Mapping[Phase, Motion] = field(default_factory=dict[Phase, Motion])
    breaths: Mapping[Phase, Breath] = field(default_factory=dict[Phase, Breath])
    moved_labels: Mapping[Phase, UInt8[np.ndarray, "z y x"]] = field(default_factory=dict[Phase, np.ndarray])

    def true_field(self, phase: Phase) -> DisplacementField:
        """Where each point of VP lies in a phase, to some 0.003 mm; zero for a phase that did not move by breath."""
        motion = self.motions.get(phase)
        if motion is None:
            return DisplacementField.zero(self.grid)
        return DisplacementField(self.grid, motion.displacement(self.grid))


def make_patient(seed: int, settings: VirtualSettings) -> VirtualPatient:
    """Virtual patient of this seed.

    Args:
        seed: Any non-negative integer; each seed is one patient.
        settings: Mix, matrix, slice thickness, randomisation, anatomies.

    Raises:
        InputError: A label map given as anatomy cannot be read or holds no liver.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x11FE]))
    intended = _CLASSES[int(rng.choice(7, p=_MIX[settings.mix]))]
    plan = _plan_lesions(intended, settings, rng)
    cirrhotic = bool(rng.random() < (0.75 if intended is PatientClass.HCC else 0.08))
    anatomy = _anatomy(draw_habitus(settings, cirrhotic, rng), settings, rng)
    canvas, habitus = anatomy.canvas, anatomy.habitus
    physiology = draw_physiology(habitus, settings, rng)
    palette = Palette(physiology.hu)
    lesions = _paint_lesions(canvas, plan, palette, physiology, rng)
    mimics = paint_mimics(anatomy, palette, physiology, rng)
    scanner = draw_scanner(habitus, settings, float(canvas.x[1] - canvas.x[0]), rng)
    if settings.motion is not PhaseMotion.RESIDUAL:
        scanner = replace(scanner, shifts=((0, 0, 0),) * 4)
    motions, breaths = _breathing(canvas, seed, settings)
    sources = {phase: motion.sources(canvas) for phase, motion in motions.items()}
    return VirtualPatient(
        seed=seed,
        grid=_grid(canvas, settings.subslices),
        hu=scan_phases(canvas, palette, scanner, settings, rng, sources=sources),
        labels=true_labels(canvas, palette.labels, settings.subslices),
        mimics_map=true_labels(canvas, palette.families, settings.subslices, favoured=()),
        lesions=tuple(lesions),
        mimics=tuple(mimics),
        patient_class=_patient_class(lesions),
        anatomy=anatomy.source,
        habitus=habitus,
        physiology=physiology,
        scanner=scanner,
        motions=motions,
        breaths=breaths,
        moved_labels={
            phase: true_labels(moved_canvas(canvas, origin), palette.labels, settings.subslices)
            for phase, origin in sources.items()
        },
    )


def _breathing(
    canvas: Canvas, seed: int, settings: VirtualSettings
) -> tuple[Mapping[Phase, Motion], Mapping[Phase, Breath]]:
    """Motion of the phases from a stream of its own: the patient of a seed is the same with and without it."""
    if settings.motion is not PhaseMotion.BREATHING:
        return {}, {}
    return breathe(canvas, np.random.default_rng(np.random.SeedSequence([seed, 0xB4EA])))


def _patient_class(lesions: Sequence[PlacedLesion]) -> PatientClass:
    counted = [lesion.label for lesion in lesions if lesion.volume_ml >= MIN_COUNTED_ML]
    return PatientClass.of(min(counted, key=lambda label: label.priority)) if counted else PatientClass.NORMAL


def _anatomy(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """Body from a real label map or from the procedural builder, as the settings say."""
    if settings.anatomies and rng.random() < settings.anatomy_share:
        path = settings.anatomies[int(rng.integers(len(settings.anatomies)))]
        return make_atlas_anatomy(path, habitus, settings, rng)
    return make_anatomy(habitus, settings, rng)


def _plan_lesions(intended: PatientClass, settings: VirtualSettings, rng: np.random.Generator) -> list[PlannedLesion]:
    training = settings.mix is CaseMix.TRAINING
    plan: list[PlannedLesion] = []
    if intended is not PatientClass.NORMAL:
        label = LesionType[intended.name]
        weights = np.asarray(_COUNTS[label])
        count = 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
        plan += _draw(label, count + (int(rng.integers(0, 3)) if training else 0), training, rng)
    for label, chance in ((LesionType.CYST, 0.25), (LesionType.HEM, 0.08)):
        if _allowed(label, intended) and rng.random() < chance:
            plan += _draw(label, int(rng.integers(1, 3)), training, rng)
    if training and intended is not PatientClass.NORMAL:
        for _ in range(int(rng.integers(0, 4))):
            label = LesionType(int(rng.integers(1, 7)))
            plan += _draw(label, 1, True, rng)
    if intended is not PatientClass.NORMAL:
        plan += _specks(intended, rng)
    return sorted(plan, key=lambda lesion: -lesion.volume_ml)


def _allowed(label: LesionType, intended: PatientClass) -> bool:
    """Whether a companion of this type leaves the intended class the most important one."""
    return intended is not PatientClass.NORMAL and _CLASSES.index(PatientClass.of(label)) > _CLASSES.index(intended)


def _draw(label: LesionType, count: int, small: bool, rng: np.random.Generator) -> list[PlannedLesion]:
    return [PlannedLesion(label, draw_volume(label, rng, small=small)) for _ in range(count)]


def _specks(intended: PatientClass, rng: np.random.Generator) -> list[PlannedLesion]:
    """Lesions under 0.5 ml, which the evaluation leaves out: about 40 % extra."""
    label = LesionType.META if intended is PatientClass.META else LesionType.CYST
    return [
        PlannedLesion(label, float(np.exp(rng.uniform(np.log(0.08), np.log(0.45)))))
        for _ in range(int(rng.poisson(0.7)))
    ]


def _paint_lesions(
    canvas: Canvas, plan: list[PlannedLesion], palette: Palette, physiology: Physiology, rng: np.random.Generator
) -> list[PlacedLesion]:
    room = 0.4 * liver_volume_ml(canvas)
    placed: list[PlacedLesion] = []
    for lesion in plan:
        if lesion.volume_ml > room:
            lesion = PlannedLesion(lesion.label, max(0.5 * room, 1.0))
        painted = paint_lesion(canvas, lesion, palette, physiology, rng)
        if painted is not None:
            placed.append(painted)
            room -= painted.volume_ml
    return placed


def _grid(canvas: Canvas, subslices: int) -> Grid:
    depth, height, width = canvas.tissue.shape
    fine = float(canvas.z[1] - canvas.z[0])
    spacing = (fine * subslices, float(canvas.y[1] - canvas.y[0]), float(canvas.x[1] - canvas.x[0]))
    first = float(canvas.z[:subslices].mean())
    return Grid.axial((depth // subslices, height, width), spacing, (float(canvas.x[0]), float(canvas.y[0]), first))
