"""A case as a canvas: scan, label map with what it leaves open, coverage; read and written as a case folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16, UInt8

from livercascade.data.coverage import COVERAGE_FILE, IGNORED, UNKNOWN_LESION, Coverage, read_coverage
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import FIRST_LESION, LAST_LESION, PHASES, Organ, Phase
from livercascade.data.patient_table import patient_rows
from livercascade.io.nifti import read_labels, read_nifti, write_nifti

LABELS_FILE = "labels.nii.gz"


@dataclass(frozen=True, slots=True, eq=False)
class CanvasCase:
    """A scan with its label map, into which lesions are painted.

    Attributes:
        name: Name of the case.
        patient: Name of the patient; all that is made of one patient stays in one fold.
        grid: Grid of every array.
        hu: HU per phase, int16 ``[z, y, x]``.
        labels: Stored label map: 0-13, 14 for a lesion of unknown type, 255 where nothing is said.
        coverage: What the label map leaves open.
    """

    name: str
    patient: str
    grid: Grid
    hu: Mapping[Phase, Int16[np.ndarray, "z y x"]]
    labels: UInt8[np.ndarray, "z y x"]
    coverage: Coverage

    @property
    def reference(self) -> Phase:
        """Phase from which tissues are told: VP, or the first that is there."""
        return Phase.VP if Phase.VP in self.hu else next(phase for phase in PHASES if phase in self.hu)

    @property
    def liver(self) -> Bool[np.ndarray, "z y x"]:
        """The liver with its vessels, without lesions and what is ignored."""
        return (self.labels == Organ.LIVER) | (self.labels == Organ.HEPATIC_VESSELS)


def is_closed(labels: UInt8[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """True where a stored label map holds a lesion of any kind, or says nothing: nothing is painted there."""
    lesion = (labels >= FIRST_LESION) & (labels <= LAST_LESION)
    return lesion | (labels == UNKNOWN_LESION) | (labels == IGNORED)


def find_canvases(folder: Path) -> dict[Path, str]:
    """Case folders in ``folder`` by name, each with the name of its patient from ``patients.csv`` (itself without).

    Raises:
        InputError: There is no case (``EMPTY_FOLDER``), or the table cannot be used (``BAD_PATIENTS``).
    """
    homes = sorted(path.parent for path in folder.glob(f"*/{LABELS_FILE}")) if folder.is_dir() else []
    if not homes:
        raise InputError(
            "EMPTY_FOLDER", f"{folder} holds no case.", f"Give a folder with <case>/vp.nii.gz and <case>/{LABELS_FILE}."
        )
    patients = {row["case"]: row["patient"] for row in patient_rows(folder)}
    return {home: patients.get(home.name, home.name) for home in homes}


def read_canvas(home: Path, patient: str) -> CanvasCase:
    """Case of a folder: ``{nc,ap,vp,dp}.nii.gz``, ``labels.nii.gz`` and ``coverage.json``, if it is labelled in part.

    Raises:
        InputError: It has no phase (``NO_PHASE``) or no liver (``NO_LIVER``), files lie on different grids
            (``GRID_MISMATCH``), labels are others than 0-14 and 255 (``BAD_LABELS``), or as `read_nifti` and
            `read_coverage`.
    """
    labels, grid = read_labels(home / LABELS_FILE, classes=256, is_ct=False)
    odd = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[UNKNOWN_LESION + 1 : IGNORED])
    if odd.size:
        value = int(odd[0]) + UNKNOWN_LESION + 1
        raise InputError("BAD_LABELS", f"{home.name}: the label map holds {value}.", "Labels are 0 to 14, and 255.")
    hu: dict[Phase, Int16[np.ndarray, "z y x"]] = {}
    for phase in PHASES:
        path = home / f"{phase.value.lower()}.nii.gz"
        if path.is_file():
            hu[phase], own = read_nifti(path)
            if not own.matches(grid):
                raise InputError("GRID_MISMATCH", f"{path}: not on the grid of its labels.", "Resample to one grid.")
    if not hu:
        raise InputError("NO_PHASE", f"{home} has a label map but no phase.", "Add one of nc, ap, vp, dp.nii.gz.")
    case = CanvasCase(home.name, patient, grid, hu, labels, read_coverage(home / COVERAGE_FILE))
    if not case.liver.any():
        raise InputError("NO_LIVER", f"{home.name}: the label map holds no liver.", "Label the liver with 7.")
    return case


def write_canvas(case: CanvasCase, folder: Path) -> None:
    """Write the phases, labels and coverage of a case into an existing folder."""
    for phase, hu in case.hu.items():
        write_nifti(folder / f"{phase.value.lower()}.nii.gz", hu, case.grid)
    write_nifti(folder / LABELS_FILE, case.labels, case.grid)
    if case.coverage != Coverage():
        (folder / COVERAGE_FILE).write_text(case.coverage.model_dump_json(indent=1) + "\n", encoding="utf-8")
