"""Training of the network that tells types from enhancement: measure true lesions, fit, test on unseen patients."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn

from livercascade.classify.enhancement import FORM, LEVELS, Background, Enhancement, measure
from livercascade.classify.type_network import TypeMember, TypeNetwork, TypesCard, save_types
from livercascade.data.errors import InputError
from livercascade.data.labels import FIRST_LESION, LESION_TYPES, PHASES, LesionType, Phase
from livercascade.detect.seg2det import seg2det
from livercascade.system.files import sha256_text, write_file
from livercascade.system.parallel import as_finished
from livercascade.train.boundary_perturbation import perturb_boundary
from livercascade.train.cross_validation import assign_folds
from livercascade.train.phase_dropout import drop_phases
from livercascade.train.training_cases import TrainingCase, read_scan
from livercascade.train.training_process import one_torch_thread
from livercascade.train.training_settings import LesionClassifierSettings

_TESTED = {
    "all": PHASES,
    "AP, VP, DP": (Phase.AP, Phase.VP, Phase.DP),
    "AP": (Phase.AP,),
    "VP": (Phase.VP,),
    "NC": (Phase.NC,),
}
"""Sets of phases for which the card gives scores."""
_BOUNDS = (0.3, 5.0)
"""Least and largest temperature."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredLesions:
    """Measured lesions of training cases; several outlines of one lesion follow one another.

    Attributes:
        enhancements: Measurements of each.
        types: True type of each, counted from 0.
        patients: Patient of each.
    """

    enhancements: tuple[Enhancement, ...]
    types: Int64[np.ndarray, " n"]
    patients: tuple[str, ...]

    def features(self, phases: Sequence[Bool[np.ndarray, " 4"]]) -> Float32[np.ndarray, "n feature"]:
        """Features of all lesions, each with the phases that it may show."""
        return np.stack([e.features(p) for e, p in zip(self.enhancements, phases, strict=True)])


def measure_cases(cases: Sequence[TrainingCase], folder: Path, settings: LesionClassifierSettings) -> Generator[Path]:
    """Files in ``folder`` with the measured lesions of each case, as they get done; those that are there are kept."""
    # Cases of several folders may have the same name: what tells them apart is their file.
    files = [(case, _file(folder, case, settings)) for case in cases]
    waiting = [(case, path) for case, path in files if not path.is_file()]
    yield from (path for _, path in files if path.is_file())
    work = partial(_measure, settings=settings)
    yield from (path for _, path in as_finished(work, waiting, workers=settings.processes))


def read_measured(files: Sequence[Path]) -> MeasuredLesions:
    """Lesions of the files that `measure_cases` wrote.

    Raises:
        InputError: ``NO_LESIONS``: some type is not among them.
    """
    enhancements: list[Enhancement] = []
    types: list[int] = []
    patients: list[str] = []
    for path in sorted(files):
        with np.load(path) as stored:
            enhancements += [Enhancement(a, b) for a, b in zip(stored["levels"], stored["form"], strict=True)]
            types += stored["types"].tolist()
            patients += [str(stored["patient"])] * len(stored["types"])
    absent = [t.title for t in LESION_TYPES if int(t) - FIRST_LESION not in types]
    if absent:
        raise InputError("NO_LESIONS", f"No lesion of type {', '.join(absent)}.", "Give cases with every type.")
    return MeasuredLesions(tuple(enhancements), np.array(types, dtype=np.int64), tuple(patients))


def train_types(
    measured: MeasuredLesions,
    folder: Path,
    settings: LesionClassifierSettings,
    *,
    command: str = "",
    advance: Callable[[], None] | None = None,
) -> TypesCard:
    """Fits one member for each fold of the patients, tests it on that fold, and writes the model folder.

    Types weigh alike, so that the network takes each for equally common (`TypesCard.class_priors`).

    Args:
        measured: Lesions to learn from.
        folder: Model folder to write.
        settings: Settings of the training.
        command: Command line, for the card.
        advance: Called after every member.
    """
    fold_of = assign_folds({name: name for name in measured.patients}, count=settings.folds)
    fold = np.array([fold_of[name] for name in measured.patients])
    network = TypeNetwork(settings.folds, settings.hidden)
    unseen = {name: np.zeros((len(fold), len(LESION_TYPES)), dtype=np.float32) for name in _TESTED}
    for number in range(settings.folds):
        with one_torch_thread():
            member = _fit(measured, fold != number, settings, np.random.default_rng([settings.seed, number]))
        network.members[number].load_state_dict(member.state_dict())
        held = np.flatnonzero(fold == number)
        for name, phases in _TESTED.items():
            unseen[name][held] = _logits(member, measured, held, phases)
        if advance is not None:
            advance()
    weight = _weights(measured.types)
    temperature = _temperature(list(unseen.values()), measured.types, weight)
    network.temperature = temperature
    card = TypesCard(
        version=settings.version,
        members=settings.folds,
        hidden=settings.hidden,
        temperature=temperature,
        trained_on=settings.trained_on,
        cases=len(set(measured.patients)),
        lesions=len(measured.types) // (1 + settings.outlines),
        scores={name: type_scores(logits / temperature, measured.types) for name, logits in unseen.items()},
        command=command,
        settings=settings.model_dump(mode="json"),
    )
    return save_types(folder, card, network)


def type_scores(logits: Float[np.ndarray, "n 6"], types: Int64[np.ndarray, " n"]) -> dict[str, float]:
    """Shares typed right and rightly called malignant or not, and cross-entropy in nats; types weigh alike."""
    weight, guess = _weights(types), logits.argmax(axis=1)
    malignant = np.array([t.malignant for t in LESION_TYPES])
    return {
        "right": float(weight @ (guess == types)),
        "malignant or not": float(weight @ (malignant[guess] == malignant[types])),
        "cross-entropy": float(weight @ _entropies(logits, types)),
    }


def _measure(job: tuple[TrainingCase, Path], settings: LesionClassifierSettings) -> Path:
    case, path = job
    scan, labels = read_scan(case)
    rng = np.random.default_rng([settings.seed, *bytes.fromhex(sha256_text(case.name))[:8]])
    background = Background.measure(scan, labels)
    made: list[Enhancement] = []
    types: list[LesionType] = []
    # Per label: where lesions of two types touch, each is measured as itself.
    for lesion in seg2det(labels, scan.grid, min_volume_ml=settings.min_volume_ml, per_label=True):
        made.append(measure(scan, labels, lesion, background))
        for _ in range(settings.outlines):
            other, its_labels = perturb_boundary(lesion, labels, scan.grid.spacing, rng)
            made.append(measure(scan, its_labels, other, background))
        types += [lesion.label] * (1 + settings.outlines)
    stream = BytesIO()
    np.savez(
        stream,
        levels=np.array([e.levels for e in made], dtype=np.float32),
        form=np.array([e.form for e in made], dtype=np.float32),
        types=np.array([int(t) - FIRST_LESION for t in types], dtype=np.int64),
        patient=case.patient,
    )
    write_file(path, stream.getvalue())
    return path


def _file(folder: Path, case: TrainingCase, settings: LesionClassifierSettings) -> Path:
    """Named by what the measures depend on."""
    made_from = f"{case.labels} {LEVELS} {FORM} {settings.outlines} {settings.min_volume_ml} {settings.seed}"
    return folder / f"{case.name}-{sha256_text(made_from)[:12]}.npz"


def _fit(
    measured: MeasuredLesions,
    chosen: Bool[np.ndarray, " n"],
    settings: LesionClassifierSettings,
    rng: np.random.Generator,
) -> TypeMember:
    torch.manual_seed(int(rng.integers(2**31)))
    everything = [np.ones(len(PHASES), dtype=np.bool_)] * len(measured.types)
    whole = measured.features(everything)
    views = [whole, *(measured.features(_seen(measured, settings, rng)) for _ in range(settings.views - 1))]
    data = torch.from_numpy(np.stack(views))
    member = TypeMember(settings.hidden, settings.dropout)
    learnt = np.flatnonzero(chosen)
    member.standardise(data[0, learnt])
    chance = _weights(measured.types[learnt])
    labels = torch.from_numpy(measured.types)
    optimiser = torch.optim.AdamW(member.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=settings.steps)
    for _ in range(settings.steps):
        rows = torch.from_numpy(rng.choice(learnt, settings.batch_size, p=chance))
        view = torch.from_numpy(rng.integers(settings.views, size=settings.batch_size))
        inputs = member.prepare(data[view, rows])
        # Gaps are 0 after standardising and stay so.
        noisy = inputs + settings.noise * torch.randn(inputs.shape) * (inputs != 0)
        loss = nn.functional.cross_entropy(member.layers(noisy), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return member.eval()


def _seen(
    measured: MeasuredLesions, settings: LesionClassifierSettings, rng: np.random.Generator
) -> list[Bool[np.ndarray, " 4"]]:
    return [drop_phases(~np.isnan(e.levels[:, 0]), settings.phase_dropout, rng) for e in measured.enhancements]


def _logits(
    member: TypeMember, measured: MeasuredLesions, rows: Int64[np.ndarray, " m"], phases: tuple[Phase, ...]
) -> Float32[np.ndarray, "m 6"]:
    seen = np.array([phase in phases for phase in PHASES])
    features = np.stack([measured.enhancements[row].features(seen) for row in rows])
    with torch.inference_mode():
        return member(torch.from_numpy(features)).numpy()


def _weights(types: Int64[np.ndarray, " n"]) -> np.ndarray:
    """Weight of each lesion, such that types weigh alike; together 1."""
    count = np.bincount(types, minlength=len(LESION_TYPES))
    return 1.0 / count[types] / np.count_nonzero(count)


def _temperature(logits: list[Float32[np.ndarray, "n 6"]], types: Int64[np.ndarray, " n"], weight: np.ndarray) -> float:
    """Temperature of least cross-entropy over all sets of phases."""

    def cost(log_t: float) -> float:
        return float(sum(weight @ _entropies(one / np.exp(log_t), types) for one in logits))

    low, high = np.log(_BOUNDS)
    return float(np.exp(minimize_scalar(cost, bounds=(low, high), method="bounded").x))


def _entropies(logits: Float[np.ndarray, "n 6"], types: Int64[np.ndarray, " n"]) -> np.ndarray:
    return -log_softmax(logits, axis=1)[np.arange(len(types)), types]
