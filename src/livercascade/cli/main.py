"""The command ``livercascade``."""

from __future__ import annotations

from typing import Annotated

import typer

from livercascade import __version__
from livercascade.cli.lazy import Command, lazy_group

COMMANDS = {
    "demo": Command(
        "predict_command", "demo", "Make a virtual four-phase patient, analyse it, and say where the report lies."
    ),
    "predict": Command("predict_command", "predict_command", "Find, type and filter liver lesions in one study."),
    "check": Command("check", "check", "Read a study as predict would and print what is in it."),
    "convert": Command("convert", "convert", "Write what was read from a study, one NIfTI file per phase."),
    "deidentify": Command("deidentify", "deidentify_command", "Copy CT studies without names, places and days."),
    "align": Command("align", "align", "Carry one CT phase onto another by deformable registration."),
    "evaluate": Command(
        "evaluate",
        "evaluate_command",
        "Compare found lesions with the truth: tables, figures, one page.",
        ("evaluate",),
    ),
    "reproduce": Command(
        "reproduce",
        "reproduce",
        "Make patients, train, predict, and judge each of the paper's claims.",
        ("evaluate", "train"),
    ),
    "label": Command("label", "label", "Open the CT Labeler on a folder of cases in the browser.", ("label",)),
    "watch": Command("watch", "watch", "Analyse the studies that appear in a folder."),
    "pacs": Command(
        "pacs_commands", "app", "Fetch studies from a PACS, analyse them, send results back.", ("dicom", "pacs")
    ),
    "virtual": Command("virtual", "virtual", "Make virtual four-phase liver CT with exact truth."),
    "paint": Command("paint", "paint", "Paint virtual lesions into real scans, and make phases that they lack."),
    "train": Command("train", "app", "Train UNet^whole and UNet^patch on folders of cases."),
    "models": Command("models", "app", "Look at model folders, calibrate them, import those of nnU-Net."),
}
"""In the order of the help; their own help says more."""

app = typer.Typer(
    name="livercascade",
    help="Finds, types and filters liver lesions in CT. Research software, not a medical device.",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


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
