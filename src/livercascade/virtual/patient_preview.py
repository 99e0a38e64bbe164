"""One picture of a virtual patient: four phases at its fullest lesion slice, truth, and coronal views."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int16, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from livercascade.data.labels import LAST_LESION, NUM_CLASSES, PHASES, Organ, Phase, label_name

if TYPE_CHECKING:
    from livercascade.virtual.virtual_patient import VirtualPatient

_PAPER, _INK, _MUTED = "#101418", "#f2f4f5", "#9aa5ad"
_WINDOW_HU = (-110, 220)
# Background, six lesion types, seven organs and vessels.
_COLOURS = (
    *("#000000", "#ff5a3c", "#ff9f1c", "#ff5fd2", "#4db8ff", "#f2e33a", "#2ee6a8"),
    *("#8fb8b0", "#3f7fd0", "#7a68d8", "#5f9f52", "#a8605c", "#c0a060", "#8f8f8f"),
)


def draw_preview(patient: VirtualPatient) -> bytes:
    """PNG with the four phases axial and coronal, and the true labels beside them.

    The slices are those with most lesion, with most liver where there is no lesion, and the middle without a liver.
    """
    figure = Figure(figsize=(15, 6.4), dpi=100, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    plots = figure.subplots(2, 5, gridspec_kw={"height_ratios": (3, 2)})
    row, column = _fullest(patient.labels, 0), _fullest(patient.labels, 1)
    dz, dy, dx = patient.grid.spacing
    for phase, plot, below in zip((*PHASES, None), plots[0], plots[1], strict=True):
        shown = patient.labels if phase is None else patient.hu[phase]
        _show(plot, shown[row], dy / dx, "true labels" if phase is None else _phase_title(patient, phase))
        _show(below, shown[::-1, column], dz / dx, "")
    _legend(figure, np.union1d(patient.labels[row], patient.labels[:, column]))
    figure.suptitle(_title(patient), color=_INK, fontsize=13, x=0.012, ha="left")
    figure.subplots_adjust(left=0.01, right=0.99, top=0.88, bottom=0.07, wspace=0.02, hspace=0.03)
    stream = BytesIO()
    # A fixed tag: the same patient gives the same bytes.
    figure.savefig(stream, format="png", facecolor=_PAPER, metadata={"Software": "livercascade"})
    return stream.getvalue()


def _phase_title(patient: VirtualPatient, phase: Phase) -> str:
    breath = patient.breaths.get(phase)
    if breath is None:
        return phase.title
    return f"{phase.title}, dome {abs(breath.dome_mm):.0f} mm {'higher' if breath.dome_mm > 0 else 'lower'}"


def _fullest(labels: UInt8[np.ndarray, "z y x"], axis: int) -> int:
    lesion = (labels > 0) & (labels <= LAST_LESION)
    shown = lesion if lesion.any() else labels == Organ.LIVER
    if not shown.any():
        return labels.shape[axis] // 2
    others = tuple(k for k in range(3) if k != axis)
    return int(np.count_nonzero(shown, axis=others).argmax())


def _show(plot: Axes, image: Int16[np.ndarray, "a b"] | UInt8[np.ndarray, "a b"], aspect: float, title: str) -> None:
    if image.dtype == np.uint8:
        colours = ListedColormap(_COLOURS)
        plot.imshow(image, cmap=colours, vmin=-0.5, vmax=NUM_CLASSES - 0.5, interpolation="nearest", aspect=aspect)
    else:
        plot.imshow(image, cmap="gray", vmin=_WINDOW_HU[0], vmax=_WINDOW_HU[1], interpolation="bilinear", aspect=aspect)
    plot.set_axis_off()
    plot.set_title(title, color=_MUTED, fontsize=11)


def _legend(figure: Figure, values: UInt8[np.ndarray, " n"]) -> None:
    present = [int(k) for k in values if k]
    patches = [Patch(color=_COLOURS[k], label=label_name(k)) for k in present]
    figure.legend(handles=patches, loc="lower center", ncols=max(len(present), 1), frameon=False, labelcolor=_INK)


def _title(patient: VirtualPatient) -> str:
    count = len(patient.lesions)
    lesions = "no lesion" if count == 0 else f"{count} lesion{'s' if count > 1 else ''}"
    return f"virtual patient {patient.seed}  ·  {patient.patient_class.value}, {lesions}  ·  not a real person"
