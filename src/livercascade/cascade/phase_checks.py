"""Phases that networks may be told of: known ones, and non-contrast alone only where it is."""

from __future__ import annotations

from livercascade.data.errors import InputError
from livercascade.data.labels import Phase
from livercascade.io.phase_from_image import measure_organ_hu, phase_probabilities
from livercascade.io.study import Study

CONTRAST_HU, NO_NC = 90.0, 0.02
"""HU of the aorta, and probability of the non-contrast phase, that no scan without contrast medium has."""


def check_phases(study: Study) -> None:
    """Refuse a study whose phase nobody knows: a network that is told a wrong phase sees enhancement that is none.

    Raises:
        InputError: ``PHASE_UNKNOWN`` if a phase is no more than a guess, ``WRONG_PHASE`` if the only one is called
            non-contrast and shows contrast medium.
    """
    guessed = [volume for volume in study.volumes if not volume.known]
    if guessed:
        names = ", ".join(f"{v.description} (best guess {v.phase.title}, trust {v.confidence:.2f})" for v in guessed)
        first = guessed[0]
        remedy = f"Name it: --phase {first.phase.value}='{first.description}', or --nc, --ap, --vp, --dp FILE."
        raise InputError("PHASE_UNKNOWN", f"The phase is not clear: {names}.", remedy, stage="phase")
    if [volume.phase for volume in study.volumes] != [Phase.NC]:
        return
    (volume,) = study.volumes
    organs = measure_organ_hu(volume.hu, volume.grid)
    if organs.aorta is not None and organs.aorta > CONTRAST_HU and phase_probabilities(organs)[Phase.NC] < NO_NC:
        message = f"{volume.description}: given as non-contrast, but the aorta has {organs.aorta:.0f} HU."
        raise InputError("WRONG_PHASE", message, "Give the non-contrast phase, or name this one.", stage="phase")
