"""Training cases from studies without masks: the liver as a network sees it, where all views of the study agree.

The label comes from all phases and from each phase alone. Where these views differ, and at the liver's rim, nothing is
said. A training that hides phases then learns to see in one phase what its teacher saw in all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from livercascade.cascade.cascade import Cascade
from livercascade.cascade.plausibility import check_trunk
from livercascade.cascade.proposals import propose
from livercascade.data.coverage import COVERAGE_FILE, IGNORED, ClassCoverage, Coverage
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Organ
from livercascade.data.scan import Scan
from livercascade.io.nifti import write_nifti
from livercascade.io.study import Study
from livercascade.system.files import new_folder, write_file
from livercascade.system.progress import Progress
from livercascade.train.training_cases import LABELS_FILE

RIM_MM = 3.0
"""Half the width of the rim of which nothing is said: network and reader place the edge of a liver differently."""


def write_teacher_case(study: Study, cascade: Cascade, out: Path, *, progress: Progress | None = None) -> None:
    """Write a training case of a study: its phases on one grid, and the liver as the cascade's UNet^whole sees it.

    Lesions, vessels and all other organs are unlabelled.

    Args:
        study: Study without masks.
        cascade: Its segmenter is the teacher.
        out: Folder of the case, which must not be there.
        progress: Receiver of the progress.

    Raises:
        InputError: As `Cascade.align` and `Cascade.propose`: no trunk, or no liver in it.
    """
    scan = cascade.align(study, progress=progress).scan
    check_trunk(scan)
    labels = agreed_labels(list(_livers(scan, cascade, progress)), scan.grid)
    classes = {organ.title: ClassCoverage.UNLABELLED for organ in Organ if organ is not Organ.LIVER}
    coverage = Coverage(classes=classes | {"lesions": ClassCoverage.UNLABELLED})
    with new_folder(out) as fresh:
        for phase in scan.phases:
            write_nifti(fresh / f"{phase.value.lower()}.nii.gz", scan.hu[phase], scan.grid)
        write_nifti(fresh / LABELS_FILE, labels, scan.grid)
        write_file(fresh / COVERAGE_FILE, coverage.model_dump_json(indent=1) + "\n")


def agreed_labels(livers: list[Bool[np.ndarray, "z y x"]], grid: Grid) -> UInt8[np.ndarray, "z y x"]:
    """Liver where every view has it, background where none has it, to be ignored elsewhere and at the rim.

    Args:
        livers: The liver in each view.
        grid: Their grid.
    """
    every, some = np.logical_and.reduce(livers), np.logical_or.reduce(livers)
    depth = ndimage.distance_transform_edt(every, sampling=grid.spacing)
    away = ndimage.distance_transform_edt(~some, sampling=grid.spacing)
    labels = np.full(grid.shape, IGNORED, dtype=np.uint8)
    labels[depth > RIM_MM] = Organ.LIVER
    labels[away > RIM_MM] = 0
    return labels


def _livers(scan: Scan, cascade: Cascade, progress: Progress | None) -> Iterator[Bool[np.ndarray, "z y x"]]:
    """The liver by all phases, then by each alone; a phase in which no liver is found says nothing."""
    yield _liver(scan, cascade, progress)
    for phase in scan.phases if len(scan.phases) > 1 else ():
        view = replace(scan, hu={phase: scan.hu[phase]}, reference=phase)
        with contextlib.suppress(InputError):
            yield _liver(view, cascade, progress)


def _liver(view: Scan, cascade: Cascade, progress: Progress | None) -> Bool[np.ndarray, "z y x"]:
    sensitivity = cascade.segmenter.segment(view, progress=progress)
    return propose(sensitivity, view, cascade.settings.detect).liver
