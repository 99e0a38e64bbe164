"""A zip of a study, unpacked beside nothing of the user's: names and sizes are checked before a byte is written."""

from __future__ import annotations

import shutil
import stat
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from livercascade.data.errors import InputError
from livercascade.system.files import output_errors, shown

MAX_MEMBERS = 100_000
"""Most files of an archive."""
MAX_BYTES = 1 << 34
"""Largest size of an unpacked archive in bytes."""
MAX_RATIO = 400
"""Largest ratio of unpacked to packed size; images reach 50, bombs thousands."""
# Small files of zeros pack better than that and harm nobody.
_SMALL = 1 << 24
_BLOCK = 1 << 20


class UnpackedFolder:
    """Folder of an unpacked archive; it is removed once nobody holds it any more, and at the end of the process.

    Attributes:
        path: The folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="livercascade-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def unpack(path: Path) -> UnpackedFolder:
    """A new folder with the files of an archive.

    Raises:
        InputError: ``UNSAFE_ARCHIVE`` for a member that would leave the folder, a link or an encrypted one,
            ``TOO_LARGE``, or ``DAMAGED_ARCHIVE``.
        OutputError: The disk is full or cannot be written.
    """
    name = shown(path.name)
    folder = UnpackedFolder()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_members(members, name)
            for member in members:
                _write(archive, member, folder.path, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        message = f"{name}: the archive is damaged or of an unknown kind."
        raise InputError("DAMAGED_ARCHIVE", message, "Pack or copy it again.") from error
    return folder


def _check_members(members: list[zipfile.ZipInfo], name: str) -> None:
    size = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or size > MAX_BYTES:
        message = f"{name}: the archive holds {len(members)} files of {size / 1e9:.1f} GB."
        raise InputError("TOO_LARGE", message, "Pack one study for each archive.")
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        outside = ".." in parts or member.filename[:1] in ("/", "\\") or any(":" in part for part in parts)
        special = stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG)
        if outside or special or member.flag_bits & 1 or "\0" in member.filename:
            kind = "leads out of the folder" if outside else "is a link or encrypted"
            message = f"{name}: {member.filename[:80]!r} {kind}."
            raise InputError("UNSAFE_ARCHIVE", message, "Pack plain files only, with paths inside the study.")
        if member.file_size > _SMALL and member.file_size > MAX_RATIO * max(member.compress_size, 1):
            message = f"{name}: {member.filename[:80]!r} grows to {member.file_size / 1e6:.0f} MB."
            raise InputError("TOO_LARGE", message, "Pack the study again.")


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, name: str) -> None:
    target = folder / PurePosixPath(member.filename.replace("\\", "/"))
    with output_errors(target), archive.open(member) as source:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            # What a member says of its size may be a lie.
            left = member.file_size
            while block := source.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    message = f"{name}: {member.filename[:80]!r} is larger than it says."
                    raise InputError("TOO_LARGE", message, "Pack the study again.")
                file.write(block)
