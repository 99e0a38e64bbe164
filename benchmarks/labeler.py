"""Speed of the CT Labeler's server: first picture of a four-phase case, and comparison of two versions.

Run: python benchmarks/labeler.py --out runs/labeler [--slices 60 400]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import psutil
from isal import igzip

from livercascade.labeler.editing.mask_comparison import compare

PHASES = ("nc", "ap", "vp", "dp")
SIDE = 512
SLAB = 16


def make_masks(slices: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A liver with 30 lesions, and the same with a third of them changed."""
    old = np.zeros((slices, SIDE, SIDE), np.uint8)
    old[slices // 8 : -slices // 8, 130:390, 70:330] = 7
    new = old.copy()
    for number in range(30):
        size = rng.integers((2, 4, 4), (max(3, slices // 8), 28, 28))
        corner = [
            int(rng.integers(a, b - s))
            for a, b, s in zip((slices // 8, 130, 70), (slices - slices // 8, 390, 330), size, strict=True)
        ]
        box = tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))
        label = int(rng.integers(1, 7))
        old[box] = new[box] = label
        if number % 3 == 0:
            new[box] = (7, label % 6 + 1, label)[number // 3 % 3]
            new[box[0], box[1], box[2].start : box[2].start + 2] = 7
    return old, new


def write_case(folder: Path, slices: int, rng: np.random.Generator) -> None:
    """Four phases of a noisy body; the noise decides how long inflating takes."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.ogrid[:SIDE, :SIDE]
    body = ((y - 256) / 170) ** 2 + ((x - 256) / 230) ** 2 < 1
    noise = rng.normal(0, 14, (24, SIDE, SIDE)).astype(np.int16)
    affine = np.diag([-0.75, -0.75, 5.0 if slices < 100 else 1.0, 1.0])
    for phase, level in zip(PHASES, (55, 75, 110, 90), strict=True):
        path = folder / f"{phase}.nii.gz"
        if path.exists():
            continue
        hu = np.where(body, level, -1000).astype(np.int16)
        hu[~body] = -1000
        planes = np.stack([hu + noise[(7 * k) % 24] * (1 if k % 2 else -1) for k in range(slices)])
        planes[:, 100:120] = -100
        image = nib.Nifti1Image(np.transpose(planes), affine)
        image.header.set_xyzt_units("mm")
        path.write_bytes(igzip.compress(image.to_bytes(), 1, mtime=0))


def first_picture(folder: Path, slices: int) -> dict[str, tuple[float, float]]:
    """Seconds from a cold cache: case record, the middle slab of all phases, one slab again, all decoded."""
    token, log = folder / "token", folder / "log.txt"
    for path in (folder / "labelling").rglob("*.npy"):
        path.unlink()
    log.unlink(missing_ok=True)
    program = "import typer; from livercascade.cli.label import label; typer.run(label)"
    options = [str(folder), "--no-browser", "--token-file", str(token)]
    with log.open("w") as stream:
        process = subprocess.Popen([sys.executable, "-c", program, *options], stderr=stream)
    try:
        while not (link := re.search(r"(http://\S+)/\?", log.read_text())):
            time.sleep(0.02)
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        with httpx.Client(base_url=link[1], headers=headers, timeout=600, trust_env=False) as client:
            return _timed(client, slices, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _timed(client: httpx.Client, slices: int, process: psutil.Process) -> dict[str, tuple[float, float]]:
    begin, spent = time.perf_counter(), _cpu(process)

    def so_far() -> tuple[float, float]:
        return time.perf_counter() - begin, _cpu(process) - spent

    client.get("/api/cases/case").raise_for_status()
    found = {"case": so_far()}
    urls = [f"/api/cases/case/volumes/{phase.upper()}?z0={slices // 2}&n={SLAB}" for phase in PHASES]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda url: client.get(url).raise_for_status(), urls))
    found["middle slab of 4 phases"] = so_far()
    for phase in PHASES:
        client.get(f"/api/cases/case/volumes/{phase.upper()}?z0={slices - 1}&n=1").raise_for_status()
    found["all decoded"] = so_far()
    begin, spent = time.perf_counter(), _cpu(process)
    client.get(urls[0]).raise_for_status()
    return {**found, "a slab again": so_far()}


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--slices", type=int, nargs="+", default=[60, 400])
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    for slices in arguments.slices:
        old, new = make_masks(slices, rng)
        times, cpu = [], []
        for _ in range(3):
            begin, used = time.perf_counter(), time.process_time()
            items = compare(old, new)
            times.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - used)
        print(
            f"{slices} x {SIDE} x {SIDE}: compare {min(times):.2f} s ({min(cpu):.2f} s CPU), {len(items)} items",
            flush=True,
        )
        folder = arguments.out / f"{slices}"
        write_case(folder / "case", slices, rng)
        told = ", ".join(
            f"{name} {s:.2f} s ({cpu:.2f} CPU)" for name, (s, cpu) in first_picture(folder, slices).items()
        )
        print(f"{slices} x {SIDE} x {SIDE} x 4, cold cache: {told}", flush=True)


if __name__ == "__main__":
    main()
