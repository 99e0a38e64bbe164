"""A whole reproduction in the small: trained, killed in the middle, taken up again, and not done twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from livercascade.data.errors import UsageError
from livercascade.diagnose.calibration import CALIBRATION
from livercascade.models.bundled import bundled
from livercascade.reproduce.claim_results import Statement
from livercascade.reproduce.experiment import PRESETS, PaperSetting, read_experiment
from livercascade.reproduce.predictions import given_networks
from livercascade.reproduce.reproduction import CLAIMS, EVALUATION, PAGE, SUMMARY, Reproduction
from livercascade.results.result import CaseResult
from livercascade.system.progress import silent
from livercascade.virtual.fixed_cohorts import CohortPart, cohorts

SMALL = """
title = "a test"
matrix = 144
slice_mm = 10.0
[groups.train]
seed = 500000
cases = 3
mix = "training"
[groups.validation]
seed = 510000
cases = 2
[groups.test]
seed = 520000
cases = 2
[training]
folds = [0]
[training.whole]
spacing_mm = [10.0, 6.0, 6.0]
patch_size = [8, 48, 48]
base_features = 4
max_features = 8
stages = 3
steps = 60
learning_rate = 0.02
warmup_steps = 0
ema_decay = 0.5
validate_every = 60
[training.patch]
base_features = 4
max_features = 8
stages = 3
steps = 2
validate_every = 2
[cascade]
detect.check_liver = false
align = false
n_original = 1
n_shuffled = 1
overlap = 0.0
low_factor = 0.5
high_factor = 2.0
sweep = [0.5, 2.0]
[evaluation]
bootstrap = 20
"""


class Killed(Exception):
    """Stands for a power cut."""


def reproduction(
    home: Path, *, kill_at: str = "", said: list[str] | None = None, cases: int | None = None
) -> Reproduction:
    (home / "small.toml").write_text(SMALL)

    def progress(step: str, done: int, total: int) -> None:
        if step == kill_at and done:
            raise Killed

    lines = said if said is not None else []
    settings = read_experiment(home / "small.toml").limited(cases)
    return Reproduction(settings, home / "run", None, 1, progress, lines.append, quiet=True)


def files(folder: Path) -> dict[str, int]:
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_a_killed_reproduction_goes_on_and_nothing_finished_is_done_twice(tmp_path: Path) -> None:
    # Killed while it predicts: patients are there, both networks are trained, one case is predicted.
    with pytest.raises(Killed):
        reproduction(tmp_path, kill_at="patients and settings").run()
    out = tmp_path / "run"
    before = files(out)
    assert "steps/unet_patch_without_shuffling.json" in {p for p in before if p.startswith("steps/")}
    assert not (out / "steps" / "predictions_validation.json").exists()
    said: list[str] = []
    claims = reproduction(tmp_path, said=said).run()
    after = files(out)
    assert {p: t for p, t in after.items() if p in before} == before
    assert [line for line in said if line.startswith("unet")] == [
        f"{name}: finished before" for name in ("unet whole", "unet patch", "unet patch without shuffling")
    ]
    _everything_is_there(out)
    # Two patients decide nothing.
    assert {c.statement for c in claims} == {Statement.UNDECIDED}
    again: list[str] = []
    assert reproduction(tmp_path, said=again).run() == claims
    assert all(line.endswith("finished before") for line in again)
    assert files(out) == after
    # Fewer test patients are another evaluation of the same predictions.
    fewer: list[str] = []
    reproduction(tmp_path, said=fewer, cases=1).run()
    assert [line.split(":")[0] for line in fewer if "done in" in line] == [
        *("patients test", "predictions test", "evaluation")
    ]
    assert {p: t for p, t in files(out).items() if p.startswith("predictions/")} == {
        p: t for p, t in after.items() if p.startswith("predictions/")
    }


def _everything_is_there(out: Path) -> None:
    tables = json.loads((out / EVALUATION / "tables.json").read_text())
    assert len(tables["models"]) == 12
    assert tables["virtual"] is True
    for name in (PAGE, CLAIMS, SUMMARY, CALIBRATION):
        assert (out / name).stat().st_size > 0
    assert "Base is f = 0.5 and High f = 2" in (out / PAGE).read_text()
    # Networks of sixty steps find no liver: that is told, and counts as nothing found.
    assert "2 of 2 patients were refused" in (out / PAGE).read_text()


GIVEN = """
title = "given networks"
matrix = 128
[groups.train]
seed = 500000
cases = 1
mix = "training"
[groups.validation]
seed = 510000
cases = 1
lesion_contrast = 2.0
[groups.test]
seed = 520000
cases = 1
lesion_contrast = 2.0
[training]
folds = [0]
[cascade]
detect.check_liver = false
align = false
n_original = 1
n_shuffled = 1
overlap = 0.0
low_factor = 2.0
high_factor = 8.0
sweep = [2.0, 8.0]
[evaluation]
bootstrap = 20
"""


def test_given_networks_are_judged_with_probabilities_and_a_twin_that_is_the_same_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "given.toml").write_text(GIVEN)
    patch = bundled("patch")
    given = given_networks(whole=bundled("whole"), patch=patch, without=patch, twin=patch)
    settings = read_experiment(tmp_path / "given.toml")
    out = tmp_path / "run"
    Reproduction(settings, out, given, 2, silent, lambda _: None).run()
    found = 0
    for setting in PaperSetting:
        results = sorted((out / "predictions" / "test" / setting.value / "with_shuffling").glob("*/result.json"))
        assert len(results) == 1
        for result in results:
            made = CaseResult.model_validate_json(result.read_bytes())
            assert {i.phase for i in made.inputs} == set(setting.phases)
            assert made.verdict is not None and made.verdict.abstention is not None
            assert all(lesion.probability is not None for lesion in made.lesions or ())
            found += len(made.lesions or ())
    assert found > 0
    models = json.loads((out / EVALUATION / "tables.json").read_text())["models"]
    for setting in PaperSetting:
        twin, own = (models[f"{setting.value}/Base+ReCls{mark}"] for mark in (" w/ LS", ""))
        assert (twin["lesion"], twin["patient"]) == (own["lesion"], own["patient"])
    assert "Base+ReCls w/ LS and w/o LS are by two UNet^patch" in (out / PAGE).read_text()


@pytest.mark.parametrize("roles", [("whole",), ("without",), ("twin",), ("whole", "patch", "twin")])
def test_a_network_without_those_it_goes_with_is_refused(roles: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="WRONG_USE"):
        given_networks(**dict.fromkeys(roles, tmp_path))


def test_groups_share_no_patient(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(SMALL.replace("seed = 520000", "seed = 510001"))
    with pytest.raises(UsageError, match="BAD_SETTINGS"):
        read_experiment(tmp_path / "bad.toml")


def test_how_hard_a_group_is_reaches_its_patients_alone(tmp_path: Path) -> None:
    (tmp_path / "easy.toml").write_text(SMALL.replace("seed = 520000", "seed = 520000\nmimics = 0.5\nnoise = 0.8"))
    settings = read_experiment(tmp_path / "easy.toml")
    easy, usual = settings.virtual(CohortPart.TEST), settings.virtual(CohortPart.VALIDATION)
    assert (easy.mimics, easy.noise, easy.lesion_contrast) == (0.5, 0.8, 1.0)
    assert (usual.mimics, usual.noise, usual.lesion_contrast) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_read_and_hold_apart_what_the_paper_holds_apart(preset: str) -> None:
    settings = read_experiment(preset)
    assert settings.limited(1).groups[CohortPart.TEST].cases == 1
    assert settings.limited(10_000) == settings
    for part, group in settings.groups.items() if preset != "ci" else ():
        assert any(
            set(group.seeds) <= set(c.seeds) and c.part is part and c.mix is group.mix for c in cohorts().values()
        )
    # Seeds from 900000 to 900059 are the held-out benchmark's.
    assert not {seed for group in settings.groups.values() for seed in group.seeds} & set(range(900_000, 900_060))
