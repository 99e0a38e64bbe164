"""Names of everything inside the folder of one training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One training run; the same folder given again continues it.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def request(self) -> Path:
        """What was asked for: data, settings and command line."""
        return self.root / "request.json"

    @property
    def card(self) -> Path:
        """Model card of the network in training, without weights."""
        return self.root / "card.json"

    @property
    def checkpoint(self) -> Path:
        """Newest state of the training."""
        return self.root / "checkpoint.pt"

    @property
    def log(self) -> Path:
        """One JSON object per log line."""
        return self.root / "log.jsonl"

    @property
    def model(self) -> Path:
        """Exported model folder."""
        return self.root / "model"

    @property
    def split(self) -> Path:
        """Names of the training and validation cases."""
        return self.root / "split.json"

    @property
    def chatter(self) -> Path:
        """What nnU-Net prints."""
        return self.root / "nnunet.log"

    @property
    def nnunet(self) -> Path:
        """nnU-Net's own folders."""
        return self.root / "nnunet"
