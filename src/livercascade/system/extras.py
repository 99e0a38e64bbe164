"""What a command needs beyond the core: the extras of the distribution."""

from __future__ import annotations

from importlib.util import find_spec

from livercascade.data.errors import UsageError

EXTRAS = {
    "evaluate": ("pandas", "sklearn", "statsmodels"),
    "dicom": ("highdicom", "reportlab"),
    "label": ("cc3d", "fastapi", "filelock", "highdicom", "isal", "uvicorn"),
    "pacs": ("dicomweb_client", "pynetdicom", "requests"),
    "train": ("batchgeneratorsv2", "nnunetv2"),
}
"""Modules without which the commands of an extra cannot run."""


def require(*extras: str) -> None:
    """Check that the packages of these extras are installed; nothing is imported.

    Raises:
        UsageError: ``EXTRA_MISSING``: names what is not installed, and the line that installs it.
    """
    for extra in extras:
        missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
        if missing:
            raise UsageError(
                "EXTRA_MISSING",
                f"This needs {', '.join(missing)}, which the core does not bring.",
                f"Install with: pip install 'livercascade[{','.join(extras)}]'",
            )
