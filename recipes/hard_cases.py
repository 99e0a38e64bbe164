"""Label maps at f = 4 of cases that a UNet^whole was not trained on: hard cases for the training of UNet^patch."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import typer

from livercascade.cli.progress import steps
from livercascade.data.errors import UsageError
from livercascade.detect.liver import main_liver, without_strays
from livercascade.io.nifti import write_nifti
from livercascade.io.regrid import to_scan
from livercascade.io.source import read_study
from livercascade.segment.card import ModelKind
from livercascade.segment.model import Model
from livercascade.segment.whole import segment
from livercascade.train.cases import find_cases


def main(
    data: Annotated[Path, typer.Option(help="Folder of training cases.")],
    out: Annotated[Path, typer.Option(help="Folder for the label maps; those already there are kept.")],
    run: Annotated[Path | None, typer.Option(help="Run of UNet^whole: its held-out cases are predicted.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model that saw none of the cases: all are predicted.")] = None,
    factor: Annotated[float, typer.Option(help="Sensitivity factor f.")] = 4.0,
    overlap: Annotated[float, typer.Option(help="Overlap of neighbouring windows.")] = 0.25,
    workers: Annotated[int, typer.Option(help="Processes, one thread each.")] = 2,
) -> None:
    """Write <case>.nii.gz for every case that the network has not seen."""
    if run is not None:
        names, folder = json.loads((run / "split.json").read_text())["validation"], run / "model"
    elif model is not None:
        names, folder = [case.name for case in find_cases(data)], model
    else:
        raise UsageError("WRONG_USE", "Neither a run nor a model was given.", "Give --run or --model.")
    out.mkdir(parents=True, exist_ok=True)
    todo = [name for name in names if not (out / f"{name}.nii.gz").is_file()]
    context = get_context("spawn")
    with steps("unseen cases", len(todo)) as advance, ProcessPoolExecutor(workers, mp_context=context) as pool:
        for done in as_completed([pool.submit(predict, data / name, folder, out, factor, overlap) for name in todo]):
            done.result()
            advance()


def predict(case: Path, folder: Path, out: Path, factor: float, overlap: float) -> None:
    """Write the label map of one case, strays outside the liver removed."""
    torch.set_num_threads(1)
    scan, _ = to_scan(read_study(case))
    mask = segment(scan, Model.load(folder, ModelKind.WHOLE), overlap=overlap).mask(factor)
    aside = out / f"{case.name}.part.nii.gz"
    write_nifti(aside, without_strays(mask, main_liver(mask, scan.grid)), scan.grid)
    aside.replace(out / f"{case.name}.nii.gz")


if __name__ == "__main__":
    typer.run(main)
