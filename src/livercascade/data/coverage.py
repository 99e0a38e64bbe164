"""What a label map says of a case that is labelled in part: sets of classes that a voxel may belong to.

A data set may hold livers without vessels, lesions without types, or parts that nobody could judge. `Coverage` says
which classes were drawn; with it every stored value stands for one class, or for a **set** of classes of which the
true one is not known. A set is kept in a label map as one whole number (`label_of`), so that everything that moves,
crops or resamples label maps by nearest neighbour serves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Integer, UInt8
from pydantic import Field, ValidationError, field_validator

from livercascade.data.errors import InputError
from livercascade.data.labels import (
    BACKGROUND,
    FIRST_LESION,
    LAST_LESION,
    NUM_CLASSES,
    ORGANS,
    Organ,
    label_name,
)
from livercascade.data.record import Record

UNKNOWN_LESION = 14
"""Value in a stored label map: a lesion of unknown type."""
IGNORED = 255
"""Value in a stored label map: nothing is said of the voxel (nnU-Net's "ignore")."""
COVERAGE_FILE = "coverage.json"

LESION_CLASSES = frozenset(range(FIRST_LESION, LAST_LESION + 1))
LIVER_CLASSES = LESION_CLASSES | {int(Organ.LIVER), int(Organ.HEPATIC_VESSELS)}
"""The liver with all that lies in it."""
ALL_CLASSES = frozenset(range(NUM_CLASSES))

_FIRST_SET = 256
"""Sets of classes are this plus one bit per class: below all values of 16 bits, above all labels."""
_ALL_LESIONS = "lesions"
# Where a class is hidden when nobody drew it. Vessels and lesions are parts of the liver to those who draw livers
# alone, and the portal vein runs on into it; without a liver all of it is background.
_HIDDEN_IN_LIVER = LIVER_CLASSES - {int(Organ.LIVER)} | {int(Organ.PORTAL_SPLENIC_VEIN)}


class ClassCoverage(StrEnum):
    """What is known of one class in one case."""

    LABELLED = "labelled"
    """Drawn wherever it is."""
    UNLABELLED = "unlabelled"
    """Not drawn; it may be there."""
    ABSENT = "absent"
    """Not there, as a gallbladder after surgery or lesions in a healthy liver."""


class Coverage(Record):
    """What the label map of a case says, and what it leaves open (``coverage.json`` beside it).

    Attributes:
        classes: Coverage by class name; ``lesions`` stands for all six types. A class that is not named is labelled.

    >>> Coverage(classes={"hepatic vessels": "unlabelled", "lesions": "absent"}).label_of(7) == label_of({7, 8})
    True
    """

    schema_version: Literal["1.0"] = "1.0"
    classes: Mapping[str, ClassCoverage] = Field(default_factory=dict[str, ClassCoverage])

    @field_validator("classes")
    @classmethod
    def _known(cls, given: Mapping[str, ClassCoverage]) -> Mapping[str, ClassCoverage]:
        names = {label_name(value) for value in range(1, NUM_CLASSES)} | {_ALL_LESIONS}
        odd = sorted(set(given) - names)
        if odd:
            raise ValueError(f"{odd[0]!r} is not one of {', '.join(sorted(names))}")
        return given

    def of(self, label: int) -> ClassCoverage:
        """Coverage of a class 1-13."""
        whole = self.classes.get(_ALL_LESIONS, ClassCoverage.LABELLED) if label in LESION_CLASSES else None
        return self.classes.get(label_name(label), whole or ClassCoverage.LABELLED)

    @property
    def complete(self) -> bool:
        """True if every class is labelled or absent."""
        return ClassCoverage.UNLABELLED not in {self.of(label) for label in range(1, NUM_CLASSES)}

    def label_of(self, stored: int) -> int:
        """Class, or number of a set (`label_of`), that a stored value 0-14 or 255 stands for.

        Raises:
            ValueError: The value has no meaning, or is a class that is said to be absent.
        """
        if stored == IGNORED:
            return label_of(ALL_CLASSES)
        if stored == UNKNOWN_LESION:
            return label_of(self._possible(LESION_CLASSES))
        if not 0 <= stored < NUM_CLASSES:
            raise ValueError(f"{stored} is not a label")
        if stored != BACKGROUND and self.of(stored) is ClassCoverage.ABSENT:
            raise ValueError(f"{label_name(stored)} is said to be absent")
        hidden = {label for label in range(1, NUM_CLASSES) if self.of(label) is ClassCoverage.UNLABELLED}
        liver = int(Organ.LIVER)
        if stored == liver:
            return label_of({liver} | (hidden & _HIDDEN_IN_LIVER))
        if stored == BACKGROUND:
            inside = set[int]() if liver in hidden else hidden & (LIVER_CLASSES - {liver})
            return label_of({BACKGROUND} | (hidden - inside))
        return stored

    def _possible(self, classes: Iterable[int]) -> set[int]:
        left = {label for label in classes if self.of(label) is not ClassCoverage.ABSENT}
        if not left:
            raise ValueError("it holds a lesion, and every type is said to be absent")
        return left


COMPLETE = Coverage()
"""Every class was drawn wherever it is."""


def read_coverage(path: Path) -> Coverage:
    """Coverage of a case; complete where there is no such file.

    Raises:
        InputError: The file cannot be used (``BAD_COVERAGE``).
    """
    if not path.is_file():
        return COMPLETE
    try:
        return Coverage.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            "BAD_COVERAGE",
            f"{path} cannot be used: {first['msg']}.",
            'Write {"classes": {"spleen": "unlabelled"}}; docs/training.md names the classes.',
        ) from error


def label_of(classes: Iterable[int]) -> int:
    """Whole number that stands for a set of classes 0-13 in a label map: the class itself if it is one.

    >>> label_of([7]), label_of([1, 2]), classes_of(label_of([1, 2]))
    (7, 262, frozenset({1, 2}))
    """
    members = sorted(set(classes))
    if not members or members[0] < 0 or members[-1] >= NUM_CLASSES:
        raise ValueError(f"{members} is no set of classes")
    return members[0] if len(members) == 1 else _FIRST_SET + sum(1 << label for label in members)


def classes_of(label: int) -> frozenset[int]:
    """Classes 0-13 that a voxel of this label may belong to.

    Raises:
        ValueError: ``label`` is neither a class nor a set of classes.
    """
    if 0 <= label < NUM_CLASSES:
        return frozenset({label})
    bits = label - _FIRST_SET
    if not 0 < bits < 1 << NUM_CLASSES:
        raise ValueError(f"{label} is neither a class nor a set of classes")
    return frozenset(value for value in range(NUM_CLASSES) if bits >> value & 1)


def surely(labels: Integer[np.ndarray, "*shape"], classes: Iterable[int]) -> Bool[np.ndarray, "*shape"]:
    """True where the label, or every class of its set, is one of ``classes``."""
    group = frozenset(classes)
    return _lookup(labels, {value: classes_of(value) <= group for value in _values(labels)}).astype(bool)


def ignored(labels: Integer[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """True where nothing is said of a voxel."""
    return labels == label_of(ALL_CLASSES)


def resolved(labels: Integer[np.ndarray, "*shape"], *, unknown_lesion: int = BACKGROUND) -> UInt8[np.ndarray, "*shape"]:
    """Label map 0-13 for uses that cannot leave anything open.

    A set becomes its most common member: background where it may be that, else the liver or another organ.

    Args:
        labels: Labels and sets.
        unknown_lesion: Label for lesions of unknown type; without it they are no lesions of any type.
    """

    def one(value: int) -> int:
        members = classes_of(value)
        if len(members) == 1:
            return value
        if members <= LESION_CLASSES:
            return unknown_lesion
        return BACKGROUND if BACKGROUND in members else min(members & set(map(int, ORGANS)))

    return _lookup(labels, {value: one(value) for value in _values(labels)}).astype(np.uint8)


def _values(labels: Integer[np.ndarray, "*shape"]) -> list[int]:
    # bincount is many times faster than unique on the few values of a label map.
    return np.flatnonzero(np.bincount(labels.reshape(-1))).tolist()


def _lookup(labels: Integer[np.ndarray, "*shape"], meaning: Mapping[int, int]) -> np.ndarray:
    table = np.zeros(max(meaning, default=0) + 1, dtype=np.uint8)
    table[list(meaning)] = list(meaning.values())
    return table[labels]
