import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES
from livercascade.io.phase_from_image import OrganHu, measure_organ_hu, phase_probabilities
from livercascade.io.phase_identification import MIN_CONFIDENCE, PhaseEvidence, identify_phases, stand_in

NC, AP, VP, DP = PHASES


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


def seen(name, aorta, liver, **more):
    """Evidence of one volume with these HU."""
    organs = OrganHu(float(aorta), float(liver))
    return PhaseEvidence(name, phase_probabilities(organs), organs=organs, **more)


patients = st.tuples(st.floats(0.75, 1.35), st.floats(35, 65))


@settings(max_examples=60)
@given(patients, st.permutations(range(4)), st.data())
def test_four_phases_of_one_patient_are_right_or_unknown(patient, order, data):
    """By HU alone, whatever the dose and the liver: together they share both."""
    gain, liver = patient
    typical = ((NC, 0, 0), (AP, 255, 15), (VP, 112, 50), (DP, 67, 34))
    noise = [data.draw(st.floats(-5, 5)) for _ in range(8)]
    evidence = [
        seen(str(k), 43 + gain * typical[k][1] + noise[2 * k], liver + gain * typical[k][2] + noise[2 * k + 1])
        for k in order
    ]
    for k, decision in zip(order, stand_in(evidence, identify_phases(evidence)), strict=True):
        assert decision.phase is typical[k][0] or not decision.known
        assert decision.known or decision.confidence < MIN_CONFIDENCE


def test_a_doubt_is_no_phase():
    """An arterial series taken as delayed with trust 0.53."""
    (doubt,) = identify_phases([PhaseEvidence("a", {NC: 0.02, AP: 0.45, VP: 0.0, DP: 0.53})])
    assert not doubt.known and doubt.notices == ()
    (nothing,) = identify_phases([PhaseEvidence("a")])
    assert not nothing.known and nothing.confidence == pytest.approx(0.25)


def test_the_only_late_volume_stands_in_for_the_venous_phase():
    def decided(*evidence):
        return stand_in(evidence, identify_phases(evidence))

    late = seen("late", 128, 100)
    assert not identify_phases([late])[0].known
    (alone,) = decided(late)
    assert (alone.phase, alone.known) == (VP, True) and alone.notices[-1].code == "PHASE_UNKNOWN"
    # Where another may be the venous phase, or order alone says late, nothing is guessed.
    assert not any(d.known for d in decided(PhaseEvidence("a", text=None), PhaseEvidence("b")))
    blank = [PhaseEvidence(str(k), time=100.0 * k) for k in range(4)]
    assert not any(n.code == "PHASE_UNKNOWN" for d in decided(*blank) for n in d.notices)
    first, second = decided(seen("venous", 150, 108, text=(VP, 0.95)), late)
    assert first.phase is VP and (second.phase is not VP or not second.known)


def test_gaps_between_acquisitions_tell_venous_from_delayed():
    """Case of midnight: both look alike, and one begins 40 s after the arterial phase, the other 230 s."""
    volumes = [seen("a", 312, 70, time=0.0), seen("b", 131, 98, time=40.0), seen("c", 131, 98, time=230.0)]
    assert [(d.phase, d.known) for d in identify_phases(volumes)] == [(AP, True), (VP, True), (DP, True)]


def test_the_clock_counts_like_words():
    likelihood = {NC: 0.03, AP: 0.91, VP: 0.03, DP: 0.03}
    (found,) = identify_phases([PhaseEvidence("a", clock=likelihood)])
    assert (found.phase, found.source, found.known) == (AP, "tags", True)
    (against,) = identify_phases([PhaseEvidence("a", text=(VP, 0.95), clock=likelihood)])
    assert not against.known


def test_an_agent_that_others_lack_speaks_against_non_contrast():
    unsure = {NC: 0.5, AP: 0.5, VP: 0.0, DP: 0.0}
    with_, without = identify_phases([PhaseEvidence("a", unsure, agent=True), PhaseEvidence("b", unsure, agent=False)])
    assert with_.shares[NC] < 0.4 < without.shares[NC]
