"""``patients.csv`` of a data set: which cases belong to one patient."""

from __future__ import annotations

import csv
from pathlib import Path

from livercascade.data.errors import InputError

PATIENTS_FILE = "patients.csv"


def patient_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of the table in a folder, each with ``case`` and ``patient`` and what other columns it has; none without it.

    Raises:
        InputError: The table does not name a patient for each case (``BAD_PATIENTS``).
    """
    path = folder / PATIENTS_FILE
    if not path.is_file():
        return []
    # Spreadsheets put a byte-order mark before the first column name.
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"case", "patient"} <= rows[0].keys() or not all(row["patient"] for row in rows):
        raise InputError(
            "BAD_PATIENTS", f"{path} does not name a patient for each case.", "Give the columns case and patient."
        )
    return rows
