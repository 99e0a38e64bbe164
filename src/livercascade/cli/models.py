"""Commands ``livercascade models show``, ``models import``, ``models temper`` and ``models calibrate``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from livercascade.classify.type_network import is_types, load_types
from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.model_options import PatchOption
from livercascade.cli.progress_bars import bars, steps
from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import ModelError, OutputError
from livercascade.diagnose.calibration import CALIBRATION
from livercascade.models.bundled import bundled
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind, card_markdown
from livercascade.segment.network_folder import load_card, load_model_card, load_model_networks, member_folders
from livercascade.segment.nnunet_import import import_nnunet
from livercascade.system.extras import require
from livercascade.system.files import check_writable, new_folder
from livercascade.train.temperature_scaling import fit_temperature, margins_of_cases, temper
from livercascade.train.training_cases import find_cases

app = typer.Typer(help="Look at model folders, calibrate them, and import models of nnU-Net.", no_args_is_help=True)


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="Model folder, or a folder of folds.")]) -> None:
    """Print the card of a model or an ensemble, after checking its weights.

    Example: livercascade models show runs/whole/model
    """
    with exit_on_error():
        if is_types(folder):
            typer.echo(load_types(folder)[0].markdown(), nl=False)
            return
        load_model_networks(folder)
        members = member_folders(folder)
        cards = [load_card(path) for path in members] if len(members) > 1 else []
        typer.echo(card_markdown(load_model_card(folder), cards), nl=False)


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="Trained nnU-Net v2 folder: plans.json, dataset.json, fold_*.")],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write; several folds become an ensemble.")],
    channel: Annotated[list[str] | None, typer.Option(help="Phase of a channel, for example 0=VP; repeatable.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Meaning of a label, for example tumor=HCC; repeatable.")
    ] = None,
    configuration: Annotated[str, typer.Option(help="Configuration of the plans.")] = "3d_fullres",
    name: Annotated[str, typer.Option(help="Name of the model; nnU-Net's data set if not given.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Import a trained nnU-Net v2 model as UNet^whole: weights only, nothing in the file is executed.

    Example: livercascade models import trained/3d_fullres --channel 0=VP --label tumor=HCC --out whole
    """
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    with exit_on_error():
        names = DatasetNames.parse(channel or (), label or ())
        made = import_nnunet(folder, out, names, configuration=configuration, name=name)
        for note in made.notes:
            console.print(f"note: {note}")
        console.print(f"model: {out}")


@app.command("temper")
def temper_(
    folder: Annotated[Path, typer.Argument(help="UNet^whole: a model folder, or a folder of folds.")],
    data: Annotated[Path, typer.Option(help="Cases that the network was not trained on, as `train` takes them.")],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Calibrate the lesion probabilities of UNet^whole by one temperature, so that f means what it says.

    The mask at f = 1 does not change.

    Example: livercascade models temper runs/whole/model --data validation --out whole
    """
    with exit_on_error():
        cases = find_cases(data)
        with steps("cases", len(cases), quiet=quiet) as advance:
            margins = margins_of_cases(cases, folder, workers=workers, advance=advance)
        temperature = fit_temperature(margins)
        temper(folder, out, temperature)
        before, after = margins.entropy(1.0), margins.entropy(temperature)
        Console(quiet=quiet, highlight=False, soft_wrap=True).print(
            f"temperature {temperature:.2f} from {len(cases)} cases: cross-entropy of lesion voxels in the liver "
            f"{before:.4f} -> {after:.4f}\nmodel: {out}"
        )


@app.command("calibrate")
def calibrate_(
    truth: Annotated[Path, typer.Option(help="Label maps of cases that neither network was trained on.")],
    found: Annotated[Path, typer.Option(help="Their case folders by `predict --evidence`, all of one way.")],
    out: Annotated[Path, typer.Option("--out", help="Copy of UNet^patch to write, with its calibration.json.")],
    patch: PatchOption = None,
    alpha: Annotated[float, typer.Option(min=0.001, max=0.5, help="Error of abstention in each class.")] = 0.05,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Fit the probabilities of lesions, types and patients, and abstention, to cases of one's own.

    `predict --patch OUT` gives them from then on, for the same networks, settings and phases.

    Example: livercascade models calibrate --truth masks --found results --out patch-of-ours
    """
    with exit_on_error():
        # Before the imports, which would fail without naming the extra.
        require("evaluate")
    from livercascade.evaluation.cohort.cohort_files import find_cohort
    from livercascade.evaluation.evaluation_settings import EvaluationSettings
    from livercascade.evaluation.fit_calibration import calibrate_cohort

    folder = patch or bundled("patch")
    with exit_on_error():
        judge = Model.load(folder, ModelKind.PATCH).card
        if out.exists():
            raise OutputError("OUT_TAKEN", f"{out} is there already.", "Choose another folder.", stage="write")
        check_writable(out)
        cohort = find_cohort(truth, [("found", found)])
        about = f"{len(cohort.reference)} {'virtual ' if cohort.virtual else ''}cases of one's own"
        with bars(quiet=quiet) as progress:
            made = calibrate_cohort(cohort, EvaluationSettings(), alpha=alpha, about=about, progress=progress)
        if made.models[1] != judge.sha256:
            message = f"The cases were judged by another UNet^patch than {judge.name} {judge.version}."
            raise ModelError("MODEL_MISMATCH", message, "Give theirs by --patch.", stage="classify")
        with new_folder(out) as part:
            shutil.copytree(folder, part, dirs_exist_ok=True)
            (part / CALIBRATION).write_text(made.to_json(), encoding="utf-8")
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    for one in made.settings:
        phases = ", ".join(phase.value for phase in one.phases)
        console.print(
            f"{phases}: {one.patients} patients ({one.malignant} malignant), "
            f"{one.candidates} candidates ({one.true_candidates} true)"
        )
    console.print(f"model: {out}")
