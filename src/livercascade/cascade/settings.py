"""Settings of one run of the cascade."""

from __future__ import annotations

import hashlib
import tomllib
from enum import Enum
from pathlib import Path

from pydantic import Field, ValidationError

from livercascade.alignment.align_settings import AlignSettings, RegistrationLimits
from livercascade.data.class_priors import PAPER, ClassPriors
from livercascade.data.errors import UsageError
from livercascade.data.record import Record
from livercascade.reclassify.reclassify import ReclassifySettings, ScoreMode
from livercascade.segment.segmenter import WindowSearch


class TypesFrom(Enum):
    """What says of which type a proposal is."""

    NETWORK = "network"
    """UNet^whole, by the volume vote over the proposal (the paper)."""
    ENHANCEMENT = "enhancement"
    """How the proposal takes up contrast medium (`livercascade.classify`)."""


class CascadeSettings(Record):
    """How a study is analysed; the defaults are the paper's but for ``types_from`` and ``relabel``.

    Attributes:
        low_factor, high_factor: Sensitivity factors f of Base and High (paper, eq. 3).
        pooled: Let the lesion types compete with the other labels together rather than each alone, so that a lesion
            of doubtful type is not lost (an extension of eq. 2 and 3: the paper compares each type alone).
        class_priors: Share of HCC, ICC, Meta, Hem, Other and Cyst among the lesions of one's patients; by default that
            of the paper's test set. The type of a lesion goes by it where a network's card says which shares it was
            trained on, as those of the bundled ones do; what is found does not. None, or for the bundled ones six
            equal shares, leaves types as the network has them.
        types_from: What says of which type a proposal is.
        min_volume_ml: Smaller proposals are left out.
        score, threshold_ml, ratio, bypass_ml, n_original, n_shuffled, shuffled: See `ReclassifySettings`.
        relabel: Whether the vote of UNet^patch may change a lesion's type (paper, eq. 8). Off by default: that of the
            bundled one makes types worse (docs/claims.md).
        stop_when_decided: Make no more patches of a proposal once they cannot change whether it stays. Verdicts stay
            the same, scores become means over fewer patches. Without effect with ``relabel`` or ``evidence``, and
            off where probabilities are wanted, which are fitted to scores over all patches.
        overlap: Overlap of neighbouring windows of UNet^whole.
        search: Which windows of UNet^whole are computed: all, or those with weight in the liver. ``liver`` saves the
            more the less of the scan is liver; organs elsewhere come out coarser.
        sweep: Factors of the sensitivity sweep (paper, Fig. 11).
        seed: Seed of the shuffled patches.
        evidence: Keep what curves and figures of `evaluate` follow from: the sensitivity map inside the liver, and
            the proposals reclassified at every factor of the sweep.
        align: Whether phases are aligned with each other; False for input that is aligned already.
        alignment: How.
        gate: When an alignment is too poor to be used, and what happens then.
    """

    low_factor: float = Field(default=1.0, gt=0)
    high_factor: float = Field(default=4.0, gt=0)
    pooled: bool = False
    class_priors: ClassPriors | None = PAPER
    types_from: TypesFrom = TypesFrom.ENHANCEMENT
    min_volume_ml: float = Field(default=0.5, ge=0)
    score: ScoreMode = ScoreMode.VOLUME
    threshold_ml: float = Field(default=0.5, ge=0)
    ratio: float = Field(default=0.5, ge=0, le=1)
    bypass_ml: float = Field(default=64.0, ge=0)
    relabel: bool = False
    n_original: int = Field(default=5, ge=0)
    n_shuffled: int = Field(default=5, ge=0)
    shuffled: bool = True
    stop_when_decided: bool = True
    overlap: float = Field(default=0.5, ge=0, lt=1)
    search: WindowSearch = WindowSearch.WHOLE
    sweep: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    seed: int = Field(default=0, ge=0)
    evidence: bool = False
    align: bool = True
    alignment: AlignSettings = AlignSettings()
    gate: RegistrationLimits = RegistrationLimits()

    @property
    def reclassify(self) -> ReclassifySettings:
        """The part that UNet^patch needs."""
        return ReclassifySettings(
            n_original=self.n_original,
            n_shuffled=self.n_shuffled,
            shuffled=self.shuffled,
            score=self.score,
            threshold_ml=self.threshold_ml,
            ratio=self.ratio,
            bypass_ml=self.bypass_ml,
            relabel=self.relabel,
            stop_when_decided=self.stop_when_decided and not self.evidence,
        )

    @property
    def judging_sha256(self) -> str:
        """Hash of what High's candidates and their patches follow from: probabilities are fitted to one such choice.

        Whether a candidate stays, and its type after the vote, change no probability.
        """
        later = {"low_factor", "score", "threshold_ml", "ratio", "relabel", "sweep", "seed", "evidence"}
        chosen = self.model_dump_json(exclude=later | {"stop_when_decided", "align", "alignment", "gate"})
        return hashlib.sha256(chosen.encode()).hexdigest()

    @property
    def sha256(self) -> str:
        """Hash of all settings that change a result; one is reused only if it is the same."""
        text = self.model_dump_json(exclude={"alignment": {"threads"}})
        return hashlib.sha256(text.encode()).hexdigest()


def read_settings(path: Path | None) -> CascadeSettings:
    """Settings of a TOML file, or the defaults.

    Raises:
        UsageError: ``BAD_SETTINGS``: the file is absent, not TOML, or holds an unknown or impossible value.
    """
    if path is None:
        return CascadeSettings()
    try:
        return CascadeSettings.model_validate(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError("BAD_SETTINGS", f"{path} cannot be used: {error}.", "Correct the file.") from error
