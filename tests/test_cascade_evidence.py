"""Evidence of a virtual patient by the bundled networks: it says of Base and High what the result says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.evidence_sweep import collect_evidence
from livercascade.cascade.findings import Findings, PatchJudge
from livercascade.cascade.predict import predict, predict_variants
from livercascade.cascade.proposals import propose, typed
from livercascade.cascade.settings import CascadeSettings, OutputStage, SegmentStage
from livercascade.io.reference_grid import to_scan
from livercascade.io.study_reader import read_study
from livercascade.reclassification.reclassify import Reclassified, ReclassifySettings
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import EVIDENCE, read_evidence
from livercascade.results.result import CaseResult, OutputKind
from livercascade.system.manifest import verify
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import VirtualSettings

SETTINGS = CascadeSettings(
    reclassify=ReclassifySettings(n_original=1, n_shuffled=1),
    segment=SegmentStage(overlap=0.25),
    output=OutputStage(sweep=(1.0, 1.001, 4.0, 8.0), evidence=True),
)


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade.load(SETTINGS, device="cpu")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (case,) = make_cohort([900_004], VirtualSettings(matrix=128, subslices=2), tmp_path_factory.mktemp("patients"))
    return case


@pytest.fixture(scope="module")
def judged(patient: Path, cascade: Cascade) -> tuple[Findings, Evidence]:
    scan, _ = to_scan(read_study(patient))
    findings = cascade.find(scan)
    return findings, collect_evidence(
        "x", scan, findings, PatchJudge(cascade.patch, SETTINGS), cascade.whole.card.sha256
    )


def test_base_and_high_are_those_of_the_cascade(judged: tuple[Findings, Evidence]) -> None:
    findings, evidence = judged
    assert len(findings.proposals.det_high) == len(findings.proposals.types) > 0
    for factor, own in ((1.0, findings.low), (4.0, findings.high)):
        told = evidence.reclassified(factor)
        assert len(told.candidates) == len(own.candidates)
        for one, two in zip(told.candidates, own.candidates, strict=True):
            assert (one.status, one.score, one.label) == (two.status, two.score, two.label)
            assert one.lesion.bbox == two.lesion.bbox
            assert (one.lesion.mask == two.lesion.mask).all()
    lesions = (findings.proposals.low >= 1) & (findings.proposals.low <= 6)
    np.testing.assert_array_equal(evidence.typed_map(1.0), np.where(lesions, findings.proposals.low, 0))


def test_a_proposal_that_stays_the_same_is_judged_once(judged: tuple[Findings, Evidence]) -> None:
    _, evidence = judged
    at = {f: evidence.proposals(f) for f in (1.0, 1.001)}
    same = [
        (i, j)
        for i, one in enumerate(at[1.0])
        for j, two in enumerate(at[1.001])
        if one.bbox == two.bbox and (one.mask == two.mask).all()
    ]
    for i, j in same:
        assert evidence.tallies[1.0][i] is evidence.tallies[1.001][j]


def test_predict_keeps_evidence_when_asked(patient: Path, cascade: Cascade, tmp_path: Path) -> None:
    quick = cascade.settings.changed("output", sweep=(1.0, 4.0))
    result = predict(patient, tmp_path / "with", replace(cascade, settings=quick))
    assert verify(tmp_path / "with")
    assert [o.path for o in result.outputs or () if o.kind is OutputKind.EVIDENCE] == [EVIDENCE]
    evidence = read_evidence(tmp_path / "with")
    again = CaseResult.model_validate_json((tmp_path / "with" / "result.json").read_bytes())
    assert evidence.case_id == again.case_id
    judged_again = evidence.reclassified(4.0).candidates
    assert [o.score for o in judged_again] == [r.score for r in again.lesions or ()]
    # Types by enhancement are kept in the evidence's map.
    assert [o.lesion.label for o in judged_again] == [r.original_type for r in again.lesions or ()]
    assert all(
        max(r.enhancement, key=r.enhancement.__getitem__) is r.original_type
        for r in again.lesions or ()
        if r.enhancement
    )
    assert all(r.enhancement and r.network_type for r in again.lesions or ())


def test_a_variant_of_base_alone_judges_base_as_the_whole_cascade_does(
    patient: Path, cascade: Cascade, tmp_path: Path
) -> None:
    # At f = 1 nothing is found in this patient.
    both = cascade.settings.changed("detect", low_factor=4.0, high_factor=8.0).changed("output", sweep=(4.0, 8.0))
    alone = both.changed("detect", high_factor=4.0).changed("output", sweep=(4.0,))
    variants = [
        (tmp_path / "both", replace(cascade, settings=both)),
        (tmp_path / "base", replace(cascade, settings=alone)),
    ]
    _, result = predict_variants(patient, variants)
    one, two = (read_evidence(folder) for folder, _ in variants)
    assert two.factors == (4.0,)
    base = one.reclassified(4.0).candidates
    assert len(base) > 0
    records, again = result.lesions or (), two.reclassified(4.0).candidates
    assert [o.status for o in again] == [o.status for o in base]
    assert [r.original_type for r in records] == [o.lesion.label for o in base]
    # Patches run in other batches, and the place in a batch may decide a voxel between two types that are level.
    for scores in ([o.score for o in again], [r.score for r in records]):
        assert scores == pytest.approx([o.score for o in base], abs=0.03)
    assert all(r.network_type for r in records)
    apart = both.changed("detect", high_factor=6.0)
    with pytest.raises(ValueError, match="share UNet"):
        predict_variants(patient, [variants[0], (tmp_path / "apart", replace(cascade, settings=apart))])


def test_at_one_f_there_is_one_set_of_lesions(
    patient: Path, cascade: Cascade, judged: tuple[Findings, Evidence]
) -> None:
    findings, _ = judged
    scan, _ = to_scan(read_study(patient))
    once = propose(findings.proposals.sensitivity, scan, SETTINGS.changed("detect", low_factor=4.0).detect)
    assert cascade.classifier is not None
    for proposals in (once, typed(once, scan, cascade.classifier, None)):
        assert proposals.det_low is proposals.det_high
        assert len(proposals.det_high) == len(findings.proposals.det_high)


def test_a_scan_without_lesions_has_evidence_too(
    patient: Path, cascade: Cascade, judged: tuple[Findings, Evidence]
) -> None:
    findings, _ = judged
    proposals = findings.proposals
    empty = np.full_like(proposals.sensitivity.margin, 50.0)
    scan, _ = to_scan(read_study(patient))
    none = propose(replace(proposals.sensitivity, margin=empty), scan, SETTINGS.detect)
    low, high = Reclassified(none.det_low, ()), Reclassified(none.det_high, ())
    evidence = collect_evidence(
        "x",
        scan,
        Findings(none, low, high),
        PatchJudge(cascade.patch, SETTINGS),
        cascade.whole.card.sha256,
    )
    assert all(not evidence.proposals(f) and not evidence.tallies[f] for f in evidence.factors)
