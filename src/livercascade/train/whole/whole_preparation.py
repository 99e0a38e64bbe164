"""From a folder of cases to nnU-Net's preprocessed arrays: raw data set, fingerprint, plan, preprocessing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scipy import ndimage

from livercascade.data.coverage import LESION_CLASSES, surely
from livercascade.data.errors import UsageError
from livercascade.data.labels import LAST_LESION, NUM_CLASSES, PHASES, Organ, label_name
from livercascade.segment.model_card import ModelCard, ModelKind, PhaseNormalisation, ResamplingScheme
from livercascade.segment.network_folder import load_card
from livercascade.segment.nnunet_import import planned_resampling
from livercascade.system.files import write_file
from livercascade.system.parallel import as_finished
from livercascade.train.nnunet_network import plan_architecture, plan_entry, read_entry
from livercascade.train.phase_dropout import needed_phases
from livercascade.train.run_folder import CONFIGURATION, DATASET, PLANS, RunFolder
from livercascade.train.training_cases import TrainingCase, decode_labels, is_lps, lps
from livercascade.train.training_loop import TrainingReporter
from livercascade.train.training_request import TrainRequest
from livercascade.train.training_settings import WIDE_WINDOW, WholeSettings
from livercascade.train.whole.liver_intensities import liver_intensities

_LIVER_OR_VEINS = {int(Organ.LIVER), int(Organ.HEPATIC_VESSELS), int(Organ.PORTAL_SPLENIC_VEIN)}
_SAMPLES_PER_CLASS = 1000
"""Most voxels kept of a lesion or an organ; they only say where a sample may have its centre."""


def prepare_arrays(
    folder: RunFolder, cases: Sequence[TrainingCase], request: TrainRequest, reporter: TrainingReporter
) -> ModelCard:
    """Card of the network that nnU-Net's plan describes; raw data set, fingerprint, plan and arrays are made.

    What is already there is not made again.

    Raises:
        UsageError: The settings are of another training, the data were prepared for other ones
            (``PREPARED_OTHERWISE``), the loss cannot do with what the labels leave open (``LOSS_NEEDS_LABELS``), or the
            windows of a start are asked for without one (``NO_START``).
    """
    settings = request.settings
    if not isinstance(settings, WholeSettings):
        raise TypeError("settings of another training")
    if settings.normalise_by == "start" and request.start_from is None:
        raise UsageError("NO_START", 'normalise_by is "start", and no model is given.', "Give --start-from.")
    open_cases = [case.name for case in cases if case.coverage is not None]
    if settings.loss == "nnunet" and open_cases:
        raise UsageError(
            "LOSS_NEEDS_LABELS",
            f"The labels of {len(open_cases)} cases leave classes open ({open_cases[0]}); nnU-Net's loss needs all.",
            'Set loss = "grouped", or leave these cases out.',
        )
    _write_raw(folder, cases, wide=settings.wide_window)
    if not folder.nnunet_plans.is_file():
        reporter.stage("nnU-Net: fingerprint and plan")
        with output_to_log(folder):
            _fingerprint(folder, settings, request.start_from)
            build_planner(settings).plan_experiment()
    reporter.stage("nnU-Net: preprocessing")
    _preprocess(folder, cases, settings, reporter)
    card = planned_card(folder, settings)
    _check_plan(folder, card, settings)
    return card


def read_plans(folder: RunFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plans file of the prepared data, and its configuration that is trained."""
    plans = json.loads(folder.nnunet_plans.read_text())
    return plans, plans["configurations"][CONFIGURATION]


def planned_card(folder: RunFolder, settings: WholeSettings) -> ModelCard:
    """Card, without weights, of the network that the plans of a run describe."""
    plans, chosen = read_plans(folder)
    return ModelCard(
        name=settings.name,
        kind=ModelKind.WHOLE,
        version=settings.version,
        phases=PHASES,
        needs=needed_phases(settings.phases),
        classes=tuple(label_name(i) for i in range(NUM_CLASSES)),
        spacing_mm=tuple(chosen["spacing"]),
        patch_size=tuple(chosen["patch_size"]),
        normalisation=_normalisation(plans["foreground_intensity_properties_per_channel"]),
        wide_window=WIDE_WINDOW if settings.wide_window else None,
        architecture=read_entry(chosen["architecture"]),
        resampling=planned_resampling(chosen),
        class_priors=settings.class_priors,
    )


def _check_plan(folder: RunFolder, card: ModelCard, settings: WholeSettings) -> None:
    """Data of an earlier plan would train a network of other settings than the run notes."""
    remedy = "Give a new --out, or the settings it was started with."
    home = folder.nnunet
    if card.resampling is not settings.resampling:
        raise UsageError(
            "PREPARED_OTHERWISE",
            f"{home} was prepared with resampling {card.resampling.value!r}, not {settings.resampling.value!r}.",
            remedy,
        )
    wanted = (settings.spacing_mm, settings.patch_size, plan_architecture(settings))
    if settings.planner == "settings" and (card.spacing_mm, card.patch_size, card.architecture) != wanted:
        raise UsageError(
            "PREPARED_OTHERWISE",
            f"{home} was prepared for a patch of {card.patch_size} at {card.spacing_mm} mm.",
            remedy,
        )


@contextlib.contextmanager
def output_to_log(folder: RunFolder) -> Generator[None]:
    """Send what nnU-Net prints to a file of the run."""
    with folder.chatter.open("a") as stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield


def _normalisation(properties: dict[str, Any]) -> tuple[PhaseNormalisation, ...]:
    """Normalisation of each phase from nnU-Net's intensity fingerprint."""
    return tuple(
        PhaseNormalisation(
            lower=properties[str(i)]["percentile_00_5"],
            upper=properties[str(i)]["percentile_99_5"],
            mean=properties[str(i)]["mean"],
            std=max(properties[str(i)]["std"], 1e-6),
        )
        for i in range(len(PHASES))
    )


def build_planner(settings: WholeSettings) -> ExperimentPlanner:
    """Planner of nnU-Net for the data set of the run this process works for."""
    held = settings.planner == "settings"
    spacing: Any = settings.spacing_mm if held else None
    planner = SettingsPlanner(DATASET, plans_name=PLANS, overwrite_target_spacing=spacing, suppress_transpose=True)
    planner.settings = settings
    # One resolution is enough; looking for a second one takes minutes.
    planner.lowres_creation_threshold = 0
    return planner


class SettingsPlanner(ExperimentPlanner):
    """nnU-Net's planner, held to our spacing, patch size and network unless ``settings`` leave these to it.

    Its own resampling (splines) may be replaced by a linear one, which takes a fraction of the time.
    """

    settings: WholeSettings

    def determine_resampling(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any], Any, dict[str, Any]]:
        """Functions that resample images and labels, each with its arguments."""
        if self.settings.resampling is ResamplingScheme.SPLINE:
            return super().determine_resampling(*args, **kwargs)
        common = {"num_threads": self.settings.threads, "force_separate_z": False}
        function = resample_torch_fornnunet
        return function, {"is_seg": False, **common}, function, {"is_seg": True, **common}

    def get_plans_for_configuration(self, spacing: Any, median_shape: Any, *rest: Any, **named: Any) -> dict[str, Any]:
        """Plan of one configuration; empty for the two-dimensional one where the network is ours."""
        if self.settings.planner == "nnunet":
            return super().get_plans_for_configuration(spacing, median_shape, *rest, **named)
        if len(spacing) == 2:
            return {}
        # The wanted patch size in place of the image size makes the planner's own topology fit it.
        plan = super().get_plans_for_configuration(spacing, np.array(self.settings.patch_size), *rest, **named)
        return plan | {
            "median_image_size_in_voxels": median_shape,
            "patch_size": list(self.settings.patch_size),
            "batch_size": self.settings.batch_size,
            "architecture": plan_entry(plan_architecture(self.settings)),
        }


class LesionListingPreprocessor(DefaultPreprocessor):
    """nnU-Net's preprocessing that also lists voxels of every single lesion, for sampling."""

    def run_case_npy(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Image, labels and properties of a case."""
        data, seg, properties = super().run_case_npy(*args, **kwargs)
        # nnU-Net lists voxels by class, so that a small lesion drowns in a large one of its type.
        # What a case does not hold, all of it in a scan without a liver, is an empty list there.
        listed = {k: v for k, v in properties["class_locations"].items() if k > LAST_LESION and len(v)}
        organs = {k: v[:_SAMPLES_PER_CLASS] for k, v in listed.items()}
        properties["class_locations"] = organs | _open_liver_voxels(seg) | _lesion_voxels(seg)
        return data, seg, properties


def _open_liver_voxels(seg: np.ndarray) -> dict[int, np.ndarray]:
    """Voxels of a liver in which vessels were not drawn, listed as liver."""
    where = np.argwhere(surely(np.maximum(seg, 0), _LIVER_OR_VEINS) & (seg >= NUM_CLASSES))
    return {int(Organ.LIVER): where[:: max(1, len(where) // _SAMPLES_PER_CLASS)]} if len(where) else {}


def _lesion_voxels(seg: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Voxels (0, z, y, x) of each connected lesion, by (label of its first voxel, number)."""
    lesions = surely(np.maximum(seg[0], 0), LESION_CLASSES)
    parts, count = ndimage.label(lesions, structure=np.ones((3, 3, 3)))
    found: dict[tuple[int, int], np.ndarray] = {}
    for number in range(1, count + 1):
        voxels = np.argwhere(parts[None] == number)
        step = max(1, len(voxels) // _SAMPLES_PER_CLASS)
        found[int(seg[tuple(voxels[0])]), number] = voxels[::step]
    return found


def _write_raw(folder: RunFolder, cases: Sequence[TrainingCase], *, wide: bool) -> None:
    turned, windows = folder.nnunet_raw / "turned", 2 if wide else 1
    files = {
        case.name: {
            # In the second window every phase is one more channel of nnU-Net's, from the same file.
            "images": [str(_readable(path, turned / case.name)) for path in case.channels] * windows,
            "label": str(_readable(case.labels, turned / case.name, case)),
            "present": case.present.tolist(),
        }
        for case in cases
    }
    content = {
        # By the name CT nnU-Net clips and scales by the fingerprint.
        "channel_names": {str(i): "CT" for i in range(windows * len(PHASES))},
        "labels": {label_name(i): i for i in range(NUM_CLASSES)},
        "numTraining": len(files),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": files,
    }
    write_file(folder.nnunet_raw / "dataset.json", json.dumps(content, indent=1))


def _readable(path: Path, turned: Path, labels_of: TrainingCase | None = None) -> Path:
    """The file itself, or a copy turned to LPS (nnU-Net takes axes as they lie) or with our label values."""
    translated = labels_of is not None and (labels_of.values is not None or labels_of.coverage is not None)
    if is_lps(path) and not translated:
        return path
    copy = turned / path.name
    if not copy.is_file():
        turned.mkdir(parents=True, exist_ok=True)
        image: Any = lps(nib.load(path))
        if labels_of is not None:
            image = nib.Nifti1Image(decode_labels(np.asanyarray(image.dataobj), labels_of), image.affine)
        nib.save(image, copy)
    return copy


def _fingerprint(folder: RunFolder, settings: WholeSettings, start: Path | None) -> None:
    extractor = DatasetFingerprintExtractor(DATASET, settings.processes)
    # A tenth of nnU-Net's 10e7 voxels: they are sorted, and still come to hundreds of thousands a case.
    extractor.num_foreground_voxels_for_intensitystats = 10**7
    names = sorted(extractor.dataset)
    step = max(1, len(names) // settings.fingerprint_cases)
    extractor.dataset = {name: extractor.dataset[name] for name in names[::step]}
    extractor.run(overwrite_existing=True)
    fingerprint = json.loads(folder.nnunet_fingerprint.read_text())
    intensities = "foreground_intensity_properties_per_channel"
    # The plan takes them from here: of all labels, unless they are put in their place.
    if settings.normalise_by == "start" and start is not None:
        fingerprint[intensities] |= _properties(load_card(start).normalisation)
    elif settings.normalise_by != "labels":
        fingerprint[intensities] |= liver_intensities(extractor.dataset, settings.processes) or {}
    if settings.wide_window:
        fingerprint[intensities] |= _properties([WIDE_WINDOW] * len(PHASES), first=len(PHASES))
    write_file(folder.nnunet_fingerprint, json.dumps(fingerprint, indent=1))


def _properties(schemes: Sequence[PhaseNormalisation], *, first: int = 0) -> dict[str, dict[str, float]]:
    """Entries of nnU-Net's fingerprint that lead to these schemes, for the channels from ``first`` on."""
    return {
        str(channel): {
            "max": scheme.upper,
            "mean": scheme.mean,
            "median": scheme.mean,
            "min": scheme.lower,
            "percentile_00_5": scheme.lower,
            "percentile_99_5": scheme.upper,
            "std": scheme.std,
        }
        for channel, scheme in enumerate(schemes, start=first)
    }


def _preprocess(
    folder: RunFolder, cases: Sequence[TrainingCase], settings: WholeSettings, reporter: TrainingReporter
) -> None:
    folder.nnunet_arrays.mkdir(parents=True, exist_ok=True)
    waiting = [case.name for case in cases if not _done_file(folder, case.name).is_file()]
    jobs = [(folder, name) for name in waiting]
    for done, _ in enumerate(as_finished(_preprocess_case, jobs, workers=settings.processes), start=1):
        reporter.prepared(done, len(jobs))


def _preprocess_case(job: tuple[RunFolder, str]) -> None:
    folder, name = job
    plans = PlansManager(json.loads(folder.nnunet_plans.read_text()))
    dataset = json.loads((folder.nnunet_raw / "dataset.json").read_text())
    files = dataset["dataset"][name]
    # A run that was killed here may have left part of an array.
    for stale in (f"{name}.b2nd", f"{name}_seg.b2nd"):
        (folder.nnunet_arrays / stale).unlink(missing_ok=True)
    with output_to_log(folder):
        LesionListingPreprocessor(verbose=False).run_case_save(
            str(folder.nnunet_arrays / name),
            files["images"],
            files["label"],
            plans,
            plans.get_configuration(CONFIGURATION),
            dataset,
        )
    _done_file(folder, name).touch()


def _done_file(folder: RunFolder, name: str) -> Path:
    return folder.nnunet_arrays / f"{name}.done"
