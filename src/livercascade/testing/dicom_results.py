"""A finished case on a DICOM study, made without networks: the balls of `ct_series` are its lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from livercascade.data.grid import Grid
from livercascade.data.labels import LesionType, Organ, Phase
from livercascade.data.scan import Scan
from livercascade.dicom.codes import DicomCodes, default_codes
from livercascade.dicom.dicom_case import DicomCase
from livercascade.dicom.result_uids import ResultUids
from livercascade.io.reference_grid import to_scan
from livercascade.io.study_reader import read_study
from livercascade.reclassification.candidate import Candidate, CandidateStatus, FoundAt
from livercascade.report.measure import measure_lesions, measure_liver
from livercascade.report.pictures import ReportPictures, build_pictures
from livercascade.results.result import InputRecord, PhaseSource
from livercascade.testing.ct_series import BALLS, BODY_CENTRE, CtSeries
from livercascade.testing.example_results import EXAMPLE_HASH, example_result
from livercascade.testing.phantoms import lesion_of

BALL_TYPES = {300: LesionType.HCC, 500: LesionType.CYST, 650: LesionType.META}
"""Type of the lesion that each ball is taken for; the last one was removed."""
_PHASES: Mapping[str, float] = {"non-contrast": 0.0, "portal venous": 60.0}


def write_two_phases(folder: Path, *, enhanced: bool = False, **series: Any) -> Path:
    """Write a study of two series, non-contrast and portal venous.

    Args:
        folder: Folder to write into.
        enhanced: True writes each series as one enhanced image.
        series: Further fields of `CtSeries`.
    """
    for number, (description, offset) in enumerate(_PHASES.items(), start=1):
        made = CtSeries(
            number=number, uid=f"1.2.3.4.{number}", prefix="ab"[number - 1], description=description, offset_hu=offset,
            **series,
        )  # fmt: skip
        if enhanced:
            folder.mkdir(parents=True, exist_ok=True)
            made.write_enhanced(folder / f"{made.prefix}.dcm")
        else:
            made.write(folder)
    return folder


def example_dicom_case(
    folder: Path, found: Sequence[int] = (300, 500, 650), codes: DicomCodes | None = None
) -> tuple[DicomCase, ReportPictures]:
    """Finished case of a study of `write_two_phases`, and its pictures.

    Args:
        folder: The study.
        found: HU of the balls that are its lesions.
        codes: Other codes than the package's.
    """
    study = read_study(folder)
    scan, _ = to_scan(study)
    candidates = [_candidate(hu, scan.grid) for hu in found]
    labels = _labels(scan, candidates)
    present = {f"L{n}": c.result for n, c in enumerate(candidates, start=1) if c.present}
    inputs = [
        InputRecord(
            phase=v.phase, source=PhaseSource.TAGS, confidence=1, sha256=EXAMPLE_HASH, shape=v.grid.shape,
            spacing_mm=v.grid.spacing, description=v.description,
        )
        for v in study.volumes
    ]  # fmt: skip
    result = example_result(
        scan,
        labels,
        candidates,
        case_id=study.case_id,
        virtual=False,
        inputs=inputs,
        lesions=measure_lesions(candidates, scan, labels),
        liver=measure_liver(scan, labels),
    )
    uids = ResultUids.of(study.slices, [EXAMPLE_HASH])
    case = DicomCase(result, labels, present, scan.grid, study.slices, uids, codes or default_codes())
    return case, build_pictures(scan, labels, candidates, result.lesions or ())


def _candidate(hu: int, grid: Grid) -> Candidate:
    index = np.stack(np.meshgrid(*[np.arange(float(n)) for n in grid.shape], indexing="ij"), axis=-1)
    mask = np.linalg.norm(grid.world(index) - BODY_CENTRE - BALLS[hu], axis=-1) < 6
    kind = BALL_TYPES[hu]
    status = CandidateStatus.REMOVED if kind is LesionType.META else CandidateStatus.KEPT
    lesion = lesion_of(mask, kind, grid)
    return Candidate(
        lesion, status, kind, 0.8, 0.5, {kind: 1.0}, "score 0.80 reaches 0.50", found_at=FoundAt.BASE_AND_HIGH,
        core_ml=lesion.volume_ml,
    )  # fmt: skip


def _labels(scan: Scan, candidates: Sequence[Candidate]) -> np.ndarray:
    labels = np.zeros(scan.grid.shape, dtype=np.uint8)
    labels[scan.hu[Phase.VP] > 0] = Organ.LIVER
    for candidate in candidates:
        if candidate.present:
            labels[candidate.lesion.bbox][candidate.lesion.mask] = candidate.label
    return labels


def write_volumes(folder: Path, volumes: Mapping[str, tuple[np.ndarray, Grid]], **series: Any) -> Path:
    """Write volumes on axial grids as one DICOM study.

    Args:
        folder: Folder to write into.
        volumes: HU and grid of each series by its description.
        series: Further fields of `CtSeries`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, (description, (hu, grid)) in enumerate(volumes.items(), start=1):
        made = CtSeries(number=number, uid=f"1.2.3.4.{number}", prefix=f"s{number}-", description=description, **series)
        for index, plane in enumerate(hu):
            dataset = made.dataset(index)
            dataset.Rows, dataset.Columns = plane.shape
            dataset.PixelSpacing = list(grid.spacing[1:])
            position = grid.world(np.array([float(index), 0.0, 0.0]))
            dataset.ImagePositionPatient = [f"{v:.8f}"[:15] for v in position]
            dataset.PixelData = (plane.astype(np.int32) + 1024).astype("<i2").tobytes()
            made.change(index, dataset)
            dataset.save_as(folder / f"s{number}-{index:03d}.dcm", enforce_file_format=True)
    return folder
