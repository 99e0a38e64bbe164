"""Codes of everything that DICOM results name, from a file that users can replace in whole or in part."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydicom.sr.coding import Code

from livercascade.data.errors import UsageError
from livercascade.data.labels import NUM_CLASSES, label_name
from livercascade.data.record import Record

Concept = tuple[
    Annotated[str, Field(min_length=1, max_length=16)],
    Annotated[str, Field(min_length=1, max_length=16)],
    Annotated[str, Field(min_length=1, max_length=64)],
]
"""Code value, coding scheme and meaning, as long as DICOM allows."""


class DicomCodes(Record):
    """Code of each concept by its name; tables that are given replace single codes, the others keep their default.

    Attributes:
        labels: Lesion types and organs by the names of their labels.
        phases: Contrast phases by NC, AP, VP and DP.
        verdicts: Classes of a patient that are no lesion type.
        statuses: Fates of a candidate that is present.
        terms: Measurements, categories and headings.

    >>> default_codes().label(1).meaning
    'Hepatocellular carcinoma'
    """

    labels: dict[str, Concept]
    phases: dict[str, Concept]
    verdicts: dict[str, Concept]
    statuses: dict[str, Concept]
    terms: dict[str, Concept]

    @model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        default, out = _defaults(), dict(raw)
        for table, codes in default.items():
            given = raw.get(table, {})
            if not isinstance(given, dict):
                raise ValueError(f"{table} is not a table")
            unknown = sorted(set(given) - set(codes))
            if unknown:
                raise ValueError(f"{table} has no {', '.join(unknown)}, but {', '.join(codes)}")
            out[table] = {**codes, **given}
        return out

    def label(self, value: int) -> Code:
        """Code of a label 1 to 13."""
        return Code(*self.labels[label_name(value)])

    def verdict(self, name: str) -> Code:
        """Code of a class of the patient, the joint one too."""
        return Code(*(self.labels.get(name) or self.verdicts[name]))

    def term(self, name: str) -> Code:
        """Code of a measurement, category or heading."""
        return Code(*self.terms[name])

    def label_of(self, value: str) -> int | None:
        """Label that has this code value; None for any other."""
        found = [n for n in range(1, NUM_CLASSES) if self.labels[label_name(n)][0] == value]
        return found[0] if found else None


@cache
def default_codes() -> DicomCodes:
    """Codes that come with the package."""
    return DicomCodes.model_validate({})


def read_codes(path: Path) -> DicomCodes:
    """Codes of a TOML file with tables like those of ``codes.toml``; what it leaves out keeps its default.

    Raises:
        UsageError: ``BAD_CODES``: the file is absent, not TOML, or holds an unknown name or an impossible code.
    """
    try:
        return DicomCodes.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"{path} cannot be used: {place + ': ' if place else ''}{first['msg']}."
        raise UsageError("BAD_CODES", message, "Give value, scheme and meaning for each name.") from error
    except (OSError, ValueError) as error:
        raise UsageError("BAD_CODES", f"{path} cannot be used: {error}.", "Correct the file.") from error


@cache
def _defaults() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("livercascade.dicom").joinpath("codes.toml").read_text(encoding="utf-8"))
