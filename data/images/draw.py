"""Draw the course's own style images: ``python data/images/draw.py`` writes them beside this file.

Each is made from a seed by a few rules of its own, twice as large as it is kept, so that all edges are smooth.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

from helpers import files

HEIGHT, WIDTH = 480, 640
SCALE = 2  # drawn so many times larger than kept

Array = np.ndarray


def colours(*names: str) -> Array:
    """Hexadecimal colours as ``(n, 3)`` in [0, 255], blue first, as OpenCV has them."""
    return np.array([[int(name[i : i + 2], 16) for i in (4, 2, 0)] for name in names], dtype=float)


def clouds(rng: np.random.Generator, cells: int) -> Array:
    """Smooth noise in [0, 1], as large as the canvas, with detail at four scales."""
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    total = np.zeros((height, width))
    for octave in range(4):
        n = cells * 2**octave
        grid = rng.random((n * height // width + 2, n + 2))
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.min()) / np.ptp(total)


def between(stops: Array, t: Array) -> Array:
    """Colours on the way from the first stop (t = 0) to the last (t = 1)."""
    x = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(t, x, stops[:, channel]) for channel in range(3)], axis=-1)


def jittered_grid(rng: np.random.Generator, spacing: float) -> Array:
    """Points ``(n, 2)`` of x and y that cover the canvas evenly, yet in no pattern, in random order."""
    xs, ys = np.meshgrid(np.arange(0, WIDTH * SCALE, spacing), np.arange(0, HEIGHT * SCALE, spacing))
    points = np.stack([xs, ys], axis=-1).reshape(-1, 2) + rng.uniform(-0.7, 0.7, (xs.size, 2)) * spacing
    return rng.permutation(points)


# --- Strokes along a flow field --------------------------------------------------------------------------------------


# Centre as shares of width and height, radius, and which way round.
EDDIES = ((0.16, 0.24, 95, 1), (0.53, 0.36, 150, -1), (0.86, 0.17, 110, 1), (0.72, 0.66, 70, 1), (0.27, 0.62, 85, -1))


def swirls(rng: np.random.Generator) -> Array:
    """A night of eddies: short strokes of thick paint that follow a field of vortices, lamps at their centres."""
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    y, x = np.mgrid[:height, :width].astype(float)
    u, v, glow = eddies(x, y)
    tone = np.clip(0.35 * clouds(rng, 5) + 0.2 * (1 - y / height) + 0.1, 0, 1)
    night = colours("0b1740", "16307a", "2456a6", "4a86c5", "9cc3d8")
    lamp = colours("3c78b4", "86a97c", "d8b53c", "f6d95a", "fff3b0")
    woods = colours("0a1226", "12324a", "1f5a55", "5f8a4a")
    hills = y / height > 0.83 + 0.05 * np.sin(x / 160) + 0.04 * np.sin(x / 57 + 1)
    canvas = np.tile(colours("101c48"), (height, width, 1))
    for spacing, length, thickness in ((16, 60, 15), (11, 46, 9), (8, 34, 5)):
        for px, py in jittered_grid(rng, spacing):
            i, j = inside(py, px)
            if hills[i, j]:
                colour = between(woods, tone[i, j] + 0.2 * rng.random())
            elif rng.random() < 1.25 * glow[i, j]:
                colour = between(lamp, glow[i, j] + rng.normal(0, 0.12))
            else:
                colour = between(night, tone[i, j] + 0.3 * glow[i, j] + rng.normal(0, 0.13))
            bristles(canvas, trace(u, v, px, py, length), colour, thickness, rng)
    return canvas


def eddies(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """A wind to the right that turns around the centres, as two fields, and how much light there is."""
    u, v, glow = np.full_like(x, 0.55), 0.35 * np.sin(x / 210), np.zeros_like(x)
    for cx, cy, radius, turn in EDDIES:
        dx, dy = x - cx * x.shape[1], y - cy * x.shape[0]
        near = np.exp(-(dx**2 + dy**2) / (2 * (1.5 * radius) ** 2))
        distance = np.hypot(dx, dy) + 1
        u, v = u - 4 * turn * near * dy / distance, v + 4 * turn * near * dx / distance
        rings = 0.5 + 0.5 * np.cos(distance / radius * 6.5)
        glow = np.maximum(glow, np.exp(-((distance / (0.33 * radius)) ** 2)) + 0.62 * near * rings)
    return u, v, glow


def inside(row: float, column: float) -> tuple[int, int]:
    """The pixel of the canvas that is nearest."""
    return int(np.clip(row, 0, HEIGHT * SCALE - 1)), int(np.clip(column, 0, WIDTH * SCALE - 1))


def trace(u: Array, v: Array, x: float, y: float, length: int, step: int = 4) -> Array:
    """The path of a point that drifts with a field, ``(n, 2)``."""
    path = [(x, y)]
    for _ in range(length // step):
        i, j = inside(y, x)
        speed = np.hypot(u[i, j], v[i, j]) + 1e-6
        x, y = x + step * u[i, j] / speed, y + step * v[i, j] / speed
        path.append((x, y))
    return np.array(path)


def bristles(canvas: Array, path: Array, colour: Array, thickness: int, rng: np.random.Generator) -> None:
    """One stroke of thick paint: a lighter and a darker edge beside its body."""
    across = np.array([path[0, 1] - path[-1, 1], path[-1, 0] - path[0, 0]])
    across = across / (np.linalg.norm(across) + 1e-6) * thickness
    for shift, shade, share in ((0.3, 0.8, 0.7), (0.0, 1.0, 0.8), (-0.28, 1.18, 0.3)):
        tint = np.clip(colour * shade + rng.normal(0, 3, 3), 0, 255)
        line = (path + shift * across).round().astype(int)
        cv2.polylines(canvas, [line], False, tint.tolist(), max(1, round(share * thickness)), cv2.LINE_AA)


# --- Stained glass ---------------------------------------------------------------------------------------------------


# Distance from the centre, in half the height, and how many panes.
RINGS = ((0.2, 8), (0.42, 16), (0.47, 16), (0.7, 24), (0.92, 24), (1.12, 36), (1.34, 36), (1.58, 48))


def stained_glass(rng: np.random.Generator) -> Array:
    """A rose window: rings of panes around a centre, each pane cut in two or three, held by lead."""
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    y, x = np.mgrid[:height, :width].astype(float)
    dx, dy = x - width / 2, y - height / 2
    radius, angle = np.hypot(dx, dy) / (height / 2), np.arctan2(dy, dx)
    seeds, kinds = [(width / 2, height / 2)], [0]
    for ring, (distance, count) in enumerate(RINGS, 1):
        for k in range(count):
            turn = 2 * np.pi * (k + 0.5 * (ring % 2)) / count
            away = (distance + rng.normal(0, 0.012, 2)) * height / 2
            seeds.append((width / 2 + away[0] * np.cos(turn), height / 2 + away[1] * np.sin(turn)))
            kinds.append(2 * ring + 21 * (k % 2))
    distance, nearest = cKDTree(np.array(seeds)).query(np.stack([x, y], axis=-1), k=2)
    palette = colours("c1121f", "f2a900", "1b4fa8", "0c7c59", "7b2d8b", "e4572e", "2a9dd6", "f6d743", "8c1c3a")
    panes = [palette[kind % len(palette)] * rng.uniform(0.72, 1.12) + rng.normal(0, 9, 3) for kind in kinds]
    canvas = np.clip(panes, 0, 255)[nearest[..., 0]]
    light = 0.62 + 0.5 * np.exp(-(radius**2) / 1.1) + 0.28 * (clouds(rng, 14) - 0.5)
    streaks = 0.06 * np.sin(9 * angle + 26 * clouds(rng, 4))
    canvas = canvas * (light + streaks)[..., None]
    lead = distance[..., 1] - distance[..., 0] < 9
    for ring, thickness in ((0.31, 0.01), (0.565, 0.014), (1.02, 0.016)):
        lead |= np.abs(radius - ring) < thickness
    canvas[lead] = colours("15120f")[0]
    shine = cv2.GaussianBlur(np.clip(canvas, 0, 255), (0, 0), 9)
    return np.where(lead[..., None], canvas + 0.13 * shine, canvas)


# --- Woodcut waves ---------------------------------------------------------------------------------------------------


WOODCUT = colours("efe3c6", "9db8bd", "2c4a72", "14213f")  # paper, pale, indigo, ink


def woodcut(rng: np.random.Generator) -> Array:
    """Waves one behind the other, each cut as lines that follow its crest, white where it breaks."""
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    paper, pale, _, _ = WOODCUT
    canvas = np.tile(paper, (height, width, 1))
    cv2.circle(canvas, (int(0.78 * width), int(0.23 * height)), 105, colours("c8452f")[0].tolist(), -1, cv2.LINE_AA)
    for k in range(9):  # streaks of cloud across the sun
        py = int(height * (0.07 + 0.035 * k))
        start, end = sorted(rng.uniform(0.0, 1.0, 2) * width)
        cv2.line(canvas, (int(start), py), (int(end), py), pale.tolist(), 5, cv2.LINE_AA)
    for layer in range(6):
        wave(canvas, layer, rng)
    grain = 7 * np.sin(np.arange(height)[:, None] / 3.1 + 8 * clouds(rng, 3))
    return canvas + grain[..., None]


def wave(canvas: Array, layer: int, rng: np.random.Generator) -> None:
    """One row of waves over what is there: body, cut lines, foam."""
    height, width = canvas.shape[:2]
    paper, pale, indigo, ink = WOODCUT
    x, depth = np.arange(width, dtype=float), layer / 5
    base, lift = height * (0.42 + 0.115 * layer), 45 + 75 * depth
    t = 2 * np.pi * x / (330 + 130 * depth) + rng.uniform(0, 2 * np.pi)
    lean = t + 0.55 * np.sin(t)  # steeper on one side than on the other
    crest = base - lift * (0.5 + 0.5 * np.sin(lean)) ** 1.6 - 9 * np.sin(x / 61 + layer)
    body = np.concatenate([np.stack([x, crest], axis=1), [[width, height], [0, height]]]).round().astype(int)
    cv2.fillPoly(canvas, [body], (pale * (1 - depth) + indigo * depth).tolist(), cv2.LINE_AA)
    for n in range(1, 26):  # farther apart, and calmer, with depth
        drop = 5 + 8.5 * n**1.12
        line = base + drop + (crest - base) * np.exp(-n / 9) + 3 * np.sin(x / 23 + n + layer)
        weight = (0.5 + 0.5 * np.sin(t + 1.2 + 0.16 * n)) * np.exp(-n / 30)
        for a in np.flatnonzero(rng.random(-(-width // 12)) < 0.965) * 12:  # the knife slips now and then
            b = min(a + 12, width - 1)
            ends = [(a, int(line[a])), (b, int(line[b]))]
            cv2.line(canvas, *ends, (ink if n % 3 else paper).tolist(), int(1 + 6 * weight[a]), cv2.LINE_AA)
    foam(canvas, x, crest, np.sin(lean), lift, rng)


def foam(canvas: Array, x: Array, crest: Array, rise: Array, lift: float, rng: np.random.Generator) -> None:
    """A white rim along the crest that grows fingers where the wave is highest."""
    paper, _, _, ink = WOODCUT
    points = np.stack([x, crest], axis=1).round().astype(int)
    cv2.polylines(canvas, [points], False, ink.tolist(), 13, cv2.LINE_AA)
    cv2.polylines(canvas, [points], False, paper.tolist(), 7, cv2.LINE_AA)
    for a in range(0, len(x), 9):
        if rise[a] > 0.55 and rng.random() < 0.85:
            reach = rng.uniform(0.12, 0.42) * lift * rise[a]
            tip = (int(x[a] - reach * rng.uniform(0.5, 1.1)), int(crest[a] + reach * rng.uniform(-0.5, 0.7)))
            radius = int(rng.uniform(4, 10))
            cv2.line(canvas, (int(x[a]), int(crest[a])), tip, paper.tolist(), radius, cv2.LINE_AA)
            cv2.circle(canvas, tip, radius, ink.tolist(), -1, cv2.LINE_AA)
            cv2.circle(canvas, tip, max(2, radius - 3), paper.tolist(), -1, cv2.LINE_AA)


# --- Pointillism -----------------------------------------------------------------------------------------------------


def pointillism(rng: np.random.Generator) -> Array:
    """A river at evening, in dots: each dot a pure colour near the one that is meant, some its complement."""
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    scene = evening(rng)
    canvas = np.tile(colours("e9dcc0"), (height, width, 1))
    for spacing, radius in ((13, 8), (9, 5), (8, 4)):
        for px, py in jittered_grid(rng, spacing):
            hue, lightness, saturation = cv2.cvtColor(np.uint8([[scene[inside(py, px)]]]), cv2.COLOR_BGR2HLS)[
                0, 0
            ].astype(float)
            hue = (hue + (90 if rng.random() < 0.13 else rng.normal(0, 9))) % 180
            lightness = np.clip(lightness + rng.normal(8, 20), 0, 255)
            dot = cv2.cvtColor(np.uint8([[[hue, lightness, min(255, 1.35 * saturation + 25)]]]), cv2.COLOR_HLS2BGR)[
                0, 0
            ]
            size = max(2, int(radius * rng.uniform(0.75, 1.2)))
            cv2.circle(canvas, (int(px), int(py)), size, dot.tolist(), -1, cv2.LINE_AA)
    return canvas


def evening(rng: np.random.Generator) -> Array:
    """The scene behind the dots: sky, far bank, water with the sun's road, meadow, two trees."""
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    y, x = np.mgrid[:height, :width].astype(float)
    t = y / height
    sky = between(colours("3f6fb5", "8fa9d6", "f0c9a0", "f7a662"), np.clip(t / 0.45, 0, 1))
    water = between(colours("f2b277", "8fa0c9", "3b5c9c", "27407a"), np.clip((t - 0.45) / 0.35, 0, 1))
    scene = np.where((t < 0.45)[..., None], sky, water)
    sun = np.hypot(x - 0.36 * width, y - 0.35 * height)
    scene[sun < 62] = colours("fff0a8")[0]
    road = (np.abs(x - 0.36 * width) < 30 + 150 * (t - 0.45)) & (t > 0.45) & (np.sin(y / 7 + 9 * clouds(rng, 9)) > -0.1)
    scene[road] = colours("fbd38a")[0]
    bank = (t > 0.41 - 0.03 * clouds(rng, 8) - 0.02 * np.sin(x / 130)) & (t < 0.46)
    scene[bank] = colours("4c5f8f")[0]
    meadow = t > 0.74 + 0.05 * np.sin(x / 260 + 2) - 0.1 * (x / width - 0.4) ** 2
    scene[meadow] = between(colours("3c7a3b", "8fb345", "d8cc58"), clouds(rng, 10))[meadow]
    for cx, top, spread in ((0.82, 0.12, 150), (0.95, 0.24, 110), (0.07, 0.3, 85)):
        trunk = (np.abs(x - cx * width) < 13 - 6 * t) & (t > top + 0.2) & (t < 0.86)
        scene[trunk] = colours("4a2f4f")[0]
        crown = np.hypot((x - cx * width) / spread, (y - (top + 0.2) * height) / (1.25 * spread)) + 0.55 * clouds(
            rng, 18
        )
        leaves = crown < 1.12
        scene[leaves] = between(
            colours("1f4a4a", "2f7a44", "a8b83c"), np.clip(clouds(rng, 16) + 0.25 * (cx * width - x) / spread, 0, 1)
        )[leaves]
    return scene


STYLES: dict[str, Callable[[np.random.Generator], Array]] = {
    "swirls": swirls,
    "stained_glass": stained_glass,
    "woodcut": woodcut,
    "pointillism": pointillism,
}


def main() -> None:
    """Draw all of them."""
    for name, draw in STYLES.items():
        canvas = np.clip(draw(np.random.default_rng(7)), 0, 255).astype(np.uint8)
        kept = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        path = Path(__file__).with_name(f"style_{name}.jpg")
        files.write(path, cv2.imencode(".jpg", kept, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
        print(path.name)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        raise SystemExit(f"The pictures cannot be written: {error}") from None
