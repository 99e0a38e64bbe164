"""The report of a case as plain text; HTML loses its tags, scripts and styles, so that nothing in it can act."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

REPORT_FILES = ("report.html", "report.txt", "report.md", "radiology.txt", "pathology.txt")
# Reports of `livercascade predict` hold their pictures; the text is a small part.
_MAX_BYTES = 64 << 20
_MAX_CHARACTERS = 400_000
_SILENT = ("script", "style", "template", "svg", "head", "noscript")
_BLOCKS = ("p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "section", "table", "figure", "dt", "dd")
_CELLS = ("td", "th")


def report_files(folder: Path) -> list[Path]:
    """Report files of a case that lie inside its folder."""
    root = folder.resolve()
    paths = [folder / name for name in REPORT_FILES]
    return [path for path in paths if path.is_file() and path.resolve().is_relative_to(root)]


def report_text(path: Path) -> str:
    """Text of a report; bytes that are not UTF-8 are read as Latin-1."""
    with path.open("rb") as stream:
        data = stream.read(_MAX_BYTES)
    try:
        # Windows programs put a byte-order mark before UTF-8; left in, it would be shown as a letter.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return (html_to_text(text) if path.suffix == ".html" else text)[:_MAX_CHARACTERS]


def html_to_text(html: str) -> str:
    """Words of an HTML page, a line for every block.

    >>> html_to_text("<p>Two <b>cysts</b></p><script>alert(1)</script><p>seg. VII &lt; 2 cm</p>")
    'Two cysts\\nseg. VII < 2 cm'
    """
    parser = _Words()
    parser.feed(html)
    parser.close()
    lines = (re.sub(r"[ \t\r\f\v]+", " ", line).strip() for line in "".join(parser.words).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line for line in lines if line))


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _SILENT:
            self._silent += 1
        elif tag in _BLOCKS:
            self.words.append("\n")
        elif tag in _CELLS:
            self.words.append("  ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            # HTML may close what it never opened; the text after it must not be lost.
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data.replace("\n", " "))
