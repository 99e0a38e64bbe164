"""What channels and labels of nnU-Net data sets and models mean to us, by their names or by what the user says.

A "tumor" of unknown type is never guessed: it may be said to be a lesion, and then its type stays open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from livercascade.data.coverage import IGNORED, UNKNOWN_LESION
from livercascade.data.errors import InputError, UsageError
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase, label_name
from livercascade.data.record import Record

_PHASE_WORDS: dict[Phase, str] = {
    Phase.NC: "nc noncontrast nativ native unenhanced plain precontrast",
    Phase.AP: "ap arterial art latearterial",
    Phase.VP: "vp pv pvp venous portalvenous portal portovenous",
    Phase.DP: "dp delayed delay equilibrium late",
}
_LABEL_WORDS: dict[str, int] = {
    "metastasis": 3,
    "metastases": 3,
    "hemangioma": 4,
    "haemangioma": 4,
    "cholangiocarcinoma": 2,
    "hepatocellularcarcinoma": 1,
    "cysts": 6,
    "fnh": 5,
    "hepaticvessel": 8,
    "livervessels": 8,
    "portalveinandsplenicvein": 9,
    "portalandsplenicveins": 9,
}


class DatasetNames(Record):
    """What a user says about an nnU-Net data set or model.

    Attributes:
        channels: Phase of channel numbers or names.
        labels: Our label of label names: 0-13, 14 for a lesion of unknown type, 255 for what is to be ignored.
    """

    channels: dict[str, Phase] = Field(default_factory=dict)
    labels: dict[str, int] = Field(default_factory=dict)

    @classmethod
    def parse(cls, channels: Sequence[str], labels: Sequence[str]) -> DatasetNames:
        """Names from ``0=VP`` and ``tumor=HCC``.

        Raises:
            UsageError: One is not of that form or names no phase or label (``BAD_NAMES``).

        >>> DatasetNames.parse(["0=vp"], ["tumor=HCC"]).labels
        {'tumor': 1}
        """
        ours = _label_names()
        phases = {_plain(phase.value): phase for phase in PHASES}
        return cls(channels=_pairs(channels, phases), labels=_pairs(labels, ours))

    def phases(self, channels: Mapping[str, Any]) -> dict[int, Phase]:
        """Phase of each channel of ``channel_names``.

        Raises:
            InputError: ``CHANNEL_UNKNOWN`` or ``CHANNEL_TWICE``.
        """
        known = {word: phase for phase, words in _PHASE_WORDS.items() for word in words.split()}
        found: dict[int, Phase] = {}
        for number, name in channels.items():
            # Data sets say arterial, CT_arterial or arterial phase.
            plain = _plain(str(name)).removeprefix("ct").removesuffix("ct").removesuffix("phase")
            phase = self.channels.get(number, self.channels.get(str(name), known.get(plain)))
            if phase is None:
                remedy = f"Say which phase it is, for example --channel {number}=VP."
                raise InputError("CHANNEL_UNKNOWN", f"Channel {number} is named {name!r}: no phase.", remedy)
            if phase in found.values():
                raise InputError(
                    "CHANNEL_TWICE", f"Two channels are {phase.value}.", "Give each its own phase with --channel."
                )
            found[int(number)] = phase
        return found

    def values(self, labels: Mapping[str, Any]) -> dict[int, int]:
        """Our label of each value of ``labels``, see `labels`.

        Raises:
            InputError: ``LABEL_UNKNOWN``, or the labels are nnU-Net's regions (``LABEL_REGIONS``).
        """
        known = _label_names() | _LABEL_WORDS
        found: dict[int, int] = {}
        for name, value in labels.items():
            if not isinstance(value, int):
                remedy = "Regions overlap and have no place in one label map: give plain labels."
                raise InputError("LABEL_REGIONS", f"Label {name!r} is a region of {value}.", remedy)
            ours = self.labels.get(name, known.get(_plain(name)))
            if ours is None:
                remedy = (
                    f"Say what it is, for example --label {name}=HCC, or --label {name}=lesion if the type is "
                    f"not known; one of {', '.join(_label_names())}."
                )
                raise InputError("LABEL_UNKNOWN", f"Label {value} is named {name!r}, which is not one of ours.", remedy)
            found[value] = ours
        return found


def read_described(path: Path) -> dict[str, Any]:
    """Content of a ``dataset.json`` that names channels and labels.

    Raises:
        InputError: ``BAD_DATASET``.
    """
    try:
        content = json.loads(path.read_text())
        if isinstance(content["channel_names"], dict) and isinstance(content["labels"], dict):
            return content
        reason = "channel_names and labels are not tables"
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise InputError("BAD_DATASET", f"{path} cannot be used ({reason}).", "Give one in the form of nnU-Net v2.")


def _pairs(items: Sequence[str], meanings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        name, _, meaning = item.rpartition("=")
        if not name or _plain(meaning) not in meanings:
            raise UsageError("BAD_NAMES", f"{item!r} says nothing.", f"Give NAME=ONE OF {', '.join(meanings)}.")
        found[name] = meanings[_plain(meaning)]
    return found


def _label_names() -> dict[str, int]:
    named = {_plain(label_name(value)): value for value in range(NUM_CLASSES)}
    # "ignore" is nnU-Net's own word.
    return named | {"lesion": UNKNOWN_LESION, "ignore": IGNORED}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
