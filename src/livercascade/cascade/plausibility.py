"""Is there a liver to be read: refused before the verdict, or warned of, where there is none.

Every measure has two ranges. Beyond the possible one, which no liver leaves, the scan is refused. Beyond the usual one,
which hardly any liver leaves, findings are given with a warning and without a verdict: a physician can look at them.
Limits follow from anatomy and from the attenuation of tissues, not from what a network finds; docs/concepts/refusal.md
names the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from livercascade.data.errors import InputError
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.detect.body import body_section, is_trunk
from livercascade.detect.liver_place import FACES, LiverPlace
from livercascade.detect.trunk import Trunk

NO_LIVER_ML = 150.0
"""Livers smaller than this are none: the smallest of adults, cirrhotic or resected, hold twice as much."""
SMALL_LIVER_ML = 500.0
"""Remnants after surgery may be as small; more often a part was not found."""
NO_CUT_LIVER_ML = 50.0
"""The same where the scan cuts the liver: the dome alone, for example."""
SPINE_SHARE, ODD_SHARE, SKIN_SHARE = 0.3, 0.15, 0.5
"""Least share of slices with a spine; largest share of the body at HU that no tissue has; least share of what lies
under the skin at the HU of fat or muscle."""
LOW_LUNG, HIGH_LUNG = 0.8, 0.4
"""Lungs as wide in the lowest sixth of a scan, and as narrow in the highest, against their widest: no liver follows."""
CUT_MM2 = 800.0
"""Section of the liver in the first or last slice from which it is cut rather than touched."""
PARTIAL_SHARE = 0.5
"""Section of the liver at a face of the scan, against its largest, from which a part may lie outside that matters. An
ellipsoid that is cut there has lost 6 % of its volume; one that is cut in the middle half of it."""
LUNG_BELOW_CM2 = 40.0
"""Section of the lungs in the lowest slice from which the scan ends above the lower end of any liver."""

_INF = math.inf
Range = tuple[float, float]
CONTRAST_HU: Range = (20.0, 200.0)
USUAL_HU: Mapping[Phase, Range] = {
    Phase.NC: (-30.0, 110.0),
    Phase.AP: CONTRAST_HU,
    Phase.VP: CONTRAST_HU,
    Phase.DP: CONTRAST_HU,
}
"""Median of the liver. Without contrast medium 45 to 65 HU, down to -30 in the severest steatosis, up to 110 with iron
or amiodarone; contrast medium adds 10 to 70 HU, nearly twice that at 80 kVp."""
POSSIBLE_HU: Range = (-60.0, 250.0)
"""No parenchyma lies outside in any phase."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Ranges of one measure of a found liver.

    Attributes:
        measure: Name of the field of `LiverPlace`.
        usual: Range outside which no verdict is given.
        possible: Range outside which the scan is refused.
        words: Sentence with the value in braces, and what it may mean.
    """

    measure: str
    usual: Range
    possible: Range
    words: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Value of one measure beside its ranges."""

    limit: Limit
    value: float

    @property
    def is_usual(self) -> bool:
        """True if a verdict can be given, as far as this measure goes."""
        return self.limit.usual[0] <= self.value <= self.limit.usual[1]

    @property
    def is_possible(self) -> bool:
        """True if the scan need not be refused, as far as this measure goes."""
        return self.limit.possible[0] <= self.value <= self.limit.possible[1]

    @property
    def words(self) -> str:
        """Clause that says the value."""
        return self.limit.words.format(self.value)


LIMITS = (
    Limit("volume_ml", (SMALL_LIVER_ML, 6000.0), (NO_LIVER_ML, 12_000.0), "it holds {:.0f} ml"),
    Limit("main_share", (0.6, _INF), (0.0, _INF), "only {:.0%} of what looks like liver is one organ"),
    Limit("radius_mm", (22.0, _INF), (12.0, _INF), "it is thin: no ball of more than {:.0f} mm radius fits into it"),
    Limit("even_share", (0.5, _INF), (0.3, _INF), "only {:.0%} of it has about the same HU"),
    Limit(
        "right_share",
        (0.5, _INF),
        (0.35, _INF),
        "only {:.0%} of it lies on the patient's right of the spine: the image may be mirrored",
    ),
    Limit(
        "front_share",
        (0.7, _INF),
        (0.5, _INF),
        "only {:.0%} of it lies in front of the spine: front and back may be exchanged",
    ),
    Limit(
        "lung_above_mm",
        (0.0, _INF),
        (-20.0, _INF),
        "the middle of the lungs lies {:.0f} mm above its own: the image may be upside-down",
    ),
    Limit("dome_above_mm", (-20.0, _INF), (-60.0, _INF), "its top lies {:.0f} mm above the lowest lung"),
    Limit("lung_share", (-_INF, 0.4), (-_INF, 0.6), "{:.0%} of the trunk is lung where it is largest"),
    Limit("bare_share", (-_INF, 0.25), (-_INF, 0.5), "{:.0%} of its surroundings lie outside the body"),
)
"""Limits of every measure but HU and cuts."""
NO_LUNG = Limit("scan_above_mm", (0.0, 0.0), (0.0, 30.0), "hardly any lung is seen up to {:.0f} mm above it")
"""A scan without any lung hardly ever shows the dome of a liver, and never 3 cm above it: even over an effusion there
is some air."""
_SIZE, _LUNG = frozenset({"volume_ml", "radius_mm"}), frozenset({"lung_above_mm", "dome_above_mm"})


def check_trunk(scan: Scan) -> Trunk:
    """Refuse what shows no trunk, before the network, which knows trunks only, finds a liver in it.

    Returns:
        Body, lungs and spine of the reference phase.

    Raises:
        InputError: ``NO_LIVER`` for a head, a limb, a phantom, or a scan that ends in the chest; ``NOT_HU`` where the
            values under the skin, or in the whole body, are those of no tissue.
    """
    hu = scan.hu[scan.reference]
    area_cm2, bone_share = body_section(hu, scan.grid)
    if not is_trunk(area_cm2, bone_share):
        raise InputError(
            "NO_LIVER",
            f"The body's section is {area_cm2:.0f} cm² with {bone_share:.0%} bone: not an adult trunk.",
            "Give a CT of the upper abdomen.",
            stage="segment",
        )
    trunk = Trunk.of(hu, scan.grid)
    _check_tissue(trunk)
    if trunk.spine_share < SPINE_SHARE:
        raise InputError(
            "NO_LIVER",
            f"A spine is seen at the back in {trunk.spine_share:.0%} of the slices: not a trunk, or front and back "
            "are exchanged.",
            "Give a CT of the upper abdomen; check the orientation in the header.",
            stage="segment",
        )
    _check_lungs(trunk)
    return trunk


def _check_tissue(trunk: Trunk) -> None:
    odd, skin = trunk.odd_share, trunk.soft_skin_share
    if odd > ODD_SHARE or skin < SKIN_SHARE:
        raise InputError(
            "NOT_HU",
            f"{odd:.0%} of the body has HU that no tissue has, and {skin:.0%} of what lies under the skin those of fat "
            "or muscle: this is no CT in Hounsfield units.",
            "Give the CT itself in HU, not MR or PET, and not a rescaled image.",
            stage="segment",
        )


def _check_lungs(trunk: Trunk) -> None:
    section = trunk.lung_cm2()
    ends, widest = max(1, len(section) // 6), float(section.max())
    low, high = (float(part.max()) for part in (section[:ends], section[-ends:]))
    if widest > 0 and low >= LOW_LUNG * widest and high <= HIGH_LUNG * widest:
        raise InputError(
            "NO_LIVER",
            f"The lungs are widest at the lower end of the scan ({low:.0f} cm²): it ends in the chest, or is "
            "upside-down.",
            "Give a CT of the upper abdomen; check the orientation in the header.",
            stage="segment",
        )


def check_liver(place: LiverPlace, *, volume_alone: bool = False) -> tuple[Notice, ...]:
    """Refuse what cannot be a liver, and warn of one that no verdict, or only a careful one, can rest on.

    Args:
        place: Measures of what was found.
        volume_alone: True asks for nothing but 150 ml.

    Returns:
        Warnings; with one whose code is in `NO_VERDICT` no verdict is given.

    Raises:
        InputError: ``NO_LIVER`` if too little was found; ``LIVER_IMPLAUSIBLE`` if a measure is impossible.
    """
    cut = [] if volume_alone else cut_faces(place)
    if place.volume_ml < (NO_CUT_LIVER_ML if cut else NO_LIVER_ML):
        raise no_liver(place.volume_ml)
    if volume_alone:
        return tuple(_touching_end(place))
    reasons = [one.words for one in measured(place) if not one.is_possible]
    if reasons:
        raise InputError(
            "LIVER_IMPLAUSIBLE",
            f"What was found as liver cannot be one: {'; '.join(reasons)}.",
            "Give a CT of the upper abdomen; check orientation and HU.",
            stage="segment",
        )
    return tuple(_warnings(place, cut))


def no_liver(volume_ml: float) -> InputError:
    """Error ``NO_LIVER`` for a scan in which hardly any liver was found, or none."""
    return InputError(
        "NO_LIVER",
        f"Only {volume_ml:.0f} ml of liver were found in the scan.",
        "Give a CT of the upper abdomen; check orientation and HU.",
        stage="segment",
    )


def measured(place: LiverPlace) -> Iterator[Measured]:
    """Every measure that applies to a liver.

    Its size is not judged where the scan cuts it, nor its place under the lungs where the dome is cut off.
    """
    cut = cut_faces(place)
    skipped = (_SIZE if cut else frozenset[str]()) | (_LUNG if "upper" in cut else frozenset[str]())
    for limit in LIMITS:
        value = getattr(place, limit.measure)
        if value is not None and limit.measure not in skipped:
            yield Measured(limit, float(value))
    if place.lung_above_mm is None and "upper" not in cut:
        yield Measured(NO_LUNG, place.scan_above_mm)
    for phase, value in place.hu.items():
        words = "its median is {:.0f} HU in the " + f"{phase.title} phase"
        yield Measured(Limit(f"hu {phase.value}", USUAL_HU[phase], POSSIBLE_HU, words), value)


def cut_faces(place: LiverPlace) -> list[str]:
    """Faces of the scan that cut off a part of the liver that matters."""
    cut = [face for face, share in zip(FACES, place.cut_shares, strict=True) if share >= PARTIAL_SHARE]
    ends_in_chest = place.lung_below_cm2 >= LUNG_BELOW_CM2 and "lower" not in cut
    return ["lower", *cut] if ends_in_chest else cut


def _warnings(place: LiverPlace, cut: list[str]) -> Iterator[Notice]:
    to_read = "A radiologist has to read the study; findings are listed for that."
    if cut:
        message = f"The scan ends in the liver ({', '.join(cut)}): a part of it is not seen. No verdict is given."
        yield Notice("LIVER_PARTIAL", message, "Give a scan of the whole liver.")
    else:
        yield from _touching_end(place)
    small = not cut and place.volume_ml < SMALL_LIVER_ML
    if small:
        message = f"Only {place.volume_ml:.0f} ml of liver were found; parts may be missing. No verdict is given."
        yield Notice("SMALL_LIVER", message, to_read)
    unusual = [x.words for x in measured(place) if not x.is_usual and not (small and x.limit.measure == "volume_ml")]
    if unusual:
        message = f"The liver that was found is unusual: {'; '.join(unusual)}. No verdict is given."
        yield Notice("LIVER_UNUSUAL", message, to_read)


def _touching_end(place: LiverPlace) -> Iterator[Notice]:
    if max(place.end_mm2) > CUT_MM2:
        message = "The liver reaches the first or last slice: volumes are partial, lesions may be missed."
        yield Notice("LIVER_CUT", message)
