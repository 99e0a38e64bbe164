import io

import highdicom as hd
import numpy as np
import pydicom
import pytest

from livercascade.data.grid import Grid
from livercascade.io.study_reader import read_study
from livercascade.labeler.imaging.dicom_seg import export_seg, import_seg, segment_map
from livercascade.labeler.label_error import LabelError
from livercascade.testing.ct_series import COLUMNS, ROWS, SLICES, CtSeries

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
TILT = np.deg2rad(8)


@pytest.fixture(scope="module", params=["straight", "oblique"])
def study(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "dicom"
    column = np.array([0, np.cos(TILT), np.sin(TILT)]) if request.param == "oblique" else np.array([0, 1.0, 0])
    CtSeries(column=column).write(folder)
    return folder, read_study(folder).volumes[0].grid


def labels(grid):
    mask = np.zeros(grid.shape, np.uint8)
    mask[3:12, 10:50, 10:60] = 7
    mask[5:7, 20:25, 20:30] = 1
    mask[8:11, 30:36, 40:45] = 6
    mask[20, 2, 3] = 13
    return mask


def test_seg_goes_out_and_comes_back(study):
    folder, grid = study
    mask = labels(grid)
    data = export_seg(mask, grid, folder, reader="mia")
    assert np.array_equal(import_seg(data, grid), mask)
    assert np.array_equal(import_seg(data, grid, {2: 3}) == 3, mask == 6)


def test_each_frame_lies_on_the_slice_it_names(study):
    """Asked of pydicom and the source images alone."""
    folder, grid = study
    mask = labels(grid)
    seg = pydicom.dcmread(io.BytesIO(export_seg(mask, grid, folder, reader="mia")))
    sources = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, folder.iterdir())}
    assert seg.Rows == ROWS and seg.Columns == COLUMNS and len(sources) == SLICES
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["HCC", "Cyst", "liver", "stomach"]
    frames = seg.pixel_array
    count = 0
    for frame, info in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        named = info.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        source = sources[named]
        place = info.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(place, source.ImagePositionPatient)
        value = [1, 6, 7, 13][int(info.SegmentIdentificationSequence[0].ReferencedSegmentNumber) - 1]
        for row, column in np.argwhere(frame)[::97]:
            direction = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
            spacing = np.array(source.PixelSpacing, float)
            point = np.array(place, float) + direction[0] * column * spacing[1] + direction[1] * row * spacing[0]
            index = tuple(np.rint(grid.voxel(point)).astype(int))
            assert mask[index] == value
        count += int(frame.sum())
    assert count == np.count_nonzero(mask)


def code_of(act, *args, **kwargs):
    with pytest.raises(LabelError) as caught:
        act(*args, **kwargs)
    assert caught.value.remedy
    return caught.value


def test_what_cannot_be_exported(study, tmp_path):
    folder, grid = study
    mask = labels(grid)
    assert code_of(export_seg, mask, grid, None, reader="mia").code == "NO_DICOM"
    moved = Grid(grid.shape, grid.spacing, (0.0, 0.0, 0.0), grid.direction)
    assert code_of(export_seg, mask, moved, folder, reader="mia").code == "NO_DICOM"
    assert code_of(export_seg, np.zeros_like(mask), grid, folder, reader="mia").code == "EMPTY_MASK"


def test_what_cannot_be_imported(study):
    folder, grid = study
    data = export_seg(labels(grid), grid, folder, reader="mia")
    moved = Grid(grid.shape, grid.spacing, (0.0, 0.0, 0.0), grid.direction)
    assert code_of(import_seg, data, moved).code == "SEG_OTHER_SERIES"
    assert code_of(import_seg, b"no", grid).code == "NOT_SEG"
    assert code_of(import_seg, next(folder.iterdir()).read_bytes(), grid).code == "NOT_SEG"
    assert code_of(segment_map, "1=3").code == "BAD_REQUEST"
    strange = pydicom.dcmread(io.BytesIO(data))
    strange.SegmentSequence[0].SegmentLabel = "Segment_1"
    strange.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue = "1"
    out = io.BytesIO()
    strange.save_as(out)
    error = code_of(import_seg, out.getvalue(), grid)
    assert error.code == "SEG_UNKNOWN_SEGMENTS" and error.more["segments"][0]["number"] == 1
    assert np.array_equal(import_seg(out.getvalue(), grid, {1: 4}) == 4, labels(grid) == 1)


def test_highdicom_reads_what_was_written(study):
    folder, grid = study
    seg = hd.seg.segread(io.BytesIO(export_seg(labels(grid), grid, folder, reader="mia")))
    assert str(seg.SegmentationType) == "BINARY" and seg.number_of_segments == 4
