"""How to call the functions of activations: maps, embeddings, compression, similarity and patterns."""

import torch
from draws import HALVES, REALS
from laws import call, case
from torch import nn

from actlib import (
    compress,
    covariance,
    embed,
    fields,
    maps,
    neighbours,
    objective,
)

# ------------------------------------------------------------------------------------------------------ maps


def four(d):
    """Return maps (n, c, h, w), any of the axes as short as 1."""
    return d.values(d.size(), d.size(), d.size(), d.size())


case(maps.signed, anywhere=True)(lambda d: call(four(d), over=d.pick(None, (2, 3), (-1,))))
case(maps.scores, dtypes=HALVES, anywhere=True)(lambda d: call(four(d)))
case(maps.shuffle, anywhere=True)(lambda d: call(four(d), generator=d.generator))
case(maps.rotate, anywhere=True)(lambda d: call(four(d), generator=d.generator))


@case(maps.top_images, anywhere=True)
def _(d):
    n, c = d.size(1, 6), d.size()
    return call(d.values(n, c), d.size(0, c - 1), d.size(1, n))


@case(maps.morans_i, finite=False, anywhere=True)
def _(d):
    return call(d.values(d.size(), d.size(), d.size(2, 5), d.size(2, 5)))


@case(maps.selectivity)
def _(d):
    labels = d.classes(8, 2)
    return call(d.values(8, d.size()), labels, maps.halves(labels, generator=d.rng()))


case(maps.halves, anywhere=True)(lambda d: call(d.classes(d.size(2, 9), 2), generator=d.generator))


@case(fields.receptive_field)
def _(d):
    return call(d.convnet(), d.pick("conv", "relu", "pool"), (1, 6, 6))


@case(fields.onto_image, anywhere=True)
def _(d):
    field = fields.ReceptiveField((3, 3), (1.0, 2.0), (0.5, -1.0))
    return call(d.values(d.size(), d.size(), d.size()), field, (d.size(1, 7), d.size(1, 7)))


# ------------------------------------------------------------------------------------------------ embeddings


def points(d, n=None):
    """Return points (n, ...), of which some axis may have length 1, as a tensor or an array."""
    shape = d.pick((3,), (1, 2), (2, 1, 2))
    x = d.values(n or d.size(5, 9), *shape)
    return d.either(
        x if d.dtype.is_floating_point else x + torch.arange(len(x)).to(x)[:, None].reshape(-1, *[1] * len(shape))
    )


for name in ("nearest", "accuracy", "trustworthiness", "continuity", "silhouette"):
    function = getattr(neighbours, name)

    @case(function, dtypes=REALS if name == "nearest" else HALVES, anywhere=name == "nearest")
    def _(d, name=name):
        x = points(d, 7)
        labels = {"accuracy": d.classes(7, 3), "silhouette": d.classes(7, 3)}
        pair = {"trustworthiness": points(d, 7), "continuity": points(d, 7)}
        rest = [] if name == "silhouette" else [d.size(1, 3)]
        return call(x, *([(labels | pair)[name]] if name != "nearest" else []), *rest)


case(neighbours.as_points, dtypes=REALS, anywhere=True)(lambda d: call(points(d)))
case(neighbours.first_copies, dtypes=REALS)(lambda d: call(d.values(d.size(), 2)))
case(neighbours.check_count)(lambda d: call("k", d.size(1, 3), 3, "3 points"))

case(embed.pca, dtypes=HALVES, anywhere=True)(lambda d: call(points(d), d.size(1, 2)))
case(embed.kmeans, dtypes=HALVES)(lambda d: call(points(d), d.size(1, 3), seed=d.seed))


@case(embed.measures)
def _(d):
    return call(points(d, 9), points(d, 9), d.pick(None, d.classes(9, 3)), k_accuracy=d.size(1, 4), k=d.size(1, 4))


@case(embed.tsne, tolerance=float("inf"))  # chaotic: the last bit of a layout may turn the picture
def _(d):
    n = d.size(9, 12)
    return call(points(d, n), 2, perplexity=2, seed=d.seed, n_iterations=3)


case(objective.affinities)(lambda d: call(points(d), d.pick(2, 2.5)))
case(objective.similarities, anywhere=True)(lambda d: call(d.values(d.size(2, 6), d.size(1, 3))))
case(objective.squared_distances, dtypes=(torch.float64,))(lambda d: call(d.values(d.size(), d.size())))


@case(objective.gradient, dtypes=(torch.float64,))
def _(d):
    y = d.values(5, 2)
    return call(objective.similarities(d.values(5, 2)), y)


@case(objective.divergence, dtypes=(torch.float64,))
def _(d):
    return call(objective.similarities(d.values(5, 2)), objective.similarities(d.values(5, 2)))


# ----------------------------------------------------------------------------------------------- compression


def vectors(d, *shape):
    return d.either(d.values(*(shape or (d.size(2, 6), *d.pick((3,), (2, 1, 2))))))


@case(covariance.moments, dtypes=REALS, anywhere=True)
def _(d):
    x = vectors(d, d.size(2, 6), d.size(), d.size(), 1) if (axis := d.pick("all", "channels")) != "all" else vectors(d)
    return call(d.pick(x, [x, x]), axis=axis)


@case(covariance.pca)
def _(d):
    return call(covariance.moments(d.values(6, 3)), d.pick(None, 1, 3), centred=d.pick(True, False))


case(covariance.read, dtypes=REALS)(lambda d: call(vectors(d)))
case(compress.random_orthonormal)(lambda d: call(d.size(3, 6), d.size(1, 3), generator=d.generator))
case(compress.random_uniform)(lambda d: call(d.size(3, 6), d.size(1, 3), generator=d.generator))
case(compress.scrambled)(lambda d: call(d.values(12, d.size()), d.pick((3, 2, 2), (12, 1, 1), (1, 3, 4))))


@case(compress.kept)
def _(d):
    basis = covariance.pca(found := covariance.moments(d.values(6, 3)))
    return call(basis.components.to(d.dtype), found.covariance)


@case(compress.suffix)
def _(d):
    return call(d.convnet(), d.pick("conv", "relu", "pool", "flatten"))


@case(compress.accuracy_after)
def _(d):
    n, model = d.size(1, 5), d.convnet()
    stored = model.pool(model.relu(model.conv(d.unit(n, 1, 6, 6)))).detach()
    basis = compress.random_orthonormal(8, 3, generator=d.rng()).to(d.dtype)
    projections = {"none": nn.Identity(), "three": compress.Projection(basis, d.size(1, 3))}
    return call(model, "pool", d.either(stored), d.whole(0, 3, n), projections, batch_size=d.size())
