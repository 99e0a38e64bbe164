"""`make speed`: the cascade beside nnU-Net's own path, other libraries, the definitions written out, and the machine.

Every run has a process of its own and the ways take turns. On a machine that does other work too, compare CPU seconds.
"""

from __future__ import annotations

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
from measuring import apart, load, machine, take_turns
from tables import export_table, forward_table, import_table, limit_tables, parts_table, path_tables, scaling_table
from ways import WAYS


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
    picai: Annotated[Path | None, typer.Option(help="Python of the environment with picai_eval.")] = None,
) -> None:
    """Print all tables, as RESULTS.md holds them."""
    chosen = section or list(Section)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {machine()}; {threads} thread(s) a process; {rounds} round(s)")
    print(f"Virtual patient {seed}, four phases of {slices} x {matrix} x {matrix}. Load when it began: {load()}.")
    with TemporaryDirectory() as name:
        work = Path(name)
        study = Path(apart("study", "make", folder=work, seed=seed, slices=slices, matrix=matrix))
        if Section.PATHS in chosen:
            paths(work, study, rounds, threads)
        if Section.EXPORT in chosen:
            export(work, study, rounds, threads)
        if Section.PARTS in chosen:
            parts(work, study, rounds, picai)
        if Section.SCALING in chosen:
            scaling(study, threads)
    print(f"\nLoad at the end: {load()}.")


def tell(text: str) -> None:
    """Where the measurement is, beside the tables."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def paths(work: Path, study: Path, rounds: int, threads: int) -> None:
    """The whole of `predict` in every way, nnU-Net's path, and the limit."""
    folders = {name: work / f"way{number}" for number, name in enumerate(("nnU-Net", *WAYS))}
    for folder in folders.values():
        folder.mkdir()
    ours = {
        way: partial(apart, "our_path", "whole", threads=threads, study=study, out=folders[way], way=way)
        for way in WAYS
    }
    theirs = partial(apart, "nnunet_path", "whole", threads=threads, study=study, out=folders["nnU-Net"])
    answers = take_turns({"nnU-Net": theirs, **ours}, rounds, tell)
    path_tables(answers, folders)
    tell("limit")
    limit_tables(answers, apart("limit", "measure", threads=threads))
    tell("forward passes")
    forward_table(apart("forward", "passes", threads=threads, rounds=5 * rounds))


def export(work: Path, study: Path, rounds: int, threads: int) -> None:
    """Export alone, on the same logits."""
    tell("logits for the export")
    out = {name: work / f"export_{name}" for name in ("nnunet", "ours", "logits")}
    for folder in out.values():
        folder.mkdir()
    side = apart("our_path", "network_side", threads=threads, study=study, out=out["logits"])
    given: dict[str, Any] = {"logits": out["logits"] / "logits.npy", "shape": side["shape"], "threads": threads}
    jobs = {
        "nnU-Net": partial(apart, "nnunet_path", "export", **given, spacing=side["spacing"], out=out["nnunet"]),
        "all classes at once": partial(apart, "our_path", "stacked_export", **given, out=out["ours"]),
        "streamed": partial(apart, "our_path", "export", **given, out=out["ours"]),
    }
    answers = take_turns(jobs, rounds, tell)
    tell("windows of nnU-Net on our image")
    half = out["logits"] / "theirs.npy"
    apart("nnunet_path", "windows", threads=threads, image=out["logits"] / "image.npy", out=half)
    export_table(answers, out, half, side["spacing"])


def parts(work: Path, study: Path, rounds: int, picai: Path | None) -> None:
    """Components, masks, match, shuffle, alignment, virtual patient, imports."""
    found: dict[str, Any] = {}
    jobs: dict[str, Callable[[], Any]] = {
        "components": partial(apart, "parts", "components", rounds=5, count=140),
        "masks": partial(apart, "parts", "masks", rounds=rounds, slices=30),
        "matching": partial(apart, "parts", "matching", rounds=5, lesions=30, maps=work / "maps.npz"),
        "shuffling": partial(apart, "parts", "shuffling", rounds=rounds, patches=40),
        "alignment": partial(apart, "parts", "alignment", study=study, rounds=rounds),
        "virtual": partial(apart, "parts", "virtual_patient", seed=900_004, matrix=512, rounds=rounds),
        "imports": partial(apart, "parts", "imports", rounds=2 * rounds),
    }
    for name, job in jobs.items():
        tell(name)
        found[name] = job()
    if picai is not None:
        tell("picai_eval")
        found["picai"] = apart("picai", "counts", python=picai, maps=work / "maps.npz", rounds=rounds)
    parts_table(found)
    import_table(found["imports"])


def scaling(study: Path, threads: int) -> None:
    """Cost against slices, height, phases, folds and proposals; one run each."""
    series = {
        "slices": (35, 60, 120, 400, 800),
        "height": (1, 2, 4),
        "phases": (1, 2, 3, 4),
        "folds": (1, 2, 3),
        "proposals": (1, 4, 16, 32),
    }
    found: dict[str, dict[int, Any]] = {}
    for what, numbers in series.items():
        for number in numbers:
            tell(f"{what}: {number}")
            argument = "times" if what == "height" else "count"
            answer = apart("scaling", what, threads=threads, study=study, **{argument: number})
            found.setdefault(what, {})[number] = answer
    scaling_table(found)


if __name__ == "__main__":
    typer.run(main)
