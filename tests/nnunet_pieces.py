"""Runs in a process of its own, with nnU-Net's folders: what its planner and its augmentation give, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from livercascade.data.labels import NUM_CLASSES, PHASES, label_name
from livercascade.train.augmentation import build_augmentation
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_presets import TrainingPreset, read_settings
from livercascade.train.training_settings import Augmentation, WholeSettings
from livercascade.train.whole.whole_preparation import build_planner, output_to_log, planned_card, read_plans

SPACING, SHAPE, CASES = [5.0, 0.78, 0.78], [60, 512, 512], 100
INTENSITIES = {"mean": 90.0, "median": 95.0, "std": 45.0, "percentile_00_5": -60.0, "percentile_99_5": 240.0}


def plan(folder: RunFolder) -> dict[str, Any]:
    """Plan of the preset ``full`` for a data set like the paper's."""
    for place in (folder.nnunet_raw, folder.nnunet_preprocessed):
        place.mkdir(parents=True)
    dataset = {
        "channel_names": dict.fromkeys(map(str, range(len(PHASES))), "CT"),
        "labels": {label_name(i): i for i in range(NUM_CLASSES)},
        "numTraining": CASES,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": {f"c{i}": {"images": ["a.nii.gz"] * 4, "label": "b.nii.gz"} for i in range(CASES)},
    }
    (folder.nnunet_raw / "dataset.json").write_text(json.dumps(dataset))
    fingerprint = {
        "spacings": [SPACING] * CASES,
        "shapes_after_crop": [SHAPE] * CASES,
        "foreground_intensity_properties_per_channel": {str(i): INTENSITIES for i in range(len(PHASES))},
        "median_relative_size_after_cropping": 1.0,
    }
    folder.nnunet_fingerprint.write_text(json.dumps(fingerprint))
    settings = read_settings(WholeSettings, None, {}, preset=TrainingPreset.FULL)
    with output_to_log(folder):
        build_planner(settings).plan_experiment()
    made = planned_card(folder, settings)
    return {
        "spacing": made.spacing_mm,
        "patch": made.patch_size,
        "batch": read_plans(folder)[1]["batch_size"],
        "features": made.architecture.features_per_stage,
        "mean": made.normalisation[0].mean,
    }


def disturbed(size: tuple[int, int, int]) -> dict[str, Any]:
    """Sizes and labels of a sample before and after nnU-Net's augmentation."""
    transform, wide = build_augmentation(Augmentation(recipe="nnunet"), size)
    image, labels = torch.randn(4, *wide), torch.randint(0, 14, (1, *wide)).to(torch.int16)
    changed = transform(image=image, segmentation=labels)
    return {
        "wide": wide,
        "image": list(changed["image"].shape),
        "labels": list(changed["segmentation"].shape),
        "range": [int(changed["segmentation"].min()), int(changed["segmentation"].max())],
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    found = {
        "plan": plan(RunFolder(Path(sys.argv[1]))),
        "flat": disturbed((4, 32, 32)),
        "cube": disturbed((16, 24, 24)),
    }
    sys.stdout.write("\n" + json.dumps(found))
