"""A network that nnU-Net v2 trained, as UNet^whole of the cascade. nnU-Net need not be installed.

python examples/import_nnunet.py nnUNetTrainer__nnUNetPlans__3d_fullres model
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import livercascade as lc
from livercascade.data.dataset_names import DatasetNames
from livercascade.segment.nnunet_import import import_nnunet


def main(
    trained: Path, model: Path, channels: Sequence[str] = ("0=VP",), labels: Sequence[str] = ("tumor=HCC",)
) -> lc.Cascade:
    # What names do not say has to be said: `CT` could be any phase, `tumor` any type.
    made = import_nnunet(trained, model, DatasetNames.parse(channels, labels))
    for note in made.notes:
        print(f"note: {note}")
    cascade = lc.Cascade.load(whole=model)
    print(
        f"{cascade.segmenter.name} needs {', '.join(phase.value for phase in cascade.segmenter.needs) or 'any phase'}"
    )
    return cascade


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
