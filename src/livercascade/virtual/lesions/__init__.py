"""Lesions of virtual patients: which, how large, where, what shape, which four-phase pattern."""
