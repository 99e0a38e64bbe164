"""How the cost of `find` grows: slices, phases, folds of UNet^whole, proposals that UNet^patch judges."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Stages
from our_path import cascade_of

from livercascade.cascade.findings import Sensitivities, find, judge_proposals, propose
from livercascade.data.labels import PHASES, LesionType
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import seg2det
from livercascade.io.regrid import to_scan
from livercascade.io.source import read_study
from livercascade.models.bundled import bundled
from livercascade.segment.card import ModelKind
from livercascade.segment.model import Model
from livercascade.segment.whole import segment

WAY = "default"
BALL_MM = 8.0


def slices(study: str, count: int) -> dict[str, Any]:
    """UNet^whole and the masks on the same height of body in ``count`` slices; the grid it is computed on stays."""
    scan = _with_slices(_scan(study), count)
    cascade, stages = cascade_of(WAY), Stages()
    with stages.stage("whole"):
        propose(segment(scan, cascade.whole), scan, cascade.settings)
    return stages.told()


def height(study: str, times: int) -> dict[str, Any]:
    """The same on a body that is ``times`` as high, in slices of the same thickness."""
    scan = _scan(study)
    grid = replace(scan.grid, shape=(times * scan.grid.shape[0], *scan.grid.shape[1:]))
    scan = Scan(grid, {p: np.concatenate([hu] * times) for p, hu in scan.hu.items()}, scan.reference)
    cascade, stages = cascade_of(WAY), Stages()
    with stages.stage("whole"):
        propose(segment(scan, cascade.whole), scan, cascade.settings)
    return stages.told()


def phases(study: str, count: int) -> dict[str, Any]:
    """The whole of `find` with the first of VP, AP, DP, NC."""
    scan = _scan(study)
    kept = sorted(scan.hu, key=lambda p: "VADN".index(p.value[0]))[:count]
    scan = Scan(scan.grid, {p: scan.hu[p] for p in PHASES if p in kept}, scan.reference)
    cascade, stages = cascade_of(WAY), Stages()
    with stages.stage("whole"):
        find(scan, cascade.whole, cascade.patch, cascade.settings)
    return stages.told()


def folds(study: str, count: int) -> dict[str, Any]:
    """UNet^whole as an ensemble of ``count`` copies."""
    scan, cascade, stages = _scan(study), cascade_of(WAY), Stages()
    with _ensemble(count) as folder:
        model = Model.load(folder, ModelKind.WHOLE, cascade.whole.engine)
    with stages.stage("whole"):
        propose(segment(scan, model), scan, cascade.settings)
    return stages.told()


def proposals(study: str, count: int) -> dict[str, Any]:
    """UNet^patch on ``count`` made proposals in the liver, ten patches each."""
    scan, cascade, stages = _scan(study), cascade_of(WAY), Stages()
    made = _made_proposals(propose(segment(scan, cascade.whole), scan, cascade.settings), scan, count)
    with stages.stage("whole"):
        judge_proposals(scan, made, cascade.patch, cascade.settings)
    return stages.told() | {"made": len(made.det_high)}


def _scan(study: str) -> Scan:
    return to_scan(read_study(Path(study)))[0]


def _with_slices(scan: Scan, count: int) -> Scan:
    have = scan.grid.shape[0]
    rows = np.minimum((np.arange(count) + 0.5) * have / count, have - 1).astype(int)
    spacing = (scan.grid.spacing[0] * have / count, *scan.grid.spacing[1:])
    grid = replace(scan.grid, shape=(count, *scan.grid.shape[1:]), spacing=spacing)
    return Scan(grid, {p: hu[rows] for p, hu in scan.hu.items()}, scan.reference)


def _made_proposals(found: Sensitivities, scan: Scan, count: int) -> Sensitivities:
    """The liver with balls of 8 mm radius as the only lesions, at f = 4 alone."""
    low = np.where(found.liver, np.uint8(7), np.where(found.low <= 7, np.uint8(0), found.low))
    high, rng = low.copy(), np.random.default_rng(0)
    inside = np.argwhere(found.liver)
    centres: list[np.ndarray] = []
    spacing = np.asarray(scan.grid.spacing)
    for at in inside[rng.permutation(len(inside))[:20_000]]:
        if len(centres) == count:
            break
        if all(np.linalg.norm((at - c) * spacing) > 2.5 * BALL_MM for c in centres):
            centres.append(at)
    for centre in centres:
        reach = np.ceil(BALL_MM / spacing).astype(int)
        box = tuple(slice(max(c - r, 0), c + r + 1) for c, r in zip(centre, reach, strict=True))
        axes = np.ogrid[tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, high.shape, strict=True))]
        ball = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, spacing, strict=True)) <= BALL_MM**2
        high[box][ball & found.liver[box]] = LesionType.META
    sets = [seg2det(mask, scan.grid, min_volume_ml=0.5) for mask in (low, high)]
    return replace(found, low=low, high=high, det_low=sets[0], det_high=sets[1])


@contextmanager
def _ensemble(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for fold in range(count):
            shutil.copytree(bundled("whole"), Path(name) / f"fold_{fold}")
        yield Path(name)
