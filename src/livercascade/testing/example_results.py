"""Results made without networks: a four-phase case, its candidates and record, evidence, and case folders."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from livercascade.cascade.settings import CascadeSettings, OutputStage
from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, LesionType, Organ, PatientClass, Phase
from livercascade.data.lesion import LesionSet
from livercascade.data.scan import Scan
from livercascade.detect.liver import main_liver
from livercascade.detect.seg2det import bounding_box
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.io.nifti import write_nifti
from livercascade.reclassification.candidate import Candidate, CandidateStatus, FoundAt
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.report.measure import measure_lesions, measure_liver
from livercascade.results.evidence import Evidence, crop
from livercascade.results.evidence_file import EVIDENCE, write_evidence
from livercascade.results.result import (
    CaseResult,
    InputRecord,
    ModelRecord,
    OutputKind,
    OutputRecord,
    PhaseSource,
    Provenance,
    SensitivityFactors,
    Status,
    SweepRow,
    TypeCount,
    VerdictRecord,
)
from livercascade.system.files import sha256_of
from livercascade.testing.phantoms import FAT_HU, cone, ellipsoid, lesion_of, sensitivity_phantom

EXAMPLE_HASH = "0123456789abcdef" * 4
EXAMPLE_FACTORS = SensitivityFactors(base=1.0, high=4.0)
CASE_GRID = Grid.axial((24, 96, 96), (5.0, 2.0, 2.0), (-96.0, -96.0, 0.0))
"""Grid of `example_case`."""
CASE_LIVER_HU = {Phase.NC: 55, Phase.AP: 70, Phase.VP: 110, Phase.DP: 90}
CASE_LESION_HU = {Phase.NC: 40, Phase.AP: 110, Phase.VP: 95, Phase.DP: 65}

EVIDENCE_GRID = Grid.axial((14, 60, 70), (5.0, 2.0, 2.0), (-70.0, 20.0, 100.0))
"""Grid of `two_lesions`."""
EVIDENCE_FACTORS = (0.25, 1.0, 4.0, 16.0)
EVIDENCE_MODELS = ("a" * 64, "b" * 64)
Confirmations = dict[int, tuple[float, dict[int, float]]]
"""For each type of a proposal the share that UNet^patch confirms, and how that divides among types."""
CONFIRMED: Confirmations = {1: (0.9, {1: 0.7, 2: 0.3}), 3: (0.05, {3: 1.0})}
"""The HCC is confirmed, the Meta is not."""
_PATCH_VOXEL_ML = 0.003


def example_candidate(
    mask: Bool[np.ndarray, "z y x"],
    label: LesionType = LesionType.HCC,
    status: CandidateStatus = CandidateStatus.KEPT,
) -> Candidate:
    """Candidate of a mask on `CASE_GRID`; its reason holds characters that HTML must escape."""
    lesion = lesion_of(mask, label, CASE_GRID)
    return Candidate(
        lesion, status, label, 0.8, 0.5, {label: 0.9, LesionType.OTHER: 0.1},
        "Found <again> & again.", found_at=FoundAt.BASE_AND_HIGH, core_ml=0.5 * lesion.volume_ml,
    )  # fmt: skip


def example_case(phases: tuple[Phase, ...] = PHASES) -> tuple[Scan, UInt8[np.ndarray, "z y x"], list[Candidate]]:
    """Scan, label map and candidates of an ellipsoid liver with an HCC that is kept and a cyst that was removed."""
    liver = ellipsoid((60, 96, 80), (45, 60, 60), CASE_GRID)
    hcc, removed = ellipsoid((60, 90, 60), (15, 14, 14), CASE_GRID), ellipsoid((60, 96, 110), (10, 8, 8), CASE_GRID)
    labels = np.zeros(CASE_GRID.shape, dtype=np.uint8)
    labels[liver] = Organ.LIVER
    labels[hcc] = LesionType.HCC
    hu: dict[Phase, np.ndarray] = {}
    for phase in phases:
        image = np.full(CASE_GRID.shape, FAT_HU, dtype=np.int16)
        image[liver] = CASE_LIVER_HU[phase]
        image[hcc] = CASE_LESION_HU[phase]
        hu[phase] = image
    reference = Phase.VP if Phase.VP in phases else phases[0]
    candidates = [example_candidate(hcc), example_candidate(removed, LesionType.CYST, CandidateStatus.REMOVED)]
    return Scan(CASE_GRID, hu, reference), labels, candidates


def example_sweep() -> tuple[SweepRow, ...]:
    """One lesion of 12 ml at f = 1 and at f = 4."""
    one = TypeCount(lesions=1, volume_ml=12.0)
    return tuple(SweepRow(factor=f, lesions=1, volume_ml=12.0, by_type={LesionType.HCC: one}) for f in (1.0, 4.0))


def example_result(
    scan: Scan, labels: UInt8[np.ndarray, "z y x"], candidates: list[Candidate], **changes: object
) -> CaseResult:
    """Record of an `example_case`, with a series name that HTML must escape; ``changes`` replace its fields.

    Raises:
        pydantic.ValidationError: A change does not fit the record.
    """
    fields: dict[str, object] = {
        "case_id": "virtual-1",
        "status": Status.OK,
        "virtual": True,
        "inputs": [
            InputRecord(
                phase=p, source=PhaseSource.USER, confidence=1, sha256=EXAMPLE_HASH, shape=CASE_GRID.shape,
                spacing_mm=CASE_GRID.spacing, description="series <script>",
            )
            for p in scan.phases
        ],
        "reference_phase": scan.reference,
        "factors": EXAMPLE_FACTORS,
        "verdict": VerdictRecord.of(PatientClass.HCC, PatientClass.HCC, EXAMPLE_FACTORS),
        "liver": measure_liver(scan, labels),
        "lesions": measure_lesions(candidates, scan, labels),
        "sensitivity": example_sweep(),
        "not_analysed": ["Lesions under 0.5 ml."],
        "outputs": [OutputRecord(path="segmentation.nii.gz", sha256=EXAMPLE_HASH, kind=OutputKind.MASK)],
        "provenance": Provenance(
            version="0.1.0", models=(ModelRecord(name="whole", version="1", sha256=EXAMPLE_HASH),),
            settings={"factor": 4},
            settings_sha256=EXAMPLE_HASH, packages={"numpy": "2"}, device="cpu", seed=0,
            started=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), seconds={"read": 1.0},
        ),
    }  # fmt: skip
    return CaseResult.model_validate(fields | changes)


def two_lesions() -> list[tuple[np.ndarray, int, float]]:
    """Lesions for `sensitivity_phantom` on `EVIDENCE_GRID`: an HCC found at f = 1, and a Meta found at f = 4 only."""
    hcc = cone((30.0, 50.0, 60.0), 22.0, EVIDENCE_GRID), int(LesionType.HCC), -3.0
    meta = cone((40.0, 70.0, 100.0), 50.0, EVIDENCE_GRID), int(LesionType.META), 0.2
    return [hcc, meta]


def two_lesion_map() -> SensitivityMap:
    """Sensitivity map of `two_lesions`."""
    return sensitivity_phantom(two_lesions(), EVIDENCE_GRID)


def example_tally(share: float, size: int, types: dict[int, float], patches: int = 4) -> PatchTally:
    """PatchTally in which every patch confirms ``share`` of ``size`` voxels, divided among types.

    The later half of the patches are those in which the lesion was moved.
    """
    votes = np.zeros((patches, 6), dtype=np.int64)
    for label, part in types.items():
        votes[:, label - 1] = int(share * size * part)
    return PatchTally(votes, np.full(patches, size), np.arange(patches) >= patches // 2, _PATCH_VOXEL_ML)


def example_evidence(
    sensitivity: SensitivityMap,
    confirmed: Confirmations,
    *,
    case_id: str = "case-1",
    grid: Grid = EVIDENCE_GRID,
    factors: tuple[float, ...] = EVIDENCE_FACTORS,
) -> Evidence:
    """Evidence at f = 1 and 4 of a sensitivity map, with tallies as ``confirmed`` says.

    Raises:
        ValueError: The map holds no liver at f = 4.
    """
    liver = main_liver(sensitivity.mask(4.0), grid)
    box = bounding_box(liver)
    if box is None:
        raise ValueError("the map holds no liver")
    inner, inside = crop(sensitivity, liver, box)
    settings = ReclassifySettings(n_original=2, n_shuffled=2, relabel=True)
    bare = Evidence(case_id, grid, box, inside, inner, 1.0, 4.0, 0.5, settings, EVIDENCE_MODELS, {})

    def tallies(lesions: LesionSet) -> tuple[PatchTally | None, ...]:
        return tuple(
            None
            if lesion.volume_ml > settings.bypass_ml
            else example_tally(
                confirmed[lesion.label][0], round(lesion.volume_ml / _PATCH_VOXEL_ML), confirmed[lesion.label][1]
            )
            for lesion in lesions
        )

    made = {f: tallies(bare.proposals(f)) for f in factors}
    return Evidence(case_id, grid, box, inside, inner, 1.0, 4.0, 0.5, settings, EVIDENCE_MODELS, made)


def write_example_folders(
    home: Path, case: str = "case-1", *, true: bool = True, models: tuple[ModelRecord, ...] = ()
) -> tuple[Path, Path]:
    """Write a case folder that keeps its evidence, and its reference label map.

    An HCC is found at f = 1 and confirmed; at f = 4 also a false Meta that reclassification removes.

    Args:
        home: Folder for the folders of references and of case folders.
        case: Name of the case.
        true: True if the HCC is in the reference; else it is empty.
        models: Models of the record, which then has the default settings; without them it is `example_result`'s.

    Returns:
        Folder of references, ``truth``, and of case folders, ``found``.
    """
    evidence = example_evidence(two_lesion_map(), CONFIRMED, case_id=case)
    scan, labels, candidates = example_case()
    truth, found = home / "truth", home / "found"
    folder = found / case
    folder.mkdir(parents=True)
    write_evidence(folder / EVIDENCE, evidence)
    kept = OutputRecord(path=EVIDENCE, sha256=sha256_of(folder / EVIDENCE), kind=OutputKind.EVIDENCE)
    result = example_result(scan, labels, candidates, case_id=case, outputs=[kept])
    if models:
        settings = CascadeSettings(output=OutputStage(evidence=True)).model_dump(mode="json")
        made = result.provenance.model_copy(update={"models": models, "settings": settings})
        result = CaseResult.model_validate(result.model_copy(update={"provenance": made}).model_dump(mode="json"))
    (folder / "result.json").write_text(result.to_json())
    write_nifti(folder / "lesions.nii.gz", np.zeros(EVIDENCE_GRID.shape, dtype=np.int32), EVIDENCE_GRID)
    label_map = np.zeros(EVIDENCE_GRID.shape, dtype=np.uint8)
    if true:
        (hcc,) = (x for x in evidence.proposals(1.0) if x.label is LesionType.HCC)
        label_map[hcc.bbox][hcc.mask] = LesionType.HCC
    truth.mkdir(exist_ok=True)
    write_nifti(truth / f"{case}.nii.gz", label_map, EVIDENCE_GRID)
    return truth, found
