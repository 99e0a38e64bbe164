"""Errors made for users become one line and an exit code."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import typer
from rich.console import Console

from livercascade.data.errors import CascadeError


@contextmanager
def exit_on_error() -> Generator[None, None, None]:
    """Print a `CascadeError` on standard error and leave with its exit code."""
    try:
        yield
    except CascadeError as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(str(error))
        raise typer.Exit(error.exit_code) from error
