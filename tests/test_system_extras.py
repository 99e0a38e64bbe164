from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from typer.testing import CliRunner

from livercascade.cli.main import app
from livercascade.data.errors import UsageError
from livercascade.system.extras import EXTRAS, require

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.split(">")[0]).lower()


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """No module of any extra is installed."""
    names = {name for modules in EXTRAS.values() for name in modules}
    monkeypatch.setattr("livercascade.system.extras.find_spec", lambda name: None if name in names else object())


def test_every_module_is_brought_by_its_extra() -> None:
    brought = packages_distributions()
    for extra, modules in EXTRAS.items():
        wanted = {normalised(line) for line in PROJECT["optional-dependencies"][extra]}
        for module in modules:
            assert {normalised(name) for name in brought[module]} & wanted, f"{module} is not in [{extra}]"


def test_nothing_is_missing_here() -> None:
    require(*EXTRAS)


@pytest.mark.usefixtures("hidden")
def test_the_error_names_packages_and_the_line_that_installs_them() -> None:
    with pytest.raises(UsageError, match=r"EXTRA_MISSING.*nnunetv2.*pip install 'livercascade\[train\]'") as caught:
        require("train")
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("evaluate --truth a --found b --out c", "evaluate"),
        ("label .", "label"),
        ("reproduce --out c", "evaluate,train"),
        ("train whole --data a --out b", "train"),
        ("models calibrate --truth a --found b --out c", "evaluate"),
    ],
)
def test_a_command_without_its_extra_says_so_in_one_line(words: str, extra: str) -> None:
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 2
    assert result.stderr.startswith("EXTRA_MISSING: ")
    assert f"pip install 'livercascade[{extra}]'" in result.stderr
    assert result.stderr.count("\n") == 1
