"""Progress bars with time left."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def steps(title: str, total: int, *, quiet: bool = False) -> Generator[Callable[[], None], None, None]:
    """Progress bar over ``total`` equal steps on standard error; yields the function that advances it."""
    # Standard output is for results, which scripts read.
    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def bars(*, quiet: bool) -> Generator[Callable[[str, int, int], None], None, None]:
    """One progress bar after the other, one for each step; yields a `livercascade.system.progress.Progress`."""
    with ExitStack() as stack:
        advance: Callable[[], None] | None = None

        def tell(step: str, done: int, total: int) -> None:
            nonlocal advance
            if done == 0 or advance is None:
                stack.pop_all().close()
                advance = stack.enter_context(steps(step, total, quiet=quiet))
            else:
                advance()
            # A bar that is full must not go on drawing while something else prints.
            if done >= total:
                stack.pop_all().close()

        yield tell
