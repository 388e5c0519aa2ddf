# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-aliasing-attacks)=
# Do adversarial attacks work by aliasing?

**Not by the {term}`aliasing` that the document measures. While the accuracy collapses, the share of aliased and tangled frequencies moves by a few points of a hundred, and noise that fools far fewer images moves the published share too,
at the largest size not clearly less. An attack of which nothing may alias at the halvings, and that knows it, still wins.**

```{figure} ../results/real/16_aliasing_attacks/fig-attacks-images.webp
:name: fig-attacks-hero
:alt: An image, the same attacked and the same under noise; what was added, enlarged; its spectrum; and squares of dark, blue, yellow and red pixels, nearly the same in all rows.

What you will be able to make: an attack that nobody sees, its spectrum, and what it does to the frequencies inside of the network. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Read a figure with two axes and steps, and say what it hides.
- Measure a change image by image, with an interval, beside noise of the same size.
- Find the frequencies in which an attack lives, from the image to the last maps.
- Tell a change that goes along with an attack from one that makes it work: take it away and look.

**You need** the four kinds of frequency from [](#ch-aliasing) and the attacks from [](#ch-adversaries). **Time:** 25 minutes to read, one minute to run. **Document:** the last part of "Quantifying aliasing in convolutional
neural networks" {cite:p}`ribeiro-aliasing-readme`. **Data:** shapes, which `actlib` draws; in the recorded run CIFAR-10 {cite:p}`krizhevsky-2009` with published weights.
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
# largest changes of a pixel; images; steps of an attack; the change that is looked at closely
radii = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05]
n_attacked, n_steps, eps = 36, 100, 0.01
# attacks that are confined to some frequencies, or meet a network with a blur: changes, steps
radii_few, few_steps = [0.005, 0.01, 0.05], 10
n_tune, tune_epochs, tune_rate = 1200, 2, 0.02
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
    attacks,
    checkpoints,
    data,
    downsampling,
    models,
    plots,
    published,
    report,
    resnets,
    statistics,
    train,
    weights,
)
from matplotlib import cbook
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from torch import nn

# %% tags=["hide-input"]
# fmt: off
report.start("16_aliasing_attacks", profile=profile, seed=seed, device=device)
KINDS = ListedColormap(aliasing.COLORS)
LEGEND = [Patch(color=colour, label=name) for name, colour in zip(aliasing.CATEGORIES, aliasing.COLORS, strict=True)]
LITERAL, CORRECTED = aliasing.LITERAL, aliasing.CORRECTED
HANN = CORRECTED._replace(window="hann")
RULES = {"as published": LITERAL, "corrected": CORRECTED}
SHORT = {"as published": "published", "counted once": "once", "corrected": "corrected"}
INKS = {"PGD": "C1", "noise": "C0"}


def dice(k):
    """Return a generator of its own for one part of the chapter."""
    return torch.Generator().manual_seed(1000 * seed + k)


def written(e):
    """Return a size of attack as the document writes it: 1e-4."""
    return f"{e:.0e}".replace("e-0", "e-") if e else "0"


def given_by_document(key):
    """Return a published value of this experiment."""
    return published.value(f"Q6-adversarial/{key}")["value"]
# fmt: on


# %% [markdown]
r"""
## The document's figure

The document asks whether {term}`aliasing` has to do with {term}`adversarial examples <adversarial example>`. It attacks a ResNet-34 with {term}`PGD` {cite:p}`madry-2018,kim-2020`: {published}`Q6-adversarial/steps` steps along the sign of the gradient, each of size
$2.5\,\varepsilon/100$, so that no pixel moves by more than $\varepsilon$. "The figure below shows the accuracy as a function of the maximum magnitude of the adversarial disturbance", and on a second axis the share of frequencies that
are aliased or {ref}`tangled <ch-aliasing>`.

:::{admonition} Guess first
:class: tip
On the left is the document's figure, drawn anew from its values. At what $\varepsilon$ does the share begin to rise, and by how much has it risen at the end? Then look at the right.
:::
"""

# %% tags=["hide-input"]
# fmt: off
report.source("read from the document's figure")
DOCUMENT = [1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2]
TOP = {k: [given_by_document(f"top{k}-{written(e)}") for e in DOCUMENT] for k in (1, 5)}
MIDDLE = [given_by_document("median-" + written(max(e, 1e-3))) for e in DOCUMENT]
BAND = given_by_document("band-low"), given_by_document("band-high")


def places(ax, radii):
    """Put sizes of attack side by side, zero first, at equal distances."""
    ax.set_xticks(range(len(radii) + 1), ["0", *map(written, radii)], rotation=45)
    ax.set(xlabel=r"$\varepsilon$", xlim=(-0.4, len(radii) + 0.4))
# fmt: on


# %% tags=["hide-input"]
# fmt: off
fig, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for k, line in ((1, "-"), (5, "--")):
    axes[0].plot(DOCUMENT, TOP[k], line, color="k", marker=".")
    axes[1].plot(range(1, 7), TOP[k], line, color="k", marker=".", label=f"top {k} right")
twin = axes[0].twinx()
twin.step(DOCUMENT, MIDDLE, where="pre", color="C1")
twin.fill_between(DOCUMENT, *BAND, color="C1", alpha=0.15, lw=0)
twin.set_ylabel("share, aliased or tangled", color="C1")
twin.set(ylim=(0.4, 0.6))
axes[0].set(xscale="log", xlabel=r"$\varepsilon$", ylabel="accuracy", ylim=(0, 1))
axes[0].set_title("as in the document", fontsize="small")
axes[1].fill_between(range(1, 7), *BAND, color="C1", alpha=0.15, lw=0)
axes[1].plot(range(1, 7), MIDDLE, "o-", color="C1", label="share, median")
places(axes[1], DOCUMENT)
axes[1].set(ylim=(0, 1.12), yticks=np.linspace(0, 1, 6))
axes[1].set_title("one axis, values where they belong", fontsize="small")
axes[1].text(0, 0.03, "?", ha="center")
axes[1].legend(fontsize="small", loc="upper right", handlelength=2.8)
report.figure(
    fig, name="fig-attacks-document",
    caption="The document's values for a ResNet-34 on ImageNet, read from its plot. Left: its form, with two axes and steps. Right: one axis, every value above its own size of attack; the value at zero is not known (?). Band: from the first to the 99th percentile over images.",
    alt=f"Left: accuracy falls along a logarithmic axis while orange steps climb on a stretched second axis. Right: accuracy falls from {TOP[1][0]:.2f} to {TOP[1][-1]:.2f}; the orange line is nearly flat, {MIDDLE[0]:.3f} to {MIDDLE[-1]:.3f}.",
)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Four things are hard to see on the left.

1. *Steps.* The steps are drawn with `where="pre"`: each value stands over the stretch *before* its $\varepsilon$. The highest, {published}`Q6-adversarial/median-5e-2`, begins right after 1e-2, where it was not measured.
2. *Zero.* A logarithmic axis has no place for $\varepsilon = 0$. The unattacked images, to which all else should be compared, are missing.
3. *Two axes.* The median rises from {published}`Q6-adversarial/median-1e-3` to {published}`Q6-adversarial/median-5e-2`, three points of a hundred, while the accuracy goes to zero. And it rises late: where the top-1 accuracy is already {published}`Q6-adversarial/top1-1e-3`, it
has not moved.
4. *The band* goes from {published}`Q6-adversarial/band-low` to {published}`Q6-adversarial/band-high` and is four times as wide as the rise. But it says how images differ, not how one image *changes*. A small change can be in every single image.

So we attack a network ourselves, start at zero, and follow every image.

## Attacked images and noise

:::{admonition} Guess first
:class: tip
One grey level is 1/255, about 4e-3. How many levels does PGD need to make the network wrong on nearly all images? And how far will the same change, with signs drawn by chance, lower the accuracy?
:::
"""

# %% tags=["hide-input"]
split = data.manifest(pictures).splits[-1]
held_out = data.load(pictures, split, size=size, n=n_judged)
if isinstance(given, str):  # only these images need be there: every second one is learned from
    order = torch.arange(len(held_out.labels))
    learn, held_out = held_out.subset(order[1::2]), held_out.subset(order[::2])
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


# %% tags=["hide-input"]
if given is None:  # the network of the chapter before
    recipe = {"epochs": epochs, "learning_rate": learning_rate, "weight_decay": 5e-4}
    recipe |= {"schedule": "onecycle", "augment": "flip", "seed": seed, "batch_size": batch_size}
    known = learn.images.to(device), learn.labels.to(device)
    net = checkpoints.load_or_fit("aliasing-network", build, *known, **recipe).model
elif isinstance(given, str):
    net = weights.imagenet(given).to(device)
else:
    net = resnets.pretrained(given).to(device)
net = net.to(memory_format=torch.channels_last)
IMAGENET = isinstance(given, str)
chosen = held_out.sample(n_attacked, seed)
y = chosen.labels.to(device)
clean = models.prepare(net, chosen.images).contiguous(memory_format=torch.channels_last)

# %%
options = {"n_steps": n_steps, "step_size": None}  # None: 2.5 eps / n_steps
made = {("PGD", e): attacks.pgd(net, clean, y, e, **options).images for e in radii}
for k, e in enumerate(radii):
    made["noise", e] = attacks.random_sign(clean, e, generator=dice(10 + k))
made |= {(kind, 0): clean for kind in INKS}


def rank(model, images):
    """Return how many classes get a higher score than the true one: 0 where the answer is right."""
    scores = train.logits(model, images, batch_size=len(images))
    return (scores > scores.gather(1, y[:, None])).sum(1).cpu().numpy()


ranks = {key: rank(net, images) for key, images in made.items()}


# %% tags=["hide-input"]
# fmt: off
def of(what):
    """Say where the numbers that follow come from."""
    report.source(f"{pictures}, residual network of {given or depth} layers, {what}", stand_in=None if IMAGENET else "ResNet-34 on ImageNet")


def kinds_in(images):
    """Return the maps of one image right before the last halving: the channel that varies most for the clean image."""
    with torch.no_grad(), aliasing.capture(net) as maps:
        net(images[None])
    return maps[LAST][0]


with torch.no_grad(), aliasing.capture(net) as found:
    net(clean[:2])
LAYERS, STRIDES = list(found), aliasing.strides(net)
LAST = [name for name in LAYERS if "shortcut" not in name and "downsample" not in name][-1]
fooled = (ranks["PGD", 0] == 0) & (ranks["PGD", eps] > 0) & (ranks["noise", eps] == 0)
one = int((fooled if fooled.any() else ranks["PGD", 0] == 0).argmax())
rows = {"clean": clean[one], "PGD": made["PGD", eps][one], "noise": made["noise", eps][one]}
best = int(kinds_in(rows["clean"]).flatten(1).std(1).argmax())
answers = {kind: chosen.classes[int(train.predict(net, image[None])[0])] for kind, image in rows.items()}
levels = eps * 255
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of("one image")
fig, seen = plt.figure(figsize=(7, 4.9)), {}
axes = plots.grid(3, 5, figure=fig, hspace=0.22)
for line, (kind, image) in zip(axes, rows.items(), strict=True):
    shift = image - rows["clean"]
    plots.image(image.cpu().numpy(), ax=line[0])
    line[0].set_title(answers[kind], fontsize="small", color="C1" if answers[kind] != answers["clean"] else "k", pad=3)
    line[0].set_ylabel(kind, fontsize="small")
    plots.image((0.5 + 0.45 * shift / eps).clamp(0, 1).cpu().numpy(), ax=line[1])
    wave = image.mean(0) - image.mean() if kind == "clean" else shift.mean(0)
    power = torch.fft.fftshift(torch.fft.fft2(wave.cpu()).abs() + 1e-9).log10()
    line[2].imshow(power, cmap="viridis", vmin=float(power.max()) - 2.5)
    side = image.shape[-1]
    line[2].add_patch(plt.Rectangle((side / 4 - 0.5, side / 4 - 0.5), side / 2, side / 2, fill=False, ec="w", lw=0.9))
    seen[kind] = [aliasing.category_map(kinds_in(image)[best].cpu(), STRIDES[LAST], rule) for rule in (LITERAL, CORRECTED)]
    for ax, squares in zip(line[3:], seen[kind], strict=True):
        ax.imshow(squares, cmap=KINDS, vmin=-0.5, vmax=3.5, interpolation="nearest")
for ax, title in zip(axes[-1], ["image, answer", "added", "spectrum", "kinds,\nas published", "kinds,\ncorrected"], strict=True):
    ax.set_xlabel(title, fontsize="small")
fig.legend(handles=LEGEND, ncols=4, loc="lower center", bbox_to_anchor=(0.5, -0.06), fontsize="small")
kept = {kind: np.mean([float((a == b).float().mean()) for a, b in zip(seen["clean"], each, strict=True)]) for kind, each in seen.items()}
report.figure(
    fig, name="fig-attacks-images",
    caption=f"One image, attacked, and under noise; no pixel moves by more than {levels:.1f} grey levels. What was added, enlarged; the spectrum of the image (top) and of what was added, slow frequencies in the middle, a white frame around "
    "the own fold; and the kind of each frequency in one map right before the last halving.",
    alt=f"Three rows of five squares. The three images look alike; the answers are {answers['clean']}, {answers['PGD']} and {answers['noise']}. The top spectrum is brightest in the middle, the others spread. On the right PGD leaves {kept['PGD']:.0%} of the colours, noise {kept['noise']:.0%}.",
)
# fmt: on


# %%
def mixed(model, images, rules=RULES):
    """Return by rule the share of aliased and tangled frequencies of each image, mean over signals."""
    found = aliasing.measure(model, images, rules=rules, progress=False)
    each = {rule: torch.stack([one.shares for one in found[rule].values()]) for rule in rules}
    if "as published" in rules:
        each["counted once"] = aliasing.single_counted(each["as published"])
    return {rule: part[..., 2:].sum(-1).mean(0).cpu().numpy() for rule, part in each.items()}


shares = {key: mixed(net, images) for key, images in made.items()}

# %% tags=["hide-input"]
# fmt: off
of(f"{len(y)} held-out images")
ZERO = [0, *radii]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained", sharey=True)
hit = {key: each == 0 for key, each in ranks.items()}
for kind, marker in (("noise", "s"), ("PGD", "o")):
    axes[0].plot(range(len(ZERO)), [hit[kind, e].mean() for e in ZERO], marker=marker, color=INKS[kind], label=f"right, {kind}")
axes[0].plot([ZERO.index(e) for e in DOCUMENT if e in ZERO], [v for e, v in zip(DOCUMENT, TOP[1], strict=True) if e in ZERO], "*", ms=10, color="k", ls="", label="right, document")
for rule, colour in (("as published", "C1"), ("corrected", "C2")):
    middle, low, high = (np.array([np.quantile(shares["PGD", e][rule], q) for e in ZERO]) for q in (0.5, 0.01, 0.99))
    axes[1].fill_between(range(len(ZERO)), low, high, color=colour, alpha=0.15, lw=0)
    axes[1].plot(range(len(ZERO)), middle, "o-", color=colour, label=rule)
axes[1].plot([ZERO.index(e) for e in DOCUMENT if e in ZERO], [v for e, v in zip(DOCUMENT, MIDDLE, strict=True) if e in ZERO], "*", ms=10, color="k", ls="", label="document")
for ax in axes:
    places(ax, radii)
    ax.set(ylim=(0, 1.02))
axes[0].set(ylabel="share")
axes[0].set_title("accuracy", fontsize="small")
axes[1].set_title("aliased or tangled, under PGD", fontsize="small")
for ax in axes:
    ax.legend(fontsize="small", loc="lower left" if ax is axes[0] else "upper right")
end = {rule: (float(np.median(shares["PGD", 0][rule])), float(np.median(shares["PGD", radii[-1]][rule]))) for rule in SHORT}
report.figure(
    fig, name="fig-attacks-accuracy",
    caption="Left: accuracy under attack and under noise with the same largest change. Right: the share of frequencies that are aliased or tangled, median over images, with the first to the 99th percentile. Stars: the document, "
    "for another network and other images.",
    alt=f"Left: the orange line falls from {hit['PGD', 0].mean():.2f} to {hit['PGD', radii[-1]].mean():.2f}, the blue one to {hit['noise', radii[-1]].mean():.2f}. Right: two nearly flat lines with wide bands, "
    f"{end['as published'][0]:.2f} to {end['as published'][1]:.2f} as published and {end['corrected'][0]:.2f} to {end['corrected'][1]:.2f} corrected.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
WHY = None if IMAGENET else "not attempted on ImageNet: the weights are not at hand"
ours = {"agree": 0.05} if IMAGENET else {}
many = len(chosen.classes) > 10
for e in radii:
    report.number(f"Q6-adversarial/top1-{written(e)}", hit["PGD", e].mean(), n=len(y), unit="share", tol=0.1, label=f"accuracy under PGD, {written(e)}", note=WHY, **ours)
    if many:
        report.number(f"Q6-adversarial/top5-{written(e)}", (ranks["PGD", e] < 5).mean(), n=len(y), unit="share", tol=0.1, label=f"top-5 accuracy under PGD, {written(e)}", note=WHY, **ours)
    report.number(f"Q6-adversarial/noise-{written(e)}", hit["noise", e].mean(), n=len(y), unit="share", tol=0.1, label=f"accuracy under noise, {written(e)}")
    report.number(f"Q6-adversarial/median-{written(e)}", np.median(shares["PGD", e]["as published"]), n=len(y), unit="share", tol=0.05, label=f"aliased or tangled, median under PGD, {written(e)}", note=WHY, **ours)
    report.number(f"Q6-adversarial/corrected-{written(e)}", np.median(shares["PGD", e]["corrected"]), n=len(y), unit="share", tol=0.05, label=f"the same, corrected, {written(e)}")
report.number("Q6-adversarial/clean", hit["PGD", 0].mean(), n=len(y), unit="share", tol=0.05, label="accuracy without attack")
for rule, key in (("as published", "median-0"), ("counted once", "once-0"), ("corrected", "corrected-0")):
    report.number(f"Q6-adversarial/{key}", np.median(shares["PGD", 0][rule]), n=len(y), unit="share", tol=0.05, label=f"aliased or tangled, median without attack, {rule}")
for key, q in (("band-low", 0.01), ("band-high", 0.99)):
    report.number(f"Q6-adversarial/{key}", np.quantile(shares["PGD", 0]["as published"], q), n=len(y), unit="share", tol=0.1, label=f"the same, percentile {100 * q:.0f} over images, as published", note=WHY, **ours)
report.number("Q6-adversarial/images", len(y), tol=0)
report.number("Q6-adversarial/depth", given if isinstance(given, int) else depth, tol=0)
report.number("Q6-adversarial/steps", n_steps, tol=0, agree=0, label="steps of PGD")
start = attacks.pgd(net, clean, y, eps, generator=dice(30), n_steps=few_steps).images
report.number("Q6-adversarial/random-start", (rank(net, start) == 0).mean(), n=len(y), unit="share", tol=0.1, label=f"accuracy under PGD from a random start, {written(eps)}, {few_steps} steps")
report.number("Q6-adversarial/eps", eps, tol=0)
report.number("Q6-adversarial/most", radii_few[-1], tol=0)
report.number("Q6-adversarial/at-eps", hit["PGD", eps].mean(), unit="share", tol=0.1)
report.number("Q6-adversarial/levels", levels, tol=0)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
# a change that everybody sees, as a control: does the measure move at all?
coarse = mixed(net, attacks.random_sign(clean, 0.5, generator=dice(31)))
for rule, key in (("as published", "published"), ("corrected", "corrected")):
    report.number(f"Q6-adversarial/moved-{key}", end[rule][1] - end[rule][0], n=len(y), unit="share", tol=0.05, agree=(0, 0.1), label=f"change of the median, {written(radii[-1])} less no attack, {rule}", note="the document: about three points; little: at most ten")
    report.number(f"Q6-adversarial/moved-control-{key}", np.median(coarse[rule]) - end[rule][0], n=len(y), unit="share", tol=0.1, agree=(0, 0.1), label=f"the same for noise of half the range, {rule}", note="a control: the measure can move")
# fmt: on

# %% [markdown]
r"""
**What to notice.** We attack {glue:text}`Q6-adversarial/images` images (recorded {recorded}`Q6-adversarial/images`; a hundred steps take long, so they are few). With {glue:text}`Q6-adversarial/levels:.1f` grey levels (recorded {recorded}`Q6-adversarial/levels`) the accuracy falls from {glue:text}`Q6-adversarial/clean:.1%` to {glue:text}`Q6-adversarial/at-eps:.1%` (recorded {recorded}`Q6-adversarial/clean`
to {recorded}`Q6-adversarial/at-eps`). Noise with the same largest change leaves {glue:text}`Q6-adversarial/image-noise-whole:.1%` (recorded {recorded}`Q6-adversarial/image-noise-whole`). The attack starts at the image; from a random start, with fewer steps, it leaves {glue:text}`Q6-adversarial/random-start:.1%` (recorded
{recorded}`Q6-adversarial/random-start`), so here start and number of steps hardly matter.

The median share of aliased or tangled frequencies, as published, goes from {glue:text}`Q6-adversarial/median-0:.1%` without attack to {glue:text}`Q6-adversarial/median-5e-2:.1%` under the largest (recorded {recorded}`Q6-adversarial/median-0` to {recorded}`Q6-adversarial/median-5e-2`); in the document from {published}`Q6-adversarial/median-1e-3` to
{published}`Q6-adversarial/median-5e-2`. Another network, other images and smaller maps, but the same finding. Corrected, the share goes from {glue:text}`Q6-adversarial/corrected-0:.1%` to {glue:text}`Q6-adversarial/corrected-5e-2:.1%` (recorded {recorded}`Q6-adversarial/corrected-0` to {recorded}`Q6-adversarial/corrected-5e-2`).

Is the measure blind? As a control we add noise of half the range, which everybody sees. It moves the published median by {glue:text}`Q6-adversarial/moved-control-published:.1%` and the corrected one by {glue:text}`Q6-adversarial/moved-control-corrected:.1%` (recorded {recorded}`Q6-adversarial/moved-control-published` and
{recorded}`Q6-adversarial/moved-control-corrected`). So it can move. And one more fault of the figure: the published counts hold aliased frequencies twice, which makes the sum under the fraction bar too large and the share too small. Counted once, it is
{glue:text}`Q6-adversarial/once-0:.1%` without attack, not {glue:text}`Q6-adversarial/median-0:.1%` (recorded {recorded}`Q6-adversarial/once-0`, not {recorded}`Q6-adversarial/median-0`).

## Image by image

A median over images can stand still while every image changes. So we now compare each attacked image with itself.

:::{admonition} Guess first
:class: tip
Which changes the share of an image more: the attack, or noise of the same size, which leaves most answers as they are?
:::
"""


# %%
def spread(values):
    """Return the mean over images with the ends of its bootstrap interval."""
    own = {"generator": np.random.default_rng(seed), "n_draws": n_draws}
    return float(values.mean()), *statistics.bootstrap_interval(values, np.mean, **own)


def apart(before, after):
    """Return how often an attacked image has a higher value than another, clean one; interval."""
    wins = (after[:, None] > before) + 0.5 * (after[:, None] == before)
    others = 1 - np.eye(len(before))  # an image is not compared with itself

    def auroc(drawn):
        pairs = np.ix_(drawn.astype(int), drawn.astype(int))
        return (wins * others)[pairs].sum() / others[pairs].sum()

    own = {"generator": np.random.default_rng(seed), "n_draws": n_draws}
    everyone = np.arange(len(before))
    return float(auroc(everyone)), *statistics.bootstrap_interval(everyone, auroc, **own)


def outside(maps, stride=2):
    """Return the share of each image's energy outside the own folds, all channels together."""
    found = aliasing.tally(maps, stride, HANN)
    return (found.outside.sum(1) / found.energy.sum(1)).cpu().numpy()


moved = {(*key, r): each[r] - shares["PGD", 0][r] for key, each in shares.items() for r in SHORT}
changes = {key: spread(values) for key, values in moved.items() if key[1]}
beyond = {(e, r): spread(moved["PGD", e, r] - moved["noise", e, r]) for e in radii for r in SHORT}
scores = {key: {**each, "image": outside(made[key])} for key, each in shares.items()}
found_by = {
    (kind, e, score): apart(scores[kind, 0][score], scores[kind, e][score])
    for kind in INKS
    for e in radii
    for score in ("as published", "corrected", "image")
}

# %% tags=["hide-input"]
# fmt: off
of(f"{len(y)} held-out images, each with itself")


def ranges(ax, found, shift, **style):
    """Draw values with their intervals, one a size of attack."""
    value, low, high = np.array(found).T
    ax.errorbar(np.arange(1, len(value) + 1) + shift, value, [value - low, high - value], capsize=2, **style)
# fmt: on


# %% tags=["hide-input"]
# fmt: off
fig, axes = plt.subplots(2, 2, figsize=(7, 5.6), layout="constrained", sharex=True, sharey="row")
for column, rule in zip(axes.T, ("as published", "corrected"), strict=True):
    for kind, marker, shift in (("noise", "s", -0.08), ("PGD", "o", 0.08)):
        style = {"marker": marker, "color": INKS[kind], "label": kind}
        ranges(column[0], [changes[kind, e, rule] for e in radii], shift, **style)
        ranges(column[1], [found_by[kind, e, rule] for e in radii], shift, **style)
    column[0].axhline(0, color="0.5", lw=1, ls="--")
    column[1].axhline(0.5, color="0.5", lw=1, ls="--")
    column[0].set_title(rule, fontsize="small")
    places(column[1], radii)
for kind, marker in (("noise", "s"), ("PGD", "o")):
    axes[1, 1].plot(range(1, len(radii) + 1), [found_by[kind, e, "image"][0] for e in radii], ":", marker=marker, ms=4, color=INKS[kind], label=f"fast energy of\nthe image, {kind}")
axes[0, 0].set(ylabel="mean change of the share")
axes[1, 0].set(ylabel="AUROC against clean")
axes[0, 1].legend(fontsize="small", loc="upper left")
axes[1, 1].legend(fontsize="small", loc="upper left")
far = radii[-1]
report.figure(
    fig, name="fig-attacks-paired",
    caption="Above: how the share of aliased or tangled frequencies changes within one image, mean over images, with intervals that hold the true mean in 19 of 20 cases. Below: how often an attacked image has a higher share than another, clean "
    "one (one half: no difference). Dotted: the same for the fast part of the image's own energy.",
    alt=f"Upper panels: changes near 0 for small attacks; at {written(far)} PGD {changes['PGD', far, 'as published'][0]:+.3f} and noise {changes['noise', far, 'as published'][0]:+.3f} as published, {changes['PGD', far, 'corrected'][0]:+.3f} and "
    f"{changes['noise', far, 'corrected'][0]:+.3f} corrected. Lower panels: all rise from one half, corrected to {found_by['PGD', far, 'corrected'][0]:.2f} and {found_by['noise', far, 'corrected'][0]:.2f}.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def with_ends(key, found, **options):
    """Report a value, and the two ends of its interval."""
    value, low, high = found
    report.number(f"Q6-adversarial/{key}", value, spread=(high - low) / 3.92, n=len(y), **options)
    for end_of, one_end in (("low", low), ("high", high)):
        report.number(f"Q6-adversarial/{key}-{end_of}", one_end, unit=options.get("unit"), tol=options["tol"])


for rule, word in SHORT.items():
    for e, tag in ((eps, "near"), (far, "far")):
        for kind in INKS:
            with_ends(f"change-{kind}-{word}-{tag}", changes[kind, e, rule], unit="share", tol=0.03, label=f"change within one image, {kind}, {written(e)}, {rule}")
        with_ends(f"beyond-{word}-{tag}", beyond[e, rule], unit="share", tol=0.03, label=f"the same, PGD less noise, {written(e)}, {rule}")
    report.number(f"Q6-adversarial/clear-{word}", next((e for e in radii if changes["PGD", e, rule][1] * changes["PGD", e, rule][2] > 0), 1), tol=1, label=f"smallest attack with a clear change, {rule}")
for kind in INKS:
    for e, tag in ((eps, "near"), (far, "far")):
        for score, word in (("as published", "published"), ("corrected", "corrected"), ("image", "image")):
            with_ends(f"auroc-{kind}-{word}-{tag}", found_by[kind, e, score], tol=0.1, label=f"how often an image under {kind} {written(e)} has the higher value than a clean one: {score}")
first_fall = next((e for e in radii if hit["PGD", e].mean() < 0.5 * hit["PGD", 0].mean()), radii[-1])
report.number("Q6-adversarial/halved", first_fall, tol=0.05, label="smallest attack that takes half of the accuracy")
for rule, word in SHORT.items():
    with_ends(f"halved-{word}", changes["PGD", first_fall, rule], unit="share", tol=0.03, label=f"change within one image there, {rule}")
# fmt: on

# %% [markdown]
r"""
**What to notice.** At the first $\varepsilon$ that takes half of the accuracy, {glue:text}`Q6-adversarial/halved` (recorded {recorded}`Q6-adversarial/halved`), the published share of an image has changed by {glue:text}`Q6-adversarial/halved-published:.1%` on average (in points of a hundred, as all changes of shares here; interval {glue:text}`Q6-adversarial/halved-published-low:.1%` to
{glue:text}`Q6-adversarial/halved-published-high:.1%`; recorded {recorded}`Q6-adversarial/halved-published`, {recorded}`Q6-adversarial/halved-published-low` to {recorded}`Q6-adversarial/halved-published-high`). Pairs show what the band hides: the change is clear, and it is small.

Is it the attack, or only that something was added? At the largest $\varepsilon$ the published share changes by {glue:text}`Q6-adversarial/change-PGD-published-far:.1%` under PGD and by {glue:text}`Q6-adversarial/change-noise-published-far:.1%` under noise (recorded {recorded}`Q6-adversarial/change-PGD-published-far` and
{recorded}`Q6-adversarial/change-noise-published-far`), although the accuracy is {glue:text}`Q6-adversarial/top1-5e-2:.1%` in the one case and {glue:text}`Q6-adversarial/noise-5e-2:.1%` in the other (recorded {recorded}`Q6-adversarial/top1-5e-2` and {recorded}`Q6-adversarial/noise-5e-2`). Corrected, the changes are {glue:text}`Q6-adversarial/change-PGD-corrected-far:.1%` and
{glue:text}`Q6-adversarial/change-noise-corrected-far:.1%` (recorded {recorded}`Q6-adversarial/change-PGD-corrected-far` and {recorded}`Q6-adversarial/change-noise-corrected-far`): which of them moves it more depends on the network. As published, PGD less noise is
{glue:text}`Q6-adversarial/beyond-published-far:.1%` (interval {glue:text}`Q6-adversarial/beyond-published-far-low:.1%` to {glue:text}`Q6-adversarial/beyond-published-far-high:.1%`; recorded {recorded}`Q6-adversarial/beyond-published-far`, {recorded}`Q6-adversarial/beyond-published-far-low` to {recorded}`Q6-adversarial/beyond-published-far-high`): not clearly other than zero.
So the rise at the right end of the document's figure need be no mark of an attack. A control was missing.

At the smaller $\varepsilon$ = {glue:text}`Q6-adversarial/eps` (recorded {recorded}`Q6-adversarial/eps`) PGD changes the published share by {glue:text}`Q6-adversarial/change-PGD-published-near:.2%` and noise by {glue:text}`Q6-adversarial/change-noise-published-near:.2%` (recorded {recorded}`Q6-adversarial/change-PGD-published-near` and
{recorded}`Q6-adversarial/change-noise-published-near`). But nobody could find the attack by it: the {term}`AUROC` of attacked against clean images is {glue:text}`Q6-adversarial/auroc-PGD-published-near:.2f` as published and {glue:text}`Q6-adversarial/auroc-PGD-corrected-near:.2f` corrected (recorded
{recorded}`Q6-adversarial/auroc-PGD-published-near` and {recorded}`Q6-adversarial/auroc-PGD-corrected-near`). At the largest it is {glue:text}`Q6-adversarial/auroc-PGD-corrected-far:.2f` corrected, and {glue:text}`Q6-adversarial/auroc-noise-corrected-far:.2f` for noise (recorded {recorded}`Q6-adversarial/auroc-PGD-corrected-far` and
{recorded}`Q6-adversarial/auroc-noise-corrected-far`).

Why does the measure stay still? It asks which frequencies pass a threshold, and a small change takes few of them across. Let us see where the attack goes.

## In which frequencies does an attack live?

To alias, a change needs {term}`frequencies <spectrum>` outside the {term}`own fold <fold of a spectrum>`. We look at what is added to the image, and at how the maps change right before each halving: the maps of the attacked image less those of the
clean one. All with a {term}`window <window of a spectrum>`, so that borders add no fast frequencies.

:::{admonition} Guess first
:class: tip
Does PGD put more of its energy into fast frequencies than noise does? And will the share of it that is fast grow or shrink on the way through the network?
:::
"""


# %%
def maps_of(model, images):
    """Return the images and their maps before each halving, by name."""
    with torch.no_grad(), aliasing.capture(model) as maps:
        model(images)
    return {"image": images, **maps}


def short(name):
    """Return the document's label of a signal: 0 for the first layer, * for a shortcut."""
    if "layer" not in name:
        return "m" if "pool" in name else "image" if name == "image" else "0"
    stage = int("".join(c for c in name.split("layer")[-1][:1] if c.isdigit())) - 1
    return f"{'*' if 'shortcut' in name or 'downsample' in name else ''}{stage}"


base = maps_of(net, clean)
fast = {"the maps": {name: outside(each) for name, each in base.items()}}
level = {}
for kind in INKS:
    now = maps_of(net, made[kind, eps])
    shift = {name: now[name] - base[name] for name in base}
    fast[kind] = {name: outside(each) for name, each in shift.items()}
    size_of = {
        name: [float(m.square().sum()) for m in (shift[name], base[name])] for name in base
    }
    level[kind] = {name: 10 * np.log10(a / b) for name, (a, b) in size_of.items()}

# %% tags=["hide-input"]
# fmt: off
of(f"{len(y)} held-out images")
panels = {"the images": clean - clean.mean((2, 3), keepdim=True), "PGD": made["PGD", eps] - clean, "noise": made["noise", eps] - clean}


def draw_spectra(figure, panels):
    """Draw the mean power of images by frequency, slow ones in the middle; return within how many dB nine tenths lie."""
    relief = {}
    for ax, (kind, each) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        power = torch.fft.fftshift(torch.fft.fft2(each.cpu().double()).abs().square().mean((0, 1)))
        picture = ax.imshow(10 * (power / power.max() + 1e-9).log10(), cmap="viridis", vmin=-30, vmax=0)
        relief[kind] = float(np.ptp(np.quantile(10 * (power + 1e-30).log10(), [0.05, 0.95])))
        side = power.shape[-1]
        ax.add_patch(plt.Rectangle((side / 4 - 0.5, side / 4 - 0.5), side / 2, side / 2, fill=False, ec="w", lw=1))
        ax.set(xticks=[], yticks=[])
        ax.set_title(kind, fontsize="small")
    figure.colorbar(picture, ax=figure.axes, label="dB", shrink=0.8)
    return relief
# fmt: on


# %% tags=["hide-input"]
# fmt: off
fig = plt.figure(figsize=(7, 5.4), layout="constrained")
upper, lower = fig.subfigures(2, 1, height_ratios=[1, 1.15])
relief = draw_spectra(upper, panels)
axes = lower.subplots(1, 2)
names = [short(name) for name in base]
for (kind, each), marker, colour in zip(fast.items(), "Dos", ("0.4", "C1", "C0"), strict=True):
    axes[0].plot(range(len(names)), [v.mean() for v in each.values()], marker=marker, color=colour, label=kind)
axes[0].axhline(0.75, color="0.5", lw=1, ls="--")
for kind, marker in (("PGD", "o"), ("noise", "s")):
    axes[1].plot(range(len(names)), list(level[kind].values()), marker=marker, color=INKS[kind], label=kind)
for ax in axes:
    ax.set_xticks(range(len(names)), names)
    ax.set(xlabel="signal")
axes[0].set(ylim=(0, 1.2), yticks=[0, 0.25, 0.5, 0.75, 1])
axes[0].set_title("energy outside the own fold", fontsize="small")
axes[1].set_title("the change, dB relative to the map", fontsize="small")
axes[0].legend(fontsize="small", loc="upper right")
report.figure(
    fig, name="fig-attacks-spectrum",
    caption=f"Above: mean spectrum of the images, and of what is added, at most {written(eps)} a pixel; slow frequencies in the middle, a white frame around the own fold. Below, at the image and right before each halving (those with a star are shortcuts): share of the energy outside the "
    "own folds, of the maps themselves and of how they change (dashed: white noise); and the energy of that change, relative to the maps.",
    alt=f"Above: a bright middle, and two squares of which nine tenths lie within {relief['PGD']:.0f} dB (PGD) and {relief['noise']:.0f} dB (noise). Below left: at the image {fast['PGD']['image'].mean():.2f} PGD, {fast['noise']['image'].mean():.2f} noise, {fast['the maps']['image'].mean():.2f} the images. Right: PGD climbs from "
    f"{level['PGD']['image']:.0f} to {level['PGD'][LAST]:.0f} dB, noise from {level['noise']['image']:.0f} to {level['noise'][LAST]:.0f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("Q6-adversarial/fast-noise", fast["noise"]["image"].mean(), n=len(y), unit="share", tol=0.02, agree=0.02, theory=0.75, label="energy of noise outside the own fold, at the image")
report.number("Q6-adversarial/fast-PGD", fast["PGD"]["image"].mean(), n=len(y), unit="share", tol=0.1, label="the same of the attack")
report.number("Q6-adversarial/fast-image", fast["the maps"]["image"].mean(), n=len(y), unit="share", tol=0.05, label="the same of the images")
for kind, key in (("PGD", "PGD"), ("noise", "noise"), ("the maps", "map")):
    report.number(f"Q6-adversarial/fast-last-{key}", fast[kind][LAST].mean(), n=len(y), unit="share", tol=0.1, label=f"energy outside the own folds before the last halving, {kind}")
for kind in INKS:
    for name, key in (("image", "image"), (LAST, "last")):
        report.number(f"Q6-adversarial/level-{key}-{kind}", level[kind][name], unit="dB", tol=3, label=f"energy of the change by {kind}, relative to the {'image' if key == 'image' else 'maps before the last halving'}")
length = [float((made[kind, eps] - clean).flatten(1).norm(dim=1).mean()) for kind in ("PGD", "noise")]
report.number("Q6-adversarial/length", length[0] / length[1], tol=0.1, label="length of the attack over that of noise with the same largest change")
# fmt: on

# %% [markdown]
r"""
**What to notice.** Of the energy of the images {glue:text}`Q6-adversarial/fast-image:.1%` lies outside the own fold of a halving, and of noise {glue:text}`Q6-adversarial/fast-noise:.1%`: three of four frequencies are there, and noise is equally strong at all of them. That checks our measure. Of the attack it is
{glue:text}`Q6-adversarial/fast-PGD:.1%` (recorded {recorded}`Q6-adversarial/fast-image`, {recorded}`Q6-adversarial/fast-noise` and {recorded}`Q6-adversarial/fast-PGD`). So the attack is much faster than the images, but not clearly faster than noise. In our own small network the attack prefers some frequencies (bright spots); against the published weights its spectrum is nearly even.

At the image PGD and noise are about equally strong, {glue:text}`Q6-adversarial/level-image-PGD:.0f` and {glue:text}`Q6-adversarial/level-image-noise:.0f` dB relative to the image (recorded {recorded}`Q6-adversarial/level-image-PGD` and {recorded}`Q6-adversarial/level-image-noise`). Before the last halving the change by PGD has come up to
{glue:text}`Q6-adversarial/level-last-PGD:.0f` dB, that by noise to {glue:text}`Q6-adversarial/level-last-noise:.0f` (recorded {recorded}`Q6-adversarial/level-last-PGD` and {recorded}`Q6-adversarial/level-last-noise`). The layers amplify the attack far more than the noise: this is how it works.

And on the way the fast part gets *smaller*. Before the last halving {glue:text}`Q6-adversarial/fast-last-PGD:.1%` of the change by PGD lies outside the own fold, and {glue:text}`Q6-adversarial/fast-last-noise:.1%` of that by noise (recorded {recorded}`Q6-adversarial/fast-last-PGD` and {recorded}`Q6-adversarial/fast-last-noise`). A change that was made to alias should have more there
than noise has.

But spectra only go along with an attack. Whether aliasing makes it work can only be seen by taking it away.

## Is aliasing the cause?

We split a change into its *slow* part, in the own fold of a halving, and its *fast* part, all the rest. First at the image: we add only one of them. Then inside. The network runs on the clean image and on the attacked one side by side, and right before
each halving only one part of the difference of their maps passes. If only the slow part passes, nothing of the attack can alias any more. Nothing else is changed, and clean images get the same answers as before.

:::{admonition} Guess first
:class: tip
If aliasing makes attacks work, the slow part alone must be harmless at the halvings, and the fast part alone must do the damage. What do you expect?
:::
"""


# %%
def slow_part(x):
    """Return what lies in the own fold of a halving: less than a quarter wave a pixel."""
    slow = torch.fft.fftfreq(x.shape[-1], device=x.device).abs() < 0.25
    return torch.fft.ifft2(torch.fft.fft2(x) * (slow[:, None] & slow)).real


PARTS = {"whole": lambda x: x, "slow": slow_part, "fast": lambda x: x - slow_part(x)}


class Filtered(nn.Module):
    """A network that sees one part only of what is added to images."""

    def __init__(self, network, images, part):
        super().__init__()
        self.network, self.images, self.part = network, images, part

    def forward(self, points):
        """Return the network's scores."""
        seen = self.images + self.part(points - self.images)
        return self.network(seen.clamp(0, 1))


# %%
class Halving(nn.Module):
    """A layer that drops pixels, and first filters how maps of attacked images differ."""

    def __init__(self, layer, stride, part):
        super().__init__()
        self.layer, self.stride, self.part = layer, stride, part

    def forward(self, x):
        """Return the smaller maps of images, clean ones first."""
        before, after = downsampling.at_stride_1(self.layer, x).chunk(2)
        maps = torch.cat([before, before + self.part(after - before)])
        if isinstance(self.layer, resnets.Subsample):
            return self.layer(maps)
        return maps[..., :: self.stride[0], :: self.stride[1]]


class Beside(nn.Module):
    """A network that runs clean images beside others and filters the difference at each halving."""

    def __init__(self, network, images, part):
        super().__init__()
        self.network, self.images = copy.deepcopy(network), images
        for name, stride in aliasing.strides(network).items():
            parent, _, own = name.rpartition(".")
            layer = Halving(network.get_submodule(name), stride, part)
            setattr(self.network.get_submodule(parent), own, layer)

    def forward(self, points):
        """Return the network's scores."""
        return self.network(torch.cat([self.images, points])).chunk(2)[1]


# %%
def as_large(shift, e):
    """Return a change, scaled for each image so that its largest value is e."""
    return shift * (e / shift.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12))


once = {"n_steps": few_steps, "batch_size": len(y)}
right = {}
for part, cut in PARTS.items():
    behind, beside = Filtered(net, clean, cut).eval(), Beside(net, clean, cut).eval()
    for e in radii:
        for kind in INKS:
            right["image", kind, part, e] = rank(behind, made[kind, e]) == 0
            right["halvings", kind, part, e] = rank(beside, made[kind, e]) == 0
    for e in radii_few:
        found = attacks.pgd(behind, clean, y, e, **once).images
        found = (clean + as_large(cut(found - clean), e)).clamp(0, 1)
        right["image", "known", part, e] = rank(net, found) == 0
        if part != "whole":
            found = attacks.pgd(beside, clean, y, e, **once).images
            right["halvings", "known", part, e] = rank(beside, found) == 0

# %% tags=["hide-input"]
# fmt: off
of(f"{len(y)} held-out images")
fig, axes = plt.subplots(1, 3, figsize=(7, 3.6), layout="constrained", sharey=True)
STYLE = {"whole": ("k", "o"), "slow": ("C2", "v"), "fast": ("C3", "^")}
at = [ZERO.index(e) for e in radii_few]
first = hit["PGD", 0].mean()
for part, (colour, marker) in STYLE.items():
    style = {"marker": marker, "ms": 5, "color": colour}
    for ax, where in zip(axes, ("image", "halvings"), strict=False):
        ax.plot(range(len(ZERO)), [first, *(right[where, "PGD", part, e].mean() for e in radii)], label=part, **style)
        ax.plot(range(len(ZERO)), [first, *(right[where, "noise", part, e].mean() for e in radii)], ":", **style)
    axes[2].plot([0, *at], [first, *(right["image", "known", part, e].mean() for e in radii_few)], **style)
    if part != "whole":
        axes[2].plot([0, *at], [first, *(right["halvings", "known", part, e].mean() for e in radii_few)], "--", mfc="w", **style)
for ax, title in zip(axes, ("parts, at the image", "parts, at each halving", "attacks that\nknow the filter"), strict=True):
    places(ax, radii)
    ax.set(ylim=(-0.02, 1.02))
    ax.set_title(title, fontsize="small")
axes[0].set(ylabel="accuracy")
axes[0].legend(fontsize="small", loc="lower left")
least = min(right[where, "noise", part, radii[-1]].mean() for where in ("image", "halvings") for part in PARTS)
report.figure(
    fig, name="fig-attacks-parts",
    caption="Accuracy when only a part of a change passes: slow, in the own fold of a halving, or fast, outside of it. Left: a finished attack, filtered at the image. Middle: the whole attack, but at each halving only a part of how it changes the maps "
    f"passes. Dotted: the same with noise. Right: PGD that knows the filter, {few_steps} steps, at the image (filled) or at the halvings (open, dashed).",
    alt=f"At {written(eps)}. Left: whole {right['image', 'PGD', 'whole', eps].mean():.2f}, slow {right['image', 'PGD', 'slow', eps].mean():.2f}, fast {right['image', 'PGD', 'fast', eps].mean():.2f}. Middle: slow {right['halvings', 'PGD', 'slow', eps].mean():.2f}, fast "
    f"{right['halvings', 'PGD', 'fast', eps].mean():.2f}. Right: open slow marks at {right['halvings', 'known', 'slow', eps].mean():.2f}. Dotted lines end at {least:.2f} or more.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for (where, kind, part, e), each in right.items():
    if e in (eps, radii_few[-1]):
        tail = "" if e == eps else "-most"
        report.number(f"Q6-adversarial/{where}-{kind}-{part}{tail}", each.mean(), n=len(y), unit="share", tol=0.15, label=f"accuracy at {written(e)}, {part} part at the {where}, {'PGD that knows the filter' if kind == 'known' else kind}")
same = float(np.mean([(right["halvings", "PGD", "whole", e] == hit["PGD", e]).mean() for e in radii]))
report.number("Q6-adversarial/same", same, unit="share", tol=0.02, agree=(0.99, 1), label="answers of the network with filters that pass everything, as without", note="a control")
lost = {part: right["halvings", "PGD", part, eps].mean() - hit["PGD", eps].mean() for part in ("slow", "fast")}
report.number("Q6-adversarial/saved-slow", lost["slow"], n=len(y), unit="share", tol=0.15, label="accuracy that comes back when nothing of the attack may alias")
report.number("Q6-adversarial/saved-fast", lost["fast"], n=len(y), unit="share", tol=0.15, label="the same when all that passes is aliased")
# maps that go on at the other border: there a convolution keeps frequencies exactly
ring = copy.deepcopy(net)
for layer in ring.modules():
    if isinstance(layer, nn.Conv2d):
        layer.padding_mode = "circular"
report.number("Q6-adversarial/ring-clean", (rank(ring, clean) == 0).mean(), n=len(y), unit="share", tol=0.15, label="accuracy without attack, maps that go on at the other border")
for e, tail in ((eps, ""), (radii_few[-1], "-most")):
    for key, model, found in (("", net, made["PGD", e]), ("ring-", ring, attacks.pgd(ring, clean, y, e, **once).images)):
        with torch.no_grad():  # not clipped to the range, which would make slow parts
            ways = Beside(model, clean, slow_part).eval()(clean + PARTS["fast"](found - clean)).argmax(1)
        report.number(f"Q6-adversarial/{key}fast-then-slow{tail}", float((ways == y).float().mean()), n=len(y), unit="share", tol=0.15, label=f"accuracy at {written(e)}, fast part of PGD at the image, slow part of its change at the halvings{', maps that go on' if key else ''}")
part_energy = slow_part(made["PGD", eps] - clean).square().sum() / (made["PGD", eps] - clean).square().sum()
report.number("Q6-adversarial/slow-energy", float(part_energy), unit="share", tol=0.1, n=len(y), label="energy of the attack in slow frequencies")
# fmt: on

# %% [markdown]
r"""
**What to notice.** *At the image* (left), with {glue:text}`Q6-adversarial/levels:.1f` grey levels (recorded {recorded}`Q6-adversarial/levels`): the whole attack leaves {glue:text}`Q6-adversarial/image-PGD-whole:.1%`, its slow part {glue:text}`Q6-adversarial/image-PGD-slow:.1%`, its fast part {glue:text}`Q6-adversarial/image-PGD-fast:.1%` (recorded {recorded}`Q6-adversarial/image-PGD-whole`,
{recorded}`Q6-adversarial/image-PGD-slow` and {recorded}`Q6-adversarial/image-PGD-fast`). The two networks disagree: in the small one the slow part does more, against the published weights the fast one. Parts of noise do next to nothing there. Mind that the slow part is {glue:text}`Q6-adversarial/slow-energy:.1%` of the energy
(recorded {recorded}`Q6-adversarial/slow-energy`). An attack that knows the filter and has the full size again leaves {glue:text}`Q6-adversarial/image-known-slow:.1%` slow and {glue:text}`Q6-adversarial/image-known-fast:.1%` fast (recorded {recorded}`Q6-adversarial/image-known-slow` and {recorded}`Q6-adversarial/image-known-fast`). So fast frequencies of the *image* can matter.
But do they work by aliasing?

*At the halvings* (middle). With filters that let everything pass, {glue:text}`Q6-adversarial/same:.1%` of the answers are those of the network itself, as they must be. If only what aliases passes, the attack leaves {glue:text}`Q6-adversarial/halvings-PGD-fast:.1%`, almost as if there were none. If nothing may alias, it leaves
{glue:text}`Q6-adversarial/halvings-PGD-slow:.1%` (recorded {recorded}`Q6-adversarial/halvings-PGD-fast` and {recorded}`Q6-adversarial/halvings-PGD-slow`), against {glue:text}`Q6-adversarial/at-eps:.1%` of the whole attack ({recorded}`Q6-adversarial/at-eps`). So the slow part of the change carries more of this attack than what aliases (it is also most of the energy there, as we saw), although both together do most.

A finished attack was made for the network without filters. So let PGD know them (right). Where nothing may alias it leaves {glue:text}`Q6-adversarial/halvings-known-slow:.1%`, and with the largest change that we tried, {glue:text}`Q6-adversarial/most` (recorded {recorded}`Q6-adversarial/most`), {glue:text}`Q6-adversarial/halvings-known-slow-most:.1%` (recorded
{recorded}`Q6-adversarial/halvings-known-slow` and {recorded}`Q6-adversarial/halvings-known-slow-most`). Aliasing is not needed.

And what if PGD may use only what aliases? It leaves {glue:text}`Q6-adversarial/halvings-known-fast:.1%` and {glue:text}`Q6-adversarial/halvings-known-fast-most:.1%` (recorded {recorded}`Q6-adversarial/halvings-known-fast` and {recorded}`Q6-adversarial/halvings-known-fast-most`), at both sizes more than where nothing may alias, although three of four frequencies are fast. So aliasing is a way in too,
but the narrower one.

How can a fast change of the image work without aliasing? A convolution keeps frequencies (but for the borders). A {term}`ReLU` does not: it multiplies a map by zeros and ones, and the product of two fast waves has a slow part. As a check, we add only the fast part of PGD to the
image *and* let only slow changes pass at the halvings. If frequencies were kept, this would do nothing. It leaves {glue:text}`Q6-adversarial/fast-then-slow:.1%`, and {glue:text}`Q6-adversarial/fast-then-slow-most:.1%` at the largest size (recorded {recorded}`Q6-adversarial/fast-then-slow` and {recorded}`Q6-adversarial/fast-then-slow-most`). So in the small network little comes in this
way; with the published weights most of the attack does.

Or is it the borders? Where each map goes on at its other border, convolutions keep frequencies exactly. The network was not trained so; without attack {glue:text}`Q6-adversarial/ring-clean:.1%` of its answers are right (recorded {recorded}`Q6-adversarial/ring-clean`). The same check, with an attack of its own, leaves {glue:text}`Q6-adversarial/ring-fast-then-slow:.1%` and
{glue:text}`Q6-adversarial/ring-fast-then-slow-most:.1%` (recorded {recorded}`Q6-adversarial/ring-fast-then-slow` and {recorded}`Q6-adversarial/ring-fast-then-slow-most`). So where much comes in this way, it does not need the borders.

## Does a blur help?

If aliasing were the weak spot, a network that smooths its maps before it drops pixels {cite:p}`zhang-2019` should resist longer. We put the blur of [](#ch-aliasing) into the network and let it and an unchanged copy learn on for the same few steps. Each
is attacked with its own gradients.

:::{admonition} Guess first
:class: tip
The blur removes nearly all that can alias. How much of the accuracy under attack does it save?
:::
"""


# %% tags=["hide-input"]
def blurred(model):
    """Return a copy that smooths each map before it drops pixels."""
    model = copy.deepcopy(model)
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    for name, stride in aliasing.strides(model).items():
        layer, channels = model.get_submodule(name), base[name].shape[1]
        place = {"padding": 2, "padding_mode": "reflect", "groups": channels, "bias": False}
        blur = nn.Conv2d(channels, channels, 5, stride, **place).to(device).requires_grad_(False)
        blur.weight.copy_(torch.outer(taps, taps).expand_as(blur.weight))
        layer.stride = (1, 1) if isinstance(layer, nn.Conv2d) else 1
        parts = [blur, layer] if isinstance(layer, resnets.Subsample) else [layer, blur]
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, nn.Sequential(*parts))
    return model


# %%
some = learn.sample(min(n_tune, len(learn.labels)), seed)
some = some.images.to(device), some.labels.to(device)
tuned = {"strided": copy.deepcopy(net), "blur": blurred(net)}
again = {"epochs": tune_epochs, "learning_rate": tune_rate, "schedule": "cosine"}
again["batch_size"] = batch_size
under, mixes, colour_of = {}, {}, {}
for name, model in tuned.items():
    train.fit(model, *some, generator=dice(5), augment="flip", progress=False, **again)
    for e in (0, *radii_few):
        images = attacks.pgd(model, clean, y, e, n_steps=few_steps).images if e else clean
        under[name, e] = rank(model, images) == 0
        mixes[name, e] = mixed(model, images, {"corrected": CORRECTED})["corrected"]
        colour_of[name, e] = outside(images - clean).mean() if e else np.nan

# %% tags=["hide-input"]
# fmt: off
of(f"{len(y)} held-out images, after {tune_epochs * len(some[1]):,} more images to learn from")
fig, axes = plt.subplots(1, 3, figsize=(7, 3.2), layout="constrained")
for name, marker, colour in (("strided", "o", "C1"), ("blur", "s", "C0")):
    style = {"marker": marker, "color": colour, "label": name}
    for ax, each in zip(axes, (under, mixes, colour_of), strict=True):
        ax.plot(range(len(radii_few) + 1), [np.mean(each[name, e]) for e in (0, *radii_few)], **style)
for ax, title in zip(axes, ("accuracy", "aliased or tangled", "fast energy of the attack"), strict=True):
    places(ax, radii_few)
    ax.set(ylim=(0, 1.02))
    ax.set_title(title, fontsize="small")
axes[1].legend(fontsize="small", loc="upper right")
mid = radii_few[1]
report.figure(
    fig, name="fig-attacks-blur",
    caption=f"A network that drops pixels at once (strided) and one that smooths first (blur), each attacked by PGD that knows it ({few_steps} steps): accuracy, share of aliased or tangled frequencies by the corrected measure, and energy of the attack outside the own fold.",
    alt=f"Accuracy falls from {under['strided', 0].mean():.2f} to {under['strided', radii_few[-1]].mean():.2f} strided and from {under['blur', 0].mean():.2f} to {under['blur', radii_few[-1]].mean():.2f} with blur, while the blur has a share of "
    f"{mixes['blur', 0].mean():.2f} instead of {mixes['strided', 0].mean():.2f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for name in tuned:
    for k, e in enumerate((0, *radii_few)):
        report.number(f"Q6-adversarial/{name}-{k}", under[name, e].mean(), n=len(y), unit="share", tol=0.15, label=f"accuracy, {name}, {written(e)}")
    report.number(f"Q6-adversarial/{name}-mixed", mixes[name, 0].mean(), n=len(y), unit="share", tol=0.1, label=f"aliased or tangled without attack, {name}, corrected")
    report.number(f"Q6-adversarial/{name}-fast", colour_of[name, eps], n=len(y), unit="share", tol=0.1, label=f"energy of the attack outside the own fold, {name}, {written(eps)}")
both = under["strided", 0] & under["blur", 0]
report.number("Q6-adversarial/both", int(both.sum()), tol=20)
for k, e in enumerate(radii_few):
    with_ends(f"gain-{k + 1}", spread((under["blur", e].astype(float) - under["strided", e])[both]), unit="share", tol=0.2, label=f"of images that both have right: kept right with a blur less without, {written(e)}")
# fmt: on

# %% [markdown]
r"""
**What to notice.** The blur lowers the share of aliased or tangled frequencies from {glue:text}`Q6-adversarial/strided-mixed:.1%` to {glue:text}`Q6-adversarial/blur-mixed:.1%` (recorded {recorded}`Q6-adversarial/strided-mixed` to {recorded}`Q6-adversarial/blur-mixed`), far more than any attack has moved it. Without attack the accuracy is {glue:text}`Q6-adversarial/strided-0:.1%` strided and
{glue:text}`Q6-adversarial/blur-0:.1%` with blur (recorded {recorded}`Q6-adversarial/strided-0` and {recorded}`Q6-adversarial/blur-0`), for the few further steps do not make up for the change. So we compare images that both have right, {glue:text}`Q6-adversarial/both` (recorded {recorded}`Q6-adversarial/both`). Of these the blur keeps more right than the other by {glue:text}`Q6-adversarial/gain-1:.1%`,
{glue:text}`Q6-adversarial/gain-2:.1%` and {glue:text}`Q6-adversarial/gain-3:.1%` at the three sizes of attack (recorded {recorded}`Q6-adversarial/gain-1`, {recorded}`Q6-adversarial/gain-2` and {recorded}`Q6-adversarial/gain-3`; negative: fewer). The interval of the middle one goes from {glue:text}`Q6-adversarial/gain-2-low:.1%` to {glue:text}`Q6-adversarial/gain-2-high:.1%` (recorded {recorded}`Q6-adversarial/gain-2-low` to {recorded}`Q6-adversarial/gain-2-high`).
At this middle size {glue:text}`Q6-adversarial/strided-2:.1%` of all images stay right without and {glue:text}`Q6-adversarial/blur-2:.1%` with the blur (recorded {recorded}`Q6-adversarial/strided-2` and {recorded}`Q6-adversarial/blur-2`), and at the next nearly all are lost in both. If the blur saves anything, it is little: one pair of short training runs cannot tell a small gain
from none. A large one, as would follow if aliasing made attacks work, would have been seen.

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Other attacks.** PGD climbs the loss, and does not care for aliasing. One could attack the measure itself, and move it further than we did.

**A stronger attack.** No attack proves that none is stronger. For filters at the halvings ours is a lower bound of the harm, which is the side that we need.

**Small maps.** At 32 pixels, the maps before the last halving have 16. The own fold is then a few frequencies wide, and its edge is a sharp cut.

**The measure after the cut.** Our filter removes what aliases of the *difference* to the clean image. The clean maps still alias as they did; what the attack changes in the way in which these are used is not removed.

**Few images.** An accuracy from so few images is known to several points of a hundred only. Differences within images are known better, which is why we used them.

**Not attempted.** A ResNet-34 with ImageNet weights. With weights and images on your disk, `given = "resnet34"`, `pictures = "imagenet"` and `size = 224` run this chapter on them; the top-5 accuracy is then reported too.

:::{admonition} What we learned
:class: important
- A figure can be true in every value and still hide the comparison: steps drawn too early, no zero, two axes, no control.
- The document is right that the share moves by a few points of a hundred while the accuracy collapses. By its measure, noise of the largest size moves it not clearly less.
- The layers amplify attacks far more than noise; of what an attack changes, a smaller part can alias than of what noise changes.
- That two things change together says little. Take one away: an attack that may not alias still wins.
- A blur that removes nearly all aliasing saves little of the accuracy, if any.
:::

## Exercises

```{exercise}
:label: ex-attacks-steps
**What does a step show?** (3 minutes). A curve of steps is drawn with `where="pre"` through values at several radii. Which value does it show at a place between two of them?
```
"""


# %% tags=["exercise"]
def shown(values, radii, place):
    """Return the value that the curve shows at a place."""
    return values[np.searchsorted(radii, place) - 1]  # the last one measured before


def drawn(values, radii, place):
    """Return where matplotlib's curve is at a place."""
    x, heights = cbook.pts_to_prestep(np.asarray(radii), np.asarray(values))
    return np.interp(place, x, heights)


passed = all(
    shown(MIDDLE, DOCUMENT, e) == drawn(MIDDLE, DOCUMENT, e) for e in (0.002, 0.007, 0.02)
)
report.check("ex-attacks-steps", passed, "The steps are drawn before the values.")


# %% tags=["solution"]
def shown(values, radii, place):
    """Return the value that the curve shows at a place."""
    return values[np.searchsorted(radii, place)]  # the next one


passed = all(
    shown(MIDDLE, DOCUMENT, e) == drawn(MIDDLE, DOCUMENT, e) for e in (0.002, 0.007, 0.02)
)
report.check("ex-attacks-steps", passed, "The steps are drawn before the values.")

# %% [markdown]
r"""
```{exercise}
:label: ex-attacks-energy
**How fast is a change?** (4 minutes). Compute the share of a change's energy that is not in its slow part, from the spectrum alone.
```
"""


# %% tags=["exercise"]
def fast_share(shift):
    """Return the share of the energy of all images together that is not slow."""
    spectrum = torch.fft.fft2(shift).abs()  # strengths
    slow = torch.fft.fftfreq(shift.shape[-1]).abs() < 0.25
    return float(1 - spectrum[..., slow[:, None] & slow].sum() / spectrum.sum())


change = (made["PGD", eps] - clean).cpu().double()
truth = float((change - slow_part(change)).square().sum() / change.square().sum())
passed = abs(fast_share(change) - truth) < 1e-6
report.check("ex-attacks-energy", passed, "Parseval's theorem is about squares.")


# %% tags=["solution"]
def fast_share(shift):
    """Return the share of the energy of all images together that is not slow."""
    spectrum = torch.fft.fft2(shift).abs().square()
    slow = torch.fft.fftfreq(shift.shape[-1]).abs() < 0.25
    return float(1 - spectrum[..., slow[:, None] & slow].sum() / spectrum.sum())


passed = abs(fast_share(change) - truth) < 1e-6
report.check("ex-attacks-energy", passed, "Parseval's theorem is about squares.")

# %% [markdown]
r"""
```{exercise}
:label: ex-attacks-pairs
**Pairs** (4 minutes). The shares of clean images differ much, those of one image before and after little. Find a number that sees a small change in every image.
```
"""


# %% tags=["exercise"]
def seen_in(before, after):
    """Return a share, one where every image's value has grown."""
    labels = np.repeat([False, True], len(before))
    return statistics.auroc(np.concatenate([before, after]), labels)  # forgets who is who


planted = np.linspace(0.4, 0.6, 200)
passed = np.isclose(seen_in(planted, planted + 0.002), 1)
report.check("ex-attacks-pairs", passed, "Compare every image with itself.")


# %% tags=["solution"]
def seen_in(before, after):
    """Return a share, one where every image's value has grown."""
    return np.mean(after > before)


passed = np.isclose(seen_in(planted, planted + 0.002), 1)
report.check("ex-attacks-pairs", passed, "Compare every image with itself.")

# %% [markdown]
r"""
## Go further

- Madry and colleagues {cite:p}`madry-2018` train networks against PGD.
- Ribeiro and Schön {cite:p}`ribeiro-2021` ask when aliasing loses what a network needs.
- Zhang {cite:p}`zhang-2019` built the blur.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
