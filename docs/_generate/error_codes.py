"""The page of error codes, from the places in the source that raise them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ERRORS = "livercascade/data/errors.py"
HEAD = """# Error and exit codes

A command that cannot go on prints one line on standard error: the code, what was found, and what to do. Scripts may
rest on codes and exit statuses; the words may change. In Python the same line is a
[`CascadeError`][livercascade.data.errors.CascadeError] with `code`, `message`, `remedy` and `stage`.

| exit status | meaning |
|---:|---|
| 0 | all well |
| 1 | the study was refused, or something failed; nothing was written |
| 2 | the command was called wrongly, or an extra is not installed |
| 75 | stopped half-way, for example by Ctrl-C: the same command goes on |

Below, a name in braces stands for what was found.
"""


@dataclass(frozen=True)
class Raised:
    """One place that makes an error."""

    kind: str
    code: str
    message: str
    remedy: str


def error_codes_page(source: Path) -> str:
    """Markdown of the page, made from every Python file below ``source``."""
    kinds = _kinds(ast.parse((source / ERRORS).read_text(encoding="utf-8")))
    found: defaultdict[str, defaultdict[str, list[Raised]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(source.rglob("*.py")):
        for one in raised(ast.parse(path.read_text(encoding="utf-8")), kinds):
            if one not in found[one.kind][one.code]:
                found[one.kind][one.code].append(one)
    parts = [HEAD]
    for kind, meaning in kinds.items():
        if found[kind]:
            parts.append(f"\n## {kind}\n\n{meaning}\n\n| code | what was found | what to do |\n|---|---|---|\n")
        for code, ones in sorted(found[kind].items()):
            for number, one in enumerate(ones):
                shown = f'<span id="{code}">`{code}`</span>' if number == 0 else ""
                parts.append(f"| {shown} | {_cell(one.message)} | {_cell(one.remedy)} |\n")
    return "".join(parts)


def raised(tree: ast.Module, kinds: dict[str, str]) -> Iterator[Raised]:
    """Every call of an error class whose code is written out."""
    known = _constants(tree.body)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        local = known | _constants(ast.walk(function))
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or len(node.args) < 3:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            code = _text(node.args[0], local)
            if name in kinds and code.isupper():
                yield Raised(name, code, _text(node.args[1], local), _text(node.args[2], local))


def _kinds(tree: ast.Module) -> dict[str, str]:
    """Error classes and the first paragraph of what they say of themselves."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: (ast.get_docstring(node) or "").split("\n\n")[0].replace("``", "`") for node in classes}


def _constants(nodes: Iterator[ast.AST] | list[ast.stmt]) -> dict[str, ast.expr]:
    """Values that are given to plain names."""
    return {
        node.targets[0].id: node.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _text(node: ast.expr, known: dict[str, ast.expr], depth: int = 3) -> str:
    """The string that an expression makes, with what is not known before the run in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, known, depth) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, known, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, known, depth) + _text(node.right, known, depth)
    if (
        isinstance(node, ast.Name)
        and depth
        and isinstance(known.get(node.id), ast.Constant | ast.JoinedStr | ast.BinOp)
    ):
        return _text(known[node.id], known, depth - 1)
    return "{" + _short(node) + "}"


def _short(node: ast.expr) -> str:
    """A word for a value: its last name."""
    names = [
        part.attr if isinstance(part, ast.Attribute) else part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute | ast.Name)
    ]
    return names[0].strip("_") if names else "value"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
