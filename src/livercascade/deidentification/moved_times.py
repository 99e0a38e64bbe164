"""Dates and times of a data set, moved by one step: what lay 30 s apart still does."""

from __future__ import annotations

import datetime
import re

_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?")
_ANY_DAY = datetime.date(2000, 1, 1)


def moved(date: str, time: str, shift: datetime.timedelta) -> tuple[str, str]:
    """Date and time of day as DICOM writes them, moved together; what is absent or no date or time becomes empty.

    A date without a time moves by whole days, a time without a date round the clock. Times without seconds get them.

    Args:
        date: Value of VR DA.
        time: Value of VR TM.
        shift: Step.

    >>> moved("20240229", "235930.5", datetime.timedelta(days=1, seconds=40))
    ('20240302', '000010.500000')
    >>> moved("", "1015", datetime.timedelta(hours=-11)), moved("2024", "", datetime.timedelta(1))
    (('', '231500.000000'), ('', ''))
    """
    day, clock = parsed_date(date), parsed_time(time)
    if day is None and clock is None:
        return "", ""
    try:
        moment = datetime.datetime.combine(day or _ANY_DAY, clock or datetime.time()) + (
            shift if clock is not None else datetime.timedelta(days=shift.days)
        )
    except OverflowError:
        return "", ""
    # strftime writes years before 1000 with fewer digits.
    new_date = f"{moment.year:04d}{moment:%m%d}" if day is not None else ""
    return new_date, f"{moment:%H%M%S.%f}" if clock is not None else ""


def moved_moment(value: str, shift: datetime.timedelta) -> str:
    """The same for date and time in one value (VR DT); a time zone is left out.

    >>> moved_moment("20240229235930+0100", datetime.timedelta(seconds=30))
    '20240301000000.000000'
    """
    text = re.sub(r"[+-]\d{4}$", "", value.strip())
    return "".join(moved(text[:8], text[8:], shift))


def parsed_date(text: str) -> datetime.date | None:
    """Date of a value of VR DA; None if it is not one."""
    found = _DATE.fullmatch(text.strip())
    try:
        return None if found is None else datetime.date(*(int(part) for part in found.groups()))
    except ValueError:
        return None


def parsed_time(text: str) -> datetime.time | None:
    """Time of a value of VR TM; None if it is not one."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    try:
        return datetime.time(int(hour), int(minute or 0), int(second or 0), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None
