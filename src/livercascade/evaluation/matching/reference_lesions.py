"""How found lesions are held against the truth of one case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from livercascade.data.lesion import LesionSet
from livercascade.detect.match import overlaps
from livercascade.diagnose.patient import classify_patient
from livercascade.evaluation.cohort.evaluated_case import FoundLesion, Reading
from livercascade.evaluation.evaluation_settings import EvaluationSettings


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What every model of one case is held against.

    Attributes:
        lesions: True lesions.
        covered: Where the truth was read; None if everywhere.
        settings: How lesions are counted.
    """

    lesions: LesionSet
    covered: Bool[np.ndarray, "z y x"] | None
    settings: EvaluationSettings

    def reading(self, lesions: LesionSet, found: Sequence[FoundLesion]) -> Reading:
        """Reading of a model.

        Args:
            lesions: Its lesions with their voxels.
            found: Their figures, in the same order.

        Raises:
            ValueError: The lesions lie on another grid than the truth.
        """
        inside = [self.covered is None or bool(self.covered[x.bbox][x.mask].any()) for x in lesions]
        known = tuple(replace(f, covered=c) for f, c in zip(found, inside, strict=True))
        counted = [f for f in known if f.covered and self.settings.counts(f.volume_ml)]
        return Reading(known, overlaps(self.lesions, lesions), classify_patient(counted))
