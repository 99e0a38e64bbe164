"""What tells apart the stacks that one series holds: any tag that does, else time or number; never the file's name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int

from livercascade.data.errors import InputError
from livercascade.io.dicom_header import DicomImage, all_texts
from livercascade.io.dicom_time import acquired_at

MAX_STACKS = 8
"""Most stacks that one series is split into."""
# A reconstruction differs from another in these; slices of two are never one volume.
_RECONSTRUCTION = ("ConvolutionKernel", "KVP", "FilterType", "SliceThickness", "SeriesDescription", "DiffusionBValue")
# Two scans, or one that went over the body twice: where such slices alternate, the tags do not say which.
_ACQUISITION = ("AcquisitionNumber", "TemporalPositionIdentifier", "ContrastBolusAgent")
_NOT_TOLD = ("SOPInstanceUID", "MediaStorageSOPInstanceUID", "FileMetaInformationGroupLength")
# Seconds between slices that no single pass over the body leaves.
_PAUSE_S = 5.0
_MAX_PAIRED = 40
# Bolus tracking looks at one place, wide detectors at some, many times.
_WATCHED_PLACES, _WATCHED_TIMES = 4, 4
Labels = Int[np.ndarray, " n"]
"""Number of the stack of each image."""


def split_at_repeats(images: Sequence[DicomImage], places: Labels) -> list[list[DicomImage]] | None:
    """Stacks of a series in which positions repeat, in time; None where nothing tells them apart beyond doubt.

    Each stack has every position once. A tag, public or private, or two tags together, must tell them apart; if there
    is none, then a pause in time, or numbers that begin anew. Tags that tell different stories tell nothing.

    Args:
        images: Slices in no order.
        places: Number of each slice's position.
    """
    most = int(np.bincount(places).max())
    if most > MAX_STACKS:
        return None
    columns = _columns(images, most)
    labels = _agreed(columns, places, most)
    if labels is None:
        pairs = itertools.combinations(columns[:_MAX_PAIRED], 2)
        labels = _agreed((_numbered(zip(a, b, strict=True)) for a, b in pairs), places, most)
    if labels is None:
        times = np.array([acquired_at(image) or np.nan for image in images])
        numbers = np.array([_or_nan(image.integer("InstanceNumber")) for image in images])
        ranked = (_by_pauses(times, most), _by_rank(times, places), _by_rank(numbers, places))
        labels = next((one for one in ranked if one is not None and _is_clean(one, places)), None)
    return None if labels is None else _parts(images, labels)


def without_watching(images: Sequence[DicomImage], places: Labels) -> list[DicomImage] | None:
    """The stack of a series in which a few places were scanned again and again while the contrast medium arrived.

    None where no tag says, or several say differently, which images are the stack.

    Args:
        images: Slices in no order.
        places: Number of each slice's position.
    """
    counts = np.bincount(places)
    crowded = counts[counts > 1]
    if not 1 <= len(crowded) <= _WATCHED_PLACES or crowded.min() < _WATCHED_TIMES:
        return None
    whole: set[bytes] = set()
    for labels in _columns(images, len(images)):
        for number in range(int(labels.max()) + 1):
            chosen = labels == number
            if chosen.sum() == len(counts) == len(np.unique(places[chosen])):
                whole.add(chosen.tobytes())
    if len(whole) != 1:
        return None
    chosen = np.frombuffer(whole.pop(), dtype=np.bool_)
    return [image for image, kept in zip(images, chosen, strict=True) if kept]


def split_interleaved(
    images: Sequence[DicomImage], heights: Float[np.ndarray, " n"], name: str
) -> list[list[DicomImage]] | None:
    """Stacks of a series without repeated positions whose slices alternate; None for one stack.

    Args:
        images: Slices in no order.
        heights: Height of each slice along the normal in mm.
        name: Name of the series, for messages.

    Raises:
        InputError: ``MULTI_ACQUISITION`` where slices of several acquisitions alternate.
    """
    for keyword in _RECONSTRUCTION:
        labels = _numbered(_rounded(image.text(keyword)) for image in images)
        if _alternates(labels, heights):
            return _parts(images, labels)
    times = np.array([acquired_at(image) or np.nan for image in images])
    labels = _by_pauses(times, 2)
    told = [_numbered(image.text(keyword) for image in images) for keyword in _ACQUISITION]
    if any(_alternates(one, heights) for one in (*told, *([] if labels is None else [labels]))):
        message = f"{name}: slices of several acquisitions alternate."
        raise InputError("MULTI_ACQUISITION", message, "Export one acquisition per series.")
    return None


def changes_of(images: Sequence[DicomImage]) -> str:
    """Reconstruction tag that changes within a stack, with its values; empty if none does."""
    for keyword in ("ConvolutionKernel", "KVP"):
        values = sorted({image.text(keyword) for image in images})
        if len(values) > 1:
            return f"{keyword} ({', '.join(value or 'none' for value in values[:3])})"
    return ""


def _columns(images: Sequence[DicomImage], most: int) -> list[Labels]:
    """Labels by each tag that has few values, each partition once."""
    # All frames of one file share its header: what differs stands in their own values.
    headers = [{**({} if image.frame is not None else _header(image)), **image.values} for image in images]
    keywords = sorted({keyword for header in headers for keyword in header} - set(_NOT_TOLD))
    found: dict[bytes, Labels] = {}
    for keyword in keywords:
        labels = _numbered(header.get(keyword, "") for header in headers)
        if 1 <= labels.max() < most:
            found.setdefault(labels.tobytes(), labels)
    return list(found.values())


def _header(image: DicomImage) -> dict[str, str]:
    try:
        return all_texts(image.path)
    except Exception:
        # Damage beyond the tags that were read already; those alone may tell.
        return {}


def _agreed(columns: Iterable[Labels], places: Labels, most: int) -> Labels | None:
    """The one partition with the fewest stacks that leaves no position twice; None if there are several or none."""
    found: dict[bytes, Labels] = {}
    for labels in columns:
        if labels.max() < most and _is_clean(labels, places):
            found.setdefault(labels.tobytes(), labels)
    if not found:
        return None
    fewest = min(int(labels.max()) for labels in found.values())
    chosen = [labels for labels in found.values() if int(labels.max()) == fewest]
    return chosen[0] if len(chosen) == 1 else None


def _is_clean(labels: Labels, places: Labels) -> bool:
    """True if no part has a position twice, and one part at least is most of a stack."""
    sizes = np.bincount(labels)
    if len(np.unique(np.stack([labels, places]), axis=1).T) < len(labels):
        return False
    return len(sizes) > 1 and int(sizes.max()) > len(np.unique(places)) // 2


def _alternates(labels: Labels, heights: Float[np.ndarray, " n"]) -> bool:
    """True if there are few parts of some slices each, and two of them share most of their heights."""
    sizes = np.bincount(labels)
    if not 2 <= len(sizes) <= MAX_STACKS or sizes.min() < 3:
        return False
    ranges = [(heights[labels == k].min(), heights[labels == k].max()) for k in range(len(sizes))]
    for (low, high), (other_low, other_high) in itertools.combinations(ranges, 2):
        shared = min(high, other_high) - max(low, other_low)
        if shared > 0.5 * min(high - low, other_high - other_low):
            return True
    return False


def _by_pauses(values: Float[np.ndarray, " n"], parts: int) -> Labels | None:
    """Parts between the longest pauses, which must be clearly longer than all others."""
    if not np.all(np.isfinite(values)) or len(values) <= parts:
        return None
    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order])
    longest = np.argsort(gaps)[::-1]
    cuts, rest = longest[: parts - 1], longest[parts - 1 :]
    if gaps[cuts].min() < max(_PAUSE_S, 2 * float(gaps[rest].max(initial=0.0))):
        return None
    labels = np.empty(len(values), dtype=np.int64)
    labels[order] = np.searchsorted(np.sort(cuts), np.arange(len(values)) - 1, side="right")
    return labels


def _by_rank(values: Float[np.ndarray, " n"], places: Labels) -> Labels | None:
    """The k-th value of every position belongs to part k, if the parts do not overlap in these values."""
    counts = np.bincount(places)
    if not np.all(np.isfinite(values)) or np.any(counts != counts[0]):
        return None
    labels = np.empty(len(values), dtype=np.int64)
    for place in range(len(counts)):
        here = np.flatnonzero(places == place)
        labels[here[np.argsort(values[here], kind="stable")]] = np.arange(len(here))
    ends = [(values[labels == k].min(), values[labels == k].max()) for k in range(int(counts[0]))]
    return labels if all(before[1] < after[0] for before, after in itertools.pairwise(ends)) else None


def _parts(images: Sequence[DicomImage], labels: Labels) -> list[list[DicomImage]]:
    parts = [
        [image for image, label in zip(images, labels, strict=True) if label == k] for k in range(labels.max() + 1)
    ]
    return sorted(parts, key=_when)


def _when(part: Sequence[DicomImage]) -> tuple[float, float, float]:
    times = [time for image in part if (time := acquired_at(image)) is not None]
    numbers = [image.integer("AcquisitionNumber") or 0 for image in part]
    instances = [image.integer("InstanceNumber") or 0 for image in part]
    return (min(times, default=0.0), float(min(numbers)), float(min(instances)))


def _numbered(values: Iterable[object]) -> Labels:
    """Number of each value, in the order in which the values first come."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _rounded(text: str) -> str:
    try:
        return f"{float(text):.2f}"
    except ValueError:
        return text


def _or_nan(value: int | None) -> float:
    return np.nan if value is None else float(value)
