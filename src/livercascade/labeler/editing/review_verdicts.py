"""Verdicts on differences: what accept, keep and relabel do to a region, and how far a review has come."""

from __future__ import annotations

from typing import Literal

import numpy as np

from livercascade.data.labels import FIRST_LESION, LAST_LESION, label_name
from livercascade.labeler.contract.request_schemas import VerdictRequest
from livercascade.labeler.contract.response_schemas import DifferenceVerdict
from livercascade.labeler.editing.lesion_components import flat_indices, lesion_voxels
from livercascade.labeler.editing.mask_comparison import ORGANS_ID, Difference, DifferenceKind
from livercascade.labeler.imaging.mask_delta import Delta, LabelMask, bad_label, empty_delta
from livercascade.labeler.label_error import bad_request

# These say what a reader thinks or has done elsewhere; they change no voxel.
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
        # The outline's rest, where this side has no lesion, keeps its organ.
        target = np.where(lesion_voxels(target), np.uint8(verdict.label), target)
    index = flat_indices(item.region, item.box, mask.shape)
    before = mask.reshape(-1)[index]
    differs = before != target
    return Delta(index[differs], before[differs], target[differs])


def shape_of(item: Difference, verdict: VerdictRequest) -> Literal["old", "new"]:
    """Whose outline a verdict takes: ``old`` or ``new``."""
    if verdict.verdict == "accept":
        return "new"
    # Taking a verdict back leaves the old mask, on which the review began.
    if verdict.verdict in ("keep", "clear"):
        return "old"
    return verdict.shape or ("old" if item.kind is DifferenceKind.REMOVED else "new")


def verdict_record(item: Difference, verdict: VerdictRequest) -> DifferenceVerdict:
    """The judgement as draft and version keep it."""
    return DifferenceVerdict(
        difference=verdict.difference,
        kind=item.kind.value,
        verdict=verdict.verdict,
        label=verdict.label if verdict.verdict == "relabel" else None,
        shape=None if verdict.verdict in _MARKS else shape_of(item, verdict),
    )


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
