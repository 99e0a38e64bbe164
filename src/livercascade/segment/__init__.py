"""UNet^whole at work: a study in, a sensitivity map out (paper, Sec. III-A, eq. 1)."""

from livercascade.segment.segmenter import Segmenter

__all__ = ["Segmenter"]
