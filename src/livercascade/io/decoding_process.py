"""GDCM in a process of its own: on damaged streams it ends the process it runs in, and prints where nobody asked."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Integer

PLUGIN = "gdcm"
"""Name of the decoder that runs apart."""
MAX_SECONDS = 60.0
"""Longest time that one frame may take."""
_REQUEST = struct.Struct("<QQ")
_REPLY = struct.Struct("<QQ3s")
_FAILED = _REPLY.pack(0, 0, b"   ")


class DecodingProcess:
    """Frames decoded apart; the process starts with the first one and ends with the block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        # Closed at the end of the block, as the process is.
        self._told = tempfile.TemporaryFile()  # noqa: SIM115

    def __enter__(self) -> DecodingProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._told.close()

    def decode(self, data: bytes, frame: int) -> Integer[np.ndarray, "row column"]:
        """One frame of a DICOM file as stored.

        Raises:
            ValueError: The frame cannot be decoded, or the decoder complained of it.
            OSError: The process ended.
        """
        if self._process is None:
            command = [sys.executable, "-m", "livercascade.io.decoding_process"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._told)
        process = self._process
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise OSError("the decoder has no pipes")
        said = self._told.tell()
        timer = threading.Timer(MAX_SECONDS, process.kill)
        timer.start()
        try:
            stdin.write(_REQUEST.pack(len(data), frame) + data)
            stdin.flush()
            rows, columns, kind = _REPLY.unpack(_exactly(stdout, _REPLY.size))
            if not rows:
                raise ValueError("the frame cannot be decoded")
            dtype = np.dtype(kind.decode())
            array = np.frombuffer(_exactly(stdout, rows * columns * dtype.itemsize), dtype).reshape(rows, columns)
        finally:
            timer.cancel()
        # It decodes what it can and says the rest on standard error: such pixels are not to be trusted.
        if self._told.seek(0, io.SEEK_END) > said:
            raise ValueError("the stream is damaged")
        return array


def _exactly(stream: BinaryIO | Any, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise OSError("the decoder ended")
    return data


def main() -> None:
    """Answer requests on standard input until it ends."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    warnings.simplefilter("ignore")
    while len(head := requests.read(_REQUEST.size)) == _REQUEST.size:
        length, frame = _REQUEST.unpack(head)
        replies.write(_answer(requests.read(length), frame))
        replies.flush()


def _answer(data: bytes, frame: int) -> bytes:
    # Only here: the parent needs none of it.
    import pydicom
    from pydicom.pixels.decoders.base import get_decoder

    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        array, _ = decoder.as_array(dataset, index=frame, raw=True, decoding_plugin=PLUGIN)
    except Exception:
        return _FAILED
    if array.ndim != 2 or array.dtype.kind not in "iu":
        return _FAILED
    kind = array.dtype.newbyteorder("<").str.replace("|", "<").encode()
    return _REPLY.pack(*array.shape, kind) + np.ascontiguousarray(array).astype(kind.decode()).tobytes()


if __name__ == "__main__":
    main()
