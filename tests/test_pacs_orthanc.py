"""End to end against a real Orthanc: by DICOMweb and DIMSE, with the cascade itself, with kills at random moments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livercascade.io.study_reader import read_study
from livercascade.testing.ct_series import CtSeries
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import VirtualSettings
from orthanc_server import why_not
from pacs_parts import study_images

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be started")
PHASES = ["non-contrast", "arterial", "portal venous", "delayed"]


def trial(folder: Path, study: Path, name: str) -> dict[str, Any]:
    """Run a trial in a network namespace of its own, where there is nothing but loopback."""
    script = Path(__file__).with_name("orthanc_trial.py")
    inside = f'ip link set lo up && exec "{sys.executable}" "{script}" "$@"'
    command = ["unshare", "-rn", "sh", "-c", inside, "sh", str(folder), str(study), name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def write_study(folder: Path, uid: str = "1.2.3.4", slices: int = 5) -> Path:
    """Four small series that Orthanc takes: it wants the tags of a patient and a study."""
    folder.mkdir(parents=True)
    for number, image in enumerate(study_images(uid, series=4, slices=slices)):
        image.SeriesDescription = PHASES[number // slices]
        image.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return folder


def write_patient(folder: Path, out: Path) -> Path:
    """A virtual patient of four phases as four CT series."""
    settings = VirtualSettings(matrix=160, subslices=2)
    (case,) = make_cohort([900_004], settings, folder)
    out.mkdir()
    for number, volume in enumerate(read_study(case).volumes, start=1):
        grid, title = volume.grid, volume.phase.title
        series = CtSeries(uid=f"1.2.3.4.{number}", number=number, description=title, prefix=f"{number}-")
        for z, hu in enumerate(volume.hu):
            image = series.dataset(z)
            image.ImagePositionPatient = [f"{v:.8f}"[:15] for v in grid.world(np.array([z, 0.0, 0.0]))]
            along = [grid.world(np.array(step)) - grid.world(np.zeros(3)) for step in ([0, 0, 1.0], [0, 1.0, 0])]
            image.ImageOrientationPatient = [f"{v:.10f}"[:15] for a in along for v in a / np.linalg.norm(a)]
            image.PixelSpacing, image.SliceThickness = [f"{mm:.10f}" for mm in grid.spacing[1:]], grid.spacing[0]
            image.Rows, image.Columns = hu.shape
            image.StudyDate = "20260101"
            image.RescaleSlope, image.RescaleIntercept, image.PixelRepresentation = 1, -1024, 0
            image.PixelData = (np.clip(hu, -1024, 3071) + 1024).astype("<u2").tobytes()
            image.save_as(out / f"{number}-{z:03d}.dcm", enforce_file_format=True)
    return out


@pytest.mark.timeout(1800)
def test_the_cascade_itself_and_its_dicom_results_in_the_archive(tmp_path: Path) -> None:
    study = write_patient(tmp_path / "patient", tmp_path / "study")
    (tmp_path / "cascade.toml").write_text(
        "[align]\nenabled = false\n[segment]\noverlap = 0.25\n[reclassify]\nn_original = 1\nn_shuffled = 1\n"
    )
    told = trial(tmp_path, study, "cascade")
    assert told["codes"] == [0, 0]
    assert told["phases"] == ["NC", "AP", "VP", "DP"]
    assert told["equal"] and {"SEG", "SR"} <= set(told["modalities"])
    # A service that lost its spool finds the results in the archive and does not analyse again.
    assert told["anew"] == [["done", False]] and told["unchanged"]


@pytest.mark.parametrize("name", ["poll", "changes"])
def test_a_study_goes_round_by_dicomweb(tmp_path: Path, name: str) -> None:
    told = trial(tmp_path, write_study(tmp_path / "study"), name)
    assert told["codes"] == [0, 0]
    assert told["equal"] and told["count"] == 2
    # What has no segmentation is analysed again when the spool is lost; its results replace themselves.
    assert told["anew"] == [["done", True]] and told["unchanged"]


def test_a_study_goes_round_by_c_store_and_c_move(tmp_path: Path) -> None:
    told = trial(tmp_path, write_study(tmp_path / "study"), "dimse")
    assert told["answers"] == [0] and told["codes"] == [0, 0]
    assert told["equal"] == [True, True] and told["runs"] == 2 and told["images"]


def test_whoever_is_killed_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    for number in range(4):
        write_study(studies / str(number), f"1.2.3.{number}", slices=3)
    told = trial(tmp_path, studies, "chaos")
    assert told["ended"] and told["code"] == 0, told
    assert told["equal"] and told["count"] == 8 and not told["partial"] and not told["leaks"], told
    assert sum(told["kills"].values()) >= 6
    # The identifiers follow from the images: an undisturbed run stores the same ones.
    undisturbed = trial(tmp_path / "calm", studies, "poll")
    assert undisturbed["codes"] == [0, 0] and undisturbed["uids"] == told["uids"]
