# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-compression)=
# How much of a layer does a network need?

**A few hundredths of its directions, if they are the right ones. The collapse that the document shows looks like what one gets with
the right directions in a wrong order and without the mean. Random directions, not centred
either, do the same.**

```{figure} ../results/real/04_compression/fig-compression-published.webp
:name: fig-compression-hero
:alt: Curves of accuracy against the kept share of a layer. PCA stays at the top; scrambled and published values fall together.

What you will be able to draw: how well a network still classifies when a layer is cut to some of its directions. Points:
published. Lines: ours, with the correct directions (top) and with the same directions in a wrong order and without centring. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Put a {term}`compression layer` behind any layer of a network, and measure what the network still knows.
- Say what centring, the order of the values and the training of the network each do to it.
- Recognise random directions by how much of the squared length of an {term}`activation` they keep.
- Compare two layers at an equal share of the directions, and at an equal share of the variance.

**You need** the idea of {term}`PCA` and some PyTorch. **Time:** 30 minutes to read, one minute to run. **Document:** the first half of
the wiki page "Activation Analysis" {cite:p}`avc-wiki-activations`, from the layer tables to the compression effects. **Data:**
shapes that `actlib` draws; in the recorded run Tiny ImageNet {cite:p}`le-2015` (for research).
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
colour, n_colour, size = "shapes", 4000, 32
n_held_out = 1000
# names of the classes to take; None takes all
classes = None
widths, blocks, stem_stride = [16, 32, 64, 128], [1, 1, 1, 1], 2
epochs, learning_rate, augment, precision = 6, 0.1, None, "float32"
weight_decay = 5e-4
# held-out images that are classified after each cut
n_look = 300
# the first stands for the document's act4_block2, the second for its act5_block3
layers = ["layer2", "layer3", "layer4"]
# PCA needs more images than directions: of all classes, and mirrored, too?
fit_all_classes, fit_mirrored = False, False
n_draws, n_channel_draws = 5, 8

# %% tags=["hide-input"]
import copy
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    capture,
    checkpoints,
    compress,
    covariance,
    data,
    preactivation,
    published,
    report,
    train,
)
from sklearn.isotonic import IsotonicRegression

report.start("04_compression", profile=profile, seed=seed, device=device)
generator = torch.Generator().manual_seed(seed)

# %% [markdown]
r"""
## Two published networks, layer by layer

In 2018 a team took part in the Adversarial Vision Challenge: images of 64 x 64 pixels, 200 classes, and attackers. They started from two
networks of others. The *baseline* is a {term}`residual network` of the second kind {cite:p}`he-2016-identity`
with 18 layers. The *ALP network* has 50, and learned with adversarial logit pairing {cite:p}`kannan-2018` (it is trained
to give an image and its attacked copy similar outputs), which makes it robust. Their wiki page
lists the sizes of all layers. Its shapes are height, width, {term}`channels <channel>`; PyTorch writes the channels first.

We build both networks, send one empty image through, and note the shapes.
"""

# %%
ALP, BASELINE = preactivation.ALP_LAYERS, preactivation.BASELINE_LAYERS
networks = {
    "A1-table-baseline": (preactivation.baseline(generator=generator), BASELINE),
    "A2-table-alp": (preactivation.alp(generator=generator), ALP),
}


def shapes_of(network, rows):
    """Return the shape that each row of a published table has in our network, channels last."""
    with torch.no_grad(), capture.capture(network.eval(), rows.values()) as found:
        network(torch.zeros(1, 3, 64, 64))
    return {row: (*found[name].shape[2:], found[name].shape[1]) for row, name in rows.items()}


shapes = {id: shapes_of(network, rows) for id, (network, rows) in networks.items()}
n_parameters = {
    id: sum(layer.n_parameters for layer in capture.overview(network, (3, 64, 64)))
    for id, (network, _) in networks.items()
}

# %% tags=["hide-input"]
report.source("one image of zeros, 64 x 64 pixels")
fig, axes = plt.subplots(2, 1, figsize=(7, 6), layout="constrained")
for ax, found, title in zip(axes, shapes.values(), ["baseline", "ALP network"], strict=True):
    values = [int(np.prod(shape)) for shape in found.values()]
    ax.barh(range(len(values)), values)
    ax.set_yticks(range(len(values)), [row.replace("-", "_") for row in found])
    ax.set(xscale="log", xlim=(100, 1e6), title=title, xlabel="values of one image")
    ax.invert_yaxis()
    for k, (shape, value) in enumerate(zip(found.values(), values, strict=True)):
        ax.text(value * 1.1, k, " x ".join(map(str, shape)), va="center", fontsize=9)
most = {id: max(np.prod(shape) for shape in found.values()) for id, found in shapes.items()}
report.figure(
    fig,
    name="fig-compression-sizes",
    caption="How many values each layer of the two published networks holds for one image (logarithmic), with its shape. The names are the document's.",
    alt=f"Bars of {len(BASELINE)} and {len(ALP)} layers. The baseline reaches {most['A1-table-baseline']:,} values in its first convolution and "
    f"halves from stage to stage; the ALP network never has more than {most['A2-table-alp']:,}.",
)


# %% tags=["remove-cell"]
def sizes(id):
    """Return for each row of a table its number of values, and whether the shape is the document's."""
    known = {row: published.value(f"{id}/{row}")["shape"] for row in shapes[id]}
    notes = {
        row: "the same shape" if list(s) == known[row] else "another shape"
        for row, s in shapes[id].items()
    }
    return {row: (int(np.prod(shape)), notes[row]) for row, shape in shapes[id].items()}


for row, (value, note) in sizes("A1-table-baseline").items():
    report.number(
        f"A1-table-baseline/{row}",
        value,
        tol=0,
        agree=0,
        label=f"baseline, values of {row}",
        note=note,
    )
for row, (value, note) in sizes("A2-table-alp").items():
    report.number(
        f"A2-table-alp/{row}",
        value,
        tol=0,
        agree=0,
        label=f"ALP network, values of {row}",
        note=note,
    )
report.number("A1-table-baseline/parameters", n_parameters["A1-table-baseline"], tol=0)
report.number("A2-table-alp/parameters", n_parameters["A2-table-alp"], tol=0)

# %% tags=["remove-cell"]
# the control: the same tables against the other network
baseline_rows = {row: np.prod(shape) for row, shape in shapes["A1-table-baseline"].items()}
alp_rows = {row: np.prod(shape) for row, shape in shapes["A2-table-alp"].items()}
same_place = [baseline_rows.get(row) == value for row, value in alp_rows.items()]
report.number("A2-table-alp/swapped", sum(same_place), tol=0)

# %% tags=["hide-input"]
report.table("A1", "A2")

# %% [markdown]
r"""
**What to notice.** Every row holds, in both tables. That is not empty: five names stand in both tables, and of these rows
{glue:text}`A2-table-alp/swapped` have the same size in both networks. One name misleads: `act8_pool` of the ALP table holds the
{published}`A2-table-alp/act8-pool` outputs, not the pooled layer. The networks have {glue:text}`A1-table-baseline/parameters:,` and
{glue:text}`A2-table-alp/parameters:,` parameters.

## The network that stands in

The weights of the ALP network belong to another framework, and the network was trained on all of ImageNet first; its accuracy is
{published}`A0-models/alp-accuracy`. We train a smaller network of the baseline's kind and measure everything on it. The *shape* of
the effects can be compared, the accuracies cannot, so further down each network is measured against its own accuracy without compression.
"""

# %%
learn = data.load(colour, "train", size=size, n=n_colour)
held_out = data.load(colour, data.manifest(colour).splits[-1], size=size, n=n_held_out)
if classes:
    learn, held_out = learn.only(*classes), held_out.only(*classes)


def build(generator):
    """Return the residual network of this part of the book, untrained."""
    settings = {"widths": widths, "blocks": blocks, "stem_stride": stem_stride, "size": size}
    network = preactivation.baseline(
        len(learn.classes), **settings, momentum=0.1, generator=generator
    )
    return network.to(memory_format=torch.channels_last)  # faster on a CPU


recipe = {"epochs": epochs, "learning_rate": learning_rate, "weight_decay": weight_decay, "schedule": "onecycle"}  # fmt: skip
recipe |= {"augment": augment, "precision": precision}
images, labels = learn.images.to(device), learn.labels.to(device)
result = checkpoints.load_or_fit("geometry-network", build, images, labels, seed=seed, **recipe)

# %%
net = result.model
# what a program has that makes the network and forgets to load its weights
blank = build(torch.Generator().manual_seed(seed + 1)).to(device).eval()
part = held_out.sample(min(n_look, len(held_out.labels)), seed)
fitting = data.load(colour, "train", size=size, n=n_colour) if fit_all_classes else learn
fitting = torch.cat([fitting.images, fitting.images.flip(3)][: 1 + fit_mirrored])

# %% tags=["remove-cell"]
MEASURED = f"{colour}, {len(part.labels):,} held-out images; ResNet v2, widths {widths}"
REPLACED = "Tiny ImageNet, 10,000 images; the ALP ResNet-50 v2"
accuracy = train.accuracy(net, held_out.images, held_out.labels.to(device))
chance = 1 / len(learn.classes)
report.source(
    f"{colour}, {len(held_out.labels):,} held-out images; ResNet v2, widths {widths}",
    stand_in=REPLACED,
)
report.number("A0-models/alp-accuracy", accuracy, unit="share", tol=0.05, label="accuracy of the network",
              note="another network on other data")  # fmt: skip
report.number("A0-models/training", sum(result.history.seconds), unit="seconds", tol=1e9)
report.number("A0-models/classes", len(learn.classes), tol=0)
report.number("A0-models/chance", chance, unit="share", tol=0)
report.source(MEASURED, stand_in=REPLACED)
report.number("A0-models/images", len(part.labels), tol=0)
report.number("A0-models/learned", len(learn.labels), tol=0)
report.number("A0-models/fitted", len(fitting), tol=0)

# %% [markdown]
r"""
It learned {glue:text}`A0-models/learned:,` images of {glue:text}`A0-models/classes` classes and is right for
{glue:text}`A0-models/alp-accuracy:.1%` of the held-out ones (recorded: {recorded}`A0-models/learned` images of
{recorded}`A0-models/classes` classes of Tiny ImageNet, {recorded}`A0-models/alp-accuracy`).

## A compression layer

PCA finds the directions $p_1, p_2, \dots$ in which the activations of a layer vary most, ordered by their variance. Put the first $k$ of them side
by side as the columns of a matrix $P$. A {term}`compression layer` replaces an activation $x$ by what these directions can say about
it, where $\mu$ is the mean of the activations:

$$
y = \mu + (x - \mu)\, P P^\top .
$$

The map has as many values as before, and the network goes on with it as if nothing had happened. But of $n$ directions only $k$ are left.
Taking $\mu$ off before and adding it afterwards is called *centring*; without it the layer computes $x P P^\top$. (Here $x$ and $\mu$ are rows, so the matrix stands on their right.)
We call $k / n$ the {term}`kept share`. In code:

```{literalinclude} ../actlib/compress.py
:pyobject: Projection.forward
```

PCA sees {glue:text}`A0-models/fitted:,` activations of training images (recorded {recorded}`A0-models/fitted`, of all classes): all of
them, whether the network is right or wrong. The
accuracy is that of {glue:text}`A0-models/images` held-out images (recorded {recorded}`A0-models/images`). Their activations are
stored once; for each cut, only the part of the network behind the layer runs again.

:::{admonition} Guess first
:class: tip
Keep a quarter of the directions of a layer in the middle of the network. How much accuracy is left with those that PCA chooses? And with a
quarter chosen at random?
:::
"""

# %%
SHARES = [31 / 32, 15 / 16, 7 / 8, 13 / 16, 3 / 4, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]


def bases_of(trained, untrained, shape, n_draws, generator):
    """Return orthonormal bases (d, d) of a layer, by how they were made."""
    right, wrong = (
        covariance.pca(moments).components.float() for moments in (trained, untrained)
    )
    bases = {"PCA": right, "scrambled": compress.scrambled(right, shape)}
    bases |= {"untrained": wrong, "untrained, scrambled": compress.scrambled(wrong, shape)}
    any_ = compress.random_orthonormal(len(right), len(right), generator=generator).to(right)
    # its columns in any order: the span of the first k is uniform for each draw
    orders = [torch.randperm(len(right), generator=generator) for _ in range(n_draws)]
    return bases | {f"random {k}": any_[:, order] for k, order in enumerate(orders)}


def curve(network, layer, stored, labels, basis, mean=0, shares=SHARES):
    """Return the accuracy (shares) when a layer keeps these shares of a basis."""
    x = torch.from_numpy(stored).to(basis).flatten(1)
    along = (x - mean) @ basis
    y, start, found = torch.zeros_like(x) + mean, 0, {}
    for share in sorted(shares):  # each cut adds some directions to the one before
        k = max(1, round(share * len(basis)))
        y, start = y + along[:, start:k] @ basis[:, start:k].T, k
        cut = {"cut": torch.nn.Identity()}
        found |= {share: compress.accuracy_after(network, layer, y.view(stored.shape), labels, cut)["cut"]}  # fmt: skip
    return np.array([found[share] for share in shares])


def kept_by(basis, x, mean):
    """Return the share of the variance of activations that the first 0, 1, ... directions keep."""
    along = ((x - mean) @ basis).square().sum(0)  # (d)
    return np.append(0, (along.cumsum(0) / along.sum()).cpu().numpy())


# %%
ORDERS = {"PCA": "right", "scrambled": "scrambled", "untrained": "untrained"}
ORDERS["untrained, scrambled"] = "untrained and scrambled"
quiet = {"progress": False}
held = capture.collect(net, part.images.to(device), layers, **quiet)
stored = [
    capture.collect(network, fitting.to(device), layers, **quiet) for network in (net, blank)
]
base = train.accuracy(net, part.images, part.labels.to(device))
curves, few, kept, seen, means, full, n_values = {}, {}, {}, {}, {}, {}, {}
for layer in layers:
    trained, untrained = (covariance.moments(found.pop(layer), device=device) for found in stored)
    bases = bases_of(trained, untrained, held[layer].shape[1:], n_draws, generator)
    mean, x = trained.mean.float(), torch.from_numpy(held[layer]).to(device).flatten(1)
    few[layer] = [2.0**-k for k in range(6, 13) if 2**k <= len(mean)]
    cut = partial(curve, net, layer, held[layer], part.labels)
    for name, basis in bases.items():
        curves[layer, name, True] = cut(basis, mean)
        if name in ("random 0", *ORDERS):
            curves[layer, name, False] = cut(basis)
            kept[layer, name] = kept_by(basis, x, mean)
    curves[layer, "few", True] = cut(bases["PCA"], mean, few[layer])
    ends = {"all": None, "half": len(mean) // 2}  # by the layer itself: it agrees with the curve
    ends = {name: compress.Projection(bases["scrambled"], k) for name, k in ends.items()}
    full[layer] = compress.accuracy_after(net, layer, held[layer], part.labels, ends)
    n_values[layer] = len(mean)
    first = bases["PCA"][:, : len(mean) // 32]
    seen[layer] = float(compress.kept(first, trained.covariance)[-1])
    means[layer] = kept_by(bases["random 0"], mean[None], 0)[len(mean) // 2]


# %% tags=["hide-input"]
def share_axis(ax, lowest, step=4):
    """Make x a logarithmic axis of kept shares, with a tick at each power of ``step``."""
    ticks = [step**-k for k in range(13) if step**-k >= lowest * 0.9]
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, ["all", *(f"1/{round(1 / tick)}" for tick in ticks[1:])])
    ax.set_xlabel("kept share of the directions")


def random_curves(layer):
    """Return the accuracies of all random draws, centred (draws, shares)."""
    return np.array([curves[layer, f"random {k}", True] for k in range(n_draws)])


report.source(MEASURED, stand_in=REPLACED)
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for layer, color in zip(layers, ["C0", "C1", "C2"], strict=False):
    found = np.concatenate([curves[layer, "PCA", True], curves[layer, "few", True]])
    ax.plot([*SHARES, *few[layer]], found, "o-", ms=4, color=color, label=f"{layer}, PCA")
    draws = random_curves(layer)
    ax.plot(SHARES, draws.mean(0), "s--", ms=4, color=color, label=f"{layer}, random")
    ax.fill_between(SHARES, draws.min(0), draws.max(0), color=color, alpha=0.25, lw=0)
ax.axhline(chance, color="0.5", lw=1)
share_axis(ax, min(few[layers[0]]))
ax.set(ylabel="accuracy", ylim=(0, None))
ax.legend(ncols=len(layers), loc="upper center", bbox_to_anchor=(0.5, -0.18))
half = SHARES.index(1 / 2)
report.figure(
    fig,
    name="fig-compression-curves",
    caption=f"Accuracy when a layer keeps a share of its directions: those of PCA, or random ones ({n_draws} draws: mean and range). Grey: guessing.",
    alt=f"PCA stays at about {base:.0%} down to a few hundredths, then falls. Random directions fall much earlier: in {layers[0]} they are at "
    f"{random_curves(layers[0])[:, half].mean():.0%} with a half and at {random_curves(layers[0])[:, half + 1].mean():.0%} with a quarter.",
)

# %% tags=["remove-cell"]
# fmt: off
earlier, later = layers[:2]
quarter, last = SHARES.index(1 / 4), len(SHARES) - 1
report.number("A3-compression/full-rank", max(abs(found["all"] - base) for found in full.values()), unit="share", tol=0.005, agree=(0, 0.005),
              label="change of the accuracy with all directions, the largest of all layers, scrambled basis", note="with a half of them it is far larger")
report.number("A3-compression/half-rank", float(max(base - found[half] for (layer, name, _), found in curves.items() if name != "few")),
              unit="share", tol=0.2)
report.number("A3-compression/same", max(abs(full[layer]["half"] - curves[layer, "scrambled", False][half]) for layer in layers), tol=0.01)
report.number("A3-compression/baseline", base, unit="share", tol=0.05, label="accuracy without compression")
report.number("A3-compression/deviation", (base * (1 - base) / len(part.labels)) ** 0.5, unit="share", tol=0.01)
report.number("A3-compression/draws", n_draws, tol=0)
for role, layer in (("earlier", earlier), ("later", later)):
    draws = random_curves(layer)
    report.number(f"A3-compression/{role}-values", n_values[layer], tol=0)
    report.number(f"A3-compression/{role}-pca-quarter", curves[layer, "PCA", True][quarter], unit="share", tol=0.05)
    report.number(f"A3-compression/{role}-pca-last", curves[layer, "PCA", True][last], unit="share", tol=0.05,
                  label=f"accuracy, PCA keeps one direction in 32 of the {role} layer")
    report.number(f"A3-compression/{role}-variance-last", seen[layer], unit="share", tol=0.05)
    report.number(f"A3-compression/{role}-unseen-last", kept[layer, "PCA"][n_values[layer] // 32], unit="share", tol=0.05)
    report.number(f"A3-compression/{role}-random-quarter", draws[:, quarter].mean(), spread=draws[:, quarter].std(ddof=1), n=n_draws,
                  unit="share", tol=0.15, label=f"accuracy, a random quarter of the {role} layer")
# fmt: on

# %% [markdown]
r"""
*Earlier* and *later* always mean the two layers that stand for the document's: `layer2` and `layer3` on this page, `layer3` and `layer4` in the recorded run. The
`layer4` of this page is one more example.

**What to notice.** PCA loses little. With one direction in 32, the earlier of the two layers that we shall compare with the document's
still gives {glue:text}`A3-compression/earlier-pca-last:.1%` (uncut: {glue:text}`A3-compression/baseline:.1%`; recorded {recorded}`A3-compression/earlier-pca-last` and {recorded}`A3-compression/baseline`). These few directions
hold {glue:text}`A3-compression/earlier-variance-last:.0%` of the variance of the images that PCA saw and {glue:text}`A3-compression/earlier-unseen-last:.0%` of that of held-out ones
(recorded {recorded}`A3-compression/earlier-variance-last` and {recorded}`A3-compression/earlier-unseen-last`).

Random directions are another matter. A quarter of them gives {glue:text}`A3-compression/earlier-random-quarter:.1%` in the earlier layer and
{glue:text}`A3-compression/later-random-quarter:.1%` in the later one (recorded {recorded}`A3-compression/earlier-random-quarter` and {recorded}`A3-compression/later-random-quarter`; means of
{glue:text}`A3-compression/draws:d` draws). A quarter by PCA gives {glue:text}`A3-compression/earlier-pca-quarter:.1%` and {glue:text}`A3-compression/later-pca-quarter:.1%`.

Mind the noise: an accuracy $p$ from $n$ images has a standard deviation of $\sqrt{p (1 - p) / n}$, which is {glue:text}`A3-compression/deviation:.1%` for the uncut
network (recorded {recorded}`A3-compression/deviation`). A single difference of that size says little. Differences between
two cuts are somewhat safer, since both see the same images.

With all directions nothing changes, in any order: the accuracy moves by {glue:text}`A3-compression/full-rank:.1%` (recorded {recorded}`A3-compression/full-rank`), as the page
expects. With a half of them it falls by up to {glue:text}`A3-compression/half-rank:.0%` (recorded {recorded}`A3-compression/half-rank`), in the worst case that follows.

## Three defects

The wiki page tells another story. It cuts `act5_block3` to a quarter of its directions, by PCA, and of {published}`A3-compression/baseline` there remain
{published}`A3-compression/act5-1024`. Nothing on the page explains such a collapse. The history of the team's code {cite:p}`denk-2018` may: in October 2018, when the
experiments were probably run, three things were wrong in it.

1. **Scrambled order.** A map has a height, a width and channels, and is flattened into one long vector. MATLAB, which computed PCA, lets
   the height run fastest. TensorFlow, which applied it, lets the channel run fastest. So each entry of a direction weighed a value that it was
   not made for. All directions together span everything in any order: the rows with all directions cannot show this.
2. **Untrained weights.** The script that stored the activations did not load the checkpoint. PCA saw a network with random weights.
3. **No centring.** The layer computed $x P P^\top$. What the mean has outside of the kept directions is lost, for every image.

The page does not say when its rows were measured. So we only infer from the dates of the code which rows each fault touched. The first: probably all rows of whole maps. The
second: the PCA rows of `act5_block3` and of the first convolution, not those of `act4_block2`. The third: all rows. But whether such faults *can* cause the collapse is something that
we can test. We make each mistake, alone and together with the others,
and see which makes our network collapse as theirs did.

:::{admonition} Guess first
:class: tip
Which of the three does the most damage? Does one of them do none?
:::
"""


# %% [markdown]
r"""
To compare networks of different accuracy we look at what is *left*: the accuracy above guessing, as a share of the uncut network's accuracy above
guessing. One means that nothing was lost, zero that the network guesses.
"""


# %%
def relative(accuracy, base, chance):
    """Return what is left of an accuracy: one without compression, zero for guessing."""
    return (np.asarray(accuracy) - chance) / (base - chance)


left = {key: relative(found, base, chance) for key, found in curves.items() if key[1] != "few"}

# %% tags=["hide-input"]
frames = []
for layer in layers:
    shown = {}
    for name in ORDERS:
        for centred in (True, False):
            label = f"{ORDERS[name]}{'' if centred else ', no centring'}"
            shown[label] = SHARES, left[layer, name, centred]
    shown["random"] = SHARES, relative(random_curves(layer).mean(0), base, chance)
    shown["random, no centring"] = SHARES, left[layer, "random 0", False]
    at_half = {label: y[half] for label, (_, y) in shown.items()}
    frames.append(
        report.Frame(
            layer,
            f"{layer}: with a half of the directions {at_half['right']:.0%} of the accuracy is left for PCA, {at_half['right, no centring']:.0%} without "
            f"centring, {at_half['scrambled']:.0%} scrambled, {at_half['untrained']:.0%} untrained, {at_half['random']:.0%} at random.",
            curves=shown,
            note=f"{n_values[layer]:,} values. With a half of the directions: scrambled {at_half['scrambled']:.0%}, random {at_half['random']:.0%}.",
        )
    )
report.frames(
    frames,
    name="fig-compression-defects",
    caption="What is left of the accuracy (one: all, zero: guessing) for the right basis, for each defect alone, and for all together. "
    "Move the slider from layer to layer; click on a name to see its line alone.",
    label="layer",
    start=0,
    xlabel="kept share of the directions",
    ylabel="accuracy left",
)

# %% tags=["hide-input"]
CASES = {
    "all correct": ("PCA", True),
    "no centring": ("PCA", False),
    "untrained": ("untrained", True),
    "untrained, no centring": ("untrained", False),
    "scrambled": ("scrambled", True),
    "scrambled, no centring": ("scrambled", False),
    "untrained, scrambled": ("untrained, scrambled", True),
    "all three": ("untrained, scrambled", False),
}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
places = np.arange(len(CASES) + 2)
for layer, marker, color in zip(layers, "osD", ["C0", "C1", "C2"], strict=False):
    found = [left[layer, name, centred][half] for name, centred in CASES.values()]
    found.append(relative(random_curves(layer)[:, half].mean(), base, chance))
    found.append(left[layer, "random 0", False][half])
    ax.plot(found, places, marker, color=color, label=layer, ms=8)
ax.set_yticks(places, [*CASES, "random", "random, no centring"])
ax.invert_yaxis()
ax.grid(axis="y")
ax.set(xlabel="accuracy left with a half of the directions", xlim=(-0.05, 1.05))
ax.legend(loc="upper left")
worst = {case: min(left[layer, *key][half] for layer in layers) for case, key in CASES.items()}
report.figure(
    fig,
    name="fig-compression-cases",
    caption="The eight combinations of the three defects, and random directions, with a half of the directions of each layer.",
    alt=f"Dots in rows. Correct and without centring all dots are at the right, at {worst['no centring']:.0%} or more. Untrained, scrambled and random rows reach "
    f"down to {worst['untrained']:.0%}, {worst['scrambled']:.0%} and {relative(random_curves(earlier)[:, half].mean(), base, chance):.0%}.",
)

# %% tags=["remove-cell"]
# fmt: off
SHORT = {"no centring": "uncentred", "untrained": "untrained", "scrambled": "scrambled", "scrambled, no centring": "literal",
         "untrained, no centring": "untrained-uncentred", "untrained, scrambled": "untrained-scrambled", "all three": "all-three"}
for role, layer in (("earlier", earlier), ("later", later)):
    for case, short in SHORT.items():
        value = left[layer, *CASES[case]][half]
        name = f"what is left of the accuracy, half of the {role} layer, {case}"
        report.number(f"A3-compression/{role}-{short}", value, unit="share", tol=0.2, label=name)
    found = relative(random_curves(layer)[:, half], base, chance)
    report.number(f"A3-compression/{role}-random", found.mean(), spread=found.std(ddof=1), n=n_draws, unit="share", tol=0.2,
                  label=f"what is left of the accuracy, half of the {role} layer, random")
    report.number(f"A3-compression/{role}-random-uncentred", left[layer, "random 0", False][half], unit="share", tol=0.2)
    report.number(f"A3-compression/{role}-uncentred-last", left[layer, "PCA", False][last], unit="share", tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Look at a half of the directions. The missing mean *alone* does next to nothing: {glue:text}`A3-compression/earlier-uncentred:.0%` is left in the
earlier layer and {glue:text}`A3-compression/later-uncentred:.0%` in the later one (recorded {recorded}`A3-compression/earlier-uncentred` and {recorded}`A3-compression/later-uncentred`). The kept
directions miss either too little of the mean, or what the network does not need.

Untrained weights alone cost more: {glue:text}`A3-compression/earlier-untrained:.0%` and {glue:text}`A3-compression/later-untrained:.0%` are left (recorded {recorded}`A3-compression/earlier-untrained` and
{recorded}`A3-compression/later-untrained`).

The scrambled order alone leaves {glue:text}`A3-compression/earlier-scrambled:.0%` and {glue:text}`A3-compression/later-scrambled:.0%` (recorded {recorded}`A3-compression/earlier-scrambled` and {recorded}`A3-compression/later-scrambled`),
about what random directions leave: {glue:text}`A3-compression/earlier-random:.0%` and {glue:text}`A3-compression/later-random:.0%` (recorded {recorded}`A3-compression/earlier-random` and {recorded}`A3-compression/later-random`). Where
random directions are harmless, so is the scrambling.

Does the mean count once the order is lost? Directions that know nothing of the data keep only a part of it, as the next section shows. In the later layer of the recorded
run it does: scrambled leaves {recorded}`A3-compression/later-scrambled`, scrambled *and* not centred {recorded}`A3-compression/later-literal`. In the later of our two layers the step is small in this run, from
{glue:text}`A3-compression/later-scrambled:.0%` to {glue:text}`A3-compression/later-literal:.0%`; it is large in `layer4`, the last block of this page. All three together leave {glue:text}`A3-compression/earlier-all-three:.0%` and {glue:text}`A3-compression/later-all-three:.0%` (recorded {recorded}`A3-compression/earlier-all-three` and {recorded}`A3-compression/later-all-three`):
once the order is lost, it hardly matters whose directions they were.

## Why scrambled means random

How much of an activation survives a projection onto $k$ of $n$ directions? Onto the first $k$ of PCA: the variance that they hold. Onto $k$
*random* directions: on average $k / n$ of any vector, whatever the data are. Half of the directions keep half of its *energy*,
the sum of its squared values, along a straight line. This is a fingerprint: a basis whose kept energy follows the line knows nothing about the data.
"""

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
x = np.arange(n_values[earlier] + 1) / n_values[earlier]
styles = {"PCA": "-", "untrained": ":", "scrambled": "--", "random 0": "-"}
for name, style in styles.items():
    label = {
        "random 0": "random",
        "scrambled": "PCA, scrambled",
        "untrained": "PCA, untrained",
    }.get(name, name)
    ax.plot(x, kept[earlier, name], style, label=label)
ax.plot([0, 1], [0, 1], color="0.6", lw=5, alpha=0.5, zorder=0, label="k / n")
ax.set(xlabel="kept share of the directions", ylabel="kept share of the variance", ylim=(0, 1.02))
ax.legend()
middle = n_values[earlier] // 2
report.figure(
    fig,
    name="fig-compression-energy",
    caption=f"How much of the variance of {earlier} the first directions keep. The thick grey line is the closed form for random directions.",
    alt=f"PCA rises at once and has {kept[earlier, 'PCA'][n_values[earlier] // 32]:.0%} of the variance with one direction in 32. The random line lies on the diagonal. In the "
    f"middle the scrambled line is at {kept[earlier, 'scrambled'][middle]:.0%} and the untrained one at {kept[earlier, 'untrained'][middle]:.0%}.",
)

# %% tags=["remove-cell"]
# fmt: off
for name, short in (("random 0", "random"), ("scrambled", "scrambled"), ("untrained", "untrained"), ("PCA", "pca")):
    closed = {"note": "the closed form is one half"} if short == "random" else {}
    report.number(f"A3-compression/energy-{short}", kept[earlier, name][middle], unit="share", tol=0.1,
                  label=f"kept variance, half of the directions of the earlier layer, {short}", **closed)
report.number("A3-compression/energy-mean", means[earlier], unit="share", tol=0.1,
              label="kept energy of the mean, a random half, no centring", note="the closed form is one half")
x = np.arange(n_values[earlier] + 1) / n_values[earlier]
for name, short in (("random 0", "random"), ("scrambled", "scrambled"), ("PCA", "pca")):
    report.number(f"A3-compression/off-{short}", float(np.abs(kept[earlier, name] - x).max()), unit="share", tol=0.1)
report.number("A3-compression/pca-collapse", left[later, "PCA", True][quarter], unit="share", tol=0.1, agree=(0, 0.5),
              label="what is left of the accuracy, a quarter of act5_block3, correct PCA",
              note="the same quarter scrambled and not centred is in the range")
# fmt: on

# %% [markdown]
r"""
**What to notice.** A random half of the directions keeps {glue:text}`A3-compression/energy-random:.1%` of the variance, as the closed form says. The first half of PCA
keeps {glue:text}`A3-compression/energy-pca:.1%`, and the same half scrambled {glue:text}`A3-compression/energy-scrambled:.1%` (recorded {recorded}`A3-compression/energy-random`, {recorded}`A3-compression/energy-pca` and
{recorded}`A3-compression/energy-scrambled`). Over all kept shares the scrambled line is at most {glue:text}`A3-compression/off-scrambled:.3f` away from $k / n$, that of PCA
{glue:text}`A3-compression/off-pca:.2f` (recorded {recorded}`A3-compression/off-scrambled` and {recorded}`A3-compression/off-pca`). The recorded run shows that the wrong order need not destroy everything:
its line runs slightly above the diagonal. The directions of an untrained network keep {glue:text}`A3-compression/energy-untrained:.1%` (recorded
{recorded}`A3-compression/energy-untrained`). And without centring, a random half keeps only {glue:text}`A3-compression/energy-mean:.0%` of the energy of the mean (recorded {recorded}`A3-compression/energy-mean`).

## The published points

Now the table itself, on top of our curves. Our two layers stand for its `act4_block2` ({published}`A2-table-alp/act4-block2` values) and
`act5_block3` ({published}`A2-table-alp/act5-block3`). For `act5_block3` the directions were probably those of an untrained network, too. We leave that out of the picture: once
the order is lost, it hardly changes the curve (*all three* in {numref}`fig-compression-cases`). Our layers have {glue:text}`A3-compression/earlier-values:,` and {glue:text}`A3-compression/later-values:,` (recorded
{recorded}`A3-compression/earlier-values` and {recorded}`A3-compression/later-values`).
"""

# %%
DOCUMENT_BASE = published.value("A3-compression/baseline")["value"], 1 / 200  # and guessing
# per document layer: the stand-in, the number of directions, and those that the table has
DOCUMENT = {
    "act4": (earlier, 8192, [7680, 7168, 4096, 2048, 1024]),
    "act5": (later, 4096, [3328, 3072, 1024]),
}
points = {  # (kept share, what is left of the accuracy) of each published row
    name: [
        (k / n, relative(published.value(f"A3-compression/{name}-{k}")["value"], *DOCUMENT_BASE))
        for k in ks
    ]
    for name, (_, n, ks) in DOCUMENT.items()
}

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
literal = "scrambled, no centring"
for name, (layer, _, _), fmt in zip(DOCUMENT, DOCUMENT.values(), ("C0^", "C1o"), strict=True):
    ax.plot(SHARES, left[layer, "PCA", True], fmt[:2], label=f"{layer}, correct PCA")
    ax.plot(SHARES, left[layer, "scrambled", False], f"{fmt[:2]}--", label=f"{layer}, {literal}")
    ax.plot(*np.array(points[name]).T, fmt, mec="k", ms=9, label=f"{name}, published")
ax.set(xlabel="kept share of the directions", ylabel="accuracy left", ylim=(-0.05, 1.08))
ax.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
rows = {name: [y for _, y in found] for name, found in points.items()}
report.figure(
    fig,
    name="fig-compression-published",
    caption="The published accuracies (points) and ours (lines), each relative to its own network: one is the accuracy without "
    f"compression, zero is guessing. {earlier} stands for act4_block2, {later} for act5_block3.",
    alt=f"The correct curves stay above {min(left[earlier, 'PCA', True].min(), left[later, 'PCA', True].min()):.2f}. The published points fall from "
    f"{rows['act4'][0]:.2f} to {rows['act4'][-1]:.2f}, as do our scrambled curves, to {left[earlier, 'scrambled', False][-3]:.2f} and "
    f"{left[later, 'scrambled', False][-3]:.2f} at an eighth.",
)


# %% tags=["remove-cell"]
def distance(points, shares, found):
    """Return how far published points lie from a curve of ours, on average."""
    x, y = np.array(points).T
    return float(np.abs(y - np.interp(x, shares[::-1], found[::-1])).mean())


# fmt: off
for name, (layer, n, ks) in DOCUMENT.items():
    for k in ks:
        value = np.interp(k / n, SHARES[::-1], curves[layer, "scrambled", False][::-1])
        report.number(f"A3-compression/{name}-{k}", float(value), unit="share", tol=0.15,
                      label=f"accuracy, {k / n:.1%} of the directions of {name}, scrambled, no centring")
for k in (3968, 3840, 3584, 2048):
    for short, key in (("", ("scrambled", False)), ("-pca", ("PCA", True))):
        value = np.interp(k / 4096, SHARES[::-1], curves[later, *key][::-1])
        how = "correct PCA" if short else "scrambled, no centring"
        report.number(f"A3-compression/act5-{k}{short}", float(value), unit="share", tol=0.15,
                      label=f"accuracy, {k / 4096:.1%} of the directions of act5 (blank in the document), {how}")
report.number("A3-compression/act5-4096", full[later]["all"], unit="share", tol=0.05, label="accuracy, all directions of act5, scrambled, no centring")
for short, key in (("literal", ("scrambled", False)), ("pca", ("PCA", True)), ("uncentred", ("PCA", False)), ("random", ("random 0", False))):
    found = {name: left[layer, *key] for name, (layer, _, _) in DOCUMENT.items()}
    value = np.mean([distance([point], SHARES, found[name]) for name in DOCUMENT for point in points[name]])
    report.number(f"A4-plot/distance-{short}", value, tol=0.1, label=f"mean distance of the published points from our curve, {short}")
x, y = np.array(sorted(points["act4"] + points["act5"])).T
report.number("A4-plot/one-curve", float(np.abs(y - IsotonicRegression().fit_transform(x, y)).max()), tol=0.001)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The published points leave the curves of PCA at once and fall with our scrambled ones. On average they lie
{glue:text}`A4-plot/distance-literal:.2f` from the scrambled curve without centring, {glue:text}`A4-plot/distance-random:.2f` from random directions, not centred either, and
{glue:text}`A4-plot/distance-pca:.2f` from correct PCA (recorded {recorded}`A4-plot/distance-literal`, {recorded}`A4-plot/distance-random` and
{recorded}`A4-plot/distance-pca`). Theirs fall more steeply, most of all at a half of `act4_block2`.
Missing centring alone explains nothing: {glue:text}`A4-plot/distance-uncentred:.2f` (recorded
{recorded}`A4-plot/distance-uncentred`). We cannot run their network, so this is no proof. But a PCA that works does not look like that in any layer that we
tried, and one in the wrong order does.

The table below fills the document's blank cells with what our {term}`stand-in` gives at the same kept share, with the recipe that we suspect (scrambled, no centring) and with the
correct one. At
a half of `act5_block3` the difference is {glue:text}`A3-compression/act5-2048:.1%` against {glue:text}`A3-compression/act5-2048-pca:.1%` (recorded {recorded}`A3-compression/act5-2048` against
{recorded}`A3-compression/act5-2048-pca`).

## Is the earlier layer more sensitive?

The caption of the document's plot says so: "the earlier layer (closer to the input) is more sensitive to PCA compression". Its evidence is thin.
Only one kept share, a quarter, was measured in both layers, and what was measured there was probably not PCA. Sorted by kept share alone, its points lie
close to *one* rising curve, at most {glue:text}`A4-plot/one-curve:.2f` off (in units of the accuracy left), whichever layer they come from.

But a claim can be right without its evidence. We compare our two layers with correct PCA, first at an equal share of the directions, then at an
equal share of the variance. The second is the fairer question, since a layer with many similar values has many directions that hold next to nothing.
"""

# %%
LEVELS = np.array([0.5, 0.6, 0.7, 0.8, 0.9])


def at_variance(layer):
    """Return the accuracy of PCA where it keeps these levels of the variance."""
    shares = [*SHARES, *few[layer]]
    variance = [kept[layer, "PCA"][max(1, round(share * n_values[layer]))] for share in shares]
    found = np.concatenate([curves[layer, "PCA", True], curves[layer, "few", True]])
    return np.interp(LEVELS, variance[::-1], found[::-1])


n_small = min(len(few[earlier]), len(few[later]))
by_share = {layer: curves[layer, "few", True][:n_small] for layer in (earlier, later)}
by_variance = {layer: at_variance(layer) for layer in (earlier, later)}

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained", sharey=True)
for layer, marker in zip((earlier, later), "os", strict=True):
    found = np.concatenate([curves[layer, "PCA", True], curves[layer, "few", True][:n_small]])
    axes[0].plot([*SHARES, *few[layer][:n_small]], found, f"{marker}-", ms=5, label=layer)
    axes[1].plot(LEVELS, by_variance[layer], f"{marker}-", ms=5, label=layer)
axes[0].axvspan(1 / 8, 1, color="0.9", lw=0)
share_axis(axes[0], few[later][n_small - 1], step=16)
axes[0].set(ylabel="accuracy", ylim=(0, None))
axes[1].set(xlabel="kept share of the variance")
axes[1].legend()
report.figure(
    fig,
    name="fig-compression-earlier",
    caption="Correct PCA with very few directions: the earlier and the later layer at an equal share of the directions (left) and at an equal share "
    "of the variance (right). Grey: the shares that the document measured.",
    alt=f"Left: with one direction in {round(1 / few[later][n_small - 1])} the earlier layer gives {by_share[earlier][-1]:.0%}, the later {by_share[later][-1]:.0%}. Right: at "
    f"half of the variance {by_variance[earlier][0]:.0%} and {by_variance[later][0]:.0%}.",
)

# %% tags=["remove-cell"]
# fmt: off
gap = curves[later, "PCA", True] - curves[earlier, "PCA", True]
table = [k for k, share in enumerate(SHARES) if 1 / 8 <= share < 1]  # what the document measured
claims = {
    "earlier": (gap[table].mean(), "accuracy, later less earlier layer: PCA, the document's shares"),
    "earlier-small": ((by_share[later] - by_share[earlier]).mean(), "accuracy, later less earlier layer: PCA, shares of 1/64 and less"),
    "earlier-variance": ((by_variance[later] - by_variance[earlier]).mean(), "accuracy, later less earlier layer: PCA, equal variance, 50 to 90 %"),
    "earlier-random": ((random_curves(later) - random_curves(earlier)).mean(0)[table].mean(),
                       "accuracy, later less earlier layer: random directions, the document's shares"),
    "earlier-literal": ((curves[later, "scrambled", False] - curves[earlier, "scrambled", False])[table].mean(),
                        "accuracy, later less earlier layer: scrambled, no centring, the document's shares"),
}
for key, (value, label) in claims.items():
    report.number(f"A4-plot/{key}", float(value), unit="share", tol=0.1, agree=(0.02, 1), label=label,
                  note="more sensitive means: the difference is above 2 %")
report.number("A4-plot/pair", (points["act5"][-1][1] - points["act4"][3][1]), tol=0.001)
for role, layer in (("earlier", earlier), ("later", later)):
    report.number(f"A4-plot/{role}-half-variance", by_variance[layer][0], unit="share", tol=0.1)
    report.number(f"A4-plot/{role}-fewest", by_share[layer][-1], unit="share", tol=0.1)
report.number("A4-plot/fewest", round(1 / few[later][n_small - 1]), tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** At the shares that the document measured, from an eighth on, correct PCA shows no difference: the later layer is
{glue:text}`A4-plot/earlier:.1%` better on average (recorded {recorded}`A4-plot/earlier`). Both are about as good as uncut. With shares of 1/64 and
less it is {glue:text}`A4-plot/earlier-small:.1%` (recorded {recorded}`A4-plot/earlier-small`), and at an equal share of the variance
{glue:text}`A4-plot/earlier-variance:.1%` (recorded {recorded}`A4-plot/earlier-variance`). So the earlier layer *is* more sensitive to PCA, but far below the shares
of the table, and not only because its variance is spread over more directions.

With random directions, at the document's shares, the difference is {glue:text}`A4-plot/earlier-random:.1%` (recorded
{recorded}`A4-plot/earlier-random`). With the suspected recipe it is {glue:text}`A4-plot/earlier-literal:.1%` (recorded
{recorded}`A4-plot/earlier-literal`). So small a difference fits what we saw above: the document's points lie on one curve. On our networks, one in each run, the sentence is right, but not
for the reason that its plot gives.

## Channels, and where the mean lives

The document's other axis is the {term}`channel`: each position of the map is one vector with as many entries as there are channels. It cuts
the first convolution in this way, with a matrix $M$ of uniform random numbers ($y = x M M^+$, where $M^+$ is the pseudo-inverse of $M$, so that $M M^+$ projects onto what the columns of $M$ span), drawn once
for each row, and with PCA. None was centred. Its four random rows read {published}`A3-compression/act2-random-64`, {published}`A3-compression/act2-random-63`, {published}`A3-compression/act2-random-62` and
{published}`A3-compression/act2-random-61`: a step of eleven points for one channel of 64. We draw several matrices a row.
"""

# %%
stem = "conv1"
found = capture.collect(net, fitting[::4].to(device), [stem], **quiet)[stem]
channels = covariance.moments(found, axis="channels", device=device)
directions, n_channels = covariance.pca(channels).components.float(), len(channels.mean)
stored = capture.collect(net, part.images.to(device), [stem], **quiet)[stem]


def drawn(d, k, n_draws, generator):
    """Return cuts of d channels to k: what n matrices of uniform numbers span, without centring."""
    bases = [compress.random_uniform(d, k, generator=generator).float() for _ in range(n_draws)]
    return {str(i): compress.Projection(basis, axis="channels") for i, basis in enumerate(bases)}


single = {}
for n_left in range(n_channels, n_channels - 4, -1):
    cuts = drawn(n_channels, n_left, n_channel_draws, generator)
    values = compress.accuracy_after(net, stem, stored, part.labels, cuts)
    single[n_left] = np.array(list(values.values()))

# %% [markdown]
r"""
With PCA the document loses as much: {published}`A3-compression/act2-pca-63` with 63 of 64. Ours does not: {glue:text}`A3-compression/act2-pca-63:.1%` with one channel less than
{glue:text}`A3-compression/channels:d`, {glue:text}`A3-compression/act2-pca-64:.1%` with all (recorded {recorded}`A3-compression/act2-pca-63` and {recorded}`A3-compression/act2-pca-64`).

But the networks differ in one thing. The first convolution of the ALP network, its *stem*, has a bias, and the norm layer behind it takes out any constant again. A
direction in which the activations hardly vary comes last in PCA, however large its mean is. Drop it without centring, and the mean is
gone. Our stem has no bias: a direction that hardly answers to any image hardly has a mean either ({glue:text}`A3-compression/mean-last:.2%` of the energy of the mean, recorded
{recorded}`A3-compression/mean-last`). In the recorded run the reason is even simpler: its {recorded}`A3-compression/channels` channels are computed from 27 numbers, three
colours of 3 x 3 pixels, so some directions are always empty. We give the stem a bias, along just the last direction. The next norm layer
subtracts the same amount, so the network computes what it did before; only the compression layer, which stands between the two, sees the bias.
"""

# %%
SIZES = [0, 3, 10]
scale = float((channels.covariance.trace() / n_channels).sqrt())  # of a channel around its mean


def with_bias(network, shift):
    """Return the same network with a bias in its stem, which the next norm layer takes away."""
    changed = copy.deepcopy(network)
    changed.conv1.bias = torch.nn.Parameter(shift.clone())
    changed.layer1[0].bn1.running_mean += shift
    return changed


planted, matrices = {}, drawn(n_channels, n_channels - 1, n_channel_draws, generator)
for size_ in SIZES:
    shift = size_ * scale * directions[:, -1]  # along the direction that PCA drops first
    changed = with_bias(net, shift)
    cuts = {"uncut": torch.nn.Identity()}
    for how, mean in (("centred", channels.mean.float() + shift), ("no centring", None)):
        cuts[how] = compress.Projection(directions, n_channels - 1, mean=mean, axis="channels")
    cuts |= matrices
    values = stored + shift.cpu().numpy()[:, None, None]
    planted[size_] = compress.accuracy_after(changed, stem, values, part.labels, cuts)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained", sharey=True)
for n_left, values in single.items():
    places = [n_left - n_channels] * len(values)
    axes[0].plot(places, relative(values, base, chance), "C0o", alpha=0.6)
reported = [published.value(f"A3-compression/act2-random-{k}")["value"] for k in (64, 63, 62, 61)]
axes[0].plot([0, -1, -2, -3], relative(reported, *DOCUMENT_BASE), "C1D", mec="k", label="published")  # fmt: skip
axes[0].set(xlabel="channels kept", ylabel="accuracy left", ylim=(-0.1, 1.1))
axes[0].set_xticks([0, -1, -2, -3], ["all", "all - 1", "all - 2", "all - 3"])
axes[0].legend(loc="lower left")
for how, marker in (("centred", "s-"), ("no centring", "o--")):
    values = [relative(planted[size_][how], base, chance) for size_ in SIZES]
    axes[1].plot(SIZES, values, marker, label=f"PCA, {how}")
for size_ in SIZES:
    values = [planted[size_][str(k)] for k in range(n_channel_draws)]
    axes[1].plot([size_] * len(values), relative(values, base, chance), ".", color="C2")
axes[1].plot([], [], ".", color="C2", label="random")
axes[1].set(xlabel="size of the bias", xticks=SIZES)
axes[1].legend(loc="lower left")
lowest = relative(min(values.min() for values in single.values()), base, chance)
ends = {key: relative(value, base, chance) for key, value in planted[SIZES[-1]].items()}
worst_draw = min(ends[str(k)] for k in range(n_channel_draws))
report.figure(
    fig,
    name="fig-compression-channels",
    caption=f"Left: the {n_channels} channels of the first convolution, cut by random matrices; each dot is one. Right: one channel direction less, in a "
    "network whose first convolution has a bias (in standard deviations of a channel).",
    alt=f"Left: all dots lie above {lowest:.2f}; the published points stay at one with one channel less and drop with two. Right: the centred line is "
    f"flat, the one without centring falls to {ends['no centring']:.2f}, the lowest dot to {worst_draw:.2f}.",
)

# %% tags=["remove-cell"]
# fmt: off
report.number("A3-compression/channels", n_channels, tol=0)
for lost in (0, 1, 2, 3):
    values = single[n_channels - lost]
    report.number(f"A3-compression/act2-random-{64 - lost}", values.mean(), spread=values.std(ddof=1), n=n_channel_draws, unit="share", tol=0.1,
                  label=f"accuracy, channels of act2 less {lost}, random")
    report.number(f"A3-compression/act2-lowest-{lost}", values.min(), unit="share", tol=0.15)
for lost, how in ((0, "no centring"), (1, "no centring"), (1, "centred")):
    mean = channels.mean.float() if how == "centred" else None
    cut = compress.Projection(directions, n_channels - lost, mean=mean, axis="channels")
    value = compress.accuracy_after(net, stem, stored, part.labels, {"cut": cut})["cut"]
    key = f"act2-pca-{64 - lost}" if how == "no centring" else "act2-centred"
    report.number(f"A3-compression/{key}", value, unit="share", tol=0.05, label=f"accuracy, channels of act2 less {lost}, PCA, {how}")
along = (directions.double().cpu().T @ channels.mean.cpu()).square()
report.number("A3-compression/mean-last", float(along[-1] / along.sum()), unit="share", tol=0.05)
most = planted[SIZES[-1]]
draws = np.array([most[str(k)] for k in range(n_channel_draws)])
report.number("A3-compression/bias-uncut", max(abs(values["uncut"] - base) for values in planted.values()), unit="share", tol=0.005,
              agree=(0, 0.005), label="change of the accuracy by the bias itself")
report.number("A3-compression/bias-centred", relative(most["centred"], base, chance), unit="share", tol=0.05,
              label="what is left of the accuracy, largest bias, one direction less, centred")
report.number("A3-compression/bias-uncentred", relative(most["no centring"], base, chance), unit="share", tol=0.2,
              label="what is left of the accuracy, largest bias, one direction less, not centred")
report.number("A3-compression/unbiased-random-lowest", relative(min(planted[0][str(k)] for k in range(n_channel_draws)), base, chance),
              unit="share", tol=0.3)
report.number("A3-compression/bias-random-lowest", relative(draws.min(), base, chance), unit="share", tol=0.3)
report.number("A3-compression/bias-random-highest", relative(draws.max(), base, chance), unit="share", tol=0.3)
report.number("A3-compression/bias", SIZES[-1], tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Left: single draws differ. With two channels less the worst of ours gives {glue:text}`A3-compression/act2-lowest-2:.1%` where their mean is
{glue:text}`A3-compression/act2-random-62:.1%`, with three less {glue:text}`A3-compression/act2-lowest-3:.1%` and {glue:text}`A3-compression/act2-random-61:.1%` (recorded {recorded}`A3-compression/act2-lowest-2` and
{recorded}`A3-compression/act2-random-62`, {recorded}`A3-compression/act2-lowest-3` and {recorded}`A3-compression/act2-random-61`). So a single draw says little about its row.

Right: the bias changes the accuracy of the uncut network by {glue:text}`A3-compression/bias-uncut:.1%`. With one direction less and centring,
{glue:text}`A3-compression/bias-centred:.0%` is left at a bias of {glue:text}`A3-compression/bias:d` deviations; without centring {glue:text}`A3-compression/bias-uncentred:.0%` (recorded {recorded}`A3-compression/bias-centred` and
{recorded}`A3-compression/bias-uncentred`). Random matrices scatter without any bias, too, down to {glue:text}`A3-compression/unbiased-random-lowest:.0%` (recorded
{recorded}`A3-compression/unbiased-random-lowest`). The same ones at the largest bias reach from {glue:text}`A3-compression/bias-random-lowest:.0%` to
{glue:text}`A3-compression/bias-random-highest:.0%` (recorded {recorded}`A3-compression/bias-random-lowest` to {recorded}`A3-compression/bias-random-highest`): a matrix that happens to miss
the mean costs much, another little. So a single draw may give {published}`A3-compression/act2-random-63` with one channel less, and another {published}`A3-compression/act2-random-62` with
two. Whether the mean in the stem of the ALP network is so large we cannot see. We see only that such a mean would do it.

## The document's numbers and ours
"""

# %% tags=["hide-input"]
report.table("A0", "A3", "A4")

# %% [markdown]
r"""
## When it breaks

**One network, one training.** Each profile has a single network. The spread over draws is that of random directions, not of networks.

**Two layers.** The recorded run cuts only two layers. The earlier ones have tens of thousands of values, too many for a full PCA.

**Another network.** Ours is shallower, was not trained against attacks and sees fewer classes. A robust network may need more directions, or
others. What carries over is the mechanism: the energy line does not depend on a network at all.

**A linear cut.** PCA finds straight directions of large variance. A direction of small variance can matter, and adversaries look for just those:
accuracy on clean images says nothing about attacked ones.

**Few images.** With fewer images than directions, the last directions of PCA are arbitrary. The recorded run fits PCA on training images of
all classes for that reason, also of those that its network never learned.

:::{admonition} What we learned
:class: important
- Both published layer tables are right.
- A few hundredths of a layer's directions are enough, if PCA on the trained network chooses them and they are applied in the same order.
- In a wrong order, PCA is nearly a random projection: it keeps about $k / n$ of the energy. Without centring, the accuracy then collapses
  as in the published table.
- Forgetting the mean costs nothing with the right directions, and much where a dropped direction holds the mean.
- "The earlier layer is more sensitive" holds for PCA, but not at the shares that were published. It needs far smaller ones.
:::

## Exercises

```{exercise}
:label: ex-compression-noise
**Is it better?** (3 minutes). One row of the document exceeds its baseline: {published}`A3-compression/act2-random-63` against {published}`A3-compression/baseline`, on 10,000 images.
Return by how many standard deviations an accuracy $b$ exceeds an accuracy $a$, taking the deviation of $a$. Then put the document's
numbers in. Is it more than chance?
```
"""


# %% tags=["exercise"]
def deviations(a, b, n):
    """Return by how many standard deviations an accuracy b exceeds an accuracy a, for n images."""
    return (b - a) * n  # a difference in images


scores = [deviations(0.5, 0.51, 10_000), deviations(0.9, 0.91, 900)]
report.check("ex-compression-noise", np.allclose(scores, [2, 1]), "Divide by the deviation of a.")


# %% tags=["solution"]
def deviations(a, b, n):
    """Return by how many standard deviations an accuracy b exceeds an accuracy a, for n images."""
    return (b - a) / (a * (1 - a) / n) ** 0.5


scores = [deviations(0.5, 0.51, 10_000), deviations(0.9, 0.91, 900)]
report.check("ex-compression-noise", np.allclose(scores, [2, 1]), "Divide by the deviation of a.")

# %% [markdown]
r"""
```{exercise}
:label: ex-compression-order
**The other order** (5 minutes). A map in NumPy has the axes height, width, channel, and `ravel` lets the last axis run fastest. Flatten it as
MATLAB does.
```
"""

# %% tags=["exercise"]
h, w, c = 2, 3, 4
values = np.arange(h * w * c).reshape(h, w, c)


def matlab(x):
    """Return a map (h, w, c) as MATLAB flattens it: the height runs fastest, the channel slowest."""
    return x.ravel()  # the channel runs fastest, as in TensorFlow


passed = matlab(values).tolist() == values.ravel(order="F").tolist()
report.check("ex-compression-order", passed, "Which axis must come last before ravel()?")


# %% tags=["solution"]
def matlab(x):
    """Return a map (h, w, c) as MATLAB flattens it: the height runs fastest, the channel slowest."""
    return x.transpose(2, 1, 0).ravel()


passed = matlab(values).tolist() == values.ravel(order="F").tolist()
report.check("ex-compression-order", passed, "Which axis must come last before ravel()?")

# %% [markdown]
r"""
```{exercise}
:label: ex-compression-centre
**What the missing mean costs** (5 minutes). A layer with centring gives $\mu + (x - \mu) P P^\top$, one without $x P P^\top$. Return
their difference for a mean and directions $P$, here called `cut`. It is the same for every $x$.
```
"""

# %% tags=["exercise"]
x = torch.from_numpy(stored).to(device)
mean, cut = channels.mean.float(), directions[:, : n_channels // 2]
layers_of = [compress.Projection(cut, mean=m, axis="channels") for m in (mean, None)]
truth = (layers_of[0](x) - layers_of[1](x)).mean((0, 2, 3))


def lost(mean, cut):
    """Return what a layer without centring takes away from each activation, beyond a centred one."""
    return mean  # all of the mean


passed = torch.dist(lost(mean, cut), truth) < 1e-3 * mean.norm()
report.check("ex-compression-centre", passed, "Which part of the mean do the directions hold?")


# %% tags=["solution"]
def lost(mean, cut):
    """Return what a layer without centring takes away from each activation, beyond a centred one."""
    return mean - cut @ (cut.T @ mean)


passed = torch.dist(lost(mean, cut), truth) < 1e-3 * mean.norm()
report.check("ex-compression-centre", passed, "Which part of the mean do the directions hold?")

# %% [markdown]
r"""
```{exercise}
:label: ex-compression-second-moment
**A layer that needs no mean** (10 minutes). Suppose that the layer cannot centre. Which directions should one give it, so that the biased network
keeps its mean with one direction less? Ordinary PCA orders directions by the variance around the mean. If one leaves the mean in, it orders them by their mean
square, so that a large mean becomes a direction of its own. Look up the arguments of `covariance.pca`. `biased` holds the mean and the covariance of the biased stem.
```
"""

# %% tags=["exercise"]
shift = SIZES[-1] * scale * directions[:, -1].double()
biased = channels._replace(mean=channels.mean + shift)


def repaired(moments):
    """Return directions that serve a layer without centring."""
    return covariance.pca(moments)  # the same as before


basis = repaired(biased).components[:, : n_channels - 1]
passed = torch.dist(basis @ (basis.T @ biased.mean), biased.mean) < 0.1 * biased.mean.norm()
report.check("ex-compression-second-moment", passed, "Which argument of pca leaves out the mean?")


# %% tags=["solution"]
def repaired(moments):
    """Return directions that serve a layer without centring."""
    return covariance.pca(moments, centred=False)


basis = repaired(biased).components[:, : n_channels - 1]
passed = torch.dist(basis @ (basis.T @ biased.mean), biased.mean) < 0.1 * biased.mean.norm()
report.check("ex-compression-second-moment", passed, "Which argument of pca leaves out the mean?")

# %% [markdown]
r"""
## Go further

- Raghu and colleagues {cite:p}`raghu-2017-svcca` also project layers onto few directions. They choose those that two networks share.
- Ansuini and colleagues {cite:p}`ansuini-2019` count the dimensions of a layer without assuming that they are straight.
- Johnson and Lindenstrauss {cite:p}`johnson-1984` say what random directions are good for: not accuracy, but distances.
- The next question of the wiki page is in [](#ch-similarity): do classes draw together with depth?

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
