"""Engines: OpenVINO gives what torch gives, compiled networks are kept safely, torch runs what OpenVINO cannot."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from livercascade.data.errors import UsageError
from livercascade.segment import engine as engines
from livercascade.segment import openvino_network
from livercascade.segment.engine import Engine, Precision, Runtime
from livercascade.segment.model_card import NetworkClass
from livercascade.segment.network_folder import build_network
from livercascade.segment.openvino_network import CompiledNetworkCache, compile_network
from livercascade.testing.tiny_networks import tiny_card

TORCH = Engine("cpu", bf16=False)
SHAPE = (8, 4, 16, 16)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CompiledNetworkCache:
    kept = CompiledNetworkCache(tmp_path / "compiled")
    monkeypatch.setattr(CompiledNetworkCache, "of_user", classmethod(lambda cls: kept))
    return kept


def network_of(kind: NetworkClass = NetworkClass.PLAIN, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(tiny_card(kind)).eval()


@pytest.mark.parametrize("kind", list(NetworkClass))
def test_openvino_computes_what_torch_does_for_any_length_of_batch(
    kind: NetworkClass, files: CompiledNetworkCache
) -> None:
    network, engine = network_of(kind), Engine("cpu", bf16=False, runtime=Runtime.OPENVINO)
    for n in (1, 3):
        batch = torch.randn(n, *SHAPE)
        found = engine.run(network, batch)
        torch.testing.assert_close(found, TORCH.run(network, batch), rtol=1e-3, atol=1e-3)
    other = torch.randn(1, 8, 4, 8, 24)
    torch.testing.assert_close(engine.run(network, other), TORCH.run(network, other), rtol=1e-3, atol=1e-3)
    assert len(list(files.folder.iterdir())) == 2


def test_results_do_not_share_memory_with_later_ones(files: CompiledNetworkCache) -> None:
    network, engine = network_of(), Engine("cpu", bf16=False, runtime=Runtime.OPENVINO)
    first = engine.run(network, torch.randn(1, *SHAPE))
    before = first.clone()
    engine.run(network, torch.randn(1, *SHAPE))
    assert torch.equal(first, before)


def test_a_network_that_rested_says_the_same_without_being_compiled_again(
    files: CompiledNetworkCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, engine, batch = network_of(), Engine("cpu", bf16=False, runtime=Runtime.OPENVINO), torch.randn(1, *SHAPE)
    engine.release_memory(network)
    first = engine.run(network, batch)
    monkeypatch.setattr(openvino_network, "compile_network", None)
    for _ in range(2):
        engine.release_memory(network)
    assert torch.equal(engine.run(network, batch), first)
    assert torch.equal(engine.run(network, batch), first)


def test_a_kept_network_is_not_converted_again(files: CompiledNetworkCache, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = torch.randn(1, *SHAPE)
    expected = compile_network(network_of(), SHAPE, bf16=False, threads=1)(batch)

    def refuse(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(openvino_network, "_convert", refuse)
    assert torch.equal(compile_network(network_of(), SHAPE, bf16=False, threads=1)(batch), expected)
    with pytest.raises(AssertionError, match="again"):
        compile_network(network_of(seed=1), SHAPE, bf16=False, threads=1)
    with pytest.raises(AssertionError, match="again"):
        compile_network(network_of(), (8, 4, 8, 8), bf16=False, threads=1)


def test_damage_to_kept_networks_is_noticed(files: CompiledNetworkCache) -> None:
    batch = torch.randn(1, *SHAPE)
    expected = compile_network(network_of(), SHAPE, bf16=False, threads=1)(batch)
    (path,) = files.folder.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:100] + b"?" + whole[101:]):
        path.write_bytes(damaged)
        assert files.read(path.stem) is None
        assert torch.equal(compile_network(network_of(), SHAPE, bf16=False, threads=1)(batch), expected)
        assert path.read_bytes() == whole or files.read(path.stem) is not None
    # Whole, but nothing that OpenVINO wrote.
    files.write(path.stem, b"not a network")
    assert torch.equal(compile_network(network_of(), SHAPE, bf16=False, threads=1)(batch), expected)


def test_a_folder_that_cannot_be_made_costs_time_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("a file")
    files = CompiledNetworkCache(tmp_path / "taken")
    files.write("key", b"content")
    assert files.read("key") is None
    batch = torch.randn(1, *SHAPE)
    found = compile_network(network_of(), SHAPE, bf16=False, threads=1, files=files)(batch)
    torch.testing.assert_close(found, TORCH.run(network_of(), batch), rtol=1e-3, atol=1e-3)


def test_files_unused_for_longest_go_first_and_the_newest_stays(tmp_path: Path) -> None:
    files = CompiledNetworkCache(tmp_path, limit=250)
    for key in ("a", "b"):
        files.write(key, bytes(80))
    os.utime(tmp_path / "b.openvino", (1, 1))
    os.utime(tmp_path / "a.openvino", (2, 2))
    files.write("c", bytes(80))
    assert [files.read(key) is not None for key in "abc"] == [True, False, True]
    files.write("d", bytes(1000))
    assert [files.read(key) is not None for key in "abcd"] == [False, False, False, True]
    assert not list(tmp_path.glob("*.part"))


class Doubling(nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch * 2.0


def test_a_network_of_unknown_code_is_compiled_but_not_kept(files: CompiledNetworkCache) -> None:
    batch = torch.randn(2, *SHAPE)
    engine = Engine("cpu", bf16=False, runtime=Runtime.OPENVINO)
    torch.testing.assert_close(engine.run(Doubling().eval(), batch), batch * 2)
    assert not files.folder.exists()


def test_torch_runs_what_openvino_does_not_take(
    files: CompiledNetworkCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(openvino_network, "_convert", refuse)
    engine, network, batch = Engine("cpu", bf16=False, runtime=Runtime.OPENVINO), network_of(), torch.randn(1, *SHAPE)
    with caplog.at_level(logging.WARNING):
        found = [engine.run(network, batch) for _ in range(2)]
    assert torch.equal(found[0], TORCH.run(network, batch)) and torch.equal(found[0], found[1])
    assert [r.message for r in caplog.records if r.name == engines.__name__] == [
        "OpenVINO does not take PlainConvUNet, torch runs it: no such operator"
    ]


def test_a_network_in_training_follows_its_weights(files: CompiledNetworkCache) -> None:
    engine, network, batch = Engine("cpu", bf16=False, runtime=Runtime.OPENVINO), network_of(), torch.randn(1, *SHAPE)
    network.train()
    before = engine.run(network, batch)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    assert not torch.equal(engine.run(network, batch), before)


def test_the_runtime_is_chosen_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Engine.choose("cpu").runtime is Runtime.OPENVINO
    assert Engine.choose("cpu", Runtime.TORCH).runtime is Runtime.TORCH
    assert Engine.choose("cpu", precision=Precision.FP32).bf16 is False
    assert Engine.choose("cpu", Runtime.OPENVINO, Precision.FP32).name == "cpu (openvino)"
    with pytest.raises(UsageError, match="not on mps"):
        Engine.choose("mps", Runtime.OPENVINO)
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert Engine.choose("cpu").runtime is Runtime.TORCH
    with pytest.raises(UsageError, match="not installed"):
        Engine.choose("cpu", Runtime.OPENVINO)


def test_an_engine_crosses_process_borders(files: CompiledNetworkCache) -> None:
    engine = Engine("cpu", bf16=False, runtime=Runtime.OPENVINO)
    engine.run(network_of(), torch.randn(1, *SHAPE))
    again = pickle.loads(pickle.dumps(engine))
    assert (again.device, again.bf16, again.runtime) == (engine.device, engine.bf16, engine.runtime)


def test_openvino_and_torch_are_not_imported_without_need() -> None:
    code = "import livercascade, sys; print([m for m in ('torch', 'openvino') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"


def test_a_signal_after_networks_were_compiled_and_dropped_reaches_its_handler(tmp_path: Path) -> None:
    """In a process of its own, which OpenVINO ends with a segmentation fault if its cores end in the wrong order."""
    code = f"""
import os, signal, sys
from pathlib import Path
import torch
from test_segment_engine import SHAPE, network_of
from livercascade.segment.openvino_network import CompiledNetworkCache
from livercascade.segment.openvino_network import compile_network
files = CompiledNetworkCache(Path({str(tmp_path)!r}))
kept = [compile_network(network_of(seed=s), SHAPE, bf16=False, threads=1, files=files) for s in range(3)]
while kept:
    kept.pop(0)(torch.zeros(1, *SHAPE))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
os.kill(os.getpid(), signal.SIGTERM)
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    told = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert told.returncode == 7, told.stderr
