"""A real study with masks, by all of its phases and by single ones: liver Dice, masked lesions, other findings.

What is not masked may still be a lesion: further findings are counted and listed, never called false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Bool, Int
from matplotlib.patches import Patch
from rich.console import Console
from rich.table import Table

from livercascade.cascade.align_study import align_study
from livercascade.cascade.cascade import Cascade
from livercascade.cascade.findings import Findings
from livercascade.cascade.settings import CascadeSettings
from livercascade.cli.progress_bars import steps
from livercascade.data.errors import CascadeError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume, Scan
from livercascade.detect.liver import liver_with_content
from livercascade.evaluation.plots import plot_style as style
from livercascade.io.nifti import read_labels
from livercascade.io.reference_grid import on_grid
from livercascade.io.study import Study
from livercascade.io.study_reader import read_study

Mask = Bool[np.ndarray, "z y x"]


@dataclass(frozen=True, slots=True, eq=False)
class ManualMasks:
    """Manual masks on one grid; each lesion has a value of its own."""

    grid: Grid
    liver: Mask
    lesions: Int[np.ndarray, "z y x"]

    @property
    def numbers(self) -> list[int]:
        """Values of the lesions."""
        return [int(n) for n in np.unique(self.lesions) if n]

    def volume_ml(self, number: int) -> float:
        """Volume of a lesion in ml."""
        return float((self.lesions == number).sum() * np.prod(self.grid.spacing) / 1000)


@dataclass(frozen=True, slots=True)
class StudyMetrics:
    """Metrics of one set of phases.

    Attributes:
        liver_dice: Dice of the liver with its content.
        proposed: Share of each masked lesion that the proposals at f = 4 cover.
        kept: Share of each that the findings after reclassification cover.
        others: Volume in ml of each further finding that is kept, largest first.
    """

    liver_dice: float
    proposed: dict[int, float]
    kept: dict[int, float]
    others: tuple[float, ...]


def main(
    study: Annotated[Path, typer.Argument(help="DICOM folder or folder of NIfTI phases.")],
    liver: Annotated[Path, typer.Option(help="Mask of the liver with its lesions.")],
    lesions: Annotated[Path, typer.Option(help="Mask of lesions, each with a value of its own.")],
    whole: Annotated[Path | None, typer.Option(help="Model folder of UNet^whole; bundled if absent.")] = None,
    patch: Annotated[Path | None, typer.Option(help="Model folder of UNet^patch; bundled if absent.")] = None,
    chart: Annotated[Path | None, typer.Option(help="PNG of the same figures; no voxel of the study is in it.")] = None,
) -> None:
    """Analyse the study by all phases together and by each alone, and print the table."""
    livers, grid = read_labels(liver)
    truth = ManualMasks(grid, livers > 0, read_labels(lesions)[0].astype(np.int64))
    cascade = Cascade.load(CascadeSettings(), device="auto", whole=whole, patch=patch)
    read = read_study(study)
    everything = tuple(volume.phase for volume in read.volumes)
    sets = [everything, *((phase,) for phase in everything if len(everything) > 1)]
    rows: list[tuple[str, StudyMetrics | str]] = []
    with steps("sets of phases", len(sets)) as advance:
        for phases in sets:
            rows.append((", ".join(phase.value for phase in phases), analyse(read, phases, cascade, truth)))
            advance()
    Console(width=120).print(table(rows, truth))
    if chart is not None:
        chart.write_bytes(drawn(rows, truth))


def analyse(study: Study, phases: tuple[Phase, ...], cascade: Cascade, truth: ManualMasks) -> StudyMetrics | str:
    """Metrics of some of the phases, or the code of the error that refused them."""
    volumes = tuple(volume for volume in study.volumes if volume.phase in phases)
    some = replace(study, volumes=volumes)
    try:
        scan = align_study(some, cascade.settings.align).scan
        findings = cascade.find(scan)
    except CascadeError as error:
        return error.code
    return measure(findings, scan, truth)


def measure(findings: Findings, scan: Scan, truth: ManualMasks) -> StudyMetrics:
    """Metrics on the grid of the masks."""
    liver = moved(liver_with_content(findings.proposals.high), scan.grid, truth.grid)
    proposed = moved(findings.proposals.det_high.instances() > 0, scan.grid, truth.grid)
    instances = findings.high.lesions.instances()
    kept = moved(instances > 0, scan.grid, truth.grid)
    masked, numbers = truth.lesions > 0, truth.numbers
    others = [
        lesion.volume_ml
        for number, lesion in enumerate(findings.high.lesions, start=1)
        if not (moved(instances == number, scan.grid, truth.grid) & masked).any()
    ]
    return StudyMetrics(
        liver_dice=float(2 * (liver & truth.liver).sum() / max(int(liver.sum() + truth.liver.sum()), 1)),
        proposed={n: float(proposed[truth.lesions == n].mean()) for n in numbers},
        kept={n: float(kept[truth.lesions == n].mean()) for n in numbers},
        others=tuple(others),
    )


def moved(mask: Mask, of: Grid, to: Grid) -> Mask:
    """A mask on another grid."""
    if of.matches(to):
        return mask
    volume = PhaseVolume(Phase.VP, np.where(mask, 1000, 0).astype(np.int16), of)
    values, valid = on_grid(volume, to)
    return (values > 500) & valid


def table(rows: list[tuple[str, StudyMetrics | str]], truth: ManualMasks) -> Table:
    """One row for each set of phases."""
    numbers = truth.numbers
    out = Table(title="real study; share of each masked lesion that is covered")
    out.add_column("phases")
    out.add_column("liver Dice", justify="right")
    for n in numbers:
        out.add_column(f"{truth.volume_ml(n):.1f} ml, f = 4", justify="right")
        out.add_column("kept", justify="right")
    out.add_column("further findings kept, ml")
    for name, row in rows:
        if isinstance(row, str):
            out.add_row(name, row)
            continue
        shares = [f"{share:.2f}" for n in numbers for share in (row.proposed[n], row.kept[n])]
        out.add_row(name, f"{row.liver_dice:.3f}", *shares, ", ".join(f"{ml:.1f}" for ml in row.others) or "none")
    return out


def drawn(rows: list[tuple[str, StudyMetrics | str]], truth: ManualMasks) -> bytes:
    """The table as a chart: the share of each masked lesion that is covered, before and after reclassification."""
    numbers, wide = truth.numbers, 0.8 / len(truth.numbers)
    sheet = style.sheet(2.9)
    axes = style.plain(sheet.subplots(), ylabel="share of the masked nodule, %")
    for place, (_, row) in enumerate(rows):
        for side, number in enumerate(numbers):
            if isinstance(row, str):
                continue
            at = place - 0.4 + wide * (side + 0.5)
            before, after = 100 * row.proposed[number], 100 * row.kept[number]
            colour = style.SERIES[side]
            axes.bar(at, before, 0.9 * wide, facecolor="none", edgecolor=colour, linewidth=1.0, hatch="////")
            axes.bar(at, after, 0.9 * wide, color=colour)
            words = "missed" if before == 0 else "removed" if after == 0 else f"{after:.0f}"
            axes.text(at, before + 1.5, words, ha="center", va="bottom", fontsize=7, color=style.INK)
    titles = [f"{name}\n{_below(row)}" for name, row in rows]
    axes.set_xticks(range(len(rows)), titles)
    axes.set_ylim(0, 100)
    names = [f"nodule of {truth.volume_ml(n):.1f} ml" for n in numbers]
    handles = [Patch(color=style.SERIES[side], label=name) for side, name in enumerate(names)]
    handles.append(Patch(facecolor="none", edgecolor=style.MUTED, hatch="////", label="found at f = 4, then removed"))
    axes.legend(handles=handles, fontsize=7, frameon=False, loc="upper right", labelcolor=style.INK)
    sheet.subplots_adjust(left=0.08, right=0.99, top=0.87, bottom=0.2)
    title = "One real study: how much of each masked nodule is found"
    bitmap = style.picture(sheet, "real_study", title, "", virtual=False).png
    assert bitmap is not None
    return bitmap


def _below(row: StudyMetrics | str) -> str:
    if isinstance(row, str):
        return row
    others = ", ".join(f"{ml:.1f}" for ml in row.others)
    return f"liver Dice {row.liver_dice:.3f}\nelsewhere: {others or 'none'}{' ml' if others else ''}"


if __name__ == "__main__":
    typer.run(main)
