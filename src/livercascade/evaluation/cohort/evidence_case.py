"""What curves need of one case: its proposals at every sensitivity, without their voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from livercascade.data.labels import LesionType
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.detect.match import Pair, overlap_of, overlaps
from livercascade.diagnose.confidence import whole_probability
from livercascade.evaluation.cohort.evaluated_case import TrueLesion
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.reference_lesions import Truth
from livercascade.reclassify.patch_tally import PatchTally
from livercascade.reclassify.reclassify import ReclassifySettings
from livercascade.results.evidence import Evidence

_LARGEST_MARGIN = 50.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """One lesion of UNet^whole at one sensitivity, and what UNet^patch found in it.

    Attributes:
        label: Type by UNet^whole.
        volume_ml: Volume in ml.
        voxels: Number of voxels.
        probability: Mean over its voxels of P(best lesion) / (P(best lesion) + P(best other)), 0 to 1.
        onset: Least factor f at which the evaluation's volume limit of it is lesion.
        tally: Counts of UNet^patch; None if the proposal was too large to be reclassified.
        covered: False if no voxel lies where the truth was read.
        calibrated: Calibrated probability of a true lesion; of proposals of High alone, where the model is calibrated.
    """

    label: LesionType
    volume_ml: float
    voxels: int
    probability: float
    onset: float
    tally: PatchTally | None
    covered: bool
    calibrated: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """Proposals of one sensitivity against the truth.

    Attributes:
        proposals: Largest first.
        pairs: Overlaps of true lesions (``Pair.truth``) with proposals (``Pair.found``), in voxels.
    """

    proposals: tuple[Proposal, ...]
    pairs: tuple[Pair, ...]

    def where(self, keep: Callable[[Proposal], bool]) -> Side:
        """The proposals that ``keep`` accepts, with their overlaps."""
        place = {old: new for new, old in enumerate(i for i, p in enumerate(self.proposals) if keep(p))}
        pairs = tuple(replace(p, found=place[p.found]) for p in self.pairs if p.found in place)
        return Side(tuple(self.proposals[i] for i in place), pairs)


@dataclass(frozen=True, slots=True)
class CurveCase:
    """One case.

    Attributes:
        case_id: Its name.
        truth: True lesions, also those below the volume limit where they excuse (`SmallLesions.IGNORE`).
        sides: Proposals by factor, for every factor of the sweep.
        low_high: Overlaps of the proposals of Base (``Pair.truth``) with those of High (``Pair.found``).
        low_factor, high_factor: Factors of Base and High.
        rules: How the cascade judged proposals.
    """

    case_id: str
    truth: tuple[TrueLesion, ...]
    sides: Mapping[float, Side]
    low_high: tuple[Pair, ...]
    low_factor: float
    high_factor: float
    rules: ReclassifySettings


def curve_case(truth: Truth, evidence: Evidence, probabilities: Sequence[float] | None = None) -> CurveCase:
    """What curves need of one case.

    Args:
        truth: True lesions on the grid of the evidence, where the truth was read, and how lesions are counted.
        evidence: What the cascade kept.
        probabilities: Calibrated probability of each proposal of High, where the model is calibrated.

    Raises:
        ValueError: Truth and evidence lie on different grids, or tallies or probabilities do not fit the proposals.
    """
    low, high = evidence.proposals(evidence.low_factor), evidence.proposals(evidence.high_factor)
    sides = {factor: _side(truth, evidence, factor) for factor in evidence.factors}
    if probabilities is not None:
        own = sides[evidence.high_factor]
        told = tuple(replace(p, calibrated=c) for p, c in zip(own.proposals, probabilities, strict=True))
        sides[evidence.high_factor] = Side(told, own.pairs)
    return CurveCase(
        evidence.case_id,
        tuple(TrueLesion.of(lesion) for lesion in truth.lesions),
        sides,
        overlaps(low, high),
        evidence.low_factor,
        evidence.high_factor,
        evidence.settings,
    )


def countable(case: CurveCase, side: Side, settings: EvaluationSettings) -> tuple[tuple[int, ...], Side]:
    """Positions of the true lesions that count, and the proposals that do, with overlaps between these alone.

    The rules are those of the tables: lesions below the volume limit never count; a lesion all of whose partners
    are below it, and a proposal that lies wholly where no truth was read, are left out.
    """
    sized = [p for p in side.pairs if overlap(case, side, p, settings) >= settings.min_overlap]
    true = [settings.counts(lesion.volume_ml) for lesion in case.truth]
    found = [settings.counts(p.volume_ml) for p in side.proposals]
    both = [p for p in sized if true[p.truth] and found[p.found]]
    excused_true = {p.truth for p in sized} - {p.truth for p in both}
    excused_found = {p.found for p in sized} - {p.found for p in both}
    met = {p.found for p in side.pairs}
    counted = [
        j for j, p in enumerate(side.proposals) if found[j] and j not in excused_found and (p.covered or j in met)
    ]
    place = {old: new for new, old in enumerate(counted)}
    kept = tuple(replace(p, found=place[p.found]) for p in both)
    return (
        tuple(i for i, big in enumerate(true) if big and i not in excused_true),
        Side(tuple(side.proposals[j] for j in counted), kept),
    )


def overlap(case: CurveCase, side: Side, pair: Pair, settings: EvaluationSettings) -> float:
    """Overlap of a pair in the measure of the settings, 0 to 1."""
    voxels = case.truth[pair.truth].voxels, side.proposals[pair.found].voxels
    return overlap_of(pair.voxels, *voxels, settings.overlap)


def _side(truth: Truth, evidence: Evidence, factor: float) -> Side:
    lesions: LesionSet = evidence.proposals(factor)
    proposals = tuple(
        _proposal(lesion, tally, evidence, truth)
        for lesion, tally in zip(lesions, evidence.tallies[factor], strict=True)
    )
    return Side(proposals, overlaps(truth.lesions, lesions))


def _proposal(lesion: Lesion, tally: PatchTally | None, evidence: Evidence, truth: Truth) -> Proposal:
    margin = evidence.lesion_margin(lesion).astype(np.float64)
    return Proposal(
        lesion.label,
        lesion.volume_ml,
        len(margin),
        whole_probability(margin),
        _onset(margin, truth.settings.min_volume_ml / evidence.grid.voxel_ml),
        tally,
        truth.covered is None or bool(truth.covered[lesion.bbox][lesion.mask].any()),
    )


def _onset(margin: Float[np.ndarray, " n"], least_voxels: float) -> float:
    """Factor at which ``least_voxels`` of the voxels are lesion; all of them if there are fewer."""
    rank = min(max(int(np.ceil(least_voxels * (1 - 1e-9))), 1), len(margin)) - 1
    return float(np.exp(np.clip(np.partition(margin, rank)[rank], -_LARGEST_MARGIN, _LARGEST_MARGIN)))
