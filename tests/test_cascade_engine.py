"""Both runtimes find the same lesions in a virtual patient, judge them alike, and agree in all voxels but few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.findings import Findings
from livercascade.cascade.settings import AlignStage, CascadeSettings, SegmentStage
from livercascade.data.scan import Scan
from livercascade.reclassification.reclassify import Reclassified, ReclassifySettings
from livercascade.segment.engine import Precision, Runtime
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import VirtualSettings

SETTINGS = CascadeSettings(
    reclassify=ReclassifySettings(n_original=1, n_shuffled=1),
    segment=SegmentStage(overlap=0.0),
    align=AlignStage(enabled=False),
)


def cascade(runtime: Runtime) -> Cascade:
    return Cascade.load(SETTINGS, device="cpu", engine=runtime, precision=Precision.FP32)


@pytest.fixture(scope="module")
def scan() -> Scan:
    patient = make_patient(900_008, VirtualSettings(matrix=96, subslices=1))
    return Scan(patient.grid, patient.hu, next(iter(patient.hu)))


@pytest.fixture(scope="module")
def found(scan: Scan) -> dict[Runtime, Findings]:
    out: dict[Runtime, Findings] = {}
    for runtime in (Runtime.TORCH, Runtime.OPENVINO):
        made = cascade(runtime)
        assert made.whole.engine.runtime is runtime
        out[runtime] = replace(made, classifier=None).find(scan)
    return out


def assert_same_lesions(one: Reclassified, two: Reclassified) -> None:
    """Types, verdicts and places; a single voxel on the border of f may fall to either side."""
    told = [[(o.lesion.label, o.status) for o in judged.candidates] for judged in (one, two)]
    assert told[0] == told[1]
    for mine, its in zip(one.candidates, two.candidates, strict=True):
        for one_side, other in zip(mine.lesion.bbox, its.lesion.bbox, strict=True):
            assert abs(one_side.start - other.start) <= 1 and abs(one_side.stop - other.stop) <= 1


def test_the_lesion_lists_are_the_same_at_both_sensitivities(found: dict[Runtime, Findings]) -> None:
    torch_found, openvino_found = found[Runtime.TORCH], found[Runtime.OPENVINO]
    assert len(torch_found.proposals.det_high) > 0
    assert_same_lesions(torch_found.low, openvino_found.low)
    assert_same_lesions(torch_found.high, openvino_found.high)


def test_patches_of_the_same_proposals_are_judged_the_same(scan: Scan, found: dict[Runtime, Findings]) -> None:
    # Of the same proposals: one voxel of the liver that differs sends the moved lesions to other places.
    one = found[Runtime.TORCH]
    other = cascade(Runtime.OPENVINO).judge(scan, one.proposals)
    mine, its = ([o.tally.overlap_ml for o in f.high.candidates if o.tally is not None] for f in (one, other))
    assert mine
    np.testing.assert_allclose(np.concatenate(mine), np.concatenate(its), atol=0.03)


def test_hardly_a_voxel_differs(found: dict[Runtime, Findings]) -> None:
    one, two = (f.proposals.sensitivity for f in found.values())
    for factor in (1.0, 4.0):
        assert (one.mask(factor) != two.mask(factor)).mean() < 1e-4
    # Outside the body no f is high enough: the margin is infinite.
    inside = np.isfinite(one.margin)
    assert np.array_equal(inside, np.isfinite(two.margin))
    assert np.abs(one.margin[inside] - two.margin[inside]).mean() < 0.01
