"""What lies round a body: couch, mattress, head rest, blanket, cables, implants."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from livercascade.virtual.bodies.body_plan import Couch
from livercascade.virtual.bodies.body_tissue import BodyTissue
from livercascade.virtual.bodies.whole_body import WholeBody
from livercascade.virtual.body_builder import CREST_MM, SOCKET_MM
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue

_HEAD_FROM_MM = 300.0


def surround(body: WholeBody) -> None:
    """Couch, covers and cables in the air round the body."""
    _couch(body)
    body.paint(_HEAD_FROM_MM, 700.0, _head_rest)
    if body.plan.blanket:
        _blanket(body)
    for _ in range(body.plan.cables):
        _cable(body)


def implants(body: WholeBody) -> None:
    """One metal implant: hip, spine, pacemaker, port, denture; whatever of it the scan reaches throws streaks."""
    if not body.plan.metal:
        return
    rng, h, metal = body.rng, body.habitus, BodyTissue.METAL
    side = 1.0 if rng.random() < 0.5 else -1.0
    size = h.half_width / 168.0
    kind = int(rng.integers(4))
    if kind == 0:
        hip = np.array([SOCKET_MM, 2.0, side * 84.0 * size])
        course = np.stack(
            [
                hip,
                hip + np.array([-12.0, 2.0, side * 24.0]),
                hip + np.array([-40.0, 2.0, side * 36.0]),
                hip + np.array([-130.0, -4.0, side * 14.0]),
            ]
        )
        body.tissue_map.tube(course, np.array([17.0, 8.0, 9.0, 6.0]), metal)
    elif kind == 1:
        low = float(rng.uniform(CREST_MM, -60.0))
        for aside in (-20.0, 20.0):
            rod = np.array([[low, h.spine_y + 24.0, aside], [low + 90.0, h.spine_y + 26.0, aside]])
            body.tissue_map.tube(rod, np.full(2, 3.0), metal)
            for up in (5.0, 45.0, 85.0):
                screw = np.array([[low + up, h.spine_y + 24.0, aside], [low + up, h.spine_y - 6.0, 0.5 * aside]])
                body.tissue_map.tube(screw, np.full(2, 2.6), metal)
    elif kind == 2:
        box = np.array([[150.0, -h.half_depth + 14.0, 95.0], [165.0, -h.half_depth + 16.0, 80.0]])
        body.tissue_map.tube(box, np.full(2, 12.0), metal, (Tissue.FAT, Tissue.MUSCLE))
        lead = np.array([[160.0, -60.0, 70.0], [190.0, -30.0, -20.0], [100.0, -20.0, -36.0], [45.0, -34.0, 10.0]])
        body.tissue_map.tube(lead, np.full(4, 1.3), metal)
    else:
        for _ in range(int(rng.integers(2, 9))):
            at = np.array([rng.uniform(-200, 30), rng.uniform(-50, 40), rng.uniform(-80, 80)])
            clip = np.stack([at, at + rng.normal(0, 4, 3)])
            body.tissue_map.tube(clip, np.full(2, 1.2), metal, (Tissue.FAT, Tissue.BOWEL_WALL))


def _couch(body: WholeBody) -> None:
    """Shell and core of the table, flat or curved, with a mattress between it and the back, smooth or grooved."""
    kind, rng, tissue_map = body.plan.couch, body.rng, body.tissue_map
    half_depth = body.habitus.half_depth
    x = tissue_map.x.astype(np.float64)
    y = tissue_map.y[:, None].astype(np.float64)
    pad = float(rng.uniform(10, 34)) if kind in (Couch.MATTRESS, Couch.GROOVED) else float(rng.uniform(0, 8))
    back = 0.965 * half_depth
    bow = 0.0 if kind is Couch.FLAT else float(rng.uniform(8, 40))
    width = float(rng.uniform(190, 260))
    share = np.clip(np.abs(x) / width, 0, 1)
    over = back + pad - bow * share**2
    deep = float(rng.uniform(18, 80))
    # From a shallow bowl to a trough with a flat floor and slanting sides.
    under = (
        over + deep * np.minimum(1.0, float(rng.uniform(1.0, 2.5)) * (1.0 - share ** float(rng.uniform(1, 4)))) + 1.0
    )
    shell = float(rng.uniform(1.5, 4.0))
    on = (np.abs(x) <= width)[None]
    inside = (y >= over) & (y <= under) & on
    layers: list[tuple[np.ndarray, int]] = [(inside, BodyTissue.FOAM)]
    if pad > 8.0:
        layers.insert(0, (_mattress(y, x, over, pad, kind, rng) & on, BodyTissue.MATTRESS))
    rim = inside & ((y < over + shell) | (y > under - shell) | (np.abs(x) > width - shell)[None])
    layers.append((rim, Tissue.TABLE if rng.random() < 0.5 else BodyTissue.CARBON))
    if rng.random() < 0.35:
        edge = (np.abs(np.abs(x) - width + 8.0) < 3.0)[None] & (np.abs(y - over - 6.0) < 3.0)
        layers.append((edge, BodyTissue.CABLE))
    for where, tissue in layers:
        tissue_map.values[(tissue_map.values == Tissue.AIR) & where[None]] = tissue


def _mattress(
    y: np.ndarray, x: np.ndarray, over: np.ndarray, pad: float, kind: Couch, rng: np.random.Generator
) -> np.ndarray:
    """Where the mattress is: it rises at the sides of the body, and grooves run along it."""
    rise = pad + 0.25 * pad * np.clip(np.abs(x) / 150.0, 0, 1.5) ** 2
    top = over - rise
    filled = (y >= top) & (y < over)
    if kind is Couch.GROOVED:
        period, width = float(rng.uniform(24, 60)), float(rng.uniform(5, 16))
        groove = np.abs((x + 0.5 * period) % period - 0.5 * period) < 0.5 * width
        filled &= ~(groove[None] & (y < top + float(rng.uniform(0.4, 0.9)) * pad))
    if rng.random() < 0.5:
        # A cover of cloth or plastic with soft core: only its skin is dense.
        core = (y > top + 2.5) & (y < over - 2.0)
        filled &= ~core
    return filled


def _head_rest(body: WholeBody) -> None:
    x, y = body.straight[2], body.straight[1]
    radius = float(body.rng.uniform(105, 130))
    middle = body.neck_y - 16.0
    shell = np.abs(np.hypot(x, y - middle) - radius) - float(body.rng.uniform(1.5, 3.5))
    shell = np.maximum(shell, middle + 20.0 - y).astype(np.float32)
    cushion = np.maximum(np.hypot(x, y - middle) - radius, middle + 30.0 - y).astype(np.float32)
    body.tissue_map.fill(cushion, (0.0, BodyTissue.FOAM), only=(Tissue.AIR,))
    body.tissue_map.fill(shell, (0.0, BodyTissue.CARBON), only=(Tissue.AIR, BodyTissue.FOAM))


def _blanket(body: WholeBody) -> None:
    """A sheet that lies on the body in folds, in front and to the sides."""
    away = 7.0 + 5.0 * coarse_noise(body.shape, (14.0, 7.0, 7.0), body.rng)
    sheet = np.abs(body.skin - away) - float(body.rng.uniform(0.8, 2.5))
    sheet = np.maximum(sheet, body.y - 0.55 * body.habitus.half_depth)
    end = float(body.rng.uniform(-100, 180))
    sheet = np.maximum(sheet, body.straight[0] - end).astype(np.float32)
    body.tissue_map.fill(sheet, (0.0, BodyTissue.CLOTH), only=(Tissue.AIR,))


def _cable(body: WholeBody) -> None:
    """A cable or drip tube along the front or the side of the body."""
    h, rng = body.habitus, body.rng
    z = body.tissue_map.z
    angle = float(rng.uniform(-2.6, -0.5))
    count = 12
    heights = np.linspace(float(z[0]), float(z[-1]), count)
    wave = np.cumsum(rng.normal(0, 0.06, count))
    gap = 1.05 + np.abs(rng.normal(0, 0.06, count))
    course = _round(h.half_depth, h.half_width, angle + wave, gap)
    points = np.concatenate([heights[:, None], course], axis=1)
    first = int(rng.integers(0, count - 3))
    radius = float(rng.uniform(1.0, 2.6))
    part = points[first : first + int(rng.integers(3, count))]
    body.tissue_map.tube(part, np.full(len(part), radius), BodyTissue.CABLE, (Tissue.AIR, BodyTissue.CLOTH))


def _round(half_y: float, half_x: float, angle: np.ndarray, gap: np.ndarray) -> Float32[np.ndarray, "n 2"]:
    return np.stack([half_y * gap * np.sin(angle), half_x * gap * np.cos(angle)], axis=1).astype(np.float32)
