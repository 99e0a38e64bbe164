"""Own parts in place of this package's: an aligner, a segmenter and a reader, each in a few lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from livercascade.alignment.align_pair import DeedsAligner
from livercascade.alignment.align_phases import PhaseUse, align_phases
from livercascade.alignment.aligner import Aligner, PairAlignment
from livercascade.data.errors import InputError, UsageError
from livercascade.data.grid import Grid
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase
from livercascade.data.scan import PhaseVolume, Scan
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.io.nifti import write_nifti
from livercascade.io.reference_grid import to_scan
from livercascade.io.study import Study, StudyReader
from livercascade.io.study_reader import read_study
from livercascade.models.bundled import bundled
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.network_folder import load_card
from livercascade.segment.segmenter import Segmenter
from livercascade.segment.unet_whole import UNetWhole, segment
from livercascade.system.progress import Progress
from livercascade.testing.moving_trunk import trunk_pair, trunk_scan


@dataclass(frozen=True)
class ShiftAligner:
    """Moves every phase by whole slices: no field, no measures of it."""

    slices: int
    identity: str = "whole slices"

    def align(self, fixed: PhaseVolume, moving: PhaseVolume, *, progress: Progress | None = None) -> PairAlignment:
        del fixed, progress
        return PairAlignment(np.roll(moving.hu, self.slices, axis=0), np.ones(moving.hu.shape, bool), None)


def test_a_foreign_aligner_takes_the_place_of_deeds() -> None:
    fixed, other = trunk_scan(Phase.VP), trunk_scan(Phase.AP)
    moving = replace(other, hu=np.roll(other.hu, 5, axis=0))
    found = align_phases([moving, fixed], aligner=ShiftAligner(-5))
    assert np.array_equal(found.scan.hu[Phase.AP], other.hu) and not found.notices
    (phase,) = found.phases
    assert phase.use is PhaseUse.ALIGNED and phase.field is None
    assert phase.quality.mean_mm is None and phase.quality.similarity.after > phase.quality.similarity.before


def test_quality_control_judges_a_foreign_aligner_too() -> None:
    found = align_phases([trunk_scan(Phase.VP), trunk_scan(Phase.AP)], aligner=ShiftAligner(11))
    assert found.phases[0].use is PhaseUse.UNALIGNED and found.notices[0].code == "REGISTRATION_POOR"


def test_deeds_is_an_aligner() -> None:
    assert isinstance(DeedsAligner(), Aligner) and isinstance(ShiftAligner(0), Aligner)
    assert DeedsAligner().identity.startswith("deeds {") and "threads" not in DeedsAligner().identity


class ThresholdSegmenter:
    """Calls everything above 100 HU in VP an HCC, and the rest liver."""

    name, version, sha256 = "threshold", "1", "0" * 64
    needs = (Phase.VP,)

    def segment(self, scan: Scan, *, progress: Progress | None = None) -> SensitivityMap:
        logits = np.full((NUM_CLASSES, *scan.grid.shape), -10.0, np.float32)
        logits[1], logits[7] = (scan.hu[Phase.VP] - 100) / 10, 0.0
        return SensitivityMap.from_logits(logits)


def test_a_foreign_segmenter_gives_a_map_of_every_sensitivity() -> None:
    segmenter: Segmenter = ThresholdSegmenter()
    volume = trunk_scan(Phase.VP)
    found = segmenter.segment(Scan(volume.grid, {Phase.VP: volume.hu}, Phase.VP))
    assert isinstance(segmenter, Segmenter)
    assert (
        np.array_equal(found.mask(1.0) == 1, volume.hu >= 100)
        and (found.mask(4.0) == 1).sum() > (volume.hu >= 100).sum()
    )


class Even(nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch[:, :1].expand(-1, NUM_CLASSES, -1, -1, -1) * torch.arange(NUM_CLASSES)[None, :, None, None, None]


def test_unet_whole_is_a_segmenter() -> None:
    card = load_card(bundled("whole"))
    model = Model(card, (Even().eval(),), Engine("cpu", bf16=False))
    whole = UNetWhole(model)
    assert isinstance(whole, Segmenter) and (whole.name, whole.version, whole.sha256) == (
        card.name,
        card.version,
        card.sha256,
    )
    grid = Grid.axial((12, 40, 40), (5.0, 2.0, 2.0))
    scan = Scan(grid, {Phase.NC: np.random.default_rng(0).integers(-100, 200, grid.shape).astype(np.int16)}, Phase.NC)
    steps: list[tuple[str, int, int]] = []
    found = whole.segment(scan, progress=lambda *step: steps.append(step))
    assert np.array_equal(found.margin, segment(scan, model).margin)
    assert steps[-1][0] == "segmenting" and steps[-1][1] == steps[-1][2]
    with pytest.raises(InputError) as caught:
        UNetWhole(replace(model, card=card.model_copy(update={"needs": (Phase.VP,)}))).segment(scan)
    assert caught.value.code == "PHASE_NEEDED"


def read_archive(source: str | Path, /) -> Study:
    """A reader for arrays that numpy stored."""
    with np.load(source) as stored:
        grid = Grid.axial(stored["vp"].shape, tuple(stored["spacing"]))
        return Study.from_arrays({Phase.VP: (stored["vp"], grid)}, case_id=Path(source).stem)


def test_a_foreign_reader_gives_a_study(tmp_path: Path) -> None:
    volume = trunk_scan(Phase.VP)
    np.savez(tmp_path / "case-7.npz", vp=volume.hu, spacing=volume.grid.spacing)
    reader: StudyReader = read_archive
    study = reader(tmp_path / "case-7.npz")
    assert study.case_id == "case-7" and np.array_equal(to_scan(study)[0].hu[Phase.VP], np.maximum(volume.hu, -1024))
    own: StudyReader = read_study
    assert callable(own)


def test_arrays_and_files_give_the_same_study(tmp_path: Path) -> None:
    phases = {volume.phase: volume for volume in trunk_pair()}
    for phase, volume in phases.items():
        write_nifti(tmp_path / f"{phase.value.lower()}.nii.gz", volume.hu, volume.grid)
    of_files = read_study(str(tmp_path), case_id="c")
    arrays = Study.from_arrays({p: (v.hu.astype(np.float64), v.grid) for p, v in phases.items()}, case_id="c")
    assert [v.phase for v in arrays.volumes] == [p for p in PHASES if p in phases]
    for one, other in zip(arrays.volumes, of_files.volumes, strict=True):
        assert np.array_equal(one.hu, other.hu) and one.hu.dtype == other.hu.dtype and one.grid.matches(other.grid)
        assert one.source == other.source == "user"
    assert [n.code for n in arrays.warnings] == [n.code for n in of_files.warnings]
    named = read_study(files={Phase.VP: str(tmp_path / "vp.nii.gz")})
    assert np.array_equal(named.volumes[0].hu, of_files.volumes[1].hu)


def test_the_hash_of_arrays_follows_voxels_and_position() -> None:
    volume = trunk_scan(Phase.VP)
    hashes = [
        Study.from_arrays({Phase.VP: (hu, grid)}).volumes[0].sha256
        for hu, grid in (
            (volume.hu, volume.grid),
            (volume.hu.astype(np.float32), volume.grid),
            (volume.hu + np.int16(1), volume.grid),
            (volume.hu, replace(volume.grid, origin=(0.0, 0.0, 1.0))),
        )
    ]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_arrays_that_are_no_ct_are_refused() -> None:
    volume = trunk_scan(Phase.VP)
    with pytest.raises(InputError) as caught:
        Study.from_arrays({Phase.VP: ((volume.hu > 0).astype(np.uint8), volume.grid)})
    assert caught.value.code == "NOT_HU"
    with pytest.raises(ValueError, match="on a grid of"):
        Study.from_arrays({Phase.VP: (volume.hu[1:], volume.grid)})
    with pytest.raises(UsageError) as wrong:
        Study.from_arrays({})
    assert wrong.value.code == "WRONG_USE"
    with pytest.raises(UsageError) as name:
        Study.from_arrays({Phase.VP: (volume.hu, volume.grid)}, case_id="../x")
    assert name.value.code == "BAD_CASE_ID"
