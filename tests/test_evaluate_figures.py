"""Every figure from made-up evidence and stand-ins for both networks; reasons for those missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from livercascade.cascade.settings import AlignStage, CascadeSettings
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import LesionType, PatientClass, Phase
from livercascade.detect.match import Pair
from livercascade.evaluation.cohort.cohort_files import find_cohort
from livercascade.evaluation.cohort.evaluated_case import CasePrediction, EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.evaluation import Evaluation, evaluate_cohort
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.matched_lesions import LesionSummary, MatchedLesions
from livercascade.evaluation.output.figure_files import Figures
from livercascade.evaluation.plots.axial_view import Plane, largest_slice
from livercascade.evaluation.plots.choose_examples import (
    largest_change,
    patch_example,
    relabelled_example,
    removed_examples,
)
from livercascade.evaluation.plots.draw_all import build_figures
from livercascade.evaluation.plots.loaded_case import Networks, load_case, patches_of
from livercascade.io.nifti import write_nifti
from livercascade.io.reference_grid import to_scan
from livercascade.io.study_reader import read_study
from livercascade.reclassification.candidate import CandidateStatus
from livercascade.reclassification.reclassify import ReclassifySettings, reclassify
from livercascade.reclassification.working_grid import to_working_grid
from livercascade.report.view import View
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import EVIDENCE, write_evidence
from livercascade.results.result import CaseResult, OutputKind, OutputRecord, VerdictRecord
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.testing.example_results import (
    CONFIRMED,
    EVIDENCE_GRID,
    EVIDENCE_MODELS,
    EXAMPLE_FACTORS,
    example_case,
    example_evidence,
    example_result,
    two_lesions,
)
from livercascade.testing.phantoms import cone, sensitivity_phantom
from livercascade.testing.tiny_networks import tiny_card

ALL = ["03", "04", "05", "07", "08", "09", "10", "11", "12", "13", "14", "15"]
THREE = [*two_lesions(), (cone((35.0, 30.0, 90.0), 55.0, EVIDENCE_GRID), 1, 0.3)]
"""A true HCC called HCC (confirmed as ICC), a true Meta found at f = 4 alone, and a false HCC."""


class Constant(nn.Module):
    """Gives every voxel the same logits, whatever it sees."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.logits[None, :, None, None, None].expand(len(batch), -1, *batch.shape[2:]).clone()


BASE, HIGH = EvaluatedModel("Base"), EvaluatedModel("High")


def networks() -> Networks:
    whole = tiny_card(sha256=EVIDENCE_MODELS[0], patch_size=(14, 32, 32), spacing_mm=(5.0, 4.0, 4.0))
    patch = tiny_card(
        sha256=EVIDENCE_MODELS[1], kind=ModelKind.PATCH, patch_size=(16, 128, 128), spacing_mm=(5.0, 0.78, 0.78)
    )
    engine = Engine("cpu", bf16=False)
    return Networks(
        Model(whole, (Constant([2.0, *[0.5] * 6, 3.0, *[0.0] * 6]),), engine),
        Model(patch, (Constant([0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0]),), engine),
    )


def images() -> dict[Phase, np.ndarray]:
    rng = np.random.default_rng(0)
    liver = np.zeros(EVIDENCE_GRID.shape, dtype=bool)
    liver[:, 4:-4, 4:-4] = True
    out = {}
    for phase, level in zip(Phase, (50, 80, 110, 90), strict=True):
        hu = np.where(liver, level, -1000) + rng.normal(0, 8, EVIDENCE_GRID.shape)
        for shape, _, _ in THREE:
            hu[shape > 0.7] -= 30
        out[phase] = hu.astype(np.int16)
    return out


def judged(case_id: str, study: Path) -> Evidence:
    """Evidence whose tallies come from the patches that the cascade would have made, judged by a made-up network."""
    bare = example_evidence(sensitivity_phantom(THREE, EVIDENCE_GRID), CONFIRMED, case_id=case_id, factors=())
    scan, _ = to_scan(read_study(study))
    mask = np.zeros(EVIDENCE_GRID.shape, dtype=np.uint8)
    mask[bare.box] = bare.mask(4.0)
    tallies = {}
    for factor, seed in zip((1.0, 4.0), np.random.SeedSequence(0).spawn(2), strict=True):
        proposals = bare.proposals(factor)
        working = to_working_grid(scan, mask, proposals, normalise=lambda _, hu: hu, fill=dict.fromkeys(Phase, -200.0))
        # The true HCC is confirmed as ICC, the Meta as Meta, and the false HCC (far to the left) as liver.
        classes = iter([3 if p.label is LesionType.META else 7 if p.centroid[0] > 15 else 2 for p in proposals])

        def network(patches: np.ndarray, classes: Iterator[int] = classes) -> np.ndarray:
            logits = np.zeros((len(patches), 8, *patches.shape[2:]))
            logits[:, next(classes)] = 1.0
            return logits

        made = reclassify(
            proposals,
            working.volume,
            network,
            bare.settings,
            np.random.default_rng(seed),
            on_volume=working.proposals,
            # One call for each proposal, as the made-up network counts them.
            batch=bare.settings.patches,
        )
        tallies[factor] = tuple(outcome.tally for outcome in made.candidates)
    return replace(bare, tallies=tallies)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Truth with images, and a case folder with evidence."""
    root = tmp_path_factory.mktemp("cohort")
    study, found = root / "truth" / "case-1", root / "found" / "case-1"
    study.mkdir(parents=True)
    found.mkdir(parents=True)
    for phase, hu in images().items():
        write_nifti(study / f"{phase.value.lower()}.nii.gz", hu, EVIDENCE_GRID)
    truth = np.zeros(EVIDENCE_GRID.shape, dtype=np.uint8)
    truth[cone((30.0, 50.0, 60.0), 9.0, EVIDENCE_GRID) > 0] = 2
    truth[cone((40.0, 70.0, 100.0), 8.0, EVIDENCE_GRID) > 0] = 3
    write_nifti(study / "labels.nii.gz", truth, EVIDENCE_GRID)
    evidence = judged("case-1", study)
    write_evidence(found / EVIDENCE, evidence)
    write_nifti(found / "lesions.nii.gz", evidence.proposals(4.0).instances(), EVIDENCE_GRID)
    digest = hashlib.sha256((found / EVIDENCE).read_bytes()).hexdigest()
    outputs = [OutputRecord(path=EVIDENCE, sha256=digest, kind=OutputKind.EVIDENCE)]
    verdict = VerdictRecord.of(PatientClass.ICC, PatientClass.ICC, EXAMPLE_FACTORS)
    result = example_result(*example_case(), case_id="case-1", outputs=outputs, lesions=(), verdict=verdict)
    (found / "result.json").write_text(
        analysed_with(CascadeSettings(align=AlignStage(enabled=False)).model_dump(mode="json"), result)
    )
    return root / "truth", root / "found"


def analysed_with(settings: dict[str, object], result: CaseResult) -> str:
    """The result as JSON with other settings."""
    made = result.provenance.model_copy(update={"settings": settings})
    return result.model_copy(update={"provenance": made}).to_json()


@pytest.fixture(scope="module")
def evaluation(folders: tuple[Path, Path]) -> Evaluation:
    return evaluate_cohort(find_cohort(folders[0], [(None, folders[1])]), EvaluationSettings(bootstrap=20))


@pytest.fixture(scope="module")
def figures(evaluation: Evaluation) -> Figures:
    return build_figures(evaluation, networks=networks())


def test_every_figure_is_drawn_and_says_virtual(figures: Figures) -> None:
    assert list(figures.missing) == ["reliability"]
    names = [p.name for p in figures.drawn]
    assert [n.split("_")[1] for n in names if n.startswith("figure_")] == ALL
    assert len(set(names)) == len(names) == len(ALL) + 7
    for made in figures.drawn:
        assert "virtual" in made.title
        assert made.caption
        assert made.alt
        assert made.png is not None
        assert made.svg is not None
        assert ElementTree.fromstring(made.svg).tag.endswith("svg")


def test_pictures_are_not_blank(figures: Figures, tmp_path: Path) -> None:
    for made in figures.drawn:
        (tmp_path / "a.png").write_bytes(made.png or b"")
        with Image.open(tmp_path / "a.png") as image:
            assert image.width >= 600
            assert np.asarray(image.convert("L")).std() > 10


def test_without_networks_only_their_output_is_missing(evaluation: Evaluation) -> None:
    made = build_figures(replace(evaluation, curves={}))
    assert [name[:9] for name in made.missing] == ["figure_09", "figure_12"]
    assert all("needs the output of the networks" in why for why in made.missing.values())


def test_other_networks_are_not_taken(evaluation: Evaluation) -> None:
    other = networks()
    card = other.patch.card.model_copy(update={"sha256": "c" * 64})
    wrong = Networks(other.whole, replace(other.patch, card=card))
    made = build_figures(replace(evaluation, curves={}), networks=wrong)
    assert {name[:9]: "not those of the evidence" in why for name, why in made.missing.items()} == {
        "figure_09": True,
        "figure_12": True,
    }


def test_without_images_figures_with_images_are_listed(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "case-1.nii.gz").write_bytes((folders[0] / "case-1" / "labels.nii.gz").read_bytes())
    cohort = find_cohort(tmp_path / "truth", [(None, folders[1])])
    made = build_figures(evaluate_cohort(cohort, EvaluationSettings(bootstrap=0)))
    missing = {name: why for name, why in made.missing.items() if name != "reliability"}
    assert {name.split("_")[1] for name in missing} == set(ALL) - {"10", "11"}
    assert len(missing) == len(made.missing) - 1
    assert all("images cannot be read" in why for why in missing.values())


def test_label_maps_give_patients_and_reasons(folders: tuple[Path, Path]) -> None:
    labels = folders[0] / "case-1" / "labels.nii.gz"
    (folders[0].parent / "maps").mkdir()
    (folders[0].parent / "maps" / "case-1.nii.gz").write_bytes(labels.read_bytes())
    cohort = find_cohort(folders[0], [("A", folders[0].parent / "maps")])
    made = build_figures(evaluate_cohort(cohort, EvaluationSettings(bootstrap=0)))
    assert [p.name for p in made.drawn] == ["figure_10_patients"]
    assert all("plain label maps" in why for why in made.missing.values())
    assert len(made.missing) == len(ALL) - 1 + 8


def test_images_that_were_not_analysed_are_refused(folders: tuple[Path, Path], evaluation: Evaluation) -> None:
    case = evaluation.cases[0]
    loaded = load_case(case, "found")
    patches = patches_of(loaded, 0, None)
    tally = patches.outcome.tally
    assert tally is not None
    assert [int(p.lesion.sum()) for p in patches.patches] == tally.sizes.tolist()
    moved = replace(loaded, evidence=replace(loaded.evidence, settings=ReclassifySettings(seed=7)))
    assert patches_of(moved, 0, None).patches[0].start != patches.patches[0].start


def test_a_result_of_another_version_is_refused(folders: tuple[Path, Path], evaluation: Evaluation) -> None:
    place = folders[1] / "case-1" / "result.json"
    before = place.read_text()
    try:
        place.write_text(analysed_with({"factor": 4}, CaseResult.model_validate_json(before)))
        with pytest.raises(InputError, match="OTHER_VERSION"):
            load_case(evaluation.cases[0], "found")
    finally:
        place.write_text(before)


def test_slices_are_shown_from_the_front_with_the_right_side_on_the_left() -> None:
    grid = Grid((3, 4, 5), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0)))
    array = np.arange(60).reshape(3, 4, 5)
    shown = Plane.whole(grid, 0).cut(array)
    # Indices run to the foot, the front and the right: all three are turned.
    np.testing.assert_array_equal(shown, array[2, ::-1, ::-1])
    region = array == array[0, 3, 4]
    assert largest_slice(region, grid) == 2
    near = Plane(View.of(grid), 2, (slice(None), slice(None))).around(region, margin_mm=1.0)
    assert near.cut(region)[0, 0]
    assert near.cut(region).shape == (2, 2)


def found(label: LesionType, volume: float, **changes: object) -> LesionSummary:
    base = LesionSummary(label, volume, int(volume * 10), (0.0, 0.0, volume), score=1.0, status=CandidateStatus.KEPT)
    return replace(base, **changes)


def chosen_case(name: str, true: list[LesionType], base: MatchedLesions, high: MatchedLesions) -> EvaluatedCase:
    lesions = tuple(LesionSummary(t, 2.0, 20) for t in true)
    predictions = {
        model: CasePrediction(replace(matched, reference=lesions), PatientClass.HCC, 0.0)
        for model, matched in ((BASE, base), (HIGH, high))
    }
    return EvaluatedCase(name, lesions, PatientClass.HCC, predictions)


def matched(lesions: list[LesionSummary], *links: tuple[int, int]) -> MatchedLesions:
    return MatchedLesions((), tuple(lesions), tuple(Pair(t, f, 5) for t, f in links))


def test_cases_are_chosen_by_rule() -> None:
    hcc, cyst = LesionType.HCC, LesionType.CYST
    gone = CandidateStatus.REMOVED
    one = chosen_case("one", [hcc], matched([]), matched([found(hcc, 3.0), found(hcc, 1.0, status=gone)], (0, 0)))
    two = chosen_case(
        "two",
        [hcc, cyst],
        matched([found(hcc, 5.0)], (0, 0)),
        matched(
            [
                found(hcc, 40.0),
                found(hcc, 9.0, votes={hcc: 0.2, cyst: 0.8}),
                found(cyst, 2.0, status=gone),
                found(cyst, 1.5, status=gone),
            ],
            (0, 0),
            (1, 1),
        ),
    )
    cases = [one, two]
    change = largest_change(cases, BASE, HIGH)
    assert change is not None
    # Both gain one true lesion; the second has more new proposals.
    assert change == (1, "High touches 1 true lesions that Base misses, more than in any other case.")
    patch = patch_example(cases, HIGH)
    assert patch is not None
    assert (patch.case, patch.lesion.volume_ml) == (1, 9.0)
    assert [(p.case, p.lesion.volume_ml) for p in removed_examples(cases, HIGH)] == [(1, 2.0), (0, 1.0)]
    assert [(p.case, p.lesion.volume_ml) for p in removed_examples([two], HIGH)] == [(0, 2.0), (0, 1.5)]
    relabelled = relabelled_example(cases, HIGH)
    assert relabelled is not None
    assert relabelled.lesion.volume_ml == 9.0
    empty = chosen_case("none", [], matched([]), matched([]))
    assert largest_change([empty], BASE, HIGH) is None
    assert patch_example([empty], HIGH) is None
    assert relabelled_example([empty], HIGH) is None
    assert removed_examples([empty], HIGH) == ()
