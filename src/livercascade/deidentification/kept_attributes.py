"""What of a CT image is kept when it is de-identified; everything that is not listed is removed.

The confidentiality profiles of PS3.15 list what must go (Table E.1-1), and keep what they do not know: private
attributes, retired ones, those of next year's edition. Here it is the other way round: an attribute is kept only if CT
images need it, and texts only if they are terms that this page knows. So the result satisfies the Basic Profile, and a
name in a place where nobody expects one goes too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NUMBERS = frozenset(
    """
    AcquisitionNumber BitsAllocated BitsStored CTDIvol Columns DataCollectionDiameter DimensionIndexPointer
    DimensionIndexValues DistanceSourceToDetector DistanceSourceToPatient Exposure ExposureInmAs ExposureTime
    ExposureTimeInms FocalSpots FrameAcquisitionDuration FrameAcquisitionNumber FunctionalGroupPointer
    GantryDetectorTilt HighBit ImageOrientationPatient ImagePositionPatient ImagesInAcquisition InStackPositionNumber
    InstanceNumber KVP LossyImageCompressionRatio NumberOfFrames NumberOfTemporalPositions PixelPaddingRangeLimit
    PixelPaddingValue PixelRepresentation PixelSpacing PlanarConfiguration ReconstructionDiameter
    ReconstructionFieldOfView ReconstructionPixelSpacing ReconstructionTargetCenterPatient ReferencedFrameNumber
    RescaleIntercept RescaleSlope RevolutionTime Rows SamplesPerPixel SeriesNumber SingleCollimationWidth SliceLocation
    SliceThickness SpacingBetweenSlices SpiralPitchFactor TableFeedPerRotation TableHeight TablePosition TableSpeed
    TemporalPositionIdentifier TemporalPositionIndex TemporalPositionTimeOffset TotalCollimationWidth WindowCenter
    WindowWidth XRayTubeCurrent XRayTubeCurrentInmA
    """.split()  # noqa: SIM905
)
"""Numbers and pointers to attributes."""

UIDS = frozenset(
    """
    ConcatenationUID DimensionOrganizationUID FrameOfReferenceUID ReferencedSOPClassUID ReferencedSOPInstanceUID
    SOPClassUID SOPInstanceUID SeriesInstanceUID StudyInstanceUID SynchronizationFrameOfReferenceUID
    """.split()  # noqa: SIM905
)
"""Identifiers, each replaced by another unless DICOM itself defines it."""

SEQUENCES = frozenset(
    """
    CTExposureSequence CTImageFrameTypeSequence CTPositionSequence CTReconstructionSequence
    CTTableDynamicsSequence CTXRayDetailsSequence DimensionIndexSequence DimensionOrganizationSequence
    FrameContentSequence FrameVOILUTSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence
    PixelValueTransformationSequence PlaneOrientationSequence PlanePositionSequence ReferencedImageSequence
    SharedFunctionalGroupsSequence SourceImageSequence
    """.split()  # noqa: SIM905
)
"""Sequences; of their items, too, only what is listed."""

DATES: Mapping[str, str] = {
    "StudyDate": "StudyTime",
    "SeriesDate": "SeriesTime",
    "AcquisitionDate": "AcquisitionTime",
    "ContentDate": "ContentTime",
}
"""Dates, and the time of day that belongs to each; both are moved together."""

TIMES: Mapping[str, str] = {"ContrastBolusStartTime": "AcquisitionDate", "ContrastBolusStopTime": "AcquisitionDate"}
"""Times of day without a date of their own, and the date that they are taken to belong to."""

MOMENTS = frozenset({"AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime"})
"""Dates with times in one value."""

_YES_NO = ("YES", "NO")
TERMS: Mapping[str, tuple[str, ...]] = {
    "AcquisitionType": ("SEQUENCED", "SPIRAL", "CONSTANT_ANGLE", "STATIONARY", "FREE"),
    "BodyPartExamined": ("ABDOMEN", "ABDOMENPELVIS", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "LIVER", "PELVIS"),
    "BurnedInAnnotation": _YES_NO,
    "ExposureModulationType": ("NONE",),
    "FrameLaterality": ("R", "L", "U", "B"),
    "LossyImageCompression": ("00", "01"),
    "LossyImageCompressionMethod": ("ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_13818_2", "ISO_14496_10"),
    "Modality": ("CT",),
    "PatientPosition": ("HFS", "HFP", "FFS", "FFP", "HFDR", "HFDL", "FFDR", "FFDL"),
    "PhotometricInterpretation": ("MONOCHROME1", "MONOCHROME2"),
    "PixelPresentation": ("MONOCHROME",),
    "PresentationLUTShape": ("IDENTITY", "INVERSE"),
    "RescaleType": ("HU", "US"),
    "RotationDirection": ("CW", "CC"),
    "VolumeBasedCalculationTechnique": ("NONE", "MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "MPR"),
    "VolumetricProperties": ("VOLUME", "SAMPLED", "DISTORTED", "MIXED"),
}
"""Terms that each of these may hold; another is removed."""

IMAGE_TYPES = frozenset(
    """
    ADDITION AVERAGE AXIAL CSA CSAPARALLEL DERIVED LOCALIZER MAXIMUM MINIMUM MPR NONE ORIGINAL PRIMARY REFORMATTED
    RESAMPLED SECONDARY VOLUME
    """.split()  # noqa: SIM905
)
"""Terms of ImageType and FrameType; one that is not among them becomes OTHER."""

KERNEL = re.compile(
    r"""
    [BDHITUJQ][a-z]?\d{2}[a-z]{0,2}(\\\d)?          # Siemens
    | STANDARD | STND | SOFT | DETAIL | BONE | BONEPLUS | LUNG | EDGE | ULTRA | CHST   # GE
    | FC\d{2}                                         # Toshiba and Canon
    | [A-E] | [EL]C? | Y[A-D] | UA | UB | UC          # Philips
    """,
    re.VERBOSE,
)
"""Names of reconstruction kernels."""

MANUFACTURERS: Mapping[str, str] = {
    "siemens": "SIEMENS",
    "ge medical": "GE MEDICAL SYSTEMS",
    "ge healthcare": "GE MEDICAL SYSTEMS",
    "philips": "Philips",
    "toshiba": "TOSHIBA",
    "canon": "Canon Medical Systems",
    "hitachi": "Hitachi",
    "fujifilm": "FUJIFILM",
    "united imaging": "UIH",
    "uih": "UIH",
    "neusoft": "Neusoft",
    "samsung": "Samsung",
}
"""Manufacturer that a text with one of these words stands for."""

EMPTY = ("AccessionNumber", "PatientBirthDate", "PatientSex", "PositionReferenceIndicator", "ReferringPhysicianName",
         "StudyID")  # fmt: skip
"""What CT images must have (type 2), empty where it is unknown."""
