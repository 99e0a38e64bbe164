"""Which models an evaluation has: what they are called in ``tables.json`` and in the tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from livercascade.data.errors import UsageError

JOINT = "Joint"
"""Base+ReCls & High+ReCls (paper, Sec. IV-C3)."""


class Variant(Enum):
    """Models of the cascade that one case folder holds (paper, Tables II to IV)."""

    BASE = "Base"
    BASE_RECLS = "Base+ReCls"
    HIGH = "High"
    HIGH_RECLS = "High+ReCls"


WITHOUT_EVIDENCE = (Variant.HIGH, Variant.HIGH_RECLS)
"""Models that follow from a case folder that keeps no evidence."""


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """One model; its text is its key in ``tables.json``.

    Attributes:
        title: Column heading, for example ``Base+ReCls``.
        setting: Models of one setting, for example ``screening``, stand in one table; empty if there is but one.
        is_answer: True if the model is called by its setting alone, as the answer of the case folders of that name.

    >>> str(EvaluatedModel("Base", "screening"))
    'screening/Base'
    >>> str(EvaluatedModel("High+ReCls", "ours", is_answer=True))
    'ours'
    """

    title: str
    setting: str = ""
    is_answer: bool = False

    def __str__(self) -> str:
        if not self.setting:
            return self.title
        return self.setting if self.is_answer else f"{self.setting}/{self.title}"

    @classmethod
    def parse(cls, text: str) -> EvaluatedModel:
        """A model named by the user; ``setting/title`` puts it beside others of the setting.

        >>> EvaluatedModel.parse("screening/Base").setting
        'screening'
        """
        setting, slash, title = text.partition("/")
        return cls(title, setting) if slash and setting else cls(text)


@dataclass(frozen=True, slots=True)
class JointModel:
    """A joint model and its two sides.

    Attributes:
        model: The joint model.
        low: Side that decides with ``high``; None if every prediction of ``high`` brings the verdict of both.
        high: Side whose lesions and class it takes.
    """

    model: EvaluatedModel
    low: EvaluatedModel | None
    high: EvaluatedModel

    @classmethod
    def parse(cls, text: str, known: Sequence[EvaluatedModel]) -> JointModel:
        """A joint model from ``NAME=LOW,HIGH``.

        Raises:
            UsageError: ``BAD_JOINT``: it does not read so, a side is unknown, or the name is taken.
        """
        by_text = {str(model): model for model in known}
        name, equals, sides = text.partition("=")
        low, comma, high = sides.partition(",")
        if not equals or not comma or not name or name in by_text or not {low, high} <= by_text.keys():
            message = f"--joint {text!r} cannot be used; the models are {', '.join(by_text)}."
            remedy = "Give --joint NAME=LOW,HIGH with a new NAME and two of these models."
            raise UsageError("BAD_JOINT", message, remedy)
        return cls(EvaluatedModel.parse(name), by_text[low], by_text[high])

    @classmethod
    def of_variants(cls, models: Mapping[Variant, EvaluatedModel], setting: str) -> JointModel:
        """The joint model of case folders; without Base+ReCls the verdict of their records stands for it."""
        return cls(EvaluatedModel(JOINT, setting), models.get(Variant.BASE_RECLS), models[Variant.HIGH_RECLS])


def variant_models(name: str, variants: Sequence[Variant]) -> dict[Variant, EvaluatedModel]:
    """Models of case folders.

    Args:
        name: Name that the user gave them, which is that of their answer, High+ReCls; empty if there is none.
        variants: Models that they hold.
    """
    return {v: EvaluatedModel(v.value, name, is_answer=bool(name) and v is Variant.HIGH_RECLS) for v in variants}


def check_unique(models: Sequence[EvaluatedModel]) -> None:
    """Refuse two models of one name.

    Raises:
        UsageError: ``NAME_TWICE``.
    """
    texts = list(map(str, models))
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        message = f"two models are called {twice[0]!r}."
        raise UsageError("NAME_TWICE", message, "Give each found folder a name of its own: --found NAME=DIR.")
