"""Train a classifier, and say how good it is. Lesson 3 writes both by hand; this is the same, robust and fast."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from helpers.arguments import check_number, check_seed, check_whole
from helpers.bars import tqdm
from helpers.devices import mixed_precision
from helpers.hooks import check_model, inference, weight_of
from helpers.models import explained, prepare

Batch = tuple[Tensor, Tensor]


class SizedBatches(Iterable[Batch], Sized, Protocol):
    """What gives batches anew at each pass, and says how many: a DataLoader, or :class:`helpers.data.Batches`."""


@dataclass
class History:
    """What a training run leaves: one number for each epoch in each list. Losses are means over images."""

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True)
class Evaluation:
    """How a classifier did on N images: its ``logits`` ``(N, K)`` in float32 and the true ``labels`` ``(N,)``."""

    logits: Tensor
    labels: Tensor

    @cached_property
    def probabilities(self) -> Tensor:
        """Softmax of the logits, ``(N, K)``."""
        return self.logits.softmax(dim=1)

    @cached_property
    def predictions(self) -> Tensor:
        """The class with the highest score, ``(N,)``."""
        return self.logits.argmax(dim=1)

    @property
    def loss(self) -> float:
        """Cross-entropy, the mean over images (not over batches, whose last one may be short)."""
        return cross_entropy(self.logits, self.labels).item()

    @property
    def accuracy(self) -> float:
        """The share of images whose prediction is their label."""
        return (self.predictions == self.labels).float().mean().item()

    @cached_property
    def confusion(self) -> Tensor:
        """Counts ``(K, K)``: row = true class, column = predicted class."""
        k = self.logits.shape[1]
        return torch.bincount(self.labels * k + self.predictions, minlength=k * k).view(k, k)

    @property
    def class_accuracy(self) -> Tensor:
        """The share of each true class that was recognised, ``(K,)``; NaN for a class without images."""
        return self.confusion.diag() / self.confusion.sum(dim=1)


def evaluate(model: nn.Module, batches: Iterable[Batch]) -> Evaluation:
    """The model's class scores for every image in ``batches``, in their order.

    Args:
        model: maps ``(N, C, H, W)`` to logits ``(N, K)``.
        batches: yields ``(images, labels)``: a DataLoader or :class:`helpers.data.Batches`.

    Raises:
        ValueError: there is no image in ``batches``, or something else than such pairs.
    """
    device = weight_of(model).device
    logits, labels = [], []
    with inference(model), mixed_precision(device):
        for images, targets in _pairs(batches):
            batch, _ = prepare(model, images)
            with explained(model, batch):
                outputs = model(batch)
            _check_pair(outputs, targets)
            logits.append(outputs.float().cpu())
            labels.append(targets.cpu())
    if not logits:
        raise ValueError("evaluate was given no batches, and needs at least one image")
    return Evaluation(torch.cat(logits), torch.cat(labels))


def _pairs(batches: Iterable[Batch]) -> Iterator[Batch]:
    if not isinstance(batches, Iterable):
        raise ValueError(f"batches must be a DataLoader or data.Batches, not {batches!r:.60}")
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            number = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
            raise ValueError(f"batches must give pairs (images, labels), not a {type(batch).__name__}{number}")
        yield batch[0], batch[1]


def _check_pair(logits: Tensor, labels: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.is_meta:
        raise ValueError(
            f"the model must give one tensor of logits, (N, K), not {getattr(logits, 'shape', type(logits))}"
        )
    n, k = logits.shape
    if not isinstance(labels, Tensor) or labels.shape != (n,) or labels.dtype != torch.int64 or labels.is_meta:
        given = (
            f"{labels.dtype} {tuple(labels.shape)} on {labels.device}"
            if isinstance(labels, Tensor)
            else type(labels).__name__
        )
        raise ValueError(f"labels must be a tensor of torch.int64, ({n},), one for each image, not {given}")
    if not 0 <= labels.min() <= labels.max() < k:
        raise ValueError(f"labels must lie in 0 to {k - 1}, not in {labels.min()} to {labels.max()}")


def train(
    model: nn.Module,
    batches: SizedBatches,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    *,
    test_batches: Iterable[Batch] | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    label_smoothing: float = 0.0,
    seed: int = 0,
    callback: Callable[[int, History], None] | None = None,
    progress: bool = True,
) -> History:
    """Train a classifier with cross-entropy.

    An interrupt (the stop button, Ctrl-C) ends the run early: the history so far comes back with
    ``interrupted`` set, and the model is usable as it stands. The global random state is left as it was.

    Args:
        model: maps ``(N, C, H, W)`` to logits ``(N, K)``; trained where its weights are.
        batches: yields ``(images, labels)``, anew for each epoch.
        optimizer: made with the model's parameters.
        epochs: passes over ``batches``.
        test_batches: evaluated after each epoch, where given.
        scheduler: stepped once for each batch.
        label_smoothing: share of each label that is spread over all classes.
        seed: of what the model itself draws, such as dropout.
        callback: called with the epoch, counted from 1, and the history so far.
        progress: whether to show a progress bar.

    Returns:
        A :class:`History`; its training accuracy is the running one, measured while the weights change.

    Raises:
        ValueError: batches or a model that nothing can be learned from, such as one whose weights are frozen.
    """
    check_seed(seed)
    check_number(maximum=1, label_smoothing=label_smoothing)
    steps = _batch_count(model, batches, epochs)
    history, start = History(), time.perf_counter()
    own_random_state = torch.random.fork_rng(devices=range(torch.cuda.device_count()))
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        own_random_state,
        tqdm(total=steps, disable=not progress, unit="batch") as bar,
    ):
        torch.manual_seed(seed)
        model.to(memory_format=torch.channels_last)  # the order that convolutions are fastest in
        try:
            for epoch in range(1, epochs + 1):
                measured = _train_epoch(model, batches, optimizer, scheduler, label_smoothing, bar)
                if test_batches is not None:
                    result = evaluate(model, test_batches)
                    measured |= {"test_loss": result.loss, "test_accuracy": result.accuracy}
                measured["seconds"] = time.perf_counter() - start
                grown = {name: [*getattr(history, name), value] for name, value in measured.items()}
                vars(history).update(grown)  # all in one instruction, so that no interrupt leaves lists of two lengths
                bar.set_postfix({name: f"{x[-1]:.3f}" for name, x in vars(history).items() if name != "seconds" and x})
                if callback:
                    callback(epoch, history)
        except KeyboardInterrupt:
            history.interrupted = True
    return history


def _batch_count(model: nn.Module, batches: SizedBatches, epochs: int) -> int:
    """How many batches a run has, if it can be made at all."""
    check_whole(1, epochs=epochs)
    check_model(model)
    if any(parameter.is_inference() or parameter.is_meta for parameter in model.parameters()):
        raise ValueError("model was made under torch.inference_mode() or on the meta device: it cannot be trained")
    try:
        return epochs * len(batches)
    except TypeError:
        raise ValueError(
            "batches must have a length, as a DataLoader or data.Batches has, to be gone through"
        ) from None


def one_cycle(model: nn.Module, steps: int) -> tuple[SGD, OneCycleLR]:
    """The optimiser and schedule that the kept network is trained with, for so many batches in the whole run.

    SGD whose learning rate rises to 0.1 for a third of the steps, then falls, with Nesterov momentum of 0.9 and weight
    decay of 5e-4. Lesson 4 explains each. Source: Smith and Topin 2018.
    """
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return optimizer, OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)


def _train_epoch(model, batches, optimizer, scheduler, label_smoothing, bar) -> dict[str, float]:
    device = weight_of(model).device
    model.train()
    total = torch.zeros(3, device=device)  # sum of losses, images right, images: read once an epoch
    for given, labels in _pairs(batches):
        images = prepare(model, given)[0]
        with mixed_precision(device), explained(model, images):
            logits = model(images)
        _check_pair(logits, labels)  # before they go to a graphics card, which would have to be waited for
        labels = labels.to(device)
        loss = cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
        if not loss.requires_grad:
            raise ValueError("model has no weight to be trained: all are frozen, or its output is detached from them")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        right = (logits.argmax(dim=1) == labels).sum()
        total += torch.stack([loss.detach() * len(labels), right, torch.tensor(len(labels), device=device)])
        bar.update()
    if not total[2]:
        raise ValueError("train was given no batches, and needs at least one image")
    return {"train_loss": (total[0] / total[2]).item(), "train_accuracy": (total[1] / total[2]).item()}
