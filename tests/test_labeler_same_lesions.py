"""L3 of the report is L3 of the evaluation and of the page: one definition of a lesion, one number for each."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from livercascade.data.labels import LesionType
from livercascade.detect.seg2det import seg2det
from livercascade.evaluation.cohort.cohort_files import find_cohort
from livercascade.evaluation.cohort.read_case import read_case
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.io.nifti import write_nifti
from livercascade.labeler.contract.request_schemas import RelabelRequest
from livercascade.labeler.http.responses import lesion_listing
from livercascade.labeler.project.project_folder import Project
from livercascade.labeler.project.tool_steps import run_tool
from livercascade.labeler.project.workspace import Workspace
from livercascade.reclassification.candidate import Candidate, CandidateStatus
from livercascade.testing.example_results import CASE_GRID, example_case, example_result

LIMIT_ML = 0.5
UNION = EvaluationSettings(min_volume_ml=LIMIT_ML)


def high_mask() -> np.ndarray:
    """Lesions on which the definitions differ: two types that touch, and parts that touch by an edge between slices."""
    mask = np.where(example_case()[1] > 0, 7, 0).astype(np.uint8)
    z, y, x = (int(at) for at in np.argwhere(mask == 7).mean(axis=0))
    mask[z - 1 : z + 1, y : y + 8, x : x + 6] = LesionType.HCC
    mask[z - 1 : z + 1, y : y + 8, x + 6 : x + 10] = LesionType.CYST
    mask[z - 1, y - 14 : y - 7, x - 8 : x - 1] = LesionType.META
    mask[z, y - 7 : y - 2, x - 8 : x - 1] = LesionType.META
    mask[z + 1, y - 9 : y - 4, x - 16 : x - 10] = LesionType.HEM
    return mask


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Folder of references, of images and of one result, whose second candidate was removed as false."""
    scan, _, _ = example_case()
    mask = high_mask()
    proposals = seg2det(mask, CASE_GRID, min_volume_ml=LIMIT_ML)
    kept, removed = CandidateStatus.BYPASSED, CandidateStatus.REMOVED
    candidates = [
        Candidate(lesion, removed if number == 2 else kept, lesion.label)
        for number, lesion in enumerate(proposals, start=1)
    ]
    numbers = proposals.instances()
    # The cascade gives every voxel of a candidate its type, and takes away what it removed.
    for number, candidate in enumerate(candidates, start=1):
        mask[numbers == number] = candidate.label if candidate.present else 7
    result = example_result(scan, mask, candidates, case_id="c")
    folder = tmp_path / "results" / "c"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(result.to_json())
    write_nifti(folder / "segmentation.nii.gz", mask, CASE_GRID)
    write_nifti(folder / "lesions.nii.gz", numbers, CASE_GRID)
    for name, maps in (("truth", high_mask()), ("maps", mask)):
        (tmp_path / name).mkdir()
        write_nifti(tmp_path / name / "c.nii.gz", maps, CASE_GRID)
    (tmp_path / "images" / "c").mkdir(parents=True)
    write_nifti(tmp_path / "images" / "c" / "vp.nii.gz", scan.hu[scan.reference], CASE_GRID)
    return tmp_path


def workspace_of(cohort: Path) -> Workspace:
    return Workspace(Project.open(cohort / "images", predictions=cohort / "results"), "mia")


def places(lesions) -> np.ndarray:
    """Volume and centre of lesions, in their order."""
    return np.array([(volume, *centre) for volume, centre in lesions])


def test_the_definitions_differ_on_this_case() -> None:
    mask = high_mask()
    cubes = sum(ndimage.label(mask == label, structure=np.ones((3, 3, 3)))[1] for label in range(1, 7))
    union = len(seg2det(mask, CASE_GRID, min_volume_ml=0.0))
    by_type = len(seg2det(mask, CASE_GRID, min_volume_ml=0.0, per_label=True))
    assert (union, by_type, cubes) == (4, 5, 4)


def test_report_evaluation_and_page_name_the_same_lesions(cohort: Path) -> None:
    numbers = seg2det(high_mask(), CASE_GRID, min_volume_ml=LIMIT_ML).instances()
    case = workspace_of(cohort).case("c")
    listed = lesion_listing(case, case.mask("prediction"), "prediction", "").lesions
    assert [row.number for row in listed] == [1, 3, 4]
    for row in listed:
        z, y, x = row.at
        assert numbers[z, y, x] == row.number
    page = places((row.volume_ml, row.centroid) for row in listed)
    for side in (cohort / "results", cohort / "maps"):
        (files,) = find_cohort(cohort / "truth", [("found", side)]).single()
        last = list(read_case(files, UNION).predictions.values())[-1]
        found = places((lesion.volume_ml, lesion.centroid) for lesion in last.lesions)
        assert found == pytest.approx(page, abs=0.01)


def test_a_lesion_keeps_its_number_when_it_is_edited(cohort: Path) -> None:
    case = workspace_of(cohort).case("c")
    draft = case.drafts.begin("edit", "mia", "prediction")
    before = {row.number: row for row in lesion_listing(case, draft.mask, "draft.edit", "mia").lesions}
    step = run_tool(case, draft, "relabel", RelabelRequest(at=[before[3].at], label=2))
    draft.add(step)
    z, y, x = before[1].at
    draft.mask[z, y - 20 : y - 17, x] = 4
    after = {row.number: row for row in lesion_listing(case, draft.mask, "draft.edit", "mia").lesions}
    assert sorted(after) == [1, 3, 4, 5] and after[3].label == 2 and after[5].label == 4
    record = case.save_draft(draft, note="", beside=False)
    saved = lesion_listing(case, case.mask(record.ref), record.ref, "")
    assert {row.number for row in saved.lesions} == {1, 3, 4, 5}
