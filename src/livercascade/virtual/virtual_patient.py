"""One virtual patient from one seed: anatomy, lesions, mimics, confounders, four phases, exact truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int16, UInt8

from livercascade.alignment.field import DisplacementField
from livercascade.data.grid import Grid
from livercascade.data.labels import PatientClass, Phase
from livercascade.virtual.anatomy import Anatomy, make_anatomy
from livercascade.virtual.atlas import make_atlas_anatomy
from livercascade.virtual.breathing import Breath, breathe
from livercascade.virtual.canvas import Canvas
from livercascade.virtual.confounders import paint_confounders, resect
from livercascade.virtual.habitus import Habitus, draw_habitus
from livercascade.virtual.lesions.paint import PlacedLesion, paint_lesions
from livercascade.virtual.lesions.place import LiverMap
from livercascade.virtual.lesions.plan import draw_plan
from livercascade.virtual.mimics.effects import add_ghost, add_streaks, mark_effects, thin_liver
from livercascade.virtual.mimics.family import Confounder, Mimic, MimicFamily
from livercascade.virtual.mimics.paint import paint_mimics
from livercascade.virtual.motion import Motion, moved_canvas
from livercascade.virtual.palette import Palette
from livercascade.virtual.physiology import Physiology, draw_physiology
from livercascade.virtual.scanner import Exposure, Scanner, develop, draw_scanner, expose_phases, true_labels
from livercascade.virtual.scene import Scene
from livercascade.virtual.streams import Streams, Subject
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

MIN_COUNTED_ML = 0.5
"""Smaller lesions do not count for the patient's class (paper, Sec. III)."""
_GHOSTS = 0.1


@dataclass(frozen=True, slots=True)
class VirtualPatient:
    """A virtual patient with its truth.

    Attributes:
        seed: Makes the same patient again, byte for byte, with the same settings.
        grid: Grid of every array.
        hu: HU per phase, int16 ``[z, y, x]``.
        labels: True labels 0-13, as VP shows them.
        mimics_map: Family of the mimic (1-12) or kind of confounder (21-28) at each voxel, 0 for none.
        lesions: Every lesion as painted, also those under 0.5 ml.
        mimics: Every mimic.
        confounders: What treatment or another illness left.
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
    confounders: tuple[Confounder, ...]
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
    streams = Streams(seed)
    plan = draw_plan(settings.mix, streams.of(Subject.PLAN))
    habitus = draw_habitus(settings, plan.cirrhotic, streams.of(Subject.HABITUS))
    anatomy = _anatomy(habitus, settings, streams.of(Subject.ANATOMY))
    canvas, habitus = anatomy.canvas, anatomy.habitus
    physiology = draw_physiology(habitus, settings, streams.of(Subject.PHYSIOLOGY))
    scene = Scene(anatomy, LiverMap.of(anatomy), Palette(physiology.hu), physiology)
    confounders = resect(scene, plan.intended, streams)
    lesions, mimics = paint_lesions(scene, plan.lesions, streams)
    mimics += paint_mimics(scene, streams, settings.mimics)
    confounders += paint_confounders(scene, plan.intended, streams)
    scanner = draw_scanner(habitus, settings, (canvas.steps[0], canvas.steps[2]), streams.of(Subject.SCANNER))
    motions, breaths = _breathing(canvas, streams, settings)
    sources = {phase: motion.sources(canvas) for phase, motion in motions.items()}
    labels = true_labels(canvas, scene.palette.labels, settings.subslices)
    mimics_map = true_labels(canvas, scene.palette.families, settings.subslices, favoured=())
    exposure = expose_phases(canvas, scene.palette, scanner, settings, streams, sources=sources)
    grid = _grid(canvas, settings.subslices)
    mimics += _effects(exposure, scene, labels, mimics_map, settings, streams)
    mimics += _cysts(lesions)
    return VirtualPatient(
        seed=seed,
        grid=grid,
        hu=develop(exposure.images, canvas, scanner, settings, streams),
        labels=labels,
        mimics_map=mimics_map,
        lesions=tuple(lesions),
        mimics=tuple(mimics),
        confounders=tuple(confounders),
        patient_class=_patient_class(lesions),
        anatomy=anatomy.source,
        habitus=habitus,
        physiology=physiology,
        scanner=scanner,
        motions=motions,
        breaths=breaths,
        moved_labels={
            phase: true_labels(moved_canvas(canvas, origin), scene.palette.labels, settings.subslices)
            for phase, origin in sources.items()
        },
    )


def _effects(
    exposure: Exposure,
    scene: Scene,
    labels: UInt8[np.ndarray, "z y x"],
    mimics_map: UInt8[np.ndarray, "z y x"],
    settings: VirtualSettings,
    streams: Streams,
) -> list[Mimic]:
    """Add streaks and ghosts to the phases, and mark in the map where these and other effects touch the liver."""
    rng = streams.of(Subject.ARTEFACTS)
    ghost = add_ghost(exposure.images, labels, rng) if rng.random() < _GHOSTS * settings.mimics else None
    streaks = add_streaks(exposure.images, scene.canvas, scene.palette, streams.of(Subject.ARTEFACTS, 1))
    grid = _grid(scene.canvas, settings.subslices)
    return mark_effects(
        mimics_map,
        labels,
        [
            (MimicFamily.MISREGISTRATION, "displaced phase", exposure.misfit),
            (MimicFamily.ARTEFACT, "motion ghost", ghost),
            (MimicFamily.ARTEFACT, "streaks", streaks),
            (
                MimicFamily.PARTIAL_VOLUME,
                "edge within the slice",
                thin_liver(scene.canvas, scene.palette, settings.subslices),
            ),
        ],
        grid.spacing,
        grid.origin,
    )


def _cysts(lesions: Sequence[PlacedLesion]) -> list[Mimic]:
    """Pseudo-enhancing cysts: lesions that are mimics of solid ones as well."""
    return [
        Mimic(MimicFamily.PSEUDO_ENHANCEMENT, lesion.pattern, lesion.centre, lesion.volume_ml)
        for lesion in lesions
        if lesion.pattern == "cyst pseudo-enhancing"
    ]


def _breathing(
    canvas: Canvas, streams: Streams, settings: VirtualSettings
) -> tuple[Mapping[Phase, Motion], Mapping[Phase, Breath]]:
    """Motion of the phases from a stream of its own: the patient of a seed is the same with and without it."""
    if settings.motion is not PhaseMotion.BREATHING:
        return {}, {}
    return breathe(canvas, streams.of(Subject.BREATHING))


def _patient_class(lesions: Sequence[PlacedLesion]) -> PatientClass:
    counted = [lesion.label for lesion in lesions if lesion.volume_ml >= MIN_COUNTED_ML]
    return PatientClass.of(min(counted, key=lambda label: label.priority)) if counted else PatientClass.NORMAL


def _anatomy(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """Body from a real label map or from the procedural builder, as the settings say."""
    if settings.anatomies and rng.random() < settings.anatomy_share:
        path = settings.anatomies[int(rng.integers(len(settings.anatomies)))]
        return make_atlas_anatomy(path, habitus, settings, rng)
    return make_anatomy(habitus, settings, rng)


def _grid(canvas: Canvas, subslices: int) -> Grid:
    depth, height, width = canvas.tissue.shape
    fine = float(canvas.z[1] - canvas.z[0])
    spacing = (fine * subslices, float(canvas.y[1] - canvas.y[0]), float(canvas.x[1] - canvas.x[0]))
    first = float(canvas.z[:subslices].mean())
    return Grid.axial((depth // subslices, height, width), spacing, (float(canvas.x[0]), float(canvas.y[0]), first))
