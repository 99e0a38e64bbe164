"""One way to tell how far work has come."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the step in words, how much of it is done, and how much there is in all."""


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
    del step, done, total


def counter(progress: Progress | None, step: str, total: int) -> Callable[[], None]:
    """Function to call after each of ``total`` equal parts of a step; reports 0 at once.

    Args:
        progress: Whom to tell; None tells nobody.
        step: In words, for example ``comparing lesions``.
        total: Number of parts.

    >>> seen = []
    >>> advance = counter(lambda *told: seen.append(told), "reading", 2)
    >>> advance(); advance(); seen
    [('reading', 0, 2), ('reading', 1, 2), ('reading', 2, 2)]
    """
    tell = progress or silent
    done = 0
    tell(step, done, total)

    def advance() -> None:
        nonlocal done
        done += 1
        tell(step, done, total)

    return advance
