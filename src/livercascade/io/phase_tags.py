"""Contrast phase from the words and clocks of a header, in several languages; words that say two things say nothing.

Texts are compared without case and accents. Clear words (``arterial``, ``ohne Kontrastmittel``) count wherever they
stand. Short ones (``pre``, ``art``, ``ven``, ``del``) have other meanings (PRE-OP, Port placement, del abdomen): they
count only where every other word of the text is known to be harmless (`_NEUTRAL`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from livercascade.data.labels import PHASES, Phase

NC, AP, VP, DP = PHASES
TRUST = (0.95, 0.85, 0.7)
"""Trust in the first text that names a phase, in the second, in any later one."""
_WEAK_TRUST, _CODE_TRUST = 0.85, 0.98


def _words(*patterns: str) -> re.Pattern[str]:
    """Pattern of whole words; letters, not digits or signs, bound a word."""
    return re.compile(r"(?<![^\W\d_])(?:" + "|".join(patterns) + r")(?![^\W\d_])")


# Contrast medium, as the languages write it after "with" and "without".
_MEDIUM = (
    r"(?:(?:iv|i\.v\.|ev|intravenous\w*|intravenos\w*)[\s_.-]*)?"
    r"(?:kontrast\w*|contrast\w*|контраст\w*|k\.?m|kl|mdc|m\.d\.c|pdc|civ|iv|ev|injection|inj|ku|ку)"
)
# Both at once: W/WO, mit/ohne, con y sin, and the other way round.
_WITH_WORD = r"(?:with|w/?|mit|avec|con|com|c/|met|med|с)"
_WITHOUT_WORD = r"(?:without|w/?o|ohne|sans|sin|senza|sem|s/|zonder|utan|uten|uden|bez|без)"
_AND = r"[\s/&+_,-]*(?:(?:and|und|et|y|e|en|ve|i|и|or|oder|ou|och|og)[\s_]+)?"
_GAP = r"[\s_./-]*"
_BOTH = _words(
    rf"{_WITH_WORD}[\s_-]*(?:{_MEDIUM})?{_AND}{_WITHOUT_WORD}",
    rf"{_WITHOUT_WORD}[\s_-]*(?:{_MEDIUM})?{_AND}{_WITH_WORD}",
)
_MEDIUM_WORD = _words(r"kontrast\w*|contrast\w*|контраст\w*|km|mdc|pdc|civ")
_WITHOUT = _words(
    rf"(?:without|w{_GAP}/?o|no|ohne|o\.|sans|ss|sin|senza|sem|zonder|uten|utan|uden|bez|без){_GAP}{_MEDIUM}",
    r"without|w/o|w/out|s/c|s/mdc|s/contraste",
)
_WITH = _words(
    rf"(?:with|w/?|mit|m\.|avec|con|c/|com|met|med|z|с|ile){_GAP}{_MEDIUM}",
    r"with|mit|avec|enhanced|cect|kontrastli|post|apres|nach|dopo|depois|na|after|iv\s*\+|\+\s*c|c\+|c/c|ce",
)
_CLEAR: Mapping[Phase, re.Pattern[str]] = {
    NC: _words(
        r"non?[\s_-]*(?:iv[\s_-]*)?con(?:t|tr|trast|traste|trasted)?|non?[\s_-]*enhanced|un-?enhanced|unenh|ncct|nect",
        r"pre[\s_-]*(?:con|contrast\w*|contraste|contrasto|kontrast\w*|injection|inj|iv|km)",
        r"(?:avant|vor|antes|prima|voor|for)[\s_-]+(?:injection|km|kontrast\w*|contraste|contrasto|contrast)",
        r"nativ\w{0,2}(?<!native)[\s_-]*(?:phase|fase|serie|ct|scan)?|nativphase|nativserie|nativaufnahme|native[\s_-]*phase",
        r"non[\s_-]*injecte\w*|kontrastsiz|ilacsiz|kontrast\s+oncesi|prekontrast|natywn\w*|bezkontrast\w*",
        r"fase[\s_-]+(?:sin|senza|sem|simple|simples|basal|basale|diretta|blanco)|tc[\s_-]+simple",
        r"бесконтраст\w*|нативн\w*|basale",
    ),
    AP: _words(
        r"(?:arterial\w*|arteriel\w*|arterios[ao])[\s_-]+tardi\w+|arterial\w{0,3}|arteriel\w{0,3}|arteryel|arterieel|arteriell\w*|arterios[aoe]|hap|art(?:erial)?[\s_-]*ph\w*",
        r"артериальн\w*|tetnicz\w*|arteriefase|early[\s_-]+art\w*|late[\s_-]+art\w*|spat[\s_-]*art\w*",
    ),
    VP: _words(
        r"portal[\s_-]*ven\w*|portal\w{0,3}|porto[\s_-]*ven?[iou]\w*|portovein\w*|portaal|pvp|pvph|venous|venos[aoe]s?|venos",
        r"venoes\w*|venosa|veineu(?:x|se)|veneu[sz]e?|venoz|venøs|портальн\w*|венозн\w*|wrotn\w*|zyln\w*|parenchym\w*[\s_-]*ph\w*",
    ),
    DP: _words(
        r"delay(?:ed|s)?|equilibri\w*|equilibre|gleichgewicht\w*|tardi(?:f|ve|va|vo|a|o|e)|retardad[ao]|excretor\w*",
        r"late[\s_-]*(?:phase|fase)|laat|late\s+fase|spat(?:e|phase|aufnahme|venos)?|spaet\w*|verzogert\w*|gec(?:[\s_-]*faz)?|gecikmis",
        r"отсроч\w*|поздн\w*|opozn\w*|nafase|urogra\w*",
    ),
}
_SHORT: Mapping[Phase, re.Pattern[str]] = {
    NC: _words(r"pre|plain|nc|basal|basaal|native|blanco|blanc|simple|simples|wo|diretta|c-|ohne|sin|sans"),
    AP: _words(r"art|arter|ap|a-?phase|arteria"),
    VP: _words(r"port|ven|vp|pv|porta"),
    DP: _words(r"del(?=\W*\d|\W*$)|late|dp|eq"),
}
# "C+ A" and the like, as consoles in East Asia write it.
_LETTERS = re.compile(r"c\+\s*([avpd])(?![a-z])")
_ASIAN: Mapping[Phase, re.Pattern[str]] = {
    NC: re.compile("平扫|平掃|单纯|単純|造影前|造影なし|非造影|非增强|비조영|조영전|조영 전"),
    AP: re.compile("(?<![大主])(?:动脉|動脈)|(?<!대)동맥"),
    VP: re.compile("门静脉|門靜脈|门脉|門脈|静脉期|靜脈期|静脈相|静脈期|实质期|문맥|정맥기"),
    DP: re.compile("延迟|延遲|遅延|平衡|后期|後期相|지연"),
}
_ASIAN_BOTH = re.compile("动静脉|動静脈|平扫.{0,2}增强|增强.{0,2}平扫|单纯.{0,2}造影|単純.{0,2}造影(?!前|な)")
_ASIAN_WITH = re.compile("增强|增強|造影(?!前|なし)|조영(?!전| 전)")
# Illness, treatment and devices, not the moment of the scan.
_NO_PHASE = _words(
    r"(?:portal|venous|arterial|vein|veneuse|venosa)[\s_-]+(?:vein[\s_-]+)?"
    r"(?:hypert\w*|throm\w*|occlu\w*|sten\w*|bleed\w*|embol\w*|malform\w*|access|line|cath\w*|port|graft|bypass|run-?off|disease)",
    r"(?:without|no|w/o|ohne|sans|sin|senza|sem)[\s_-]+(?:oral|po|rectal|positive|orale\w*)[\s_-]*\w*",
    r"(?:no|not|non|without|w/o|ohne|sans|sin|senza|sem|zonder)[\s_-]+(?:arter\w*|port\w*|ven[oe]\w*|delay\w*|tardi\w*|late)",
    r"native[\s_-]+(?:liver|kidney\w*|renal|hepatic|organ\w*|heart|lung\w*|valve\w*|aort\w*|vessel\w*)",
)
_PROTOCOL = re.compile(r"(?:abd|pelv|chest|thorax|[2-5]\s*-?\s*ph|(?:tri|bi|multi|quad\w*)[\s-]*(?:ph|fas))")

_NEUTRAL = _words(
    r"ct|tc|cta|tdm|tk|bt|kt|liver|leber|foie|higado|fegato|figado|lever|hepat\w*|upper|lower|oberbauch|abd\w*|abdomen|bauch",
    r"buik|karin|batin|pelv\w*|becken|bacino|bekken|phase|fase|faz|phas|ph|scan|serie\w*|series|recon\w*|axial\w*|ax|tra|mm|s|sec|sek|min",
    r"soft|std|standard|tissue|kernel|thin|thick|body|x|i|ir|br|bf|b|f|fc|asir|safire|idose|admire|veo|helical|spiral|volume|vol|st|"
    r"routine|dyn\w*|delay|time|after|post|contrast\w*|kontrast\w*|contraste|iv|km|c|early|late|und|and|hr|std\w*|kv|kvp|ma|q|w",
)
# Letters that no decomposition takes apart, and the sign that stands for a space in names.
_ALIKE = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "_": " "})
_LETTER_WORDS = re.compile(r"[^\W\d_]+")
# Seconds after the injection that a text names, and the phases they stand for.
_SECONDS = re.compile(r"(?<![\d.])(\d{1,3})\s*(s|sec|sek|seconds|min|mins|minutes|minuten|minuti|minutos)(?![^\W\d_])")
_WINDOWS = ((AP, 20.0, 45.0), (VP, 55.0, 100.0), (DP, 150.0, 900.0))
_START_TRUST = 0.85
_CLOCK: Mapping[Phase, tuple[float, float]] = {AP: (33.0, 9.0), VP: (72.0, 14.0), DP: (210.0, 75.0)}
"""Mean and spread in seconds from the start of injection to each phase (CLINICAL protocols of the liver)."""
_NO_AGENT = re.compile(r"|none|no|n/?a|nil|ohne|without|anonym\w*|removed|0|-+")


def guess_from_texts(texts: Sequence[str]) -> tuple[Phase, float] | None:
    """Phase of the first text that names exactly one, and the trust in it, 0 to 1; earlier texts are trusted more.

    >>> guess_from_texts(["Abdomen portal venous 3.0"])
    (<Phase.VP: 'VP'>, 0.95)
    >>> guess_from_texts(["CT ABDOMEN W WO CONTRAST"]) is None
    True
    """
    for number, text in enumerate(texts):
        named = phase_in(text)
        if named is not None:
            phase, trust = named
            return phase, min(trust, TRUST[min(number, len(TRUST) - 1)])
    return None


def phase_in(text: str) -> tuple[Phase, float] | None:
    """Phase that one text names, and the trust in its words; None if it names none, or several.

    >>> phase_in("Leber spätarteriell"), phase_in("LIVER PRE-OP"), phase_in("art + ven")
    ((<Phase.AP: 'AP'>, 0.95), None, None)
    """
    plain = _plain(text)
    if not plain.strip() or any(p.search(plain) for p in (_NO_PHASE, _BOTH, _ASIAN_BOTH)):
        return None
    clear = {phase for phase in PHASES if _CLEAR[phase].search(plain) or _ASIAN[phase].search(plain)}
    if _WITHOUT.search(plain):
        clear.add(NC)
    clear |= _letters(plain)
    # Late arterial is arterial, and portal venous one phase: longer names take their words with them.
    if AP in clear and DP in clear and not _CLEAR[DP].search(_CLEAR[AP].sub(" ", plain)):
        clear.discard(DP)
    if NC in clear and (_given(plain) or len(clear) > 1):
        return None
    if len(clear) > 1:
        return None
    short = {phase for phase in PHASES if _SHORT[phase].search(plain)}
    if clear:
        # A short word of another phase beside a clear one: "Venous 70s (late art ref)".
        others = short - clear
        if re.search(r"(?<![a-z])late(?![a-z])", plain):
            others.discard(DP)
        phase = clear.pop()
        return None if others & {AP, VP, DP} - {phase} or not _fits_seconds(plain, phase) else (phase, TRUST[0])
    return _short_phase(plain, short) or _by_seconds(plain)


def time_likelihood(acquired: float | None, started: float | None) -> Mapping[Phase, float] | None:
    """Likelihood of each phase by the seconds from the start of injection to the scan; None if they say nothing.

    A start that equals the scan's own time is a copy of it; beyond half an hour the clocks are not those of one room.
    """
    if acquired is None or started is None or acquired == started or not -1800 <= acquired - started <= 1800:
        return None
    delay = acquired - started
    floor = (1 - _START_TRUST) / len(PHASES)
    if delay < 8:
        return {phase: floor + (_START_TRUST if phase is NC else 0.0) for phase in PHASES}
    weights = {p: 2.718281828 ** (-0.5 * ((delay - mean) / sd) ** 2) / sd for p, (mean, sd) in _CLOCK.items()}
    total = sum(weights.values())
    if total < 1e-12:
        return None
    return {phase: floor + _START_TRUST * weights.get(phase, 0.0) / total for phase in PHASES}


def coded_phase(code: str) -> tuple[Phase, float] | None:
    """Phase of ContrastBolusAgentPhase (0018,9344), which says it without words; None for any other value."""
    phase = {"PRE_CONTRAST": NC, "ARTERIAL": AP, "PORTAL_VENOUS": VP, "DELAYED": DP}.get(code.strip().upper())
    return None if phase is None else (phase, _CODE_TRUST)


def names_agent(text: str) -> bool:
    """True if ContrastBolusAgent names an agent, and not that there was none."""
    return _NO_AGENT.fullmatch(text.strip().lower()) is None


def _plain(text: str) -> str:
    """Small letters without accents."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_ALIKE)
    parts = unicodedata.normalize("NFD", folded)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not unicodedata.combining(c) or c == "\u3099"))


def _given(plain: str) -> bool:
    """True if a text says that contrast medium was given."""
    rest = _WITHOUT.sub(" ", _CLEAR[NC].sub(" ", plain))
    return any(pattern.search(rest) for pattern in (_WITH, _MEDIUM_WORD, _ASIAN_WITH))


def _letters(plain: str) -> set[Phase]:
    found = _LETTERS.search(plain)
    return {{"a": AP, "v": VP, "p": VP, "d": DP}[found[1]]} if found else set()


def _short_phase(plain: str, short: set[Phase]) -> tuple[Phase, float] | None:
    """Phase of a short word, if it is the only one and every other word is harmless."""
    if len(short) == 2 and DP in short and re.search(r"late[\s_-]+(?:art|port|ven)", plain):
        short = short - {DP}
    if len(short) != 1:
        return None
    (phase,) = short
    rest = _NEUTRAL.sub(" ", _SHORT[phase].sub(" ", plain))
    several = phase is AP and re.search(r"(?<![a-z])ap(?![a-z])", plain) and _PROTOCOL.search(plain)
    if _LETTER_WORDS.search(rest) or several or (phase is NC and _given(plain)) or not _fits_seconds(plain, phase):
        return None
    # What is left of "AP" is trusted less: it may be a view or abdomen and pelvis.
    return phase, TRUST[2] if phase is AP and re.search(r"(?<![a-z])ap(?![a-z])", plain) else _WEAK_TRUST


def _seconds_phase(plain: str) -> Phase | None:
    """Phase that a time after the injection stands for; None without one, or with one between the phases."""
    found = {
        phase
        for number, unit in _SECONDS.findall(plain)
        for phase, low, high in _WINDOWS
        if low <= int(number) * (60 if unit.startswith("m") else 1) <= high
    }
    return found.pop() if len(found) == 1 else None


def _fits_seconds(plain: str, phase: Phase) -> bool:
    said = _seconds_phase(plain)
    return said is None or said is phase


def _by_seconds(plain: str) -> tuple[Phase, float] | None:
    """Phase of a text that gives nothing but its time: ``Abdomen 70s``."""
    phase = _seconds_phase(plain)
    rest = _LETTER_WORDS.search(_NEUTRAL.sub(" ", _SECONDS.sub(" ", plain)))
    short = any(pattern.search(plain) for pattern in _SHORT.values())
    return (phase, TRUST[2]) if phase is not None and not rest and not short else None
