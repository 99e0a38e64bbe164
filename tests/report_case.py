"""A synthetic four-phase case for the report's tests: an ellipsoid liver with spheres in it."""

from __future__ import annotations

import datetime

import numpy as np

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, LesionType, Organ, PatientClass, Phase
from livercascade.data.lesion import Lesion
from livercascade.data.scan import Scan
from livercascade.report.measure import measure_lesions, measure_liver
from livercascade.results.candidate import Candidate, CandidateStatus, FoundAt
from livercascade.results.result import (
    CaseResult,
    InputRecord,
    ModelRecord,
    OutputKind,
    OutputRecord,
    PhaseSource,
    Provenance,
    Status,
    SweepRow,
    TypeCount,
    Verdict,
)

HASH = "0123456789abcdef" * 4
GRID = Grid.axial((24, 96, 96), (5.0, 2.0, 2.0), (-96.0, -96.0, 0.0))
LIVER_HU = {Phase.NC: 55, Phase.AP: 70, Phase.VP: 110, Phase.DP: 90}
LESION_HU = {Phase.NC: 40, Phase.AP: 110, Phase.VP: 95, Phase.DP: 65}


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float], grid: Grid = GRID) -> np.ndarray:
    """Voxels whose centre lies in an ellipsoid; centre and radii in mm along z, y, x from the first voxel."""
    axes = np.meshgrid(*[np.arange(n) * s for n, s in zip(grid.shape, grid.spacing, strict=True)], indexing="ij")
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) <= 1


def lesion_of(mask: np.ndarray, label: LesionType = LesionType.HCC, grid: Grid = GRID) -> Lesion:
    index = np.argwhere(mask)
    low, high = index.min(axis=0), index.max(axis=0) + 1
    bbox = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    x, y, z = (float(v) for v in grid.world(index.mean(axis=0)))
    return Lesion(label, float(mask.sum()) * grid.voxel_ml, (x, y, z), bbox, mask[bbox])


def candidate(
    mask: np.ndarray, label: LesionType = LesionType.HCC, status: CandidateStatus = CandidateStatus.KEPT
) -> Candidate:
    return Candidate(
        lesion_of(mask, label), status, label, 0.8, 0.5, {label: 0.9, LesionType.OTHER: 0.1},
        "Found <again> & again.", FoundAt.BOTH, 0.5 * lesion_of(mask, label).volume_ml,
    )  # fmt: skip


def make_case(phases: tuple[Phase, ...] = PHASES) -> tuple[Scan, np.ndarray, list[Candidate]]:
    liver = ellipsoid((60, 96, 80), (45, 60, 60))
    hcc, removed = ellipsoid((60, 90, 60), (15, 14, 14)), ellipsoid((60, 96, 110), (10, 8, 8))
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[liver] = Organ.LIVER
    labels[hcc] = LesionType.HCC
    hu = {}
    for phase in phases:
        image = np.full(GRID.shape, -80, dtype=np.int16)
        image[liver] = LIVER_HU[phase]
        image[hcc] = LESION_HU[phase]
        hu[phase] = image
    reference = Phase.VP if Phase.VP in phases else phases[0]
    return (
        Scan(GRID, hu, reference),
        labels,
        [candidate(hcc), candidate(removed, LesionType.CYST, CandidateStatus.REMOVED)],
    )


def make_sweep() -> tuple[SweepRow, ...]:
    one = TypeCount(lesions=1, volume_ml=12.0)
    return tuple(SweepRow(factor=f, lesions=1, volume_ml=12.0, by_type={LesionType.HCC: one}) for f in (1.0, 4.0))


def make_result(scan: Scan, labels: np.ndarray, candidates: list[Candidate], **changes: object) -> CaseResult:
    fields: dict[str, object] = {
        "case_id": "virtual-1",
        "status": Status.OK,
        "virtual": True,
        "inputs": [
            InputRecord(
                phase=p, source=PhaseSource.USER, confidence=1, sha256=HASH, shape=GRID.shape,
                spacing_mm=GRID.spacing, description="series <script>",
            )
            for p in scan.phases
        ],
        "reference_phase": scan.reference,
        "verdict": Verdict.of(PatientClass.HCC, PatientClass.HCC),
        "liver": measure_liver(scan, labels),
        "lesions": measure_lesions(candidates, scan, labels),
        "sensitivity": make_sweep(),
        "not_analysed": ["Lesions under 0.5 ml."],
        "outputs": [OutputRecord(path="segmentation.nii.gz", sha256=HASH, kind=OutputKind.MASK)],
        "provenance": Provenance(
            version="0.1.0", models=(ModelRecord(name="whole", version="1", sha256=HASH),), settings={"factor": 4},
            settings_sha256=HASH, packages={"numpy": "2"}, device="cpu", seed=0,
            started=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), seconds={"read": 1.0},
        ),
    }  # fmt: skip
    return CaseResult.model_validate(fields | changes)
