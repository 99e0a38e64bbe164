"""``livercascade label``: the CT Labeler in the browser."""

from __future__ import annotations

import getpass
import itertools
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from livercascade.cli.error_exit import exit_on_error

_OPEN_TO_OTHERS = (
    "Warning: other machines can reach this server, and what passes between is not encrypted. "
    "Put a proxy with TLS before it."
)


def label(
    place: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of cases (<case>/nc|ap|vp|dp.nii.gz), one case, or a project.")
    ],
    predictions: Annotated[
        Path | None,
        typer.Option(help="Folder of predictions to compare with: <case>/segmentation.nii.gz or <case>.nii.gz."),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="Where versions and journals are kept; DIR/labelling if not given.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Name of the reader; the page can change it.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any that is free.")] = 0,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; any other than loopback lets other machines in, without encryption."),
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(help="Write the secret for scripts (Authorization: Bearer) to this file.")
    ] = None,
    cache_gb: Annotated[float, typer.Option(min=0, help="Limit of the cache of decoded volumes.")] = 20.0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Label lesions and organs in four-phase CT; compare masks and correct them, in the browser.

    Images are only read. Versions, drafts and history are plain files in DIR/labelling.

    Example: livercascade label cohort --predictions results
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with exit_on_error():
        from livercascade.labeler.http.server import is_loopback, serve
        from livercascade.labeler.project.identifiers import checked_user
        from livercascade.labeler.project.project_folder import Project
        from livercascade.labeler.project.workspace import Workspace

        reader = checked_user(user if user is not None else _account())
        opened = Project.open(place, project=project, predictions=predictions)
        workspace = Workspace(opened, reader, int(cache_gb * (1 << 30)))
        workspace.prune()
        count = len(opened.case_ids())
        console.print(f"{opened.title}: {count} case{'s' if count != 1 else ''}; versions are kept in {opened.folder}")
        if not is_loopback(host):
            console.print(_OPEN_TO_OTHERS)
        console.print("Ctrl+C stops the server; nothing that was confirmed is lost.")
        try:
            show = _link_printer(console, browser=browser)
            serve(workspace, host=host, port=port, token_file=token_file, show_link=show)
        finally:
            opened.close()


def _link_printer(console: Console, *, browser: bool) -> Callable[[str], None]:
    """Prints each one-time link as it is made; the first is opened in the browser, if wanted."""
    numbers = itertools.count()

    def tell(link: str) -> None:
        first = next(numbers) == 0
        console.print(f"{'Open' if first else 'Next link, once this one is needed:'} {link}")
        if first and browser:
            webbrowser.open(link)

    return tell


def _account() -> str:
    """Name of the account, as far as it can name a reader."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "reader"
    return "".join(c for c in name if c.isalnum() or c in " ._-").strip(" .")[:40] or "reader"
