"""Volumes in HU, decoded once into a cache of plain ``.npy``, readable slab by slab while that goes on."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int16, Shaped

from livercascade.data.errors import CascadeError, InputError
from livercascade.data.grid import Grid
from livercascade.data.scan import OUTSIDE_HU
from livercascade.io.hounsfield import MAX_BAD_SHARE, MAX_HU, check_is_ct
from livercascade.io.nifti import NiftiHead, read_head, read_slabs
from livercascade.labeler.imaging.frame import Frame
from livercascade.labeler.label_error import LabelError
from livercascade.system.files import output_errors, sha256_text

_LOG = logging.getLogger(__name__)
# Small enough that the first slices come at once, large enough that the loop costs nothing.
_SLAB_BYTES = 4 << 20
_DONE_SUFFIX = ".npy"

Decoder = Callable[[Int16[np.ndarray, "z y x"]], Iterator[tuple[int, int]]]
"""Fills an array in display order and yields the range of slices that is good so far."""


@dataclass(eq=False)
class DecodedVolume:
    """One phase: its frame is known at once, its voxels when they are decoded.

    Attributes:
        name: File or series, for messages.
        frame: Axes and grid of the file.
        decoder: Fills the cache.
        cache: The cache file; it may be deleted at any time while the server is down.
        tag: Changes when the source changes.
    """

    name: str
    frame: Frame
    decoder: Decoder
    cache: Path
    tag: str
    error: CascadeError | None = None
    finished: bool = False
    _hu: Int16[np.ndarray, "z y x"] | None = None
    _ready: tuple[int, int] = (0, 0)
    _started: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def grid(self) -> Grid:
        """Grid of the display order."""
        return self.frame.grid

    @property
    def ready(self) -> tuple[int, int]:
        """Slices ``[first, end)`` that are decoded."""
        return self._ready

    def start(self) -> None:
        """Begin to decode, once."""
        with self._changed:
            if self._started:
                return
            self._started = True
        threading.Thread(target=self._decode, name="decode", daemon=True).start()

    def slab(self, first: int, end: int) -> Int16[np.ndarray, "n y x"]:
        """Slices ``[first, end)`` as soon as they are decoded.

        Raises:
            CascadeError: The error of the file, if its voxels cannot be used.
        """
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self.error is not None or self._covers(first, end))
            if self.error is not None:
                raise self.error
        hu = self._hu
        if hu is None:
            raise LabelError("CACHE_GONE", f"{self.name}: the cache is gone.", "Start the server again.", http=500)
        return hu[first:end]

    def whole(self) -> Int16[np.ndarray, "z y x"]:
        """All slices.

        Raises:
            CascadeError: As `slab`.
        """
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self.error is not None or self.finished)
        return self.slab(0, self.grid.shape[0])

    def wait(self) -> None:
        """Return when decoding has ended, well or not; at once if it has not begun."""
        with self._changed:
            self._changed.wait_for(lambda: self.finished or not self._started)

    def _covers(self, first: int, end: int) -> bool:
        return self._ready[0] <= first and end <= self._ready[1]

    def _decode(self) -> None:
        try:
            if not self._open_cache():
                self._fill_cache()
        except CascadeError as error:
            self._fail(error)
        except Exception as error:
            _LOG.exception("decoding failed")
            message = f"{self.name}: the image cannot be decoded ({type(error).__name__})."
            self._fail(InputError("UNREADABLE", message, "Copy or convert the file again."))
        # Last, and whatever happened: whoever waits for this volume must never wait for good.
        with self._changed:
            self.finished = True
            self._changed.notify_all()

    def _open_cache(self) -> bool:
        try:
            hu = np.load(self.cache, mmap_mode="r", allow_pickle=False)
        # A cache that is absent or damaged is no error: it is made anew from the image.
        except (OSError, ValueError):
            return False
        if hu.shape != self.grid.shape or hu.dtype != np.int16:
            return False
        self._publish(hu, (0, self.grid.shape[0]))
        return True

    def _fill_cache(self) -> None:
        partial = self.cache.with_suffix(".partial")
        with output_errors(self.cache):
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            hu = np.lib.format.open_memmap(partial, mode="w+", dtype=np.int16, shape=self.grid.shape)
            _reserve(partial)
        for ready in self.decoder(hu):
            self._publish(hu, ready)
        # Only now: what shows that an image is no CT may lie in its last slice.
        check_is_ct(hu, self.name)
        self._publish(hu, (0, self.grid.shape[0]))
        with output_errors(self.cache):
            # A cache file that has its name is whole.
            partial.replace(self.cache)

    def _publish(self, hu: Int16[np.ndarray, "z y x"], ready: tuple[int, int]) -> None:
        with self._changed:
            self._hu, self._ready = hu, ready
            self._changed.notify_all()

    def _fail(self, error: CascadeError) -> None:
        with self._changed:
            self.error = error
            self._hu, self._ready = None, (0, 0)
            self._changed.notify_all()


def volume_of_file(path: Path, cache: Path) -> DecodedVolume:
    """Volume of a NIfTI file.

    Raises:
        InputError: The header cannot be used.
    """
    frame = Frame.of_file(path)
    tag = tag_of(path)
    return DecodedVolume(
        path.name, frame, lambda hu: _decode_nifti(path, frame, hu), cache / f"{tag}{_DONE_SUFFIX}", tag
    )


def volume_of_array(
    name: str, grid: Grid, load: Callable[[], Int16[np.ndarray, "z y x"]], place: tuple[Path, str]
) -> DecodedVolume:
    """Volume whose voxels ``load`` gives all at once, as those of a DICOM series.

    Args:
        name: For messages.
        grid: Grid of the array.
        load: Reads the voxels.
        place: Folder of the cache, and the tag of the source.
    """

    def decode(hu: Int16[np.ndarray, "z y x"]) -> Iterator[tuple[int, int]]:
        hu[...] = load()
        yield 0, hu.shape[0]

    folder, tag = place
    return DecodedVolume(name, Frame.of_grid(grid), decode, folder / f"{tag}{_DONE_SUFFIX}", tag)


def tag_of(path: Path) -> str:
    """Short name of a file's content as far as name, size and time of change tell."""
    # Hashing the voxels would read the whole file before its first slice is shown.
    stat = path.stat()
    return sha256_text(f"{path.name}|{stat.st_size}|{stat.st_mtime_ns}")[:16]


def _reserve(path: Path) -> None:
    """Claim the blocks of a sparse file, since writing to a memory map on a full disk would kill the server."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def _decode_nifti(path: Path, frame: Frame, hu: Int16[np.ndarray, "z y x"]) -> Iterator[tuple[int, int]]:
    """Fill ``hu`` in the order of the file; slices become ready as the file's slowest axis runs along z."""
    head = read_head(path)
    i, j, k = head.shape
    planes = max(1, _SLAB_BYTES // (i * j * head.dtype.itemsize))
    stored = frame.stored(hu)
    # Files that are stored along x or y are whole only at the end: no slice is ready before.
    along_z = hu.strides[0] == abs(stored.strides[2])
    upward = stored.strides[2] > 0
    bad = 0
    for start, slab in read_slabs(path, planes):
        values, wrong = _hounsfield(slab, head)
        bad += wrong
        end = start + slab.shape[2]
        stored[:, :, start:end] = values
        if along_z:
            yield (0, end) if upward else (k - end, k)
    share = bad / (i * j * k)
    if share > MAX_BAD_SHARE:
        message = f"{path.name}: {share:.1%} of the voxels are NaN or infinite."
        raise InputError("BAD_VALUES", message, "Export the image again from the original study.")


def _hounsfield(slab: Shaped[np.ndarray, "i j n"], head: NiftiHead) -> tuple[Int16[np.ndarray, "i j n"], int]:
    """HU as `io.hounsfield.clean_hu` gives them, and the number of voxels that are not finite."""
    if slab.dtype.kind in "iu" and (head.slope, head.intercept) == (1.0, 0.0):
        return np.clip(slab, OUTSIDE_HU, MAX_HU).astype(np.int16), 0
    values = slab.astype(np.float32) * np.float32(head.slope) + np.float32(head.intercept)
    wrong = ~np.isfinite(values)
    values[wrong] = OUTSIDE_HU
    return np.clip(np.rint(values), OUTSIDE_HU, MAX_HU).astype(np.int16), int(np.count_nonzero(wrong))
