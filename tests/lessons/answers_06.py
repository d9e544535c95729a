"""Right and wrong answers to the exercises of lesson 6, and what the message to each wrong one must name."""

import math
from collections import Counter
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F


def apart(vectors, p=2):
    return torch.cdist(vectors, vectors, p=p)


def nearest(vectors, k, distances=apart):
    return distances(vectors).fill_diagonal_(torch.inf).topk(k, largest=False).indices


def nearest_by_loops(vectors, k):
    points = vectors.tolist()
    order = [sorted((math.dist(p, q), j) for j, q in enumerate(points) if j != i) for i, p in enumerate(points)]
    return [[j for _, j in row[:k]] for row in order]


def nearest_in_numpy(vectors, k):
    points = vectors.numpy().astype(np.float64)
    distances = ((points[:, None] - points) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :k]


def zeros_left_out(vectors, k):
    distances = apart(vectors)
    distances[distances == 0] = torch.inf
    return distances.argsort(dim=1, stable=True)[:, :k]


def shifted(vectors, k):
    rest = [torch.cat([vectors[:i], vectors[i + 1 :]]) - vectors[i] for i in range(len(vectors))]
    return torch.stack([row.norm(dim=1).argsort()[:k] for row in rest])


def vote(
    vectors, labels, queries, k, weigh=lambda d: 1 / d, total=lambda w, hot: w.sum(1), first=0, p=2, farthest=False
):
    distances, near = torch.cdist(queries, vectors, p=p).sort(descending=farthest)
    one_hot = F.one_hot(labels[near[:, first : first + k]], int(labels.max()) + 1)
    return total(weigh(distances[:, first : first + k])[..., None] * one_hot, one_hot).argmax(1)


def vote_by_loops(vectors, labels, queries, k):
    winners = []
    for query in queries.tolist():
        near = sorted((math.dist(v, query), c) for v, c in zip(vectors.tolist(), labels.tolist(), strict=True))[:k]
        sums = Counter()
        for distance, label in near:
            sums[label] += 1 / distance
        winners.append(max(sums, key=sums.get))
    return winners


def vote_in_numpy(vectors, labels, queries, k):
    vectors, labels, queries = (tensor.numpy() for tensor in (vectors, labels, queries))
    distances = np.linalg.norm(queries[:, None].astype(np.float64) - vectors, axis=2)
    near, classes = distances.argsort(1)[:, :k], np.unique(labels)
    sums = (1 / np.take_along_axis(distances, near, 1)[..., None] * (labels[near][..., None] == classes)).sum(1)
    return classes[sums.argmax(1)]


def vote_scattered(vectors, labels, queries, k, classes=None):
    near = torch.cdist(queries, vectors).topk(k, largest=False)
    votes = torch.zeros(len(queries), classes or int(labels.max()) + 1)
    return votes.scatter_add_(1, labels[near.indices], 1 / near.values).argmax(dim=1)


def overwritten(vectors, labels, queries, k):
    distances, near = torch.cdist(queries, vectors).topk(k, largest=False)
    sums = torch.zeros(len(queries), int(labels.max()) + 1)
    for i in range(len(queries)):
        sums[i, labels[near[i]]] += 1 / distances[i]
    return sums.argmax(1)


def position(vectors, labels, queries, k):
    return torch.searchsorted(labels.unique(), vote(vectors, labels, queries, k))


def shares(x, mean=lambda x: x.mean(0), power=2, total=torch.sum):
    powers = torch.linalg.svdvals(x - mean(x)) ** power
    return F.pad(powers / total(powers), (0, x.shape[1] - len(powers)))


def shares_by_eigenvalues(x):
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(x.numpy().astype(np.float64).T)))[::-1]
    return variances / variances.sum()


def shares_one_by_one(x):
    squares = [float(s) ** 2 for s in torch.linalg.svdvals(x - x.mean(dim=0, keepdim=True))]
    return [s / sum(squares) for s in squares] + [0.0] * (x.shape[1] - len(squares))


def shares_in_place(x):
    x -= x.mean(0)
    return shares(x)


def of_columns(x):
    return x.var(0) / x.var(0).sum()


RIGHT = {
    "check_nearest_others": [nearest, nearest_by_loops, nearest_in_numpy, lambda v, k: nearest(v.double(), k).float()],
    "check_weighted_vote": [
        vote,
        vote_by_loops,
        vote_in_numpy,
        vote_scattered,
        partial(vote, weigh=lambda d: (1 / d) / (1 / d).sum(1, keepdim=True)),
    ],
    "check_variance_shares": [shares, shares_by_eigenvalues, shares_one_by_one, lambda cloud: shares(cloud.double())],
}

WRONG = {
    "check_nearest_others": [
        (lambda v, k: apart(v).argsort(dim=1, stable=True)[:, :k], "among its own neighbours"),
        (lambda v, k: apart(v).topk(k, largest=False).indices, "among its own neighbours"),
        (lambda v, k: apart(v).argsort(dim=1, stable=True)[:, 1 : k + 1], "first column is dropped.*twin"),
        (zeros_left_out, "equal vector at distance 0"),
        (lambda v, k: nearest(v, k, lambda v: -apart(v)), "farthest"),
        (lambda v, k: apart(v).sort(1).values[:, 1 : k + 1], "give the indices"),
        (shifted, "shifted"),
        (lambda v, k: nearest(v, k).sort(1).values, "sorted by number"),
        (lambda v, k: nearest(v, k).flip(1), "order is reversed"),
        (lambda v, k: nearest(v, k) + 1, "count from 1"),
        (lambda v, k: v[nearest(v, k)], "give their numbers"),
        (lambda v, k: nearest(v, k).T, "exchanged"),
        (lambda v, k: nearest(v, k, lambda v: -v @ v.T), "dot product"),
        (lambda v, k: nearest(v, k, lambda v: -F.cosine_similarity(v[:, None], v, dim=2)), "cosine"),
        (lambda v, k: nearest(v, k, partial(apart, p=1)), "absolute differences"),
        (lambda v, k: nearest(v, k, partial(apart, p=torch.inf)), "largest difference"),
        (lambda v, k: nearest(v, k, lambda v: (v[:, None] - v).sum(2).abs()), "signs cancel"),
    ],
    "check_weighted_vote": [
        (partial(vote, weigh=lambda d: d), "far ones count most"),
        (partial(vote, weigh=torch.ones_like), "majority"),
        (lambda v, y, q, k: y[torch.cdist(q, v).topk(k, largest=False).indices].mode(1).values, "majority"),
        (partial(vote, weigh=lambda d: 1 / d**2), "squared"),
        (partial(vote, weigh=lambda d: (-d).softmax(1)), "exp"),
        (partial(vote, weigh=lambda d: 1 / (1 + d)), r"1 / \(1 \+ distance\)"),
        (partial(vote, weigh=lambda d: 1 / (d.argsort(1) + 1)), "rank"),
        (lambda v, y, q, k: vote(v, y, q, len(v)), "only the k nearest"),
        (lambda v, y, q, k: vote(v, y, q, 1), "nearest alone decides"),
        (lambda v, y, q, k: vote(v, y, q, k + 1), "too many"),
        (partial(vote, total=lambda w, hot: w.sum(1) / hot.sum(1).clamp(min=1)), "mean weight"),
        (overwritten, "overwrite each other"),
        (partial(vote, first=1), "nearest is left out"),
        (partial(vote, farthest=True), "farthest"),
        (partial(vote, p=1), "absolute differences"),
        (position, "position of the class"),
        (partial(vote_scattered, classes=10), "Labels may be any"),
        (lambda v, y, q, k: torch.cdist(q, v).argmin(1), "number of a vector"),
    ],
    "check_variance_shares": [
        (partial(shares, mean=torch.zeros_like), "mean is not subtracted"),
        (partial(shares, mean=lambda x: x.mean(1, keepdim=True)), "mean of each row"),
        (partial(shares, mean=torch.mean), "one mean of all numbers"),
        (lambda x: shares(x / x.std(0)), "standard deviation"),
        (partial(shares, power=1), "must be squared"),
        (partial(shares, power=4), "squared twice"),
        (lambda x: shares(x, total=lambda squares: len(x) - 1), "These are the variances"),
        (partial(shares, total=torch.ones_like), "These are the squares"),
        (partial(shares, total=torch.amax), "divided by the largest"),
        (partial(shares, total=lambda squares: squares.sqrt().sum() ** 2), "not the square of the sum"),
        (lambda x: shares(x).cumsum(0), "cumsum"),
        (lambda x: shares(x).flip(0), "order is reversed"),
        (lambda x: 100 * shares(x), "100 times"),
        (of_columns, "columns' own variances"),
        (lambda x: of_columns(x).sort(descending=True).values, "columns' own variances, sorted"),
        (lambda x: shares(x)[: len(x)], "fill up with zeros"),
        (shares_in_place, "changes x"),
    ],
}
