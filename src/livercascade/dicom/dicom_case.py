"""One finished case as its DICOM results need it: record, masks, and the images it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import UInt8, UInt16

from livercascade.data.grid import Grid
from livercascade.data.labels import ORGANS, Organ, Phase
from livercascade.data.lesion import Lesion
from livercascade.dicom.codes import DicomCodes
from livercascade.dicom.result_uids import ResultUids
from livercascade.dicom.segment import Segment
from livercascade.dicom.source_images import SourceSeries
from livercascade.io.dicom_geometry import SlicePlacement
from livercascade.results.result import CaseResult, LesionRecord


# Without slots, which leave cached properties no place.
@dataclass(frozen=True, eq=False)
class DicomCase:
    """One finished case.

    Attributes:
        result: Its record.
        labels: Label map 0-13; removed lesions are not in it.
        lesions: Mask of each lesion that is present, by its id.
        grid: Grid of labels and lesions.
        slices: DICOM slices of each phase; at least one.
        uids: Identifiers of what is made.
        codes: Codes of everything that is named.
    """

    result: CaseResult
    labels: UInt8[np.ndarray, "z y x"]
    lesions: Mapping[str, Lesion]
    grid: Grid
    slices: Mapping[Phase, SlicePlacement]
    uids: ResultUids
    codes: DicomCodes

    @cached_property
    def sources(self) -> Mapping[Phase, SourceSeries]:
        """Series of each phase."""
        return {phase: SourceSeries.of(placement) for phase, placement in self.slices.items()}

    @property
    def reference(self) -> SourceSeries:
        """Series whose grid the results lie on."""
        phase = self.result.reference_phase
        return next((s for p, s in self.sources.items() if p is phase), next(iter(self.sources.values())))

    @property
    def present(self) -> tuple[LesionRecord, ...]:
        """Records of the lesions that are present, in the order of their ids."""
        return tuple(lesion for lesion in self.result.lesions or () if lesion.present)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """A segment for each lesion that is present and each organ that was found; the liver is always there."""
        lesions = [Segment(int(r.type), self.uids.uid(f"tracking {r.id}"), r.id) for r in self.present]
        there = set(np.unique(self.labels).tolist()) | {int(Organ.LIVER)}
        organs = [Segment(int(o), self.uids.uid(f"tracking {o.title}")) for o in ORGANS if int(o) in there]
        return (*lesions, *organs)

    @cached_property
    def numbers(self) -> UInt16[np.ndarray, "z y x"]:
        """Number of the segment in each voxel, from 1; 0 outside of all."""
        of_label = np.zeros(256, dtype=np.uint16)
        for number, segment in enumerate(self.segments, start=1):
            if not segment.lesion:
                of_label[segment.label] = number
        numbers = of_label[self.labels]
        for number, segment in enumerate(self.segments, start=1):
            if segment.lesion:
                lesion = self.lesions[segment.lesion]
                numbers[lesion.bbox][lesion.mask] = number
        return numbers
