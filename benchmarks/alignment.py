"""Alignment of virtual phases with known motion, side by side with SimpleITK and ANTs.

Every figure is about virtual patients. Each engine works in a process of its own on one thread; `make alignment`
builds the environment of the other two outside the project's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from jaxtyping import Bool

import livercascade.alignment
from livercascade.alignment.displacement_field import DisplacementField, read_field
from livercascade.alignment.similarity import mutual_information
from livercascade.cli.progress_bars import steps
from livercascade.data.labels import FIRST_LESION, LAST_LESION, Organ, Phase
from livercascade.data.scan import PhaseVolume
from livercascade.io.nifti import read_labels, read_nifti
from livercascade.virtual.patient_folders import case_name, make_cohort
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

ENGINE = Path(__file__).with_name("alignment_engine.py")
MOVING = (Phase.AP, Phase.NC, Phase.DP)
COLUMNS = {
    "tre": "TRE mean mm",
    "p95": "p95 mm",
    "lesion_tre": "lesion TRE mm",
    "lesion_dice": "lesion Dice",
    "liver_dice": "liver Dice",
    "folded": "folded %",
    "cpu_s": "CPU s",
    "peak_mb": "peak MB",
}


def main(
    patients: Annotated[int, typer.Option(help="Virtual patients; each gives three pairs.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the first.")] = 900_000,
    matrix: Annotated[int, typer.Option(help="Pixels along each side of a slice.")] = 256,
    others: Annotated[
        Path | None, typer.Option(help="Python with SimpleITK and antspyx; ours alone if absent.")
    ] = None,
    still: Annotated[
        bool,
        typer.Option("--still", help="Patients that did not breathe: pairs aligned before, to come out unchanged."),
    ] = False,
    real: Annotated[Path | None, typer.Option(help="Folder with ap.nii.gz and vp.nii.gz of a real patient.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for patients, fields and one JSON per pair.")] = Path(
        "runs/alignment"
    ),
) -> None:
    """Run the benchmark and print its table; pairs and engines that are done are not run again."""
    engines = {"ours": Path(sys.executable)} | ({"simpleitk": others, "ants": others} if others else {})
    seeds = range(seed, seed + patients)
    motion = PhaseMotion.NONE if still else PhaseMotion.BREATHING
    settings = VirtualSettings(matrix=matrix, motion=motion)
    rows: list[dict[str, object]] = []
    with steps("pairs", patients * len(MOVING) * (len(engines) + 2)) as advance:
        for folder in make_cohort(seeds, settings, out / "patients"):
            for phase in MOVING:
                rows += pair_rows(folder, phase, engines, out, advance)
    show(
        pd.DataFrame(rows),
        f"virtual patients {case_name(seed)} and on, {patients * len(MOVING)} pairs, {matrix} pixels, "
        f"motion: {motion.value}",
    )
    if real is not None:
        show_real(real, out)


def pair_rows(
    folder: Path, phase: Phase, engines: dict[str, Path], out: Path, advance: Callable[[], None]
) -> list[dict[str, object]]:
    """Rows of one pair: without alignment, each engine, and the true field."""
    name = phase.value.lower()
    labels, grid = read_labels(folder / "labels.nii.gz")
    breathed = folder / f"field_{name}.nii.gz"
    still = not breathed.is_file()
    moving, moving_grid = (labels, grid) if still else read_labels(folder / f"labels_{name}.nii.gz")
    truth = DisplacementField.zero(grid) if still else read_field(breathed).on(grid)

    def row(engine: str, field: DisplacementField, spent: dict[str, float]) -> dict[str, object]:
        advance()
        seen = field.warp_labels(moving, moving_grid)
        return {"engine": engine, "pair": f"{folder.name} {phase.value}", **scores(labels, seen, field, truth), **spent}

    rows = [row("none", DisplacementField.zero(grid), {})]
    for engine, python in engines.items():
        place = out / "fields" / f"{folder.name}-{name}-{engine}.nii.gz"
        spent = run_engine(engine, python, folder / "vp.nii.gz", folder / f"{name}.nii.gz", place)
        rows.append(row(engine, read_field(place), spent))
    return [*rows, row("true field", truth, {})]


def run_engine(engine: str, python: Path, fixed: Path, moving: Path, field: Path) -> dict[str, float]:
    """CPU seconds and peak memory of one engine, kept beside its field; ours runs anew when its code has changed."""
    record, code = field.with_name(f"{field.name}.json"), code_hash() if engine == "ours" else ""
    if record.is_file() and json.loads(record.read_text())["code"] == code:
        return {k: v for k, v in json.loads(record.read_text()).items() if k != "code"}
    field.parent.mkdir(parents=True, exist_ok=True)
    command = [str(python), str(ENGINE), engine, str(fixed), str(moving), str(field)]
    one_thread = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | one_thread)
    spent: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    record.write_text(json.dumps({**spent, "code": code}))
    return spent


def code_hash() -> str:
    """Hash of the alignment's source."""
    files = sorted(Path(next(iter(livercascade.alignment.__path__))).glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def scores(
    labels: np.ndarray, seen: np.ndarray, field: DisplacementField, truth: DisplacementField
) -> dict[str, float]:
    """Errors of a field against the true one in liver and lesions, Dice of labels, folds."""
    error = np.linalg.norm(field.vectors_mm - truth.vectors_mm, axis=-1)
    lesion, liver = is_lesion(labels), is_liver(labels)
    return {
        "tre": float(error[liver].mean()),
        "p95": float(np.quantile(error[liver], 0.95)),
        "lesion_tre": float(error[lesion].mean()) if lesion.any() else float("nan"),
        "lesion_dice": dice(lesion, is_lesion(seen)) if lesion.any() else float("nan"),
        "liver_dice": dice(liver, is_liver(seen)),
        "folded": 100 * field.folded,
    }


def is_lesion(labels: np.ndarray) -> Bool[np.ndarray, "z y x"]:
    """Voxels of any lesion."""
    return (labels >= FIRST_LESION) & (labels <= LAST_LESION)


def is_liver(labels: np.ndarray) -> Bool[np.ndarray, "z y x"]:
    """Voxels of liver, its lesions and vessels."""
    return is_lesion(labels) | (labels == Organ.LIVER) | (labels == Organ.HEPATIC_VESSELS)


def dice(one: Bool[np.ndarray, "z y x"], other: Bool[np.ndarray, "z y x"]) -> float:
    """Overlap, 0 to 1."""
    return float(2 * (one & other).sum() / max(int(one.sum() + other.sum()), 1))


def show(rows: pd.DataFrame, title: str) -> None:
    """Print means over the pairs, and each pair of ours."""
    means = rows.groupby("engine", sort=False)[[c for c in COLUMNS if c in rows]].mean().rename(columns=COLUMNS)
    single = rows[rows["engine"] == "ours"].set_index("pair")[list(COLUMNS)].rename(columns=COLUMNS)
    with pd.option_context("display.width", 140, "display.precision", 2, "display.max_columns", 20):
        print(f"{title}\n\nmeans\n{means}\n\nours, pair by pair\n{single}")


def show_real(folder: Path, out: Path) -> None:
    """Align a real pair and print mutual information before and after, and folds."""
    phases = {
        phase: PhaseVolume(phase, *read_nifti(folder / f"{phase.value.lower()}.nii.gz"))
        for phase in (Phase.VP, Phase.AP)
    }
    place = out / "fields" / "real-ap-ours.nii.gz"
    spent = run_engine("ours", Path(sys.executable), folder / "vp.nii.gz", folder / "ap.nii.gz", place)
    fixed, moving = phases[Phase.VP], phases[Phase.AP]
    for name, field in (("before", DisplacementField.zero(fixed.grid)), ("after", read_field(place))):
        hu, valid = field.warp(moving)
        likeness = mutual_information(fixed.hu, hu, valid)
        print(f"real pair {name}: mutual information {likeness:.3f}, folded {100 * field.folded:.3f} %")
    print(f"real pair: {spent['cpu_s']:.1f} CPU s, {spent['peak_mb']:.0f} MB")


if __name__ == "__main__":
    typer.run(main)
