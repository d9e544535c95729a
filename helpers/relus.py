"""ReLUs with a rule of one's own for the way back: lesson 7 compares three."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

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


class ReLUs(TorchFunctionMode):
    """A context in which every ReLU, in whichever way it is called, hands down what a rule says.

    Args:
        rule: from the gradient that comes from above, and where the ReLU's input was positive, to what it hands down;
            all three have the shape of that input.

    Attributes:
        met: how many ReLUs ran inside.
        relatives: names of the other functions of their kind that ran inside; to these the rule does not apply.
    """

    ANEW = (F.relu, torch.relu, Tensor.relu)
    IN_PLACE = (torch.relu_, Tensor.relu_)
    RELATIVES = (F.leaky_relu, F.relu6, F.hardtanh, F.elu, F.selu, F.gelu, F.silu, F.hardswish, F.prelu, F.softplus)

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule, self.met, self.relatives = rule, 0, set[str]()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.RELATIVES:
            self.relatives.add(func.__name__)
        if func not in (*self.ANEW, *self.IN_PLACE):
            return func(*args, **kwargs)
        self.met += 1
        arguments = [*args, *kwargs.values()]  # the tensor, and for the function of torch.nn whether in place
        result = _RuledReLU.apply(arguments[0], self.rule)
        return arguments[0].copy_(result) if func in self.IN_PLACE or any(arguments[1:]) else result
