"""Curves over sensitivity and score, all from the evidence of the cases (paper, Fig. 11, and what it leaves out)."""
