"""``livercascade watch``: analyse the studies that appear in a folder."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.model_options import DeviceOption, PatchOption, SettingsOption, TypesOption, WholeOption
from livercascade.pacs.folder_watch import watch_service
from livercascade.pacs.pacs_settings import AnalysisLimits
from livercascade.pacs.service import stopped_by_signals
from livercascade.pacs.service_log import write_log

MinutesOption = Annotated[float, typer.Option(min=0.1, help="Longest time of one analysis.")]
MemoryOption = Annotated[float, typer.Option(min=0.1, help="Most memory of one analysis.")]
OnceOption = Annotated[bool, typer.Option("--once", help="End when every study that is there has been analysed.")]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Tell more, names and identifiers of patients among it; not for every day.")
]


def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that studies are put into.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the results, one case folder for each study.")],
    quiet_seconds: Annotated[
        float, typer.Option(min=0, help="A study is complete when nothing of it has changed for so long.")
    ] = 30.0,
    once: OnceOption = False,
    device: DeviceOption = "auto",
    whole: WholeOption = None,
    patch: PatchOption = None,
    types: TypesOption = None,
    settings: SettingsOption = None,
    minutes: MinutesOption = 60.0,
    memory_gb: MemoryOption = 16.0,
    debug: DebugOption = False,
) -> None:
    """Analyse each DICOM or NIfTI study that appears in a folder; the log is JSON lines on standard error.

    Ctrl-C or SIGTERM ends it; it goes on where it was when it is started again.

    Example: livercascade watch incoming --out results
    """
    write_log(debug=debug)
    limits = AnalysisLimits(
        settings=settings,
        whole=whole,
        patch=patch,
        types=types,
        device=device,
        minutes=minutes,
        memory_gb=memory_gb,
    )
    stop = threading.Event()
    with (
        exit_on_error(),
        stopped_by_signals(stop),
        watch_service(folder, out, quiet_seconds=quiet_seconds, analysis=limits, stop=stop) as service,
    ):
        if once:
            raise typer.Exit(service.run_once())
        service.run()
