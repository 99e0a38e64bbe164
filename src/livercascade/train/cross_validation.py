"""Five folds of the patients, the same for both networks and for every run on the same cases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from livercascade.data.errors import UsageError
from livercascade.segment.ensemble import FOLDS
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase


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
    for patient in sorted(set(patients.values()) - set(fold_of), key=by_hash):
        fold_of[patient] = sizes.index(min(sizes))
        sizes[fold_of[patient]] += 1
    return {case: fold_of[patients[case]] for case in sorted(patients)}


def by_hash(name: str) -> str:
    """Sort key that mixes names without a seed."""
    return hashlib.sha256(name.encode()).hexdigest()


def split_cases(folder: RunFolder, cases: Sequence[TrainingCase], fold: int | str) -> tuple[list[str], list[str]]:
    """Names of training and validation cases of a fold; ``all`` trains and validates on every case.

    The folds are noted in the run when they are first made, and cases added later leave them as they are.

    Raises:
        UsageError: Nothing is left to train on or to validate (``TOO_FEW_PATIENTS``).
    """
    names = sorted(case.name for case in cases)
    if folder.split.is_file() and not folder.folds.is_file():
        # A run of version 0.2 or before goes on with the folds it began with.
        noted = json.loads(folder.split.read_text())
        return [n for n in names if n in noted["train"]], [n for n in names if n in noted["validation"]]
    folds = _noted_folds(folder, cases)
    parts = names, names
    if fold != "all":
        parts = [n for n in names if folds[n] != fold], [n for n in names if folds[n] == fold]
    if not parts[0] or not parts[1]:
        raise UsageError(
            "TOO_FEW_PATIENTS",
            f"Fold {fold} of {len({case.patient for case in cases})} patients leaves nothing to train or validate.",
            "Use --fold 0 with two patients or more, five or more for all folds, or --fold all.",
        )
    folder.split.write_text(json.dumps({"train": parts[0], "validation": parts[1]}, indent=1))
    return parts


def _noted_folds(folder: RunFolder, cases: Sequence[TrainingCase]) -> dict[str, int]:
    known = json.loads(folder.folds.read_text()) if folder.folds.is_file() else {}
    folds = assign_folds({case.name: case.patient for case in cases}, known)
    # Cases that are away for once keep their fold.
    if folds | known != known or not known:
        folder.folds.write_text(json.dumps(known | folds, indent=1))
    return folds
