"""The command over folds: order, a stop, going on, and errors, with a stand-in for the training process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from livercascade.cli import train as command
from livercascade.segment.network_folder import build_network, load_model_card
from livercascade.testing.nifti_cases import write_training_case
from livercascade.testing.tiny_networks import tiny_card
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_process import STOPPED
from livercascade.train.training_request import TrainRequest, note_finished, read_request


class Trainer:
    """Stands in for the process of one fold; remembers the requests it was given."""

    def __init__(self, codes: dict[int, int] | None = None) -> None:
        self.codes = codes or {}
        self.asked: list[TrainRequest] = []

    def __call__(self, arguments: Sequence[str], environment: dict[str, str]) -> int:
        root = Path(arguments[-2] if arguments[-1] == "--quiet" else arguments[-1])
        request = read_request(RunFolder(root))
        folder = RunFolder(root, request.prepared)
        self.asked.append(request)
        code = self.codes.get(int(request.settings.fold), 0)
        if code == 0:
            self._train(folder, request)
        assert environment["nnUNet_raw"] == str(folder.nnunet.resolve() / "raw")
        return code

    def _train(self, folder: RunFolder, request: TrainRequest) -> None:
        network = build_network(tiny_card())
        folder.card.write_text(tiny_card().model_dump_json())
        folder.split.write_text('{"train": ["a"], "validation": ["b"]}')
        average = {name: value.detach() for name, value in network.named_parameters()}
        torch.save({"step": 3, "average": average}, folder.checkpoint)
        note_finished(folder, request)

    @property
    def folds(self) -> list[int | str]:
        return [request.settings.fold for request in self.asked]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(5):
        write_training_case(tmp_path / "data" / f"c{number}", (4, 16, 16), number)
    return tmp_path / "data"


def run(monkeypatch: pytest.MonkeyPatch, trainer: Trainer, *arguments: str | Path) -> int:
    monkeypatch.setattr(command, "run_process", trainer)
    result = CliRunner().invoke(command.app, ["whole", "--quiet", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code


def test_each_fold_is_a_run_inside_the_run_and_the_model_their_ensemble(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, out = Trainer(), tmp_path / "run"
    assert run(monkeypatch, trainer, "--data", data, "--out", out, "--fold", "each") == 0
    assert trainer.folds == [0, 1, 2, 3, 4]
    assert {request.prepared for request in trainer.asked} == {out}
    assert load_model_card(out / "model").name == "tiny, ensemble of 5"
    assert read_request(RunFolder(out)).folds == (0, 1, 2, 3, 4)


def test_a_stop_ends_the_command_and_the_next_call_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("--data", data, "--out", tmp_path / "run", "--fold", "0,2,3")
    first = Trainer({2: STOPPED})
    assert run(monkeypatch, first, *call) == STOPPED and first.folds == [0, 2]
    second = Trainer()
    assert run(monkeypatch, second, *call) == 0 and second.folds == [2, 3]
    longer = Trainer()
    assert run(monkeypatch, longer, *call, "--steps", "99") == 0 and longer.folds == [0, 2, 3]


def test_a_fold_that_fails_is_a_failure(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer({0: -9})
    assert run(monkeypatch, trainer, "--data", data, "--out", tmp_path / "run", "--fold", "each") == 1
    assert trainer.folds == [0]


def test_folds_start_from_their_own_member_of_an_ensemble(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, Trainer(), "--data", data, "--out", tmp_path / "one", "--fold", "0,4") == 0
    trainer, start = Trainer(), tmp_path / "one" / "model"
    call = ("--data", data, "--out", tmp_path / "two", "--fold", "0,4", "--start-from", start)
    assert run(monkeypatch, trainer, *call) == 0
    assert [request.start_from for request in trainer.asked] == [start / "fold_0", start / "fold_4"]


def test_a_run_over_folds_and_an_ordinary_one_do_not_mix(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("--data", data, "--out", tmp_path / "run")
    assert run(monkeypatch, Trainer(), *call, "--fold", "each") == 0
    assert run(monkeypatch, Trainer(), *call, "--fold", "0") == 2
    assert run(monkeypatch, Trainer(), *call, "--export-only", "--export", "newest") == 0
