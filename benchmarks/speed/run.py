"""`make speed`: the cascade beside nnU-Net's own path, other libraries, the definitions written out, and the machine.

Every run has a process of its own and the configurations take turns. On a machine that does other work too, compare CPU
seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from configurations import CONFIGURATIONS
from measuring import apart, load, machine, take_turns
from tables import export_table, forward_table, import_table, limit_tables, parts_table, path_tables, scaling_table


class Section(Enum):
    """What can be measured alone."""

    PATHS = "paths"
    EXPORT = "export"
    PARTS = "parts"
    SCALING = "scaling"


Tell = Callable[[str], None]
SectionOption = Annotated[list[Section] | None, typer.Option("--section", help="Only these; all if absent.")]


def main(
    section: SectionOption = None,
    seed: Annotated[int, typer.Option(help="Which virtual patient.")] = 900_004,
    slices: Annotated[int, typer.Option(help="Slices of the study.")] = 60,
    matrix: Annotated[int, typer.Option(help="Pixels along each side of a slice.")] = 512,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of everything.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a network.")] = 1,
    minutes: Annotated[
        float, typer.Option(help="Of the paths and of the export: no further run begins after.")
    ] = 120.0,
    out: Annotated[Path, typer.Option(help="Folder for what was measured, as JSON.")] = Path("runs/speed"),
    picai: Annotated[Path | None, typer.Option(help="Python of the environment with picai_eval.")] = None,
) -> None:
    """Print all tables, as RESULTS.md holds them."""
    chosen = section or list(Section)
    out.mkdir(parents=True, exist_ok=True)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {machine()}; {threads} thread(s) a process; {rounds} round(s)")
    print(f"Virtual patient {seed}, four phases of {slices} x {matrix} x {matrix}. Load when it began: {load()}.")
    with TemporaryDirectory() as name:
        work = Path(name)
        study = Path(apart("study", "make", folder=work, seed=seed, slices=slices, matrix=matrix))
        if Section.PATHS in chosen:
            paths(work, study, out, rounds, threads, minutes)
        if Section.EXPORT in chosen:
            export(work, study, out, rounds, threads, minutes)
        if Section.PARTS in chosen:
            parts(work, study, out, rounds, picai)
        if Section.SCALING in chosen:
            scaling(study, out, threads)
    print(f"\nLoad at the end: {load()}.")


def keep(out: Path, section: Section, measured: Any) -> None:
    """What a section measured, for other tables than these."""
    (out / f"{section.value}.json").write_text(json.dumps(measured, indent=1, default=str) + "\n")


def tell(text: str) -> None:
    """Where the measurement is, beside the tables."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def paths(work: Path, study: Path, out: Path, rounds: int, threads: int, minutes: float) -> None:
    """The whole of `predict` in every configuration, nnU-Net's path, and the limit."""
    if not apart("predict_path", "bf16"):
        print("This machine does not compute in bfloat16: the default computes in float32 as well.")
    folders = {name: work / f"configuration{number}" for number, name in enumerate(("nnU-Net", *CONFIGURATIONS))}
    for folder in folders.values():
        folder.mkdir()
    ours = {
        name: partial(apart, "predict_path", "whole", threads=threads, study=study, out=folders[name], name=name)
        for name in CONFIGURATIONS
    }
    theirs = partial(apart, "nnunet_path", "whole", threads=threads, study=study, out=folders["nnU-Net"])
    results = take_turns({"nnU-Net": theirs, **ours}, rounds, tell, minutes=minutes)
    path_tables(results, folders)
    tell("limit")
    limit = apart("roofline", "measure", threads=threads)
    tell("forward passes")
    forward = apart("forward", "passes", threads=threads, rounds=5)
    keep(out, Section.PATHS, {"answers": results, "limit": limit, "forward": forward})
    limit_tables(results, limit)
    forward_table(forward)


def export(work: Path, study: Path, out: Path, rounds: int, threads: int, minutes: float) -> None:
    """Export alone, on the same logits."""
    tell("logits for the export")
    places = {name: work / f"export_{name}" for name in ("nnunet", "ours", "logits")}
    for folder in places.values():
        folder.mkdir()
    side = apart("predict_path", "network_side", threads=threads, study=study, out=places["logits"])
    given: dict[str, Any] = {"logits": places["logits"] / "logits.npy", "shape": side["shape"], "threads": threads}
    works = {
        "nnU-Net": partial(apart, "nnunet_path", "export", **given, spacing=side["spacing"], out=places["nnunet"]),
        "all classes at once": partial(apart, "predict_path", "stacked_export", **given, out=places["ours"]),
        "streamed": partial(apart, "predict_path", "export", **given, out=places["ours"]),
    }
    results = take_turns(works, rounds, tell, minutes=minutes)
    keep(out, Section.EXPORT, results)
    tell("windows of nnU-Net on our image")
    half = places["logits"] / "theirs.npy"
    apart("nnunet_path", "windows", threads=threads, image=places["logits"] / "image.npy", out=half)
    export_table(results, places, half, side["spacing"])


def parts(work: Path, study: Path, out: Path, rounds: int, picai: Path | None) -> None:
    """Components, masks, match, shuffle, alignment, virtual patient, imports."""
    found: dict[str, Any] = {}
    works: dict[str, Callable[[], Any]] = {
        "components": partial(apart, "algorithm_timings", "components", rounds=5, count=140),
        "masks": partial(apart, "algorithm_timings", "masks", rounds=rounds, slices=30),
        "matching": partial(apart, "algorithm_timings", "matching", rounds=5, lesions=30, maps=work / "maps.npz"),
        "shuffling": partial(apart, "algorithm_timings", "shuffling", rounds=rounds, patches=40),
        "alignment": partial(apart, "algorithm_timings", "alignment", study=study, rounds=rounds),
        "virtual": partial(apart, "algorithm_timings", "virtual_patient", seed=900_004, matrix=512, rounds=rounds),
        "imports": partial(apart, "algorithm_timings", "imports", rounds=2 * rounds),
    }
    for name, work in works.items():
        tell(name)
        found[name] = work()
    if picai is not None:
        tell("picai_eval")
        found["picai"] = apart("picai", "counts", python=picai, maps=work / "maps.npz", rounds=rounds)
    keep(out, Section.PARTS, found)
    parts_table(found)
    import_table(found["imports"])


def scaling(study: Path, out: Path, threads: int) -> None:
    """Cost against slices, height, phases, folds and proposals; one run each."""
    series = {
        "slices of the same body": (35, 60, 120, 400, 800),
        "times the height": (1, 2, 4),
        "phases": (1, 2, 3, 4),
        "folds of UNet^whole": (1, 2, 3),
        "folds, 400 slices": (5,),
        "proposals": (1, 4, 16),
    }
    found: dict[str, dict[str, Any]] = {}
    for what, numbers in series.items():
        tell(what)
        found[what] = apart("scaling", "series", threads=threads, study=study, what=what, numbers=numbers)
    keep(out, Section.SCALING, found)
    scaling_table(found)


if __name__ == "__main__":
    typer.run(main)
