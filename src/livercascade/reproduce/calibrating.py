"""Probabilities and abstention fitted on the validation patients of a reproduction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from livercascade.diagnose.calibration import Calibration
from livercascade.evaluation.fit_calibration import calibration_of
from livercascade.reproduce.judging import judge_patients
from livercascade.reproduce.predicting import Places
from livercascade.reproduce.settings import ReproduceSettings, Setting

Advance = Callable[[str, int], Callable[[], None]]


def calibrate(
    cases: Sequence[Path],
    places: Places,
    hashes: dict[str, str],
    settings: ReproduceSettings,
    *,
    workers: int,
    progress: Advance,
) -> Calibration:
    """Calibration of both settings from the predictions of the validation patients.

    Args:
        cases: Folders of the patients, with their truth.
        places: Their predictions.
        hashes: SHA-256 of the networks by role.
        settings: Of the reproduction.
        workers: Processes side by side.
        progress: Told about every patient.
    """
    judged = judge_patients(
        cases,
        places,
        settings.cascade,
        settings.evaluation,
        workers=workers,
        progress=progress,
    )
    group = settings.groups.validation
    by_phases = {setting.phases: [case.curves[setting.value] for case in judged.cases] for setting in Setting}
    return calibration_of(
        by_phases,
        settings.evaluation,
        alpha=settings.alpha,
        # In the order of `Cascade.models`, which it is held against.
        models=tuple(hashes[role] for role in ("whole", "patch", "types") if role in hashes),
        judging=settings.cascade.judging_sha256,
        about=f"{len(cases)} virtual validation patients, seeds {group.seeds[0]}-{group.seeds[-1]}, "
        f"mix {group.mix.value}, matrix {settings.matrix}",
        names=[case.name for case in cases],
    )
