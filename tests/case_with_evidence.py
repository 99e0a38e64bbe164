"""A case folder that keeps its evidence, beside its truth."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from evidence_case import CONFIRMED, GRID, TWO, evidence_of, sensitivity_of
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.labels import LesionType
from livercascade.io.nifti import write_nifti
from livercascade.results.evidence_file import EVIDENCE, write_evidence
from livercascade.results.result import CaseResult, ModelRecord, OutputKind, OutputRecord
from report_case import make_case, make_result


def add_case(
    home: Path, case: str = "case-1", *, true: bool = True, models: tuple[ModelRecord, ...] = ()
) -> tuple[Path, Path]:
    """An HCC found at f = 1 and confirmed; at f = 4 also a false Meta that reclassification removes.

    In truth the HCC, or nothing. ``models`` are those of the record, with the settings of the default; without them the
    record is `make_result`'s. Returns the folders of truth and of case folders.
    """
    evidence = evidence_of(sensitivity_of(TWO), CONFIRMED, case_id=case)
    scan, labels, candidates = make_case()
    truth, found = home / "truth", home / "found"
    folder = found / case
    folder.mkdir(parents=True)
    write_evidence(folder / EVIDENCE, evidence)
    digest = hashlib.sha256((folder / EVIDENCE).read_bytes()).hexdigest()
    kept = OutputRecord(path=EVIDENCE, sha256=digest, kind=OutputKind.EVIDENCE)
    result = make_result(scan, labels, candidates, case_id=case, outputs=[kept])
    if models:
        settings = CascadeSettings(evidence=True).model_dump(mode="json")
        made = result.provenance.model_copy(update={"models": models, "settings": settings})
        result = CaseResult.model_validate(result.model_copy(update={"provenance": made}).model_dump(mode="json"))
    (folder / "result.json").write_text(result.to_json())
    write_nifti(folder / "lesions.nii.gz", np.zeros(GRID.shape, dtype=np.int32), GRID)
    label_map = np.zeros(GRID.shape, dtype=np.uint8)
    if true:
        (hcc,) = (x for x in evidence.proposals(1.0) if x.label is LesionType.HCC)
        label_map[hcc.bbox][hcc.mask] = LesionType.HCC
    truth.mkdir(exist_ok=True)
    write_nifti(truth / f"{case}.nii.gz", label_map, GRID)
    return truth, found
