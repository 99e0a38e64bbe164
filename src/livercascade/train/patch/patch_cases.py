"""Liver boxes of the training cases at the working spacing, cached on disk and memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16, UInt8

from livercascade.data.coverage import ALL_CLASSES, LESION_CLASSES, ignored, label_of, resolved, surely
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import NUM_CLASSES, LesionType
from livercascade.data.lesion import Lesion
from livercascade.detect.seg2det import seg2det
from livercascade.reclassification.patches import (
    PATCH_LIVER,
    PATCH_OUTSIDE,
    Patch,
    PatchVolume,
    cut,
    is_lesion,
    liver_region,
    patch_labels,
)
from livercascade.reclassification.working_grid import liver_grid, resample_linear, resample_nearest
from livercascade.system.files import new_folder, sha256_of
from livercascade.train.hard_cases import MIN_LESION_ML, hard_lesions, prediction_of, read_prediction
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase, read_arrays
from livercascade.train.training_loop import TrainingReporter
from livercascade.train.training_settings import PatchSettings

_IGNORED, _UNTYPED = "ignored.npy", "untyped"
DONE = "done"
"""File that ends the cache of a case: hash of the prediction it was made with, empty without one."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchCase:
    """One training case on the grid of the patches.

    Attributes:
        name: Case name.
        present: True for each phase that is there.
        home: Folder of the arrays.
        spacing: Working spacing (z, y, x) in mm.
        lesions: True lesions.
        missed: True lesions that UNet^whole did not touch.
        false: Detections of UNet^whole that touch no true lesion.
        predicted: True if a predicted liver region is there beside the true one.
        typed: False if types of lesions are unknown: then every "Other" of the case is a lesion of some type.
        ignored: True if there are voxels that nothing is said of.
    """

    name: str
    present: Bool[np.ndarray, " phase"]
    home: Path
    spacing: Triple
    lesions: tuple[Lesion, ...]
    missed: tuple[Lesion, ...]
    false: tuple[Lesion, ...]
    predicted: bool
    typed: bool = True
    ignored: bool = False

    def hu(self) -> Int16[np.ndarray, "phase z y x"]:
        """HU of all phases, mapped from disk."""
        return np.load(self.home / "hu.npy", mmap_mode="r")

    def labels(self, *, predicted: bool = False) -> UInt8[np.ndarray, "z y x"]:
        """Patch classes 0-7 inside the true or the predicted liver region."""
        return np.load(self.home / ("predicted.npy" if predicted else "labels.npy"))

    def volume(self, fill: Sequence[float], *, predicted: bool) -> PatchVolume:
        """Volume to cut patches from; with the predicted liver region if asked and there is one."""
        labels = self.labels(predicted=predicted and self.predicted)
        return PatchVolume.of(self.hu(), labels, self.spacing, fill, avoid=self._avoid(labels))

    def targets(self, patch: Patch) -> Int16[np.ndarray, "16 128 128"]:
        """Reference of a patch of this case: patch classes, and sets of them where types or all is open."""
        targets = patch.labels.astype(np.int16)
        if not self.typed:
            targets[patch.labels == LesionType.OTHER] = label_of(LESION_CLASSES)
        if self.ignored:
            unsaid = cut(np.load(self.home / _IGNORED), patch.start, 0.0)
            # A lesion that was moved there is known; what lies outside the liver is blank to the network.
            targets[unsaid & ~patch.lesion & (patch.labels != PATCH_OUTSIDE)] = label_of(ALL_CLASSES)
        return targets

    def _avoid(self, labels: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"] | None:
        if not self.false and not self.ignored:
            return None
        avoid = np.load(self.home / _IGNORED) if self.ignored else np.zeros(labels.shape, dtype=bool)
        for detection in self.false:
            avoid[detection.bbox] |= detection.mask
        return avoid


def prepare_cases(
    folder: RunFolder,
    cases: Sequence[TrainingCase],
    hard: Path | None,
    settings: PatchSettings,
    reporter: TrainingReporter,
) -> tuple[PatchCase, ...]:
    """Cases with a liver on the grid of the patches; one not cached yet, or with another prediction, is cached.

    Raises:
        InputError: No case has a liver (``NO_LIVER``), or a file cannot be used.
    """
    reporter.stage("preparing liver boxes")
    found: list[PatchCase] = []
    for done, case in enumerate(cases, start=1):
        home = folder.patch_cases / case.name
        prediction = prediction_of(hard, case.name)
        made_from = "" if prediction is None else sha256_of(prediction)
        if not (home / DONE).is_file() or (home / DONE).read_text() != made_from:
            with new_folder(home) as fresh:
                _cache(case, prediction, fresh, settings)
                (fresh / DONE).write_text(made_from)
        if (home / "labels.npy").is_file():
            found.append(_open(case, home, settings.spacing_mm))
        reporter.prepared(done, len(cases))
    if not found:
        raise InputError("NO_LIVER", "No training case has a liver.", "Check the label maps: the liver is 7.")
    return tuple(found)


def _cache(case: TrainingCase, prediction: Path | None, home: Path, settings: PatchSettings) -> None:
    arrays = read_arrays(case)
    grid = Grid.axial(arrays.labels.shape, arrays.spacing)
    labels, unsaid = resolved(arrays.labels, unknown_lesion=LesionType.OTHER), ignored(arrays.labels)
    guess = None if prediction is None else read_prediction(prediction, labels)
    region = liver_region(labels)
    if guess is not None:
        region |= liver_region(guess)
    if region.any():
        box = liver_grid(region, grid, settings.spacing_mm, margin_mm=settings.liver_margin_mm)
        # Whole HU in 16 bits: half the disk and memory of floating point, and scanners give no more.
        hu = np.stack([np.rint(resample_linear(phase, grid, box)) for phase in arrays.hu])
        np.save(home / "hu.npy", hu.astype(np.int16))
        np.save(home / "labels.npy", resample_nearest(patch_labels(labels), grid, box))
        if bool((surely(arrays.labels, LESION_CLASSES) & (arrays.labels >= NUM_CLASSES)).any()):
            (home / _UNTYPED).touch()
        if unsaid.any():
            np.save(home / _IGNORED, resample_nearest(unsaid.astype(np.uint8), grid, box).astype(bool))
        if guess is not None:
            np.save(home / "predicted.npy", resample_nearest(_truth_in_guess(labels, guess), grid, box))
            # What nobody could judge is no false finding.
            np.save(home / "guess.npy", resample_nearest(np.where(unsaid, 0, guess).astype(np.uint8), grid, box))


def _truth_in_guess(
    labels: UInt8[np.ndarray, "z y x"], guess: UInt8[np.ndarray, "z y x"]
) -> UInt8[np.ndarray, "z y x"]:
    """Reference patch classes inside the predicted liver region; false findings become liver, which they are."""
    inside = np.where(is_lesion(labels), labels, PATCH_LIVER)
    return np.where(liver_region(guess), inside, PATCH_OUTSIDE).astype(np.uint8)


def _open(case: TrainingCase, home: Path, spacing: Triple) -> PatchCase:
    labels = np.load(home / "labels.npy")
    lesions = seg2det(labels, spacing, min_volume_ml=MIN_LESION_ML)
    predicted = (home / "guess.npy").is_file()
    missed, false = hard_lesions(lesions, labels, np.load(home / "guess.npy")) if predicted else ((), ())
    typed, unsaid = not (home / _UNTYPED).is_file(), (home / _IGNORED).is_file()
    return PatchCase(case.name, case.present, home, spacing, lesions.lesions, missed, false, predicted, typed, unsaid)
