"""Intervals, tests, areas under curves and reliability, none of which knows a lesion."""
