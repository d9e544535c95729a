"""Train the network that lessons 5 to 7 look into, and keep it here with its record: ``make checkpoint``."""

import hashlib
import json
import sys

import torch
from safetensors.torch import save

from helpers import files
from helpers.data import Batches, fashion_mnist, random_flip
from helpers.devices import best_device
from helpers.hooks import inference
from helpers.models import CHECKPOINT, FashionNet
from helpers.training import one_cycle, train


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
    files.write(CHECKPOINT, content)
    files.write(CHECKPOINT.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
    print(f"{accuracy:.2%} of the test images right; kept as {CHECKPOINT.name} in {CHECKPOINT.parent}")


if __name__ == "__main__":
    main()
