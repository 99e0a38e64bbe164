"""Folders of painted scans, made from folders of cases and a seed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from pydantic import Field, ValidationError

from livercascade import __version__
from livercascade.data.labels import PHASES, Phase
from livercascade.data.patient_table import PATIENTS_FILE
from livercascade.data.record import Record
from livercascade.system.files import sha256_of, write_file
from livercascade.system.manifest import new_result_folder
from livercascade.system.parallel import as_finished, one_thread
from livercascade.virtual.canvas.canvas_case import (
    LABELS_FILE,
    CanvasCase,
    find_canvases,
    read_canvas,
    write_canvas,
)
from livercascade.virtual.canvas.canvas_preview import draw_canvas_preview, lesion_rows
from livercascade.virtual.canvas.lesion_outlines import Loosening, loosen
from livercascade.virtual.canvas.lesion_transplant import DonorLesion, Transplant, take_lesions, transplant
from livercascade.virtual.canvas.painted_case import PaintedScan, paint_scan
from livercascade.virtual.canvas.phase_synthesis import draw_phases, make_phases
from livercascade.virtual.randomness import StreamPurpose, random_stream

RECORD = "painted.json"
"""File beside the images that says what was painted into a scan, and that it was."""
PREVIEW = "preview.png"
GENERATOR = 1
"""Raised when the same seed gives another case; cases of an older generator are made again."""


class PaintSettings(Record):
    """How scans are painted; written into every case beside its seed."""

    lesions: float = Field(default=5.0, ge=0, le=30, description="Mean number of virtual lesions per case.")
    transplants: float = Field(default=0.0, ge=0, le=30, description="Mean number of lesions moved from other scans.")
    phases: tuple[Phase, ...] | None = Field(
        default=None, description="Phases of every case, made from VP where a scan lacks them; drawn per case if null."
    )
    loosen_over_ml: float | None = Field(
        default=None, ge=0, description="Lesions of unknown type above this volume are drawn one voxel wider."
    )
    loosening: Loosening = Field(default=Loosening.DILATE, description="What becomes of the voxels round them.")


@dataclass(frozen=True, slots=True)
class PaintOrder:
    """One case to be made.

    Attributes:
        source: Folder of the scan.
        patient: Its patient.
        number: Number of the case among those made of this scan.
        seed: Seed of the whole run.
    """

    source: Path
    patient: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the new case."""
        return f"{self.source.name}__painted_{self.number:02d}"

    @property
    def case_seed(self) -> int:
        """Seed of this case: another scan beside it changes nothing."""
        return (self.seed << 40) ^ (self.number << 32) ^ zlib.crc32(self.source.name.encode())


def paint_folders(
    canvases: Path,
    out: Path,
    count: int,
    seed: int,
    settings: PaintSettings,
    *,
    donors: Path | None = None,
    workers: int = 1,
    preview: bool = False,
) -> Iterator[Path]:
    """Make painted cases from the scans of a folder in turn, yielding each folder when it is done.

    Cases that are there already, made from the same files with the same seed, settings and version, are kept. At the
    end ``patients.csv`` names the patient of each case in ``out``.

    Args:
        canvases: Folder of cases with a liver.
        out: Folder for the new cases, ``<source>__painted_NN``.
        count: Number of cases.
        seed: Seed of the run.
        settings: What is done to every case.
        donors: Folder of cases whose lesions are moved into the scans; ``canvases`` if there are transplants and none
            is given.
        workers: Number of processes.
        preview: True writes ``preview.png`` too.

    Raises:
        InputError: As `find_canvases` and `read_canvas`.
        OutputError: A folder cannot be written, or something else lies there.
    """
    homes = list(find_canvases(canvases).items())
    orders = [PaintOrder(*homes[k % len(homes)], k // len(homes), seed) for k in range(count)]
    source = (donors or canvases) if settings.transplants > 0 else None
    if source is not None:
        find_canvases(source)
    todo: list[PaintOrder] = []
    for order in orders:
        if _finished(out / order.name, order, settings, source, preview):
            yield out / order.name
        else:
            todo.append(order)
    make = partial(_make_one, out=out, settings=settings, donors=source, preview=preview)
    yield from (made for _, made in as_finished(make, todo, workers=workers, setup=one_thread))
    _write_patients(out)


def _make_one(order: PaintOrder, out: Path, settings: PaintSettings, donors: Path | None, preview: bool) -> Path:
    source = read_canvas(order.source, order.patient)
    base = prepared(source, settings, order.case_seed)
    lesions = _donors(donors) if donors is not None else ()
    count = int(random_stream(order.case_seed, StreamPurpose.CANVAS, 20).poisson(settings.transplants))
    moved, transplants = transplant(base, lesions, count, order.case_seed)
    painted = paint_scan(moved, settings.lesions, order.case_seed)
    with new_result_folder(out / order.name) as folder:
        write_canvas(replace(painted.case, name=order.name), folder)
        record = _record(order, settings, donors, source, painted, transplants)
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if preview:
            (folder / PREVIEW).write_bytes(_preview(base, painted, transplants))
    return out / order.name


def prepared(case: CanvasCase, settings: PaintSettings, seed: int) -> CanvasCase:
    """The case with looser outlines and the phases asked for, before anything is painted."""
    if settings.loosen_over_ml is not None:
        labels = loosen(case.labels, case.grid.spacing, settings.loosen_over_ml, settings.loosening)
        case = replace(case, labels=labels)
    rng = random_stream(seed, StreamPurpose.CANVAS, 21)
    wanted = draw_phases(tuple(case.hu), rng) if settings.phases is None else settings.phases
    return make_phases(case, wanted, seed)


@lru_cache(maxsize=1)
def _donors(folder: Path) -> tuple[DonorLesion, ...]:
    """Lesions of every case of a folder, taken out once per process."""
    return tuple(
        lesion for home, patient in find_canvases(folder).items() for lesion in take_lesions(read_canvas(home, patient))
    )


def _record(
    order: PaintOrder,
    settings: PaintSettings,
    donors: Path | None,
    source: CanvasCase,
    painted: PaintedScan,
    transplants: Sequence[Transplant],
) -> dict[str, object]:
    phases = {phase.value: "scan" if phase in source.hu else "made from VP" for phase in painted.case.hu}
    return {
        "painted": True,
        "version": __version__,
        "generator": GENERATOR,
        "seed": order.seed,
        "number": order.number,
        "settings": settings.model_dump(mode="json"),
        "source": {"case": source.name, "patient": source.patient, "files": _hashes(order.source)},
        "donors": donors.name if donors is not None else None,
        "phases": phases,
        "liver_hu": painted.liver_hu,
        "texture_hu": painted.noise_hu,
        "blur_mm": painted.blur_mm,
        "lesions": [
            asdict(lesion.placed)
            | {"label": int(lesion.placed.label), "labelled_ml": lesion.labelled_ml}
            | {"planned_difference_hu": lesion.planned, "shown_difference_hu": lesion.shown}
            for lesion in painted.lesions
        ],
        "mimics": [asdict(mimic) | {"family": mimic.family.name.lower()} for mimic in painted.mimics],
        "transplants": [asdict(one) for one in transplants],
    }


def _hashes(home: Path) -> dict[str, str]:
    names = [LABELS_FILE, *(f"{phase.value.lower()}.nii.gz" for phase in PHASES)]
    return {name: sha256_of(home / name) for name in names if (home / name).is_file()}


def _read_record(place: Path) -> dict[str, object]:
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _finished(place: Path, order: PaintOrder, settings: PaintSettings, donors: Path | None, preview: bool) -> bool:
    record = _read_record(place)
    try:
        made_with = PaintSettings.model_validate(record.get("settings"))
    except ValidationError:
        return False
    source = record.get("source")
    files = source.get("files") if isinstance(source, dict) else None
    # Which lesions a folder of donors holds is not recorded: cases with transplants are made again.
    same = made_with == settings and donors is None and files == _hashes(order.source)
    stamp = (record.get("version"), record.get("generator"), record.get("seed"))
    return same and stamp == (__version__, GENERATOR, order.seed) and (not preview or (place / PREVIEW).is_file())


def _preview(base: CanvasCase, painted: PaintedScan, transplants: Sequence[Transplant]) -> bytes:
    titles = {
        f"{k} {one.placed.pattern} {one.labelled_ml:.1f} ml": one.placed.centre
        for k, one in enumerate(painted.lesions)
        if one.labelled_ml > 0
    }
    titles |= {f"moved {k}, {one.donor} {one.volume_ml:.1f} ml": one.centre for k, one in enumerate(transplants)}
    return draw_canvas_preview(base, painted.case, lesion_rows(painted.case, titles))


def _write_patients(out: Path) -> None:
    rows = ["case,patient"]
    for place in sorted(path.parent for path in out.glob(f"*/{RECORD}")):
        source = _read_record(place).get("source")
        if isinstance(source, dict):
            rows.append(f"{place.name},{source['patient']}")
    write_file(out / PATIENTS_FILE, "\n".join(rows) + "\n")
