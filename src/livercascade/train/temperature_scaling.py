"""Temperature of UNet^whole: makes its probabilities mean what they say, and with them the factor f (paper, eq. 2).

A network trained with a Dice term is far too sure of itself. Its wrong voxels then lie so far from the threshold that
f = 4 moves next to none of them. Dividing all logits by one number, fitted on patients that the network did not see
(temperature scaling, Guo et al., ICML 2017), mends that: the mask at f = 1 stays the same, voxel for voxel, and a mask
at f is what the old network gave at f to the power of the temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy.optimize import minimize_scalar

from livercascade.data.errors import InputError, ModelError
from livercascade.data.labels import FIRST_LESION, LAST_LESION, Phase
from livercascade.data.scan import Scan
from livercascade.detect.liver import liver_with_content
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.segment.network_folder import (
    load_card,
    load_model_card,
    load_network,
    member_folders,
    save_model,
    write_ensemble_page,
)
from livercascade.segment.unet_whole import segment
from livercascade.system.parallel import parallel_map
from livercascade.train.training_cases import TrainingCase, read_scan
from livercascade.train.training_process import one_torch_thread

_SAMPLES = 20_000
"""Liver voxels drawn per scan: every patient weighs the same, however large the liver."""
_BOUNDS = (0.2, 10.0)
"""Least and largest temperature; networks trained with a Dice term came out between 2 and 3."""
_HEAD = "seg_layers."


@dataclass(frozen=True, slots=True, eq=False)
class LesionMargins:
    """Voxels of livers: how sure a network is that they are no lesion, and whether they are.

    Attributes:
        margin: Logit of the best other label minus that of the best lesion type (`SensitivityMap.margin`).
        lesion: True where the voxel is one of a lesion.
    """

    margin: Float32[np.ndarray, " voxel"]
    lesion: Bool[np.ndarray, " voxel"]

    @classmethod
    def join(cls, parts: Sequence[LesionMargins]) -> LesionMargins:
        """All voxels of several."""
        return cls(np.concatenate([p.margin for p in parts]), np.concatenate([p.lesion for p in parts]))

    def entropy(self, temperature: float) -> float:
        """Mean cross-entropy, in nats, of the lesion probability ``1 / (1 + exp(margin / temperature))``."""
        wrong_way = np.where(self.lesion, self.margin, -self.margin).astype(np.float64)
        return float(np.logaddexp(0.0, wrong_way / temperature).mean())


def fit_temperature(margins: LesionMargins) -> float:
    """Temperature of least cross-entropy, 0.2 to 10.

    Raises:
        InputError: There is no lesion, or nothing but lesion, to fit to (``NO_LESIONS``).
    """
    if margins.lesion.all() or not margins.lesion.any():
        raise InputError("NO_LESIONS", "No lesion, or no liver around lesions.", "Give cases with lesions.")
    # By its logarithm: 0.5 and 2 are equally far from 1.
    low, high = np.log(_BOUNDS)
    found = minimize_scalar(lambda t: margins.entropy(float(np.exp(t))), bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def lesion_margins(
    scan: Scan, labels: UInt8[np.ndarray, "z y x"], model: Model, rng: np.random.Generator, *, overlap: float = 0.25
) -> LesionMargins:
    """LesionMargins of a random sample of the true liver's voxels."""
    inside = np.flatnonzero(liver_with_content(labels))
    chosen = rng.choice(inside, min(len(inside), _SAMPLES), replace=False)
    truth = labels.ravel()[chosen]
    margin = segment(scan, model, overlap=overlap).margin.ravel()[chosen]
    return LesionMargins(margin, (truth >= FIRST_LESION) & (truth <= LAST_LESION))


def margins_of_cases(
    cases: Sequence[TrainingCase],
    model: Path,
    *,
    workers: int,
    device: str = "auto",
    advance: Callable[[], None] | None = None,
) -> LesionMargins:
    """Margins of all cases, with all their phases and, where they have others too, with NC alone.

    Args:
        cases: Cases that the network was not trained on.
        model: Model folder of UNet^whole, or a folder of folds.
        workers: Number of processes, one thread each.
        device: Device as `Engine.choose` takes it.
        advance: Called after each case.
    """
    work = partial(_margins_of_case, folder=model, device=device)
    return LesionMargins.join(parallel_map(work, cases, workers=workers, advance=advance))


def temper(folder: Path, out: Path, temperature: float) -> None:
    """Write a copy of a model whose logits are divided by ``temperature``; of an ensemble, of every member.

    Raises:
        ModelError: As `load_card`, or the network has no head to scale (``MODEL_MISMATCH``).
    """
    members = member_folders(folder)
    for member in members:
        card, network = load_card(member), load_network(member)
        weights = {name: value.detach().clone() for name, value in network.named_parameters()}
        heads = [name for name in weights if _HEAD in name]
        if not heads:
            raise ModelError("MODEL_MISMATCH", f"{member} has no segmentation head.", "Train it here or import it.")
        # Dividing weights and biases of the last layers divides the logits.
        for name in heads:
            weights[name] /= temperature
        made = card.training.model_copy(update={"temperature": card.training.temperature * temperature})
        place = out if len(members) == 1 else out / member.name
        save_model(place, card.model_copy(update={"training": made}), weights)
    if len(members) > 1:
        write_ensemble_page(out)


@one_torch_thread()
def _margins_of_case(case: TrainingCase, *, folder: Path, device: str) -> LesionMargins:
    model, rng = Model.load(folder, ModelKind.WHOLE, Engine.choose(device)), np.random.default_rng(0)
    scan, labels = read_scan(case)
    scans = [scan]
    if Phase.NC in scan.hu and len(scan.hu) > 1 and not set(load_model_card(folder).needs) - {Phase.NC}:
        scans.append(Scan(scan.grid, {Phase.NC: scan.hu[Phase.NC]}, Phase.NC))
    return LesionMargins.join([lesion_margins(one, labels, model, rng) for one in scans])
