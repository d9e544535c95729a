"""Exercise checks that explain. Each takes the reader's answer and says what is right or wrong with it.

A check compares the answer with PyTorch, or with a formula, on several cases, so that an answer that is right once by
luck does not pass. It never raises in a lesson; with NBGRADER_EXECUTION set it raises on anything but correct.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, cross_entropy, max_pool2d, mse_loss, one_hot

from helpers.images import to_gray

CORRECT, NOT_ATTEMPTED = "Correct", "Not attempted yet"


@dataclass(frozen=True)
class Case:
    """One question put to the reader's function, and its answer."""

    arguments: Sequence[Any]
    expected: Any
    hint: str = ""  # the likely misunderstanding, where this case is the first that fails


def report(verdict: str, detail: str = "") -> None:
    """Print a verdict; where exercises are graded, raise on anything but correct."""
    text = f"{verdict}: {detail}" if detail else f"{verdict}."
    if os.environ.get("NBGRADER_EXECUTION") and verdict != CORRECT:
        raise AssertionError(text)
    print(text)


def check_function(answer: Callable, cases: Iterable[Case]) -> None:
    """Call the reader's function with each case in turn, smallest first, and report the first that fails."""
    count = 0
    for case in cases:
        try:
            got = answer(*case.arguments)
        except Exception as error:
            return report("Not yet", f"{_call(answer, case)} {_raised(error)}")
        if got is None or got is ...:
            return report(
                NOT_ATTEMPTED, "the function gives nothing back so far (is there a return?)." if count == 0 else ""
            )
        if fault := difference(got, case.expected):
            return report("Not yet", f"{_call(answer, case)} {fault}" + (f" {case.hint}" if case.hint else ""))
        count += 1
    return report(CORRECT, f"{count} of {count} cases.")


def _raised(error: Exception) -> str:
    """The error in words, with a hint where torch's own message does not say what is missing."""
    hint = " What it was computed from needs requires_grad_()." if "does not require grad" in str(error) else ""
    return f"raised {type(error).__name__}: {error}{hint}"


def difference(got: Any, expected: Any, tolerance: float = 1e-4) -> str:
    """How ``got`` differs from ``expected`` in words, empty where they are the same but for rounding."""
    try:
        actual, wanted = torch.as_tensor(got), torch.as_tensor(expected)
    except (TypeError, ValueError, RuntimeError):
        return "" if type(got) is type(expected) and got == expected else f"gave {got!r}; expected {expected!r}."
    if actual.shape != wanted.shape:
        return f"gave {_shape(actual)}; expected {_shape(wanted)}."
    wrong = ~torch.isclose(actual.double(), wanted.double(), rtol=tolerance, atol=tolerance)
    if not wrong.any():
        return ""
    if wanted.ndim == 0:
        return f"gave {_number(actual)}; expected {_number(wanted)}."
    place = tuple(wrong.nonzero()[0].tolist())
    numbers = f"at {list(place)} there is {_number(actual[place])}; expected {_number(wanted[place])}"
    return f"has the right shape, but {int(wrong.sum())} of {wrong.numel()} values are off: {numbers}."


def _shape(value: Tensor) -> str:
    return f"the shape {tuple(value.shape)}" if value.ndim else "a single number"


def _number(value: Tensor) -> str:
    return f"{value.item():.6g}"


def _call(answer: Callable, case: Case) -> str:
    try:
        names = list(inspect.signature(answer).bind(*case.arguments).arguments)
    except (TypeError, ValueError):  # a built-in function, or one with other parameters
        names = []
    words = [_short(a) for a in case.arguments]
    if len(names) == len(words):
        words = [f"{name}={word}" for name, word in zip(names, words, strict=True)]
    return f"with {', '.join(words)}, your function"


def _short(argument: Any) -> str:
    if not isinstance(argument, Tensor):
        return argument.__name__ if inspect.isfunction(argument) else repr(argument)
    if argument.numel() <= 9:
        rounded = argument.double().round(decimals=3) if argument.is_floating_point() else argument
        return f"tensor({rounded.tolist()})"
    return f"a tensor of shape {tuple(argument.shape)}"


# --- Lesson 1 --------------------------------------------------------------------------------------------------------


def output_size(answer: Callable) -> None:
    """Checks ``answer(size, kernel_size, stride, padding)`` against the shape of a real convolution."""
    questions = {
        (5, 3, 1, 0): "Count the places at which a window of 3 can start in a row of 5.",
        (28, 3, 1, 1): "Padding is added on both sides.",
        (7, 3, 2, 0): "With a stride of 2, the window starts at every second place.",
        (8, 3, 2, 0): "A step that does not fit any more is not taken: round down.",
        (32, 5, 3, 2): "Add the padding before you divide by the stride.",
        (6, 6, 1, 0): "A window as large as the picture has one place.",
    }
    check_function(answer, [Case(q, _convolved_size(*q), hint) for q, hint in questions.items()])


def _convolved_size(size: int, kernel_size: int, stride: int, padding: int) -> int:
    return conv2d(
        torch.ones(1, 1, size, size), torch.ones(1, 1, kernel_size, kernel_size), None, stride, padding
    ).shape[-1]


def convolution_parameters(answer: Callable) -> None:
    """Checks ``answer(in_channels, out_channels, kernel_size, bias)`` against the weights of ``nn.Conv2d``."""
    questions = {
        (1, 1, 3, False): "One filter for one channel has a weight for each place of its kernel, rows times columns.",
        (1, 4, 3, False): "Each output channel has a filter of its own.",
        (1, 4, 3, True): "Each filter has one bias, a single number.",
        (3, 4, 3, True): "Each filter reaches through all the input channels, and still has one bias.",
        (64, 128, 5, False): "",
    }
    cases = []
    for (inputs, outputs, side, bias), hint in questions.items():
        layer = nn.Conv2d(inputs, outputs, side, bias=bias, device="meta")
        cases.append(Case((inputs, outputs, side, bias), sum(p.numel() for p in layer.parameters()), hint))
    check_function(answer, cases)


def cross_correlation(answer: Callable) -> None:
    """Checks ``answer(picture, kernel, stride, padding)`` for 2-D tensors against ``conv2d``."""
    generator = torch.Generator().manual_seed(1)
    cases = []
    for height, width, rows, columns, stride, padding, hint in (
        (
            3,
            3,
            2,
            2,
            1,
            0,
            "One value for each place of the kernel: patch times kernel as it stands, not turned, summed.",
        ),
        (4, 7, 2, 3, 1, 0, "Rows come first, and a kernel need not be square."),
        (7, 6, 3, 2, 2, 0, "With a stride, patch (i, j) starts at row i * stride and column j * stride."),
        (5, 4, 3, 3, 1, 1, "Padding puts zeros around the picture, on all four sides, before anything else."),
        (6, 9, 2, 4, 3, 2, "Use the formula for the size with the size, stride and padding of each direction."),
    ):
        picture = torch.randn(height, width, generator=generator)
        kernel = torch.randn(rows, columns, generator=generator)
        expected = conv2d(picture[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
        cases.append(Case((picture, kernel, stride, padding), expected, hint))
    check_function(answer, cases)


def diagonal_kernel(kernel: Tensor | None) -> None:
    """Checks a 3 × 3 kernel for edges that are dark at the upper left and bright at the lower right (A of four)."""
    if kernel is None or kernel is ...:
        return report(NOT_ATTEMPTED)
    kernel = torch.as_tensor(kernel, dtype=torch.float32)
    if kernel.shape != (3, 3):
        return report("Not yet", f"the kernel has the shape {tuple(kernel.shape)}; expected (3, 3).")
    if abs(kernel.sum()) > 1e-5:
        flat = f"where all pixels are 1 it answers {kernel.sum():.3g}"
        return report("Not yet", f"{flat}: let its weights sum to 0.")
    down, across = torch.meshgrid(torch.arange(3) - 1, torch.arange(3) - 1, indexing="ij")
    edges = {"A": down + across, "B": down, "C": across, "D": down - across}
    answers = {name: (kernel * edge.sign()).sum().item() for name, edge in edges.items()}
    if answers["A"] <= 0:
        return report("Not yet", f"it answers {answers['A']:.3g} at A: the large weights belong at the lower right.")
    if abs(answers["D"]) > 1e-5:
        return report("Not yet", f"it answers {answers['D']:.3g} at D, where the two bright corners must cancel.")
    for name in "BC":
        if answers[name] >= answers["A"] - 1e-5:
            both = f"it answers {answers[name]:.3g} at {name} and {answers['A']:.3g} at A"
            return report("Not yet", f"{both}: give weight to the cells beside the corners too, which tell them apart.")
    return report(CORRECT, f"it answers {answers['A']:.3g} at A, less at B and C, and 0 at D.")


# --- Lesson 2 --------------------------------------------------------------------------------------------------------


def max_pooling(answer: Callable) -> None:
    """Checks ``answer(picture, window, stride)`` for 2-D tensors against ``max_pool2d``."""
    generator = torch.Generator().manual_seed(2)
    cases = []
    for height, width, window, stride, hint in (
        (2, 2, 2, 2, "A maximum of negative numbers is negative: let no zero take part."),
        (4, 4, 2, 2, "With a stride, window (i, j) starts at row i * stride and column j * stride."),
        (4, 6, 2, 2, "Rows come first: the result has the shape (rows, columns)."),
        (7, 5, 3, 2, "With a stride, window (i, j) starts at row i * stride and column j * stride."),
        (7, 6, 2, 3, "Windows that do not fit any more are left out: use the formula for the size."),
    ):
        picture = torch.randn(height, width, generator=generator) - 2
        expected = max_pool2d(picture[None], window, stride)[0]
        cases.append(Case((picture, window, stride), expected, hint))
    check_function(answer, cases)


def global_average(answer: Callable) -> None:
    """Checks ``answer(maps)``, ``(N, C, H, W)`` to ``(N, C)``, against the mean of each map."""
    generator = torch.Generator().manual_seed(3)
    cases = []
    for shape, hint in (
        ((2, 3, 2, 2), "Each map of each picture gives one number: the mean over rows and columns, nothing else."),
        ((4, 2, 3, 5), "Divide by rows times columns, which need not be equal."),
        ((1, 3, 4, 4), "A batch of one picture keeps its first dimension."),
        ((2, 1, 1, 1), "One map of one pixel is still a map: the result has the shape (N, C)."),
    ):
        maps = torch.randn(shape, generator=generator)
        cases.append(Case((maps,), maps.mean(dim=(2, 3)), hint))
    check_function(answer, cases)


def stable_softmax(answer: Callable) -> None:
    """Checks ``answer(scores, dim)`` against ``torch.softmax``, with scores whose exponential overflows."""
    square = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    generator = torch.Generator().manual_seed(4)
    wrong_dim = "Sum along dim, and keep that dimension (keepdim=True), so that the division meets the right numbers."
    questions = [
        (torch.tensor([0.0, 1.0, 2.0]), 0, "Exponentials divided by their sum."),
        (square, 1, wrong_dim),
        (square, 0, wrong_dim),
        (torch.tensor([1000.0, 1001.0]), 0, "exp(1000) overflows: subtract the maximum first, it changes nothing."),
        (torch.tensor([[0.0, 0.0], [-1000.0, -1001.0]]), 1, "Subtract the maximum along dim, not that of all scores."),
        (torch.randn(2, 3, 2, 2, generator=generator), 1, wrong_dim),
    ]
    check_function(answer, [Case((x, dim), torch.softmax(x, dim), hint) for x, dim, hint in questions])


def dense_inputs(answer: Callable) -> None:
    """Checks ``answer(size, channels, layers)``: the numbers that a stack of layers leaves for a dense layer."""
    questions = [
        (8, 32, [(5, 1), (2, 2)], "Channels times rows times columns; each layer makes (size − F) / S + 1 of them."),
        (28, 32, [(5, 1), (2, 2)], "The maps are two-dimensional: channels · side · side."),
        (30, 20, [(3, 1), (2, 2), (3, 1), (2, 2)], "Each layer starts from the size that the one before it left."),
        (10, 4, [(3, 2)], "A step that does not fit any more is not taken: round down."),
        (5, 3, [], "Without layers the picture stays as it is."),
    ]
    cases = []
    for size, channels, layers, hint in questions:
        x = torch.zeros(1, channels, size, size)
        for kernel_size, stride in layers:
            x = max_pool2d(x, kernel_size, stride)
        cases.append(Case((size, channels, layers), x.numel(), hint))
    check_function(answer, cases)


# --- Lesson 3 --------------------------------------------------------------------------------------------------------


def training_step(answer: Callable) -> None:
    """Checks ``answer(model, images, labels, optimizer)``: what it does to the weights, and the loss it gives back."""
    generator = torch.Generator().manual_seed(3)
    batches = [(torch.randn(n, 4, generator=generator), torch.arange(n) % 3) for n in (5, 1, 6)]
    model, reference = _linear_with_old_gradient(), _linear_with_old_gradient()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for number, (images, labels) in enumerate(batches, start=1):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        try:
            got = answer(model, images, labels, optimizer)
        except Exception as error:
            return report("Not yet", f"step {number} raised {type(error).__name__}: {error}")
        expected = _reference_step(reference, images, labels)
        moved = not all(torch.equal(p, before[name]) for name, p in model.named_parameters())
        if (got is None or got is ...) and not moved:
            return report(NOT_ATTEMPTED, "nothing comes back, and no weight has moved.")
        if not moved:
            return report("Not yet", f"after step {number} no weight has moved: it takes backward() and then step().")
        if difference(model.weight.detach(), reference.weight.detach()):
            hint = "Are old gradients forgotten before backward(), and does cross_entropy get the logits themselves?"
            return report("Not yet", f"step {number} moved the weights elsewhere than expected. {hint}")
        if isinstance(got, Tensor) and got.requires_grad:
            return report("Not yet", "the loss comes back as a tensor with its whole graph: give loss.item().")
        if got is None or difference(got, expected):
            return report("Not yet", f"the weights are right; as loss it gave {got}, expected {expected:.6g}.")
    return report(CORRECT, "three steps, the weights and the losses all as expected.")


def _linear_with_old_gradient() -> nn.Linear:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.linspace(-1, 1, p.numel()).view_as(p))
            p.grad = torch.ones_like(p)  # left over from an earlier batch
    return layer


def _reference_step(layer: nn.Linear, images: Tensor, labels: Tensor) -> float:
    loss = cross_entropy(layer(images), labels)
    gradients = torch.autograd.grad(loss, list(layer.parameters()))
    with torch.no_grad():
        for p, gradient in zip(layer.parameters(), gradients, strict=True):
            p.sub_(0.5 * gradient)
    return loss.item()


class _Batches(list):
    def __repr__(self) -> str:
        return f"[{' + '.join(str(len(labels)) for _, labels in self)} pictures]"


def accuracy(answer: Callable) -> None:
    """Checks ``answer(batches)``, where each batch is ``(logits, labels)``, and the last one may be short."""
    cases = []
    for sizes, hint in (
        ([4], "The prediction is the class with the largest logit, argmax(dim=1)."),
        ([4, 4], "Give the share of right predictions, from 0 to 1."),
        ([4, 1], "Divide all right ones by all pictures: averaging the batches' shares lets a short one count more."),
        ([6, 6, 2], "Count the pictures with len(labels), not with a batch size from elsewhere."),
    ):
        generator = torch.Generator().manual_seed(sum(sizes))
        labels = [torch.randint(3, (size,), generator=generator) for size in sizes]
        logits = [one_hot(part, 3) + torch.randn(len(part), 3, generator=generator) for part in labels]
        logits[-1] = one_hot((labels[-1] + 1) % 3, 3) * 2.0 - 3  # the last batch is all wrong, its logits all negative
        right = int((torch.cat(logits).argmax(dim=1) == torch.cat(labels)).sum())
        cases.append(Case((_Batches(zip(logits, labels, strict=True)),), right / sum(sizes), hint))
    check_function(answer, cases)


def cross_entropy_by_hand(answer: Callable) -> None:
    """Checks ``answer(logits, labels)`` for ``(N, K)`` and ``(N,)`` against PyTorch's cross-entropy."""
    cases = []
    for rows, hint in (
        ([[0.0, 0.0]], "Equal logits give each of two classes 1/2, and the loss is −log(1/2), the natural logarithm."),
        ([[2.0, 0.0, 1.0]], "The loss is minus the log-probability of the true class, the first here."),
        ([[1.0, 2.0, 3.0], [4.0, 0.0, -4.0]], "Softmax runs over the classes, dim=1; give the mean over pictures."),
        ([[1000.0, 0.0], [-1000.0, 0.0]], "exp(1000) is too large for a float: subtract each row's maximum first."),
    ):
        logits = torch.tensor(rows)
        labels = torch.arange(len(rows))
        cases.append(Case((logits, labels), cross_entropy(logits, labels), hint))
    check_function(answer, cases)


def confusion_matrix(answer: Callable) -> None:
    """Checks ``answer(labels, predictions, classes)``: counts, row = true class, column = predicted class."""
    cases = []
    for labels, predictions, classes, hint in (
        ([0, 1], [0, 1], 2, "Each picture adds 1 at row label, column prediction."),
        ([0, 0, 1], [1, 1, 1], 2, "Rows are true classes, columns predicted ones; a pair may come twice."),
        ([2, 0], [0, 0], 4, "There are rows and columns for classes that do not occur, too."),
    ):
        expected = torch.zeros(classes, classes, dtype=torch.long)
        for label, prediction in zip(labels, predictions, strict=True):
            expected[label, prediction] += 1
        cases.append(Case((torch.tensor(labels), torch.tensor(predictions), classes), expected, hint))
    check_function(answer, cases)


# --- Lesson 4 --------------------------------------------------------------------------------------------------------


def inverted_dropout(answer: Callable) -> None:
    """Checks ``answer(x, p, training)``: single values are dropped, and what is kept is scaled up."""
    _check_dropout(answer, (40, 50), whole=1)


def dropped_maps(answer: Callable) -> None:
    """Checks ``answer(x, p, training)`` for ``(N, C, H, W)``: whole maps are dropped, and what is kept is scaled up."""
    _check_dropout(answer, (40, 50, 3, 4), whole=12)


def _check_dropout(answer: Callable, shape: tuple[int, ...], whole: int) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 1
    hint = "Outside training nothing is dropped, and nothing scaled."
    if not _verdict(lambda: answer(x, 0.25, False), lambda got: (fault := difference(got, x)) and f"{fault} {hint}"):
        return
    for p in (0.25, 0.8):
        if not _verdict(partial(answer, x, p, True), partial(_dropout_fault, x=x, p=p, whole=whole)):
            return
    report(CORRECT, "the right share is dropped, and the rest scaled up; outside training nothing happens.")


def _dropout_fault(got: Any, *, x: Tensor, p: float, whole: int) -> str:
    if not isinstance(got, Tensor) or got.shape != x.shape:
        return f"gave no tensor of the input's shape {tuple(x.shape)}."
    kept = (got != 0).view(40, 50, whole)
    if kept.any() and (fault := difference(got[got != 0], (x / (1 - p))[got != 0])):
        return f"with p = {p} must divide what it keeps by 1 − p, but it {fault}"
    if not torch.equal(kept.any(2), kept.all(2)):
        return "drops parts of maps: draw one number for each map, and let it count for all of its pixels."
    if len(kept.flatten(1).unique(dim=0)) == 1 or len(kept.transpose(0, 1).flatten(1).unique(dim=0)) == 1:
        return "drops the same in every row, or in every column: draw a number of its own for each."
    share = 1 - kept.float().mean().item()
    if abs(share - p) > 0.1:
        hint = "p is the probability to be dropped, not to be kept." if abs(share - 1 + p) < 0.1 else ""
        return f"with p = {p} dropped a share of {share:.2f}. {hint}"
    return ""


def _verdict(call: Callable[[], Any], fault_of: Callable[[Any], str]) -> bool:
    """Call the answer, and report what is wrong with what comes back; True where nothing is."""
    try:
        got = call()
    except Exception as error:
        report("Not yet", f"your function {_raised(error)}")
        return False
    if got is None or got is ...:
        report(NOT_ATTEMPTED, "the function gives nothing back so far (is there a return?).")
    elif fault := fault_of(got):
        report("Not yet", f"your function {fault}")
    else:
        return True
    return False


def momentum_step(answer: Callable) -> None:
    """Checks ``answer(weight, gradient, velocity, learning_rate, momentum)`` against four steps of torch's SGD."""
    gradients = torch.tensor([1.0, 1.0, -2.0, 0.0])

    def four_steps(learning_rate: float, momentum: float) -> Tensor | None:
        weights, weight, velocity = [], torch.tensor(1.0), torch.tensor(0.0)
        for gradient in gradients:
            if (got := answer(weight, gradient, velocity, learning_rate, momentum)) in (None, ...):
                return None
            weight, velocity = got
            weights.append(weight)
        return torch.stack(weights)

    cases = []
    for rate, momentum in ((0.1, 0.0), (0.1, 0.9), (0.5, 0.5)):
        theirs, expected = torch.tensor(1.0), []
        optimizer = torch.optim.SGD([theirs], lr=rate, momentum=momentum)
        for theirs.grad in gradients:
            optimizer.step()
            expected.append(theirs.clone())
        cases.append(Case((rate, momentum), torch.stack(expected), _MOMENTUM_HINT))
    check_function(four_steps, cases)


_MOMENTUM_HINT = "These are the weights after four steps with this rate and momentum. In torch the new velocity is "
_MOMENTUM_HINT += "momentum · velocity + gradient, and the weight goes down by rate · new velocity."


def folded_batch_norm(answer: Callable) -> None:
    """Checks ``answer(weight, bias, mean, var, gamma, beta)`` against a convolution followed by ``batch_norm``."""
    generator, cases = torch.Generator().manual_seed(0), []
    for out, channels, hint in (
        (1, 1, "The old bias is normalised and scaled, too: (bias − mean) · scale + beta."),
        (3, 2, "Each filter has its own scale: scale.view(-1, 1, 1, 1) * weight."),
    ):
        x, weight = torch.randn(2, channels, 4, 4), torch.randn(out, channels, 3, 3, generator=generator)
        bias, mean, gamma, beta = torch.randn(4, out, generator=generator)
        var = torch.rand(out, generator=generator) + 0.5
        expected = batch_norm(conv2d(x, weight, bias), mean, var, gamma, beta, eps=1e-5)
        cases.append(Case((x, weight, bias, mean, var, gamma, beta), expected, hint))

    def folded(x: Tensor, *numbers: Tensor) -> Tensor | None:
        got = answer(*numbers)
        return None if got in (None, ...) else conv2d(x, *got)

    check_function(folded, cases)


# --- Lesson 5 --------------------------------------------------------------------------------------------------------


def recorded_output(answer: Callable) -> None:
    """Checks ``answer(model, layer, pictures)``: the layer's own output, and no hook left behind."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(2, 1, 6, 5, generator=generator)
    for inplace, hint in (
        (False, "It is the output that is wanted, what the hook gets as its third argument."),
        (True, "The next layer here is nn.ReLU(inplace=True), which overwrites what you recorded: keep a clone."),
    ):
        layer, below = nn.Conv2d(1, 3, 3), nn.AvgPool2d(2, stride=1)
        model, expected = nn.Sequential(below, layer, nn.ReLU(inplace=inplace)), layer(below(pictures)).detach()

        def fault(got: Any, expected: Tensor = expected, model: nn.Module = model, hint: str = hint) -> str:
            if isinstance(got, (list, tuple)):
                return "gave a list; give its first element, the tensor."
            if wrong := difference(got, expected):
                return f"{wrong} {hint}"
            left = sum(len(module._forward_hooks) for module in model.modules())
            return f"left {left} hook on the model: call handle.remove(), in a finally block." if left else ""

        if not _verdict(partial(answer, model, layer, pictures), fault):
            return
    report(CORRECT, "the layer's own output, also where the next layer works in place, and no hook is left.")


def second_layer_map(answer: Callable) -> None:
    """Checks ``answer(maps, weight, bias, channel)`` for ``(C, H, W)`` against one channel of ``conv2d``."""
    generator, cases = torch.Generator().manual_seed(0), []
    for channels, out, bias, channel, hint in (
        (1, 1, 0.0, 0, "With one map and one filter it is one cross-correlation: no padding, no ReLU."),
        (1, 2, 1.0, 1, "Add the bias of this channel, bias[channel], once."),
        (3, 2, 0.0, 0, "Sum over all input maps: weight[channel, i] slides over maps[i]."),
        (4, 3, 1.0, 2, "The bias is added once, not once for each input map."),
    ):
        maps = torch.randn(channels, 6, 7, generator=generator)
        weight = torch.randn(out, channels, 3, 3, generator=generator)
        biases = bias * torch.randn(out, generator=generator)
        expected = conv2d(maps[None], weight, biases)[0, channel]
        cases.append(Case((maps, weight, biases, channel), expected, hint))
    check_function(answer, cases)


def dead_channels(answer: Callable) -> None:
    """Checks ``answer(maps)``: how many channels of ``(N, C, H, W)`` are above zero nowhere in any picture."""
    maps = torch.zeros(3, 4, 2, 2)
    cases = [Case((maps[:1, :1],), 1, "A channel that is zero everywhere is dead.")]
    maps[1, 0, 0, 1], maps[2, 3] = 0.5, 2
    cases.append(Case((maps,), 2, "A channel that answers to one picture, at one place, is alive."))
    cases.append(Case((maps[:, :, :1, :1] - 1,), 3, "Before ReLU, values below zero do not count as alive."))
    check_function(answer, cases)


# --- Lesson 6 --------------------------------------------------------------------------------------------------------


def nearest_others(answer: Callable) -> None:
    """Checks ``answer(vectors, k)``, ``(N, D)`` to the numbers ``(N, k)`` of each one's nearest others."""
    line, corner = torch.tensor([[0.0], [1.0], [3.0], [7.0]]), torch.tensor([[0.0, 0.0], [3.0, 3.0], [0.0, 5.0]])
    twins = torch.tensor([[5.0, 5.0], [0.0, 0.0], [0.0, 0.0], [6.0, 5.0]])
    cases = []
    for vectors, k, hint in (
        (line, 1, "Give the numbers (indices); each point is nearest to itself, so give that distance infinity."),
        (corner, 1, "The distance is Euclidean: squares, summed, and a root."),
        (line, 3, "The nearest comes first."),
        (twins, 1, "Equal points are each other's nearest: leave out a point by its number, not the first in line."),
        (torch.randn(12, 5, generator=torch.Generator().manual_seed(6)), 4, ""),
    ):
        far = (vectors[:, None] - vectors).norm(dim=2).fill_diagonal_(torch.inf)
        cases.append(Case((vectors, k), far.topk(k, largest=False).indices, hint))
    check_function(answer, cases)


def weighted_vote(answer: Callable) -> None:
    """Checks ``answer(vectors, labels, queries, k)``: the class with the largest sum of 1 / distance among k."""
    line, queries = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0], [11.0], [13.0]]), torch.tensor([[0.1], [12.2]])
    cases = []
    for labels, k, expected, hint in (
        ([0, 1, 2, 1, 4, 5, 6], 1, [0, 6], "With k = 1 it is the label of the nearest vector: largest=False in topk."),
        ([0, 1, 1, 0, 2, 0, 2], 3, [0, 2], "Count 1 / distance for each neighbour: one very near may outvote two."),
        ([1, 3, 3, 3, 9, 9, 5], 3, [1, 9], "Weights of the same label add up, each 1 / distance."),
        ([8, 8, 8, 0, 0, 8, 0], 5, [8, 0], ""),
        ([1, 2, 3, 3, 3, 3, 0], 2, [1, 0], "Only the k nearest vote."),
    ):
        cases.append(Case((line, torch.tensor(labels), queries, k), torch.tensor(expected), hint))
    check_function(answer, cases)


def variance_shares(answer: Callable) -> None:
    """Checks ``answer(x)``, ``(N, D)`` to the share of the variance along each of the D principal axes, ``(D,)``."""
    cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    cases = []
    for x, hint in (
        (cross, "A share is the square of a singular value over the sum of squares: they sum to 1, largest first."),
        (cross + torch.tensor([5.0, -3.0]), "Variance is measured from the mean: subtract it from each column first."),
        (torch.randn(9, 3, generator=torch.Generator().manual_seed(6)) * torch.tensor([1.0, 4.0, 2.0]) + 1, ""),
    ):
        variances = torch.linalg.eigvalsh(x.T.cov()).flip(0)
        cases.append(Case((x,), variances / variances.sum(), hint))
    check_function(answer, cases)


# --- Lesson 7 --------------------------------------------------------------------------------------------------------


def occlusion_drops(answer: Callable) -> None:
    """Checks ``answer(score, picture, size, stride, value)``: the drops of a score under a covering square."""

    def weigh(picture: Tensor) -> Tensor:
        return (picture * torch.arange(1.0, picture.numel() + 1).view(picture.shape)).sum()

    def drops(picture: Tensor, size: int, stride: int, value: float) -> Any:
        before = picture.clone()
        got = answer(weigh, picture, size, stride, value)
        changed = isinstance(got, Tensor) and not torch.equal(picture, before)
        return "a picture that is no longer the same: cover a copy of it, picture.clone()" if changed else got

    cases, generator = [], torch.Generator().manual_seed(0)
    for shape, size, stride, value, hint in (
        ((1, 2, 2), 2, 1, 0.0, "One place. The drop is the score before, less the score when covered."),
        ((1, 2, 2), 1, 1, 0.5, "Put value into the square, and cover one place at a time."),
        ((3, 8, 6), 3, 2, 0.5, "All channels are covered; a square that would stick out is left out."),
    ):
        picture = torch.rand(shape, generator=generator)
        products = (picture - value) * torch.arange(1.0, picture.numel() + 1).view(shape)
        expected = conv2d(products.sum(0)[None, None], torch.ones(1, 1, size, size), stride=stride)[0, 0]
        cases.append(Case((picture, size, stride, value), expected, hint))
    check_function(drops, cases)


def guided_rule(answer: Callable) -> None:
    """Checks ``answer(gradient, x)``, what guided backpropagation hands down at a ReLU with the input ``x``."""
    cases = []
    for gradient, x, expected, hint in (
        ([1.0, 2.0], [3.0, -1.0], [1.0, 0.0], "Nothing passes where the input was not positive."),
        ([1.0, -2.0], [3.0, 2.0], [1.0, 0.0], "A negative gradient never passes."),
        ([[-1.0, 2.0], [0.5, 3.0]], [[-2.0, -1.0], [4.0, 0.0]], [[0.0, 0.0], [0.5, 0.0]], "0 is not positive."),
    ):
        cases.append(Case((torch.tensor(gradient), torch.tensor(x)), torch.tensor(expected), hint))
    check_function(answer, cases)


def grad_cam_map(answer: Callable) -> None:
    """Checks ``answer(maps, gradient)``: the maps' weighted sum, and what is negative cut off."""
    maps = torch.tensor([[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [0.0, 1.0]]])
    slope = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    cases = []
    for gradient, hint in (
        (torch.ones(2, 2, 2), "With all gradients 1, it is the sum of the maps."),
        (torch.stack([slope, 2 * slope]), "One weight for each map: the mean of its gradients over all places."),
        (torch.stack([slope, -slope]), "What is negative in the sum, not in the weights, is cut off."),
    ):
        cases.append(Case((maps, gradient), (gradient.mean((1, 2))[:, None, None] * maps).sum(0).relu(), hint))
    check_function(answer, cases)


def sign_step(answer: Callable) -> None:
    """Checks ``answer(picture, gradient, epsilon)``: each pixel by epsilon uphill on the loss, within [0, 1]."""
    cases = []
    for picture, gradient, hint in (
        ([0.5, 0.5], [2.0, -0.01], "Each pixel moves by epsilon, whatever the gradient's size; up where it is > 0."),
        ([0.99, 0.02], [1.0, -3.0], "Stay within 0 and 1."),
        ([0.3, 0.7], [0.0, 1.0], "Where the gradient is 0, nothing moves."),
    ):
        moved = [min(max(p + 0.1 * ((g > 0) - (g < 0)), 0), 1) for p, g in zip(picture, gradient, strict=True)]
        cases.append(Case((torch.tensor(picture), torch.tensor(gradient), 0.1), torch.tensor(moved), hint))
    check_function(answer, cases)


# --- Lesson 8 --------------------------------------------------------------------------------------------------------


def total_variation(answer: Callable) -> None:
    """Checks ``answer(picture)``, ``(C, H, W)``: mean square of the differences to the right, plus of those down."""
    cases = []
    for picture, expected, hint in (
        (
            [[[1.0, 1.0], [1.0, 1.0]]],
            0.0,
            "Where all pixels are equal, nothing differs. The first axis is the channels.",
        ),
        ([[[0.0, 3.0, 3.0], [0.0, 3.0, 3.0]]], 4.5, "Squares; a mean for each direction; nothing across the edge."),
        ([[[0.0, 1.0, 1.0], [2.0, 1.0, 1.0]]], 11 / 6, "The mean is 2/4 across and 4/3 down."),
        ([[[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]], 0.5, "Channels are not neighbours of each other."),
    ):
        cases.append(Case((torch.tensor(picture),), expected, hint))
    check_function(answer, cases)


def octave_sizes(answer: Callable) -> None:
    """Checks ``answer(height, width, octaves, scale)``: a list of (rows, columns), the smallest first."""
    cases = []
    for height, width, octaves, scale, hint in (
        (100, 200, 1, 2, "One octave is the picture at its own size, (rows, columns): the height first."),
        (100, 200, 3, 2, "The smallest first, each scale times as large as the one before, the full size last."),
        (160, 240, 4, 1.4, "Divide the full size by a power of scale, and round once, at the end."),
    ):
        sizes = [(round(height / scale**k), round(width / scale**k)) for k in reversed(range(octaves))]
        cases.append(Case((height, width, octaves, scale), sizes, hint))
    check_function(answer, cases)


def guide_objective(answer: Callable) -> None:
    """Checks ``answer(maps, guide)``, ``(C, H, W)`` and ``(C, h, w)``: best dot products with the guide, summed."""
    generator, cases = torch.Generator().manual_seed(8), []
    for size, guide_size, hint in (
        ((2, 1, 1), (2, 1, 1), "With one place each, it is the dot product over the channels."),
        ((2, 1, 1), (2, 1, 3), "Of the guide's places, the one whose dot product is largest: a maximum, not a sum."),
        ((3, 2, 4), (3, 3, 1), "Each place of the maps finds its own best place; then sum over the maps' places."),
    ):
        maps, guide = torch.randn(size, generator=generator), torch.randn(guide_size, generator=generator)
        best = torch.einsum("chw,cij->hwij", maps, guide).flatten(2).amax(dim=2).sum()
        cases.append(Case((maps, guide), best, hint))
    check_function(answer, cases)


def small_dream(answer: Callable) -> None:
    """Checks ``answer(maps_of, picture, steps, step_size)``: steps of equal size up half the squared norm of maps."""
    generator, cases = torch.Generator().manual_seed(8), []
    weight = torch.randn(4, 3, 3, 3, generator=generator)

    def maps_of(picture: Tensor) -> Tensor:
        return conv2d(picture, weight).relu()

    def dream(maps_of: Callable, picture: Tensor, steps: int, step_size: float) -> Any:
        before = picture.clone()
        got = answer(maps_of, picture, steps, step_size)
        if not isinstance(got, Tensor) or got.shape != before.shape:
            return got
        if not torch.equal(picture, before):
            return "a picture that has changed the one it was given: begin with picture.clone()"
        downhill = maps_of(got).square().sum() < maps_of(before).square().sum()
        return "a picture that lies downhill: add the gradient, do not subtract it" if downhill else got

    for size, steps, step_size, hint in (
        (
            *((3, 6, 6), 1, 0.01),
            "One step: follow the maps back to the picture, divide by the root mean square, times step_size, and add.",
        ),
        ((3, 7, 9), 4, 0.02, "Each step needs the maps and the gradient of the picture as it is by then."),
        ((3, 6, 6), 6, 0.2, "Keep the picture within [0, 1] after each step."),
    ):
        x = start = 0.3 + 0.4 * torch.rand(size, generator=generator)
        for _ in range(steps):
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(maps_of(x).square().sum() / 2, x)
            x = (x + step_size * slope / slope.square().mean().sqrt()).clamp(0, 1)
        cases.append(Case((maps_of, start, steps, step_size), x.detach(), hint))
    check_function(dream, cases)


# --- Lesson 9 --------------------------------------------------------------------------------------------------------


def gram_of_batch(answer: Callable) -> None:
    """Checks ``answer(maps)``, ``(N, C, H, W)`` to the Gram matrices ``(N, C, C)``, divided by C·H·W."""
    generator, cases = torch.Generator().manual_seed(9), []
    for shape, hint in (
        ((1, 1, 1, 2), "With one channel it is the mean of its squares."),
        ((1, 2, 2, 3), "Multiply two channels place by place and sum; then divide by C · H · W."),
        ((3, 4, 3, 5), "Each picture has a matrix of its own: keep N, and divide by C · H · W only."),
    ):
        maps = torch.randn(shape, generator=generator)
        cases.append(Case((maps,), torch.einsum("nihw,njhw->nij", maps, maps) / maps[0].numel(), hint))
    check_function(answer, cases)


def weighted_style_loss(answer: Callable) -> None:
    """Checks ``answer(grams, targets, weights)``, dictionaries by layer: the weighted mean of the relative losses."""
    near, far, big, cases = torch.eye(2), torch.tensor([[3.0, 1.0], [1.0, 0.0]]), torch.full((3, 3), 40.0), []
    for grams, targets, weights, hint in (
        ({"a": 0 * far}, {"a": far}, {"a": 1}, "With a Gram matrix of zeros, the relative loss is 1."),
        ({"a": near}, {"a": far}, {"a": 7}, "Divide by the sum of the weights."),
        ({"a": near, "b": 0.5 * big}, {"a": far, "b": big}, {"a": 1, "b": 3}, "Relative first, layer by layer."),
        ({"a": 5 * far, "b": near}, {"a": far, "b": far}, {"b": 2}, "A layer not in weights does not count."),
    ):
        losses = [w * mse_loss(grams[k], targets[k]) / targets[k].square().mean() for k, w in weights.items()]
        cases.append(Case((grams, targets, weights), sum(losses) / sum(weights.values()), hint))
    check_function(answer, cases)


def kept_colours(answer: Callable) -> None:
    """Checks ``answer(painted, photo)``, both ``(3, H, W)``: luma of one, chrominance of the other, in [0, 1]."""
    grey, red, cases = torch.full((3, 1, 1), 0.5), torch.tensor([0.6, 0.3, 0.3]).view(3, 1, 1), []
    for painted, photo, hint in (
        (grey, red, "The luma is that of the first picture, the chrominance that of the second."),
        (red, grey, "A grey photo has no chrominance: what was painted becomes grey."),
        (torch.ones(3, 1, 1), red, "Keep the result within [0, 1]."),
        (*torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(9)), ""),
    ):
        cases.append(Case((painted, photo), (to_gray(painted) + photo - to_gray(photo)).clamp(0, 1), hint))
    check_function(answer, cases)


def picture_step(answer: Callable) -> None:
    """Checks ``answer(loss_of, picture, rate)``: one step downhill on the picture, and nothing else changed."""
    weight = torch.linspace(-1, 2, 12, requires_grad=True)
    picture, start = torch.full((12,), 0.4), torch.full((12,), 0.4)

    def fault(got: Any, rate: float) -> str:
        if isinstance(got, Tensor) and got.requires_grad:
            return "gave a picture that still has a graph: detach it."
        if not torch.equal(picture, start) or picture.requires_grad:
            return "changed the picture it was given: work on picture.detach().clone()."
        if weight.grad is not None:
            return "left a gradient at the network's weights: torch.autograd.grad(loss, picture) stores none."
        wrong = difference(got, (start - rate * weight.detach()).clamp(0, 1))
        return wrong and f"with rate {rate} {wrong} Downhill: less rate times gradient, then within [0, 1]."

    for rate in (0.1, 1.0):
        weight.grad = None
        if not _verdict(partial(answer, lambda x: (weight * x).sum(), picture, rate), partial(fault, rate=rate)):
            return
    report(CORRECT, "a step downhill, within [0, 1], and nothing else has changed.")
