"""``convert``: the phases of a study as NIfTI files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.check import (
    ApOption,
    ChannelsOption,
    DpOption,
    NcOption,
    PhaseOption,
    ResampleOption,
    RulesOption,
    SourceArgument,
    VpOption,
    phase_files,
    studies_of,
)
from livercascade.cli.error_exit import exit_on_error
from livercascade.io.nifti import write_nifti
from livercascade.io.phase_naming import PhaseNaming
from livercascade.io.study import Study
from livercascade.io.study_reader import read_study
from livercascade.system.manifest import check_place, new_result_folder


def convert(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it must not hold anything else.")],
    source: SourceArgument = None,
    nc: NcOption = None,
    ap: ApOption = None,
    vp: VpOption = None,
    dp: DpOption = None,
    resample: ResampleOption = False,
    channels: ChannelsOption = None,
    phase: PhaseOption = None,
    phase_rules: RulesOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Write what was read from a study as nc|ap|vp|dp.nii.gz, each phase on its own grid; several in a folder each.

    Example: livercascade convert study/dicom --out study/nifti
    """
    files = phase_files(nc, ap, vp, dp)
    with exit_on_error():
        naming = PhaseNaming.of(phase or (), phase_rules)
        found = [None] if files else studies_of(source, channels)
    failed = False
    for one in found:
        place = out / one.case_id if one is not None and len(found) > 1 else out
        try:
            with exit_on_error():
                check_place(place)
                study = read_study(one, files=files, resample=resample, naming=naming)
                _write(study, place)
        except typer.Exit:
            if len(found) == 1:
                raise
            failed = True
        else:
            _tell(study, place, quiet=quiet)
    if failed:
        raise typer.Exit(1)


def _tell(study: Study, out: Path, *, quiet: bool) -> None:
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
