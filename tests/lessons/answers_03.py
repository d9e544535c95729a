"""Right and wrong answers to the exercises of lesson 3, and the hint that each wrong one should get."""

import torch
from torch.nn import functional as F

from helpers.lessons import lesson_03


def step(model, images, labels, optimizer):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def step_with_old_gradients(model, images, labels, optimizer):
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def step_with_softmax(model, images, labels, optimizer):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images).softmax(dim=1), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def no_step(model, images, labels, optimizer):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    return loss.item()


def step_that_gives_the_graph(model, images, labels, optimizer):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss


def accuracy(batches):
    right = sum((logits.argmax(dim=1) == labels).sum().item() for logits, labels in batches)
    return right / sum(len(labels) for _, labels in batches)


def mean_of_batches(batches):
    return sum((x.argmax(dim=1) == y).float().mean().item() for x, y in batches) / len(batches)


def with_size_of_the_first(batches):
    right = sum((x.argmax(dim=1) == y).sum().item() for x, y in batches)
    return right / (len(batches) * len(batches[0][1]))


def cross_entropy(logits, labels):
    return -logits.log_softmax(dim=1)[torch.arange(len(labels)), labels].mean()


def overflowing(logits, labels):
    return -(logits.exp() / logits.exp().sum(dim=1, keepdim=True)).log()[torch.arange(len(labels)), labels].mean()


def confusion(labels, predictions, classes):
    counts = torch.zeros(classes, classes)
    for label, prediction in zip(labels, predictions, strict=True):
        counts[label, prediction] += 1
    return counts


def ones_only(labels, predictions, classes):
    counts = torch.zeros(classes, classes)
    counts[labels, predictions] += 1  # a pair that comes twice is counted once
    return counts


RIGHT = [
    (lesson_03.check_training_step, step),
    (lesson_03.check_accuracy, accuracy),
    (lesson_03.check_cross_entropy, cross_entropy),
    (lesson_03.check_confusion_matrix, confusion),
]

WRONG = [
    (lesson_03.check_training_step, step_with_old_gradients, "step 1 moved the weights elsewhere"),
    (lesson_03.check_training_step, step_with_softmax, "step 1 moved the weights elsewhere"),
    (lesson_03.check_training_step, no_step, "no weight has moved"),
    (lesson_03.check_training_step, step_that_gives_the_graph, "loss.item()"),
    (lesson_03.check_training_step, lambda *a: step(*a) + 1, "as loss it gave"),
    (lesson_03.check_training_step, lambda *a: step(*a) and None, "as loss it gave None"),
    (lesson_03.check_accuracy, mean_of_batches, "[4 + 1 pictures]"),
    (lesson_03.check_accuracy, with_size_of_the_first, "[4 + 1 pictures]"),
    (lesson_03.check_accuracy, lambda batches: 100 * accuracy(batches), "from 0 to 1"),
    (lesson_03.check_cross_entropy, overflowing, "maximum"),
    (lesson_03.check_cross_entropy, lambda x, y: F.nll_loss(x.log_softmax(dim=0), y), "the natural logarithm"),
    (lesson_03.check_cross_entropy, lambda x, y: cross_entropy(x, y) * len(y), "mean over pictures"),
    (lesson_03.check_confusion_matrix, lambda y, p, k: confusion(p, y, k), "Rows are true classes"),
    (lesson_03.check_confusion_matrix, ones_only, "a pair may come twice"),
]
