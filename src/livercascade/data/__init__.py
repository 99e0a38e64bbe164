"""Data types every other part stands on: labels, grids, scans, lesions, errors."""
