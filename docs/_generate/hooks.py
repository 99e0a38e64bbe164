"""What MkDocs runs: pages made from the code, project files as pages, links into the source led to them."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

from command_line import command_line_page
from error_codes import error_codes_page
from python_api import api_pages
from schema_page import schema_page
from settings_page import settings_page

log = logging.getLogger("mkdocs.hooks.livercascade")
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "livercascade"
PROJECT_FILES = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "benchmarks/RESULTS.md": "project/speed.md",
    "recipes/README.md": "project/recipes.md",
    "src/livercascade/models/patch/MODEL_CARD.md": "project/card-patch.md",
    "src/livercascade/models/types/MODEL_CARD.md": "project/card-types.md",
    "src/livercascade/models/whole/MODEL_CARD.md": "project/card-whole.md",
    "src/livercascade/reproduce/claims.toml": "project/claims.toml",
    "src/livercascade/reproduce/presets/ci.toml": "project/ci.toml",
}
"""Files outside ``docs`` that the site shows."""
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages of the sub-packages into the navigation."""
    sections = {name: pages for entry in config.nav or () for name, pages in entry.items()}
    (python,) = (entry["Python"] for entry in sections["Reference"] if "Python" in entry)
    python += [{PurePosixPath(uri).stem: uri} for uri in api_pages(PACKAGE) if uri.startswith("reference/api/")][1:]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages made from the code and the project's own files."""
    schemas = ROOT / "docs"
    pages = {
        "reference/command-line.md": command_line_page(),
        "reference/error-codes.md": error_codes_page(ROOT / "src"),
        "reference/result.md": schema_page(schemas / "result.schema.json", "result.json"),
        "reference/settings.md": settings_page(),
        "reference/tables.md": schema_page(schemas / "tables.schema.json", "tables.json"),
        **api_pages(PACKAGE),
    }
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    for name, uri in PROJECT_FILES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=_moved(name, uri, text) if name.endswith(".md") else text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Leads links that leave ``docs`` to the page that shows the file."""
    return markdown if page.file.generated_by else _moved(f"docs/{page.file.src_uri}", page.file.src_uri, markdown)


def _moved(source: str, uri: str, text: str) -> str:
    """Text of a file of the project as page ``uri``: relative links lead to pages of the site.

    Args:
        source: Path of the file in the project.
        uri: Path of the page inside ``docs``.
        text: Markdown.
    """
    folder = PurePosixPath(source).parent.as_posix()

    def led(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        place = normpath(f"{folder}/{target}")
        # MkDocs itself looks after links between pages, and after those to other sites.
        if "://" in target or (source.startswith("docs/") and place.startswith("docs/")):
            return match[0]
        if not (ROOT / place).exists():
            # A warning ends a strict build, after all of them have been printed.
            log.warning("%s: there is no %s", source, target)
            return match[0]
        goal = _page_of(place, anchor)
        if goal is None:
            log.warning("%s: %s is not on the site", source, target)
            return match[0]
        return relpath(goal, PurePosixPath(uri).parent.as_posix() or ".")

    return LINK.sub(led, text)


def _page_of(place: str, anchor: str) -> str | None:
    """Page, inside ``docs``, that shows a file of the project; None if there is none."""
    if place == "README.md":
        return "index.md" + anchor
    if place in PROJECT_FILES:
        return PROJECT_FILES[place] + anchor
    if place.startswith("docs/"):
        return place.removeprefix("docs/") + anchor
    package = re.fullmatch(r"src/livercascade/(\w+)/?(.*?)(/__init__)?(\.py)?/?", place)
    if package and (place.endswith(".py") or (ROOT / place).is_dir()):
        module = place.removeprefix("src/").rstrip("/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return f"reference/api/{module.split('.')[1]}.md#{module}"
    return None
