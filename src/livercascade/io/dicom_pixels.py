"""Hounsfield units of the slices of one placed DICOM series."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int16, Integer
from pydicom import config
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless
from scipy import ndimage

from livercascade.data.errors import InputError
from livercascade.data.notice import Notice
from livercascade.data.scan import OUTSIDE_HU
from livercascade.io.decoding_process import PLUGIN, DecodingProcess
from livercascade.io.dicom_geometry import SlicePlacement, numbers_of
from livercascade.io.dicom_header import DicomImage, read_dataset
from livercascade.io.hounsfield import MAX_HU
from livercascade.system.files import shown

MAX_JUMP_HU = 50.0
"""Largest median difference between neighbouring slices; more means a wrong intercept."""
# Between these a padding value may be tissue, see `_padding`; above is metal at most, whose darkening harms nobody.
_TISSUE_HU = (-500.0, 2000.0)
_CT_MAX_HU = 3071
_DEFLATED, _BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
# A vendor's own: the data set is little endian, the pixels are big endian.
_BIG_ENDIAN_PIXELS = "1.2.840.113619.5.2"
_NATIVE = ("", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", _DEFLATED, _BIG_ENDIAN, _BIG_ENDIAN_PIXELS)
# These raise on damaged streams; GDCM, which alone knows lossless JPEG, runs apart.
_SAFE_DECODERS = ("pydicom", "pylibjpeg", "pyjpegls")
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
_PIXEL_TAGS = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
_REPAIR = "Fetch the series again from the archive."


class _PixelFile:
    """One open file: its bytes, and its data set once that is needed."""

    def __init__(self, image: DicomImage, name: str) -> None:
        self.path, self._name = image.path, name
        try:
            self.data = image.path.read_bytes()
        except OSError as error:
            message = f"{name}: {shown(image.path.name)}: {error.strerror}."
            raise InputError("CANNOT_READ", message, "Check the file and its permissions.") from error
        self._dataset: FileDataset | None = None

    def dataset(self) -> FileDataset:
        """Data set with pixels; raises what pydicom raises."""
        if self._dataset is None:
            self._dataset = read_dataset(io.BytesIO(self.data))
        return self._dataset

    def native(self, image: DicomImage, size: int) -> bytes | memoryview:
        """Bytes of the uncompressed pixels of one slice of ``size`` bytes, as many as there are."""
        first = (image.frame or 0) * size
        if image.syntax == _DEFLATED:
            item = self.dataset().get_item("PixelData") if "PixelData" in self.dataset() else None
            return bytes(item.value or b"")[first : first + size] if item is not None else b""
        at = image.pixels_at
        if at < 0 or self.data[at : at + 4] not in _PIXEL_TAGS:
            return b""
        start = at + (12 if self.data[at + 4 : at + 6] in (b"OW", b"OB", b"UN") else 8)
        order = "big" if self.data[at : at + 4] == _PIXEL_TAGS[1] else "little"
        # An element that is shorter than its file's rest ends where it says.
        length = int.from_bytes(self.data[start - 4 : start], order)
        return memoryview(self.data)[start + first : start + min(first + size, length)]


def read_pixels(
    placement: SlicePlacement, name: str
) -> tuple[Int16[np.ndarray, "slice row column"], str, tuple[Notice, ...]]:
    """Voxels of a series in HU, the hash of its files, and notices.

    Every slice is decoded and gets its own rescale; padding becomes -1024.

    Raises:
        InputError: ``TAG_MISSING``, ``BAD_VALUE``, ``BAD_RESCALE``, ``TRUNCATED_FILE``, ``CODEC_MISSING``,
            ``DECODE_FAILED``, ``UNSUPPORTED_SYNTAX``, ``CANNOT_READ``, ``NOT_HU`` or ``HU_JUMP``.
    """
    images = placement.images
    rescale = _rescale(images, name)
    hu = np.empty((len(images), placement.rows, placement.columns), dtype=np.int16)
    digest, hashed = hashlib.sha256(), set[str]()
    file: _PixelFile | None = None
    before: Float32[np.ndarray, "row column"] | None = None
    with DecodingProcess() as apart:
        for index, image in enumerate(images):
            if file is None or file.path != image.path:
                file = _PixelFile(image, name)
            if str(image.path) not in hashed:
                # Hash of hashes: the files' borders count too, so that bytes moved from one to the next are noticed.
                digest.update(hashlib.sha256(file.data).digest())
                hashed.add(str(image.path))
            stored = _stored(file, image, (placement.rows, placement.columns), name, apart)
            plane = _in_hu(stored, image, rescale[index, 0], rescale[index, 1])
            _check_range(plane, image, name)
            _check_jump(before, plane, image, name)
            hu[index] = np.clip(np.rint(plane), OUTSIDE_HU, MAX_HU)
            before = plane
    return hu, digest.hexdigest(), _lossy(images, name)


def stored_values(
    images: Sequence[DicomImage], name: str, apart: DecodingProcess
) -> Iterator[Integer[np.ndarray, "row column"]]:
    """Values of each slice as stored, without the bits that are not theirs; frames of one file one after the other.

    Args:
        images: Slices.
        name: Stands in messages.
        apart: Process for decoders that damaged pixels can end.

    Raises:
        InputError: As `read_pixels`.
    """
    file: _PixelFile | None = None
    for image in images:
        if file is None or file.path != image.path:
            file = _PixelFile(image, name)
        rows, columns = (int(numbers_of([image], tag, 1, name)[0, 0]) for tag in ("Rows", "Columns"))
        yield _stored(file, image, (rows, columns), name, apart)


def slice_hu(image: DicomImage, name: str) -> Float32[np.ndarray, "row column"]:
    """One slice in HU with padding as -1024, not clipped.

    Raises:
        InputError: As `read_pixels`.
    """
    rescale = _rescale((image,), name)
    with DecodingProcess() as apart:
        (stored,) = stored_values((image,), name, apart)
    return _in_hu(stored, image, rescale[0, 0], rescale[0, 1])


def _rescale(images: tuple[DicomImage, ...], name: str) -> np.ndarray:
    rescale = np.hstack([numbers_of(images, tag, 1, name) for tag in ("RescaleSlope", "RescaleIntercept")])
    if np.any(rescale[:, 0] <= 0) or np.any(np.abs(rescale) > 1e5):
        message = f"{name}: RescaleSlope {rescale[:, 0].min():g} and RescaleIntercept {rescale[:, 1].min():g}."
        raise InputError("BAD_RESCALE", message, "Export the series again; the values cannot be turned into HU.")
    units = {image.text("RescaleType").upper() for image in images} - {"", "HU", "US"}
    if units:
        message = f"{name}: RescaleType says the values are {', '.join(sorted(units))[:40]}, not HU."
        raise InputError("NOT_HU", message, "Give the CT itself, not a map made from it.")
    return rescale


def _in_hu(
    stored: Integer[np.ndarray, "row column"], image: DicomImage, slope: float, intercept: float
) -> Float32[np.ndarray, "row column"]:
    plane = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padded = _padding(stored, image, slope, intercept)
    if padded is not None:
        plane[padded] = OUTSIDE_HU
    corners = plane[[0, 0, -1, -1], [0, -1, 0, -1]]
    # No body reaches all four corners, and none is that dense: padding whose tag is absent.
    if corners[0] > _CT_MAX_HU and np.all(corners == corners[0]):
        plane[plane == corners[0]] = OUTSIDE_HU
    return plane


def _stored(
    file: _PixelFile, image: DicomImage, shape: tuple[int, int], name: str, apart: DecodingProcess
) -> Integer[np.ndarray, "row column"]:
    """Values of one slice as stored, without the bits that are not theirs."""
    if image.syntax not in _NATIVE:
        return _decompressed(file, image, shape, name, apart)
    bits = image.integer("BitsAllocated")
    if bits not in (8, 16, 32) or image.integer("SamplesPerPixel") not in (1, None):
        message = f"{name}: {shown(image.path.name)} has pixels of {image.text('BitsAllocated') or 'unknown'} bits and "
        message += f"{image.text('SamplesPerPixel')[:20]} samples."
        raise InputError("DECODE_FAILED", message, _REPAIR)
    size = shape[0] * shape[1] * bits // 8
    try:
        data = file.native(image, size)
    except Exception as error:
        raise _undecodable(image, "deflated", name) from error
    if len(data) < size:
        raise _truncated(image, name)
    big = image.syntax in (_BIG_ENDIAN, _BIG_ENDIAN_PIXELS) or (not image.syntax and _starts_big(file, image))
    words = np.frombuffer(data, np.dtype(f"{'>' if big else '<'}u{bits // 8}")).reshape(shape)
    return _own_bits(words, image, bits, name)


def _starts_big(file: _PixelFile, image: DicomImage) -> bool:
    return file.data[image.pixels_at : image.pixels_at + 4] == _PIXEL_TAGS[1]


def _own_bits(
    words: Integer[np.ndarray, "row column"], image: DicomImage, bits: int, name: str
) -> Integer[np.ndarray, "row column"]:
    """Values from the bits that hold them: others may hold overlays, or nothing."""
    held = _whole(image, "BitsStored", bits, name)
    top = _whole(image, "HighBit", held - 1, name)
    signed = _whole(image, "PixelRepresentation", 0, name)
    if not (1 <= held <= bits and held - 1 <= top < bits):
        message = f"{name}: {shown(image.path.name)} keeps {held} bits up to bit {top} of {bits}."
        raise InputError("DECODE_FAILED", message, _REPAIR)
    values = words.astype(np.int64 if bits == 32 else np.int32)
    if held < bits:
        values = (values >> (top - held + 1)) & ((1 << held) - 1)
    return _with_sign(values, held) if signed == 1 else values


def _whole(image: DicomImage, keyword: str, absent: int, name: str) -> int:
    value = image.integer(keyword)
    if value is None and image.text(keyword):
        message = f"{name}: {keyword} is '{image.text(keyword)[:40]}' in {shown(image.path.name)}."
        raise InputError("BAD_VALUE", message, "Export the series again from the scanner or archive.")
    return absent if value is None else value


def _with_sign(values: Any, bits: int) -> Any:
    """Numbers whose highest bit is a sign."""
    return (values ^ (1 << (bits - 1))) - (1 << (bits - 1))


def _decompressed(
    file: _PixelFile, image: DicomImage, shape: tuple[int, int], name: str, apart: DecodingProcess
) -> Integer[np.ndarray, "row column"]:
    # pydicom warns of what is no UID.
    syntax = UID(image.syntax, config.IGNORE)
    decoder = _codec(syntax, name)
    try:
        dataset = file.dataset()
        if "PixelData" not in dataset:
            raise _truncated(image, name)
        index = image.frame or 0
        frame = get_frame(dataset.PixelData, index, number_of_frames=image.integer("NumberOfFrames") or 1)
        if (size := _codestream_shape(frame)) is not None and size != shape:
            # Before anything is decoded: a forged size must not make a codec ask for gigabytes.
            raise InputError("DECODE_FAILED", f"{name}: {shown(image.path.name)} holds {size} pixels.", _REPAIR)
        plugin = next((one for one in _SAFE_DECODERS if one in decoder.available_plugins), PLUGIN)
        if plugin == PLUGIN:
            array = apart.decode(file.data, index)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array, _ = decoder.as_array(dataset, index=index, raw=True, decoding_plugin=plugin)
    except InputError:
        raise
    except Exception as error:
        # Codecs raise many kinds of error; a damaged slice must refuse the series whatever the kind.
        raise _undecodable(image, syntax.name, name) from error
    if array.shape != shape or array.dtype.kind not in "iu":
        message = f"{name}: {shown(image.path.name)} decodes to {array.shape}."
        raise InputError("DECODE_FAILED", message, _REPAIR)
    return np.asarray(array)


def _codec(syntax: UID, name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoder = get_decoder(syntax)
    except NotImplementedError as error:
        message = f"{name}: the transfer syntax {shown(syntax.name)[:60]} is not known."
        raise InputError("UNSUPPORTED_SYNTAX", message, "Export the series uncompressed.") from error
    if not decoder.is_available:
        wanted = "; ".join(decoder.missing_dependencies)
        message = f"{name}: no decoder for {syntax.name} is installed."
        remedy = f"Install with: pip install 'livercascade[dicom-compressed]' (or one of: {wanted})."
        raise InputError("CODEC_MISSING", message, remedy)
    return decoder


def _codestream_shape(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream claims; None where it says nothing."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 256)
    if start >= 0:
        width, height, left, top = (int.from_bytes(frame[start + k : start + k + 4]) for k in (8, 12, 16, 20))
        return height - top, width - left
    at = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        # Start of frame, of JPEG (all but the tables C4, C8, CC) and of JPEG-LS.
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return int.from_bytes(frame[at + 5 : at + 7]), int.from_bytes(frame[at + 7 : at + 9])
        at += 2 + int.from_bytes(frame[at + 2 : at + 4])
    return None


def _padding(
    stored: Integer[np.ndarray, "row column"], image: DicomImage, slope: float, intercept: float
) -> Bool[np.ndarray, "row column"] | None:
    """Pixels that padding tags mark, None where there are none to believe.

    Some writers give a padding value that is real tissue: one that may be tissue is believed in the corners alone.
    """
    first = image.integer("PixelPaddingValue")
    if first is None:
        return None
    last = image.integer("PixelPaddingRangeLimit")
    # Written as unsigned by some scanners although the pixels are signed, and the other way round.
    bits = image.integer("BitsStored") or image.integer("BitsAllocated") or 16
    signed = image.integer("PixelRepresentation") == 1
    ends = [value & ((1 << bits) - 1) for value in (first, first if last is None else last)]
    low, high = sorted(_with_sign(value, bits) if signed else value for value in ends)
    padded = (stored >= low) & (stored <= high)
    if high * slope + intercept < _TISSUE_HU[0] or low * slope + intercept > _TISSUE_HU[1]:
        return padded
    if not padded[[0, 0, -1, -1], [0, -1, 0, -1]].all():
        return None
    regions, _ = ndimage.label(padded)
    return np.isin(regions, np.unique(regions[[0, 0, -1, -1], [0, -1, 0, -1]]))


def _check_range(plane: Float32[np.ndarray, "row column"], image: DicomImage, name: str) -> None:
    if float(plane.max()) > MAX_HU:
        message = (
            f"{name}: {shown(image.path.name)} holds {float(plane.max()):.0f} HU, perhaps padding without its tag."
        )
        raise InputError("NOT_HU", message, "Export the series again with PixelPaddingValue, or uncompressed.")


def _undecodable(image: DicomImage, syntax: str, name: str) -> InputError:
    message = f"{name}: the pixels of {shown(image.path.name)} ({syntax}) cannot be decoded."
    return InputError("DECODE_FAILED", message, _REPAIR)


def _check_jump(
    before: Float32[np.ndarray, "row column"] | None,
    plane: Float32[np.ndarray, "row column"],
    image: DicomImage,
    name: str,
) -> None:
    if before is None:
        return
    # A median of some 16,000 pixels is known to far less than the limit.
    stride = max(1, plane.shape[0] // 128)
    low, high = before[::stride, ::stride], plane[::stride, ::stride]
    inside = (low > OUTSIDE_HU) & (high > OUTSIDE_HU)
    if not inside.any():
        return
    jump = float(np.median(high[inside] - low[inside]))
    if abs(jump) > MAX_JUMP_HU:
        message = f"{name}: HU jump by {jump:.0f} at {shown(image.path.name)}; its rescale tags do not fit."
        raise InputError("HU_JUMP", message, "Export the series again from the scanner.")


def _lossy(images: tuple[DicomImage, ...], name: str) -> tuple[Notice, ...]:
    flagged = [image for image in images if image.text("LossyImageCompression") == "01" or image.syntax in _LOSSY]
    if not flagged:
        return ()
    ratio = flagged[0].text("LossyImageCompressionRatio") or "unknown ratio"
    return (Notice("LOSSY_INPUT", f"{name}: {len(flagged)} slices were compressed with loss ({ratio})."),)


def _truncated(image: DicomImage, name: str) -> InputError:
    message = f"{name}: the pixels of {shown(image.path.name)} are cut off."
    return InputError("TRUNCATED_FILE", message, _REPAIR)
