"""Commands ``livercascade train whole`` and ``livercascade train patch``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from livercascade.cli.errors import told
from livercascade.segment.card import ModelKind
from livercascade.train.child import STOPPED, StopFlag, child_environment, run_child
from livercascade.train.request import TrainRequest, read_request, write_request
from livercascade.train.run_folder import RunFolder
from livercascade.train.settings import PatchSettings, WholeSettings, read_settings

app = typer.Typer(help="Train UNet^whole and UNet^patch on folders of cases.", no_args_is_help=True)

Data = Annotated[Path, typer.Option(help="Folder of cases: <case>/{nc,ap,vp,dp,labels}.nii.gz.")]
Out = Annotated[Path, typer.Option(help="Run folder; the same one again continues the run.")]
Settings = Annotated[Path | None, typer.Option(help="TOML file; what it leaves out keeps its default.")]
Steps = Annotated[int | None, typer.Option(help="Optimiser steps.")]
Seed = Annotated[int | None, typer.Option(help="Seed of all random work.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the training process.")]
Workers = Annotated[int | None, typer.Option(help="Extra processes that make samples; 0 makes them between steps.")]
Processes = Annotated[int | None, typer.Option(help="Processes that prepare the data.")]
Fold = Annotated[str | None, typer.Option(help="Fold kept for validation, 0 to 4, or 'all'.")]
StartFrom = Annotated[Path | None, typer.Option(help="Model folder whose weights to start from.")]
ExportOnly = Annotated[bool, typer.Option("--export-only", help="Only export the newest checkpoint to OUT/model.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


@app.command()
def whole(
    data: Data,
    out: Out,
    settings: Settings = None,
    steps: Steps = None,
    seed: Seed = None,
    threads: Threads = None,
    workers: Workers = None,
    processes: Processes = None,
    fold: Fold = None,
    start_from: StartFrom = None,
    export_only: ExportOnly = False,
    quiet: Quiet = False,
) -> None:
    """Train UNet^whole: 14 classes on whole scans, any subset of phases.

    Example: livercascade train whole --data cases --out runs/whole --threads 2
    """
    given = {"steps": steps, "seed": seed, "threads": threads, "workers": workers, "processes": processes}
    with told():
        chosen = read_settings(WholeSettings, settings, given | {"fold": _fold(fold)})
        request = TrainRequest(
            kind=ModelKind.WHOLE,
            data=data.resolve(),
            settings=chosen,
            start_from=_resolved(start_from),
            command=_command(),
        )
        _run(RunFolder(out.resolve()), request, export_only=export_only, quiet=quiet)


@app.command()
def patch(
    data: Data,
    out: Out,
    settings: Settings = None,
    hard: Annotated[Path | None, typer.Option(help="<case>.nii.gz label maps predicted by UNet^whole.")] = None,
    steps: Steps = None,
    seed: Seed = None,
    threads: Threads = None,
    workers: Workers = None,
    processes: Processes = None,
    fold: Fold = None,
    start_from: StartFrom = None,
    export_only: ExportOnly = False,
    quiet: Quiet = False,
) -> None:
    """Train UNet^patch: 8 classes on lesion-shuffled patches of liver.

    Example: livercascade train patch --data cases --hard predicted --out runs/patch --threads 2
    """
    given = {"steps": steps, "seed": seed, "threads": threads, "workers": workers, "processes": processes}
    with told():
        chosen = read_settings(PatchSettings, settings, given | {"fold": _fold(fold)})
        request = TrainRequest(
            kind=ModelKind.PATCH,
            data=data.resolve(),
            settings=chosen,
            hard=_resolved(hard),
            start_from=_resolved(start_from),
            command=_command(),
        )
        _run(RunFolder(out.resolve()), request, export_only=export_only, quiet=quiet)


@app.command(hidden=True)
def work(out: Path, quiet: Quiet = False) -> None:
    """Carry out the request noted in a run folder, in this process."""
    folder, stop = RunFolder(out), StopFlag()
    with told():
        request = read_request(folder)
        reporter = ConsoleReporter(request.settings.log_every, quiet=quiet)
        with reporter:
            complete = _train(folder, request, reporter, stop)
    raise typer.Exit(0 if complete else STOPPED)


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

    def validated(self, step: int, scores: dict[str, float]) -> None:
        """Prints the scores."""
        text = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        self._console.print(f"step {step} Dice: {text}", soft_wrap=True)

    def _move(self, done: int, total: int, note: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)


def _run(folder: RunFolder, request: TrainRequest, *, export_only: bool, quiet: bool) -> None:
    if not export_only:
        _start(folder, request, quiet=quiet)
        return
    from livercascade.train.export import export

    place = export(folder)
    Console(quiet=quiet).print(f"model: {place}")


def _start(folder: RunFolder, request: TrainRequest, *, quiet: bool) -> None:
    from livercascade.segment.network import load_network
    from livercascade.train.cases import find_cases

    find_cases(request.data)
    if request.start_from is not None:
        load_network(request.start_from)
    write_request(folder, request)
    command = [sys.executable, "-m", "livercascade.cli.train", "work", str(folder.root)]
    code = run_child([*command, "--quiet"] if quiet else command, child_environment(folder, request.settings.threads))
    if code == 0:
        Console(quiet=quiet).print(f"model: {folder.model}")
    raise typer.Exit(code if code in (0, STOPPED) else 1)


def _train(folder: RunFolder, request: TrainRequest, reporter: ConsoleReporter, stop: StopFlag) -> bool:
    # nnU-Net takes seconds to import: only the training process pays for it.
    if request.kind is ModelKind.WHOLE:
        from livercascade.train.whole import train_whole

        return train_whole(folder, request, reporter, stop)
    from livercascade.train.patch import train_patch

    return train_patch(folder, request, reporter, stop)


def _resolved(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def _fold(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdigit() else text


def _command() -> str:
    given = sys.argv[1:]
    return shlex.join(["livercascade", *(given if given[:1] == ["train"] else ["train", *given])])


if __name__ == "__main__":
    app()
