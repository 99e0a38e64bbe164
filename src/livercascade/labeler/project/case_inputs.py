"""What a case brings along: its phases, its masks, and which image gives the grid that everything is drawn on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from livercascade.data.errors import CascadeError, InputError
from livercascade.data.grid import ROUNDED_MM, Grid
from livercascade.data.labels import PHASES, Phase
from livercascade.io.nifti import read_instances
from livercascade.io.study import Study
from livercascade.io.study_reader import read_study
from livercascade.labeler.editing.lesion_components import ReportNumbers
from livercascade.labeler.imaging.decoded_volume import DecodedVolume, tag_of, volume_of_array, volume_of_file
from livercascade.labeler.imaging.frame import Frame
from livercascade.labeler.label_error import LabelError
from livercascade.labeler.project.project_folder import dicom_folder, phase_file

# Lesions are drawn on the venous phase in most studies; the non-contrast phase shows fewest of them.
_REFERENCE_ORDER = (Phase.VP, Phase.AP, Phase.DP, Phase.NC)
_SEGMENTATION, _LESIONS = "segmentation.nii.gz", "lesions.nii.gz"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CaseInputs:
    """The files of one case, judged by their headers.

    Attributes:
        folder: Folder of the case.
        cache: Folder for decoded volumes.
        prediction: Mask of the case in the folder of predictions.
    """

    folder: Path
    cache: Path
    prediction: Path | None
    _numbers: dict[str, ReportNumbers | None] = field(default_factory=dict[str, "ReportNumbers | None"], repr=False)

    @cached_property
    def phases(self) -> Mapping[Phase, DecodedVolume | CascadeError]:
        """Every phase: its volume, or why there is none."""
        files = {phase: phase_file(self.folder, phase.value) for phase in PHASES}
        if not any(files.values()) and dicom_folder(self.folder) is not None:
            return self._from_dicom()
        return {phase: self._of_file(phase, path) for phase, path in files.items()}

    @cached_property
    def reference(self) -> Phase | None:
        """Phase whose grid is the case's: the venous one, else the next best that can be used."""
        return next((phase for phase in _REFERENCE_ORDER if isinstance(self.phases[phase], DecodedVolume)), None)

    @property
    def frame(self) -> Frame | None:
        """Frame of the reference phase."""
        volume = self.phases[self.reference] if self.reference else None
        return volume.frame if isinstance(volume, DecodedVolume) else None

    @property
    def grid(self) -> Grid | None:
        """Grid of the case in display order."""
        return self.frame.grid if self.frame else None

    @cached_property
    def masks(self) -> Mapping[str, Path]:
        """Files of the source masks that are there, by reference."""
        found: dict[str, Path] = {}
        for ref in ("labels", "segmentation"):
            path = next((p for e in (".nii.gz", ".nii") if (p := self.folder / f"{ref}{e}").is_file()), None)
            if path is not None and path.resolve().is_relative_to(self.folder.resolve()):
                found[ref] = path
        if self.prediction is not None:
            found["prediction"] = self.prediction
        return found

    @cached_property
    def mask_frames(self) -> Mapping[str, Frame | CascadeError]:
        """Frame of each source mask, or why it cannot be used."""
        return {ref: self._mask_frame(path) for ref, path in self.masks.items()}

    @property
    def usable_masks(self) -> list[str]:
        """Source masks on the case's grid, in the order in which they may be the head."""
        return [ref for ref, frame in self.mask_frames.items() if isinstance(frame, Frame)]

    def mask_tag(self, ref: str) -> str:
        """Changes when the file of a source mask changes."""
        return tag_of(self.masks[ref])

    def report_numbers(self, ref: str) -> ReportNumbers | None:
        """Numbers of the report that speaks of a mask, None if no report came with the case.

        Masks other than the prediction go by the case's own report, where it has one.
        """
        own = self.folder / _LESIONS
        predicted = self.prediction.with_name(_LESIONS) if self.prediction else own
        # A folder of plain <case>.nii.gz has no case folders, and so no map of one case.
        if self.prediction is not None and self.prediction.name != _SEGMENTATION:
            predicted = own
        # The Report tab shows the report of the case itself: its numbers come first, but for the prediction.
        paths = (predicted, own) if ref == "prediction" else (own, predicted)
        return next((numbers for path in paths if path.is_file() and (numbers := self._numbers_of(path))), None)

    def _numbers_of(self, path: Path) -> ReportNumbers | None:
        tag = f"{path}|{tag_of(path)}"
        if tag not in self._numbers:
            self._numbers[tag] = self._read_numbers(path)
        return self._numbers[tag]

    def _read_numbers(self, path: Path) -> ReportNumbers | None:
        try:
            numbers, placed = read_instances(path, is_ct=False)
        except CascadeError as error:
            _LOG.warning("the numbers of a report cannot be read (%s)", error.code)
            return None
        if self.grid is None or not placed.matches(self.grid, ROUNDED_MM):
            return None
        return ReportNumbers.of_map(numbers)

    def _of_file(self, phase: Phase, path: Path | None) -> DecodedVolume | CascadeError:
        if path is None:
            message = f"There is no {phase.title} phase in this case."
            remedy = f"Put it beside the others as {phase.value.lower()}.nii.gz."
            return LabelError("PHASE_MISSING", message, remedy)
        try:
            return volume_of_file(path, self.cache)
        except CascadeError as error:
            return error

    def _from_dicom(self) -> dict[Phase, DecodedVolume | CascadeError]:
        found: dict[Phase, DecodedVolume | CascadeError] = {phase: self._of_file(phase, None) for phase in PHASES}
        folder = dicom_folder(self.folder)
        try:
            study: Study = read_study(folder)
        except CascadeError as error:
            return dict.fromkeys(PHASES, error)
        for one in study.volumes:
            place = (self.cache, f"dicom-{one.sha256[:16]}")
            found[one.phase] = volume_of_array(one.description, one.grid, lambda hu=one.hu: hu, place)
        return found

    def _mask_frame(self, path: Path) -> Frame | CascadeError:
        try:
            frame = Frame.of_file(path, is_ct=False)
        except CascadeError as error:
            return error
        if self.grid is None or not frame.grid.matches(self.grid, ROUNDED_MM):
            return other_grid(path.name, frame.grid, self.grid)
        return frame


def other_grid(name: str, found: Grid, wanted: Grid | None) -> InputError:
    """Error for a mask that does not lie on the voxels of the case."""
    shape = " x ".join(map(str, found.shape))
    image = " x ".join(map(str, wanted.shape)) if wanted else "unknown"
    where = "" if wanted is None or found.shape != wanted.shape else ", at another place"
    message = f"{name}: the mask has {shape} voxels (z, y, x), the image {image}{where}."
    return InputError("MASK_OTHER_GRID", message, "Resample the mask to the image with nearest neighbours.")
