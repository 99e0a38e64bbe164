"""What the code looks like, in numbers: sizes, names, imports, docstrings, dependencies.

    python benchmarks/house.py              # every measure, and what misses its limit
    python benchmarks/house.py --package evaluate
    python benchmarks/house.py --check      # exit status 1 if a limit is missed

Source files are read, not imported.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGE = "livercascade"
PAGE = ROOT / "labeler-web" / "src"

LIMITS = {
    "modules per 1,000 lines": 8,
    # The goal is 8. What is left are schemas of files and of the labeler's answers, one class for each shape.
    "classes per 1,000 lines": 9,
    "names of classes used more than once": 0,
    "names of modules used more than once": 0,
    "lines of a function, 99 of 100": 45,
    "lines of the longest function": 60,
    "parameters of a function, 99 of 100": 7,
    "contracts of imports that are broken": 0,
    "circles of imports, Python": 0,
    "circles of imports, TypeScript": 0,
    "required dependencies": 14,
    "public names without a docstring": 0,
    "words of README.md": 700,
}
"""Most that each measure may be; measures that are not here are only printed."""

NAMES_ALLOWED_TWICE: dict[str, str] = {}
"""Class names that may exist more than once, each with the reason."""

STEMS_ALLOWED_TWICE: dict[str, str] = {}
"""Module names that may exist more than once, each with the reason."""

NOT_NOUNS = ("Of ", "Whether ", "Where ", "How ")
"""First words of a docstring entry that is no noun phrase."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file of the package."""

    path: Path
    name: str
    text: str
    tree: ast.Module = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Module:
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(SOURCE).with_suffix("").parts
        return cls(path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts), text, ast.parse(text))

    @property
    def package(self) -> str:
        """Name of the sub-package, or ``-`` for the modules of the top."""
        parts = self.path.relative_to(SOURCE / PACKAGE).parts
        return parts[0] if len(parts) > 1 else "-"

    @property
    def public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    @cached_property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def comments(self) -> int:
        """Lines that carry a comment for people, not for a tool."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        tools = re.compile(r"#\s*(noqa|type:|pyright:|pragma)")
        return sum(token.type == tokenize.COMMENT and not tools.match(token.string) for token in tokens)

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in self.tree.body if isinstance(node, ast.ClassDef)]

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def aliases(self) -> list[str]:
        """Type aliases at the top: ``Name = ...`` in capitals and small letters."""
        found: list[str] = []
        for node in self.tree.body:
            if isinstance(node, ast.Assign):
                targets = node.targets
            else:
                targets = [node.target] if isinstance(node, ast.AnnAssign) else []
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            found += [name for name in names if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name)]
        return found

    def at(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@dataclass(frozen=True)
class Measure:
    """One measure, and where it comes from."""

    name: str
    value: float
    places: tuple[str, ...] = ()

    @property
    def limit(self) -> float | None:
        return LIMITS.get(self.name)

    @property
    def missed(self) -> bool:
        return self.limit is not None and self.value > self.limit


def measures(modules: list[Module]) -> Iterator[Measure]:
    """Every measure of these modules and of the project around them."""
    lines = sum(module.lines for module in modules)
    yield Measure("lines", lines)
    yield Measure("modules", len(modules))
    yield Measure("modules per 1,000 lines", 1000 * len(modules) / lines)
    yield Measure("classes per 1,000 lines", 1000 * sum(len(module.classes) for module in modules) / lines)
    yield Measure("comments, % of lines", 100 * sum(module.comments for module in modules) / lines)
    yield Measure("dict[str, Any]", sum(module.text.count("dict[str, Any]") for module in modules))
    yield from names(modules)
    yield from functions(modules)
    yield from docstrings(modules)
    yield from imports()
    yield from project()


def names(modules: list[Module]) -> Iterator[Measure]:
    """Names of classes, aliases and modules that exist more than once."""
    classes: defaultdict[str, list[str]] = defaultdict(list)
    stems: defaultdict[str, list[str]] = defaultdict(list)
    for module in modules:
        for name in [node.name for node in module.classes] + module.aliases:
            classes[name].append(module.name)
        if module.path.stem != "__init__":
            stems[module.path.stem].append(module.name)
    yield _twice("names of classes used more than once", classes, NAMES_ALLOWED_TWICE)
    yield _twice("names of modules used more than once", stems, STEMS_ALLOWED_TWICE)


def _twice(name: str, places: dict[str, list[str]], allowed: dict[str, str]) -> Measure:
    found = {key: where for key, where in sorted(places.items()) if len(where) > 1 and key not in allowed}
    return Measure(name, len(found), tuple(f"{key}: {', '.join(where)}" for key, where in found.items()))


def functions(modules: list[Module]) -> Iterator[Measure]:
    """Length without docstring, and number of parameters without ``self``."""
    sizes = [(_length(node), module, node) for module in modules for node in module.functions]
    counts = [(_parameters(node), module, node) for module in modules for node in module.functions]
    for what, found in (("lines", sizes), ("parameters", counts)):
        values = sorted(value for value, _, _ in found)
        limit = LIMITS[f"{what} of a function, 99 of 100"]
        long = sorted((entry for entry in found if entry[0] > limit), key=lambda entry: -entry[0])
        places = tuple(f"{value:3d} {module.at(node)} {node.name}" for value, module, node in long)
        yield Measure(f"{what} of a function, half", _quantile(values, 0.5))
        yield Measure(f"{what} of a function, 99 of 100", _quantile(values, 0.99), places)
        longest = "lines of the longest function" if what == "lines" else "most parameters of a function"
        above = LIMITS.get(longest, values[-1])
        yield Measure(longest, values[-1], tuple(place for place in places if int(place[:3]) > above))


def _length(node: Function) -> int:
    first = node.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
    return node.end_lineno - node.lineno + 1 - docstring


def _parameters(node: Function) -> int:
    found = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len(found) - (bool(found) and found[0].arg in ("self", "cls"))


def _quantile(values: list[int], share: float) -> int:
    """Least value that at least this share of the sorted values do not exceed."""
    return values[min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))]


def docstrings(modules: list[Module]) -> Iterator[Measure]:
    """Public names without a docstring; entries that are not noun phrases."""
    public = [pair for module in modules if module.public for pair in _public(module)]
    lacking = tuple(place for place, node in public if ast.get_docstring(node) is None)
    yield Measure("public names", len(public))
    yield Measure("public names without a docstring", len(lacking), lacking)
    entries = tuple(entry for module in modules for entry in _entries(module))
    yield Measure("docstring entries that are no noun phrase", len(entries), entries)


def _public(module: Module) -> Iterator[tuple[str, ast.Module | ast.ClassDef | Function]]:
    """The module, its public classes and functions, and the methods of these classes."""
    yield module.at(module.tree), module.tree
    for node in module.tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_") and not _repeated(node):
            yield f"{module.at(node)} {node.name}", node
            for part in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(part, Function) and not part.name.startswith("_") and not _repeated(part):
                    yield f"{module.at(part)} {node.name}.{part.name}", part


def _repeated(node: Function | ast.ClassDef) -> bool:
    """True for what stands beside a documented function of the same name: overloads and setters."""
    return any(ast.unparse(mark).endswith(("overload", ".setter")) for mark in node.decorator_list)


def _entries(module: Module) -> Iterator[str]:
    """Places of entries of ``Args`` and ``Attributes`` that begin with one of `NOT_NOUNS`."""
    for node in ast.walk(module.tree):
        text = ast.get_docstring(node) if isinstance(node, ast.ClassDef | Function) else None
        section = ""
        for line in (text or "").splitlines():
            if re.fullmatch(r"[A-Z]\w+:", line):
                section = line[:-1]
            entry = re.match(r"    (\S.*?): (.*)", line)
            if entry and section in ("Args", "Attributes") and entry[2].startswith(NOT_NOUNS):
                yield f"{module.at(node)} {entry[1]}: {entry[2]}"


def imports() -> Iterator[Measure]:
    """Contracts of import-linter, circles and the longest chain."""
    # lint-imports looks for the package on the path: this checkout, whatever is installed.
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    report = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False).stdout
    summary = re.search(r"(\d+) broken", report)
    broken = tuple(line.strip() for line in report.splitlines() if " -> " in line) if summary else (report,)
    yield Measure("contracts of imports that are broken", int(summary[1]) if summary else 1, broken)
    graph = grimp.build_graph(PACKAGE, cache_dir=None, exclude_type_checking_imports=True)
    python = {name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    found = circles(python)
    yield Measure("circles of imports, Python", len(found), tuple(" -> ".join(circle) for circle in found))
    found = circles(typescript())
    yield Measure("circles of imports, TypeScript", len(found), tuple(" -> ".join(circle) for circle in found))
    yield Measure("modules in the longest chain of imports", longest_chain(python))


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Circles of a graph; each is opened at its last step before the next is looked for."""
    graph = {node: set(targets) for node, targets in graph.items()}
    found: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # Its circle runs from what is imported to what imports it.
            circle: list[str] = error.args[1][::-1]
            graph[circle[0]].discard(circle[1])
            found.append(circle)
        else:
            return found


def longest_chain(graph: dict[str, set[str]]) -> int:
    """Modules in the longest chain of imports, circles opened."""
    graph = {node: set(targets) for node, targets in graph.items()}
    for first, second, *_ in circles(graph):
        graph[first].discard(second)
    depth: dict[str, int] = {}
    for node in TopologicalSorter(graph).static_order():
        depth[node] = 1 + max((depth[target] for target in graph.get(node, ())), default=0)
    return max(depth.values())


def typescript() -> dict[str, set[str]]:
    """What every TypeScript file of the labeler's page imports from its neighbours, types too."""
    files = list(PAGE.rglob("*.ts*"))
    known = {path.relative_to(PAGE).with_suffix("").as_posix(): path for path in files}
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        text = path.read_text(encoding="utf-8")
        targets = re.findall(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""", text)
        near = ((path.parent / target).resolve() for target in targets)
        inside = (place.relative_to(PAGE) for place in near if place.is_relative_to(PAGE))
        stems = {re.sub(r"\.(tsx?|jsx?)$", "", place.as_posix()) for place in inside}
        graph[name] = {stem for stem in stems if stem in known}
    return graph


def project() -> Iterator[Measure]:
    """Required dependencies; words of the README, and numbers among them."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    yield Measure("required dependencies", len(wanted), tuple(wanted))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = len(re.findall(r"\S*\w\S*", text))
    yield Measure("words of README.md", words)
    yield Measure("numbers of README.md per 100 words", 100 * len(re.findall(r"(?<![\w.])\d[\d.,]*", text)) / words)


def by_package(modules: list[Module]) -> Iterator[str]:
    """Lines, modules and classes of every sub-package."""
    groups: defaultdict[str, list[Module]] = defaultdict(list)
    for module in modules:
        groups[module.package].append(module)
    yield f"{'':14}{'lines':>8}{'modules':>9}{'/1,000':>8}{'classes':>9}{'/1,000':>8}{'comments':>10}"
    for name, group in sorted(groups.items(), key=lambda item: -sum(module.lines for module in item[1])):
        lines, classes = sum(module.lines for module in group), sum(len(module.classes) for module in group)
        comments = sum(module.comments for module in group)
        yield (
            f"{name:14}{lines:8,}{len(group):9}{1000 * len(group) / lines:8.1f}"
            f"{classes:9}{1000 * classes / lines:8.1f}{100 * comments / lines:9.1f}%"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit status 1 if a limit is missed")
    parser.add_argument("--package", default="", help="name only the places in this sub-package")
    options = parser.parse_args()
    # grimp too finds the package on the path.
    sys.path.insert(0, str(SOURCE))
    modules = [Module.read(path) for path in sorted((SOURCE / PACKAGE).rglob("*.py"))]
    found = list(measures(modules))
    print("\n".join(by_package(modules)), end="\n\n")
    for measure in found:
        value = f"{measure.value:,.0f}" if measure.value == int(measure.value) else f"{measure.value:.2f}"
        limit = "" if measure.limit is None else f"  at most {measure.limit}" + "  MISSED" * measure.missed
        print(f"{measure.name:44}{value:>8}{limit}")
    for measure in found:
        places = [place for place in measure.places if _inside(place, options.package)]
        if places and (measure.missed or measure.limit is None):
            print(f"\n{measure.name}:", *places, sep="\n  ")
    return int(options.check and any(measure.missed for measure in found))


def _inside(place: str, package: str) -> bool:
    return not package or f"{PACKAGE}/{package}/" in place or f"{PACKAGE}.{package}." in place


if __name__ == "__main__":
    sys.exit(main())
