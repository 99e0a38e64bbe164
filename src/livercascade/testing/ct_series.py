"""DICOM CT series of an analytic body with three balls at known places, tilted, cut or damaged as a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from livercascade.data.grid import Grid

BODY_CENTRE = np.array([12.0, -20.0, 105.0])
BALLS = {300: np.array([-18.0, 8.0, -9.0]), 500: np.array([20.0, -12.0, 2.0]), 650: np.array([3.0, 15.0, 10.0])}
"""HU of each ball and its place relative to the centre, LPS mm."""
SOFT_TISSUE_HU = 45.0
ROWS, COLUMNS, SLICES = 64, 80, 22
PIXEL_MM, STEP_MM = 1.4, 2.5


def body_hu(points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
    """HU at LPS points: air, a ring of fat, soft tissue, three balls of 6 mm."""
    rel = points - BODY_CENTRE
    radius = np.sqrt((rel[..., 0] / 48) ** 2 + (rel[..., 1] / 38) ** 2)
    hu = np.where(radius < 1, -100.0, -1000.0)
    hu = np.where(radius < 0.85, SOFT_TISSUE_HU, hu)
    for value, place in BALLS.items():
        hu = np.where(np.linalg.norm(rel - place, axis=-1) < 6, float(value), hu)
    return hu


def landmark_errors(hu: Shaped[np.ndarray, "z y x"], grid: Grid) -> list[float]:
    """Distance in mm between where each ball is in a volume and where it should be.

    Raises:
        ValueError: A ball covers fewer than 10 voxels.
    """
    errors: list[float] = []
    for value, place in BALLS.items():
        index = np.argwhere(np.abs(hu.astype(int) - value) < 20)
        if len(index) <= 10:
            raise ValueError(f"the ball of {value} HU covers {len(index)} voxels only")
        errors.append(float(np.linalg.norm(grid.world(index.mean(axis=0)) - BODY_CENTRE - place)))
    return errors


def _keep(index: int, dataset: FileDataset) -> bool:
    del index, dataset
    return True


@dataclass
class CtSeries:
    """One CT series to write, with slices in the order of their numbers.

    Attributes:
        row: Unit vector (LPS) along a row of pixels.
        column: Unit vector (LPS) along a column of pixels.
        shift: Offset (LPS mm) of each slice against the one before, as a tilted gantry gives.
        slices: Number of slices, ``STEP_MM`` apart.
        heights: Height of each slice above the centre in mm, for other distances; there are as many slices.
        noise_hu: Standard deviation of noise in HU, other in each slice.
        offset_hu: HU added to soft tissue, as contrast agent does.
        study: StudyInstanceUID.
        uid: SeriesInstanceUID.
        patient: PatientID.
        number: SeriesNumber.
        description: SeriesDescription.
        prefix: First letters of the files' names.
        syntax: Transfer syntax; compressed ones need the codec.
        change: Called with the number of the slice and its data set before it is saved; False leaves the slice out.
    """

    row: np.ndarray = field(default_factory=lambda: np.array([1.0, 0, 0]))
    column: np.ndarray = field(default_factory=lambda: np.array([0, 1.0, 0]))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(3))
    slices: int = SLICES
    heights: Sequence[float] | np.ndarray | None = None
    noise_hu: float | int = 0.0
    offset_hu: float | int = 0.0
    study: str = "1.2.3.4"
    uid: str = "1.2.3.4.1"
    patient: str = "A"
    number: int = 1
    description: str = ""
    prefix: str = "a"
    syntax: str = ExplicitVRLittleEndian
    change: Callable[[int, FileDataset], bool | None] = _keep

    def __post_init__(self) -> None:
        if self.heights is not None:
            self.slices = len(self.heights)

    def write(self, folder: Path) -> Path:
        """Write the series and return the folder, made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(self.slices):
            dataset = self.dataset(index)
            if self.change(index, dataset) is not False:
                self._save(dataset, folder / f"{self.prefix}{index:03d}.dcm")
        return folder

    def write_enhanced(self, path: Path, order: Sequence[int] | None = None) -> Path:
        """Write the series as one enhanced multi-frame CT and return the file.

        Args:
            path: File to write; its folder is made if absent.
            order: Slices in the order of the frames; ascending if not given.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        slices = [self.dataset(index) for index in (range(self.slices) if order is None else order)]
        slices = [one for index, one in enumerate(slices) if self.change(index, one) is not False]
        enhanced = slices[0]
        pixels = b"".join(one.PixelData for one in slices)
        enhanced.PerFrameFunctionalGroupsSequence = [_frame_groups(one) for one in slices]
        enhanced.SharedFunctionalGroupsSequence = [_shared_groups(enhanced)]
        for keyword in _IN_GROUPS:
            del enhanced[keyword]
        enhanced.NumberOfFrames, enhanced.PixelData = len(slices), pixels
        enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        self._save(enhanced, path)
        return path

    def _save(self, dataset: FileDataset, path: Path) -> None:
        # What `change` has compressed stays so.
        if self.syntax != ExplicitVRLittleEndian:
            self._encode(dataset, UID(self.syntax))
        syntax = dataset.file_meta.TransferSyntaxUID
        dcmwrite(
            path,
            dataset,
            enforce_file_format=True,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
        )

    def _encode(self, dataset: FileDataset, syntax: UID) -> None:
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax

    def dataset(self, index: int) -> FileDataset:
        """Data set of one slice, before ``change``."""
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[self.uid, str(index), self.prefix])
        ds = FileDataset("made", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = self.study, self.uid, "1.2.3.9"
        ds.PatientID, ds.PatientName, ds.Modality = self.patient, "Doe^Jane", "CT"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = self.number, index + 1, 1
        ds.SeriesDescription = self.description
        self._place(ds, index)
        return ds

    def _place(self, ds: FileDataset, index: int) -> None:
        """Fill in where the slice lies and what is there."""
        normal = np.cross(self.row, self.column)
        even = (index - (self.slices - 1) / 2) * STEP_MM
        height = even if self.heights is None else float(self.heights[index])
        corner = BODY_CENTRE + height * normal + index * self.shift
        corner = corner - self.row * PIXEL_MM * (COLUMNS - 1) / 2 - self.column * PIXEL_MM * (ROWS - 1) / 2
        j, i = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
        points = corner + i[..., None] * PIXEL_MM * self.row + j[..., None] * PIXEL_MM * self.column
        # Decimal strings hold at most 16 characters.
        ds.ImagePositionPatient = [f"{v:.8f}"[:15] for v in corner]
        ds.ImageOrientationPatient = [f"{v:.10f}"[:15] for v in (*self.row, *self.column)]
        ds.PixelSpacing = [PIXEL_MM, PIXEL_MM]
        # Wrong on purpose: scanners' slice thickness is not the distance of slices, and no reader may take it for that.
        ds.SliceThickness = 99
        ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        hu = body_hu(points)
        hu = hu + self.offset_hu * (hu == SOFT_TISSUE_HU)
        if self.noise_hu:
            # Another stream for each slice, the same in each run.
            rng = np.random.default_rng([index, *self.prefix.encode()])
            hu = np.rint(hu + rng.normal(0, self.noise_hu, hu.shape))
        ds.PixelData = (hu + 1024).astype("<i2").tobytes()


_IN_GROUPS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")


def _frame_groups(one: FileDataset) -> Dataset:
    """Functional groups of one frame: its place, and what it is."""
    groups = Dataset()
    groups.PlanePositionSequence = [_item(ImagePositionPatient=one.ImagePositionPatient)]
    groups.FrameContentSequence = [_item(FrameAcquisitionNumber=one.AcquisitionNumber)]
    groups.CTImageFrameTypeSequence = [_item(FrameType=list(one.ImageType))]
    return groups


def _shared_groups(one: FileDataset) -> Dataset:
    groups = Dataset()
    groups.PlaneOrientationSequence = [_item(ImageOrientationPatient=one.ImageOrientationPatient)]
    groups.PixelMeasuresSequence = [_item(PixelSpacing=one.PixelSpacing, SliceThickness=one.SliceThickness)]
    rescale = _item(RescaleSlope=one.RescaleSlope, RescaleIntercept=one.RescaleIntercept, RescaleType="HU")
    groups.PixelValueTransformationSequence = [rescale]
    return groups


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
