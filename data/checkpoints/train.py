"""Train the network that lessons 5 to 7 look into, and keep it here with its record: ``make checkpoint``.

Beside it stands a run of lesson 3's network, round by round, for its explorer to play: 8-bit weights, and the loss and
the accuracy that the network has with exactly these.
"""

import copy
import hashlib
import io
import itertools
import sys

import numpy as np
import torch
from safetensors.torch import save

from helpers import files
from helpers.data import Batches, fashion_mnist, random_flip
from helpers.devices import best_device
from helpers.hooks import inference
from helpers.lessons import lesson_03
from helpers.models import CHECKPOINT, FashionNet
from helpers.training import evaluate, one_cycle, train


def main(epochs: int = 12, seed: int = 0) -> None:
    """Train lesson 3's network by the course's recipe; what is interrupted leaves the files as they were."""
    torch.manual_seed(seed)
    model = FashionNet(dropout=0.2).to(best_device())
    batches = Batches(*fashion_mnist(train=True), 128, shuffle=True, seed=seed, augment=random_flip)
    optimizer, scheduler = one_cycle(model, epochs * len(batches))
    if train(model, batches, optimizer, epochs, scheduler=scheduler, seed=seed).interrupted:
        sys.exit(f"Interrupted: {CHECKPOINT.name} is as it was")
    model.cpu().to(memory_format=torch.contiguous_format).eval()
    images, labels = fashion_mnist(train=False)
    with inference(model):  # in float32, which gives the same on every machine
        accuracy = (model(images).argmax(dim=1) == labels).double().mean().item()
    content = save(model.state_dict())
    record = {
        "command": "make checkpoint",
        "network": "FashionNet(dropout=0.2)",
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": accuracy,
        "torch": torch.__version__,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    files.write_together({CHECKPOINT: content, CHECKPOINT.with_suffix(".json"): files.as_json(record)})
    print(f"{accuracy:.2%} of the test images right; kept as {CHECKPOINT.name} in {CHECKPOINT.parent}")


ROUNDS = (0, 1, 4, 16, 72)  # after which the weights are kept; each of 25 batches of 128 images


def record_run(seed: int = 0) -> None:
    """Train as lesson 3's explorer does, and keep some moments of it."""
    train_set, test_set = fashion_mnist(train=True), fashion_mnist(train=False)
    live, rounds, kept = lesson_03.LiveTraining(train_set, test_set, seed), [], []
    for done, wanted in itertools.pairwise((0, *ROUNDS)):
        live.start(wanted - done, lambda: None)
        live.wait()
        levels, scales = [], []
        model = copy.deepcopy(live.shown)
        for parameter in model.state_dict().values():
            scale = max(parameter.abs().max().item() / 127, 1e-12)
            levels.append((parameter / scale).round().to(torch.int8).flatten())
            scales.append(scale)
            parameter.copy_(levels[-1].view(parameter.shape) * scale)
        result = evaluate(model, Batches(*test_set, 500))
        row = {"images": wanted * lesson_03.ROUND * 128, "loss": result.loss, "accuracy": result.accuracy}
        rounds.append(row | {"scales": scales})
        kept.append(torch.cat(levels).numpy())
    file = io.BytesIO()
    np.savez_compressed(file, weights=np.stack(kept))
    lengths = [parameter.numel() for parameter in model.state_dict().values()]
    record = {
        "command": "make checkpoint",
        "seed": seed,
        "torch": torch.__version__,
        "lengths": lengths,
        "rounds": rounds,
    }
    files.write_together({lesson_03.RUN: file.getvalue(), lesson_03.RUN.with_suffix(".json"): files.as_json(record)})
    print(f"{rounds[-1]['accuracy']:.2%} after {rounds[-1]['images']:,} images; kept as {lesson_03.RUN.name}")


if __name__ == "__main__":
    main()
    record_run()
