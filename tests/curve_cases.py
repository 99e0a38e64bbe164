"""Made-up cases for the curves: proposals and truth as numbers, without voxels."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from livercascade.data.labels import LesionType
from livercascade.detect.match import Pair
from livercascade.evaluation.cohort.evidence_case import EvidenceCase
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.matched_lesions import LesionSummary, MatchedLesions
from livercascade.evaluation.statistics.intervals import Resamples, draw_resamples
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.reclassify import ReclassifySettings

RULES = ReclassifySettings(n_original=1, n_shuffled=1)
SETTINGS = EvaluationSettings(bootstrap=20)
VOXEL_ML = 0.01


def proposal(
    label: LesionType = LesionType.HCC,
    volume_ml: float = 2.0,
    probability: float = 0.5,
    share: float | None = 0.5,
    votes: LesionType | None = None,
    onset: float = 1.0,
) -> LesionSummary:
    """A proposal of which UNet^patch confirms ``share`` in both patches; None if it was not judged."""
    tally = None
    if share is not None:
        size = max(round(volume_ml / VOXEL_ML), 1)
        counts = np.zeros((2, 6), dtype=np.int64)
        counts[:, (votes or label) - 1] = round(share * size)
        tally = PatchTally(counts, np.full(2, size), np.array([False, True]), VOXEL_ML)
    return LesionSummary(
        label, volume_ml, round(volume_ml / VOXEL_ML), confidence=probability, onset=onset, tally=tally
    )


def truth(label: LesionType = LesionType.HCC, volume_ml: float = 2.0) -> LesionSummary:
    return LesionSummary(label, volume_ml, round(volume_ml / VOXEL_ML))


def case(
    true: list[LesionSummary],
    high: list[LesionSummary],
    pairs: list[tuple[int, int]],
    *,
    low: list[LesionSummary] | None = None,
    low_pairs: tuple[tuple[int, int], ...] = (),
    low_high: tuple[tuple[int, int], ...] = (),
    rules: ReclassifySettings = RULES,
    name: str = "case",
) -> EvidenceCase:
    """A case with proposals at f = 1 and 4; pairs are (true, found) with half of the smaller one in common."""

    def side(proposals: list[LesionSummary], links: tuple[tuple[int, int], ...]) -> MatchedLesions:
        made = tuple(Pair(t, f, max(min(true[t].voxels, proposals[f].voxels) // 2, 1)) for t, f in links)
        return MatchedLesions(tuple(true), tuple(proposals), made)

    sides = {1.0: side(low or [], low_pairs), 4.0: side(high, tuple(pairs))}
    shared = tuple(Pair(a, b, 1) for a, b in low_high)
    return EvidenceCase(name, sides, shared, 1.0, 4.0, rules, SETTINGS)


def draws(cases: int, resamples: int = 20) -> Resamples:
    return draw_resamples(cases, resamples, np.random.default_rng(0))


_TYPE = st.sampled_from([LesionType.HCC, LesionType.META, LesionType.CYST])
_LEVEL = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
_VOLUME = st.sampled_from([0.6, 1.0, 3.0, 10.0])
COHORTS = st.lists(
    st.tuples(
        st.lists(st.tuples(_TYPE, _VOLUME), max_size=3),
        st.lists(st.tuples(_TYPE, _VOLUME, _LEVEL, st.one_of(st.none(), _LEVEL), _TYPE), max_size=4),
        st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=5),
    ),
    min_size=1,
    max_size=4,
)
"""Numbers of one to four cases, few of them distinct, so that ties occur; `cohort_of` makes cases of them."""
# Cases are made outside the strategy: checking types of lists draws random numbers, which strategies may not.


def cohort_of(numbers: list[tuple[list[tuple], list[tuple], set[tuple[int, int]]]]) -> list[EvidenceCase]:
    cases: list[EvidenceCase] = []
    for true, found, links in numbers:
        proposals = [proposal(*values) for values in found]
        fitting = [(t, f) for t, f in sorted(links) if t < len(true) and f < len(found)]
        made = case([truth(*v) for v in true], proposals, fitting, low=proposals[:1], name=f"case-{len(cases)}")
        cases.append(made)
    return cases
