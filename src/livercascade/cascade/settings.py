"""Settings of the cascade, one part for each stage, and the hash of each stage."""

from __future__ import annotations

import logging
import tomllib
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from livercascade.alignment.align_settings import AlignSettings, RegistrationLimits
from livercascade.data.class_priors import PAPER, ClassPriors
from livercascade.data.errors import UsageError
from livercascade.data.record import Record
from livercascade.detect.liver import MIN_CONTACT
from livercascade.detect.seg2det import LesionRule
from livercascade.dicom.dicom_stage import DicomStage
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.segment.segmenter import WindowSearch
from livercascade.system.files import sha256_text

_log = logging.getLogger(__name__)


class TypesFrom(Enum):
    """Source of a proposal's type."""

    NETWORK = "network"
    """UNet^whole, by the volume vote over the proposal (the paper)."""
    ENHANCEMENT = "enhancement"
    """The way the proposal takes up contrast medium (`livercascade.classify`)."""


class AlignStage(Record):
    """How phases come onto one grid.

    Attributes:
        enabled: True aligns phases with each other; False takes them as the headers place them, for input that is
            aligned already.
        registration: Settings of DEEDS.
        quality: Limits beyond which an alignment is not used, and what happens then.
    """

    enabled: bool = True
    registration: AlignSettings = AlignSettings()
    quality: RegistrationLimits = RegistrationLimits()


class SegmentStage(Record):
    """How UNet^whole is applied.

    Attributes:
        overlap: Overlap of neighbouring windows, as a fraction of their size.
        search: Windows that are computed: all, or those with weight in the liver. ``liver`` saves the more the less
            of the scan is liver; organs elsewhere come out coarser.
        pooled: True lets the lesion types compete with the other labels together rather than each alone, so that a
            lesion of doubtful type is not lost (an extension of eq. 2 and 3: the paper compares each type alone).
        class_priors: Frequency of HCC, ICC, Meta, Hem, Other and Cyst among the lesions of one's patients; by default
            that of the paper's test set. The type of a lesion follows it where a network's card says with which
            frequencies it was trained, as those of the bundled ones do; what is found does not. None, or for the
            bundled ones six equal frequencies, leaves types as the network has them.
    """

    overlap: float = Field(default=0.5, ge=0, lt=1)
    search: WindowSearch = WindowSearch.WHOLE
    pooled: bool = False
    class_priors: ClassPriors | None = PAPER


class DetectStage(Record):
    """How lesion proposals are formed from the sensitivity map.

    Attributes:
        low_factor: Sensitivity factor f of Base (paper, eq. 3).
        high_factor: Sensitivity factor f of High.
        min_volume_ml: Volume limit; smaller proposals are left out.
        lesions: Definition of one lesion: touching types together, or each type alone as in the paper.
        min_contact: Share of a lesion's surface, 0 to 1, that must touch liver: what hangs on by less lies outside it.
            0 keeps whatever touches.
        check_liver: True refuses what cannot be a liver and gives no verdict on what hardly is one; False judges
            whatever is found, if it is 150 ml, as the paper does with its chosen patients.
    """

    low_factor: float = Field(default=1.0, gt=0)
    high_factor: float = Field(default=4.0, gt=0)
    min_volume_ml: float = Field(default=0.5, ge=0)
    lesions: LesionRule = LesionRule.UNION
    min_contact: float = Field(default=MIN_CONTACT, ge=0, le=1)
    check_liver: bool = True


class ClassifyStage(Record):
    """How proposals get their type.

    Attributes:
        types_from: Source of the type.
    """

    types_from: TypesFrom = TypesFrom.ENHANCEMENT


class OutputStage(Record):
    """What a result keeps.

    Attributes:
        sweep: Factors f of the sensitivity sweep (paper, Fig. 11).
        evidence: True keeps what curves and figures of `evaluate` follow from: the sensitivity map inside the liver,
            and the proposals reclassified at every factor of the sweep.
        dicom: Results as DICOM, where the study is DICOM.
    """

    sweep: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    evidence: bool = False
    dicom: DicomStage = DicomStage()


class CascadeSettings(Record):
    """How a study is analysed; defaults are the paper's but for types by enhancement, ``reclassify.large`` and
    ``reclassify.relabel``.

    The parts stand in the order of the stages. What a stage makes depends on its own part and on those before it:
    `stage_sha256`.

    Attributes:
        align: Phases onto one grid.
        segment: UNet^whole.
        detect: Lesion proposals at both sensitivities.
        classify: Their types.
        reclassify: UNet^patch and the verdict on each proposal.
        output: What the result keeps.

    >>> CascadeSettings().changed("detect", high_factor=8.0).detect.high_factor
    8.0
    """

    align: AlignStage = AlignStage()
    segment: SegmentStage = SegmentStage()
    detect: DetectStage = DetectStage()
    classify: ClassifyStage = ClassifyStage()
    reclassify: ReclassifySettings = ReclassifySettings()
    output: OutputStage = OutputStage()

    @model_validator(mode="before")
    @classmethod
    def _from_one_table(cls, raw: Any) -> Any:
        return by_stage(raw)[0] if isinstance(raw, dict) else raw

    def changed(self, stage: str, **values: Any) -> CascadeSettings:
        """The same settings with other values in one part.

        Args:
            stage: Name of the part, for example ``reclassify``.
            values: New values by name.

        Raises:
            pydantic.ValidationError: A value is unknown or impossible.
        """
        part = getattr(self, stage)
        return self.model_copy(update={stage: type(part).model_validate(part.model_dump() | values)})

    @property
    def judging(self) -> ReclassifySettings:
        """How UNet^patch judges in this run: evidence needs every patch."""
        if not self.output.evidence:
            return self.reclassify
        return self.reclassify.model_copy(update={"stop_when_decided": False})

    def stage_sha256(self, stage: str) -> str:
        """Hash of everything that the result of a stage follows from: its own part and those before it.

        Args:
            stage: Name of the part.

        Raises:
            ValueError: There is no such stage.
        """
        names = list(type(self).model_fields)
        if stage not in names:
            raise ValueError(f"there is no stage {stage!r}, but {', '.join(names)}")
        # The number of threads changes no result.
        parts = self.model_dump_json(
            include=set(names[: names.index(stage) + 1]), exclude={"align": {"registration": {"threads"}}}
        )
        return sha256_text(parts)

    @property
    def sha256(self) -> str:
        """Hash of all settings that change a result; one is reused only if it is the same."""
        return self.stage_sha256("output")

    @property
    def scoring_sha256(self) -> str:
        """Hash of what High's candidates and their scores follow from: probabilities are fitted to one such choice.

        How phases were aligned, where Base begins, the seed, and whether a candidate stays or changes its type after
        the vote, change the meaning of no score.
        """
        patches = {"n_original", "n_shuffled", "shuffled", "shuffling", "bypass_ml", "large"}
        kept = {"segment": True, "detect": {"high_factor", "min_volume_ml", "lesions", "min_contact"}, "classify": True}
        return sha256_text(self.model_dump_json(include=kept | {"reclassify": patches}))


_MOVED = {
    "alignment": ("align", "registration"),
    "gate": ("align", "quality"),
    "type_shares": ("segment", "class_priors"),
    "align": ("align", "enabled"),
}
"""Names of before 0.2, when all settings stood in one table, that changed when they moved into their stage."""
_STAGES = {
    "segment": SegmentStage,
    "detect": DetectStage,
    "classify": ClassifyStage,
    "reclassify": ReclassifySettings,
    "output": OutputStage,
}


def by_stage(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings of one table, as before version 0.2, in the parts of their stages.

    Args:
        raw: Content of a TOML file, or settings in a result.

    Returns:
        The same by stage, and for each name that moved its new place, ``stage.name``. Names that are unknown stay
        where they are and are refused later.

    >>> by_stage({"high_factor": 2.0, "gate": {"on_poor": "drop"}})[1]
    {'high_factor': 'detect.high_factor', 'gate': 'align.quality'}
    """
    out: dict[str, Any] = {}
    moved: dict[str, str] = {}
    for name, value in raw.items():
        place = _MOVED.get(name)
        if name == "align" and not isinstance(value, bool):
            place = None
        if place is None and name not in CascadeSettings.model_fields:
            place = next(((stage, name) for stage, part in _STAGES.items() if name in part.model_fields), None)
        if place is None:
            # A part that a moved name has begun already is completed, not replaced.
            known = out.get(name)
            out[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
            continue
        stage, new = place
        part = out.get(stage, raw.get(stage) if isinstance(raw.get(stage), dict) else {})
        out[stage] = {**part, new: value}
        moved[name] = f"{stage}.{new}"
    return out, moved


def read_settings(path: Path | None) -> CascadeSettings:
    """Settings of a TOML file, or the defaults; one of before version 0.2 is read with a note in the log.

    Raises:
        UsageError: ``BAD_SETTINGS``: the file is absent, not TOML, or holds an unknown or impossible value.
    """
    if path is None:
        return CascadeSettings()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = CascadeSettings.model_validate(raw)
    except (OSError, ValueError) as error:
        raise UsageError("BAD_SETTINGS", f"{path} cannot be used: {error}.", "Correct the file.") from error
    moved = by_stage(raw)[1]
    if moved:
        places = ", ".join(f"{old} is now {new}" for old, new in moved.items())
        _log.warning("%s is in the form of before version 0.2: %s", path, places)
    return settings
