"""Routes of versions: list, upload, restore, import, export, history."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response

from livercascade.data.labels import NUM_CLASSES
from livercascade.io.nifti import read_labels
from livercascade.labeler.contract.request_schemas import RestoreRequest
from livercascade.labeler.contract.response_schemas import History, VersionInfo, VersionList
from livercascade.labeler.http.dependencies import (
    BodyDep,
    CaseDep,
    MatchDep,
    NoteDep,
    UserDep,
    binary_body,
    error_responses,
)
from livercascade.labeler.http.responses import version_info
from livercascade.labeler.imaging.mask_delta import MAGIC, LabelMask, bad_label, check_against, from_bytes
from livercascade.labeler.label_error import LabelError, not_found
from livercascade.labeler.project.case_inputs import other_grid
from livercascade.labeler.project.identifiers import SOURCE_REFS
from livercascade.labeler.project.open_case import OpenCase
from livercascade.labeler.project.project_folder import dicom_folder
from livercascade.labeler.project.versions import NewVersion, VersionRecord

router = APIRouter(prefix="/api/cases/{case_id}", responses=error_responses())
_BYTES = "application/octet-stream"


@router.get("/versions")
def versions(case: CaseDep, response: Response) -> VersionList:
    """All versions, oldest first."""
    with case.lock:
        head = case.head()
        response.headers["ETag"] = f'"{head}"'
        return VersionList(head=head, versions=[version_info(record) for record in case.versions.all()])


@router.get("/history")
def history(case: CaseDep) -> History:
    """What happened, oldest first."""
    with case.lock:
        return History.model_validate({"events": case.history.read()})


@router.post("/versions", status_code=201, openapi_extra=binary_body(_BYTES))
def upload(
    case: CaseDep, user: UserDep, match: MatchDep, note: NoteDep, data: BodyDep, beside: bool = False
) -> VersionInfo:
    """A version from a whole mask, or from a change of its parent."""
    with case.lock:
        case.check_parent(match, beside=beside)
        before = case.mask(match)
        mask = _changed(before, data) if data[:4] == MAGIC and len(data) != before.size else _whole(case, data)
        new = NewVersion(match, user, "upload", note=note, beside=beside)
        return version_info(case.save(mask, before, new))


@router.post("/restore", status_code=201)
def restore(case: CaseDep, user: UserDep, match: MatchDep, body: RestoreRequest) -> VersionInfo:
    """A new version equal to an older one."""
    with case.lock:
        case.check_parent(match, beside=False)
        note = body.note or f"{body.ref} brought back"
        new = NewVersion(match, user, "restore", note=note, source=body.ref)
        return version_info(case.save(case.mask(body.ref), case.mask(match), new))


@router.post("/imports", status_code=201, openapi_extra=binary_body(_BYTES))
def import_file(
    case: CaseDep,
    user: UserDep,
    note: NoteDep,
    data: BodyDep,
    format: Literal["nifti", "dicom-seg"] = "nifti",
    map: str = "",
) -> VersionInfo:
    """A version beside the others from a NIfTI file or a DICOM SEG."""
    # highdicom takes a second to import; most sessions never need it.
    from livercascade.labeler.imaging.dicom_seg import import_seg, segment_map

    mask = import_seg(data, case.grid, segment_map(map)) if format == "dicom-seg" else _nifti(case, data)
    return version_info(_imported(case, mask, user, note or f"from a {format} file"))


@router.post("/imports/{ref}", status_code=201)
def import_from_ref(case: CaseDep, user: UserDep, note: NoteDep, ref: str) -> VersionInfo:
    """A version from a mask that lies beside the images or among the predictions."""
    if ref not in SOURCE_REFS:
        raise not_found("mask")
    return version_info(_imported(case, case.mask(ref), user, note or f"from {ref}"))


@router.get("/export/{name}", response_class=Response, responses=error_responses(binary=_BYTES))
def export(case: CaseDep, user: UserDep, name: str) -> Response:
    """A mask as a file: ``REF.nii.gz`` or ``REF.dcm``."""
    if name.endswith(".nii.gz"):
        ref, kind = name.removesuffix(".nii.gz"), "application/gzip"
        with case.lock:
            data = case.versions.file_bytes(case.mask(ref, user))
    elif name.endswith(".dcm"):
        from livercascade.labeler.imaging.dicom_seg import export_seg

        ref, kind = name.removesuffix(".dcm"), "application/dicom"
        mask = case.mask(ref, user).copy()
        data = export_seg(mask, case.grid, dicom_folder(case.files.folder), reader=user)
    else:
        raise not_found("file")
    with case.lock:
        case.note("exported", user, name, ref=ref)
    headers = {"Content-Disposition": f'attachment; filename="{case.id}_{name}"'}
    return Response(data, headers=headers, media_type=kind)


def _whole(case: OpenCase, data: bytes) -> LabelMask:
    if len(data) != case.grid.voxels:
        message = f"{case.grid.voxels} bytes are a mask of this case, {len(data)} came."
        raise LabelError("WRONG_LENGTH", message, "Send one byte per voxel.")
    mask = np.frombuffer(data, np.uint8).reshape(case.grid.shape)
    if int(mask.max()) >= NUM_CLASSES:
        raise bad_label(int(mask.max()))
    return mask


def _changed(before: LabelMask, data: bytes) -> LabelMask:
    _, delta = from_bytes(data)
    check_against(delta, before)
    mask = before.copy()
    delta.apply(mask)
    return mask


def _nifti(case: OpenCase, data: bytes) -> LabelMask:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "import.nii.gz"
        path.write_bytes(data)
        mask, grid = read_labels(path, classes=NUM_CLASSES, is_ct=False)
    if not grid.matches(case.grid):
        raise other_grid("import", grid, case.grid)
    return mask


def _imported(case: OpenCase, mask: LabelMask, user: str, note: str) -> VersionRecord:
    with case.lock:
        head = case.head()
        new = NewVersion(head, user, "import", note=note, beside=head != "empty")
        return case.save(mask, case.mask(head), new)
