"""``convert``: the phases of a study as NIfTI files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.check import ApOption, DpOption, NcOption, ResampleOption, SourceArgument, VpOption, phase_files
from livercascade.cli.error_exit import exit_on_error
from livercascade.io.nifti import write_nifti
from livercascade.io.study import Study
from livercascade.io.study_reader import read_study
from livercascade.system.manifest import new_result_folder


def convert(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it must not hold anything else.")],
    source: SourceArgument = None,
    nc: NcOption = None,
    ap: ApOption = None,
    vp: VpOption = None,
    dp: DpOption = None,
    resample: ResampleOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Write what was read from a study as nc|ap|vp|dp.nii.gz, each phase on its own grid.

    Example: livercascade convert study/dicom --out study/nifti
    """
    with exit_on_error():
        study = read_study(source, files=phase_files(nc, ap, vp, dp), resample=resample)
        _write(study, out)
    if quiet:
        return
    for notice in study.warnings:
        typer.echo(f"{notice.code} {notice.message}")
    for volume in study.volumes:
        typer.echo(f"{out / _name(volume.phase.value)}: {volume.description}")


def _write(study: Study, out: Path) -> None:
    with new_result_folder(out) as folder:
        for volume in study.volumes:
            write_nifti(folder / _name(volume.phase.value), volume.hu, volume.grid)


def _name(phase: str) -> str:
    return f"{phase.lower()}.nii.gz"
