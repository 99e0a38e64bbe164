"""The command ``livercascade``."""

from __future__ import annotations

from typing import Annotated

import typer

from livercascade import __version__
from livercascade.cli import train
from livercascade.cli.align import align
from livercascade.cli.check import check
from livercascade.cli.convert import convert
from livercascade.cli.evaluate import evaluate_command
from livercascade.cli.label import label
from livercascade.cli.predict import demo, predict_command
from livercascade.cli.virtual import virtual

app = typer.Typer(
    name="livercascade",
    help="Finds, types and filters liver lesions in CT. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command("demo")(demo)
app.command("predict")(predict_command)
app.command("check")(check)
app.command("convert")(convert)
app.command("virtual")(virtual)
app.command("evaluate")(evaluate_command)
app.command("align")(align)
app.command("label")(label)
app.add_typer(train.app, name="train")


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"livercascade {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take options that go before the command."""


if __name__ == "__main__":
    app()
