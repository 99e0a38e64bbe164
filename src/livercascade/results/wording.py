"""Sentences of the report; a finding is "suspicious for" or "favours" something, it never "is" it."""

from __future__ import annotations

from livercascade.data.labels import LesionType, PatientClass

DISCLAIMER = "Research software, not a medical device."
INTENDED_USE = (
    "For research and teaching on portal-quality multi-phase CT of the liver in adults, read after the radiologist. "
    "It does not exclude disease and is not for children, treatment response or MR. "
    "Every finding needs to be confirmed by a person."
)
NOT_LIRADS = "Sizes, HU and types are computed features; this is not a LI-RADS reading."
_IMPRESSION = {
    LesionType.HCC: "suspicious for hepatocellular carcinoma",
    LesionType.ICC: "suspicious for intrahepatic cholangiocarcinoma",
    LesionType.META: "suspicious for metastasis",
    LesionType.HEM: "favours haemangioma",
    LesionType.OTHER: "favours another lesion counted benign, such as FNH",
    LesionType.CYST: "favours a cyst",
}

NO_VERDICT = frozenset({"SMALL_LIVER", "LIVER_PARTIAL", "LIVER_UNUSUAL"})
"""Codes of warnings with which a finished result has findings and no verdict."""

_CLASS_MEANING = {
    PatientClass.HCC: "At least one finding is suspicious for hepatocellular carcinoma (malignant).",
    PatientClass.ICC: (
        "At least one finding is suspicious for intrahepatic cholangiocarcinoma (malignant); none for HCC."
    ),
    PatientClass.META: "At least one finding is suspicious for metastasis (malignant); none for HCC or ICC.",
    PatientClass.HEM: "The most important finding favours haemangioma (benign).",
    PatientClass.OTHER: (
        "The most important finding favours another lesion counted benign, such as FNH; implants fall here too "
        "and can be malignant."
    ),
    PatientClass.CYST: "All findings favour cysts (benign).",
    PatientClass.NORMAL: "No lesion was kept. This does not exclude disease: small or faint lesions can be missed.",
}


def impression(lesion_type: LesionType) -> str:
    """Careful words for a lesion type.

    >>> impression(LesionType.HEM)
    'favours haemangioma'
    """
    return _IMPRESSION[lesion_type]


def class_meaning(patient_class: PatientClass) -> str:
    """What a patient class says, in one or two sentences."""
    return _CLASS_MEANING[patient_class]


def headline(joint: PatientClass | None) -> str:
    """The verdict in a few words; None stands for UNCERTAIN.

    >>> headline(None), headline(PatientClass.CYST)
    ('Uncertain: the two settings disagree', 'Favours a cyst')
    """
    if joint is None:
        return "Uncertain: the two settings disagree"
    if joint is PatientClass.NORMAL:
        return "No lesion found"
    words = impression(LesionType[joint.name])
    return words[0].upper() + words[1:]


def uncertain_meaning(factors: tuple[float, float] | None = None) -> str:
    """What UNCERTAIN says.

    Args:
        factors: Sensitivity factors f of both settings; they are not named if absent.

    >>> uncertain_meaning((1.0, 4.0))[:73]
    'The plain setting (f = 1) and the sensitive one (f = 4) point to differen'
    """
    plain, sensitive = ("", "") if factors is None else (f" (f = {f:g})" for f in factors)
    return (
        f"The plain setting{plain} and the sensitive one{sensitive} point to different classes. "
        "The system then names none: a radiologist has to decide from the images."
    )


def verdict_meaning(base: PatientClass, high: PatientClass, factors: tuple[float, float]) -> str:
    """Plain words for the joint verdict of both settings (paper, Sec. IV-B.2).

    Args:
        base: Class of Base.
        high: Class of High.
        factors: Their sensitivity factors f.
    """
    if base is high:
        return f"Both settings agree. {class_meaning(base)}"
    low_f, high_f = factors
    return f"{uncertain_meaning(factors)} Here f = {low_f:g} gives {base.value} and f = {high_f:g} gives {high.value}."
