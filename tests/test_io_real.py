"""Reading of real studies; skipped where they are absent. The twins on made-up series are in test_io_dicom."""

from pathlib import Path

import pytest

from livercascade.data.labels import Phase
from livercascade.io.reference_grid import to_scan
from livercascade.io.study_reader import read_study

DATA = Path(__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="real CT is not at ../shared/data")


def test_three_series_and_their_phases():
    study = read_study(DATA / "hcc_tace_005_pre" / "dicom")
    found = {v.phase: (v.grid.shape[0], round(v.grid.spacing[0], 3)) for v in study.volumes}
    assert found == {Phase.NC: (48, 5.0), Phase.AP: (89, 2.5), Phase.VP: (89, 2.5)}
    assert {v.phase: v.description for v in study.volumes}[Phase.AP] == "series 4"
    scan, notices = to_scan(study)
    assert scan.reference is Phase.VP and [n.code for n in notices] == ["NOT_ALIGNED"]
    assert scan.valid[Phase.NC].mean() > 0.95


def test_two_acquisitions_in_one_series():
    study = read_study(DATA / "hcc_tace_002" / "dicom")
    assert [(v.phase, v.grid.shape[0]) for v in study.volumes] == [(Phase.AP, 57), (Phase.VP, 57)]
    assert "MULTI_ACQUISITION" in {n.code for n in study.warnings}


def test_files_named_by_the_user():
    folder = DATA / "hcc_tace_005_post"
    files = {phase: folder / f"{phase.value.lower()}.nii.gz" for phase in (Phase.AP, Phase.VP)}
    study = read_study(None, files=files)
    assert [v.phase for v in study.volumes] == [Phase.AP, Phase.VP] and not study.warnings
    early = read_study(folder / "ap_early.nii.gz")
    assert early.volumes[0].phase is Phase.AP


def test_jpeg_2000_without_suffix():
    study = read_study(DATA / "dicom_samples" / "jpeg2000_20_slices")
    assert [v.phase for v in study.volumes] == [Phase.VP] and study.volumes[0].hu.max() > 500
