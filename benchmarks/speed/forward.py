"""One forward pass of each network in torch eager and in OpenVINO, in turns in one process."""

from __future__ import annotations

from functools import partial

import torch
from measuring import in_turns

from livercascade.models.bundled import bundled
from livercascade.segment.engine import Engine, Precision, Runtime
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind

ENGINES = {
    "torch eager, fp32": (Runtime.TORCH, Precision.FP32),
    "OpenVINO, fp32": (Runtime.AUTO, Precision.FP32),
    "default": (Runtime.AUTO, Precision.AUTO),
}


def passes(rounds: int) -> dict[str, dict[str, list[float]]]:
    """CPU seconds by network and engine."""
    out: dict[str, dict[str, list[float]]] = {}
    for kind in ModelKind:
        works = {}
        for runtime, precision in ENGINES.values():
            engine = Engine.choose("cpu", runtime, precision)
            model = Model.load(bundled(kind.value), kind, engine)
            works[engine.name] = partial(model.run, torch.randn(1, model.card.input_channels, *model.card.patch_size))
        out[kind.value] = in_turns(works, rounds)
    return out
