"""docs/paper.md leads from the paper to the code: every function, module, class, command, file and page is there."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from livercascade.cli.main import COMMANDS, app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
SPANS = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
PLANNED = {"curate"}
"""Commands that the page calls planned."""


def resolved(name: str) -> Any:
    """The module, class or function of a dotted name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return found
    raise LookupError(name)


@cache
def definitions() -> dict[str, list[ast.ClassDef | ast.FunctionDef]]:
    """Every class and function of the package by its bare name."""
    found: dict[str, list[ast.ClassDef | ast.FunctionDef]] = defaultdict(list)
    for path in sorted((ROOT / "src" / "livercascade").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found[node.name].append(node)
    return found


def members(node: ast.ClassDef) -> set[str]:
    """Names that a class body assigns or defines."""
    names = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    for item in node.body:
        targets = (
            item.targets if isinstance(item, ast.Assign) else [item.target] if isinstance(item, ast.AnnAssign) else []
        )
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each code span that is a command, and its words without ``livercascade``."""
    top = set(COMMANDS)
    for span in SPANS:
        words = span.split()
        if words[0] == "livercascade" and len(words) > 1:
            yield span, words[1:]
        elif words[0] in top and len(words) > 1 and words[1].startswith("--"):
            yield span, words


@pytest.mark.parametrize("name", [s for s in SPANS if re.fullmatch(r"livercascade(\.\w+)+", s)])
def test_names_of_functions_and_modules_are_there(name: str) -> None:
    assert resolved(name) is not None


@pytest.mark.parametrize("line", [s for s in SPANS if s.startswith("from livercascade")])
def test_imports_work(line: str) -> None:
    module, names = re.fullmatch(r"from ([\w.]+) import (.+)", line).groups()  # type: ignore[union-attr]
    for name in names.split(", "):
        assert getattr(importlib.import_module(module), name) is not None


@pytest.mark.parametrize("span", [s for s in SPANS if re.fullmatch(r"[A-Z][a-z]\w+(\.\w+)?(\(.*\))?", s)])
def test_classes_and_their_members_are_there(span: str) -> None:
    name, _, member = span.partition("(")[0].partition(".")
    classes = [node for node in definitions()[name] if isinstance(node, ast.ClassDef)]
    assert any(not member or member in members(node) for node in classes)


@pytest.mark.parametrize("span", [s for s in SPANS if re.fullmatch(r"(\w+\.)?\w+\(.+=.+\)", s)])
def test_functions_take_the_arguments_that_are_named(span: str) -> None:
    path, _, arguments = span.partition("(")
    functions = [node for node in definitions()[path.rpartition(".")[2]] if isinstance(node, ast.FunctionDef)]
    taken = [{argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)} for node in functions]
    assert any(set(re.findall(r"(\w+)=", arguments)) <= known for known in taken)


@pytest.mark.parametrize(("span", "words"), list(commands()))
def test_commands_and_their_options_are_there(span: str, words: list[str]) -> None:
    if words[0] in PLANNED:
        assert f"`{span}` (*planned*)" in TEXT
        return
    command: Any = get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, span
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


def test_files_and_pages_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
    for span in SPANS:
        for path in re.findall(r"\btests/\S+\.py", span):
            assert (ROOT / path).exists(), path
