"""``livercascade evaluate``: every table and figure of the paper from true and found lesions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from livercascade.cascade.cascade import Cascade
from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.model_options import PatchOption, WholeOption
from livercascade.cli.progress_bars import bars
from livercascade.data.errors import UsageError
from livercascade.detect.match import Overlap
from livercascade.detect.seg2det import LesionRule
from livercascade.diagnose.joint import AgreementLevel
from livercascade.evaluation.evaluation import Evaluation, evaluate_folders
from livercascade.evaluation.evaluation_settings import EvaluationSettings, Extras, SmallLesions
from livercascade.evaluation.output.figure_files import NO_FIGURES, Figures
from livercascade.evaluation.output.number_text import percent
from livercascade.evaluation.output.tables_json import Tables
from livercascade.evaluation.output.write_evaluation import PAGE
from livercascade.evaluation.plots.draw_all import build_figures
from livercascade.evaluation.plots.loaded_case import Networks
from livercascade.system.manifest import check_place
from livercascade.system.progress import Progress

_DEFAULT = EvaluationSettings()


def evaluate_command(
    truth: Annotated[Path, typer.Option(help="Folder of <case>.nii.gz label maps or of <case>/labels.nii.gz.")],
    found: Annotated[
        list[str], typer.Option(help="NAME=DIR or DIR: label maps <case>.nii.gz or case folders; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for tables, figures and the page.")],
    joint: Annotated[
        list[str] | None, typer.Option(help="NAME=LOW,HIGH: decide only where both agree; repeatable.")
    ] = None,
    coverage: Annotated[
        Path | None, typer.Option(help="Folder of masks <case>.nii.gz of where the truth was read.")
    ] = None,
    small: Annotated[SmallLesions, typer.Option(help="Lesions under the volume limit.")] = _DEFAULT.small,
    min_volume_ml: Annotated[float, typer.Option(min=0, help="Volume limit in ml.")] = _DEFAULT.min_volume_ml,
    instances: Annotated[
        LesionRule, typer.Option(help="Touching lesions of two types: two lesions, or one.")
    ] = _DEFAULT.instances,
    min_overlap: Annotated[
        float, typer.Option(min=0, max=1, help="Least overlap of a hit; at 0 one common voxel suffices.")
    ] = _DEFAULT.min_overlap,
    overlap: Annotated[Overlap, typer.Option(help="Measure of --min-overlap.")] = _DEFAULT.overlap,
    extras: Annotated[
        Extras, typer.Option(help="Second finding in one true lesion, in the mode one2one.")
    ] = _DEFAULT.extras,
    agree: Annotated[
        AgreementLevel, typer.Option(help="How fine both sides of a joint model must agree.")
    ] = _DEFAULT.level,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of the patients.")] = _DEFAULT.bootstrap,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = _DEFAULT.seed,
    figures: Annotated[bool, typer.Option(help="Draw figures.")] = True,
    whole: WholeOption = None,
    patch: PatchOption = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = max(os.cpu_count() or 1, 1),
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Compare found lesions with the truth: tables I to V, figures, intervals, comparisons, one HTML page.

    Several --found stand side by side. A name SETTING/MODEL puts a model into the table of its setting.

    Example: livercascade evaluate --truth cohort --found results --out evaluation
    """
    with exit_on_error():
        check_place(out)
        settings = EvaluationSettings(
            min_volume_ml=min_volume_ml,
            small=small,
            instances=instances,
            min_overlap=min_overlap,
            overlap=overlap,
            extras=extras,
            level=agree,
            bootstrap=bootstrap,
            seed=seed,
        )
        with bars(quiet=quiet) as progress:
            made = evaluate_folders(
                truth,
                [parse_found(text) for text in found],
                settings=settings,
                coverage=coverage,
                joint=joint or (),
                workers=workers,
                progress=progress,
            )
            made.save(out, _draw(made, whole, patch, progress) if figures else NO_FIGURES)
    show(made.tables, out, Console(quiet=quiet, highlight=False, soft_wrap=True))


def parse_found(text: str) -> tuple[str | None, Path]:
    """Name, if there is one, and folder of ``--found``.

    Raises:
        UsageError: ``BAD_FOUND``: the name or the folder is empty.

    >>> parse_found("Base=out/base")
    ('Base', PosixPath('out/base'))
    """
    name, equals, folder = text.partition("=")
    if not equals or Path(text).is_dir():
        return None, Path(text)
    if not name.strip() or not folder:
        raise UsageError("BAD_FOUND", f"--found {text!r} has no name or no folder.", "Give --found NAME=DIR.")
    return name.strip(), Path(folder)


def show(tables: Tables, out: Path, console: Console) -> None:
    """The main metrics of every model, and where the page lies."""
    title = f"{tables.cases} {'virtual ' if tables.virtual else ''}cases, counting mode paper"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True, overflow="fold")
    for column in ("recall", "rough", "prec.", "Malign", "FP/case", "sens.", "spec.", "decided"):
        table.add_column(column, justify="right", no_wrap=True, overflow="fold")
    for key, model in tables.models.items():
        every, malign, patient = model.lesion.paper.All, model.lesion.paper.Malign, model.patient
        shares = (every.recall, every.recall_rough, every.precision, malign.recall)
        rate = "–" if every.fp_per_case is None else f"{every.fp_per_case:.2f}"
        verdict = (patient.sensitivity, patient.specificity)
        decided = f"{model.decided}/{model.cases}"
        table.add_row(key, *map(percent, shares), rate, *map(percent, verdict), decided)
    console.print(table)
    console.print(f"page: {out / PAGE}")


def _draw(evaluation: Evaluation, whole: Path | None, patch: Path | None, progress: Progress) -> Figures:
    """The figures; the networks are loaded only where there is evidence that they can be held against."""
    networks = None
    if any(source.evidence for source in evaluation.cohort.predictions):
        cascade = Cascade.load(whole=whole, patch=patch)
        networks = Networks(cascade.whole, cascade.patch)
    return build_figures(evaluation, networks=networks, progress=progress)
