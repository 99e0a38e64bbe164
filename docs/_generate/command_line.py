"""The page of the command line, from the help of the commands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import typer

from livercascade.cli.main import app

HEAD = """# Command line

`livercascade --help`, and `--help` after every command, say the same. Options may stand in any order.
"""


def command_line_page() -> str:
    """Markdown of the page: every command with its arguments, options and example."""
    return HEAD + "".join(_sections(typer.main.get_command(app), ("livercascade",)))


def _sections(command: Any, words: tuple[str, ...]) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children is None:
        yield _section(command, words)
    for name, child in (children or {}).items():
        if not child.hidden:
            yield from _sections(child, (*words, name))


def _section(command: Any, words: tuple[str, ...]) -> str:
    parts = [f"\n## {' '.join(words[1:])}\n\n{_help(command.help or '')}\n"]
    context = typer.Context(command, info_name=words[-1])
    rows = [
        _row(parameter, context) for parameter in command.params if not parameter.hidden and parameter.name != "help"
    ]
    if rows:
        parts.append("\n| argument or option | meaning | default |\n|---|---|---|\n" + "".join(rows))
    return "".join(parts)


def _help(text: str) -> str:
    """The help, with its example as a block of code."""
    text = text.replace("\b\n", "")
    return re.sub(r"(?m)^Example: (.*)$", r"```sh\n\1\n```", text)


def _row(parameter: Any, context: typer.Context) -> str:
    """A row from the lines that ``--help`` prints: name, help, and what stands in brackets at its end."""
    name, text = parameter.get_help_record(context)
    words, extra = re.fullmatch(r"(.*?)\s*(?:\[([^\[\]]*)\])?", text, re.DOTALL).groups()
    needed = (extra or "").removeprefix("default: ")
    # The number of processors of the machine that builds the page says nothing.
    shown = "processors" if parameter.name == "workers" and needed == str(os.cpu_count()) else needed
    return f"| `{name.replace('|', ' / ')}` | {_cell(words)} | {_cell(shown)} |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
