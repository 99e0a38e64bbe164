"""The one label map: what each value 0-13 means, what is malignant, what outranks what (paper, Sec. III-A)."""

from __future__ import annotations

from enum import Enum, IntEnum


class Phase(Enum):
    """Contrast phase of one CT series, in the order in which the phases are acquired and fed to the networks."""

    NC = "NC"
    AP = "AP"
    VP = "VP"
    DP = "DP"

    @property
    def index(self) -> int:
        """Channel of this phase in every network input, 0 to 3."""
        return PHASES.index(self)

    @property
    def title(self) -> str:
        """Name for people: ``non-contrast``, ``arterial``, ``venous`` or ``delayed``."""
        return {"NC": "non-contrast", "AP": "arterial", "VP": "venous", "DP": "delayed"}[self.value]


PHASES: tuple[Phase, ...] = tuple(Phase)
"""All phases in channel order."""


# IntEnum: members are compared with, and written into, label maps.
class LesionType(IntEnum):
    """Lesion labels 1-6. ``OTHER`` holds FNH, implants and others, counted benign as in the paper."""

    HCC = 1
    ICC = 2
    META = 3
    HEM = 4
    OTHER = 5
    CYST = 6

    @property
    def malignant(self) -> bool:
        """True for HCC, ICC and Meta."""
        return self in (LesionType.HCC, LesionType.ICC, LesionType.META)

    @property
    def priority(self) -> int:
        """Rank in the patient classification, 0 highest (HCC > ICC > Meta > Hem > Other > Cyst)."""
        # The labels are numbered by the paper's priority.
        return int(self) - 1

    @property
    def title(self) -> str:
        """The paper's short name: HCC, ICC, Meta, Hem, Other, Cyst."""
        # HCC and ICC are abbreviations; Meta is a word cut short.
        return self.name if self.malignant and self is not LesionType.META else self.name.capitalize()


class Organ(IntEnum):
    """Organ and vessel labels 7-13."""

    LIVER = 7
    HEPATIC_VESSELS = 8
    PORTAL_SPLENIC_VEIN = 9
    GALLBLADDER = 10
    SPLEEN = 11
    PANCREAS = 12
    STOMACH = 13

    @property
    def title(self) -> str:
        """Lower-case name for people, for example ``portal and splenic vein``."""
        if self is Organ.PORTAL_SPLENIC_VEIN:
            return "portal and splenic vein"
        return self.name.lower().replace("_", " ")


BACKGROUND = 0
"""Label of everything that is neither lesion nor one of the organs."""
NUM_CLASSES = 14
"""Background, six lesion types, seven organs and vessels: the channels of UNet^whole."""
FIRST_LESION, LAST_LESION = int(LesionType.HCC), int(LesionType.CYST)
LESION_TYPES: tuple[LesionType, ...] = tuple(LesionType)
ORGANS: tuple[Organ, ...] = tuple(Organ)


class PatientClass(Enum):
    """PatCls (eq. 12): the highest-priority lesion type present, or normal."""

    HCC = "HCC"
    ICC = "ICC"
    META = "Meta"
    HEM = "Hem"
    OTHER = "Other"
    CYST = "Cyst"
    NORMAL = "normal"

    @classmethod
    def of(cls, lesion_type: LesionType) -> PatientClass:
        """Class of a patient whose most important lesion has this type."""
        return cls[lesion_type.name]

    @property
    def malignant(self) -> bool:
        """True for HCC, ICC and Meta."""
        return self in (PatientClass.HCC, PatientClass.ICC, PatientClass.META)

    @property
    def group(self) -> str:
        """``malignant``, ``benign`` or ``normal`` (paper, Fig. 10)."""
        if self is PatientClass.NORMAL:
            return "normal"
        return "malignant" if self.malignant else "benign"


def label_name(value: int) -> str:
    """Name of a label value 0-13.

    Raises:
        ValueError: ``value`` is not a label.

    >>> label_name(3), label_name(7)
    ('Meta', 'liver')
    """
    if value == BACKGROUND:
        return "background"
    if FIRST_LESION <= value <= LAST_LESION:
        return LesionType(value).title
    return Organ(value).title
