"""De-identified copies of CT studies for research (PS3.15, Basic Profile)."""
