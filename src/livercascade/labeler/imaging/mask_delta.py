"""Sparse change of a mask: indices, old and new labels; as bytes for the wire, as text for the journal."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt32

from livercascade.data.labels import NUM_CLASSES
from livercascade.labeler.label_error import LabelError, bad_request

LabelMask = UInt8[np.ndarray, "z y x"]
"""Labels of a case in display order."""
VoxelIndex = tuple[int, int, int]
"""Voxel (z, y, x)."""
MAGIC = b"LCD1"
MEDIA_TYPE = "application/vnd.livercascade.delta"
BYTES_PER_VOXEL = 6
# A name and a kind are far below; a larger header is a mistake or an attack.
_MAX_HEADER = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """A change of some voxels.

    Attributes:
        index: Flat indices in display order, strictly increasing.
        old: Labels before.
        new: Labels after.
    """

    index: UInt32[np.ndarray, " n"]
    old: UInt8[np.ndarray, " n"]
    new: UInt8[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def inverse(self) -> Delta:
        """The change that takes this one back."""
        return Delta(self.index, self.new, self.old)

    def apply(self, mask: LabelMask) -> None:
        """Write the new labels into a contiguous mask."""
        mask.reshape(-1)[self.index] = self.new

    def to_text(self) -> str:
        """The change for a journal: zlib of differences of the indices, old and new labels, in base64."""
        # Neighbouring voxels have differences of 1, which zlib packs to almost nothing.
        steps = np.diff(self.index, prepend=np.uint32(0)).astype("<u4")
        # Level 1: a stroke waits for it, and higher levels save little on runs of ones.
        return base64.b64encode(zlib.compress(steps.tobytes() + self.old.tobytes() + self.new.tobytes(), 1)).decode()

    @classmethod
    def from_text(cls, text: str) -> Delta:
        """The inverse of `to_text`."""
        data = zlib.decompress(base64.b64decode(text))
        steps, old, new = _split(data, len(data) // BYTES_PER_VOXEL)
        return cls(np.cumsum(steps, dtype=np.uint32), old, new)

    def to_bytes(self, header: dict[str, Any]) -> bytes:
        """The change for the wire, with ``count`` added to the header."""
        text = json.dumps({**header, "count": len(self)}, ensure_ascii=False).encode()
        # The page lays a Uint32Array over the indices, which must begin at a multiple of four.
        text += b" " * (-len(text) % 4)
        body = self.index.astype("<u4").tobytes() + self.old.tobytes() + self.new.tobytes()
        return MAGIC + struct.pack("<I", len(text)) + text + body


def empty_delta() -> Delta:
    """No change."""
    return Delta(np.zeros(0, np.uint32), np.zeros(0, np.uint8), np.zeros(0, np.uint8))


def from_bytes(data: bytes) -> tuple[dict[str, Any], Delta]:
    """Header and change of a request.

    Raises:
        LabelError: ``BAD_REQUEST`` if it does not read so, ``WRONG_LENGTH`` if bytes are missing or too many.
    """
    if len(data) < 8 or data[:4] != MAGIC:
        raise bad_request("The body is not a delta.")
    (length,) = struct.unpack("<I", data[4:8])
    if length > _MAX_HEADER or length % 4 or 8 + length > len(data):
        raise bad_request("The header of the delta has an impossible length.")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError as error:
        raise bad_request("The header of the delta is not JSON.") from error
    count = header.get("count") if isinstance(header, dict) else None
    # JSON's true would pass for 1: to Python a bool is an int.
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise bad_request("The header of the delta names no count.")
    body = data[8 + length :]
    if len(body) != count * BYTES_PER_VOXEL:
        message = f"{count} voxels take {count * BYTES_PER_VOXEL} bytes, {len(body)} came."
        raise LabelError("WRONG_LENGTH", message, "Send the whole change.", http=422)
    return header, Delta(*_split(body, count))


def check_against(delta: Delta, mask: LabelMask) -> None:
    """Refuse a change that does not fit the mask it is meant for.

    Raises:
        LabelError: ``BAD_REQUEST``, ``BAD_LABEL`` or ``OUT_OF_STEP`` (409).
    """
    if not len(delta):
        raise LabelError("NOTHING_CHANGED", "The change holds no voxel.", "Change at least one voxel.")
    if int(delta.index[-1]) >= mask.size or np.any(delta.index[1:] <= delta.index[:-1]):
        raise bad_request("Indices of a delta increase and lie inside the mask.")
    if int(delta.new.max()) >= NUM_CLASSES:
        raise bad_label(int(delta.new.max()))
    if not np.array_equal(mask.reshape(-1)[delta.index], delta.old):
        message = "The change starts from other labels than the server holds."
        raise LabelError("OUT_OF_STEP", message, "Reload the mask of the draft.", http=409)


def bad_label(value: int) -> LabelError:
    """Error for a label outside 0-13."""
    return LabelError("BAD_LABEL", f"{value} is not a label.", f"Labels are 0 to {NUM_CLASSES - 1}.")


def _split(
    data: bytes, count: int
) -> tuple[UInt32[np.ndarray, " n"], UInt8[np.ndarray, " n"], UInt8[np.ndarray, " n"]]:
    index = np.frombuffer(data, "<u4", count).astype(np.uint32)
    old = np.frombuffer(data, np.uint8, count, offset=4 * count)
    new = np.frombuffer(data, np.uint8, count, offset=5 * count)
    return index, old, new
