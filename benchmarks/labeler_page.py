"""Times of the CT Labeler's page in a headless Chromium: first picture, scrolling, memory.

Makes its cases itself (four phases of noise over ellipsoids, 60 and 400 slices of 512 x 512; sizes, not anatomy,
decide these times), opens each twice (the first time the server decodes the files, the second time it has them), and
prints a line each. Run: python benchmarks/labeler_page.py [--slices 60 400] [--out DIR]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil

SIDE = 512
GOALS_S = {60: 3, 400: 6}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def make_case(folder: Path, slices: int) -> None:
    """Four phases, and a mask with fifteen lesions."""
    folder.mkdir(parents=True)
    affine = np.diag([-0.75, -0.75, 300 / slices, 1.0])
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 12, (8, SIDE, SIDE)).astype(np.int16)
    y, x = np.ogrid[:SIDE, :SIDE]
    body = (((y - 256) / 170) ** 2 + ((x - 256) / 230) ** 2) < 1
    liver = (((y - 240) / 110) ** 2 + ((x - 190) / 120) ** 2) < 1
    for phase, level in {"nc": 55, "ap": 75, "vp": 110, "dp": 90}.items():
        volume = np.full((slices, SIDE, SIDE), -1000, np.int16)
        for z in range(slices):
            volume[z][body] = 20
            volume[z][liver] = level
            volume[z] += noise[z % 8]
        nib.save(nib.Nifti1Image(volume.transpose(), affine), folder / f"{phase}.nii.gz")
    mask = np.zeros((slices, SIDE, SIDE), np.uint8)
    mask[:, liver] = 7
    for k in range(15):
        centre = (slices * (k + 1) // 17, 170 + 9 * k, 120 + 11 * k)
        grow = np.ogrid[:slices, :SIDE, :SIDE]
        near = (
            sum(((axis - c) / r) ** 2 for axis, c, r in zip(grow, centre, (max(2, slices // 40), 12, 12), strict=True))
            < 1
        )
        mask[near] = k % 6 + 1
    nib.save(nib.Nifti1Image(mask.transpose(), affine), folder / "labels.nii.gz")


class Running:
    """``livercascade label`` on a folder, until closed."""

    def __init__(self, cohort: Path) -> None:
        command = [sys.executable, "-c", "from livercascade.cli.main import app; app()", "label", str(cohort)]
        self.log = cohort.parent / "server.log"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen([*command, "--no-browser", "--user", "benchmark"], stderr=stream)
        while not self.links() and self.process.poll() is None:
            time.sleep(0.05)

    def links(self) -> list[str]:
        """Login links so far; each works once, and then the server writes the next."""
        return re.findall(r"http://\S+token=\S+", self.log.read_text())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def cpu_seconds() -> float:
    """CPU that server and browser have used so far."""
    used = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in used)


def page_times(running: Running, case: str) -> dict[str, float]:
    """Seconds from asking for the page to four pictures, and to four pictures with mask; scroll step; memory."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or "chromium"
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_default_timeout(600_000)
        began, used = time.perf_counter(), cpu_seconds()
        page.goto(f"{running.links()[-1]}#{case}", wait_until="commit")
        page.wait_for_function("() => window.ctLabeler?.state().shown.length === 4", polling=20)
        first, first_cpu = time.perf_counter() - began, cpu_seconds() - used
        page.wait_for_function("() => window.ctLabeler.state().lesions", polling=50)
        masked = time.perf_counter() - began
        page.wait_for_function(
            "() => Object.values(ctLabeler.state().loaded).every((share) => share === 1)", polling=200
        )
        whole = time.perf_counter() - began
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def busy() -> float:
            return next(
                m["value"] for m in session.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration"
            )

        page.mouse.move(300, 300)
        before = busy()
        for _ in range(20):
            page.mouse.wheel(0, 100)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        step = (busy() - before) / 20
        memory = page.evaluate(
            "() => performance.measureUserAgentSpecificMemory ? 0 : performance.memory.usedJSHeapSize"
        )
        heap = session.send("Runtime.getHeapUsage")
        memory = max(memory, heap.get("usedSize", 0) + heap.get("backingStorageSize", 0))
        browser.close()
    return {
        "first": first,
        "first_cpu": first_cpu,
        "masked": masked,
        "whole": whole,
        "step": step,
        "memory": memory / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[60, 400])
    parser.add_argument("--out", type=Path, help="Folder for the cases; a temporary one if not given.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cohort = (arguments.out or Path(scratch)) / "cohort"
        for slices in arguments.slices:
            name = f"slices{slices}"
            if not (cohort / name / "labels.nii.gz").exists():
                make_case(cohort / name, slices)
            shutil.rmtree(cohort / "labelling", ignore_errors=True)
            running = Running(cohort)
            try:
                for when in ("first opening", "opened before"):
                    t = page_times(running, name)
                    print(
                        f"{slices} slices, {when}: four pictures {t['first']:.2f} s (goal {GOALS_S.get(slices, '-')}; "
                        f"{t['first_cpu']:.2f} s of CPU, server and browser), "
                        f"with mask and lesion table {t['masked']:.2f} s, all slices {t['whole']:.1f} s, "
                        f"scroll step {1000 * t['step']:.0f} ms of CPU, page memory {t['memory']:.0f} MB; "
                        f"{os.getloadavg()[0]:.1f} processes at work on {os.cpu_count()} cores",
                        flush=True,
                    )
            finally:
                running.close()


if __name__ == "__main__":
    main()
