"""``livercascade pacs``: studies from a PACS and results back to it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.watch import DebugOption
from livercascade.pacs.build_service import listen_service, poll_service, spool_of
from livercascade.pacs.connection_check import check_connections
from livercascade.pacs.fetch_study import fetch_study
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.pacs_settings import read_pacs_settings
from livercascade.pacs.service import stopped_by_signals
from livercascade.pacs.service_log import write_log
from livercascade.pacs.study_job import Origin, StudyJob

app = typer.Typer(
    help="Fetch studies from a PACS, analyse them, send results back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file of the service's settings.")]
_OnceOption = Annotated[bool, typer.Option("--once", help="End when every study that is there now has ended.")]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("poll")
def poll(config: ConfigArgument, once: _OnceOption = False, debug: DebugOption = False) -> None:
    """Ask an archive for new studies by DICOMweb, analyse each once it is complete, store the results there.

    Runs until SIGTERM or Ctrl-C and goes on where it was when it is started again. The log is JSON lines on standard
    error.

    Example: livercascade pacs poll pacs.toml
    """
    _begin(debug)
    stop = threading.Event()
    with (
        exit_on_error(),
        stopped_by_signals(stop),
        poll_service(read_pacs_settings(config), stop=stop) as service,
    ):
        if once:
            raise typer.Exit(service.run_once())
        service.run()


@app.command("listen")
def listen(config: ConfigArgument, debug: DebugOption = False) -> None:
    """Take studies that a PACS or scanner sends by C-STORE, analyse each once it is complete, send the results.

    Runs until SIGTERM or Ctrl-C and goes on where it was when it is started again.

    Example: livercascade pacs listen pacs.toml
    """
    _begin(debug)
    stop = threading.Event()
    with (
        exit_on_error(),
        stopped_by_signals(stop),
        listen_service(read_pacs_settings(config), stop=stop) as (service, _),
    ):
        service.run()


@app.command("fetch")
def fetch(
    config: ConfigArgument,
    study: Annotated[str, typer.Argument(metavar="STUDY", help="StudyInstanceUID.")],
    debug: DebugOption = False,
) -> None:
    """Have a PACS send one study to us by C-MOVE; it must know the AE title and address of [listen].

    Where `pacs listen` runs, the study goes its way there. Otherwise it is received, analysed and its results are sent
    before the command ends.

    Example: livercascade pacs fetch pacs.toml 1.2.840.113619.2.5.1762583153
    """
    _begin(debug)
    stop = threading.Event()
    with exit_on_error(), stopped_by_signals(stop):
        raise typer.Exit(fetch_study(read_pacs_settings(config), study, stop=stop))


@app.command("check")
def check_config(
    config: ConfigArgument,
    models: Annotated[bool, typer.Option(help="Load the models too, which takes seconds.")] = True,
    as_json: _JsonOption = False,
) -> None:
    """Try everything that the service needs: secrets, disk, archive (QIDO-RS), peer (C-ECHO), listener, models.

    Example: livercascade pacs check pacs.toml
    """
    with exit_on_error():
        parts = check_connections(read_pacs_settings(config), models=models)
    if as_json:
        typer.echo(json.dumps([{"name": p.name, "found": p.found, "code": p.code} for p in parts], indent=2))
    else:
        table = Table("part", "", "found", box=SIMPLE_HEAD)
        for part in parts:
            table.add_row(part.name, part.code or "ok", escape(part.found))
        Console(highlight=False, soft_wrap=True).print(table)
    raise typer.Exit(int(any(part.code for part in parts)))


@app.command("status")
def status(config: ConfigArgument, as_json: _JsonOption = False) -> None:
    """List the studies in the spool with their states; they are named by salted hashes, as in the log.

    Example: livercascade pacs status pacs.toml
    """
    with exit_on_error():
        jobs = [job for store in _stores(config) for job in store.all()]
    if as_json:
        typer.echo(json.dumps([_told(job) for job in jobs], indent=2))
        return
    table = Table("study", "from", "state", "images", "code", box=SIMPLE_HEAD)
    for job in jobs:
        table.add_row(job.key, job.origin.value, job.state.value, str(job.images), job.code)
    Console(highlight=False, soft_wrap=True).print(table)


@app.command("retry")
def retry(
    config: ConfigArgument,
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", help="Names as `pacs status` prints them.")],
) -> None:
    """Try studies again that were rejected or failed; the service does it, at once if it runs.

    Example: livercascade pacs retry pacs.toml 0f3c5a7e9b1d2c4e6f80
    """
    with exit_on_error():
        stores = _stores(config)
        for key in studies:
            holding = [store for store in stores if store.get(key) is not None]
            (holding or stores)[0].ask_retry(key)


def _begin(debug: bool) -> None:
    write_log(debug=debug)
    # Images and results of patients are for this account alone.
    os.umask(0o077)


def _stores(config: Path) -> list[JobStore]:
    settings = read_pacs_settings(config)
    return [JobStore(spool_of(settings, origin)) for origin in (Origin.POLL, Origin.LISTEN)]


def _told(job: StudyJob) -> dict[str, object]:
    return {
        "study": job.key, "from": job.origin.value, "state": job.state.value, "images": job.images, "code": job.code,
        "attempts": job.attempts,
    }  # fmt: skip
