"""From a DICOM study, a folder of NIfTI files, or single files to the phases of one study."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from livercascade.data.errors import InputError, UsageError
from livercascade.data.labels import PHASES, Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume
from livercascade.io.dicom_files import find_images
from livercascade.io.dicom_series import MIN_SLICES, DicomStack, StackVolume, is_axial, read_stack, stacks_of
from livercascade.io.nifti import read_ct
from livercascade.io.phase_from_image import measure_organ_hu, phase_probabilities
from livercascade.io.phase_identification import (
    MIN_CONFIDENCE,
    PhaseDecision,
    PhaseEvidence,
    contradicted_by_image,
    guess_from_texts,
    identify_phases,
)
from livercascade.io.study import Study, UnusedSeries, checked_case_id
from livercascade.system.files import sha256_of
from livercascade.system.manifest import MANIFEST

VIRTUAL_RECORD = "virtual.json"
"""Name of the file that says that images beside it are those of a virtual patient."""
_PHASE_FILE = re.compile(r"(nc|ap|vp|dp)\.nii(\.gz)?", re.IGNORECASE)
_NIFTI_FILE = re.compile(r".+\.nii(\.gz)?", re.IGNORECASE)
# Names of sharp reconstruction kernels of the large vendors; their noise hides lesions.
_SHARP = re.compile(r"lung|bone|edge|sharp|detail|^B[A-Za-z]?[6-9]\d|^FC5\d|^YC|^YD", re.IGNORECASE)
_NAME_THEM = "Name the files nc, ap, vp, dp.nii.gz, or give them with --nc, --ap, --vp, --dp."


def read_study(
    source: str | Path | None = None,
    *,
    files: Mapping[Phase, str | Path] | None = None,
    case_id: str | None = None,
) -> Study:
    """Phases of one study; whatever is damaged or doubtful is refused with a code, never guessed.

    For phases in memory see `Study.from_arrays`.

    Args:
        source: DICOM study folder, folder with ``nc|ap|vp|dp.nii[.gz]``, or one NIfTI file whose phase is identified
            from its image. None if ``files`` is given.
        files: NIfTI file per phase, instead of ``source``.
        case_id: Name of the case; taken from the path if absent.

    Raises:
        InputError: ``FILE_MISSING``, ``EMPTY_FOLDER``, ``NOTHING_READABLE``, or the first refusal of a series or file.
        UsageError: ``BAD_CASE_ID``, or neither or both of ``source`` and ``files`` (``WRONG_USE``).

    Example:
        ``read_study("patient/dicom")``, or ``read_study(files={Phase.NC: "a.nii.gz", Phase.VP: "b.nii.gz"})``.
    """
    study = survey_study(source, files=files, case_id=case_id)
    if study.refused:
        raise study.refused[0][1]
    return study


def survey_study(
    source: str | Path | None = None,
    *,
    files: Mapping[Phase, str | Path] | None = None,
    case_id: str | None = None,
) -> Study:
    """As `read_study`, but refusals of single series stand in ``refused`` and are not raised.

    Raises:
        InputError: The study as a whole cannot be read.
        UsageError: As `read_study`.
    """
    if (source is None) == (not files):
        raise UsageError("WRONG_USE", "Exactly one of SOURCE and phase files is needed.", "See --help.")
    if files:
        paths = {phase: Path(path) for phase, path in files.items()}
        first = next(iter(paths.values()))
        return _survey_files(paths, (), case_id=_case_id(case_id, first.absolute().parent.name))
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
        return checked_case_id(given)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:128] or "case"


def _survey_folder(folder: Path, case_id: str) -> Study:
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
    others = [UnusedSeries(name, "FILES_SKIPPED", "not named after a phase") for name in rest]
    return _survey_files(files, others, case_id=case_id)


def _survey_files(files: Mapping[Phase, Path], unused: Sequence[UnusedSeries], *, case_id: str) -> Study:
    volumes: list[PhaseVolume] = []
    notices: list[Notice] = []
    virtual = (next(iter(files.values())).parent / VIRTUAL_RECORD).is_file()
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
    return Study(case_id, tuple(volumes), tuple(notices), tuple(unused), virtual=virtual, refused=tuple(refused))


def _named_file(phase: Phase, path: Path) -> tuple[PhaseVolume, tuple[Notice, ...]] | InputError:
    """A file whose phase the user names, and what was noticed; the refusal is given back rather than raised."""
    try:
        hu, grid, noticed = read_ct(path)
    except InputError as error:
        return error
    seen = phase_probabilities(measure_organ_hu(hu, grid))
    volume = PhaseVolume(phase, hu, grid, "user", 1.0, sha256_of(path), path.name)
    return volume, (*noticed, *contradicted_by_image(path.name, phase, seen))


def _survey_one_file(path: Path, case_id: str) -> Study:
    hu, grid, noticed = read_ct(path)
    name = path.name.split(".nii")[0]
    image = phase_probabilities(measure_organ_hu(hu, grid))
    decision = identify_phases([PhaseEvidence(path.name, image, guess_from_texts([name.replace("_", " ")]))])[0]
    notices = (*noticed, *decision.notices, *_unknown(path.name, decision))
    volume = PhaseVolume(decision.phase, hu, grid, decision.source, decision.confidence, sha256_of(path), path.name)
    return Study(case_id, (volume,), notices, virtual=(path.parent / VIRTUAL_RECORD).is_file())


def _survey_dicom(folder: Path, case_id: str) -> Study:
    if any(_NIFTI_FILE.fullmatch(path.name) for path in folder.iterdir()) and not _has_dicom(folder):
        raise InputError("NOTHING_READABLE", f"{folder}: no file is named after a phase.", _NAME_THEM)
    images, skipped = find_images(folder)
    stacks, split = stacks_of(images)
    chosen, unused, thin = _possible_phases(stacks)
    read, refused = _read_all(chosen)
    taken, noticed, passed = _with_phases(read)
    volumes = tuple(_phase_volume(one, decision) for one, decision in taken.values())
    slices = {phase: one.placement for phase, (one, _) in taken.items()}
    notices = (*skipped, *split, *thin, *(n for one in read for n in one.notices), *noticed)
    return Study(case_id, volumes, notices, (*unused, *passed), dicom=True, slices=slices, refused=refused)


def _has_dicom(folder: Path) -> bool:
    return any(path.is_file() and not _NIFTI_FILE.fullmatch(path.name) for path in folder.rglob("*"))


def _possible_phases(stacks: Sequence[DicomStack]) -> tuple[list[DicomStack], list[UnusedSeries], list[Notice]]:
    """Stacks worth reading; short and non-axial ones only if nothing else is there."""
    unused: list[UnusedSeries] = []
    chosen: list[DicomStack] = []
    for stack in stacks:
        count = len(stack.images)
        if count < MIN_SLICES:
            unused.append(UnusedSeries(stack.name, "TOO_FEW_SLICES", f"{count} slices cannot be a phase"))
        elif not is_axial(stack):
            unused.append(UnusedSeries(stack.name, "DERIVED_SKIPPED", "the slices are not axial"))
        else:
            chosen.append(stack)
    if chosen:
        return chosen, unused, []
    notices = [Notice(one.code, f"{one.name}: {one.reason}, but nothing else is there.") for one in unused]
    return list(stacks), [], notices


def _read_all(stacks: Sequence[DicomStack]) -> tuple[list[StackVolume], tuple[tuple[str, InputError], ...]]:
    read: list[StackVolume] = []
    refused: list[tuple[str, InputError]] = []
    for stack in stacks:
        try:
            read.append(read_stack(stack))
        except InputError as error:
            refused.append((stack.name, error))
    return read, tuple(refused)


def _with_phases(
    read: Sequence[StackVolume],
) -> tuple[dict[Phase, tuple[StackVolume, PhaseDecision]], list[Notice], list[UnusedSeries]]:
    """One stack per phase in channel order, the best of those that claim it."""
    decisions = identify_phases([_evidence(one) for one in read])
    rivals = sorted(zip(read, decisions, strict=True), key=lambda pair: _rank(*pair))
    taken: dict[Phase, tuple[StackVolume, PhaseDecision]] = {}
    notices: list[Notice] = []
    unused: list[UnusedSeries] = []
    # A study whose phases are all unclear is still read, with notices: the user can name them.
    known = any(decision.confidence >= MIN_CONFIDENCE for decision in decisions)
    for one, decision in rivals:
        name, phase = one.stack.name, decision.phase
        if known and decision.confidence < MIN_CONFIDENCE:
            unused.append(UnusedSeries(name, "PHASE_UNKNOWN", f"the phase is not clear (best guess {phase.title})"))
        elif phase in taken:
            kept = taken[phase][0].stack.name
            unused.append(UnusedSeries(name, "PHASE_AMBIGUOUS", f"{phase.title} like {kept}, which was preferred"))
            notices.append(Notice("PHASE_AMBIGUOUS", f"{name} and {kept} both look {phase.title}; {kept} was used."))
        else:
            taken[phase] = (one, decision)
            notices += [*decision.notices, *_unknown(name, decision), *_kernel_notice(one)]
    return {phase: taken[phase] for phase in PHASES if phase in taken}, notices, unused


def _evidence(one: StackVolume) -> PhaseEvidence:
    first = one.stack.images[0]
    texts = [first.text(tag) for tag in ("SeriesDescription", "ProtocolName", "ContrastBolusAgent")]
    image = phase_probabilities(measure_organ_hu(one.hu, one.grid))
    return PhaseEvidence(
        one.stack.name, image, guess_from_texts(texts), one.stack.time, one.stack.series_uid, one.stack.part
    )


def _rank(one: StackVolume, decision: PhaseDecision) -> tuple[bool, int, bool, float, float]:
    """Sort key, best first: clear phase, height covered (to 2 cm), soft kernel, thin slices, confidence."""
    grid = one.grid
    height = round(grid.shape[0] * grid.spacing[0] / 20)
    thickness = round(grid.spacing[0], 1)
    return (decision.confidence < MIN_CONFIDENCE, -height, _is_sharp(one), thickness, -decision.confidence)


def _is_sharp(one: StackVolume) -> bool:
    return bool(_SHARP.search(one.stack.images[0].text("ConvolutionKernel")))


def _kernel_notice(one: StackVolume) -> tuple[Notice, ...]:
    if not _is_sharp(one):
        return ()
    kernel = one.stack.images[0].text("ConvolutionKernel")
    return (Notice("SHARP_KERNEL", f"{one.stack.name}: reconstructed with the sharp kernel {kernel}."),)


def _unknown(name: str, decision: PhaseDecision) -> tuple[Notice, ...]:
    if decision.confidence >= MIN_CONFIDENCE:
        return ()
    text = f"{name}: the phase is not clear; {decision.phase.title} was assumed. Name it with --nc, --ap, --vp or --dp."
    return (Notice("PHASE_UNKNOWN", text),)


def _phase_volume(one: StackVolume, decision: PhaseDecision) -> PhaseVolume:
    return PhaseVolume(
        decision.phase,
        one.hu,
        one.grid,
        source=decision.source,
        confidence=decision.confidence,
        sha256=one.sha256,
        description=one.stack.name,
    )
