"""Unique identifiers of DICOM results: the same result has the same ones, so that one sent again replaces itself."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from livercascade.data.labels import Phase
from livercascade.io.dicom_geometry import SlicePlacement
from livercascade.system.files import sha256_text


@dataclass(frozen=True, slots=True)
class ResultUids:
    """Identifiers of everything that follows from one input in one way.

    Attributes:
        key: Text that stands for input and way.
    """

    key: str

    @classmethod
    def of(cls, slices: Mapping[Phase, SlicePlacement], made_by: Sequence[str]) -> ResultUids:
        """Identifiers of what is made from these slices.

        Args:
            slices: Slices of each phase; study, series and instances count, not the names of files.
            made_by: Hashes of models and settings, in a fixed order.
        """
        parts = [
            f"{phase.value} {images[0].text('StudyInstanceUID')} {images[0].text('SeriesInstanceUID')} "
            + " ".join(image.sop_uid for image in images)
            for phase, images in sorted(((p, s.images) for p, s in slices.items()), key=lambda pair: pair[0].index)
        ]
        return cls(sha256_text("\n".join([*parts, *made_by])))

    def uid(self, kind: str) -> str:
        """Identifier of one thing, always the same (UUID version 5 under ``2.25``).

        >>> ResultUids("a").uid("seg") == ResultUids("a").uid("seg") != ResultUids("a").uid("sr")
        True
        """
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'livercascade {self.key} {kind}').int}"
