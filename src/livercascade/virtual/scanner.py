"""From the fine tissue map to four phases of CT: partial volume, kernel, texture, noise (docs/virtual.md, scanner)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, Int32, UInt8
from scipy import fft, ndimage

from livercascade.data.labels import LESION_TYPES, PHASES, Phase
from livercascade.virtual.canvas import Canvas
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.loops import slice_means, slice_modes
from livercascade.virtual.motion import follow_slices, moved_canvas
from livercascade.virtual.palette import Palette
from livercascade.virtual.streams import Streams, Subject
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

Slices = Float32[np.ndarray, "z y x"]
_REST = (0, 0, 0)
SLOW_NOISE = 0.01
"""Noise power at the lowest frequencies, as the ramp has it at so many cycles per mm."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """One patient's scanner and session.

    Attributes:
        noise_hu: SD of the noise per phase, in the middle of the trunk.
        kernel_mm: Sigma of the in-plane kernel, which shapes image and noise alike; soft to sharp.
        texture_hu: SD of the liver's own mottle.
        shifts: Residual displacement per phase in fine slices and pixels (z, y, x); VP is at rest.
        streak_hu: Strength of horizontal streaks through the spine and, more, through arms beside the trunk.
    """

    noise_hu: tuple[float, float, float, float]
    kernel_mm: float
    texture_hu: float
    shifts: tuple[tuple[int, int, int], ...]
    streak_hu: float


def draw_scanner(
    habitus: Habitus, settings: VirtualSettings, spacing_mm: tuple[float, float], rng: np.random.Generator
) -> Scanner:
    """Random scanner; noise grows with the size of the patient and shrinks with the slices' thickness.

    Args:
        habitus: Size of the patient, state of the liver.
        settings: Randomisation, factor on noise, motion.
        spacing_mm: Thickness of a fine slice and side of a pixel.
        rng: Source of the draw.
    """
    size = float(np.clip(np.exp((habitus.effective_cm - 28.0) / 15.0), 0.8, 1.8))
    thickness = float(np.sqrt(5.0 / settings.slice_mm))
    base = rng.uniform(4, 20) if settings.randomise else rng.uniform(8, 13)
    noise = [float(base * size * thickness * settings.noise * f) for f in rng.uniform(0.9, 1.1, 4)]
    kernel = rng.uniform(0.35, 1.1) if settings.randomise else rng.uniform(0.45, 0.75)
    texture = rng.uniform(4, 8) if habitus.cirrhotic else rng.uniform(1, 3)
    # Drawn whatever the motion, so that what is drawn after them is the same with and without.
    left = tuple(_REST if phase is Phase.VP else _residual(settings, spacing_mm, rng) for phase in PHASES)
    shifts = left if settings.motion is PhaseMotion.RESIDUAL else (_REST,) * 4
    streak = float(rng.uniform(0, 3)) + (float(rng.uniform(4, 10)) if habitus.arms_down else 0.0)
    return Scanner((noise[0], noise[1], noise[2], noise[3]), float(kernel), float(texture), shifts, streak)


def _residual(
    settings: VirtualSettings, spacing_mm: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int]:
    """What a registration leaves over, about 1 to 3 mm; in one phase of twenty it has failed by more."""
    far = rng.random() < (0.15 if settings.randomise else 0.05)
    shift = 5.0 if far else 1.0
    fine, pixel = spacing_mm
    z, y, x = rng.normal(0, shift, 3) * (1.0, 0.7, 0.6)
    return (round(float(z) / fine), round(float(y) / pixel), round(float(x) / pixel))


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """Four phases before noise, and what is needed to add it.

    Attributes:
        images: HU per phase, float.
        misfit: Largest change that a displaced phase shows against one at rest, HU; None if none is far off.
    """

    images: dict[Phase, Slices]
    misfit: Slices | None


def expose_phases(
    canvas: Canvas,
    palette: Palette,
    scanner: Scanner,
    settings: VirtualSettings,
    streams: Streams,
    *,
    sources: Mapping[Phase, Int32[np.ndarray, "fine y x"]] | None = None,
) -> Exposure:
    """Mean HU over each slice's thickness with the tissues' own mottle, before kernel and noise.

    Args:
        canvas: Fine tissue map of VP.
        palette: HU per phase and tissue, and which tissues are mottled.
        scanner: Texture and shifts.
        settings: Slice thickness.
        streams: Source of the mottle.
        sources: Per phase that moved, as `Motion.sources` gives them; tissue and its mottle follow them.
    """
    texture = _texture(canvas, palette, scanner, settings, streams.of(Subject.TEXTURE))
    moire = _moire(canvas, settings, streams.of(Subject.TEXTURE, 1))
    images: dict[Phase, Slices] = {}
    misfit: Slices | None = None
    for phase in PHASES:
        mottles = (texture, moire) if phase is Phase.AP else (texture,)
        origin, table, shift = (sources or {}).get(phase), palette.hu[phase.index], scanner.shifts[phase.index]
        if origin is None:
            image = averaged(canvas, table, settings.subslices, shift)
            if _length_mm(canvas, shift) > 4.0:
                change = np.abs(image - averaged(canvas, table, settings.subslices))
                misfit = change if misfit is None else np.maximum(misfit, change)
        else:
            image = averaged(moved_canvas(canvas, origin), table, settings.subslices)
            mottles = tuple(follow_slices(mottle, origin, settings.subslices) for mottle in mottles)
        for mottle in mottles:
            image += mottle
        images[phase] = image
    return Exposure(images, misfit)


def develop(
    images: dict[Phase, Slices], canvas: Canvas, scanner: Scanner, settings: VirtualSettings, streams: Streams
) -> dict[Phase, Int16[np.ndarray, "z y x"]]:
    """The phases as the scanner gives them out: noise, kernel, whole HU."""
    pixel = float(canvas.x[1] - canvas.x[0])
    strength, sigma = _noise_map(canvas, settings.subslices), scanner.kernel_mm / pixel
    grain = _noise_spectrum(canvas.tissue.shape[1:], pixel, scanner.kernel_mm)
    out: dict[Phase, Int16[np.ndarray, "z y x"]] = {}
    for phase in PHASES:
        rng = streams.of(Subject.NOISE, phase.index)
        white = rng.standard_normal(images[phase].shape, dtype=np.float32)
        white[1:] += 0.2 * white[:-1]
        noise = fft.irfft2(fft.rfft2(white) * grain, s=white.shape[1:])
        noise *= strength * np.float32(scanner.noise_hu[phase.index] / np.sqrt(1.04))
        image = np.asarray(ndimage.gaussian_filter(images[phase], (0, sigma, sigma), mode="nearest", truncate=3.0))
        image += noise
        out[phase] = np.clip(np.rint(image, out=image), -1024, 3071).astype(np.int16)
    return out


def _noise_spectrum(shape: tuple[int, int], pixel: float, kernel_mm: float) -> Float32[np.ndarray, "y f"]:
    """Amplitude of the noise at each frequency of a slice, of SD 1 in all.

    Filtered back-projection weights rays by a ramp, so that noise has next to no slow components and is lumpy at the
    size of the kernel: its power spectrum is |f| times the kernel's (Riederer et al., Phys Med Biol 1978). What
    iterative reconstruction leaves at low frequencies is the small constant.
    """
    frequency = np.hypot(np.fft.fftfreq(shape[0], pixel)[:, None], np.fft.fftfreq(shape[1], pixel)[None, :])
    power = (frequency + SLOW_NOISE) * np.exp(-4.0 * (np.pi * kernel_mm * frequency) ** 2)
    # The other half of the columns mirrors this one, and a real transform leaves it out.
    return np.sqrt(power / power.mean())[:, : shape[1] // 2 + 1].astype(np.float32)


def true_labels(
    canvas: Canvas, table: UInt8[np.ndarray, " 256"], subslices: int, *, favoured: tuple[int, ...] = LESION_TYPES
) -> UInt8[np.ndarray, "z y x"]:
    """Value that fills most of each slice's thickness.

    Args:
        canvas: Fine tissue map; its depth is a multiple of ``subslices``.
        table: Value of each tissue.
        subslices: Fine slices per slice.
        favoured: Values that win ties, lesions by default; between others the lowest wins.
    """
    depth, height, width = canvas.tissue.shape
    out = np.empty((depth // subslices, height, width), dtype=np.uint8)
    wins = np.zeros(256, dtype=bool)
    wins[list(favoured)] = True
    slice_modes(canvas.tissue, table, wins, subslices, out)
    return out


def averaged(
    canvas: Canvas, table: Float32[np.ndarray, " 256"], subslices: int, shift: tuple[int, int, int] = _REST
) -> Slices:
    """Mean of a value per tissue over each slice's thickness, of the map displaced by ``shift`` fine voxels."""
    depth, height, width = canvas.tissue.shape
    out = np.empty((depth // subslices, height, width), dtype=np.float32)
    values = np.ascontiguousarray(table, dtype=np.float32)
    slice_means(canvas.tissue, values, np.array(shift, dtype=np.int64), subslices, out)
    return out


def _length_mm(canvas: Canvas, shift: tuple[int, int, int]) -> float:
    steps = canvas.steps
    return float(np.sqrt(sum((n * step) ** 2 for n, step in zip(shift, steps, strict=True))))


def _noise_map(canvas: Canvas, subslices: int) -> Slices:
    """Noise against that in the middle of the liver: more in the middle of the body and where it is wide."""
    body = canvas.tissue[subslices // 2 :: subslices] != Tissue.AIR
    area = body.sum(axis=(1, 2)) * float((canvas.y[1] - canvas.y[0]) * (canvas.x[1] - canvas.x[0]))
    width = np.sqrt(np.maximum(area, 1.0))
    usual = float(np.median(width))
    per_slice = np.clip(np.exp((width - usual) / 150.0), 0.7, 1.6)
    distance2 = (canvas.y[:, None] / (0.42 * usual)) ** 2 + (canvas.x[None, :] / (0.55 * usual)) ** 2
    return (per_slice[:, None, None] * (0.8 + 0.25 * np.exp(-distance2))[None]).astype(np.float32)


def _texture(
    canvas: Canvas, palette: Palette, scanner: Scanner, settings: VirtualSettings, rng: np.random.Generator
) -> Slices:
    """Mottle of the liver and its lesions at 3-10 mm, patchy lesions, slow unevenness, alike in all phases."""
    liver = averaged(canvas, palette.mottle, settings.subslices)
    patchy = averaged(canvas, palette.patchy_hu, settings.subslices)
    pixel = float(canvas.x[1] - canvas.x[0])
    a, b, c = liver.shape
    fine = coarse_noise((a, b, c), (1.0, 5.0 / pixel, 5.0 / pixel), rng)
    patches = coarse_noise((a, b, c), (1.8, 9.0 / pixel, 9.0 / pixel), rng)
    slow = coarse_noise((a, b, c), (8.0, 45.0 / pixel, 45.0 / pixel), rng)
    fine *= np.float32(scanner.texture_hu)
    slow *= np.float32(2.5)
    fine += slow
    fine *= np.float32(settings.mottle)
    fine *= liver
    patches *= patchy
    fine += patches
    streak = 0.5 * scanner.streak_hu * rng.standard_normal((a, b, 1), dtype=np.float32)
    return (fine + streak).astype(np.float32)


def _moire(canvas: Canvas, settings: VirtualSettings, rng: np.random.Generator) -> Slices:
    """Arciform enhancement of the spleen in the arterial phase."""
    table = np.zeros(256, dtype=np.float32)
    table[Tissue.SPLEEN] = float(rng.uniform(5, 35))
    spleen = averaged(canvas, table, settings.subslices)
    pixel = float(canvas.x[1] - canvas.x[0])
    b, c = spleen.shape[1:]
    where = np.nonzero(spleen.any(axis=(1, 2)))[0]
    if where.size:
        # Only the slices that hold spleen are worth the noise.
        rows = slice(int(where[0]), int(where[-1]) + 1)
        arcs = coarse_noise((rows.stop - rows.start, b, c), (4.0, 25.0 / pixel, 25.0 / pixel), rng)
        spleen[rows] *= np.sin(4.0 * arcs)
    return spleen
