"""Phases by the image alone: virtual studies stripped of every tag, and real scans; how far trust holds.

    python benchmarks/phases.py --cases 100 --out runs/phases

Each virtual study is identified three ways: all four phases at once, three of them, and each volume alone. A phase is
right, wrong, or unknown (trust below `MIN_CONFIDENCE`; a volume that only stands in for the venous phase counts as
unknown). HU of organs are kept in the folder, so that a second run measures nothing anew.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from livercascade.data.labels import PHASES, Phase
from livercascade.io.nifti import read_ct
from livercascade.io.phase_from_image import OrganHu, measure_organ_hu, phase_probabilities
from livercascade.io.phase_identification import PhaseDecision, PhaseEvidence, identify_phases, stand_in
from livercascade.io.study_reader import read_study
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import CaseMix, VirtualSettings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FIRST_SEED = 870_000
LIMITS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.95)
# Phases of the real studies, judged from HU and order; those of single scans stand in their info.json.
STUDIES = {"hcc_tace_005_pre": "NC AP VP", "hcc_tace_002": "AP VP", "hcc_tace_005_post": "AP AP VP"}


def settings_of(number: int, matrix: int) -> VirtualSettings:
    """Every third patient is randomised beyond the textbook, every second healthy, every third of a real anatomy."""
    atlases = tuple(sorted((DATA / "anatomies").glob("*.nii.gz"))) if number % 3 == 1 else ()
    mix = CaseMix.SCREENING if number % 2 else CaseMix.DIAGNOSIS
    return VirtualSettings(
        matrix=matrix, subslices=2, mix=mix, randomise=number % 3 == 2, anatomies=atlases, anatomy_share=1.0
    )


def virtual_organs(cases: int, matrix: int, out: Path) -> Iterator[dict[Phase, OrganHu]]:
    """HU of aorta and liver per phase of each patient; measured once."""
    for number in range(cases):
        file = out / f"{FIRST_SEED + number}-{matrix}.json"
        if not file.is_file():
            patient = make_patient(FIRST_SEED + number, settings_of(number, matrix))
            found = {p.value: measure_organ_hu(hu, patient.grid) for p, hu in patient.hu.items()}
            file.write_text(json.dumps({name: (organs.aorta, organs.liver) for name, organs in found.items()}))
        stored = json.loads(file.read_text())
        yield {phase: OrganHu(*stored[phase.value]) for phase in PHASES}


def decided(organs: Sequence[OrganHu]) -> tuple[PhaseDecision, ...]:
    """Phases of volumes of which nothing but the image is known."""
    evidence = [PhaseEvidence(str(i), phase_probabilities(one), organs=one) for i, one in enumerate(organs)]
    return identify_phases(evidence)


def outcome(phase: Phase, decision: PhaseDecision, limit: float) -> str:
    """Right, wrong or unknown at a limit of trust."""
    if decision.confidence < limit:
        return "unknown"
    return "right" if decision.phase is phase else "wrong"


def judge_virtual(patients: Sequence[dict[Phase, OrganHu]]) -> None:
    """Tables of the virtual studies."""
    ways = {
        "four phases": [PHASES],
        "NC, AP, VP": [(Phase.NC, Phase.AP, Phase.VP)],
        "AP, VP": [(Phase.AP, Phase.VP)],
        "each alone": [(phase,) for phase in PHASES],
    }
    print(f"{len(patients)} virtual studies, nothing known but the image")
    print(f"{'read as':12} {'phase':6} " + " ".join(f"{f'trust {limit}':>20}" for limit in LIMITS))
    for name, groups in ways.items():
        made = [
            (phase, decision)
            for organs in patients
            for group in groups
            for phase, decision in zip(group, decided([organs[p] for p in group]), strict=True)
        ]
        for phase in PHASES:
            own = [decision for p, decision in made if p is phase]
            if not own:
                continue
            cells: list[str] = []
            for limit in LIMITS:
                counts = Counter(outcome(phase, decision, limit) for decision in own)
                shares = [counts[k] / len(own) for k in ("right", "unknown", "wrong")]
                cells.append("{:5.1%} {:5.1%} {:5.1%}".format(*shares))
            print(f"{name:12} {phase.value:6} " + " ".join(f"{cell:>20}" for cell in cells))
    print("(right, unknown, wrong)")
    studies = [decided([organs[p] for p in PHASES]) for organs in patients]
    for limit in LIMITS:
        wrong = sum(
            any(outcome(p, d, limit) == "wrong" for p, d in zip(PHASES[:3], made[:3], strict=True)) for made in studies
        )
        print(f"trust {limit}: a wrong NC, AP or VP in {wrong} of {len(studies)} studies ({wrong / len(studies):.1%})")


def judge_real() -> None:
    """What is thought of each real scan: by its image alone, and within its study."""
    if not DATA.is_dir():
        print("no real scans here")
        return
    print("\nreal scans: phase by a reader, then by the image")
    for info in sorted((DATA / "real_ct").glob("*/info.json")):
        if not (info.parent / "image.nii.gz").is_file():
            continue
        said = json.loads(info.read_text()).get("phase", "")
        hu, grid, _ = read_ct(info.parent / "image.nii.gz")
        organs = measure_organ_hu(hu, grid)
        evidence = [PhaseEvidence("a", phase_probabilities(organs), organs=organs)]
        (one,) = stand_in(evidence, identify_phases(evidence))
        shares = " ".join(f"{p.value} {share:.2f}" for p, share in one.shares.items())
        print(f"{info.parent.name:20} {said[:42]:42} {(one.phase.value if one.known else 'unknown'):8} {shares}")
    for name, phases in STUDIES.items():
        folder = DATA / name
        if (folder / "dicom").is_dir():
            volumes = read_study(folder / "dicom").volumes
            found = [f"{v.description} {v.phase.value} {v.confidence:.2f}" for v in volumes]
        else:
            read = [(f.name, read_ct(f)) for f in sorted(folder.glob("*.nii.gz"))]
            made = decided([measure_organ_hu(hu, grid) for _, (hu, grid, _) in read])
            found = [
                f"{f} {d.phase.value if d.known else 'unknown'} {d.confidence:.2f}"
                for (f, _), d in zip(read, made, strict=True)
            ]
        print(f"{name} ({phases}): {'; '.join(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--matrix", type=int, default=320)
    parser.add_argument("--out", type=Path, default=Path("runs/phases"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    judge_virtual(list(virtual_organs(options.cases, options.matrix, options.out)))
    judge_real()


if __name__ == "__main__":
    main()
