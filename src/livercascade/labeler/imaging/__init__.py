"""Images and masks in display order: stored frames, volumes in HU, windows, sparse changes, DICOM SEG."""
