"""Confidences of a proposal that it can be ranked by."""

from __future__ import annotations

from enum import StrEnum

from livercascade.diagnose.confidence import blend
from livercascade.evaluation.matching.matched_lesions import LesionSummary


class ProposalScore(StrEnum):
    """Confidence of a proposal, 0 to 1."""

    PROBABILITY = "probability"
    """UNet^whole alone: mean over the voxels of P(lesion) / (P(lesion) + P(best other label)), from the margin."""
    ONSET = "onset"
    """UNet^whole alone: 1 / (1 + f) for the smallest f at which 0.5 ml of the proposal is lesion.

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

    def of(self, proposal: LesionSummary) -> float:
        """Confidence of a proposal of an `EvidenceCase`.

        Raises:
            ValueError: The onset of the lesion is not known, as without evidence.
        """
        if self is ProposalScore.PROBABILITY:
            return proposal.confidence
        if self is ProposalScore.ONSET:
            if proposal.onset is None:
                raise ValueError("a lesion without evidence has no onset")
            return 1 / (1 + proposal.onset)
        share = 1.0 if proposal.tally is None else proposal.tally.share
        return share if self is ProposalScore.SHARE else blend(proposal.confidence, share)


_TITLES = {
    ProposalScore.PROBABILITY: "UNet^whole: mean lesion probability",
    ProposalScore.ONSET: "UNet^whole: least sensitivity that finds it",
    ProposalScore.SHARE: "UNet^patch: confirmed share",
    ProposalScore.BLEND: "both: geometric mean",
}
