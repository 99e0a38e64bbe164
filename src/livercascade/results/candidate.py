"""What the report is told about one lesion candidate: the detection and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from livercascade.data.labels import LesionType
from livercascade.data.lesion import Lesion


class CandidateStatus(Enum):
    """What reclassification did with a candidate."""

    KEPT = "kept"
    RELABELLED = "relabelled"
    REMOVED = "removed"
    BYPASSED = "bypassed"


class FoundAt(Enum):
    """Sensitivity factors whose mask holds the candidate."""

    BOTH = "f=1 and f=4"
    HIGH = "only f=4"


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One proposal with its fate.

    Attributes:
        lesion: The detection; its ``label`` is the final type.
        status: What reclassification did.
        original_type: Type before reclassification.
        score: Reclassification score, in the unit of ``threshold``; None when it was not scored.
        threshold: Score needed to stay; None when it was not scored.
        votes: Share of each type in the vote, 0 to 1.
        reason: One sentence for people: why it was kept, relabelled, removed or bypassed.
        found_at: Where it was found.
        core_ml: The part of it that is a lesion at f = 1 too; 0 if there is none.
        enhancement: Probability of each type by its enhancement; None if types are those of UNet^whole.
        network_type: Type by UNet^whole, where ``original_type`` is by enhancement; else None.
    """

    lesion: Lesion
    status: CandidateStatus
    original_type: LesionType
    score: float | None
    threshold: float | None
    votes: Mapping[LesionType, float]
    reason: str
    found_at: FoundAt
    core_ml: float
    enhancement: Mapping[LesionType, float] | None = None
    network_type: LesionType | None = None

    @property
    def present(self) -> bool:
        """True unless it was removed as a false positive."""
        return self.status is not CandidateStatus.REMOVED


def lesion_id(number: int) -> str:
    """Name of the candidate with this number (from 1), its value in ``lesions.nii.gz``.

    >>> lesion_id(3)
    'L3'
    """
    return f"L{number}"


def numbered(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """Candidates by id, ``L1`` for the first."""
    return {lesion_id(number): candidate for number, candidate in enumerate(candidates, start=1)}


def by_importance(candidates: Sequence[Candidate]) -> list[str]:
    """Ids, most important first: present before removed, then priority of the type, then volume."""

    def rank(item: tuple[str, Candidate]) -> tuple[bool, int, float]:
        candidate = item[1]
        priority = candidate.lesion.label.priority if candidate.present else 0
        return (not candidate.present, priority, -candidate.lesion.volume_ml)

    return [name for name, _ in sorted(numbered(candidates).items(), key=rank)]
