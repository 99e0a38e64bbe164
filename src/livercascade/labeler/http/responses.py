"""Answers made from cases, drafts and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from livercascade import __version__
from livercascade.data.errors import CascadeError
from livercascade.data.grid import Grid
from livercascade.data.labels import BACKGROUND, LESION_TYPES, ORGANS, PHASES, Phase
from livercascade.data.lesion import Box
from livercascade.labeler.contract.response_schemas import (
    BoxList,
    BoxRecord,
    CaseInfo,
    ComponentInfo,
    DifferenceList,
    DifferenceVerdict,
    DraftState,
    Fault,
    LesionListing,
    ReportTexts,
    SessionInfo,
    VersionInfo,
)
from livercascade.labeler.editing.lesion_components import (
    NEIGHBOURS,
    diameter_mm,
    first_index,
    lesions_of,
    organ_volumes,
    place_to_look,
)
from livercascade.labeler.editing.mask_comparison import Difference, DifferenceKind
from livercascade.labeler.editing.review_verdicts import types_of
from livercascade.labeler.imaging.decoded_volume import DecodedVolume
from livercascade.labeler.imaging.frame import Frame
from livercascade.labeler.imaging.mask_delta import LabelMask
from livercascade.labeler.imaging.windowing import PRESETS, USUAL
from livercascade.labeler.label_error import LabelError
from livercascade.labeler.project.draft import Draft, Step
from livercascade.labeler.project.notebooks import boxes_of, evidence_of, source_boxes
from livercascade.labeler.project.open_case import OpenCase
from livercascade.labeler.project.project_folder import dicom_folder
from livercascade.labeler.project.report_text import report_files, report_text
from livercascade.labeler.project.tool_steps import TOOLS
from livercascade.labeler.project.versions import VersionRecord, mask_sha256
from livercascade.labeler.project.workspace import Workspace

# Okabe and Ito's colours for the lesions, quieter ones for organs: told apart without colour vision too, by letter.
_LOOKS: dict[int, tuple[str, str]] = {
    1: ("H", "#d55e00"),
    2: ("I", "#cc79a7"),
    3: ("M", "#e69f00"),
    4: ("G", "#56b4e9"),
    5: ("O", "#f0e442"),
    6: ("C", "#009e73"),
    7: ("Li", "#8c6d5a"),
    8: ("Hv", "#5b6fb5"),
    9: ("Pv", "#3f8fa6"),
    10: ("Gb", "#7a9a4a"),
    11: ("Sp", "#8a5a8f"),
    12: ("Pa", "#b08d57"),
    13: ("St", "#9a8fa8"),
}


def session_info(workspace: Workspace) -> SessionInfo:
    """What the page needs before it opens a case."""
    return SessionInfo(
        version=__version__,
        project=workspace.project.title,
        user=workspace.user,
        users=workspace.users(),
        predictions=workspace.project.predictions is not None,
        labels=_labels(),
        tools=list(TOOLS),
        windows=PRESETS,
    )


def fault(error: CascadeError) -> Fault:
    """An error that is part of an answer."""
    return Fault(code=error.code, message=error.message, remedy=error.remedy)


def grid_info(frame: Frame) -> CaseInfo.GridInfo:
    """A grid in display order."""
    grid = frame.grid
    a, b, c, d = (tuple(map(float, row)) for row in grid.affine)
    return CaseInfo.GridInfo.model_validate(
        {
            "shape": grid.shape,
            "spacing": grid.spacing,
            "origin": grid.origin,
            "direction": grid.direction,
            "affine": (a, b, c, d),
            "stored": frame.stored_codes,
            "oblique_deg": frame.oblique_deg,
            "letters": {"left": "R", "right": "L", "top": "A", "bottom": "P", "up": "S", "down": "I"},
        }
    )


def case_info(case: OpenCase, workspace: Workspace) -> CaseInfo:
    """Everything of a case but its voxels."""
    files = case.files
    frame = files.frame
    reports = report_files(files.folder)
    return CaseInfo(
        id=case.id,
        state=workspace.row(case.id).state,
        head=case.head(),
        grid=grid_info(frame) if frame else None,
        reference=files.reference.value if files.reference else None,
        phases={phase.value: _phase(case, phase) for phase in PHASES},
        masks=_masks(case),
        report=CaseInfo.ReportFiles(status="ok" if reports else "missing", files=[path.name for path in reports]),
        dicom=dicom_folder(files.folder) is not None,
        erase_label=case.erase_label() if frame else 0,
        notices=_notices(case),
        boxes=len(box_list(case).boxes) if frame else 0,
        measurements=len(case.measurements.all()),
    )


def box_list(case: OpenCase) -> BoxList:
    """Boxes of mask 00; a file of boxes that cannot be read is an error beside those of readers."""
    error: Fault | None = None
    boxes: list[BoxRecord] = []
    try:
        boxes = source_boxes(case.files.folder, case.grid)
    except CascadeError as caught:
        error = fault(caught)
    return BoxList(boxes=boxes_of(boxes, case.boxes.all()), error=error)


def report_texts(case: OpenCase) -> ReportTexts:
    """Text of the reports of a case."""
    parts = [ReportTexts.ReportPart(name=path.name, text=report_text(path)) for path in report_files(case.files.folder)]
    if parts:
        return ReportTexts(status="ok", parts=parts, error=None)
    error = LabelError("REPORT_MISSING", "There is no report in this case.", "Put report.txt beside the images.")
    return ReportTexts(status="missing", parts=[], error=fault(error))


def version_info(record: VersionRecord) -> VersionInfo:
    """A version without the decisions and the place in a draft that its record keeps."""
    return VersionInfo.model_validate(record.model_dump())


def draft_state(case: OpenCase, draft: Draft, *, full: bool, offer: bool = False) -> DraftState:
    """State of a draft; steps and hash only if ``full``, the offer of recovery only on opening."""
    done, undone = draft.applied, draft.steps[draft.position :]
    # Steps and hash grow with the draft: the answer to every stroke does without them.
    recovery = DraftState.RecoveryOffer(steps=draft.unsaved, time=draft.last_time)
    return DraftState(
        draft=draft.head.name,
        case=case.id,
        user=draft.head.user,
        base=draft.head.base,
        parent=draft.parent,
        head=case.head(),
        n=draft.n,
        position=draft.position,
        steps_count=len(draft.steps),
        steps=[_step(i, step) for i, step in enumerate(draft.steps, start=1)] if full else None,
        saved_position=draft.saved_position,
        dirty=draft.dirty,
        recovery=recovery if offer and draft.dirty else None,
        undo=done[-1].name if done else None,
        redo=undone[0].name if undone else None,
        mask_sha256=mask_sha256(draft.mask) if full else None,
    )


def component_info(label: int, part: Bool[np.ndarray, "a b c"], box: Box, grid: Grid) -> ComponentInfo:
    """Size and place of a lesion or of a part of an organ."""
    middle = np.argwhere(part).mean(axis=0) + [s.start for s in box]
    voxels = int(np.count_nonzero(part))
    at = place_to_look(part, box)
    x, y, z = (round(float(mm), 2) for mm in grid.world(middle))
    return ComponentInfo(
        label=label,
        voxels=voxels,
        volume_ml=round(voxels * grid.voxel_ml, 4),
        slices=(box[0].start, box[0].stop - 1),
        slice=at[0],
        at=at,
        centroid=(x, y, z),
        box=_bounds(box),
        first=first_index(part, box, grid.shape),
    )


def lesion_listing(case: OpenCase, mask: LabelMask, ref: str, user: str) -> LesionListing:
    """Lesions of a mask with the numbers of the report; without one numbered by size."""
    lesions = lesions_of(mask, case.grid)
    evidence, _ = evidence_of(case.evidence.all(), lesions)
    report = case.report_numbers(ref, user)
    numbers = report.of_lesions(lesions) if report else range(1, len(lesions) + 1)
    rows: list[LesionListing.ListedLesion] = []
    for place, (number, lesion) in enumerate(zip(numbers, lesions, strict=True)):
        info = component_info(int(lesion.label), lesion.mask, lesion.bbox, case.grid)
        diameter = round(diameter_mm(lesion.mask, case.grid), 2)
        given: dict[str, Any] = {"number": number, "diameter_mm": diameter, "evidence": evidence.get(place)}
        rows.append(LesionListing.ListedLesion(**info.model_dump(), **given))
    # Counting a whole volume takes longer than a stroke may: not for masks that change with every stroke.
    organs = {} if ref.startswith("draft.") else organ_volumes(mask, case.grid)
    return LesionListing(ref=ref, lesions=sorted(rows, key=lambda row: row.number), totals=_totals(rows), organs=organs)


def difference_list(
    refs: tuple[str, str],
    items: Sequence[Difference],
    grid: Grid,
    verdicts: Mapping[str, DifferenceVerdict],
    *,
    min_ml: float,
) -> DifferenceList:
    """Differences of two masks with a reader's verdicts; those smaller than ``min_ml`` on both sides are left out."""
    shown = [item for item in items if item.size * grid.voxel_ml >= min_ml]
    judged = [item for item in shown if item.kind is not DifferenceKind.SAME]
    return DifferenceList(
        old=refs[0],
        new=refs[1],
        connectivity=NEIGHBOURS,
        counts={kind.value: sum(item.kind is kind for item in shown) for kind in DifferenceKind},
        open=sum(item.id not in verdicts for item in judged),
        of=len(judged),
        differences=[_difference(item, grid, verdicts.get(item.id)) for item in shown],
    )


def _totals(rows: Sequence[LesionListing.ListedLesion]) -> dict[str, LesionListing.TypeTotal]:
    totals: dict[str, LesionListing.TypeTotal] = {}
    for label in dict.fromkeys(row.label for row in rows):
        mine = [row for row in rows if row.label == label]
        volume = round(sum(row.volume_ml for row in mine), 4)
        totals[str(label)] = LesionListing.TypeTotal(count=len(mine), volume_ml=volume)
    return totals


def _difference(item: Difference, grid: Grid, verdict: DifferenceVerdict | None) -> DifferenceList.DifferenceRow:
    ml = grid.voxel_ml
    return DifferenceList.DifferenceRow(
        id=item.id,
        kind=item.kind.value,
        types=types_of(item),
        old=[_side(label, voxels, ml) for label, voxels in item.old],
        new=[_side(label, voxels, ml) for label, voxels in item.new],
        old_ml=round(sum(n for _, n in item.old) * ml, 4),
        new_ml=round(sum(n for _, n in item.new) * ml, 4),
        changed_ml=round(item.changed * ml, 4),
        dice=round(item.dice, 4),
        box=_bounds(item.box),
        slices=(item.box[0].start, item.box[0].stop - 1),
        at=place_to_look(item.region, item.box),
        verdict=verdict,
    )


def _side(label: int, voxels: int, voxel_ml: float) -> DifferenceList.DifferenceRow.SideLesion:
    return DifferenceList.DifferenceRow.SideLesion(label=label, voxels=voxels, volume_ml=round(voxels * voxel_ml, 4))


def _bounds(box: Box) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    z, y, x = ((int(side.start), int(side.stop)) for side in box)
    return z, y, x


def _labels() -> list[SessionInfo.LabelInfo]:
    info = SessionInfo.LabelInfo
    first = info(value=BACKGROUND, name="background", group="background", letter="", color="#000000")
    looks: dict[int, Any] = {value: {"letter": letter, "color": color} for value, (letter, color) in _LOOKS.items()}
    lesions = [
        info(value=int(one), name=one.title, group="lesion", malignant=one.malignant, **looks[int(one)])
        for one in LESION_TYPES
    ]
    return [
        first,
        *lesions,
        *(info(value=int(one), name=one.title, group="organ", **looks[int(one)]) for one in ORGANS),
    ]


def _phase(case: OpenCase, phase: Phase) -> CaseInfo.PhaseInfo:
    volume = case.files.phases[phase]
    error = volume.error if isinstance(volume, DecodedVolume) else volume
    if isinstance(volume, DecodedVolume) and error is None:
        window = case.known_window(phase)
        same = case.files.grid is not None and volume.grid.matches(case.files.grid)
        return CaseInfo.PhaseInfo(
            status="ok",
            title=phase.title,
            grid=None if same else grid_info(volume.frame),
            window=window or USUAL[phase],
            window_auto=window is not None,
            etag=volume.tag,
        )
    assert error is not None
    status = "missing" if error.code == "PHASE_MISSING" else "bad"
    return CaseInfo.PhaseInfo(status=status, title=phase.title, error=fault(error))


def _masks(case: OpenCase) -> list[CaseInfo.VersionMask | CaseInfo.SourceMask]:
    masks: list[CaseInfo.VersionMask | CaseInfo.SourceMask] = [
        CaseInfo.VersionMask(**version_info(record).model_dump(), status="ok")
        for record in reversed(case.versions.all())
    ]
    for ref, frame in case.files.mask_frames.items():
        if isinstance(frame, CascadeError):
            masks.append(CaseInfo.SourceMask(ref=ref, status="bad", error=fault(frame)))
        else:
            masks.append(CaseInfo.SourceMask(ref=ref, status="ok"))
    return masks


def _notices(case: OpenCase) -> list[CaseInfo.ImageNotice]:
    notice = CaseInfo.ImageNotice
    frame = case.files.frame
    found: list[CaseInfo.ImageNotice] = []
    if frame is None:
        return [notice(code="NO_IMAGE", message="no phase of this case can be used")]
    if frame.oblique_deg:
        across = " x ".join(f"{mm:.3g}" for mm in frame.grid.spacing)
        text = (
            f"gantry/oblique {frame.oblique_deg:.1f} degrees: shown and edited on its own grid of {across} mm (z, y, x)"
        )
        found.append(notice(code="OBLIQUE", message=text))
    if not case.versions.all() and not case.files.usable_masks:
        text = "no mask came with this case; drawing starts on an empty one"
        found.append(notice(code="MASK_MISSING", message=text))
    for phase, volume in case.files.phases.items():
        if isinstance(volume, DecodedVolume) and not volume.grid.matches(frame.grid):
            text = f"the {phase.title} phase lies on another grid than the mask: shown by itself, linked by position"
            found.append(notice(code="PHASE_OTHER_GRID", message=text))
    return found


def _step(number: int, step: Step) -> DraftState.DraftStep:
    return DraftState.DraftStep(
        number=number,
        name=step.name,
        kind=step.kind,
        voxels=len(step.delta),
        time=step.time,
        verdict=step.verdict,
    )
