"""The diagram of ARCHITECTURE.md: packages in their layers, as pyproject.toml has them, and the way of a study.

python docs/_generate/layers.py            # writes docs/images/layers.svg
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "layers.svg"
WORDS = {
    "cli": "the commands",
    "testing": "phantoms and strategies for tests",
    "reproduce": "the paper's experiment and its claims",
    "evaluation": "tables, curves and figures of a cohort",
    "pacs": "studies from a PACS, results back",
    "labeler": "the CT Labeler: server and page",
    "cascade": "one case from study to result",
    "dicom": "results as DICOM: SEG, SR, PDF, key images",
    "deidentification": "copies of studies without names",
    "report": "HTML report and its pictures, PDF",
    "train": "training of both networks",
    "virtual": "virtual patients with exact truth",
    "results": "the record of a case: result.json",
    "segment": "UNet^whole: scan to sensitivity map",
    "reclassification": "UNet^patch: keep, retype, remove",
    "diagnose": "class of the patient, probabilities",
    "classify": "type from enhancement",
    "detect": "sensitivity map to lesions; matching",
    "alignment": "phases onto one grid by DEEDS",
    "io": "DICOM and NIfTI in, NIfTI out",
    "models": "bundled weights",
    "system": "files, processes, memory, progress",
    "data": "labels, grids, scans, lesions, errors",
}
STEPS = ("io", "alignment", "segment", "detect", "classify", "reclassification", "diagnose", "results", "report")
"""The way of a study through the cascade."""
WIDTH, ROW, BOX, LEFT = 900, 46, 36, 16
INK, EDGE, PLAIN, STEP = "#1d2329", "#9fb4b1", "#f4f7f7", "#cfe9e4"


def layers() -> list[list[str]]:
    """Packages of every layer, from the top down, as import-linter reads them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (rows,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip() for name in row.replace(":", "|").split("|")] for row in rows]


def picture(rows: list[list[str]]) -> str:
    """The diagram as SVG."""
    height = ROW * len(rows) + 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13" fill="{INK}" role="img" aria-label="Layers of livercascade">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, names in enumerate(rows):
        parts += _row(names, 12 + ROW * number)
    foot = 12 + ROW * len(rows) + 18
    parts.append(f'<text x="{LEFT}" y="{foot}">A package imports only from rows below its own. ')
    parts.append("Numbers: the way of a study through predict.</text></svg>\n")
    return "".join(parts)


def _row(names: list[str], top: int) -> list[str]:
    wide = (WIDTH - 2 * LEFT - 10 * (len(names) - 1)) / len(names)
    parts: list[str] = []
    for place, name in enumerate(names):
        x = LEFT + place * (wide + 10)
        fill = STEP if name in STEPS else PLAIN
        label = f"{STEPS.index(name) + 1}  {name}" if name in STEPS else name
        parts.append(
            f'<rect x="{x:.1f}" y="{top}" width="{wide:.1f}" height="{BOX}" rx="4" fill="{fill}" stroke="{EDGE}"/>'
            f'<text x="{x + 10:.1f}" y="{top + 15}" font-weight="bold">{escape(label)}</text>'
            f'<text x="{x + 10:.1f}" y="{top + 30}" font-size="11.5">{escape(WORDS[name])}</text>'
        )
    return parts


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(layers()), encoding="utf-8")
