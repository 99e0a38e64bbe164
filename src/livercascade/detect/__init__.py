"""Sensitivity, lesions and their matching (paper, eq. 2-7)."""
