"""One registration by one engine in a process of its own: writes the field, prints CPU seconds and peak memory.

Engines that are not ours run in the benchmark's own environment; each imports only what it needs.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any


def ours(fixed: Path, moving: Path, field: Path) -> None:
    """This project's DEEDS on one thread."""
    from livercascade.alignment.align_pair import align_pair
    from livercascade.alignment.align_settings import AlignSettings
    from livercascade.alignment.displacement_field import write_field
    from livercascade.data.labels import Phase
    from livercascade.data.scan import PhaseVolume
    from livercascade.io.nifti import read_nifti

    still, other = (PhaseVolume(phase, *read_nifti(path)) for phase, path in ((Phase.VP, fixed), (Phase.AP, moving)))
    write_field(field, align_pair(still, other, settings=AlignSettings(threads=1)).field)


def simpleitk(fixed: Path, moving: Path, field: Path) -> None:
    """SimpleITK with Mattes mutual information: affine, then B-splines, up to 60 LBFGSB steps per resolution."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    still, other = (sitk.Clamp(sitk.ReadImage(str(p)), sitk.sitkFloat32, -1024, 600) for p in (fixed, moving))
    start = sitk.AffineTransform(3)
    start.SetCenter(still.TransformContinuousIndexToPhysicalPoint([n / 2 for n in still.GetSize()]))
    affine = _mattes(sitk, shrink=(4, 2), smooth=(2, 1), share=0.05)
    affine.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100)
    affine.SetOptimizerScalesFromPhysicalShift()
    affine.SetInitialTransform(start, inPlace=True)
    affine.Execute(still, other)
    splines = _mattes(sitk, shrink=(4, 2), smooth=(4, 2), share=0.05)
    mesh = sitk.BSplineTransformInitializer(still, [6, 8, 8], order=3)
    splines.SetMovingInitialTransform(start)
    splines.SetInitialTransform(mesh, inPlace=True)
    splines.SetOptimizerAsLBFGSB(1e-5, 60)
    bent = splines.Execute(still, other)
    convert = sitk.TransformToDisplacementFieldFilter()
    convert.SetReferenceImage(still)
    whole = convert.Execute(sitk.CompositeTransform([start, bent]))
    sitk.WriteImage(sitk.Cast(whole, sitk.sitkVectorFloat32), str(field))


def ants(fixed: Path, moving: Path, field: Path) -> None:
    """ANTs SyN through ANTsPy with its defaults (affine, then SyN with Mattes mutual information)."""
    import ants as antspy

    still, other = (antspy.image_read(str(p)) for p in (fixed, moving))
    found = antspy.registration(still, other, type_of_transform="SyN", random_seed=1)
    with tempfile.TemporaryDirectory() as folder:
        transforms = found["fwdtransforms"]
        made = antspy.apply_transforms(still, other, transforms, compose=str(Path(folder) / "whole"))
        Path(field).write_bytes(Path(made).read_bytes())


def peak_mb() -> float:
    """Peak resident memory of this process alone; ``ru_maxrss`` would count the benchmark's own, taken over at fork.

    As `livercascade.system.memory`, which the environment of the other engines does not have.
    """
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


ENGINES = {"ours": ours, "simpleitk": simpleitk, "ants": ants}


def _mattes(sitk: Any, shrink: tuple[int, ...], smooth: tuple[float, ...], share: float) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(share, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel(list(smooth))
    return method


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    ENGINES[name](*map(Path, paths))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": peak_mb()}))
