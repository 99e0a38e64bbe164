"""Files and folders that appear whole or not at all, and their hashes."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from livercascade.data.errors import CascadeError, OutputError

LAST = "manifest.json"
"""Name of the file that says that a folder is whole: it is taken away first and put in its place last."""
TRY_AGAIN = 75
"""Exit code of what may succeed later, for example when there is room on the disk again."""
_ASIDE = ".partial-"
_TRIES = 5
_DAY_S = 86_400.0


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal digits.

    >>> sha256_text("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def shown(path: str | Path) -> str:
    """Path to show people, valid in any encoding: bytes that are no text are replaced.

    >>> shown("M\\udcfcller.nii") == "M\\ufffdller.nii"
    True
    """
    return os.fsencode(path).decode("utf-8", "replace")


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file aside, flush it to the disk and rename it to its place; missing folders are made.

    After a crash or a power cut at any moment the old file is there, or the new one. Texts are written in UTF-8.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    data = content.encode() if isinstance(content, str) else content
    with _stop_requests_raise(), output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            with aside.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        flush(path.parent)


@contextmanager
def new_folder(target: Path) -> Generator[Path, None, None]:
    """Write a folder aside: all of it appears at ``target`` at the end of the block, or none of it.

    What lies at ``target`` is replaced by the whole new folder; ask first whether it may be. A link is followed. A
    folder that cannot be renamed away (a mount point, the folder that this process stands in, a parent that cannot be
    written) or is empty stays and is filled. A request to stop (SIGTERM, SIGHUP, Ctrl-C) ends the block with an
    exception, so that nothing is left behind. Yields the folder to write into, on the same disk as ``target``.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    target = _resolved(target)
    with _stop_requests_raise(), _folder_aside(target) as aside, output_errors(target):
        yield aside
        for path in files_in(aside):
            flush(path)
        # mkdtemp makes folders for their owner alone; a result is as readable as any other file of the user.
        aside.chmod(0o777 & ~_umask())
        flush(aside)
        _put(target, aside)


def check_writable(target: Path) -> None:
    """Try whether `new_folder` could write at ``target``; nothing is left of the trial.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    target = _resolved(target)
    with _folder_aside(target) as aside, output_errors(target):
        (aside / "trial").write_bytes(b"0")


def is_aside(path: Path) -> bool:
    """True for a hidden folder in which a run writes, or wrote before it was killed."""
    return path.name.startswith(".") and _ASIDE in path.name


def files_in(folder: Path) -> list[Path]:
    """Every file of a folder and of the folders in it, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flush(path: Path) -> None:
    """Make a file, or a rename in a folder, durable; Windows opens no folders, and needs nothing there."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def output_errors(target: Path) -> Generator[None, None, None]:
    """Turn the system's refusals to write into errors with a code.

    Args:
        target: Named in the message.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    try:
        yield
    except CascadeError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = OutputError("NO_SPACE", f"{target}: the disk is full.", "Make room and try again.", stage="write")
            full.exit_code = TRY_AGAIN
            raise full from error
        reason = error.strerror or error
        message = f"{target}: {reason}."
        raise OutputError("CANNOT_WRITE", message, "Check the folder and its permissions.", stage="write") from error


@contextmanager
def _folder_aside(target: Path) -> Generator[Path, None, None]:
    """Hidden folder in ``target`` if that stays where it is, else beside it; gone after the block.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    with output_errors(target):
        home = target if _stays(target) else target.parent
        for _ in range(_TRIES):
            missing = [path for path in (home, *home.parents) if not path.exists()]
            home.mkdir(parents=True, exist_ok=True)
            try:
                aside = Path(tempfile.mkdtemp(prefix=f".{target.name}{_ASIDE}", dir=home))
                break
            except FileNotFoundError:
                # Another run that failed took away the parents that it had made.
                continue
        else:
            raise FileNotFoundError(errno.ENOENT, "the folder is taken away again and again")
    try:
        _remove_abandoned(aside, target)
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        for path in missing:
            # Parents that hold something by now stay.
            with suppress(OSError):
                path.rmdir()


def _remove_abandoned(aside: Path, target: Path) -> None:
    """Take away what runs left that were killed outright, or by a power cut, more than a day ago."""
    for path in aside.parent.glob(f"{glob.escape(f'.{target.name}{_ASIDE}')}*"):
        with suppress(OSError):
            if path.stat().st_mtime < aside.stat().st_mtime - _DAY_S:
                shutil.rmtree(path, ignore_errors=True)


def _resolved(target: Path) -> Path:
    """Place where a path leads, links followed and ``..`` taken out.

    Raises:
        OutputError: ``CANNOT_WRITE`` for a circle of links.
    """
    with output_errors(target):
        try:
            return target.resolve()
        except RuntimeError as error:
            raise OSError(errno.ELOOP, "the links lead in a circle") from error


def _stays(target: Path) -> bool:
    """True for a folder that is filled where it is, since it is empty or cannot be renamed."""
    if not target.is_dir():
        return False
    if _stands_in(target) or _is_mount(target):
        return True
    return not os.access(target.parent, os.W_OK | os.X_OK) or all(is_aside(path) for path in target.iterdir())


def _stands_in(target: Path) -> bool:
    """True if this process, and so the shell that called it, stands in the folder."""
    try:
        return target.samefile(Path.cwd())
    except FileNotFoundError:
        return False


def _is_mount(target: Path) -> bool:
    """True for a mount point, also one of a folder of the same disk, as containers have them."""
    if os.path.ismount(target):
        return True
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    # Spaces and backslashes are written as octal numbers there.
    name = re.sub(r"[\\ \t\n]", lambda sign: f"\\{ord(sign[0]):03o}", str(target))
    return any(name == line.split(" ")[4] for line in lines)


def _put(target: Path, aside: Path) -> None:
    """Rename the new folder to its place, or its contents into the place if that stays."""
    if aside.parent == target:
        _fill(target, aside)
        flush(target)
        return
    if not target.exists():
        aside.rename(target)
    else:
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}{_ASIDE}", dir=target.parent))
        target.rename(old / target.name)
        try:
            aside.rename(target)
        except OSError:
            (old / target.name).rename(target)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    flush(target.parent)


def _fill(target: Path, aside: Path) -> None:
    """Swap the contents of ``target`` for those of ``aside``; after an error the old ones are back."""
    # The hidden folder holds what was there until all is done: the end of the block takes it away.
    old = aside / f"{_ASIDE}old"
    new = sorted(aside.iterdir(), key=lambda path: (path.name == LAST, path.name))
    before = sorted((p for p in target.iterdir() if not is_aside(p)), key=lambda path: (path.name != LAST, path.name))
    old.mkdir()
    moves = [(path, old / path.name) for path in before] + [(path, target / path.name) for path in new]
    done: list[tuple[Path, Path]] = []
    try:
        for source, place in moves:
            source.rename(place)
            done.append((source, place))
    except BaseException:
        for source, place in reversed(done):
            place.rename(source)
        raise


@contextmanager
def _stop_requests_raise() -> Generator[None, None, None]:
    """Turn signals that would end the process at once into `SystemExit`; others' handlers are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    names = ("SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    plain = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in plain:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in plain:
            signal.signal(number, signal.SIG_DFL)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
