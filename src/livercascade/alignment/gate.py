"""Quality gate: whether an alignment may be used, from what it did to both images and from its field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int16, Shaped
from scipy import ndimage

from livercascade.alignment.field import DisplacementField
from livercascade.alignment.gated import BeforeAfter, GateSettings, Quality
from livercascade.alignment.likeness import mutual_information
from livercascade.alignment.pair import PairAlignment
from livercascade.alignment.working import TISSUE_HU
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume

_PIXEL_MM = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Livers:
    """Livers on the reference grid: its own, and the phase's before and after alignment."""

    fixed: Bool[np.ndarray, "z y x"]
    before: Bool[np.ndarray, "z y x"]
    after: Bool[np.ndarray, "z y x"]


def judge(
    fixed: PhaseVolume,
    unaligned: tuple[Int16[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]],
    pair: PairAlignment,
    *,
    livers: Livers | None = None,
    settings: GateSettings | None = None,
) -> Quality:
    """Quality of one aligned phase.

    Args:
        fixed: The reference phase.
        unaligned: HU of the moving phase on the reference grid by header geometry alone, and where it had data.
        pair: Its alignment.
        livers: Masks, if there are any.
        settings: Limits; the defaults if absent.
    """
    thin = _thinned(fixed.grid)
    hu, before, after = thin(fixed.hu), thin(unaligned[0]), thin(pair.moved)
    both = thin(unaligned[1]) & thin(pair.valid)
    body = tissue(hu)
    within = body & both
    measured = _lengths(pair, thin, body)
    quality = Quality(
        similarity=BeforeAfter(mutual_information(hu, before, within), mutual_information(hu, after, within)),
        body_overlap=BeforeAfter(dice(body, tissue(before), both), dice(body, tissue(after), both)),
        liver_overlap=None if livers is None else _liver_overlap(livers),
        folded=pair.folded,
        mean_mm=float(measured.mean()),
        p95_mm=float(np.percentile(measured, 95)),
        max_mm=float(measured.max()),
    )
    return _with_reasons(quality, settings or GateSettings())


def refuse(phase: Phase, quality: Quality) -> InputError:
    """The error of a case whose phase failed the gate under `OnPoor.REJECT`."""
    message = f"{phase.title}: the alignment is poor: {'; '.join(quality.reasons)}."
    remedy = "Look at the phases; leave this one out, or set on_poor to unaligned or drop."
    return InputError("REGISTRATION_POOR", message, remedy, stage="register")


def tissue(hu: Int16[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The body without gas: the largest connected region above -300 HU; the table falls away."""
    square = np.ones((1, 3, 3), dtype=np.bool_)
    solid = np.asarray(ndimage.binary_opening(hu > TISSUE_HU, structure=square))
    pieces, count = ndimage.label(solid)
    sizes = np.bincount(pieces.ravel())
    return np.asarray(pieces == 1 + int(sizes[1:].argmax())) if count else solid


def dice(
    a: Bool[np.ndarray, "z y x"], b: Bool[np.ndarray, "z y x"], within: Bool[np.ndarray, "z y x"] | None = None
) -> float:
    """Dice overlap of two masks, 0 to 1, inside a third if given; 1 if both are empty."""
    if within is not None:
        a, b = a & within, b & within
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def _liver_overlap(livers: Livers) -> BeforeAfter:
    return BeforeAfter(dice(livers.fixed, livers.before), dice(livers.fixed, livers.after))


def _thinned(grid: Grid) -> Callable[[Shaped[np.ndarray, "z y x"]], Shaped[np.ndarray, "c h w"]]:
    """Takes every voxel needed to see 3 mm: measures over the body need no more."""
    steps = tuple(slice(None, None, max(1, int(_PIXEL_MM / s))) for s in grid.spacing)
    return lambda array: array[steps]


def _lengths(
    pair: PairAlignment,
    thin: Callable[[Shaped[np.ndarray, "z y x"]], Shaped[np.ndarray, "c h w"]],
    body: Bool[np.ndarray, "c h w"],
) -> Shaped[np.ndarray, " n"]:
    """Displacement in mm over the body, without the shift that only puts the headers right."""
    parts = [thin(pair.field.vectors_mm[..., k])[body] for k in range(3)]
    parts[2] = parts[2] - np.float32(pair.offset_mm)
    lengths = np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)
    return lengths if lengths.size else np.zeros(1, dtype=np.float32)


def _with_reasons(quality: Quality, limits: GateSettings) -> Quality:
    similarity, body, liver = quality.similarity, quality.body_overlap, quality.liver_overlap
    misses = (
        (
            similarity.after < limits.min_gain * similarity.before or similarity.after == 0,
            f"similarity fell from {similarity.before:.3f} to {similarity.after:.3f} nats",
        ),
        (
            body.after < limits.min_body_overlap,
            f"the body overlaps by {body.after:.2f}, under {limits.min_body_overlap:.2f}",
        ),
        (
            liver is not None and liver.after < limits.min_liver_overlap,
            f"the liver overlaps by {liver.after if liver else 0:.2f}, under {limits.min_liver_overlap:.2f}",
        ),
        (quality.folded > limits.max_folded, f"the field folds in {quality.folded:.2%} of the voxels"),
        (
            quality.p95_mm > limits.max_displacement_mm,
            f"it moves the body by {quality.p95_mm:.0f} mm, over {limits.max_displacement_mm:.0f} mm",
        ),
    )
    return replace(quality, reasons=tuple(reason for missed, reason in misses if missed))


def coarse(field: DisplacementField, spacing_mm: float = 4.0) -> DisplacementField:
    """The field on a coarser grid of about this spacing, small enough to be kept for pictures."""
    steps = [max(1, round(spacing_mm / s)) for s in field.grid.spacing]
    vectors = np.ascontiguousarray(field.vectors_mm[:: steps[0], :: steps[1], :: steps[2]])
    nz, ny, nx = vectors.shape[:3]
    dz, dy, dx = field.grid.spacing
    spacing = (dz * steps[0], dy * steps[1], dx * steps[2])
    return DisplacementField(Grid((nz, ny, nx), spacing, field.grid.origin, field.grid.direction), vectors)
