# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-affine)=
# What does a network compute around one image?

**An affine map, $Wx + b$, exact as far as its {term}`region` reaches. From one region to the next the map jumps. How far it turns under noise can be predicted without a single
trial.**

```{figure} ../results/real/11_affine/fig-affine-maps.webp
:name: fig-affine-hero
:alt: A row of photographs, and under each the maps of its class in four networks. Trained maps are smoother than the fine noise of untrained ones.

What you will be able to draw: images, and the weights by which a network looks at each of them. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Compute the {term}`local map` of any {term}`unit` at any image, and check it where a check can fail.
- Tell rounding from a unit at its boundary.
- Say how many directions many maps fill, and which of three ranks to trust.
- Judge a decomposition by what a random dictionary would do.
- Predict the angle between the maps of two neighbouring images.

**You need** the {term}`pattern` of a {term}`ReLU` network, as in [](#ch-patterns), and some linear algebra. **Time:** 30 minutes to read, one minute to run. **Document:** the first half of section 6 of the
"Study on Activation Patterns" {cite:p}`swiniarski-patterns`. **Data:** scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY); in the recorded run CIFAR-10 {cite:p}`krizhevsky-2009`.
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
# units of the last layer, by class: the document shows plane and bird
units = [0, 2]
# images that are looked at; maps in a spectrum; maps whose rank is counted exactly
n_look, n_maps, n_exact = 300, 1400, 400
n_atoms, n_queries, n_steps = 1400, 40, 100
# images whose maps are turned by noise of these sizes, on the scale [-1, 1]
n_turned = 200
sigmas = [1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0]

# %% tags=["hide-input"]
import copy
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    affine,
    bits,
    checkpoints,
    covariance,
    data,
    hamming,
    maps,
    models,
    piecewise,
    plots,
    polytopes,
    report,
    statistics,
    train,
)
from torch import nn

report.start("11_affine", profile=profile, seed=seed, device=device)
generator = torch.Generator().manual_seed(seed)

# %% [markdown]
r"""
## One map for one region

Two networks learn: an MLP with three hidden layers of {glue:text}`S6.0-wx/width` units (recorded {recorded}`S6.0-wx/width`), and a convnet of three convolutions, each with a ReLU and a max-pooling. In the recorded run
it has AlexNet's kernels, as commonly ported to small images. The study does not say which of its networks it took.
"""

# %% tags=["hide-input"]
learn, held_out = (data.load(pictures, split, size=size) for split in ("train", "test"))
look, known = (
    part.sample(n, seed).subset(torch.randperm(n, generator=generator))  # not class after class
    for part, n in ((held_out, n_look), (learn, max(n_maps, n_atoms)))
)


# fmt: off
def build_mlp(generator):
    """Return the study's network of three layers, untrained."""
    return models.mlp([width] * 3, len(learn.classes), input_shape=learn.images.shape[1:], mean=pixel_mean, std=pixel_std, generator=generator)


def build_convnet(generator):
    """Return the convnet of the regions chapters, untrained."""
    if size < 32:
        return models.convnet(len(learn.classes), widths=(8, 16, 16), size=size, channels=1, mean=pixel_mean, std=pixel_std, generator=generator)
    return models.cifar_alexnet(len(learn.classes), mean=pixel_mean, std=pixel_std, generator=generator)


def build_linear(generator):
    """Return a linear classifier, untrained."""
    return models.mlp([], len(learn.classes), input_shape=learn.images.shape[1:], mean=pixel_mean, std=pixel_std, generator=generator)
# fmt: on


builds = {"MLP": build_mlp, "convnet": build_convnet, "linear": build_linear}
images, labels = learn.images.to(device), learn.labels.to(device)
recipe = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
fits, nets = {}, {}
for name, build in builds.items():
    named = f"regions-{name.lower()}"
    fits[name] = checkpoints.load_or_fit(named, build, images, labels, seed=seed, **recipe)
    if name != "linear":
        nets[name] = fits[name].model
        blank = build(torch.Generator().manual_seed(seed)).to(device)
        nets[f"{name}, untrained"] = blank.eval()


# %% tags=["remove-cell"]
# fmt: off
def of_images(what, first=""):
    """Say that the numbers that follow come from images."""
    report.source(f"{first}{pictures}, {what}", stand_in=None if pictures == "cifar10" else "CIFAR-10")


of_images(f"{len(held_out.labels):,} held-out images")
report.number("S6.0-wx/width", width, tol=0)
report.number("S6.0-wx/training", sum(sum(fit.history.seconds) for fit in fits.values()), unit="seconds", tol=1e9)
for name in ("MLP", "convnet", "linear"):
    accuracy = train.accuracy(fits[name].model, held_out.images, held_out.labels.to(device))
    report.number(f"S6.0-wx/accuracy-{name.lower()}", accuracy, unit="share", tol=0.06, label=f"accuracy on held-out images, {name}" if name != "linear" else None)
# fmt: on

# %% [markdown]
r"""
They classify {glue:text}`S6.0-wx/accuracy-mlp:.1%` and {glue:text}`S6.0-wx/accuracy-convnet:.1%` of the held-out images correctly (recorded {recorded}`S6.0-wx/accuracy-mlp` and
{recorded}`S6.0-wx/accuracy-convnet`, after few epochs).

Fix the pattern of every layer. Then each ReLU multiplies by zeros and ones, and what remains is matrices and vectors: the value of a unit is $\langle W, x\rangle + b$. The study finds $W$ by "back-proping" and calls
that noisy. Its other way, equations 51 to 55 (whose indices do not quite fit), goes backward through the matrices $A^l$ by hand, with the patterns $a^l$ as masks.

:::{prf:theorem} The map of a region
:label: thm-affine-map
Let $R$ be the {term}`region` of $x$ in an MLP of $L$ layers: all inputs with the same patterns $a^1, \dots, a^{L-1}$. For a unit with weights $v$ in the last layer, set $W \leftarrow v$ and, for $l = L-1, \dots, 1$, $W \leftarrow (W \odot a^l)\,A^l$. Then
$f(y) = \langle W, y\rangle + b$ for every $y$ in $R$, with one $b$, and inside of $R$ the gradient of $f$ is $W$. All such $W$ lie in the row space of $A^1$.
:::

:::{prf:proof}
In $R$ a ReLU is $z \mapsto a^l \odot z$, which is linear. So $f$ is a composition of affine maps there, and $W$ is the product of their matrices, taken from the left. Inside of $R$, $f$ is this affine function all
around a point, and its gradient is $W$. The last step multiplies by $A^1$, so $W$ is a weighted sum of its rows.
:::
"""


# %%
def by_masks(net, x, unit):
    """Return W of a unit of an MLP's last layer at one image, by the study's equations 51 to 55."""
    layers, h, patterns = list(net)[2:-1], net[:2](x[None]), []
    for layer in layers:
        h = layer(h)
        if isinstance(layer, nn.ReLU):
            patterns.append(h[0] > 0)
    matrices = [layer.weight for layer in layers if isinstance(layer, nn.Linear)]
    W = net[-1].weight[unit]
    for A, a in zip(reversed(matrices), reversed(patterns), strict=True):
        W = (W * a) @ A
    return W / net.normalize.std  # the first layer of our networks


def backward(net, x, unit):
    """Return W at images (n, ...) as the backward pass gives it: (n, d)."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x)[:, unit].sum(), x)[0].flatten(1)


def pixels(part):
    """Return images in [0, 1] with the grey values between the 256 levels drawn at random."""
    between = torch.rand(part.images.shape, generator=torch.Generator().manual_seed(seed))
    return ((part.images + between) / 256).to(device).double()


x, unit = pixels(look), units[1]
double = {name: copy.deepcopy(net).double().requires_grad_(False) for name, net in nets.items()}
exact = {name: piecewise.trace(net, x.shape[1:]) for name, net in nets.items()}
W = {name: affine.maps(exact[name], x, units=[unit]).weight.flatten(1) for name in nets}

# %% [markdown]
r"""
`affine.maps` does the same for all images at once, for any layer of any ReLU network, with convolutions and sums, too. With max-pooling a region needs more than the ReLUs' bits: which of the pooled values is the largest.

How do we check $W$? "$Wx + b = f(x)$" is no check. The usual $b$ *is* $f(x) - Wx$, so every $W$ passes. We go elsewhere in the same region, half the way to its boundary in a random direction, and look how much of
the change of $f$ is missed. As a control we hand in the map of another image.
"""

# %%
direction = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(device)
checked = {}
for name in ("MLP", "convnet"):
    reach = polytopes.chords(exact[name], x, direction).high.clamp(max=1)  # to the boundary
    moved = x + direction * (reach / 2)[:, None, None, None]
    change = (exact[name](moved) - exact[name](x))[:, unit]
    for what, found in (("own map", W[name]), ("another's", W[name].roll(1, 0))):
        told = ((moved - x).flatten(1) * found).sum(1)
        checked[name, what] = float((told - change).abs().sum() / change.abs().sum())

ours = torch.stack([by_masks(double["MLP"], image, unit) for image in x])
gap = {
    "masks": (ours - W["MLP"]).norm() / W["MLP"].norm(),
    "backward": (backward(double["MLP"], x, unit) - W["MLP"]).norm() / W["MLP"].norm(),
}

# %% tags=["remove-cell"]
# fmt: off
of_images(f"{len(x):,} held-out images")
report.number("S6.0-wx/images", len(x), tol=0)
for name, key in (("MLP", "mlp"), ("convnet", "convnet")):
    report.number(f"S6.0-wx/displaced-{key}", checked[name, "own map"], tol=1e-8, agree=(0, 1e-6), label=f"part of the change that the map misses, {name}",
                  note="at another point of the same region")
    report.number(f"S6.0-wx/displaced-wrong-{key}", checked[name, "another's"], tol=1.5)
report.number("S6.0-wx/double", float(max(gap.values())), tol=1e-13, label="masks and backward pass in double precision: relative difference")
# fmt: on

# %% [markdown]
r"""
The map misses {glue:text}`S6.0-wx/displaced-mlp:.0e` of the change in the MLP and {glue:text}`S6.0-wx/displaced-convnet:.0e` in the convnet (recorded {recorded}`S6.0-wx/displaced-mlp` and
{recorded}`S6.0-wx/displaced-convnet`). The map of another image misses {glue:text}`S6.0-wx/displaced-wrong-mlp:.2f` ({recorded}`S6.0-wx/displaced-wrong-mlp`), and would pass the empty check.

## Is the backward pass noisy?

In double precision masks and backward pass are off by at most {glue:text}`S6.0-wx/double:.0e` of the length of $W$. Networks usually run in single precision. "If you forward a batch of same images and call .backward()", says the study, "the
gradient on the input differs slightly."

:::{admonition} Guess first
:class: tip
By how much, relative to the length of $W$: a hundredth, a ten-thousandth, a ten-millionth? Does it depend on how many images are in the batch?
:::
"""


# %%
def off(found, reference):
    """Return the relative difference of maps (n, d)."""
    return ((found - reference).norm(dim=1) / reference.norm(dim=1)).cpu().numpy()


def rounding(name):
    """Return in what way, and by how much, the backward pass differs from itself and from the truth."""
    single, whole = x.float(), backward(nets[name], x.float(), unit)
    found = {"double": off(backward(double[name], x, unit), W[name])}
    found["single"] = off(whole, W[name])
    if name == "MLP":
        with torch.no_grad():
            masked = torch.stack([by_masks(nets[name], image, unit) for image in single])
        found["single, masks"] = off(masked, W[name])
    parts = {n: [backward(nets[name], b, unit) for b in single.split(n)] for n in (1, 7, 64)}
    found["other batches"] = np.max([off(torch.cat(b), whole) for b in parts.values()], axis=0)
    copies = [backward(nets[name], image.expand(64, -1, -1, -1), unit) for image in single[:50]]
    found["64 copies"] = np.array([off(rows, rows[[0]]).max() for rows in copies])
    return found


differences = {name: rounding(name) for name in ("MLP", "convnet")}

# %% tags=["hide-input"]
# fmt: off
RELUS = {name: [k for k, gate in exact[name].gates.items() if gate.kind == "relu"] for name in exact}
scales = [10**k for k in np.arange(-6, -2.4, 0.5)]


def neighbours(name, x, scale):
    """Return noisy images, how many bits of the ReLUs they change, and whether nothing changes."""
    y = x + scale * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(device)
    before, after = exact[name].pattern(x), exact[name].pattern(y)
    n_flips = sum((before.choices[k] != after.choices[k]).flatten(1).sum(1) for k in RELUS[name])
    return y, n_flips.cpu(), before.same(after).cpu()


def change(name, x, y, chosen):
    """Return how much the maps of some pairs differ."""
    if not chosen.any():
        return np.zeros(0)
    pair = [affine.maps(exact[name], part[chosen.to(device)], units=[unit]).weight.flatten(1) for part in (y, x)]
    return off(*pair)


pooling, one_flip, only_moved = [], [], []
for scale in scales:
    y, n_flips, same = neighbours("convnet", x, scale)
    pooling.append([float((n_flips == 0).double().mean()), float(same.double().mean())])
    only_moved.append(change("convnet", x, y, (n_flips == 0) & ~same))
    y, n_flips, _ = neighbours("MLP", x, scale)
    one_flip.append(change("MLP", x, y, n_flips == 1))
pooling, one_flip, only_moved = np.array(pooling), np.concatenate(one_flip), np.concatenate(only_moved)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(x):,} held-out images")
rows = {f"{name}, {what}": values for name, found in differences.items() for what, values in found.items() if what != "64 copies"}
rows = {name: np.maximum(values, 1e-17) for name, values in rows.items()} | {"MLP, one bit flipped": one_flip, "convnet, argmax moved": only_moved}
fig, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained", width_ratios=[1.7, 1])
plots.distributions(rows, ax=axes[0], xlabel="relative difference of W")
axes[0].set_xscale("log")
axes[0].set_xticks([1e-17, 1e-12, 1e-7, 1e-2], ["0", "1e-12", "1e-7", "1e-2"])
axes[0].tick_params(axis="y", labelsize="small")
axes[1].plot(scales, pooling[:, 0], "o-", ms=4, label="ReLUs alike")
axes[1].plot(scales, pooling[:, 1], "s-", ms=4, label="argmax, too")
axes[1].set(xscale="log", xlabel="noise on the pixels", ylabel="share of images", ylim=(-0.03, 1.05))
axes[1].legend(fontsize="small", loc="upper right")
report.figure(
    fig, name="fig-affine-rounding",
    caption="Left: how much maps differ, a dot an image: from the exact ones, in double and in single precision; between batches of other sizes; and between neighbouring regions. Right: convnet, images that keep their region under noise, "
    "judged by the ReLUs' bits alone, and with the argmax of max-pooling.",
    alt=f"Left: dots of double precision near {np.median(rows['MLP, double']):.0e}, of single precision near {np.median(rows['MLP, single']):.0e}, of one flipped bit near {np.median(one_flip):.0e}. Right: two curves fall from one to zero; the one with argmax falls first.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
fast = {name: piecewise.trace(net, x.shape[1:], dtype=torch.float32, device=device) for name, net in nets.items()}
agreeing = {name: fast[name].pattern(x).same(exact[name].pattern(x)).cpu().numpy() for name in ("MLP", "convnet")}
near = affine.maps(exact["MLP"], x, units=[unit]).n_boundary
n_units = sum(gate.n_units for gate in exact["MLP"].gates.values())
report.number("S6.0-wx/noisy", float(differences["MLP"]["single"][agreeing["MLP"]].max()), tol=1e-6, agree=(1e-9, 1e-4), label="backward in single precision: largest relative difference, same pattern",
              note="it is rounding: in double precision it is gone")
for name, key in (("MLP", "mlp"), ("convnet", "convnet")):
    for what in ("single", "other batches"):
        report.number(f"S6.0-wx/{key}-{what.replace(' ', '-')}", float(np.median(differences[name][what])), tol=1e-6)
    report.number(f"S6.0-wx/{key}-copies", float(differences[name]["64 copies"].max()), tol=1e-6)
    report.number(f"S6.0-wx/{key}-other-pattern", int((~agreeing[name]).sum()), tol=10)
report.number("S6.0-wx/masks-single", float(np.median(differences["MLP"]["single, masks"])), tol=1e-6, agree=(0, 1e-9), label="masks in single precision: relative difference",
              note="masks round as well; what cures it is double precision")
report.number("S6.0-wx/near-zero", int(near.sum()), tol=10, label="units with a value below 1e-6, MLP", n=n_units * len(x))
report.number("S6.0-wx/near-zero-of", n_units * len(x), tol=0)
report.number("S6.0-wx/one-flip", float(np.median(one_flip)), tol=0.06, label="relative difference of W when one unit changes, MLP", n=len(one_flip))
report.number("S6.0-wx/one-argmax", float(np.median(only_moved)), tol=0.1, n=len(only_moved))
kept, unmoved = pooling.sum(0)
report.number("S6.0-wx/argmax-moved", float(1 - unmoved / kept), unit="share", tol=0.25, label="same bits of the ReLUs, another argmax, convnet", note="over all sizes of noise; equal bits alone do not make a region")
end = x + direction * polytopes.chords(exact["MLP"], x, direction).high.clamp(max=1)[:, None, None, None]
at_end = off(backward(nets["MLP"], end.float(), unit), W["MLP"])
report.number("S6.0-wx/boundary-wrong", float((at_end > 1e-4).mean()), unit="share", tol=0.2)
# fmt: on

# %% [markdown]
r"""
**What to notice.** In single precision the median difference is {glue:text}`S6.0-wx/mlp-single:.0e` of the length of $W$ (recorded {recorded}`S6.0-wx/mlp-single`), and with other batch sizes the sums are added up in another order and
come out differently by {glue:text}`S6.0-wx/mlp-other-batches:.0e` ({recorded}`S6.0-wx/mlp-other-batches`). That is rounding. So the study is right that the backward pass is not exact. But masks are no cure: in single precision they differ by
{glue:text}`S6.0-wx/masks-single:.0e` as well ({recorded}`S6.0-wx/masks-single`). The cure is double precision. (Copies of an image in *one* batch come out equal on our processor. Some algorithms of a GPU add in an order that changes from call to call.)

One thing is more than ten thousand times as large as rounding: a unit that changes sides. When one of the MLP's units does, $W$ changes by {glue:text}`S6.0-wx/one-flip:.3f` of its length (recorded {recorded}`S6.0-wx/one-flip`). But of
{glue:text}`S6.0-wx/near-zero-of:,` {term}`pre-activations <pre-activation>` {glue:text}`S6.0-wx/near-zero` lie within a millionth of zero (recorded {recorded}`S6.0-wx/near-zero` of {recorded}`S6.0-wx/near-zero-of`), so rounding rarely does it: it puts {glue:text}`S6.0-wx/convnet-other-pattern` of
{glue:text}`S6.0-wx/images` images into another region of the convnet (recorded {recorded}`S6.0-wx/convnet-other-pattern` of {recorded}`S6.0-wx/images`).

In the convnet equal bits are not enough. Of all noisy images that keep the bits of their ReLUs, {glue:text}`S6.0-wx/argmax-moved:.1%` have another {term}`argmax` somewhere (recorded {recorded}`S6.0-wx/argmax-moved`). They are in another region, and
$W$ has changed by {glue:text}`S6.0-wx/one-argmax:.3f` of its length ({recorded}`S6.0-wx/one-argmax`). The study's patterns of its AlexNet leave this out. With the digits it is frequent, mostly because of their flat background.

## What does a map look like?

$W$ is as large as an image, "so we can plot it". Its values have a low range, so the study normalises each map, and does not say how. We divide by the 99th percentile of the absolute values; zero is mid-grey.
"""

# %%
every = {
    name: affine.maps(exact[name], x[:100]) for name in nets
}  # weight (100, classes, c, h, w)


def picture(w):
    """Return a map (c, h, w) as an image in [0, 1]: zero is grey, the largest hundredth is cut off."""
    return (0.5 + w / (2 * w.abs().quantile(0.99))).clamp(0, 1).cpu().numpy()


right = train.predict(nets["MLP"], look.images[:100].to(device)).cpu() == look.labels[:100]
right &= train.predict(nets["convnet"], look.images[:100].to(device)).cpu() == look.labels[:100]
shown = [
    int((right & (look.labels[:100] == k)).nonzero()[0, 0])
    for k in range(10)
    if (right & (look.labels[:100] == k)).any()
]

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(x):,} held-out images")
fig = plt.figure(figsize=(7, 5.3))
axes = plots.grid(5, 6, figure=fig)
plots.picture_row([look.images[i].numpy() for i in shown[:6]], axes=axes[0], label="image")
for row, (name, found) in zip(axes[1:], every.items(), strict=True):
    plots.picture_row([picture(found.weight[i, look.labels[i]]) for i in shown[:6]], axes=row, label=name.replace(", ", ",\n"))
smoothness = {name: float(maps.morans_i(found.weight[shown].flatten(0, 1)).nanmean()) for name, found in every.items()}
report.figure(
    fig, name="fig-affine-maps",
    caption="Images of six classes that both networks classify correctly, and below each the map of its own class in four networks, every map on a scale of its own.",
    alt=f"Six images. Below, trained maps with broad bright and dark strokes (neighbouring pixels correlate with {smoothness['MLP']:.2f} and {smoothness['convnet']:.2f}); untrained ones are fine noise ({smoothness['MLP, untrained']:.2f} and {smoothness['convnet, untrained']:.2f}).",
)
# fmt: on


# %% tags=["hide-input"]
# fmt: off
def sheet(rows, gap=2):
    """Return rows of images (c, h, w) in [0, 1], or None for a gap, as one picture in 16 levels."""
    c, h, w = next(tile.shape for tile in rows[0] if tile is not None)
    page = np.full((c, len(rows) * (h + gap) - gap, len(rows[0]) * (w + gap) - gap), 255, np.uint8)
    for i, j in np.ndindex(len(rows), len(rows[0])):
        if rows[i][j] is not None:
            top, left = i * (h + gap), j * (w + gap)
            page[:, top:top + h, left:left + w] = np.rint(rows[i][j] * 15) * 17
    return page


frames = []
for i in shown:
    tiles = [picture(w) for w in every["convnet"].weight[i]]
    page = sheet([[look.images[i].numpy() / 255, *tiles[:5]], [None, *tiles[5:10]]])
    logits, kind = every["convnet"](x[:100])[i], learn.classes[look.labels[i]]
    told = ", ".join(f"{learn.classes[k]} {float(logits[k]):.1f}" for k in logits.argsort(descending=True)[:3].tolist())
    rough = every["convnet"].weight[i].flatten(1).norm(dim=1)
    alt = f"Left an image of class {kind}; beside it two rows of five maps, one a class. The longest map, of class {learn.classes[int(rough.argmax())]}, is {float(rough.max() / rough.min()):.1f} times as long as the shortest."
    frames.append(report.Frame(str(kind), alt, picture=page, note=f"highest logits: {told}"))
report.frames(
    frames, name="fig-affine-document", label="image",
    caption="The document's figure 31, one image at a time: the maps of all ten classes in the convnet (above " + ", ".join(map(str, learn.classes[:5])) + "; below " + ", ".join(map(str, learn.classes[5:])) + "). Move the slider from image to image.",
)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Untrained maps look like noise. Trained ones are smoother: the correlation of neighbouring pixels is {glue:text}`S6.1-plot/smooth-mlp:.2f` for the MLP and {glue:text}`S6.1-plot/smooth-convnet:.2f` for the
convnet, untrained {glue:text}`S6.1-plot/smooth-mlp-untrained:.3f` and {glue:text}`S6.1-plot/smooth-convnet-untrained:.3f` (recorded {recorded}`S6.1-plot/smooth-mlp`, {recorded}`S6.1-plot/smooth-convnet`,
{recorded}`S6.1-plot/smooth-mlp-untrained` and {recorded}`S6.1-plot/smooth-convnet-untrained`). The MLP's are broad patches; the convnet's have finer lines. The scale of each map hides that lengths differ: the longest
twentieth of the MLP's maps is at least {glue:text}`S6.1-plot/lengths:.1f` times as long as the shortest twentieth (recorded {recorded}`S6.1-plot/lengths`).

A better question than "what do I see?" is "what does the map know?". Take all ten maps of *one* image, with their $b$, as a linear classifier of all other images.

:::{admonition} Guess first
:class: tip
The maps of one image are exact in a region far too small to hold a second image. How many other images do they classify correctly?
:::
"""

# %%
others = pixels(held_out).flatten(1)
templates = {}
for name, found in every.items():
    logits = torch.einsum("nd,mkd->mnk", others.float(), found.weight.flatten(2).float())
    answers = (logits + found.bias.float()[:, None]).argmax(2)
    templates[name] = (answers == held_out.labels.to(device)).double().mean(1).cpu().numpy()

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(held_out.labels):,} held-out images")
whole = {name: train.accuracy(fit.model, held_out.images, held_out.labels.to(device)) for name, fit in fits.items()}
fig, ax = plt.subplots(figsize=(7, 2.9), layout="constrained")
plots.distributions(templates, ax=ax, xlabel="share of held-out images that the maps of one image classify correctly")
for (name, value), color, style in zip(whole.items(), ("C0", "C2", "k"), ("--", "--", ":"), strict=True):
    ax.axvline(value, color=color, lw=1.2, ls=style, label={"linear": "a linear classifier"}.get(name, f"the {name} itself"))
ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.4, 1.22), ncols=3)
report.figure(
    fig, name="fig-affine-template",
    caption="The affine maps of one image as a classifier of all held-out ones: a dot for each of 100 images, bars are medians. Lines: the networks themselves, and a linear classifier that was trained as long.",
    alt=f"Trained: clouds of dots around {np.median(templates['MLP']):.2f} (MLP) and {np.median(templates['convnet']):.2f} (convnet), wide, left of the lines at {whole['MLP']:.2f} and {whole['convnet']:.2f}. Untrained: clouds at chance.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("S6.1-plot/images", len(frames), tol=2)
report.number("S6.1-plot/units", len(learn.classes), tol=0)
for name in every:
    key = name.lower().replace(", ", "-")
    report.number(f"S6.1-plot/smooth-{key}", smoothness[name], tol=0.15, label=f"correlation of neighbouring pixels in a map, {name}")
    report.number(f"S6.1-plot/template-{key}", float(np.median(templates[name])), unit="share", tol=0.1, label=f"accuracy of one image's maps on all images, {name}", n=len(templates[name]))
    report.number(f"S6.1-plot/template-best-{key}", float(templates[name].max()), unit="share", tol=0.2)
length = every["MLP"].weight.flatten(2).norm(dim=2).flatten()
report.number("S6.1-plot/lengths", float(length.quantile(0.95) / length.quantile(0.05)), tol=1.5)
report.number("S6.1-plot/linear", whole["linear"], unit="share", tol=0.06)
# fmt: on

# %% [markdown]
r"""
**What to notice.** One image's maps classify {glue:text}`S6.1-plot/template-mlp:.0%` of all images in the MLP and {glue:text}`S6.1-plot/template-convnet:.0%` in the convnet (medians; recorded
{recorded}`S6.1-plot/template-mlp` and {recorded}`S6.1-plot/template-convnet`), the MLP's best {glue:text}`S6.1-plot/template-best-mlp:.0%` ({recorded}`S6.1-plot/template-best-mlp`). Untrained maps are near chance. So a local map is not only
local: maps have something in common. But a linear classifier that is trained as one reaches {glue:text}`S6.1-plot/linear:.0%` ({recorded}`S6.1-plot/linear`). Much of what the network knows is in how its maps *change*.

## How many directions do the maps fill?

The study stacks the maps of one unit for {published}`S6.2-svd-real/images` training images, or for as many points of noise from $[-1, 1]$, and draws the first {published}`S6.2-svd-real/singular-values` singular values. Its worry: the noise of the
backward pass might "inflate the rank". There is more than one rank:

- the *numerical rank*: singular values $s_i$ above a tolerance, here $10^{-10} s_1$;
- the {term}`effective rank` {cite:p}`roy-2007`, $\exp(-\sum p_i \log p_i)$ with $p_i = s_i / \sum s_j$;
- the *stable rank*, $\sum s_i^2 / s_1^2$: how often the largest one fits in.

:::{admonition} Guess first
:class: tip
The images have {glue:text}`S6.2-svd-real/pixels:,` values, the first layer of the MLP {glue:text}`S6.0-wx/width` units. How many singular values are not zero?
:::
"""

# %%
some = pixels(known)[:n_exact]
stacked = affine.maps(exact["MLP"], some, units=[unit]).weight.flatten(1)  # (n_exact, d)
counted = {
    "exact": torch.linalg.svdvals(stacked),
    "single precision": torch.linalg.svdvals(backward(nets["MLP"], some.float(), unit).double()),
    "by the Gram matrix": torch.linalg.eigvalsh(stacked @ stacked.mT).flip(0).clamp(min=0).sqrt(),
}


def rank_of(s, tolerance=1e-10):
    """Return how many singular values exceed a share of the first."""
    return int((s > tolerance * s[0]).sum())


def effective_rank(s):
    """Return the exponential of the entropy of singular values."""
    p = s[s > 0] / s.sum()
    return float((-p * p.log()).sum().exp())


def spectrum(network, x, change=lambda w: w):
    """Return the singular values of the maps of images, from their second moment in double precision."""
    parts = (change(affine.maps(network, b, units=[unit]).weight[:, 0]) for b in x.split(500))
    found = covariance.moments(part.flatten(1).double() for part in parts)
    return torch.linalg.eigvalsh(found.second_moment).flip(0).clamp(min=0).sqrt()


# %% tags=["hide-input"]
# fmt: off
inputs = {"images": pixels(known)[:n_maps]}
inputs["noise"] = pixel_mean + pixel_std * (2 * torch.rand(inputs["images"].shape, generator=generator, dtype=torch.float64).to(device) - 1)
ways = {"maps": lambda w: w, "magnitudes": lambda w: torch.fft.fft2(w).abs()}
spectra = {(name, what, way): spectrum(fast[name], points, change)
           for name in nets for what, points in inputs.items() for way, change in ways.items()}
ranks = {key: effective_rank(s) for key, s in spectra.items()}
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{len(some):,} training images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained", width_ratios=[1, 1])
for (name, s), style in zip(counted.items(), ("-", "--", ":"), strict=True):
    axes[0].plot(range(1, len(s) + 1), (s / s[0]).clamp(min=1e-18).cpu(), ls=style, label=name)
axes[0].axvline(width, color="0.5", lw=1)
axes[0].axhline(1e-10, color="0.5", lw=1, ls=":")
axes[0].set(yscale="log", ylim=(1e-18, 3), xlabel="singular value, by rank", ylabel="size / largest")
axes[0].legend(fontsize="small", loc="upper right")
bars = list(nets)
for k, what in enumerate(inputs):
    axes[1].barh(np.arange(4) + 0.2 - 0.4 * k, [ranks[name, what, "maps"] for name in bars], 0.38, color=f"C{k}", label=what)
axes[1].set_yticks(range(4), [name.replace(", ", ",\n") for name in bars], fontsize="small")
axes[1].invert_yaxis()
axes[1].set(xlabel="effective rank")
axes[1].legend(fontsize="small")
report.figure(
    fig, name="fig-affine-cliff",
    caption=f"Left: all singular values of {len(some)} maps of the MLP, exact, from a backward pass in single precision, and from the Gram matrix of the exact ones; grey: the width of the first layer, and the tolerance. Right: effective ranks of {n_maps:,} maps.",
    alt=f"Left: the exact curve falls off a cliff at {rank_of(counted['exact'])}, to 1e-16; in single precision it lands on a shelf near 1e-8 and goes on to {len(some)}. Right: bars from {min(ranks[n, w, 'maps'] for n in nets for w in inputs):.0f} "
    f"to {max(ranks[n, w, 'maps'] for n in nets for w in inputs):.0f}; noise above images, untrained above trained.",
)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_maps:,} training images, and as many points of noise")
fig, axes = plt.subplots(2, 2, figsize=(7, 5), layout="constrained", sharex=True, sharey=True)
for row, way in zip(axes, ways, strict=True):
    for ax, name in zip(row, ("MLP", "convnet"), strict=True):
        for color, which in (("C0", name), ("C1", f"{name}, untrained")):
            for what, style in (("images", "-"), ("noise", "--")):
                s = spectra[which, what, way]
                ax.plot(range(1, len(s) + 1), (s / s[0]).clamp(min=1e-9).cpu(), ls=style, color=color, label=f"{what}{which[len(name):]}")
        ax.axvline(100, color="0.7", lw=1)
        ax.set(xscale="log", yscale="log", ylim=(1e-6, 2), title=f"{name}, {'maps' if way == 'maps' else 'Fourier magnitudes'}")
for ax in axes[1]:
    ax.set_xlabel("singular value, by rank")
for ax in axes[:, 0]:
    ax.set_ylabel("size / largest")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
report.figure(
    fig, name="fig-affine-spectra",
    caption="Singular values of the maps of one unit (above) and of the magnitudes of their two-dimensional Fourier transforms (below), at images and at noise, trained and untrained. Grey: the document's figures end here.",
    alt=f"All curves fall; above left they drop vertically at the width of the first layer, {width}, at the latest; below only after half of the pixels, and the first value is far above the rest. Above, untrained curves end over trained ones.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
d = x[0].numel()
of_images(f"{len(some):,} training images")
report.number("S6.2-svd-real/images", n_maps, tol=0)
report.number("S6.2-svd-real/pixels", d, tol=0)
report.number("S6.2-svd-real/exact-of", len(some), tol=0)
report.number("S6.2-svd-real/rank", rank_of(counted["exact"]), tol=30, agree=(0, width), label="numerical rank of exact maps, MLP", note="at most the width of the first layer, by the theorem")
report.number("S6.2-svd-real/inflated", rank_of(counted["single precision"]), tol=120, agree=(width + 1, d), label="the same in single precision", note="rounding does inflate this rank")
report.number("S6.2-svd-real/inflated-gram", rank_of(counted["by the Gram matrix"]), tol=120)
report.number("S6.2-svd-real/rank-loose", rank_of(counted["single precision"], 1e-5), tol=30)
report.number("S6.2-svd-real/rank-loose-exact", rank_of(counted["exact"], 1e-5), tol=30)
effective = {name: effective_rank(s) for name, s in counted.items()}
report.number("S6.2-svd-real/inflated-effective", abs(effective["single precision"] / effective["exact"] - 1), tol=1e-3, agree=(0.01, 1), label="effective rank: relative change by single precision",
              note="this one it does not inflate")
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def stable(s):
    """Return the stable rank."""
    return float(s.square().sum() / s[0].square())


of_images(f"{n_maps:,} training images")
shallow = models.mlp([width], len(learn.classes), input_shape=x.shape[1:], mean=pixel_mean, std=pixel_std, generator=torch.Generator().manual_seed(seed))
one_layer = affine.maps(shallow.eval(), inputs["noise"][:n_exact].cpu(), units=[unit]).weight.flatten(1)
report.number("S6.2-svd-noise/rank-one-layer", rank_of(torch.linalg.svdvals(one_layer)), tol=2, agree=(0, width), label="numerical rank of exact maps at noise, one hidden layer")
report.number("S6.2-svd-noise/points", n_maps, tol=0)
for (name, what, way), s in spectra.items():
    key = f"{name.lower().replace(', ', '-')}{'-fft' if way == 'magnitudes' else ''}"
    told = f"effective rank at {what}, {name}" if way == "maps" else None
    measured = {f"effective-{key}": (ranks[name, what, way], 0.3), f"stable-{key}": (stable(s), 0.9), f"hundredth-{key}": (float(s[99] / s[0]), 0.6)}
    for short, (value, spread) in measured.items():
        if what == "images":
            report.number(f"S6.2-svd-real/{short}", value, tol=max(spread * value, 0.01), label=told if short.startswith("e") else None)
        else:
            report.number(f"S6.2-svd-noise/{short}", value, tol=max(spread * value, 0.01), label=told if short.startswith("e") else None)
s = torch.linalg.svdvals(ways["magnitudes"](stacked.unflatten(1, x.shape[1:])).flatten(1))
report.number("S6.2-svd-real/rank-fft", rank_of(s), tol=10, label="numerical rank of Fourier magnitudes, exact maps, MLP", note="a magnitude is not linear: the width is no bound")
report.number("S6.2-svd-real/first-fft", float(s[0].square() / s.square().sum()), unit="share", tol=0.05)
# fmt: on

# %% [markdown]
r"""
**What to notice.** {glue:text}`S6.2-svd-real/exact-of` exact maps have rank {glue:text}`S6.2-svd-real/rank` (recorded {recorded}`S6.2-svd-real/exact-of` and {recorded}`S6.2-svd-real/rank`). The theorem allows at most the width of the first layer, and less where
units of that layer are off for all images. One hidden layer at noise has {glue:text}`S6.2-svd-noise/rank-one-layer` ({recorded}`S6.2-svd-noise/rank-one-layer`). In single precision the rank is {glue:text}`S6.2-svd-real/inflated`
({recorded}`S6.2-svd-real/inflated`), as many as there are maps: the study's suspicion is right. But what comes in is near $10^{-8}$ of the largest value: the effective rank changes by a relative {glue:text}`S6.2-svd-real/inflated-effective:.0e`
({recorded}`S6.2-svd-real/inflated-effective`). The hundredth value, where the study's figures end, is far above, at {recorded}`S6.2-svd-real/hundredth-mlp` of the largest in the recorded run. And beware of the Gram matrix: its eigenvalues are squares, so in double precision all singular values below about $10^{-8}$ of the largest are lost, and it "finds" a rank of
{glue:text}`S6.2-svd-real/inflated-gram` ({recorded}`S6.2-svd-real/inflated-gram`). We use it for curves of singular values only.

The effective rank of the MLP's maps is {glue:text}`S6.2-svd-real/effective-mlp:.0f` at images and {glue:text}`S6.2-svd-noise/effective-mlp:.0f` at noise, before training {glue:text}`S6.2-svd-real/effective-mlp-untrained:.0f` and
{glue:text}`S6.2-svd-noise/effective-mlp-untrained:.0f` (recorded {recorded}`S6.2-svd-real/effective-mlp`, {recorded}`S6.2-svd-noise/effective-mlp`, {recorded}`S6.2-svd-real/effective-mlp-untrained` and
{recorded}`S6.2-svd-noise/effective-mlp-untrained`). The width does not bound the convnet: {glue:text}`S6.2-svd-real/effective-convnet:.0f` at images ({recorded}`S6.2-svd-real/effective-convnet`). Training gathers the maps in fewer directions. The stable rank of the trained MLP is
{glue:text}`S6.2-svd-real/stable-mlp:.1f` ({recorded}`S6.2-svd-real/stable-mlp`): one direction outweighs the others, close to the mean map.

By "fft" we understand the magnitude of each map's Fourier transform, which forgets where something is. It is not linear, so the width is no bound: the rank of the same exact maps is {glue:text}`S6.2-svd-real/rank-fft`
({recorded}`S6.2-svd-real/rank-fft`). (At half of the pixels its curves end, too: a magnitude and its mirror image are equal.) And magnitudes are positive: their first direction alone has {glue:text}`S6.2-svd-real/first-fft:.0%` of the energy ({recorded}`S6.2-svd-real/first-fft`). {term}`Spectra <spectrum>` with and without "fft" must not be
compared; the study shows one of each, and its two captions name left and right the other way round.

## One map as a sum of others

Next the study writes the map of a held-out image as a sum of maps of {published}`S6.3-mp/dictionary` training images, its *dictionary*, by {term}`matching pursuit` {cite:p}`mallat-1993`: find the training map with the largest $|\cos|$, subtract the
projection, repeat with the remainder. It reports that {published}`S6.3-mp/few-steps` steps "approximate" {published}`S6.3-mp/after-10` of the initial map and {published}`S6.3-mp/many-steps` steps {published}`S6.3-mp/after-100`. It plots norms; as energy, the square, this is
{glue:text}`S6.3-mp/document-energy-10:.0%` and {glue:text}`S6.3-mp/document-energy-100:.0%`.
"""


# %%
def pursue(targets, atoms, n_steps, orthogonal=False):
    """Return the norm that is left after each step, for targets (q, d), and which atoms (n, d) were taken."""
    left, taken, sizes, basis = targets, [], [], []
    atoms = atoms / atoms.norm(dim=1, keepdim=True).clamp(min=1e-30)
    for _ in range(n_steps):
        best = (left @ atoms.mT).abs().argmax(1)
        atom = atoms[best]
        for _ in range(2 * orthogonal):  # twice, against rounding
            for old in basis:
                atom = atom - (atom * old).sum(1, keepdim=True) * old
        atom = atom / atom.norm(dim=1, keepdim=True).clamp(min=1e-30)
        basis.append(atom)
        left = left - (left * atom).sum(1, keepdim=True) * atom
        taken.append(best)
        sizes.append(left.norm(dim=1) / targets.norm(dim=1))
    return torch.stack(sizes, 1), torch.stack(taken, 1)


# %% [markdown]
r"""
A training map may be taken again and again. *Orthogonal* matching pursuit {cite:p}`pati-1993` projects on all that were taken so far. More ways to spend as many numbers: least squares on the maps of the images with the nearest
patterns; the first directions of a {term}`PCA` of the dictionary; and two dictionaries of *random* vectors, blind ones, and ones with the second moments of the true dictionary.

:::{admonition} Guess first
:class: tip
Take as many blind random vectors as the study has maps, in the {recorded}`S6.2-svd-real/pixels` dimensions of CIFAR-10. How much of the norm of some other vector do the ten best steps capture? And a hundred?
:::
"""

# %% tags=["hide-input"]
# fmt: off
COUNTS = sorted({k for k in (1, 2, 3, 5, 10, 20, 30, 50, 100) if k <= n_steps})


def maps_of(name, points):
    """Return maps of the units (units, n, d) in single precision."""
    return torch.cat([affine.maps(fast[name], b, units=units).weight.flatten(2).transpose(0, 1) for b in points.split(500)], dim=1)


def packed(name, points):
    """Return the ReLUs' bits of images."""
    found = [fast[name].pattern(b).packed() for b in points.split(500)]
    return bits.Packed(torch.cat([part.words for part in found]), found[0].n_bits)


def neighbourly(targets, atoms, near):
    """Return what least squares on the first k of the nearest atoms leave, for k in COUNTS."""
    left = []
    for k in COUNTS:
        A = atoms[near[:, :k]].mT  # (q, d, k)
        found = torch.linalg.lstsq(A.cpu(), targets[..., None].cpu(), driver="gelsd").solution.to(A)
        left.append((targets - (A @ found)[..., 0]).norm(dim=1) / targets.norm(dim=1))
    return torch.stack(left, 1)


store, queries = pixels(known)[:n_atoms], x[:n_queries]
# fmt: on


# %% tags=["hide-input"]
# fmt: off
def by_others(targets, atoms, near):
    """Return what is left of the norm when the targets are sums of other vectors than the atoms that pursuit takes."""
    basis = covariance.pca(covariance.moments(atoms), centred=False)
    blind = torch.randn(atoms.shape, generator=generator).to(atoms)
    kin = torch.randn(len(atoms), len(basis.variances), generator=generator).to(atoms)
    kin = (kin * basis.variances.sqrt().to(kin)) @ basis.components.mT.to(kin)
    along = (targets.double() @ basis.components[:, :n_steps]).square().cumsum(1) / targets.double().square().sum(1, keepdim=True)
    return {"orthogonal": pursue(targets, atoms, n_steps, True)[0], "nearest patterns": neighbourly(targets, atoms, near),
            "PCA": (1 - along).clamp(min=0).sqrt(), "random, same moments": pursue(targets, kin, n_steps)[0], "random": pursue(targets, blind, n_steps)[0]}


pursued = ("MLP", "convnet", "convnet, untrained")
dictionary, asked = ({name: maps_of(name, points) for name in pursued} for points in (store, queries))
captured, taken = {}, {}
for name in pursued:
    near = hamming.nearest(packed(name, queries), max(COUNTS), packed(name, store)).indices
    for targets, atoms in zip(asked[name], dictionary[name], strict=True):
        left, taken[name] = pursue(targets, atoms, n_steps)
        left = {"matching pursuit": left} | (by_others(targets, atoms, near) if name != "convnet, untrained" else {})
        for way, values in left.items():
            captured.setdefault((name, way), []).append(1 - values.double().cpu().numpy())
captured = {key: np.concatenate(values) for key, values in captured.items()}  # (units x queries, steps)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
first = int((look.labels[:n_queries] == units[1]).int().argmax())  # of the unit's own class, if there is one
atoms, target, steps = dictionary["convnet"][1], asked["convnet"][1, first], taken["convnet"][first, :4].cpu()
remainders, rest = [], target
for j in steps:
    rest = rest - (rest @ atoms[j]) / (atoms[j] @ atoms[j]) * atoms[j]
    remainders.append(rest)
of_images(f"{len(store):,} training images, {n_queries} held-out images")
fig = plt.figure(figsize=(7, 4.4))
axes = plots.grid(3, 5, figure=fig)
shaped = x.shape[1:]
plots.picture_row([look.images[first].numpy(), *(known.images[j].numpy() for j in steps)], axes=axes[0], label="image")
plots.picture_row([picture(target.view(shaped)), *(picture(atoms[j].view(shaped)) for j in steps)], axes=axes[1], label="its map")
plots.picture_row([None, *(picture(r.view(shaped)) for r in remainders)], axes=axes[2], label="remainder")
for spine in axes[2, 0].spines.values():
    spine.set_visible(False)
for ax, title in zip(axes[0], ["held-out", "step 1", "step 2", "step 3", "step 4"], strict=True):
    ax.set_title(title, fontsize="small")
report.figure(
    fig, name="fig-affine-atoms",
    caption=f"As in the document's figures 34 and 35: a held-out image, its map for the class {learn.classes[units[1]]} (convnet), the training images whose maps are taken in the first four steps, and what is left after each, every map on a scale of its own.",
    alt=f"A held-out image and its map; four training images, of which {int((known.labels[steps] == look.labels[first]).sum())} are of its class, with their maps; below, the remainders, which look ever more like noise. {float(rest.norm() / target.norm()):.0%} of the norm is left.",
)
# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_atoms:,} training images, {n_queries} held-out images")
fig, axes = plt.subplots(1, 2, figsize=(7, 4), layout="constrained", sharey=True)
styles = {"matching pursuit": ("C0", "-"), "orthogonal": ("C1", "-"), "nearest patterns": ("C2", "-."), "PCA": ("C4", "-."), "random, same moments": ("k", "--"), "random": ("k", ":")}
for ax, name in zip(axes, ("MLP", "convnet"), strict=True):
    found = {way: values for (net, way), values in captured.items() if net == name}
    for way, (color, style) in styles.items():
        steps = COUNTS if way == "nearest patterns" else range(1, n_steps + 1)
        ax.plot(steps, found[way].mean(0), color=color, ls=style, label=way)
    if name == "convnet":
        ax.plot(range(1, n_steps + 1), captured["convnet, untrained", "matching pursuit"].mean(0), color="0.5", label="pursuit, untrained")
    low, high = np.quantile(found["matching pursuit"], [0.1, 0.9], axis=0)
    ax.fill_between(range(1, n_steps + 1), low, high, color="C0", alpha=0.2, lw=0)
    ax.plot([10, 100], [0.09, 0.40], "*", ms=12, color="C3", mec="k", ls="none", label="document")
    ax.set(xscale="log", xlabel="steps, or maps", title=name, ylim=(0, 1.02))
axes[0].set_ylabel("share of the norm captured")
fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
report.figure(
    fig, name="fig-affine-pursuit",
    caption=f"How much of a held-out map other maps explain: means over {n_queries} images and two units; the band holds eight of ten (matching pursuit). Stars: the document.",
    alt=f"Curves rise with the steps. Matching pursuit reaches {captured['MLP', 'matching pursuit'][:, -1].mean():.2f} (MLP) and {captured['convnet', 'matching pursuit'][:, -1].mean():.2f} (convnet), close to random atoms with the same moments; blind random ones "
    f"{captured['convnet', 'random'][:, -1].mean():.2f}, below the document's star.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def with_interval(values):
    """Return the mean over queries and half its interval as a number's value and spread."""
    found = statistics.interval(values.reshape(len(units), -1).mean(0))
    return {"value": found.mean, "spread": float(found.sd), "n": found.n}


at = {10: 9, 100: n_steps - 1}
keys = {"matching pursuit": "", "orthogonal": "-omp", "nearest patterns": "-neighbours", "PCA": "-pca", "random, same moments": "-kin", "random": "-random"}
report.number("S6.3-mp/dictionary", n_atoms, tol=0)
report.number("S6.3-mp/queries", n_queries, tol=0)
prefixes = {"convnet": "", "MLP": "mlp-", "convnet, untrained": "untrained-"}
for (name, way), rows in captured.items():
    for steps, place in at.items():
        values = rows[:, COUNTS.index(min(COUNTS[-1], steps)) if way == "nearest patterns" else min(place, n_steps - 1)]
        told = {"label": f"norm captured {'by' if way == 'PCA' else 'in'} {steps} {'directions' if way == 'PCA' else 'steps'}, {name}, {way}"}
        told |= {"agree": 0.05, "note": "our maps have more in common"} if (name, way) == ("convnet", "matching pursuit") else {}
        key = f"{prefixes[name]}after-{steps}{keys[way]}"
        report.number(f"S6.3-mp/{key}", **with_interval(values), unit="share", tol=0.1, **told)
        if way == "matching pursuit":
            key = f"{prefixes[name]}energy-{steps}"
            report.number(f"S6.3-mp/{key}", float((1 - (1 - values)**2).mean()), unit="share", tol=0.1)
report.number("S6.3-mp/different", float(np.mean([len(set(row.tolist())) for row in taken["MLP"]])), tol=20)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for steps, share in ((10, 0.09), (100, 0.40)):
    report.number(f"S6.3-mp/document-energy-{steps}", 1 - (1 - share)**2, unit="share", tol=0)
    report.number(f"S6.3-mp/document-cosine-{steps}", math.sqrt(1 - (1 - share)**(2 / steps)), tol=0)
# the expected largest of 20,000 random cosines, from their law in 3072 dimensions
document = torch.randn(20_000, 3072, generator=torch.Generator().manual_seed(seed))
toss, _ = pursue(torch.randn(20, 3072, generator=torch.Generator().manual_seed(seed + 1)), document, 100)
for steps in (10, 100):
    report.number(f"S6.3-mp/document-random-{steps}", float(1 - toss[:, steps - 1].mean()), unit="share", tol=0.01)
best = float((1 - toss[:, 0].square()).sqrt().mean())
report.number("S6.3-mp/document-random-cosine", best, tol=0.01)
del document, dictionary, store
# fmt: on

# %% [markdown]
r"""
**What to notice.** {published}`S6.3-mp/dictionary` blind random vectors capture {glue:text}`S6.3-mp/document-random-10:.1%` of the norm in ten steps and {glue:text}`S6.3-mp/document-random-100:.0%` in a hundred. That is the scale for the study's
{published}`S6.3-mp/after-10` and {published}`S6.3-mp/after-100`: its typical $|\cos|$ over ten steps was {glue:text}`S6.3-mp/document-cosine-10:.2f`, and the best blind vector has {glue:text}`S6.3-mp/document-random-cosine:.2f` already.

Our maps have more in common. In the convnet ten steps capture {glue:text}`S6.3-mp/after-10:.0%` and a hundred {glue:text}`S6.3-mp/after-100:.0%` (recorded {recorded}`S6.3-mp/after-10` and {recorded}`S6.3-mp/after-100`), in the MLP
{glue:text}`S6.3-mp/mlp-after-10:.0%` and {glue:text}`S6.3-mp/mlp-after-100:.0%` ({recorded}`S6.3-mp/mlp-after-10` and {recorded}`S6.3-mp/mlp-after-100`). Of these three networks the untrained convnet comes nearest to the study, with
{glue:text}`S6.3-mp/untrained-after-10:.0%` and {glue:text}`S6.3-mp/untrained-after-100:.0%` ({recorded}`S6.3-mp/untrained-after-10` and {recorded}`S6.3-mp/untrained-after-100`).

But is this a decomposition into *maps*? Random vectors with the same second moments capture {glue:text}`S6.3-mp/after-10-kin:.0%` and {glue:text}`S6.3-mp/after-100-kin:.0%` in the convnet ({recorded}`S6.3-mp/after-10-kin` and
{recorded}`S6.3-mp/after-100-kin`). Nearly all of the success is in the second moments; that the atoms are maps adds little. Orthogonal pursuit captures {glue:text}`S6.3-mp/after-100-omp:.0%` in a hundred steps
({recorded}`S6.3-mp/after-100-omp`): the plain recipe wastes some. The maps of the hundred nearest patterns, which should know best, do worse than either, with {glue:text}`S6.3-mp/after-100-neighbours:.0%` ({recorded}`S6.3-mp/after-100-neighbours`). A PCA, with the same
hundred directions for all images, captures {glue:text}`S6.3-mp/after-100-pca:.0%` ({recorded}`S6.3-mp/after-100-pca`). In the MLP the hundred steps of the plain recipe take only {glue:text}`S6.3-mp/different:.0f` different maps ({recorded}`S6.3-mp/different`).

## How fast does the map turn?

Last, the study asks for the angle between the maps at $x$ and at $x + \epsilon$, with Gaussian noise of size $\sigma$ (pixels go from $-1$ to 1). It shows histograms and no law. There is one, and it needs no trials.

Inside a region the map does not move. It jumps where a unit $j$ changes sides. Let $A_j$ be the gradient of its {term}`pre-activation` $z_j$, and $g_j$ the derivative of $f$ by the output of its ReLU. One bit of one mask changes, so the jump is exactly
$\pm g_j A_j$. The boundary is $d_j = |z_j| / \lVert A_j\rVert$ away, and noise crosses it with probability $\Phi(-d_j / \sigma)$, as long as the unit stays affine. If jumps are small and add up like independent ones,

$$
\begin{gathered}
E[1 - \cos] \approx \sum_j \Phi\!\left(-\frac{d_j}{\sigma}\right) t_j , \\
t_j = \frac{g_j^2\,\lVert A_j^\perp\rVert^2}{2\,\lVert W\rVert^2} ,
\end{gathered}
$$

where $A_j^\perp$ is the part of $A_j$ at right angles to $W$. Margins are spread evenly near zero, so the sum grows like $\sigma$, and the angle like $\sqrt\sigma$.

There is a simpler law for random weights, in which all units count alike: $\cos \approx \prod_l (1 - p_l)$, where $p_l$ is the share of units of layer $l$ that change sides.

:::{admonition} Guess first
:class: tip
Noise of $\sigma = 10^{-3}$: by how many degrees does the map of a typical image turn? And is it different for images from which the network has learned?
:::
"""


# %%
def boundaries(net, network, x, unit):
    """Return for each unit of an MLP how far its boundary is, and by how much crossing it turns W (as 1 - cos)."""
    h, x, behind = x.requires_grad_(), x, []
    for layer in net:
        h = layer(h)
        if isinstance(layer, nn.ReLU):
            behind.append(h)
    W, *g = torch.autograd.grad(h[:, unit].sum(), [x, *behind])
    W, x, distances, turns = W.flatten(1), x.detach(), [], []
    for gate, back in zip(network.gates, g, strict=True):
        found = affine.maps(network, x, gate)
        A = found.weight.flatten(2)  # the gradients of the pre-activations (n, units, d)
        size, along = A.norm(dim=2), (A @ W[..., None])[..., 0] / W.norm(dim=1, keepdim=True)
        distances.append(found(x).abs() / size)
        turns.append(back**2 * (size**2 - along**2) / (2 * W.square().sum(1, keepdim=True)))
    return torch.stack(distances, 1), torch.stack(turns, 1)  # (n, layers, units)


# %% tags=["hide-input"]
# fmt: off
turned = {"held-out": x[:n_turned], "training": pixels(known)[:n_turned]}


def turn(name, x, sigma):
    """Return the angles between maps at x and at noisy images, in degrees, and which images keep their region."""
    y = x + sigma * pixel_std * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(device)
    before, after = (affine.maps(exact[name], part, units=[unit]) for part in (x, y))
    cosine = torch.cosine_similarity(before.weight.flatten(1), after.weight.flatten(1), dim=1).clamp(-1, 1)
    same = before.pattern.same(after.pattern)
    return torch.rad2deg(torch.where(same, 0, cosine.arccos())).cpu().numpy(), same.cpu().numpy()


angles, unchanged, laws = {}, {}, {}
for name in ("MLP", "MLP, untrained", "convnet"):
    for part, points in turned.items():
        found = [turn(name, points, sigma) for sigma in sigmas]
        angles[name, part], unchanged[name, part] = (np.array(each) for each in zip(*found, strict=True))
for name in ("MLP", "MLP, untrained"):
    blocks = [boundaries(double[name], exact[name], b.clone(), unit) for b in turned["held-out"].split(10)]
    distances, turns = (torch.cat(each) for each in zip(*blocks, strict=True))
    crossed = [torch.special.ndtr(-distances / (sigma * pixel_std)) for sigma in sigmas]
    laws[name] = {"jumps": [float((p * turns).sum((1, 2)).mean()) for p in crossed],
                  "flips": [float(1 - (1 - p.mean(2)).prod(1).mean()) for p in crossed],
                  "kept": [float(torch.log1p(-p).sum((1, 2)).exp().mean()) for p in crossed]}
# fmt: on


# %% tags=["hide-input"]
# fmt: off
def degrees(lost):
    """Return the angle whose cosine is 1 - lost."""
    return np.rad2deg(np.arccos(np.clip(1 - np.asarray(lost), -1, 1)))


def typical(values):
    """Return the angle of the mean cosine, for angles (sigmas, images) in degrees."""
    return degrees(1 - np.cos(np.deg2rad(values)).mean(1))


# fmt: on

# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_turned} held-out and {n_turned} training images")
fig, axes = plt.subplot_mosaic([["angles", "angles"], ["law", "kept"]], figsize=(7, 5.8), layout="constrained", height_ratios=[0.8, 1])
edges = np.linspace(0, np.quantile(angles["MLP", "held-out"][-1], 0.98), 40)
for sigma, color in ((0.01, "C0"), (0.1, "C1"), (1.0, "C2")):
    k = sigmas.index(sigma)
    axes["angles"].hist(angles["MLP", "training"][k], edges, density=True, alpha=0.35, color=color, label=f"σ = {sigma:g}")
    axes["angles"].hist(angles["MLP", "held-out"][k], edges, density=True, histtype="step", color=color, lw=1.5)
axes["angles"].set(yscale="log", xlabel="angle between the maps, degrees", ylabel="density")
axes["angles"].legend(fontsize="small")
for name, color, marker in (("MLP", "C0", "o"), ("MLP, untrained", "C1", "s"), ("convnet", "C2", "^")):
    some_turn = angles[name, "held-out"].max(1) > 0
    axes["law"].plot(np.array(sigmas)[some_turn], typical(angles[name, "held-out"])[some_turn], marker, color=color, ms=5, label=name)
    axes["kept"].plot(sigmas, unchanged[name, "held-out"].mean(1), marker, color=color, ms=5)
    if name in laws:
        axes["law"].plot(sigmas, degrees(laws[name]["jumps"]), color=color)
        axes["law"].plot(sigmas, degrees(laws[name]["flips"]), color=color, ls=":")
        axes["kept"].plot(sigmas, laws[name]["kept"], color=color)
axes["law"].set(xscale="log", yscale="log", xlabel="σ of the noise", ylabel="angle, degrees")
axes["law"].legend(fontsize="small")
axes["kept"].set(xscale="log", xlabel="σ of the noise", ylabel="share with an unchanged map")
report.figure(
    fig, name="fig-affine-angles",
    caption="Above: angles between the maps at an image and at the image with noise, MLP; filled: training images, lines: held-out ones. Below left: the angle of the mean cosine, measured (marks), predicted from margins and jumps (lines) and from flips alone (dotted). Right: images whose map has "
    "not changed at all.",
    alt=f"Above: hills that move right and widen as the noise grows, alike for both kinds of images. Below: marks on their lines, straight with slope one half at small noise, up to {typical(angles['MLP, untrained', 'held-out'])[-1]:.0f} degrees; on the right falling from {unchanged['MLP', 'held-out'][0].mean():.2f} to 0.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def slope(values):
    """Return by which power of sigma the angle grows, between 0.01 and 0.3."""
    inside = [k for k, sigma in enumerate(sigmas) if 0.009 < sigma < 0.31]
    return float(np.polyfit(np.log(np.array(sigmas)[inside]), np.log(values[inside]), 1)[0])


of_images(f"{n_turned} held-out images")
report.number("S6.4-angles/turned", n_turned, tol=0)
k = sigmas.index(0.1)
for name in ("MLP", "MLP, untrained", "convnet"):
    key, own = name.lower().replace(", ", "-"), angles[name, "held-out"]
    told = {"agree": 0.15, "theory": 0.5} if name in laws else {"note": "any window of a max-pooling can change, too"}
    report.number(f"S6.4-angles/slope-{key}", slope(typical(own)), tol=0.12, **told, label=f"power of sigma with which the angle grows, {name}")
    report.number(f"S6.4-angles/angle-{key}", float(typical(own)[k]), unit="degrees", tol=0.3 * typical(own)[k], label=f"angle of the mean cosine at sigma 0.1, {name}")
    report.number(f"S6.4-angles/unchanged-{key}", float(unchanged[name, "held-out"][sigmas.index(0.001)].mean()), unit="share", tol=0.1)
    if name in laws:
        small = [j for j, sigma in enumerate(sigmas) if 0.009 < sigma < 0.11]
        lost = 1 - np.cos(np.deg2rad(own))
        for law in ("jumps", "flips"):
            ratio = np.mean([lost[j].mean() / laws[name][law][j] for j in small])
            told = {"label": f"measured 1 - cos / predicted from margins and jumps, {name}", "agree": 0.25, "theory": 1} if law == "jumps" else {"label": f"measured 1 - cos / predicted from flips alone, {name}"}
            report.number(f"S6.4-angles/{law}-{key}", float(ratio), tol=0.35, **told)
        report.number(f"S6.4-angles/predicted-{key}", float(degrees(laws[name]["jumps"][k])), unit="degrees", tol=8)
        report.number(f"S6.4-angles/kept-error-{key}", float(np.abs(unchanged[name, "held-out"].mean(1) - laws[name]["kept"]).max()), unit="share", tol=0.05)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
for sigma, key in ((0.01, "small"), (0.1, "middle"), (1.0, "large")):
    a, b = (angles["MLP", part][sigmas.index(sigma)] for part in ("training", "held-out"))
    half = 1.96 * math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    report.number(f"S6.4-angles/difference-{key}", float(a.mean() - b.mean()), unit="degrees", tol=3, label=f"mean angle at sigma {sigma:g}, training less held-out, MLP" if key == "middle" else None)
    report.number(f"S6.4-angles/difference-{key}-interval", float(half), unit="degrees", tol=2)
# fmt: on

# %% [markdown]
r"""
**What to notice.** In the MLP the angle grows like $\sqrt\sigma$: the measured powers are {glue:text}`S6.4-angles/slope-mlp:.2f` and, untrained, {glue:text}`S6.4-angles/slope-mlp-untrained:.2f` (recorded {recorded}`S6.4-angles/slope-mlp` and
{recorded}`S6.4-angles/slope-mlp-untrained`). (The convnet, for which we have computed no law, has {glue:text}`S6.4-angles/slope-convnet:.2f`, recorded {recorded}`S6.4-angles/slope-convnet`.) But that is a law of means. With $\sigma = 10^{-3}$ the map of {glue:text}`S6.4-angles/unchanged-mlp:.0%` of the images has not turned at all ({recorded}`S6.4-angles/unchanged-mlp`): the typical answer to the guess is zero. The share of such images is
predicted, too, as the product of all $1 - \Phi(-d_j/\sigma)$, to within {glue:text}`S6.4-angles/kept-error-mlp:.1%` ({recorded}`S6.4-angles/kept-error-mlp`).

For small noise, $0.01 \le \sigma \le 0.1$, the measured $1 - \cos$ is {glue:text}`S6.4-angles/jumps-mlp:.2f` of what margins and jumps predict, {glue:text}`S6.4-angles/jumps-mlp-untrained:.2f` untrained (recorded {recorded}`S6.4-angles/jumps-mlp` and
{recorded}`S6.4-angles/jumps-mlp-untrained`). Nothing is fitted. The simpler law is good for random weights ({glue:text}`S6.4-angles/flips-mlp-untrained:.2f`, recorded {recorded}`S6.4-angles/flips-mlp-untrained`) and far off for trained ones
({glue:text}`S6.4-angles/flips-mlp:.2f`, recorded {recorded}`S6.4-angles/flips-mlp`). After training the units' contributions to $W$ agree in direction, so $W$ is long, and one unit more or less turns it little.

Of the two trained networks the convnet's maps turn more: almost no image keeps its map at $\sigma = 10^{-3}$, because any window of a max-pooling can change it, too. At $\sigma = 0.1$ the angle is {glue:text}`S6.4-angles/angle-convnet:.0f` degrees,
the MLP's {glue:text}`S6.4-angles/angle-mlp:.0f` ({recorded}`S6.4-angles/angle-convnet` and {recorded}`S6.4-angles/angle-mlp`), and before its training {glue:text}`S6.4-angles/angle-mlp-untrained:.0f` ({recorded}`S6.4-angles/angle-mlp-untrained`).

The study has one figure for training and one for validation images. At $\sigma = 0.1$ the mean angle of training images less that of held-out ones is {glue:text}`S6.4-angles/difference-middle:.2f` degrees, with an interval (two standard errors) of plus or minus
{glue:text}`S6.4-angles/difference-middle-interval:.2f` (recorded {recorded}`S6.4-angles/difference-middle` and {recorded}`S6.4-angles/difference-middle-interval`). A difference smaller than its
interval is none that we can tell from chance.

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**On a boundary.** We put each image on the first boundary in its random direction, in double precision. There the backward pass in single precision tosses a coin: for {glue:text}`S6.0-wx/boundary-wrong:.0%` of them it returns the map of the other region
(recorded {recorded}`S6.0-wx/boundary-wrong`).

**Flat areas.** Where an image is constant, all values of a pooling window are equal, and the image *lies* on boundaries. Images have 256 levels. We fill the gaps between them at random, in `pixels`.

**Large noise.** The law adds up crossings one by one. At $\sigma = 1$ the jumps of the untrained MLP are too many for that, and the true angle stays below the line.

**A norm that is still learning.** In train mode the output for one image depends on the whole batch, and no map belongs to it. `trace` refuses, and names the layer and what it takes:
"""

# %%
learning = models.mlp([8], input_shape=(1, 2, 2), normalization="batch").train()
try:
    piecewise.trace(learning, (1, 2, 2))
except ValueError as error:
    print(error)

# %% [markdown]
r"""
:::{admonition} What we learned
:class: important
- A ReLU network is one affine map a region, known exactly. Check it elsewhere in the region, not at $x$.
- "Noise" of the backward pass is rounding. A unit that changes sides is far larger, and rare; in a convnet the argmax counts, too.
- Trained maps are smoother than untrained ones, share much, and are poor classifiers of other images.
- Rounding inflates the numerical rank, and no other. "fft" takes the first layer's bound away.
- A decomposition means little before a random dictionary has been tried.
- A map turns in jumps. Margins and jumps predict the angle; for small noise its mean grows like the root of the noise.
:::

## Exercises

```{exercise}
:label: ex-affine-check
**A check that can fail** (5 minutes). The stub accepts every `W`. Use `moved`, points of the same regions, and reject the maps of other images.
```
"""


# %% tags=["exercise"]
network, own = exact["convnet"], W["convnet"]


def is_right(f, W, x, moved):
    """Say whether maps W (n, d) are those of f at images x; ``moved`` are points of the same regions."""
    b = f(x) - (W * x.flatten(1)).sum(1)
    return bool(((W * x.flatten(1)).sum(1) + b - f(x)).abs().max() < 1e-6)


def value_of(points):
    """Return the unit's value at points."""
    return network(points)[:, unit]


passed = is_right(value_of, own, x, moved) and not is_right(value_of, own.roll(1, 0), x, moved)
report.check("ex-affine-check", passed, "Compare at moved, with the same b.")


# %% tags=["solution"]
def is_right(f, W, x, moved):
    """Say whether maps W (n, d) are those of f at images x; ``moved`` are points of the same regions."""
    b = f(x) - (W * x.flatten(1)).sum(1)
    return bool(((W * moved.flatten(1)).sum(1) + b - f(moved)).abs().max() < 1e-6)


passed = is_right(value_of, own, x, moved) and not is_right(value_of, own.roll(1, 0), x, moved)
report.check("ex-affine-check", passed, "Compare at moved, with the same b.")

# %% [markdown]
r"""
```{exercise}
:label: ex-affine-bias
**The other half** (5 minutes). One hidden layer: $f(x) = \langle v, \max(0, A x + c)\rangle + e$. Return $W$ and $b$ of the region of $x$, both from the mask.
```
"""

# %% tags=["exercise"]
draw = torch.Generator().manual_seed(seed)
A, c, v, point = (torch.randn(*n, generator=draw) for n in ((9, 4), (9,), (9,), (4,)))
e = 0.3


def affine_map(A, c, v, e, x):
    """Return W (d,) and b of one hidden layer at x."""
    a = (A @ x + c > 0).float()
    return (v * a) @ A, e  # b is not right yet


def fits_at(W, b, x):
    """Say whether the map gives the value of the network."""
    return abs(float(W @ x + b) - float(v @ (A @ x + c).relu() + e)) < 1e-4


passed = fits_at(*affine_map(A, c, v, e, point), point)
report.check("ex-affine-bias", passed, "The mask acts on the biases of the hidden layer, too.")


# %% tags=["solution"]
def affine_map(A, c, v, e, x):
    """Return W (d,) and b of one hidden layer at x."""
    a = (A @ x + c > 0).float()
    return (v * a) @ A, (v * a) @ c + e


passed = fits_at(*affine_map(A, c, v, e, point), point)
report.check("ex-affine-bias", passed, "The mask acts on the biases of the hidden layer, too.")

# %% [markdown]
r"""
```{exercise}
:label: ex-affine-best
**The best of many** (5 minutes). Of $n$ random directions in $d$ dimensions, how large is the largest $|\cos|$ with a given vector? A single cosine is about Gaussian, with standard deviation $1/\sqrt d$.
```
"""


# %% tags=["exercise"]
def best_cosine(n, d):
    """Return about how large the best of n random cosines in d dimensions is."""
    return d**-0.5  # a typical one, not the best


given = {
    (20_000, 3072): best,
    (500, 100): float(
        torch.nn.functional.normalize(torch.randn(200, 500, 100, generator=draw), dim=2)[..., 0]
        .abs()
        .amax(1)
        .mean()
    ),
}
passed = all(abs(best_cosine(*size) / value - 1) < 0.2 for size, value in given.items())
report.check("ex-affine-best", passed, "The largest of n Gaussians is about sqrt(2 log n).")


# %% tags=["solution"]
def best_cosine(n, d):
    """Return about how large the best of n random cosines in d dimensions is."""
    return math.sqrt(2 * math.log(n) / d)


passed = all(abs(best_cosine(*size) / value - 1) < 0.2 for size, value in given.items())
report.check("ex-affine-best", passed, "The largest of n Gaussians is about sqrt(2 log n).")

# %% [markdown]
r"""
```{exercise}
:label: ex-affine-flips
**The share that flips** (8 minutes). Over images, $z$ is Gaussian with mean zero and standard deviation $s$. Noise adds an independent Gaussian with standard deviation $t$. How often does the sign change? (Think of two directions in a plane.)
```
"""


# %% tags=["exercise"]
def share_flipped(s, t):
    """Return the probability that z and z + noise have different signs."""
    return t / s  # grows without end


two = torch.randn(2, 100_000, generator=draw)
trials = {
    (1, t): float(((two[0] > 0) != (two[0] + t * two[1] > 0)).float().mean())
    for t in (0.1, 1.0, 5.0)
}
passed = all(abs(share_flipped(*pair) - share) < 0.01 for pair, share in trials.items())
report.check("ex-affine-flips", passed, "The angle between z and z + noise, divided by pi.")


# %% tags=["solution"]
def share_flipped(s, t):
    """Return the probability that z and z + noise have different signs."""
    return math.atan(t / s) / math.pi


passed = all(abs(share_flipped(*pair) - share) < 0.01 for pair, share in trials.items())
report.check("ex-affine-flips", passed, "The angle between z and z + noise, divided by pi.")

# %% [markdown]
r"""
## Go further

- Simonyan and colleagues {cite:p}`simonyan-2014` show such gradients as *saliency maps*, pictures of what a network looks at.
- Balduzzi and colleagues {cite:p}`balduzzi-2017` find that from input to input the gradients of deep untrained networks change like white noise.
- Balestriero and Baraniuk {cite:p}`balestriero-2018` write networks as splines, of which regions and local maps are the two halves.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
