"""Which optimiser, and which dropout? The experiment behind lesson 4, recorded in ``data/ablation.json``.

{SGD, SGD + momentum, Adam} × {none, dropout on the dense layer, Dropout2d after the convolutions} on Fashion-MNIST,
several seeds each, all else equal. Each optimiser gets the learning rate that did best in a sweep beforehand, judged on
training images held out, never on the test set. ``python -m benchmarks.ablation`` takes about 20 minutes on two
cores; the file is written after each run, and an interrupted experiment goes on where it stopped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from helpers import files
from helpers.bars import tqdm
from helpers.data import Batches, fashion_mnist
from helpers.devices import best_device, has_fast_bf16
from helpers.models import FashionNet
from helpers.training import evaluate, train

RECORD = Path(__file__).resolve().parents[1] / "data" / "ablation.json"
DROP = 0.3  # the same probability for nodes and for maps
REGULARIZERS = {"none": {}, "dropout": {"dropout": DROP}, "Dropout2d": {"spatial_dropout": DROP}}
Split = tuple[Tensor, Tensor]  # images and labels


@dataclass(frozen=True)
class Plan:
    """What is run; records whose plans differ in more than their seeds are different experiments."""

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    epochs: int = 5
    batch_size: int = 128
    sweep_seeds: Sequence[int] = (0, 1)
    sweep_epochs: int = 2
    held_out: int = 10_000
    ladders: Sequence[tuple[str, Sequence[float]]] = (
        ("SGD", (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)),
        ("SGD + momentum", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)),
        ("Adam", (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)),
    )


def make_optimizer(name: str, model: torch.nn.Module, learning_rate: float) -> Optimizer:
    """The optimiser of this name, with PyTorch's defaults but for the learning rate and a momentum of 0.9."""
    if name == "Adam":
        return Adam(model.parameters(), lr=learning_rate)
    return SGD(model.parameters(), lr=learning_rate, momentum=0.9 if name == "SGD + momentum" else 0.0)


def one_run(
    optimizer: str, regularizer: str, learning_rate: float, seed: int, epochs: int, batch_size: int, training: Split
) -> FashionNet:
    """Train one network; weights, order of the images and dropout all follow from the seed.

    Raises:
        KeyboardInterrupt: the training was interrupted; a run that is cut short is not a result.
    """
    torch.manual_seed(seed)
    model = FashionNet(**REGULARIZERS[regularizer]).to(best_device())
    batches = Batches(*training, batch_size, shuffle=True, seed=seed)
    history = train(model, batches, make_optimizer(optimizer, model, learning_rate), epochs, seed=seed, progress=False)
    if history.interrupted:
        raise KeyboardInterrupt
    return model


def accuracy(model: FashionNet, split: Split) -> float:
    """The share of images that the model, in evaluation mode, gets right."""
    return evaluate(model, Batches(*split, 1000)).accuracy


def sweep(plan: Plan, training: Split, done: list[dict]) -> Iterator[dict]:
    """The runs that choose the learning rates, less those in ``done``: no dropout, judged on held-out images."""
    images, labels = training
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    held_out, rest = order[: plan.held_out], order[plan.held_out :]
    judges, pupils = (images[held_out], labels[held_out]), (images[rest], labels[rest])
    for seed in plan.sweep_seeds:
        for optimizer, ladder in plan.ladders:
            for rate in ladder:
                setting = {"optimizer": optimizer, "learning_rate": rate, "seed": seed}
                if not _has(done, setting):
                    model = one_run(optimizer, "none", rate, seed, plan.sweep_epochs, plan.batch_size, pupils)
                    yield setting | {"held_out_accuracy": accuracy(model, judges)}


def best_rates(runs: Sequence[dict]) -> dict[str, float]:
    """For each optimiser of a sweep, the learning rate with the highest mean accuracy on the held-out images."""
    scores: dict[str, dict[float, list[float]]] = {}
    for run in runs:
        scores.setdefault(run["optimizer"], {}).setdefault(run["learning_rate"], []).append(run["held_out_accuracy"])
    return {name: max(rates, key=lambda rate: mean(rates[rate])) for name, rates in scores.items()}


def ablation(plan: Plan, rates: dict[str, float], training: Split, testing: Split, done: list[dict]) -> Iterator[dict]:
    """All settings with the first seed, then with the next, and so on; less those in ``done``."""
    for seed in plan.seeds:
        for optimizer, rate in rates.items():
            for regularizer in REGULARIZERS:
                setting = {"optimizer": optimizer, "regularizer": regularizer, "seed": seed}
                if not _has(done, setting):
                    model = one_run(optimizer, regularizer, rate, seed, plan.epochs, plan.batch_size, training)
                    yield setting | {
                        "test_accuracy": accuracy(model, testing),
                        "train_accuracy": accuracy(model, training),
                    }


def _has(done: list[dict], setting: dict) -> bool:
    return any(setting.items() <= run.items() for run in done)


def load(path: Path, plan: Plan) -> dict:
    """The record as far as it goes, or an empty one.

    Raises:
        SystemExit: the file was made with another plan or another PyTorch, and would mix two experiments.
    """
    device = best_device()
    made_with = {
        "command": "python -m benchmarks.ablation",
        "torch": torch.__version__,
        "device": str(device),
        "precision": "bfloat16" if has_fast_bf16(device) else "float32",
        "drop": DROP,
        **json.loads(json.dumps(asdict(plan))),
    }
    if not path.exists():
        return {"made_with": made_with, "sweep": [], "learning_rates": {}, "runs": []}
    try:
        with files.intact(str(path), "move it, and the experiment starts anew"):
            record = json.loads(files.read(path, 10_000_000))
            runs = [*record["sweep"], *record["runs"]]
            earlier = record["made_with"] | {"seeds": made_with["seeds"]}
            if not all({"optimizer", "seed"} <= run.keys() for run in runs):
                raise ValueError("it has runs without an optimiser or a seed")
    except OSError as error:
        raise SystemExit(str(error)) from None
    if earlier != made_with:  # more seeds extend the same experiment
        raise SystemExit(f"{path} was made in another way: move it, and the experiment starts anew.")
    return record | {"made_with": made_with}


def save(path: Path, record: dict) -> None:
    """Write the record, whole or not at all."""
    files.write(path, files.as_json(record))


def main(path: Path = RECORD, plan: Plan | None = None) -> None:
    """Run what is missing in the record, and keep it after each run."""
    plan = plan or Plan()
    record = load(path, plan)
    training, testing = fashion_mnist(train=True), fashion_mnist(train=False)
    sweeps = len(plan.sweep_seeds) * sum(len(ladder) for _, ladder in plan.ladders)
    total = sweeps + len(plan.seeds) * len(plan.ladders) * len(REGULARIZERS)
    with tqdm(total=total, initial=len(record["sweep"]) + len(record["runs"]), unit="run") as bar:
        for run in sweep(plan, training, record["sweep"]):
            record["sweep"].append(run)
            save(path, record)
            bar.update()
        record["learning_rates"] = best_rates(record["sweep"])
        for run in ablation(plan, record["learning_rates"], training, testing, record["runs"]):
            record["runs"].append(run)
            save(path, record)
            bar.update()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(f"interrupted; what is done is kept in {RECORD}, and the same command goes on") from None
