"""Five folds of the patients, the same for both networks and for every run on the same cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from livercascade.data.errors import UsageError
from livercascade.data.record import Record
from livercascade.segment.network_folder import FOLDS
from livercascade.system.files import sha256_text, write_file
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase


class CaseSplit(Record):
    """Names of the cases a network is trained on and validated on, as ``split.json`` of a run notes them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]

    @classmethod
    def read(cls, folder: RunFolder) -> CaseSplit:
        """Split noted in a run."""
        return cls.model_validate_json(folder.split.read_text())


def assign_folds(
    patients: Mapping[str, str], known: Mapping[str, int] | None = None, *, count: int = FOLDS
) -> dict[str, int]:
    """Fold of every case, counted from 0; all cases of a patient share one.

    Patients are dealt out in the order of the SHA-256 of their names, so the folds hang on nothing but the names,
    and differ by one patient at most.

    Args:
        patients: Patient of each case.
        known: Earlier folds of cases, which stay; patients that are new go where there are fewest.
        count: Number of folds.

    >>> assign_folds({"a1": "a", "a2": "a", "b": "b"})
    {'a1': 1, 'a2': 1, 'b': 0}
    """
    fold_of = {patients[case]: fold for case, fold in (known or {}).items() if case in patients}
    sizes = [list(fold_of.values()).count(fold) for fold in range(count)]
    # The hash mixes the names without a seed: neighbours in an alphabetical list, often of one source, are parted.
    for patient in sorted(set(patients.values()) - set(fold_of), key=sha256_text):
        fold_of[patient] = sizes.index(min(sizes))
        sizes[fold_of[patient]] += 1
    return {case: fold_of[patients[case]] for case in sorted(patients)}


def split_cases(folder: RunFolder, cases: Sequence[TrainingCase], fold: int | str) -> CaseSplit:
    """Training and validation cases of a fold, sorted by name; ``all`` trains and validates on every case.

    The folds are noted in the run when they are first made, and cases added later leave them as they are.

    Raises:
        UsageError: Nothing is left to train on or to validate (``TOO_FEW_PATIENTS``).
    """
    names = sorted(case.name for case in cases)
    if folder.split.is_file() and not folder.folds.is_file():
        # A run of version 0.2 or before goes on with the folds it began with.
        noted = CaseSplit.read(folder)
        return CaseSplit(
            train=tuple(name for name in names if name in noted.train),
            validation=tuple(name for name in names if name in noted.validation),
        )
    folds = _noted_folds(folder, cases)
    split = CaseSplit(
        train=tuple(name for name in names if fold == "all" or folds[name] != fold),
        validation=tuple(name for name in names if fold in ("all", folds[name])),
    )
    if not split.train or not split.validation:
        raise UsageError(
            "TOO_FEW_PATIENTS",
            f"Fold {fold} of {len({case.patient for case in cases})} patients leaves nothing to train or validate.",
            "Use --fold 0 with two patients or more, five or more for all folds, or --fold all.",
        )
    write_file(folder.split, split.model_dump_json(indent=1))
    return split


def _noted_folds(folder: RunFolder, cases: Sequence[TrainingCase]) -> dict[str, int]:
    known = json.loads(folder.folds.read_text()) if folder.folds.is_file() else {}
    folds = assign_folds({case.name: case.patient for case in cases}, known)
    # Cases that are away for once keep their fold.
    if folds | known != known or not known:
        write_file(folder.folds, json.dumps(known | folds, indent=1))
    return folds
