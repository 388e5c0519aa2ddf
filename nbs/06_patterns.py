# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-patterns)=
# Who is active, and how often?

**Before training, two numbers of the images predict it for every layer. By default the units of a deep network end up always or never active; {term}`batch normalisation` keeps them at one half. But {term}`units <unit>` that are
active half the time are no coins, and they do not make a network learn.**

```{figure} ../results/real/06_patterns/fig-patterns-saturated.webp
:name: fig-patterns-hero
:alt: Blue dots rise along a curve from zero to one over ten layers. Other markers rise slowly to about a third. The lowest ones stay at zero.

What you will be able to predict: how many units of an untrained network are always or never active, layer by layer, with PyTorch's initial weights and others. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Count how often units are active, and predict it from the images and the law of the weights.
- Say why ten layers do not learn by default, and why {term}`saturation` is not the reason.
- State and prove that the {term}`Hamming distance` of two {term}`patterns <pattern>` is an angle, before training.
- Test whether units are independent coins, and tell what a test cannot see.

**You need** means, variances and some PyTorch. **Time:** 30 minutes to read, one minute to run. **Document:** section 1 and the first half of section 2 of the "Study on Activation Patterns" {cite:p}`swiniarski-patterns`.
**Data:** scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY); in the recorded run CIFAR-10 {cite:p}`krizhevsky-2009`.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
pictures = "digits"
# of the digits' pixels; one half each maps to [-1, 1]
pixel_mean, pixel_std = 0.156, 0.278
n_learn = None
width, depth, n_nets = 256, 10, 3
learning_rate, batch_size, n_seeds = 0.01, 64, 3
# images and epochs for the comparison of starts, and the higher learning rate tried
n_start, epochs_start, other_rate = None, 5, 0.1
# after how many epochs networks of one and of three layers are looked at
epochs_one, epochs_three = [1, 5], [1, 4, 12]
n_pairs, repetitions, n_planted, n_probe = 10_000, 1000, 100, 10_000

# %% tags=["hide-input"]
import functools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import capture, checkpoints, data, models, patterns, plots, report, theory, train
from scipy import stats
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.optim.swa_utils import update_bn

report.start("06_patterns", profile=profile, seed=seed, device=device)
rng = np.random.default_rng(seed)

# %% [markdown]
r"""
## How often is a unit active?

A {term}`ReLU` passes a value on or puts a zero in its place. Keep only which of the two, and a layer with {published}`S2.1-actprob/units` units becomes a {term}`pattern` of as many bits: $a_i = 1$ where $f_i > 0$, and
$a_i = 0$ elsewhere. The share of images for which a unit is active is its {term}`activation probability` $P_A$. The study draws a histogram of it for each of
{published}`S2.1-actprob/layers` hidden layers, before training: near one half in the first layer, about uniform in the second, and two spikes at zero and one "starting after the {published}`S2.1-actprob/saturated-from-layer`
layer". It guesses that such saturation makes a network hard to train.

We take the same network, and change one thing at a time: no biases; the larger weights of He and colleagues {cite:p}`he-2015-delving`, without biases and with PyTorch's; and
{term}`batch normalisation` {cite:p}`ioffe-2015`.

:::{admonition} Guess first
:class: tip
PyTorch draws weights and biases of a unit with $n$ inputs from the same law, the uniform one between $-1/\sqrt n$ and $1/\sqrt n$. Which of the two pushes units to "always" or "never": the weights or the
biases?
:::
"""

# %%
learn, held_out = (data.load(pictures, split) for split in ("train", "test"))
learn = learn.sample(n_learn or len(learn.labels), seed)
images, labels = learn.images.to(device), learn.labels.to(device)
network = functools.partial(
    models.mlp,
    n_classes=len(learn.classes),
    input_shape=tuple(images.shape[1:]),
    mean=pixel_mean,
    std=pixel_std,
)


def start(kind, n_layers, generator):
    """Return an untrained network: by default PyTorch's, else with other weights, biases or norms."""
    norm = "batch" if kind == "batch norm" else None
    net = network([width] * n_layers, normalization=norm, generator=generator)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear) and kind.startswith("He"):
                layer.weight *= math.sqrt(6)  # the variance 2 / n, where PyTorch's is 1 / (3 n)
            if isinstance(layer, nn.Linear) and kind in ("He", "no biases"):
                layer.bias.zero_()
    return net


# %%
def settled(net, images):
    """Return an untrained network whose norms have the statistics of the images, in batches of mixed classes."""
    batches = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).split(500)
    update_bn((models.prepare(net, images[some]) for some in batches), net.to(device))
    return net.eval()


def probabilities(net, images):
    """Return the activation probability of each unit: (layers, units)."""
    layers = [name for name, _ in net.named_children() if name.startswith("relu")]
    found = capture.collect(net, images, layers, dtype="bits", progress=False)
    return np.array([patterns.activation(found[name]).units for name in layers])


# %%
kinds = ["default", "no biases", "He", "He, default biases", "batch norm"]
active = {kind: [] for kind in kinds}
for kind in kinds:
    for k in range(seed, seed + n_nets):
        net = settled(start(kind, depth, torch.Generator().manual_seed(k)), images)
        active[kind].append(probabilities(net, images))
active = {kind: np.concatenate(found, axis=1) for kind, found in active.items()}

# %% [markdown]
r"""
The histograms can be predicted. Over the images the {term}`pre-activation` of a unit is about Gaussian, with a mean $m$ and a variance $v$ of its own, so $P_A = \Phi(m / \sqrt v)$. Over random units $m$ is Gaussian and $v$
nearly constant. Hence

$$
P_A = \Phi(\kappa Z), \qquad \kappa^2 = \frac{c}{1 - c},
$$

with $Z$ standard normal, where $c$ is the correlation of the pre-activations of two images, on average. A small $\kappa$ makes a hump at one half, $\kappa = 1$ the {term}`uniform law`, a large one two spikes. From the
data we need two numbers: the correlation of two images as inputs and the mean square of a pixel. Each layer turns its $c$ and the mean square $q$ of its pre-activations into those of the next one. With $n$ times the
variance of a weight $g$ and the variance of a bias $\sigma_b^2$,

$$
q' = \frac{g q}{2} + \sigma_b^2, \qquad c' = \frac{g\, \frac{q}{2}\, k(c) + \sigma_b^2}{q'},
$$

where $k$ is the arc-cosine kernel of a ReLU {cite:p}`cho-2009`. (No ReLU stands before the first layer: there $q/2$ is $q$, and $k(c)$ is $c$, of the inputs.) By default $g = 1/3$: of the signal $q$ a sixth is left in each layer, but the biases stay.
"""

# %%
look = learn.sample(min(10_000, len(learn.labels)), seed).images
x = (look.flatten(1).numpy() / 255 - pixel_mean) / pixel_std  # as the networks see it: (n, d)
square = (x**2).mean()
correlation = (x.mean(0) ** 2).mean() / square  # of two images, on average

n_inputs = np.array([x.shape[1]] + [width] * (depth - 1))
drawn, none = 1 / (3 * n_inputs), 0 * n_inputs  # variances of the biases
laws = {"default": (1 / 3, drawn), "no biases": (1 / 3, none), "He, default biases": (2, drawn)}
predicted = {
    kind: theory.depth_recursion(square, correlation, np.full(depth, gain), biases)
    for kind, (gain, biases) in laws.items()
}

# %% tags=["hide-input"]
STAND_IN = None if pictures == "cifar10" else "CIFAR-10"


def of_images(what):
    """Say that the numbers that follow come from images."""
    report.source(f"{pictures}, {what}", stand_in=STAND_IN)


def saturated(p):
    """Return the share of units that are active for less than 1 % or more than 99 % of the images."""
    return ((p < 0.01) | (p > 0.99)).mean(-1)


edges = np.linspace(0, 1, 21)
middle = (edges[1:] + edges[:-1]) / 2
steps = np.repeat(edges, 2)[1:-1]
layer_frames = []
for k in range(depth):
    curves = {}
    for kind in ("default", "no biases", "batch norm"):
        share = np.histogram(active[kind][k], edges)[0] / active[kind].shape[1]
        curves[kind] = (steps, np.repeat(share, 2))
        if kind in predicted:
            law = theory.activation_cdf(edges, predicted[kind].kappa[k])
            curves[f"{kind}, predicted"] = (middle, np.diff(law))
    layer_frames.append(
        report.Frame(
            f"layer {k + 1}",
            f"Layer {k + 1}: {saturated(active['default'][k]):.0%} of the units saturated by default, {saturated(active['no biases'][k]):.0%} without biases; "
            f"with batch norm all lie within {np.abs(active['batch norm'][k] - 0.5).max():.2f} of one half.",
            curves=curves,
            note=f"predicted kappa {predicted['default'].kappa[k]:.2f} by default, {predicted['no biases'].kappa[k]:.2f} without biases",
        )
    )

# %% tags=["hide-input"]
of_images(f"{len(images):,} training images; {n_nets} untrained networks of {depth} layers")
report.frames(
    layer_frames,
    name="fig-patterns-layers",
    caption=f"How often a unit is active: shares of the {n_nets * width} units of each layer in {n_nets} untrained networks, in bins of 0.05 (steps), and the prediction (smooth lines). Move the slider through the layers.",
    xlabel="activation probability",
    ylabel="share of units",
    start=3,
)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
at = np.arange(1, depth + 1)
looks = zip(kinds, ("C0", "C1", "C2", "k", "C3"), "oosxv", (5, 6, 10, 5, 5), strict=True)
for kind, color, marker, size in looks:
    ax.plot(at, saturated(active[kind]), marker, color=color, mfc="none" if kind == "He" else color, ms=size, label=kind)  # fmt: skip
for kind, color in (("default", "C0"), ("no biases", "C1")):
    ax.plot(at, 2 * theory.activation_cdf(0.01, predicted[kind].kappa), color=color, lw=1.4)
ax.set(xlabel="layer", ylabel="saturated units", xticks=at, ylim=(-0.03, 1.03))
ax.legend(fontsize="small", ncols=2, loc="upper left", bbox_to_anchor=(0, 0.98))
report.figure(
    fig,
    name="fig-patterns-saturated",
    caption="Share of units that are active for fewer than one image in a hundred, or for more than 99, in untrained networks; lines are predictions, the lower one for no biases. Squares lie on its circles, and crosses nearly so.",
    alt=f"By default the dots climb along their curve from {saturated(active['default'])[0]:.2f} to {saturated(active['default'])[-1]:.2f}; without biases they reach "
    f"{saturated(active['no biases'])[-1]:.2f}, with He's weights about the same, biases or not; with batch norm {saturated(active['batch norm'])[-1]:.2f}.",
)


# %% tags=["remove-cell"]
# fmt: off
def off_half(p):
    """Return how far activation probabilities are from one half, on average."""
    return float(np.abs(p - 0.5).mean())


first_full = {name: 1 + int(np.argmax(np.asarray(values) >= 0.9)) for name, values in (("found", saturated(active["default"])),
              ("predicted", 2 * theory.activation_cdf(0.01, predicted["default"].kappa)))}
report.number("S2.1-actprob/images", len(images), tol=0)
report.number("S2.1-actprob/correlation", float(correlation), tol=0.01)
contrast = (x[::5] - x.mean(0)).std(1)
report.number("S2.1-actprob/contrast", float((1 / contrast).mean() * np.sqrt((contrast**2).mean())), tol=0.02)
report.number("S2.1-actprob/close", off_half(active["default"][0]), tol=0.03, agree=(0, 0.1), label="layer 1: distance of a unit's activation probability from a half",
              note="it depends on what the images have in common", n=n_nets * width)
report.number("S2.1-actprob/far", off_half(active["default"][2]), tol=0.03)
flat = [float(stats.kstest(p, "uniform").statistic) for p in active["default"]]
report.number("S2.1-actprob/uniform", flat[1], tol=0.04, agree=(0, 0.1), label="layer 2: distance of the law from a uniform one", note="largest difference of the cumulative shares")
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for k in (1, 2, 3):
    report.number(f"S2.1-actprob/uniform-{k}", flat[k - 1], tol=0.04)
    kappa, spread = float(predicted["default"].kappa[k - 1]), np.median(np.abs(stats.norm.ppf(active["default"][k - 1])))
    report.number(f"S2.1-actprob/kappa-{k}", kappa, tol=0.05)
    report.number(f"S2.1-actprob/kappa-found-{k}", float(spread / stats.norm.ppf(0.75)), tol=0.2)
    report.number(f"S2.1-actprob/law-{k}", float(stats.kstest(active["default"][k - 1], lambda p, k=k: theory.activation_cdf(p, predicted["default"].kappa[k - 1])).statistic), tol=0.04)
report.number("S2.1-actprob/saturated-from-layer", first_full["found"], tol=1, agree=1, theory=first_full["predicted"], label="first layer with nine of ten units saturated",
              note=f"of the third {saturated(active['default'][2]):.0%} are")
for kind in kinds:
    key = kind.replace(" ", "-").replace(",", "")
    for k in (3, depth):
        expected = float(2 * theory.activation_cdf(0.01, predicted[kind].kappa[k - 1])) if kind in predicted else None
        told = {"label": f"saturated units in layer {k}, {kind}", "theory": expected, "agree": 0.08} if expected is not None and k == depth else {}
        report.number(f"S2.1-actprob/saturated-{k}-{key}", float(saturated(active[kind])[k - 1]), unit="share", tol=0.06, **told)
        if expected is not None:
            report.number(f"S2.1-actprob/predicted-{k}-{key}", expected, unit="share", tol=0.02)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("S2.1b-actprob-bn/close", off_half(active["batch norm"]), tol=0.01, agree=(0, 0.1), n=n_nets * width * depth,
              label="all ten layers, batch norm: distance of the activation probability from a half")
report.number("S2.1b-actprob-bn/without", off_half(active["default"]), tol=0.03, label="all ten layers, default: the same")
report.number("S2.1b-actprob-bn/farthest", float(np.abs(active["batch norm"] - 0.5).max()), tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The smooth lines are no fits: the correlation of two images is {glue:text}`S2.1-actprob/correlation:.2f` here and {recorded}`S2.1-actprob/correlation` for CIFAR-10, and the rest follows.

In the **first layer** $P_A$ is {glue:text}`S2.1-actprob/close:.2f` away from one half on average (recorded {recorded}`S2.1-actprob/close`). So the study's "close to {published}`S2.1-actprob/layer-1`" tells of its images: photographs have little in
common, while all digits share their dark border. In the **second layer** $\kappa$ is {glue:text}`S2.1-actprob/kappa-found-2:.2f` if we fit it to the units, and {glue:text}`S2.1-actprob/kappa-2:.2f` by the recursion
({recorded}`S2.1-actprob/kappa-found-2` and {recorded}`S2.1-actprob/kappa-2`). The law is {glue:text}`S2.1-actprob/uniform:.2f` ({recorded}`S2.1-actprob/uniform`) away from the uniform one, by the largest difference of
cumulative shares. "Close to uniform" is again a matter of the data. In the **third** {glue:text}`S2.1-actprob/saturated-3-default:.0%` ({recorded}`S2.1-actprob/saturated-3-default`) of the units are saturated; nine of ten are from
layer {glue:text}`S2.1-actprob/saturated-from-layer` on ({recorded}`S2.1-actprob/saturated-from-layer`): by this measure later than the study says.

Most markers lie a little above the lines: $v$ is not the same for all units, and pre-activations are not quite Gaussian. In the recorded first layer $\kappa$ is {recorded}`S2.1-actprob/kappa-found-1`, predicted
{recorded}`S2.1-actprob/kappa-1`; that photographs differ in contrast makes it {recorded}`S2.1-actprob/contrast` times as large, about half of the gap.

Take the **biases** away, and in the last layer {glue:text}`S2.1-actprob/saturated-10-no-biases:.0%` ({recorded}`S2.1-actprob/saturated-10-no-biases`) are saturated in place of nearly all. Larger weights alone change no sign, because a
ReLU network without biases only scales: He's squares and the circles of no biases are the same units. But with larger weights PyTorch's biases do no harm either
({glue:text}`S2.1-actprob/saturated-10-He-default-biases:.0%`; {recorded}`S2.1-actprob/saturated-10-He-default-biases`). So depth alone saturates some units, and biases as such add hardly any. Nearly all saturate where biases stay while the signal shrinks.

With **batch normalisation** $P_A$ is {glue:text}`S2.1b-actprob-bn/close:.3f` away from one half on average over all layers ({recorded}`S2.1b-actprob-bn/close`): the study is right.

## Does it help to start at one half?

"Thus initializing so that each probability of activation is {published}`S2.2b-init-half/initial-probability` from the beginning should help the learning process", says the study, and does not try. It is easy: choose each bias as the negative median of $W x$ over a
batch of images, layer by layer. We do it with PyTorch's weights ("half"), and with each unit's weights scaled to a deviation of one as well ("half, scaled").

:::{admonition} Guess first
:class: tip
Five starts for networks of three and of ten layers: default, half, half and scaled, He, batch normalisation. Which of them learn with ten layers?
:::
"""


# %%
def half(kind, n_layers, generator):
    """Return an untrained network whose hidden units are active for half of the images of a batch."""
    net = start("default", n_layers, generator)
    batch = learn.images[torch.randperm(len(learn.images), generator=generator)[:1000]]
    h = models.prepare(net, batch)
    with torch.no_grad():
        for layer in net[:-1]:
            if isinstance(layer, nn.Linear):
                if kind == "half, scaled":
                    layer.weight /= (h @ layer.weight.T).std(0)[:, None]
                layer.bias.copy_(-(h @ layer.weight.T).median(0).values)
            h = layer(h)
    return net


# %% tags=["hide-input"]
builders = {
    "default": start,
    "half": half,
    "half, scaled": half,
    "He": start,
    "batch norm": start,
}
part = learn.sample(n_start or len(learn.labels), seed)
recipe = {"learning_rate": learning_rate, "batch_size": batch_size}


def trained(kind, n_layers, k, **options):
    """Return the network that training makes of a start."""
    build = functools.partial(builders[kind], kind, n_layers)
    options = {**recipe, "epochs": epochs_start, **options}
    learned = part.images.to(device), part.labels.to(device)
    return checkpoints.load_or_fit("patterns-start", build, *learned, seed=k, **options)


seeds = range(seed, seed + n_seeds)
starts = {
    (n, kind): [trained(kind, n, k) for k in seeds] for n in (3, depth) for kind in builders
}

# %% tags=["hide-input"]
faster = {kind: trained(kind, depth, seed, learning_rate=other_rate) for kind in ("default", "half")}  # fmt: skip
losses = {key: np.array([fit.history.loss for fit in fits]) for key, fits in starts.items()}
right = {
    key: np.array([train.accuracy(fit.model, held_out.images, held_out.labels) for fit in fits])
    for key, fits in starts.items()
}
before = {}
for kind, build in builders.items():
    net = settled(build(kind, depth, torch.Generator().manual_seed(seed)), part.images.to(device))
    before[kind] = probabilities(net, held_out.images)

# %% tags=["hide-input"]
of_images(f"{len(part.labels):,} training images, {n_seeds} networks a curve")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained", sharey=True)
for ax, n in zip(axes, (3, depth), strict=True):
    for (kind, color), marker in zip(zip(builders, ("C0", "C1", "C4", "C2", "C3"), strict=True), "osD^v", strict=True):  # fmt: skip
        runs = losses[n, kind]
        at = np.arange(1, runs.shape[1] + 1)
        size = 8 if kind == "default" else 4
        ax.plot(at, runs.mean(0), marker, ls="-", ms=size, mfc="none" if size == 8 else color, color=color, label=kind)  # fmt: skip
        ax.plot(at, runs.T, color=color, lw=0.5, alpha=0.6)
    ax.axhline(math.log(len(learn.classes)), color="0.5", lw=1, ls=":")
    ax.set(xlabel="epoch", title=f"{n} layers", xticks=at)
axes[0].set_ylabel("training loss")
axes[0].legend(fontsize="small")
report.figure(
    fig,
    name="fig-patterns-starts",
    caption=f"Training loss of networks of {width} units a layer from five starts: means over {n_seeds} networks, and each of them (thin). Dotted: the loss of guessing.",
    alt=f"With 3 layers all five curves fall, to between {min(losses[3, k][:, -1].mean() for k in builders):.2f} and {max(losses[3, k][:, -1].mean() for k in builders):.2f}. With {depth} layers "
    f"default and half stay at {losses[depth, 'half'][:, -1].mean():.2f}, on the dotted line; the other three fall.",
)


# %% tags=["remove-cell"]
def over(values):
    """Return mean and spread over networks as a number's value and spread."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"value": float(np.mean(values)), "spread": spread, "n": len(values)}


# fmt: off
guess = math.log(len(learn.classes))
report.number("S2.2b-init-half/images", len(part.labels), tol=0)
report.number("S2.2b-init-half/epochs", epochs_start, tol=0)
report.number("S2.2b-init-half/guess", guess, tol=0)
report.number("S2.1-actprob/learn", **over(losses[depth, "default"][:, -1] / guess), tol=0.01, agree=(0.99, 1.1), label="ten layers, default: last training loss / loss of guessing")
report.number("S2.1b-actprob-bn/train", **over(losses[depth, "batch norm"][:, -1] / guess), tol=0.1, agree=(0, 0.9), label="ten layers, batch norm: last training loss / loss of guessing")
saved = {(n, kind): losses[n, "default"][:, -1] - losses[n, kind][:, -1] for n, kind in losses}
report.number("S2.2b-init-half/help", **over(saved[depth, "half"]), tol=0.05, agree=(0.05, 5), label="ten layers: training loss of default less that of half", note="above zero: it helps")
report.number("S2.2b-init-half/help-3", **over(saved[3, "half"]), tol=0.1, label="three layers: training loss of default less that of half")
for kind in ("half, scaled", "He", "batch norm"):
    for n in (3, depth):
        report.number(f"S2.2b-init-half/saved-{n}-{kind.replace(' ', '-').replace(',', '')}", **over(saved[n, kind]), tol=0.4)
for kind in builders:
    key = kind.replace(" ", "-").replace(",", "")
    report.number(f"S2.2b-init-half/off-{key}", off_half(before[kind]), tol=0.05)
    report.number(f"S2.2b-init-half/saturated-{key}", float(saturated(before[kind])[-1]), unit="share", tol=0.1)
    for n in (3, depth):
        report.number(f"S2.2b-init-half/accuracy-{n}-{key}", **over(right[n, kind]), unit="share", tol=0.15)
report.number("S2.2b-init-half/rate", other_rate, tol=0)
for kind, fit in faster.items():
    report.number(f"S2.2b-init-half/faster-{kind}", fit.history.loss[-1] / guess, tol=0.02)
seconds = sum(sum(fit.history.seconds) for fits in starts.values() for fit in fits)
report.number("S2.2b-init-half/training", seconds, unit="seconds", tol=1e9)
# fmt: on

# %% [markdown]
r"""
**What to notice.** "Half" does what it is meant to do: on other images $P_A$ is {glue:text}`S2.2b-init-half/off-half:.3f` away from one half on average, over all ten layers, where it is
{glue:text}`S2.2b-init-half/off-default:.3f` by default (recorded {recorded}`S2.2b-init-half/off-half` and {recorded}`S2.2b-init-half/off-default`). And it does not help. With ten layers its loss is that of guessing,
as by default; the difference is {glue:text}`S2.2b-init-half/help:.4f` ({recorded}`S2.2b-init-half/help`). With three layers it is {glue:text}`S2.2b-init-half/help-3:.3f` ({recorded}`S2.2b-init-half/help-3`), which is
nothing beside {glue:text}`S2.2b-init-half/saved-3-half-scaled:.2f` ({recorded}`S2.2b-init-half/saved-3-half-scaled`) for the scaled start. A learning rate ten times as high does not save default or half (one network each).

Now look at He's start: {glue:text}`S2.2b-init-half/saturated-He:.0%` of the units of its last layer are saturated ({recorded}`S2.2b-init-half/saturated-He`), and it learns. So a network can stop without saturation, and this much of it does not stop one. What
counts is the size of the signal. "Half" keeps PyTorch's small weights: differences between images, and gradients on their way back, shrink from layer to layer. Where that is repaired the network learns: by scaled
weights, by He's, or by batch normalisation, whose last loss is {glue:text}`S2.1b-actprob-bn/train:.0%` of guessing ({recorded}`S2.1b-actprob-bn/train`). [](#ch-modelling) looks closer at such starts.

## Hamming distance is an angle

The study calls the number of units in which two patterns differ their {term}`Hamming distance`. Before training it is an old friend.

:::{prf:theorem} Hamming distance at the start
:label: thm-patterns-angle
Let $n$ units see inputs of two dimensions or more, with independent weight vectors that are *isotropic*: never zero, and of a law that no rotation changes. Let them have no biases. Then the number of units in which the patterns of two inputs $x, y \neq 0$ differ
follows the binomial law of $n$ trials with probability $\theta/\pi$, where $\theta$ is the angle between $x$ and $y$. Its mean is $n \theta/\pi$.
:::

:::{prf:proof}
Take one unit, with weights $w$. The signs of $\langle w, x\rangle$ and $\langle w, y\rangle$ depend only on the projection of $w$ onto a plane that holds $x$ and $y$. As $w$ is isotropic, this projection is almost surely not zero,
and its direction is uniform on a circle. Walk around the circle. The first sign changes at two opposite points, where the direction is at right angles to $x$; the second at the same two points turned by $\theta$. Between them lie two arcs of
length $\theta$ on which the signs differ. So they differ with probability $2\theta / 2\pi$. The units are independent, so their number is binomial.
:::

(The sign argument is that of Goemans and Williamson {cite:p}`goemans-1995`; as a way to store angles in bits it is due to Charikar {cite:p}`charikar-2002`.) A Gaussian bias is the weight of one more input, a constant. In a wide layer $l$ the
inputs are random too, and $\cos\theta$ is the $c$ of the recursion, taken for each pair of images by itself.

First we check the theorem where all is as it says, for eight angles and Gaussian weights.
"""

# %%
angles = np.linspace(0.1, 3.0, 8)
turned = np.stack([np.cos(angles), np.sin(angles)])  # the second inputs: (2, 8)
trials = 1000
weights = rng.normal(size=(trials, width, 2))
apart = ((weights[..., :1] > 0) != (weights @ turned > 0)).sum(1)  # (trials, 8)
law = theory.hamming(np.cos(angles), width)
errors = (apart.mean(0) - law.mean) / (law.sd / math.sqrt(trials))
assert np.abs(errors).max() < 4
assert np.abs(apart.std(0) / law.sd - 1).max() < 0.1


# %%
def correlations(x, y, n_layers):
    """Return the correlation of pre-activations for pairs of inputs (p, d), by default: (layers, p)."""
    xx, yy, xy = ((a * b).mean(1) for a, b in ((x, x), (y, y), (x, y)))
    found = []
    for n in [x.shape[1]] + [width] * (n_layers - 1):
        xx, yy, xy = ((square + 1 / n) / 3 for square in (xx, yy, xy))
        length = np.sqrt(xx * yy)
        found.append(np.clip(xy / length, -1, 1))
        xx, yy, xy = xx / 2, yy / 2, length * theory.arc_cosine(found[-1]) / 2  # after the ReLU
    return np.array(found)


generator = torch.Generator().manual_seed(seed)
some = patterns.disjoint_pairs(len(x), min(1000, len(x) // 2), generator=generator)
paired = correlations(x[some[:, 0]], x[some[:, 1]], 3)  # (3, p)

# %% tags=["hide-input"]
THREE = ["relu1", "relu2", "relu3"]


def looked_at(net, images, layers):
    """Return the packed patterns of some layers."""
    return capture.collect(net, images, layers, dtype="bits", progress=False)


def untrained(n_layers, k):
    """Return a network by default, untrained."""
    return start("default", n_layers, torch.Generator().manual_seed(k)).to(device).eval()


blanks = [untrained(3, k) for k in seeds]
each = [looked_at(net, look, THREE) for net in blanks]
measured = np.array(
    [[patterns.pair_distances(found[name], some) for name in THREE] for found in each]
)  # (networks, 3, p)
expected = np.array([theory.hamming(c, width).mean for c in paired])  # (3, p)

# %% tags=["hide-input"]
of_images(f"{len(some):,} pairs of images; {n_seeds} untrained networks")
fig, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
for k, color in enumerate(("C0", "C1", "C2")):
    shown = slice(0, 300)
    ax.plot(expected[k, shown], measured[0, k, shown], ".", ms=4, color=color, alpha=0.7, label=f"layer {k + 1}")  # fmt: skip
grid = np.linspace(0, math.pi, 200)
mean, sd = theory.hamming(np.cos(grid), width)
ax.plot(mean, mean, color="k", lw=1, label="the theorem")
ax.fill_between(
    mean, mean - 2 * sd, mean + 2 * sd, color="0.85", lw=0, label="two standard deviations"
)
ax.set(xlabel=f"{width} × angle / π, from the images alone", ylabel="units that differ")
ax.set(xlim=(0, 1.05 * expected.max()), ylim=(0, 1.05 * measured.max()))
ax.legend(fontsize="small", markerscale=2)
spread = np.array([theory.hamming(c, width).sd for c in paired])
inside = (np.abs(measured - expected) < 2 * spread).mean((0, 2))  # (3,)
report.figure(
    fig,
    name="fig-patterns-angle",
    caption="In how many units two images differ, in the layers of an untrained network, against what the angle of the two images says. A dot is a pair.",
    alt=f"Three clouds along the diagonal: {inside[0]:.0%} of the pairs of layer 1, {inside[1]:.0%} of layer 2 and {inside[2]:.0%} of layer 3 lie in the grey band; deeper layers lie closer to zero.",
)

# %% tags=["remove-cell"]
# fmt: off
report.source("Gaussian weights, planted angles")
report.number("S2.2-hamming-hist/law-error", float(np.abs(errors).max()), tol=3, n=trials)
report.number("S2.2-hamming-hist/law-sd", float((apart.std(0) / law.sd).mean()), tol=0.05, agree=0.05, theory=1.0, label="deviation of the distance / that of the angle law")
for key, weight in (("uniform", rng.uniform(-1, 1, (400_000, 2))), ("gaussian", rng.normal(size=(400_000, 2)))):
    report.number(f"S2.2-hamming-hist/corner-{key}", float(((weight @ [1, 0] > 0) != (weight @ [1, 0.5] > 0)).mean()), tol=0.003)
report.number("S2.2-hamming-hist/corner-angle", math.atan(0.5) / math.pi, tol=0)
of_images(f"{len(some):,} pairs of images; {n_seeds} untrained networks")
for k in range(3):
    report.number(f"S2.2-hamming-hist/angle-{k + 1}", **over(measured[:, k].mean(1)), tol=6, agree=7, theory=float(expected[k].mean()), unit="bits",
                  label=f"untrained, layer {k + 1}: mean distance")
    report.number(f"S2.2-hamming-hist/angle-predicted-{k + 1}", float(expected[k].mean()), tol=1, unit="bits")
    report.number(f"S2.2-hamming-hist/angle-order-{k + 1}", float(stats.spearmanr(measured[0, k], expected[k]).statistic), tol=0.05)
    report.number(f"S2.2-hamming-hist/angle-inside-{k + 1}", float(inside[k]), unit="share", tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** With Gaussian weights no mean is farther than {glue:text}`S2.2-hamming-hist/law-error:.1f` standard errors from the theorem. The images' patterns follow it in every layer: in the third the mean distance is
{glue:text}`S2.2-hamming-hist/angle-3:.1f`, predicted {glue:text}`S2.2-hamming-hist/angle-predicted-3:.1f` (recorded {recorded}`S2.2-hamming-hist/angle-3` and {recorded}`S2.2-hamming-hist/angle-predicted-3`). All pairs of a network share
its weights, so its whole cloud may lie a little high or low. PyTorch's weights are uniform, hence not isotropic, and yet it holds: sums of many of them are nearly Gaussian. With two inputs they are not: for $(1, 0)$ and
$(1, 1/2)$ uniform weights differ in {glue:text}`S2.2-hamming-hist/corner-uniform:.3f` of the units, Gaussian ones in {glue:text}`S2.2-hamming-hist/corner-gaussian:.3f`.

So before training a distance of "about half" is no sign of randomness. It says that two images are about at right angles.

## Before and after training

The study trains a network with {published}`S2.2-hamming-hist/layers` layers and draws histograms of the distance for {published}`S2.2-hamming-hist/pairs` pairs. After {published}`S2.2-hamming-hist/epochs` epochs all three stand
at {published}`S2.2-hamming-hist/trained-distance`, it says: "all {term}`activations <activation>` learn to have a probability of activation of {published}`S2.2-hamming-hist/trained-probability`".

Two independent images differ in a unit that is active with probability $p_i$ with probability $2 p_i (1 - p_i)$. So the mean distance is $n/2 - 2 \sum_i (p_i - 1/2)^2$: it knows the $p_i$ only, whether units depend on
each other or not. That shows in the *variance*. We divide it by that of a binomial law of the same mean: the {term}`over-dispersion`. The number of units divided by it is how many
independent bits would scatter as much.
"""

# %%
at_epochs = [0, *epochs_three]
build = functools.partial(start, "default", 3)
finished = [
    checkpoints.load_or_fit("patterns-three", build, images, labels, seed=k, epochs=epochs_three[-1], **recipe)
    for k in seeds
]  # fmt: skip
# with a constant learning rate a short run is the beginning of a long one
along = {0: blanks[0]} | {
    e: checkpoints.load_or_fit("patterns-three", build, images, labels, seed=seed, epochs=e, **recipe).model
    for e in epochs_three
}  # fmt: skip

count = min(n_pairs, len(images) // 2)
pairs = patterns.disjoint_pairs(len(images), count, generator=generator)
same = (learn.labels[pairs[:, 0]] == learn.labels[pairs[:, 1]]).numpy()


def distances(net):
    """Return in how many units each pair differs, and how often each unit is active: (3, p), (3, units)."""
    found = looked_at(net, images, THREE)
    apart = [patterns.pair_distances(found[name], pairs) for name in THREE]
    return np.array(apart), np.array([patterns.activation(found[name]).units for name in THREE])


progress = {e: distances(net) for e, net in along.items()}
ends = [distances(fit.model) for fit in finished]

# %% [markdown]
r"""
:::{admonition} Guess first
:class: tip
As how many independent bits do the 256 units of the third layer scatter after training: 250, 100, or 30?
:::
"""

# %% tags=["hide-input"]
top = int(max(apart.max() for apart, _ in progress.values())) + 8
whole = np.arange(width + 1)
angle_shares = 1 - theory.arc_cosine(paired, 0)  # (3, p)
pair_frames = []
for e in (0, at_epochs[-1]):
    apart, p = progress[e]
    for k in range(3):
        curves = {}
        edges = np.arange(-0.5, min(top, width) + 8, 8)
        for name, chosen in (("same class", same), ("other classes", ~same)):
            share = np.histogram(apart[k, chosen], edges, density=True)[0]
            curves[name] = (edges[:-1] + 4, share)
        law = patterns.distance_law(p[k])
        curves["independent units"] = (whole[:top], law[:top])
        mixture = stats.binom.pmf(whole[:top], width, angle_shares[k][:, None]).mean(0)
        curves["angle of the images (untrained)"] = (whole[:top], mixture)
        v = patterns.variance_test(apart[k], width)
        pair_frames.append(
            report.Frame(
                f"layer {k + 1}, {'untrained' if e == 0 else f'epoch {e}'}",
                f"Layer {k + 1}, {'untrained' if e == 0 else f'after {e} epochs'}: pairs of one class around {apart[k, same].mean():.0f}, of two classes around {apart[k, ~same].mean():.0f}; "
                f"the hill of independent units is narrow, around {law @ whole:.0f}.",
                curves=curves,
                note=f"mean {apart[k].mean():.1f}, standard deviation {apart[k].std():.1f}, over-dispersion {v.overdispersion:.1f}: as {v.effective_bits:.0f} independent bits",
            )
        )

# %% tags=["hide-input"]
of_images(f"{len(pairs):,} disjoint pairs of training images; a network of 3 layers")
report.frames(
    pair_frames,
    name="fig-patterns-distances",
    caption="In how many of 256 units two images differ. Two predictions are drawn with it: for units that are independent and as often active as these, and for the angles of the images, which is meant for the untrained network.",
    label="layer",
    xlabel="units that differ",
    ylabel="density",
)

# %% tags=["hide-input"]
tests = {e: [patterns.variance_test(d, width) for d in apart] for e, (apart, p) in progress.items()}  # fmt: skip
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained")
means = {f"layer {k + 1}": [apart[k].mean() for apart, _ in progress.values()] for k in range(3)}
bits = {f"layer {k + 1}": [found[k].effective_bits for found in tests.values()] for k in range(3)}
for ax, series, what in zip(
    axes, (means, bits), ("mean distance", "effective bits"), strict=True
):
    plots.steps(list(map(str, at_epochs)), series, ax=ax, ylabel=what)
    ax.tick_params(axis="x", rotation=0)
    ax.set(xlabel="epoch", ylim=(0, 1.1 * max(map(max, series.values()))))
axes[0].set_ylim(0, 1.1 * max(width / 2, *map(max, means.values())))
axes[0].axhline(width / 2, color="0.5", lw=1, ls="--")
axes[1].legend(fontsize="small")
report.figure(
    fig,
    name="fig-patterns-training",
    caption=f"Left: mean distance of two images in units of {width} (dashed: half of them). Right: so many independent bits would scatter as much around their mean.",
    alt=f"Left: the third layer goes from {means['layer 3'][0]:.0f} to {means['layer 3'][-1]:.0f}, the first from {means['layer 1'][0]:.0f} to {means['layer 1'][-1]:.0f}, the dashed line is at {width // 2}. "
    f"Right: the third goes from {bits['layer 3'][0]:.0f} to {bits['layer 3'][-1]:.0f} bits.",
)

# %% tags=["remove-cell"]
# fmt: off
accuracies = [train.accuracy(fit.model, held_out.images, held_out.labels) for fit in finished]
final = np.array([apart.mean(1) for apart, _ in ends])  # (networks, 3)
farthest = np.abs(final - width / 2).argmax(1)
report.number("S2.2-hamming-hist/pairs", len(pairs), tol=0)
report.number("S2.2-hamming-hist/epochs", at_epochs[-1], tol=0)
of_images(f"{len(held_out.labels):,} held-out images; {n_seeds} networks of 3 layers")
report.number("S2.2-hamming-hist/epoch-16-accuracy", **over(accuracies), unit="share", tol=0.04, agree=0.04, label="accuracy on held-out images")
of_images(f"{len(pairs):,} disjoint pairs of training images; {n_seeds} networks of 3 layers")
report.number("S2.2-hamming-hist/trained-distance", **over(final[np.arange(len(final)), farthest]), unit="bits", tol=15, agree=10, label="mean distance, layer that is farthest from a half",
              note="it grows towards a half in deep layers, and does not reach it")
report.number("S2.2-hamming-hist/learn", **over([off_half(p) for _, p in ends]), tol=0.04, agree=(0, 0.1), label="trained: distance of the activation probabilities from a half")
report.number("S2.2-hamming-hist/learn-before", off_half(progress[0][1]), tol=0.04, label="untrained: distance of the activation probabilities from a half")
for k in range(3):
    for key, value in (("before", progress[0][0][k].mean()), ("sd-before", progress[0][0][k].std())):
        report.number(f"S2.2-hamming-hist/{key}-{k + 1}", float(value), unit="bits", tol=8)
    both = [patterns.variance_test(apart[k], width) for apart, _ in ends]
    report.number(f"S2.2-hamming-hist/after-{k + 1}", **over(final[:, k]), unit="bits", tol=20, label=f"trained, layer {k + 1}: mean distance")
    report.number(f"S2.2-hamming-hist/sd-after-{k + 1}", **over([apart[k].std() for apart, _ in ends]), unit="bits", tol=8)
    report.number(f"S2.2-hamming-hist/bits-{k + 1}", **over([v.effective_bits for v in both]), tol=30, label=f"trained, layer {k + 1}: effective number of independent bits")
    report.number(f"S2.2-hamming-hist/over-{k + 1}", **over([v.overdispersion for v in both]), tol=4)
    report.number(f"S2.2-hamming-hist/bits-before-{k + 1}", tests[0][k].effective_bits, tol=40)
    report.number(f"S2.2-hamming-hist/gap-before-{k + 1}", float(progress[0][0][k, ~same].mean() - progress[0][0][k, same].mean()), unit="bits", tol=5)
    report.number(f"S2.2-hamming-hist/gap-after-{k + 1}", **over([a[k, ~same].mean() - a[k, same].mean() for a, _ in ends]), unit="bits", tol=15)
report.number("S2.2-hamming-hist/training", sum(sum(fit.history.seconds) for fit in finished), unit="seconds", tol=1e9)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Before training each layer stands at a place of its own, as the study says, and lies near the curve of the angles. Training moves the third layer towards one half: from {glue:text}`S2.2-hamming-hist/before-3:.0f` to
{glue:text}`S2.2-hamming-hist/after-3:.0f` units (recorded {recorded}`S2.2-hamming-hist/before-3` to {recorded}`S2.2-hamming-hist/after-3`). The first layer moves away from it, from {glue:text}`S2.2-hamming-hist/before-1:.0f` to
{glue:text}`S2.2-hamming-hist/after-1:.0f` ({recorded}`S2.2-hamming-hist/before-1` to {recorded}`S2.2-hamming-hist/after-1`). ("Before" is one network, "after" the mean of all networks.) And none arrives. In the layer that is farthest from one half the mean is
{glue:text}`S2.2-hamming-hist/trained-distance:.0f` ({recorded}`S2.2-hamming-hist/trained-distance`, at an accuracy of {recorded}`S2.2-hamming-hist/epoch-16-accuracy` where the study has
{published}`S2.2-hamming-hist/epoch-16-accuracy`). Activation probabilities are {glue:text}`S2.2-hamming-hist/learn:.2f` away from one half on average, {glue:text}`S2.2-hamming-hist/learn-before:.2f` before training
({recorded}`S2.2-hamming-hist/learn` and {recorded}`S2.2-hamming-hist/learn-before`).

In the third layer training changes the spread, too. The distances scatter as {glue:text}`S2.2-hamming-hist/bits-before-3:.0f` independent bits before, as {glue:text}`S2.2-hamming-hist/bits-3:.0f` after it
({recorded}`S2.2-hamming-hist/bits-before-3` and {recorded}`S2.2-hamming-hist/bits-3`). That is no law: in the first
they scatter as {glue:text}`S2.2-hamming-hist/bits-before-1:.0f` and {glue:text}`S2.2-hamming-hist/bits-1:.0f` (recorded {recorded}`S2.2-hamming-hist/bits-before-1` and, more
than before, {recorded}`S2.2-hamming-hist/bits-1`). In the third, classes move apart:
the distance of two classes exceeds that within a class by {glue:text}`S2.2-hamming-hist/gap-before-3:.0f` units
before and {glue:text}`S2.2-hamming-hist/gap-after-3:.0f` after ({recorded}`S2.2-hamming-hist/gap-before-3` and {recorded}`S2.2-hamming-hist/gap-after-3`). The hill of independent units is far too narrow for either.

## Are they coins?

The study then asks whether the patterns of a network with one layer are random: independent, fair coins. It takes the mean distance of {published}`S2.3.1-bernoulli-test/pairs` pairs, draws as many pairs of fair coins
{published}`S2.3.1-bernoulli-test/repetitions` times, and counts how often *their* mean is as low. It finds {published}`S2.3.1-bernoulli-test/epoch-0-p` before training and {published}`S2.3.1-bernoulli-test/epoch-5-p`
after {published}`S2.3.1-bernoulli-test/epochs` epochs.

Nothing has to be drawn: the sum of $r$ distances of fair coins is a binomial number of $n r$ throws. And what does the test see? Over *all* pairs of a set of patterns, each with itself too, the mean distance is
exactly $\sum_i 2 p_i (1 - p_i)$, however units depend on each other. So we try it on bits that we plant: unequal but independent ones, and fair ones that go together in groups. Beside it stand a test of the variance, a test of
the single $p_i$, and the eigenvalues of the units' correlations. Those of independent units hardly pass the edge $(1 + \sqrt{n / N})^2$ of Marchenko and Pastur {cite:p}`marchenko-1967`, here for $N$ images. No image stands
in two pairs.
"""


# %%
def fair(n):
    """Return n patterns of independent fair coins."""
    return rng.random((n, width)) < 0.5


def unequal(n):
    """Return n patterns of independent units, some of them more often active than others."""
    p = np.clip(0.5 + 0.1 * rng.normal(size=width), 0.02, 0.98)
    return rng.random((n, width)) < p


def linked(n):
    """Return n patterns of units that are fair, but go together in groups of eight."""
    coin = np.repeat(rng.random((n, width // 8)) < 0.5, 8, axis=1)
    return coin ^ (rng.random((n, width)) < 0.15)  # each unit is its group's coin, or not


def examined(found):
    """Return what the four tests say of patterns: by mean, by variance, by unit and by direction."""
    apart = patterns.pair_distances(found, pairs)
    p = patterns.activation(found).units
    return (
        patterns.bernoulli_test(apart, width),
        patterns.variance_test(apart, width, probabilities=p),
        patterns.heterogeneity_test(found),
        patterns.spectrum(found),
    )


# %% tags=["hide-input"]
build = functools.partial(start, "default", 1)
ones = {0: [untrained(1, k) for k in seeds]}
for e in epochs_one:
    fits = [checkpoints.load_or_fit("patterns-one", build, images, labels, seed=k, epochs=e, **recipe) for k in seeds]  # fmt: skip
    ones[e] = [fit.model for fit in fits]

planted = {"fair coins": fair, "unequal coins": unequal, "linked coins": linked}
verdicts = {
    name: [examined(capture.pack(make(len(images)))) for _ in range(n_planted)]
    for name, make in planted.items()
} | {
    f"epoch {e}": [examined(looked_at(net, images, ["relu1"])["relu1"]) for net in nets]
    for e, nets in ones.items()
}  # fmt: skip

# %% tags=["hide-input"]
of_images(
    f"{len(pairs):,} disjoint pairs of training images; planted bits and networks of 1 layer"
)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained", sharey=True)
titles = ("the study's test: mean", "variance")
for ax, which, title in zip(axes, (0, 1), titles, strict=True):
    for row, found in enumerate(verdicts.values()):
        z = [each[which].z for each in found]
        ax.plot(z, np.full(len(z), row), "o", ms=5, alpha=0.6, color="C0" if row < 3 else "C1")
    ax.axvspan(-3, 3, color="0.85", lw=0)
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlabel="standard errors from fair coins", title=title)
axes[0].set_yticks(range(len(verdicts)), list(verdicts))
axes[0].invert_yaxis()
axes[1].set_xlabel("standard errors from independence")
report.figure(
    fig,
    name="fig-patterns-tests",
    caption=f"How far from the null the mean distance (left) and its variance (right) are, on a scale that is linear up to 10 and logarithmic beyond. Blue: {n_planted} sets of planted bits a row. Orange: {n_seeds} networks. Grey: within three standard errors.",
    alt=f"Left: fair and linked coins scatter around zero, unequal coins lie at {np.mean([v[0].z for v in verdicts['unequal coins']]):.0f}, the networks at {np.mean([v[0].z for v in verdicts['epoch 0']]):.0f} before training. "
    f"Right: only fair and unequal coins lie at zero, the networks beyond {min(v[1].z for e in ones for v in verdicts[f'epoch {e}']):.0f}.",
)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3.1), layout="constrained")
for (name, found), color in zip(verdicts.items(), ("C5", "C2", "C3", "C0", "C4", "C1"), strict=False):  # fmt: skip
    values = found[0][3].eigenvalues.numpy()
    wide = {"lw": 5, "alpha": 0.6} if name == "fair coins" else {}
    ax.plot(np.arange(1, len(values) + 1), np.maximum(values, 1e-4), color=color, label=name, **wide)  # fmt: skip
ax.axhline(found[0][3].upper_edge, color="k", lw=1, ls="--", label="edge of chance")
ax.set(xscale="log", yscale="log", ylim=(0.02, None), xlabel="rank", ylabel="eigenvalue")
ax.legend(fontsize="small", ncols=2)
report.figure(
    fig,
    name="fig-patterns-spectrum",
    caption=f"Eigenvalues of the correlations between {width} units, from the largest on. The dashed line is the upper edge of Marchenko and Pastur, up to which independent units reach.",
    alt=f"Fair and unequal coins lie flat below the dashed line. Linked coins have a shelf of {verdicts['linked coins'][0][3].n_above} values above it. The networks' curves fall from about "
    f"{verdicts['epoch 0'][0][3].eigenvalues[0]:.0f} and cross the line at rank {verdicts['epoch 0'][0][3].n_above}.",
)

# %% tags=["remove-cell"]
# fmt: off
drawn = np.array([np.bitwise_count(rng.integers(2**64, size=(len(pairs), 4), dtype=np.uint64) ^ rng.integers(2**64, size=(len(pairs), 4), dtype=np.uint64)).sum(1).mean() for _ in range(repetitions)])
null = verdicts["fair coins"][0][0]
report.source(f"{repetitions} sets of {len(pairs):,} pairs of fair coins")
report.number("S2.3.1-bernoulli-test/pairs", len(pairs), tol=0)
report.number("S2.3.1-bernoulli-test/null-sd", null.sd, tol=1e-6)
report.number("S2.3.1-bernoulli-test/null-drawn", float(drawn.std()), tol=0.05, agree=0.1 * null.sd, theory=null.sd, label="standard deviation of the mean distance of fair coins, drawn", n=repetitions)
for name in planted:
    report.source(f"planted bits, {len(images):,} patterns, {len(pairs):,} disjoint pairs")
    key, found = name.replace(" ", "-"), verdicts[name]
    rejects = [np.mean([v[k].p_value < 0.05 for v in found]) for k in (0, 1)]
    report.number(f"S2.3.1-bernoulli-test/mean-{key}", **over([v[0].mean for v in found]), unit="bits", tol=0.5)
    report.number(f"S2.3.1-bernoulli-test/z-{key}", **over([v[0].z for v in found]), tol=2)
    report.number(f"S2.3.1-bernoulli-test/rejects-{key}", float(rejects[0]), unit="share", tol=0.15, label=f"{name}: rejected by the mean, at the level of 5 %", n=n_planted)
    report.number(f"S2.3.1-bernoulli-test/variance-{key}", **over([v[1].z for v in found]), tol=5)
    report.number(f"S2.3.1-bernoulli-test/variance-rejects-{key}", float(rejects[1]), unit="share", tol=0.15, n=n_planted)
    report.number(f"S2.3.1-bernoulli-test/units-{key}", **over([v[2].rms for v in found]), tol=0.02)
    report.number(f"S2.3.1-bernoulli-test/above-{key}", **over([v[3].n_above for v in found]), tol=2)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
of_images(f"{len(pairs):,} disjoint pairs of training images; {n_seeds} networks of 1 layer")
for e in ones:
    found, last = verdicts[f"epoch {e}"], e == epochs_one[-1]
    for key, values in (("mean", [v[0].mean for v in found]), ("z", [v[0].z for v in found]), ("variance", [v[1].variance for v in found]), ("bits", [v[1].effective_bits for v in found]),
                        ("units", [v[2].rms for v in found]), ("above", [v[3].n_above for v in found]), ("largest", [float(v[3].eigenvalues[0]) for v in found])):
        report.number(f"S2.3.1-bernoulli-test/epoch-{'last' if last else e}-{key}", **over(values), tol=max(2, 0.2 * abs(np.mean(values))),
                      label={"bits": f"epoch {e}: effective number of independent bits", "mean": f"epoch {e}: mean distance"}.get(key) if last or e == 0 else None)
for key, e, within in (("epoch-0-p", 0, 0.1), ("epoch-5-p", epochs_one[-1], 0.001)):
    report.number(f"S2.3.1-bernoulli-test/{key}", float(np.mean([v[0].p_below for v in verdicts[f"epoch {e}"]])), n=n_seeds, tol=0.01, agree=within, label=f"p-value of the mean, epoch {e}",
                  note="from the exact null; drawing a thousand resolves a thousandth")
report.number("S2.3.1-bernoulli-test/edge", verdicts["epoch 0"][0][3].upper_edge, tol=0.01)
report.number("S2.3.1-bernoulli-test/last-epoch", epochs_one[-1], tol=0)
report.number("S2.3.1-bernoulli-test/needed", math.sqrt(-stats.norm.ppf(0.18) * null.sd / (2 * width)), tol=1e-3)
spread_of_mean = [math.sqrt(v[1].overdispersion) for v in verdicts["epoch 0"]]
report.number("S2.3.1-bernoulli-test/wide", **over(spread_of_mean), tol=1)
centred = []
for net in ones[0]:
    z = torch.cat([net.fc1(net.flatten(net.normalize(models.prepare(net, batch)))).detach().cpu() for batch in images.split(500)])
    free = z - z.mean(0) + net.fc1.bias.detach().cpu()  # what centred images would give
    centred.append(patterns.bernoulli_test(patterns.pair_distances(capture.pack(free > 0), pairs), width))
report.number("S2.3.1-bernoulli-test/centred-z", **over([v.z for v in centred]), tol=8, label="epoch 0, centred images: standard errors from fair coins")
report.number("S2.3.1-bernoulli-test/centred-mean", **over([v.mean for v in centred]), unit="bits", tol=2)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The study's test finds the unequal coins every time and the linked ones hardly: their mean distance is {glue:text}`S2.3.1-bernoulli-test/mean-linked-coins:.1f` (recorded
{recorded}`S2.3.1-bernoulli-test/mean-linked-coins`). The variance does the opposite. So the test sees that units are unequal, never that they go together. Worse, it rejects {glue:text}`S2.3.1-bernoulli-test/rejects-linked-coins:.0%`
of the linked sets ({recorded}`S2.3.1-bernoulli-test/rejects-linked-coins`) at a level of one in twenty: linked units make the mean waver more than the null knows. Of fair coins it rejects
{glue:text}`S2.3.1-bernoulli-test/rejects-fair-coins:.0%` ({recorded}`S2.3.1-bernoulli-test/rejects-fair-coins`), as it should.

**The network** is no coin before training either. Its p-value has more than two hundred zeros behind the point at both epochs. Before training the mean is {glue:text}`S2.3.1-bernoulli-test/epoch-0-mean:.1f` ({recorded}`S2.3.1-bernoulli-test/epoch-0-mean`),
after it {glue:text}`S2.3.1-bernoulli-test/epoch-last-mean:.1f` ({recorded}`S2.3.1-bernoulli-test/epoch-last-mean`): "lower" than coins, yes, but already before learning. For the study's
{published}`S2.3.1-bernoulli-test/epoch-0-p` the $p_i$ would have to be within {recorded}`S2.3.1-bernoulli-test/needed` of one half (root mean square, recorded pairs); ours are
{recorded}`S2.3.1-bernoulli-test/epoch-0-units` away. Take the mean image off, and the distance from coins shrinks from
{glue:text}`S2.3.1-bernoulli-test/epoch-0-z:.0f` to {glue:text}`S2.3.1-bernoulli-test/centred-z:.1f` standard errors (from {recorded}`S2.3.1-bernoulli-test/epoch-0-z` to
{recorded}`S2.3.1-bernoulli-test/centred-z`, which fits the study's p-value). Perhaps the study centred its images; it does not say.

What the test cannot see is the larger part. The 256 units scatter as {glue:text}`S2.3.1-bernoulli-test/epoch-0-bits:.0f` independent bits before and {glue:text}`S2.3.1-bernoulli-test/epoch-last-bits:.0f` after training
({recorded}`S2.3.1-bernoulli-test/epoch-0-bits` and {recorded}`S2.3.1-bernoulli-test/epoch-last-bits`), and go together along {glue:text}`S2.3.1-bernoulli-test/epoch-0-above:.0f` directions
({recorded}`S2.3.1-bernoulli-test/epoch-0-above`) that chance does not make. Images vary along few directions, and random units only look at those.

## How good a stand-in is the pattern?

The study's first question: how much of an approximation of the activations is the pattern? There are two answers. A {term}`linear probe` is a linear classifier fitted to one layer; it tells what *can* be read there. We fit
one to the activations and one to the pattern. And we put the pattern into the network, once plain, once with each unit's zero or one multiplied by its mean active value $E[f \mid f > 0]$, which is nearest to $f$ in mean square.

:::{admonition} Guess first
:class: tip
Which costs more accuracy: to read the pattern with a new classifier, or to hand it to the old layers?
:::
"""


# %%
def probe(x, labels, unseen, unseen_labels):
    """Return the accuracy of a linear probe, fitted by least squares, on unseen images."""
    fitted = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10)).fit(x, labels)
    return fitted.score(unseen, unseen_labels)


# %% tags=["hide-input"]
some_images = learn.sample(min(n_probe, len(images)), seed)
answers = some_images.labels.numpy(), held_out.labels.numpy()


def probes(net):
    """Return the accuracy of probes of the activations and of the patterns of each layer: (2, 3)."""
    known, unseen = (
        capture.collect(net, each.images, THREE, progress=False)
        for each in (some_images, held_out)
    )
    kinds = (np.asarray, lambda f: (f > 0).astype(np.float32))
    sides = [
        [[(make(found[name])) for name in THREE] for make in kinds] for found in (known, unseen)
    ]
    return np.array(
        [
            [probe(f, answers[0], g, answers[1]) for f, g in zip(*rows, strict=True)]
            for rows in zip(*sides, strict=True)
        ]
    )


probed = {
    "trained": np.array([probes(fit.model) for fit in finished]),
    "untrained": np.array([probes(net) for net in blanks]),
}  # (networks, 2, 3)


# %% tags=["hide-input"]
def replaced(net, name, scaled):
    """Return the accuracy of a network with the pattern of one layer in its place."""
    f = capture.collect(net, some_images.images, [name], progress=False)[name]
    usual = f.sum(0) / np.maximum((f > 0).sum(0), 1) if scaled else np.ones(width)  # E[f | f > 0]
    usual = torch.from_numpy(usual).to(device, torch.float32)
    with capture.edit(net, {name: lambda f: (f > 0) * usual}):
        return train.accuracy(net, held_out.images, held_out.labels)


swapped = np.array(
    [
        [[replaced(fit.model, name, scaled) for name in THREE] for scaled in (True, False)]
        for fit in finished
    ]
)  # (networks, 2, 3)

# %% tags=["hide-input"]
of_images(f"{len(held_out.labels):,} held-out images; {n_seeds} trained networks of 3 layers")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained", sharey=True)
series = {
    "activations": probed["trained"][:, 0].mean(0),
    "pattern": probed["trained"][:, 1].mean(0),
    "activations, untrained": probed["untrained"][:, 0].mean(0),
    "pattern, untrained": probed["untrained"][:, 1].mean(0),
}
plots.steps(["1", "2", "3"], series, ax=axes[0], ylabel="accuracy")
for each in swapped:
    for values, color in zip(each, ("C0", "C1"), strict=True):
        axes[1].plot(range(3), values, color=color, lw=0.6, alpha=0.6)
swaps = {"scaled pattern": swapped[:, 0].mean(0), "zeros and ones": swapped[:, 1].mean(0)}
plots.steps(["1", "2", "3"], swaps, ax=axes[1], ylabel="")
axes[1].axhline(np.mean(accuracies), color="0.5", lw=1, ls="--", label="unchanged")
for ax, title in zip(axes, ("linear probe", "pattern in the layer's place"), strict=True):
    ax.set(xlabel="layer", title=title, ylim=(0, 1))
    ax.tick_params(axis="x", rotation=0)
    ax.legend(fontsize="small", loc="best")
report.figure(
    fig,
    name="fig-patterns-probe",
    caption=f"Left: accuracy on held-out images of a linear probe of each layer's activations or pattern. Right: of the network itself with one layer replaced by its pattern. Means over {n_seeds} networks.",
    alt=f"Left: the pattern's line lies below that of the activations, {series['pattern'][0]:.2f} and {series['activations'][0]:.2f} in layer 1, {series['pattern'][-1]:.2f} and {series['activations'][-1]:.2f} in layer 3. Right: scaled patterns keep {swaps['scaled pattern'].min():.2f} to "
    f"{swaps['scaled pattern'].max():.2f}, zeros and ones {swaps['zeros and ones'].min():.2f} to {swaps['zeros and ones'].max():.2f}; unchanged {np.mean(accuracies):.2f}.",
)

# %% tags=["remove-cell"]
# fmt: off
shuffled = rng.permutation(answers[0])
f = capture.collect(finished[0].model, some_images.images, THREE[-1:], progress=False)[THREE[-1]]
g = capture.collect(finished[0].model, held_out.images, THREE[-1:], progress=False)[THREE[-1]]
report.number("S1-Q1-approx/images", len(answers[0]), tol=0)
report.number("S1-Q1-approx/chance", probe(f > 0, shuffled, g > 0, answers[1]), unit="share", tol=0.08)
report.number("S1-Q1-approx/unchanged", **over(accuracies), unit="share", tol=0.04)
for k in range(3):
    for key, which in (("f", 0), ("a", 1)):
        report.number(f"S1-Q1-approx/probe-{key}-{k + 1}", **over(probed["trained"][:, which, k]), unit="share", tol=0.05,
                      label=f"probe of the {'pattern' if which else 'activations'} of layer {k + 1}")
        report.number(f"S1-Q1-approx/blank-{key}-{k + 1}", **over(probed["untrained"][:, which, k]), unit="share", tol=0.05)
    for key, which in (("scaled", 0), ("bits", 1)):
        report.number(f"S1-Q1-approx/{key}-{k + 1}", **over(swapped[:, which, k]), unit="share", tol=0.2, label=f"accuracy, scaled pattern in place of layer {k + 1}" if which == 0 else None)
report.number("S1-Q1-approx/kept", **over((probed["trained"][:, 1] / probed["trained"][:, 0]).mean(1)), unit="share", tol=0.04, label="accuracy of a probe of the pattern / of the activations")
# fmt: on

# %% [markdown]
r"""
**What to notice.** A probe loses little in the third layer: it reads {glue:text}`S1-Q1-approx/probe-f-3:.1%` from the activations and {glue:text}`S1-Q1-approx/probe-a-3:.1%` from the pattern (recorded
{recorded}`S1-Q1-approx/probe-f-3` and {recorded}`S1-Q1-approx/probe-a-3`). In the first it is {glue:text}`S1-Q1-approx/probe-f-1:.1%` and {glue:text}`S1-Q1-approx/probe-a-1:.1%` ({recorded}`S1-Q1-approx/probe-f-1` and
{recorded}`S1-Q1-approx/probe-a-1`). Over the three layers the pattern keeps {glue:text}`S1-Q1-approx/kept:.0%` ({recorded}`S1-Q1-approx/kept`) of the probe's accuracy; a probe of shuffled labels has
{glue:text}`S1-Q1-approx/chance:.0%` ({recorded}`S1-Q1-approx/chance`). A pattern keeps much without training, too: in untrained networks probes read {glue:text}`S1-Q1-approx/blank-f-3:.1%` and {glue:text}`S1-Q1-approx/blank-a-3:.1%` in the third layer
({recorded}`S1-Q1-approx/blank-f-3` and {recorded}`S1-Q1-approx/blank-a-3`).

The network itself does worse with it: {glue:text}`S1-Q1-approx/scaled-1:.0%` with the scaled pattern of the first layer, {glue:text}`S1-Q1-approx/scaled-3:.0%` with that of the third ({recorded}`S1-Q1-approx/scaled-1` and
{recorded}`S1-Q1-approx/scaled-3`; unchanged {glue:text}`S1-Q1-approx/unchanged:.0%` and {recorded}`S1-Q1-approx/unchanged`). Here the networks differ much on digits (thin lines). The scale does not help: plain zeros and ones reach {glue:text}`S1-Q1-approx/bits-1:.0%` and
{glue:text}`S1-Q1-approx/bits-3:.0%` ({recorded}`S1-Q1-approx/bits-1` and {recorded}`S1-Q1-approx/bits-3`). So who is active says most of what a linear probe finds in the layer, but not in the form that the next layers have learned to read. How
often the next layer's signs come out right, [](#ch-modelling) computes and counts.

## The study's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**The prediction** wants wide layers and pre-activations that are Gaussian over the images. It is for random units: one network is one draw, and after training it says nothing.

**Few networks, one recipe.** Each comparison rests on a few networks, on one learning rate (for default and half: two) and on a few epochs. A network that stays at the loss of guessing might leave it later.

**The threshold** of one in a hundred for a saturated unit is ours. A unit that no image of a sample activates may still be active for another one.

**Effective bits** summarise one number, the spread of a distance. They are no dimension, and two layers with as many of them can be quite different.

**Training images.** All patterns but those of the probes are of images that the network has learned.

:::{admonition} What we learned
:class: important
- Before training the law of $P_A$ follows from the correlation of two images and the mean square of a pixel. The study's first two layers tell of its images, the others of PyTorch's biases.
- Units that are active half the time do not make ten layers learn. A signal that keeps its size does, saturated units or not.
- At the start Hamming distance is an angle; "half" means right angles.
- Training moves deep layers towards one half and classes apart. It makes no coins: 256 units scatter as a few dozen.
- A mean distance sees unequal units only. Ask the variance whether units go together.
- A pattern keeps most of what a linear probe can read.
:::

## Exercises

```{exercise}
:label: ex-patterns-mean
**The mean without a pair** (3 minutes). Two independent images differ in a unit that is active with probability $p$ with probability $2 p (1 - p)$. Return the mean distance from
the activation probabilities of all units, and compare it with the mean over the pairs.
```
"""


# %% tags=["exercise"]
def mean_distance(p):
    """Return the mean distance of independent images, from each unit's activation probability."""
    return len(p) / 2  # only right for fair coins


apart, p = progress[0]
passed = abs(mean_distance(p[2]) - apart[2].mean()) < 0.01 * width
report.check("ex-patterns-mean", passed, "Add up the probabilities to differ.")


# %% tags=["solution"]
def mean_distance(p):
    """Return the mean distance of independent images, from each unit's activation probability."""
    return (2 * p * (1 - p)).sum()


passed = abs(mean_distance(p[2]) - apart[2].mean()) < 0.01 * width
report.check("ex-patterns-mean", passed, "Add up the probabilities to differ.")

# %% [markdown]
r"""
```{exercise}
:label: ex-patterns-p-value
**No draw was lower** (3 minutes). Of `n` sets of fair coins none has a mean as low as the network's. The study then reports a p-value of zero. Which value may it report? (The network's own mean is one
more draw, if the null is true.)
```
"""


# %% tags=["exercise"]
def p_value(n_lower, n):
    """Return the p-value if so many of n draws are as low as what was found, or lower."""
    return n_lower / n


passed = abs(p_value(0, 999) - 0.001) < 1e-9 and p_value(10, 10) == 1
report.check("ex-patterns-p-value", passed, "Count the network's own mean, too.")


# %% tags=["solution"]
def p_value(n_lower, n):
    """Return the p-value if so many of n draws are as low as what was found, or lower."""
    return (n_lower + 1) / (n + 1)


passed = abs(p_value(0, 999) - 0.001) < 1e-9 and p_value(10, 10) == 1
report.check("ex-patterns-p-value", passed, "Count the network's own mean, too.")

# %% [markdown]
r"""
```{exercise}
:label: ex-patterns-copies
**The same coin eight times** (5 minutes). A pattern holds 32 fair coins, each of them eight times. Which over-dispersion has the distance of two such patterns, and how many independent bits would scatter as
much? Find it for any number of coins and copies, before you draw any.
```
"""


# %% tags=["exercise"]
def copied(n_coins, n_copies):
    """Return over-dispersion and effective number of bits of coins that stand several times."""
    return 1, n_coins * n_copies  # right for one copy


many = np.repeat(rng.random((20_000, 32)) < 0.5, 8, axis=1)
alone = patterns.disjoint_pairs(len(many), len(many) // 2, generator=generator)
truth = patterns.variance_test(patterns.pair_distances(many, alone), many.shape[1])
passed = np.allclose(copied(32, 8), (truth.overdispersion, truth.effective_bits), rtol=0.1)
report.check("ex-patterns-copies", passed, "A coin that differs moves the distance by eight.")


# %% tags=["solution"]
def copied(n_coins, n_copies):
    """Return over-dispersion and effective number of bits of coins that stand several times."""
    return n_copies, n_coins


passed = np.allclose(copied(32, 8), (truth.overdispersion, truth.effective_bits), rtol=0.1)
report.check("ex-patterns-copies", passed, "A coin that differs moves the distance by eight.")

# %% [markdown]
r"""
```{exercise}
:label: ex-patterns-corner
**A law with corners** (10 minutes). Units with two weights from $U(-1, 1)$, without bias, see the inputs $(1, 0)$ and $(1, 1/2)$. For which share do the two signs differ? The angle would give
$\arctan(1/2) / \pi$. Which line of the proof is lost?
```
"""


# %% tags=["exercise"]
def differing():
    """Return the share of units whose signs differ for the two inputs."""
    return math.atan(0.5) / math.pi  # right for isotropic weights


square_weights = rng.uniform(-1, 1, (400_000, 2))
truth = ((square_weights @ [1, 0] > 0) != (square_weights @ [1, 0.5] > 0)).mean()
report.check("ex-patterns-corner", abs(differing() - truth) < 0.005, "Which weights lie between?")


# %% tags=["solution"]
def differing():
    """Return the share of units whose signs differ for the two inputs."""
    # opposite signs, and the second weight more than twice as large: 1/2 times 1/4
    return 1 / 8


report.check("ex-patterns-corner", abs(differing() - truth) < 0.005, "Which weights lie between?")

# %% [markdown]
r"""
## Go further

- Poole and colleagues {cite:p}`poole-2016` follow the recursion of $q$ and $c$ through deep networks, and find where signals neither die nor blur.
- Lee and colleagues {cite:p}`lee-2018` use it as the kernel of a Gaussian process that stands for an infinitely wide network.
- Alain and Bengio {cite:p}`alain-2017` put linear probes on every layer, and watch them during training.
- Lu and colleagues {cite:p}`lu-2020` compute how likely a whole ReLU network is dead at the start.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
