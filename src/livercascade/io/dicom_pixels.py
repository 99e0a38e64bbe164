"""Hounsfield units of the slices of one placed DICOM series."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
from jaxtyping import Float32, Int16
from pydicom.dataset import FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from livercascade.data.errors import InputError
from livercascade.data.notice import Notice
from livercascade.data.scan import OUTSIDE_HU
from livercascade.io.dicom_files import DicomImage, read_dataset
from livercascade.io.dicom_geometry import SlicePlacement, numbers_of
from livercascade.io.hounsfield import MAX_HU

MAX_JUMP_HU = 50.0
"""Largest median difference between neighbouring slices; more means a wrong intercept."""
# Padding values above it are taken for tissue, see `_plane`.
_PADDING_BELOW_HU = -500.0
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
_REPAIR = "Fetch the series again from the archive."


def read_pixels(
    placement: SlicePlacement, name: str
) -> tuple[Int16[np.ndarray, "slice row column"], str, tuple[Notice, ...]]:
    """Voxels of a series in HU, the hash of its files, and notices.

    Every slice is decoded and gets its own rescale; padding becomes -1024.

    Raises:
        InputError: ``TAG_MISSING``, ``BAD_VALUE``, ``BAD_RESCALE``, ``TRUNCATED_FILE``, ``CODEC_MISSING``,
            ``DECODE_FAILED``, ``UNSUPPORTED_SYNTAX`` or ``HU_JUMP``.
    """
    images = placement.images
    rescale = _rescale(images, name)
    hu = np.empty((len(images), placement.rows, placement.columns), dtype=np.int16)
    digest = hashlib.sha256()
    before: Float32[np.ndarray, "row column"] | None = None
    for index, image in enumerate(images):
        # Hash of hashes: the files' borders count too, so that bytes moved from one to the next are noticed.
        digest.update(hashlib.sha256(image.path.read_bytes()).digest())
        plane = _plane(image, rescale[index, 0], rescale[index, 1], name)
        _check_jump(before, plane, image, name)
        hu[index] = np.clip(np.rint(plane), OUTSIDE_HU, MAX_HU)
        before = plane
    return hu, digest.hexdigest(), _lossy(images, name)


def pixel_bytes(image: DicomImage) -> bytes:
    """Pixel data as stored, empty where absent."""
    dataset = read_dataset(image.path, pixels=True, force=True)
    return bytes(dataset.get("PixelData", b"")) if dataset is not None else b""


def _rescale(images: tuple[DicomImage, ...], name: str) -> np.ndarray:
    rescale = np.hstack([numbers_of(images, tag, 1, name) for tag in ("RescaleSlope", "RescaleIntercept")])
    if np.any(rescale[:, 0] <= 0) or np.any(np.abs(rescale) > 1e5):
        message = f"{name}: RescaleSlope {rescale[:, 0].min():g} and RescaleIntercept {rescale[:, 1].min():g}."
        raise InputError("BAD_RESCALE", message, "Export the series again; the values cannot be turned into HU.")
    return rescale


def _plane(image: DicomImage, slope: float, intercept: float, name: str) -> Float32[np.ndarray, "row column"]:
    """One slice in HU with padding as -1024, not yet clipped."""
    dataset = read_dataset(image.path, pixels=True, force=True)
    if dataset is None or "PixelData" not in dataset:
        raise _truncated(image, name)
    stored = _decode(dataset, image, name)
    plane = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padding = _padding(dataset)
    # Some writers give a padding value that is real tissue: only what lies far below fat is believed.
    if padding is not None and padding * slope + intercept < _PADDING_BELOW_HU:
        plane[stored == padding] = OUTSIDE_HU
    return plane


def _decode(dataset: FileDataset, image: DicomImage, name: str) -> np.ndarray:
    syntax = UID(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "1.2.840.10008.1.2"))
    dataset.file_meta.TransferSyntaxUID = syntax
    if not syntax.is_compressed or syntax.is_deflated:
        expected = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
        if len(dataset.PixelData) < expected:
            raise _truncated(image, name)
    else:
        _check_codec(syntax, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.asarray(dataset.pixel_array)
    except Exception as error:
        # Codecs raise many kinds of error; a damaged slice must refuse the series whatever the kind.
        message = f"{name}: the pixels of {image.path.name} ({syntax.name}) cannot be decoded."
        raise InputError("DECODE_FAILED", message, _REPAIR) from error
    if array.shape != (int(dataset.Rows), int(dataset.Columns)):
        raise InputError("DECODE_FAILED", f"{name}: {image.path.name} decodes to {array.shape}.", _REPAIR)
    return array


def _check_codec(syntax: UID, name: str) -> None:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        message = f"{name}: the transfer syntax {syntax.name} is not known."
        raise InputError("UNSUPPORTED_SYNTAX", message, "Export the series uncompressed.") from error
    if not decoder.is_available:
        wanted = "; ".join(decoder.missing_dependencies)
        message = f"{name}: no decoder for {syntax.name} is installed."
        remedy = f"Install with: pip install 'livercascade[dicom-compressed]' (or one of: {wanted})."
        raise InputError("CODEC_MISSING", message, remedy)


def _padding(dataset: FileDataset) -> int | None:
    value = dataset.get("PixelPaddingValue")
    if value is None or not isinstance(value, int):
        return None
    bits = int(dataset.BitsAllocated)
    # Written as unsigned by some scanners although the pixels are signed.
    if int(dataset.get("PixelRepresentation", 0)) == 1 and value >= 1 << (bits - 1):
        return value - (1 << bits)
    return value


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
        message = f"{name}: HU jump by {jump:.0f} at {image.path.name}; its rescale tags do not fit."
        raise InputError("HU_JUMP", message, "Export the series again from the scanner.")


def _lossy(images: tuple[DicomImage, ...], name: str) -> tuple[Notice, ...]:
    flagged = [image for image in images if image.text("LossyImageCompression") == "01" or _syntax(image) in _LOSSY]
    if not flagged:
        return ()
    ratio = flagged[0].text("LossyImageCompressionRatio") or "unknown ratio"
    return (Notice("LOSSY_INPUT", f"{name}: {len(flagged)} slices were compressed with loss ({ratio})."),)


def _syntax(image: DicomImage) -> str:
    return str(getattr(image.header.file_meta, "TransferSyntaxUID", ""))


def _truncated(image: DicomImage, name: str) -> InputError:
    message = f"{name}: the pixels of {image.path.name} are cut off."
    return InputError("TRUNCATED_FILE", message, _REPAIR)
