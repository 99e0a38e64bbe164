"""Which files belong to which case; what does not fit is refused before work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from livercascade.data.errors import InputError, UsageError
from livercascade.evaluation.cohort.evaluated_models import (
    WITHOUT_EVIDENCE,
    EvaluatedModel,
    JointModel,
    Variant,
    variant_models,
)
from livercascade.io.nifti import read_grid
from livercascade.results.evidence_file import EVIDENCE
from livercascade.results.result import CaseResult

LESIONS, RESULT, RECORD = "lesions.nii.gz", "result.json", "virtual.json"
_REFERENCE_NAMES = ("labels.nii.gz", "truth.nii.gz", "segmentation.nii.gz")
_PREDICTION_NAMES = ("segmentation.nii.gz", "labels.nii.gz")
_ENDINGS = (".nii.gz", ".nii")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PredictionSource:
    """Predictions of one ``--found``: label maps of one model, or case folders that hold several.

    Attributes:
        name: Name as given, or the folder's name.
        paths: Label map or case folder by case; empty where predictions come as arrays.
        case_folders: True for case folders of the cascade, False for label maps.
        named: True if the user gave the name.
        evidence: True if every case folder keeps the evidence from which all models of the cascade follow.
        virtual: True if a result says that its patient is virtual.
    """

    name: str
    paths: Mapping[str, Path]
    case_folders: bool = False
    named: bool = False
    evidence: bool = False
    virtual: bool = False

    @property
    def models(self) -> dict[Variant | None, EvaluatedModel]:
        """Its models; label maps are one model without variant.

        Case folders that the user called NAME give NAME, which is their answer (High+ReCls), and ``NAME/Base`` and so
        on; those without a name give ``Base`` to ``High+ReCls``.
        """
        if not self.case_folders:
            return {None: EvaluatedModel.parse(self.name)}
        variants = tuple(Variant) if self.evidence else WITHOUT_EVIDENCE
        return {**variant_models(self.name if self.named else "", variants)}

    @property
    def joint(self) -> JointModel | None:
        """Joint model of the case folders; None for label maps."""
        if not self.case_folders:
            return None
        setting = self.name if self.named else ""
        return JointModel.of_variants({v: model for v, model in self.models.items() if v is not None}, setting)


@dataclass(frozen=True, slots=True)
class Cohort:
    """Files of all cases; every source has every case, on one grid.

    Attributes:
        reference: Label map of the reference by case, in the order of the names.
        predictions: Sources of predictions, in the order given.
        coverage: Mask of what was read for the reference, for the cases that have one.
        virtual: True if the reference or a result says that the patients are virtual.
    """

    reference: Mapping[str, Path]
    predictions: tuple[PredictionSource, ...]
    coverage: Mapping[str, Path]
    virtual: bool

    def single(self) -> list[Cohort]:
        """Cohorts of one case each, in the order of the names: all that a process needs to evaluate it."""
        return [
            Cohort(
                {case: path},
                tuple(replace(source, paths=_only(case, source.paths)) for source in self.predictions),
                _only(case, self.coverage),
                self.virtual,
            )
            for case, path in self.reference.items()
        ]


def find_cohort(
    reference: Path, predictions: Sequence[tuple[str | None, Path]], *, coverage: Path | None = None
) -> Cohort:
    """Files of every case; what does not fit is refused from names and headers alone.

    A folder holds ``<case>.nii.gz`` (or ``.nii``) or one folder per case: for the reference with ``labels.nii.gz`` as
    ``livercascade virtual`` writes it, for predictions a case folder of ``livercascade predict``.

    Args:
        reference: Folder of the reference.
        predictions: Name, if the user gave one, and folder of every source.
        coverage: Folder of masks ``<case>.nii.gz``, not 0 where the reference was read; other cases were read
            everywhere.

    Raises:
        UsageError: ``NAME_TWICE`` if two sources have one name, ``NO_FOUND`` if there is none.
        InputError: ``NO_FOLDER``, ``NO_CASES``, ``CASE_TWICE``, ``MISSING_CASES``, ``EXTRA_CASES``, ``MIXED_KINDS``,
            ``BAD_RESULT``, ``NOT_FINISHED``, ``GRID_MISMATCH``, and what `read_grid` raises.
    """
    names = _names(predictions)
    maps = _maps(reference, _REFERENCE_NAMES)
    sources = tuple(
        _source(name, folder, given is not None) for name, (given, folder) in zip(names, predictions, strict=True)
    )
    for source in sources:
        _check_complete(maps, source, reference)
    covered = {} if coverage is None else _maps(coverage, ("coverage.nii.gz",))
    unknown = sorted(covered.keys() - maps.keys())
    if unknown:
        message = f"{coverage}: {_listed(unknown, len(maps))} that the truth in {reference} does not have."
        raise InputError("EXTRA_CASES", message, "Remove them.", stage="measure")
    _check_grids(maps, sources, covered)
    return Cohort(maps, sources, covered, _virtual(reference, maps) or any(source.virtual for source in sources))


def label_map(case: Path) -> Path:
    """The image of one predicted case: the label map itself, or the numbered lesions of a case folder."""
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


def _names(predictions: Sequence[tuple[str | None, Path]]) -> list[str]:
    if not predictions:
        raise UsageError("NO_FOUND", "There is nothing to evaluate.", "Give --found NAME=DIR at least once.")
    names = [given if given is not None else folder.absolute().name for given, folder in predictions]
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


def _source(name: str, folder: Path, named: bool) -> PredictionSource:
    # A folder with one result.json is taken for case folders: a stray label map beside it is then refused, not skipped.
    results = {case: path for case, path in _entries(folder) if path.is_dir() and (path / RESULT).is_file()}
    if not results:
        return PredictionSource(name, _maps(folder, _PREDICTION_NAMES), named=named)
    others = sorted(case for case, path in _entries(folder) if path.is_file())
    if others:
        message = f"{folder}: case folders lie beside label maps ({', '.join(others[:_SHOWN])})."
        raise InputError("MIXED_KINDS", message, "Put them into folders of their own.", stage="measure")
    evidence = all((path / EVIDENCE).is_file() for path in results.values())
    # All of them are read: any that was not finished is refused here.
    records = [read_result(path) for path in results.values()]
    virtual = any(record.virtual for record in records)
    return PredictionSource(name, results, case_folders=True, named=named, evidence=evidence, virtual=virtual)


def _only(case: str, paths: Mapping[str, Path]) -> dict[str, Path]:
    return {case: paths[case]} if case in paths else {}


def _entries(folder: Path) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        raise InputError("NO_FOLDER", f"{folder}: there is no such folder.", "Check the path.", stage="measure")
    entries: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        ending = next((e for e in _ENDINGS if path.name.endswith(e)), None)
        # Finder and rsync leave hidden files.
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


def _check_complete(reference: Mapping[str, Path], source: PredictionSource, folder: Path) -> None:
    missing, extra = sorted(reference.keys() - source.paths.keys()), sorted(source.paths.keys() - reference.keys())
    if missing:
        message = f"found {source.name!r} lacks {_listed(missing, len(reference))} of the truth."
        raise InputError("MISSING_CASES", message, "Add them, or take them out of the truth.", stage="measure")
    if extra:
        message = (
            f"found {source.name!r} has {_listed(extra, len(source.paths))} that the truth in {folder} does not have."
        )
        raise InputError("EXTRA_CASES", message, "Take them out, or add their truth.", stage="measure")


def _check_grids(
    reference: Mapping[str, Path], sources: Sequence[PredictionSource], coverage: Mapping[str, Path]
) -> None:
    for case, path in reference.items():
        # Headers alone: hundreds of cases are checked in seconds, before the first is judged.
        grid = read_grid(path, is_ct=False)
        others = {f"found {source.name!r}": label_map(source.paths[case]) for source in sources}
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


def _virtual(folder: Path, reference: Mapping[str, Path]) -> bool:
    return (folder / RECORD).is_file() or any(path.with_name(RECORD).is_file() for path in reference.values())
