"""The engine of the exercise checks: it runs the reader's function on cases, and says what is wrong with it, and why.

A check never raises in a lesson, whatever it is given; with NBGRADER_EXECUTION set it raises on anything but correct.
"""

import contextlib
import copy
import functools
import inspect
import io
import os
import random
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from helpers.hooks import no_autocast
from helpers.lessons import progress

CORRECT, NOT_YET, NOT_ATTEMPTED = "Correct", "Not yet", "Not attempted yet"
STUB = "the function gives nothing back so far (is there a return?)."
SEED = 6_814_077  # nobody else's, so that a seed set by an answer is noticed


@dataclass(frozen=True)
class Case:
    """Arguments for the reader's function, and what to say where this is the first case that fails."""

    arguments: Sequence[Any]
    hint: str = ""


@dataclass
class Outcome:
    """What came of one call: a value, or the error in words, or what was changed that should have stayed."""

    value: Any = None
    error: str = ""
    change: str = ""
    printed: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether the function ran, and gave nothing back."""
        return not self.error and (self.value is None or self.value is ...)


class UnusableResult(Exception):
    """A result that cannot be compared with numbers; the message ends a sentence that begins with "your function"."""


class NotCorrect(AssertionError):
    """What a check raises where exercises are graded."""


# --- The numbers in cases, and others in grading ----------------------------------------------------------------------

_other_seed = 0  # of the cases that only grading tries; 0 for those that a lesson shows


@contextlib.contextmanager
def other_cases(seed: int) -> Iterator[None]:
    """Inside, checks try other cases than a lesson shows, so an answer that only knows those is found out.

    Random numbers are drawn from other seeds, and what a lesson writes down by hand is followed by drawn cases.

    Args:
        seed: 1 or more; the same cases for the same seed.

    Raises:
        ValueError: the seed is less than 1.
    """
    global _other_seed
    if seed < 1:
        raise ValueError(f"seed must be 1 or more, not {seed!r:.60}")
    before, _other_seed = _other_seed, seed
    try:
        yield
    finally:
        _other_seed = before


def generator(seed: int) -> torch.Generator:
    """Where a check draws the numbers of its cases from; the same each time, and others inside ``other_cases``."""
    return torch.Generator().manual_seed(seed + 1_000_003 * _other_seed)


def normal(*shape: int) -> Tensor:
    """Standard normal numbers for the arguments of a case; the same for the same sum of sizes."""
    return torch.randn(shape, generator=generator(sum(shape)), dtype=torch.float32)


def integer(low: int, high: int, draw: torch.Generator) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=draw))


def drawn(arguments: Callable[[torch.Generator], Sequence[Any]], count: int = 8) -> list[Case]:
    """Cases with drawn arguments, inside ``other_cases``; outside of it there are none."""
    draw = generator(0)
    return [Case(arguments(draw)) for _ in range(count)] if _other_seed else []


# --- Verdicts ---------------------------------------------------------------------------------------------------------


def report(verdict: str, detail: str = "") -> None:
    """Print a verdict, ten lines at most; where exercises are graded, raise on anything but correct."""
    if _other_seed and verdict != CORRECT:
        detail = f"{detail.strip()} (Grading tries other numbers than the lesson shows; these are set {_other_seed}.)"
    text = f"{verdict}: {detail.strip()}" if detail else f"{verdict}."
    text = "\n".join(line[:600] for line in text.splitlines()[:10]).encode(errors="replace").decode()
    if os.environ.get("NBGRADER_EXECUTION") and verdict != CORRECT:
        raise NotCorrect(text)
    print(text)
    if verdict == CORRECT:
        progress.note_check()


@contextlib.contextmanager
def _usual_modes() -> Iterator[None]:
    """Gradients as usual and no autocast, whatever the reader has switched on around a check."""
    with torch.inference_mode(False), torch.enable_grad(), no_autocast():
        yield


def never_raising(check: Callable[..., Any]) -> Callable[..., Any]:
    """For a check: whatever else an answer makes it raise is a verdict, too, and it has the usual modes."""

    @functools.wraps(check)
    def guarded(answer: Any, *arguments: Any, **options: Any) -> Any:
        try:
            with _usual_modes():
                return check(answer, *arguments, **options)
        except (KeyboardInterrupt, NotCorrect):
            raise
        except BaseException as error:
            return report(NOT_YET, f"the check cannot look at what it was given, or got ({_kind(error)}).")

    return guarded


@never_raising
def compare(
    answer: Any,
    reference: Callable[..., Any],
    cases: Sequence[Case],
    *,
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
    diagnose: Callable[..., str] | None = None,
) -> None:
    """Compare the reader's function with a reference on several cases, and report the first that fails, and why.

    Args:
        answer: the reader's function.
        reference: gives the right result for a case's arguments: numbers, a tensor, or a tuple of these.
        cases: the simplest first; each should ask for one thing more than those before it.
        mistakes: well-known ones: what to say of each, and a function that makes it. It is said where it gives the
            same results as the answer in all cases, or is the only one that explains the first case that fails.
        diagnose: called with the answer's result and the right one, both as tensors (or tuples of them), and the
            arguments of the first case that fails; gives what to say, or "".
    """
    if not is_function(answer):
        return
    outcomes = [run(answer, case.arguments) for case in cases]
    if all(outcome.is_missing and not outcome.change for outcome in outcomes):
        return report(NOT_ATTEMPTED, f"{STUB} It prints something: return it." if outcomes[0].printed else STUB)
    expected = [run(reference, case.arguments).value for case in cases]
    faults = [_fault(*pair) for pair in zip(outcomes, expected, strict=True)]
    failed = next((i for i, fault in enumerate(faults) if fault), None)
    if failed is None:
        return report(CORRECT, f"{len(cases)} of {len(cases)} cases.")
    case, outcome, reason = cases[failed], outcomes[failed], ""
    if outcome.error and all(each.error for each in outcomes):
        reason = case.hint
    elif not outcome.change and (outcome.error or _numbers(outcome.value) is not None):
        imitations = {say: [_imitate(make, case.arguments) for case in cases] for say, make in (mistakes or {}).items()}
        reason = (
            _known_mistake(imitations, outcomes, faults)
            or _safely(diagnose, outcome.value, expected[failed], case.arguments)
            or _relation(outcomes, expected, failed)
            or case.hint
        )
    printed = f"\nIt printed: {outcome.printed[:200]}" if outcome.printed else ""
    report(NOT_YET, f"with {_written_call(answer, case)}, your function {faults[failed]} {reason}{printed}")


@never_raising
def judge(answer: Any, arguments: Sequence[Any], fault_of: Callable[[Any], str], hint: str = "") -> bool:
    """Call the reader's function once, and report what ``fault_of`` finds in its result; True where it finds nothing.

    It serves results that no reference can give, such as random ones. The hint is given where the function raises.
    """
    if not is_function(answer):
        return False
    outcome = run(answer, arguments)
    fault = outcome.change or (outcome.error and f"{outcome.error} {hint}")
    if outcome.is_missing and not fault:
        report(NOT_ATTEMPTED, STUB)
        return False
    try:
        fault = fault or fault_of(outcome.value)
    except UnusableResult as error:
        fault = str(error)
    except Exception as error:
        fault = f"gave {_kind(outcome.value)}, which cannot be judged ({type(error).__name__})."
    if fault:
        report(NOT_YET, f"your function {fault}")
    return not fault


def is_function(answer: Any) -> bool:
    """Whether a function was given; if not, what was given is reported."""
    if answer is None or answer is ...:
        report(NOT_ATTEMPTED)
    elif issubclass(type(answer), type | nn.Module) or not callable(answer):
        report(NOT_YET, f"the check was given {_kind(answer)}; give it your function, without calling it.")
    else:
        return True
    return False


def own_random_state(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """For a check that makes networks: their weights are the same each time, and the reader's random numbers stay."""

    @functools.wraps(check)
    def seeded(answer: Any) -> None:
        with torch.random.fork_rng(devices=[]), _usual_modes():
            torch.manual_seed(generator(0).initial_seed())
            check(answer)

    return seeded


# --- Running the reader's function ------------------------------------------------------------------------------------


def run(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    observe: Callable[..., Any] | None = None,
    may_change: Sequence[int] = (),
) -> Outcome:
    """Call a function on copies of the arguments, and see what comes of it. Random states are left as they were."""
    given, printed, outcome = copy.deepcopy(tuple(arguments)), _Printed(), Outcome()
    names = _names(function, given) or [f"argument {i + 1}" for i in range(len(given))]
    kept = [named for i, named in enumerate(zip(names, given, strict=True)) if i not in may_change]
    before = [trace for name, value in kept for trace in _traces(name, value)]
    with _settings_restored() as changes, contextlib.redirect_stdout(printed):
        try:
            outcome.value = function(*given)
            if observe and not outcome.is_missing:
                outcome.value = observe(outcome.value, *given)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, and whatever people derive from it
            outcome.error = _raised(error, function, given)
    outcome.printed = printed.getvalue().strip()
    try:
        after = [trace for name, value in kept for trace in _traces(name, value)]
        changes += [say for (say, old), (_, new) in zip(before, after, strict=False) if not _same(old, new)]
    except Exception:  # a model on the meta device, a list that holds itself
        changes.append("changes what it was given into something that cannot be compared: work on a copy.")
    outcome.change = changes[0] if changes and not outcome.error else ""
    return outcome


class _Printed(io.StringIO):
    def close(self) -> None:
        """Nothing: an answer may close what it prints to, and what it printed is still wanted."""


def _set_warning_filters(filters: list) -> None:
    warnings.resetwarnings()
    warnings.filters[:] = filters  # type: ignore[index]


# Settings of the whole program that an answer may change: how each is read, and put back.
SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda modes: torch.autograd.set_detect_anomaly(*modes),
    ),
    (torch.get_num_threads, torch.set_num_threads),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (np.geterr, lambda modes: np.seterr(**modes)),
    (lambda: list(warnings.filters), _set_warning_filters),
)


@contextlib.contextmanager
def _settings_restored() -> Iterator[list[str]]:
    """Random states and the program's switches are put back afterwards; the list says which must not be changed."""
    changes: list[str] = []
    states, settings = (random.getstate(), np.random.get_state()), [read() for read, _ in SETTINGS]
    with torch.random.fork_rng(devices=[]), _usual_modes():
        torch.manual_seed(SEED)
        try:
            yield changes
        finally:
            if torch.initial_seed() != SEED:
                changes.append("sets the random seed of the whole program: leave torch.manual_seed to the caller.")
            if not torch.is_grad_enabled():
                changes.append("leaves gradients switched off: `with torch.no_grad():` puts it back at its end.")
            random.setstate(states[0])
            np.random.set_state(states[1])
            for (read, put_back), setting in zip(SETTINGS, settings, strict=True):
                if read() != setting:
                    put_back(setting)


def _traces(name: str, argument: Any) -> Iterator[tuple[str, Any]]:
    """What of an argument should stay as it is, each with what to say where it does not."""

    def copied(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
        return [None if tensor is None else tensor.detach().clone() for tensor in tensors]

    if isinstance(argument, Tensor):
        yield f"changes {name}, which it was given: work on a copy, {name}.clone().", copied([argument])
        yield f"sets requires_grad on {name}: work on {name}.detach().clone().", argument.requires_grad
        yield f"leaves a gradient in {name}: torch.autograd.grad gives one without storing it.", copied([argument.grad])
    elif isinstance(argument, nn.Module):
        modules, parameters = list(argument.modules()), list(argument.parameters())
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in modules]
        yield f"leaves {name} with another number of hooks: remove yours, handle.remove(), and no other.", hooks
        modes = [module.training for module in modules]
        yield f"leaves {name} in another mode: put train() or eval() back to what it was.", modes
        yield f"changes the weights of {name}.", copied(list(argument.state_dict().values()))
        asking = [parameter.requires_grad for parameter in parameters]
        yield f"changes requires_grad of the weights of {name}: put it back to what it was.", asking
        gradients = copied([parameter.grad for parameter in parameters])
        yield f"leaves gradients at the weights of {name}: torch.autograd.grad gives one without storing it.", gradients
    elif isinstance(argument, dict):
        yield from _traces(name, [*argument, *argument.values()])
    elif isinstance(argument, list | tuple):
        yield f"changes {name}, which it was given: work on a copy of it.", len(argument)
        for value in argument:
            yield from _traces(name, value)
    elif isinstance(argument, int | float | str):
        yield f"changes {name}, which it was given: work on a copy of it.", argument


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(*pair) for pair in zip(old, new, strict=True))
    if isinstance(old, Tensor) and isinstance(new, Tensor):
        return old.shape == new.shape and torch.equal(old, new)
    return type(old) is type(new) and old == new


def _names(function: Callable[..., Any], arguments: Sequence[Any]) -> list[str]:
    """The names that the reader gave the parameters; none where the arguments do not fit, or names cannot be had."""
    try:
        names = list(inspect.signature(function).bind(*arguments).arguments)
    except Exception:  # an object may raise whatever it likes when it is asked
        return []
    return names if len(names) == len(arguments) else []


def _raised(error: BaseException, function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    """The error in words, with the reader's own line."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return f"cannot be called with {len(arguments)} arguments: leave the parameters of the stub as they are."
    except Exception:  # a built-in function, or an object that raises whatever it likes when it is asked
        pass
    try:
        file = function.__code__.co_filename
    except Exception:
        file = None
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file and frame.line]
    try:
        text = " ".join(str(error).split())[:300]
    except (Exception, SystemExit):
        text = "an error that cannot be written"
    where = f" in the line `{lines[-1][:80]}`" if lines else ""
    graph = " What it was computed from needs requires_grad_()." if "does not require grad" in text else ""
    return f"raised {type(error).__name__}{where}{': ' if text else ''}{text}.{graph}"


# --- Comparing --------------------------------------------------------------------------------------------------------


def to_numbers(value: Any) -> Tensor:
    """A result as a tensor in float64: from a tensor of any precision, a NumPy array, a number, or a list of these.

    Raises:
        UnusableResult: it is something else; the message says what.
    """
    if isinstance(value, Tensor):
        if value.layout is not torch.strided or value.is_quantized:
            raise UnusableResult("gave a sparse or quantised tensor; give a plain one (to_dense()).")
        if value.device.type != "cpu":
            raise UnusableResult(f"gave a tensor on the device {value.device}; give it on the CPU.")
        if value.is_complex():
            raise UnusableResult("gave complex numbers; expected real ones.")
        return value.detach().double()
    if isinstance(value, int | float | np.number | np.ndarray) and not isinstance(value, bool):
        array = np.asarray(value)
        if array.dtype.kind not in "iufb":
            raise UnusableResult(f"gave numbers of the type {array.dtype}; expected real ones.")
        return torch.from_numpy(array.astype(np.float64))
    if isinstance(value, list | tuple):
        with contextlib.suppress(ValueError, TypeError, RuntimeError):  # a long list of plain numbers, at once
            if (array := np.asarray(value)).dtype.kind in "iuf":
                return torch.from_numpy(array.astype(np.float64))
        parts = [to_numbers(part) for part in value]
        if len({part.shape for part in parts}) > 1:
            raise UnusableResult(f"gave {_kind(value)} whose parts have different shapes.")
        return torch.stack(parts) if parts else torch.zeros(0, dtype=torch.float64)
    raise UnusableResult(f"gave {_kind(value)}; expected {'a number' if isinstance(value, bool) else 'numbers'}.")


def _both(got: Any, expected: Any) -> tuple[Any, Any]:
    """Both results as tensors, or as tuples of tensors where the expected one is a tuple."""
    if not isinstance(expected, tuple):
        return to_numbers(got), to_numbers(expected)
    if not isinstance(got, list | tuple) or len(got) != len(expected):
        count = f"{len(got)} results" if isinstance(got, list | tuple) else "one result"
        raise UnusableResult(f"gave {count}; expected {len(expected)}, with commas between them.")
    return tuple(map(to_numbers, got)), tuple(map(to_numbers, expected))


def _fault(outcome: Outcome, expected: Any) -> str:
    """What is wrong with an outcome, as the end of a sentence that begins with "your function"; "" if nothing is."""
    if outcome.is_missing and not outcome.change:
        return "gave nothing back, which it did in other cases: one of its branches has no return."
    return outcome.change or outcome.error or difference(outcome.value, expected)


def difference(got: Any, expected: Any) -> str:
    """How a result differs from the expected one in words; "" where they are the same but for rounding."""
    half = (torch.float16, torch.bfloat16, np.dtype(np.float16))
    try:
        actual, wanted = _both(got, expected)
        if not isinstance(wanted, tuple):
            return _difference(actual, wanted, 2e-2 if getattr(got, "dtype", None) in half else 1e-4)
        parts = [_difference(*pair, 1e-4) for pair in zip(actual, wanted, strict=True)]
        return next((f"{part} (the {('first', 'second')[i]} result)" for i, part in enumerate(parts[:2]) if part), "")
    except UnusableResult as error:
        return str(error)
    except Exception as error:  # an object that cannot even be looked at
        return f"gave {_kind(got)}, which cannot be compared with numbers ({type(error).__name__})."


def _difference(got: Tensor, wanted: Tensor, tolerance: float) -> str:
    if got.shape != wanted.shape:
        shapes = [f"the shape {tuple(x.shape)}" if x.ndim else "a single number" for x in (got, wanted)]
        return f"gave {shapes[0]}; expected {shapes[1]}."
    if not got.isfinite().all() and wanted.isfinite().all():
        return f"gave {'NaN' if got.isnan().any() else 'infinity'}; expected finite numbers only."
    wrong = ~torch.isclose(got, wanted, rtol=tolerance, atol=tolerance * _largest(wanted), equal_nan=True)
    if not wrong.any():
        return ""
    if wanted.numel() <= 8:
        return f"gave {_written(got)}; expected {_written(wanted)}."
    place = tuple(wrong.nonzero()[0].tolist())
    numbers = f"at {list(place)} there is {got[place]:.6g}; expected {wanted[place]:.6g}"
    return f"gave the right shape, but {int(wrong.sum())} of {wrong.numel()} values are off: {numbers}."


def _largest(numbers: Tensor) -> float:
    """The largest finite absolute value; 1 where there is none above zero."""
    finite = numbers[numbers.isfinite()].abs()
    return (finite.max().item() if finite.numel() else 0) or 1.0


# --- Explaining -------------------------------------------------------------------------------------------------------


def _imitate(make: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
    try:
        return Outcome(make(*copy.deepcopy(tuple(arguments))))
    except Exception as error:
        return Outcome(error=f"raised {type(error).__name__}")


def _numbers(value: Any) -> Tensor | None:
    """All numbers of a result in a row; None for a result that is no numbers."""
    try:
        parts = [to_numbers(part).flatten() for part in (value if isinstance(value, tuple) else (value,))]
    except Exception:
        return None
    return torch.cat(parts)


def _known_mistake(
    imitations: Mapping[str, Sequence[Outcome]], outcomes: Sequence[Outcome], faults: Sequence[str]
) -> str:
    """What to say of the mistake that gives the same results.

    Where none gives all of them, it is the one that alone explains the first failed case; a single number may agree by
    chance, and has to do so in two failed cases. An error in that case explains nothing: many mistakes end in one.
    """

    def agree(outcome: Outcome, imitation: Outcome) -> bool:
        if outcome.error or imitation.error:
            return bool(outcome.error and imitation.error)
        return not difference(outcome.value, imitation.value)

    failed = [i for i, fault in enumerate(faults) if fault]
    first = None if outcomes[failed[0]].error else _numbers(outcomes[failed[0]].value)
    enough = 1 if first is not None and len(first) > 2 else 2
    agreements = {say: [agree(*p) for p in zip(outcomes, made, strict=True)] for say, made in imitations.items()}
    everywhere = [say for say, agreed in agreements.items() if all(agreed)]
    here = [say for say, agreed in agreements.items() if agreed[failed[0]] and sum(agreed[i] for i in failed) >= enough]
    is_clear = len(here) == 1 and not outcomes[failed[0]].error
    return everywhere[0] if everywhere else here[0] if is_clear else ""


def _safely(diagnose: Callable[..., str] | None, got: Any, expected: Any, arguments: Sequence[Any]) -> str:
    try:
        return diagnose(*_both(got, expected), *copy.deepcopy(tuple(arguments))) if diagnose else ""
    except Exception:  # a result of another shape than the diagnosis reckons with
        return ""


def _relation(outcomes: Sequence[Outcome], expected: Sequence[Any], failed: int) -> str:
    """What is the same between all results and the expected ones, where that explains the difference."""
    try:
        first = _numbers(expected[0])
        if failed and first is not None and len(first) > 2 and not difference(outcomes[failed].value, expected[0]):
            return "This is the result of the first call: does something live on, such as a list as default argument?"
        pairs = [_both(outcome.value, wanted) for outcome, wanted in zip(outcomes, expected, strict=True)]
        if all(got.ndim == 2 and not difference(got.T, wanted) for got, wanted in pairs):
            return "Rows and columns are exchanged (.T)."
        if all(not difference(got.squeeze(), wanted.squeeze()) for got, wanted in pairs):
            return "The numbers are right; an axis of length 1 is too many, or missing (squeeze, unsqueeze, keepdim)."
        got, wanted = (torch.cat([pair[i].flatten() for pair in pairs]) for i in (0, 1))
        ratio = (got / wanted)[wanted.abs() > 1e-6 * _largest(wanted)]
        if len(wanted.unique()) > 2 and not difference(got, ratio.median() * wanted) and abs(ratio.median() - 1) > 1e-3:
            factor = ratio.median().item()
            return "The sign is wrong." if abs(factor + 1) < 1e-3 else f"It is {factor:.4g} times what is expected."
    except Exception:  # shapes that do not go together, tuples, no numbers at all
        pass
    return ""


# --- In words ---------------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    kind = type(value)  # isinstance would ask the object itself, which may raise
    if value is None or issubclass(kind, bool | str):
        return "text" if issubclass(kind, str) else repr(value)
    if issubclass(kind, type):
        return f"the class {value.__name__}"
    name = kind.__name__ or "object without a name"
    return f"a{'n' if name[0] in 'aeioAEIO' else ''} {name}"


def _written(value: Any) -> str:
    """An argument or a small result as it may stand in a sentence."""
    if isinstance(value, Tensor) and value.numel() <= 9 and not value.is_complex():
        numbers = value.item() if value.ndim == 0 else value.double().round(decimals=4).tolist()
        return f"{numbers:.6g}" if value.ndim == 0 else str(numbers).replace(".0,", ",").replace(".0]", "]")
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"[:200]
    return repr(value) if isinstance(value, int | float | str) else getattr(value, "__name__", _kind(value))


def _written_call(answer: Callable[..., Any], case: Case) -> str:
    words = [_written(argument) for argument in case.arguments]
    names = _names(answer, case.arguments)
    return ", ".join(f"{name}={word}" for name, word in zip(names, words, strict=True)) if names else ", ".join(words)
