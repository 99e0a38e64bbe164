"""``check``: what `predict` would read from a study, without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from livercascade.cli.error_exit import exit_on_error
from livercascade.data.errors import CascadeError, InputError, UsageError
from livercascade.data.labels import Phase
from livercascade.data.scan import MIN_CONFIDENCE
from livercascade.io.phase_identification import PhaseFinding
from livercascade.io.phase_naming import PhaseNaming
from livercascade.io.study import Study
from livercascade.io.study_reader import survey_study
from livercascade.io.study_sources import StudyLocation, studies_in
from livercascade.system.files import shown

PHASE_NAMES = tuple(phase.value for phase in Phase)
SourceArgument = Annotated[
    Path | None,
    typer.Argument(
        help="DICOM study folder, folder with nc|ap|vp|dp.nii.gz or nnU-Net's case_0000.nii.gz, a zip of these, or one "
        "file; a folder may hold several studies.",
        show_default=False,
    ),
]
NcOption = Annotated[Path | None, typer.Option("--nc", help="NIfTI file of the non-contrast phase.")]
ApOption = Annotated[Path | None, typer.Option("--ap", help="NIfTI file of the arterial phase.")]
VpOption = Annotated[Path | None, typer.Option("--vp", help="NIfTI file of the venous phase.")]
DpOption = Annotated[Path | None, typer.Option("--dp", help="NIfTI file of the delayed phase.")]

ResampleOption = Annotated[
    bool,
    typer.Option(
        "--resample",
        help="Interpolate DICOM slices that are missing, unevenly spaced or tilted; the result tells it.",
    ),
]

ChannelsOption = Annotated[
    str | None,
    typer.Option("--channels", help="Phases of nnU-Net's channels, or of the volumes of one file: nc,ap,vp,dp."),
]

PhaseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--phase", help="Phase of a DICOM series by its number, description or UID: AP='series 3'; none leaves it out."
    ),
]
RulesOption = Annotated[
    Path | None,
    typer.Option(
        "--phase-rules", help="TOML file with a site's rules: regular expressions of texts, and their phases."
    ),
]


def check(
    source: SourceArgument = None,
    nc: NcOption = None,
    ap: ApOption = None,
    vp: VpOption = None,
    dp: DpOption = None,
    resample: ResampleOption = False,
    channels: ChannelsOption = None,
    phase: PhaseOption = None,
    phase_rules: RulesOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print what speaks for the phase of each series.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Read studies as predict would and show what is in them; exit code 1 if one is refused.

    Example: livercascade check study/dicom --json
    """
    files = phase_files(nc, ap, vp, dp)
    with exit_on_error():
        naming = PhaseNaming.of(phase or (), phase_rules)
        try:
            found = [None] if files else studies_of(source, channels)
            reports = [_surveyed(one, files, resample=resample, naming=naming) for one in found]
        except InputError as error:
            reports = [_refusal(error, source.name if source else "")]
    if as_json:
        typer.echo(json.dumps(reports[0] if len(reports) == 1 else {"studies": reports}, indent=2))
    else:
        for report in reports:
            _show(report)
            if explain:
                _explain(report)
    raise typer.Exit(1 if any(report["status"] == InputError.status for report in reports) else 0)


def studies_of(source: Path | None, channels: str | None) -> tuple[StudyLocation, ...]:
    """Studies below SOURCE, with the phases of its channels as ``--channels`` names them.

    Raises:
        InputError: As `studies_in`.
        UsageError: ``WRONG_USE``: no SOURCE, or what ``--channels`` names is no phase.
    """
    if source is None:
        raise UsageError("WRONG_USE", "Exactly one of SOURCE and phase files is needed.", "See --help.")
    names = [name.strip().upper() for name in (channels or "").split(",") if name.strip()]
    wrong = [name for name in names if name not in Phase.__members__]
    if wrong:
        raise UsageError("WRONG_USE", f"--channels: {wrong[0]} is no phase.", "Phases are nc, ap, vp and dp.")
    return studies_in(source, tuple(Phase[name] for name in names) or None)


def _surveyed(
    source: StudyLocation | None, files: dict[Phase, Path] | None, *, resample: bool, naming: PhaseNaming
) -> dict[str, Any]:
    """Report of one study; the refusal of one leaves the others."""
    try:
        return report_of(survey_study(source, files=files, resample=resample, naming=naming))
    except InputError as error:
        return _refusal(error, source.case_id if source else "")


def phase_files(nc: Path | None, ap: Path | None, vp: Path | None, dp: Path | None) -> dict[Phase, Path] | None:
    """Files given by option, per phase; None if there are none."""
    given = dict(zip(Phase, (nc, ap, vp, dp), strict=True))
    return {phase: path for phase, path in given.items() if path is not None} or None


def report_of(study: Study) -> dict[str, Any]:
    """Surveyed study as plain data for JSON: status and code of study and series, shape and spacing as (z, y, x)."""
    series: list[dict[str, Any]] = [
        {
            "name": volume.description,
            "status": "ok",
            "code": None,
            "phase": volume.phase.value if volume.known else "unknown",
            "phase_source": volume.source,
            "confidence": volume.confidence,
            "shape": list(volume.grid.shape),
            "spacing_mm": [round(mm, 4) for mm in volume.grid.spacing],
        }
        for volume in study.volumes
    ]
    series += [
        {"name": name, "status": error.status, "code": error.code, "message": error.message, "remedy": error.remedy}
        for name, error in study.refused
    ]
    series += [{"name": u.name, "status": "unused", "code": u.code, "message": u.reason} for u in study.unused]
    first = study.refused[0][1] if study.refused else None
    return {
        "case_id": study.case_id,
        "status": first.status if first else ("ok_with_warnings" if study.warnings else "ok"),
        "code": first.code if first else None,
        "message": first.message if first else None,
        "remedy": first.remedy if first else None,
        "dicom": study.dicom,
        "series": series,
        "evidence": [_evidence(finding) for finding in study.identified],
        "warnings": [{"code": notice.code, "message": notice.message} for notice in study.warnings],
    }


def _evidence(finding: PhaseFinding) -> dict[str, Any]:
    """What spoke for the phase of one volume: sources, trust in each phase, and the decision."""
    one, made = finding.evidence, finding.decision
    return {
        "name": one.name,
        "words": None if one.text is None else {"phase": one.text[0].value, "trust": round(one.text[1], 3)},
        "clock": None if one.clock is None else {p.value: round(v, 3) for p, v in one.clock.items()},
        "agent": one.agent,
        "acquired_s": one.time,
        "aorta_hu": None if one.organs.aorta is None else round(one.organs.aorta),
        "liver_hu": None if one.organs.liver is None else round(one.organs.liver),
        "image": {p.value: round(v, 3) for p, v in one.image.items()} if one.organs.measured else None,
        "shares": {p.value: round(v, 3) for p, v in made.shares.items()},
        "phase": made.phase.value if made.known else "unknown",
        "source": made.source,
        "confidence": made.confidence,
    }


def _explain(report: Mapping[str, Any]) -> None:
    """Table of the evidence: a row for each series in the order of acquisition."""
    found = sorted(report.get("evidence", ()), key=lambda one: (one["acquired_s"] is None, one["acquired_s"] or 0.0))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("Series", "Words", "Clock", "Agent", "After", "Aorta", "Liver", *PHASE_NAMES, "Phase", "By"):
        table.add_column(column, no_wrap=True)
    first = next((one["acquired_s"] for one in found if one["acquired_s"] is not None), 0.0)
    for one in found:
        words, clock = one["words"], one["clock"]
        cells = (
            one["name"],
            f"{words['phase']} {words['trust']:.2f}" if words else "-",
            max(clock, key=clock.__getitem__) if clock else "-",
            {True: "yes", False: "no", None: "-"}[one["agent"]],
            "-" if one["acquired_s"] is None else f"{one['acquired_s'] - first:.0f} s",
            *("-" if one[k] is None else f"{one[k]} HU" for k in ("aorta_hu", "liver_hu")),
            *(f"{one['shares'][name]:.2f}" for name in PHASE_NAMES),
            one["phase"],
            one["source"],
        )
        table.add_row(*(escape(cell) for cell in cells))
    # A table that is cut cannot be read; a terminal that is too narrow folds its lines.
    console = Console(width=max(Console().width, 110), soft_wrap=True)
    console.print(table)
    console.print(
        "Words: phase and trust by description or protocol. Clock: by the seconds since the injection. Agent: whether "
        "the header names one. After: since the first series. NC to DP: trust in each phase by all of them together; "
        f"below {MIN_CONFIDENCE} a phase is unknown."
    )


def _refusal(error: CascadeError, case_id: str) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "status": error.status,
        "code": error.code,
        "message": error.message,
        "remedy": error.remedy,
        "dicom": None,
        "series": [],
        "warnings": [],
    }


def _show(report: Mapping[str, Any]) -> None:
    console = Console()
    if report["series"]:
        console.print(_table(report))
    for notice in report["warnings"]:
        console.print(f"[yellow]{notice['code']}[/yellow] {escape(notice['message'])}", soft_wrap=True)
    if report["code"]:
        text = escape(f"{report['message']} {report['remedy']}")
        console.print(f"[bold red]{report['code']}[/bold red] {text}", soft_wrap=True)
    console.print(f"{escape(shown(report['case_id']))}: {report['status']}")


def _table(report: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("Series", "Status", "Code", "Phase", "Identified by", "Trust", "Voxels z×y×x", "mm"):
        table.add_column(column, overflow="fold")
    for one in report["series"]:
        table.add_row(
            escape(one["name"]),
            one["status"],
            one["code"] or "",
            one.get("phase", ""),
            one.get("phase_source", ""),
            f"{one['confidence']:.2f}" if "confidence" in one else "",
            "×".join(str(n) for n in one.get("shape", ())),
            "×".join(f"{mm:.3g}" for mm in one.get("spacing_mm", ())),
        )
    return table
