"""A page for a JSON Schema: every record with its fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def schema_page(path: Path, file: str) -> str:
    """Markdown of the page.

    Args:
        path: JSON Schema inside ``docs``.
        file: Name of the files that it describes.
    """
    schema = json.loads(path.read_text(encoding="utf-8"))
    records = {schema["title"]: schema} | schema.get("$defs", {})
    parts = [
        f"# {file}\n\n{_sentence(schema.get('description', ''))} "
        f"The [JSON Schema](../{path.name}) says the same for programs; its version is in the field `schema_version`.\n"
    ]
    parts += [_record(name, record) for name, record in records.items()]
    return "".join(parts)


def _record(name: str, record: dict[str, Any]) -> str:
    head = f"\n## {name}\n\n{_sentence(record.get('description', ''))}\n"
    if "enum" in record:
        return head + "\nOne of " + ", ".join(f"`{value}`" for value in record["enum"]) + ".\n"
    if "properties" not in record:
        return head + f"\n{_kind(record)}\n"
    needed = set(record.get("required", ()))
    rows = "".join(
        f"| `{key}` | {_kind(value)}{'' if key in needed else ', optional'} | {_cell(value.get('description', ''))} |\n"
        for key, value in record["properties"].items()
    )
    return f"{head}\n| field | kind | meaning |\n|---|---|---|\n{rows}"


def _kind(value: dict[str, Any]) -> str:
    """What a field holds, in words."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    for word in ("anyOf", "allOf", "oneOf"):
        if word in value:
            return " or ".join(dict.fromkeys(_kind(one) for one in value[word]))
    if value.get("type") == "array":
        if "prefixItems" in value:
            return "[" + ", ".join(_kind(one) for one in value["prefixItems"]) + "]"
        return f"list of {_kind(value.get('items', {}))}"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"object of {_kind(inner)}" if isinstance(inner, dict) else "object"
    return str(value.get("type", "any")) + _range(value)


def _range(value: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "&lt;"}
    found = [f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value]
    return f" ({', '.join(found)})" if found else ""


def _sentence(text: str) -> str:
    return _cell(text.split("\n\nAttributes:")[0])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("``", "`")
