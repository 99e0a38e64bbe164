"""What the networks see: normalised phases, zeros where a phase is absent, and flags that say which are there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float

from livercascade.segment.card import PhaseNormalisation


def normalise(
    hu: Float[torch.Tensor, "*batch phase z y x"], scheme: Sequence[PhaseNormalisation]
) -> Float[torch.Tensor, "*batch phase z y x"]:
    """HU of all phases clipped and z-scored, each phase by its own entry of ``scheme`` (nnU-Net's CT scheme).

    Raises:
        ValueError: ``scheme`` has another length than there are phases.
    """
    if len(scheme) != hu.shape[-4]:
        raise ValueError(f"{hu.shape[-4]} phases but {len(scheme)} normalisations")

    def column(name: str) -> torch.Tensor:
        return torch.tensor([getattr(s, name) for s in scheme], dtype=hu.dtype, device=hu.device)[:, None, None, None]

    clipped = torch.maximum(torch.minimum(hu, column("upper")), column("lower"))
    return (clipped - column("mean")) / column("std")


def phase_input(
    normalised: Float[torch.Tensor, "*batch phase z y x"],
    present: Sequence[bool] | Bool[torch.Tensor, "*batch phase"],
) -> Float[torch.Tensor, "*batch channel z y x"]:
    """Network input: phases with absent ones set to 0, followed by one constant flag channel per phase.

    Args:
        normalised: Normalised phases; what stands in an absent phase does not matter, NaN included.
        present: Which phases are there, for all of the batch or per sample.

    Raises:
        ValueError: ``present`` does not have one entry per phase.
    """
    there = torch.as_tensor(present, dtype=torch.bool, device=normalised.device)
    if there.shape[-1] != normalised.shape[-4]:
        raise ValueError(f"{normalised.shape[-4]} phases but {there.shape[-1]} presence flags")
    if there.ndim == 1:
        return _one_set(normalised, there.tolist())
    flags = there[..., None, None, None].expand(normalised.shape)
    kept = torch.where(flags, normalised, torch.zeros((), dtype=normalised.dtype, device=normalised.device))
    return torch.cat((kept, flags.to(normalised.dtype)), dim=-4)


def _one_set(
    normalised: Float[torch.Tensor, "*batch phase z y x"], present: list[bool]
) -> Float[torch.Tensor, "*batch channel z y x"]:
    """The same phases present in all of the batch: each voxel is written once."""
    *batch, count, z, y, x = normalised.shape
    out = normalised.new_empty((*batch, 2 * count, z, y, x))
    for i, there in enumerate(present):
        out[..., count + i, :, :, :] = float(there)
        out[..., i, :, :, :] = normalised[..., i, :, :, :] if there else 0.0
    return out
