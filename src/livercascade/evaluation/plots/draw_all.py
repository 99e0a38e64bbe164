"""All figures of an evaluation: those drawn, and for every other one the reason."""

from __future__ import annotations

from collections.abc import Iterable
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
from livercascade.evaluation.output.figure_files import DrawnFigure, Figures
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
    sources = evaluation.cohort.predictions
    drawing = _Drawing(evaluation, next((s for s in sources if s.evidence), sources[0]), networks)
    steps = [drawing.plots]
    if drawing.source.evidence:
        steps += [drawing.sensitivity, drawing.patches, drawing.removed, drawing.relabelled]
    else:
        case_folders = any(s.case_folders for s in sources)
        reason = _NO_EVIDENCE if case_folders else "the found side is plain label maps"
        drawing.leave_out([name for name in _TITLES if name != "figure_10_patients"], reason)
    advance = counter(progress, "drawing figures", len(steps))
    for step in steps:
        step()
        advance()
    order = list(_TITLES)
    # Names of drawn figures may end in that of a source or a model.
    drawn = sorted(drawing.drawn, key=lambda p: next(k for k, name in enumerate(order) if p.name.startswith(name)))
    return Figures(tuple(drawn), {name: drawing.missing[name] for name in order if name in drawing.missing})


@dataclass(slots=True)
class _Drawing:
    """Figures of an evaluation while they are drawn.

    Attributes:
        evaluation: The evaluation.
        source: Source whose cases the figures with images show.
        networks: Networks of the evidence, if they were given.
        drawn: Figures drawn so far.
        missing: Heading and reason of those left out so far.
    """

    evaluation: Evaluation
    source: PredictionSource
    networks: Networks | None
    drawn: list[DrawnFigure] = field(default_factory=list[DrawnFigure])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    _loaded: dict[int, LoadedCase] = field(default_factory=dict[int, LoadedCase])

    @property
    def virtual(self) -> bool:
        """True if the patients are virtual."""
        return self.evaluation.cohort.virtual

    def leave_out(self, names: Iterable[str], reason: str) -> None:
        """Note why figures are not there; the first reason stands."""
        for name in names:
            self.missing.setdefault(name, f"{_TITLES[name]}. Not drawn, because {reason}.")

    def plots(self) -> None:
        """Everything that needs no images."""
        self._patients()
        curves = self.evaluation.curves
        if not curves:
            return
        self.drawn.append(sensitivity_sweep(curves, virtual=self.virtual))
        self._add(reliability_plot(self.evaluation), "reliability", "no model tells calibrated probabilities")
        for name, of_source in curves.items():
            self._plots_of(of_source, f"_{_stem(name)}" if len(curves) > 1 else "")

    def _plots_of(self, curves: CohortCurves, suffix: str) -> None:
        virtual = self.virtual
        self.drawn.append(free_response(curves, virtual=virtual, suffix=suffix))
        self.drawn.append(equal_misses(curves, virtual=virtual, suffix=suffix))
        reason = "the proposals judged are not both true and false"
        self._add(score_roc_plot(curves, virtual=virtual, suffix=suffix), "score_roc", reason)
        for plot in (volume_plot, transition_plot, agreement_plot):
            self.drawn.append(plot(curves, virtual=virtual, suffix=suffix))
        self._add(calibration_plot(curves, virtual=virtual, suffix=suffix), "calibration", "there is no proposal")

    def _patients(self) -> None:
        """Fig. 10 of every joint model; without one, of the last model."""
        counts = self.evaluation.counts
        joint = [c for c in counts if not c.decided.all() or c.model.title == JOINT]
        for made in joint or list(counts[-1:]):
            table = PatientMetrics(made.patients.sum(axis=0)).distribution
            suffix = f"_{_stem(str(made.model))}" if len(joint) > 1 else ""
            self.drawn.append(patient_distribution(table, str(made.model), virtual=self.virtual, suffix=suffix))

    def _add(self, made: DrawnFigure | None, name: str, reason: str) -> None:
        """Take a plot in, or note why it is not there."""
        if made is None:
            self.leave_out([name], reason)
        else:
            self.drawn.append(made)

    def sensitivity(self) -> None:
        """Fig. 3 and 7."""
        names = ["figure_03_sensitivity", "figure_07_case"]
        change = largest_change(self.evaluation.cases, self._key(Variant.BASE), self._key(Variant.HIGH))
        if change is None:
            self.leave_out(names, "there is no proposal in any case")
            return
        case, why = change
        loaded = self._load(case, names)
        if loaded is not None:
            self.drawn.append(sensitivity_figure(loaded, why, virtual=self.virtual))
            self.drawn.append(case_figure(loaded, why, virtual=self.virtual, crop=self._crop(case)))

    def patches(self) -> None:
        """Fig. 4, 5, 8, 9, 12."""
        names = [name for name in _WITH_IMAGES if name[7:9] in ("04", "05", "08", "09", "12")]
        pick = patch_example(self.evaluation.cases, self._key(Variant.HIGH))
        if pick is None:
            self.leave_out(names, "no proposal of a true lesion was reclassified")
            return
        made = self._patches(pick, names)
        if made is None:
            return
        found = self._probabilities(made, all_patches=True)
        virtual = self.virtual
        self.drawn.append(shuffle_figure(made, virtual=virtual))
        self.drawn.append(process_figure(made, found, virtual=virtual))
        self.drawn.append(patch_figure(made, virtual=virtual))
        if found is None or self.networks is None:
            self.leave_out(["figure_09_patch_mask", "figure_12_probability_maps"], self._why_no_networks(made))
            return
        self.drawn.append(patch_mask_figure(made, found[0], virtual=virtual))
        self.drawn.append(probability_figure(made, self.networks, found[0], virtual=virtual))

    def removed(self) -> None:
        """Fig. 13."""
        names = ["figure_13_removed"]
        picks = removed_examples(self.evaluation.cases, self._key(Variant.HIGH))
        if not picks:
            self.leave_out(names, "reclassification removed no false positive")
            return
        shown = [(loaded, self._number(loaded, p.lesion)) for p in picks if (loaded := self._load(p.case, names))]
        if len(shown) == len(picks):
            outcomes = [
                (loaded, loaded.evidence.reclassified(loaded.evidence.high_factor).candidates[n]) for loaded, n in shown
            ]
            self.drawn.append(removed_figure(outcomes, virtual=self.virtual))

    def relabelled(self) -> None:
        """Fig. 14 and 15."""
        names = ["figure_14_relabelled", "figure_15_relabelled_masks"]
        pick = relabelled_example(self.evaluation.cases, self._key(Variant.HIGH))
        if pick is None:
            self.leave_out(names, "the vote of UNet^patch corrects no type in this cohort")
            return
        made = self._patches(pick, names)
        if made is None:
            return
        found = self._probabilities(made, all_patches=False)
        true_type = min(pick.true_types, key=lambda t: t.priority)
        virtual = self.virtual
        self.drawn.append(relabelled_phases_figure(made.loaded, made.outcome, true_type, virtual=virtual))
        in_force = made.loaded.evidence.settings.relabel
        first = None if found is None else found[0]
        self.drawn.append(relabelled_mask_figure(made, first, in_force=in_force, virtual=virtual))

    def _key(self, variant: Variant) -> EvaluatedModel:
        return self.source.models[variant]

    def _load(self, case: int, names: list[str]) -> LoadedCase | None:
        if case not in self._loaded:
            try:
                self._loaded[case] = load_case(self.evaluation.cases[case], self.source.name)
            except CascadeError as error:
                self.leave_out(names, unreadable(error))
                return None
        return self._loaded[case]

    def _number(self, loaded: LoadedCase, lesion: LesionSummary) -> int:
        return loaded.proposal(loaded.evidence.high_factor, lesion)[0]

    def _patches(self, pick: ProposalExample, names: list[str]) -> ProposalPatches | None:
        loaded = self._load(pick.case, names)
        if loaded is None:
            return None
        made = patches_of(loaded, self._number(loaded, pick.lesion), self._fitting(loaded))
        tally = made.outcome.tally
        if tally is None or [int(p.lesion.sum()) for p in made.patches] != tally.sizes.tolist():
            self.leave_out(names, f"the images beside the truth of {loaded.case_id} are not those analysed")
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
        """Voxels of the patch of Fig. 8, if it is of this case."""
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
