"""The whole chain for one case: read, segment, find, reclassify, diagnose, tell."""
