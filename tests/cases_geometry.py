"""How to call the functions of exact geometry: affine maps, regions, segments, slices and polygons."""

import numpy as np
import torch
from laws import call, case

from actlib import (
    affine,
    boundaries,
    categories,
    folds,
    gates,
    growth,
    inradius,
    noise,
    piecewise,
    planes,
    polygons,
    polytopes,
    reachability,
    segments,
    slices,
    steps,
    tracing,
)

# ---------------------------------------------------------------------------------------- one sample's region


def network(d):
    """Return a network, traced or not, and samples for it."""
    model, shape = (d.mlp(), (5,)) if d.pick(True, False) else (d.convnet(), (1, 6, 6))
    x = d.unit(d.size(1, 3), *shape)
    return d.pick(model, piecewise.trace(model, shape)), x


@case(piecewise.trace, anywhere=True)
def _(d):
    watched = lambda f, *args: f(*args).pattern(torch.ones(2, *args[1])).choices  # noqa: E731
    return call(*d.pick((d.mlp(), (5,)), (d.convnet(), (1, 6, 6))), use=watched)


case(affine.as_piecewise)(lambda d: call(*network(d), use=lambda f, *args: f(*args).shape and 0))


@case(affine.maps, anywhere=True)
def _(d):
    model, x = network(d)
    return call(
        model,
        x,
        d.pick(None, "relu1" if x.ndim == 2 else "relu"),
        units=d.pick(None, [0, 2]),
        mode=d.pick("reverse", "forward"),
    )


@case(affine.verify, finite=False)
def _(d):
    model, x = network(d)
    return call(model, affine.maps(model, x), x, generator=d.generator)


@case(inradius.inradius, anywhere=True)
def _(d):
    return call(*network(d), d.pick("l2", "l1", "linf"))


@case(polytopes.chords, finite=False)
def _(d):
    model, x = network(d)
    return call(model, x, d.values(*x.shape), box=d.pick(None, (0, 1)))


@case(polytopes.hit_and_run, tolerance=float("inf"))  # a walk: rounding of another layout takes it elsewhere
def _(d):
    return call(*network(d), d.size(), generator=d.generator, thin=d.size(1, 2))


@case(noise.survival)
def _(d):
    model, x = network(d)
    return call(model, x[0], d.pick(0.01, 0.3), n_copies=d.size(), generator=d.generator)


@case(noise.noise_walk, tolerance=float("inf"))
def _(d):
    model, x = network(d)
    return call(model, x[0], n_copies=d.size(2, 5), n_steps=d.size(1, 3), generator=d.generator)


case(noise.predicted_survival)(lambda d: call(d.pick(0, 2.5), d.pick(0.1, 1)))


@case(reachability.reach, finite=False)
def _(d):
    traced, shape = d.traced()
    x = torch.rand(1, *shape, generator=d.generator)
    return call(traced, traced.pattern(x), box=d.pick(None, (0.0, 1.0)))


@case(tracing.follow)
def _(d):
    model, shape = d.pick((d.mlp(), (5,)), (d.convnet(), (1, 6, 6)))
    return call(model, d.unit(2, *shape), use=lambda f, *args: str(f(*args)[1]))


case(steps.is_sum)(lambda d: call(d.pick("add", "mul", "rsub")))
case(steps.label)(lambda d: call(d.pick(torch.relu, "relu", torch.nn.functional.relu)))
case(steps.does_nothing)(lambda d: call(d.pick(torch.nn.Identity(), torch.nn.ReLU(), torch.nn.Dropout())))
case(steps.refuse)(lambda d: call("fc1", "a function", use=lambda f, *args: str(f(*args))))
case(steps.check_module)(lambda d: call("fc1", d.pick(torch.nn.ReLU(), torch.nn.Linear(2, 2), torch.nn.MaxPool2d(2))))
case(steps.check_function)(lambda d: call("fc1", d.pick("relu", "add", "flatten"), 1))

# ----------------------------------------------------------------------------------------------------- planes


@case(planes.through)
def _(d):
    shape = d.pick((3,), (1, 2, 2))
    return call(d.values(*shape), d.values(*shape), d.values(*shape))


def window(d):
    """Return polygons: one window of three to six corners."""
    angles = (
        np.sort(d.numpy.uniform(0, 2 * np.pi, d.size(3, 6)))
        if d.pick(False)
        else np.arange(n := d.size(3, 6)) * 2 * np.pi / n
    )
    return polygons.window(np.stack([np.cos(angles), np.sin(angles)], -1) * d.pick(0.1, 1, 100))


case(polygons.window)(lambda d: call(window(d).vertices))
for function in (
    polygons.rename, polygons.sizes, polygons.areas, polygons.centroids, polygons.discs, polygons.mesh,
    polygons.following,
):  # fmt: skip
    case(function)(lambda d: call(window(d)))

case(polygons.join)(lambda d: call([window(d)] * d.size(1, 3)))
case(polygons.take)(lambda d: call(window(d), np.zeros(d.size(), np.int64)))
case(polygons.owners)(lambda d: call(window(d), np.array([0, 2])))
case(polygons.borders)(lambda d: call(polygons.mesh(window(d)), np.zeros(1, np.int64)))
case(polygons.mix)(lambda d: call(d.numpy.integers(0, 2**63, d.size(0, 4), dtype=np.uint64)))
case(polygons.ends)(lambda d: call(d.numpy.integers(0, 4, d.size())))
case(polygons.spread)(lambda d: call(d.numpy.integers(0, 9, 3), d.numpy.integers(0, 4, 3)))


def cut(d):
    traced, shape = d.traced("mlp")
    return slices.partition(traced, d.plane(shape))


@case(slices.partition)
def _(d):
    traced, shape = d.traced()
    return call(traced, d.plane(shape), last=d.pick(None, next(iter(traced.gates))))


case(slices.counts)(lambda d: call(cut(d)))
case(slices.conditional_counts)(lambda d: call(cut(d)))
case(slices.estimates)(lambda d: call(cut(d).areas, d.size(), generator=d.generator))
case(boundaries.classes)(lambda d: call(cut(d)))
case(boundaries.edge_gates)(lambda d: call(cut(d)))
case(boundaries.lines)(lambda d: call(cut(d), "relu1", d.size(0, 3)))


@case(segments.between)
def _(d):
    traced, shape = d.traced()
    n = d.size(1, 3)
    ends = (torch.rand(n, *shape, generator=d.generator) for _ in range(2))
    return call(traced, *ends, last=d.pick(None, next(iter(traced.gates))))


@case(growth.check)
def _(d):
    traced, _ = d.traced()
    return call(traced, d.pick(None, next(iter(traced.gates))))


def windowed(d):
    """Return a gate of max-pooling."""
    return next(g for g in d.traced("convnet")[0].gates.values() if g.kind == "max")


case(growth.ancestors)(lambda d: call((p := cut(d)).levels, len(p.areas)))
case(growth.pattern)(lambda d: call((p := cut(d)).levels, p.ancestors()))
case(growth.table)(lambda d: call(windowed(d)))


def at_gate(d):
    """Return a gate of a network and values that enter it."""
    traced, _ = d.traced()
    gate = d.pick(*traced.gates.values())
    return gate, torch.randn(d.size(1, 3), *gate.before, generator=d.generator, dtype=torch.float64)


case(gates.decide)(lambda d: call(*at_gate(d)))
case(gates.n_near)(lambda d: call(*at_gate(d), d.pick(0.0, 0.1)))


@case(gates.leads, finite=False)
def _(d):
    gate, values = at_gate(d)
    return call(gate, gates.decide(gate, values), values)


@case(gates.in_windows)
def _(d):
    gate = windowed(d)
    return call(gate, torch.randn(2, *gate.before, generator=d.generator))


# ---------------------------------------------------------------------------------------------- frequencies


def spread(d):
    return (
        d.values(*d.pick((), (2,), (1, 3)), d.size(2, 6), d.size(2, 6)),
        d.pick(2, (1, 2), (2, 1)),
        d.pick(folds.CORRECTED, folds.LITERAL),
    )


case(folds.folds, anywhere=True)(lambda d: call(*spread(d)))
case(categories.tally, anywhere=True)(lambda d: call(*spread(d)))
case(categories.category_map, anywhere=True)(lambda d: call(*spread(d)))
case(categories.single_counted)(lambda d: call((x := d.unit(d.size(), 4)) / x.sum(1, keepdim=True)))
