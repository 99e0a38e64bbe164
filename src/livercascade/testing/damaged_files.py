"""Damage to DICOM and NIfTI files that knows their structure, for tests of readers; needs hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from hypothesis import strategies as st

_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UC", b"UN", b"UR", b"UT")
_NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"2",
    b"0.5",
    b"1e-9",
    b"1e9",
    b"1e999",
    b"nan",
    b"-inf",
    b"65536",
    b"99999999999",
    b"1,5",
    b"",
)
_TEXTS = (
    b"abc",
    b"\0\0",
    b"\xff\xfe",
    b"../../x",
    b"\\\\\\",
    b"1\\2\\3\\4\\5\\6",
    b"x" * 70,
    b"0\\0\\0",
    b"1\\0\\0\\0\\1\\0",
)
_WORDS = (b"\0\0", b"\1\0", b"\2\0", b"\x10\0", b"\xff\xff", b"\0\x80", b"\1\0\1\0", b"\x40", b"\x0c\0", b"\x20\0")
_SYNTAXES = (
    *(b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99"),
    *(b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.80"),
    *(b"1.2.840.113619.5.2", b"1.2.3", b"", b"nonsense"),
)
_LENGTHS = (0, 1, 2, 3, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
_KINDS = ("value", "value", "value", "value", "vr", "length", "delete", "repeat", "cut", "bytes", "nest")
# The last fields of the NIfTI header hold free text, which no reader needs.
_NIFTI_FIELDS = tuple(
    name for name in nib.Nifti1Header.template_dtype.names or () if name not in ("descrip", "aux_file")
)
_FIELD_VALUES = (0, 1, -1, 2, 3, 4, 7, 8, 16, 64, 255, 512, 1e-9, 1e9, 32767, -32768, 352, 348, np.nan, np.inf, -np.inf)


@dataclass(frozen=True, slots=True)
class Damage:
    """One change of a file.

    Attributes:
        kind: Kind of the change.
        place: Where, as a fraction of all elements, fields or bytes.
        number: Number that the change needs: a length, a depth, an index.
        value: Bytes that the change needs.
    """

    kind: str
    place: float
    number: int = 0
    value: bytes = b""


def dicom_damages() -> st.SearchStrategy[list[Damage]]:
    """One to three changes of a DICOM file: values, lengths, types of elements, whole elements, plain bytes."""
    value = st.one_of(*(st.sampled_from(values) for values in (_NUMBERS, _TEXTS, _WORDS, _SYNTAXES)))
    one = st.builds(
        Damage,
        st.sampled_from(_KINDS),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.sampled_from(_LENGTHS), st.integers(0, 3000)),
        st.one_of(value, st.binary(max_size=12)),
    )
    return st.lists(one, min_size=1, max_size=3)


def nifti_damages() -> st.SearchStrategy[list[Damage]]:
    """One to three changes of a NIfTI file: fields of its header, plain bytes, a cut."""
    field = st.builds(
        Damage,
        st.just("field"),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 7 * len(_FIELD_VALUES)),
    )
    other = st.builds(
        Damage,
        st.sampled_from(("bytes", "cut")),
        st.floats(0, 1, exclude_max=True),
        value=st.binary(min_size=1, max_size=8),
    )
    return st.lists(st.one_of(field, field, field, other), min_size=1, max_size=3)


def damaged_dicom(data: bytes, damages: Sequence[Damage]) -> bytes:
    """A DICOM file in explicit little endian, with a preamble, after some changes."""
    for damage in damages:
        elements = _elements(data)
        if not elements:
            return data
        at, head, length = elements[int(damage.place * len(elements))]
        data = _changed(data, damage, at, head, length)
    return data


def damaged_nifti(data: bytes, damages: Sequence[Damage]) -> bytes:
    """An uncompressed NIfTI-1 file after some changes."""
    for damage in damages:
        if damage.kind == "field":
            header = np.frombuffer(data[:348].ljust(348, b"\0"), nib.Nifti1Header.template_dtype).copy()
            name = _NIFTI_FIELDS[int(damage.place * len(_NIFTI_FIELDS))]
            value = _FIELD_VALUES[damage.number % len(_FIELD_VALUES)]
            flat = header[name].reshape(-1)
            if flat.dtype.kind in "iuf":
                limits = np.iinfo(flat.dtype) if flat.dtype.kind in "iu" else None
                safe = np.nan_to_num(value, nan=0, posinf=9e9, neginf=-9e9) if limits else value
                flat[damage.number % flat.size] = np.clip(safe, limits.min, limits.max) if limits else safe
            data = header.tobytes() + data[348:]
        elif damage.kind == "cut":
            data = data[: int(damage.place * len(data))]
        else:
            # Half of the changes fall into the header.
            reach = 352 if damage.value[0] % 2 else len(data)
            at = int(damage.place * min(reach, len(data)))
            data = data[:at] + damage.value + data[at + len(damage.value) :]
    return data


def _elements(data: bytes) -> list[tuple[int, int, int]]:
    """Start, length of the head and length of the value of each element up to the pixels."""
    found: list[tuple[int, int, int]] = []
    at = 132
    while at + 8 <= len(data):
        long = data[at + 4 : at + 6] in _LONG
        head = 12 if long else 8
        length = int.from_bytes(data[at + head - (4 if long else 2) : at + head], "little")
        found.append((at, head, length))
        if data[at : at + 4] == b"\xe0\x7f\x10\x00" or length > len(data):
            break
        at += head + length
    return found


def _changed(data: bytes, damage: Damage, at: int, head: int, length: int) -> bytes:
    size = 4 if head == 12 else 2
    end = min(at + head + length, len(data))
    match damage.kind:
        case "value":
            value = damage.value + b" " * (len(damage.value) % 2)
            return data[: at + head - size] + len(value).to_bytes(size, "little") + value + data[end:]
        case "length":
            claimed = (damage.number & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            return data[: at + head - size] + claimed + data[at + head :]
        case "vr":
            kinds = (b"US", b"SS", b"DS", b"IS", b"SQ", b"UN", b"OB", b"??", b"\0\0", b"FD")
            return data[: at + 4] + kinds[damage.number % len(kinds)] + data[at + 6 :]
        case "delete":
            return data[:at] + data[end:]
        case "repeat":
            return data[:end] + data[at:end] + data[end:]
        case "cut":
            return data[: min(at + damage.number, len(data))]
        case "nest":
            depth = damage.number % 1200
            opened = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth
            return data[:at] + opened + data[at:]
        case _:
            # Most bytes are pixels: every other change falls into the header.
            last = len(data) if damage.number % 2 else max(at, 1)
            place = int(damage.place * last)
            return data[:place] + damage.value + data[place + len(damage.value) :]
