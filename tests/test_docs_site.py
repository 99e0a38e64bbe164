"""What the site says of the code is made from the code, and the project's files agree with each other."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import livercascade
from command_line import command_line_page
from error_codes import error_codes_page
from layers import PICTURE, layers, picture
from schema_page import schema_page

ROOT = Path(__file__).parents[1]


def import_script(path: Path) -> ModuleType:
    """Module of a file that is in no package."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_layers_is_that_of_the_contract() -> None:
    packages = {path.parent.name for path in (ROOT / "src" / "livercascade").glob("*/__init__.py")}
    assert {name for row in layers() for name in row} == packages
    assert PICTURE.read_text(encoding="utf-8") == picture(layers()), "run: python docs/_generate/layers.py"


def test_every_error_code_of_the_source_is_on_its_page() -> None:
    page = error_codes_page(ROOT / "src")
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    raised = set(re.findall(r"(?:Input|Model|Output|Usage|Cascade)Error\(\s*\"([A-Z_]+)\"", text))
    assert len(raised) > 80
    assert not {code for code in raised if f'id="{code}"' not in page}


def test_every_command_is_on_its_page_with_its_options() -> None:
    page = command_line_page()
    for heading in ("## demo", "## predict", "## train patch", "## models import"):
        assert f"{heading}\n" in page
    assert "`--engine" in page and "livercascade predict study/dicom --out results/study" in page


@pytest.mark.parametrize("name", ["result", "tables"])
def test_links_of_a_schema_page_lead_to_its_records(name: str) -> None:
    page = schema_page(ROOT / "docs" / f"{name}.schema.json", f"{name}.json")
    records = {heading.lower() for heading in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\(#(\w+)\)", page)) <= records


def test_links_of_the_projects_files_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "recipes" / "README.md"]:
        for target in re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8")):
            made = "docs/reference" in (path.parent / target).resolve().as_posix()
            assert "://" in target or made or (path.parent / target).exists(), f"{path.name}: {target}"


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == livercascade.__version__ == citation["version"]


@pytest.mark.parametrize("path", [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"], ids=str)
def test_files_for_other_tools_can_be_read(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_circles_and_chains_of_a_graph() -> None:
    house = import_script(ROOT / "benchmarks" / "house.py")
    assert house.circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    (circle,) = house.circles({"a": {"b"}, "b": {"a"}, "c": {"a"}})
    assert circle[0] == circle[-1] and set(circle) == {"a", "b"}
    assert house.longest_chain({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"c"}}) == 3
