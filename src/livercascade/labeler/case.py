"""One case that is open: masks by reference, versions, drafts, history; one lock sees to it that writers take turns."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from livercascade.data.errors import CascadeError
from livercascade.data.grid import Grid
from livercascade.data.labels import NUM_CLASSES, Organ, Phase
from livercascade.labeler.annotations import Notebook
from livercascade.labeler.draft import Draft, head_of
from livercascade.labeler.errors import LabelError, bad_request, not_found
from livercascade.labeler.frame import Frame
from livercascade.labeler.journal import Journal
from livercascade.labeler.masks import Masks
from livercascade.labeler.names import DRAFT_NAME, folder_of_user
from livercascade.labeler.plain_files import flush_folder, now, writing
from livercascade.labeler.sources import Sources
from livercascade.labeler.versions import DraftMark, NewVersion, VersionRecord, Versions, no_image
from livercascade.labeler.volume import Volume
from livercascade.labeler.windowing import Window, automatic_window

Mask = UInt8[np.ndarray, "z y x"]
EDIT = "edit"
REVIEW = "review"


@dataclass(eq=False)
class Case:
    """An open case.

    Attributes:
        id: Its name.
        sources: Its files.
        folder: Its folder in the project.
        lock: Held by whoever changes something, or needs two things to fit together.
        compared: The last comparison: its key, its masks, its differences.
    """

    id: str
    sources: Sources
    folder: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    compared: tuple[Any, Any, list[Any]] | None = None
    _drafts: dict[tuple[str, str], Draft] = field(default_factory=dict[tuple[str, str], Draft])
    _last_n: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _windows: dict[Phase, Window] = field(default_factory=dict[Phase, Window])

    @property
    def grid(self) -> Grid:
        """Grid of the case.

        Raises:
            LabelError: ``NO_IMAGE``.
        """
        if self.sources.grid is None:
            raise no_image()
        return self.sources.grid

    @cached_property
    def versions(self) -> Versions:
        """Its versions; they keep the form of the first source mask, else the grid of the reference phase."""
        frames = [frame for frame in self.sources.mask_frames.values() if isinstance(frame, Frame)]
        frame = frames[0] if frames else self.sources.frame
        return Versions(self.folder / "versions", frame, keep_type=bool(frames))

    @cached_property
    def masks(self) -> Masks:
        """Its masks that do not change."""
        return Masks(self.sources, self.versions)

    @property
    def history(self) -> Journal:
        """What happened, append-only."""
        return Journal(self.folder / "history.jsonl")

    @property
    def evidence(self) -> Notebook:
        """Evidence per lesion."""
        return Notebook(Journal(self.folder / "evidence.jsonl"))

    @property
    def boxes(self) -> Notebook:
        """Boxes of readers, and what became of boxes of the file."""
        return Notebook(Journal(self.folder / "boxes.jsonl"))

    @property
    def measurements(self) -> Notebook:
        """Rulers and circles."""
        return Notebook(Journal(self.folder / "measurements.jsonl"))

    def note(self, event: str, user: str, text: str, *, ref: str | None = None, parent: str | None = None) -> None:
        """Add an event to the history."""
        record = {"time": now(), "user": user, "event": event, "ref": ref, "parent": parent, "text": text}
        self.history.append(record)

    def volume(self, phase: Phase) -> Volume:
        """Volume of a phase.

        Raises:
            CascadeError: Why there is none.
        """
        volume = self.sources.phases[phase]
        if not isinstance(volume, Volume):
            raise volume
        return volume

    def volume_on_grid(self, phase: Phase) -> Volume:
        """Volume of a phase that lies on the grid of the masks.

        Raises:
            CascadeError: Why there is none; ``PHASE_OTHER_GRID``.
        """
        volume = self.volume(phase)
        if not volume.grid.matches(self.grid):
            message = f"The {phase.title} phase lies on another grid than the mask."
            raise LabelError("PHASE_OTHER_GRID", message, "Use the phase that the mask is drawn on.")
        return volume

    def window(self, phase: Phase) -> Window:
        """Automatic window of a phase; waits for its voxels.

        Raises:
            CascadeError: Why there is none.
        """
        if phase not in self._windows:
            volume = self.volume(phase)
            self._windows[phase] = automatic_window(volume.whole(), volume.grid, phase)
        return self._windows[phase]

    def known_window(self, phase: Phase) -> Window | None:
        """The automatic window if it has been measured."""
        return self._windows.get(phase)

    def head(self) -> str:
        """Where the next edit starts."""
        return self.versions.head() or next(iter(self.sources.usable_masks), "empty")

    def resolve(self, ref: str) -> str:
        """The reference itself, ``head`` replaced by what it stands for."""
        return self.head() if ref == "head" else ref

    def mask(self, ref: str, user: str = "") -> Mask:
        """Labels of a reference, in display order, read-only.

        Args:
            ref: A version, a source mask, ``empty``, ``head`` or ``draft.NAME``.
            user: Whose draft.

        Raises:
            LabelError: ``NOT_FOUND`` or ``NO_IMAGE``; InputError of the file.
        """
        name = self.resolve(ref)
        if name.startswith("draft."):
            view = self.draft(name.removeprefix("draft."), user).mask.view()
            view.flags.writeable = False
            return view
        return self.masks.get(name)

    def erase_label(self) -> int:
        """What an eraser should write: liver where the head has one, else background."""
        head = self.mask("head")
        return int(Organ.LIVER) if any(np.any(plane == Organ.LIVER) for plane in head) else 0

    def save(self, mask: Mask, before: Mask, new: NewVersion) -> VersionRecord:
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

    def journal(self, name: str, user: str) -> Journal:
        """Journal of a reader's draft."""
        if not DRAFT_NAME.fullmatch(name):
            raise not_found("draft")
        return Journal(self.folder / "drafts" / folder_of_user(user) / f"{name}.jsonl")

    def draft(self, name: str, user: str) -> Draft:
        """A reader's draft, from memory or from its journal.

        Raises:
            LabelError: ``NOT_FOUND`` if it was never begun; ``DRAFT_BASE_CHANGED``.
        """
        with self.lock:
            key = (user, name)
            if key not in self._drafts:
                journal = self.journal(name, user)
                records = journal.read()
                if not records:
                    raise not_found("draft")
                draft = Draft.resume(journal, records, self.mask(head_of(records).base))
                self._catch_up(draft)
                self._drafts[key] = draft
            return self._drafts[key]

    def begin_draft(self, name: str, user: str, base: str) -> Draft:
        """A fresh draft; an older journal of the name is set aside."""
        with self.lock:
            ref = self.resolve(base)
            mask = self.mask(ref)
            self.set_aside(name, user)
            journal = self.journal(name, user)
            n0 = self._last_n.get((user, name), -1) + 1
            draft = Draft.begin(journal, mask, case=self.id, user=user, name=name, ref=ref, n0=n0)
            self._drafts[user, name] = draft
            return draft

    def set_aside(self, name: str, user: str) -> bool:
        """Rename the journal of a draft so that it stays but no longer counts; False if there is none."""
        with self.lock:
            open_one = self._drafts.pop((user, name), None)
            if open_one is not None:
                self._last_n[user, name] = open_one.n
            path = self.journal(name, user).path
            if not path.exists():
                return False
            stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
            with writing(path):
                path.rename(path.with_name(f"{path.stem}.{stamp}.old.jsonl"))
                flush_folder(path.parent)
            return True

    def save_draft(self, draft: Draft, *, note: str, beside: bool) -> VersionRecord:
        """Save the working mask of a draft as a version and note it in the draft.

        Raises:
            LabelError: As `save`; ``NOTHING_CHANGED`` if nothing was done since the last save.
        """
        with self.lock:
            self._catch_up(draft)
            if not draft.dirty:
                raise LabelError("NOTHING_CHANGED", "Nothing was done since the last save.", "Go on.")
            decisions = tuple(draft.verdicts.values())
            counts: dict[str, int] = {}
            for decision in decisions:
                counts[decision["verdict"]] = counts.get(decision["verdict"], 0) + 1
            since = draft.saved_position or 0
            new = NewVersion(
                parent=draft.parent,
                user=draft.head.user,
                what="review" if draft.head.name.startswith(REVIEW) else "edit",
                note=note,
                beside=beside,
                steps=tuple(step.name for step in draft.applied[since:]),
                verdicts=counts,
                decisions=decisions,
                draft=DraftMark(id=draft.head.id, n=draft.n, position=draft.position),
            )
            record = self.save(draft.mask, self.mask(draft.parent), new)
            draft.saved(record.ref)
            return record

    def checked_labels(self, data: bytes) -> Mask:
        """Mask of raw bytes.

        Raises:
            LabelError: ``WRONG_LENGTH`` or ``BAD_LABEL``.
        """
        shape = self.grid.shape
        if len(data) != self.grid.voxels:
            message = f"{self.grid.voxels} bytes are a mask of this case, {len(data)} came."
            raise LabelError("WRONG_LENGTH", message, "Send one byte per voxel.")
        mask = np.frombuffer(data, np.uint8).reshape(shape)
        if int(mask.max()) >= NUM_CLASSES:
            message = f"{int(mask.max())} is not a label."
            raise LabelError("BAD_LABEL", message, f"Labels are 0 to {NUM_CLASSES - 1}.")
        return mask

    def rest(self) -> None:
        """Let go of masks; they are read again when they are needed."""
        with self.lock:
            self._last_n |= {key: draft.n for key, draft in self._drafts.items()}
            self._drafts.clear()
            self.masks.forget()
            self.compared = None

    def reviews(self) -> list[tuple[str, str, Path]]:
        """User folder, draft name and journal of every comparison that was begun."""
        root = self.folder / "drafts"
        paths = sorted(root.glob(f"*/{REVIEW}.*.jsonl")) if root.is_dir() else []
        return [(p.parent.name, p.stem, p) for p in paths if DRAFT_NAME.fullmatch(p.stem)]

    def _catch_up(self, draft: Draft) -> None:
        """A version was saved from the draft, but a kill or a full disk came before the draft could note it."""
        for record in self.versions.all():
            mark = record.draft
            if mark is not None and mark.id == draft.head.id and mark.n > draft.saved_n and mark.n <= draft.n:
                draft.saved(record.ref, mark.n, mark.position)


def told_error(error: CascadeError) -> Mapping[str, Any]:
    """An error as the interface tells it."""
    return {"code": error.code, "message": error.message, "remedy": error.remedy}


def checked_label(label: int | None, *, lesion: bool = True) -> int:
    """A label that may be written: 1-6, or 1-13 for objects of any kind.

    Raises:
        LabelError: ``BAD_LABEL``, or ``BAD_REQUEST`` if there is none.
    """
    if label is None:
        raise bad_request("A label is needed.")
    last = 6 if lesion else NUM_CLASSES - 1
    if not 1 <= label <= last:
        raise LabelError("BAD_LABEL", f"{label} cannot be written here.", f"Give a label from 1 to {last}.")
    return label
