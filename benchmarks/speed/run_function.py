"""Runs one function of this folder and prints what it returns as JSON, the last line of the output."""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    module, function, arguments = sys.argv[1:]
    result = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    print()
    print(json.dumps(result))
