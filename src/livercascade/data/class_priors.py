"""How common each lesion type is: among the lesions a network learnt from, and among those it is to judge.

A network trained on as many haemangiomas as HCC calls a doubtful lesion one as readily as the other. Where types are
known to be of other frequencies, Bayes' rule says how the choice moves: by the logarithm of the ratio of both shares
(Saerens, Latinne and Decaestecker, Neural Computation 2002). Only the type of a lesion follows it, never whether there
is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Float32
from pydantic import AfterValidator

from livercascade.data.labels import LESION_TYPES

# Shares are written with four digits, which rarely add up to 1 exactly.
_SLACK = 1e-3


def _checked(shares: tuple[float, ...]) -> tuple[float, ...]:
    if len(shares) != len(LESION_TYPES) or min(shares) <= 0 or abs(sum(shares) - 1) > _SLACK:
        raise ValueError(f"{len(LESION_TYPES)} shares above 0 that add up to 1 are needed, not {shares}")
    return shares


ClassPriors = Annotated[tuple[float, ...], AfterValidator(_checked)]
"""Share of HCC, ICC, Meta, Hem, Other and Cyst among lesions; each above 0, together 1."""
EVEN: tuple[float, ...] = (1 / 6,) * 6
PAPER: tuple[float, ...] = tuple(round(count / 606, 4) for count in (259, 13, 192, 12, 61, 69))
"""Of the paper's 606 test lesions (Table I)."""


def logit_adjustment(
    learnt: Sequence[float] | None, expected: Sequence[float] | None
) -> Float32[np.ndarray, " 6"] | None:
    """What is added to the lesion logits where a type is chosen.

    Args:
        learnt: Shares that a network's training made it expect; None if unknown.
        expected: Shares among the lesions it is to judge; None leaves its types as they are.

    Returns:
        Logarithms of the ratios, or None where nothing is to be added.
    """
    if learnt is None or expected is None:
        return None
    return np.log(np.asarray(expected) / np.asarray(learnt)).astype(np.float32)
