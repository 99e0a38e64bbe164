"""Names of everything inside the folder of one training run, nnU-Net's own folders included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DATASET = "Dataset001_livercascade"
CONFIGURATION = "3d_fullres"
PLANS = "nnUNetPlans"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One training run; the same folder given again continues it.

    A training over folds is a run with one run inside it per fold, ``fold_0 ... fold_4``; its prepared data serve all.

    Attributes:
        root: Folder of the run.
        prepared: Run whose prepared data this one uses; None for its own.
    """

    root: Path
    prepared: Path | None = None

    def fold(self, number: int) -> RunFolder:
        """Run of one fold of a training over folds."""
        return RunFolder(self.root / f"fold_{number}", self.root)

    @property
    def data(self) -> Path:
        """Run that holds the prepared data."""
        return self.root if self.prepared is None else self.prepared

    @property
    def request(self) -> Path:
        """Request of the run: data, settings and command line."""
        return self.root / "request.json"

    @property
    def finished(self) -> Path:
        """The request that the run has fulfilled."""
        return self.root / "finished.json"

    @property
    def card(self) -> Path:
        """Model card of the network in training, without weights."""
        return self.root / "card.json"

    @property
    def checkpoint(self) -> Path:
        """Newest state of the training."""
        return self.root / "checkpoint.pt"

    @property
    def best(self) -> Path:
        """Weights with the best score on the held-out fold so far."""
        return self.root / "best.pt"

    @property
    def log(self) -> Path:
        """One JSON object per log line."""
        return self.root / "log.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The log once more, for TensorBoard."""
        return self.root / "tensorboard"

    @property
    def figures(self) -> Path:
        """Curves, and validation patients at each validation."""
        return self.root / "figures"

    @property
    def model(self) -> Path:
        """Exported model folder; of a training over folds an ensemble."""
        return self.root / "model"

    @property
    def split(self) -> Path:
        """Names of the training and validation cases."""
        return self.root / "split.json"

    @property
    def out_of_fold(self) -> Path:
        """Label maps of cases by networks that did not see them."""
        return self.root / "out_of_fold"

    @property
    def chatter(self) -> Path:
        """Output that nnU-Net prints."""
        return self.root / "nnunet.log"

    @property
    def folds(self) -> Path:
        """Fold of every case."""
        return self.data / "folds.json"

    @property
    def nnunet(self) -> Path:
        """nnU-Net's own folders."""
        return self.data / "nnunet"

    @property
    def nnunet_raw(self) -> Path:
        """Data set as nnU-Net wants it."""
        return self.nnunet / "raw" / DATASET

    @property
    def nnunet_preprocessed(self) -> Path:
        """Fingerprint, plans, and below them the preprocessed cases."""
        return self.nnunet / "preprocessed" / DATASET

    @property
    def nnunet_arrays(self) -> Path:
        """Preprocessed cases."""
        return self.nnunet_preprocessed / f"{PLANS}_{CONFIGURATION}"

    @property
    def nnunet_fingerprint(self) -> Path:
        """Sizes, spacings and intensities that nnU-Net found in the data."""
        return self.nnunet_preprocessed / "dataset_fingerprint.json"

    @property
    def nnunet_plans(self) -> Path:
        """Plans file of nnU-Net."""
        return self.nnunet_preprocessed / f"{PLANS}.json"

    @property
    def patch_cases(self) -> Path:
        """Liver boxes of the cases."""
        return self.data / "patch_cases"
