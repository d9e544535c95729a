"""The course's training recipe beside the one that the learner's notes came from, timed in one run.

The original: two convolutions (10 and 20 kernels), two dense layers, batches of 20 from a DataLoader with ToTensor,
SGD 0.001 with momentum 0.9, 30 epochs, as its notebook has them. The course's: the same data as one tensor, the
precision and the memory order that the processor likes; lesson 3's small network with a one-cycle schedule where the
aim is to be quick, and lesson 4's larger one with its own recipe, where it is to be right in the time of the original.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import mean, stdev

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import datasets, transforms

from benchmarks.timing import keep, machine
from helpers import data, files
from helpers.bars import tqdm
from helpers.devices import best_device, has_fast_bf16
from helpers.lessons.lesson_04 import BatchNormNet, Mirrored, recipe
from helpers.models import FashionNet
from helpers.training import evaluate, one_cycle, train

RECORD = files.DATA / "benchmark.json"
TARGET = 0.87
ORIGINAL_EPOCHS = 30
QUICK_EPOCHS = 2
SEEDS = (0, 1, 2)
MARGIN = 0.97  # of the original's time that the recipe plans to need


@dataclass(frozen=True)
class Result:
    """One way to train, measured: times in seconds, and for each seed the accuracy on the test set.

    Mirrored is the accuracy where each image is asked about twice, as it is and as its mirror image.
    """

    name: str
    seconds_to_target: list[float]
    seconds: list[float]
    accuracies: list[float]
    epochs: int
    images_per_second: float
    share_of_matmul_rate: float
    mirrored: list[float] = field(default_factory=list)


def original_net() -> nn.Module:
    """The network of the notes: ``(N, 1, 28, 28)`` to logits ``(N, 10)``."""
    return nn.Sequential(
        *(nn.Conv2d(1, 10, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(10, 20, 3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(500, 50), nn.ReLU(), nn.Dropout(0.4)),
        nn.Linear(50, 10),
    )


def original_epochs(model: nn.Module, test: data.Batches, epochs: int) -> Iterator[tuple[float, float]]:
    """Train as the notes do; after each epoch, the seconds so far and the test accuracy."""
    dataset = datasets.FashionMNIST(data.find(), transform=transforms.ToTensor())
    loader = DataLoader(dataset, batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    seconds = 0.0
    for _ in tqdm(range(epochs), desc="original", unit="epoch"):
        start = time.perf_counter()
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
        seconds += time.perf_counter() - start
        yield seconds, evaluate(model, test).accuracy


def time_original(test: data.Batches) -> Result:
    """The original, once: its 30 epochs take minutes."""
    torch.manual_seed(0)
    model = original_net()
    curve = list(original_epochs(model, test, ORIGINAL_EPOCHS))
    return summarise("original", model, [curve], precision=torch.float32)


def time_quick(test: data.Batches, epochs: int = QUICK_EPOCHS, seeds: Sequence[int] = SEEDS) -> Result:
    """Lesson 3's network with the one-cycle schedule, once for each seed. Its seconds include the evaluations."""
    images, labels = data.fashion_mnist(train=True)
    curves = []
    for seed in seeds:
        torch.manual_seed(seed)
        model = FashionNet().to(best_device())
        batches = data.Batches(images, labels, 128, shuffle=True, seed=seed, augment=data.random_flip)
        optimizer, scheduler = one_cycle(model, epochs * len(batches))
        history = train(model, batches, optimizer, epochs, test_batches=test, scheduler=scheduler, seed=seed)
        if history.interrupted:  # a run that is cut short is not a result
            raise KeyboardInterrupt
        curves.append(list(zip(history.seconds, history.test_accuracy, strict=True)))
    return summarise("lesson 3's network", model, curves, precision=precision())


def time_recipe(test: data.Batches, epochs: int, seeds: Sequence[int] = SEEDS) -> Result:
    """Lesson 4's network with its recipe, once for each seed; judged at its end alone."""
    images, labels = data.fashion_mnist(train=True)
    curves, mirrored = [], []
    for seed in seeds:
        torch.manual_seed(seed)
        model = BatchNormNet().to(best_device())
        batches = data.Batches(images, labels, 250, shuffle=True, seed=seed, augment=data.random_flip)
        optimizer, scheduler = recipe(model, epochs * len(batches))
        history = train(model, batches, optimizer, epochs, scheduler=scheduler, label_smoothing=0.1, seed=seed)
        if history.interrupted:
            raise KeyboardInterrupt
        accuracies = [float("nan")] * (epochs - 1) + [evaluate(model, test).accuracy]
        curves.append(list(zip(history.seconds, accuracies, strict=True)))
        mirrored.append(evaluate(Mirrored(model), test).accuracy)
    return replace(summarise("lesson 4's network", model, curves, precision=precision()), mirrored=mirrored)


def precision() -> torch.dtype:
    """What the course's own training computes in."""
    return torch.bfloat16 if has_fast_bf16(best_device()) else torch.float32


def summarise(name: str, model: nn.Module, curves: list[list[tuple[float, float]]], precision: torch.dtype) -> Result:
    """What the curves of ``(seconds, test accuracy)`` after each epoch say, one curve for each seed."""
    epochs = len(curves[0])
    images_per_second = 60_000 * epochs / mean(curve[-1][0] for curve in curves)
    return Result(
        name,
        seconds_to_target=[next((s for s, a in curve if a >= TARGET), float("inf")) for curve in curves],
        seconds=[curve[-1][0] for curve in curves],
        accuracies=[curve[-1][1] for curve in curves],
        epochs=epochs,
        images_per_second=images_per_second,
        share_of_matmul_rate=images_per_second * flops_per_image(model) / matmul_rate(precision),
    )


def flops_per_image(model: nn.Module) -> float:
    """Floating-point operations of one forward and backward pass, for one image."""
    images = torch.rand(2, 1, 28, 28, device=best_device())
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    return counter.get_total_flops() / len(images)


def matmul_rate(precision: torch.dtype, size: int = 2048, repeats: int = 10) -> float:
    """Operations a second of a plain square matrix product on this machine, the best of some."""
    a, b = torch.rand(2, size, size, device=best_device()).to(precision)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ b).sum().item()  # .item() waits for the result
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def table(results: list[Result]) -> str:
    """The results as a table of Markdown."""
    lines = [
        "| | seconds to 87 % | seconds in all | test accuracy | images/s | of the matmul rate |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        ways = [f"{mean(scores):.2%}{spread(scores)}" for scores in (r.accuracies, r.mirrored) if scores]
        lines.append(
            f"| {r.name}, {r.epochs} epochs | {'–' if r.mirrored else f'{mean(r.seconds_to_target):.1f}'} "
            f"| {mean(r.seconds):.0f} | {', mirrored '.join(ways)} "
            f"| {r.images_per_second:,.0f} | {r.share_of_matmul_rate:.0%} |"
        )
    ratio = mean(results[0].seconds_to_target) / mean(results[1].seconds_to_target)
    return "\n".join([*lines, "", f"{results[1].name} reaches 87 % {ratio:.1f} times sooner than the original."])


def spread(values: Sequence[float]) -> str:
    """The standard deviation, where there is more than one value."""
    return f" ± {stdev(values):.2%}" if len(values) > 1 else ""


def main() -> None:
    """Measure, print the table, and keep the numbers in ``data/benchmark.json``."""
    test = data.Batches(*data.fashion_mnist(train=False), 500)
    original = time_original(test)
    quick = time_quick(test)
    trial = time_recipe(test, epochs=2, seeds=SEEDS[:1])
    epochs = int(MARGIN * original.seconds[0] / (trial.seconds[0] / 2))  # as many as fit into the original's time
    best = time_recipe(test, epochs)
    results = [original, quick, best]
    print(f"\n{machine()}\n\n{table(results)}")
    keep(RECORD, seeds=SEEDS, results=[asdict(r) for r in results])


if __name__ == "__main__":
    main()
