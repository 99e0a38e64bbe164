"""Runs in a process of its own: nnU-Net's trainer saves a checkpoint, and its network's logits on a fixed input.

Takes the folder with ``plans.json`` and ``dataset.json``; nnU-Net's folders come from the environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def main(home: Path) -> None:
    """Two folds of an untrained network with weights far from zero, one step taken."""
    plans, dataset = (json.loads((home / f"{name}.json").read_text()) for name in ("plans", "dataset"))
    for fold in (0, 1):
        torch.manual_seed(fold)
        trainer = nnUNetTrainer(plans | {"continue_training": False}, "3d_fullres", fold, dataset, torch.device("cpu"))
        trainer.initialize()
        for name in ("train_losses", "val_losses", "lrs", "mean_fg_dice"):
            trainer.logger.log(name, np.float32(0.5) * np.float64(1.0), 0)
        trainer.logger.log("dice_per_class_or_region", [np.float32(0.25)], 0)
        for parameter in trainer.network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        x = torch.randn(1, 2, *trainer.configuration_manager.patch_size)
        loss = trainer.network(x)[0].square().mean()
        loss.backward()
        trainer.optimizer.step()
        trainer.save_checkpoint(str(home / f"fold_{fold}" / "checkpoint_final.pth"))
        trainer.set_deep_supervision_enabled(False)
        trainer.network.eval()
        with torch.no_grad():
            torch.save({"x": x, "y": trainer.network(x)}, home / f"logits_{fold}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
