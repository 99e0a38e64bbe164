"""Every table and figure of the paper from reference and predicted lesions, with intervals (paper, Sec. III-C, IV)."""
