"""The project as the server works on it: the work list, the cases that are open, the cache of decoded volumes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livercascade.data.labels import PHASES
from livercascade.labeler.contract.request_schemas import StateName
from livercascade.labeler.contract.response_schemas import CaseRow, WorkList
from livercascade.labeler.imaging.decoded_volume import DecodedVolume
from livercascade.labeler.project.case_inputs import CaseInputs
from livercascade.labeler.project.identifiers import user_of_folder
from livercascade.labeler.project.journal import Journal
from livercascade.labeler.project.open_case import OpenCase
from livercascade.labeler.project.project_folder import Project, dicom_folder, phase_file
from livercascade.labeler.project.report_text import report_files
from livercascade.labeler.project.versions import Versions

# This case and its neighbours in the work list keep their masks.
_RESTING = 3
STATES: tuple[StateName, ...] = ("new", "in_progress", "done")


@dataclass(eq=False)
class Workspace:
    """An open project.

    Attributes:
        project: Its folders.
        user: Reader who started the server.
        cache_bytes: Limit of the cache of decoded volumes when a server starts.
    """

    project: Project
    user: str
    cache_bytes: int = 20 << 30
    _cases: dict[str, OpenCase] = field(default_factory=dict[str, OpenCase])
    _recent: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def case(self, case_id: str) -> OpenCase:
        """An open case; those not used for longest let go of their masks.

        Raises:
            LabelError: ``NOT_FOUND``.
        """
        folder = self.project.case_source(case_id)
        with self._lock:
            if case_id not in self._cases:
                files = CaseInputs(folder, self.project.cache / case_id, self.project.prediction(case_id))
                self._cases[case_id] = OpenCase(case_id, files, self.project.case_folder(case_id))
            self._recent[case_id] = None
            self._recent.move_to_end(case_id)
            resting = list(self._recent)[:-_RESTING]
            for name in resting:
                del self._recent[name]
        # Outside the lock: a case that is being saved holds its own, and others should open meanwhile.
        for name in resting:
            self._cases[name].rest()
        return self._cases[case_id]

    def prefetch(self, case: OpenCase) -> None:
        """Decode the phases of a case, then those of the next one in the work list, behind what is being asked for."""
        for volume in case.files.phases.values():
            if isinstance(volume, DecodedVolume):
                volume.start()
        threading.Thread(target=self._prefetch_next, args=(case,), name="prefetch", daemon=True).start()

    def prune(self) -> None:
        """Delete what a killed server left half done, and the oldest decoded volumes over the limit."""
        for path in self.project.folder.rglob("*.partial"):
            # Files get their names only when they are whole (`write_file`): what still has this ending is waste.
            path.unlink(missing_ok=True)
        whole = sorted(self.project.cache.rglob("*.npy"), key=lambda p: p.stat().st_mtime, reverse=True)
        held = 0
        for path in whole:
            held += path.stat().st_size
            if held > self.cache_bytes:
                path.unlink(missing_ok=True)

    def work_list(self) -> WorkList:
        """All cases with their state; no image is opened."""
        rows = [self.row(case_id) for case_id in self.project.case_ids()]
        counts: dict[StateName, int] = {state: sum(row.state == state for row in rows) for state in STATES}
        return WorkList(cases=rows, counts=counts, skipped=self.project.skipped())

    def row(self, case_id: str) -> CaseRow:
        """One line of the work list."""
        images, folder = self.project.case_source(case_id), self.project.case_folder(case_id)
        versions = Versions(folder / "versions", None).all()
        events = Journal(folder / "history.jsonl").read()
        last = events[-1] if events else None
        phases = [phase.value for phase in PHASES if phase_file(images, phase.value)]
        return CaseRow.model_validate(
            {
                "id": case_id,
                "state": self._state(folder, events),
                "phases": phases or (["DICOM"] if dicom_folder(images) else []),
                "head": next((record.ref for record in reversed(versions) if not record.beside), None),
                "versions": len(versions),
                "user": last["user"] if last else None,
                "time": last["time"] if last else None,
                "report": bool(report_files(images)),
                "second_reader": versions[-1].verdicts.get("second_reader", 0) if versions else 0,
            }
        )

    def next_case(self, after: str | None) -> str | None:
        """The next case that is not done, wrapping round; None if all are done."""
        ids = self.project.case_ids()
        start = ids.index(after) + 1 if after in ids else 0
        turned = [*ids[start:], *ids[:start]]
        return next((case_id for case_id in turned if self.row(case_id).state != "done"), None)

    def users(self) -> list[str]:
        """Readers who have worked on the project, and the one who started the server."""
        folders = self.project.folder.glob("cases/*/drafts/*")
        # Readers who only noted something have no draft, and those who only began one have no event.
        events = (e for p in self.project.folder.glob("cases/*/history.jsonl") for e in Journal(p).read())
        return sorted({self.user, *(user_of_folder(path.name) for path in folders), *(e["user"] for e in events)})

    def _state(self, folder: Path, events: list[dict[str, Any]]) -> str:
        state = next((event["text"] for event in reversed(events) if event["event"] == "state"), None)
        if state in STATES:
            return str(state)
        return "in_progress" if events or any(map(_has_steps, folder.glob("drafts/*/*.jsonl"))) else "new"

    def _prefetch_next(self, case: OpenCase) -> None:
        for volume in case.files.phases.values():
            if isinstance(volume, DecodedVolume):
                # The next case must not take processor time from the one that is looked at.
                volume.wait()
        after = self.next_case(case.id)
        if after is not None and after != case.id:
            for volume in self.files_of(after).phases.values():
                if isinstance(volume, DecodedVolume):
                    volume.start()

    def files_of(self, case_id: str) -> CaseInputs:
        """Files of a case, without counting it as used."""
        with self._lock:
            known = self._cases.get(case_id)
        return known.files if known else self.case(case_id).files


def _has_steps(journal: Path) -> bool:
    """True if a draft is more than begun: whoever only looks at a case does not change its state."""
    with journal.open("rb") as stream:
        stream.readline()
        return bool(stream.readline())
