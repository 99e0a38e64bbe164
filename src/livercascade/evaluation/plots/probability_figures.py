"""Fig. 12: the six type probabilities of UNet^whole and of UNet^patch on one patch."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from livercascade.data.grid import Grid
from livercascade.data.labels import FIRST_LESION, LAST_LESION, LESION_TYPES
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.axial_view import Plane, heading, outline, show_map, sides
from livercascade.evaluation.plots.loaded_case import Networks, ProposalPatches
from livercascade.evaluation.plots.patch_figures import patch_plane, truth_in
from livercascade.evaluation.plots.plot_style import INK, picture, sheet
from livercascade.reclassification.working_grid import resample_linear
from livercascade.segment.unet_whole import network_image, sliding_window


def probability_figure(
    made: ProposalPatches, networks: Networks, of_patch: Float[np.ndarray, "8 16 128 128"], *, virtual: bool
) -> DrawnFigure:
    """Six maps of each network on the patch of Fig. 8 (paper, Fig. 12).

    UNet^whole runs once more on the case: the evidence keeps its best lesion type alone.
    """
    patch, factor = made.patches[0], made.loaded.evidence.high_factor
    plane = patch_plane(made, patch)
    rows = {
        "A": whole_probabilities(made, networks, factor),
        "B": of_patch[FIRST_LESION : LAST_LESION + 1],
    }
    inside, truth = plane.cut(patch.labels) > 0, plane.cut(truth_in(made, patch)) > 0
    figure = sheet(2.95)
    grid = figure.subplots(2, len(LESION_TYPES))
    shown = None
    for axes_row, (letter, maps) in zip(grid, rows.items(), strict=True):
        for number, (axes, lesion_type) in enumerate(zip(axes_row, LESION_TYPES, strict=True)):
            shown = show_map(axes, _inside(maps[number], plane, inside), plane)
            outline(axes, inside, plane, colour="#5f6b75", width=0.6)
            outline(axes, truth, plane, width=0.8)
            heading(axes, f"({letter}.{number + 1}) {lesion_type.title}")
    sides(grid[0, 0])
    grid[0, 0].set_ylabel(f"UNet^whole, f = {factor:g}", fontsize=7.5, color=INK)
    grid[1, 0].set_ylabel("UNet^patch", fontsize=7.5, color=INK)
    figure.subplots_adjust(left=0.035, right=0.925, top=0.86, bottom=0.02, wspace=0.06, hspace=0.16)
    if shown is not None:
        bar = figure.colorbar(shown, cax=figure.add_axes((0.94, 0.08, 0.012, 0.7)))
        bar.ax.tick_params(labelsize=6.5)
    return picture(
        figure,
        "figure_12_probability_maps",
        f"Fig. 12: type probabilities of both networks, {made.loaded.case_id}",
        f"UNet^whole: lesion probabilities times {factor:g}, all scaled to sum to 1. UNet^patch as it is. "
        "White: truth; grey: liver in the patch.",
        virtual=virtual,
    )


def whole_probabilities(
    made: ProposalPatches, networks: Networks, factor: float
) -> Float32[np.ndarray, "6 16 128 128"]:
    """Probabilities of the lesion types by UNet^whole at a sensitivity, on the grid of the first patch."""
    scan = made.loaded.scan
    logits = sliding_window(network_image(scan, networks.whole), networks.whole).numpy().astype(np.float64)
    powers = np.exp(logits - logits.max(axis=0, keepdims=True))
    # Before the scaling to a sum of 1: the odds of a lesion grow by f, as in the cascade.
    powers[FIRST_LESION : LAST_LESION + 1] *= factor
    share = powers[FIRST_LESION : LAST_LESION + 1] / powers.sum(axis=0)
    source, target = _network_grid(scan.grid, share.shape[1:]), made.grid(made.patches[0])
    return np.stack([resample_linear(channel.astype(np.float32), source, target) for channel in share])


def _network_grid(grid: Grid, shape: tuple[int, ...]) -> Grid:
    """Grid of the network's output: the same field of view in fewer or more voxels."""
    depth, height, width = shape
    step = np.array(grid.shape) / np.array(shape)
    # The corners of the field of view stay, so the centre of the first voxel moves.
    x, y, z = (float(v) for v in grid.world((step - 1) / 2))
    sz, sy, sx = (float(v) for v in np.array(grid.spacing) * step)
    return Grid((depth, height, width), (sz, sy, sx), (x, y, z), grid.direction)


def _inside(
    values: Float[np.ndarray, "16 128 128"], plane: Plane, liver: np.ndarray
) -> Float[np.ndarray, "rows columns"]:
    return np.where(liver, plane.cut(values), 0.0)
