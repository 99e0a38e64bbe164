"""Real livers with manual masks and lesions drawn by eye: Dice, lesions found and kept, what is found where nothing is.

Patient-wise cross-validation of a training over folds, or one model on cases that it has not seen. The lesions are
silver: hit or missed counts, not their Dice; what is doubtful is neither asked for nor held against the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Bool, Int32
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.findings import Findings
from livercascade.cascade.settings import CascadeSettings
from livercascade.cli.progress_bars import steps
from livercascade.data.errors import CascadeError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.lesion import LesionSet
from livercascade.data.scan import Scan
from livercascade.detect.liver import liver_with_content
from livercascade.io.nifti import read_instances, read_nifti
from livercascade.system.files import write_file

Mask = Bool[np.ndarray, "z y x"]

ASKED_ML = 1.0
"""Sure lesions from this volume on are asked for."""
BESIDE_MM = 5.0
"""Lesions this far from the liver are in another organ; masks and outlines differ by less."""
AIR_HU = -400.0
IN_IGNORED = 0.5
"""A finding with this share in regions to ignore is not held against the network."""


@dataclass(frozen=True, slots=True, eq=False)
class RealLiver:
    """One real scan with its masks.

    Attributes:
        name: Name of the case.
        scan: One venous phase.
        liver: Liver with its lesions.
        lesions: Number of the lesion in each voxel, 0 without.
        sure: Numbers of the lesions that are sure.
        ignored: Regions that nobody could judge.
    """

    name: str
    scan: Scan
    liver: Mask
    lesions: Int32[np.ndarray, "z y x"]
    sure: tuple[int, ...]
    ignored: Mask

    @classmethod
    def read(cls, home: Path) -> RealLiver:
        hu, grid = read_nifti(home / "image.nii.gz")
        liver, lesions = (read_instances(home / f"{name}.nii.gz")[0] for name in ("labels", "lesions"))
        records = json.loads((home / "lesions.json").read_text())
        sure = tuple(one["id"] for one in records if one["confidence"] == "sure")
        ignored = read_instances(home / "ignore.nii.gz")[0] > 0
        return cls(home.name, Scan(grid, {Phase.VP: hu}, Phase.VP), liver > 0, lesions, sure, ignored)

    def volume_ml(self, number: int) -> float:
        """Volume of a lesion in ml."""
        return float(np.count_nonzero(self.lesions == number)) * self.scan.grid.voxel_ml


@dataclass(frozen=True, slots=True)
class LiverMetrics:
    """Metrics of one case.

    Attributes:
        dice: Dice of the liver with its content.
        asked: Sure lesions of `ASKED_ML` or more.
        proposed: How many of these a proposal at f = 4 touches.
        kept: How many a finding after reclassification touches.
        further: Findings that touch no lesion and lie mainly outside the regions to ignore.
        beside_ml: Kept lesion further than `BESIDE_MM` from the liver.
        in_air_ml: Liver and lesions in air.
    """

    dice: float
    asked: int
    proposed: int
    kept: int
    further: int
    beside_ml: float
    in_air_ml: float


def main(
    data: Annotated[Path, typer.Option(help="Folder of cases with image, labels, lesions and ignore.nii.gz.")],
    folds: Annotated[
        Path | None, typer.Option(help="Run of 'train whole --fold ...': each case by the fold that did not see it.")
    ] = None,
    whole: Annotated[Path | None, typer.Option(help="Instead: one model of UNet^whole; bundled if absent.")] = None,
    patch: Annotated[Path | None, typer.Option(help="Model folder of UNet^patch; bundled if absent.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="Names of cases; all if absent.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the metrics of each case.")] = None,
) -> None:
    """Analyse the cases and print one row for each."""
    homes = sorted(p.parent for p in data.glob("*/lesions.json") if not case or p.parent.name in case)
    rows: dict[str, LiverMetrics | str] = {}
    with steps("real livers", len(homes)) as advance:
        for home, model in _models(homes, folds, whole):
            cascade = Cascade.load(CascadeSettings(), device="auto", whole=model, patch=patch)
            rows[home.name] = analyse(RealLiver.read(home), cascade)
            advance()
    Console(width=140).print(table(rows))
    if out is not None:
        content = {name: row if isinstance(row, str) else asdict(row) for name, row in rows.items()}
        write_file(out, json.dumps(content, indent=1) + "\n")


def _models(homes: Sequence[Path], folds: Path | None, whole: Path | None) -> Iterator[tuple[Path, Path | None]]:
    """Each case with the model to use; of a run over folds the one that did not see the case."""
    if folds is None:
        yield from ((home, whole) for home in homes)
        return
    for home in homes:
        held_out = [
            p.parent
            for p in sorted(folds.glob("fold_*/split.json"))
            if home.name in json.loads(p.read_text())["validation"]
        ]
        if not held_out:
            raise typer.BadParameter(f"no fold of {folds} holds out {home.name}")
        yield home, held_out[0] / "model"


def analyse(liver: RealLiver, cascade: Cascade) -> LiverMetrics | str:
    """Metrics of a case, or the code of the error that refused it."""
    try:
        return measure(cascade.find(liver.scan), liver)
    except CascadeError as error:
        return error.code


def measure(findings: Findings, case: RealLiver) -> LiverMetrics:
    """Metrics of what was found."""
    found = liver_with_content(findings.labels)
    asked = [n for n in case.sure if case.volume_ml(n) >= ASKED_ML]
    lesions, proposals = findings.high.lesions, findings.proposals.det_high
    kept = lesions.instances() > 0
    air = case.scan.hu[Phase.VP] < AIR_HU
    grid = case.scan.grid
    return LiverMetrics(
        dice=float(2 * np.count_nonzero(found & case.liver) / max(found.sum() + case.liver.sum(), 1)),
        asked=len(asked),
        proposed=sum(_touched(proposals.instances() > 0, case, n) for n in asked),
        kept=sum(_touched(kept, case, n) for n in asked),
        further=_further(lesions, case),
        beside_ml=float(np.count_nonzero(kept & ~near(case.liver, grid))) * grid.voxel_ml,
        in_air_ml=float(np.count_nonzero(found & air)) * grid.voxel_ml,
    )


def near(liver: Mask, grid: Grid) -> Mask:
    """Everything up to `BESIDE_MM` from the liver."""
    return ndimage.distance_transform_edt(~liver, sampling=grid.spacing) <= BESIDE_MM


def _touched(found: Mask, case: RealLiver, number: int) -> bool:
    return bool(found[case.lesions == number].any())


def _further(lesions: LesionSet, case: RealLiver) -> int:
    count = 0
    for lesion in lesions:
        where = case.lesions[lesion.bbox][lesion.mask] > 0
        doubtful = case.ignored[lesion.bbox][lesion.mask]
        count += int(not where.any() and doubtful.mean() < IN_IGNORED)
    return count


def table(rows: dict[str, LiverMetrics | str]) -> Table:
    """One row for each case, and the sums."""
    out = Table(title=f"real livers, venous phase; sure lesions of {ASKED_ML:g} ml or more")
    out.add_column("case")
    for name in (
        "liver Dice",
        "lesions",
        "found at f = 4",
        "kept",
        "further findings",
        "beside the liver, ml",
        "in air, ml",
    ):
        out.add_column(name, justify="right")
    for name, row in rows.items():
        if isinstance(row, str):
            out.add_row(name, row)
        else:
            out.add_row(
                name,
                f"{row.dice:.3f}",
                *map(str, (row.asked, row.proposed, row.kept, row.further)),
                f"{row.beside_ml:.1f}",
                f"{row.in_air_ml:.1f}",
            )
    good = [row for row in rows.values() if isinstance(row, LiverMetrics)]
    if good:
        dice = [row.dice for row in good]
        sums = [sum(getattr(row, key) for row in good) for key in ("asked", "proposed", "kept", "further")]
        tail = [sum(getattr(row, key) for row in good) for key in ("beside_ml", "in_air_ml")]
        out.add_section()
        out.add_row(
            f"mean (least {min(dice):.3f}); sums", f"{np.mean(dice):.3f}", *map(str, sums), *(f"{v:.1f}" for v in tail)
        )
    return out


if __name__ == "__main__":
    typer.run(main)
