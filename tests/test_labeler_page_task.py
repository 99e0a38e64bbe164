"""A physician's task through the page: twelve lesions of three virtual patients set right, voxel for voxel."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from labeler_page import Desk
from labeler_project import Server, mask_of
from livercascade.detect.seg2det import seg2det
from livercascade.io.nifti import write_nifti
from livercascade.labeler.editing.lesion_tools import split
from livercascade.virtual.patient_folders import case_name, write_patient
from livercascade.virtual.virtual_patient import VirtualPatient, make_patient
from livercascade.virtual.virtual_settings import CaseMix, PhaseMotion, VirtualSettings

SETTINGS = VirtualSettings(mix=CaseMix.TRAINING, matrix=160, slice_mm=8.0, subslices=1, motion=PhaseMotion.NONE)
LIVER = 7


@dataclass
class Patient:
    """A virtual patient, the wrong mask that the reader finds, a second mask, and what must come out."""

    made: VirtualPatient
    wrong: np.ndarray
    other: np.ndarray
    expected: np.ndarray
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = case_name(self.made.seed)


def lesions_of(labels: np.ndarray) -> list[np.ndarray]:
    """Voxels of every lesion, largest first."""
    found = seg2det(labels, (1.0, 1.0, 1.0), min_volume_ml=0.0)
    return [found.where([one is lesion for one in found]).instances() > 0 for lesion in found]


def middle(voxels: np.ndarray) -> tuple[int, int, int]:
    """A voxel of a lesion in its fullest slice, nearest to the middle there."""
    z = int(voxels.sum((1, 2)).argmax())
    at = np.argwhere(voxels[z])
    y, x = at[((at - at.mean(0)) ** 2).sum(1).argmin()]
    return z, int(y), int(x)


def bare_liver(labels: np.ndarray, size: tuple[int, int, int]) -> tuple[slice, ...]:
    """The first box of plain liver with a rim of liver around it."""
    rim = np.array(size) + 2
    # The origin moves the result from the middle of the box to its first corner.
    fits = ndimage.binary_erosion(labels == LIVER, np.ones(rim), origin=tuple(-(rim // 2)))
    corner = np.argwhere(fits)[0] + 1
    return tuple(slice(int(first), int(first) + side) for first, side in zip(corner, size, strict=True))


def retyping_and_deleting() -> Patient:
    """Three lesions of a wrong type, two that are none."""
    made = make_patient(930000, SETTINGS)
    wrong = made.labels.copy()
    for lesion in lesions_of(made.labels)[:3]:
        wrong[lesion] = 3
    for size in ((2, 4, 4), (2, 3, 3)):
        wrong[bare_liver(wrong, size)] = 4
    return Patient(made, wrong, made.labels, made.labels)


def copying_and_splitting() -> Patient:
    """Two lesions that only the other mask has; one that is two of different types."""
    made = make_patient(930002, SETTINGS)
    ordered = lesions_of(made.labels)
    wrong, expected = made.labels.copy(), made.labels.copy()
    for lesion in ordered[1:3]:
        wrong[lesion] = LIVER
    z, y, x = middle(ordered[0])
    part = ordered[0] & (np.arange(wrong.shape[2]) > x)
    at = next(tuple(int(n) for n in one) for one in np.argwhere(part) if one[0] == z)
    split(expected, at, [[y - 12.0, x + 0.5], [y + 12.0, x + 0.5]], 1).apply(expected)
    assert np.all(expected[part] == 1) and not np.any(wrong[part] == 1)
    return Patient(made, wrong, made.labels, expected)


def accepting_and_drawing() -> Patient:
    """Three differences to accept, and a lesion that no mask has."""
    made = make_patient(930009, SETTINGS)
    wrong = made.labels.copy()
    ordered = lesions_of(made.labels)
    wrong[ordered[0]] = LIVER
    wrong[ordered[1]] = 6
    wrong[bare_liver(wrong, (2, 4, 4))] = 5
    return Patient(made, wrong, made.labels, made.labels.copy())


def written(patients: list[Patient], folder: Path) -> Server:
    (folder / "other").mkdir()
    for patient in patients:
        case = write_patient(patient.made, SETTINGS, folder / "cohort")
        write_nifti(case / "labels.nii.gz", patient.wrong, patient.made.grid)
        write_nifti(folder / "other" / f"{patient.name}.nii.gz", patient.other, patient.made.grid)
    return Server(folder / "cohort", {"predictions": str(folder / "other")})


def retype_and_delete(desk: Desk, patient: Patient) -> None:
    for lesion in lesions_of(patient.made.labels)[:3]:
        desk.click_table(int(np.flatnonzero(lesion)[0]))
        desk.press(str(int(patient.made.labels[lesion][0])))
    for extra in lesions_of(patient.wrong):
        if patient.expected[extra][0] == LIVER:
            desk.click_table(int(np.flatnonzero(extra)[0]))
            desk.press("0")


def copy_and_split(desk: Desk, patient: Patient) -> None:
    ordered = lesions_of(patient.made.labels)
    desk.actions += 1
    desk.page.get_by_label("Mask shown beside").select_option("prediction")
    desk.settled()
    assert "prediction shown" in desk.status
    for lesion in ordered[1:3]:
        at = middle(lesion)
        desk.go_to_slice(at[0])
        desk.hover(at)
        desk.press("Control+c", "Control+v")
    z, y, x = middle(ordered[0])
    desk.click_table(int(np.flatnonzero(ordered[0])[0]))
    assert desk.slice("VP-axial") == z
    desk.press("s", "1")
    desk.drag([(z, y - 12, x + 0.5), (z, y + 12, x + 0.5)])
    part = np.argwhere((patient.expected == 1) & ordered[0])
    desk.click(tuple(int(n) for n in part[part[:, 0] == z][0]))


def accept_and_draw(desk: Desk, patient: Patient) -> int:
    desk.actions += 1
    desk.page.get_by_role("tab", name="Differences").click()
    desk.page.get_by_label("Old mask").select_option("labels")
    desk.page.get_by_label("New mask").select_option("prediction")
    desk.actions += 1
    desk.page.get_by_role("tabpanel").get_by_role("button", name="Compare", exact=True).click()
    desk.settled()
    assert desk.state["differences"]["of"] == 3
    desk.page.locator('[data-pane="VP-axial"] .picture').focus()
    desk.press("Enter", "Enter", "Enter")
    assert desk.state["differences"]["open"] == 0
    before = desk.actions
    return draw(desk, patient) - before


def draw(desk: Desk, patient: Patient) -> int:
    """Two dabs and the slices between; equal discs must give the same disc in between."""
    box = bare_liver(patient.expected, (5, 7, 7))
    first, last = box[0].start, box[0].stop - 1
    y, x = (box[1].start + box[1].stop - 1) / 2, (box[2].start + box[2].stop - 1) / 2
    desk.press("b", "1")
    for z in (first, last):
        desk.go_to_slice(z)
        desk.click((z, y, x))
    desk.press("i")
    mm = desk.state["brush"]["mm"]
    spacing = patient.made.grid.spacing
    rows, columns = np.ogrid[: patient.expected.shape[1], : patient.expected.shape[2]]
    disc = ((rows - y) * spacing[1]) ** 2 + ((columns - x) * spacing[2]) ** 2 <= mm**2
    patient.expected[first : last + 1, disc] = 1
    return desk.actions


def test_twelve_lesions_are_set_right_in_few_actions(browser: Any, tmp_path: Path, capsys: Any) -> None:
    patients = [retyping_and_deleting(), copying_and_splitting(), accepting_and_drawing()]
    with written(patients, tmp_path) as server:
        desk = Desk(browser, server, patients[0].name)
        drawing = 0
        for k, (patient, work) in enumerate(
            zip(patients, (retype_and_delete, copy_and_split, accept_and_draw), strict=True)
        ):
            drawing = work(desk, patient) or 0
            desk.press("Control+s")
            desk.until("() => ctLabeler.state().draft.dirty === false")
            saved = mask_of(server.client, patient.name, "v1")
            assert np.array_equal(saved, patient.expected), (
                f"{patient.name}: {np.argwhere(saved != patient.expected)[:5]}"
            )
            if k < 2:
                desk.press("Control+ArrowRight")
                desk.ready(patients[k + 1].name)
        assert desk.complaints == []
        stored = nib.load(server.place / patients[0].name / "labels.nii.gz")
        assert np.array_equal(np.sort(np.unique(np.asarray(stored.dataobj))), np.unique(patients[0].wrong))
        others = desk.actions - drawing
        with capsys.disabled():
            print(f"\nlabeler: 11 lesions in {others} actions ({others / 11:.1f} each), 1 drawn in {drawing}")
        assert others <= 4 * 11
        desk.close()
