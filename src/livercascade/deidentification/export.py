"""De-identified copies of whole folders of studies."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from livercascade.data.errors import CascadeError, InputError
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.deidentification.clean_dataset import ImageCleaner, check_plain
from livercascade.deidentification.pseudonyms import Pseudonyms
from livercascade.io.decoding_process import DecodingProcess
from livercascade.io.dicom_header import read_dataset, read_images
from livercascade.io.dicom_pixels import stored_values
from livercascade.io.phase_identification import MIN_CONFIDENCE
from livercascade.io.study_reader import survey_study
from livercascade.io.study_sources import studies_in
from livercascade.system.manifest import new_result_folder
from livercascade.system.progress import Progress, counter

_UNREADABLE = "CANNOT_READ"
_REASONS = {
    "NOT_PLAIN_CT": "objects are no plain CT images and may show names in their pixels",
    "FILES_SKIPPED": "files are not DICOM images",
    _UNREADABLE: "images are damaged or cannot be decoded",
}


def deidentify(
    source: Path, out: Path, pseudonyms: Pseudonyms | None = None, *, progress: Progress | None = None
) -> tuple[int, tuple[Notice, ...]]:
    """Write de-identified copies of the CT images below a folder; all of them appear at ``out``, or none.

    There is a folder for each patient, study and series, all named by replacements. The contrast phase that the reader
    finds is written into each series it finds it for.

    Args:
        source: Folder with studies, of several patients perhaps.
        out: Folder to write.
        pseudonyms: Replacements; by a new key if absent.
        progress: Called with (step in words, done, total).

    Returns:
        Number of images written, and how many objects were left out, and why.

    Raises:
        InputError: ``FILE_MISSING``, or ``NOTHING_READABLE``: there is no plain CT image.
        OutputError: ``OUT_TAKEN``, ``NO_SPACE`` or ``CANNOT_WRITE``.
    """
    if not source.is_dir():
        raise InputError("FILE_MISSING", f"{source}: there is no such folder.", "Check the path.")
    names = pseudonyms or Pseudonyms()
    phases = _phases(source)
    left_out: Counter[str] = Counter()
    files = sorted(path for path in source.rglob("*") if path.is_file())
    written, advance = 0, counter(progress, "de-identifying", len(files))
    with new_result_folder(out) as folder, DecodingProcess() as apart:
        for path in files:
            try:
                copy = _cleaned(path, names, phases, apart)
                written += 1
                place = folder / copy.PatientID / _short(copy.StudyInstanceUID) / _short(copy.SeriesInstanceUID)
                place.mkdir(parents=True, exist_ok=True)
                copy.save_as(place / f"{_short(copy.SOPInstanceUID)}.dcm", enforce_file_format=True)
            except InputError as error:
                left_out[error.code if error.code in _REASONS else _UNREADABLE] += 1
            except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
                # What pydicom cannot write or parse; no message of it, which may hold a value, reaches anybody.
                left_out[_UNREADABLE] += 1
            advance()
        if not written:
            message = f"{source}: there is no plain CT image among {len(files)} files."
            raise InputError("NOTHING_READABLE", message, "Give the folder of CT studies.")
    return written, tuple(Notice(code, f"{n} {_REASONS[code]}; left out.") for code, n in sorted(left_out.items()))


def identity_of(image: Dataset) -> str:
    """What stands for a patient: the identifier, or else name and birth date, or else the study."""
    number = str(image.get("PatientID") or "").strip()
    if number:
        return f"id {number}"
    name, born = (str(image.get(k) or "").strip() for k in ("PatientName", "PatientBirthDate"))
    return f"name {name} {born}" if name else f"study {image.get('StudyInstanceUID', '')}"


def _phases(source: Path) -> Mapping[str, Phase]:
    """Phase of each image by its SOPInstanceUID, where the reader is sure of it."""
    found: dict[str, Phase] = {}
    try:
        studies = studies_in(source)
    except CascadeError:
        # What the reader refuses can still be shared; its phases are unknown.
        return found
    for one in studies:
        try:
            study = survey_study(one)
        except CascadeError:
            continue
        sure = {volume.phase for volume in study.volumes if volume.confidence >= MIN_CONFIDENCE}
        for phase, placement in study.slices.items():
            if phase in sure:
                found.update((image.sop_uid, phase) for image in placement.images)
    return found


def _cleaned(path: Path, names: Pseudonyms, phases: Mapping[str, Phase], apart: DecodingProcess) -> FileDataset:
    slices = read_images(path)
    if not slices:
        raise InputError("FILES_SKIPPED", "A file is not a DICOM image.", "Nothing to do.")
    with warnings.catch_warnings():
        # Odd values are left out by the rules of what is kept.
        warnings.simplefilter("ignore")
        source = read_dataset(BytesIO(path.read_bytes()))
        check_plain(source)
        values = [*stored_values(slices, "an image", apart)]
        whole = np.stack(values) if slices[0].frame is not None else values[0]
        return ImageCleaner(names, identity_of(source)).clean(source, whole, phases.get(slices[0].sop_uid))


def _short(uid: str) -> str:
    """Last digits of an identifier, for the name of a folder or file."""
    return str(uid)[-16:]
