"""Phase of each volume of a study: texts of the headers, times of acquisition and the image weighed together."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from livercascade.data.labels import PHASES, Phase
from livercascade.data.notice import Notice

MIN_CONFIDENCE = 0.5
"""Below this a phase counts as unknown."""
SURE = 0.9
"""Image probability from which a contradiction to the words is worth a warning."""
# Volumes that begin this much later were acquired after; parts of one breath-hold are not told apart.
_LATER_S = 8.0
# Log weights of an order of phases against time, and of a phase that comes twice.
_BACKWARDS, _REPEATED = -3.0, -1.0
# Volumes weighed together: four phases to the power of six are 4096 assignments.
_MAX_JOINT = 6
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
class PhaseEvidence:
    """Everything that speaks for the phase of one volume.

    Attributes:
        name: Name of the series, for messages.
        image: Probability per phase from the image; all equal if nothing was measured.
        text: Phase named by the header's texts, and the trust in it (`guess_from_texts`); None if they name none.
        time: Start of acquisition in seconds, if known.
        series: Identifier that parts of one series share.
        part: Place among the parts of one series, in time.
    """

    name: str
    image: Mapping[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.25))
    text: tuple[Phase, float] | None = None
    time: float | None = None
    series: str = ""
    part: int = 0


@dataclass(frozen=True, slots=True)
class PhaseDecision:
    """Phase of one volume with its source (``tags``, ``order``, ``image`` or ``tags+image``) and confidence 0 to 1."""

    phase: Phase
    source: str
    confidence: float
    notices: tuple[Notice, ...] = ()


def identify_phases(evidence: Sequence[PhaseEvidence]) -> tuple[PhaseDecision, ...]:
    """Most probable phases of the volumes of one study.

    Every assignment of phases is weighed by the image, the words, and the order of acquisition (a later volume is
    rarely an earlier phase). The confidence of a phase is its share over all assignments. Beyond six volumes the order
    is left out, since the number of assignments grows as 4 to the n.
    """
    if len(evidence) > _MAX_JOINT:
        return tuple(decision for one in evidence for decision in identify_phases([one]))
    alone = [{phase: _log_weight(one, phase) for phase in PHASES} for one in evidence]
    pairs = [(i, j) for i, j in itertools.permutations(range(len(evidence)), 2) if _before(evidence[i], evidence[j])]
    scores: dict[tuple[Phase, ...], float] = {}
    for phases in itertools.product(PHASES, repeat=len(evidence)):
        own = sum(weights[phase] for weights, phase in zip(alone, phases, strict=True))
        scores[phases] = math.exp(own + sum(_order_weight(phases[i], phases[j]) for i, j in pairs))
    best = max(scores, key=scores.__getitem__)
    total = sum(scores.values())
    shares = [
        sum(score for phases, score in scores.items() if phases[i] is phase) / total for i, phase in enumerate(best)
    ]
    return tuple(_decision(one, p, share) for one, p, share in zip(evidence, best, shares, strict=True))


def guess_from_texts(texts: Sequence[str]) -> tuple[Phase, float] | None:
    """Phase of the first text that names exactly one, and the trust in it, 0 to 1; earlier texts are trusted more.

    >>> guess_from_texts(["Abdomen portal venous 3.0"])
    (<Phase.VP: 'VP'>, 0.95)
    >>> guess_from_texts(["LIVER 3 PHASE (AP)"]) is None
    True
    """
    for text, trust in zip(texts, (0.95, 0.85, 0.7), strict=False):
        named = {phase for phase in Phase if _WORDS[phase].search(text) or any(w in text for w in _ASIAN[phase])}
        if len(named) == 1:
            return named.pop(), trust
        if not named and _SHORT_AP.search(text) and not _SEVERAL.search(text):
            return Phase.AP, min(trust, 0.7)
    return None


def contradicted_by_image(name: str, phase: Phase, image: Mapping[Phase, float]) -> tuple[Notice, ...]:
    """Notice ``PHASE_CONFLICT`` if the image is sure of another phase."""
    seen = max(image, key=image.__getitem__)
    if seen is phase or image[seen] < SURE or image[phase] > 0.05:
        return ()
    return (Notice("PHASE_CONFLICT", f"{name}: taken as {phase.title}, but the image looks {seen.title}."),)


def _log_weight(one: PhaseEvidence, phase: Phase) -> float:
    # The floor lets words win over an image that is wrong: without it a probability of 0 would be final.
    weight = math.log(max(one.image[phase], 1e-4))
    if one.text is None:
        return weight
    named, trust = one.text
    share = trust if phase is named else (1 - trust) / 3
    return weight + math.log(share)


def _before(one: PhaseEvidence, other: PhaseEvidence) -> bool:
    if one.series and one.series == other.series and one.part != other.part:
        return one.part < other.part
    return one.time is not None and other.time is not None and other.time - one.time > _LATER_S


def _order_weight(earlier: Phase, later: Phase) -> float:
    if earlier.index > later.index:
        return _BACKWARDS
    return _REPEATED if earlier is later else 0.0


def _decision(one: PhaseEvidence, phase: Phase, share: float) -> PhaseDecision:
    by_image = max(one.image.values()) > 0.26 and one.image[phase] == max(one.image.values())
    by_text = one.text is not None and one.text[0] is phase
    source = {(True, True): "tags+image", (True, False): "tags", (False, True): "image"}.get(
        (by_text, by_image), "order"
    )
    notices = contradicted_by_image(one.name, phase, one.image)
    if one.text is not None and not by_text:
        text = f"{one.name}: the text says {one.text[0].title}, but {phase.title} was taken from the {source}."
        notices = (Notice("PHASE_CONFLICT", text),)
    elif source == "image":
        notices = (Notice("PHASE_FROM_IMAGE", f"{one.name}: taken as {phase.title} from the image alone."),)
    return PhaseDecision(phase, source, round(share, 3), notices)
