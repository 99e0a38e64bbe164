"""``livercascade virtual``: make virtual patients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.errors import told
from livercascade.cli.progress import steps
from livercascade.virtual.settings import CaseMix, PhaseMotion, VirtualSettings


def virtual(
    out: Annotated[Path, typer.Option("--out", help="Folder for the patients.")],
    cases: Annotated[int, typer.Option(min=1, help="How many patients.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first patient; the next ones follow.")] = 0,
    mix: Annotated[CaseMix, typer.Option(help="Case mix.")] = CaseMix.DIAGNOSIS,
    matrix: Annotated[int, typer.Option(min=64, max=1024, help="Pixels along each side of a slice.")] = 512,
    randomise: Annotated[bool, typer.Option(help="Domain randomisation, for training.")] = False,
    motion: Annotated[
        PhaseMotion,
        typer.Option(
            help="How NC, AP and DP lie against VP: voxel on voxel, a voxel or two apart as after registration, "
            "or several cm as breathed; the last also stores the true fields."
        ),
    ] = PhaseMotion.RESIDUAL,
    anatomy: Annotated[
        list[Path] | None, typer.Option(help="Real label map in TotalSegmentator numbering to warp; repeatable.")
    ] = None,
    anatomy_share: Annotated[float, typer.Option(min=0, max=1, help="Share of patients made from them.")] = 0.5,
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
    preview: Annotated[bool, typer.Option("--preview", help="Write preview.png beside each patient.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Make virtual four-phase liver CT with exact truth.

    Example: livercascade virtual --cases 4 --seed 100 --motion breathing --out cohort
    """
    from livercascade.virtual.cohort import make_cohort

    settings = VirtualSettings(
        mix=mix,
        matrix=matrix,
        randomise=randomise,
        motion=motion,
        anatomies=tuple(anatomy or ()),
        anatomy_share=anatomy_share,
    )
    made = make_cohort(range(seed, seed + cases), settings, out, workers=workers, preview=preview)
    with told(), steps("virtual patients", cases, quiet=quiet) as advance:
        for _ in made:
            advance()
