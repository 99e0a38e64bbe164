"""Lesions: plans follow the paper, bodies have their volume, zones their share, segments theirs."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.labels import LesionType, PatientClass
from livercascade.virtual.lesions.enhancement_pattern import Zone, ZoneExtent, radius_mm
from livercascade.virtual.lesions.lesion_painting import draw_pattern, paint_lesions, zone_curves
from livercascade.virtual.lesions.lesion_plan import TABLE_I, PlannedLesion, draw_plan
from livercascade.virtual.lesions.lesion_shape import LesionOutline, cut, grow
from livercascade.virtual.lesions.liver_sites import CAUDATE_SHARE, SECTORS, segments
from livercascade.virtual.randomness import StreamPurpose, random_stream
from livercascade.virtual.tissue import FIRST_PART, LIVER_TISSUES, Tissue
from livercascade.virtual.virtual_settings import CaseMix
from virtual_phantom import phantom

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.sampled_from(CaseMix))
def test_companions_never_change_the_class(seed, mix):
    plan = draw_plan(mix, np.random.default_rng(seed))
    counted = [lesion.label for lesion in plan.lesions if lesion.volume_ml >= 0.5]
    if mix is not CaseMix.TRAINING:
        assert (PatientClass.of(min(counted)) if counted else PatientClass.NORMAL) is plan.intended
    assert list(plan.lesions) == sorted(plan.lesions, key=lambda lesion: -lesion.volume_ml)


def test_diagnosis_plans_have_the_papers_lesions():
    rng = np.random.default_rng(1)
    plans = [draw_plan(CaseMix.DIAGNOSIS, rng) for _ in range(1500)]
    counted = [lesion for plan in plans for lesion in plan.lesions if lesion.volume_ml >= 0.5]
    found = Counter(lesion.label for lesion in counted)
    for kind, paper in TABLE_I.items():
        # Totals of 331 patients, within the paper's own chance (three Poisson SDs).
        assert abs(found[kind] * 331 / 1500 - sum(paper)) < 3 * np.sqrt(sum(paper))
    assert abs(np.mean([plan.intended.malignant for plan in plans]) - 261 / 331) < 0.04
    tiny = sum(lesion.volume_ml < 0.5 for plan in plans for lesion in plan.lesions)
    assert 0.25 < tiny / len(counted) < 0.55


def test_screening_plans_are_mostly_healthy():
    rng = np.random.default_rng(2)
    classes = [draw_plan(CaseMix.SCREENING, rng).intended for _ in range(1500)]
    malignant = np.mean([c.malignant for c in classes])
    assert 0.02 < malignant < 0.05 and 0.20 < np.mean([c.group == "benign" for c in classes]) < 0.25


@given(SEEDS, st.floats(0.5, 60), st.floats(0.04, 0.22), st.floats(0, 0.15))
@settings(max_examples=12, derandomize=True)
def test_a_body_has_its_volume_in_the_liver_and_apart_from_others(seed, volume, ripple, lobes):
    made = phantom()
    rng = np.random.default_rng(seed)
    tissue_map = made.tissue_map
    tissue_map.values[30:36, 30:36, 30:36] = FIRST_PART
    spot = made.liver.places[int(rng.integers(len(made.liver.places)))]
    body = grow(tissue_map, tuple(map(float, spot)), volume, LesionOutline(ripple, 1.0, lobes), LIVER_TISSUES, rng)
    if body is None:
        return
    box, depth = body
    inside = depth > 0
    assert np.isin(tissue_map.values[box][inside], LIVER_TISSUES).all()
    assert 0.25 * volume < inside.sum() * tissue_map.voxel_ml < 1.02 * volume + 2 * tissue_map.voxel_ml
    grown = np.zeros_like(tissue_map.values, dtype=bool)
    grown[box] = inside
    part = tissue_map.values == FIRST_PART
    assert not (np.roll(part, 1, 2) & grown).any() and not (np.roll(part, -1, 0) & grown).any()


def test_deep_in_the_liver_the_volume_is_exact():
    made = phantom()
    for seed in range(4):
        body = grow(
            made.tissue_map,
            (0.0, 0.0, -10.0),
            20.0,
            LesionOutline(0.1, 1.0),
            LIVER_TISSUES,
            np.random.default_rng(seed),
        )
        assert body is not None
        assert (body[1] > 0).sum() * made.tissue_map.voxel_ml == pytest.approx(20.0, rel=0.03)


@pytest.mark.parametrize("where", list(ZoneExtent))
def test_zones_lie_inside_and_take_their_share(where):
    made, rng = phantom(), np.random.default_rng(3)
    body = grow(made.tissue_map, (0.0, 0.0, -10.0), 60.0, LesionOutline(0.08, 1.0), LIVER_TISSUES, rng)
    assert body is not None
    _, depth = body
    inside = depth > 0
    mask = cut(Zone("z", (0, 0, 0, 0), where, mm=6.0, share=0.4), depth, inside, made.tissue_map, rng)
    assert not (mask & ~inside).any() and mask.any()
    share = mask.sum() / inside.sum()
    if where is ZoneExtent.WHOLE:
        assert share == 1
    elif where is ZoneExtent.CENTRE:
        assert share == pytest.approx(0.4, abs=0.02) and depth[mask].mean() > depth[inside].mean()
    elif where in (ZoneExtent.RIM, ZoneExtent.NODULES):
        assert depth[mask].mean() < depth[inside & ~mask].mean() and share < 0.6
    else:
        assert 0 < share < 0.6


def test_segments_have_the_shares_of_the_literature():
    made = phantom()
    names = segments(made.liver.places, made.hilum)
    share = {name: float((names == name).mean()) for name in np.unique(names)}
    assert share["I"] == pytest.approx(CAUDATE_SHARE, abs=0.01)
    for (upper, lower), high, low in SECTORS:
        assert share[upper] == pytest.approx(high / 100, abs=0.02) and share[lower] == pytest.approx(
            low / 100, abs=0.02
        )
    # x grows to the left, z to the head.
    right, left = (made.liver.places[names == name, 2].mean() for name in ("VI", "III"))
    assert right < left and made.liver.places[names == "VIII", 0].mean() > made.liver.places[names == "V", 0].mean()


# Mean HU of sub-types against the literature's table: part, NC, AP, VP, DP, tolerance of a mean over draws.
@pytest.mark.parametrize(
    ("kind", "pattern", "zone", "hu"),
    [
        (LesionType.HCC, "HCC classic", "viable", (46, 105, 88, 71)),
        (LesionType.HCC, "HCC capsule", "capsule", (48, 55, 100, 103)),
        (LesionType.ICC, "ICC mass-forming", "centre", (36, 48, 62, 92)),
        (LesionType.ICC, "ICC mass-forming", "rim", (40, 88, 98, 92)),
        (LesionType.META, "Meta target", "centre", (40, 47, 58, 62)),
        (LesionType.META, "Meta hypervascular", "viable", (44, 118, 92, 78)),
        (LesionType.OTHER, "FNH", "body", (51, 118, 112, 90)),
        (LesionType.OTHER, "FNH", "scar", (40, 55, 75, 105)),
        (LesionType.OTHER, "adenoma", "body", (56, 80, 110, 88)),
        (LesionType.CYST, "cyst", "fluid", (6, 7, 8, 8)),
    ],
)
def test_sub_types_enhance_as_published(kind, pattern, zone, hu):
    made, rng = phantom(5), np.random.default_rng(4)
    drawn = []
    while len(drawn) < 40:
        found = draw_pattern(kind, 20.0, made.physiology, rng)
        if found.name == pattern:
            zones = {z.name: z.curve for z in found.zones}
            drawn += [zones[zone]] if zone in zones else []
    np.testing.assert_allclose(np.mean(drawn, axis=0), hu, atol=7)


def test_washout_tells_hcc_from_other_bright_lesions():
    """An oracle of the textbook: HCC falls below the cirrhotic liver late, FNH and haemangioma do not."""
    made, rng = phantom(6, cirrhotic=True), np.random.default_rng(5)
    late = {}
    for kind, pattern in ((LesionType.HCC, "HCC classic"), (LesionType.HEM, "Hem typical"), (LesionType.OTHER, "FNH")):
        gaps = []
        while len(gaps) < 60:
            found = draw_pattern(kind, 20.0, made.physiology, rng)
            if found.name == pattern:
                curves, _ = zone_curves(found, made.physiology, rng)
                gaps.append(max(curve[3] for curve in curves.values()) - made.physiology.liver[3])
        late[pattern] = np.median(gaps)
    assert late["HCC classic"] < 0 < late["FNH"] and late["Hem typical"] > late["HCC classic"] + 15


def test_one_lesion_more_does_not_change_the_others():
    few, many = (
        [PlannedLesion(LesionType.META, 8.0)],
        [PlannedLesion(LesionType.META, 8.0), PlannedLesion(LesionType.CYST, 2.0)],
    )
    one, two = (paint_lesions(phantom(), plan, 9)[0] for plan in (few, many))
    assert len(two) == 2 and two[0] == one[0] and sum(two[0].shares.values()) == pytest.approx(1, abs=0.01)


def test_what_lesions_do_round_themselves():
    effects = Counter()
    for seed in range(6):
        made = phantom(seed)
        lesions, mimics = paint_lesions(made, [PlannedLesion(LesionType.ICC, 25.0)] * 2, seed)
        effects.update(effect for lesion in lesions for effect in lesion.effects)
        ducts = [mimic for mimic in mimics if mimic.kind == "ducts beyond a lesion"]
        assert len(ducts) == sum("dilated ducts" in lesion.effects for lesion in lesions)
        for lesion in lesions:
            if "satellite" in lesion.effects:
                assert lesion.volume_ml < 0.5
    assert effects["dilated ducts"] and effects["capsular retraction"] + effects["satellite"]


def test_implants_lie_flat_on_the_capsule_and_partly_outside():
    outside = 0
    for seed in range(8):
        made = phantom()
        before = made.tissue_map.values.copy()
        lesions, _ = paint_lesions(made, [PlannedLesion(LesionType.OTHER, 6.0)], seed)
        if lesions and lesions[0].pattern == "implant":
            painted = made.tissue_map.values >= FIRST_PART
            outside += int((before[painted] == Tissue.FAT).sum())
            assert lesions[0].site == "lens"
    assert outside > 0


@given(SEEDS, st.sampled_from(StreamPurpose), st.sampled_from(StreamPurpose))
def test_streams_of_subjects_are_their_own(seed, one, other):
    first, second = (random_stream(seed, subject).random(4) for subject in (one, other))
    assert (one is other) == np.array_equal(first, second)
    assert radius_mm(4.18879) == pytest.approx(10.0, abs=1e-3)
