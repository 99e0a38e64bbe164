"""No answer where there is none to give: scans without a liver to be read, and real livers, through predict.

Every nonsense scan must end with a code and without a verdict; no real scan may be refused as nonsense. What is cut off
or unusual is warned of and gets no verdict, which is right for either. The nearest distance of every real scan to a
limit is printed, so that limits are seen to have room. Exit status 1 if a nonsense scan gets a verdict, or a real one
is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from nonsense_scans import every_scan
from rich.console import Console
from rich.table import Table

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.plausibility import ODD_SHARE, SKIN_SHARE, SPINE_SHARE, check_trunk, measured
from livercascade.cascade.predict import predict
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.errors import CascadeError
from livercascade.data.labels import Phase
from livercascade.data.scan import Scan
from livercascade.detect.liver import liver_with_content, main_liver
from livercascade.detect.liver_place import LiverPlace
from livercascade.io.nifti import write_nifti
from livercascade.io.study_reader import read_study
from livercascade.results.wording import NO_VERDICT

DATA = Path("../shared/data")
_PHASES = {"acrin": Phase.NC, "cmb": Phase.AP, "cptac": Phase.AP, "kits": Phase.AP}
"""Phases of real volumes that are not venous."""
console = Console(width=150)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What predict made of one scan.

    Attributes:
        name: The scan.
        codes: Code of the error, or of the warnings with which no verdict is given.
        exit_code: Exit status.
        verdict: Class of the patient, if one is given.
    """

    name: str
    codes: str
    exit_code: int
    verdict: str = ""


def main(
    data: Annotated[Path, typer.Option(help="Folder of real volumes; virtual ones alone if absent.")] = DATA,
    model: Annotated[Path | None, typer.Option(help="Model folder of UNet^whole; bundled if absent.")] = None,
    patch: Annotated[Path | None, typer.Option(help="Model folder of UNet^patch; bundled if absent.")] = None,
    nonsense: Annotated[bool, typer.Option(help="Run the scans without a liver.")] = True,
    real: Annotated[bool, typer.Option(help="Run the real livers.")] = True,
    only: Annotated[str, typer.Option(help="Scans with this in their name alone.")] = "",
) -> None:
    """Run both sets and print their tables."""
    torch.set_num_threads(1)
    cascade = Cascade.load(CascadeSettings(), device="cpu", whole=model, patch=patch)
    wrong = 0
    if nonsense:
        outcomes = list(_nonsense(data, cascade, only))
        wrong += sum(bool(one.verdict) or not one.codes for one in outcomes)
        console.print(table(outcomes, f"{len(outcomes)} scans without a liver to be read"))
    if real:
        sources = [one for one in real_scans(data) if only in one[0]]
        outcomes = [outcome(name, files, source, cascade) for name, source, files in sources]
        wrong += sum(one.exit_code != 0 for one in outcomes)
        console.print(table(outcomes, f"{len(outcomes)} real scans with a liver"))
        console.print(room(sources, cascade))
    console.print(f"{wrong} wrong")
    raise typer.Exit(int(wrong > 0))


def _nonsense(data: Path, cascade: Cascade, only: str) -> Iterator[Outcome]:
    # Standard output is for the tables.
    told = Console(stderr=True)
    with TemporaryDirectory() as folder:
        for scan in every_scan(data):
            if only not in scan.name:
                continue
            path = Path(folder) / "scan.nii"
            write_nifti(path, scan.hu, scan.grid)
            told.print(scan.name)
            yield outcome(scan.name, {scan.phase: path}, None, cascade)


def outcome(name: str, files: dict[Phase, Path] | None, source: Path | None, cascade: Cascade) -> Outcome:
    """What predict makes of a study."""
    with TemporaryDirectory() as out:
        try:
            result = predict(source, Path(out) / "case", cascade, files=files)
        except CascadeError as error:
            return Outcome(name, error.code, error.exit_code)
    codes = ", ".join(warning.code for warning in result.warnings if warning.code in NO_VERDICT)
    return Outcome(name, codes, 0, "" if result.verdict is None else result.verdict.joint.value)


def real_scans(data: Path) -> Iterator[tuple[str, Path | None, dict[Phase, Path] | None]]:
    """Name, study and files of every real scan with liver in it."""
    for folder in sorted((data / "real_ct").glob("*")):
        image = folder / "image.nii.gz"
        if image.is_file():
            yield folder.name, None, {_PHASES.get(folder.name.split("_")[0], Phase.VP): image}
    later = data / "hcc_tace_005_post"
    for name, phase in (("ap_early", Phase.AP), ("ap", Phase.AP), ("vp", Phase.VP)):
        if (later / f"{name}.nii.gz").is_file():
            yield f"hcc_tace_005_post {name}", None, {phase: later / f"{name}.nii.gz"}
    for path in (
        data / "hcc_tace_005_pre" / "dicom",
        data / "hcc_tace_002" / "dicom",
        data / "totalsegmentator_example" / "ct.nii.gz",
        data / "totalsegmentator_example" / "ct_sm.nii.gz",
    ):
        if path.exists():
            yield "/".join(path.parts[-2:]), path, None


def table(outcomes: list[Outcome], title: str) -> Table:
    """One row for each scan."""
    out = Table(title=title)
    for column in ("scan", "code", "exit", "verdict"):
        out.add_column(column)
    for one in outcomes:
        out.add_row(one.name, one.codes, str(one.exit_code), one.verdict or "none")
    return out


def room(sources: list[tuple[str, Path | None, dict[Phase, Path] | None]], cascade: Cascade) -> Table:
    """For every measure its usual range, and the range of the real scans, phase by phase; cut livers apart."""
    values: dict[str, list[float]] = {}
    limits: dict[str, str] = {
        "spine_share": f"{SPINE_SHARE:g} ..",
        "odd_share": f".. {ODD_SHARE:g}",
        "soft_skin_share": f"{SKIN_SHARE:g} ..",
    }
    for _, source, files in sources:
        for volume in read_study(source, files=files).volumes:
            scan = Scan(volume.grid, {volume.phase: volume.hu}, volume.phase)
            trunk = check_trunk(scan)
            for name in ("spine_share", "odd_share", "soft_skin_share"):
                values.setdefault(name, []).append(float(getattr(trunk, name)))
            mask = cascade.segmenter.segment(scan).only_in(trunk.body_in(volume.hu)).mask(4.0)
            liver = main_liver(mask, scan.grid)
            place = LiverPlace.of(liver, liver_with_content(mask), liver & (mask == 7), scan, trunk)
            for one in measured(place):
                values.setdefault(one.limit.measure, []).append(one.value)
                usual, possible = (f"{low:g} .. {high:g}" for low, high in (one.limit.usual, one.limit.possible))
                limits[one.limit.measure] = f"{usual}; refused outside {possible}"
    out = Table(title="limits, and the measures of the real scans that they apply to")
    for column in ("measure", "usual", "scans", "least", "5 %", "median", "95 %", "most"):
        out.add_column(column)
    for name, found in values.items():
        quantiles = np.quantile(found, [0, 0.05, 0.5, 0.95, 1])
        out.add_row(name, limits[name], str(len(found)), *(f"{q:.3g}" for q in quantiles))
    return out


if __name__ == "__main__":
    typer.run(main)
