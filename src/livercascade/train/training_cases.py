"""Training cases: ``DIR/<case>/{nc,ap,vp,dp}.nii.gz`` and ``labels.nii.gz`` on one grid, or an nnU-Net data set.

Both trainings read their cases here and nowhere else: whatever a label map and its ``coverage.json`` say of a case, and
leave open, is understood in `decode_labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Int16, Integer, UInt8
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from livercascade.data.coverage import (
    COMPLETE,
    COVERAGE_FILE,
    IGNORED,
    LESION_CLASSES,
    UNKNOWN_LESION,
    ClassCoverage,
    Coverage,
    read_coverage,
    resolved,
)
from livercascade.data.dataset_names import DatasetNames, read_described
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase, label_name
from livercascade.data.patient_table import PATIENTS_FILE, patient_rows
from livercascade.data.scan import Scan

LABELS_FILE = "labels.nii.gz"
NNUNET_FILE = "dataset.json"
_NIFTI_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True)
class TrainingCase:
    """Files of one training case.

    Attributes:
        name: Name of its folder, or in an nnU-Net data set of its files.
        phases: File of each phase that is there.
        labels: File of the label map, 0-13 unless ``values`` translate it; with a coverage also 14 for a lesion of
            unknown type and 255 for what is to be ignored.
        patient: Name of the patient; cases of one patient stay in one fold.
        values: Value (0-14, 255) that each value of the label map stands for, where the file does not hold ours.
        coverage: Classes that the label map covers; None if it says all of every voxel.
        weight: Chance of being drawn in the training of UNet^whole, relative to the other cases.
    """

    name: str
    phases: Mapping[Phase, Path]
    labels: Path
    patient: str
    values: Mapping[int, int] | None = None
    coverage: Coverage | None = None
    weight: float = 1.0

    @property
    def present(self) -> Bool[np.ndarray, " phase"]:
        """True for each phase that is there, in channel order."""
        return np.array([phase in self.phases for phase in PHASES])

    @property
    def channels(self) -> tuple[Path, ...]:
        """One file per channel; one that is there stands in for an absent phase and has to be hidden later."""
        stand_in = next(iter(self.phases.values()))
        return tuple(self.phases.get(phase, stand_in) for phase in PHASES)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingArrays:
    """Arrays of one training case, x to the left, y to the back, z to the head.

    Attributes:
        hu: HU ``[phase, z, y, x]``; absent phases hold a stand-in.
        labels: Label map of classes 0-13 and sets of classes (`livercascade.data.coverage.label_of`).
        spacing: (z, y, x) in mm.
    """

    hu: Int16[np.ndarray, "phase z y x"]
    labels: Integer[np.ndarray, "z y x"]
    spacing: Triple


def find_cases(folder: Path, names: DatasetNames | None = None) -> tuple[TrainingCase, ...]:
    """Cases of a data set folder, by name: of our own layout, or of nnU-Net's (a folder with ``dataset.json``).

    In our layout folders without a label map are not cases. A table ``patients.csv`` with the columns ``case`` and
    ``patient`` says which cases belong to one patient; without it each case is a patient. Its column ``weight``, if
    there is one, says how often a case is drawn compared with others.

    Classes that a case does not cover are left open in its labels. A class that no case covers could be nothing to a
    network: it is taken to be absent everywhere. What an nnU-Net data set does not name, it does not cover.

    Args:
        folder: The data set.
        names: Meaning of channels and labels of an nnU-Net data set, where their names do not say it.

    Raises:
        InputError: No case there (``EMPTY_FOLDER``), one without any phase (``NO_PHASE``), a table or a coverage that
            cannot be used (``BAD_PATIENTS``, ``BAD_COVERAGE``); in an nnU-Net data set ``dataset.json`` cannot be used
            (``BAD_DATASET``), files are of another kind than NIfTI (``NOT_NIFTI``), an image is absent
            (``FILE_MISSING``), or as `DatasetNames`.
    """
    if (folder / NNUNET_FILE).is_file() and (folder / "labelsTr").is_dir():
        cases = _nnunet_cases(folder, names or DatasetNames())
    else:
        homes = sorted(p.parent for p in folder.glob(f"*/{LABELS_FILE}")) if folder.is_dir() else []
        cases = [_case(home) for home in homes]
    if not cases:
        raise InputError(
            "EMPTY_FOLDER",
            f"{folder} holds no training case.",
            f"Give a folder with <case>/vp.nii.gz and <case>/{LABELS_FILE}, for example from 'livercascade virtual', "
            "or an nnU-Net data set.",
        )
    rows = _patients(folder)
    return _covered_together([replace(case, **rows.get(case.name, {"patient": case.name})) for case in cases])


def read_arrays(case: TrainingCase) -> TrainingArrays:
    """Arrays of a case, axes turned to left, posterior, superior.

    Raises:
        InputError: Files differ in shape (``GRID_MISMATCH``) or labels leave 0-13 (``BAD_LABELS``).
    """
    labels, spacing = read_labels(case)
    volumes = {path: read_oriented(path)[0] for path in set(case.channels)}
    for path, volume in volumes.items():
        if volume.shape != labels.shape:
            raise InputError(
                "GRID_MISMATCH", f"{path} is {volume.shape}, its labels {labels.shape}.", "Resample them to one grid."
            )
    # Files that were rescaled or padded may leave 16 bits.
    hu = np.stack([np.clip(volumes[path], -32768, 32767).astype(np.int16) for path in case.channels])
    return TrainingArrays(hu, labels, spacing)


def read_scan(case: TrainingCase) -> tuple[Scan, UInt8[np.ndarray, "z y x"]]:
    """Scan of the phases that a case has, and its label map 0-13 on the same grid.

    What the labels leave open is resolved (`resolved`): a lesion of unknown type is none of any type.

    Raises:
        InputError: As `read_arrays`.
    """
    arrays = read_arrays(case)
    hu = {phase: arrays.hu[phase.index] for phase in PHASES if phase in case.phases}
    reference = Phase.VP if Phase.VP in hu else next(iter(hu))
    z, y, x = arrays.labels.shape
    return Scan(Grid.axial((z, y, x), arrays.spacing), hu, reference), resolved(arrays.labels)


def read_labels(case: TrainingCase) -> tuple[Integer[np.ndarray, "z y x"], Triple]:
    """Label map of a case, classes 0-13 and sets of classes, and its spacing (z, y, x) in mm.

    Raises:
        InputError: Labels leave 0-13 (``BAD_LABELS``).
    """
    stored, spacing = read_oriented(case.labels)
    return decode_labels(stored, case), spacing


def decode_labels(stored: np.ndarray, case: TrainingCase) -> Integer[np.ndarray, "z y x"]:
    """Classes 0-13, and sets of classes where the case leaves them open, for the values of a label map as stored.

    Returns:
        8 bits where every voxel has one class, else 16.

    Raises:
        InputError: It holds a value without a meaning, or a class that is said to be absent (``BAD_LABELS``).
    """
    more = () if case.coverage is None else (UNKNOWN_LESION, IGNORED)
    values = case.values or {value: value for value in (*range(NUM_CLASSES), *more)}
    coverage, meaning = case.coverage or COMPLETE, dict[int, int]()
    for value in np.unique(stored).tolist():
        try:
            meaning[int(value)] = coverage.label_of(values[value])
        except (KeyError, ValueError) as error:
            why = f": {error}" if isinstance(error, ValueError) else ""
            raise InputError(
                "BAD_LABELS",
                f"{case.labels} holds {value:g}{why}.",
                f"Labels are {', '.join(map(str, sorted(values)))}; what a case leaves open stands in {COVERAGE_FILE}.",
            ) from error
    table = np.zeros(max(meaning, default=0) + 1, dtype=np.int16)
    table[list(meaning)] = list(meaning.values())
    labels = table[stored.astype(np.int64)]
    return labels if labels.max(initial=0) >= NUM_CLASSES else labels.astype(np.uint8)


def read_oriented(path: Path) -> tuple[np.ndarray, Triple]:
    """Array ``[z, y, x]`` of a NIfTI file, turned so that x runs to the left, y to the back, z to the head."""
    image: Any = lps(nib.load(path))
    # NIfTI stores x first.
    z, y, x = (float(v) for v in image.header.get_zooms()[2::-1])
    return np.ascontiguousarray(np.asanyarray(image.dataobj).transpose(2, 1, 0)), (z, y, x)


def lps(image: Any) -> Any:
    """The image with its axes flipped and swapped to left, posterior, superior."""
    return image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(("L", "P", "S"))))


def is_lps(path: Path) -> bool:
    """True if the file's axes already run to left, posterior, superior."""
    image: Any = nib.load(path)
    return "".join(str(code) for code in nib.aff2axcodes(image.affine)) == "LPS"


def _case(home: Path) -> TrainingCase:
    files = {phase: home / f"{phase.value.lower()}.nii.gz" for phase in PHASES}
    # Absolute: nnU-Net's list of files keeps these paths, whatever folder it is read from.
    there = {phase: path.resolve() for phase, path in files.items() if path.is_file()}
    if not there:
        raise InputError("NO_PHASE", f"{home} has a label map but no phase.", "Add one of nc, ap, vp, dp.nii.gz.")
    told = home / COVERAGE_FILE
    coverage = read_coverage(told) if told.is_file() else None
    return TrainingCase(home.name, there, (home / LABELS_FILE).resolve(), home.name, coverage=coverage)


def _nnunet_cases(folder: Path, names: DatasetNames) -> list[TrainingCase]:
    described = read_described(folder / NNUNET_FILE)
    phases, values = names.phases(described["channel_names"]), names.values(described["labels"])
    ending = str(described.get("file_ending", ".nii.gz"))
    if ending not in _NIFTI_ENDINGS:
        raise InputError("NOT_NIFTI", f"{folder} holds {ending} files.", "Convert them to .nii.gz.")
    coverage, cases = _named_coverage(values), list[TrainingCase]()
    for labels in sorted((folder / "labelsTr").glob(f"*{ending}")):
        name = labels.name.removesuffix(ending)
        images = {p: folder / "imagesTr" / f"{name}_{number:04d}{ending}" for number, p in phases.items()}
        absent = [path for path in images.values() if not path.is_file()]
        if absent:
            raise InputError("FILE_MISSING", f"{absent[0]} is not there.", "Each case needs an image per channel.")
        files = {phase: path.resolve() for phase, path in images.items()}
        cases.append(TrainingCase(name, files, labels.resolve(), name, values, coverage))
    return cases


def _named_coverage(values: Mapping[int, int]) -> Coverage:
    """Coverage of a data set whose labels have these meanings; one of unknown lesions covers every type."""
    named = set(values.values()) | (set(LESION_CLASSES) if UNKNOWN_LESION in values.values() else set())
    missing = [label_name(c) for c in range(1, NUM_CLASSES) if c not in named]
    return Coverage(classes=dict.fromkeys(missing, ClassCoverage.UNLABELLED))


def _covered_together(cases: Sequence[TrainingCase]) -> tuple[TrainingCase, ...]:
    """The same cases, with the classes that none of them covers absent in all."""
    given = [case.coverage or COMPLETE for case in cases]
    nowhere = [
        label_name(c) for c in range(1, NUM_CLASSES) if all(one.of(c) is not ClassCoverage.LABELLED for one in given)
    ]
    absent = dict.fromkeys(nowhere, ClassCoverage.ABSENT)
    return tuple(replace(case, coverage=_settled(case, absent)) for case in cases)


def _settled(case: TrainingCase, absent: Mapping[str, ClassCoverage]) -> Coverage | None:
    if case.coverage is None:
        return None
    settled = Coverage(classes={**case.coverage.classes, **absent})
    # Then the labels say all of every voxel, unless some are lesions of unknown type or to be ignored.
    more = case.values is None or {UNKNOWN_LESION, IGNORED} & set(case.values.values())
    return settled if more or not settled.complete else None


def _patients(folder: Path) -> dict[str, dict[str, Any]]:
    """Patient and weight of the cases named in the table."""
    path = folder / PATIENTS_FILE
    return {row["case"]: {"patient": row["patient"], "weight": _weight(path, row)} for row in patient_rows(folder)}


def _weight(path: Path, row: Mapping[str, str]) -> float:
    text = row.get("weight") or "1"
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise InputError(
            "BAD_PATIENTS", f"{path} gives {row['case']} the weight {text}.", "Weights are numbers above 0."
        )
    return weight
