"""What is no trunk or no liver is refused or gets no verdict, by measures that follow simple laws."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.cascade.plausibility import LIMITS, USUAL_HU, Limit, check_liver, check_trunk, cut_faces, measured
from livercascade.cascade.proposals import propose
from livercascade.cascade.settings import DetectStage
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import Scan
from livercascade.detect.liver_place import LiverPlace, bare_share, beside_spine, cut_shares, inner_radius, under_lungs
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.detect.trunk import Trunk
from livercascade.results.wording import NO_VERDICT
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import VirtualSettings
from trunk_phantom import GRID, SPACING, trunk_phantom


def place_of(scan: Scan, liver: np.ndarray, everything: np.ndarray | None = None) -> LiverPlace:
    trunk = Trunk.of(scan.hu[scan.reference], scan.grid)
    return LiverPlace.of(liver, liver if everything is None else everything, liver, scan, trunk)


def turned(scan: Scan, liver: np.ndarray, *steps: int) -> tuple[Scan, np.ndarray]:
    """The same under a header that is wrong."""
    view = tuple(slice(None, None, s) for s in steps)
    hu = {phase: np.ascontiguousarray(values[view]) for phase, values in scan.hu.items()}
    return Scan(scan.grid, hu, scan.reference), liver[view]


def cut_to(scan: Scan, liver: np.ndarray, *sides: slice) -> tuple[Scan, np.ndarray]:
    hu = {phase: np.ascontiguousarray(values[sides]) for phase, values in scan.hu.items()}
    shape = hu[scan.reference].shape
    return Scan(Grid.axial(shape, SPACING), hu, scan.reference), liver[sides]


@pytest.fixture(scope="module")
def phantom() -> tuple[Scan, np.ndarray]:
    return trunk_phantom()


@pytest.fixture(scope="module")
def usual(phantom: tuple[Scan, np.ndarray]) -> LiverPlace:
    return place_of(*phantom)


def refused(scan: Scan, liver: np.ndarray) -> str:
    with pytest.raises(InputError) as error:
        check_trunk(scan)
        check_liver(place_of(scan, liver))
    assert error.value.remedy and error.value.stage == "segment"
    return error.value.code


def test_the_usual_trunk_and_liver_pass_without_a_word(phantom: tuple[Scan, np.ndarray], usual: LiverPlace) -> None:
    check_trunk(phantom[0])
    assert check_liver(usual) == ()
    assert all(one.is_usual and one.is_possible for one in measured(usual))


@pytest.mark.parametrize("seed", [3, 900_004, 900_008])
def test_virtual_patients_with_their_true_livers_pass(seed: int) -> None:
    patient = make_patient(seed, VirtualSettings(matrix=128, subslices=1))
    scan = Scan(patient.grid, patient.hu, Phase.VP)
    trunk = check_trunk(scan)
    liver = (patient.labels >= 1) & (patient.labels <= 8)
    place = LiverPlace.of(liver, liver, patient.labels == 7, scan, trunk)
    assert {notice.code for notice in check_liver(place)} <= {"LIVER_CUT"}


@pytest.mark.parametrize("steps", [(-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, 1), (-1, 1, -1)])
def test_wrong_orientations_are_refused(phantom: tuple[Scan, np.ndarray], steps: tuple[int, int, int]) -> None:
    assert refused(*turned(*phantom, *steps)) in {"NO_LIVER", "LIVER_IMPLAUSIBLE"}


def test_a_found_liver_of_an_upside_down_scan_is_refused_for_that_alone(phantom: tuple[Scan, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"LIVER_IMPLAUSIBLE.*upside-down"):
        check_liver(place_of(*turned(*phantom, -1, 1, 1)))
    with pytest.raises(InputError, match=r"LIVER_IMPLAUSIBLE.*mirrored"):
        check_liver(place_of(*turned(*phantom, 1, 1, -1)))


@cache
def _usual_place() -> LiverPlace:
    return place_of(*trunk_phantom())


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(LIMITS), st.floats(0.001, 3.0))
def test_beyond_the_usual_there_is_no_verdict_and_beyond_the_possible_no_result(limit: Limit, beyond: float) -> None:
    place = _usual_place()
    for side, step in ((0, -1), (1, 1)):
        for limits, outcome in ((limit.usual, "silent"), (limit.possible, "refused")):
            edge = limits[side]
            if not np.isfinite(edge):
                continue
            value = edge + step * beyond * max(abs(edge), 1.0)
            changed = replace(place, **{limit.measure: value})
            if outcome == "silent" and limit.possible[0] <= value <= limit.possible[1]:
                assert {n.code for n in check_liver(changed)} & NO_VERDICT
            elif not limit.possible[0] <= value <= limit.possible[1]:
                with pytest.raises(InputError, match=r"NO_LIVER|LIVER_IMPLAUSIBLE"):
                    check_liver(changed)


def test_possible_ranges_hold_the_usual_ones() -> None:
    for limit in LIMITS:
        assert limit.possible[0] <= limit.usual[0] < limit.usual[1] <= limit.possible[1]
    for phase in Phase:
        assert USUAL_HU[phase][0] < USUAL_HU[phase][1]


@pytest.mark.parametrize(
    ("hu", "phase", "codes"),
    [
        (105, Phase.VP, set()),
        (55, Phase.NC, set()),
        (-20, Phase.NC, set()),
        (-20, Phase.VP, {"LIVER_UNUSUAL"}),
        (160, Phase.NC, {"LIVER_UNUSUAL"}),
        (-100, Phase.VP, {"LIVER_IMPLAUSIBLE"}),
        (400, Phase.AP, {"LIVER_IMPLAUSIBLE"}),
    ],
)
def test_hu_fit_the_phase(hu: float, phase: Phase, codes: set[str]) -> None:
    place = place_of(*trunk_phantom(phase, hu))
    try:
        got = {notice.code for notice in check_liver(place)}
    except InputError as error:
        got = {error.code}
    assert got == codes


@pytest.mark.parametrize(("side", "face"), [(slice(29, None), "lower"), (slice(None, 29), "upper")])
def test_half_a_liver_gets_no_verdict(phantom: tuple[Scan, np.ndarray], side: slice, face: str) -> None:
    scan, liver = cut_to(*phantom, side, slice(None), slice(None))
    notices = check_liver(place_of(scan, liver))
    assert "LIVER_PARTIAL" in {notice.code for notice in notices}
    assert face in notices[0].message


def test_a_liver_cut_in_the_plane_gets_no_verdict(phantom: tuple[Scan, np.ndarray]) -> None:
    scan, liver = cut_to(*phantom, slice(None), slice(None), slice(32, None))
    assert "right" in cut_faces(place_of(scan, liver))


def test_an_end_that_is_touched_is_told_and_the_verdict_stays(phantom: tuple[Scan, np.ndarray]) -> None:
    first = int(np.flatnonzero(phantom[1].any(axis=(1, 2)))[0])
    scan, liver = cut_to(*phantom, slice(first + 2, None), slice(None), slice(None))
    assert [notice.code for notice in check_liver(place_of(scan, liver))] == ["LIVER_CUT"]


def test_small_and_missing_livers(usual: LiverPlace) -> None:
    assert {n.code for n in check_liver(replace(usual, volume_ml=400.0))} == {"SMALL_LIVER"}
    with pytest.raises(InputError, match=r"NO_LIVER.*149 ml"):
        check_liver(replace(usual, volume_ml=149.0))
    dome = replace(usual, volume_ml=80.0, lung_below_cm2=90.0)
    assert "LIVER_PARTIAL" in {n.code for n in check_liver(dome)}


def test_with_the_volume_alone_whatever_is_large_enough_passes(usual: LiverPlace) -> None:
    odd = replace(usual, right_share=0.0, radius_mm=5.0, volume_ml=300.0, cut_shares=(0.9,) * 6, end_mm2=(5000.0, 0.0))
    assert [n.code for n in check_liver(odd, volume_alone=True)] == ["LIVER_CUT"]
    with pytest.raises(InputError, match=r"NO_LIVER"):
        check_liver(replace(odd, volume_ml=149.0), volume_alone=True)


def test_without_any_lung_a_long_scan_is_refused_and_a_short_one_gets_no_verdict(usual: LiverPlace) -> None:
    without = replace(usual, lung_above_mm=None, dome_above_mm=None)
    with pytest.raises(InputError, match=r"LIVER_IMPLAUSIBLE.*hardly any lung"):
        check_liver(replace(without, scan_above_mm=60.0))
    assert {n.code for n in check_liver(replace(without, scan_above_mm=10.0))} == {"LIVER_UNUSUAL"}


def test_what_is_no_trunk_is_refused_before_any_network() -> None:
    _, y, x = np.meshgrid(
        *[(np.arange(n) - n / 2) * s for n, s in zip(GRID.shape, SPACING, strict=True)], indexing="ij"
    )
    rng = np.random.default_rng(0)
    cylinder = np.where((y / 100) ** 2 + (x / 150) ** 2 <= 1, 105, -1000)
    scan, _ = trunk_phantom()
    ct = scan.hu[scan.reference]
    mr = np.interp(ct, (-1000, -850, -100, 50, 105, 300), (-1000, -940, 500, -200, -100, 50)).astype(np.int16)
    for hu, codes in (
        (np.full(GRID.shape, -1000), {"NO_LIVER"}),
        (cylinder, {"NO_LIVER"}),
        (rng.normal(0, 300, GRID.shape), {"NO_LIVER", "NOT_HU"}),
        (np.where(np.abs(y - 120) < 5, 150, -1000), {"NO_LIVER"}),
        (mr, {"NOT_HU", "NO_LIVER"}),
    ):
        with pytest.raises(InputError) as error:
            check_trunk(Scan(GRID, {Phase.VP: hu.astype(np.int16)}, Phase.VP))
        assert error.value.code in codes


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(4, 14)] * 3), st.integers(3, 9))
def test_measures_of_boxes_are_known(sides: tuple[int, int, int], start: int) -> None:
    scan, _ = trunk_phantom()
    trunk = Trunk.of(scan.hu[scan.reference], GRID)
    box = np.zeros(GRID.shape, dtype=bool)
    box[tuple(slice(20 + start, 20 + start + n) for n in sides)] = True
    shares = cut_shares(box)
    assert shares == (0,) * 6
    # Distances are from voxel centre to the nearest centre outside: half a side, to the rounding of a voxel.
    least = min(n * s for n, s in zip(sides, trunk.spacing, strict=True))
    assert abs(inner_radius(box, trunk) - least / 2) <= max(trunk.spacing) / 2 + 1e-6
    right, _ = beside_spine(box, trunk)
    mirrored, _ = beside_spine(box[:, :, ::-1], trunk)
    assert right is not None and mirrored is not None
    # The middle of the spine itself belongs to neither side.
    assert right + mirrored == pytest.approx(1, abs=2 / sides[2] + 1e-9)
    above, dome = under_lungs(box, trunk)
    lower, lower_dome = under_lungs(np.roll(box, -2, axis=0), trunk)
    assert above is not None and lower is not None and dome is not None and lower_dome is not None
    assert lower - above == pytest.approx(2 * trunk.spacing[0]) == pytest.approx(dome - lower_dome)
    assert bare_share(box, trunk) == 0


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_where_nothing_or_only_air_is_called_liver_there_is_none(factor: float) -> None:
    scan, liver = trunk_phantom()
    air = np.zeros(GRID.shape, dtype=np.uint8)
    air[:, :6, :6] = 7
    for other in (np.zeros(GRID.shape, dtype=np.uint8), air):
        far = np.full(GRID.shape, 9.0, dtype=np.float32)
        sensitivity = SensitivityMap(np.ones(GRID.shape, dtype=np.uint8), other, far)
        for strict in (True, False):
            with pytest.raises(InputError, match=r"NO_LIVER.*0 ml"):
                propose(sensitivity, scan, DetectStage(high_factor=factor, check_liver=strict))
    both = np.where(liver, np.uint8(7), air)
    found = propose(SensitivityMap(np.ones(GRID.shape, dtype=np.uint8), both, far), scan, DetectStage())
    assert np.array_equal(found.liver, liver) and found.warnings == ()
