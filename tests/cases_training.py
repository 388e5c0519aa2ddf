"""How to call the functions that train networks and judge them: one, a population, and a network about networks."""

import numpy as np
import torch
from laws import call, case

from actlib import (
    bodies,
    forecasters,
    grids,
    lenets,
    members,
    meta,
    models,
    perturbations,
    population_steps,
    populations,
    robustness,
    selection,
    train,
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- trained


@case(train.fit, writes=(0,), trains=True, grad=False)
def _(d):
    n, model = d.size(2, 5), d.convnet()
    options = {"optimizer": d.pick("sgd", "adam"), "schedule": d.pick("constant", "cosine", "onecycle")}
    labels = d.whole(0, 3, n)
    options |= {"augment": d.pick(None, "flip"), "batch_size": d.size(2, 3), "progress": False, "use": untimed}
    return call(model, d.images(n), labels, epochs=1, learning_rate=0.01, generator=d.generator, **options)


def untimed(f, *args, **kwargs):
    """Return a history without its seconds, which no two runs share."""
    return f(*args, **kwargs)._replace(seconds=[])


@case(forecasters.fit, writes=(0,), trains=True, grad=False)
def _(d):
    model = forecasters.network(width=2, n_blocks=1, kernel=3, size=4, generator=d.rng())
    n = d.size(2, 4)
    pictures = torch.rand(n, 2, 4, 4, generator=d.generator), torch.rand(n, 1, 4, 4, generator=d.generator)
    options = {"batch_size": 2, "mirror": d.pick(True, False), "progress": False, "use": untimed}
    return call(model, *pictures, epochs=1, learning_rate=0.01, generator=d.generator, **options)


@case(forecasters.predict)
def _(d):
    model = forecasters.network(width=2, n_blocks=1, kernel=3, size=4, generator=d.rng())
    return call(model.train(d.pick(True, False)), torch.rand(d.size(), 2, 4, 4, generator=d.generator))


case(train.logits, anywhere=True)(lambda d: call(d.convnet(), d.images(d.size()), batch_size=d.size()))
case(train.predict, anywhere=True)(lambda d: call(d.convnet(), d.images(d.size()), batch_size=d.size()))


@case(train.accuracy, anywhere=True)
def _(d):
    return call(d.convnet(), d.images(n := d.size()), d.whole(0, 3, n), batch_size=d.size())


# ------------------------------------------------------------------------------------------------- populations


def settings(d, m=2):
    return [s._replace(epochs=1, batch_size=4, learning_rate=0.01) for s in grids.sample(m, d.seed)]


def state(d):
    return d.lenets(d.size(1, 2))


case(populations.build)(lambda d: call(settings(d)[0], n_classes=2, size=16))
case(populations.stack, dtypes=(torch.float32,))(
    lambda d: call([models.lenet5(2, size=16, generator=d.rng())] * d.size(1, 2))
)
case(populations.unstack, dtypes=(torch.float32,))(lambda d: call(state(d), size=d.pick(None, 16)))
case(populations.diverged)(lambda d: call(state(d)))


@case(populations.fit, dtypes=(torch.float32,), tolerance=1e-3)
def _(d):
    n = d.size(2, 5)
    return call(
        settings(d, d.size(1, 2)), d.images(n, 1, 16), d.whole(0, 2, n), n_classes=2, backend=d.pick("loop", "vmap")
    )


@case(populations.logits)
def _(d):
    return call(state(d), d.images(d.size(), 1, 16), batch_size=d.size(), backend=d.pick("loop", "vmap"))


@case(populations.accuracies)
def _(d):
    return call(state(d), d.images(n := d.size(), 1, 16), d.whole(0, 3, n), batch_size=d.size())


def population(d):
    return d.pick(state(d), models.lenet5(3, size=16, generator=d.rng()).to(d.dtype).eval())


case(members.n_members)(lambda d: call(population(d)))
case(members.prepared)(lambda d: call(population(d), d.images(d.size(), 1, 16)))


@case(members.members)
def _(d):
    images = d.unit(d.size(), 1, 16, 16)
    return call(population(d), images, use=lambda f, *args: [net(args[1]).detach() for net in f(*args)])


@case(lenets.logits)
def _(d):
    return call(tuple(v[0] for v in d.lenets(1).values()), d.unit(1, 16, 16, d.size()))


@case(lenets.gradients)
def _(d):
    b = d.size()
    return call(tuple(v[0] for v in d.lenets(1).values()), d.unit(1, 16, 16, b), d.whole(0, 3, b))


def flat(d, m):
    found = d.lenets(m)
    return torch.cat([v.flatten(1) for v in found.values()], 1), [tuple(v.shape[1:]) for v in found.values()]


@case(population_steps.gradient)
def _(d):
    (weights,), shapes = flat(d, 1)
    b = d.size()
    return call(weights, d.unit(b, 256), d.whole(0, 3, b), shapes, (1, 16, 16))


case(population_steps.split)(lambda d: call(*flat(d, d.size(1, 2))))
case(population_steps.room)(lambda d: call(d.size(1, 99), d.values(1)))
case(population_steps.groups)(lambda d: call(settings(d, 4), d.pick("loop", "vmap"), 256, d.values(1)))


@case(population_steps.train, writes=(0,), grad=False, tolerance=1e-3)
def _(d):
    chosen = sorted(settings(d, 2), key=lambda s: s.optimizer != "sgd")
    weights, shapes = flat(d, 2)
    n = d.size(2, 5)
    generators = [torch.Generator().manual_seed(s.seed) for s in chosen]
    return call(weights, chosen, generators, d.unit(n, 256), d.whole(0, 3, n), shapes=shapes, input_shape=(1, 16, 16))


# -------------------------------------------------------------------------------------------------- robustness


def noisy(d):
    return {"generator": d.generator, "noise": d.pick("common", "independent")}


def chosen(d, kept, n):
    m = members.n_members(kept)
    return selection.select(d.whole(0, 3, m, n), d.classes(n, 3), 1)


for name in ("ratios", "divergences"):

    @case(getattr(robustness, name), tolerance=1e-3, finite=True)
    def _(d):
        return call(population(d), d.images(d.size(), 1, 16), n_copies=d.size(1, 5), sigma=d.pick(0.1, 1), **noisy(d))


@case(robustness.selected_ratios, tolerance=1e-3)
def _(d):
    kept, n = population(d), d.size(3, 6)
    return call(kept, d.images(n, 1, 16), chosen(d, kept, n), n_copies=d.size(1, 5), **noisy(d))


@case(perturbations.totals, tolerance=1e-3)
def _(d):
    kept, n = population(d), d.size(1, 3)
    noise = perturbations.Noise(d.pick("common", "independent"), 0.1, d.generator)
    rows = [torch.arange(n)] * members.n_members(kept)
    same = lambda clean, moved: (clean.argmax(-1) == moved.argmax(-1)).double()  # noqa: E731
    return call(kept, d.unit(n, 1, 16, 16), rows, same, noise, 2)


# -------------------------------------------------------------------------------------------------- the judge


def layers(d, n):
    return {"a": d.either(d.values(n, 3)), "b": d.either(d.values(n, d.size()))}


@case(bodies.drawing_from, writes=(0,))
def _(d):
    def inside(f, generator):
        with f(generator):
            return torch.rand(3)

    return call(d.generator, use=inside)


@case(meta.fit, trains=True, grad=False, dtypes=(torch.float32,))
def _(d):
    n, task = 12, d.pick("ratio", "right")
    target = d.unit(n) if task == "ratio" else d.classes(n, 2)
    options = {"body": d.pick("rnn", "lstm", "gru", "transformer"), "width": 8, "epochs": 1, "batch_size": 4}
    rows = np.arange(8), np.arange(8, 12)
    if task == "right":
        target = torch.arange(n) % 2
    return call(layers(d, n), target, *rows, task=task, generator=d.generator, progress=False, use=judged, **options)


def judged(f, *args, **kwargs):
    judge = f(*args, **kwargs)
    return judge._replace(history=judge.history._replace(seconds=[]))


@case(meta.predict, dtypes=(torch.float32,))
def _(d):
    found = layers(d, 12)
    options = {"width": 8, "epochs": 1, "progress": False, "generator": d.rng()}
    judge = meta.fit(found, d.unit(12), np.arange(8), np.arange(8, 12), task="ratio", **options)
    return call(judge, found)


case(meta.concatenate)(lambda d: call(layers(d, d.size())))
