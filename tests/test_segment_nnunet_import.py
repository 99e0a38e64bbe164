"""Models of nnU-Net keep their function as UNet^whole; files that would run code are refused."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import InputError, ModelError
from livercascade.data.labels import Phase
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind, ResamplingScheme
from livercascade.segment.network_folder import load_model_card, load_network
from livercascade.segment.network_input import phase_input
from livercascade.segment.nnunet_import import NEVER, import_nnunet, read_trained, read_weights

NAMES = DatasetNames.parse([], ["tumor=Meta"])
PROPERTIES = {"mean": 60.0, "std": 40.0, "percentile_00_5": -90.0, "percentile_99_5": 210.0, "median": 60.0}


def plans(**changes: Any) -> dict[str, Any]:
    """Plans as nnU-Net 2.8 writes them, of a network small enough for a test."""
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": [4, 8, 8],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
            "n_conv_per_stage": [2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    kwargs = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [8, 16, 16],
        "median_image_size_in_voxels": [8.0, 16.0, 16.0],
        "spacing": [5.0, 0.8, 0.8],
        "normalization_schemes": ["CTNormalization", "CTNormalization"],
        "use_mask_for_norm": [False, False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": kwargs,
        "resampling_fn_seg_kwargs": kwargs | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": kwargs | {"order": 1},
        "architecture": architecture,
        "batch_dice": True,
    }
    return {
        "dataset_name": "Dataset007_Liver",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration | changes},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": PROPERTIES, "1": PROPERTIES | {"mean": 80.0}},
    }


DATASET = {
    "channel_names": {"0": "portal venous", "1": "arterial"},
    "labels": {"background": 0, "liver": 1, "tumor": 2},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}


def write_json(folder: Path, plan: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plan or plans()))
    (folder / "dataset.json").write_text(json.dumps(DATASET))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds saved by nnU-Net's own trainer in a process of its own."""
    home = write_json(tmp_path_factory.mktemp("trained"))
    arrays = home / "pre" / "Dataset007_Liver" / "nnUNetPlans_3d_fullres"
    arrays.mkdir(parents=True)
    (arrays / "case.b2nd").touch()
    for fold in (0, 1):
        (home / f"fold_{fold}").mkdir()
    places = {f"nnUNet_{name}": str(home / name[:3]) for name in ("raw", "preprocessed", "results")}
    script = Path(__file__).with_name("nnunet_checkpoint.py")
    command = [sys.executable, str(script), str(home)]
    subprocess.run(command, env=os.environ | places, check=True, stdout=subprocess.DEVNULL)
    return home


def test_the_imported_network_gives_nnunets_own_logits(trained: Path, tmp_path: Path) -> None:
    import_nnunet(trained, tmp_path / "m", NAMES)
    model = Model.load(tmp_path / "m", ModelKind.WHOLE, Engine("cpu", bf16=False))
    assert model.card.needs == (Phase.AP, Phase.VP)
    assert model.card.name == "Dataset007_Liver, ensemble of 2"
    for fold in (0, 1):
        given = torch.load(trained / f"logits_{fold}.pt", weights_only=True)
        four = torch.randn(1, 4, 8, 16, 16)
        four[:, 2], four[:, 1] = given["x"][:, 0], given["x"][:, 1]
        for present in ([False, True, True, False], [True] * 4):
            with torch.no_grad():
                found = load_network(tmp_path / "m" / f"fold_{fold}")(phase_input(four, present))
            torch.testing.assert_close(found[:, [0, 7, 3]], given["y"], atol=1e-5, rtol=1e-5)
            unknown = [i for i in range(14) if i not in (0, 7, 3)]
            assert (found[:, unknown] == NEVER).all()


def test_normalisation_spacing_and_notes_follow_the_plans(trained: Path) -> None:
    made = read_trained(trained, NAMES, configuration="3d_fullres")
    assert made.card.spacing_mm == (5.0, 0.8, 0.8) and made.card.patch_size == (8, 16, 16)
    assert made.card.normalisation[Phase.VP.index].mean == 60.0
    assert made.card.normalisation[Phase.AP.index].mean == 80.0
    assert made.card.resampling is ResamplingScheme.SPLINE
    assert not any("resampled" in note for note in made.notes)


@pytest.mark.parametrize(
    ("name", "kwargs", "how"),
    [
        ("resample_torch_fornnunet", {"force_separate_z": False}, ResamplingScheme.LINEAR),
        (
            "resample_data_or_seg_to_shape",
            {"order": 1, "order_z": 0, "force_separate_z": None},
            ResamplingScheme.SPLINE,
        ),
    ],
)
def test_another_resampling_is_told(tmp_path: Path, name: str, kwargs: dict[str, Any], how: ResamplingScheme) -> None:
    home = write_json(tmp_path, plans(resampling_fn_data=name, resampling_fn_data_kwargs=kwargs))
    made = read_trained(home, NAMES, configuration="3d_fullres")
    assert made.card.resampling is how
    assert any(name in note for note in made.notes)


def test_a_single_fold_becomes_a_plain_model_folder(trained: Path, tmp_path: Path) -> None:
    home = write_json(tmp_path / "one")
    (home / "fold_3").mkdir()
    (home / "fold_3" / "checkpoint_best.pth").write_bytes((trained / "fold_0" / "checkpoint_final.pth").read_bytes())
    import_nnunet(home, tmp_path / "m", NAMES, name="mine")
    card = load_model_card(tmp_path / "m")
    assert (card.name, card.training.fold, card.training.chosen) == ("mine", 3, "best")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch evil",))


@pytest.mark.parametrize("content", [{"network_weights": Evil()}, {"network_weights": {}, "init_args": Evil()}])
def test_a_file_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="NNUNET_UNSAFE"):
        read_weights(tmp_path / "c.pth")
    (tmp_path / "d.pth").write_bytes(pickle.dumps(content))
    with pytest.raises(ModelError, match="NNUNET_UNSAFE"):
        read_weights(tmp_path / "d.pth")
    assert not (tmp_path / "evil").exists()


def test_numbers_of_numpy_are_harmless(tmp_path: Path) -> None:
    numbers = {"a": np.float32(1.5), "b": np.float64(2.5), "c": np.arange(3), "d": np.int64(4), "e": np.bool_(True)}
    torch.save({"network_weights": {"module.w": torch.ones(2)}, "logging": numbers}, tmp_path / "c.pth")
    assert list(read_weights(tmp_path / "c.pth")) == ["w"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"normalization_schemes": ["ZScoreNormalization"] * 2}, "ZScoreNormalization"),
        ({"previous_stage": "3d_lowres"}, "output of another"),
        ({"architecture": {"network_class_name": "some.MedNeXt", "arch_kwargs": {}}}, "MedNeXt"),
    ],
)
def test_plans_that_are_not_supported_say_why(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=f"NNUNET_PLANS.*{why}"):
        read_trained(write_json(tmp_path, plans(**changes)), NAMES, configuration="3d_fullres")


def test_turned_axes_old_plans_and_missing_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"NNUNET_PLANS.*turn"):
        read_trained(
            write_json(tmp_path, plans() | {"transpose_forward": [2, 0, 1]}), NAMES, configuration="3d_fullres"
        )
    write_json(tmp_path)
    with pytest.raises(ModelError, match=r"NNUNET_PLANS.*3d_lowres"):
        read_trained(tmp_path, NAMES, configuration="3d_lowres")
    with pytest.raises(ModelError, match="MODEL_MISSING"):
        import_nnunet(tmp_path, tmp_path / "m", NAMES)
    with pytest.raises(InputError, match="LABEL_UNKNOWN"):
        read_trained(tmp_path, DatasetNames(), configuration="3d_fullres")
    with pytest.raises(InputError, match="LABEL_TWICE"):
        read_trained(tmp_path, DatasetNames.parse([], ["tumor=liver"]), configuration="3d_fullres")
