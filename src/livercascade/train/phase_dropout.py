"""Phases hidden at random in training, so that one model serves any subset of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Bool

from livercascade.data.labels import PHASES, Phase
from livercascade.train.training_settings import PhaseDropout


def drop_phases(
    present: Bool[np.ndarray, " phase"], settings: PhaseDropout, rng: np.random.Generator
) -> Bool[np.ndarray, " phase"]:
    """Phases one training sample may see: a non-empty subset of ``present``.

    A choice that leaves nothing of what is there (NC alone of a patient without NC) falls back to ``present``.
    """
    kept = present & _wanted(settings, rng)
    return kept if kept.any() else present


def seen_phases(present: Bool[np.ndarray, " phase"], allowed: Collection[Phase]) -> Bool[np.ndarray, " phase"]:
    """Phases of a case that a network trained for ``allowed`` phases may see.

    >>> seen_phases(np.array([True, False, True, True]), [Phase.NC, Phase.AP]).tolist()
    [True, False, False, False]
    """
    return present & np.array([phase in allowed for phase in PHASES])


def needed_phases(allowed: Sequence[Phase]) -> tuple[Phase, ...]:
    """Phases that a model cannot do without: the one phase of a model trained on one, else none."""
    return tuple(allowed) if len(allowed) == 1 else ()


def _wanted(settings: PhaseDropout, rng: np.random.Generator) -> Bool[np.ndarray, " phase"]:
    draw = rng.random()
    if draw < settings.all_phases:
        return np.ones(len(PHASES), dtype=bool)
    if draw < settings.all_phases + settings.nc_only:
        return _only(Phase.NC)
    if draw < settings.all_phases + settings.nc_only + settings.ap_only:
        return _only(Phase.AP)
    subset = int(rng.integers(1, 2 ** len(PHASES)))
    return np.array([bool(subset >> i & 1) for i in range(len(PHASES))])


def _only(phase: Phase) -> Bool[np.ndarray, " phase"]:
    return np.arange(len(PHASES)) == phase.index
