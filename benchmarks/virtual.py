"""Is the virtual cohort what it claims to be? HU, sizes, case mix, an oracle, a size-only baseline, visibility.

Every figure is about virtual patients; tables to compare with are written out here from the literature, not taken from
the generator. Patients come from a validation cohort, never from a test cohort.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from livercascade.cli.progress_bars import steps
from livercascade.data.labels import PHASES, LesionType, Organ, Phase
from livercascade.virtual.fixed_cohorts import CohortPart, cohorts
from livercascade.virtual.habitus import draw_habitus
from livercascade.virtual.lesions.lesion_painting import draw_pattern, zone_curves
from livercascade.virtual.lesions.lesion_plan import draw_plan
from livercascade.virtual.patient_folders import write_patient
from livercascade.virtual.physiology import Physiology, draw_physiology
from livercascade.virtual.scanner import Scanner, develop, draw_scanner, expose_phases
from livercascade.virtual.tissue import Tissue, TissueTable
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_patient import VirtualPatient, make_patient
from livercascade.virtual.virtual_settings import VirtualSettings

# NC, AP, VP, DP: mean and SD between patients at 120 kVp (docs/virtual.md).
HU_TABLE = {
    "aorta": (Tissue.AORTA, (40, 310, 160, 110), (5, 55, 20, 12)),
    "hepatic artery": (Tissue.HEPATIC_ARTERY, (40, 250, 150, 108), (5, 55, 20, 10)),
    "portal vein": (Tissue.PORTAL_TRUNK, (40, 110, 175, 115), (5, 40, 22, 12)),
    "hepatic veins": (Tissue.HEPATIC_VEIN, (40, 50, 155, 112), (5, 10, 25, 12)),
    "caval vein": (Tissue.IVC, (40, 90, 140, 110), (5, 35, 25, 10)),
    "spleen": (Tissue.SPLEEN, (47, 120, 118, 90), (5, 25, 13, 9)),
    "pancreas": (Tissue.PANCREAS, (40, 100, 88, 68), (7, 18, 12, 9)),
    "renal cortex": (Tissue.RENAL_CORTEX, (33, 165, 175, 140), (5, 30, 20, 18)),
    "bile": (Tissue.BILE, (8, 8, 8, 8), (6, 6, 6, 6)),
    "muscle": (Tissue.MUSCLE, (55, 60, 66, 66), (5, 5, 5, 5)),
    "fat": (Tissue.FAT, (-100, -100, -100, -100), (6, 6, 6, 6)),
    "lung": (Tissue.LUNG, (-850, -850, -850, -850), (30, 30, 30, 30)),
}
LIVER_TABLE = {
    "liver, normal": ((55, 70, 106, 87), (6, 9, 12, 8)),
    "liver, cirrhotic": ((48, 58, 91, 82), (6, 8, 11, 8)),
}
TABLE_I = {
    "HCC": (22, 28, 36, 47, 60, 66),
    "ICC": (0, 0, 1, 2, 7, 3),
    "Meta": (69, 27, 32, 18, 24, 22),
    "Hem": (1, 2, 1, 0, 3, 5),
    "Other": (25, 8, 7, 11, 8, 2),
    "Cyst": (51, 7, 8, 1, 2, 0),
}
BINS_ML = (0.5, 2, 4, 8, 16, 64, 1e4)
SEEN = ((13.0, "~100 %"), (19.0, "92 %"), (25.0, "81 %"), (32.0, "39 %"))
"""Noise in HU, and how often readers saw a lesion of 6-10 mm at -20 HU under it."""
ROSE = 5.0
console = Console(width=118)


@dataclass(frozen=True)
class Candidate:
    """One lesion that is to be typed from its true curves.

    Attributes:
        label: Its type.
        volume_ml: Its size.
        curves: Body, brightest and darkest zone per phase against the liver, HU.
        signal: Detectability per phase: contrast against the noise of its area.
    """

    label: LesionType
    volume_ml: float
    curves: np.ndarray
    signal: np.ndarray


def main(
    plans: Annotated[int, typer.Option(help="Patients that are only planned.")] = 1655,
    painted: Annotated[int, typer.Option(help="Patients that are made in full.")] = 24,
    matrix: Annotated[int, typer.Option(help="Pixels along each side of their slices.")] = 128,
    mix: Annotated[str, typer.Option(help="Case mix: diagnosis or screening-population.")] = "diagnosis",
    timed: Annotated[int, typer.Option(help="Patients made and written at matrix 512 and 256 to time them.")] = 0,
) -> None:
    """Print every check."""
    torch.set_num_threads(1)
    cohort = cohorts()[f"{mix}-{CohortPart.VALIDATION.value}"]
    settings = VirtualSettings(mix=cohort.mix, matrix=matrix)
    hu_of_tissues(settings)
    types_and_volumes(settings, plans)
    oracle(list(candidates(settings, plans)))
    visibility()
    if painted:
        made = []
        with steps("virtual patients", painted) as advance:
            for seed in cohort.seeds[:painted]:
                made.append(make_patient(seed, settings))
                advance()
        in_images(made)
        what_was_painted(made)
    if timed:
        timing(cohort.seeds[:timed])


def hu_of_tissues(settings: VirtualSettings, count: int = 600) -> None:
    """Median HU over patients against the table: within one SD of it?"""
    drawn: dict[str, list[np.ndarray]] = {}
    for seed in range(count):
        rng = np.random.default_rng([seed, 77])
        habitus = draw_habitus(settings, seed % 2 == 0, rng)
        hu = draw_physiology(habitus, settings, rng).hu
        for name, (tissue, _, _) in HU_TABLE.items():
            drawn.setdefault(name, []).append(hu[:, tissue])
        if habitus.cirrhotic or habitus.fat_fraction == 0:
            drawn.setdefault("liver, cirrhotic" if habitus.cirrhotic else "liver, normal", []).append(
                hu[:, Tissue.LIVER]
            )
    wanted = {name: (mean, sd) for name, (_, mean, sd) in HU_TABLE.items()} | LIVER_TABLE
    table = _table(
        f"HU of tissues, median and SD over {count} virtual patients (literature: mean and SD)",
        "tissue",
        *[p.value for p in PHASES],
        "within one SD",
    )
    for name, (mean, sd) in wanted.items():
        values = np.array(drawn[name])
        median, spread = np.median(values, axis=0), values.std(axis=0)
        cells = [f"{m:.0f} ± {s:.0f}  ({w} ± {t})" for m, s, w, t in zip(median, spread, mean, sd, strict=True)]
        table.add_row(name, *cells, "yes" if (np.abs(median - mean) <= sd).all() else "NO")
    console.print(table)


def types_and_volumes(settings: VirtualSettings, plans: int) -> None:
    """Planned lesions by type and volume, scaled to 331 patients, against Table I."""
    counts = {kind: np.zeros(6) for kind in LesionType}
    tiny = malignant = counted_malignant = 0
    for seed in range(plans):
        plan = draw_plan(settings.mix, np.random.default_rng([seed, 78]))
        malignant += plan.intended.malignant
        for lesion in plan.lesions:
            if lesion.volume_ml < BINS_ML[0]:
                tiny += 1
                continue
            counts[lesion.label][int(np.searchsorted(BINS_ML, lesion.volume_ml, side="right")) - 1] += 1
            counted_malignant += lesion.label.malignant
    scale = 331 / plans
    table = _table(
        f"Lesions of {plans} planned virtual patients, scaled to 331 (the paper's Table I)",
        "type",
        "0.5-2 ml",
        "2-4",
        "4-8",
        "8-16",
        "16-64",
        "> 64",
        "all",
    )
    for kind in LesionType:
        row, paper = counts[kind] * scale, TABLE_I[kind.title]
        table.add_row(
            kind.title, *(f"{n:.0f} ({p})" for n, p in zip(row, paper, strict=True)), f"{row.sum():.0f} ({sum(paper)})"
        )
    total = sum(c.sum() for c in counts.values())
    table.add_row("all", *[""] * 6, f"{total * scale:.0f} (606)")
    console.print(table)
    console.print(
        f"malignant {malignant / plans:.1%} of patients (paper 78.9 %); "
        f"{counted_malignant / max(malignant, 1):.2f} malignant lesions per malignant patient (1.78); "
        f"{tiny / max(total, 1):.0%} further lesions under 0.5 ml\n"
    )


def candidates(settings: VirtualSettings, plans: int) -> Iterator[Candidate]:
    """Counted lesions of planned patients with the HU that their zones would have."""
    for seed in range(plans):
        rng = np.random.default_rng([seed, 79])
        plan = draw_plan(settings.mix, rng)
        habitus = draw_habitus(settings, plan.cirrhotic, rng)
        physiology = draw_physiology(habitus, settings, rng)
        scanner = draw_scanner(habitus, settings, (1.25, 0.7), rng)
        for lesion in plan.lesions:
            if lesion.volume_ml >= BINS_ML[0]:
                yield _candidate(lesion.label, lesion.volume_ml, physiology, scanner, rng)


def _candidate(
    label: LesionType, volume_ml: float, physiology: Physiology, scanner: Scanner, rng: np.random.Generator
) -> Candidate:
    pattern = draw_pattern(label, volume_ml, physiology, rng)
    curves = np.array(list(zone_curves(pattern, physiology, rng)[0].values())) - physiology.liver
    told = np.concatenate([curves[0], curves.max(axis=0), curves.min(axis=0)])
    # Independent looks at the lesion: its area in the slices over the area of one grain of noise or mottle.
    area = volume_ml * 1000.0 / 5.0
    grain, mottle = 4 * np.pi * scanner.kernel_mm**2, 4 * np.pi * 3.0**2
    variance = np.square(scanner.noise_hu) * min(1.0, grain / area) + scanner.texture_hu**2 * min(1.0, mottle / area)
    return Candidate(label, volume_ml, told, np.abs(curves).max(axis=0) / np.sqrt(variance))


def oracle(found: list[Candidate]) -> None:
    """How well lesions can be typed at best from true curves, from size alone, and how many stand out of the noise."""
    labels = np.array([int(c.label) for c in found])
    curves = np.array([c.curves for c in found])
    size = np.log(np.array([[c.volume_ml] for c in found]))
    nc = curves[:, [0, 4, 8]]
    table = _table(
        f"Typing {len(found)} virtual lesions of at least 0.5 ml (five-fold cross-validation)",
        "told",
        "right",
        "right, mean over types",
        "malignant or not",
        *[k.title for k in LesionType],
    )
    malignant = np.array([k.malignant for k in LesionType])
    for name, told in (("true HU, four phases", curves), ("true HU, NC alone", nc), ("volume alone", size)):
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        forest = RandomForestClassifier(200, min_samples_leaf=3, random_state=0)
        guess = cross_val_predict(forest, told, labels, cv=folds)
        recall = [float((guess == k)[labels == k].mean()) for k in LesionType]
        group = (malignant[guess - 1] == malignant[labels - 1]).mean()
        means = (f"{(guess == labels).mean():.1%}", f"{np.mean(recall):.1%}", f"{group:.1%}")
        table.add_row(name, *means, *(f"{r:.0%}" for r in recall))
    console.print(table)
    most = Counter(labels.tolist()).most_common(1)[0]
    console.print(f"always {LesionType(most[0]).title}: {most[1] / len(labels):.1%}\n")
    signal = np.array([c.signal for c in found])
    small = size[:, 0] < np.log(2.0)
    table = _table(
        f"Lesions that stand {ROSE:.0f} times out of noise and mottle (known place)", "phases", "all", "0.5-2 ml"
    )
    for name, best in (("best of four", signal.max(axis=1)), *((p.value, signal[:, p.index]) for p in PHASES)):
        table.add_row(name, f"{(best >= ROSE).mean():.1%}", f"{(best >= ROSE)[small].mean():.1%}")
    console.print(table)


def visibility(repeats: int = 10) -> None:
    """A searching observer before an 8-mm lesion at -20 HU in uniform tissue, at growing noise."""
    table = _table(
        "8 mm at -20 HU, 5 mm slices: seen by a matched filter that searches 11 x 11 cm (5 % false alarms)",
        "noise, HU",
        "observer",
        "readers in the literature",
    )
    for noise, published in SEEN:
        scores = {lesion: [_score(noise, lesion, seed) for seed in range(repeats)] for lesion in (False, True)}
        blank, shown = (np.concatenate(scores[k]) for k in (False, True))
        table.add_row(f"{noise:.0f}", f"{(shown > np.quantile(blank, 0.95)).mean():.0%}", published)
    console.print(table)


def _score(noise: float, lesion: bool, seed: int) -> np.ndarray:
    z, y = ((np.arange(n, dtype=np.float32) - (n - 1) / 2) * np.float32(d) for n, d in ((12, 1.25), (160, 0.7)))
    tissue = np.full((12, 160, 160), Tissue.LIVER, np.uint8)
    if lesion:
        tissue[z[:, None, None] ** 2 + y[:, None] ** 2 + y[None, :] ** 2 <= 16.0] = Tissue.SPLEEN
    tissue_map = TissueMap(tissue, z, y, y)
    table = np.full((4, 256), 100.0, np.float32)
    table[:, Tissue.SPLEEN] = 80.0
    tissue_table = TissueTable(table)
    tissue_table.mottle[:] = 0.0
    scanner = Scanner((noise,) * 4, 0.6, 2.0, ((0, 0, 0),) * 4, 0.0)
    settings, patient = VirtualSettings(matrix=160), 9_000 + 2 * seed + lesion
    images, _ = expose_phases(tissue_map, tissue_table, scanner, settings, patient)
    images = develop(images, tissue_map, scanner, settings, patient)
    return np.array([_answer(images[phase][1]) for phase in PHASES])


def _answer(image: np.ndarray) -> float:
    """Largest darkness at the size of the lesion, where the window holds it in full."""
    dark = -np.asarray(ndimage.gaussian_filter(image.astype(np.float32), 3.0 / 0.7))
    return float((dark - np.median(dark))[15:-15, 15:-15].max())


def in_images(patients: list[VirtualPatient]) -> None:
    """HU that the images show inside eroded true organs, against the patient's own table."""
    table = _table(
        f"HU in the images of {len(patients)} virtual patients against their own, largest gap of medians",
        "organ",
        *[p.value for p in PHASES],
    )
    for organ, tissue in (
        (Organ.LIVER, Tissue.LIVER),
        (Organ.SPLEEN, Tissue.SPLEEN),
        (Organ.PANCREAS, Tissue.PANCREAS),
    ):
        worst = np.zeros(4)
        for patient in patients:
            inner = ndimage.binary_erosion((patient.labels == organ) & (patient.mimics_map == 0), iterations=2)
            if inner.sum() > 20:
                shown = np.array([np.median(patient.hu[p][inner]) for p in Phase])
                worst = np.maximum(worst, np.abs(shown - patient.physiology.hu[:, tissue]))
        table.add_row(organ.title, *(f"{w:.1f}" for w in worst))
    console.print(table)


def what_was_painted(patients: list[VirtualPatient]) -> None:
    """Sub-types, places, mimics and confounders that came out."""
    lesions = [lesion for patient in patients for lesion in patient.lesions]
    counters = {
        "sub-types": Counter(lesion.pattern for lesion in lesions),
        "effects": Counter(effect for lesion in lesions for effect in lesion.effects),
        "sites": Counter(lesion.site for lesion in lesions),
        "segments": Counter(lesion.segment for lesion in lesions),
        "mimics by family": Counter(mimic.family.name.lower() for patient in patients for mimic in patient.mimics),
        "confounders": Counter(one.kind for patient in patients for one in patient.confounders),
        "arterial phases": Counter(patient.physiology.bolus.timing for patient in patients),
        "patient classes": Counter(patient.patient_class.value for patient in patients),
    }
    table = _table(f"What {len(patients)} virtual patients hold", "", "counts")
    for name, counter in counters.items():
        table.add_row(name, ", ".join(f"{key} {n}" for key, n in counter.most_common()))
    right = sum(lesion.segment in ("V", "VI", "VII", "VIII") for lesion in lesions) / max(len(lesions), 1)
    table.add_row("right lobe", f"{right:.0%} of lesions")
    console.print(table)


def timing(seeds: range) -> None:
    """CPU seconds to make and write a patient, one process, one thread."""
    table = _table("CPU seconds per virtual patient, made and written", "matrix", "slices", "make", "write", "all")
    for matrix in (512, 256):
        settings = VirtualSettings(matrix=matrix)
        make_patient(seeds[0], VirtualSettings(matrix=64))
        rows = []
        for seed in seeds:
            with TemporaryDirectory() as folder:
                start = time.process_time()
                patient = make_patient(seed, settings)
                made = time.process_time()
                write_patient(patient, settings, Path(folder))
                rows.append((patient.grid.shape[0], made - start, time.process_time() - made))
        slices, make, write = np.mean(rows, axis=0)
        table.add_row(str(matrix), f"{slices:.0f}", f"{make:.1f}", f"{write:.1f}", f"{make + write:.1f}")
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


if __name__ == "__main__":
    typer.run(main)
