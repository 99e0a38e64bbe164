"""Training cases: ``DIR/<case>/{nc,ap,vp,dp}.nii.gz`` and ``labels.nii.gz`` on one grid, or an nnU-Net data set.

Both trainings read their cases here and nowhere else: whatever a label map may say of a case is understood in
`decode_labels`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Int16, UInt8
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from livercascade.data.dataset_names import DatasetNames, read_described
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase
from livercascade.data.scan import Scan

LABELS_FILE = "labels.nii.gz"
PATIENTS_FILE = "patients.csv"
NNUNET_FILE = "dataset.json"
_NIFTI_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True)
class TrainingCase:
    """Files of one training case.

    Attributes:
        name: Name of its folder, or in an nnU-Net data set of its files.
        phases: File of each phase that is there.
        labels: File of the label map, 0-13 unless ``values`` translate it.
        patient: Name of the patient; cases of one patient stay in one fold.
        values: Label 0-13 that each value of the label map stands for, where the file does not hold ours.
    """

    name: str
    phases: Mapping[Phase, Path]
    labels: Path
    patient: str
    values: Mapping[int, int] | None = None

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
        labels: Label map 0-13.
        spacing: (z, y, x) in mm.
    """

    hu: Int16[np.ndarray, "phase z y x"]
    labels: UInt8[np.ndarray, "z y x"]
    spacing: Triple


def find_cases(folder: Path, names: DatasetNames | None = None) -> tuple[TrainingCase, ...]:
    """Cases of a data set folder, by name: of our own layout, or of nnU-Net's (a folder with ``dataset.json``).

    In our layout folders without a label map are not cases. A table ``patients.csv`` with the columns ``case`` and
    ``patient`` says which cases belong to one patient; without it each case is a patient.

    Args:
        folder: The data set.
        names: Meaning of channels and labels of an nnU-Net data set, where their names do not say it.

    Raises:
        InputError: No case there (``EMPTY_FOLDER``), one without any phase (``NO_PHASE``), a table that cannot be used
            (``BAD_PATIENTS``); in an nnU-Net data set ``dataset.json`` cannot be used (``BAD_DATASET``), files are of
            another kind than NIfTI (``NOT_NIFTI``), an image is absent (``FILE_MISSING``), or as `DatasetNames`.
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
    patients = _patients(folder)
    return tuple(replace(case, patient=patients.get(case.name, case.name)) for case in cases)


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
    """Scan of the phases that a case has, and its label map on the same grid.

    Raises:
        InputError: As `read_arrays`.
    """
    arrays = read_arrays(case)
    hu = {phase: arrays.hu[phase.index] for phase in PHASES if phase in case.phases}
    reference = Phase.VP if Phase.VP in hu else next(iter(hu))
    z, y, x = arrays.labels.shape
    return Scan(Grid.axial((z, y, x), arrays.spacing), hu, reference), arrays.labels


def read_labels(case: TrainingCase) -> tuple[UInt8[np.ndarray, "z y x"], Triple]:
    """Label map 0-13 of a case, and its spacing (z, y, x) in mm.

    Raises:
        InputError: Labels leave 0-13 (``BAD_LABELS``).
    """
    stored, spacing = read_oriented(case.labels)
    return decode_labels(stored, case), spacing


def decode_labels(stored: np.ndarray, case: TrainingCase) -> UInt8[np.ndarray, "z y x"]:
    """Our labels 0-13 for the values of a label map as stored; nnU-Net's "ignore" is not known here.

    Raises:
        InputError: It holds a value without a meaning (``BAD_LABELS``).
    """
    values = case.values or {value: value for value in range(NUM_CLASSES)}
    odd = [value for value in np.unique(stored).tolist() if value not in values]
    if odd:
        raise InputError(
            "BAD_LABELS", f"{case.labels} holds {odd[0]:g}.", f"Labels are {min(values)} to {max(values)}."
        )
    table = np.zeros(max(values) + 1, dtype=np.uint8)
    table[list(values)] = list(values.values())
    return table[stored.astype(np.int64)]


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
    return TrainingCase(home.name, there, (home / LABELS_FILE).resolve(), home.name)


def _nnunet_cases(folder: Path, names: DatasetNames) -> list[TrainingCase]:
    described = read_described(folder / NNUNET_FILE)
    phases, values = names.phases(described["channel_names"]), names.values(described["labels"])
    ending = str(described.get("file_ending", ".nii.gz"))
    if ending not in _NIFTI_ENDINGS:
        raise InputError("NOT_NIFTI", f"{folder} holds {ending} files.", "Convert them to .nii.gz.")
    cases: list[TrainingCase] = []
    for labels in sorted((folder / "labelsTr").glob(f"*{ending}")):
        name = labels.name.removesuffix(ending)
        images = {p: folder / "imagesTr" / f"{name}_{number:04d}{ending}" for number, p in phases.items()}
        absent = [path for path in images.values() if not path.is_file()]
        if absent:
            raise InputError("FILE_MISSING", f"{absent[0]} is not there.", "Each case needs an image per channel.")
        resolved = {phase: path.resolve() for phase, path in images.items()}
        cases.append(TrainingCase(name, resolved, labels.resolve(), name, values))
    return cases


def _patients(folder: Path) -> dict[str, str]:
    path = folder / PATIENTS_FILE
    if not path.is_file():
        return {}
    # Spreadsheets put a byte-order mark before the first column name.
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"case", "patient"} <= rows[0].keys() or not all(row["patient"] for row in rows):
        raise InputError(
            "BAD_PATIENTS", f"{path} does not name a patient for each case.", "Give the columns case and patient."
        )
    return {row["case"]: row["patient"] for row in rows}
