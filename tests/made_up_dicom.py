"""DICOM series of an analytic body with three balls at known places, for the tests of reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CENTRE = np.array([12.0, -20.0, 105.0])
BALLS = {300: np.array([-18.0, 8.0, -9.0]), 500: np.array([20.0, -12.0, 2.0]), 650: np.array([3.0, 15.0, 10.0])}
"""HU of each ball and its place relative to the centre, LPS mm."""
ROWS, COLUMNS, SLICES = 64, 80, 22
PIXEL, STEP = 1.4, 2.5
CT = "1.2.840.10008.5.1.4.1.1.2"


def body(points: np.ndarray) -> np.ndarray:
    """HU at LPS points: air, a ring of fat, soft tissue, three balls of 6 mm."""
    rel = points - CENTRE
    radius = np.sqrt((rel[..., 0] / 48) ** 2 + (rel[..., 1] / 38) ** 2)
    hu = np.where(radius < 1, -100.0, -1000.0)
    hu = np.where(radius < 0.85, 45.0, hu)
    for value, place in BALLS.items():
        hu = np.where(np.linalg.norm(rel - place, axis=-1) < 6, float(value), hu)
    return hu


def landmark_errors(hu: np.ndarray, grid) -> list[float]:
    """Distance in mm between where each ball is found and where it is."""
    out = []
    for value, place in BALLS.items():
        index = np.argwhere(np.abs(hu.astype(int) - value) < 20)
        assert len(index) > 10
        out.append(float(np.linalg.norm(grid.world(index.mean(axis=0)) - CENTRE - place)))
    return out


@dataclass
class Series:
    """What to write; ``change`` edits each data set before it is saved and may return False to leave it out."""

    row: np.ndarray = field(default_factory=lambda: np.array([1.0, 0, 0]))
    column: np.ndarray = field(default_factory=lambda: np.array([0, 1.0, 0]))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(3))
    slices: int = SLICES
    offset_hu: float = 0.0
    study: str = "1.2.3.4"
    uid: str = "1.2.3.4.1"
    patient: str = "A"
    number: int = 1
    description: str = ""
    prefix: str = "a"
    change: Callable[[int, FileDataset], bool | None] = lambda i, ds: None

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(self.slices):
            dataset = self.dataset(index)
            if self.change(index, dataset) is not False:
                dataset.save_as(folder / f"{self.prefix}{index:03d}.dcm", enforce_file_format=True)
        return folder

    def dataset(self, index: int) -> FileDataset:
        normal = np.cross(self.row, self.column)
        height = (index - (self.slices - 1) / 2) * STEP
        corner = CENTRE + height * normal + index * self.shift
        corner = corner - self.row * PIXEL * (COLUMNS - 1) / 2 - self.column * PIXEL * (ROWS - 1) / 2
        j, i = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
        points = corner + i[..., None] * PIXEL * self.row + j[..., None] * PIXEL * self.column
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CT
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[self.uid, str(index), self.prefix])
        ds = FileDataset("made", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = self.study, self.uid, "1.2.3.9"
        ds.PatientID, ds.PatientName, ds.Modality = self.patient, "Doe^Jane", "CT"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = self.number, index + 1, 1
        ds.SeriesDescription = self.description
        ds.ImagePositionPatient = [f"{v:.8f}"[:15] for v in corner]
        ds.ImageOrientationPatient = [f"{v:.10f}"[:15] for v in (*self.row, *self.column)]
        ds.PixelSpacing = [PIXEL, PIXEL]
        ds.SliceThickness = 99
        ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        hu = body(points) + self.offset_hu * (body(points) == 45.0)
        ds.PixelData = (hu + 1024).astype("<i2").tobytes()
        return ds
