# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-aliasing)=
# How much of a network's spectra is aliased, and how much of that is the measure?

**Half of all frequencies are tangled, says the published picture, more so in deep layers, and as much for right as for wrong predictions. But noise with a mean, without any network, gives such a trend with the
size of the maps, and a network with random weights a similar picture. Corrected, the measure answers planted waves rightly; training then lowers
what is tangled, wrong predictions of our networks have somewhat more of it, and most of all it depends on the threshold.**

```{figure} ../results/real/15_aliasing/fig-aliasing-maps.webp
:name: fig-aliasing-hero
:alt: An image, four of a network's maps, their spectra, and below squares of dark, blue, yellow and red pixels: the kind of every frequency, by the published and by the corrected measure.

What you will be able to draw: one image, the maps that a network makes smaller, and what becomes of each frequency. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Sort the frequencies of a map into four kinds, by what happens to them when every second pixel is dropped.
- Test a measure on maps whose answer is known, before you believe it on a network.
- Take a published number apart: which part is the networks', which the threshold's, the padding's, the counting's.
- Compare two groups by the size of an effect and not by boxes.

**You need** [](#ch-oscillations), where waves fall on each other. **Time:** 25 minutes to read, one minute to run. **Document:** "Quantifying aliasing in convolutional neural networks"
{cite:p}`ribeiro-aliasing-readme`, published with its paper {cite:p}`ribeiro-2021`; its adversarial part is rebuilt in [](#ch-aliasing-attacks). **Data:** shapes, which `actlib` draws, and two photographs of scikit-learn (CC BY); in the
recorded run CIFAR-10 {cite:p}`krizhevsky-2009` with published weights, and photographs of ImageNet {cite:p}`russakovsky-2015` (for research).
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
# images; a network that comes with weights, its depth or a name of torchvision (None: trained here)
pictures, size, given = "shapes", 32, None
n_learn, n_judged = 4000, 1000
depth, widths, stem_stride = 8, [8, 16, 32], 1
epochs, learning_rate, batch_size = 5, 0.1, 32
# for the document's network: "two" photographs that are always there, or the data set
photographs, n_photographs = "two", 4
# images for what the shares depend on; maps of noise for each size
n_spectra, n_noise = 80, 8
sides = [14, 28, 56, 112, 224]
thresholds = [10, 20, 30, 40, 50, 60]
# images, epochs and rate for the network with a blur
n_tune, tune_epochs, tune_rate = 1500, 2, 0.02
n_draws = 400

# %% tags=["hide-input"]
import copy
from collections import OrderedDict

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision
from actlib import (
    aliasing,
    checkpoints,
    data,
    models,
    plots,
    published,
    report,
    resnets,
    statistics,
    train,
    weights,
)
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from scipy import stats
from sklearn.datasets import load_sample_images
from torch import nn
from torch.optim.swa_utils import update_bn

# %% tags=["hide-input"]
# fmt: off
report.start("15_aliasing", profile=profile, seed=seed, device=device)
KINDS = ListedColormap(aliasing.COLORS)
NAMES = [name.replace(" ", "-") for name in aliasing.CATEGORIES]
LEGEND = [Patch(color=colour, label=name) for name, colour in zip(aliasing.CATEGORIES, aliasing.COLORS, strict=True)]
LITERAL, CORRECTED = aliasing.LITERAL, aliasing.CORRECTED
RULES = {"as published": LITERAL, "corrected": CORRECTED}


def dice(k):
    """Return a generator of its own for one part of the chapter."""
    return torch.Generator().manual_seed(1000 * seed + k)
# fmt: on


# %% [markdown]
r"""
## Four kinds of frequency

A layer with stride two computes a map and keeps every second row and column. The map before has a {term}`spectrum` of $n \times n$ frequencies. Afterwards only $n/2 \times n/2$ are left, and four
frequencies of the map, one from each {term}`fold <fold of a spectrum>`, fall on each of them. One of the four is slow enough for the smaller map: it lies in the *own* fold. The other three are {term}`aliases <aliasing>`. The document sorts what is left
"into {published}`Q1-categories/categories` different categories". In its code a fold *passes* if its strength is within {published}`Q1-categories/threshold` dB of the strongest frequency of the smaller map (each 20 dB are a factor of ten),
and a frequency is

- *no pass* (grey): no fold passes;
- *non-aliased* (blue): the own fold alone;
- *aliased* (yellow): one other fold alone, so that nothing is lost, only renamed;
- *tangled* (red): two folds or more, which nobody can tell apart afterwards.

We look at a network that was never asked about spectra, and at one image which it names correctly. `aliasing.capture` finds every layer that drops pixels and gives its maps before they are dropped; the network runs
as it is.
"""

# %% tags=["hide-input"]
split = data.manifest(pictures).splits[-1]
held_out = data.load(pictures, split, size=size, n=n_judged)
if isinstance(given, str):  # only these images need be there: every second one is learned from
    places = torch.arange(len(held_out.labels))
    learn, held_out = held_out.subset(places[1::2]), held_out.subset(places[::2])
else:
    learn = data.load(pictures, "train", size=size, n=n_learn)


def reference(generator):
    """Return the document's network, torchvision's ResNet-34, untrained."""
    with torch.random.fork_rng(devices=[]):
        network = torchvision.models.resnet34()
    scale = models.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return models.initialize(
        nn.Sequential(OrderedDict(normalize=scale, network=network)), generator
    )


def build(generator):
    """Return the network of this chapter, untrained."""
    if isinstance(given, str):
        return reference(generator)
    shape = {"widths": widths, "stem_stride": stem_stride, "size": size}
    network = resnets.cifar(depth, n_classes=len(learn.classes), **shape, generator=generator)
    return network.to(memory_format=torch.channels_last)  # faster on a CPU


# %%
if given is None:
    recipe = {"epochs": epochs, "learning_rate": learning_rate, "weight_decay": 5e-4}
    recipe |= {"schedule": "onecycle", "augment": "flip", "seed": seed, "batch_size": batch_size}
    known = learn.images.to(device), learn.labels.to(device)
    net = checkpoints.load_or_fit("aliasing-network", build, *known, **recipe).model
elif isinstance(given, str):
    net = weights.imagenet(given).to(device)
else:
    net = resnets.pretrained(given).to(device)
blank = build(dice(1)).to(device).eval()
# the untrained network gets the statistics of its BatchNorms from images, without labels
update_bn([models.prepare(blank, learn.sample(min(500, len(learn.labels)), seed).images)], blank)

right = train.predict(net, held_out.images).cpu() == held_out.labels
shown = held_out.images[[int(right.int().argmax())]]
with torch.no_grad(), aliasing.capture(net) as maps:
    net(models.prepare(net, shown))

# %% tags=["hide-input"]
# fmt: off
IMAGENET = isinstance(given, str)
LAYERS = list(maps)
STRIDES = aliasing.strides(net)


def of(what, stand_in="ResNet-34 on ImageNet"):
    """Say where the numbers that follow come from."""
    report.source(f"{pictures}, residual network of {given or depth} layers, {what}", stand_in=None if IMAGENET else stand_in)


def short(name):
    """Return the document's label of a signal: 0 for the first layer, m for the max-pooling, * for a shortcut."""
    stage = "".join(c for c in name.split("layer")[-1][:1] if c.isdigit())
    if "layer" not in name:
        return "m" if "pool" in name else "0"
    return f"{'*' if 'shortcut' in name or 'downsample' in name else ''}{int(stage) - 1}"


def draw_kinds(ax, kinds, title=None):
    """Draw the category of each frequency."""
    ax.imshow(kinds, cmap=KINDS, vmin=-0.5, vmax=3.5, interpolation="nearest")
    if title:
        ax.set_title(title, fontsize="small")


SIGNALS = [short(name) for name in LAYERS]
of("one image")
drawn = {}
for name in LAYERS[-4:]:
    each = maps[name][0]
    drawn[name] = each[int(each.flatten(1).std(1).argmax())].cpu()  # the channel that varies most
pictured = {rule: [aliasing.category_map(drawn[name], STRIDES[name], how) for name in drawn] for rule, how in RULES.items()}
# fmt: on

# %% tags=["hide-input"]
# fmt: off
fig = plt.figure(figsize=(7, 5.7))
axes = plots.grid(4, 5, figure=fig)
plots.image(shown[0].cpu().numpy(), ax=axes[0, 0], title="image")
for ax, text in zip(axes[1:, 0], ["spectrum", "as\npublished", "corrected"], strict=True):
    ax.set_axis_off()
    ax.text(0.95, 0.5, text, transform=ax.transAxes, ha="right", va="center", fontsize="small")
for k, (name, one) in enumerate(drawn.items(), 1):
    side = one.shape[-1]
    axes[0, k].imshow(one, cmap="gray")
    axes[0, k].set_title(f"map {short(name)}, {side} px", fontsize="small")
    power = torch.fft.fftshift(torch.fft.fft2(one - one.mean()).abs() + 1e-9).log10()
    axes[1, k].imshow(power, cmap="viridis", vmin=float(power.max()) - 2.5)
    axes[1, k].add_patch(plt.Rectangle((side / 4 - 0.5, side / 4 - 0.5), side / 2, side / 2, fill=False, ec="w", lw=0.9))
    for row, rule in enumerate(RULES, 2):
        draw_kinds(axes[row, k], pictured[rule][k - 1])
fig.legend(handles=LEGEND, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 0.02), fontsize="small")
red = {rule: float(np.mean([(kinds == 3).double().mean() for kinds in each])) for rule, each in pictured.items()}
report.figure(
    fig, name="fig-aliasing-maps",
    caption="One image; from each of four layers the channel that varies most, before pixels are dropped; its spectrum, slow frequencies in the middle, with a white frame around the own fold; "
    "and the kind of each frequency of the smaller map by the two measures. 1 and 2 are the convolutions that halve, those with a star their shortcuts. The published measure draws a finer grid, because it adds zeros around the map.",
    alt=f"Four columns of maps, spectra brightest in the middle, and squares of coloured pixels. Red covers {red['as published']:.2f} of the published squares and {red['corrected']:.2f} of the corrected ones.",
)
# fmt: on

# %% [markdown]
r"""
The published pictures are of two layers of a ResNet-34, with sides of {published}`Q2-maps/conv1-side` and {published}`Q2-maps/layer2-side` pixels: the first mostly dark with a blue middle, the second mostly red and yellow. Our lower rows have all
four colours, too. Before we believe them: what should such a picture show?

## Maps whose answer is known

:::{admonition} Guess first
:class: tip
A map has the same value everywhere. How much of its spectrum is tangled? And of a map of pure noise, of which only the positive part is kept, as a {term}`ReLU` does?
:::

The simplest test are waves. One cosine whose period divides the map has one frequency (and its mirror image). We draw all of them, and ask each measure for the only possible answer: the own fold, or one other.
"""

# %%
n = 16
grid = torch.arange(n, dtype=torch.float64)
k = torch.cartesian_prod(torch.arange(n), torch.arange(n))[1:]
k = k[(k % (n // 2) != n // 4).all(1)]  # there the two ends of the own fold meet
waves = 2 * np.pi / n * (k[:, 0, None, None] * grid[:, None] + k[:, 1, None, None] * grid)
waves = (waves + 0.6).cos()
slow = torch.minimum(k, n - k).amax(1) < n // 4
truth = torch.where(slow, 1, 2)[:, None, None]


def named(rule):
    """Return for each wave whether its kind, and no other, is found."""
    kinds = aliasing.category_map(waves, 2, rule)
    return ((kinds == truth) | (kinds == 0)).all((1, 2)) & (kinds == truth).any((1, 2))


levels = np.arange(0, 50, 0.25)
weak = 10 ** (-torch.from_numpy(levels) / 20)[:, None, None] * waves[(k == 2).all(1)]
pair = waves[(k == torch.tensor([1, 2])).all(1)] + weak


def weakest(rule):
    """Return how many decibels a second wave may lie below the first and still pass."""
    kinds = aliasing.category_map(pair, 2, rule._replace(padding="none"))
    return levels[(kinds[:, n // 4 + 2, n // 4 + 2] > 0).numpy()].max()


# %%
def noises(side, m, generator):
    """Return maps of a side whose spectra are known: (m, side, side) each."""
    white = torch.randn(m, 2 * side, 2 * side, dtype=torch.float64, generator=generator)
    f = torch.fft.fftfreq(2 * side).abs()
    few = ((f[:, None] < 0.1) & (f < 0.1)) * torch.fft.fft2(white)
    even = torch.ones(1, side, side, dtype=torch.float64)
    cut = slice(side // 2, side // 2 + side)
    slow, white = torch.fft.ifft2(few).real[:, cut, cut], white[:, cut, cut]
    slow = slow / slow.std()
    return {
        "constant": even,
        "slow noise": slow,
        "white noise": white,
        "its positive part": white.relu(),
    }


def tangled(maps, rule):
    """Return the mean share of tangled frequencies."""
    counts = aliasing.tally(maps, 2, rule).counts.double()
    return float((counts / counts.sum(-1, keepdim=True))[..., 3].mean())


HANN = CORRECTED._replace(window="hann")
by_side = {side: noises(side, n_noise, dice(2)) for side in sides}
of_noise = {
    rule: {side: {name: tangled(each, how) for name, each in found.items()} for side, found in by_side.items()}
    for rule, how in {**RULES, "window": HANN}.items()
}  # fmt: skip

# %% tags=["hide-input"]
# fmt: off
report.source("constant maps and noise, no network")
first = min(sides)
fig = plt.figure(figsize=(7, 5.6))
axes = plots.grid(3, 4, figure=fig, hspace=0.22)
for column, (name, each) in zip(axes.T, by_side[first].items(), strict=True):
    column[0].imshow(each[0], cmap="gray", vmin=-2, vmax=2)
    column[0].set_title(name, fontsize="small")
    for ax, (rule, how) in zip(column[1:], RULES.items(), strict=True):
        draw_kinds(ax, aliasing.category_map(each[0], 2, how))
        ax.set_xlabel(f"tangled: {of_noise[rule][first][name]:.2f}", fontsize="small")
for ax, text in zip(axes[:, 0], [f"{first} x {first}", *RULES], strict=True):
    ax.set_ylabel(text, fontsize="small")
fig.legend(handles=LEGEND, ncols=4, loc="lower center", bbox_to_anchor=(0.5, -0.04), fontsize="small")
report.figure(
    fig, name="fig-aliasing-noise",
    caption=f"Maps of {first} x {first} pixels, as in the last stage of a ResNet-34, and the kinds of their frequencies. The first two have no frequency that could fold. Below: the mean share of tangled ones.",
    alt="Four columns. Published: " + ", ".join(f"{name} is tangled to {value:.2f}" for name, value in of_noise["as published"][first].items())
    + ". Corrected: " + ", ".join(f"{value:.2f}" for value in of_noise["corrected"][first].values()) + ".",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
right_waves = {rule: named(how).double().mean().item() for rule, how in RULES.items()}
kinds = aliasing.category_map(waves, 2, LITERAL)
most_found = torch.stack([(kinds == kind).sum((1, 2)) for kind in (1, 2, 3)]).argmax(0) + 1
report.source("planted waves, no network")
report.number("Q1-categories/categories", len(aliasing.CATEGORIES), tol=0, agree=0, label="kinds of frequency")
report.number("Q1-categories/waves-published", right_waves["as published"], unit="share", tol=0, agree=(0.99, 1), n=len(waves), label="planted waves whose kind alone is found, as published")
report.number("Q1-categories/waves-most", float((most_found == truth.flatten()).double().mean()), unit="share", tol=0, n=len(waves), label="planted waves whose kind is found more often than any other, as published")
report.number("Q1-categories/waves", right_waves["corrected"], unit="share", tol=0, agree=(0.99, 1), n=len(waves), label="the same, corrected")
report.number("Q1-categories/threshold", weakest(LITERAL), unit="dB", tol=0.3, agree=0.5, label="how far below the strongest frequency one still passes, as published", note="the mean of four folds is compared with one whole fold")
report.number("Q1-categories/threshold-corrected", weakest(CORRECTED), unit="dB", tol=0.3, agree=(19.5, 20.5), label="the same, corrected")
report.source("constant maps and noise, no network")
NOISE = {"constant": "constant", "slow": "slow noise", "white": "white noise", "positive": "its positive part"}
for key, name in NOISE.items():
    quiet = {"agree": (0, 0.01)} if key in ("constant", "slow") else {}
    for rule, tail in (("as published", "-published"), ("corrected", ""), ("window", "-window")):
        if key != "constant" or tail != "-window":
            report.number(f"Q1-categories/{key}{tail}", of_noise[rule][first][name], unit="share", tol=0.05, **quiet, n=n_noise, label=f"tangled of {name}, {first} px, {rule}")
# fmt: on

# %% [markdown]
r"""
**What to notice.** The published measure finds the right kind, and no other beside it, for {glue:text}`Q1-categories/waves-published:.0%` of the waves, the corrected one for {glue:text}`Q1-categories/waves:.0%`. It does not help the published
measure to take the kind found most often: it is right for {glue:text}`Q1-categories/waves-most:.0%`. Of a constant map the published measure calls
{glue:text}`Q1-categories/constant-published:.1%` tangled, the corrected one {glue:text}`Q1-categories/constant:.1%`. There are four causes.

1. *Zeros.* It adds zeros to the right and below, up to twice the size. The step to zero smears every line over its row and column, as for the constant map.
2. *The mean.* The strongest frequency of a map that passed a ReLU is nearly always zero, its mean. All others are compared with that, so the result depends on how large the mean is.
3. *The threshold.* The spectrum afterwards is the *mean* of four folds, but a fold is compared as a whole. A second wave still passes at {glue:text}`Q1-categories/threshold:.0f` dB below the first, not at {published}`Q1-categories/threshold`; corrected, at
{glue:text}`Q1-categories/threshold-corrected:.0f` dB.
4. *The counting.* In the code *no pass* is whatever is neither non-aliased nor tangled. So it contains the aliased ones, and these are counted twice.

White noise is tangled to {glue:text}`Q1-categories/white-published:.0%` and {glue:text}`Q1-categories/white:.0%`, and here both are right: all its folds are strong. But mind what this means: a network that gave nothing but noise would be called fully tangled.

The corrected measure divides by four, removes the mean, adds no zeros and counts once. It has a weakness left. A map does not end where it began; the jump at its border makes fast frequencies. Of the slow noise,
which has none, it calls {glue:text}`Q1-categories/slow:.1%` tangled, the published measure {glue:text}`Q1-categories/slow-published:.1%`; with a {term}`window <window of a spectrum>` that lets the map fade at its border it is {glue:text}`Q1-categories/slow-window:.1%`.

## The size of the map

The plainest trend of the document's pie: the deeper the layer, the more is tangled. But deep layers have small maps.

:::{admonition} Guess first
:class: tip
Take the positive part of white noise, the same noise for every size. Will the share of tangled frequencies change from 224 to 14 pixels?
:::
"""

# %% tags=["hide-input"]
# fmt: off
report.source("constant maps and noise, no network")
PLACES = {"conv1": 224, "maxpool": 112, "layer2": 56, "layer2-shortcut": 56, "layer3": 28, "layer3-shortcut": 28, "layer4": 14, "layer4-shortcut": 14}
TANGLED = {name: published.value(f"Q3-pie-imagenet/tangled-{name}")["value"] for name in PLACES}
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained", sharey=True)
for ax, rule in zip(axes, RULES, strict=True):
    for name, marker in zip(NOISE.values(), "sv^o", strict=True):
        ax.plot(sides, [of_noise[rule][side][name] for side in sides], marker=marker, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sides, [str(side) for side in sides])
    ax.set(xlabel="side of the map, pixels")
    ax.set_title(rule, fontsize="small")
axes[0].plot(list(PLACES.values()), list(TANGLED.values()), "*", ms=13, color="k", label="the document's layers")
axes[0].set(ylabel="share of tangled frequencies")
axes[1].legend(*axes[0].get_legend_handles_labels(), fontsize="small", loc="center")
positive = {rule: [found[side]["its positive part"] for side in sides] for rule, found in of_noise.items()}
report.figure(
    fig, name="fig-aliasing-size",
    caption="Share of tangled frequencies in maps without any network, against their side. Stars: the eight signals of the ResNet-34 in the document, read from its pie chart.",
    alt=f"Left: the line of positive noise goes from {positive['as published'][0]:.2f} at {sides[0]} pixels to {positive['as published'][-1]:.2f} at {sides[-1]}, eight stars run down with it. "
    f"Right: it goes from {positive['corrected'][0]:.2f} to {positive['corrected'][-1]:.2f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
alike = [of_noise["as published"].get(side, {}).get("its positive part") for side in PLACES.values()]
trend = float(stats.spearmanr(list(TANGLED.values()), alike).statistic)
report.number("Q7-sensitivity/small-published", positive["as published"][0], unit="share", tol=0.05, label=f"tangled of positive noise, {sides[0]} px, as published")
report.number("Q7-sensitivity/large-published", positive["as published"][-1], unit="share", tol=0.05, label=f"the same, {sides[-1]} px")
change = {rule: max(each) - min(each) for rule, each in positive.items()}
report.number("Q7-sensitivity/change-published", change["as published"], unit="share", tol=0.05, agree=(0, 0.2), label="tangled of positive noise: largest less smallest over sizes, as published", note="the size of the map alone")
report.number("Q7-sensitivity/change", change["corrected"], unit="share", tol=0.05, agree=(0, 0.2), label="the same, corrected")
report.number("Q7-sensitivity/change-white", float(np.ptp([of_noise["as published"][side]["white noise"] for side in sides])), unit="share", tol=0.05, agree=(0, 0.2), label="the same of white noise, which has no mean, as published", note="without a mean the size changes nothing")
report.number("Q7-sensitivity/size-gap", float(np.abs(np.array(alike) - list(TANGLED.values())).mean()), unit="share", tol=0.1, label="the document's eight tangled shares and those of noise of the same sizes: mean distance")
report.number("Q7-sensitivity/trend", trend, tol=0.1, label="rank correlation of the document's eight tangled shares with those of noise of the same sizes")
# fmt: on

# %% [markdown]
r"""
**What to notice.** By the published measure {glue:text}`Q7-sensitivity/small-published:.1%` of the noise is tangled at 14 pixels, {glue:text}`Q7-sensitivity/large-published:.1%` at 224. Nothing but the size has changed. The document's eight layers, the stars, fall
in nearly the same order: the rank correlation is {glue:text}`Q7-sensitivity/trend:.2f`. They do not lie on the curve; the mean distance is {glue:text}`Q7-sensitivity/size-gap:.2f`. So "deeper is more tangled" need not say anything about depth. Corrected, the largest
and the smallest share over all sizes differ by {glue:text}`Q7-sensitivity/change:.2f` instead of {glue:text}`Q7-sensitivity/change-published:.2f`, and all are high, as they should be for noise.

Why the size? The mean adds up over all pixels, so at frequency zero the strength grows with their number, that of the noise elsewhere with its square root. The larger the map, the further the noise lies below the mean.
The flat line of white noise is the control: it has no mean, and the size changes nothing (by {glue:text}`Q7-sensitivity/change-white:.2f` at most). So the trend takes a mean that is large beside what varies. The max-pooling of the document gets maps with such a mean, right after a
ReLU. Its other signals are outputs of convolutions; how large their means are cannot be said without the weights.

## Seven signals or eight

The document counts {published}`Q3-pie-imagenet/signals-in-text` signals in its text. We count the layers of its network that drop pixels.
"""

# %%
known = aliasing.strides(torchvision.models.resnet34())
photos = [torch.tensor(photo).permute(2, 0, 1) for photo in load_sample_images().images]
if photographs == "imagenet":
    photos = data.load("imagenet", "val", n=n_photographs).images
else:  # crops of two photographs that come with scikit-learn
    photos = [
        photo[:, a : a + 224, b : b + 224]
        for a in (0, 200)
        for b in (40, 380)
        for photo in photos
    ]
    photos = torch.stack(photos[:n_photographs])
try:
    large, trained_large = weights.imagenet("resnet34").to(device), True
except FileNotFoundError:  # the weights do not come with this book
    large, trained_large = reference(dice(3)).to(device).eval(), False
    update_bn([models.prepare(large, photos)], large)
large_shares = aliasing.measure(large, photos, batch_size=2, rules=RULES, progress=False)

# %% tags=["hide-input"]
# fmt: off
report.source(f"ResNet-34, {'ImageNet' if trained_large else 'random'} weights, {len(photos)} photographs", stand_in=None if trained_large and photographs == "imagenet" else "ImageNet weights and 50,000 photographs")
by_layer = {rule: {short(name): one.shares.mean(0).cpu().numpy() for name, one in found.items()} for rule, found in large_shares.items()}
fig, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained", sharey=True)
for ax, (rule, found) in zip(axes, by_layer.items(), strict=True):
    bottom = np.zeros(len(found))
    for kind in (3, 2, 1, 0):
        column = np.array([each[kind] for each in found.values()])
        ax.bar(range(len(found)), column, bottom=bottom, color=aliasing.COLORS[kind], edgecolor="w", lw=0.5)
        bottom = bottom + column
    ax.set_xticks(range(len(found)), list(found))
    ax.set(xlabel="signal")
    ax.set_title(rule, fontsize="small")
axes[0].plot(range(len(TANGLED)), list(TANGLED.values()), "_", ms=22, mew=3, color="k")
axes[0].plot(range(len(TANGLED)), list(TANGLED.values()), "_", ms=19, mew=1.4, color="w")
axes[0].set(ylabel="share of frequencies")
fig.legend(handles=LEGEND, ncols=4, loc="outside lower center", fontsize="small")
report.figure(
    fig, name="fig-aliasing-layers",
    caption=f"The eight signals of a ResNet-34 with {'ImageNet' if trained_large else 'random'} weights, mean over {len(photos)} photographs, from the first layer (0) and the max-pooling (m) to the last halving (3); those with a star are shortcuts. "
    "White dashes: the document's tangled shares, for the trained network.",
    alt=f"Left: red grows from {by_layer['as published']['0'][3]:.2f} in the first bar to {by_layer['as published']['*3'][3]:.2f} in the last, white dashes from {TANGLED['conv1']:.2f} to {TANGLED['layer4-shortcut']:.2f}. "
    f"Right: red goes from {by_layer['corrected']['0'][3]:.2f} to {by_layer['corrected']['*3'][3]:.2f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
mine = [each[3] for each in by_layer["as published"].values()]
report.number("Q7-sensitivity/untrained-gap", float(np.abs(np.array(mine) - np.array(list(TANGLED.values()))).mean()), unit="share", tol=0.1, n=len(photos), label="tangled per signal, ResNet-34 at hand and document: mean distance")
report.number("Q7-sensitivity/untrained-trend", float(stats.spearmanr(list(TANGLED.values()), mine).statistic), tol=0.3, n=len(photos), label="the same: rank correlation over the signals")
report.number("Q7-sensitivity/photographs", len(photos), tol=0)
for key, signal in (("first", "0"), ("last", "*3")):
    report.number(f"Q7-sensitivity/{key}-signal", by_layer["corrected"][signal][3], unit="share", tol=0.1, n=len(photos), label=f"tangled of the {key} of the eight signals, corrected")
report.source("torchvision's ResNet-34, its layers")
report.number("Q3-pie-imagenet/signals-in-text", len(known), unit="signals", tol=0, agree=0, label="layers that drop pixels: the document's text", note="its code, its figure and the network have eight")
report.number("Q3-pie-imagenet/signals", len(known), unit="signals", tol=0, agree=0, label="layers that drop pixels: the document's code")
report.number("Q3-pie-imagenet/toy-signals", len(aliasing.strides(resnets.cifar(20, shortcut="B"))), tol=0)
side_of = {short(name): one.size[0] for name, one in large_shares["corrected"].items()}
report.number("Q2-maps/conv1-side", side_of["0"], unit="pixels", tol=0, agree=0, label="side of the maps of the first layer")
report.number("Q2-maps/layer2-side", side_of["1"], unit="pixels", tol=0, agree=0, label="side of the maps of the first halving convolution")
report.source("read from the document's figure")
report.number("Q3-pie-imagenet/eight", float(np.mean(list(TANGLED.values()))), unit="share", tol=0, agree=(0.441, 0.481), label="mean of the document's eight tangled shares", note="near its outer ring")
report.number("Q3-pie-imagenet/seven", float(sum(TANGLED.values()) / 7), unit="share", tol=0, agree=(0.441, 0.481), label="the same, if there were seven", note="the max-pooling, with none, left out")
GIVEN = torch.tensor([published.value(f"Q3-pie-imagenet/{name}")["value"] for name in NAMES], dtype=torch.float64)
once = aliasing.single_counted(GIVEN)
for name, value in zip(NAMES, once.tolist(), strict=True):
    report.number(f"Q3-pie-imagenet/{name}-once", value, unit="share", tol=0, label=f"{name} in the document, aliased ones counted once")
of("one image")
report.number("Q2-maps/published", red["as published"], unit="share", tol=0.3, label="tangled in the four pictures of one image, as published")
report.number("Q2-maps/corrected", red["corrected"], unit="share", tol=0.3, label="the same, corrected")
# fmt: on

# %% [markdown]
r"""
**What to notice.** There are {glue:text}`Q3-pie-imagenet/signals`: the first convolution, the max-pooling, and a convolution and a shortcut in each of three stages. The mean of the document's eight tangled shares is
{glue:text}`Q3-pie-imagenet/eight:.1%`, which is close to its outer ring, {published}`Q3-pie-imagenet/tangled`. With seven, the max-pooling left out, it would be {glue:text}`Q3-pie-imagenet/seven:.1%`. Counting also shows that the read-me has its two pies *swapped*: the toy network has only
{glue:text}`Q3-pie-imagenet/toy-signals` such layers, so the pie with as many parts of each colour is not that of ImageNet, although it stands under this heading.

ImageNet weights do not come with this book. Where you have them, `weights.imagenet("resnet34")` loads them and this figure shows the trained network; here its weights are random, and the comparison with the trained one is *not attempted*. But it is
telling as a control: a network that has learned nothing, at the document's sizes. By the published measure its tangled shares have a rank correlation of {glue:text}`Q7-sensitivity/untrained-trend:.2f` with the document's
(recorded {recorded}`Q7-sensitivity/untrained-trend`, {recorded}`Q7-sensitivity/photographs` photographs), and differ from them by {glue:text}`Q7-sensitivity/untrained-gap:.1%` on average
(recorded {recorded}`Q7-sensitivity/untrained-gap`), less than those of the noise. So much of the published picture may need no learning.

The right panel keeps us from the opposite error. Corrected, the first signal is tangled to {glue:text}`Q7-sensitivity/first-signal:.1%` and the last to {glue:text}`Q7-sensitivity/last-signal:.1%` (recorded {recorded}`Q7-sensitivity/first-signal` and
{recorded}`Q7-sensitivity/last-signal`): the rise stays. Here it *is* in the maps. Photographs are smooth from pixel to pixel, and maps that were halved four times are not. The size of the map could give the published
trend, and so could the maps; the published measure cannot tell which.

## The nested pie

The document's chart has an inner ring with one part for each signal, and an outer one with their mean. We draw it for a network with weights that we have, on images that it did not learn. Only the rings of one network can be compared with each other: the document's is there for its form.

:::{admonition} Guess first
:class: tip
How much of the red will the corrections take away, or add?
:::
"""

# %%
found = aliasing.measure(net, held_out.images, rules=RULES, progress=False)
shares = {
    rule: np.stack([one.shares.cpu().numpy() for one in each.values()])  # (signals, images, 4)
    for rule, each in found.items()
}
few = held_out.sample(min(n_spectra, len(held_out.labels)), seed).images
twice = {"literal": LITERAL, "once": LITERAL._replace(exclusive=True)}
twice = aliasing.measure(net, few, rules=twice, progress=False)

# %% tags=["hide-input"]
# fmt: off
of(f"{len(held_out.labels):,} held-out images")


def pie(ax, rows, labels, title):
    """Draw the mean of rows of four shares as a ring, and the rows inside of it, the same kinds side by side."""
    edge = {"edgecolor": "w", "linewidth": 0.7}
    mean = rows.mean(0)
    ax.pie(mean, colors=aliasing.COLORS, radius=1, startangle=90, wedgeprops={"width": 0.33, **edge})
    parts = (rows / len(rows)).T  # (4, signals)
    colours = np.repeat(aliasing.COLORS, len(rows))
    texts = [label if part > 0.04 else "" for label, part in zip(labels * 4, parts.flat, strict=True)]
    ax.pie(parts.ravel(), colors=colours, radius=0.66, startangle=90, labels=texts, labeldistance=0.72, wedgeprops={"width": 0.36, "alpha": 0.75, **edge},
           textprops={"fontsize": "x-small", "ha": "center", "va": "center", "color": "w"})
    ax.set_title(title, fontsize="small")


fig, axes = plt.subplots(1, 3, figsize=(7, 3), layout="constrained")
axes[0].pie(GIVEN, colors=aliasing.COLORS, startangle=90, wedgeprops={"width": 0.33, "edgecolor": "w"})
axes[0].set_title("the document, ImageNet", fontsize="small")
for ax, (rule, each) in zip(axes[1:], shares.items(), strict=True):
    pie(ax, each.mean(1), SIGNALS, f"ours, {rule}")
fig.legend(handles=LEGEND, ncols=4, loc="outside lower center", fontsize="small")
total = {rule: each.mean((0, 1)) for rule, each in shares.items()}
report.figure(
    fig, name="fig-aliasing-pie",
    caption="Outer rings: the shares of the four kinds, mean over images and signals. Inner rings: what each signal adds. Left, the document's outer ring; of its inner one, the tangled parts are the white dashes in the figure before.",
    alt=f"Three rings. Red takes {GIVEN[3]:.2f} of the document's, {total['as published'][3]:.2f} of ours by its measure and {total['corrected'][3]:.2f} by the corrected one; grey {GIVEN[0]:.2f}, {total['as published'][0]:.2f} and {total['corrected'][0]:.2f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
ours = {"agree": 0.05} if IMAGENET else {}
for name, one, two in zip(NAMES, total["as published"], total["corrected"], strict=True):
    report.number(f"Q3-pie-imagenet/{name}", one, unit="share", tol=0.1, n=len(held_out.labels), label=f"{name}, as published", note=None if IMAGENET else "not attempted on ImageNet: the weights are not at hand", **ours)
    report.number(f"Q3-pie-imagenet/{name}-corrected", two, unit="share", tol=0.1, n=len(held_out.labels), label=f"{name}, corrected")
accuracy = float(right.double().mean())
report.number("Q3-pie-imagenet/accuracy", accuracy, unit="share", tol=0.05, label="accuracy of our network")
report.number("Q3-pie-imagenet/depth", given if isinstance(given, int) else depth, tol=0)
report.number("Q3-pie-imagenet/judged", len(held_out.labels), tol=0)
report.number("Q2-maps/layers", given if isinstance(given, int) else depth, unit="layers", tol=0)
wrong_by = {key: max(float((f(twice["literal"][name].shares) - twice["once"][name].shares).abs().max()) for name in LAYERS)
            for key, f in (("with", aliasing.single_counted), ("without", lambda x: x))}
report.number("Q1-categories/single", wrong_by["with"], unit="share", tol=1e-6, agree=(0, 1e-6), n=len(few), label="published shares put right by a formula, less those counted once: largest difference")
pooled = {rule: torch.stack([one.shares.mean(0) for one in each.values()]).mean(0) for rule, each in twice.items()}
report.number("Q1-categories/single-mean", float((aliasing.single_counted(pooled["literal"]) - pooled["once"]).abs().max()), unit="share", tol=0.01, n=len(few), label="the formula used on the mean of images and signals: largest difference")
report.number("Q1-categories/double", wrong_by["without"], unit="share", tol=0.2, agree=(0, 1e-6), n=len(few), label="the same, not put right")
# fmt: on

# %% [markdown]
r"""
**What to notice.** By the published measure {glue:text}`Q3-pie-imagenet/tangled:.1%` of our frequencies are tangled (recorded {recorded}`Q3-pie-imagenet/tangled`, a ResNet of {recorded}`Q3-pie-imagenet/depth` layers that names {recorded}`Q3-pie-imagenet/accuracy` of
{recorded}`Q3-pie-imagenet/judged` images). Corrected, {glue:text}`Q3-pie-imagenet/tangled-corrected:.1%` are (recorded {recorded}`Q3-pie-imagenet/tangled-corrected`). The document has {published}`Q3-pie-imagenet/tangled`, for another network, other images and larger maps, so that the two cannot
be compared as numbers.

The double counting can be undone. If a share $a$ is called aliased, all counts add to $1/(1-a)$ times the number of frequencies. The true share of the aliased is $a/(1-a)$. Of a kind with the published share $v$ it is $(v - a)/(1-a)$ for *no pass* and $v/(1-a)$ for the other two. For one image and
one signal this is exact; left alone, shares are off by up to {glue:text}`Q1-categories/double:.1%` (recorded {recorded}`Q1-categories/double`). Of the document we have only means over images and signals. There the formula holds about: on our own means it misses by
{glue:text}`Q1-categories/single-mean:.2%` at most (recorded {recorded}`Q1-categories/single-mean`). For the document's pie it gives: aliased {glue:text}`Q3-pie-imagenet/aliased-once:.3f` instead of {published}`Q3-pie-imagenet/aliased`, tangled
{glue:text}`Q3-pie-imagenet/tangled-once:.3f` instead of {published}`Q3-pie-imagenet/tangled`, *no pass* {glue:text}`Q3-pie-imagenet/no-pass-once:.3f` instead of {published}`Q3-pie-imagenet/no-pass`. This mends the counting alone; zeros, mean and threshold cannot be mended without the maps.
"""

# %% [markdown]
r"""
## Channel by channel

A layer's share puts all its {term}`channels <channel>` together. The document's code can also draw a bar for each channel.
"""

# %%
chain = {
    "as published": LITERAL,
    "counted once": LITERAL._replace(exclusive=True),
    "20 dB as said": LITERAL._replace(exclusive=True, scale="share"),
    "mean removed": LITERAL._replace(exclusive=True, scale="share", dc="removed"),
    "no zeros = corrected": CORRECTED,
    "and a window": HANN,
    "and mean reference": HANN._replace(reference="mean"),
}
networks = {"trained": net, "untrained": blank}
options = {"channels": True, "progress": False}
spectra = {
    kind: aliasing.measure(one, few, rules=chain, **options) for kind, one in networks.items()
}
named_chain = dict(zip(chain, spectra["trained"].values(), strict=True))

# %% tags=["hide-input"]
# fmt: off
of(f"{len(few):,} held-out images")
last = [name for name in LAYERS if short(name)[0] != "*"][-1]


def bars(ax, rows, order):
    """Draw one bar a row of four shares, red at the bottom."""
    bottom = np.zeros(len(rows))
    for kind in (3, 2, 1, 0):
        ax.bar(range(len(rows)), rows[order, kind], bottom=bottom, width=1, color=aliasing.COLORS[kind])
        bottom = bottom + rows[order, kind]
    ax.set(xlim=(-0.5, len(rows) - 0.5), ylim=(0, 1), ylabel="share")


channel = {rule: named_chain[key][last].channel_shares.mean(0).cpu().numpy() for rule, key in (("as published", "as published"), ("corrected", "no zeros = corrected"))}
order = np.argsort(-channel["as published"][:, 3])
fig, axes = plt.subplots(2, 1, figsize=(7, 3.6), layout="constrained", sharex=True)
for ax, (rule, rows) in zip(axes, channel.items(), strict=True):
    bars(ax, rows, order)
    ax.set_title(rule, fontsize="small")
axes[1].set(xlabel="channel, most tangled by the published measure first")
fig.legend(handles=LEGEND, ncols=4, loc="outside lower center", fontsize="small")
report.figure(
    fig, name="fig-aliasing-channels",
    caption=f"Shares of the four kinds in each channel of the last halving convolution, {len(order)} channels, mean over {len(few)} images.",
    alt="Two rows of stacked bars. Above, red falls from " + f"{channel['as published'][order[0], 3]:.2f} to {channel['as published'][order[-1], 3]:.2f}; "
    f"below it lies between {channel['corrected'][:, 3].min():.2f} and {channel['corrected'][:, 3].max():.2f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for rule, tail in (("as published", "-published"), ("corrected", "")):
    rows = channel[rule][:, 3]
    for key, value in (("least", rows.min()), ("most", rows.max())):
        report.number(f"Q8-barplots/{key}{tail}", value, unit="share", tol=0.3, n=len(few), label=f"tangled of the {key} tangled channel, {rule}")
report.number("Q8-barplots/channels", len(order), tol=0)
same_order = stats.spearmanr(channel["as published"][:, 3], channel["corrected"][:, 3]).statistic
report.number("Q8-barplots/order", float(same_order), tol=0.5, label="rank correlation of the channels' tangled shares, published and corrected")
# fmt: on

# %% [markdown]
r"""
**What to notice.** By the published measure the channels' tangled shares lie between {glue:text}`Q8-barplots/least-published:.1%` and {glue:text}`Q8-barplots/most-published:.1%` (recorded {recorded}`Q8-barplots/least-published` and
{recorded}`Q8-barplots/most-published`), by the corrected one between {glue:text}`Q8-barplots/least:.1%` and {glue:text}`Q8-barplots/most:.1%` ({recorded}`Q8-barplots/least` and {recorded}`Q8-barplots/most`). The two do not put the channels in the same
order: their rank correlation is {glue:text}`Q8-barplots/order:.2f` (recorded {recorded}`Q8-barplots/order`).

## Right and wrong predictions

Does a network fail where its maps are aliased? The document draws boxes for right and for wrong predictions, on a logit axis (stretched near zero and one), and they look the same: both medians of the tangled share are
{published}`Q5-correct-vs-incorrect/median-tangled`.

:::{admonition} Guess first
:class: tip
Take one image that the network gets wrong and one that it gets right. How often has the wrong one the larger tangled share?
:::

Boxes hide small differences, and with many images a test finds any. So we give the size of the effect: the {term}`AUROC` is the answer to the guess, one half means no difference. The interval comes from drawing images anew; about nineteen of twenty such intervals hold the true value. As a control that must find
something we take the network's own doubt, one minus its highest probability.
"""


# %%
def effect(scores):
    """Return how often a wrong image has the higher score than a right one, with an interval."""
    rows = np.stack([scores, ~right.numpy()], 1)
    of_rows = lambda rows: statistics.auroc(rows[:, 0], rows[:, 1] > 0)  # noqa: E731
    own = {"generator": np.random.default_rng(seed), "n_draws": n_draws}
    return float(of_rows(rows)), *statistics.bootstrap_interval(rows, of_rows, **own)


doubt = 1 - train.logits(net, held_out.images).softmax(1).amax(1).cpu().numpy()
effects = {("doubt", "control"): effect(doubt)}
for rule, each in shares.items():
    effects["mean", rule] = effect(each.mean(0)[:, 3])
    effects |= {(s, rule): effect(one[:, 3]) for s, one in zip(SIGNALS, each, strict=True)}


# %% tags=["remove-cell"]
# fmt: off
def boxes(ax, shares):
    """Draw boxes of the four shares of images (n, 4), right (filled) and wrong, on a logit axis."""
    for kind, colour in enumerate(aliasing.COLORS):
        for shift, rows, face in ((-0.19, right, colour), (0.19, ~right, "w")):
            line = {"color": colour}
            ax.boxplot([shares[rows.numpy(), kind]], positions=[kind + shift], widths=0.3, patch_artist=True, whis=(1, 99), showfliers=False, whiskerprops=line, capprops=line,
                       boxprops={"facecolor": face, "edgecolor": colour}, medianprops={"color": "w" if face != "w" else "k", "lw": 1.6})
    ax.set_yscale("logit")
    ax.yaxis.set_minor_formatter("")
    ax.set_yticks([0.01, 0.1, 0.5, 0.9], ["0.01", "0.1", "0.5", "0.9"])
    ax.set_xticks(range(4), aliasing.CATEGORIES, fontsize="small", rotation=20)
    ax.set(ylabel="share of an image, mean of signals", xlim=(-0.5, 3.5))


def dots(ax, effects):
    """Draw each effect with its interval."""
    for y, ((_, rule), (value, low, high)) in enumerate(effects.items()):
        colour = {"control": "k", "as published": "C1", "corrected": "C0"}[rule]
        ax.plot([low, high], [y, y], color=colour)
        ax.plot([value], [y], "o", color=colour)
    ax.axvline(0.5, color="0.5", ls="--", lw=1)
    ax.set_yticks(range(len(effects)), [name for name, _ in effects], fontsize="small")
    ax.invert_yaxis()
    ax.set(xlabel="AUROC, wrong above right", xlim=(min(0.35, min(v[1] for v in effects.values()) - 0.02), 1))
    for rule, colour in zip(RULES, ("C1", "C0"), strict=True):
        ax.plot([], [], "o-", color=colour, label=rule)
    ax.legend(fontsize="x-small", loc="center right")
# fmt: on


# %% tags=["hide-input"]
# fmt: off
of(f"{len(held_out.labels):,} held-out images, {int((~right).sum())} of them wrong")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained", width_ratios=[1.25, 1])
of_image = shares["as published"].mean(0).clip(1e-3, 1 - 1e-3)
boxes(axes[0], of_image)
dots(axes[1], effects)
middle = np.median(of_image, 0)
report.figure(
    fig, name="fig-aliasing-correct",
    caption="Left: shares by the published measure of right (filled) and wrong (open) predictions; whiskers hold 98 of 100 images, and shares below a thousandth are drawn there. "
    "Right: how often a wrong image has more tangled frequencies than a right one, with intervals for 19 of 20; at the top the network's own doubt.",
    alt=f"Left: four pairs of boxes at medians {', '.join(f'{m:.2f}' for m in middle)}, filled and open ones at like heights. Right: doubt at {effects['doubt', 'control'][0]:.2f}; all others between "
    f"{min(v[0] for k, v in effects.items() if k[0] != 'doubt'):.2f} and {max(v[0] for k, v in effects.items() if k[0] != 'doubt'):.2f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for name, column in zip(NAMES, of_image.T, strict=True):
    report.number(f"Q5-correct-vs-incorrect/median-{name}", float(np.median(column[right.numpy()])), unit="share", tol=0.1, n=int(right.sum()), label=f"median {name}, right predictions, as published", **ours)
    report.number(f"Q5-correct-vs-incorrect/median-{name}-wrong", float(np.median(column[~right.numpy()])), unit="share", tol=0.1, n=int((~right).sum()), label="the same, wrong predictions")
for (name, rule), (value, low, high) in effects.items():
    if name in ("doubt", "mean"):
        key = {"control": "doubt", "as published": "auroc", "corrected": "auroc-corrected"}[rule]
        what = "its own doubt" if name == "doubt" else f"more tangled frequencies, {rule}"
        report.number(f"Q5-correct-vs-incorrect/{key}", value, spread=(high - low) / 3.92, n=len(right), tol=0.1, agree=(0.4, 0.6), label=f"how often a wrong image has the higher value than a right one: {what}", note="alike: within one tenth of one half")
        report.number(f"Q5-correct-vs-incorrect/{key}-low", low, tol=0.1)
        report.number(f"Q5-correct-vs-incorrect/{key}-high", high, tol=0.1)
single = [v for k, v in effects.items() if k[0] not in ("doubt", "mean")]
report.number("Q5-correct-vs-incorrect/intervals", len(single), tol=0)
report.number("Q5-correct-vs-incorrect/clear", sum(low > 0.5 or high < 0.5 for _, low, high in single), tol=8)
report.number("Q5-correct-vs-incorrect/farthest", max(abs(v - 0.5) for v, _, _ in single), tol=0.1)
report.number("Q5-correct-vs-incorrect/wrong", int((~right).sum()), tol=100)
# fmt: on

# %% [markdown]
r"""
**What to notice.** {glue:text}`Q5-correct-vs-incorrect/wrong` predictions are wrong (recorded {recorded}`Q5-correct-vs-incorrect/wrong`). By the published measure a wrong image has the larger tangled share, averaged over signals, in
{glue:text}`Q5-correct-vs-incorrect/auroc:.3f` of all pairs (interval {glue:text}`Q5-correct-vs-incorrect/auroc-low:.3f` to {glue:text}`Q5-correct-vs-incorrect/auroc-high:.3f`; recorded {recorded}`Q5-correct-vs-incorrect/auroc`,
{recorded}`Q5-correct-vs-incorrect/auroc-low` to {recorded}`Q5-correct-vs-incorrect/auroc-high`), by the corrected one in {glue:text}`Q5-correct-vs-incorrect/auroc-corrected:.3f` ({glue:text}`Q5-correct-vs-incorrect/auroc-corrected-low:.3f` to
{glue:text}`Q5-correct-vs-incorrect/auroc-corrected-high:.3f`; recorded {recorded}`Q5-correct-vs-incorrect/auroc-corrected`, {recorded}`Q5-correct-vs-incorrect/auroc-corrected-low` to {recorded}`Q5-correct-vs-incorrect/auroc-corrected-high`). The network's doubt
tells them apart in {glue:text}`Q5-correct-vs-incorrect/doubt:.3f` (recorded {recorded}`Q5-correct-vs-incorrect/doubt`). There are {glue:text}`Q5-correct-vs-incorrect/intervals` intervals for single signals, half of them by each measure; {glue:text}`Q5-correct-vs-incorrect/clear` leave out
one half (recorded {recorded}`Q5-correct-vs-incorrect/clear`), and the effect farthest from it is {glue:text}`Q5-correct-vs-incorrect/farthest:.3f` away (recorded {recorded}`Q5-correct-vs-incorrect/farthest`).

So by the published measure we see, on other networks, what the boxes show: the interval for the mean holds one half. But this is not the last word about networks. By the corrected measure wrong images have somewhat more tangled frequencies than right
ones; this interval leaves out one half. The effect is small beside that of the doubt, and says nothing about cause: images that are hard to name may just have more detail.

## One fault after the other

We go from the published measure to the corrected one in steps, for the trained network and for one with random weights.

:::{admonition} Guess first
:class: tip
Which step changes the red most? And will the untrained network have more or less of it?
:::
"""

# %%
by_threshold = {
    f"{rule} {t}": how._replace(threshold=t) for rule, how in RULES.items() for t in thresholds
}
by_level = {
    kind: aliasing.measure(one, few, rules=by_threshold, progress=False)
    for kind, one in networks.items()
}


# %% tags=["hide-input"]
# fmt: off
of(f"{len(few):,} held-out images")


def overall(found):
    """Return the four shares, mean over images and signals."""
    return np.mean([one.shares.mean(0).cpu().numpy() for one in found.values()], 0)


def lost(found):
    """Return for each signal the share of energy outside the own fold, mean over images."""
    return np.array([float(one.outside.nanmean()) for one in found.values()])


steps = {kind: {step: overall(found) for step, found in each.items()} for kind, each in spectra.items()}


def stacked(ax, rows, names):
    """Draw rows of four shares, named, as lying bars, red on the left."""
    left = np.zeros(len(rows))
    for kind in (3, 2, 1, 0):
        column = np.array([row[kind] for row in rows])
        ax.barh(range(len(rows)), column, left=left, color=aliasing.COLORS[kind], edgecolor="w", lw=0.5)
        left = left + column
    ax.set_yticks(range(len(rows)), names, fontsize="small")
    ax.invert_yaxis()
    ax.set(xlabel="share", xlim=(0, 1), xticks=[0, 0.5, 1])
# fmt: on


# %% tags=["hide-input"]
# fmt: off
fig, axes = plt.subplots(1, 3, figsize=(7, 3.6), layout="constrained", width_ratios=[1, 1, 1.05])
for ax, (kind, each), names in zip(axes, steps.items(), (list(chain), [""] * len(chain)), strict=False):
    stacked(ax, list(each.values()), names)
    ax.set_title(kind, fontsize="small")
for rule, colour in zip(RULES, ("C1", "C0"), strict=True):
    for kind, line, marker in (("trained", "-", "o"), ("untrained", "--", "s")):
        curve = [overall(by_level[kind][f"{rule} {t}"])[3] for t in thresholds]
        axes[2].plot(thresholds, curve, line, marker=marker, ms=4, color=colour, label=f"{kind}, {rule}")
axes[2].set(xlabel="threshold, dB", ylim=(-0.02, 1.04), yticks=[0, 0.5, 1])
axes[2].set_title("tangled", fontsize="small")
handles = [handle for pair in zip(LEGEND, axes[2].get_lines(), strict=True) for handle in pair]  # a column holds a kind and a line
fig.legend(handles=handles, ncols=4, loc="outside lower center", fontsize="small")
report.figure(
    fig, name="fig-aliasing-steps",
    caption=f"Left and middle: shares of the four kinds, mean over signals and {len(few)} images, with one fault mended after the other from top to bottom, for the trained network and an untrained one. Right: the tangled share against the threshold.",
    alt=f"Red of the trained network goes from {steps['trained']['as published'][3]:.2f} in the top bar to {steps['trained']['no zeros = corrected'][3]:.2f} corrected; of the untrained one from "
    f"{steps['untrained']['as published'][3]:.2f} to {steps['untrained']['no zeros = corrected'][3]:.2f}. Right: four curves rise with the threshold.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
KEYS = dict(zip(chain, ["published", "once", "share", "mean", "corrected", "window", "reference"], strict=True))
for kind, each in steps.items():
    for step, row in each.items():
        report.number(f"Q7-sensitivity/{kind}-{KEYS[step]}", row[3], unit="share", tol=0.2, n=len(few), label=f"tangled, {kind}: {step}")
    report.number(f"Q7-sensitivity/{kind}-outside", float(lost(spectra[kind]["no zeros = corrected"]).mean()), unit="share", tol=0.1, n=len(few), label=f"energy outside the own fold, {kind}")
    for t in (thresholds[0], thresholds[-1]):
        report.number(f"Q7-sensitivity/{kind}-{t}", overall(by_level[kind][f"corrected {t}"])[3], unit="share", tol=0.2, label=f"tangled, {kind}, corrected, {t} dB")
# fmt: on

# %% [markdown]
r"""
**What to notice.** From top to bottom, the trained network's tangled share is {glue:text}`Q7-sensitivity/trained-published:.1%` as published, {glue:text}`Q7-sensitivity/trained-once:.1%` counted once, {glue:text}`Q7-sensitivity/trained-share:.1%` with 20 dB that are 20 dB,
{glue:text}`Q7-sensitivity/trained-mean:.1%` without the mean, {glue:text}`Q7-sensitivity/trained-corrected:.1%` without zeros around, {glue:text}`Q7-sensitivity/trained-window:.1%` with a window, and {glue:text}`Q7-sensitivity/trained-reference:.1%` if the threshold refers to the
mean strength and not to the largest (recorded {recorded}`Q7-sensitivity/trained-published`, {recorded}`Q7-sensitivity/trained-once`, {recorded}`Q7-sensitivity/trained-share`, {recorded}`Q7-sensitivity/trained-mean`, {recorded}`Q7-sensitivity/trained-corrected`,
{recorded}`Q7-sensitivity/trained-window`, {recorded}`Q7-sensitivity/trained-reference`). The faults work against each other: a threshold that is too low adds red, the mean takes it away. No factor leads from the first number to the corrected one.

With random weights it is {glue:text}`Q7-sensitivity/untrained-published:.1%` as published and {glue:text}`Q7-sensitivity/untrained-corrected:.1%` corrected (recorded {recorded}`Q7-sensitivity/untrained-published` and
{recorded}`Q7-sensitivity/untrained-corrected`): by both measures the trained network tangles less than this untrained one. And the threshold decides nearly everything: corrected, {glue:text}`Q7-sensitivity/trained-10:.1%` of the trained network's frequencies are tangled at 10 dB, {glue:text}`Q7-sensitivity/trained-60:.1%` at 60 dB (recorded
{recorded}`Q7-sensitivity/trained-10` and {recorded}`Q7-sensitivity/trained-60`). No single share can stand for "how much aliasing there is".

A number without a threshold is the share of a map's *energy* outside the own folds, its mean removed: {glue:text}`Q7-sensitivity/trained-outside:.1%` trained, {glue:text}`Q7-sensitivity/untrained-outside:.1%` untrained (recorded
{recorded}`Q7-sensitivity/trained-outside` and {recorded}`Q7-sensitivity/untrained-outside`). Of white noise it would be three quarters, since three of four folds are not the own one.

## A network with a blur

Zhang {cite:p}`zhang-2019` smooths each map before pixels are dropped. A measure of aliasing must see that. We put such a blur into the trained network, and let it and an unchanged copy learn on for the same few steps.

:::{admonition} Guess first
:class: tip
By what factor does a blur lower the energy outside the own folds? And what happens to the tangled share?
:::
"""


# %%
def blurred(model):
    """Return a copy that smooths each map before it drops pixels."""
    model = copy.deepcopy(model)
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    for name, stride in aliasing.strides(model).items():
        layer, channels = model.get_submodule(name), maps[name].shape[1]
        place = {"padding": 2, "padding_mode": "reflect", "groups": channels, "bias": False}
        blur = nn.Conv2d(channels, channels, 5, stride, **place).to(device).requires_grad_(False)
        blur.weight.copy_(torch.outer(taps, taps).expand_as(blur.weight))
        layer.stride = (1, 1) if isinstance(layer, nn.Conv2d) else 1
        parts = [blur, layer] if isinstance(layer, resnets.Subsample) else [layer, blur]
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, nn.Sequential(*parts))
    return model


# %%
part = learn.sample(min(n_tune, len(learn.labels)), seed)
part = part.images.to(device), part.labels.to(device)
tuned = {"strided": copy.deepcopy(net), "blur": blurred(net)}
at_once = train.accuracy(tuned["blur"], held_out.images, held_out.labels.to(device))
recipe = {
    "epochs": tune_epochs,
    "learning_rate": tune_rate,
    "schedule": "cosine",
    "augment": "flip",
}
for one in tuned.values():
    train.fit(one, *part, generator=dice(5), progress=False, **recipe)
rules = {"corrected": CORRECTED, "window": HANN}
halving = {
    kind: aliasing.measure(one, few, rules=rules, progress=False)
    for kind, one in {**tuned, "untrained": blank}.items()
}

# %% tags=["hide-input"]
# fmt: off
of(f"{len(few):,} held-out images, after {tune_epochs} more epochs on {len(part[1]):,} images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
plots.steps(SIGNALS, {kind: lost(each["window"]) for kind, each in halving.items()}, ax=axes[0], ylabel="energy outside the own folds")
plots.steps(SIGNALS, {kind: [float(one.shares[:, 3].mean()) for one in each["window"].values()] for kind, each in halving.items()}, ax=axes[1], ylabel="share of tangled frequencies")
for ax in axes:
    ax.set(xlabel="signal", ylim=(0, None))
    ax.tick_params("x", rotation=0)
axes[0].legend(fontsize="small")
outside = {kind: float(lost(each["window"]).mean()) for kind, each in halving.items()}
red_of = {kind: float(overall(each["window"])[3]) for kind, each in halving.items()}
report.figure(
    fig, name="fig-aliasing-blur",
    caption="The maps right before pixels are dropped, by the corrected measure with a window: energy outside the own folds and tangled share, for the network as it was (strided), with a blur, and with random weights.",
    alt=f"Left: blur lies lowest, mean {outside['blur']:.3f} against {outside['strided']:.3f} strided and {outside['untrained']:.3f} untrained. Right: means {red_of['blur']:.2f}, {red_of['strided']:.2f} and {red_of['untrained']:.2f}.",
)
accuracies = {kind: train.accuracy(one, held_out.images, held_out.labels.to(device)) for kind, one in tuned.items()}
for kind in tuned:
    report.number(f"Q7-sensitivity/{kind}-energy", outside[kind], unit="share", tol=0.1, n=len(few), label=f"energy outside the own fold, window, {kind}")
    report.number(f"Q7-sensitivity/{kind}-tangled", red_of[kind], unit="share", tol=0.2, n=len(few), label=f"tangled, window, {kind}")
    report.number(f"Q7-sensitivity/{kind}-accuracy", accuracies[kind], unit="share", tol=0.05, n=len(right), label=f"accuracy, {kind}, after the same further steps")
report.number("Q7-sensitivity/blur-at-once", at_once, unit="share", tol=0.3, n=len(right), label="accuracy, blur, before further steps")
report.number("Q7-sensitivity/factor", outside["strided"] / outside["blur"], tol=50, agree=(2, 1000), label="energy outside the own folds, strided / blur", note="the measure sees a blur")
report.number("Q7-sensitivity/factor-control", outside["strided"] / outside["untrained"], tol=10, agree=(2, 1000), label="the same, strided / untrained")
report.number("Q7-sensitivity/tuned-epochs", tune_epochs, tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The blur lowers the energy outside the own folds from {glue:text}`Q7-sensitivity/strided-energy:.1%` to {glue:text}`Q7-sensitivity/blur-energy:.1%` (recorded {recorded}`Q7-sensitivity/strided-energy` and {recorded}`Q7-sensitivity/blur-energy`) and
the tangled share from {glue:text}`Q7-sensitivity/strided-tangled:.1%` to {glue:text}`Q7-sensitivity/blur-tangled:.1%` (recorded {recorded}`Q7-sensitivity/strided-tangled` and {recorded}`Q7-sensitivity/blur-tangled`). So the measure answers when aliasing is taken away. The
accuracy: {glue:text}`Q7-sensitivity/blur-at-once:.1%` right after the blur was put in, and after the same further steps {glue:text}`Q7-sensitivity/blur-accuracy:.1%` with blur and {glue:text}`Q7-sensitivity/strided-accuracy:.1%` without (recorded
{recorded}`Q7-sensitivity/blur-at-once`, {recorded}`Q7-sensitivity/blur-accuracy` and {recorded}`Q7-sensitivity/strided-accuracy`). This is no contest: the one without had only to go on, the other had to learn anew with few steps.

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**At half of the new frequencies.** There two halves of one wave meet, and a wave is tangled with itself. We left these waves out of the test.

**Borders.** Without a window, the jump at a map's border adds fast frequencies; with one, the border hardly counts. Neither is right for all maps.

**Other channels.** What is tangled in one channel may be clear in another. The measure looks at each alone, so "tangled" need not mean "lost".

**The order of the steps.** How much a step changes depends on those before it.

**One draw.** There is one untrained network of each kind here, and one trained one. Other draws change the numbers.

**Not attempted.** A trained ResNet-34 on the {published}`Q3-pie-imagenet/images` validation images of ImageNet. With the weights and the images on your disk, `given = "resnet34"`, `pictures = "imagenet"` and `size = 224` run this chapter on them; every second image is then kept for learning with the blur.

:::{admonition} What we learned
:class: important
- Test a measure on planted waves, constant maps and noise first. The published one calls a constant map partly tangled.
- Noise with a mean gives such a trend by the size of the maps alone, and a network without training gives it too.
- There are eight signals; the two pies are swapped; double counting can be undone by a formula, of means only about.
- Boxes that look alike are no measure of an effect. An AUROC with its interval is one, with a control that finds something; corrected, it shows a small one.
- One threshold is one answer among many. Energy outside the own folds needs none.
:::

## Exercises

```{exercise}
:label: ex-aliasing-fold
**Where does it fall?** (3 minutes). A row of $n$ pixels has the frequencies $0, \dots, n - 1$. Every $r$-th pixel is kept. Onto which of the new frequencies does $k$ fall?
```
"""


# %% tags=["exercise"]
def lands(k, n, r):
    """Return the new frequency, from 0 to n / r - 1."""
    return k // r  # as if frequencies were squeezed


def seen(k, n, r):
    """Return where a wave is found after every r-th pixel was kept."""
    row = np.exp(2j * np.pi * k * np.arange(n) / n)[::r]
    return np.abs(np.fft.fft(row)).argmax()


passed = all(lands(k, 24, r) == seen(k, 24, r) for k in range(24) for r in (2, 3, 4))
report.check(
    "ex-aliasing-fold", passed, "Which new frequencies have the same pixels as k and k + n / r?"
)


# %% tags=["solution"]
def lands(k, n, r):
    """Return the new frequency, from 0 to n / r - 1."""
    return k % (n // r)


passed = all(lands(k, 24, r) == seen(k, 24, r) for k in range(24) for r in (2, 3, 4))
report.check(
    "ex-aliasing-fold", passed, "Which new frequencies have the same pixels as k and k + n / r?"
)

# %% [markdown]
r"""
```{exercise}
:label: ex-aliasing-threshold
**Other strides** (3 minutes). With stride 2 the published threshold lies 12 dB lower than said. How many dB is it for stride $r$, along both axes?
```
"""


# %% tags=["exercise"]
def too_low(r):
    """Return how many dB the threshold is too low."""
    return 20 * np.log10(r)  # one axis only


def measured(r):
    """Return how many dB further below the first wave a second one passes, as published."""
    row = 2 * np.pi * torch.arange(8 * r, dtype=torch.float64) / (8 * r)
    second = 10 ** (-torch.from_numpy(levels) / 20)[:, None] * (2 * row).cos()
    both = (row.cos() + second)[:, :, None].expand(-1, -1, 8 * r)
    rules = LITERAL._replace(padding="none"), CORRECTED
    least = [levels[aliasing.category_map(both, r, rule)[:, 6, 4] > 0].max() for rule in rules]
    return least[0] - least[1]


passed = all(abs(too_low(r) - measured(r)) < 0.5 for r in (2, 3, 4))
report.check("ex-aliasing-threshold", passed, "How many folds are averaged?")


# %% tags=["solution"]
def too_low(r):
    """Return how many dB the threshold is too low."""
    return 20 * np.log10(r**2)


passed = all(abs(too_low(r) - measured(r)) < 0.5 for r in (2, 3, 4))
report.check("ex-aliasing-threshold", passed, "How many folds are averaged?")

# %% [markdown]
r"""
```{exercise}
:label: ex-aliasing-count
**Count once** (5 minutes). From the published shares of *no pass*, *non-aliased*, *aliased* and *tangled*, where *no pass* holds the aliased too, compute the shares of four kinds that exclude each other.
```
"""

# %% tags=["exercise"]
doubled, single_ones = (
    twice[name][LAYERS[0]].shares.cpu().numpy() for name in ("literal", "once")
)


def counted_once(shares):
    """Return shares (n, 4) whose kinds exclude each other."""
    return shares / shares.sum(1, keepdims=True)  # they add to one already


passed = np.allclose(counted_once(doubled), single_ones)
report.check(
    "ex-aliasing-count", passed, "First take the aliased from no pass; what is the sum then?"
)


# %% tags=["solution"]
def counted_once(shares):
    """Return shares (n, 4) whose kinds exclude each other."""
    shares = shares - shares[:, 2:3] * np.array([1, 0, 0, 0])
    return shares / shares.sum(1, keepdims=True)


passed = np.allclose(counted_once(doubled), single_ones)
report.check(
    "ex-aliasing-count", passed, "First take the aliased from no pass; what is the sum then?"
)

# %% [markdown]
r"""
## Go further

- Ribeiro and Schön {cite:p}`ribeiro-2021` say when aliased maps can be undone, from all channels together.
- Zhang {cite:p}`zhang-2019` shows what a blur does for shifted images.
- He and colleagues {cite:p}`he-2016-residual` describe the networks of this chapter.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
