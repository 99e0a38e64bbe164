"""Metrics of lesions and of patients from tables of counts (paper, Tables II to V)."""
