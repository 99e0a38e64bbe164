"""Measurements of a case as a DICOM structured report (PS3.16, TID 1500), by highdicom.

Each lesion has two measurement groups with one tracking identifier: a volumetric one (TID 1411) that refers to its
segment, and a planar one (TID 1410) with the line of its longest diameter, without which OHIF draws nothing. OHIF
merges groups of one identifier, and fails on a group without coordinates: so every thing measured has such a line. The
width across it is a line of its own, without a finding, so that nothing counts a lesion twice.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.sr import CodeContentItem, ContainerContentItem, Measurement, TextContentItem
from jaxtyping import Float
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from livercascade import __version__
from livercascade.data.labels import LesionType, Organ, Phase
from livercascade.data.lesion import Lesion
from livercascade.detect.seg2det import bounding_box
from livercascade.dicom.dicom_case import DicomCase
from livercascade.dicom.equipment import NAME, equipment
from livercascade.dicom.result_uids import ResultUids
from livercascade.dicom.write_segmentation import SERIES_OFFSET, series_number
from livercascade.report.measure import Axes, axes, whole_liver
from livercascade.results.result import LesionRecord, VerdictRecord
from livercascade.results.wording import DISCLAIMER, headline, impression

_MM, _HU = Code("mm", "UCUM", "mm"), Code("[hnsf'U]", "UCUM", "Hounsfield unit")
_ML, _NO_UNIT = Code("ml", "UCUM", "ml"), Code("1", "UCUM", "no units")
_LIVER = "liver"
# A line this near to a slice, in slices, lies in it.
_IN_SLICE = 0.02


def write_measurement_report(case: DicomCase, segmentation: Dataset, uids: tuple[str, str]) -> Any:
    """Structured report of a case.

    Args:
        case: The case.
        segmentation: Segmentation of its lesions, which the report refers to.
        uids: SeriesInstanceUID and SOPInstanceUID.
    """
    content = _Content(case, segmentation)
    root = content.tree()
    kind = hd.sr.Comprehensive3DSR if content.in_space else hd.sr.ComprehensiveSR
    with warnings.catch_warnings():
        # highdicom warns of odd values in the source, which the reader has accepted.
        warnings.simplefilter("ignore")
        return kind(
            evidence=list(content.evidence.values()),
            content=root,
            series_instance_uid=uids[0],
            series_number=SERIES_OFFSET + series_number(case.reference) + 1,
            sop_instance_uid=uids[1],
            instance_number=1,
            is_complete=True,
            series_description="Liver lesions, measurements",
            **equipment(),
        )


@dataclass(slots=True)
class _Content:
    """Content tree of a report, and the objects it has referred to so far."""

    case: DicomCase
    segmentation: Dataset
    evidence: dict[str, Dataset] = field(default_factory=dict[str, Dataset])
    in_space: bool = False

    def tree(self) -> Any:
        """The whole report."""
        self.evidence[str(self.segmentation.SOPInstanceUID)] = self.segmentation
        groups = [group for number, record in enumerate(self.case.present, 1) for group in self._lesion(number, record)]
        root = hd.sr.MeasurementReport(
            observation_context=hd.sr.ObservationContext(observer_device_context=_device()),
            procedure_reported=self._term("procedure"),
            imaging_measurements=[*groups, *self._liver()],
            title=dictionary.DCM.ImagingMeasurementReport,
        )
        if self.case.result.verdict is not None:
            root[0].ContentSequence.append(self._evaluations(self.case.result.verdict))
        return root

    def _term(self, name: str) -> Code:
        return self.case.codes.term(name)

    def _lesion(self, number: int, record: LesionRecord) -> list[Any]:
        """All groups of a lesion; its segment has the number of its place among those present."""
        lesion = self.case.lesions[record.id]
        size = axes(lesion, self.case.grid.spacing)
        common: dict[str, Any] = {
            "tracking_identifier": hd.sr.TrackingIdentifier(self.case.segments[number - 1].tracking_uid, record.id),
            "finding_type": self.case.codes.label(int(record.type)),
            "finding_category": self._term("abnormal_structure"),
            "finding_sites": [hd.sr.FindingSite(self.case.codes.label(int(Organ.LIVER)))],
            "algorithm_id": _algorithm(),
        }
        segment = hd.sr.ReferencedSegment(
            sop_class_uid=self.segmentation.SOPClassUID,
            sop_instance_uid=self.segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=hd.sr.SourceSeriesForSegmentation(self.case.reference.first.SeriesInstanceUID),
        )
        volumetric = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=segment,
            measurements=self._measurements(record, size, lesion),
            qualitative_evaluations=[
                hd.sr.QualitativeEvaluation(self._term("impression"), _impression(record.type)),
                hd.sr.QualitativeEvaluation(self._term("status"), Code(*self.case.codes.statuses[record.status.value])),
            ],
            **common,
        )
        across = hd.sr.TrackingIdentifier(self.case.uids.uid(f"short axis {record.id}"), f"{record.id} short axis")
        return [
            volumetric,
            self._line("length", size.long_mm, size.long_ends, common),
            self._line("short_axis", size.short_mm, size.short_ends, {"tracking_identifier": across}),
        ]

    def _liver(self) -> list[Any]:
        """Groups of the liver as a whole; of a case without any liver one that says so by having no measurement."""
        record = self.case.result.liver
        liver = _as_lesion(whole_liver(self.case.labels))
        common: dict[str, Any] = {
            "tracking_identifier": hd.sr.TrackingIdentifier(self.case.uids.uid("tracking whole liver"), _LIVER),
            "finding_type": self.case.codes.label(int(Organ.LIVER)),
            "finding_category": self._term("anatomical_structure"),
            "algorithm_id": _algorithm(),
        }
        if record is None or liver is None:
            return [hd.sr.MeasurementsAndQualitativeEvaluations(**common)]
        volume = Measurement(self._term("volume"), round(record.volume_ml, 1), _ML)
        parenchyma = [self._attenuation(phase, hu, "median", None) for phase, hu in record.hu_median.items()]
        whole = hd.sr.MeasurementsAndQualitativeEvaluations(measurements=[volume, *parenchyma], **common)
        size = axes(liver, self.case.grid.spacing)
        return [whole, self._line("length", size.long_mm, size.long_ends, common)]

    def _measurements(self, record: LesionRecord, size: Axes, lesion: Lesion) -> list[Any]:
        centre = np.asarray(lesion.centroid)
        found = [
            Measurement(self._term("volume"), round(record.volume_ml, 3), _ML),
            Measurement(self._term("long_axis"), round(size.long_mm, 2), _MM),
            Measurement(self._term("short_axis"), round(size.short_mm, 2), _MM),
            *(self._attenuation(phase, hu.mean, "mean", centre) for phase, hu in record.hu.items()),
        ]
        if record.score is not None:
            settings: Any = self.case.result.provenance.settings.get("reclassify", {})
            unit = _NO_UNIT if settings.get("score") == "ratio" else _ML
            found.append(Measurement(self._term("score"), round(record.score, 4), unit))
        if record.probability is not None:
            found.append(Measurement(self._term("probability"), round(record.probability, 4), _NO_UNIT))
        return found

    def _attenuation(self, phase: Phase, value: float, derivation: str, centre: np.ndarray | None) -> Any:
        """HU in a phase, with the slice of that phase through the middle of the lesion."""
        images: list[Any] = []
        if centre is not None and phase in self.case.sources:
            slice_ = self.case.sources[phase].nearest(centre)
            self.evidence[str(slice_.SOPInstanceUID)] = slice_
            frames = self.case.sources[phase].frames(slice_)
            images = [hd.sr.SourceImageForMeasurement(slice_.SOPClassUID, slice_.SOPInstanceUID, frames)]
        made = Measurement(
            self._term("attenuation"), round(value, 1), _HU, derivation=self._term(derivation),
            referenced_images=images or None,
        )  # fmt: skip
        made[0].ContentSequence.append(
            CodeContentItem(self._term("contrast_phase"), Code(*self.case.codes.phases[phase.value]), "HAS CONCEPT MOD")
        )
        return made

    def _line(self, name: str, length: float, ends: Float[np.ndarray, "2 3"], common: dict[str, Any]) -> Any:
        """Planar group with a line, given by its ends as indices z, y, x."""
        position = self.case.grid.world(ends)
        image, points = self._in_slice(position)
        if image is None:
            region: Any = hd.sr.ImageRegion3D("POLYLINE", position, self._frame())
        else:
            region = hd.sr.ImageRegion("POLYLINE", points, image)
        return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region, measurements=[Measurement(self._term(name), round(length, 2), _MM)], **common
        )

    def _in_slice(self, position: Float[np.ndarray, "2 3"]) -> tuple[Any, Float[np.ndarray, "2 2"]]:
        """Slice in which a line lies, and its ends there in columns and rows; no slice if it lies across them."""
        source = self.case.reference
        pixels = source.pixel(position)
        index = int(np.rint(pixels[0, 2]))
        # Coordinates count from the corner of the first pixel (PS3.3, C.18.6.1), indices from its middle.
        points = pixels[:, :2] + 0.5
        if np.abs(pixels[:, 2] - index).max() > _IN_SLICE or not 0 <= index < len(source.headers):
            self.in_space = True
            return None, points
        header = source.headers[index]
        self.evidence[str(header.SOPInstanceUID)] = header
        image = hd.sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID, source.frames(header))
        return image, points

    def _frame(self) -> str:
        return str(self.case.reference.first.FrameOfReferenceUID)

    def _evaluations(self, verdict: VerdictRecord) -> Any:
        """Class of the patient at both settings and jointly."""
        container = ContainerContentItem(self._term("qualitative_evaluations"), relationship_type="CONTAINS")
        classes = {"verdict": verdict.joint, "verdict_base": verdict.base, "verdict_high": verdict.high}
        container.ContentSequence = hd.sr.ContentSequence(
            [
                CodeContentItem(self._term(name), self.case.codes.verdict(value.value), "CONTAINS")
                for name, value in classes.items()
            ]
        )
        words = f"{headline(verdict.joint.patient_class)}. {verdict.meaning} {DISCLAIMER}"
        if verdict.malignancy is not None:
            words += f" Probability of a malignant lesion: {verdict.malignancy:.2f}."
        container.ContentSequence.append(TextContentItem(self._term("impression"), words, "CONTAINS"))
        return container


def _impression(lesion_type: LesionType) -> Code:
    return Code(lesion_type.title.upper(), "99LIVERCASCADE", impression(lesion_type))


def _as_lesion(mask: np.ndarray) -> Lesion | None:
    """A mask as `axes` takes it; None if it is empty."""
    box = bounding_box(mask)
    return None if box is None else Lesion(LesionType.OTHER, 0.0, (0.0, 0.0, 0.0), box, mask[box])


def _algorithm() -> Any:
    return hd.sr.AlgorithmIdentification(NAME, __version__)


def _device() -> Any:
    uid = ResultUids(__version__).uid("device")
    attributes = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=uid, name=NAME, manufacturer_name=NAME, model_name=f"{NAME} {__version__}"
    )
    return hd.sr.ObserverContext(dictionary.DCM.Device, attributes)
