# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-oscillations)=
# Can a network hear the difference when every second pixel is dropped?

**Dropping pixels makes different waves equal. Yet networks that do so can name nearly all waves, as long as the noise is small. Where they name fewer, the published table mixes three things: what
a network can hold, what training finds, and which epoch one looks at.**

```{figure} ../results/real/14_oscillations/fig-oscillations-accuracy.webp
:name: fig-oscillations-hero
:alt: Four panels, one for each width of the noise. Points of five families of networks mostly rise with the number of parameters towards a dashed line, less high the more noise there is.

What you will be able to draw: accuracy against the number of parameters, published points beside our own, and the best that anybody can do. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Say which waves become equal when every second pixel is dropped, and what that costs.
- Compute the best possible accuracy of a task, before you judge a network by it.
- Tell the best epoch from the last, and luck from skill.
- Measure whether a network's way of making maps smaller matters.

**You need** some PyTorch. **Time:** 25 minutes to read, one minute to run. **Document:** the toy experiment of "Quantifying aliasing in convolutional neural networks" {cite:p}`ribeiro-aliasing-readme`,
published with its paper {cite:p}`ribeiro-2021`. **Data:** waves with noise, drawn by `actlib` from the document's seeds. This page takes fewer and smaller images; the recorded run takes the document's own.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
# frequencies along each axis; pixels; images of a class to learn and to judge; widths of the noise
n_frequencies, size = 6, 16
per_class, n_held_out = 40, 20
noises = [1.0, 2.0, 4.0, 8.0]
# fully connected networks: family, size; epochs in all, and before the learning rate falls
rows = [["fc-1h", 58], ["fc-1h", 200], ["fc-2h", 55]]
epochs, drop, learning_rate, batch_size = 24, 16, 0.001, 32
# residual ones, and the noises at which they learn
residual_rows, residual_noises = [["resnet-w", 4]], [1.0]
residual_epochs, residual_drop, residual_rate, depth = 10, 7, 0.005, 8
# runs of the first network with other seeds
n_repeats, repeat_noises = 3, [1.0, 4.0]
# the small task of the ablation, and its networks
few_frequencies, few_size, few_per_class, few_noise = 4, 16, 30, 2.0
few_width, few_epochs, few_drop, few_rate, few_batch, n_seeds = 4, 6, 4, 0.005, 16, 3
# images for the two detectors, and for the spectra; draws of random weights
n_gaussian, n_uniform, n_spectra, n_draws = 400, 60, 100, 8

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    aliasing,
    detectors,
    oscillation_nets,
    oscillation_runs,
    oscillations,
    plots,
    published,
    report,
)
from matplotlib.ticker import FuncFormatter, NullLocator
from scipy import stats

# %% tags=["hide-input"]
report.start("14_oscillations", profile=profile, seed=seed, device=device)
# the document's task and training, all of it
FULL = (n_frequencies, size, per_class, n_held_out, epochs, drop) == (20, 32, 50, 25, 50, 35)
SEEDS = {name: first for name, (_, first) in oscillations.SPLITS.items()}


def of(what):
    """Say that the numbers that follow come from oscillations."""
    task = f"{n_frequencies**2} classes of oscillations of {size} x {size} pixels"
    report.source(
        f"{task}; {what}",
        stand_in=None if FULL else "the document's 400 classes of 32 x 32 pixels",
    )


# %% [markdown]
r"""
## Four waves that become one

An *oscillation* here is a cosine along the columns times a cosine along the rows. Its two frequencies are counted in units of the {term}`Nyquist frequency`, the fastest one that pixels can show: there the sign changes
from pixel to pixel. Keep every second pixel, and a wave of frequency $f$ becomes

$$
\cos(\pi\, 2m f + \varphi) = \cos(\pi\, 2m (1 - f) - \varphi) ,
$$

because $2\pi m$ more or less in a cosine changes nothing. So $f$ and $1 - f$ become the same wave, with the {term}`phase` turned round: they are each other's {term}`alias <aliasing>`. The document draws four such waves,
with frequencies {published}`T2-figure/frequency` and one minus that, and random phases. We choose phases that fit.

:::{admonition} Guess first
:class: tip
A task has twenty frequencies along each axis, 0, 1/20, up to 19/20. Somebody shows you every second pixel. How many of the 400 classes can you still tell apart?
:::
"""

# %%
f = 10 / 32
pairs = torch.tensor([[f, f], [1 - f, f], [f, 1 - f], [1 - f, 1 - f]])
phases = torch.tensor([0.6, 1.9]) * torch.tensor([[1, 1], [-1, 1], [1, -1], [-1, -1]])
four = oscillations.signals(pairs, phases, 32)
halved = four[:, ::2, ::2]

# %% tags=["hide-input"]
report.source("four waves of 32 x 32 pixels without noise")
fig = plt.figure(figsize=(7, 3.7))
axes = plots.grid(2, 4, figure=fig)
plots.map_row(four.numpy(), axes=axes[0], label="32 x 32")
plots.map_row(halved.numpy(), axes=axes[1], label="every\nsecond")
for ax, name in zip(axes[0], ["f, f", "1 - f, f", "f, 1 - f", "1 - f, 1 - f"], strict=True):
    ax.set_title(name, fontsize="small")
apart = min(float((a - b).abs().max()) for k, a in enumerate(four) for b in four[:k])
left = float((halved - halved[0]).abs().max())
report.figure(
    fig,
    name="fig-oscillations-fold",
    caption="Above: four waves with frequencies f = 10/32 and 1 - f along columns and rows, red positive, blue negative. Below: every second pixel of each.",
    alt=f"Above: four different patterns of spots, coarse to fine, that differ by up to {apart:.1f} in a pixel. Below: four times the same pattern, equal to {left:.0e}.",
)

# %% [markdown]
r"""
To count what is lost, we need somebody who misses nothing: a *detector* that knows all waves and the noise, and does not know class and phase. For each class it takes the likelihood of the image, averages it over
all phases, and names the class with the highest average. If it is right about the noise, no rule can do better: each class is equally frequent. It takes the noise for normal here.
"""


# %%
def draw(noise, n, split, **options):
    """Return n images of each class."""
    task = {"n_frequencies": n_frequencies, "size": size} | options
    return oscillations.draw(n, noise=noise, seed=SEEDS[split] + 1000 * seed, **task)


sets = {a: [draw(a, per_class, "train"), draw(a, n_held_out, "validation")] for a in noises}
values, labels = sets[noises[0]][1].values(), sets[noises[0]][1].labels
number = torch.stack([labels // n_frequencies, labels % n_frequencies], 1)
# a frequency of one half would become the Nyquist frequency itself: left out here
kept = (number != n_frequencies / 2).all(1).nonzero()[:n_gaussian, 0]
whole = detectors.gaussian(values[kept], noise=noises[0], n_frequencies=n_frequencies)
half = {"noise": noises[0], "n_frequencies": n_frequencies // 2}
folded = detectors.gaussian(values[kept, ::2, ::2], **half)
slower = torch.minimum(number[kept], n_frequencies - number[kept])
slower = slower[:, 0] * (n_frequencies // 2) + slower[:, 1]


# %% tags=["remove-cell"]
# fmt: off
def share(right):
    """Return a share as a number's value, spread and count."""
    p, n = float(right.double().mean()), len(right)
    return {"value": p, "spread": (max(p * (1 - p), 1 / n) / n) ** 0.5, "n": n, "unit": "share"}


first_of_pair = (number[kept] < n_frequencies / 2).all(1)  # the slower one is named: right if it is the one
limit = (n_frequencies / 2 / (n_frequencies - 1)) ** 2
report.number("T2-figure/apart", apart, tol=0.01, label="least difference of two of the four waves, at the worst pixel")
report.number("T2-figure/left", left, tol=1e-6, agree=(0, 1e-6), label="largest difference after decimation", note="equal, if the phases fit")
report.number("T2-figure/frequency", f, tol=0, agree=0, unit="Nyquist frequency", label="frequency of the first wave")
of(f"{len(kept)} images, noise of width {noises[0]:g}")
report.number("T2-figure/whole", **share(whole == labels[kept]), tol=0.03, label="the detector on whole images")
report.number("T2-figure/pair", **share(folded == slower), tol=0.05, label="the detector on every second pixel: right up to f and 1 - f")
report.number("T2-figure/indistinguishable", **share((folded == slower) & first_of_pair), tol=0.08, agree=(limit - 0.08, limit + 0.08),
              label="the same, right class", note="one of two equal waves along each axis is a guess")
report.number("T2-figure/limit", limit, unit="share", tol=0)
report.number("T2-figure/kept", (n_frequencies - 1) ** 2, tol=0)
report.number("T2-figure/merged", (n_frequencies // 2) ** 2, tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Without pixels dropped the detector is right for {glue:text}`T2-figure/whole:.1%` of the images (recorded {recorded}`T2-figure/whole`). With every second pixel it still finds the pair $f$, $1 - f$ along each axis
({glue:text}`T2-figure/pair:.1%`, recorded {recorded}`T2-figure/pair`), but which of the two is a guess: it is right for {glue:text}`T2-figure/indistinguishable:.1%` ({recorded}`T2-figure/indistinguishable`). Of
{glue:text}`T2-figure/kept` classes {glue:text}`T2-figure/merged` are left (we set the frequency one half aside, which becomes the Nyquist frequency), so we expect {glue:text}`T2-figure/limit:.1%` (recorded {recorded}`T2-figure/limit`). The answer to the guess: zero and one half stay alone, the others pair up, so 11 x 11 = 121 of the 400 classes. "The patterns become
indistinguishable": so they do.

But a network drops pixels only *after* a convolution. One filter can pass slow waves and another fast ones; then each {term}`channel` holds one of the two, and nothing is lost. The exercises do it by hand. Whether trained networks do
it is the question of this part of the book.

## The task, and the best that can be done

The document's task has {published}`T1-data/classes` classes, {published}`T1-data/train` images to learn from and {published}`T1-data/validation` to judge by. Phases are random and unknown. To each pixel comes noise, uniform between $-A/2$ and $A/2$,
with $A$ from {published}`T1-data/least-noise` to {published}`T1-data/most-noise`; the wave itself stays between $-1$ and $1$. On this page there are {glue:text}`T1-data/classes` classes and {glue:text}`T1-data/train:,` images to learn from; in the recorded run
{recorded}`T1-data/classes` and {recorded}`T1-data/train`, number for number those of the document.

:::{admonition} Guess first
:class: tip
At $A = 8$ the noise has more than twenty times the energy of the wave. What share of the classes can the best detector name?
:::
"""

# %% tags=["hide-input"]
of(f"one image, {len(noises)} widths of the noise")
some = int((number.double() - n_frequencies * torch.tensor([0.4, 0.2])).norm(dim=1).argmin())
shown = [sets[a][1].values()[some] for a in noises]
pure = oscillations.signals(
    sets[noises[0]][1].frequencies[labels[[some]]], sets[noises[0]][1].phases[[some]], size
)
fig = plt.figure(figsize=(7, 1.9))
axes = plots.grid(1, len(noises) + 1, figure=fig)[0]
for ax, picture, name in zip(
    axes, [pure[0], *shown], ["no noise", *(f"A = {a:g}" for a in noises)], strict=True
):
    plots.signed_map((picture / picture.abs().max()).numpy(), ax=ax, title=name)
report.figure(
    fig,
    name="fig-oscillations-noise",
    caption="One wave, without noise and with noise of width A. Each picture has its own scale, red positive, blue negative.",
    alt=f"Five squares of {size} x {size} pixels. The spots of the wave are clear without noise and at A = {noises[0]:g}, and drown in it towards A = {noises[-1]:g}.",
)

# %%
gauss, sharp = {}, {}
for a, (_, held_out) in sets.items():
    for found, detect, n in (
        (gauss, detectors.gaussian, n_gaussian),
        (sharp, detectors.uniform, n_uniform),
    ):
        part = held_out.values()[:n]
        found[a] = detect(part, noise=a, n_frequencies=n_frequencies) == held_out.labels[:n]

# %% tags=["hide-input"]
held_out = sets[noises[0]][1]
flat = (
    held_out.frequencies[held_out.labels] == 0
)  # a frequency of zero: the phase is an amplitude
amplitude = torch.where(flat, held_out.phases.cos().abs(), 1).amin(1)
n_seen = len(gauss[noises[0]])
missed = torch.cat([flat[:n_seen].any(1)[~gauss[a]] for a in noises[:-1]])
zero = float(missed.double().mean()) if len(missed) else 1.0

# %% tags=["hide-input"]
of(f"{len(gauss[noises[0]])} and {len(sharp[noises[0]])} held-out images")
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained")
for found, name, marker in (
    (gauss, "taken for normal", "o"),
    (sharp, "known to be uniform", "s"),
):
    axes[0].plot(
        noises, [1 - share(r)["value"] for r in found.values()], marker=marker, label=name
    )
axes[0].set_xscale("log", base=2)
axes[0].set(xlabel="width of the noise A", ylabel="share of errors", ylim=(0, None))
axes[0].xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
axes[0].legend(title="the noise is", fontsize="small", title_fontsize="small")
for k, a in enumerate(noises):
    wrong = amplitude[:n_seen][~gauss[a]]
    axes[1].plot(wrong, [k] * len(wrong), "|", ms=11, color="C3")
axes[1].plot(amplitude[:n_seen], [-1] * n_seen, "|", ms=11, color="0.6")
axes[1].set_yticks(range(-1, len(noises)), ["all images", *(f"wrong, A = {a:g}" for a in noises)])
axes[1].set(xlabel="amplitude left by a zero frequency", xlim=(-0.03, 1.03))
report.figure(
    fig,
    name="fig-oscillations-ceiling",
    caption="Left: errors of two detectors that know everything but class and phase. Right: which images the first one gets wrong. Where a frequency is zero, the wave does not change along that axis and the random phase only sets its amplitude; else 1 is drawn.",
    alt=f"Left: errors of the first detector rise to {1 - share(gauss[noises[-1]])['value']:.3f} at A = {noises[-1]:g}, those of the second stay at most "
    f"{max(1 - share(r)['value'] for r in sharp.values()):.3f}. Right: red ticks of wrong images lie mostly at small amplitudes.",
)

# %% tags=["remove-cell"]
# fmt: off
exact = {"agree": 0} if FULL else {}
report.number("T1-data/classes", n_frequencies**2, tol=0, label="classes", **exact)
report.number("T1-data/train", len(sets[noises[0]][0].labels), tol=0, label="images to learn from", **exact)
report.number("T1-data/validation", len(sets[noises[0]][1].labels), tol=0, label="images to judge by", **exact)
report.number("T1-data/side", size, tol=0, unit="pixels", **exact)
for a in noises:
    report.number(f"T1-data/ceiling-a{a:g}", **share(gauss[a]), tol=0.04, label=f"best possible accuracy for normal noise, A = {a:g}")
    report.number(f"T1-data/uniform-a{a:g}", **share(sharp[a]), tol=0.04, label=f"best possible accuracy for the uniform noise, A = {a:g}")
report.number("T1-data/zero", float(flat.any(1).double().mean()), unit="share", tol=0.01)
report.number("T1-data/wrong-zero", zero, unit="share", tol=0.5)
report.number("T1-data/chance", 10_000 / n_frequencies**2, tol=0, label="right of 10,000 images by chance")
# fmt: on

# %% [markdown]
r"""
**What to notice.** At $A = 8$ a detector that takes the noise for normal is right for {glue:text}`T1-data/ceiling-a8:.1%` (recorded {recorded}`T1-data/ceiling-a8`), at $A = 1$ for {glue:text}`T1-data/ceiling-a1:.1%` ({recorded}`T1-data/ceiling-a1`). The
more pixels carry a wave, the better the noise averages out; our small images suffer more. Of its errors up to $A = 4$, {glue:text}`T1-data/wrong-zero:.0%` ({recorded}`T1-data/wrong-zero`) are in classes with a frequency of zero, which are only
{glue:text}`T1-data/zero:.1%` of all ({recorded}`T1-data/zero`). There the phase is not a shift but a factor, and when it is near zero there is no wave to name. A detector that knows the noise to be uniform
makes fewer errors still ({glue:text}`T1-data/uniform-a8:.1%` right at $A = 8$, recorded {recorded}`T1-data/uniform-a8`): one pixel outside the allowed range rules a class out. That is the true ceiling. What averages pixels, as networks do, comes nearer to the first line, and this is the *ceiling* that we draw from now on. The document has none.

## Networks learn the task

Five families compete. `fc-1h` and `fc-2h` are fully connected, with one or two hidden layers, and never drop a pixel. The others are {term}`residual networks <residual network>` {cite:p}`he-2016-residual` that halve their maps twice: `resnet-c` has
the same number of channels everywhere, `resnet-w` doubles it when it halves, and in both the channels grow; in `resnet-d` the depth grows. All are trained as in the document's code: Adam with the *summed* loss of a
batch, the same order of images in each epoch, a tenth of the learning rate for the last epochs. (This page's residual networks, and the small ones further down, start at a higher rate.)

The number that the document reports is the highest accuracy on the validation images after *any* epoch. We keep them all.

:::{admonition} Guess first
:class: tip
The smallest network learns, and after each epoch it is judged. At $A = 4$: is the last epoch the best?
:::
"""


# %%
def run(noise, family, number, *, k=0, **options):
    """Return a run with the k-th seed; the document's is 1."""
    recipe = {"epochs": epochs, "drop": drop, "learning_rate": learning_rate}
    recipe |= {"batch_size": batch_size, "family": family, "number": number} | options
    parts = [
        part._replace(images=part.images.to(device), labels=part.labels.to(device))
        for part in sets[noise]
    ]
    return oscillation_runs.fit(*parts, seed=1 + seed + k, **recipe)


short = {"epochs": residual_epochs, "drop": residual_drop}
short |= {"learning_rate": residual_rate, "depth": depth}
runs = {(*row, a): run(a, *row) for row in rows for a in noises}
runs |= {(*row, a): run(a, *row, **short) for row in residual_rows for a in residual_noises}
again = {a: [run(a, *rows[0], k=k) for k in range(n_repeats)] for a in repeat_noises}

# %% tags=["hide-input"]
of(f"{rows[0][0]} with {rows[0][1]} units, {epochs} epochs")
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained")
for ax, a in zip(axes, repeat_noises, strict=False):
    for one in again[a]:
        curve = one.halves.mean(1).numpy()
        ax.plot(range(1, epochs + 1), curve, color="C0", lw=1)
        ax.plot(1 + curve.argmax(), curve.max(), "o", color="C1", ms=6, label="highest")
        ax.plot(epochs, curve[-1], "s", color="C2", ms=5, label="last")
    ax.axvline(drop + 0.5, color="0.6", lw=0.8, ls=":")
    ax.set(xlabel="epoch", title=f"A = {a:g}", ylim=(0, None))
axes[0].set_ylabel("accuracy, held-out")
handles, names = axes[0].get_legend_handles_labels()
axes[0].legend(handles[:2], names[:2], fontsize="small", loc="lower right")
low = repeat_noises[-1]
report.figure(
    fig,
    name="fig-oscillations-epochs",
    caption=f"Accuracy on held-out images after each epoch, for {n_repeats} seeds of the smallest network; the dotted line is where the learning rate falls.",
    alt=f"Left, A = {repeat_noises[0]:g}: curves rise and stay near {again[repeat_noises[0]][0].last():.2f}. Right, A = {low:g}: they jump up to "
    f"{again[low][0].highest():.3f} and end at {again[low][0].last():.3f}, below their highest points.",
)


# %% tags=["remove-cell"]
# fmt: off
def over_seeds(numbers):
    """Return mean and spread over seeds as a number's fields."""
    numbers = np.array(numbers)
    return {"value": numbers.mean(), "spread": numbers.std(ddof=1), "n": len(numbers), "unit": "share"}


def parameters(family, number, **options):
    """Return how many parameters a network of the document's size has."""
    return sum(p.numel() for p in oscillation_nets.network(family, number, mean=0.5, std=0.5, **options).parameters())


AFTER = {"highest": "best epoch", "chosen": "epoch chosen on other images", "last": "last epoch"}
for a in repeat_noises:
    for name, words in AFTER.items():
        report.number(f"T3-train/{name}-a{a:g}", **over_seeds([getattr(one, name)() for one in again[a]]), tol=0.1,
                      label=f"smallest network, A = {a:g}: accuracy after the {words}")
for name in ("highest", "chosen"):
    report.number(f"T3-train/{name}-a8", 10_000 * getattr(runs[*rows[0], 8.0], name)(), tol=300, label=f"smallest network, A = 8: right of 10,000 images after the {AFTER[name]}")
report.number("T3-train/kept", np.mean([one.last() / one.highest() for one in again[low]]), unit="share", tol=0.4, label="smallest network, A = 4: last / highest accuracy")
learned = sets[low][0]
heart = [float((one.model(learned.images.to(device)).argmax(1).cpu() == learned.labels).double().mean()) for one in again[low]]
report.number(f"T3-train/by-heart-a{low:g}", **over_seeds(heart), tol=0.1, label=f"smallest network, A = {low:g}: accuracy on the images it learned from, last epoch")
dice = np.random.default_rng(seed)
lucky = dice.binomial(10_000, 1 / 400, (4000, 50)).max(1).mean() / 10_000
report.number("T3-train/lucky", lucky, unit="share", tol=2e-4, label="best of 50 epochs of a network that guesses")
with torch.device("meta"):
    counts = {(family, n): parameters(family, n) for family, sizes in oscillation_nets.FAMILIES.items() for n in sizes}
known = {key: published.value(f"T3-train/{key[0]}-{key[1]}-parameters")["value"] for key in counts}
report.number("T3-train/counts", sum(counts[key] == known[key] for key in counts), tol=0, label="of the 23 numbers of parameters: ours are the published ones")
for (family, n), count in counts.items():
    report.number(f"T3-train/{family}-{n}-parameters", count, tol=0, agree=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** At $A = 1$ the last epoch is nearly as good as the best: the best has {glue:text}`T3-train/highest-a1:.1%`, the last {glue:text}`T3-train/last-a1:.1%` (means over {glue:text}`T3-train/repeats` seeds; recorded {recorded}`T3-train/highest-a1` and
{recorded}`T3-train/last-a1`). At $A = 4$ they are not: {glue:text}`T3-train/highest-a4:.1%` and {glue:text}`T3-train/last-a4:.1%` ({recorded}`T3-train/highest-a4`, {recorded}`T3-train/last-a4`). The last epoch keeps
{glue:text}`T3-train/kept:.0%` of the best ({recorded}`T3-train/kept`): the network learns the noise of its images by heart, and forgets waves. Of the
images that it learned from it names {glue:text}`T3-train/by-heart-a4:.0%` in the end (recorded {recorded}`T3-train/by-heart-a4`). A fair number chooses the epoch on one half of the images and judges on the other:
{glue:text}`T3-train/chosen-a4:.1%` ({recorded}`T3-train/chosen-a4`). Most of the fall is therefore learning by heart, not luck.

Near chance luck is all there is. A network that only guesses is right for one image in 400, and after the best of 50 epochs it seems right for {glue:text}`T3-train/lucky:.2%`. The document's fully connected networks at $A = 8$ reach from
{published}`T3-train/fc-2h-55-a8` to {published}`T3-train/fc-1h-3000-a8`: the low end is what a guesser gets. Of each 10,000 images our smallest network names {glue:text}`T3-train/highest-a8:.0f` at its best epoch and {glue:text}`T3-train/chosen-a8:.0f` at one chosen on other
images (recorded {recorded}`T3-train/highest-a8` and {recorded}`T3-train/chosen-a8`), where chance is {glue:text}`T1-data/chance:.0f` ({recorded}`T1-data/chance`).

## Accuracy against size

Now the document's picture, with three additions: the ceiling, chance, and our own runs. Small hollow marks are the document's; large ones are ours.

:::{admonition} Guess first
:class: tip
Dropping pixels can lose information, and fully connected networks drop none. Which family comes nearer to the ceiling?
:::
"""

# %% tags=["hide-input"]
# fmt: off
of(f"{len(runs)} networks; the document's points are for 400 classes")
STYLE = dict(zip(oscillation_nets.FAMILIES, zip("os^vD", ("C0", "C1", "C2", "C3", "C4"), strict=True), strict=True))
document = {(f, n, a): published.value(f"T3-train/{f}-{n}-a{a:g}")["value"] for f, n in counts for a in (1.0, 2.0, 4.0, 8.0)}


def size_of(family, number):
    """Return the number of parameters of a network of this run."""
    return parameters(family, number, n_classes=n_frequencies**2, size=size, **({"depth": depth} if family in ("resnet-c", "resnet-w") else {}))

# fmt: on


# %% tags=["hide-input"]
# fmt: off
fig, axes = plt.subplots(2, 2, figsize=(4.8, 5.4), layout="constrained", sharex=True, sharey=True)
for ax, a in zip(axes.flat, noises, strict=False):
    for family, (marker, colour) in STYLE.items():
        points = [(known[key], document[*key, a]) for key in counts if key[0] == family]
        ax.plot(*zip(*points, strict=True), marker=marker, ms=4, mfc="none", lw=0.6, color=colour, label=family)
        ours = [(size_of(*key[:2]), one.highest()) for key, one in runs.items() if key[0] == family and key[2] == a]
        if ours:
            ax.plot(*zip(*ours, strict=True), marker=marker, ms=8, color=colour, ls="none", mec="k", alpha=0.7)
    ax.axhline(share(gauss[a])["value"], color="k", ls="--", lw=1)
    ax.axhline(1 / n_frequencies**2, color="0.6", ls=":", lw=1)
    ax.set_yscale("logit")
    ax.set(xscale="log", title=f"A = {a:g}", ylim=(0.0015, 0.9995))
    ax.set_yticks([0.01, 0.1, 0.5, 0.9, 0.99], [".01", ".1", ".5", ".9", ".99"])
    ax.yaxis.set_minor_locator(NullLocator())
for ax in axes[1]:
    ax.set_xlabel("parameters")
for ax in axes[:, 0]:
    ax.set_ylabel("accuracy")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, columnspacing=1.2)
best = {a: max(v for key, v in document.items() if key[2] == a) for a in noises}
report.figure(
    fig, name="fig-oscillations-accuracy",
    caption="Highest accuracy on held-out images against the number of parameters. Small hollow marks, joined: the document. Large filled marks: ours. Dashed: the best possible for normal noise; dotted: chance; both of this run's task.",
    alt=f"Four panels. At A = 1 the residual families lie near the dashed line and the fully connected ones climb to it. At A = 8 the best published point is at "
    f"{best[8.0]:.2f}, far below the line, and no fully connected one is above {max(v for key, v in document.items() if key[0][:2] == 'fc' and key[2] == 8):.3f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("T3-train/repeats", n_repeats, tol=0)
twins = {a: abs(document["resnet-w", 16, a] - document["resnet-d", 20, a]) for a in (1.0, 2.0, 4.0, 8.0)}
for a, difference in twins.items():
    report.number(f"T3-train/twins-a{a:g}", difference, unit="share", tol=0)
for (family, n, a), one in runs.items():
    residual = family.startswith("resnet")
    reached = FULL and (not residual or (residual_epochs, residual_drop, depth) == (50, 35, 20))
    goal = document.get((family, n, a), 0)
    allowed = 4 * (goal * (1 - goal) / 10_000) ** 0.5 + 0.02 * goal  # of 10,000 images, and of the seed
    short_of = "" if (family, n, a) in document and (reached or not residual) else "short-"
    report.number(f"T3-train/{short_of}{family}-{n}-a{a:g}", one.highest(), unit="share", tol=0.1, n=1, agree=allowed if reached and goal else None,
                  label=f"{family} {n}, A = {a:g}" + f", {residual_epochs} epochs" * residual, note="best epoch, as in the document")
for name, (family, n) in {"smallest": rows[0], "residual": residual_rows[0]}.items():
    report.number(f"T3-train/{name}-a1", runs[family, n, 1.0].highest(), unit="share", tol=0.1)
    report.number(f"T3-train/{name}-parameters", size_of(family, n), tol=0)
pairs_of = [(known[f, n], document[f, n, a], one.highest()) for (f, n, a), one in runs.items() if (f, n, a) in document]
report.number("T4-plot/rank", float(np.nan_to_num(stats.spearmanr([p[1] for p in pairs_of], [p[2] for p in pairs_of])[0])), tol=0.3,
              label="rank correlation of our accuracies with the published ones")
for a in noises:
    report.number(f"T4-plot/missing-a{a:g}", share(gauss[a])["value"] - best[a], unit="share", tol=0.05,
                  label=f"ceiling less the best published accuracy, A = {a:g}" if FULL else None)
deep = [document["resnet-d", n, 8.0] for n in oscillation_nets.FAMILIES["resnet-d"]]
report.number("T4-plot/depth", float(stats.spearmanr(range(len(deep)), deep)[0]), tol=0)
wide = [document["resnet-c", n, 8.0] for n in oscillation_nets.FAMILIES["resnet-c"]]
report.number("T4-plot/width", float(stats.spearmanr(range(len(wide)), wide)[0]), tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** At $A = 1$ the residual network of {glue:text}`T3-train/residual-parameters:,` parameters reaches {glue:text}`T3-train/residual-a1:.1%` after only {glue:text}`T3-train/residual-epochs` epochs, the fully connected one of
{glue:text}`T3-train/smallest-parameters:,` parameters {glue:text}`T3-train/smallest-a1:.1%` after {glue:text}`T3-train/epochs` (recorded: {recorded}`T3-train/residual-parameters`, {recorded}`T3-train/residual-a1`, {recorded}`T3-train/residual-epochs`;
{recorded}`T3-train/smallest-parameters`, {recorded}`T3-train/smallest-a1`, {recorded}`T3-train/epochs`). Those that drop pixels are the better ones, in the document ({published}`T3-train/resnet-w-8-a1` against {published}`T3-train/fc-1h-58-a1` at
about the same size) and here. Halving does not stop them from telling $f$ and $1 - f$ apart: a network that confused them could not be right for half of the images.

With little noise nothing is left to gain: the best published network misses the ceiling of the recorded run by {recorded}`T4-plot/missing-a1` at $A = 1$ and {recorded}`T4-plot/missing-a2` at $A = 2$. At $A = 8$ it misses
{recorded}`T4-plot/missing-a8`. That waves become equal cannot be the only reason: at $A = 1$ the same networks drop pixels, too, and lose next to nothing; and those that drop none are near chance. It may be the training: too few images, or too much noise to find the way. It may also
be that pixels are dropped before enough of them have been averaged. The next section looks at that.

The document compares depth with width. Along `resnet-c` the published accuracy at $A = 8$ always rises with the channels, to {published}`T3-train/resnet-c-160-a8`; along `resnet-d` it goes up and down with depth
(rank correlation {glue:text}`T4-plot/depth:.2f`), to {published}`T3-train/resnet-d-272-a8` at the deepest. But each point is one run. One network is in the table twice, as `resnet-w` 16 and `resnet-d` 20, and its two runs differ by {glue:text}`T3-train/twins-a1:.2%`,
{glue:text}`T3-train/twins-a2:.2%`, {glue:text}`T3-train/twins-a4:.1%` and {glue:text}`T3-train/twins-a8:.1%` at the four widths. Differences of that size mean nothing. The falls of deep networks are larger, but a run that never finds its way at all looks the same; only more seeds would tell. Our own smallest network varies by
{glue:text}`T3-train/seeds-a1:.1%` from seed to seed at $A = 1$ (standard deviation; recorded {recorded}`T3-train/seeds-a1`).

## Does the way of halving matter?

If aliasing hurts, a network that smooths its maps before it drops pixels should do better, and one that never drops any better still. So we train the same network four times, from the same weights: with *strided* convolutions as
published; with a *blur* before the pixels are dropped {cite:p}`zhang-2019`; with the *average* of each 2 x 2 pixels; and with *none* dropped. The task is a small one, with {glue:text}`T3-train/few-classes` classes, images of {glue:text}`T3-train/few-size` pixels a side and
noise of width {glue:text}`T3-train/few-noise:.0f` (recorded: {recorded}`T3-train/few-classes`, {recorded}`T3-train/few-size`, {recorded}`T3-train/few-noise`).

:::{admonition} Guess first
:class: tip
Put the four in order.
:::
"""

# %%
small = {"n_frequencies": few_frequencies, "size": few_size}
few = [
    draw(few_noise, few_per_class, "train", **small),
    draw(few_noise, 30, "validation", **small),
]
few = [
    part._replace(images=part.images.to(device), labels=part.labels.to(device)) for part in few
]
recipe = {"epochs": few_epochs, "drop": few_drop, "learning_rate": few_rate}
recipe |= {"batch_size": few_batch, "family": "resnet-w", "number": few_width, "depth": 8}
ablated = {
    how: [
        oscillation_runs.fit(*few, seed=1 + seed + k, decimation=how, **recipe)
        for k in range(n_seeds)
    ]
    for how in oscillation_nets.DECIMATIONS
}
reached = {how: np.array([one.last() for one in each]) for how, each in ablated.items()}
few_best = detectors.gaussian(
    few[1].values().cpu(), noise=few_noise, n_frequencies=few_frequencies
)

# %% tags=["hide-input"]
report.source(
    f"{few_frequencies**2} classes of oscillations, {few_size} pixels, {n_seeds} seeds",
    stand_in="the document's task",
)
fig, ax = plt.subplots(figsize=(7, 2.7), layout="constrained")
for k, each in enumerate(reached.values()):
    ax.plot(each, [k] * len(each), "o", color=f"C{k}", alpha=0.7)
    ax.plot([each.mean()] * 2, [k - 0.3, k + 0.3], color="k", lw=2)
top = share(few_best == few[1].labels.cpu())["value"]
ax.axvline(top, color="k", ls="--", lw=1)
ax.set_yticks(range(4), reached)
ax.invert_yaxis()
ax.set(xlabel="accuracy after the last epoch, held-out")
report.figure(
    fig,
    name="fig-oscillations-ablation",
    caption=f"One residual network with four ways to halve its maps, {n_seeds} seeds each; bars are means, the dashed line is the best possible. All have the same number of parameters.",
    alt="Four rows of dots: "
    + ", ".join(f"{how} with mean {each.mean():.2f}" for how, each in reached.items())
    + f"; a dashed line at {top:.2f} is right of all.",
)

# %% tags=["remove-cell"]
# fmt: off
for how, each in reached.items():
    report.number(f"T3-train/{how}", **over_seeds(each), tol=0.25, label=f"small task, {how}: accuracy after the last epoch")
for how in ("blur", "average", "none"):
    gain = reached[how] - reached["strided"]
    report.number(f"T3-train/gain-{how}", gain.mean(), spread=gain.std(ddof=1), n=n_seeds, unit="share", tol=0.25, label=f"small task: {how} less strided, seed by seed")
gains = np.concatenate([reached[how] - reached["strided"] for how in ("blur", "average", "none")])
report.number("T3-train/ahead", int((gains > 0).sum()), tol=max(2, n_seeds // 2), label="small task: comparisons in which another way is ahead of strided")
report.number("T3-train/compared", len(gains), tol=0)
report.number("T3-train/few-ceiling", top, unit="share", tol=0.04, label="small task: best possible accuracy")
for name, value in {"few-classes": few_frequencies**2, "few-size": few_size, "few-noise": few_noise, "few-seeds": n_seeds, "residual-epochs": residual_epochs, "epochs": epochs}.items():
    report.number(f"T3-train/{name}", value, tol=0)
for a in repeat_noises:
    report.number(f"T3-train/seeds-a{a:g}", np.std([one.highest() for one in again[a]], ddof=1), unit="share", tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The means are {glue:text}`T3-train/strided:.1%` for strided, {glue:text}`T3-train/blur:.1%` for blur, {glue:text}`T3-train/average:.1%` for average and {glue:text}`T3-train/none:.1%` for none (recorded {recorded}`T3-train/strided`,
{recorded}`T3-train/blur`, {recorded}`T3-train/average` and {recorded}`T3-train/none`). Seed by seed, blur gains {glue:text}`T3-train/gain-blur:.1%` on strided (recorded {recorded}`T3-train/gain-blur`), average {glue:text}`T3-train/gain-average:.1%`
({recorded}`T3-train/gain-average`), none {glue:text}`T3-train/gain-none:.1%` ({recorded}`T3-train/gain-none`).

The plain strided network is the last of the four. Compared seed by seed, another way is ahead of it in {glue:text}`T3-train/ahead` of {glue:text}`T3-train/compared` cases (recorded {recorded}`T3-train/ahead` of
{recorded}`T3-train/compared`), but the gains vary much, and the other three change places from seed to seed. So in this small task, with little training, it matters how maps are halved. But the gain does not prove that aliasing did the harm. A blur also averages noise away, and so does a network
that keeps all pixels, at several times the cost. A mean of four pixels is hardly a good filter against aliasing, and helps all the same.

## What the halving layers do to the spectra

The document also measures aliasing inside the trained network. In short: before a layer drops pixels, its maps have a {term}`spectrum`. After it, several frequencies fall on one. If none of them is
strong that place is *no pass*; if one alone is strong, and it is the one that belongs there, *non-aliased*; if it is another one, *aliased*, but nothing is lost; if two or more are strong, *tangled*. We take the four layers that halve: `conv1` and the shortcut at the start of
`layer2` and of `layer3`.

:::{admonition} Guess first
:class: tip
The network names nine waves in ten. How much of its spectra is tangled?
:::
"""

# %%
trained = runs[*residual_rows[0], 1.0].model
about = {"n_classes": n_frequencies**2, "size": size, "depth": depth}
about |= {"mean": 0.5, "std": sets[1.0][0].std}
# the first is what the trained network began with
blank = [
    oscillation_nets.network(
        *residual_rows[0], generator=torch.Generator().manual_seed(1 + seed + k), **about
    ).to(device)
    for k in range(n_draws)
]
judged = sets[1.0][1].images[:n_spectra].to(device)
spectra = [aliasing.measure(net, judged, progress=False) for net in (trained, *blank)]
# rule: (networks, 4), averaged over images and layers
shares = {
    rule: np.array(
        [[found.shares.mean(0).tolist() for found in one[rule].values()] for one in spectra]
    ).mean(1)
    for rule in ("literal", "corrected")
}


# %% tags=["hide-input"]
# fmt: off
same = FULL and (residual_rows[0], residual_epochs, depth) == (["resnet-w", 16], 50, 20)
report.source(f"{residual_rows[0][0]} {residual_rows[0][1]}, {residual_epochs} epochs, {n_spectra} held-out images", stand_in=None if same else "ResNet-20 after 50 epochs, 10,000 images")
NAMES = [name.replace(" ", "-") for name in aliasing.CATEGORIES]
given = np.array([published.value(f"Q4-pie-toy/{name}")["value"] for name in NAMES])
literal, corrected = shares["literal"], shares["corrected"]
bars = {"document": given, "ours, as published": literal[0], "  untrained": literal[1:].mean(0),
        "document, counted once": aliasing.single_counted(torch.tensor(given)).numpy(),
        "ours, corrected": corrected[0], "  untrained ": corrected[1:].mean(0)}
fig, ax = plt.subplots(figsize=(7, 3.1), layout="constrained")
start = np.zeros(len(bars))
for name, colour, column in zip(aliasing.CATEGORIES, aliasing.COLORS, np.array(list(bars.values())).T, strict=True):
    ax.barh(range(len(bars)), column, left=start, color=colour, label=name, edgecolor="w")
    start = start + column
for row, found in ((2, literal), (5, corrected)):
    ax.plot(1 - found[1:, 3], [row] * n_draws, "|", ms=16, color="w")
ax.set_yticks(range(len(bars)), bars)
ax.invert_yaxis()
ax.set(xlabel="share of frequencies", xlim=(0, 1))
ax.legend(ncols=4, fontsize="small", loc="lower center", bbox_to_anchor=(0.4, 1.0))
report.figure(
    fig, name="fig-oscillations-pie",
    caption="Shares of the four kinds of frequency, mean over the halving layers. The published measure counts aliased frequencies twice and sets its threshold 12 dB lower than it says; the corrected one does neither. "
    f"Untrained: mean of {n_draws} draws of random weights; white ticks: where the red begins for each of them.",
    alt=f"Six bars in four colours. Red, tangled: {given[3]:.2f} in the document, {bars['ours, as published'][3]:.2f} in ours by the published measure, "
    f"{literal[1:, 3].min():.2f} to {literal[1:, 3].max():.2f} untrained, {bars['ours, corrected'][3]:.2f} by the corrected one.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
# no verdict: random weights would pass it as well
for k, name in enumerate(NAMES):
    for rule, words, tail in (("literal", "as published", ""), ("corrected", "corrected", "-corrected")):
        found = shares[rule][:, k]
        report.number(f"Q4-pie-toy/{name}{tail}", found[0], unit="share", tol=0.2, n=len(judged), label=f"{name}, {words}")
        report.number(f"Q4-pie-toy/{name}-untrained{tail}", found[1:].mean(), spread=found[1:].std(ddof=1), unit="share", tol=0.2, n=n_draws, label=f"{name}, {words}, untrained")
for name, value in {"least": literal[1:, 3].min(), "most": literal[1:, 3].max(), "start": literal[1, 3], "start-corrected": corrected[1, 3]}.items():
    report.number(f"Q4-pie-toy/tangled-untrained-{name}", value, unit="share", tol=0.2)
report.number("Q4-pie-toy/draws", n_draws, tol=0)
once = aliasing.single_counted(torch.tensor(given)).numpy()
report.number("Q4-pie-toy/once", once[3], unit="share", tol=0, label="tangled in the document, aliased frequencies counted once")
report.number("Q4-pie-toy/signals", len(spectra[0]["literal"]), tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** By the published measure {glue:text}`Q4-pie-toy/tangled:.1%` of our frequencies are tangled (recorded {recorded}`Q4-pie-toy/tangled`), {published}`Q4-pie-toy/tangled` in the document, for a larger network that was trained longer. But that says little
about the networks: {glue:text}`Q4-pie-toy/draws` draws of random weights give {glue:text}`Q4-pie-toy/tangled-untrained-least:.1%` to {glue:text}`Q4-pie-toy/tangled-untrained-most:.1%` (recorded {recorded}`Q4-pie-toy/tangled-untrained-least` to {recorded}`Q4-pie-toy/tangled-untrained-most`, and
the document's number lies among them). Therefore the table gives no verdict here. Our own network began with {glue:text}`Q4-pie-toy/tangled-untrained-start:.1%` (recorded {recorded}`Q4-pie-toy/tangled-untrained-start`). One training is too few to say which way the share moves. And small maps, as on this page, are tangled more, whatever the weights.

So much tangling, and yet nine waves in ten are named: tangled in one channel need not mean lost, for other channels see the same image. And the measure has faults of its
own. It counts aliased frequencies twice (counted once, {glue:text}`Q4-pie-toy/once:.1%` are tangled in the document); its threshold is lower than it says; and its padding smears lines. Corrected, {glue:text}`Q4-pie-toy/tangled-corrected:.1%` of ours are tangled (recorded
{recorded}`Q4-pie-toy/tangled-corrected`). What of this is the measure's own doing is the subject of {ref}`ch-aliasing`. A last slip: the read-me shows this pie under the heading "ImageNet", and that of ImageNet under "Toy experiments".

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Zero frequency.** In these classes the phase sets the amplitude. No network can pass the ceiling they make.

**The best epoch.** It is chosen on the images that it is judged by. Near chance this alone lifts a guesser, and at $A = 4$ it hides that a network forgets.

**One run a point.** Where training is a matter of luck, at $A = 4$ and $A = 8$, single runs order nothing.

**Random weights.** In the recorded run their tangled shares lie on both sides of the document's. Without this control we would have called our likeness to it a success.

**Short training.** Our residual networks had few epochs, in both runs. The document's have fifty. So the accuracies of ours get no verdict.

:::{admonition} What we learned
:class: important
- Every second pixel alone: $f$ and $1 - f$ are one. After a convolution: they need not be.
- Networks that halve their maps can come to the ceiling of the task when the noise is small: the published ones do. Fully connected ones of the same size, which drop nothing, do worse.
- The ceiling at strong noise is high, and networks miss it by far. That waves become equal is not the only reason.
- A table of best epochs and single runs needs its spread beside it.
:::

## Exercises

```{exercise}
:label: ex-oscillations-fold
**Where does it go?** (3 minutes). A wave has the frequency $f$ between 0 and 1, in units of the Nyquist frequency. Every second pixel is kept. What is its frequency now, in units of the *new* Nyquist frequency, between 0 and 1?
```
"""


# %% tags=["exercise"]
def fold(f):
    """Return the frequency after every second pixel has been dropped."""
    return 2 * f  # right for slow waves


waves = oscillations.signals(
    torch.tensor([[0.2, 0], [0.7, 0], [0.95, 0]]), torch.zeros(3, 2), 64
)[:, 0, ::2]
seen = [float(np.abs(np.fft.rfft(w)).argmax() / 16) for w in waves.numpy()]
passed = np.allclose([fold(f) for f in (0.2, 0.7, 0.95)], seen, atol=0.05)
report.check("ex-oscillations-fold", passed, "Which slower wave has the same pixels?")


# %% tags=["solution"]
def fold(f):
    """Return the frequency after every second pixel has been dropped."""
    return 2 * min(f, 1 - f)


passed = np.allclose([fold(f) for f in (0.2, 0.7, 0.95)], seen, atol=0.05)
report.check("ex-oscillations-fold", passed, "Which slower wave has the same pixels?")

# %% [markdown]
r"""
```{exercise}
:label: ex-oscillations-filter
**Two channels are enough** (5 minutes). Before pixels are dropped, the filters $(1, 2, 1)/4$ and $(1, -2, 1)/4$ make two channels of a row. Say from the two channels, each with every second pixel only, whether the wave was slower than one half.
```
"""

# %% tags=["exercise"]
slow_or_fast = torch.tensor([0.1, 0.3, 0.45, 0.55, 0.7, 0.9])
lines = oscillations.signals(
    torch.stack([slow_or_fast, 0 * slow_or_fast], 1), torch.full((6, 2), 0.8), 64
)[:, :1]
filters = torch.tensor([[[1.0, 2, 1]], [[1, -2, 1]]]).double() / 4
channels = torch.nn.functional.conv1d(lines, filters)[..., ::2]  # (6, 2, 31)


def is_slow(channels):
    """Say for each wave, from (n, 2, w), whether it was slower than one half."""
    return channels[:, 0].abs().amax(1) > 0.1  # a fast wave passes here, too, a little


passed = (is_slow(channels) == (slow_or_fast < 0.5)).all()
report.check("ex-oscillations-filter", passed, "In which of the two channels is it stronger?")


# %% tags=["solution"]
def is_slow(channels):
    """Say for each wave, from (n, 2, w), whether it was slower than one half."""
    energy = channels.square().sum(2)
    return energy[:, 0] > energy[:, 1]


passed = (is_slow(channels) == (slow_or_fast < 0.5)).all()
report.check("ex-oscillations-filter", passed, "In which of the two channels is it stronger?")

# %% [markdown]
r"""
```{exercise}
:label: ex-oscillations-luck
**The luck of fifty** (5 minutes). A network guesses among 400 classes. After each of 50 epochs it is judged on 10,000 images, each time with new luck, and the best is reported. What number do you expect?
```
"""

# %% tags=["exercise"]
tries = (
    np.random.default_rng(1).binomial(10_000, 1 / 400, (2000, 50)) / 10_000
)  # (experiments, epochs)


def expected(tries):
    """Return the number that is reported, on average."""
    return tries.mean()  # of an epoch, not of the best


report.check(
    "ex-oscillations-luck",
    abs(expected(tries) - lucky) < 1e-4,
    "First the best of each experiment.",
)


# %% tags=["solution"]
def expected(tries):
    """Return the number that is reported, on average."""
    return tries.max(1).mean()


report.check(
    "ex-oscillations-luck",
    abs(expected(tries) - lucky) < 1e-4,
    "First the best of each experiment.",
)

# %% [markdown]
r"""
## Go further

- Ribeiro and Schön {cite:p}`ribeiro-2021` give the theory: when maps can be undone from their decimated channels.
- Zhang {cite:p}`zhang-2019` blurs before pixels are dropped, to make networks indifferent to shifts.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
