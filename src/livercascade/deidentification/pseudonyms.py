"""Other names for patients, identifiers and moments: always the same under one key, and no table to keep or to lose."""

from __future__ import annotations

import datetime
import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from pydicom.uid import UID

from livercascade.data.errors import UsageError
from livercascade.system.files import write_file

KEY_BYTES = 32
# Back in time: nobody takes a date of the future for one that was measured.
_DAYS_BACK = (400, 4000)
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Keyed replacements (HMAC-SHA-256): without the key nothing leads back, with it a later export fits an older one.

    Attributes:
        key: The secret; a new one by default, which is forgotten with the object.
    """

    key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)

    def uid(self, uid: str) -> str:
        """Replacement of an identifier; one that DICOM itself defines stays.

        >>> Pseudonyms(b"k").uid("1.2.840.10008.1.2.1")
        '1.2.840.10008.1.2.1'
        """
        # Identifiers of the standard have a name of their own.
        if UID(uid).name != uid:
            return uid
        return f"2.25.{UUID(bytes=self._digest('uid', uid)[:16], version=4).int}"

    def patient(self, identity: str) -> str:
        """Name of a patient for an export: letters and digits."""
        return "P" + self._digest("patient", identity).hex()[:12].upper()

    def shift(self, identity: str) -> datetime.timedelta:
        """By how much every moment of a patient is moved: 400 to 4000 days back, and a part of a day."""
        number = int.from_bytes(self._digest("shift", identity)[:8], "big")
        low, high = _DAYS_BACK
        return -datetime.timedelta(days=low + number % (high - low), seconds=number // (high - low) % _DAY)

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.digest(self.key, f"{kind} {text}".encode(), sha256)


def read_key(path: Path) -> Pseudonyms:
    """Replacements by the key in a file; the file is made, for its owner alone, where it is absent.

    Raises:
        UsageError: ``BAD_KEY``: the file is not a key.
        OutputError: The file cannot be written.
    """
    if not path.exists():
        write_file(path, secrets.token_bytes(KEY_BYTES).hex() + "\n")
        path.chmod(0o600)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise UsageError("BAD_KEY", f"{path} holds no key.", "Name a file that does not exist; it is made.") from error
    if len(key) < KEY_BYTES:
        raise UsageError("BAD_KEY", f"{path} holds {len(key)} bytes.", f"A key has {KEY_BYTES}, as hexadecimal digits.")
    return Pseudonyms(key)
