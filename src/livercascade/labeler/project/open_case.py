"""One case that is open: masks by reference, versions, drafts, history; one lock sees to it that writers take turns."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from livercascade.data.grid import Grid
from livercascade.data.labels import Organ, Phase
from livercascade.labeler.editing.lesion_components import ReportNumbers
from livercascade.labeler.imaging.decoded_volume import DecodedVolume
from livercascade.labeler.imaging.frame import Frame
from livercascade.labeler.imaging.mask_delta import Delta, LabelMask
from livercascade.labeler.imaging.windowing import HuWindow, automatic_window
from livercascade.labeler.label_error import LabelError
from livercascade.labeler.project.case_inputs import CaseInputs
from livercascade.labeler.project.draft import Draft
from livercascade.labeler.project.draft_store import REVIEW, DraftStore
from livercascade.labeler.project.identifiers import version_number
from livercascade.labeler.project.journal import Journal, now
from livercascade.labeler.project.mask_store import MaskStore
from livercascade.labeler.project.notebooks import Notebook, NoteChange
from livercascade.labeler.project.versions import NewVersion, VersionRecord, Versions, no_image


@dataclass(eq=False)
class OpenCase:
    """An open case.

    Attributes:
        id: Its name.
        files: Files of the case.
        folder: Its folder in the project.
        lock: Held by whoever changes something, or needs two things to fit together.
        compared: The last comparison: its key, its masks, its differences.
    """

    id: str
    files: CaseInputs
    folder: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    compared: tuple[Any, Any, list[Any]] | None = None
    _windows: dict[Phase, HuWindow] = field(default_factory=dict[Phase, HuWindow])

    @property
    def grid(self) -> Grid:
        """Grid of the case.

        Raises:
            LabelError: ``NO_IMAGE``.
        """
        if self.files.grid is None:
            raise no_image()
        return self.files.grid

    @cached_property
    def versions(self) -> Versions:
        """Its versions; they keep the form of the first source mask, else the grid of the reference phase."""
        frames = [frame for frame in self.files.mask_frames.values() if isinstance(frame, Frame)]
        frame = frames[0] if frames else self.files.frame
        return Versions(self.folder / "versions", frame, keep_type=bool(frames))

    @cached_property
    def masks(self) -> MaskStore:
        """Its masks that do not change."""
        return MaskStore(self.files, self.versions)

    @cached_property
    def drafts(self) -> DraftStore:
        """Working states of all readers."""
        return DraftStore(self.id, self.folder / "drafts", self.masks, self.lock)

    @property
    def history(self) -> Journal:
        """What happened, append-only."""
        return Journal(self.folder / "history.jsonl")

    @property
    def evidence(self) -> Notebook:
        """Evidence per lesion."""
        return self._notebook("evidence")

    @property
    def boxes(self) -> Notebook:
        """Boxes of readers, and what became of boxes of the file."""
        return self._notebook("boxes")

    @property
    def measurements(self) -> Notebook:
        """Rulers and circles."""
        return self._notebook("measurements")

    def write_note(self, act: NoteChange, user: str, text: str) -> None:
        """Change a notebook; evidence and boxes, which others build on, also go into the history."""
        with self.lock:
            self._notebook(act.book).write(act, user)
            if act.book in ("evidence", "boxes"):
                self.note(act.book, user, text)

    def go(self, draft: Draft, position: int, op: str) -> tuple[Delta, tuple[NoteChange, ...]]:
        """Undo or redo until ``position`` steps of a draft are applied; the change of its mask and of the notebooks.

        Raises:
            LabelError: As `Draft.go`.
        """
        with self.lock:
            before = draft.position
            delta = draft.go(position, op)
            acts = draft.notes_between(before, position)
            for act in acts:
                self.write_note(act, draft.head.user, f"{op}, step {position}")
            return delta, acts

    def note(self, event: str, user: str, text: str, *, ref: str | None = None, parent: str | None = None) -> None:
        """Add an event to the history."""
        record = {"time": now(), "user": user, "event": event, "ref": ref, "parent": parent, "text": text}
        self.history.append(record)

    def _notebook(self, name: str) -> Notebook:
        return Notebook(name, Journal(self.folder / f"{name}.jsonl"))

    def volume(self, phase: Phase) -> DecodedVolume:
        """Volume of a phase.

        Raises:
            CascadeError: Why there is none.
        """
        volume = self.files.phases[phase]
        if not isinstance(volume, DecodedVolume):
            raise volume
        return volume

    def volume_on_grid(self, phase: Phase) -> DecodedVolume:
        """Volume of a phase that lies on the grid of the masks.

        Raises:
            CascadeError: Why there is none; ``PHASE_OTHER_GRID``.
        """
        volume = self.volume(phase)
        if not volume.grid.matches(self.grid):
            message = f"The {phase.title} phase lies on another grid than the mask."
            raise LabelError("PHASE_OTHER_GRID", message, "Use the phase that the mask is drawn on.")
        return volume

    def window(self, phase: Phase) -> HuWindow:
        """Automatic window of a phase; waits for its voxels.

        Raises:
            CascadeError: Why there is none.
        """
        if phase not in self._windows:
            volume = self.volume(phase)
            self._windows[phase] = automatic_window(volume.whole(), volume.grid, phase)
        return self._windows[phase]

    def known_window(self, phase: Phase) -> HuWindow | None:
        """The automatic window if it has been measured."""
        return self._windows.get(phase)

    def head(self) -> str:
        """Where the next edit starts."""
        return self.versions.head() or next(iter(self.files.usable_masks), "empty")

    def resolve(self, ref: str) -> str:
        """The reference itself, ``head`` replaced by what it stands for."""
        return self.head() if ref == "head" else ref

    def mask(self, ref: str, user: str = "") -> LabelMask:
        """Labels of a reference, in display order, read-only.

        Args:
            ref: A version, a source mask, ``empty``, ``head`` or ``draft.NAME``.
            user: Whose draft.

        Raises:
            LabelError: ``NOT_FOUND`` or ``NO_IMAGE``; InputError of the file.
        """
        name = self.resolve(ref)
        if name.startswith("draft."):
            view = self.drafts.open(name.removeprefix("draft."), user).mask.view()
            view.flags.writeable = False
            return view
        return self.masks.get(name)

    def report_numbers(self, ref: str, user: str = "") -> ReportNumbers | None:
        """Numbers that a report gives to the lesions of a mask, or of the mask that it was made from.

        Raises:
            LabelError: ``NOT_FOUND``.
        """
        name = self.resolve(ref)
        if name.startswith("draft."):
            name = self.drafts.open(name.removeprefix("draft."), user).head.base
        while version_number(name) is not None:
            name = self.versions.record(name).parent
        return self.files.report_numbers(name)

    def erase_label(self) -> int:
        """What an eraser should write: liver where the head has one, else background."""
        head = self.mask("head")
        return int(Organ.LIVER) if any(np.any(plane == Organ.LIVER) for plane in head) else 0

    def save(self, mask: LabelMask, before: LabelMask, new: NewVersion) -> VersionRecord:
        """Save a version, if its parent is still the head or it is meant to lie beside.

        Raises:
            LabelError: ``VERSION_CONFLICT`` (409), or as `Versions.add`.
        """
        with self.lock:
            self.check_parent(new.parent, beside=new.beside)
            record = self.versions.add(mask, before, new)
            event = {"import": "imported", "restore": "restored"}.get(new.what, "saved")
            text = new.note or f"{record.voxels_changed} voxels changed"
            self.note(event, new.user, text, ref=record.ref, parent=record.parent)
            return record

    def check_parent(self, parent: str, *, beside: bool) -> None:
        """Refuse to save over what someone saved meanwhile.

        Raises:
            LabelError: ``VERSION_CONFLICT``.
        """
        head = self.head()
        if parent != head and not beside:
            message = f"This was drawn on {parent}, but {head} was saved meanwhile."
            remedy = "Save it beside, then compare the two."
            raise LabelError("VERSION_CONFLICT", message, remedy, http=409, head=head, parent=parent)

    def save_draft(self, draft: Draft, *, note: str, beside: bool) -> VersionRecord:
        """Save the working mask of a draft as a version and note it in the draft.

        Raises:
            LabelError: As `save`; ``NOTHING_CHANGED`` if nothing was done since the last save.
        """
        with self.lock:
            self.drafts.catch_up(draft)
            if not draft.dirty:
                raise LabelError("NOTHING_CHANGED", "Nothing was done since the last save.", "Go on.")
            decisions = tuple(draft.verdicts.values())
            counts: dict[str, int] = {}
            for decision in decisions:
                counts[decision.verdict] = counts.get(decision.verdict, 0) + 1
            since = draft.saved_position or 0
            new = NewVersion(
                parent=draft.parent,
                user=draft.head.user,
                what="review" if draft.head.name.startswith(REVIEW) else "edit",
                note=note,
                beside=beside,
                steps=tuple(step.name for step in draft.applied[since:]),
                verdicts=counts,
                decisions=tuple(decision.model_dump(exclude_unset=True) for decision in decisions),
                draft=VersionRecord.DraftMark(id=draft.head.id, n=draft.n, position=draft.position),
            )
            record = self.save(draft.mask, self.mask(draft.parent), new)
            draft.saved(record.ref)
            return record

    def rest(self) -> None:
        """Let go of masks; they are read again when they are needed."""
        with self.lock:
            self.drafts.rest()
            self.masks.forget()
            self.compared = None
