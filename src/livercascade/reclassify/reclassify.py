"""reclassify: which proposals UNet^patch confirms, and as what (paper, eq. 8, 10, 11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from livercascade.data.labels import FIRST_LESION, LAST_LESION, LESION_TYPES, LesionType
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.reclassify.patches import Patch, PatchVolume, Scheme
from livercascade.reclassify.shuffle import ShuffleSettings, shuffle
from livercascade.reclassify.tally import Tally

PatchNetwork = Callable[[Float32[np.ndarray, "n c 16 128 128"]], Float[np.ndarray, "n 8 16 128 128"]]
"""UNet^patch: patches to logits of the patch classes 0-7."""


class ScoreMode(Enum):
    """What the score of a proposal is, and against what it is held."""

    VOLUME = "volume"
    """Overlap in ml against ``threshold_ml``: the paper's rule, hard on small lesions."""
    RATIO = "ratio"
    """Overlap as a share of the proposal against ``ratio``."""
    ADAPTIVE = "adaptive"
    """Overlap in ml against the smaller of ``threshold_ml`` and ``ratio`` times the proposal's volume."""


class Verdict(Enum):
    """What became of a proposal."""

    KEPT = "kept"
    RELABELLED = "relabelled"
    REMOVED = "removed"
    BYPASSED = "bypassed"


@dataclass(frozen=True, slots=True)
class ReclassifySettings:
    """How proposals are judged.

    Attributes:
        n_original: Patches cut round the lesion where it lies.
        n_shuffled: Patches with the lesion moved within the liver; the paper's N is the sum of both.
        shuffled: False takes original patches for all of them (the paper's "w/o LS").
        score: Meaning of score and threshold.
        threshold_ml: Least mean overlap in ml.
        ratio: Least share of the proposal, 0 to 1, for the modes that use it.
        bypass_ml: Larger proposals are kept as they are.
        relabel: False leaves every label unchanged.
        shuffling: How lesions are moved.

    Raises:
        ValueError: A number is out of its range.
    """

    n_original: int = 5
    n_shuffled: int = 5
    shuffled: bool = True
    score: ScoreMode = ScoreMode.VOLUME
    threshold_ml: float = 0.5
    ratio: float = 0.5
    bypass_ml: float = 64.0
    relabel: bool = True
    shuffling: ShuffleSettings = field(default_factory=ShuffleSettings)

    def __post_init__(self) -> None:
        if min(self.n_original, self.n_shuffled) < 0 or self.n_original + self.n_shuffled == 0:
            raise ValueError(f"at least one patch is needed, got {self.n_original} and {self.n_shuffled}")
        if self.threshold_ml < 0 or not 0 <= self.ratio <= 1 or self.bypass_ml < 0:
            raise ValueError(
                f"threshold {self.threshold_ml}, ratio {self.ratio} or bypass {self.bypass_ml} out of range"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Reclassification:
    """Verdict on one proposal.

    Attributes:
        lesion: The proposal, unchanged.
        verdict: What became of it.
        score: Mean overlap over the patches, ml or share (`ScoreMode`); None if bypassed.
        threshold: What the score had to reach; None if bypassed.
        votes: Share of each type among the voxels the network called lesion inside the proposal, over all
            patches; empty if there were none or the proposal was bypassed.
        new_label: Label after the vote; that of the proposal unless relabelled.
        reason: One sentence for people.
        patches: Patches judged.
        shuffled_patches: How many of them had the lesion moved.
        no_room: True if a lesion could not be moved for lack of free liver, and original patches took the place.
        tally: What the network found in each patch, from which `judge` comes to a verdict by other rules; None if
            bypassed.
    """

    lesion: Lesion
    verdict: Verdict
    score: float | None
    threshold: float | None
    votes: Mapping[LesionType, float]
    new_label: LesionType
    reason: str
    patches: int
    shuffled_patches: int
    no_room: bool
    tally: Tally | None = None

    @property
    def result(self) -> Lesion:
        """The lesion with its new label."""
        return replace(self.lesion, label=self.new_label)


@dataclass(frozen=True, slots=True, eq=False)
class Reclassified:
    """Verdicts on all proposals, in their order.

    Attributes:
        proposals: What was judged (``Det_pred``).
        outcomes: One verdict each.
    """

    proposals: LesionSet
    outcomes: tuple[Reclassification, ...]

    @property
    def lesions(self) -> LesionSet:
        """Proposals that were not removed, with their new labels (``Det_ReCls``)."""
        kept = tuple(o.result for o in self.outcomes if o.verdict is not Verdict.REMOVED)
        return LesionSet(kept, self.proposals.shape, self.proposals.spacing)


def reclassify(
    proposals: LesionSet,
    volume: PatchVolume,
    network: PatchNetwork,
    settings: ReclassifySettings,
    rng: np.random.Generator,
    *,
    on_volume: LesionSet | None = None,
) -> Reclassified:
    """Judge every proposal by UNet^patch on patches of it (paper, eq. 8, 10, 11).

    The score is the mean over the patches of the volume, inside the proposal, that the network calls lesion of
    whatever type. The new label is the type of most such voxels over all patches; ties go to the present label,
    then to the higher priority. A verdict does not depend on the other proposals' patches.

    Args:
        proposals: Lesions of UNet^whole; masks are kept as they are.
        volume: Image and patch classes, see `to_working_grid`.
        network: UNet^patch, called once per proposal with all its patches.
        settings: How to judge.
        rng: Source of the patches; one independent stream is spawned for each proposal.
        on_volume: The same proposals, in the same order, on the grid of ``volume``; by default they lie there already.

    Raises:
        ValueError: ``on_volume`` has another number of lesions, or does not lie on the grid of ``volume``.
    """
    placed = proposals if on_volume is None else on_volume
    if len(placed) != len(proposals) or placed.shape != volume.shape:
        raise ValueError(
            f"{len(placed)} lesions on {placed.shape} for {len(proposals)} proposals and a volume of {volume.shape}"
        )
    streams = rng.spawn(len(proposals))
    outcomes = tuple(
        _judge(lesion, here, volume, network, settings, stream)
        for lesion, here, stream in zip(proposals, placed, streams, strict=True)
    )
    return Reclassified(proposals, outcomes)


def _judge(
    lesion: Lesion,
    here: Lesion,
    volume: PatchVolume,
    network: PatchNetwork,
    settings: ReclassifySettings,
    rng: np.random.Generator,
) -> Reclassification:
    if lesion.volume_ml > settings.bypass_ml:
        return judge(lesion, None, settings)
    patches = make_patches(here, volume, settings, rng)
    votes, sizes = count_votes(patches, network)
    moved: Bool[np.ndarray, " n"] = np.array([p.scheme is Scheme.SHUFFLED_POSITIVE for p in patches])
    return judge(lesion, Tally(votes, sizes, moved, float(np.prod(volume.spacing)) / 1000.0), settings)


def judge(lesion: Lesion, tally: Tally | None, settings: ReclassifySettings) -> Reclassification:
    """Verdict on a proposal from what the network found in its patches (paper, eq. 8 and 11).

    Args:
        lesion: The proposal.
        tally: What was found; None if no patch was made because the proposal is large.
        settings: Score, thresholds and relabelling. The number and kind of the patches are those of ``tally``.
    """
    if tally is None:
        reason = f"{lesion.volume_ml:.1f} ml is above {settings.bypass_ml:g} ml: not reclassified"
        return Reclassification(lesion, Verdict.BYPASSED, None, None, {}, lesion.label, reason, 0, 0, False)
    score, threshold = score_of(tally.overlap, tally.sizes, tally.voxel_ml, settings)
    moved, total = int(tally.moved.sum()), tally.votes.sum(axis=0)
    new_label = elect(total, lesion.label) if settings.relabel else lesion.label
    verdict = _verdict(score >= threshold, new_label is lesion.label)
    return Reclassification(
        lesion,
        verdict,
        score,
        threshold,
        {t: float(n / total.sum()) for t, n in zip(LESION_TYPES, total, strict=True) if n},
        lesion.label if verdict is Verdict.REMOVED else new_label,
        _reason(verdict, lesion.label, new_label, score, threshold),
        len(tally.sizes),
        moved,
        settings.shuffled and moved < settings.n_shuffled,
        tally,
    )


def make_patches(
    lesion: Lesion, volume: PatchVolume, settings: ReclassifySettings, rng: np.random.Generator
) -> tuple[Patch, ...]:
    """The N patches of one proposal; an original one wherever a shuffled one has no room."""
    wanted = Scheme.SHUFFLED_POSITIVE if settings.shuffled else Scheme.ORIGINAL_POSITIVE
    schemes = (Scheme.ORIGINAL_POSITIVE,) * settings.n_original + (wanted,) * settings.n_shuffled
    patches: list[Patch] = []
    for scheme in schemes:
        patch = shuffle(lesion, volume, scheme, rng, settings=settings.shuffling)
        if patch is None:
            patch = shuffle(lesion, volume, Scheme.ORIGINAL_POSITIVE, rng, settings=settings.shuffling)
        if patch is not None:
            patches.append(patch)
    return tuple(patches)


def count_votes(
    patches: tuple[Patch, ...], network: PatchNetwork
) -> tuple[Int[np.ndarray, "n 6"], Int[np.ndarray, " n"]]:
    """Per patch, voxels of each type that the network finds in the proposal (eq. 10), and voxels of the proposal."""
    logits = network(np.stack([patch.image for patch in patches]))
    votes = np.zeros((len(patches), len(LESION_TYPES)), dtype=np.int64)
    for row, patch, maps in zip(votes, patches, logits, strict=True):
        found = maps[:, patch.lesion].argmax(axis=0)
        row[:] = np.bincount(found, minlength=LAST_LESION + 2)[FIRST_LESION : LAST_LESION + 1]
    return votes, np.array([np.count_nonzero(patch.lesion) for patch in patches], dtype=np.int64)


def score_of(
    overlap: Int[np.ndarray, " n"], sizes: Int[np.ndarray, " n"], voxel_ml: float, settings: ReclassifySettings
) -> tuple[float, float]:
    """Score (eq. 11) of a proposal and its threshold.

    Args:
        overlap: Voxels confirmed as lesion in each patch.
        sizes: Voxels of the proposal in each patch.
        voxel_ml: Volume of one voxel in ml.
        settings: Mode and limits.
    """
    if settings.score is ScoreMode.RATIO:
        return float(np.mean(overlap / np.maximum(sizes, 1))), settings.ratio
    score = float(np.mean(overlap)) * voxel_ml
    if settings.score is ScoreMode.VOLUME:
        return score, settings.threshold_ml
    return score, min(settings.threshold_ml, settings.ratio * float(np.mean(sizes)) * voxel_ml)


def elect(votes: Int[np.ndarray, " 6"], current: LesionType) -> LesionType:
    """Type of most votes; ties go to the current label, then to the higher priority; no vote changes nothing."""
    if votes[current - FIRST_LESION] == votes.max():
        return current
    return LESION_TYPES[int(votes.argmax())]


def _verdict(confirmed: bool, same_label: bool) -> Verdict:
    if not confirmed:
        return Verdict.REMOVED
    return Verdict.KEPT if same_label else Verdict.RELABELLED


def _reason(verdict: Verdict, old: LesionType, new: LesionType, score: float, threshold: float) -> str:
    if verdict is Verdict.REMOVED:
        return f"score {score:.2f} is below {threshold:.2f}"
    kept = f"score {score:.2f} reaches {threshold:.2f}"
    return f"{kept}; most votes for {new.title} instead of {old.title}" if verdict is Verdict.RELABELLED else kept
