"""Extension of griffe: examples in docstrings become blocks of code, and double backticks single ones."""

from __future__ import annotations

from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Fences the examples, which Markdown would take for quotations."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:  # noqa: ARG002
        """Changes the docstring of every object that has one."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value).replace("``", "`")


def fenced(text: str) -> str:
    """Docstring with each run of example lines in a fence.

    Args:
        text: Docstring without its common indentation.
    """
    lines: list[str] = []
    inside = False
    for line in [*text.splitlines(), ""]:
        begins = line.lstrip().startswith(">>> ")
        if begins and not inside:
            lines += ["", "~~~pycon"]
            inside = True
        elif inside and not line.strip():
            lines += ["~~~", ""]
            inside = False
        lines.append(line.strip() if inside and begins else line)
    return "\n".join(lines[:-1])
