"""Which files belong to which case: truth, every found side, and all that can be refused before work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from livercascade.data.errors import InputError, UsageError
from livercascade.io.nifti import read_grid
from livercascade.results.evidence_file import EVIDENCE
from livercascade.results.result import CaseResult

LESIONS, RESULT, RECORD = "lesions.nii.gz", "result.json", "virtual.json"
_TRUTH_NAMES = ("labels.nii.gz", "truth.nii.gz", "segmentation.nii.gz")
_FOUND_NAMES = ("segmentation.nii.gz", "labels.nii.gz")
_ENDINGS = (".nii.gz", ".nii")
_SHOWN = 5


class Kind(Enum):
    """What one found side consists of."""

    LABEL_MAPS = "label maps"
    CASE_FOLDERS = "case folders"


@dataclass(frozen=True, slots=True)
class FoundSide:
    """One ``--found``.

    Attributes:
        name: As given, or the folder's name.
        kind: Label maps or case folders.
        paths: Label map or case folder by case.
        named: True if the user gave the name.
        evidence: True if every case folder keeps the evidence from which all models of the cascade follow.
        virtual: True if a result says that its patient is virtual.
    """

    name: str
    kind: Kind
    paths: Mapping[str, Path]
    named: bool
    evidence: bool = False
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class Cohort:
    """Files of all cases; every side has every case, on one grid.

    Attributes:
        truth: Label map of the truth by case, in the order of the names.
        found: The found sides, in the order given.
        coverage: Mask of what was read for the truth, for the cases that have one.
        virtual: True if the truth or a result says that the patients are virtual.
    """

    truth: Mapping[str, Path]
    found: tuple[FoundSide, ...]
    coverage: Mapping[str, Path]
    virtual: bool


def find_cohort(truth: Path, found: Sequence[tuple[str | None, Path]], *, coverage: Path | None = None) -> Cohort:
    """Find the files of every case and refuse what does not fit, from names and headers alone.

    A folder holds ``<case>.nii.gz`` (or ``.nii``) or one folder per case: for the truth with ``labels.nii.gz`` as
    ``livercascade virtual`` writes it, for a found side a case folder of ``livercascade predict``.

    Args:
        truth: Folder of the truth.
        found: Name, if the user gave one, and folder of every found side.
        coverage: Folder of masks ``<case>.nii.gz``, not 0 where the truth was read; other cases were read everywhere.

    Raises:
        UsageError: ``NAME_TWICE`` if two found sides have one name, ``NO_FOUND`` if there is none.
        InputError: ``NO_FOLDER``, ``NO_CASES``, ``CASE_TWICE``, ``MISSING_CASES``, ``EXTRA_CASES``, ``MIXED_KINDS``,
            ``BAD_RESULT``, ``NOT_FINISHED``, ``GRID_MISMATCH``, and what `read_grid` raises.
    """
    names = _names(found)
    true = _maps(truth, _TRUTH_NAMES)
    sides = tuple(_side(name, folder, given is not None) for name, (given, folder) in zip(names, found, strict=True))
    for side in sides:
        _check_complete(true, side, truth)
    covered = {} if coverage is None else _maps(coverage, ("coverage.nii.gz",))
    unknown = sorted(covered.keys() - true.keys())
    if unknown:
        message = f"{coverage}: {_listed(unknown, len(true))} that the truth in {truth} does not have."
        raise InputError("EXTRA_CASES", message, "Remove them.", stage="measure")
    _check_grids(true, sides, covered)
    return Cohort(true, sides, covered, _virtual(truth, true) or any(side.virtual for side in sides))


def label_map(case: Path) -> Path:
    """The image of one case of a found side: the label map itself, or the numbered lesions of a case folder."""
    return case / LESIONS if case.is_dir() else case


def read_result(folder: Path) -> CaseResult:
    """The record of a case folder that was finished.

    Raises:
        InputError: ``BAD_RESULT``: result.json cannot be read; ``NOT_FINISHED``: the case was rejected or failed.
    """
    try:
        result = CaseResult.model_validate_json((folder / RESULT).read_bytes())
    except (OSError, ValidationError) as error:
        message = f"case {folder.name}: {folder / RESULT} is not a result of this version."
        raise InputError("BAD_RESULT", message, "Run 'livercascade predict --again' on it.", stage="measure") from error
    if not result.status.finished or not (folder / LESIONS).is_file():
        message = f"case {folder.name}: {folder} holds no lesions, its status is {result.status.value}."
        raise InputError("NOT_FINISHED", message, "Analyse it again, or take it out of the truth.", stage="measure")
    return result


def _names(found: Sequence[tuple[str | None, Path]]) -> list[str]:
    if not found:
        raise UsageError("NO_FOUND", "There is nothing to evaluate.", "Give --found NAME=DIR at least once.")
    names = [given if given is not None else folder.absolute().name for given, folder in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"two found folders are called {twice[0]!r}."
        raise UsageError("NAME_TWICE", message, "Give each a name of its own: --found NAME=DIR.")
    return names


def _maps(folder: Path, inside: Sequence[str]) -> dict[str, Path]:
    """Label map by case: files of the folder, and the first of the names ``inside`` each of its folders."""
    cases: dict[str, Path] = {}
    for case, path in _entries(folder):
        chosen = path if path.is_file() else next((path / n for n in inside if (path / n).is_file()), None)
        if chosen is not None:
            _add(cases, case, chosen, folder)
    return _not_empty(cases, folder)


def _side(name: str, folder: Path, named: bool) -> FoundSide:
    results = {case: path for case, path in _entries(folder) if path.is_dir() and (path / RESULT).is_file()}
    if not results:
        return FoundSide(name, Kind.LABEL_MAPS, _maps(folder, _FOUND_NAMES), named)
    others = sorted(case for case, path in _entries(folder) if path.is_file())
    if others:
        message = f"{folder}: case folders lie beside label maps ({', '.join(others[:_SHOWN])})."
        raise InputError("MIXED_KINDS", message, "Put them into folders of their own.", stage="measure")
    evidence = all((path / EVIDENCE).is_file() for path in results.values())
    records = [read_result(path) for path in results.values()]
    return FoundSide(name, Kind.CASE_FOLDERS, results, named, evidence, any(r.virtual for r in records))


def _entries(folder: Path) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        raise InputError("NO_FOLDER", f"{folder}: there is no such folder.", "Check the path.", stage="measure")
    entries: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        ending = next((e for e in _ENDINGS if path.name.endswith(e)), None)
        if path.name.startswith("."):
            continue
        if path.is_dir():
            entries.append((path.name, path))
        elif ending is not None:
            entries.append((path.name.removesuffix(ending), path))
    return entries


def _add(cases: dict[str, Path], case: str, path: Path, folder: Path) -> None:
    if case in cases:
        message = f"{folder}: case {case} is there twice, as {cases[case].name} and {path.name}."
        raise InputError("CASE_TWICE", message, "Keep one of them.", stage="measure")
    cases[case] = path


def _not_empty(cases: dict[str, Path], folder: Path) -> dict[str, Path]:
    if not cases:
        message = f"{folder}: there is no label map <case>.nii.gz and no case folder."
        raise InputError("NO_CASES", message, "Give the folder that holds the cases.", stage="measure")
    return cases


def _check_complete(truth: Mapping[str, Path], side: FoundSide, folder: Path) -> None:
    missing, extra = sorted(truth.keys() - side.paths.keys()), sorted(side.paths.keys() - truth.keys())
    if missing:
        message = f"found {side.name!r} lacks {_listed(missing, len(truth))} of the truth."
        raise InputError("MISSING_CASES", message, "Add them, or take them out of the truth.", stage="measure")
    if extra:
        message = f"found {side.name!r} has {_listed(extra, len(side.paths))} that the truth in {folder} does not have."
        raise InputError("EXTRA_CASES", message, "Take them out, or add their truth.", stage="measure")


def _check_grids(truth: Mapping[str, Path], sides: Sequence[FoundSide], coverage: Mapping[str, Path]) -> None:
    for case, path in truth.items():
        grid = read_grid(path, is_ct=False)
        others = {f"found {side.name!r}": label_map(side.paths[case]) for side in sides}
        if case in coverage:
            others["coverage"] = coverage[case]
        for name, other_path in others.items():
            other = read_grid(other_path, is_ct=False)
            if not grid.matches(other):
                # The grids may differ by place or direction alone.
                where = "" if grid.shape != other.shape or grid.spacing != other.spacing else ", elsewhere in space"
                message = (
                    f"case {case}: {name} lies on {_grid_text(other.shape, other.spacing)}{where}, "
                    f"the truth on {_grid_text(grid.shape, grid.spacing)}."
                )
                raise InputError("GRID_MISMATCH", message, "Resample it to the grid of the truth.", stage="measure")


def _grid_text(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> str:
    return f"{'×'.join(map(str, shape))} voxels of {'×'.join(f'{mm:.4g}' for mm in spacing)} mm"


def _listed(cases: Sequence[str], total: int) -> str:
    shown = ", ".join(cases[:_SHOWN]) + (", …" if len(cases) > _SHOWN else "")
    return f"{len(cases)} of {total} cases ({shown})"


def _virtual(folder: Path, truth: Mapping[str, Path]) -> bool:
    return (folder / RECORD).is_file() or any(path.with_name(RECORD).is_file() for path in truth.values())
