# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-own-network)=
# How do I read a network of my own?

**Give five tools a PyTorch module and a folder of images. Each of them takes about ten lines, which you copy from this page. What a
tool cannot follow it refuses, and says why.** In a hurry? Copy the imports, then go to [](#own-your-turn).

```{figure} ../results/real/19_own_network/fig-own-maps.webp
:name: fig-own-hero
:alt: A small photograph in the top left corner and rows of its activation maps, red and blue; the maps get coarser from row to row.

What the first section gives: one image on its way through a network that somebody else wrote and trained. (Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Bring a network and a folder of images, and set four names: `images`, `labels`, `model` and `layers`.
- Draw its {term}`activation maps <activation map>` and its layers as clouds of points, compare its {term}`activation patterns <pattern>`,
  follow its exact {term}`linear regions <region>`, and measure its {term}`aliasing`.
- Read the messages of the tools, and know where they see nothing.

**You need** some PyTorch: to write a module and to load its weights. **Time:** 20 minutes to read, one minute to run. **Document:** none; this page
rebuilds no experiment, it shows how to do your own. **Data:** shapes that `actlib` draws; in the recorded run CIFAR-10
{cite:p}`krizhevsky-2009` and photographs of ImageNet {cite:p}`russakovsky-2015` (both for research).
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
# what the folder holds, and the side of the images in pixels
pictures, n_learn, n_look, size = "shapes", 1500, 300, 24
# the weights: a file that is there, or None to train for some epochs
checkpoint = None
n_blocks, width, pool, epochs = 1, 8, True, 8
mean, std = [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]
layers = ["network.bn1", "network.layer1", "network.layer2", "network.layer3"]
perplexity = 30
# of the way from one image to the next; images whose distance to the boundary is measured
part, n_radius = 1.0, 3
# the second network: its images, and the side at which its regions are followed
photographs, n_photographs, photo_size, exact_size = "shapes", 60, 32, 12
photo_layers = ["relu", "layer1", "layer2", "layer3", "layer4"]
# the width of its two steps that are followed exactly
photo_part = 0.05

# %% [markdown]
r"""
## What to import

The package is installed once, with `pip install .` in a copy of this book. Open the next cell and copy it as it is. (The folded cell at the top sets this page's own choices: sizes,
layers, and how far to go.)
"""

# %% tags=["hide-input"]
import textwrap
from collections import OrderedDict

import matplotlib.pyplot as plt
import numpy as np
import safetensors.torch
import torch
import torchvision
from actlib import (
    affine,
    aliasing,
    capture,
    data,
    embed,
    inputs,
    inradius,
    maps,
    neighbours,
    patterns,
    piecewise,
    planes,
    plots,
    report,
    segments,
    slices,
    store,
    train,
    weights,
)
from torch import nn
from torch.nn import functional as F

# %% tags=["remove-cell"]
report.start("19_own_network", profile=profile, seed=seed, device=device)
torch.manual_seed(seed)


def write(name, split, n, folder):
    """Write images of a set as PNG files in class folders; a file that is there already stays, so that its time does."""
    from actlib.pictures import encode  # the name pictures is that of a parameter

    drawn = data.load(name, split, n=n)
    for k, (pixels, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        path = folder / split / drawn.classes[label] / f"{k:05}.png"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            store.write_bytes(path, encode(pixels.permute(1, 2, 0).numpy()))


# In the cache and not in a temporary folder: decoded images are kept by the place of their files.
folder = store.cache_root() / "own_network" / f"{pictures}-{n_learn}-{n_look}"
if n_learn:
    write(pictures, "train", n_learn, folder)
write(pictures, "test", n_look, folder)
files = sorted(folder.rglob("*.png"))

# %% [markdown]
r"""
## Your images: one folder per class

The name of a folder is the name of a class; its images lie in it. PNG, JPEG, WebP and some others will do. To have such a
folder here, this page has written {glue:text}`own/files:,` files of the set "shapes" (in the recorded run photographs of CIFAR-10). It looks
like this:
"""

# %% tags=["hide-input"]
for split in sorted(folder.iterdir()):
    for name in sorted(split.iterdir())[:3]:
        found = sorted(path.name for path in name.iterdir())
        print(f"{split.name}/{name.name}/{found[0]}  ... {len(found)} files")
    print(f"{split.name}/...  {len(list(split.iterdir()))} classes")

# %% [markdown]
r"""
`data.load("folder", ...)` reads it. The pixels come as bytes, (n, 3, h, w); the first call decodes the files and keeps the result, later ones are
quick. With `size` each image is resized and cut to a square, and so may be of any size before. Without `train` and
`test` inside, leave out the name of the part.
"""

# %%
images, labels, classes = data.load("folder", "test", root=folder, size=size)
print(tuple(images.shape), images.dtype, classes[:3])

# %% [markdown]
r"""
## Your network: any module

Here is a small {term}`residual network` as one finds it in many repositories. It is not from `actlib`, and has habits that
tools must cope with: one `ReLU` module that works in place and is called twice, another {term}`ReLU` that is a function and no module, a sum in place, and a
shortcut that drops every second pixel by a slice.
"""


# %%
class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.n_more = n_out - n_in

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.n_more:
            half = self.n_more // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half))
        y += x
        return self.relu(y)


# %%
class Net(nn.Module):
    def __init__(self, n_blocks, width, n_classes, pool):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        for k, n in enumerate([width, 2 * width, 4 * width]):
            first = Block(n if k == 0 else n // 2, n, 1 if k == 0 else 2)
            more = [Block(n, n, 1) for _ in range(n_blocks - 1)]
            setattr(self, f"layer{k + 1}", nn.Sequential(first, *more))
        self.linear = nn.Linear(4 * width, n_classes)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, x.size()[3])
        return self.linear(x.view(x.size(0), -1))


# %% [markdown]
r"""
All tools hand the network floats from 0 to 1. If yours was trained on pixels that were normalised, put the normalisation in front of it, as its first
part. The names of its layers then begin with `network.`. The next cell makes our network from a file of weights; yours needs such a
function, too. Both ways of reading a file are safe: neither runs code from it.
"""


# %%
def make_model(path):
    """Return your network with the weights of your file, ready to be read."""
    if str(path).endswith(".safetensors"):
        state = safetensors.torch.load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    state = {k.removeprefix("module."): v for k, v in state.get("state_dict", state).items()}
    network = weights.fill(Net(n_blocks, width, len(classes), pool), state, path)
    normalize = inputs.Normalize(mean, std)
    return nn.Sequential(OrderedDict(normalize=normalize, network=network)).eval()


# %% [markdown]
r"""
This page has no file to begin with. So it trains the network for some seconds with a plain loop of PyTorch, and saves the weights with safetensors. (The
recorded run trains nothing: it reads the
file of a ResNet-20 from [a repository of others](https://github.com/akamaster/pytorch_resnet_cifar10).)
"""

# %% tags=["hide-input"]
if checkpoint is None:
    learn = data.load("folder", "train", root=folder, size=size)
    net = nn.Sequential(inputs.Normalize(mean, std), Net(n_blocks, width, len(classes), pool))
    optimizer = torch.optim.AdamW(net.parameters())
    n_steps = epochs * (n_learn // 50)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, n_steps)
    for _ in range(epochs):
        for batch in torch.randperm(n_learn)[: n_learn // 50 * 50].split(50):
            loss = F.cross_entropy(net(learn.images[batch] / 255), learn.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    file = folder.with_suffix(".safetensors")
    with store.atomic(file) as temporary:  # whole or not at all
        safetensors.torch.save_file(net[1].state_dict(), temporary)
else:
    file = weights.find([checkpoint], remedy="it is in the repository named above")

# %%
model = make_model(file)
ours, shown = model, images  # cells that show messages keep to these
accuracy = train.accuracy(model, images, labels)
print(f"{accuracy:.0%} right")
capture.layer_names(model, (nn.ReLU, nn.BatchNorm2d, nn.Sequential))

# %% tags=["remove-cell"]
about = f"{pictures}, {n_look:,} images of a folder"
report.source(f"{pictures}, written as files")
report.number("own/files", len(files), tol=0)
report.source(about)
report.number("own/accuracy", accuracy, unit="share", tol=0.1, label="accuracy of the network on the images of the folder")  # fmt: skip

# %% [markdown]
r"""
The list has the names that `layers` may hold. In our list are `network.bn1`, whose positive values are those that the ReLU behind it
lets through, and the three stages, which end with a ReLU. The network is right on {glue:text}`own/accuracy:.0%` of the images (recorded
{recorded}`own/accuracy`); look at this number first, since a mistake in the normalisation or in the order of the {term}`channels <channel>` shows there.

A cell that begins with `# copy` works for your network as it stands. It uses `model`, `images`, `labels` and `layers`, three settings (`perplexity`, `part`,
`n_radius`), and what the copied cells above it have made. It prints; the folded cell below it draws, where your own script has `fig.savefig("maps.png")` in place of
`report.figure(...)`. The cells that show messages keep to our network, `ours`; you need not copy them.

## Activation maps
"""

# %%
# copy: activation maps of one image
with torch.no_grad(), capture.capture(model, layers) as seen:
    scores = model(inputs.prepare(model, images[:1]))
rows = {name: maps.signed(value[0]) for name, value in seen.items() if value.ndim == 4}
for name, value in seen.items():
    zeros = float((value == 0).double().mean())
    print(f"{name:20} {tuple(value.shape[1:])!s:16} {zeros:.0%} zeros")

# %% tags=["hide-input"]
report.source(f"{pictures}, one image of a folder")
fig = plt.figure(figsize=(7, 1.05 * (1 + len(rows))), layout="compressed")
axes = plots.grid(1 + len(rows), 8, figure=fig)
plots.picture_row([images[0].numpy()], axes=axes[0], label="image")
for name, row, values in zip(rows, axes[1:], rows.values(), strict=True):
    plots.map_row(values[:8].numpy(), axes=row, label=name.removeprefix("network."))
zero = [float((value == 0).double().mean()) for value in seen.values()]
report.figure(
    fig,
    name="fig-own-maps",
    caption="An image of the folder, and the first eight maps of each layer: red above zero, blue below, one scale per layer.",
    alt=f"One {classes[labels[0]]} and {len(rows)} rows of maps. Only the first row has blue; below it all is red or white, and "
    f"{zero[-1]:.0%} of the last layer are zero.",
)

# %% tags=["remove-cell"]
report.number("own/zeros-first", zero[0], unit="share", tol=0.02)
report.number(
    "own/zeros-last", zero[-1], unit="share", tol=0.3, label="zeros in the last layer, one image"
)

# %% [markdown]
r"""
**What to notice.** The block `capture.capture` fills a dictionary and leaves no trace in the network. Each value is a copy made right after the
layer has run, which matters here: `y += x` and the ReLU in place write over what they were given. Before the ReLU the maps have both signs; behind it
they are positive or zero ({glue:text}`own/zeros-last:.0%` zeros in the last layer).

How does a tool say that something is wrong? The function `told` makes a call that must fail and returns the message. We begin with a misspelt name. The
second line is no mistake: a ReLU module that is called twice gives two maps, and they are numbered. The functional ReLU in `Net.forward` is no module and has no name: ask for the layer
before it.
"""


# %%
def told(call):
    """Return what a call says when it refuses."""
    try:
        call()
    except Exception as error:
        return textwrap.fill(f"{type(error).__name__}: {error}", 84)
    raise AssertionError("it did not refuse")


print(told(lambda: capture.collect(ours, shown, ["network.layer1.0.rellu"])))
print(list(capture.collect(ours, shown[:2], ["network.layer1.0.relu"])))

# %% [markdown]
r"""
A layer may also give a tuple, such as an {term}`LSTM`. Its tensors then get numbers. What `collect`, the tool for a whole folder, cannot use is a tensor whose first
axis is not that of the images, such as the last state of the LSTM:
"""


# %%
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3 * size, 8, batch_first=True)
        self.out = nn.Linear(8, 10)

    def forward(self, x):  # an image is a sequence of its rows
        return self.out(self.lstm(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1])


recurrent = Recurrent().eval()
with torch.no_grad(), capture.capture(recurrent, ["lstm"]) as parts:
    recurrent(inputs.prepare(recurrent, shown[:4]))
print({name: tuple(value.shape) for name, value in parts.items()})
print(told(lambda: capture.collect(recurrent, shown, ["lstm"])))

# %% [markdown]
r"""
## Layers as embeddings

`capture.collect` runs the whole folder through the network, batch by batch, in eval mode. Each row of what it gives is a point. Two things are worth
drawing: a picture by {term}`t-SNE`, and a number that the picture cannot flatter, how often the ten nearest neighbours vote for the right class
({term}`nearest-neighbour accuracy`).
"""

# %%
# copy: layers as embeddings
clouds = {}
votes = {"pixels": neighbours.accuracy(images.flatten(1).float(), labels)}
for name, values in capture.collect(model, images, layers).items():
    flat = values.reshape(len(values), -1)
    votes[name] = neighbours.accuracy(flat, labels)
    clouds[name] = embed.tsne(flat, perplexity=perplexity).points
print(*(f"{name:20} {vote:.0%}" for name, vote in votes.items()), sep="\n")

# %% tags=["hide-input"]
report.source(about)
fig, axes = plt.subplots(2, -(-len(clouds) // 2), figsize=(7, 6), squeeze=False)
for ax, name in zip(axes.flat, clouds, strict=False):
    title = f"{name.removeprefix('network.')}: 10-NN {votes[name]:.0%}"
    plots.points(clouds[name].numpy(), ax=ax, groups=labels.numpy(), names=classes, title=title)
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=5, markerscale=3)
fig.tight_layout(rect=(0, 0.08, 1, 1))
last = layers[-1]
report.figure(
    fig,
    name="fig-own-clouds",
    caption="The images of the folder as points, by t-SNE; colours are classes. 10-NN: how often the ten nearest neighbours in the full layer vote for the right class.",
    alt=f"{len(clouds)} clouds of points. In the first the colours are mixed, in the last one they gather: the neighbours vote right for "
    f"{votes[layers[0]]:.0%} and for {votes[last]:.0%}.",
)

# %% tags=["remove-cell"]
report.number("own/votes-pixels", votes["pixels"], unit="share", tol=0.06, label="10-NN accuracy of the pixels")  # fmt: skip
report.number("own/votes-last", votes[last], unit="share", tol=0.1, label="10-NN accuracy of the last layer")  # fmt: skip

# %% [markdown]
r"""
**What to notice.** The neighbours vote right for {glue:text}`own/votes-pixels:.0%` of the images as pixels, and for
{glue:text}`own/votes-last:.0%` in the last layer (recorded {recorded}`own/votes-pixels` and {recorded}`own/votes-last`). Draw an untrained copy beside it: without one
you do not know what training did. [](#ch-embeddings) tells how such a picture misleads.

The tools refuse images of another form, and floats that are normalised already:
"""

# %%
print(told(lambda: capture.collect(ours, shown[:, :1], ["network"])))
print(told(lambda: capture.collect(ours, (shown / 255 - 0.5) / 0.25, ["network"])))

# %% [markdown]
r"""
## Activation patterns

With `dtype="bits"` only the signs are kept: one bit a {term}`unit`, packed, a thirty-second of the memory. Two images differ by the number of units in which
one is active and the other is not, the {term}`Hamming distance`.
"""

# %%
# copy: activation patterns
bits = capture.collect(model, images, layers, dtype="bits")
apart = {}
for name, packed in bits.items():
    apart[name] = patterns.matrix(packed).numpy() / packed.n_bits
    active, n_different = patterns.activation(packed), len(patterns.unique(packed).counts)
    print(f"{name:20} {packed.n_bits:6} units, {active.layer:.0%} active, {n_different} patterns")

# %% tags=["hide-input"]
pair = np.triu(np.ones((len(labels), len(labels)), bool), 1)
same = labels[:, None].eq(labels).numpy()
by_class = {
    kind: [apart[name][pair & mask] for name in layers]
    for kind, mask in {"same class": same, "other classes": ~same}.items()
}
means = {kind: [values.mean() for values in each] for kind, each in by_class.items()}
fig, axes = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
plots.steps(
    [name.removeprefix("network.") for name in layers],
    means,
    ax=axes[0],
    ylabel="units that differ",
)
for kind, each in by_class.items():
    axes[1].hist(each[-1], bins=30, density=True, histtype="step", label=kind, lw=1.5)
axes[1].set(xlabel="units that differ, last layer", ylabel="density")
axes[1].legend()
report.figure(
    fig,
    name="fig-own-patterns",
    caption="Hamming distance over the number of units, for two images of one class and of different classes. Left: mean in each layer. Right: all pairs in the last layer.",
    alt=f"Left: two lines that part with depth, at the end {means['same class'][-1]:.2f} for one class and {means['other classes'][-1]:.2f} for "
    "different ones. Right: two histograms, that of one class further left.",
)

# %% tags=["remove-cell"]
report.number("own/hamming-same", float(means["same class"][-1]), unit="share", tol=0.05, label="units of the last layer that differ, one class")  # fmt: skip
report.number("own/hamming-other", float(means["other classes"][-1]), unit="share", tol=0.05, label="units of the last layer that differ, different classes")  # fmt: skip
report.number(
    "own/active-last", float(patterns.activation(bits[last]).layer), unit="share", tol=0.08
)

# %% [markdown]
r"""
**What to notice.** In the last layer two images of one class differ in {glue:text}`own/hamming-same:.0%` of the units, images of
different classes in {glue:text}`own/hamming-other:.0%` (recorded {recorded}`own/hamming-same` and {recorded}`own/hamming-other`). [](#ch-patterns) and
[](#ch-constellations) go on from here.

A bit says "above zero". Behind a ReLU that is a pattern, and just before one as well. Behind a GELU or a sigmoid you get bits too, and nothing warns
you: this tool cannot know what your layer means.

## Exact linear regions

A network of ReLUs, max-pooling and affine layers is itself affine, $f(x) = Wx + b$, within the region where no unit and no pooling changes its choice.
`piecewise.trace` takes your network apart, functions and sums in place too, and everything else follows it in double precision.

:::{admonition} Guess first
:class: tip
Go straight from the first image of the folder to the second. How many of these regions does the way pass: some tens, some thousands, or some millions?
:::
"""

# %%
# copy: exact regions, around an image and on the way to the next
network = piecewise.trace(model, images.shape[1:])
x = inputs.prepare(model, images[:3]).double()
found = affine.maps(network, x[:1])  # f(x) = W x + b
residual = affine.verify(network, found, x[:1]).residuals.item()
radius = inradius.inradius(network, x[:n_radius]).radius  # to the nearest boundary
way = segments.between(network, x[:1], x[:1] + part * (x[1:2] - x[:1]))
n_pieces = len(way.pieces.starts)
print(f"{n_pieces:,} regions, residual {residual:.0e}, radius", *(f"{r:.0e}" for r in radius))

# %% tags=["hide-input"]
report.source(f"{pictures}, two images of a folder")
elsewhere = float((found(x[1:2]) - network(x[1:2])).abs().max() / network(x[1:2]).abs().max())
answer = int(network(x[:1]).argmax())
changes = way.counts()[0]
size_of = (7, max(2.6, 0.17 * len(network.gates)))
fig, axes = plt.subplots(1, 3, figsize=size_of, layout="constrained", width_ratios=[1, 1, 1.7])
plots.image(images[0].numpy(), ax=axes[0], title="the image")
weight = found.weight[0, answer].mean(0)
plots.signed_map(maps.signed(weight).numpy(), ax=axes[1], title=f"its map for {classes[answer]}")
names = [name.removeprefix("network.") for name in network.gates]
axes[2].barh(range(len(names)), changes, color="#0072b2")
axes[2].set(yticks=range(len(names)), yticklabels=names, xlabel="changes on the way")
axes[2].tick_params(axis="y", labelsize=7)
axes[2].invert_yaxis()
report.figure(
    fig,
    name="fig-own-regions",
    caption="An image, the row of W for the network's answer (mean over the colours, red above zero), and how many units of each gate change on the way to the next image.",
    alt=f"An image, a small map of red and blue pixels, and {len(names)} bars, {int(changes.sum()):,} changes in all; the longest bar is that of "
    f"{names[int(changes.argmax())]}.",
)

# %% [markdown]
r"""
**What to notice.** At another point of the region the affine map differs from the network by {glue:text}`own/residual:.1e` of the largest score, by rounding
alone. At the next image the same map is wrong by {glue:text}`own/residual-next:.1f` times the largest score: so the check would notice a wrong map. The nearest boundary is,
in the median of the images that were measured, {glue:text}`own/radius:.1e` away (recorded {recorded}`own/radius`), where pixels go from zero to one. The way of length {glue:text}`own/length:.1f` (it covers {glue:text}`own/part:.0%` of the distance between the two images) passes
{glue:text}`own/pieces:,` regions. In the recorded run it covers {recorded}`own/part` of the distance and passes {recorded}`own/pieces`. Note the names of the gates in the figure: functions are listed by
their names, a module that is called again is numbered as in the maps.

The next cell draws all regions of a small square around the image, in the plane through the first three images. Its side is set by the
regions that the way has passed, so that there are some hundreds, whatever the network.
"""

# %%
# copy: every region of a small square
plane = planes.through(*x)
reach = 10 * part * plane.corners[1, 0] / n_pieces
square = reach * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
cut = slices.partition(network, plane, square)
print(f"{len(cut)} regions; after each gate:", slices.counts(cut))

# %% tags=["hide-input"]
report.source(f"{pictures}, three images of a folder")
rng = np.random.default_rng(seed)
polygons = np.split(cut.cells.vertices, cut.cells.offsets[1:-1])
fig, ax = plt.subplots(figsize=(4, 4), layout="constrained")
shades = plt.get_cmap("viridis")(rng.uniform(0.15, 1, len(polygons)))
for polygon, shade in zip(polygons, shades, strict=True):
    ax.fill(*polygon.T, facecolor=shade, edgecolor="white", linewidth=0.3)
ax.set(
    xlim=(-reach, reach),
    ylim=(-reach, reach),
    aspect="equal",
    xticks=[-reach, 0, reach],
    yticks=[],
)
ax.plot(0, 0, marker="+", color="k", ms=10)
ax.set_xticklabels([f"{-reach:.1g}", "0", f"{reach:.1g}"])
report.figure(
    fig,
    name="fig-own-slice",
    caption="Every region in a square of the plane through three images; the cross is the first image, lengths are those of pixels from zero to one. Colours only tell neighbours apart.",
    alt=f"A square cut by straight lines into {len(cut):,} polygons in shades of green and blue, a cross in the middle; the largest region has "
    f"{cut.areas.max() / cut.areas.sum():.1%} of the area.",
)

# %% tags=["remove-cell"]
report.source(f"{pictures}, three images of a folder")
report.number("own/residual", residual, tol=1e-9, label="W x + b against the network, elsewhere in the region")  # fmt: skip
report.number("own/residual-next", elsewhere, tol=0.6, label="the same map at the next image")
report.number("own/radius", float(radius.median()), tol=1e-3, label="distance to the nearest boundary, median")  # fmt: skip
report.number("own/pieces", n_pieces, tol=2000, label="regions on the way to the next image")
report.number("own/part", part, unit="share", tol=0)
report.number("own/length", float(part * (x[1] - x[0]).norm()), tol=0.01)
report.number("own/cells", len(cut), tol=400, label="regions in the square")

# %% [markdown]
r"""
What has no such regions, or cannot be followed, is refused by name: smooth functions such as GELU and softmax, products of two values as in
attention, branches that depend on values, and values that leave PyTorch.
"""


# %%
class Branch(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.query, self.key = nn.Linear(size, 8), nn.Linear(size, 8)
        self.way = forward

    def forward(self, x):
        return self.way(self, x)


shape = shown.shape[1:]
smooth = nn.Sequential(nn.Conv2d(3, 10, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
attention = Branch(lambda m, x: (m.query(x) @ m.key(x).mT).softmax(-1).flatten(1))
branch = Branch(lambda m, x: m.query(x) if x.mean() > 0.5 else m.key(x))
leaving = Branch(lambda m, x: m.query(x) * float(x.max()))
for other in (smooth, attention, branch, leaving, recurrent):
    print(told(lambda other=other: piecewise.trace(other.eval(), shape)), "\n")
print(told(lambda: piecewise.trace(make_model(file).train(), shape)))

# %% [markdown]
r"""
The last message is one that you will meet: `model.eval()` was forgotten. A model that gives a tuple or a dictionary is refused as well; wrap it so that it gives one tensor. Large networks are followed too, but not for free: around an image the work grows with the number of pixels
times the cost of a forward pass. Take small images, a short way (`part`), or the first gates (`last=` and `gates=`). More is in
[](#ch-affine) and [](#ch-regions).

## Aliasing

Wherever a layer keeps only every second pixel, fast oscillations can come out as slow ones. `aliasing.measure` finds the strided
convolutions and poolings, and says for each which share of the frequencies passes unharmed, aliased, or tangled.
"""

# %%
# copy: aliasing where the network drops pixels
measured = aliasing.measure(model, images[:100])["corrected"]
for name, layer in measured.items():
    shares = zip(layer.shares.mean(0).tolist(), aliasing.CATEGORIES, strict=True)
    print(f"{name:24}", ", ".join(f"{share:.0%} {kind}" for share, kind in shares))

# %% tags=["hide-input"]
report.source(f"{pictures}, {min(100, n_look)} images of a folder")
mixed = {name: layer.shares.mean(0).tolist() for name, layer in measured.items()}
fig, ax = plt.subplots(figsize=(7, 0.9 + 0.4 * len(mixed)), layout="constrained")
for k, shares in enumerate(mixed.values()):
    for i, kind in enumerate(aliasing.CATEGORIES):
        ax.barh(
            k,
            shares[i],
            left=sum(shares[:i]),
            color=aliasing.COLORS[i],
            label=kind if k == 0 else None,
        )
ax.set(
    yticks=range(len(mixed)),
    yticklabels=[name.removeprefix("network.") for name in mixed],
    xlabel="share of the frequencies",
    xlim=(0, 1),
)
ax.invert_yaxis()
ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
report.figure(
    fig,
    name="fig-own-aliasing",
    caption="What becomes of the frequencies at each layer that drops pixels, mean over the images, by the corrected measure.",
    alt="; ".join(
        f"{name.removeprefix('network.')}: {shares[3]:.0%} tangled, {shares[1]:.0%} unharmed"
        for name, shares in mixed.items()
    )
    + f". {len(mixed)} bars in four colours.",
)

# %% tags=["remove-cell"]
tangled = [shares[3] for shares in mixed.values()]
report.number("own/dropping", len(mixed), tol=0, label="layers found that drop pixels")
report.number("own/tangled-most", max(tangled), unit="share", tol=0.1, label="tangled frequencies, worst layer")  # fmt: skip

# %% [markdown]
r"""
**What to notice.** {glue:text}`own/dropping` layers were found, and in the worst of them {glue:text}`own/tangled-most:.0%` of the frequencies are tangled (recorded:
{recorded}`own/dropping` layers, {recorded}`own/tangled-most`). The shortcuts of our blocks drop pixels as well, by the slice `x[:, :, ::2, ::2]`. They are missing in the
figure, because a slice is no module. **This is a blind spot without a message**, as long as any other layer is found. If none is found, or a layer is
named that drops nothing, you are told. (Where a map is smaller than the stride, as at the end of a deep network on small images, the message names
the layer too. Then give `measure` a list of layers without it.)
"""

# %%
dense = nn.Sequential(nn.Flatten(), nn.Linear(3 * size**2, 16), nn.ReLU(), nn.Linear(16, 10))
print(told(lambda: aliasing.measure(dense, shown)))
print(told(lambda: aliasing.measure(ours, shown, ["network.conv1"])))

# %% [markdown]
r"""
What the categories mean, and why a published measure of them needed a correction, is told in [](#ch-aliasing).

## Another network

Now everything again, for a network of torchvision and other images. Three things change: the folder (`others`), how the model is made (`another`) and the list of layers (`more`). The weights here
are random, since ImageNet's do not come with this book; with a file that you have, `weights.imagenet("resnet18")` gives the trained network in the same form.
So these numbers show that the tools run, and say nothing about a trained ResNet.
"""

# %%
others = data.load(
    photographs, data.manifest(photographs).splits[-1], n=n_photographs, size=photo_size
).images
normalize = inputs.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
resnet = torchvision.models.resnet18(weights=None)
another = nn.Sequential(OrderedDict(normalize=normalize, network=resnet)).eval()
more = [f"network.{name}" for name in photo_layers]

signs = capture.collect(another, others, more, dtype="bits")
activity = {name: patterns.activation(packed).layer for name, packed in signs.items()}
alike = {n: patterns.matrix(p).double().mean() / p.n_bits for n, p in signs.items()}
small = F.interpolate(inputs.prepare(another, others[:2]), exact_size, mode="area").double()
exact = piecewise.trace(another, small.shape[1:])
steps = segments.between(exact, small[:1], small[:1] + photo_part * (small[1:] - small[:1]))
dropped = aliasing.measure(another, others[:20])["corrected"]
print(f"{len(exact.gates)} gates, {len(steps.pieces.starts)} regions", *dropped, sep="\n")

# %% tags=["hide-input"]
report.source(f"{photographs}, {n_photographs} images; ResNet-18 of torchvision, random weights")
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
plots.steps(
    list(signs),
    {"active": list(activity.values()), "differ": [float(a) for a in alike.values()]},
    ax=axes[0],
    ylabel="share of the units",
)
axes[0].legend()
worst = [float(layer.shares.mean(0)[3]) for layer in dropped.values()]
axes[1].barh(range(len(dropped)), worst, color=aliasing.COLORS[3])
axes[1].set(
    yticks=range(len(dropped)),
    yticklabels=[name.removeprefix("network.") for name in dropped],
    xlabel="tangled frequencies",
)
axes[1].invert_yaxis()
axes[0].set_xticklabels([name.removeprefix("network.") for name in signs])
report.figure(
    fig,
    name="fig-own-second",
    caption="ResNet-18 of torchvision with random weights. Left: units that are active, and units in which two images differ. Right: tangled frequencies at its layers that drop pixels.",
    alt=f"Left: two lines over {len(signs)} layers, active units between {min(activity.values()):.2f} and {max(activity.values()):.2f}. Right: "
    f"{len(dropped)} bars, the longest {max(worst):.2f}.",
)

# %% tags=["remove-cell"]
report.number("own/second-gates", len(exact.gates), tol=0, label="gates of the second network")
report.number("own/second-pieces", len(steps.pieces.starts), tol=50, label="regions on a short way, second network")  # fmt: skip
report.number("own/second-dropping", len(dropped), tol=0)
report.number("own/second-size", others.shape[-1], tol=0)

# %% [markdown]
r"""
**What to notice.** Nothing had to be told to the tools: ResNet-18 has {glue:text}`own/second-gates` gates, which were found although each block calls one ReLU twice, and
{glue:text}`own/second-dropping` layers that drop pixels, its shortcuts among them, because here they are convolutions. The images had {glue:text}`own/second-size` pixels a side (recorded: {recorded}`own/second-size`).

(own-your-turn)=
## Your turn

To read your own network, open this page as a notebook (the button on top, or `make lab`), and add a cell before the section "Activation maps":

```python
images, labels, classes = data.load("folder", root="your/folder", size=32)  # as your network takes them
state = torch.load("your_weights.pt", map_location="cpu", weights_only=True)  # or safetensors.torch.load_file
network = weights.fill(YourNetwork(), state, "your_weights.pt")
normalize = inputs.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])  # what was subtracted, and the divisor
model = nn.Sequential(OrderedDict(normalize=normalize, network=network)).eval()
layers = ["network.layer1", "network.layer4"]  # some of capture.layer_names(model)
perplexity, part, n_radius = 30, 0.01, 1  # fewer than the images; how far the exact cells go
```

Then run the page again from there. Where a tool refuses your network, leave out its cells: one without a layer that drops pixels has no aliasing to
measure, one with a GELU no exact regions. At 224 pixels the exact cells take long: run them on smaller images, or leave them out. Without labels, leave out
the votes of the neighbours.

If the weights are not those of the network, `weights.fill` says which names differ:
"""

# %%
wider = Net(n_blocks, 2 * width, 10, pool)
print(told(lambda: weights.fill(wider, ours[1].state_dict(), file.name)))

# %% [markdown]
r"""
## The numbers of this page
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

| tool | does not see | and then |
|---|---|---|
| maps, embeddings, patterns | functions such as `F.relu`; compiled models and TorchScript | the name is unknown; a message |
| a whole folder | what is not one row an image: the last state of an LSTM | a message with the layer and both shapes |
| patterns | the meaning of a sign | **nothing**: choose layers with a ReLU |
| exact regions | smooth functions, attention, branches on values, train mode | a message with the place |
| aliasing | slices, functional pooling, 1-D and 3-D layers | **nothing**, unless no other layer is found |

**Time.** Around an image the exact tools cost as many forward passes as there are pixels. **Memory.** `collect` holds all values of a layer: pass a folder as `out` for
large ones, or take bits. **One network.** A difference between two layers of one network, or two networks, needs several seeds before it is a finding, and a
control: an untrained copy, shuffled labels, noise of the same size.

:::{admonition} What we learned
:class: important
- Four names, `model`, `images`, `labels` and `layers`, are all that changes from network to network.
- Layers are modules. A function or a slice in `forward` has no name: exact regions see it, the other tools do not.
- A refusal names the place and the remedy. Two things pass in silence: signs without meaning, and what drops pixels without being a
  layer, such as a slice or a pooling called as a function.
- Look at the accuracy first, and draw an untrained copy beside everything.
:::

## Exercises

```{exercise}
:label: ex-own-names
**Which layers?** (3 minutes). Write a function that returns the names of all convolutions of any network that drop pixels, without `aliasing`.
```
"""


# %% tags=["exercise"]
def strided(model):
    """Return the names of the convolutions whose stride is 2 or more."""
    return capture.layer_names(model, nn.Conv2d)  # of whatever stride


wanted = ["network.layer2.0.conv1", "network.layer3.0.conv1"]
passed = strided(ours) == wanted
report.check("ex-own-names", passed, "A convolution has an attribute stride, a pair of numbers.")


# %% tags=["solution"]
def strided(model):
    """Return the names of the convolutions whose stride is 2 or more."""
    names = capture.layer_names(model, nn.Conv2d)
    return [name for name in names if max(model.get_submodule(name).stride) > 1]


passed = strided(ours) == wanted
report.check("ex-own-names", passed, "A convolution has an attribute stride, a pair of numbers.")

# %% [markdown]
r"""
```{exercise}
:label: ex-own-visible
**A ReLU with a name** (5 minutes). In `Hidden` the ReLU is a function, and nobody can ask for its output. Write a network with the same
weights and the same scores in which `"relu"` is a layer.
```
"""


# %% tags=["exercise"]
class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.second(F.relu(self.first(x)))


class Visible(Hidden):
    """The same network with a layer called relu."""


def is_visible(kind):
    """Return whether a class gives the scores of Hidden and has a layer called relu that is its ReLU."""
    hidden, shown, x = Hidden(), kind(), torch.randn(5, 4)
    shown.load_state_dict(hidden.state_dict(), strict=False)
    if "relu" not in capture.layer_names(shown):
        return False
    with capture.capture(shown, ["relu"]) as seen:
        agree = torch.allclose(shown(x), hidden(x))
    return agree and torch.allclose(seen["relu"], F.relu(hidden.first(x)))


report.check(
    "ex-own-visible", is_visible(Visible), "Create the ReLU in __init__, and call it in forward."
)


# %% tags=["solution"]
class Visible(Hidden):
    """The same network with a layer called relu."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.second(self.relu(self.first(x)))


report.check(
    "ex-own-visible", is_visible(Visible), "Create the ReLU in __init__, and call it in forward."
)

# %% [markdown]
r"""
```{exercise}
:label: ex-own-exact
**From smooth to exact** (5 minutes). `smooth` has a GELU, and so no exact regions. Return a copy in which each GELU is a ReLU and all else
is the same, ready for `piecewise.trace`. (It is another network: its scores differ.)
```
"""


# %% tags=["exercise"]
def with_relu(model):
    """Return a copy of a nn.Sequential in which each GELU is a ReLU."""
    return nn.Sequential(*model)  # still has its GELU


def is_exact(change):
    """Return whether a changed copy of smooth can be followed, and smooth is as it was."""
    try:
        gates = piecewise.trace(change(smooth), shape).gates
    except ValueError:
        return False
    return list(gates) == ["1"] and isinstance(smooth[1], nn.GELU)


hint = "Go through the parts, and put a ReLU in the place of a GELU."
report.check("ex-own-exact", is_exact(with_relu), hint)


# %% tags=["solution"]
def with_relu(model):
    """Return a copy of a nn.Sequential in which each GELU is a ReLU."""
    return nn.Sequential(*(nn.ReLU() if isinstance(part, nn.GELU) else part for part in model))


report.check("ex-own-exact", is_exact(with_relu), hint)

# %% [markdown]
r"""
## Go further

- What the tools were made for: [](#ch-maps), [](#ch-embeddings), [](#ch-patterns), [](#ch-affine), [](#ch-regions), [](#ch-aliasing).
- All functions with their arguments and errors are in the [reference](../book/api.md), the words in the [glossary](../book/glossary.md).
- Other tools for the same purpose: Captum {cite:p}`kokhlikyan-2020` explains single answers, SplineCam {cite:p}`humayun-2023` draws exact regions of large networks.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
