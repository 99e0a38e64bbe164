"""The cascade on every patient and setting: one pass of UNet^whole gives every f and serves every UNet^patch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from livercascade import __version__
from livercascade.cascade.predict import Cascade, predict_variants
from livercascade.cascade.settings import CascadeSettings
from livercascade.characterise.characteriser import Characteriser
from livercascade.data.errors import InputError
from livercascade.diagnose.calibration import Calibration
from livercascade.reproduce.settings import Setting
from livercascade.reproduce.side_by_side import each
from livercascade.segment.card import ModelKind
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model

Advance = Callable[[str, int], Callable[[], None]]
WITH, WITHOUT, TWIN = "with_shuffling", "without_shuffling", "twin"


@dataclass(frozen=True, slots=True)
class ModelFolders:
    """The networks of a reproduction.

    Attributes:
        whole: UNet^whole.
        patch: UNet^patch.
        without: UNet^patch trained without lesion shuffling; None leaves "w/o LS" out.
        twin: UNet^patch trained as that one but with lesion shuffling, if ``patch`` was not.
        types: What tells types from enhancement; None leaves those of UNet^whole.
    """

    whole: Path
    patch: Path
    without: Path | None = None
    twin: Path | None = None
    types: Path | None = None

    @property
    def patches(self) -> dict[str, Path]:
        """Every UNet^patch by the variant that it makes; the one of the cascade first."""
        folders = {WITH: self.patch, WITHOUT: self.without, TWIN: self.twin}
        return {variant: folder for variant, folder in folders.items() if folder is not None}

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
        return found if self.types is None else found | {"types": Characteriser.load(self.types).card.sha256}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the case folders of one group of patients lie.

    Attributes:
        root: Folder of the group.
    """

    root: Path

    def side(self, setting: Setting, variant: str) -> Path:
        """Folder of case folders."""
        return self.root / setting.value / variant

    def refusal(self, setting: Setting, case: str) -> Path:
        """Record of a patient whom the cascade refused."""
        return self.root / setting.value / "refused" / f"{case}.json"


@dataclass(frozen=True, slots=True)
class _Job:
    case: Path
    setting: Setting
    places: Places
    models: ModelFolders
    settings: CascadeSettings
    calibration: Calibration | None
    key: str


def variants_of(settings: CascadeSettings) -> dict[str, CascadeSettings]:
    """Settings of each variant. Without lesion shuffling as many patches are made, all of them where the lesion lies.

    Shuffling is judged by Base's lesions (paper, Tables II and III), so that the other variants need no High.
    """
    kept = settings.model_copy(update={"evidence": True})
    low = settings.low_factor
    base = kept.model_copy(update={"high_factor": low, "sweep": (low,)})
    return {WITH: kept, WITHOUT: base.model_copy(update={"shuffled": False}), TWIN: base}


def predict_patients(
    cases: list[Path],
    places: Places,
    models: ModelFolders,
    settings: CascadeSettings,
    *,
    calibration: Calibration | None = None,
    workers: int,
    progress: Advance,
) -> None:
    """Case folders of every patient in both settings; finished ones are kept.

    Args:
        cases: Folders of the patients.
        places: Where the case folders go.
        models: The networks.
        settings: How to analyse.
        calibration: For the probabilities of the models with lesion shuffling; None gives none.
        workers: Processes side by side.
        progress: Told about every patient and setting.
    """
    key = json.dumps([models.hashes(), settings.sha256, __version__])
    jobs = [_Job(case, setting, places, models, settings, calibration, key) for case in cases for setting in Setting]
    each(_predict, jobs, workers=workers, advance=progress("patients and settings", len(jobs)))


def _predict(job: _Job) -> None:
    refusal = job.places.refusal(job.setting, job.case.name)
    if refusal.is_file() and json.loads(refusal.read_text())["key"] == job.key:
        return
    files = {phase: job.case / f"{phase.value.lower()}.nii.gz" for phase in job.setting.phases}
    try:
        predict_variants(None, list(_variants(job)), files=files, case_id=job.case.name, report=False)
    except InputError as error:
        refusal.parent.mkdir(parents=True, exist_ok=True)
        refusal.write_text(json.dumps({"code": error.code, "message": error.message, "key": job.key}), encoding="utf-8")
        return
    refusal.unlink(missing_ok=True)


def _variants(job: _Job) -> Iterator[tuple[Path, Cascade]]:
    settings = variants_of(job.settings)
    whole, patches, types = _loaded(job.models)
    for variant, patch in patches.items():
        calibration = job.calibration if variant == WITH else None
        out = job.places.side(job.setting, variant) / job.case.name
        yield out, Cascade(whole, patch, settings[variant], calibration, types)


@lru_cache(maxsize=1)
def _loaded(models: ModelFolders) -> tuple[Model, Mapping[str, Model], Characteriser | None]:
    engine = Engine.choose("auto")
    whole = Model.load(models.whole, ModelKind.WHOLE, engine)
    patches = {variant: Model.load(folder, ModelKind.PATCH, engine) for variant, folder in models.patches.items()}
    return whole, patches, None if models.types is None else Characteriser.load(models.types)
