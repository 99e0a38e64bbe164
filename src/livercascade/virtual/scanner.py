"""From the fine tissue map to four phases of CT: partial volume, kernel, texture, noise (docs/virtual.md, scanner)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int16, Int32
from scipy import fft, ndimage

from livercascade.data.labels import PHASES, Phase
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.motion import follow_slices, moved_tissue_map
from livercascade.virtual.randomness import StreamPurpose, coarse_noise, random_stream
from livercascade.virtual.slice_averaging import AT_REST, SliceValues, averaged
from livercascade.virtual.tissue import Tissue, TissueTable
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

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
    # The range of noise is that of 5 mm slices; quanta, and with them 1 / noise squared, grow with thickness.
    thickness = float(np.sqrt(5.0 / settings.slice_mm))
    base = rng.uniform(4, 20) if settings.randomise else rng.uniform(8, 13)
    noise = [float(base * size * thickness * settings.noise * f) for f in rng.uniform(0.9, 1.1, 4)]
    kernel = rng.uniform(0.35, 1.1) if settings.randomise else rng.uniform(0.45, 0.75)
    texture = rng.uniform(4, 8) if habitus.cirrhotic else rng.uniform(1, 3)
    # Drawn whatever the motion, so that what is drawn after them is the same with and without.
    left = tuple(AT_REST if phase is Phase.VP else _residual(settings, spacing_mm, rng) for phase in PHASES)
    shifts = left if settings.motion is PhaseMotion.RESIDUAL else (AT_REST,) * 4
    streak = float(rng.uniform(0, 3)) + (float(rng.uniform(4, 10)) if habitus.arms_down else 0.0)
    return Scanner((noise[0], noise[1], noise[2], noise[3]), float(kernel), float(texture), shifts, streak)


def low_dose(scanner: Scanner, factor: float) -> Scanner:
    """The scanner with noise ``factor`` times as strong."""
    a, b, c, d = (factor * hu for hu in scanner.noise_hu)
    return replace(scanner, noise_hu=(a, b, c, d))


def _residual(
    settings: VirtualSettings, spacing_mm: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int]:
    """What a registration leaves over, about 1 to 3 mm; in one phase of twenty it has failed by more."""
    far = rng.random() < (0.15 if settings.randomise else 0.05)
    shift = 5.0 if far else 1.0
    fine, pixel = spacing_mm
    z, y, x = rng.normal(0, shift, 3) * (1.0, 0.7, 0.6)
    return (round(float(z) / fine), round(float(y) / pixel), round(float(x) / pixel))


def expose_phases(
    tissue_map: TissueMap,
    tissue_table: TissueTable,
    scanner: Scanner,
    settings: VirtualSettings,
    seed: int,
    *,
    sources: Mapping[Phase, Int32[np.ndarray, "fine y x"]] | None = None,
) -> tuple[dict[Phase, SliceValues], SliceValues | None]:
    """Mean HU over each slice's thickness with the tissues' own mottle, before kernel and noise.

    Args:
        tissue_map: Fine tissue map of VP.
        tissue_table: HU per phase and tissue, and which tissues are mottled.
        scanner: Texture and shifts.
        settings: Slice thickness.
        seed: Seed of the patient, from which the mottle comes.
        sources: Sources of each phase that moved, as `Motion.sources` gives them; tissue and mottle follow them.

    Returns:
        HU per phase, and the largest change in HU that a displaced phase shows against one at rest; None if no phase
        is displaced by more than 4 mm.
    """
    texture = _texture(tissue_map, tissue_table, scanner, settings, random_stream(seed, StreamPurpose.TEXTURE))
    moire = _moire(tissue_map, settings, random_stream(seed, StreamPurpose.TEXTURE, 1))
    images: dict[Phase, SliceValues] = {}
    misfit: SliceValues | None = None
    for phase in PHASES:
        mottles = (texture, moire) if phase is Phase.AP else (texture,)
        origin, table, shift = (sources or {}).get(phase), tissue_table.hu[phase.index], scanner.shifts[phase.index]
        if origin is None:
            image = averaged(tissue_map, table, settings.subslices, shift)
            if _length_mm(tissue_map, shift) > 4.0:
                change = np.abs(image - averaged(tissue_map, table, settings.subslices))
                misfit = change if misfit is None else np.maximum(misfit, change)
        else:
            image = averaged(moved_tissue_map(tissue_map, origin), table, settings.subslices)
            mottles = tuple(follow_slices(mottle, origin, settings.subslices) for mottle in mottles)
        for mottle in mottles:
            image += mottle
        images[phase] = image
    return images, misfit


def develop(
    images: dict[Phase, SliceValues],
    tissue_map: TissueMap,
    scanner: Scanner,
    settings: VirtualSettings,
    seed: int,
) -> dict[Phase, Int16[np.ndarray, "z y x"]]:
    """The phases as the scanner gives them out: noise, kernel, whole HU."""
    pixel = float(tissue_map.x[1] - tissue_map.x[0])
    strength, sigma = _noise_map(tissue_map, settings.subslices), scanner.kernel_mm / pixel
    grain = _noise_spectrum(tissue_map.values.shape[1:], pixel, scanner.kernel_mm)
    out: dict[Phase, Int16[np.ndarray, "z y x"]] = {}
    for phase in PHASES:
        rng = random_stream(seed, StreamPurpose.NOISE, phase.index)
        white = rng.standard_normal(images[phase].shape, dtype=np.float32)
        # Neighbouring slices share data: correlation 0.2, which raises the variance to 1 + 0.2 ** 2 = 1.04.
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
    # The transfer of a Gaussian of this sigma, squared.
    power = (frequency + SLOW_NOISE) * np.exp(-4.0 * (np.pi * kernel_mm * frequency) ** 2)
    # The other half of the columns mirrors this one, and a real transform leaves it out.
    return np.sqrt(power / power.mean())[:, : shape[1] // 2 + 1].astype(np.float32)


def _length_mm(tissue_map: TissueMap, shift: tuple[int, int, int]) -> float:
    steps = tissue_map.steps
    return float(np.sqrt(sum((n * step) ** 2 for n, step in zip(shift, steps, strict=True))))


def _noise_map(tissue_map: TissueMap, subslices: int) -> SliceValues:
    """Noise against that in the middle of the liver: more in the middle of the body and where it is wide."""
    body = tissue_map.values[subslices // 2 :: subslices] != Tissue.AIR
    area = body.sum(axis=(1, 2)) * float((tissue_map.y[1] - tissue_map.y[0]) * (tissue_map.x[1] - tissue_map.x[0]))
    width = np.sqrt(np.maximum(area, 1.0))
    usual = float(np.median(width))
    per_slice = np.clip(np.exp((width - usual) / 150.0), 0.7, 1.6)
    distance2 = (tissue_map.y[:, None] / (0.42 * usual)) ** 2 + (tissue_map.x[None, :] / (0.55 * usual)) ** 2
    return (per_slice[:, None, None] * (0.8 + 0.25 * np.exp(-distance2))[None]).astype(np.float32)


def _texture(
    tissue_map: TissueMap,
    tissue_table: TissueTable,
    scanner: Scanner,
    settings: VirtualSettings,
    rng: np.random.Generator,
) -> SliceValues:
    """Mottle of the liver and its lesions at 3-10 mm, patchy lesions, slow unevenness, alike in all phases."""
    liver = averaged(tissue_map, tissue_table.mottle, settings.subslices)
    patchy = averaged(tissue_map, tissue_table.patchy_hu, settings.subslices)
    pixel = float(tissue_map.x[1] - tissue_map.x[0])
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


def _moire(tissue_map: TissueMap, settings: VirtualSettings, rng: np.random.Generator) -> SliceValues:
    """Arciform enhancement of the spleen in the arterial phase."""
    table = np.zeros(256, dtype=np.float32)
    table[Tissue.SPLEEN] = float(rng.uniform(5, 35))
    spleen = averaged(tissue_map, table, settings.subslices)
    pixel = float(tissue_map.x[1] - tissue_map.x[0])
    b, c = spleen.shape[1:]
    where = np.nonzero(spleen.any(axis=(1, 2)))[0]
    if where.size:
        # Only the slices that hold spleen are worth the noise.
        rows = slice(int(where[0]), int(where[-1]) + 1)
        arcs = coarse_noise((rows.stop - rows.start, b, c), (4.0, 25.0 / pixel, 25.0 / pixel), rng)
        spleen[rows] *= np.sin(4.0 * arcs)
    return spleen
