from html.parser import HTMLParser
from io import BytesIO
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, LesionType, PatientClass, Phase
from livercascade.report.html import render_report
from livercascade.report.measure import measure_lesions
from livercascade.report.panel import GREY_STEP, extent_of, hide_frame, new_figure, picture_of, within
from livercascade.report.pictures import MAX_KEY_IMAGES, PANEL_PX, build_pictures, key_images
from livercascade.report.view import View
from livercascade.results.result import ErrorRecord, Stage, Status, VerdictRecord
from livercascade.testing.example_results import (
    CASE_GRID,
    EXAMPLE_FACTORS,
    example_candidate,
    example_case,
    example_result,
    example_sweep,
)
from livercascade.testing.phantoms import ellipsoid

AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_view_grows_to_head_back_and_left(order, signs):
    direction = tuple(tuple(s * v + 0.0 for v in AXES[i]) for i, s in zip(order, signs, strict=True))
    grid = Grid((2, 3, 4), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0), direction)
    index = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3).astype(float)
    position = grid.world(index).reshape(*grid.shape, 3)
    view = View.of(grid)
    left, back, head = (view.axial(position[..., i]) for i in range(3))
    assert np.allclose(np.diff(head, axis=0), view.spacing[0])
    assert np.allclose(np.diff(back, axis=1), view.spacing[1])
    assert np.allclose(np.diff(left, axis=2), view.spacing[2])
    assert np.all(np.diff(view.coronal(position[..., 2]), axis=1) < 0)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((True, False), repeat=3)))
def test_the_box_of_a_view_holds_the_same_voxels(order, flips):
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    view, box = View(order, flips, (1.0, 1.0, 1.0)), (slice(1, 3), slice(0, 4), slice(2, 5))
    assert np.array_equal(view.axial(array)[view.box(box, array.shape)], view.axial(array[box]))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    pixel=st.tuples(*2 * [st.floats(0.5, 5.0)]),
    middle=st.tuples(*2 * [st.floats(-20.0, 120.0)]),
    half=st.floats(15.0, 80.0),
)
def test_what_lies_outside_the_field_of_a_panel_need_not_be_drawn(seed, pixel, middle, half):
    image = np.random.default_rng(seed).integers(-200, 300, (40, 50)).astype(np.int16)
    shown = (middle[1] - half, middle[1] + half, middle[0] + half, middle[0] - half)
    pictures = []
    for part, extent in ((image, extent_of(image, pixel)), within(image, pixel, shown)):
        figure = new_figure(120, 120)
        plot = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        plot.imshow(part, cmap="gray", vmin=0, vmax=200, extent=extent, interpolation="bilinear", aspect="auto")
        plot.set(xlim=shown[:2], ylim=shown[2:])
        hide_frame(plot)
        pictures.append(np.asarray(Image.open(BytesIO(picture_of(figure, "").png))).astype(int))
    # Rounding of the places may move a grey value to the next of the few that are kept.
    assert np.abs(pictures[0] - pictures[1]).max() <= GREY_STEP
    assert (pictures[0] != pictures[1]).mean() < 0.01


def test_key_image_is_the_same_for_the_same_patient_stored_the_other_way():
    scan, _, candidates = example_case((Phase.VP,))
    plain = key_images(scan, candidates[0], "L1", View.of(CASE_GRID))
    far = tuple(float(v) for v in CASE_GRID.world(np.array([0.0, 95.0, 95.0])))
    turned = Grid(CASE_GRID.shape, CASE_GRID.spacing, far, ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0)))
    whole = np.zeros(CASE_GRID.shape, bool)
    whole[candidates[0].lesion.bbox] = candidates[0].lesion.mask
    other = type(scan)(turned, {Phase.VP: scan.hu[Phase.VP][:, ::-1, ::-1]}, Phase.VP)
    again = key_images(other, example_candidate(whole[:, ::-1, ::-1]), "L1", View.of(turned))
    assert plain.png == again.png


def test_key_image_shows_the_lesion_in_its_true_proportion():
    mask = ellipsoid((60, 96, 80), (15, 12, 30), CASE_GRID)
    scan, _, _ = example_case((Phase.VP,))
    picture = key_images(scan, example_candidate(mask), "L1", View.of(CASE_GRID))
    pixels = np.asarray(Image.open(BytesIO(picture.png))).astype(int)
    red = (pixels[..., 0] - pixels[..., 2]) > 90
    rows, columns = np.nonzero(red)
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(30 / 12, rel=0.1)
    assert np.ptp(columns) / PANEL_PX == pytest.approx(60 / 128, rel=0.1)


@pytest.mark.parametrize("phases", [PHASES, (Phase.NC,), (Phase.AP, Phase.VP)])
def test_pictures_have_one_panel_per_phase(phases):
    scan, labels, candidates = example_case(phases)
    records = measure_lesions(candidates, scan, labels)
    pictures = build_pictures(scan, labels, candidates, records, example_sweep())
    assert list(pictures.lesions) == ["L1", "L2"]
    assert all(p.width == PANEL_PX * len(phases) for p in pictures.lesions.values())
    assert bool(pictures.curves) is (len(phases) > 1)
    assert pictures.overview is not None and pictures.sweep is not None
    assert all(picture.alt for picture in pictures.lesions.values())


def test_only_the_most_important_candidates_get_pictures_and_it_is_said():
    scan, labels, candidates = example_case((Phase.VP,))
    many = [candidates[1]] * MAX_KEY_IMAGES + [candidates[0]] * 2
    pictures = build_pictures(scan, labels, many, measure_lesions(many, scan, labels))
    assert len(pictures.lesions) == MAX_KEY_IMAGES and pictures.left_out == 2
    assert next(iter(pictures.lesions)) == f"L{MAX_KEY_IMAGES + 1}"
    assert "2 are left out" in render_report(example_result(scan, labels, many), pictures)


def test_noisy_case_of_ten_candidates_stays_under_three_megabytes():
    scan, labels, candidates = example_case()
    rng = np.random.default_rng(1)
    noisy = {p: (hu + rng.normal(0, 20, hu.shape)).astype(np.int16) for p, hu in scan.hu.items()}
    scan, many = type(scan)(CASE_GRID, noisy, scan.reference), candidates * 5
    records = measure_lesions(many, scan, labels)
    page = render_report(
        example_result(scan, labels, many), build_pictures(scan, labels, many, records, example_sweep())
    )
    assert len(page) < 3e6


def test_no_liver_still_gives_pictures():
    scan, labels, _ = example_case((Phase.VP,))
    assert build_pictures(scan, np.zeros_like(labels), [], ()).overview is not None


class Page(HTMLParser):
    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        self.links += [v for k, v in attrs if k in ("href", "src") and not str(v).startswith("data:image/png;base64,")]
        if tag == "img":
            self.images.append(fields)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    scan, labels, candidates = example_case()
    result = example_result(scan, labels, candidates)
    return render_report(result, build_pictures(scan, labels, candidates, result.lesions or (), example_sweep()))


def test_page_is_whole_and_needs_nothing_from_outside(page):
    parsed = Page(page)
    assert parsed.open == [] and parsed.links == []
    assert len(parsed.images) == 6 and all(image["alt"] for image in parsed.images)
    assert "http" not in page and "<script" not in page


def test_page_says_what_it_must(page):
    for words in (
        "suspicious for hepatocellular carcinoma",
        "not a LI-RADS reading",
        "Virtual patient",
        "UNCERTAIN",
        "Lesions under 0.5 ml.",
        "Found &lt;again&gt; &amp; again.",
        "series &lt;script&gt;",
        "@media print",
    ):
        assert words in page
    assert page.count("Research software, not a medical device.") == 2


def test_page_of_a_real_patient_does_not_say_virtual():
    scan, labels, candidates = example_case((Phase.VP,))
    assert "Virtual patient" not in render_report(example_result(scan, labels, candidates, virtual=False))


def test_disagreement_is_told_in_plain_words():
    scan, labels, candidates = example_case((Phase.VP,))
    verdict = VerdictRecord.of(PatientClass.CYST, PatientClass.HCC, EXAMPLE_FACTORS)
    page = render_report(example_result(scan, labels, candidates, verdict=verdict))
    assert "Uncertain: the two settings disagree" in page and "f = 1 gives Cyst and f = 4 gives HCC" in page


def test_rejected_case_shows_the_remedy():
    scan, labels, candidates = example_case((Phase.VP,))
    error = ErrorRecord(code="MASK_NOT_CT", message="vp holds 14 values.", remedy="Give the CT.", stage=Stage.READ)
    changes = {"status": Status.REJECTED, "error": error, "lesions": None, "outputs": None, "verdict": None}
    page = render_report(example_result(scan, labels, candidates, **changes))
    assert "This study cannot be used" in page and "Give the CT." in page and "MASK_NOT_CT" in page
    assert "Findings</h2>" not in page and Page(page).open == []


@pytest.mark.parametrize("lesion_type", LesionType)
def test_no_finding_is_said_to_be_something(lesion_type):
    scan, labels, _ = example_case((Phase.VP,))
    found = [example_candidate(ellipsoid((60, 90, 60), (15, 14, 14), CASE_GRID), lesion_type)]
    page = render_report(example_result(scan, labels, found)).lower()
    assert "suspicious for" in page or "favours" in page
    assert f"is {lesion_type.title.lower()}" not in page and f"is a {lesion_type.title.lower()}" not in page
