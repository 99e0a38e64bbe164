"""The cascade from Python: in memory, without files, and with parts that a user brings along."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import livercascade as lc
from livercascade.alignment.aligner import Aligner, PairAlignment
from livercascade.cascade.settings import AlignStage, CascadeSettings, DetectStage, SegmentStage
from livercascade.classify.lesion_classifier import LesionClassifier
from livercascade.data.labels import NUM_CLASSES, LesionType, Organ, Phase
from livercascade.data.lesion import Lesion
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume, Scan
from livercascade.detect.seg2det import LesionRule
from livercascade.detect.trunk import Trunk
from livercascade.io.study import Study, StudyReader
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.results.result import CaseResult, Status
from livercascade.segment.engine import Runtime
from livercascade.segment.segmenter import Segmenter
from livercascade.system.manifest import verify
from livercascade.virtual.virtual_patient import VirtualPatient, make_patient
from livercascade.virtual.virtual_settings import VirtualSettings

SETTINGS = CascadeSettings(
    align=AlignStage(enabled=False),
    segment=SegmentStage(overlap=0.0),
    reclassify=ReclassifySettings(n_original=1, n_shuffled=1),
)


@pytest.fixture(scope="module")
def patient() -> VirtualPatient:
    return make_patient(900_004, VirtualSettings(matrix=128, subslices=2))


@pytest.fixture(scope="module")
def study(patient: VirtualPatient) -> Study:
    return Study.from_arrays({phase: (hu, patient.grid) for phase, hu in patient.hu.items()}, case_id="virtual-900004")


@pytest.fixture(scope="module")
def cascade() -> lc.Cascade:
    # Torch: the other engine keeps compiled networks in the user's cache folder.
    return lc.Cascade.load(SETTINGS, device="cpu", engine=Runtime.TORCH)


_watched: list[list[str]] = []


def _note_writes(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        _watched[-1].append(str(arguments[0]))


sys.addaudithook(_note_writes)


@pytest.fixture
def writes() -> Iterator[list[str]]:
    """Files that were opened for writing while the test ran."""
    _watched.append([])
    yield _watched[-1]
    _watched.clear()


@pytest.fixture(scope="module")
def prediction(cascade: lc.Cascade, study: Study) -> lc.Prediction:
    return cascade.predict(study)


def test_a_study_in_memory_is_analysed_without_touching_the_disk(
    cascade: lc.Cascade, study: Study, writes: list[str]
) -> None:
    steps: list[tuple[str, int, int]] = []
    made = cascade.predict(study, progress=lambda *step: steps.append(step))
    assert made.result.status.finished and made.verdict.joint is made.result.verdict.joint  # type: ignore[union-attr]
    assert made.report_html().startswith("<!DOCTYPE html>")
    assert not [name for name in writes if not name.startswith("/dev/")]
    assert {step for step, _, _ in steps} >= {"segmenting"} and all(done <= total for _, done, total in steps)


def test_what_is_saved_is_what_was_in_memory(prediction: lc.Prediction, tmp_path: Path) -> None:
    result = prediction.save(tmp_path / "case")
    assert verify(tmp_path / "case")
    assert result.lesions == prediction.lesions and result.verdict == prediction.verdict
    assert (result.provenance.settings_sha256, result.factors) == (SETTINGS.sha256, prediction.factors)
    numbers = prediction.candidate_map
    assert sorted(np.unique(numbers[numbers > 0])) == [int(lesion.id[1:]) for lesion in prediction.lesions]
    for number, candidate in enumerate(prediction.candidates, start=1):
        assert (prediction.segmentation[numbers == number] == candidate.label).all() == candidate.present


def test_masks_nest_in_f(prediction: lc.Prediction) -> None:
    low, high = (prediction.mask(f) for f in (1.0, 4.0))
    lesion = (low >= 1) & (low <= 6)
    assert (high[lesion] == low[lesion]).all()


@dataclass(frozen=True)
class TruthSegmenter:
    """A foreign segmenter: it knows the truth, and is surer of the first lesion's voxels than of others."""

    labels: np.ndarray
    name: str = "truth"
    version: str = "1"
    sha256: str = "7" * 64
    needs: tuple[Phase, ...] = ()

    def segment(self, scan: Scan, *, progress: object = None) -> lc.SensitivityMap:
        return lc.SensitivityMap.from_logits(5.0 * (self.labels == value) for value in range(NUM_CLASSES))


def test_a_foreign_segmenter_takes_the_place_of_unet_whole(
    cascade: lc.Cascade, patient: VirtualPatient, study: Study
) -> None:
    own = replace(cascade, segmenter=TruthSegmenter(patient.labels), classifier=None)
    assert isinstance(own.segmenter, Segmenter)
    made = own.predict(study)
    assert made.findings.proposals.strays == 0
    expected = lc.seg2det(patient.labels, patient.grid)
    assert [(c.lesion.volume_ml, c.lesion.label) for c in made.candidates] == [(x.volume_ml, x.label) for x in expected]
    assert made.result.provenance.models[0].name == "truth"


def test_each_type_alone_is_a_lesion_where_the_paper_is_asked_for(
    cascade: lc.Cascade, patient: VirtualPatient, study: Study
) -> None:
    labels = patient.labels.copy()
    z, y, x = (int(n) for n in np.argwhere(labels == Organ.LIVER).mean(axis=0))
    labels[z - 1 : z + 2, y - 6 : y + 6, x - 6 : x] = LesionType.HCC
    labels[z - 1 : z + 2, y - 6 : y + 6, x : x + 6] = LesionType.CYST
    counts: list[int] = []
    for rule in (LesionRule.UNION, LesionRule.PER_LABEL):
        settings = CascadeSettings(
            align=SETTINGS.align, reclassify=SETTINGS.reclassify, detect=DetectStage(lesions=rule)
        )
        own = replace(cascade, segmenter=TruthSegmenter(labels), classifier=None, settings=settings)
        proposals = own.propose(own.align(study).scan)
        found = lc.seg2det(labels, patient.grid, per_label=rule is LesionRule.PER_LABEL)
        assert [x.volume_ml for x in proposals.det_high] == pytest.approx([x.volume_ml for x in found])
        counts.append(len(found))
    assert counts[1] > counts[0]


class HeaderAligner:
    """A foreign aligner: it believes the headers."""

    identity = "headers 1"

    def align(self, fixed: PhaseVolume, moving: PhaseVolume, *, progress: object = None) -> PairAlignment:
        return PairAlignment(moving.hu, np.ones(moving.hu.shape, dtype=np.bool_), None)


def test_a_foreign_aligner_takes_the_place_of_deeds(cascade: lc.Cascade, study: Study) -> None:
    own = replace(cascade, settings=SETTINGS.changed("align", enabled=True), aligner=HeaderAligner())
    assert isinstance(own.aligner, Aligner)
    aligned = own.align(study)
    assert {p.phase for p in aligned.phases} == {Phase.NC, Phase.AP, Phase.DP}
    assert all(p.quality.good and p.field is None for p in aligned.phases)
    assert (aligned.scan.hu[Phase.AP] == study.volumes[1].hu).all()


class Cysts:
    """A foreign classifier: everything is a cyst."""

    name, version, sha256 = "cysts", "1", "c" * 64

    def types(
        self, scan: Scan, labels: np.ndarray, lesions: Sequence[Lesion], priors: object = None
    ) -> tuple[Mapping[LesionType, float], ...]:
        return tuple({t: float(t is LesionType.CYST) for t in LesionType} for _ in lesions)


def test_a_foreign_lesion_classifier_gives_the_types(cascade: lc.Cascade, study: Study) -> None:
    own = replace(cascade, classifier=Cysts())
    assert isinstance(own.classifier, LesionClassifier)
    made = own.predict(study)
    assert made.candidates and {c.label for c in made.candidates} == {LesionType.CYST}
    assert made.result.provenance.models[-1].name == "cysts"


def test_a_foreign_reader_brings_its_study(cascade: lc.Cascade, patient: VirtualPatient) -> None:
    def from_memory(source: str | Path, /) -> Study:
        return Study.from_arrays({Phase.VP: (patient.hu[Phase.VP], patient.grid)}, case_id=str(source))

    reader: StudyReader = from_memory
    made = cascade.predict(reader("patient-7"))
    assert made.result.case_id == "patient-7" and [i.phase for i in made.result.inputs] == [Phase.VP]


def test_the_public_face_is_there_and_says_what_it_is() -> None:
    assert sorted(lc.__all__) == list(lc.__all__) and set(lc.__all__) <= set(dir(lc))
    for name in lc.__all__:
        assert (getattr(lc, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="no_such_name"):
        lc.no_such_name  # noqa: B018


def test_with_a_part_of_the_liver_there_are_findings_and_no_verdict(prediction: lc.Prediction) -> None:
    assert prediction.verdict is not None
    findings = prediction.findings
    message = "The scan ends in the liver (lower): a part of it is not seen. No verdict is given."
    doubted = replace(findings.proposals, warnings=(Notice("LIVER_PARTIAL", message),))
    partial = replace(prediction, findings=replace(findings, proposals=doubted))
    assert partial.verdict is None and partial.result.verdict is None
    assert partial.result.status is Status.OK_WITH_WARNINGS and partial.result.lesions == prediction.lesions
    page = partial.report_html()
    assert "No verdict is given" in page and "a part of it is not seen" in page
    assert "No verdict is given" not in prediction.report_html()
    assert CaseResult.model_validate_json(partial.result.to_json()) == partial.result


def test_nothing_lies_outside_the_body_at_any_sensitivity(prediction: lc.Prediction) -> None:
    scan = prediction.scan
    body = Trunk.of(scan.hu[scan.reference], scan.grid).body_in(scan.hu[scan.reference])
    assert not body.all()
    for labels in (prediction.segmentation, *(prediction.mask(f) for f in (0.25, 4.0, 1e6))):
        assert not labels[~body].any()
