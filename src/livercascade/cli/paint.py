"""``livercascade paint``: virtual lesions in real scans, further phases, transplants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.progress_bars import steps
from livercascade.data.labels import PHASES, Phase
from livercascade.virtual.canvas.lesion_outlines import Loosening


def paint(
    cases_dir: Annotated[
        Path, typer.Argument(metavar="CASES", help="Folder of cases: phases, labels.nii.gz, coverage.json.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the painted cases.")],
    cases: Annotated[int, typer.Option(min=1, help="How many cases; the scans are taken in turn.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the run.")] = 0,
    lesions: Annotated[float, typer.Option(min=0, max=30, help="Mean number of virtual lesions per case.")] = 5.0,
    phases: Annotated[
        str, typer.Option(help="'random', or phases such as 'nc,ap,vp'; those that a scan lacks are made from its VP.")
    ] = "random",
    transplants: Annotated[
        float, typer.Option(min=0, max=30, help="Mean number of lesions moved here from other scans.")
    ] = 0.0,
    donors: Annotated[
        Path | None, typer.Option(help="Folder of cases whose lesions are moved; CASES if not given.")
    ] = None,
    loosen_over_ml: Annotated[
        float | None, typer.Option(min=0, help="Draw lesions of unknown type above this volume one voxel wider.")
    ] = None,
    loosening: Annotated[Loosening, typer.Option(help="The voxels round them become lesion, or ignored.")] = (
        Loosening.DILATE
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
    preview: Annotated[bool, typer.Option("--preview", help="Write preview.png beside each case.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Paint virtual lesions of all types into scans with a known liver; make phases that they lack.

    Scans may be labelled in part: existing lesions and what is ignored stay as they are.

    Example: livercascade paint real --cases 28 --seed 1 --preview --out painted

    Example: livercascade paint patients --lesions 2 --donors real --transplants 3 --phases vp --out mixed
    """
    from livercascade.virtual.canvas.painted_folders import PaintSettings, paint_folders

    settings = PaintSettings(
        lesions=lesions,
        transplants=transplants,
        phases=_phases(phases),
        loosen_over_ml=loosen_over_ml,
        loosening=loosening,
    )
    made = paint_folders(cases_dir, out, cases, seed, settings, donors=donors, workers=workers, preview=preview)
    with exit_on_error(), steps("painted cases", cases, quiet=quiet) as advance:
        for _ in made:
            advance()


def _phases(text: str) -> tuple[Phase, ...] | None:
    if text == "random":
        return None
    names = {part.strip().upper() for part in text.split(",")}
    odd = names - {phase.value for phase in PHASES}
    if odd:
        raise typer.BadParameter(
            f"{min(odd)!r} is no phase: 'random', or some of nc, ap, vp, dp", param_hint="--phases"
        )
    return tuple(phase for phase in PHASES if phase.value in names)
