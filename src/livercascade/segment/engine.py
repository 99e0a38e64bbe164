"""Where networks run: runtime, device, precision and threads.

On a processor OpenVINO runs a frozen network several times faster than torch does; torch takes its place where OpenVINO
is absent, cannot convert a network, or where there is a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from enum import Enum
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float32
from torch import nn

from livercascade.data.errors import UsageError
from livercascade.segment.openvino_network import OpenVinoNetwork

_log = logging.getLogger(__name__)


class Runtime(Enum):
    """Library that computes a network."""

    AUTO = "auto"
    """OpenVINO on a processor, torch on a GPU or where OpenVINO is absent."""
    OPENVINO = "openvino"
    TORCH = "torch"


class Precision(Enum):
    """Numbers a network is computed in; sums and results are float32 either way."""

    AUTO = "auto"
    """bfloat16 where the machine computes in it, else float32."""
    FP32 = "fp32"


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """A runtime, a device and a precision.

    Attributes:
        device: Name of the device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        bf16: True computes in bfloat16; accumulated and returned in float32.
        runtime: Library that computes: OpenVINO (on ``cpu`` alone) or torch.
    """

    device: str
    bf16: bool
    runtime: Runtime = Runtime.TORCH
    # None stands for a network that OpenVINO does not take.
    _compiled: MutableMapping[nn.Module, dict[tuple[int, ...], OpenVinoNetwork | None]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    @classmethod
    def choose(
        cls, device: str = "auto", runtime: Runtime = Runtime.AUTO, precision: Precision = Precision.AUTO
    ) -> Engine:
        """The fastest engine this machine has, or the one named; bfloat16 only where the machine computes in it.

        Raises:
            UsageError: ``BAD_ENGINE``: OpenVINO is asked for and absent, or asked for on a GPU.
        """
        if device == "auto":
            device = "cpu" if runtime is Runtime.OPENVINO or not torch.cuda.is_available() else "cuda"
        runtime = _resolve(runtime, device)
        return cls(device, precision is Precision.AUTO and _computes_bf16(device), runtime)

    @property
    def name(self) -> str:
        """Device, precision and runtime, for the record."""
        return f"{self.device}{' bfloat16' if self.bf16 else ''} ({self.runtime.value})"

    def batch(self, voxels: int) -> int:
        """Number of samples of this many voxels that are computed together.

        On a processor each for itself is as fast and takes less memory; on a GPU small ones leave it idle.
        """
        # About four million voxels at a time; at most sixteen samples, which bounds the memory of small ones.
        return max(1, min(16, 2**22 // voxels)) if self.device.startswith("cuda") else 1

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions it needs beside torch, whose versions belong into the record."""
        return ("openvino",) if self.runtime is Runtime.OPENVINO else ()

    def __reduce__(self) -> tuple[Any, ...]:
        # What was compiled stays in its process.
        return Engine, (self.device, self.bf16, self.runtime)

    def run(self, network: nn.Module, batch: Float32[torch.Tensor, "n c z y x"]) -> Float32[torch.Tensor, "n k z y x"]:
        """Logits of ``batch``, float32 on the processor.

        The weights of a network in evaluation mode are taken to be final; one in training mode runs in torch.
        """
        compiled = self._ready(network, batch) if self.runtime is Runtime.OPENVINO and not network.training else None
        if compiled is not None:
            return compiled(batch)
        kind = self.device.split(":", maxsplit=1)[0]
        with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=self.bf16):
            logits = network(batch.to(self.device))
        return logits.float().cpu()

    def release_memory(self, network: nn.Module) -> None:
        """Give back the memory that passes of ``network`` need; it stays ready to run."""
        for compiled in self._compiled.get(network, {}).values():
            if compiled is not None:
                compiled.release_memory()

    def _ready(self, network: nn.Module, batch: Float32[torch.Tensor, "n c z y x"]) -> OpenVinoNetwork | None:
        from livercascade.segment.openvino_network import compile_network

        shapes = self._compiled.setdefault(network, {})
        shape = tuple(batch.shape[1:])
        if shape not in shapes:
            try:
                shapes[shape] = compile_network(network, shape, bf16=self.bf16, threads=torch.get_num_threads())
            # OpenVINO and torch's tracer raise errors of many kinds for a network they do not take.
            except Exception as error:
                _log.warning("OpenVINO does not take %s, torch runs it: %s", type(network).__name__, error)
                shapes[shape] = None
        return shapes[shape]


def _resolve(runtime: Runtime, device: str) -> Runtime:
    there = find_spec("openvino") is not None
    if runtime is Runtime.AUTO:
        return Runtime.OPENVINO if there and device == "cpu" else Runtime.TORCH
    if runtime is Runtime.OPENVINO and device != "cpu":
        raise UsageError("BAD_ENGINE", f"OpenVINO runs on the processor, not on {device}.", "Use --engine torch.")
    if runtime is Runtime.OPENVINO and not there:
        raise UsageError("BAD_ENGINE", "OpenVINO is not installed.", "Install openvino or use --engine torch.")
    return runtime


def _computes_bf16(device: str) -> bool:
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(device == "cpu" and probe is not None and probe())
