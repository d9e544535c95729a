"""Lesson 3, a Fashion-MNIST classifier: the checks of its exercises, its explorer, and what only it uses."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from helpers.data import CLASSES, Batches
from helpers.hooks import inference
from helpers.lessons.checking import CORRECT, NOT_ATTEMPTED, Case, check_function, difference, report
from helpers.lessons.explorer import connect, png
from helpers.models import FashionNet
from helpers.training import History, train


def confusion_table(confusion: Tensor, classes: Sequence[str]) -> Figure:
    """A confusion matrix ``(K, K)`` with its counts: row = true class, column = predicted class."""
    array = confusion.numpy()
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    ax = figure.subplots()
    # The colours show the mistakes: on a common scale the diagonal would drown them.
    mistakes = array - np.diag(np.diag(array))
    ax.imshow(mistakes, cmap="Greys", vmax=max(1, 1.5 * mistakes.max()))
    for row, column in np.ndindex(*array.shape):
        bold = "bold" if row == column else "normal"
        ax.text(column, row, str(array[row, column]), ha="center", va="center", fontsize=8, fontweight=bold)
    ax.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=8)
    ax.set_yticks(range(len(classes)), classes, fontsize=8)
    ax.set(xlabel="predicted class", ylabel="true class")
    return figure


def computation_graph(nodes: Mapping[str, tuple[float, float, str]], edges: Sequence[tuple[str, str, str]]) -> Figure:
    """Values as boxes, and arrows from each to what is computed from it.

    Args:
        nodes: for each name the column and row of its box, and the text in it.
        edges: ``(from, to, operation)``; the operation is written on the arrow, and may be empty.
    """
    columns, rows = max(x for x, _, _ in nodes.values()) + 1, max(y for _, y, _ in nodes.values()) + 1
    figure = Figure(figsize=(1.45 * columns, 1.15 * rows), layout="constrained")
    ax = figure.subplots()
    boxes = {
        name: ax.text(x, -y, text, ha="center", va="center", fontsize=9, bbox={"boxstyle": "round", "fc": "0.94"})
        for name, (x, y, text) in nodes.items()
    }
    for start, end, operation in edges:
        (x0, y0, _), (x1, y1, _) = nodes[start], nodes[end]
        arrow = {"arrowstyle": "->", "patchA": boxes[start].get_bbox_patch(), "patchB": boxes[end].get_bbox_patch()}
        ax.annotate("", (x1, -y1), (x0, -y0), arrowprops=arrow)
        ax.text((x0 + x1) / 2, -(y0 + y1) / 2 + 0.08, operation, ha="center", va="bottom", fontsize=9)
    ax.set(xlim=(-0.55, columns - 0.45), ylim=(0.5 - rows, 0.55))
    ax.axis("off")
    return figure


def check_training_step(answer: Callable) -> None:
    """Checks ``answer(model, images, labels, optimizer)``: what it does to the weights, and the loss it gives back."""
    generator = torch.Generator().manual_seed(3)
    batches = [(torch.randn(n, 4, generator=generator), torch.arange(n) % 3) for n in (5, 1, 6)]
    model, reference = _linear_with_old_gradient(), _linear_with_old_gradient()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for number, (images, labels) in enumerate(batches, start=1):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        try:
            got = answer(model, images, labels, optimizer)
        except Exception as error:
            return report("Not yet", f"step {number} raised {type(error).__name__}: {error}")
        expected = _reference_step(reference, images, labels)
        moved = not all(torch.equal(p, before[name]) for name, p in model.named_parameters())
        if (got is None or got is ...) and not moved:
            return report(NOT_ATTEMPTED, "nothing comes back, and no weight has moved.")
        if not moved:
            return report("Not yet", f"after step {number} no weight has moved: it takes backward() and then step().")
        if difference(model.weight.detach(), reference.weight.detach()):
            hint = "Are old gradients forgotten before backward(), and does cross_entropy get the logits themselves?"
            return report("Not yet", f"step {number} moved the weights elsewhere than expected. {hint}")
        if isinstance(got, Tensor) and got.requires_grad:
            return report("Not yet", "the loss comes back as a tensor with its whole graph: give loss.item().")
        if got is None or difference(got, expected):
            return report("Not yet", f"the weights are right; as loss it gave {got}, expected {expected:.6g}.")
    return report(CORRECT, "three steps, the weights and the losses all as expected.")


def _linear_with_old_gradient() -> nn.Linear:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.linspace(-1, 1, p.numel()).view_as(p))
            p.grad = torch.ones_like(p)  # left over from an earlier batch
    return layer


def _reference_step(layer: nn.Linear, images: Tensor, labels: Tensor) -> float:
    loss = cross_entropy(layer(images), labels)
    gradients = torch.autograd.grad(loss, list(layer.parameters()))
    with torch.no_grad():
        for p, gradient in zip(layer.parameters(), gradients, strict=True):
            p.sub_(0.5 * gradient)
    return loss.item()


class _Batches(list):
    def __repr__(self) -> str:
        return f"[{' + '.join(str(len(labels)) for _, labels in self)} pictures]"


def check_accuracy(answer: Callable) -> None:
    """Checks ``answer(batches)``, where each batch is ``(logits, labels)``, and the last one may be short."""
    cases = []
    for sizes, hint in (
        ([4], "The prediction is the class with the largest logit, argmax(dim=1)."),
        ([4, 4], "Give the share of right predictions, from 0 to 1."),
        ([4, 1], "Divide all right ones by all pictures: averaging the batches' shares lets a short one count more."),
        ([6, 6, 2], "Count the pictures with len(labels), not with a batch size from elsewhere."),
    ):
        generator = torch.Generator().manual_seed(sum(sizes))
        labels = [torch.randint(3, (size,), generator=generator) for size in sizes]
        logits = [one_hot(part, 3) + torch.randn(len(part), 3, generator=generator) for part in labels]
        logits[-1] = one_hot((labels[-1] + 1) % 3, 3) * 2.0 - 3  # the last batch is all wrong, its logits all negative
        right = int((torch.cat(logits).argmax(dim=1) == torch.cat(labels)).sum())
        cases.append(Case((_Batches(zip(logits, labels, strict=True)),), right / sum(sizes), hint))
    check_function(answer, cases)


def check_cross_entropy(answer: Callable) -> None:
    """Checks ``answer(logits, labels)`` for ``(N, K)`` and ``(N,)`` against PyTorch's cross-entropy."""
    cases = []
    for rows, hint in (
        ([[0.0, 0.0]], "Equal logits give each of two classes 1/2, and the loss is −log(1/2), the natural logarithm."),
        ([[2.0, 0.0, 1.0]], "The loss is minus the log-probability of the true class, the first here."),
        ([[1.0, 2.0, 3.0], [4.0, 0.0, -4.0]], "Softmax runs over the classes, dim=1; give the mean over pictures."),
        ([[1000.0, 0.0], [-1000.0, 0.0]], "exp(1000) is too large for a float: subtract each row's maximum first."),
    ):
        logits = torch.tensor(rows)
        labels = torch.arange(len(rows))
        cases.append(Case((logits, labels), cross_entropy(logits, labels), hint))
    check_function(answer, cases)


def check_confusion_matrix(answer: Callable) -> None:
    """Checks ``answer(labels, predictions, classes)``: counts, row = true class, column = predicted class."""
    cases = []
    for labels, predictions, classes, hint in (
        ([0, 1], [0, 1], 2, "Each picture adds 1 at row label, column prediction."),
        ([0, 0, 1], [1, 1, 1], 2, "Rows are true classes, columns predicted ones; a pair may come twice."),
        ([2, 0], [0, 0], 4, "There are rows and columns for classes that do not occur, too."),
    ):
        expected = torch.zeros(classes, classes, dtype=torch.long)
        for label, prediction in zip(labels, predictions, strict=True):
            expected[label, prediction] += 1
        cases.append(Case((torch.tensor(labels), torch.tensor(predictions), classes), expected, hint))
    check_function(answer, cases)


ROUND = 25  # batches between two points of the live curve: about a sixth of a second on two quiet cores


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda x: x,
    "mirrored": lambda x: x.flip(-1),
    "upside down": lambda x: x.flip(-2),
    "black and white exchanged": lambda x: 1 - x,
}


class _LiveTraining:
    """A network that trains in a thread of its own, a round of batches at a time, until it is told to stop."""

    def __init__(self, train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor], seed: int) -> None:
        self.train_set, self.seed = train_set, seed
        self.test = Batches(*test_set, 500)
        self.stopping, self.thread = threading.Event(), threading.Thread()
        self.reset(1e-3)

    def reset(self, rate: float) -> None:
        """A fresh network, with the same first weights each time, and empty curves."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.model = FashionNet()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        batches = Batches(*self.train_set, 128, shuffle=True, seed=self.seed)
        self.stream = itertools.chain.from_iterable(itertools.repeat(batches))
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def __len__(self) -> int:
        return ROUND

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.islice(self.stream, ROUND)

    def start(self, rounds: int, report: Callable[[], None]) -> None:
        """Train for some rounds in the background; ``report`` is called after each, and at the end."""

        def note(_epoch: int, history: History) -> None:
            self.losses.append(history.train_loss[-1])
            self.accuracies.append(history.test_accuracy[-1])
            report()
            if self.stopping.is_set():
                raise KeyboardInterrupt  # which train() takes for the stop button

        def run() -> None:
            train(self.model, self, self.optimizer, rounds, test_batches=self.test, callback=note, progress=False)
            self.stopping.set()
            report()

        self.stopping.clear()
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the training after the round it is in, and wait for that."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join()


def training_explorer(
    train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor], seed: int = 0, rounds: int = 200
) -> ipw.Widget:
    """Lesson 3: train a network, watch its curves, stop it, and see what it makes of a garment of the test set.

    Args:
        train_set, test_set: ``(images, labels)``; the accuracy shown is of the first 1,000 test pictures.
        seed: of the weights and of the order of the batches.
        rounds: of 25 batches of 128 pictures, after which it stops by itself.
    """
    images, labels = test_set
    live = _LiveTraining(train_set, (images[:1000], labels[:1000]), seed)
    rate = ipw.Dropdown(options=[1e-4, 1e-3, 1e-2, 1e-1], value=1e-3, description="rate")
    button, fresh = ipw.Button(description="Train"), ipw.Button(description="New network")
    controls = _garment_controls()
    square = ipw.Layout(width="224px", height="224px", align_self="flex-start")
    view = {"curves": ipw.HTML(), "picture": ipw.Image(format="png", layout=square), "bars": ipw.HTML()}

    def draw(garment: int, number: int, change: str) -> dict[str, bytes | str]:
        of_class = (labels == garment).nonzero().flatten()
        picture = CHANGES[change](images[of_class[number % len(of_class)]])
        with inference(live.model):
            probabilities = live.model(picture[None]).softmax(dim=1)[0].tolist()
        button.description = "Stop" if live.thread.is_alive() and not live.stopping.is_set() else "Train"
        bars = _html_bars(dict(zip(CLASSES, probabilities, strict=True)), CLASSES[garment])
        return {"curves": _curves(live.losses, live.accuracies), "picture": png(picture[0], zoom=8), "bars": bars}

    update = connect(controls, view, draw)

    def press(_button: ipw.Button) -> None:
        if live.thread.is_alive():
            live.stop()
        else:
            live.start(rounds, update)
            update()

    def renew(*_) -> None:
        live.stop()
        live.reset(rate.value)
        update()

    button.on_click(press)
    fresh.on_click(renew)
    rate.observe(renew, "value")
    rows = [ipw.HBox([button, fresh, rate]), view["curves"], ipw.HBox(list(controls.values()))]
    return ipw.VBox([*rows, ipw.HBox([view["picture"], view["bars"]])])


def _garment_controls() -> dict[str, ipw.Widget]:
    return {
        "garment": ipw.Dropdown(options=[(name, i) for i, name in enumerate(CLASSES)], description="garment"),
        "number": ipw.IntSlider(0, 0, 999, description="number"),
        "change": ipw.Dropdown(options=list(CHANGES), description="shown"),
    }


def _curves(losses: list[float], accuracies: list[float]) -> str:
    """Training loss and test accuracy side by side, as SVG; one point for each round."""
    last = f": {losses[-1]:.3f}" if losses else ""
    percent = f": {accuracies[-1]:.1%}" if accuracies else ""
    lines = _svg_line(losses, 2.5, f"training loss{last}") + _svg_line(accuracies, 1, f"test accuracy{percent}")
    return f"{lines}<p>{len(losses) * ROUND * 128:,} pictures seen</p>"


def _svg_line(values: list[float], top: float, title: str) -> str:
    width, height, step = 300, 120, 300 / max(len(values), 20)
    points = " ".join(f"{(i + 0.5) * step:.1f},{height * (1 - min(v / top, 1)):.1f}" for i, v in enumerate(values))
    return (
        f"<svg width='{width + 60}' height='{height + 36}' font-size='12' fill='currentColor'>"
        f"<text x='32' y='14'>{title}</text><text x='4' y='32'>{top}</text><text x='14' y='{height + 26}'>0</text>"
        f"<g transform='translate(32 24)' fill='none' stroke='currentColor'>"
        f"<rect width='{width}' height='{height}' stroke-opacity='0.3'/>"
        f"<polyline points='{points}' stroke-width='2'/></g></svg>"
    )


def _html_bars(values: Mapping[str, float], marked: str) -> str:
    """Shares from 0 to 1 as bars with their names; the name of the true one is bold."""
    bar = "display:inline-block;height:11px;background:#888;width"
    rows = "".join(
        f"<tr><td style='padding:0 8px;font-weight:{'bold' if name == marked else 'normal'}'>{name}</td>"
        f"<td><div style='{bar}:{220 * value:.0f}px'></div> {value:.1%}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"
