"""How to call the functions of numbers: statistics, closed forms, splits, scores and tests of independence."""

import numpy as np
from laws import call, case

from actlib import (
    arrangements,
    grids,
    hamming,
    independence,
    judges,
    linkage,
    scores,
    selection,
    splits,
    statistics,
    theory,
)

# ----------------------------------------------------------------------------------------------- statistics


def two_kinds(d):
    n, c = d.size(4, 9), d.size(0, 3)
    return call(d.array(n, c) if c else d.array(n), d.flags(n))


case(statistics.auroc)(two_kinds)
case(statistics.d_prime)(two_kinds)


@case(statistics.auroc_by_class)
def _(d):
    n = d.size(4, 9)
    return call(d.array(n, d.size()), d.classes(n, d.size(2, 3)).numpy())


@case(statistics.spearman)
def _(d):
    n = d.size(2, 6)
    return call(d.array(n), d.array(n))


@case(statistics.interval)
def _(d):
    return call(d.array(d.size(2, 6)), level=d.pick(0.5, 0.95))


@case(statistics.bootstrap_interval)
def _(d):
    shape = (d.size(2, 5), *([d.size()] if d.pick(True, False) else []))
    return call(d.array(*shape), lambda x: float(x.mean()), generator=d.numpy, n_draws=20)


# ------------------------------------------------------------------------------------------- closed forms

case(theory.kappa)(lambda d: call(d.real(0, 0.99)))
case(theory.activation_cdf)(lambda d: call(d.real(0, 1), d.pick(0.1, 1.0, 3.0)))
case(theory.activation_pdf)(lambda d: call(d.real(0.01, 0.99), d.pick(0.1, 1.0, 3.0)))
case(theory.arc_cosine)(lambda d: call(d.real(-1, 1), d.pick(0, 1)))
case(theory.pattern_correlation)(lambda d: call(d.real(-1, 1)))
case(theory.pattern_agreement)(lambda d: call(d.pick(64, 1000, float("inf"))))
case(theory.hamming)(lambda d: call(d.real(-1, 1), d.size(1, 50)))
case(theory.hamming_of_independent)(lambda d: call(d.array(d.size(), low=0, high=1)))
case(theory.weight_norm)(lambda d: call(d.size(1, 100)))
case(theory.hyperplane_pdf)(lambda d: call(d.real(0, 3), d.size(2, 100)))
case(theory.folded_normal)(lambda d: call(d.real(-3, 3), d.pick(0.5, 2.0)))
case(theory.rectified_normal)(lambda d: call(d.real(-3, 3), d.pick(0.5, 2.0)))
case(theory.selu_law)(lambda d: call(d.real(-3, 3), d.pick(0.5, 2.0), 1.67, 1.05))
case(theory.selu_constants)(lambda d: call())


@case(theory.depth_recursion, finite=False)
def _(d):
    n = d.size(1, 5)
    return call(d.pick(0.5, 2), d.pick(0, 0.3, 1.0), d.array(n, low=0.1, high=2), d.array(n, low=0, high=1))


@case(theory.next_variance)
def _(d):
    x = d.numpy.normal(size=(5, d.size()))
    return call(x.T @ x, d.pick(0.5, 1), excess_kurtosis=d.pick(0, -1.2))


# -------------------------------------------------------------------------------------------- arrangements

case(arrangements.affine)(lambda d: call(d.size(0, 9), d.size(0, 9)))
case(arrangements.central)(lambda d: call(d.size(1, 9), d.size(1, 9)))
case(arrangements.uniform_law)(lambda d: call(d.size(1, 5)))
case(arrangements.stated_bias_law)(lambda d: call(d.size(1, 2)))
case(arrangements.sign_flip_law)(lambda d: call(d.array(d.size(1, 4)), d.pick(0.0, 0.3)))


@case(arrangements.recurrence)
def _(d):
    n = d.size(1, 7)
    return call(n, d.size(1, n))


@case(arrangements.regions)
def _(d):
    n = d.size(1, 3)
    return call(d.array(n, d.size(1, 3)), d.pick(None, d.array(n)))


# ------------------------------------------------------------------------------------------ splits, scores


@case(splits.by_pair)
def _(d):
    return call(d.size(3, 30), d.generator)


@case(splits.by_group)
def _(d):
    return call(d.classes(d.size(3, 30), 3).numpy(), d.generator)


@case(splits.by_both)
def _(d):
    first, second = np.divmod(np.arange(144), 12)
    return call(first, second, d.generator)


@case(splits.shared)
def _(d):
    groups = d.classes(d.size(9, 30), 4).numpy()
    return call(splits.by_group(groups, d.generator), groups)


@case(scores.regression)
def _(d):
    n = d.size(2, 8)
    return call(d.array(n), d.array(n))


@case(scores.classification)
def _(d):
    n = d.size(4, 9)
    return call(d.array(n, low=0, high=1), d.flags(n), prevalence=d.pick(None, 0.5))


@case(scores.reliability, finite=False)
def _(d):
    n = d.size(4, 9)
    return call(d.array(n, low=0, high=1), d.flags(n), n_bins=d.size(1, 5), prevalence=d.pick(None, 0.5))


@case(selection.select, anywhere=True)
def _(d):
    n, m = d.size(1, 9), d.size(0, 3)
    return call(d.whole(0, 3, *([m] if m else []), n), d.whole(0, 3, n), d.size(1, 3))


# ------------------------------------------------------------------------------------------------ settings

case(grids.full, heavy=True)(lambda d: call())
case(grids.sample)(lambda d: call(d.size(1, 20), d.seed))
case(grids.check)(lambda d: call([tuple(s) for s in grids.sample(d.size(1, 4), d.seed)]))
case(grids.key)(lambda d: call(grids.sample(d.size(1, 4), d.seed)))

# -------------------------------------------------------------------------------------------------- linkage


def distances(d):
    n = d.size(2, 7)
    x = d.numpy.integers(0, 9, (n, n)).astype(d.pick(np.int16, np.int64, np.float32, np.float64))
    return call(x + x.T)


case(linkage.complete)(distances)
case(linkage.single)(distances)


@case(linkage.cut)
def _(d):
    return call(linkage.complete(distances(d).args[0]), d.size(0, 20))


# --------------------------------------------------------------------------------------------- independence


@case(independence.bernoulli_test)
def _(d):
    return call(d.either(d.whole(0, 9, d.size())), 8)


@case(independence.variance_test, finite=False)
def _(d):
    return call(d.either(d.whole(0, 9, d.size(2, 6))), 8, probabilities=d.pick(None, d.array(8, low=0.1, high=0.9)))


case(independence.distance_law)(lambda d: call(d.either(d.unit(d.size()))))


@case(independence.heterogeneity_test, finite=False)
def _(d):
    return call(d.either(d.bits(d.size(2, 6), d.size(2, 5))), probability=d.pick(None, 0.5))


@case(hamming.disjoint_pairs)
def _(d):
    n = d.size(2, 9)
    return call(n, d.size(1, n // 2), generator=d.generator)


# --------------------------------------------------------------------------------------------------- judges


def logits(d):
    return call(d.either(d.values(d.size(), d.size(2, 4), scale=3)))


for confidence in (judges.max_softmax, judges.entropy, judges.margin, judges.sorted_logits):
    case(confidence)(logits)

NAMES = ("sorted-logits", "k-nn", "boosted-trees", "mlp")


@case(judges.jacobian_margin, finite=False)
def _(d):
    images = d.images(n := d.size(3, 6), 1, 16)
    return call(d.lenets(2), images, selection.select(d.whole(0, 3, 2, n), d.classes(n, 3), 1), sigma=d.pick(0.1, 1))


@case(judges.correctness)
def _(d):
    return call(d.pick(*NAMES), seed=d.seed)


@case(judges.robustness)
def _(d):
    return call(d.pick("ridge", *NAMES[1:]), seed=d.seed)


def learnable(d):
    right = d.pick(True, False)
    judge = judges.correctness("sorted-logits") if right else judges.robustness("ridge")
    return judge, d.array(40, d.size(2, 4)), d.flags(40) if right else d.array(40, low=0, high=1)


@case(judges.fit)
def _(d):
    return call(*learnable(d))


@case(judges.predict)
def _(d):
    judge, features, target = learnable(d)
    return call(judges.fit(judge, features, target), features)
