"""Label maps at f = 4 of every training case by the network that did not see it: hard cases (paper, Sec. III-B).

A lesion that a network was trained on is found too easily, and a false finding it was corrected for does not come
again. So the record beside the label maps says which network made each of them and what that one was trained on, and
the training of UNet^patch takes nothing else.
"""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydantic import Field, PositiveFloat, ValidationError

from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import InputError, UsageError
from livercascade.data.record import Record
from livercascade.detect.liver import main_liver, without_strays
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.segment.network_folder import FOLDS, load_model_card
from livercascade.segment.unet_whole import segment
from livercascade.system.files import sha256_of, write_file
from livercascade.system.parallel import as_finished
from livercascade.train.cross_validation import CaseSplit
from livercascade.train.model_export import export_run
from livercascade.train.network_trainer import CheckpointChoice
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase, find_cases, lps, read_scan
from livercascade.train.training_process import one_torch_thread
from livercascade.train.training_request import TrainRequest, find_training_cases, read_request

RECORD_FILE = "record.json"


class OutOfFoldSettings(Record):
    """Settings of the prediction.

    Attributes:
        factor: Sensitivity f.
        overlap: Overlap of neighbouring windows, as a share of their size.
        device: Device as `Engine.choose` takes it.
    """

    factor: PositiveFloat = 4.0
    overlap: float = Field(default=0.25, ge=0, lt=1)
    device: str = "auto"


class OutOfFoldRecord(Record):
    """Origin of the label maps of a folder; its names are those of ``record.json``.

    Attributes:
        how: Settings of the prediction.
        makers: Networks by the hash of their weights.
        predictions: Label maps by case.
    """

    class SourceNetwork(Record):
        """A network that predicted some cases.

        Attributes:
            fold: Its fold; None for a network from elsewhere, of which the user says that it saw none of the cases.
            trained_on: Cases it was trained on.
        """

        fold: int | None
        trained_on: tuple[str, ...]

    class PredictedCase(Record):
        """One label map.

        Attributes:
            model_sha256: Hash of the weights that made it, key of its `SourceNetwork`.
            sha256: Hash of the file.
        """

        model_sha256: str
        sha256: str

    how: OutOfFoldSettings = OutOfFoldSettings()
    makers: dict[str, SourceNetwork] = Field(default_factory=dict)
    predictions: dict[str, PredictedCase] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutOfFoldJob:
    """One case, and the network to predict it with.

    Attributes:
        case: Case to predict.
        model: Model folder of the network.
        sha256: Hash of its weights.
        network: Record of it.
    """

    case: TrainingCase
    model: Path
    sha256: str
    network: OutOfFoldRecord.SourceNetwork


def jobs_of_run(folder: RunFolder, weights: CheckpointChoice) -> list[OutOfFoldJob]:
    """Held-out cases of every fold of a run that has a checkpoint; an ordinary run gives its own.

    Raises:
        UsageError: No fold has come to an end, or the run held nothing out (``NOTHING_HELD_OUT``).
    """
    request = read_request(folder)
    cases = {case.name: case for case in find_training_cases(request)}
    jobs: list[OutOfFoldJob] = []
    for one in _folds(folder, request):
        model, split = export_run(one, weights), CaseSplit.read(one)
        sha256, fold = load_model_card(model).sha256, read_request(one).settings.fold
        network = OutOfFoldRecord.SourceNetwork(fold=fold if isinstance(fold, int) else None, trained_on=split.train)
        jobs += [OutOfFoldJob(cases[name], model, sha256, network) for name in split.validation if name in cases]
    if not jobs:
        raise UsageError("NOTHING_HELD_OUT", f"{folder.root} held no case out.", "Train with --fold each.")
    return jobs


def jobs_of_model(model: Path, data: Path, names: DatasetNames) -> list[OutOfFoldJob]:
    """Every case of a data set by one network that saw none of them."""
    sha256, network = load_model_card(model).sha256, OutOfFoldRecord.SourceNetwork(fold=None, trained_on=())
    return [OutOfFoldJob(case, model, sha256, network) for case in find_cases(data, names)]


def predict_jobs(
    jobs: Sequence[OutOfFoldJob], out: Path, settings: OutOfFoldSettings, *, workers: int
) -> tuple[int, Generator[str]]:
    """Write ``<case>.nii.gz`` and the record; what is there from the same networks and settings is kept.

    Args:
        jobs: Cases and their networks.
        out: Folder for label maps and record.
        settings: Settings of the prediction.
        workers: Number of processes, one thread each.

    Returns:
        Number of cases that are to be done, and their names as they get done.
    """
    before = _earlier(out, settings)
    kept = {job.case.name: before[job.case.name] for job in jobs if _is_kept(job, out, before)}
    waiting = [job for job in jobs if job.case.name not in kept]
    makers = {job.sha256: job.network for job in jobs}
    record = OutOfFoldRecord(how=settings, makers=makers, predictions=kept)
    return len(waiting), _predict_all(waiting, record, out, workers)


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
        if noted is None or noted.sha256 != sha256_of(path):
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


def _folds(folder: RunFolder, request: TrainRequest) -> list[RunFolder]:
    if not request.folds:
        return [folder] if folder.checkpoint.is_file() and request.settings.fold != "all" else []
    return [one for one in (folder.fold(k) for k in range(FOLDS)) if one.checkpoint.is_file()]


def _earlier(out: Path, settings: OutOfFoldSettings) -> dict[str, OutOfFoldRecord.PredictedCase]:
    if not (out / RECORD_FILE).is_file():
        return {}
    record = read_record(out)
    return record.predictions if record.how == settings else {}


def _is_kept(job: OutOfFoldJob, out: Path, before: dict[str, OutOfFoldRecord.PredictedCase]) -> bool:
    noted, path = before.get(job.case.name), out / f"{job.case.name}.nii.gz"
    return noted is not None and noted.model_sha256 == job.sha256 and path.is_file() and sha256_of(path) == noted.sha256


def _predict_all(waiting: Sequence[OutOfFoldJob], record: OutOfFoldRecord, out: Path, workers: int) -> Generator[str]:
    _write(out, record)
    work = partial(_predict, out=out, settings=record.how)
    # Closed at once where the caller stops early: cases that were not begun are left.
    with contextlib.closing(as_finished(work, waiting, workers=workers)) as finished:
        for number, digest in finished:
            job = waiting[number]
            record.predictions[job.case.name] = OutOfFoldRecord.PredictedCase(model_sha256=job.sha256, sha256=digest)
            _write(out, record)
            yield job.case.name


@one_torch_thread()
def _predict(job: OutOfFoldJob, *, out: Path, settings: OutOfFoldSettings) -> str:
    """Write the label map of one case, strays outside the liver removed; returns the hash of the file."""
    scan, _ = read_scan(job.case)
    model = Model.load(job.model, ModelKind.WHOLE, Engine.choose(settings.device))
    model.require(scan.phases)
    mask = segment(scan, model, overlap=settings.overlap).mask(settings.factor)
    labels = without_strays(mask, main_liver(mask, scan.grid))
    like: Any = lps(nib.load(job.case.labels))
    image = nib.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), like.affine)
    path = out / f"{job.case.name}.nii.gz"
    # Level 1, as nibabel has it; without the time of day the same labels give the same file.
    write_file(path, gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
    return sha256_of(path)


def _write(out: Path, record: OutOfFoldRecord) -> None:
    write_file(out / RECORD_FILE, record.model_dump_json(indent=1) + "\n")


def _refused(why: str) -> InputError:
    remedy = (
        "Make them with 'livercascade train out-of-fold', or say --unchecked-hard if you know where they come from."
    )
    return InputError("NOT_OUT_OF_FOLD", why, remedy, stage="train")
