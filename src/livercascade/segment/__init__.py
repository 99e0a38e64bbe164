"""UNet^whole at work: a study in, a sensitivity map out (paper, Sec. III-A, eq. 1)."""
