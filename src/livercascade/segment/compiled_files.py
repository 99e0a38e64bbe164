"""Compiled networks as files in the user's cache folder: whole or not there, never too many, never needed."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

KEPT_BYTES = 1_000_000_000
"""Once more than this lies in the folder, the files that were not used for longest go."""
_SUFFIX = ".openvino"
_DIGEST = hashlib.sha256().digest_size

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompiledFiles:
    """A folder of compiled networks by key; if it cannot be used, networks are compiled anew.

    Attributes:
        folder: May be absent or closed to writing.
        limit: Most bytes kept.
    """

    folder: Path
    limit: int = KEPT_BYTES

    @classmethod
    def of_user(cls) -> CompiledFiles:
        """Those in the user's cache folder, where the system wants it."""
        return cls(_user_cache() / "livercascade" / "compiled")

    def read(self, key: str) -> bytes | None:
        """Content of a file, or None if it is absent or damaged."""
        path = self._path(key)
        try:
            stored = path.read_bytes()
            path.touch()
        except OSError:
            return None
        digest, content = stored[:_DIGEST], stored[_DIGEST:]
        return content if hashlib.sha256(content).digest() == digest else None

    def write(self, key: str, content: bytes) -> None:
        """Keep ``content``; several processes may do so at once. That it cannot be written is only logged."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(hashlib.sha256(content).digest() + content)
                Path(aside).replace(self._path(key))
            except OSError:
                Path(aside).unlink(missing_ok=True)
                raise
            self._prune()
        except OSError as error:
            _log.info("compiled networks are not kept in %s: %s", self.folder, error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _prune(self) -> None:
        files = [(path.stat(), path) for path in self.folder.glob(f"*{_SUFFIX}")]
        files.sort(key=lambda item: item[0].st_mtime, reverse=True)
        total = 0
        for number, (stat, path) in enumerate(files):
            total += stat.st_size
            # The newest stays, however large.
            if number and total > self.limit:
                path.unlink(missing_ok=True)


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
