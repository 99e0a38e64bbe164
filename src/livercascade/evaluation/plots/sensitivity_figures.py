"""Fig. 3 and 7: one case at several sensitivities."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from matplotlib.axes import Axes

from livercascade.data.labels import FIRST_LESION, LAST_LESION
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.axial_view import (
    Plane,
    heading,
    largest_slice,
    outline,
    paint,
    panels,
    scale_bar,
    show_ct,
    show_map,
    sides,
    type_marks,
    types_in,
)
from livercascade.evaluation.plots.loaded_case import LoadedCase
from livercascade.evaluation.plots.plot_style import INK, picture

_MARGIN_MM = 12.0


def sensitivity_figure(loaded: LoadedCase, why: str, *, virtual: bool) -> DrawnFigure:
    """CT, lesion probability, and the masks at low, normal and high sensitivity (paper, Fig. 3)."""
    evidence = loaded.evidence
    low, normal, high = min(evidence.factors), evidence.low_factor, evidence.high_factor
    plane = changed_plane(loaded)
    image = plane.cut(loaded.scan.hu[loaded.phase])
    figure, grid = panels(2, 3, plane.aspect(loaded.reference))
    first, second, *rest = (axes for row in grid for axes in row)
    truth = plane.cut(lesions_of(loaded))
    show_ct(first, image, plane, loaded.phase)
    heading(first, f"(1) CT, {loaded.phase.title} phase")
    shown = show_map(second, plane.cut(probability(loaded)), plane)
    outline(second, truth > 0, plane, width=0.8)
    heading(second, "(2) lesion probability")
    # A sweep that begins with Base has no low sensitivity.
    named = {low: "low", normal: "normal", high: "high"}
    masks = [plane.cut(evidence.typed_map(f)) for f in named]
    for number, (axes, mask, (factor, word)) in enumerate(zip(rest, masks, named.items(), strict=False), start=3):
        show_ct(axes, image, plane, loaded.phase)
        paint(axes, mask, plane)
        outline(axes, truth > 0, plane, width=0.8)
        heading(axes, f"({number}) {word} sensitivity, f = {factor:g}")
    _finish(first)
    last = rest[len(named)]
    for axes in rest[len(named) :]:
        axes.axis("off")
    last.legend(handles=type_marks(types_in(*masks), truth=True), loc="upper left", fontsize=7.5, frameon=False,
                labelcolor=INK)  # fmt: skip
    bar = figure.colorbar(shown, cax=last.inset_axes((0.04, 0.2, 0.8, 0.05)), orientation="horizontal")
    bar.ax.tick_params(labelsize=6.5)
    bar.ax.set_title("lesion probability (2)", loc="left", fontsize=7.5, color=INK, pad=4)
    return picture(
        figure,
        "figure_03_sensitivity",
        f"Fig. 3: lesion probability and masks of varied sensitivity, {loaded.case_id}",
        "Probability of the best lesion type against the best other label, 1 / (1 + exp(margin)), inside the liver. "
        f"{why}",
        virtual=virtual,
    )


def case_figure(
    loaded: LoadedCase, why: str, *, virtual: bool, crop: Bool[np.ndarray, "z y x"] | None = None
) -> DrawnFigure:
    """CT, truth, and the masks of Base and High (paper, Fig. 7).

    Args:
        loaded: The case.
        why: Reason why it was chosen, as a sentence.
        virtual: True if the patient is virtual.
        crop: Voxels of the patch of Fig. 8, drawn as a dashed box; None if it is of another case.
    """
    evidence = loaded.evidence
    plane = changed_plane(loaded)
    figure, grid = panels(2, 2, plane.aspect(loaded.reference), width=6.0, below=0.3)
    four = [axes for row in grid for axes in row]
    image, truth = plane.cut(loaded.scan.hu[loaded.phase]), plane.cut(lesions_of(loaded))
    masks = [truth, *(plane.cut(evidence.typed_map(f)) for f in (evidence.low_factor, evidence.high_factor))]
    names = (
        f"(A) CT, {loaded.phase.title} phase",
        "(B) truth",
        f"(C) f = {evidence.low_factor:g} (Base)",
        f"(D) f = {evidence.high_factor:g} (High)",
    )
    for axes, mask, name in zip(four, (None, *masks), names, strict=True):
        show_ct(axes, image, plane, loaded.phase)
        heading(axes, name)
        if mask is not None:
            paint(axes, mask, plane)
            outline(axes, truth > 0, plane, width=0.8)
    if crop is not None:
        outline(four[0], plane.cut(crop), plane, colour="#f2e33a", dashed=True)
    _finish(four[0])
    figure.legend(handles=type_marks(types_in(*masks), truth=True), loc="lower center", ncols=7, fontsize=7.5,
                  frameon=False, labelcolor=INK)  # fmt: skip
    return picture(
        figure,
        "figure_07_case",
        f"Fig. 7: masks of different lesion sensitivities, {loaded.case_id}",
        f"The slice with most lesion that only the higher sensitivity finds. {why}"
        + ("" if crop is None else " Yellow box: the patch of Fig. 8."),
        virtual=virtual,
    )


def changed_plane(loaded: LoadedCase) -> Plane:
    """The slice with most true lesion that only High finds; without one, with most that changes; round the liver."""
    evidence = loaded.evidence
    low, high = (evidence.typed_map(f) > 0 for f in (evidence.low_factor, evidence.high_factor))
    gained, truth = high & ~low, lesions_of(loaded) > 0
    region = next((r for r in (gained & truth, gained, high, truth) if r.any()), high)
    liver = np.zeros(loaded.scan.grid.shape, dtype=np.bool_)
    liver[evidence.box] = evidence.liver
    index = largest_slice(region, loaded.scan.grid)
    return Plane.whole(loaded.scan.grid, index).around(liver, margin_mm=_MARGIN_MM)


def lesions_of(loaded: LoadedCase) -> np.ndarray:
    """The lesions of the reference alone."""
    return np.where((loaded.reference >= FIRST_LESION) & (loaded.reference <= LAST_LESION), loaded.reference, 0).astype(
        np.uint8
    )


def probability(loaded: LoadedCase) -> Float32[np.ndarray, "z y x"]:
    """P(best lesion) / (P(best lesion) + P(best other label)) on the scan's grid, 0 outside the liver."""
    out = np.zeros(loaded.scan.grid.shape, dtype=np.float32)
    margin = np.clip(loaded.evidence.sensitivity.margin, -50, 50)
    out[loaded.evidence.box] = np.where(loaded.evidence.liver, 1 / (1 + np.exp(margin)), 0)
    return out


def _finish(first: Axes) -> None:
    sides(first)
    scale_bar(first)
