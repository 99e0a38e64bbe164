"""Who made a DICOM result: equipment and algorithm, as every object names them."""

from __future__ import annotations

from typing import Any

from livercascade import __version__
from livercascade.dicom.source_images import UTF_8

NAME = "livercascade"


def equipment(model: str = NAME) -> dict[str, Any]:
    """Arguments that name the maker in every object of highdicom.

    Args:
        model: Part of the software.
    """
    return {
        "manufacturer": NAME,
        "manufacturer_model_name": model,
        "software_versions": __version__,
        "device_serial_number": "1",
        "specific_character_set": UTF_8,
    }
