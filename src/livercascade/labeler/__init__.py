"""The CT Labeler: a labelling project of plain files, and the loopback server through which a page works on it."""
