"""livercascade: finds, types and filters liver lesions in CT.

The names listed in ``__all__`` are the public face: they are documented and change only with notice. They are imported
when they are first asked for, so that ``import livercascade`` is quick.

Example::

    import livercascade as lc

    cascade = lc.Cascade.load()
    prediction = cascade.predict(lc.read_study("study/dicom"))
    prediction.save("result")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livercascade.alignment.align_phases import align_phases as align
    from livercascade.cascade.cascade import Cascade
    from livercascade.cascade.prediction import Prediction
    from livercascade.cascade.settings import CascadeSettings
    from livercascade.data.errors import CascadeError
    from livercascade.data.grid import Grid
    from livercascade.data.labels import LesionType, Organ, PatientClass, Phase
    from livercascade.detect.match import match
    from livercascade.detect.seg2det import seg2det
    from livercascade.detect.sensitivity import SensitivityMap
    from livercascade.diagnose.patient import classify_patient
    from livercascade.evaluation.evaluation import evaluate
    from livercascade.io.study import Study
    from livercascade.io.study_reader import read_study
    from livercascade.reclassification.reclassify import reclassify
    from livercascade.reclassification.shuffle import shuffle

__version__ = "0.2.0"

_PLACES = {
    "Cascade": "cascade.cascade",
    "CascadeError": "data.errors",
    "CascadeSettings": "cascade.settings",
    "Grid": "data.grid",
    "LesionType": "data.labels",
    "Organ": "data.labels",
    "PatientClass": "data.labels",
    "Phase": "data.labels",
    "Prediction": "cascade.prediction",
    "SensitivityMap": "detect.sensitivity",
    "Study": "io.study",
    "align": "alignment.align_phases:align_phases",
    "classify_patient": "diagnose.patient",
    "evaluate": "evaluation.evaluation",
    "match": "detect.match",
    "read_study": "io.study_reader",
    "reclassify": "reclassification.reclassify",
    "seg2det": "detect.seg2det",
    "shuffle": "reclassification.shuffle",
}
"""Module of each public name, and its name there if it is another."""

__all__ = [
    "Cascade",
    "CascadeError",
    "CascadeSettings",
    "Grid",
    "LesionType",
    "Organ",
    "PatientClass",
    "Phase",
    "Prediction",
    "SensitivityMap",
    "Study",
    "align",
    "classify_patient",
    "evaluate",
    "match",
    "read_study",
    "reclassify",
    "seg2det",
    "shuffle",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = getattr(import_module(f"{__name__}.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
