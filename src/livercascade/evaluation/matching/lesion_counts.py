"""What one model's answer counts for in one case: a confusion table per counting mode, and the lesions by volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from livercascade.detect.match import Counting, Match, Outcome, Pair, judge, overlap_of
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase, FoundLesion, Reading, TrueLesion
from livercascade.evaluation.evaluation_settings import EvaluationSettings, Extras
from livercascade.evaluation.matching.volume_bins import BINS, bin_of


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Counts of one model in one case.

    Attributes:
        confusion: By counting mode, true type (rows) by found type (columns) in label order; row 6 spurious, column 6
            missed.
        splits: True lesions found in two or more parts.
        merges: Found lesions that join two or more true ones.
        true_by_volume: True lesions by type, volume bin, and outcome TP, FL, FN; each lesion counts once.
        false_by_volume: False positives by found type and volume bin.
    """

    confusion: Mapping[Counting, Int[np.ndarray, "7 7"]]
    splits: int
    merges: int
    true_by_volume: Int[np.ndarray, "6 bins 3"]
    false_by_volume: Int[np.ndarray, "6 bins"]


@dataclass(frozen=True, slots=True)
class _Sides:
    """Lesions that count, and the overlaps between them."""

    truth: tuple[TrueLesion, ...]
    found: tuple[FoundLesion, ...]
    pairs: tuple[Pair, ...]


def tally(case: EvaluatedCase, reading: Reading, settings: EvaluationSettings) -> Tally:
    """Counts of one reading in every counting mode."""
    sides = _countable(case.truth, reading, settings)
    matches = {mode: judge(sides.truth, sides.found, sides.pairs, counting=mode) for mode in Counting}
    confusion = {mode: made.confusion for mode, made in matches.items()}
    if settings.extras is Extras.IGNORE:
        one2one = Counting.ONE2ONE
        confusion[one2one] = confusion[one2one] - _extras(matches[one2one], sides)
    each = matches[Counting.GT]
    return Tally(confusion, each.splits, each.merges, _true_by_volume(each, sides), _false_by_volume(each, sides))


def _countable(truth: tuple[TrueLesion, ...], reading: Reading, settings: EvaluationSettings) -> _Sides:
    """Leave out lesions below the volume limit, those all of whose partners are, and those where no truth was read."""
    found = reading.lesions
    pairs = [p for p in reading.pairs if _enough(p, truth, found, settings)]
    big_true = [settings.counts(lesion.volume_ml) for lesion in truth]
    big_found = [settings.counts(lesion.volume_ml) for lesion in found]
    both = [p for p in pairs if big_true[p.truth] and big_found[p.found]]
    # A partner below the limit excuses, unless there is one above it too.
    excused_true = {p.truth for p in pairs} - {p.truth for p in both}
    excused_found = {p.found for p in pairs} - {p.found for p in both}
    met = {p.found for p in reading.pairs}
    keep_true = [i for i, big in enumerate(big_true) if big and i not in excused_true]
    keep_found = [
        j for j, big in enumerate(big_found) if big and j not in excused_found and (found[j].covered or j in met)
    ]
    place_true, place_found = ({old: new for new, old in enumerate(keep)} for keep in (keep_true, keep_found))
    kept = tuple(replace(p, truth=place_true[p.truth], found=place_found[p.found]) for p in both)
    return _Sides(tuple(truth[i] for i in keep_true), tuple(found[j] for j in keep_found), kept)


def _enough(
    pair: Pair, truth: tuple[TrueLesion, ...], found: tuple[FoundLesion, ...], settings: EvaluationSettings
) -> bool:
    in_truth, in_found = truth[pair.truth].voxels, found[pair.found].voxels
    return overlap_of(pair.voxels, in_truth, in_found, settings.overlap) >= settings.min_overlap


def _extras(match: Match, sides: _Sides) -> Int[np.ndarray, "7 7"]:
    """False positives that do overlap a true lesion, which another found one took."""
    table = np.zeros((7, 7), dtype=np.int64)
    touching = {p.found for p in sides.pairs}
    for number, (lesion, outcome) in enumerate(zip(sides.found, match.found_outcomes, strict=True)):
        table[6, lesion.label - 1] += outcome is Outcome.FP and number in touching
    return table


def _true_by_volume(match: Match, sides: _Sides) -> Int[np.ndarray, "6 bins 3"]:
    table = np.zeros((6, len(BINS), 3), dtype=np.int64)
    place = {Outcome.TP: 0, Outcome.FL: 1, Outcome.FN: 2}
    for lesion, outcome in zip(sides.truth, match.truth_outcomes, strict=True):
        table[lesion.label - 1, bin_of(lesion.volume_ml), place[outcome]] += 1
    return table


def _false_by_volume(match: Match, sides: _Sides) -> Int[np.ndarray, "6 bins"]:
    table = np.zeros((6, len(BINS)), dtype=np.int64)
    for lesion, outcome in zip(sides.found, match.found_outcomes, strict=True):
        table[lesion.label - 1, bin_of(lesion.volume_ml)] += outcome is Outcome.FP
    return table
