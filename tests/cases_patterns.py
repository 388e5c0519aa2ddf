"""How to call the functions of similarity and of patterns."""

import torch
from draws import HALVES, REALS
from laws import call, case

from actlib import (
    activity,
    bits,
    constellations,
    cosines,
    hamming,
    patterns,
    similarity,
    spectra,
    tiles,
    votes,
)  # fmt: skip


def vectors(d, *shape):
    return d.either(d.values(*shape))


# ------------------------------------------------------------------------------------------------ similarity


def compared(d):
    """Return r references, n others and options: whether the references stand among the others, and a mean."""
    r, n = d.size(1, 3), d.size(6, 9)
    others, options = d.values(n, 3), {}
    if not d.pick(True, False):
        return d.either(d.values(r, 3)), d.either(others), options
    index = torch.randperm(n, generator=d.generator)[:r].to(d.device)
    return others[index].clone(), others, {"reference_indices": index}


def mean(d):
    return d.pick(None, d.values(3))


@case(cosines.cosine, dtypes=REALS, anywhere=True)
def _(d):
    return call(vectors(d, d.size(), 1, 3), vectors(d, d.size(), 3), mean=d.pick(None, d.values(3)))


@case(cosines.blocks, dtypes=REALS, finite=False)
def _(d):
    references, others, options = compared(d)
    return call(references, others, mean=mean(d), **options)


case(cosines.as_integers)(lambda d: call(d.either(d.whole(0, 5, 4)), 4, "labels"))
case(cosines.check_k)(lambda d: call((1, d.size(1, 3)), d.values(5, 2), d.pick(None, d.whole(0, 5, 2))))


@case(similarity.histograms)
def _(d):
    references, others, options = compared(d)
    n = len(others)
    labels = torch.arange(n) % 2
    own = labels[options["reference_indices"]] if options else torch.arange(len(references)) % 2
    return call(references, own, others, labels, n_bins=d.size(1, 9), mean=mean(d), **options)


@case(similarity.separation, finite=False)
def _(d):
    references, others, options = compared(d)
    labels = torch.arange(len(others)) % 2
    own = labels[options["reference_indices"]] if options else torch.arange(len(references)) % 2
    return call(references, own, others, labels, k=(1, d.size(1, 5)), mean=mean(d), **options)


@case(votes.nearest_classes)
def _(d):
    references, others, options = compared(d)
    return call(references, others, d.whole(0, 3, len(others)), d.size(1, 5), mean=mean(d), **options)


@case(votes.vote)
def _(d):
    references, others, options = compared(d)
    return call(references, others, d.whole(0, 3, len(others)), d.size(1, 5), threshold=d.pick(0.3, 1.0), **options)


# -------------------------------------------------------------------------------------------------- patterns


def some(d, n=None, u=70):
    """Return n patterns of 1, a few or 70 units: truth values, numbers 0 and 1, or packed words."""
    found = d.bits(n or d.size(2, 6), d.pick(1, 3, u))
    how = d.pick("bool", "float", "uint8", "packed", "array", "packed array")
    if how.startswith("packed"):
        return bits.pack(found.cpu().numpy() if how.endswith("array") else found)
    return {"float": found.float(), "uint8": found.to(torch.uint8), "array": found.cpu().numpy()}.get(how, found)


for module, name in [
    (activity, "activation"), (constellations, "trees"), (hamming, "matrix"), (hamming, "histogram"),
    (tiles, "as_patterns"), (patterns, "unique"),
]:  # fmt: skip
    case(getattr(module, name), anywhere=name != "trees")(lambda d: call(some(d)))

case(activity.count_active, anywhere=True)(lambda d: call(tiles.as_patterns(some(d))))
case(activity.unpacked, anywhere=True)(lambda d: call(tiles.as_patterns(some(d))))
case(tiles.distance_type)(lambda d: call(d.pick(1, 32766, 32767)))
case(tiles.as_pair, anywhere=True)(lambda d: call(p := some(d), d.pick(None, p)))
case(hamming.nearest, anywhere=True)(lambda d: call(some(d, 5), d.size()))


@case(tiles.tiles, anywhere=True, strided=False)  # takes what as_patterns returns
def _(d):
    packed = tiles.as_patterns(some(d))
    return call(packed, d.pick(None, packed), use=lambda f, *args: [tile.distances.clone() for tile in f(*args)])


@case(hamming.pair_distances, anywhere=True)
def _(d):
    return call(some(d, 5), d.either(d.whole(0, 5, d.size(), 2)))


@case(activity.margins, finite=False, dtypes=HALVES)
def _(d):
    return call(d.either(d.values(d.size(), *d.pick((3,), (2, 2)))), d.pick(0, 0.5))


def spread(d):
    """Return patterns of which at least one unit varies."""
    return torch.cat([d.bits(4, 3), torch.tensor([[True, False, True], [False, True, True]], device=d.device)])


case(spectra.correlations, anywhere=True)(lambda d: call(spread(d)))
case(spectra.spectrum, anywhere=True)(lambda d: call(spread(d)))


def trees(d):
    return constellations.trees(some(d))


case(constellations.find)(lambda d: call(trees(d)))
case(constellations.curves)(lambda d: call(trees(d)))
case(constellations.members)(lambda d: call(trees(d), d.size(0, 1)))
case(constellations.agreement)(lambda d: call(d.whole(0, 3, n := d.size()), d.either(d.whole(0, 2, n))))


@case(constellations.score)
def _(d):
    return call(constellations.curves(constellations.trees(d.bits(5, 8))).single, 5)


@case(constellations.bootstrap)
def _(d):
    return call(some(d, d.size(4, 7)), d.size(1, 3), generator=d.generator)


# ------------------------------------------------------------------------------------------------------ bits


@case(bits.pack, anywhere=True)
def _(d):
    return call(d.either(d.bits(*d.pick((), (2,), (1, 3)), d.pick(0, 1, 64, 65))))


@case(bits.unpack, anywhere=True)
def _(d):
    packed = bits.pack(d.either(d.bits(*d.pick((), (2,)), d.pick(1, 64, 65))))
    return call(packed.words, packed.n_bits)
