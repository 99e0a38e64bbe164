"""Lesion proposals at both sensitivities, and their types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, UInt8

from livercascade.cascade.plausibility import check_liver, no_liver
from livercascade.cascade.settings import DetectStage
from livercascade.classify.lesion_classifier import LesionClassifier
from livercascade.data.class_priors import ClassPriors
from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, LesionType, Organ, Phase
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.detect.liver import liver_with_content, main_liver, without_strays
from livercascade.detect.liver_place import LiverPlace
from livercascade.detect.seg2det import LesionRule, bounding_box, is_lesion, seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.detect.trunk import Trunk


@dataclass(frozen=True, slots=True)
class ProposalType:
    """Type of a proposal by its enhancement, and by UNet^whole.

    Attributes:
        probabilities: Probability of each type by its enhancement; together 1.
        network_type: Type by the vote of UNet^whole.
    """

    probabilities: Mapping[LesionType, float]
    network_type: LesionType


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Lesion proposals at both sensitivities, and the map they come from.

    Attributes:
        low, high: Label maps 0-13 of Base and High, spots outside the liver removed.
        det_low, det_high: Their lesions (``Det_pred``); the same object where both f are the same.
        sensitivity: Map from which the mask of every other f follows.
        liver: Liver with its content at High's sensitivity.
        strays: Number of lesions outside the liver at High's sensitivity, which were left out.
        types: Types of the lesions of ``det_high``, if they follow from enhancement; else none.
        warnings: Doubts about the liver that was found, see `check_liver`.
    """

    low: UInt8[np.ndarray, "z y x"]
    high: UInt8[np.ndarray, "z y x"]
    det_low: LesionSet
    det_high: LesionSet
    sensitivity: SensitivityMap
    liver: Bool[np.ndarray, "z y x"]
    strays: int
    types: tuple[ProposalType, ...] = ()
    warnings: tuple[Notice, ...] = ()

    def mask(self, factor: float) -> UInt8[np.ndarray, "z y x"]:
        """Label map at any sensitivity, strays removed."""
        return without_strays(self.sensitivity.mask(factor), self.liver)

    def base_only(self) -> Proposals:
        """Base's lesions in High's place too; the liver that patches are cut from stays High's, as it is for Base."""
        inside = (int(self.det_high.instances(x.bbox)[x.mask].max()) - 1 for x in self.det_low)
        types = tuple(self.types[n] for n in inside) if self.types else ()
        return replace(self, det_high=self.det_low, types=types)

    def liver_masks(self, factors: Iterable[float]) -> Iterator[UInt8[np.ndarray, "a b c"]]:
        """Label maps at several sensitivities, strays removed, of the liver's box alone: all lesions lie in it."""
        box = bounding_box(self.liver)
        if box is None:
            raise ValueError("there is no liver")
        near, liver = self.sensitivity.within(box), self.liver[box]
        for factor in factors:
            yield without_strays(near.mask(factor), liver)


def propose(sensitivity: SensitivityMap, scan: Scan, settings: DetectStage, *, trunk: Trunk | None = None) -> Proposals:
    """Lesion proposals at both sensitivities, inside the liver; outside the body there is nothing.

    Args:
        sensitivity: What UNet^whole gave for the scan.
        scan: What was segmented.
        settings: Sensitivities, volume limit and definition of a lesion.
        trunk: Body, lungs and spine of the reference phase; measured here if absent.

    Raises:
        InputError: ``NO_LIVER`` or ``LIVER_IMPLAUSIBLE``, see `check_liver`.
    """
    hu = scan.hu[scan.reference]
    seen = Trunk.of(hu, scan.grid) if trunk is None else trunk
    in_body = sensitivity.only_in(seen.body_in(hu))
    raw = in_body.mask(settings.high_factor)
    liver = main_liver(raw, scan.grid, min_contact=settings.min_contact)
    if not liver.any():
        raise no_liver(0.0)
    everything = liver_with_content(raw)
    place = LiverPlace.of(liver, everything, liver & (raw == Organ.LIVER), scan, seen)
    warnings = check_liver(place, volume_alone=not settings.check_liver)
    high = without_strays(raw, liver)
    low = without_strays(in_body.mask(settings.low_factor), liver)
    strays = len(form_lesions(np.where(liver, np.uint8(0), raw), scan.grid, settings))
    det_low = form_lesions(low, scan.grid, settings)
    # At one f there is one set, which is judged once.
    same = settings.low_factor == settings.high_factor
    det_high = det_low if same else form_lesions(high, scan.grid, settings)
    return Proposals(low, high, det_low, det_high, in_body, liver, strays, warnings=warnings)


def form_lesions(mask: UInt8[np.ndarray, "z y x"], grid: Grid | Triple, settings: DetectStage) -> LesionSet:
    """Lesions of a label map by the volume limit and the definition of a lesion that the settings say."""
    per_label = settings.lesions is LesionRule.PER_LABEL
    return seg2det(mask, grid, min_volume_ml=settings.min_volume_ml, per_label=per_label)


def typed(proposals: Proposals, scan: Scan, classifier: LesionClassifier, priors: ClassPriors | None) -> Proposals:
    """The same proposals with types by their enhancement; which voxels are lesion does not change.

    A proposal of High is measured where it is lesion at Base too, if it is, and else all of it. Its type goes to all
    its voxels at every f, so that both sensitivities agree as they do by UNet^whole. Voxels that become lesion at an
    f above High's keep the type of UNet^whole. With NC alone nothing is enhanced, and all types stay as they are.

    Args:
        proposals: Proposals with types by UNet^whole.
        scan: What was segmented.
        classifier: What gives the types.
        priors: Frequency of each type among the lesions of one's patients; None leaves types as they were learnt.
    """
    if set(scan.phases) == {Phase.NC}:
        return proposals
    cores = [_core(lesion, proposals.low) for lesion in proposals.det_high]
    probabilities = classifier.types(scan, proposals.high, cores, priors)
    best, low, high = (a.copy() for a in (proposals.sensitivity.best_lesion, proposals.low, proposals.high))
    types: list[ProposalType] = []
    for lesion, by_type in zip(proposals.det_high, probabilities, strict=True):
        label = max(by_type, key=lambda t: by_type[t])
        best[lesion.bbox][lesion.mask] = high[lesion.bbox][lesion.mask] = label
        low[lesion.bbox][is_lesion(low[lesion.bbox]) & lesion.mask] = label
        types.append(ProposalType(by_type, lesion.label))
    det_low = _relabelled(proposals.det_low, low)
    same = proposals.det_high is proposals.det_low
    return replace(
        proposals,
        low=low,
        high=high,
        det_low=det_low,
        det_high=det_low if same else _relabelled(proposals.det_high, high),
        sensitivity=replace(proposals.sensitivity, best_lesion=best),
        types=tuple(types),
    )


def _core(lesion: Lesion, low: UInt8[np.ndarray, "z y x"]) -> Lesion:
    inside = lesion.mask & is_lesion(low[lesion.bbox])
    return replace(lesion, mask=inside) if inside.any() else lesion


def _relabelled(lesions: LesionSet, mask: UInt8[np.ndarray, "z y x"]) -> LesionSet:
    """Labels by the vote over a mask of the same lesions (as `seg2det`, without looking for them again)."""

    def of(lesion: Lesion) -> Lesion:
        count = np.bincount(mask[lesion.bbox][lesion.mask], minlength=LAST_LESION + 1)[FIRST_LESION:]
        volumes = {LesionType(n + FIRST_LESION): float(c) * lesions.voxel_ml for n, c in enumerate(count) if c}
        return replace(lesion, label=LesionType(int(count.argmax()) + FIRST_LESION), type_volumes=volumes)

    return LesionSet(tuple(of(lesion) for lesion in lesions), lesions.shape, lesions.spacing)
