"""Numbers as people read them."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

NONE = "–"
"""What stands for an undefined metric."""


def percent(share: float | None, digits: int = 1) -> str:
    """A proportion in percent, rounded half up as in the paper, or a dash.

    >>> percent(385 / 400), percent(None)
    ('96.3', '–')
    """
    if share is None:
        return NONE
    # The nearest fraction of small integers undoes the binary rounding of, say, 385/400 = 0.9625.
    exact = Fraction(share).limit_denominator(1_000_000) * 100
    step = Decimal(1).scaleb(-digits)
    return str((Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(step, rounding=ROUND_HALF_UP))


def percent_interval(ends: tuple[float, float] | None, digits: int = 1) -> str:
    """An interval of a proportion in percent.

    >>> percent_interval((0.902, 0.992))
    '90.2–99.2'
    """
    return NONE if ends is None else f"{percent(ends[0], digits)}–{percent(ends[1], digits)}"


def p_value(p: float | None) -> str:
    """A p-value with three digits.

    >>> p_value(0.0002), p_value(0.0312)
    ('<0.001', '0.031')
    """
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def with_interval(share: float | None, ends: tuple[float, float] | None, digits: int = 0) -> str:
    """A proportion in percent with its interval behind it.

    >>> with_interval(0.971, (0.902, 0.992))
    '97.1 [90–99]'
    """
    return percent(share) if share is None or ends is None else f"{percent(share)} [{percent_interval(ends, digits)}]"


def of_cohort(title: str, *, virtual: bool) -> str:
    """A title that says so where the patients are virtual.

    >>> of_cohort("Table I", virtual=True)
    'Table I (virtual patients)'
    """
    return f"{title} (virtual patients)" if virtual else title


def slug(text: str) -> str:
    """A name for files and anchors.

    >>> slug("screening/Base+ReCls")
    'screening_base_recls'
    """
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "model"
