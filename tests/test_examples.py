"""Every file in `examples` runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import livercascade as lc
from livercascade.testing.tiny_networks import COARSE_ALIGNMENT
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import VirtualSettings
from test_segment_nnunet_import import trained  # noqa: F401

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def examples_are_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = VirtualSettings(matrix=160, subslices=2)
    (case,) = make_cohort([900_004], settings, tmp_path_factory.mktemp("patients"))
    return case


@pytest.fixture(scope="module")
def cascade() -> lc.Cascade:
    settings = lc.CascadeSettings.model_validate(
        {
            "align": {"registration": COARSE_ALIGNMENT},
            "segment": {"overlap": 0.25},
            "reclassify": {"n_original": 1, "n_shuffled": 1},
        }
    )
    return lc.Cascade.load(settings, device="cpu")


def test_a_study_is_analysed_and_saved(study: Path, cascade: lc.Cascade, tmp_path: Path) -> None:
    import predict_study

    prediction = predict_study.main(study, tmp_path / "result", cascade)
    written = json.loads((tmp_path / "result" / "result.json").read_text())
    assert written["verdict"]["joint"] == prediction.verdict.joint.value
    assert (tmp_path / "result" / "report.html").is_file()


def test_the_mask_of_another_program_is_reclassified(study: Path, cascade: lc.Cascade) -> None:
    import own_segmenter

    prediction = own_segmenter.main(study, study / "labels.nii.gz", cascade)
    assert prediction.candidates
    assert prediction.result.provenance.models[0].name == "mask of another program"


def test_more_is_found_at_higher_sensitivity(capsys: pytest.CaptureFixture[str]) -> None:
    import sensitivity_sweep

    found = sensitivity_sweep.main()
    assert found[1] == 1 and found[2] == found[8] == 2
    assert "patient: HCC" in capsys.readouterr().out


def test_arrays_and_folders_are_evaluated_alike(tmp_path: Path) -> None:
    import evaluate_masks

    from_arrays, from_files = evaluate_masks.main(tmp_path / "evaluation")
    assert from_arrays.tables.models == from_files.tables.models
    assert (tmp_path / "evaluation" / "tables.json").is_file()


def test_a_model_of_nnunet_is_imported(trained: Path, tmp_path: Path) -> None:  # noqa: F811
    import import_nnunet

    cascade = import_nnunet.main(trained, tmp_path / "model")
    assert cascade.models[0].sha256


def test_every_example_is_tried() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f"{path.stem}.main(" in text for path in EXAMPLES.glob("*.py"))
