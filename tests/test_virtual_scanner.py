"""What the scanner does to the fine tissue map: noise of the stated size and of a scanner's spectrum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade.data.labels import Organ, Phase
from livercascade.virtual.scanner import SLOW_NOISE, Scanner, develop
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import VirtualSettings

SIDE, SLICES, PIXEL = 128, 12, 0.8


def phantom(noise: float, kernel: float, seed: int = 0) -> np.ndarray:
    """HU of one phase of a body of uniform tissue that fills the picture, less its true 100 HU."""
    side = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) * np.float32(PIXEL)
    depth = np.arange(4 * SLICES, dtype=np.float32)
    tissue_map = TissueMap(np.full((len(depth), SIDE, SIDE), Tissue.LIVER, np.uint8), depth, side, side)
    scanner = Scanner((noise,) * 4, kernel, 0.0, ((0, 0, 0),) * 4, 0.0)
    images = {phase: np.full((SLICES, SIDE, SIDE), 100.0, np.float32) for phase in Phase}
    out = develop(images, tissue_map, scanner, VirtualSettings(matrix=SIDE), seed)
    return out[Phase.VP].astype(np.float64) - 100.0


@settings(max_examples=10, derandomize=True)
@given(noise=st.floats(5, 30), kernel=st.floats(0.35, 1.1))
def test_noise_has_the_stated_sd_in_the_middle_of_the_body(noise: float, kernel: float) -> None:
    middle = phantom(noise, kernel)[:, 56:72, 56:72]
    # 1.05 is the map of the noise in the middle of a body; a sixteenth of the picture shows it to a few percent.
    assert middle.std() == pytest.approx(1.05 * noise, rel=0.12)
    assert abs(middle.mean()) < 0.1 * noise


def test_noise_grows_with_frequency_up_to_the_kernel() -> None:
    """The radial power spectrum against ramp times Gaussian, written out here once more."""
    noise, kernel = 20.0, 0.6
    flat = phantom(noise, kernel) / (0.8 + 0.25 * np.exp(-_distance2()))
    power = (np.abs(np.fft.fft2(flat)) ** 2).mean(axis=0)
    axis = np.fft.fftfreq(SIDE, PIXEL)
    frequency = np.hypot(axis[:, None], axis[None, :])
    ring = np.digitize(frequency, np.arange(0.0, 0.5, 0.05))
    measured = np.array([power[ring == k].mean() for k in range(1, 11)])
    expected = np.array(
        [
            ((frequency + SLOW_NOISE) * np.exp(-((2 * np.pi * kernel * frequency) ** 2)))[ring == k].mean()
            for k in range(1, 11)
        ]
    )
    assert np.allclose(measured / measured.sum(), expected / expected.sum(), atol=0.02)
    assert measured[0] < 0.4 * measured.max()


def test_noise_averages_out_over_a_lesion_faster_than_a_blurred_white_one() -> None:
    noise = phantom(15.0, 0.6)
    white = np.random.default_rng(0).standard_normal(noise.shape)
    blurred = ndimage.gaussian_filter(white, (0, 0.75, 0.75))
    blurred *= noise.std() / blurred.std()
    left = [ndimage.gaussian_filter(image, (0, 4.0, 4.0)).std() for image in (noise, blurred)]
    assert left[0] < 0.6 * left[1]


def _distance2() -> np.ndarray:
    side = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL
    usual = SIDE * PIXEL
    return (side[:, None] / (0.42 * usual)) ** 2 + (side[None, :] / (0.55 * usual)) ** 2


def test_mottle_scales_with_its_factor() -> None:
    spread = []
    for mottle in (0.0, 1.0, 3.0):
        patient = make_patient(5, VirtualSettings(matrix=96, slice_mm=8.0, noise=0.2, mimics=0.0, mottle=mottle))
        inner = ndimage.binary_erosion(patient.labels == Organ.LIVER, iterations=2)
        spread.append(float(ndimage.gaussian_filter(patient.hu[Phase.NC].astype(float), (0, 1, 1))[inner].std()))
    assert spread[0] < spread[1] < spread[2]
    assert spread[2] > 1.5 * spread[0]
