"""Folders of training cases: ``DIR/<case>/{nc,ap,vp,dp}.nii.gz`` and ``DIR/<case>/labels.nii.gz`` on one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Int16, UInt8
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from livercascade.data.errors import InputError
from livercascade.data.grid import Triple
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase

LABELS_FILE = "labels.nii.gz"


@dataclass(frozen=True, slots=True)
class TrainingCase:
    """Files of one training case.

    Attributes:
        name: Name of its folder.
        phases: File of each phase that is there.
        labels: Label map 0-13.
    """

    name: str
    phases: Mapping[Phase, Path]
    labels: Path

    @property
    def present(self) -> Bool[np.ndarray, " phase"]:
        """Which phases are there, in channel order."""
        return np.array([phase in self.phases for phase in PHASES])

    @property
    def channels(self) -> tuple[Path, ...]:
        """One file per channel; an absent phase is stood in for by one that is there and has to be hidden later."""
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


def find_cases(folder: Path) -> tuple[TrainingCase, ...]:
    """Cases of a data set folder, by name; folders without a label map are not cases.

    Raises:
        InputError: No case there (``EMPTY_FOLDER``), or one without any phase (``NO_PHASE``).
    """
    homes = sorted(p.parent for p in folder.glob(f"*/{LABELS_FILE}")) if folder.is_dir() else []
    if not homes:
        raise InputError(
            "EMPTY_FOLDER",
            f"{folder} holds no training case.",
            f"Give a folder with <case>/vp.nii.gz and <case>/{LABELS_FILE}, for example from 'livercascade virtual'.",
        )
    return tuple(_case(home) for home in homes)


def read_arrays(case: TrainingCase) -> TrainingArrays:
    """Reads a case.

    Raises:
        InputError: Files differ in shape (``GRID_MISMATCH``) or labels leave 0-13 (``BAD_LABELS``).
    """
    labels, spacing = read_oriented(case.labels)
    if labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise InputError("BAD_LABELS", f"{case.labels} holds {int(labels.max())}.", "Labels are 0 to 13.")
    volumes = {path: read_oriented(path)[0] for path in set(case.channels)}
    for path, volume in volumes.items():
        if volume.shape != labels.shape:
            raise InputError(
                "GRID_MISMATCH", f"{path} is {volume.shape}, its labels {labels.shape}.", "Resample them to one grid."
            )
    hu = np.stack([np.clip(volumes[path], -32768, 32767).astype(np.int16) for path in case.channels])
    return TrainingArrays(hu, labels.astype(np.uint8), spacing)


def read_oriented(path: Path) -> tuple[np.ndarray, Triple]:
    """Array ``[z, y, x]`` of a NIfTI file, turned so that x runs to the left, y to the back, z to the head."""
    image: Any = lps(nib.load(path))
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
    there = {phase: path.resolve() for phase, path in files.items() if path.is_file()}
    if not there:
        raise InputError("NO_PHASE", f"{home} has a label map but no phase.", "Add one of nc, ap, vp, dp.nii.gz.")
    return TrainingCase(home.name, there, (home / LABELS_FILE).resolve())
