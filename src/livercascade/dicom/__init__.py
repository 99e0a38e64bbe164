"""Results as DICOM objects: segmentation, measurement report, report as PDF, key images."""
