"""Things that look like lesions and are none, by family."""
