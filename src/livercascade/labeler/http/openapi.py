"""The interface as an OpenAPI file, from which the types of the page are made.

Run: python -m livercascade.labeler.http.openapi labeler-web/openapi.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from livercascade.labeler.http.application import interface
from livercascade.system.files import write_file


def openapi_text() -> str:
    """The description of the interface as JSON, the same for the same code."""
    return json.dumps(interface().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_file(Path(sys.argv[1]), openapi_text())
