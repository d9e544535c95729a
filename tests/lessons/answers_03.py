"""Answers to the exercises of lesson 3: right ones in several styles, and wrong ones with what must be said of them."""

import math
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F


def log_softmax(logits, dim=1, shift=lambda z: z.amax(1, keepdim=True)):
    z = logits - shift(logits)
    return z - z.exp().sum(dim, keepdim=True).log()


def chosen(numbers, labels):
    return numbers[torch.arange(len(labels)), labels]


def entropy(logits, labels, end=torch.mean, **options):
    return -end(chosen(log_softmax(logits, **options), labels))


def entropy_loop(logits, labels):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(row)
        total += top + math.log(sum(math.exp(z - top) for z in row)) - row[label]
    return total / len(labels)


def entropy_numpy(logits, labels):
    a = logits.double().numpy() - logits.double().numpy().max(1, keepdims=True)
    return -((a - np.log(np.exp(a).sum(1, keepdims=True))) * np.eye(a.shape[1])[labels.numpy()]).sum(1).mean()


def of_softmax(logits, labels, add=0.0):
    return -(chosen(logits.softmax(1), labels) + add).log().mean()


def step(
    model, images, labels, optimizer, order="zero forward backward step", loss_of=F.cross_entropy, end=torch.Tensor.item
):
    """The training step with its parts in any order, as often as they are named."""
    for part in order.split():
        if part == "zero":
            optimizer.zero_grad()
        elif part == "forward":
            loss = loss_of(model(images), labels)
        elif part == "backward":
            loss.backward()
        elif part == "step":
            optimizer.step()
        else:
            getattr(model, part)()
    return end(loss)


def ordered(order, **options):
    return partial(step, order=order, **options)


def step_by_hand(model, images, labels, optimizer):
    loss = F.cross_entropy(model(images), labels)
    parameters = list(model.parameters())
    with torch.no_grad():
        for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p -= optimizer.param_groups[0]["lr"] * gradient
    return loss.item()


def step_with_loss_of_its_own(model, images, labels, optimizer):
    optimizer.zero_grad()
    model.zero_grad(set_to_none=True)
    logits = model(images)
    loss = -logits.log_softmax(1).gather(1, labels[:, None]).mean()
    value = loss.detach().tolist()
    loss.backward()
    optimizer.step()
    return value


def step_clipped(model, images, labels, optimizer):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
    optimizer.step()
    return loss.item()


def step_that_frees_nothing(model, images, labels, optimizer):
    step(model, images, labels, optimizer)


def step_without_graph(model, images, labels, optimizer):
    with torch.no_grad():
        return step(model, images, labels, optimizer)


def hits(logits, labels):
    return (logits.argmax(1) == labels).sum().item()


def accuracy(batches, hits=hits, divide=lambda right, total, batches: right / total):
    return divide(sum(hits(*b) for b in batches), sum(len(labels) for _, labels in batches), batches)


def accuracy_loop(batches):
    right = total = 0
    for logits, labels in batches:
        for row, label in zip(logits, labels, strict=True):
            right += int(row.argmax() == label)
            total += 1
    return right / total


def accuracy_of_first(batches):
    right = total = 0
    for logits, labels in batches:
        right += hits(logits, labels)
        total += len(labels)
        return right / total


def accuracy_of_last(batches):
    for logits, labels in batches:
        right, total = hits(logits, labels), len(labels)
    return right / total


def accuracy_by_pop(batches):
    parts = [batches.pop() for _ in range(len(batches))]
    return accuracy(parts)


def count(labels, predictions, classes, dtype=torch.long, counted=lambda label, prediction: True):
    table = torch.zeros(classes, classes, dtype=dtype)
    for label, prediction in zip(labels, predictions, strict=True):
        if counted(label, prediction):
            table[label, prediction] += 1
    return table


def count_once(labels, predictions, classes):
    table = torch.zeros(classes, classes)
    table[labels, predictions] += 1
    return table


def count_found(labels, predictions, classes):
    return count(labels, predictions, max(*labels, *predictions) + 1)


def count_occurring(labels, predictions, classes):
    found = torch.cat([labels, predictions]).unique()
    return count(labels, predictions, classes)[found][:, found]


def count_with_factor(labels, predictions, classes, factor=lambda labels, classes: classes):
    places = labels * factor(labels, classes) + predictions
    return torch.bincount(places, minlength=classes**2)[: classes**2].view(classes, classes)


def count_from_one(labels, predictions, classes):
    table = torch.zeros(classes, classes)
    for label, prediction in zip(labels.tolist(), predictions.tolist(), strict=True):
        table[label - 1, prediction - 1] += 1
    return table


def shares(dim):
    return lambda *given: count(*given) / count(*given).sum(dim, keepdim=True)


RIGHT = {
    "check_cross_entropy": [
        entropy,
        entropy_loop,
        entropy_numpy,
        lambda z, y: (z.double().logsumexp(1) - chosen(z, y)).mean().requires_grad_(),
    ],
    "check_training_step": [
        step,
        ordered("forward zero backward step"),
        ordered("train zero forward backward step zero"),
        ordered("zero forward backward step", end=lambda loss: np.float32(loss.detach())),
        step_with_loss_of_its_own,
    ],
    "check_accuracy": [
        accuracy,
        accuracy_loop,
        lambda bs: float(np.concatenate([z.numpy().argmax(1) == y.numpy() for z, y in bs]).mean()),
        lambda bs: (torch.cat([z for z, _ in bs]).argmax(-1) == torch.cat([y for _, y in bs])).double().mean(),
    ],
    "check_confusion_matrix": [
        count,
        count_with_factor,
        lambda *given: count(*given).tolist(),
        lambda y, p, k: torch.einsum("ni,nj->ij", torch.eye(k, dtype=torch.double)[y], torch.eye(k).double()[p]),
        lambda y, p, k: F.one_hot(y, k).T @ F.one_hot(p, k),
    ],
}

WRONG = {
    "check_cross_entropy": [
        (lambda z, y: -z.log_softmax(1).mean(), r"take that of the label"),
        (lambda z, y: -z.log_softmax(1).sum(1).mean(), r"take that of the label"),
        (partial(entropy, shift=lambda z: 0), r"infinite: subtract each row's maximum"),
        (partial(entropy, shift=lambda z: z.max()), r"own maximum"),
        (of_softmax, r"log\(0\) is infinite"),
        (partial(of_softmax, add=1e-9), r"small number in the logarithm"),
        (lambda z, y: -chosen(z.softmax(1), y).clamp(1e-7).log().mean(), r"clamp"),
        (partial(entropy, end=torch.sum), r"sum: divide"),
        (partial(entropy, end=lambda losses: losses), r"mean"),
        (partial(entropy, end=torch.median), r"mean over images"),
        (lambda z, y: -entropy(z, y), r"sign"),
        (lambda z, y: -log_softmax(z)[:, y].mean(), r"columns of all labels"),
        (lambda z, y: -(log_softmax(z) * F.one_hot(y, z.shape[1])).mean(), r"N · K"),
        (lambda z, y: F.nll_loss(z.log_softmax(0), y), r"over the batch"),
        (lambda z, y: F.nll_loss(z.flatten().log_softmax(0).view_as(z), y), r"over all numbers"),
        (lambda z, y: entropy(z, y) / math.log(2), r"base 2"),
        (lambda z, y: entropy(z, y) / math.log(10), r"base 10"),
        (lambda z, y: -chosen(z.softmax(1), y).mean(), r"logarithm is missing"),
        (lambda z, y: 1 - chosen(z.softmax(1), y).mean(), r"1 minus"),
        (lambda z, y: -chosen(z, y).mean(), r"log-softmax comes first"),
        (lambda z, y: entropy(z.softmax(1), y), r"softmax is taken twice"),
        (lambda z, y: z.logsumexp(1).mean(), r"logit of the true class"),
        (lambda z, y: ((z - z.amax(1, True)).logsumexp(1) - chosen(z, y)).mean(), r"one place only"),
        (lambda z, y: entropy(z, z.argmax(1)), r"predicted class"),
        (lambda z, y: entropy(z.sub_(1), y), r"changes z"),
    ],
    "check_training_step": [
        (ordered("forward backward step"), r"zero_grad\(\) comes before backward"),
        (ordered("forward backward step zero"), r"zero_grad\(\) comes before backward"),
        (ordered("forward backward zero step"), r"moves no weight.*in this order"),
        (ordered("zero forward backward"), r"then step\(\)"),
        (ordered("zero forward step backward"), r"in this order"),
        (ordered("zero forward step"), r"then backward\(\)"),
        (ordered("zero forward backward step step"), r"two steps|optimizer.step\(\) moves"),
        (ordered("zero forward backward step zero forward backward step"), r"two steps"),
        (ordered("zero forward backward step forward"), r"after the step"),
        (ordered("forward zero forward backward step"), r"runs the model 2 times"),
        (ordered("eval zero forward backward step"), r"evaluation mode"),
        (ordered("eval zero forward train backward step"), r"evaluation mode"),
        (ordered("zero forward backward step eval"), r"evaluation mode"),
        (partial(step, loss_of=lambda z, y: F.cross_entropy(z.softmax(1), y)), r"softmax before cross_entropy"),
        (partial(step, loss_of=partial(F.cross_entropy, reduction="sum")), r"mean over the batch"),
        (partial(step, loss_of=F.nll_loss), r"nll_loss takes"),
        (partial(step, loss_of=lambda z, y: -F.cross_entropy(z, y)), r"uphill"),
        (partial(step, loss_of=F.cross_entropy, end=lambda loss: loss), r"loss.item"),
        (partial(step, end=torch.Tensor.detach), r"loss.item"),
        (partial(step, end=lambda loss: str(loss.item())), r"str; expected a Python number"),
        (partial(step, end=lambda loss: 5 * loss.item()), r"as the loss it gave"),
        (step_that_frees_nothing, r"gives nothing back: return loss.item"),
        (step_by_hand, r"optimizer.step\(\) moves the weights"),
        (step_clipped, r"cross_entropy alone"),
        (step_without_graph, r"does not require grad"),
    ],
    "check_accuracy": [
        (
            lambda bs: sum((z.argmax() == y).sum().item() for z, y in bs) / sum(len(y) for _, y in bs),
            r"argmax\(dim=1\)",
        ),
        (lambda bs: sum(hits(*b) / len(b[1]) for b in bs) / len(bs), r"averages the batches' shares"),
        (partial(accuracy, divide=lambda n, _, bs: n / (len(bs) * len(bs[0][1]))), r"as large as the first"),
        (partial(accuracy, divide=lambda n, _, bs: n / (len(bs) * len(bs[-1][1]))), r"as large as the last"),
        (partial(accuracy, divide=lambda n, _, bs: n / len(bs)), r"by the number of batches"),
        (partial(accuracy, divide=lambda n, total, _: n), r"number of right predictions"),
        (partial(accuracy, divide=lambda n, total, _: 100 * n / total), r"per cent"),
        (partial(accuracy, divide=lambda n, total, _: 1 - n / total), r"wrong predictions"),
        (partial(accuracy, divide=lambda n, total, _: n // total), r"//"),
        (accuracy_of_first, r"first batch"),
        (lambda bs: sum(hits(*b) for b in bs) / sum(z.numel() for z, _ in bs), r"number of logits"),
        (accuracy_of_last, r"last batch counts"),
        (lambda bs: accuracy(bs[:-1] or bs), r"last batch is missing"),
        (partial(accuracy, hits=lambda z, y: hits(z.squeeze(), y)), r"squeeze\(\) fails"),
        (partial(accuracy, hits=lambda z, y: hits(-z, y)), r"smallest logit"),
        (partial(accuracy, hits=lambda z, y: (z.argmax(0) == y).sum().item()), r"argmax\(dim=1\)"),
        (accuracy_by_pop, r"changes batches"),
    ],
    "check_confusion_matrix": [
        (lambda y, p, k: count(p, y, k), r"Rows and columns are exchanged"),
        (count_once, r"only once"),
        (shares(1), r"shares of each row"),
        (shares(0), r"shares of each column"),
        (lambda y, p, k: count(y, p, k) / len(y), r"shares of all images"),
        (partial(count, counted=torch.ne), r"Right predictions are missing"),
        (partial(count, counted=torch.eq), r"Wrong predictions are missing"),
        (lambda y, p, k: count(y, p, k) + count(p, y, k), r"the other way round"),
        (count_from_one, r"begin at 0"),
        (count_found, r"size must be classes"),
        (count_occurring, r"classes that do not occur"),
        (partial(count_with_factor, factor=lambda y, k: max(y) + 1), r"whatever classes occur"),
        (partial(count, dtype=torch.uint8), r"uint8"),
        (partial(count, dtype=torch.int8), r"int8"),
        (lambda *given: count(*given).flatten(), r"in one row: give them the shape"),
        (lambda y, p, k: count(y.sub_(1) % k, p, k), r"changes y"),
    ],
}
