"""Every table and figure of the paper from true and found lesions, with intervals (paper, Sec. III-C, IV)."""
