# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-normalization)=
# Why does a deep network need help to learn?

**Because PyTorch's own start loses the image: each layer keeps a sixth of the signal, and ten layers keep almost nothing. A start with the right variance is enough, and
so is normalisation. {term}`Units <unit>` that are always or never active are a sign of images that look alike, not the cause.**

```{figure} ../results/real/08_normalization/fig-normalization-activity.webp
:name: fig-normalization-hero
:alt: Two rows of six small maps, layers from above. Before training default, He and LayerNorm open towards both ends, BatchNorm is a thin line; after it default stays, He, WeightNorm and LayerNorm are wide bands.

What you will be able to draw and to predict: how often the units of each layer are active, before training (above, with the deciles that theory predicts) and after
it (below), for six ways to start and to normalise. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Compute what a layer makes of the variance of its inputs, and say what "Xavier" means and what PyTorch does.
- Predict the histogram of the {term}`activation probability` from the correlation of two images.
- Compare ways to normalise: same data, same rates, several seeds, with controls.
- Say what {term}`batch normalisation` does in training and what its running averages are for.

**You need** some PyTorch and Gaussians. **Time:** 30 minutes to read, one minute to run. **Document:** section 3 of the "Study on Activation Patterns"
{cite:p}`swiniarski-patterns`. **Data:** scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY); in the recorded run CIFAR-10 {cite:p}`krizhevsky-2009`.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
pictures, n_learn, n_held_out, n_look = "digits", None, None, None
width, depth, batch_size = 128, 10, 64
epochs, rate_epochs, n_seeds = 10, 3, 3
rates = [0.1, 0.01, 0.001]
# epochs after which the activity of the units is measured; none before the rate is chosen
looks = [0, 3, 6, 10]
# untrained networks of each kind; the first n_seeds of them are trained
n_fresh = 6

# %% tags=["hide-input"]
import copy
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import activity, capture, data, models, report, theory, train
from matplotlib.colors import PowerNorm
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtr, ndtri
from torch import nn
from torch.nn.functional import batch_norm, cross_entropy
from torch.nn.utils import parametrize
from torch.optim.swa_utils import update_bn

report.start("08_normalization", profile=profile, seed=seed, device=device)
rng = np.random.default_rng(seed)

# %% [markdown]
r"""
## Seven ways to begin

"10 fully connected layers with no normalization doesn't train", says the study, and compares five remedies: "Xavier" initialisation, batch, weight and layer
normalisation, and self-normalising units. Its network is probably that of its first figure: ten hidden layers of {published}`S2.1-actprob/units` units. On this page it has
{glue:text}`S3-xavier/units` units a layer and learns digits from {glue:text}`S3-xavier/images:,` images; in the recorded run {recorded}`S3-xavier/units` units and {recorded}`S3-xavier/images` images
of CIFAR-10, so that the training takes minutes and not hours. (All the study says of its training is the number of epochs.)

What the study calls Xavier is PyTorch's default. So we add Glorot's law {cite:p}`glorot-2010`, after whose first name, Xavier, the method is called, and the control that is missing, He's
{cite:p}`he-2015-delving`.
"""

# %%
learn = data.load(pictures, "train", n=n_learn)
held_out = data.load(pictures, "test", n=n_held_out)
images, labels = learn.images.to(device), learn.labels.to(device)
seen = learn.sample(n_look or len(labels), seed).images.to(device)

OPTIONS = {
    "default": {},
    "Glorot": {},
    "He": {},
    "BatchNorm": {"normalization": "batch"},
    "WeightNorm": {"normalization": "weight"},
    "LayerNorm": {"normalization": "layer"},
    "SELU": {"activation": "selu"},
}
# n_in times the variance of a weight; kinds that are not here keep PyTorch's draws.
GAINS = {
    "Glorot": lambda n_in, n_out: 2 * n_in / (n_in + n_out),
    "He": lambda n_in, n_out: 2,
    "SELU": lambda n_in, n_out: 1,
}

# %% [markdown]
r"""
Two of the kinds need a finish. {term}`Weight normalisation` {cite:p}`salimans-2016` writes the weights of a unit as a length times a direction, and sets length and bias with the first batch, so
that the unit has mean zero and deviation one on it. {term}`Batch normalisation` {cite:p}`ioffe-2015` must have seen images before one can look at it in evaluation mode.
"""


# %%
@torch.no_grad()
def redraw(net, gain, generator):
    """Draw Gaussian weights of variance gain / n_in, and set the biases to zero, in place."""
    for layer in net:
        if isinstance(layer, nn.Linear):
            n_out, n_in = layer.weight.shape
            weight = torch.randn(n_out, n_in, generator=generator)
            layer.weight.copy_(weight * math.sqrt(gain(n_in, n_out) / n_in))
            layer.bias.zero_()


@torch.no_grad()
def fit_first_batch(net, generator):
    """Give each unit of a weight-normalised network mean 0 and deviation 1 on a batch, in place."""
    x = models.prepare(net, images[torch.randperm(len(images), generator=generator)[:batch_size]])
    for layer in net:
        if parametrize.is_parametrized(layer):
            sd, mean = torch.std_mean(layer(x), 0)
            layer.weight = layer.weight / sd[:, None]
            layer.bias.copy_((layer.bias - mean) / sd)
        x = layer(x)


# %% tags=["hide-input"]
def see_images(net, generator):
    """Set the running averages of batch normalisation to those over the images, in place."""
    update_bn([models.prepare(net, seen)], net)


FINISH = {"WeightNorm": fit_first_batch, "BatchNorm": see_images}


def build(name, generator):
    """Return a network of one kind, untrained."""
    shape, widths = tuple(images.shape[1:]), [width] * depth
    options = {"n_classes": len(learn.classes), "input_shape": shape, **OPTIONS[name]}
    net = models.mlp(widths, generator=generator, **options).to(device)
    if name in GAINS:
        redraw(net, GAINS[name], generator)
    if name in FINISH:
        FINISH[name](net, generator)
    return net


# %% [markdown]
r"""
## What gets through ten layers?

Let a layer have $n$ inputs $f_i$ and independent weights of mean zero. The mean square of a {term}`pre-activation` is then $n\,\mathrm{Var}(w)$ times the mean square of the inputs, plus the variance of the
bias. The next {term}`ReLU` passes half of it. Glorot's derivation has no ReLU: it keeps the variance of a *linear* network, forward and backward. He counts the ReLU. And PyTorch draws from
$U(-1/\sqrt n, 1/\sqrt n)$, whose variance is a third of $1/n$. The table has the variance of a weight and the factor by which ReLU and weights change the mean square in a layer. The default's biases have the variance of its weights; the two others start without.

| start | weight | theory | ours |
|---|---|---|---|
| default | $1 / 3 n_{in}$ | $1/6$ | {glue:text}`S3-xavier/passed-default:.3f` |
| Glorot | $2 / (n_{in} + n_{out})$ | $1/2$ | {glue:text}`S3-xavier/passed-glorot:.3f` |
| He | $2 / n_{in}$ | $1$ | {glue:text}`S3-he/passed:.3f` |

(Recorded: {recorded}`S3-xavier/passed-default`, {recorded}`S3-xavier/passed-glorot` and {recorded}`S3-he/passed`.) So "PyTorch initialize Linear layers like this" is wrong: a factor three
is lost on top of the two of the ReLU. The variance of the weights of a square layer is {glue:text}`S3-xavier/like-pytorch:.2f` times that of Xavier's law.

:::{admonition} Guess first
:class: tip
With PyTorch's default, what is the mean square of a pre-activation in layer ten: a sixth to the power of nine of that in layer one, about a ten-millionth? Or does something stop the fall?
And what of it tells one image from another?
:::

Two numbers follow a signal through the layers: the mean square $q$ of the pre-activations, and the correlation $c$ of two images in them, the mean over units of $z z'$ as a share of $q$. The
part that differs between images is $q(1 - c)$. In wide layers both have a recursion {cite:p}`cho-2009`:

$$
q' &= \frac{g\,q}{2} + s, \\
c' &= \frac{1}{q'}\left(\frac{g\,q}{2}\,k(c) + s\right), \\
k(c) &= \frac{1}{\pi}\left(\sqrt{1 - c^2} + c\,(\pi - \arccos c)\right),
$$

with $g = n\,\mathrm{Var}(w)$ and the variance $s$ of the bias. `theory.depth_recursion` runs it. It needs $q$ and $c$ of the images themselves.
"""


# %%
def gates(net):
    """Return the names of the activation functions; what enters them decides who is active."""
    return [name for name, layer in net.named_children() if isinstance(layer, nn.ReLU | nn.SELU)]


def signal(net):
    """Return the mean square of each layer's pre-activations, and the part that differs between images."""
    entering = capture.collect(net, seen, gates(net), inputs=True, progress=False).values()
    squares = [np.square(z, dtype=np.float64).mean() for z in entering]
    differing = [z.var(0, dtype=np.float64).mean() for z in entering]
    return np.array([squares, differing])


# %% tags=["hide-input"]
def law_of(gains, biases):
    """Return what theory expects of the layers of a ReLU network."""
    x = (seen.flatten(1).double().cpu().numpy() / 255 - 0.5) / 0.5  # as the networks see them
    square, mean_square = (x**2).mean(), (x.mean(0) ** 2).mean()
    n = len(x)
    correlation = (n * mean_square / square - 1) / (n - 1)  # an image is not paired with itself
    return theory.depth_recursion(square, correlation, np.array(gains), np.array(biases))


n_ins = np.array([images[0].numel(), *[width] * (depth - 1)])
laws = {"default": law_of(0 * n_ins + 1 / 3, 1 / (3 * n_ins))}
laws |= {
    kind: law_of([GAINS[kind](n, width) for n in n_ins], 0 * n_ins) for kind in ("Glorot", "He")
}
starts = range(seed, seed + n_fresh)


# %% tags=["hide-input"]
def fresh(kind, start):
    """Return an untrained network of a kind and a seed."""
    return build(kind, torch.Generator().manual_seed(start))


@torch.no_grad()
def passed(net):
    """Return by which factor the weights of each layer but the first change the mean square."""
    z = [*capture.collect(net, seen, gates(net), inputs=True, progress=False).values()]
    biases = [net.get_submodule(f"fc{k}").bias.cpu().numpy() for k in range(1, depth + 1)]
    squares = [np.square(x, dtype=np.float64).mean() for x in z]
    weighed = [np.square(x - b, dtype=np.float64).mean() for x, b in zip(z, biases, strict=True)]
    return np.array(weighed[1:]) / squares[:-1]


COLOUR = dict(zip(OPTIONS, ("C1", "C4", "C0", "C2", "C3", "C5", "C6"), strict=True))
LOOKED = f"{pictures}, {len(seen):,} training images, {depth} x {width} units"
TRAINED = f"{pictures}, {len(images):,} training images, {depth} x {width} units"
strange = None if pictures == "cifar10" else "CIFAR-10"
fewer = strange or (None if n_learn is None else "all 50,000 training images")
report.source(f"{LOOKED}; untrained", stand_in=strange)
signals = {kind: np.stack([signal(fresh(kind, s)) for s in starts]) for kind in laws}
factors = {kind: np.stack([passed(fresh(kind, s)) for s in starts]) for kind in laws}

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained", sharex=True)
numbers = np.arange(1, depth + 1)
for kind, law in laws.items():
    expected = law.mean_square, law.mean_square * (1 - law.correlation)
    for ax, curve, dots in zip(axes, expected, signals[kind].transpose(1, 0, 2), strict=True):
        ax.plot(numbers, curve, color=COLOUR[kind], lw=1.2)
        ax.plot(numbers, dots.T, "o", ms=3.5, color=COLOUR[kind], mfc="none")
axes[0].legend(
    [plt.Line2D([], [], marker="o", color=COLOUR[kind]) for kind in laws],
    list(laws),
    fontsize="small",
)
titles = "mean square $q$", "part that differs, $q\\,(1 - c)$"
for ax, title in zip(axes, titles, strict=True):
    ax.set(yscale="log", xlabel="layer", xticks=numbers[::3])
    ax.set_title(title, fontsize="small")
end = {kind: np.exp(np.log(rows[:, :, -1]).mean(0)) for kind, rows in signals.items()}
report.figure(
    fig,
    name="fig-normalization-signal",
    caption=f"Pre-activations of untrained networks, layer by layer: circles are measured ({n_fresh} seeds), lines are the recursion. Left: their mean square. "
    "Right: what of it differs between images.",
    alt=f"Circles on lines. Left, He stays level, Glorot falls evenly, default falls and stops at {end['default'][0]:.1e}. Right, default never stops: "
    f"{end['default'][1]:.0e} in layer {depth}, Glorot {end['Glorot'][1]:.0e}, He {end['He'][1]:.2f}.",
)

# %% tags=["remove-cell"]
# fmt: off
report.number("S3-xavier/units", width, tol=0)
report.number("S3-xavier/images", len(images), tol=0)
factor = {kind: np.exp(np.log(rows).mean(1)) for kind, rows in factors.items()}
told = {kind: {"value": factor[kind].mean(), "spread": factor[kind].std(ddof=1), "n": n_fresh, "tol": 0.1 * share, "theory": share, "note": f"theory: {share:.3f}",
               "label": f"factor of the mean square in a layer: {kind}"} for kind, share in {"default": 1 / 6, "Glorot": 1 / 2, "He": 1}.items()}
report.number("S3-xavier/passed-default", **told["default"], agree=0.02)
report.number("S3-xavier/passed-glorot", **told["Glorot"], agree=0.06)
report.number("S3-he/passed", **told["He"])
report.number("S3-xavier/left-default", end["default"][1], tol=end["default"][1])
report.number("S3-xavier/left-glorot", end["Glorot"][1], tol=end["Glorot"][1])
report.number("S3-he/left", end["He"][1], tol=end["He"][1] / 2)
report.number("S3-xavier/square-default", end["default"][0], tol=0.5 * end["default"][0])
report.number("S3-xavier/floor", laws["default"].mean_square[-1], tol=1e-4)
linear = fresh("default", seed).get_submodule(f"fc{depth}").weight.detach()
report.number("S3-xavier/like-pytorch", float(linear.var() * width), tol=0.02, agree=(0.9, 1.1),
              label="variance of PyTorch's weights, in units of Xavier's", note="one third in a square layer")
# fmt: on

# %% [markdown]
r"""
**What to notice.** Left: with the default the mean square stops at {glue:text}`S3-xavier/square-default:.1e` (theory {glue:text}`S3-xavier/floor:.1e`). What stops it are the biases, which each layer
adds anew. But a bias is the same for all images. Right, the part that tells one image from another: it never stops falling, and in layer ten {glue:text}`S3-xavier/left-default:.0e` is left of it (recorded
{recorded}`S3-xavier/left-default`), where He keeps {glue:text}`S3-he/left:.2f` ({recorded}`S3-he/left`). The answer of the untrained network hardly depends on the image. Theory and
measurement agree over many orders of magnitude.

## Who is active at the start?

The study draws, for each layer, a histogram over its units: for which share of the images is a unit active? This {term}`activation probability` $P_A$ is near zero or one for most units of its
deep layers, and the study suspects that such {term}`saturation` makes the network hard to train. What does the histogram see?

:::{prf:theorem} The spread of the histogram
:label: thm-normalization-spread
Let the pre-activations of a random unit for any two images be jointly Gaussian, with mean zero, and let $c$ be their correlation over the draw of the unit's weights. Then $P_A$ has the mean $1/2$ over units, and
its variance is the mean of $\arcsin(c) / 2\pi$ over all pairs of images, an image with itself included.
:::

:::{prf:proof}
Draw two images, with replacement. For a given unit both activate it with probability $P_A^2$. Over the draw of the unit, both activate it with probability $1/4 + \arcsin(c) / 2\pi$ (Sheppard's formula). So
$E[P_A^2]$ is the mean of the latter over pairs. With one image, $E[P_A] = 1/2$. Subtract the square of the mean.
:::

The histogram thus says how alike two images are in a layer: its spread, the root mean square distance of $P_A$ from one half, is zero for unrelated images and one half for identical ones. It says
nothing of the *size* of the signal, and for networks without biases there is more:

:::{prf:theorem} Patterns do not know the scale
:label: thm-normalization-scale
In a ReLU network without biases, multiply all weights of layer $l$ by a number $a_l > 0$. The {term}`pattern` of each layer stays the same for each image. The same is true if each image has its own
numbers $a_l$.
:::

:::{prf:proof}
For $a > 0$, $\max(0, a z) = a \max(0, z)$. So the {term}`activations <activation>` of layer $l$ are multiplied by $a_1 \cdots a_l > 0$, and no pre-activation changes its sign.
:::

So Glorot's law, He's law, and PyTorch's variances without biases have *the same* histograms at the start. And {term}`layer normalisation` {cite:p}`ba-2016`, which divides by one number for each image, does not change
them either: only the biases and the mean that it subtracts do, which are small. The cell tries the theorem, and what must fail: the same with biases.
"""


# %%
def patterns(net):
    """Return the pattern of each layer, packed, for the images."""
    options = {"inputs": True, "dtype": "bits", "progress": False}
    return capture.collect(net, seen, gates(net), **options)


def differing_bits(one, other):
    """Return the share of bits in which the patterns of two networks differ."""
    pairs = zip(patterns(one).values(), patterns(other).values(), strict=True)
    return np.mean([capture.unpack(a.words ^ b.words, a.n_bits).mean() for a, b in pairs])


changed = {}
for kind in ("He", "default"):
    net = fresh(kind, seed)
    louder = copy.deepcopy(net)
    with torch.no_grad():
        for k in range(1, depth + 1):  # powers of two: without rounding
            louder.get_submodule(f"fc{k}").weight *= (0.5, 4, 8)[k % 3]
    changed[kind] = differing_bits(net, louder)
assert changed["He"] == 0
assert changed["default"] > 0.01


# %%
def probabilities(net):
    """Return how often each unit is active, (layers, units)."""
    return np.stack(
        [activity.activation(found).units.numpy() for found in patterns(net).values()]
    )


def spread(active):
    """Return the root mean square distance from one half over the units (the last axis)."""
    return np.sqrt(np.square(active - 0.5).mean(-1))


at_start = {kind: np.stack([probabilities(fresh(kind, s)) for s in starts]) for kind in OPTIONS}
expected = {
    kind: np.sqrt(theory.arc_cosine(law.correlation, 0) / 2 - 1 / 4) for kind, law in laws.items()
}

# %% tags=["hide-input"]
edges = np.linspace(0, 1, 22)
middle = (edges[1:] + edges[:-1]) / 2


def histogram(active):
    """Return the share of units in each bin of the activation probability."""
    return np.histogram(active, edges)[0] / active.size


def saturated(active):
    """Return the share of units that are active for less than 1 % of the images or more than 99 %."""
    return float(((active < 0.01) | (active > 0.99)).mean())


# %% tags=["hide-input"]
frames = []
for k in range(depth):
    curves = {}
    for kind in ("default", "He"):
        curves[kind] = (middle, histogram(at_start[kind][:, k]))
        predicted = np.diff(theory.activation_cdf(edges, laws[kind].kappa[k]))
        curves[f"{kind}, theory"] = (middle, predicted)
    for kind in ("LayerNorm", "BatchNorm"):
        curves[kind] = (middle, histogram(at_start[kind][:, k]))
    told = [saturated(at_start[kind][:, k]) for kind in ("default", "He", "BatchNorm")]
    means = {kind: f"{spread(a[:, k]).mean():.2f}" for kind, a in at_start.items()}
    frames.append(
        report.Frame(
            f"layer {k + 1}",
            f"Layer {k + 1}: saturated are {told[0]:.0%} of the units with the default, {told[1]:.0%} with He, {told[2]:.0%} with "
            f"BatchNorm, whose histogram is a spike at one half.",
            curves=curves,
            note=f"spread {means['default']} by default (theory {expected['default'][k]:.2f}), {means['He']} with He "
            f"({expected['He'][k]:.2f}), {means['LayerNorm']} with LayerNorm, {means['BatchNorm']} with BatchNorm",
        )
    )
report.frames(
    frames,
    name="fig-normalization-start",
    caption=f"How often units are active before training: share of the units of a layer in each of 21 bins, {n_fresh} seeds together, with the law that theory predicts from the images "
    "alone. Click on a name to see its curve alone.",
    start=2,
    xlabel="activation probability",
    ylabel="share of the units",
)

# %% tags=["remove-cell"]
# fmt: off
KEYS = {kind: kind.lower() for kind in COLOUR}
last = {kind: spread(active)[:, -1] for kind, active in at_start.items()}
told = {kind: {"value": np.mean([saturated(a) for a in rows[:, -1]]), "unit": "share", "tol": 0.15, "n": n_fresh} for kind, rows in at_start.items()}
report.number("S3-xavier/saturated-default", **told["default"])
report.number("S3-he/saturated", **told["He"], label=f"saturated units of layer {depth}, untrained: He")
by_batch = math.sqrt(theory.arc_cosine(1 / batch_size, 0) / 2 - 1 / 4)
closed = {"default": expected["default"][-1], "He": expected["He"][-1], "LayerNorm": expected["He"][-1], "WeightNorm": by_batch, "BatchNorm": 0.0}
told = {kind: {"value": last[kind].mean(), "spread": last[kind].std(ddof=1), "n": n_fresh, "tol": 0.03, "theory": value, "note": f"theory: {value:.3f}",
               "label": f"spread of P_A in layer {depth}, untrained: {kind}"} for kind, value in closed.items()}
report.number("S3-xavier/spread-default", **told["default"], agree=0.02)
report.number("S3-he/spread", **told["He"])
report.number("S3-bn/spread", **told["BatchNorm"], agree=0.05)
report.number("S3-wn/spread", **told["WeightNorm"], agree=0.03)
report.number("S3-ln/spread", **told["LayerNorm"], agree=0.03)
report.number("S3-xavier/bits-default", changed["default"], unit="share", tol=0.1)
report.number("S3-he/bits", changed["He"], unit="share", tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Move the slider. With the default the units of layer ten are all-or-nothing: {glue:text}`S3-xavier/saturated-default:.0%` of them are saturated, that is, active or silent for less than
one image in a hundred (recorded {recorded}`S3-xavier/saturated-default`). He's law, with the same depth and no biases, has {glue:text}`S3-he/saturated:.0%` (recorded
{recorded}`S3-he/saturated`). So depth alone does not make all of them so; the biases do, beside a signal that vanishes. (On the digits, He's law has so many because of the dark background that they share.) The curves of theory use nothing but two numbers of the images. The spread in layer ten is {glue:text}`S3-xavier/spread-default:.2f` and
{glue:text}`S3-he/spread:.2f` (recorded {recorded}`S3-xavier/spread-default` and {recorded}`S3-he/spread`).

Layer normalisation follows He, as the theorem says: {glue:text}`S3-ln/spread:.2f` (recorded {recorded}`S3-ln/spread`). It makes the units of one image comparable, not the images of one unit, and
pulls no $P_A$ to one half. Batch normalisation does, by construction: {glue:text}`S3-bn/spread:.2f` (recorded {recorded}`S3-bn/spread`). Weight normalisation does it once, with one batch, whose mean is uncertain by one over the root of its
size: {glue:text}`S3-wn/spread:.3f` ({recorded}`S3-wn/spread`).

Scaling the weights changed {glue:text}`S3-he/bits:.0%` of the bits without biases, and {glue:text}`S3-xavier/bits-default:.0%` with them.

## Which of them learn?

All train in the same way: stochastic gradient descent with momentum, which starts anew in each epoch, and batches of {glue:text}`S3-bn/batch` (recorded {recorded}`S3-bn/batch`). Each kind starts with three learning rates
from {glue:text}`S3-bn/seeds` seeds. The rate with the lowest mean training loss after {glue:text}`S3-bn/rate-epochs` epochs (recorded {recorded}`S3-bn/rate-epochs`) goes on to {glue:text}`S3-bn/epochs` epochs (recorded
{recorded}`S3-bn/epochs`). A second control joins: PyTorch's variances without biases. By the theorem it has the patterns of He's law at the start, and the cell checks it.

:::{admonition} Guess first
:class: tip
Is it saturation that keeps a network from learning, or the lost signal? What does each of the two predict for the control?
:::
"""

# %%
OPTIONS["default, no bias"] = {}
GAINS["default, no bias"] = lambda n_in, n_out: 1 / 3
# The same patterns as He's, up to pre-activations that rounding carries over zero.
assert differing_bits(fresh("default, no bias", seed), fresh("He", seed)) < 1e-4


# %% tags=["hide-input"]
def judge(net):
    """Return loss and accuracy on the held-out images."""
    scores = train.logits(net, held_out.images.to(device)).cpu()
    right = scores.argmax(1) == held_out.labels
    return cross_entropy(scores, held_out.labels).item(), right.float().mean().item()


# %% tags=["hide-input"]
def begin(kind, rate, start):
    """Return a run before its training: network, rate, source of the order, and what will be measured."""
    generator = torch.Generator().manual_seed(start)
    net = build(kind, generator)
    return {"net": net, "rate": rate, "generator": generator, "rows": [], "active": {}}


def go_on(run, epoch):
    """Train a run up to an epoch and return it. A row holds an epoch's losses and accuracies."""
    options = {"learning_rate": run["rate"], "generator": run["generator"]}
    options |= {"epochs": 1, "batch_size": batch_size, "progress": False}
    while len(run["rows"]) < epoch:
        try:
            told = train.fit(run["net"], images, labels, **options)
            run["rows"].append([told.loss[0], told.accuracy[0], *judge(run["net"])])
        except FloatingPointError:  # the loss is no longer finite
            run["rows"].append([np.inf, 1 / len(learn.classes)] * 2)
    return run


# %%
def search(kind, starts):
    """Return runs of a few epochs (rates, starts) and the mean training loss of each rate."""
    begun = [[go_on(begin(kind, rate, s), rate_epochs) for s in starts] for rate in rates]
    return begun, np.array([np.mean([run["rows"][-1][0] for run in row]) for row in begun])


def train_all(kind, starts):
    """Choose the rate of a kind and train with it to the end, looking at the units now and then."""
    begun, losses = search(kind, starts)
    for run in begun[losses.argmin()]:
        for k in looks[1:]:
            run["active"][k] = probabilities(go_on(run, k)["net"])
    return begun[losses.argmin()], losses


tried, runs = {}, {}
for kind in OPTIONS:
    runs[kind], tried[kind] = train_all(kind, starts[:n_seeds])

# %% tags=["hide-input"]
report.source(f"{TRAINED}; {rate_epochs} epochs, {n_seeds} seeds", stand_in=fewer)
table = np.array(list(tried.values()))
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
chance = math.log(len(learn.classes))
ax.imshow(np.minimum(table, 9), cmap="viridis_r", aspect="auto", vmin=0, vmax=chance)
for (row, column), loss in np.ndenumerate(table):
    weight = "bold" if loss == table[row].min() else "normal"
    word = f"{loss:.3f}" if loss < 100 else "diverges"
    style = {"color": "w" if loss > 1 else "k", "weight": weight, "size": "small"}
    ax.text(column, row, word, ha="center", va="center", **style)
ax.set(xticks=range(len(rates)), xticklabels=rates, xlabel="learning rate")
ax.set_yticks(range(len(tried)), list(tried))
flat = table[[0, -1]][np.isfinite(table[[0, -1]])]
n_lost = int((table >= 100).sum())
fastest = min(tried, key=lambda kind: tried[kind].min())
report.figure(
    fig,
    name="fig-normalization-rates",
    caption=f"Training loss after {rate_epochs} epochs, mean over {n_seeds} seeds; the chosen rates in bold. Guessing has {chance:.3f}.",
    alt=f"A table of {len(tried)} kinds and {len(rates)} rates; {n_lost} of its cells diverge. The first and last row, default with and without biases, stay within "
    f"{max(abs(flat - chance)):.3f} of guessing; {fastest} falls furthest, to {tried[fastest].min():.2f}.",
)


# %% tags=["hide-input"]
curves = {
    kind: np.array([run["rows"] for run in found]) for kind, found in runs.items()
}  # (seeds, epochs, 4)


def draw(ax, kinds, column, **options):
    """Draw the mean over seeds by epoch, with the range of the seeds."""
    for kind in kinds:
        values = curves[kind][:, :, column]
        steps = np.arange(1, epochs + 1)
        ax.plot(steps, values.mean(0), color=COLOUR[kind], label=kind, lw=1.6)
        ax.fill_between(steps, values.min(0), values.max(0), color=COLOUR[kind], alpha=0.18, lw=0)
    ax.set(**options)


# %% tags=["hide-input"]
report.source(f"{TRAINED}; {n_seeds} seeds", stand_in=fewer)
fig, axes = plt.subplots(2, 2, figsize=(7, 5.4), sharex=True)
titles = "training loss", "training accuracy", "held-out loss", "held-out accuracy"
for ax, column, title in zip(axes.flat, (0, 1, 2, 3), titles, strict=True):
    draw(ax, COLOUR, column, ylim=(0, 3.2) if column % 2 == 0 else (0, 1))
    ax.set_title(title, fontsize="small")
for ax in axes[1]:
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=4, fontsize="small")
fig.tight_layout(rect=(0, 0.09, 1, 1))
final = {kind: values[:, -1].mean(0) for kind, values in curves.items()}
others = [kind for kind in COLOUR if kind != "default"]
report.figure(
    fig,
    name="fig-normalization-curves",
    caption=f"Training by epoch: lines are means over {n_seeds} seeds, bands go from the lowest to the highest seed. Each kind has the rate of the search.",
    alt=f"The default lies flat at loss {final['default'][0]:.2f} and accuracy {final['default'][3]:.2f}. The six others fall to training losses between "
    f"{min(final[k][0] for k in others):.2f} and {max(final[k][0] for k in others):.2f}; held-out accuracies {min(final[k][3] for k in others):.2f} to {max(final[k][3] for k in others):.2f}.",
)


# %% tags=["remove-cell"]
# fmt: off
def over_seeds(values):
    """Return mean and spread over seeds as a number's value and spread."""
    return {"value": float(np.mean(values)), "spread": float(np.std(values, ddof=1)), "n": len(values)}


def after(kind, n_epochs, column=3):
    """Return a column of all seeds after some epochs, or at the end if there are fewer."""
    return curves[kind][:, min(n_epochs, epochs) - 1, column]


report.number("S3-bn/batch", batch_size, tol=0)
report.number("S3-bn/seeds", n_seeds, tol=0)
report.number("S3-bn/epochs", epochs, tol=0)
report.number("S3-bn/rate-epochs", rate_epochs, tol=0)


def accuracy_after(kind, n):
    """Return the held-out accuracy of a kind after n epochs as a number that is compared with the study's."""
    label = f"held-out accuracy of {kind}" + f" after {n} epochs" * (n <= epochs)
    note = "fewer images than the study's" if fewer and kind != "default" else None
    return {**over_seeds(after(kind, n)), "unit": "share", "tol": 0.06, "agree": 0.03, "label": label, "note": note}


report.number("S3-xavier/epoch-5-accuracy", **accuracy_after("default", 5))
report.number("S3-bn/epoch-13-accuracy", **accuracy_after("BatchNorm", 13))
report.number("S3-wn/epoch-20-accuracy", **accuracy_after("WeightNorm", 20))
report.number("S3-ln/epoch-20-accuracy", **accuracy_after("LayerNorm", 20))
report.number("S3-selu/epoch-20-accuracy", **accuracy_after("SELU", 20))
report.number("S3-he/epoch-5", **over_seeds(after("He", 5)), unit="share", tol=0.25, label="held-out accuracy of He's law after 5 epochs")
report.number("S3-xavier/glorot-epoch-5", **over_seeds(after("Glorot", 5)), unit="share", tol=0.25, label="the same of Glorot's law")
rises = {kind: values[:, -1, 2] - values[:, :, 2].min(1) for kind, values in curves.items()}
for kind, key in KEYS.items():
    report.number(f"S3-xavier/loss-{key}", **over_seeds(after(kind, epochs, 0)), tol=0.2)
    report.number(f"S3-xavier/rate-{key}", rates[tried[kind].argmin()], tol=0.1)
    report.number(f"S3-xavier/accuracy-{key}", **over_seeds(after(kind, epochs)), unit="share", tol=0.2)
    report.number(f"S3-xavier/rise-{key}", **over_seeds(rises[kind]), tol=0.25)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("S3-xavier/untrainable", **over_seeds(after("default", epochs, 0)), tol=0.02, agree=(chance - 0.05, chance + 0.05),
              label="training loss of the default at the end", note="that of guessing")
report.number("S3-he/loss", **over_seeds(after("He", epochs, 0)), tol=0.2, agree=(0, chance - 0.3), label="training loss of He's law at the end",
              note="it learns, without a norm")
report.number("S3-xavier/silent", **over_seeds(after("default, no bias", epochs, 0)), tol=0.02, label="the same of the default without biases")
report.number("S3-xavier/silent-accuracy", **over_seeds(after("default, no bias", epochs)), unit="share", tol=0.03)
report.number("S3-xavier/stuck-loss", **over_seeds(after("Glorot", epochs, 0)), tol=0.4, agree=0.2, label="training loss of Glorot's law at the end",
              note="with the true Xavier it is not stuck")
report.number("S3-bn/usual-training-loss", **over_seeds(after("BatchNorm", epochs, 0)), tol=0.2, agree=0.3,
              label="training loss of BatchNorm at the end", note="the study stopped earlier, and had more images" if fewer else "the study stopped earlier")
ends = {"tol": 0.25, "agree": 0.15, "note": "fewer images than the study's" if fewer else None}
report.number("S3-wn/training-loss", **over_seeds(after("WeightNorm", epochs, 0)), **ends, label="training loss of WeightNorm at the end")
report.number("S3-ln/training-loss", **over_seeds(after("LayerNorm", epochs, 0)), **ends, label="training loss of LayerNorm at the end")
report.number("S3-wn/overfitting", **over_seeds(rises["WeightNorm"]), tol=0.3, agree=(0.1, 10), label="rise of WeightNorm's held-out loss from its minimum to the end",
              note="digits leave little to overfit" if strange else "so do all that learn")
more = {"tol": 0.3, "note": "above zero if it overfits more than BatchNorm"}
report.number("S3-wn/beyond", **over_seeds(rises["WeightNorm"] - rises["BatchNorm"]), **more, label="that rise: WeightNorm less BatchNorm")
report.number("S3-ln/beyond", **over_seeds(rises["LayerNorm"] - rises["BatchNorm"]), **more, label="that rise: LayerNorm less BatchNorm")
rivals = np.mean([after(kind, epochs) for kind in ("BatchNorm", "WeightNorm", "SELU")], 0)
report.number("S3-ln/poorer", **over_seeds(after("LayerNorm", epochs) - rivals), unit="share", tol=0.1, label="accuracy of LayerNorm less the mean of BatchNorm, WeightNorm and SELU",
              note="a few points; not enough for a verdict from three seeds")
report.number("S3-bn/epoch-13-loss", **over_seeds(after("BatchNorm", 13, 0)), tol=0.1)
report.number("S3-xavier/guessing", chance, tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The default does not learn. None of the three rates moves it; with the best it has {glue:text}`S3-xavier/epoch-5-accuracy:.1%` after five epochs (recorded {recorded}`S3-xavier/epoch-5-accuracy`, the study
{published}`S3-xavier/epoch-5-accuracy`), and at the end its training loss is {glue:text}`S3-xavier/untrainable:.2f`, that of guessing. He's law alone, without any normalisation, learns:
{glue:text}`S3-he/epoch-5:.1%` after five epochs and a training loss of {glue:text}`S3-he/loss:.2f` at the end (recorded {recorded}`S3-he/epoch-5` and
{recorded}`S3-he/loss`). So does the true Xavier: {glue:text}`S3-xavier/loss-glorot:.2f` ({recorded}`S3-xavier/loss-glorot`).

The control decides. Without biases it has the patterns of He's law, with {glue:text}`S3-he/saturated:.0%` of the units of layer ten saturated as there. He learns, the control does not: its training loss is
{glue:text}`S3-xavier/silent:.2f` (recorded {recorded}`S3-xavier/silent`). What keeps it from learning is the lost signal. Saturation is a sign of it where there are biases.

**Overfitting.** "Training loss on both methods end up close to {published}`S3-wn/training-loss`", says the study of weight and layer normalisation, and that otherwise {published}`S3-bn/usual-training-loss` is usual. In the
recorded run, where all train for equally long, these two end at {recorded}`S3-xavier/loss-weightnorm` and {recorded}`S3-xavier/loss-layernorm`, and others lower: batch normalisation at {recorded}`S3-xavier/loss-batchnorm`,
He at {recorded}`S3-he/loss` and SELU at {recorded}`S3-xavier/loss-selu`. All of them overfit. From its minimum to the end the held-out loss of weight normalisation rises by {recorded}`S3-xavier/rise-weightnorm`, as the study
suspects, but that of batch normalisation, too, by {recorded}`S3-xavier/rise-batchnorm`, of He's law by {recorded}`S3-xavier/rise-he` and of SELU by {recorded}`S3-xavier/rise-selu`; that of layer normalisation by
{recorded}`S3-xavier/rise-layernorm`. (On digits there is little to overfit: {glue:text}`S3-xavier/rise-weightnorm:.2f` for weight normalisation.)

The study stopped batch normalisation after {published}`S3-bn/epochs` epochs, where ours has a training loss of {recorded}`S3-bn/epoch-13-loss`, and the default after {published}`S3-xavier/epochs`, the others after
{published}`S3-ln/epochs`. So its comparison is one of stopping times as well. Its accuracies, with all 50,000 images, are higher than ours for three of four. Layer normalisation is its poorest, with {published}`S3-ln/epoch-20-accuracy`; we have
{recorded}`S3-ln/epoch-20-accuracy`, and batch and weight normalisation and SELU less than that. With so few images and seeds, a few points are not enough to rank them.

## What does training do to the activity?

"It seems that during training, all activations learn to have a probability of activation" of one half, says the study elsewhere, and of batch normalisation that it "seems too restrictive" because it
holds $P_A$ there.

:::{admonition} Guess first
:class: tip
Weight normalisation starts with all units near one half, He's law with many at the ends. Does training bring both to one half?
:::
"""

# %%
drawn = ["default", "He", "BatchNorm", "WeightNorm", "LayerNorm", "SELU"]
active = {kind: {0: at_start[kind][:n_seeds]} for kind in drawn}
for kind, k in [(kind, k) for kind in drawn for k in looks[1:]]:
    active[kind][k] = np.stack([run["active"][k] for run in runs[kind]])
spreads = {kind: np.array([spread(a).mean() for a in active[kind].values()]) for kind in drawn}


# %% tags=["hide-input"]
def next_of_selu(square, correlation, nodes=40):
    """Return what SELU makes of mean square and correlation, for weights of variance 1 / n_in and no biases."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = np.outer(w, w) / w.sum() ** 2
    first = np.sqrt(square) * x[:, None]
    second = np.sqrt(square) * (correlation * x[:, None] + np.sqrt(1 - correlation**2) * x)
    f, g = (
        torch.selu(torch.from_numpy(np.broadcast_to(z, w.shape).copy())).numpy()
        for z in (first, second)
    )
    after = (w * f**2).sum()
    return after, (w * f * g).sum() / after


raw = law_of([1.0], [0.0])  # the first layer of SELU keeps what the images have
states = [(raw.mean_square[0], raw.correlation[0])]
for _ in range(depth - 1):
    states.append(next_of_selu(*states[-1]))
kappas = {kind: laws[kind].kappa for kind in ("default", "He")}
kappas |= {
    "BatchNorm": np.zeros(depth),
    "WeightNorm": np.full(depth, (batch_size - 1) ** -0.5),
    "LayerNorm": laws["He"].kappa,
}
kappas["SELU"] = theory.kappa(np.array(states)[:, 1])

# %% tags=["hide-input"]
fig, axes = plt.subplots(2, 6, figsize=(6.4, 4.4), sharex=True, sharey=True, layout="constrained")
for column, kind in enumerate(drawn):
    for ax, k in zip(axes[:, column], (0, looks[-1]), strict=True):
        shares = np.stack([histogram(active[kind][k][:, layer]) for layer in range(depth)])
        mesh = ax.pcolormesh(
            edges, np.arange(depth + 1) + 0.5, shares, cmap="viridis", norm=PowerNorm(0.5, 0, 0.6)
        )
    for side in (-1, 1):
        decile = ndtr(kappas[kind] * ndtri(0.9) * side)
        axes[0, column].plot(decile, numbers, color="C1", lw=1.4)
    axes[0, column].set_title(kind.replace("Norm", "\nNorm"), fontsize="small")
axes[0, 0].set(ylabel="before: layer", yticks=[1, depth], ylim=(depth + 0.5, 0.5), xticks=[0, 1])
axes[1, 0].set(ylabel=f"after {epochs} epochs: layer")
fig.supxlabel("activation probability", fontsize="medium")
fig.colorbar(
    mesh, ax=axes, shrink=0.6, label="share of the units", ticks=[0, 0.1, 0.3, 0.6], aspect=30
)
report.source(f"{LOOKED}; trained on {len(images):,} images, {n_seeds} seeds", stand_in=fewer)
report.figure(
    fig,
    name="fig-normalization-activity",
    caption="Activation probabilities of the units, layer by layer from above; each row of a map is the histogram of a layer. Above: untrained, with the first and last decile that theory "
    "predicts (orange). Below: trained. Glorot's law starts as He's.",
    alt=f"Before: default and He split towards both ends, LayerNorm as He, BatchNorm and WeightNorm are thin lines at one half. After: default as before, BatchNorm still thin, with spread "
    f"{spreads['BatchNorm'][-1]:.2f}, the others bands with spreads of {min(spreads[k][-1] for k in ('He', 'WeightNorm', 'LayerNorm', 'SELU')):.2f} or more.",
)

# %% tags=["hide-input"]
frames = [
    report.Frame(
        k or "untrained",
        f"{f'After epoch {k}' if k else 'Untrained,'} the spread is {spreads['He'][j]:.2f} with He, {spreads['WeightNorm'][j]:.2f} with WeightNorm, {spreads['LayerNorm'][j]:.2f} with LayerNorm and "
        f"{spreads['BatchNorm'][j]:.2f} with BatchNorm.",
        curves={kind: (middle, histogram(active[kind][k])) for kind in drawn},
        note="; ".join(f"{kind} {spreads[kind][j]:.2f}" for kind in drawn),
    )
    for j, k in enumerate(looks)
]
report.frames(
    frames,
    name="fig-normalization-epochs",
    caption=f"Activation probabilities of the units of all hidden layers together, {n_seeds} seeds. The numbers are spreads: the root mean square distance from one half, a mean over layers and seeds. Move "
    "the slider from epoch to epoch.",
    label="epoch",
    xlabel="activation probability",
    ylabel="share of the units",
)

# %% tags=["remove-cell"]
# fmt: off
for kind in drawn:
    for when, k in (("before", 0), ("after", looks[-1])):
        each = spread(active[kind][k]).mean(1)
        report.number(f"S3-xavier/{when}-{KEYS[kind]}", **over_seeds(each), tol=0.06)
        report.number(f"S3-xavier/ends-{when}-{KEYS[kind]}", saturated(active[kind][k]), unit="share", tol=0.1, n=n_seeds)
held = spread(active["BatchNorm"][looks[-1]]).mean(1)
report.number("S3-bn/activation-probability", **over_seeds(active["BatchNorm"][looks[-1]].mean((1, 2))), unit="share", tol=0.03, agree=0.05,
              label="mean P_A of BatchNorm, trained")
report.number("S3-bn/restricted", **over_seeds(held), tol=0.03, agree=(0, 0.12), label="spread of P_A of BatchNorm, trained", note="zero: all units at one half")
for kind in ("He", "WeightNorm", "LayerNorm"):
    report.number(f"S3-bn/restricted-{kind.lower()}", **over_seeds(spread(active[kind][looks[-1]]).mean(1)), tol=0.06, label=f"the same of {kind}")
norms = [run["net"].get_submodule(f"norm{k}") for run in runs["BatchNorm"] for k in range(1, depth + 1)]
shifts = np.array([(norm.bias / norm.weight.abs()).detach().cpu().numpy() for norm in norms])
report.number("S3-bn/shift", float(np.sqrt((shifts**2).mean())), tol=0.03)
report.number("S3-bn/by-shift", float(spread(ndtr(shifts)).mean()), tol=0.03)
# fmt: on

# %% [markdown]
r"""
**What to notice.** He's law goes from a spread of {glue:text}`S3-xavier/before-he:.2f` to {glue:text}`S3-xavier/after-he:.2f` and layer normalisation from {glue:text}`S3-xavier/before-layernorm:.2f` to
{glue:text}`S3-xavier/after-layernorm:.2f`, towards one half. Weight normalisation starts at {glue:text}`S3-xavier/before-weightnorm:.2f` and *leaves* it, for {glue:text}`S3-xavier/after-weightnorm:.2f` (recorded:
{recorded}`S3-xavier/before-he` to {recorded}`S3-xavier/after-he`, {recorded}`S3-xavier/before-layernorm` to {recorded}`S3-xavier/after-layernorm`, {recorded}`S3-xavier/before-weightnorm` to {recorded}`S3-xavier/after-weightnorm`).
So one half is not what activations "learn". On the digits, with a small rate, He's law hardly moves. In its networks {glue:text}`S3-xavier/ends-before-he:.0%` of all hidden units are saturated before training and
{glue:text}`S3-xavier/ends-after-he:.0%` after it (recorded {recorded}`S3-xavier/ends-before-he` and {recorded}`S3-xavier/ends-after-he`).

Of the networks with ReLU only batch normalisation stays: {glue:text}`S3-bn/restricted:.2f` (recorded {recorded}`S3-bn/restricted`). The study is right about what happens. It need not happen: each unit has a learned shift $\beta$ and scale
$\gamma$ behind the norm, which could move $P_A$ to $\Phi(\beta / |\gamma|)$. They are hardly used: the root mean square of $\beta / \gamma$ is {glue:text}`S3-bn/shift:.3f`, and it alone would give a spread of
{glue:text}`S3-bn/by-shift:.3f` (recorded {recorded}`S3-bn/shift` and {recorded}`S3-bn/by-shift`). The rest of the spread comes from laws that are not symmetric: the mean stays near zero, the median does not.

## What are the running averages for?

The study describes batch normalisation so: keep track of each activation's running mean and deviation "and normalize each activation with the running mean/standard deviation". That is what a network does when it is
*used*. In training it takes the mean and deviation of the batch at hand, and the gradient flows through them; the averages are only recorded.
"""


# %%
class RunningNorm(nn.BatchNorm1d):
    """The study's words: training, too, uses the running averages, which each batch moves on."""

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                super().forward(x)  # moves the averages
        mean, var = self.running_mean.clone(), self.running_var.clone()
        return batch_norm(x, mean, var, self.weight, self.bias, eps=self.eps)


def read_literally(net, generator):
    """Put the study's norm into a network, in place, with averages that have seen images."""
    for name in [
        name for name, layer in net.named_children() if isinstance(layer, nn.BatchNorm1d)
    ]:
        net.add_module(name, RunningNorm(width).to(device))
    see_images(net, generator)


OPTIONS["running averages"] = {"normalization": "batch"}
FINISH["running averages"] = read_literally
literal = np.array(train_all("running averages", starts[:1])[0][0]["rows"])


# %%
def by_batch_statistics(net, images):
    """Return scores and activation probabilities of a network in training mode, for one batch."""
    net = copy.deepcopy(net).train()  # a pass in training mode moves the averages
    with torch.no_grad(), capture.capture(net, gates(net), inputs=True) as entering:
        scores = net(models.prepare(net, images))
    return scores.cpu(), np.stack(
        [(z > 0).double().mean(0).cpu().numpy() for z in entering.values()]
    )


# %% tags=["hide-input"]
new = fresh("BatchNorm", seed)
for layer in new:
    if isinstance(layer, nn.BatchNorm1d):
        layer.reset_running_stats()  # as PyTorch sets them: mean 0, variance 1
ways = {
    "the batch": by_batch_statistics(new, seen)[1],
    "averages, new": probabilities(new),
    "averages, seen images": at_start["BatchNorm"][0],
}
trained = runs["BatchNorm"][0]["net"]
answers = []
for order in (rng.permutation(len(held_out.labels)) for _ in range(2)):
    parts = held_out.images[order].split(batch_size)
    answer = torch.cat(
        [by_batch_statistics(trained, part.to(device))[0].argmax(1) for part in parts]
    )
    answers.append(answer[np.argsort(order)])

# %% tags=["hide-input"]
report.source(f"{LOOKED}; one seed", stand_in=fewer)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for marker, (name, shares) in zip("o^s", ways.items(), strict=True):
    size = {"ms": 8, "mfc": "none"} if name == "the batch" else {"ms": 4}
    axes[0].plot(numbers, spread(shares), marker=marker, label=name, **size)
axes[0].plot(numbers, spread(at_start["default"][0]), "k:", label="no norm")
axes[0].set(
    xlabel="layer", ylabel="spread of $P_A$, untrained", ylim=(0, 0.95), xticks=numbers[::3]
)
axes[0].legend(fontsize="small", loc="upper left")
steps = np.arange(1, epochs + 1)
for name, rows, color in (
    ("trained with batches", curves["BatchNorm"][0], "C2"),
    ("with running averages", literal, "C3"),
):
    axes[1].plot(steps[: len(rows)], rows[:, 3], color=color, label=name)
axes[1].axhline(1 / len(learn.classes), color="0.5", lw=1, ls="--")
axes[1].set(xlabel="epoch", ylabel="held-out accuracy", ylim=(0, None))
axes[1].xaxis.set_major_locator(MaxNLocator(5, integer=True))
axes[1].legend(fontsize="small", loc=(0.22, 0.53))
report.figure(
    fig,
    name="fig-normalization-running",
    caption="Left: one untrained network with batch normalisation by three sets of statistics, and the same weights without a norm. Right: training with the statistics of the batch, as it is done, and with "
    "running averages, as the study words it. Dashed: guessing.",
    alt=f"Left: spread near zero by the batch and by averages of the images; with new averages it climbs to {spread(ways['averages, new'])[-1]:.2f}, on top of no norm. Right: "
    f"accuracy {curves['BatchNorm'][0][-1, 3]:.2f} by batch, {literal[-1, 3]:.2f} by running averages.",
)

# %% tags=["remove-cell"]
# fmt: off
for name, shares in ways.items():
    report.number(f"S3-bn/by-{name.split()[-1]}", spread(shares)[-1], tol=0.03)
report.number("S3-bn/new-equal", float(np.abs(ways["averages, new"] - at_start["default"][0]).max()), tol=0.02)
report.number("S3-bn/changed", float((answers[0] != answers[1]).float().mean()), unit="share", tol=0.05, n=len(answers[0]))
report.source(f"{TRAINED}; one seed", stand_in=fewer)
report.number("S3-bn/literal-accuracy", float(literal[-1, 3]), unit="share", tol=0.25, n=1, label="held-out accuracy, trained with running averages")
report.number("S3-bn/literal-loss-best", float(literal[:, 0].min()), tol=0.5, n=1)
report.number("S3-bn/batch-accuracy", float(curves["BatchNorm"][0][-1, 3]), unit="share", tol=0.06, n=1, label="the same, trained with batches")
# fmt: on

# %% [markdown]
r"""
**What to notice.** With the averages that a new network has, mean zero and variance one, the norm does nothing, and the network is the default: its spread in layer ten is {glue:text}`S3-bn/by-new:.2f`. By the statistics of the
batch it is {glue:text}`S3-bn/by-batch:.2f` from the first step on. Once the averages have seen the images they say the same: {glue:text}`S3-bn/by-images:.2f` (recorded {recorded}`S3-bn/by-new`,
{recorded}`S3-bn/by-batch` and {recorded}`S3-bn/by-images`).

Trained with running averages, the network ends at {glue:text}`S3-bn/literal-accuracy:.1%`, where batches reach {glue:text}`S3-bn/batch-accuracy:.1%` (recorded {recorded}`S3-bn/literal-accuracy` and
{recorded}`S3-bn/batch-accuracy`, one seed each). On the digits the gap is large from the start; on photographs it is small, and in the first epochs there is none. Ioffe and Szegedy give a reason why averages may harm: the gradient does not know of the averages, so a step may change what the norm then takes back. What they are good for is the trained network: by the statistics of
the batch an answer depends on which other images are there. Two random orders gave {glue:text}`S3-bn/changed:.1%` of the held-out images another class (recorded {recorded}`S3-bn/changed`). With the averages it is none, by
construction.

## Units that normalise themselves

SELU {cite:p}`klambauer-2017` is $\lambda z$ above zero and $\lambda\alpha (e^z - 1)$ below. "You can choose" the two constants, says the study, "so that the outputted distribution has 0 mean and unit deviation". That is two equations for a
standard Gaussian $z$. `theory.selu_constants` solves them: $\alpha$ = {glue:text}`S3-selu/alpha:.5f` and $\lambda$ = {glue:text}`S3-selu/scale:.5f`.

:::{admonition} Guess first
:class: tip
The equations assume that $z$ has variance one. What happens in ten layers if PyTorch's default sets the weights?
:::
"""

# %%
OPTIONS["SELU, default"] = {"activation": "selu"}
alpha, scale = theory.selu_constants()


def outputs(net):
    """Return mean and deviation of each layer's outputs over units and images."""
    found = capture.collect(net, seen, gates(net), progress=False).values()
    return np.array([[y.mean(dtype=np.float64), y.std(dtype=np.float64)] for y in found])


wrong_start = np.array(train_all("SELU, default", starts[:1])[0][0]["rows"])

moments = {}
for kind in ("SELU", "SELU, default", "He", "LayerNorm"):
    moments[kind] = np.stack([outputs(fresh(kind, s)) for s in starts]).mean(0)

# %% tags=["hide-input"]
predicted = {}
for kind, gain, shift in (("SELU", 1, 0), ("SELU, default", 1 / 3, 1 / 3)):
    square, rows = law_of([gain], [shift / n_ins[0]]).mean_square[0], []
    for n in [*n_ins[1:].tolist(), width]:
        rows.append(theory.selu_law(0, math.sqrt(square), alpha, scale))
        square = gain * (rows[-1].mean ** 2 + rows[-1].sd ** 2) + shift / n
    predicted[kind] = np.array(rows)

# %% tags=["hide-input"]
report.source(f"{LOOKED}; untrained, {n_fresh} seeds", stand_in=strange)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained", sharex=True)
hues = dict(zip(moments, ("C6", "C1", "C0", "C5"), strict=True))
for j, (ax, title) in enumerate(
    zip(axes, ("mean of the outputs", "deviation of the outputs"), strict=True)
):
    for marker, (kind, rows) in zip("os^v", moments.items(), strict=True):
        line = {"ls": "", "mfc": "none"} if kind in predicted else {"ls": ":", "lw": 1}
        ax.plot(numbers, rows[:, j], marker=marker, ms=4, color=hues[kind], label=kind, **line)
        if kind in predicted:
            ax.plot(numbers, predicted[kind][:, j], color=hues[kind], lw=1.2)
    ax.set(xlabel="layer", xticks=numbers[::3])
    ax.set_title(title, fontsize="small")
axes[1].set(ylim=(0, None))
fig.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small"
)
report.figure(
    fig,
    name="fig-normalization-selu",
    caption="Mean and deviation of what each layer puts out, over units and images, before training. Lines: theory. Dotted: He's law and layer normalisation with ReLU, for comparison.",
    alt=f"SELU with its own start: mean near zero, deviation near one ({moments['SELU'][-1, 1]:.2f} in the last layer). With PyTorch's default the deviation falls to "
    f"{moments['SELU, default'][-1, 1]:.2f}. The ReLU networks have means around {moments['LayerNorm'][-1, 0]:.1f}.",
)

# %% tags=["remove-cell"]
# fmt: off
report.number("S3-selu/mean", moments["SELU"][-1, 0], tol=0.2, agree=(-0.15, 0.15), label=f"SELU: mean of the outputs of layer {depth}, untrained")
report.number("S3-selu/deviation", moments["SELU"][-1, 1], tol=0.1, agree=(0.85, 1.15), label=f"SELU: deviation of the outputs of layer {depth}, untrained")
report.number("S3-selu/deviation-default", moments["SELU, default"][-1, 1], tol=0.04, label="the same with PyTorch's default weights")
report.number("S3-selu/deviation-theory", predicted["SELU, default"][-1, 1], tol=0.01)
report.source("the constants of PyTorch")
report.number("S3-selu/alpha", alpha, tol=1e-9, agree=1e-9, theory=1.6732632423543772848170429916717, label="alpha of SELU, solved", note="PyTorch's constant")
report.number("S3-selu/scale", scale, tol=1e-9, agree=1e-9, theory=1.0507009873554804934193349852946, label="lambda of SELU, solved", note="PyTorch's constant")
report.source(f"{TRAINED}; one seed", stand_in=fewer)
report.number("S3-selu/default-loss", float(wrong_start[-1, 0]), tol=0.3, n=1)
report.number("S3-selu/default-accuracy", float(wrong_start[-1, 3]), unit="share", tol=0.2, n=1, label="held-out accuracy of SELU with PyTorch's default weights")
# fmt: on

# %% [markdown]
r"""
**What to notice.** With weights of variance $1/n_{in}$ the outputs of layer ten have the mean {glue:text}`S3-selu/mean:.3f` and the deviation {glue:text}`S3-selu/deviation:.2f` (recorded {recorded}`S3-selu/mean` and
{recorded}`S3-selu/deviation`), though the first layer begins elsewhere: zero and one attract. With PyTorch's default the deviation is {glue:text}`S3-selu/deviation-default:.2f` (theory {glue:text}`S3-selu/deviation-theory:.2f`,
recorded {recorded}`S3-selu/deviation-default`). The constants alone do not do it.

Does SELU *need* its start? It needs it to be normal, and not to learn: from the default it learns, too, but more slowly, with a training loss of {glue:text}`S3-selu/default-loss:.2f` at the end instead of
{glue:text}`S3-xavier/loss-selu:.2f` (recorded {recorded}`S3-selu/default-loss` and {recorded}`S3-xavier/loss-selu`; one seed against three). In the recorded run its held-out accuracy, {recorded}`S3-selu/default-accuracy`, is no lower for it than the {recorded}`S3-xavier/accuracy-selu`
of the right start. Around zero SELU is steeper than a ReLU, so that less is lost in each layer.

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Wide layers.** The recursions are those of wide layers. In narrow ones single networks scatter around them, the more the deeper.

**Alike inputs.** The digits have a dark background in common, so that their first layer is saturated already. Photographs are less alike. This is a property of the data, and the same formula has both.

**The rate after a few epochs.** It favours a quick start. Another rate may win at the end, and the order of the kinds among those that learn hangs on it. On both data sets some kind took the smallest or the largest of the three rates, so a wider grid might serve it better.

**Few seeds, few images.** Three seeds show that a network does not learn, or learns. They do not rank methods whose accuracies differ by a point or two. With fewer photographs than the study had, overfitting comes sooner, and most accuracies are lower.

**"Does not learn".** Within these epochs, with this optimiser. The signal is small, and not zero.

:::{admonition} What we learned
:class: important
- PyTorch's default is not Xavier: a factor three in variance on top of the two of the ReLU. Ten layers of it do not learn.
- The right variance and no biases are enough to learn. He's law needs no norm.
- The spread of $P_A$ tells how alike images are in a layer. It does not know the scale, and the scale decides.
- Training leads away from one half as well as towards it. Among ReLU networks only batch normalisation keeps its units there.
- Weight and layer normalisation are not special in overfitting. On photographs all that learn overfit when they are trained for long.
- Running averages are for use, batches for training.
:::

## Exercises

```{exercise}
:label: ex-normalization-leaky
**Another slope** (5 minutes). A leaky ReLU multiplies negative values by $a$ instead of setting them to zero. Which $n_{in}$ times variance keeps the mean square from layer to layer?
```
"""


# %% tags=["exercise"]
def gain_for(slope):
    """Return n_in times the variance of the weights that keeps the mean square."""
    return 2.0  # right for a slope of zero


z = rng.normal(size=100_000)
kept = [gain_for(a) * np.mean(np.where(z > 0, z, a * z) ** 2) for a in (0, 0.2, 1)]
report.check(
    "ex-normalization-leaky",
    np.allclose(kept, 1, atol=0.03),
    "What is the mean square of its output?",
)


# %% tags=["solution"]
def gain_for(slope):
    """Return n_in times the variance of the weights that keeps the mean square."""
    return 2 / (1 + slope**2)


kept = [gain_for(a) * np.mean(np.where(z > 0, z, a * z) ** 2) for a in (0, 0.2, 1)]
report.check(
    "ex-normalization-leaky",
    np.allclose(kept, 1, atol=0.03),
    "What is the mean square of its output?",
)

# %% [markdown]
r"""
```{exercise}
:label: ex-normalization-correlation
**Backwards** (5 minutes). You have the histogram of a layer and nothing else. How correlated are two images in it, if all pairs are equally so?
```
"""


# %% tags=["exercise"]
def correlation_of(active):
    """Return the correlation of two images from the activation probabilities of a layer."""
    return float(2 * spread(active))  # zero and one are right, between it is not


truths = np.array([0.1, 0.5, 0.9])
made = [ndtr(theory.kappa(c) * ndtri((np.arange(4000) + 0.5) / 4000)) for c in truths]
passed_all = np.allclose([correlation_of(a) for a in made], truths, atol=0.01)
report.check("ex-normalization-correlation", passed_all, "Solve the theorem's formula for c.")


# %% tags=["solution"]
def correlation_of(active):
    """Return the correlation of two images from the activation probabilities of a layer."""
    return float(np.sin(2 * np.pi * spread(active) ** 2))


passed_all = np.allclose([correlation_of(a) for a in made], truths, atol=0.01)
report.check("ex-normalization-correlation", passed_all, "Solve the theorem's formula for c.")

# %% [markdown]
r"""
```{exercise}
:label: ex-normalization-momentum
**How long does the start last?** (5 minutes). With momentum $m$ a running average is $(1 - m)$ times the old one plus $m$ times the batch's. After how many batches has the start a weight of less
than one hundredth?
```
"""


# %% tags=["exercise"]
def batches_until(momentum, weight):
    """Return after how many batches the start counts for less than this weight."""
    return round(1 / momentum)  # then it still counts for more than a third


def slowly(momentum, weight):
    """Return the same by counting."""
    left, n = 1.0, 0
    while left >= weight:
        left, n = left * (1 - momentum), n + 1
    return n


passed_all = all(batches_until(m, 0.01) == slowly(m, 0.01) for m in (0.5, 0.1, 0.01))
report.check("ex-normalization-momentum", passed_all, "Which power of 1 - m falls below it?")


# %% tags=["solution"]
def batches_until(momentum, weight):
    """Return after how many batches the start counts for less than this weight."""
    return math.floor(math.log(weight) / math.log(1 - momentum)) + 1


passed_all = all(batches_until(m, 0.01) == slowly(m, 0.01) for m in (0.5, 0.1, 0.01))
report.check("ex-normalization-momentum", passed_all, "Which power of 1 - m falls below it?")

# %% [markdown]
r"""
```{exercise}
:label: ex-normalization-layernorm
**What layer normalisation forgives** (10 minutes). Which of three changes to a layer leave what comes out of layer normalisation as it was: all pre-activations of an image times ten; one unit's weights times ten; the same number
added to all units? Return three answers.
```
"""

# %% tags=["exercise"]
norm = nn.LayerNorm(width, eps=0.0, elementwise_affine=False)
z = torch.from_numpy(rng.normal(size=(50, width)))
one_unit = torch.ones(width, dtype=z.dtype)
one_unit[0] = 10
same = [torch.allclose(norm(z), norm(other)) for other in (10 * z, one_unit * z, z + 3)]


def forgiven():
    """Return which of the three changes leave the output as it was."""
    return [True, True, True]  # batch normalisation forgives all three


report.check(
    "ex-normalization-layernorm", forgiven() == same, "Over what are mean and deviation taken?"
)


# %% tags=["solution"]
def forgiven():
    """Return which of the three changes leave the output as it was."""
    return [True, False, True]


report.check(
    "ex-normalization-layernorm", forgiven() == same, "Over what are mean and deviation taken?"
)

# %% [markdown]
r"""
## Go further

- The chapter [](#ch-modelling) starts the same network with unit variance, measured on one batch of images, as Mishkin and Matas {cite:p}`mishkin-2016` do.
- Glorot and Bengio {cite:p}`glorot-2010` and He and colleagues {cite:p}`he-2015-delving` are short, and worth reading for what each assumes.
- Ioffe and Szegedy {cite:p}`ioffe-2015` say, before they define batch normalisation, why the gradient must know of the statistics.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
