"""Analyse one study: in memory first, then as a folder with the report.

python examples/predict_study.py path/to/study result
"""

from __future__ import annotations

import sys
from pathlib import Path

import livercascade as lc


def main(study: Path, out: Path, cascade: lc.Cascade | None = None) -> lc.Prediction:
    # Loading takes a few seconds; one cascade serves any number of studies.
    cascade = cascade or lc.Cascade.load()
    prediction = cascade.predict(lc.read_study(study))

    # A scan that shows a part of the liver only, for example, has findings and no verdict.
    print(f"verdict: {prediction.verdict.joint.value if prediction.verdict else 'none, see the warnings'}")
    for number, lesion in enumerate(prediction.lesions, start=1):
        print(f"L{number}: {lesion.type.title}, {lesion.volume_ml:.1f} ml, {lesion.status.value}")
    at_two = lc.seg2det(prediction.mask(2.0), prediction.scan.grid)
    print(f"at f = 2, before reclassification: {len(at_two)} lesions")

    prediction.save(out)
    print(f"report: {out / 'report.html'}")
    return prediction


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
