"""Report and key images as DICOM objects that every archive shows: encapsulated PDF and secondary captures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from livercascade.dicom.dicom_case import DicomCase
from livercascade.dicom.equipment import equipment
from livercascade.dicom.write_segmentation import SERIES_OFFSET, series_number
from livercascade.report.panel import Picture
from livercascade.report.pdf import report_pdf
from livercascade.report.pictures import ReportPictures

_TITLE = "Liver lesions, report"
_OVERVIEW = "overview"


def write_pdf(case: DicomCase, pictures: ReportPictures, uids: tuple[str, str]) -> Dataset:
    """The report as an encapsulated PDF, with the patient's name on it.

    Args:
        case: The case.
        pictures: Its pictures.
        uids: SeriesInstanceUID and SOPInstanceUID.
    """
    made = _object(case, EncapsulatedPDFStorage, "DOC", uids, 2, _TITLE)
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.DocumentTitle = _TITLE
    made.ConceptNameCodeSequence = []
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    content = report_pdf(case.result, pictures, _patient(case))
    made.EncapsulatedDocumentLength = len(content)
    # Values have an even length.
    made.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    made.add_new("AcquisitionDateTime", "DT", None)
    return made


def write_captures(case: DicomCase, pictures: ReportPictures, series_uid: str) -> Iterator[tuple[str, Dataset]]:
    """Name and object of the overview and of the key images of each lesion that is present.

    Args:
        case: The case.
        pictures: Its pictures.
        series_uid: SeriesInstanceUID of all of them.
    """
    present = {record.id for record in case.present}
    named = [(_OVERVIEW, pictures.overview), *pictures.lesions.items()]
    shown = [(name, picture) for name, picture in named if picture and (name == _OVERVIEW or name in present)]
    for number, (name, picture) in enumerate(shown, start=1):
        made = _capture(case, picture, (series_uid, case.uids.uid(f"capture {name}")), number)
        if name == _OVERVIEW:
            # One of its slices is coronal.
            made.PatientOrientation = None
        yield name, made


def _capture(case: DicomCase, picture: Picture, uids: tuple[str, str], number: int) -> Dataset:
    with warnings.catch_warnings():
        # highdicom warns of odd values in the source, which the reader has accepted.
        warnings.simplefilter("ignore")
        made = hd.sc.SCImage.from_ref_dataset(
            case.reference.first,
            pixel_array=np.asarray(Image.open(BytesIO(picture.png)).convert("RGB")),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),
            series_instance_uid=uids[0],
            series_number=SERIES_OFFSET + series_number(case.reference) + 3,
            sop_instance_uid=uids[1],
            instance_number=number,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            series_description="Liver lesions, key images",
            **equipment(),
        )
    made.copy_patient_and_study_information(case.reference.first)
    made.BurnedInAnnotation = "NO"
    # An unpaired organ: without a body part, DICOM asks for the side.
    made.BodyPartExamined = "LIVER"
    made.ImageComments = picture.alt
    return made


def _object(case: DicomCase, sop_class: str, modality: str, uids: tuple[str, str], place: int, title: str) -> Any:
    """Object with patient and study of the source."""
    source = case.reference.first
    made = hd.SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=uids[0],
        series_number=SERIES_OFFSET + series_number(case.reference) + place,
        sop_instance_uid=uids[1],
        sop_class_uid=sop_class,
        instance_number=1,
        modality=modality,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=title,
        **equipment(),
    )
    made.copy_patient_and_study_information(source)
    return made


def _patient(case: DicomCase) -> dict[str, str]:
    """Head of the report."""
    source = case.reference.first
    # Names in other scripts follow after an equals sign; the report's font has Latin, Greek and Cyrillic letters.
    name = str(source.PatientName or "").split("=")[0].replace("^", " ").strip()
    lines = {
        "Name": name,
        "ID": source.PatientID,
        "Born": _date(source.PatientBirthDate),
        "Study of": _date(source.StudyDate),
        "Accession": source.AccessionNumber,
        "Case": case.result.case_id,
    }
    return {key: str(value) if value else "–" for key, value in lines.items()}


def _date(value: Any) -> str:
    text = str(value or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text
