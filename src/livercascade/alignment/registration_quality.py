"""Registration quality control: whether an alignment may be used, by its effect on both images and by its field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int16, Shaped
from pydantic import ConfigDict, NonNegativeFloat

from livercascade.alignment.align_settings import RegistrationLimits
from livercascade.alignment.aligner import PairAlignment
from livercascade.alignment.displacement_field import DisplacementField
from livercascade.alignment.similarity import body_tissue, dice, mutual_information
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume

# Measures over the whole body hardly change below this voxel size, and take a tenth of the time.
_PIXEL_MM = 3.0


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """One measure before and after alignment."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    before: NonNegativeFloat
    after: NonNegativeFloat


@dataclass(frozen=True, slots=True)
class RegistrationQuality:
    """Measures of one alignment, and the limits it missed.

    Attributes:
        similarity: Mutual information with the reference in nats, over the reference's body where both have data.
        body_overlap: Dice overlap, 0 to 1, of all tissue but gas: body surface, lungs and bowel gas.
        liver_overlap: Dice overlap of the liver; None if no masks were given.
        folded: Share of voxels where the field folds, 0 to 1.
        mean_mm, p95_mm, max_mm: Displacement over the body; None if the aligner gave no field.
        reasons: Sentence per missed limit; empty if the alignment is good.
    """

    similarity: BeforeAfter
    body_overlap: BeforeAfter
    liver_overlap: BeforeAfter | None
    folded: float
    mean_mm: float | None
    p95_mm: float | None
    max_mm: float | None
    reasons: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """True if no limit was missed."""
        return not self.reasons


def assess_registration(
    fixed: PhaseVolume,
    unaligned: tuple[Int16[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]],
    pair: PairAlignment,
    *,
    liver_overlap: BeforeAfter | None = None,
    limits: RegistrationLimits | None = None,
) -> RegistrationQuality:
    """Quality of one alignment.

    Args:
        fixed: Reference phase.
        unaligned: HU of the moving phase on the reference grid by header geometry alone, and where it has data.
        pair: Alignment of the moving phase.
        liver_overlap: Overlap of the livers of both phases (`dice`), if masks are at hand.
        limits: Limits; the defaults if absent.
    """
    thin = _thinned(fixed.grid)
    hu, before, after = thin(fixed.hu), thin(unaligned[0]), thin(pair.moved)
    covered = thin(pair.valid)
    # Where the headers were wrong, what was common by them says nothing of what is common now.
    both = (thin(unaligned[1]), covered) if any(pair.shift_mm) else (covered & thin(unaligned[1]),) * 2
    body = body_tissue(hu)
    lengths = None if pair.field is None else _lengths(pair.field, pair.shift_mm, thin, body)
    quality = RegistrationQuality(
        similarity=BeforeAfter(
            mutual_information(hu, before, body & both[0]), mutual_information(hu, after, body & both[1])
        ),
        body_overlap=BeforeAfter(dice(body, body_tissue(before), both[0]), dice(body, body_tissue(after), both[1])),
        liver_overlap=liver_overlap,
        folded=pair.folded,
        mean_mm=None if lengths is None else float(lengths.mean()),
        p95_mm=None if lengths is None else float(np.percentile(lengths, 95)),
        max_mm=None if lengths is None else float(lengths.max()),
    )
    return _with_reasons(quality, limits or RegistrationLimits())


def poor_registration(phase: Phase, quality: RegistrationQuality) -> InputError:
    """Error ``REGISTRATION_POOR`` for a case whose phase missed a limit under `OnPoorAlignment.REJECT`."""
    message = f"{phase.title}: the alignment is poor: {'; '.join(quality.reasons)}."
    remedy = "Look at the phases; leave this one out, or set on_poor to unaligned or drop."
    return InputError("REGISTRATION_POOR", message, remedy, stage="register")


def _thinned(grid: Grid) -> Callable[[Shaped[np.ndarray, "z y x"]], Shaped[np.ndarray, "c h w"]]:
    """Function that keeps one voxel in about 3 mm along each axis."""
    steps = tuple(slice(None, None, max(1, int(_PIXEL_MM / s))) for s in grid.spacing)
    return lambda array: array[steps]


def _lengths(
    field: DisplacementField,
    shift_mm: tuple[float, float, float],
    thin: Callable[[Shaped[np.ndarray, "z y x"]], Shaped[np.ndarray, "c h w"]],
    body: Bool[np.ndarray, "c h w"],
) -> Shaped[np.ndarray, " n"]:
    """Displacement in mm over the body, without the shift that only corrects the headers."""
    parts = [thin(field.vectors_mm[..., k])[body] - np.float32(shift_mm[k]) for k in range(3)]
    lengths = np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)
    return lengths if lengths.size else np.zeros(1, dtype=np.float32)


def _with_reasons(quality: RegistrationQuality, limits: RegistrationLimits) -> RegistrationQuality:
    similarity, body, liver, p95_mm = quality.similarity, quality.body_overlap, quality.liver_overlap, quality.p95_mm
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
            p95_mm is not None and p95_mm > limits.max_displacement_mm,
            f"it moves the body by {p95_mm or 0:.0f} mm, over {limits.max_displacement_mm:.0f} mm",
        ),
    )
    return replace(quality, reasons=tuple(reason for missed, reason in misses if missed))
