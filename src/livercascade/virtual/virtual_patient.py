"""One virtual patient from one seed: anatomy, lesions, mimics, confounders, four phases, exact truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int16, UInt8

from livercascade.alignment.displacement_field import DisplacementField
from livercascade.data.grid import Grid
from livercascade.data.labels import PatientClass, Phase
from livercascade.virtual.anatomy import Anatomy, make_anatomy
from livercascade.virtual.atlas import make_atlas_anatomy
from livercascade.virtual.bodies.body_anatomy import make_body
from livercascade.virtual.bodies.body_plan import BodyPlan, draw_body_plan, fit_habitus, shows_liver
from livercascade.virtual.bodies.body_tissue import FIRST_FREE, MOTTLED, SPARED, draw_body_tissues
from livercascade.virtual.bodies.field_of_view import cut_to_circle
from livercascade.virtual.breathing import Breath, breathe
from livercascade.virtual.confounders import paint_confounders, resect
from livercascade.virtual.habitus import Habitus, draw_habitus
from livercascade.virtual.lesions.lesion_painting import PlacedLesion, paint_lesions
from livercascade.virtual.lesions.lesion_plan import draw_plan
from livercascade.virtual.lesions.liver_sites import LiverMap
from livercascade.virtual.mimics.image_effects import add_ghost, add_streaks, mark_effects, thin_liver
from livercascade.virtual.mimics.mimic_families import Mimic, MimicFamily
from livercascade.virtual.mimics.mimic_painting import paint_mimics
from livercascade.virtual.motion import Motion, moved_tissue_map
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.physiology import Physiology, draw_physiology
from livercascade.virtual.randomness import StreamPurpose, random_stream
from livercascade.virtual.scanner import Scanner, develop, draw_scanner, expose_phases, low_dose
from livercascade.virtual.slice_averaging import SliceValues, true_labels
from livercascade.virtual.tissue import TissueTable
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

MIN_COUNTED_ML = 0.5
"""Smaller lesions do not count for the patient's class (paper, Sec. III)."""
# Share of patients in which one phase shows a breath or a heart beat.
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
        body: Plan of a whole body; None for the usual abdomen.
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
    confounders: tuple[Mimic, ...]
    patient_class: PatientClass
    anatomy: str
    habitus: Habitus
    physiology: Physiology
    scanner: Scanner
    body: BodyPlan | None = None
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
        InputError: A label map given as anatomy, or a mask given as a liver's shape, cannot be read or used.
    """
    plan = draw_plan(settings.mix, random_stream(seed, StreamPurpose.PLAN))
    habitus, body = _build(plan.cirrhotic, settings, seed)
    anatomy = _anatomy(habitus, body, settings, random_stream(seed, StreamPurpose.ANATOMY))
    tissue_map, habitus = anatomy.tissue_map, anatomy.habitus
    physiology = draw_physiology(habitus, settings, random_stream(seed, StreamPurpose.PHYSIOLOGY))
    phantom = Phantom(anatomy, LiverMap.of(anatomy), _tissue_table(physiology, body, seed), physiology)
    confounders = resect(phantom, plan.intended, seed)
    lesions, mimics = paint_lesions(phantom, plan.lesions, seed)
    # Mimics and confounders come after the lesions: they are never painted over one.
    mimics += paint_mimics(phantom, seed, settings.mimics)
    confounders += paint_confounders(phantom, plan.intended, seed)
    scanner = draw_scanner(
        habitus, settings, (tissue_map.steps[0], tissue_map.steps[2]), random_stream(seed, StreamPurpose.SCANNER)
    )
    scanner = scanner if body is None else low_dose(scanner, body.low_dose)
    motions, breaths = _breathing(tissue_map, seed, settings)
    sources = {phase: motion.sources(tissue_map) for phase, motion in motions.items()}
    labels = true_labels(tissue_map, phantom.tissue_table.labels, settings.subslices)
    mimics_map = true_labels(tissue_map, phantom.tissue_table.families, settings.subslices, favoured=())
    images, misfit = expose_phases(tissue_map, phantom.tissue_table, scanner, settings, seed, sources=sources)
    grid = _grid(tissue_map, settings.subslices)
    mimics += _effects(images, misfit, phantom, labels, mimics_map, settings, seed)
    mimics += _cysts(lesions)
    hu = develop(images, tissue_map, scanner, settings, seed)
    if body is not None:
        edge = random_stream(seed, StreamPurpose.FIELD_OF_VIEW)
        cut_to_circle(hu, (labels, mimics_map), body, grid.spacing[2], edge)
    return VirtualPatient(
        seed=seed,
        grid=grid,
        hu=hu,
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
        body=body,
        motions=motions,
        breaths=breaths,
        moved_labels={
            phase: true_labels(moved_tissue_map(tissue_map, origin), phantom.tissue_table.labels, settings.subslices)
            for phase, origin in sources.items()
        },
    )


def _build(cirrhotic: bool, settings: VirtualSettings, seed: int) -> tuple[Habitus, BodyPlan | None]:
    """Habitus of a patient, and the plan of the whole body where the settings ask for one."""
    habitus = draw_habitus(settings, cirrhotic, random_stream(seed, StreamPurpose.HABITUS))
    if not settings.whole_bodies:
        return habitus, None
    body = draw_body_plan(settings, random_stream(seed, StreamPurpose.BODY))
    return fit_habitus(habitus, body, random_stream(seed, StreamPurpose.BODY, 1)), body


def _tissue_table(physiology: Physiology, body: BodyPlan | None, seed: int) -> TissueTable:
    """Values for lesions and mimics: after those of the tissues that only whole bodies have."""
    if body is None:
        return TissueTable(physiology.hu)
    draw_body_tissues(physiology, random_stream(seed, StreamPurpose.BODY_TISSUES))
    table = TissueTable(physiology.hu, used=FIRST_FREE, spared=SPARED)
    for tissue, mottle in MOTTLED.items():
        table.mottle[tissue] = mottle
    return table


def _effects(
    images: dict[Phase, SliceValues],
    misfit: SliceValues | None,
    phantom: Phantom,
    labels: UInt8[np.ndarray, "z y x"],
    mimics_map: UInt8[np.ndarray, "z y x"],
    settings: VirtualSettings,
    seed: int,
) -> list[Mimic]:
    """Add streaks and ghosts to the phases, and mark in the map where these and other effects touch the liver."""
    rng = random_stream(seed, StreamPurpose.ARTEFACTS)
    ghost = add_ghost(images, labels, rng) if rng.random() < _GHOSTS * settings.mimics else None
    streaks = add_streaks(
        images, phantom.tissue_map, phantom.tissue_table, random_stream(seed, StreamPurpose.ARTEFACTS, 1)
    )
    grid = _grid(phantom.tissue_map, settings.subslices)
    return mark_effects(
        mimics_map,
        labels,
        [
            (MimicFamily.MISREGISTRATION, "displaced phase", misfit),
            (MimicFamily.ARTEFACT, "motion ghost", ghost),
            (MimicFamily.ARTEFACT, "streaks", streaks),
            (
                MimicFamily.PARTIAL_VOLUME,
                "edge within the slice",
                thin_liver(phantom.tissue_map, phantom.tissue_table, settings.subslices),
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
    tissue_map: TissueMap, seed: int, settings: VirtualSettings
) -> tuple[Mapping[Phase, Motion], Mapping[Phase, Breath]]:
    """Motion of the phases from a stream of its own: the patient of a seed is the same with and without it."""
    if settings.motion is not PhaseMotion.BREATHING:
        return {}, {}
    return breathe(tissue_map, random_stream(seed, StreamPurpose.BREATHING))


def _patient_class(lesions: Sequence[PlacedLesion]) -> PatientClass:
    counted = [lesion.label for lesion in lesions if lesion.volume_ml >= MIN_COUNTED_ML]
    return PatientClass.of(min(counted, key=lambda label: label.priority)) if counted else PatientClass.NORMAL


def _anatomy(habitus: Habitus, body: BodyPlan | None, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """Body from a real label map or from one of the procedural builders, as the settings say."""
    if settings.anatomies and rng.random() < settings.anatomy_share and (body is None or shows_liver(habitus)):
        path = settings.anatomies[int(rng.integers(len(settings.anatomies)))]
        return make_atlas_anatomy(path, habitus, settings, rng)
    if body is not None:
        return make_body(habitus, body, settings, rng)
    return make_anatomy(habitus, settings, rng)


def _grid(tissue_map: TissueMap, subslices: int) -> Grid:
    depth, height, width = tissue_map.values.shape
    fine = float(tissue_map.z[1] - tissue_map.z[0])
    spacing = (fine * subslices, float(tissue_map.y[1] - tissue_map.y[0]), float(tissue_map.x[1] - tissue_map.x[0]))
    first = float(tissue_map.z[:subslices].mean())
    return Grid.axial(
        (depth // subslices, height, width), spacing, (float(tissue_map.x[0]), float(tissue_map.y[0]), first)
    )
