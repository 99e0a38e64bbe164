"""What the interface tells of cases, drafts and lesions, as plain data for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livercascade.data.errors import CascadeError
from livercascade.data.grid import Grid
from livercascade.data.labels import BACKGROUND, LESION_TYPES, ORGANS, PHASES, Phase
from livercascade.labeler.editing.lesion_components import Components, describe, diameter_mm, lesions_of, organ_volumes
from livercascade.labeler.imaging.frame import Frame
from livercascade.labeler.imaging.mask_delta import LabelMask
from livercascade.labeler.imaging.phase_volume import PhaseVolume
from livercascade.labeler.imaging.windowing import USUAL
from livercascade.labeler.label_error import LabelError, told_error
from livercascade.labeler.project.draft import Draft
from livercascade.labeler.project.notebooks import boxes_of, evidence_of, source_boxes
from livercascade.labeler.project.open_case import OpenCase
from livercascade.labeler.project.project_folder import dicom_folder
from livercascade.labeler.project.report_text import report_files, report_text
from livercascade.labeler.project.versions import mask_sha256

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


def told_labels() -> list[dict[str, Any]]:
    """The labels with letter and colour."""
    first = {"value": BACKGROUND, "name": "background", "group": "background", "letter": "", "color": "#000000"}
    lesions = [_label(int(one), one.title, "lesion") | {"malignant": one.malignant} for one in LESION_TYPES]
    return [first, *lesions, *(_label(int(one), one.title, "organ") for one in ORGANS)]


def told_grid(frame: Frame) -> dict[str, Any]:
    """A grid in display order."""
    grid = frame.grid
    return {
        "shape": list(grid.shape),
        "spacing": list(grid.spacing),
        "origin": list(grid.origin),
        "direction": [list(axis) for axis in grid.direction],
        "affine": grid.affine.tolist(),
        "stored": frame.stored_codes,
        "oblique_deg": frame.oblique_deg,
        "letters": {"left": "R", "right": "L", "top": "A", "bottom": "P", "up": "S", "down": "I"},
    }


def told_case(case: OpenCase, state: str) -> dict[str, Any]:
    """Everything of a case but its voxels."""
    sources = case.sources
    frame = sources.frame
    reports = report_files(sources.folder)
    return {
        "id": case.id,
        "state": state,
        "head": case.head(),
        "grid": told_grid(frame) if frame else None,
        "reference": sources.reference.value if sources.reference else None,
        "phases": {phase.value: _phase(case, phase) for phase in PHASES},
        "masks": _masks(case),
        "report": {"status": "ok" if reports else "missing", "files": [path.name for path in reports]},
        "dicom": dicom_folder(sources.folder) is not None,
        "erase_label": case.erase_label() if frame else 0,
        "notices": _notices(case),
        "boxes": len(told_boxes(case)["boxes"]) if frame else 0,
        "measurements": len(case.measurements.all()),
    }


def told_boxes(case: OpenCase) -> dict[str, Any]:
    """Boxes of mask 00; a file of boxes that cannot be read is told as an error beside those of readers."""
    error: dict[str, Any] | None = None
    boxes: list[dict[str, Any]] = []
    try:
        boxes = source_boxes(case.sources.folder, case.grid)
    except CascadeError as caught:
        error = told_error(caught)
    return {"boxes": boxes_of(boxes, case.boxes.all()), "error": error}


def told_report(case: OpenCase) -> dict[str, Any]:
    """Text of the reports of a case."""
    parts = [{"name": path.name, "text": report_text(path)} for path in report_files(case.sources.folder)]
    if parts:
        return {"status": "ok", "parts": parts, "error": None}
    error = LabelError("REPORT_MISSING", "There is no report in this case.", "Put report.txt beside the images.")
    return {"status": "missing", "parts": [], "error": told_error(error)}


def told_state(case: OpenCase, draft: Draft, *, full: bool, offer: bool = False) -> dict[str, Any]:
    """State of a draft; steps and hash only if ``full``, the offer of recovery only on opening."""
    done, undone = draft.applied, draft.steps[draft.position :]
    return {
        "draft": draft.head.name,
        "case": case.id,
        "user": draft.head.user,
        "base": draft.head.base,
        "parent": draft.parent,
        "head": case.head(),
        "n": draft.n,
        "position": draft.position,
        "steps_count": len(draft.steps),
        "steps": [_step(i, step) for i, step in enumerate(draft.steps, start=1)] if full else None,
        "saved_position": draft.saved_position,
        "dirty": draft.dirty,
        "recovery": {"steps": draft.unsaved, "time": draft.last_time} if offer and draft.dirty else None,
        "undo": done[-1].name if done else None,
        "redo": undone[0].name if undone else None,
        "mask_sha256": mask_sha256(draft.mask) if full else None,
    }


def told_lesions(case: OpenCase, mask: LabelMask, ref: str) -> dict[str, Any]:
    """Table of the lesions of a mask, largest first."""
    found = lesions_of(mask)
    evidence, _ = evidence_of(case.evidence.all(), found)
    rows = _lesion_rows(found, case.grid, evidence) if found else []
    rows.sort(key=lambda row: (-row["voxels"], row["first"]))
    totals: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows, start=1):
        row["number"] = number
        total = totals.setdefault(str(row["label"]), {"count": 0, "volume_ml": 0.0})
        total["count"] += 1
        total["volume_ml"] = round(total["volume_ml"] + row["volume_ml"], 4)
    # Counting a whole volume takes longer than a stroke may: not for masks that change with every stroke.
    organs = {} if ref.startswith("draft.") else organ_volumes(mask, case.grid)
    return {"ref": ref, "lesions": rows, "totals": totals, "organs": organs}


def oblique_grid(grid: Grid, degrees: float) -> dict[str, str]:
    """Notice of a grid that does not lie along the patient's axes."""
    across = " x ".join(f"{mm:.3g}" for mm in grid.spacing)
    message = f"gantry/oblique {degrees:.1f} degrees: shown and edited on its own grid of {across} mm (z, y, x)"
    return {"code": "OBLIQUE", "message": message}


def _lesion_rows(found: Components, grid: Grid, evidence: Mapping[int, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number in range(1, found.count + 1):
        part, box = found.part(number), found.boxes[number]
        row = {"label": int(found.labels[number]), **describe(part, box, grid)}
        rows.append({**row, "diameter_mm": round(diameter_mm(part, grid), 2), "evidence": evidence.get(number)})
    return rows


def _label(value: int, name: str, group: str) -> dict[str, Any]:
    letter, color = _LOOKS[value]
    return {"value": value, "name": name, "group": group, "letter": letter, "color": color}


def _phase(case: OpenCase, phase: Phase) -> dict[str, Any]:
    volume = case.sources.phases[phase]
    if isinstance(volume, PhaseVolume):
        error, own = volume.error, volume.frame
        if error is None:
            window = case.known_window(phase)
            same = case.sources.grid is not None and own.grid.matches(case.sources.grid)
            return {
                "status": "ok",
                "title": phase.title,
                "grid": None if same else told_grid(own),
                "window": list(window or USUAL[phase]),
                "window_auto": window is not None,
                "etag": volume.tag,
            }
    else:
        error = volume
    status = "missing" if error.code == "PHASE_MISSING" else "bad"
    return {"status": status, "title": phase.title, "error": told_error(error)}


def _masks(case: OpenCase) -> list[dict[str, Any]]:
    versions = [{**record.told(), "status": "ok"} for record in reversed(case.versions.all())]
    sources: list[dict[str, Any]] = []
    for ref, frame in case.sources.mask_frames.items():
        bad = isinstance(frame, CascadeError)
        sources.append(
            {"ref": ref, "status": "bad", "error": told_error(frame)} if bad else {"ref": ref, "status": "ok"}
        )
    return [*versions, *sources]


def _notices(case: OpenCase) -> list[dict[str, str]]:
    frame = case.sources.frame
    found: list[dict[str, str]] = []
    if frame is None:
        return [{"code": "NO_IMAGE", "message": "no phase of this case can be used"}]
    if frame.oblique_deg:
        found.append(oblique_grid(frame.grid, frame.oblique_deg))
    if not case.versions.all() and not case.sources.usable_masks:
        found.append({"code": "MASK_MISSING", "message": "no mask came with this case; drawing starts on an empty one"})
    for phase, volume in case.sources.phases.items():
        if isinstance(volume, PhaseVolume) and not volume.grid.matches(frame.grid):
            text = f"the {phase.title} phase lies on another grid than the mask: shown by itself, linked by position"
            found.append({"code": "PHASE_OTHER_GRID", "message": text})
    return found


def _step(number: int, step: Any) -> dict[str, Any]:
    return {
        "number": number,
        "name": step.name,
        "kind": step.kind,
        "voxels": len(step.delta),
        "time": step.time,
        "verdict": dict(step.verdict) if step.verdict else None,
    }
