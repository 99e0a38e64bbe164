"""nnU-Net's own path to the two masks: the same weights behind `nnUNetPredictor`, probabilities kept, two argmaxes.

Plans and dataset.json are made in memory from our model card; preprocessing, windows, resampling and export are
nnU-Net's, called one after the other as its `predict_from_files_sequential` does, which starts no other process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Stages
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape,
    export_prediction_from_logits,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from livercascade.data.labels import FIRST_LESION, LAST_LESION, PHASES
from livercascade.models.bundled import bundled
from livercascade.segment.model_card import ModelCard
from livercascade.segment.network_folder import load_card, load_network

FACTORS = (1, 4)
_ARCHITECTURE = "dynamic_network_architectures.architectures.unet."


class AllPhases(nn.Module):
    """Our network for an input of four phases that are all there: its flags are added inside."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(torch.cat((x, torch.ones_like(x)), dim=1))


def predictor() -> nnUNetPredictor:
    """The bundled UNet^whole in nnU-Net's predictor: overlap 0.5, Gaussian weights, no mirroring, float32."""
    card = load_card(bundled("whole"))
    network = AllPhases(load_network(bundled("whole"))).eval()
    plans = PlansManager(plans_of(card))
    made = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
    )
    made.manual_initialization(
        network, plans, plans.get_configuration("3d_fullres"), [network.state_dict()], dataset_of(card), "none", None
    )
    return made


def plans_of(card: ModelCard) -> dict[str, Any]:
    """nnU-Net's plans with its default resampling: order 3 for images, order 1 for logits."""
    values = card.architecture.model_dump(exclude={"network"}, exclude_none=True)
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "none",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(card.patch_size),
        "spacing": list(card.spacing_mm),
        "normalization_schemes": ["CTNormalization"] * len(PHASES),
        "use_mask_for_norm": [False] * len(PHASES),
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": resampling | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling | {"order": 1},
        "architecture": {
            "network_class_name": _ARCHITECTURE + card.architecture.network.value,
            "arch_kwargs": values,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    intensities = {
        str(i): {"mean": s.mean, "std": s.std, "percentile_00_5": s.lower, "percentile_99_5": s.upper}
        for i, s in enumerate(card.normalisation)
    }
    return {
        "dataset_name": "Dataset001_Liver",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": intensities,
        "configurations": {"3d_fullres": configuration},
    }


def dataset_of(card: ModelCard) -> dict[str, Any]:
    """Its dataset.json."""
    return {
        "channel_names": {str(i): phase.value for i, phase in enumerate(card.phases)},
        "labels": {name: i for i, name in enumerate(card.classes)},
        "file_ending": ".nii.gz",
    }


def whole(study: str, out: str) -> dict[str, Any]:
    """The whole path from four files to the masks ``f1.npy`` and ``f4.npy`` in ``out``; costs by stage."""
    made, folder, stages = predictor(), Path(out), Stages()
    files = [str(Path(study) / f"{phase.value.lower()}.nii.gz") for phase in PHASES]
    with stages.stage("whole"):
        reader = made.plans_manager.image_reader_writer_class()
        preprocessor = made.configuration_manager.preprocessor_class(verbose=False)
        with stages.stage("read"):
            data, properties = reader.read_images(files)
        with stages.stage("preprocess"):
            data, _, properties = preprocessor.run_case_npy(
                data, None, properties, made.plans_manager, made.configuration_manager, made.dataset_json
            )
            data = torch.from_numpy(data)
        with stages.stage("windows"):
            logits = made.predict_logits_from_preprocessed_data(data).cpu()
        del data
        with stages.stage("export"):
            _export(made, logits, properties, folder / "case")
        with stages.stage("masks"):
            two_masks(folder)
    return stages.as_json()


def _export(made: nnUNetPredictor, logits: torch.Tensor, properties: dict[str, Any], place: Path) -> None:
    export_prediction_from_logits(
        logits,
        properties,
        made.configuration_manager,
        made.plans_manager,
        made.dataset_json,
        str(place),
        save_probabilities=True,
        num_threads_torch=torch.get_num_threads(),
    )


def two_masks(folder: Path) -> None:
    """The masks at f = 1 and 4 from the stored probabilities (paper, eq. 2 and 3)."""
    probabilities = np.load(folder / "case.npz")["probabilities"]
    for factor in FACTORS:
        scaled = probabilities.copy()
        scaled[FIRST_LESION : LAST_LESION + 1] *= factor
        np.save(folder / f"f{factor}.npy", scaled.argmax(axis=0).astype(np.uint8))


def export(logits: str, shape: list[int], spacing: list[float], out: str) -> dict[str, Any]:
    """Export of given network logits alone: to probabilities, with npz and without, and the two masks."""
    made, folder, stages = predictor(), Path(out), Stages()
    values = torch.from_numpy(np.load(logits))
    properties = {
        "spacing": spacing,
        "shape_before_cropping": tuple(shape),
        "shape_after_cropping_and_before_resampling": tuple(shape),
        "bbox_used_for_cropping": [[0, n] for n in shape],
    }
    with stages.stage("probabilities"):
        _, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
            values,
            made.plans_manager,
            made.configuration_manager,
            made.label_manager,
            properties,
            return_probabilities=True,
            num_threads_torch=torch.get_num_threads(),
        )
    with stages.stage("npz"):
        np.savez_compressed(folder / "case.npz", probabilities=probabilities)
    del probabilities
    with stages.stage("masks"):
        two_masks(folder)
    return stages.as_json()


def windows(image: str, out: str) -> None:
    """Its windows over our image: logits on the network's grid, as half floats, as it keeps them."""
    data = torch.from_numpy(np.load(image))[: len(PHASES)]
    np.save(out, predictor().predict_logits_from_preprocessed_data(data).cpu().numpy())
