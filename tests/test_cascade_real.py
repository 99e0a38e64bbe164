"""predict on a real study: three phases in the right order; liver Dice and nodules are printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livercascade.alignment.align_phases import PhaseUse
from livercascade.alignment.align_settings import AlignSettings
from livercascade.cascade.cascade import Cascade
from livercascade.cascade.predict import predict
from livercascade.cascade.settings import AlignStage, CascadeSettings
from livercascade.data.labels import Phase
from livercascade.io.nifti import read_labels

STUDY = Path(__file__).parents[2] / "shared" / "data" / "hcc_tace_005_pre"


@pytest.mark.skipif(not STUDY.is_dir(), reason="the real study is not on this machine")
def test_real_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = CascadeSettings(align=AlignStage(registration=AlignSettings(spacing_mm=3.0)))
    result = predict(STUDY / "dicom", tmp_path / "case", Cascade.load(settings, device="cpu"))
    assert result.status.finished
    for record in result.alignment:
        assert record.use is PhaseUse.ALIGNED, record.reasons
        assert record.similarity.after > record.similarity.before
    shapes = {i.phase: (i.shape[0], round(i.spacing_mm[0], 1)) for i in result.inputs}
    assert shapes == {Phase.NC: (48, 5.0), Phase.AP: (89, 2.5), Phase.VP: (89, 2.5)}
    found, grid = read_labels(tmp_path / "case" / "segmentation.nii.gz")
    liver, truth_grid = read_labels(STUDY / "liver.nii.gz")
    nodules, _ = read_labels(STUDY / "lesions.nii.gz")
    assert grid.matches(truth_grid)
    a, b = (found >= 1) & (found <= 8), liver > 0
    dice = 2 * (a & b).sum() / (a.sum() + b.sum())
    lesion = (found >= 1) & (found <= 6)
    shares = {int(n): float(lesion[nodules == n].mean()) for n in np.unique(nodules) if n}
    with capsys.disabled():
        print(f"\nreal study, liver Dice {dice:.3f}; share of each masked nodule found {shares}")
    assert dice > 0.85
