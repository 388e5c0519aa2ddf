# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-modelling)=
# What does a unit do before it has learned anything?

**It cuts its inputs with a random {term}`hyperplane` near the origin. A few formulas say how often it is active, how large its values are, and what the next
layer makes of them. They also start a deep network that does not learn from PyTorch's own start.**

```{figure} ../results/real/09_modelling/fig-modelling-start.webp
:name: fig-modelling-hero
:alt: Left: the spread of the pre-activations falls over ten layers along a predicted curve. Right: two training curves rise, one stays flat.

What you will be able to explain: why ten layers with PyTorch's initial weights do not learn, and what one batch of images can do about it. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Predict a random {term}`unit`: its hyperplane, the law of its values, how often it is active.
- State and prove two laws: how many {term}`regions <region>` a layer can make, and the {term}`uniform law`.
- Say what is lost when a {term}`pattern` takes the place of a layer, and when the loss piles up.
- Fold {term}`batch normalisation` into a neighbouring layer, and start a network so that it is normalised already.

**You need** Gaussians, matrices, and some PyTorch. **Time:** 30 minutes to read, one minute to run. **Document:** section 4 of the "Study on Activation Patterns"
{cite:p}`swiniarski-patterns`, two parts of which are marked as work in progress, and a guess from its section 7. **Data:** Gaussian numbers; scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY); in
the recorded run CIFAR-10 {cite:p}`krizhevsky-2009`.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
n_planes, n_white, n_units = 20_000, 20_000, 4000
# random units for each estimate of an agreement, and draws for each law
n_answers, n_laws = 50_000, 100_000
pictures, size, n_look = "digits", 28, 1000
# what the networks subtract from the pixels, in [0, 1], and divide them by
pixel_mean, pixel_std = 0.156, 0.278
width, depth, n_seeds = 128, 10, 3
learning_rate, batch_size = 0.01, 64
epochs, epochs_of_three = 12, 15
other_rates = [0.1, 0.001]

# %% tags=["hide-input"]
import copy
import functools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    arrangements,
    capture,
    checkpoints,
    covariance,
    data,
    models,
    plots,
    published,
    report,
    theory,
    train,
)
from scipy import optimize, stats
from torch import nn

report.start("09_modelling", profile=profile, seed=seed, device=device)
rng = np.random.default_rng(seed)
generator = torch.Generator().manual_seed(seed)

# %% [markdown]
r"""
## A hyperplane near the origin

A {term}`unit` with weights $w$ and bias $b$ is active on one side of the {term}`hyperplane` $\langle w, x\rangle + b = 0$, whose distance from the origin is $|b| / \lVert w\rVert$. (The study's equation 13 has lost
the bars, and its $n_j$ should be the number of inputs.) Before training PyTorch draws weights and bias of a unit with $n$ inputs evenly between $-1/\sqrt n$ and $1/\sqrt n$.

:::{admonition} Guess first
:class: tip
With {published}`S4.1-hyperplane-dist/narrow` inputs a white input (independent standard Gaussians) has a length of about 16. How far from the origin is a typical hyperplane?
:::
"""


# %%
def draw(n_units, n_inputs, rng):
    """Return weights (units, inputs) and biases (units) by PyTorch's default law."""
    bound = n_inputs**-0.5
    return rng.uniform(-bound, bound, (n_units, n_inputs)), rng.uniform(-bound, bound, n_units)


def distances(n_inputs, n_units, rng):
    """Return how far from the origin the hyperplanes of random units lie."""
    found = []
    for _ in range(n_units // 1000):
        weights, biases = draw(1000, n_inputs, rng)
        found.append(np.abs(biases) / np.linalg.norm(weights, axis=1))
    return np.concatenate(found)


distance = {n: distances(n, n_planes, rng) for n in (256, 1024)}

# %% [markdown]
r"""
A sum of $n$ squares is nearly constant, so $\lVert w\rVert$ is close to $1/\sqrt 3$, and the distance is spread evenly from zero to $\sqrt{3/n}$, with a rounded edge.

The study adds a wish: the cut should go through the *median* of the data. We set the biases of random units from half of our images and look at the other half.
"""

# %%
learn, held_out = (data.load(pictures, split, size=size) for split in ("train", "test"))
held_out = held_out.subset(torch.randperm(len(held_out.labels), generator=generator))
look = learn.sample(min(n_look, len(learn.labels)), seed)
x = (look.images.flatten(1).numpy() / 255 - pixel_mean) / pixel_std  # (n, d)

weights, biases = draw(n_units, x.shape[1], rng)
here, there = x[::2] @ weights.T, x[1::2] @ weights.T  # (n / 2, units)
cuts = {
    "bias as drawn": biases,
    "through the mean": -here.mean(0),
    "through the median": -np.median(here, axis=0),
}
active = {name: (there + bias > 0).mean(0) for name, bias in cuts.items()}


# %% tags=["hide-input"]
# fmt: off
def of_images(what=None, first=""):
    """Say that the numbers that follow come from images."""
    report.source(f"{first}{pictures}, {what or f'{len(x):,} images'}", stand_in=None if pictures == "cifar10" else "CIFAR-10")


of_images(first="random units; ")
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for (n, values), color in zip(distance.items(), ("C0", "C1"), strict=True):
    axes[0].hist(values, bins=60, range=(0, 0.13), density=True, alpha=0.4, color=color, label=f"{n} inputs")
    grid = np.linspace(0, 0.13, 400)
    axes[0].plot(grid, theory.hyperplane_pdf(grid, n), color=color)
axes[0].set(xlabel="distance from the origin", ylabel="density")
axes[0].legend()
plots.distributions({name: p[:300] for name, p in active.items()}, ax=axes[1], xlabel="share of images")
axes[1].set_title("where a unit is active", fontsize="small")
axes[1].axvline(0.5, color="0.5", lw=1, ls="--")
report.figure(
    fig, name="fig-modelling-distance",
    caption=f"Left: distances of {n_planes:,} random hyperplanes from the origin; the curves are the prediction. Right: a dot for each of 300 random units, the share of "
    "unseen images for which it is active, with three ways to set the bias; bars are medians.",
    alt=f"Left: two flat blocks with rounded edges, out to {distance[256].max():.2f} and {distance[1024].max():.2f}, with their curves. Right: dots spread over "
    f"{np.ptp(active['bias as drawn']):.2f} as drawn, and over {np.ptp(active['through the median']):.2f} for a cut at the median.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def unequal(p):
    """Return how far the activation probabilities are from a half, on average."""
    return float(np.abs(p - 0.5).mean())


report.source("random units")
for name, n in (("narrow", 256), ("wide", 1024)):
    report.number(f"S4.1-hyperplane-dist/{name}", n, tol=0)
    report.number(f"S4.1-hyperplane-dist/mean-{name}", distance[n].mean(), tol=0.001, agree=0.001, theory=math.sqrt(3 / n) / 2,
                  label=f"mean distance from the origin, {n:,} inputs", n=n_planes)
    report.number(f"S4.1-hyperplane-dist/largest-{name}", distance[n].max(), tol=0.01)
    report.number(f"S4.1-hyperplane-dist/even-{name}", math.sqrt(3 / n), tol=0)
report.number("S4.1-hyperplane-dist/close", distance[256].mean() / 16, unit="share", tol=0.001, agree=(0, 0.02),
              label="mean distance / length of a white input, 256 inputs")
far = np.abs(rng.uniform(-1, 1, 1000)) / np.linalg.norm(draw(1000, 256, rng)[0], axis=1)
report.number("S4.1-hyperplane-dist/close-unscaled", far.mean() / 16, unit="share", tol=0.01)
of_images()
report.number("S4.1-hyperplane-dist/drawn", unequal(active["bias as drawn"]), tol=0.05)
report.number("S4.1-hyperplane-dist/mean-cut", unequal(active["through the mean"]), tol=0.02)
report.number("S4.1-hyperplane-dist/median", unequal(active["through the median"]), tol=0.01, agree=(0, 0.04),
              label="distance of a unit's activation probability from a half, cut at the median", n=n_units)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The mean distance is {glue:text}`S4.1-hyperplane-dist/mean-narrow:.4f` for {published}`S4.1-hyperplane-dist/narrow` inputs and
{glue:text}`S4.1-hyperplane-dist/mean-wide:.4f` for {published}`S4.1-hyperplane-dist/wide` (recorded {recorded}`S4.1-hyperplane-dist/mean-narrow` and
{recorded}`S4.1-hyperplane-dist/mean-wide`), as predicted. The first is {glue:text}`S4.1-hyperplane-dist/close:.2%` of the length of a white input: "very close to the origin" holds, because the
bias is small. With a bias from $-1$ to $1$ it would be {glue:text}`S4.1-hyperplane-dist/close-unscaled:.1%`.

On images the {term}`activation probability` of a unit is {glue:text}`S4.1-hyperplane-dist/drawn:.3f` away from a half on average (recorded {recorded}`S4.1-hyperplane-dist/drawn`), because images have a common part. A cut
through their mean leaves {glue:text}`S4.1-hyperplane-dist/mean-cut:.3f` ({recorded}`S4.1-hyperplane-dist/mean-cut`), through the median {glue:text}`S4.1-hyperplane-dist/median:.3f`
({recorded}`S4.1-hyperplane-dist/median`), the error that so few images leave.

## How many regions?

Hyperplanes cut the space of inputs into {term}`regions <region>`, one for each {term}`pattern` of the layer. How many are there? The study's equation 61 is a guess from small numbers. It is a known
theorem {cite:p}`buck-1943,zaslavsky-1975`. Hyperplanes are in *general position* if any $k \le r$ of them meet in a space of dimension $r - k$, where $r$ is the dimension of the whole, and no more than $r$ meet.
Random ones are, with probability one.

:::{prf:theorem} The study's recurrence
:label: thm-modelling-regions
Let $F(n, r)$ be the number of regions that $n$ hyperplanes in general position make in $r$ dimensions. Then $F(n, 1) = n + 1$, $F(n, n) = 2^n$, and

$$
\begin{aligned}
F(n + 1, r + 1) = {} & F(n, r + 1) \\
& + F(n, r) .
\end{aligned}
$$

It follows that $F(n, r)$ is the sum of the binomials $\binom{n}{k}$ over $k \le r$.
:::

:::{prf:proof}
Add a hyperplane in $r + 1$ dimensions. The $n$ old ones cut it, in general position in *its* $r$ dimensions, into $F(n, r)$ pieces.
Each piece cuts one old region in two, and no region is cut twice, because regions are convex.

The sums of binomials obey the same recurrence, by Pascal's rule, and start alike: with $1$ for $n = 0$, and $n + 1$ for $r = 1$, as $n$ points cut a line. For $r = n$ the sum is $2^n$.
:::

For a layer $r$ is the rank of its weights. The check counts regions by linear programming. Without biases all hyperplanes meet in one point, and more than $r$ of them make fewer.
"""


# %%
def recurrence(n, r):
    """Return the regions of n hyperplanes in r dimensions, by the study's recurrence alone."""
    if n == 0 or r == 1:
        return n + 1
    return recurrence(n - 1, r) + recurrence(n - 1, r - 1)


def count(n, r, bias=1):
    """Return how many regions n random units with r inputs make, found by linear programming."""
    weights, biases = draw(n, r, rng)
    return len(arrangements.regions(weights, bias * biases).patterns)


shapes = [(n, r) for r in (1, 2, 3) for n in range(1, 7)]
assert all(count(*shape) == recurrence(*shape) for shape in shapes)
assert count(6, 3, bias=0) < recurrence(6, 3)  # all through one point

# %% tags=["remove-cell"]
# fmt: off
report.source("random units")
report.number("S4.1-hyperplane-dist/layers", len(shapes), tol=0)
report.number("S4.1-hyperplane-dist/regions", count(6, 3), tol=0)
report.number("S4.1-hyperplane-dist/regions-central", count(6, 3, bias=0), tol=0)
report.number("S4.1-hyperplane-dist/regions-plane", arrangements.affine(256, 2), tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** All {glue:text}`S4.1-hyperplane-dist/layers` random layers have the count of the theorem. Six units with three inputs make {glue:text}`S4.1-hyperplane-dist/regions` regions, and only
{glue:text}`S4.1-hyperplane-dist/regions-central` without biases. With as many inputs as units all $2^n$ patterns occur; on a plane 256 units make
{glue:text}`S4.1-hyperplane-dist/regions-plane:,` regions at most.

## One unit

Now let the input be white. Then $\langle w, x\rangle + b$ is Gaussian, with mean $b$ and standard deviation $\sigma_X \lVert w\rVert$: the equation $\sigma = f(\sigma_X, \sigma_W, b)$ that the study wishes for, here
with $\sigma_X = 1$.

The study read off a mean of {published}`S4.2-first-layer-dist/mean` and a standard deviation of {published}`S4.2-first-layer-dist/sd` for one unit, and does not tell the number of inputs. We take many units
with three numbers of inputs.
"""

# %%
units = {}
for n in (16, 64, 256):
    drawn, shifts = draw(300, n, rng)
    white = rng.normal(size=(n_white, n)).astype(np.float32)
    values = np.maximum(white @ drawn.T + shifts, 0)  # (n_white, units)
    measured = theory.Law(values.mean(0), values.std(0))
    predicted = theory.rectified_normal(shifts, np.linalg.norm(drawn, axis=1))
    units[n] = measured, predicted
usual = theory.rectified_normal(np.linspace(-0.25, 0.25), 3**-0.5)  # every bias, the usual norm

# %% tags=["hide-input"]
# fmt: off
S42 = [published.value(f"S4.2-first-layer-dist/{key}")["value"] for key in ("mean", "sd")]
report.source(f"{n_white:,} Gaussian inputs, 300 random units")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained")
one, edges = values[:, 0], np.linspace(0, 2.4, 49)
axes[0].hist(one[one > 0], edges, alpha=0.5)
axes[0].bar(-0.06, (one == 0).sum(), 0.05, color="C1", label="zero")
axes[0].plot(edges, n_white * 0.05 * stats.norm.pdf(edges, shifts[0], np.linalg.norm(drawn[0])), color="k", lw=1.2, label="predicted")
axes[0].set(yscale="log", ylim=(1, 4 * n_white), xlabel="value", ylabel="inputs in a bin of 0.05")
axes[0].legend(loc="upper right", fontsize="small")
for n, color in zip(units, ("C1", "C2", "C0"), strict=True):
    axes[1].plot(*units[n][0], ".", ms=4, color=color, alpha=0.6, label=f"{n} inputs")
axes[1].plot(*usual, color="k", lw=1)
axes[1].plot(*S42, "*", ms=12, color="C3", mec="k", label="document")
axes[1].set(xlabel="mean", ylabel="standard deviation")
axes[1].legend(fontsize="small")
report.figure(
    fig, name="fig-modelling-unit",
    caption="Left: the values of one random unit for white inputs, on a logarithmic scale, and the predicted bell. Right: mean and standard deviation of 300 units with each number of inputs. The line is the "
    "prediction for every bias and a weight vector of the usual length.",
    alt=f"Left: a bar of {(one == 0).sum():,} zeros beside a falling half-bell along its curve. Right: clouds of units along a rising line, wide for 16 inputs, narrow for 256, whose means "
    f"end at {units[256][0].mean.max():.2f}; the document's star lies on the line at {S42[0]:.2f}.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def over(values):
    """Return mean and spread as a number's value and spread."""
    return {"value": float(np.mean(values)), "spread": float(np.std(values, ddof=1)), "n": len(values)}


measured, predicted = units[256]
report.source(f"{n_white:,} Gaussian inputs, 300 random units with 256 inputs")
report.number("S4.2-first-layer-dist/mean", **over(measured.mean), tol=0.004, agree=0.006, theory=float(theory.rectified_normal(0, 3**-0.5).mean),
              label="mean of a unit after ReLU", note="over units; the document's is of one unit, whose bias was positive")
report.number("S4.2-first-layer-dist/sd", **over(measured.sd), tol=0.003, agree=0.004, theory=float(theory.rectified_normal(0, 3**-0.5).sd),
              label="standard deviation of a unit after ReLU", note="over units")
report.number("S4.2-first-layer-dist/error-mean", float(np.abs(measured.mean - predicted.mean).max()), tol=0.004)
report.number("S4.2-first-layer-dist/error-sd", float(np.abs(measured.sd - predicted.sd).max()), tol=0.004)
report.number("S4.2-first-layer-dist/spread-16", float(units[16][0].mean.std()), tol=0.01)
positive = [column[column > 0] for column in values.T]
bent = [stats.kstest(y, stats.halfnorm(scale=math.sqrt((y**2).mean())).cdf).statistic for y in positive]
report.number("S4.2-first-layer-dist/shape", **over(bent), tol=0.01, agree=(0, 0.04), label="positive values: distance from a half-normal law",
              note="largest difference of the cumulative shares; a bias bends the law a little")
straight = rng.exponential(size=10_000)
report.number("S4.2-first-layer-dist/shape-exponential",
              stats.kstest(straight, stats.halfnorm(scale=math.sqrt((straight**2).mean())).cdf).statistic, tol=0.02)
# fmt: on

# %% [markdown]
r"""
**What to notice.** No unit with 256 inputs is farther than {glue:text}`S4.2-first-layer-dist/error-mean:.3f` from its predicted mean. Over these units the mean is
{glue:text}`S4.2-first-layer-dist/mean:.3f` and the standard deviation {glue:text}`S4.2-first-layer-dist/sd:.3f` (recorded {recorded}`S4.2-first-layer-dist/mean` and
{recorded}`S4.2-first-layer-dist/sd`). With few inputs $b$ and $\lVert w\rVert$ vary much, and so do the two numbers: the study's pair is *one* draw, no constant.

The positive values look "like a centered gaussian with strictly positive elements only". That holds, up to the bias: their law differs from a {term}`half-normal <half-normal law>` one by
{glue:text}`S4.2-first-layer-dist/shape:.3f` in cumulative share (an exponential law by {glue:text}`S4.2-first-layer-dist/shape-exponential:.3f`).

## A fit, and a slip in it

The study models the unit as $A = B\,|Y|$: a fair coin $B$, and a Gaussian $Y$ with mean zero and standard deviation $\sigma$. From mean and standard deviation of the positive values,
{published}`S4.2b-halfnormal-fit/positive-mean` and {published}`S4.2b-halfnormal-fit/positive-sd`, it estimates $\sigma$ twice, by its equations 20 and 21:

$$
\mu_{|Y|} = \sigma \sqrt{2/\pi},
\qquad
\sigma_{|Y|} = \sigma^2 - \mu_{|Y|}^2 .
$$

The second one has a length on its left, and a square on its right. Which was used?
"""


# %%
def estimates(mean, sd):
    """Return sigma from mean and standard deviation of the positive values, in four ways."""
    return {
        "from-mean": mean / np.sqrt(2 / np.pi),  # (20)
        "as-printed": np.sqrt(sd + mean**2),  # (21), word for word
        "from-sd": np.sqrt(sd**2 + mean**2),  # (21) with a square on the left
        "sd-alone": sd / np.sqrt(1 - 2 / np.pi),  # both together, without the mean
    }


# %% tags=["remove-cell"]
# fmt: off
def above_zero(bias, norm):
    """Return mean and standard deviation of a Gaussian where it is positive."""
    law = stats.truncnorm(-bias / norm, np.inf, bias, norm)
    return law.mean(), law.std()


printed = [published.value(f"S4.2b-halfnormal-fit/{key}")["value"] for key in ("positive-mean", "positive-sd")]
theirs = estimates(*printed)
ours = estimates(*np.array([(y.mean(), y.std()) for y in positive]).T)
unit = optimize.root(lambda p: np.subtract(above_zero(*p), printed), (0, 0.5)).x
law = theory.rectified_normal(*unit)
report.number("S4.2b-halfnormal-fit/positive-mean", **over([y.mean() for y in positive]), tol=0.004, agree=0.006, theory=math.sqrt(2 / 3 / math.pi),
              label="mean of the positive values")
report.number("S4.2b-halfnormal-fit/positive-sd", **over([y.std() for y in positive]), tol=0.003, agree=0.004, theory=math.sqrt((1 - 2 / math.pi) / 3),
              label="standard deviation of the positive values")
NOTES = {"from-mean": "over units; the document's unit had a bias", "from-sd": "equation 21 with the square that it lacks"}
for name, found in ours.items():
    labelled = {"label": f"sigma, {name.replace('-', ' ')}", "agree": 0.01, "theory": 3**-0.5, "note": NOTES[name]} if name in NOTES else {}
    report.number(f"S4.2b-halfnormal-fit/{'sigma-' * (name in NOTES)}{name}", **over(found), tol=0.006, **labelled)
    report.number(f"S4.2b-halfnormal-fit/document-{name}", float(theirs[name]), tol=0)
signed = values * rng.choice([-1, 1], values.shape)
signs = [signed[:, k][signed[:, k] != 0] for k in range(signed.shape[1])]
report.number("S4.2b-halfnormal-fit/signed-mean", float(np.mean([y.mean() for y in signs])), tol=0.005, agree=0.01, label="positive values with a random sign: mean")
report.number("S4.2b-halfnormal-fit/signed-sd", **over([y.std() for y in signs]), tol=0.006, agree=0.01, theory=3**-0.5,
              label="positive values with a random sign: standard deviation")
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("S4.2b-halfnormal-fit/truth", 3**-0.5, tol=0)
report.number("S4.2b-halfnormal-fit/unit-bias", float(unit[0]), tol=1e-4)
report.number("S4.2b-halfnormal-fit/unit-norm", float(unit[1]), tol=1e-4)
report.number("S4.2b-halfnormal-fit/unit-mean", float(law.mean), tol=1e-4)
report.number("S4.2b-halfnormal-fit/unit-sd", float(law.sd), tol=1e-4)
report.number("S4.2b-halfnormal-fit/lower", float(values.std()), tol=0.005, agree=(0, 0.99), label="standard deviation of an activation, where that of an input is 1")
report.number("S4.2b-halfnormal-fit/lower-large", float(np.maximum(4 * (white[:2000] @ drawn.T), 0).std()), tol=0.05)
# fmt: on

# %% [markdown]
r"""
| estimate of $\sigma$ | document's numbers | ours, 300 units |
|---|---|---|
| from the mean (20) | {glue:text}`S4.2b-halfnormal-fit/document-from-mean:.4f`, printed {published}`S4.2b-halfnormal-fit/sigma-from-mean` | {glue:text}`S4.2b-halfnormal-fit/sigma-from-mean:.4f` |
| from (21) as printed | {glue:text}`S4.2b-halfnormal-fit/document-as-printed:.4f` | {glue:text}`S4.2b-halfnormal-fit/as-printed:.4f` |
| from (21), left side squared | {glue:text}`S4.2b-halfnormal-fit/document-from-sd:.4f`, printed {published}`S4.2b-halfnormal-fit/sigma-from-sd` | {glue:text}`S4.2b-halfnormal-fit/sigma-from-sd:.4f` |
| from the standard deviation alone | {glue:text}`S4.2b-halfnormal-fit/document-sd-alone:.4f` | {glue:text}`S4.2b-halfnormal-fit/sd-alone:.4f` |
| truth, $1/\sqrt 3$ | | {glue:text}`S4.2b-halfnormal-fit/truth:.4f` |

**What to notice.** Equations 19 and 21 give the *variance*: the printed result comes out only with the square (and a rounding).

Why are the study's estimates above the truth? A half-normal law leaves out the bias. With it the positive values are a *truncated* Gaussian, and two numbers give
two unknowns: $b =$ {glue:text}`S4.2b-halfnormal-fit/unit-bias:.3f` and $\lVert w\rVert =$ {glue:text}`S4.2b-halfnormal-fit/unit-norm:.3f`. After its {term}`ReLU` such a unit has a mean of
{glue:text}`S4.2b-halfnormal-fit/unit-mean:.3f` and a standard deviation of {glue:text}`S4.2b-halfnormal-fit/unit-sd:.3f`, and the study prints {published}`S4.2-first-layer-dist/mean` and
{published}`S4.2-first-layer-dist/sd`: all four numbers fit one unit.

That an {term}`activation` spreads less than the input holds ({glue:text}`S4.2b-halfnormal-fit/lower:.3f` against one), for PyTorch's weights: four times as large ones give
{glue:text}`S4.2b-halfnormal-fit/lower-large:.2f`.

## Two units, and what batch normalisation does to them

Batch normalisation subtracts from each unit its mean and divides by its standard deviation {cite:p}`ioffe-2015`. The study draws that as a new frame in red, with the mean as origin and the standard
deviation as length. It takes the values after the ReLU; usually the norm stands before it. We draw both. The two that see images have the largest correlation of those that are neither nearly always nor nearly never active.
"""

# %% tags=["hide-input"]
# fmt: off
z_white, z_images = white @ drawn.T + shifts, x @ weights[:256].T + biases[:256]
correlation = np.corrcoef(z_images.T)
mixed = np.abs((z_images > 0).mean(0) - 0.5) < 0.3  # active for some images, for others not
tilted = np.triu(correlation, 1) * np.outer(mixed, mixed)
pair = np.unravel_index(tilted.argmax(), tilted.shape)
clouds = {"white inputs": z_white[:1000, :2], "images": z_images[:: max(1, len(x) // 1000), list(pair)]}
of_images(first="Gaussian inputs; ")
fig, axes = plt.subplots(2, 2, figsize=(7, 6.2), layout="constrained")
for row, (name, z) in zip(axes, clouds.items(), strict=True):
    for ax, points in zip(row, (z, np.maximum(z, 0)), strict=True):
        (x0, y0), (dx, dy) = points.mean(0), points.std(0)
        ax.plot(*points.T, ".", ms=3, alpha=0.5)
        ax.plot([x0 - dx, x0 + dx, np.nan, x0, x0], [y0, y0, np.nan, y0 - dy, y0 + dy], color="r", lw=2)
        ax.axhline(0, color="0.6", lw=0.8)
        ax.axvline(0, color="0.6", lw=0.8)
        ax.set(aspect="equal", xlabel="first unit" if row is axes[1] else "")
    row[0].set(ylabel=f"{name}\nsecond unit")
axes[0, 0].set_title("before ReLU", fontsize="small")
axes[0, 1].set_title("after ReLU, as in the document", fontsize="small")
report.figure(
    fig, name="fig-modelling-frame",
    caption="Two units of a first layer, a dot an input; grey: the axes, red: the frame of batch normalisation, one standard deviation to each side of the mean. The two units that see images are the most correlated ones of 256.",
    alt=f"White inputs: a round cloud, after ReLU {(clouds['white inputs'] <= 0).all(1).mean():.0%} of the dots in one corner and more on the axes. Images: a tilted streak, correlation "
    f"{correlation[pair]:.2f}. The red crosses sit in the middle, never tilted.",
)
# fmt: on


# %%
def fold(norm, linear):
    """Return weight and bias of a layer that does what ``norm`` and then ``linear`` do."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - scale * norm.running_mean
    return linear.weight * scale, linear.bias + linear.weight @ shift


f = torch.from_numpy(np.maximum(z_white, 0)).double()  # (n_white, 300)
norm = nn.BatchNorm1d(f.shape[1], momentum=None, dtype=torch.float64)
linear = models.initialize(nn.Linear(f.shape[1], 256, dtype=torch.float64), generator)
with torch.no_grad():
    norm.weight.normal_(generator=generator)  # as if they had been learned
    norm.bias.normal_(generator=generator)
    norm(f[::2])  # takes the statistics of half of the inputs
    expected = linear(norm.eval()(f[1::2]))
    gap = (nn.functional.linear(f[1::2], *fold(norm, linear)) - expected).abs().max()
    assert gap < 1e-12 * expected.abs().max()


# %% tags=["remove-cell"]
# fmt: off
def directions(matrix):
    """Return the effective number of directions of a covariance matrix: tr(C)^2 / tr(C^2)."""
    return float(np.trace(matrix)**2 / (matrix**2).sum())


report.source(f"{n_white:,} Gaussian inputs, 300 random units with 256 inputs")
normed = ((f[1::2] - f[::2].mean(0)) / f[::2].std(0)).numpy()
report.number("S4.3.1-bn-frame/origin", float(f.mean()), tol=0.004, theory=float(theory.rectified_normal(0, 3**-0.5).mean))
report.number("S4.3.1-bn-frame/normalized", **over(normed.std(0)), tol=0.005, agree=(0.95, 1.05), label="standard deviation in the new frame, other inputs")
report.number("S4.3.1-bn-frame/before", **over(f[1::2].numpy().std(0)), tol=0.005)
report.number("S4.3.1-bn-frame/corner", float((clouds["white inputs"] <= 0).all(1).mean()), unit="share", tol=0.05)
with torch.no_grad():
    careless = copy.deepcopy(norm)
    careless.eps = 0.0
    wrong = (nn.functional.linear(f[1::2], *fold(careless, linear)) - expected).abs().max()
largest = expected.abs().max()
report.number("S4.3.1-bn-frame/integrate", float(gap / largest), tol=1e-13, agree=(0, 1e-12), label="norm folded into the next layer: largest relative error")
report.number("S4.3.1-bn-frame/without-eps", float(wrong / largest), tol=1e-3)
of_images()
report.number("S4.3.1-bn-frame/correlation", float(np.abs(correlation[pair])), tol=0.1)
report.number("S4.3.1-bn-frame/directions", directions(np.cov(z_images.T)), tol=3)
report.number("S4.3.1-bn-frame/directions-after", directions(correlation), tol=3)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The origin moves and the unit of length changes: on other inputs the standard deviation is {glue:text}`S4.3.1-bn-frame/normalized:.3f`, where it was
{glue:text}`S4.3.1-bn-frame/before:.3f`. The frame is never turned, and the correlation of two units stays. The next layer can "cut a ball", says the study. With images the cloud is no
ball: 256 units vary in about {glue:text}`S4.3.1-bn-frame/directions:.1f` directions before the norm and {glue:text}`S4.3.1-bn-frame/directions-after:.1f` after it (recorded
{recorded}`S4.3.1-bn-frame/directions` and {recorded}`S4.3.1-bn-frame/directions-after`; the effective number $\mathrm{tr}(C)^2 / \mathrm{tr}(C^2)$ of their covariance $C$).

"We can actually integrate this part in our network": `fold` moves the norm into the next layer, with a relative error of
{glue:text}`S4.3.1-bn-frame/integrate:.0e` in double precision (forget the small `eps` in the root, and it is {glue:text}`S4.3.1-bn-frame/without-eps:.0e`). That is the norm after training; while it learns it depends on the batch.

## Zeros and ones in place of a layer

Can the pattern $a$ stand for the activations $f$? The study asks how often a unit of the next layer gives both the same sign, and finds {published}`S4.3.2-agree79/agreement`, "always". A random unit
parts two vectors with a probability of their angle over $\pi$. For a half-normal $f$ the cosine of the angle is $E[f a] / \sqrt{E f^2\, E a^2} = \sqrt{2/\pi}$, so they
agree with probability $1 - \arccos(\sqrt{2/\pi}) / \pi$, and a little more in a finite layer:

```{literalinclude} ../actlib/theory.py
:pyobject: pattern_agreement
```

:::{admonition} Guess first
:class: tip
One unit in five is wrong after one layer. "And so on", says the study. Put a pattern in place of *every* layer: how many units are wrong in the tenth? And if only the first layer is replaced?
:::
"""


# %%
def agreement(n, rng, centre=False):
    """Return for each of some random networks how often layer and pattern give equal signs."""
    shares = []
    for _ in range(n_answers // n):
        (w1, b1), (w2, b2) = draw(n, n, rng), draw(n, n, rng)
        f = np.maximum(rng.normal(size=(100, n)) @ w1.T + b1, 0)
        a = (f > 0).astype(float)
        if centre:  # what a norm leaves: no mean, no bias
            f, a, b2 = f - f.mean(0), a - a.mean(0), 0
        shares.append(((f @ w2.T + b2 > 0) == (a @ w2.T + b2 > 0)).mean())
    return np.array(shares)


# %% tags=["hide-input"]
# fmt: off
def in_depth(n, depth, rng, every):
    """Return the agreement in layers 2, 3, ... of a random network without biases."""
    f = np.maximum(rng.normal(size=(50, n)) @ rng.normal(size=(n, n)), 0)
    g, shares = f > 0, []
    for _ in range(depth - 1):
        w = rng.normal(size=(n, n)) * math.sqrt(2 / n)
        f, g = f @ w, g @ w
        shares.append(((f > 0) == (g > 0)).mean())
        f, g = np.maximum(f, 0), (g > 0) if every else np.maximum(g, 0)
    return shares


simulated = {n: agreement(n, rng) for n in (16, 64, 256, 1024)}
without_mean = agreement(256, rng, centre=True)
rules = {"every layer replaced": theory.pattern_correlation, "only the first": theory.arc_cosine}
deep, predicted = {}, {}
for name, rule in rules.items():
    every = rule is theory.pattern_correlation
    draws = [in_depth(256, depth, rng, every) for _ in range(n_answers // 1000)]
    correlations = [theory.pattern_correlation()]  # in the second layer
    for _ in range(depth - 2):
        correlations.append(rule(correlations[-1]))
    deep[name] = np.array(draws)  # (networks, depth - 1)
    predicted[name] = theory.arc_cosine(np.array(correlations), 0)
# fmt: on

# %% [markdown]
r"""
Those weights are random. We also train networks with three hidden layers and put patterns in place of their layers; the next layer keeps its trained weights. An active unit then gives $E[f \mid f > 0]$,
its *usual value*. Control: the pattern of another image.
"""


# %%
def binarised(net, layers, another=False):
    """Return a block in which patterns take the place of layers; ``another``: those of other images."""
    edits = {}
    for name, f in capture.collect(net, look.images, layers, progress=False).items():
        usual = f.sum(0) / np.maximum((f > 0).sum(0), 1)  # E[f | f > 0] of each unit
        edits[name] = functools.partial(replace, torch.from_numpy(usual), another)
    return capture.edit(net, edits)


def replace(usual, another, f):
    """Return the pattern of ``f``, or that of other images, times the usual values."""
    bits = f.roll(len(f) // 2, 0) > 0 if another else f > 0
    return bits * usual.to(f)


# %% tags=["hide-input"]
# fmt: off
def accuracy(net):
    """Return the accuracy on held-out images."""
    return train.accuracy(net, held_out.images, held_out.labels.to(device))


def signs(net):
    """Return whether the pre-activations of the second and the third layer are positive."""
    found = capture.collect(net, held_out.images, ["fc2", "fc3"], progress=False)
    return np.stack([z > 0 for z in found.values()])  # (2, n, units)


images, labels = learn.images.to(device), learn.labels.to(device)
recipe = {"learning_rate": learning_rate, "batch_size": batch_size}
network = functools.partial(models.mlp, n_classes=len(learn.classes), input_shape=tuple(images.shape[1:]), mean=pixel_mean, std=pixel_std)
trained = [checkpoints.load_or_fit("modelling-three", functools.partial(network, [width] * 3), images, labels, seed=k, epochs=epochs_of_three, **recipe)
           for k in range(seed, seed + n_seeds)]
every = ["relu1", "relu2", "relu3"]
places = {"first": every[:1], "second": every[1:2], "third": every[2:], "all": every}
kinds = {"its own pattern": False, "another image's": True}
scores, agreeing = np.empty((n_seeds, len(kinds), 1 + len(places))), np.empty((n_seeds, 2, 2))
for net, each, alike in zip([fit.model for fit in trained], scores, agreeing, strict=True):
    each[:, 0] = accuracy(net)
    for i, j in np.ndindex(len(kinds), len(places)):
        with binarised(net, list(places.values())[j], list(kinds.values())[i]):
            each[i, j + 1] = accuracy(net)
    intact = signs(net)
    for k, layers in enumerate((every, every[:1])):
        with binarised(net, layers):
            alike[k] = (signs(net) == intact).mean((1, 2))
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(held_out.labels):,} held-out images", first="Gaussian inputs; ")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained", width_ratios=(1, 1.4))
for n, shares in simulated.items():
    axes[0].errorbar(n, shares.mean(), 2 * shares.std() / math.sqrt(len(shares)), fmt="o", color="C0", capsize=3)
grid = np.geomspace(64, 2000, 50)
axes[0].plot(grid, [theory.pattern_agreement(n) for n in grid], color="C0")
axes[0].axhline(theory.pattern_agreement(), color="0.5", lw=1, ls="--")
axes[0].set(xscale="log", xlabel="units of a layer", ylabel="equal signs, second layer")
for name, marker, color, own in zip(rules, "os", ("C1", "C2"), (0, 1), strict=True):
    axes[1].plot(np.arange(2, depth + 1), predicted[name], color=color)
    axes[1].plot(np.arange(2, depth + 1), deep[name].mean(0), marker, ms=5, color=color, label=name)
    axes[1].plot([2, 3], agreeing[:, own].mean(0), marker, ms=8, mfc="none", color="k", label="the same, trained")
axes[1].axhline(theory.arc_cosine(theory.BINARISED_FIXED_POINT, 0), color="0.5", lw=1, ls="--")
axes[1].set(xlabel="layer", ylabel="equal signs")
fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
report.figure(
    fig, name="fig-modelling-agreement",
    caption="How often a unit answers alike to a layer and to its pattern. Left: in the second layer, against the number of units; bars are two standard errors. Right: in the layers of random networks, dots simulated, "
    "curves (in both panels) predicted. Dashed: the limits. Black: trained networks with their own weights.",
    alt=f"Left: dots fall from {simulated[16].mean():.3f} to {simulated[1024].mean():.3f}, along a curve. Right: with every layer replaced they fall to {deep['every layer replaced'][:, -1].mean():.3f} and stay, with only the "
    f"first they rise to {deep['only the first'][:, -1].mean():.3f}; trained networks start at {agreeing[:, 0, 0].mean():.2f}.",
)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(held_out.labels):,} held-out images", first=f"{len(trained)} trained networks; ")
fig, ax = plt.subplots(figsize=(7, 2.7), layout="constrained")
plots.steps(["none", *places], dict(zip(kinds, scores.mean(0), strict=True)), ax=ax, ylabel="accuracy")
for i, j in np.ndindex(scores.shape[:2]):
    ax.plot(scores[i, j], color=f"C{j}", lw=0.6, alpha=0.6)
ax.axhline(1 / len(learn.classes), color="0.5", lw=1, ls=":")
ax.set(xlabel="layer that a pattern replaces", ylim=(0, 1.15 * scores.max()))
ax.tick_params(axis="x", rotation=0)
ax.legend(fontsize="small", loc="upper right")
report.figure(
    fig, name="fig-modelling-binarised",
    caption=f"Accuracy of {len(trained)} trained networks (thin lines) and their mean, with a pattern in place of layers. An active unit gives its usual value. Control: the pattern of another image. Dotted: chance.",
    alt=f"From {scores[:, 0, 0].mean():.2f} the line falls to {scores[:, 0, 1].mean():.2f} with the first layer replaced, {scores[:, 0, 3].mean():.2f} with the third, {scores[:, 0, -1].mean():.2f} with all. With another "
    f"image's pattern it is at chance, {scores[:, 1, 1:].mean():.2f}, everywhere.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.source("Gaussian inputs, random networks")
for n, shares in simulated.items():
    name = "agreement" if n == 256 else f"agreement-{n}"
    told = {"label": f"equal signs for a layer of {n:,} units and its pattern", "agree": 0.004, "theory": theory.pattern_agreement(n)} if n >= 64 else {}
    report.number(f"S4.3.2-agree79/{name}", float(shares.mean()), n=len(shares) * n, unit="share", tol=0.005, **told)
report.number("S4.3.2-agree79/formula", theory.pattern_agreement(256), unit="share", tol=0)
report.number("S4.3.2-agree79/limit", theory.pattern_agreement(), unit="share", tol=0)
report.number("S4.3.2-agree79/wrong", 1 - float(simulated[256].mean()), unit="share", tol=0.005, agree=0.01, label="wrong signs after one pattern")
centred = float(theory.arc_cosine(theory.CENTRED_PATTERN_CORRELATION, 0))
report.number("S4.3.2-agree79/centred", float(without_mean.mean()), unit="share", tol=0.006, agree=0.006, theory=centred, label="equal signs, both centred")
report.number("S4.3.2-agree79/centred-formula", centred, unit="share", tol=0)
report.number("S4.3.2-agree79/fixed-point", float(theory.arc_cosine(theory.BINARISED_FIXED_POINT, 0)), unit="share", tol=0)
for name, curve in deep.items():
    key = name.split()[0].replace("only", "first")
    report.number(f"S4.3.2-agree79/{key}-last", float(curve[:, -1].mean()), n=len(curve), unit="share", tol=0.012, agree=0.012, theory=float(predicted[name][-1]),
                  label=f"equal signs in layer {depth}, {name}")
    report.number(f"S4.3.2-agree79/{key}-last-formula", float(predicted[name][-1]), unit="share", tol=0)
report.number("S4.3.2-agree79/compound", float(1 - deep["every layer replaced"][:, -1].mean()), unit="share", tol=0.012, agree=(0.4, 0.6),
              label=f"wrong signs in layer {depth}, every layer replaced", note="errors that add up would lead to a half")
added = 1 - 2 * (1 - float(theory.pattern_agreement()))
report.number("S4.3.2-agree79/compound-added", (1 - added ** (depth - 1)) / 2, unit="share", tol=0)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
of_images(f"{len(held_out.labels):,} held-out images", first=f"{len(trained)} trained networks; ")
for (k, key), (j, layer) in ((a, b) for a in enumerate(("every", "first")) for b in enumerate(("second", "third"))):
    label = f"equal signs in the {layer} layer, trained, {list(rules)[k]}" if (k, j) != (1, 0) else None  # the same as (0, 0)
    report.number(f"S4.3.2-agree79/trained-{key}-{layer}", **over(agreeing[:, k, j]), unit="share", tol=0.05, label=label)
report.number("S4.3.2-agree79/accuracy", **over(scores[:, 0, 0]), unit="share", tol=0.05, label="accuracy of three hidden layers")
for i, key in enumerate(("own", "other")):
    for j, place in enumerate(places, 1):
        label = f"accuracy, a pattern in place of {'all layers' if place == 'all' else f'the {place} layer'}" if i == 0 else None
        report.number(f"S4.3.2-agree79/{key}-{place}", **over(scores[:, i, j]), unit="share", tol=(0.2, 0.05)[i], label=label)
# fmt: on

# %% [markdown]
r"""
**What to notice.** With 256 units {glue:text}`S4.3.2-agree79/agreement:.1%` of the signs agree (recorded {recorded}`S4.3.2-agree79/agreement`); the formula gives
{glue:text}`S4.3.2-agree79/formula:.2%`, and {glue:text}`S4.3.2-agree79/limit:.3%` for infinitely many. Part of it is due to the mean that
$f$ and $a$ share: centred, as a norm would have them, {glue:text}`S4.3.2-agree79/centred:.1%` agree (formula {glue:text}`S4.3.2-agree79/centred-formula:.1%`).

For random weights "and so on" is wrong. With every layer replaced, independent errors would make {glue:text}`S4.3.2-agree79/compound-added:.0%` of the signs wrong in layer ten, but
{glue:text}`S4.3.2-agree79/every-last:.1%` are right (recorded {recorded}`S4.3.2-agree79/every-last`). From layer to layer the correlation $c$ of the two {term}`pre-activations <pre-activation>` becomes $(1 + c) / \sqrt{2\pi}$. It comes to rest at
$c = 1 / (\sqrt{2\pi} - 1)$, an agreement of {glue:text}`S4.3.2-agree79/fixed-point:.2%`. And if only the first layer is replaced, those behind *repair* it: a random ReLU layer draws two vectors together, and
{glue:text}`S4.3.2-agree79/first-last:.1%` agree in layer ten ({recorded}`S4.3.2-agree79/first-last`).

For trained weights none of this need hold. With every layer replaced {glue:text}`S4.3.2-agree79/trained-every-second:.1%` of the signs agree in the second layer and
{glue:text}`S4.3.2-agree79/trained-every-third:.1%` in the third (recorded {recorded}`S4.3.2-agree79/trained-every-second` and {recorded}`S4.3.2-agree79/trained-every-third`);
with only the first, {glue:text}`S4.3.2-agree79/trained-first-third:.1%` in the third ({recorded}`S4.3.2-agree79/trained-first-third`). And equal signs are not equal answers:
the accuracy falls from {glue:text}`S4.3.2-agree79/accuracy:.1%` to {glue:text}`S4.3.2-agree79/own-first:.1%` with a pattern in place of the first layer, and to
{glue:text}`S4.3.2-agree79/own-all:.1%` with three (recorded {recorded}`S4.3.2-agree79/accuracy`, {recorded}`S4.3.2-agree79/own-first` and {recorded}`S4.3.2-agree79/own-all`). These losses do pile up: "might not be a good idea after all"
is right for trained networks.

## The uniform law

Let now the input be a random pattern: $x \in \{0, 1\}^n$, all $2^n$ equally likely. For which share $P_A$ of them is a random unit active? The study claims that $P_A = k / 2^n$ has the probability $1/2^n$ for
each $k$ between the ends, and half of that at both ends. It calls this true for $n = 2$ and $3$ and looks for a proof. Here is one, for every $n$.

:::{prf:theorem} The uniform law
:label: thm-modelling-uniform
Let $w_1, \dots, w_n$ be independent, with continuous laws that are symmetric about zero. The number $K$ of inputs $x \in \{0, 1\}^n$ with $\langle w, x\rangle > 0$ is uniform on $\{0, 1, \dots, 2^n - 1\}$. With an independent
bias of random sign that is small beside every sum of weights, $P(K = 0) = P(K = 2^n) = 2^{-n-1}$, and $P(K = k) = 2^{-n}$ between.
:::

:::{prf:proof}
Write $S_A = \sum_{i \in A} w_i$ for a set $A$ of inputs that are one, so that $K$ counts the sets with $S_A > 0$. Flip the signs of the weights in a set $B$. The sum over $A$ becomes $S_{A \triangle B} - S_B$, where $A \triangle B$
holds what is in exactly one of both.

So after the flip $K$ counts the sets $C = A \triangle B$ with $S_C > S_B$: it is the rank, from above, of $S_B$ among all $2^n$ sums, which differ from each other with probability one.

As $B$ runs through all sets, $S_B$ runs through all ranks, and $K$ takes each of $0, \dots, 2^n - 1$ once. By symmetry all flips are equally likely, whatever the sizes of the weights are. Last, the input zero gives the bias
alone, which adds one to $K$ half of the time.
:::

(These are Hartigan's typical values {cite:p}`hartigan-1969`.) The study looked for a symmetry under rotations; it is one under sign flips. The check tries all.
"""


# %%
def all_inputs(n):
    """Return the 2^n inputs of n zeros and ones."""
    return np.arange(2**n)[:, None] >> np.arange(n) & 1


def counts(weights):
    """Return how many inputs activate the unit, for each choice of signs of its weights."""
    bits = all_inputs(len(weights))
    return ((1 - 2 * bits) * weights @ bits.T > 0).sum(1)


checked = []
for n in range(1, 13):
    sizes = (
        rng.uniform(size=n),
        rng.normal(size=n),
        rng.exponential(size=n) * 3.0 ** np.arange(n),
    )
    checked += [np.array_equal(np.sort(counts(w)), np.arange(2**n)) for w in sizes]
assert all(checked)
assert not np.array_equal(np.sort(counts(np.ones(2))), np.arange(4))  # ties: no continuous law

# %% [markdown]
r"""
## The bias that the study states

"Small" matters. In its equation 24 the study draws the bias from the *same* law as the weights. Then the law is another one, and `arrangements.stated_bias_law` computes it exactly, as fractions.
"""


# %% tags=["hide-input"]
def active_counts(n, n_draws, rng):
    """Return how many of the 2^n inputs activate each of some random units; bias and weights share one law."""
    weights = rng.uniform(-1, 1, (n_draws, n + 1))
    return (weights[:, 1:] @ all_inputs(n).T + weights[:, :1] > 0).sum(1)


exact_laws = {n: arrangements.stated_bias_law(n) for n in (1, 2, 3)}
tried = {n: active_counts(n, n_laws, rng) for n in (1, 2, 3)}
spreads = {n: (active_counts(n, n_laws // 5, rng) / 2**n).var() for n in range(1, 11)}
for n, law in exact_laws.items():
    print(f"n = {n}: {', '.join(map(str, law))}")

# %% tags=["hide-input"]
# fmt: off
report.source(f"{n_laws:,} random units")
fig, axes = plt.subplots(2, 2, figsize=(7, 5.2), layout="constrained")
for ax, (n, law) in zip(axes.flat, exact_laws.items(), strict=False):
    k = np.arange(len(law))
    ax.bar(k, [float(p) for p in law], color="C0", alpha=0.5, label="exact")
    ax.plot(k, np.bincount(tried[n], minlength=len(law)) / n_laws, ".", color="k", label="drawn")
    ax.step(k, [float(p) for p in arrangements.uniform_law(n)], where="mid", color="C1", label="claimed")
    ax.set(xticks=k, ylim=(0, 0.55), xlabel=f"inputs that activate, n = {n}")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
for row in axes:
    row[0].set_ylabel("probability")
ax = axes[1, 1]
ax.plot(list(spreads), list(spreads.values()), "o", color="k", label="drawn")
squares = 1 + 4 / np.linspace(1, 10)
ax.plot(np.linspace(1, 10), np.arcsin(squares / (1 + squares)) / 2 / np.pi, color="C0", label="for large n")
ax.axhline(1 / 12, color="C1", label="uniform")
ax.set(xlabel="n", ylabel="variance of the share", ylim=(0.07, 0.2))
ax.legend(fontsize="small")
report.figure(
    fig, name="fig-modelling-law",
    caption="How many of all inputs of zeros and ones activate a random unit whose bias has the law of the weights: exact fractions (bars), drawn units (dots), and the claimed law (steps). Last: the variance of the "
    "activation probability approaches that of a uniform law.",
    alt=f"For n = 1, 2 and 3 the bars at both ends stand above the claimed steps ({float(exact_laws[2][0]):.3f} for {1 / 8:.3f} at n = 2) and dots lie on the bars. The variance falls from "
    f"{spreads[1]:.3f} to {spreads[10]:.3f}, above the line at {1 / 12:.3f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("S4.3.3-uniform/largest-n", 12 if all(checked) else 0, tol=0, agree=(3, 12), label="largest n for which all sign flips give the uniform law",
              note="a small bias of random sign; proved for every n")
error = []
for n in (2, 3):
    share = np.bincount(tried[n], minlength=2**n + 1) / n_laws
    for name, k in (("end", 0), ("inner", 2**(n - 1))):
        truth = float(exact_laws[n][k])
        report.number(f"S4.3.3-uniform/n{n}-{name}", float(share[k]), tol=0.006, agree=0.006, theory=truth, unit="probability", n=n_laws,
                      label=f"n = {n}, the stated bias: {'no input activates' if name == 'end' else 'half of the inputs activate'}", note=f"exactly {exact_laws[n][k]}")
for n in (1, 2, 3):
    truth = np.array([float(p) for p in exact_laws[n]])
    share = np.bincount(tried[n], minlength=2**n + 1) / n_laws
    error += list(np.abs(share - truth) / np.sqrt(truth * (1 - truth) / n_laws))
report.number("S4.3.3-uniform/errors", float(max(error)), tol=4)
report.number("S4.3.3-uniform/laws", len(checked), tol=0)
for n in (1, 10):
    report.number(f"S4.3.3-uniform/variance-{n}", float(spreads[n]), tol=0.005)
report.number("S4.3.3-uniform/variance-uniform", 1 / 12, tol=0)
norms = {n: np.linalg.norm(draw(10_000, n, rng)[0], axis=1) for n in (2, 256)}
report.number("S4.3.3-uniform/weight-norm", **over(norms[256]), tol=0.003, agree=0.003, theory=3**-0.5, label="length of a weight vector, 256 inputs")
report.number("S4.3.3-uniform/spread-2", float(norms[2].std() / norms[2].mean()), unit="share", tol=0.02)
report.number("S4.3.3-uniform/spread-256", float(norms[256].std() / norms[256].mean()), unit="share", tol=0.003)
# fmt: on

# %% [markdown]
r"""
**What to notice.** All {glue:text}`S4.3.3-uniform/laws` sets of weights, up to $n = 12$, give every count exactly once; two equal weights do not. With the stated bias the ends are too heavy: for $n = 2$ the unit is never active with probability
{glue:text}`S4.3.3-uniform/n2-end:.4f` (exactly $13/48$), where the study has {published}`S4.3.3-uniform/n2-end`. No drawn share is farther than {glue:text}`S4.3.3-uniform/errors:.1f` standard errors from its fraction. So the claim is true for a small
bias and every $n$, and false for its own, at $n = 2$ and $3$ as well. With more inputs the bias weighs less: the variance of $P_A$ is {glue:text}`S4.3.3-uniform/variance-1:.3f` for $n = 1$ and
{glue:text}`S4.3.3-uniform/variance-10:.3f` for $n = 10$, on its way to {glue:text}`S4.3.3-uniform/variance-uniform:.3f`. (The study's $\lVert w\rVert$ of {published}`S4.3.3-uniform/weight-norm` is for wide layers, too: its relative spread is
{glue:text}`S4.3.3-uniform/spread-2:.0%` at $n = 2$ and {glue:text}`S4.3.3-uniform/spread-256:.1%` at $n = 256$. And a direction lies on a sphere, not in the ball of equation 26.)

## Is a real second layer uniform?

For wide layers [](#ch-patterns) has a second way: $P_A = \Phi(\kappa Z)$ with $Z$ standard normal over units. For inputs $h$ and PyTorch's weights and biases

$$
\kappa^2 = \frac{\lVert E h\rVert^2 + 1}{\mathrm{tr}\,\mathrm{Cov}(h)} ,
$$

where the one is the bias. The law is uniform if $\kappa$ is one; a smaller one makes a hump in the middle, a larger one two horns. For fair bits $\kappa^2 = 1 + 4/n$: the uniform law again.

:::{admonition} Guess first
:class: tip
The half-normal values of a wide first layer have $\kappa$ near two thirds. Is the law of the second layer nearer to uniform for the values, or for the pattern in their place?
:::
"""


# %%
def kappa_of(h):
    """Return kappa of inputs (n, d), for PyTorch's law of weights and biases."""
    return math.sqrt(((h.mean(0) ** 2).sum() + 1) / h.var(0).sum())


def probabilities(h):
    """Return how often each of many random units is active for inputs (n, d)."""
    weights, biases = draw(n_units, h.shape[1], rng)
    return (h @ weights.T + biases > 0).mean(0)


# %% tags=["hide-input"]
# fmt: off
layers = {}
for name, inputs in (("white inputs", white[:5000]), ("images", x)):
    first, offsets = draw(256, inputs.shape[1], rng)
    layers[name] = np.maximum(inputs @ first.T + offsets, 0)
h_images, n_inputs = layers["images"], len(layers["white inputs"])
seconds = {(name, kind): (kappa_of(h), probabilities(h)) for name, f in layers.items()
           for kind, h in (("values", f), ("pattern", (f > 0).astype(float)))}
of_images(first=f"{n_units:,} random units; {n_inputs:,} Gaussian inputs; ")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), layout="constrained", sharey=True)
grid = np.linspace(0.004, 0.996, 300)
for ax, name in zip(axes, layers, strict=True):
    for kind, color in (("values", "C0"), ("pattern", "C1")):
        kappa, p = seconds[name, kind]
        ax.hist(p, bins=25, range=(0, 1), density=True, histtype="step", color=color, lw=1)
        ax.plot(grid, theory.activation_pdf(grid, kappa), color=color, label=f"{kind}: κ = {kappa:.2f}")
    ax.plot(grid, theory.activation_pdf(grid, theory.CENTRED_PATTERN_CORRELATION), color="k", lw=1, ls=":", label="half-normal: κ = 0.68")
    ax.axhline(1, color="0.5", lw=1, ls="--")
    ax.set(xlabel="activation probability", title=name, ylim=(0, 3))
    ax.legend(fontsize="small")
axes[0].set_ylabel("density over units")
report.figure(
    fig, name="fig-modelling-second",
    caption=f"Activation probabilities of {n_units:,} units of a second layer: measured (steps) and predicted from the mean and the covariance of the first layer (curves). Dashed: uniform. Dotted: the law for half-normal values.",
    alt=f"White inputs: a hump for the values, a nearly flat line for the pattern. Images: kappa {seconds['images', 'values'][0]:.2f} for the values, {seconds['images', 'pattern'][0]:.2f} for the pattern; steps "
    "follow their curves.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def apart(p, cdf):
    """Return the largest difference of the cumulative shares, read between 5 % and 95 %."""
    return float(max(abs((p <= q).mean() - cdf(q)) for q in np.arange(0.05, 0.96, 0.05)))


KEYS = {("white inputs", "values"): "uniform", ("white inputs", "pattern"): "uniform-pattern", ("images", "values"): "uniform-images", ("images", "pattern"): "uniform-images-pattern"}
for (name, kind), (kappa, p) in seconds.items():
    key = f"{kind}-{name.split()[0]}"
    of_images(first=f"{n_units:,} random units; ") if name == "images" else report.source(f"{n_units:,} random units; {n_inputs:,} Gaussian inputs")
    told = {"agree": (0, 0.03), "note": "only the pattern in their place is"} if KEYS[name, kind] == "uniform" else {}
    report.number(f"S4.3.3-uniform/{KEYS[name, kind]}", apart(p, float), tol=0.04, label=f"second layer, {name}, {kind}: distance from a uniform law", **told)
    report.number(f"S4.3.3-uniform/kappa-{key}", kappa, tol=0.2)
    report.number(f"S4.3.3-uniform/predicted-{key}", apart(p, lambda q, kappa=kappa: theory.activation_cdf(q, kappa)), tol=0.04, label=f"second layer, {name}, {kind}: distance from the predicted law")
report.number("S4.3.3-uniform/uniform-drawn", apart(rng.uniform(size=n_units), float), tol=0.03)
# fmt: on

# %% [markdown]
r"""
**What to notice.** For white inputs the *pattern* is nearly uniform, as the study hoped: $\kappa$ is {glue:text}`S4.3.3-uniform/kappa-pattern-white:.2f`, and its law is {glue:text}`S4.3.3-uniform/uniform-pattern:.3f`
away from a uniform one (largest difference of cumulative shares; {glue:text}`S4.3.3-uniform/uniform-drawn:.3f` for as many uniform numbers). The *values* are not: with $\kappa$ =
{glue:text}`S4.3.3-uniform/kappa-values-white:.2f` the distance is {glue:text}`S4.3.3-uniform/uniform:.3f`, and they make a hump. Here zeros and ones overstate how unequal units are.

With images the data decide. For the values $\kappa$ is {glue:text}`S4.3.3-uniform/kappa-values-images:.2f` (recorded {recorded}`S4.3.3-uniform/kappa-values-images`); the distance from a uniform law is
{glue:text}`S4.3.3-uniform/uniform-images:.3f` ({recorded}`S4.3.3-uniform/uniform-images`), from the predicted one {glue:text}`S4.3.3-uniform/predicted-values-images:.3f`
({recorded}`S4.3.3-uniform/predicted-values-images`: more than chance, as the pre-activations are only nearly Gaussian). The pattern is {glue:text}`S4.3.3-uniform/uniform-images-pattern:.3f`
away from a uniform law ({recorded}`S4.3.3-uniform/uniform-images-pattern`: uniform, since CIFAR-10 is nearly centred and its bits nearly fair).

## The variance that a layer hands on

What is the variance of $\langle w, x\rangle + b$ over the inputs? It is $w^\top C w$ with their covariance $C$. The study's equation 39,
$\lVert X w\rVert^2 / n$, wants centred inputs, such as its Gaussian ones, and its equation 41 independent ones. For the law over units neither is needed: the mean is
$\sigma_w^2\,\mathrm{tr}\,C$ for any $C$, and the spread follows from $\mathrm{tr}\,C^2$:

```{literalinclude} ../actlib/theory.py
:pyobject: next_variance
```
"""

# %%
variances = {}
for name, h in (("first layer", x), ("second layer", h_images)):
    C = covariance.moments(h).covariance.numpy()
    weights, _ = draw(n_units, h.shape[1], rng)
    z = h @ weights.T
    law = theory.next_variance(C, 1 / (3 * h.shape[1]), excess_kurtosis=-1.2)
    variances[name] = {
        "measured": z.var(0),
        "predicted": law,
        "not centred": (z**2).mean(0),  # (39) as it stands
        "independent": C.diagonal().mean() * (weights**2).sum(1),  # (41)
        "spectrum": np.linalg.eigvalsh(C),  # the variances along the principal directions
        "directions": np.trace(C) ** 2 / (C**2).sum(),
    }


# %% tags=["hide-input"]
# fmt: off
def weighted_squares(spectrum):
    """Return draws of w' C w over its mean for Gaussian weights w, from the eigenvalues of C."""
    k = min(300, len(spectrum))  # of the smaller ones the mean is enough
    squares = np.random.default_rng(seed).normal(size=(20_000, k)) ** 2
    return (squares @ spectrum[-k:] + spectrum[:-k].sum()) / spectrum.sum()


of_images(first=f"{n_units:,} random units; ")
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained", sharey=True)
grid = np.linspace(0.01, 3, 300)
for ax, (name, found) in zip(axes, variances.items(), strict=True):
    mean, sd = found["predicted"]
    ax.hist(found["measured"] / mean, bins=40, range=(0, 3), density=True, alpha=0.5, label="measured")
    ax.plot(grid, stats.gaussian_kde(weighted_squares(found["spectrum"]))(grid), color="k", lw=1.4, label="predicted")
    low, high = np.quantile(found["independent"] / mean, [0.05, 0.95])
    ax.axvspan(low, high, color="C1", alpha=0.4, lw=0, label="if independent")
    ax.set(xlabel="variance / predicted mean", title=name)
axes[0].set_ylabel("density over units")
axes[1].legend(fontsize="small")
report.figure(
    fig, name="fig-modelling-variance",
    caption=f"The variance of {n_units:,} random units over images, in units of the predicted mean. Curves: the law of a sum of squares, weighted with the variances along the principal directions. "
    "Bands: where nine of ten units would be if the inputs were independent.",
    alt=f"Two skewed hills around one, along their curves, with tails beyond 2. The bands for independent inputs are narrow slits at one: the spread is {found['measured'].std() / mean:.2f}, "
    f"not {(found['independent'] / mean).std():.2f}, in the second layer.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for name, found in variances.items():
    key, (mean, sd) = name.split()[0], found["predicted"]
    report.number(f"S4.4-variance/mean-{key}", float(found["measured"].mean() / mean), tol=0.06, agree=(0.9, 1.1), label=f"{name}: variance of a unit / predicted mean", n=n_units)
    report.number(f"S4.4-variance/spread-{key}", float(found["measured"].std() / mean), tol=0.05, label=f"{name}: relative spread of the variance over units")
    report.number(f"S4.4-variance/spread-predicted-{key}", float(sd / mean), tol=0.03)
    report.number(f"S4.4-variance/spread-independent-{key}", float(found["independent"].std() / mean), tol=0.01)
    report.number(f"S4.4-variance/not-centred-{key}", float(found["not centred"].mean() / mean), tol=0.5)
    report.number(f"S4.4-variance/directions-{key}", float(found["directions"]), tol=2)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The mean over units is {glue:text}`S4.4-variance/mean-first:.3f` and {glue:text}`S4.4-variance/mean-second:.3f` of the prediction in the two layers. The relative spread is {glue:text}`S4.4-variance/spread-first:.2f` in the first
(predicted {glue:text}`S4.4-variance/spread-predicted-first:.2f`; recorded {recorded}`S4.4-variance/spread-first` and {recorded}`S4.4-variance/spread-predicted-first`): the inputs vary in about
{glue:text}`S4.4-variance/directions-first:.0f` directions only, and a unit may see much of them or little. With independent inputs it would be {glue:text}`S4.4-variance/spread-independent-first:.2f`. Without
centring, equation 39 gives {glue:text}`S4.4-variance/not-centred-second:.1f` times as much in the second layer ({recorded}`S4.4-variance/not-centred-second`).

## A start that is normalised already

If the variance is known, "we can initialize the layer in such a way that it's batch normalized already". So take one batch, and layer by layer divide the weights of each unit by
$\sqrt{w^\top C w}$ and set its bias to $-\langle w, \mu\rangle$, where $\mu$ is the mean of the layer's inputs. (Mishkin and Matas {cite:p}`mishkin-2016` do nearly this.) Then train ten layers from PyTorch's start, from this one, and with batch
normalisation.
"""


# %%
def normalised(generator):
    """Return an untrained network whose hidden layers have mean 0 and deviation 1 on one batch."""
    net = network([width] * depth, generator=generator)
    batch = learn.images[torch.randperm(len(learn.images), generator=generator)[:1000]]
    h = models.prepare(net, batch)
    with torch.no_grad():
        for layer in net[:-1]:
            if isinstance(layer, nn.Linear):
                z = h @ layer.weight.T  # its variance is w' C w
                layer.weight /= z.std(0, correction=0)[:, None]
                layer.bias.copy_(-(h @ layer.weight.T).mean(0))
            h = layer(h)
    return net


# %% tags=["hide-input"]
# fmt: off
plain = functools.partial(network, [width] * depth)
starts = {"PyTorch's start": plain, "normalised start": normalised, "batch normalisation": functools.partial(plain, normalization="batch")}
fits = {name: [checkpoints.load_or_fit("modelling-ten", build, images, labels, seed=k, epochs=epochs, **recipe) for k in range(seed, seed + n_seeds)]
        for name, build in starts.items()}
curves = {name: np.array([fit.history.accuracy for fit in each]) for name, each in fits.items()}
final = {name: np.array([accuracy(fit.model) for fit in each]) for name, each in fits.items()}
others = [checkpoints.load_or_fit("modelling-ten", plain, images, labels, seed=seed, epochs=epochs, **recipe | {"learning_rate": rate}) for rate in other_rates]


def deviations(net):
    """Return size of the mean and deviation of each layer's pre-activations over held-out images."""
    found = capture.collect(net, held_out.images[:2000], [f"fc{k}" for k in range(1, depth + 1)], progress=False)
    return np.array([(np.abs(z.mean(0)).mean(), z.std(0).mean()) for z in found.values()]).T


measured_start = {name: np.mean([deviations(starts[name](generator=torch.Generator().manual_seed(k))) for k in range(seed, seed + n_seeds)], axis=0)
                  for name in list(starts)[:2]}
drifted = deviations(fits["normalised start"][0].model)
square, fan_in = (x**2).mean(), np.array([x.shape[1]] + [width] * (depth - 1))
recursion = theory.depth_recursion(square, (x.mean(0) ** 2).mean() / square, np.full(depth, 1 / 3), 1 / (3 * fan_in))
predicted_start = np.sqrt(recursion.mean_square * (1 - recursion.correlation))
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(learn.labels):,} training images", first=f"{depth} layers of {width} units; ")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for (name, (_, sd)), color in zip(measured_start.items(), ("C0", "C1"), strict=True):
    axes[0].plot(range(1, depth + 1), sd, "o", color=color, label=name)
axes[0].plot(range(1, depth + 1), predicted_start, color="C0", lw=1.2, label="predicted")
axes[0].set(yscale="log", xlabel="layer", ylabel="spread over images, at the start", xticks=range(1, depth + 1, 3))
axes[0].legend(fontsize="small")
for (name, each), color in zip(curves.items(), ("C0", "C1", "C2"), strict=True):
    axes[1].plot(range(1, epochs + 1), each.T, color=color, lw=0.6, alpha=0.6)
    axes[1].plot(range(1, epochs + 1), each.mean(0), color=color, label=name)
axes[1].set(xlabel="epoch", ylabel="accuracy, training images", ylim=(0, 1), xticks=range(1, epochs + 1, max(1, epochs // 5)))
axes[1].legend(fontsize="small")
(slow, quick, normed), (spread_of, *_) = curves.values(), (sd for _, sd in measured_start.values())
report.figure(
    fig, name="fig-modelling-start",
    caption=f"Left: standard deviation of the pre-activations over images, mean of a layer's units, before training; the curve is predicted by the recursion over layers. Right: training of {n_seeds} networks each (thin lines) and their mean.",
    alt=f"Left: PyTorch's start falls from {spread_of[0]:.1g} to {spread_of[-1]:.0e} along its curve, the normalised one stays near one. Right: the former stays at "
    f"{slow[:, -1].mean():.2f}, the others reach {quick[:, -1].mean():.2f} and {normed[:, -1].mean():.2f}.",
)
# fmt: on

# %% tags=["remove-cell"]
net = copy.deepcopy(fits["batch normalisation"][0].model).double()
some = held_out.images[:500].double() / 255
scores_with = train.logits(net, some)
with torch.no_grad():
    for k in range(1, depth + 1):
        linear, norm = net.get_submodule(f"fc{k}"), net.get_submodule(f"norm{k}")
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        linear.bias.copy_(scale * (linear.bias - norm.running_mean) + norm.bias)
        linear.weight *= scale[:, None]
        setattr(net, f"norm{k}", nn.Identity())
folded = float((train.logits(net, some) - scores_with).abs().max() / scores_with.abs().max())

# %% tags=["remove-cell"]
# fmt: off
of_images(f"{len(learn.labels):,} training images", first=f"{depth} layers of {width} units; ")
names = dict(zip(starts, ("default", "normalised", "batch"), strict=True))
everything = [fit for each in (trained, *fits.values(), others) for fit in each]
report.number("S4.4-variance/training", sum(sum(fit.history.seconds) for fit in everything), unit="seconds", tol=1e9)
for name, key in names.items():
    label = {"default": "PyTorch's start", "normalised": "a normalised start", "batch": "batch normalisation"}[key]
    report.number(f"S4.4-variance/accuracy-{key}", **over(final[name]), unit="share", tol=0.06, label=f"accuracy of {depth} layers, {label}")
    report.number(f"S4.4-variance/learned-{key}", **over(curves[name][:, -1]), unit="share", tol=0.06)
chance = 1 / len(learn.classes)
report.number("S4.4-variance/chance", chance, unit="share", tol=0)
report.number("S4.4-variance/gain", float((final["normalised start"] - final["PyTorch's start"]).min()), unit="share", tol=0.1, agree=(0.1, 1),
              label="the normalised start's gain in accuracy, smallest of the seeds")
report.number("S4.4-variance/other-rates", max(accuracy(fit.model) for fit in others), unit="share", tol=0.05, label="accuracy, PyTorch's start, best of other learning rates")
_, sd = measured_start["normalised start"]
report.number("S4.4-variance/normalized", float(sd[-1]), tol=0.1, agree=(0.8, 1.25), label="normalised start: spread in the last hidden layer, held-out images")
report.number("S4.4-variance/drifted", float(drifted[1, -1]), tol=1)
_, sd = measured_start["PyTorch's start"]
report.number("S4.4-variance/shrunk", float(sd[-1]), tol=2e-5, agree=float(predicted_start[-1]) / 2, theory=float(predicted_start[-1]), label="PyTorch's start: the same")
report.number("S4.4-variance/shrunk-predicted", float(predicted_start[-1]), tol=1e-5)
report.number("S4.4-variance/folded", folded, tol=1e-12, agree=(0, 1e-12), label="all norms of a trained network folded: largest relative error of its scores")
# fmt: on

# %% [markdown]
r"""
**What to notice.** From PyTorch's start the spread in the tenth layer is {glue:text}`S4.4-variance/shrunk:.1e` (predicted {glue:text}`S4.4-variance/shrunk-predicted:.1e`; recorded
{recorded}`S4.4-variance/shrunk`). Each layer keeps a sixth of the mean square and adds biases that know nothing of the image. The normalised start has {glue:text}`S4.4-variance/normalized:.2f` there, on images that it has not seen
({recorded}`S4.4-variance/normalized`): "batch normalized already" holds.

And it trains: {glue:text}`S4.4-variance/accuracy-normalised:.1%` on held-out images (recorded {recorded}`S4.4-variance/accuracy-normalised`), not far from batch normalisation with {glue:text}`S4.4-variance/accuracy-batch:.1%`
({recorded}`S4.4-variance/accuracy-batch`). PyTorch's start stays at {glue:text}`S4.4-variance/accuracy-default:.1%` ({recorded}`S4.4-variance/accuracy-default`), which is chance, and with two other learning rates (one network each) the best
gives {glue:text}`S4.4-variance/other-rates:.1%` ({recorded}`S4.4-variance/other-rates`). At this rate, and in so few epochs, most of what the norm gives is its
*start*. He's law, which looks at no image, trains ten layers too ([](#ch-normalization)).

After training the norms can go: folded into the layers *before* them, they change the scores by a relative {glue:text}`S4.4-variance/folded:.0e` in double precision.

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Random weights only.** All predictions want weights that are independent of the inputs. Training ends that.

**A start only.** After training the spread in the last hidden layer is
{glue:text}`S4.4-variance/drifted:.1f` (recorded {recorded}`S4.4-variance/drifted`). Batch normalisation would set it anew in every step. At a larger learning rate a norm
may train where a start does not.

**A small bias.** The uniform law wants a bias below all $2^n$ sums of weights, for $n = 12$ a very small one. What saves the law in wide layers is $\kappa \to 1$, not the theorem.

**Three seeds.** With a pattern in place of a layer the accuracies (thin lines) differ much on digits, little on CIFAR-10.

:::{admonition} What we learned
:class: important
- Hyperplanes lie near the origin because biases are small. How many regions they make is a theorem.
- For white inputs the law of a unit needs two numbers, $b$ and $\lVert w\rVert$. The study's four fit one unit; its equation 21 lacks a square.
- A pattern keeps four signs of five. With random weights errors stop at a fixed point, or are repaired; trained networks lose most of their accuracy with every layer replaced.
- The uniform law is true for every $n$ with a small bias, by sign flips, and false with the stated one.
- The variance that a layer hands on is known before training, and so is a start from which ten layers learn.
:::
## Exercises

```{exercise}
:label: ex-modelling-angle
**From an angle to an agreement** (3 minutes). Two vectors have the cosine $c$. How often does a random unit without bias give both the same sign?
```
"""


# %% tags=["exercise"]
def same_sign(c):
    """Return the probability that a random unit gives both vectors the same sign."""
    return (1 + c) / 2  # right at both ends and in the middle


cosines = np.array([-1, 0, math.sqrt(2 / math.pi), 1])
passed = np.allclose(same_sign(cosines), theory.arc_cosine(cosines, 0))
report.check("ex-modelling-angle", passed, "It is the angle that counts, not its cosine.")


# %% tags=["solution"]
def same_sign(c):
    """Return the probability that a random unit gives both vectors the same sign."""
    return 1 - np.arccos(c) / np.pi


passed = np.allclose(same_sign(cosines), theory.arc_cosine(cosines, 0))
report.check("ex-modelling-angle", passed, "It is the angle that counts, not its cosine.")

# %% [markdown]
r"""
```{exercise}
:label: ex-modelling-bits
**Kappa of bits** (5 minutes). The inputs are $n$ independent bits, one with probability $p$. What is $\kappa$ for PyTorch's weights and biases? For which $p$ is a wide layer uniform?
```
"""


# %% tags=["exercise"]
def kappa_of_bits(n, p):
    """Return kappa for n independent bits."""
    return math.sqrt(p / (1 - p))  # forgets the bias


cases = [(8, 0.5), (16, 0.2), (400, 0.5)]
bits = [(rng.random((100_000 // n, n)) < p).astype(float) for n, p in cases]
passed = all(
    abs(kappa_of_bits(*case) / kappa_of(b) - 1) < 0.02
    for case, b in zip(cases, bits, strict=True)
)
report.check("ex-modelling-bits", passed, "The bias adds one to the square of the mean.")


# %% tags=["solution"]
def kappa_of_bits(n, p):
    """Return kappa for n independent bits."""
    return math.sqrt((n * p**2 + 1) / (n * p * (1 - p)))


passed = all(
    abs(kappa_of_bits(*case) / kappa_of(b) - 1) < 0.02
    for case, b in zip(cases, bits, strict=True)
)
report.check("ex-modelling-bits", passed, "The bias adds one to the square of the mean.")

# %% [markdown]
r"""
```{exercise}
:label: ex-modelling-fold
**Fold the norm before the ReLU** (5 minutes). Here the norm follows the linear layer. Return the weight and the bias of one layer that does both.
```
"""

# %% tags=["exercise"]
before, after = nn.Linear(20, 8, dtype=torch.float64), nn.BatchNorm1d(8, dtype=torch.float64)
batch = torch.from_numpy(rng.normal(size=(50, 20)))
with torch.no_grad():
    after(3 * before(batch) + 1)  # some statistics
both = after.eval()(before(batch))


def fold_before(linear, norm):
    """Return weight and bias of a layer that does what ``linear`` and then ``norm`` do."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return linear.weight * scale[:, None], linear.bias  # the bias is not right yet


passed = torch.allclose(nn.functional.linear(batch, *fold_before(before, after)), both)
report.check("ex-modelling-fold", passed, "The old bias is shifted and scaled, too.")


# %% tags=["solution"]
def fold_before(linear, norm):
    """Return weight and bias of a layer that does what ``linear`` and then ``norm`` do."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return linear.weight * scale[:, None], scale * (linear.bias - norm.running_mean) + norm.bias


passed = torch.allclose(nn.functional.linear(batch, *fold_before(before, after)), both)
report.check("ex-modelling-fold", passed, "The old bias is shifted and scaled, too.")

# %% [markdown]
r"""
```{exercise}
:label: ex-modelling-ties
**When the proof fails** (8 minutes). All three weights have the same size. Count for each choice of signs how many inputs give a positive sum. Which line of the proof is lost?
```
"""


# %% tags=["exercise"]
flips = [[(x * signs).sum() > 0 for x in all_inputs(3)] for signs in 1 - 2 * all_inputs(3)]
truth = np.bincount(np.sum(flips, axis=1), minlength=8)


def law_of_equal_weights(n):
    """Return how many choices of signs activate 0, 1, ..., 2^n - 1 inputs: (2^n,)."""
    return np.ones(2**n, dtype=int)  # each once, as in the theorem


passed = np.array_equal(law_of_equal_weights(3), truth)
report.check("ex-modelling-ties", passed, "Use counts, and np.bincount.")


# %% tags=["solution"]
def law_of_equal_weights(n):
    """Return how many choices of signs activate 0, 1, ..., 2^n - 1 inputs: (2^n,)."""
    return np.bincount(counts(np.ones(n)), minlength=2**n)


passed = np.array_equal(law_of_equal_weights(3), truth)
report.check("ex-modelling-ties", passed, "Use counts, and np.bincount.")

# %% [markdown]
r"""
## Go further

- Cho and Saul {cite:p}`cho-2009` derive what a random layer does to an angle, which is the recursion of this chapter.
- He and colleagues {cite:p}`he-2015-delving` choose the variance of the weights so that depth does not change the signal.
- Klambauer and colleagues {cite:p}`klambauer-2017` choose the activation function so that it repairs mean and variance by itself.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
