"""CPU seconds and peak memory of the cascade, by stage: torch eager beside what `predict` does now, same studies.

Every run has a process of its own; the configurations take turns, so that a busy machine slows all alike. What counts
is the ratio of CPU seconds, and that the lesions are the same. Alignment, reading and the report are not part of it.
"""

from __future__ import annotations

import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from livercascade.cascade.align_study import align_study
from livercascade.cascade.cascade import Cascade
from livercascade.cascade.findings import Findings
from livercascade.cascade.settings import CascadeSettings
from livercascade.cli.progress_bars import steps
from livercascade.detect.liver import liver_with_content
from livercascade.io.study_reader import read_study
from livercascade.segment.engine import Runtime
from livercascade.segment.segmenter import WindowSearch
from livercascade.system.memory import peak_resident_mb
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import VirtualSettings

STAGES = (
    "UNet^whole, one window",
    "UNet^patch, one patch",
    "windows of the scan",
    "export, proposals",
    "reclassification",
    "whole of find",
)
FORWARDS = 3
SAME_DICE = 0.95
"""Lesions of two configurations are the same one if they overlap this much and have the same type and verdict."""


@dataclass(frozen=True)
class Configuration:
    """Runtime and settings of `predict`; one column of the table."""

    runtime: Runtime
    settings: CascadeSettings


@dataclass
class Run:
    """What one configuration did with one patient."""

    seconds: dict[str, float]
    peak_mb: float
    runtime: str
    lesions: dict[str, list[tuple[int, str, np.ndarray]]] = field(repr=False)
    liver: np.ndarray = field(repr=False)
    """Flat indices of the voxels of liver, lesions and vessels at the lower sensitivity."""


def plain(**changes: Any) -> CascadeSettings:
    """Settings of a study that is aligned already."""
    return CascadeSettings.model_validate({"align": {"enabled": False}} | changes)


CONFIGURATIONS = {
    "torch eager": Configuration(Runtime.TORCH, plain(reclassify={"stop_when_decided": False})),
    "all patches": Configuration(Runtime.AUTO, plain(reclassify={"stop_when_decided": False})),
    "default": Configuration(Runtime.AUTO, plain()),
    "search the liver": Configuration(Runtime.AUTO, plain(segment={"search": WindowSearch.LIVER})),
}


def main(
    cases: Annotated[int, typer.Option(help="Number of virtual patients.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the first.")] = 910_000,
    matrix: Annotated[int, typer.Option(help="Pixels along each side of a slice.")] = 256,
    rounds: Annotated[int, typer.Option(help="Runs of every configuration on every patient.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of a network.")] = 1,
    studies: Annotated[list[Path] | None, typer.Option("--study", help="Studies instead of virtual patients.")] = None,
) -> None:
    """Print stages, ratios, memory and agreement."""
    with TemporaryDirectory() as name:
        folders = studies or list(make_cohort(range(seed, seed + cases), VirtualSettings(matrix=matrix), Path(name)))
        runs = take_turns(folders, rounds, threads)
    Console(width=120).print(table(runs, f"{len(folders)} studies, {threads} thread(s), {machine()}"))


def take_turns(folders: list[Path], rounds: int, threads: int) -> dict[str, list[Run]]:
    """All configurations on all studies, one after the other and again."""
    runs: dict[str, list[Run]] = {name: [] for name in CONFIGURATIONS}
    total = rounds * len(folders) * len(CONFIGURATIONS)
    with (
        steps("runs", total) as advance,
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        for folder in folders * rounds:
            for name in CONFIGURATIONS:
                runs[name].append(pool.submit(measure, folder, name, threads).result())
                advance()
    return runs


def measure(study: Path, name: str, threads: int) -> Run:
    """One configuration on one study, in this process alone."""
    torch.set_num_threads(threads)
    chosen = CONFIGURATIONS[name]
    cascade = Cascade.load(chosen.settings, device="cpu", engine=chosen.runtime)
    scan = align_study(read_study(study), chosen.settings.align).scan
    seconds: dict[str, float] = {}
    for stage, model in zip(STAGES, (cascade.whole, cascade.patch), strict=False):
        sample = torch.randn(1, model.card.input_channels, *model.card.patch_size)
        # The first pass compiles, or reads what was compiled.
        model.run(sample)
        begin = time.process_time()
        for _ in range(FORWARDS):
            model.run(sample)
        seconds[stage] = (time.process_time() - begin) / FORWARDS
    marks = {"segmenting": 0.0, "reclassifying": 0.0}

    def mark(step: str, done: int, total: int) -> None:
        del done, total
        if step == "segmenting" or (step == "reclassifying" and not marks[step]):
            marks[step] = time.process_time()

    begin = time.process_time()
    findings = cascade.find(scan, progress=mark)
    end = time.process_time()
    first_patch = marks["reclassifying"] or end
    parts = (marks["segmenting"] - begin, first_patch - marks["segmenting"], end - first_patch, end - begin)
    seconds |= dict(zip(STAGES[2:], parts, strict=True))
    peak = peak_resident_mb()
    liver = np.flatnonzero(liver_with_content(findings.proposals.low))
    return Run(seconds, peak, cascade.whole.engine.name, lesions_of(findings), liver)


def lesions_of(findings: Findings) -> dict[str, list[tuple[int, str, np.ndarray]]]:
    """Type, verdict and flat voxel indices of every proposal at both sensitivities."""
    out: dict[str, list[tuple[int, str, np.ndarray]]] = {}
    shape = findings.proposals.low.shape
    for factor, judged in (("f=1", findings.low), ("f=4", findings.high)):
        out[factor] = []
        for one in judged.candidates:
            where = np.argwhere(one.lesion.mask) + [s.start for s in one.lesion.bbox]
            flat = np.ravel_multi_index(tuple(where.T), shape)
            out[factor].append((int(one.lesion.label), one.status.value, flat))
    return out


def same(a: list[tuple[int, str, np.ndarray]], b: list[tuple[int, str, np.ndarray]]) -> int:
    """Lesions of ``a`` that ``b`` has too, with the same type and verdict."""

    return sum(any(x[:2] == y[:2] and dice(x[2], y[2]) >= SAME_DICE for y in b) for x in a)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two sets of voxels, given by their indices: 1 where they are the same."""
    return 2 * len(np.intersect1d(a, b, assume_unique=True)) / max(len(a) + len(b), 1)


def table(runs: dict[str, list[Run]], title: str) -> Table:
    """Medians over studies and rounds, ratio to torch eager, and agreement with it."""
    out = Table(title=title)
    out.add_column("CPU seconds, median (times faster)")
    first = next(iter(runs))
    for name, measured in runs.items():
        out.add_column(f"{name}\n{measured[0].runtime}", justify="right")
    for stage in STAGES:
        base = [m.seconds[stage] for m in runs[first]]
        cells: list[str] = []
        for measured in runs.values():
            own = [m.seconds[stage] for m in measured]
            ratio = statistics.median(b / max(o, 1e-9) for b, o in zip(base, own, strict=True))
            cells.append(f"{statistics.median(own):.3g} ({ratio:.2f})")
        out.add_row(stage, *cells)
    out.add_row(
        "peak memory, MB", *(f"{statistics.median(m.peak_mb for m in measured):.0f}" for measured in runs.values())
    )
    for factor in ("f=1", "f=4"):
        cells = []
        for measured in runs.values():
            pairs = [(b.lesions[factor], m.lesions[factor]) for b, m in zip(runs[first], measured, strict=True)]
            lists = sum(len(a) == len(b) == same(a, b) for a, b in pairs)
            cells.append(f"{sum(same(a, b) for a, b in pairs)}/{sum(len(a) for a, _ in pairs)}; {lists}/{len(pairs)}")
        out.add_row(f"same lesions; same lists, {factor}", *cells)
    overlaps = [
        [dice(b.liver, m.liver) for b, m in zip(runs[first], measured, strict=True)] for measured in runs.values()
    ]
    out.add_row("Dice of the liver, least", *(f"{min(one):.5f}" for one in overlaps))
    return out


def machine() -> str:
    """Processor and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name}, {platform.machine()}, torch {torch.__version__}"


if __name__ == "__main__":
    typer.run(main)
