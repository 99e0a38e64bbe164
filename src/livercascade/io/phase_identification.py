"""Phase of each volume of a study: words, clocks, order and image weighed together; unknown where they leave a doubt.

Each source gives a likelihood over the four phases (docs/how-to/phases.md):

* words: the trust in the text for the phase it names, the rest shared by the others (`phase_tags`);
* clock: seconds from the start of the injection (`time_likelihood`);
* agent: a volume without the contrast agent that others of the study name is a little more likely non-contrast;
* image: HU of aorta and liver, of all volumes of the study together, since they share patient and dose;
* order: a later volume is rarely an earlier phase, and a phase rarely comes twice.

Their product over all assignments of phases, normalised, is the trust in each; below `MIN_CONFIDENCE` a phase is
unknown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64

from livercascade.data.labels import PHASES, Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import MIN_CONFIDENCE
from livercascade.io.phase_from_image import PATIENT_WEIGHTS, OrganHu, organ_likelihoods
from livercascade.io.phase_tags import guess_from_texts

__all__ = ["MIN_CONFIDENCE", "PhaseDecision", "PhaseEvidence", "guess_from_texts", "identify_phases"]
SURE = 0.9
"""Image probability from which a contradiction to the words is worth a warning."""
LATE = 0.95
"""Trust that a volume is venous or delayed, from which it may stand in for the venous phase where there is none."""
_PERHAPS_LATE = 0.2
# Volumes that begin this much later were acquired after; parts of one breath-hold are not told apart.
_LATER_S = 8.0
# Log weights of an order of phases against time, and of a phase that comes twice: at once, as early and late arterial
# do, or apart.
_BACKWARDS, _REPEATED, _REPEATED_APART = -3.0, -1.0, -2.5
_AT_ONCE_S = 30.0
# Usual seconds between the beginnings of two phases, and how sharp these limits are; protocols of the liver.
_GAPS: Mapping[tuple[Phase, Phase], tuple[float, float, float]] = {
    (Phase.AP, Phase.VP): (22.0, 60.0, 12.0),
    (Phase.AP, Phase.DP): (90.0, 900.0, 25.0),
    (Phase.VP, Phase.DP): (55.0, 860.0, 20.0),
}
_ODD_GAP = 0.13
# Volumes weighed together: four phases to the power of six are 4096 assignments.
_MAX_JOINT = 6
# Likelihood of non-contrast against the rest for a volume that names an agent where others do not.
_AGENT = 0.5


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
        organs: HU of organs; where any was found they take the place of ``image``.
        clock: Likelihood by the time since the injection, if known.
        agent: True if the header names a contrast agent, None if it does not say.
    """

    name: str
    image: Mapping[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.25))
    text: tuple[Phase, float] | None = None
    time: float | None = None
    series: str = ""
    part: int = 0
    organs: OrganHu = field(default_factory=lambda: OrganHu(None, None))
    clock: Mapping[Phase, float] | None = None
    agent: bool | None = None


@dataclass(frozen=True, slots=True)
class PhaseDecision:
    """What is thought of one volume.

    Attributes:
        phase: Likeliest phase.
        source: Source that settled it: ``user``, ``tags``, ``order``, ``image`` or ``tags+image``.
        confidence: Trust in the phase, 0 to 1.
        notices: Conflicts of the sources, and phases that rest on the image alone.
        shares: Trust in each phase.
    """

    phase: Phase
    source: str
    confidence: float
    notices: tuple[Notice, ...] = ()
    shares: Mapping[Phase, float] = field(default_factory=dict[Phase, float])

    @property
    def known(self) -> bool:
        """True if the phase is trusted enough to be used."""
        return self.confidence >= MIN_CONFIDENCE

    @property
    def late(self) -> float:
        """Trust that it is venous or delayed, whichever."""
        return self.shares.get(Phase.VP, 0.0) + self.shares.get(Phase.DP, 0.0)


@dataclass(frozen=True, slots=True)
class PhaseFinding:
    """One volume: everything that spoke for its phase, and what was made of it."""

    evidence: PhaseEvidence
    decision: PhaseDecision


def stand_in(evidence: Sequence[PhaseEvidence], decisions: Sequence[PhaseDecision]) -> tuple[PhaseDecision, ...]:
    """The same, but the only volume after the arterial phase is the venous one, be it venous or delayed.

    Where there is neither a venous nor a delayed phase, and the image of one volume is surely one of them, it is used
    as venous: the liver looks nearly alike in both, and without it the study would lose what shows most. A notice says
    so.
    """
    if any(d.known and d.phase in (Phase.VP, Phase.DP) for d in decisions):
        return tuple(decisions)
    open_ = [(e, d) for e, d in zip(evidence, decisions, strict=True) if not d.known and d.late > _PERHAPS_LATE]
    late = [d for e, d in open_ if d.late >= LATE and e.image[Phase.VP] + e.image[Phase.DP] >= LATE]
    if len(open_) != 1 or not late:
        return tuple(decisions)
    text = (
        "Venous or delayed, which nothing tells apart; used as venous, since no other series is. Name it with --phase."
    )
    notices = (*(n for n in late[0].notices if n.code != "PHASE_FROM_IMAGE"), Notice("PHASE_UNKNOWN", text))
    used = replace(late[0], phase=Phase.VP, confidence=round(late[0].late, 3), notices=notices)
    return tuple(used if d is late[0] else d for d in decisions)


def identify_phases(evidence: Sequence[PhaseEvidence]) -> tuple[PhaseDecision, ...]:
    """Most probable phases of the volumes of one study, and how far each is to be trusted.

    The confidence of a phase is its share over all assignments of phases to the volumes. Beyond six volumes each is
    judged alone, since the number of assignments grows as 4 to the n.
    """
    if not evidence:
        return ()
    if len(evidence) > _MAX_JOINT:
        return tuple(decision for one in evidence for decision in identify_phases([one]))
    phases = np.array(list(itertools.product(range(len(PHASES)), repeat=len(evidence))))
    scores = _image_scores(evidence, phases)
    agents = len({one.agent for one in evidence if one.agent is not None}) > 1
    for i, one in enumerate(evidence):
        scores = scores + np.array([_own_weight(one, phase, agents) for phase in PHASES])[phases[:, i]]
    for i, j in itertools.permutations(range(len(evidence)), 2):
        if _before(evidence[i], evidence[j]):
            scores = scores + _order_weights(evidence[i], evidence[j])[phases[:, i], phases[:, j]]
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    decisions: list[PhaseDecision] = []
    for i, one in enumerate(evidence):
        shares = {phase: float(weights[phases[:, i] == phase.index].sum()) for phase in PHASES}
        decisions.append(_decision(one, shares))
    return tuple(decisions)


def contradicted_by_image(name: str, phase: Phase, image: Mapping[Phase, float]) -> tuple[Notice, ...]:
    """Notice ``PHASE_CONFLICT`` if the image is sure of another phase."""
    seen = max(image, key=image.__getitem__)
    if seen is phase or image[seen] < SURE or image[phase] > 0.05:
        return ()
    return (Notice("PHASE_CONFLICT", f"{name}: taken as {phase.title}, but the image looks {seen.title}."),)


def _image_scores(evidence: Sequence[PhaseEvidence], phases: np.ndarray) -> Float64[np.ndarray, " n"]:
    """Log likelihood of each assignment by the images: one dose and one liver for all volumes, whatever they are."""
    tables = [organ_likelihoods(one.organs) for one in evidence]
    joint = np.zeros((len(phases), tables[0].shape[1]))
    alone = np.zeros(len(phases))
    for i, (one, table) in enumerate(zip(evidence, tables, strict=True)):
        if one.organs.measured:
            joint += table[phases[:, i]]
        else:
            # The floor lets words win over an image that is wrong: without it a probability of 0 would be final.
            alone += np.log([max(one.image[phase], 1e-4) for phase in PHASES])[phases[:, i]]
    return alone + np.log(np.exp(joint) @ PATIENT_WEIGHTS)


def _own_weight(one: PhaseEvidence, phase: Phase, agents: bool) -> float:
    """Log likelihood of a phase by what the header of the volume says."""
    weight = 0.0
    if one.text is not None:
        named, trust = one.text
        weight += math.log(trust if phase is named else (1 - trust) / (len(PHASES) - 1))
    if one.clock is not None:
        weight += math.log(max(one.clock[phase], 1e-4))
    if agents and one.agent and phase is Phase.NC:
        weight += math.log(_AGENT)
    return weight


def _before(one: PhaseEvidence, other: PhaseEvidence) -> bool:
    if one.series and one.series == other.series and one.part != other.part:
        return one.part < other.part
    return one.time is not None and other.time is not None and other.time - one.time > _LATER_S


def _order_weights(one: PhaseEvidence, other: PhaseEvidence) -> Float64[np.ndarray, "4 4"]:
    """Log weight of each pair of phases of a volume and of one that was acquired after it."""
    known = one.time is not None and other.time is not None
    gap = other.time - one.time if one.time is not None and other.time is not None else 0.0
    apart = known and gap > _AT_ONCE_S
    weights = np.tril(np.full((len(PHASES), len(PHASES)), _BACKWARDS), -1)
    np.fill_diagonal(weights, _REPEATED_APART if apart else _REPEATED)
    for (earlier, later), (low, high, sharp) in _GAPS.items() if known else ():
        away = max(low - gap, gap - high, 0.0) / sharp
        weights[earlier.index, later.index] = math.log(max(math.exp(-0.5 * away**2), _ODD_GAP))
    return weights


def _decision(one: PhaseEvidence, shares: Mapping[Phase, float]) -> PhaseDecision:
    phase = max(shares, key=shares.__getitem__)
    by_image = max(one.image.values()) > 0.26 and one.image[phase] == max(one.image.values())
    clock = one.clock is not None and max(one.clock, key=one.clock.__getitem__) is phase
    by_text = (one.text is not None and one.text[0] is phase) or clock
    source = {(True, True): "tags+image", (True, False): "tags", (False, True): "image"}.get(
        (by_text, by_image), "order"
    )
    notices = contradicted_by_image(one.name, phase, one.image)
    if one.text is not None and one.text[0] is not phase:
        text = f"{one.name}: the text says {one.text[0].title}, but {phase.title} was taken from the {source}."
        notices = (Notice("PHASE_CONFLICT", text),)
    elif source == "image" and shares[phase] >= MIN_CONFIDENCE:
        notices = (Notice("PHASE_FROM_IMAGE", f"{one.name}: taken as {phase.title} from the image alone."),)
    return PhaseDecision(phase, source, round(shares[phase], 3), notices, shares)
