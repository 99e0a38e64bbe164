"""Hard cases are taken only from networks that did not see the case, and the record shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import InputError, UsageError
from livercascade.data.labels import NUM_CLASSES, label_name
from livercascade.segment.model_card import ModelKind
from livercascade.segment.network_folder import build_network, load_model_card, save_model
from livercascade.testing.nifti_cases import write_training_case
from livercascade.testing.tiny_networks import tiny_card
from livercascade.train.network_trainer import CheckpointChoice
from livercascade.train.out_of_fold import (
    OutOfFoldSettings,
    check_hard_cases,
    jobs_of_model,
    jobs_of_run,
    predict_jobs,
    read_record,
)
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import read_oriented
from livercascade.train.training_request import TrainRequest, write_request
from livercascade.train.training_settings import WholeSettings

NAMES = ("a", "b", "c")
CLASSES = tuple(label_name(i) for i in range(NUM_CLASSES))


def write_fold(folder: RunFolder, data: Path, fold: int, held_out: str) -> None:
    """A fold as a training leaves it behind."""
    torch.manual_seed(fold)
    card = tiny_card(classes=CLASSES)
    write_request(folder, TrainRequest(kind=ModelKind.WHOLE, data=data, settings=WholeSettings(fold=fold)))
    folder.card.write_text(card.model_dump_json())
    train = [name for name in NAMES if name != held_out]
    folder.split.write_text(json.dumps({"train": train, "validation": [held_out]}))
    average = dict(build_network(card).named_parameters())
    # Most voxels become liver, so that something is left when strays are gone.
    average["decoder.seg_layers.0.bias"].data[7] += 5.0
    torch.save({"step": 1, "average": {k: v.detach() for k, v in average.items()}}, folder.checkpoint)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    home = tmp_path_factory.mktemp("run")
    for seed, name in enumerate(NAMES):
        write_training_case(home / "data" / name, (6, 32, 32), seed, phases="nc vp")
    folder = RunFolder(home / "whole")
    request = TrainRequest(kind=ModelKind.WHOLE, data=home / "data", settings=WholeSettings(), folds=(0, 1))
    write_request(folder, request)
    for fold, name in ((0, "a"), (1, "c")):
        write_fold(folder.fold(fold), home / "data", fold, name)
    yield folder


def test_each_case_is_predicted_by_the_network_that_held_it_out(run: RunFolder) -> None:
    jobs = jobs_of_run(run, CheckpointChoice.BEST)
    assert [job.case.name for job in jobs] == ["a", "c"]
    for job, fold in zip(jobs, (0, 1), strict=True):
        assert job.sha256 == load_model_card(run.fold(fold).model).sha256
        assert job.network.fold == fold and job.case.name not in job.network.trained_on
    waiting, done = predict_jobs(jobs, run.out_of_fold, OutOfFoldSettings(), workers=1)
    assert (waiting, sorted(done)) == (2, ["a", "c"])
    labels, _ = read_oriented(run.out_of_fold / "a.nii.gz")
    truth, _ = read_oriented(jobs[0].case.labels)
    assert labels.shape == truth.shape and (labels == 7).any()
    check_hard_cases(run.out_of_fold, NAMES)
    assert predict_jobs(jobs, run.out_of_fold, OutOfFoldSettings(), workers=1)[0] == 0
    assert predict_jobs(jobs, run.out_of_fold, OutOfFoldSettings(factor=2.0), workers=1)[0] == 2


def test_only_what_a_killed_run_left_undone_is_done_again(run: RunFolder, tmp_path: Path) -> None:
    jobs = jobs_of_run(run, CheckpointChoice.BEST)
    _, done = predict_jobs(jobs, tmp_path, OutOfFoldSettings(), workers=1)
    first = next(done)
    done.close()
    assert set(read_record(tmp_path).predictions) == {first}
    waiting, rest = predict_jobs(jobs, tmp_path, OutOfFoldSettings(), workers=1)
    assert waiting == 1 and [first, *rest] == ["a", "c"]


def _drop(record: dict[str, object], folder: Path) -> None:
    (folder / "record.json").unlink()


def _trained_on_it(record: dict[str, object], folder: Path) -> None:
    for maker in record["makers"].values():  # type: ignore[attr-defined]
        maker["trained_on"] = list(NAMES)
    (folder / "record.json").write_text(json.dumps(record))


def _other_file(record: dict[str, object], folder: Path) -> None:
    (folder / "b.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes())


def _changed_file(record: dict[str, object], folder: Path) -> None:
    (folder / "a.nii.gz").write_bytes(b"something else")


@pytest.mark.parametrize("spoil", [_drop, _trained_on_it, _other_file, _changed_file])
def test_whatever_is_not_known_to_be_out_of_fold_is_refused(tmp_path: Path, spoil: object) -> None:
    data, folder = tmp_path / "data", tmp_path / "hard"
    for name in NAMES:
        write_training_case(data / name, (4, 16, 16), 0)
    folder.mkdir()
    (folder / "a.nii.gz").write_bytes(b"a label map")
    import hashlib

    digest = hashlib.sha256(b"a label map").hexdigest()
    record = {
        "makers": {"0": {"fold": 1, "trained_on": ["b", "c"]}},
        "predictions": {"a": {"model_sha256": "0", "sha256": digest}},
    }
    (folder / "record.json").write_text(json.dumps(record))
    check_hard_cases(folder, NAMES)
    assert callable(spoil)
    spoil(record, folder)
    with pytest.raises(InputError, match="NOT_OUT_OF_FOLD"):
        check_hard_cases(folder, NAMES)


def test_a_model_from_elsewhere_predicts_every_case_and_is_noted_as_such(run: RunFolder, tmp_path: Path) -> None:
    card = tiny_card(classes=CLASSES)
    save_model(tmp_path / "m", card, build_network(card).state_dict())
    jobs = jobs_of_model(tmp_path / "m", run.root.parent / "data", DatasetNames())
    assert [job.case.name for job in jobs] == list(NAMES)
    assert {job.network.fold for job in jobs} == {None}


def test_a_run_that_held_nothing_out_has_nothing_to_predict(run: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    settings = WholeSettings(fold="all")
    write_request(folder, TrainRequest(kind=ModelKind.WHOLE, data=run.root.parent / "data", settings=settings))
    folder.checkpoint.touch()
    with pytest.raises(UsageError, match="NOTHING_HELD_OUT"):
        jobs_of_run(folder, CheckpointChoice.BEST)
