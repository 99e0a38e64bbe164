"""``livercascade align``: one phase onto another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from livercascade import __version__
from livercascade.alignment.align_pair import DeedsAlignment, align_pair
from livercascade.alignment.align_phases import too_little_in_common
from livercascade.alignment.align_record import AlignRecord, record_alignment
from livercascade.alignment.align_settings import AlignSettings
from livercascade.alignment.displacement_field import write_field
from livercascade.alignment.registration_quality import RegistrationQuality, assess_registration
from livercascade.cli.error_exit import exit_on_error
from livercascade.data.errors import InputError, UsageError
from livercascade.data.scan import PhaseVolume
from livercascade.io.nifti import write_nifti
from livercascade.io.reference_grid import on_grid
from livercascade.io.study_reader import read_study
from livercascade.io.study_sources import phase_of_file
from livercascade.system.manifest import check_place, new_result_folder

MOVED, VALID, FIELD, RECORD = "moved.nii.gz", "valid.nii.gz", "field.nii.gz", "align.json"


def align(
    fixed: Annotated[Path, typer.Argument(help="Phase that gives the grid: NIfTI file or DICOM series folder.")],
    moving: Annotated[Path, typer.Argument(help="Phase to carry onto it.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it must not hold anything else.")],
    force: Annotated[
        bool, typer.Option("--force", help="Write it even if quality control refuses it; align.json says why.")
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 takes one per core. The result is the same.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Carry one CT phase onto another by deformable registration (DEEDS).

    Writes moved.nii.gz (HU on the fixed grid), valid.nii.gz (where the moving phase had data), field.nii.gz
    (displacement in LPS mm from fixed to moving points, as SimpleITK and ANTs read it) and align.json. Phases that have
    too little in common, or do not fit after it, are refused.

    Example: livercascade align study/vp.nii.gz study/ap.nii.gz --out aligned/ap
    """
    with exit_on_error():
        check_place(out)
        still, other = _phase(fixed), _phase(moving)
        settings = AlignSettings(threads=threads)
        with new_result_folder(out) as folder:
            found = _aligned(still, other, settings, quiet)
            quality = assess_registration(still, on_grid(other, still.grid), found)
            if not force:
                _refuse_poor(still, other, found, quality)
            record = record_alignment(still, other, found, settings, __version__, quality)
            write_nifti(folder / MOVED, found.moved, found.field.grid)
            write_nifti(folder / VALID, found.valid, found.field.grid)
            write_field(folder / FIELD, found.field)
            (folder / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _show(record, out, Console(quiet=quiet, highlight=False, soft_wrap=True))


def _phase(path: Path) -> PhaseVolume:
    """The one phase at a path; a file with the name that it has in a folder of phases is that phase.

    Raises:
        InputError: It cannot be read.
        UsageError: ``WRONG_USE`` if there are several.
    """
    named = phase_of_file(path)
    volumes = (read_study(path) if named is None else read_study(files={named: path})).volumes
    if len(volumes) != 1:
        message = f"{path}: holds {len(volumes)} phases."
        raise UsageError("WRONG_USE", message, "Name the file or folder of one phase.", stage="register")
    return volumes[0]


def _refuse_poor(fixed: PhaseVolume, moving: PhaseVolume, found: DeedsAlignment, quality: RegistrationQuality) -> None:
    """The gate that phases pass in `predict`.

    Raises:
        InputError: ``PHASE_NO_OVERLAP`` or ``REGISTRATION_POOR``.
    """
    remedy = "Look at both phases and their headers; --force writes the alignment all the same."
    if too_little_in_common(fixed, moving, found) is not None:
        message = f"{moving.description} and {fixed.description} have too little in common to be aligned."
        raise InputError("PHASE_NO_OVERLAP", message, remedy, stage="register")
    if not quality.good:
        message = f"{moving.description}: the alignment is poor: {'; '.join(quality.reasons)}."
        raise InputError("REGISTRATION_POOR", message, remedy, stage="register")


def _aligned(fixed: PhaseVolume, moving: PhaseVolume, settings: AlignSettings, quiet: bool) -> DeedsAlignment:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task("align", total=None)

        def tell(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total)

        return align_pair(fixed, moving, settings=settings, progress=tell)


def _show(record: AlignRecord, out: Path, console: Console) -> None:
    size, likeness = record.displacement_mm, record.mutual_information
    console.print(
        f"displacement: mean {size['mean']:.1f} mm, 95 % below {size['p95']:.1f} mm, largest {size['max']:.1f} mm"
    )
    console.print(f"mutual information: {likeness['before']:.3f} before, {likeness['after']:.3f} after")
    console.print(f"folded voxels: {record.folded:.2%}; moving phase has data in {record.valid:.1%} of the grid")
    if record.lay_together:
        console.print("the phases were aligned before; they were left as they lay")
    if record.offset_mm or any(record.sideways_mm):
        x, y = record.sideways_mm
        shift = f"{x:g}, {y:g}, {record.offset_mm:g} mm along x, y, z"
        console.print(f"the headers share no frame: {shift} were put right first")
    for reason in record.reasons:
        console.print(f"poor: {reason}")
    console.print(f"written: {out}")
