"""The fixed cohorts: which seeds train, tune and test, for each case mix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from livercascade.virtual.virtual_settings import CaseMix

TEST_CASES, TRAINING_CASES, VALIDATION_CASES = 331, 1300, 300
"""The paper's test and training patients, and patients of our own on which settings are chosen."""
USED_BEFORE = (range(30_000), range(700_000, 700_020), range(900_000, 900_060), range(910_000, 910_100))
"""Seeds that served elsewhere (training of bundled weights, held-out benchmark, trials); no cohort holds any."""
_FIRST = {CaseMix.DIAGNOSIS: 1_000_000, CaseMix.SCREENING: 2_000_000, CaseMix.TRAINING: 3_000_000}


class CohortPart(Enum):
    """What a cohort is for: only ``VALIDATION`` may be looked at to choose settings, ``TEST`` is touched once."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class VirtualCohort:
    """Patients described by their seeds.

    Attributes:
        mix: Case mix.
        part: What the patients are for.
        seeds: One patient each.
    """

    mix: CaseMix
    part: CohortPart
    seeds: range

    @property
    def name(self) -> str:
        """For the command line, for example ``diagnosis-test``."""
        return f"{self.mix.value}-{self.part.value}"


def cohorts() -> dict[str, VirtualCohort]:
    """All cohorts by name.

    The mixes ``diagnosis`` and ``screening-population`` have 1,300 patients to train, 300 to choose settings on and 331
    to test; ``training`` has no test patients.

    >>> cohorts()["diagnosis-test"].seeds
    range(1200000, 1200331)
    """
    sizes = {CohortPart.TRAIN: TRAINING_CASES, CohortPart.VALIDATION: VALIDATION_CASES, CohortPart.TEST: TEST_CASES}
    found: dict[str, VirtualCohort] = {}
    for mix, first in _FIRST.items():
        for step, (part, size) in enumerate(sizes.items()):
            if (mix, part) != (CaseMix.TRAINING, CohortPart.TEST):
                start = first + 100_000 * step
                cohort = VirtualCohort(mix, part, range(start, start + size))
                found[cohort.name] = cohort
    return found
