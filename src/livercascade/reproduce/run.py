"""From seeds to the page, step by step; what is finished is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from livercascade import __version__
from livercascade.cascade.settings import TypesFrom
from livercascade.data.errors import UsageError
from livercascade.data.labels import PHASES
from livercascade.diagnose.calibration import CALIBRATION, Calibration
from livercascade.evaluation.cohort.model_keys import Variant
from livercascade.evaluation.evaluation import Evaluation, summarise
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.output.write_evaluation import write_evaluation
from livercascade.evaluation.plots.draw_all import Figures, build_figures
from livercascade.evaluation.plots.loaded_case import Networks
from livercascade.evaluation.statistics.intervals import Resampling
from livercascade.models.bundled import bundled
from livercascade.reproduce.ablation import ablation_table
from livercascade.reproduce.beyond import beyond_sections
from livercascade.reproduce.calibrating import calibrate
from livercascade.reproduce.claims import read_claims
from livercascade.reproduce.judging import WITH_LS, Judged, judge_patients, key_of
from livercascade.reproduce.ledger import Ledger, StepRecord, digest
from livercascade.reproduce.markdown import claims_markdown
from livercascade.reproduce.measure import Ground
from livercascade.reproduce.page import PageParts, render
from livercascade.reproduce.predicting import ModelFolders, Places, predict_patients
from livercascade.reproduce.settings import Group, ReproduceSettings, Setting
from livercascade.reproduce.training import (
    predict_out_of_fold,
    train_patch,
    train_whole,
    trained_whole,
    training_settings,
)
from livercascade.reproduce.verdict import JudgedClaim, judge_claims
from livercascade.segment.card import ModelKind
from livercascade.segment.model import Model
from livercascade.train.run_folder import RunFolder
from livercascade.virtual.cohort import case_name, make_cohort

PAGE, CLAIMS, SUMMARY, EVALUATION = "reproduce.html", "claims.json", "claims.md", "evaluation"
Advance = Callable[[str, int], Callable[[], None]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class GivenModels:
    """Networks that are judged instead of trained ones.

    Attributes:
        whole, patch: Model folders; both or neither.
        without: UNet^patch trained without lesion shuffling, if there is one.
        twin: UNet^patch trained as that one but with lesion shuffling, if ``patch`` was not.
    """

    whole: Path | None = None
    patch: Path | None = None
    without: Path | None = None
    twin: Path | None = None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One run.

    Attributes:
        settings: What is reproduced.
        out: Folder of the run; the same one goes on.
        given: Networks that are there already.
        workers: Processes side by side.
        progress: Called with (step in words, how many); gives what is called after each.
        say: Called with a line for people at each step.
        quiet: True keeps the trainings silent.
    """

    settings: ReproduceSettings
    out: Path
    given: GivenModels
    workers: int
    progress: Advance
    say: Say
    quiet: bool = False

    def run(self) -> tuple[JudgedClaim, ...]:
        """Do every step that is not finished, and write the page; the claims as judged.

        Raises:
            CascadeError: A training failed or was stopped, or a folder cannot be written.
            UsageError: ``WRONG_USE``: a network is given without those that it goes with.
        """
        if (self.given.whole is None) != (self.given.patch is None):
            message = "UNet^whole and UNet^patch are given together or trained together."
            raise UsageError("WRONG_USE", message, "Give both --whole and --patch, or neither.")
        alone = self.given.patch is None and self.given.without is not None
        if alone or (self.given.twin is not None and self.given.without is None):
            message = "Lesion shuffling is judged by given networks: one without it, and with a twin both."
            remedy = "Give --patch-without-shuffling with --whole and --patch, and --patch-twin with all three."
            raise UsageError("WRONG_USE", message, remedy)
        self.out.mkdir(parents=True, exist_ok=True)
        models = self._models()
        hashes = models.hashes()
        calibration = self._calibration(models, hashes)
        tested = self._predict("test", self.settings.groups.test, models, calibration)
        return self._evaluate(models, hashes, tested)

    def _models(self) -> ModelFolders:
        if self.given.whole is not None and self.given.patch is not None:
            self.say("networks: given")
            return ModelFolders(self.given.whole, self.given.patch, self.given.without, self.given.twin, self._types)
        plan, train = self.settings.training, self._patients("train", self.settings.groups.train)
        cohort = {"patients": self._cohort(self.settings.groups.train), "version": __version__}
        inputs = {**cohort, "settings": training_settings(plan, ModelKind.WHOLE), "folds": list(plan.folds)}
        whole = self._folder("whole", inputs)
        models = [whole / "model" / f"fold_{fold}" for fold in plan.folds]
        self._step("unet_whole", inputs, models, lambda: train_whole(train, whole, plan, quiet=self.quiet))
        self._step(
            "out_of_fold",
            inputs,
            [whole / "out_of_fold"],
            lambda: predict_out_of_fold(whole, workers=self.workers, quiet=self.quiet),
        )
        made = trained_whole(whole)
        patches: list[Path] = []
        for name, shuffling in (("unet_patch", True), ("unet_patch_without_shuffling", False)):
            settings = training_settings(plan, ModelKind.PATCH, shuffling=shuffling)
            own = {**cohort, "settings": settings, "hard": digest(inputs)}
            run = self._folder(name.removeprefix("unet_"), own)

            def train_it(run: Path = run, shuffling: bool = shuffling) -> None:
                train_patch(train, run, plan, made.hard, shuffling=shuffling, quiet=self.quiet)

            self._step(name, own, [RunFolder(run).model], train_it)
            patches.append(RunFolder(run).model)
        patch, without = patches
        return ModelFolders(made.model, patch, without, types=self._types)

    @property
    def _types(self) -> Path | None:
        """What tells types from enhancement, where the settings want that; it is not trained here."""
        return bundled("types") if self.settings.cascade.types_from is TypesFrom.ENHANCEMENT else None

    def _folder(self, name: str, inputs: dict[str, Any]) -> Path:
        """Folder of a training; other inputs give another, so that no run goes on with what it did not begin with."""
        return self.out / "train" / f"{name}-{digest(inputs)[:8]}"

    def _patients(self, name: str, group: Group) -> Path:
        place = self.out / "patients" / name

        def make() -> None:
            advance = self.progress(f"virtual patients ({name})", group.cases)
            for _ in make_cohort(group.seeds, self.settings.virtual(group), place, workers=self.workers):
                advance()

        folders = [place / case_name(seed) for seed in group.seeds]
        inputs = {"patients": self._cohort(group), "version": __version__}
        self._step(f"patients_{name}", inputs, folders, make)
        return place

    def _cohort(self, group: Group) -> dict[str, Any]:
        settings = self.settings.virtual(group).model_dump(mode="json")
        return {**settings, "seed": group.seed, "cases": group.cases}

    def _calibration(self, models: ModelFolders, hashes: dict[str, str]) -> Calibration:
        """Fitted to the validation patients, kept in the run's folder and beside a UNet^patch that was trained here."""
        group = self.settings.groups.validation
        shuffling = ModelFolders(models.whole, models.patch, types=models.types)
        cases, places, predicted = self._predict("validation", group, shuffling, None)
        settings = self.settings.evaluation
        inputs = {"predictions": digest(predicted), "settings": settings.sha256, "alpha": self.settings.alpha}
        kept = [self.out / CALIBRATION]
        if self.given.patch is None:
            kept.append(models.patch / CALIBRATION)

        def fit() -> None:
            made = calibrate(cases, places, hashes, self.settings, workers=self.workers, progress=self.progress)
            for path in kept:
                _write(path, made.to_json())

        self._step("calibration", inputs, kept, fit)
        return Calibration.model_validate_json(kept[0].read_bytes())

    def _predict(
        self, name: str, group: Group, models: ModelFolders, calibration: Calibration | None
    ) -> tuple[list[Path], Places, dict[str, Any]]:
        folder, places = self._patients(name, group), Places(self.out / "predictions" / name)
        cases = [folder / case_name(seed) for seed in group.seeds]
        inputs = {
            "patients": self._cohort(group),
            "models": models.hashes(),
            "calibration": None if calibration is None else calibration.sha256,
            "settings": self.settings.cascade.sha256,
            "version": __version__,
        }

        def predict() -> None:
            settings = self.settings.cascade
            predict_patients(
                cases,
                places,
                models,
                settings,
                calibration=calibration,
                workers=self.workers,
                progress=self.progress,
            )

        self._step(f"predictions_{name}", inputs, [places.root], predict)
        return cases, places, inputs

    def _evaluate(
        self, models: ModelFolders, hashes: dict[str, str], tested: tuple[list[Path], Places, dict[str, Any]]
    ) -> tuple[JudgedClaim, ...]:
        cases, places, predicted = tested
        settings = self.settings.evaluation
        inputs = {"predictions": digest(predicted), "settings": settings.sha256, "version": __version__}
        claims: list[JudgedClaim] = []

        def evaluate() -> None:
            judged = judge_patients(
                cases,
                places,
                self.settings.cascade,
                settings,
                variants=tuple(models.patches),
                workers=self.workers,
                progress=self.progress,
            )
            made = summarise(judged.cohort, judged.cases, judged.models, judged.joints, settings)
            networks = Networks(Model.load(models.whole, ModelKind.WHOLE), Model.load(models.patch, ModelKind.PATCH))
            figures = build_figures(made, networks=networks, progress=self.progress)
            write_evaluation(made, self.out / EVALUATION, figures.drawn, figures.missing)
            claims.extend(self._page(judged, made, figures, hashes))

        outputs = [self.out / EVALUATION, self.out / PAGE, self.out / CLAIMS, self.out / SUMMARY]
        self._step("evaluation", inputs, outputs, evaluate)
        return tuple(claims) if claims else read_judged(self.out / CLAIMS)

    def _page(
        self, judged: Judged, made: Evaluation, figures: Figures, hashes: dict[str, str]
    ) -> Sequence[JudgedClaim]:
        ground = ground_of(judged, made)
        claims = judge_claims(read_claims(), ground)
        names = ["patients_train", "unet_whole", "out_of_fold", "unet_patch", "unet_patch_without_shuffling"]
        names = [] if self.given.whole is not None else names
        names += ["patients_validation", "predictions_validation", "calibration", "patients_test", "predictions_test"]
        records = [record for name in names if (record := Ledger(self.out).record(name)) is not None]
        ablation, notes = ablation_table(made.tables, ground), tuple(self._notes(judged))
        page = render(
            PageParts(
                self.settings.title,
                made.tables,
                claims,
                ablation,
                beyond_sections(ground, virtual=True),
                figures,
                hashes,
                records,
                self.settings.model_dump(mode="json"),
                notes,
            )
        )
        _write(self.out / PAGE, page)
        _write(self.out / SUMMARY, claims_markdown(self.settings.title, claims, ablation, notes))
        _write(self.out / CLAIMS, "[" + ",\n".join(c.model_dump_json(indent=1) for c in claims) + "]\n")
        return claims

    def _notes(self, judged: Judged) -> list[str]:
        notes: list[str] = []
        low, high = self.settings.cascade.low_factor, self.settings.cascade.high_factor
        if (low, high) != (1.0, 4.0):
            notes.append(
                f"Base is f = {low:g} and High f = {high:g} of what the network says: where a claim speaks of f = 1 "
                "and 4, it is held against these."
            )
        for setting, names in judged.refused.items():
            if names:
                notes.append(
                    f"{len(names)} of {len(judged.cases)} patients were refused in {setting.value} (for most, no liver "
                    "was found); they count as patients in whom every model finds nothing."
                )
        if self.given.twin is not None:
            notes.append(
                "Base+ReCls w/ LS and w/o LS are by two UNet^patch of their own, trained alike but for the shuffling: "
                "what is said of shuffling compares these two."
            )
        if self.given.whole is not None:
            notes.append("The networks were given, not trained here: what they were trained on stands in their cards.")
        phases = ", ".join(phase.value for phase in PHASES)
        notes.append(
            f"One UNet^whole and one UNet^patch serve both settings ({phases}; NC alone); the paper trains apart."
        )
        return notes

    def _step(self, name: str, inputs: dict[str, Any], outputs: Sequence[Path], work: Callable[[], None]) -> StepRecord:
        words = name.replace("_", " ")
        ledger = Ledger(self.out)
        if ledger.finished(name, inputs) is None:
            self.say(f"{words} ...")
        record, now = ledger.run(name, inputs, outputs, work)
        self.say(f"{words}: {f'done in {record.seconds:.0f} s' if now else 'finished before'}")
        return record


def ground_of(judged: Judged, made: Evaluation) -> Ground:
    """What the claims are held against, with the resamples of the tables."""
    settings = EvaluationSettings.model_validate(made.tables.settings)
    draws = Resampling.draw(len(judged.cases), settings.bootstrap, np.random.default_rng(settings.seed))
    curves = {s.value: [case.curves[s.value] for case in judged.cases] for s in Setting}
    answers = {a.name.key: a for a in made.answers}
    for setting in Setting:
        # Without a twin the UNet^patch of the cascade is the one that lesion shuffling is judged by.
        answers.setdefault(key_of(setting, WITH_LS), answers[key_of(setting, Variant.BASE_RECLS.value)])
    return Ground(answers, curves, settings, draws)


def read_judged(path: Path) -> tuple[JudgedClaim, ...]:
    """The claims of a finished run."""
    return TypeAdapter(tuple[JudgedClaim, ...]).validate_json(path.read_bytes())


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
