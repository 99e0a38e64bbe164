"""Reading studies: NIfTI and DICOM with strict checks, phases, one grid; writing results in one step."""

from livercascade.io.study import Study, StudyReader

__all__ = ["Study", "StudyReader"]
