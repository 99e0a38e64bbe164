"""``livercascade virtual``: make virtual patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.progress_bars import steps
from livercascade.virtual.fixed_cohorts import VirtualCohort, cohorts
from livercascade.virtual.virtual_settings import CaseMix, PhaseMotion, ScanRange, VirtualSettings

_DIFFICULTY, _BODIES = "Difficulty", "Bodies"
_CohortOption = Annotated[
    str | None, typer.Option(help=f"A fixed cohort instead of --seed and --mix: {', '.join(cohorts())}.")
]
_MotionOption = Annotated[
    PhaseMotion,
    typer.Option(
        help="How NC, AP and DP lie against VP: voxel on voxel, a voxel or two apart as after registration, "
        "or several cm as breathed; the last also stores the true fields."
    ),
]
_RangeOption = Annotated[
    list[ScanRange] | None,
    typer.Option(
        help="Bodies from head to thighs: what the scan covers, repeatable, one drawn per patient.",
        rich_help_panel=_BODIES,
    ),
]
_ShapeOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Mask of a real liver, or a folder of them, to put into bodies; repeatable.", rich_help_panel=_BODIES
    ),
]
_ShapeShareOption = Annotated[
    float, typer.Option(min=0, max=1, help="Share of livers with such a shape.", rich_help_panel=_BODIES)
]
_UnusualOption = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="Share of livers that are small, large, fatty, resected, high ...", rich_help_panel=_BODIES
    ),
]
_LesionContrastOption = Annotated[
    float, typer.Option(min=0.2, max=2, help="Factor on lesions' contrast.", rich_help_panel=_DIFFICULTY)
]
_NoiseOption = Annotated[float, typer.Option(min=0.2, max=3, help="Factor on the noise.", rich_help_panel=_DIFFICULTY)]
_MimicsOption = Annotated[
    float, typer.Option(min=0, max=5, help="Factor on the number of mimics.", rich_help_panel=_DIFFICULTY)
]
_MottleOption = Annotated[
    float, typer.Option(min=0, max=3, help="Factor on the liver's own mottle.", rich_help_panel=_DIFFICULTY)
]


def virtual(
    out: Annotated[Path, typer.Option("--out", help="Folder for the patients.")],
    cohort: _CohortOption = None,
    cases: Annotated[
        int | None, typer.Option(min=1, help="How many patients: 1, or all of a cohort, if not given.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the first patient (0); the next ones follow.")
    ] = None,
    mix: Annotated[CaseMix | None, typer.Option(help="Case mix (diagnosis).")] = None,
    matrix: Annotated[int, typer.Option(min=64, max=1024, help="Pixels along each side of a slice.")] = 512,
    randomise: Annotated[bool, typer.Option(help="Domain randomisation, for training.")] = False,
    motion: _MotionOption = PhaseMotion.RESIDUAL,
    anatomy: Annotated[
        list[Path] | None, typer.Option(help="Real label map in TotalSegmentator numbering to warp; repeatable.")
    ] = None,
    anatomy_share: Annotated[float, typer.Option(min=0, max=1, help="Share of patients made from them.")] = 0.5,
    scan_range: _RangeOption = None,
    liver_shape: _ShapeOption = None,
    liver_shape_share: _ShapeShareOption = 0.5,
    unusual_livers: _UnusualOption = 0.0,
    lesion_contrast: _LesionContrastOption = 1.0,
    noise: _NoiseOption = 1.0,
    mimics: _MimicsOption = 1.0,
    mottle: _MottleOption = 1.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
    preview: Annotated[bool, typer.Option("--preview", help="Write preview.png beside each patient.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Make virtual four-phase liver CT with exact truth; patients that are there already are kept.

    Example: livercascade virtual --cases 4 --seed 100 --motion breathing --out patients

    Example: livercascade virtual --cohort diagnosis-test --workers 8 --out test

    Example: livercascade virtual --cases 20 --scan-range mixed --liver-shape masks --unusual-livers 0.2 --out bodies
    """
    from livercascade.virtual.patient_folders import make_cohort

    if motion is PhaseMotion.BREATHING and (scan_range or liver_shape or unusual_livers):
        raise typer.BadParameter(
            "leave it out with --scan-range, --liver-shape or --unusual-livers", param_hint="--motion"
        )
    chosen = _cohort(cohort, seed, mix)
    seeds = _seeds(chosen, cases, seed)
    settings = VirtualSettings(
        mix=chosen.mix if chosen else mix or CaseMix.DIAGNOSIS,
        matrix=matrix,
        randomise=randomise,
        motion=motion,
        anatomies=tuple(anatomy or ()),
        anatomy_share=anatomy_share,
        lesion_contrast=lesion_contrast,
        noise=noise,
        mimics=mimics,
        mottle=mottle,
        scan_ranges=tuple(scan_range or ()),
        liver_shapes=_masks(liver_shape or []),
        liver_shape_share=liver_shape_share,
        unusual_livers=unusual_livers,
    )
    made = make_cohort(seeds, settings, out, workers=workers, preview=preview)
    with exit_on_error(), steps("virtual patients", len(seeds), quiet=quiet) as advance:
        for _ in made:
            advance()


def _cohort(name: str | None, seed: int | None, mix: CaseMix | None) -> VirtualCohort | None:
    if name is None:
        return None
    if seed is not None or mix is not None:
        raise typer.BadParameter("a cohort has its own seeds and case mix: leave --seed and --mix out")
    known = cohorts()
    if name not in known:
        raise typer.BadParameter(f"there is no cohort {name}; there are {', '.join(known)}", param_hint="--cohort")
    return known[name]


def _masks(given: Sequence[Path]) -> tuple[Path, ...]:
    """Files given, and those in folders given, by name."""
    found: list[Path] = []
    for path in given:
        inside = sorted(p for p in path.glob("*.nii*") if p.is_file()) if path.is_dir() else [path]
        if not inside:
            raise typer.BadParameter(f"there is no NIfTI file in {path}", param_hint="--liver-shape")
        found += inside
    return tuple(found)


def _seeds(chosen: VirtualCohort | None, cases: int | None, seed: int | None) -> range:
    if chosen is None:
        first = seed or 0
        return range(first, first + (cases or 1))
    if cases is not None and cases > len(chosen.seeds):
        raise typer.BadParameter(f"{chosen.name} has {len(chosen.seeds)} patients", param_hint="--cases")
    return chosen.seeds[:cases]
