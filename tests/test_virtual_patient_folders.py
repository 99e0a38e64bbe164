"""Cohorts on disk and the command that makes them; real label maps as anatomy."""

import hashlib
import json
import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from livercascade.cli.virtual import virtual
from livercascade.data.errors import InputError
from livercascade.data.labels import Organ
from livercascade.virtual.atlas import load_atlas
from livercascade.virtual.patient_folders import case_name, is_virtual, make_cohort, write_patient
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import CaseMix, VirtualSettings

TINY = VirtualSettings(matrix=64, subslices=2)
REAL = Path(__file__).parents[2] / "shared" / "data" / "anatomies"


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_same_seed_same_files(tmp_path):
    one, two = (write_patient(make_patient(4, TINY), TINY, tmp_path / name, preview=True) for name in "ab")
    assert hashes(one) == hashes(two) and len(hashes(one)) == 9
    assert is_virtual(one) and not is_virtual(tmp_path)
    record = json.loads((one / "virtual.json").read_text())
    assert record["seed"] == 4 and record["anatomy"] == "procedural" and record["settings"]["matrix"] == 64


def test_finished_patients_are_kept_and_others_made_again(tmp_path):
    list(make_cohort([1, 2], TINY, tmp_path))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}
    assert len(list(make_cohort([1, 2, 3], TINY, tmp_path))) == 3
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    other = TINY.model_copy(update={"mix": CaseMix.SCREENING})
    list(make_cohort([1], other, tmp_path))
    assert (
        json.loads((tmp_path / case_name(1) / "virtual.json").read_text())["settings"]["mix"] == "screening-population"
    )


def test_two_workers_make_the_same_files(tmp_path):
    list(make_cohort([1, 2], TINY, tmp_path / "one"))
    list(make_cohort([1, 2], TINY, tmp_path / "two", workers=2))
    for seed in (1, 2):
        assert hashes(tmp_path / "one" / case_name(seed)) == hashes(tmp_path / "two" / case_name(seed))


def test_errors_survive_the_way_between_processes():
    error = pickle.loads(pickle.dumps(InputError("NO_LIVER", "None.", "Give one.", stage="phase")))
    assert (error.code, error.remedy, error.stage, str(error)) == (
        "NO_LIVER",
        "Give one.",
        "phase",
        "NO_LIVER: None. Give one.",
    )


def made_up_map(path, way, liver=5):
    """Ellipsoids in LPS order, stored with x to the right (RAS) or to the left (LAS)."""
    labels = np.zeros((60, 90, 120), np.uint8)
    z, y, x = np.ogrid[:60, :90, :120]
    organs = ((liver, (35, 40, 35), (20, 26, 24)), (1, (35, 50, 95), (12, 12, 10)))
    columns = ((52, 58, 64, 5), (63, 55, 50, 5), (31, 72, 60, 9), (92, 40, 6, 3), (93, 40, 114, 3))
    for value, centre, radii in organs:
        labels[sum(((a - c) / r) ** 2 for a, c, r in zip((z, y, x), centre, radii, strict=True)) <= 1] = value
    for value, cy, cx, r in columns:
        labels[np.broadcast_to((y - cy) ** 2 + (x - cx) ** 2 <= r * r, labels.shape)] = value
    stored, sign = labels.transpose(2, 1, 0)[:, ::-1], -1
    if way == "RAS":
        stored, sign = stored[::-1], 1
    affine = np.diag([sign * 3.0, 3.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(np.ascontiguousarray(stored), affine), path)
    return path


@pytest.mark.parametrize("way", ["RAS", "LAS"])
def test_a_label_map_becomes_a_patient_the_right_way_round(tmp_path, way):
    path = made_up_map(tmp_path / f"{way}.nii.gz", way)
    patient = make_patient(1, TINY.model_copy(update={"anatomies": (path,), "anatomy_share": 1.0}))
    assert patient.anatomy == path.name and not patient.habitus.ascites
    liver, spleen = (np.argwhere(patient.labels == organ) for organ in (Organ.LIVER, Organ.SPLEEN))
    middle = patient.grid.shape[2] / 2
    assert len(liver) > 100 and liver[:, 2].mean() < middle < spleen[:, 2].mean()


def test_both_ways_of_storing_give_one_atlas(tmp_path):
    one, two = (load_atlas(made_up_map(tmp_path / f"{way}.nii.gz", way)) for way in ("RAS", "LAS"))
    np.testing.assert_array_equal(one.tissue, two.tissue)
    assert one.tissue[35, 72, 60] == Tissue.MARROW and one.tissue[35, 40, 35] == Tissue.LIVER


def test_bad_label_maps_are_refused(tmp_path):
    with pytest.raises(InputError) as missing:
        load_atlas(tmp_path / "absent.nii.gz")
    with pytest.raises(InputError) as empty:
        load_atlas(made_up_map(tmp_path / "none.nii.gz", "RAS", liver=6))
    assert (missing.value.code, empty.value.code) == ("FILE_MISSING", "NO_LIVER")


@pytest.mark.skipif(not REAL.is_dir(), reason="real label maps are not at ../shared/data/anatomies")
def test_a_real_label_map():
    path = REAL / "TotalSegmentator__s0327.nii.gz"
    patient = make_patient(3, TINY.model_copy(update={"anatomies": (path,), "anatomy_share": 1.0}))
    liver = np.argwhere(patient.labels == Organ.LIVER)
    assert 500 < patient.habitus.liver_ml < 3500 and liver[:, 2].mean() < patient.grid.shape[2] / 2


def run(*options):
    app = typer.Typer()
    app.command()(virtual)
    return CliRunner().invoke(app, [*options, "--matrix", "64", "--quiet"])


def test_command_makes_patients(tmp_path):
    result = run("--out", str(tmp_path), "--cases", "2", "--seed", "7", "--preview")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == [case_name(7), case_name(8)]
    assert (tmp_path / case_name(7) / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_command_names_a_missing_label_map(tmp_path):
    gone = str(tmp_path / "gone.nii.gz")
    result = run("--out", str(tmp_path / "out"), "--anatomy", gone, "--anatomy-share", "1", "--workers", "2")
    assert result.exit_code == 1 and "FILE_MISSING" in result.output and "gone.nii.gz" in result.output
