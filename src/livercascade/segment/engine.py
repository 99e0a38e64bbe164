"""Where networks run: device, precision and threads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import nn


@dataclass(frozen=True, slots=True)
class Engine:
    """A device and a precision.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        bf16: Compute in bfloat16; accumulated and returned in float32.
    """

    device: str
    bf16: bool

    @classmethod
    def choose(cls, device: str = "auto") -> Engine:
        """The fastest engine this machine has, or the one named; bfloat16 only where the processor computes in it."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda"):
            return cls(device, torch.cuda.is_bf16_supported())
        probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return cls(device, bool(device == "cpu" and probe is not None and probe()))

    def run(self, network: nn.Module, batch: Float32[torch.Tensor, "n c z y x"]) -> Float32[torch.Tensor, "n k z y x"]:
        """Logits of ``batch``, float32 on the processor."""
        kind = self.device.split(":", maxsplit=1)[0]
        with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=self.bf16):
            logits = network(batch.to(self.device))
        return logits.float().cpu()
