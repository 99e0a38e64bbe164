"""Intensities of the liver and what lies in it, for normalisation in place of those of all labels.

nnU-Net clips and scales CT by the intensities under all labels. Ours hold the stomach with its gas: the window then
runs from air to bone, and a lesion that differs by 20 HU differs by a seventh of a standard deviation. By the liver
alone, as where nnU-Net is trained on livers and tumours, it differs by half of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from livercascade.data.coverage import surely
from livercascade.data.labels import PHASES
from livercascade.system.parallel import parallel_map
from livercascade.train.segmentation_loss import LIVER_WITH_CONTENT

_SAMPLES = 10_000
"""Voxels of a case, as many as nnU-Net takes."""

Intensities = Float[np.ndarray, "phase n"]


def liver_intensities(cases: Mapping[str, Mapping[str, Any]], processes: int) -> dict[str, dict[str, float]] | None:
    """Statistics of each channel under liver, hepatic vessels and lesions, named as in nnU-Net's fingerprint.

    Args:
        cases: Files of each case: ``images`` (one per channel and window) and ``label``, and phases ``present``.
        processes: Processes that read.

    Returns:
        None if no case has such a label.
    """
    found = parallel_map(_samples, list(enumerate(cases.values())), workers=processes)
    return intensity_statistics([samples for samples in found if samples.size])


def intensity_statistics(samples: Sequence[Intensities]) -> dict[str, dict[str, float]] | None:
    """Statistics of each channel over all cases; None without any.

    A phase that a case does not have is NaN there; one that no case has gets the statistics of all phases together.
    """
    if not samples:
        return None
    out: dict[str, dict[str, float]] = {}
    together = np.concatenate(samples, axis=1)
    for channel, sampled in enumerate(together):
        there = ~np.isnan(sampled)
        values = sampled[there] if there.any() else together[~np.isnan(together)]
        low, median, high = (float(v) for v in np.percentile(values, (0.5, 50.0, 99.5)))
        out[str(channel)] = {
            "max": float(values.max()),
            "mean": float(values.mean()),
            "median": median,
            "min": float(values.min()),
            "percentile_00_5": low,
            "percentile_99_5": high,
            "std": float(values.std()),
        }
    return out


def _samples(job: tuple[int, Mapping[str, Any]]) -> Intensities:
    seed, files = job
    reader: Any = SimpleITKIO()
    # In a wide window the phases come once more.
    images, _ = reader.read_images(files["images"][: len(PHASES)])
    labels, _ = reader.read_seg(files["label"])
    where = np.flatnonzero(surely(labels[0].astype(np.int64), LIVER_WITH_CONTENT))
    if not where.size:
        return np.empty((len(images), 0))
    chosen = np.random.default_rng(seed).choice(where, _SAMPLES)
    values = images.reshape(len(images), -1)[:, chosen].astype(np.float64)
    values[~np.array(files.get("present", [True] * len(values)))] = np.nan
    return values
