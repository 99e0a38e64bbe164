"""One segment of a DICOM Segmentation: what it is, how it is shown, who drew it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import highdicom as hd

from livercascade import __version__
from livercascade.data.labels import LAST_LESION, LESION_TYPES, ORGANS, label_name
from livercascade.dicom.codes import DicomCodes
from livercascade.dicom.equipment import NAME
from livercascade.report.pictures import ORGAN_COLOURS, TYPE_COLOURS

COLOURS: Mapping[int, str] = {
    **{int(lesion_type): TYPE_COLOURS[lesion_type] for lesion_type in LESION_TYPES},
    **{int(organ): ORGAN_COLOURS[organ] for organ in ORGANS},
}
"""Colour of each label, the same in every picture and viewer."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment.

    Attributes:
        label: Label 1 to 13: lesion type or organ.
        tracking_uid: Identifier of the thing that is segmented; the measurement report has the same.
        lesion: Name of the lesion, for example ``L1``; empty for an organ or all lesions of a type.
        drawn: True if a person drew it.
    """

    label: int
    tracking_uid: str
    lesion: str = ""
    drawn: bool = False

    @property
    def name(self) -> str:
        """Name for people, for example ``L1 HCC`` or ``liver``."""
        return f"{self.lesion} {label_name(self.label)}".strip()

    @property
    def tracking_id(self) -> str:
        """Short name that stays the same when the type changes."""
        return self.lesion or self.name

    def description(self, number: int, codes: DicomCodes) -> Any:
        """The segment as highdicom writes it.

        Args:
            number: Number of the segment, from 1.
            codes: Codes of what it can be.
        """
        lesion = self.label <= LAST_LESION
        kinds = hd.seg.SegmentAlgorithmTypeValues
        red, green, blue = (int(COLOURS[self.label][i : i + 2], 16) for i in (1, 3, 5))
        return hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=self.name,
            segmented_property_category=codes.term("abnormal_structure" if lesion else "anatomical_structure"),
            segmented_property_type=codes.label(self.label),
            algorithm_type=kinds.MANUAL if self.drawn else kinds.AUTOMATIC,
            algorithm_identification=None if self.drawn else _algorithm(codes),
            anatomic_regions=[codes.label(ORGANS[0])] if lesion else None,
            tracking_uid=self.tracking_uid,
            tracking_id=self.tracking_id,
            display_color=hd.color.CIELabColor.from_rgb(red, green, blue),
        )


def _algorithm(codes: DicomCodes) -> Any:
    return hd.AlgorithmIdentificationSequence(name=NAME, family=codes.term("algorithm_family"), version=__version__)
