"""The type of a found lesion from how it takes up contrast medium, beyond the paper."""
