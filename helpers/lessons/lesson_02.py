"""Lesson 2, pooling, and the whole architecture: the checks of its exercises, its explorer, and what only it uses."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, fold, max_pool2d, pad, unfold

from helpers import filters, images
from helpers.images import to_array
from helpers.lessons import checking
from helpers.lessons.checking import Case, compare, drawn, integer
from helpers.lessons.explore import Explorer, gray_photo, grid
from helpers.models import LayerRow
from helpers.plotting import GRAY, axes_grid


def shuffled_blocks(image: Tensor, size: int, seed: int = 0) -> Tensor:
    """A copy of an image ``(H, W)`` with the pixels of each ``size`` × ``size`` block in random order.

    ``size`` must divide H and W.
    """
    height, width = image.shape
    blocks = image.unfold(0, size, size).unfold(1, size, size).flatten(2)  # rows, columns, pixels
    order = torch.rand(blocks.shape, generator=torch.Generator().manual_seed(seed)).argsort(dim=2)
    shuffled = blocks.gather(2, order).view(*blocks.shape[:2], size, size)
    return shuffled.transpose(1, 2).reshape(height, width)


def times_seen(size: int, window: int, stride: int) -> Tensor:
    """In how many pooling windows each number of a ``(size, size)`` grid lies."""
    windows = unfold(torch.ones(1, 1, size, size), window, stride=stride)
    return fold(windows, size, window, stride=stride)[0, 0]


def pixels_seen(layers: Sequence[tuple[int, int]]) -> Tensor:
    """The pixels of an image of 24 × 24 pixels that can influence the value in the middle of the last map: 1, else 0.

    Args:
        layers: (window, stride) of each. An average stands for each layer, so that every number of a window counts.
    """
    image = torch.ones(1, 1, 24, 24, requires_grad=True)
    maps = image
    for window, stride in layers:
        maps = avg_pool2d(maps, window, stride)
    middle = maps.shape[-1] // 2
    (gradient,) = torch.autograd.grad(maps[0, 0, middle, middle], image)
    return (gradient[0, 0] != 0).float()


def share_right(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images whose highest score belongs to their label."""
    with torch.no_grad():
        answers = torch.cat([net(part).argmax(dim=1) for part in images.split(500)])  # all at once take 300 MB
    return (answers == labels).float().mean().item()


def train_until_perfect(net: nn.Module, images: Tensor, labels: Tensor, seed: int = 0, limit: int = 300) -> float:
    """Train until the network has all its training images right, or has seen each of them ``limit`` times.

    How training works is the subject of lesson 3. This is Adam with a learning rate of 0.005, on batches of 50.

    Returns:
        The share of training images that it has right in the end.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(limit):
        for batch in torch.randperm(len(images), generator=generator).split(50):
            optimizer.zero_grad()
            cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
        if (right := share_right(net, images, labels)) == 1:
            break
    return right


def score_parts(items: Mapping[str, Tensor], maps: Tensor, weights: Tensor) -> Figure:
    """A row for each item: its image, its feature maps on one scale for all, and what each map adds to a score.

    Args:
        items: images ``(1, H, W)`` by name.
        maps: of each item, ``(N, C, H, W)``.
        weights: of the score, ``(C, H, W)``.
    """
    columns = 1 + maps.shape[1]
    figure, axes = axes_grid(len(items) * columns, columns, 1.8)
    parts = (maps * weights).sum(dim=(2, 3))
    for row, (name, image) in enumerate(items.items()):
        first, *rest = axes[row * columns : (row + 1) * columns]
        first.imshow(to_array(image), cmap=GRAY, vmin=0, vmax=1)
        first.set_title(f"{name}: {parts[row].sum():+.2f}".replace("-", "−"), fontsize=9)
        for i, ax in enumerate(rest):
            drawn = ax.imshow(to_array(maps[row, i]), cmap=GRAY, vmin=0, vmax=maps.max().item())
            ax.set_title(f"map {i}: {parts[row, i]:+.2f}".replace("-", "−"), fontsize=9)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="value of a map")
    return figure


def costs_by_part(rows: Iterable[LayerRow]) -> dict[str, tuple[int, int]]:
    """Parameters and multiplications of each block of convolutions, up to its pooling, and of each dense layer."""
    costs: dict[str, tuple[int, int]] = {}
    block = dense = 1
    for row in rows:
        name = f"dense {dense}" if row.kind == "Linear" else f"block {block}"
        parameters, multiplications = costs.get(name, (0, 0))
        costs[name] = parameters + row.parameters, multiplications + row.multiplications
        dense += row.kind == "Linear"
        block += row.kind == "MaxPool2d"
    return costs


def pancakes(stacks: Mapping[str, Tensor]) -> Figure:
    """Stacks of feature maps ``(C, H, W)`` as flat sheets, to scale (the smallest stay visible), on one grey scale."""
    figure = Figure(figsize=(3 * len(stacks), 3), layout="constrained")
    widest = max(maps.shape[-1] for maps in stacks.values())
    brightest = max(maps.max() for maps in stacks.values()) / 4  # the thin outlines of small sheets stay visible
    for ax, (title, maps) in zip(figure.subplots(1, len(stacks), squeeze=False)[0], stacks.items(), strict=True):
        side = max(maps.shape[-1] / widest, 0.2)
        gap = 0.32 * max(side, 0.3)
        for level, sheet in enumerate(maps.flip(0)):
            lying = Affine2D().scale(side, 0.42 * side).skew_deg(40, 0).translate(-0.7 * side, gap * level)
            where: dict[str, Any] = {"transform": lying + ax.transData, "zorder": level}
            ax.imshow(to_array(sheet), cmap=GRAY, vmin=0, vmax=brightest, extent=(0, 1, 0, 1), **where)
            ax.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="#d55e00", linewidth=1, **where)
        ax.set(xlim=(-0.8, 0.8), ylim=(-0.1, 0.32 * len(maps) + 0.15), aspect="equal")
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    return figure


def architecture(rows: Sequence[LayerRow]) -> Figure:
    """A network from left to right, a box for each layer: as high as its maps, and the wider, the more there are.

    Shapes are written under the first layer, under those that follow a pooling, and under the dense ones.

    Args:
        rows: of :func:`helpers.models.layer_table`, ``Conv2d``, ``MaxPool2d`` and ``Linear`` only.
    """
    colours = {"Conv2d": "0.8", "MaxPool2d": "#d55e00", "Linear": "0.35"}
    highest = max(row.output_shape[-1] for row in rows if row.kind != "Linear")
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    ax, x, before = figure.subplots(), 0.0, "MaxPool2d"
    for row in rows:
        shape = row.output_shape
        width, height = shape[0] ** 0.5 / 40, shape[-1] / highest if len(shape) > 1 else 0.02
        ax.add_patch(Rectangle((x, -height / 2), width, height, facecolor=colours[row.kind], edgecolor="black"))
        if before == "MaxPool2d" or row.kind == "Linear":
            label = " × ".join(map(str, shape)).replace(" ×", "\n×", 1)
            ax.text(x + width / 2, -height / 2 - 0.03, label, ha="center", va="top", fontsize=8)
        x, before = x + width + 0.07, row.kind
    ax.legend([Rectangle((0, 0), 1, 1, facecolor=c, edgecolor="black") for c in colours.values()], colours, fontsize=8)
    ax.set(xlim=(-0.2, x + 0.1), ylim=(-0.72, 0.52))
    ax.axis("off")
    return figure


def check_max_pooling(answer: Callable) -> None:
    """Checks ``answer(image, window, stride)`` for 2-D tensors against ``max_pool2d``."""

    def diagnose(got: Tensor, expected: Tensor, *_: Any) -> str:
        rows, columns = (min(sizes) for sizes in zip(got.shape, expected.shape, strict=True))
        if got.shape != expected.shape and torch.equal(got[:rows, :columns], expected[:rows, :columns]):
            if expected.shape == (rows, columns):
                return "What does not fill a window is left out: round (size - window) / stride down, and add 1."
            return "The last windows are missing: there are (size - window) // stride + 1 rows of them; columns alike."
        starts = got.shape == expected.shape and torch.equal(got, expected.clamp(min=got.min()))
        return "A number takes part that is not in the window: begin each maximum with -inf." if starts else ""

    generator = checking.generator(2)
    cases = []
    for height, width, window, stride, hint in (
        (4, 4, 2, 2, "Each value is the largest number of one window, a negative one here."),
        (4, 6, 2, 2, "Rows come first: the result has the shape (rows, columns)."),
        (6, 8, 2, 3, "Window (i, j) starts at (i * stride, j * stride), `window` wide; what does not fit is left out."),
        (5, 7, 3, 2, "With a stride smaller than the window, windows overlap."),
        (9, 4, 3, 1, "The result may have more rows than columns."),
        (7, 6, 2, 3, "Windows that do not fit any more are left out: use the formula for the size."),
        (3, 5, 3, 2, "A window as high as the image gives one row; the result stays a 2-D tensor."),
    ):
        image = torch.randperm(height * width, generator=generator).view(height, width) - height * width - 0.5
        cases.append(Case((image * 1000 if stride == 1 else image, window, stride), hint))
    compare(answer, _pool, cases, mistakes=POOLING_MISTAKES, diagnose=diagnose)


def _pool(image: Tensor, window: int, stride: Any) -> Tensor:
    return max_pool2d(image[None], window, stride)[0]


def _step_by(step: int, image: Tensor, window: int, stride: int) -> Tensor:
    """As many windows as there should be, but at other places."""
    rows, columns = _pool(image, window, stride).shape
    return _pool(image, window, step)[:rows, :columns]


def _too_many(image: Tensor, window: int, stride: int) -> Tensor:
    """size // stride windows, of which the last may be cut off at the edge."""
    height, width = image.shape
    padded = pad(image, (0, window, 0, window), value=-torch.inf)
    return _pool(padded, window, stride)[: height // stride, : width // stride]


POOLING_MISTAKES: dict[str, Callable] = {
    "There are (size - window) // stride + 1 windows, not size // stride.": _too_many,
    "Windows step by their own size, not by the stride.": lambda i, w, s: _pool(i, w, w),
    "Your windows start at i * window: start them at i * stride.": lambda i, w, s: _step_by(w, i, w, s),
    "Windows step by 1, not by the stride.": lambda i, w, s: _pool(i, w, 1),
    "Your windows start at (i, j): start them at (i * stride, j * stride).": lambda i, w, s: _step_by(1, i, w, s),
    "Across, windows step by their own size, not by the stride.": lambda i, w, s: _pool(i, w, (s, w)),
    "Down, windows step by their own size, not by the stride.": lambda i, w, s: _pool(i, w, (w, s)),
    "Across, windows step by 1, not by the stride.": lambda i, w, s: _pool(i, w, (s, 1)),
    "Down, windows step by 1, not by the stride.": lambda i, w, s: _pool(i, w, (1, s)),
    "It takes the number of rows for that of columns: compute the width, too.": lambda i, w, s: _pool(i, w, s)[
        :, torch.arange(len(_pool(i, w, s)))
    ],
    "It gives the mean: give the maximum.": lambda i, w, s: avg_pool2d(i[None], w, s)[0],
    "It gives the minimum, or what is largest without its sign: give the maximum.": lambda i, w, s: -_pool(-i, w, s),
    "It loses the fractions: the output needs a float dtype.": lambda i, w, s: _pool(i, w, s).trunc(),
    "It takes absolute values: numbers keep their signs.": lambda i, w, s: _pool(i.abs(), w, s),
}


def check_global_average(answer: Callable) -> None:
    """Checks ``answer(maps)``, ``(N, C, H, W)`` to ``(N, C)``, against the mean of each map."""

    def diagnose(got: Tensor, expected: Tensor, *_: Any) -> str:
        moved = got.shape == expected.shape and torch.allclose(got.ravel().msort(), expected.ravel().msort())
        return "The means are right, but at wrong places: a reshape or view does not swap axes." if moved else ""

    generator = checking.generator(3)
    hints = {
        (2, 3, 4, 4): "Each map of each image gives one number: the mean over rows and columns, nothing else.",
        (4, 2, 3, 5): "Divide by rows times columns, which need not be equal.",
        (1, 3, 4, 2): "A batch of one image keeps its first dimension.",
        (2, 1, 1, 1): "One map of one pixel is still a map: the result has the shape (N, C).",
    }
    cases = [Case((torch.randint(-9, 10, shape, generator=generator).float(),), hint) for shape, hint in hints.items()]
    compare(answer, _means, cases, mistakes=AVERAGE_MISTAKES, diagnose=diagnose)


_means = functools.partial(torch.mean, dim=(2, 3))

AVERAGE_MISTAKES: dict[str, Callable] = {
    "It gives the sum: divide by H · W.": lambda m: m.sum((2, 3)),
    "It divides by H · H, not by H · W, rows times columns.": lambda m: m.sum((2, 3)) / m.shape[2] ** 2,
    "It divides by W · W, not by H · W, rows times columns.": lambda m: m.sum((2, 3)) / m.shape[3] ** 2,
    "It divides by H only, not by H · W, rows times columns.": lambda m: m.sum((2, 3)) / m.shape[2],
    "It divides by W only, not by H · W, rows times columns.": lambda m: m.sum((2, 3)) / m.shape[3],
    "It divides by C · H · W, not by H · W, rows times columns.": lambda m: m.sum((2, 3)) / m[0].numel(),
    "It divides by the whole batch's size, not by H · W, rows times columns.": lambda m: m.sum((2, 3)) / m.numel(),
    "It averages over the batch, too: each image keeps its own means.": lambda m: m.mean((0, 2, 3)),
    "It averages over the channels, too: each map keeps its own mean.": lambda m: m.mean((1, 2, 3)),
    "It averages over everything: each map of each image has its own mean.": lambda m: m.mean(),
    "It averages over channels and rows: rows and columns are dim=(2, 3).": lambda m: m.mean((1, 2)),
    "It averages over batch and channels: rows and columns are dim=(2, 3).": lambda m: m.mean((0, 1)),
    "It averages over the rows only: over the columns, too, dim=(2, 3).": lambda m: m.mean(2),
    "It averages over the columns only: over the rows, too, dim=(2, 3).": lambda m: m.mean(3),
    "squeeze() also drops N or C where it is 1: a batch of one image stays a batch.": lambda m: _means(m).squeeze(),
    "squeeze(0) drops a batch of one image: N stays.": lambda m: _means(m).squeeze(0),
    "It gives the maximum: give the mean.": lambda m: m.amax((2, 3)),
    "It loses the fractions: divide with /, and keep a float dtype.": lambda m: _means(m).trunc(),
    "It rounds down: divide with /, not //.": lambda m: _means(m).floor(),
    "It gives the median: give the mean.": lambda m: m.flatten(2).median(2).values,
    "It leaves out negative numbers: every pixel counts.": lambda m: m.relu().mean((2, 3)),
    "It takes absolute values: the mean keeps the signs.": lambda m: m.abs().mean((2, 3)),
}


def check_softmax(answer: Callable) -> None:
    """Checks ``answer(scores, dim)`` against ``torch.softmax``, with scores whose exponential overflows."""
    two_rows = torch.tensor([[1.0, 2.0, 0.0], [3.0, 5.0, -1.0]])
    kept = "Along dim, each maximum and each sum belongs to its own numbers: keep that dimension (keepdim=True)."
    questions = [
        ([0.0, 1.0, 3.0], 0, "Divide the exponentials by their sum, along dim; x.amax(dim) gives the maximum alone."),
        ([[1.0, 2.0], [3.0, 5.0]], 1, kept),
        (two_rows, 0, kept),
        (two_rows, -1, "dim may count from the end; -1 is the last one."),
        (two_rows[:, None, :, None] * torch.arange(1, 5), 1, "Tensors may have any number of dimensions."),
        ([1000.0, 1001.0], 0, "exp(1000) is infinite: subtract the maximum along dim first; it changes nothing."),
        ([-1000.0, -1001.0], 0, "exp(-1000) is 0: subtract the maximum along dim first; it changes nothing."),
        ([[0.0, 0.0], [-1000.0, -1001.0]], 1, "Subtract each row's own maximum, along dim, not that of all scores."),
        ([[1000.0, -1000.0], [0.0, 1.0]], 1, "Only the maximum will do to subtract: then no exponent is above 0."),
    ]
    cases = [Case((torch.as_tensor(scores), dim), hint) for scores, dim, hint in questions]
    cases += drawn(lambda g: (9 * torch.randn(4, 5, 3, generator=g) + integer(-1, 1, g) * 1000, integer(-1, 2, g)))
    compare(answer, torch.softmax, cases, mistakes=SOFTMAX_MISTAKES, diagnose=_wrong_total)


def _wrong_total(got: Tensor, _expected: Tensor, scores: Tensor, dim: int) -> str:
    one = torch.ones((), dtype=torch.float64)
    if not got.isfinite().all() or torch.allclose(got.sum(dim), one):
        return ""
    if torch.allclose(got.sum(), one):
        return "It divides by the sum of all numbers: divide by the sum along dim."
    if any(torch.allclose(got.sum(d), one) for d in range(got.ndim)):
        return "The numbers sum to 1 along another dimension: they must sum to 1 along dim."
    return "The numbers must sum to 1 along dim: divide by the sum along dim, with keepdim=True."


SOFTMAX_MISTAKES: dict[str, Callable] = {
    "dim is ignored, and the last one taken: maximum and sum are along dim.": lambda x, d: x.softmax(-1),
    "dim is ignored, and the first one taken: maximum and sum are along dim.": lambda x, d: x.softmax(0),
    "The maximum needs keepdim=True, or it is subtracted along the wrong dimension.": lambda x, d: (
        x - (x.amax(d) - x.amax(d, True))
    ).softmax(d),
    "The sum needs keepdim=True, or it divides along the wrong dimension.": lambda x, d: (
        (x - x.amax(d, True)).exp() / (x - x.amax(d, True)).exp().sum(d)
    ),
    "It divides by the maximum, or not at all: divide by the sum.": lambda x, d: (x - x.amax(d, True)).exp(),
    "This is the logarithm of the softmax: give the softmax itself.": lambda x, d: x.log_softmax(d),
    "The scores are divided by their sum: take their exponentials first.": lambda x, d: x / x.sum(d, keepdim=True),
    "The sign in the exponent is wrong: exp(score), not exp(-score).": lambda x, d: (-x).softmax(d),
    "This is a sigmoid of each score: divide exponentials by their sum.": lambda x, d: x.sigmoid(),
    "The base is e, not 2: use exp.": lambda x, d: (x * 0.6931471805599453).softmax(d),
}


def check_dense_inputs(answer: Callable) -> None:
    """Checks ``answer(size, channels, layers)``: the numbers that a stack of layers leaves for a dense layer."""
    questions: tuple[tuple[tuple, str], ...] = (
        ((8, 32, [(5, 1)]), "A layer leaves (size - window) // stride + 1; at the end count channels, rows, columns."),
        ((28, 32, [(5, 1), (2, 2), (3, 1)]), "Each layer starts from the size that the one before it left."),
        ((31, 20, [(3, 1), (2, 2), (4, 1), (3, 2)]), "A step that does not fit is not taken: round down."),
        ((10, 4, [(3, 2)]), "A step that does not fit is not taken: round down."),
        ((23, 3, [(4, 3), (2, 3)]), "A side is a whole number before it is squared: round it down."),
        ((5, 3, []), "Without layers the image stays as it is."),
    )

    def stack(g: torch.Generator) -> tuple:
        return integer(20, 40, g), integer(1, 9, g), [(integer(1, 3, g), integer(1, 2, g)) for _ in range(3)]

    compare(answer, _inputs, [Case(*question) for question in questions] + drawn(stack), mistakes=DENSE_MISTAKES)


def _inputs(size: int, channels: int, layers: Sequence[tuple[int, int]]) -> int:
    return nn.Sequential(*(nn.MaxPool2d(*pair) for pair in layers))(torch.zeros(1, channels, size, size)).numel()


def _shrunk(step: Callable[[int, int, int], float]) -> Callable[..., float]:
    """The inputs if each layer makes ``step(size, window, stride)`` of the side."""
    return lambda n, c, pairs: c * functools.reduce(lambda side, pair: step(side, *pair), pairs, n) ** 2


_fractions = _shrunk(lambda n, w, s: (n - w) / s + 1)

DENSE_MISTAKES: dict[str, Callable] = {
    "A map has rows and columns: channels * size * size.": lambda n, c, ls: _inputs(n, 1, ls) ** 0.5 * c,
    "The channels are missing: channels * size * size.": lambda n, c, ls: _inputs(n, 1, ls),
    "The channels count once: channels * size * size.": lambda n, c, ls: _inputs(n, 1, ls) * c**2,
    "A side is a whole number: round down in each layer (//).": _fractions,
    "Round the side down in each layer (//), not the result.": lambda n, c, ls: int(_fractions(n, c, ls)),
    "It rounds up: round down, (size - window) // stride + 1.": _shrunk(lambda n, w, s: -((w - n) // s) + 1),
    "It rounds to the nearest: round down, with //.": _shrunk(lambda n, w, s: round((n - w) / s) + 1),
    "The first position is missing in each layer: + 1.": _shrunk(lambda n, w, s: (n - w) // s),
    "The + 1 comes after the division by the stride.": _shrunk(lambda n, w, s: (n - w + 1) // s),
    "The stride is missing: (size - window) // stride + 1.": _shrunk(lambda n, w, s: n - w + 1),
    "The window is missing: (size - window) // stride + 1.": _shrunk(lambda n, w, s: n // s),
    "Where it strides, the window is missing: (size - window) // stride + 1.": _shrunk(
        lambda n, w, s: n // s if s > 1 else n - w + 1
    ),
    "A pair is (window, stride), not (stride, window).": _shrunk(lambda n, s, w: (n - w) // s + 1),
    "Only the first layer counts; a return inside the loop ends it.": lambda n, c, ls: _inputs(n, c, ls[:1]),
    "Only the last layer counts: start from what the one before left.": lambda n, c, ls: _inputs(n, c, ls[-1:]),
    "The last layer is missing.": lambda n, c, ls: _inputs(n, c, ls[:-1]),
    "The order of the layers is reversed.": lambda n, c, ls: _inputs(n, c, ls[::-1]),
}


# The grid of lesson 2, which pools it by hand.
POOL_NUMBERS = torch.tensor([int(n) for n in "132051427102061384210923504117382602"]).float().view(6, 6)


class PoolingExplorer(Explorer):
    """What :func:`pooling_explorer` gives."""

    lesson = "lesson_02"
    still = (
        "Six by six numbers, and beside them three by three: the largest of each window of two by two. One is marked."
    )

    @property
    def numbers(self) -> Tensor:
        """The grid of numbers as the reader has left it, ``(6, 6)``."""
        return grid(6, 6, self.state.get("numbers", self.content["numbers"]))


def pooling_explorer(photo: images.Source | None = None) -> PoolingExplorer:
    """Lesson 2: pool a grid of numbers or a feature map, and see each result's window, winner and gradient.

    Args:
        photo: an image of your own, as :func:`helpers.images.read` takes it; it comes before the sample photos, and the
            explorer begins with its feature map.
    """
    photos = {"yours": images.read(photo)} if photo is not None else {}
    photos |= {name: images.sample(name) for name in ("camera", "chelsea", "coins")}
    names = ("bright to the right", "bright to the left", "bright below", "bright above")
    content = {
        "kind": "pooling",
        "on": "grid of numbers" if photo is None else "feature map",
        "numbers": POOL_NUMBERS.flatten().tolist(),
        "filters": {name: f.flatten().tolist() for name, f in zip(names, filters.step_filters(), strict=True)},
        "photos": [gray_photo(name, image, 120) for name, image in photos.items()],
    }
    return PoolingExplorer(content=content)
