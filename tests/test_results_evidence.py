"""Evidence: what it gives back is what the cascade itself would say, and a damaged file is refused."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.errors import InputError
from livercascade.data.lesion import LesionSet
from livercascade.detect.liver import main_liver, without_strays
from livercascade.detect.seg2det import seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.reclassification.candidate import CandidateStatus
from livercascade.reclassification.reclassify import ReclassifySettings, ScoreMode
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import EVIDENCE, decode_evidence, read_evidence, write_evidence
from livercascade.results.result import CaseResult, OutputKind, OutputRecord
from livercascade.testing.example_results import (
    CONFIRMED,
    EVIDENCE_FACTORS,
    EVIDENCE_GRID,
    example_case,
    example_evidence,
    example_result,
    two_lesion_map,
)
from livercascade.testing.phantoms import cone, sensitivity_phantom


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return example_evidence(two_lesion_map(), CONFIRMED)


def literal_proposals(sensitivity: SensitivityMap, factor: float) -> LesionSet:
    """The cascade's own way: the whole map, strays removed by High's liver, then seg2det."""
    liver = main_liver(sensitivity.mask(4.0), EVIDENCE_GRID)
    return seg2det(without_strays(sensitivity.mask(factor), liver), EVIDENCE_GRID, min_volume_ml=0.5)


@settings(max_examples=12)
@given(
    bumps=st.lists(
        st.tuples(
            st.floats(5, 60), st.floats(20, 100), st.floats(20, 115), st.floats(8, 30), st.integers(1, 6),
            st.floats(-4, 4),
        ),
        max_size=4,
    ),
    factor=st.floats(0.05, 50),
)  # fmt: skip
def test_proposals_are_those_of_the_whole_map_at_every_factor(bumps: list[tuple[float, ...]], factor: float) -> None:
    lesions = [(cone(b[:3], b[3], EVIDENCE_GRID), int(b[4]), b[5]) for b in bumps]
    sensitivity = sensitivity_phantom(lesions, EVIDENCE_GRID)
    evidence = example_evidence(sensitivity, {t: (0.5, {t: 1.0}) for t in range(1, 7)}, factors=())
    mine, literal = evidence.proposals(factor), literal_proposals(sensitivity, factor)
    assert [(x.label, x.volume_ml, x.bbox) for x in mine] == [(x.label, x.volume_ml, x.bbox) for x in literal]
    assert all((a.mask == b.mask).all() for a, b in zip(mine, literal, strict=True))
    np.testing.assert_allclose([x.centroid for x in mine], [x.centroid for x in literal], atol=1e-6)
    for lesion in mine:
        assert (evidence.lesion_margin(lesion) <= np.log(factor) + 1e-6).all()


def test_bytes_come_back_the_same(evidence: Evidence, tmp_path: Path) -> None:
    write_evidence(tmp_path / "a.npz", evidence)
    back = decode_evidence((tmp_path / "a.npz").read_bytes(), "case-1")
    write_evidence(tmp_path / "b.npz", back)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (back.grid, back.box, back.settings, back.factors) == (
        evidence.grid, evidence.box, evidence.settings, EVIDENCE_FACTORS,
    )  # fmt: skip
    for name in ("best_lesion", "best_other", "margin"):
        np.testing.assert_array_equal(getattr(back.sensitivity, name), getattr(evidence.sensitivity, name))
    for factor in EVIDENCE_FACTORS:
        for one, two in zip(
            back.reclassified(factor).candidates, evidence.reclassified(factor).candidates, strict=True
        ):
            assert (one.status, one.score, one.label, one.votes) == (
                two.status, two.score, two.label, two.votes,
            )  # fmt: skip


def test_other_rules_follow_from_the_tallies(evidence: Evidence) -> None:
    high = evidence.reclassified(4.0)
    assert [o.status for o in high.candidates] == [CandidateStatus.KEPT, CandidateStatus.REMOVED]
    lenient = evidence.reclassified(4.0, ReclassifySettings(score=ScoreMode.RATIO, ratio=0.01))
    assert [o.status for o in lenient.candidates] == [CandidateStatus.KEPT, CandidateStatus.KEPT]
    assert [round(o.score or 0, 2) for o in lenient.candidates] == [0.9, 0.05]
    alone = evidence.reclassified(4.0, ReclassifySettings(shuffled=False))
    assert [(o.patches, o.shuffled_patches) for o in alone.candidates] == [(2, 0), (2, 0)]


def test_maps_hold_the_lesions(evidence: Evidence) -> None:
    lesions = evidence.proposals(4.0)
    painted = evidence.lesion_map(lesions)
    assert painted.shape == EVIDENCE_GRID.shape
    assert int((painted > 0).sum()) == sum(int(x.mask.sum()) for x in lesions)
    assert ((evidence.typed_map(4.0) > 0) >= (painted > 0)).all()


def _folder(tmp_path: Path, evidence: Evidence, **changes: object) -> Path:
    write_evidence(tmp_path / EVIDENCE, evidence)
    digest = hashlib.sha256((tmp_path / EVIDENCE).read_bytes()).hexdigest()
    record = OutputRecord(path=EVIDENCE, sha256=digest, kind=OutputKind.EVIDENCE)
    result: CaseResult = example_result(*example_case(), **({"case_id": "case-1", "outputs": [record]} | changes))
    (tmp_path / "result.json").write_text(result.to_json())
    return tmp_path


def test_case_folder_gives_its_evidence(evidence: Evidence, tmp_path: Path) -> None:
    assert read_evidence(_folder(tmp_path, evidence)).case_id == "case-1"


def test_absent_changed_and_foreign_evidence_is_refused(evidence: Evidence, tmp_path: Path) -> None:
    def code(name: str, spoil: Callable[[Path], None] = lambda _: None, **changes: object) -> str:
        (tmp_path / name).mkdir()
        folder = _folder(tmp_path / name, evidence, **changes)
        spoil(folder)
        with pytest.raises(InputError) as caught:
            read_evidence(folder)
        return caught.value.code

    assert code("none", outputs=[]) == "EVIDENCE_ABSENT"
    assert code("no-result", lambda f: (f / "result.json").unlink()) == "EVIDENCE_ABSENT"
    assert code("gone", lambda f: (f / EVIDENCE).unlink()) == "EVIDENCE_DAMAGED"
    assert code("changed", lambda f: (f / EVIDENCE).write_bytes(b"PK")) == "EVIDENCE_DAMAGED"
    assert code("foreign", case_id="case-2") == "EVIDENCE_MISMATCH"


def _with(evidence: Evidence, tmp_path: Path, **changes: np.ndarray | None) -> bytes:
    write_evidence(tmp_path / "e.npz", evidence)
    with np.load(tmp_path / "e.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    packed = io.BytesIO()
    np.savez(packed, **{name: array for name, array in arrays.items() if array is not None})
    return packed.getvalue()


BAD: dict[str, dict[str, np.ndarray | None]] = {
    "missing part": {"votes": None},
    "extra part": {"more": np.zeros(1)},
    "pickle": {"votes": np.array([{}], dtype=object)},
    "wrong dtype": {"sizes": np.zeros(3, dtype=np.float64)},
    "short margin": {"margin": np.zeros((4, 3), dtype=np.uint8)},
    "header": {"header": np.frombuffer(b'{"schema_version": "9"}', dtype=np.uint8)},
    "more votes than voxels": {"sizes": np.zeros(28, dtype=np.int32)},
    "counts": {"counts": np.array([1, 1, 1, 9], dtype=np.int32)},
}


@pytest.mark.parametrize("name", BAD)
def test_parts_that_do_not_fit_are_refused(name: str, evidence: Evidence, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="EVIDENCE_DAMAGED"):
        decode_evidence(_with(evidence, tmp_path, **BAD[name]), "case-1")
