"""Phases onto one grid by DEEDS (Heinrich et al., MICCAI 2013): dense displacement sampling with self-similarity."""

from livercascade.alignment.aligner import Aligner, PairAlignment

__all__ = ["Aligner", "PairAlignment"]
