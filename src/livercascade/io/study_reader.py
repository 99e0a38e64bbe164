"""From a DICOM study, a folder of NIfTI files, or single files to the phases of one study."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from livercascade.data.errors import InputError, UsageError
from livercascade.data.labels import PHASES, Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume
from livercascade.io.dicom_files import FoundImages, check_one_study
from livercascade.io.dicom_header import DicomImage
from livercascade.io.dicom_series import MIN_SLICES, DicomStack, StackVolume, is_axial, read_stack, stacks_of
from livercascade.io.dicom_time import injected_at
from livercascade.io.nifti import read_ct
from livercascade.io.phase_from_image import measure_organ_hu, phase_probabilities
from livercascade.io.phase_identification import (
    PhaseDecision,
    PhaseEvidence,
    PhaseFinding,
    contradicted_by_image,
    identify_phases,
    stand_in,
)
from livercascade.io.phase_naming import NamedSeries, PhaseNaming
from livercascade.io.phase_tags import TRUST, coded_phase, guess_from_texts, names_agent, phase_in, time_likelihood
from livercascade.io.study import Study, UnusedSeries, checked_case_id
from livercascade.io.study_sources import PhaseFile, StudyLocation, safe_name, studies_in
from livercascade.system.files import sha256_of, sha256_text, shown

VIRTUAL_RECORD = "virtual.json"
"""Name of the file that says that images beside it are those of a virtual patient."""
# Names of sharp reconstruction kernels of the large vendors; their noise hides lesions.
_SHARP = re.compile(r"lung|bone|edge|sharp|detail|^B[A-Za-z]?[6-9]\d|^FC5\d|^YC|^YD", re.IGNORECASE)
# Reconstructions of one acquisition begin together, and organs are alike in them.
_SAME_TIME_S, _SAME_ORGAN_HU = 1.0, 12.0
# Thinner slices are mostly noise.
_NOISY_MM = 0.9


def read_study(
    source: str | Path | StudyLocation | None = None,
    *,
    files: Mapping[Phase, str | Path] | None = None,
    case_id: str | None = None,
    resample: bool = False,
    naming: PhaseNaming | None = None,
) -> Study:
    """Phases of one study; whatever is damaged or doubtful is refused with a code, never guessed.

    For phases in memory see `Study.from_arrays`.

    Args:
        source: DICOM study folder or zip, folder with ``nc|ap|vp|dp.nii[.gz]``, one NIfTI file whose phase is
            identified from its image, or one of `studies_in`. None if ``files`` is given.
        files: NIfTI file per phase, instead of ``source``.
        case_id: Name of the case; taken from the path if absent.
        resample: True interpolates DICOM series with missing slices, varying distances or a tilted gantry; a notice
            ``RESAMPLED`` tells it. Otherwise they are refused.
        naming: Phases of DICOM series that people name.

    Raises:
        InputError: ``FILE_MISSING``, ``EMPTY_FOLDER``, ``NOTHING_READABLE``, ``MIXED_PATIENTS`` if there are several
            studies, the first refusal of a NIfTI file, or that of a series if no series can be read.
        UsageError: ``BAD_CASE_ID``, neither or both of ``source`` and ``files`` (``WRONG_USE``), or as
            `PhaseNaming.phases_of`.

    Example:
        ``read_study("patient/dicom")``, or ``read_study(files={Phase.NC: "a.nii.gz", Phase.VP: "b.nii.gz"})``.
    """
    study = survey_study(source, files=files, case_id=case_id, resample=resample, naming=naming)
    if study.refused:
        raise study.refused[0][1]
    return study


def survey_study(
    source: str | Path | StudyLocation | None = None,
    *,
    files: Mapping[Phase, str | Path] | None = None,
    case_id: str | None = None,
    resample: bool = False,
    naming: PhaseNaming | None = None,
) -> Study:
    """As `read_study`, but refusals of single series stand in ``refused`` and are not raised.

    Raises:
        InputError: The study as a whole cannot be read.
        UsageError: As `read_study`.
    """
    if (source is None) == (not files):
        raise UsageError("WRONG_USE", "Exactly one of SOURCE and phase files is needed.", "See --help.")
    if files:
        paths = {phase: PhaseFile(Path(path)) for phase, path in files.items()}
        folder = next(iter(paths.values())).path.absolute().parent
        one = StudyLocation(safe_name(folder.name), folder, paths)
    elif isinstance(source, StudyLocation):
        one = source
    else:
        one = _only(studies_in(source or ""))
    case = one.case_id if case_id is None else checked_case_id(case_id)
    if one.found is not None:
        return _survey_dicom(one, case, resample=resample, naming=naming or PhaseNaming())
    return _survey_files(one, case) if one.files else _survey_one_file(one, case)


def _only(studies: Sequence[StudyLocation]) -> StudyLocation:
    if len(studies) > 1:
        message = f"{shown(studies[0].path)}: {len(studies)} studies lie in one folder."
        remedy = "Put each study in a folder of its own; predict, check and convert take several studies at once."
        raise InputError("MIXED_PATIENTS", message, remedy)
    return studies[0]


def _survey_files(source: StudyLocation, case_id: str) -> Study:
    files = source.files
    volumes: list[PhaseVolume] = []
    notices: list[Notice] = []
    virtual = (next(iter(files.values())).path.parent / VIRTUAL_RECORD).is_file()
    refused: list[tuple[str, InputError]] = []
    ordered = sorted(files, key=lambda p: p.index)
    if source.assumed:
        text = f"{case_id}: nobody names the phases of its channels; NC, AP, VP, DP were assumed, in this order."
        notices.append(Notice("PHASE_ASSUMED", text, "Name them with --channels."))
    # Inflating and hashing let other threads run: four phases take little longer than two on two cores.
    with ThreadPoolExecutor(min(len(ordered), os.cpu_count() or 1)) as pool:
        read = list(pool.map(_named_file, ordered, (files[phase] for phase in ordered)))
    for phase, made in zip(ordered, read, strict=True):
        if isinstance(made, InputError):
            refused.append((shown(files[phase].path.name), made))
        elif (same := _same_volume(made[0], volumes)) is not None:
            refused.append((made[0].description, _equal_phases(made[0], same)))
        else:
            volumes.append(made[0])
            notices += made[1]
    unused = tuple(UnusedSeries(name, "FILES_SKIPPED", "not named after a phase") for name in source.beside)
    return Study(case_id, tuple(volumes), tuple(notices), unused, virtual=virtual, refused=tuple(refused))


def _same_volume(one: PhaseVolume, others: Sequence[PhaseVolume]) -> PhaseVolume | None:
    return next((o for o in others if o.grid.matches(one.grid) and np.array_equal(o.hu, one.hu)), None)


def _equal_phases(one: PhaseVolume, other: PhaseVolume) -> InputError:
    names = f"{other.description} ({other.phase.title}) and {one.description} ({one.phase.title})"
    return InputError("EQUAL_PHASES", f"{names} are one and the same image.", "Give each phase its own image.")


def _named_file(phase: Phase, file: PhaseFile) -> tuple[PhaseVolume, tuple[Notice, ...]] | InputError:
    """A file whose phase the user names, and what was noticed; the refusal is given back rather than raised."""
    name, sha256 = shown(file.path.name), ""
    try:
        hu, grid, noticed = read_ct(file.path, volume=file.volume)
        sha256 = sha256_of(file.path)
    except InputError as error:
        return error
    if file.volume is not None:
        name, sha256 = f"{name} volume {file.volume}", sha256_text(f"{sha256} {file.volume}")
    seen = phase_probabilities(measure_organ_hu(hu, grid))
    volume = PhaseVolume(phase, hu, grid, "user", 1.0, sha256, name)
    return volume, (*noticed, *contradicted_by_image(name, phase, seen))


def _survey_one_file(source: StudyLocation, case_id: str) -> Study:
    path = source.path
    hu, grid, noticed = read_ct(path)
    shown_name = shown(path.name)
    words = shown_name.split(".nii")[0].replace("_", " ")
    organs = measure_organ_hu(hu, grid)
    evidence = PhaseEvidence(shown_name, phase_probabilities(organs), guess_from_texts([words]), organs=organs)
    decision = stand_in([evidence], identify_phases([evidence]))[0]
    notices = (*noticed, *decision.notices, *_unknown(shown_name, decision))
    volume = PhaseVolume(decision.phase, hu, grid, decision.source, decision.confidence, sha256_of(path), shown_name)
    virtual = (path.parent / VIRTUAL_RECORD).is_file()
    return Study(case_id, (volume,), notices, virtual=virtual, identified=(PhaseFinding(evidence, decision),))


def _survey_dicom(source: StudyLocation, case_id: str, *, resample: bool, naming: PhaseNaming) -> Study:
    found, folder = source.found or FoundImages(()), source.path
    check_one_study(found.images, folder)
    sorted_study = stacks_of(found.images, found.counts)
    chosen, unused, thin = _possible_phases(sorted_study.stacks)
    read, refused = _read_all(chosen, resample=resample)
    different, copies, equal = _without_copies(read)
    best, others = _best_reconstructions(different)
    taken, noticed, passed, findings = _with_phases(best, naming)
    volumes = tuple(_phase_volume(one, decision) for one, decision in taken.values())
    slices = {phase: one.placement for phase, (one, _) in taken.items()}
    refused = (*sorted_study.refused, *refused, *equal)
    lost, told = _set_aside(refused) if taken else ([], [])
    unused = [*found.unused, *sorted_study.unused, *unused, *lost, *copies, *others, *passed]
    if not taken and not refused:
        raise _no_volume(folder, unused)
    reading = (n for one in best for n in one.notices)
    copied = (Notice(copy.code, f"{copy.name}: {copy.reason}.") for copy in copies)
    notices = (*found.notices, *sorted_study.notices, *thin, *told, *reading, *copied, *noticed)
    notices = (*notices, *_frames_notice(taken))
    left = () if taken else refused
    return Study(
        case_id,
        volumes,
        notices,
        tuple(unused),
        True,
        slices,
        refused=left,
        unpacked=source.unpacked,
        identified=findings,
    )


def _frames_notice(taken: Mapping[Phase, tuple[StackVolume, PhaseDecision]]) -> tuple[Notice, ...]:
    frames = {one.stack.images[0].text("FrameOfReferenceUID") for one, _ in taken.values()}
    if len(frames) < 2:
        return ()
    text = f"The phases have {len(frames)} frames of reference: their places are found from the images."
    return (Notice("FOR_DIFFERS", text),)


def _set_aside(refused: Sequence[tuple[str, InputError]]) -> tuple[list[UnusedSeries], list[Notice]]:
    """A series that cannot be used does not take the study with it, but its error is told."""
    unused = [UnusedSeries(name, error.code, error.message) for name, error in refused]
    return unused, [Notice(e.code, f"{e.message} The series was left out.", e.remedy) for _, e in refused]


def _no_volume(folder: Path, unused: Sequence[UnusedSeries]) -> InputError:
    reasons = "; ".join(f"{one.name}: {one.reason}" for one in unused)
    message = f"{shown(folder)}: no series is a volume ({reasons})."
    return InputError("NOTHING_READABLE", message, "Give the folder with the axial series.")


def _without_copies(
    read: Sequence[StackVolume],
) -> tuple[list[StackVolume], list[UnusedSeries], list[tuple[str, InputError]]]:
    """Volumes that differ; the same voxels at the same place are one volume, sent twice.

    Where their texts name two phases, one of the texts is wrong: neither is used.
    """
    groups: list[list[StackVolume]] = []
    for one in sorted(read, key=_quality):
        equal = (g for g in groups if g[0].grid.matches(one.grid) and np.array_equal(g[0].hu, one.hu))
        if (same := next(equal, None)) is None:
            groups.append([one])
        else:
            same.append(one)
    kept: list[StackVolume] = []
    unused: list[UnusedSeries] = []
    refused: list[tuple[str, InputError]] = []
    for first, *copies in groups:
        named = {found[0] for one in (first, *copies) if (found := guess_from_texts(_texts(one))) is not None}
        if len(named) > 1:
            names = " and ".join(one.stack.name for one in (first, *copies))
            message = f"{names} are one and the same image, but their texts name several phases."
            error = InputError("EQUAL_PHASES", message, "Give each phase its own image.")
            refused += [(one.stack.name, error) for one in (first, *copies)]
            continue
        kept.append(first)
        reason = f"the same voxels at the same place as {first.stack.name}"
        unused += [UnusedSeries(one.stack.name, "DUPLICATE_DROPPED", reason) for one in copies]
    return [one for one in read if one in kept], unused, refused


def _best_reconstructions(read: Sequence[StackVolume]) -> tuple[list[StackVolume], list[UnusedSeries]]:
    """One volume of each acquisition: thin and thick slices, soft and sharp kernels show the same moment."""
    kept: list[StackVolume] = []
    unused: list[UnusedSeries] = []
    for one in sorted(read, key=_quality):
        same = next((k for k in kept if _same_moment(k, one)), None)
        if same is None:
            kept.append(one)
        else:
            reason = f"another reconstruction of {same.stack.name}, which was preferred"
            unused.append(UnusedSeries(one.stack.name, "OTHER_RECONSTRUCTION", reason))
    return [one for one in read if one in kept], unused


def _same_moment(one: StackVolume, other: StackVolume) -> bool:
    times = (one.stack.time, other.stack.time)
    if times[0] is None or times[1] is None or abs(times[0] - times[1]) > _SAME_TIME_S:
        return False
    first, second = one.stack.images[0], other.stack.images[0]
    if first.text("SeriesInstanceUID") == second.text("SeriesInstanceUID") and _differ(first, second):
        return first.text("AcquisitionNumber") == second.text("AcquisitionNumber")
    # A de-identifier may give every series one time: the same moment shows the same contrast as well.
    organs = (measure_organ_hu(one.hu, one.grid), measure_organ_hu(other.hu, other.grid))
    pairs = [(organs[0].aorta, organs[1].aorta), (organs[0].liver, organs[1].liver)]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return bool(known) and all(abs(a - b) <= _SAME_ORGAN_HU for a, b in known)


def _differ(first: DicomImage, second: DicomImage) -> bool:
    return first.text("ConvolutionKernel") != second.text("ConvolutionKernel")


def _possible_phases(stacks: Sequence[DicomStack]) -> tuple[list[DicomStack], list[UnusedSeries], list[Notice]]:
    """Stacks worth reading; short and non-axial ones only if nothing else is there."""
    unused: list[UnusedSeries] = []
    chosen: list[DicomStack] = []
    for stack in stacks:
        count = len(stack.images)
        try:
            axial = is_axial(stack)
        except InputError:
            # Reading it says what is wrong.
            axial = True
        if count < MIN_SLICES:
            unused.append(UnusedSeries(stack.name, "TOO_FEW_SLICES", f"{count} slices cannot be a phase"))
        elif not axial:
            unused.append(UnusedSeries(stack.name, "DERIVED_SKIPPED", "the slices are not axial"))
        else:
            chosen.append(stack)
    if chosen:
        return chosen, unused, []
    notices = [Notice(one.code, f"{one.name}: {one.reason}, but nothing else is there.") for one in unused]
    return list(stacks), [], notices


def _read_all(
    stacks: Sequence[DicomStack], *, resample: bool
) -> tuple[list[StackVolume], tuple[tuple[str, InputError], ...]]:
    read: list[StackVolume] = []
    refused: list[tuple[str, InputError]] = []
    for stack in stacks:
        try:
            read.append(read_stack(stack, resample=resample))
        except InputError as error:
            refused.append((stack.name, error))
    return read, tuple(refused)


def _with_phases(
    read: Sequence[StackVolume], naming: PhaseNaming
) -> tuple[dict[Phase, tuple[StackVolume, PhaseDecision]], list[Notice], list[UnusedSeries], tuple[PhaseFinding, ...]]:
    """One stack per phase in channel order, the best of those that claim it; and what spoke for each.

    Raises:
        UsageError: As `PhaseNaming.phases_of`.
    """
    series = [NamedSeries(one.stack.name, one.stack.series_uid, tuple(_texts(one)[:2])) for one in read]
    named = naming.phases_of(series)
    notices: list[Notice] = []
    unused = [UnusedSeries(read[k].stack.name, "LEFT_OUT", "you left it out") for k, p in named.items() if p is None]
    kept = [k for k in range(len(read)) if named.get(k, Phase.NC) is not None]
    evidence = _evidence([read[k] for k in kept])
    decisions = identify_phases(evidence)
    decisions = tuple(_named(e, d, named.get(k)) for k, e, d in zip(kept, evidence, decisions, strict=True))
    decisions = stand_in(evidence, decisions)
    rivals = sorted(
        zip((read[k] for k in kept), decisions, strict=True), key=lambda pair: (pair[1].source != "user", *_rank(*pair))
    )
    taken: dict[Phase, tuple[StackVolume, PhaseDecision]] = {}
    # A study whose phases are all unclear is still read, with notices: people can name them; `predict` refuses it.
    known = any(decision.known for decision in decisions)
    for one, decision in rivals:
        name, phase = one.stack.name, decision.phase
        if known and not decision.known:
            reason = f"the phase is not clear (best guess {phase.title}, trust {decision.confidence:.2f})"
            unused.append(UnusedSeries(name, "PHASE_UNKNOWN", reason))
            text = f"{name}: {reason}; it was left out. Name it with --phase to use it."
            notices += [*decision.notices, Notice("PHASE_UNKNOWN", text)]
        elif phase in taken and one.stack.derived:
            reason = f"derived images, {phase.title} like {taken[phase][0].stack.name}"
            unused.append(UnusedSeries(name, "DERIVED_SKIPPED", reason))
            notices.append(Notice("DERIVED_SKIPPED", f"{name}: {reason}; they were left out."))
        elif phase in taken:
            preferred = taken[phase][0].stack.name
            unused.append(UnusedSeries(name, "PHASE_AMBIGUOUS", f"{phase.title} like {preferred}, which was preferred"))
            text = f"{name} and {preferred} both look {phase.title}; {preferred} was used."
            notices.append(Notice("PHASE_AMBIGUOUS", text))
        else:
            taken[phase] = (one, decision)
            notices += [*decision.notices, *_unknown(name, decision), *_kernel_notice(one)]
            notices += _derived_notice(one)
    findings = tuple(PhaseFinding(e, d) for e, d in zip(evidence, decisions, strict=True))
    return {phase: taken[phase] for phase in PHASES if phase in taken}, notices, unused, findings


def _named(evidence: PhaseEvidence, decision: PhaseDecision, phase: Phase | None) -> PhaseDecision:
    """What people say of a volume in place of what it seems; a contradiction is told."""
    if phase is None:
        return decision
    notices = contradicted_by_image(evidence.name, phase, evidence.image)
    return PhaseDecision(phase, "user", 1.0, notices, dict.fromkeys(PHASES, 0.0) | {phase: 1.0})


def _evidence(read: Sequence[StackVolume]) -> list[PhaseEvidence]:
    texts = [_texts(one)[:2] for one in read]
    made = [_evidence_of(one, _own_texts(number, read, texts)) for number, one in enumerate(read)]
    times = [one.time for one in made if one.time is not None]
    # Several volumes of one moment that are no reconstructions of each other: their times are copies.
    return [
        replace(one, clock=None)
        if one.time is not None and sum(abs(one.time - time) <= _SAME_TIME_S for time in times) > 1
        else one
        for one in made
    ]


def _evidence_of(one: StackVolume, text: tuple[Phase, float] | None) -> PhaseEvidence:
    stack, first = one.stack, one.stack.images[0]
    organs = measure_organ_hu(one.hu, one.grid)
    agent = first.text("ContrastBolusAgent")
    return PhaseEvidence(
        stack.name,
        phase_probabilities(organs),
        coded_phase(first.text("ContrastBolusAgentPhase")) or text,
        stack.time,
        stack.series_uid,
        stack.part,
        organs,
        time_likelihood(stack.time, injected_at(first)),
        names_agent(agent) if agent else None,
    )


def _own_texts(number: int, read: Sequence[StackVolume], texts: Sequence[Sequence[str]]) -> tuple[Phase, float] | None:
    """Phase that the texts of one volume name; a text of several acquisitions is right of one of them at most."""
    for column, text in enumerate(texts[number]):
        found = phase_in(text)
        if found is None:
            continue
        alike = [
            k for k in range(len(read)) if k == number or (texts[k][column] == text and _apart(read[number], read[k]))
        ]
        return found[0], min(found[1], TRUST[column]) / len(alike)
    return None


def _apart(one: StackVolume, other: StackVolume) -> bool:
    """True for volumes that were not acquired together: parts of one series, or at other times."""
    times = (one.stack.time, other.stack.time)
    if one.stack.series_uid == other.stack.series_uid:
        return True
    return times[0] is None or times[1] is None or abs(times[0] - times[1]) > _SAME_TIME_S


def _texts(one: StackVolume) -> list[str]:
    first = one.stack.images[0]
    return [first.text(tag) for tag in ("SeriesDescription", "ProtocolName", "ContrastBolusAgent")]


def _rank(one: StackVolume, decision: PhaseDecision) -> tuple[bool, tuple[bool, int, bool, bool, float], float]:
    """Sort key, best first: clear phase, quality, confidence."""
    return (not decision.known, _quality(one), -decision.confidence)


def _quality(one: StackVolume) -> tuple[bool, int, bool, bool, float]:
    """Sort key, best first: original, height covered (to 2 cm), soft kernel, thin slices, though not below 0.9 mm."""
    grid = one.grid
    height = round(grid.shape[0] * grid.spacing[0] / 20)
    thickness = round(grid.spacing[0], 1)
    return (one.stack.derived, -height, _is_sharp(one), thickness < _NOISY_MM, thickness)


def _is_sharp(one: StackVolume) -> bool:
    return bool(_SHARP.search(one.stack.images[0].text("ConvolutionKernel")))


def _kernel_notice(one: StackVolume) -> tuple[Notice, ...]:
    if not _is_sharp(one):
        return ()
    kernel = one.stack.images[0].text("ConvolutionKernel")
    return (Notice("SHARP_KERNEL", f"{one.stack.name}: reconstructed with the sharp kernel {kernel}."),)


def _derived_notice(one: StackVolume) -> list[Notice]:
    text = f"{one.stack.name}: all images are marked as derived; they were used since no original shows this phase."
    return [Notice("DERIVED_USED", text)] if one.stack.derived else []


def _unknown(name: str, decision: PhaseDecision) -> tuple[Notice, ...]:
    if decision.known:
        return ()
    text = f"{name}: the phase is not clear (best guess {decision.phase.title}, trust {decision.confidence:.2f})."
    remedy = f"Name it: --phase {decision.phase.value}='{name}', or --{decision.phase.value.lower()} for a file."
    return (Notice("PHASE_UNKNOWN", text, remedy),)


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
