"""What is known of one study on its way through the service."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from livercascade.data.record import Record


class Origin(Enum):
    """How a study comes in."""

    POLL = "poll"
    LISTEN = "listen"
    WATCH = "watch"


class JobState(Enum):
    """Place of a study on its way; each is left only for the next, or back to ``settling`` when the study changes."""

    SETTLING = "settling"
    """It was seen, and may not be complete yet."""
    QUEUED = "queued"
    """Its images are here."""
    RUNNING = "running"
    """It is being analysed."""
    SENDING = "sending"
    """Its result is here; not all of it has arrived where it goes."""
    DONE = "done"
    """Everything has arrived."""
    REJECTED = "rejected"
    """It cannot be analysed: see its code."""
    FAILED = "failed"
    """The analysis, or sending, went wrong: see its code."""

    @property
    def ended(self) -> bool:
        """True if nothing more happens unless the study changes."""
        return self in (JobState.DONE, JobState.REJECTED, JobState.FAILED)


class StudyJob(Record):
    """One study and its state, as it is kept on the disk.

    Attributes:
        key: Name of the study in logs and folders: a salted hash.
        study_uid: StudyInstanceUID; name of the entry for a watched folder.
        origin: Way in.
        state: Place on its way.
        content: Hash of what the study consists of, as last seen.
        listed: What a listing said of its size, to tell cheaply that nothing changed.
        since: When the content was last seen to change, or the state was; seconds since 1970.
        images: Number of its CT images.
        analysed: Content of the last analysis that gave a result.
        made_by: Hash of models, settings and version of that analysis.
        attempts: Analyses that died, or sendings that did not succeed, in this state.
        next_try: Not to be tried before; seconds since 1970.
        sent: Files of the result that have arrived.
        known: Instances of other kinds that the archive holds for the study; results of ours may be among them.
        code: Stable code of what went wrong; empty if nothing did.
        message: What went wrong, in words; it may quote the study and never goes into the log.
        source: Place of the images, if not in the spool.
        out: Place of the result, if not in the spool.
    """

    key: str
    study_uid: str
    origin: Origin
    state: JobState = JobState.SETTLING
    content: str = ""
    listed: str = ""
    since: float = 0.0
    images: int = 0
    analysed: str = ""
    made_by: str = ""
    attempts: int = 0
    next_try: float = 0.0
    sent: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    code: str = ""
    message: str = ""
    source: Path | None = None
    out: Path | None = None


FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0


def pause_s(attempts: int) -> float:
    """Time to wait after so many attempts in a row that failed: 5 s, then twice as long each time, up to 15 minutes.

    >>> [pause_s(n) for n in (1, 2, 3, 50)]
    [5.0, 10.0, 20.0, 900.0]
    """
    return min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 30), LONGEST_PAUSE_S)
