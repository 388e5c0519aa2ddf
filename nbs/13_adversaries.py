# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-adversaries)=
# Are adversarial examples far away in pattern space?

**Not far: they change fewer than half as many {term}`units <unit>` as an image of another class does. But they change about twice as many as noise of the same size, or more, and a larger share from layer to layer.**

```{figure} ../results/real/13_adversaries/fig-adversaries-images.webp
:name: fig-adversaries-hero
:alt: Four rows of small photographs. Images, the patterns that are added, enlarged to glaring colours, attacked images with wrong class names above them, and images under noise with their classes.

What you will be able to make: images that look unchanged and get another class, and noise as large that changes hardly any answer. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Attack a network with {term}`FGSM` and {term}`PGD`, and tell a weak attack from a robust network.
- Measure how far an {term}`adversarial example` lies in {term}`pattern` space, layer by layer and boundary by boundary.
- Say when the theorem on {term}`Hamming distance` and angle may be used, and when not.
- Judge a detector and a remedy fairly: with the right control, at equal size of noise, at equal accuracy.

**You need** the {term}`Hamming distance` of patterns from [](#ch-patterns), and exact segments from [](#ch-regions). **Time:** 30 minutes to read, one minute to run. **Document:** the end of section 7 of the "Study
on Activation Patterns" {cite:p}`swiniarski-patterns`, a question and two ideas without a result. **Data:** scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY); in the recorded run CIFAR-10
{cite:p}`krizhevsky-2009`.
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
# radii of the ball, in steps of 1/255; the one that is looked at closely; one that must defeat every network
radii, eps, eps_large = [2, 4, 8, 16], 16, 96
n_steps, n_restarts = 20, 3
# held-out images; training images among which neighbours are sought; segments that are followed, in the convnet
n_look, n_known, n_segments, n_convnet = 140, 1400, 40, 4
n_fresh = 10
# the remedies: training images, how they are learned, training runs of each, and the strengths
n_learn, remedy_epochs, remedy_rate, remedy_batch, inner_steps = 1400, 7, 0.03, 64, 3
n_runs = 3
map_strength, region_strength, slope_strength, decay = 1.0, 1.5, 0.01, 0.003
n_judged = 300

# %% tags=["hide-input"]
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    affine,
    attacks,
    checkpoints,
    data,
    hamming,
    models,
    piecewise,
    plots,
    report,
    segments,
    statistics,
    train,
)
from torch import nn
from torch.nn import functional as F

# %% tags=["hide-input"]
report.start("13_adversaries", profile=profile, seed=seed, device=device)


def dice(k):
    """Return a generator of its own for one part of the chapter."""
    return torch.Generator().manual_seed(1000 * seed + k)


# %% [markdown]
r"""
## Images that fool a network

Szegedy and colleagues {cite:p}`szegedy-2014` found that a change that we hardly see can give an image another class. The study asks what that means for {term}`patterns <pattern>`: "An adversarial example is a very
close region in the L_2 sense, the question is now: Is an adversarial example very far in terms of {term}`Activation <activation>` pattern or still very close, and how can this information help us to annihilate adversarial examples?"

We attack the two networks of [](#ch-regions), an MLP with three hidden layers and a small convnet. FGSM {cite:p}`goodfellow-2015` takes one step along the sign of the gradient of the loss $\ell$, and PGD
{cite:p}`madry-2018` takes many shorter ones, from a random start, and returns to the ball of radius $\varepsilon$ after each:

$$
x_{k+1} = \Pi_\varepsilon\bigl(x_k + \alpha\,\mathrm{sign}\,\nabla_x \ell(x_k)\bigr) .
$$

Here $\Pi_\varepsilon$ goes back to the ball $\lVert x_k - x\rVert_\infty \le \varepsilon$, so that no pixel moves by more than $\varepsilon$. As a control every pixel moves up or down by the toss of a coin, and the whole change is as long as that of PGD.

:::{admonition} Guess first
:class: tip
One grey level is 1/255. How many levels per pixel does it take to make the network wrong on half of the images it had right? And how many does noise take?
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
blank = build_mlp(torch.Generator().manual_seed(seed)).to(device)
networks = {"MLP": mlp.model, "convnet": convnet.model}

# %%
order = torch.randperm(len(held_out.labels), generator=dice(1))
look = held_out.subset(order[:n_look])
x, y = look.images.float().to(device) / 255, look.labels.to(device)  # pixels from 0 to 1
flat = []


def strongest(model, images, labels, eps):
    """Return for each image what PGD found from the first start that fools the model, else from the last."""
    found, holds = images.clone(), torch.ones_like(labels, dtype=torch.bool)
    for k in range(n_restarts):
        if holds.any():
            part = images[holds], labels[holds], eps / 255
            attack = attacks.pgd(model, *part, n_steps=n_steps, generator=dice(10 + k))
            flat.append(int((attack.n_flat == n_steps).sum()))
            found[holds] = attack.images
            holds = train.predict(model, found) == labels
    return found


def noise_like(found, images, k):
    """Return the images under random signs, as far from them as those that were found."""
    lengths = (found - images).flatten(1).norm(dim=1)
    return attacks.random_sign(images, lengths, norm="l2", generator=dice(k))


made = {}
for name, model in networks.items():
    for e in radii:
        made[name, e, "PGD"] = strongest(model, x, y, e)
        made[name, e, "FGSM"] = attacks.fgsm(model, x, y, e / 255).images
        made[name, e, "noise"] = noise_like(made[name, e, "PGD"], x, e)


# %% tags=["remove-cell"]
# fmt: off
def of_images(what):
    """Say that the numbers that follow come from networks and images."""
    report.source(f"networks trained on {len(learn.labels):,} images of {pictures}; {what}", stand_in=None if pictures == "cifar10" else "CIFAR-10")


def share(values):
    """Return what a number needs of a share among images: value, standard error and n."""
    values = np.asarray(torch.as_tensor(values).cpu(), float)
    return {"value": values.mean(), "spread": values.std(ddof=1) / math.sqrt(len(values)), "n": len(values)}


right = {name: train.predict(model, x) == y for name, model in networks.items()}
hits = {key: train.predict(networks[key[0]], found) == y for key, found in made.items()}
fooled = {name: right[name] & ~hits[name, eps, "PGD"] for name in networks}
of_images(f"{len(y)} held-out images")
for name, word in (("MLP", ""), ("convnet", "-convnet")):
    report.number(f"S7.4-adversarial/clean{word}", **share(right[name]), unit="share", tol=0.04, label=f"accuracy, {name}")
    for kind in ("PGD", "FGSM", "noise"):
        report.number(f"S7.4-adversarial/{kind.lower()}{word}", **share(hits[name, eps, kind]), unit="share", tol=0.08, label=f"the same under {kind}")
    report.number(f"S7.4-adversarial/smallest{word}", **share(hits[name, radii[0], "PGD"]), unit="share", tol=0.06)
report.number("S7.4-adversarial/eps", eps, tol=0)
report.number("S7.4-adversarial/eps-smallest", radii[0], tol=0)
report.number("S7.4-adversarial/restarts", n_restarts, tol=0)
single = attacks.pgd(mlp.model, x, y, eps / 255, n_steps=n_steps, generator=dice(10))
report.number("S7.4-adversarial/first-start", **share(train.predict(mlp.model, single.images) == y), unit="share", tol=0.08)
for name, word in (("MLP", ""), ("convnet", "-convnet")):
    wide_ball = strongest(networks[name], x[:100], y[:100], eps_large)
    report.number(f"S7.4-adversarial/wide-ball{word}", **share(train.predict(networks[name], wide_ball) == y[:100]), unit="share", tol=0.02)
report.number("S7.4-adversarial/eps-large", eps_large, tol=0)
report.number("S7.4-adversarial/flat", sum(flat), tol=2, label="images on which PGD never had a gradient")
# fmt: on

# %% tags=["hide-input"]
# fmt: off
chosen = fooled["MLP"].nonzero()[:, 0][:5].tolist()
fig = plt.figure(figsize=(7, 6.2))
axes = plots.grid(4, len(chosen), figure=fig, hspace=0.24)
seen = {"image": x, "added": 0.5 + 127 / eps * (made["MLP", eps, "PGD"] - x) , "attacked": made["MLP", eps, "PGD"], "noise": made["MLP", eps, "noise"]}
for (row, pixels), line in zip(seen.items(), axes, strict=True):
    answers = train.predict(mlp.model, pixels.clamp(0, 1)).cpu()
    for k, ax in zip(chosen, line, strict=True):
        plots.image(pixels[k].clamp(0, 1).cpu().numpy(), ax=ax)
        if row != "added":
            ax.set_title(learn.classes[int(answers[k])], fontsize="medium", color="C0" if answers[k] == y[k] else "C1", pad=3)
    line[0].set_ylabel(row, fontsize="medium")
pairs = ", ".join(f"{learn.classes[int(y[k])]} as {learn.classes[int(train.predict(mlp.model, made['MLP', eps, 'PGD'][k:k + 1]))]}" for k in chosen)
report.figure(
    fig, name="fig-adversaries-images",
    caption=f"Held-out images, what PGD adds for the MLP (no pixel moves by more than {eps}/255; enlarged), the attacked images, and the images under noise as large. Above each: the answer of the network, orange where it is wrong.",
    alt=f"{len(chosen)} columns. Attacked images look like the images with a faint pattern on them but get another class: {pairs}. Under noise {int((train.predict(mlp.model, made['MLP', eps, 'noise'][chosen]) == y[chosen]).sum())} of {len(chosen)} keep theirs.",
)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), sharey=True, layout="constrained")
for ax, name in zip(axes, networks, strict=True):
    for kind, marker, text in (("noise", "s", "noise"), ("FGSM", "^", "FGSM"), ("PGD", "o", f"PGD-{n_steps}")):
        heights = [float(right[name].double().mean())] + [float(hits[name, e, kind].double().mean()) for e in radii]
        ax.plot([0, *radii], heights, marker=marker, label=text)
    ax.set(xlabel="radius (1/255)", ylim=(0, 1.02), xticks=[0, *radii[-3:]])
    ax.set_title(name, fontsize="medium")
axes[0].set_ylabel("accuracy")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
report.figure(
    fig, name="fig-adversaries-accuracy",
    caption=f"Accuracy on held-out images, attacked within balls of several radii. PGD: {n_steps} steps, the strongest of {n_restarts} random starts. Noise: random signs, as long as what PGD adds.",
    alt=f"Two panels of falling curves. MLP: PGD from {float(right['MLP'].double().mean()):.2f} to {float(hits['MLP', radii[-1], 'PGD'].double().mean()):.2f}, convnet: from "
    f"{float(right['convnet'].double().mean()):.2f} to {float(hits['convnet', radii[-1], 'PGD'].double().mean()):.2f}; FGSM lies a little above, noise stays flat.",
)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Within {glue:text}`S7.4-adversarial/eps` grey levels (recorded {recorded}`S7.4-adversarial/eps`) the accuracy of the MLP falls from {glue:text}`S7.4-adversarial/clean:.1%` to
{glue:text}`S7.4-adversarial/pgd:.1%` under PGD (recorded {recorded}`S7.4-adversarial/clean` to {recorded}`S7.4-adversarial/pgd`), and that of the convnet from {glue:text}`S7.4-adversarial/clean-convnet:.1%` to
{glue:text}`S7.4-adversarial/pgd-convnet:.1%` (recorded {recorded}`S7.4-adversarial/clean-convnet` to {recorded}`S7.4-adversarial/pgd-convnet`). Noise as long leaves {glue:text}`S7.4-adversarial/noise:.1%` and
{glue:text}`S7.4-adversarial/noise-convnet:.1%` ({recorded}`S7.4-adversarial/noise` and {recorded}`S7.4-adversarial/noise-convnet`).

A weak attack looks like a robust network, so we take the strongest of {glue:text}`S7.4-adversarial/restarts` starts, although a single one leaves about as little, {glue:text}`S7.4-adversarial/first-start:.1%`
({recorded}`S7.4-adversarial/first-start`). And we look for signs of a hidden gradient {cite:p}`athalye-2018`. The gradient was zero all the way on {glue:text}`S7.4-adversarial/flat` images
({recorded}`S7.4-adversarial/flat`), PGD does no worse than FGSM, and within a ball of {glue:text}`S7.4-adversarial/eps-large` levels it leaves {glue:text}`S7.4-adversarial/wide-ball:.0%`
({recorded}`S7.4-adversarial/wide-ball`), as it should: in so large a ball every network can be fooled.

## How many units change?

We compare patterns in float64, image by image, and only for images that the network has right. What counts as far? We compare with the noise as long, and with two images that exist: the nearest training image of
the same class, and the nearest one of another.

:::{admonition} Guess first
:class: tip
Order them by the number of units that change in the last layer: attacked image, noise, nearest image of the class, nearest image of another class.
:::
"""

# %%
exact = {
    name: piecewise.trace(m.eval()[1:], x.shape[1:], device="cpu") for name, m in networks.items()
}
relus = {
    name: [g for g, gate in net.gates.items() if gate.kind == "relu"]
    for name, net in exact.items()
}
known = learn.sample(n_known, seed)
known_x = known.images.float() / 255
x, y = x.cpu(), y.cpu()
same_class = known.labels == y[:, None]
distances = torch.cdist(x.flatten(1), known_x.flatten(1))
same = known_x[distances.masked_fill(~same_class, math.inf).argmin(1)]
other = known_x[distances.masked_fill(same_class, math.inf).argmin(1)]


def scaled(pixels):
    """Return pixels as they enter the first layer, in double precision."""
    return (pixels.cpu().double() - pixel_mean) / pixel_std


def flips(name, first, second):
    """Return the share of units that differ, by image and ReLU layer."""
    a, b = (exact[name].pattern(scaled(part)).choices for part in (first, second))
    return np.stack([(a[g] != b[g]).flatten(1).double().mean(1).numpy() for g in relus[name]], 1)


moved = {}
for name in networks:
    ends = {"attacked": made[name, eps, "PGD"], "noise": made[name, eps, "noise"]}
    ends |= {"same class": same, "other class": other}
    good = right[name].cpu()
    moved[name] = {kind: flips(name, x[good], end.cpu()[good]) for kind, end in ends.items()}

# %% tags=["hide-input"]
# fmt: off
of_images("held-out images that the network gets right")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), sharey=True, layout="constrained")
for ax, name in zip(axes, networks, strict=True):
    for (kind, found), marker, colour in zip(moved[name].items(), "osDv", ("C1", "C0", "C2", "C6"), strict=True):
        ax.errorbar(range(3), found.mean(0), 2 * found.std(0, ddof=1) / math.sqrt(len(found)), marker=marker, color=colour, label=kind)
    ax.set(yscale="log", xlabel="layer")
    ax.set_xticks(range(3), ["1", "2", "3"])
    ax.set_title(name, fontsize="medium")
axes[0].set_ylabel("units that change")
ticks = [t for t in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3) if t > 0.7 * min(f.mean(0).min() for part in moved.values() for f in part.values())]
axes[0].set_yticks(ticks, [f"{100 * t:g} %" for t in ticks])
axes[0].yaxis.set_minor_formatter("")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
ends_of = {kind: moved["MLP"][kind].mean(0) for kind in moved["MLP"]}
report.figure(
    fig, name="fig-adversaries-flips",
    caption=f"Share of the units of each layer in which the pattern of an image differs from that of: the attacked image (PGD, {eps}/255), the image under noise as large, and the nearest training image of its own and of another class. "
    "Bars: two standard errors.",
    alt=f"Four curves over three layers in each panel, logarithmic. MLP: noise {ends_of['noise'][0]:.1%} to {ends_of['noise'][2]:.1%}, attacked {ends_of['attacked'][0]:.1%} rising to {ends_of['attacked'][2]:.1%}, "
    f"same class {ends_of['same class'][0]:.1%} to {ends_of['same class'][2]:.1%}, other class above.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
sizes = {name: np.array([exact[name].gates[g].n_units for g in relus[name]]) for name in networks}
for name, word in (("MLP", ""), ("convnet", "-convnet")):
    for kind, text in (("attacked", "attacked"), ("noise", "noise"), ("same class", "same"), ("other class", "other")):
        for k in range(3):
            report.number(f"S7.4-adversarial/{text}-{k + 1}{word}", **share(moved[name][kind][:, k]), unit="share", tol=0.05, **({"label": f"units of layer {k + 1} that change, {kind}, MLP"} if not word and k != 1 else {}))
    whole = {kind: found @ sizes[name] / sizes[name].sum() for kind, found in moved[name].items()}
    report.number(f"S7.4-adversarial/close{word}", whole["attacked"].mean() / whole["other class"].mean(), tol=0.2, agree=(0, 0.8), n=len(whole["noise"]),
                  label=f"bits to the attacked image over those to the nearest image of another class, {name}", note="nearer than images of another class, farther than noise")
    report.number(f"S7.4-adversarial/noise-to-other{word}", whole["noise"].mean() / whole["other class"].mean(), tol=0.1)
    report.number(f"S7.4-adversarial/same-to-other{word}", whole["same class"].mean() / whole["other class"].mean(), tol=0.2)
    report.number(f"S7.4-adversarial/first-over-noise{word}", moved[name]["attacked"][:, 0].mean() / moved[name]["noise"][:, 0].mean(), tol=1.5, agree=(0.8, 1.25), theory=1,
                  label=f"flips of layer 1, attacked over noise, {name}", note="attacks follow the weights, the theorem supposes that they do not")
    for kind, text in (("attacked", "attacked"), ("noise", "noise")):
        report.number(f"S7.4-adversarial/grow-{text}{word}", moved[name][kind][:, 2].mean() / moved[name][kind][:, 0].mean(), tol=1, label=f"flips of layer 3 over those of layer 1, {kind}, {name}")
length = {kind: float((end.cpu() - x).flatten(1).norm(dim=1).mean()) for kind, end in {"attacked": made["MLP", eps, "PGD"], "same": same, "other": other}.items()}
for kind in length:
    report.number(f"S7.4-adversarial/length-{kind}", length[kind], tol=0.5)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Counted over all bits of the MLP, an attacked image is {glue:text}`S7.4-adversarial/close:.2f` times as far away as the nearest image of another class (recorded {recorded}`S7.4-adversarial/close`), in
the convnet {glue:text}`S7.4-adversarial/close-convnet:.2f` times ({recorded}`S7.4-adversarial/close-convnet`). It has the class of the other side, but not its pattern. The nearest image of its own class is at
{glue:text}`S7.4-adversarial/same-to-other:.2f` ({recorded}`S7.4-adversarial/same-to-other`), noise at {glue:text}`S7.4-adversarial/noise-to-other:.2f` ({recorded}`S7.4-adversarial/noise-to-other`). So the answer to the
study's question is "close", as seen from another class, and "far", as seen from noise. Whether it is nearer than the next image of its own class depends on the data.

Noise of this kind changes about the same share of units in every layer of the MLP: layer 3 has {glue:text}`S7.4-adversarial/grow-noise:.1f` times the share of layer 1 (recorded {recorded}`S7.4-adversarial/grow-noise`).
Under attack the share grows, to {glue:text}`S7.4-adversarial/grow-attacked:.1f` times ({recorded}`S7.4-adversarial/grow-attacked`). In the convnet it grows as well, while that of noise shrinks.

## What the angle explains

At the start of training the Hamming distance in the first layer is an angle ([](#ch-patterns)): if the weights are independent of two images, the expected share of units that differ is the angle between the images,
divided by $\pi$. An attacked image and its noisy twin turn by about the same angle. So the first layer should not see the difference between them.

:::{admonition} Guess first
:class: tip
Does the first layer of the trained MLP flip as many units under attack as under noise? And that of an untrained network, which is shown the same images?
:::
"""


# %%
def angle(first, second):
    """Return the angle between images with a one put behind them for the bias, divided by pi."""
    u, v = (F.pad(scaled(part).flatten(1), (0, 1), value=1.0) for part in (first, second))
    return torch.arccos(F.cosine_similarity(u, v)).numpy() / math.pi


def first_flips(model, first, second):
    """Return the share of units of the first layer that change."""
    layer = model.fc1.double().cpu()
    on = [layer(scaled(part).flatten(1)) > 0 for part in (first, second)]
    return (on[0] != on[1]).double().mean(1).detach().numpy()


fresh = [build_mlp(dice(50 + k)) for k in range(n_fresh)]
good = right["MLP"].cpu()
law = {}
for kind in ("PGD", "noise"):
    for e in radii:
        pair = x[good], made["MLP", e, kind].cpu()[good]
        own = flips("MLP", *pair)[:, 0]
        never_seen = np.mean([first_flips(net, *pair) for net in fresh], axis=0)
        law[kind, e] = np.array([angle(*pair), own, never_seen])
target = strongest(blank, x.to(device), y.to(device), eps).cpu()
attack_of_blank = angle(x, target), first_flips(blank, x, target)

# %% tags=["hide-input"]
# fmt: off
of_images("held-out images; first layers of the MLP and of fresh networks")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), sharex=True, sharey=True, layout="constrained")
for ax, row, title in zip(axes, (2, 1), ("untrained, attacked elsewhere", "the attacked network"), strict=True):
    for kind, marker, colour, text in (("PGD", "o", "C1", "attacked"), ("noise", "s", "C0", "noise")):
        points = np.array([law[kind, e].mean(1) for e in radii])
        ax.plot(points[:, 0], points[:, row], marker=marker, color=colour, ls="none" if row == 2 else "-", ms=9 if kind == "PGD" and row == 2 else 6, mfc="none" if kind == "PGD" and row == 2 else None, label=text)
    span = np.array([0.7 * points[0, 0], 1.5 * points[-1, 0]])
    ax.plot(span, span, color="0.5", lw=1, ls="--", label=r"angle / $\pi$")
    ax.set(xscale="log", yscale="log", xlabel=r"angle / $\pi$")
    ax.set_title(title, fontsize="medium")
    for axis, ticks in ((ax.xaxis, (0.003, 0.01, 0.03, 0.1)), (ax.yaxis, (0.001, 0.003, 0.01, 0.03, 0.1))):
        axis.set_ticks(ticks, [f"{100 * t:g} %" for t in ticks])
        axis.set_minor_formatter("")
    ax.set(xlim=span, ylim=(0.7 * min(found.mean(1)[1:].min() for found in law.values()), 1.5 * max(found.mean(1)[1:].max() for found in law.values())))
axes[0].set_ylabel("units of layer 1\nthat change")
axes[0].legend(loc="upper left")
ratio = {kind: law[kind, eps].mean(1) for kind in ("PGD", "noise")}
report.figure(
    fig, name="fig-adversaries-angle",
    caption=f"Flips of the first layer over the angle by which the image turns, for {len(radii)} radii; dashed: the theorem. Left: {n_fresh} untrained MLPs are shown what was made to fool the trained one. Right: the trained one itself.",
    alt=f"Left: both kinds of points lie near the dashed line. Right: noise {ratio['noise'][1] / ratio['noise'][0]:.1f} times and attacked images {ratio['PGD'][1] / ratio['PGD'][0]:.1f} times the angle.",
)
for kind, word in (("PGD", "attacked"), ("noise", "noise")):
    turned, own, never_seen = law[kind, eps]
    report.number(f"S7.4-adversarial/angle-{word}", turned.mean(), unit="share", tol=0.01)
    report.number(f"S7.4-adversarial/fresh-{word}", never_seen.mean() / turned.mean(), tol=0.1, agree=(0.85, 1.15), theory=1, n=n_fresh * width, label=f"flips of untrained first layers over angle / pi, {word}")
    report.number(f"S7.4-adversarial/own-{word}", own.mean() / turned.mean(), tol=2, label=f"the same, of the trained first layer, {word}")
report.number("S7.4-adversarial/blank", attack_of_blank[1].mean() / attack_of_blank[0].mean(), tol=2, label="the same, of an untrained network that is attacked itself")
# fmt: on

# %% [markdown]
r"""
**What to notice.** Untrained first layers obey the theorem. They flip {glue:text}`S7.4-adversarial/fresh-attacked:.2f` times what the angle says for attacked images, and {glue:text}`S7.4-adversarial/fresh-noise:.2f` times
for noise (recorded {recorded}`S7.4-adversarial/fresh-attacked` and {recorded}`S7.4-adversarial/fresh-noise`). To them an attack on another network is just some noise.

In the attacked network both predictions fail, in opposite directions. Under noise its first layer flips {glue:text}`S7.4-adversarial/own-noise:.2f` times what the angle says, under attack
{glue:text}`S7.4-adversarial/own-attacked:.2f` times (recorded {recorded}`S7.4-adversarial/own-noise` and {recorded}`S7.4-adversarial/own-attacked`), {glue:text}`S7.4-adversarial/first-over-noise:.1f` times as many
({recorded}`S7.4-adversarial/first-over-noise`; in the convnet {glue:text}`S7.4-adversarial/first-over-noise-convnet:.1f` and {recorded}`S7.4-adversarial/first-over-noise-convnet`). Training has given the weights
preferred directions. Random signs miss them, and the gradient is made of them. It does not even need training: an untrained network that is attacked itself flips {glue:text}`S7.4-adversarial/blank:.1f` times what the angle says
({recorded}`S7.4-adversarial/blank`). The theorem supposes weights that do not depend on the images, and an attack depends on the weights.

From the theorem we had expected a first layer that flips as under noise, and later layers that amplify. Only the second half is right.

## Every boundary on the way

Between an image and its attacked version lie {term}`regions <region>`. A {term}`ReLU` of the first layer changes at most once on a straight way, one of a deeper layer may change several times, so we follow the segment exactly.

:::{admonition} Guess first
:class: tip
How many regions does an image have to leave before its class changes: one, ten, a hundred?
:::
"""

# %%
lines = {}
for name, network in exact.items():
    rows = fooled[name].cpu().nonzero()[:, 0][: n_segments if name == "MLP" else n_convnet]
    goals = {
        "attacked": made[name, eps, "PGD"],
        "noise": made[name, eps, "noise"],
        "same class": same,
    }
    for kind, end in goals.items():
        lines[name, kind] = segments.between(network, scaled(x[rows]), scaled(end[rows]))


def first_wrong(line, truth):
    """Return for each segment how many boundaries come before another class wins, and when it does."""
    at = line.pieces.stops[:, None]
    wrong = (line.constant + at * line.directions).argmax(1) != truth[line.pieces.owners]
    wrong[line.offsets[1:] - 1] = True  # the end is fooled
    pieces = np.flatnonzero(wrong)
    first = pieces[np.searchsorted(pieces, line.offsets[:-1])]
    return first - line.offsets[:-1], line.pieces.stops[first]


# %% tags=["hide-input"]
# fmt: off
of_images("segments from held-out images")
rows = fooled["MLP"].cpu().nonzero()[:, 0][:n_segments]
n_before, times = first_wrong(lines["MLP", "attacked"], y[rows].numpy())
sample = int(np.argsort(lines["MLP", "attacked"].counts().sum(1))[len(rows) // 2])
fig, axes = plt.subplots(2, 1, figsize=(7, 3.6), sharex=True, layout="constrained")
shown = {}
for ax, kind in zip(axes, ("attacked", "noise"), strict=True):
    events = lines["MLP", kind].crossings
    own = events.segments == sample
    shown[kind] = [int((own & (events.gates == g)).sum()) for g in range(3)]
    ax.eventplot([events.times[own & (events.gates == g)] for g in range(3)], colors=["C0", "C2", "C1"], lineoffsets=[2, 1, 0], linelengths=0.8, linewidths=0.9)
    ax.set_yticks([2, 1, 0], ["layer 1", "layer 2", "layer 3"])
    ax.set(xlim=(0, 1), ylim=(-0.6, 2.6))
    ax.set_title(f"{kind}: {sum(shown[kind])} boundaries", fontsize="medium", loc="left")
axes[0].axvline(times[sample], color="k", lw=1.5, ls="--")
axes[1].set_xlabel("way from the image (0) to the end (1)")
report.figure(
    fig, name="fig-adversaries-segment",
    caption="Every boundary of a region on the straight way from one image to its attacked version, and to its version under noise as large, by the layer of the unit that changes. Dashed: there another class wins.",
    alt=f"Bars at every crossing. To the attacked image {shown['attacked'][0]}, {shown['attacked'][1]} and {shown['attacked'][2]} of layers 1 to 3, the class changes at {times[sample]:.2f} of the way; under noise {shown['noise'][0]}, {shown['noise'][1]} and {shown['noise'][2]}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for (name, kind), line in lines.items():
    word = {"attacked": "attacked", "noise": "noise", "same class": "same"}[kind] + ("" if name == "MLP" else "-convnet")
    counts = line.counts()
    report.number(f"S7.4-adversarial/crossed-{word}", counts.sum(1).mean(), spread=counts.sum(1).std(ddof=1) / math.sqrt(len(line)), n=len(line), tol=counts.sum(1).mean(), label=f"boundaries on the way, {kind}, {name}")
    if name == "MLP":
        gaps = line.distances()
        report.number(f"S7.4-adversarial/first-straight-{word}", float((counts[:, 0] == gaps[:, 0]).mean()), unit="share", tol=0, **({"agree": (0.999, 1), "theory": 1, "label": "segments on which layer 1 crosses as often as bits differ"} if kind == "attacked" else {}))
        report.number(f"S7.4-adversarial/excess-{word}", counts[:, 2].sum() / gaps[:, 2].sum(), tol=0.5)
report.number("S7.4-adversarial/before", n_before.mean(), tol=n_before.mean(), n=len(rows), label="regions between an image and another class, MLP")
report.number("S7.4-adversarial/way", times.mean(), unit="share", tol=0.15)
samples = torch.linspace(0, 1, 11, dtype=torch.float64)
grid = [exact["MLP"].pattern(torch.lerp(scaled(x[rows]), scaled(made["MLP", eps, "PGD"][rows]), t)).choices for t in samples]
sampled = sum((a[g] != b[g]).flatten(1).sum(1) for a, b in itertools.pairwise(grid) for g in relus["MLP"])
report.number("S7.4-adversarial/sampled", float(sampled.double().mean()) / lines["MLP", "attacked"].counts().sum(1).mean(), unit="share", tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** On the way to its attacked version an image crosses {glue:text}`S7.4-adversarial/crossed-attacked:.0f` boundaries of the MLP on average, under noise {glue:text}`S7.4-adversarial/crossed-noise:.0f` (recorded
{recorded}`S7.4-adversarial/crossed-attacked` and {recorded}`S7.4-adversarial/crossed-noise`). The class changes after {glue:text}`S7.4-adversarial/before:.0f` of them ({recorded}`S7.4-adversarial/before`), at
{glue:text}`S7.4-adversarial/way:.0%` of the way ({recorded}`S7.4-adversarial/way`). "Close" is therefore not "next door".

In the first layer the number of crossings is the Hamming distance on {glue:text}`S7.4-adversarial/first-straight-attacked:.0%` of the segments ({recorded}`S7.4-adversarial/first-straight-attacked`), as it must be. In the third
it is {glue:text}`S7.4-adversarial/excess-attacked:.2f` times the distance ({recorded}`S7.4-adversarial/excess-attacked`): so short a way is nearly straight in pattern space as well. Eleven points on the way find almost all,
{glue:text}`S7.4-adversarial/sampled:.1%` of the crossings ({recorded}`S7.4-adversarial/sampled`); what they miss is undone between two points. In the convnet, with the choices of max-pooling, there are
{glue:text}`S7.4-adversarial/crossed-attacked-convnet:.0f` crossings under attack and {glue:text}`S7.4-adversarial/crossed-noise-convnet:.0f` under noise ({recorded}`S7.4-adversarial/crossed-attacked-convnet` and
{recorded}`S7.4-adversarial/crossed-noise-convnet`).

## Is it the change of the map?

The study offers two explanations. "If it's very close, then two near activation patterns can have drastically different classifier". Or "there is many linear regions in a very small L_2 distance". Both blame the
boundaries. There is a third: the map of the clean image may be so steep that no boundary is needed. We can test it, because the map of a region can be used outside of it: we keep the choices of all gates as they are for the
clean image, and let the attacked image pass.

:::{admonition} Guess first
:class: tip
The gates are frozen, so that no unit can flip. Does the attack still work, though it was made for the network and not for the frozen map?
:::
"""


# %%
def kept_answers(name, images):
    """Return the classes that the affine map of the clean image gives to other images."""
    choices = exact[name].pattern(scaled(x)).choices
    return exact[name].run(scaled(images), choices=choices)[0].argmax(1)


kept = {key: kept_answers(key[0], found) == y for key, found in made.items()}


def map_change(images):
    """Return the change of the map from the clean image to another, as a share of the map."""
    rows = good.nonzero()[:40, 0]
    first, second = (
        affine.maps(exact["MLP"], scaled(part[rows])).weight.flatten(1)
        for part in (x, images.cpu())
    )
    return ((first - second).norm(dim=1) / first.norm(dim=1)).numpy()


# %% tags=["hide-input"]
# fmt: off
of_images("held-out images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), sharey=True, layout="constrained")
for ax, name in zip(axes, networks, strict=True):
    start = [float(right[name].double().mean())]
    for values, kind, marker, ls, colour, text in ((hits, "PGD", "o", "-", "C1", "network, attacked"), (kept, "PGD", "D", "--", "C2", "map kept, attacked"), (kept, "noise", "s", "--", "C0", "map kept, noise")):
        ax.plot([0, *radii], start + [float(values[name, e, kind].double().mean()) for e in radii], marker=marker, ls=ls, color=colour, label=text)
    ax.set(xlabel="radius (1/255)", ylim=(0, 1.02), xticks=[0, *radii[-3:]])
    ax.set_title(name, fontsize="medium")
axes[0].set_ylabel("accuracy")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
report.figure(
    fig, name="fig-adversaries-kept",
    caption="Accuracy on attacked images: of the network, and of the affine map that the network has at the clean image, used for the attacked image too. Squares: the same map under noise.",
    alt=f"In both panels the kept map falls with the radius, too. MLP at the largest: network {float(hits['MLP', radii[-1], 'PGD'].double().mean()):.2f}, kept map "
    f"{float(kept['MLP', radii[-1], 'PGD'].double().mean()):.2f}, under noise {float(kept['MLP', radii[-1], 'noise'].double().mean()):.2f}.",
)
for name, word in (("MLP", ""), ("convnet", "-convnet")):
    missed = fooled[name].cpu()
    report.number(f"S7.4-adversarial/kept{word}", **share(~kept[name, eps, "PGD"][missed]), unit="share", tol=0.15, label=f"images fooled that the map of the clean image gets wrong as well, {name}")
    report.number(f"S7.4-adversarial/kept-noise{word}", **share(~kept[name, eps, "noise"][missed]), unit="share", tol=0.08, label=f"the same under noise, {name}")
for kind, end in (("attacked", made["MLP", eps, "PGD"]), ("noise", made["MLP", eps, "noise"]), ("same", same)):
    report.number(f"S7.4-adversarial/map-{kind}", map_change(end).mean(), tol=0.3, n=40, label=f"change of the map over the map, {kind}, MLP")
# fmt: on

# %% [markdown]
r"""
**What to notice.** Of the images that PGD fools, the map of the *clean* image alone gets {glue:text}`S7.4-adversarial/kept:.1%` wrong as well (recorded {recorded}`S7.4-adversarial/kept`), in the convnet
{glue:text}`S7.4-adversarial/kept-convnet:.1%` ({recorded}`S7.4-adversarial/kept-convnet`). For noise as long it is {glue:text}`S7.4-adversarial/kept-noise:.1%` and {glue:text}`S7.4-adversarial/kept-noise-convnet:.1%`
({recorded}`S7.4-adversarial/kept-noise` and {recorded}`S7.4-adversarial/kept-noise-convnet`). So most attacks need no boundary at all. This agrees with the explanation of Goodfellow and colleagues
{cite:p}`goodfellow-2015`: the maps are linear and steep, and many small steps add up.

The map does change. At the attacked image it differs from that of the clean one by {glue:text}`S7.4-adversarial/map-attacked:.2f` of its norm, under noise by {glue:text}`S7.4-adversarial/map-noise:.2f` (recorded
{recorded}`S7.4-adversarial/map-attacked` and {recorded}`S7.4-adversarial/map-noise`), at the nearest image of the class by {glue:text}`S7.4-adversarial/map-same:.2f` ({recorded}`S7.4-adversarial/map-same`). But a large
change is not the reason for most of the errors.

## Can patterns detect an attack?

The Hamming distance between an image and its attacked version is of no use to a detector: it never sees the clean image. What it can have are the training images. So our score is the distance from the pattern at hand to the
nearest training pattern of the class *that the network says*. An attacked image has the said class, but not the pattern. {term}`AUROC` tells how often an attacked image scores above one that is not.

Not attacked can mean several things, and each is a control: the same images clean; the same images under noise as long, so that size alone does not help; other held-out images that the network gets wrong without any attack.
And as a second attack, one that stops as soon as the network is fooled, against clean images.

:::{admonition} Guess first
:class: tip
Which of the three is hardest to tell from an attacked image? And does a distance between pixels do worse than one between patterns?
:::
"""


# %%
def nearest_known(name, images, gates):
    """Return the distance to the nearest training pattern of the class that the network says."""
    patterns, answers = (
        exact[name].pattern(scaled(images)).packed(gates),
        train.predict(networks[name], images).cpu(),
    )
    stored, found = store[name].packed(gates), torch.zeros(len(images))
    for c in answers.unique():
        own, members = answers == c, known.labels == c
        pair = (
            p._replace(words=p.words[rows]) for p, rows in ((patterns, own), (stored, members))
        )
        mine, theirs = pair
        found[own] = hamming.nearest(mine, 1, theirs).distances[:, 0].float()
    return (found / patterns.n_bits).numpy()


store = {name: network.pattern(scaled(known_x)) for name, network in exact.items()}


# %% tags=["remove-cell"]
# fmt: off
def nearest_pixels(name, images):
    """Return the distance in pixels to the nearest training image of the class that the network says."""
    answers = train.predict(networks[name], images).cpu()
    return torch.cdist(images.cpu().flatten(1), known_x.flatten(1)).masked_fill(known.labels != answers[:, None], math.inf).amin(1).numpy()


def doubt(name, images):
    """Return one less the largest probability."""
    return 1 - train.logits(networks[name], images).softmax(1).amax(1).cpu().numpy()


pool = held_out.subset(order[:2000])
rivals, n_mistakes = {}, {}
for name in networks:
    rows, errors = fooled[name].cpu(), pool.images[(train.predict(networks[name], pool.images).cpu() != pool.labels)][:n_look].float() / 255
    lazy = attacks.pgd(networks[name], x[rows].to(device), y[rows].to(device), eps / 255, n_steps=n_steps, step_size=eps / 255 / n_steps, early_stop=True).images
    kinds = {"attacked": made[name, eps, "PGD"][rows], "clean": x[rows].to(device), "noise": made[name, eps, "noise"][rows], "mistakes": errors.to(device), "just fooled": lazy}
    tests = {"pixels": nearest_pixels} | {f"layer {k + 1}": lambda n, part, g=g: nearest_known(n, part, [g]) for k, g in enumerate(relus[name])}
    tests |= {"all layers": lambda n, part: nearest_known(n, part, relus[n]), "confidence": doubt}
    found = {test: {kind: score(name, part) for kind, part in kinds.items()} for test, score in tests.items()}
    n_mistakes[name] = len(errors)

    def against(test, kind, rival, found=found):
        """Return how often an image of a kind scores above one of another kind."""
        high, low = found[test][kind], found[test][rival]
        return float(statistics.auroc(np.concatenate([high, low]), np.arange(len(high) + len(low)) < len(high)))

    rivals[name] = {(kind, rival): [against(test, kind, rival) for test in tests] for kind, rival in (("attacked", "clean"), ("attacked", "noise"), ("attacked", "mistakes"), ("just fooled", "clean"))}
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(known.labels):,} stored training images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.6), sharey=True, layout="constrained")
for ax, (name, found) in zip(axes, rivals.items(), strict=True):
    for ((kind, rival), values), marker, colour in zip(found.items(), "osDv", ("C1", "C0", "C2", "C3"), strict=True):
        ax.plot(range(6), values, marker=marker, color=colour, ls="none", label=f"{kind} / {rival}")
    ax.axhline(0.5, color="0.5", lw=1, ls="--")
    ax.set_xticks(range(6), ["pixels", "layer 1", "layer 2", "layer 3", "all layers", "confidence"], rotation=45, ha="right", fontsize="small")
    ax.set(ylim=(0, 1.03))
    ax.set_title(name, fontsize="medium")
axes[0].set_ylabel("AUROC")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
first = rivals["MLP"]
report.figure(
    fig, name="fig-adversaries-detector",
    caption="How well a score tells one kind of image from another. Scores: the distance to the nearest training image of the class that the network says, in pixels or in patterns, and a low confidence. "
    "Dashed: chance.",
    alt=f"Six scores in each panel. MLP, all layers: attacked against clean {first['attacked', 'clean'][4]:.2f}, against noise {first['attacked', 'noise'][4]:.2f}, against mistakes {first['attacked', 'mistakes'][4]:.2f}, "
    f"just fooled against clean {first['just fooled', 'clean'][4]:.2f}.",
)
for name, word in (("MLP", ""), ("convnet", "-convnet")):
    report.number(f"S7.4-adversarial/mistakes{word}", n_mistakes[name], tol=20)
    for (kind, rival), values in rivals[name].items():
        text = rival if kind == "attacked" else "just"
        report.number(f"S7.4-adversarial/auroc-{text}{word}", values[4], tol=0.12, n=int(fooled[name].sum()), label=f"AUROC of the distance in all layers, {kind} against {rival}, {name}")
        report.number(f"S7.4-adversarial/auroc-{text}-third{word}", values[3], tol=0.12)
        report.number(f"S7.4-adversarial/auroc-{text}-pixels{word}", values[0], tol=0.12)
        report.number(f"S7.4-adversarial/auroc-{text}-confidence{word}", values[5], tol=0.15)
report.number("S7.4-adversarial/stored", len(known.labels), tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Over all layers of the MLP the distance tells attacked from clean images with an AUROC of {glue:text}`S7.4-adversarial/auroc-clean:.2f`, and from noise as long with
{glue:text}`S7.4-adversarial/auroc-noise:.2f`, in the convnet with {glue:text}`S7.4-adversarial/auroc-clean-convnet:.2f` and {glue:text}`S7.4-adversarial/auroc-noise-convnet:.2f`. That looks like a detector. In the recorded run it
is {recorded}`S7.4-adversarial/auroc-clean` and {recorded}`S7.4-adversarial/auroc-noise`, {recorded}`S7.4-adversarial/auroc-clean-convnet` and {recorded}`S7.4-adversarial/auroc-noise-convnet`, not far from chance. A held-out digit
has a near neighbour among the training images, a photograph has none, so that its clean pattern is far from all patterns as well.

The other comparisons warn, too. Distances of pixels alone reach {glue:text}`S7.4-adversarial/auroc-clean-pixels:.2f` on the same task (recorded {recorded}`S7.4-adversarial/auroc-clean-pixels`). Against images that the MLP gets wrong by itself the
patterns have {glue:text}`S7.4-adversarial/auroc-mistakes:.2f` (only {glue:text}`S7.4-adversarial/mistakes` images; recorded {recorded}`S7.4-adversarial/auroc-mistakes` with {recorded}`S7.4-adversarial/mistakes`), not above
one half: to this score an attacked image is no stranger than a mistake. In the convnet it is {glue:text}`S7.4-adversarial/auroc-mistakes-convnet:.2f`, from {glue:text}`S7.4-adversarial/mistakes-convnet` mistakes, and in the recorded run
{recorded}`S7.4-adversarial/auroc-mistakes-convnet`, from {recorded}`S7.4-adversarial/mistakes-convnet`. And an attack that stops once it has fooled the network is given away better by a low confidence, {glue:text}`S7.4-adversarial/auroc-just-confidence:.2f`
({recorded}`S7.4-adversarial/auroc-just-confidence`), than by its pattern, {glue:text}`S7.4-adversarial/auroc-just:.2f` ({recorded}`S7.4-adversarial/auroc-just`).

## The study's two remedies

The study has an idea for each explanation: "regularize how much a classifier change from two nearby activation pattern", and "focus on minimizing the number of linear regions". We try both. In each, the neighbour $x'$
of a training image $x$ is the image under random signs of size $\varepsilon$.

- **Change of map.** A random combination $v$ of the logits has the gradients $g(x)$ and $g(x')$. The penalty is the mean of $\lVert g(x) - g(x')\rVert^2$. Within one region it is zero.
- **Regions.** A boundary is near where a {term}`pre-activation` $z$ is near zero or changes its sign. With $t = \tanh(3 z / s)$, $s$ the root mean square of the layer, the penalty is the mean of $1 - t(x)\,t(x')$.

Four controls learn in the same way. *Noisy images* shows what the neighbours do without a penalty, and *weight decay* what any regularisation does. *Steepness* penalises $\lVert g(x)\rVert^2$, the map and not its change, as Drucker
and LeCun {cite:p}`drucker-1992` did. *Adversarial* training on attacked images {cite:p}`madry-2018` is the known remedy.

Everything is trained {glue:text}`S7.4-adversarial/runs` times (recorded {recorded}`S7.4-adversarial/runs`). A run has its own first weights, the same for all remedies. So we take differences within a run, and give their mean with Student's 95-percent
interval over the runs. A gain is shown if the interval lies above zero. The strengths come from trial runs on the same images; they are weak enough to keep nearly the accuracy of the plain network on clean images.

:::{admonition} Guess first
:class: tip
The last sections tell what to expect. Which penalty should help more: on the map, on its change, or on the number of regions?
:::
"""


# %%
def slopes(model, images, direction):
    """Return logits, and the gradient of their sum along a direction: a row of the affine map."""
    images = images.clone().requires_grad_()
    logits = model(images)
    (rows,) = torch.autograd.grad((logits * direction).sum(), images, create_graph=True)
    return logits, rows.flatten(1)


def change_of_map(model, images, near, direction, strength):
    """Return logits and the penalty on the change of the map from an image to one near by."""
    logits, rows = slopes(model, torch.cat([images, near]), direction.repeat(2, 1))
    rows, rows_near = rows.chunk(2)
    return logits[: len(images)], strength * (rows - rows_near).square().sum(1).mean()


def steepness(model, images, near, direction, strength):
    """Return logits and the penalty on the map itself: the control."""
    logits, rows = slopes(model, images, direction)
    return logits, strength * rows.square().sum(1).mean()


def region_density(model, images, near, direction, strength):
    """Return logits and the penalty on units that are near zero, or differ near by."""
    values, total, gates = torch.cat([images, near]), 0.0, 0
    for layer in model:
        if isinstance(layer, nn.ReLU):
            z, z_near = torch.tanh(3 * values / values.square().mean().sqrt()).chunk(2)
            total, gates = total + (1 - z * z_near).mean(), gates + 1
        values = layer(values)
    return values[: len(images)], strength * total / gates


# %% tags=["hide-input"]
# fmt: off
def plain(model, images, near, direction, strength):
    """Return logits, and no penalty."""
    return model(images), 0.0


def on_noise(model, images, near, direction, strength):
    """Return logits of the images near by."""
    return model(near), 0.0


lessons = learn.sample(n_learn, seed)


def learned(k, penalty, strength=0.0, decay=0.0, adversarial=False):
    """Return the MLP of a training run that learned with a penalty, or from images attacked at every step."""
    generator = dice(70 + k)
    model = build_mlp(generator).to(device)
    stepper = torch.optim.SGD(model.parameters(), remedy_rate, momentum=0.9, weight_decay=decay)
    for _ in range(remedy_epochs):
        for rows in torch.randperm(len(lessons.labels), generator=generator).split(remedy_batch):
            pixels, truth = lessons.images[rows].float().to(device) / 255, lessons.labels[rows].to(device)
            if adversarial:
                pixels = attacks.pgd(model, pixels, truth, eps / 255, n_steps=inner_steps, generator=generator).images
            near = attacks.random_sign(pixels, eps / 255, generator=generator)
            direction = torch.randn(len(rows), len(learn.classes), generator=generator).to(device)
            logits, extra = penalty(model, pixels, near, direction, strength)
            stepper.zero_grad()
            (F.cross_entropy(logits, truth) + extra).backward()
            stepper.step()
    return model.eval()
# fmt: on


# %% tags=["hide-input"]
recipes = {
    "plain": {"penalty": plain},
    "noisy images": {"penalty": on_noise},
    "weight decay": {"penalty": plain, "decay": decay},
    "change of map": {"penalty": change_of_map, "strength": map_strength},
    "regions": {"penalty": region_density, "strength": region_strength},
    "steepness": {"penalty": steepness, "strength": slope_strength},
    "adversarial": {"penalty": plain, "adversarial": True},
}
pupils = {
    (name, k): learned(k, **recipe) for name, recipe in recipes.items() for k in range(n_runs)
}

# %% tags=["hide-input"]
# fmt: off
judges = held_out.subset(torch.randperm(len(held_out.labels), generator=dice(3))[:n_judged])
pixels, truth = judges.images.float().to(device) / 255, judges.labels.to(device)

flat_before, parts = len(flat), ("clean", "robust", "flips", "noise", "cuts", "change", "steep", "transfer", "wide")
elsewhere = {k: strongest(pupils["plain", k], pixels, truth, eps) for k in range(n_runs)}


def judged(model, k):
    """Return what a run came to, in the order of the parts."""
    network = piecewise.trace(model[1:], x.shape[1:], device="cpu")
    found = strongest(model, pixels, truth, eps)
    blurred = noise_like(found, pixels, 4)
    ways = [network.pattern(scaled(part)).choices for part in (pixels, found, blurred)]
    apart = [np.mean([float((ways[0][g] != way[g]).double().mean()) for g in network.gates]) for way in ways[1:]]
    cuts = segments.between(network, scaled(pixels[:n_segments]), scaled(pixels[n_segments : 2 * n_segments])).counts().sum(1).mean()
    first, second = (affine.maps(network, scaled(part[:40])).weight.flatten(1) for part in (pixels, blurred))
    wide = strongest(model, pixels[:60], truth[:60], eps_large)
    hit = [float((train.predict(model, part) == end).double().mean()) for part, end in ((pixels, truth), (found, truth), (elsewhere[k], truth), (wide, truth[:60]))]
    return [*hit[:2], *apart, cuts, float((first - second).norm(dim=1).mean()), float(first.norm(dim=1).mean()), *hit[2:]]


table = {name: np.array([judged(pupils[name, k], k) for k in range(n_runs)]) for name in recipes}  # (runs, parts)
results = {name: dict(zip(parts, rows.T, strict=True)) for name, rows in table.items()}
masked = sum(flat[flat_before:])
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"MLPs that learned from {len(lessons.labels):,} images, {n_runs} runs each; {len(truth)} held-out images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.9), sharey=True, layout="constrained")
for (name, found), marker, colour in zip(results.items(), "oshDv^*", ("k", "C4", "C5", "C1", "C0", "C2", "C3"), strict=True):
    for ax, part in zip(axes, ("clean", "cuts"), strict=True):
        ax.plot(found[part], found["robust"], marker=marker, color=colour, ls="none", ms=5, mfc="none", alpha=0.6)
        ax.plot(found[part].mean(), found["robust"].mean(), marker=marker, color=colour, ls="none", ms=9, label=name)
axes[0].set(xlabel="accuracy", ylabel="accuracy, attacked", ylim=(0, None))
axes[1].set(xlabel="boundaries between two images", xlim=(0, None))
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
tops = {name: found["robust"].mean() for name, found in results.items()}
report.figure(
    fig, name="fig-adversaries-remedies",
    caption=f"MLPs that learned with different penalties. Open: {n_runs} training runs of each, filled: their mean. Left: accuracy under PGD ({eps}/255) over the accuracy on clean images. Right: the same over the exact number of "
    "boundaries on the straight way between two images.",
    alt=f"Points. Mean attacked accuracy: plain {tops['plain']:.2f}, change of map {tops['change of map']:.2f}, regions {tops['regions']:.2f}, steepness {tops['steepness']:.2f}, adversarial training {tops['adversarial']:.2f}.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def of_runs(values):
    """Return what a number needs of training runs: mean, standard deviation and n."""
    found = statistics.interval(values)
    return {"value": found.mean, "spread": found.sd, "n": found.n}


for name, found in results.items():
    word = name.replace(" ", "-")
    for part in ("clean", "robust"):
        report.number(f"S7.4-adversarial/{part}-{word}", **of_runs(found[part]), unit="share", tol=0.08, label=f"accuracy{' under PGD' * (part == 'robust')}, {name}")
    report.number(f"S7.4-adversarial/flips-{word}", **of_runs(found["flips"]), unit="share", tol=0.05, label=f"units that change under PGD, {name}")
    report.number(f"S7.4-adversarial/flips-noise-{word}", **of_runs(found["noise"]), unit="share", tol=0.02)
    report.number(f"S7.4-adversarial/cuts-{word}", **of_runs(found["cuts"]), tol=found["cuts"].mean(), label=f"boundaries between two images, {name}")
    for part in ("change", "steep"):
        report.number(f"S7.4-adversarial/{part}-{word}", **of_runs(found[part] / results["plain"][part]), tol=0.6)
    report.number(f"S7.4-adversarial/transfer-{word}", **of_runs(found["transfer"]), unit="share", tol=0.08)
pairs = [("change of map", "plain", "gain"), ("regions", "plain", "gain"), ("steepness", "plain", "gain"), ("weight decay", "plain", "gain"), ("adversarial", "plain", "gain"), ("change of map", "steepness", "lead")]
for name, rival, word in pairs:
    who, found = name.replace(" ", "-"), statistics.interval(results[name]["robust"] - results[rival]["robust"])
    # "helps" is: the interval of the gain excludes zero
    judging = {"agree": (found.mean - found.low, 1), "note": f"would hold if the 95 % interval over {n_runs} training runs, {found.low:+.1%} to {found.high:+.1%}, were above zero"} if name == "regions" else {}
    report.number(f"S7.4-adversarial/{word}-{who}", value=found.mean, spread=found.sd, n=found.n, unit="share", tol=0.15, label=f"accuracy under PGD, {name} less {rival}", **judging)
    report.number(f"S7.4-adversarial/{word}-low-{who}", found.low, unit="share", tol=0.4)
    report.number(f"S7.4-adversarial/{word}-high-{who}", found.high, unit="share", tol=0.4)
report.number("S7.4-adversarial/runs", n_runs, tol=0)
report.number("S7.4-adversarial/masked", masked, tol=2, label="images without a gradient, all remedies")
report.number("S7.4-adversarial/widest", max(found["wide"].max() for found in results.values()), unit="share", tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Fewer regions show no gain. The penalty leaves {glue:text}`S7.4-adversarial/cuts-regions:.0f` of {glue:text}`S7.4-adversarial/cuts-plain:.0f` boundaries between two images (recorded
{recorded}`S7.4-adversarial/cuts-regions` of {recorded}`S7.4-adversarial/cuts-plain`), and {glue:text}`S7.4-adversarial/flips-regions:.1%` instead of {glue:text}`S7.4-adversarial/flips-plain:.1%` of the units change under attack
({recorded}`S7.4-adversarial/flips-regions` and {recorded}`S7.4-adversarial/flips-plain`). So it does what it is made for. But the {term}`robust accuracy` is {glue:text}`S7.4-adversarial/robust-regions:.1%`, that of the plain network
{glue:text}`S7.4-adversarial/robust-plain:.1%` ({recorded}`S7.4-adversarial/robust-regions` and {recorded}`S7.4-adversarial/robust-plain`), and the interval of the difference goes from {glue:text}`S7.4-adversarial/gain-low-regions:+.1%` to
{glue:text}`S7.4-adversarial/gain-high-regions:+.1%` ({recorded}`S7.4-adversarial/gain-low-regions` to {recorded}`S7.4-adversarial/gain-high-regions`). That includes zero. Few flips are no sign of a robust network.

The penalty on the change of the map reaches {glue:text}`S7.4-adversarial/robust-change-of-map:.1%` ({recorded}`S7.4-adversarial/robust-change-of-map`), with {glue:text}`S7.4-adversarial/clean-change-of-map:.1%` of the clean images
right, the plain network with {glue:text}`S7.4-adversarial/clean-plain:.1%` ({recorded}`S7.4-adversarial/clean-change-of-map` and {recorded}`S7.4-adversarial/clean-plain`). The mean gain is {glue:text}`S7.4-adversarial/gain-change-of-map:+.1%`, with an interval from
{glue:text}`S7.4-adversarial/gain-low-change-of-map:+.1%` to {glue:text}`S7.4-adversarial/gain-high-change-of-map:+.1%` ({recorded}`S7.4-adversarial/gain-change-of-map`, {recorded}`S7.4-adversarial/gain-low-change-of-map` to {recorded}`S7.4-adversarial/gain-high-change-of-map`). But it also makes the map less steep,
{glue:text}`S7.4-adversarial/steep-change-of-map:.2f` times as long as that of the plain network ({recorded}`S7.4-adversarial/steep-change-of-map`). The control that penalises the map itself, and leaves its change alone, reaches
{glue:text}`S7.4-adversarial/robust-steepness:.1%` with {glue:text}`S7.4-adversarial/clean-steepness:.1%` on clean images ({recorded}`S7.4-adversarial/robust-steepness` with {recorded}`S7.4-adversarial/clean-steepness`). Compared with this control the change of the map is at
{glue:text}`S7.4-adversarial/lead-change-of-map:+.1%`, {glue:text}`S7.4-adversarial/lead-low-change-of-map:+.1%` to {glue:text}`S7.4-adversarial/lead-high-change-of-map:+.1%` ({recorded}`S7.4-adversarial/lead-change-of-map`, {recorded}`S7.4-adversarial/lead-low-change-of-map` to {recorded}`S7.4-adversarial/lead-high-change-of-map`).
On this page zero lies within both intervals. In the recorded run the gain is clear of zero, but weight decay gains about as much, {recorded}`S7.4-adversarial/gain-weight-decay`, and the lead over the control is less than a point. The
intervals are over runs on the same held-out images, so that other images may turn so small a lead. Nothing here shows that the change matters more than other ways to keep the map flat, and we give no verdict on it.

{term}`Adversarial training <adversarial training>` costs most on clean images. It reaches {glue:text}`S7.4-adversarial/robust-adversarial:.1%` at {glue:text}`S7.4-adversarial/clean-adversarial:.1%` on clean images ({recorded}`S7.4-adversarial/robust-adversarial` at {recorded}`S7.4-adversarial/clean-adversarial`),
weight decay {glue:text}`S7.4-adversarial/robust-weight-decay:.1%` at {glue:text}`S7.4-adversarial/clean-weight-decay:.1%` ({recorded}`S7.4-adversarial/robust-weight-decay` at {recorded}`S7.4-adversarial/clean-weight-decay`), noisy images
{glue:text}`S7.4-adversarial/robust-noisy-images:.1%` ({recorded}`S7.4-adversarial/robust-noisy-images`). The figure must be read along both axes.

No gradient was hidden: it was zero on {glue:text}`S7.4-adversarial/masked` images ({recorded}`S7.4-adversarial/masked`), the wide ball leaves {glue:text}`S7.4-adversarial/widest:.0%` at most ({recorded}`S7.4-adversarial/widest`), and
images that were made to fool the plain network fool the others less often than attacks on themselves do: {glue:text}`S7.4-adversarial/transfer-change-of-map:.1%` stay right with the change of map and
{glue:text}`S7.4-adversarial/transfer-regions:.1%` with few regions ({recorded}`S7.4-adversarial/transfer-change-of-map` and {recorded}`S7.4-adversarial/transfer-regions`).

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**An attack is no proof.** PGD shows that an image can be fooled, never that it cannot. Our robust accuracies are upper bounds; a stronger attack may lower them.

**A detector that is known.** We attacked the network and not the detector. An attack that knows the score can lower it, too, and many detectors fell to that {cite:p}`carlini-2017`.

**Distances in pixels.** On digits the nearest image of the class is only a little farther away in pixels than the attacked image; on photographs it is several times as far. What counts as close depends on the data.

**One network, few runs.** The attacked networks come from one seed. A handful of training runs leaves wide intervals for the remedies: a gain of a few points may be missed. And the strengths were set on images that also
give the numbers, which may flatter all penalties a little.

:::{admonition} What we learned
:class: important
- An attacked image has another class but not the pattern of one: it changes fewer than half as many units as an image of another class.
- It changes more units than noise as long, in an MLP several times as many. The angle predicts neither number in a trained network, since both depend on its weights.
- Most attacks succeed under the map of the clean image, too: they need a steep map rather than a change of region.
- Fewer regions did not help. Less change of the map gained a little, and so did its control, a map that is less steep.
- A score that detects attacks has to beat distances of pixels and confidence, and to tell attacks from plain mistakes.
:::

## Exercises

```{exercise}
:label: ex-adversaries-restarts
**The strongest of several starts** (3 minutes). An attack ran from several starts. Return the accuracy of the network against somebody who may use all of them.
```
"""


# %% tags=["exercise"]
def worst_case(holds):
    """Return the accuracy against all starts, from what holds (starts, images)."""
    return holds.mean()  # a mean attacker, not the strongest


holds = np.random.default_rng(seed).random((5, 400)) < np.linspace(0.2, 1, 400)
passed = abs(worst_case(holds) - sum(all(row) for row in holds.T) / 400) < 1e-12
report.check("ex-adversaries-restarts", passed, "One start that fools the network is enough.")


# %% tags=["solution"]
def worst_case(holds):
    """Return the accuracy against all starts, from what holds (starts, images)."""
    return holds.all(0).mean()


passed = abs(worst_case(holds) - sum(all(row) for row in holds.T) / 400) < 1e-12
report.check("ex-adversaries-restarts", passed, "One start that fools the network is enough.")

# %% [markdown]
r"""
```{exercise}
:label: ex-adversaries-one-unit
**One unit under attack** (5 minutes). Every input of a unit $\langle w, x\rangle + b$ may move by up to one. How far can an attack move the unit? Random signs move it by $\lVert w\rVert_2$ (root mean square). Return
how many times farther the attack gets, for weights $(n, d)$.
```
"""

# %% tags=["exercise"]
weights = build_mlp(dice(90)).fc1.weight.detach()


def advantage(weights):
    """Return for each unit how many times farther than random signs an attack moves it."""
    return torch.full(
        (len(weights),), weights.shape[1] ** 0.5
    )  # if all weights were equally large


coins = torch.randint(2, (weights.shape[1], 4000), generator=dice(91)) * 2.0 - 1
measured = (weights * weights.sign()).sum(1) / (weights @ coins).square().mean(1).sqrt()
passed = torch.allclose(advantage(weights), measured, rtol=0.08)
report.check(
    "ex-adversaries-one-unit", passed, "Which sign of each input moves the unit upwards?"
)


# %% tags=["solution"]
def advantage(weights):
    """Return for each unit how many times farther than random signs an attack moves it."""
    return weights.abs().sum(1) / weights.norm(dim=1)


passed = torch.allclose(advantage(weights), measured, rtol=0.08)
report.check(
    "ex-adversaries-one-unit", passed, "Which sign of each input moves the unit upwards?"
)

# %% [markdown]
r"""
```{exercise}
:label: ex-adversaries-expected
**How many flips does chance make?** (5 minutes). Noise of length $s$ stands at right angles to an image of length $r$. In how many of $n$ units of an untrained first layer without biases do you expect a flip?
```
"""


# %% tags=["exercise"]
def expected_flips(n, r, s):
    """Return the expected number of units that change."""
    return n * s / r  # right up to a factor, for small s


wide = torch.randn(200_000, 2, generator=dice(92))
before, after = wide @ torch.tensor([3.0, 0.0]), wide @ torch.tensor([3.0, 2.0])
passed = (
    abs(expected_flips(200_000, 3.0, 2.0) - float(((before > 0) != (after > 0)).sum())) < 1000
)
report.check(
    "ex-adversaries-expected", passed, "By which angle does the image turn, as a part of pi?"
)


# %% tags=["solution"]
def expected_flips(n, r, s):
    """Return the expected number of units that change."""
    return n * math.atan2(s, r) / math.pi


passed = (
    abs(expected_flips(200_000, 3.0, 2.0) - float(((before > 0) != (after > 0)).sum())) < 1000
)
report.check(
    "ex-adversaries-expected", passed, "By which angle does the image turn, as a part of pi?"
)

# %% [markdown]
r"""
## Go further

- Athalye and colleagues {cite:p}`athalye-2018` show how defences seem to work because they hide the gradient.
- Croce and colleagues {cite:p}`croce-2019` push the boundaries of regions away from the training images, and prove robustness by it.
- Qin and colleagues {cite:p}`qin-2019` penalise how far the network is from its linear map near an image, at the *worst* neighbour instead of a random one.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
