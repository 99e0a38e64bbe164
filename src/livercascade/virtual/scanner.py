"""From the fine tissue map to four phases of CT: partial volume, sharpness, texture, noise (CLINICAL, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, Int32, UInt8
from scipy import ndimage

from livercascade.data.labels import LESION_TYPES, PHASES, Phase
from livercascade.virtual.canvas import Canvas
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.motion import follow_slices, moved_canvas
from livercascade.virtual.palette import Palette
from livercascade.virtual.settings import VirtualSettings
from livercascade.virtual.tissue import Tissue


@dataclass(frozen=True, slots=True)
class Scanner:
    """One patient's scanner and session.

    Attributes:
        noise_hu: SD of the noise per phase.
        kernel_mm: Sigma of the in-plane noise correlation.
        blur_mm: Sigma of the in-plane point spread.
        texture_hu: SD of the liver's own mottle.
        shifts: Residual displacement per phase in fine slices and pixels (z, y, x); VP is at rest.
        streak_hu: Strength of horizontal streaks through the shoulders or the spine.
    """

    noise_hu: tuple[float, float, float, float]
    kernel_mm: float
    blur_mm: float
    texture_hu: float
    shifts: tuple[tuple[int, int, int], ...]
    streak_hu: float


def draw_scanner(habitus: Habitus, settings: VirtualSettings, pixel_mm: float, rng: np.random.Generator) -> Scanner:
    """Random scanner; noise grows with the size of the patient."""
    size = float(np.clip(np.exp((0.18 * (habitus.half_width + habitus.half_depth) - 50.0) / 15.0), 0.8, 1.8))
    base = rng.uniform(4, 20) if settings.randomise else rng.uniform(8, 12)
    noise = tuple(float(base * size * f) for f in rng.uniform(0.9, 1.1, 4))
    kernel = rng.uniform(0.3, 1.2) if settings.randomise else rng.uniform(0.5, 0.8)
    texture = rng.uniform(3, 7) if habitus.cirrhotic else rng.uniform(1, 3)
    shift = 3.0 if settings.randomise and rng.random() < 0.4 else 0.8
    shifts = [
        (0, 0, 0)
        if phase is Phase.VP
        else (
            round(rng.normal(0, shift)),
            round(rng.normal(0, shift / pixel_mm)),
            round(rng.normal(0, 0.7 * shift / pixel_mm)),
        )
        for phase in PHASES
    ]
    return Scanner(
        (noise[0], noise[1], noise[2], noise[3]),
        float(kernel),
        float(rng.uniform(0.45, 0.6)),
        float(texture),
        tuple(shifts),
        float(rng.uniform(0, 3)),
    )


def scan_phases(
    canvas: Canvas,
    palette: Palette,
    scanner: Scanner,
    settings: VirtualSettings,
    rng: np.random.Generator,
    *,
    sources: Mapping[Phase, Int32[np.ndarray, "fine y x"]] | None = None,
) -> dict[Phase, Int16[np.ndarray, "z y x"]]:
    """HU of the four phases on the slices of the study, int16.

    Args:
        canvas: Fine tissue map of VP.
        palette: HU per phase and tissue, and which tissues are mottled.
        scanner: Noise, sharpness, shifts.
        settings: Slice thickness.
        rng: Source of noise and mottle.
        sources: Per phase that moved, as `Motion.sources` gives them; tissue and its mottle follow them.
    """
    pixel = float(canvas.x[1] - canvas.x[0])
    texture = _texture(canvas, palette, scanner, settings, rng)
    moire = _moire(canvas, settings, rng)
    out: dict[Phase, Int16[np.ndarray, "z y x"]] = {}
    for phase in PHASES:
        mottles = (texture, moire) if phase is Phase.AP else (texture,)
        origin = (sources or {}).get(phase)
        if origin is None:
            image = _expose(canvas, palette.hu[phase.index], scanner.shifts[phase.index], settings.subslices)
        else:
            image = _expose(moved_canvas(canvas, origin), palette.hu[phase.index], (0, 0, 0), settings.subslices)
            mottles = tuple(follow_slices(mottle, origin, settings.subslices) for mottle in mottles)
        for mottle in mottles:
            image += mottle
        ndimage.gaussian_filter(image, (0, scanner.blur_mm / pixel, scanner.blur_mm / pixel), output=image)
        image += _noise(image.shape, scanner, phase.index, pixel, rng)
        out[phase] = np.clip(np.rint(image), -1024, 3071).astype(np.int16)
    return out


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
    fine = table[canvas.tissue]
    depth, height, width = fine.shape
    fine = fine.reshape(depth // subslices, subslices, height, width)
    best = fine[:, subslices // 2].copy()
    mixed = np.nonzero((fine != best[:, None]).any(axis=1))
    columns = fine[mixed[0], :, mixed[1], mixed[2]]
    counts = np.stack([(columns == k).sum(axis=1) for k in range(int(table.max()) + 1)], axis=1).astype(np.float32)
    for value in favoured:
        # Half a vote wins ties; an absent value stays behind, as some other one has a whole vote.
        counts[:, value : value + 1] += 0.5
    best[mixed] = counts.argmax(axis=1).astype(np.uint8)
    return best


def _expose(
    canvas: Canvas, hu: Float32[np.ndarray, " 256"], shift: tuple[int, int, int], subslices: int
) -> Float32[np.ndarray, "z y x"]:
    """Mean HU over each slice's thickness of the map displaced by ``shift``; what moves in repeats the border."""
    depth, height, width = canvas.tissue.shape
    out = np.empty((depth // subslices, height, width), dtype=np.float32)
    for k in range(len(out)):
        rows = np.clip(np.arange(k * subslices, (k + 1) * subslices) - shift[0], 0, depth - 1)
        out[k] = hu[canvas.tissue[rows]].mean(axis=0)
    rows, columns = (np.clip(np.arange(n) - s, 0, n - 1) for n, s in zip((height, width), shift[1:], strict=True))
    return out[:, rows[:, None], columns[None, :]]


def _fraction(canvas: Canvas, tissues: tuple[int, ...], subslices: int) -> Float32[np.ndarray, "z y x"]:
    table = np.zeros(256, dtype=np.float32)
    table[list(tissues)] = 1.0
    return _averaged(canvas, table, subslices)


def _averaged(canvas: Canvas, table: Float32[np.ndarray, " 256"], subslices: int) -> Float32[np.ndarray, "z y x"]:
    """Mean of a value per tissue over each slice's thickness."""
    depth, height, width = canvas.tissue.shape
    out = np.empty((depth // subslices, height, width), dtype=np.float32)
    for k in range(len(out)):
        out[k] = table[canvas.tissue[k * subslices : (k + 1) * subslices]].mean(axis=0)
    return out


def _texture(
    canvas: Canvas, palette: Palette, scanner: Scanner, settings: VirtualSettings, rng: np.random.Generator
) -> Float32[np.ndarray, "z y x"]:
    """Mottle of the liver and its lesions at 3-10 mm, patchy lesions, slow unevenness, alike in all phases."""
    liver = _averaged(canvas, palette.mottle, settings.subslices)
    patchy = _averaged(canvas, palette.patchy_hu, settings.subslices)
    pixel = float(canvas.x[1] - canvas.x[0])
    a, b, c = liver.shape
    fine = coarse_noise((a, b, c), (1.0, 5.0 / pixel, 5.0 / pixel), rng)
    patches = coarse_noise((a, b, c), (1.8, 9.0 / pixel, 9.0 / pixel), rng)
    slow = coarse_noise((a, b, c), (8.0, 45.0 / pixel, 45.0 / pixel), rng)
    streak = np.zeros((a, b, 1), dtype=np.float32)
    streak[:, :, 0] = scanner.streak_hu * rng.standard_normal((a, b), dtype=np.float32)
    mottle = liver * (scanner.texture_hu * fine + 2.5 * slow) + patchy * patches
    return (mottle + streak * 0.5).astype(np.float32)


def _moire(canvas: Canvas, settings: VirtualSettings, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Arciform enhancement of the spleen in the arterial phase."""
    spleen = _fraction(canvas, (Tissue.SPLEEN,), settings.subslices)
    pixel = float(canvas.x[1] - canvas.x[0])
    a, b, c = spleen.shape
    phase = 4.0 * coarse_noise((a, b, c), (4.0, 25.0 / pixel, 25.0 / pixel), rng)
    return (spleen * float(rng.uniform(5, 35)) * np.sin(phase)).astype(np.float32)


def _noise(
    shape: tuple[int, ...], scanner: Scanner, phase: int, pixel_mm: float, rng: np.random.Generator
) -> Float32[np.ndarray, "z y x"]:
    a, b, c = shape
    white = rng.standard_normal((a, b, c), dtype=np.float32)
    sigma = scanner.kernel_mm / pixel_mm
    ndimage.gaussian_filter(white, (0, sigma, sigma), output=white, truncate=3.0)
    white[1:] += 0.2 * white[:-1]
    return white * np.float32(scanner.noise_hu[phase] / max(float(white[::4, ::4, ::4].std()), 1e-6))
