"""NIfTI in and out, by nibabel's header and our own checks; what is damaged or doubtful is refused, never guessed."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from jaxtyping import Float, Int16, Int32, Shaped, UInt8
from nibabel.spatialimages import HeaderDataError

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import NUM_CLASSES
from livercascade.data.notice import Notice
from livercascade.io.canonical_orientation import bad_affine, canonical_grid, check_affine, to_canonical_orientation
from livercascade.io.hounsfield import check_is_ct, clean_hu
from livercascade.system.files import shown

try:
    # Reads the same bytes in little more than half the time; the extra "fast" brings it.
    from isal.igzip import IGzipFile as GzipFile
    from isal.isal_zlib import error as InflateError
except ImportError:
    from gzip import GzipFile
    from zlib import error as InflateError

MAX_DIMS = (1024, 1024, 3000)
"""Largest accepted matrix, sorted; a header that claims more is refused before anything is read."""
MAX_BYTES = 1 << 32
"""Largest accepted size of the voxels in bytes."""
_SLAB = 8
"""Slices that are written at a time."""
_GZIP_MAGIC = b"\x1f\x8b"
_HEADER_BYTES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MILLIMETRES = (0, 2)
"""Codes of the unit of length that are accepted: unknown and millimetre."""
_UNITS = {1: "metres", 3: "micrometres"}
_WRITABLE = ("uint8", "int16", "int32", "float32")
_DAMAGED: tuple[type[Exception], ...] = (EOFError, zlib.error, BadGzipFile, cast("type[Exception]", InflateError))
_CONVERT_AGAIN = "Copy or convert the file again."


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHead:
    """Checked values of a header.

    Attributes:
        shape: Voxels along the stored axes i, j, k; i is fastest in the file.
        dtype: Type of a stored voxel.
        affine_lps: Matrix from (i, j, k, 1) to LPS mm.
        slope: Factor of the stored values; with `intercept` added they are the intensities.
        intercept: Summand of the scaled values.
        header: Header of nibabel, for copies of the file.
        notices: What of the header was not believed.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    affine_lps: Float[np.ndarray, "4 4"]
    slope: float
    intercept: float
    header: Any
    notices: tuple[Notice, ...] = ()


def read_nifti(path: Path) -> tuple[Int16[np.ndarray, "z y x"], Grid]:
    """HU ``[z, y, x]`` and grid of a CT in NIfTI; values below -1024 become -1024.

    Raises:
        InputError: ``FILE_MISSING``, ``CANNOT_READ``, ``NOT_NIFTI``, ``TRUNCATED_FILE``, ``TOO_LARGE``, ``WRONG_DIMS``,
            ``AFFINE_CONFLICT``, ``SHEARED``, ``BAD_SPACING``, ``BAD_VALUES``, ``EMPTY_IMAGE`` or ``NOT_HU``.
    """
    hu, grid, _ = read_ct(path)
    return hu, grid


def read_ct(path: Path, *, volume: int | None = None) -> tuple[Int16[np.ndarray, "z y x"], Grid, tuple[Notice, ...]]:
    """As `read_nifti`, with what was noticed on the way.

    Args:
        path: File, ``.nii`` or ``.nii.gz``.
        volume: Number of the volume in a file of several; a file of one volume needs none.
    """
    stored, head = _read_stored(path, volume)
    ordered, grid = to_canonical_orientation(stored, head.affine_lps, shown(path.name))
    if (head.slope, head.intercept) != (1.0, 0.0):
        ordered = ordered.astype(np.float32) * np.float32(head.slope) + np.float32(head.intercept)
    hu, notices = clean_hu(ordered, shown(path.name))
    check_is_ct(hu, shown(path.name))
    return np.ascontiguousarray(hu), grid, (*head.notices, *notices)


def read_labels(
    path: Path, *, classes: int = NUM_CLASSES, is_ct: bool = True
) -> tuple[UInt8[np.ndarray, "z y x"], Grid]:
    """Label map ``[z, y, x]`` and its grid.

    Args:
        path: File, ``.nii`` or ``.nii.gz``.
        classes: Number of labels, at most 256: values from 0 to ``classes - 1``; 14 if not given.
        is_ct: False allows voxels that no abdominal CT has.

    Raises:
        InputError: As `read_nifti` without the HU checks; ``BAD_VALUES`` if a value is not a label.
    """
    labels, grid = _read_whole_numbers(path, classes - 1, is_ct=is_ct)
    return np.ascontiguousarray(labels, dtype=np.uint8), grid


def read_instances(path: Path, *, is_ct: bool = True) -> tuple[Int32[np.ndarray, "z y x"], Grid]:
    """Map ``[z, y, x]`` of object numbers, 0 outside, and its grid.

    Raises:
        InputError: As `read_labels`.
    """
    numbers, grid = _read_whole_numbers(path, np.iinfo(np.int32).max, is_ct=is_ct)
    return np.ascontiguousarray(numbers, dtype=np.int32), grid


def read_grid(path: Path, *, is_ct: bool = True) -> Grid:
    """Grid of an image from its header alone.

    Raises:
        InputError: As `read_nifti`, as far as the header tells.
    """
    head = read_head(path)
    return canonical_grid(head.shape, head.affine_lps, shown(path.name), is_ct=is_ct)


def _read_whole_numbers(path: Path, largest: int, *, is_ct: bool) -> tuple[Shaped[np.ndarray, "z y x"], Grid]:
    stored, head = _read_stored(path)
    ordered, grid = to_canonical_orientation(stored, head.affine_lps, shown(path.name), is_ct=is_ct)
    if stored.dtype.kind in "iu" and (head.slope, head.intercept) == (1.0, 0.0):
        fits = stored.min() >= 0 and stored.max() <= largest
    else:
        values = ordered * head.slope + head.intercept
        ordered = np.where(np.isfinite(values), values, -1)
        fits = not np.any(ordered != np.rint(ordered)) and ordered.min() >= 0 and ordered.max() <= largest
    if not fits:
        message = f"{shown(path.name)}: a label map holds whole numbers from 0 to {largest} only."
        raise InputError("BAD_VALUES", message, "Map the labels to these values.")
    return ordered, grid


def write_nifti(path: Path, array: Shaped[np.ndarray, "z y x"], grid: Grid) -> None:
    """Write an array on its grid; the same input gives the same bytes.

    Args:
        path: File to write; ``.nii.gz`` is compressed, ``.nii`` is not.
        array: Voxels of uint8, int16, int32, float32 or bool (stored as uint8).
        grid: Grid of the shape of ``array``.

    Raises:
        ValueError: Shape or type does not fit.
    """
    stored = array.view(np.uint8) if array.dtype == np.bool_ else array
    if stored.dtype.name not in _WRITABLE or stored.shape != grid.shape:
        raise ValueError(f"cannot write {array.dtype} {array.shape} on a grid of {grid.shape}")
    write_slabs(path, (stored[z : z + _SLAB] for z in range(0, len(stored), _SLAB)), stored.dtype, grid)


def write_slabs(
    path: Path, slabs: Iterable[Shaped[np.ndarray, "_ y x"]], dtype: np.dtype[Any] | type[np.generic], grid: Grid
) -> None:
    """Write slabs of whole slices, in order, as `write_nifti` writes the array they make up, which need not exist.

    Raises:
        ValueError: A slab does not fit, slices are missing, or the type cannot be written.
    """
    kind, written = np.dtype(dtype), 0
    if kind.name not in _WRITABLE:
        raise ValueError(f"cannot write {kind}")
    # 31: gzip's header, without a time.
    packer = zlib.compressobj(3, zlib.DEFLATED, 31) if path.name.endswith(".gz") else None
    with path.open("wb") as file:
        file.write(_pack(packer, _header_of(kind, grid)))
        for slab in slabs:
            if slab.dtype != kind or slab.shape[1:] != grid.shape[1:]:
                raise ValueError(f"slab of {slab.dtype} {slab.shape} in an image of {kind} {grid.shape}")
            file.write(_pack(packer, np.ascontiguousarray(slab).data))
            written += len(slab)
        if written != grid.shape[0]:
            raise ValueError(f"{written} slices for a grid of {grid.shape}")
        if packer is not None:
            file.write(packer.flush())


def _pack(packer: Any, data: bytes | memoryview) -> bytes | memoryview:
    return data if packer is None else packer.compress(data)


def _header_of(dtype: np.dtype[Any], grid: Grid) -> bytes:
    affine = _LPS_FROM_RAS @ grid.affine[:, [2, 1, 0, 3]]
    header: Any = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(grid.shape[::-1])
    header.set_slope_inter(1, 0)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1, strip_shears=True)
    header.set_xyzt_units("mm")
    stream = io.BytesIO()
    header.write_to(stream)
    return stream.getvalue()


def read_head(path: Path) -> NiftiHead:
    """Header of an image.

    Raises:
        InputError: As `read_nifti`, as far as the header tells.
    """
    with _opened(path) as stream:
        return _head(stream, shown(path.name))


def read_slabs(path: Path, planes: int) -> Iterator[tuple[int, Shaped[np.ndarray, "i j n"]]]:
    """Stored voxels of an image in file order, ``planes`` planes of the slowest axis at a time, unscaled.

    Yields:
        Index k of the first plane, and the slab.

    Raises:
        InputError: As `read_nifti` without the checks of values; ``TRUNCATED_FILE`` may come after good slabs.
    """
    with _opened(path) as stream:
        head = _head(stream, shown(path.name))
        _skip_to_voxels(stream, head.header, head.shape, head.dtype, shown(path.name))
        i, j, k = head.shape
        for start in range(0, k, planes):
            shape = (i, j, min(planes, k - start))
            yield start, _exactly(stream, shape, head.dtype, shown(path.name))
        stream.read(1)


def volumes_of(path: Path) -> int:
    """Number of volumes in a file by its header: 1 but for a file of four dimensions.

    Raises:
        InputError: ``FILE_MISSING``, ``NOT_NIFTI`` or ``TRUNCATED_FILE``.
    """
    with _opened(path) as stream:
        shape = [int(n) for n in _header(stream, shown(path.name)).get_data_shape()]
    return shape[3] if len(shape) == 4 and shape[3] > 0 else 1


def _read_stored(path: Path, volume: int | None = None) -> tuple[Shaped[np.ndarray, "i j k"], NiftiHead]:
    """Voxels as stored ``[i, j, k]``, unscaled, and the header."""
    with _opened(path) as stream:
        head = _head(stream, shown(path.name), several=volume is not None)
        _skip_to_voxels(stream, head.header, head.shape, head.dtype, shown(path.name))
        for _ in range(volume or 0):
            _exactly(stream, head.shape, head.dtype, shown(path.name))
        array = _exactly(stream, head.shape, head.dtype, shown(path.name))
        # One more read makes gzip compare its checksum.
        stream.read(1)
    return array, head


def _head(stream: io.BufferedIOBase, name: str, *, several: bool = False) -> NiftiHead:
    header = _header(stream, name)
    shape = _checked_shape(header, name, several=several)
    dtype = _checked_dtype(header, name)
    affine, notices = _checked_affine(header, shape, name)
    return NiftiHead(shape, dtype, _LPS_FROM_RAS @ affine, *_scaling(header, name), header, notices)


@contextmanager
def _opened(path: Path) -> Generator[io.BufferedIOBase, None, None]:
    """Stream of the plain bytes; gzip is recognised by its first bytes, since file names lie."""
    if not path.is_file():
        raise InputError("FILE_MISSING", f"{shown(path)}: there is no such file.", "Check the path.")
    with _opened_file(path) as file:
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        try:
            with GzipFile(fileobj=file) if packed else nullcontext(file) as stream:
                yield stream
        except _DAMAGED as error:
            raise _truncated(shown(path.name), "the compressed data end early or are damaged") from error


def _opened_file(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        message = f"{shown(path)}: {error.strerror}."
        raise InputError("CANNOT_READ", message, "Give yourself the right to read it.") from error


def _header(stream: io.BufferedIOBase, name: str) -> Any:
    start = stream.read(348)
    if len(start) < 348:
        raise _truncated(name, f"it holds {len(start)} bytes, less than a header")
    # The length of the header is its first number, and tells the byte order and the version of NIfTI at once.
    size = {int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")}
    kinds = [n for n in _HEADER_BYTES if n in size]
    if not kinds:
        raise InputError("NOT_NIFTI", f"{name}: this is not a NIfTI file.", "Give a .nii or .nii.gz file.")
    start += stream.read(kinds[0] - 348)
    try:
        header = _HEADER_BYTES[kinds[0]].from_fileobj(io.BytesIO(start), check=False)
        single = bytes(header["magic"].tobytes()).startswith((b"n+1\0", b"n+2\0"))
    except (HeaderDataError, ValueError) as error:
        raise InputError("NOT_NIFTI", f"{name}: the header cannot be read: {error}.", _CONVERT_AGAIN) from error
    if not single:
        raise InputError("NOT_NIFTI", f"{name}: a header without its image.", "Give a single .nii or .nii.gz file.")
    return header


def _checked_shape(header: Any, name: str, *, several: bool) -> tuple[int, int, int]:
    shape = [int(n) for n in header.get_data_shape()]
    if several and len(shape) == 4:
        shape.pop()
    # Many converters write a single volume as a series of one time point.
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if shape and set(shape) == {1}:
        raise InputError("EMPTY_IMAGE", f"{name}: the image is a single voxel.", "Give the image itself.")
    if len(shape) != 3 or min(shape) < 2:
        message = f"{name}: dimensions are {' x '.join(map(str, shape))}."
        raise InputError("WRONG_DIMS", message, "Give one three-dimensional volume per phase.")
    if any(n > limit for n, limit in zip(sorted(shape), MAX_DIMS, strict=True)):
        message = f"{name}: the header claims {' x '.join(map(str, shape))} voxels."
        raise InputError("TOO_LARGE", message, f"The largest accepted matrix is {' x '.join(map(str, MAX_DIMS))}.")
    return (shape[0], shape[1], shape[2])


def _checked_dtype(header: Any, name: str) -> np.dtype[Any]:
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise InputError("WRONG_DIMS", f"{name}: unknown voxel type.", "Store the CT as int16.") from error
    if dtype.names or dtype.kind not in "iuf" or dtype.itemsize > 8:
        message = f"{name}: voxels are {dtype}, not single real numbers."
        raise InputError("WRONG_DIMS", message, "Store the CT as int16.")
    return dtype


def _checked_affine(
    header: Any, shape: tuple[int, int, int], name: str
) -> tuple[Float[np.ndarray, "4 4"], tuple[Notice, ...]]:
    """Matrix from (i, j, k, 1) to RAS mm, and the forms that were not believed."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in _MILLIMETRES:
        message = f"{name}: the header gives lengths in {_UNITS.get(unit, f'unit {unit}')}, not in millimetres."
        raise InputError("BAD_SPACING", message, "Write the file again in millimetres.")
    written, header = header, header.copy()
    pixdim = header["pixdim"]
    # The standard: anything but a negative qfac counts as 1, and lengths have no sign.
    pixdim[0] = -1.0 if pixdim[0] < 0 else 1.0
    pixdim[1:4] = np.abs(pixdim[1:4])
    sform, sform_code = header.get_sform(coded=True)
    given = {"sform": np.asarray(sform, dtype=np.float64)} if sform_code > 0 else {}
    if header["qform_code"] > 0:
        given["qform"] = _qform(header, name, needed=not given)
    notices: list[Notice] = []
    if len(given) == 2:
        unset = "sform" if not np.any(given["sform"][:3]) else "qform" if _is_unset_qform(written, given) else ""
        if unset:
            del given[unset]
            other = next(iter(given))
            text = f"{name}: the {unset} is empty although its code is set; the {other} was used."
            notices.append(Notice(f"{unset.upper()}_IGNORED", text))
    if not given:
        raise bad_affine(name, "neither qform nor sform is set")
    for affine in given.values():
        check_affine(affine, name)
    if len(given) == 2:
        _check_forms_agree(given["sform"], given["qform"], shape, name)
    # The sform comes first where both are set: it keeps the whole matrix, a qform only a rotation.
    return next(iter(given.values())), tuple(notices)


def _qform(header: Any, name: str, *, needed: bool) -> Float[np.ndarray, "4 4"]:
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise bad_affine(name, f"{'' if needed else 'of the qform '}{error}") from error


def _is_unset_qform(header: Any, given: Mapping[str, Float[np.ndarray, "4 4"]]) -> bool:
    """True for what pipelines leave that write the sform alone: no qfac, or no rotation and offset beside a spacing."""
    if header["pixdim"][0] == 0:
        return True
    fields = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
    lengths = np.linalg.norm(given["sform"][:3, :3], axis=0)
    return not any(header[name] for name in fields) and np.allclose(np.abs(header["pixdim"][1:4]), lengths, rtol=1e-3)


def _check_forms_agree(
    sform: Float[np.ndarray, "4 4"], qform: Float[np.ndarray, "4 4"], shape: tuple[int, int, int], name: str
) -> None:
    # An affine difference is largest at a corner of the image.
    corners = np.array(np.meshgrid(*[(0.0, n - 1.0) for n in shape])).reshape(3, -1)
    homogeneous = np.vstack([corners, np.ones(corners.shape[1])])
    apart = float(np.abs((sform - qform) @ homogeneous).max())
    extent = float(np.linalg.norm(sform[:3, :3] @ (np.array(shape) - 1.0)))
    if apart > max(0.2, 2e-3 * extent):
        message = f"{name}: qform and sform place the image up to {apart:.1f} mm apart."
        raise InputError("AFFINE_CONFLICT", message, "Write the file again with one of the two only.")


def _skip_to_voxels(
    stream: io.BufferedIOBase, header: Any, shape: tuple[int, int, int], dtype: np.dtype[Any], name: str
) -> None:
    read = int(header["sizeof_hdr"])
    offset = float(header["vox_offset"])
    # Four bytes that say whether extensions follow always lie between header and voxels.
    offset = float(read + 4) if offset == 0 else offset
    if not (read + 4 <= offset <= 1 << 24 and offset == int(offset)):
        raise InputError("NOT_NIFTI", f"{name}: the data offset is {offset:g}.", _CONVERT_AGAIN)
    stream.read(int(offset) - read)
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    # Before a byte is read: a forged header must not make the process ask for terabytes.
    if expected > MAX_BYTES:
        raise InputError("TOO_LARGE", f"{name}: the header claims {expected / 1e9:.1f} GB.", "Give the CT as int16.")


def _exactly(
    stream: io.BufferedIOBase, shape: tuple[int, int, int], dtype: np.dtype[Any], name: str
) -> Shaped[np.ndarray, "i j k"]:
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if isinstance(stream, io.BufferedReader):
        # Before memory is asked for: a header may claim more than there is.
        there = os.fstat(stream.fileno()).st_size - stream.tell()
        if there < expected:
            raise _truncated(name, f"{max(there, 0)} of {expected} bytes of voxels are there")
    data = stream.read(expected)
    if len(data) < expected:
        raise _truncated(name, f"{len(data)} of {expected} bytes of voxels are there")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F")


def _scaling(header: Any, name: str) -> tuple[float, float]:
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise InputError("BAD_RESCALE", f"{name}: {error}.", _CONVERT_AGAIN) from error
    return (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))


def _truncated(name: str, reason: str) -> InputError:
    return InputError("TRUNCATED_FILE", f"{name}: the file is cut off: {reason}.", _CONVERT_AGAIN)
