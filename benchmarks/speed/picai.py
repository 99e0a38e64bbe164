"""Seconds of picai_eval for one pair of maps, as one line of JSON; runs in an environment of its own."""

from __future__ import annotations

import time
from importlib.metadata import version

import numpy as np
from picai_eval.eval import evaluate_case


def counts(maps: str, rounds: int) -> dict[str, object]:
    """CPU seconds of each round, and TP, FP, FN; a hit is one common voxel."""
    pair = np.load(maps)
    truth, found = pair["truth"].astype(np.int32), pair["found"].astype(np.float32)
    seconds: list[float] = []
    rows: list[tuple[int, float, float]] = []
    for _ in range(rounds + 1):
        begin = time.process_time()
        rows = evaluate_case(found, truth, min_overlap=1e-9)[0]
        seconds.append(time.process_time() - begin)
    hits = sum(1 for lesion, confidence, _ in rows if lesion and confidence > 0)
    false = sum(1 for lesion, _, _ in rows if not lesion)
    return {"version": version("picai_eval"), "seconds": seconds[1:], "counts": [hits, false, len(rows) - hits - false]}
