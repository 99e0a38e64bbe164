"""From a folder of cases to nnU-Net's preprocessed arrays: raw data set, fingerprint, plan, preprocessing."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
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

from livercascade.data.errors import UsageError
from livercascade.data.labels import FIRST_LESION, LAST_LESION, NUM_CLASSES, PHASES, label_name
from livercascade.segment.card import Architecture, PhaseNormalisation, Resampling, Size, Spacing
from livercascade.segment.nnunet_import import planned_resampling
from livercascade.train.nnunet_network import plan_architecture, plan_entry, read_entry
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase, is_lps, lps, translate
from livercascade.train.training_loop import Reporter
from livercascade.train.training_settings import NormaliseBy, Planner, WholeSettings
from livercascade.train.whole.liver_intensities import liver_intensities

DATASET = "Dataset001_livercascade"
CONFIGURATION = "3d_fullres"
PLANS = "nnUNetPlans"
_SAMPLES_PER_CLASS = 1000


@dataclass(frozen=True, slots=True)
class NnUNetFolders:
    """nnU-Net's three folders inside a run."""

    home: Path

    @property
    def raw(self) -> Path:
        """Data set as nnU-Net wants it."""
        return self.home / "raw" / DATASET

    @property
    def preprocessed(self) -> Path:
        """Fingerprint, plans, and below them the preprocessed cases."""
        return self.home / "preprocessed" / DATASET

    @property
    def arrays(self) -> Path:
        """Preprocessed cases."""
        return self.preprocessed / f"{PLANS}_{CONFIGURATION}"

    @property
    def fingerprint(self) -> Path:
        """What nnU-Net found out about the data: sizes, spacings, intensities."""
        return self.preprocessed / "dataset_fingerprint.json"

    @property
    def plans(self) -> Path:
        """Plans file."""
        return self.preprocessed / f"{PLANS}.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What nnU-Net's plans file says about a network and its input.

    Attributes:
        spacing_mm: (z, y, x).
        patch_size: (z, y, x) in voxels.
        batch_size: Patches a step.
        architecture: The network.
        normalisation: Intensities of each phase by nnU-Net's fingerprint.
        resampling: How images came to the spacing.
    """

    spacing_mm: Spacing
    patch_size: Size
    batch_size: int
    architecture: Architecture
    normalisation: tuple[PhaseNormalisation, ...]
    resampling: Resampling


def read_plan(places: NnUNetFolders) -> Plan:
    """Plan of the prepared data."""
    plans = json.loads(places.plans.read_text())
    chosen = plans["configurations"][CONFIGURATION]
    return Plan(
        spacing_mm=tuple(chosen["spacing"]),
        patch_size=tuple(chosen["patch_size"]),
        batch_size=int(chosen["batch_size"]),
        architecture=read_entry(chosen["architecture"]),
        normalisation=_intensity_scheme(plans["foreground_intensity_properties_per_channel"]),
        resampling=planned_resampling(chosen),
    )


def prepare(folder: RunFolder, cases: Sequence[TrainingCase], settings: WholeSettings, reporter: Reporter) -> Plan:
    """Makes raw data set, fingerprint, plan and preprocessed cases; what is already there is not made again.

    Raises:
        UsageError: The data were prepared for other settings (``PREPARED_OTHERWISE``).
    """
    places = NnUNetFolders(folder.nnunet)
    _write_raw(places, cases)
    if not places.plans.is_file():
        reporter.stage("nnU-Net: fingerprint and plan")
        with quiet(folder):
            _fingerprint(places, settings)
            _planner(settings).plan_experiment()
    reporter.stage("nnU-Net: preprocessing")
    _preprocess(folder, places, cases, settings, reporter)
    plan = read_plan(places)
    _check_plan(places, plan, settings)
    return plan


def _check_plan(places: NnUNetFolders, plan: Plan, settings: WholeSettings) -> None:
    """Data of an earlier plan would train a network of other settings than the run notes."""
    if plan.resampling is not settings.resampling:
        raise UsageError(
            "PREPARED_OTHERWISE",
            f"{places.home} was prepared with resampling {plan.resampling.value!r}, not {settings.resampling.value!r}.",
            "Give a new --out, or the settings it was started with.",
        )
    wanted = (settings.spacing_mm, settings.patch_size, plan_architecture(settings))
    if settings.planner is Planner.SETTINGS and (plan.spacing_mm, plan.patch_size, plan.architecture) != wanted:
        raise UsageError(
            "PREPARED_OTHERWISE",
            f"{places.home} was prepared for a patch of {plan.patch_size} at {plan.spacing_mm} mm.",
            "Give a new --out, or the settings it was started with.",
        )


@contextlib.contextmanager
def quiet(folder: RunFolder) -> Generator[None]:
    """Sends what nnU-Net prints to a file of the run."""
    with folder.chatter.open("a") as stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield


def _intensity_scheme(properties: dict[str, Any]) -> tuple[PhaseNormalisation, ...]:
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


def _planner(settings: WholeSettings) -> ExperimentPlanner:
    planner: Any = _HeldPlanner.of(settings)
    if settings.planner is Planner.NNUNET:
        planner = _Planner(DATASET, plans_name=PLANS, suppress_transpose=True)
        planner.settings = settings
    # One resolution is enough; looking for a second one takes minutes.
    planner.lowres_creation_threshold = 0
    return planner


class _Planner(ExperimentPlanner):
    """nnU-Net's planner, with its own resampling or a linear one, which takes a fraction of the time."""

    settings: WholeSettings

    def determine_resampling(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any], Any, dict[str, Any]]:
        if self.settings.resampling is Resampling.SPLINE:
            return super().determine_resampling(*args, **kwargs)
        common = {"num_threads": self.settings.threads, "force_separate_z": False}
        function = resample_torch_fornnunet
        return function, {"is_seg": False, **common}, function, {"is_seg": True, **common}


class _HeldPlanner(_Planner):
    """The same held to a spacing, a patch size and a network."""

    @classmethod
    def of(cls, settings: WholeSettings) -> _HeldPlanner:
        planner = cls(DATASET, plans_name=PLANS, overwrite_target_spacing=settings.spacing_mm, suppress_transpose=True)
        planner.settings = settings
        return planner

    def get_plans_for_configuration(self, spacing: Any, median_shape: Any, *rest: Any, **named: Any) -> dict[str, Any]:
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


class _Preprocessor(DefaultPreprocessor):
    """nnU-Net's preprocessing that also lists voxels of every single lesion, for sampling."""

    def run_case_npy(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        data, seg, properties = super().run_case_npy(*args, **kwargs)
        organs = {k: v[:_SAMPLES_PER_CLASS] for k, v in properties["class_locations"].items() if k > LAST_LESION}
        properties["class_locations"] = organs | _lesion_voxels(seg)
        return data, seg, properties


def _lesion_voxels(seg: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Voxels (0, z, y, x) of each connected lesion, by (type of its first voxel, number)."""
    lesions = (seg[0] >= FIRST_LESION) & (seg[0] <= LAST_LESION)
    parts, count = ndimage.label(lesions, structure=np.ones((3, 3, 3)))
    found: dict[tuple[int, int], np.ndarray] = {}
    for number in range(1, count + 1):
        voxels = np.argwhere(parts[None] == number)
        step = max(1, len(voxels) // _SAMPLES_PER_CLASS)
        found[int(seg[tuple(voxels[0])]), number] = voxels[::step]
    return found


def _write_raw(places: NnUNetFolders, cases: Sequence[TrainingCase]) -> None:
    places.raw.mkdir(parents=True, exist_ok=True)
    turned = places.raw / "turned"
    files = {
        case.name: {
            "images": [str(_readable(path, turned / case.name)) for path in case.channels],
            "label": str(_readable(case.labels, turned / case.name, case)),
        }
        for case in cases
    }
    content = {
        "channel_names": {str(i): "CT" for i in range(len(PHASES))},
        "labels": {label_name(i): i for i in range(NUM_CLASSES)},
        "numTraining": len(files),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": files,
    }
    (places.raw / "dataset.json").write_text(json.dumps(content, indent=1))


def _readable(path: Path, turned: Path, labels_of: TrainingCase | None = None) -> Path:
    """The file itself, or a copy turned to LPS (nnU-Net takes axes as they lie) or with our label values."""
    translated = labels_of is not None and labels_of.values is not None
    if is_lps(path) and not translated:
        return path
    copy = turned / path.name
    if not copy.is_file():
        turned.mkdir(parents=True, exist_ok=True)
        image: Any = lps(nib.load(path))
        if labels_of is not None:
            image = nib.Nifti1Image(translate(np.asanyarray(image.dataobj), labels_of), image.affine)
        nib.save(image, copy)
    return copy


def _fingerprint(places: NnUNetFolders, settings: WholeSettings) -> None:
    extractor = DatasetFingerprintExtractor(DATASET, settings.processes)
    extractor.num_foreground_voxels_for_intensitystats = 10**7
    names = sorted(extractor.dataset)
    step = max(1, len(names) // settings.fingerprint_cases)
    extractor.dataset = {name: extractor.dataset[name] for name in names[::step]}
    extractor.run(overwrite_existing=True)
    if settings.normalise_by is NormaliseBy.LIVER:
        _normalise_by_liver(places, extractor.dataset, settings.processes)


def _normalise_by_liver(places: NnUNetFolders, cases: dict[str, Any], processes: int) -> None:
    """Puts intensities of the liver in the place of those of all labels, from where the plan takes them."""
    made = liver_intensities(cases, processes)
    if made is not None:
        fingerprint = json.loads(places.fingerprint.read_text())
        fingerprint["foreground_intensity_properties_per_channel"] = made
        places.fingerprint.write_text(json.dumps(fingerprint, indent=1))


def _preprocess(
    folder: RunFolder,
    places: NnUNetFolders,
    cases: Sequence[TrainingCase],
    settings: WholeSettings,
    reporter: Reporter,
) -> None:
    places.arrays.mkdir(parents=True, exist_ok=True)
    waiting = [case.name for case in cases if not (places.arrays / f"{case.name}.done").is_file()]
    jobs = [(places, folder, name) for name in waiting]
    if settings.processes == 1:
        for done, job in enumerate(jobs, start=1):
            _preprocess_case(job)
            reporter.prepared(done, len(jobs))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.processes, mp_context=spawn) as pool:
        for done, _ in enumerate(pool.map(_preprocess_case, jobs), start=1):
            reporter.prepared(done, len(jobs))


def _preprocess_case(job: tuple[NnUNetFolders, RunFolder, str]) -> None:
    places, folder, name = job
    plans = PlansManager(json.loads(places.plans.read_text()))
    dataset = json.loads((places.raw / "dataset.json").read_text())
    files = dataset["dataset"][name]
    for stale in (f"{name}.b2nd", f"{name}_seg.b2nd"):
        (places.arrays / stale).unlink(missing_ok=True)
    with quiet(folder):
        _Preprocessor(verbose=False).run_case_save(
            str(places.arrays / name),
            files["images"],
            files["label"],
            plans,
            plans.get_configuration(CONFIGURATION),
            dataset,
        )
    (places.arrays / f"{name}.done").touch()
