"""``evidence.npz``: the evidence of one case as plain arrays, checked strictly when it is read."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from pydantic import Field, ValidationError, model_validator

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import BACKGROUND, FIRST_LESION, LAST_LESION, NUM_CLASSES
from livercascade.data.lesion import Box
from livercascade.data.record import Record
from livercascade.detect.seg2det import LesionRule
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.reclassify import ReclassifySettings
from livercascade.results.evidence import Evidence
from livercascade.results.result import CaseResult, OutputKind

EVIDENCE = "evidence.npz"
# A few kilobytes of zip can claim to unpack to more than the memory holds.
_MAX_BYTES = 1 << 31
_HEADER = "header"
_NAMES = frozenset(
    {_HEADER, "liver", "best_lesion", "best_other", "margin", "counts", "tally", "patches", "votes", "sizes", "moved"}
)
_PREDICT_AGAIN = "Run 'livercascade predict --evidence --again' on the case."


class _Header(Record):
    """What the arrays mean."""

    schema_version: Literal["1.1"] = "1.1"
    case_id: str
    shape: tuple[int, int, int]
    spacing_mm: Triple
    origin_lps_mm: Triple
    direction: tuple[Triple, Triple, Triple]
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    low_factor: float = Field(gt=0)
    high_factor: float = Field(gt=0)
    min_volume_ml: float = Field(ge=0)
    lesions: LesionRule = LesionRule.UNION
    reclassify: ReclassifySettings
    models: tuple[str, str]
    factors: tuple[float, ...]
    patch_voxel_ml: float = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_1_0(cls, raw: Any) -> Any:
        """Headers of schema 1.0 held the settings of reclassification one by one."""
        if not isinstance(raw, dict) or raw.get("schema_version") != "1.0":
            return raw
        old: dict[str, Any] = dict(raw)
        knobs = {name: old.pop(name) for name in tuple(old) if name in ReclassifySettings.model_fields}
        return old | {"schema_version": "1.1", "reclassify": knobs | {"stop_when_decided": False}}


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Write the evidence; the same evidence gives the same bytes.

    The file is a compressed ``.npz`` without pickles: ``header`` (JSON), ``liver`` (bits of the box), the three arrays
    of the sensitivity map for the liver's voxels (the margin as four planes of bytes, which pack better), and the
    tallies, each stored once however many factors share it.
    """
    header = _header(evidence)
    arrays: dict[str, np.ndarray] = {
        _HEADER: np.frombuffer(header.model_dump_json().encode(), dtype=np.uint8),
        "liver": np.packbits(evidence.liver),
        "best_lesion": evidence.sensitivity.best_lesion[evidence.liver],
        "best_other": evidence.sensitivity.best_other[evidence.liver],
        "margin": _planes(evidence.sensitivity.margin[evidence.liver]),
        **_tally_arrays(evidence),
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    path.write_bytes(packed.getvalue())


def read_evidence(folder: Path) -> Evidence:
    """Evidence of a case folder.

    Raises:
        InputError: ``EVIDENCE_ABSENT`` if the case was analysed without it, ``EVIDENCE_DAMAGED`` if the file is not
            what result.json lists or its parts do not fit each other, ``EVIDENCE_MISMATCH`` if it is of another case.
    """
    result = _read_result(folder)
    listed = next((o for o in result.outputs or () if o.kind is OutputKind.EVIDENCE), None)
    if listed is None:
        message = f"case {result.case_id}: its folder {folder.name} holds no evidence."
        raise InputError("EVIDENCE_ABSENT", message, _PREDICT_AGAIN, stage="measure")
    try:
        data = (folder / listed.path).read_bytes()
    except OSError as error:
        raise _damaged(result.case_id, f"{listed.path} cannot be read") from error
    if hashlib.sha256(data).hexdigest() != listed.sha256:
        raise _damaged(result.case_id, f"{listed.path} is not the file that result.json lists")
    evidence = decode_evidence(data, result.case_id)
    if evidence.case_id != result.case_id:
        message = f"case {result.case_id}: its evidence is that of case {evidence.case_id}."
        raise InputError("EVIDENCE_MISMATCH", message, _PREDICT_AGAIN, stage="measure")
    return evidence


def decode_evidence(data: bytes, case_id: str) -> Evidence:
    """Evidence from the bytes of its file.

    Args:
        data: The file.
        case_id: Named in errors.

    Raises:
        InputError: ``EVIDENCE_DAMAGED``: not such a file, or its parts do not fit each other.
    """
    try:
        arrays = _load(data)
        header = _Header.model_validate_json(arrays[_HEADER].tobytes())
        return _decode(header, arrays)
    except (ValidationError, ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        reason = "its header cannot be read" if isinstance(error, ValidationError) else str(error)
        raise _damaged(case_id, reason) from error


def _read_result(folder: Path) -> CaseResult:
    try:
        return CaseResult.model_validate_json((folder / "result.json").read_bytes())
    except (OSError, ValidationError) as error:
        message = f"{folder.name}: there is no result.json that can be read."
        raise InputError("EVIDENCE_ABSENT", message, _PREDICT_AGAIN, stage="measure") from error


def _damaged(case_id: str, reason: str) -> InputError:
    message = f"case {case_id}: the evidence is damaged: {reason}."
    return InputError("EVIDENCE_DAMAGED", message, _PREDICT_AGAIN, stage="measure")


def _load(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        claimed = sum(info.file_size for info in archive.infolist())
    if claimed > _MAX_BYTES:
        raise ValueError(f"it claims {claimed / 1e9:.1f} GB")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        if sorted(archive.files) != sorted(_NAMES):
            raise ValueError(f"it holds {', '.join(sorted(archive.files))}")
        return {name: archive[name] for name in archive.files}


def _decode(header: _Header, arrays: dict[str, Any]) -> Evidence:
    box = _box(header)
    liver = _liver(header, arrays["liver"])
    voxels = int(liver.sum())
    parts = {name: _checked(arrays, name, np.uint8, (voxels,)) for name in ("best_lesion", "best_other")}
    margin = _from_planes(_checked(arrays, "margin", np.uint8, (4, voxels)))
    _check_labels(parts["best_lesion"], parts["best_other"], margin)
    grid = Grid(header.shape, header.spacing_mm, header.origin_lps_mm, header.direction)
    evidence = Evidence(
        header.case_id,
        grid,
        box,
        liver,
        SensitivityMap(
            _spread(parts["best_lesion"], liver, FIRST_LESION),
            _spread(parts["best_other"], liver, BACKGROUND),
            _spread(margin, liver, np.inf),
        ),
        header.low_factor,
        header.high_factor,
        header.min_volume_ml,
        header.reclassify,
        header.models,
        _tallies(header, arrays),
        header.lesions,
    )
    for factor, tallies in evidence.tallies.items():
        if len(evidence.proposals(factor)) != len(tallies):
            raise ValueError(f"{len(tallies)} verdicts do not fit the proposals at f = {factor:g}")
    return evidence


def _box(header: _Header) -> Box:
    if any(not 0 <= a < b <= n for (a, b), n in zip(header.box, header.shape, strict=True)):
        raise ValueError(f"box {header.box} does not lie in {header.shape}")
    z, y, x = (slice(a, b) for a, b in header.box)
    return z, y, x


def _liver(header: _Header, packed: Any) -> Bool[np.ndarray, "z y x"]:
    shape = tuple(b - a for a, b in header.box)
    size = int(np.prod(shape))
    if packed.dtype != np.uint8 or packed.shape != ((size + 7) // 8,):
        raise ValueError("the liver does not fill its box")
    return np.unpackbits(packed, count=size).astype(np.bool_).reshape(shape)


def _check_labels(
    lesion: UInt8[np.ndarray, " n"], other: UInt8[np.ndarray, " n"], margin: Float32[np.ndarray, " n"]
) -> None:
    if not ((lesion >= FIRST_LESION) & (lesion <= LAST_LESION)).all():
        raise ValueError("a lesion label is not one of 1-6")
    if not (((other == BACKGROUND) | (other > LAST_LESION)) & (other < NUM_CLASSES)).all():
        raise ValueError("another label is not 0 or 7-13")
    if np.isnan(margin).any():
        raise ValueError("a margin is not a number")


def _checked(arrays: dict[str, Any], name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    array = arrays[name]
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
    return array


def _spread(values: Any, liver: Bool[np.ndarray, "z y x"], fill: float | int) -> Any:
    out = np.full(liver.shape, fill, dtype=values.dtype)
    out[liver] = values
    return out


def _planes(margin: Float32[np.ndarray, " n"]) -> UInt8[np.ndarray, "4 n"]:
    # Little-endian on every machine, so that the file is the same.
    return np.ascontiguousarray(margin.astype("<f4").view(np.uint8).reshape(-1, 4).T)


def _from_planes(planes: UInt8[np.ndarray, "4 n"]) -> Float32[np.ndarray, " n"]:
    return np.ascontiguousarray(planes.T).view("<f4").reshape(-1).astype(np.float32)


def _header(evidence: Evidence) -> _Header:
    grid = evidence.grid
    tallies = [t for row in evidence.tallies.values() for t in row if t is not None]
    return _Header(
        case_id=evidence.case_id,
        shape=grid.shape,
        spacing_mm=grid.spacing,
        origin_lps_mm=grid.origin,
        direction=grid.direction,
        box=(_ends(evidence.box[0]), _ends(evidence.box[1]), _ends(evidence.box[2])),
        low_factor=evidence.low_factor,
        high_factor=evidence.high_factor,
        min_volume_ml=evidence.min_volume_ml,
        lesions=evidence.lesions,
        reclassify=evidence.settings,
        models=evidence.models,
        factors=evidence.factors,
        # One network has one grid: all tallies agree.
        patch_voxel_ml=tallies[0].voxel_ml if tallies else 1.0,
    )


def _ends(part: slice) -> tuple[int, int]:
    return int(part.start), int(part.stop)


def _tally_arrays(evidence: Evidence) -> dict[str, np.ndarray]:
    """Proposals per factor, the tally of each (-1: bypassed), patches per tally, and all their rows."""
    rows = [evidence.tallies[f] for f in evidence.factors]
    # By identity: a proposal that several factors share has one tally.
    unique = list({id(t): t for row in rows for t in row if t is not None}.values())
    place = {id(t): number for number, t in enumerate(unique)}
    return {
        "counts": np.array([len(row) for row in rows], dtype=np.int32),
        "tally": np.array([-1 if t is None else place[id(t)] for row in rows for t in row], dtype=np.int32),
        "patches": np.array([len(t.sizes) for t in unique], dtype=np.int32),
        "votes": np.concatenate([np.zeros((0, 6), np.int32), *(t.votes.astype(np.int32) for t in unique)]),
        "sizes": np.concatenate([np.zeros(0, np.int32), *(t.sizes.astype(np.int32) for t in unique)]),
        "moved": np.concatenate([np.zeros(0, np.uint8), *(t.moved.astype(np.uint8) for t in unique)]),
    }


def _tallies(header: _Header, arrays: dict[str, Any]) -> dict[float, tuple[PatchTally | None, ...]]:
    counts = _checked(arrays, "counts", np.int32, (len(header.factors),))
    patches = _checked(arrays, "patches", np.int32, (arrays["patches"].size,))
    rows = int(patches.sum())
    votes = _checked(arrays, "votes", np.int32, (rows, 6)).astype(np.int64)
    sizes = _checked(arrays, "sizes", np.int32, (rows,)).astype(np.int64)
    moved = _checked(arrays, "moved", np.uint8, (rows,)).astype(np.bool_)
    numbers = _checked(arrays, "tally", np.int32, (int(counts.sum()),))
    if (patches < 1).any() or (votes < 0).any() or (votes.sum(axis=1) > sizes).any():
        raise ValueError("a tally counts more voxels than its proposal has")
    if numbers.min(initial=-1) < -1 or numbers.max(initial=-1) >= len(patches):
        raise ValueError("a proposal names a tally that is not there")
    ends = np.cumsum(patches)
    tallies = [
        PatchTally(votes[b - n : b], sizes[b - n : b], moved[b - n : b], header.patch_voxel_ml)
        for b, n in zip(ends.tolist(), patches.tolist(), strict=True)
    ]
    each = iter(numbers.tolist())
    return {
        factor: tuple(None if (n := next(each)) < 0 else tallies[n] for _ in range(count))
        for factor, count in zip(header.factors, counts.tolist(), strict=True)
    }
