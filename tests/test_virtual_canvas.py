"""Scans as canvases: what may change and what may not, noise, HU as planned, phases, outlines, transplants."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from typer.testing import CliRunner

from livercascade.cli.main import app
from livercascade.data.coverage import ClassCoverage, Coverage
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, LesionType, Phase
from livercascade.train.training_cases import find_cases, read_arrays
from livercascade.virtual.canvas.canvas_case import CanvasCase, is_closed, read_canvas, write_canvas
from livercascade.virtual.canvas.edge_keeping_filter import denoised
from livercascade.virtual.canvas.lesion_compositing import composed, painted_tissue
from livercascade.virtual.canvas.lesion_outlines import Loosening, loosen
from livercascade.virtual.canvas.lesion_transplant import take_lesions, transplant
from livercascade.virtual.canvas.liver_phantom import block_mean, canvas_phantom, fitted_physiology, liver_box
from livercascade.virtual.canvas.painted_case import paint_scan
from livercascade.virtual.canvas.phase_curves import body_knots, liver_knots
from livercascade.virtual.canvas.phase_synthesis import draw_phases, make_phases
from livercascade.virtual.canvas.scan_properties import ScanNoise, measure_blur, noise_field
from livercascade.virtual.canvas.scanned_liver import scanned_liver
from livercascade.virtual.lesions.lesion_painting import paint_lesions
from livercascade.virtual.lesions.lesion_plan import PlannedLesion
from small_canvas import NOISE_HU, SPACING, small_canvas

SEEDS = st.integers(0, 2**48)
REAL = Path(__file__).parents[2] / "shared" / "data" / "real_ct" / "ircadb_18"


def noise_of(image, where):
    """Robust SD of the differences between neighbours that both lie in a mask: edges beside it do not count."""
    both = where[:, :, 1:] & where[:, :, :-1]
    steps = np.diff(image.astype(float), axis=2)[both]
    return 1.4826 * np.median(np.abs(steps - np.median(steps)))


@given(SEEDS)
@settings(max_examples=4)
def test_labels_and_image_change_only_where_they_may(seed):
    before = small_canvas()
    after = paint_scan(before, 5.0, seed).case
    closed = is_closed(before.labels)
    changed = before.labels != after.labels
    assert not changed[closed].any()
    assert set(np.unique(after.labels[changed])) <= {0, 1, 2, 3, 4, 5, 6}
    image, old = after.hu[Phase.VP], before.hu[Phase.VP]
    assert np.array_equal(image[closed], old[closed])
    # Lesions may bulge into fat at the liver; nothing else of the body is touched.
    far = ndimage.distance_transform_edt(before.labels == 0, sampling=SPACING) > 30
    assert np.array_equal(image[far], old[far])
    assert after.coverage == before.coverage


@given(SEEDS)
@settings(max_examples=2)
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(seed):
    first, again, other = (paint_scan(small_canvas(), 4.0, s) for s in (seed, seed, seed + 1))
    assert first.lesions == again.lesions
    assert first.case.hu[Phase.VP].tobytes() == again.case.hu[Phase.VP].tobytes()
    assert first.case.labels.tobytes() == again.case.labels.tobytes()
    assert first.case.hu[Phase.VP].tobytes() != other.case.hu[Phase.VP].tobytes()


def painted(planned, seed, case=None):
    """A canvas with one lesion of a plan: scan, new image, new labels, the record."""
    case = case or small_canvas()
    rng = np.random.default_rng(seed)
    box = liver_box(case)
    image = case.hu[Phase.VP][box]
    liver = scanned_liver(image, case.liver[box], SPACING)
    canvas = canvas_phantom(case, box, image.astype(np.float32), liver, {Phase.VP: liver.median_hu}, rng)
    placed, _ = paint_lesions(canvas.phantom, [planned], seed)
    tissue = painted_tissue(canvas, case, 0.8, rng)
    assert tissue is not None
    return case, liver, composed(image, tissue, Phase.VP, liver, SPACING, rng), tissue, placed


@given(SEEDS, st.sampled_from([LesionType.CYST, LesionType.META, LesionType.HCC]))
@settings(max_examples=6)
def test_a_lesion_has_the_hu_that_were_planned_and_the_noise_of_the_liver(seed, kind):
    case, liver, image, tissue, placed = painted(PlannedLesion(kind, 20.0), seed)
    lesion = tissue.labels == kind
    assert np.count_nonzero(lesion) * case.grid.voxel_ml == pytest.approx(placed[0].volume_ml, rel=0.1)
    inner = np.asarray(ndimage.binary_erosion(lesion, np.ones((1, 3, 3))))
    planned = float(placed[0].mean_hu[Phase.VP.index])
    if kind is LesionType.CYST:
        # One tissue alone: what lies at its border is partial volume, and as it must be.
        assert image[inner].mean() == pytest.approx(planned, abs=5)
        assert noise_of(image, inner) == pytest.approx(
            noise_of(case.hu[Phase.VP][liver_box(case)], liver.plain), rel=0.2
        )
        assert image[inner].std() == pytest.approx(NOISE_HU, rel=0.35)
    else:
        # What is not lesion of the voxels at its border is liver.
        share = float(tissue.share[lesion].mean())
        assert image[lesion].mean() == pytest.approx(share * planned + (1 - share) * liver.median_hu, abs=7)


@given(SEEDS)
@settings(max_examples=2)
def test_the_record_says_what_the_scan_shows(seed):
    scan = paint_scan(small_canvas(), 4.0, seed)
    assert scan.liver_hu["VP"] == pytest.approx(110, abs=4)
    for lesion in scan.lesions:
        if lesion.labelled_ml > 4:
            assert lesion.shown["VP"] == pytest.approx(lesion.planned["VP"], abs=12)
            place = np.rint(scan.case.grid.voxel(np.asarray(lesion.placed.centre))).astype(int)
            near = tuple(slice(max(c - 3, 0), c + 4) for c in place)
            assert (scan.case.labels[near] == lesion.placed.label).any()


def test_a_type_that_was_said_to_be_absent_is_labelled_once_it_is_painted():
    case = small_canvas(coverage=Coverage(classes={"lesions": "absent"}))
    after = paint_scan(case, 5.0, 3).case
    for kind in np.unique(after.labels[(after.labels > 0) & (after.labels < 7)]).tolist():
        assert after.coverage.of(kind) is ClassCoverage.LABELLED
        assert after.coverage.label_of(kind) == kind


def test_nothing_is_painted_when_no_lesion_is_asked_for():
    case = small_canvas()
    after = paint_scan(case, 0.0, 1)
    assert after.lesions == () and after.case is case


@given(st.floats(70, 160), SEEDS, st.sampled_from([Phase.NC, Phase.AP, Phase.DP]))
@settings(max_examples=60)
def test_curves_rise_in_venous_hu_and_keep_dark_lesions_dark(venous, seed, phase):
    physiology = fitted_physiology({Phase.VP: venous}, np.random.default_rng(seed))
    assert physiology.liver[Phase.VP.index] == np.float32(venous)
    assert float(physiology.liver[0]) < venous
    for knots in (liver_knots(physiology, phase), body_knots(physiology, phase)):
        low = [a for a, _ in knots]
        assert low == sorted(low) and len(set(low)) == len(low)
    low, high = zip(*liver_knots(physiology, phase), strict=True)
    liver = np.interp(venous, low, high)
    assert liver == pytest.approx(float(physiology.liver[phase.index]), abs=1e-3)
    assert (np.interp([venous - 25, venous - 60, 0, -80], low, high) < liver).all()
    assert np.interp(-150, low, high) == pytest.approx(-150)


def test_phases_of_a_scan_stay_and_those_it_lacks_have_their_hu_and_its_noise():
    case = small_canvas()
    whole = make_phases(case, PHASES, 5)
    assert tuple(whole.hu) == PHASES
    assert whole.hu[Phase.VP] is case.hu[Phase.VP]
    inner = np.asarray(ndimage.binary_erosion(case.labels == 7, iterations=3)) & (case.hu[Phase.VP] < 140)
    assert np.median(whole.hu[Phase.NC][inner]) < np.median(whole.hu[Phase.AP][inner]) < 112
    for phase in (Phase.NC, Phase.AP, Phase.DP):
        assert noise_of(whole.hu[phase], inner) == pytest.approx(noise_of(case.hu[Phase.VP], inner), rel=0.25)
        # The old lesion is dark in all of them, and noise of two phases is not the same noise.
        assert whole.hu[phase][case.labels == 14].mean() < np.median(whole.hu[phase][inner]) - 4
        pairs = inner[:, :, 1:] & inner[:, :, :-1]
        steps = [np.diff(image.astype(float), axis=2)[pairs] for image in (whole.hu[phase], case.hu[Phase.VP])]
        assert np.corrcoef(*steps)[0, 1] < 0.65
    alone = make_phases(case, (Phase.NC,), 5)
    assert tuple(alone.hu) == (Phase.NC,)
    assert np.corrcoef(alone.hu[Phase.NC][inner], case.hu[Phase.VP][inner])[0, 1] > 0.8
    again = make_phases(case, PHASES, 5)
    assert all(np.array_equal(again.hu[phase], whole.hu[phase]) for phase in PHASES)


def test_phases_are_drawn_only_where_they_can_be_made():
    rng = np.random.default_rng(0)
    drawn = [draw_phases((Phase.VP,), rng) for _ in range(300)]
    assert {phase for phases in drawn for phase in phases} == set(PHASES)
    assert draw_phases((Phase.AP,), rng) == (Phase.AP,)
    arterial = small_canvas(phases=(Phase.AP,))
    assert tuple(make_phases(arterial, (Phase.NC, Phase.AP), 1).hu) == (Phase.AP,)


def test_lesions_are_painted_into_every_phase_by_their_own_curves():
    case = make_phases(small_canvas(), PHASES, 2)
    scan = paint_scan(case, 4.0, 11)
    assert scan.lesions
    for lesion in scan.lesions:
        if lesion.labelled_ml > 3:
            for phase in PHASES:
                assert lesion.shown[phase.value] == pytest.approx(lesion.planned[phase.value], abs=14)


@given(
    arrays(np.uint8, (5, 8, 8), elements=st.sampled_from([0, 7, 7, 7, 8, 14, 14, 3, 255])),
    st.floats(0, 0.3),
    st.sampled_from(Loosening),
)
def test_looser_outlines_take_only_liver_that_touches_a_large_lesion(labels, over_ml, how):
    out = loosen(labels, (2.0, 2.0, 2.0), over_ml, how)
    changed = out != labels
    assert np.isin(labels[changed], (7, 8)).all()
    assert (out[changed] == (14 if how is Loosening.DILATE else 255)).all()
    parts, count = ndimage.label(labels == 14)
    large = [n for n in range(1, count + 1) if np.count_nonzero(parts == n) * 0.008 > over_ml]
    touching = np.asarray(ndimage.binary_dilation(np.isin(parts, large))) if large else np.zeros_like(changed)
    assert np.array_equal(changed, touching & np.isin(labels, (7, 8)))


def test_a_moved_lesion_lies_in_the_new_liver_and_keeps_its_type_and_look():
    donor = small_canvas(3, name="giver", patient="giver", liver_hu=120.0)
    (lesion,) = take_lesions(donor)
    assert lesion.label == 14 and lesion.volume_ml == pytest.approx(7.2, rel=0.15)
    case = small_canvas(4, liver_hu=95.0)
    after, moved = transplant(case, [lesion], 3, 7)
    assert len(moved) >= 1 and all(one.label == 14 and one.donor_patient == "giver" for one in moved)
    changed = after.labels != case.labels
    assert np.isin(case.labels[changed], (7, 8)).all() and (after.labels[changed] == 14).all()
    old = is_closed(case.labels)
    assert np.array_equal(after.hu[Phase.VP][old], case.hu[Phase.VP][old])
    # 75 HU below its own liver, and so below the new one.
    inner = np.asarray(ndimage.binary_erosion(changed, iterations=2))
    assert after.hu[Phase.VP][inner].mean() == pytest.approx(95 - 75, abs=10)
    _, count = ndimage.label(after.labels == 14)
    assert count == len(moved) + 1
    again, _ = transplant(case, [lesion], 3, 7)
    assert np.array_equal(again.hu[Phase.VP], after.hu[Phase.VP])


def test_lesions_of_the_same_patient_are_not_moved():
    case = small_canvas()
    same, moved = transplant(case, take_lesions(case), 3, 1)
    assert moved == [] and same is case


def test_a_lesion_moved_into_another_phase_is_dark_there_too():
    donor = small_canvas(3, name="giver", patient="giver")
    case = make_phases(small_canvas(4), (Phase.NC, Phase.VP), 2)
    after, moved = transplant(case, take_lesions(donor), 1, 5)
    new = (after.labels == 14) & (case.labels != 14)
    assert moved and new.any()
    change = {phase: (after.hu[phase][new].mean() - case.hu[phase][new].mean()) for phase in case.hu}
    assert change[Phase.VP] < change[Phase.NC] < -5


@given(st.floats(0.5, 1.2))
@settings(max_examples=8)
def test_blur_is_measured_from_edges_between_fat_and_organ(sigma_mm):
    spacing, fine = (5.0, 1.0, 1.0), 4
    edge = np.full((30, 100 * fine, 100 * fine), -105.0, np.float32)
    edge[:, 30 * fine + 1 : 70 * fine + 3, 30 * fine + 2 : 70 * fine] = 90.0
    edge = ndimage.gaussian_filter(edge[:1], (0, sigma_mm * fine, sigma_mm * fine)).repeat(30, 0)
    image = edge.reshape(30, 100, fine, 100, fine).mean((2, 4))
    assert measure_blur(image.astype(np.float32), spacing) == pytest.approx(sigma_mm, abs=0.15)
    assert measure_blur(np.zeros((4, 20, 20), np.float32), spacing) == 0.8


@given(st.floats(0, 0.8), SEEDS)
@settings(max_examples=8)
def test_made_noise_has_its_sd_and_its_correlation_between_slices(correlation, seed):
    noise = ScanNoise(1.0, correlation, np.ones((32, 32), np.float32))
    field = noise_field((12, 50, 61), noise, np.random.default_rng(seed))
    assert field.std() == pytest.approx(1, abs=0.05)
    assert np.mean(field[1:] * field[:-1]) == pytest.approx(correlation, abs=0.05)


@given(st.floats(-500, 500), st.floats(60, 400))
@settings(max_examples=10)
def test_the_filter_averages_noise_and_leaves_edges(level, step):
    rng = np.random.default_rng(0)
    clean = np.full((6, 30, 30), level)
    clean[:, :, 15:] += step
    out = denoised((clean + rng.normal(0, 5, clean.shape)).astype(np.float32), (2.0, 1.5, 1.5), 5.0)
    assert (out - clean)[:, :, :13].std() < 2.0
    assert abs(out[:, :, 17:].mean() - out[:, :, :13].mean() - step) < 1.5


@given(arrays(np.float32, (4, 6, 6), elements=st.floats(-10, 10, width=32)))
def test_block_means_add_up(values):
    out = block_mean(values, (2, 3, 2))
    assert out.shape == (2, 2, 3)
    assert out[1, 0, 2] == pytest.approx(values[2:4, 0:3, 4:6].mean(), abs=1e-4)


def test_a_canvas_is_read_as_it_was_written_and_odd_ones_are_refused(tmp_path):
    case = small_canvas()
    home = tmp_path / "made"
    home.mkdir()
    with pytest.raises(InputError, match="FILE_MISSING"):
        read_canvas(home, "x")
    write_canvas(case, home)
    read = read_canvas(home, "someone")
    assert np.array_equal(read.labels, case.labels) and read.coverage == case.coverage
    assert np.array_equal(read.hu[Phase.VP], case.hu[Phase.VP]) and read.grid.matches(case.grid)
    labels = case.labels.copy()
    labels[0, 0, 0] = 99
    write_canvas(CanvasCase("made", "someone", case.grid, case.hu, labels, case.coverage), home)
    with pytest.raises(InputError, match="BAD_LABELS"):
        read_canvas(home, "x")
    write_canvas(CanvasCase("made", "s", case.grid, case.hu, np.zeros_like(labels), case.coverage), home)
    with pytest.raises(InputError, match="NO_LIVER"):
        read_canvas(home, "x")
    (home / "vp.nii.gz").unlink()
    with pytest.raises(InputError, match="NO_PHASE"):
        read_canvas(home, "x")


def paint(*words):
    return CliRunner().invoke(app, ["paint", *map(str, words), "--quiet"])


def test_the_command_makes_training_cases_that_name_their_patient(tmp_path):
    source = tmp_path / "scans"
    for number in range(2):
        (source / f"scan{number}").mkdir(parents=True)
        write_canvas(small_canvas(number), source / f"scan{number}")
    (source / "patients.csv").write_text("case,patient\nscan0,first\nscan1,second\n", encoding="utf-8")
    words = (
        source,
        "--cases",
        3,
        "--seed",
        4,
        "--lesions",
        2,
        "--transplants",
        1,
        "--preview",
        "--out",
        tmp_path / "out",
    )
    assert paint(*words).exit_code == 0
    cases = find_cases(tmp_path / "out")
    assert [(case.name, case.patient) for case in cases] == [
        ("scan0__painted_00", "first"),
        ("scan0__painted_01", "first"),
        ("scan1__painted_00", "second"),
    ]
    for case in cases:
        arrays_ = read_arrays(case)
        assert arrays_.labels.shape == (26, 52, 56)
        record = json.loads((case.labels.parent / "painted.json").read_text(encoding="utf-8"))
        assert record["painted"] is True and record["source"]["patient"] == case.patient
        assert set(record["phases"]) == {phase.value for phase in case.phases}
        assert (case.labels.parent / "preview.png").is_file()
    stored = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.nii.gz")}
    assert paint(*words).exit_code == 0
    assert stored == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.nii.gz")}


def test_cases_that_are_there_are_kept_until_a_setting_changes(tmp_path):
    (tmp_path / "scans" / "a").mkdir(parents=True)
    write_canvas(small_canvas(), tmp_path / "scans" / "a")
    words = [tmp_path / "scans", "--phases", "vp", "--lesions", 1, "--out", tmp_path / "out"]
    made = tmp_path / "out" / "a__painted_00" / "painted.json"
    assert paint(*words).exit_code == 0
    first = made.stat().st_mtime_ns
    assert paint(*words).exit_code == 0
    assert made.stat().st_mtime_ns == first
    assert paint(*words, "--loosen-over-ml", 1).exit_code == 0
    assert made.stat().st_mtime_ns > first


def test_wrong_use_is_told(tmp_path):
    assert paint(tmp_path, "--out", tmp_path / "out").exit_code == 1
    assert paint(tmp_path, "--phases", "xp", "--out", tmp_path / "out").exit_code == 2


@pytest.mark.skipif(not REAL.is_dir(), reason="real CT is not at ../shared/data")
def test_a_real_scan_is_painted_in_all_phases_without_touching_its_own_lesions():
    from livercascade.io.nifti import read_instances, read_labels, read_nifti

    image, grid = read_nifti(REAL / "image.nii.gz")
    labels = np.where(read_labels(REAL / "labels.nii.gz")[0] == 1, 7, 0).astype(np.uint8)
    labels[read_instances(REAL / "lesions.nii.gz")[0] > 0] = 14
    labels[read_instances(REAL / "ignore.nii.gz")[0] > 0] = 255
    part = slice(20, 50)
    z, y, x = labels[part].shape
    case = CanvasCase(
        "real", "real", Grid.axial((z, y, x), grid.spacing), {Phase.VP: image[part]}, labels[part], Coverage()
    )
    scan = paint_scan(make_phases(case, (Phase.AP, Phase.VP), 1), 5.0, 2)
    assert scan.lesions and set(scan.case.hu) == {Phase.AP, Phase.VP}
    closed = is_closed(case.labels)
    assert np.array_equal(scan.case.labels[closed], case.labels[closed])
    assert np.array_equal(scan.case.hu[Phase.VP][closed], case.hu[Phase.VP][closed])
