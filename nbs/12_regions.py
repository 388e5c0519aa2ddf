# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-regions)=
# How large is a linear region, and how many are there?

**In its nearest direction the {term}`region` of an image ends, on average, within a hundredth of the way to the most similar image; in others it reaches much farther. There are too many regions to list. But on a plane
through three images they can all be drawn, exactly, and there every way of counting can be tested.**

```{figure} ../results/real/12_regions/fig-regions-slice.webp
:name: fig-regions-hero
:alt: Left: a square with three photographs in it, divided into a few coloured areas with curved borders. Right: a close-up, a mosaic of thousands of small polygons.

What you will be able to draw: every linear region of a network on a plane through three images, by class and, magnified, one by one. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Draw and count all regions of a network on a plane, and check that none is missing.
- Say which averages of widths give a count, and which do not.
- Measure the distance from an image to the end of its region, and know what noise makes of it.
- Tell which layers make as many regions as the theorem allows.

**You need** the {term}`pattern` of a network, and [](#ch-modelling) for the theorem on regions. **Time:** 30 minutes to read, one minute to run. **Document:** the end of section 6 and most of section 7 of
the "Study on Activation Patterns" {cite:p}`swiniarski-patterns`, for the most part ideas for later work. **Data:** scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY); in the
recorded run CIFAR-10 {cite:p}`krizhevsky-2009`.
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
# epochs after which the plane is drawn again; parts of the window: of the slider, of the close-up, of the convnet's
looks = [0, 1, 2, 5, 14]
# classes of the three images that span the plane
trio = [0, 3, 1]
frame_part, close_part, convnet_part = 1.0, 0.22, 0.014
n_points, n_draws = 1000, 200
# images: in whose regions points are drawn, whose distances are measured, that walk, of the convnet
n_chains, n_look, n_walks, n_convnet = 8, 300, 6, 2
n_samples, thin, n_units = 100, 4, 32
# units that are tried; the walk of copies, whose noise begins at 0.1 in the document
n_copies, n_steps, first_noise = 100, 40, 1.0
# random patterns for each size of a layer, and of the network
n_tests, n_trials = 150, 2
ranks = [1, 2, 4, 8, 32]
n_few, few_epochs, few_rate, few_batch, n_seeds = 100, 40, 0.02, 32, 3

# %% tags=["hide-input"]
import math
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    affine,
    arrangements,
    boundaries,
    checkpoints,
    data,
    inradius,
    models,
    noise,
    piecewise,
    planes,
    plots,
    polygons,
    polytopes,
    published,
    reachability,
    report,
    segments,
    slices,
    train,
)
from matplotlib import collections, colors
from PIL import Image, ImageDraw
from torch import nn

# %% tags=["hide-input"]
report.start("12_regions", profile=profile, seed=seed, device=device)


def dice(k):
    """Return a generator of its own for one part of the chapter."""
    return torch.Generator().manual_seed(1000 * seed + k)


# %% [markdown]
r"""
## Every region of a plane

Two networks learn: an MLP with three hidden layers of {glue:text}`S7.2-idea3/width` {term}`units <unit>` each (recorded {recorded}`S7.2-idea3/width`), and a convnet of three convolutions, each with a {term}`ReLU` and a
max-pooling. In each {term}`region` a network is one affine map, and the study wishes to see where regions end: "Let's try to compute for 2 layers the boundaries." On a plane this can be done for all layers. The
units of the first layer cut the plane along straight lines. Inside each piece the second layer is affine, too, so its units cut the piece along straight lines, and so on.

:::{admonition} Guess first
:class: tip
Put a square around three images. Into how many pieces does the network cut it: hundreds, thousands, millions?
:::
"""

# %% tags=["hide-input"]
learn, held_out = (data.load(pictures, split, size=size) for split in ("train", "test"))
order = torch.randperm(len(held_out.labels), generator=dice(1))
look = held_out.subset(order[: max(n_look, 100)])


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
through = {e: checkpoints.load_or_fit("regions-mlp", build_mlp, images, labels, epochs=e, **recipe) for e in looks if e}
# fmt: on
blank = build_mlp(torch.Generator().manual_seed(seed))

# %%
x = blank.normalize(look.images.double() / 255)  # (n, c, h, w), pixels from -1 to 1


def exact(model):
    """Return an exact copy of what a network does behind its first layer, which scales the pixels."""
    return piecewise.trace(model.cpu().eval()[1:], x.shape[1:])


network, untrained = exact(mlp.model), exact(blank)
right = network(x).argmax(1) == look.labels
three = x[[int((2 * (look.labels == c) + right).argmax()) for c in trio]]
plane = planes.through(*three)
middle = (plane.corners.max(0) + plane.corners.min(0)) / 2
reach = 0.62 * np.ptp(plane.corners, axis=0).max()


def square(part, centre=middle):
    """Return the corners of a square of the plane, a part of the one around the three images."""
    return centre + part * reach * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])


whole = slices.partition(network, plane, square(1))
by_class = boundaries.classes(whole)
slices.counts(whole)


# %% tags=["remove-cell"]
# fmt: off
def of_images(what, model="MLP"):
    """Say that the numbers that follow come from a network and images."""
    report.source(f"{model} trained on {len(learn.labels):,} images of {pictures}; {what}", stand_in=None if pictures == "cifar10" else "CIFAR-10")


def split(cells):
    """Return the corners of each polygon."""
    return np.split(cells.vertices, cells.offsets[1:-1])


SHADES = colors.LinearSegmentedColormap.from_list("shades", ["#0b3954", "#2a7f9e", "#8fd0c6", "#f3ead0", "#f2a65a", "#b5403c"])
PALETTE = np.array([colors.to_rgb(colour) for colour in plots.COLOURS])


def by_region(rows, rng):
    """Return a colour for each region: chance gives each cell of the first layer one, its parts differ a little."""
    found = SHADES(rng.random(rows[:, 0].max() + 1))[rows[:, 0], :3]
    for column, change in zip(rows.T[1:], (0.16, 0.12, 0.1, 0.1, 0.1), strict=False):
        found = found + change * (2 * rng.random(column.max() + 1) - 1)[column, None]
    return found.clip(0, 1)


def by_class_of(found, cells, rng, light=(0.25, 0.4, 0.55)):
    """Return a colour for each polygon: of its class, more or less pale by the cell of which it is part."""
    pale = rng.choice(light, cells.max() + 1)[cells[found.owners], None]
    return PALETTE[found.classes % len(PALETTE)] * (1 - pale) + pale
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def panel(ax, window):
    """Prepare axes for a picture of a window."""
    ax.set(xlim=(window[:, 0].min(), window[:, 0].max()), ylim=(window[:, 1].min(), window[:, 1].max()), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set(visible=True, color="0.3", linewidth=0.6)


def fill(ax, cells, colours, **options):
    """Draw polygons, each in its colour."""
    ax.add_collection(collections.PolyCollection(split(cells), **{"facecolors": colours, "edgecolors": "face", "linewidths": 0.2, "rasterized": True} | options))


def stroke(ax, edges, colour, width, **options):
    """Draw edges, given by their ends."""
    ax.add_collection(collections.LineCollection(edges, colors=colour, linewidths=width, **options))


def class_borders(found):
    """Return where another class begins, as ends of edges."""
    return polygons.borders(polygons.mesh(found.cells), found.classes)


borders, centre = class_borders(by_class), plane.corners.mean(0)
if len(borders):  # the close-up is at the decision boundary
    centre = borders.mean(1)[np.linalg.norm(borders.mean(1) - centre, axis=1).argmin()]
near = slices.partition(network, plane, square(close_part, centre))
near_classes = boundaries.classes(near)
# fmt: on


# %% tags=["hide-input"]
# fmt: off
of_images("the plane through three held-out images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.55), layout="constrained")
fill(axes[0], by_class.cells, by_class_of(by_class, whole.ancestors()[:, 0], np.random.default_rng(seed)))
stroke(axes[0], borders, "k", 0.9)
for corner, picture in zip(plane.corners, three, strict=True):
    box = axes[0].inset_axes([*(corner - 0.1 * reach), 0.2 * reach, 0.2 * reach], transform=axes[0].transData)
    plots.image((picture / 2 + 0.5).numpy().clip(0, 1), ax=box)
axes[0].add_patch(plt.Polygon(square(close_part, centre), fill=False, ec="k", lw=1.4))
fill(axes[1], near.cells, by_region(near.ancestors(), np.random.default_rng(seed)))
stroke(axes[1], class_borders(near_classes), "k", 1.2)
panel(axes[0], square(1))
panel(axes[1], square(close_part, centre))
axes[0].set_title(f"by class: {len(whole):,} regions", fontsize="small")
axes[1].set_title(f"magnified, by region: {len(near):,}", fontsize="small")
shown = [learn.classes[c] for c in np.unique(by_class.classes)]
report.figure(
    fig, name="fig-regions-slice",
    caption="All regions of the MLP in a square of the plane through three held-out images, which are drawn where they lie. Left: coloured by the class that the network gives; cells of the first layer "
    "differ in shade, black lines are the exact decision boundaries. Right: the small square, magnified; a colour for each region, alike within a cell of the first layer.",
    alt=f"Left: a square with three small images, in {len(shown)} coloured areas with curved borders ({', '.join(map(str, shown))}), crossed by a web of shades. "
    f"Right: a mosaic of {len(near):,} small polygons of all sizes.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def checked(network, found, n, generator):
    """Return for n cells of a partition whether a forward pass at the centre finds its pattern, and that of a neighbour."""
    cells = torch.randperm(len(found), generator=generator)[:n].numpy()
    passed = network.pattern(found.plane.points(polygons.centroids(found.cells)[cells]))
    other = found.mesh.neighbours[found.mesh.neighbours[:, 1] >= 0][:n]
    wrong = found.pattern(other[:, 0]).same(found.pattern(other[:, 1]))
    return float(passed.same(found.pattern(cells)).double().mean()), float(wrong.double().mean())


def on_grid(network, found, n):
    """Return how many regions a grid of n x n points meets."""
    low, high = found.cells.vertices.min(0), found.cells.vertices.max(0)
    ticks = (np.arange(n) + 0.5) / n
    at = low + np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2) * (high - low)
    words = np.concatenate([network.pattern(found.plane.points(part)).packed().words.numpy() for part in np.array_split(at, 8)])
    return len(np.unique(words, axis=0))
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
plane_counts = slices.counts(whole)
straight = arrangements.affine(width, 2)
report.number("S7.2-idea3/width", width, tol=0)
report.number("S7.2-idea3/seconds", sum(sum(fit.history.seconds) for fit in (mlp, convnet)), unit="seconds", tol=1e9)
report.number("S7.2-idea3/accuracy", train.accuracy(mlp.model, held_out.images, held_out.labels), unit="share", tol=0.03)
report.number("S7.2-idea3/accuracy-convnet", train.accuracy(convnet.model, held_out.images, held_out.labels), unit="share", tol=0.03)
ok, mixed = checked(network, whole, 1000, dice(2))
report.number("S7.2-idea3/right", ok, unit="share", tol=0, agree=(0.999, 1), n=min(1000, len(whole)),
              label="regions of a plane whose centre has the computed pattern", note="all layers at once, not only two")
report.number("S7.2-idea3/mixed", mixed, unit="share", tol=0)
report.number("S7.2-idea3/regions", len(whole), tol=len(whole), label="regions on the plane, in the square")
report.number("S7.2-idea3/first", plane_counts["relu1"], tol=plane_counts["relu1"], label="of the first layer alone")
report.number("S7.2-idea3/second", plane_counts["relu2"], tol=plane_counts["relu2"])
report.number("S7.2-idea3/straight", straight, tol=0)
report.number("S7.2-idea3/share", plane_counts["relu1"] / straight, unit="share", tol=0.3)
report.number("S7.2-idea3/units-as-lines", arrangements.affine(3 * width, 2), tol=0)
report.number("S7.2-idea3/grid", on_grid(network, whole, 200) / len(whole), unit="share", tol=0.3, label="share of them that a grid of 40,000 points meets")
# fmt: on

# %% [markdown]
r"""
**What to notice.** The square holds {glue:text}`S7.2-idea3/regions:,` regions (recorded {recorded}`S7.2-idea3/regions`). They are not estimated: areas add up to that of the square, points minus edges plus
regions is one, and a forward pass at their centres finds the computed pattern in {glue:text}`S7.2-idea3/right:.0%` of those tried (recorded {recorded}`S7.2-idea3/right`; neighbours share a pattern in
{glue:text}`S7.2-idea3/mixed:.0%`). A grid of 40,000 points meets {glue:text}`S7.2-idea3/grid:.0%` of them (recorded {recorded}`S7.2-idea3/grid`, with more regions than points), and does not tell how many it misses.

The first layer alone makes {glue:text}`S7.2-idea3/first:,` ({recorded}`S7.2-idea3/first`). Its lines cut the *whole* plane into $F(n, 2)$ pieces, {glue:text}`S7.2-idea3/straight:,` for our width
({recorded}`S7.2-idea3/straight`), but many crossings lie outside of the square. As many straight lines as there are units in all layers would make
{glue:text}`S7.2-idea3/units-as-lines:,` pieces ({recorded}`S7.2-idea3/units-as-lines`). With chosen weights deep layers go far beyond, since their lines bend: each layer can fold the plane and so repeat
what the next ones make {cite:p}`montufar-2014`. Ours stay below. And the classes have few, long borders: nearly all regions serve to bend the map within a class.

## Through training

:::{admonition} Guess first
:class: tip
Does training make more regions on this plane, or fewer?
:::
"""

# %%
stages = {e: exact(through[e].model) if e else untrained for e in looks}
window = square(frame_part)
parts = {e: slices.partition(stage, plane, window) for e, stage in stages.items()}
ends = [slices.partition(stage, plane, square(1)) for stage in stages.values()]
grown = {name: [slices.counts(found)[name] for found in ends] for name in network.gates}


# %% tags=["hide-input"]
# fmt: off
def raster(cells, colours, window, pixels=320):
    """Return a picture, uint8 (h, w, 3), of polygons in their colours."""
    low, high = window.min(0), window.max(0)
    at = (cells.vertices - low) / (high - low) * pixels
    at[:, 1] = pixels - at[:, 1]
    picture = Image.new("RGB", (pixels, pixels))
    draw = ImageDraw.Draw(picture)
    for corners, colour in zip(np.split(at, cells.offsets[1:-1]), (255 * colours).astype(int), strict=True):
        draw.polygon(corners.ravel().tolist(), fill=tuple(colour))
    return np.asarray(picture)


frames = []
for e, found in parts.items():
    regions = boundaries.classes(found)
    areas = np.bincount(regions.classes, polygons.areas(regions.cells)) / found.areas.sum()
    kinds = ", ".join(f"{learn.classes[c]} {areas[c]:.0%}" for c in np.argsort(-areas)[:4] if areas[c] > 0.005)
    name = f"{e} epochs" if e != 1 else "1 epoch"
    frames.append(report.Frame(
        name, f"After {name}: a mosaic of {len(found):,} polygons in the colours of the classes; area by class: {kinds}.",
        picture=raster(regions.cells, by_class_of(regions, np.arange(len(found)), np.random.default_rng(seed)), window),
        note=f"{len(found):,} regions in the picture, {slices.counts(found)['relu1']:,} of the first layer; {kinds} of the area"))
of_images("the plane through three held-out images")
report.frames(frames, name="fig-regions-training", label="training", start=len(frames) - 1,
    caption=f"The plane {'of the first figure' if frame_part == 1 else 'in the middle of the first figure'} while the MLP learns. The colour is that of the class, a shade for each region.")
# fmt: on

# %% tags=["hide-input"]
# fmt: off
fig, ax = plt.subplots(figsize=(7, 3.1), layout="constrained")
for name, marker, text in zip(grown, "osD", ("the first layer", "two layers", "all three"), strict=True):
    ax.plot(looks, grown[name], marker=marker, label=text)
for n, text in ((width, f"F({width}, 2)"), (3 * width, f"F({3 * width}, 2)")):
    ax.axhline(arrangements.affine(n, 2), color="0.5", lw=1, ls="--")
    ax.annotate(text, (looks[-1], arrangements.affine(n, 2)), xytext=(0, 3), textcoords="offset points", ha="right", fontsize="small", color="0.3")
ax.set(yscale="log", xlabel="epoch", ylabel="regions in the square", xticks=looks)
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
report.figure(
    fig, name="fig-regions-counts",
    caption=f"How many regions the square of the first figure holds, by layers and epoch. Dashed: what {width} or {3 * width} straight lines in general position make of the whole plane.",
    alt=f"Three curves over epochs, on a logarithmic scale. All three layers: {grown['relu3'][0]:,} before training, {grown['relu3'][1]:,} after {looks[1]} epoch, {grown['relu3'][-1]:,} at the end; "
    f"the first layer: {grown['relu1'][0]:,} and {grown['relu1'][-1]:,}, below its dashed line.",
)
report.number("S7.2-idea3/untrained", grown["relu3"][0], tol=grown["relu3"][0], label="regions on the plane, untrained")
report.number("S7.2-idea3/one-epoch", grown["relu3"][1], tol=2 * grown["relu3"][1])
report.number("S7.2-idea3/growth", grown["relu3"][-1] / grown["relu3"][0], tol=2)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Before training the square holds {glue:text}`S7.2-idea3/untrained:,` regions (recorded {recorded}`S7.2-idea3/untrained`), after the first epoch
{glue:text}`S7.2-idea3/one-epoch:,` ({recorded}`S7.2-idea3/one-epoch`). At the end of the curves there are {glue:text}`S7.2-idea3/growth:.1f` times as many as at their start ({recorded}`S7.2-idea3/growth`). All stay below the upper dashed line. Hanin and Rolnick {cite:p}`hanin-2019-patterns` bound the average for untrained networks, and
measure through training: on a plane the number goes with the square of the number of units, whatever the depth.

## Where max-pooling chooses

The convnet has more gates than bits: in each window of a max-pooling another pixel may be the largest, and then the map changes while no ReLU does.
"""

# %%
curved = exact(convnet.model)
held = slices.partition(curved, plane, square(convnet_part, centre))
blocks = np.array_split(np.arange(len(held)), 20)
bits = np.concatenate([held.pattern(rows).packed().words.numpy() for rows in blocks])
_, same_bits = np.unique(bits, axis=0, return_inverse=True)
len(held), len(np.unique(same_bits))

# %% tags=["hide-input"]
# fmt: off
of_images("the plane through three held-out images", model="convnet")
gates = boundaries.edge_gates(held)
edges = held.mesh.points[held.mesh.edges]
sides = held.mesh.neighbours
argmax = (sides[:, 1] >= 0) & (same_bits[sides[:, 0]] == same_bits[sides[:, 1]])
fig, axes = plt.subplots(1, 2, figsize=(7, 3.75), layout="constrained")
for k, colour, line in ((4, "#56B4E9", 0.4), (2, "#0072B2", 0.6), (0, "k", 0.9)):
    stroke(axes[0], edges[(gates == k) | (gates == k + 1) & ~argmax], colour, line, label=f"ReLU {k // 2 + 1}")
stroke(axes[0], edges[argmax], "#D55E00", 0.9, label="only max-pooling")
tints = 0.55 * SHADES(np.random.default_rng(seed).random(same_bits.max() + 1))[same_bits, :3] + 0.45
fill(axes[1], held.cells, tints)
stroke(axes[1], edges[argmax], "#D55E00", 0.7)
for ax, text in zip(axes, (f"{len(held):,} regions", f"{same_bits.max() + 1:,} patterns of the ReLUs"), strict=True):
    panel(ax, square(convnet_part, centre))
    ax.set_title(text, fontsize="small")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
report.figure(
    fig, name="fig-regions-convnet",
    caption="A very small square of the same plane, cut by the convnet. Left: every edge, by the first gate that changes there. Right: a colour for each pattern of the ReLUs; at the orange edges "
    "only the choice of a max-pooling changes.",
    alt=f"Left: a dense web of black, dark and light blue lines with {argmax.sum():,} orange edges among {len(edges):,}. Right: pale polygons, many of them cut in parts of the same colour by orange lines.",
)
report.number("S7.2-idea3/convnet", len(held), tol=2 * len(held), label="regions of the convnet in a small square")
report.number("S7.2-idea3/convnet-bits", int(same_bits.max()) + 1, tol=2 * len(held), label="patterns of its ReLUs there, without max-pooling's choices")
report.number("S7.2-idea3/convnet-more", len(held) / (same_bits.max() + 1), tol=0.5)
report.number("S7.2-idea3/convnet-part", convnet_part, unit="share", tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** In a square of {glue:text}`S7.2-idea3/convnet-part:.1%` of the width the convnet has {glue:text}`S7.2-idea3/convnet:,` regions, but its ReLUs only
{glue:text}`S7.2-idea3/convnet-bits:,` patterns (recorded {recorded}`S7.2-idea3/convnet` and {recorded}`S7.2-idea3/convnet-bits`, in a square of {recorded}`S7.2-idea3/convnet-part`). The study's patterns are made of bits alone. With max-pooling
they do not tell which affine map an image meets; the choices belong to the pattern.

## Counting from widths

"If you know the mean width of a polytopes you can deduce the number of polytopes." Drop points on a line, or on our plane, and measure the piece in which each lands. Two means suggest themselves: the length of the
line divided by the mean length of these pieces, or times the mean of one over their length.

:::{admonition} Guess first
:class: tip
Both means use the same points. Which of them is right?
:::
"""

# %%
line = segments.between(network, three[:1], three[1:2])
measures = {"line": line.pieces.stops - line.pieces.starts, "plane": whole.areas}
generator = dice(3)
ratios = {}
for name, sizes in measures.items():
    draws = [slices.estimates(sizes, n_points, generator=generator) for _ in range(n_draws)]
    ratios[f"{name}, 1 / mean"] = np.array([draw.plain / draw.exact for draw in draws])
    ratios[f"{name}, mean of 1 / size"] = np.array([draw.harmonic / draw.exact for draw in draws])

# %% tags=["hide-input"]
# fmt: off
of_images("points on a line and a plane through held-out images")
fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
plots.distributions(ratios, ax=ax, xlabel="estimate / exact number of regions")
ax.axvline(1, color="0.5", lw=1, ls="--")
ax.set(xscale="log")
ax.set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
low, high = min(map(np.min, ratios.values())), max(map(np.max, ratios.values()))
ax.xaxis.set_minor_formatter("")
ax.set_xlim(min(0.1, low / 1.2), max(3, high * 1.2))
report.figure(
    fig, name="fig-regions-widths",
    caption=f"{n_draws} estimates of the number of regions from {n_points:,} points each, on the line between two of the images and on the square of the first figure. Bars are medians.",
    alt="Four rows of dots. One over the mean size: narrow clouds at "
    f"{np.median(ratios['line, 1 / mean']):.2f} on the line and {np.median(ratios['plane, 1 / mean']):.2f} on the plane. The mean of one over the size: wide clouds around 1, up to {high:.1f}.",
)


def squared_variation(sizes):
    """Return the squared coefficient of variation."""
    return float(sizes.var() / sizes.mean() ** 2)


report.number("S7.2-idea2/on-line", len(line.pieces.starts), tol=60)
for name, sizes in measures.items():
    plain, harmonic = ratios[f"{name}, 1 / mean"], ratios[f"{name}, mean of 1 / size"]
    report.number(f"S7.2-idea2/{name}-mean", plain.mean(), spread=plain.std(ddof=1), n=n_draws, tol=0.3, agree=(0.8, 1.25),
                  label=f"count from one over the mean width of the pieces met, as a share of the exact, {name}", note="large pieces are met more often")
    report.number(f"S7.2-idea2/{name}-expected", 1 / (1 + squared_variation(sizes)), tol=0.3)
    report.number(f"S7.2-idea2/{name}-harmonic", harmonic.mean(), spread=harmonic.std(ddof=1), n=n_draws, tol=0.6, agree=(0.7, 1.5),
                  label=f"the same from the mean of one over the width, {name}", note="right on average, wide spread")
    report.number(f"S7.2-idea2/{name}-largest", harmonic.max(), tol=40)
# fmt: on

# %% [markdown]
r"""
**What to notice.** A point lands in a piece of twice the size twice as often. So one over the mean size undercounts: on the plane it finds {glue:text}`S7.2-idea2/plane-mean:.2f` of the regions, on the line
{glue:text}`S7.2-idea2/line-mean:.2f` (recorded {recorded}`S7.2-idea2/plane-mean` and {recorded}`S7.2-idea2/line-mean`). The closed form is one over one plus the squared coefficient of variation of the sizes,
{glue:text}`S7.2-idea2/plane-expected:.2f` and {glue:text}`S7.2-idea2/line-expected:.2f` here.

The mean of one over the size is right on average, {glue:text}`S7.2-idea2/plane-harmonic:.2f` and {glue:text}`S7.2-idea2/line-harmonic:.2f` (recorded {recorded}`S7.2-idea2/plane-harmonic` and {recorded}`S7.2-idea2/line-harmonic`): each piece is met
in proportion to its size and then counted with one over its size. A few tiny pieces carry it, so single estimates reach up to {glue:text}`S7.2-idea2/plane-largest:.1f` times the truth. The study's sentence holds for the mean over
all regions, which nobody knows before having counted them.

## Counting by trying

The study's first idea: draw patterns by chance, ask whether they are reachable, and multiply the share of hits by $2^n$. Whether a pattern can be reached is a linear program, since with all gates fixed every value is
affine.
"""


# %%
def hit_rate(n, r, n_tests, generator):
    """Return the share of random patterns of n random units with r inputs that some input reaches."""
    layer = models.initialize(nn.Sequential(nn.Linear(r, n), nn.ReLU()), generator).eval()
    traced = piecewise.trace(layer, (r,))
    drawn = torch.rand(n_tests, n, generator=generator) < 0.5
    patterns = [piecewise.Pattern({"1": own[None]}) for own in drawn]
    found = [reachability.reach(traced, one, box=None) for one in patterns]
    return float(np.mean([one.reachable for one in found]))


def tossed(gates, generator):
    """Return a pattern of some ReLUs of the MLP, each bit by the toss of a coin."""
    coins = torch.rand(len(gates), 1, width, generator=generator) < 0.5
    return piecewise.Pattern(dict(zip(gates, coins, strict=True)))


sizes, rank = [4, 8, 12, 16, 20, 24], 4
generator = dice(4)
hits = [hit_rate(n, rank, n_tests, generator) for n in sizes]
# The first layer has full rank, so its values may be any: they take the place of the image.
full_rank = torch.linalg.matrix_rank(mlp.model.fc1.weight) == width
behind, names = piecewise.trace(mlp.model[3:], (width,)), list(network.gates)
drawn = [tossed(names, generator) for _ in range(20 * n_trials)]
all_layers = [reachability.reach(behind, one, box=None) for one in drawn]
drawn = [tossed(names[:1], generator) for _ in range(n_trials)]
tried = [reachability.reach(network, one, box=(-1, 1)) for one in drawn]

# %% tags=["remove-cell"]
# fmt: off
report.source(f"random units with {rank} inputs; {n_tests} random patterns each")
share = {n: arrangements.affine(n, rank) / 2**n for n in (*sizes, 64)}
small = sizes.index(8)
report.number("S7.2-idea1/small", hits[small] / share[8], spread=((1 - share[8]) / share[8] / n_tests) ** 0.5, tol=1, agree=(0.7, 1.3), n=n_tests,
              label=f"count from random patterns, 8 units with {rank} inputs, as a share of the exact", note="works while hits are not rare")
report.number("S7.2-idea1/hits-small", hits[small], unit="share", tol=0.2)
report.number("S7.2-idea1/expected-small", share[8], unit="share", tol=0)
report.number("S7.2-idea1/expected-24", share[24], unit="share", tol=0)
report.number("S7.2-idea1/tests", 1 / share[64], tol=0)
of_images("random patterns")
first_hits, all_hits = (float(np.mean([one.reachable for one in each])) for each in (tried, all_layers))
report.number("S7.2-idea1/first", first_hits, unit="share", tol=0, n=len(tried), label="random patterns that can be reached, first layer, by inputs from -1 to 1",
              note="as many units as dimensions: every pattern occurs")
report.number("S7.2-idea1/network", all_hits, unit="share", tol=0, agree=(1e-6, 1), n=len(all_layers), label="random patterns that can be reached, all layers, whole space", note="no hit, no probability")
report.number("S7.2-idea1/full-rank", int(full_rank), tol=0)
own = mlp.model[:3](look.images[:1] / 255).double()
turned = []
for bit in torch.randperm(3 * width, generator=generator)[: 20 * n_trials].tolist():
    choices = {name: bits.clone() for name, bits in behind.pattern(own).choices.items()}
    choices[names[bit // width]][0, bit % width] ^= True
    turned.append(reachability.reach(behind, piecewise.Pattern(choices), box=None).reachable)
report.number("S7.2-idea1/neighbours", float(np.mean(turned)), n=len(turned), unit="share", tol=0.4, label="patterns one bit from that of an image that can be reached")
report.number("S7.2-idea1/trials", len(all_layers), tol=0)
report.number("S7.2-idea1/verified", float(np.mean([one.verified for one in tried])), unit="share", tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** With eight units the method works: hits give {glue:text}`S7.2-idea1/small:.2f` of the exact count (recorded {recorded}`S7.2-idea1/small`). With 24 units and the same four inputs {glue:text}`S7.2-idea1/expected-24:.2%` of the
patterns occur, and with 64 units one in {glue:text}`S7.2-idea1/tests:,.0f`. A figure at the end of the chapter shows the fall.

In our network the first layer has as many units as its rank, so *every* pattern of it occurs; of the few that we tried, inputs from −1 to 1 reach {glue:text}`S7.2-idea1/first:.0%` (recorded {recorded}`S7.2-idea1/first`). Of
{glue:text}`S7.2-idea1/trials` random patterns of all three layers {glue:text}`S7.2-idea1/network:.0%` can be reached, even in the whole space (recorded {recorded}`S7.2-idea1/network` of {recorded}`S7.2-idea1/trials`). No hit gives no count. But of patterns *one bit away* from that of an image
{glue:text}`S7.2-idea1/neighbours:.0%` can be reached ({recorded}`S7.2-idea1/neighbours`). To find regions, start from one that is known: go to its neighbours, or cut it
layer by layer, as the drawing of the plane does.

## Only a few left?

Fix the pattern of the first layer. "Possibly there are only a few number of linear regions left?" And of layer $l$, once all layers before it are fixed: "only a handful"? On the plane the answer is exact. In the whole
space we let a point run about inside of the region of some layers (*{term}`hit-and-run`*: a random direction, a random point of the chord, and again) and note the patterns of the next layer that it meets. This can only miss some.

:::{admonition} Guess first
:class: tip
A cell of the first layer, seen on the plane: into how many pieces does the second layer cut it, on average? And how many patterns does it take in the whole space?
:::
"""

# %%
partitions = {"trained": whole, "untrained": slices.partition(untrained, plane, square(1))}
inside = {name: slices.conditional_counts(found) for name, found in partitions.items()}


def cut(model, units, depth, image):
    """Return which units of the next layer are on for some inputs of an image's cell, and off for others."""
    head, layers, found = (
        model[:3],
        list(model[3:]),
        [],
    )  # layers: ReLU, linear, ReLU, linear, ...
    before = layers[: 2 * depth - 1]
    values = head(image[None]).double()
    for unit in units:
        one = nn.Linear(width, 1)
        one.load_state_dict({k: v[[unit]] for k, v in layers[2 * depth - 1].state_dict().items()})
        alone = piecewise.trace(nn.Sequential(*before, one, nn.ReLU()).eval(), (width,))
        choices = alone.pattern(values).choices
        last = list(choices)[-1]
        other = piecewise.Pattern(choices | {last: ~choices[last]})
        found.append(reachability.reach(alone, other, box=None).reachable)
    return found


units = torch.randperm(width, generator=dice(5))[:n_units].tolist()
cuts = {
    depth: np.mean([cut(mlp.model, units, depth, one) for one in look.images[:2] / 255])
    for depth in (1, 2)
}

# %% tags=["hide-input"]
run = partial(polytopes.hit_and_run, n_samples=n_samples, thin=thin, box=(-2, 2))


def met(network, depth, generator):
    """Return for some images how many patterns of the next layer a walk meets, and the units that change."""
    points = run(network, x[:n_chains], gates=names[:depth], generator=generator).samples
    bits = network.pattern(points.flatten(0, 1)).choices[names[depth]]
    bits = bits.unflatten(0, (n_samples, -1))  # (samples, images, units)
    kinds = [len(bits[:, k].unique(dim=0)) for k in range(bits.shape[1])]
    return np.array(kinds), (bits.any(0) & ~bits.all(0)).sum(1).numpy()


generator = dice(5)
roaming = {("trained", depth): met(network, depth, generator) for depth in (1, 2)}
roaming |= {("untrained", depth): met(untrained, depth, generator) for depth in (1, 2)}

# %% tags=["remove-cell"]
rows = whole.ancestors()
mine = np.flatnonzero(rows[:, 0] == np.bincount(rows[:, 0]).argmax())  # the cell of most regions
cell = polygons.take(whole.cells, mine)
second = np.unique(rows[mine, 1], return_inverse=True)[1]
low, high = cell.vertices.min(0), cell.vertices.max(0)
around = 0.54 * (high - low).max() * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
small_share = np.mean(inside["trained"]["relu2"] <= 10)

# %% tags=["hide-input"]
# fmt: off
of_images("the plane through three held-out images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
tints = SHADES(np.random.default_rng(seed).permutation(second.max() + 1) / max(1, second.max()))[second, :3]
fill(axes[0], cell, tints)
mesh = polygons.mesh(cell)
stroke(axes[0], mesh.points[mesh.edges[mesh.neighbours[:, 1] >= 0]], "w", 0.3)
stroke(axes[0], polygons.borders(mesh, second), "k", 0.8)
stroke(axes[0], mesh.points[mesh.edges[mesh.neighbours[:, 1] < 0]], "k", 1.8)
panel(axes[0], (low + high) / 2 + around)
axes[0].axis("off")
for (name, found), style in zip(inside.items(), ("-", ":"), strict=True):
    for gate, colour, text in (("relu2", "C1", "layer 2 in layer 1"), ("relu3", "C2", "layer 3 in layers 1, 2")):
        counts = np.sort(found[gate])
        ends = np.flatnonzero(np.diff(counts, append=counts[-1] + 1))
        above = 1 - np.concatenate([[0], ends[:-1] + 1]) / len(counts)
        axes[1].step(counts[ends], above, where="pre", color=colour, ls=style, label=text if name == "trained" else f"{text}, untrained")
axes[1].set(xscale="log", yscale="log", xlabel="pieces of a cell", ylabel="share of cells with so many")
axes[1].set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
axes[1].legend(fontsize="x-small", loc="lower left")
report.figure(
    fig, name="fig-regions-inside",
    caption="Left: one cell of the first layer, cut by the second (black lines, a colour for each piece) and by the third (white). Right: into how many pieces the cells on the plane are cut by the next layer.",
    alt=f"Left: a polygon in {second.max() + 1} coloured pieces with a web of white lines, {len(mine):,} regions. Right: four falling curves; {small_share:.0%} of the cells of layer 1 have at most ten pieces, the largest {inside['trained']['relu2'].max()}.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def few(depth, extra):
    """Return how many patterns of a layer occur in cells of those before it: on the plane, and met by a walk."""
    gate, (kinds, changed) = list(network.gates)[depth], roaming["trained", depth]
    counts = inside["trained"][gate]
    note = {"plane": "few lines meet a small cell", "space": "most of the units that were tried cut the cell"}
    label = {"plane": f"patterns of layer {depth + 1} in a cell of {extra}, on a plane, median", "space": "the same in the whole space, at least",
             "met": f"patterns of layer {depth + 1} met by a walk of {n_samples} points among pixels from -2 to 2"}
    found = {"plane": (float(np.median(counts)), {"n": len(counts), "tol": 4, "agree": (1, 10)}),
             "plane-mean": (counts.mean(), {"tol": 4}), "plane-largest": (int(counts.max()), {"tol": 1000}),
             "one": (float((counts == 1).mean()), {"unit": "share", "tol": 0.3}), "plane-untrained": (inside["untrained"][gate].mean(), {"tol": 4}),
             "space": (round(float(cuts[depth]) * n_units) + 1, {"tol": 0.3 * n_units, "agree": (1, 10), "n": 2}),
             "cut": (float(cuts[depth]), {"unit": "share", "tol": 0.1}), "changed": (float(np.mean(changed)), {"tol": 60}),
             "met": (float(np.mean(kinds)), {"spread": kinds.std(ddof=1), "n": len(kinds), "tol": 60}),
             "met-untrained": (float(np.mean(roaming["untrained", depth][0])), {"tol": 60})}
    return {key: (value, {"label": label.get(key), "note": note.get(key)} | options) for key, (value, options) in found.items()}


for key, (value, options) in few(1, "the first layer").items():
    report.number(f"S7.1c-conditional-count/{key}", value, **options)
for key, (value, options) in few(2, "the first two layers").items():
    report.number(f"S7.3-conditional/{key}", value, **options)
active = network.pattern(x[:n_chains]).choices["relu1"].double().sum(1).mean()
report.number("S7.1c-conditional-count/bound", math.log10(arrangements.affine(width, round(float(active)))), tol=5)
report.number("S7.3-conditional/samples", n_samples, tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** On the plane the study is right: the second layer makes {glue:text}`S7.1c-conditional-count/plane:.0f` pieces of a typical cell of the first, the third {glue:text}`S7.3-conditional/plane:.0f` of a
cell of both (medians; recorded {recorded}`S7.1c-conditional-count/plane` and {recorded}`S7.3-conditional/plane`). A small cell is met by few lines. Large cells have up to {glue:text}`S7.1c-conditional-count/plane-largest` and
{glue:text}`S7.3-conditional/plane-largest` ({recorded}`S7.1c-conditional-count/plane-largest` and {recorded}`S7.3-conditional/plane-largest`).

In the whole space it is not. A linear program tells whether a unit is on for some inputs of the cell and off for others. This is so for {glue:text}`S7.1c-conditional-count/cut:.0%` of the units of layer 2 that were tried in a cell of
layer 1, and for {glue:text}`S7.3-conditional/cut:.0%` of those of layer 3 in a cell of layers 1 and 2 (recorded {recorded}`S7.1c-conditional-count/cut` and {recorded}`S7.3-conditional/cut`). {term}`Hyperplanes <hyperplane>` that cut a convex cell leave one
piece more than there are of them, at least. The general bound of layer 2, $F$ with the number of active units as the dimension, is ten to the power of {glue:text}`S7.1c-conditional-count/bound:.1f`
({recorded}`S7.1c-conditional-count/bound`). A walk of {glue:text}`S7.3-conditional/samples` points meets {glue:text}`S7.1c-conditional-count/met:.0f` and {glue:text}`S7.3-conditional/met:.0f` patterns
({recorded}`S7.1c-conditional-count/met` and {recorded}`S7.3-conditional/met`), and can only miss some.

## How far to the end of a region?

To see how large a neighbourhood of an image lies in its region, the study lets {term}`copies walk <noise walk>`: add uniform noise, drop the copies whose pattern has changed, refill with the others, and make the noise smaller whenever fewer than
{published}`S6.5-polytopes/survivors` survive: "divide σ by {published}`S6.5-polytopes/noise-divisor`". It prints the last scale, for layers {published}`S6.5-polytopes/layer-1`, {published}`S6.5-polytopes/layer-2` and
{published}`S6.5-polytopes/layer-3`, and {published}`S6.5-polytopes/all-layers` for all three (the exponents are broken, it means powers of ten). These four numbers tell how they were made:
"""

# %%
keys = ("layer-1", "layer-2", "layer-3", "all-layers")
printed = np.array([published.value(f"S6.5-polytopes/{key}")["value"] for key in keys])
shrinkings = {factor: np.log(printed / 0.1) / math.log(factor) for factor in (0.8, 0.5)}
shrinkings

# %% [markdown]
r"""
All four are $0.1$ times a power of $0.8$, up to the last digit: the program shrank by a fifth, not by half. So its scales are steps of a ladder.

No walk is needed. Inside of a region all values are affine, so the distance to its boundary is exact: the smallest of $|z_j| / \lVert\nabla z_j\rVert$ over the units, the {term}`inradius`.

:::{admonition} Guess first
:class: tip
Is the last scale of the noise smaller than this distance, or larger? By how much?
:::
"""

# %%
nearest = inradius.inradius(network, x[:n_look])
corner = inradius.inradius(network, x[: n_look // 3], "linf")
typical = nearest.radius.mean().item()
generator = dice(6)
noises = typical * np.array([0.3, 1, 3, 5, 7, 10, 14, 20])
survive = partial(noise.survival, network, n_copies=20, generator=generator)
survived = [np.mean([survive(one, sigma) for one in x[:100]]) for sigma in noises]
variants = {
    "all layers": names,
    "layer 1": names[:1],
    "layer 2": names[1:2],
    "layer 3": names[2:],
}
start = {"n_copies": n_copies, "n_steps": n_steps, "sigma": first_noise, "generator": generator}
walk = partial(noise.noise_walk, **start)
walks = {
    name: [walk(network, one, gates=gates) for one in x[:n_walks]]
    for name, gates in variants.items()
}
halving = [walk(network, one, shrink=0.5) for one in x[:n_walks]]

# %% tags=["hide-input"]
# fmt: off
of_images(f"{min(n_look, 100)} held-out images")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), layout="constrained")
grid = np.geomspace(0.2, 25, 100)
axes[0].plot(grid, [noise.predicted_survival(1, ratio) for ratio in grid], color="k", lw=1.2, label="predicted")
axes[0].plot(noises / typical, survived, "o", label="measured")
axes[0].axhline(0.2, color="0.5", lw=1, ls="--")
axes[0].set(xscale="log", xlabel="noise / mean inradius", ylabel="copies that stay", ylim=(0, 1.02))
axes[0].set_xticks([0.3, 1, 3, 7, 20], ["0.3", "1", "3", "7", "20"])
axes[0].xaxis.set_minor_formatter("")
axes[0].legend(loc="lower left", fontsize="small")
radii = dict(zip(variants, [typical, *nearest.by_gate.mean(0).tolist()], strict=True))
scales = {name: np.array([w.sigmas.numpy() for w in each]) for name, each in walks.items()}
for (name, values), colour in zip(scales.items(), ("k", "C0", "C1", "C2"), strict=True):
    axes[1].plot(np.arange(n_steps), values.mean(0), color=colour, label=name)
    axes[1].plot([0.8 * n_steps, n_steps], [7 * radii[name]] * 2, color=colour, lw=1.2, ls="--")
axes[1].plot(np.arange(n_steps), np.mean([w.sigmas.numpy() for w in halving], 0), color="0.6", lw=1, label="all, halving")
axes[1].set(yscale="log", xlabel="step of the walk", ylabel="noise")
axes[1].legend(fontsize="x-small")
final = {name: float(values[:, -1].mean()) for name, values in scales.items()}
report.figure(
    fig, name="fig-regions-walk",
    caption=f"Left: share of copies that keep their pattern under uniform noise, mean over {min(n_look, 100)} images, and the law for boundaries at the rate that the inradius gives. Dashed: the study's threshold. Right: the noise of the "
    f"study's walk, mean over {n_walks} images; dashed: seven mean inradii.",
    alt=f"Left: points fall from {survived[0]:.2f} to {survived[-1]:.2f} along a predicted curve and cross the threshold near seven. Right: four falling staircases; all layers end at {final['all layers']:.3f}, "
    f"the single ones at {min(v for k, v in final.items() if k != 'all layers'):.3f} or higher, near their dashed marks.",
)
# fmt: on


# %% tags=["remove-cell"]
# fmt: off
def rms(difference):
    """Return the root mean square difference of pixels, in grey levels of 255."""
    return float(difference.square().mean().sqrt() * 127.5)


one = int(nearest.radius.argsort()[len(nearest.radius) // 2])  # an image of median inradius
gate, unit = nearest.gates[nearest.gate[one]], int(nearest.unit[one])
face = affine.maps(network, x[one : one + 1], gate, units=[unit])
slope, value = face.weight[0, 0], face(x[one : one + 1])[0, 0]
beyond = x[one] - 1.000001 * value * slope / slope.square().sum()
changed = sum(int((a != b).sum()) for a, b in zip(*(network.pattern(p[None]).choices.values() for p in (x[one], beyond)), strict=True))
stayed = walk(network, x[one], n_steps=100).copies[0]
assert network.pattern(stayed[None]).same(network.pattern(x[one][None])).all()
# fmt: on

# %% tags=["hide-input"]
# fmt: off
across = torch.randn(x[:n_look].shape, generator=dice(7), dtype=torch.float64)
across /= across.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
chord = polytopes.chords(network, x[:n_look], across)
chords = (chord.high - chord.low).numpy()
others = blank.normalize(learn.sample(min(len(learn.labels), 5000), seed).images.double() / 255).flatten(1)
next_image = torch.cdist(x[:n_look].flatten(1), others).min(1).values.numpy()
copied = np.concatenate([(w.copies - own).flatten(1).norm(dim=1).numpy()[:10] for w, own in zip(walks["all layers"], x, strict=False)])
lengths = {"to the nearest face": nearest.radius.numpy(), **{f"of layer {k + 1}": column.numpy() for k, column in enumerate(nearest.by_gate.T)},
           "chord, random direction": chords, "copies after the walk": copied, "nearest training image": next_image}
fig = plt.figure(figsize=(7, 5.2), layout="constrained")
grid = fig.add_gridspec(2, 3, height_ratios=(1, 1.35))
for k, (picture, text) in enumerate(((x[one], "an image"), (beyond, "another region"), (stayed, "the same region"))):
    plots.image((picture / 2 + 0.5).numpy().clip(0, 1), ax=fig.add_subplot(grid[0, k]), title=text)
ax = fig.add_subplot(grid[1, :])
plots.distributions(lengths, ax=ax, xlabel="L2 distance, pixels from -1 to 1")
ax.axvline(x[0].numel() ** 0.5 / 127.5, color="0.5", lw=1, ls="--")
ax.set(xscale="log")
report.figure(
    fig, name="fig-regions-far",
    caption="Top: an image; the same one moved just beyond its nearest face, where one unit changes; and a copy that has walked, with the pattern of the first in all units. Bottom: distances, a dot for each image or copy; "
    "the dashed line is one grey level in every pixel.",
    alt=f"Top: the first two pictures look the same, the third is covered by noise. Bottom: rows of dots on a logarithmic axis, the nearest face at a median of {np.median(nearest.radius):.4f}, chords at "
    f"{np.median(chords):.2f}, copies at {np.median(copied):.1f}, the nearest training image at {np.median(next_image):.0f}.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.source("the document's scales")
off = {factor: np.abs(steps - steps.round()).max() for factor, steps in shrinkings.items()}
report.number("S6.5-polytopes/off", off[0.8], tol=1e-5, agree=(0, 0.001), label="the document's four scales as powers of 0.8: largest distance from a whole number")
report.number("S6.5-polytopes/off-halving", off[0.5], tol=1e-5, label="the same for powers of one half")
for key, rung in zip(keys, shrinkings[0.8].round().astype(int), strict=True):
    report.number(f"S6.5-polytopes/rung-{key}", int(rung), tol=0)
added = 1 / (1 / printed[:3]).sum()
report.number("S6.5-polytopes/printed-added", added, tol=1e-9)
report.number("S6.5-polytopes/printed-off", math.log(added / printed[3]) / -math.log(0.8), tol=1e-3)
of_images(f"{len(nearest.radius)} held-out images, pixels from -1 to 1")
report.number("S6.5-polytopes/inradius", typical, spread=float(nearest.radius.std()), n=len(nearest.radius), tol=0.6 * typical, label="mean distance to the end of the region")
for k, mean in enumerate(nearest.by_gate.mean(0).tolist(), 1):
    report.number(f"S6.5-polytopes/inradius-{k}", mean, tol=mean)
report.number("S6.5-polytopes/added", float(1 / (1 / nearest.by_gate.mean(0)).sum()) / typical, tol=0.15, agree=(0.85, 1.15), theory=1, label="rates of the layers, added: distance / that of all layers")
report.number("S6.5-polytopes/single", float(nearest.by_gate.mean(0).min()) / typical, tol=1)
levels = float(corner.radius.mean()) * 127.5
report.number("S6.5-polytopes/tiny", levels, unit="grey levels", tol=levels, agree=(0, 0.5), n=len(corner.radius), label="change of every pixel that leaves the region in the worst direction")
report.number("S6.5-polytopes/at-seven", survived[4], unit="share", tol=0.1, agree=0.1, theory=noise.predicted_survival(1, 7), label="copies that stay, noise of seven mean inradii")
report.number("S6.5-polytopes/predicted-seven", noise.predicted_survival(1, 7), unit="share", tol=0)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
report.number("S6.5-polytopes/all", final["all layers"], spread=float(scales["all layers"][:, -1].std(ddof=1)), n=n_walks, tol=final["all layers"], label="last noise of the study's walk, all layers")
report.number("S6.5-polytopes/ratio", final["all layers"] / typical, tol=6, agree=(3.5, 14), label="last noise of the walk / mean inradius, all layers", note="a fifth survives near seven; copies drift to wider places")
for k in (1, 2, 3):
    report.number(f"S6.5-polytopes/ratio-{k}", final[f"layer {k}"] / radii[f"layer {k}"], tol=6)
report.number("S6.5-polytopes/halving", float(np.mean([w.sigmas[-1] for w in halving])) / typical, tol=5)
report.number("S6.5-polytopes/corner", float(corner.radius.mean()), tol=float(corner.radius.mean()))
report.number("S6.5-polytopes/changed", changed, tol=0)
report.number("S6.5-polytopes/moved", rms(beyond - x[one]), unit="grey levels", tol=1)
seen = float(np.mean([rms(w.copies - own) for w, own in zip(walks["all layers"], x, strict=False)]))
report.number("S6.5-polytopes/see", seen, unit="grey levels", tol=seen, agree=(0, 2), n=n_walks, label="difference of the walked copies from their image, MLP, root mean square", note="up to two grey levels cannot be seen; all copies have the pattern of the image")
report.number("S6.5-polytopes/chord", float(np.median(chords)), tol=float(np.median(chords)))
report.number("S6.5-polytopes/chord-ratio", float(np.median(chords) / np.median(nearest.radius)), tol=300)
report.number("S6.5-polytopes/way", typical / float(np.mean(next_image)), unit="share", tol=0.01)
report.number("S6.5-polytopes/unseen", 1 - width / x[0].numel(), unit="share", tol=0)
rounding = 1 - float(np.mean([survive(own, 1 / 255) for own in x[:100]]))
report.number("S6.5-polytopes/rounded", rounding, unit="share", tol=0.1)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
of_images(f"{n_convnet} held-out images, pixels from -1 to 1", model="convnet")
curved_radius = inradius.inradius(curved, x[: 3 * n_convnet])
relus = [name for name, gate in curved.gates.items() if gate.kind == "relu"]
walk_on = partial(noise.noise_walk, curved, n_copies=n_copies // 3, n_steps=n_steps, generator=dice(8), gates=relus)
wandering = [walk_on(own, sigma=first_noise) for own in x[:n_convnet]]
by_relu = curved_radius.by_gate[:, ::2]
tight = float(by_relu.amin(1).mean())
report.number("S6.5-polytopes/on-boundary", float((curved_radius.radius < 1e-9).double().mean()), unit="share", tol=1)
report.number("S6.5-polytopes/convnet", tight, n=len(by_relu), tol=3 * tight, label="mean distance to the nearest face of a ReLU, convnet")
report.number("S6.5-polytopes/convnet-all", float(np.mean([w.sigmas[-1] for w in wandering])), tol=0.1, label="last noise of the study's walk, convnet")
report.number("S6.5-polytopes/convnet-see", float(np.mean([rms(w.copies - own) for w, own in zip(wandering, x, strict=False)])), unit="grey levels", tol=30, agree=(0, 2), n=n_convnet,
              label="difference of the walked copies from their image, convnet")
for k in (1, 2, 3):
    report.number(f"S6.5-polytopes/convnet-{k}", float(by_relu[:, k - 1].mean()), tol=1)
report.source("untrained networks of Gaussian inputs")
near_by, total = [], []
for depth in (1, 2, 3):
    for wide_by in (32, 64, 128):
        net = exact(models.mlp([wide_by] * depth, len(learn.classes), input_shape=x.shape[1:], generator=dice(9)))
        near_by.append(float(inradius.inradius(net, torch.randn(60, *x.shape[1:], generator=dice(10), dtype=torch.float64)).radius.mean()))
        total.append(wide_by * depth)
slope = np.polyfit(np.log(total), np.log(near_by), 1)[0]
report.number("S6.5-polytopes/slope", float(slope), tol=0.15, label="exponent of the number of units in the distance, untrained")
# fmt: on

# %% [markdown]
r"""
**What to notice.** The noise stops shrinking once a fifth or more survive. For the image itself a law says when: $\exp(-\rho\sigma/\sqrt{6\pi})$ of the copies stay, with $\rho$ one over the mean inradius. At seven inradii
{glue:text}`S6.5-polytopes/at-seven:.0%` do (predicted {glue:text}`S6.5-polytopes/predicted-seven:.0%`; recorded {recorded}`S6.5-polytopes/at-seven`). The walk ends nearby, at {glue:text}`S6.5-polytopes/ratio:.1f` mean inradii (recorded
{recorded}`S6.5-polytopes/ratio`), for single layers at {glue:text}`S6.5-polytopes/ratio-1:.1f`, {glue:text}`S6.5-polytopes/ratio-2:.1f` and {glue:text}`S6.5-polytopes/ratio-3:.1f` ({recorded}`S6.5-polytopes/ratio-1`,
{recorded}`S6.5-polytopes/ratio-2` and {recorded}`S6.5-polytopes/ratio-3`), by halving at {glue:text}`S6.5-polytopes/halving:.1f` ({recorded}`S6.5-polytopes/halving`). It is a rough measure: few images walk, the noise falls in steps, and those copies survive
that have drifted to where the region is wider. So the study's last scale is not the distance to the end of a region, but five to ten times as much.

Rates of layers add: from the inradii of single layers follows {glue:text}`S6.5-polytopes/added:.2f` times that of all of them ({recorded}`S6.5-polytopes/added`), as one over the sum of one over each. From the study's own three scales follows
one that is {glue:text}`S6.5-polytopes/printed-off:.1f` steps of its ladder above the printed one.

"Extremely tiny" holds for the worst direction: {glue:text}`S6.5-polytopes/tiny:.2g` grey levels in every pixel are enough (recorded {recorded}`S6.5-polytopes/tiny`), and the mean inradius is
{glue:text}`S6.5-polytopes/way:.2%` of the way to the nearest training image, in the recorded run less. But a chord in a random direction is {glue:text}`S6.5-polytopes/chord-ratio:.0f` times as
long as the inradius ({recorded}`S6.5-polytopes/chord-ratio`; medians). And "we can't see any differences" does not measure a region: the middle picture looks the same and lies in another one, while the MLP's walked copies lie in the same one and
differ by {glue:text}`S6.5-polytopes/see:.0f` grey levels ({recorded}`S6.5-polytopes/see`). Most of that noise runs in the {glue:text}`S6.5-polytopes/unseen:.0%` of all directions to which the first layer is blind. In the convnet the nearest face is closer,
at {glue:text}`S6.5-polytopes/convnet:.2g` instead of {glue:text}`S6.5-polytopes/inradius:.2g` ({recorded}`S6.5-polytopes/convnet` and {recorded}`S6.5-polytopes/inradius`), and its copies differ by {glue:text}`S6.5-polytopes/convnet-see:.1f` grey levels
({recorded}`S6.5-polytopes/convnet-see`). In untrained networks the distance goes with the number of units to the power {glue:text}`S6.5-polytopes/slope:.1f` ({recorded}`S6.5-polytopes/slope`).

## Which layers make as many as they can?

The study guesses a recurrence for the number of regions "based on small numbers of n, r computation that we can make". It is a theorem, proved in [](#ch-modelling): $n$ units of rank $r$ make

$$
F(n, r) = \sum_{k \le r} \binom{n}{k}
$$

regions, *if* their hyperplanes are in general position. The following small layers show what the condition is worth.
"""

# %%
rng = np.random.default_rng(seed)
dense, biases = rng.normal(size=(6, 3)), rng.normal(size=6)
kernels = rng.normal(size=(3, 2))  # three channels, two pixels wide
flat = np.outer(rng.normal(size=3), rng.normal(size=2))  # rank 1


def convolution(kernels):
    """Return the six units of three kernels at two places of three inputs."""
    return np.concatenate([np.pad(kernels, ((0, 0), (k, 1 - k))) for k in (0, 1)])


small_layers = {
    "general": (dense, biases),
    "rank-2": (rng.normal(size=(6, 2)) @ dense[:2], biases),
    "no-bias": (dense, None),
    "convolution": (convolution(kernels), np.tile(biases[:3], 2)),
    "flat": (convolution(flat), np.tile(biases[:3], 2)),
}
made = {name: len(arrangements.regions(*layer).patterns) for name, layer in small_layers.items()}
ranks_of = {name: np.linalg.matrix_rank(layer[0]) for name, layer in small_layers.items()}
allowed = {name: arrangements.recurrence(6, int(r)) for name, r in ranks_of.items()}

# %% tags=["remove-cell"]
# fmt: off
report.source("small random layers")
for name in made:
    report.number(f"S7.1-recurrence/{name}", made[name], tol=0)
    report.number(f"S7.1-recurrence/{name}-allowed", allowed[name], tol=0)
report.number("S7.1-recurrence/general-share", made["general"] / allowed["general"], tol=0, agree=(0.999, 1.001), theory=1, label="regions of a random layer, as a share of the recurrence")
report.number("S7.1-recurrence/convolution-share", made["convolution"] / allowed["convolution"], tol=0, label="the same of a convolution")
# fmt: on

# %% [markdown]
r"""
| six units, three inputs | rank $r$ | bound $F(6, r)$ | regions |
|---|---|---|---|
| random weights and biases | 3 | {glue:text}`S7.1-recurrence/general-allowed` | {glue:text}`S7.1-recurrence/general` |
| random weights of rank 2 | 2 | {glue:text}`S7.1-recurrence/rank-2-allowed` | {glue:text}`S7.1-recurrence/rank-2` |
| no biases | 3 | {glue:text}`S7.1-recurrence/no-bias-allowed` | {glue:text}`S7.1-recurrence/no-bias` |
| a convolution of three kernels | 3 | {glue:text}`S7.1-recurrence/convolution-allowed` | {glue:text}`S7.1-recurrence/convolution` |
| the same, kernel matrix of rank 1 | 2 | {glue:text}`S7.1-recurrence/flat-allowed` | {glue:text}`S7.1-recurrence/flat` |

Only the first two layers reach $F$. Without biases all hyperplanes meet in one point. A convolution repeats its weights, and kernels of rank 1 give parallel hyperplanes.

The study concludes: "we could regularize a network based on the rank of the matrix". We limit the rank of one hidden layer and learn from few images, so that there is something to regularise.

:::{admonition} Guess first
:class: tip
A layer's rank is lowered to 8. How many digits does the number of its regions lose, and how many points does the accuracy?
:::
"""


# %%
def build_low_rank(rank, generator):
    """Return a network of one hidden layer whose weights have a rank, kept through training."""
    scale = {"mean": pixel_mean, "std": pixel_std}
    net = models.mlp([width], input_shape=x.shape[1:], generator=generator, **scale)
    if rank is None:
        return net
    u, s, v = torch.linalg.svd(net.fc1.weight.detach(), full_matrices=False)
    inner, outer = nn.Linear(v.shape[1], rank, bias=False), nn.Linear(rank, width)
    with torch.no_grad():
        inner.weight.copy_(s[:rank, None].sqrt() * v[:rank])
        outer.weight.copy_(u[:, :rank] * s[:rank].sqrt())
        outer.bias.copy_(net.fc1.bias)
    net.fc1 = nn.Sequential(inner, outer)
    return net


few_images = learn.sample(n_few, seed)
schedule = {"epochs": few_epochs, "learning_rate": few_rate, "batch_size": few_batch}
scores = {}
for rank in [*ranks, None]:
    each = []
    for k in range(n_seeds):
        net = build_low_rank(rank, dice(20 + k))
        train.fit(net, *few_images[:2], generator=dice(40 + k), progress=False, **schedule)
        each.append([train.accuracy(net, *part) for part in (few_images[:2], held_out[:2])])
    scores[rank or width] = np.array(each)
limited = {r: exact(build_low_rank(r, dice(20))) for r in ranks}
wide = {r: slices.partition(net, plane, square(1e6)) for r, net in limited.items()}

# %% tags=["hide-input"]
# fmt: off
of_images(f"{n_few:,} training images, {n_seeds} networks of one hidden layer")
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
places = list(scores)
for k, (text, marker) in enumerate((("training", "s"), ("held-out", "o"))):
    axes[0].errorbar(places, [each[:, k].mean() for each in scores.values()], [each[:, k].std(ddof=1) for each in scores.values()], marker=marker, label=text)
axes[0].set(xscale="log", xlabel="rank of the first layer", ylabel="accuracy", ylim=(0, 1.04))
axes[0].set_xticks(places, [str(r) for r in places])
axes[0].xaxis.set_minor_formatter("")
digits = {r: math.log10(arrangements.affine(width, r)) for r in places}
twin = axes[0].twinx()
twin.plot(places, digits.values(), color="0.5", ls=":", label="log10 F")
twin.set(ylabel="log10 F", ylim=(0, None))
twin.spines["right"].set(visible=True, color="0.5")
lines = [each for ax in (axes[0], twin) for each in ax.get_legend_handles_labels()[0]]
axes[0].legend(lines, ["training", "held-out", "log10 F"], fontsize="x-small", loc="lower right")
axes[1].plot(range(4, 41), [arrangements.affine(n, 4) / 2.0**n for n in range(4, 41)], color="k", lw=1.2, label="$F(n, 4) / 2^n$")
found = np.array(hits) > 0
axes[1].plot(np.array(sizes)[found], np.array(hits)[found], "o", label="share of hits")
axes[1].plot(np.array(sizes)[~found], np.full((~found).sum(), 1 / n_tests), "v", mfc="none", color="C1", label="no hit")
axes[1].set(yscale="log", xlabel="units, with 4 inputs", ylabel="patterns that occur")
axes[1].legend(fontsize="small")
report.figure(
    fig, name="fig-regions-rank",
    caption=f"Left: accuracy of networks whose hidden layer of {width} units has a limited rank, learned from {n_few:,} images (bars: standard deviation over {n_seeds} networks), and log10 F(n, r). Right: share of "
    f"{n_tests} random patterns that can be reached, for one random layer of each size, and the law.",
    alt=f"Left: training accuracy rises from {scores[places[0]][:, 0].mean():.2f} at rank 1 to {scores[width][:, 0].mean():.2f}, held-out accuracy to {scores[width][:, 1].mean():.2f} at full rank, log10 F from "
    f"{digits[1]:.0f} to {digits[width]:.0f}. Right: points fall along a curve to {min(h for h in hits if h):.3f}, then none.",
)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
least, most = width, max(r for r in ranks if r != width)
held_accuracy = {r: each[:, 1].mean() for r, each in scores.items()}
best = max(ranks, key=held_accuracy.get)
report.number("S7.1b-rank-regularise/gain", held_accuracy[best] - held_accuracy[width], unit="share", tol=0.05, agree=(0.003, 1),
              label="held-out accuracy, best of the lower ranks, less that of full rank", note="fewer regions, but not a better network")
report.number("S7.1b-rank-regularise/full", held_accuracy[width], spread=scores[width][:, 1].std(ddof=1), n=n_seeds, unit="share", tol=0.05, label="held-out accuracy, full rank")
report.number("S7.1b-rank-regularise/eight", held_accuracy[8], spread=scores[8][:, 1].std(ddof=1), n=n_seeds, unit="share", tol=0.06, label="held-out accuracy, rank 8")
report.number("S7.1b-rank-regularise/one", held_accuracy[1], unit="share", tol=0.15)
report.number("S7.1b-rank-regularise/gap", scores[width][:, 0].mean() - held_accuracy[width], unit="share", tol=0.06)
report.number("S7.1b-rank-regularise/gap-eight", scores[8][:, 0].mean() - held_accuracy[8], unit="share", tol=0.06)
report.number("S7.1b-rank-regularise/images", n_few, tol=0)
report.number("S7.1b-rank-regularise/digits", digits[width], tol=0)
report.number("S7.1b-rank-regularise/digits-eight", digits[8], tol=0)
seen_on_plane = {r: len(found) for r, found in wide.items()}
report.number("S7.1b-rank-regularise/line", seen_on_plane[1], tol=0)
report.number("S7.1b-rank-regularise/same", min(v for r, v in seen_on_plane.items() if r > 1) / straight, tol=0.01, agree=(0.99, 1), label="regions on a plane for rank 2 and more: fewest / F(n, 2)", theory=1)
report.number("S7.1b-rank-regularise/straight", straight, tol=0)
# fmt: on

# %% [markdown]
r"""
**What to notice.** At rank 8 the first layer can make ten to the power of {glue:text}`S7.1b-rank-regularise/digits-eight:.1f` regions instead of {glue:text}`S7.1b-rank-regularise/digits:.1f` (recorded {recorded}`S7.1b-rank-regularise/digits-eight` and
{recorded}`S7.1b-rank-regularise/digits`). The accuracy on held-out images is {glue:text}`S7.1b-rank-regularise/eight:.1%` instead of {glue:text}`S7.1b-rank-regularise/full:.1%` ({recorded}`S7.1b-rank-regularise/eight` and
{recorded}`S7.1b-rank-regularise/full`). Full rank to the best lower rank is a change of {glue:text}`S7.1b-rank-regularise/gain:.1%` ({recorded}`S7.1b-rank-regularise/gain`): the rank controls the
count, but here it does not help. All ranks took the same steps; at rank 8 the network fits the training images less well, too.

A plane cannot show it. Across a very large square an untrained layer of rank 1 makes {glue:text}`S7.1b-rank-regularise/line` regions, $n + 1$ (recorded {recorded}`S7.1b-rank-regularise/line`). Every higher rank makes
{glue:text}`S7.1b-rank-regularise/same:.2%` of $F(n, 2)$ or more.

## The document's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**On a boundary.** Flat areas of an image make ties in max-pooling, and then the image lies on the boundary of its region: {glue:text}`S6.5-polytopes/on-boundary:.0%` of the images tried in the convnet (recorded
{recorded}`S6.5-polytopes/on-boundary`). For the convnet we therefore measure the faces of the ReLUs alone. A unit that is zero on the whole plane cuts nothing there.

**Another window.** All counts belong to one square through three images. Another square has another count.

**Beyond the images.** Copies that walk leave the range of pixels, and the whole space is larger than that of images.

**One network.** We trained one of each kind. On the digits the counts differ by half and more from seed to seed.

:::{admonition} What we learned
:class: important
- On a plane all regions can be had, with a check. Max-pooling adds regions that bits do not show.
- Mean sizes undercount, the mean of one over the size does not, and random patterns find nothing in large networks.
- "Only a few" is true on a plane, not in the whole space.
- The study's noise scale is five to ten inradii. A region can be thin and yet reach far.
- The recurrence is a theorem with conditions. Low rank cuts the count; here it did not cut the error.
:::

## Exercises

```{exercise}
:label: ex-regions-euler
**One is missing** (3 minutes). A square is cut into polygons. How many are there, if you know only the numbers of points and of edges, the rim of the square included?
```
"""

# %% tags=["exercise"]
n_corners, n_edges = len(whole.mesh.points), len(whole.mesh.edges)


def polygons_from(n_corners, n_edges):
    """Return the number of polygons."""
    return n_edges - n_corners  # one triangle would be none


passed = polygons_from(n_corners, n_edges) == len(whole)
report.check("ex-regions-euler", passed, "Euler's formula; try it on one triangle.")


# %% tags=["solution"]
def polygons_from(n_corners, n_edges):
    """Return the number of polygons."""
    return n_edges - n_corners + 1


passed = polygons_from(n_corners, n_edges) == len(whole)
report.check("ex-regions-euler", passed, "Euler's formula; try it on one triangle.")

# %% [markdown]
r"""
```{exercise}
:label: ex-regions-mean
**The piece in which a point lands** (5 minutes). Points land evenly on a line that is cut in pieces. What is the mean length of the piece in which a point lands? It is not the mean of the lengths.
```
"""

# %% tags=["exercise"]
lengths_of = measures["line"]


def mean_met(lengths):
    """Return the mean length of the piece in which a point lands."""
    return lengths.mean()  # as if each piece were met equally often


passed = abs(1 / mean_met(lengths_of) / len(lengths_of) - ratios["line, 1 / mean"].mean()) < 0.05
report.check("ex-regions-mean", passed, "A piece of twice the length is met twice as often.")


# %% tags=["solution"]
def mean_met(lengths):
    """Return the mean length of the piece in which a point lands."""
    return (lengths**2).sum() / lengths.sum()


passed = abs(1 / mean_met(lengths_of) / len(lengths_of) - ratios["line, 1 / mean"].mean()) < 0.05
report.check("ex-regions-mean", passed, "A piece of twice the length is met twice as often.")

# %% [markdown]
r"""
```{exercise}
:label: ex-regions-corner
**The nearest face, if all pixels help** (5 minutes). Every pixel may change by up to $t$. From which $t$ on can a unit of the *first* layer be switched? Return the smallest such $t$ over the units, for weights $(n, d)$,
biases $(n)$ and one image $(d)$.
```
"""

# %% tags=["exercise"]
weights, shifts = (p.detach().double() for p in (mlp.model.fc1.weight, mlp.model.fc1.bias))
truth = inradius.inradius(network, x[:5], "linf", gates=["relu1"]).radius


def smallest_change(weights, shifts, image):
    """Return the smallest change of all pixels that switches a unit."""
    heights = (weights @ image + shifts).abs()
    return (heights / weights.norm(dim=1)).min()  # right for the length of the change


answers = torch.stack([smallest_change(weights, shifts, image) for image in x[:5].flatten(1)])
report.check(
    "ex-regions-corner", torch.allclose(answers, truth), "How far does z move if all pixels help?"
)


# %% tags=["solution"]
def smallest_change(weights, shifts, image):
    """Return the smallest change of all pixels that switches a unit."""
    heights = (weights @ image + shifts).abs()
    return (heights / weights.abs().sum(1)).min()


answers = torch.stack([smallest_change(weights, shifts, image) for image in x[:5].flatten(1)])
report.check(
    "ex-regions-corner", torch.allclose(answers, truth), "How far does z move if all pixels help?"
)

# %% [markdown]
r"""
```{exercise}
:label: ex-regions-tests
**How long would it take?** (5 minutes). A computer tests a thousand random patterns of $n$ units with $r$ inputs in a second. After how many seconds do you expect the first hit? What is the largest $n$ that
takes less than a day, for $r = 4$?
```
"""


# %% tags=["exercise"]
def seconds(n, r):
    """Return the expected number of seconds up to the first hit."""
    return 2**n / arrangements.affine(n, r)  # seconds, not tests


largest = max(n for n in range(4, 100) if seconds(n, 4) < 86_400)
passed = largest == max(n for n in range(4, 100) if 2**n < 86_400_000 * arrangements.affine(n, 4))
report.check("ex-regions-tests", passed, "A thousand tests take one second.")


# %% tags=["solution"]
def seconds(n, r):
    """Return the expected number of seconds up to the first hit."""
    return 2**n / arrangements.affine(n, r) / 1000


largest = max(n for n in range(4, 100) if seconds(n, 4) < 86_400)
passed = largest == max(n for n in range(4, 100) if 2**n < 86_400_000 * arrangements.affine(n, 4))
report.check("ex-regions-tests", passed, "A thousand tests take one second.")

# %% [markdown]
r"""
## Go further

- Humayun and colleagues {cite:p}`humayun-2023` draw exact partitions of planes for large networks, and Berzins {cite:p}`berzins-2023` subdivides edges.
- Montúfar and colleagues {cite:p}`montufar-2014` and Serra and colleagues {cite:p}`serra-2018` bound the number of regions of deep networks.
- Hanin and Rolnick {cite:p}`hanin-2019-complexity` derive how many pieces a line meets.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
