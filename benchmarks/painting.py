"""Deep dream and style transfer (lessons 8 and 9), timed beside what people would run instead, in one run.

Two well-known recipes for style transfer are run to their end, each with its own loss: that of a widely used course
(Adam at 0.003, 2,000 steps) and that of PyTorch's tutorial (L-BFGS, 300 evaluations). Then ``stylize`` is given the
same loss, and timed until its image is as good under it. The image that counts is the one to be shown: the first
recipe's leaves [0, 1] and is clipped in the end. Same network, images and layers.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, mse_loss

from benchmarks.timing import COURSE, Result, Work, alone, keep, machine, median_seconds, table
from helpers import dream, images, pretrained, style
from helpers.hooks import recording

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "data" / "benchmark_painting.json"
CONTENT_LAYER = "features.7"
STYLE_LAYERS = {"features.1": 1.0, "features.3": 0.75, "features.4": 0.2, "features.6": 0.2, "features.7": 0.2}


def image_pair(size: int) -> tuple[Tensor, Tensor]:
    """A photo, the longer side ``size``, and a style image as large as that, as both recipes have it."""
    photo = images.read(images.sample("chelsea"))[None]
    photo = images.resized(photo, images.scaled(photo, size / max(photo.shape[2:]))).clamp(0, 1)
    painting = images.read(ROOT / "data" / "images" / "style_swirls.jpg")[None]
    return photo, images.resized(painting, photo.shape[2:]).clamp(0, 1)


# --- The recipes' losses, written the way they write them ------------------------------------------------------------


class RecipeLoss:
    """A recipe's loss of an image ``(1, 3, H, W)``, in plain PyTorch: whole network, float32, as the image comes.

    The Gram matrices are divided by all of their maps' numbers or by none; in that case the loss is, afterwards.
    """

    def __init__(self, model: nn.Module, content: Tensor, painting: Tensor, recipe: str) -> None:
        self.model, self.divided = model, recipe == "L-BFGS"
        # Chosen by each recipe for its own losses; the tutorial weighs all layers alike.
        self.weights = dict.fromkeys(STYLE_LAYERS, 1.0) if self.divided else STYLE_LAYERS
        with torch.no_grad():
            self.content = self.maps(content)[CONTENT_LAYER]
            self.grams = {name: self.gram(maps) for name, maps in self.maps(painting).items() if name in self.weights}

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """All layers' maps, from the whole network."""
        with recording(self.model, list(STYLE_LAYERS)) as outputs:
            self.model(image)
        return dict(outputs)

    def gram(self, maps: Tensor) -> Tensor:
        """As the recipe has it, ``(C, C)``."""
        rows = maps.flatten(2)[0]
        return rows @ rows.T / (maps.numel() if self.divided else 1)

    def factor(self, name: str, maps: Tensor) -> float:
        """What the recipe multiplies a layer's mean squared difference with."""
        return 1e6 * self.weights[name] / (1 if self.divided else maps.numel())

    def __call__(self, image: Tensor) -> Tensor:
        """The recipe's total loss."""
        maps = self.maps(image)
        total = mse_loss(maps[CONTENT_LAYER], self.content)
        for name, target in self.grams.items():
            total = total + self.factor(name, maps[name]) * mse_loss(self.gram(maps[name]), target)
        return total


def adam(loss: RecipeLoss, content: Tensor, steps: int) -> Tensor:
    """That course's loop."""
    image = content.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.003)
    for _ in range(steps):
        total = loss(image)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return image.detach().clamp(0, 1)


def lbfgs(loss: RecipeLoss, content: Tensor, evaluations: int) -> Tensor:
    """The tutorial's loop."""
    image = content.clone().requires_grad_()
    optimizer, count = torch.optim.LBFGS([image]), 0

    def closure() -> Tensor:
        nonlocal count
        count += 1
        with torch.no_grad():
            image.clamp_(0, 1)
        optimizer.zero_grad()
        total = loss(image)
        total.backward()
        return total

    while count <= evaluations:
        optimizer.step(closure)
    return image.detach().clamp(0, 1)


RECIPES: dict[str, tuple[Callable[[RecipeLoss, Tensor, int], Tensor], int]] = {
    "Adam": (adam, 2000),
    "L-BFGS": (lbfgs, 300),
}


# --- Each way --------------------------------------------------------------------------------------------------------


def recipes_way(recipe: str, size: int, steps: int) -> tuple[float, float]:
    """Seconds of the whole run, and the loss at its end."""
    content, painting = image_pair(size)
    loss = RecipeLoss(pretrained.load().to(memory_format=torch.contiguous_format), content, painting, recipe)
    start = time.perf_counter()
    image = RECIPES[recipe][0](loss, content, steps)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        return seconds, loss(image).item()


def our_way(recipe: str, size: int, wanted: float) -> tuple[float, float]:
    """Seconds until ``stylize`` has an image whose loss, under the recipe's own formula, is at most ``wanted``."""
    content, painting = image_pair(size)
    model = pretrained.load()
    loss = RecipeLoss(model, content, painting, recipe)
    with torch.no_grad():
        maps = loss.maps(content)
        # Ours are relative to the targets' mean squares: so much does each weigh in the recipe's loss. The recipe
        # that does not divide its Gram matrices is so much larger by the square of C·H·W.
        energy = {name: loss.factor(name, maps[name]) * g.square().mean().item() for name, g in loss.grams.items()}
        content_energy = loss.content.square().mean().item()
        # ``stylize`` multiplies the content's weight by the root of the ratio of both images' maps; undone here.
        ratio = (loss.content.square().mean() / loss.maps(painting)[CONTENT_LAYER].square().mean()).item() ** 0.25
    whole = content_energy + sum(energy.values())
    weights = {
        "content_weight": content_energy / whole / ratio,
        "style_weight": 1 - content_energy / whole,
        "tv_weight": 0.0,
        "palette": False,  # the recipes leave the content's colours as they are
    }
    layers = {"content_layers": {CONTENT_LAYER: 1}, "style_layers": energy}
    timed, looking = [], 0.0
    start = time.perf_counter()

    def look(_step: int, _losses: dict[str, float], image: Tensor) -> None:
        nonlocal looking
        before = time.perf_counter()
        reached = before - start - looking
        if image.shape == content.shape[1:]:
            with torch.no_grad():
                timed.append((reached, loss(image[None]).item()))
        looking += time.perf_counter() - before
        if timed and timed[-1][1] <= wanted:
            raise KeyboardInterrupt  # as a person would who has what they want

    with patch.object(style, "MARGIN", 0):  # with a margin the two losses are not the same
        style.stylize(model, content[0], painting[0], steps=200, progress=False, callback=look, **layers, **weights)
    return timed[-1]


def plain_dream(size: int, layer: str, frozen: bool, octaves: int = 4, steps: int = 10) -> Tensor:
    """The ten lines: the whole network, float32, PyTorch's own order of the axes, no jitter and no smoothing.

    Networks come from torchvision with weights that ask for gradients, and so they get them, unless ``frozen``.
    """
    model, kept = pretrained.load().to(memory_format=torch.contiguous_format).requires_grad_(not frozen), {}
    model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.update(maps=output))
    photo, _ = image_pair(size)
    image = photo
    for octave in reversed(range(octaves)):
        image = interpolate(image, [round(n / 1.4**octave) for n in photo.shape[2:]], mode="bilinear")
        for _ in range(steps):
            image = image.detach().requires_grad_()
            model(image)
            kept["maps"].backward(kept["maps"].detach())
            image = (image + 0.015 * image.grad / image.grad.std()).clamp(0, 1)
    return image


def dream_seconds(way: str, size: int, calls: int) -> tuple[float, None]:
    """The median of some calls."""
    model, (photo, _) = pretrained.load(), image_pair(size)
    ways = {
        COURSE: lambda: dream.deep_dream(model, photo[0], "features.7", progress=False),
        "ten plain lines": lambda: plain_dream(size, "features.7", frozen=False),
        "ten plain lines, weights frozen": lambda: plain_dream(size, "features.7", frozen=True),
    }
    return median_seconds(ways[way], calls), None


def stylize_seconds(size: int, calls: int) -> tuple[float, None]:
    """The same for an image painted with the defaults."""
    model, (photo, painting) = pretrained.load(), image_pair(size)
    return median_seconds(lambda: style.stylize(model, photo[0], painting[0], progress=False), calls), None


def warmed(run: Callable[..., tuple[float, float | None]], *arguments) -> Work:
    """A call, in a process that has had the network in memory."""
    pretrained.load()
    return partial(run, *arguments)


def dreams(size: int, rounds: int = 5) -> list[Result]:
    """Each way in its fastest of some rounds, in which they take turns: short work feels every other process."""
    ways = ("ten plain lines", "ten plain lines, weights frozen", COURSE)
    task = f"deep dream, {size} pixels, 40 steps"
    turns = [[alone(task, way, warmed, dream_seconds, way, size, 5) for way in ways] for _ in range(rounds)]
    return [min(results, key=lambda r: r.seconds) for results in zip(*turns, strict=True)]


def main(size: int = 256) -> None:
    """Measure, print the table, and keep the numbers in ``data/benchmark_painting.json``."""
    results = []
    for recipe, (_, steps) in RECIPES.items():
        task = f"style transfer, {size} pixels, to the loss of {steps:,} steps of {recipe}"
        theirs = alone(task, "the recipe", warmed, recipes_way, recipe, size, steps)
        results += [theirs, alone(task, COURSE, warmed, our_way, recipe, size, theirs.loss)]
    results += [*dreams(320), *dreams(448)]
    results.append(alone("style transfer, 512 pixels, defaults", COURSE, warmed, stylize_seconds, 512, 1))
    print(f"\n{machine()}\n\n{table(results)}")
    keep(RECORD, results=[asdict(r) for r in results])


if __name__ == "__main__":
    main()
