"""The studies that a path holds: a folder may hold several, a zip or the index of a CD leads to one or more."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from livercascade.data.errors import InputError
from livercascade.data.labels import PHASES, Phase
from livercascade.io.archive import UnpackedFolder, unpack
from livercascade.io.dicom_files import FoundImages, by_study, find_images
from livercascade.io.dicom_header import read_images
from livercascade.io.nifti import volumes_of
from livercascade.io.phase_identification import guess_from_texts
from livercascade.system.files import sha256_text, shown
from livercascade.system.manifest import MANIFEST

_PHASE_FILE = re.compile(r"(nc|ap|vp|dp)\.nii(\.gz)?", re.IGNORECASE)
_NIFTI_FILE = re.compile(r".+\.nii(\.gz)?", re.IGNORECASE)
# nnU-Net's names of images: case and channel.
_CHANNEL_FILE = re.compile(r"(.+)_(\d{4})\.nii(\.gz)?", re.IGNORECASE)
_NAME_THEM = "Name the files nc, ap, vp, dp.nii.gz, or give them with --nc, --ap, --vp, --dp."
_NAME_CHANNELS = "Name the phases of the channels in order, for example --channels nc,ap,vp,dp."


@dataclass(frozen=True, slots=True)
class PhaseFile:
    """NIfTI file of one phase, and which of its volumes it is; None for a file of one volume."""

    path: Path
    volume: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StudyLocation:
    """Where one study lies.

    Attributes:
        case_id: Name of the case, safe as a file name.
        path: Folder or file, for messages.
        files: NIfTI file per phase; empty for DICOM, and for one file whose phase is identified from its image.
        found: DICOM slices; None for NIfTI.
        beside: Names of other files beside those of the phases.
        assumed: True if the order of the phases was assumed and not said by anybody.
        unpacked: Folder that an archive was unpacked into; it goes with the source.
    """

    case_id: str
    path: Path
    files: Mapping[Phase, PhaseFile] = field(default_factory=dict[Phase, PhaseFile])
    found: FoundImages | None = None
    beside: tuple[str, ...] = ()
    assumed: bool = False
    unpacked: UnpackedFolder | None = None


def studies_in(source: str | Path, channels: Sequence[Phase] | None = None) -> tuple[StudyLocation, ...]:
    """Studies below a path, at least one, sorted by the names of the cases.

    A folder holds files named after phases, cases named as nnU-Net names them, folders of such cases, or DICOM.

    Args:
        source: Folder, DICOM or NIfTI file, DICOMDIR, or zip of any of these.
        channels: Phase of each channel of files in nnU-Net's names, and of each volume of one file.

    Raises:
        InputError: ``FILE_MISSING``, ``CANNOT_READ``, ``NOTHING_READABLE``, ``PHASE_UNKNOWN``, ``PHASE_AMBIGUOUS``, and
            those of `find_images` and `unpack`.
    """
    path = Path(source).absolute()
    try:
        if not path.exists():
            raise InputError("FILE_MISSING", f"{shown(source)}: there is no such file or folder.", "Check the path.")
        if path.is_dir():
            found = _in_folder(path, channels)
        elif path.name.upper() == "DICOMDIR":
            found = _in_folder(path.parent, channels)
        else:
            found = _in_file(path, channels)
    except OSError as error:
        message = f"{shown(error.filename or path)}: {error.strerror or 'it cannot be read'}."
        raise InputError("CANNOT_READ", message, "Give yourself the right to read it.") from error
    return tuple(sorted(found, key=lambda one: one.case_id))


def safe_name(name: str) -> str:
    """A name with letters, digits and ``._-`` only, as a case needs it.

    >>> safe_name("Müller, 2nd scan")
    'M-ller-2nd-scan'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:128] or "case"


def _in_file(path: Path, channels: Sequence[Phase] | None) -> list[StudyLocation]:
    if path.suffix.lower() == ".zip":
        folder = unpack(path)
        entries = list(folder.path.iterdir())
        # Most archives hold one folder, and that has the better name.
        inside = entries[0] if len(entries) == 1 and entries[0].is_dir() else folder.path
        found = _in_folder(inside, channels)
        alone = safe_name(path.stem) if len(found) == 1 else None
        return [replace(one, case_id=alone or one.case_id, unpacked=folder) for one in found]
    if _NIFTI_FILE.fullmatch(path.name):
        case_id = safe_name(path.name.split(".nii")[0])
        count = volumes_of(path)
        if count == 1:
            return [StudyLocation(case_id, path)]
        if channels is None:
            message = f"{shown(path.name)}: the file holds {count} volumes, and nobody says which phases they are."
            raise InputError("WRONG_DIMS", message, _NAME_CHANNELS)
        phases, _ = _phases_of(range(count), channels, path)
        return [StudyLocation(case_id, path, {p: PhaseFile(path, k) for k, p in phases.items()})]
    if read_images(path):
        return _dicom_studies(path)
    raise InputError("NOTHING_READABLE", f"{shown(path.name)}: not NIfTI, DICOM or zip.", "Give the study's folder.")


def _in_folder(folder: Path, channels: Sequence[Phase] | None) -> list[StudyLocation]:
    entries = sorted(folder.iterdir())
    files = [path for path in entries if path.is_file()]
    if named := _named_phases(files):
        taken = {file.path for file in named.values()}
        rest = tuple(shown(path.name) for path in entries if path not in taken and path.name != MANIFEST)
        return [StudyLocation(safe_name(folder.name), folder, named, beside=rest)]
    if cases := _channel_files(files):
        return [_nnunet_case(name, of_case, channels) for name, of_case in cases.items()]
    inside = {p: named for p in entries if p.is_dir() and (named := _named_phases(sorted(p.glob("*.nii*"))))}
    if inside and not any(read_images(path) for path in files if not _NIFTI_FILE.fullmatch(path.name)):
        return [
            StudyLocation(safe_name(path.name), path, _named_phases(sorted(path.glob("*.nii*")))) for path in inside
        ]
    if any(_NIFTI_FILE.fullmatch(path.name) for path in files) and not _has_dicom(folder):
        raise InputError("NOTHING_READABLE", f"{shown(folder)}: no file is named after a phase.", _NAME_THEM)
    return _dicom_studies(folder)


def _has_dicom(folder: Path) -> bool:
    return any(path.is_file() and not _NIFTI_FILE.fullmatch(path.name) for path in folder.rglob("*"))


def phase_of_file(path: Path) -> Phase | None:
    """Phase that a file's name says in our layout, ``ap.nii.gz`` for example; None for other names."""
    return Phase[path.name[:2].upper()] if _PHASE_FILE.fullmatch(path.name) else None


def _named_phases(files: Sequence[Path]) -> dict[Phase, PhaseFile]:
    found: dict[Phase, PhaseFile] = {}
    for path in files:
        phase = phase_of_file(path)
        if phase is None:
            continue
        if phase in found:
            message = f"{shown(found[phase].path.name)} and {shown(path.name)} are both the {phase.title} phase."
            raise InputError("PHASE_AMBIGUOUS", message, "Keep one file per phase.")
        found[phase] = PhaseFile(path)
    return found


def _channel_files(files: Sequence[Path]) -> dict[str, dict[int, Path]]:
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in files:
        if match := _CHANNEL_FILE.fullmatch(path.name):
            cases[match[1]][int(match[2])] = path
    return dict(cases)


def _nnunet_case(name: str, files: Mapping[int, Path], channels: Sequence[Phase] | None) -> StudyLocation:
    folder = next(iter(files.values())).parent
    named = channels or _channels_of_dataset(folder)
    if named is None and len(files) == 1:
        # One channel whose phase nobody names: the image says it.
        return StudyLocation(safe_name(name), next(iter(files.values())))
    phases, assumed = _phases_of(files, named, folder / name)
    chosen = {phase: PhaseFile(files[number]) for number, phase in phases.items()}
    return StudyLocation(safe_name(name), folder / name, chosen, assumed=assumed)


def _phases_of(
    numbers: Sequence[int] | range | Mapping[int, Path], channels: Sequence[Phase] | None, path: Path
) -> tuple[dict[int, Phase], bool]:
    """Phase of each channel, and whether it was assumed: four channels stand in the order NC, AP, VP, DP."""
    order = sorted(numbers)
    assumed = channels is None and order == list(range(len(PHASES)))
    named = PHASES if assumed else channels
    if named is None:
        message = f"{shown(path.name)}: {len(order)} channels, and nobody says which phases they are."
        raise InputError("PHASE_UNKNOWN", message, _NAME_CHANNELS, stage="phase")
    if order[-1] >= len(named) or len(set(named)) < len(named):
        text = ", ".join(phase.value for phase in named)
        message = f"{shown(path.name)}: channel {order[-1]} is there, but the channels named are {text}."
        raise InputError("PHASE_AMBIGUOUS", message, _NAME_CHANNELS, stage="phase")
    return {number: named[number] for number in order}, assumed


def _channels_of_dataset(folder: Path) -> tuple[Phase, ...] | None:
    """Phases that nnU-Net's ``dataset.json`` beside or above the images names; None if it names none."""
    for place in (folder / "dataset.json", folder.parent / "dataset.json"):
        try:
            record = json.loads(place.read_text(encoding="utf-8"))
            names = record.get("channel_names") or record.get("modality") or {}
            texts = [str(names[str(number)]) for number in range(len(names))]
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue
        phases = [_phase_called(text) for text in texts]
        if phases and None not in phases:
            return tuple(phase for phase in phases if phase is not None)
    return None


def _phase_called(text: str) -> Phase | None:
    if text.strip().upper() in Phase.__members__:
        return Phase[text.strip().upper()]
    found = guess_from_texts([text])
    return None if found is None else found[0]


def _dicom_studies(path: Path) -> list[StudyLocation]:
    found = find_images(path)
    studies = by_study(found.images)
    if len(studies) == 1:
        return [StudyLocation(safe_name(path.name if path.is_dir() else path.stem), path, found=found)]
    folders = {uid: _common_folder([image.path for image in images]) for uid, images in studies.items()}
    # Folders of their own name studies better than numbers do; else the same study has the same name each time.
    apart = not any(
        one == other or other in one.parents
        for uid, one in folders.items()
        for rival, other in folders.items()
        if uid != rival
    )
    names = {
        uid: safe_name(str(folder.relative_to(path)) if apart else f"{path.name}-{sha256_text(uid)[:8]}")
        for uid, folder in folders.items()
    }
    return [
        StudyLocation(names[uid], path, found=replace(found, images=tuple(images))) for uid, images in studies.items()
    ]


def _common_folder(paths: Sequence[Path]) -> Path:
    first = paths[0].parent
    return next(
        folder for folder in (first, *first.parents) if all(folder == p.parent or folder in p.parents for p in paths)
    )
