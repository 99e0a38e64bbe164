"""Every lesion sensitivity from one map: the masks of all factors f without the probabilities (paper, eq. 2 and 3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from livercascade.data.grid import Shape
from livercascade.data.labels import BACKGROUND, FIRST_LESION, LAST_LESION, NUM_CLASSES
from livercascade.data.lesion import Box

_Best = tuple[UInt8[np.ndarray, "z y x"], Float32[np.ndarray, "z y x"]]
"""Running maximum over channels: label and logit of the best so far."""


@dataclass(frozen=True, slots=True, eq=False)
class SensitivityMap:
    """What is needed to know the mask of every lesion sensitivity (paper, eq. 2 and 3).

    Multiplying the lesion probabilities by ``f`` adds ``log f`` to the lesion logits and leaves their order
    alone. So a voxel is lesion at ``f`` exactly when ``log f`` reaches its margin, and of the same type at every ``f``.

    Attributes:
        best_lesion: Most probable lesion type, 1-6, in the case mix that type weights stand for.
        best_other: Most probable of the other labels, 0 or 7-13.
        margin: Logit of ``best_other`` minus logit of ``best_lesion`` (pooled: of all lesions together).
    """

    best_lesion: UInt8[np.ndarray, "z y x"]
    best_other: UInt8[np.ndarray, "z y x"]
    margin: Float32[np.ndarray, "z y x"]

    @classmethod
    def from_logits(
        cls,
        logits: Iterable[Float[np.ndarray, "z y x"]],
        *,
        pooled: bool = False,
        weights: Float32[np.ndarray, " 6"] | None = None,
    ) -> SensitivityMap:
        """Map of the 14 logits of UNet^whole.

        Args:
            logits: ``[14, z, y, x]``, or the 14 channels one after the other in label order; they are
                compared in float32 and never held together.
            pooled: Let the sum of all lesion probabilities compete, so that a lesion of doubtful type is not
                lost; the type is still the most probable one. The paper compares each type alone.
            weights: Added to the lesion logits where a type is chosen (`livercascade.data.class_priors`); what is
                lesion and what is not does not depend on them.

        Raises:
            ValueError: There are not 14 channels of one shape.

        >>> logits = np.zeros((14, 1, 1, 1), dtype=np.float32)
        >>> logits[7], logits[3] = 2.0, 1.0
        >>> smap = SensitivityMap.from_logits(logits)
        >>> [int(smap.mask(f)[0, 0, 0]) for f in (1.0, 2.0, 4.0)]
        [7, 7, 3]
        """
        return cls(*_reduce(iter(logits), pooled, weights))

    @classmethod
    def from_slabs(
        cls,
        shape: Shape,
        slabs: Iterable[tuple[int, Iterable[Float[np.ndarray, "dz y x"]]]],
        *,
        pooled: bool = False,
        weights: Float32[np.ndarray, " 6"] | None = None,
    ) -> SensitivityMap:
        """Map from slabs of slices, so that the logits of a whole scan never exist.

        Args:
            shape: Voxels of the whole map along z, y, x.
            slabs: First slice and 14 logits of each slab; slices may come in any order and again.
            pooled: As in `from_logits`.
            weights: As in `from_logits`.

        Raises:
            ValueError: There are not 14 channels of one shape, a slab does not fit into the map, or a slice is in none.
        """
        best_lesion, best_other = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8)
        margin, written = np.zeros(shape, dtype=np.float32), np.zeros(shape[0], dtype=bool)
        for z0, logits in slabs:
            slab = _reduce(iter(logits), pooled, weights)
            size = slab[2].shape
            rows = slice(z0, z0 + size[0])
            if z0 < 0 or rows.stop > shape[0] or size[1:] != tuple(shape[1:]):
                raise ValueError(f"slab of shape {size} at slice {z0} does not fit into {tuple(shape)}")
            best_lesion[rows], best_other[rows], margin[rows] = slab
            written[rows] = True
        if not written.all():
            raise ValueError(f"slice {int(np.argmin(written))} was never written")
        return cls(best_lesion, best_other, margin)

    def within(self, box: Box) -> SensitivityMap:
        """The same map of a box alone, without a copy."""
        return SensitivityMap(self.best_lesion[box], self.best_other[box], self.margin[box])

    def only_in(self, region: Bool[np.ndarray, "z y x"]) -> SensitivityMap:
        """The same map with background outside a region, at every sensitivity."""
        return SensitivityMap(
            self.best_lesion,
            np.where(region, self.best_other, np.uint8(BACKGROUND)),
            np.where(region, self.margin, np.float32(np.inf)),
        )

    def mask(self, factor: float) -> UInt8[np.ndarray, "z y x"]:
        """Label map at lesion sensitivity ``f`` (paper, eq. 2 and 3).

        Ties go to the lowest label, as in the argmax: background wins over a lesion, a lesion over an organ.

        Args:
            factor: Multiplier ``f`` on the lesion probabilities, above 0: 1 is the plain argmax, more finds more.

        Raises:
            ValueError: ``factor`` is not a finite number above 0.
        """
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"sensitivity factor must be a finite number above 0, got {factor}")
        # As float32, like the margin: else rounding decides where log f is exactly a margin.
        reach = np.float32(math.log(factor))
        lesion = (self.margin < reach) | ((self.margin == reach) & (self.best_other != BACKGROUND))
        return np.where(lesion, self.best_lesion, self.best_other)


def _reduce(
    channels: Iterator[Float[np.ndarray, "z y x"]], pooled: bool, weights: Float32[np.ndarray, " 6"] | None
) -> tuple[UInt8[np.ndarray, "z y x"], UInt8[np.ndarray, "z y x"], Float32[np.ndarray, "z y x"]]:
    """Best lesion, best other and margin; holds one channel at a time."""
    other = _first_best(BACKGROUND, _next(channels, None, BACKGROUND))
    shape = other[1].shape
    first = _next(channels, shape, FIRST_LESION)
    lesion = _first_best(FIRST_LESION, first)
    # Without weights the type is that of the strongest channel, and one running maximum serves both.
    typed = lesion if weights is None else _first_best(FIRST_LESION, first + weights[0])
    together = first.copy()
    for label in range(FIRST_LESION + 1, NUM_CLASSES):
        logits = _next(channels, shape, label)
        _update_best(lesion if label <= LAST_LESION else other, label, logits)
        if label > LAST_LESION:
            continue
        if weights is not None:
            _update_best(typed, label, logits + weights[label - FIRST_LESION])
        if pooled:
            np.logaddexp(together, logits, out=together)
    if next(channels, None) is not None:
        raise ValueError(f"more than {NUM_CLASSES} channels")
    return typed[0], other[0], other[1] - (together if pooled else lesion[1])


def _first_best(label: int, logits: Float32[np.ndarray, "z y x"]) -> _Best:
    return np.full(logits.shape, label, dtype=np.uint8), logits.copy()


def _update_best(best: _Best, label: int, logits: Float32[np.ndarray, "z y x"]) -> None:
    """Enter one more channel in place; the first of equal channels stays."""
    best[0][logits > best[1]] = label
    np.maximum(best[1], logits, out=best[1])


def _next(
    channels: Iterator[Float[np.ndarray, "z y x"]], shape: tuple[int, ...] | None, label: int
) -> Float32[np.ndarray, "z y x"]:
    logits = next(channels, None)
    if logits is None:
        raise ValueError(f"{NUM_CLASSES} channels are needed, got {label}")
    if shape is not None and logits.shape != shape:
        raise ValueError(f"channel {label} has shape {logits.shape}, those before {shape}")
    return np.asarray(logits, dtype=np.float32)
