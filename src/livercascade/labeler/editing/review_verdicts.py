"""Verdicts on differences: what accept, keep and relabel do to a region, and how far a review has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from livercascade.data.grid import Grid
from livercascade.data.labels import FIRST_LESION, LAST_LESION, label_name
from livercascade.labeler.contract.request_schemas import VerdictRequest
from livercascade.labeler.editing.lesion_components import CONNECTIVITY, flat_indices, lesion_voxels
from livercascade.labeler.editing.mask_comparison import ORGANS_ID, Difference, DifferenceKind
from livercascade.labeler.imaging.mask_delta import Delta, LabelMask, bad_label, empty_delta
from livercascade.labeler.label_error import bad_request

_MARKS = ("second_reader", "edited")


def verdict_change(
    mask: LabelMask, sides: tuple[LabelMask, LabelMask], item: Difference, verdict: VerdictRequest
) -> Delta:
    """The change that a verdict makes to the region of a difference; every other voxel stays.

    Args:
        mask: Working mask of the review.
        sides: Old and new mask.
        item: The difference.
        verdict: The judgement.

    Raises:
        LabelError: ``BAD_LABEL``, or ``BAD_REQUEST`` if the organs are to be relabelled.
    """
    if verdict.verdict in _MARKS:
        return empty_delta()
    shape = shape_of(item, verdict)
    target = sides[1 if shape == "new" else 0][item.box][item.region]
    if verdict.verdict == "relabel":
        if item.id == ORGANS_ID:
            raise bad_request("The organs can be accepted or kept, not relabelled.")
        if verdict.label is None or not FIRST_LESION <= verdict.label <= LAST_LESION:
            raise bad_label(verdict.label or 0)
        target = np.where(lesion_voxels(target), np.uint8(verdict.label), target)
    index = flat_indices(item.region, item.box, mask.shape)
    before = mask.reshape(-1)[index]
    differs = before != target
    return Delta(index[differs], before[differs], target[differs])


def shape_of(item: Difference, verdict: VerdictRequest) -> str:
    """Whose outline a verdict takes: ``old`` or ``new``."""
    if verdict.verdict == "accept":
        return "new"
    if verdict.verdict in ("keep", "clear"):
        return "old"
    return verdict.shape or ("old" if item.kind is DifferenceKind.REMOVED else "new")


def verdict_record(item: Difference, verdict: VerdictRequest) -> dict[str, Any]:
    """The judgement as journal and version keep it."""
    return {
        "difference": verdict.difference,
        "kind": item.kind.value,
        "verdict": verdict.verdict,
        "label": verdict.label if verdict.verdict == "relabel" else None,
        "shape": None if verdict.verdict in _MARKS else shape_of(item, verdict),
    }


def verdict_name(item: Difference, verdict: VerdictRequest) -> str:
    """The judgement in words, for the list of steps."""
    acts = {
        "accept": "accept new",
        "keep": "keep old",
        "relabel": f"relabel to {label_name(verdict.label or 0)}",
        "second_reader": "mark for second reader",
        "edited": "edited by hand",
        "clear": "take the verdict back",
    }
    what = "Organs" if item.id == ORGANS_ID else f"{item.kind.value.capitalize()} {types_of(item)}"
    return f"{what}: {acts[verdict.verdict]}"


def types_of(item: Difference) -> str:
    """Types of both sides in words: ``Cyst -> HCC``."""
    old, new = (" + ".join(dict.fromkeys(label_name(label) for label, _ in side)) for side in (item.old, item.new))
    return f"{old} -> {new}" if old and new and old != new else old or new


def told_differences(
    items: Sequence[Difference], grid: Grid, verdicts: Mapping[str, Mapping[str, Any]], *, min_ml: float
) -> dict[str, Any]:
    """The list as the interface tells it."""
    shown = [item for item in items if item.size * grid.voxel_ml >= min_ml]
    counts = {kind.value: sum(item.kind is kind for item in shown) for kind in DifferenceKind}
    judged = [item for item in shown if item.kind is not DifferenceKind.SAME]
    return {
        "connectivity": CONNECTIVITY,
        "counts": counts,
        "open": sum(item.id not in verdicts for item in judged),
        "of": len(judged),
        "differences": [_told(item, grid, verdicts.get(item.id)) for item in shown],
    }


def _told(item: Difference, grid: Grid, verdict: Mapping[str, Any] | None) -> dict[str, Any]:
    areas = item.region.sum(axis=(1, 2))
    best = int(areas.argmax())
    inside = np.argwhere(item.region[best])
    at = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
    corner = [s.start for s in item.box]
    ml = grid.voxel_ml
    return {
        "id": item.id,
        "kind": item.kind.value,
        "types": types_of(item),
        "old": [_side(label, voxels, ml) for label, voxels in item.old],
        "new": [_side(label, voxels, ml) for label, voxels in item.new],
        "old_ml": round(sum(n for _, n in item.old) * ml, 4),
        "new_ml": round(sum(n for _, n in item.new) * ml, 4),
        "changed_ml": round(item.changed * ml, 4),
        "dice": round(item.dice, 4),
        "box": [[s.start, s.stop] for s in item.box],
        "slices": [item.box[0].start, item.box[0].stop - 1],
        "at": [corner[0] + best, corner[1] + int(at[0]), corner[2] + int(at[1])],
        "verdict": dict(verdict) if verdict else None,
    }


def _side(label: int, voxels: int, voxel_ml: float) -> dict[str, Any]:
    return {"label": label, "voxels": voxels, "volume_ml": round(voxels * voxel_ml, 4)}
