"""Fig. 4, 5, 8, 9: one proposal in patches of the liver."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

from livercascade.data.grid import Shape
from livercascade.data.labels import LAST_LESION, Phase
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
from livercascade.evaluation.plots.loaded_case import ProposalPatches
from livercascade.evaluation.plots.plot_style import BLUE, INK, MUTED, VERMILION, picture, plain, sheet
from livercascade.reclassification.candidate import CandidateStatus
from livercascade.reclassification.patches import PATCH_LIVER, Patch, Scheme
from livercascade.reclassification.reclassify import ScoreMode
from livercascade.reclassification.shuffle import shuffle
from livercascade.reclassification.working_grid import resample_nearest

_SCHEMES = {
    Scheme.ORIGINAL_POSITIVE: "original positive",
    Scheme.ORIGINAL_NEGATIVE: "original negative",
    Scheme.SHUFFLED_POSITIVE: "shuffled positive",
    Scheme.SHUFFLED_NEGATIVE: "shuffled negative",
}
_SEED = 4
_COLUMNS = 5


def shuffle_figure(made: ProposalPatches, *, virtual: bool) -> DrawnFigure:
    """The four schemes on one lesion: image above, patch classes below (paper, Fig. 4)."""
    phase = made.loaded.phase
    figure = sheet(4.1)
    grid = figure.subplots(2, len(_SCHEMES))
    rng = np.random.default_rng(_SEED)
    types: set[int] = set()
    for column, (scheme, name) in enumerate(_SCHEMES.items()):
        patch = shuffle(made.here, made.working.volume, scheme, rng)
        above, below = grid[0, column], grid[1, column]
        heading(above, name)
        if patch is None:
            for axes in (above, below):
                axes.axis("off")
            above.text(0.5, 0.5, "no room\nin the liver", transform=above.transAxes, ha="center", fontsize=8, color=INK)
            continue
        plane = _plane(made, patch)
        labels = plane.cut(patch.labels)
        show_ct(above, plane.cut(patch.image[phase.index]), plane, phase)
        _classes(below, labels, plane, phase)
        types |= {int(v) for v in np.unique(labels) if 1 <= v <= LAST_LESION}
    sides(grid[0, 0])
    scale_bar(grid[0, 0])
    marks = type_marks(types_in(np.array(sorted(types), dtype=np.uint8)[None]))
    figure.legend(handles=marks, loc="lower center", ncols=6, fontsize=7.5, frameon=False, labelcolor=INK)
    figure.tight_layout(rect=(0, 0.04, 1, 0.95), w_pad=0.5, h_pad=0.6)
    return picture(
        figure,
        "figure_04_shuffle",
        f"Fig. 4: the four shuffling schemes, {made.loaded.case_id}",
        f"Patches of 10 x 10 cm of the liver alone, {phase.title} phase; below the patch classes, liver in grey. The "
        "lesion is the proposal of Fig. 5.",
        virtual=virtual,
    )


def process_figure(
    made: ProposalPatches, probabilities: Float[np.ndarray, "n 8 16 128 128"] | None, *, virtual: bool
) -> DrawnFigure:
    """The N patches of one proposal, what UNet^patch confirms in each, the score and its threshold (paper, Fig. 5)."""
    tally, phase = made.outcome.tally, made.loaded.phase
    if tally is None:
        raise ValueError("a proposal without tally was not reclassified")
    rows = -(-len(made.patches) // _COLUMNS)
    figure = sheet(0.85 + 1.22 * rows)
    layout = figure.add_gridspec(rows, _COLUMNS + 3, width_ratios=[1] * _COLUMNS + [0.3, 0.75, 0.75])
    types: set[int] = set()
    for number, patch in enumerate(made.patches):
        axes = figure.add_subplot(layout[number // _COLUMNS, number % _COLUMNS])
        plane = _plane(made, patch)
        show_ct(axes, plane.cut(patch.image[phase.index]), plane, phase)
        if probabilities is not None:
            found = _found(probabilities[number])
            paint(axes, plane.cut(found), plane)
            types |= {int(v) for v in np.unique(plane.cut(found)) if v}
        outline(axes, plane.cut(patch.lesion), plane, width=0.9)
        word = "shuf." if patch.scheme is Scheme.SHUFFLED_POSITIVE else "orig."
        heading(axes, f"{number + 1} {word} {tally.overlap_ml[number]:.1f} ml")
        if number == 0:
            sides(axes)
            scale_bar(axes)
    _scores(figure.add_subplot(layout[:, _COLUMNS + 1 :]), made)
    marks = type_marks(types_in(np.array(sorted(types), dtype=np.uint8)[None])) if types else []
    if marks:
        figure.legend(handles=marks, loc="lower left", ncols=6, fontsize=7.5, frameon=False, labelcolor=INK)
    figure.subplots_adjust(left=0.012, right=0.985, top=0.84, bottom=0.14, wspace=0.06, hspace=0.2)
    seen = "Colour: lesion by UNet^patch. " if probabilities is not None else ""
    return picture(
        figure,
        "figure_05_reclassification",
        f"Fig. 5: reclassification of one proposal, {made.loaded.case_id}",
        f"White: the proposal ({made.outcome.lesion.label.title}, {made.outcome.lesion.volume_ml:.1f} ml). {seen}"
        f"The mean of the confirmed volumes is held against the threshold: {made.outcome.status.value}.",
        f"{len(made.patches)} patches; {made.outcome.reason}.",
        virtual=virtual,
    )


def patch_figure(made: ProposalPatches, *, virtual: bool) -> DrawnFigure:
    """The patch round a lesion in every phase, the liver alone (paper, Fig. 8)."""
    patch, phases = made.patches[0], made.loaded.scan.phases
    plane = _plane(made, patch)
    figure = sheet(2.2)
    for axes, phase in zip(figure.subplots(1, len(phases), squeeze=False)[0], phases, strict=True):
        show_ct(axes, plane.cut(patch.image[phase.index]), plane, phase)
        outline(axes, plane.cut(patch.lesion), plane, width=0.8, dashed=True)
        heading(axes, f"{phase.value}, {phase.title}")
    sides(figure.axes[0])
    scale_bar(figure.axes[0])
    figure.subplots_adjust(left=0.015, right=0.985, top=0.84, bottom=0.02, wspace=0.04)
    return picture(
        figure,
        "figure_08_patch",
        f"Fig. 8: patch of 16 x 128 x 128 voxels, {made.loaded.case_id}",
        "First original patch of Fig. 5: 8 x 10 x 10 cm, other organs left out. Dashed: the proposal of High.",
        virtual=virtual,
    )


def patch_mask_figure(
    made: ProposalPatches, probabilities: Float[np.ndarray, "8 16 128 128"], *, virtual: bool
) -> DrawnFigure:
    """The same patch with the masks of the reference, of UNet^whole and of UNet^patch (paper, Fig. 9)."""
    patch, phase = made.patches[0], made.loaded.phase
    plane = _plane(made, patch)
    truth, whole = truth_in(made, patch), np.where(patch.labels == PATCH_LIVER, 0, patch.labels).astype(np.uint8)
    high = made.loaded.evidence.high_factor
    masks = {
        "(A) truth": truth,
        f"(B) UNet^whole, f = {high:g}": whole,
        "(C) UNet^patch (ReCls)": _found(probabilities),
    }
    figure = sheet(2.95)
    for axes, (name, labels) in zip(figure.subplots(1, 3), masks.items(), strict=True):
        show_ct(axes, plane.cut(patch.image[phase.index]), plane, phase)
        paint(axes, plane.cut(labels), plane)
        outline(axes, plane.cut(truth) > 0, plane, width=0.8)
        heading(axes, name)
    sides(figure.axes[0])
    scale_bar(figure.axes[0])
    shown = types_in(*(plane.cut(labels) for labels in masks.values()))
    figure.legend(handles=type_marks(shown, truth=True), loc="lower center", ncols=7, fontsize=7.5, frameon=False,
                  labelcolor=INK)  # fmt: skip
    figure.tight_layout(rect=(0, 0.06, 1, 0.94), w_pad=0.4)
    return picture(
        figure,
        "figure_09_patch_mask",
        f"Fig. 9: reclassified mask of the patch of Fig. 8, {made.loaded.case_id}",
        f"{phase.title.capitalize()} phase. White: truth.",
        virtual=virtual,
    )


def truth_in(made: ProposalPatches, patch: Patch) -> UInt8[np.ndarray, "16 128 128"]:
    """The lesions of the reference on the grid of a patch."""
    truth = np.where(made.loaded.reference <= LAST_LESION, made.loaded.reference, 0).astype(np.uint8)
    return resample_nearest(truth, made.loaded.scan.grid, made.grid(patch))


def patch_plane(made: ProposalPatches, patch: Patch) -> Plane:
    """Slice of a patch with most of its lesion; without one, with most liver."""
    return _plane(made, patch)


def _plane(made: ProposalPatches, patch: Patch) -> Plane:
    region = patch.lesion
    if not region.any() and patch.scheme is Scheme.SHUFFLED_NEGATIVE:
        # Where the lesion was.
        region = _box_in(made, patch.start, patch.lesion.shape)
    if not region.any():
        region = patch.labels > 0
    grid = made.grid(patch)
    return Plane.whole(grid, largest_slice(region, grid))


def _box_in(made: ProposalPatches, start: Shape, shape: tuple[int, ...]) -> np.ndarray:
    region = np.zeros(shape, dtype=np.bool_)
    voxels = np.argwhere(made.here.mask) + [s.start for s in made.here.bbox] - np.array(start)
    inside = ((voxels >= 0) & (voxels < np.array(shape))).all(axis=1)
    region[tuple(voxels[inside].T)] = True
    return region


def _classes(axes: Axes, labels: UInt8[np.ndarray, "rows columns"], plane: Plane, phase: Phase) -> None:
    show_ct(axes, np.where(labels > 0, 90, -200).astype(np.int16), plane, phase)
    paint(axes, np.where(labels == PATCH_LIVER, 0, labels).astype(np.uint8), plane)


def _found(probabilities: Float[np.ndarray, "8 16 128 128"]) -> UInt8[np.ndarray, "16 128 128"]:
    labels = probabilities.argmax(axis=0).astype(np.uint8)
    return np.where(labels == PATCH_LIVER, 0, labels).astype(np.uint8)


def _scores(axes: Axes, made: ProposalPatches) -> None:
    tally, outcome = made.outcome.tally, made.outcome
    if tally is None or outcome.score is None or outcome.threshold is None:
        raise ValueError("a proposal without tally was not reclassified")
    ratio = made.loaded.evidence.settings.score is ScoreMode.RATIO
    values = tally.overlap / np.maximum(tally.sizes, 1) if ratio else tally.overlap_ml
    places = np.arange(len(values)) + 1
    colours = [BLUE if moved else MUTED for moved in tally.moved]
    axes.barh(places, values, color=colours, height=0.7)
    axes.axvline(outcome.score, color=INK, linewidth=1.4, label=f"mean {outcome.score:.2f}")
    axes.axvline(outcome.threshold, color=VERMILION, linewidth=1.4, linestyle="--",
                 label=f"threshold {outcome.threshold:.2f}")  # fmt: skip
    axes.set_yticks(places)
    axes.invert_yaxis()
    word = "removed" if outcome.status is CandidateStatus.REMOVED else "stays"
    plain(axes, xlabel="confirmed share" if ratio else "confirmed volume (ml)", grid="x", title=word)
    axes.set_ylabel("patch (grey original, blue shuffled)", fontsize=6.5, color=INK, labelpad=1)
    axes.legend(fontsize=6.5, frameon=False, loc="lower left", bbox_to_anchor=(0.3, 1.0), borderaxespad=0.0,
                labelcolor=INK)  # fmt: skip
