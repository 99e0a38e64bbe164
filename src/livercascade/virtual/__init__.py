"""Virtual patients: four-phase liver CT made from a seed, with exact truth."""
