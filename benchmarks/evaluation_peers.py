"""Counts and time of `evaluate` beside picai_eval and panoptica, where the rules of all three coincide.

One lesion type, lesions that do not touch, a hit at IoU 0.1, one-to-one. The peers run in an environment of their own
(`make evaluation-peers`), on the same maps in the same run; each is timed in its own process, imports not counted.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from livercascade.data.grid import Grid
from livercascade.detect.match import Counting, Overlap
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.cohort.read_case import compare_masks
from livercascade.evaluation.evaluation_settings import EvaluationSettings, Extras
from livercascade.evaluation.metrics.model_counts import counts_of_model

GRID = Grid.axial((40, 256, 256), (5.0, 1.0, 1.0))
MIN_OVERLAP = 0.1
# picai_eval does not count a second finding in a lesion, panoptica does.
RULES = {"picai_eval": Extras.IGNORE, "panoptica": Extras.FP}


def main(
    python: Annotated[Path, typer.Option(help="Python of the environment with picai_eval and panoptica.")],
    cases: Annotated[int, typer.Option(help="Cases.")] = 20,
) -> None:
    """Compare TP, FP, FN case by case and print the ratio of the times; exit code 1 if any count differs."""
    with tempfile.TemporaryDirectory() as name:
        maps = Path(name) / "maps.npz"
        pairs = [made_case(np.random.default_rng(number)) for number in range(cases)]
        np.savez_compressed(maps, truth=[t for t, _ in pairs], found=[f for _, f in pairs])
        script = Path(__file__).with_name("evaluation_peers_counts.py")
        answer = subprocess.run([str(python), str(script), str(maps)], check=True, capture_output=True, text=True)
    peers = json.loads(answer.stdout.splitlines()[-1])
    differ = 0
    print(f"{cases} made cases of {' x '.join(map(str, GRID.shape))}, one type, IoU {MIN_OVERLAP}, one-to-one")
    for peer, extras in RULES.items():
        started = time.process_time()
        ours = [count(truth, found, extras) for truth, found in pairs]
        seconds = time.process_time() - started
        theirs = [tuple(row) for row in peers[peer]["counts"]]
        wrong = [k for k, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
        differ += len(wrong)
        totals = [sum(column) for column in zip(*ours, strict=True)]
        print(f"{peer} {peers[peer]['version']}: TP, FP, FN {totals}; {len(wrong)} cases differ {wrong[:5]}")
        print(
            f"  {1000 * peers[peer]['seconds'] / cases:.0f} ms a case, ours {1000 * seconds / cases:.0f} ms: ", end=""
        )
        print(f"{peers[peer]['seconds'] / seconds:.1f} times as long")
    raise typer.Exit(1 if differ else 0)


def count(truth: np.ndarray, found: np.ndarray, extras: Extras) -> tuple[int, int, int]:
    """TP, FP, FN of one case by the code behind `livercascade evaluate`, all three counting modes at once."""
    rules = EvaluationSettings(min_overlap=MIN_OVERLAP, overlap=Overlap.IOU, extras=extras, min_volume_ml=0)
    model = EvaluatedModel("ours")
    case = compare_masks("case", truth, {model: found}, GRID, rules)
    (table,) = counts_of_model([case], model, rules).confusion[Counting.ONE2ONE]
    return int(table[:6, :6].sum()), int(table[6].sum()), int(table[:6, 6].sum())


def made_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Up to nine true lesions in a lattice: found shifted, in two parts, or not; and some where there is none."""
    truth, found = np.zeros((2, *GRID.shape), dtype=np.uint8)
    for row in range(3):
        for column in range(3):
            z, y, x = 8 + 12 * row + int(rng.integers(0, 4)), 40 + 80 * column, int(rng.integers(40, 200))
            size = int(rng.integers(4, 14))
            kind = rng.choice(["hit", "parts", "missed", "false", "none"], p=[0.45, 0.15, 0.15, 0.1, 0.15])
            block = np.s_[z : z + 3, y : y + 2 * size, x : x + size]
            if kind in ("hit", "parts", "missed"):
                truth[block] = 1
            if kind == "hit":
                shift = int(rng.integers(0, size))
                found[z : z + 3, y + shift : y + 2 * size + shift, x : x + size] = 1
            elif kind == "parts":
                found[block] = 1
                found[z : z + 3, y + size - 1 : y + size + 1, x : x + size] = 0
            elif kind == "false":
                found[block] = 1
    return truth, found


if __name__ == "__main__":
    typer.run(main)
