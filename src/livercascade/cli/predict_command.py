"""``livercascade predict`` and ``livercascade demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.predict import predict
from livercascade.cascade.prediction import REPORT
from livercascade.cascade.settings import read_settings
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
from livercascade.cli.model_options import DeviceOption, PatchOption, SettingsOption, TypesOption, WholeOption
from livercascade.data.labels import Phase
from livercascade.dicom.codes import read_codes
from livercascade.dicom.dicom_stage import DicomStage, SegType
from livercascade.io.phase_naming import PhaseNaming
from livercascade.io.study_sources import StudyLocation
from livercascade.results.result import CaseResult
from livercascade.segment.engine import Precision, Runtime

EngineOption = Annotated[
    Runtime,
    typer.Option("--engine", help="What computes the networks: auto is OpenVINO on a processor, torch on a GPU."),
]
PrecisionOption = Annotated[
    Precision, typer.Option(help="fp32 computes in float32 even where the machine has bfloat16, which is faster.")
]
EvidenceOption = Annotated[
    bool,
    typer.Option(
        "--evidence", help="Keep evidence.npz, from which evaluate draws its curves and figures; takes longer."
    ),
]
NoDicomOption = Annotated[
    bool,
    typer.Option("--no-dicom", help="Write no DICOM objects; by default they are written where the study is DICOM."),
]
SegTypeOption = Annotated[
    SegType | None, typer.Option("--seg-type", help="How the DICOM Segmentation stores its segments; binary if absent.")
]
CodesOption = Annotated[
    Path | None, typer.Option("--codes", help="TOML file with other SNOMED CT and DICOM codes for the DICOM objects.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


def predict_command(
    out: Annotated[Path, typer.Option("--out", help="Case folder to write.")],
    source: SourceArgument = None,
    nc: NcOption = None,
    ap: ApOption = None,
    vp: VpOption = None,
    dp: DpOption = None,
    resample: ResampleOption = False,
    channels: ChannelsOption = None,
    phase: PhaseOption = None,
    phase_rules: RulesOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = Runtime.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    whole: WholeOption = None,
    patch: PatchOption = None,
    types: TypesOption = None,
    settings: SettingsOption = None,
    evidence: EvidenceOption = False,
    no_align: Annotated[
        bool, typer.Option("--no-align", help="Take the phases as they are, for input that is aligned already.")
    ] = False,
    no_dicom: NoDicomOption = False,
    seg_type: SegTypeOption = None,
    codes: CodesOption = None,
    again: Annotated[bool, typer.Option("--again", help="Analyse even if the same result is there.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Find, type and filter liver lesions; writes result.json, label maps and report.html, of several studies each.

    From a DICOM study also a DICOM Segmentation, a structured report, the report as PDF and key images.

    Example: livercascade predict study/dicom --out results/study
    """
    with exit_on_error():
        chosen = read_settings(settings)
        if evidence:
            chosen = chosen.changed("output", evidence=True)
        if no_align:
            chosen = chosen.changed("align", enabled=False)
        chosen = chosen.changed("output", dicom=_dicom_stage(chosen.output.dicom, no_dicom, seg_type, codes))
        cascade = Cascade.load(
            chosen, whole=whole, patch=patch, types=types, device=device, engine=engine, precision=precision
        )
        files = phase_files(nc, ap, vp, dp)
        naming = PhaseNaming.of(phase or (), phase_rules)
        studies = [None] if files else studies_of(source, channels)
    failed = False
    for study in studies:
        place = out / study.case_id if study is not None and len(studies) > 1 else out
        try:
            with exit_on_error():
                run(study, place, cascade, files=files, resample=resample, naming=naming, again=again, quiet=quiet)
        except typer.Exit:
            # The refusal of one study leaves the others.
            if len(studies) == 1:
                raise
            failed = True
    if failed:
        raise typer.Exit(1)


def _dicom_stage(stage: DicomStage, none: bool, seg_type: SegType | None, codes: Path | None) -> DicomStage:
    """Settings of the DICOM objects with what the command line says."""
    changes = {
        "objects": () if none else stage.objects,
        "seg_type": seg_type or stage.seg_type,
        "codes": stage.codes if codes is None else read_codes(codes),
    }
    return stage.model_copy(update=changes)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the virtual patient and the result.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Which virtual patient.")] = 900_008,
    quiet: QuietOption = False,
) -> None:
    """Make a virtual four-phase patient, analyse it, and say where the report lies.

    Example: livercascade demo
    """
    # Only here: predict must not wait for the import of virtual patients.
    from livercascade.virtual.patient_folders import make_cohort
    from livercascade.virtual.virtual_settings import VirtualSettings

    console = Console(quiet=quiet, highlight=False)
    with exit_on_error():
        console.print(f"Making virtual patient {seed} ...")
        (case,) = make_cohort([seed], VirtualSettings(), out / "patient")
        run(case, out / "result", Cascade.load(), quiet=quiet)


def run(
    source: Path | StudyLocation | None,
    out: Path,
    cascade: Cascade,
    *,
    files: dict[Phase, Path] | None = None,
    resample: bool = False,
    naming: PhaseNaming | None = None,
    again: bool = False,
    quiet: bool = False,
) -> CaseResult:
    """Analyse one study with a progress bar and print the verdict."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        tasks = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        result = predict(
            source, out, cascade, files=files, resample=resample, naming=naming, progress=tell, again=again
        )
    show(result, out, Console(quiet=quiet, highlight=False, soft_wrap=True))
    return result


def show(result: CaseResult, out: Path, console: Console) -> None:
    """Verdict, warnings and the report's path."""
    phases = ", ".join(i.phase.value for i in result.inputs)
    console.print(f"case {result.case_id}: {result.status.value}; phases {phases}")
    for warning in result.warnings:
        console.print(f"  {warning.code}: {warning.message}")
    lesions = result.lesions or ()
    kept = [lesion for lesion in lesions if lesion.present]
    console.print(f"{len(kept)} findings kept, {len(lesions) - len(kept)} candidates removed")
    if result.verdict is None:
        console.print("verdict: none is given, see the warnings")
    else:
        console.print(f"verdict: {result.verdict.joint.value}. {result.verdict.meaning}")
    console.print(f"report: {out / REPORT}")
