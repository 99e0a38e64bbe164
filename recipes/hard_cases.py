"""Label maps at f = 4 of the cases that a run of UNet^whole held out: hard cases for the training of UNet^patch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.progress import steps
from livercascade.detect.liver import main_liver, without_strays
from livercascade.io.nifti import write_nifti
from livercascade.io.regrid import to_scan
from livercascade.io.source import read_study
from livercascade.segment.card import ModelKind
from livercascade.segment.model import Model
from livercascade.segment.whole import segment


def main(
    data: Annotated[Path, typer.Option(help="Folder of training cases.")],
    run: Annotated[Path, typer.Option(help="Run folder of UNet^whole, finished.")],
    out: Annotated[Path, typer.Option(help="Folder for the label maps.")],
    factor: Annotated[float, typer.Option(help="Sensitivity factor f.")] = 4.0,
) -> None:
    """Write <case>.nii.gz for every held-out case of the run."""
    model = Model.load(run / "model", ModelKind.WHOLE)
    names = json.loads((run / "split.json").read_text())["validation"]
    out.mkdir(parents=True, exist_ok=True)
    with steps("held-out cases", len(names)) as advance:
        for name in names:
            scan, _ = to_scan(read_study(data / name))
            mask = segment(scan, model).mask(factor)
            write_nifti(out / f"{name}.nii.gz", without_strays(mask, main_liver(mask, scan.grid)), scan.grid)
            advance()


if __name__ == "__main__":
    typer.run(main)
