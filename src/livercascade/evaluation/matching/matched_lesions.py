"""Reference and predicted lesions of one case, which of them overlap, and which of them count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool

from livercascade.data.grid import Triple
from livercascade.data.labels import LesionType
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.detect.match import Overlap, Pair, overlap_of, overlaps
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.reclassification.candidate import CandidateStatus
from livercascade.reclassification.patch_tally import PatchTally


@dataclass(frozen=True, slots=True)
class LesionSummary:
    """One lesion without its voxels: of the reference, of a label map, or a candidate of a case folder.

    What a label map cannot tell keeps its default.

    Attributes:
        label: Type; of a candidate before or after reclassification, as the model has it.
        volume_ml: Volume in ml.
        voxels: Number of voxels.
        centroid: Centre of mass in LPS mm (x, y, z).
        covered: False if no voxel lies where the reference was read; such a lesion is neither right nor wrong.
        confidence: Confidence in a lesion at this place, 0 to 1, before calibration: of UNet^whole alone before
            reclassification, of both networks after it; 1 for a label map.
        probability: Calibrated probability of a true lesion; of candidates of High alone, by a calibrated model.
        original: Type before reclassification.
        status: Verdict of reclassification; None without it.
        score: Candidate score in the unit of ``threshold``; None if it was not scored.
        threshold: Score needed to stay.
        votes: Share of each type in the vote of UNet^patch, 0 to 1.
        tally: Counts of UNet^patch; None without evidence, and for a candidate too large to be reclassified.
        onset: Smallest factor f at which the volume limit of the evaluation is lesion; None without evidence.
    """

    label: LesionType
    volume_ml: float
    voxels: int
    centroid: Triple = (0.0, 0.0, 0.0)
    covered: bool = True
    confidence: float = 1.0
    probability: float | None = None
    original: LesionType | None = None
    status: CandidateStatus | None = None
    score: float | None = None
    threshold: float | None = None
    votes: Mapping[LesionType, float] = field(default_factory=dict[LesionType, float])
    tally: PatchTally | None = None
    onset: float | None = None

    @classmethod
    def of(cls, lesion: Lesion) -> LesionSummary:
        """Type, size and place of a lesion."""
        return cls(lesion.label, lesion.volume_ml, int(np.count_nonzero(lesion.mask)), lesion.centroid)


@dataclass(frozen=True, slots=True)
class MatchedLesions:
    """Lesions of the reference and of one model in one case, and their overlaps.

    Attributes:
        reference: Lesions of the reference, largest first.
        predicted: Lesions of the model, largest first.
        pairs: Overlaps of reference lesions (``Pair.truth``) with predicted ones (``Pair.found``), in voxels.
    """

    reference: tuple[LesionSummary, ...]
    predicted: tuple[LesionSummary, ...]
    pairs: tuple[Pair, ...]

    def where(self, keep: Sequence[bool]) -> MatchedLesions:
        """The predicted lesions whose entry in ``keep`` is true, with their overlaps.

        Raises:
            ValueError: ``keep`` has another length.
        """
        chosen = [j for j, (_, kept) in enumerate(zip(self.predicted, keep, strict=True)) if kept]
        return self._taken(range(len(self.reference)), chosen, self.pairs)

    def countable(self, settings: EvaluationSettings) -> MatchedLesions:
        """The lesions that count, with the overlaps between them: the one rule of all tables and curves.

        Pairs below the least overlap are none. Lesions below the volume limit never count; one that reaches it but
        whose partners are all below is left out too, and so is a predicted one that lies wholly where no reference
        was read.
        """
        return self._taken(*self._counting(settings))

    def countable_predictions(self, settings: EvaluationSettings) -> tuple[int, ...]:
        """Positions of the predicted lesions that count, see `countable`."""
        return self._counting(settings)[1]

    @property
    def touched(self) -> tuple[tuple[int, ...], ...]:
        """Positions of the reference lesions that each predicted one overlaps."""
        partners: list[list[int]] = [[] for _ in self.predicted]
        for pair in self.pairs:
            partners[pair.found].append(pair.truth)
        return tuple(map(tuple, partners))

    def iou(self, pair: Pair) -> float:
        """Intersection over union of a pair, 0 to 1."""
        return self._overlap(pair, Overlap.IOU)

    def _counting(self, settings: EvaluationSettings) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Pair, ...]]:
        """Positions of the reference and predicted lesions that count, and the pairs above the volume limit."""
        pairs = [pair for pair in self.pairs if self._overlap(pair, settings.overlap) >= settings.min_overlap]
        large_reference = [settings.counts(lesion.volume_ml) for lesion in self.reference]
        large_predicted = [settings.counts(lesion.volume_ml) for lesion in self.predicted]
        both = tuple(pair for pair in pairs if large_reference[pair.truth] and large_predicted[pair.found])
        # A partner below the limit excuses, unless there is one above it too.
        excused_reference = {pair.truth for pair in pairs} - {pair.truth for pair in both}
        excused_predicted = {pair.found for pair in pairs} - {pair.found for pair in both}
        # Any common voxel shows that the reference was read there, whatever the mask of coverage says.
        touching = {pair.found for pair in self.pairs}
        reference = (i for i, large in enumerate(large_reference) if large and i not in excused_reference)
        predicted = (
            j
            for j, lesion in enumerate(self.predicted)
            if large_predicted[j] and j not in excused_predicted and (lesion.covered or j in touching)
        )
        return tuple(reference), tuple(predicted), both

    def _overlap(self, pair: Pair, measure: Overlap) -> float:
        voxels = self.reference[pair.truth].voxels, self.predicted[pair.found].voxels
        return overlap_of(pair.voxels, *voxels, measure)

    def _taken(self, reference: Sequence[int], predicted: Sequence[int], pairs: Sequence[Pair]) -> MatchedLesions:
        """Lesions at these positions and the pairs between them, numbered anew."""
        first, second = ({old: new for new, old in enumerate(positions)} for positions in (reference, predicted))
        kept = (
            replace(pair, truth=first[pair.truth], found=second[pair.found])
            for pair in pairs
            if pair.truth in first and pair.found in second
        )
        return MatchedLesions(
            tuple(self.reference[i] for i in reference), tuple(self.predicted[j] for j in predicted), tuple(kept)
        )


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceLesions:
    """What every model of one case is held against.

    Attributes:
        lesions: Lesions of the reference with their voxels.
        covered: Voxels where the reference was read; None if everywhere.
        settings: Rules by which lesions are counted.
    """

    lesions: LesionSet
    covered: Bool[np.ndarray, "z y x"] | None
    settings: EvaluationSettings

    @property
    def summaries(self) -> tuple[LesionSummary, ...]:
        """The lesions without their voxels."""
        return tuple(map(LesionSummary.of, self.lesions))

    def match(self, lesions: LesionSet, summaries: Sequence[LesionSummary] | None = None) -> MatchedLesions:
        """Overlaps with the lesions of a model.

        Args:
            lesions: Its lesions.
            summaries: What is known of them, in the same order; None if that is what the voxels tell.

        Raises:
            ValueError: The lesions lie on another grid than the reference.
        """
        known = map(LesionSummary.of, lesions) if summaries is None else summaries
        predicted = tuple(
            replace(summary, covered=self._covers(lesion)) for summary, lesion in zip(known, lesions, strict=True)
        )
        return MatchedLesions(self.summaries, predicted, overlaps(self.lesions, lesions))

    def _covers(self, lesion: Lesion) -> bool:
        return self.covered is None or bool(self.covered[lesion.bbox][lesion.mask].any())
