# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
r"""
(ch-embeddings)=
# Can you watch a network separate its classes?

**Yes: layer after layer, images of one class move together, and a picture in two dimensions can show it. But the same method
also draws clusters where there are none, so each picture needs a number that was measured without it.**

```{figure} ../results/real/03_embeddings/fig-embeddings-resnet.webp
:name: fig-embeddings-hero
:alt: Four clouds of coloured points. In the upper two the ten colours are mixed, in the lower two they form islands.

What you will be able to draw: photographs as points, coloured by what they show. Above: as pixels, and
at the end of a network before training. Below: at the end of the trained network, in two dimensions and in three. (10-NN: how often
the ten nearest neighbours vote for the right class. Recorded run.)
```

:::{admonition} What you will be able to do
:class: tip
- Say what {term}`t-SNE` makes small, and compute it yourself.
- Draw the layers of any network as clouds of points, and move through them.
- Put a number beside each picture that the picture cannot flatter: {term}`nearest-neighbour accuracy` and {term}`silhouette`
  in the full space, {term}`trustworthiness` and {term}`continuity` of the picture.
- Recognise a picture that misleads.

**You need** the chapter [](#ch-maps) or some PyTorch. **Time:** 30 minutes to read, one or two minutes to run. **Document:** the second
half of the lecture "Looking at activations" {cite:p}`fleuret-activations`, slides 14 to 20. **Data:** a Swiss roll that we
make; scikit-learn's handwritten digits {cite:p}`alpaydin-1998` (CC BY) and shapes that `actlib` draws; in the recorded run
MNIST {cite:p}`lecun-mnist` (CC BY-SA) and CIFAR-10 {cite:p}`krizhevsky-2009`.
:::
"""

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0
device = "cpu"
n_threads = 1
n_rows, n_columns, roll_perplexity, n_starts = 40, 15, 20, 3
handwriting, n_handwriting, handwriting_epochs, n_seeds = "digits", None, 9, 3
colour, n_colour, colour_epochs, colour_rate = "shapes", 4000, 8, 0.2
depth, width, stem_stride, precision, augment = 10, 16, 2, "float32", None
# the depth of a network whose weights are given; without, the chapter trains its own
given = None
blocks = ["layer1.0", "layer1.1", "layer1.2", "layer1.3"]
n_points, perplexity = 500, 50

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from actlib import (
    capture,
    checkpoints,
    data,
    embed,
    models,
    neighbours,
    objective,
    plots,
    report,
    resnets,
    statistics,
    train,
)
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import AgglomerativeClustering
from sklearn.linear_model import LinearRegression
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score
from torch.optim.swa_utils import update_bn

report.start("03_embeddings", profile=profile, seed=seed, device=device)
rng = np.random.default_rng(seed)

# %% [markdown]
r"""
## A sheet, rolled up in four dimensions

A layer with thousands of values puts each image at a point of a space with thousands of dimensions. Nobody can look at that. The lecture
starts with a case in which we know the answer: a flat grid, rolled up like a Swiss roll, with pure noise as a
fourth coordinate. The sheet itself has two dimensions, along the roll and across it. A good picture unrolls it.

The lecture gives no sizes. We take a grid with {glue:text}`F11-swissroll-tsne/points:,` points (recorded:
{recorded}`F11-swissroll-tsne/points`), evenly spaced along the spiral, and noise as large as the distance between neighbours.
"""


# %%
def swiss_roll(n_rows, n_columns, rng):
    """Return points (n, 4), the place of each on the flat sheet (n, 2), and the spacing."""
    angle = np.linspace(1.5 * np.pi, 4.5 * np.pi, 20_001)
    spiral = np.stack([angle * np.cos(angle), angle * np.sin(angle)])
    length = np.append(0, np.cumsum(np.hypot(*np.diff(spiral))))
    step = length[-1] / (n_rows - 1)
    row, column = (index.ravel() for index in np.indices((n_rows, n_columns)))
    x, z = (np.interp(row * step, length, coordinate) for coordinate in spiral)
    points = np.stack([x, column * step, z, step * rng.normal(size=row.size)], axis=1)
    return points, np.stack([row, column], axis=1) * step, step


roll, sheet, step = swiss_roll(n_rows, n_columns, rng)
row = sheet[:, 0]  # the way along the spiral

# %% [markdown]
r"""
:::{admonition} Guess first
:class: tip
Two older ways to make data simple are {term}`PCA`, which looks from the direction of the largest variance, and
{term}`k-means`, which cuts the data into cells. How many directions does PCA need for a sheet that has two? Will a cell of
k-means be one piece of the sheet?
:::
"""

# %%
flat = embed.pca(roll[:, :3], 3)  # without the noise: the sheet alone
cells = embed.kmeans(roll, 20, seed=seed).labels
index = np.arange(len(roll)).reshape(n_rows, n_columns)
along = np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1)
across = np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1)
pairs = np.concatenate([along, across])  # of neighbours on the sheet


def n_pieces(cells, pairs):
    """Return into how many connected pieces of the sheet the cells fall."""
    inside = pairs[cells[pairs[:, 0]] == cells[pairs[:, 1]]]
    graph = coo_array((np.ones(len(inside)), inside.T), shape=(len(cells), len(cells)))
    return connected_components(graph)[0]


# %% tags=["hide-input"]
report.source(f"a Swiss roll in four dimensions, {len(roll):,} points")
fig = plt.figure(figsize=(7, 2.9), layout="constrained")
space = fig.add_subplot(1, 3, 1, projection="3d")
plots.points(roll[:, [0, 2, 1]], ax=space, values=row, title="the roll")
space.set_box_aspect((1, 1, 0.8))
space.view_init(elev=70, azim=-75)
plots.points(flat.points[:, :2], ax=fig.add_subplot(1, 3, 2), values=row, title="PCA")
plots.points(
    sheet,
    ax=fig.add_subplot(1, 3, 3),
    groups=cells % 12,
    title="the flat sheet, cells of k-means",
)
report.figure(
    fig,
    name="fig-embeddings-roll",
    caption="Left: the first three coordinates of the roll, coloured from the inner end of the spiral (dark) to the outer one. Middle: "
    "its two directions of largest variance. Right: the sheet laid flat, coloured by 20 cells of k-means (twelve colours, most used twice).",
    alt=f"A spiral sheet. Seen by PCA the windings lie on top of each other, never unrolled. On the flat sheet the 20 cells "
    f"fall into {n_pieces(cells, pairs)} pieces: a colour comes back a winding further out.",
)


# %% tags=["remove-cell"]
# fmt: off
def directions(points, step):
    """Return how many principal components put the points within the spacing of their place, on average."""
    found = embed.pca(points, points.shape[1])
    left = points.var(axis=0).sum() * (1 - np.cumsum(found.explained.numpy()))
    return int((left > step**2).sum()) + 1


blobs = np.repeat(10 * rng.normal(size=(20, 4)), 30, axis=0) + rng.normal(size=(600, 4))
found = embed.kmeans(blobs, 20, seed=seed).labels
unrolled = embed.kmeans(sheet, 20, seed=seed).labels
report.number("F11-swissroll-tsne/points", len(roll), tol=0)
report.number("F12-pca-kmeans/components", directions(roll[:, :3], step), tol=0, agree=(3, 3),
              label="directions PCA needs for a sheet of two dimensions", note="to place the points within the grid's spacing")
report.number("F12-pca-kmeans/components-flat", directions(sheet, step), tol=0)
report.number("F12-pca-kmeans/mixed-cells", n_pieces(cells, pairs) / 20, tol=0.5, agree=(1.1, 20),
              label="connected pieces of the sheet in a cell of k-means")
report.number("F12-pca-kmeans/cells-flat", n_pieces(unrolled, pairs) / 20, tol=0.1)
report.source("20 planted clusters in four dimensions, 600 points")
report.number("F12-pca-kmeans/clusters", float(adjusted_rand_score(np.repeat(np.arange(20), 30), found)), tol=0.1,
              agree=(0.8, 1), label="k-means on clusters: adjusted Rand index")
# fmt: on

# %% [markdown]
r"""
**What to notice.** To put the points within the grid's spacing of their places, on average, PCA needs
{glue:text}`F12-pca-kmeans/components` directions where the flat sheet has {glue:text}`F12-pca-kmeans/components-flat`: "PCA wastes
dimensions to capture the curvature", as the lecture says. Of k-means it says: good "when we have clusters, but not when having smooth and
continuous manifold". A cell is made of {glue:text}`F12-pca-kmeans/mixed-cells:.2f` pieces of the sheet on average (recorded
{recorded}`F12-pca-kmeans/mixed-cells`; {glue:text}`F12-pca-kmeans/cells-flat:.2f` when k-means cuts the flat sheet): where the windings are close, a
cell reaches across the gap. On twenty separate clusters that we made ourselves, the same k-means is nearly perfect, with an adjusted
Rand index of {glue:text}`F12-pca-kmeans/clusters:.2f` (one is perfect, zero is chance). Both sentences hold.

## What t-SNE makes small

t-SNE {cite:p}`vandermaaten-2008` does not ask where a point lies, only who its neighbours are. It turns the distances in the
full space into a probability for each pair, the **{term}`affinity`** $p_{ij}$: high for neighbours, almost zero for all
others. How far "neighbour" reaches differs from point to point, and is set by the {term}`perplexity`: roughly, how many neighbours each
point has. In the picture it does the same with another curve, $q_{ij}$. Then it moves the points of the picture until the two tables agree, that is, until
their {term}`Kullback-Leibler divergence` is small:

$$
p_{j|i} \propto \exp\left(-\frac{\lVert x_i - x_j\rVert^2}{2\sigma_i^2}\right),
\qquad
q_{ij} \propto \frac{1}{1 + \lVert y_i - y_j\rVert^2},
\qquad
\mathrm{KL} = \sum_{i \neq j} p_{ij} \log\frac{p_{ij}}{q_{ij}} .
$$

Here $p_{j|i}$ sums to one over $j$, $p_{ij} = (p_{j|i} + p_{i|j}) / 2n$ and $q_{ij}$ sum to one over all pairs. In code these are a few lines each:

```{literalinclude} ../actlib/objective.py
:pyobject: similarities
```

```{literalinclude} ../actlib/objective.py
:pyobject: divergence
```

Here they are at work. Sixty points in five dimensions, in three groups, start on a small heap. Each step follows the
gradient.
"""

# %%
toy_groups = np.repeat([0, 1, 2], 20)
toy = 4 * rng.normal(size=(3, 5))[toy_groups] + rng.normal(size=(60, 5))
p = objective.affinities(toy, perplexity=10)
y = torch.from_numpy(1e-2 * rng.normal(size=(60, 2)))
snapshots, divergences = {}, []
for k in range(401):
    if k in (0, 25, 50, 75, 100, 150, 200, 400):
        snapshots[k] = y.numpy()
    divergences.append(objective.divergence(p, objective.similarities(y)))
    y = y - 20 * objective.gradient(p, y)

# %% tags=["hide-input"]
report.source("three planted groups in five dimensions, 60 points")
report.frames(
    [
        report.Frame(
            f"step {k}",
            f"Step {k}, divergence {divergences[k]:.2f}: the 60 points of three groups spread over "
            f"{np.ptp(points, axis=0).max():.2g} units of the picture; silhouette {neighbours.silhouette(points, toy_groups):.2f}.",
            points=points,
            note=f"KL divergence {divergences[k]:.3f}; picture {np.ptp(points, axis=0).max():.2g} units wide",
        )
        for k, points in snapshots.items()
    ],
    name="fig-embeddings-toy",
    caption="t-SNE at work on sixty points of three groups; move the slider to go through the steps of gradient descent. Each step is enlarged to fill the frame.",
    label="step",
    groups=toy_groups,
    classes=["first group", "second group", "third group"],
)

# %% tags=["remove-cell"]
packed = embed.tsne(toy, perplexity=10, seed=seed, n_pca=None)
report.number("F11-swissroll-tsne/toy-start", divergences[0], tol=0.05)
report.number("F11-swissroll-tsne/toy-end", divergences[-1], tol=0.1)
report.number("F11-swissroll-tsne/toy-opentsne", packed.kl, tol=0.1)

# %% [markdown]
r"""
**What to notice.** The divergence falls from {glue:text}`F11-swissroll-tsne/toy-start:.2f` to
{glue:text}`F11-swissroll-tsne/toy-end:.2f`. openTSNE {cite:p}`policar-2024`, which we use from here on, reaches
{glue:text}`F11-swissroll-tsne/toy-opentsne:.2f` on the same points with a better optimiser. A pair that is far apart in the data has $p_{ij} \approx 0$ and adds
almost nothing to the sum: such pairs only have to stay apart, and it matters little how far.

## Does t-SNE unroll the roll?

The lecture's picture shows a sheet that is partly unrolled and partly sheared. Its explanation: t-SNE "may have gotten stuck in a local
minimum". That can be tested, because here we know the truth. We run it from {glue:text}`F11-swissroll-tsne/starts` starts (PCA,
then random ones), run the lecture's call of scikit-learn with the library's present defaults, and then do what nobody can do with
real data: start from the flat sheet itself. (The slide has a perplexity of {published}`F11-swissroll-tsne/perplexity`, and so has the recorded run;
the small roll of this page gets {glue:text}`F11-swissroll-tsne/perplexity`.)

:::{admonition} Guess first
:class: tip
Three answers are possible. The start from the truth ends with a lower divergence: then the other runs were stuck. It ends with a higher one:
then the objective *wants* the torn picture. Or all end in the same picture. Which?
:::
"""

# %%
options = {"perplexity": roll_perplexity, "n_pca": None, "n_threads": n_threads}
usual = [embed.tsne(roll, seed=seed, **options)]
usual += [
    embed.tsne(roll, seed=k, initialization="random", **options)
    for k in range(seed + 1, seed + n_starts)
]
true = embed.tsne(roll, seed=seed, initialization=sheet - sheet.mean(0), **options)
# the lecture's call
call = TSNE(n_components=2, perplexity=roll_perplexity, random_state=seed)
lecture = call.fit_transform(roll)
near, far = (
    embed.tsne(roll, seed=seed, **{**options, "perplexity": other})
    for other in (roll_perplexity // 4, 2 * roll_perplexity)
)


# %% tags=["hide-input"]
p_roll = objective.affinities(roll, roll_perplexity)


def kl(points, p):
    """Return the divergence of a picture, all pairs counted."""
    return objective.divergence(p, objective.similarities(torch.as_tensor(points).double()))


def kept(points, data):
    """Return which share of the 12 nearest neighbours in the data are among the 12 nearest in the picture."""
    before, after = (neighbours.nearest(x, 12).indices.numpy() for x in (data, points))
    return float((before[:, :, None] == after[:, None, :]).any(2).mean())


def torn(points, pairs):
    """Return the share of neighbours on the sheet that are not among each other's 20 nearest in the picture."""
    near = neighbours.nearest(points, 20).indices.numpy()
    return 1 - float((near[pairs[:, 0]] == pairs[:, 1:]).any(1).mean())


def ordered(points, row):
    """Return how well one direction of the picture tells the way along the spiral: R squared."""
    return LinearRegression().fit(points, row).score(points, row)


# %% tags=["hide-input"]
report.source(f"a Swiss roll in four dimensions, {len(roll):,} points")
panels = {
    f"from PCA\nKL {kl(usual[0].points, p_roll):.2f}": usual[0].points,
    f"from a random start\nKL {kl(usual[1].points, p_roll):.2f}": usual[1].points,
    f"the lecture's call\nKL {kl(lecture, p_roll):.2f}": lecture,
    f"from PCA\nperplexity {near.perplexity}": near.points,
    f"from PCA\nperplexity {far.perplexity}": far.points,
    f"from the true sheet\nKL {kl(true.points, p_roll):.2f}": true.points,
}
fig, axes = plt.subplots(2, 3, figsize=(7, 5.4), layout="constrained")
for ax, (title, points) in zip(axes.flat, panels.items(), strict=True):
    plots.points(points, ax=ax, values=row, title=title)
report.figure(
    fig,
    name="fig-embeddings-unrolled",
    caption=f"The roll after t-SNE, coloured along the spiral. Perplexity {roll_perplexity} and the divergence reached, where nothing else is said.",
    alt="Above: three pictures in which strips of the sheet lie beside each other in the wrong order. Below: the sheet in order "
    "but in crumbs, the sheet folded upon itself, and one flat sheet with its colours in order.",
)


# %% tags=["remove-cell"]
def over_runs(values):
    """Return mean and spread over runs as a number's value and spread."""
    spread = float(np.std(values, ddof=1))
    return {"value": float(np.mean(values)), "spread": spread, "n": len(values)}


# fmt: off
projected = flat.points[:, :2]
layout = rng.normal(size=(len(roll), 2))
report.number("F11-swissroll-tsne/starts", n_starts, tol=0)
report.number("F11-swissroll-tsne/kept", **over_runs([kept(run.points, roll) for run in usual]), unit="share", tol=0.03,
              agree=(0.5, 1), label="neighbours that the picture of the roll keeps", note="many: more than half of the 12 nearest")
report.number("F11-swissroll-tsne/kept-pca", kept(projected, roll), unit="share", tol=0.03)
report.number("F11-swissroll-tsne/kept-random", kept(layout, roll), unit="share", tol=0.03)
report.number("F11-swissroll-tsne/torn", **over_runs([torn(run.points, pairs) for run in usual]), unit="share", tol=0.02,
              agree=(0.01, 1), label="neighbours on the sheet that are torn apart")
report.number("F11-swissroll-tsne/torn-true", torn(true.points, pairs), unit="share", tol=0.005)
report.number("F11-swissroll-tsne/torn-random", torn(layout, pairs), unit="share", tol=0.03)
report.number("F11-swissroll-tsne/trustworthiness", **over_runs([neighbours.trustworthiness(roll, run.points) for run in usual]), tol=0.005)
report.number("F11-swissroll-tsne/continuity", **over_runs([neighbours.continuity(roll, run.points) for run in usual]), tol=0.01)
report.number("F11-swissroll-tsne/random", neighbours.trustworthiness(roll, layout), tol=0.05)
# fmt: on

# %% tags=["remove-cell"]
# fmt: off
best = min(kl(points, p_roll) for points in [lecture, *(run.points for run in usual)])
report.number("F11-swissroll-tsne/perplexity", roll_perplexity, tol=0)
report.number("F11-swissroll-tsne/kl", **over_runs([kl(run.points, p_roll) for run in usual]), tol=0.03)
report.number("F11-swissroll-tsne/kl-true", kl(true.points, p_roll), tol=0.03)
report.number("F11-swissroll-tsne/kl-lecture", kl(lecture, p_roll), tol=0.05)
report.number("F11-swissroll-tsne/stuck", best / kl(true.points, p_roll), tol=0.05, agree=(1.02, 10),
              label="best divergence of all usual starts / divergence from the true sheet",
              note="above one: a better picture exists, and no usual start finds it")
report.number("F11-swissroll-tsne/ordered", **over_runs([ordered(run.points, row) for run in usual]), unit="share", tol=0.2)
report.number("F11-swissroll-tsne/ordered-true", ordered(true.points, row), unit="share", tol=0.02)
report.number("F11-swissroll-tsne/ordered-near", ordered(near.points, row), unit="share", tol=0.02)
report.number("F11-swissroll-tsne/ordered-far", ordered(far.points, row), unit="share", tol=0.2)
report.number("F11-swissroll-tsne/torn-near", torn(near.points, pairs), unit="share", tol=0.03)
# fmt: on

# %% [markdown]
r"""
**What to notice.** Start from the truth, and the divergence ends at {glue:text}`F11-swissroll-tsne/kl-true:.2f`. The usual starts
end at {glue:text}`F11-swissroll-tsne/kl:.2f` on average, the lecture's call at {glue:text}`F11-swissroll-tsne/kl-lecture:.2f` (recorded
{recorded}`F11-swissroll-tsne/kl-true`, {recorded}`F11-swissroll-tsne/kl` and {recorded}`F11-swissroll-tsne/kl-lecture`). So the
lecture guessed right: the flat sheet is better by the method's own measure, and at this perplexity no usual start finds it. They end in strips
that lie in the wrong order: one direction of the picture explains {glue:text}`F11-swissroll-tsne/ordered:.0%` of the way along the spiral
(recorded {recorded}`F11-swissroll-tsne/ordered`), from the truth {glue:text}`F11-swissroll-tsne/ordered-true:.0%`. All starts end alike.

The perplexity does. With a quarter of it the sheet comes out in order ({glue:text}`F11-swissroll-tsne/ordered-near:.0%`, recorded
{recorded}`F11-swissroll-tsne/ordered-near`), but in crumbs: {glue:text}`F11-swissroll-tsne/torn-near:.1%` of the neighbours on the sheet are
torn apart. With twice as much it is folded
({glue:text}`F11-swissroll-tsne/ordered-far:.0%`, recorded {recorded}`F11-swissroll-tsne/ordered-far`): the neighbourhoods then reach across the gap
between two windings. (Divergences at different perplexities cannot be compared.)

How good is a picture when nobody knows the truth? One can still count neighbours. Of the twelve nearest of a point the
torn pictures keep {glue:text}`F11-swissroll-tsne/kept:.0%` (recorded {recorded}`F11-swissroll-tsne/kept`), PCA {glue:text}`F11-swissroll-tsne/kept-pca:.0%`, a random
layout {glue:text}`F11-swissroll-tsne/kept-random:.0%`: "many neighbourhoods are maintained" holds. And of the neighbours on the sheet
{glue:text}`F11-swissroll-tsne/torn:.1%` are torn apart (recorded {recorded}`F11-swissroll-tsne/torn`; from the truth {glue:text}`F11-swissroll-tsne/torn-true:.1%`,
at random {glue:text}`F11-swissroll-tsne/torn-random:.0%`), which is the lecture's "shearing".

Two measures {cite:p}`venna-2001` weigh such errors by their size. **Trustworthiness** is low when points are neighbours in the
picture and were far away in the data. **Continuity** is low when neighbours in the data were separated. One is perfect,
{glue:text}`F11-swissroll-tsne/random:.2f` is a random picture. The torn pictures reach {glue:text}`F11-swissroll-tsne/trustworthiness:.3f` and
{glue:text}`F11-swissroll-tsne/continuity:.3f`, as if nothing had happened: a cut hurts only the points beside it.

## A picture that misleads

Here are three pictures. Two of them were made from the same points.

:::{admonition} Guess first
:class: tip
Look at the pictures before you read the code. How many clusters do you see in each? In the third, which of the two groups is
the wider one?
:::
"""

# %%
noise = rng.normal(size=(600, 50))
side = np.repeat([0, 1], 300)
uneven = np.where(side[:, None] == 0, 1, 10) * rng.normal(size=(600, 50))
uneven[side == 1] += 40
misleading = {
    "perplexity 3": embed.tsne(noise, perplexity=3, seed=seed, n_pca=None, n_threads=n_threads),
    "perplexity 50": embed.tsne(noise, perplexity=50, seed=seed, n_pca=None, n_threads=n_threads),
    "two groups, perplexity 50": embed.tsne(
        uneven, perplexity=50, seed=seed, n_pca=None, n_threads=n_threads
    ),
}


def clumps_of(points):
    """Return the number of each point's clump: points closer than three usual gaps belong together."""
    gap = float(neighbours.nearest(points, 1).distances.median())
    link = AgglomerativeClustering(None, linkage="single", distance_threshold=3 * gap)
    return link.fit_predict(points)


clumps = clumps_of(misleading["perplexity 3"].points)
large = np.bincount(clumps)[clumps] >= 5  # points in a clump of five or more


# %% tags=["hide-input"]
def width_of(points):
    """Return the usual distance of points from their centre."""
    return float(np.median(np.linalg.norm(points - points.mean(0), axis=1)))


def width_ratio(points, side):
    """Return how much wider the second group is than the first."""
    return width_of(points[side == 1]) / width_of(points[side == 0])


def n_large(clumps):
    """Return how many clumps have five points or more."""
    return int((np.bincount(clumps) >= 5).sum())


report.source("Gaussian noise in 50 dimensions, 600 points")
fig, axes = plt.subplots(1, 3, figsize=(7, 2.6), layout="constrained")
for ax, (title, picture) in zip(axes, misleading.items(), strict=True):
    plots.points(
        picture.points,
        ax=ax,
        groups=side if title.startswith("two groups") else None,
        title=title,
    )
report.figure(
    fig,
    name="fig-embeddings-misleads",
    caption="Left and middle: one and the same Gaussian noise at two perplexities. Right: two Gaussian groups; the second colour is ten "
    "times as wide as the first.",
    alt=f"Left: many small clumps with gaps between them. Middle: one even disc. Right: two round islands; the group that is "
    f"ten times as wide is {width_ratio(misleading['two groups, perplexity 50'].points, side):.1f} times as wide in the picture.",
)

# %% tags=["remove-cell"]
# fmt: off
picture = misleading["perplexity 3"].points
report.number("F11-swissroll-tsne/clumps", n_large(clumps), tol=15)
report.number("F11-swissroll-tsne/clumps-even", n_large(clumps_of(misleading["perplexity 50"].points)), tol=6)
report.number("F11-swissroll-tsne/clumped", float(large.mean()), unit="share", tol=0.15)
report.number("F11-swissroll-tsne/clumps-picture", neighbours.silhouette(picture[large], clumps[large]), tol=0.15)
report.number("F11-swissroll-tsne/clumps-full", neighbours.silhouette(noise[large], clumps[large]), tol=0.02)
report.number("F11-swissroll-tsne/width-full", width_ratio(uneven, side), tol=0.3)
report.number("F11-swissroll-tsne/width-picture", width_ratio(misleading["two groups, perplexity 50"].points, side), tol=0.2)
# fmt: on

# %% [markdown]
r"""
**What to notice.** The first two are the same noise, and there is nothing in it. With a small perplexity each point looks at
few neighbours, and chance alone makes clumps of those: {glue:text}`F11-swissroll-tsne/clumps` of five points or more, with
{glue:text}`F11-swissroll-tsne/clumped:.0%` of all points in them. (At the larger perplexity the same rule finds {glue:text}`F11-swissroll-tsne/clumps-even`,
nearly all points being in one of them.) Are the clumps clusters? The {term}`silhouette` compares, for each point, the distance to its own group with the distance to the
next one: one is a perfect separation, zero none. In the picture it is {glue:text}`F11-swissroll-tsne/clumps-picture:.2f`, for the very same
groups in the full space {glue:text}`F11-swissroll-tsne/clumps-full:.2f`. In the third picture the wide group is
{glue:text}`F11-swissroll-tsne/width-full:.0f` times as wide as the other in the data, {glue:text}`F11-swissroll-tsne/width-picture:.1f` times in the
picture: each point gets its own $\sigma_i$, so widths are lost. Wattenberg and colleagues {cite:p}`wattenberg-2016` collect more such traps.

From here on, every picture has a number beside it that was measured in the full space: the accuracy of a vote of the ten
nearest neighbours, where no point votes for itself.

## Digits, layer by layer

The lecture gives t-SNE the digits as pixels, {published}`F13-tsne-lenet/input` of them, and then as the layers of a small network encode them. We take the networks
of [](#ch-maps), the same ones from different starts, and {glue:text}`F13-tsne-lenet/images` test images that it has not learned. A layer with many values is
first reduced to 50 directions by PCA, which makes t-SNE faster; the number beside the picture is measured without that.

:::{admonition} Guess first
:class: tip
Are the ten digits already apart as pixels? In which layer does the vote of the neighbours gain most?
:::
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
part = digits.sample(min(n_points, len(digits.labels)), seed)


# %%
def spaces_of(network, part, layers):
    """Return the points that the images are, as pixels and in each layer: (n, d) each."""
    found = capture.collect(network, part.images, layers, progress=False)
    layered = {name: torch.as_tensor(found[name]).flatten(1).to(device) for name in layers}
    return {"pixels": part.images.flatten(1).to(device) / 255} | layered


def drawn(spaces, part):
    """Return the picture of each space, and its measures."""
    settings = {"perplexity": perplexity, "seed": seed, "n_threads": n_threads}
    pictures = {name: embed.tsne(space, **settings) for name, space in spaces.items()}
    measured = {
        name: embed.measures(spaces[name], picture.points, part.labels)
        for name, picture in pictures.items()
    }
    return pictures, measured


lenet_layers = ["relu1", "pool1", "relu2", "relu3", "fc2"]
spaces = spaces_of(fitted[0].model, part, lenet_layers)
pictures, measured = drawn(spaces, part)


# %% tags=["hide-input"]
def frames(pictures, measured):
    """Return a frame of the slider for each picture."""
    made = []
    for name, picture in pictures.items():
        m = measured[name]
        made.append(
            report.Frame(
                name,
                f"{name}: silhouette of the ten classes in the picture {m.silhouette_picture:.2f}; for {m.accuracy_picture:.0%} of the "
                f"points the ten neighbours vote right.",
                points=picture.points,
                note=f"10-NN accuracy: {m.accuracy_full:.1%} in the full space, {m.accuracy_picture:.1%} in the picture; "
                f"trustworthiness {m.trustworthiness:.3f}",
            )
        )
    return made


STAND_INS = {"digits": "MNIST"}
report.source(
    f"{handwriting}, {len(part.labels):,} test images", stand_in=STAND_INS.get(handwriting)
)
report.frames(
    frames(pictures, measured),
    name="fig-embeddings-lenet",
    caption=f"Digits as points, in the pixels and in five layers of a small network (t-SNE, perplexity {perplexity}). Move the "
    "slider with the mouse or the arrow keys. Each layer is drawn afresh: only who lies with whom counts.",
    groups=part.labels.numpy(),
    classes=list(digits.classes),
)

# %% [markdown]
r"""
The layer `relu3` is the last hidden one, `fc2` has the ten outputs. That an island jumps from left to right means nothing: each picture
is made afresh. The pictures get clearer. Is that the network, or the method? We repeat the measurement in the full space for all of these networks and
for the same ones **before training**.
"""


# %%
def separation(network, part, layers):
    """Return 10-NN accuracy and silhouette in the full space: (2, 1 + layers)."""
    spaces = spaces_of(network, part, layers).values()
    pairs = [
        (neighbours.accuracy(x, part.labels), neighbours.silhouette(x, part.labels))
        for x in spaces
    ]
    return np.array(pairs).T


trained = np.array([separation(result.model, part, lenet_layers) for result in fitted])
blanks = [
    models.course_lenet(generator=torch.Generator().manual_seed(k)).eval()
    for k in range(seed, seed + n_seeds)
]
untrained = np.array([separation(network, part, lenet_layers) for network in blanks])


# %% tags=["hide-input"]
def separation_figure(names, trained, untrained, measured):
    """Draw accuracy and silhouette along the layers, of networks (m, 2, l), and of the pictures."""
    fig, axes = plt.subplots(1, 2, figsize=(7, 3.1))
    of_pictures = [[m.accuracy_picture for m in measured.values()], [m.silhouette_picture for m in measured.values()]]  # fmt: skip
    for k, (ax, what) in enumerate(zip(axes, ["10-NN accuracy", "silhouette"], strict=True)):
        lines = {"trained": trained[:, k].mean(0), "untrained": untrained[:, k].mean(0)}
        plots.steps(names, lines | {"picture (trained)": of_pictures[k]}, ax=ax, ylabel=what)
        for nets, color in ((trained, "C0"), (untrained, "C1")):
            for values in nets[:, k]:
                ax.plot(range(len(values)), values, color=color, lw=0.6, alpha=0.6)
    axes[1].legend(fontsize="small")
    fig.tight_layout()
    return fig


names = ["pixels", *lenet_layers]
report.figure(
    separation_figure(names, trained, untrained, measured),
    name="fig-embeddings-depth",
    caption=f"How well the classes are separated in the full space of each layer: {n_seeds} networks (thin lines) and their "
    "mean, the same before training, and the pictures of the slider.",
    alt=f"Trained, the accuracy goes from {trained[:, 0, 0].mean():.2f} to {trained[:, 0, -1].mean():.2f} and the silhouette from "
    f"{trained[:, 1, 0].mean():.2f} to {trained[:, 1, -1].mean():.2f}; untrained they end at "
    f"{untrained[:, 0, -1].mean():.2f} and {untrained[:, 1, -1].mean():.2f}.",
)


# %% tags=["remove-cell"]
# fmt: off
last = names.index("relu3")
m = measured["pixels"]
seconds = sum(sum(result.history.seconds) for result in fitted)
report.number("F13-tsne-lenet/pushed", **over_runs(trained[:, 1, last] - trained[:, 1, 0]), tol=0.1, agree=(0.05, 2),
              label="silhouette, last hidden layer less pixels")
report.number("F13-tsne-lenet/training", seconds, unit="seconds", tol=1e9)
report.number("F13-tsne-lenet/images", len(part.labels), tol=0)
report.number("F13-tsne-lenet/input", spaces["pixels"].shape[1], tol=0)
report.number("F13-tsne-lenet/pixels-full", m.accuracy_full, unit="share", tol=0.03, label="10-NN accuracy of the pixels")
report.number("F13-tsne-lenet/last-full", **over_runs(trained[:, 0, last]), unit="share", tol=0.03,
              label="10-NN accuracy of the last hidden layer")
report.number("F13-tsne-lenet/silhouette-pixels", float(trained[0, 1, 0]), tol=0.01)
report.number("F13-tsne-lenet/silhouette-last", **over_runs(trained[:, 1, last]), tol=0.05)
report.number("F13-tsne-lenet/silhouette-untrained", **over_runs(untrained[:, 1, last]), tol=0.05)
report.number("F13-tsne-lenet/silhouette-picture", m.silhouette_picture, tol=0.1)
# fmt: on

# %% [markdown]
r"""
**What to notice.** As pixels the neighbours already vote right in {glue:text}`F13-tsne-lenet/pixels-full:.1%` of the cases (recorded
{recorded}`F13-tsne-lenet/pixels-full`): the lecture's "clusters of classes" are there. In the last hidden layer it is
{glue:text}`F13-tsne-lenet/last-full:.1%` ({recorded}`F13-tsne-lenet/last-full`). There was not much to gain. The silhouette
shows what changes: from {glue:text}`F13-tsne-lenet/silhouette-pixels:.2f` to {glue:text}`F13-tsne-lenet/silhouette-last:.2f` (recorded
{recorded}`F13-tsne-lenet/silhouette-pixels` to {recorded}`F13-tsne-lenet/silhouette-last`). The classes were
recognisable from the start; what changes is that they move *apart*, and that is what the lecture says. The same layer of untrained networks has
{glue:text}`F13-tsne-lenet/silhouette-untrained:.2f` ({recorded}`F13-tsne-lenet/silhouette-untrained`): it is training that does it. Their ten
outputs are worse than the pixels: ten random sums lose much of what the layer before still had.

Note also the pixels: their silhouette is {glue:text}`F13-tsne-lenet/silhouette-pixels:.2f` in the full space and
{glue:text}`F13-tsne-lenet/silhouette-picture:.2f` in the picture (recorded {recorded}`F13-tsne-lenet/silhouette-picture`). Here t-SNE shows
more separation than there is.

## Photographs, layer by layer

Digits are easy. On CIFAR-10 the lecture's network has {published}`F14-tsne-resnet66/layers` layers and never makes its maps smaller; the
lecture says neither its width nor its accuracy. Here a {term}`residual network` stands in for it. On this page it has
{glue:text}`F14-tsne-resnet66/depth` layers and learns ten drawn shapes, whose place, size and colour change. The recorded run shows CIFAR-10
in a network with {recorded}`F14-tsne-resnet66/depth` layers; with fewer than the lecture's it is a published one {cite:p}`he-2016-residual`, which halves its
maps twice.

:::{admonition} Guess first
:class: tip
The same vote of ten neighbours on the raw pixels of these images: nearer to one in ten, or to nine in ten? And in the
same network *before* training: better or worse than the pixels?
:::
"""


# %%
def build(generator):
    """Return a residual network whose maps keep their size, untrained."""
    settings = {"widths": [width], "downsample": False, "stem_stride": stem_stride}
    network = resnets.cifar(depth, **settings, generator=generator)
    return network.to(memory_format=torch.channels_last)  # faster on a CPU


photos = data.load(colour, data.manifest(colour).splits[-1])
generator = torch.Generator().manual_seed(seed)
if given:
    net, blank = resnets.pretrained(given), resnets.cifar(given, generator=generator)
else:
    learn = data.load(colour, "train", n=n_colour)
    recipe = {
        "epochs": colour_epochs,
        "batch_size": 64,
        "schedule": "onecycle",
        "augment": augment,
    }
    recipe |= {"learning_rate": colour_rate, "weight_decay": 5e-4, "precision": precision}
    images, labels = learn.images.to(device), learn.labels.to(device)
    result = checkpoints.load_or_fit("embeddings-colour", build, images, labels, seed=seed, **recipe)  # fmt: skip
    net, blank = result.model, build(generator)
net, blank = net.to(device), blank.to(device)

# %%
some = photos.sample(n_points, seed)
resnet_layers = [*blocks, "pool"]
# an untrained network gets the statistics of its BatchNorms from the images
update_bn([models.prepare(blank, some.images)], blank)
spaces = spaces_of(net.eval(), some, resnet_layers)
pictures, measured = drawn(spaces, some)

# %% tags=["hide-input"]
REPLACED = "a home-made ResNet with 66 layers, CIFAR-10"
kind = f"ResNet-{given}" if given else f"ResNet with {depth} layers"
same = depth == 66 and stem_stride == 1 and colour == "cifar10" and not given
stand_in = None if same else REPLACED
report.source(f"{colour}, {n_points:,} test images; {kind}", stand_in=stand_in)
report.frames(
    frames(pictures, measured),
    name="fig-embeddings-photos",
    caption=f"Colour images as points, in the pixels and in {len(resnet_layers)} layers of a residual network (t-SNE, "
    f"perplexity {perplexity}). The last block stands before the global average pooling, pool before the decision.",
    groups=some.labels.numpy(),
    classes=list(photos.classes),
)

# %%
after = separation(net, some, resnet_layers)[None]
before = separation(blank.eval(), some, resnet_layers)[None]
blank_space = spaces_of(blank, some, ["pool"])["pool"]
blank_picture = embed.tsne(blank_space, perplexity=perplexity, seed=seed, n_threads=n_threads)
# the lecture allows two dimensions or three
solid = embed.tsne(spaces["pool"], 3, perplexity=perplexity, seed=seed, n_threads=n_threads)
in_space = embed.measures(spaces["pool"], solid.points, some.labels)

# %% tags=["hide-input"]
votes = {"pixels": after[0, 0, 0], "pool": after[0, 0, -1], "pool, untrained": before[0, 0, -1]}
fig = plt.figure(figsize=(7, 6.4))
for k, (name, cloud) in enumerate(
    zip(
        ["pixels", "pool, untrained", "pool", "pool"],
        [pictures["pixels"], blank_picture, pictures["pool"], solid],
        strict=True,
    )
):
    in_3d = {"projection": "3d"} if cloud is solid else {}
    ax = fig.add_subplot(2, 2, k + 1, **in_3d)
    title = f"{name}{', in three dimensions' * bool(in_3d)}: 10-NN {votes[name]:.0%}"
    labels = {"groups": some.labels.numpy(), "names": photos.classes}
    plots.points(cloud.points, ax=ax, title=title, **labels)
fig.legend(*fig.axes[0].get_legend_handles_labels(), loc="lower center", ncols=5, markerscale=3)
fig.tight_layout(rect=(0, 0.08, 1, 1))
report.figure(
    fig,
    name="fig-embeddings-resnet",
    caption="Images as pixels and in the last layer before the decision: before training, trained, and trained in three "
    "dimensions. The number is the 10-NN accuracy in the full space.",
    alt=f"Above, pixels and untrained layer: every place has all colours. Below, the trained layer: islands of one colour. The "
    f"neighbours vote right for {votes['pixels']:.0%}, {votes['pool, untrained']:.0%} and {votes['pool']:.0%}.",
)

# %% tags=["hide-input"]
report.figure(
    separation_figure(["pixels", *resnet_layers], after, before, measured),
    name="fig-embeddings-photos-depth",
    caption="Separation of the classes in the full space along the residual network, trained and untrained, and in the pictures.",
    alt=f"Trained, the accuracy climbs from {after[0, 0, 0]:.2f} to {after[0, 0, -1]:.2f}, the silhouette from {after[0, 1, 0]:.2f} to "
    f"{after[0, 1, -1]:.2f}, the latter mostly in the last blocks; untrained both stay low.",
)

# %% tags=["remove-cell"]
seconds = 0 if given else sum(result.history.seconds)
report.number("F14-tsne-resnet66/training", seconds, unit="seconds", tol=1e9)
report.number("F14-tsne-resnet66/depth", given or depth, tol=0)
report.number("F14-tsne-resnet66/layers", given or depth, tol=0, label="layers of the network")
report.source(f"{colour}, {len(photos.labels):,} test images; {kind}", stand_in=stand_in)
report.number("F14-tsne-resnet66/accuracy", train.accuracy(net, photos.images, photos.labels.to(device)), unit="share", tol=0.06,
              label="test accuracy of the network")  # fmt: skip
report.source(f"{colour}, {n_points:,} test images; {kind}", stand_in=stand_in)
report.number("F14-tsne-resnet66/separated", float(statistics.spearman(np.arange(after.shape[2]), after[0, 1])), tol=0.09, agree=(0.9, 1),
              label="rank correlation of depth and silhouette", note="one: every layer separates more than the one before")  # fmt: skip
report.number("F14-tsne-resnet66/mixed", measured["pixels"].accuracy_picture, unit="share", tol=0.06, agree=(0, 0.5),
              label="10-NN accuracy in the picture of the pixels", note="mixed: the vote is wrong for most images")  # fmt: skip
report.number("F14-tsne-resnet66/pixels-full", float(after[0, 0, 0]), unit="share", tol=0.05)
report.number("F14-tsne-resnet66/block-full", float(after[0, 0, -2]), unit="share", tol=0.08,
              label="10-NN accuracy before the pooling")  # fmt: skip
report.number("F14-tsne-resnet66/pool-full", float(after[0, 0, -1]), unit="share", tol=0.08,
              label="10-NN accuracy before the decision")  # fmt: skip
report.number("F14-tsne-resnet66/pool-untrained", float(before[0, 0, -1]), unit="share", tol=0.08)
report.number("F14-tsne-resnet66/silhouette-pixels", float(after[0, 1, 0]), tol=0.05)
report.number("F14-tsne-resnet66/silhouette-pool", float(after[0, 1, -1]), tol=0.15)

# %% tags=["remove-cell"]
pixels = some.images / 255
ring = torch.ones(pixels.shape[2:], dtype=torch.bool)
ring[4:-4, 4:-4] = False
brighter = pixels[:, :, 10:-10, 10:-10].mean((2, 3)) > pixels[:, :, ring].mean(2)
kinds = (brighter.long() * torch.tensor([1, 2, 4])).sum(1)
report.number(
    "F14-tsne-resnet66/brightness", neighbours.accuracy(pixels, kinds), unit="share", tol=0.03
)
middle = blocks[len(blocks) // 2]
by_pca = neighbours.accuracy(embed.pca(spaces[middle], 50).points, some.labels)
report.number(
    "F14-tsne-resnet66/middle-full", measured[middle].accuracy_full, unit="share", tol=0.08
)
report.number(
    "F14-tsne-resnet66/middle-picture", measured[middle].accuracy_picture, unit="share", tol=0.08
)
report.number("F14-tsne-resnet66/middle-pca", by_pca, unit="share", tol=0.08)
report.number("F14-tsne-resnet66/trust-plane", measured["pool"].trustworthiness, tol=0.02)
report.number("F14-tsne-resnet66/trust-space", in_space.trustworthiness, tol=0.02)

# %% [markdown]
r"""
**What to notice.** As pixels the classes are mixed: the neighbours vote right in {glue:text}`F14-tsne-resnet66/pixels-full:.1%` of the cases
(recorded {recorded}`F14-tsne-resnet66/pixels-full`), where guessing gives one in ten. Before the decision it is
{glue:text}`F14-tsne-resnet66/pool-full:.1%` (recorded {recorded}`F14-tsne-resnet66/pool-full`), close to the network's own accuracy,
{glue:text}`F14-tsne-resnet66/accuracy:.1%` ({recorded}`F14-tsne-resnet66/accuracy`). The rank correlation of depth and silhouette
is {glue:text}`F14-tsne-resnet66/separated:.2f` ({recorded}`F14-tsne-resnet66/separated`), of one network: "more and more separated" holds. But
the steps are very unequal: the silhouette hardly moves in the first half of the network and jumps in the last blocks. Without
training, the last layer votes right in {glue:text}`F14-tsne-resnet66/pool-untrained:.1%`
({recorded}`F14-tsne-resnet66/pool-untrained`), less than the pixels.

Did you see the eight islands in the pixels of the drawn shapes? They are real, and they are not the classes. In red, in green and in blue a
shape is brighter or darker than its background, which makes 2 x 2 x 2 kinds of images, and the neighbours tell the kind right in
{glue:text}`F14-tsne-resnet66/brightness:.1%` of the cases. Structure in a picture need not be the structure that you look for.

In the middle blocks of the recorded run the picture votes *better* than the full space, {recorded}`F14-tsne-resnet66/middle-picture`
against {recorded}`F14-tsne-resnet66/middle-full` in one of them. (On this page it does not: {glue:text}`F14-tsne-resnet66/middle-picture:.1%` against
{glue:text}`F14-tsne-resnet66/middle-full:.1%`.) PCA before t-SNE explains it: in its 50 directions alone the vote reaches
{recorded}`F14-tsne-resnet66/middle-pca` there. The many other directions say little about the classes, and they blur the distances.

The lecture allows three dimensions, too. A third dimension raises the trustworthiness from {glue:text}`F14-tsne-resnet66/trust-plane:.3f` to
{glue:text}`F14-tsne-resnet66/trust-space:.3f` (recorded {recorded}`F14-tsne-resnet66/trust-plane` and
{recorded}`F14-tsne-resnet66/trust-space`), and makes the figure worse: on paper, islands hide behind islands.

## The lecture's sentences and our numbers
"""

# %% tags=["hide-input"]
report.table()

# %% [markdown]
r"""
## When it breaks

**Distances between islands.** Little in the objective holds two islands at their distance. Where an island lies is partly an accident of
the start.

**Perplexity.** openTSNE wants three points for each unit of it, and every value shows something else. Draw several.

**Few networks.** The curves of the digits rest on a few networks, those of the photographs on a single one.

**High dimensions.** In a layer with thousands of values distances become alike, and the silhouette of a layer can be low although
a linear classifier reads the classes perfectly. Separation *for neighbours* is one notion of separation.

:::{admonition} What we learned
:class: important
- t-SNE keeps neighbours. It does not keep widths, and it says almost nothing about distances between groups.
- The lecture's guess is right: on the roll t-SNE is stuck. From the true sheet it ends with a lower divergence.
- It draws clumps into pure noise. A number from the full space tells.
- Perplexity decides more than the seed.
- Digits are recognisable as pixels; layers move them apart. Photographs are mixed as pixels; layers sort them.
- Training does both. An untrained network separates hardly better than pixels, or worse.
:::

## Exercises

```{exercise}
:label: ex-embeddings-perplexity
**What perplexity counts** (3 minutes). The perplexity of probabilities $p_1, \dots, p_n$ is $2^H$ with the entropy $H = -\sum_j p_j \log_2 p_j$.
Write it. What does it give for seven equal probabilities?
```
"""


# %% tags=["exercise"]
def perplexity_of(p):
    """Return the perplexity of probabilities (n,)."""
    return len(p)  # only right when all are equal


cases = np.full(7, 1 / 7), np.array([0.5, 0.25, 0.25])
passed = np.allclose([perplexity_of(p) for p in cases], [7, 2**1.5])
report.check("ex-embeddings-perplexity", passed, "Rare neighbours count less than frequent ones.")


# %% tags=["solution"]
def perplexity_of(p):
    """Return the perplexity of probabilities (n,)."""
    return 2 ** -(p * np.log2(p)).sum()


passed = np.allclose([perplexity_of(p) for p in cases], [7, 2**1.5])
report.check("ex-embeddings-perplexity", passed, "Rare neighbours count less than frequent ones.")

# %% [markdown]
r"""
```{exercise}
:label: ex-embeddings-clumps
**Are these clusters real?** (5 minutes). `clumps` numbers the groups that one sees in the first misleading picture. Decide with one
number that the picture cannot flatter, and return it.
```
"""


# %% tags=["exercise"]
def honest(noise, picture, clumps):
    """Return a silhouette that tells whether the groups exist in the data."""
    return neighbours.silhouette(picture, clumps)  # measured where the groups were found


score = honest(noise[large], misleading["perplexity 3"].points[large], clumps[large])
report.check("ex-embeddings-clumps", abs(score) < 0.1, "Where do the data live?")


# %% tags=["solution"]
def honest(noise, picture, clumps):
    """Return a silhouette that tells whether the groups exist in the data."""
    return neighbours.silhouette(noise, clumps)


score = honest(noise[large], misleading["perplexity 3"].points[large], clumps[large])
report.check("ex-embeddings-clumps", abs(score) < 0.1, "Where do the data live?")

# %% [markdown]
r"""
```{exercise}
:label: ex-embeddings-shuffle
**Chance** (5 minutes). Shuffle the labels of the images. What does the vote of the ten neighbours give, without running it?
```
"""

# %% tags=["exercise"]
shuffled = some.labels[torch.as_tensor(rng.permutation(len(some.labels)))]
chance = neighbours.accuracy(spaces["pool"], shuffled)


def expected(labels):
    """Return the accuracy that you expect for shuffled labels."""
    return 0.5  # right for two classes of equal size


passed = abs(expected(some.labels) - chance) < 4 * (0.09 / len(shuffled)) ** 0.5
report.check(
    "ex-embeddings-shuffle", passed, "How many classes are there, and how large are they?"
)


# %% tags=["solution"]
def expected(labels):
    """Return the accuracy that you expect for shuffled labels."""
    shares = torch.bincount(labels) / len(labels)
    return float((shares**2).sum())


passed = abs(expected(some.labels) - chance) < 4 * (0.09 / len(shuffled)) ** 0.5
report.check(
    "ex-embeddings-shuffle", passed, "How many classes are there, and how large are they?"
)

# %% [markdown]
r"""
```{exercise}
:label: ex-embeddings-errors
**Where are the errors?** (10 minutes). Take the images whose neighbours in the last layer vote for another class. Is the network
wrong more often there? Return its error rate on these images.
```
"""

# %% tags=["exercise"]
wrong = train.predict(net, some.images).cpu() != some.labels
nearest = neighbours.nearest(spaces["pool"], 10).indices.cpu()
vote = torch.mode(some.labels[nearest], dim=1).values  # a tie goes to the smallest label


def error_rate(wrong, vote, labels):
    """Return the network's error rate where the neighbours vote for another class."""
    return float(wrong.float().mean())  # on all images


outvoted = vote != some.labels
truth = int((wrong & outvoted).sum()) / int(outvoted.sum())
passed = abs(error_rate(wrong, vote, some.labels) - truth) < 1e-6
report.check("ex-embeddings-errors", passed, "Select the images first.")


# %% tags=["solution"]
def error_rate(wrong, vote, labels):
    """Return the network's error rate where the neighbours vote for another class."""
    return float(wrong[vote != labels].float().mean())


passed = abs(error_rate(wrong, vote, some.labels) - truth) < 1e-6
report.check("ex-embeddings-errors", passed, "Select the images first.")

# %% [markdown]
r"""
## Go further

- Kobak and Linderman {cite:p}`kobak-2021` show how much the start matters, and that UMAP and t-SNE differ mostly by it.
- Chari and Pachter {cite:p}`chari-2023` ask what any picture in two dimensions can keep.
- Rauber and colleagues {cite:p}`rauber-2017` draw networks layer by layer, and during training.
- Papyan and colleagues {cite:p}`papyan-2020` describe where the separation ends: at a single point for each class.

```{bibliography}
:filter: docname in docnames
```
"""

# %% tags=["hide-input"]
report.provenance()
