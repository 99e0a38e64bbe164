"""reclassify: which proposals UNet^patch confirms, and as what (paper, eq. 8, 10, 11)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

import numpy as np
from jaxtyping import Float, Float32, Int
from pydantic import Field, model_validator

from livercascade.data.labels import FIRST_LESION, LAST_LESION, LESION_TYPES, LesionType
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.data.record import Record
from livercascade.reclassification.candidate import Candidate, CandidateStatus
from livercascade.reclassification.large_lesions import lesion_windows
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.patches import Patch, PatchVolume, Scheme
from livercascade.reclassification.shuffle import ShuffleSettings, shuffle

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


class LargeLesions(Enum):
    """What happens to proposals that are too large to be moved within the liver."""

    WINDOWS = "windows"
    """UNet^patch judges them by windows inside, and its votes are pooled."""
    KEEP = "keep"
    """They are kept as they are: the paper's rule."""


class ReclassifySettings(Record):
    """How proposals are judged; the defaults are the paper's but for ``large``, ``relabel`` and ``stop_when_decided``.

    Attributes:
        n_original: Number of patches cut round the lesion where it lies.
        n_shuffled: Number of patches with the lesion moved within the liver; the paper's N is the sum of both.
        shuffled: False takes original patches for all of them (the paper's "w/o LS").
        shuffling: Settings of lesion shuffling.
        bypass_ml: Volume in ml above which a proposal is large.
        large: Fate of large proposals. By windows their score is the share that UNet^patch confirms in all windows
            together, whatever ``score`` says, and none is moved.
        large_ratio: Least such share, 0 to 1.
        score: Meaning of score and threshold.
        threshold_ml: Least mean overlap in ml.
        ratio: Least fraction of the proposal, 0 to 1, for the modes that use it.
        relabel: True lets the vote of UNet^patch change a lesion's type, as in the paper (eq. 8). Off by default: the
            vote of the bundled network makes types worse (docs/claims.md).
        stop_when_decided: True makes no more patches of a proposal once they cannot change whether it stays. The
            verdict is that of all patches; the score is the mean over those made. Without effect with ``relabel``.
        seed: Seed of the patches.
    """

    n_original: int = Field(default=5, ge=0)
    n_shuffled: int = Field(default=5, ge=0)
    shuffled: bool = True
    shuffling: ShuffleSettings = ShuffleSettings()
    bypass_ml: float = Field(default=64.0, ge=0)
    large: LargeLesions = LargeLesions.WINDOWS
    large_ratio: float = Field(default=0.1, ge=0, le=1)
    score: ScoreMode = ScoreMode.VOLUME
    threshold_ml: float = Field(default=0.5, ge=0)
    ratio: float = Field(default=0.5, ge=0, le=1)
    relabel: bool = False
    stop_when_decided: bool = True
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _some_patch(self) -> ReclassifySettings:
        if self.patches == 0:
            raise ValueError("at least one patch is needed: n_original and n_shuffled are both 0")
        return self

    @property
    def patches(self) -> int:
        """The paper's N."""
        return self.n_original + self.n_shuffled

    def is_large(self, lesion: Lesion) -> bool:
        """True for a proposal that the paper keeps as it is."""
        return lesion.volume_ml > self.bypass_ml


@dataclass(frozen=True, slots=True, eq=False)
class Reclassified:
    """Verdicts on all proposals, in their order.

    Attributes:
        proposals: Lesions that were judged (``Det_pred``).
        candidates: The same, each with its verdict.
    """

    proposals: LesionSet
    candidates: tuple[Candidate, ...]

    @property
    def lesions(self) -> LesionSet:
        """Proposals that were not removed, with their new labels (``Det_ReCls``)."""
        kept = tuple(candidate.result for candidate in self.candidates if candidate.present)
        return LesionSet(kept, self.proposals.shape, self.proposals.spacing)


def reclassify(
    proposals: LesionSet,
    volume: PatchVolume,
    network: PatchNetwork,
    settings: ReclassifySettings,
    rng: np.random.Generator,
    *,
    on_volume: LesionSet | None = None,
    batch: int = 1,
    weights: Float32[np.ndarray, " 6"] | None = None,
) -> Reclassified:
    """Judge every proposal by UNet^patch on patches of it (paper, eq. 8, 10, 11).

    The score is the mean over the patches of the volume, inside the proposal, that the network calls lesion of
    whatever type. The new label is the type of most such voxels over all patches; ties go to the present label,
    then to the higher priority. A verdict does not depend on the other proposals' patches. Large proposals are judged
    by windows inside them, or kept, as the settings say.

    Args:
        proposals: Lesions of UNet^whole; masks are kept as they are.
        volume: Image and patch classes, see `to_working_grid`.
        network: UNet^patch.
        settings: Patches, score and threshold.
        rng: Source of the patches; one independent stream is spawned for each proposal.
        on_volume: The same proposals, in the same order, on the grid of ``volume``; by default they lie there already.
        batch: Patches in one call of ``network``, of one proposal or of several.
        weights: Added to the lesion logits where a voxel votes for a type (`livercascade.data.class_priors`).

    Raises:
        ValueError: ``on_volume`` has another number of lesions, or does not lie on the grid of ``volume``.
    """
    placed = proposals if on_volume is None else on_volume
    if len(placed) != len(proposals) or placed.shape != volume.shape:
        raise ValueError(
            f"{len(placed)} lesions on {placed.shape} for {len(proposals)} proposals and a volume of {volume.shape}"
        )
    jobs = [
        _Job(here, settings.is_large(lesion), stream)
        for lesion, here, stream in zip(proposals, placed, rng.spawn(len(proposals)), strict=True)
    ]
    _run_jobs(jobs, volume, network, settings, batch, weights)
    candidates = (
        judge(lesion, job.tally(volume.voxel_ml, settings), settings)
        for lesion, job in zip(proposals, jobs, strict=True)
    )
    return Reclassified(proposals, tuple(candidates))


@dataclass(slots=True)
class _Job:
    """One proposal and what the network found in its patches so far."""

    lesion: Lesion
    large: bool
    rng: np.random.Generator
    votes: list[Int[np.ndarray, " 6"]] = field(default_factory=list["Int[np.ndarray, ' 6']"])
    sizes: list[int] = field(default_factory=list[int])
    moved: list[bool] = field(default_factory=list[bool])

    def patches(self, volume: PatchVolume, settings: ReclassifySettings) -> Iterator[Patch]:
        if self.large:
            if settings.large is LargeLesions.WINDOWS:
                yield from lesion_windows(self.lesion, volume)
            return
        for patch in _each_patch(self.lesion, volume, settings, self.rng):
            yield patch
            if self.decided(len(self.votes), volume.voxel_ml, settings):
                return

    def note(
        self, patch: Patch, logits: Float[np.ndarray, "8 16 128 128"], weights: Float32[np.ndarray, " 6"] | None
    ) -> None:
        self.votes.append(count_votes(patch, logits, weights))
        self.sizes.append(int(np.count_nonzero(patch.lesion)))
        self.moved.append(patch.scheme is Scheme.SHUFFLED_POSITIVE)

    def decided(self, made: int, voxel_ml: float, settings: ReclassifySettings) -> bool:
        """Whether the patches after the first ``made`` cannot change the verdict, whatever is found in them."""
        if self.large or not settings.stop_when_decided or settings.relabel or not made:
            return False
        overlap = [int(votes.sum()) for votes in self.votes[:made]]
        largest = int(np.count_nonzero(self.lesion.mask))
        return _decided(overlap, self.sizes[:made], largest, voxel_ml, settings)

    def tally(self, voxel_ml: float, settings: ReclassifySettings) -> PatchTally | None:
        if not self.votes:
            return None
        # A batch may have run on after the verdict: the result must not depend on the length of a batch.
        needed = (n for n in range(1, len(self.votes)) if self.decided(n, voxel_ml, settings))
        n = next(needed, len(self.votes))
        return PatchTally(np.stack(self.votes[:n]), np.array(self.sizes[:n]), np.array(self.moved[:n]), voxel_ml)


def _run_jobs(
    jobs: list[_Job],
    volume: PatchVolume,
    network: PatchNetwork,
    settings: ReclassifySettings,
    batch: int,
    weights: Float32[np.ndarray, " 6"] | None,
) -> None:
    """All patches of all proposals through the network."""
    # Lazy: whether a proposal needs more patches is known only after the batch before.
    todo = _todo(jobs, volume, settings)
    while chunk := list(islice(todo, batch)):
        logits = network(np.stack([patch.image for _, patch in chunk]))
        for (job, patch), maps in zip(chunk, logits, strict=True):
            job.note(patch, maps, weights)


def _todo(
    jobs: list[_Job], volume: PatchVolume, settings: ReclassifySettings
) -> Generator[tuple[_Job, Patch], None, None]:
    for job in jobs:
        for patch in job.patches(volume, settings):
            yield job, patch


def _decided(overlap: list[int], sizes: list[int], largest: int, voxel_ml: float, settings: ReclassifySettings) -> bool:
    """Whether the verdict is the same if all patches to come confirm nothing, or all of the proposal.

    Either extreme is held against the threshold of whole proposals: a smaller part in a patch moves the score at
    least as much as the threshold.
    """
    rest = settings.patches - len(sizes)
    whole = np.array(sizes + [largest] * rest)
    verdicts: list[bool] = []
    for found in (0, largest):
        score, threshold = score_of(np.array(overlap + [found] * rest), whole, voxel_ml, settings)
        verdicts.append(score >= threshold)
    return verdicts[0] == verdicts[1]


def judge(lesion: Lesion, tally: PatchTally | None, settings: ReclassifySettings) -> Candidate:
    """Verdict on a proposal from what the network found in its patches (paper, eq. 8 and 11).

    Args:
        lesion: The proposal.
        tally: What was found; None if no patch was made because the proposal is large.
        settings: Score, thresholds and relabelling. The number and kind of the patches are those of ``tally``.
    """
    large = settings.is_large(lesion)
    if tally is None or (large and settings.large is LargeLesions.KEEP):
        reason = f"{lesion.volume_ml:.1f} ml is above {settings.bypass_ml:g} ml: not reclassified"
        return Candidate(lesion, CandidateStatus.BYPASSED, lesion.label, reason=reason)
    if large:
        score, threshold = float(tally.overlap.sum() / max(tally.sizes.sum(), 1)), settings.large_ratio
    else:
        score, threshold = score_of(tally.overlap, tally.sizes, tally.voxel_ml, settings)
    moved, total = int(tally.moved.sum()), tally.votes.sum(axis=0)
    voted = elect(total, lesion.label) if settings.relabel else lesion.label
    status = _status(score >= threshold, voted is lesion.label)
    return Candidate(
        lesion,
        status,
        lesion.label if status is CandidateStatus.REMOVED else voted,
        score,
        threshold,
        votes={t: float(n / total.sum()) for t, n in zip(LESION_TYPES, total, strict=True) if n},
        reason=_reason(status, lesion.label, voted, score, threshold)
        + (f" (share confirmed in {len(tally.sizes)} windows inside it)" if large else ""),
        # Patches that were not made, since the verdict was clear, did not lack room.
        no_room=settings.shuffled
        and not large
        and moved < min(settings.n_shuffled, len(tally.sizes) - settings.n_original),
        tally=tally,
    )


def make_patches(
    lesion: Lesion, volume: PatchVolume, settings: ReclassifySettings, rng: np.random.Generator
) -> tuple[Patch, ...]:
    """The N patches of one proposal; an original one wherever a shuffled one has no room."""
    return tuple(_each_patch(lesion, volume, settings, rng))


def _each_patch(
    lesion: Lesion, volume: PatchVolume, settings: ReclassifySettings, rng: np.random.Generator
) -> Iterator[Patch]:
    wanted = Scheme.SHUFFLED_POSITIVE if settings.shuffled else Scheme.ORIGINAL_POSITIVE
    schemes = (Scheme.ORIGINAL_POSITIVE,) * settings.n_original + (wanted,) * settings.n_shuffled
    for scheme in schemes:
        patch = shuffle(lesion, volume, scheme, rng, settings=settings.shuffling)
        if patch is None:
            patch = shuffle(lesion, volume, Scheme.ORIGINAL_POSITIVE, rng, settings=settings.shuffling)
        if patch is not None:
            yield patch


def count_votes(
    patch: Patch, logits: Float[np.ndarray, "8 16 128 128"], weights: Float32[np.ndarray, " 6"] | None = None
) -> Int[np.ndarray, " 6"]:
    """Voxels of each lesion type, in label order, that the network finds in the proposal (eq. 10).

    ``weights`` move votes from type to type; how many voxels are lesion does not depend on them.
    """
    inside = logits[:, patch.lesion]
    found = inside.argmax(axis=0)
    if weights is not None:
        lesion = (found >= FIRST_LESION) & (found <= LAST_LESION)
        types = inside[FIRST_LESION : LAST_LESION + 1, lesion] + weights[:, None]
        found[lesion] = FIRST_LESION + types.argmax(axis=0)
    return np.bincount(found, minlength=LAST_LESION + 2)[FIRST_LESION : LAST_LESION + 1].astype(np.int64)


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
    # Without this a tie would go to the type of higher priority.
    if votes[current - FIRST_LESION] == votes.max():
        return current
    return LESION_TYPES[int(votes.argmax())]


def _status(confirmed: bool, same_label: bool) -> CandidateStatus:
    if not confirmed:
        return CandidateStatus.REMOVED
    return CandidateStatus.KEPT if same_label else CandidateStatus.RELABELLED


def _reason(status: CandidateStatus, old: LesionType, new: LesionType, score: float, threshold: float) -> str:
    if status is CandidateStatus.REMOVED:
        return f"score {score:.2f} is below {threshold:.2f}"
    kept = f"score {score:.2f} reaches {threshold:.2f}"
    return (
        f"{kept}; most votes for {new.title} instead of {old.title}" if status is CandidateStatus.RELABELLED else kept
    )
