"""Notes of a case that are no mask: evidence per lesion, boxes of mask 00, measurements. Append-only journals."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.lesion import Lesion
from livercascade.io.nifti import read_instances
from livercascade.labeler.contract.response_schemas import BoxRecord, EvidenceRecord
from livercascade.labeler.editing.box_seeding import checked_box
from livercascade.labeler.editing.lesion_components import index_of
from livercascade.labeler.label_error import bad_request, not_found
from livercascade.labeler.project.journal import Journal, now

_OF_FILE = {
    "label": None,
    "note": "",
    "evidence": "pathology",
    "status": "open",
    "source": "file",
    "user": None,
    "time": None,
}
_BOX_FILES = ("boxes.json", "mask00.nii.gz", "mask00.nii")


@dataclass(frozen=True, slots=True)
class NoteChange:
    """What one act does to a notebook.

    Attributes:
        book: Notebook: ``evidence``, ``boxes`` or ``measurements``.
        id: Name of the record.
        before: The record that stands before, None if there is none.
        after: The record that stands then, None if it is taken away.
    """

    book: str
    id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def inverse(self) -> NoteChange:
        """The act that takes it back."""
        return NoteChange(self.book, self.id, self.after, self.before)


@dataclass(frozen=True, slots=True)
class Notebook:
    """Records that can be set and removed by id; the journal keeps all of them.

    Attributes:
        name: What it holds: ``evidence``, ``boxes`` or ``measurements``.
        journal: The journal.
    """

    name: str
    journal: Journal

    def all(self) -> list[dict[str, Any]]:
        """Records that stand, in the order in which they were first set."""
        return list(self._standing().values())

    def adding(self, record: Mapping[str, Any], user: str) -> NoteChange:
        """The act of adding a record; it gets an id, which starts as the notebook's name does."""
        key = f"{self.name[0]}{secrets.token_hex(4)}"
        return NoteChange(self.name, key, None, {"id": key, **record, "user": user, "time": now()})

    def changing(self, record: Mapping[str, Any], user: str) -> NoteChange:
        """The act of setting a record that has its id already; it need not stand in this notebook."""
        key = str(record["id"])
        return NoteChange(self.name, key, self._standing().get(key), {**record, "user": user, "time": now()})

    def removing(self, key: str) -> NoteChange:
        """The act of taking a record away.

        Raises:
            LabelError: ``NOT_FOUND``.
        """
        before = self._standing().get(key)
        if before is None:
            raise not_found("record")
        return NoteChange(self.name, key, before, None)

    def write(self, act: NoteChange, user: str) -> None:
        """Do what the act says."""
        if act.after is not None:
            self.journal.append({"op": "put", "record": dict(act.after)})
        else:
            self.journal.append({"op": "remove", "id": act.id, "user": user, "time": now()})

    def _standing(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for entry in self.journal.read():
            if entry["op"] == "remove":
                found.pop(entry["id"], None)
            else:
                found[entry["record"]["id"]] = entry["record"]
        return found


def evidence_of(
    records: Sequence[dict[str, Any]], lesions: Sequence[Lesion]
) -> tuple[dict[int, EvidenceRecord], list[EvidenceRecord]]:
    """Evidence by the place of the lesion that holds its voxel, the last one counting; and what has lost its lesion."""
    by_lesion: dict[int, EvidenceRecord] = {}
    lost: dict[tuple[int, ...], EvidenceRecord] = {}
    for record in records:
        found = EvidenceRecord.model_validate({key: value for key, value in record.items() if key != "id"})
        place = index_of(lesions, found.at)
        if place is not None:
            by_lesion[place] = found
        else:
            lost[found.at] = found
    kept = {place: found for place, found in by_lesion.items() if found.evidence != "none"}
    return kept, [found for found in lost.values() if found.evidence != "none"]


def source_boxes(folder: Path, grid: Grid) -> list[BoxRecord]:
    """Boxes that came with the case: ``boxes.json``, or the objects of ``mask00.nii.gz``.

    Raises:
        CascadeError: The file cannot be used.
    """
    root = folder.resolve()
    path = next((p for name in _BOX_FILES if (p := folder / name).is_file()), None)
    if path is None or not path.resolve().is_relative_to(root):
        return []
    return _listed_boxes(path, grid) if path.suffix == ".json" else _drawn_boxes(path, grid)


def boxes_of(from_file: Sequence[BoxRecord], records: Sequence[dict[str, Any]]) -> list[BoxRecord]:
    """Boxes of file and readers together; what a reader noted about a box of the file stands over the file."""
    found: dict[str, dict[str, Any]] = {box.id: box.model_dump() for box in from_file}
    for record in records:
        found[record["id"]] = {**found.get(record["id"], {}), **record}
    return [BoxRecord.model_validate(box) for box in found.values() if not box.get("removed")]


def ruler_mm(grid: Grid, start: Sequence[float], end: Sequence[float]) -> float:
    """Distance of two points (z, y, x) in mm."""
    a, b = grid.world(np.array([start, end], dtype=np.float64))
    return float(np.linalg.norm(a - b))


def circle(plane: Int16[np.ndarray, "y x"], grid: Grid, centre: Sequence[float], radius_mm: float) -> dict[str, Any]:
    """HU inside a circle of one slice: pixels whose centre lies in it.

    Raises:
        LabelError: ``BAD_REQUEST`` if it holds no pixel.
    """
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    sy, sx = grid.spacing[1:]
    inside = ((y - centre[1]) * sy) ** 2 + ((x - centre[2]) * sx) ** 2 <= radius_mm**2
    values = plane[inside].astype(np.float64)
    if not values.size:
        raise bad_request("The circle holds no pixel.")
    return {
        "mean": round(float(values.mean()), 2),
        "sd": round(float(values.std()), 2),
        "min": int(values.min()),
        "max": int(values.max()),
        "pixels": int(values.size),
        "area_mm2": round(float(values.size * sy * sx), 2),
    }


def _listed_boxes(path: Path, grid: Grid) -> list[BoxRecord]:
    try:
        listed: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = listed["boxes"] if isinstance(listed, dict) else listed
        return [_box(f"f{i}", entry, grid) for i, entry in enumerate(entries, start=1)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise bad_request(f"{path.name} does not read as a list of boxes.", "See docs/labeler-api.md.") from error


def _box(key: str, entry: dict[str, Any], grid: Grid) -> BoxRecord:
    checked_box(entry["box"], grid.shape)
    given = {name: entry[name] for name in ("label", "note", "evidence") if name in entry}
    return BoxRecord.model_validate({"id": key, "box": entry["box"], **_OF_FILE, **given})


def _drawn_boxes(path: Path, grid: Grid) -> list[BoxRecord]:
    numbers, placed = read_instances(path, is_ct=False)
    if not placed.matches(grid):
        raise bad_request(f"{path.name} does not lie on the grid of the image.")
    values = np.unique(numbers[numbers > 0])
    boxes: list[BoxRecord] = []
    for value in values:
        parts, count = ndimage.label(numbers == value, structure=np.ones((3, 3, 3)))
        for one in ndimage.find_objects(parts, max_label=count):
            sides = [[int(s.start), int(s.stop)] for s in one]
            boxes.append(_box(f"f{len(boxes) + 1}", {"box": sides}, grid))
    return boxes
