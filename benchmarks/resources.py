"""Peak memory and time of `predict` on a four-phase study of 60 slices of 512 x 512, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from speed.study import make_study

SLICES = 60


def main(seed: Annotated[int, typer.Option(help="Which virtual patient.")] = 900_004) -> None:
    """Print seconds per stage and peak memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = make_study(folder, seed, SLICES)
        command = [sys.executable, "-m", "livercascade.cli.main", "predict", str(study), "--out", str(folder / "out")]
        subprocess.run([*command, "--quiet"], check=True)
        made = json.loads((folder / "out" / "result.json").read_text())["provenance"]
    print(f"virtual patient {seed}, four phases {SLICES} x 512 x 512, device {made['device']}")
    print(f"peak memory {made['peak_rss_mb'] / 1024:.2f} GB; seconds {made['seconds']}")


if __name__ == "__main__":
    typer.run(main)
