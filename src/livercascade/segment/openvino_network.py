"""A torch network compiled by OpenVINO for one input size, and the folder where compiled networks are kept.

OpenVINO's own ``convert_model`` is not used: it reports to a telemetry server, which software for hospitals must not.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import platform
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from livercascade.data.errors import OutputError
from livercascade.system.files import write_file

if TYPE_CHECKING:
    import openvino

KEPT_BYTES = 1_000_000_000
"""Size of the folder beyond which the files that were not used for longest are removed."""
_SUFFIX = ".openvino"
_DIGEST = hashlib.sha256().digest_size
_KNOWN = ("torch", "dynamic_network_architectures")
"""Packages whose versions say, with ``repr`` and weights, what a network computes."""

_log = logging.getLogger(__name__)


@final
class OpenVinoNetwork:
    """A compiled network for batches whose samples all have one shape.

    Samples go through one at a time: on a processor a batch is no faster and takes more memory.
    """

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self._compiled = compiled
        self._request: openvino.InferRequest | None = None

    def __call__(self, batch: Float32[torch.Tensor, "n c z y x"]) -> Float32[torch.Tensor, "n k z y x"]:
        """Logits of a batch of any length."""
        samples = np.ascontiguousarray(batch.numpy())
        request = self._request = self._request or self._compiled.create_infer_request()
        parts = [request.infer({0: one[None]}, share_inputs=True)[0] for one in samples]
        return torch.from_numpy(np.concatenate(parts) if len(parts) != 1 else parts[0])

    def release_memory(self) -> None:
        """Give back the memory of a pass beside the weights; the next pass takes it again."""
        self._request = None
        self._compiled.release_memory()


def compile_network(
    network: nn.Module, shape: tuple[int, ...], *, bf16: bool, threads: int, files: CompiledNetworkCache | None = None
) -> OpenVinoNetwork:
    """Compiled network for samples of ``shape``, from the user's cache folder if it was compiled before.

    Args:
        network: Network in evaluation mode, on the processor; float32 ``[1, *shape]`` to logits.
        shape: Channels and voxels of a sample.
        bf16: True computes in bfloat16.
        threads: Threads of one forward pass.
        files: Cache of compiled networks; that of the user by default.

    Raises:
        Exception: OpenVINO or torch's tracer does not take the network.
    """
    core = _core()
    config = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Several processes would pin themselves to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    files = CompiledNetworkCache.of_user() if files is None else files
    key = _key(core, network, shape, bf16=bf16)
    kept = None if key is None else files.read(key)
    if kept is not None:
        try:
            return OpenVinoNetwork(core.import_model(io.BytesIO(kept), "CPU", config))
        except RuntimeError as error:
            _log.info("a compiled network in %s cannot be used and is made anew: %s", files.folder, error)
    compiled = core.compile_model(_convert(network, shape), "CPU", config)
    if key is not None:
        files.write(key, compiled.export_model().getvalue())
    return OpenVinoNetwork(compiled)


@dataclass(frozen=True, slots=True)
class CompiledNetworkCache:
    """A folder of compiled networks by key; if it cannot be used, networks are compiled anew.

    Attributes:
        folder: Folder of the files; it may be absent or closed to writing.
        limit: Largest number of bytes kept.
    """

    folder: Path
    limit: int = KEPT_BYTES

    @classmethod
    def of_user(cls) -> CompiledNetworkCache:
        """Cache in the user's cache folder, where the system wants it."""
        return cls(_user_cache() / "livercascade" / "compiled")

    def read(self, key: str) -> bytes | None:
        """Content of a file, or None if it is absent or damaged."""
        path = self._path(key)
        try:
            stored = path.read_bytes()
            path.touch()
        except OSError:
            return None
        digest, content = stored[:_DIGEST], stored[_DIGEST:]
        return content if hashlib.sha256(content).digest() == digest else None

    def write(self, key: str, content: bytes) -> None:
        """Keep ``content``; several processes may do so at once. That it cannot be written is only logged."""
        try:
            # Networks of a hospital's own are nobody else's business on a shared machine.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._path(key), hashlib.sha256(content).digest() + content)
            self._prune()
        except (OSError, OutputError) as error:
            _log.info("compiled networks are not kept in %s: %s", self.folder, error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _prune(self) -> None:
        files = [(path.stat(), path) for path in self.folder.glob(f"*{_SUFFIX}")]
        files.sort(key=lambda item: item[0].st_mtime, reverse=True)
        total = 0
        for number, (stat, path) in enumerate(files):
            total += stat.st_size
            # The newest stays, however large.
            if number and total > self.limit:
                path.unlink(missing_ok=True)


@cache
def _core() -> openvino.Core:
    """The one ``Core`` of the process, which lives as long as it.

    Every one of them gives the thread a stack for signal handlers of its own and, at its end, puts back the one it
    had found. Two that do not end in the opposite order of their beginnings leave a stack that was freed, and the next
    signal that Python handles (Ctrl-C, SIGTERM) ends the process with a segmentation fault.
    """
    import openvino

    return openvino.Core()


def _convert(network: nn.Module, shape: tuple[int, ...]) -> openvino.Model:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros((1, *shape))
    with warnings.catch_warnings(), torch.inference_mode():
        # torch.jit warns that it is deprecated, and of shapes that become constants, as they should.
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(network, example_input=example)
        frontend: Any = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape({0: [1, *shape]})
    return model


def _key(core: openvino.Core, network: nn.Module, shape: tuple[int, ...], *, bf16: bool) -> str | None:
    """Hash of all that decides what is compiled; None for a network whose code may change without a new version."""
    if any(type(part).__module__.split(".")[0] not in _KNOWN for part in network.modules()):
        return None
    digest = hashlib.sha256()
    versions = [version(name) for name in (*_KNOWN, "openvino")]
    processor = [core.get_property("CPU", p) for p in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    digest.update(repr((versions, platform.machine(), processor, shape, bf16, repr(network))).encode())
    for name, value in sorted({**dict(network.named_parameters()), **dict(network.named_buffers())}.items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
