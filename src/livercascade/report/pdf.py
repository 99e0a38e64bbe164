"""The report of one case as a PDF, for archives that show no HTML: verdict, findings, key images, how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from livercascade.data.labels import Phase
from livercascade.report.html import number, phases_measured, ranked, share, signed
from livercascade.report.panel import INK, WINDOWS, Picture
from livercascade.report.pictures import MUTED, PRINT_COLOURS, ReportPictures
from livercascade.results.result import CaseResult, LesionRecord
from livercascade.results.wording import DISCLAIMER, INTENDED_USE, NOT_LIRADS, headline, impression

_MARGIN = 14 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_LINE, _SOFT = HexColor("#d5dade"), HexColor("#f5f6f7")
_TONES = {"malignant": "#b33a20", "benign": "#2d7d63", "normal": "#2d7d63", "uncertain": "#b07a00"}
_LIKELY = 0.05
"""Less likely types are not named."""


def report_pdf(result: CaseResult, pictures: ReportPictures, patient: Mapping[str, str] | None = None) -> bytes:
    """PDF of a finished case; the same case gives the same bytes.

    Args:
        result: The record.
        pictures: Overview and key images; what is absent is left out.
        patient: Lines of the head by their names, for example the patient's name: a page that is printed loses
            whatever the archive knows of it. None leaves the head out.

    Raises:
        ValueError: The case was not finished.
    """
    if not result.status.finished:
        raise ValueError("a case that was not finished has no report for archives")
    out = BytesIO()
    document = BaseDocTemplate(
        out, pagesize=A4, title=f"Liver CT report {result.case_id}", author=result.provenance.software,
        # No clock and no random identifier in the file.
        invariant=1,
    )  # fmt: skip
    frame = Frame(_MARGIN, 15 * mm, _WIDTH, A4[1] - 28 * mm, 0, 0, 0, 0)
    story = [*_head(result, patient or {}), *_findings(result), *_images(result, pictures), *_background(result)]
    foot = f"{result.case_id} · {DISCLAIMER} {NOT_LIRADS}"
    document.addPageTemplates(PageTemplate("page", [frame], onPage=_footer(foot)))
    document.build(story)
    return out.getvalue()


def _footer(text: str) -> Any:
    def draw(canvas: Any, document: Any) -> None:
        canvas.setFont(_fonts()[0], 6.5)
        canvas.setFillColor(HexColor(MUTED))
        canvas.drawString(_MARGIN, 9 * mm, text)
        canvas.drawRightString(A4[0] - _MARGIN, 9 * mm, f"page {document.page}")

    return draw


@cache
def _fonts() -> tuple[str, str]:
    """Names of the plain and the bold face; those that every PDF reader has lack Greek, Cyrillic and the minus sign."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = ("DejaVuSans", "DejaVuSans-Bold")
    for name in names:
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    pdfmetrics.registerFontFamily(names[0], normal=names[0], bold=names[1], italic=names[0], boldItalic=names[1])
    return names


@cache
def _style(kind: str) -> ParagraphStyle:
    plain, bold = _fonts()
    ink, muted = HexColor(INK), HexColor(MUTED)
    styles = {
        "text": ParagraphStyle("text", fontName=plain, fontSize=8.5, leading=11.5, textColor=ink),
        "small": ParagraphStyle("small", fontName=plain, fontSize=7, leading=9.3, textColor=muted),
        "cell": ParagraphStyle("cell", fontName=plain, fontSize=7.3, leading=9.3, textColor=ink),
        "column": ParagraphStyle("column", fontName=bold, fontSize=6.8, leading=8.6, textColor=muted),
        "title": ParagraphStyle("title", fontName=bold, fontSize=15, leading=19, textColor=ink, spaceAfter=2),
        "part": ParagraphStyle("part", fontName=bold, fontSize=10.5, leading=13, textColor=ink, spaceBefore=9,
                               spaceAfter=3, keepWithNext=1),
        "verdict": ParagraphStyle("verdict", fontName=bold, fontSize=12, leading=16, textColor=ink),
    }  # fmt: skip
    return styles[kind]


def _text(words: str, kind: str = "text") -> Paragraph:
    return Paragraph(escape(words), _style(kind))


def _head(result: CaseResult, patient: Mapping[str, str]) -> Iterator[Flowable]:
    yield _text("Liver lesions in CT", "title")
    if patient:
        cells = [Paragraph(f"<b>{escape(k)}</b> {escape(v)}", _style("cell")) for k, v in patient.items()]
        rows = [cells[i : i + 3] for i in range(0, len(cells), 3)]
        rows[-1] += [_text("", "cell")] * (3 - len(rows[-1]))
        frame = [("BOX", (0, 0), (-1, -1), 0.5, _LINE), ("BACKGROUND", (0, 0), (-1, -1), _SOFT)]
        yield Table(rows, colWidths=[_WIDTH / 3] * 3, style=TableStyle(frame))
    made, phases = result.provenance, ", ".join(i.phase.value for i in result.inputs)
    stamp = made.started.strftime("%Y-%m-%d %H:%M %Z")
    yield Spacer(0, 3)
    yield _text(f"{stamp} · {made.software} {made.version} · phases {phases} · {DISCLAIMER} {INTENDED_USE}", "small")
    yield from _verdict(result)
    if result.virtual:
        yield _text("Virtual patient: simulated images, no real person.")
    if result.warnings:
        yield _text("Warnings", "part")
        for warning in result.warnings:
            yield _text(f"• {warning.message} {warning.remedy} ({warning.code})", "cell")


def _verdict(result: CaseResult) -> Iterator[Flowable]:
    verdict = result.verdict
    if verdict is None:
        return
    joint = verdict.joint.patient_class
    classes = f"Class {verdict.joint.value}; plain setting {verdict.base.value}, sensitive setting {verdict.high.value}"
    if verdict.malignancy is not None:
        classes += f"; probability of a malignant lesion {share(verdict.malignancy)}"
    cell = [_text(headline(joint), "verdict"), _text(verdict.meaning), _text(f"{classes}.", "small")]
    tone = HexColor(_TONES["uncertain" if joint is None else joint.group])
    look = [
        ("BACKGROUND", (0, 0), (-1, -1), _SOFT),
        ("LINEBEFORE", (0, 0), (0, -1), 4, tone),
        ("LEFTPADDING", (0, 0), (-1, -1), 10),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
    ]
    yield Spacer(0, 6)
    yield Table([[cell]], colWidths=[_WIDTH], style=TableStyle(look))


def _findings(result: CaseResult) -> Iterator[Flowable]:
    lesions, phases = result.lesions or (), phases_measured(result)
    present = [lesion for lesion in lesions if lesion.present]
    yield _text("Findings", "part")
    if present:
        yield _text(
            "Size: long × short axis in one axial slice × craniocaudal. HU: median of the lesion, below it its "
            "difference from the liver 5 to 10 mm away.", "small"
        )  # fmt: skip
        columns = ["No.", "Type", "Size, mm", "Volume, ml", *(f"{p.value} HU" for p in phases), "Score"]
        widths = [11 * mm, 0, 31 * mm, 21 * mm, *[15 * mm] * len(phases), 19 * mm]
        widths[1] = _WIDTH - sum(widths)
        yield _table(columns, [_finding(lesion, phases) for lesion in present], widths)
    else:
        yield _text("No lesion was kept. This does not exclude disease.")
    if result.liver is not None:
        cut = ", cut by the edge of the scan" if result.liver.touches_border else ""
        medians = ", ".join(f"{phase.value} {number(hu)} HU" for phase, hu in result.liver.hu_median.items())
        words = f"Liver with lesions and hepatic vessels: {number(result.liver.volume_ml)} ml{cut}."
        yield Spacer(0, 4)
        yield _text(words + (f" Median of the parenchyma: {medians}." if medians else ""))


def _finding(lesion: LesionRecord, phases: Sequence[Phase]) -> list[str]:
    colour = PRINT_COLOURS[lesion.type]
    likely = ranked(lesion.enhancement or {}, _LIKELY)
    types = ", ".join(f"{t.title} {share(p)}" for t, p in likely)
    hu = [lesion.hu.get(phase) for phase in phases]
    return [
        f"<b>{lesion.id}</b>",
        f'<font color="{colour}">■</font> {escape(impression(lesion.type))}'
        + (_below(f"by enhancement {escape(types)}") if types else ""),
        f"{_size(lesion)} × {number(lesion.craniocaudal_mm)}",
        number(lesion.volume_ml, 1),
        *("–" if measured is None else number(measured.median) + _below(signed(measured.delta)) for measured in hu),
        number(lesion.score, 2) + ("" if lesion.threshold is None else _below(f"needed {number(lesion.threshold, 2)}")),
    ]


def _below(words: str) -> str:
    return f'<br/><font size="6.3" color="{MUTED}">{words}</font>'


def _size(lesion: LesionRecord) -> str:
    return f"{number(lesion.long_axis_mm)} × {number(lesion.short_axis_mm)}"


def _images(result: CaseResult, pictures: ReportPictures) -> Iterator[Flowable]:
    if pictures.overview is not None:
        title = _text("Overview", "part")
        words = "Axial slices from head to foot and one coronal slice; the patient's right is on the left."
        yield KeepTogether([title, _text(words, "small"), Spacer(0, 3), _picture(pictures.overview, _WIDTH)])
    lesions = {lesion.id: lesion for lesion in result.lesions or ()}
    windows = ", ".join(f"{p.value} {number(float(w[0]))} to {number(float(w[1]))}" for p, w in WINDOWS.items())
    shown = [name for name in pictures.lesions if lesions[name].present]
    for place, name in enumerate(shown):
        lesion = lesions[name]
        words = f"<b>{name}</b> · {escape(impression(lesion.type))} · {_size(lesion)} mm · slice {lesion.slice_index}"
        block: list[Flowable] = [Paragraph(words, _style("cell")), Spacer(0, 2), *_row(pictures, name), Spacer(0, 7)]
        if place == 0:
            note = f"The slice of the largest cross-section, the same field in every phase. HU shown: {windows}."
            block = [_text("Key images", "part"), _text(note, "small"), Spacer(0, 3), *block]
        yield KeepTogether(block)


def _row(pictures: ReportPictures, name: str) -> list[Flowable]:
    """Key images of a lesion with its curve beside them, at one scale."""
    shown = [pictures.lesions[name], *([pictures.curves[name]] if name in pictures.curves else [])]
    # A single panel would otherwise fill the page.
    scale = min(_WIDTH / sum(p.width for p in shown), 0.19 * mm)
    images = [_picture(picture, picture.width * scale) for picture in shown]
    look = TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)])
    return [Table([images], colWidths=[i.drawWidth for i in images], hAlign="LEFT", style=look)]


def _picture(picture: Picture, width: float) -> Image:
    return Image(BytesIO(picture.png), width=width, height=width * picture.height / picture.width, hAlign="LEFT")


def _background(result: CaseResult) -> Iterator[Flowable]:
    removed = [lesion for lesion in result.lesions or () if not lesion.present]
    if removed:
        yield _text("Candidates removed as false positives", "part")
        rows = [
            [r.id, r.original_type.title, f"{_size(r)} mm", number(r.volume_ml, 1), escape(r.reason)] for r in removed
        ]
        widths = [11 * mm, 18 * mm, 26 * mm, 20 * mm]
        yield _table(["No.", "Called", "Size", "Volume, ml", "Why"], rows, [*widths, _WIDTH - sum(widths)])
    yield _text("Phases", "part")
    columns = ["Phase", "Identified by", "Confidence", "Series", "Voxels (z, y, x)", "Spacing, mm"]
    rows = [
        [
            f"{i.phase.value} {i.phase.title}",
            i.source.value.replace("+", " and "),
            share(i.confidence),
            escape(i.description or "–"),
            " × ".join(map(str, i.shape)),
            " × ".join(number(s, 2) for s in i.spacing_mm),
        ]
        for i in result.inputs
    ]
    yield _table(columns, rows, [_WIDTH / len(columns)] * len(columns))
    if result.not_analysed:
        yield _text("What was not analysed", "part")
        for item in result.not_analysed:
            yield _text(f"• {item}", "cell")
    yield _text("How it was made", "part")
    made = result.provenance
    models = "; ".join(f"{m.name} {m.version} ({m.sha256[:12]})" for m in made.models)
    yield _text(
        f"{made.software} {made.version} on {made.device}. Models: {models}. Settings {made.settings_sha256[:12]}.",
        "small",
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float]) -> Table:
    """Table of texts, which may hold reportlab's marks; its head stands on every page."""
    cells = [[_text(c, "column") for c in columns], *([Paragraph(c, _style("cell")) for c in row] for row in rows)]
    look = TableStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, HexColor(INK)),
            ("LINEBELOW", (0, 1), (-1, -1), 0.4, _LINE),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ]
    )
    return Table(cells, colWidths=list(widths), repeatRows=1, style=look, hAlign="LEFT")
