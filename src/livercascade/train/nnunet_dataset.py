"""nnU-Net v2 data sets (``Dataset###_Name``: ``dataset.json``, ``imagesTr``, ``labelsTr``) as training cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from livercascade.data.dataset_names import DatasetNames, read_described
from livercascade.data.errors import InputError
from livercascade.data.labels import Phase

DATASET_FILE = "dataset.json"
_READABLE = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """Images by phase, and the label map, of one case."""

    phases: Mapping[Phase, Path]
    labels: Path


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Cases of a data set by name, and our label of each value in their label maps."""

    cases: Mapping[str, CaseFiles]
    values: Mapping[int, int]


def is_nnunet_dataset(folder: Path) -> bool:
    """True for a folder in nnU-Net's layout."""
    return (folder / DATASET_FILE).is_file() and (folder / "labelsTr").is_dir()


def nnunet_files(folder: Path, names: DatasetNames) -> DatasetFiles:
    """Training cases of an nnU-Net v2 data set folder.

    Raises:
        InputError: ``dataset.json`` cannot be used (``BAD_DATASET``), files are of another kind than NIfTI
            (``NOT_NIFTI``), an image is absent (``FILE_MISSING``), or as `DatasetNames`.
    """
    described = read_described(folder / DATASET_FILE)
    phases, values = names.phases(described["channel_names"]), names.values(described["labels"])
    ending = str(described.get("file_ending", ".nii.gz"))
    if ending not in _READABLE:
        raise InputError("NOT_NIFTI", f"{folder} holds {ending} files.", "Convert them to .nii.gz.")
    cases: dict[str, CaseFiles] = {}
    for labels in sorted((folder / "labelsTr").glob(f"*{ending}")):
        name = labels.name.removesuffix(ending)
        images = {p: folder / "imagesTr" / f"{name}_{number:04d}{ending}" for number, p in phases.items()}
        absent = [path for path in images.values() if not path.is_file()]
        if absent:
            raise InputError("FILE_MISSING", f"{absent[0]} is not there.", "Each case needs an image per channel.")
        cases[name] = CaseFiles({p: path.resolve() for p, path in images.items()}, labels.resolve())
    return DatasetFiles(cases, values)
