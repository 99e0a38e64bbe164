"""All figures of an evaluation: those drawn, and for every other one the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from livercascade.data.errors import CascadeError
from livercascade.evaluation.cohort.cohort_files import PredictionSource
from livercascade.evaluation.cohort.evaluated_models import JOINT, EvaluatedModel, Variant
from livercascade.evaluation.curves.all_curves import CohortCurves
from livercascade.evaluation.evaluation import Evaluation
from livercascade.evaluation.matching.matched_lesions import LesionSummary
from livercascade.evaluation.metrics.patient_metrics import PatientMetrics
from livercascade.evaluation.output.figure_files import DrawnFigure, Figures, NotDrawn
from livercascade.evaluation.plots.choose_examples import (
    ProposalExample,
    largest_change,
    patch_example,
    relabelled_example,
    removed_examples,
)
from livercascade.evaluation.plots.count_plots import agreement_plot, patient_distribution, transition_plot
from livercascade.evaluation.plots.curve_plots import equal_misses, free_response, sensitivity_sweep
from livercascade.evaluation.plots.loaded_case import (
    LoadedCase,
    Networks,
    ProposalPatches,
    load_case,
    patch_probabilities,
    patches_of,
    unreadable,
)
from livercascade.evaluation.plots.patch_figures import patch_figure, patch_mask_figure, process_figure, shuffle_figure
from livercascade.evaluation.plots.probability_figures import probability_figure
from livercascade.evaluation.plots.reliability_plot import reliability_plot
from livercascade.evaluation.plots.score_plots import calibration_plot, score_roc_plot, volume_plot
from livercascade.evaluation.plots.sensitivity_figures import case_figure, sensitivity_figure
from livercascade.evaluation.plots.verdict_figures import (
    relabelled_mask_figure,
    relabelled_phases_figure,
    removed_figure,
)
from livercascade.system.progress import Progress, counter

_NO_EVIDENCE = "no found side keeps evidence; run 'livercascade predict --evidence'"
_NO_NETWORKS = "it needs the output of the networks; give --whole and --patch, or use those of the evidence"
_OTHER_NETWORKS = "the networks given are not those of the evidence"
_TITLES = {
    "figure_03_sensitivity": "Fig. 3: lesion probability and masks of varied sensitivity",
    "figure_04_shuffle": "Fig. 4: the four shuffling schemes",
    "figure_05_reclassification": "Fig. 5: reclassification of one proposal",
    "figure_07_case": "Fig. 7: masks of different lesion sensitivities",
    "figure_08_patch": "Fig. 8: a patch",
    "figure_09_patch_mask": "Fig. 9: reclassified mask of the patch",
    "figure_10_patients": "Fig. 10: patients by verdict and truth",
    "figure_11_sensitivity_sweep": "Fig. 11: misses and false positives over the sensitivity factor",
    "figure_12_probability_maps": "Fig. 12: type probabilities of both networks",
    "figure_13_removed": "Fig. 13: false positives that reclassification removed",
    "figure_14_relabelled": "Fig. 14: a false label",
    "figure_15_relabelled_masks": "Fig. 15: truth, initial and reclassified type",
    "froc": "FROC of High's proposals",
    "equal_misses": "False positives at equal misses",
    "score_roc": "The reclassification score as a classifier of proposals",
    "volume_strata": "Recall by lesion volume under the three scores",
    "transition": "What the vote of UNet^patch does to types",
    "same_and_diff": "Eq. 7: same and diff",
    "calibration": "Calibration of the confidence",
    "reliability": "Reliability of the calibrated probabilities",
}
_WITH_IMAGES = tuple(name for name in _TITLES if name.startswith("figure_") and name[7:9] not in ("10", "11"))


def build_figures(
    evaluation: Evaluation, *, networks: Networks | None = None, progress: Progress | None = None
) -> Figures:
    """Draw every figure that the evaluation has the data for.

    Plots rest on the curves and counts. Figures with images show cases chosen by the rules of `choose_examples`, of the
    first source that keeps evidence; only these cases are read, their images from the folder of the reference.

    Args:
        evaluation: Evaluation to draw.
        networks: Networks of the evidence, for Fig. 9, 12 and the masks of Fig. 5 and 15.
        progress: Called after each step.
    """
    draft = _Draft(evaluation.cohort.virtual)
    steps: list[Callable[[], None]] = [lambda: _plots(evaluation, draft)]
    sources = evaluation.cohort.predictions
    source = next((s for s in sources if s.evidence), None)
    if source is None:
        case_folders = any(s.case_folders for s in sources)
        reason = _NO_EVIDENCE if case_folders else "the found side is plain label maps"
        draft.leave_out([name for name in _TITLES if name != "figure_10_patients"], reason)
    else:
        scenes = _Scenes(evaluation, source, networks, draft)
        steps += [scenes.sensitivity, scenes.patches, scenes.removed, scenes.relabelled]
    advance = counter(progress, "drawing figures", len(steps))
    for step in steps:
        step()
        advance()
    order = list(_TITLES)
    drawn = sorted(draft.drawn, key=lambda p: next(k for k, name in enumerate(order) if p.name.startswith(name)))
    return Figures(tuple(drawn), tuple(sorted(draft.missing, key=lambda m: order.index(m.name))))


@dataclass(slots=True)
class _Draft:
    """What was drawn and left out so far."""

    virtual: bool
    drawn: list[DrawnFigure] = field(default_factory=list[DrawnFigure])
    missing: list[NotDrawn] = field(default_factory=list[NotDrawn])

    def add(self, made: DrawnFigure | None, name: str, reason: str) -> None:
        """Take a picture in, or note why it is not there."""
        if made is None:
            self.leave_out([name], reason)
        else:
            self.drawn.append(made)

    def leave_out(self, names: list[str], reason: str) -> None:
        """Note why figures are not there."""
        self.missing += [NotDrawn(name, _TITLES[name], f"Not drawn, because {reason}.") for name in names]


def _plots(evaluation: Evaluation, draft: _Draft) -> None:
    _patients(evaluation, draft)
    if not evaluation.curves:
        return
    draft.drawn.append(sensitivity_sweep(evaluation.curves, virtual=draft.virtual))
    draft.add(reliability_plot(evaluation), "reliability", "no model tells calibrated probabilities")
    for name, curves in evaluation.curves.items():
        _plots_of(curves, f"_{_stem(name)}" if len(evaluation.curves) > 1 else "", draft)


def _plots_of(curves: CohortCurves, suffix: str, draft: _Draft) -> None:
    virtual = draft.virtual
    draft.drawn.append(free_response(curves, virtual=virtual, suffix=suffix))
    draft.drawn.append(equal_misses(curves, virtual=virtual, suffix=suffix))
    reason = "the proposals judged are not both true and false"
    draft.add(score_roc_plot(curves, virtual=virtual, suffix=suffix), "score_roc", reason)
    draft.drawn.append(volume_plot(curves, virtual=virtual, suffix=suffix))
    draft.drawn.append(transition_plot(curves, virtual=virtual, suffix=suffix))
    draft.drawn.append(agreement_plot(curves, virtual=virtual, suffix=suffix))
    draft.add(calibration_plot(curves, virtual=virtual, suffix=suffix), "calibration", "there is no proposal")


def _patients(evaluation: Evaluation, draft: _Draft) -> None:
    """Fig. 10 of every joint model; without one, of the last model."""
    joint = [c for c in evaluation.counts if not c.decided.all() or c.model.title == JOINT]
    for counts in joint or list(evaluation.counts[-1:]):
        table = PatientMetrics(counts.patients.sum(axis=0)).distribution
        suffix = f"_{_stem(str(counts.model))}" if len(joint) > 1 else ""
        draft.drawn.append(patient_distribution(table, str(counts.model), virtual=draft.virtual, suffix=suffix))


@dataclass(slots=True)
class _Scenes:
    """Figures with images."""

    evaluation: Evaluation
    source: PredictionSource
    networks: Networks | None
    draft: _Draft
    _loaded: dict[int, LoadedCase] = field(default_factory=dict[int, LoadedCase])

    def sensitivity(self) -> None:
        """Fig. 3 and 7."""
        names = ["figure_03_sensitivity", "figure_07_case"]
        change = largest_change(self.evaluation.cases, self._key(Variant.BASE), self._key(Variant.HIGH))
        if change is None:
            self.draft.leave_out(names, "there is no proposal in any case")
            return
        loaded = self._load(change.case, names)
        if loaded is not None:
            self.draft.drawn.append(sensitivity_figure(loaded, change, virtual=self.draft.virtual))
            self.draft.drawn.append(
                case_figure(loaded, change, virtual=self.draft.virtual, crop=self._crop(change.case))
            )

    def patches(self) -> None:
        """Fig. 4, 5, 8, 9, 12."""
        names = [name for name in _WITH_IMAGES if name[7:9] in ("04", "05", "08", "09", "12")]
        pick = patch_example(self.evaluation.cases, self._key(Variant.HIGH))
        if pick is None:
            self.draft.leave_out(names, "no proposal of a true lesion was reclassified")
            return
        made = self._patches(pick, names)
        if made is None:
            return
        found = self._probabilities(made, all_patches=True)
        virtual = self.draft.virtual
        self.draft.drawn.append(shuffle_figure(made, virtual=virtual))
        self.draft.drawn.append(process_figure(made, found, virtual=virtual))
        self.draft.drawn.append(patch_figure(made, virtual=virtual))
        if found is None or self.networks is None:
            self.draft.leave_out(["figure_09_patch_mask", "figure_12_probability_maps"], self._why_no_networks(made))
            return
        self.draft.drawn.append(patch_mask_figure(made, found[0], virtual=virtual))
        self.draft.drawn.append(probability_figure(made, self.networks, found[0], virtual=virtual))

    def removed(self) -> None:
        """Fig. 13."""
        names = ["figure_13_removed"]
        picks = removed_examples(self.evaluation.cases, self._key(Variant.HIGH))
        if not picks:
            self.draft.leave_out(names, "reclassification removed no false positive")
            return
        shown = [(loaded, self._number(loaded, p.lesion)) for p in picks if (loaded := self._load(p.case, names))]
        if len(shown) == len(picks):
            outcomes = [
                (loaded, loaded.evidence.reclassified(loaded.evidence.high_factor).candidates[n]) for loaded, n in shown
            ]
            self.draft.drawn.append(removed_figure(outcomes, virtual=self.draft.virtual))

    def relabelled(self) -> None:
        """Fig. 14 and 15."""
        names = ["figure_14_relabelled", "figure_15_relabelled_masks"]
        pick = relabelled_example(self.evaluation.cases, self._key(Variant.HIGH))
        if pick is None:
            self.draft.leave_out(names, "the vote of UNet^patch corrects no type in this cohort")
            return
        made = self._patches(pick, names)
        if made is None:
            return
        found = self._probabilities(made, all_patches=False)
        true_type = min(pick.true_types, key=lambda t: t.priority)
        virtual = self.draft.virtual
        self.draft.drawn.append(relabelled_phases_figure(made.loaded, made.outcome, true_type, virtual=virtual))
        in_force = made.loaded.evidence.settings.relabel
        first = None if found is None else found[0]
        self.draft.drawn.append(relabelled_mask_figure(made, first, in_force=in_force, virtual=virtual))

    def _key(self, variant: Variant) -> EvaluatedModel:
        return self.source.models[variant]

    def _load(self, case: int, names: list[str]) -> LoadedCase | None:
        if case not in self._loaded:
            try:
                self._loaded[case] = load_case(self.evaluation.cases[case], self.source.name)
            except CascadeError as error:
                self.draft.leave_out([n for n in names if not self._noted(n)], unreadable(error))
                return None
        return self._loaded[case]

    def _noted(self, name: str) -> bool:
        return any(m.name == name for m in self.draft.missing)

    def _number(self, loaded: LoadedCase, lesion: LesionSummary) -> int:
        return loaded.proposal(loaded.evidence.high_factor, lesion)[0]

    def _patches(self, pick: ProposalExample, names: list[str]) -> ProposalPatches | None:
        loaded = self._load(pick.case, names)
        if loaded is None:
            return None
        made = patches_of(loaded, self._number(loaded, pick.lesion), self._fitting(loaded))
        tally = made.outcome.tally
        if tally is None or [int(p.lesion.sum()) for p in made.patches] != tally.sizes.tolist():
            self.draft.leave_out(names, f"the images beside the truth of {loaded.case_id} are not those analysed")
            return None
        return made

    def _fitting(self, loaded: LoadedCase) -> Networks | None:
        """The networks, if they are those of the evidence."""
        fits = self.networks is not None and self.networks.hashes == loaded.evidence.models
        return self.networks if fits else None

    def _why_no_networks(self, made: ProposalPatches) -> str:
        fits = self.networks is None or self._fitting(made.loaded) is not None
        return _NO_NETWORKS if fits else _OTHER_NETWORKS

    def _probabilities(self, made: ProposalPatches, *, all_patches: bool) -> Float[np.ndarray, "n 8 16 128 128"] | None:
        networks = self._fitting(made.loaded)
        if networks is None or made.inputs is None:
            return None
        inputs = made.inputs if all_patches else made.inputs[:1]
        return patch_probabilities(inputs, networks, made.loaded.scan.phases)

    def _crop(self, case: int) -> np.ndarray | None:
        """Where the patch of Fig. 8 lies, if it is of this case."""
        pick = patch_example(self.evaluation.cases, self._key(Variant.HIGH))
        if pick is None or pick.case != case:
            return None
        loaded = self._loaded[case]
        made = patches_of(loaded, self._number(loaded, pick.lesion), None)
        return _box_on(loaded, made)


def _box_on(loaded: LoadedCase, made: ProposalPatches) -> np.ndarray:
    """Voxels of the scan that lie in the first patch."""
    grid = made.grid(made.patches[0])
    ends = np.array([[0, 0, 0], np.array(grid.shape) - 1], dtype=np.float64)
    corners = np.sort(loaded.scan.grid.voxel(grid.world(ends)), axis=0)
    box = np.zeros(loaded.scan.grid.shape, dtype=np.bool_)
    z, y, x = (
        slice(max(0, round(a)), min(n, round(b) + 1)) for a, b, n in zip(corners[0], corners[1], box.shape, strict=True)
    )
    box[z, y, x] = True
    return box


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name).lower()
