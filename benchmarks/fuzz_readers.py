"""Damages DICOM series and NIfTI files by the thousand and reads them.

No traceback, no warning, no read longer than 10 s, no more than 2 GB, and no volume that SimpleITK places elsewhere:

    python benchmarks/fuzz_readers.py --mutations 20000 --seed 0 --out runs/fuzz

Each seed gives the same mutations; one that fails is kept in ``--out`` with its number and the damage.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from independent_reader import frames_by_highdicom, nifti_by_itk, places_apart_mm, series_by_itk
from livercascade.data.errors import InputError
from livercascade.data.scan import PhaseVolume
from livercascade.io.nifti import read_ct, write_nifti
from livercascade.io.study_reader import survey_study
from livercascade.testing.ct_series import CtSeries
from livercascade.testing.damaged_files import damaged_dicom, damaged_nifti, dicom_damages, nifti_damages

MAX_SECONDS = 10
MAX_BYTES = 2 << 30
PLACE_MM = 0.1
SLICES = 6
SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
}


class Fuzz:
    """Originals, and what reading their damaged copies came to."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out = folder, out
        self.outcomes: Counter[str] = Counter()
        self.failures: list[dict[str, object]] = []
        self.slowest, self.started = 0.0, None
        self.pool = _judges()
        self.files: dict[str, list[bytes]] = {}
        heights = np.arange(SLICES) * 4.0 - 10
        for name, syntax in SYNTAXES.items():
            series = CtSeries(heights=heights, noise_hu=5, syntax=syntax).write(folder / name)
            self.files[name] = [path.read_bytes() for path in sorted(series.iterdir())]
        enhanced = CtSeries(heights=heights, noise_hu=5).write_enhanced(folder / "enhanced" / "e.dcm")
        self.files["enhanced"] = [enhanced.read_bytes()]
        (volume,) = survey_study(folder / "explicit").volumes
        self.truth = volume
        write_nifti(folder / "a.nii", volume.hu, volume.grid)
        self.nifti = (folder / "a.nii").read_bytes()

    def dicom(self, damages, kind: str, where: int) -> None:
        """Damage one file of a series, or all, and read it."""
        place = self.folder / "now"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for number, data in enumerate(self.files[kind]):
            bad = where in (number, SLICES) or len(self.files[kind]) == 1
            (place / f"{number}.dcm").write_bytes(damaged_dicom(data, damages) if bad else data)
        alone = where < SLICES and len(self.files[kind]) > 1
        self.judged(kind, damages, place, lambda: self.read_dicom(place, one_file=alone))

    def read_dicom(self, place: Path, *, one_file: bool) -> str:
        study = survey_study(place)
        if not study.volumes:
            return study.refused[0][1].code
        (volume,) = study.volumes
        if volume.grid.matches(self.truth.grid) and np.array_equal(volume.hu, self.truth.hu):
            return "as the original"
        if volume.hu.shape[0] < SLICES and not (study.warnings or study.unused):
            return "ELSEWHERE by slices that are missing without a word"
        if one_file and self.is_original_but_for_one(volume):
            return "as the original but for the damaged slice"
        judge = frames_by_highdicom if len(list(place.iterdir())) == 1 else series_by_itk
        return self.compared(volume, judge, next(place.iterdir()) if judge is frames_by_highdicom else place)

    def nifti_file(self, damages) -> None:
        """Damage a NIfTI file and read it."""
        place = self.folder / "now.nii"
        place.write_bytes(damaged_nifti(self.nifti, damages))
        self.judged("nifti", damages, place, lambda: self.read_nifti(place))

    def read_nifti(self, place: Path) -> str:
        hu, grid, notices = read_ct(place)
        if grid.matches(self.truth.grid) and np.array_equal(hu, self.truth.hu):
            return "as the original"
        if any(notice.code.endswith("FORM_IGNORED") for notice in notices):
            return "told"
        return self.compared(PhaseVolume(self.truth.phase, hu, grid), nifti_by_itk, place)

    def is_original_but_for_one(self, volume: PhaseVolume) -> bool:
        """True if all slices but one lie where they were, with their voxels."""
        truth = self.truth
        lowest = truth.grid.voxel(np.array(volume.grid.origin))
        offset = round(float(lowest[0]))
        if volume.hu.shape[1:] != truth.hu.shape[1:] or np.abs(lowest - [offset, 0, 0]).max() > 0.02:
            return False
        if not np.allclose(volume.grid.affine[:3, :3], truth.grid.affine[:3, :3], atol=1e-3):
            return False
        slices = range(max(offset, 0), min(offset + volume.hu.shape[0], SLICES))
        equal = sum(np.array_equal(volume.hu[z - offset], truth.hu[z]) for z in slices)
        return equal >= volume.hu.shape[0] - 1 and volume.hu.shape[0] >= SLICES - 1

    def compared(self, volume: PhaseVolume, judge, place: Path) -> str:
        # The judge runs apart: its memory and its time are not the reader's.
        self.stop_clock()
        try:
            other, affine = self.pool.submit(judge, place).result()
        except BrokenProcessPool:
            self.pool = _judges()
            return "read, which the independent reader cannot"
        except Exception:
            return "read, which the independent reader cannot"
        if len(other) < len(volume.hu):
            return "read, which the independent reader cannot"
        apart = places_apart_mm(volume.hu, volume.grid.affine, other, affine)
        return "as the independent reader" if apart <= PLACE_MM else f"ELSEWHERE by {apart:.3g} mm"

    def close(self) -> None:
        """End the judges' process: it holds copies of all files and sockets that were open when it began."""
        self.pool.shutdown()

    def stop_clock(self) -> None:
        """The reader is done: note its time."""
        if self.started is not None:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.slowest = max(self.slowest, time.process_time() - self.started)
            self.started = None

    def judged(self, kind: str, damages, place: Path, read) -> None:
        """Read under a clock, and keep what fails."""
        before = self.slowest
        self.started = time.process_time()
        # Time of the processor: that of the wall depends on what else the machine does.
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                outcome = read()
            if warned:
                outcome = f"WARNING {warned[0].message}"
        except InputError as error:
            outcome = error.code
        except Exception:
            outcome = "TRACEBACK " + traceback.format_exc()[-1500:]
        finally:
            self.stop_clock()
        # The alarm's error may have been taken for damage of the file.
        outcome = "TRACEBACK of a hang" if self.slowest > max(before, MAX_SECONDS) else outcome
        self.outcomes[f"{kind}: {outcome.split(chr(10))[0].split(' by ')[0][:60]}"] += 1
        if outcome.startswith(("ELSEWHERE", "TRACEBACK", "WARNING")):
            number = len(self.failures)
            self.failures.append({"kind": kind, "outcome": outcome, "damages": repr(damages)})
            kept = self.out / f"failure-{number}{place.suffix}"
            shutil.copytree(place, kept, dirs_exist_ok=True) if place.is_dir() else shutil.copy(place, kept)


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGPROF, _too_long)
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(folder), options.out)
        _run(fuzz, options.mutations, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report = {
        "mutations": sum(fuzz.outcomes.values()),
        "seed": options.seed,
        "slowest_s": round(fuzz.slowest, 2),
        "peak_mb": peak >> 20,
        "failures": fuzz.failures,
        "outcomes": dict(fuzz.outcomes.most_common()),
    }
    (options.out / f"seed-{options.seed}.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps({key: value for key, value in report.items() if key != "failures"}, indent=2))
    print(f"{len(fuzz.failures)} failures")
    sys.exit(1 if fuzz.failures or peak > MAX_BYTES else 0)


def _run(fuzz: Fuzz, mutations: int, number: int) -> None:
    share = mutations // 2
    options = {
        "database": None,
        "deadline": None,
        "suppress_health_check": list(HealthCheck),
        "phases": [Phase.generate],
    }

    @seed(number)
    @settings(max_examples=share, **options)
    @given(dicom_damages(), st.sampled_from(sorted(fuzz.files)), st.integers(0, SLICES))
    def dicom(damages, kind, where):
        fuzz.dicom(damages, kind, where)

    @seed(number)
    @settings(max_examples=mutations - share, **options)
    @given(nifti_damages())
    def nifti(damages):
        fuzz.nifti_file(damages)

    dicom()
    nifti()


def _judges() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, initializer=_limit)


def _limit() -> None:
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def _too_long(*_: object) -> None:
    raise TimeoutError(f"longer than {MAX_SECONDS} s")


if __name__ == "__main__":
    main()
