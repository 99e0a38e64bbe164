import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES
from livercascade.io.phase_from_image import OrganHu, measure_organ_hu, phase_probabilities
from livercascade.io.phase_identification import PhaseEvidence, guess_from_texts, identify_phases

NC, AP, VP, DP = PHASES


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("ABD W/O CONTRAST", NC),
        ("Non-contrast 5.0", NC),
        ("PRE LIVER", NC),
        ("Leber nativ", NC),
        ("Foie sans injection", NC),
        ("上腹平扫", NC),
        ("Arterial phase 1.25mm", AP),
        ("late arterial", AP),
        ("LATE_ART 3.0", AP),
        ("temps artériel", AP),
        ("动脉期", AP),
        ("AP 5mm", AP),
        ("Abd Portal Venous", VP),
        ("PV 2.5", VP),
        ("portal-venös", VP),
        ("fase venosa", VP),
        ("門脈相", VP),
        ("delayed 3 min", DP),
        ("Equilibrium", DP),
        ("LATE 5.0", DP),
        ("temps tardif", DP),
        ("Spätphase", DP),
        ("LIVER 3 PHASE (AP)", None),
        ("Recon 2: LIVER 3 PHASE (AP)", None),
        ("CT ABD AP", None),
        ("arterial and venous", None),
        ("Abdomen 5.0 B30f", None),
        ("PARTIAL VENTRICLE NATIONAL", None),
        ("", None),
    ],
)
def test_words(text, phase):
    guess = guess_from_texts([text])
    assert (guess[0] if guess else None) is phase


def test_later_texts_are_trusted_less():
    first, second = guess_from_texts(["venous", "arterial"]), guess_from_texts(["", "arterial"])
    assert first[0] is VP and second[0] is AP and second[1] < first[1]


def image(phase, share=0.97):
    return {p: share if p is phase else (1 - share) / 3 for p in PHASES}


evidence = st.builds(
    lambda weights, text, time: PhaseEvidence(
        "s", {p: w / sum(weights) for p, w in zip(PHASES, weights, strict=True)}, text, time
    ),
    st.tuples(*[st.floats(0.01, 1)] * 4),
    st.none() | st.tuples(st.sampled_from(PHASES), st.floats(0.7, 0.95)),
    st.none() | st.floats(0, 1000),
)


@settings(max_examples=40)
@given(st.lists(evidence, min_size=0, max_size=4), st.randoms())
def test_decisions_are_probabilities_and_do_not_depend_on_the_order_of_files(several, random):
    decisions = identify_phases(several)
    assert all(0 <= d.confidence <= 1 for d in decisions)
    mixed = list(range(len(several)))
    random.shuffle(mixed)
    again = identify_phases([several[i] for i in mixed])
    if all(d.confidence > 0.5 for d in decisions):
        assert [d.confidence for d in again] == pytest.approx([decisions[i].confidence for i in mixed], abs=2e-3)


def test_agreeing_sources_and_conflicts():
    both, tag, sure = identify_phases(
        [
            PhaseEvidence("a", image(AP), (AP, 0.95)),
            PhaseEvidence("b", text=(DP, 0.95)),
            PhaseEvidence("c", image(VP, 0.999), (NC, 0.85)),
        ]
    )
    assert (both.phase, both.source, both.notices) == (AP, "tags+image", ())
    assert (tag.phase, tag.source) == (DP, "tags")
    assert (sure.phase, sure.source) == (VP, "image") and sure.notices[0].code == "PHASE_CONFLICT"
    weak = identify_phases([PhaseEvidence("d", image(VP, 0.92), (AP, 0.95))])[0]
    assert weak.phase is AP and weak.notices[0].code == "PHASE_CONFLICT"


def test_order_settles_what_the_image_leaves_open():
    like_both = {NC: 0.0, AP: 0.0, VP: 0.55, DP: 0.45}
    late, early = identify_phases(
        [PhaseEvidence("b", like_both, time=400.0), PhaseEvidence("a", like_both, time=100.0)]
    )
    assert (early.phase, late.phase, late.source) == (VP, DP, "order")
    four = identify_phases([PhaseEvidence(str(i), time=100.0 * i) for i in range(4)])
    assert [d.phase for d in four] == list(PHASES)
    parts = identify_phases(
        [PhaseEvidence("a", like_both, series="x", part=2), PhaseEvidence("b", like_both, series="x", part=1)]
    )
    assert [d.phase for d in parts] == [DP, VP]


def abdomen(aorta, liver, spacing=(5.0, 1.5, 1.5)):
    """Body with a vertebra, its canal, an aorta before it and a liver on the right."""
    grid = Grid.axial((24, 160, 220), spacing)
    _, y, x = np.indices(grid.shape)
    y, x = (y - 80) * spacing[1], (x - 110) * spacing[2]
    hu = np.where((x / 155) ** 2 + (y / 110) ** 2 < 1, 55.0, -1000.0)
    hu[(x < -40) & ((x / 140) ** 2 + (y / 95) ** 2 < 1)] = liver
    hu[np.hypot(x, y - 60) < 12] = 350
    hu[np.hypot(x, y - 60) < 8] = 30
    hu[np.hypot(x, y - 30) < 17] = 230
    hu[np.hypot(x - 10, y - 2) < 10] = aorta
    return (hu + np.random.default_rng(0).normal(0, 12, hu.shape)).astype(np.int16), grid


@pytest.mark.parametrize(
    ("aorta", "liver", "phase"),
    [(42, 57, NC), (310, 68, AP), (240, 75, AP), (155, 110, VP), (104, 88, DP), (35, 20, NC)],
)
def test_phase_from_a_made_up_abdomen(aorta, liver, phase):
    found = measure_organ_hu(*abdomen(aorta, liver))
    if phase is not NC:
        assert found.aorta == pytest.approx(aorta, abs=15)
    assert found.liver == pytest.approx(liver, abs=6)
    probabilities = phase_probabilities(found)
    assert max(probabilities, key=probabilities.get) is phase


def test_nothing_measured_says_nothing():
    blank = measure_organ_hu(np.full((10, 64, 64), -1000, np.int16), Grid.axial((10, 64, 64), (5.0, 1.5, 1.5)))
    assert blank == OrganHu(None, None)
    assert set(phase_probabilities(blank).values()) == {0.25}
