"""Held-out virtual patients through the whole cascade: liver Dice, lesion recall, false positives, patient verdict.

Every number is about virtual patients. Seeds from 900000 on are never used in training. With ``--motion`` the same
patients are scanned in several breaths, and the cascade runs with and without alignment of the phases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from livercascade.alignment.align_settings import AlignSettings
from livercascade.cascade.align_study import align_study
from livercascade.cascade.cascade import Cascade
from livercascade.cascade.findings import Findings
from livercascade.cascade.settings import AlignStage, CascadeSettings
from livercascade.cli.progress_bars import steps
from livercascade.data.errors import CascadeError
from livercascade.data.labels import Phase
from livercascade.data.lesion import LesionSet
from livercascade.data.scan import PhaseVolume
from livercascade.detect.liver import liver_with_content
from livercascade.detect.match import overlaps
from livercascade.detect.seg2det import seg2det
from livercascade.io.study import Study
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.virtual.virtual_patient import VirtualPatient, make_patient
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

BIG_ML = 2.0
ONE_THREAD = AlignSettings(threads=1)


@dataclass(frozen=True)
class BenchmarkSetting:
    """One column of the table: which phases, how they lie, and whether the cascade aligns them."""

    phases: tuple[Phase, ...] = tuple(Phase)
    motion: PhaseMotion = PhaseMotion.RESIDUAL
    align: bool = False


PLAIN = {"four phases": BenchmarkSetting(), "NC alone": BenchmarkSetting((Phase.NC,))}
MOTION = {
    "no motion": BenchmarkSetting(motion=PhaseMotion.NONE),
    "breathing, aligned": BenchmarkSetting(motion=PhaseMotion.BREATHING, align=True),
    "breathing, not aligned": BenchmarkSetting(motion=PhaseMotion.BREATHING),
}


def main(
    cases: Annotated[int, typer.Option(help="Number of patients.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the first.")] = 900_000,
    out: Annotated[Path | None, typer.Option(help="Folder for one JSON per case; finished cases are kept.")] = None,
    matrix: Annotated[int, typer.Option(help="Pixels along each side of a slice.")] = 256,
    workers: Annotated[int, typer.Option(help="Processes, one thread each.")] = 2,
    whole: Annotated[Path | None, typer.Option(help="Model folder of UNet^whole; bundled if absent.")] = None,
    patch: Annotated[Path | None, typer.Option(help="Model folder of UNet^patch; bundled if absent.")] = None,
    motion: Annotated[
        bool, typer.Option("--motion", help="Patients that breathed, with and without alignment.")
    ] = False,
) -> None:
    """Run the benchmark and print its table."""
    settings = MOTION if motion else PLAIN
    out = out or Path("runs/held_out_motion" if motion else "runs/held_out")
    out.mkdir(parents=True, exist_ok=True)
    todo = [s for s in range(seed, seed + cases) if not (out / f"{s}.json").is_file()]
    with steps("virtual patients", cases) as advance:
        for _ in range(cases - len(todo)):
            advance()
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for done in as_completed(
                [pool.submit(one_patient, s, matrix, out, settings, (whole, patch)) for s in todo]
            ):
                done.result()
                advance()
    rows = [json.loads((out / f"{s}.json").read_text()) for s in range(seed, seed + cases)]
    Console(width=110).print(
        table(rows, settings, f"{cases} held-out virtual patients, seeds {seed}-{seed + cases - 1}")
    )


def one_patient(
    seed: int, matrix: int, out: Path, settings: dict[str, BenchmarkSetting], models: tuple[Path | None, Path | None]
) -> None:
    """Measure one patient in all settings and keep the counts as JSON."""
    torch.set_num_threads(1)
    made = {
        m: make_patient(seed, VirtualSettings(matrix=matrix, motion=m)) for m in {s.motion for s in settings.values()}
    }
    row: dict[str, Any] = {"seed": seed}
    for name, setting in settings.items():
        patient = made[setting.motion]
        # Only verdicts are counted, and they do not change.
        chosen = CascadeSettings(
            align=AlignStage(enabled=setting.align, registration=ONE_THREAD),
            reclassify=ReclassifySettings(stop_when_decided=True),
        )
        cascade = Cascade.load(chosen, whole=models[0], patch=models[1])
        row["malignant"] = patient.patient_class.malignant
        try:
            placed = align_study(study_of(patient, setting.phases), cascade.settings.align)
            row[name] = measure(cascade.find(placed.scan), patient)
            row[name]["poor"] = sum(not p.quality.good for p in placed.phases)
        except CascadeError as error:
            row[name] = {"error": error.code}
    (out / f"{seed}.json").write_text(json.dumps(row))


def study_of(patient: VirtualPatient, phases: tuple[Phase, ...]) -> Study:
    """Some phases of a patient, as a study that was read."""
    volumes = tuple(PhaseVolume(phase, patient.hu[phase], patient.grid) for phase in phases)
    return Study(str(patient.seed), volumes, (), (), dicom=False)


def measure(findings: Findings, patient: VirtualPatient) -> dict[str, Any]:
    """Counts of one patient; any overlap is a hit, whatever the type, which is counted apart."""
    truth = seg2det(patient.labels, patient.grid, min_volume_ml=0.0, per_label=True)
    found, true = liver_with_content(findings.proposals.high), liver_with_content(patient.labels)
    proposals = findings.proposals
    return {
        "liver_dice": float(2 * (found & true).sum() / max(int(found.sum() + true.sum()), 1)),
        "big": sum(lesion.volume_ml > BIG_ML for lesion in truth),
        "f=1": hits(truth, proposals.det_low),
        "f=4": hits(truth, proposals.det_high),
        "f=1 reclassified": hits(truth, findings.low.lesions),
        "f=4 reclassified": hits(truth, findings.high.lesions),
        "base_malignant": findings.base_class.malignant,
        "high_malignant": findings.high_class.malignant,
    }


def hits(truth: LesionSet, found: LesionSet) -> dict[str, int]:
    """True lesions over 2 ml that were touched, how many by their own type, found lesions that touch no true one."""
    pairs = overlaps(truth, found)
    # A lesion that several findings touch has the type of the one that covers most of it.
    best = {pair.truth: pair.found for pair in sorted(pairs, key=lambda pair: pair.voxels)}
    big = [i for i in best if truth[i].volume_ml > BIG_ML]
    return {
        "hit": len(big),
        "typed": sum(truth[i].label is found[best[i]].label for i in big),
        "fp": len(found) - len({pair.found for pair in pairs}),
    }


def table(rows: list[dict[str, Any]], settings: dict[str, BenchmarkSetting], title: str) -> Table:
    """The counts as a table, one column per setting."""
    out = Table(title=title)
    out.add_column("virtual patients")
    for name in settings:
        out.add_column(name, justify="right")
    for label, metric in row_metrics():
        out.add_row(label, *(metric([r for r in rows if "error" not in r[name]], name) for name in settings))
    out.add_row("cases that failed", *(str(sum("error" in r[name] for r in rows)) for name in settings))
    return out


RowMetric = Callable[[list[dict[str, Any]], str], str]


def row_metrics() -> Iterable[tuple[str, RowMetric]]:
    """Label and way of computing each row."""
    yield "liver Dice, mean", lambda r, s: f"{np.mean([x[s]['liver_dice'] for x in r]):.3f}"
    for step in ("f=1", "f=4", "f=1 reclassified", "f=4 reclassified"):
        yield f"recall of lesions > 2 ml, {step}", _recall(step)
        yield f"false positives per case, {step}", _false(step)
    yield "right type of those found, f=4 reclassified", _typed("f=4 reclassified")
    for key, name in (("base_malignant", "f=1"), ("high_malignant", "f=4")):
        yield f"malignancy sensitivity, {name} reclassified", _rate(key, malignant=True)
        yield f"malignancy specificity, {name} reclassified", _rate(key, malignant=False)


def _recall(step: str) -> RowMetric:
    def metric(rows: list[dict[str, Any]], setting: str) -> str:
        hit, all_ = sum(r[setting][step]["hit"] for r in rows), sum(r[setting]["big"] for r in rows)
        return f"{hit / max(all_, 1):.3f} ({hit}/{all_})"

    return metric


def _typed(step: str) -> RowMetric:
    def metric(rows: list[dict[str, Any]], setting: str) -> str:
        right, all_ = (sum(r[setting][step][key] for r in rows) for key in ("typed", "hit"))
        return f"{right / max(all_, 1):.3f} ({right}/{all_})"

    return metric


def _false(step: str) -> RowMetric:
    return lambda rows, setting: f"{np.mean([r[setting][step]['fp'] for r in rows]):.2f}"


def _rate(key: str, *, malignant: bool) -> RowMetric:
    def metric(rows: list[dict[str, Any]], setting: str) -> str:
        group = [r for r in rows if r["malignant"] is malignant]
        right = sum(r[setting][key] is malignant for r in group)
        return f"{right / len(group):.3f} ({right}/{len(group)})" if group else "–"

    return metric


if __name__ == "__main__":
    typer.run(main)
