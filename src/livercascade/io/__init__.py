"""Reading studies: NIfTI and DICOM with strict checks, phases, one grid; writing results in one step."""
