"""A labelling project on the disk and in memory: cases, masks, versions, drafts, notes."""
