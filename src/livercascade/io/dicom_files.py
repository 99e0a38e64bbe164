"""Finding the CT slices of a folder: junk, other objects and projections are set apart, counted and named."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from livercascade.data.errors import InputError
from livercascade.data.notice import Notice
from livercascade.io.dicom_header import DicomImage, read_images
from livercascade.io.study import UnusedSeries
from livercascade.system.files import shown

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_DIRECTORY = "1.2.840.10008.1.3.10"
# Words of ImageType that stand for projections and maps, which are no slices in HU.
_PROJECTIONS = (
    *("MIP", "MINIP", "MIN IP", "MAX IP", "VRT", "PROJECTION IMAGE", "VOLUME_RENDER", "SCREENSHOT", "SCREEN SAVE"),
    *("IODINE", "VNC", "MONOENERGETIC", "ZEFF", "EFFECTIVE", "ELECTRON", "SUBTRACT", "PERFUSION"),
)
# The same in the description of a derived series, where words mean more than one thing.
_PROJECTION_WORDS = re.compile(
    r"\b(mip|minip|vrt|iodine|vnc|zeff|electron density|subtraction|perfusion|blood (flow|volume)|mtt|ttp)\b"
    r"|\bmono\w*[ _]?e?[ _]?\d{2,3}|\d{2,3} ?kev\b",
    re.IGNORECASE,
)
# Secondary captures with these tags are slices that a research tool wrote into that class.
_SLICE_TAGS = ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept")


@dataclass(frozen=True, slots=True, eq=False)
class FoundImages:
    """CT slices of a folder, and what was left out.

    Attributes:
        images: Slices that may belong to a volume, in the order of their paths.
        notices: What was left out, counted.
        unused: Series of which nothing is left.
        counts: Number of images of each SeriesInstanceUID before anything was left out.
    """

    images: tuple[DicomImage, ...]
    notices: tuple[Notice, ...] = ()
    unused: tuple[UnusedSeries, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


def find_images(folder: Path) -> FoundImages:
    """CT slices below a folder, or in one file, that may belong to a volume; links are followed, each folder once.

    Raises:
        InputError: ``EMPTY_FOLDER``, ``NOTHING_READABLE``, ``WRONG_MODALITY``, ``CANNOT_READ``, ``MALFORMED_DICOM`` or
            ``TOO_LARGE``.
    """
    files, denied = _files_below(folder) if folder.is_dir() else ([folder], [])
    if not files and not denied:
        message = f"{shown(folder)}: the folder is empty."
        raise InputError("EMPTY_FOLDER", message, "Give the folder that holds the study.")
    images: list[DicomImage] = []
    damaged: list[tuple[Path, InputError]] = []
    skipped = 0
    for path in files:
        try:
            found = read_images(path)
        except OSError as error:
            denied.append((path, error.strerror or "it cannot be read"))
        except InputError as error:
            damaged.append((path, error))
        else:
            images += found
            skipped += not found
    _check_read(images, denied, damaged)
    images = [image for image in images if image.sop_class != _DIRECTORY]
    if not images:
        message = f"{shown(folder)}: none of {len(files)} files is DICOM or NIfTI."
        raise InputError("NOTHING_READABLE", message, "Give a DICOM study or files named nc, ap, vp, dp.nii.gz.")
    notices = _counted("FILES_SKIPPED", skipped, "files that are not DICOM images were skipped")
    notices += [Notice("CANNOT_READ", f"{shown(path)}: {reason}; it was left out.") for path, reason in denied]
    ct, more = _only_ct(images, folder)
    kept, dropped, unused = _without_projections(ct)
    if not kept:
        message = f"{shown(folder)}: there are localizers, projections or screenshots only."
        raise InputError("NOTHING_READABLE", message, "Give the folder with the axial series.")
    counts = Counter(image.text("SeriesInstanceUID") for image in images)
    return FoundImages(tuple(kept), (*notices, *more, *dropped), tuple(unused), counts)


def by_study(images: Sequence[DicomImage]) -> dict[str, list[DicomImage]]:
    """Slices by StudyInstanceUID, in the order in which the studies come."""
    studies: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        studies[image.text("StudyInstanceUID")].append(image)
    return dict(studies)


def check_one_study(images: Sequence[DicomImage], folder: Path) -> None:
    """Refuse slices of several patients or studies.

    Raises:
        InputError: ``MIXED_PATIENTS``.
    """
    for keyword, what in (("PatientID", "patients"), ("StudyInstanceUID", "studies")):
        count = len({image.text(keyword) for image in images})
        if count > 1:
            message = f"{shown(folder)}: images of {count} {what} lie in one folder."
            remedy = "Put each study in a folder of its own; predict, check and convert take several studies at once."
            raise InputError("MIXED_PATIENTS", message, remedy)


def _files_below(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Files below a folder, sorted, and what cannot be opened there with the reason."""
    denied: list[tuple[Path, str]] = []
    files: list[Path] = []
    for path in _walk(folder, set(), denied):
        try:
            # Not open: a pipe would wait for ever.
            if path.is_file():
                files.append(path)
            elif path.is_symlink() and not path.exists():
                denied.append((path, "the link leads nowhere"))
        except OSError as error:
            denied.append((path, error.strerror or "it cannot be read"))
    return sorted(files), denied


def _walk(folder: Path, seen: set[tuple[int, int]], denied: list[tuple[Path, str]]) -> Iterator[Path]:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        entries = [(Path(entry.path), entry.is_dir()) for entry in os.scandir(folder)]
    except OSError as error:
        denied.append((folder, error.strerror or "it cannot be read"))
        return
    for path, is_folder in entries:
        if is_folder:
            yield from _walk(path, seen, denied)
        else:
            yield path


def _check_read(
    images: Sequence[DicomImage], denied: Sequence[tuple[Path, str]], damaged: Sequence[tuple[Path, InputError]]
) -> None:
    """Refuse a study of which a slice may be lost: a file beside its images cannot be read."""
    beside = {image.path.parent for image in images}
    for path, error in damaged:
        if path.parent in beside or not images:
            raise error
    for path, reason in denied:
        if path.parent in beside or not images:
            message = f"{shown(path)}: {reason}."
            raise InputError("CANNOT_READ", message, "Give yourself the right to read it, or remove it.")


def _only_ct(images: Sequence[DicomImage], folder: Path) -> tuple[list[DicomImage], list[Notice]]:
    series_of_ct = {image.text("SeriesInstanceUID") for image in images if image.text("Modality") == "CT"}
    ct: list[DicomImage] = []
    rest: list[DicomImage] = []
    for image in images:
        (ct if _is_ct(image, series_of_ct) else rest).append(image)
    others = Counter(image.text("Modality") or "unknown" for image in rest)
    if not ct:
        text = ", ".join(sorted({_kind(image) for image in rest}))
        message = f"{shown(folder)}: there are no CT slices, but {text}."
        raise InputError(
            "WRONG_MODALITY", message, "Give a CT study as CT images, one file for each slice or enhanced."
        )
    captures = sum(image.sop_class.startswith(_SECONDARY_CAPTURE) for image in rest)
    text = ", ".join(f"{count} {name}" for name, count in sorted(others.items()))
    notices = _counted("OBJECTS_SKIPPED", others.total(), f"objects that are not CT slices were left out ({text})")
    notices += _counted("DERIVED_SKIPPED", captures, "secondary captures were left out")
    odd = Counter(image.text("Modality") for image in ct if image.text("Modality") not in ("CT", ""))
    text = ", ".join(sorted(odd))
    notices += _counted("MODALITY_ODD", odd.total(), f"CT images name another modality ({text[:40]})")
    captured = [image for image in ct if image.sop_class.startswith(_SECONDARY_CAPTURE)]
    return ct, notices + _counted("CLASS_ODD", len(captured), "CT slices are stored as secondary captures")


def _is_ct(image: DicomImage, series_of_ct: Container[str]) -> bool:
    modality = image.text("Modality")
    if image.sop_class == _CT_IMAGE or image.sop_class in _ENHANCED_CT:
        # OT, other, says nothing; one odd slice among those of a CT is one of them, not a gap.
        return modality in ("CT", "", "OT") or image.text("SeriesInstanceUID") in series_of_ct
    if image.sop_class.startswith(_SECONDARY_CAPTURE):
        return modality == "CT" and all(image.text(tag) for tag in _SLICE_TAGS)
    return False


def _kind(image: DicomImage) -> str:
    if image.sop_class.startswith(_SECONDARY_CAPTURE):
        return f"secondary captures (modality {image.text('Modality') or 'unknown'}) without place and rescale"
    return f"modality {image.text('Modality') or 'unknown'}"


def _without_projections(
    images: Sequence[DicomImage],
) -> tuple[list[DicomImage], list[Notice], list[UnusedSeries]]:
    """Drop localizers, projections and maps; other derived images stay, series by series."""
    kept: list[DicomImage] = []
    localizers: list[DicomImage] = []
    maps: list[DicomImage] = []
    for image in images:
        (localizers if "LOCALIZER" in image.image_type else maps if _is_projection(image) else kept).append(image)
    notices = _counted("LOCALIZER_DROPPED", len(localizers), "localizer images were left out")
    notices += _counted("DERIVED_SKIPPED", len(maps), "projections, maps or screenshots were left out")
    used = {image.text("SeriesInstanceUID") for image in kept}
    unused = [
        UnusedSeries(f"series {group[0].text('SeriesNumber') or '?'}", code, f"{len(group)} {what}")
        for code, what, left in (
            ("LOCALIZER_DROPPED", "localizer images", localizers),
            ("DERIVED_SKIPPED", "projections, maps or screenshots", maps),
        )
        for uid, group in _by_series(left).items()
        if uid not in used
    ]
    return kept, notices, unused


def _by_series(images: Sequence[DicomImage]) -> dict[str, list[DicomImage]]:
    series: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        series[image.text("SeriesInstanceUID")].append(image)
    return series


def _is_projection(image: DicomImage) -> bool:
    if image.text("SamplesPerPixel") not in ("", "1", "1\\1"):
        return True
    described = image.image_type[0] == "DERIVED" and _PROJECTION_WORDS.search(image.text("SeriesDescription"))
    return bool(described) or any(word in part for part in image.image_type for word in _PROJECTIONS)


def _counted(code: str, count: int, text: str) -> list[Notice]:
    return [Notice(code, f"{count} {text}")] if count else []
