"""Commands ``livercascade train ...``: the trainings, and what makes cases for them."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.progress_bars import steps as progress_steps
from livercascade.cli.train_reporter import ConsoleReporter
from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import UsageError
from livercascade.data.labels import Phase
from livercascade.segment.model_card import ModelKind
from livercascade.segment.network_folder import FOLDS, load_model_networks
from livercascade.system.extras import require
from livercascade.train.case_import import MIN_CONTRAST_HU, find_scans, import_scan
from livercascade.train.network_trainer import CheckpointChoice
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import find_cases
from livercascade.train.training_presets import (
    PhasePurpose,
    TrainingPreset,
    describe_preset,
    preset_text,
    read_settings,
)
from livercascade.train.training_process import STOPPED, run_process, stop_requests, training_environment
from livercascade.train.training_request import (
    TrainRequest,
    find_training_cases,
    is_finished,
    note_finished,
    read_request,
    request_of_fold,
    start_folder,
    write_request,
)
from livercascade.train.training_settings import LesionClassifierSettings, PatchSettings, WholeSettings

app = typer.Typer(help="Train the networks on folders of cases.", no_args_is_help=True)

CasesOption = Annotated[
    Path,
    typer.Option(
        "--data", help="Folder of cases, <case>/{nc,ap,vp,dp,labels}.nii.gz, or an nnU-Net v2 data set folder."
    ),
]
RunOption = Annotated[Path, typer.Option("--out", help="Run folder; the same one again continues the run.")]
TomlOption = Annotated[
    Path | None,
    typer.Option("--settings", help="TOML file; what it leaves out keeps the preset's value, or the default."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of all random work.")]
ProcessesOption = Annotated[int | None, typer.Option("--processes", help="Processes that prepare the data.")]
ChannelOption = Annotated[
    list[str] | None,
    typer.Option("--channel", help="nnU-Net data set: phase of a channel, for example 0=VP; repeatable."),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", help="nnU-Net data set: meaning of a label, for example tumor=HCC; repeatable."),
]
ExportOption = Annotated[
    CheckpointChoice,
    typer.Option("--export", help="Weights that OUT/model gets: best on the held-out fold, or newest."),
]
ErrorsOnlyOption = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
NamedSettingsOption = Annotated[
    TrainingPreset | None, typer.Option("--preset", help="Named settings, see 'train presets'.")
]
PurposeOption = Annotated[
    PhasePurpose,
    typer.Option(
        "--for", help="One model for any subset of phases, for diagnosis (all four), or screening (NC alone)."
    ),
]
HardOption = Annotated[
    Path | None, typer.Option("--hard", help="Label maps of 'train out-of-fold': missed lesions and false findings.")
]
UncheckedHardOption = Annotated[
    bool, typer.Option("--unchecked-hard", help="Take --hard even if it is not known to be out of fold.")
]
FoldOption = Annotated[
    str | None,
    typer.Option(
        "--fold",
        help="Fold held out for validation, 0 to 4; 'each' trains the five one after the other to an ensemble, '0,2' "
        "some of them; 'all' holds nothing out.",
    ),
]
StepsOption = Annotated[int | None, typer.Option("--steps", help="Optimiser steps.")]
PatienceOption = Annotated[
    int | None, typer.Option("--patience", help="End after so many validations without a better score.")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", help="Threads of the training process.")]
SampleWorkersOption = Annotated[
    int | None, typer.Option("--workers", help="Extra processes that make samples; 0 makes them between steps.")
]
TrainingDeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
StartOption = Annotated[Path | None, typer.Option("--start-from", help="Model folder whose weights to start from.")]
ExportOnlyOption = Annotated[
    bool, typer.Option("--export-only", help="Only export to OUT/model, also while a run goes on.")
]


def _add_training(kind: ModelKind, settings_class: type[WholeSettings | PatchSettings], text: str) -> None:
    """Add the command that trains one of the two networks; both have the same options."""

    @app.command(kind.value, help=text)
    def train(
        data: CasesOption,
        out: RunOption,
        preset: NamedSettingsOption = None,
        settings: TomlOption = None,
        purpose: PurposeOption = PhasePurpose.ANY,
        hard: HardOption = None,
        unchecked_hard: UncheckedHardOption = False,
        fold: FoldOption = None,
        steps: StepsOption = None,
        patience: PatienceOption = None,
        seed: SeedOption = None,
        threads: ThreadsOption = None,
        workers: SampleWorkersOption = None,
        processes: ProcessesOption = None,
        device: TrainingDeviceOption = None,
        start_from: StartOption = None,
        channel: ChannelOption = None,
        label: LabelOption = None,
        export: ExportOption = CheckpointChoice.BEST,
        export_only: ExportOnlyOption = False,
        quiet: ErrorsOnlyOption = False,
    ) -> None:
        with exit_on_error():
            require("train")
            folds, one = _folds(fold)
            given = {"fold": one, "steps": steps, "patience": patience, "seed": seed}
            given |= {"threads": threads, "workers": workers, "processes": processes, "device": device}
            request = TrainRequest(
                kind=kind,
                data=data.resolve(),
                settings=read_settings(settings_class, settings, given, preset=preset, purpose=purpose),
                hard=None if hard is None else hard.resolve(),
                unchecked_hard=unchecked_hard,
                start_from=None if start_from is None else start_from.resolve(),
                names=DatasetNames.parse(channel or (), label or ()),
                folds=folds,
                command=_command(),
            )
            _run(RunFolder(out.resolve()), request, export, export_only=export_only, quiet=quiet)


_add_training(
    ModelKind.WHOLE,
    WholeSettings,
    "Train UNet^whole: 14 classes on whole scans, any subset of phases.\n\n"
    "Example: livercascade train whole --data cases --out runs/whole --preset desk --fold each",
)
_add_training(
    ModelKind.PATCH,
    PatchSettings,
    "Train UNet^patch: 8 classes on lesion-shuffled patches of liver.\n\n"
    "Example: livercascade train patch --data cases --hard runs/whole/out_of_fold --out runs/patch --fold each",
)


@app.command()
def types(
    data: Annotated[list[Path], typer.Option(help="Folder of cases, <case>/{nc,ap,vp,dp,labels}.nii.gz; repeatable.")],
    out: RunOption,
    settings: TomlOption = None,
    seed: SeedOption = None,
    processes: ProcessesOption = None,
    quiet: ErrorsOnlyOption = False,
) -> None:
    """Train the network that tells lesion types from how lesions take up contrast medium; minutes on a CPU.

    Example: livercascade train types --data cases --out runs/types --processes 2
    """
    from livercascade.train.lesion_classifier_training import measure_cases, read_measured, train_types

    with exit_on_error():
        chosen = read_settings(LesionClassifierSettings, settings, {"seed": seed, "processes": processes})
        cases = [case for folder in data for case in find_cases(folder.resolve())]
        with progress_steps("measured cases", len(cases), quiet=quiet) as advance:
            files: list[Path] = []
            for path in measure_cases(cases, out / "measured", chosen):
                files.append(path)
                advance()
        measured = read_measured(files)
        with progress_steps("members", chosen.folds, quiet=quiet) as advance:
            card = train_types(measured, out / "model", chosen, command=_command(), advance=advance)
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    for phases, row in card.scores.items():
        console.print(f"{phases}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))
    console.print(f"model: {out / 'model'}")


@app.command("out-of-fold")
def out_of_fold(
    run: Annotated[Path | None, typer.Option(help="Run of UNet^whole; OUT is then RUN/out_of_fold.")] = None,
    model: Annotated[Path | None, typer.Option(help="Instead: a model that saw none of the cases in DATA.")] = None,
    data: Annotated[Path | None, typer.Option(help="Cases to predict with --model.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the label maps; those already there are kept.")] = None,
    factor: Annotated[float, typer.Option(help="Sensitivity factor f.")] = 4.0,
    overlap: Annotated[float, typer.Option(help="Overlap of neighbouring windows.")] = 0.25,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 1,
    export: ExportOption = CheckpointChoice.BEST,
    channel: ChannelOption = None,
    label: LabelOption = None,
    quiet: ErrorsOnlyOption = False,
) -> None:
    """Predict every training case with the network that did not see it; killed or stopped, it goes on where it was.

    Example: livercascade train out-of-fold --run runs/whole --workers 2
    """
    from livercascade.train.out_of_fold import OutOfFoldSettings, jobs_of_model, jobs_of_run, predict_jobs

    with exit_on_error():
        if run is not None:
            jobs = jobs_of_run(RunFolder(run.resolve()), export)
            out = out or RunFolder(run.resolve()).out_of_fold
        elif model is not None and data is not None and out is not None:
            jobs = jobs_of_model(model.resolve(), data.resolve(), DatasetNames.parse(channel or (), label or ()))
        else:
            raise UsageError("WRONG_USE", "Nothing to predict with.", "Give --run, or --model, --data and --out.")
        settings = OutOfFoldSettings(factor=factor, overlap=overlap, device=device)
        waiting, names_done = predict_jobs(jobs, out, settings, workers=workers)
        with (
            stop_requests(with_parent=False) as stop,
            contextlib.closing(names_done),
            progress_steps("unseen cases", waiting, quiet=quiet) as advance,
        ):
            for _ in names_done:
                advance()
                if stop():
                    raise typer.Exit(STOPPED)
        Console(quiet=quiet, soft_wrap=True).print(f"{len(jobs)} label maps at f = {factor:g}: {out}")


@app.command("import")
def import_folder(
    source: Annotated[
        Path, typer.Argument(help="Folder of <case>/image.nii.gz and labels.nii.gz: 1 liver, 2 lesion; see the docs.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of training cases; those already there are kept.")],
    phase: Annotated[Phase, typer.Option(case_sensitive=False, help="Contrast phase of all scans.")],
    min_contrast: Annotated[
        float,
        typer.Option(min=0, help="Lesions whose record tells a smaller difference to the liver, in HU, are ignored."),
    ] = MIN_CONTRAST_HU,
    quiet: ErrorsOnlyOption = False,
) -> None:
    """Make training cases of scans with a liver mask and lesions of unknown type; what was not drawn is left open.

    Example: livercascade train import scans --out cases --phase VP
    """
    with exit_on_error():
        scans = find_scans(source)
        with progress_steps("importing scans", len(scans), quiet=quiet) as advance:
            for home in scans:
                import_scan(home, out / home.name, phase=phase, min_contrast=min_contrast)
                advance()


@app.command()
def teach(
    studies: Annotated[list[Path], typer.Argument(help="Studies without masks: DICOM folders or folders of phases.")],
    out: Annotated[Path, typer.Option(help="Folder of training cases; those already there are kept.")],
    whole: Annotated[
        Path | None, typer.Option(help="Model folder of the teacher, a UNet^whole; bundled if absent.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    quiet: ErrorsOnlyOption = False,
) -> None:
    """Make training cases of studies without masks: the liver where a network sees it in all views, the rest left open.

    Example: livercascade train teach study1 study2 --whole runs/whole/model --out cases
    """
    from livercascade.cascade.cascade import Cascade
    from livercascade.cascade.teacher_labels import write_teacher_case
    from livercascade.io.study_reader import read_study

    with exit_on_error():
        cascade = Cascade.load(whole=whole, device=device)
        with progress_steps("studies", len(studies), quiet=quiet) as advance:
            for source in studies:
                study = read_study(source)
                if not (out / study.case_id).is_dir():
                    write_teacher_case(study, cascade, out / study.case_id)
                advance()


@app.command()
def presets(
    name: Annotated[TrainingPreset | None, typer.Argument(help="Preset to print as TOML.")] = None,
    network: Annotated[ModelKind, typer.Option(help="Of which network.")] = ModelKind.WHOLE,
) -> None:
    """List the presets, or print one as a TOML file to start from.

    Example: livercascade train presets desk --network patch > mine.toml
    """
    if name is not None:
        typer.echo(preset_text(name, WholeSettings if network is ModelKind.WHOLE else PatchSettings), nl=False)
        return
    for preset in TrainingPreset:
        typer.echo(f"{preset.value}\n  " + describe_preset(preset).replace("\n", "\n  "))


@app.command(hidden=True)
def work(out: Path, quiet: ErrorsOnlyOption = False) -> None:
    """Carry out the request noted in a run folder, in this process."""
    with stop_requests() as stop:
        with exit_on_error():
            request = read_request(RunFolder(out))
            folder = RunFolder(out, request.prepared)
            with ConsoleReporter(request.settings.log_every, quiet=quiet) as reporter:
                complete = _train(folder, request, reporter, stop)
            if complete:
                note_finished(folder, request)
        raise typer.Exit(0 if complete else STOPPED)


def _run(
    folder: RunFolder, request: TrainRequest, weights: CheckpointChoice, *, export_only: bool, quiet: bool
) -> None:
    from livercascade.train.model_export import export_folds, export_run

    if not export_only:
        _check(request)
        _train_all(folder, request, quiet=quiet)
    folds = request.folds or (read_request(folder).folds if folder.request.is_file() else ())
    place = export_folds(folder, range(FOLDS), weights) if folds else export_run(folder, weights)
    Console(quiet=quiet, soft_wrap=True).print(f"model: {place}")


def _check(request: TrainRequest) -> None:
    """Refuses what cannot work before anything starts."""
    from livercascade.train.out_of_fold import check_hard_cases

    cases = find_training_cases(request)
    if request.start_from is not None:
        # To check it alone: a damaged file must not come to light after hours of preparation.
        load_model_networks(request.start_from)
    if request.hard is not None and not request.unchecked_hard:
        check_hard_cases(request.hard, [case.name for case in cases])


def _train_all(folder: RunFolder, request: TrainRequest, *, quiet: bool) -> None:
    if request.folds:
        write_request(folder, request)
        _train_folds(folder, request, quiet=quiet)
        return
    one = request.model_copy(update={"start_from": start_folder(request)})
    write_request(folder, one)
    _start(folder, one, quiet=quiet)


def _train_folds(folder: RunFolder, request: TrainRequest, *, quiet: bool) -> None:
    """One fold after the other; those that are done are passed over."""
    console = Console(quiet=quiet, soft_wrap=True)
    with stop_requests(with_parent=False) as stop:
        for fold in request.folds:
            one, asked = folder.fold(fold), request_of_fold(request, folder, fold)
            if is_finished(one, asked):
                console.print(f"fold {fold} is done")
                continue
            if stop():
                raise typer.Exit(STOPPED)
            write_request(one, asked)
            _start(one, asked, quiet=quiet)


def _start(folder: RunFolder, request: TrainRequest, *, quiet: bool) -> None:
    # A new process: OpenMP and the allocator read their environment only when they are loaded.
    command = [sys.executable, "-m", "livercascade.cli.train", "work", str(folder.root)]
    code = run_process(
        [*command, "--quiet"] if quiet else command, training_environment(folder, request.settings.threads)
    )
    if code != 0:
        raise typer.Exit(code if code == STOPPED else 1)


def _train(folder: RunFolder, request: TrainRequest, reporter: ConsoleReporter, stop: Callable[[], bool]) -> bool:
    # nnU-Net takes seconds to import: only the training process pays for it.
    if request.kind is ModelKind.WHOLE:
        from livercascade.train.whole.train_whole import train_whole

        return train_whole(folder, request, reporter, stop)
    from livercascade.train.patch.train_patch import train_patch

    return train_patch(folder, request, reporter, stop)


def _folds(text: str | None) -> tuple[tuple[int, ...], int | str | None]:
    """Folds of a training over folds, or none and what ``fold`` of an ordinary one is."""
    if text == "each":
        return tuple(range(FOLDS)), None
    if text is not None and "," in text:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts or not all(part.isdigit() and int(part) < FOLDS for part in parts):
            raise UsageError("BAD_SETTINGS", f"--fold {text} names no folds.", "Give 0 to 4, '0,2', 'each' or 'all'.")
        return tuple(sorted({int(part) for part in parts})), None
    return (), int(text) if text is not None and text.isdigit() else text


def _command() -> str:
    given = sys.argv[1:]
    return shlex.join(["livercascade", *(given if given[:1] == ["train"] else ["train", *given])])


if __name__ == "__main__":
    app()
