# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-similarity)=
# Do images of one class draw together?

**Yes: from layer to layer the angle between two {term}`activations <activation>` tells better whether two images are of one class, in a trained network and not in an untrained
one. But a histogram of counts for one image hides it, and a fifth of the classes is no sample.**

```{figure} ../results/real/05_similarity/fig-similarity-depth.webp
:name: fig-similarity-hero
:alt: Two panels of curves over nine layers. The curves of the trained network climb towards the end, the untrained one stays flat.

What you will be able to draw: how well the angle between two activations tells whether they belong to one class, layer by layer. The bands hold eight of ten
reference images. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Compare activations by {term}`cosine similarity`, and say what the mean of a layer does to it.
- Turn histograms into numbers with a scale: {term}`AUROC`, {term}`d' <d-prime>` and {term}`precision at k`.
- Tell a sample that represents the classes from one that does not.
- Know what a random projection keeps, before you praise {term}`PCA` for it.
- Let stored activations vote, as the team's LESCI layer does, and judge the vote.

**You need** the chapter [](#ch-embeddings) or some PyTorch. **Time:** 25 minutes to read, one minute to run. **Document:** the second half of a wiki page of a team
in the Adversarial Vision Challenge {cite:p}`avc-wiki-activations`, "Cosine Similarity", and the team's code {cite:p}`denk-2018`. **Data:** shapes that
`actlib` draws; in the recorded run a part of Tiny ImageNet {cite:p}`le-2015`.
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
# images of each kind that are compared, and references among them
n_look, n_references = 1000, 200
n_orders, n_bases = 4, 5

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    capture,
    checkpoints,
    compress,
    covariance,
    data,
    models,
    plots,
    preactivation,
    report,
    similarity,
    statistics,
    train,
)
from torch import nn
from torch.optim.swa_utils import update_bn

report.start("05_similarity", profile=profile, seed=seed, device=device)
rng = np.random.default_rng(seed)

# %% [markdown]
r"""
## The network and its images

The team looked at a ResNet-50 that had been trained to be robust {cite:p}`kannan-2018` on {published}`A5-cosine-block3/classes` classes. Its weights are made for another library,
so a smaller {term}`residual network` stands in {cite:p}`he-2016-identity`, the one of [](#ch-compression). It is trained in the usual way, not to be robust. On this page it learns {glue:text}`A5-cosine-block3/classes`
classes of drawn shapes from {glue:text}`A5-cosine-block3/images:,` images; in the recorded run {recorded}`A5-cosine-block3/classes` classes of Tiny ImageNet from
{recorded}`A5-cosine-block3/images` photographs.
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


recipe = {"epochs": epochs, "learning_rate": learning_rate, "weight_decay": weight_decay}
recipe |= {"schedule": "onecycle", "augment": augment, "precision": precision}
images, labels = learn.images.to(device), learn.labels.to(device)
result = checkpoints.load_or_fit("geometry-network", build, images, labels, seed=seed, **recipe)
net = result.model


# %%
seen = held_out.sample(min(n_look, len(held_out.labels)), seed)
known = learn.sample(min(n_look, len(learn.labels)), seed)
blank = build(torch.Generator().manual_seed(seed)).to(device)
# an untrained network gets the statistics of its BatchNorms from images of all classes at once
update_bn([models.prepare(blank, known.images)], blank)
right = train.predict(net, learn.images).cpu() == learn.labels


def block3(network, images):
    """Return what the third block gives, its maps averaged down to 4 x 4 positions: (n, d)."""
    cut = [name for name, _ in network.named_children()].index("layer3") + 1
    return train.logits(
        nn.Sequential(network[:cut], nn.AdaptiveAvgPool2d(4), nn.Flatten()), images
    )


stored = block3(net, learn.images)
x = block3(net, seen.images)

# %% tags=["remove-cell"]
GIVEN = "the robust ResNet-50"
stand_in = GIVEN if colour == "tiny-imagenet" else f"Tiny ImageNet and {GIVEN}"
trained_on = f"network trained on {len(learn.labels):,} images of {len(learn.classes)} classes"


def source(what):
    """Say where the numbers that follow come from."""
    report.source(f"{colour}, {what}; {trained_on}", stand_in=stand_in)


# fmt: off
source(f"{len(held_out.labels):,} held-out images")
accuracy = train.accuracy(net, held_out.images, held_out.labels.to(device))
report.number("A5-cosine-block3/training", sum(result.history.seconds), unit="seconds", tol=1e9)
report.number("A5-cosine-block3/accuracy", accuracy, unit="share", tol=0.03, spread=(accuracy * (1 - accuracy) / len(held_out.labels))**0.5,
              label="accuracy of the network on held-out images", n=len(held_out.labels))
report.number("A5-cosine-block3/right", float(right.float().mean()), unit="share", tol=0.03)
report.number("A5-cosine-block3/n-right", int(right.sum()), tol=0.03 * len(right), label="training images that are classified correctly")
report.number("A5-cosine-block3/classes", len(learn.classes), tol=0)
report.number("A5-cosine-block3/images", len(learn.labels), tol=0)
report.number("A5-cosine-block3/held-out", len(seen.labels), tol=0)
report.number("A5-cosine-block3/size", x.shape[1], tol=0)
# fmt: on

# %% [markdown]
r"""
The network classifies {glue:text}`A5-cosine-block3/accuracy:.1%` of the held-out images correctly (recorded {recorded}`A5-cosine-block3/accuracy`) and
{glue:text}`A5-cosine-block3/right:.1%` of its training images (recorded {recorded}`A5-cosine-block3/right`). Every held-out image in this chapter is one that it has not learned.

## The document's picture

Flatten what a layer gives for an image into one vector. Two images are similar, for this layer, if their vectors $u$ and $v$ point the same way:

$$
\cos(u, v) = \frac{\langle u, v\rangle}{\lVert u\rVert\,\lVert v\rVert} .
$$

The document takes its {published}`A5-cosine-block3/images` training images that are classified correctly, picks one of them, the *reference*, and draws two histograms of its
cosine with all of them in block 3: blue for all images, red for those of its
class. (In our figures the class is orange; the text keeps the document's word *red*.)

In this chapter "block 3" is the third of four blocks. The document's maps have 2 x 2 positions there. Ours are larger in the recorded run, so we average them down to 4 x 4. The slider
further down shows the same layer without this averaging, under the name `layer3`.

:::{admonition} Guess first
:class: tip
If block 3 knows the classes, where is the red histogram, and how high is it beside the blue one?
:::
"""

# %%
kept, kept_labels = stored[right.to(device)], learn.labels[right]
reference = 3  # the fourth, as in the document's script
cosines = similarity.cosine(kept[[reference]], kept).values[0].cpu().numpy()
same = (kept_labels == kept_labels[reference]).numpy()

# %% tags=["hide-input"]
source(f"{len(kept):,} training images classified correctly")
edges = np.arange(np.floor(100 * cosines.min()), 102) / 100
blue, red = np.histogram(cosines, edges)[0], np.histogram(cosines[same], edges)[0]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
for ax, top in zip(axes, (blue.max(), red.max()), strict=True):
    ax.stairs(blue, edges, fill=True, alpha=0.7, label="all images")
    ax.stairs(red, edges, fill=True, color="C1", label="its class")
    ax.set(xlabel="cosine with the reference", ylim=(0, 1.08 * top))
axes[0].set(ylabel="images in a bin of 0.01", ylim=(0, 1.4 * blue.max()))
axes[0].legend(loc="upper left", fontsize="small")
axes[1].set_title("the same, magnified", fontsize="small")
report.figure(
    fig,
    name="fig-similarity-document",
    caption="The document's histogram on our data: the cosine of one training image with all that the network classifies correctly, in block 3. "
    "The reference itself is among them, at the right end.",
    alt=f"Left: a blue hill of {len(cosines):,} images up to {blue.max():,} a bin; the red one of {same.sum():,} reaches {red.max():,}. Right, magnified "
    f"to the red one: its median is {np.median(cosines[same]):.2f}, that of all {np.median(cosines):.2f}.",
)

# %% tags=["remove-cell"]
# fmt: off
other = np.histogram(cosines[~same], edges)[0]
report.number("A6-zoom/height", red.max() / blue.max(), tol=0.3, agree=(0, 0.5), label="highest red bar / highest blue bar, as counts",
              note="low: the red is lost, hence the zoom")
report.number("A6-zoom/height-shares", float((red.max() / red.sum()) / (other.max() / other.sum())), tol=1,
              label="the same, each as shares of its kind")
report.number("A6-zoom/red", float(same.mean()), unit="share", tol=0.05)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Red and blue are *counts*. Only {glue:text}`A6-zoom/red:.1%` of the images are of the class (recorded {recorded}`A6-zoom/red`; one in two hundred with the document's
{published}`A5-cosine-block3/classes` classes), so the highest red bar has {glue:text}`A6-zoom/height:.2f` times the height of the highest blue one (recorded
{recorded}`A6-zoom/height`). The document has to magnify its picture, and so do we. As shares of their kind the two are of like height: the ratio is
{glue:text}`A6-zoom/height-shares:.2f` (recorded {recorded}`A6-zoom/height-shares`). Four more things tilt the picture:

- The blue bars contain the red ones, and the reference itself, with a cosine of one.
- The images are those from which the network learned, and only its successes.
- All vectors share a large mean, which pushes all cosines up.
- It is one image. Another one may give another picture.

## Two hundred references

So we take {glue:text}`A5-cosine-block3/references` references, each class with its share, among {glue:text}`A5-cosine-block3/held-out:,` held-out images. Each is compared with all others
but itself, those of its class apart from those of other classes.
"""


# %%
def stratified(labels, n, rng):
    """Return the places of n images, each class with its share."""
    shuffled = torch.as_tensor(rng.permutation(len(labels)))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    return by_class[torch.arange(n) * len(labels) // n].sort().values


def separation(x, labels, references, **options):
    """Return how well the cosine to each of some references tells its class from the others."""
    own = {"reference_indices": references, **options}
    return similarity.separation(x[references], labels[references], x, labels, **own)


references = stratified(seen.labels, min(n_references, len(seen.labels) // 2), rng)
mean = stored.mean(0)
raw = separation(x, seen.labels, references)
centred = separation(x, seen.labels, references, mean=mean)

# %% [markdown]
r"""
A histogram is not yet a number. Take one image of the class of the reference and one of another class: how often is the first the more similar one? That is the
{term}`AUROC`, exact and without bins; a half is chance. {term}`d' <d-prime>` measures the distance of the two hills in units of their width, and the {term}`precision at k` asks only for the k
most similar.
"""


# %% tags=["hide-input"]
def densities(x, labels, references, mean=None, n_bins=50):
    """Return the middle of the bins, and for each reference the densities of its class and of the others."""
    own = {"reference_indices": references, "mean": mean, "n_bins": n_bins}
    found = similarity.histograms(x[references], labels[references], x, labels, **own)
    edges = found.edges.cpu().numpy()
    width = edges[1] - edges[0]
    kinds = [counts.double().cpu().numpy() for counts in (found.same, found.different)]
    return edges[:-1] + width / 2, [
        counts / counts.sum(1, keepdims=True) / width for counts in kinds
    ]


def draw_densities(ax, x, labels, references, mean=None):
    """Draw the mean density of both kinds over references, with the range of most of them."""
    middle, (same, other) = densities(x, labels, references, mean)
    for rows, name, color in ((other, "other classes", "C0"), (same, "its class", "C1")):
        ax.plot(middle, rows.mean(0), color=color, label=name)
        low, high = np.quantile(rows, [0.1, 0.9], axis=0)
        ax.fill_between(middle, low, high, color=color, alpha=0.2, lw=0)
    shown = middle[(same.mean(0) > 0.02) | (other.mean(0) > 0.02)]
    ax.set(xlim=(shown.min() - 0.02, shown.max() + 0.02), xlabel="cosine", ylim=(0, None))


# %% tags=["hide-input"]
source(f"{len(seen.labels):,} held-out images, {len(references)} references")
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained")
for ax, title, given in zip(axes, ["as it is", "less the mean"], [None, mean], strict=True):
    draw_densities(ax, x, seen.labels, references, given)
    ax.set_title(title, fontsize="small")
axes[0].set_ylabel("density")
axes[0].legend(fontsize="small", loc="upper left")
report.figure(
    fig,
    name="fig-similarity-densities",
    caption=f"Cosines in block 3 as densities, of held-out images: lines are means over {len(references)} references of all classes, the bands hold eight of "
    "ten references. Left: the activations as they are. Right: less the mean of all training images.",
    alt=f"Two overlapping hills in each panel; that of the same class lies further right, with a wider band. AUROC {float(raw.auroc.mean()):.2f} as it is, "
    f"{float(centred.auroc.mean()):.2f} less the mean.",
)

# %%
blank_x = block3(blank, seen.images)
shuffled = seen.labels[torch.as_tensor(rng.permutation(len(seen.labels)))]
pixels = seen.images.flatten(1).to(device) / 255
controls = {
    "trained": raw,
    "untrained": separation(blank_x, seen.labels, references),
    "pixels": separation(pixels, seen.labels, references),
    "labels shuffled": separation(x, shuffled, references),
}

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
rows = {name: found.auroc.cpu().numpy() for name, found in controls.items()}
plots.distributions(rows, ax=ax, xlabel="AUROC of one reference")
ax.axvline(0.5, color="0.5", lw=1, ls="--")
report.figure(
    fig,
    name="fig-similarity-references",
    caption=f"A dot for each of {len(references)} references: how often an image of its class is more similar to it than one of another class. Black bars are "
    "medians, the dashed line is chance.",
    alt=f"Four rows of dots. Trained: median at {np.median(rows['trained']):.2f}, single references from {rows['trained'].min():.2f} to "
    f"{rows['trained'].max():.2f}. Untrained, pixels and shuffled labels: clouds around {np.median(rows['untrained']):.2f}, "
    f"{np.median(rows['pixels']):.2f} and {np.median(rows['labels shuffled']):.2f}.",
)


# %% tags=["remove-cell"]
def over_references(values):
    """Return mean and spread over references as a number's value and spread."""
    values = values.cpu().numpy()
    values = values[np.isfinite(values)]
    return {"value": float(values.mean()), "spread": float(values.std(ddof=1)), "n": len(values)}


def above(found):
    """Return for which share of references the own class is the more similar one."""
    return float((found.auroc > 0.5).double().mean())


# fmt: off
hit = train.predict(net, seen.images).cpu() == seen.labels
hit &= torch.bincount(seen.labels[hit], minlength=len(seen.classes))[seen.labels] > 1  # with somebody to be compared with
success = separation(x[hit.to(device)], seen.labels[hit], torch.arange(int(hit.sum())), k=(1,))
report.number("A5-cosine-block3/only-right", **over_references(success.auroc), tol=0.13)
report.number("A5-cosine-block3/spread", float(raw.auroc.std()), tol=0.06)
report.number("A5-cosine-block3/references", len(references), tol=0)
report.number("A5-cosine-block3/auroc", **over_references(raw.auroc), tol=0.13, agree=(0.6, 1),
              label="AUROC in block 3, held-out images", note="images of the class of a reference are more similar to it; one half is chance")
report.number("A5-cosine-block3/centred", **over_references(centred.auroc), tol=0.13, agree=(0.6, 1), label="the same, less the mean")
report.number("A5-cosine-block3/d-prime", **over_references(raw.d_prime), tol=0.8, label="d' in block 3, held-out images")
for name, found in list(controls.items())[1:]:
    report.number(f"A5-cosine-block3/{name.replace(' ', '-')}", **over_references(found.auroc), tol=0.03)
for k, column in zip((1, 10, 100), raw.precision.T, strict=True):
    report.number(f"A5-cosine-block3/precision-{k}", float(column.mean()), unit="share", tol=0.15)
report.number("A6-zoom/right", above(raw), unit="share", tol=0.14, agree=(0.8, 1), label="references with the red on the right of the others",
              note="a single picture, magnified, tells the direction")
for name, found in list(controls.items())[1:]:
    report.number(f"A6-zoom/right-{name.replace(' ', '-')}", above(found), unit="share", tol=0.15)
# fmt: on

# %% [markdown]
r"""
**What to notice.** As densities, the two hills can be compared, and the same class lies further right: the document is right. In block 3 the AUROC is
{glue:text}`A5-cosine-block3/auroc:.2f` (recorded {recorded}`A5-cosine-block3/auroc`), and {glue:text}`A5-cosine-block3/centred:.2f` once the mean of the training images is taken off
(recorded {recorded}`A5-cosine-block3/centred`). The mean moves all cosines to the right; what it takes away from the separation is small. The three controls stand at
{glue:text}`A5-cosine-block3/untrained:.2f` for the untrained network, {glue:text}`A5-cosine-block3/pixels:.2f` for pixels and
{glue:text}`A5-cosine-block3/labels-shuffled:.2f` for shuffled labels (recorded {recorded}`A5-cosine-block3/untrained`, {recorded}`A5-cosine-block3/pixels` and
{recorded}`A5-cosine-block3/labels-shuffled`). Photographs of one class are a little alike as pixels already, and an untrained network hands that on.

A single picture still says little about *how far* they are apart: over the references the AUROC has a standard deviation of {glue:text}`A5-cosine-block3/spread:.2f`
(recorded {recorded}`A5-cosine-block3/spread`). It tells the direction, though: for {glue:text}`A6-zoom/right:.0%` of the references the red hill is the right one (recorded {recorded}`A6-zoom/right`), for
{glue:text}`A6-zoom/right-labels-shuffled:.0%` with shuffled labels ({recorded}`A6-zoom/right-labels-shuffled`).

The document looks only at images that are classified correctly. Among our held-out ones this alone would raise the AUROC to
{glue:text}`A5-cosine-block3/only-right:.2f` (recorded {recorded}`A5-cosine-block3/only-right`).

The most similar image is of the class for {glue:text}`A5-cosine-block3/precision-1:.0%` of the references, of the ten most similar {glue:text}`A5-cosine-block3/precision-10:.0%` are, of the
hundred most similar {glue:text}`A5-cosine-block3/precision-100:.0%` (recorded {recorded}`A5-cosine-block3/precision-1`, {recorded}`A5-cosine-block3/precision-10` and
{recorded}`A5-cosine-block3/precision-100`; chance is one in ten here and one in twenty there, and no class has as many as a hundred others, so the last number cannot reach one, and in the recorded run not even a half).

## Layer by layer

"The histograms clearly show the gain of 'classification information' with increasing depth", says the document of the same picture for each layer.
Ours are the image (`input`), the first convolution (`conv1`), the four blocks (`layer1` to `layer4`), the last {term}`ReLU` (`relu`), the mean of each map (`flatten`) and the logits (`fc`).

:::{admonition} Guess first
:class: tip
Draw two curves of the AUROC, from the image to the logits: for the trained network, and for the same network before training. Do both rise?
:::
"""

# %%
layers = [name for name in preactivation.BASELINE_LAYERS.values() if name != "normalize"]


def along(network, part, references):
    """Return the separation of each layer, as it is and less the mean, and densities for the slider."""
    found = capture.collect(network, part.images, layers, progress=False)
    plain, less_mean, curves = {}, {}, {}
    for name in layers:
        x = torch.as_tensor(found.pop(name)).flatten(1).to(device)
        plain[name] = separation(x, part.labels, references)
        less_mean[name] = separation(x, part.labels, references, mean=x.mean(0))
        curves[name] = densities(x, part.labels, references)
    return plain, less_mean, curves


known_references = stratified(known.labels, len(references), rng)
trained, trained_centred, curves = along(net, seen, references)
flattered, _, _ = along(net, known, known_references)
untrained, _, _ = along(blank, seen, references)


# %% tags=["hide-input"]
def mean_of(values):
    """Return the mean over the references for which there is a value."""
    return float(values[values.isfinite()].mean())


frames = []
for name, (middle, (same, other)) in curves.items():
    auroc, d_prime, precision = (
        trained[name].auroc.mean(),
        mean_of(trained[name].d_prime),
        trained[name].precision.mean(0),
    )
    frames.append(
        report.Frame(
            name,
            f"{name}: densities of the cosine, other classes highest at {middle[other.mean(0).argmax()]:.2f}, the same class at "
            f"{middle[same.mean(0).argmax()]:.2f}; AUROC {auroc:.2f}.",
            curves={
                "other classes": (middle, other.mean(0)),
                "same class": (middle, same.mean(0)),
            },
            note=f"AUROC {auroc:.3f} ({trained_centred[name].auroc.mean():.3f} less the mean), d' {d_prime:.2f}; of the class: "
            f"{precision[0]:.0%} of the nearest, {precision[1]:.0%} of the 10 nearest",
        )
    )

# %% tags=["hide-input"]
source(f"{len(seen.labels):,} held-out images, {len(references)} references")
report.frames(
    frames,
    name="fig-similarity-layers",
    caption=f"Cosines in each layer of the trained network as densities, means over {len(references)} references. Move the slider from the image to the logits.",
    start=layers.index("layer3"),
    xlabel="cosine",
    ylabel="density",
)

# %% tags=["hide-input"]
lines = {"held-out": trained, "training": flattered, "untrained": untrained}
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3))
for ax, what, title in zip(axes, ("auroc", "d_prime"), ("AUROC", "d'"), strict=True):
    values = {
        name: [mean_of(getattr(found[layer], what)) for layer in layers]
        for name, found in lines.items()
    }
    plots.steps(layers, values, ax=ax, ylabel=title)
    for color, found in zip(("C0", "C2"), (trained, untrained), strict=True):
        ends = np.array(
            [np.nanquantile(getattr(found[layer], what).cpu(), [0.1, 0.9]) for layer in layers]
        )
        ax.fill_between(range(len(layers)), *ends.T, color=color, alpha=0.2, lw=0)
axes[0].axhline(0.5, color="0.5", lw=1, ls="--")
axes[1].legend(fontsize="small")
fig.tight_layout()
report.figure(
    fig,
    name="fig-similarity-depth",
    caption="Separation of the classes by the cosine, from the image to the logits. Lines are means over the references, the bands hold eight of ten of them "
    "(held-out and untrained). The dashed line is chance.",
    alt=f"Trained, the AUROC climbs from {float(trained['input'].auroc.mean()):.2f} to {float(trained['fc'].auroc.mean()):.2f} on held-out images and to "
    f"{float(flattered['fc'].auroc.mean()):.2f} on training images; d' climbs up to the last layers. Untrained, both stay flat, the AUROC at most at {max(float(a.auroc.mean()) for a in untrained.values()):.2f}.",
)


# %% tags=["remove-cell"]
def order(found, what="auroc"):
    """Return the rank correlation of depth and separation."""
    return statistics.spearman(
        np.arange(len(layers)),
        np.array([mean_of(getattr(found[layer], what)) for layer in layers]),
    )


# fmt: off
report.number("A7-cosine-all-layers/order", order(trained), tol=0.1, agree=(0.85, 1), label="rank correlation of depth and AUROC",
              note="one: every layer separates more than the one before")
report.number("A7-cosine-all-layers/order-d-prime", order(trained, "d_prime"), tol=0.15, label="rank correlation of depth and d'")
report.number("A7-cosine-all-layers/order-untrained", order(untrained), tol=2, label="the same of AUROC, untrained")
gained = float((trained["fc"].auroc - trained["input"].auroc).mean())
report.number("A7-cosine-all-layers/gain", gained, tol=0.05, agree=(0.15, 0.5), label="AUROC at the end less AUROC of the image")
report.number("A7-cosine-all-layers/gain-untrained", float((untrained["fc"].auroc - untrained["input"].auroc).mean()), tol=0.03)
for name in layers:
    tol = {"layer2": 0.18, "layer3": 0.13}.get(name, 0.04)  # over seeds, the middle of the network varies most
    report.number(f"A7-cosine-all-layers/{name}", **over_references(trained[name].auroc), tol=tol)
    report.number(f"A7-cosine-all-layers/{name}-centred", **over_references(trained_centred[name].auroc), tol=tol)
    report.number(f"A7-cosine-all-layers/{name}-untrained", **over_references(untrained[name].auroc), tol=0.04)
    report.number(f"A7-cosine-all-layers/{name}-nearest", float(trained[name].precision[:, 0].mean()), unit="share", tol=0.15)
report.number("A7-cosine-all-layers/largest-d-prime", max(mean_of(found.d_prime) for found in trained.values()), tol=1)
source(f"{len(known.labels):,} training images, {len(references)} references")
for name in layers:
    report.number(f"A7-cosine-all-layers/{name}-training", **over_references(flattered[name].auroc), tol=0.16)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The separation grows with depth: the rank correlation of depth and AUROC is {glue:text}`A7-cosine-all-layers/order:.2f`, and the AUROC gains
{glue:text}`A7-cosine-all-layers/gain:.2f` from the image to the logits (recorded {recorded}`A7-cosine-all-layers/order` and {recorded}`A7-cosine-all-layers/gain`). The rank correlation asks only whether the values come in the right order: one means that the
AUROC grows at every step, however little. Even the small ups and downs of the untrained network give {glue:text}`A7-cosine-all-layers/order-untrained:.2f` (recorded
{recorded}`A7-cosine-all-layers/order-untrained`). So look at the gain, too. From the image to the logits the AUROC of the untrained network changes by
{glue:text}`A7-cosine-all-layers/gain-untrained:.1g` (recorded {recorded}`A7-cosine-all-layers/gain-untrained`). In between, on photographs, it rises a little, to
{recorded}`A7-cosine-all-layers/layer2-untrained` in `layer2`, and falls back: almost all of the separation is learned, not a property of depth. On drawn shapes the
first layers gain nothing, on photographs every block gains something. Drawn shapes gain most in blocks 3 and 4, photographs in block 4. After `flatten` nothing more is
gained; on this page d' even falls at the logits.

Training images flatter. At the logits they reach {glue:text}`A7-cosine-all-layers/fc-training:.3f` where held-out ones reach {glue:text}`A7-cosine-all-layers/fc:.3f` (recorded
{recorded}`A7-cosine-all-layers/fc-training` and {recorded}`A7-cosine-all-layers/fc`). In the early layers there is no such difference: what they do serves all images alike.

Does a low AUROC mean that a layer knows nothing of the classes? No. In `layer2` it is {glue:text}`A7-cosine-all-layers/layer2:.2f` on this page, yet for
{glue:text}`A7-cosine-all-layers/layer2-nearest:.0%` of the references the *one* most similar image is of the class (for pixels {glue:text}`A7-cosine-all-layers/input-nearest:.0%`). A class
may be many small groups that point in different ways. The histograms ask whether it is *one* group, and that is what grows. (Recorded, with photographs:
{recorded}`A7-cosine-all-layers/layer2`, {recorded}`A7-cosine-all-layers/layer2-nearest` and {recorded}`A7-cosine-all-layers/input-nearest`.)

## Is a fifth of the classes a sample?

For "all layers" the document takes {published}`A7-cosine-all-layers/images` training images. The team's code reads the files in order, and the files are sorted by class; if it
took the first ones, these are forty of the {published}`A5-cosine-block3/classes` classes, all images of each. We do the same with
held-out images: the first {glue:text}`A7-cosine-all-layers/sample-classes` of our
classes (recorded: {recorded}`A7-cosine-all-layers/sample-classes`), and for comparison all fifths, when the classes are
shuffled and cut into five, and each time a {term}`stratified sample` of all classes, of the same size.

:::{admonition} Guess first
:class: tip
Does the AUROC change when four of five classes are missing? In which direction?
:::
"""


# %%
def of_sample(x, labels, places):
    """Return the AUROC of a sample in which each image is a reference once."""
    every = torch.arange(len(places))
    return float(separation(x[places], labels[places], every, k=(1,)).auroc.mean())


few = max(2, len(seen.classes) // 5)
first = (seen.labels < few).nonzero()[:, 0]
n_classes = len(seen.classes)
orders = [rng.permutation(n_classes) for _ in range(n_orders)]
fifths = [order[k : k + few] for order in orders for k in range(0, n_classes - few + 1, few)]
samples = {
    "the first classes": [first],
    "random classes": [
        torch.isin(seen.labels, torch.as_tensor(kinds)).nonzero()[:, 0] for kinds in fifths
    ],
    "all classes": [stratified(seen.labels, len(first), rng) for _ in fifths],
}
last = train.logits(net[:-1], seen.images)  # after the global average pooling
by_sample = {
    name: {
        kind: np.array([of_sample(space, seen.labels, p) for p in places])
        for kind, places in samples.items()
    }
    for name, space in {"block 3": x, "flatten": last}.items()
}
every = {
    "block 3": of_sample(x, seen.labels, torch.arange(len(x))),
    "flatten": of_sample(last, seen.labels, torch.arange(len(x))),
}

# %% tags=["hide-input"]
source(f"{len(first)} of {len(seen.labels):,} held-out images in each sample")
fig, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained", sharey=True)
for ax, (name, rows) in zip(axes, by_sample.items(), strict=True):
    plots.distributions(rows, ax=ax, xlabel=f"AUROC, {name}")
    ax.axvline(every[name], color="0.5", lw=1, ls="--")
report.figure(
    fig,
    name="fig-similarity-sample",
    caption=f"The AUROC in samples of {len(first)} images: those of the first {few} classes, as the document may have taken its sample; of {few} classes, when all are cut into fifths at random; "
    "of all classes. One dot a sample; dashed: all images.",
    alt=f"In block 3 the first classes stand at {by_sample['block 3']['the first classes'][0]:.2f}; random sets of classes scatter from "
    f"{by_sample['block 3']['random classes'].min():.2f} to {by_sample['block 3']['random classes'].max():.2f}; samples of all classes lie close to the "
    f"dashed line at {every['block 3']:.2f}.",
)

# %% tags=["remove-cell"]
# fmt: off
report.number("A7-cosine-all-layers/sample", len(first), tol=20)
report.number("A7-cosine-all-layers/sample-classes", few, tol=0)
for name, rows in by_sample.items():
    key = name.replace(" ", "")
    report.number(f"A7-cosine-all-layers/{key}-every", every[name], tol=0.13)
    report.number(f"A7-cosine-all-layers/{key}-in-order", rows["the first classes"][0], tol=0.2)
    for kind, short in (("random classes", "classes"), ("all classes", "stratified")):
        report.number(f"A7-cosine-all-layers/{key}-{short}", rows[kind].mean(), spread=rows[kind].std(ddof=1), n=len(fifths), tol=0.15)
        report.number(f"A7-cosine-all-layers/{key}-{short}-sd", rows[kind].std(ddof=1), tol=0.12)
spread = by_sample["block 3"]
report.number("A7-cosine-all-layers/in-order-off", abs(spread["the first classes"][0] - every["block 3"]) / spread["all classes"].std(ddof=1), tol=20,
              label="distance of the in-order sample from all images / spread of stratified samples")
ordered = {name: separation(torch.as_tensor(capture.collect(net, seen.images[first], [name], progress=False)[name]).flatten(1),
                            seen.labels[first], torch.arange(len(first)), k=(1,)) for name in layers}
report.number("A7-cosine-all-layers/order-in-order", order(ordered), tol=0.2, label="rank correlation of depth and AUROC, in-order sample")
# fmt: on

# %% [markdown]
r"""
**What to notice.** All {glue:text}`A5-cosine-block3/held-out:,` images, each a reference once, give {glue:text}`A7-cosine-all-layers/block3-every:.2f` in block 3, the first classes
{glue:text}`A7-cosine-all-layers/block3-in-order:.2f` (recorded {recorded}`A7-cosine-all-layers/block3-every` and {recorded}`A7-cosine-all-layers/block3-in-order`). That is
{glue:text}`A7-cosine-all-layers/in-order-off:.0f` standard deviations of stratified samples too low on this page, and {recorded}`A7-cosine-all-layers/in-order-off` too high in the recorded
run. Compared with the scatter of *random fifths*, the recorded value is nothing unusual. The AUROC against several classes of equal size is the mean of the AUROCs against each single one.
So fifths of the classes are right *on average*: {glue:text}`A7-cosine-all-layers/block3-classes:.2f` (recorded {recorded}`A7-cosine-all-layers/block3-classes`). But each of them may be far off. Their standard deviation is
{glue:text}`A7-cosine-all-layers/block3-classes-sd:.3f`, that of stratified samples of the same size {glue:text}`A7-cosine-all-layers/block3-stratified-sd:.3f` (recorded
{recorded}`A7-cosine-all-layers/block3-classes-sd` and {recorded}`A7-cosine-all-layers/block3-stratified-sd`). What is scarce is classes, not images. And first classes need not be like
the others: those of Tiny ImageNet are sorted by WordNet, so the first forty are animals.

The document's *sentence* survives: in the in-order sample the rank correlation of depth and AUROC is {glue:text}`A7-cosine-all-layers/order-in-order:.2f` (recorded
{recorded}`A7-cosine-all-layers/order-in-order`).

## How few directions are enough?

The document squeezes block 3, {published}`A8-cosine-compressed/size` values, by PCA into 2048, 1024, and so on down to {published}`A8-cosine-compressed/smallest` directions. It finds the same-class
similarity down to {published}`A8-cosine-compressed/holds-to`. Its code takes the directions of a centred {term}`PCA` but subtracts nothing. We do that; we do it consistently,
once with the mean taken off and once with an uncentred PCA; and add two controls: *random* directions, and the *last* directions of PCA instead of the first.

:::{admonition} Guess first
:class: tip
Random directions know nothing of the data. Johnson and Lindenstrauss {cite:p}`johnson-1984` proved that enough of them nearly keep all distances,
and so the angles. How much of the separation will be left in 32 of them?
:::
"""

# %%
found = covariance.moments(stored)
best, uncentred = covariance.pca(found), covariance.pca(found, centred=False)
levels = [2**j for j in range(3, 13) if 2**j <= best.components.shape[1]]
d = x.shape[1]


def kept_by(basis, k, mean=0):
    """Return the AUROC per reference after a projection onto the first k directions of a basis."""
    y = (x - mean) @ basis[:, :k].to(x)
    return separation(y, seen.labels, references, k=(1,)).auroc


random = torch.Generator().manual_seed(seed)


def random_bases(k, n):
    """Return n bases of k random directions, or the one of all directions."""
    return [compress.random_orthonormal(d, k, generator=random) for _ in range(n if k < d else 1)]


ways = {
    "the document's way": [kept_by(best.components, k) for k in levels],
    "uncentred PCA": [kept_by(uncentred.components, k) for k in levels],
    "centred PCA": [kept_by(best.components, k, mean) for k in levels],
    "last directions": [kept_by(best.components.flip(1), k, mean) for k in levels],
    "random": [
        torch.stack([kept_by(basis, k) for basis in random_bases(k, n_bases)]).mean(0)
        for k in levels
    ],
}

# %% tags=["hide-input"]
whole = similarity.cosine(x[references], x).values
apart = torch.ones_like(whole, dtype=torch.bool)
apart[torch.arange(len(references)), references] = False  # not with itself


def error(basis):
    """Return the root mean square error of the cosines after a projection."""
    y = x @ basis.to(x)
    off = similarity.cosine(y[references], y).values - whole
    return float(off[apart].square().mean().sqrt())


errors = [np.mean([error(basis) for basis in random_bases(k, 4 * n_bases)]) for k in levels]
slack = float((1 - whole[apart] ** 2).square().mean().sqrt())
closed = [slack * (1 / k - 1 / d) ** 0.5 for k in levels]

# %% tags=["hide-input"]
source(
    f"{len(seen.labels):,} held-out images, {len(references)} references; PCA of {len(stored):,} training images"
)
curve = {name: [float(a.mean()) for a in values] for name, values in ways.items()}
full = float(raw.auroc.mean())
pca_curves = [a for name in list(curve)[:3] for a in curve[name]]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained", width_ratios=[1.5, 1])
for marker, (name, values) in zip("osD^v", curve.items(), strict=True):
    some = (
        sum(k < d for k in levels) if name == "last directions" else len(levels)
    )  # not all of them
    axes[0].plot(levels[:some], values[:some], marker=marker, ms=4, label=name)
axes[0].axhline(full, color="0.5", lw=1, ls="--")
axes[0].set(xscale="log", xlabel="directions kept", ylabel="AUROC")
axes[0].legend(fontsize="small", loc="center right", bbox_to_anchor=(1, 0.35))
axes[1].plot(levels, closed, color="0.5", label="closed form")
axes[1].plot(levels, errors, "v", color="C4", label="measured")
axes[1].set(xscale="log", xlabel="random directions", ylabel="error of a cosine")
axes[1].legend(fontsize="small")
for ax in axes:
    ax.set_xscale("log", base=2)
    ax.set_xticks(levels[::3], levels[::3])
report.figure(
    fig,
    name="fig-similarity-compressed",
    caption=f"Block 3, its {d:,} values squeezed into fewer directions. Left: the AUROC of the cosine (dashed: nothing squeezed). Right: how far random "
    "directions move a cosine (root mean square).",
    alt=f"Left: three PCA curves stay between {min(pca_curves):.2f} and {max(pca_curves):.2f} down to 8 directions; the "
    f"random one falls to {curve['random'][0]:.2f}, the last directions lie near chance. Right: the points follow the falling closed form.",
)

# %% tags=["remove-cell"]
# fmt: off
at = levels.index(32)


def of_full(values, full=full):
    """Return the share of the separation above chance that is left."""
    return (values - 0.5) / (full - 0.5)


way = curve["the document's way"]
report.number("A8-cosine-compressed/full", full, tol=0.13)
report.number("A8-cosine-compressed/size", d, tol=0)
report.number("A8-cosine-compressed/kept-32", of_full(way[at]), unit="share", tol=0.1, agree=(0.9, 1.5), label="separation left in 32 directions of PCA",
              note="of what the AUROC has above chance")
report.number("A8-cosine-compressed/kept-8", of_full(way[0]), unit="share", tol=0.15, label="the same in 8")
report.number("A8-cosine-compressed/centred-32", of_full(curve["centred PCA"][at]), unit="share", tol=0.35)
report.number("A8-cosine-compressed/uncentred-32", of_full(curve["uncentred PCA"][at]), unit="share", tol=0.1)
report.number("A8-cosine-compressed/random-32", of_full(curve["random"][at]), unit="share", tol=0.2, label="the same in 32 random directions")
report.number("A8-cosine-compressed/random-8", of_full(curve["random"][0]), unit="share", tol=0.3)
report.number("A8-cosine-compressed/last-32", of_full(curve["last directions"][at]), unit="share", tol=0.1, label="the same in the last 32 of PCA")
report.number("A8-cosine-compressed/variance-32", float(best.variances[:32].sum() / found.covariance.trace()), unit="share", tol=0.05)
report.number("A8-cosine-compressed/error-32", errors[at], theory=closed[at], agree=0.15 * closed[at], tol=0.03,
              label="error of a cosine in 32 random directions", note=f"closed form {closed[at]:.3f}")
report.number("A8-cosine-compressed/error-closed", closed[at], tol=0.03)
report.number("A8-cosine-compressed/error-bound", 32**-0.5, tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** In 32 directions of PCA {glue:text}`A8-cosine-compressed/kept-32:.0%` of the separation above chance is left (recorded {recorded}`A8-cosine-compressed/kept-32`): the
document's sentence holds. In the last 32 there is {glue:text}`A8-cosine-compressed/last-32:.0%` (recorded {recorded}`A8-cosine-compressed/last-32`). But "down to 32" is no property of 32: in 8 directions
there is still {glue:text}`A8-cosine-compressed/kept-8:.0%` (recorded {recorded}`A8-cosine-compressed/kept-8`), with fewer classes than the document has.

And 32 *random* directions leave {glue:text}`A8-cosine-compressed/random-32:.0%` (recorded {recorded}`A8-cosine-compressed/random-32`). A good part of what looks like a merit of PCA is a property of angles. The cosine
in $k$ random directions of $d$ is a correlation coefficient of $k$ values {cite:p}`fisher-1915`, and its error about

$$
(1 - \cos^2)\,\sqrt{\frac{1}{k} - \frac{1}{d}} ,
$$

at most $1/\sqrt{k}$. For $k = 32$, over all our pairs, this is {glue:text}`A8-cosine-compressed/error-closed:.3f`, and we measure {glue:text}`A8-cosine-compressed/error-32:.3f` (recorded
{recorded}`A8-cosine-compressed/error-closed` and {recorded}`A8-cosine-compressed/error-32`). So before one praises a compression, one must see that it does better than chance. PCA does. With the mean
taken off, its 32 directions even separate a little better than the whole layer as it is, {glue:text}`A8-cosine-compressed/centred-32:.0%` (recorded
{recorded}`A8-cosine-compressed/centred-32`): what centring gains for the whole layer, it gains for them.

## Neighbours that vote

Three more things are in the team's code and not on the page. The first is meant to show the maps of the first convolution for one image, side by side. (Its script only reshapes the
array. MATLAB runs down the columns, so each map becomes two narrow columns; we draw what was meant.)
"""

# %% tags=["hide-input"]
pixels_of_one = seen.images[[0]]
with torch.no_grad(), capture.capture(net, ["conv1"]) as activations:
    net(models.prepare(net, pixels_of_one))
tiles = activations["conv1"][0].cpu()

# %% tags=["hide-input"]
source("one held-out image")
side = int(len(tiles) ** 0.5)
fig = plt.figure(figsize=(7, 3.4))
left, area = fig.subfigures(1, 2, width_ratios=[1, 1.1])
plots.image(pixels_of_one[0].numpy(), ax=left.subplots(), title=seen.classes[seen.labels[0]])
largest = tiles.abs().amax()
for ax, tile in zip(plots.grid(side, side, figure=area).flat, tiles, strict=False):
    plots.signed_map((tile / largest).numpy(), ax=ax)
report.figure(
    fig,
    name="fig-similarity-tiles",
    caption=f"One image and {side**2} of the {len(tiles)} maps of the first convolution, side by side, as the document's script intends. Red is positive, blue negative, one scale for all.",
    alt=f"An image of the class {seen.classes[seen.labels[0]]}, and {side} by {side} small maps of it in red and blue, {int((tiles[: side**2].mean((1, 2)) > 0).sum())} of "
    f"them more red than blue.",
)

# %% [markdown]
r"""
The second asks for the classes of the {published}`A9-code-extras/most-similar` training images that are most similar to one image. "Ideally", a comment says, "one class is dominant (the class of the sample) and the
other classes are rather evenly distributed."

The third is LESCI, the layer with which the team entered the challenge. It keeps the activations of all training images that are classified correctly, in
{published}`A9-code-extras/code-size` directions of PCA. A new image's activation is compared with them. If at least a share of {published}`A9-code-extras/threshold` of the
{published}`A9-code-extras/neighbours` nearest agree on a class, the image is *projected*: by the idea, its activation is replaced by a stored one of that class; in the team's networks, the class of the
vote simply becomes the answer. The hope was that this undoes the small changes of an attack. We let the stored images vote, for all thresholds, in `flatten`, the layer of
the README's search, and in block 3, where a version of the code has it.
"""

# %% tags=["hide-input"]
nearest = similarity.nearest_classes(x[references], kept, kept_labels, min(100, len(kept)))
counts = torch.zeros(len(references), len(seen.classes), dtype=torch.long)
counts[:, nearest.classes.cpu()] = nearest.counts.cpu()  # a class without stored images has none
theirs = seen.labels[references]
own = counts.gather(1, theirs[:, None])[:, 0]
between = torch.stack([counts[theirs == c].float().mean(0) for c in theirs.unique()])

# %%
predicted = train.predict(net, seen.images).cpu()
thresholds = [j / 10 for j in range(1, 11)]


def squeezed(store, queries, n_directions=64):
    """Return both in the first directions of a PCA of the store."""
    found = covariance.moments(store)
    basis = covariance.pca(found, min(n_directions, len(store) - 1, store.shape[1])).components
    return store @ basis.to(store), queries @ basis.to(store)


def lesci(store, queries, threshold):
    """Return the share decided, how many of these votes are right, and the accuracy with them in the network."""
    found = similarity.vote(queries, store, kept_labels, 10, threshold=threshold)
    decided, correct = found.decided.cpu(), found.labels.cpu() == seen.labels
    together = torch.where(decided, correct, predicted == seen.labels)
    shares = decided.float().mean(), correct[decided].float().mean(), together.float().mean()
    return [float(share) for share in shares]


kept_last = train.logits(net[:-1], learn.images)[right.to(device)]
kept_blank = block3(blank, learn.images)[right.to(device)]
spaces = {
    "flatten": squeezed(kept_last, last),
    "block 3": squeezed(kept, x),
    "block 3, untrained": squeezed(kept_blank, blank_x),
}
voted = {
    name: np.array([lesci(store, queries, t) for t in thresholds])
    for name, (store, queries) in spaces.items()
}

# %% tags=["hide-input"]
source(f"{len(seen.labels):,} held-out images, {len(kept):,} stored training images")
alone = float((predicted == seen.labels).double().mean())
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained")
drawn = axes[0].imshow(between, cmap="viridis", vmin=0)
fig.colorbar(drawn, ax=axes[0], shrink=0.7)
axes[0].set(
    xlabel="class of the neighbours", ylabel="class of the reference", xticks=[], yticks=[]
)
for marker, (name, values) in zip("osv", voted.items(), strict=True):
    (line,) = axes[1].plot(values[:, 0], values[:, 1], marker=marker, ms=4, label=name)
    axes[1].plot(*values[thresholds.index(0.5), :2], "o", ms=11, mfc="none", mec=line.get_color())
axes[1].axhline(alone, color="0.5", lw=1, ls="--")
axes[1].axhline(1 / len(seen.classes), color="0.5", lw=1, ls=":")
axes[1].set(xlabel="share of images decided", ylabel="accuracy of these votes", ylim=(0, 1.03))
axes[1].legend(fontsize="small")
report.figure(
    fig,
    name="fig-similarity-votes",
    caption=f"Left: of which class the 100 most similar training images are, by class of the reference (means over {len(references)} references, block 3). Right: "
    "LESCI's vote for thresholds from one (left end) to a tenth, in 64 directions; rings: one half, the team's; dashed: the network alone, dotted: chance.",
    alt=f"Left: the diagonal is brighter than the rest, {float(own.float().mean()):.0f} of 100 on average, in some classes very much so. Right: the trained curves fall as more votes are decided; "
    f"with all decided, accuracy {voted['flatten'][0, 1]:.2f} in the last layer, {voted['block 3'][0, 1]:.2f} in block 3, {voted['block 3, untrained'][0, 1]:.2f} untrained.",
)

# %% tags=["remove-cell"]
# fmt: off
rest = counts.float().scatter(1, theirs[:, None], 0)
rest = rest[rest.sum(1) > 0]
rest = rest / rest.sum(1, keepdim=True)
report.number("A9-code-extras/own", float(own.double().mean()), tol=16, label="of the 100 nearest, those of the class of the reference (block 3)")
report.number("A9-code-extras/own-chance", 100 * float(np.mean([(kept_labels == c).float().mean() for c in theirs])), tol=1)
report.number("A9-code-extras/dominant", float((counts.argmax(1) == theirs).double().mean()), unit="share", tol=0.1,
              label="references whose class is the commonest among the 100 nearest")
report.number("A9-code-extras/rest-first", float(rest.max(1).values.mean()), unit="share", tol=0.1)
report.number("A9-code-extras/rest-even", 1 / (len(seen.classes) - 1), unit="share", tol=0)
report.number("A9-code-extras/tiles", side**2, tol=0)
half = thresholds.index(0.5)
for name, values in voted.items():
    key = name.replace(",", "").replace(" ", "-")
    report.number(f"A9-code-extras/decided-{key}", values[half, 0], unit="share", tol=0.14)
    if np.isfinite(values[half, 1]):  # else no vote is decided
        report.number(f"A9-code-extras/right-{key}", values[half, 1], unit="share", tol=0.05)
    report.number(f"A9-code-extras/together-{key}", values[half, 2], unit="share", tol=0.04)
useful = voted["flatten"][voted["flatten"][:, 0] >= 0.5]
report.number("A9-code-extras/limit", float(useful[:, 2].max()), unit="share", tol=0.04, agree=(0, 0.5),
              label="best accuracy with LESCI, half of the images or more projected", note="ours is a task of fewer classes")
report.number("A9-code-extras/limit-untrained", float(voted["block 3, untrained"][0, 1]), unit="share", tol=0.2)
report.number("A9-code-extras/alone", alone, unit="share", tol=0.03, label="accuracy of the network alone")
report.number("A9-code-extras/gain", float(useful[:, 2].max()) - alone, unit="share", tol=0.03, label="LESCI's gain over the network alone")
# fmt: on

# %% [markdown]
r"""
**What to notice.** {glue:text}`A9-code-extras/own:.0f` of the hundred nearest are of the reference's class in block 3 (recorded {recorded}`A9-code-extras/own`, at random
{glue:text}`A9-code-extras/own-chance:.0f` and {recorded}`A9-code-extras/own-chance`), and for {glue:text}`A9-code-extras/dominant:.0%` of the references it is the commonest class
({recorded}`A9-code-extras/dominant`). The ideal is met more often on drawn shapes than on photographs. The others are *not* evenly distributed: the commonest of the wrong classes has {glue:text}`A9-code-extras/rest-first:.0%` of the wrong neighbours, where even ones would
have {glue:text}`A9-code-extras/rest-even:.0%` (recorded {recorded}`A9-code-extras/rest-first` and {recorded}`A9-code-extras/rest-even`). Chance alone makes the commonest share about twice as
large as an even one, and more where few neighbours are wrong; what we see is more than that. Classes have neighbours, too.

In the trained network a stricter threshold decides fewer images and errs less. (Untrained, the strictest thresholds decide next to nothing, and their accuracy is that of a
few images.) With the team's threshold the vote in `flatten` decides {glue:text}`A9-code-extras/decided-flatten:.0%` of the images and is right for
{glue:text}`A9-code-extras/right-flatten:.1%` of these (recorded {recorded}`A9-code-extras/decided-flatten` and {recorded}`A9-code-extras/right-flatten`). In block 3 it decides
{glue:text}`A9-code-extras/decided-block-3:.0%` and is right for {glue:text}`A9-code-extras/right-block-3:.1%` ({recorded}`A9-code-extras/decided-block-3` and
{recorded}`A9-code-extras/right-block-3`).

The team's README found "no combination of parameters" with an accuracy above {published}`A9-code-extras/accuracy-limit` and a good share of projected images, in a layer of
{published}`A9-code-extras/layer-size` values and for {published}`A5-cosine-block3/classes` classes. Put these votes in place of the network's answer wherever they are decided: the best accuracy with half of the images or more
projected is {glue:text}`A9-code-extras/limit:.1%` (recorded {recorded}`A9-code-extras/limit`), where the network alone has {glue:text}`A9-code-extras/alone:.1%`
({recorded}`A9-code-extras/alone`). So the verdict in words is "differs", but it says little: our networks have fewer
classes to tell apart, the best threshold is chosen on the same images, and the recorded value is within two standard errors of the limit. And one lesson holds in both: the best that the vote reaches is the accuracy of the network itself, give or take a point. The stored images know what the network
knows, hardly more. (Whether
the vote withstands an attack is another question; the README says it did not help.)

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**One direction a class.** The cosine of two images asks whether a class lies around one direction. A linear classifier asks less, and may read classes that no histogram shows.

**Cosines in many dimensions.** In a layer with a large mean all cosines are high, and in one without almost all are near zero. Their size says nothing without those of other classes beside it.

**References are not independent.** Two hundred references share the images they are compared with, and the network. Their spread shows how much an answer depends on the image, not
how much it would change with another network. We trained one.

**Few classes.** Ten or twenty classes fit into fewer directions than two hundred. "Down to 8" is not to be carried over.

**Another sample.** The document looks at training images that are classified correctly; ours are held-out ones of all kinds, and our PCA learns from all training images.

**Zeros.** After a ReLU a vector can be zero and has no direction. `similarity` counts such vectors and lets them stand at zero.

:::{admonition} What we learned
:class: important
- Densities of both kinds, many references, held-out images, and a number beside it: then the picture can be believed.
- The separation grows with depth. An untrained network ends where it began.
- Training images flatter, most of all in the last layers.
- A sample should hold all classes. A fifth of them is right on average, and may be far off each time.
- A few directions of PCA keep the separation; so do random ones, in part. Only the difference is PCA's.
- The vote of stored images is about as good as the network.
:::

## Exercises
"""

# %% [markdown]
r"""
```{exercise}
:label: ex-similarity-pairs
**Count the pairs** (5 minutes). The AUROC of a reference is the share of pairs, one image of its class and one of another, in which the first is the
more similar. Write it so, without ranks; equal ones count a half.
```
"""

# %% tags=["exercise"]
first_row = similarity.cosine(x[references[:1]], x).values[0].cpu().numpy()
others = np.arange(len(x)) != int(references[0])  # not with itself
scores, of_class = first_row[others], (seen.labels == theirs[0]).numpy()[others]


def auroc_by_pairs(scores, of_class):
    """Return the share of pairs in which the one of the class has the higher score."""
    return float(scores[of_class].mean() > scores[~of_class].mean())  # compares only the means


passed = abs(auroc_by_pairs(scores, of_class) - float(raw.auroc[0])) < 1e-6
report.check(
    "ex-similarity-pairs", passed, "Compare each with each: scores[:, None] > scores[None]."
)


# %% tags=["solution"]
def auroc_by_pairs(scores, of_class):
    """Return the share of pairs in which the one of the class has the higher score."""
    difference = scores[of_class][:, None] - scores[~of_class][None]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


passed = abs(auroc_by_pairs(scores, of_class) - float(raw.auroc[0])) < 1e-6
report.check(
    "ex-similarity-pairs", passed, "Compare each with each: scores[:, None] > scores[None]."
)

# %% [markdown]
r"""
```{exercise}
:label: ex-similarity-classes
**One class after another** (5 minutes). `single` holds the AUROC of one reference against each other class alone, `sizes` the numbers of their images.
What is its AUROC against all of them together? Why does a random fifth of the classes give the right answer on average?
```
"""

# %% tags=["exercise"]
labels_left = seen.labels.numpy()[others]
kinds = [c for c in np.unique(labels_left) if c != int(theirs[0])]
pairs = [of_class | (labels_left == c) for c in kinds]
single = np.array([float(statistics.auroc(scores[p], of_class[p])) for p in pairs])
sizes = np.array([(labels_left == c).sum() for c in kinds])


def together(single, sizes):
    """Return the AUROC against all classes."""
    return float(single.min())  # the hardest class


passed = abs(together(single, sizes) - float(raw.auroc[0])) < 1e-6
report.check(
    "ex-similarity-classes", passed, "It counts pairs, and each pair belongs to one class."
)


# %% tags=["solution"]
def together(single, sizes):
    """Return the AUROC against all classes."""
    return float((single * sizes).sum() / sizes.sum())


passed = abs(together(single, sizes) - float(raw.auroc[0])) < 1e-6
report.check(
    "ex-similarity-classes", passed, "It counts pairs, and each pair belongs to one class."
)

# %% [markdown]
r"""
```{exercise}
:label: ex-similarity-chance
**Chance** (5 minutes). With shuffled labels the AUROC is a half, however many classes there are. What is the precision among the ten nearest?
```
"""

# %% tags=["exercise"]
measured = float(controls["labels shuffled"].precision[:, 1].mean())


def expected(labels, references):
    """Return the precision among the ten nearest that you expect for shuffled labels."""
    return 0.5  # as for the AUROC


passed = abs(expected(shuffled, references) - measured) < 0.04
report.check(
    "ex-similarity-chance", passed, "How many of the others are of the reference's class?"
)


# %% tags=["solution"]
def expected(labels, references):
    """Return the precision among the ten nearest that you expect for shuffled labels."""
    sizes = torch.bincount(labels)[labels[references]]
    return float((sizes - 1).double().mean() / (len(labels) - 1))


passed = abs(expected(shuffled, references) - measured) < 0.04
report.check(
    "ex-similarity-chance", passed, "How many of the others are of the reference's class?"
)

# %% [markdown]
r"""
```{exercise}
:label: ex-similarity-directions
**How many random directions?** (3 minutes). Two vectors stand at right angles in a very large layer. How many random directions keep their cosine at zero up
to a given root mean square error?
```
"""


# %% tags=["exercise"]
def directions_for(error):
    """Return the number of random directions that keep a cosine of zero to this error."""
    return round(1 / error)  # would be right if the error fell with k itself


passed = [directions_for(error) for error in (0.5, 0.25, 0.1)] == [4, 16, 100]
report.check("ex-similarity-directions", passed, "Solve the closed form for k, with d infinite.")


# %% tags=["solution"]
def directions_for(error):
    """Return the number of random directions that keep a cosine of zero to this error."""
    return round(1 / error**2)


passed = [directions_for(error) for error in (0.5, 0.25, 0.1)] == [4, 16, 100]
report.check("ex-similarity-directions", passed, "Solve the closed form for k, with d infinite.")

# %% [markdown]
r"""
## Go further

- Papernot and McDaniel {cite:p}`papernot-2018` let the neighbours in *all* layers vote, and ask how sure the vote is.
- Mu and Viswanath {cite:p}`mu-2018` take the mean off word vectors, and a few directions more.
- Kornblith and colleagues {cite:p}`kornblith-2019` compare whole layers by all their cosines at once.
- Papyan and colleagues {cite:p}`papyan-2020` describe where the growth ends: every class at a single direction.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
