"""Contrast phase from what people wrote into a series: description, protocol, contrast agent, in several languages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from livercascade.data.labels import Phase

_START, _END = r"(?<![^\W\d_])(?:", r")(?![^\W\d_])"


def _words(*patterns: str) -> re.Pattern[str]:
    """Pattern of whole words; letters, not digits or signs, bound a word."""
    return re.compile(_START + "|".join(patterns) + _END, re.IGNORECASE)


_WORDS: Mapping[Phase, re.Pattern[str]] = {
    Phase.NC: _words(
        r"non[\s_-]*con(?:t|trast|trasted)?",
        r"un-?enhanced|unenh|plain|nati(?:v|ve|vo|va|f|ff)|basale?|blanc|blanco|ncct|nc|nect",
        r"pre[\s_-]*(?:con|contrast|injection)?|w/o|wo|without|c-",
        r"sans[\s_-]*(?:injection|contraste|iv|ic|pdc)|ohne[\s_-]*km|nativphase|sin[\s_-]*contraste|senza[\s_-]*mdc",
    ),
    Phase.AP: _words(r"art|arter|arterial\w*|arteriel\w*|artériel\w*|arteriell\w*|arterios[ao]|arteriale?|hap|aphase"),
    Phase.VP: _words(
        r"port|portal\w*|porto\w*|pv|pvp|pvph|vp|ven|venous|venos[ao]|venös\w*|venoes\w*|veineu(?:x|se)|hepatic\s+venous"
    ),
    Phase.DP: _words(
        r"del|delay|delays|delayed|equilibri\w*|équilibre|tardi(?:f|ve|va|vo|o|a)|spät\w*|spaet\w*|dp|excretory",
        r"late(?![\s_-]*(?:art|port|ven|hepatic))",
    ),
}
_ASIAN: Mapping[Phase, tuple[str, ...]] = {
    Phase.NC: ("平扫", "平掃", "単純"),
    Phase.AP: ("动脉", "動脈"),
    Phase.VP: ("门静脉", "门脉", "門脈", "静脉期"),
    Phase.DP: ("延迟", "延遲", "平衡"),
}
_SHORT_AP = _words("ap")
# "AP" often stands for abdomen and pelvis, and a protocol of several phases is named alike in each of its series.
_SEVERAL = re.compile(
    r"[2-5]\s*-?\s*ph(?:ase|asic)?|(?:tri|bi|multi|quad\w*)[\s-]*phas|abd|pelvi|chest|thorax", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class TagGuess:
    """Phase that the text names, and the trust in it from 0 to 1."""

    phase: Phase
    trust: float


def guess_from_texts(texts: Sequence[str]) -> TagGuess | None:
    """First text that names exactly one phase; earlier texts are trusted more.

    >>> guess_from_texts(["Abdomen portal venous 3.0"]).phase.value
    'VP'
    >>> guess_from_texts(["LIVER 3 PHASE (AP)"]) is None
    True
    """
    for text, trust in zip(texts, (0.95, 0.85, 0.7), strict=False):
        named = {phase for phase in Phase if _WORDS[phase].search(text) or any(w in text for w in _ASIAN[phase])}
        if len(named) == 1:
            return TagGuess(named.pop(), trust)
        if not named and _SHORT_AP.search(text) and not _SEVERAL.search(text):
            return TagGuess(Phase.AP, min(trust, 0.7))
    return None
