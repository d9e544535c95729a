"""Lesson 8, deep dream: the checks of its exercises, its explorer, and what only it uses."""

import hashlib
import io
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import PIL.Image
import torch
from IPython.display import Image, display
from torch import Tensor, nn
from torch.nn.functional import conv2d, normalize

from helpers import dream, files, images, pretrained
from helpers.hooks import inference, run_to
from helpers.images import to_array
from helpers.lessons.checking import Case, compare, normal
from helpers.lessons.explore import Explorer, image_file

FLIGHT_WIDTH = 560  # pixels in the page, whatever the frames have: a flight wants to be large


def show_animation(frames: Sequence[Tensor], alt: str) -> None:
    """Play images ``(3, H, W)`` of one size in the notebook, over and over, :data:`FLIGHT_WIDTH` pixels wide.

    Args:
        frames: the images.
        alt: what is seen, in words.
    """
    sizes = {tuple(frame.shape) for frame in frames}
    if len(sizes) != 1:
        raise ValueError(f"frames must be one or more images of one size, not of {sorted(sizes) or 'none'}")
    first, *rest = (PIL.Image.fromarray((255 * to_array(frame)).round().astype(np.uint8)) for frame in frames)
    file = io.BytesIO()
    first.save(file, "webp", save_all=True, append_images=rest, duration=80, loop=0, quality=30, method=4)
    display(Image(file.getvalue(), format="webp", alt=alt, width=FLIGHT_WIDTH))


def _mean_square(differences: Tensor) -> Tensor:
    return differences.square().mean()


def _tv(image: Tensor, of: Callable = _mean_square, axes: Sequence[int] = (2, 1)) -> Any:
    """Total variation: the mean square of the differences along each of the axes, summed."""
    return sum(of(image.diff(dim=axis)) for axis in axes)


def _tv_in_one(image: Tensor) -> Tensor:
    return _mean_square(torch.cat([image.diff(dim=axis).flatten() for axis in (2, 1)]))


VARIATION_MISTAKES: dict[str, Callable] = {
    "These are sums: take the mean, not the sum.": partial(_tv, of=lambda d: d.square().sum()),
    "The differences are absolute, not squared.": partial(_tv, of=lambda d: d.abs().mean()),
    "It squares the mean difference: square first, then take the mean.": partial(_tv, of=lambda d: d.mean() ** 2),
    "It takes a root; leave the mean of the squares as it is.": partial(_tv, of=lambda d: _mean_square(d).sqrt()),
    "Only differences to the right count; add those to the pixel below.": partial(_tv, axes=[2]),
    "Only differences to the pixel below count; add those to the right.": partial(_tv, axes=[1]),
    "One mean of all differences together: take two means, one for each direction, and add them.": _tv_in_one,
    "One mean of all differences, doubled: take two means, one for each direction.": lambda i: 2 * _tv_in_one(i),
    "It divides by the number of pixels; a mean divides by that of differences.": lambda i: _tv(
        i, lambda d: d.square().sum() / i.numel()
    ),
    "It wraps around (roll): the last column has no neighbour to its right, the last row none below.": lambda i: (
        _mean_square(i - i.roll(-1, 2)) + _mean_square(i - i.roll(-1, 1))
    ),
    "It compares channels with each other (wrong axis): in (C, H, W), columns are dim 2, rows dim 1.": partial(
        _tv, axes=[1, 0]
    ),
    "Channels are compared with each other, too: they are not neighbours.": partial(_tv, axes=[2, 1, 0]),
    "It is half of it: add the two means, do not average them.": lambda i: _tv(i) / 2,
    "It sums over the channels; the mean is over them, too.": lambda i: _tv(i) * len(i),
    "Differences in the last row across and in the last column down are missing.": lambda i: (
        _tv(i[:, :-1], axes=[2]) + _tv(i[:, :, :-1], axes=[1])
    ),
    "The channels are averaged first: differences are within each channel.": lambda i: _tv(i.mean(0, True)),
}


def check_total_variation(answer: Callable) -> None:
    """Checks ``answer(image)``, ``(C, H, W)``: mean square of the differences to the right, plus of those down."""
    cases = [
        Case((normal(3, 2, 3),), "The result is one number: the mean square across, plus the mean square down."),
        Case((normal(4, 3, 7),), "The mean is over C · H · (W - 1) differences across, and C · (H - 1) · W down."),
        Case((3 * normal(1, 6, 3) - 2,), "Any values may come, and one channel only."),
    ]
    compare(answer, _tv, cases, mistakes=VARIATION_MISTAKES)


def _sizes(h: int, w: int, octaves: int, scale: float, to_int: Callable = round, **wrong: Any) -> list:
    power, first = wrong.get("power", pow), wrong.get("first", 0)
    ratios = [power(scale, k) for k in reversed(range(first, first + octaves))]
    return [(to_int(h / ratio), to_int(w / ratio)) for ratio in ratios]


def _sizes_stepwise(h: int, w: int, octaves: int, scale: float, to_int: Callable = round) -> list:
    smaller = to_int(h / scale), to_int(w / scale)
    return [*(_sizes_stepwise(*smaller, octaves - 1, scale, to_int) if octaves > 1 else []), (h, w)]


_EARLY, _LATE = "Each size is computed from one that is already rounded", "divide the full size, round only at the end."
SIZE_MISTAKES: dict[str, Callable] = {
    "The largest is first; the smallest should be first, the full size last.": lambda *a: _sizes(*a)[::-1],
    "Rows and columns are swapped: (height, width).": lambda *a: [pair[::-1] for pair in _sizes(*a)],
    "The fraction is cut off (int or //): round to the nearest, round().": partial(_sizes, to_int=int),
    "It always rounds up (ceil): round to the nearest, round().": partial(_sizes, to_int=math.ceil),
    "They are not rounded to whole pixels: round().": partial(_sizes, to_int=float),
    f"{_EARLY}, so that errors add up: {_LATE}": _sizes_stepwise,
    f"{_EARLY} down (int or //): divide the full size, round() only at the end.": partial(_sizes_stepwise, to_int=int),
    f"{_EARLY}, the smallest, scaled up again: {_LATE}": lambda *a: [
        tuple(round(side * a[3] ** k) for side in _sizes(*a)[0]) for k in range(a[2])
    ],
    "scale is taken for the ratio of the areas; it is that of the sides.": partial(
        _sizes, power=lambda s, k: s ** (k / 2)
    ),
    "The width comes from the rounded height: divide the full width, round only at the end.": lambda h, w, *a: [
        (rows, round(rows * w / h)) for rows, _ in _sizes(h, w, *a)
    ],
    "The exponents are one too large, the full size is missing: it is the last.": partial(_sizes, first=1),
    "The full size is missing: it is the last.": lambda *a: _sizes(*a)[:-1],
    "The numbers are in one flat list: give pairs, (rows, columns).": lambda *a: np.ravel(_sizes(*a)).tolist(),
    "One size too many: there are as many as octaves.": lambda h, w, n, scale: _sizes(h, w, n + 1, scale),
    "The smallest size is missing: there are as many as octaves.": lambda *a: _sizes(*a)[1:],
    "It multiplies by scale, beyond the full size: divide.": lambda h, w, n, scale: _sizes(h, w, n, 1 / scale)[::-1],
    "It divides by multiples of scale; use powers, scale ** k.": partial(_sizes, power=lambda s, k: s * k or 1),
    "scale is ignored (it is not always 2).": lambda h, w, n, _: _sizes(h, w, n, 2),
}


def check_octave_sizes(answer: Callable) -> None:
    """Checks ``answer(height, width, octaves, scale)``: a list of (rows, columns), the smallest first."""
    once = "Divide the full size by a power of scale, and round once, at the end."
    cases = [
        Case((100, 200, 1, 2), "One octave is the full size alone, a list with one pair, (height, width)."),
        Case((96, 160, 3, 2), "The smallest first; the last is the full size, the one before is scale times smaller."),
        Case((105, 142, 4, 1.4), once),
        Case((331, 210, 5, 1.3), once),
    ]
    compare(answer, _sizes, cases, mistakes=SIZE_MISTAKES)


def _dots(maps: Tensor, guide: Tensor) -> Tensor:
    """The dot product over the channels of each place of the maps with each of the guide."""
    return maps.flatten(1).T @ guide.flatten(1)


def _best(maps: Tensor, guide: Tensor) -> Tensor:
    return _dots(maps, guide).amax(1).sum()


_MIXED = "mixes channels and places (reshape, view): flatten(1).T makes places by channels."
LIKENESS_MISTAKES: dict[str, Callable] = {
    "It takes the largest for each place of guide (wrong axis), not for each place of maps.": lambda m, g: _best(g, m),
    "It sums all dot products; take only the largest for each place of maps.": lambda m, g: _dots(m, g).sum(),
    "This is the mean over the places of maps, not the sum.": lambda m, g: _dots(m, g).amax(1).mean(),
    "This is the single largest of all: sum the largest of each place of maps.": lambda m, g: _dots(m, g).max(),
    "The largest are not summed: sum over the places of maps.": lambda m, g: _dots(m, g).amax(1),
    "It takes the smallest product, not the largest.": lambda m, g: _dots(m, g).amin(1).sum(),
    "The vectors are made unit length (cosine): take plain dot products, without normalising.": lambda m, g: _best(
        normalize(m, dim=0), normalize(g, dim=0)
    ),
    f"It {_MIXED}": lambda m, g: _best(m.reshape(-1, len(m)).T, g.reshape(-1, len(g)).T),
    f"The guide's matrix {_MIXED}": lambda m, g: _best(m, g.reshape(-1, len(g)).T),
    "Negative products are lost: the maximum should not start at 0.": lambda m, g: _dots(m, g).relu().amax(1).sum(),
    "The sign is lost (abs): the largest product counts.": lambda m, g: _dots(m, g).abs().amax(1).sum(),
    "The product largest in absolute value counts: take the largest, amax.": lambda m, g: (
        _dots(m, g).gather(1, _dots(m, g).abs().argmax(1, keepdim=True)).sum()
    ),
    "It takes the largest in each channel; a dot product sums over the channels first.": lambda m, g: (
        (m.flatten(1)[:, :, None] * g.flatten(1)[:, None]).amax(2).sum()
    ),
    "The products are divided by C: sum over the channels, not the mean.": lambda m, g: _best(m, g) / len(m),
    "It chooses the nearest place (by distance), not that of the largest dot product.": lambda m, g: (
        _dots(m, g).gather(1, torch.cdist(m.flatten(1).T, g.flatten(1).T).argmin(1, keepdim=True)).sum()
    ),
    "These are indices (argmax): sum the products themselves, amax.": lambda m, g: _dots(m, g).argmax(1).sum(),
    "It compares with the guide's mean: find the best of its places.": lambda m, g: _best(m, g.mean((1, 2), True)),
}


def check_guide_similarity(answer: Callable) -> None:
    """Checks ``answer(maps, guide)``, ``(C, H, W)`` and ``(C, h, w)``: best dot products with the guide, summed."""
    maps, guide = torch.tensor([[[1.0, 2.0, 0.5]], [[-2.0, 1.0, 3.0]]]), torch.tensor([[[2.0, -1.0]], [[1.0, -2.5]]])
    cases = [
        Case(
            (maps, guide),
            "At each place of maps, take the largest of its dot products with the places of guide; then sum.",
        ),
        Case((normal(3, 2, 4), normal(3, 3, 1)), "The matrix of all dot products is (H · W, h · w), from flatten(1)."),
        Case((normal(4, 2, 2).abs(), -normal(4, 2, 3).abs()), "The largest may be negative."),
    ]
    compare(answer, _best, cases, mistakes=LIKENESS_MISTAKES)


class Maps(nn.Module):
    """Maps of an image ``(3, H, W)``: a small convolution and a ReLU, frozen as ``pretrained.load`` gives networks."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(4, 3, 3, 3) + 0.15, requires_grad=False)

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        return conv2d(image, self.weight.to(image.dtype)).relu()


def _dream(maps_of: Callable, image: Tensor, steps: int, step_size: float, **wrong: Any) -> Tensor:
    """The image after all steps; the keywords ask for well-known mistakes."""
    gradients: list[Tensor] = []
    for _ in range(steps):
        image = image.detach().requires_grad_()
        objective = wrong.get("objective", lambda maps: maps.square().sum())(maps_of(image))
        gradients += torch.autograd.grad(objective, image)
        gradient = wrong.get("pick", lambda gradients: gradients[-1])(gradients)
        moved = image + step_size * gradient / wrong.get("size", lambda g: _mean_square(g).sqrt())(gradient)
        image = moved.clamp(*wrong.get("limits", (0, 1))).detach()
    return image


_NORM = "divide by the gradient's root mean square"
WRONG_STEP_SIZES: dict[str, Callable] = {
    "It goes downhill; to go uphill, add the gradient.": lambda g: -_mean_square(g).sqrt(),
    f"It divides by the norm; {_NORM}.": torch.norm,
    f"It divides by the mean absolute value; {_NORM}.": lambda g: g.abs().mean(),
    f"It divides by the largest value; {_NORM}.": lambda g: g.abs().max(),
    f"It divides by the standard deviation; {_NORM}, without taking the mean away.": torch.std,
    f"It divides by the mean square, without the root; {_NORM}.": _mean_square,
    f"The step has the size of the gradient; {_NORM}.": lambda g: 1,
    f"It takes the gradient's sign; {_NORM}.": lambda g: g.abs().clamp(min=1e-12),
    f"Each channel is scaled by its own; {_NORM}, one number.": lambda g: g.square().mean((1, 2), True).sqrt(),
}
DREAM_MISTAKES: dict[str, Callable] = {
    **{say: partial(_dream, size=size) for say, size in WRONG_STEP_SIZES.items()},
    "The image leaves [0, 1]: clamp(0, 1) after each step.": partial(_dream, limits=(-99, 99)),
    "Values below 0 are left: limit both ends, clamp(0, 1).": partial(_dream, limits=(-99, 1)),
    "Values above 1 are left: limit both ends, clamp(0, 1).": partial(_dream, limits=(0, 99)),
    "The image is limited only after the last step: clamp(0, 1) after each step.": lambda *a: _dream(
        *a, limits=(-99, 99)
    ).clamp(0, 1),
    "The gradient is computed only once: compute it again in each step.": partial(_dream, pick=lambda g: g[0]),
    "Gradients of earlier steps add up: clear the old one (.grad), or use torch.autograd.grad.": partial(
        _dream, pick=sum
    ),
    "It climbs the sum of the maps, not half the squared norm: square the maps.": partial(_dream, objective=torch.sum),
    "Only the first map counts; take all maps.": partial(_dream, objective=lambda maps: maps[0].square().sum()),
    "The image is the one that was given: give back the one after the steps.": lambda f, i, n, size: i,
    "One step is missing: take as many as steps.": lambda f, i, n, size: _dream(f, i, n - 1, size),
    "It takes one step too many.": lambda f, i, n, size: _dream(f, i, n + 1, size),
    "It takes only one step: take as many as steps.": lambda f, i, n, size: _dream(f, i, 1, size),
    "step_size is divided by steps; each step has all of it.": lambda f, i, n, size: _dream(f, i, n, size / n),
}


def check_dream(answer: Callable) -> None:
    """Checks ``answer(maps_of, image, steps, step_size)``: steps of equal size up half the squared norm of maps."""
    cases = [
        Case((Maps(), (spread * normal(*size)).sigmoid(), steps, step_size), hint)
        for size, spread, steps, step_size, hint in (
            ((3, 5, 6), 0.5, 1, 0.01, "Add the gradient, divided by its root mean square, times step_size."),
            ((3, 7, 9), 0.3, 4, 0.02, "Each step needs the maps and the gradient of the image as it is by then."),
            ((3, 6, 5), 2.0, 6, 0.2, "Keep the image within [0, 1] after each step."),
        )
    ]
    compare(answer, _dream, cases, mistakes=DREAM_MISTAKES)


def score(model: nn.Module, image: Tensor) -> float:
    """The score to beat: a channel's mean activation, the smallest for the image ``(3, H, W)`` turned by −5, 0, 5°."""
    from torchvision.transforms.functional import InterpolationMode, rotate

    if not (isinstance(image, Tensor) and image.ndim == 3 and 0 <= image.min() <= image.max() <= 1):
        raise ValueError("image must be a tensor (3, H, W) with values in [0, 1]")
    turned = torch.stack([rotate(image, angle, InterpolationMode.BILINEAR) for angle in (-5.0, 0.0, 5.0)])
    with inference(model):
        return run_to(model, turned, ["features.9"])["features.9"][:, 20].mean((1, 2)).min().item()


# --- The explorer ----------------------------------------------------------------------------------------------------

LAYERS = tuple(f"features.{i}" for i in (3, 4, 6, 7, 9, 12))
OCTAVES = (1, 4)
STRENGTHS = (0.005, 0.015, 0.04)
STEPS = 40  # of each dream, over all its octaves
SIZE = (176, 264)  # rows and columns of the explorer's photos
RECORDED = "chelsea"
LAYER = "features.7"  # of the recorded flight
FRAMES, FLIGHT_ACROSS = 24, 4
DREAMS = files.DATA / "dreams" / "dreams.json"  # and beside it the two sheets


def cropped(photo: images.Source) -> Tensor:
    """The middle of an image, as large as the explorer shows it, ``(3, *SIZE)``."""
    image = images.read(photo)
    image = images.resized(image, images.scaled(image, max(SIZE[0] / image.shape[1], SIZE[1] / image.shape[2])))
    top, left = ((n - size) // 2 for n, size in zip(image.shape[1:], SIZE, strict=True))
    return image[:, top : top + SIZE[0], left : left + SIZE[1]].clamp(0, 1)


def dreamt(model: nn.Module, image: Tensor, layer: str, octaves: int, strength: float) -> tuple[Tensor, float]:
    """A dream of an image ``(3, H, W)``, and how many times the photo's its objective is."""
    steps = STEPS // octaves
    made = dream.deep_dream(model, image, layer, octaves=octaves, steps=steps, step_size=strength, progress=False)
    return made, objective(model, made, layer) / objective(model, image, layer)


def objective(model: nn.Module, image: Tensor, layer: str) -> float:
    """Half the squared norm of a layer's maps of an image ``(3, H, W)``."""
    with inference(model):
        return dream.half_squared_norm(run_to(model, image[None], [layer])[layer]).item()


class DreamExplorer(Explorer):
    """What :func:`dream_explorer` gives."""

    lesson = "lesson_08"
    still = (
        "Six rows of small dreams of a cat; beside them the photo at the left of a line, and at its right "
        "the dream, full of eyes."
    )
    own: Tensor | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """A dream of another photo, or a flight into one."""
        name = request["photo"]
        photo = cropped(images.sample(name) if self.own is None or name != "yours" else self.own)
        model = pretrained.load()
        if request.get("flight"):
            frames = dream.zoom(model, photo, request["layer"], frames=FRAMES, progress=False)
            return {"frames": [image_file(frame, 60) for frame in frames]}
        made, ratio = dreamt(model, photo, request["layer"], request["octaves"], request["strength"])
        return {"photo": image_file(photo), "dream": image_file(made), "ratio": ratio}


def dream_explorer(photo: images.Source | None = None) -> DreamExplorer:
    """Lesson 8: what six layers dream into a photo, by octaves and strength, beside the photo; and a flight.

    Args:
        photo: an image of your own, as :func:`helpers.images.read` takes it. Its dreams are made when they are asked
            for, which needs a running notebook; those of the sample photo are recorded.
    """
    own = None if photo is None else images.read(photo, size=1000)
    names = ["yours"] * (own is not None) + [RECORDED, "coffee", "china", "flower", "astronaut", "rocket"]
    with files.intact(f"{DREAMS.name} or a sheet beside it", "git checkout data/dreams, or make dreams"):
        record = json.loads(files.read(DREAMS, 100_000))
        sheets = {name: files.read(DREAMS.with_name(f"{name}.webp"), 1_000_000) for name in ("sheet", "flight")}
        if {name: hashlib.sha256(content).hexdigest() for name, content in sheets.items()} != record["sha256"]:
            raise ValueError("a sheet is not the file of its record")
    content = {
        "kind": "dream",
        "photos": names,
        "recorded": RECORDED,
        "photo": image_file(cropped(images.sample(RECORDED))),
        "layers": record["layers"],
        "layer": LAYER,
        "octaves": list(OCTAVES),
        "strengths": list(STRENGTHS),
        "scale": dream.OCTAVE_SCALE,
        "zoom": dream.ZOOM_SCALE,
        "height": SIZE[0],
        "width": SIZE[1],
        "across": len(OCTAVES) * len(STRENGTHS),
        "ratios": record["ratios"],
        "frames": FRAMES,
        "flightAcross": FLIGHT_ACROSS,
        **sheets,
    }
    explorer = DreamExplorer(content=content)
    explorer.own = own
    return explorer
