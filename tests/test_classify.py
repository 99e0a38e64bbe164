"""Types from enhancement: measures against the phantom's own numbers, laws of the features, the bundled model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from livercascade.cascade.cascade import load_classifier
from livercascade.cascade.proposals import Proposals, typed
from livercascade.cascade.settings import CascadeSettings, ClassifyStage, TypesFrom
from livercascade.classify.enhancement import FORM, LEVELS, NUM_FEATURES, Background, Enhancement, measure
from livercascade.classify.lesion_classifier import EnhancementClassifier, weighted
from livercascade.classify.type_network import TypeNetwork, TypesCard, load_types, save_types
from livercascade.cli.models import app as models_app
from livercascade.data.class_priors import EVEN, PAPER
from livercascade.data.errors import ModelError
from livercascade.data.labels import LESION_TYPES, PHASES, LesionType, Phase
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.models.bundled import bundled
from livercascade.reproduce.predictions import NetworkFolders
from livercascade.testing.phantoms import ENHANCING_GRID, ENHANCING_LIVER, ENHANCING_VESSELS, PhaseHu, enhancing_phantom

HCC: PhaseHu = (46, 108, 86, 70)
CENTRE: PhaseHu = (40, 47, 58, 62)
RIM: PhaseHu = (43, 84, 84, 72)


def measured(core: PhaseHu, rim: PhaseHu | None = None, **kinds: object) -> Enhancement:
    scan, labels, lesion = enhancing_phantom(core, rim, **kinds)  # type: ignore[arg-type]
    return measure(scan, labels, lesion, Background.measure(scan, labels))


def named(enhancement: Enhancement) -> dict[str, np.ndarray]:
    return dict(zip(LEVELS, enhancement.levels.T, strict=True))


def test_levels_are_the_phantoms_own_numbers() -> None:
    levels = named(measured(CENTRE, RIM, radius_mm=18.0))
    assert np.array_equal(levels["core"], np.array(CENTRE))
    assert np.array_equal(levels["core against liver"], np.array(CENTRE) - ENHANCING_LIVER)
    assert np.array_equal(levels["95th percentile against hepatic vessels"], np.array(RIM) - ENHANCING_VESSELS)
    # The rim is what lies less deep than half: a little of the centre is in it.
    assert (np.abs(levels["rim against liver"] - (np.array(RIM) - ENHANCING_LIVER)) <= 1).all()


def test_form_is_that_of_a_ball() -> None:
    form = dict(zip(FORM, measured(HCC, radius_mm=20.0).form, strict=True))
    assert np.exp(form["log of ml"]) == pytest.approx(4 / 3 * np.pi * 8, rel=0.1)
    assert form["depth in mm"] == pytest.approx(20, abs=3)
    assert form["fullness"] == pytest.approx(1, abs=0.3)


@given(st.integers(-60, 60))
@settings(max_examples=15)
def test_a_shift_of_all_hu_changes_nothing_that_is_told(shift: int) -> None:
    before, after = named(measured(CENTRE, RIM)), named(measured(CENTRE, RIM, shift=shift))
    for name in LEVELS:
        assert after[name] == pytest.approx(before[name] + (shift if name == "core" else 0), abs=1e-3)
    # What the type is told from does not move at all: another scanner's HU make no other type.
    features = [measured(CENTRE, RIM, shift=by).features() for by in (0, shift)]
    assert features[0] == pytest.approx(features[1], abs=1e-3)


@given(st.lists(st.booleans(), min_size=4, max_size=4))
def test_hidden_phases_are_as_absent_ones(seen: list[bool]) -> None:
    if not any(seen):
        return
    kept = tuple(phase for phase, there in zip(PHASES, seen, strict=True) if there)
    hidden = measured(CENTRE, RIM).features(np.array(seen))
    absent = measured(CENTRE, RIM, phases=kept).features()
    assert hidden.shape == (NUM_FEATURES,)
    assert np.array_equal(hidden, absent, equal_nan=True)
    known = ~np.isnan(hidden)
    assert known[: len(FORM)].all() and known[len(FORM) :].any()


def test_a_phase_without_data_in_the_lesion_counts_as_absent() -> None:
    scan, labels, lesion = enhancing_phantom(HCC)
    holed = scan.hu[Phase.AP].copy()
    holed[lesion.bbox][lesion.mask] = -1024
    levels = measure(
        Scan(scan.grid, {**scan.hu, Phase.AP: holed}, Phase.VP), labels, lesion, Background.measure(scan, labels)
    ).levels
    assert np.isnan(levels[1]).all() and not np.isnan(levels[[0, 2, 3]]).any()


TEXTBOOK = {
    # Middle of each pattern in the literature; the metastasis has a rim, the haemangioma fills at once.
    LesionType.HCC: enhancing_phantom(HCC, noise=8.0),
    LesionType.META: enhancing_phantom(CENTRE, RIM, radius_mm=14.0, noise=8.0),
    LesionType.HEM: enhancing_phantom((40, 225, 160, 112), radius_mm=9.0, noise=8.0),
    LesionType.CYST: enhancing_phantom((6, 7, 8, 8), noise=8.0),
}


@pytest.mark.parametrize("kind", TEXTBOOK, ids=lambda kind: kind.title)
def test_textbook_lesions_get_their_types_from_the_bundled_model(kind: LesionType) -> None:
    scan, labels, lesion = TEXTBOOK[kind]
    (chances,) = EnhancementClassifier.load(bundled("types")).types(scan, labels, [lesion], PAPER)
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    assert max(chances, key=lambda t: chances[t]) is kind


@given(st.integers(0, 10**6))
def test_other_shares_follow_bayes_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(6), 4).astype(np.float32)
    assert np.array_equal(weighted(chances, EVEN, None), chances)
    assert weighted(chances, EVEN, EVEN) == pytest.approx(chances, abs=1e-5)
    told = weighted(chances, EVEN, PAPER)
    literal = chances * np.array(PAPER) / np.array(EVEN)
    assert told == pytest.approx(literal / literal.sum(axis=1, keepdims=True), abs=1e-5)
    assert weighted(told, PAPER, EVEN) == pytest.approx(chances, abs=1e-4)


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=25)
def test_types_change_no_voxel_of_any_f_and_agree_at_both(seed: int, paired: bool) -> None:
    scan, labels, _ = enhancing_phantom(HCC, noise=5.0)
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 0.6, size=(14, *ENHANCING_GRID.shape)).astype(np.float32)
    inside = labels > 0
    for label in range(1, 7):
        z, y, x = (int(rng.integers(3, n - 4)) for n in ENHANCING_GRID.shape)
        logits[label, z - 2 : z + 2, y - 3 : y + 3, x - 3 : x + 3] += 3.0 if paired else float(rng.uniform(1, 4))
    logits[7, inside] += 2.5
    smap = SensitivityMap.from_logits(logits)
    low, high = smap.mask(1.0), smap.mask(4.0)
    before = Proposals(low, high, seg2det(low, ENHANCING_GRID), seg2det(high, ENHANCING_GRID), smap, inside, 0)
    after = typed(before, scan, EnhancementClassifier.load(bundled("types")), None)
    for factor in (0.5, 1.0, 4.0, 16.0):
        one, other = smap.mask(factor), after.sensitivity.mask(factor)
        lesion = (one >= 1) & (one <= 6)
        assert np.array_equal(lesion, (other >= 1) & (other <= 6))
        assert np.array_equal(one[~lesion], other[~lesion])
    assert np.array_equal(after.low, after.sensitivity.mask(1.0))
    assert np.array_equal(after.high, after.sensitivity.mask(4.0))
    for found, mask in ((after.det_low, after.low), (after.det_high, after.high)):
        again = seg2det(mask, ENHANCING_GRID)
        assert [(a.label, a.bbox, a.type_volumes) for a in found] == [(b.label, b.bbox, b.type_volumes) for b in again]
    assert [c.network_type for c in after.types] == [lesion.label for lesion in before.det_high]
    assert all(
        lesion.label is max(c.probabilities, key=lambda t, c=c: c.probabilities[t])
        for lesion, c in zip(after.det_high, after.types, strict=True)
    )


def test_with_nc_alone_types_stay_those_of_the_network() -> None:
    scan, labels, lesion = enhancing_phantom(HCC, phases=(Phase.NC,))
    found = seg2det(labels, ENHANCING_GRID)
    smap = SensitivityMap(np.ones_like(labels), np.full_like(labels, 7), np.zeros(labels.shape, np.float32))
    before = Proposals(labels, labels, found, found, smap, labels > 0, 0)
    assert typed(before, scan, EnhancementClassifier.load(bundled("types")), PAPER) is before
    assert len(found) == 1 and found[0].volume_ml == lesion.volume_ml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_types(tmp_path / "types", TypesCard(version="1", members=2, hidden=8, temperature=1.3), TypeNetwork(2, 8, 1.3))
    return tmp_path / "types"


def test_a_model_comes_back_as_it_was_saved(folder: Path) -> None:
    torch.manual_seed(0)
    made = TypeNetwork(2, 8, 1.3).eval()
    card, network = load_types(folder)
    features = torch.randn(5, NUM_FEATURES)
    features[1, 10:] = torch.nan
    assert card.sha256
    torch.testing.assert_close(network(features), made(features))
    assert network(features).sum(1).tolist() == pytest.approx([1.0] * 5, abs=1e-5)
    # The mean of probabilities, not of logits.
    each = [torch.softmax(m(features) / 1.3, 1) for m in made.members]
    assert torch.allclose(network(features), (each[0] + each[1]) / 2)


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda f: (f / "weights.safetensors").unlink(), "MODEL_MISSING"),
        (lambda f: (f / "weights.safetensors").write_bytes(b"x"), "MODEL_HASH"),
        (lambda f: (f / "model.json").write_text("{}"), "MODEL_MISMATCH"),
        (
            lambda f: (f / "model.json").write_text(
                json.dumps(json.loads((f / "model.json").read_text()) | {"form": ["size"]})
            ),
            "MODEL_MISMATCH",
        ),
        (
            lambda f: (f / "model.json").write_text(
                json.dumps(json.loads((f / "model.json").read_text()) | {"hidden": 9})
            ),
            "MODEL_MISMATCH",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused(folder: Path, harm, code: str) -> None:
    harm(folder)
    with pytest.raises(ModelError) as caught:
        load_types(folder)
    assert caught.value.code == code


def test_the_order_of_lesions_and_their_labels_do_not_matter() -> None:
    scan, labels, lesion = enhancing_phantom(CENTRE, RIM, noise=5.0)
    other = replace(lesion, label=LESION_TYPES[5], mask=lesion.mask & (np.indices(lesion.mask.shape)[1] > 8))
    classifier = EnhancementClassifier.load(bundled("types"))
    one, two = classifier.types(scan, labels, [lesion, other])
    # Rows of a batch are computed side by side: their place may change the last digit on one processor or another.
    again = classifier.types(scan, labels, [other, lesion])
    assert again[0] == pytest.approx(two, abs=1e-6) and again[1] == pytest.approx(one, abs=1e-6)
    assert classifier.types(scan, labels, []) == ()


def test_settings_say_whether_types_follow_from_enhancement(tmp_path: Path) -> None:
    assert load_classifier(CascadeSettings(classify=ClassifyStage(types_from=TypesFrom.NETWORK))) is None
    made = load_classifier(CascadeSettings())
    assert made is not None and made.card == load_types(bundled("types"))[0]
    with pytest.raises(ModelError, match="no model") as caught:
        load_classifier(CascadeSettings(), tmp_path)
    assert caught.value.code == "MODEL_MISSING"


def test_a_reproduction_is_judged_by_what_tells_its_types() -> None:
    networks = NetworkFolders(bundled("whole"), bundled("patch"))
    assert "types" not in networks.hashes()
    told = replace(networks, types=bundled("types")).hashes()
    assert told == networks.hashes() | {"types": load_types(bundled("types"))[0].sha256}


def test_models_show_prints_the_card_and_refuses_changed_weights(folder: Path) -> None:
    shown = CliRunner().invoke(models_app, ["show", str(folder)])
    assert shown.exit_code == 0 and shown.output == (folder / "MODEL_CARD.md").read_text()
    (folder / "weights.safetensors").write_bytes(b"x")
    assert CliRunner().invoke(models_app, ["show", str(folder)]).exit_code == 1
