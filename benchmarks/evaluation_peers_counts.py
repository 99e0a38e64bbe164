"""TP, FP, FN of each case by picai_eval and panoptica, as one line of JSON; runs in their environment."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from panoptica import ConnectedComponentsInstanceApproximator, InputType, NaiveThresholdMatching, Panoptica_Evaluator
from panoptica.metrics import Metric
from picai_eval.eval import evaluate_case

MIN_OVERLAP = 0.1


def picai(truth: np.ndarray, found: np.ndarray) -> tuple[int, int, int]:
    """Candidates all have the confidence 1; a row with confidence 0 is a missed lesion."""
    rows = evaluate_case(found.astype(np.float32), truth.astype(np.int32), min_overlap=MIN_OVERLAP)[0]
    hits = sum(1 for lesion, confidence, _ in rows if lesion and confidence > 0)
    false = sum(1 for lesion, _, _ in rows if not lesion)
    return hits, false, len(rows) - hits - false


def panoptica(evaluator: Panoptica_Evaluator, truth: np.ndarray, found: np.ndarray) -> tuple[int, int, int]:
    """Connected components, greedy one-to-one matching."""
    result = evaluator.evaluate(found, truth, verbose=False)["ungrouped"]
    return int(result.tp), int(result.fp), int(result.fn)


def main() -> None:
    """Count every case of the file given."""
    maps = np.load(sys.argv[1])
    cases = list(zip(maps["truth"], maps["found"], strict=True))
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(),
        instance_matcher=NaiveThresholdMatching(matching_metric=Metric.IOU, matching_threshold=MIN_OVERLAP),
        instance_metrics=[Metric.IOU],
        global_metrics=[],
    )
    ways = {"picai_eval": picai, "panoptica": lambda truth, found: panoptica(evaluator, truth, found)}
    answer = {}
    for name, way in ways.items():
        started = time.process_time()
        counts = [way(truth, found) for truth, found in cases]
        answer[name] = {"version": version(name), "counts": counts, "seconds": time.process_time() - started}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
