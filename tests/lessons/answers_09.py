"""Answers to the exercises of lesson 9: right ones in several styles, and wrong ones with what is said of them."""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import mse_loss

from helpers import style
from helpers.images import to_gray


def products(maps):
    return torch.einsum("nchw,ndhw->ncd", maps, maps)


def gram(maps):
    return products(maps) / maps[0].numel()


def gram_as_loop(maps):
    return [[[float((a * b).sum()) / one.numel() for b in one] for a in one] for one in maps]


def gram_reshaped(maps):
    n, c, h, w = maps.shape
    places = maps.reshape(n, h * w, c)
    return places.mT @ places / (c * h * w)


def relative(gram, target):
    return (gram - target).square().sum() / target.square().sum()


def style_loss(grams, targets, weights, loss=relative, whole=lambda weights: sum(weights.values())):
    return sum(w * loss(grams[name], targets[name]) for name, w in weights.items()) / whole(weights)


def style_loss_as_average(ours, theirs, shares):
    names = [name for name in ours if name in shares]
    terms = [float((ours[n].double() - theirs[n]).norm() / theirs[n].double().norm()) ** 2 for n in names]
    return np.average(terms, weights=[shares[n] for n in names])


def style_loss_as_dot_product(grams, targets, weights):
    w = torch.tensor([float(weights[n]) for n in weights])
    return (w / w.sum()) @ torch.stack([mse_loss(grams[n], targets[n]) / targets[n].pow(2).mean() for n in weights])


def ratio_of_sums(grams, targets, weights):
    return style_loss(grams, targets, weights, lambda g, t: (g - t).square().sum()) / style_loss(
        grams, targets, weights, lambda _, t: t.square().sum()
    )


def by_order(grams, targets, weights):
    pairs = list(zip(grams.values(), targets.values(), weights.values(), strict=False))
    return sum(w * relative(g, t) for g, t, w in pairs) / sum(w for _, _, w in pairs)


def normalised_in_place(grams, targets, weights):
    whole = sum(weights.values())
    for name in weights:
        weights[name] /= whole
    return style_loss(grams, targets, weights)


def color(image):
    return image - to_gray(image)


def colors_as_loop(luma_from, colors_from):
    shift = (to_gray(luma_from) - to_gray(colors_from))[0]
    return torch.stack([(channel + shift).clamp(0, 1) for channel in colors_from])


def colors_in_place(painted, photo):
    photo -= to_gray(photo)
    return (to_gray(painted) + photo).clamp(0, 1)


def slope(loss_of, image):
    leaf = image.detach().clone().requires_grad_()
    return torch.autograd.grad(loss_of(leaf), leaf)[0]


def step(loss_of, image, rate, of=lambda g: g, limit=lambda x: x.clamp(0, 1)):
    return limit(image - rate * of(slope(loss_of, image)))


def step_backward(objective, photo, lr):
    leaf = torch.nn.Parameter(photo.detach().clone())
    objective(leaf).backward(inputs=[leaf])
    return torch.add(leaf, leaf.grad, alpha=-lr).clip(0, 1).detach()


def step_functional(loss_of, image, rate):
    return (image - rate * torch.func.grad(lambda x: loss_of(x).reshape(()))(image)).detach().clamp(0, 1).numpy()


def step_with_an_optimizer(loss_of, image, rate):
    x = image.clone().requires_grad_()
    x.grad = slope(loss_of, image)
    torch.optim.SGD([x], lr=rate).step()
    return x.detach().clamp(0, 1)


def step_with_weights(loss_of, image, rate):
    leaf = image.clone().requires_grad_()
    loss_of(leaf).backward()
    return (leaf.detach() - rate * leaf.grad).clamp(0, 1)


def step_with_frozen_weights(loss_of, image, rate):
    return step_with_weights(loss_of.requires_grad_(False), image, rate)


def step_with_graph(loss_of, image, rate):
    leaf = image.clone().requires_grad_()
    return (leaf - rate * torch.autograd.grad(loss_of(leaf), leaf)[0]).clamp(0, 1)


def step_with_flag(loss_of, image, rate):
    return (image - rate * torch.autograd.grad(loss_of(image.requires_grad_()), image)[0]).clamp(0, 1).detach()


def step_in_place(loss_of, image, rate):
    leaf = image.detach()
    leaf -= rate * slope(loss_of, image)
    return leaf.clamp_(0, 1)


def step_without_graph(loss_of, image, rate):
    with torch.no_grad():
        loss = loss_of(image)
    return torch.autograd.grad(loss, image)


RIGHT = {
    "check_gram_matrices": [
        gram_as_loop,
        style.gram_matrix,
        lambda m: torch.bmm(m.flatten(2), m.flatten(2).mT) / m[0].numel(),
        lambda m: [np.einsum("ahw,bhw->ab", one, one) / one.size for one in m.double().numpy()],
    ],
    "check_weighted_style_loss": [style_loss, style_loss_as_average, style_loss_as_dot_product],
    "check_keep_colors": [
        colors_as_loop,
        lambda painted, photo: torch.clamp(to_gray(painted) + (photo - to_gray(photo)), 0, 1),
        lambda a, b: np.clip((to_gray(a.double()) + color(b)).numpy(), 0, 1),
    ],
    "check_image_step": [step, step_backward, step_functional, step_with_an_optimizer],
}

WRONG = {
    "check_gram_matrices": [
        (lambda m: products(m) / m[0, 0].numel(), r"number of channels"),
        (products, r"not divided"),
        (lambda m: products(m) / m.numel(), r"by N too"),
        (lambda m: products(m / m[0].numel()), r"divides twice"),
        (lambda m: gram(m).sum(0).expand(len(m), -1, -1), r"one Gram matrix for each"),
        (lambda m: gram(m).mean(0), r"one Gram matrix for each"),
        (lambda m: gram(m)[:1], r"one Gram matrix for each"),
        (lambda m: gram(m - m.mean((2, 3), keepdim=True)), r"covariance"),
        (gram_reshaped, r"mixes channels and places"),
        (lambda m: products(m) / (m.shape[1] * m.shape[2] ** 2), r"H twice"),
        (lambda m: m.flatten(2).mT @ m.flatten(2) / m[0].numel(), r"channels by channels"),
        (lambda m: gram(m) / 2, r"0\.5 times"),
    ],
    "check_weighted_style_loss": [
        (partial(style_loss, whole=lambda weights: 1), r"divide by the sum of the weights"),
        (partial(style_loss, whole=len), r"number of layers"),
        (partial(style_loss, loss=mse_loss), r"relative"),
        (partial(style_loss, loss=lambda g, t: relative(t, g)), r"of the target"),
        (lambda g, t, w: style_loss(g, t, dict.fromkeys(g, 1) | w), r"does not name"),
        (lambda g, t, w: style_loss(g, t, dict.fromkeys(w, 1)), r"weights are ignored"),
        (ratio_of_sums, r"own target"),
        (by_order, r"order"),
        (normalised_in_place, r"changes weights"),
        (partial(style_loss, loss=lambda g, t: relative(g, t).sqrt()), r"root"),
        (
            partial(style_loss, loss=lambda g, t: (g - t).square().sum() / t.square().mean()),
            r"sum is divided by a mean",
        ),
        (partial(style_loss, loss=lambda g, t: mse_loss(g, t) / t.var(correction=0)), r"variance"),
    ],
    "check_keep_colors": [
        (lambda a, b: (to_gray(b) + color(a)).clamp(0, 1), r"swapped"),
        (lambda a, b: to_gray(a) + color(b), r"leaves \[0, 1\]"),
        (lambda a, b: (to_gray(a) + color(b)).clamp(max=1), r"below 0"),
        (lambda a, b: (to_gray(a) + color(b)).clamp(min=0), r"above 1"),
        (lambda a, b: (a.mean(0) + b - b.mean(0)).clamp(0, 1), r"plain mean"),
        (lambda a, b: (to_gray(a) + b).clamp(0, 1), r"not taken away"),
        (lambda a, b: (to_gray(a) + color(b).clamp(0, 1)).clamp(0, 1), r"negative part"),
        (colors_in_place, r"changes photo"),
        (lambda a, b: (to_gray(a) + b - to_gray(a)).clamp(0, 1), r"Only the photo is left"),
        (lambda a, b: (a + color(b)).clamp(0, 1), r"luma alone"),
        (style.with_colors_of, r"limited"),
        (lambda a, b: (b * to_gray(a) / to_gray(b)).clamp(0, 1), r"ratio"),
    ],
    "check_image_step": [
        (step_with_weights, r"gradients at the weights of loss_of"),
        (step_with_frozen_weights, r"requires_grad of the weights"),
        (partial(step, of=torch.neg), r"uphill"),
        (partial(step, limit=lambda x: x), r"leaves \[0, 1\]"),
        (partial(step, limit=lambda x: x.clamp(max=1)), r"below 0"),
        (step_with_graph, r"has a graph"),
        (step_with_flag, r"sets requires_grad on image"),
        (step_in_place, r"changes image"),
        (partial(step, of=lambda g: g / g.square().mean().sqrt()), r"plain gradient descent"),
        (partial(step, of=torch.sign), r"sign"),
        (lambda f, x, rate: x - (rate * slope(f, x)).clamp(0, 1), r"step is limited"),
        (lambda f, x, rate: step(f, x, 1), r"rate is ignored"),
        (step_without_graph, r"needs requires_grad_\(\).*no_grad"),
    ],
}
