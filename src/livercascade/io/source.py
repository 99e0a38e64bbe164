"""From what the user names (a DICOM study, a folder of NIfTI files, or files) to the phases of one study."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from livercascade.data.errors import InputError, UsageError
from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume
from livercascade.io.dicom_files import find_images
from livercascade.io.dicom_series import MIN_SLICES, Stack, StackVolume, is_axial, read_stack, stacks_of
from livercascade.io.nifti import read_ct
from livercascade.io.phase_image import Enhancement, measure_enhancement, phase_probabilities
from livercascade.io.phase_tags import guess_from_texts
from livercascade.io.phases import MIN_CONFIDENCE, Decision, Evidence, contradicted_by_image, decide_phases
from livercascade.system.manifest import MANIFEST

_PHASE_FILE = re.compile(r"(nc|ap|vp|dp)\.nii(\.gz)?", re.IGNORECASE)
_NIFTI_FILE = re.compile(r".+\.nii(\.gz)?", re.IGNORECASE)
_CASE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_SHARP = re.compile(r"lung|bone|edge|sharp|detail|^B[A-Za-z]?[6-9]\d|^FC5\d|^YC|^YD", re.IGNORECASE)
_NAME_THEM = "Name the files nc, ap, vp, dp.nii.gz, or give them with --nc, --ap, --vp, --dp."


@dataclass(frozen=True, slots=True)
class Unused:
    """A series or file that was not analysed: stable code and the reason for people."""

    name: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Study:
    """One study as read: each phase on its own grid.

    Attributes:
        case_id: Safe as a file name: letters, digits, ``._-``.
        volumes: Phases in channel order, each at most once.
        warnings: What was noticed.
        unused: What was not analysed, and why.
        dicom: True if it came from DICOM.
    """

    case_id: str
    volumes: tuple[PhaseVolume, ...]
    warnings: tuple[Notice, ...]
    unused: tuple[Unused, ...]
    dicom: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """A study with the errors of single series set beside it, so that all of them can be told at once.

    Attributes:
        study: What could be read.
        refused: Name of the series or file and the error that refuses the study.
    """

    study: Study
    refused: tuple[tuple[str, InputError], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A stack that was read, with what its image shows."""

    stack: Stack
    volume: StackVolume
    enhancement: Enhancement


def read_study(source: Path | None, *, files: Mapping[Phase, Path] | None = None, case_id: str | None = None) -> Study:
    """Phases of one study.

    Args:
        source: DICOM study folder, folder with ``nc|ap|vp|dp.nii[.gz]``, or one NIfTI file whose phase is told from
            its image. None if ``files`` is given.
        files: NIfTI file per phase; goes instead of ``source``.
        case_id: Name of the case; taken from the path if absent.

    Raises:
        InputError: ``FILE_MISSING``, ``EMPTY_FOLDER``, ``NOTHING_READABLE``, or the first refusal of a series or file.
        UsageError: ``BAD_CASE_ID``, or neither or both of ``source`` and ``files`` (``WRONG_USE``).
    """
    found = survey(source, files=files, case_id=case_id)
    if found.refused:
        raise found.refused[0][1]
    return found.study


def survey(source: Path | None, *, files: Mapping[Phase, Path] | None = None, case_id: str | None = None) -> Survey:
    """As `read_study`, but refusals of single series are returned rather than raised.

    Raises:
        InputError: The study as a whole cannot be read.
        UsageError: As `read_study`.
    """
    if (source is None) == (not files):
        raise UsageError("WRONG_USE", "Exactly one of SOURCE and phase files is needed.", "See --help.")
    if files:
        first = next(iter(files.values()))
        return _survey_files(files, (), case_id=_case_id(case_id, first.absolute().parent.name))
    path = Path(source or "").absolute()
    if path.is_dir():
        return _survey_folder(path, _case_id(case_id, path.name))
    if not path.exists():
        raise InputError("FILE_MISSING", f"{source}: there is no such file or folder.", "Check the path.")
    if not _NIFTI_FILE.fullmatch(path.name):
        raise InputError("NOTHING_READABLE", f"{path.name}: not a NIfTI file.", "Give the folder of a DICOM study.")
    return _survey_one_file(path, _case_id(case_id, path.name.split(".nii")[0]))


def _case_id(given: str | None, name: str) -> str:
    if given is not None:
        if not _CASE_ID.fullmatch(given):
            message = f"'{given[:40]}' cannot name a case."
            raise UsageError("BAD_CASE_ID", message, "Use letters, digits and ._- only, at most 128.")
        return given
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:128] or "case"


def _survey_folder(folder: Path, case_id: str) -> Survey:
    entries = sorted(folder.iterdir())
    named = [path for path in entries if path.is_file() and _PHASE_FILE.fullmatch(path.name)]
    if not named:
        return _survey_dicom(folder, case_id)
    files: dict[Phase, Path] = {}
    for path in named:
        phase = Phase[path.name[:2].upper()]
        if phase in files:
            message = f"{files[phase].name} and {path.name} are both the {phase.title} phase."
            raise InputError("PHASE_AMBIGUOUS", message, "Keep one file per phase.")
        files[phase] = path
    rest = [path.name for path in entries if path not in named and path.name != MANIFEST]
    others = [Unused(name, "FILES_SKIPPED", "not named after a phase") for name in rest]
    return _survey_files(files, others, case_id=case_id)


def _survey_files(files: Mapping[Phase, Path], unused: Sequence[Unused], *, case_id: str) -> Survey:
    volumes: list[PhaseVolume] = []
    notices: list[Notice] = []
    refused: list[tuple[str, InputError]] = []
    ordered = sorted(files, key=lambda p: p.index)
    # Inflating and hashing let other threads run: four phases take little longer than two on two cores.
    with ThreadPoolExecutor(min(len(ordered), os.cpu_count() or 1)) as pool:
        read = list(pool.map(_named_file, ordered, (files[phase] for phase in ordered)))
    for phase, made in zip(ordered, read, strict=True):
        if isinstance(made, InputError):
            refused.append((files[phase].name, made))
        else:
            volumes.append(made[0])
            notices += made[1]
    return Survey(Study(case_id, tuple(volumes), tuple(notices), tuple(unused), dicom=False), tuple(refused))


def _named_file(phase: Phase, path: Path) -> tuple[PhaseVolume, tuple[Notice, ...]] | InputError:
    """A file whose phase the user names, and what was noticed; the refusal is given back rather than raised."""
    try:
        hu, grid, noticed = read_ct(path)
    except InputError as error:
        return error
    seen = phase_probabilities(measure_enhancement(hu, grid))
    volume = PhaseVolume(phase, hu, grid, "user", 1.0, _sha256(path), path.name)
    return volume, (*noticed, *contradicted_by_image(path.name, phase, seen))


def _survey_one_file(path: Path, case_id: str) -> Survey:
    hu, grid, noticed = read_ct(path)
    name = path.name.split(".nii")[0]
    image = phase_probabilities(measure_enhancement(hu, grid))
    decision = decide_phases([Evidence(path.name, image, guess_from_texts([name.replace("_", " ")]))])[0]
    notices = (*noticed, *decision.notices, *_unknown(path.name, decision))
    volume = PhaseVolume(decision.phase, hu, grid, decision.source, decision.confidence, _sha256(path), path.name)
    return Survey(Study(case_id, (volume,), notices, (), dicom=False), ())


def _survey_dicom(folder: Path, case_id: str) -> Survey:
    if any(_NIFTI_FILE.fullmatch(path.name) for path in folder.iterdir()) and not _has_dicom(folder):
        raise InputError("NOTHING_READABLE", f"{folder}: no file is named after a phase.", _NAME_THEM)
    found = find_images(folder)
    stacks, split = stacks_of(found.images)
    chosen, unused, thin = _possible_phases(stacks)
    read, refused = _read_all(chosen)
    volumes, noticed, passed = _with_phases(read)
    notices = (*found.notices, *split, *thin, *(n for one in read for n in one.volume.notices), *noticed)
    return Survey(Study(case_id, volumes, notices, (*unused, *passed), dicom=True), refused)


def _has_dicom(folder: Path) -> bool:
    return any(path.is_file() and not _NIFTI_FILE.fullmatch(path.name) for path in folder.rglob("*"))


def _possible_phases(stacks: Sequence[Stack]) -> tuple[list[Stack], list[Unused], list[Notice]]:
    """Stacks worth reading; short and non-axial ones only if nothing else is there."""
    unused: list[Unused] = []
    chosen: list[Stack] = []
    for stack in stacks:
        count = len(stack.images)
        if count < MIN_SLICES:
            unused.append(Unused(stack.name, "TOO_FEW_SLICES", f"{count} slices cannot be a phase"))
        elif not is_axial(stack):
            unused.append(Unused(stack.name, "DERIVED_SKIPPED", "the slices are not axial"))
        else:
            chosen.append(stack)
    if chosen:
        return chosen, unused, []
    notices = [Notice(one.code, f"{one.name}: {one.reason}, but nothing else is there.") for one in unused]
    return list(stacks), [], notices


def _read_all(stacks: Sequence[Stack]) -> tuple[list[_Read], tuple[tuple[str, InputError], ...]]:
    read: list[_Read] = []
    refused: list[tuple[str, InputError]] = []
    for stack in stacks:
        try:
            volume = read_stack(stack)
        except InputError as error:
            refused.append((stack.name, error))
            continue
        read.append(_Read(stack, volume, measure_enhancement(volume.hu, volume.grid)))
    return read, tuple(refused)


def _with_phases(read: Sequence[_Read]) -> tuple[tuple[PhaseVolume, ...], list[Notice], list[Unused]]:
    """One volume per phase, the best of those that claim it."""
    decisions = decide_phases([_evidence(one) for one in read])
    rivals = sorted(zip(read, decisions, strict=True), key=lambda pair: _rank(*pair))
    taken: dict[Phase, tuple[_Read, Decision]] = {}
    notices: list[Notice] = []
    unused: list[Unused] = []
    known = any(decision.confidence >= MIN_CONFIDENCE for decision in decisions)
    for one, decision in rivals:
        name, phase = one.stack.name, decision.phase
        if known and decision.confidence < MIN_CONFIDENCE:
            unused.append(Unused(name, "PHASE_UNKNOWN", f"the phase is not clear (best guess {phase.title})"))
        elif phase in taken:
            kept = taken[phase][0].stack.name
            unused.append(Unused(name, "PHASE_AMBIGUOUS", f"{phase.title} like {kept}, which was preferred"))
            notices.append(Notice("PHASE_AMBIGUOUS", f"{name} and {kept} both look {phase.title}; {kept} was used."))
        else:
            taken[phase] = (one, decision)
            notices += [*decision.notices, *_unknown(name, decision), *_kernel_notice(one)]
    volumes = tuple(_phase_volume(*taken[phase]) for phase in PHASES if phase in taken)
    return volumes, notices, unused


def _evidence(one: _Read) -> Evidence:
    first = one.stack.images[0]
    texts = [first.text(tag) for tag in ("SeriesDescription", "ProtocolName", "ContrastBolusAgent")]
    image = phase_probabilities(one.enhancement)
    return Evidence(
        one.stack.name, image, guess_from_texts(texts), one.stack.time, one.stack.series_uid, one.stack.part
    )


def _rank(one: _Read, decision: Decision) -> tuple[bool, int, bool, float, float]:
    """Sort key, best first: clear phase, height covered (to 2 cm), soft kernel, thin slices, confidence."""
    grid: Grid = one.volume.grid
    height = round(grid.shape[0] * grid.spacing[0] / 20)
    thickness = round(grid.spacing[0], 1)
    return (decision.confidence < MIN_CONFIDENCE, -height, _is_sharp(one), thickness, -decision.confidence)


def _is_sharp(one: _Read) -> bool:
    return bool(_SHARP.search(one.stack.images[0].text("ConvolutionKernel")))


def _kernel_notice(one: _Read) -> tuple[Notice, ...]:
    if not _is_sharp(one):
        return ()
    kernel = one.stack.images[0].text("ConvolutionKernel")
    return (Notice("SHARP_KERNEL", f"{one.stack.name}: reconstructed with the sharp kernel {kernel}."),)


def _unknown(name: str, decision: Decision) -> tuple[Notice, ...]:
    if decision.confidence >= MIN_CONFIDENCE:
        return ()
    text = f"{name}: the phase is not clear; {decision.phase.title} was assumed. Name it with --nc, --ap, --vp or --dp."
    return (Notice("PHASE_UNKNOWN", text),)


def _phase_volume(one: _Read, decision: Decision) -> PhaseVolume:
    volume = one.volume
    return replace(
        PhaseVolume(decision.phase, volume.hu, volume.grid),
        source=decision.source,
        confidence=decision.confidence,
        sha256=volume.sha256,
        description=one.stack.name,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
