import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.self_similarity import (
    BITS,
    FLOOR_HU2,
    PAIRS,
    PLACES,
    SHIFTS,
    THRESHOLDS,
    self_similarity_codes,
)


def image(shape=(7, 8, 9)):
    return gaussian_filter(np.random.default_rng(0).normal(0, 400, shape), 1).astype(np.float32)


def literal(values, distance, radius):
    """The definition, voxel by voxel: patch distances of the twelve pairs of neighbours that are not opposite."""
    size = values.shape

    def at(p):
        return tuple(min(max(int(c), 0), n - 1) for c, n in zip(p, size, strict=True))

    patch = list(itertools.product(range(-radius, radius + 1), repeat=3))
    out = np.zeros(size, dtype=np.uint64)
    for voxel in np.ndindex(*size):
        distances = []
        for shift, places in zip(SHIFTS, PLACES, strict=True):
            for place in places:
                # Places beyond the border are those of the border, as everywhere.
                centre = np.array(at(np.array(voxel) + np.array(place) * distance))
                total = 0.0
                for offset in patch:
                    one = np.array(at(centre + np.array(offset)))
                    total += float(values[tuple(one)] - values[at(one + np.array(shift) * distance)]) ** 2
                distances.append(total / len(patch))
        least = min(distances)
        mean = max(np.mean(distances) - least, FLOOR_HU2)
        for k, b in itertools.product(range(PAIRS), range(BITS)):
            if distances[k] - least < THRESHOLDS[b] * mean:
                out[voxel] |= np.uint64(1) << np.uint64(BITS * k + b)
    return out


def test_pairs_are_the_twelve_edges_between_six_neighbours():
    pairs = set()
    for shift, places in zip(SHIFTS, PLACES, strict=True):
        for place in places:
            one, other = tuple(place), tuple(np.add(place, shift))
            assert sum(map(abs, one)) == sum(map(abs, other)) == 1
            assert tuple(np.add(one, other)) != (0, 0, 0)
            pairs.add(frozenset((one, other)))
    assert len(pairs) == PAIRS


@pytest.mark.parametrize(("distance", "radius"), [(1, 1), (2, 1)])
def test_equals_the_definition(distance, radius):
    values = image()
    with AlignmentThreads.of(1) as workers:
        found = self_similarity_codes(values, distance, radius, workers)
    # Sums in another order may tip a distance over a threshold.
    assert np.bitwise_count(found ^ literal(values, distance, radius)).sum() <= 3


def test_codes_are_thermometers_and_do_not_depend_on_contrast_or_threads():
    values = image((12, 14, 15))
    with AlignmentThreads.of(1) as one, AlignmentThreads.of(2) as two:
        codes = self_similarity_codes(values, 1, 1, one)
        assert np.array_equal(codes, self_similarity_codes(values, 1, 1, two))
        inverted = self_similarity_codes(200 - 2 * values, 1, 1, one)
    assert np.bitwise_count(codes ^ inverted).mean() < 0.05
    for k in range(PAIRS):
        code = (codes >> np.uint64(BITS * k)) & np.uint64(31)
        assert set(np.unique(code)) <= {0, 1, 3, 7, 15, 31}


def test_even_tissue_with_little_noise_is_all_alike():
    values = np.random.default_rng(1).normal(50, 0.2, (10, 10, 10)).astype(np.float32)
    with AlignmentThreads.of(1) as workers:
        assert np.all(self_similarity_codes(values, 1, 1, workers) == np.uint64(2**60 - 1))
