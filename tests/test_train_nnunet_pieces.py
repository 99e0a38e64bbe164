"""The preset ``full`` gets nnU-Net's own plan and augmentation; both run in a process with nnU-Net's folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from livercascade.train.run_folder import RunFolder
from livercascade.train.training_process import training_environment


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    script = Path(__file__).with_name("nnunet_pieces.py")
    made = subprocess.run(
        [sys.executable, str(script), str(folder.root)],
        env=training_environment(folder, 1),
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(made.stdout.splitlines()[-1])


def test_nnunets_planner_decides_for_data_like_the_papers(found: dict[str, Any]) -> None:
    plan = found["plan"]
    assert plan["spacing"] == [5.0, 0.78, 0.78] and plan["mean"] == 90.0
    assert plan["features"] == [32, 64, 128, 256, 320, 320] and plan["batch"] == 2
    z, y, x = plan["patch"]
    assert 20 <= z <= 40 and 160 <= x <= 320 and y >= 160


@pytest.mark.parametrize(("name", "size"), [("flat", [4, 32, 32]), ("cube", [16, 24, 24])])
def test_nnunets_augmentation_keeps_size_and_labels(found: dict[str, Any], name: str, size: list[int]) -> None:
    sample = found[name]
    assert sample["image"] == [4, *size] and sample["labels"] == [1, *size]
    assert all(wide >= want for wide, want in zip(sample["wide"], size, strict=True)) and sample["wide"] != size
    assert sample["range"][0] >= 0 and sample["range"][1] <= 13
