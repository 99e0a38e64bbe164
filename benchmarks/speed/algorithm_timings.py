"""Time of single algorithms of the cascade beside other libraries and the paper's definitions written out in numpy."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import cc3d
import numpy as np
import paper_definitions
import torch
from measuring import cpu_seconds, in_turns
from scipy import ndimage
from skimage import measure
from synthetic_maps import GRID, lesion_map

from livercascade.alignment.align_pair import align_pair
from livercascade.alignment.align_settings import AlignSettings
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.detect.match import Outcome, match
from livercascade.detect.seg2det import seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.io.study_reader import read_study
from livercascade.reclassification.patches import PatchVolume, Scheme, liver_region, patch_labels
from livercascade.reclassification.shuffle import shuffle
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import VirtualSettings

Seconds = dict[str, list[float]]
IMPORTS = {
    "livercascade --help": ["-m", "livercascade.cli.main", "--help"],
    "imports of predict": ["-c", "import livercascade.cli.predict_command, openvino"],
    "imports of nnUNetPredictor": ["-c", "import nnunetv2.inference.predict_from_raw_data"],
}


def components(rounds: int, count: int) -> dict[str, Any]:
    """CPU seconds of seg2det beside plain labelling by others, on the same synthetic map."""
    labels = lesion_map(count)
    lesion = (labels >= 1) & (labels <= 6)
    full = np.ones((3, 3, 3))
    works = {
        "seg2det (livercascade)": lambda: seg2det(labels, GRID),
        "cc3d, plain labels": lambda: cc3d.connected_components(lesion, connectivity=26),
        "scipy.ndimage, plain labels": lambda: ndimage.label(lesion, structure=full),
        "skimage, plain labels": lambda: measure.label(lesion, connectivity=3),
        "seg2det, written out": lambda: paper_definitions.seg2det(labels, 0.5 / GRID.voxel_ml),
    }
    ours = sorted((x.label, round(x.volume_ml / GRID.voxel_ml)) for x in seg2det(labels, GRID))
    equal = ours == sorted(paper_definitions.seg2det(labels, 0.5 / GRID.voxel_ml * (1 - 1e-9)))
    return {"seconds": in_turns(works, rounds), "lesions": len(ours), "equal": equal}


def masks(rounds: int, slices: int) -> dict[str, Any]:
    """CPU seconds of the masks at f = 1 and 4 from 14 classes on the CT grid, and whether they are equal."""
    logits = torch.nn.functional.avg_pool3d(torch.randn(1, 14, slices, 512, 512) * 20, (1, 9, 9), 1, (0, 4, 4))[0]
    probabilities = torch.softmax(logits, dim=0).numpy()
    # The map compares logarithms: those of the very probabilities that the definition multiplies.
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    smap = SensitivityMap.from_logits(logs)
    works = {
        "masks, written out (eq. 2, 3)": lambda: [paper_definitions.mask(probabilities, f) for f in (1.0, 4.0)],
        "SensitivityMap and its masks": lambda: [SensitivityMap.from_logits(logs).mask(f) for f in (1.0, 4.0)],
        "7 masks, written out": lambda: [paper_definitions.mask(probabilities, 2.0**k) for k in range(-2, 5)],
        "7 masks of a SensitivityMap": lambda: [smap.mask(2.0**k) for k in range(-2, 5)],
    }
    differ = sum(int((smap.mask(f) != paper_definitions.mask(probabilities, f)).sum()) for f in (1.0, 4.0))
    return {"seconds": in_turns(works, rounds), "differ": differ, "voxels": 2 * smap.margin.size, "slices": slices}


def matching(rounds: int, lesions: int, maps: str) -> dict[str, Any]:
    """CPU seconds of match on ``lesions`` true and found ones; the maps are kept for picai_eval."""
    truth, found = (np.where(lesion_map(lesions, shift=s) <= 6, np.uint8(1), np.uint8(0)) for s in (0, 5))
    np.savez_compressed(maps, truth=truth, found=found)
    sets = [seg2det(m, GRID, min_volume_ml=0) for m in (truth, found)]
    instances = [one.instances() for one in sets]
    types = tuple([lesion.label for lesion in one] for one in sets)
    works = {
        "match": lambda: match(*sets),
        "seg2det of both, and match": lambda: match(*(seg2det(m, GRID, min_volume_ml=0) for m in (truth, found))),
    }
    seconds = in_turns(works, rounds)
    begin = time.process_time()
    counted = paper_definitions.match(*instances, types)
    seconds["match, written out"] = [time.process_time() - begin]
    made = match(*sets)
    outcomes = [*made.found_outcomes, *(o for o in made.truth_outcomes if o is Outcome.FN)]
    equal = all(counted[o.value] == outcomes.count(o) for o in Outcome)
    counts = [outcomes.count(o) for o in (Outcome.TP, Outcome.FP, Outcome.FN)]
    return {"seconds": seconds, "lesions": [len(one) for one in sets], "equal": equal, "counts": counts}


def shuffling(rounds: int, patches: int) -> Seconds:
    """CPU seconds for one patch of each scheme."""
    grid = Grid.axial((40, 300, 300), GRID.spacing)
    labels = lesion_map(12, grid=grid)
    image = np.random.default_rng(0).normal(size=(4, *labels.shape)).astype(np.float32)
    volume = PatchVolume.of(image, patch_labels(labels, liver_region(labels)), grid.spacing, [-1.0] * 4)
    lesions = seg2det(labels, grid)
    out: Seconds = {}
    for scheme in Scheme:
        rng = np.random.default_rng(0)

        def make(scheme: Scheme = scheme, rng: np.random.Generator = rng) -> None:
            for number in range(patches):
                shuffle(lesions[number % len(lesions)], volume, scheme, rng)

        out[scheme.value] = [s / patches for s in cpu_seconds(make, rounds)]
    return out


def alignment(study: str, rounds: int) -> Seconds:
    """CPU seconds of DEEDS for one pair of phases, compiled before."""
    volumes = {v.phase: v for v in read_study(Path(study)).volumes}
    pair = partial(align_pair, volumes[Phase.VP], volumes[Phase.AP], settings=AlignSettings(threads=1))
    return {"DEEDS, arterial to venous": cpu_seconds(pair, rounds)}


def virtual_patient(seed: int, matrix: int, rounds: int) -> Seconds:
    """CPU seconds of a virtual patient of four phases, not written to disk."""
    settings = VirtualSettings(matrix=matrix)
    return {f"virtual patient, {matrix} pixels": cpu_seconds(lambda: make_patient(seed, settings), rounds)}


def imports(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Wall and CPU seconds of whole processes."""
    out: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in IMPORTS}
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds + 1):
            for name, arguments in IMPORTS.items():
                before, begin = getrusage(RUSAGE_CHILDREN), time.perf_counter()
                subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=place)
                wall, after = time.perf_counter() - begin, getrusage(RUSAGE_CHILDREN)
                # The first round reads the files from disk.
                if number:
                    out[name]["wall"].append(wall)
                    out[name]["cpu"].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return out
