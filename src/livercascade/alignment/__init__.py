"""Phases onto one grid by DEEDS (Heinrich et al., MICCAI 2013): dense displacement sampling with self-similarity."""
