"""The page of settings, from the records of the stages."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from enum import Enum

from pydantic import BaseModel

from livercascade.cascade.settings import CascadeSettings

HEAD = """# Settings

`livercascade predict --settings FILE` reads a TOML file; what it leaves out keeps its default. There is one part for
each stage, in the order of the stages:

```toml
[detect]
high_factor = 8.0

[reclassify]
relabel = true
```

From Python: `lc.CascadeSettings().changed("detect", high_factor=8.0)`, given to `lc.Cascade.load`. Files of before
version 0.2, with everything in one table, are read with a note that names the new places.

What a stage makes depends on its own part and on those before it. Two results whose
[`stage_sha256`][livercascade.cascade.settings.CascadeSettings.stage_sha256] agree for a stage were made alike up to
there.
"""


def settings_page() -> str:
    """Markdown of the page: every setting with its default and meaning."""
    return HEAD + "".join(_parts(CascadeSettings(), ()))


def _parts(record: BaseModel, place: tuple[str, ...]) -> Iterator[str]:
    """The table of a record, then those of the records in it."""
    values = {name: getattr(record, name) for name in type(record).model_fields}
    nested = {name: value for name, value in values.items() if isinstance(value, BaseModel)}
    plain = {name: value for name, value in values.items() if name not in nested}
    if place:
        yield f"\n## [{'.'.join(place)}]\n\n{_first_line(record)}\n"
    if plain:
        meanings = _meanings(type(record))
        yield "\n| setting | default | meaning |\n|---|---|---|\n"
        yield from (f"| `{name}` | {_shown(value)} | {meanings.get(name, '')} |\n" for name, value in plain.items())
    for name, value in nested.items():
        yield from _parts(value, (*place, name))


def _first_line(record: BaseModel) -> str:
    return (inspect.getdoc(type(record)) or "").split("\n\n")[0].replace("``", "`").replace("\n", " ")


def _meanings(kind: type[BaseModel]) -> dict[str, str]:
    """Meaning of each field: its description, or its entry in the section ``Attributes`` of the docstring."""
    described = {name: field.description for name, field in kind.model_fields.items() if field.description}
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].split("\n\n")[0]
    entries = re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return described | {
        name: " ".join(text.split()).replace("``", "`").replace("|", "\\|")
        for names, text in entries
        for name in names.split(", ")
    }


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Enum):
        choices = ", ".join(f"`{choice.value}`" for choice in type(value) if choice is not value)
        return f'`"{value.value}"` (or {choices})'
    if isinstance(value, tuple) and any(isinstance(one, BaseModel) for one in value):
        return f"{len(value)} tables"
    return f"`{json.dumps(value, default=str)}`"
