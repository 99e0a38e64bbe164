"""What was measured, as tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from agreement import compare, compare_masks
from measuring import Cost, costs_of, spread
from roofline import ends_bytes

from livercascade.io.study_reader import read_study
from livercascade.models.bundled import bundled
from livercascade.segment.network_folder import load_card

STAGES = {
    "read": "read four phases",
    "preprocess": "network's grid",
    "windows": "windows of UNet^whole",
    "export": "export to the CT grid",
    "masks": "masks at f = 1 and 4 (ours: and proposals)",
    "reclassify": "UNet^patch on the proposals",
    "report": "pictures, report, files",
}
TO_MASKS = ("read", "preprocess", "windows", "export", "masks")
PEER = "nnU-Net"


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown, its columns in line."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    print(f"\n### {title}\n")
    for row in (header, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def path_tables(results: dict[str, list[Any]], folders: dict[str, Path]) -> None:
    """Stages and whole of every configuration; the ratios; how equal the masks are."""
    costs = {name: [costs_of(run if name == PEER else run["costs"]) for run in runs] for name, runs in results.items()}
    for runs in costs.values():
        for one in runs:
            one["to masks"] = _joined([one[stage] for stage in TO_MASKS])
    names = list(costs)
    for title, attribute, digits in (
        ("CPU seconds", "cpu", 3),
        ("Wall seconds", "wall", 3),
        ("Peak memory in MB, imports and network included", "peak_mb", 5),
    ):
        rows = [
            [words, *(_cell(costs[name], stage, attribute, digits) for name in names)]
            for stage, words in (STAGES | {"to masks": "up to the two masks", "whole": "whole"}).items()
        ]
        show(f"{title}: median (least-most)", ["stage", *names], rows)
    show("Beside nnU-Net's path", ["", *names[1:]], _ratio_rows(costs, names[1:]))
    show("What each step brought", ["step", "CPU seconds before", "after", "times as fast"], _step_rows(costs))
    spacing = _spacing(folders)
    rows, notes = [], dict[str, str]()
    for name in names[1:]:
        for factor in (1, 4):
            found = compare(folders[PEER] / f"f{factor}.npy", folders[name] / f"f{factor}.npy", spacing)
            rows.append([name, str(factor), found.share, found.lists])
            # Configurations mostly agree: what one has in common with those before it is told once.
            for text in found.others:
                notes.setdefault(f"f = {factor}: {text}", name)
    show(
        "Masks beside nnU-Net's, each with its own preprocessing",
        ["configuration", "f", "voxels equal", "lesions"],
        rows,
    )
    _list([f"{name}, {text}" for text, name in notes.items()])


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _list(notes: list[str]) -> None:
    print("\nLesions that are not the same:\n" if notes else "\nAll lesions are the same.")
    for note in notes:
        print(f"* {note}")


def _spacing(folders: dict[str, Path]) -> tuple[float, float, float]:
    return read_study(folders[PEER].parent / "study").volumes[0].grid.spacing


def _joined(costs: list[Cost]) -> Cost:
    return Cost(
        sum(c.wall for c in costs), sum(c.cpu for c in costs), max(c.peak_mb for c in costs), costs[0].before_mb
    )


def _cell(runs: list[dict[str, Cost]], stage: str, attribute: str, digits: int) -> str:
    return spread([getattr(one[stage], attribute) for one in runs], digits) if stage in runs[0] else "-"


def _ratio_rows(costs: dict[str, list[dict[str, Cost]]], names: list[str]) -> list[list[str]]:
    rows = []
    for stage, words in (("to masks", "up to the two masks"), ("whole", "whole")):
        for attribute, unit in (("cpu", "CPU time"), ("wall", "wall time"), ("peak_mb", "peak memory")):
            base = _median([getattr(one["whole"], attribute) for one in costs[PEER]])
            cells = [f"{_median([getattr(one[stage], attribute) for one in costs[n]]) / base:.3f}" for n in names]
            rows.append([f"{words}, {unit}", *cells])
    return rows


def _step_rows(costs: dict[str, list[dict[str, Cost]]]) -> list[list[str]]:
    """Every configuration beside the one it builds on."""
    order = [name for name in ("torch eager", "exact", "default", *costs) if name in costs]
    order = [name for name in dict.fromkeys(order) if name != PEER]
    rows = []
    for before, after in pairwise(order):
        seconds = [_median([one["whole"].cpu for one in costs[name]]) for name in (before, after)]
        row = [f"{before} to {after}", *(f"{s:.1f}" for s in seconds), f"{seconds[0] / seconds[1]:.2f}"]
        rows.append(row)
    return rows


def limit_tables(results: dict[str, list[Any]], found: dict[str, Any]) -> None:
    """The machine, the networks at its limit, and how far the whole is from it."""
    gflops, width = found["gflops"], found["gb_per_s"]
    rates = ", ".join(f"{rate:.0f} GFLOP/s in {name}" for name, rate in gflops.items())
    print(f"\nMachine, one thread: {rates}, {width:.1f} GB/s.")
    rows = [
        [kind, f"{n['gflop']:.1f}", f"{n['mb_fp32']:.0f}", *(f"{n[name]:.3f}" for name in gflops)]
        for kind, n in found["networks"].items()
    ]
    show("One forward pass", ["network", "GFLOP", "MB moved (fp32)", *(f"limit in {name}, s" for name in gflops)], rows)
    rows = []
    for name in results:
        if name == PEER:
            continue
        runs = results[name]
        kind = "bf16" if "bfloat16" in runs[0]["engine"] else "fp32"
        passes = runs[0]["passes"]
        limits = {net: passes[net]["count"] * found["networks"][net][kind] for net in passes}
        ends = ends_bytes(runs[0]["shape"], runs[0]["spacing"], passes["whole"]["count"]) / (1e9 * width)
        cpu = statistics.median(run["costs"]["whole"]["cpu"] for run in runs)
        network = {net: statistics.median(run["passes"][net]["cpu"] for run in runs) for net in passes}
        limit = sum(limits.values()) + ends
        rest = {stage: statistics.median(run["costs"][stage]["cpu"] for run in runs) for stage in STAGES}
        rest["windows"] -= network["whole"]
        rest["reclassify"] -= network["patch"]
        spent = ", ".join(f"{stage} {value:.2g}" for stage, value in sorted(rest.items(), key=lambda e: -e[1]))
        rows.append(
            [
                name,
                f"{passes['whole']['count']} + {passes['patch']['count']}",
                f"{limits['whole']:.2f} + {limits['patch']:.2f} + {ends:.2f} = {limit:.2f}",
                f"{network['whole']:.2f} + {network['patch']:.2f}",
                f"{cpu:.2f}",
                f"{cpu / limit:.1f}",
                f"{sum(rest.values()):.2f}: {spent}",
            ]
        )
    header = [
        "configuration",
        "windows + patches",
        "limit: whole + patch + bytes",
        "networks took",
        "whole took",
        "times limit",
    ]
    show("How far from the limit, CPU seconds", [*header, "outside the networks"], rows)


def forward_table(found: dict[str, dict[str, list[float]]]) -> None:
    """Forward passes beside torch eager in fp32."""
    rows = []
    for kind, engines in found.items():
        base = statistics.median(next(iter(engines.values())))
        rows += [[kind, name, spread(s), f"{base / statistics.median(s):.2f}"] for name, s in engines.items()]
    show("One forward pass, CPU seconds", ["network", "engine", "seconds", "times as fast as eager fp32"], rows)


def export_table(results: dict[str, list[Any]], out: dict[str, Path], half: Path, spacing: list[float]) -> None:
    """Export of the same logits: costs, and what of nnU-Net's result stays the same."""
    peer = [costs_of(a) for a in results[PEER]]
    base_cpu = statistics.median(one["probabilities"].cpu for one in peer)
    base_mb = statistics.median(one["probabilities"].extra_mb for one in peer)
    rows = []
    for name, runs in results.items():
        for stage in runs[0]:
            costs = [costs_of(run)[stage] for run in runs]
            cpu, extra = [c.cpu for c in costs], [c.extra_mb for c in costs]
            ratio = f"{statistics.median(cpu) / base_cpu:.3f}; {statistics.median(extra) / base_mb:.3f}"
            rows.append([f"{name}: {stage}", spread(cpu), spread(extra, 4), ratio])
    header = ["export of the same logits", "CPU seconds", "extra peak, MB", "of nnU-Net's probabilities: time; memory"]
    show("Export alone", header, rows)
    z, y, x = spacing
    rows, notes = [], []
    found = {
        f"same logits, f = {factor}": compare(
            out["nnunet"] / f"f{factor}.npy", out["ours"] / f"f{factor}.npy", (z, y, x)
        )
        for factor in (1, 4)
    }
    theirs, ours = (np.load(p).argmax(0).astype(np.uint8) for p in (half, out["logits"] / "logits.npy"))
    coarse = load_card(bundled("whole")).spacing_mm
    found["same image, network's grid, f = 1"] = compare_masks(theirs, ours, coarse)
    for name, one in found.items():
        rows.append([name, one.share, one.lists])
        notes += [f"{name}: {text}" for text in one.others]
    show("How equal the masks are to nnU-Net's", ["from", "voxels equal", "lesions"], rows)
    _list(notes)


def parts_table(found: dict[str, Any]) -> None:
    """Single parts, each beside the first of its group."""
    groups = {
        f"components of {found['components']['lesions']} lesions": found["components"]["seconds"],
        f"masks, 14 x {found['masks']['slices']} x 512 x 512": found["masks"]["seconds"],
        f"match, {' x '.join(map(str, found['matching']['lesions']))} lesions": found["matching"]["seconds"],
        "shuffle, one patch of 4 x 16 x 128 x 128": found["shuffling"],
        "alignment": found["alignment"],
        "virtual patient": found["virtual"],
    }
    if "picai" in found:
        groups[next(k for k in groups if k.startswith("match"))]["picai_eval " + found["picai"]["version"]] = found[
            "picai"
        ]["seconds"]
    rows = []
    for group, seconds in groups.items():
        first = statistics.median(next(iter(seconds.values())))
        for name, values in seconds.items():
            middle = statistics.median(values)
            rows.append([group, name, spread([1000 * v for v in values]), f"{middle / first:.3g}", f"{1 / middle:.3g}"])
    show("Parts, CPU milliseconds", ["what", "by", "ms", "times the first", "a second"], rows)
    equal = found["components"]["equal"], found["matching"]["equal"]
    print(f"\nseg2det and match give what the definitions give: {equal[0]}, {equal[1]}. ", end="")
    print(
        f"Masks differ from the definition in {found['masks']['differ']} of {found['masks']['voxels']} voxels. ", end=""
    )
    if "picai" in found:
        ours, theirs = found["matching"]["counts"], found["picai"]["counts"]
        print(f"TP, FP, FN: match {ours}, picai_eval {theirs}.", end="")
    print()


def import_table(found: dict[str, dict[str, list[float]]]) -> None:
    """Processes that do nothing but begin."""
    rows = [[name, spread(one["wall"]), spread(one["cpu"])] for name, one in found.items()]
    show("Beginnings", ["process", "wall seconds", "CPU seconds"], rows)


def scaling_table(found: dict[str, dict[str, Any]]) -> None:
    """CPU seconds and peak memory against the size of things; one run each."""
    rows = []
    for what, runs in found.items():
        for number, result in runs.items():
            cost = Cost(**result["whole"])
            size = result.get("proposals", number)
            rows.append([what, str(size), f"{cost.cpu:.3g}", f"{cost.peak_mb:.0f}", f"{cost.extra_mb:.0f}"])
    show("Growth, default configuration, one run each", ["of", "number", "CPU seconds", "peak MB", "extra MB"], rows)
