# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-maps)=
# What does one image do to a network?

**It fills the network with thousands of small pictures. They are smoother than noise, few of them can be read one by one,
and together they tell far more than any of them alone.**

```{figure} ../results/real/01_maps/fig-maps-unit.webp
:name: fig-maps-hero
:alt: Photographs, and below each of them the same photograph, dark except where one unit of a network is active.

What you will be able to draw: eight photographs and, inside the yellow line, the places to which one unit of a network
answers. Nobody told the network what they have in common. (Recorded run; the last section explains it.)
```

:::{admonition} What you will be able to do
:class: tip
- Draw the {term}`activation maps <activation map>` of any layer of any network, with their signs.
- Say how many numbers each layer holds.
- Test a sentence about single {term}`channels <channel>` with a number and a control, and avoid the trap of reporting
  the best of many.
- Lay a map on the image where its {term}`units <unit>` look.

**You need** Python with a little PyTorch, and to know what a convolution is. **Time:** 25 minutes to read, one minute to
run. **Document:** the first half of the lecture "Looking at activations" {cite:p}`fleuret-activations`, slides 1 to 6 and
the count of dimensions. **Data:** scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY) and shapes that
`actlib` draws; in the recorded run MNIST {cite:p}`lecun-mnist` (CC BY-SA), Tiny ImageNet {cite:p}`le-2015`
and photographs of ImageNet {cite:p}`russakovsky-2015` (both for research).
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
handwriting, n_handwriting, handwriting_epochs, n_seeds = "digits", None, 9, 3
colour, n_colour, colour_size, colour_epochs = "shapes", 4000, 32, 6
depth, widths, stem_stride, precision = 8, [16, 32, 64], 1, "float32"
augment = None
n_look = 600
concept_name, concept = "a gap between two painted parts", ["ring", "bars"]
elsewhere, show_size, show_image = "shapes", 32, 4
concept_elsewhere = ["frame"]
# names of the trained classes, where they are called otherwise
known_elsewhere = []

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision
from actlib import (
    capture,
    checkpoints,
    data,
    fields,
    maps,
    models,
    plots,
    report,
    resnets,
    statistics,
    train,
    weights,
)
from sklearn.linear_model import LogisticRegression
from torch.optim.swa_utils import update_bn

report.start("01_maps", profile=profile, seed=seed, device=device)
generator = torch.Generator().manual_seed(seed)

# %% [markdown]
r"""
## A network that reads digits

The lecture's first network is a small one, with two convolutions. We train it three times from different random starts,
because one network is an anecdote. `load_or_fit` keeps the trained networks, so a second run of this page is faster. Names
that no visible cell defines, such as `handwriting`, are parameters: they stand in the folded cell above.
"""

# %%
learn = data.load(handwriting, "train", n=n_handwriting)
digits = data.load(handwriting, "test")
recipe = {"epochs": handwriting_epochs, "batch_size": 64, "schedule": "onecycle"}
recipe |= {"optimizer": "adam", "learning_rate": 2e-3}
images, labels = learn.images.to(device), learn.labels.to(device)
fitted = [
    checkpoints.load_or_fit("maps-lenet", models.course_lenet, images, labels, seed=k, **recipe)
    for k in range(seed, seed + n_seeds)
]
lenets = [result.model for result in fitted]
lenet = lenets[0]
accuracies = [
    train.accuracy(network, digits.images, digits.labels.to(device)) for network in lenets
]

# %% tags=["remove-cell"]
STAND_INS = {"digits": "MNIST"}


def source(what):
    """Say where numbers come from that the stand-in for the lecture's large networks gives."""
    trained = f"{what}; network trained on {len(learn.labels):,} images of {colour}"
    report.source(trained, stand_in="AlexNet and ResNet-152 trained on ImageNet")


def mean_and_spread(values):
    """Return mean and standard deviation over the trained networks as a number's value and spread."""
    return {
        "value": float(np.mean(values)),
        "spread": float(np.std(values, ddof=1)),
        "n": len(values),
    }


report.source(
    f"{handwriting}, {len(digits.labels):,} test images", stand_in=STAND_INS.get(handwriting)
)
seconds = sum(sum(result.history.seconds) for result in fitted)
report.number(
    "F1-lenet-maps/training", seconds, unit="seconds", tol=1e9
)  # of the run that trained them
report.number("F1-lenet-maps/accuracy", **mean_and_spread(accuracies), unit="share", tol=0.02,
              label="test accuracy of the small network")  # fmt: skip

# %% [markdown]
r"""
The three networks read {glue:text}`F1-lenet-maps/accuracy:.1%` of the test images correctly (recorded run on MNIST:
{recorded}`F1-lenet-maps/accuracy`). Now one image goes in, and we ask for what comes out of five layers. Inside the
`capture` block, each forward pass fills the dictionary `activations`.

:::{admonition} Guess first
:class: tip
The rows of the next figure are the outputs of *convolution, {term}`ReLU`, max-pooling, convolution, ReLU*. Red is positive,
blue is negative, white is zero. Which rows hold blue? In which row do you expect to lose the digit?
:::
"""

# %%
image = digits.images[:1]
layers = ["conv1", "relu1", "pool1", "conv2", "relu2"]
with torch.no_grad(), capture.capture(lenet, layers) as activations:
    lenet(models.prepare(lenet, image))
# one scale per row
rows = {name: maps.signed(activations[name][0]).cpu() for name in layers}

# %% tags=["hide-input"]
fig = plt.figure(figsize=(7, 5))
axes = plots.grid(6, 8, figure=fig)
plots.picture_row([image[0, 0].numpy() / 255, None], axes=axes[0], label="input")
plots.signed_map(image[0, 0].numpy() / 255, ax=axes[0, 1])
first, second = (torch.randperm(k, generator=generator)[:8].sort().values for k in (32, 64))
for name, line in zip(layers, axes[1:], strict=True):
    chosen = (
        second if name.endswith("2") else first
    )  # the same channels before and after the ReLU
    plots.map_row(
        rows[name][chosen].numpy(), axes=line, label=f"{name}\n{rows[name].shape[-1]} px"
    )
negative = {name: float((activations[name] < 0).float().mean()) for name in layers}
report.figure(
    fig,
    name="fig-maps-digit",
    caption="A digit (top: in grey, and signed) and eight channels of the small network, chosen at random: a column is one "
    "channel before and after ReLU and pooling. Red is positive, blue negative, white zero; one scale per row.",
    alt=f"The strokes of the digit are visible down to pool1; after conv2 only a few pixels a map are left. Blue appears "
    f"in conv1 and conv2 ({negative['conv1']:.0%} and {negative['conv2']:.0%} of the values) and in no other row.",
)

# %% tags=["remove-cell"]
silent = float((activations["relu2"] == 0).float().mean())
report.number("F1-lenet-maps/negative-conv1", negative["conv1"], unit="share", tol=0.15)
report.number("F1-lenet-maps/silent-relu2", silent, unit="share", tol=0.15)

# %% [markdown]
r"""
**What to notice.** The row `conv1` finds edges: a channel is red on one side of each stroke and blue on the other. The
{term}`ReLU` removes the blue, which is {glue:text}`F1-lenet-maps/negative-conv1:.0%` of the values of this image (of the
recorded digit {recorded}`F1-lenet-maps/negative-conv1`). Pooling makes the pictures coarser. After the second convolution
a map has only a handful of pixels, and after its ReLU {glue:text}`F1-lenet-maps/silent-relu2:.0%` of them are exactly zero
(recorded {recorded}`F1-lenet-maps/silent-relu2`). The lecture calls these last two rows "harder to interpret".

## How many numbers is that?

Eight channels of a layer are a small sample of it. The lecture counts: a digit goes from
{published}`F10-dims/lenet-input` numbers to {published}`F10-dims/lenet-max`, an image of ImageNet in a ResNet-152 from
{published}`F10-dims/resnet152-input` to {published}`F10-dims/resnet152-max`. This can be checked without any weights:
`overview` sends an image without values through the network and notes the shapes.

:::{admonition} Guess first
:class: tip
Does the number of values grow or shrink towards the end of a network? Where is it largest?
:::
"""

# %%
with torch.device("meta"):  # shapes only: no weights, no arithmetic
    networks = {
        "small network": (models.course_lenet(), (1, 28, 28)),
        "AlexNet": (torchvision.models.alexnet(), (3, 224, 224)),
        "ResNet-152": (torchvision.models.resnet152(), (3, 224, 224)),
    }
sizes = {}
for name, (network, shape) in networks.items():
    rows = capture.overview(network, shape)
    values = [row.n_values for row in rows if row.kind in ("Conv2d", "Linear")]
    sizes[name] = [int(np.prod(shape)), *values]

# %% tags=["hide-input"]
report.source("the networks' definitions")
fig, ax = plt.subplots(figsize=(7, 3.2))
for (name, values), style in zip(sizes.items(), ("o-", "s-", "-"), strict=True):
    ax.plot(np.linspace(0, 1, len(values)), values, style, ms=4, lw=1, label=name)
ax.set(
    yscale="log",
    xlabel="place in the network (0: image, 1: output)",
    ylabel="numbers for one image",
)
ax.legend()
report.figure(
    fig,
    name="fig-maps-sizes",
    caption="How many numbers one image becomes after each convolution and linear layer of three networks.",
    alt=f"All three curves jump up after the image, to {max(sizes['small network']):,}, {max(sizes['AlexNet']):,} and "
    f"{max(sizes['ResNet-152']):,} numbers, and then fall in steps to 10 or 1,000.",
)

# %% tags=["remove-cell"]
for name, key, agree in (("small network", "lenet", 500), ("ResNet-152", "resnet152", 5000)):
    report.number(
        f"F10-dims/{key}-input",
        sizes[name][0],
        label=f"numbers of an image, {name}",
        tol=0,
        agree=agree,
    )
    report.number(
        f"F10-dims/{key}-max",
        max(sizes[name]),
        label=f"its largest layer, {name}",
        tol=0,
        agree=agree,
    )
    report.number(f"F10-dims/{key}-growth", max(sizes[name]) / sizes[name][0], tol=0.001)
report.number("F10-dims/resnet152-features", networks["ResNet-152"][0].fc.in_features, tol=0)

# %% [markdown]
r"""
**What to notice.** The counts hold: {glue:text}`F10-dims/lenet-max:,` and {glue:text}`F10-dims/resnet152-max:,`. A network
does not squeeze the image at once. The small one first makes {glue:text}`F10-dims/lenet-growth:.0f` numbers of each pixel,
ResNet-152 {glue:text}`F10-dims/resnet152-growth:.0f` of each value of its image. (Its line zigzags because each block narrows
and widens again.) Only at the very end it averages every map to one number and decides from
{glue:text}`F10-dims/resnet152-features:,`.

## Colour images and a deeper network

The lecture goes on with AlexNet {cite:p}`krizhevsky-2012` and ResNet-152 {cite:p}`he-2016-residual` on a photograph. Their
ImageNet weights do not come with this book. Where you have the files, `weights.imagenet("resnet152")` loads them, and
a run on photographs shows those networks in the two figures below. Otherwise they show a **{term}`stand-in`** that we train: a
{term}`residual network`. On this page it has {glue:text}`F3-resnet152-maps/depth` layers and learns what the parameter `colour` names,
drawn shapes unless you change it. In the recorded run it has {recorded}`F3-resnet152-maps/depth` layers, learns the
{recorded}`F3-resnet152-maps/classes` classes of Tiny ImageNet from images 64 pixels wide, a part of the training set, and is
then shown larger photographs.
"""

# %%
held_out = data.manifest(colour).splits[-1]
learn = data.load(colour, "train", size=colour_size, n=n_colour)
test = data.load(colour, held_out, size=colour_size)


def build(generator):
    """Return the stand-in, untrained."""
    options = {"widths": widths, "stem_stride": stem_stride, "size": colour_size}
    network = resnets.cifar(
        depth, n_classes=len(learn.classes), shortcut="B", generator=generator, **options
    )
    return network.to(memory_format=torch.channels_last)  # faster on a CPU


recipe = {"epochs": colour_epochs, "batch_size": 64, "schedule": "onecycle", "learning_rate": 0.2}
recipe |= {"weight_decay": 5e-4, "augment": augment, "precision": precision}
images, labels = learn.images.to(device), learn.labels.to(device)
result = checkpoints.load_or_fit("maps-colour", build, images, labels, seed=seed, **recipe)
net = result.model

# %% tags=["remove-cell"]
source(f"{colour}, {len(test.labels):,} test images")
report.number("F3-resnet152-maps/training", sum(result.history.seconds), unit="seconds", tol=1e9)
report.number("F3-resnet152-maps/depth", depth, tol=0)
report.number("F3-resnet152-maps/classes", len(test.classes), tol=0)
report.number("F3-resnet152-maps/accuracy", train.accuracy(net, test.images, test.labels.to(device)), unit="share", tol=0.06,
              label="test accuracy of the stand-in")  # fmt: skip

# %% [markdown]
r"""
The stand-in is right on {glue:text}`F3-resnet152-maps/accuracy:.1%` of the test images of
{glue:text}`F3-resnet152-maps/classes` classes (recorded: {recorded}`F3-resnet152-maps/accuracy` of
{recorded}`F3-resnet152-maps/classes` classes). The image below is of a class that it has not learned: a square frame, or in
the recorded run a breed of dog. The rows are the stages of the network, from the first convolution to the last block.
"""

# %%
ALEXNET = [f"network.features.{k}" for k in (0, 3, 6, 8, 10)]
RESNET152 = ["network.relu", *(f"network.layer{k}" for k in (1, 2, 3, 4))]
n_blocks = (depth - 2) // (2 * len(widths))
stages = [f"layer{k + 1}.{n_blocks - 1}" for k in range(len(widths))]
before = ["bn1", *(f"{stage}.bn2" for stage in stages)]  # signed
after = ["relu1", *(f"{stage}.relu2" for stage in stages)]  # what closes each block
options = {"n_classes": 20} if elsewhere == "shapes" else {}
new = {
    size: data.load(elsewhere, data.manifest(elsewhere).splits[-1], size=size, **options)
    for size in (colour_size, show_size)
}
shown = new[show_size].only(*concept_elsewhere).images[[show_image]]


def public(name, layers):
    """Return a public network and its layers if its weights are on this disk, else nothing."""
    try:
        return (weights.imagenet(name).to(device), layers) if elsewhere == "imagenet" else None
    except FileNotFoundError:
        return None


signed_net, signed = public("alexnet", ALEXNET) or (net, before)
closed_net, closed = public("resnet152", RESNET152) or (net, after)


# %% tags=["hide-input"]
def look_into(network, layers):
    """Draw the image, its normalised channels and, below, seven channels of each layer, chosen at random."""
    with torch.no_grad(), capture.capture(network, ["normalize", *layers]) as outputs:
        network(shown.to(device) / 255)  # a network of convolutions takes an image of any size
    fig = plt.figure(figsize=(7, 4.8))
    axes = plots.grid(len(layers) + 1, 7, figure=fig)
    inputs = maps.signed(outputs["normalize"][0]).cpu().numpy()
    plots.map_row(inputs, axes=axes[0, 1:], label="")
    plots.picture_row([shown[0].numpy()], axes=axes[0, :1], label="input")
    for name, line in zip(layers, axes[1:], strict=True):
        chosen = torch.randperm(outputs[name].shape[1], generator=generator)[:7].sort().values
        row = maps.signed(outputs[name][0]).cpu()[chosen].numpy()
        name = name.removeprefix("network.").removesuffix(".relu2").removesuffix(".bn2")
        plots.map_row(row, axes=line, label=f"{name}\n{row.shape[-1]} px")
    return fig, outputs


source(f"{elsewhere}, one image")
fig, outputs = look_into(signed_net, signed)
negative = [float((outputs[name] < 0).float().mean()) for name in signed]
report.figure(
    fig,
    name="fig-maps-signed",
    caption="An image, its three channels after normalisation, and seven channels of each stage of "
    f"{'the stand-in' if signed_net is net else 'AlexNet'} where they still have signs. Red is positive, blue negative; "
    "one scale per row.",
    alt=f"Outlines stand out in the first two rows and dissolve in the later ones. Both colours occur in every row: "
    f"{min(negative):.0%} to {max(negative):.0%} of the values of a stage are negative.",
)

# %% tags=["hide-input"]
fig, outputs = look_into(closed_net, closed)
silent = [float((outputs[name] == 0).float().mean()) for name in closed]
report.figure(
    fig,
    name="fig-maps-relu",
    caption="The same image, after the ReLU that closes each stage of "
    f"{'the stand-in' if closed_net is net else 'ResNet-152'}.",
    alt=f"Only white and red below the first row. The maps show patches of several pixels rather than single dots; "
    f"{silent[0]:.0%} of the values are zero in the first stage and {silent[-1]:.0%} in the last.",
)

# %% [markdown]
r"""
**What to notice.** The normalised channels have blue in them, because normalisation subtracts a mean. In the first rows
you can often say what a channel does. The lecture sees "some edges detectors and some dark area detectors". Are they
there? A channel detects edges if its values are large, of either sign, at the tenth of the pixels where the brightness
changes most; it detects dark areas if its values are high at the darkest tenth. The bar is an {term}`AUROC` of `0.7`, explained
in the next section.
"""

# %% tags=["hide-input"]
untrained = build(torch.Generator().manual_seed(seed + 1)).to(device)
# Its batch normalisation has seen images, though its weights have learned nothing.
update_bn(
    [models.prepare(untrained, learn.sample(min(500, len(learn.labels)), seed).images)], untrained
)
untrained.eval()
pixels = test.sample(100, seed).images


def detectors(network):
    """Return how well each channel of the first layer finds edges, and dark areas."""
    values = torch.from_numpy(capture.collect(network, pixels, ["bn1"], progress=False)["bn1"])
    grey = torch.nn.functional.adaptive_avg_pool2d(
        pixels.float().mean(1, keepdim=True), values.shape[2:]
    )
    slope = torch.hypot(*torch.gradient(grey, dim=(2, 3)))
    responses = values.movedim(1, -1).flatten(0, 2).numpy()  # (pixels, channels)
    edge, dark = (
        (slope > slope.quantile(0.9)).flatten().numpy(),
        (grey < grey.quantile(0.1)).flatten().numpy(),
    )
    return statistics.auroc(np.abs(responses), edge), statistics.auroc(responses, dark)


edges, darkness = detectors(net)
edges_before, darkness_before = detectors(untrained)

# %% tags=["remove-cell"]
source(f"{colour}, {len(pixels)} test images")
some = {"agree": (0.01, 1.0), "note": "'some': at least one"}
for key, text, now, before_training in (
    ("edges", "edges", edges, edges_before),
    ("dark", "dark areas", darkness, darkness_before),
):
    report.number(f"F2-alexnet-maps/{key}", float(np.mean(now >= 0.7)), **some, unit="share", tol=0.2,
                  label=f"first-layer channels that find {text} (AUROC at least 0.7)")  # fmt: skip
    report.number(f"F2-alexnet-maps/{key}-untrained", float(np.mean(before_training >= 0.7)), unit="share", tol=0.3,
                  label="the same before training")  # fmt: skip

# %% [markdown]
r"""
Of the first layer's channels {glue:text}`F2-alexnet-maps/edges:.0%` find edges and {glue:text}`F2-alexnet-maps/dark:.0%`
dark areas; before training it was {glue:text}`F2-alexnet-maps/edges-untrained:.0%` and
{glue:text}`F2-alexnet-maps/dark-untrained:.0%`. (Recorded: {recorded}`F2-alexnet-maps/edges` and
{recorded}`F2-alexnet-maps/dark`, before training {recorded}`F2-alexnet-maps/edges-untrained` and
{recorded}`F2-alexnet-maps/dark-untrained`.) So on photographs both kinds exist, and a
network before training has no fewer of them: such detectors need not be learned. Further down the maps turn into a few coarse patches, and naming them
becomes guesswork. Guesswork can be tested, too.

## Does a single channel mean something?

"Individual channel have usually no clear semantic", says the lecture. What would a clear meaning look like? At the least,
the channel would tell one class from all others. We give each image one number per channel, the largest value of its map,
and ask how well this number separates the channel's best class from the rest. The measure is the AUROC: the probability that
a random image of the class scores higher than a random other image. A half is chance, one a perfect split, and below a half
the images of the class score *lower* than others. We call a channel **clear** from `0.95` on.

Two controls make the number honest. First we mix all channels of a layer at random into as many new ones, **random
directions**: together the same information, along other axes. Second, we take the channels of a network **before training**.

The best class of a channel is chosen on one half of the images and judged on the other. Judged on the same half, even
noise would look selective, because the best of many classes is taken.

:::{admonition} Guess first
:class: tip
Do channels separate classes better than random mixtures of channels do? How good are the channels of a network before
training?
:::
"""


# %%
def scores(network, layer, images):
    """Return one number per channel and image, and the same for random directions, always the same ones."""
    found = torch.from_numpy(capture.collect(network, images, [layer], progress=False)[layer])
    mixed = maps.rotate(found, generator=torch.Generator().manual_seed(seed))
    return maps.scores(found), maps.scores(mixed)


def judge(network, layer, part, half):
    """Return the AUROCs of channels and of random directions, and the channels' scores."""
    values, directions = scores(network, layer, part.images)
    found = [maps.selectivity(v, part.labels, half).auroc for v in (values, directions)]
    return *found, values


pictures = test.sample(min(n_look, len(test.labels)), seed)
some_digits = digits.sample(min(n_look, len(digits.labels)), seed)
half = maps.halves(some_digits.labels, generator=generator)
results = [judge(model, "relu2", some_digits, half) for model in lenets]
blank = judge(models.course_lenet(generator=generator).to(device), "relu2", some_digits, half)
half_pictures = maps.halves(pictures.labels, generator=generator)
deep, deep_blank = (
    judge(model, after[-1], pictures, half_pictures) for model in (net, untrained)
)


# %%
def read_out(values):
    """Return the accuracy of a linear classifier on the half of the digits that it has not seen."""
    classifier = LogisticRegression(max_iter=3000).fit(values[half], some_digits.labels[half])
    return classifier.score(values[~half], some_digits.labels[~half])


together = [read_out(values) for *_, values in results]
together_before = read_out(blank[2])

# %% tags=["hide-input"]
n_images = f"{len(some_digits.labels):,} and {len(pictures.labels):,} test images"
report.source(
    f"{handwriting} (left) and {colour} (right), {n_images}", stand_in=STAND_INS.get(handwriting)
)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharex=True, layout="constrained")
for ax, title, trained, control in (
    (axes[0], "small network, relu2", results[0], blank),
    (axes[1], "deeper network, last stage", deep, deep_blank),
):
    groups = {
        "channels": trained[0],
        "random directions": trained[1],
        "before training": control[0],
    }
    plots.distributions(groups, ax=ax, xlabel="AUROC of the best class")
    ax.set_title(title)
axes[1].set_yticks([])
report.figure(
    fig,
    name="fig-maps-selectivity",
    caption="How well single channels, random directions of the same layer, and channels before training tell their best "
    "class from the rest. Chosen on one half of the images, judged on the other. A dot is a channel or a direction of one "
    "network, the bar the median.",
    alt=f"Medians of channels, random directions and channels before training: left {np.median(results[0][0]):.2f}, "
    f"{np.median(results[0][1]):.2f} and {np.median(blank[0]):.2f}, right {np.median(deep[0]):.2f}, "
    f"{np.median(deep[1]):.2f} and {np.median(deep_blank[0]):.2f}. The dots overlap widely.",
)

# %% tags=["remove-cell"]
CLEAR = 0.95
usual = {
    "unit": "share",
    "agree": (0.0, 0.5),
    "note": "'usually': fewer than half of the channels are clear",
}
report.source(
    f"{handwriting}, {len(some_digits.labels):,} test images", stand_in=STAND_INS.get(handwriting)
)
report.number("F1-lenet-maps/clear", **mean_and_spread([np.mean(r[0] >= CLEAR) for r in results]), **usual, tol=0.2,
              label="channels of relu2 with a clear class (AUROC at least 0.95)")  # fmt: skip
report.number(
    "F1-lenet-maps/channel", **mean_and_spread([np.median(r[0]) for r in results]), tol=0.06
)
report.number(
    "F1-lenet-maps/direction", **mean_and_spread([np.median(r[1]) for r in results]), tol=0.06
)
report.number("F1-lenet-maps/untrained", float(np.median(blank[0])), tol=0.06)
report.number("F1-lenet-maps/together", **mean_and_spread(together), unit="share", tol=0.05,
              label="accuracy of a linear read-out of all channels of relu2")  # fmt: skip
report.number("F1-lenet-maps/together-untrained", together_before, unit="share", tol=0.06,
              label="the same before training")  # fmt: skip
report.number("F1-lenet-maps/n-channels", len(results[0][0]), tol=0)

# %% tags=["remove-cell"]
source(f"{colour}, {len(pictures.labels):,} test images")
report.number("F2-alexnet-maps/clear", float(np.mean(deep[0] >= CLEAR)), **usual, tol=0.2,
              label="channels of the stand-in's last stage with a clear class")  # fmt: skip
report.number("F2-alexnet-maps/channel", float(np.median(deep[0])), tol=0.06)
report.number("F2-alexnet-maps/direction", float(np.median(deep[1])), tol=0.06)
report.number("F2-alexnet-maps/untrained", float(np.median(deep_blank[0])), tol=0.06)

# %% [markdown]
r"""
**What to notice.** Only {glue:text}`F1-lenet-maps/clear:.0%` of the small network's channels are clear (recorded run:
{recorded}`F1-lenet-maps/clear`), and {glue:text}`F2-alexnet-maps/clear:.0%` in the deeper one (recorded
{recorded}`F2-alexnet-maps/clear`). "Usually no clear semantic" holds. Channels are a little better than random directions:
their median is {glue:text}`F1-lenet-maps/channel:.2f` against {glue:text}`F1-lenet-maps/direction:.2f` in the small network
(recorded {recorded}`F1-lenet-maps/channel` and {recorded}`F1-lenet-maps/direction`) and
{glue:text}`F2-alexnet-maps/channel:.2f` against {glue:text}`F2-alexnet-maps/direction:.2f` in the deeper one (recorded
{recorded}`F2-alexnet-maps/channel` and {recorded}`F2-alexnet-maps/direction`). And part of even this is free: before
training, the median of the small network is {glue:text}`F1-lenet-maps/untrained:.2f` (recorded
{recorded}`F1-lenet-maps/untrained`).

What no channel says alone, all of them say together: a linear classifier that sees the {glue:text}`F1-lenet-maps/n-channels`
numbers is right on {glue:text}`F1-lenet-maps/together:.1%` of the digits, before training on
{glue:text}`F1-lenet-maps/together-untrained:.1%`. (Recorded: {recorded}`F1-lenet-maps/together` and
{recorded}`F1-lenet-maps/together-untrained`.) The lecture says that the representation is distributed; this is its measure.

## Noise, or blobs?

Of the maps of ResNet-152 the lecture says that they "do not show random noise at all, rather blobs". A blob means that a
value resembles its neighbours, and Moran's $I$ {cite:p}`moran-1950` measures this {term}`spatial autocorrelation`. For a
map $x$ of $N$ pixels with mean $\bar x$, and its $E$ pairs of direct neighbours, each counted once,

$$ I = \frac{N}{E}\,\frac{\sum_{(i,j)} (x_i - \bar x)(x_j - \bar x)}{\sum_i (x_i - \bar x)^2} . $$

It is near 1 for a map that changes slowly, $-1$ for a chess board, and $-1/(N-1)$ on average for noise. The code says the
same:

```{literalinclude} ../actlib/maps.py
:pyobject: morans_i
```

Again there are two controls: the same maps with their pixels shuffled, and the maps of the untrained network.

:::{admonition} Guess first
:class: tip
Does a network with random weights make blobs, too?
:::
"""

# %%
looked_at = test.sample(min(200, len(test.labels)), seed).images
found = {}
for name, model in (("trained", net), ("untrained", untrained)):
    collected = capture.collect(model, looked_at, after, progress=False).values()
    found[name] = [looked_at.float(), *(torch.from_numpy(values) for values in collected)]
found["trained, shuffled"] = [
    maps.shuffle(values, generator=generator) for values in found["trained"]
]
moran = {name: [maps.morans_i(values) for values in layers] for name, layers in found.items()}
medians = {
    name: [float(values.nanmedian()) for values in layers] for name, layers in moran.items()
}

# %% tags=["hide-input"]
source(f"{colour}, {len(looked_at)} test images")
fig, ax = plt.subplots(figsize=(7, 3))
sizes = [values.shape[-1] for values in found["trained"]]
names = [
    f"{name.split('.')[0]}\n{size} px"
    for name, size in zip(["image", *after], sizes, strict=True)
]
plots.steps(names, medians, ax=ax, ylabel="Moran's I (median)")
ax.axhline(0, color="0.6", lw=0.8, zorder=0)
ax.legend()
report.figure(
    fig,
    name="fig-maps-blobs",
    caption="Spatial autocorrelation of the activation maps, from the image to the last stage: one is smooth, zero or slightly less noise.",
    alt=f"From {medians['trained'][0]:.2f} at the image the trained network's line falls to {medians['trained'][-1]:.2f} at the "
    f"last stage, the untrained network's to {medians['untrained'][-1]:.2f}. Shuffled maps lie at zero or just below.",
)

# %% tags=["remove-cell"]
real, noise = (moran[name][-1].flatten() for name in ("trained", "trained, shuffled"))
alive = ~(real.isnan() | noise.isnan())  # a constant map has no autocorrelation
both = torch.cat([real[alive], noise[alive]]).numpy()
blobs = statistics.auroc(both, np.arange(len(both)) < len(both) // 2)
report.number("F3-resnet152-maps/image", medians["trained"][0], tol=0.02)
report.number("F3-resnet152-maps/dead", 1 - float(alive.float().mean()), unit="share", tol=0.1)
report.number("F3-resnet152-maps/blobs", float(blobs), tol=0.06, agree=(0.75, 1.0), note="blobs, not noise",
              label="a map of the last stage is smoother than a shuffled one (AUROC)")  # fmt: skip
for name, key in (
    ("trained", "moran"),
    ("untrained", "moran-untrained"),
    ("trained, shuffled", "moran-shuffled"),
):
    report.number(f"F3-resnet152-maps/{key}", medians[name][-1], tol=0.12)

# %% [markdown]
r"""
**What to notice.** Maps are no noise: of a map of the last stage and a shuffled one, the real one is the smoother in
a share of {glue:text}`F3-resnet152-maps/blobs:.2f` of the pairs (recorded {recorded}`F3-resnet152-maps/blobs`; maps that are zero
everywhere, {recorded}`F3-resnet152-maps/dead` there, are left out). So the sentence holds. But an image is smooth to begin
with ({glue:text}`F3-resnet152-maps/image:.2f`), and the lines fall from there. Random weights keep part of it in the first
stages. At the end less is left before training than after it: {glue:text}`F3-resnet152-maps/moran-untrained:.2f` and
{glue:text}`F3-resnet152-maps/moran:.2f` (recorded {recorded}`F3-resnet152-maps/moran-untrained` and
{recorded}`F3-resnet152-maps/moran`). Whether a blob is "a part of an object being detected", as the lecture reads it, needs
another test.

## A unit that stands for something nobody asked for

Yosinski and colleagues {cite:p}`yosinski-2015` found a channel of an AlexNet, the {published}`F4-yosinski-unit/channel`
of its fifth convolution, that answers to faces of people and animals, though ImageNet has no class "face". The number
belongs to that one network; in any other the search starts again. We search the last stage of our network for **a unit
for a notion that covers several classes and is none of them**. In `quick` the notion is a gap between two painted parts, as
the classes *ring* and *bars* have it. In the recorded run it is *mammal*, which Tiny ImageNet knows only as single species
and breeds.

The rules: one AUROC per unit on one half of the test images, the best unit is taken, and judged on the other half. Then
comes a harder test, on classes that the network has **never seen**: the square *frame* against nine shapes without a gap, in
the recorded run photographs of other mammals and of other things.
"""


# %%
def shows(part, names):
    """Return for each image whether its class is one of ``names``."""
    return np.isin(part.labels, [part.classes.index(name) for name in names])


notion = shows(test, concept)
half = maps.halves(test.labels, generator=generator)
units, directions = scores(net, after[-1], test.images)
blank_units, _ = scores(untrained, after[-1], test.images)
searched, best, judged = {}, {}, {}
candidates = {
    "units": units,
    "random directions": directions,
    "units before training": blank_units,
}
for name, values in candidates.items():
    searched[name] = statistics.auroc(values[half].numpy(), notion[half.numpy()])
    best[name] = int(searched[name].argmax())
    judged[name] = float(
        statistics.auroc(values[~half, best[name]].numpy(), notion[~half.numpy()])
    )

# %%
unit = best["units"]
trained_on = {*learn.classes, *known_elsewhere}
never_seen = [name for name in new[colour_size].classes if name not in trained_on]
unseen = new[colour_size].only(*never_seen)
notion_unseen = shows(unseen, concept_elsewhere)
on_unseen, mixed_unseen = scores(net, after[-1], unseen.images)
blank_unseen, _ = scores(untrained, after[-1], unseen.images)
carried = {}
for name, values in zip(candidates, (on_unseen, mixed_unseen, blank_unseen), strict=True):
    carried[name] = float(statistics.auroc(values[:, best[name]].numpy(), notion_unseen))

# %% tags=["hide-input"]
source(f"{colour}, {int(half.sum()):,} test images")
fig, ax = plt.subplots(figsize=(7, 2.8))
for (name, values), style in zip(searched.items(), ("-", "--", ":"), strict=True):
    plots.ranked(values, ax=ax, label=name, ls=style, highlight=unit if name == "units" else None)
ax.axhline(0.5, color="0.6", lw=0.8, zorder=0)
ax.set_ylabel("AUROC for the notion")
ax.legend()
report.figure(
    fig,
    name="fig-maps-search",
    caption=f"The search for a unit that answers to {concept_name}, on the half of the images that chooses.",
    alt=f"Three falling curves of {len(searched['units'])} points. The best unit has {searched['units'].max():.2f}, the best "
    f"random direction {searched['random directions'].max():.2f}, the best unit before training {searched['units before training'].max():.2f}.",
)

# %% tags=["remove-cell"]
source(f"{colour}, {int((~half).sum()):,} test images")
report.number(
    "F4-yosinski-unit/unit", unit, tol=10_000
)  # its place in the layer is an accident of the seed
report.number("F4-yosinski-unit/judged", judged["units"], tol=0.08, label="a unit for an unnamed notion (AUROC)",
              note="gaps (quick) or mammals (real), not faces")  # fmt: skip
report.number("F4-yosinski-unit/direction", judged["random directions"], tol=0.08,
              label="the best random direction for it")  # fmt: skip
report.number("F4-yosinski-unit/untrained", judged["units before training"], tol=0.12)
source(f"{elsewhere}, {len(unseen.labels):,} images of unseen classes")
report.number(
    "F4-yosinski-unit/unseen", carried["units"], tol=0.12, label="the same unit on unseen classes"
)
report.number("F4-yosinski-unit/unseen-direction", carried["random directions"], tol=0.12,
              label="the same random direction on unseen classes")  # fmt: skip
report.number("F4-yosinski-unit/unseen-untrained", carried["units before training"], tol=0.2)

# %% [markdown]
r"""
The winner is unit {glue:text}`F4-yosinski-unit/unit` (recorded: {recorded}`F4-yosinski-unit/unit`). To see what it answers to, take the images of unseen classes on which
it scores highest and light up the places where its map is high.

A small map must be laid on a larger image, and here many figures go wrong: they stretch the map over the image. A unit looks
at its {term}`receptive field`, and the centres of these fields do not lie where stretching puts them. `receptive_field` asks
which pixels can reach a unit, `onto_image` puts each value at the centre of its field.
"""

# %%
field = fields.receptive_field(net, after[-1], tuple(looked_at.shape[1:]))
top = maps.top_images(on_unseen, unit, k=8)
best_shown = new[show_size].only(*never_seen).images[top]
with torch.no_grad(), capture.capture(net, after[-1:]) as activations:
    net(best_shown.to(device) / 255)
laid = fields.onto_image(activations[after[-1]][:, unit].cpu(), field, best_shown.shape[2:])
laid = laid / laid.amax(dim=(1, 2), keepdim=True)

# %% tags=["hide-input"]
fig = plt.figure(figsize=(7, 1.9))
axes = plots.grid(2, 8, figure=fig)
plots.picture_row(list(best_shown.numpy()), axes=axes[0], label="")
for k, ax in enumerate(axes[1]):
    plots.overlay(best_shown[k].numpy(), laid[k].numpy(), ax=ax)
hits = int(notion_unseen[top].sum())
report.figure(
    fig,
    name="fig-maps-unit",
    caption="The eight images of never-seen classes on which the chosen unit scores highest; below, lit where its map is high, with a line at half its maximum.",
    alt=f"Eight pictures above and the same below, darker, with a yellow line around one or two bright patches. {hits} of the eight show "
    f"{concept_name}.",
)

# %% tags=["remove-cell"]
report.number("F4-yosinski-unit/hits", hits, tol=4)
report.number("F4-yosinski-unit/chance", 8 * float(notion_unseen.mean()), tol=0.01)
report.number("F4-yosinski-unit/field", field.size[0], tol=0)
report.number("F4-yosinski-unit/stride", field.stride[0], tol=0)

# %% [markdown]
r"""
**What to notice.** On the half that did not choose it, the unit reaches {glue:text}`F4-yosinski-unit/judged:.2f`, and on
unseen classes {glue:text}`F4-yosinski-unit/unseen:.2f` (recorded {recorded}`F4-yosinski-unit/judged` and
{recorded}`F4-yosinski-unit/unseen`). Of its eight favourites {glue:text}`F4-yosinski-unit/hits` show the notion, in the
recorded run {recorded}`F4-yosinski-unit/hits`, where chance would give {recorded}`F4-yosinski-unit/chance`. So there are
units for things that have no label. Before training the best one reaches {glue:text}`F4-yosinski-unit/untrained:.2f`.

But the best of as many random directions reaches {glue:text}`F4-yosinski-unit/direction:.2f`, and
{glue:text}`F4-yosinski-unit/unseen-direction:.2f` on unseen classes (recorded {recorded}`F4-yosinski-unit/direction` and
{recorded}`F4-yosinski-unit/unseen-direction`). That is less than the unit on photographs, and still far
above chance: the layer holds the notion along many axes, and a good unit is the best of them. To find *a* unit that answers
to faces is easier than it looks. The bright patches are coarse, and they need not cover the gap
or the animal: a unit of this stage sees up to {glue:text}`F4-yosinski-unit/field` by {glue:text}`F4-yosinski-unit/field`
pixels, and the fields of neighbours are {glue:text}`F4-yosinski-unit/stride:.0f` pixels apart.

## The lecture's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Another start, another unit.** Train the same network again, and the channel that stands for a digit has another number.
Here is the best channel for the first class in each of the small networks:
"""

# %%
zero = digits.labels == 0
found_at = []
for model in lenets:
    values, _ = scores(model, "relu2", digits.images)
    found_at.append(int(statistics.auroc(values.numpy(), zero.numpy()).argmax()))
print("best channel for the digit 0:", found_at)

# %% [markdown]
r"""
**The score decides.** We took the largest value of a map. It finds things wherever they are, and it is blind to how much of
the image they cover. Another score, such as the mean over positions, may choose another channel.

**Only the notions that you try.** A channel without a clear class may have a clear meaning that no label names, such as
a texture. "No clear semantic" is a statement about the notions that were tested.

:::{admonition} What we learned
:class: important
- Before a ReLU a map has both signs, after it only one; most values of deep maps are zero.
- The lecture's counts hold: {glue:text}`F10-dims/lenet-max:,` and {glue:text}`F10-dims/resnet152-max:,` numbers at most.
- Few single channels are clear. For single classes they are slightly better than random directions.
- All channels together tell far more than the best of them.
- Deep maps are smoother than noise: part of that comes from the image, part from training.
- There are units for notions that no label names, and they work on new classes. Random directions hold them, too.
:::

## Exercises

```{exercise}
:label: ex-maps-count
**A count** (2 minutes). A convolution with kernels of width $r$, without padding, turns an image of 28 x 28 pixels into
$c$ maps. Write the number of values.
```
"""


# %% tags=["exercise"]
def n_values(r, c):
    """Return the number of values after a convolution of a 28 x 28 image."""
    return None  # your formula


truth = capture.overview(torch.nn.Sequential(torch.nn.Conv2d(1, 12, 7)), (1, 28, 28))[0].n_values
report.check(
    "ex-maps-count",
    n_values(7, 12) == truth,
    "How many places has a kernel of width 7 in a row of 28 pixels?",
)


# %% tags=["solution"]
def n_values(r, c):
    """Return the number of values after a convolution of a 28 x 28 image."""
    return c * (28 - r + 1) ** 2


report.check(
    "ex-maps-count",
    n_values(7, 12) == truth,
    "How many places has a kernel of width 7 in a row of 28 pixels?",
)

# %% [markdown]
r"""
```{exercise}
:label: ex-maps-sign
**Where the zeros come from** (5 minutes). Predict the share of zeros after `relu1` from the output of `conv1` alone.
```
"""

# %% tags=["exercise"]
with torch.no_grad(), capture.capture(lenet, ["conv1", "relu1"]) as outputs:
    lenet(models.prepare(lenet, digits.images[:100]))
zeros = float((outputs["relu1"] == 0).float().mean())


def predicted_zeros(conv1):
    """Return the share of values that the ReLU will set to zero."""
    return 0.5  # your prediction


passed = abs(predicted_zeros(outputs["conv1"]) - zeros) < 1e-6
report.check("ex-maps-sign", passed, "The ReLU keeps what is above zero.")


# %% tags=["solution"]
def predicted_zeros(conv1):
    """Return the share of values that the ReLU will set to zero."""
    return float((conv1 <= 0).float().mean())


passed = abs(predicted_zeros(outputs["conv1"]) - zeros) < 1e-6
report.check("ex-maps-sign", passed, "The ReLU keeps what is above zero.")

# %% [markdown]
r"""
```{exercise}
:label: ex-maps-best
**The best of many** (10 minutes). Here are 500 units that put out pure noise for 100 images. Find the best unit for the
label and return two AUROCs of it: on the images that chose it, and honestly.
```
"""

# %% tags=["exercise"]
rng = np.random.default_rng(0)
noise_units, label = rng.normal(size=(100, 500)), np.arange(100) % 2 == 0


def best_of_many(values, label):
    """Return the AUROC of the best unit on the first 50 images, which choose it, and on the last 50."""
    everything = statistics.auroc(values, label)
    return everything.max(), everything.max()  # what is wrong here?


flattering, honest = best_of_many(noise_units, label)
report.check(
    "ex-maps-best",
    flattering > 0.65 and abs(honest - 0.5) < 0.15,
    "Choose on the first half, judge on the second.",
)


# %% tags=["solution"]
def best_of_many(values, label):
    """Return the AUROC of the best unit on the first 50 images, which choose it, and on the last 50."""
    chosen = statistics.auroc(values[:50], label[:50])
    return chosen.max(), statistics.auroc(values[50:, chosen.argmax()], label[50:])


flattering, honest = best_of_many(noise_units, label)
report.check(
    "ex-maps-best",
    flattering > 0.65 and abs(honest - 0.5) < 0.15,
    "Choose on the first half, judge on the second.",
)

# %% [markdown]
r"""
```{exercise}
:label: ex-maps-field
**Where does it look?** (10 minutes). Which pixel (row, column) is the centre of the field of the unit at row 2, column 3 of
`conv2` in the small network? Use `fields.receptive_field`.
```
"""


# %% tags=["exercise"]
def centre(network, layer, position):
    """Return row and column of the pixel at the centre of a unit's field."""
    return position  # your way to the image


truth = (9 + 3 * 2, 9 + 3 * 3)
report.check(
    "ex-maps-field",
    tuple(centre(lenet, "conv2", (2, 3))) == truth,
    "Every step in the map is a fixed step in the image.",
)


# %% tags=["solution"]
def centre(network, layer, position):
    """Return row and column of the pixel at the centre of a unit's field."""
    field = fields.receptive_field(network, layer, (1, 28, 28))
    return tuple(
        first + k * step
        for first, k, step in zip(field.first, position, field.stride, strict=True)
    )


report.check(
    "ex-maps-field",
    tuple(centre(lenet, "conv2", (2, 3))) == truth,
    "Every step in the map is a fixed step in the image.",
)

# %% [markdown]
r"""
## Go further

- Zeiler and Fergus {cite:p}`zeiler-2014` project {term}`activations <activation>` back to the image, another way to ask what a unit sees.
- Bau and colleagues {cite:p}`bau-2017` measure the meaning of units with labelled parts of images, and find that a rotation
  of the channels destroys part of it.
- Morcos and colleagues {cite:p}`morcos-2018` ask whether selective units matter for the result, and find that they do not
  matter more than others.
- Szegedy and colleagues {cite:p}`szegedy-2014` were the first to compare units with random directions.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
