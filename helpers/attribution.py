"""What a network looks at: which pixels a score depends on. Lesson 7 makes each method by hand.

Every function takes pictures ``(C, H, W)`` or ``(N, C, H, W)`` and gives maps of their size, for one or for N. The
model comes back as it came: mode, gradients, flags and hooks. Arguments that mean the same as in Captum have its names.
``target`` is a class, a list of classes, one for each picture, or None for the class that the model finds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from tqdm.auto import tqdm

from helpers.devices import device_of
from helpers.hooks import ReLURule, Rule, frozen_eval, gradients, recording
from helpers.images import as_batch
from helpers.incremental import Windows
from helpers.models import layer_table

Index = int | tuple[int, ...]
Target = Index | list[Index] | Tensor | None

# --- Covering parts of the picture -----------------------------------------------------------------------------------


def occlusion(
    model: nn.Module,
    inputs: Tensor,
    target: Target = None,
    sliding_window_shapes: tuple[int, int] | None = None,
    strides: tuple[int, int] | None = None,
    baselines: float = 0.5,
    *,
    perturbations_per_eval: int = 96,
    progress: bool = True,
) -> Tensor:
    """How much the class score drops when a grey patch covers a place. Source: Zeiler and Fergus 2014.

    Args:
        model: maps ``(N, C, H, W)`` to logits ``(N, K)``.
        inputs: the pictures.
        target: as said above.
        sliding_window_shapes: rows and columns of the patch, by default a seventh of the picture's. At the lower and
            right edge it may stick out.
        strides: rows and columns from one patch to the next, by default a quarter of the patch.
        baselines: the value of the patch.
        perturbations_per_eval: how many patches are computed at once.
        progress: whether to show a progress bar.

    Returns:
        ``(N, 1, H, W)`` or ``(1, H, W)``: at each pixel the mean drop over all patches that cover it. It is negative
        where covering raises the score.

    Raises:
        ValueError: a patch larger than the picture, or a stride below 1 or larger than the patch.
    """
    batch, single = _prepare(model, inputs)
    size = batch.shape[2:]
    rows, columns = sliding_window_shapes or (max(1, n // 7) for n in size)
    patch = (rows, columns)
    places = [_places(*axis) for axis in zip(size, patch, strides or [max(1, n // 4) for n in patch], strict=True)]
    corners = torch.cartesian_prod(*places).to(batch.device)
    maps = []
    with (
        frozen_eval(model),
        torch.no_grad(),
        tqdm(total=len(batch) * len(corners), disable=not progress, unit="patch") as bar,
    ):
        for picture, index in zip(batch.split(1), _indices(model(batch), target), strict=True):
            score = _score_of(model, picture, index)
            drops = []
            for corner in corners.split(perturbations_per_eval):
                drops.append(score(picture) - score(_covered(picture, corner, patch, baselines)))
                bar.update(len(corner))
            maps.append(_mean_over_patches(torch.cat(drops), corners, patch, size))
    return maps[0] if single else torch.stack(maps)


def _places(size: int, window: int, stride: int) -> Tensor:
    """Where the patches begin along one axis: as many as it takes to cover the last pixel."""
    if not 1 <= window <= size:
        raise ValueError(f"a patch must be 1 to {size} pixels wide, as wide as the picture at most, not {window}")
    if not 1 <= stride <= window:
        raise ValueError(f"strides must be 1 to {window}, or pixels between the patches are left out, not {stride}")
    return torch.arange(0, size - window + stride, stride)


def _covered(picture: Tensor, corners: Tensor, shape: tuple[int, int], value: float) -> Tensor:
    """The picture with a patch at each corner. One that would stick out is cut off at the edge."""
    size = torch.tensor(picture.shape[2:], device=corners.device) - torch.tensor(shape, device=corners.device)
    starts = torch.minimum(corners, size)
    crops = Windows(
        picture, picture.new_empty(len(corners), picture.shape[1], 0, 0), starts[:, 0], starts[:, 1]
    ).window(starts[:, 0], starts[:, 1], *shape)
    down, right = (corners - starts).T[:, :, None]
    rows, columns = (torch.arange(n, device=corners.device) for n in shape)
    patch = (rows >= down)[:, None, :, None] & (columns >= right)[:, None, None, :]
    return Windows(picture, crops.masked_fill(patch, value), starts[:, 0], starts[:, 1])


def _mean_over_patches(drops: Tensor, corners: Tensor, shape: tuple[int, int], size: torch.Size) -> Tensor:
    total, count = drops.new_zeros(2, *size)
    for drop, (row, column) in zip(drops, corners.tolist(), strict=True):
        patch = slice(row, row + shape[0]), slice(column, column + shape[1])
        total[patch] += drop
        count[patch] += 1
    return (total / count)[None]


def _score_of(model: nn.Module, picture: Tensor, index: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """A function from pictures to one class score each.

    Where the last layer with weights is such that the other classes need not be computed for it, they are not.
    """

    def full(x: Tensor) -> Tensor:
        return model(x)[(slice(None), *index)]

    rows = [row for row in layer_table(model, picture.shape[1:]) if row.kind in ("Conv2d", "Linear")]
    if len(index) != 1 or not rows or len({row.name for row in rows}) < len(rows):
        return full
    name = rows[-1].name
    state = {key: value[index[0]][None] for key, value in model.get_submodule(name).named_parameters(prefix=name)}

    def narrow(x: Tensor) -> Tensor:
        return functional_call(model, state, (x,))[:, 0]

    try:
        same = torch.allclose(narrow(picture), full(picture), rtol=1e-5, atol=1e-6)
    except (RuntimeError, IndexError):
        same = False
    return narrow if same else full


# --- Following the score back to the pixels ---------------------------------------------------------------------------

# What a ReLU hands down of the gradient that comes from above; ``positive`` says where its input was above zero.
RULES: dict[str, Rule] = {
    "plain": lambda gradient, positive: gradient * positive,
    "deconvnet": lambda gradient, positive: gradient.clamp(min=0),
    "guided": lambda gradient, positive: gradient.clamp(min=0) * positive,
}


def backpropagate(
    model: nn.Module, inputs: Tensor, target: Target = None, rule: str = "plain", layer: str | None = None
) -> Tensor:
    """The gradient of a score with respect to the pixels, or what another rule at the ReLUs makes of it.

    ``"plain"`` is the gradient; ``"deconvnet"`` (Zeiler and Fergus 2014) hands down what is positive from above,
    whatever the ReLU's input was; ``"guided"`` (Springenberg et al. 2015) only where that was positive too.
    Covered are ``nn.ReLU``, in place or not and however often used, and the functions ``relu``.

    Args:
        model: maps ``(N, C, H, W)`` to logits ``(N, K)``, or anything where ``layer`` is given.
        inputs: the pictures.
        target: as said above; with ``layer`` an index into that layer's output, such as (channel, row, column). One
            with fewer axes stands for the sum over the others.
        rule: at the ReLUs.
        layer: the layer whose output is followed back, by its name in ``model.named_modules()``.

    Returns:
        The shape of ``inputs``.

    Raises:
        ValueError: no such rule, layer or target; or a rule for ReLUs in a network that has none or has others as well.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, not {rule!r}")
    if layer is not None and target is None:
        raise ValueError("target must say which channel or unit of the layer is meant; it is None")
    batch, single = _prepare(model, inputs)
    with gradients(model), nullcontext() if rule == "plain" else _relu_rule(RULES[rule]):
        batch = batch.detach().clone().requires_grad_()
        with recording(model, [layer] if layer else []) as maps:
            logits = model(batch)
        outputs = maps[layer] if layer else logits
        score = sum(output[index].sum() for output, index in zip(outputs, _indices(outputs, target), strict=True))
        (gradient,) = torch.autograd.grad(score, batch)
    return gradient[0] if single else gradient


def saliency(model: nn.Module, inputs: Tensor, target: Target = None, abs: bool = True) -> Tensor:
    """How strongly each pixel moves the class score: the gradient's size (Simonyan et al. 2014), or with its sign.

    For one value at each place take the largest over the channels, ``.amax(dim=-3)``. Shape of ``inputs``.
    """
    gradient = backpropagate(model, inputs, target)
    return gradient.abs() if abs else gradient


def smooth_grad(
    model: nn.Module,
    inputs: Tensor,
    target: Target = None,
    nt_samples: int = 25,
    stdevs: float = 0.15,
    *,
    abs: bool = True,
    seed: int = 0,
) -> Tensor:
    """Saliency with the gradient averaged over noisy copies of the picture. Source: Smilkov et al. 2017.

    Args:
        model, inputs, target: as in :func:`saliency`; None is the class of the picture without noise.
        nt_samples: how many copies.
        stdevs: standard deviation of the noise, on pixels in [0, 1].
        abs: the size of the mean gradient, or with its sign.
        seed: of the noise.
    """
    if nt_samples < 1:
        raise ValueError(f"nt_samples must be at least 1, not {nt_samples}")
    batch, single = _prepare(model, inputs)
    with frozen_eval(model), torch.no_grad():
        indices: list[Index] = list(_indices(model(batch), target))
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(batch)
    for _ in range(nt_samples):
        noise = stdevs * torch.randn(batch.shape, generator=generator).to(batch.device)
        total += backpropagate(model, batch + noise, indices)
    mean = total / nt_samples
    mean = mean.abs() if abs else mean
    return mean[0] if single else mean


def grad_cam(
    model: nn.Module, inputs: Tensor, target: Target = None, *, layer: str, relu_attributions: bool = True
) -> Tensor:
    """Where a layer's maps speak for a class: their sum, each weighted with its mean gradient. Selvaraju et al. 2017.

    Args:
        model, inputs, target: as in :func:`saliency`.
        layer: one that gives maps ``(N, C', H', W')``; usually the last one that does.
        relu_attributions: whether to keep only what speaks for the class.

    Returns:
        ``(N, 1, H, W)`` or ``(1, H, W)``: enlarged to the size of the pictures, linearly.
    """
    batch, single = _prepare(model, inputs)
    with gradients(model):
        with recording(model, [layer]) as outputs:
            logits = model(batch.detach().clone().requires_grad_())
        maps = outputs[layer]
        if maps.ndim != 4:
            raise ValueError(f"layer must give maps (N, C, H, W), and {layer!r} gives {tuple(maps.shape)}")
        score = sum(logit[index].sum() for logit, index in zip(logits, _indices(logits, target), strict=True))
        (gradient,) = torch.autograd.grad(score, maps)
    heat = (gradient.mean(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1, keepdim=True)
    heat = F.interpolate(heat.relu() if relu_attributions else heat, batch.shape[2:], mode="bilinear")
    return heat[0] if single else heat


# --- What they share -------------------------------------------------------------------------------------------------


def _prepare(model: nn.Module, inputs: Tensor) -> tuple[Tensor, bool]:
    """The pictures as a batch where the model is, in the order that convolutions are fastest in."""
    batch, single = as_batch(inputs)
    return batch.to(device_of(model)).contiguous(memory_format=torch.channels_last), single


def _indices(outputs: Tensor, target: Target) -> list[tuple[int, ...]]:
    """For each picture the place of its score in its output, checked."""
    if not isinstance(outputs, Tensor) or outputs.ndim < 2:
        raise ValueError("the model must give one tensor of logits, (N, K)")
    if target is None:
        target = outputs.flatten(1).argmax(dim=1)
    listed = target.tolist() if isinstance(target, Tensor) else target
    listed = listed if isinstance(listed, list) else [listed] * len(outputs)
    if len(listed) != len(outputs):
        raise ValueError(f"target has {len(listed)} entries, and there are {len(outputs)} pictures")
    indices = [index if isinstance(index, tuple) else (index,) for index in listed]
    shape = tuple(outputs.shape[1:])
    for index in indices:
        if len(index) > len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=False)):
            raise ValueError(f"target must be an index into an output of shape {shape}, not {index}")
    return indices


@contextmanager
def _relu_rule(rule: Rule) -> Iterator[None]:
    with ReLURule(rule) as relus:
        yield
    if relus.relatives:
        raise ValueError(
            f"the rule is one for ReLUs, and this network has {', '.join(sorted(relus.relatives))} as well"
        )
    if not relus.met:
        raise ValueError("the rule is one for ReLUs, and the forward pass of this network came to none")
