"""What a training tells on a terminal, or in a log file."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ConsoleReporter:
    """Progress bar with loss and time left on a terminal, one line every so many steps elsewhere."""

    def __init__(self, every: int, *, quiet: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False, file=sys.stdout)
        self._every = every
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[note]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> ConsoleReporter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stage(self, text: str) -> None:
        """Starts a bar of its own."""
        self._task = self._bar.add_task(text, total=None, note="")
        self._line(text)

    def prepared(self, done: int, total: int) -> None:
        """Moves the bar."""
        self._move(done, total, "cases")
        if done % 10 == 0 or done == total:
            self._line(f"prepared {done}/{total} cases")

    def stepped(self, step: int, total: int, loss: float, seconds: float) -> None:
        """Moves the bar, or prints a line."""
        self._move(step, total, f"loss {loss:.3f}, {seconds:.2f} s a step")
        if step % self._every == 0 or step == total:
            left = seconds * (total - step) / 60
            self._line(f"step {step}/{total} loss {loss:.4f} {seconds:.3f} s a step, {left:.0f} min left")

    def validated(self, step: int, scores: dict[str, float], *, best_step: int) -> None:
        """Prints the scores."""
        text = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in scores.items())
        best = "best so far" if best_step == step else f"best at step {best_step}"
        self._console.print(f"step {step}, held out: {text}; {best}", soft_wrap=True)

    def _move(self, done: int, total: int, note: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)
