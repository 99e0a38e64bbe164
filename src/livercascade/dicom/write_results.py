"""All DICOM results of one case, as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from livercascade.dicom.dicom_case import DicomCase
from livercascade.dicom.dicom_stage import DicomObject, DicomStage
from livercascade.dicom.documents import write_captures, write_pdf
from livercascade.dicom.measurement_report import write_measurement_report
from livercascade.dicom.write_segmentation import write_segmentation
from livercascade.report.pictures import ReportPictures
from livercascade.results.result import OutputKind

SEG, SR, PDF = "seg.dcm", "sr.dcm", "report.dcm"


def write_results(
    case: DicomCase, stage: DicomStage, pictures: ReportPictures | None, folder: Path
) -> dict[str, OutputKind]:
    """Write the objects that the settings ask for.

    Args:
        case: The case.
        stage: Settings.
        pictures: Pictures of the report; without them there is neither PDF nor capture.
        folder: Folder to write into.

    Returns:
        Kind of each file by its name.
    """
    kinds: dict[str, OutputKind] = {}
    for name, kind, made in _objects(case, stage, pictures):
        made.save_as(folder / name, enforce_file_format=True)
        kinds[name] = kind
    return kinds


def _objects(
    case: DicomCase, stage: DicomStage, pictures: ReportPictures | None
) -> Iterator[tuple[str, OutputKind, Any]]:
    wanted = set(stage.objects)
    if wanted & {DicomObject.SEG, DicomObject.SR}:
        segmentation = write_segmentation(
            case.numbers,
            case.grid,
            case.segments,
            case.reference,
            uids=_uids(case, stage.kind(DicomObject.SEG)),
            codes=case.codes,
            seg_type=stage.seg_type,
        )
        yield SEG, OutputKind.SEG, segmentation
        if DicomObject.SR in wanted:
            yield (
                SR,
                OutputKind.SR,
                write_measurement_report(case, segmentation, _uids(case, stage.kind(DicomObject.SR))),
            )
    if pictures is None:
        return
    if DicomObject.PDF in wanted:
        yield PDF, OutputKind.PDF, write_pdf(case, pictures, _uids(case, stage.kind(DicomObject.PDF)))
    if DicomObject.CAPTURE in wanted:
        for name, made in write_captures(case, pictures, case.uids.uid("series capture")):
            yield f"capture-{name}.dcm", OutputKind.CAPTURE, made


def _uids(case: DicomCase, kind: str) -> tuple[str, str]:
    return case.uids.uid(f"series {kind}"), case.uids.uid(kind)
