"""Which phase each volume of a study is: words, times and image weighed together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from livercascade.data.labels import PHASES, Phase
from livercascade.data.notice import Notice
from livercascade.io.phase_tags import TagGuess

MIN_CONFIDENCE = 0.5
"""Below this a phase counts as unknown."""
SURE = 0.9
"""Image probability from which a contradiction to the words is worth a warning."""
_LATER_S = 8.0
_BACKWARDS, _REPEATED = -3.0, -1.0
_MAX_JOINT = 6


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that speaks for the phase of one volume.

    Attributes:
        name: Series, for messages.
        image: Probability per phase from the image; all equal if nothing was measured.
        tag: What the words say, if anything.
        time: Start of acquisition in seconds, if known.
        series: Parts of one series share this.
        part: Order among the parts of one series.
    """

    name: str
    image: Mapping[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.25))
    tag: TagGuess | None = None
    time: float | None = None
    series: str = ""
    part: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Phase of one volume with its source (``tags``, ``order``, ``image`` or ``tags+image``) and confidence 0 to 1."""

    phase: Phase
    source: str
    confidence: float
    notices: tuple[Notice, ...] = ()


def decide_phases(evidence: Sequence[Evidence]) -> tuple[Decision, ...]:
    """Most probable phases of the volumes of one study.

    Every assignment of phases is weighed by the image, the words, and the order of acquisition (a later volume is
    rarely an earlier phase). The confidence of a phase is its share over all assignments. Beyond six volumes the order
    is left out, since the number of assignments grows as 4 to the n.
    """
    if len(evidence) > _MAX_JOINT:
        return tuple(decision for one in evidence for decision in decide_phases([one]))
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


def contradicted_by_image(name: str, phase: Phase, image: Mapping[Phase, float]) -> tuple[Notice, ...]:
    """Notice ``PHASE_CONFLICT`` if the image is sure of another phase."""
    seen = max(image, key=image.__getitem__)
    if seen is phase or image[seen] < SURE or image[phase] > 0.05:
        return ()
    return (Notice("PHASE_CONFLICT", f"{name}: taken as {phase.title}, but the image looks {seen.title}."),)


def _log_weight(one: Evidence, phase: Phase) -> float:
    weight = math.log(max(one.image[phase], 1e-4))
    if one.tag is None:
        return weight
    share = one.tag.trust if phase is one.tag.phase else (1 - one.tag.trust) / 3
    return weight + math.log(share)


def _before(one: Evidence, other: Evidence) -> bool:
    if one.series and one.series == other.series and one.part != other.part:
        return one.part < other.part
    return one.time is not None and other.time is not None and other.time - one.time > _LATER_S


def _order_weight(earlier: Phase, later: Phase) -> float:
    if earlier.index > later.index:
        return _BACKWARDS
    return _REPEATED if earlier is later else 0.0


def _decision(one: Evidence, phase: Phase, share: float) -> Decision:
    by_image = max(one.image.values()) > 0.26 and one.image[phase] == max(one.image.values())
    by_tag = one.tag is not None and one.tag.phase is phase
    source = {(True, True): "tags+image", (True, False): "tags", (False, True): "image"}.get(
        (by_tag, by_image), "order"
    )
    notices = contradicted_by_image(one.name, phase, one.image)
    if one.tag is not None and not by_tag:
        text = f"{one.name}: the text says {one.tag.phase.title}, but {phase.title} was taken from the {source}."
        notices = (Notice("PHASE_CONFLICT", text),)
    elif source == "image":
        notices = (Notice("PHASE_FROM_IMAGE", f"{one.name}: taken as {phase.title} from the image alone."),)
    return Decision(phase, source, round(share, 3), notices)
