"""What one series may hold: several stacks, copies, slices that watch the contrast medium, odd positions."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.errors import InputError
from livercascade.data.labels import Phase
from livercascade.io.dicom_files import find_images
from livercascade.io.dicom_geometry import place_slices
from livercascade.io.dicom_header import DicomImage
from livercascade.io.dicom_series import read_stack, stacks_of
from livercascade.io.dicom_time import acquired_at
from livercascade.io.study_reader import read_study, survey_study
from livercascade.testing.ct_series import BALLS, BODY_CENTRE, SLICES, CtSeries


def sorted_study(folder):
    return stacks_of(find_images(folder).images)


def code_of(folder):
    with pytest.raises(InputError) as caught:
        read_study(folder)
    return caught.value.code


def codes(study):
    return {notice.code for notice in study.warnings}


def setting(**tags):
    def change(i, ds):
        for name, value in tags.items():
            setattr(ds, name, value(i) if callable(value) else value)

    return change


def mixed(folder, one, other, order):
    """Two stacks in one series whose files are named in an order that says nothing."""
    rng = np.random.default_rng(order)
    names = [f"{n:05d}" for n in rng.permutation(2 * SLICES)]
    for series in (CtSeries(change=one, prefix="a"), CtSeries(change=other, prefix="b", offset_hu=30)):
        for index in range(SLICES):
            dataset = series.dataset(index)
            series.change(index, dataset)
            folder.mkdir(exist_ok=True)
            dataset.save_as(folder / names.pop(), enforce_file_format=True)
    return folder


TOLD_BY = {
    "kernel": ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}),
    "kVp": ({"KVP": 80}, {"KVP": 140}),
    "image type": ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "E1"]}, {}),
    "temporal position": ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    "b value": ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 800.0}),
    "acquisition": ({"AcquisitionNumber": 3}, {"AcquisitionNumber": 4}),
    "acquisition that counts steps": (
        {"AcquisitionNumber": 1, "SliceThickness": 5},
        {"AcquisitionNumber": lambda i: i},
    ),
    "date and time": (
        {"AcquisitionDateTime": lambda i: f"20250301235950.{i:03d}"},
        {"AcquisitionDateTime": lambda i: f"20250302000010.{i:03d}"},
    ),
    "two tags together": (
        {"ConvolutionKernel": "B30f", "KVP": 80},
        {"ConvolutionKernel": "B70f", "KVP": 140},
    ),
}


@pytest.mark.parametrize("told_by", TOLD_BY)
def test_stacks_are_told_apart_by_tags_whatever_the_files_are_called(tmp_path, told_by):
    one, other = (setting(InstanceNumber=lambda i: i, **tags) for tags in TOLD_BY[told_by])
    for order in range(2):
        found = sorted_study(mixed(tmp_path / f"s{order}", one, other, order))
        assert [n.code for n in found.notices] == ["MULTI_ACQUISITION"] and not found.refused
        brightest = {frozenset(np.unique(read_stack(stack).hu)) for stack in found.stacks}
        assert brightest == {frozenset({-1000, -100, hu, 300, 500, 650}) for hu in (45, 75)}


def test_a_private_tag_tells_stacks_apart(tmp_path):
    def level(value):
        def change(i, ds):
            ds.private_block(0x0053, "GEHC_CT_ADVAPP_001", create=True).add_new(0x43, "SH", value)
            ds.InstanceNumber = 1

        return change

    found = sorted_study(mixed(tmp_path / "s", level("ASIR 0"), level("ASIR 50"), 0))
    assert [len(stack.images) for stack in found.stacks] == [SLICES, SLICES]


def test_two_kernels_of_two_acquisitions_are_four_stacks(tmp_path):
    for number, (kernel, acquisition) in enumerate(itertools.product(("B30f", "B70f"), (1, 2))):
        change = setting(ConvolutionKernel=kernel, AcquisitionNumber=acquisition, InstanceNumber=1)
        CtSeries(prefix="abcd"[number], offset_hu=10 * number, change=change).write(tmp_path)
    found = sorted_study(tmp_path)
    assert [len(stack.images) for stack in found.stacks] == [SLICES] * 4
    assert all(len(np.unique(read_stack(stack).hu)) == 6 for stack in found.stacks)


def test_what_nothing_tells_apart_is_refused(tmp_path):
    same = setting(InstanceNumber=1)
    assert code_of(mixed(tmp_path / "s", same, same, 0)) == "DUPLICATE_POSITION"


def test_tags_that_tell_different_stories_tell_nothing(tmp_path):
    def story(kernels, acquisitions):
        return setting(
            ConvolutionKernel=lambda i: kernels[i % 2], AcquisitionNumber=acquisitions, InstanceNumber=lambda i: 1
        )

    folder = mixed(tmp_path / "s", story("AB", 1), story("BA", 2), 0)
    assert code_of(folder) == "DUPLICATE_POSITION"


def test_numbers_that_interleave_prove_nothing(tmp_path):
    one, other = setting(InstanceNumber=lambda i: 2 * i), setting(InstanceNumber=lambda i: 2 * i + 1)
    assert code_of(mixed(tmp_path / "s", one, other, 0)) == "DUPLICATE_POSITION"


def test_alternating_kernels_are_two_stacks_and_alternating_acquisitions_refused(tmp_path):
    def alternate(**tags):
        def change(i, ds):
            for name, values in tags.items():
                setattr(ds, name, values[i % 2])

        return change

    heights = np.arange(44) * 1.25 - 27
    change = alternate(ConvolutionKernel=("B30f", "B70f"))
    found = sorted_study(CtSeries(heights=heights, change=change).write(tmp_path / "a"))
    assert [len(stack.images) for stack in found.stacks] == [22, 22]
    assert [round(read_stack(stack).grid.spacing[0], 3) for stack in found.stacks] == [2.5, 2.5]
    change = alternate(AcquisitionNumber=(1, 2))
    assert code_of(CtSeries(heights=heights, change=change).write(tmp_path / "b")) == "MULTI_ACQUISITION"


def test_thick_slices_between_thin_ones_are_another_stack(tmp_path):
    CtSeries(heights=np.arange(40) * 1.25 - 25, change=setting(SliceThickness=1.25)).write(tmp_path)
    CtSeries(prefix="b", heights=np.arange(10) * 5 - 25, change=setting(SliceThickness=5)).write(tmp_path)
    found = sorted_study(tmp_path)
    assert sorted(len(stack.images) for stack in found.stacks) == [10, 40]


def test_a_kernel_that_changes_half_way_is_told(tmp_path):
    change = setting(ConvolutionKernel=lambda i: "B30f" if i < 11 else "B50f")
    study = read_study(CtSeries(change=change).write(tmp_path))
    assert study.volumes[0].hu.shape[0] == SLICES and "SERIES_MIXED" in codes(study)


@pytest.mark.parametrize("uid", [lambda i: f"1.2.9.{i}", lambda i: f"1.2.9.{i // 11}", lambda i: f"1.2.9.{i % 2}"])
def test_frames_of_reference_of_its_own_leave_a_slice_in_its_stack(tmp_path, uid):
    study = read_study(CtSeries(change=setting(FrameOfReferenceUID=uid)).write(tmp_path))
    assert study.volumes[0].hu.shape[0] == SLICES and "FOR_DIFFERS" in codes(study)


@pytest.mark.parametrize("number", [1, lambda i: i])
@pytest.mark.parametrize("places", [1, 4])
def test_a_series_that_watches_the_contrast_medium_is_set_aside(tmp_path, number, places):
    for index, words in enumerate(("native", "arterial", "portal venous", "delayed")):
        CtSeries(uid=f"1.2.{index}", number=index, prefix="abcd"[index], offset_hu=5 * index, description=words).write(
            tmp_path
        )
    heights = np.repeat(np.arange(places) * 10.0, 12)
    watch = CtSeries(
        uid="1.2.9", number=9, prefix="m", heights=heights, noise_hu=5, change=setting(AcquisitionNumber=number)
    )
    watch.write(tmp_path / "monitoring")
    study = read_study(tmp_path)
    assert [v.phase for v in study.volumes] == list(Phase) and not codes(study)
    assert [(u.name, u.code) for u in study.unused] == [("series 9", "SAME_PLACE")]
    assert code_of(tmp_path / "monitoring") == "NOTHING_READABLE"


def test_bolus_tracking_inside_a_series_is_told_by_a_tag(tmp_path):
    CtSeries(change=setting(SliceThickness=2.5, AcquisitionNumber=2)).write(tmp_path / "s")
    heights = np.repeat(1.25, 12)
    for folder, tags in (("s", {"SliceThickness": 10, "AcquisitionNumber": lambda i: 10 + i}), ("t", {})):
        CtSeries(heights=heights, prefix="m", noise_hu=5, change=setting(**tags)).write(tmp_path / folder)
    study = read_study(tmp_path / "s")
    assert [v.hu.shape[0] for v in study.volumes] == [SLICES]
    assert [(u.name, u.code) for u in study.unused] == [("series 1", "SAME_PLACE")]
    CtSeries().write(tmp_path / "t")
    assert code_of(tmp_path / "t") == "DUPLICATE_POSITION"


@pytest.mark.parametrize("copies", [[range(SLICES)], [range(SLICES)] * 2, [range(10, 13)], [(0, SLICES - 1)]])
def test_equal_pixels_at_equal_places_are_copies(tmp_path, copies):
    CtSeries(noise_hu=5).write(tmp_path)
    for number, slices in enumerate(copies):

        def renamed(i, ds, number=number, slices=slices):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.77.{number}.{i}"
            return i in slices

        series = CtSeries(noise_hu=5, change=renamed)
        for index in range(SLICES):
            dataset = series.dataset(index)
            if renamed(index, dataset):
                dataset.save_as(tmp_path / f"copy{number}-{index}.dcm", enforce_file_format=True)
    study = read_study(tmp_path)
    assert [v.hu.shape[0] for v in study.volumes] == [SLICES] and "DUPLICATE_DROPPED" in codes(study)


def test_a_series_sent_twice_is_one_volume_and_two_phases_of_one_image_are_refused(tmp_path):
    CtSeries(uid="1.2.1", number=1, description="venous").write(tmp_path / "a" / "1")
    CtSeries(uid="1.2.2", number=2, description="venous").write(tmp_path / "a" / "2")
    study = read_study(tmp_path / "a")
    assert [v.phase for v in study.volumes] == [Phase.VP]
    assert [(u.name, u.code) for u in study.unused] == [("series 2", "DUPLICATE_DROPPED")]
    CtSeries(uid="1.2.1", number=1, description="venous").write(tmp_path / "b" / "1")
    CtSeries(uid="1.2.2", number=2, description="arterial").write(tmp_path / "b" / "2")
    assert code_of(tmp_path / "b") == "EQUAL_PHASES"


def test_derived_slices_are_judged_series_by_series(tmp_path):
    change = setting(ImageType=lambda i: ["DERIVED" if i > 13 else "ORIGINAL", "PRIMARY", "AXIAL"])
    study = read_study(CtSeries(change=change).write(tmp_path / "part"))
    assert study.volumes[0].hu.shape[0] == SLICES and "DERIVED_USED" in codes(study)
    derived = setting(ImageType=["DERIVED", "PRIMARY", "AXIAL"])
    CtSeries(uid="1.2.1", number=1, description="arterial").write(tmp_path / "phases" / "1")
    CtSeries(uid="1.2.2", number=2, description="venous", offset_hu=9, change=derived).write(tmp_path / "phases" / "2")
    study = read_study(tmp_path / "phases")
    assert [v.phase for v in study.volumes] == [Phase.AP, Phase.VP]


@pytest.mark.parametrize(
    ("words", "image_type"),
    [
        ("MIP thick", ["DERIVED", "SECONDARY", "AXIAL"]),
        ("Iodine map", ["DERIVED", "PRIMARY", "AXIAL"]),
        ("Mono 40 keV", ["DERIVED", "PRIMARY", "AXIAL"]),
        ("VNC", ["DERIVED", "PRIMARY", "AXIAL"]),
        ("venous", ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"]),
    ],
)
def test_projections_and_maps_are_named_in_the_survey(tmp_path, words, image_type):
    CtSeries(uid="1.2.1", number=1, description="venous").write(tmp_path / "1")
    CtSeries(uid="1.2.2", number=2, description=words, change=setting(ImageType=image_type)).write(tmp_path / "2")
    scout = setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    CtSeries(uid="1.2.3", number=3, slices=2, change=scout).write(tmp_path / "3")
    study = survey_study(tmp_path)
    assert [v.description for v in study.volumes] == ["series 1"]
    assert {(u.name, u.code) for u in study.unused} == {
        ("series 2", "DERIVED_SKIPPED"),
        ("series 3", "LOCALIZER_DROPPED"),
    }


def test_a_page_of_text_is_set_aside_and_a_slice_without_place_is_not(tmp_path):
    def page(i, ds):
        del ds.ImagePositionPatient, ds.ImageOrientationPatient
        ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]

    CtSeries(description="venous").write(tmp_path / "s")
    CtSeries(uid="1.2.99", number=999, slices=1, change=page).write(tmp_path / "s" / "page")
    study = read_study(tmp_path / "s")
    assert [(u.name, u.code) for u in study.unused] == [("series 999", "TAG_MISSING")]
    CtSeries(slices=1, prefix="p", change=page).write(tmp_path / "s")
    assert read_study(tmp_path / "s").volumes[0].hu.shape[0] == SLICES


def test_a_view_from_the_side_in_the_same_series_is_another_stack(tmp_path):
    CtSeries().write(tmp_path)
    coronal = CtSeries(row=np.array([1.0, 0, 0]), column=np.array([0, 0, -1.0]), slices=2, prefix="c")
    coronal.write(tmp_path)
    study = read_study(tmp_path)
    assert [v.hu.shape[0] for v in study.volumes] == [SLICES]
    assert [(u.name, u.code) for u in study.unused] == [("series 1 part 2", "TOO_FEW_SLICES")]


def test_reconstructions_of_one_moment_are_one_phase(tmp_path):
    def thin(i, ds):
        ds.AcquisitionDate, ds.AcquisitionTime = "20250301", f"1000{i % 60:02d}"

    CtSeries(uid="1.2.1", number=1, description="venous 2.5", change=thin).write(tmp_path / "1")
    heights = np.arange(14) * 4.0 - 26
    CtSeries(uid="1.2.2", number=2, description="venous 4.0", heights=heights, change=thin).write(tmp_path / "2")
    study = read_study(tmp_path)
    assert [v.description for v in study.volumes] == ["series 1"]
    assert [u.name for u in study.unused] == ["series 2"]


@settings(max_examples=60)
@given(
    step=st.sampled_from([0.5, 0.625, 1.25, 2.5, 3.33]),
    decimals=st.integers(1, 3),
    start=st.floats(-500, 500),
    count=st.integers(8, 200),
    seed=st.integers(0, 99),
)
def test_positions_rounded_to_a_tenth_keep_their_step(step, decimals, start, count, seed):
    heights = start + step * np.arange(count)
    fixed = {"ImageOrientationPatient": "1\\0\\0\\0\\1\\0", "PixelSpacing": "1\\1", "Rows": "9", "Columns": "9"}
    images = [
        DicomImage(Path(f"{i}"), {**fixed, "ImagePositionPatient": f"0\\0\\{height:.{decimals}f}"})
        for i, height in enumerate(heights)
    ]
    np.random.default_rng(seed).shuffle(images)
    placed = place_slices(images, "series 1")
    assert [image.path.name for image in placed.images] == [f"{i}" for i in range(count)]
    # No slice lies further from its true place than rounding and the line's own tolerance allow.
    assert np.abs(placed.affine_lps[2, 3] + placed.affine_lps[2, 2] * np.arange(count) - heights).max() < 0.11


@pytest.mark.parametrize(("low", "high", "count"), [(1.0, 1.045, 200), (5.0, 5.05, 60), (2.5, 5.0, 22), (2.5, 2.7, 22)])
def test_a_step_that_creeps_is_refused(tmp_path, low, high, count):
    heights = np.concatenate([[0.0], np.cumsum([low] * (count // 2) + [high] * (count // 2))])
    assert code_of(CtSeries(heights=heights - 40).write(tmp_path)) == "VARIABLE_SPACING"


@pytest.mark.parametrize("lost", [1, 3])
def test_missing_slices_between_rounded_positions_are_counted(tmp_path, lost):
    heights = np.round(np.delete(np.arange(90) * 0.625 - 28, range(40, 40 + lost)), 1)
    with pytest.raises(InputError, match=f"MISSING_SLICES: series 1: {lost} of 90"):
        read_study(CtSeries(heights=heights).write(tmp_path))


@pytest.mark.parametrize(
    "series",
    [
        CtSeries(shift=np.array([0, 2.5 * np.tan(np.radians(12)), 0])),
        CtSeries(shift=np.array([-0.3, -0.4, 0])),
        CtSeries(change=lambda i, ds: i != 9),
        CtSeries(change=lambda i, ds: i not in (9, 10)),
        CtSeries(heights=np.concatenate([np.arange(12) * 2.0 - 27, np.arange(9) * 3.0 - 2])),
    ],
    ids=["tilt", "shift", "one lost", "two lost", "variable"],
)
def test_what_is_resampled_on_request_is_told_and_in_place(tmp_path, series):
    folder = series.write(tmp_path)
    assert code_of(folder) in ("GANTRY_TILT", "MISSING_SLICES", "VARIABLE_SPACING")
    study = read_study(folder, resample=True)
    assert "RESAMPLED" in codes(study)
    # The slices as they are stored stay known: results in DICOM refer to them.
    assert len(study.slices) == 1
    volume = study.volumes[0]
    dense = volume.hu > 170
    places, weights = volume.grid.world(np.argwhere(dense).astype(float)), volume.hu[dense] - 45.0
    for ball in BALLS.values():
        near = np.linalg.norm(places - BODY_CENTRE - ball, axis=1) < 11
        # Interpolation over a lost slice blurs a ball; its centre of mass stays.
        centre = np.average(places[near], axis=0, weights=weights[near])
        assert near.sum() > 20 and np.linalg.norm(centre - BODY_CENTRE - ball) < 0.5


def test_a_wide_gap_is_not_filled(tmp_path):
    folder = CtSeries(change=lambda i, ds: not 5 <= i <= 9).write(tmp_path)
    with pytest.raises(InputError, match="MISSING_SLICES"):
        read_study(folder, resample=True)


def test_slices_that_the_tags_count_but_nobody_has_are_told(tmp_path):
    study = read_study(CtSeries(change=setting(ImagesInAcquisition=30)).write(tmp_path / "a"))
    assert "INCOMPLETE_SERIES" in codes(study)
    study = read_study(CtSeries(change=lambda i, ds: i > 2).write(tmp_path / "b"))
    assert "INCOMPLETE_SERIES" in codes(study)
    assert "INCOMPLETE_SERIES" not in codes(read_study(CtSeries().write(tmp_path / "c")))


@pytest.mark.parametrize(
    ("tags", "seconds"),
    [
        ({"AcquisitionDateTime": "20250301235910.5"}, (1, 86350.5)),
        ({"AcquisitionDateTime": "20250302000300.25+0100"}, (2, 180.25)),
        ({"AcquisitionDate": "20250302", "AcquisitionTime": "000300"}, (2, 180.0)),
        ({"AcquisitionTime": "00:03:00", "SeriesDate": "20250302"}, (2, 180.0)),
        ({"AcquisitionTime": "1030", "StudyDate": "20250301"}, (1, 37800.0)),
        ({"ContentTime": "100000.123456", "ContentDate": "20250301"}, (1, 36000.123456)),
        ({"AcquisitionDateTime": "20250301000000", "AcquisitionTime": "000000.000"}, None),
        ({"AcquisitionTime": "250000"}, None),
        ({"AcquisitionTime": "soon"}, None),
        ({}, None),
    ],
)
def test_times_are_taken_with_their_dates(tags, seconds):
    found = acquired_at(DicomImage(Path("a"), tags))
    first = acquired_at(DicomImage(Path("a"), {"AcquisitionDateTime": "20250301000001"}))
    assert (found is None) == (seconds is None)
    if seconds is not None:
        day, second = seconds
        assert found - (first - 1) == pytest.approx((day - 1) * 86400 + second)
