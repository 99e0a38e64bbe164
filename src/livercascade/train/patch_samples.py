"""Random training patches of UNet^patch, made by lesion shuffling as they are needed (paper, Sec. III-B, Fig. 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from livercascade.data.errors import InputError
from livercascade.data.lesion import Lesion
from livercascade.reclassify.patches import PATCH_LIVER, PATCH_OUTSIDE, Patch, Scheme
from livercascade.reclassify.shuffle import shuffle
from livercascade.segment.card import PhaseNormalisation
from livercascade.segment.phase_input import normalise, phase_input
from livercascade.train.learner import Batch
from livercascade.train.patch_cases import PatchCase
from livercascade.train.phase_dropout import drop_phases
from livercascade.train.settings import PatchSettings

_CASE_TRIES = 12
"""Cases tried for one scheme: some have no lesion, or no room for one."""
_SCHEME_TRIES = 8
"""Schemes tried before giving up."""

Sample = tuple[Float[torch.Tensor, "channel z y x"], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Draw:
    """What a patch shall show.

    Attributes:
        lesion: A true lesion, or a false finding of UNet^whole.
        paste_label: Class a moved lesion gets in the truth; None for its own.
        false_finding: True if the lesion is none: it lies in the predicted liver region, maybe not in the true one.
    """

    scheme: Scheme
    lesion: Lesion | None
    paste_label: int | None = None
    false_finding: bool = False


@dataclass(frozen=True, slots=True)
class PatchSampler:
    """Endless source of training patches.

    Attributes:
        cases: To draw from, each as likely as any other.
        scheme: Normalisation of each phase; its lower bounds fill what lies outside the liver.
        augment: Applied to every patch, or None.
        dropout: True hides phases at random.
    """

    cases: Sequence[PatchCase]
    settings: PatchSettings
    scheme: tuple[PhaseNormalisation, ...]
    augment: Callable[..., dict[str, torch.Tensor]] | None = None
    dropout: bool = True

    def batch(self, rng: np.random.Generator) -> Batch:
        """Network input and truth of one batch."""
        samples = [self.sample(rng) for _ in range(self.settings.batch_size)]
        return Batch(torch.stack([s[0] for s in samples]), torch.stack([s[1] for s in samples]))

    def sample(self, rng: np.random.Generator) -> Sample:
        """Network input ``[8, z, y, x]`` and patch classes ``[1, z, y, x]`` of one patch."""
        case, patch = self.patch(rng)
        image = normalise(torch.from_numpy(patch.image), self.scheme)
        target = torch.from_numpy(patch.labels.astype(np.int16))[None]
        if self.augment is not None:
            changed = self.augment(image=image, segmentation=target)
            image, target = self._emptied(changed["image"], changed["segmentation"]), changed["segmentation"]
        present = drop_phases(case.present, self.settings.phase_dropout, rng) if self.dropout else case.present
        return phase_input(image, torch.from_numpy(present)), target

    def patch(self, rng: np.random.Generator) -> tuple[PatchCase, Patch]:
        """One patch in HU, and the case it comes from.

        Raises:
            InputError: The cases hold neither lesions nor free liver (``NO_PATCH``).
        """
        for _ in range(_SCHEME_TRIES):
            found = self._by_scheme(_pick_scheme(self.settings, rng), rng)
            if found is not None:
                return found
        raise InputError("NO_PATCH", "The training cases give no patch.", "Add cases with lesions and free liver.")

    def _by_scheme(self, scheme: Scheme, rng: np.random.Generator) -> tuple[PatchCase, Patch] | None:
        for _ in range(_CASE_TRIES):
            case = self.cases[int(rng.integers(len(self.cases)))]
            patch = self._patch_of(case, scheme, rng)
            if patch is not None and bool((patch.labels != PATCH_OUTSIDE).any()):
                return case, patch
        return None

    @property
    def _fill(self) -> tuple[float, ...]:
        return tuple(entry.lower for entry in self.scheme)

    def _patch_of(self, case: PatchCase, scheme: Scheme, rng: np.random.Generator) -> Patch | None:
        draw = self._draw(case, scheme, rng)
        if draw is None:
            return None
        predicted = draw.false_finding or rng.random() < self.settings.predicted_liver_share
        volume = case.volume(self._fill, predicted=predicted)
        return shuffle(draw.lesion, volume, draw.scheme, rng, paste_label=draw.paste_label)

    def _draw(self, case: PatchCase, scheme: Scheme, rng: np.random.Generator) -> Draw | None:
        hard = rng.random() < self.settings.hard_share
        if scheme in (Scheme.ORIGINAL_POSITIVE, Scheme.SHUFFLED_POSITIVE):
            lesion = _any(case.missed if hard and case.missed else case.lesions, rng)
            return None if lesion is None else Draw(scheme, lesion)
        if hard and case.false:
            return self._false_finding(scheme, case, rng)
        if scheme is Scheme.ORIGINAL_NEGATIVE:
            return Draw(scheme, None)
        lesion = _any(case.lesions, rng)
        return None if lesion is None else Draw(scheme, lesion)

    def _false_finding(self, scheme: Scheme, case: PatchCase, rng: np.random.Generator) -> Draw:
        """A false finding where it is, or moved elsewhere: liver to the network, both times."""
        moved = scheme.shuffled
        return Draw(
            Scheme.SHUFFLED_POSITIVE if moved else Scheme.ORIGINAL_POSITIVE,
            _any(case.false, rng),
            PATCH_LIVER if moved else None,
            false_finding=True,
        )

    def _emptied(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The image with outside the liver what is there at inference: the fill value, undisturbed."""
        fill = torch.tensor([(entry.lower - entry.mean) / entry.std for entry in self.scheme])
        return torch.where(target == PATCH_OUTSIDE, fill[:, None, None, None].to(image.dtype), image)


@dataclass(slots=True)
class PatchStream(torch.utils.data.IterableDataset[Batch]):
    """Batches for torch's loader; each worker draws from a generator of its own.

    Attributes:
        seed: Seeds of the generators: of the run, and of the step it starts from.
    """

    sampler: PatchSampler
    seed: tuple[int, ...] = field(default=(0,))

    def __iter__(self) -> Iterator[Batch]:
        info: Any = torch.utils.data.get_worker_info()
        number = 0 if info is None else int(info.id)
        rng = np.random.default_rng((*self.seed, number))
        np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
        torch.manual_seed(int(rng.integers(2**63)))
        torch.set_num_threads(1)
        while True:
            yield self.sampler.batch(rng)


def endless(sampler: PatchSampler, rng: np.random.Generator, step: int) -> Iterator[Batch]:
    """Batches made between the steps, or ahead of them by ``workers`` processes."""
    settings = sampler.settings
    if settings.workers == 0:
        while True:
            yield sampler.batch(rng)
    stream = PatchStream(sampler, (settings.seed, step))
    loader: Any = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=settings.workers, prefetch_factor=4)
    yield from loader


def _pick_scheme(settings: PatchSettings, rng: np.random.Generator) -> Scheme:
    shares = {scheme: float(getattr(settings.schemes, scheme.value)) for scheme in Scheme}
    if not settings.shuffling:
        shares = {scheme: share for scheme, share in shares.items() if not scheme.shuffled}
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _any(lesions: Sequence[Lesion], rng: np.random.Generator) -> Lesion | None:
    return lesions[int(rng.integers(len(lesions)))] if lesions else None
