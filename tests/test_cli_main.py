"""The command line's entry: help without the libraries behind the commands, every command there, typos told."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from livercascade.cli.main import COMMANDS, app

HEAVY = ("torch", "openvino", "scipy.optimize", "numba", "pandas", "nibabel")


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_imports_no_library_behind_a_command(words: list[str]) -> None:
    code = (
        "import sys\nfrom livercascade.cli.main import app\n"
        f"try:\n    app({words!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_predict_imports_what_only_an_alignment_or_an_evaluation_needs_later() -> None:
    later = ("numba", "scipy.stats", "scipy.optimize", "pandas", "matplotlib.pyplot", "torch._dynamo", "sympy")
    code = (
        "import sys\nimport livercascade.cli.predict_command\n"
        f"print([name for name in {later!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_lists_every_command_in_one_line() -> None:
    lines = CliRunner().invoke(app, ["--help"], terminal_width=120).output.splitlines()
    for name, place in COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, place.summary] for line in lines), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0
    assert f"livercascade {name}" in done.output


def test_a_word_with_a_typo_is_told_and_is_wrong_use() -> None:
    done = CliRunner().invoke(app, ["predcit"])
    assert done.exit_code == 2
    assert "predict" in done.output
