"""When a DICOM slice was acquired: date and time together, since studies run across midnight."""

from __future__ import annotations

import re
from datetime import date

from livercascade.io.dicom_header import DicomImage

_DAY_S = 86_400.0
_TIME = re.compile(r"(\d{2}):?(\d{2})(?::?(\d{2})(\.\d*)?)?")
_DATE_TIME = re.compile(r"(\d{8})(\d{6}(?:\.\d*)?)(?:[+-]\d{4})?")
_DATES = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")


def acquired_at(image: DicomImage) -> float | None:
    """Seconds from a fixed day at which a slice was acquired; None where absent or blanked to zero."""
    joined = _DATE_TIME.fullmatch(image.text("AcquisitionDateTime"))
    if joined and (seconds := _seconds(joined[2])):
        return _day(joined[1]) * _DAY_S + seconds
    for keyword, own in (("AcquisitionTime", "AcquisitionDate"), ("ContentTime", "ContentDate")):
        seconds = _seconds(image.text(keyword))
        if seconds:
            day = next((day for name in (own, *_DATES) if (day := _day(image.text(name)))), 0)
            return day * _DAY_S + seconds
    return None


def injected_at(image: DicomImage) -> float | None:
    """Seconds from the same fixed day at which the contrast medium began to be given; None where that is not said."""
    seconds = _seconds(image.text("ContrastBolusStartTime"))
    acquired = acquired_at(image)
    if not seconds or acquired is None:
        return None
    # The tag holds no date: the day is the one that brings it closest.
    day = round((acquired - seconds) / _DAY_S)
    return day * _DAY_S + seconds


def _seconds(text: str) -> float:
    """Seconds from midnight, 0 for what is no time or a blanked one."""
    found = _TIME.fullmatch(text)
    if found is None:
        return 0.0
    hours, minutes, seconds = (int(found[k] or 0) for k in (1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 60 or not (hours or minutes or seconds):
        # Midnight to the second is how de-identifiers blank a time.
        return 0.0
    fraction = float(f"0{found[4]}") if found[4] and len(found[4]) > 1 else 0.0
    return 3600.0 * hours + 60.0 * minutes + seconds + fraction


def _day(text: str) -> int:
    """Number of a day, 0 for what is no date."""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal() if len(text) == 8 else 0
    except ValueError:
        return 0
