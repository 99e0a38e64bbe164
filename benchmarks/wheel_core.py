"""The installed wheel with the core alone: a virtual patient is made, checked, converted and analysed.

Run: python benchmarks/wheel_core.py --command runs/wheel/venv/bin/livercascade   (make wheel-check does all of it)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

SEED = 900_008


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", type=Path, required=True, help="livercascade of the environment to try.")
    command = parser.parse_args().command.absolute()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(command, "virtual", "--seed", SEED, "--matrix", 160, "--out", folder / "patients")
        (study,) = (path for path in (folder / "patients").iterdir() if (path / "vp.nii.gz").is_file())
        run(command, "check", study)
        run(command, "convert", study, "--out", folder / "converted")
        run(command, "predict", study, "--out", folder / "result", "--quiet")
        result = json.loads((folder / "result" / "result.json").read_text())
        print(f"verdict {result['verdict']['joint']}, {len(result['lesions'])} candidates")
        for words in (("evaluate", "--truth", study, "--found", folder, "--out", folder / "e"), ("label", study)):
            said = run(command, *words, status=2).stderr
            if not said.startswith("EXTRA_MISSING: ") or said.count("\n") != 1:
                raise SystemExit(f"{words[0]} without its extra says: {said}")
            print(said, end="")


def run(command: Path, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """The command in its own environment alone; any other exit status ends the check."""
    alone = {**os.environ, "PATH": str(command.parent), "PYTHONPATH": ""}
    start = time.monotonic()
    done = subprocess.run(
        [command, *map(str, words)],
        env=alone,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != status:
        raise SystemExit(f"{words[0]}: exit status {done.returncode}\n{done.stderr}")
    print(f"{words[0]}: exit status {status}, {time.monotonic() - start:.0f} s")
    return done


if __name__ == "__main__":
    main()
