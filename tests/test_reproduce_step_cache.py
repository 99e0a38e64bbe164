"""Steps: done once for the same inputs, again for others, again where an output is gone, and never half recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from livercascade.reproduce.step_cache import do_step, finished_step, read_step


def test_a_step_is_done_once_for_its_inputs(tmp_path: Path) -> None:
    out = tmp_path / "made"
    for inputs in ({"a": 1}, {"a": 2}):
        assert finished_step(tmp_path, "step", inputs) is None
        done = do_step(tmp_path, "step", inputs, [out], lambda: out.write_text("x") and None)
        assert finished_step(tmp_path, "step", inputs) == read_step(tmp_path, "step") == done
    assert finished_step(tmp_path, "step", {"a": 1}) is None
    out.unlink()
    assert finished_step(tmp_path, "step", {"a": 2}) is None


def test_a_killed_step_is_not_finished(tmp_path: Path) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_step(tmp_path, "step", {"a": 1}, [], killed)
    assert read_step(tmp_path, "step") is None
    do_step(tmp_path, "step", {"a": 1}, [], lambda: None)
    assert finished_step(tmp_path, "step", {"a": 1}) is not None


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    do_step(tmp_path, "step", {}, [], lambda: None)
    (tmp_path / "steps" / "step.json").write_text("{")
    assert read_step(tmp_path, "step") is None
