"""Which files are cases, and everything that is refused before work starts."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation_cohort import GRID, SHAPE, labels_of, write_cohort, write_maps
from livercascade.cli.main import app
from livercascade.data.errors import CascadeError
from livercascade.evaluation.cohort.cohort_files import find_cohort
from livercascade.io.nifti import read_grid, read_labels, write_nifti


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    truth, found, _ = write_cohort(tmp_path)
    return truth, found


def code(*arguments: object, **options: object) -> str:
    with pytest.raises(CascadeError) as caught:
        find_cohort(*arguments, **options)
    assert caught.value.remedy and caught.value.message
    return caught.value.code


def test_label_maps_by_name(folders: tuple[Path, Path]) -> None:
    truth, found = folders
    cohort = find_cohort(truth, [(None, found), ("again", found)])
    assert list(cohort.reference) == [p.name.removesuffix(".nii.gz") for p in sorted(truth.iterdir())]
    assert [(source.name, source.named) for source in cohort.predictions] == [("found", False), ("again", True)]
    assert not cohort.virtual


def test_truth_as_virtual_patients_write_it(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, found = folders
    for path in truth.iterdir():
        case = tmp_path / "patients" / path.name.removesuffix(".nii.gz")
        case.mkdir(parents=True)
        shutil.copy(path, case / "labels.nii.gz")
        write_nifti(case / "vp.nii.gz", labels_of([]), GRID)
        (case / "virtual.json").write_text("{}")
    cohort = find_cohort(tmp_path / "patients", [("x", found)])
    assert len(cohort.reference) == 7 and cohort.virtual


def test_missing_and_extra_cases(folders: tuple[Path, Path]) -> None:
    truth, found = folders
    (found / "c_type.nii.gz").unlink()
    assert code(truth, [(None, found)]) == "MISSING_CASES"
    write_nifti(found / "c_type.nii.gz", labels_of([]), GRID)
    write_nifti(found / "z.nii.gz", labels_of([]), GRID)
    assert code(truth, [(None, found)]) == "EXTRA_CASES"


def test_folders_and_names(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, found = folders
    (tmp_path / "empty").mkdir()
    assert code(truth, []) == "NO_FOUND"
    assert code(truth, [("a", found), ("a", found)]) == "NAME_TWICE"
    assert code(tmp_path / "empty", [(None, found)]) == "NO_CASES"
    assert code(truth, [(None, tmp_path / "empty")]) == "NO_CASES"
    assert code(truth, [(None, tmp_path / "absent")]) == "NO_FOLDER"
    shutil.copy(found / "c_type.nii.gz", found / "c_type.nii")
    assert code(truth, [(None, found)]) == "CASE_TWICE"


@pytest.mark.parametrize(
    "grid",
    [
        replace(GRID, shape=(6, 20, 21)),
        replace(GRID, spacing=(5.0, 5.0, 4.0)),
        replace(GRID, origin=(-50.0, 10.0, 8.0)),
        replace(GRID, direction=((0.0, 0.0, 1.0), (0.0, 0.9998, 0.02), (1.0, 0.0, 0.0))),
    ],
    ids=["shape", "spacing", "origin", "direction"],
)
def test_grids_that_differ(folders: tuple[Path, Path], grid) -> None:
    truth, found = folders
    if grid.direction != GRID.direction:
        y = np.array([0.0, 0.9998, 0.02])
        y /= np.linalg.norm(y)
        z = np.cross([1.0, 0.0, 0.0], y)
        grid = replace(GRID, direction=(tuple(map(float, z)), tuple(map(float, y)), (1.0, 0.0, 0.0)))
    write_nifti(found / "d_touching.nii.gz", np.zeros(grid.shape, dtype=np.uint8), grid)
    assert code(truth, [(None, found)]) == "GRID_MISMATCH"


def test_another_orientation_of_the_same_voxels_is_the_same_grid(folders: tuple[Path, Path]) -> None:
    truth, found = folders
    path = found / "a_split.nii.gz"
    image = nib.as_closest_canonical(nib.load(path))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine), path)
    find_cohort(truth, [(None, found)])


def test_grid_from_the_header_is_that_of_the_data(tmp_path: Path) -> None:
    array, path = np.zeros((4, 5, 6), dtype=np.uint8), tmp_path / "x.nii.gz"
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        affine = np.zeros((4, 4))
        affine[3] = 7, 8, 9, 1
        affine = affine.T
        affine[3, 3] = 1
        for column, row in enumerate(order):
            affine[row, column] = signs[column] * (column + 1.0)
        affine[3, :3] = 0
        nib.save(nib.Nifti1Image(array, affine), path)
        labels, grid = read_labels(path, is_ct=False)
        assert read_grid(path, is_ct=False) == grid
        assert labels.shape == grid.shape


@pytest.mark.parametrize("where", ["truth", "found"])
@pytest.mark.parametrize("value", [14, 255])
def test_labels_outside_the_map_stop_everything(tmp_path: Path, where: str, value: int) -> None:
    truth, found, _ = write_cohort(tmp_path)
    labels = labels_of([])
    labels[0, 0, 0] = value
    write_nifti(tmp_path / where / "f_empty.nii.gz", labels, GRID)
    out = tmp_path / "out"
    words = ["evaluate", "--truth", str(truth), "--found", str(found), "--out", str(out), "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "BAD_VALUES" in result.output and "f_empty" in result.output
    assert not out.exists() and len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("extra", "expected", "exit_code"),
    [
        (["--joint", "J=a"], "BAD_JOINT", 2),
        (["--joint", "J=M,absent"], "BAD_JOINT", 2),
        (["--joint", "M=M,M"], "BAD_JOINT", 2),
        (["--found", "=x"], "BAD_FOUND", 2),
        (["--found", "M=."], "NAME_TWICE", 2),
        (["--coverage", "{truth}/absent"], "NO_FOLDER", 1),
    ],
)
def test_wrong_use_has_a_code(tmp_path: Path, extra: list[str], expected: str, exit_code: int) -> None:
    truth, found, _ = write_cohort(tmp_path)
    words = ["evaluate", "--truth", str(truth), "--found", f"M={found}", "--out", str(tmp_path / "out"), "--quiet"]
    result = CliRunner().invoke(app, words + [w.format(truth=truth) for w in extra])
    assert (result.exit_code, expected in result.output) == (exit_code, True), result.output
    assert not (tmp_path / "out").exists()


def test_out_is_not_overwritten_unless_it_is_an_evaluation(tmp_path: Path) -> None:
    truth, found, _ = write_cohort(tmp_path)
    words = ["evaluate", "--truth", str(truth), "--found", str(found), "--quiet", "--bootstrap", "5", "--no-figures"]
    assert "OUT_TAKEN" in CliRunner().invoke(app, [*words, "--out", str(found)]).output
    for _ in range(2):
        assert CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")]).exit_code == 0


def test_values_of_any_integer_or_float_type(tmp_path: Path) -> None:
    truth, found, _ = write_cohort(tmp_path)
    for path, dtype in zip(sorted(found.iterdir()), ("u1", "i2", "i4", "f4", "f8", "u2", "i8"), strict=True):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj).astype(dtype), image.affine, dtype=dtype), path)
        labels, _ = read_labels(path, is_ct=False)
        assert labels.dtype == np.uint8 and labels.shape == SHAPE
    find_cohort(truth, [(None, found)])


def test_spacing_in_metres_is_refused(tmp_path: Path) -> None:
    tiny = replace(GRID, spacing=(0.005, 0.005, 0.005))
    truth = write_maps(tmp_path / "t", {"x": labels_of([])}, tiny)
    assert code(truth, [(None, truth)]) == "BAD_SPACING"
