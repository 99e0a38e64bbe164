"""The installed wheel without Node: ``livercascade label`` of another environment serves the page, and it opens.

Run: python benchmarks/labeler_wheel.py --command runs/wheel/venv/bin/livercascade   (make wheel-check does all of it)
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from playwright.sync_api import sync_playwright

SHAPE = (40, 64, 64)


def make_case(folder: Path) -> None:
    """Four small phases of an ellipsoid with a liver and one lesion."""
    folder.mkdir(parents=True)
    affine = np.diag([-2.0, -2.0, 5.0, 1.0])
    z, y, x = (np.linspace(-1, 1, n) for n in SHAPE)
    radius = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    for phase, level in {"nc": 55, "ap": 75, "vp": 110, "dp": 90}.items():
        hu = np.where(radius < 0.9, level, -1000).astype(np.int16)
        nib.save(nib.Nifti1Image(hu.transpose(), affine), folder / f"{phase}.nii.gz")
    labels = np.where(radius < 0.2, 1, np.where(radius < 0.8, 7, 0)).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels.transpose(), affine), folder / "labels.nii.gz")


def link_of(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The login link, once the server has told it."""
    while not (found := re.search(r"http://\S+token=\S+", log.read_text())):
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.05)
    return found[0]


def opened(link: str) -> str:
    """What the page shows: phases, renderer and lesions."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(link)
        page.wait_for_function("() => window.ctLabeler?.state().shown.length === 4 && ctLabeler.state().lesions")
        state = page.evaluate("() => ctLabeler.state()")
        browser.close()
    names = ", ".join(name.split("-")[0] for name in state["shown"])
    return f"four panes ({names}) and {len(state['lesions'])} lesion are shown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", type=Path, required=True, help="livercascade of the environment to try.")
    command = parser.parse_args().command.absolute()
    alone = {**os.environ, "PATH": str(command.parent), "PYTHONPATH": ""}
    node = shutil.which("node", path=alone["PATH"])
    with tempfile.TemporaryDirectory() as scratch:
        make_case(Path(scratch) / "cohort" / "case")
        log = Path(scratch) / "log.txt"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [command, "label", Path(scratch) / "cohort", "--no-browser", "--user", "check"],
                stderr=stream,
                env=alone,
            )
        try:
            print(f"{'node is on PATH' if node else 'no node on PATH'}: {opened(link_of(log, process))}")
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
