"""What the machine allows at best: multiplications at its measured matrix rate, bytes at its measured bandwidth.

Of every convolution the larger of both times counts, added up over the layers (a roofline). A convolution reads its
input and its weights once and writes its output once; normalisation, activation and skip connections cost nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from livercascade.data.labels import NUM_CLASSES
from livercascade.models.bundled import bundled
from livercascade.segment.engine import Engine
from livercascade.segment.network_folder import load_card, load_network
from livercascade.segment.openvino_network import compile_network

SIDE, MEGABYTES, TRIES = 2048, 512, 5


@dataclass(frozen=True)
class Layer:
    """One convolution on one sample: multiply-adds, and numbers read and written."""

    multiply_adds: int
    numbers: int


def measure() -> dict[str, Any]:
    """Rates of the machine, and what one forward pass of each network costs at them.

    Rates are per second of processor time, so that other work on the machine counts little.
    """
    rates = {"fp32": matrix_rate(bf16=False)}
    if Engine.choose("cpu").bf16:
        rates["bf16"] = matrix_rate(bf16=True)
    width = bandwidth()
    networks = {kind: layers_of(kind) for kind in ("whole", "patch")}
    return {
        "gflops": {name: rate / 1e9 for name, rate in rates.items()},
        "gb_per_s": width / 1e9,
        "networks": {
            kind: {
                "gflop": sum(2 * layer.multiply_adds for layer in layers) / 1e9,
                "mb_fp32": sum(4 * layer.numbers for layer in layers) / 1e6,
                **{name: roofline(layers, rate, width, 4 if name == "fp32" else 2) for name, rate in rates.items()},
            }
            for kind, layers in networks.items()
        },
    }


def matrix_rate(*, bf16: bool) -> float:
    """Floating-point operations a second of the best of several products of square matrices, in torch or OpenVINO."""
    with torch.inference_mode():
        one, layer = torch.randn(1, SIDE, SIDE), nn.Linear(SIDE, SIDE, bias=False).eval()
        compiled = compile_network(layer, (SIDE, SIDE), bf16=bf16, threads=torch.get_num_threads())
        kind = torch.bfloat16 if bf16 else torch.float32
        left, right = one[0].to(kind), layer.weight.to(kind)
        return 2 * SIDE**3 / min(_best(lambda: left @ right), _best(lambda: compiled(one)))


def bandwidth() -> float:
    """Bytes read and written a second by the best of several copies that no cache holds."""
    source = np.ones(MEGABYTES * 2**20 // 8)
    target = np.empty_like(source)
    return 2 * source.nbytes / _best(lambda: np.copyto(target, source))


def _best(work: Any) -> float:
    seconds: list[float] = []
    for _ in range(TRIES):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def roofline(layers: list[Layer], flops: float, width: float, size: int) -> float:
    """Seconds of one forward pass at best."""
    return sum(max(2 * layer.multiply_adds / flops, size * layer.numbers / width) for layer in layers)


def layers_of(kind: str) -> list[Layer]:
    """Convolutions of a bundled network on one window."""
    card, network = load_card(bundled(kind)), load_network(bundled(kind))
    layers: list[Layer] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        weight = module.weight
        # Transposed or not, every weight meets every voxel of the smaller side (stride = kernel) or of the output.
        voxels = inputs[0][0, 0].numel() if isinstance(module, nn.ConvTranspose3d) else output[0, 0].numel()
        layers.append(Layer(weight.numel() * voxels, inputs[0].numel() + output.numel() + weight.numel()))

    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        network(torch.zeros(1, card.input_channels, *card.patch_size))
    return layers


def ends_bytes(shape: list[int], spacing: list[float], windows: int) -> int:
    """Bytes that the way round the networks cannot avoid.

    Phases read (int16), the network's image written, each window read and its logits added to the running sum (read,
    read, written), the sum read, and the sensitivity map written (two labels and a margin).
    """
    card = load_card(bundled("whole"))
    voxels = int(np.prod(shape))
    coarse = int(np.prod([round(n * s / w) for n, s, w in zip(shape, spacing, card.spacing_mm, strict=True)]))
    window = int(np.prod(card.patch_size))
    image = 2 * len(card.phases) * voxels + 4 * card.input_channels * coarse
    sums = windows * 4 * window * (card.input_channels + 3 * NUM_CLASSES)
    return image + sums + 4 * NUM_CLASSES * coarse + 6 * voxels
