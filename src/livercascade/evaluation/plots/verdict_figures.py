"""Fig. 13 to 15: false positives that reclassification removed, and a type that it corrected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

from livercascade.data.labels import LESION_TYPES, LesionType
from livercascade.data.lesion import Lesion
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.axial_view import (
    Plane,
    heading,
    largest_slice,
    outline,
    paint,
    scale_bar,
    show_ct,
    sides,
    type_marks,
    types_in,
)
from livercascade.evaluation.plots.loaded_case import LoadedCase, ProposalPatches
from livercascade.evaluation.plots.patch_figures import patch_plane, truth_in
from livercascade.evaluation.plots.plot_style import INK, picture, sheet
from livercascade.evaluation.plots.sensitivity_figures import lesions_of
from livercascade.reclassification.candidate import Candidate
from livercascade.reclassification.patches import PATCH_LIVER
from livercascade.report.pictures import TYPE_COLOURS

_FIELD_MM = 100.0
_MARGIN_MM = 35.0


def removed_figure(shown: Sequence[tuple[LoadedCase, Candidate]], *, virtual: bool) -> DrawnFigure:
    """Every phase of one or two false positives of UNet^whole that were removed (paper, Fig. 13)."""
    columns = max(len(loaded.scan.phases) for loaded, _ in shown)
    down, above, below, between = 1.75 * len(shown), 0.5, 0.34, 0.26
    height = above + down + between * (len(shown) - 1) + below
    figure = sheet(height)
    grid = figure.subplots(len(shown), columns, squeeze=False)
    for letter, row, (loaded, outcome) in zip("AB", grid, shown, strict=False):
        _phases(list(row), loaded, outcome.lesion, letter)
        row[0].set_ylabel(f"{loaded.case_id}\n{_short(outcome)}", fontsize=7, color=INK)
    scale_bar(grid[0][0])
    shown_types = {outcome.lesion.label for _, outcome in shown}
    figure.legend(handles=type_marks(shown_types), loc="lower center", ncols=6, fontsize=7.5, frameon=False,
                  labelcolor=INK)  # fmt: skip
    # By hand: room for the headings of the second row, which a tight layout of square pictures forgets.
    figure.subplots_adjust(left=0.07, right=0.99, top=1 - above / height, bottom=below / height,
                           wspace=0.05, hspace=between * len(shown) / down)  # fmt: skip
    alternative = "; ".join(f"{loaded.case_id}: {_short(outcome).replace(chr(10), ', ')}" for loaded, outcome in shown)
    return picture(
        figure,
        "figure_13_removed",
        "Fig. 13: false positives of UNet^whole that reclassification removed",
        "The largest of High that touch no true lesion. Outline: the proposal, in the colour of the type it was given.",
        alternative,
        virtual=virtual,
    )


def relabelled_phases_figure(
    loaded: LoadedCase, outcome: Candidate, true_type: LesionType, *, virtual: bool
) -> DrawnFigure:
    """The lesion whose type was corrected, in every phase (paper, Fig. 14)."""
    figure = sheet(2.25)
    row = list(figure.subplots(1, len(loaded.scan.phases), squeeze=False)[0])
    _phases(row, loaded, outcome.lesion, "")
    truth = _plane(loaded, outcome.lesion)
    for axes in row:
        outline(axes, truth.cut(lesions_of(loaded)) > 0, truth, width=0.8)
    scale_bar(row[0])
    figure.subplots_adjust(left=0.015, right=0.985, top=0.84, bottom=0.02, wspace=0.04)
    return picture(
        figure,
        "figure_14_relabelled",
        f"Fig. 14: {true_type.title} that was first called {outcome.lesion.label.title}, {loaded.case_id}",
        "Outline: the proposal of High in the colour of its type; white: truth.",
        virtual=virtual,
    )


def relabelled_mask_figure(
    made: ProposalPatches,
    probabilities: Float[np.ndarray, "8 16 128 128"] | None,
    *,
    in_force: bool,
    virtual: bool,
) -> DrawnFigure:
    """Truth, the type of UNet^whole, the types of UNet^patch, and the vote (paper, Fig. 15).

    Args:
        made: The proposal and its patches.
        probabilities: Output of UNet^patch on the first patch; None paints the proposal with the type voted.
        in_force: True if the cascade took the vote over.
        virtual: True if the patient is virtual.
    """
    patch, phase, outcome = made.patches[0], made.loaded.phase, made.outcome
    plane, truth = patch_plane(made, patch), truth_in(made, patch)
    before = np.where(patch.lesion, outcome.lesion.label, 0).astype(np.uint8)
    winner = max(outcome.votes, key=lambda t: (outcome.votes[t], -t.priority))
    after = np.where(patch.lesion, winner, 0).astype(np.uint8) if probabilities is None else _types(probabilities)
    masks = {
        "truth": truth,
        f"initial: {outcome.lesion.label.title}": before,
        f"ReCls: {winner.title}" + ("" if probabilities is None else ", by voxel"): after,
    }
    figure = sheet(2.75)
    panels = figure.subplots(1, 4, width_ratios=(1, 1, 1, 0.75))
    for axes, (name, labels) in zip(panels[:3], masks.items(), strict=True):
        show_ct(axes, plane.cut(patch.image[phase.index]), plane, phase)
        paint(axes, plane.cut(labels), plane)
        heading(axes, name)
    sides(panels[0])
    scale_bar(panels[0])
    types = [t for t in LESION_TYPES if outcome.votes.get(t)]
    panels[3].barh([t.title for t in types], [100 * outcome.votes[t] for t in types],
                   color=[TYPE_COLOURS[t] for t in types], edgecolor="#555555", linewidth=0.4, height=0.55)  # fmt: skip
    panels[3].set_ylim(max(len(types), 4) - 0.25, -0.75)
    panels[3].set_box_aspect(1.25)
    panels[3].set_xlim(0, 100)
    panels[3].set_xlabel("votes (%)", fontsize=7.5, color=INK)
    panels[3].tick_params(labelsize=7.5, length=3)
    panels[3].spines[["top", "right"]].set_visible(False)
    shown = types_in(*(plane.cut(labels) for labels in masks.values()))
    figure.legend(handles=type_marks(shown), loc="lower center", ncols=6, fontsize=7.5, frameon=False, labelcolor=INK)
    figure.tight_layout(rect=(0, 0.06, 1, 0.94), w_pad=0.5)
    force = "" if in_force else " The cascade leaves types as they are: shown is what the vote would have done."
    return picture(
        figure,
        "figure_15_relabelled_masks",
        f"Fig. 15: truth, initial and reclassified type, {made.loaded.case_id}",
        f"The lesion of Fig. 14. Votes: voxels of each type inside the proposal over all patches.{force}",
        virtual=virtual,
    )


def _phases(row: Sequence[Axes], loaded: LoadedCase, lesion: Lesion, letter: str) -> None:
    plane = _plane(loaded, lesion)
    mask = np.zeros(loaded.scan.grid.shape, dtype=np.bool_)
    mask[lesion.bbox] = lesion.mask
    for number, (axes, phase) in enumerate(zip(row, loaded.scan.phases, strict=False), start=1):
        show_ct(axes, plane.cut(loaded.scan.hu[phase]), plane, phase)
        outline(axes, plane.cut(mask), plane, colour=TYPE_COLOURS[lesion.label], width=1.2)
        heading(axes, f"({letter}.{number}) {phase.title}" if letter else phase.title)
    sides(row[0])


def _plane(loaded: LoadedCase, lesion: Lesion) -> Plane:
    mask = np.zeros(loaded.scan.grid.shape, dtype=np.bool_)
    mask[lesion.bbox] = lesion.mask
    index = largest_slice(mask, loaded.scan.grid)
    return Plane.whole(loaded.scan.grid, index).around(mask, margin_mm=_MARGIN_MM, least_mm=_FIELD_MM)


def _types(probabilities: Float[np.ndarray, "8 16 128 128"]) -> UInt8[np.ndarray, "16 128 128"]:
    labels = probabilities.argmax(axis=0).astype(np.uint8)
    return np.where(labels == PATCH_LIVER, 0, labels).astype(np.uint8)


def _short(outcome: Candidate) -> str:
    if outcome.score is None or outcome.threshold is None:
        return outcome.status.value
    return f"{outcome.lesion.volume_ml:.1f} ml, score {outcome.score:.2f} < {outcome.threshold:.2f}"
