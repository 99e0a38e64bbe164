"""Cases made by a teacher: said is only what every view of a study agrees on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from typer.testing import CliRunner

from livercascade.cascade.teacher_labels import RIM_MM, agreed_labels
from livercascade.cli.train import app
from livercascade.data.coverage import IGNORED, classes_of, read_coverage
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.io.nifti import read_labels
from livercascade.train.training_cases import find_cases
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import VirtualSettings

GRID = Grid.axial((6, 20, 20), (5.0, 2.0, 2.0))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), views=st.integers(1, 4))
def test_only_what_all_views_agree_on_is_said(seed: int, views: int) -> None:
    rng = np.random.default_rng(seed)
    livers = [ndimage.gaussian_filter(rng.normal(size=GRID.shape), 2) > rng.uniform(-0.1, 0.1) for _ in range(views)]
    labels = agreed_labels(livers, GRID)
    assert set(np.unique(labels).tolist()) <= {0, 7, IGNORED}
    for liver in livers:
        assert liver[labels == 7].all() and not liver[labels == 0].any()
        # Nothing is said closer to any view's edge than the rim.
        inside = ndimage.distance_transform_edt(liver, sampling=GRID.spacing)
        outside = ndimage.distance_transform_edt(~liver, sampling=GRID.spacing)
        said = labels != IGNORED
        assert (np.maximum(inside, outside)[said] > RIM_MM).all()


def test_a_study_without_masks_becomes_a_case(tmp_path: Path) -> None:
    (patient,) = make_cohort([900_008], VirtualSettings(matrix=160), tmp_path / "patients")
    (tmp_path / "study").mkdir()
    for phase in ("nc", "vp"):
        (tmp_path / "study" / f"{phase}.nii.gz").symlink_to(patient / f"{phase}.nii.gz")
    call = ["teach", tmp_path / "study", "--out", tmp_path / "cases", "--quiet"]
    assert CliRunner().invoke(app, [str(part) for part in call]).exit_code == 0
    (case,) = find_cases(tmp_path / "cases")
    assert set(case.phases) == {Phase.NC, Phase.VP}
    truth = read_labels(patient / "labels.nii.gz")[0]
    content = (truth >= 1) & (truth <= 8)
    stored = read_labels(case.labels, classes=256)[0]
    said = stored != IGNORED
    assert said.mean() > 0.8
    assert ((stored == 7) == content)[said].mean() > 0.99
    # Beside cases that cover lesions and vessels, these stay open in the liver.
    coverage = read_coverage(tmp_path / "cases" / "study" / "coverage.json")
    assert classes_of(coverage.label_of(7)) == {*range(1, 10)}
