"""``livercascade predict`` and ``livercascade demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from livercascade.cascade.predict import REPORT, Cascade, predict
from livercascade.cascade.settings import CascadeSettings, TypesFrom, read_settings
from livercascade.classify.lesion_classifier import LesionClassifier
from livercascade.cli.check import ApOption, DpOption, NcOption, SourceArgument, VpOption, phase_files
from livercascade.cli.errors import told
from livercascade.data.labels import Phase
from livercascade.diagnose.calibration import read_calibration
from livercascade.models.bundled import bundled
from livercascade.results.result import CaseResult
from livercascade.segment.engine import Engine, Precision, Runtime
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
EngineOption = Annotated[
    Runtime,
    typer.Option("--engine", help="What computes the networks: auto is OpenVINO on a processor, torch on a GPU."),
]
PrecisionOption = Annotated[
    Precision, typer.Option(help="fp32 computes in float32 even where the machine has bfloat16, which is faster.")
]
WholeOption = Annotated[Path | None, typer.Option("--whole", help="Model folder of UNet^whole; bundled if absent.")]
PatchOption = Annotated[Path | None, typer.Option("--patch", help="Model folder of UNet^patch; bundled if absent.")]
TypesOption = Annotated[
    Path | None, typer.Option("--types", help="Model folder that tells types from enhancement; bundled if absent.")
]
SettingsOption = Annotated[Path | None, typer.Option("--settings", help="TOML file with other settings.")]
EvidenceOption = Annotated[
    bool,
    typer.Option(
        "--evidence", help="Keep evidence.npz, from which evaluate draws its curves and figures; takes longer."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


def predict_command(
    out: Annotated[Path, typer.Option("--out", help="Case folder to write.")],
    source: SourceArgument = None,
    nc: NcOption = None,
    ap: ApOption = None,
    vp: VpOption = None,
    dp: DpOption = None,
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
    again: Annotated[bool, typer.Option("--again", help="Analyse even if the same result is there.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Find, type and filter liver lesions in one study; writes result.json, label maps and report.html.

    Example: livercascade predict study/dicom --out results/study
    """
    with told():
        chosen = read_settings(settings)
        if evidence:
            chosen = chosen.model_copy(update={"evidence": True})
        if no_align:
            chosen = chosen.model_copy(update={"align": False})
        cascade = load_cascade(device, whole, patch, chosen, types=types, engine=engine, precision=precision)
        files = phase_files(nc, ap, vp, dp)
        run(source, out, cascade, files=files, again=again, quiet=quiet)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the virtual patient and the result.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Which virtual patient.")] = 900_008,
    quiet: QuietOption = False,
) -> None:
    """Make a virtual four-phase patient, analyse it, and say where the report lies.

    Example: livercascade demo
    """
    from livercascade.virtual.patient_folders import make_cohort
    from livercascade.virtual.virtual_settings import VirtualSettings

    console = Console(quiet=quiet, highlight=False)
    with told():
        console.print(f"Making virtual patient {seed} ...")
        (case,) = make_cohort([seed], VirtualSettings(), out / "patient")
        cascade = load_cascade("auto", None, None, CascadeSettings())
        run(case, out / "result", cascade, quiet=quiet)


def load_cascade(
    device: str,
    whole: Path | None,
    patch: Path | None,
    settings: CascadeSettings,
    *,
    types: Path | None = None,
    engine: Runtime = Runtime.AUTO,
    precision: Precision = Precision.AUTO,
) -> Cascade:
    """The networks, bundled unless folders are given; with a calibration, every proposal gets all its patches.

    Raises:
        ModelError: A network or its calibration is missing, damaged or of another kind.
        UsageError: ``BAD_ENGINE``: the machine has not what is asked for.
    """
    chosen, patch = Engine.choose(device, engine, precision), patch or bundled("patch")
    calibration = read_calibration(patch)
    if calibration is not None:
        settings = settings.model_copy(update={"stop_when_decided": False})
    return Cascade(
        Model.load(whole or bundled("whole"), ModelKind.WHOLE, chosen),
        Model.load(patch, ModelKind.PATCH, chosen),
        settings,
        calibration,
        load_classifier(settings, types),
    )


def load_classifier(settings: CascadeSettings, folder: Path | None = None) -> LesionClassifier | None:
    """What types follow from, bundled unless a folder is given; None where they are those of UNet^whole.

    Raises:
        ModelError: It is missing, damaged or of another kind.
    """
    if settings.types_from is TypesFrom.NETWORK:
        return None
    return LesionClassifier.load(folder or bundled("types"))


def run(
    source: Path | None,
    out: Path,
    cascade: Cascade,
    *,
    files: dict[Phase, Path] | None = None,
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

        result = predict(source, out, cascade, files=files, progress=tell, again=again)
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
    if result.verdict is not None:
        console.print(f"verdict: {result.verdict.joint.value}. {result.verdict.meaning}")
    console.print(f"report: {out / REPORT}")
