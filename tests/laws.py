"""Laws that every public function keeps, whatever it computes, and what is needed to check them.

A case says how to draw valid arguments for a function. The function then must leave its arguments and the surroundings
as they were (random states, modes, hooks, default dtype, number of threads), give finite values where its arguments
are, and give the same again: for the same arguments, for a copy in another memory layout, with gradients asked for,
and without any.
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from draws import DEVICES, FLOATS, Draw
from torch import nn
from torch.testing import assert_close

CASES = {}


class Call(NamedTuple):
    """Arguments of one call, and how to make it where a plain call is not all."""

    args: tuple
    kwargs: dict
    use: Any = None

    def make(self, function):
        """Return the result, lists for what is yielded."""
        result = self.use(function, *self.args, **self.kwargs) if self.use else function(*self.args, **self.kwargs)
        return list(result) if isinstance(result, Iterator) else result


def call(*args, use=None, **kwargs):
    return Call(args, kwargs, use)


class Case(NamedTuple):
    """How a function is called, and what of the laws it cannot keep, each by its documentation."""

    function: Any
    draw: Any
    dtypes: tuple = FLOATS
    devices: tuple = ("cpu",)
    finite: bool = True  # False: NaN or infinity is a documented result
    writes: tuple = ()  # places of the arguments that the function is there to change
    strided: bool = True  # False: a copy of the arguments in another layout is refused or changes the draws
    grad: bool = True  # False: takes no tensors that ask for gradients
    trains: bool = False  # needs gradients, and says so where there are none
    heavy: bool = False  # takes seconds: left to the long test
    tolerance: float | None = None  # of the comparisons between layouts and modes, relative


def case(function, **options):
    """Register how to draw the arguments of a public function."""

    def register(draw):
        if options.pop("anywhere", False):
            options["devices"] = tuple(DEVICES)
        name = f"{function.__module__.removeprefix('actlib.')}.{function.__qualname__}"
        assert name not in CASES, f"{name} has two cases"
        CASES[name] = Case(function, draw, **options)
        return draw

    return register


def mapped(change, x):
    """Return ``x`` with ``change`` applied to all tensors, arrays, networks and generators in it."""
    if isinstance(x, torch.Tensor | np.ndarray | nn.Module | torch.Generator | np.random.Generator):
        return change(x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(mapped(change, value) for value in x))
    if isinstance(x, tuple | list):
        return type(x)(mapped(change, value) for value in x)
    if isinstance(x, Mapping):
        return type(x)((name, mapped(change, value)) for name, value in x.items())
    return x


def copied(x):
    """Return a copy that shares nothing: of tensors and arrays in the same layout."""
    if isinstance(x, torch.Generator):
        fresh = torch.Generator(x.device)
        fresh.set_state(x.get_state())
        return fresh
    if isinstance(x, torch.Tensor):
        return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device).copy_(x.detach())
    if isinstance(x, nn.Module | np.random.Generator):
        return copy.deepcopy(x)
    return x.copy()


def strided(x):
    """Return the same values with gaps between them, arrays also read-only: as of a slice, or of a mapped file."""
    if isinstance(x, torch.Tensor):
        gaps = torch.empty(*x.shape, 2, dtype=x.dtype, device=x.device)[..., 0]
        return gaps.copy_(x) if x.ndim else x
    if isinstance(x, np.ndarray):
        x = np.stack([x, x], -1)[..., 0]
        x.setflags(write=False)
    return x


def asking(x):
    """Return a tensor that asks for gradients, if it can."""
    if isinstance(x, torch.Tensor) and x.is_floating_point():
        return x.requires_grad_()
    return x


def leaves(x):
    """Yield all tensors and arrays in a result, those inside of objects with fields too."""
    if isinstance(x, torch.Tensor | np.ndarray):
        yield x
    elif isinstance(x, Mapping):
        for value in x.values():
            yield from leaves(value)
    elif isinstance(x, tuple | list):
        for value in x:
            yield from leaves(value)
    elif isinstance(x, nn.Module):
        yield from x.state_dict().values()
    elif dataclasses.is_dataclass(x) and not isinstance(x, type):
        yield from leaves([getattr(x, field.name) for field in dataclasses.fields(x)])
    elif isinstance(x, float | np.floating):
        yield np.asarray(x)


def mark(x):
    """Return something that is equal exactly if arguments are as they were: values, flags, modes and hooks."""
    found = []

    def note(value):
        if isinstance(value, torch.Tensor):
            own = torch.empty(value.numel(), dtype=value.dtype).copy_(value.detach().reshape(-1)).view(torch.uint8)
            kind = value.requires_grad, value.grad is None, tuple(value.shape), str(value.dtype)
            found.append((kind, own.numpy().tobytes()))
        elif isinstance(value, np.ndarray):
            found.append((value.shape, str(value.dtype), value.tobytes()))
        elif isinstance(value, nn.Module):
            for tensor in value.state_dict(keep_vars=True).values():
                note(tensor)
            found.append([(name, module.training, n_hooks(module)) for name, module in value.named_modules()])
        return value

    mapped(note, x)
    return found


def n_hooks(module):
    """Return how many hooks of any kind hang on a module itself."""
    return sum(len(value) for name, value in vars(module).items() if name.endswith("_hooks") and value is not None)


def surroundings():
    """Return what a function must not touch, as something that can be compared."""
    # Python's own random numbers are left out: the checks of types draw from them, and the package never does.
    states = torch.get_rng_state().numpy().tobytes(), str(np.random.get_state())  # noqa: NPY002
    modes = (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    )
    kernels = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    return states, modes, kernels, str(np.geterr()), n_hooks(torch.nn.modules.module)


def same(found, wanted, tolerance):
    """Raise AssertionError unless two results have the same form and, up to a tolerance, the same values."""
    found, wanted = list(leaves(found)), list(leaves(wanted))
    assert [(type(x), x.shape, x.dtype) for x in found] == [(type(x), x.shape, x.dtype) for x in wanted]
    if np.isinf(tolerance):  # the case says why: only the form can be the same
        return
    options = {"rtol": tolerance, "atol": tolerance}
    numbers = [not x.ndim and isinstance(x, np.ndarray) for x in wanted]  # thousands of them, in some: all at once
    if any(numbers):
        both = (np.array([x for x, number in zip(side, numbers, strict=True) if number]) for side in (found, wanted))
        np.testing.assert_allclose(*both, **options)
    for one, other, number in zip(found, wanted, numbers, strict=True):
        if number:
            continue
        one, other = (torch.as_tensor(np.array(x) if isinstance(x, np.ndarray) else x.detach()) for x in (one, other))
        assert_close(one, other, equal_nan=True, check_device=False, **options)


def keep_laws(case, data, *, several=True):
    """Draw arguments and check every law on them; without ``several`` only that the same call gives the same again."""
    drawn = Draw(data, case.dtypes, case.devices)
    first = case.draw(drawn)
    fresh = first._replace(args=mapped(copied, first.args), kwargs=mapped(copied, first.kwargs))
    around, given = surroundings(), mark([_kept(case, first.args), first.kwargs])
    result = first.make(case.function)
    assert surroundings() == around, "the surroundings changed"
    assert mark([_kept(case, first.args), first.kwargs]) == given, "an argument changed"
    for x in leaves(result):
        if isinstance(x, torch.Tensor):
            assert x.device.type in {drawn.device.type, "cpu"}, "the result lies elsewhere"
        if case.finite and (x.dtype.is_floating_point if isinstance(x, torch.Tensor) else x.dtype.kind in "fc"):
            assert torch.isfinite(x).all() if isinstance(x, torch.Tensor) else np.isfinite(x).all(), "not finite"
    loose = _loose(case, drawn)
    ways = [
        ("again", None, nullcontext, 0.0),
        ("in another layout", strided if case.strided else None, nullcontext, loose),
        ("asking for gradients", asking if case.grad else None, nullcontext, loose),
        ("without gradients", None, nullcontext if case.trains else torch.no_grad, loose),
    ]
    for name, change, context, tolerance in ways if several else ways[:1]:
        again = mapped(copied, fresh._replace(use=None))._replace(use=fresh.use)
        if change:
            again = again._replace(args=mapped(change, again.args), kwargs=mapped(change, again.kwargs))
        given = mark([_kept(case, again.args), again.kwargs])
        try:
            with context():
                same(again.make(case.function), result, tolerance)
        except Exception as error:
            error.add_note(f"called {name}, {drawn.dtype} on {drawn.device}")
            raise
        assert mark([_kept(case, again.args), again.kwargs]) == given, f"an argument changed, called {name}"
        assert surroundings() == around, f"the surroundings changed, called {name}"


def _kept(case, args):
    return [value for place, value in enumerate(args) if place not in case.writes]


def _loose(case, drawn):
    """Return how far two ways of computing the same may lie apart; None: what is usual for the dtype."""
    if case.tolerance is not None:
        return case.tolerance
    return {torch.float16: 1e-2, torch.bfloat16: 5e-2, torch.float32: 1e-4}.get(drawn.dtype, 1e-5)
