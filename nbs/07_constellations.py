# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-constellations)=
# Which images does a layer put together?

**Those that point the same way. Before training the {term}`Hamming distance` is an angle and nothing else; training bends it towards the classes, so that neighbours get a meaning. Separate groups do not form.
A distance that knows the classes tells whether a layer has learned; none that we tried tells how much it adds.**

```{figure} ../results/real/07_constellations/fig-constellations-neighbours.webp
:name: fig-constellations-hero
:alt: Rows of small photographs. The first of each row is a query, ten neighbours follow; blue frames mark those of its class.

What you will be able to draw: images and their ten nearest by Hamming distance, before and after training. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Say what the {term}`Hamming distance` of {term}`patterns <pattern>` measures before training, and what training adds.
- Find {term}`constellations <constellation>` exactly, from two clusterings, and compare them with what coins give.
- Judge a distance by its neighbours, against the right baseline.
- Measure what a layer adds, with classes and without, and see through a correlation that only shows where a layer stands.

**You need** the chapter [](#ch-embeddings) and some PyTorch. **Time:** 35 minutes to read, one minute to run. **Document:** the questions on page one of the
"Study on Activation Patterns" {cite:p}`swiniarski-patterns`, "Do we see constellations?" and "Semantic Meaning of Hamming Distance". **Data:** shapes that `actlib` draws; in the recorded run CIFAR-10 {cite:p}`krizhevsky-2009`.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
pictures, n_learn, n_held_out = "shapes", 3000, 1000
width, n_seeds = 256, 3
# networks with three layers, from as many starts at each width; the last width is the document's
widths, n_deep_seeds = [64, 128, 256], 2
epochs, learning_rate, batch_size = 8, 0.03, 64
# images that are grouped, a multiple of 20, and halves of them that tell the spread
n_elements, n_halves = 2000, 10
n_queries, n_wide = 1000, 2048
# held-out images whose distances are compared, pairs of them, and images that fit a probe
n_look, n_pairs, n_probe = 800, 10_000, 2000

# %% tags=["hide-input"]
import functools

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    capture,
    checkpoints,
    constellations,
    data,
    linkage,
    models,
    patterns,
    plots,
    report,
    statistics,
    train,
)
from scipy import stats
from scipy.spatial.distance import cdist
from torch.nn.functional import normalize, one_hot, pad

report.start("07_constellations", profile=profile, seed=seed, device=device)
rng = np.random.default_rng(seed)
generator = torch.Generator().manual_seed(seed)

# %% [markdown]
r"""
## The networks and a distance

A {term}`pattern` $a_l(x)$ says for each {term}`unit` of layer $l$ whether it is active for the image $x$. The study compares two images by the number of units in which their patterns differ, the {term}`Hamming distance`:

$$
d_l(x, x') = \lVert a_l(x) - a_l(x')\rVert_1 .
$$

Its networks are fully connected, with one or three hidden layers of {published}`S2.4-nn-hamming/units` units. Ours on this page learn ten drawn shapes from {glue:text}`S2.3.2-constellations/images:,` images in
{glue:text}`S2.3.2-constellations/epochs` epochs; in the recorded run CIFAR-10 from {recorded}`S2.3.2-constellations/images` images in {recorded}`S2.3.2-constellations/epochs` epochs. (Handwritten digits would not do here: their pixels alone tell which digit it is.) We keep
each network as it was before training, too.
"""

# %%
learn = data.load(pictures, "train", n=n_learn)
held_out = data.load(pictures, "test", n=n_held_out)
images, labels = learn.images.to(device), learn.labels.to(device)
recipe = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}


def drawn(part, n):
    """Return n images at most, in an order of chance: of equal distances the first one counts."""
    some = part.sample(min(n, len(part.labels)), seed)
    return some.subset(torch.as_tensor(rng.permutation(len(some.labels))))


def pair_of(widths, seed):
    """Return a network before and after training."""
    shape = tuple(learn.images.shape[1:])
    build = functools.partial(models.mlp, widths, len(learn.classes), input_shape=shape)
    fitted = checkpoints.load_or_fit("patterns-mlp", build, images, labels, seed=seed, **recipe)
    return build(generator=torch.Generator().manual_seed(seed)).to(device), fitted.model


look = drawn(held_out, n_look)
shallow = [pair_of([width], seed + k) for k in range(n_seeds)]
deep = {w: [pair_of([w] * 3, seed + k) for k in range(n_deep_seeds)] for w in widths}


def spaces_of(network, images, layers=("flat", "relu")):
    """Return what enters the first layer, and what each ReLU gives: (n, d) each."""
    names = [name for name, _ in network.named_children() if name.startswith(layers)]
    found = capture.collect(network, images, names, progress=False)
    return [torch.from_numpy(found[name]).to(device) for name in names]


# %% tags=["remove-cell"]
STAND_IN = None if pictures == "cifar10" else "CIFAR-10"
states = ("untrained", "trained")
COLOURS = {
    "untrained": "C1",
    "trained": "C0",
    "fair coins": "C2",
    "rare coins": "C3",
    "planted groups": "C4",
}


def source(what):
    """Say where the numbers that follow come from."""
    report.source(f"{pictures}, {what}", stand_in=STAND_IN)


def over(values):
    """Return mean and spread over networks as a number's value and spread."""
    values = np.asarray(values, dtype=float)
    return {"value": float(values.mean()), "spread": float(values.std(ddof=1)), "n": len(values)}


# fmt: off
source(f"{len(held_out.labels):,} held-out images")
accuracies = [np.array([train.accuracy(net, held_out.images, held_out.labels.to(device)) for _, net in both]) for both in (shallow, deep[widths[-1]])]
report.number("S2.3.2-constellations/accuracy", **over(accuracies[0]), unit="share", tol=0.04, label="accuracy of the network with one hidden layer")
report.number("S1-Q6-ham-vs-l2/accuracy", **over(accuracies[1]), unit="share", tol=0.04, label="accuracy of the network with three hidden layers")
report.number("S2.3.2-constellations/epochs", epochs, tol=0)
report.number("S2.3.2-constellations/images", len(learn.labels), tol=0)
report.number("S2.3.2-constellations/networks", n_seeds, tol=0)
report.number("S1-Q6-ham-vs-l2/networks", n_deep_seeds, tol=0)
# fmt: on

# %% [markdown]
r"""
With one hidden layer they classify {glue:text}`S2.3.2-constellations/accuracy:.1%` of the held-out images correctly, with three {glue:text}`S1-Q6-ham-vs-l2/accuracy:.1%` (recorded
{recorded}`S2.3.2-constellations/accuracy` and {recorded}`S1-Q6-ham-vs-l2/accuracy`).

## Before training it is an angle

A unit cuts its inputs with a {term}`hyperplane`, and two inputs differ in it if they lie on different sides. A random hyperplane through the origin parts two inputs at an angle $\theta$ with the probability
$p = \theta / \pi$ {cite:p}`goemans-1995`; {prf:ref}`thm-patterns-angle` proves it. It asks for weights without a preferred direction; PyTorch's
are uniform numbers, which come close where there are many of them. PyTorch draws a bias from the same law as a weight, so it acts as the weight of one more input that is always one. With $u$ units
the distance, as a share of the units, has the mean $p$ and the standard deviation $\sqrt{p (1 - p) / u}$, and nothing else is in it. That holds in each layer, with what enters this layer as the input.

:::{admonition} Guess first
:class: tip
After training, will the distance still be the angle between the inputs of a layer? And which distance of the *{term}`activations <activation>`* orders pairs as the Hamming distance does: the Euclidean one ($L_2$), for which the study asks, or the cosine?
:::
"""


# %%
def shares(x, pairs):
    """Return the share of units in which the patterns of the pairs differ."""
    return patterns.pair_distances(capture.pack(x > 0), pairs) / x.shape[1]


def angles(x, pairs):
    """Return the angle between the two of each pair as a share of pi, with a one for the bias."""
    a, b = pad(x, (0, 1), value=1.0)[pairs].unbind(1)
    return torch.cosine_similarity(a, b).clamp(-1, 1).arccos() / torch.pi


def apart(x, pairs):
    """Return the Euclidean and the cosine distance of the two of each pair."""
    a, b = x[pairs].unbind(1)
    return (a - b).norm(dim=1), 1 - torch.cosine_similarity(a, b)


first = torch.as_tensor(rng.integers(n_look, size=n_pairs))
other = torch.as_tensor(rng.integers(1, n_look, size=n_pairs))
pairs = torch.stack([first, (first + other) % n_look], dim=1).to(device)  # never one with itself
found = [[spaces_of(net, look.images) for net in both] for both in deep[widths[-1]]]

# %% tags=["hide-input"]
frames = []
for state, spaces in zip(states, found[0], strict=True):
    for k in (1, 2, 3):
        angle, share = (
            f.cpu().numpy() for f in (angles(spaces[k - 1], pairs), shares(spaces[k], pairs))
        )
        bins = np.array_split(angle.argsort(), 25)
        x, y = (np.array([v[b].mean() for b in bins]) for v in (angle, share))
        low, high = (np.array([np.quantile(share[b], q) for b in bins]) for q in (0.1, 0.9))
        off = np.sqrt(((share - angle) ** 2).mean())
        frames.append(
            report.Frame(
                f"layer {k}, {state}",
                f"Layer {k}, {state}: over angles from {x[0]:.2f} to {x[-1]:.2f} pi the mean distance goes from {y[0]:.2f} to {y[-1]:.2f}, "
                f"{'along' if np.abs(y - x).max() < 0.06 else 'off'} the prediction.",
                curves={
                    "predicted": (x, x),
                    "measured, mean": (x, y),
                    "one pair in ten is below": (x, low),
                    "one pair in ten is above": (x, high),
                },
                note=f"off the prediction by {off:.3f} (root mean square)",
            )
        )

# %% tags=["hide-input"]
source(f"{n_pairs:,} pairs of {n_look:,} held-out images; layers of {widths[-1]} units")
report.frames(
    frames,
    name="fig-constellations-angle",
    caption="The Hamming distance of pairs of images, as a share of the units, over the angle between what enters the layer. Move the slider through the layers, before and after training.",
    xlabel="angle between the inputs of the layer / pi",
    ylabel="share of units that differ",
)

# %%
kinds = {"L2": 0, "cosine": 1}


def agreement(x, pairs):
    """Return the rank correlations of the Hamming distance with the Euclidean and the cosine one."""
    share = shares(x, pairs).cpu().numpy()
    return [statistics.spearman(share, d.cpu().numpy()) for d in apart(x, pairs)]


# networks, states, layers, kinds
ranks = np.array([[[agreement(x, pairs) for x in s[1:]] for s in both] for both in found])

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained", sharey=True)
for j, (ax, state) in enumerate(zip(axes, states, strict=True)):
    for name, i in kinds.items():
        ax.plot((1, 2, 3), ranks[:, j, :, i].mean(0), marker="os"[i], label=name)
        for one in ranks[:, j, :, i]:
            ax.plot((1, 2, 3), one, color=f"C{i}", lw=0.6, alpha=0.6)
    ax.set(xticks=(1, 2, 3), xlabel="layer", ylim=(0, 1.03))
    ax.set_title(state, fontsize="small")
axes[0].set_ylabel("rank correlation\nwith the Hamming distance")
axes[0].legend(loc="lower left", fontsize="small", title="distance of the activations")
report.figure(
    fig,
    name="fig-constellations-ranks",
    caption=f"Rank correlation of the Hamming distance with two distances of the activations, over {n_pairs:,} pairs: {n_deep_seeds} networks (thin) and their mean.",
    alt=f"Cosine above L2 in both panels. Untrained, the cosine falls over three layers from {ranks[:, 0, 0, 1].mean():.2f} to {ranks[:, 0, 2, 1].mean():.2f}; "
    f"trained, it stands at {ranks[:, 1, 2, 1].mean():.2f} in the last layer, L2 at {ranks[:, 1, 2, 0].mean():.2f}.",
)


# %% tags=["remove-cell"]
def law(spaces, k):
    """Return how far distances are off the angle, in units of what so many independent units would give."""
    angle, share = angles(spaces[k - 1], pairs), shares(spaces[k], pairs)
    expected = (angle * (1 - angle)).mean() / spaces[k].shape[1]
    return float(((share - angle).square().mean() / expected).sqrt())


# fmt: off
for j, state in enumerate(states):
    for k in (1, 2, 3):
        for name, i in kinds.items():
            report.number(f"S1-Q6-ham-vs-l2/{name.lower()}-{k}-{state}", **over(ranks[:, j, k - 1, i]), tol=0.08)
        ratio = over([law(both[j], k) for both in found])
        settled = {"theory": 1, "agree": 0.35, "label": f"distance from the angle law, untrained, layer {k} / what {widths[-1]} units explain",
                   "note": "one: the distance is the angle and noise"} if state == "untrained" else {"label": None}
        report.number(f"S1-Q6-ham-vs-l2/law-{k}-{state}", **ratio, tol=0.3 if j == 0 else 2, **settled)
mean = ranks.mean((0, 2))
shuffled = statistics.spearman(shares(found[0][1][3], pairs).cpu().numpy(), apart(found[0][1][3], pairs)[0].cpu().numpy()[rng.permutation(n_pairs)])
report.number("S1-Q6-ham-vs-l2/l2", **over(ranks[:, 1, :, 0].mean(1)), tol=0.06, agree=(0.3, 1), label="rank correlation with L2, trained, mean of the layers",
              note="it can be compared, but the cosine is nearer")
report.number("S1-Q6-ham-vs-l2/cosine", **over(ranks[:, 1, :, 1].mean(1)), tol=0.05, label="rank correlation with the cosine, trained, mean of the layers")
report.number("S1-Q6-ham-vs-l2/l2-shuffled", shuffled, tol=0.05, label="rank correlation with L2, pairs shuffled, last layer")
report.number("S1-Q6-ham-vs-l2/cosine-over-l2", **over((ranks[:, 0, :, 1] - ranks[:, 0, :, 0]).mean(1)), tol=0.06, label="rank correlation with the cosine less that with L2, untrained, mean of the layers")
# fmt: on

# %% [markdown]
r"""
**What to notice.** Before training the distances follow the angle in all three layers. How far they are off it is what so many independent units explain, times {glue:text}`S1-Q6-ham-vs-l2/law-1-untrained:.2f`,
{glue:text}`S1-Q6-ham-vs-l2/law-2-untrained:.2f` and {glue:text}`S1-Q6-ham-vs-l2/law-3-untrained:.2f` (recorded {recorded}`S1-Q6-ham-vs-l2/law-1-untrained`, {recorded}`S1-Q6-ham-vs-l2/law-2-untrained` and
{recorded}`S1-Q6-ham-vs-l2/law-3-untrained`). After training they leave it, by
{glue:text}`S1-Q6-ham-vs-l2/law-1-trained:.1f`, {glue:text}`S1-Q6-ham-vs-l2/law-2-trained:.1f` and {glue:text}`S1-Q6-ham-vs-l2/law-3-trained:.1f` times as much (recorded {recorded}`S1-Q6-ham-vs-l2/law-1-trained`,
{recorded}`S1-Q6-ham-vs-l2/law-2-trained` and {recorded}`S1-Q6-ham-vs-l2/law-3-trained`).

So the answer to the study's question is: the distance can be compared with $L_2$, but it *is* more like the cosine. In trained networks the rank correlation with $L_2$ is {glue:text}`S1-Q6-ham-vs-l2/l2:.2f` on average (recorded
{recorded}`S1-Q6-ham-vs-l2/l2`), with the cosine {glue:text}`S1-Q6-ham-vs-l2/cosine:.2f` (recorded {recorded}`S1-Q6-ham-vs-l2/cosine`), and with pairs shuffled {glue:text}`S1-Q6-ham-vs-l2/l2-shuffled:.2f`. A pattern does not know how
long a vector is.

## Constellations

The study defines a {term}`constellation` as a group of images "whose maximum distance between two elements of the same cluster is below a threshold", while every other image is farther away than the threshold from each of them. Draw a line between any two
images that are at most $t$ apart: a constellation is a connected part of this graph in which all are joined to all, in other words a component that is a clique. To count such groups the study takes a hierarchical clustering and counts clusters. It does not say with which linkage, and it matters: {term}`complete linkage` keeps the first half of the definition, {term}`single linkage` the second.
"""

# %% tags=["hide-input"]
heaps = (4, 0.35, (0, 0)), (3, 0.3, (3.4, 0.4)), (5, 0.7, (1.3, 3.2)), (2, 0.3, (4.6, 3.2))
dots = np.concatenate([rng.normal(size=(m, 2)) * sd + place for m, sd, place in heaps])
distance = np.rint(100 * cdist(dots, dots)).astype(np.int64)
toy = constellations.Trees(
    linkage.complete(distance), linkage.single(distance), int(distance.max())
)
report.source(f"{len(dots)} planted points in a plane")
shown, told = (60, 150, 260), []
fig, axes = plt.subplots(1, 3, figsize=(7, 2.7), layout="constrained")
for ax, t in zip(axes, shown, strict=True):
    member = constellations.members(toy, t)
    for i, j in np.argwhere(np.triu(distance <= t, 1)):
        ax.plot(*dots[[i, j]].T, color=f"C{0 if member[i] >= 0 else 1}", lw=0.8)
    ax.scatter(*dots.T, c=np.where(member >= 0, "C0", "w"), edgecolor="k", zorder=3, s=30)
    ax.set_title(f"threshold {t / 100:g}", fontsize="small")
    ax.set(xticks=[], yticks=[], aspect="equal")
    told.append(member.max() + 1)
report.figure(
    fig,
    name="fig-constellations-definition",
    caption="Points of a plane; a line joins two that are no farther apart than the threshold. Constellations are filled and blue: all joined to all, and to nobody else. Orange lines belong to groups that are none.",
    alt=f"Three panels with {len(dots)} dots. The growing threshold draws more lines; {told[0]}, {told[1]} and {told[2]} groups are blue and filled, the others are joined by orange lines or stand alone.",
)


# %%
def by_definition(distances, threshold):
    """Return the constellations of two or more, read from the matrix (n, n) of distances."""
    near = distances <= threshold
    around = [frozenset(np.flatnonzero(row)) for row in near]
    return {g for g in around if len(g) > 1 and all(around[i] == g for i in g)}


def from_members(trees, threshold):
    """Return the same from the two trees."""
    found = constellations.members(trees, threshold)
    return {frozenset(np.flatnonzero(found == g)) for g in range(found.max() + 1)}


small = capture.pack(torch.rand(120, 24, generator=generator) < 0.5)
matrix, grown = patterns.matrix(small).numpy(), constellations.trees(small)
same = [by_definition(matrix, t) == from_members(grown, t) for t in range(25)]

# %% [markdown]
r"""
Together they give the whole definition:

:::{prf:theorem} Two clusterings
:label: thm-constellations-two
Cut the trees of complete and of single linkage at a threshold $t$. A group of two or more is a constellation at $t$ if and only if it is a cluster of both.
:::

:::{prf:proof}
A cluster of complete linkage has no inner distance above $t$, and a cluster of single linkage has no outsider within $t$: a group that is both is a constellation.

Let now $C$ be a constellation. Single linkage cut at $t$ gives the connected parts of the graph that joins all pairs at most $t$ apart; $C$ is all joined and joined to nobody else, so it is one of them.

Complete linkage never joins members of $C$ with others up to $t$, since one distance would be above $t$. Two parts of $C$ can be joined at $t$ or below, and at $t$ no such two clusters are left. So $C$ is a cluster.
:::

The cell above takes the definition at its word. Both agree at {glue:text}`S2.3.2-constellations/definition:.0%` of the thresholds. Every count below is exact.

## What coins do

How many constellations are many? Throw {glue:text}`S2.3.2-constellations/elements:,` patterns with fair coins (the recorded run {recorded}`S2.3.2-constellations/elements`, as many as the study). Their distances follow the binomial law. With $F(t)$ for the
probability of a distance of at most $t$ one expects $\binom n2 F(t)$ pairs within $t$. Such a pair is a constellation if neither of the two finds anybody else, so of pairs alone one expects about

$$
\binom n2 F(t) \, (1 - F(t))^{2 (n - 2)} .
$$

This is highest where $F(t) = 1 / 2n$, and there it is $n / 4e$, whatever the number of units.

:::{admonition} Guess first
:class: tip
The study proposes the integral of its curve as a score: "the lower the integral the more constellations are created". Which set will have most of them: the untrained network, the trained one, fair coins, or *rare* coins, which show heads
one time in ten?
:::
"""


# %%
def coins(n, n_bits, p=0.5):
    """Return patterns of coins that show heads with probability p."""
    return capture.pack(torch.rand(n, n_bits, generator=generator) < p)


def planted(n, n_bits, size=20, flipped=0.06):
    """Return groups of patterns that are a random one of each group, but for a few bits."""
    centres = torch.rand(n // size, n_bits, generator=generator) < 0.5
    flips = torch.rand(n, n_bits, generator=generator) < flipped
    return capture.pack(centres.repeat_interleave(size, 0) ^ flips)


def bits_of(network, images):
    """Return the patterns of the first hidden layer, packed."""
    return capture.collect(network, images, ["relu1"], dtype="bits", progress=False)["relu1"]


elements = drawn(learn, n_elements)
sets = dict(zip(states, (bits_of(net, elements.images) for net in shallow[0]), strict=True))
sets |= {"fair coins": coins(n_elements, width), "rare coins": coins(n_elements, width, 0.1)}
sets["planted groups"] = planted(n_elements, width)
grown = {name: constellations.trees(packed) for name, packed in sets.items()}
curves = {name: constellations.curves(trees) for name, trees in grown.items()}

# %% tags=["hide-input"]
within = stats.binom(width, 0.5).cdf(np.arange(width + 1))  # F(t)
n_within = n_elements * (n_elements - 1) / 2 * within
isolated = n_within * (1 - within) ** (2 * (n_elements - 2))
last = int(0.6 * width)  # beyond, everything is one
peaks = {name: int(c.exact[:last].max()) for name, c in curves.items()}
source(f"{n_elements:,} training images; one layer of {width} units")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.6))
for name, curve in curves.items():
    axes[0].plot(curve.complete / n_elements, color=COLOURS[name], label=name)
    axes[1].plot(curve.exact[:last] / n_elements, color=COLOURS[name])
start = n_within < 0.25 * n_elements
axes[0].plot(
    np.flatnonzero(start),
    1 - n_within[start] / n_elements,
    "k--",
    lw=1.2,
    label="coins, expected",
)
axes[1].plot(isolated[:last] / n_elements, "k--", lw=1.2)
axes[0].set(xlabel="threshold", ylabel="clusters / images")
axes[1].set(xlabel="threshold", ylabel="constellations / images", ylim=(0, None))
fig.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=3, fontsize="small")
fig.tight_layout(rect=(0, 0.13, 1, 1))
report.figure(
    fig,
    name="fig-constellations-curves",
    caption="Left: clusters of complete linkage at each threshold, the document's curve. Right: constellations of two or more, by the exact definition. Dashed: expected of fair coins.",
    alt=f"Left: curves fall, fair coins last and steepest. Right: hills; fair coins rise to {peaks['fair coins']:,} constellations along the dashed curve, trained to {peaks['trained']:,}, "
    f"untrained to {peaks['untrained']:,}, rare coins to {peaks['rare coins']:,}; planted groups keep {peaks['planted groups']:,}.",
)


# %% tags=["hide-input"]
def shuffled_units(packed):
    """Return patterns in which the bits of each unit are shuffled among the images."""
    bits = torch.as_tensor(capture.unpack(packed.words, packed.n_bits))
    return capture.pack(bits.gather(0, torch.rand(bits.shape, generator=generator).argsort(0)))


def score(curve):
    """Return the document's score: the integral of the clusters of complete linkage, as a share of its most."""
    return constellations.score(curve.complete, n_elements)


def plateau(counts):
    """Return over how many thresholds a number of clusters, ten at least, falls by a tenth at most."""
    begins = np.flatnonzero((counts <= n_elements / 2) & (counts >= 10))
    return max(int(np.flatnonzero(counts >= max(10, 0.9 * counts[b])).max() - b) for b in begins)


def curves_of(packed):
    """Return the curves of a set of patterns."""
    return constellations.curves(constellations.trees(packed))


def spread_of(packed):
    """Return the standard deviation of the score, by halves of the patterns."""
    found = constellations.bootstrap(packed, n_halves, generator=generator)
    return float(found.complete.std(ddof=1))


# %% tags=["hide-input"]
by_seed = [[curves[state] for state in states]]
by_seed += [[curves_of(bits_of(net, elements.images)) for net in both] for both in shallow[1:]]
scores = np.array([[score(c) for c in both] for both in by_seed])
highest = np.array([[c.exact[:last].max() for c in both] for both in by_seed])
halves = {state: spread_of(sets[state]) for state in states}
loose = {state: score(curves_of(shuffled_units(sets[state]))) for state in states}

# %% tags=["remove-cell"]
# fmt: off
counts = patterns.histogram(sets["fair coins"]).cumsum(0).numpy()
where = int(np.flatnonzero(n_within >= 100)[0])
ends = {name: int(np.flatnonzero(c.complete == 1)[0]) for name, c in curves.items()}
report.number("S2.3.2-constellations/elements", n_elements, tol=0)
report.source(f"{n_elements:,} patterns of fair coins")
report.number("S2.3.2-constellations/definition", float(np.mean(same)), tol=0, theory=1, agree=0,
              label="thresholds at which the two clusterings give what the definition says (120 patterns of coins)", unit="share")
report.number("S2.3.2-constellations/null-threshold", where, tol=0)
report.number("S2.3.2-constellations/null-expected", float(n_within[where]), tol=1)
report.number("S2.3.2-constellations/null-found", int(counts[where]), tol=60)
report.number("S2.3.2-constellations/null-first", int(np.flatnonzero(n_within >= 1)[0]), tol=0)
report.number("S2.3.2-constellations/null-last", width - int(np.flatnonzero(n_within >= 1)[0]), tol=0)
report.number("S2.3.2-constellations/coins-last", ends["fair coins"], tol=10)
report.number("S2.3.2-constellations/coins-peak", peaks["fair coins"] / n_elements, tol=0.02, theory=1 / (4 * np.e), agree=0.02,
              label="constellations of fair coins at the best threshold / images", note="1 / (4 e), whatever the number of units")
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
source(f"{n_elements:,} training images; one layer of {width} units")
for name in sets:
    key = name.replace(" ", "-")
    report.number(f"S2.3.2-constellations/peak-{key}", peaks[name], tol=0.4 * peaks[name] + 3)
    report.number(f"S2.3.2-constellations/at-{key}", int(curves[name].exact[:last].argmax()), tol=12)
    report.number(f"S2.3.2-constellations/score-{key}", score(curves[name]), tol=0.03, spread=halves.get(name),
                  **({"label": f"integral of the curve, {name}"} if name in states else {}))
for name in ("trained", "planted groups"):
    report.number(f"S2.3.2-constellations/plateau-{name.split()[0]}", plateau(curves[name].complete), tol=8)
for state in states:
    report.number(f"S2.3.2-constellations/relative-{state}", score(curves[state]) / loose[state], tol=0.05,
                  label=f"integral / integral with units shuffled, {state}")
report.number("S2.3.2-constellations/gathered", curves["trained"].gathered[curves["trained"].exact[:last].argmax()] / n_elements, unit="share", tol=0.03,
              label="images in a constellation at the best threshold, trained")
report.number("S2.3.2-constellations/fell", **over(scores[:, 1] - scores[:, 0]), tol=0.03, label="integral, trained less untrained")
report.number("S2.3.2-constellations/lower", **over(highest[:, 1] / highest[:, 0]), tol=1.5, agree=(1.1, 100),
              label="constellations, trained / untrained, where the integral falls", note="in training both go together")
report.number("S2.3.2-constellations/lower-everywhere", statistics.spearman(np.array([score(c) for c in curves.values()]), np.array([*peaks.values()])), tol=0.5,
              agree=(-1, -0.5), label=f"rank correlation of integral and constellations, {len(curves)} sets", note="rare coins have a low integral and no groups, fair coins a high one and many")
# fmt: on

# %% [markdown]
r"""
**What to notice.** Fair coins behave as computed. One expects {glue:text}`S2.3.2-constellations/null-expected:.0f` pairs within {glue:text}`S2.3.2-constellations/null-threshold` and finds
{glue:text}`S2.3.2-constellations/null-found` (recorded {recorded}`S2.3.2-constellations/null-expected` and {recorded}`S2.3.2-constellations/null-found`). The first pair is due at a threshold of {glue:text}`S2.3.2-constellations/null-first`, and by symmetry the last two clusters join near
{glue:text}`S2.3.2-constellations/null-last`; they do at {glue:text}`S2.3.2-constellations/coins-last` (recorded {recorded}`S2.3.2-constellations/null-first`,
{recorded}`S2.3.2-constellations/null-last` and {recorded}`S2.3.2-constellations/coins-last`). At the best threshold
{glue:text}`S2.3.2-constellations/coins-peak:.3f` constellations an image are left (recorded {recorded}`S2.3.2-constellations/coins-peak`), near $1 / 4e$. These are pairs by chance, and nobody would call them a group.

During training the study's sentence holds. The integral goes from {glue:text}`S2.3.2-constellations/score-untrained:.3f` to {glue:text}`S2.3.2-constellations/score-trained:.3f` (recorded
{recorded}`S2.3.2-constellations/score-untrained` and {recorded}`S2.3.2-constellations/score-trained`; by halves of the images its standard deviation is about a hundredth of that or less), and there are
{glue:text}`S2.3.2-constellations/lower:.1f` times as many constellations, on average over the networks (recorded {recorded}`S2.3.2-constellations/lower`).

As a score it does not hold. Fair coins have the highest integral and {glue:text}`S2.3.2-constellations/peak-fair-coins:,` constellations, far more than the trained network with
{glue:text}`S2.3.2-constellations/peak-trained:,` (recorded {recorded}`S2.3.2-constellations/peak-fair-coins` and {recorded}`S2.3.2-constellations/peak-trained`). Rare coins have a low integral,
{glue:text}`S2.3.2-constellations/score-rare-coins:.3f`, and {glue:text}`S2.3.2-constellations/peak-rare-coins` constellations: all their patterns are close, for no other reason than that units are seldom active. Over the five sets the
rank correlation of both is {glue:text}`S2.3.2-constellations/lower-everywhere:.2f` (recorded {recorded}`S2.3.2-constellations/lower-everywhere`), where the sentence asks for minus one. A better score divides by what the same units give when their bits are shuffled
among the images. It is one for any coins; untrained it is {glue:text}`S2.3.2-constellations/relative-untrained:.2f`, trained {glue:text}`S2.3.2-constellations/relative-trained:.2f` (recorded {recorded}`S2.3.2-constellations/relative-untrained` and
{recorded}`S2.3.2-constellations/relative-trained`).

The study also says what it hopes for: a number of clusters that does not change for a while. Planted groups show it, over {glue:text}`S2.3.2-constellations/plateau-planted` thresholds. In the trained network it lasts
{glue:text}`S2.3.2-constellations/plateau-trained` (recorded {recorded}`S2.3.2-constellations/plateau-trained`). At its best threshold only {glue:text}`S2.3.2-constellations/gathered:.1%` of the images are in a constellation (recorded
{recorded}`S2.3.2-constellations/gathered`). Do we see constellations? Nearly all are pairs, more of them than at the start, and large ones do not form.

## Are groups classes?

Groups far apart "would have semantic meaning", hopes the study. {term}`Purity <purity>` is the share of images that are of the commonest class of their cluster. It grows by itself with the number of clusters, so it needs controls that have as many. The
{term}`adjusted Rand index` {cite:p}`hubert-1985` subtracts chance.
"""

# %% tags=["hide-input"]
sizes = np.geomspace(n_elements / 4, 5, 14).astype(int)[::-1]


def along(trees, curve, labels):
    """Return number of clusters, purity and adjusted Rand index at some thresholds of complete linkage: (3, s)."""
    thresholds = [int(np.flatnonzero(curve.complete <= k)[0]) for k in sizes]
    found = [constellations.agreement(linkage.cut(trees.complete, t), labels) for t in thresholds]
    return np.array([(f.n_clusters, f.purity, f.adjusted_rand) for f in found]).T


mixed = elements.labels[torch.as_tensor(rng.permutation(n_elements))]
named = {
    name: along(grown[name], curves[name], elements.labels) for name in (*states, "fair coins")
}
named["labels shuffled"] = along(grown["trained"], curves["trained"], mixed)
hundred = {name: float(np.interp(100, values[0], values[1])) for name, values in named.items()}
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for i, (ax, what) in enumerate(zip(axes, ("purity", "adjusted Rand index"), strict=True), 1):
    for (name, values), style in zip(named.items(), ("-", "-", "--", ":"), strict=True):
        ax.plot(values[0], values[i], style, color=COLOURS.get(name, "k"), label=name)
    ax.set(xscale="log", xlabel="number of clusters", ylabel=what)
axes[0].legend(fontsize="small")
report.figure(
    fig,
    name="fig-constellations-classes",
    caption="How far clusters of complete linkage are classes, cut at different heights. Left: share of images in the commonest class of their cluster. Right: adjusted Rand index; one would be perfect.",
    alt=f"Left: purity grows with the number of clusters in all curves; at a hundred, trained {hundred['trained']:.2f}, untrained {hundred['untrained']:.2f}, the two controls "
    f"{hundred['fair coins']:.2f}. Right: trained at most {named['trained'][2].max():.3f}, controls flat at zero.",
)


# %% tags=["remove-cell"]
def one_class(name, labels):
    """Return the share of constellations at the best threshold that are of one class."""
    member = constellations.members(grown[name], int(curves[name].exact[:last].argmax()))
    return float(
        np.mean([len(set(labels[member == g].tolist())) == 1 for g in range(member.max() + 1)])
    )


# fmt: off
chain = linkage.cut(grown["trained"].single, int(np.flatnonzero(curves["trained"].single <= 50)[0]))
for name in (*states, "fair coins"):
    report.number(f"S2.3.2-constellations/one-class-{name.replace(' ', '-')}", one_class(name, elements.labels), unit="share", tol=0.15,
                  **({"label": f"constellations that are of one class, {name}"} if name in states else {}))
for name in named:
    key = name.replace(" ", "-")
    report.number(f"S2.3.2-constellations/purity-{key}", hundred[name], tol=0.04, **({"label": "purity of a hundred clusters, trained"} if name == "trained" else {}))
    report.number(f"S2.3.2-constellations/rand-{key}", float(named[name][2].max()), tol=0.02, **({"label": "highest adjusted Rand index, trained"} if name == "trained" else {}))
report.number("S2.3.2-constellations/giant", float(np.bincount(chain).max() / n_elements), unit="share", tol=0.05)
# fmt: on

# %% [markdown]
r"""
**What to notice.** At a hundred clusters the purity is {glue:text}`S2.3.2-constellations/purity-trained:.2f` trained and {glue:text}`S2.3.2-constellations/purity-untrained:.2f` untrained (recorded {recorded}`S2.3.2-constellations/purity-trained` and
{recorded}`S2.3.2-constellations/purity-untrained`). With shuffled labels it is {glue:text}`S2.3.2-constellations/purity-labels-shuffled:.2f` (recorded {recorded}`S2.3.2-constellations/purity-labels-shuffled`): without this control it would look like an
achievement. Clusters know something of the classes, and training adds to it; but the adjusted Rand index stays at {glue:text}`S2.3.2-constellations/rand-trained:.3f` or below (recorded
{recorded}`S2.3.2-constellations/rand-trained`). They are not classes. Single linkage is of no use here: cut into fifty clusters, one of them holds {glue:text}`S2.3.2-constellations/giant:.1%` of the images (recorded
{recorded}`S2.3.2-constellations/giant`).

The few constellations that there are do mean something: {glue:text}`S2.3.2-constellations/one-class-trained:.0%` of them are of one class (recorded {recorded}`S2.3.2-constellations/one-class-trained`), among coins
{glue:text}`S2.3.2-constellations/one-class-fair-coins:.0%`. Before training it is {glue:text}`S2.3.2-constellations/one-class-untrained:.0%` (recorded {recorded}`S2.3.2-constellations/one-class-untrained`): pairs at a small angle are images that look alike.

## Nearest neighbours

The study looks at the {published}`S2.4-nn-hamming/neighbours` nearest neighbours of some images in the trained network and finds "some meaning in this distance". Meaning compared with what? Before training the distance is an angle between
pixels, measured by a few hundred coins. So the baselines are the same network untrained, and the cosine of the pixels.

:::{admonition} Guess first
:class: tip
Let the neighbours vote for the class. Order these by accuracy: Hamming untrained, Hamming trained, the cosine of the pixels.
:::

Queries are {glue:text}`S2.4-nn-hamming/queries:,` held-out images, and their neighbours come from the training images. Distances are whole numbers, and ties are common: the stored images are shuffled first, so that chance decides.
"""

# %%
queries, stored = drawn(held_out, n_queries), drawn(learn, len(learn.labels))


def nearest(queries, stored, k=10):
    """Return the k nearest of some vectors (n, d), nearest first."""
    return torch.cdist(queries, stored).topk(k, largest=False).indices


def voted(near, labels):
    """Return the commonest class among the nearest, of equally common ones that of the nearest."""
    theirs = labels.to(near.device)[near]
    votes = (theirs[:, :, None] == theirs[:, None]).sum(2)
    return theirs.gather(1, votes.argmax(1, keepdim=True))[:, 0].cpu()


def right(near):
    """Return the accuracy of the vote of one and of ten neighbours."""
    found = [voted(near[:, :k], stored.labels) == queries.labels for k in (1, 10)]
    return [float(f.double().mean()) for f in found]


def by_hamming(network):
    """Return the nearest by Hamming distance in the hidden layer."""
    asked, known = (bits_of(network, part.images) for part in (queries, stored))
    return patterns.nearest(asked, 10, others=known).indices


# %% tags=["hide-input"]
def by_vectors(asked, known):
    """Return the accuracies of the votes by Euclidean distance and by cosine."""
    return [right(nearest(asked, known)), right(nearest(normalize(asked), normalize(known)))]


def activations(network):
    """Return the activations of the hidden layer, of queries and stored images."""
    return [spaces_of(network, part.images, "relu")[0] for part in (queries, stored)]


near = [[by_hamming(net) for net in both] for both in shallow]
shape = tuple(learn.images.shape[1:])
wide = models.mlp(
    [n_wide], len(learn.classes), input_shape=shape, generator=torch.Generator().manual_seed(seed)
)
votes = {"pixels, L2": [], "pixels, cosine": []}
for name, value in zip(
    list(votes),
    by_vectors(*(spaces_of(wide, part.images, "flat")[0] for part in (queries, stored))),
    strict=True,
):
    votes[name] = [value]
votes["Hamming, untrained"] = [right(both[0]) for both in near]
votes["Hamming, untrained, wide"] = [right(by_hamming(wide.to(device)))]
votes["Hamming, trained"] = [right(both[1]) for both in near]
for j, state in enumerate(states):
    pair = [by_vectors(*activations(both[j])) for both in shallow]
    votes |= {f"L2, {state}": [p[0] for p in pair], f"cosine, {state}": [p[1] for p in pair]}
votes = {name: np.array(values) for name, values in votes.items()}  # (networks, k)

# %% tags=["hide-input"]
source(
    f"{len(stored.labels):,} training images, {len(queries.labels):,} held-out queries; one layer of {width} units"
)
asked = [int((queries.labels == c).nonzero()[0, 0]) for c in range(4)]  # the first of each class
hits = np.array(
    [[(stored.labels[n[q].cpu()] == queries.labels[q]).numpy() for n in near[0]] for q in asked]
)
fig = plt.figure(figsize=(7, 4.9))
axes = plots.grid(8, 11, figure=fig)
for row, (k, j) in enumerate(np.ndindex(4, 2)):
    pictures_shown = [queries.images[asked[k]], *stored.images[near[0][j][asked[k]].cpu()]]
    plots.picture_row([p.numpy() for p in pictures_shown], axes=axes[row], label="")
    axes[row, 0].set_ylabel(
        f"{queries.classes[k]}, {states[j]}" if j == 0 else states[j],
        rotation=0,
        ha="right",
        va="center",
        fontsize="small",
    )
    for ax, hit in zip(axes[row, 1:], hits[k, j], strict=True):
        for spine in ax.spines.values():
            spine.set(color="C0" if hit else "C1", linewidth=2.5 if hit else 0.8, visible=True)
report.figure(
    fig,
    name="fig-constellations-neighbours",
    caption="The first held-out image of each of four classes, and its ten nearest training images by Hamming distance, before and after training. A thick blue frame: of the query's class; a thin orange one: of another.",
    alt=f"Eight rows of eleven small pictures. Of forty neighbours {int(hits[:, 0].sum())} have a blue frame before training and {int(hits[:, 1].sum())} after; the rest, in orange, are often alike in colour and layout.",
)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for row, (name, values) in enumerate(votes.items()):
    kind = name.split(", ")[1]
    color = COLOURS.get(kind, "0.3")  # grey for pixels
    ax.plot(values[:, 1], np.full(len(values), row), "o", color=color, ms=6, alpha=0.6)
ax.set(xlabel="accuracy of the vote of ten neighbours", yticks=range(len(votes)))
ax.set_yticklabels(votes)
ax.invert_yaxis()
ax.axvline(1 / len(learn.classes), color="0.5", lw=1, ls="--")
median = {name: np.median(values[:, 1]) for name, values in votes.items()}
report.figure(
    fig,
    name="fig-constellations-votes",
    caption=f"How often ten neighbours vote for the class of a held-out image, for several distances: of the pixels (grey), untrained (orange) and trained (blue). Dots are {n_seeds} networks, or one, the dashed line is chance. The wide network has {n_wide:,} units.",
    alt=f"{len(votes)} rows. Pixels with the cosine reach {median['pixels, cosine']:.2f}, untrained Hamming distances {median['Hamming, untrained']:.2f}, trained ones {median['Hamming, trained']:.2f}; "
    f"trained activations are best with {median['cosine, trained']:.2f} by cosine.",
)

# %% tags=["remove-cell"]
# fmt: off
for name, values in votes.items():
    key = name.replace(", ", "-").lower()
    for k, column in zip((1, 10), values.T, strict=True):
        spread = over(column) if len(column) > 1 else {"value": float(column[0])}
        report.number(f"S2.4-nn-hamming/{key}-{k}", **spread, unit="share", tol=0.05,
                      **({"label": f"vote of {k}, {name}"} if k == 10 and name.split(",")[0] in ("Hamming", "pixels") else {}))
gain = votes["Hamming, trained"] - votes["Hamming, untrained"]
report.number("S2.4-nn-hamming/meaning", **over(gain[:, 1]), unit="share", tol=0.05, agree=(0.03, 1), label="vote of 10, Hamming, trained less untrained",
              note="the untrained distance is an angle between pixels, and knows something already")
report.number("S2.4-nn-hamming/over-pixels", **over(votes["Hamming, trained"][:, 1] - votes["pixels, cosine"][:, 1]), unit="share", tol=0.05,
              label="vote of 10, Hamming, trained, less pixels with the cosine")
report.number("S2.4-nn-hamming/weird", float(np.mean([(stored.labels[both[1].cpu()] != queries.labels[:, None]).double().mean() for both in near])), unit="share", tol=0.05,
              agree=(0.2, 0.85), label="of the ten nearest, those of another class, trained")
report.number("S2.4-nn-hamming/weird-untrained", float(np.mean([(stored.labels[both[0].cpu()] != queries.labels[:, None]).double().mean() for both in near])), unit="share", tol=0.05)
shuffled = stored.labels[torch.as_tensor(rng.permutation(len(stored.labels)))]
report.number("S2.4-nn-hamming/shuffled", float((voted(near[0][1], shuffled) == queries.labels).double().mean()), unit="share", tol=0.05)
report.number("S2.4-nn-hamming/queries", len(queries.labels), tol=0)
report.number("S2.4-nn-hamming/wide", n_wide, tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** By Hamming distance the ten neighbours vote right for {glue:text}`S2.4-nn-hamming/hamming-untrained-10:.1%` of the queries before training and for {glue:text}`S2.4-nn-hamming/hamming-trained-10:.1%` after (recorded
{recorded}`S2.4-nn-hamming/hamming-untrained-10` and {recorded}`S2.4-nn-hamming/hamming-trained-10`; one neighbour: {glue:text}`S2.4-nn-hamming/hamming-untrained-1:.1%` and {glue:text}`S2.4-nn-hamming/hamming-trained-1:.1%`). There is meaning, and training adds to it:
{glue:text}`S2.4-nn-hamming/meaning:.1%` of the queries (recorded {recorded}`S2.4-nn-hamming/meaning`). Over the cosine of the pixels, {glue:text}`S2.4-nn-hamming/pixels-cosine-10:.1%` (recorded {recorded}`S2.4-nn-hamming/pixels-cosine-10`), the gain is smaller: {glue:text}`S2.4-nn-hamming/over-pixels:.1%` (recorded {recorded}`S2.4-nn-hamming/over-pixels`).
An untrained network with {glue:text}`S2.4-nn-hamming/wide:,` units comes to {glue:text}`S2.4-nn-hamming/hamming-untrained-wide-10:.1%` (recorded {recorded}`S2.4-nn-hamming/hamming-untrained-wide-10`), near that cosine, as it must.

And "there clearly are some weird" ones: of the ten nearest {glue:text}`S2.4-nn-hamming/weird:.0%` are of another class (recorded {recorded}`S2.4-nn-hamming/weird`), before training {glue:text}`S2.4-nn-hamming/weird-untrained:.0%` (recorded {recorded}`S2.4-nn-hamming/weird-untrained`); by chance it would be nine in ten. The activations themselves do better than their pattern,
{glue:text}`S2.4-nn-hamming/cosine-trained-10:.1%` by cosine (recorded {recorded}`S2.4-nn-hamming/cosine-trained-10`).

## What a layer adds

The study would "assess the usefulness of a layer with a distance between the distributions of activation patterns, before and after the layer", and leaves open which. Two layers have different units, so their patterns cannot be subtracted. We
take three readings. **CKA** {cite:p}`kornblith-2019` asks how alike two layers are, and knows no classes:

$$
\mathrm{CKA} = \frac{\lVert X^\top Y \rVert^2}{\lVert X^\top X \rVert \, \lVert Y^\top Y \rVert}
$$

for the centred patterns $X$ and $Y$, a row an image, of the same images in two layers (Frobenius norms).

**MMD** {cite:p}`gretton-2012`, the maximum mean discrepancy, is a distance between two distributions, here those of two *classes* in one layer, with a kernel that falls with the Hamming distance. A useful layer moves classes apart. And third, the
**vote** of ten neighbours among the held-out images.
"""


# %%
def cka(x, y):
    """Return the linear CKA, 0 to 1, of two sets of features of the same images."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float((x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()))


def discrepancy(distances, labels):
    """Return the unbiased squared MMD of two classes' patterns, mean over pairs of classes."""
    kernel = (-distances.double() / distances.double().mean()).exp()
    member = one_hot(labels).double()
    n, sums = member.sum(0), member.T @ kernel @ member
    own = (sums.diagonal() - n) / (n * (n - 1))  # an image is not compared with itself
    squares = own[:, None] + own - 2 * sums / (n[:, None] * n)
    return float(squares[~torch.eye(len(n), dtype=torch.bool, device=n.device)].mean())


look_labels = look.labels.to(device)
pixels = spaces_of(shallow[0][0], look.images, "flat")[0]
hyperplanes = torch.randn(pixels.shape[1], 1024, generator=generator).to(device)
zero = pixels @ hyperplanes > 0  # a pattern of the pixels: sides of random hyperplanes


# %% tags=["hide-input"]
def ridge(x, penalties):
    """Return for each penalty what fits targets (n, t) linearly to features (n, d) and gives a function of new ones."""
    mean, sd = x.mean(0), x.std(0).clamp_min(1e-6)
    z = (x - mean) / sd
    gram, eye = z.T @ z / len(z), torch.eye(z.shape[1], device=x.device)

    def fit(targets, factor):
        centre = targets.mean(0)
        weights = torch.cholesky_solve(z.T @ (targets - centre) / len(z), factor)
        return lambda new: ((new - mean) / sd) @ weights + centre

    factors = {penalty: torch.linalg.cholesky(gram + penalty * eye) for penalty in penalties}
    return {penalty: functools.partial(fit, factor=f) for penalty, f in factors.items()}


def chosen_ridge(x, targets):
    """Return the fit whose penalty serves the last fifth of the samples best."""
    cut = len(x) * 4 // 5
    fits = ridge(x[:cut], (0.01, 0.1, 1, 10))

    def score(penalty):
        found = fits[penalty](targets[:cut])(x[cut:])
        return float((found.argmax(1) == targets[cut:].argmax(1)).double().mean())

    best = max(fits, key=score)
    return ridge(x, (best,))[best]


# %% tags=["hide-input"]
probing = drawn(learn, n_probe)
targets, truth = one_hot(probing.labels).float().to(device), held_out.labels.to(device)


def share_right(outputs):
    """Return the accuracy of outputs for the held-out images."""
    return float((outputs.argmax(1) == truth).double().mean())


def effects(network, of_pixels):
    """Return the accuracy of a linear probe before and behind each layer, and without each layer."""
    known, new = (spaces_of(network, part.images) for part in (probing, held_out))
    fits = [of_pixels, *(chosen_ridge(x, targets) for x in known[1:])]
    probes = [share_right(fit(targets)(x)) for fit, x in zip(fits, new, strict=True)]
    names = [name for name, _ in network.named_children()]
    without = []
    for k, fit in enumerate(fits[:-1], 2):  # layer k - 1 is left out, the next one fitted anew
        wanted = capture.collect(network, probing.images, [f"fc{k}"], progress=False)[f"fc{k}"]
        rest = network[names.index(f"fc{k}") + 1 :]
        with torch.no_grad():
            without.append(
                share_right(rest(fit(torch.from_numpy(wanted).to(device))(new[k - 2])))
            )
    return probes, without


# %% tags=["hide-input"]
upper = np.triu_indices(len(look.labels), 1)
stirred = torch.as_tensor(rng.permutation(len(look.labels)))


def measures(network):
    """Return MMD and vote of the patterns before and behind each layer, CKA and rank correlation of each step."""
    found = [zero, *(x > 0 for x in spaces_of(network, look.images)[1:])]
    distances = [patterns.matrix(capture.pack(bits)) for bits in found]
    nears = [patterns.nearest(capture.pack(bits), 10).indices for bits in found]
    rows = [stats.rankdata(d.cpu().numpy()[upper]) for d in distances]
    steps = list(zip(range(3), range(1, 4), strict=True))
    return {
        "MMD": [discrepancy(d, look_labels) for d in distances],
        "MMD, shuffled": [discrepancy(d, look_labels[stirred]) for d in distances],
        "vote": [float((voted(n, look.labels) == look.labels).double().mean()) for n in nears],
        "CKA": [cka(found[a].float(), found[b].float()) for a, b in steps],
        "RSA": [float(np.corrcoef(rows[a], rows[b])[0, 1]) for a, b in steps],
    }


of_pixels = chosen_ridge(spaces_of(shallow[0][0], probing.images, "flat")[0], targets)
nets = [both for w in widths for both in deep[w]]
facts = [[measures(net) for net in both] for both in nets]
found = {name: np.array([[f[name] for f in both] for both in facts]) for name in facts[0][0]}
probed = [[effects(net, of_pixels) for net in both] for both in nets]
probes = np.array([[p for p, _ in both] for both in probed])  # (networks, states, 4)
gain = np.diff(probes)
whole = np.array([train.accuracy(net, held_out.images, truth) for _, net in nets])
lost = whole[:, None] - np.array(
    [both[1][1] for both in probed]
)  # (networks, 3), of trained ones

# %% tags=["hide-input"]
source(f"{len(look.labels):,} held-out images; three layers of {widths[-1]} units")
panels = {
    "CKA": "CKA of a layer and the one before",
    "MMD": "MMD of two classes, squared",
    "vote": "vote of ten neighbours",
}
fig, axes = plt.subplots(1, 3, figsize=(7, 3.1))
of_width = {name: values[-n_deep_seeds:] for name, values in found.items()}
for ax, (name, title) in zip(axes, panels.items(), strict=True):
    places = np.arange(4)[-of_width[name].shape[2] :]
    for j, state in enumerate(states):
        ax.plot(
            places, of_width[name][:, j].mean(0), color=f"C{1 - j}", marker="os"[j], label=state
        )
        for one in of_width[name][:, j]:
            ax.plot(places, one, color=f"C{1 - j}", lw=0.6, alpha=0.6)
    ax.set(xticks=range(4), xlabel="layer", ylim=(0, 1.03 if name == "CKA" else None))
    ax.set_title(title.replace(" of ", "\nof ", 1), fontsize="small")
fig.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=2, fontsize="small")
fig.tight_layout(rect=(0, 0.07, 1, 1))
ends = {name: values.mean(0)[:, -1] for name, values in of_width.items()}
report.figure(
    fig,
    name="fig-constellations-layers",
    caption="Three answers to what a layer adds, before and after training (thin: single networks). Layer 0 are the pixels as bits: on which side of random hyperplanes they lie.",
    alt=f"CKA is highest in the first layer and ends at {ends['CKA'][0]:.2f} untrained, {ends['CKA'][1]:.2f} trained. MMD and vote part: trained they climb to {ends['MMD'][1]:.2f} and "
    f"{ends['vote'][1]:.2f}, untrained they end at {ends['MMD'][0]:.2f} and {ends['vote'][0]:.2f}.",
)


# %%
def pooled(pairs):
    """Return the rank correlation of all pairs (..., 2)."""
    return statistics.spearman(*pairs.reshape(-1, 2).T)


def with_interval(values, statistic):
    """Return a statistic and its 95 % interval when networks are drawn anew."""
    low, high = statistics.bootstrap_interval(values, statistic, generator=rng, n_draws=1000)
    return statistic(values), low, high


def moved_alike(step, gain):
    """Return the share of layers (networks, states, layers) in which training moves both up or both down."""
    return float(np.mean(np.sign(step[:, 1] - step[:, 0]) == np.sign(gain[:, 1] - gain[:, 0])))


steps = {name: found[name] if name in ("CKA", "RSA") else np.diff(found[name]) for name in found}
trained = {name: np.stack([step[:, 1], gain[:, 1]], axis=-1) for name, step in steps.items()}
over_layers = {name: with_interval(values, pooled) for name, values in trained.items()}
over_lost = with_interval(np.stack([steps["RSA"][:, 1], lost], axis=-1), pooled)
by_training = {name: moved_alike(step, gain) for name, step in steps.items()}

# %% tags=["hide-input"]
source(
    f"{len(look.labels):,} held-out images; three layers of {', '.join(map(str, widths))} units"
)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.5), sharey=True)
labels_of = {
    "RSA": "rank correlation of the distance\nmatrices before and behind",
    "MMD": "change of MMD",
}
for ax, (name, label) in zip(axes, labels_of.items(), strict=True):
    for j, k in np.ndindex(2, 3):
        style = {"marker": "osD"[k], "ls": "none", "ms": 5}
        style |= {"mfc": f"C{1 - j}" if j else "w", "mec": f"C{1 - j}"}
        ax.plot(steps[name][:, j, k], gain[:, j, k], label=f"layer {k + 1}, {states[j]}", **style)
    flat = (values.transpose(1, 0, 2).reshape(2, -1) for values in (steps[name], gain))
    ax.plot(*flat, color="0.7", lw=0.6, zorder=0)  # one layer before and after training
    ax.axhline(0, color="0.5", lw=1, ls="--")
    ax.set_xlabel(label)
axes[0].set_ylabel("gain of a linear probe")
fig.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=3, fontsize="small")
fig.tight_layout(rect=(0, 0.12, 1, 1))
report.figure(
    fig,
    name="fig-constellations-useful",
    caption=f"What a layer does to the accuracy of a linear probe, against two measures of distances: {len(nets)} networks of {len(widths)} widths. A grey line joins the same layer before and after training.",
    alt=f"Left: trained layers lie above the untrained ones; lines of first layers lean left, to a gain of {gain[:, 1, 0].mean():.2f}, others both ways. "
    f"Right: lines of first layers stand nearly upright, those of others reach far to the right and hardly rise.",
)

# %% tags=["remove-cell"]
# fmt: off
deepest = [x > 0 for x in spaces_of(deep[widths[-1]][0][1], look.images)[1:]]
report.number("S1-Q4-usefulness/cka-shuffled", cka(deepest[1].float(), deepest[2][stirred].float()), tol=0.02)
report.number("S1-Q4-usefulness/mmd-shuffled", discrepancy(patterns.matrix(capture.pack(deepest[2])), look_labels[stirred]), tol=0.005)
for name in ("CKA", "MMD", "vote"):
    for j, k in np.ndindex(*of_width[name].shape[1:]):
        layer = k + 4 - of_width[name].shape[2]
        if layer or j == 0:  # of the pixels both states say the same
            value = over(of_width[name][:, j, k])
            report.number(f"S1-Q4-usefulness/{name.lower()}-{layer}-{states[j] if layer else 'pixels'}", **value, tol=0.003 + 0.2 * value["value"] if name == "MMD" else 0.06)
for j, k in np.ndindex(2, 3):
    report.number(f"S1-Q8-mdist/rsa-{k + 1}-{states[j]}", **over(of_width["RSA"][:, j, k]), tol=0.06)
for j, k in np.ndindex(2, 3):
    report.number(f"S1-Q8-mdist/gain-{k + 1}-{states[j]}", **over(gain[:, j, k]), unit="share", tol=0.05)
for k in range(3):
    report.number(f"S1-Q8-mdist/lost-{k + 1}", **over(lost[:, k]), unit="share", tol=0.06)
report.number("S1-Q8-mdist/networks", len(nets), tol=0)
report.number("S1-Q8-mdist/layers", 3 * len(nets), tol=0)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
SAME, OVER = "layers in which training moves it as it moves the gain of a probe", "rank correlation with the gain of a probe, over all layers of trained networks"
for key, name, what in (("usefulness", "MMD", "change of MMD"), ("vote", "vote", "change of the vote of ten"), ("cka", "CKA", "CKA of a layer and the one before")):
    same = {"agree": (0.75, 1), "note": "with classes: it tells whether a layer has learned"} if name == "MMD" else {}
    over_all = {"agree": (0.3, 1), "note": "the first layer gains most and moves classes least"} if name == "MMD" else {}
    report.number(f"S1-Q4-usefulness/{key}", by_training[name], unit="share", tol=0.3, n=3 * len(nets), label=f"{what}: {SAME}", **same)
    report.number(f"S1-Q4-usefulness/{key}-everywhere", over_layers[name][0], tol=0.4, n=3 * len(nets), label=f"{what}: {OVER}", **over_all)
    report.number(f"S1-Q4-usefulness/{key}-everywhere-low", over_layers[name][1], tol=0.5)
    report.number(f"S1-Q4-usefulness/{key}-everywhere-high", over_layers[name][2], tol=0.5)
what = "likeness of neighbouring distance matrices"
report.number("S1-Q8-mdist/indicator", by_training["RSA"], unit="share", tol=0.3, n=3 * len(nets), agree=(0.75, 1), label=f"{what}: {SAME}",
              note="at the same place and width it does not even tell a trained layer")
report.number("S1-Q8-mdist/indicator-everywhere", over_layers["RSA"][0], tol=0.4, n=3 * len(nets), agree=(0.3, 1), label=f"{what}: {OVER}",
              note="the first layer is the most alike, trained or not")
report.number("S1-Q8-mdist/indicator-everywhere-low", over_layers["RSA"][1], tol=0.5)
report.number("S1-Q8-mdist/indicator-everywhere-high", over_layers["RSA"][2], tol=0.5)
report.number("S1-Q4-usefulness/usefulness-shuffled", by_training["MMD, shuffled"], unit="share", tol=0.4, label="change of MMD, classes shuffled: the same share")
report.number("S1-Q8-mdist/rose", float((gain[:, 1] > gain[:, 0]).mean()), unit="share", tol=0.12, label="layers in which training raises the gain of a probe")
for k in range(3):
    report.number(f"S1-Q8-mdist/more-alike-{k + 1}", float((steps["RSA"][:, 1, k] > steps["RSA"][:, 0, k]).mean()), unit="share", tol=0.5)
report.number("S1-Q8-mdist/indicator-lost", over_lost[0], tol=0.4, n=3 * len(nets), label=f"{what}: rank correlation with the accuracy lost without the layer, trained networks")
# fmt: on

# %% [markdown]
r"""
**What to notice.** Trained, MMD goes from {glue:text}`S1-Q4-usefulness/mmd-1-trained:.3f` in the first layer to {glue:text}`S1-Q4-usefulness/mmd-3-trained:.3f` in the third, and the vote from
{glue:text}`S1-Q4-usefulness/vote-1-trained:.1%` to {glue:text}`S1-Q4-usefulness/vote-3-trained:.1%` (recorded {recorded}`S1-Q4-usefulness/mmd-1-trained` to {recorded}`S1-Q4-usefulness/mmd-3-trained`, and
{recorded}`S1-Q4-usefulness/vote-1-trained` to {recorded}`S1-Q4-usefulness/vote-3-trained`). Untrained, the vote falls from layer to layer: each adds only noise. CKA knows no classes: trained or not, the first layer is the most alike
to what enters it.

Is a layer useful? We measure it directly: the accuracy of a {term}`linear probe` {cite:p}`alain-2017` behind the layer less that before it, the *gain*. Then the study's last question: put all Hamming distances of a layer into a matrix. Does the
likeness of two neighbouring matrices, their rank correlation {cite:p}`kriegeskorte-2008`, tell the gain?

**Over all layers of the trained networks** it is correlated with the gain by {glue:text}`S1-Q8-mdist/indicator-everywhere:.2f` (its 95-percent interval {glue:text}`S1-Q8-mdist/indicator-everywhere-low:.2f` to
{glue:text}`S1-Q8-mdist/indicator-everywhere-high:.2f`; recorded {recorded}`S1-Q8-mdist/indicator-everywhere`, from {recorded}`S1-Q8-mdist/indicator-everywhere-low` to {recorded}`S1-Q8-mdist/indicator-everywhere-high`). It looks like
an indicator. But the untrained first layers are even more alike to the pixels, at the largest width {glue:text}`S1-Q8-mdist/rsa-1-untrained:.2f` against {glue:text}`S1-Q8-mdist/rsa-1-trained:.2f`, and gain, over all widths, {glue:text}`S1-Q8-mdist/gain-1-untrained:.1%` instead of
{glue:text}`S1-Q8-mdist/gain-1-trained:.1%` (recorded {recorded}`S1-Q8-mdist/rsa-1-untrained` against {recorded}`S1-Q8-mdist/rsa-1-trained`, {recorded}`S1-Q8-mdist/gain-1-untrained` instead of
{recorded}`S1-Q8-mdist/gain-1-trained`). What the correlation sees is the place of a layer, and its width: more units measure a distance with less noise.

**So compare like with like**: each layer with itself before training, at the same place and width. Training raises the gain in {glue:text}`S1-Q8-mdist/rose:.0%` of {glue:text}`S1-Q8-mdist/layers` layers (recorded
{recorded}`S1-Q8-mdist/rose`). The likeness moves with it in {glue:text}`S1-Q8-mdist/indicator:.0%` (recorded {recorded}`S1-Q8-mdist/indicator`); it falls in the first layer and tends to rise in the third, so neither is a sign. The change of MMD, which knows the classes, moves
with it in {glue:text}`S1-Q4-usefulness/usefulness:.0%` (recorded {recorded}`S1-Q4-usefulness/usefulness`), and with the classes shuffled in {glue:text}`S1-Q4-usefulness/usefulness-shuffled:.0%`
({recorded}`S1-Q4-usefulness/usefulness-shuffled`). The change of the vote does so in {glue:text}`S1-Q4-usefulness/vote:.0%` ({recorded}`S1-Q4-usefulness/vote`), CKA in {glue:text}`S1-Q4-usefulness/cka:.0%` ({recorded}`S1-Q4-usefulness/cka`).

A distance that knows the classes tells *whether* a layer has learned. It does not tell *how much* the layer adds: over the trained layers the change of MMD is correlated with the gain by
{glue:text}`S1-Q4-usefulness/usefulness-everywhere:.2f` (recorded {recorded}`S1-Q4-usefulness/usefulness-everywhere`), since the first one gains most for a linear probe and hardly moves the classes apart.

Leaving a layer out and fitting the next one anew tells the same as the probe: without the first a network loses {glue:text}`S1-Q8-mdist/lost-1:.1%` of accuracy, without the second {glue:text}`S1-Q8-mdist/lost-2:.1%` (recorded
{recorded}`S1-Q8-mdist/lost-1` and {recorded}`S1-Q8-mdist/lost-2`).

## The study's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Images that were learned.** The groups are made of training images, as in the study. Neighbours and layers are judged by held-out ones.

**One linkage.** The curve of clusters depends on the linkage; the constellations do not.

**A threshold for all.** A constellation needs one threshold for inside and outside. Groups of different width cannot be found at the same one.

**The kernel.** MMD depends on how fast its kernel falls. Ours falls with the mean distance of the layer, so that layers can be compared.

**Few networks.** The interval comes from drawing networks anew, and there are {glue:text}`S1-Q8-mdist/networks` of them (recorded {recorded}`S1-Q8-mdist/networks`). Layers of one network are not independent.

:::{admonition} What we learned
:class: important
- Untrained, the Hamming distance is the angle between the inputs of a layer, measured by as many coins as there are units.
- Two clusterings together give constellations exactly; coins have $n / 4e$ of them.
- The integral is no score of its own: compare it with shuffled units.
- Neighbours have a meaning, and part of it is in the pixels.
- A correlation over layers may show only their place and width. Compare each layer with itself before training.
:::

## Exercises

```{exercise}
:label: ex-constellations-peak
**Where coins peak** (5 minutes). At which threshold do $n$ patterns of fair coins have most constellations?
```
"""


# %% tags=["exercise"]
def best_threshold(n, n_bits):
    """Return the threshold at which n patterns of fair coins have most constellations."""
    return n_bits // 2  # the mean distance


passed = (
    abs(best_threshold(n_elements, width) - int(curves["fair coins"].exact[:last].argmax())) <= 2
)
report.check(
    "ex-constellations-peak", passed, "How many others does one image find within the threshold?"
)


# %% tags=["solution"]
def best_threshold(n, n_bits):
    """Return the threshold at which n patterns of fair coins have most constellations."""
    law = stats.binom(n_bits, 0.5).cdf(np.arange(n_bits + 1))
    return int(np.argmax(law * (1 - law) ** (2 * n)))


passed = (
    abs(best_threshold(n_elements, width) - int(curves["fair coins"].exact[:last].argmax())) <= 2
)
report.check(
    "ex-constellations-peak", passed, "How many others does one image find within the threshold?"
)

# %% [markdown]
r"""
```{exercise}
:label: ex-constellations-units
**How many units?** (3 minutes). Two inputs stand at a right angle. How many untrained units does a layer need to measure this, as a share of units, to a given standard deviation?
```
"""


# %% tags=["exercise"]
def units_for(sd):
    """Return how many untrained units measure a right angle to this standard deviation."""
    return round(1 / sd)  # would be right if the spread fell with the number itself


passed = [units_for(sd) for sd in (0.1, 0.05, 0.01)] == [25, 100, 2500]
report.check("ex-constellations-units", passed, "Each unit is a coin: it differs or it does not.")


# %% tags=["solution"]
def units_for(sd):
    """Return how many untrained units measure a right angle to this standard deviation."""
    return round(0.25 / sd**2)


passed = [units_for(sd) for sd in (0.1, 0.05, 0.01)] == [25, 100, 2500]
report.check("ex-constellations-units", passed, "Each unit is a coin: it differs or it does not.")

# %% [markdown]
r"""
```{exercise}
:label: ex-constellations-linear
**MMD without a kernel matrix** (8 minutes). With the kernel $1 - d / u$, where $d$ is the Hamming distance and $u$ the number of units, MMD needs nothing but the {term}`activation probabilities <activation probability>` of both classes. Which formula is it?
```
"""

# %% tags=["exercise"]
a, b = (deepest[2][look_labels == c].float() for c in (0, 1))


def linear_discrepancy(a, b):
    """Return the squared MMD of two sets of patterns (n, u) with the kernel 1 - distance / u."""
    return float((a.mean(0) - b.mean(0)).abs().mean())  # sees the same, on another scale


def mean_distance(a, b):
    """Return the mean share of units in which patterns of two sets differ."""
    return torch.cdist(a, b, p=0).double().mean() / a.shape[1]


wanted = float(2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b))
passed = abs(linear_discrepancy(a, b) - wanted) < 1e-4
report.check(
    "ex-constellations-linear", passed, "Write the mean distance with the probabilities."
)


# %% tags=["solution"]
def linear_discrepancy(a, b):
    """Return the squared MMD of two sets of patterns (n, u) with the kernel 1 - distance / u."""
    return float(2 * (a.mean(0) - b.mean(0)).square().mean())


passed = abs(linear_discrepancy(a, b) - wanted) < 1e-4
report.check(
    "ex-constellations-linear", passed, "Write the mean distance with the probabilities."
)

# %% [markdown]
r"""
```{exercise}
:label: ex-constellations-score
**A fair score** (5 minutes). Write a score that is about one for coins of any kind and low for planted groups. `score`, `shuffled_units` and `constellations` are at hand.
```
"""


# %% tags=["exercise"]
def fair_score(packed):
    """Return a score that is about one for coins of any kind, and lower where images gather."""
    return score(curves_of(packed))  # low for rare coins, too


values = {name: fair_score(sets[name]) for name in ("fair coins", "rare coins", "planted groups")}
passed = min(values["fair coins"], values["rare coins"]) > 0.9 and values["planted groups"] < 0.5
report.check(
    "ex-constellations-score", passed, "What would the same units give without each other?"
)


# %% tags=["solution"]
def fair_score(packed):
    """Return a score that is about one for coins of any kind, and lower where images gather."""
    return score(curves_of(packed)) / score(curves_of(shuffled_units(packed)))


values = {name: fair_score(sets[name]) for name in ("fair coins", "rare coins", "planted groups")}
passed = min(values["fair coins"], values["rare coins"]) > 0.9 and values["planted groups"] < 0.5
report.check(
    "ex-constellations-score", passed, "What would the same units give without each other?"
)

# %% [markdown]
r"""
## Go further

- Charikar {cite:p}`charikar-2002` makes the angle law a method of search, with which search engines find near-duplicates.
- Kriegeskorte and colleagues {cite:p}`kriegeskorte-2008` compare brains, behaviour and models by their distance matrices.
- Kornblith and colleagues {cite:p}`kornblith-2019` say what a measure of likeness between layers should not see.
- Barz and Denzler {cite:p}`barz-2020` count near-duplicates in CIFAR, the tightest constellations of all.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
