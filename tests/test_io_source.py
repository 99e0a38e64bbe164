import json
import shutil

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from livercascade.cli.check import check
from livercascade.cli.convert import convert
from livercascade.data.errors import InputError, UsageError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.io.nifti import write_nifti
from livercascade.io.study_reader import read_study
from livercascade.system.manifest import verify
from livercascade.testing.ct_series import CtSeries

GRID = Grid.axial((8, 16, 18), (5.0, 1.5, 1.5))


def ct(value=50):
    hu = np.full(GRID.shape, -1000, dtype=np.int16)
    hu[:, 3:13, 3:13] = -100
    hu[:, 5:11, 5:11] = value
    return hu


@pytest.fixture
def app():
    made = typer.Typer()
    made.command()(check)
    made.command()(convert)
    return made


def run(app, *args):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_folder_of_named_files_in_any_case(tmp_path):
    write_nifti(tmp_path / "VP.nii.gz", ct(110), GRID)
    write_nifti(tmp_path / "Nc.nii", ct(), GRID)
    (tmp_path / "report.pdf").touch()
    study = read_study(tmp_path, case_id="A-1")
    assert [(v.phase, v.source, v.confidence) for v in study.volumes] == [
        (Phase.NC, "user", 1.0),
        (Phase.VP, "user", 1.0),
    ]
    assert [u.name for u in study.unused] == ["report.pdf"] and not study.dicom and study.case_id == "A-1"
    assert all(len(v.sha256) == 64 for v in study.volumes)
    write_nifti(tmp_path / "nc.nii.gz", ct(), GRID)
    with pytest.raises(InputError, match="PHASE_AMBIGUOUS"):
        read_study(tmp_path)


def test_files_by_phase_and_one_file(tmp_path):
    path = tmp_path / "some scan.nii.gz"
    write_nifti(path, ct(), GRID)
    assert read_study(None, files={Phase.DP: path}).volumes[0].phase is Phase.DP
    alone = read_study(path)
    assert alone.case_id == "some-scan" and "PHASE_UNKNOWN" in {n.code for n in alone.warnings}
    with pytest.raises(InputError, match="NOTHING_READABLE"):
        read_study(tmp_path)


@pytest.mark.parametrize("bad", ["", "../x", "a b", ".hidden", "x" * 129, "a/b", "a\0"])
def test_case_id_must_be_safe(tmp_path, bad):
    write_nifti(tmp_path / "nc.nii.gz", ct(), GRID)
    with pytest.raises(UsageError, match="BAD_CASE_ID"):
        read_study(tmp_path, case_id=bad)


def test_source_or_files(tmp_path):
    for source, files in ((None, None), (tmp_path, {Phase.NC: tmp_path / "a.nii"})):
        with pytest.raises(UsageError, match="WRONG_USE"):
            read_study(source, files=files)


def test_words_order_and_rivals_in_a_study(tmp_path):
    for number, words in enumerate(["portal venous", "native", "arterial", "arterial thick"], start=1):
        slices = 14 if "thick" in words else 22
        CtSeries(
            uid=f"1.2.{number}",
            number=number,
            prefix=f"p{number}",
            description=words,
            slices=slices,
            offset_hu=number,
        ).write(tmp_path)
    study = read_study(tmp_path)
    assert [(v.phase, v.description) for v in study.volumes] == [
        (Phase.NC, "series 2"),
        (Phase.AP, "series 3"),
        (Phase.VP, "series 1"),
    ]
    assert {v.source for v in study.volumes} == {"tags"}
    assert [(u.name, u.code) for u in study.unused] == [("series 4", "PHASE_AMBIGUOUS")]


def test_check_tells_every_series(app, tmp_path):
    folder = tmp_path / "study"
    CtSeries(uid="1.2.1", number=1, prefix="a", description="arterial").write(folder)
    CtSeries(uid="1.2.2", number=2, prefix="b", change=lambda i, ds: i != 5).write(folder)
    result = run(app, "check", folder, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0 and (report["status"], report["code"]) == ("ok_with_warnings", None)
    first, second = report["series"]
    assert (first["status"], first["phase"], first["phase_source"]) == ("ok", "AP", "tags")
    assert first["shape"] == [22, 64, 80] and first["spacing_mm"] == [2.5, 1.4, 1.4]
    assert (second["status"], second["code"]) == ("unused", "MISSING_SLICES")
    shown = run(app, "check", folder)
    assert shown.exit_code == 0 and "MISSING_SLICES" in shown.stdout
    shutil.rmtree(folder)
    CtSeries(change=lambda i, ds: i != 5).write(folder)
    alone = json.loads(run(app, "check", folder, "--json").stdout)
    assert (alone["status"], alone["code"]) == ("rejected", "MISSING_SLICES") and alone["series"][0]["remedy"]


def test_check_of_good_and_of_missing_input(app, tmp_path):
    write_nifti(tmp_path / "nc.nii.gz", ct(), GRID)
    good = run(app, "check", "--nc", tmp_path / "nc.nii.gz")
    assert good.exit_code == 0 and "ok" in good.stdout
    missing = run(app, "check", tmp_path / "nothing", "--json")
    assert missing.exit_code == 1 and json.loads(missing.stdout)["code"] == "FILE_MISSING"
    assert run(app, "check").exit_code == 2


def test_convert_writes_what_was_read(app, tmp_path):
    folder = CtSeries(description="venous").write(tmp_path / "dicom")
    out = tmp_path / "out"
    assert run(app, "convert", folder, "--out", out).exit_code == 0
    assert verify(out)
    before, after = read_study(folder).volumes[0], read_study(out).volumes[0]
    assert np.array_equal(before.hu, after.hu) and before.grid.matches(after.grid) and after.phase is Phase.VP
    bad = run(app, "convert", tmp_path / "nothing", "--out", tmp_path / "new")
    assert bad.exit_code == 1 and "FILE_MISSING" in bad.stderr and not (tmp_path / "new").exists()


def test_no_name_of_a_patient_is_told(app, tmp_path):
    folder = CtSeries(description="venous").write(tmp_path / "d")
    for args in (("check", folder), ("check", folder, "--json"), ("convert", folder, "--out", tmp_path / "o")):
        assert "Doe" not in run(app, *args).output
