"""Lesion shuffling, UNet^patch scoring and relabelling (paper, Sec. III-B, eq. 8-11)."""
