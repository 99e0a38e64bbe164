"""NC, AP and DP made from a venous scan: its anatomy, texture and noise with other HU (docs/virtual.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int16
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.labels import PHASES, Phase
from livercascade.virtual.canvas.canvas_case import CanvasCase, is_closed
from livercascade.virtual.canvas.edge_keeping_filter import denoised, presmoothed
from livercascade.virtual.canvas.liver_phantom import fitted_physiology, liver_box
from livercascade.virtual.canvas.phase_curves import BodyParts, Knots, body_knots, body_parts, liver_knots
from livercascade.virtual.canvas.scan_properties import (
    ScanNoise,
    measure_noise,
    measure_spectrum,
    noise_field,
)
from livercascade.virtual.canvas.scanned_liver import ScanArray, scanned_liver
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.randomness import StreamPurpose, coarse_noise, random_stream
from livercascade.virtual.tissue import Tissue

_SHARED = 0.45
"""Share of the venous phase's residual that a phase beside it keeps: texture is shared, noise is not."""
_MOST_RESIDUAL = 3.0


def make_phases(case: CanvasCase, wanted: Sequence[Phase], seed: int) -> CanvasCase:
    """A case with the ``wanted`` phases alone: those of the scan as they are, others made from VP.

    The image is taken apart into tissue (an average that keeps edges) and residual. The tissue's HU follow curves of
    the other phase; the residual, which is noise and texture, is added as it is, so that a curve that compresses
    contrast does not compress noise. Beside another phase half of it is exchanged for noise of the same spectrum.

    Args:
        case: The scan; phases are made only if it has VP.
        wanted: Phases of the result; those that can neither be taken nor made are left out.
        seed: Makes the same phases again.
    """
    there = [phase for phase in PHASES if phase in wanted and (phase in case.hu or Phase.VP in case.hu)]
    new = [phase for phase in there if phase not in case.hu]
    if not there:
        return case
    hu = {phase: case.hu[phase] for phase in there if phase in case.hu}
    if new:
        maker = _PhaseMaker(case, seed)
        hu |= {phase: maker.make(phase, alone=len(there) == 1) for phase in new}
    return replace(case, hu={phase: hu[phase] for phase in there})


class _PhaseMaker:
    """A venous scan taken apart once for all phases that are made of it."""

    def __init__(self, case: CanvasCase, seed: int) -> None:
        self.seed, self.spacing = seed, case.grid.spacing
        venous = case.hu[Phase.VP].astype(np.float32)
        self.liver_mask = case.liver | is_closed(case.labels)
        box = liver_box(case)
        measured = {p: scanned_liver(image[box], case.liver[box], self.spacing) for p, image in case.hu.items()}
        liver = measured[Phase.VP]
        rng = random_stream(seed, StreamPurpose.CANVAS, 1)
        self.physiology = fitted_physiology({p: found.median_hu for p, found in measured.items()}, rng)
        noise, _ = measure_noise(liver.residual, liver.plain)
        self.tissue = denoised(venous, self.spacing, noise)
        self.residual = venous - self.tissue
        own, correlation = measure_noise(self.residual[box], liver.plain)
        self.noise = ScanNoise(own, correlation, measure_spectrum(self.residual[box], liver.plain))
        self.parts = body_parts(presmoothed(self.tissue, self.spacing), self.liver_mask, self.spacing)

    def make(self, phase: Phase, *, alone: bool) -> Int16[np.ndarray, "z y x"]:
        """The phase; beside others it lies a voxel off at most, as after a registration."""
        rng = random_stream(self.seed, StreamPurpose.CANVAS, 2 + phase.index)
        image = _recoloured(self.tissue, self.liver_mask, self.parts, self.physiology, phase, self.spacing, rng)
        residual = self.residual
        if not alone:
            fresh = noise_field(residual.shape, self.noise, rng)
            fresh *= _local_sd(residual, self.noise.noise_hu, self.spacing)
            residual = np.float32(_SHARED) * residual + np.float32(np.sqrt(1 - _SHARED**2)) * fresh
            image = _shifted(image, rng)
        image = image + residual
        return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def _recoloured(
    tissue: ScanArray,
    liver: np.ndarray,
    parts: BodyParts,
    physiology: Physiology,
    phase: Phase,
    spacing: Triple,
    rng: np.random.Generator,
) -> ScanArray:
    out = np.where(liver, _along(tissue, liver_knots(physiology, phase)), _along(tissue, body_knots(physiology, phase)))
    out = np.where(parts.bone, tissue - np.float32(12.0 if phase is Phase.NC else 3.0), out)
    hu, p = physiology.hu, phase.index
    for mask, value in (
        (parts.aorta, float(hu[p, Tissue.AORTA])),
        (parts.heart, 0.6 * float(hu[p, Tissue.HEART_BLOOD]) + 0.4 * float(hu[p, Tissue.HEART])),
        (parts.spleen, float(hu[p, Tissue.SPLEEN])),
    ):
        out = _painted(out, tissue, mask, value, spacing)
    out = _painted(out, tissue, parts.kidneys, float(hu[p, Tissue.RENAL_CORTEX]), spacing)
    if phase is Phase.AP:
        out = _painted(out, tissue, parts.medulla, float(hu[p, Tissue.RENAL_MEDULLA]), spacing)
        a, b, c = tissue.shape
        arcs = np.sin(4.0 * coarse_noise((a, b, c), (4.0, 25.0 / spacing[1], 25.0 / spacing[2]), rng))
        out = out + np.float32(rng.uniform(5, 25)) * arcs * _soft(parts.spleen, spacing)
    return out.astype(np.float32)


def _along(image: ScanArray, knots: Knots) -> ScanArray:
    low, high = zip(*knots, strict=True)
    return np.interp(image, low, high).astype(np.float32)


def _painted(out: ScanArray, tissue: ScanArray, mask: np.ndarray, value: float, spacing: Triple) -> ScanArray:
    """A part at a new level, with two thirds of its own differences, fading out over a voxel at its border."""
    if not mask.any():
        return out
    level = float(np.median(tissue[mask]))
    # Below the part's own level lies the partial volume of its border: it keeps its share between fat and the part.
    scale = (value + 100.0) / (level + 100.0)
    own = np.where(tissue < level, -100.0 + (tissue + 100.0) * scale, value + 0.7 * (tissue - level))
    weight = _soft(mask, spacing)
    return (out + weight * (own - out)).astype(np.float32)


def _soft(mask: np.ndarray, spacing: Triple) -> ScanArray:
    sigma = tuple(min(0.7, 1.0 / step) for step in spacing)
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma, truncate=3.0))


def _local_sd(residual: ScanArray, usual: float, spacing: Triple) -> ScanArray:
    """SD of the noise round each place: edges, whose residual is no noise, count little."""
    most = np.float32(_MOST_RESIDUAL * usual)
    square = np.square(np.clip(residual, -most, most))
    sigma = [12.0 / step for step in spacing]
    stride = tuple(max(1, int(4.0 / step)) for step in spacing)
    cut = tuple(slice(None, None, n) for n in stride)
    mean = np.asarray(ndimage.gaussian_filter(square[cut], [s / n for s, n in zip(sigma, stride, strict=True)]))
    for axis, n in enumerate(stride):
        mean = np.repeat(mean, n, axis=axis)
    return np.sqrt(mean[: residual.shape[0], : residual.shape[1], : residual.shape[2]]).astype(np.float32)


def _shifted(image: ScanArray, rng: np.random.Generator) -> ScanArray:
    """The image a voxel off at most in each direction: what a registration leaves over."""
    for axis, share in enumerate((0.25, 0.35, 0.35)):
        if rng.random() < share:
            step = 1 if rng.random() < 0.5 else -1
            index = np.clip(np.arange(image.shape[axis]) - step, 0, image.shape[axis] - 1)
            image = np.take(image, index, axis=axis)
    return image


def draw_phases(there: Sequence[Phase], rng: np.random.Generator) -> tuple[Phase, ...]:
    """Random phases for a case that has ``there``: one alone or several, each phase about as often as the others."""
    if Phase.VP not in there:
        return tuple(there)
    nc, ap, vp, dp = PHASES
    choices: tuple[tuple[float, tuple[Phase, ...]], ...] = (
        (0.24, (vp,)),
        (0.14, (ap,)),
        (0.12, (nc,)),
        (0.05, (dp,)),
        (0.15, (ap, vp)),
        (0.10, (nc, ap, vp)),
        (0.05, (ap, vp, dp)),
        (0.15, PHASES),
    )
    weights = np.array([weight for weight, _ in choices])
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))][1]
