"""What may name a case, a mask, a draft and a reader; and paths that stay inside their root."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import quote, unquote

from livercascade.labeler.label_error import LabelError, not_found

CASE_ID = re.compile(r"(?!next\Z)[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)
"""Name of a case; ``next`` asks for the next one."""
# Six digits are more versions than a case ever has.
VERSION_REF = re.compile(r"v([1-9][0-9]{0,5})", re.ASCII)
SOURCE_REFS = ("labels", "segmentation", "prediction")
"""Masks that lie beside the images or come from ``--predictions``."""
FIXED_REFS = (*SOURCE_REFS, "empty")
_REF = rf"(?:v[1-9][0-9]{{0,5}}|{'|'.join(FIXED_REFS)})"
DRAFT_NAME = re.compile(rf"edit|review\.({_REF})\.({_REF})", re.ASCII)
_USER_EXTRA = " ._-"


def inside(root: Path, *parts: str) -> Path:
    """The path of ``parts`` under ``root``, links followed.

    Raises:
        LabelError: ``NOT_FOUND`` if it leaves ``root`` or cannot be a path.
    """
    if any("\0" in part or not part for part in parts):
        raise not_found("file")
    base = root.resolve()
    # Resolved before it is compared: a link inside may lead outside.
    path = base.joinpath(*parts).resolve()
    if not path.is_relative_to(base):
        raise not_found("file")
    return path


def checked_user(name: str) -> str:
    """A reader's name as it may be shown and stored.

    Raises:
        LabelError: ``BAD_USER``.
    """
    # Systems send accents composed or apart: without one form for both, a reader would have two folders.
    plain = unicodedata.normalize("NFC", name).strip()
    fits = 1 <= len(plain) <= 40 and all(c.isalnum() or c in _USER_EXTRA for c in plain) and not plain.startswith(".")
    if not fits:
        raise LabelError(
            "BAD_USER", "This cannot be a reader's name.", "Use 1 to 40 letters, digits, spaces and ._- .", http=400
        )
    return plain


def folder_of_user(name: str) -> str:
    """Folder name of a reader; the inverse of `user_of_folder`."""
    return quote(name, safe=" ")


def user_of_folder(folder: str) -> str:
    """Reader whose folder this is."""
    return unquote(folder)


def version_number(ref: str) -> int | None:
    """Number of a version reference, None for other references.

    >>> version_number("v12"), version_number("labels")
    (12, None)
    """
    match = VERSION_REF.fullmatch(ref)
    return int(match[1]) if match else None
