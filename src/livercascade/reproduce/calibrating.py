"""Probabilities and abstention fitted on the validation patients of a reproduction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from livercascade import __version__
from livercascade.diagnose.calibration import Calibration
from livercascade.evaluate.calibrating import fit_setting
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
        without=False,
        workers=workers,
        progress=progress,
    )
    group = settings.groups.validation
    return Calibration(
        models=(hashes["whole"], hashes["patch"]),
        settings_sha256=settings.cascade.judging_sha256,
        fitted_on=f"{len(cases)} virtual validation patients, seeds {group.seeds[0]}-{group.seeds[-1]}, "
        f"mix {group.mix.value}, matrix {settings.matrix}",
        cases_sha256=hashlib.sha256("\n".join(case.name for case in cases).encode()).hexdigest(),
        software=__version__,
        settings=tuple(
            fit_setting(
                [case.curves[setting.value] for case in judged.cases],
                setting.phases,
                settings.evaluation,
                alpha=settings.alpha,
            )
            for setting in Setting
        ),
    )
