"""The cascade on every patient and setting: one pass of UNet^whole gives every f and serves every UNet^patch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from livercascade import __version__
from livercascade.cascade.predict import Cascade, predict_variants
from livercascade.cascade.settings import CascadeSettings
from livercascade.classify.lesion_classifier import EnhancementClassifier, LesionClassifier
from livercascade.data.errors import InputError, UsageError
from livercascade.diagnose.calibration import Calibration
from livercascade.reproduce.experiment import PaperModel, PaperSetting
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.segment.unet_whole import UNetWhole
from livercascade.system.files import write_file
from livercascade.system.parallel import one_thread, parallel_map
from livercascade.system.progress import Progress, counter

_FOLDERS = {
    PaperModel.BASE_RECLS: "with_shuffling",
    PaperModel.WITHOUT_LS: "without_shuffling",
    PaperModel.WITH_LS: "twin",
}


@dataclass(frozen=True, slots=True)
class NetworkFolders:
    """Model folders of the networks of a reproduction.

    Attributes:
        whole: UNet^whole.
        patch: UNet^patch.
        without: UNet^patch trained without lesion shuffling; None leaves "w/o LS" out.
        twin: UNet^patch trained as that one but with lesion shuffling, if ``patch`` was not.
        types: Lesion classifier, which tells types from enhancement; None leaves those of UNet^whole.
    """

    whole: Path
    patch: Path
    without: Path | None = None
    twin: Path | None = None
    types: Path | None = None

    @property
    def patches(self) -> dict[PaperModel, Path]:
        """Every UNet^patch by the model of the ablation that needs it; that of the cascade, for Base+ReCls, first."""
        folders = {
            PaperModel.BASE_RECLS: self.patch,
            PaperModel.WITHOUT_LS: self.without,
            PaperModel.WITH_LS: self.twin,
        }
        return {model: folder for model, folder in folders.items() if folder is not None}

    def hashes(self) -> dict[str, str]:
        """SHA-256 of the weights by role.

        Raises:
            ModelError: A network is missing, damaged or of another kind.
        """
        folders = {"whole": self.whole, "patch": self.patch, "without": self.without, "twin": self.twin}
        found = {
            role: Model.load(folder, ModelKind.WHOLE if role == "whole" else ModelKind.PATCH).card.sha256
            for role, folder in folders.items()
            if folder is not None
        }
        return found if self.types is None else found | {"types": EnhancementClassifier.load(self.types).card.sha256}


def given_networks(
    *, whole: Path | None = None, patch: Path | None = None, without: Path | None = None, twin: Path | None = None
) -> NetworkFolders | None:
    """Networks that are judged instead of trained ones; None if there is none.

    Raises:
        UsageError: ``WRONG_USE``: a network is given without those that it goes with.
    """
    if (whole is None) != (patch is None):
        message = "UNet^whole and UNet^patch are given together or trained together."
        raise UsageError("WRONG_USE", message, "Give both --whole and --patch, or neither.")
    alone = patch is None and without is not None
    if alone or (twin is not None and without is None):
        message = "Lesion shuffling is judged by given networks: one without it, and with a twin both."
        remedy = "Give --patch-without-shuffling with --whole and --patch, and --patch-twin with all three."
        raise UsageError("WRONG_USE", message, remedy)
    return None if whole is None or patch is None else NetworkFolders(whole, patch, without, twin)


def prediction_folder(group: Path, setting: PaperSetting, patch: PaperModel) -> Path:
    """Where the case folders of a group of patients lie.

    Args:
        group: Folder of the group.
        setting: Phases given.
        patch: Model of the ablation whose UNet^patch it was, see `NetworkFolders.patches`.
    """
    return group / setting.value / _FOLDERS[patch]


def refusal_file(group: Path, setting: PaperSetting, case: str) -> Path:
    """Record of a patient whom the cascade refused; there is none of any other."""
    return group / setting.value / "refused" / f"{case}.json"


def refused_patients(group: Path, cases: Sequence[str]) -> dict[PaperSetting, tuple[str, ...]]:
    """Patients whom the cascade refused, by setting; in them every model finds nothing."""
    return {s: tuple(case for case in cases if refusal_file(group, s, case).is_file()) for s in PaperSetting}


def predict_patients(
    cases: Sequence[Path],
    group: Path,
    networks: NetworkFolders,
    settings: CascadeSettings,
    *,
    calibration: Calibration | None = None,
    workers: int,
    progress: Progress,
) -> None:
    """Write the case folder of every patient in both settings; finished ones are kept.

    Args:
        cases: Folders of the patients.
        group: Folder that the case folders go to, see `prediction_folder`.
        networks: The networks.
        settings: Settings of the analysis.
        calibration: Calibration of the cascade's own networks; None gives no probabilities.
        workers: Number of processes.
        progress: Told after every patient and setting.
    """
    pairs = [(case, setting) for case in cases for setting in PaperSetting]
    # A refusal, which has no manifest, holds for the same networks, settings and version alone.
    key = json.dumps([networks.hashes(), settings.sha256, __version__])
    work = partial(
        _predict_patient, group=group, networks=networks, settings=settings, calibration=calibration, key=key
    )
    advance = counter(progress, "patients and settings", len(pairs))
    parallel_map(work, pairs, workers=workers, advance=advance, setup=one_thread)


def _predict_patient(
    pair: tuple[Path, PaperSetting],
    group: Path,
    networks: NetworkFolders,
    settings: CascadeSettings,
    calibration: Calibration | None,
    key: str,
) -> None:
    case, setting = pair
    refusal = refusal_file(group, setting, case.name)
    # Without this each restart would segment the refused patients again.
    if refusal.is_file() and json.loads(refusal.read_text(encoding="utf-8"))["key"] == key:
        return
    files = {phase: case / f"{phase.value.lower()}.nii.gz" for phase in setting.phases}
    variants = [
        (prediction_folder(group, setting, model) / case.name, cascade)
        for model, cascade in _cascades(networks, settings, calibration)
    ]
    try:
        # Nobody leafs through the reports of hundreds of patients.
        predict_variants(None, variants, files=files, case_id=case.name, report=False)
    except InputError as error:
        write_file(refusal, json.dumps({"code": error.code, "message": error.message, "key": key}))
        return
    # Other networks or settings may find the liver that earlier ones did not.
    refusal.unlink(missing_ok=True)


def _cascades(
    networks: NetworkFolders, settings: CascadeSettings, calibration: Calibration | None
) -> Iterator[tuple[PaperModel, Cascade]]:
    """One cascade for each UNet^patch.

    Without lesion shuffling as many patches are made, all of them where the lesion lies. Shuffling is judged by Base's
    lesions (paper, Tables II and III), so that its two models need no High.
    """
    whole, patches, types = _loaded(networks)
    # Curves, figures and the models before reclassification follow from the evidence.
    kept = settings.changed("output", evidence=True)
    low = settings.detect.low_factor
    base = kept.changed("detect", high_factor=low).changed("output", sweep=(low,))
    chosen = {
        PaperModel.BASE_RECLS: kept,
        PaperModel.WITHOUT_LS: base.changed("reclassify", shuffled=False),
        PaperModel.WITH_LS: base,
    }
    for model, patch in patches.items():
        fitted = calibration if chosen[model] is kept else None
        yield model, Cascade(UNetWhole(whole), patch, chosen[model], fitted, types)


# A process works on many patients; it loads and compiles the networks once.
@lru_cache(maxsize=1)
def _loaded(networks: NetworkFolders) -> tuple[Model, Mapping[PaperModel, Model], LesionClassifier | None]:
    engine = Engine.choose("auto")
    whole = Model.load(networks.whole, ModelKind.WHOLE, engine)
    patches = {model: Model.load(folder, ModelKind.PATCH, engine) for model, folder in networks.patches.items()}
    return whole, patches, None if networks.types is None else EnhancementClassifier.load(networks.types)
