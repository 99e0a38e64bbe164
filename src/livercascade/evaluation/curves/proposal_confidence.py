"""How sure the cascade is of one proposal, as one number to sort by; and which proposals a rule keeps."""

from __future__ import annotations

import math
from enum import StrEnum

from livercascade.data.labels import LesionType
from livercascade.diagnose.confidence import blend
from livercascade.evaluation.cohort.evidence_case import Proposal
from livercascade.reclassify.reclassify import ReclassifySettings, elect, score_of


class CandidateScore(StrEnum):
    """Confidence of a proposal, 0 to 1."""

    PROBABILITY = "probability"
    """UNet^whole alone: mean over the voxels of P(lesion) / (P(lesion) + P(best other label)), from the margin."""
    ONSET = "onset"
    """UNet^whole alone: 1 / (1 + f) for the least f at which 0.5 ml of the proposal is lesion.

    Exact and monotone: against one competitor a voxel is lesion at f when P > 1 / (1 + f), so ranking by onset ranks
    by the sensitivity that first finds the proposal.
    """
    SHARE = "share"
    """UNet^patch alone: mean share of the proposal that it confirms as lesion; 1 if it was too large to be judged."""
    BLEND = "blend"
    """Both networks: geometric mean of ``PROBABILITY`` and ``SHARE``. The default."""

    @property
    def words(self) -> str:
        """Name for people."""
        return _TITLES[self]

    def of(self, proposal: Proposal) -> float:
        """The confidence of a proposal."""
        if self is CandidateScore.PROBABILITY:
            return proposal.probability
        if self is CandidateScore.ONSET:
            return 1 / (1 + proposal.onset)
        share = 1.0 if proposal.tally is None else proposal.tally.share
        return share if self is CandidateScore.SHARE else blend(proposal.probability, share)


_TITLES = {
    CandidateScore.PROBABILITY: "UNet^whole: mean lesion probability",
    CandidateScore.ONSET: "UNet^whole: least sensitivity that finds it",
    CandidateScore.SHARE: "UNet^patch: confirmed share",
    CandidateScore.BLEND: "both: geometric mean",
}


def excess(proposal: Proposal, rules: ReclassifySettings) -> float | None:
    """Reclassification score over its threshold: the rule keeps 1 and more; None if the proposal is not judged.

    With ``rules.shuffled`` false only patches with the proposal in its place count.
    """
    if proposal.tally is None:
        return None
    tally = proposal.tally if rules.shuffled else proposal.tally.original
    if not len(tally.sizes):
        return None
    score, threshold = score_of(tally.overlap, tally.sizes, tally.voxel_ml, rules)
    # A threshold of 0 keeps everything.
    return score / threshold if threshold > 0 else math.inf


def keeps(proposal: Proposal, rules: ReclassifySettings) -> bool:
    """True if reclassification leaves the proposal: it is confirmed, or too large to be judged."""
    over = excess(proposal, rules)
    return over is None or over >= 1


def voted(proposal: Proposal) -> LesionType:
    """Type after the vote of UNet^patch (paper, eq. 8), whether or not the cascade took it over."""
    if proposal.tally is None:
        return proposal.label
    return elect(proposal.tally.votes.sum(axis=0), proposal.label)
