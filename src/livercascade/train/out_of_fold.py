"""Label maps at f = 4 of every training case by the network that did not see it: hard cases (paper, Sec. III-B).

A lesion that a network was trained on is found too easily, and a false finding it was corrected for does not come
again. So the record beside the label maps says which network made each of them and what that one was trained on, and
the training of UNet^patch takes nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import InputError, UsageError
from livercascade.detect.liver import main_liver, without_strays
from livercascade.segment.card import ModelKind
from livercascade.segment.engine import Engine
from livercascade.segment.ensemble import FOLDS, load_model_card
from livercascade.segment.model import Model
from livercascade.segment.whole import segment
from livercascade.train.best import Weights
from livercascade.train.model_export import export
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase, find_cases, lps, read_scan
from livercascade.train.training_request import TrainRequest, find_training_cases, read_request

RECORD_FILE = "record.json"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class How(_Record):
    """Settings of the prediction.

    Attributes:
        factor: Sensitivity f.
        overlap: Of neighbouring windows.
        device: As `Engine.choose` takes it.
    """

    factor: PositiveFloat = 4.0
    overlap: float = Field(default=0.25, ge=0, lt=1)
    device: str = "auto"


class Maker(_Record):
    """One network.

    Attributes:
        fold: Its fold; None for a network from elsewhere, of which the user says that it saw none of the cases.
        trained_on: Cases it was trained on.
    """

    fold: int | None
    trained_on: tuple[str, ...]


class Prediction(_Record):
    """One label map.

    Attributes:
        model_sha256: Key of its `Maker`.
        sha256: Hash of the file.
    """

    model_sha256: str
    sha256: str


class OutOfFoldRecord(_Record):
    """What made the label maps of a folder.

    Attributes:
        makers: Networks by the hash of their weights.
        predictions: Label maps by case.
    """

    how: How = How()
    makers: dict[str, Maker] = Field(default_factory=dict)
    predictions: dict[str, Prediction] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One case, and the network to predict it with."""

    case: TrainingCase
    model: Path
    sha256: str


def jobs_of_run(folder: RunFolder, weights: Weights) -> tuple[list[Job], dict[str, Maker]]:
    """What to predict with the folds of a run that are there; an ordinary run gives its held-out cases.

    Raises:
        UsageError: No fold has come to an end, or the run held nothing out (``NOTHING_HELD_OUT``).
    """
    request = read_request(folder)
    cases = {case.name: case for case in find_training_cases(request)}
    jobs: list[Job] = []
    makers: dict[str, Maker] = {}
    for one in _folds(folder, request):
        model = export(one, weights)
        sha256, split = load_model_card(model).sha256, _Split.model_validate_json(one.split.read_text())
        makers[sha256] = Maker(fold=_fold_of(one), trained_on=split.train)
        jobs += [Job(cases[name], model, sha256) for name in split.validation if name in cases]
    if not jobs:
        raise UsageError("NOTHING_HELD_OUT", f"{folder.root} held no case out.", "Train with --fold each.")
    return jobs, makers


def jobs_of_model(model: Path, data: Path, names: DatasetNames) -> tuple[list[Job], dict[str, Maker]]:
    """Every case of a data set by one network that saw none of them."""
    sha256 = load_model_card(model).sha256
    return [Job(case, model, sha256) for case in find_cases(data, names)], {sha256: Maker(fold=None, trained_on=())}


def predict_jobs(
    jobs: Sequence[Job], makers: dict[str, Maker], out: Path, how: How, *, workers: int
) -> tuple[int, Generator[str]]:
    """Writes ``<case>.nii.gz`` and the record; what is there from the same networks and settings is kept.

    Returns:
        How many cases are to be done, and their names as they get done.
    """
    out.mkdir(parents=True, exist_ok=True)
    before = _earlier(out, how)
    kept = {job.case.name: before[job.case.name] for job in jobs if _is_kept(job, out, before)}
    waiting = [job for job in jobs if job.case.name not in kept]
    return len(waiting), _run(waiting, OutOfFoldRecord(how=how, makers=makers, predictions=kept), out, workers)


def check_hard_cases(folder: Path, names: Sequence[str]) -> None:
    """Refuses label maps that are not known to be out of fold.

    Args:
        folder: Label maps and their record.
        names: The training cases.

    Raises:
        InputError: There is no record, a label map is not in it or was changed, or its network was trained on the case
            (``NOT_OUT_OF_FOLD``).
    """
    record = read_record(folder)
    for name in names:
        path = folder / f"{name}.nii.gz"
        if not path.is_file():
            continue
        noted = record.predictions.get(name)
        if noted is None or noted.sha256 != _sha256(path):
            raise _refused(f"{path} is not the label map that {RECORD_FILE} describes.")
        if name in record.makers[noted.model_sha256].trained_on:
            raise _refused(f"{path} was predicted by a network trained on it.")


def read_record(folder: Path) -> OutOfFoldRecord:
    """Record of a folder of label maps.

    Raises:
        InputError: There is none, or it cannot be read (``NOT_OUT_OF_FOLD``).
    """
    path = folder / RECORD_FILE
    try:
        return OutOfFoldRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _refused(f"{folder} has no {RECORD_FILE}.") from error
    except ValidationError as error:
        raise _refused(f"{path} cannot be read.") from error


class _Split(_Record):
    train: tuple[str, ...]
    validation: tuple[str, ...]


def _folds(folder: RunFolder, request: TrainRequest) -> list[RunFolder]:
    if not request.folds:
        return [folder] if folder.checkpoint.is_file() and request.settings.fold != "all" else []
    return [one for one in (folder.fold(k) for k in range(FOLDS)) if one.checkpoint.is_file()]


def _fold_of(folder: RunFolder) -> int | None:
    fold = read_request(folder).settings.fold
    return fold if isinstance(fold, int) else None


def _earlier(out: Path, how: How) -> dict[str, Prediction]:
    if not (out / RECORD_FILE).is_file():
        return {}
    record = read_record(out)
    return record.predictions if record.how == how else {}


def _is_kept(job: Job, out: Path, before: dict[str, Prediction]) -> bool:
    noted, path = before.get(job.case.name), out / f"{job.case.name}.nii.gz"
    return noted is not None and noted.model_sha256 == job.sha256 and path.is_file() and _sha256(path) == noted.sha256


def _run(waiting: Sequence[Job], record: OutOfFoldRecord, out: Path, workers: int) -> Generator[str]:
    _write(out, record)
    if not waiting:
        return
    with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_predict, job, out, record.how): job for job in waiting}
        try:
            for done in as_completed(running):
                job, digest = running[done], done.result()
                noted = Prediction(model_sha256=job.sha256, sha256=digest)
                record.predictions[job.case.name] = noted
                _write(out, record)
                yield job.case.name
        finally:
            pool.shutdown(cancel_futures=True)


def _predict(job: Job, out: Path, how: How) -> str:
    """Writes the label map of one case, strays outside the liver removed; returns the hash of the file."""
    torch.set_num_threads(1)
    scan, _ = read_scan(job.case)
    model = Model.load(job.model, ModelKind.WHOLE, Engine.choose(how.device))
    model.require(scan.phases)
    mask = segment(scan, model, overlap=how.overlap).mask(how.factor)
    labels = without_strays(mask, main_liver(mask, scan.grid))
    aside = out / f"{job.case.name}.part.nii.gz"
    like: Any = lps(nib.load(job.case.labels))
    nib.save(nib.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), like.affine), aside)
    return _sha256(aside.replace(out / f"{job.case.name}.nii.gz"))


def _write(out: Path, record: OutOfFoldRecord) -> None:
    aside = out / f"{RECORD_FILE}.part"
    aside.write_text(record.model_dump_json(indent=1) + "\n")
    aside.replace(out / RECORD_FILE)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refused(why: str) -> InputError:
    remedy = (
        "Make them with 'livercascade train out-of-fold', or say --unchecked-hard if you know where they come from."
    )
    return InputError("NOT_OUT_OF_FOLD", why, remedy, stage="train")
