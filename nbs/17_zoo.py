# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-zoo)=
# Can one number say what a prediction is worth?

**One number can say how much noise a prediction bears: the share of noisy copies of the image that keep the answer. But a hundred copies give it to within a few points only, labels from shared copies share a part of their errors, and
a network that learned nothing can get the best value of all.**

```{figure} ../results/real/17_zoo/fig-zoo-copies.webp
:name: fig-zoo-hero
:alt: Four rows of one clean digit and nine noisy copies of it, each framed in blue where the network keeps its answer and in orange where it changes it, with the share of kept answers at the end of the row.

What you will be able to draw: four predictions of one network, some noisy copies of each image, and the label of each prediction. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Train a population of networks over a grid of settings, and say what kills them, with intervals.
- Give any prediction a {term}`confidence ratio`, and its standard error.
- Tell what common noise saves and what it costs.
- See from the rows of a data set whether a split into training and test keeps them apart.

**You need** nothing but [](#ch-maps). **Time:** 25 minutes to read, one minute to run. **Document:** sections 2 and 4 of the read-me "Activation Analysis" {cite:p}`zhang-activation-analysis` with its code and logs. **Data:** scikit-learn's handwritten digits
{cite:p}`alpaydin-1998` (CC BY); in the recorded run MNIST {cite:p}`lecun-mnist`.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
pictures, size, n_learn = "digits", 28, None
# settings of the grid (None: all), and by how much their batches are smaller, since there are fewer images
n_models, divisor = 40, 4
n_workers, shard_size, longer = 1, 8, 2
least, sigma, n_per_class = 0.6, 0.9, 10
# noisy copies for each label; images that all networks see, learned or not
n_copies, n_common = 100, 30
# a closer look: networks, predictions of each, copies; copies for the spread of a label, and how many a label takes
n_close, n_each, n_long = 3, 20, 600
n_stream, counts = 10000, [10, 30, 100, 300, 1000]
n_drawn = 200

# %% tags=["hide-input"]

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    data,
    grids,
    models,
    pairs,
    plots,
    populations,
    published,
    report,
    robustness,
    statistics,
    zoo,
)
from scipy import stats

# %% tags=["hide-input"]
# fmt: off
report.start("17_zoo", profile=profile, seed=seed, device=device)
LESS = f"MNIST, {n_learn:,} of the 60,000 training images" if pictures == "mnist" and n_learn else None
STAND_IN = "MNIST" if pictures != "mnist" else LESS and "all of them"


def dice(k):
    """Return a generator of its own for one part of the chapter."""
    return torch.Generator().manual_seed(1000 * seed + k)


def of(what):
    """Say where the numbers that follow come from."""
    report.source(f"{LESS or pictures}, {what}", stand_in=STAND_IN)
# fmt: on


# %% [markdown]
r"""
## Thousands of ways to train a LeNet

A car that trusts a network should know when not to. The document wants another network to judge single predictions, from the {term}`activations <activation>` behind them, and needs examples: predictions of very
different worth. So it trains LeNet-5s {cite:p}`lecun-1998` of {published}`M0-lenet-grid/parameters` parameters each, well and badly, with all combinations of two optimisers and four values each of learning rate, weight decay,
epochs, seed, initialisation of the weights and batch size, {published}`M0-lenet-grid/grid` in all, and keeps those with {published}`M0-lenet-grid/least-accuracy` accuracy on the test images.

We take a {term}`stratified sample` of this grid, in which each value of each setting occurs equally often, and pairs of values nearly so.

:::{admonition} Guess first
:class: tip
The weight decays are $0$, $0.05$, $0.1$ and $0.2$, as a term of the loss; the learning rates go from $0.005$ to $0.1$. What share of the networks learns at all? And which of the four initial weights, from small to large, best bear the decay?
:::
"""

# %%
learn, held_out = (data.load(pictures, split, size=size) for split in ("train", "test"))
if n_learn:
    learn = learn.sample(n_learn, seed)

drawn = grids.sample(n_models, seed) if n_models else grids.full()
settings = [one._replace(batch_size=one.batch_size // divisor) for one in drawn]

training = learn.images.to(device), learn.labels
options = {"n_workers": n_workers, "shard_size": shard_size, "progress": False}
population = zoo.fit(settings, *training, test=held_out, **options)
kept = population.keep(least)
blank = populations.stack([populations.build(one, size=size) for one in settings])
untrained = populations.accuracies(blank, *held_out.sample(300, seed)[:2]).cpu().numpy()
f"{len(kept)} of {len(settings)} networks reach {least:.0%}"

# %% tags=["hide-input"]
# fmt: off
accuracies = np.asarray(population.accuracies, float)
alive = accuracies >= least
FACTORS = {"optimizer": "optimiser", "learning_rate": "learning rate", "weight_decay": "weight decay", "epochs": "epochs", "seed": "seed", "initialization": "initial weights", "batch_size": "batch size"}
SHORT = {"xavier": "Xavier", "normal": "normal", "kaiming": "Kaiming", "default": "default", "sgd": "SGD", "adam": "Adam"}


def wilson(k, n):
    """Return the interval that holds the true share in 19 of 20 cases (Wilson 1927)."""
    found = stats.binomtest(int(k), int(n)).proportion_ci(0.95, method="wilson")
    return found.low, found.high


def survival(factor, survived):
    """Return for each level of a factor how many networks there are and how many survived."""
    column = np.array([getattr(one, factor) for one in drawn])
    return {level: (int((column == level).sum()), int(survived[column == level].sum())) for level in grids.DOMAIN[factor]}


def gap(factor, survived):
    """Return the largest survival less the smallest over the levels of a factor."""
    shares = [k / n for n, k in survival(factor, survived).values() if n]
    return max(shares) - min(shares)


# fmt: on


# %% tags=["remove-cell"]
# fmt: off
gaps = {factor: gap(factor, alive) for factor in FACTORS}
order = sorted(FACTORS, key=gaps.get, reverse=True)
mixed = np.random.default_rng(seed)
by_chance = np.array([[gap(factor, mixed.permutation(alive)) for factor in FACTORS] for _ in range(n_drawn)])
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of(f"{len(settings):,} LeNets, {len(held_out.labels):,} test images")
fig, axes = plt.subplots(2, 4, figsize=(7, 4.6), layout="constrained")
axes[0, 0].hist(accuracies, bins=np.linspace(0, 1, 21), color="0.55")
axes[0, 0].axvline(least, color="k", ls="--", lw=1)
axes[0, 0].set(xlabel="accuracy", ylabel="networks", xticks=[0, 0.5, 1])
for ax, factor in zip(axes.flat[1:], FACTORS, strict=True):
    found = survival(factor, alive)
    for x, (n, k) in enumerate(found.values()):
        low, high = wilson(k, n)
        ax.bar(x, k / n, color="C0" if factor != "seed" else "0.6", width=0.7)
        ax.plot([x, x], [low, high], color="k", lw=1.2)
    ax.set_xticks(range(len(found)), [SHORT.get(level, f"{level:g}" if not isinstance(level, str) else level) for level in found], fontsize="small", rotation=55 if factor in ("initialization", "learning_rate") else 0)
    ax.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    ax.set_title(FACTORS[factor], fontsize="medium")
axes[0, 1].set_ylabel("share that learns")
axes[1, 0].set_ylabel("share that learns")
starts = {level: k / n for level, (n, k) in survival("initialization", alive).items()}
report.figure(
    fig, name="fig-zoo-survival",
    caption=f"First panel: accuracy of {len(settings)} networks on the test images; those right of the dashed line are kept. The others: share kept, by the values of each setting, with Wilson's intervals, which hold the true share in 19 of 20 cases. Grey: the seed, which should not matter."
    + f" Batch sizes are those of the grid; here they are {divisor} times smaller." * (divisor > 1),
    alt=f"{alive.sum()} of {len(alive)} accuracies lie right of the line, most others near 0.1. By initial weights the bars go from {min(starts.values()):.2f} to {max(starts.values()):.2f}; "
    f"the largest gap is {gaps[order[0]]:.2f} ({FACTORS[order[0]]}), that of the seed {gaps['seed']:.2f}.",
)
# fmt: on


# %% tags=["hide-input"]
# fmt: off
LEVELS = grids.DOMAIN | {"initialization": ("normal", "default", "xavier", "kaiming")}  # from small weights to large


def cells(rows, columns, where):
    """Return counts of some networks, and of those that learned, for each pair of levels of two factors."""
    n, k = (np.zeros((len(LEVELS[rows]), len(LEVELS[columns])), int) for _ in range(2))
    for one, good in [(drawn[i], alive[i]) for i in np.flatnonzero(where)]:
        at = LEVELS[rows].index(getattr(one, rows)), LEVELS[columns].index(getattr(one, columns))
        n[at] += 1
        k[at] += int(good)
    return n, k


def draw_cells(ax, rows, columns, where):
    """Draw the share of networks that learned for each pair of levels, with its counts."""
    n, k = cells(rows, columns, where)
    shares = np.where(n > 0, k / np.maximum(n, 1), np.nan)
    ax.imshow(shares, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(n.shape):
        if n[i, j]:
            ax.text(j, i, f"{k[i, j]}/{n[i, j]}", ha="center", va="center", color="w" if shares[i, j] < 0.6 else "k")
    for side, factor in (("x", columns), ("y", rows)):
        getattr(ax, f"set_{side}ticks")(range(len(LEVELS[factor])), [SHORT.get(level, str(level)) for level in LEVELS[factor]])
        getattr(ax, f"set_{side}label")(FACTORS[factor])
    ax.spines[:].set_visible(False)
# fmt: on


# %% tags=["hide-input"]
# fmt: off
fast = np.array([one.optimizer == "adam" and one.learning_rate > 0.01 for one in drawn])
decayed = np.array([one.weight_decay > 0 for one in drawn])
small = np.array([one.initialization in ("normal", "default") for one in drawn])
CASES = {"adam-fast": fast, "small-decay": ~fast & small & decayed, "large-decay": ~fast & ~small & decayed, "small-plain": ~fast & small & ~decayed, "large-plain": ~fast & ~small & ~decayed}
told = {key: f"{alive[case].sum()} of {case.sum()}" for key, case in CASES.items()}
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
draw_cells(axes[0], "optimizer", "learning_rate", np.full(len(drawn), True))
draw_cells(axes[1], "weight_decay", "initialization", ~fast)
report.figure(
    fig, name="fig-zoo-cells",
    caption="How many networks learn, and how many there are, for pairs of values. Left: all. Right: all but those of Adam at the two large learning rates; initial weights from small to large. Bright: all learn, dark: none; white: no such network in the sample.",
    alt=f"Left: with Adam at the two large rates {told['adam-fast']} learn. Right: with decay, the two columns of small weights are dark, {told['small-decay']}, those of large weights brighter, {told['large-decay']}.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def share(key, survived, **options):
    """Report the share of networks that survived, with its interval."""
    k, n = int(survived.sum()), len(survived)
    low, high = wilson(k, n)
    report.number(f"M0-lenet-grid/{key}", k / n, unit="share", n=n, spread=(high - low) / 3.92, **{"tol": 0.15} | options)
    report.number(f"M0-lenet-grid/{key}-low", low, unit="share", tol=0.15)
    report.number(f"M0-lenet-grid/{key}-high", high, unit="share", tol=0.15)


TOTAL, FILES = len(grids.full()), published.value("M0-lenet-grid/kept-files")["value"]
NEAR = (FILES / TOTAL - 0.06, FILES / TOTAL + 0.06)
report.number("M0-lenet-grid/models", len(settings), tol=0)
report.number("M0-lenet-grid/images", len(learn.labels), tol=0)
report.number("M0-lenet-grid/parameters", sum(p.numel() for p in models.lenet5().parameters()), tol=0, agree=0, label="parameters of a LeNet-5")
report.number("M0-lenet-grid/grid", len(set(grids.full())), tol=0, agree=0, label="different settings in the grid")
share("share", alive, agree=NEAR, label="share of the networks that reach 60 %", note=f"its files: {FILES:,} of {TOTAL:,}; agreement: within 0.06, about the standard error of 64 networks")
share("share-untrained", untrained >= least, agree=NEAR, label="the same networks before training")
report.number("M0-lenet-grid/kept-files", round(alive.mean() * TOTAL), tol=800, agree=round(0.06 * TOTAL), label="networks kept, of the whole grid", note="our share times the size of the grid")
report.number("M0-lenet-grid/published-share", FILES / TOTAL, unit="share", tol=0)
report.number("M0-lenet-grid/gap-first", gaps[order[0]], unit="share", tol=0.2, label="survival: largest less smallest over the values of one setting, the most decisive one")
report.number("M0-lenet-grid/gap-start", gaps["initialization"], unit="share", tol=0.2, label="the same, initial weights")
report.number("M0-lenet-grid/gap-seed", gaps["seed"], unit="share", tol=0.2, label="the same, seed")
report.number("M0-lenet-grid/gap-chance", float(np.quantile(by_chance[:, 1:], 0.95)), unit="share", tol=0.1, label="the same, if chance decided who learns: 19 of 20 are smaller")
report.number("M0-lenet-grid/gap-chance-largest", float(np.quantile(by_chance[:, 1:].max(1), 0.95)), unit="share", tol=0.1, label="the same, the largest of the settings with four values")
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
WORDS = {"adam-fast": "Adam at a rate of 0.05 or 0.1", "small-decay": "small initial weights, with decay", "large-decay": "large initial weights, with decay", "small-plain": "small initial weights, no decay", "large-plain": "large initial weights, no decay"}
for key, case in CASES.items():
    if case.any():
        share(key, alive[case], tol=0.3, label=f"share that learns: {WORDS[key]}")
for level in LEVELS["initialization"]:
    begun = populations.build(grids.Setting("sgd", 0.01, 0, 1, 0, level, 32), size=size)
    size_of = torch.cat([p.detach().flatten() for key, p in begun.named_parameters() if key.endswith("weight")]).square().mean().sqrt()
    report.number(f"M0-lenet-grid/weights-{level}", float(size_of), tol=0.002, label=f"root mean square of initial weights, {level}")
report.source("the document's code and files, no network of ours")
report.number("M0-lenet-grid/kept", FILES, tol=0, agree=(4001, 8192), label="networks that the document kept: its sentence and its files", note="3,973 files are not more than 4,000")
spared = [one for one in grids.full() if not (one.optimizer == "adam" and one.learning_rate > 0.01) and not (one.weight_decay > 0 and one.initialization in ("normal", "default"))]
report.number("M0-lenet-grid/spared", len(spared), tol=0, label="settings of the grid with neither Adam at a large rate nor decay on small weights")
# fmt: on

# %% [markdown]
r"""
**What to notice.** {glue:text}`M0-lenet-grid/share:.1%` of our {glue:text}`M0-lenet-grid/models` networks learn (interval {glue:text}`M0-lenet-grid/share-low:.0%` to {glue:text}`M0-lenet-grid/share-high:.0%`; recorded
{recorded}`M0-lenet-grid/share`, {recorded}`M0-lenet-grid/share-low` to {recorded}`M0-lenet-grid/share-high`, of {recorded}`M0-lenet-grid/models`). Before training none does. The document says "more than {published}`M0-lenet-grid/kept`", but its own files
are {published}`M0-lenet-grid/kept-files`, {glue:text}`M0-lenet-grid/published-share:.1%` of the grid. The sentence and the files contradict each other, by a little. We keep a smaller share than the document; below we ask whether our fewer steps can explain it.

Two things stand out. Of the networks of Adam at the two large learning rates {glue:text}`M0-lenet-grid/adam-fast:.0%` learn (recorded {recorded}`M0-lenet-grid/adam-fast`). And, among all others, weight decay meets small initial weights: of the networks that begin
with normal weights (a standard deviation of one hundredth) or with the framework's default, {glue:text}`M0-lenet-grid/small-decay:.0%` learn with decay (recorded {recorded}`M0-lenet-grid/small-decay`); of those with the larger weights of Glorot (Xavier) or
He (Kaiming), {glue:text}`M0-lenet-grid/large-decay:.0%` do (recorded {recorded}`M0-lenet-grid/large-decay`). Without decay, {glue:text}`M0-lenet-grid/small-plain:.0%` of the small ones learn (recorded {recorded}`M0-lenet-grid/small-plain`), but these are
very few networks: the figure has the counts. A likely reason: small weights make a small signal,
smaller with every layer, and small gradients. Where the gradient is weaker than the pull of the decay, the weights shrink, and the gradient with them. Larger weights can win this race.

These are not laws. Without an exception, {glue:text}`M0-lenet-grid/spared:,` networks of the grid could learn at most. The document kept more, so some of its networks did learn under such settings. A share of zero in a sample this small leaves room for them.

The seed is our control. Its values differ by {glue:text}`M0-lenet-grid/gap-seed:.0%`; if chance alone dealt out the survivors, a gap of {glue:text}`M0-lenet-grid/gap-chance:.0%` would still not surprise us (recorded {recorded}`M0-lenet-grid/gap-seed` and
{recorded}`M0-lenet-grid/gap-chance`). Read the panels with that in mind: of a few dozen networks only a large gap means something. The initial weights reach {glue:text}`M0-lenet-grid/gap-start:.0%` (recorded {recorded}`M0-lenet-grid/gap-start`). By chance, the largest gap of the six settings with four values would
be {glue:text}`M0-lenet-grid/gap-chance-largest:.0%` at most in 19 of 20 cases (recorded {recorded}`M0-lenet-grid/gap-chance-largest`).

So what is kept is not a random half of the grid. And it is chosen by the *test* images, from which the samples are then taken.

### Fewer images, fewer steps

We train on fewer images than the document, so with the same epochs a network takes fewer steps. Which way does that move the share? We train those with one epoch again, for several.
"""

# %%
short = [k for k, one in enumerate(settings) if one.epochs == 1]
again = [settings[k]._replace(epochs=longer) for k in short]
more = zoo.fit(again, *training, test=held_out, **options)

# %% tags=["remove-cell"]
# fmt: off
of(f"{len(short)} LeNets with one epoch, and with {longer}")
before, after = alive[short], np.asarray(more.accuracies, float) >= least
report.number("M0-lenet-grid/one-epoch", int(before.sum()), tol=3, n=len(short), label=f"networks that learn in one epoch, of {len(short)}")
report.number("M0-lenet-grid/more-epochs", int(after.sum()), tol=3, n=len(short), label=f"the same settings, {longer} epochs")
share("longer-share", after, tol=0.3, label="the same as a share")
report.number("M0-lenet-grid/gained", int((after & ~before).sum()), tol=3)
report.number("M0-lenet-grid/lost", int((before & ~after).sum()), tol=3)
report.number("M0-lenet-grid/short", len(short), tol=0)
report.number("M0-lenet-grid/longer", longer, tol=0)
# fmt: on

# %% [markdown]
r"""
Of {glue:text}`M0-lenet-grid/short` settings {glue:text}`M0-lenet-grid/one-epoch` learn in one epoch and {glue:text}`M0-lenet-grid/more-epochs` in {glue:text}`M0-lenet-grid/longer`: {glue:text}`M0-lenet-grid/gained` more do, and
{glue:text}`M0-lenet-grid/lost` no longer (recorded {recorded}`M0-lenet-grid/short`, {recorded}`M0-lenet-grid/one-epoch` and {recorded}`M0-lenet-grid/more-epochs`: {recorded}`M0-lenet-grid/gained` more, {recorded}`M0-lenet-grid/lost` fewer).
In the recorded run this is as many steps as the document's one epoch has. Most of the networks that do not learn in time do not learn later either. But the share that learns now has an interval from
{glue:text}`M0-lenet-grid/longer-share-low:.0%` to {glue:text}`M0-lenet-grid/longer-share-high:.0%` (recorded {recorded}`M0-lenet-grid/longer-share-low` to {recorded}`M0-lenet-grid/longer-share-high`), and the document's is in it. Steps may explain all of the difference or a part of it: so few networks cannot tell.

## Which images are asked about

For each network the document goes through the test images in their fixed order, and takes the first {published}`M1-sample-select/right-per-digit` of each class that the network gets right and the first {published}`M1-sample-select/wrong-per-digit` that
it gets wrong.

:::{admonition} Guess first
:class: tip
A good network gets nearly everything right. So of the right ones, which images will nearly every network be asked about? And how many different images are there among all right samples?
:::
"""

# %%
weights = {key: value.to(device) for key, value in kept.state().items()}  # (networks, ...) each
predictions = populations.logits(weights, held_out.images).argmax(-1)
selection = robustness.select(predictions, held_out.labels, n_per_class)
f"{len(selection.image):,} pairs of a network and an image"

# %% tags=["hide-input"]
# fmt: off
at_model, at_image, right_type = (part.cpu().numpy() for part in selection[:3])
networks = populations.unstack(weights, size=size)
of(f"{len(kept)} kept LeNets, {len(held_out.labels):,} test images")
asked = {kind: np.bincount(at_image[right_type == flag], minlength=len(held_out.labels)) / len(kept) for kind, flag in (("right", True), ("wrong", False))}
digit = int(np.argmax([sum(asked["wrong"][held_out.labels.numpy() == c]) for c in range(10)]))
first = np.flatnonzero(held_out.labels.numpy() == digit)[:14]
fig = plt.figure(figsize=(7, 4.6), layout="constrained")
parts = fig.subfigures(2, 1, height_ratios=[1, 1.5])
axes = parts[0].subplots(2, len(first), gridspec_kw={"height_ratios": [1, 1]})
for ax, below, k in zip(*axes, first, strict=True):
    plots.image(held_out.images[k].numpy(), ax=ax)
    below.bar([0, 1], [asked["right"][k], asked["wrong"][k]], color=["C0", "C1"])
    below.set(ylim=(0, 1), xticks=[], yticks=[])
axes[1, 0].set_yticks([0, 1])
axes[1, 0].set_ylabel("share", fontsize="small")
ax = parts[1].subplots()
for kind, colour in (("right", "C0"), ("wrong", "C1")):
    often = np.sort(asked[kind])[::-1]
    ax.plot(np.arange(1, (often > 0).sum() + 1), often[often > 0], color=colour, label=f"{kind}: {(often > 0).sum()} different images")
ax.set(xscale="log", xlabel="images, the one asked about most often first", ylabel="share of the networks", ylim=(0, 1.03))
ax.legend()
report.figure(
    fig, name="fig-zoo-asked",
    caption=f"Above: the first {len(first)} test images of the digit {digit}, and below each the share of the {len(kept)} kept networks that are asked about it as a right (blue) and as a wrong prediction (orange). Below: the same shares for all images, in order.",
    alt=f"Of the {len(first)} digits {int((asked['right'][first] > asked['wrong'][first]).sum())} have the longer bar in blue; blue reaches {asked['right'][first].max():.2f}, orange {asked['wrong'][first].max():.2f}. Below, the blue curve stays near 1 for {int((asked['right'] > 0.9).sum())} images and then drops, the orange one falls from {asked['wrong'].max():.2f} in a long tail.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
per_model = np.bincount(at_model, minlength=len(kept))
rank_in_class = np.zeros(len(held_out.labels), int)
for c in range(10):
    members = np.flatnonzero(held_out.labels.numpy() == c)
    rank_in_class[members] = np.arange(len(members))
report.number("M1-sample-select/samples", int(per_model.max()), tol=5, agree=0, label="pairs of a model, at most")
report.number("M1-sample-select/pairs-per-model", per_model.mean(), spread=per_model.std(ddof=1), n=len(per_model), tol=8, agree=1.6, label="pairs of a model, mean over the kept ones")
report.number("M1-sample-select/right-images", int((asked["right"] > 0).sum()), tol=40, label="different images among the right samples")
report.number("M1-sample-select/wrong-images", int((asked["wrong"] > 0).sum()), tol=200, label="different images among the wrong samples")
report.number("M1-sample-select/right-pairs", int(right_type.sum()), tol=300)
report.number("M1-sample-select/wrong-pairs", int((~right_type).sum()), tol=300)
report.number("M1-sample-select/first", float((rank_in_class[at_image[right_type]] < n_per_class).mean()), unit="share", tol=0.1, label=f"right samples that are among the first {n_per_class} images of their class")
report.number("M1-sample-select/first-wrong", float((rank_in_class[at_image[~right_type]] < n_per_class).mean()), unit="share", tol=0.1, label="the same, wrong samples")
report.number("M1-sample-select/first-right", float(right_type[rank_in_class[at_image] < n_per_class].mean()), unit="share", tol=0.1, label="samples of these first images that are right ones")
report.number("M1-sample-select/later-right", float(right_type[rank_in_class[at_image] >= n_per_class].mean()), unit="share", tol=0.1, label="the same, all other images")
taken = selection.taken.cpu().numpy()  # (networks, classes, right and wrong)
report.number("M1-sample-select/short-wrong", float((taken[..., 1] < n_per_class).mean()), unit="share", tol=0.2, label="classes of a model with too few wrong predictions")
report.number("M1-sample-select/short-right", float((taken[..., 0] < n_per_class).mean()), unit="share", tol=0.1, label="classes of a model with too few right predictions")
report.number("M1-sample-select/images", len(held_out.labels), tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The {glue:text}`M1-sample-select/right-pairs:,` right samples show only {glue:text}`M1-sample-select/right-images` different images, and {glue:text}`M1-sample-select/first:.0%` of them are among the first ten of their class (recorded
{recorded}`M1-sample-select/right-pairs` samples, {recorded}`M1-sample-select/right-images` images, {recorded}`M1-sample-select/first`). The {glue:text}`M1-sample-select/wrong-pairs:,` wrong samples show
{glue:text}`M1-sample-select/wrong-images` images (recorded {recorded}`M1-sample-select/wrong-pairs` and {recorded}`M1-sample-select/wrong-images`): more for their number, since networks differ in what they get wrong.
So a judge who knows the images by heart knows much of the answer: samples of these first images are right in {glue:text}`M1-sample-select/first-right:.0%` of the cases, those of all others in {glue:text}`M1-sample-select/later-right:.0%`
(recorded {recorded}`M1-sample-select/first-right` and {recorded}`M1-sample-select/later-right`). We come back to that.

Good networks do not have enough wrong predictions of every class, the less the fewer test images there are. Of all classes of all networks, {glue:text}`M1-sample-select/short-wrong:.1%` have too few (recorded {recorded}`M1-sample-select/short-wrong`). Then fewer are taken: {glue:text}`M1-sample-select/pairs-per-model:.1f`
pairs a network (recorded {recorded}`M1-sample-select/pairs-per-model`; the document's {published}`M1-sample-select/pairs-per-model`).

## Noise

The document adds Gaussian noise to an image and draws it for growing scales.
"""

# %% tags=["hide-input"]
# fmt: off
report.source(f"the first test image of each class of {'MNIST' if pictures == 'mnist' else pictures}", stand_in=STAND_IN and "MNIST" if pictures != "mnist" else None)
scales = np.round(np.arange(11) * 0.1, 1)
pixels = held_out.images.float().to(device) / 255
ten = torch.stack([pixels[held_out.labels == c][0].cpu() for c in range(10)])
one_noise = torch.randn(ten.shape, generator=dice(1))
fig = plt.figure(figsize=(7, 6.6))
axes = plots.grid(len(ten), len(scales), figure=fig, wspace=0.03, hspace=0.03)
for line, image, noise in zip(axes, ten, one_noise, strict=True):
    for ax, scale in zip(line, scales, strict=True):
        plots.image((image + scale * noise).clamp(0, 1).numpy(), ax=ax)
for ax, scale in zip(axes[0], scales, strict=True):
    ax.set_title(f"{scale:g}", fontsize="small", color="C1" if scale == sigma else "k")
beyond = float(((ten + sigma * one_noise < 0) | (ten + sigma * one_noise > 1)).double().mean())
report.figure(
    fig, name="fig-zoo-noise",
    caption="The first test image of each digit under Gaussian noise; above each column its standard deviation, if black is 0 and white is 1. Orange: the scale of the labels. Drawn between 0 and 1; the networks get all values, also those beyond.",
    alt=f"A grid of {len(ten)} digits in {len(scales)} columns, clear on the left, in ever coarser snow to the right; at {sigma} the strokes are hard to tell from the snow, and {beyond:.2f} of the pixels lie beyond black or white.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("M2c-noise-figure/digits", len(ten), unit="images", tol=0, agree=0, label="digits in the noise figure")
report.number("M2c-noise-figure/scales", len(scales), unit="noise scales", tol=0, agree=0, label="its noise scales")
report.number("M2c-noise-figure/largest-scale", float(scales[-1]), tol=0, agree=0.001, label="its largest scale")
report.number("M2c-noise-figure/scale-step", float(scales[1] - scales[0]), tol=0, agree=0.001, label="its step")
report.number("M2c-noise-figure/beyond", beyond, unit="share", tol=0.03, label=f"pixels beyond black or white at {sigma}")
report.number("M2c-noise-figure/clean-beyond", float(((ten < 0) | (ten > 1)).double().mean()), unit="share", tol=0, label="the same without noise")
# fmt: on

# %% [markdown]
r"""
Nothing is clipped: at the scale of the labels {glue:text}`M2c-noise-figure/beyond:.0%` of the pixels are darker than black or brighter than white, values that no network of the zoo has met in training.

The label of a prediction is then simple. Take many noisy copies of the image, and count how many get the same answer as the image itself. The share is the {term}`confidence ratio`. (Step three of the document's recipe counts the answers
that *change*; its code and its examples count those that stay. So do we.)

:::{admonition} Guess first
:class: tip
A network of ten classes sees a digit in heavy noise. What ratio do you expect for an image that it gets right, and what for one that it gets wrong?
:::
"""


# %%
@torch.no_grad()
def answers(model, images, n, generator, common=False):
    """Return the class that a network gives to n noisy copies of each image: (images, n)."""
    found, shape = [], (n, *images.shape[1:])
    noise = torch.randn(shape, generator=generator)
    for image in images:
        if not common:
            noise = torch.randn(shape, generator=generator)
        found.append(model(image + sigma * noise.to(image)).argmax(1))
    return torch.stack(found)


def stays(model, images, *args, **options):
    """Return whether each noisy copy keeps the answer of its image: (images, n)."""
    with torch.no_grad():
        clean = model(images).argmax(1)
    return answers(model, images, *args, **options) == clean[:, None]


noisy = {"sigma": sigma, "n_copies": n_copies}
table = pairs.write(
    population.folder.with_name(f"{population.folder.name}-pairs"), weights, pixels, held_out.labels, selection,
    generator=dice(4), noise="common", progress=False, **noisy,
)  # fmt: skip
ratios = np.asarray(table.ratio, float)


# %% tags=["hide-input"]
# fmt: off
of(f"four predictions of one LeNet, {n_copies:,} copies")
by_accuracy = np.argsort(np.asarray(kept.accuracies))
median_model = int(by_accuracy[len(by_accuracy) // 2])
network = networks[median_model]
mine = np.flatnonzero(at_model == median_model)
mine = mine[np.argsort(ratios[mine], kind="stable")]
goods, bads = mine[right_type[mine]], mine[~right_type[mine]]
rows = [goods[-1], goods[len(goods) // 2], goods[len(goods) // 10], bads[-1]]
copies = torch.randn(9, 1, size, size, generator=dice(2))
fig = plt.figure(figsize=(7, 3.9))
axes = plots.grid(len(rows), 10, figure=fig, hspace=0.34, wspace=0.14)
for line, pair, image in zip(axes, rows, pixels[at_image[rows]], strict=True):
    under = image + sigma * copies.to(image)
    with torch.no_grad():
        given = network(torch.cat([image[None], under])).argmax(1).cpu().numpy()
    for ax, picture, answer in zip(line, [image, *under], given, strict=True):
        plots.image(picture.clamp(0, 1).cpu().numpy(), ax=ax)
        colour = "C0" if answer == given[0] else "C1"
        ax.set_title(str(answer), fontsize="small", color=colour, pad=2)
        ax.spines[:].set(visible=True, color=colour, linewidth=2)
    line[0].spines[:].set(color="k")
    line[0].set_ylabel("right" if right_type[pair] else "wrong", fontsize="small")
    line[-1].text(1.12, 0.5, f"{ratios[pair]:.2f}", transform=line[-1].transAxes, va="center")
report.figure(
    fig, name="fig-zoo-copies",
    caption=f"Four predictions of one network: the image, nine of its noisy copies, and on the right the ratio of {n_copies:,}. Above each picture the answer; blue frames keep that of the image, orange ones change it. Last row: a wrong prediction.",
    alt="Four rows of a digit and nine noisy copies in blue or orange frames; the ratios are " + ", ".join(f"{ratios[pair]:.2f}" for pair in rows) + ", the last for a wrong answer.",
)
# fmt: on

# %% [markdown]
r"""
## What the labels look like

Below are all labels, of right and of wrong predictions, and beside them the mean label of every network of the grid, learned or not, on the same few images.
"""

# %%
few = torch.cat([pixels[held_out.labels == c][: n_common // 10] for c in range(10)])
all_weights = {key: value.to(device) for key, value in population.state().items()}
every = robustness.ratios(all_weights, few, **noisy, generator=dice(4))
every = every.cpu().numpy()  # (networks, images)
mean_labels = every.mean(1)

# %% tags=["hide-input"]
# fmt: off
of(f"{len(ratios):,} predictions of {len(kept)} LeNets, {n_copies:,} copies")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), layout="constrained", width_ratios=[1.15, 1])
bins = np.linspace(0, 1, 21)
for flag, text, colour in ((True, "right", "C0"), (False, "wrong", "C1")):
    axes[0].hist(ratios[right_type == flag], bins=bins, density=True, histtype="stepfilled", alpha=0.55, color=colour, label=text)
axes[0].set(xlabel="confidence ratio", ylabel="density")
axes[0].legend()
axes[1].plot(accuracies[alive], mean_labels[alive], "o", ms=5, color="C2", label="kept")
axes[1].plot(accuracies[~alive], mean_labels[~alive], "x", ms=6, color="k", label="not kept")
axes[1].set(xlabel="accuracy of the network", ylabel="its mean ratio", xlim=(0, 1.02), ylim=(0, 1.04))
axes[1].legend(loc="lower center")
constant = (accuracies < 0.2) & np.isfinite(mean_labels)
report.figure(
    fig, name="fig-zoo-ratios",
    caption=f"Left: ratios of {len(ratios):,} predictions of the kept networks. Right: for every network of the grid its accuracy and its mean ratio on {len(few)} test images that are the same for all.",
    alt=f"Left: two wide, overlapping heaps, means {ratios[right_type].mean():.2f} right and {ratios[~right_type].mean():.2f} wrong. Right: {constant.sum()} crosses near accuracy 0.1, mean ratios from {mean_labels[constant].min():.2f} to {mean_labels[constant].max():.2f}, {mean_labels[constant].mean():.2f} on average; dots of kept networks at {mean_labels[alive].mean():.2f} on average.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def grouped(values, groups):
    """Return the share of the variance that group means explain, corrected for the number of groups."""
    codes = np.unique(groups, return_inverse=True, axis=0)[1].ravel()
    counts_of = np.bincount(codes)
    within = values - (np.bincount(codes, values) / counts_of)[codes]
    n, g = len(values), len(counts_of)
    return 1 - (within @ within / (n - g)) / values.var(ddof=1)


calm = robustness.selected_ratios(weights, pixels, selection, sigma=sigma / 9, n_copies=min(n_copies, 100), generator=dice(4)).cpu().numpy()
report.number("M2-ratio-labels/noise-scale", sigma, tol=0, agree=0, label="noise scale")
report.number("M2-ratio-labels/copies", n_copies, tol=0, label="copies for each label")
report.number("M2-ratio-labels/right", ratios[right_type].mean(), spread=ratios[right_type].std(ddof=1), n=int(right_type.sum()), tol=0.1, label="mean ratio, right predictions")
report.number("M2-ratio-labels/wrong", ratios[~right_type].mean(), spread=ratios[~right_type].std(ddof=1), n=int((~right_type).sum()), tol=0.1, label="mean ratio, wrong predictions")
report.number("M2-ratio-labels/auroc", float(statistics.auroc(ratios, right_type)), unit="share", tol=0.1, label="how often a right prediction has a higher ratio than a wrong one")
report.number("M2-ratio-labels/auroc-control", float(statistics.auroc(ratios, np.random.default_rng(seed).permutation(right_type))), unit="share", tol=0.1, label="the same, labels dealt out by chance")
report.number("M2-ratio-labels/ratio-variance", ratios.var(ddof=1), n=len(ratios), tol=0.02, agree=0.02, label="variance of the ratio")
report.number("M2-ratio-labels/variance-calm", calm.var(ddof=1), n=len(ratios), tol=0.02, agree=(0.062, 0.102), label="the same at a ninth of the noise")
answer_of = predictions[at_model, at_image].cpu().numpy()
report.number("M2-ratio-labels/by-answer", grouped(ratios, np.stack([at_model, answer_of], 1)), unit="share", tol=0.1, label="variance of the ratio that network and answer explain")
report.number("M2-ratio-labels/by-image", max(0.0, grouped(ratios, at_image[:, None])), unit="share", tol=0.15, label="the same, the image alone")
report.number("M2-ratio-labels/by-model", max(0.0, grouped(ratios, at_model[:, None])), unit="share", tol=0.15, label="the same, the network alone")
report.number("M2-ratio-labels/by-chance", grouped(np.random.default_rng(seed).permutation(ratios), np.stack([at_model, answer_of], 1)), unit="share", tol=0.1, label="the same, ratios dealt out by chance")
report.number("M2-ratio-labels/sure-and-wrong", float((ratios[~right_type] > 0.9).mean()), unit="share", tol=0.1, label="wrong predictions with a ratio above 0.9")
report.number("M2-ratio-labels/constant", float(mean_labels[constant].mean()), n=int(constant.sum()), tol=0.1, label="mean ratio of networks with an accuracy below 0.2")
report.number("M2-ratio-labels/constant-networks", int(constant.sum()), tol=4)
report.number("M2-ratio-labels/constant-high", int((mean_labels[constant] > 0.9).sum()), tol=4, label="of these, networks with a mean ratio above 0.9")
report.number("M2-ratio-labels/kept-mean", float(mean_labels[alive].mean()), n=int(alive.sum()), tol=0.1, label="the same, kept networks")
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
given = torch.stack([answers(one, few, 20, dice(7)) for one in networks]).flatten(1).cpu()
clean_given = populations.logits(weights, few).argmax(-1).cpu()
for key, one in (("favourite", given), ("favourite-clean", clean_given)):
    largest = [np.sort(np.bincount(row.numpy(), minlength=10))[-3:].sum() / one.shape[1] for row in one]
    report.number(f"M2-ratio-labels/{key}", float(np.mean(largest)), n=len(largest), unit="share", tol=0.1, label="share of a network's answers that fall to three classes, " + ("noisy copies" if key == "favourite" else "clean images"))
loop = stays(network, pixels[at_image[mine]], n_copies, dice(4), common=True).double().mean(1).cpu().numpy()
other = stays(network, pixels[at_image[mine]], n_copies, dice(5), common=True).double().mean(1).cpu().numpy()
report.number("M2-ratio-labels/loop", float(np.abs(loop - ratios[mine]).max()), tol=0.02, agree=(0, 1.5 / n_copies), label="largest difference between the labels and a plain loop over the same copies")
report.number("M2-ratio-labels/loop-control", float(np.abs(other - ratios[mine]).max()), tol=0.2, agree=(0, 1.5 / n_copies), label="the same, other copies")
# fmt: on

# %% [markdown]
r"""
**What to notice.** The mean ratio is {glue:text}`M2-ratio-labels/right:.2f` for right and {glue:text}`M2-ratio-labels/wrong:.2f` for wrong predictions (recorded {recorded}`M2-ratio-labels/right` and {recorded}`M2-ratio-labels/wrong`). Of a right one and a wrong one, the right one has the higher
ratio in {glue:text}`M2-ratio-labels/auroc:.0%` of the cases (recorded {recorded}`M2-ratio-labels/auroc`); where right and wrong are dealt out by chance it is {glue:text}`M2-ratio-labels/auroc-control:.0%` (recorded {recorded}`M2-ratio-labels/auroc-control`). Robust and right are two things: {glue:text}`M2-ratio-labels/sure-and-wrong:.1%` of the wrong predictions have
a ratio above nine tenths (recorded {recorded}`M2-ratio-labels/sure-and-wrong`). The variance is {glue:text}`M2-ratio-labels/ratio-variance:.3f` (recorded {recorded}`M2-ratio-labels/ratio-variance`); from the document's logs follows
{published}`M2-ratio-labels/ratio-variance`.

The right panel is the warning. Of the {glue:text}`M2-ratio-labels/constant-networks` networks that learned nothing, {glue:text}`M2-ratio-labels/constant-high` answer so much the same to anything that noise hardly ever changes it: their mean ratio is above nine tenths (recorded
{recorded}`M2-ratio-labels/constant-high` of {recorded}`M2-ratio-labels/constant-networks`). A few others have low ratios: under noise they mostly change to another class. All of them together have a mean of {glue:text}`M2-ratio-labels/constant:.2f`, the kept ones of
{glue:text}`M2-ratio-labels/kept-mean:.2f` (recorded {recorded}`M2-ratio-labels/constant` and {recorded}`M2-ratio-labels/kept-mean`). A ratio of one is what a stopped clock has, too.

Something of the clock is left in good networks. Under this noise a network falls back to favourite answers: three classes get {glue:text}`M2-ratio-labels/favourite:.0%` of its answers to images of all ten digits, without noise
{glue:text}`M2-ratio-labels/favourite-clean:.0%` (recorded {recorded}`M2-ratio-labels/favourite` and {recorded}`M2-ratio-labels/favourite-clean`). Where the clean answer is the favourite, the ratio is high, whatever the image. Which network it is and
which class it answers explain {glue:text}`M2-ratio-labels/by-answer:.0%` of the variance of the ratios, the image alone {glue:text}`M2-ratio-labels/by-image:.0%` (recorded {recorded}`M2-ratio-labels/by-answer` and
{recorded}`M2-ratio-labels/by-image`; chance {glue:text}`M2-ratio-labels/by-chance:.1%`). So much of a ratio can be told from the network and its answer, without another look at the image.

## "Converges" beyond 100 copies

The document: with more than {published}`M2b-ratio-converges/converged` copies "the approximated ratio will converge". To be more accurate it takes {published}`M2b-ratio-converges/copies`. A label is a mean of $n$ yes-or-no answers, each yes with probability $p$. For independent copies its standard deviation is

$$
\sqrt{p (1 - p) / n} ,
$$

which shrinks for ever and jumps nowhere.

:::{admonition} Guess first
:class: tip
The true ratio of a prediction is one half. By how much will two labels of it, from 100 copies each, typically differ?
:::
"""

# %%
levels = np.quantile(ratios[mine], [0.1, 0.3, 0.5, 0.7, 0.9])
five = pixels[at_image[[mine[np.abs(ratios[mine] - one).argmin()] for one in levels]]]
stream = [stays(network, five, 1000, dice(100 + k)).cpu() for k in range(n_stream // 1000)]
stream = torch.cat(stream, 1).double().numpy()


def spread(stream, n):
    """Return the standard deviation of labels from n copies each: (predictions,)."""
    blocks = stream[:, : stream.shape[1] // n * n].reshape(len(stream), -1, n)
    return blocks.mean(2).std(1, ddof=1)


truth = stream.mean(1)
measured = np.stack([spread(stream, n) for n in counts])
law = np.sqrt(truth * (1 - truth) / np.array(counts)[:, None])

# %% tags=["hide-input"]
# fmt: off
of(f"five predictions of one LeNet, {n_stream:,} copies of each")
unsure = int(np.abs(truth - 0.5).argmin())
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), layout="constrained")
n_runs = min(25, n_stream // 400)
steps = np.arange(1, n_stream // n_runs + 1)
running = stream[unsure, : n_runs * len(steps)].reshape(n_runs, -1).cumsum(1) / steps
axes[0].plot(steps, running.T, color="C0", lw=0.7, alpha=0.5)
width = 2 * np.sqrt(truth[unsure] * (1 - truth[unsure]) / steps)
for sign in (-1, 1):
    axes[0].plot(steps, truth[unsure] + sign * width, color="k", lw=1.2)
axes[0].axvline(100, color="C1", ls="--", lw=1.2)
axes[0].set(xscale="log", xlim=(5, steps[-1]), ylim=(0, 1), xlabel="noisy copies so far", ylabel="ratio so far")
for k in range(len(five)):
    axes[1].plot(counts, measured[:, k], "o", ms=5, color=f"C{k}", label=f"{truth[k]:.2f}")
    axes[1].plot(counts, law[:, k], color=f"C{k}", lw=1)
axes[1].axvline(100, color="C1", ls="--", lw=1.2)
axes[1].set(xscale="log", yscale="log", xlabel="noisy copies, n", ylabel="standard deviation of a label")
axes[1].legend(title="true ratio", fontsize="small", title_fontsize="small")
ticks = [t for t in (0.001, 0.003, 0.01, 0.03, 0.1) if t > 0.8 * measured.min()]
axes[1].set_yticks(ticks, [f"{t:g}" for t in ticks])
axes[1].yaxis.set_minor_formatter("")
at_100 = counts.index(100)
report.figure(
    fig, name="fig-zoo-converges",
    caption=f"Left: {n_runs} times the ratio of one and the same prediction as copies come in; black: two standard deviations by the law. Right: standard deviation of labels from n copies, measured (dots) and by the law (lines), for five predictions. Dashed: the document's 100.",
    alt=f"Left: {n_runs} lines in a funnel around {truth[unsure]:.2f}, still {2 * width[99]:.2f} wide at 100. Right: dots on straight falling lines, at 100 copies from {measured[at_100].min():.3f} to {measured[at_100].max():.3f}, without a step anywhere.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
lively = (truth > 0.02) & (truth < 0.98)
relative = np.sqrt((measured[:, lively] ** 2).mean() / (law[:, lively] ** 2).mean())
slope = np.polyfit(np.log(counts), np.log(np.sqrt((measured[:, lively] ** 2).mean(1))), 1)[0]
report.number("M2b-ratio-converges/law", float(np.mean(measured[:, lively] / law[:, lively])), n=int(lively.sum()), tol=0.15, agree=(0.85, 1.15), label="standard deviation of labels: measured over the law, mean")
report.number("M2b-ratio-converges/law-control", float(np.mean(measured[:, lively] / (law[:, lively] ** 2))), tol=10, agree=(0.85, 1.15), label="the same, without the root")
report.number("M2b-ratio-converges/slope", float(slope), tol=0.1, label="its slope on logarithmic axes", theory=-0.5, agree=0.08)
report.number("M2b-ratio-converges/sd", float(measured[at_100, unsure]), tol=0.02, label="standard deviation of a label from 100 copies, the least sure of five")
report.number("M2b-ratio-converges/converged", float(truth[unsure] * (1 - truth[unsure]) / 0.01**2), unit="copies", tol=600, agree=50, label="copies until the standard deviation of that label is 0.01, by the law", note="the law has no step; 0.01 is our choice, the document names no error")
# fmt: on

# %% [markdown]
r"""
**What to notice.** The funnel narrows, and there is nothing special about 100: there the standard deviation of the least sure of the five labels is {glue:text}`M2b-ratio-converges/sd:.3f` (recorded {recorded}`M2b-ratio-converges/sd`), and two such labels typically differ by the root of two times that.
The measured values are {glue:text}`M2b-ratio-converges/law:.2f` times the law's (recorded {recorded}`M2b-ratio-converges/law`), with a slope of {glue:text}`M2b-ratio-converges/slope:.2f` ({recorded}`M2b-ratio-converges/slope`) against minus
one half. A hundred copies give that label to about five points. To give it to one point, as we choose, takes
{glue:text}`M2b-ratio-converges/converged:,.0f` (recorded {recorded}`M2b-ratio-converges/converged`). The document names no error that it would accept.

Is that enough? It depends on the use. The error adds to the variance of the labels. Where each label has copies of its own, nobody can predict it, and a perfect judge, who knows each $p$, reaches

$$
R^2 = 1 - \frac{\mathrm{mean}\; p (1 - p) / n}{\mathrm{variance\ of\ the\ labels}} .
$$

## One noise for all

The document draws its {published}`M2-ratio-labels/copies` noises once, from a fixed seed, and uses them for every network and every image. The law above holds for each single label all the same. But when one set of noises happens to be a mild one, it is mild for
many predictions at once.

We take some predictions of a few networks, and give each several labels, from disjoint sets of copies: once with noise of its own, once with noise that all share.

:::{admonition} Guess first
:class: tip
The errors of labels are drawn as a picture below, one row for each set of copies, one column for each prediction. What will shared noise look like?
:::
"""

# %%
close = by_accuracy[(np.linspace(0.2, 0.9, n_close) * len(by_accuracy)).astype(int)]
chosen = [
    np.random.default_rng(seed).choice(np.flatnonzero(at_model == m), n_each, replace=False)
    for m in close
]
kept_answers = {
    kind: torch.cat([
        stays(networks[m], pixels[at_image[rows]], n_long, dice(6 if common else 200 + int(m)), common=common)
        for m, rows in zip(close, chosen, strict=True)
    ]).double().cpu().numpy()
    for kind, common in (("own noise", False), ("shared noise", True))
}  # fmt: skip

# %% tags=["hide-input"]
# fmt: off
of(f"{n_close * n_each} predictions of {n_close} LeNets, {n_long:,} copies")
best = np.mean([one.mean(1) for one in kept_answers.values()], 0)
live = (best > 0.05) & (best < 0.95)
whose, which = np.repeat(np.arange(n_close), n_each)[live], answer_of[np.concatenate(chosen)][live]
columns = np.lexsort([which, whose])
errors = {kind: (one[live].reshape(live.sum(), -1, 100).mean(2) - one[live].mean(1, keepdims=True))[columns] for kind, one in kept_answers.items()}
limit = float(np.quantile(np.abs(errors["own noise"]), 0.99))
fig, axes = plt.subplots(2, 1, figsize=(7, 3.8), layout="constrained", sharex=True)
for ax, (kind, each) in zip(axes, errors.items(), strict=True):
    shown_errors = ax.imshow(each.T, cmap=plots.SIGNED, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    for edge in np.flatnonzero(np.diff(whose[columns])) + 0.5:
        ax.axvline(edge, color="k", lw=1)
    ax.set(ylabel="set of copies", yticks=[])
    ax.set_title(kind, fontsize="medium")
axes[1].set(xlabel="predictions, by network and answer", xticks=[])
fig.colorbar(shown_errors, ax=axes, label="error of the label")
means = {kind: each.mean(0).std(ddof=1) for kind, each in errors.items()}
report.figure(
    fig, name="fig-zoo-shared",
    caption=f"Errors of labels from 100 copies, that is label less mean of all sets: one row for each set of copies, one column for each prediction that is not nearly certain; black lines part the {n_close} networks. Red: too high, blue: too low.",
    alt=f"Above: red and blue mixed at random. Below: patches of one colour along the rows, over neighbouring columns of a network. The mean of a row varies by {means['own noise']:.3f} above and by {means['shared noise']:.3f} below.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def mean_correlation(kept, pairs_of):
    """Return the mean correlation of the errors of pairs of labels: the same for any number of copies."""
    return float(np.corrcoef(kept)[pairs_of].mean())


def swapped(kept, n):
    """Return how many pairs of predictions two labels from n copies each put in different orders."""
    blocks = kept[:, : kept.shape[1] // (2 * n) * 2 * n].reshape(len(kept), -1, 2, n).mean(3)
    i, j = np.triu_indices(len(kept), 1)
    difference = blocks[i] - blocks[j]
    return float((difference[..., 0] * difference[..., 1] < 0).mean())


def ceiling(values, n):
    """Return the largest R2 with labels of n copies each, from labels of n_copies."""
    noise = (values * (1 - values)).mean() / (n_copies - 1)  # an unbiased estimate of p (1 - p)
    of_p = values.var(ddof=1) - noise
    return of_p / (of_p + noise * n_copies / n)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
same_net = whose[:, None] == whose
same_answer = same_net & (which[:, None] == which)
upper = np.triu(np.ones_like(same_net), 1)
GROUPS = {"same-answer": same_answer & upper, "same-network": same_net & ~same_answer & upper, "other-network": ~same_net & upper}
active = {kind: one[live] for kind, one in kept_answers.items()}
for kind, one in active.items():
    word = "" if kind == "shared noise" else "-own"
    for group, pairs_of in GROUPS.items():
        report.number(f"M2-ratio-labels/{group}{word}", mean_correlation(one, pairs_of), n=int(pairs_of.sum()), tol=0.1, label=f"mean correlation of two labels' errors, {group.replace('-', ' ')}, {kind}")
    theory = np.sqrt((one.mean(1) * (1 - one.mean(1))).sum()) / len(one)
    report.number(f"M2-ratio-labels/mean-error{word}", float(one.mean(0).std(ddof=1) / theory), tol=3, label=f"error of the mean of {len(one)} labels over that of independent ones, {kind}", agree=(0.8, 1.25))
    report.number(f"M2-ratio-labels/single-error{word}", float(np.mean(one.reshape(len(one), -1, 20).mean(2).std(1, ddof=1) / np.sqrt(one.mean(1) * (1 - one.mean(1)) / 20))), tol=0.2, label=f"error of a single label of 20 copies over the law's, {kind}", agree=(0.85, 1.15))
    for group in ("same-answer", "same-network"):
        i, j = np.nonzero(GROUPS[group])
        gain = np.sqrt((one[i] - one[j]).var(1).mean() / (one[i].var(1) + one[j].var(1)).mean())
        report.number(f"M2-ratio-labels/difference-{group}{word}", float(gain), n=len(i), tol=0.1, agree=(0.97, 1.03), label=f"error of the difference of two labels over that of independent ones, {group.replace('-', ' ')}, {kind}")
report.number("M2b-ratio-converges/swapped", swapped(kept_answers["own noise"], 100), unit="share", tol=0.03, label="pairs of predictions that two labels of 100 copies put in different orders")
for n in (100, 1000):
    report.number(f"M2b-ratio-converges/ceiling-{n}", ceiling(ratios, n), tol=0.01, label=f"largest R2 with labels of {n:,} copies")
halves = kept_answers["own noise"].reshape(len(best), -1, 100).mean(2)
twice = np.mean([np.corrcoef(halves[:, k], halves[:, k + 1])[0, 1] for k in range(0, halves.shape[1] - 1, 2)])
subset_noise = (halves * (1 - halves)).mean() / 99
report.number("M2b-ratio-converges/again", float(twice), tol=0.03, label="correlation of two labels of the same predictions, 100 copies each")
report.number("M2b-ratio-converges/again-formula", float(1 - subset_noise / halves.var(axis=0, ddof=1).mean()), tol=0.03, label="the same by the formula of the largest R2")
# fmt: on

# %% [markdown]
r"""
**What to notice.** With noise of their own, the errors are unrelated: for predictions of one network with one answer their mean correlation is {glue:text}`M2-ratio-labels/same-answer-own:.1g`, with different answers {glue:text}`M2-ratio-labels/same-network-own:.1g` (recorded
{recorded}`M2-ratio-labels/same-answer-own` and {recorded}`M2-ratio-labels/same-network-own`). With shared noise it is {glue:text}`M2-ratio-labels/same-answer:.2f` for predictions of
one network with one answer, {glue:text}`M2-ratio-labels/same-network:.2f` with different answers, and {glue:text}`M2-ratio-labels/other-network:.2f` between networks (recorded {recorded}`M2-ratio-labels/same-answer`,
{recorded}`M2-ratio-labels/same-network` and {recorded}`M2-ratio-labels/other-network`). A single label is as good as before, {glue:text}`M2-ratio-labels/single-error:.2f` of the law (recorded {recorded}`M2-ratio-labels/single-error`). But in the lower picture rows have a colour: the
error of a mean over all these labels is {glue:text}`M2-ratio-labels/mean-error:.1f` times that of independent ones (recorded {recorded}`M2-ratio-labels/mean-error`). What is said about *all* labels has an error that more predictions do not remove. There
is a gain, too: the difference of two predictions of one network with one answer is {glue:text}`M2-ratio-labels/difference-same-answer:.2f` times as uncertain as with own noise, of those with different answers {glue:text}`M2-ratio-labels/difference-same-network:.2f`
times (recorded {recorded}`M2-ratio-labels/difference-same-answer` and {recorded}`M2-ratio-labels/difference-same-network`).

For the document's use the error is small. Even two labels of 100 copies put {glue:text}`M2b-ratio-converges/swapped:.1%` of all pairs of predictions in different orders (recorded {recorded}`M2b-ratio-converges/swapped`). A perfect judge could reach an $R^2$ of {glue:text}`M2b-ratio-converges/ceiling-100:.3f` with labels of 100 copies and {glue:text}`M2b-ratio-converges/ceiling-1000:.3f` with 1,000 (recorded
{recorded}`M2b-ratio-converges/ceiling-100` and {recorded}`M2b-ratio-converges/ceiling-1000`). With shared noise a judge could even learn a part of the errors, which training and test share. Where the document's judges stay below, the errors of the labels are not the reason.

## A softer label

The document names another label and does not use it: the {term}`Kullback-Leibler divergence` from the probabilities of the image to those of its noisy copies, on average. It is zero where noise changes nothing, and has no upper end.
"""

# %%
by_network = [
    robustness.divergences(one, pixels[at_image[at_model == m]], **noisy, generator=dice(4))
    for m, one in enumerate(networks)
]
softer = torch.cat(by_network).cpu().numpy()
at_rest = int(np.argmax(np.where(constant, every.min(1), -1)))  # answers one class
stopped = {key: value[[at_rest]] for key, value in all_weights.items()}
flat_labels = robustness.divergences(stopped, few, **noisy, generator=dice(4))

# %% tags=["hide-input"]
# fmt: off
of(f"{len(ratios):,} predictions of {len(kept)} LeNets, {n_copies:,} copies")
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
some = np.random.default_rng(seed).permutation(len(ratios))[:4000]
for flag, text, colour in ((True, "right", "C0"), (False, "wrong", "C1")):
    part = some[right_type[some] == flag]
    ax.plot(ratios[part], softer[part], ".", ms=3, alpha=0.6, color=colour, label=text)
ax.set(yscale="log", xlabel="confidence ratio", ylabel="mean divergence, nats")
ax.legend(markerscale=4)
full = ratios == 1
agreement = statistics.spearman(ratios, -softer)
report.figure(
    fig, name="fig-zoo-divergence",
    caption=f"Two labels of the same predictions: the confidence ratio, and the mean Kullback-Leibler divergence of the probabilities, from the same {n_copies:,} copies. High ratios and low divergences both mean robust.",
    alt=f"A cloud that falls from upper left to lower right, rank correlation {agreement:.2f}. At a ratio of exactly one, where {full.sum()} predictions stand in a column, divergences reach from {softer[full].min(initial=9):.2g} to {softer[full].max(initial=0):.2g}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("M2d-kl-label/rank", agreement, n=len(ratios), tol=0.1, agree=(0.2, 1), label="rank correlation of ratio and divergence, sign reversed")
within = [statistics.spearman(ratios[at_model == m], -softer[at_model == m]) for m in range(len(networks))]
report.number("M2d-kl-label/rank-within", float(np.mean(within)), spread=float(np.std(within, ddof=1)), n=len(within), tol=0.15, label="the same within a network, mean")
report.number("M2d-kl-label/rank-control", statistics.spearman(ratios, np.random.default_rng(seed).permutation(softer)), n=len(ratios), tol=0.1, agree=(0.2, 1), label="the same, divergences dealt out by chance")
report.number("M2d-kl-label/saturated", float(full.mean()), unit="share", tol=0.05, label="predictions with a ratio of exactly one")
if full.sum() > 9:
    report.number("M2d-kl-label/range", float(np.quantile(softer[full], 0.9) / np.quantile(softer[full], 0.1)), tol=20, label="their divergences: nine tenths over one tenth quantile")
report.number("M2d-kl-label/values", len(np.unique(ratios)), tol=5, label="different values of the ratio")
report.number("M2d-kl-label/auroc", float(statistics.auroc(-softer, right_type)), unit="share", tol=0.1, label="how often a right prediction has a lower divergence than a wrong one")
report.number("M2d-kl-label/constant", float(flat_labels.max()), tol=0.1, label="largest divergence of a network that answers one class only")
report.number("M2d-kl-label/constant-ratio", float(every[at_rest].min()), tol=0.05, label="its smallest ratio")
report.number("M2d-kl-label/constant-accuracy", float(accuracies[at_rest]), unit="share", tol=0.05, label="its accuracy")
report.number("M2d-kl-label/median", float(np.median(softer)), tol=2, label="median divergence of the kept networks' predictions")
# fmt: on

# %% [markdown]
r"""
**What to notice.** With the sign of the divergence reversed, the two labels have a rank correlation of {glue:text}`M2d-kl-label/rank:.2f` over all predictions (dealt out by chance {glue:text}`M2d-kl-label/rank-control:.2f`) and, on average, {glue:text}`M2d-kl-label/rank-within:.2f` within a network (recorded {recorded}`M2d-kl-label/rank` and
{recorded}`M2d-kl-label/rank-within`). One reason may be the logits: where they are large, so are the divergences. They also differ at the end: {glue:text}`M2d-kl-label/saturated:.1%` of the ratios are exactly one (recorded {recorded}`M2d-kl-label/saturated`), and
these still have different divergences, in the recorded run with a factor of {recorded}`M2d-kl-label/range` between the upper and the lower tenth. The ratio looks at the first place only, the divergence at all of them, so it also counts changes that never touch the answer.

It is no remedy for the stopped clock. One of the networks that learned nothing has {glue:text}`M2d-kl-label/constant-accuracy:.0%` accuracy, ratios of {glue:text}`M2d-kl-label/constant-ratio:.2f` at least and divergences of {glue:text}`M2d-kl-label/constant:.2g` at most
(recorded {recorded}`M2d-kl-label/constant-accuracy`, {recorded}`M2d-kl-label/constant-ratio` and {recorded}`M2d-kl-label/constant`), while the median of the kept networks is {glue:text}`M2d-kl-label/median:.2f` (recorded {recorded}`M2d-kl-label/median`). Both labels measure how little an answer depends on
the noise, and an answer that depends on nothing is best at that. So neither is a measure of worth without the accuracy beside it.

## What the judges get to see

For each prediction the document keeps the activations of the last four layers, the ratio, whether it was right, and the classes. `pairs.write` did so above, when it made the labels, and `pairs.plan` says before how much it will be.
"""

# %%
planned = pairs.plan(weights, pixels, selection)
print(planned)
for key, (shape, dtype) in planned.arrays.items():
    print(f"{key:10} {shape!s:12} {dtype}")


# %%
def by_pair(n, generator):
    """Return the rows for training, for validation and for testing, drawn as the document draws them."""
    rows = torch.randperm(n, generator=generator).numpy()
    n_rest = int(0.8 * n)
    n_train = int(0.8 * n_rest)
    return rows[:n_train], rows[n_train:n_rest], rows[n_rest:]


def by_group(groups, generator):
    """Return rows for training and for testing that have no group in common."""
    shuffled = torch.randperm(int(groups.max()) + 1, generator=generator).numpy()
    tested = np.isin(groups, shuffled[: max(1, len(shuffled) // 5)])
    return np.flatnonzero(~tested), np.flatnonzero(tested)


tenth = np.random.default_rng(seed).permutation(len(at_model))[: len(at_model) // 10]
splits = {"by pair": by_pair(len(at_model), dice(8))}
splits["a tenth, by pair"] = [tenth[part] for part in by_pair(len(tenth), dice(9))]
splits["by network"] = by_group(at_model, dice(10))
splits["by image"] = by_group(at_image, dice(11))
known = {
    (how, what): float(np.isin(of_pair[split[-1]], of_pair[split[0]]).mean())
    for how, split in splits.items()
    for what, of_pair in (("network", at_model), ("image", at_image))
}
{" ".join(key): f"{value:.0%}" for key, value in known.items()}

# %% tags=["remove-cell"]
# fmt: off
for (how, what), value in known.items():
    claim = {"agree": (0.75, 1)} if how in ("by pair", f"by {what}") else {}
    report.number(f"M3-arrays/{how.replace(', ', '-').replace(' ', '-')}-{what}", value, unit="share", tol=0.1, n=len(splits[how][-1]), label=f"test pairs whose {what} is also in training, split {how}", **claim)
testing = splits["by pair"][-1]
report.number("M3-arrays/constant-prediction", float(max(right_type[testing].mean(), 1 - right_type[testing].mean())), n=len(testing), unit="share", tol=0.1, agree=0.05, label="accuracy of a constant prediction of right or wrong, in test")
report.number("M3-arrays/natural", float(np.mean(np.asarray(kept.accuracies))), n=len(kept), unit="share", tol=0.05, agree=(0.4526, 0.5526), label="the same, if all test images were asked about")
for key, layer in (("maxpool2", "pool2"), ("fc1", "fc1"), ("fc2", "fc2"), ("fc3", "fc3")):
    report.number(f"M3-arrays/{key}", planned.arrays[layer][0][1], unit="dimensions", tol=0, agree=0, label=f"values of {key}")
report.number("M3-arrays/bytes", planned.n_bytes() / 2**20, unit="MiB", tol=50, label="size of the arrays, MiB")
report.number("M3-arrays/zeros", float((np.asarray(table.fc1) == 0).mean()), unit="share", tol=0.2, label="zeros in fc1, which is taken after its ReLU")
of_document = [len(part) for part in by_pair(published.value("M3-arrays/rows")["value"], dice(12))]
report.source("the document's numbers, split by its rule")
report.number("M3-arrays/rows", published.value("M3-arrays/pairs")["value"] // 10, tol=0, agree=0, label="rows: a tenth of its pairs")
for key, value in zip(("train", "validation", "test"), of_document, strict=True):
    report.number(f"M3-arrays/{key}", value, tol=0, agree=0, label=f"rows for {key}")
# fmt: on

# %% [markdown]
r"""
**What to notice.** The four layers have {glue:text}`M3-arrays/maxpool2`, {glue:text}`M3-arrays/fc1`, {glue:text}`M3-arrays/fc2` and {glue:text}`M3-arrays/fc3` values, as in the document (which prints the first as 16 × 16, for sixteen {term}`channels <channel>` of 4 × 4 each); what stands before them in the network, and its weights, are left out. The program that should write the document's
arrays uses an undefined name and leaves out the labels; a notebook wrote them. The document's rows follow from its rule: {glue:text}`M3-arrays/train:,` for training, {glue:text}`M3-arrays/validation:,` for validation and {glue:text}`M3-arrays/test:,` for testing.

But the rule splits *pairs*. {glue:text}`M3-arrays/by-pair-network:.0%` of our test pairs come from a network that also stands in training, and {glue:text}`M3-arrays/by-pair-image:.0%` show an image that does (recorded
{recorded}`M3-arrays/by-pair-network` and {recorded}`M3-arrays/by-pair-image`). With only a tenth of the pairs, as the document uses them, it is still {glue:text}`M3-arrays/a-tenth-by-pair-network:.0%` and {glue:text}`M3-arrays/a-tenth-by-pair-image:.0%` (recorded
{recorded}`M3-arrays/a-tenth-by-pair-network` and {recorded}`M3-arrays/a-tenth-by-pair-image`). A split by network has {glue:text}`M3-arrays/by-network-network:.0%` of the networks twice but {glue:text}`M3-arrays/by-network-image:.0%` of the images (recorded {recorded}`M3-arrays/by-network-image`); one by image is the reverse. The document has the same few
images with thousands of networks, so nearly every image of its test pairs must be a known one. What we saw above makes this serious: network and answer explain much of the ratio, and which image it is says much about whether it was a right one. A judge may score well by knowing its networks and its images.

Where a network has ten right and ten wrong predictions of each class, half of its pairs are right; where wrong ones are lacking, more. A judge that always gives the more frequent answer scores {glue:text}`M3-arrays/constant-prediction:.1%` (recorded {recorded}`M3-arrays/constant-prediction`; in the document
{published}`M3-arrays/constant-prediction`). On all test images "right" would score {glue:text}`M3-arrays/natural:.1%` (recorded {recorded}`M3-arrays/natural`), so an accuracy on such pairs says nothing directly about use.

## The document's sentences and our numbers

Some rows agree by construction: the noise scale, the scales of the figure and the grid are settings that we took over. Rows without a value of the document are claims in words, or controls that must fail.
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**One kind of noise.** Gaussian noise at this scale is nothing that a camera does. A network may bear it and fail on a small shift, or on an attack.

**Beyond black and white.** Values outside of the range of the images are unlike anything in training. Clipped noise would be another question.

**A {term}`stand-in`.** Our networks learn from fewer images, the recorded ones from a part of MNIST. More steps may keep a few more of them; which labels these get is another question.

**A filter that looks at the test.** Networks and samples are chosen with the same test images. No number here says how the kept networks do on fresh ones.

**One network is not many.** Labels of one network are alike. An interval that treats predictions as independent is too narrow; count networks.

:::{admonition} What we learned
:class: important
- In our samples of this grid, no network of Adam learned at a large rate, and none that began with small weights under weight decay.
- The confidence ratio measures how little an answer depends on noise. An answer that depends on nothing has the best one.
- A label from $n$ copies has the standard deviation $\sqrt{p(1-p)/n}$; no number of copies is the one where it "converges".
- Common noise leaves each label as good as before, helps to compare predictions of one network with one answer, and ties the errors of the labels together.
- Before you trust a test set, count how many of its rows share a network or an image with training.
:::

## Exercises

```{exercise}
:label: ex-zoo-error
**How sure is a label?** (3 minutes). Return the standard deviation of a ratio from $n$ independent copies whose true value is $p$.
```
"""


# %% tags=["exercise"]
def label_error(p, n):
    """Return the standard deviation of the share of n yes-or-no answers."""
    return np.sqrt(p * (1 - p)) / n  # is it the mean of n, or their sum?


tries = np.random.default_rng(seed).binomial(250, 0.3, 20000) / 250
passed = abs(label_error(0.3, 250) / tries.std() - 1) < 0.05
report.check(
    "ex-zoo-error", passed, "The variance of a mean of n is the n-th part of the variance of one."
)


# %% tags=["solution"]
def label_error(p, n):
    """Return the standard deviation of the share of n yes-or-no answers."""
    return np.sqrt(p * (1 - p) / n)


tries = np.random.default_rng(seed).binomial(250, 0.3, 20000) / 250
passed = abs(label_error(0.3, 250) / tries.std() - 1) < 0.05
report.check(
    "ex-zoo-error", passed, "The variance of a mean of n is the n-th part of the variance of one."
)

# %% [markdown]
r"""
```{exercise}
:label: ex-zoo-ceiling
**The best possible judge** (5 minutes). Somebody knows the true ratios exactly, and is marked against labels of $n$ copies. Return the $R^2$.
```
"""


# %% tags=["exercise"]
def best_score(p, n):
    """Return the R2 of true ratios p (predictions,) as a forecast of labels from n copies."""
    return 1 - (p * (1 - p)).mean() / n  # compared with what?


rng = np.random.default_rng(seed)
true = rng.beta(1, 1, 50000)
noisy = rng.binomial(20, true) / 20
score = 1 - ((noisy - true) ** 2).mean() / noisy.var()
report.check(
    "ex-zoo-ceiling",
    abs(best_score(true, 20) - score) < 0.005,
    "Divide by the variance of the labels: of the ratios and of their errors.",
)


# %% tags=["solution"]
def best_score(p, n):
    """Return the R2 of true ratios p (predictions,) as a forecast of labels from n copies."""
    error = (p * (1 - p)).mean() / n
    return 1 - error / (p.var() + error)


rng = np.random.default_rng(seed)
true = rng.beta(1, 1, 50000)
noisy = rng.binomial(20, true) / 20
score = 1 - ((noisy - true) ** 2).mean() / noisy.var()
report.check(
    "ex-zoo-ceiling",
    abs(best_score(true, 20) - score) < 0.005,
    "Divide by the variance of the labels: of the ratios and of their errors.",
)

# %% [markdown]
r"""
```{exercise}
:label: ex-zoo-sample
**A stratified sample** (5 minutes). Deal out the values of one setting to $n$ networks, so that none occurs more than once oftener than another, in random order.
```
"""


# %% tags=["exercise"]
def deal(levels, n, rng):
    """Return n levels, each as often as the next, in random order."""
    return rng.choice(levels, n)  # even only on average


passed = all(
    np.ptp(np.unique(deal(range(4), n, rng), return_counts=True)[1]) <= 1 for n in range(4, 60)
)
passed &= len({tuple(deal(range(4), 8, rng)) for _ in range(20)}) > 10
report.check("ex-zoo-sample", passed, "Repeat the levels until there are n, then shuffle.")


# %% tags=["solution"]
def deal(levels, n, rng):
    """Return n levels, each as often as the next, in random order."""
    return rng.permutation(np.resize(rng.permutation(levels), n))


passed = all(
    np.ptp(np.unique(deal(range(4), n, rng), return_counts=True)[1]) <= 1 for n in range(4, 60)
)
passed &= len({tuple(deal(range(4), 8, rng)) for _ in range(20)}) > 10
report.check("ex-zoo-sample", passed, "Repeat the levels until there are n, then shuffle.")

# %% [markdown]
r"""
```{exercise}
:label: ex-zoo-leak
**Met before** (5 minutes). A network has $k$ pairs, and each goes into training with probability $q$, on its own. What share of the pairs outside training come from a network that also stands in training?
```
"""


# %% tags=["exercise"]
def met_before(k, q):
    """Return the probability that at least one other pair of the network is in training."""
    return q  # of one other pair


rng = np.random.default_rng(seed)
training = rng.random((40000, 5)) < 0.64
seen = training[:, 1:].any(1)[~training[:, 0]].mean()
report.check(
    "ex-zoo-leak",
    abs(met_before(5, 0.64) - seen) < 0.01,
    "How likely is it that none of the k - 1 others is?",
)


# %% tags=["solution"]
def met_before(k, q):
    """Return the probability that at least one other pair of the network is in training."""
    return 1 - (1 - q) ** (k - 1)


rng = np.random.default_rng(seed)
training = rng.random((40000, 5)) < 0.64
seen = training[:, 1:].any(1)[~training[:, 0]].mean()
report.check(
    "ex-zoo-leak",
    abs(met_before(5, 0.64) - seen) < 0.01,
    "How likely is it that none of the k - 1 others is?",
)

# %% [markdown]
r"""
## Go further

- LeCun and colleagues {cite:p}`lecun-1998` describe the network and the digits.
- Hendrycks and Gimpel {cite:p}`hendrycks-2017` show how far the largest probability alone goes to find wrong predictions.
- Guo and colleagues {cite:p}`guo-2017` ask whether a network's own confidence can be trusted.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
