"""One reader's working state of one case: a base mask and named steps, kept as an append-only journal."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from livercascade.labeler.contract.response_schemas import DifferenceVerdict
from livercascade.labeler.imaging.mask_delta import Delta, LabelMask, check_against, empty_delta
from livercascade.labeler.label_error import LabelError
from livercascade.labeler.project.journal import Journal, now
from livercascade.labeler.project.notebooks import NoteChange
from livercascade.labeler.project.versions import mask_sha256


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One named act on a draft, or what a tool would do to it: then not in the journal yet.

    Attributes:
        delta: Change of the mask.
        name: Name for the reader.
        kind: Tool or kind of stroke.
        verdict: The judgement on a difference that goes with it, if any.
        noted: The change of a notebook that goes with it, if any.
        record: Number of its record in the journal, which tells steps apart; 0 before it is written.
        time: Time of writing; empty before.
    """

    delta: Delta
    name: str
    kind: str = ""
    verdict: DifferenceVerdict | None = None
    noted: NoteChange | None = None
    record: int = 0
    time: str = ""

    @property
    def in_version(self) -> bool:
        """True if a version holds what it did; notes are kept as soon as they are made."""
        return len(self.delta) > 0 or self.verdict is not None


@dataclass(frozen=True, slots=True)
class DraftHead:
    """First record of the journal: what the draft is of, and where ``n`` starts."""

    id: str
    case: str
    user: str
    name: str
    base: str
    base_sha256: str
    shape: tuple[int, int, int]
    time: str
    n0: int = 0


@dataclass(eq=False)
class Draft:
    """A draft that is open; the caller sees to it that one thread works on it at a time.

    Attributes:
        head: What it is of.
        mask: The working mask; changed by the methods alone.
        n: Confirmed records after the head, counted from ``n0``, so that a tab with an older draft of the name is
            told apart.
        steps: Applied ones, then those that can be redone.
        position: Number of steps that are applied.
        parent: What the next version names as its parent.
        saved_step: Record of the last step that was saved, 0 if none was.
        saved_n: Records there were at the last save.
        last_time: When the last record was written.
    """

    head: DraftHead
    mask: LabelMask
    journal: Journal
    parent: str
    n: int = 0
    position: int = 0
    steps: list[Step] = field(default_factory=list[Step])
    saved_step: int = 0
    saved_n: int = 0
    last_time: str = ""

    @classmethod
    def begin(
        cls,
        journal: Journal,
        base: LabelMask,
        *,
        case: str,
        user: str,
        name: str,
        ref: str,
        n0: int = 0,
    ) -> Draft:
        """A fresh draft; its head is on the disk when this returns."""
        z, y, x = base.shape
        head = DraftHead(uuid.uuid4().hex, case, user, name, ref, mask_sha256(base), (z, y, x), now(), n0)
        journal.append({"op": "begin", **{key: getattr(head, key) for key in DraftHead.__slots__}})
        return cls(head, np.array(base), journal, parent=ref, n=n0, saved_n=n0)

    @classmethod
    def resume(cls, journal: Journal, records: Sequence[dict[str, Any]], base: LabelMask) -> Draft:
        """The draft of a journal.

        Raises:
            LabelError: ``DRAFT_BASE_CHANGED`` (409) if ``base`` is not the mask it was begun on.
        """
        head = head_of(records)
        if mask_sha256(base) != head.base_sha256:
            message = f"The mask '{head.base}' has changed since this draft was begun."
            raise LabelError("DRAFT_BASE_CHANGED", message, "Discard the draft, or restore the file.", http=409)
        draft = cls(head, np.array(base), journal, parent=head.base, n=head.n0, saved_n=head.n0)
        for record in records[1:]:
            draft._replay(record)
        draft.last_time = str(records[-1]["time"])
        return draft

    @property
    def applied(self) -> Sequence[Step]:
        """Steps that make up the working mask."""
        return self.steps[: self.position]

    @property
    def dirty(self) -> bool:
        """True if a version of the draft as it is would differ from what was last saved."""
        return self.saved_position is None or self.unsaved > 0

    @property
    def saved_position(self) -> int | None:
        """Position at which the mask was last saved; None if those steps were dropped since."""
        if not self.saved_step:
            return 0
        return next((i for i, s in enumerate(self.steps, start=1) if s.record == self.saved_step), None)

    @property
    def unsaved(self) -> int:
        """Steps applied or taken back since the last save that a version would hold."""
        first, end = sorted((self.saved_position or 0, self.position))
        return sum(step.in_version for step in self.steps[first:end])

    @property
    def verdicts(self) -> dict[str, DifferenceVerdict]:
        """Last judgement on each difference."""
        found: dict[str, DifferenceVerdict] = {}
        for step in self.applied:
            if step.verdict is not None:
                found.pop(step.verdict.difference, None)
                if step.verdict.verdict != "clear":
                    found[step.verdict.difference] = step.verdict.model_copy(update={"time": step.time})
        return found

    def add(self, step: Step) -> None:
        """Write a step and apply it; steps that could have been redone are dropped.

        Raises:
            LabelError: As `check_against`; a verdict or a note may leave the mask as it is.
        """
        delta, verdict, noted = step.delta, step.verdict, step.noted
        if len(delta) or (verdict is None and noted is None):
            check_against(delta, self.mask)
        record: dict[str, Any] = {"op": "step", "name": step.name, "kind": step.kind, "time": now()}
        record["voxels"] = len(delta)
        if verdict is not None:
            record["verdict"] = verdict.model_dump(exclude_unset=True)
        if noted is not None:
            record["noted"] = asdict(noted)
        # Written before it is applied: after a kill the mask is what the journal replays, never more.
        self._append({**record, "delta": delta.to_text()})
        self._push(record, delta)

    def go(self, position: int, op: str = "goto") -> Delta:
        """Undo or redo until ``position`` steps are applied; the change of the mask.

        Raises:
            LabelError: ``NOTHING_TO_UNDO`` or ``NOTHING_TO_REDO``.
        """
        if position < 0 or position == self.position == 0:
            raise LabelError("NOTHING_TO_UNDO", "There is no step to undo.", "Nothing needs to be done.")
        if position > len(self.steps) or position == self.position:
            raise LabelError("NOTHING_TO_REDO", "There is no step to redo.", "Nothing needs to be done.")
        self._append({"op": op, "position": position, "time": now()})
        return self._move(position)

    def notes_between(self, start: int, end: int) -> tuple[NoteChange, ...]:
        """Changes of notebooks on the way from ``start`` to ``end`` applied steps, in order."""
        down = [step.noted.inverse for step in self.steps[end:start][::-1] if step.noted]
        return (*down, *(step.noted for step in self.steps[start:end] if step.noted))

    def saved(self, ref: str, n: int | None = None, position: int | None = None) -> None:
        """Note that a version was saved from the draft as it is, or as it was at a mark of that version."""
        place = self.position if position is None else position
        self._append({"op": "saved", "ref": ref, "position": place, "time": now()})
        self._saved(ref, place)
        self.saved_n = self.n if n is None else n

    def _append(self, record: dict[str, Any]) -> None:
        self.journal.append(record)
        self.n += 1
        self.last_time = record["time"]

    def _push(self, record: dict[str, Any], delta: Delta) -> None:
        del self.steps[self.position :]
        noted = NoteChange(**record["noted"]) if "noted" in record else None
        verdict = DifferenceVerdict.model_validate(record["verdict"]) if "verdict" in record else None
        step = Step(delta, record["name"], record["kind"], verdict, noted, record=self.n, time=record["time"])
        self.steps.append(step)
        self.position += 1
        delta.apply(self.mask)

    def _move(self, position: int) -> Delta:
        # Only where labels differ in the end: steps on the way may undo each other.
        down = self.steps[position : self.position][::-1]
        up = self.steps[self.position : position]
        parts = [step.delta.inverse for step in down] + [step.delta for step in up]
        touched = np.unique(np.concatenate([part.index for part in parts])) if parts else empty_delta().index
        flat = self.mask.reshape(-1)
        before = flat[touched]
        for part in parts:
            part.apply(self.mask)
        self.position = position
        after = flat[touched]
        changed = before != after
        return Delta(touched[changed], before[changed], after[changed])

    def _saved(self, ref: str, position: int) -> None:
        self.saved_step = self.steps[position - 1].record if position else 0
        self.parent = ref

    def _replay(self, record: dict[str, Any]) -> None:
        self.n += 1
        if record["op"] == "step":
            self._push(record, Delta.from_text(record["delta"]))
        elif record["op"] == "saved":
            self._saved(record["ref"], record["position"])
            self.saved_n = self.n
        else:
            self._move(record["position"])


def head_of(records: Sequence[dict[str, Any]]) -> DraftHead:
    """Head of a journal.

    Raises:
        LabelError: ``BAD_PROJECT_FILE``.
    """
    try:
        first = dict(records[0])
        del first["op"]
        first["shape"] = tuple(first["shape"])
        return DraftHead(**first)
    except (IndexError, KeyError, TypeError) as error:
        message = "a draft in the project has no beginning."
        raise LabelError("BAD_PROJECT_FILE", message, "Set its journal aside.", http=500) from error
