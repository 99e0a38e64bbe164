"""What curves need of one case: its proposals at every sensitivity without their voxels, and their confidences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np
from jaxtyping import Float

from livercascade.data.labels import LesionType
from livercascade.data.lesion import LesionSet
from livercascade.detect.match import Pair, overlaps
from livercascade.diagnose.confidence import blend, lesion_confidence
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.matched_lesions import LesionSummary, MatchedLesions, ReferenceLesions
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.reclassify import ReclassifySettings, elect, score_of
from livercascade.results.evidence import Evidence

_LARGEST_MARGIN = 50.0
"""Margins are cut here before the exponential, which would overflow; a share is 0 or 1 long before."""


# No slots: the cached properties need a place to be kept.
@dataclass(frozen=True, eq=False)
class EvidenceCase:
    """Proposals of one case at every sensitivity of the sweep.

    Curves are drawn from `high`, `low`, `counted` and `reclassified`, whose lesions are those that count.

    Attributes:
        case_id: Name of the case.
        proposals: Proposals by factor, before reclassification, also those that do not count.
        low_high: Overlaps of the proposals of Base (``Pair.truth``) with those of High (``Pair.found``).
        low_factor, high_factor: Factors of Base and High.
        rules: Rules by which the cascade reclassified proposals.
        settings: Rules by which lesions are counted.
    """

    case_id: str
    proposals: Mapping[float, MatchedLesions]
    low_high: tuple[Pair, ...]
    low_factor: float
    high_factor: float
    rules: ReclassifySettings
    settings: EvaluationSettings

    @cached_property
    def low(self) -> MatchedLesions:
        """Proposals of Base that count."""
        return self.counted(self.low_factor)

    @cached_property
    def high(self) -> MatchedLesions:
        """Proposals of High that count."""
        return self.counted(self.high_factor)

    def counted(self, factor: float, keep: Sequence[bool] | None = None) -> MatchedLesions:
        """Proposals of a factor that count, all of them or those whose entry in ``keep`` is true."""
        proposals = self.proposals[factor]
        return (proposals if keep is None else proposals.where(keep)).countable(self.settings)

    def reclassified(self, factor: float, *, shuffled: bool | None = None) -> MatchedLesions:
        """Proposals of a factor that reclassification leaves, with their types after it; also those not to be counted.

        Args:
            factor: Sensitivity factor f.
            shuffled: True if shuffled patches have a say; None as the cascade's rules have it.
        """
        rules = self.rules if shuffled is None else self.rules.model_copy(update={"shuffled": shuffled})
        proposals = self.proposals[factor]
        kept = proposals.where([stays(p, rules) for p in proposals.predicted])
        if not rules.relabel:
            return kept
        return replace(kept, predicted=tuple(replace(p, label=voted_type(p)) for p in kept.predicted))


def evidence_case(
    reference: ReferenceLesions, evidence: Evidence, probabilities: Sequence[float] | None = None
) -> EvidenceCase:
    """Proposals of one case.

    Args:
        reference: Reference on the grid of the evidence, and how lesions are counted.
        evidence: Evidence that the cascade kept.
        probabilities: Calibrated probability of each proposal of High, where the model is calibrated.

    Raises:
        ValueError: Reference and evidence lie on different grids, or tallies or probabilities do not fit the proposals.
    """
    settings, low, high = reference.settings, evidence.low_factor, evidence.high_factor
    parts: dict[float, LesionSet] = {}
    proposals: dict[float, MatchedLesions] = {}
    for factor in evidence.factors:
        lesions = evidence.proposals(factor)
        given = probabilities if factor == high and probabilities is not None else [None] * len(lesions)
        summaries = _summaries(lesions, evidence, evidence.tallies[factor], given, settings)
        # Lesions that no table takes in must not excuse others in a curve.
        keep = [settings.keeps(lesion.volume_ml) for lesion in lesions]
        parts[factor] = lesions.where(keep)
        proposals[factor] = reference.match(parts[factor], [s for s, kept in zip(summaries, keep, strict=True) if kept])
    return EvidenceCase(
        evidence.case_id, proposals, overlaps(parts[low], parts[high]), low, high, evidence.settings, settings
    )


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


def excess(proposal: LesionSummary, rules: ReclassifySettings) -> float | None:
    """Candidate score over its threshold: the rule keeps 1 and more; None if the proposal is not judged.

    With ``rules.shuffled`` false only patches with the proposal in its place count.
    """
    if proposal.tally is None:
        return None
    tally = proposal.tally if rules.shuffled else proposal.tally.original
    if not len(tally.sizes):
        return None
    # Score over threshold: ``adaptive`` has a threshold for each size, and only so do proposals of all sizes compare.
    score, threshold = score_of(tally.overlap, tally.sizes, tally.voxel_ml, rules)
    # A threshold of 0 keeps everything.
    return score / threshold if threshold > 0 else math.inf


def stays(proposal: LesionSummary, rules: ReclassifySettings) -> bool:
    """True if reclassification leaves the proposal: it is confirmed, or too large to be judged."""
    over = excess(proposal, rules)
    return over is None or over >= 1


def voted_type(proposal: LesionSummary) -> LesionType:
    """Type after the vote of UNet^patch (paper, eq. 8), whether or not the cascade took it over."""
    if proposal.tally is None:
        return proposal.label
    return elect(proposal.tally.votes.sum(axis=0), proposal.label)


def _summaries(
    lesions: LesionSet,
    evidence: Evidence,
    tallies: Sequence[PatchTally | None],
    probabilities: Sequence[float | None],
    settings: EvaluationSettings,
) -> list[LesionSummary]:
    least_voxels = settings.min_volume_ml / evidence.grid.voxel_ml
    summaries: list[LesionSummary] = []
    for lesion, tally, probability in zip(lesions, tallies, probabilities, strict=True):
        margin = evidence.lesion_margin(lesion).astype(np.float64)
        summaries.append(
            LesionSummary(
                lesion.label,
                lesion.volume_ml,
                len(margin),
                lesion.centroid,
                confidence=lesion_confidence(margin),
                probability=probability,
                tally=tally,
                onset=_onset(margin, least_voxels),
            )
        )
    return summaries


def _onset(margin: Float[np.ndarray, " n"], least_voxels: float) -> float:
    """Factor at which ``least_voxels`` of the voxels are lesion; all of them if there are fewer."""
    # A volume limit of whole voxels must not ask for one more by rounding.
    rank = min(max(int(np.ceil(least_voxels * (1 - 1e-9))), 1), len(margin)) - 1
    return float(np.exp(np.clip(np.partition(margin, rank)[rank], -_LARGEST_MARGIN, _LARGEST_MARGIN)))
