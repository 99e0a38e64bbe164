"""Wall time, CPU time and peak memory of stages, each run in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """What a stage took; ``before_mb`` is what the process held when it began."""

    wall: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    before_mb: float = 0.0

    @property
    def extra_mb(self) -> float:
        return self.peak_mb - self.before_mb


@dataclass
class Stages:
    """Costs by stage; a stage may hold others, and one that comes again adds up. Linux only: it resets the peak."""

    costs: dict[str, Cost] = field(default_factory=dict)
    _open: list[Cost] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._note_peak()
        cost = self.costs.setdefault(name, Cost(before_mb=_memory("VmRSS")))
        self._open.append(cost)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            cost.wall += time.perf_counter() - wall
            cost.cpu += time.process_time() - cpu
            self._note_peak()
            self._open.pop()

    def watch(self, place: Any, function: str, name: str) -> None:
        """Make every call of a function, looked up by name where the program does, a stage."""
        real: Callable[..., Any] = getattr(place, function)

        @wraps(real)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return real(*args, **kwargs)

        setattr(place, function, timed)

    def _note_peak(self) -> None:
        peak = _memory("VmHWM")
        for cost in self._open:
            cost.peak_mb = max(cost.peak_mb, peak)
        _CLEAR.write_text("5")

    def as_json(self) -> dict[str, dict[str, float]]:
        return {name: asdict(cost) for name, cost in self.costs.items()}


def costs_of(stages: dict[str, dict[str, float]]) -> dict[str, Cost]:
    """Inverse of `Stages.as_json`."""
    return {name: Cost(**values) for name, values in stages.items()}


def _memory(key: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{_STATUS} has no {key}")


def apart(module: str, function: str, *, python: Path | None = None, threads: int = 1, **arguments: Any) -> Any:
    """What ``module.function`` of this folder returns in a process of its own, as JSON."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
        # nnU-Net sets torch's threads to this number while it exports.
        "nnUNet_def_n_proc": str(threads),
    }
    runner = Path(__file__).with_name("run_function.py")
    command = [str(python or sys.executable), str(runner), module, function, json.dumps(arguments, default=str)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{module}.{function} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def take_turns(
    works: dict[str, Callable[[], Any]], rounds: int, tell: Callable[[str], None], *, minutes: float
) -> dict[str, list[Any]]:
    """Results of each piece of work: every one once, then all again, so that a busy machine slows all alike.

    After so many ``minutes`` none begins that has run before.
    """
    results: dict[str, list[Any]] = {name: [] for name in works}
    end = time.monotonic() + 60 * minutes
    for number in range(rounds):
        for name, work in works.items():
            if not number or time.monotonic() < end:
                tell(f"round {number + 1} of {rounds}: {name}")
                results[name].append(work())
    return results


def cpu_seconds(work: Callable[[], Any], rounds: int = 5) -> list[float]:
    """CPU seconds of each call, after one that is not counted."""
    work()
    out: list[float] = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        out.append(time.process_time() - begin)
    return out


def in_turns(works: dict[str, Callable[[], Any]], rounds: int = 5) -> dict[str, list[float]]:
    """CPU seconds of each call of several pieces of work that take turns, after one round that is not counted."""
    out: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            begin = time.process_time()
            work()
            if number:
                out[name].append(time.process_time() - begin)
    return out


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median, then least and largest where they differ.

    >>> spread([1.0, 3.0, 2.0]), spread([2.0])
    ('2 (1-3)', '2')
    """
    middle, least, most = (f"{v:.{digits}g}" for v in (statistics.median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least}-{most})"


def machine() -> str:
    """Processor, cores and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = ("torch", "openvino", "nnunetv2", "connected-components-3d", "scipy")
    return f"{name}, {os.cpu_count()} cores; " + ", ".join(f"{p} {version(p)}" for p in packages)


def load() -> str:
    """How busy the machine was, for the record."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())
