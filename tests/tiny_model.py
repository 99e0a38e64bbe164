"""Card of a network small enough for a test."""

from __future__ import annotations

from livercascade.data.labels import PHASES
from livercascade.segment.card import Architecture, ModelCard, ModelKind, NetworkClass, PhaseNormalisation

SCHEME = tuple(PhaseNormalisation(lower=-100.0 + i, upper=200.0, mean=50.0, std=30.0) for i in range(4))


def tiny_card(network: NetworkClass = NetworkClass.PLAIN, **changes: object) -> ModelCard:
    blocks = {"n_conv_per_stage" if network is NetworkClass.PLAIN else "n_blocks_per_stage": (1, 1)}
    architecture = Architecture(
        network=network,
        n_stages=2,
        features_per_stage=(4, 8),
        kernel_sizes=((1, 3, 3), (3, 3, 3)),
        strides=((1, 1, 1), (1, 2, 2)),
        n_conv_per_stage_decoder=(1,),
        **blocks,
    )
    values = {
        "name": "tiny",
        "kind": ModelKind.WHOLE,
        "version": "1",
        "phases": PHASES,
        "classes": ("background", "HCC", "liver"),
        "spacing_mm": (5.0, 2.0, 2.0),
        "patch_size": (4, 8, 8),
        "normalisation": SCHEME,
        "architecture": architecture,
    }
    return ModelCard.model_validate(values | changes)
