"""Settings by stage: hashes that follow from the parts, and files of before version 0.2."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from livercascade.cascade.settings import CascadeSettings, TypesFrom, by_stage, read_settings
from livercascade.data.errors import UsageError
from livercascade.reclassification.reclassify import ScoreMode

STAGES = tuple(CascadeSettings.model_fields)
CHANGES: dict[str, dict[str, Any]] = {
    "align": {"enabled": False},
    "segment": {"overlap": 0.25},
    "detect": {"high_factor": 8.0},
    "classify": {"types_from": "network"},
    "reclassify": {"threshold_ml": 0.25},
    "output": {"evidence": True},
}
FLAT = st.fixed_dictionaries(
    {},
    optional={
        "low_factor": st.floats(0.1, 1.0),
        "high_factor": st.floats(1.0, 16.0),
        "min_volume_ml": st.floats(0.0, 2.0),
        "overlap": st.floats(0.0, 0.75),
        "pooled": st.booleans(),
        "types_from": st.sampled_from([t.value for t in TypesFrom]),
        "n_original": st.integers(1, 5),
        "score": st.sampled_from([m.value for m in ScoreMode]),
        "relabel": st.booleans(),
        "seed": st.integers(0, 99),
        "sweep": st.lists(st.floats(0.25, 16.0), max_size=4),
        "evidence": st.booleans(),
        "align": st.booleans(),
        "gate": st.fixed_dictionaries({"min_gain": st.floats(0.0, 2.0)}),
        "alignment": st.fixed_dictionaries({"spacing_mm": st.floats(1.0, 6.0)}),
        "type_shares": st.just([1 / 6] * 6),
    },
)


@pytest.mark.parametrize("stage", STAGES)
def test_a_change_reaches_its_stage_and_those_behind_it(stage: str) -> None:
    plain, other = CascadeSettings(), CascadeSettings().changed(stage, **CHANGES[stage])
    for number, name in enumerate(STAGES):
        same = plain.stage_sha256(name) == other.stage_sha256(name)
        assert same == (number < STAGES.index(stage)), name
    assert plain.sha256 != other.sha256


@given(FLAT)
def test_one_table_of_before_means_the_same_by_stage(flat: dict[str, Any]) -> None:
    nested, moved = by_stage(flat)
    assert set(nested) <= set(STAGES) and set(moved) == set(flat)
    settings = CascadeSettings.model_validate(flat)
    assert settings == CascadeSettings.model_validate(nested)
    assert by_stage(nested) == (nested, {})
    # What was written by this version is read as it is.
    assert CascadeSettings.model_validate(settings.model_dump(mode="json")) == settings


@given(FLAT, st.sampled_from(["threshold_ml", "ratio", "relabel", "seed", "score", "stop_when_decided"]))
def test_what_decides_whether_a_candidate_stays_leaves_scores_alone(flat: dict[str, Any], name: str) -> None:
    settings = CascadeSettings.model_validate(flat)
    other = {"threshold_ml": 0.125, "ratio": 0.9, "relabel": True, "seed": 100, "score": "ratio"}.get(name, False)
    assert settings.changed("reclassify", **{name: other}).scoring_sha256 == settings.scoring_sha256
    assert settings.changed("detect", low_factor=0.05).scoring_sha256 == settings.scoring_sha256
    assert settings.changed("detect", high_factor=99.0).scoring_sha256 != settings.scoring_sha256


def test_a_file_of_before_is_read_with_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text('align = false\nhigh_factor = 2.0\n[gate]\non_poor = "drop"\n')
    new.write_text('[align]\nenabled = false\nquality.on_poor = "drop"\n[detect]\nhigh_factor = 2.0\n')
    with caplog.at_level(logging.WARNING):
        settings = read_settings(old)
    assert "high_factor is now detect.high_factor" in caplog.text and "gate is now align.quality" in caplog.text
    caplog.clear()
    assert read_settings(new) == settings and not caplog.text
    assert read_settings(None) == CascadeSettings()


@pytest.mark.parametrize(
    "text", ["nonsense = 1\n", "[detect]\nhigh_factor = -1\n", "[detect\n", "[reclassify]\nfoo = 1\n"]
)
def test_wrong_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(UsageError, match="BAD_SETTINGS"):
        read_settings(tmp_path / "wrong.toml")
    with pytest.raises(UsageError, match="BAD_SETTINGS"):
        read_settings(tmp_path / "absent.toml")


def test_unknown_stages_and_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no stage"):
        CascadeSettings().stage_sha256("cook")
    with pytest.raises(ValidationError):
        CascadeSettings().changed("detect", high_factor=0.0)
