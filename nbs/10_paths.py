# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-paths)=
# Is there a shortest way between two images?

**Counted in {term}`units <unit>` that switch, there is a bound: no path takes fewer switches than bits in which its ends differ. The straight segment attains it in the first layer. Deeper layers switch more often, and a search saves a part of
this excess.**

```{figure} ../results/real/10_paths/fig-paths-pictures.webp
:name: fig-paths-hero
:alt: Three rows of pictures. Two rows of photographs turn from one image into another; the third row shows the difference of the two ways in red and blue.

What you will be able to draw: two ways from one image to another, along a straight line and along a geodesic of a layer. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Count every unit that switches along a path, and say why sampled points miss some.
- Compute a {term}`conditional geodesic`, and find the layer for which it is the straight segment.
- Find an image midway between two {term}`patterns <pattern>`, and judge it beside the middle of the segment.
- Tell by linear programming whether any image has a given pattern.

**You need** the {term}`pattern` of a {term}`ReLU` network, as in [](#ch-patterns), and the {term}`region` of an image, as in [](#ch-regions). **Time:** 30 minutes to read, one minute to run. **Document:** section 5 of the
"Study on Activation Patterns" {cite:p}`swiniarski-patterns`, in parts work in progress. **Data:** scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY); in the recorded run CIFAR-10 {cite:p}`krizhevsky-2009`.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
pictures, size = "digits", 28
# what the networks subtract from the pixels, in [0, 1], and divide them by: to [-1, 1]
pixel_mean, pixel_std = 0.5, 0.5
width = 128
epochs, learning_rate, batch_size = 14, 0.01, 16
# pairs of images: for the MLP, for exact counts in the convnet, for all else in it
n_pairs, n_convnet, n_half = 16, 2, 8
# geodesics: points of a path, rounds, steps of descent in each
n_points, n_rounds, n_steps = 11, 2, 110
# midpoints: steps of descent; weights of the layers in the joint objective; pairs with as many steps as bits
n_descent, alphas, n_fine = 100, [0.001, 0.01, 0.1, 1, 10, 100, 1000], 4
# chosen patterns: widths of small MLPs, their epochs, patterns of each kind
small_widths, small_epochs, n_chosen = [16, 64], 3, 6

# %% tags=["hide-input"]
import math
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    arrangements,
    checkpoints,
    data,
    midpoints,
    models,
    paths,
    piecewise,
    plots,
    published,
    reachability,
    report,
    segments,
    statistics,
    targets,
    train,
)
from scipy.stats import poisson
from torch import nn

report.start("10_paths", profile=profile, seed=seed, device=device)


def dice(k):
    """Return a generator of its own for one part of the chapter."""
    return torch.Generator().manual_seed(1000 * seed + k)


# %% [markdown]
r"""
## What can be said without a computer

Two networks learn: an MLP with three hidden layers of {glue:text}`S5.0-path-claims/width` units each (recorded {recorded}`S5.0-path-claims/width`), and a convnet of three convolutions, each with a ReLU and a
max-pooling, and one linear layer, as in the study. In the recorded run its ReLUs have {recorded}`S5.0-path-claims/bits` bits; the study does not give its kernels.

The patterns of two images differ in $m$ bits, the {term}`Hamming distance` $d_H$. "[T]here is $m!$ possible paths" between them, says the study, one for each order of switching the bits, and "$d_H$ different" patterns lie in between. But $m$
bits have $2^m$ subsets, each of which is a pattern in between, and both numbers are only upper bounds: a pattern may belong to no input. One layer of six random units without biases shows it. Two opposite inputs differ in all six bits.

:::{admonition} Guess first
:class: tip
Six units, so $6! = 720$ orders. With three inputs, how many of them can a path take? And with six inputs?
:::
"""

# %% tags=["hide-input"]
learn, held_out = (data.load(pictures, split, size=size) for split in ("train", "test"))


# fmt: off
def build_mlp(generator):
    """Return the study's network of three layers, untrained."""
    return models.mlp([width] * 3, len(learn.classes), input_shape=learn.images.shape[1:], mean=pixel_mean, std=pixel_std, generator=generator)


def build_convnet(generator):
    """Return the convnet of the regions chapters, untrained."""
    if size < 32:
        return models.convnet(len(learn.classes), widths=(8, 16, 16), size=size, channels=1, mean=pixel_mean, std=pixel_std, generator=generator)
    return models.cifar_alexnet(len(learn.classes), mean=pixel_mean, std=pixel_std, generator=generator)


images, labels = learn.images.to(device), learn.labels.to(device)
recipe = {"seed": seed, "learning_rate": learning_rate, "batch_size": batch_size}
mlp = checkpoints.load_or_fit("regions-mlp", build_mlp, images, labels, epochs=epochs, **recipe)
convnet = checkpoints.load_or_fit("regions-convnet", build_convnet, images, labels, epochs=epochs, **recipe)
# fmt: on


# %%
def ways(n, r, generator):
    """Return how many patterns of n random units with r inputs occur, and the orders from one to its opposite."""
    weights = torch.randn(n, r, generator=generator, dtype=torch.float64).numpy()
    occur = {tuple(bits) for bits in arrangements.regions(weights).patterns.astype(bool).tolist()}
    start = next(iter(occur))
    orders = {start: 1}  # to each pattern, switching one bit at a time
    for _ in range(n):
        onward = {}
        for bits, count in orders.items():
            for k in (k for k in range(n) if bits[k] == start[k]):
                other = (*bits[:k], not bits[k], *bits[k + 1 :])
                if other in occur:
                    onward[other] = onward.get(other, 0) + count
        orders = onward
    return len(occur), sum(orders.values())


found = {r: ways(6, r, dice(r)) for r in (2, 3, 4, 5, 6)}

# %% tags=["remove-cell"]
# fmt: off
RELUS = ["relu1", "relu2", "relu3"]
SETS = {"first": RELUS[:1], "last": RELUS[2:], "all": RELUS}
nets = {"MLP": mlp.model.eval().requires_grad_(False), "convnet": convnet.model.eval().requires_grad_(False)}
exact = {name: piecewise.trace(net, learn.images.shape[1:], device="cpu") for name, net in nets.items()}


def of_images(what, name=None):
    """Say that the numbers that follow come from images and one of the networks."""
    trained = f"{name} trained on {pictures}" if name else f"networks trained on {pictures}"
    report.source(f"{trained}; {what}", stand_in=None if pictures == "cifar10" else "CIFAR-10")


def over_pairs(values, within=None):
    """Return the mean over pairs as a number, judged only where its 95 % interval leaves out zero, and that interval."""
    found = statistics.interval(np.asarray(values, dtype=float))
    judged = found.low > 0 or found.high < 0
    told = {"value": found.mean, "spread": found.sd, "n": found.n, "unit": "share", "agree": within if judged else None}
    return told, {"low": found.low, "high": found.high}


report.source("one layer of six random units")
for r, (n_patterns, n_orders) in found.items():
    report.number(f"S5.0-path-claims/patterns-{r}", n_patterns, tol=0)
    report.number(f"S5.0-path-claims/law-{r}", arrangements.central(6, r), tol=0)
    report.number(f"S5.0-path-claims/orders-{r}", n_orders, tol=0)
report.number("S5.0-path-claims/between", found[6][0] / 2**6, tol=0, agree=0.001, theory=1, label="patterns between two that differ in six bits, six inputs, as a share of 2 to the power 6", note="not six")
report.number("S5.0-path-claims/orders", found[3][1] / math.factorial(6), unit="share", tol=0, agree=(0.999, 1.001), label="orders that a path can take, six units with three inputs, as a share of m!", note="m! is an upper bound")
report.number("S5.0-path-claims/width", width, tol=0)
report.number("S5.0-path-claims/bits", sum(g.n_units for g in exact["convnet"].gates.values() if g.kind == "relu"), tol=0)
of_images(f"{len(held_out.labels):,} held-out images")
for name, net in nets.items():
    report.number(f"S5.0-path-claims/accuracy-{name.lower()}", train.accuracy(net, held_out.images.to(device), held_out.labels.to(device)), unit="share", tol=0.04)
report.number("S5.0-path-claims/seconds", sum(sum(fit.history.seconds) for fit in (mlp, convnet)), unit="seconds", tol=1e9)
# fmt: on

# %% [markdown]
r"""
| inputs | patterns that occur | of | orders that a path can take | of |
|---|---|---|---|---|
| 2 | {glue:text}`S5.0-path-claims/patterns-2` | 64 | {glue:text}`S5.0-path-claims/orders-2` | 720 |
| 3 | {glue:text}`S5.0-path-claims/patterns-3` | 64 | {glue:text}`S5.0-path-claims/orders-3` | 720 |
| 4 | {glue:text}`S5.0-path-claims/patterns-4` | 64 | {glue:text}`S5.0-path-claims/orders-4` | 720 |
| 5 | {glue:text}`S5.0-path-claims/patterns-5` | 64 | {glue:text}`S5.0-path-claims/orders-5` | 720 |
| 6 | {glue:text}`S5.0-path-claims/patterns-6` | 64 | {glue:text}`S5.0-path-claims/orders-6` | 720 |

The orders lead from one pattern to its opposite; from another pattern their number may differ. Only when inputs are as many as units does every pattern occur, and every order is a path.

:::{prf:theorem} Switches and distance
:label: thm-paths-bound
On any path from $x$ to $y$ the units of a layer switch $d_H$ times or more, and beyond $d_H$ an even number of times. On the straight segment the first layer switches exactly $d_H$ times.
:::

:::{prf:proof}
A unit whose bits differ at the ends switches an odd number of times, so once at least; any other an even number of times. On a segment the value of a first-layer unit is affine in the time, so it changes its sign at most once.
:::

So the study's question has an answer for the first layer: the segment is a shortest path. What of the other layers?

## Every switch on the segment

In a piece of the segment where nothing switches, all values are affine in the time, and the next zero can be computed. `segments.between` finds all switches this way, in double precision. A pair is two held-out images of different classes.

:::{admonition} Guess first
:class: tip
In the third layer, how many more switches than $d_H$ does the segment need: a few percent, half as many again, or several times as many?
:::
"""

# %%
order = torch.randperm(len(held_out.labels), generator=dice(1))
one, other = order[: 4 * n_pairs], order[4 * n_pairs : 8 * n_pairs]
differ = held_out.labels[one] != held_out.labels[other]
x, y = (
    held_out.images[side[differ][:n_pairs]].to(device).float() / 255 for side in (one, other)
)  # (p, c, h, w)
counted = {"MLP": n_pairs, "convnet": n_convnet}


def bits(name, points):
    """Return the bits of each ReLU at points (..., c, h, w): bool (..., units) by layer."""
    choices = exact[name].pattern(points.cpu().double().flatten(0, -4)).choices
    return {layer: choices[layer].flatten(1).unflatten(0, points.shape[:-3]) for layer in RELUS}


def distances(name, first, second):
    """Return the Hamming distances of pairs, by layer: (p, 3)."""
    a, b = bits(name, first), bits(name, second)
    return np.stack([(a[layer] != b[layer]).sum(-1).numpy() for layer in RELUS], -1)


def tally(found, n_paths):
    """Return how many units switch on paths whose segments these are, every switch counted: (p, 3)."""
    columns = [list(found.levels).index(layer) for layer in RELUS]
    return found.counts()[:, columns].reshape(n_paths, -1, 3).sum(1)


def switches(name, points):
    """Return the same for paths (p, n, c, h, w)."""
    sides = (side.flatten(0, 1).cpu() for side in (points[:, :-1], points[:, 1:]))
    return tally(segments.between(exact[name], *sides, last="relu3"), len(points))


ends = {name: torch.stack([x[:n], y[:n]], 1) for name, n in counted.items()}
lines = {
    name: segments.between(exact[name], *pair.cpu().unbind(1)) for name, pair in ends.items()
}
apart = {name: distances(name, *pair.unbind(1)) for name, pair in ends.items()}
direct = {name: tally(line, len(line)) for name, line in lines.items()}


# %% tags=["hide-input"]
# fmt: off
def sampled(name, points):
    """Return the switches that show at the points of paths alone, by layer and step: (p, steps, 3)."""
    found = bits(name, points)
    return np.stack([(found[layer][:, 1:] != found[layer][:, :-1]).sum(-1).numpy() for layer in RELUS], -1)


def excess(found, least):
    """Return by how much sums over layers exceed the bound."""
    return found.sum(-1) / least.sum(-1) - 1


of_images(f"{counted['MLP']} and {counted['convnet']} pairs")
groups = {f"{name}, layer {k + 1}": 100 * (direct[name][:, k] / apart[name][:, k] - 1) for name in nets for k in range(3)}
finer = [2, 3, 6, 11, 21, 51, 101, 201]
shares = {n: sampled("MLP", paths.straight(x, y, n)).sum(1) for n in finer}
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained", width_ratios=[1.3, 1])
plots.distributions(groups, ax=axes[0], xlabel="switches beyond the distance, in %")
for k, marker in enumerate("osD"):
    rate = [shares[n][:, k].sum() / direct["MLP"][:, k].sum() for n in finer]
    axes[1].plot(np.array(finer) - 1, rate, marker=marker, ms=4, label=f"layer {k + 1}")
axes[1].set(xscale="log", xlabel="steps of the path", ylabel="share of switches seen")
axes[1].legend(fontsize="small")
report.figure(
    fig, name="fig-paths-layers",
    caption="Straight segments between images. Left: switches beyond the Hamming distance of the ends, a dot a pair. Right: share of the MLP's switches that show when the segment is looked at in equal steps only.",
    alt=f"Left: both first layers at 0; medians {np.median(groups['MLP, layer 2']):.1f} and {np.median(groups['MLP, layer 3']):.1f} percent in the MLP's next layers, {np.median(groups['convnet, layer 3']):.1f} in the "
    f"convnet's third. Right: layer 1 seen fully, layer 3 from {shares[2][:, 2].sum() / direct['MLP'][:, 2].sum():.2f} to 1.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def changes(found):
    """Return for each change of region on segments: whether a ReLU switches, whether an argmax moves, whether the output's map stays."""
    of_relu = np.array([level.gate.kind == "relu" for level in found.levels.values()])[found.crossings.gates]
    begin = found.pieces.owners + found.pieces.starts / 2  # in order
    at = np.searchsorted(begin, found.crossings.segments + found.crossings.times / 2)
    relu, argmax = (np.bincount(at[which], minlength=len(begin)) > 0 for which in (of_relu, ~of_relu))
    inner = np.flatnonzero(np.diff(found.pieces.owners) == 0) + 1
    slope = found.directions
    same = np.abs(slope[inner] - slope[inner - 1]).max(1) < 1e-9 * np.abs(slope).max()
    return relu[inner], argmax[inner], same
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
kinds = {name: changes(found) for name, found in lines.items()}
every = np.concatenate([(direct[name] - apart[name]).ravel() for name in nets])
least = int(every.min())
report.number("S5.0-path-claims/least", least, tol=0, agree=0, theory=0, label="switches on segments less the distance, smallest over pairs and layers", note="a theorem: never fewer")
report.number("S5.0-path-claims/odd", float((every % 2).mean()), unit="share", tol=0)
report.number("S5.0-path-claims/first-layer", int(max((direct[name] - apart[name])[:, 0].max() for name in nets)), tol=0, agree=0, theory=0, label="the same in the first layer, largest", note="a theorem: the segment is a shortest path of layer 1")
for name in nets:
    for k in (1, 2):
        told, ends_of = over_pairs(groups[f"{name}, layer {k + 1}"] / 100)
        report.number(f"S5.0-path-claims/{name.lower()}-layer-{k + 1}", **told, tol=0.1)
        for end, value in ends_of.items():
            report.number(f"S5.0-path-claims/{name.lower()}-layer-{k + 1}-{end}", value, unit="share", tol=1)
report.number("S5.0-path-claims/pairs", n_pairs, tol=0)
report.number("S5.0-path-claims/pairs-convnet", n_convnet, tol=0)
report.number("S5.0-path-claims/missed", 1 - shares[11].sum() / direct["MLP"].sum(), unit="share", tol=0.03)
turn = torch.stack([x, y.roll(1, 0), y], 1)
report.number("S5.0-path-claims/detour", excess(switches("MLP", turn)[:, :1].sum(0), apart["MLP"][:, :1].sum(0)), unit="share", tol=0.6)
of_images(f"all changes on {n_convnet} segments", "convnet")
relu, argmax, same = kinds["convnet"]
report.number("S5.0-path-claims/argmax", float((argmax & ~relu).mean()), unit="share", tol=0.1, label="convnet: changes of region without any switch of a ReLU", note="max-pooling's choice belongs to the pattern")
report.number("S5.0-path-claims/argmax-changes", float((~same[argmax & ~relu]).mean()), unit="share", tol=0.1)
report.number("S5.0-path-claims/same-map", float(same[relu].mean()), unit="share", tol=0.1, agree=(0, 0.02), label="convnet: switches after which the map is the same as before", note="a pooled unit that is not the largest has no effect")
of_images(f"all changes on {n_pairs} segments", "MLP")
report.number("S5.0-path-claims/argmax-mlp", float((~kinds["MLP"][0]).mean()), unit="share", tol=0)
report.number("S5.0-path-claims/same-map-mlp", float(kinds["MLP"][2].mean()), unit="share", tol=0.01, agree=(0, 0.02), label="MLP: switches after which the map is the same as before", note="would need a later layer that is off")
off = [(~bits(name, held_out.images[order[:500]].float() / 255)[layer]).all(-1).float().mean() for name in nets for layer in RELUS]
report.number("S5.0-path-claims/layer-off", float(max(off)), unit="share", tol=0.01)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The first layer has no excess, in either network, and the smallest excess of all pairs and layers is {glue:text}`S5.0-path-claims/least`, as the theorem says. Nor does any count differ from $d_H$ by an odd number. In the
MLP the second layer switches {glue:text}`S5.0-path-claims/mlp-layer-2:.1%` and the third {glue:text}`S5.0-path-claims/mlp-layer-3:.1%` more than needed (recorded {recorded}`S5.0-path-claims/mlp-layer-2` and
{recorded}`S5.0-path-claims/mlp-layer-3`; means over {glue:text}`S5.0-path-claims/pairs:d` and {recorded}`S5.0-path-claims/pairs` pairs), in the convnet {glue:text}`S5.0-path-claims/convnet-layer-2:.1%` and {glue:text}`S5.0-path-claims/convnet-layer-3:.1%`
({recorded}`S5.0-path-claims/convnet-layer-2` and {recorded}`S5.0-path-claims/convnet-layer-3`; {glue:text}`S5.0-path-claims/pairs-convnet:d` and {recorded}`S5.0-path-claims/pairs-convnet` pairs). The 95-percent interval of the mean over pairs is {glue:text}`S5.0-path-claims/mlp-layer-3-low:.1%` to {glue:text}`S5.0-path-claims/mlp-layer-3-high:.1%` for the MLP's third layer
(recorded {recorded}`S5.0-path-claims/mlp-layer-3-low` to {recorded}`S5.0-path-claims/mlp-layer-3-high`), and recorded {recorded}`S5.0-path-claims/convnet-layer-3-low` to {recorded}`S5.0-path-claims/convnet-layer-3-high` for the convnet's. The excess grows with depth, and is far from several times as many. A detour over a third image costs the first layer
{glue:text}`S5.0-path-claims/detour:.0%` ({recorded}`S5.0-path-claims/detour`). Eleven points, the study's number, miss {glue:text}`S5.0-path-claims/missed:.1%` of the switches ({recorded}`S5.0-path-claims/missed`): a unit
that switches there and back between two of them is not seen.

**Patterns and maps.** The study assumes that patterns stand for affine maps, and treats two patterns with one map as "unlikely". In the MLP it is: after {glue:text}`S5.0-path-claims/same-map-mlp:.1%` of the switches the map is the
same (recorded {recorded}`S5.0-path-claims/same-map-mlp`). It would need a later layer that is off, and no image does that ({glue:text}`S5.0-path-claims/layer-off:.0%`). But the study's patterns are those of a convnet with
max-pooling, where neither holds. A unit that is not the largest of its window switches without effect: the map stays after {glue:text}`S5.0-path-claims/same-map:.0%` of the changes with a switch ({recorded}`S5.0-path-claims/same-map`). And
{glue:text}`S5.0-path-claims/argmax:.0%` of all changes switch no ReLU ({recorded}`S5.0-path-claims/argmax`): only the {term}`argmax` moves.

## A geodesic

Algorithm 1 is that of Hénaff and Simoncelli {cite:p}`henaff-2016`. A path $\gamma$ of eleven points has two energies, sums of squared steps, in pixels and in layers: $E[\gamma]$ and $E[f(\gamma)]$. First make $E[f(\gamma)]$ small; then walk down $E[\gamma]$,
without the component along the gradient of $E[f(\gamma)]$, and make the latter small again. The study's step size, number of rounds and pair of images are not given.

:::{admonition} Guess first
:class: tip
We optimise a path for the first layer, where the segment is perfect, for the last, and for all three. Where does it help?
:::
"""

# %%
walk = {"n_points": n_points, "n_rounds": n_rounds, "n_steps": n_steps}
geodesics = {
    key: paths.geodesic(nets["MLP"], x, y, layers, **walk).points for key, layers in SETS.items()
}
curved = paths.geodesic(nets["convnet"], x[:n_half], y[:n_half], SETS["last"], **walk).points
found = {("MLP", key): switches("MLP", points) for key, points in geodesics.items()}
found["convnet", "last"] = switches("convnet", curved[:n_convnet])
places = {"first": [0], "last": [2], "all": [0, 1, 2]}
ratios = {}
for (name, key), count in found.items():
    for what, each in (("straight", direct[name]), ("geodesic", count)):
        ratios[name, key, what] = excess(each[:, places[key]], apart[name][:, places[key]])

# %% tags=["hide-input"]
# fmt: off
of_images("one pair, last ReLU layer", "convnet")
steps = np.linspace(0, n_points - 1, 6).round().astype(int)
rows = [part[0, steps].cpu().numpy() for part in (paths.straight(x[:1], y[:1], n_points), curved[:1])]
moved = (rows[1] - rows[0]).mean(1)
fig = plt.figure(figsize=(7, 3.6), layout="constrained")
axes = plots.grid(3, 6, figure=fig)
for k, (row, label) in enumerate(zip(rows, ("straight", "geodesic"), strict=True)):
    plots.picture_row(list(row.clip(0, 1)), axes=axes[k], label=label)
plots.map_row(moved / np.abs(moved).max(), axes=axes[2], label="difference")
report.figure(
    fig, name="fig-paths-pictures",
    caption=f"Two ways from one image to another: the straight segment, and the geodesic of the convnet's last ReLU layer. Below: by how much their pixels differ, on one scale for the row (largest: {np.abs(moved).max():.2f} of the range).",
    alt=f"Two rows of six pictures that fade from class {learn.classes[held_out.labels[one[differ][0]]]} to {learn.classes[held_out.labels[other[differ][0]]]}, alike at first sight; below, their differences, up to {np.abs(moved).max():.2f}, as red and blue specks.",
)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{counted['MLP']} and {counted['convnet']} pairs")
names = {("MLP", "first"): "MLP, first", ("MLP", "last"): "MLP, last", ("MLP", "all"): "MLP, all", ("convnet", "last"): "convnet, last"}
fig, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
plots.distributions({f"{text}: {what}": 100 * ratios[*key, what] for key, text in names.items() for what in ("straight", "geodesic")}, ax=ax, xlabel="switches in these layers beyond the distance, in %")
report.figure(
    fig, name="fig-paths-geodesic",
    caption="Straight segments and geodesics: exact switches in the layers for which the path was made, beyond the Hamming distance in these layers. A dot a pair, bars are medians.",
    alt="Pairs of rows of dots, straight above geodesic. Medians: " + "; ".join(f"{text} {100 * np.median(ratios[*key, 'straight']):.1f} and {100 * np.median(ratios[*key, 'geodesic']):.1f}" for key, text in names.items()) + " percent.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def holders(change):
    """Return the share of pixels that hold half of the square of changes (p, ...), on average."""
    energy = np.sort(change.flatten(1).square().double().cpu().numpy(), 1)[:, ::-1].cumsum(1)
    return float(((energy < energy[:, -1:] / 2).sum(1) + 1).mean() / energy.shape[1])


for name, key in found:
    of_images(f"{counted[name]} pairs", name)
    for what in ("straight", "geodesic"):
        each = ratios[name, key, what]
        report.number(f"S5.1-geodesic/{name.lower()}-{key}-{what}", each.mean(), spread=each.std(ddof=1), n=len(each), unit="share", tol=0.1, label=f"{name}, {key} layer{'s' * (key == 'all')}: exact switches beyond the distance, {what}")
    told, ends_of = over_pairs(ratios[name, key, "straight"] - ratios[name, key, "geodesic"])
    report.number(f"S5.1-geodesic/gain-{name.lower()}-{key}", **told, tol=0.2, label=f"{name}, {key}: switches that the geodesic saves, by the distance")
    for end, value in ends_of.items():
        report.number(f"S5.1-geodesic/gain-{name.lower()}-{key}-{end}", value, unit="share", tol=2)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
of_images(f"{n_half} pairs", "convnet")
lines_half, far = paths.straight(x[:n_half], y[:n_half], n_points), distances("convnet", x[:n_half], y[:n_half])[:, 2]
cut = {"straight": sampled("convnet", lines_half), "optimised": sampled("convnet", curved)}
texts = {key: published.value(f"S5.1-geodesic/{key}") for key in ("straight-path", "optimised-path", "distance")}
parts = {key: texts[f"{key}-path"]["value"] / texts["distance"]["value"] for key in cut} if texts["distance"] else {"straight": 1.5, "optimised": 1.4}
report.number("S5.1-geodesic/bits", far.mean(), tol=60)
for key, each in cut.items():
    share = each[..., 2].sum(1) / far
    report.number(f"S5.1-geodesic/{key}-share", share.mean(), spread=share.std(ddof=1), n=n_half, tol=0.15, agree=(parts[key] - 0.25, parts[key] + 0.25), label=f"convnet, third layer: eleven points, {key}, switches per distance", note=f"the document: {parts[key]:.2f}, for one pair")
    report.number(f"S5.1-geodesic/{key}-document", parts[key], tol=0)
told, ends_of = over_pairs((cut["straight"] - cut["optimised"])[..., 2].sum(1) / far)
report.number("S5.1-geodesic/gain-points", **told, tol=0.15, label="convnet, third layer: eleven points, switches that the geodesic saves, by the distance")
for end, value in ends_of.items():
    report.number(f"S5.1-geodesic/gain-points-{end}", value, unit="share", tol=0.2)
change = (curved - lines_half)[:, 1:-1].flatten(0, 1)
report.number("S5.1-geodesic/few-pixels", holders(change), unit="share", tol=0.05, agree=(0, 0.05), label="share of values that hold half of the squared change", note="the change is spread over many")
report.number("S5.1-geodesic/few-pixels-noise", holders(torch.randn(20, *x.shape[1:], generator=dice(2))), unit="share", tol=0.01)
report.number("S5.1-geodesic/least", int(min((count - apart[name]).min() for (name, _), count in found.items())), tol=100, agree=(0, 10**6), label="switches on geodesics less the distance, smallest", note="never fewer")
# fmt: on

# %% [markdown]
r"""
**What to notice.** For the MLP's last layer, exact switches beyond $d_H$ go from {glue:text}`S5.1-geodesic/mlp-last-straight:.1%` to {glue:text}`S5.1-geodesic/mlp-last-geodesic:.1%` (recorded {recorded}`S5.1-geodesic/mlp-last-straight` and
{recorded}`S5.1-geodesic/mlp-last-geodesic`). The saving has a 95-percent interval, over pairs, of {glue:text}`S5.1-geodesic/gain-mlp-last-low:.1%` to {glue:text}`S5.1-geodesic/gain-mlp-last-high:.1%` (recorded {recorded}`S5.1-geodesic/gain-mlp-last-low` to {recorded}`S5.1-geodesic/gain-mlp-last-high`). For all layers they go from
{glue:text}`S5.1-geodesic/mlp-all-straight:.1%` to {glue:text}`S5.1-geodesic/mlp-all-geodesic:.1%` ({recorded}`S5.1-geodesic/mlp-all-straight` and {recorded}`S5.1-geodesic/mlp-all-geodesic`), with {glue:text}`S5.1-geodesic/gain-mlp-all-low:.1%` to {glue:text}`S5.1-geodesic/gain-mlp-all-high:.1%` ({recorded}`S5.1-geodesic/gain-mlp-all-low` to {recorded}`S5.1-geodesic/gain-mlp-all-high`). In
the convnet's last layer, from {glue:text}`S5.1-geodesic/convnet-last-straight:.1%` to {glue:text}`S5.1-geodesic/convnet-last-geodesic:.1%` ({recorded}`S5.1-geodesic/convnet-last-straight` and {recorded}`S5.1-geodesic/convnet-last-geodesic`), with
recorded {recorded}`S5.1-geodesic/gain-convnet-last-low` to {recorded}`S5.1-geodesic/gain-convnet-last-high`: an interval that reaches down to zero proves no saving, and the quick run has too few pairs for one. For the first layer nothing can be gained: {glue:text}`S5.1-geodesic/mlp-first-geodesic:.1%` ({recorded}`S5.1-geodesic/mlp-first-geodesic`). Short in
squared values is not always short in switches. The study finds deep layers easiest. There is more to gain in the last layer, but more excess remains there, too.

The study counted at eleven points, for one pair: {published}`S5.1-geodesic/straight-path` and then {published}`S5.1-geodesic/optimised-path` switches for a distance of {published}`S5.1-geodesic/distance`, in ratios {glue:text}`S5.1-geodesic/straight-document:.2f` and
{glue:text}`S5.1-geodesic/optimised-document:.2f`. Over the convnet's pairs of {numref}`fig-paths-halves`, ours are {glue:text}`S5.1-geodesic/straight-share:.2f` and {glue:text}`S5.1-geodesic/optimised-share:.2f` (recorded {recorded}`S5.1-geodesic/straight-share` and
{recorded}`S5.1-geodesic/optimised-share`). The geodesic saves {glue:text}`S5.1-geodesic/gain-points:.1%` of the distance, with {glue:text}`S5.1-geodesic/gain-points-low:.1%` to {glue:text}`S5.1-geodesic/gain-points-high:.1%` (recorded {recorded}`S5.1-geodesic/gain-points`, with {recorded}`S5.1-geodesic/gain-points-low` to {recorded}`S5.1-geodesic/gain-points-high`); minus means a loss.
Set the recorded saving beside that of exact counts: most of it is switches that eleven points do not see. On the geodesic they hide more of them than on the segment. "We end up pushing on a few pixels": half of the squared change lies in {glue:text}`S5.1-geodesic/few-pixels:.1%` of the values ({recorded}`S5.1-geodesic/few-pixels`), for Gaussian noise it would be
{glue:text}`S5.1-geodesic/few-pixels-noise:.1%`. So they are not few.

## One switch a step

"Given two images at hamming distance d, if we try to find d - 1" images, "we end up with a lot of images at distance 0 and some at a big distance". We do just that, for the MLP's last layer: $N = d_H$ steps.

:::{admonition} Guess first
:class: tip
If switches were spread along the path by chance, with one a step on average, what share of steps would have none?
:::
"""

# %%
fine, again = [], []
for k in range(n_fine):
    n = int(apart["MLP"][k, 2])
    path = paths.geodesic(
        nets["MLP"], x[k : k + 1], y[k : k + 1], SETS["last"], **walk | {"n_points": n + 1}
    )
    fine.append(sampled("MLP", path.points)[0, :, 2])
    sides = (side[0].cpu() for side in (path.points[:, :-1], path.points[:, 1:]))
    exactly = segments.between(exact["MLP"], *sides, last="relu3")
    third = exactly.crossings.gates == list(exactly.levels).index("relu3")
    when = exactly.crossings.segments[third] + exactly.crossings.times[third]
    again.append(np.unique(when, return_counts=True)[1])  # a step from each switch to the next
fine, again = np.concatenate(fine), np.concatenate(again)

# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_fine} pairs, last layer", "MLP")
most = max(int(fine.max()), 5)
seen = np.bincount(fine, minlength=most + 1) / len(fine)
law = poisson.pmf(np.arange(most + 1), fine.mean())
fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
ax.bar(np.arange(most + 1) - 0.2, seen, 0.4, label="equal number of steps and bits")
ax.bar(np.arange(most + 1) + 0.2, np.bincount(again, minlength=most + 1)[: most + 1] / len(again), 0.4, label="cut where a unit switches")
ax.plot(np.arange(most + 1), law, "k.--", lw=1, label="by chance (Poisson)")
ax.set(xlabel="switches in one step", ylabel="share of steps", xticks=range(0, most + 1, max(1, most // 8)))
ax.legend(fontsize="small")
report.figure(
    fig, name="fig-paths-steps",
    caption="How many units of the MLP's last layer switch in one step of a geodesic with as many steps as differing bits; of the same paths, cut at the switches; and the law of Poisson.",
    alt=f"Bars at 0 to {most} switches: {seen[0]:.0%} of the steps have none, {seen[1]:.0%} one, {seen[2]:.0%} two; the line of chance has {law[0]:.0%}, {law[1]:.0%} and {law[2]:.0%}. A second set of bars stands at one alone.",
)
report.number("S5.1-geodesic/steps-none", seen[0], n=len(fine), unit="share", tol=0.15, agree=(0.1, 1), label="steps without a switch, with as many steps as bits", note="about as many as by chance")
report.number("S5.1-geodesic/steps-chance", law[0], unit="share", tol=0.05)
report.number("S5.1-geodesic/steps-largest", int(fine.max()), tol=6, label="largest step")
report.number("S5.1-geodesic/steps-cut", float((again == 1).mean()), unit="share", tol=0.01, agree=(0.99, 1), label="steps with one switch, if the same path is cut where units switch", note="the spacing of the points is free")
# fmt: on

# %% [markdown]
r"""
**What to notice.** {glue:text}`S5.1-geodesic/steps-none:.0%` of the steps have no switch, and the largest has {glue:text}`S5.1-geodesic/steps-largest` (recorded {recorded}`S5.1-geodesic/steps-none` and {recorded}`S5.1-geodesic/steps-largest`):
the study's complaint. But chance alone would leave {glue:text}`S5.1-geodesic/steps-chance:.0%` empty ({recorded}`S5.1-geodesic/steps-chance`), and the spacing of the points is ours to choose. Cut the same path where a unit switches, and
{glue:text}`S5.1-geodesic/steps-cut:.0%` of the steps have exactly one ({recorded}`S5.1-geodesic/steps-cut`). Not the size of steps is the difficulty, but their number beyond $d_H$.

## The ten scores on the way

The study's figure 30 shows the ten values of the last layer along the path, before and after.
"""

# %%
trips = {
    ("convnet", "straight"): paths.straight(x[:n_half], y[:n_half], n_points),
    ("convnet", "geodesic"): curved,
    ("MLP", "straight"): paths.straight(x, y, n_points),
    ("MLP", "geodesic"): geodesics["last"],
}
with torch.no_grad():
    scores = {key: [nets[key[0]](path).cpu().numpy() for path in trips[key]] for key in trips}


def bend(scores):
    """Return the largest distance of scores (n, 10) from the line between first and last, by their range."""
    line = np.linspace(scores[0], scores[-1], len(scores))
    return np.abs(scores - line).max() / np.ptp(scores)


bends = {key: np.array([bend(each) for each in of_pairs]) for key, of_pairs in scores.items()}
worst = bends["convnet", "straight"].argmax()
shown = {what: scores["convnet", what][worst] for what in ("straight", "geodesic")}  # one pair


# %% tags=["hide-input"]
# fmt: off
of_images("one pair, last ReLU layer", "convnet")
fig, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True, layout="constrained")
for ax, (what, values) in zip(axes, shown.items(), strict=True):
    ax.plot(values, marker=".", ms=3, lw=1)
    ax.plot([0, n_points - 1], values[[0, -1]], color="0.6", lw=0.5, ls=":")
    ax.set(xlabel="point of the path")
    ax.set_title(f"{what}: bend {bend(values):.2f}", fontsize="small")
axes[0].set_ylabel("score of a class")
report.figure(
    fig, name="fig-paths-scores",
    caption="The convnet's ten scores along the straight segment and along the geodesic of its last ReLU layer, for the pair whose scores bend most. Dotted: straight lines between the ends. The bend is the largest distance from them, by the range of all scores.",
    alt=f"Two panels of ten curves over eleven points. Left they bend, by up to {bend(shown['straight']):.2f} of their range; right they are nearer to straight lines, with {bend(shown['geodesic']):.2f}.",
)
for name, prefix in (("MLP", "mlp-"), ("convnet", "")):
    of_images(f"{len(bends[name, 'straight'])} pairs, last ReLU layer", name)
    for what in ("straight", "geodesic"):
        each = bends[name, what]
        report.number(f"S5.3-logit-path/{prefix}{what}", each.mean(), spread=each.std(ddof=1), n=len(each), unit="share", tol=0.15, label=f"{name}: largest distance of the scores from straight lines, by their range, {what}")
    told, ends_of = over_pairs(bends[name, "straight"] - bends[name, "geodesic"], (0, 1))
    report.number(f"S5.3-logit-path/{prefix}straighter", **told, tol=0.1, label=f"{name}: the same, straight less geodesic", note="straighter, not straight")
    for end, value in ends_of.items():
        report.number(f"S5.3-logit-path/{prefix}straighter-{end}", value, unit="share", tol=0.15)
report.number("S5.3-logit-path/elements", n_points - 1, tol=0, label="steps of the path")
# fmt: on

# %% [markdown]
r"""
**What to notice.** On the segment the convnet's scores bend by up to {glue:text}`S5.3-logit-path/straight:.1%` of their range, on the geodesic by {glue:text}`S5.3-logit-path/geodesic:.1%` (recorded {recorded}`S5.3-logit-path/straight` and {recorded}`S5.3-logit-path/geodesic`; the same pairs). The
difference has a 95-percent interval of {glue:text}`S5.3-logit-path/straighter-low:.1%` to {glue:text}`S5.3-logit-path/straighter-high:.1%` ({recorded}`S5.3-logit-path/straighter-low` to {recorded}`S5.3-logit-path/straighter-high`). In the MLP it goes from {glue:text}`S5.3-logit-path/mlp-straight:.1%` to {glue:text}`S5.3-logit-path/mlp-geodesic:.1%` ({recorded}`S5.3-logit-path/mlp-straight` and {recorded}`S5.3-logit-path/mlp-geodesic`).
"We do end up with an l_2 interpolation path in the {term}`activation` space": the scores become straighter, but not straight.

## Midway between two patterns

The sub-task: an image $z$ with $d_H(x, z) + d_H(z, y) = d_H(x, y)$, in the middle. Algorithm 1 makes $\sum_l \|f_l(z) - f_l(x)\| + \|f_l(y) - f_l(z)\|$ small, over all layers, with L2 (squared) or L1. Algorithm 2 counts only units whose bits
differ, by a mask through which no gradient passes. The trivial candidate is the middle of the segment; a better one, the best of its middle part.

:::{admonition} Guess first
:class: tip
The study finds L1 better, and calls that "very strange". Is it?
:::
"""

# %%
cases = {
    "L1": ("l1", False),
    "L2": ("l2", False),
    "masked L1": ("l1", True),
    "masked L2": ("l2", True),
}
seek = partial(midpoints.midpoints, n_steps=n_descent)
halves, middles, starts = {}, {}, {}


def sums(name, first, second, z):
    """Return d_H(x, z) and d_H(z, y), over all layers: (p, 2)."""
    return np.stack([distances(name, first, z).sum(1), distances(name, z, second).sum(1)], 1)


for name, n in (("MLP", n_pairs), ("convnet", n_half)):
    pair, net = (x[:n], y[:n]), nets[name]
    middles[name] = {"middle": (pair[0] + pair[1]) / 2}
    for text, (norm, masked) in cases.items():
        middles[name][text] = seek(net, *pair, RELUS, norm=norm, masked=masked).points
    whole = distances(name, *pair).sum(1)
    halves[name] = {text: sums(name, *pair, z) for text, z in middles[name].items()}
    line = paths.straight(*pair, 101)[:, 40:61]
    each = np.stack([sums(name, *pair, line[:, k]) for k in range(line.shape[1])])
    halves[name]["best of segment"] = each[each.sum(2).argmin(0), np.arange(n)]
    noise = torch.rand(pair[0].shape, generator=dice(3)).to(device)
    for start, z in (("x", pair[0]), ("noise", noise)):
        z = seek(net, *pair, RELUS, norm="l1", initial=z).points
        starts[name, start] = sums(name, *pair, z)
    halves[name] = {text: (each, each.sum(1) / whole - 1) for text, each in halves[name].items()}

# %% tags=["hide-input"]
# fmt: off
of_images("one pair, all layers", "convnet")
shown = {"first": x[:1], **{text: z[:1] for text, z in middles["convnet"].items()}, "last": y[:1]}
fig = plt.figure(figsize=(7, 2.5), layout="constrained")
axes = plots.grid(2, len(shown), figure=fig)
shift = {text: (z - middles["convnet"]["middle"][:1])[0].mean(0).cpu().numpy() for text, z in shown.items() if text in cases}
top = max(np.abs(each).max() for each in shift.values())
for k, (text, z) in enumerate(shown.items()):
    plots.image(z[0].cpu().numpy().clip(0, 1), ax=axes[0, k], title=text.replace("masked ", "masked\n"))
    axes[1, k].set_visible(text in shift)
    if text in shift:
        plots.signed_map(shift[text] / top, ax=axes[1, k])
report.figure(
    fig, name="fig-paths-middles",
    caption=f"Midpoints between two images for the convnet: the middle of the segment, algorithm 1 with L1 and L2, and algorithm 2 (masked). Below: what the search changed (largest: {top:.2f} of the range).",
    alt=f"Seven small pictures: two images and between them five blends that look alike. Below four of them red and blue specks, up to {top:.2f}; mean absolute changes " + ", ".join(f"{text} {np.abs(each).mean():.3f}" for text, each in shift.items()) + ".",
)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_pairs} and {n_half} pairs, all layers")
fig, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True, layout="constrained")
for ax, name in zip(axes, nets, strict=True):
    plots.distributions({text: 100 * share for text, (_, share) in halves[name].items()}, ax=ax, xlabel="beyond the distance, in %")
    ax.set_title(name, fontsize="small")
report.figure(
    fig, name="fig-paths-halves",
    caption="Midpoints: by how much the two halves together exceed the Hamming distance of the ends, over all layers. A dot a pair, bars are medians.",
    alt="Medians in percent. " + ". ".join(f"{name}: " + ", ".join(f"{text} {100 * np.median(share):.1f}" for text, (_, share) in halves[name].items()) for name in nets) + ".",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for name in nets:
    low, n = name.lower(), len(halves[name]["L1"][1])
    of_images(f"{n} pairs, all layers", name)
    share = {text.lower().replace(" ", "-"): each for text, (_, each) in halves[name].items()}
    for key, each in share.items():
        what = {"spread": each.std(ddof=1), "n": n, "unit": "share", "tol": 0.1, "label": f"{name}, two halves beyond the distance, {key.replace('-', ' ')}"}
        if key.startswith("masked"):
            report.number(f"S5.2.2-alg2/{low}-{key}", each.mean(), **what | {"tol": 0.25})
        else:
            report.number(f"S5.2.1-alg1/{low}-{key}", each.mean(), **what)
    part = halves[name]["L1"][0]
    report.number(f"S5.2.1-alg1/{low}-balance", float((part[:, 0] / part.sum(1)).mean()), unit="share", tol=0.1)
    told, ends_of = over_pairs(share["l2"] - share["l1"], (0, 1))
    report.number(f"S5.2.1-alg1/{low}-l1-better", **told, tol=0.08, label=f"{name}: excess with L2 less excess with L1", note="L1 is content with any value in between")
    for end, value in ends_of.items():
        report.number(f"S5.2.1-alg1/{low}-l1-better-{end}", value, unit="share", tol=0.15)
    told, ends_of = over_pairs(share["masked-l2"] - share["masked-l1"], (0, 1))
    report.number(f"S5.2.2-alg2/{low}-l1-better", **told, tol=0.15, label=f"{name}: excess with L2 less excess with L1, masked", note="nothing holds the bits that are shared")
    for end, value in ends_of.items():
        report.number(f"S5.2.2-alg2/{low}-l1-better-{end}", value, unit="share", tol=0.3)
    told, ends_of = over_pairs(share["masked-l1"] - share["l1"], (0, 1))
    report.number(f"S5.2.2-alg2/{low}-worse", **told, tol=0.2, label=f"{name}: excess of algorithm 2 less that of algorithm 1, L1", note="as in the document")
    for end, value in ends_of.items():
        report.number(f"S5.2.2-alg2/{low}-worse-{end}", value, unit="share", tol=0.3)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for name in nets:
    low, n = name.lower(), len(halves[name]["L1"][1])
    whole = distances(name, x[:n], y[:n]).sum(1)
    of_images(f"{n} pairs, all layers", name)
    for start in ("x", "noise"):
        each = starts[name, start]
        report.number(f"S5.2.1-alg1/{low}-from-{start}", float((each.sum(1) / whole - 1).mean()), unit="share", tol=0.5)
        report.number(f"S5.2.1-alg1/{low}-balance-{start}", float((each[:, 0] / each.sum(1)).mean()), unit="share", tol=0.2)


def document(experiment, norm):
    """Return the document's excess of two halves; 0 where there is no book."""
    total, distance = (published.value(f"{experiment}/{key}") for key in (f"{norm}-total", "distance"))
    return total["value"] / distance["value"] - 1 if total else 0.0


for norm in ("l1", "l2"):
    report.number(f"S5.2.1-alg1/{norm}-document", document("S5.2.1-alg1", norm), unit="share", tol=0)
    report.number(f"S5.2.2-alg2/{norm}-document", document("S5.2.2-alg2", norm), unit="share", tol=0)
# fmt: on

# %% [markdown]
r"""
| beyond the distance | middle | best of segment | L1 | L2 | masked L1 | masked L2 |
|---|---|---|---|---|---|---|
| MLP | {glue:text}`S5.2.1-alg1/mlp-middle:.1%` | {glue:text}`S5.2.1-alg1/mlp-best-of-segment:.1%` | {glue:text}`S5.2.1-alg1/mlp-l1:.1%` | {glue:text}`S5.2.1-alg1/mlp-l2:.1%` | {glue:text}`S5.2.2-alg2/mlp-masked-l1:.1%` | {glue:text}`S5.2.2-alg2/mlp-masked-l2:.1%` |
| recorded | {recorded}`S5.2.1-alg1/mlp-middle` | {recorded}`S5.2.1-alg1/mlp-best-of-segment` | {recorded}`S5.2.1-alg1/mlp-l1` | {recorded}`S5.2.1-alg1/mlp-l2` | {recorded}`S5.2.2-alg2/mlp-masked-l1` | {recorded}`S5.2.2-alg2/mlp-masked-l2` |
| convnet | {glue:text}`S5.2.1-alg1/convnet-middle:.1%` | {glue:text}`S5.2.1-alg1/convnet-best-of-segment:.1%` | {glue:text}`S5.2.1-alg1/convnet-l1:.1%` | {glue:text}`S5.2.1-alg1/convnet-l2:.1%` | {glue:text}`S5.2.2-alg2/convnet-masked-l1:.1%` | {glue:text}`S5.2.2-alg2/convnet-masked-l2:.1%` |
| recorded | {recorded}`S5.2.1-alg1/convnet-middle` | {recorded}`S5.2.1-alg1/convnet-best-of-segment` | {recorded}`S5.2.1-alg1/convnet-l1` | {recorded}`S5.2.1-alg1/convnet-l2` | {recorded}`S5.2.2-alg2/convnet-masked-l1` | {recorded}`S5.2.2-alg2/convnet-masked-l2` |
| the study | | | {glue:text}`S5.2.1-alg1/l1-document:.1%` | {glue:text}`S5.2.1-alg1/l2-document:.1%` | {glue:text}`S5.2.2-alg2/l1-document:.1%` | {glue:text}`S5.2.2-alg2/l2-document:.1%` |

**What to notice.** In the convnet, L1 beats L2, as in the study: the difference has a 95-percent interval, over pairs, of {glue:text}`S5.2.1-alg1/convnet-l1-better-low:.1%` to {glue:text}`S5.2.1-alg1/convnet-l1-better-high:.1%` (recorded {recorded}`S5.2.1-alg1/convnet-l1-better-low` to {recorded}`S5.2.1-alg1/convnet-l1-better-high`). It is not strange. With L1 the cost is least
for *every* value between those of the ends: it punishes only overshoot, which is what switches bits needlessly. With L2 one point is best, the mean of the values, which no image may have. (The study has L2 "in the convex hull" of the
number of switches; on vectors of zeros and ones its convex envelope is L1.) In the MLP the norms are closer: {glue:text}`S5.2.1-alg1/mlp-l1-better-low:.1%` to {glue:text}`S5.2.1-alg1/mlp-l1-better-high:.1%` ({recorded}`S5.2.1-alg1/mlp-l1-better-low` to {recorded}`S5.2.1-alg1/mlp-l1-better-high`). An interval that holds zero tells neither from chance, and gets no verdict below.

With masks the difference of the norms is {glue:text}`S5.2.2-alg2/convnet-l1-better-low:.1%` to {glue:text}`S5.2.2-alg2/convnet-l1-better-high:.1%` in the convnet (recorded {recorded}`S5.2.2-alg2/convnet-l1-better-low` to {recorded}`S5.2.2-alg2/convnet-l1-better-high`) and {glue:text}`S5.2.2-alg2/mlp-l1-better-low:.1%` to {glue:text}`S5.2.2-alg2/mlp-l1-better-high:.1%` in the MLP ({recorded}`S5.2.2-alg2/mlp-l1-better-low` to {recorded}`S5.2.2-alg2/mlp-l1-better-high`). With L1 the masked form is worse than algorithm 1, as in the study, by
{glue:text}`S5.2.2-alg2/convnet-worse-low:.1%` to {glue:text}`S5.2.2-alg2/convnet-worse-high:.1%` and {glue:text}`S5.2.2-alg2/mlp-worse-low:.1%` to {glue:text}`S5.2.2-alg2/mlp-worse-high:.1%` ({recorded}`S5.2.2-alg2/convnet-worse-low` to {recorded}`S5.2.2-alg2/convnet-worse-high` and {recorded}`S5.2.2-alg2/mlp-worse-low` to {recorded}`S5.2.2-alg2/mlp-worse-high`): bits that all share feel no force. The study did not look at the segment: its middle costs nothing to find.

Without "approximately $d/2$" the sub-task is trivial: from $x$, L1 stays at $x$, with excess {glue:text}`S5.2.1-alg1/mlp-from-x:.1%` and all of the distance still to go. From noise it ends at {glue:text}`S5.2.1-alg1/mlp-from-noise:.0%`
(recorded {recorded}`S5.2.1-alg1/mlp-from-noise`). The start matters more than the norm.

## Choosing the pattern first

Algorithm 3 takes half of the differing bits by chance from the other image and looks for an image with this pattern. "For now it clearly does not work", perhaps because "there might not be an image". With all bits fixed every value is affine, so a linear program
decides. The control is a pattern read off at the middle of the segment.

:::{admonition} Guess first
:class: tip
One layer with fewer units than pixels; then three layers. Which share of chosen patterns can be reached?
:::
"""


# %% tags=["hide-input"]
def build_small(n, generator):
    """Return the study's network with other widths, untrained."""
    like = {"input_shape": learn.images.shape[1:], "mean": pixel_mean, "std": pixel_std}
    return models.mlp([n] * 3, len(learn.classes), generator=generator, **like)


def reached(network, first, second, depth, generator):
    """Return whether patterns midway between images can be reached: drawn by chance, and read off the segment."""
    gates = [k for k, gate in network.gates.items() if gate.kind == "relu"][:depth]
    a, b, c = (
        network.pattern(z[None].double()).choices for z in (first, second, (first + second) / 2)
    )
    flat = [{k: part[k].flatten(1) for k in gates} for part in (a, b)]
    drawn = targets.between(*flat, generator=generator)
    drawn = {k: bits.view_as(a[k]) for k, bits in drawn.items()}
    kinds = (drawn, {k: c[k] for k in gates})
    return [reachability.reach(network, piecewise.Pattern(kind)).reachable for kind in kinds]


tried, generator = {}, dice(4)
for n in small_widths:
    fit = train.fit(
        net := build_small(n, dice(5)).to(device), images, labels, generator=dice(6), progress=False,
        epochs=small_epochs, learning_rate=learning_rate, batch_size=batch_size,
    )  # fmt: skip
    small = piecewise.trace(net.cpu().eval(), x.shape[1:])
    for depth in (1, 2, 3):
        pairs = zip(x[:n_chosen].cpu(), y[:n_chosen].cpu(), strict=True)
        tried[n, depth] = np.array([reached(small, *pair, depth, generator) for pair in pairs])
layer = models.initialize(nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()), dice(7)).eval()
tiny = [nn.functional.adaptive_avg_pool2d(z.cpu(), 8).mean(1, keepdim=True) for z in (x, y)]
pairs = zip(*tiny, strict=True)
wide = piecewise.trace(layer, (1, 8, 8))
tried["convolution", 1] = np.array([reached(wide, *pair, 1, generator) for pair in pairs])

# %%
aim = bits("MLP", torch.stack([x, y, (x + y) / 2], 1))
part = [{layer: aim[layer][:, k].to(device) for layer in RELUS} for k in range(3)]
goals = {
    "chosen": targets.between(part[0], part[1], generator=dice(8)),
    "from the segment": part[2],
}
wrong = {
    text: targets.seek(nets["MLP"], x, goal, RELUS, n_steps=2 * n_descent).n_wrong.cpu().numpy()
    for text, goal in goals.items()
}
wrong = {text: each / apart["MLP"].sum(1) for text, each in wrong.items()}

# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_chosen} patterns of each kind; {n_pairs} for the convolution and the search")
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained", width_ratios=[1.5, 1])
labels_of = ["conv." if n == "convolution" else f"{n}\n{'1' if depth == 1 else f'1-{depth}'}" for n, depth in tried]
for k, (text, colour) in enumerate((("drawn by chance", "C0"), ("read off the segment", "C1"))):
    axes[0].bar(np.arange(len(tried)) + 0.4 * k - 0.2, [each[:, k].mean() for each in tried.values()], 0.4, color=colour, label=text)
axes[0].set(ylabel="share that can be reached", ylim=(0, 1.3))
axes[0].set_xticks(range(len(tried)), labels_of, fontsize="x-small")
axes[0].legend(fontsize="x-small", ncols=2, loc="upper center")
plots.distributions({text: 100 * each for text, each in wrong.items()}, ax=axes[1], xlabel="wrong bits, in % of the distance")
axes[1].set_yticks([0, 1], ["chosen", "segment"])
axes[1].set_xlim(-1, None)
report.figure(
    fig, name="fig-paths-reach",
    caption=f"Left: share of patterns midway between two images that some image has, by linear programming: small MLPs (units a layer; layers), and one convolution with {wide.gates[next(iter(wide.gates))].n_units} units of pictures of 64 pixels. Right: bits that a search from the first image leaves wrong, in the MLP of the chapter.",
    alt="Left: drawn patterns are reached in " + ", ".join(f"{each[:, 0].mean():.0%}" for each in tried.values()) + f" of the cases, those of the segment always. Right: medians of {100 * np.median(wrong['chosen']):.0f} and {100 * np.median(wrong['from the segment']):.1f} percent.",
)
of_images(f"{n_chosen} patterns of each kind")
largest = small_widths[-1]
report.number("S5.2.3-alg3/one-layer", tried[largest, 1][:, 0].mean(), n=n_chosen, unit="share", tol=0.4, agree=(0.7, 1), label="chosen patterns that can be reached, first layer", note="fewer units than pixels")
report.number("S5.2.3-alg3/two-layers", tried[largest, 2][:, 0].mean(), n=n_chosen, unit="share", tol=0.4)
report.number("S5.2.3-alg3/three-layers", tried[largest, 3][:, 0].mean(), n=n_chosen, unit="share", tol=0.4, label="the same, three layers")
report.number("S5.2.3-alg3/convolution", tried["convolution", 1][:, 0].mean(), n=n_pairs, unit="share", tol=0.3, agree=(0, 0.7), label="the same, one convolution with more units than pixels", note="many of the patterns do not occur")
report.number("S5.2.3-alg3/segment", min(each[:, 1].mean() for each in tried.values()), n=n_chosen, unit="share", tol=0.2, agree=0.001, theory=1, label="patterns of the segment that can be reached, smallest share", note="by construction")
report.number("S5.2.3-alg3/units", largest, tol=0)
of_images(f"{n_pairs} pairs, all layers", "MLP")
for text, key in (("chosen", "wrong"), ("from the segment", "wrong-segment")):
    report.number(f"S5.2.3-alg3/{key}", wrong[text].mean(), spread=wrong[text].std(ddof=1), n=n_pairs, unit="share", tol=0.15, label=f"bits left wrong by the search, as a share of the distance, pattern {text}", agree=(0.05, 1) if key == "wrong" else None, note="even where a program proves that an image exists" if key != "wrong" else "most are out of reach")
# fmt: on

# %% [markdown]
r"""
**What to notice.** In the first layer of {glue:text}`S5.2.3-alg3/units` units {glue:text}`S5.2.3-alg3/one-layer:.0%` of the chosen patterns have an image (recorded {recorded}`S5.2.3-alg3/one-layer`), with three layers
{glue:text}`S5.2.3-alg3/three-layers:.0%` ({recorded}`S5.2.3-alg3/three-layers`), and in a convolution with more units than pixels {glue:text}`S5.2.3-alg3/convolution:.0%` ({recorded}`S5.2.3-alg3/convolution`). Patterns of the segment always
have one. The search leaves {glue:text}`S5.2.3-alg3/wrong:.0%` of the distance wrong for chosen patterns and {glue:text}`S5.2.3-alg3/wrong-segment:.1%` for those of the segment ({recorded}`S5.2.3-alg3/wrong` and
{recorded}`S5.2.3-alg3/wrong-segment`). With three layers, and in the convolution, the study's suspicion is right.

## One objective, or halves of halves

Two more ideas of the study: "$\min_\gamma E[\gamma] + \alpha E[f(\gamma)]$" in place of two optimisations, and "dynamic programming": a midpoint, midpoints between, and so on.

:::{admonition} Guess first
:class: tip
Rank them by exact switches over all layers: segment, geodesic, joint objective, halves of halves.
:::
"""

# %%
joint_steps = n_rounds * n_steps // 3
blends = {
    (norm, a): paths.joint(
        nets["MLP"], x, y, RELUS, a, norm=norm, n_points=n_points, n_steps=joint_steps
    ).points
    for norm in ("l2", "l1")
    for a in alphas
}
halved = midpoints.recursive(nets["MLP"], x, y, RELUS, 4, norm="l1", n_steps=n_descent // 2)
candidates = {"segment": ends["MLP"], "geodesic": geodesics["all"], "halves": halved} | blends
surplus = {
    key: excess(switches("MLP", points), apart["MLP"]) for key, points in candidates.items()
}


def length(points):
    """Return the length of paths in pixels, by that of the segment, on average."""
    steps = points.diff(dim=1).flatten(2).norm(dim=2).sum(1)
    return float((steps / (points[:, -1] - points[:, 0]).flatten(1).norm(dim=1)).mean())


# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_pairs} pairs, all layers", "MLP")
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for norm, marker in (("l2", "o"), ("l1", "s")):
    ax.plot([length(blends[norm, a]) for a in alphas], [100 * surplus[norm, a].mean() for a in alphas], marker=marker, ms=4, lw=1, label=f"joint, {norm.upper()}")
for text, marker in (("segment", "D"), ("geodesic", "^"), ("halves", "v")):
    ax.plot(length(candidates[text]), 100 * surplus[text].mean(), marker=marker, ms=8, ls="none", mfc="none", mec="k")
    ax.annotate(text, (length(candidates[text]), 100 * surplus[text].mean()), xytext=(8, -3), textcoords="offset points", fontsize="small")
ax.set(xlabel="length in pixels, by that of the segment", ylabel="beyond the distance, in %")
ax.legend(fontsize="small")
ax.margins(x=0.12)
report.figure(
    fig, name="fig-paths-joint",
    caption=f"Paths for all layers of the MLP: length in pixels, and exact switches beyond the Hamming distance. Joint objective: weights of the layers from {alphas[0]:g} to {alphas[-1]:g} (left to right), with less than a third of the geodesic's steps.",
    alt=f"Switches beyond the distance: segment {100 * surplus['segment'].mean():.1f} percent at length 1, geodesic {100 * surplus['geodesic'].mean():.1f}, halves {100 * surplus['halves'].mean():.1f} at length {length(halved):.2f}; the joint curves fall from the segment to {100 * min(surplus['l2', a].mean() for a in alphas):.1f} and {100 * min(surplus['l1', a].mean() for a in alphas):.1f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
best = {norm: min(alphas, key=lambda a: surplus[norm, a].mean()) for norm in ("l1", "l2")}
for norm in ("l1", "l2"):
    each = surplus[norm, best[norm]]
    report.number(f"S5.2-joint/{norm}", each.mean(), spread=each.std(ddof=1), n=n_pairs, unit="share", tol=0.06, label=f"joint objective, {norm.upper()}: switches beyond the distance, best weight")
    report.number(f"S5.2-joint/{norm}-alpha", float(best[norm]), tol=1e4)
told, ends_of = over_pairs(surplus["l2", best["l2"]] - surplus["geodesic"])
report.number("S5.2-joint/speed", **told | {"agree": (-1, 0.01)}, tol=0.04, label="joint objective less geodesic, with less than a third of the steps", note="as good, sooner")
for end, value in ends_of.items():
    report.number(f"S5.2-joint/speed-{end}", value, unit="share", tol=0.06)
report.number("S5.2-joint/segment", surplus["segment"].mean(), unit="share", tol=0.08)
report.number("S5.2-joint/geodesic", surplus["geodesic"].mean(), unit="share", tol=0.08)
report.number("S5.2-recursive/halves", surplus["halves"].mean(), spread=surplus["halves"].std(ddof=1), n=n_pairs, unit="share", tol=0.06, label="halves of halves, 17 points: switches beyond the distance")
told, ends_of = over_pairs(surplus["segment"] - surplus["halves"], (0, 1))
report.number("S5.2-recursive/gain", **told, tol=0.05, label="segment less halves of halves", note="midpoints give a path that is a little better")
for end, value in ends_of.items():
    report.number(f"S5.2-recursive/gain-{end}", value, unit="share", tol=0.08)
report.number("S5.2-recursive/length", length(halved), tol=0.4)
report.number("S5.2-recursive/largest", float((sampled("MLP", halved).sum(2).max(1) / apart["MLP"].sum(1)).mean()), unit="share", tol=0.2)
report.number("S5.2-recursive/largest-straight", float((sampled("MLP", paths.straight(x, y, 17)).sum(2).max(1) / apart["MLP"].sum(1)).mean()), unit="share", tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Beyond $d_H$ the segment has {glue:text}`S5.2-joint/segment:.1%`, the geodesic {glue:text}`S5.2-joint/geodesic:.1%`, the joint objective at its best weight {glue:text}`S5.2-joint/l2:.1%` with L2 and
{glue:text}`S5.2-joint/l1:.1%` with L1, halves of halves {glue:text}`S5.2-recursive/halves:.1%` (recorded {recorded}`S5.2-joint/segment`, {recorded}`S5.2-joint/geodesic`, {recorded}`S5.2-joint/l2`, {recorded}`S5.2-joint/l1` and
{recorded}`S5.2-recursive/halves`). One optimisation comes as far as two, or nearly, in less
than a third of the steps: L2 at its best weight, less the geodesic, is {glue:text}`S5.2-joint/speed-low:.1%` to {glue:text}`S5.2-joint/speed-high:.1%` (95-percent interval; recorded {recorded}`S5.2-joint/speed-low` to {recorded}`S5.2-joint/speed-high`; minus is better). But its weight was chosen on these same pairs, and the search for it is not counted.
Halves of halves save {glue:text}`S5.2-recursive/gain-low:.1%` to {glue:text}`S5.2-recursive/gain-high:.1%` on the segment ({recorded}`S5.2-recursive/gain-low` to {recorded}`S5.2-recursive/gain-high`). Zero lies in the recorded interval, so no verdict rests on it. Their steps are not more even: the largest of sixteen takes {glue:text}`S5.2-recursive/largest:.0%` of the distance, on the segment
{glue:text}`S5.2-recursive/largest-straight:.0%` ({recorded}`S5.2-recursive/largest` and {recorded}`S5.2-recursive/largest-straight`).

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Few pairs.** Exact counts in the convnet take seconds a path, so its exact numbers rest on {glue:text}`S5.0-path-claims/pairs-convnet:d` pairs (recorded {recorded}`S5.0-path-claims/pairs-convnet`), and the figures of paths on one. The intervals are over pairs of one trained network: another
network may differ by more.

**Descent stops where it stops.** A geodesic is found by a fixed number of steps, from the segment. Only a path that attains $d_H$ is known to be a shortest one.

**Which network.** The study's kernels are unknown, and its distance may be of another size in another layer. We compare ratios.

**Ties.** An image on a boundary, such as a flat area under a max-pooling, has no pattern of its own; the segment's first piece decides.

:::{admonition} What we learned
:class: important
- $d_H$ is a bound that no path beats. The straight segment attains it in the first layer; the excess grows with depth.
- Between two patterns lie $2^{d_H}$, not $d_H$. With more units than inputs, or more layers, many belong to no image, and not all of the $m!$ orders are paths.
- With max-pooling, patterns and maps part: many switches change nothing, and maps change without a switch.
- In the convnet L1 makes better midpoints than L2, because it asks only to stay in between.
- Steps of one switch are free; fewer switches are not.
:::

## Exercises

```{exercise}
:label: ex-paths-odd
**Which counts are impossible?** (3 minutes). Two patterns of a layer differ in 7 bits. Which of these numbers of switches can a path have: 5, 7, 8, 9, 12, 15?
```
"""


# %% tags=["exercise"]
def possible(n_switches, distance):
    """Return whether a path can have so many switches."""
    return n_switches >= distance  # the bound alone


passed = [n for n in (5, 7, 8, 9, 12, 15) if possible(n, 7)] == [7, 9, 15]
report.check(
    "ex-paths-odd", passed, "A unit that is as before has switched an even number of times."
)


# %% tags=["solution"]
def possible(n_switches, distance):
    """Return whether a path can have so many switches."""
    return n_switches >= distance and (n_switches - distance) % 2 == 0


passed = [n for n in (5, 7, 8, 9, 12, 15) if possible(n, 7)] == [7, 9, 15]
report.check(
    "ex-paths-odd", passed, "A unit that is as before has switched an even number of times."
)

# %% [markdown]
r"""
```{exercise}
:label: ex-paths-first
**The first layer by hand** (5 minutes). At which times $0 < t < 1$ do units switch on the segment from $x$ to $y$, given their values $z_0$ at $x$ and $z_1$ at $y$? Return the sorted times.
```
"""

# %% tags=["exercise"]
with torch.no_grad():
    z0, z1 = (nets["MLP"][:3](z[:1])[0].cpu().double().numpy() for z in (x, y))
first = (lines["MLP"].crossings.segments == 0) & (lines["MLP"].crossings.gates == 0)
truth = lines["MLP"].crossings.times[first]


def times(z0, z1):
    """Return when units switch, in order."""
    return np.sort(z0 / (z0 - z1))  # when the line through both values is zero


passed = times(z0, z1).shape == truth.shape and np.allclose(times(z0, z1), truth, atol=1e-3)
report.check("ex-paths-first", passed, "Not every unit switches between the two images.")


# %% tags=["solution"]
def times(z0, z1):
    """Return when units switch, in order."""
    changed = (z0 > 0) != (z1 > 0)
    return np.sort((z0 / (z0 - z1))[changed])


passed = times(z0, z1).shape == truth.shape and np.allclose(times(z0, z1), truth, atol=1e-3)
report.check("ex-paths-first", passed, "Not every unit switches between the two images.")

# %% [markdown]
r"""
```{exercise}
:label: ex-paths-midway
**How many lie midway?** (3 minutes). Two patterns differ in $d$ bits, $d$ even. How many patterns are at distance $d/2$ from both?
```
"""


# %% tags=["exercise"]
def midway(d):
    """Return the number of patterns at distance d / 2 from both."""
    return d  # as the study has it


passed = [midway(d) for d in (2, 4, 10)] == [2, 6, 252]
report.check(
    "ex-paths-midway", passed, "List them for d = 4: which two bits are taken from the other?"
)


# %% tags=["solution"]
def midway(d):
    """Return the number of patterns at distance d / 2 from both."""
    return math.comb(d, d // 2)


passed = [midway(d) for d in (2, 4, 10)] == [2, 6, 252]
report.check(
    "ex-paths-midway", passed, "List them for d = 4: which two bits are taken from the other?"
)

# %% [markdown]
r"""
## Go further

- Hénaff and Simoncelli {cite:p}`henaff-2016` made geodesics to see which changes of an image a network treats as straight.
- Raghu and colleagues {cite:p}`raghu-2017` count the regions that a path in the plane of inputs meets, through depth and training.
- Hanin and Rolnick {cite:p}`hanin-2019-complexity` derive how many pieces a line meets, from the number of units.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
