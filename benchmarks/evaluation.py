"""Time and memory of `livercascade evaluate` on a made cohort the size of the paper's, in processes of its own.

Lesions are ellipsoids in a liver-sized one; a few cases are written and linked under as many names as there are cases.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer

from livercascade.data.grid import Grid
from livercascade.detect.match import match
from livercascade.detect.seg2det import seg2det
from livercascade.io.nifti import write_nifti

DIFFERENT = 4


def main(
    cases: Annotated[int, typer.Option(help="Cases of 60 x 512 x 512, truth and one found side.")] = 331,
    workers: Annotated[int, typer.Option(help="Processes side by side.")] = 2,
    lesions: Annotated[int, typer.Option(help="Lesions of each case.")] = 6,
    bootstrap: Annotated[int, typer.Option(help="Resamples.")] = 2000,
) -> None:
    """Print seconds and peak memory of a cohort, and the time of one large match."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_cohort(folder, cases, lesions)
        seconds, processor, peak = run(folder, workers, bootstrap)
    print(f"{cases} cases of 60 x 512 x 512, truth and found, {workers} processes on {os.cpu_count()} cores:")
    print(f"{seconds:.0f} s wall; {processor:.0f} s of processor time, {1000 * processor / cases:.0f} ms a case")
    print(f"all processes together {peak:.2f} GB at most")
    print(f"match of 30 with 30 lesions on 160 x 512 x 512: {one_match():.2f} s of processor time")


def make_cohort(folder: Path, cases: int, lesions: int) -> None:
    """Write `DIFFERENT` cases and link them."""
    grid = Grid.axial((60, 512, 512), (5.0, 0.78, 0.78))
    for side in ("truth", "found"):
        (folder / side).mkdir()
    for number in range(min(DIFFERENT, cases)):
        rng = np.random.default_rng(number)
        truth, found = scan(rng, grid, lesions), scan(rng, grid, lesions)
        # Half of the lesions are found where they are.
        found[:, :256] = truth[:, :256]
        for side, labels in (("truth", truth), ("found", found)):
            write_nifti(folder / side / f"case{number:04d}.nii.gz", labels, grid)
    for number in range(DIFFERENT, cases):
        for side in ("truth", "found"):
            (folder / side / f"case{number:04d}.nii.gz").hardlink_to(
                folder / side / f"case{number % DIFFERENT:04d}.nii.gz"
            )


def scan(rng: np.random.Generator, grid: Grid, lesions: int) -> np.ndarray:
    """Organs as ellipsoids with a rough edge, lesions of 0.5 to 30 ml in the largest."""
    labels = np.zeros(grid.shape, dtype=np.uint8)
    draw(labels, grid, (150, 200, 160), (100, 90, 110), 7)
    draw(labels, grid, (170, 250, 320), (50, 40, 40), 11)
    draw(labels, grid, (150, 140, 260), (60, 50, 45), 13)
    labels[(rng.random(grid.shape) < 0.02) & (labels == 7)] = 8
    for _ in range(lesions):
        centre = rng.uniform((90, 150, 90), (210, 250, 230))
        draw(labels, grid, tuple(centre), tuple(rng.uniform(6, 20, 3)), int(rng.integers(1, 7)))
    return labels


def draw(labels: np.ndarray, grid: Grid, centre: tuple[float, ...], radii: tuple[float, ...], label: int) -> None:
    """Fill an ellipsoid; centre and radii in mm along z, y, x."""
    axes = [np.arange(n) * s for n, s in zip(grid.shape, grid.spacing, strict=True)]
    z, y, x = np.ix_(*[((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)])
    labels[z + y + x <= 1] = label


def run(folder: Path, workers: int, bootstrap: int) -> tuple[float, float, float]:
    """Wall and processor seconds of the command, and the largest memory of its processes together in GB (PSS)."""
    command = [sys.executable, "-m", "livercascade.cli.main", "evaluate", "--quiet", "--workers", str(workers)]
    command += ["--truth", str(folder / "truth"), "--found", f"M={folder / 'found'}", "--bootstrap", str(bootstrap)]
    started = time.monotonic()
    process = subprocess.Popen([*command, "--out", str(folder / "out")])
    peak = [0.0]
    watcher = threading.Thread(target=watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    if process.wait():
        raise SystemExit(process.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - started, used.ru_utime + used.ru_stime, peak[0]


def watch(pid: int, peak: list[float]) -> None:
    """Note the memory of a process and its children until it ends."""
    while psutil.pid_exists(pid):
        total = 0
        try:
            parent = psutil.Process(pid)
            for each in (parent, *parent.children(recursive=True)):
                total += each.memory_full_info().pss
        except psutil.Error:
            pass
        peak[0] = max(peak[0], total / 1e9)
        time.sleep(0.25)


def one_match() -> float:
    """Seconds of processor time of one match of 30 with 30 lesions, detection of the lesions not counted."""
    grid = Grid.axial((160, 512, 512), (1.5, 0.78, 0.78))
    sides = []
    for shift in (0.0, 5.0):
        labels = np.zeros(grid.shape, dtype=np.uint8)
        for number in range(30):
            centre = (20 + 200 * (number % 5) / 5 + shift, 60 + 300 * (number // 5) / 6, 100 + shift)
            draw(labels, grid, centre, (12, 15, 15), 1 + number % 6)
        sides.append(seg2det(labels, grid, per_label=True))
    started = time.process_time()
    match(*sides)
    return time.process_time() - started


if __name__ == "__main__":
    typer.run(main)
