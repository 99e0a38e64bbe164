"""Drafts of one case: every reader's working states, from memory or from their journals."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from livercascade.labeler.label_error import not_found
from livercascade.labeler.project.draft import Draft, head_of
from livercascade.labeler.project.identifiers import DRAFT_NAME, folder_of_user
from livercascade.labeler.project.journal import Journal
from livercascade.labeler.project.mask_store import MaskStore
from livercascade.system.files import flush, output_errors

EDIT = "edit"
"""Name of the draft in which a reader edits the case's mask."""
REVIEW = "review"
"""First part of the name of a comparison's draft: ``review.OLD.NEW``."""


@dataclass(eq=False)
class DraftStore:
    """Drafts of one case, by reader and name.

    Attributes:
        case_id: The case.
        folder: Folder of the journals, with a folder for each reader.
        masks: What drafts are begun on.
        lock: The case's.
    """

    case_id: str
    folder: Path
    masks: MaskStore
    lock: threading.RLock
    _open: dict[tuple[str, str], Draft] = field(default_factory=dict[tuple[str, str], Draft])
    _last_n: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def journal(self, name: str, user: str) -> Journal:
        """Journal of a reader's draft."""
        if not DRAFT_NAME.fullmatch(name):
            raise not_found("draft")
        return Journal(self.folder / folder_of_user(user) / f"{name}.jsonl")

    def open(self, name: str, user: str) -> Draft:
        """A reader's draft.

        Raises:
            LabelError: ``NOT_FOUND`` if it was never begun; ``DRAFT_BASE_CHANGED``.
        """
        with self.lock:
            key = (user, name)
            if key not in self._open:
                journal = self.journal(name, user)
                records = journal.read()
                if not records:
                    raise not_found("draft")
                draft = Draft.resume(journal, records, self.masks.get(head_of(records).base))
                # A version may be on the disk that the draft has not noted: the server was killed between the two.
                self.catch_up(draft)
                self._open[key] = draft
            return self._open[key]

    def begin(self, name: str, user: str, ref: str) -> Draft:
        """A fresh draft on a mask that does not change; an older journal of the name is set aside."""
        with self.lock:
            mask = self.masks.get(ref)
            self.set_aside(name, user)
            journal = self.journal(name, user)
            # Counting goes on: a tab that still shows the older draft must not find its number again.
            n0 = self._last_n.get((user, name), -1) + 1
            draft = Draft.begin(journal, mask, case=self.case_id, user=user, name=name, ref=ref, n0=n0)
            self._open[user, name] = draft
            return draft

    def set_aside(self, name: str, user: str) -> bool:
        """Rename the journal of a draft so that it stays but no longer counts; False if there is none."""
        with self.lock:
            open_one = self._open.pop((user, name), None)
            if open_one is not None:
                self._last_n[user, name] = open_one.n
            path = self.journal(name, user).path
            if not path.exists():
                return False
            # Kept under a name that no draft has: a reader who discards by mistake can have the steps back by hand.
            stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
            with output_errors(path):
                path.rename(path.with_name(f"{path.stem}.{stamp}.old.jsonl"))
                flush(path.parent)
            return True

    def reviews(self) -> list[tuple[str, str]]:
        """User folder and draft name of every comparison that was begun."""
        paths = sorted(self.folder.glob(f"*/{REVIEW}.*.jsonl")) if self.folder.is_dir() else []
        return [(path.parent.name, path.stem) for path in paths if DRAFT_NAME.fullmatch(path.stem)]

    def catch_up(self, draft: Draft) -> None:
        """A version was saved from the draft, but a kill or a full disk came before the draft could note it."""
        for record in self.masks.versions.all():
            mark = record.draft
            if mark is not None and mark.id == draft.head.id and mark.n > draft.saved_n and mark.n <= draft.n:
                draft.saved(record.ref, mark.n, mark.position)

    def rest(self) -> None:
        """Let go of their masks; the journals hold everything."""
        with self.lock:
            self._last_n |= {key: draft.n for key, draft in self._open.items()}
            self._open.clear()
