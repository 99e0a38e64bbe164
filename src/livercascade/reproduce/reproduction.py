"""From seeds to the page, step by step; what is finished is not done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from livercascade import __version__
from livercascade.cascade.settings import TypesFrom
from livercascade.data.labels import PHASES
from livercascade.diagnose.calibration import CALIBRATION, Calibration
from livercascade.evaluation.plots.draw_all import build_figures
from livercascade.evaluation.plots.loaded_case import Networks
from livercascade.models.bundled import bundled
from livercascade.reproduce.claim_metrics import judge_claims
from livercascade.reproduce.claim_results import ClaimResult, claims_json, read_claim_results
from livercascade.reproduce.claims import read_claims
from livercascade.reproduce.experiment import ExperimentSettings
from livercascade.reproduce.network_training import (
    OUT_OF_FOLD,
    predict_out_of_fold,
    train_patch,
    train_whole,
    training_settings,
)
from livercascade.reproduce.patient_comparison import (
    cascade_sides,
    compare_patients,
    fit_calibration,
    summarise_patients,
)
from livercascade.reproduce.predictions import NetworkFolders, predict_patients, refused_patients
from livercascade.reproduce.reproduction_page import claims_markdown, page_html
from livercascade.reproduce.reproduction_tables import ablation_table
from livercascade.reproduce.step_cache import StepInputs, StepRecord, do_step, finished_step, inputs_sha256, read_step
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.system.files import write_file
from livercascade.system.progress import Progress, counter
from livercascade.train.run_folder import RunFolder
from livercascade.virtual.fixed_cohorts import CohortPart
from livercascade.virtual.patient_folders import case_name, make_cohort

PAGE, CLAIMS, SUMMARY, EVALUATION = "reproduce.html", "claims.json", "claims.md", "evaluation"
_TRAINING_STEPS = ("patients_train", "unet_whole", "out_of_fold", "unet_patch", "unet_patch_without_shuffling")
_OTHER_STEPS = (
    *("patients_validation", "predictions_validation", "calibration"),
    *("patients_test", "predictions_test"),
)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One run.

    Attributes:
        settings: Settings of the experiment.
        out: Folder of the run; the same one goes on.
        given: Networks that are judged instead of trained ones, see `given_networks`; None trains them.
        workers: Number of processes.
        progress: Told how far each step has come.
        say: Function that takes a line for people at each step.
        quiet: True keeps the trainings silent.
    """

    settings: ExperimentSettings
    out: Path
    given: NetworkFolders | None
    workers: int
    progress: Progress
    say: Callable[[str], None]
    quiet: bool = False

    def run(self) -> tuple[ClaimResult, ...]:
        """Do every step that is not finished, and write the page; the claims as judged.

        Raises:
            CascadeError: A training failed or was stopped, or a folder cannot be written.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        networks = self._networks()
        hashes = networks.hashes()
        # Before the test patients are predicted: their results tell the probabilities that were fitted.
        calibration = self._calibration(networks, hashes)
        predicted = self._predict(CohortPart.TEST, networks, calibration)
        return self._evaluate(networks, hashes, predicted)

    def _networks(self) -> NetworkFolders:
        # What tells types from enhancement is not trained here.
        types = bundled("types") if self.settings.cascade.classify.types_from is TypesFrom.ENHANCEMENT else None
        if self.given is not None:
            self.say("networks: given")
            return replace(self.given, types=types)
        patients = self._patients(CohortPart.TRAIN)
        cohort = {"patients": self._cohort(CohortPart.TRAIN), "version": __version__}
        whole, inputs = self._train_whole(patients, cohort)
        # The hard cases change with whatever changes UNet^whole.
        hard = {**cohort, "hard": inputs_sha256(inputs)}
        patch, without = (
            self._train_patch(name, patients, whole / OUT_OF_FOLD, hard, shuffling=shuffling)
            for name, shuffling in (("unet_patch", True), ("unet_patch_without_shuffling", False))
        )
        return NetworkFolders(whole / "model", patch, without, types=types)

    def _train_whole(self, patients: Path, cohort: Mapping[str, Any]) -> tuple[Path, StepInputs]:
        """Run folder of UNet^whole with its out-of-fold predictions, and what both depend on."""
        plan = self.settings.training
        inputs = {**cohort, "settings": training_settings(plan, ModelKind.WHOLE), "folds": list(plan.folds)}
        run = self._training_folder("whole", inputs)
        models = [run / "model" / f"fold_{fold}" for fold in plan.folds]
        self._step("unet_whole", inputs, models, partial(train_whole, patients, run, plan, quiet=self.quiet))
        predict = partial(predict_out_of_fold, run, workers=self.workers, quiet=self.quiet)
        self._step("out_of_fold", inputs, [run / OUT_OF_FOLD], predict)
        return run, inputs

    def _train_patch(self, name: str, patients: Path, hard: Path, given: Mapping[str, Any], *, shuffling: bool) -> Path:
        """Model folder of UNet^patch."""
        plan = self.settings.training
        inputs = {**given, "settings": training_settings(plan, ModelKind.PATCH, shuffling=shuffling)}
        run = self._training_folder(name.removeprefix("unet_"), inputs)
        train = partial(train_patch, patients, run, plan, hard, shuffling=shuffling, quiet=self.quiet)
        self._step(name, inputs, [RunFolder(run).model], train)
        return RunFolder(run).model

    def _training_folder(self, name: str, inputs: StepInputs) -> Path:
        """Folder of a training; other inputs give another, so that no run goes on with what it did not begin with."""
        return self.out / "train" / f"{name}-{inputs_sha256(inputs)[:8]}"

    def _patients(self, part: CohortPart) -> Path:
        """Folder of the patients of a group."""
        group, folder = self.settings.groups[part], self.out / "patients" / part.value

        def make() -> None:
            advance = counter(self.progress, f"virtual patients ({part.value})", group.cases)
            for _ in make_cohort(group.seeds, self.settings.virtual(part), folder, workers=self.workers):
                advance()

        inputs = {"patients": self._cohort(part), "version": __version__}
        self._step(f"patients_{part.value}", inputs, self._cases(part), make)
        return folder

    def _cases(self, part: CohortPart) -> list[Path]:
        """Folder of each patient of a group."""
        return [self.out / "patients" / part.value / case_name(seed) for seed in self.settings.groups[part].seeds]

    def _predictions(self, part: CohortPart) -> Path:
        return self.out / "predictions" / part.value

    def _cohort(self, part: CohortPart) -> dict[str, Any]:
        group = self.settings.groups[part]
        settings = self.settings.virtual(part).model_dump(mode="json")
        return {**settings, "seed": group.seed, "cases": group.cases}

    def _calibration(self, networks: NetworkFolders, hashes: Mapping[str, str]) -> Calibration:
        """Fitted to the validation patients, kept in the run's folder and beside a UNet^patch that was trained here."""
        # Lesion shuffling is judged on the test patients alone.
        own = replace(networks, without=None, twin=None)
        predicted = self._predict(CohortPart.VALIDATION, own, None)
        settings = self.settings.evaluation
        inputs = {"predictions": inputs_sha256(predicted), "settings": settings.sha256, "alpha": self.settings.alpha}
        # A UNet^patch that was given belongs to somebody else: nothing is written into its folder.
        kept = [self.out / CALIBRATION]
        if self.given is None:
            kept.append(networks.patch / CALIBRATION)

        def fit() -> None:
            judged = compare_patients(
                self._cases(CohortPart.VALIDATION),
                self._predictions(CohortPart.VALIDATION),
                tuple(own.patches),
                self.settings,
                workers=self.workers,
                progress=self.progress,
            )
            calibration = fit_calibration(judged, hashes, self.settings)
            for path in kept:
                write_file(path, calibration.to_json())

        self._step("calibration", inputs, kept, fit)
        return Calibration.model_validate_json(kept[0].read_bytes())

    def _predict(self, part: CohortPart, networks: NetworkFolders, calibration: Calibration | None) -> StepInputs:
        """Predict a group; what its predictions depend on."""
        self._patients(part)
        inputs = {
            "patients": self._cohort(part),
            "models": networks.hashes(),
            "calibration": None if calibration is None else calibration.sha256,
            "settings": self.settings.cascade.sha256,
            "version": __version__,
        }
        predict = partial(
            predict_patients,
            self._cases(part),
            self._predictions(part),
            networks,
            self.settings.cascade,
            calibration=calibration,
            workers=self.workers,
            progress=self.progress,
        )
        self._step(f"predictions_{part.value}", inputs, [self._predictions(part)], predict)
        return inputs

    def _evaluate(
        self, networks: NetworkFolders, hashes: Mapping[str, str], predicted: StepInputs
    ) -> tuple[ClaimResult, ...]:
        settings = self.settings.evaluation
        inputs = {"predictions": inputs_sha256(predicted), "settings": settings.sha256, "version": __version__}
        outputs = [self.out / name for name in (EVALUATION, PAGE, CLAIMS, SUMMARY)]
        self._step("evaluation", inputs, outputs, partial(self._write_results, networks, hashes))
        return read_claim_results(self.out / CLAIMS)

    def _write_results(self, networks: NetworkFolders, hashes: Mapping[str, str]) -> None:
        cases, group = self._cases(CohortPart.TEST), self._predictions(CohortPart.TEST)
        patches = networks.patches
        judged = compare_patients(
            cases, group, tuple(patches), self.settings, workers=self.workers, progress=self.progress
        )
        sides = cascade_sides(group, [case.name for case in cases])
        evaluation, results = summarise_patients(judged, sides, patches, self.settings.evaluation)
        loaded = Networks(Model.load(networks.whole, ModelKind.WHOLE), Model.load(networks.patch, ModelKind.PATCH))
        figures = build_figures(evaluation, networks=loaded, progress=self.progress)
        evaluation.save(self.out / EVALUATION, figures)
        claims, notes = judge_claims(read_claims(), results), tuple(self._notes())
        page = page_html(
            self.settings,
            evaluation.tables,
            results,
            claims,
            figures=figures,
            networks=hashes,
            steps=self._records(),
            notes=notes,
        )
        summary = claims_markdown(self.settings.title, claims, ablation_table(evaluation.tables, results), notes)
        write_file(self.out / PAGE, page)
        write_file(self.out / SUMMARY, summary)
        write_file(self.out / CLAIMS, claims_json(claims))

    def _records(self) -> list[StepRecord]:
        names = (*(_TRAINING_STEPS if self.given is None else ()), *_OTHER_STEPS)
        return [record for name in names if (record := read_step(self.out, name)) is not None]

    def _notes(self) -> Iterator[str]:
        """What a reader of the page has to know."""
        low, high = self.settings.cascade.detect.low_factor, self.settings.cascade.detect.high_factor
        if (low, high) != (1.0, 4.0):
            yield (
                f"Base is f = {low:g} and High f = {high:g} of what the network says: where a claim speaks of f = 1 "
                "and 4, it is held against these."
            )
        cases = [case.name for case in self._cases(CohortPart.TEST)]
        for setting, refused in refused_patients(self._predictions(CohortPart.TEST), cases).items():
            if refused:
                yield (
                    f"{len(refused)} of {len(cases)} patients were refused in {setting.value} (for most, no liver "
                    "was found); they count as patients in whom every model finds nothing."
                )
        if self.given is not None and self.given.twin is not None:
            yield (
                "Base+ReCls w/ LS and w/o LS are by two UNet^patch of their own, trained alike but for the shuffling: "
                "what is said of shuffling compares these two."
            )
        if self.given is not None:
            yield "The networks were given, not trained here: what they were trained on stands in their cards."
        phases = ", ".join(phase.value for phase in PHASES)
        yield f"One UNet^whole and one UNet^patch serve both settings ({phases}; NC alone); the paper trains apart."

    def _step(self, name: str, inputs: StepInputs, outputs: Sequence[Path], work: Callable[[], None]) -> None:
        words = name.replace("_", " ")
        if finished_step(self.out, name, inputs) is not None:
            self.say(f"{words}: finished before")
            return
        self.say(f"{words} ...")
        record = do_step(self.out, name, inputs, outputs, work)
        self.say(f"{words}: done in {record.seconds:.0f} s")
