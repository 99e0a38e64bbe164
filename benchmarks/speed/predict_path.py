"""`predict` from four files to the finished case folder, in several configurations, with the costs of each stage."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from configurations import CONFIGURATIONS
from jaxtyping import Float32
from measuring import Stages

import livercascade.cascade.cascade as cascade_module
import livercascade.cascade.predict as predict_module
import livercascade.segment.unet_whole as whole_module
from livercascade.cascade.cascade import Cascade
from livercascade.cascade.prediction import Prediction
from livercascade.cascade.proposals import Proposals
from livercascade.cascade.settings import CascadeSettings
from livercascade.io.reference_grid import to_scan
from livercascade.io.study_reader import read_study
from livercascade.segment.engine import Engine, Precision, Runtime
from livercascade.segment.model import Model
from livercascade.segment.model_card import ResamplingScheme
from livercascade.segment.unet_whole import UNetWhole

_WATCHED = (
    (predict_module, "read_study", "read"),
    (cascade_module, "align_study", "read"),
    (whole_module, "network_image", "preprocess"),
    (whole_module, "sliding_window", "windows"),
    (whole_module, "to_scan_grid", "export"),
    (cascade_module, "propose", "masks"),
    (Cascade, "judge", "reclassify"),
    (Prediction, "save", "report"),
)


@dataclass
class Passes:
    """Forward passes of one network: how many and what they took."""

    count: int = 0
    wall: float = 0.0
    cpu: float = 0.0


@dataclass
class Counted:
    """Passes of both networks, by kind."""

    passes: dict[str, Passes] = field(default_factory=lambda: {"whole": Passes(), "patch": Passes()})

    def watch(self) -> None:
        """Count in every `Model.run` from now on."""
        real = Model.run

        def run(model: Model, batch: Float32[torch.Tensor, "n c z y x"]) -> Float32[torch.Tensor, "n k z y x"]:
            wall, cpu = time.perf_counter(), time.process_time()
            logits = real(model, batch)
            mine = self.passes[model.card.kind.value]
            mine.count += len(batch)
            mine.wall += time.perf_counter() - wall
            mine.cpu += time.process_time() - cpu
            return logits

        Model.run = run  # type: ignore[method-assign]


def cascade_of(name: str) -> Cascade:
    """Both bundled networks in the configuration named, compiled, so that no run pays for what is kept between runs."""
    chosen = CONFIGURATIONS[name]
    settings = CascadeSettings.model_validate({"align": {"enabled": False}} | chosen.settings)
    cascade = Cascade.load(
        settings, device="cpu", engine=Runtime(chosen.runtime), precision=Precision(chosen.precision)
    )
    if chosen.splines:
        card = cascade.whole.card.model_copy(update={"resampling": ResamplingScheme.SPLINE})
        cascade = replace(cascade, segmenter=UNetWhole(replace(cascade.whole, card=card)))
    for model in (cascade.whole, cascade.patch):
        model.run(torch.zeros(1, model.card.input_channels, *model.card.patch_size))
        model.release_memory()
    return cascade


def bf16() -> bool:
    """Whether the default computes in bfloat16 on this machine."""
    return Engine.choose("cpu").bf16


def whole(study: str, out: str, name: str) -> dict[str, Any]:
    """Costs by stage and forward passes of `predict` in one configuration; ``f1.npy`` and ``f4.npy`` go to ``out``."""
    # A result that is there would be kept, and nothing measured.
    shutil.rmtree(Path(out) / "case", ignore_errors=True)
    cascade, stages, counted = cascade_of(name), Stages(), Counted()
    seen: list[Proposals] = []
    for place, function, stage in _WATCHED:
        stages.watch(place, function, stage)
    counted.watch()
    _keep_proposals(seen)
    with stages.stage("whole"):
        predict_module.predict(Path(study), Path(out) / "case", cascade)
    for factor in (1, 4):
        np.save(Path(out) / f"f{factor}.npy", seen[0].sensitivity.mask(factor))
    return {
        "costs": stages.as_json(),
        "passes": {kind: asdict(passes) for kind, passes in counted.passes.items()},
        "engine": cascade.whole.engine.name,
        "shape": seen[0].low.shape,
        "spacing": seen[0].det_low.spacing,
        "proposals": [len(seen[0].det_low), len(seen[0].det_high)],
    }


def _keep_proposals(seen: list[Proposals]) -> None:
    real = cascade_module.propose

    def propose(*args: Any, **kwargs: Any) -> Proposals:
        seen.append(real(*args, **kwargs))
        return seen[-1]

    cascade_module.propose = propose


def network_side(study: str, out: str) -> dict[str, Any]:
    """What the network sees and says, kept as ``image.npy`` and ``logits.npy`` in ``out``; shape and spacing."""
    cascade = cascade_of("torch eager")
    scan, _ = to_scan(read_study(Path(study)))
    image = whole_module.network_image(scan, cascade.whole)
    np.save(Path(out) / "image.npy", image.numpy())
    np.save(Path(out) / "logits.npy", whole_module.sliding_window(image, cascade.whole).numpy())
    return {"shape": scan.grid.shape, "spacing": scan.grid.spacing}


def export(logits: str, shape: list[int], out: str) -> dict[str, Any]:
    """Export of given network logits alone: streamed to the masks, as `predict` does."""
    values, stages = torch.from_numpy(np.load(logits)), Stages()
    z, y, x = shape
    with stages.stage("map"):
        smap = whole_module.to_scan_grid(values, (z, y, x), pooled=False)
    with stages.stage("masks"):
        masks = {factor: smap.mask(factor) for factor in (1, 4)}
    for factor, mask in masks.items():
        np.save(Path(out) / f"f{factor}.npy", mask)
    return stages.as_json()


def stacked_export(logits: str, shape: list[int], out: str) -> dict[str, Any]:
    """The same map from all classes brought to the CT grid at once: what streaming is measured against."""
    del out
    from livercascade.detect.sensitivity import SensitivityMap

    values, stages = torch.from_numpy(np.load(logits)), Stages()
    with stages.stage("map"):
        full = torch.nn.functional.interpolate(values[None], size=shape, mode="trilinear", align_corners=False)
        smap = SensitivityMap.from_logits(full[0].numpy())
        del full
    with stages.stage("masks"):
        [smap.mask(factor) for factor in (1, 4)]
    return stages.as_json()
