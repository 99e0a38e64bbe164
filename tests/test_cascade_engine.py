"""Both runtimes find the same lesions in a virtual patient, judge them alike, and agree in all voxels but few."""

from __future__ import annotations

import numpy as np
import pytest

from livercascade.cascade.findings import Findings, find
from livercascade.cascade.settings import CascadeSettings
from livercascade.cli.predict import load_cascade
from livercascade.data.scan import Scan
from livercascade.reclassify.reclassify import Reclassified
from livercascade.reclassify.tally import Tally
from livercascade.segment.engine import Precision, Runtime
from livercascade.virtual.patient import make_patient
from livercascade.virtual.settings import VirtualSettings

SETTINGS = CascadeSettings(n_original=1, n_shuffled=1, overlap=0.0, align=False)


@pytest.fixture(scope="module")
def found() -> dict[Runtime, Findings]:
    patient = make_patient(900_008, VirtualSettings(matrix=96, subslices=1))
    scan = Scan(patient.grid, patient.hu, next(iter(patient.hu)))
    out: dict[Runtime, Findings] = {}
    for runtime in (Runtime.TORCH, Runtime.OPENVINO):
        cascade = load_cascade("cpu", None, None, SETTINGS, engine=runtime, precision=Precision.FP32)
        assert cascade.whole.engine.runtime is runtime
        out[runtime] = find(scan, cascade.whole, cascade.patch, SETTINGS)
    return out


def listed(judged: Reclassified) -> list[tuple[int, str, tuple[slice, ...]]]:
    return [(int(o.lesion.label), o.verdict.value, o.lesion.bbox) for o in judged.outcomes]


def test_the_lesion_lists_are_the_same_at_both_sensitivities(found: dict[Runtime, Findings]) -> None:
    torch_found, openvino_found = found[Runtime.TORCH], found[Runtime.OPENVINO]
    assert len(torch_found.proposals.det_high) > 0
    assert listed(torch_found.low) == listed(openvino_found.low)
    assert listed(torch_found.high) == listed(openvino_found.high)
    tallies = [[o.tally for o in f.high.outcomes if o.tally is not None] for f in (torch_found, openvino_found)]
    lying, mean = ([[t.overlap_ml.mean() for t in of] for of in each] for each in (map(_original, tallies), tallies))
    np.testing.assert_allclose(lying[0], lying[1], atol=0.02)
    # One voxel of the liver that differs sends the moved lesions to other places.
    np.testing.assert_allclose(mean[0], mean[1], rtol=0.1, atol=0.02)


def _original(tallies: list[Tally]) -> list[Tally]:
    return [tally.original for tally in tallies]


def test_hardly_a_voxel_differs(found: dict[Runtime, Findings]) -> None:
    one, two = (f.proposals.sensitivity for f in found.values())
    for factor in (1.0, 4.0):
        assert (one.mask(factor) != two.mask(factor)).mean() < 1e-4
    assert np.abs(one.margin - two.margin).mean() < 0.01
