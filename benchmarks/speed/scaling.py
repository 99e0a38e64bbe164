"""How the cost grows: slices, height, phases, folds of UNet^whole, proposals that UNet^patch judges."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Stages
from predict_path import cascade_of

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.proposals import Proposals, propose
from livercascade.data.labels import PHASES, LesionType, Organ
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import seg2det
from livercascade.io.reference_grid import to_scan
from livercascade.io.study_reader import read_study
from livercascade.models.bundled import bundled
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.segment.unet_whole import segment

CONFIGURATION = "default"
BALL_MM = 8.0


def series(study: str, what: str, numbers: list[int]) -> dict[int, Any]:
    """Costs by number, one after the other in one process; reading and loading are not part of them."""
    scan, _ = to_scan(read_study(Path(study)))
    cascade = cascade_of(CONFIGURATION)
    measure: dict[str, Callable[[Scan, Cascade, int], dict[str, Any]]] = {
        "slices of the same body": _slices,
        "times the height": _height,
        "phases": _phases,
        "folds of UNet^whole": _folds,
        "folds, 400 slices": _folds_of_many_slices,
        "proposals": _proposals,
    }
    return {number: measure[what](scan, cascade, number) for number in numbers}


def _whole(scan: Scan, cascade: Cascade, model: Model) -> dict[str, Any]:
    """UNet^whole, masks and proposals."""
    stages = Stages()
    with stages.stage("whole"):
        propose(segment(scan, model), scan, cascade.settings.detect)
    return stages.as_json()


def _slices(scan: Scan, cascade: Cascade, count: int) -> dict[str, Any]:
    return _whole(_sliced(scan, count), cascade, cascade.whole)


def _sliced(scan: Scan, count: int) -> Scan:
    """The same body in ``count`` slices; the grid that the network works on stays."""
    have = scan.grid.shape[0]
    rows = np.minimum((np.arange(count) + 0.5) * have / count, have - 1).astype(int)
    spacing = (scan.grid.spacing[0] * have / count, *scan.grid.spacing[1:])
    grid = replace(scan.grid, shape=(count, *scan.grid.shape[1:]), spacing=spacing)
    return Scan(grid, {p: hu[rows] for p, hu in scan.hu.items()}, scan.reference)


def _height(scan: Scan, cascade: Cascade, times: int) -> dict[str, Any]:
    """The same slices again and again."""
    grid = replace(scan.grid, shape=(times * scan.grid.shape[0], *scan.grid.shape[1:]))
    scan = Scan(grid, {p: np.concatenate([hu] * times) for p, hu in scan.hu.items()}, scan.reference)
    return _whole(scan, cascade, cascade.whole)


def _phases(scan: Scan, cascade: Cascade, count: int) -> dict[str, Any]:
    """The first of VP, AP, DP and NC."""
    kept = sorted(scan.hu, key=lambda phase: "VADN".index(phase.value[0]))[:count]
    scan = Scan(scan.grid, {p: scan.hu[p] for p in PHASES if p in kept}, scan.reference)
    return _whole(scan, cascade, cascade.whole)


def _folds(scan: Scan, cascade: Cascade, count: int) -> dict[str, Any]:
    """An ensemble of copies."""
    with _ensemble(count) as folder:
        model = Model.load(folder, ModelKind.WHOLE, cascade.whole.engine)
    return _whole(scan, cascade, model)


def _folds_of_many_slices(scan: Scan, cascade: Cascade, count: int) -> dict[str, Any]:
    return _folds(_sliced(scan, 400), cascade, count)


def _proposals(scan: Scan, cascade: Cascade, count: int) -> dict[str, Any]:
    """UNet^patch alone, on synthetic lesions in the liver found, ten patches each."""
    stages = Stages()
    made = _made_proposals(propose(segment(scan, cascade.whole), scan, cascade.settings.detect), scan, count)
    with stages.stage("whole"):
        cascade.judge(scan, made)
    return stages.as_json() | {"proposals": len(made.det_high)}


def _made_proposals(found: Proposals, scan: Scan, count: int) -> Proposals:
    """The liver with balls of 8 mm radius as the only lesions, at f = 4 alone."""
    liver = np.uint8(int(Organ.LIVER))
    low = np.where(found.liver, liver, np.where(found.low <= liver, np.uint8(0), found.low))
    high, rng = low.copy(), np.random.default_rng(0)
    spacing = np.asarray(scan.grid.spacing)
    inside, centres = np.argwhere(found.liver), list[np.ndarray]()
    for at in inside[rng.permutation(len(inside))[:20_000]]:
        if len(centres) < count and all(np.linalg.norm((at - c) * spacing) > 2.5 * BALL_MM for c in centres):
            centres.append(at)
    reach = np.ceil(BALL_MM / spacing).astype(int)
    for centre in centres:
        low_corner = np.maximum(centre - reach, 0)
        box = tuple(slice(a, c + r + 1) for a, c, r in zip(low_corner, centre, reach, strict=True))
        offsets = np.indices(high[box].shape) + (low_corner - centre)[:, None, None, None]
        ball = ((offsets * spacing[:, None, None, None]) ** 2).sum(axis=0) <= BALL_MM**2
        high[box][ball & found.liver[box]] = LesionType.META
    sets = [seg2det(mask, scan.grid) for mask in (low, high)]
    return replace(found, low=low, high=high, det_low=sets[0], det_high=sets[1])


@contextmanager
def _ensemble(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for fold in range(count):
            shutil.copytree(bundled("whole"), Path(name) / f"fold_{fold}")
        yield Path(name)
