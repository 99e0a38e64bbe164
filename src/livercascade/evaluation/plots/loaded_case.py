"""The one case a figure shows, with its voxels: images, reference, evidence, and its patches made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, UInt8
from pydantic import ValidationError

from livercascade.cascade.align_study import align_study
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.errors import CascadeError, InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.data.scan import Scan
from livercascade.detect.liver import liver_with_content
from livercascade.evaluation.cohort.cohort_files import read_result
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.matching.matched_lesions import LesionSummary
from livercascade.io.nifti import read_labels
from livercascade.io.study_reader import read_study
from livercascade.reclassification.candidate import Candidate
from livercascade.reclassification.patches import Patch
from livercascade.reclassification.reclassify import make_patches
from livercascade.reclassification.working_grid import WorkingScan, to_working_grid
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import read_evidence
from livercascade.results.result import CaseResult
from livercascade.segment.model import Model

_SAME_MM = 1e-3
_BELOW_WINDOW = -200.0
"""HU shown outside the liver in patches: black in every phase."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Both networks, for figures that show their output.

    Attributes:
        whole: UNet^whole.
        patch: UNet^patch.
    """

    whole: Model
    patch: Model

    @property
    def hashes(self) -> tuple[str, str]:
        """SHA-256 of the weights."""
        return self.whole.card.sha256, self.patch.card.sha256


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCase:
    """One case with its voxels.

    Attributes:
        case_id: Its name.
        scan: The phases on one grid, as the cascade saw them.
        reference: Labels of the reference.
        evidence: Evidence that the cascade kept.
    """

    case_id: str
    scan: Scan
    reference: UInt8[np.ndarray, "z y x"]
    evidence: Evidence

    @property
    def phase(self) -> Phase:
        """The phase shown where only one is: venous if there is one."""
        return Phase.VP if Phase.VP in self.scan.hu else self.scan.reference

    def proposal(self, factor: float, wanted: LesionSummary) -> tuple[int, Lesion]:
        """Number and voxels of a proposal that a prediction holds.

        Raises:
            LookupError: The evidence has no such proposal.
        """
        for number, lesion in enumerate(self.evidence.proposals(factor)):
            # By place and size: numbers differ between the sets, which drop different small lesions.
            near = np.abs(np.subtract(lesion.centroid, wanted.centroid)).max() < _SAME_MM
            if near and lesion.mask.sum() == wanted.voxels:
                return number, lesion
        raise LookupError(f"case {self.case_id}: no proposal at {wanted.centroid}")


@dataclass(frozen=True, slots=True, eq=False)
class ProposalPatches:
    """The patches of one proposal of High, as reclassification judged them.

    Attributes:
        loaded: The case.
        outcome: The verdict.
        here: The proposal on the working grid.
        working: Liver in HU on the working grid; black outside.
        patches: The N patches in HU.
        inputs: The same patches as UNet^patch saw them; None without networks.
    """

    loaded: LoadedCase
    outcome: Candidate
    here: Lesion
    working: WorkingScan
    patches: tuple[Patch, ...]
    inputs: tuple[Patch, ...] | None

    def grid(self, patch: Patch) -> Grid:
        """Grid of a patch."""
        whole = self.working.grid
        x, y, z = (float(v) for v in whole.world(np.array(patch.start, dtype=np.float64)))
        depth, height, width = patch.labels.shape
        return Grid((depth, height, width), whole.spacing, (x, y, z), whole.direction)


def load_case(case: EvaluatedCase, source: str) -> LoadedCase:
    """Images and reference from the folder of the reference, evidence from the source of predictions.

    Raises:
        CascadeError: The images are not there or cannot be read, or the evidence cannot; or another version made the
            result (``OTHER_VERSION``).
    """
    folder, path = case.prediction_paths[source], case.reference_path
    if path is None:
        message = f"case {case.case_id}: its reference came as an array, without images."
        raise InputError("NO_IMAGES", message, "Give folders of files.", stage="evaluate")
    evidence, result = read_evidence(folder), read_result(folder)
    reference, _ = read_labels(path, is_ct=False)
    # The cascade may have been given fewer phases than lie beside the reference; it aligned those by the same settings.
    seen = {record.phase for record in result.inputs}
    study = read_study(path.parent)
    study = replace(study, volumes=tuple(volume for volume in study.volumes if volume.phase in seen))
    return LoadedCase(case.case_id, align_study(study, _settings(result).align).scan, reference, evidence)


def _settings(result: CaseResult) -> CascadeSettings:
    try:
        return CascadeSettings.model_validate(result.provenance.settings)
    except ValidationError as error:
        message = f"case {result.case_id}: its settings are those of livercascade {result.provenance.version}."
        raise InputError("OTHER_VERSION", message, "Run predict --evidence again.", stage="evaluate") from error


def patches_of(loaded: LoadedCase, number: int, networks: Networks | None) -> ProposalPatches:
    """Patches of a proposal of High, made again by the seed of the case.

    Args:
        loaded: The case.
        number: Position of the proposal among those of High.
        networks: Give the patches as UNet^patch saw them too; None gives HU alone.
    """
    evidence = loaded.evidence
    judged = evidence.reclassified(evidence.high_factor)
    mask = whole_mask(loaded, evidence.high_factor)
    shown = _working(loaded, mask, judged.proposals, None)
    made = _patches(evidence, shown, number, len(judged.proposals))
    inputs = None
    if networks is not None:
        seen = _working(loaded, mask, judged.proposals, networks.patch)
        inputs = _patches(evidence, seen, number, len(judged.proposals))
    return ProposalPatches(loaded, judged.candidates[number], shown.proposals[number], shown, made, inputs)


def whole_mask(loaded: LoadedCase, factor: float) -> UInt8[np.ndarray, "z y x"]:
    """Labels of the liver and its lesions on the scan's grid; other organs outside the liver's box are left out."""
    inside = loaded.evidence.mask(factor)
    out = np.zeros(loaded.scan.grid.shape, dtype=np.uint8)
    out[loaded.evidence.box] = np.where(liver_with_content(inside), inside, 0)
    return out


def patch_probabilities(
    patches: tuple[Patch, ...], networks: Networks, phases: tuple[Phase, ...]
) -> Float[np.ndarray, "n 8 16 128 128"]:
    """Softmax of UNet^patch for patches as it sees them."""
    run = networks.patch.on_phases(phases)
    logits = np.concatenate([np.asarray(run(patch.image[None]), dtype=np.float64) for patch in patches])
    # Less the largest, or the exponential overflows.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _working(
    loaded: LoadedCase, mask: UInt8[np.ndarray, "z y x"], proposals: LesionSet, patch: Model | None
) -> WorkingScan:
    def as_hu(phase: Phase, hu: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
        del phase
        return hu

    fill: Mapping[Phase, float] = {
        phase: _BELOW_WINDOW if patch is None else patch.fill(phase) for phase in loaded.scan.phases
    }
    return to_working_grid(
        loaded.scan, mask, proposals, normalise=as_hu if patch is None else patch.normalise, fill=fill
    )


def _patches(evidence: Evidence, working: WorkingScan, number: int, count: int) -> tuple[Patch, ...]:
    # High's patches come from the second stream of the seed, each proposal's from a stream of its own.
    seed = np.random.SeedSequence(evidence.settings.seed).spawn(2)[1]
    stream = np.random.default_rng(seed).spawn(count)[number]
    return make_patches(working.proposals[number], working.volume, evidence.settings, stream)


def unreadable(error: CascadeError) -> str:
    """Why a figure with images is missing, in one sentence."""
    return f"its images cannot be read: {error.message}"
