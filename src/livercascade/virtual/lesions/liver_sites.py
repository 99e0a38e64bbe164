"""Where a lesion lies: Couinaud segments, capsule, dome, hilum, room between lesions (docs/virtual.md, placement)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.labels import LesionType
from livercascade.virtual.anatomy import Anatomy
from livercascade.virtual.lesions.enhancement_pattern import Pattern, radius_mm
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue

SECTORS = ((("VII", "VI"), 15, 12), (("VIII", "V"), 26, 13), (("IVa", "IVb"), 7, 7), (("II", "III"), 8, 9))
"""Upper and lower segment of the sectors from right to left, with their shares of the liver in per cent."""
CAUDATE_SHARE = 0.03
# Distance between lesions; satellites lie nearer to the lesion they belong to.
_GAP_MM = 6.0


@dataclass(slots=True)
class LiverMap:
    """Points of a liver about 4 mm apart, and what is known of each.

    Attributes:
        places: Positions (z, y, x) in mm.
        depth: Distance to the surface, mm.
        segment: Couinaud segment.
        dome: Under the dome.
        from_hilum: Distance to the hilum, mm.
        outward: Direction from the point to the nearest place outside.
        taken: Centres and radii of lesions so far.
    """

    places: Float32[np.ndarray, "n 3"]
    depth: Float32[np.ndarray, " n"]
    segment: np.ndarray
    dome: Bool[np.ndarray, " n"]
    from_hilum: Float32[np.ndarray, " n"]
    outward: Float32[np.ndarray, "n 3"]
    taken: list[tuple[Triple, float]] = field(default_factory=list[tuple[Triple, float]])

    @classmethod
    def of(cls, anatomy: Anatomy) -> LiverMap:
        """Map of the liver as it is painted now."""
        tissue_map = anatomy.tissue_map
        stride = [max(1, round(4.0 / step)) for step in tissue_map.steps]
        # One strided copy of a byte map: cheaper than a search at full size.
        coarse = np.ascontiguousarray(tissue_map.values[:: stride[0], :: stride[1], :: stride[2]])
        liver = np.isin(coarse, LIVER_TISSUES)
        index = np.argwhere(coarse == Tissue.LIVER)
        sampling = [step * n for step, n in zip(tissue_map.steps, stride, strict=True)]
        depth, nearest = ndimage.distance_transform_edt(liver, sampling=sampling, return_indices=True)
        rows = tuple(index.T)
        outside = np.stack([axis[rows] for axis in nearest], axis=1)
        outward = ((outside - index) * np.asarray(sampling)).astype(np.float32)
        outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-3)
        axes = (tissue_map.z, tissue_map.y, tissue_map.x)
        places = np.stack([axis[index[:, k] * stride[k]] for k, axis in enumerate(axes)], axis=1)
        from_hilum = np.linalg.norm(places - anatomy.hilum, axis=1).astype(np.float32)
        tall = places[:, 0] > (np.quantile(places[:, 0], 0.88) if len(places) else 0.0)
        return cls(
            places,
            np.asarray(depth)[rows].astype(np.float32),
            segments(places, anatomy.hilum),
            tall & (outward[:, 0] > 0.6),
            from_hilum,
            outward,
        )

    def choose(self, label: LesionType, volume_ml: float, pattern: Pattern, rng: np.random.Generator) -> Site | None:
        """Site of a lesion, None where the liver has no room."""
        radius = radius_mm(volume_ml)
        kind = _kind(label, pattern, rng)
        wanted = self._wanted(kind, radius)
        for rank in (wanted & self._fits(radius), self._fits(radius), self._fits(0.6 * radius)):
            spots = np.flatnonzero(rank)
            if spots.size:
                return self._site(int(rng.choice(spots)), kind)
        return None

    def near(self, centre: Triple, low: float, high: float, rng: np.random.Generator) -> Site | None:
        """Site of a satellite between two distances from a lesion's centre."""
        apart = np.linalg.norm(self.places - np.asarray(centre, dtype=np.float32), axis=1)
        spots = np.flatnonzero((apart > low) & (apart < high) & self._fits(4.0))
        return self._site(int(rng.choice(spots)), "near") if spots.size else None

    def _site(self, spot: int, kind: str) -> Site:
        z, y, x = (float(v) for v in self.places[spot])
        found = "subcapsular" if kind == "any" and self.depth[spot] < 5.0 else kind
        return Site((z, y, x), str(self.segment[spot]), found, self.outward[spot], float(self.depth[spot]))

    def _wanted(self, kind: str, radius: float) -> Bool[np.ndarray, " n"]:
        edge = (self.depth > 0.55 * radius) & (self.depth < radius + 4.0)
        return {
            "lens": self.depth < 7.0,
            "subcapsular": edge,
            "dome": self.dome & edge,
            "hilum": self.from_hilum < max(30.0, 1.2 * radius),
            "any": self.depth > 0.8 * min(radius, 25.0),
        }[kind]

    def _fits(self, radius: float) -> Bool[np.ndarray, " n"]:
        free = np.ones(len(self.places), dtype=bool)
        for centre, other in self.taken:
            apart = np.linalg.norm(self.places - np.asarray(centre, dtype=np.float32), axis=1)
            free &= apart > 1.1 * (radius + other) + _GAP_MM
        return free


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where one lesion goes.

    Attributes:
        centre: (z, y, x) in mm.
        segment: Couinaud segment of the centre.
        kind: ``subcapsular``, ``dome``, ``hilum``, ``lens``, ``near`` another lesion or ``any``.
        outward: Unit vector to the nearest surface.
        depth: Distance to it, mm.
    """

    centre: Triple
    segment: str
    kind: str
    outward: Float32[np.ndarray, " 3"]
    depth: float


def segments(places: Float32[np.ndarray, "n 3"], hilum: np.ndarray) -> np.ndarray:
    """Couinaud segment of each point, cut so that the shares of the liver are those of the literature.

    The caudate lobe is what lies closest behind the hilum; sectors are cut by the angle round an axis behind it,
    segments by height.
    """
    out = np.full(len(places), "I", dtype="<U4")
    if not len(places):
        return out
    z, y, x = (places[:, k].astype(np.float64) - hilum[k] for k in range(3))
    behind = np.sqrt(z**2 + (y - 18.0) ** 2 + (x - 10.0) ** 2)
    rest = behind > np.quantile(behind, CAUDATE_SHARE)
    # From the right back, over the front, to the left: the IVC lies some 25 mm behind the hilum.
    angle = np.arctan2(x - 5.0, -(y - 25.0))
    start, total = 0.0, float(sum(low + high for _, low, high in SECTORS))
    for (upper, lower), high, low in SECTORS:
        stop = start + (high + low) / total
        bounds = np.quantile(angle[rest], [start, min(stop, 1.0)])
        inside = rest & (angle >= bounds[0]) & (angle <= bounds[1])
        if inside.any():
            level = np.quantile(z[inside], low / (high + low))
            out[inside & (z >= level)], out[inside & (z < level)] = upper, lower
        start = stop
    return out


def _kind(label: LesionType, pattern: Pattern, rng: np.random.Generator) -> str:
    if pattern.lens:
        return "lens"
    draw = rng.random()
    if label is LesionType.ICC and draw < 0.3:
        return "hilum"
    if draw < pattern.subcapsular:
        return "subcapsular"
    return "dome" if draw < pattern.subcapsular + 0.09 else "any"
