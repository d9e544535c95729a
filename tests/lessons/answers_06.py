"""Right and wrong answers to the exercises of lesson 6, and the hint that each wrong one should get."""

import torch

from helpers.lessons import lesson_06


def distances(vectors):
    return (vectors[:, None] - vectors).norm(dim=2)


def nearest_others(vectors, k):
    return distances(vectors).fill_diagonal_(torch.inf).topk(k, largest=False).indices


def drop_the_first(vectors, k):
    return distances(vectors).argsort(dim=1, stable=True)[:, 1 : k + 1]


def by_absolute_differences(vectors, k):
    far = (vectors[:, None] - vectors).abs().sum(dim=2).fill_diagonal_(torch.inf)
    return far.topk(k, largest=False).indices


def weighted_vote(vectors, labels, queries, k, weigh=lambda d: 1 / d):
    values, indices = torch.cdist(queries, vectors).topk(k, largest=False)
    votes = torch.zeros(len(queries), int(labels.max()) + 1)
    return votes.scatter_add_(1, labels[indices], weigh(values)).argmax(dim=1)


def label_of_the_nearest(vectors, labels, queries, k):
    return labels[torch.cdist(queries, vectors).argmin(dim=1)]


def of_the_farthest(vectors, labels, queries, k):
    return labels[torch.cdist(queries, vectors).argmax(dim=1)]


def shares(x, centre=True, power=2):
    powers = torch.linalg.svdvals(x - x.mean(dim=0) * centre) ** power
    return powers / powers.sum()


RIGHT = [
    (lesson_06.check_nearest_others, nearest_others),
    (lesson_06.check_weighted_vote, weighted_vote),
    (lesson_06.check_variance_shares, shares),
]

WRONG = [
    (lesson_06.check_nearest_others, lambda v, k: distances(v).topk(k, largest=False).indices, "nearest to itself"),
    (lesson_06.check_nearest_others, by_absolute_differences, "Euclidean"),
    (lesson_06.check_nearest_others, lambda v, k: nearest_others(v, k).flip(1), "comes first"),
    (lesson_06.check_nearest_others, drop_the_first, "Equal points"),
    (lesson_06.check_weighted_vote, of_the_farthest, "largest=False"),
    (lesson_06.check_weighted_vote, lambda *a: weighted_vote(*a, weigh=torch.ones_like), "may outvote"),
    (lesson_06.check_weighted_vote, lambda *a: weighted_vote(*a, weigh=lambda d: d), "may outvote"),
    (lesson_06.check_weighted_vote, label_of_the_nearest, "add up"),
    (lesson_06.check_weighted_vote, lambda v, labels, q, k: weighted_vote(v, labels, q, len(v)), "Only the k nearest"),
    (lesson_06.check_variance_shares, lambda x: shares(x, power=1), "square of a singular value"),
    (lesson_06.check_variance_shares, lambda x: shares(x, centre=False), "from the mean"),
    (lesson_06.check_variance_shares, lambda x: shares(x).cumsum(dim=0), "sum to 1"),
]
