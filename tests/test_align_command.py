import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from livercascade.alignment.align_record import AlignRecord
from livercascade.alignment.displacement_field import read_field
from livercascade.cli.main import app
from livercascade.io.nifti import read_nifti, write_nifti
from livercascade.system.manifest import verify
from livercascade.testing.moving_trunk import breathing_displacement, trunk_pair, trunk_points


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for volume in trunk_pair():
        write_nifti(folder / f"{volume.phase.value.lower()}.nii.gz", volume.hu, volume.grid)
    return folder


def run(*words):
    return CliRunner().invoke(app, ["align", *map(str, words)])


def test_writes_moved_valid_field_and_record(files, tmp_path):
    out = tmp_path / "aligned"
    done = run(files / "vp.nii.gz", files / "ap.nii.gz", "--out", out, "--threads", "1")
    assert done.exit_code == 0, done.output
    assert verify(out) and "mutual information" in done.output
    fixed, moving = trunk_pair()
    field = read_field(out / "field.nii.gz")
    moved, grid = read_nifti(out / "moved.nii.gz")
    again, valid = field.warp(moving)
    assert np.array_equal(again, moved) and grid.matches(fixed.grid)
    assert (out / "valid.nii.gz").is_file() and valid.mean() > 0.8
    record = AlignRecord.model_validate_json((out / "align.json").read_bytes())
    assert record.fixed.phase == "VP" and record.moving.phase == "AP" and record.folded == 0
    assert record.jacobian["min"] > 0 and record.displacement_mm["max"] < 20
    assert record.mutual_information["after"] > 1.2 * record.mutual_information["before"]
    assert json.loads((out / "align.json").read_text())["settings"]["threads"] == 1


def test_refusals_are_one_line_and_leave_nothing(files, tmp_path):
    absent = run(files / "vp.nii.gz", files / "none.nii.gz", "--out", tmp_path / "a")
    assert absent.exit_code == 1 and "FILE_MISSING" in absent.output and not (tmp_path / "a").exists()
    several = run(files / "vp.nii.gz", files, "--out", tmp_path / "b")
    assert several.exit_code == 2 and "WRONG_USE" in several.output and not (tmp_path / "b").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("mine")
    taken = run(files / "vp.nii.gz", files / "ap.nii.gz", "--out", tmp_path / "c")
    assert taken.exit_code == 1 and "OUT_TAKEN" in taken.output
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["notes.txt"]


def test_help_has_an_example():
    assert "Example: livercascade align" in run("--help").output.replace("\n", " ")


def test_phases_that_do_not_fit_are_refused_unless_forced(files, tmp_path):
    fixed, moving = trunk_pair()
    x, y, z = fixed.grid.origin
    write_nifti(tmp_path / "lower.nii.gz", fixed.hu[:16], replace(fixed.grid, shape=(16, *fixed.grid.shape[1:])))
    above = replace(moving.grid, shape=(13, *fixed.grid.shape[1:]), origin=(x, y, z + 15 * 4.0))
    write_nifti(tmp_path / "upper.nii.gz", moving.hu[15:], above)
    apart = run(tmp_path / "lower.nii.gz", tmp_path / "upper.nii.gz", "--out", tmp_path / "a")
    assert apart.exit_code == 1 and "PHASE_NO_OVERLAP" in apart.output and not (tmp_path / "a").exists()
    noise = np.random.default_rng(0).normal(0, 300, fixed.hu.shape).astype(np.int16)
    write_nifti(tmp_path / "noise.nii.gz", noise, fixed.grid)
    other = run(files / "vp.nii.gz", tmp_path / "noise.nii.gz", "--out", tmp_path / "b")
    assert other.exit_code == 1 and "REGISTRATION_POOR" in other.output and not (tmp_path / "b").exists()
    forced = run(files / "vp.nii.gz", tmp_path / "noise.nii.gz", "--out", tmp_path / "b", "--force")
    assert forced.exit_code == 0 and "poor:" in forced.output
    assert AlignRecord.model_validate_json((tmp_path / "b" / "align.json").read_bytes()).reasons


def test_a_lost_origin_is_found(files, tmp_path):
    fixed, moving = trunk_pair()
    write_nifti(tmp_path / "lost.nii.gz", moving.hu, replace(moving.grid, origin=(0.0, 0.0, 0.0)))
    done = run(files / "vp.nii.gz", tmp_path / "lost.nii.gz", "--out", tmp_path / "lost")
    assert done.exit_code == 0 and "put right first" in done.output, done.output
    record = AlignRecord.model_validate_json((tmp_path / "lost" / "align.json").read_bytes())
    shift = (*record.sideways_mm, record.offset_mm)
    assert np.abs(np.add(shift, fixed.grid.origin)).max() <= 12
    points = trunk_points()
    expected = breathing_displacement(points) - np.array(moving.grid.origin)
    field = read_field(tmp_path / "lost" / "field.nii.gz")
    assert np.linalg.norm(field.at(points) - expected, axis=1).mean() < 3
