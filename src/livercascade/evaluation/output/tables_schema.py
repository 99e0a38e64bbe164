"""The JSON Schema of ``tables.json`` as a file."""

from __future__ import annotations

import json
from pathlib import Path

from livercascade.evaluation.output.tables_json import Tables


def schema_text() -> str:
    """JSON Schema of `Tables` as indented text with a newline at the end."""
    return json.dumps(Tables.model_json_schema(mode="serialization"), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path) -> None:
    """Write the JSON Schema to ``path``, replacing what is there."""
    path.write_text(schema_text(), encoding="utf-8")
