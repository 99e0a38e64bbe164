"""One lesion candidate: what was proposed, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from livercascade.data.labels import LesionType
from livercascade.data.lesion import Lesion
from livercascade.reclassification.patch_tally import PatchTally


class CandidateStatus(Enum):
    """What reclassification did with a candidate."""

    KEPT = "kept"
    RELABELLED = "relabelled"
    REMOVED = "removed"
    BYPASSED = "bypassed"


class FoundAt(Enum):
    """Settings whose mask holds a candidate; their sensitivity factors f stand in the settings."""

    BASE_AND_HIGH = "base and high"
    HIGH_ONLY = "high only"


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One proposal with its fate.

    Reclassification fills the fields up to ``tally``; the cascade adds where the proposal was found and what its type
    rests on.

    Attributes:
        lesion: The proposal, unchanged; its label is the type before reclassification.
        status: What became of it.
        label: Final type; that of the proposal unless it was relabelled.
        score: Mean overlap over the patches, ml or fraction (`ScoreMode`); None if not scored.
        threshold: Least score of a candidate that stays, in the same unit; None if not scored.
        votes: Fraction of each type, 0 to 1, among the voxels that UNet^patch called lesion inside the proposal, over
            all patches; empty if there were none or the proposal was not scored.
        reason: One sentence for people: why it was kept, relabelled, removed or bypassed.
        no_room: True if a lesion could not be moved for lack of free liver, and original patches took the place.
        tally: Counts in each patch, from which `judge` makes a verdict by other rules; None if not scored.
        found_at: Settings that found it.
        core_ml: Volume of the part that is a lesion at Base's sensitivity too, in ml; 0 if there is none.
        enhancement: Probability of each type by its enhancement; None if types are those of UNet^whole.
        network_type: Type by UNet^whole where the proposal's label is by enhancement; else None.
    """

    lesion: Lesion
    status: CandidateStatus
    label: LesionType
    score: float | None = None
    threshold: float | None = None
    votes: Mapping[LesionType, float] = field(default_factory=dict[LesionType, float])
    reason: str = ""
    no_room: bool = False
    tally: PatchTally | None = None
    found_at: FoundAt = FoundAt.HIGH_ONLY
    core_ml: float = 0.0
    enhancement: Mapping[LesionType, float] | None = None
    network_type: LesionType | None = None

    @property
    def present(self) -> bool:
        """True unless it was removed as a false positive."""
        return self.status is not CandidateStatus.REMOVED

    @property
    def result(self) -> Lesion:
        """The lesion with its final type."""
        return replace(self.lesion, label=self.label)

    @property
    def patches(self) -> int:
        """Number of patches judged."""
        return 0 if self.tally is None else len(self.tally.sizes)

    @property
    def shuffled_patches(self) -> int:
        """Number of patches in which the lesion was moved."""
        return 0 if self.tally is None else int(self.tally.moved.sum())


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
        priority = candidate.label.priority if candidate.present else 0
        return (not candidate.present, priority, -candidate.lesion.volume_ml)

    return [name for name, _ in sorted(numbered(candidates).items(), key=rank)]
