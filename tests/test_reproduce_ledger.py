"""Steps: done once for the same inputs, again for others, again where an output is gone, and never half recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from livercascade.reproduce.ledger import Ledger


def test_a_step_is_done_once_for_its_inputs(tmp_path: Path) -> None:
    ledger, out, calls = Ledger(tmp_path), tmp_path / "made", []

    def work() -> None:
        calls.append(1)
        out.write_text("x")

    for inputs, done in (({"a": 1}, True), ({"a": 1}, False), ({"a": 2}, True), ({"a": 2}, False)):
        assert ledger.run("step", inputs, [out], work)[1] is done
    out.unlink()
    assert ledger.run("step", {"a": 2}, [out], work)[1] is True
    assert len(calls) == 3


def test_a_killed_step_is_not_finished(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.run("step", {"a": 1}, [], killed)
    assert ledger.finished("step", {"a": 1}) is None
    assert ledger.run("step", {"a": 1}, [], lambda: None)[1] is True


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.run("step", {}, [], lambda: None)
    (tmp_path / "steps" / "step.json").write_text("{")
    assert ledger.record("step") is None
