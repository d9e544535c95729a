"""Lesson 3, a Fashion-MNIST classifier: the checks of its exercises, its two explorers, and what only it uses."""

import atexit
import copy
import functools
import io
import itertools
import json
import math
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, nll_loss, one_hot
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from helpers import files
from helpers.arguments import check_number, check_seed, check_whole
from helpers.data import CLASSES, Batches, fashion_mnist
from helpers.images import as_batch
from helpers.lessons import checking
from helpers.lessons.checking import Case, compare, difference, drawn, report, run
from helpers.lessons.explore import Explorer, float_bytes, grid, image_bytes
from helpers.models import CHECKPOINT, FASHION_MEAN, FASHION_STD, FashionNet, trained_fashion_net
from helpers.plotting import number_grid


def confusion_table(confusion: Tensor, classes: Sequence[str]) -> Figure:
    """A confusion matrix ``(K, K)`` with its counts: row = true class, column = predicted class."""
    counts = confusion.numpy()
    # The colors show the mistakes: on a common scale the diagonal would drown them.
    mistakes = counts - np.diag(np.diag(counts))
    figure = number_grid([mistakes], cmap="Greys", vmin=0, vmax=max(1, 1.5 * mistakes.max()))
    figure.set_size_inches(6, 5.6)
    (ax,) = figure.axes
    for text, (row, column) in zip(ax.texts, np.ndindex(*counts.shape), strict=True):
        right = {"text": str(counts[row, row]), "fontweight": "bold"} if row == column else {}
        text.set(fontsize=10, **right)
    ax.set_xticks(range(len(classes)), classes, rotation=45)
    ax.set_yticks(range(len(classes)), classes)
    ax.set(xlabel="predicted class", ylabel="true class")
    return figure


def computation_graph(
    nodes: Mapping[str, tuple[float, float, str]], edges: Sequence[tuple[str, str, str, str]]
) -> Figure:
    """Values as boxes, a black arrow from each to what is computed from it, and an orange one for the way back.

    Args:
        nodes: for each name the column and row of its box, and the text in it.
        edges: ``(from, to, operation, slope)``: written above the black arrow, and below the orange one; may be empty.
    """
    columns, rows = max(x for x, _, _ in nodes.values()) + 1, max(y for _, y, _ in nodes.values()) + 1
    figure = Figure(figsize=(2.05 * columns, 1.6 * rows), layout="constrained")
    ax = figure.subplots()
    boxes = {
        name: ax.text(x, -y, text.replace("-", "−"), ha="center", va="center", fontsize=11, bbox=BOX)
        for name, (x, y, text) in nodes.items()
    }
    for start, end, operation, slope in edges:
        (x0, y0, _), (x1, y1, _) = nodes[start], nodes[end]
        patches = boxes[start].get_bbox_patch(), boxes[end].get_bbox_patch()
        arrow = {"arrowstyle": "->", "patchA": patches[0], "patchB": patches[1]}
        ax.annotate("", (x1, -y1), (x0, -y0), arrowprops=arrow)
        ax.text((x0 + x1) / 2 - 0.05, -(y0 + y1) / 2 + 0.1, operation, ha="center", va="bottom", fontsize=11)
        if slope:
            style = {"arrowstyle": "->", "color": WAY_BACK, "connectionstyle": "arc3,rad=-0.35"}
            ax.annotate("", (x0, -y0), (x1, -y1), arrowprops=style | {"patchA": patches[1], "patchB": patches[0]})
            place = (x0 + x1) / 2 + 0.22 * abs(y1 - y0), -(y0 + y1) / 2 - 0.24
            ax.text(*place, slope, ha="center", va="top", fontsize=11, color=WAY_BACK)
    ax.set(xlim=(-0.55, columns - 0.45), ylim=(0.45 - rows, 0.55))
    ax.axis("off")
    return figure


BOX = {"boxstyle": "round", "fc": "0.94"}
WAY_BACK = "#d55e00"  # the colour of slopes, steps and what goes back


def _draw_parabola(ax: Axes, left: float, right: float) -> None:
    places = np.linspace(left, right, 200)
    ax.plot(places, (places - 3) ** 2, color="0.6")
    ax.set(xlabel="weight w", ylabel="loss")
    ax.spines[["top", "right"]].set_visible(False)


def slope_figure(weight: float) -> Figure:
    """The loss (w − 3)², the slope at one weight as a line, and the way down from there as an arrow along the axis."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    ax = figure.subplots()
    _draw_parabola(ax, -1, 7)
    loss, slope = (weight - 3) ** 2, 2 * (weight - 3)
    near = np.array([weight - 0.8, weight + 0.8])
    ax.plot(near, loss + slope * (near - weight), color=WAY_BACK, linewidth=2)
    ax.plot(weight, loss, "o", color="black", markersize=9)
    ax.text(weight + 0.35, loss, f"slope {slope:g}".replace("-", "−"), color=WAY_BACK, va="center", fontsize=11)
    way = float(np.sign(-slope))
    ax.annotate("", (weight + 1.8 * way, 0.4), (weight, 0.4), arrowprops={"arrowstyle": "-|>", "linewidth": 2})
    ax.text(weight + 0.9 * way, 0.8, "downhill", ha="center", fontsize=9)
    ax.set(ylim=(-0.5, 17))
    return figure


def descent_figure(paths: Mapping[str, Sequence[float]]) -> Figure:
    """The loss (w − 3)² once for each path of weights, all on the same axes, with the path's steps on it."""
    figure = Figure(figsize=(3.5 * len(paths), 3.2), layout="constrained")
    for ax, (name, weights) in zip(figure.subplots(1, len(paths), squeeze=False)[0], paths.items(), strict=True):
        _draw_parabola(ax, -4, 10)
        path = np.array(weights)
        ax.plot(path, (path - 3) ** 2, "o-", color=WAY_BACK, markersize=5, linewidth=1)
        ax.plot(path[0], (path[0] - 3) ** 2, "o", color="black", markersize=8)
        ax.set(title=name, xlim=(-4, 10), ylim=(-2, 49))
    return figure


def probability_loss_figure(marks: Mapping[str, float]) -> Figure:
    """Minus the logarithm of a probability, with some probabilities marked by name."""
    figure = Figure(figsize=(5.5, 2.8), layout="constrained")
    ax = figure.subplots()
    probabilities = np.linspace(0.005, 1, 200)
    ax.plot(probabilities, -np.log(probabilities), color="black")
    for name, p in marks.items():
        side, shift = ("left", 0.03) if p < 0.5 else ("right", 0)
        ax.plot(p, -np.log(p), "o", color=WAY_BACK)
        ax.text(p + shift, -np.log(p) + (0.4 if p < 0.5 else 0.7), f"{name}: {-np.log(p):.2f}", ha=side)
    ax.set(xlabel="probability given to the true class", ylabel="loss", ylim=(-0.2, 5.5))
    return figure


def check_cross_entropy(answer: Callable) -> None:
    """Checks ``answer(logits, labels)`` for ``(N, K)`` and ``(N,)`` against PyTorch's cross-entropy."""

    def diagnose(got: Tensor, expected: Tensor, logits: Tensor, _labels: Tensor) -> str:
        cut = got.ndim == 0 and got.isfinite() and got < expected and logits.abs().max() >= 1000
        return "A small number in the logarithm, or a clamp, cuts off large losses: use none." if cut else ""

    questions = [
        ([[0, 0]], [0], "Equal logits give each of two classes 1/2: the loss is −log(1/2), the natural logarithm."),
        ([[2, 0, 1]], [2], "The loss is minus the log-probability of the true class, the last here."),
        (
            [[1, 2, 3], [4, 0, -4]],
            [2, 1],
            "Each image has its own softmax, over its row (dim=1, keepdim=True); give the mean over images.",
        ),
        ([[1, 0], [3, 1], [0, 2], [5, 1]], [1, 0, 0, 1], "Give the mean over all images."),
        ([[1000, 0]], [0], "exp(1000) is infinite: subtract each row's maximum first."),
        ([[0, 1000]], [0], "log(0) is infinite: the log-softmax is x - log(sum(exp(x))), x without its maximum."),
        ([[1000, 0], [-1000, 0]], [0, 1], "Subtract each row's own maximum, not that of all logits."),
    ]
    cases = [Case((torch.tensor(rows).float(), torch.tensor(labels)), hint) for rows, labels, hint in questions]
    cases += drawn(lambda g: (3 * torch.randn(6, 4, generator=g), torch.randint(4, (6,), generator=g)))
    compare(answer, cross_entropy, cases, mistakes=ENTROPY_MISTAKES, diagnose=diagnose)


ENTROPY_MISTAKES: dict[str, Callable] = {
    "It gives the sum: divide by the number of images.": lambda z, y: cross_entropy(z, y, reduction="sum"),
    "It gives a loss for each image: give their mean.": lambda z, y: cross_entropy(z, y, reduction="none"),
    "It divides by N · K: the mean is over N images, not over classes.": lambda z, y: cross_entropy(z, y) / z.shape[1],
    "[:, labels] takes the columns of all labels in each row: use [torch.arange(N), labels].": lambda z, y: (
        -z.log_softmax(1)[:, y].mean()
    ),
    "The softmax runs over the batch: over the classes, dim=1.": lambda z, y: nll_loss(z.log_softmax(0), y),
    "The softmax runs over all numbers: over the classes of each image, dim=1.": lambda z, y: nll_loss(
        z.flatten().log_softmax(0).view_as(z), y
    ),
    "The logarithm has the base 2: use the natural one, log.": lambda z, y: cross_entropy(z, y) / math.log(2),
    "The logarithm has the base 10: use the natural one, log.": lambda z, y: cross_entropy(z, y) / math.log(10),
    "The logarithm is missing.": lambda z, y: nll_loss(z.softmax(1), y),
    "This is 1 minus the probability: the loss is minus its logarithm.": lambda z, y: 1 + nll_loss(z.softmax(1), y),
    "These are logits, not log-probabilities: log-softmax comes first.": lambda z, y: nll_loss(z, y),
    "The softmax is taken twice: once is enough.": lambda z, y: cross_entropy(z.softmax(1), y),
    "The logit of the true class is missing.": lambda z, y: z.logsumexp(1).mean(),
    "The maximum is subtracted in one place only: in both, or add it again.": lambda z, y: (
        cross_entropy(z, y) - z.amax(1).mean()
    ),
    "It takes the predicted class: take that of the label.": lambda z, y: cross_entropy(z, z.argmax(1)),
    "It takes class 0 always: take that of the label.": lambda z, y: cross_entropy(z, y * 0),
    "It averages over all classes: take that of the label.": lambda z, y: -z.log_softmax(1).mean(),
    "It sums over all classes: take that of the label.": lambda z, y: -z.log_softmax(1).sum(1).mean(),
}


@checking.own_random_state
def check_training_step(answer: Callable) -> None:
    """Checks ``answer(model, images, labels, optimizer)``: what it does to the weights, and the loss it gives back."""
    if not checking.is_function(answer):
        return
    for situation, arguments in _training_situations().items():
        outcome = run(answer, arguments, _after_step, may_change=(0, 3))
        if outcome.is_missing:
            after = run(lambda *given: [answer(*given)], arguments, _after_step, may_change=(0, 3)).value
            if _is_unmoved(after, arguments):
                return report(checking.NOT_ATTEMPTED, checking.STUB)
            return report(checking.NOT_YET, "it moves the weights, but gives nothing back: return loss.item().")
        if fault := outcome.error or outcome.change or _step_fault(outcome.value, arguments):
            return report(checking.NOT_YET, f"{situation}, your function {fault}")
    report(checking.CORRECT, "the weights and the loss, with old gradients, with batch normalisation and with Adam.")


class _WithOldGradients(nn.Sequential):
    """Copies of it have gradients, as if left over from an earlier batch."""

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        for p in self.parameters():
            p.grad = torch.ones_like(p)


def _training_situations() -> dict[str, tuple]:
    generator = checking.generator(3)
    situations: dict[str, tuple] = {}
    for situation, kind, norm, optimizer in (
        ("with a fresh model", nn.Sequential, nn.Identity(), torch.optim.SGD),
        ("with gradients left over from an earlier batch", _WithOldGradients, nn.Identity(), torch.optim.SGD),
        ("with batch normalisation, and Adam", _WithOldGradients, nn.BatchNorm1d(4), torch.optim.Adam),
    ):
        model = kind(norm, nn.Linear(4, 3))
        vector_to_parameters(torch.linspace(-1, 1, 15), model[1].parameters())
        images = 3 * torch.randn(5, 4, generator=generator)
        situations[situation] = (model, images, torch.tensor([0, 2, 1, 0, 1]), optimizer(model.parameters(), lr=0.5))
    return situations


def _after_step(loss: Any, model: nn.Module, *_: Any) -> tuple[Any, Tensor, int, bool]:
    """The loss, the weights, how often batch normalisation has run, and whether the model is in training mode."""
    runs = sum(int(b) for name, b in model.named_buffers() if name.endswith("num_batches_tracked"))
    return loss, parameters_to_vector(model.parameters()).detach(), runs, model.training


def _is_unmoved(after: tuple | None, arguments: tuple) -> bool:
    return after is None or torch.equal(after[1], parameters_to_vector(arguments[0].parameters()))


def _step(
    *batch: Any, loss_of: Callable = cross_entropy, clear: bool = True, steps: int = 1, late: bool = False
) -> float:
    """The training step, and the slips that it invites."""
    model, images, labels, optimizer = batch
    for _ in range(steps):
        if clear:
            optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()
    return (loss_of(model(images), labels) if late else loss).item()


STEP_MISTAKES: dict[str, dict[str, Any]] = {
    "This is the loss after the step: give the one before.": {"late": True},
    "Old gradients are added to the new ones: zero_grad() comes before backward().": {"clear": False},
    "A softmax before cross_entropy is one too many: give it the logits.": {
        "loss_of": lambda z, y: cross_entropy(z.softmax(1), y)
    },
    "The loss is the mean over the batch, not the sum.": {"loss_of": functools.partial(cross_entropy, reduction="sum")},
    "nll_loss takes log-probabilities: give the logits to cross_entropy.": {"loss_of": nll_loss},
    "It goes uphill: backward() is for the loss itself.": {"loss_of": lambda z, y: -cross_entropy(z, y)},
    "It makes two steps: make one.": {"steps": 2},
}


def _step_fault(after: tuple, arguments: tuple) -> str:
    """What a step did wrong, as the end of a sentence that begins with "your function"."""

    def made(**slip: Any) -> tuple:
        return run(functools.partial(_step, **slip), arguments, _after_step, may_change=(0, 3)).value

    (loss, weights, runs, training), right = after, made()
    known = {say: made(**slip) for say, slip in STEP_MISTAKES.items()}
    if training != right[3] or runs < right[2]:
        return "changes the model's mode: leave it in training or evaluation mode, as it was."
    if _is_unmoved(after, arguments):
        return "moves no weight: zero_grad(), then backward(), then step(), in this order."
    if difference(weights, right[1]):
        said = "The gradient is that of cross_entropy alone, for this batch, and optimizer.step() moves the weights."
        said = next((say for say, other in known.items() if not difference(weights, other[1])), said)
        return f"moves the weights elsewhere than expected. {said}"
    if not issubclass(type(loss), int | float | np.number):
        return f"gives back a {type(loss).__name__}; expected a Python number: loss.item()."
    if wrong := difference(loss, right[0]):
        said = next((say for say, other in known.items() if not difference(loss, other[0])), "")
        return f"moves the weights as expected; as the loss it {wrong} {said}"
    return "" if runs == right[2] else f"runs the model {runs} times: once is enough; each run moves the running means."


def check_accuracy(answer: Callable) -> None:
    """Checks ``answer(batches)``, where each batch is ``(logits, labels)``, and the last one may be short."""
    cases = []
    for sizes, hint in SIZES_OF_BATCHES.items():
        generator = checking.generator(sum(sizes))
        labels = [torch.randint(4, (size,), generator=generator) for size in sizes]
        logits = [one_hot(part, 4) - 0.3 + torch.randn(len(part), 4, generator=generator) for part in labels]
        logits[0][0, labels[0][0]] += 9  # the largest of the batch
        if len(labels) > 1:  # at most one right in the last batch
            logits[-1] = one_hot((labels[-1] + (torch.arange(sizes[-1]) != 1)) % 4, 4) * 2.0 - 3
        cases.append(Case((list(zip(logits, labels, strict=True)),), hint))
    compare(answer, _share, cases, mistakes=ACCURACY_MISTAKES)


SIZES_OF_BATCHES = {
    (9,): "The prediction is the class with the largest logit, argmax(dim=1); give the share of right ones, 0 to 1.",
    (6, 6): "All batches count.",
    (6, 4, 3): "Divide all right predictions by the number of all images.",
    (6, 6, 1): "A batch may hold a single image: its logits still have the shape (1, K).",
    (2, 5): "Count the images of each batch: len(labels).",
}


def _share(batches: Sequence[tuple[Tensor, Tensor]], of: Callable[[Tensor], Tensor] = torch.positive) -> float:
    return torch.cat([of(logits).argmax(dim=1) == labels for logits, labels in batches]).float().mean().item()


def _hits(batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    return sum((logits.argmax(dim=1) == labels).sum().item() for logits, labels in batches)


ACCURACY_MISTAKES: dict[str, Callable] = {
    "It averages the batches' shares: a short batch counts too much.": lambda bs: (
        sum(_share([b]) for b in bs) / len(bs)
    ),
    "It counts each batch as large as the first: add up len(labels).": lambda bs: _hits(bs) / len(bs) / len(bs[0][1]),
    "It counts each batch as large as the last: add up len(labels).": lambda bs: _hits(bs) / len(bs) / len(bs[-1][1]),
    "It divides by the number of batches: by that of images.": lambda bs: _hits(bs) / len(bs),
    "It divides by the number of logits: by that of images.": lambda bs: _share(bs) / bs[0][0].shape[1],
    "This is the number of right predictions: divide by that of images.": _hits,
    "This is in per cent: give the share, from 0 to 1.": lambda bs: 100 * _share(bs),
    "This is the share of wrong predictions: give that of right ones.": lambda bs: 1 - _share(bs),
    "Only the first batch counts; a return inside the loop ends it.": lambda bs: _share(bs[:1]),
    "Only the last batch counts: add them up.": lambda bs: _share(bs[-1:]),
    "The last batch is missing.": lambda bs: _share(bs[:-1] or bs),
    "The last batch is missing, also where it is the only one.": lambda bs: _share(bs[:-1]) if bs[1:] else 0,
    "It takes the logit of the largest magnitude: take the largest one.": lambda bs: _share(bs, Tensor.abs),
    "It takes the smallest logit: the largest one is the prediction.": lambda bs: _share(bs, Tensor.neg),
    "argmax() looks at all logits of a batch at once: argmax(dim=1) at those of each image.": lambda bs: (
        sum((logits.argmax() == labels).sum().item() for logits, labels in bs) / sum(len(labels) for _, labels in bs)
    ),
    "It divides with //, which rounds down: use /.": lambda bs: int(_share(bs)),
    "squeeze() fails for a batch of a single image: its logits have the shape (1, K).": lambda bs: _share(
        bs, Tensor.squeeze
    ),
}


ONE_EACH = "Each image adds 1 at [label, prediction], rows are the true classes. (bincount: minlength=classes**2.)"


def check_confusion_matrix(answer: Callable) -> None:
    """Checks ``answer(labels, predictions, classes)``: counts, row = true class, column = predicted class."""
    cases = [
        Case((torch.tensor(labels), torch.tensor(predictions), classes), hint)
        for labels, predictions, classes, hint in (
            ([0, 1, 2, 1], [0, 2, 0, 1], 3, ONE_EACH),
            ([0, 0, 1, 1], [1, 1, 1, 0], 2, "A pair of label and prediction may come twice, and counts twice."),
            ([2, 0, 0], [0, 0, 2], 4, "There are rows and columns for classes that do not occur, too."),
            ([1, 0, 1], [3, 2, 3], 4, "A class may occur among the predictions alone."),
            ([3], [1], 5, "There may be a single image."),
            ([1] * 300 + [0], [0] * 300 + [0], 2, "Counts may be large: 300 does not fit into a byte."),
        )
    ]
    cases += drawn(lambda g: (torch.randint(5, (40,), generator=g), torch.randint(5, (40,), generator=g), 6))
    compare(answer, _counts, cases, mistakes=CONFUSION_MISTAKES)


def _counts(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    return torch.bincount(labels * classes + predictions, minlength=classes**2).view(classes, classes)


def _altered(alter: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The counts with a change made to all of them."""
    return lambda labels, predictions, classes: alter(_counts(labels, predictions, classes))


CONFUSION_MISTAKES: dict[str, Callable] = {
    "[labels, predictions] += 1 counts a pair that comes twice only once.": _altered(lambda c: c.clamp(max=1)),
    "These are shares of each row: give counts.": _altered(lambda c: c / c.sum(1, keepdim=True).clamp(min=1)),
    "These are shares of each column: give counts.": _altered(lambda c: c / c.sum(0, keepdim=True).clamp(min=1)),
    "These are shares of all images: give counts.": _altered(lambda c: c / c.sum()),
    "Right predictions are missing: they belong on the diagonal.": _altered(lambda c: c.fill_diagonal_(0)),
    "Wrong predictions are missing: they belong off the diagonal.": _altered(lambda c: c.diag().diag()),
    "Each image counts twice, at [label, prediction] and the other way round.": _altered(lambda c: c + c.T),
    "Class numbers begin at 0: no - 1.": _altered(lambda c: c.roll((-1, -1), (0, 1))),
    "The size must be classes, not the largest class that occurs, + 1.": lambda y, p, k: _counts(
        y, p, int(max(*y, *p)) + 1
    ),
    "There must be rows and columns for classes that do not occur.": _altered(
        lambda c: c[c.sum(0) + c.sum(1) > 0][:, c.sum(0) + c.sum(1) > 0]
    ),
    "A row has classes columns: label * classes + prediction, whatever classes occur.": lambda y, p, k: torch.bincount(
        y * (max(y) + 1) + p, minlength=k * k
    ).view(k, k),
    "The counts are in one row: give them the shape (classes, classes).": _altered(Tensor.ravel),
    "A byte (uint8) holds numbers up to 255 only: use torch.long.": _altered(lambda c: c % 256),
    "A byte (int8) holds numbers up to 127 only: use torch.long.": _altered(lambda c: c.to(torch.int8)),
}


ROUND = 25  # batches between two points of the live curve: about a sixth of a second on two quiet cores


class LiveTraining:
    """A network that trains in a thread of its own, a round of batches at a time, until it is told to stop.

    Only one trains at a time: a new one stops the one before. ``shown`` is a copy of the network after the last round,
    for others to compute with: the network itself belongs to the thread. Global random numbers are not touched.
    ``error`` is what has ended the last training too early, or None.
    """

    latest: "LiveTraining | None" = None

    def __init__(self, train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor], seed: int) -> None:
        check_seed(seed)
        train_set, test_set = _items(train_set, "train_set"), _items(test_set, "test_set")
        if LiveTraining.latest:
            LiveTraining.latest.stop()
        LiveTraining.latest = self
        self.train_set, self.test_set, self.seed = train_set, test_set, seed
        self.stopping, self.thread = threading.Event(), threading.Thread()
        self.error: Exception | None = None
        self.reset(1e-3)

    def reset(self, rate: float) -> None:
        """A fresh network, with the same first weights each time, and empty curves; what trains is stopped.

        Raises:
            ValueError: the rate is none; everything is as it was.
        """
        check_number(0, 1000, rate=rate)
        self.stop()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.model = FashionNet().float()
        self.error, self.shown = None, copy.deepcopy(self.model)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        batches = Batches(*self.train_set, 128, shuffle=True, seed=self.seed)
        self.stream = itertools.chain.from_iterable(itertools.repeat(batches))
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def set_rate(self, rate: float) -> None:
        """Another learning rate, from the next step on."""
        check_number(0, 1000, rate=rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @property
    def is_training(self) -> bool:
        """Whether it trains, and was not told to stop."""
        return self.thread.is_alive() and not self.stopping.is_set()

    def start(self, rounds: int, report: Callable[[], None]) -> None:
        """Train for some rounds in the background; ``report`` is called after each, and at the end."""
        check_whole(0, rounds=rounds)
        if not callable(report):
            raise ValueError(f"report must be a function without arguments, not {report!r:.60}")

        def run() -> None:
            try:
                for _ in range(rounds):
                    self._train_round()
                    report()
                    if self.stopping.is_set():
                        break
            except Exception as error:  # nobody else would hear of it
                self.error = error
            self.stopping.set()
            report()

        self.stop()
        self.stopping.clear()
        self.error = None
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        _when_interrupted(self.stopping.set)

    def _train_round(self) -> None:
        total = 0.0
        for images, labels in itertools.islice(self.stream, ROUND):
            loss = cross_entropy(self.model(images), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        self.shown = copy.deepcopy(self.model)
        with torch.no_grad():
            right = self.shown(self.test_set[0]).argmax(dim=1) == self.test_set[1]
        self.losses.append(total / ROUND)
        self.accuracies.append(right.float().mean().item())

    def stop(self) -> None:
        """End the training after the round it is in, and wait for that, unless the training itself says so."""
        self.stopping.set()
        if self.thread.is_alive() and self.thread is not threading.current_thread():
            self.thread.join()

    def wait(self) -> None:
        """Wait for the end of the training.

        Raises:
            Exception: what has ended it too early.
        """
        self.thread.join()
        if self.error:
            raise self.error


def _items(split: tuple[Tensor, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Images and labels as the network takes them, or a sentence that says what is wrong with them."""
    if not isinstance(split, tuple | list) or len(split) != 2:
        raise ValueError(f"{name} must be a pair, (images, labels), not a {type(split).__name__}")
    images, labels = as_batch(split[0])[0].float(), split[1]
    if images.shape[1:] != (1, 28, 28):
        raise ValueError(f"the images of {name} must have the shape (N, 1, 28, 28), not {tuple(images.shape)}")
    is_tensor = isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.shape == images.shape[:1]
    if not is_tensor or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise ValueError(f"the labels of {name} must be int64, from 0 to 9, one for each of the {len(images)} images")
    return images.cpu(), labels.cpu()


@atexit.register
def _stop_at_exit() -> None:
    """A thread in the middle of PyTorch would abort the process."""
    if LiveTraining.latest:
        LiveTraining.latest.stop()


def _when_interrupted(stop: Callable[[], None]) -> None:
    """Also Jupyter's stop button shall end it, which an idle kernel ignores otherwise."""
    kernel = getattr(sys.modules["IPython"].get_ipython(), "kernel", None) if "IPython" in sys.modules else None
    if kernel is not None and hasattr(kernel, "saved_sigint_handler"):
        kernel.saved_sigint_handler = lambda *_: stop()  # put in place as soon as the kernel is idle again


# --- Explorers --------------------------------------------------------------------------------------------------------


class NetworkExplorer(Explorer):
    """What :func:`network_explorer` gives."""

    lesson = "lesson_03"
    still = (
        "An ankle boot of 28 by 28 pixels, beside it ten classes, of which Ankle boot has 100.0 %, and the "
        "strongest hidden nodes."
    )

    @property
    def drawing(self) -> Tensor:
        """What the reader has drawn, ``(1, 28, 28)``."""
        return grid(28, 28, self.state.get("drawing", [0.0] * 784))[None]


def network_explorer(model: FashionNet | None = None, items: int = 20) -> NetworkExplorer:
    """Lesson 3: draw into a network, and see every map, every unit and every score, and how each came about.

    Args:
        model: a :class:`helpers.models.FashionNet`, trained or not; by default the one that the course keeps.
        items: of each class of the test set, to load onto the pad and to count how many are recognised.
    """
    check_whole(1, 1000, items=items)
    return NetworkExplorer(content={"kind": "network", **_network_content(model or trained_fashion_net(), items)})


class TrainingExplorer(NetworkExplorer):
    """What :func:`training_explorer` gives.

    Attributes:
        round: of a training: images seen, loss, accuracy, weights, and what has gone wrong, if anything.
    """

    still = (
        "Curves of the training loss, which falls, and the test accuracy, which rises; 16 kernels in colour, "
        "and an ankle boot to draw on."
    )
    round = traitlets.Dict().tag(sync=True)

    def __init__(self, live: LiveTraining, **options: Any) -> None:
        super().__init__(**options)
        self.live = live
        self.on_msg(lambda _widget, message, _buffers: self.obey(message))

    @property
    def model(self) -> FashionNet:
        """The network as it is now; a copy."""
        return copy.deepcopy(self.live.shown)

    def obey(self, message: Mapping[str, Any], rounds: int = 200) -> None:
        """Do what the page asks for: ``{"what": "train" | "rate" | "stop" | "new", "rate": …}``."""
        what = message.get("what") if isinstance(message, Mapping) else None
        if what in ("train", "rate") and "rate" in message:
            self.live.set_rate(message["rate"])
        if what == "train" and not self.live.is_training:
            self.live.start(rounds, self.report)
        elif what == "stop":
            self.live.stop()
        elif what == "new":
            self.live.reset(message.get("rate", math.nan))
            self.report()

    def report(self) -> None:
        """Tell the page of the last round."""
        live = self.live
        self.round = {
            "images": len(live.losses) * ROUND * 128,
            "loss": live.losses[-1] if live.losses else math.log(10),
            "accuracy": live.accuracies[-1] if live.accuracies else 0.1,
            "weights": _weights(live.shown),
            "error": f"The training has stopped: {type(live.error).__name__}: {live.error}" if live.error else "",
        }


def training_explorer(
    train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor], seed: int = 0
) -> TrainingExplorer:
    """Lesson 3: a network while it learns: its loss and accuracy, its kernels, and what it makes of your drawing.

    A recorded run can be played without a kernel; with one, a network trains anew, up to 640,000 images at a time.

    Args:
        train_set, test_set: ``(images, labels)``; the accuracy shown is of the first 1,000 test images.
        seed: of the weights and of the order of the batches.
    """
    run, lengths = _recorded_run()
    test_set = _items(test_set, "test_set")
    live = LiveTraining(train_set, (test_set[0][:1000], test_set[1][:1000]), seed)
    content = {**_network_content(live.shown, items=5), "kind": "training", "run": run, "lengths": lengths}
    del content["weights"]  # those of the run are shown
    return TrainingExplorer(live, content=content)


def _recorded_run() -> tuple[list[dict[str, Any]], list[int]]:
    again = "git checkout data/checkpoints, or `make checkpoint` records it again"
    with files.intact(f"{RUN} or its record", again):
        record = json.loads(files.read(RUN.with_suffix(".json"), 10_000_000))
        weights = np.load(io.BytesIO(files.read(RUN, 10_000_000)))["weights"]
        rounds, lengths = record["rounds"], record["lengths"]
        if weights.dtype != np.int8 or weights.shape != (len(rounds), sum(lengths)):
            raise ValueError("they do not belong together")
        rows = [{key: row[key] for key in ("images", "loss", "accuracy", "scales")} for row in rounds]
    return [row | {"weights": levels.tobytes()} for row, levels in zip(rows, weights, strict=True)], lengths


RUN = CHECKPOINT.with_name("training_run.npz")


def _weights(model: FashionNet) -> bytes:
    return float_bytes(torch.cat([value.flatten() for value in model.state_dict().values()]))


def _network_content(model: FashionNet, items: int) -> dict[str, Any]:
    """What the page needs: the network, and some items of each class."""
    if not isinstance(model, FashionNet):
        raise ValueError(f"model must be a FashionNet, not {type(model).__name__}")
    with torch.device("meta"):
        wanted = FashionNet().state_dict()
    if [(k, v.shape) for k, v in model.state_dict().items()] != [(k, v.shape) for k, v in wanted.items()]:
        raise ValueError("model must be a FashionNet with its own layers, and these were changed")
    images, labels = fashion_mnist(train=False)
    chosen = torch.cat([(labels == c).nonzero()[:items, 0] for c in range(len(CLASSES))])
    return {
        "weights": _weights(model),
        "mean": FASHION_MEAN,
        "std": FASHION_STD,
        "classes": list(CLASSES),
        "items": image_bytes(images[chosen]),
        "labels": labels[chosen].tolist(),
    }
