"""How alignment is told: measures over the liver, words, pictures, page."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from livercascade.alignment.align_phases import PhaseAlignment, PhaseUse
from livercascade.alignment.displacement_field import DisplacementField
from livercascade.alignment.registration_quality import BeforeAfter, RegistrationQuality
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.report.alignment import alignment_pictures, in_words, measure_alignment
from livercascade.report.html import render_report
from livercascade.report.pictures import ReportPictures
from livercascade.testing.example_results import example_case, example_result


def gated(scan, shift=(0.0, 0.0, 12.0), use=PhaseUse.ALIGNED, offset=0.0, reasons=()):
    """The arterial phase, everywhere displaced by one vector."""
    field = DisplacementField(scan.grid, np.broadcast_to(np.float32(shift), (*scan.grid.shape, 3)).copy())
    away = np.roll(scan.hu[Phase.AP], 2, axis=0)
    quality = RegistrationQuality(
        BeforeAfter(0.61, 0.88), BeforeAfter(0.93, 0.98), None, 0.0, 10.0, 11.0, 12.0, reasons
    )
    return PhaseAlignment(Phase.AP, use, quality, offset, 3.0, away, scan.hu[Phase.AP], field.coarse())


def test_displacement_is_measured_over_the_liver():
    scan, labels, _ = example_case()
    record = measure_alignment(gated(scan, (3.0, 4.0, 12.0)), labels, scan.grid)
    assert record.liver_mean_mm == record.liver_p95_mm == pytest.approx(13.0, abs=0.01)
    assert (record.similarity.before, record.body_overlap.after) == (0.61, 0.98)
    # A shift between headers is told apart.
    apart = measure_alignment(gated(scan, (3.0, 4.0, 212.0), offset=200.0), labels, scan.grid)
    assert apart.liver_mean_mm == pytest.approx(13.0, abs=0.01) and apart.offset_mm == 200
    none = measure_alignment(gated(scan), np.zeros_like(labels), scan.grid)
    assert none.liver_mean_mm is None


def test_words_say_what_was_done():
    scan, labels, _ = example_case()

    def words(**how):
        return in_words(measure_alignment(gated(scan, **how), labels, scan.grid), Phase.VP)

    assert words() == ("moved onto the venous phase: the liver lay 12 mm away on average, 95 % of it within 12 mm.")
    assert "already" in words(shift=(0.0, 0.0, 0.2))
    assert "as the headers place it" in words(use=PhaseUse.UNALIGNED) and "left out" in words(use=PhaseUse.DROPPED)


def flipped(scan, gated_phase):
    """The same case stored from head to foot and from left to right."""
    turned = {p: np.ascontiguousarray(hu[::-1, :, ::-1]) for p, hu in scan.hu.items()}
    nz, _, nx = scan.grid.shape
    grid = Grid.from_affine(
        scan.grid.affine @ np.array([[-1, 0, 0, nz - 1], [0, 1, 0, 0], [0, 0, -1, nx - 1], [0, 0, 0, 1.0]]),
        scan.grid.shape,
    )
    turn = {"before": gated_phase.before[::-1, :, ::-1], "after": gated_phase.after[::-1, :, ::-1]}
    field = gated_phase.field.on(grid)
    other = PhaseAlignment(
        gated_phase.phase, gated_phase.use, gated_phase.quality, 0.0, 3.0, turn["before"], turn["after"], field.coarse()
    )
    return type(scan)(grid, turned, scan.reference), other


def test_pictures_do_not_depend_on_how_a_study_is_stored():
    scan, labels, _ = example_case()
    phase = gated(scan, (5.0, 0.0, 12.0))
    one = alignment_pictures(scan, labels, (phase,))[Phase.AP]
    other_scan, other_phase = flipped(scan, phase)
    two = alignment_pictures(other_scan, labels[::-1, :, ::-1], (other_phase,))[Phase.AP]
    a, b = (np.asarray(Image.open(BytesIO(p.png)), dtype=int) for p in (one, two))
    assert a.shape == b.shape == (one.height, one.width, 3)
    assert (np.abs(a - b) > 24).mean() < 0.01


def test_page_shows_alignment():
    scan, labels, candidates = example_case()
    poor = gated(scan, use=PhaseUse.UNALIGNED, reasons=("the body overlaps by 0.70, under 0.90",))
    record = measure_alignment(poor, labels, scan.grid)
    result = example_result(scan, labels, candidates, alignment=[record])
    pictures = ReportPictures(alignment=alignment_pictures(scan, labels, (poor,)))
    page = render_report(result, pictures)
    assert "Alignment of the phases" in page and "The body overlaps by 0.70, under 0.90." in page
    assert pictures.alignment[Phase.AP].uri in page and pictures.size > 0
    assert "Alignment of the phases" not in render_report(example_result(scan, labels, candidates))
