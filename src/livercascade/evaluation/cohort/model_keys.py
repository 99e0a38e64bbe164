"""What the models are called: as keys of ``tables.json``, and as columns of the tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from livercascade.data.errors import UsageError
from livercascade.evaluation.cohort.cohort_files import FoundSide, Kind

JOINT = "Joint"
"""Base+ReCls & High+ReCls (paper, Sec. IV-C3)."""


class Variant(Enum):
    """Models of the cascade that one case folder holds (paper, Tables II to IV)."""

    BASE = "Base"
    BASE_RECLS = "Base+ReCls"
    HIGH = "High"
    HIGH_RECLS = "High+ReCls"


_WITHOUT_EVIDENCE = (Variant.HIGH, Variant.HIGH_RECLS)


@dataclass(frozen=True, slots=True)
class ModelName:
    """One model.

    Attributes:
        key: Unique name.
        title: Column heading.
        setting: Models of one setting, for example ``screening``, stand in one table; empty if there is but one.
    """

    key: str
    title: str
    setting: str

    @classmethod
    def of(cls, key: str) -> ModelName:
        """A model named by the user; ``setting/title`` puts it beside others of the setting.

        >>> ModelName.of("screening/Base").setting
        'screening'
        """
        setting, slash, title = key.partition("/")
        return cls(key, title, setting) if slash else cls(key, key, "")


@dataclass(frozen=True, slots=True)
class JointName:
    """A joint model: its name and the names of its two sides.

    Attributes:
        name: The joint model.
        low: The side that decides with ``high``; None if every reading of ``high`` brings the verdict of both.
        high: The side whose lesions and class it takes.
    """

    name: ModelName
    low: str | None
    high: str


def side_models(side: FoundSide) -> dict[Variant | None, ModelName]:
    """The models of one found side; a label map is one model without variant.

    A case folder that the user called NAME gives NAME, which is its answer (High+ReCls), and ``NAME/Base`` and so on;
    one without a name gives ``Base`` to ``High+ReCls``.
    """
    if side.kind is Kind.LABEL_MAPS:
        return {None: ModelName.of(side.name)}
    variants = tuple(Variant) if side.evidence else _WITHOUT_EVIDENCE
    return {variant: _variant_name(side, variant) for variant in variants}


def side_joint(side: FoundSide) -> JointName | None:
    """The joint model of a side of case folders; None for label maps."""
    if side.kind is Kind.LABEL_MAPS:
        return None
    models = side_models(side)
    low = models.get(Variant.BASE_RECLS)
    key = f"{side.name}/{JOINT}" if side.named else JOINT
    name = ModelName(key, JOINT, side.name if side.named else "")
    return JointName(name, low.key if low else None, models[Variant.HIGH_RECLS].key)


def parse_joint(text: str, known: Sequence[str]) -> JointName:
    """A joint model from ``NAME=LOW,HIGH``.

    Raises:
        UsageError: ``BAD_JOINT``: it does not read so, a side is unknown, or the name is taken.
    """
    name, equals, sides = text.partition("=")
    low, comma, high = sides.partition(",")
    unknown = [side for side in (low, high) if side not in known]
    if not equals or not comma or not name or name in known or unknown:
        message = f"--joint {text!r} cannot be used; the models are {', '.join(known)}."
        raise UsageError("BAD_JOINT", message, "Give --joint NAME=LOW,HIGH with a new NAME and two of these models.")
    return JointName(ModelName.of(name), low, high)


def check_unique(names: Sequence[ModelName]) -> None:
    """Refuse two models of one name.

    Raises:
        UsageError: ``NAME_TWICE``.
    """
    keys = [name.key for name in names]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        message = f"two models are called {twice[0]!r}."
        raise UsageError("NAME_TWICE", message, "Give each found folder a name of its own: --found NAME=DIR.")


def _variant_name(side: FoundSide, variant: Variant) -> ModelName:
    if not side.named:
        return ModelName(variant.value, variant.value, "")
    key = side.name if variant is Variant.HIGH_RECLS else f"{side.name}/{variant.value}"
    return ModelName(key, variant.value, side.name)
