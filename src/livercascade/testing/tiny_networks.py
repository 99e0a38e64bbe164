"""Networks and alignment small enough for a test: a model card, and settings of a coarse alignment."""

from __future__ import annotations

from livercascade.alignment.align_settings import AlignSettings, SearchLevel
from livercascade.data.labels import PHASES
from livercascade.segment.model_card import Architecture, ModelCard, ModelKind, NetworkClass, PhaseNormalisation

TINY_NORMALISATION = tuple(PhaseNormalisation(lower=-100.0 + i, upper=200.0, mean=50.0, std=30.0) for i in range(4))
COARSE_ALIGNMENT = AlignSettings(
    spacing_mm=5.0,
    smooth_mm=3.0,
    levels=(SearchLevel(block=6, radius=5, step=2, distance=2), SearchLevel(block=4, radius=3, step=1, stride=1)),
)
"""Alignment on voxels of 5 mm: good enough for tests of what lies round it."""


def tiny_card(network: NetworkClass = NetworkClass.PLAIN, **changes: object) -> ModelCard:
    """Card of a network of two stages and 4 and 8 features; ``changes`` replace fields of the card.

    Raises:
        pydantic.ValidationError: A change does not fit the card.
    """
    plain = network is NetworkClass.PLAIN
    architecture = Architecture(
        network=network,
        n_stages=2,
        features_per_stage=(4, 8),
        kernel_sizes=((1, 3, 3), (3, 3, 3)),
        strides=((1, 1, 1), (1, 2, 2)),
        n_conv_per_stage_decoder=(1,),
        n_conv_per_stage=(1, 1) if plain else None,
        n_blocks_per_stage=None if plain else (1, 1),
    )
    values: dict[str, object] = {
        "name": "tiny",
        "kind": ModelKind.WHOLE,
        "version": "1",
        "phases": PHASES,
        "classes": ("background", "HCC", "liver"),
        "spacing_mm": (5.0, 2.0, 2.0),
        "patch_size": (4, 8, 8),
        "normalisation": TINY_NORMALISATION,
        "architecture": architecture,
    }
    return ModelCard.model_validate(values | changes)
