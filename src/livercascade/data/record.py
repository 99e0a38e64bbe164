"""Base of what is read from and written to files: typed, closed to unknown fields, unchangeable."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from livercascade.data.labels import LESION_TYPES, LesionType


class Record(BaseModel):
    """Base of records and settings: frozen, closed to unknown fields and to NaN and infinity."""

    # Fields called model_... are common here; pydantic would warn of them.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal digits."""
Fraction = Annotated[float, Field(ge=0, le=1)]
"""Part of a whole, 0 to 1."""

_TYPE_BY_TITLE = {lesion_type.title: lesion_type for lesion_type in LESION_TYPES}


def _lesion_type(value: object) -> LesionType:
    if isinstance(value, LesionType):
        return value
    if isinstance(value, str) and value in _TYPE_BY_TITLE:
        return _TYPE_BY_TITLE[value]
    raise ValueError(f"{value!r} is not one of {', '.join(_TYPE_BY_TITLE)}")


def _title(lesion_type: LesionType) -> str:
    return lesion_type.title


TypeName = Annotated[
    LesionType,
    BeforeValidator(_lesion_type),
    PlainSerializer(_title, return_type=str),
    WithJsonSchema({"type": "string", "enum": list(_TYPE_BY_TITLE)}),
]
"""Lesion type, written by its short name in JSON."""
