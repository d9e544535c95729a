"""Looking into a network while it computes, and changing how.

- :func:`recording` and :func:`run_to` keep the outputs of layers; the second stops as soon as it has them.
- :func:`inference` and :func:`gradients` put the model into evaluation mode for a while.
- :class:`ReLURule` changes what all ReLUs pass back; the rules themselves are ``attribution.RULES``.

All of them change the model while they work and put it back afterwards, so one thread at a time may use a model.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@contextmanager
def no_autocast() -> Iterator[None]:
    """Autocast is off, also where someone around has turned it on."""
    with ExitStack() as stack:
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and its parameters without gradients; each put back afterwards to what it was.

    Autocast is off inside: what precision is used is decided there, not by someone around.
    """
    check_model(model)
    modes = [(module, "training", module.training) for module in model.modules()]
    flags = [(p, "requires_grad", p.requires_grad) for p in model.parameters() if not p.is_inference()]
    try:
        for owner, name, _ in (*modes, *flags):
            setattr(owner, name, False)
        with no_autocast():
            yield
    finally:
        try:
            _put_back(*modes, *flags)
        except KeyboardInterrupt:  # in the middle of it
            _put_back(*modes, *flags)
            raise


def _put_back(*attributes: tuple[object, str, bool]) -> None:
    for owner, name, value in attributes:
        setattr(owner, name, value)


def check_model(model: nn.Module) -> None:
    """Refuse what is no network, in a sentence."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a network, a torch.nn.Module, not {model!r:.60}")


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and no gradients; each module is put back to its own mode afterwards."""
    with _evaluation(model), torch.no_grad():
        yield


@contextmanager
def gradients(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, to be differentiated by its input, not its weights; put back afterwards.

    Gradients are on inside, also where someone around has turned them off.

    Raises:
        ValueError: the model was made under ``torch.inference_mode()``, and nothing can be differentiated through it.
    """
    check_model(model)
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise ValueError("model was made under torch.inference_mode(), which gradients cannot pass: make it outside")
    with _evaluation(model), torch.inference_mode(False), torch.enable_grad():
        yield


class _Complete(Exception):
    """The forward pass has come as far as it is wanted."""


@contextmanager
def recording(model: nn.Module, layers: Sequence[str], stop: bool = False) -> Iterator[dict[str, Tensor]]:
    """Inside, each forward pass fills the dictionary anew with the outputs of the named layers.

    They are the layers' own outputs, also where the next layer works in place, and part of the graph that
    gradients flow through. A layer that is used again in the same pass gives ``name#2``, ``name#3`` and so on.
    The hooks are gone afterwards. Lesson 5 sets one by hand.

    Args:
        model: any network.
        layers: names as in ``model.named_modules()``, also with the number of a further use.
        stop: whether the pass, and what stands in the context after it, ends as soon as all outputs are there.

    Raises:
        ValueError: the model has no layer of that name.
        TypeError: a layer gives something else than one tensor.
    """
    check_model(model)
    layers, outputs = list(layers), dict[str, Tensor]()

    def keep(name: str):
        def hook(_module, _inputs, output):
            if not isinstance(output, Tensor):
                raise TypeError(f"layer {name!r} gives a {type(output).__name__}, and one tensor is wanted")
            uses = sum(key.partition("#")[0] == name for key in outputs)
            outputs[f"{name}#{uses + 1}" if uses else name] = output
            if stop and outputs.keys() >= set(layers):
                raise _Complete
            return output.clone()  # or an in-place layer after this one would change what was recorded

        return hook

    found = {str(name).partition("#")[0]: find_layer(model, name) for name in layers}
    handles = [model.register_forward_pre_hook(lambda *_: outputs.clear())]
    try:
        handles += [layer.register_forward_hook(keep(name)) for name, layer in found.items()]
        with suppress(_Complete):
            yield outputs
    finally:
        for handle in handles:
            handle.remove()


def run_to(model: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The outputs of the named layers, as :func:`recording` gives them, from a pass that ends when all are there.

    Args:
        model: any network.
        x: what it takes, ``(N, C, H, W)``.
        layers: as in :func:`recording`.

    Raises:
        ValueError: no such layer, or the forward pass does not use it.
        ValueError: gradients are wanted of x, and none pass from a layer to it.
        TypeError: a layer gives something else than one tensor.
    """
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        example = layers if isinstance(layers, str) else "features.0"
        raise ValueError(f"layers must be a list of names, such as [{example!r}], not {layers!r:.60}")
    if not isinstance(x, Tensor):
        raise ValueError(f"x must be a tensor, such as images (N, C, H, W), not {x!r:.60}")
    layers = list(layers)
    with recording(model, layers, stop=True) as outputs:
        model(x)
    found = {name: output_of(outputs, name) for name in layers}
    for name, output in found.items():
        if torch.is_grad_enabled() and x.requires_grad and not output.requires_grad:
            raise ValueError(
                f"no gradients pass from layer {name!r} to the image: the model computes it under no_grad, or detached"
            )
    return found


def output_of(outputs: Mapping[str, Tensor], name: str) -> Tensor:
    """One of the outputs that were recorded, if the forward pass came by that layer."""
    if name not in outputs:
        raise ValueError(f"the forward pass does not use the layer {name!r}")
    return outputs[name]


def maps_of(outputs: Mapping[str, Tensor], layer: str) -> Tensor:
    """The output of a layer that must give maps, ``(N, C, H, W)``."""
    maps = output_of(outputs, layer)
    if maps.ndim != 4:
        raise ValueError(f"layer must give maps (N, C, H, W), and {layer!r} gives {tuple(maps.shape)}")
    return maps


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The layer of that name; the error for a wrong one names those that are spelt nearly so, or the upper ones."""
    check_model(model)
    if not isinstance(name, str):
        raise ValueError(f"a layer is named by text, such as 'features.0', not by {name!r:.60}")
    name = name.partition("#")[0]
    try:
        return model.get_submodule(name)
    except AttributeError:
        known = [layer for layer, _ in model.named_modules() if layer]
        near = difflib.get_close_matches(name, known) or [layer for layer in known if layer.count(".") < 2]
        raise ValueError(f"{type(model).__name__} has no layer {name!r}; it has {', '.join(near)}") from None


def dummy_input(model: nn.Module, shape: Sequence[int]) -> Tensor:
    """A black image ``(1, C, H, W)``, where the model's weights are and in their precision."""
    if not isinstance(shape, Sequence) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"the shape of an image is whole numbers above 0, such as (3, 224, 224), not {shape!r:.60}")
    return weight_of(model).new_zeros(1, *shape)


def weight_of(model: nn.Module) -> Tensor:
    """One of the model's weights, to see where they are and in which precision; for one without weights a 0."""
    check_model(model)
    zero = torch.zeros((), dtype=torch.float32)  # whatever the default is
    return next((weight for weight in model.parameters() if weight.is_floating_point()), zero)


Rule = Callable[[Tensor, Tensor], Tensor]


class _RuledReLU(torch.autograd.Function):
    """ReLU forward; a rule of one's own backward."""

    @staticmethod
    def forward(ctx, x: Tensor, rule: Rule) -> Tensor:
        ctx.rule = rule
        ctx.save_for_backward(x > 0)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (positive,) = ctx.saved_tensors
        return ctx.rule(gradient, positive), None


class ReLURule(TorchFunctionMode):
    """A context in which every ReLU, in whichever way it is called, passes back what a rule says.

    Args:
        rule: from the gradient that comes from above, and where the ReLU's input was positive, to what it passes back;
            all three have the shape of that input.

    Attributes:
        count: how many ReLUs ran inside.
        others: names of the other activation functions that ran inside; to these the rule does not apply.
    """

    # Not sigmoid, tanh nor their like, which serve as gates and as last layers beside ReLUs.
    OTHERS = (
        *("leaky_relu", "relu6", "hardtanh", "elu", "selu", "gelu", "silu", "hardswish", "prelu", "softplus", "celu"),
        *("mish", "rrelu", "threshold", "softsign", "hardshrink", "softshrink", "tanhshrink"),
    )

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule, self.count, self.others = rule, 0, set[str]()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.__name__, kwargs or {}
        if name.strip("_") in self.OTHERS:
            self.others.add(name.strip("_"))
        if name not in ("relu", "relu_"):
            return func(*args, **kwargs)
        self.count += 1
        arguments = [*args, *kwargs.values()]  # the tensor, and for the function of torch.nn whether in place
        result = _RuledReLU.apply(arguments[0], self.rule)
        return arguments[0].copy_(result) if name == "relu_" or any(arguments[1:]) else result
