"""One study as it was read: its phases, each on its own grid, and what was noticed on the way."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Int16, Shaped

from livercascade.data.errors import InputError, UsageError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume
from livercascade.io.archive import UnpackedFolder
from livercascade.io.canonical_orientation import check_spacing
from livercascade.io.dicom_geometry import SlicePlacement
from livercascade.io.hounsfield import check_is_ct, clean_hu
from livercascade.io.phase_from_image import measure_organ_hu, phase_probabilities
from livercascade.io.phase_identification import PhaseFinding, contradicted_by_image

_CASE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class UnusedSeries:
    """A series or file that was not analysed: stable code, and the reason for people."""

    name: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Study:
    """One study: each phase on its own grid.

    Attributes:
        case_id: Name that is safe as a file name: letters, digits, ``._-``.
        volumes: Phases in channel order, each at most once.
        warnings: Notices of the reader.
        unused: Series and files that were not analysed, and why.
        dicom: True if it came from DICOM.
        slices: DICOM slices of each phase, in order, to which results in DICOM refer; a volume that was resampled lies
            on another grid than they do.
        virtual: True if it is a virtual patient: `virtual.json` lies beside the images.
        identified: What spoke for the phase of each volume that was looked at, and what was made of it.
        refused: Name and error of each series or file that refuses the study; empty unless the study was surveyed.
        unpacked: Folder that an archive was unpacked into, where `slices` lie; it is removed with the study.
    """

    case_id: str
    volumes: tuple[PhaseVolume, ...]
    warnings: tuple[Notice, ...] = ()
    unused: tuple[UnusedSeries, ...] = ()
    dicom: bool = False
    slices: Mapping[Phase, SlicePlacement] = field(default_factory=dict[Phase, SlicePlacement])
    virtual: bool = False
    refused: tuple[tuple[str, InputError], ...] = ()
    unpacked: UnpackedFolder | None = None
    identified: tuple[PhaseFinding, ...] = ()

    @classmethod
    def from_arrays(
        cls, phases: Mapping[Phase, tuple[Shaped[np.ndarray, "z y x"], Grid]], *, case_id: str = "study"
    ) -> Study:
        """Study of phases in memory, with the checks and notices of files.

        Args:
            phases: HU ``[z, y, x]`` of any real type, and grid, per phase; the grids may differ.
            case_id: Name of the case.

        Raises:
            InputError: ``BAD_VALUES``, ``EMPTY_IMAGE``, ``NOT_HU`` or ``BAD_SPACING``.
            UsageError: ``WRONG_USE`` without a phase, ``BAD_CASE_ID``.
            ValueError: An array does not have the shape of its grid.

        >>> hu = np.full((40, 64, 64), -1000, np.int16)
        >>> hu[:, 16:48, 16:48] = 60
        >>> study = Study.from_arrays({Phase.VP: (hu, Grid.axial(hu.shape, (5.0, 3.0, 3.0)))})
        >>> study.volumes[0].phase.value, study.case_id
        ('VP', 'study')
        """
        if not phases:
            raise UsageError("WRONG_USE", "A study needs at least one phase.", "Give HU and grid of a phase.")
        volumes: list[PhaseVolume] = []
        notices: list[Notice] = []
        for phase in sorted(phases, key=lambda p: p.index):
            values, grid = phases[phase]
            if values.shape != grid.shape:
                raise ValueError(f"{phase.value}: an array of {values.shape} on a grid of {grid.shape}")
            check_spacing(grid, phase.value)
            hu, cleaned = clean_hu(values, phase.value)
            check_is_ct(hu, phase.value)
            volumes.append(
                PhaseVolume(phase, np.ascontiguousarray(hu), grid, sha256=_sha256_of(hu, grid), description=phase.value)
            )
            image = phase_probabilities(measure_organ_hu(hu, grid))
            notices += [*cleaned, *contradicted_by_image(phase.value, phase, image)]
        return cls(checked_case_id(case_id), tuple(volumes), tuple(notices))


class StudyReader(Protocol):
    """A function that reads a study from anything its caller names; `read_study` is the one of this package.

    What it raises should be an `InputError`, with a code and a remedy, where the study cannot be used.
    """

    def __call__(self, source: str | Path, /) -> Study:
        """Study at a source: each phase at most once, its volume in canonical orientation."""
        ...


def checked_case_id(case_id: str) -> str:
    """The same name, if it can name a case and a folder.

    Raises:
        UsageError: ``BAD_CASE_ID``.
    """
    if not _CASE_ID.fullmatch(case_id):
        message = f"'{case_id[:40]}' cannot name a case."
        raise UsageError("BAD_CASE_ID", message, "Use letters, digits and ._- only, at most 128.")
    return case_id


def _sha256_of(hu: Int16[np.ndarray, "z y x"], grid: Grid) -> str:
    """Hash of voxels and position: a result is reused only for the same input."""
    digest = hashlib.sha256(repr((grid.shape, grid.affine.tolist())).encode())
    digest.update(np.ascontiguousarray(hu).data)
    return digest.hexdigest()
