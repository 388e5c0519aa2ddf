"""How to call the functions that make networks, train them, look inside and change what they are given."""

from laws import call, case
from torch import nn

from actlib import (
    aliasing,
    attacks,
    balls,
    capture,
    collection,
    downsampling,
    energies,
    forecasters,
    hooks,
    inputs,
    midpoints,
    models,
    names,
    oscillation_nets,
    paths,
    preactivation,
    resnets,
    targets,
    weights,
)

# ------------------------------------------------------------------------------------------------ made anew


@case(models.initialize, writes=(0,), grad=False)
def _(d):
    return call(d.pick(d.mlp(), d.convnet()), d.generator)


case(models.course_lenet)(lambda d: call(d.size(1, 3), size=22, channels=d.size(1, 2), generator=d.generator))
case(models.lenet5)(lambda d: call(d.size(1, 3), size=16, channels=d.size(1, 2), generator=d.generator))
case(models.convnet)(lambda d: call(d.size(1, 3), widths=(1, 2, 3), size=8, generator=d.generator))
case(models.cifar_alexnet)(lambda d: call(d.size(1, 3), widths=(1, 2, 3), generator=d.generator))


@case(models.mlp)
def _(d):
    normalization, activation = d.pick(None, "batch", "layer", "weight"), d.pick("relu", "selu")
    widths = d.pick([], [2], [3, 1])
    return call(
        widths,
        3,
        input_shape=(1, 2, d.size()),
        normalization=normalization,
        activation=activation,
        generator=d.generator,
    )


@case(resnets.cifar)
def _(d):
    options = d.pick(
        {"depth": 8}, {"depth": 6, "widths": (2, 3)}, {"depth": 4, "downsample": False}, {"depth": 8, "shortcut": "B"}
    )
    return call(**{"widths": (2, 3, 4), "size": 8, "generator": d.generator, "n_classes": d.size()} | options)


@case(preactivation.baseline)
def _(d):
    return call(d.size(), size=8, widths=(2, 3), blocks=(1, 1), stem_stride=d.size(1, 2), generator=d.generator)


case(preactivation.alp, heavy=True)(lambda d: call(2, size=32, generator=d.generator))


@case(forecasters.network)
def _(d):
    return call(
        width=2, n_blocks=d.size(1, 2), stem=d.pick(True, False), kernel=d.pick(1, 3), size=4, generator=d.generator
    )


@case(oscillation_nets.network)
def _(d):
    family, number = d.pick(("fc-1h", 3), ("fc-2h", 2), ("resnet-c", 2), ("resnet-w", 2), ("resnet-d", 8))
    decimation = "strided" if family.startswith("fc") else d.pick(*oscillation_nets.DECIMATIONS)
    options = {"decimation": decimation, "depth": 8, "generator": d.generator}
    return call(family, number, mean=0.5, std=0.2, n_classes=4, size=16, **options)


@case(inputs.prepare, anywhere=True)
def _(d):
    return call(d.convnet(), d.images(d.size()))


@case(weights.fill, writes=(0,), grad=False)
def _(d):
    return call(d.mlp(), d.mlp().state_dict(), "a file")


# -------------------------------------------------------------------------------------------------- looked at

LAYERS = (["conv"], ["relu", "pool"], ["fc"])


def run_inside(f, model, *args, images, **kwargs):
    with f(model, *args, **kwargs) as found:
        scores = model(images)
    return [scores, found if isinstance(found, dict) else None]


@case(capture.capture, anywhere=True)
def _(d):
    return call(
        d.convnet(), d.pick(*LAYERS), inputs=d.pick(True, False), images=d.unit(d.size(), 1, 6, 6), use=run_inside
    )


@case(hooks.record, anywhere=True)
def _(d):
    keep = lambda module, key, tensor: tensor.sum()  # noqa: E731
    return call(d.convnet(), d.pick(*LAYERS), keep, images=d.unit(d.size(), 1, 6, 6), use=run_inside)


@case(hooks.edit, anywhere=True)
def _(d):
    return call(d.convnet(), {"relu": lambda x: 2 * x}, images=d.unit(d.size(), 1, 6, 6), use=run_inside)


case(hooks.evaluating)(
    lambda d: call(d.convnet().train(d.pick(True, False)), images=d.unit(2, 1, 6, 6), use=run_inside)
)
case(capture.overview)(lambda d: call(d.convnet(), (1, 6, 6)))
case(names.layer_names)(lambda d: call(d.convnet(), d.pick(None, nn.ReLU)))
case(names.find)(lambda d: call(d.convnet(), d.pick(*LAYERS)))
case(names.first_name)(lambda d: call(d.convnet(), "relu"))


@case(collection.collect, anywhere=True)
def _(d):
    dtype = d.pick("float32", "float16", "bits")
    options = {"batch_size": d.size(), "inputs": d.pick(True, False), "dtype": dtype, "progress": False}
    return call(d.convnet(), d.either(d.images(d.size())), d.pick(*LAYERS), **options)


# --------------------------------------------------------------------------------------------- down-sampling


case(downsampling.strides)(lambda d: call(d.convnet()))
case(downsampling.select)(lambda d: call(d.convnet(), d.pick(None, ["pool"])))


@case(downsampling.capture, anywhere=True)
def _(d):
    return call(d.convnet(), d.pick(None, ["pool"]), images=d.unit(d.size(), 1, 6, 6), use=run_inside)


@case(downsampling.at_stride_1, anywhere=True)
def _(d):
    layer = d.pick(nn.MaxPool2d(2), nn.AvgPool2d(2), d.filled(nn.Sequential(nn.Conv2d(2, 3, 3, stride=2)))[0])
    return call(layer, d.values(d.size(), 2, d.size(3, 6), d.size(3, 6)))


@case(aliasing.measure, finite=False, anywhere=True)
def _(d):
    options = {"channels": d.pick(True, False), "batch_size": d.size(), "progress": False}
    return call(d.convnet(), d.either(d.images(d.size())), d.pick(None, ["pool"]), **options)


# ------------------------------------------------------------------------------------------------- perturbed


def attacked(d):
    n = d.size()
    model, shape = (d.mlp(), (5,)) if d.pick(True, False) else (d.convnet(), (1, 6, 6))
    return model, d.unit(n, *shape), d.whole(0, 3, n)


@case(attacks.fgsm, anywhere=True)
def _(d):
    return call(*attacked(d), d.pick(0, 0.1), targeted=d.pick(True, False), batch_size=d.size())


@case(attacks.pgd, anywhere=True)
def _(d):
    options = {"norm": d.pick(*attacks.NORMS), "n_steps": d.size(1, 3), "generator": d.pick(None, d.generator)}
    return call(*attacked(d), d.pick(0, 0.1), early_stop=d.pick(True, False), batch_size=d.size(), **options)


def ball(d):
    return d.unit(d.size(), *d.pick((3,), (1, 2, 2))), d.pick(0, 0.1, 5.0)


case(balls.random_start, anywhere=True)(lambda d: call(*ball(d), norm=d.pick("linf", "l2"), generator=d.generator))
case(balls.random_sign, anywhere=True)(lambda d: call(*ball(d), norm=d.pick("linf", "l2"), generator=d.generator))
case(balls.unit, anywhere=True)(lambda d: call(d.values(d.size(), 3)))
case(balls.per_image)(lambda d: call(d.values(n := d.size()), d.values(n, 2, 1)))


@case(balls.project, anywhere=True)
def _(d):
    images, eps = ball(d)
    return call(images + d.values(*images.shape), images, float(eps), d.pick("linf", "l2"), (0.0, 1.0))


@case(balls.check_ball)
def _(d):
    images, eps = ball(d)
    return call(images, eps, d.pick("linf", "l2"), (0.0, 1.0))


# ------------------------------------------------------------------------------------------ paths of images


def ends(d):
    p = d.size(1, 2)
    return d.mlp(), d.unit(p, 5), d.unit(p, 5), d.pick(["relu1"], {"relu1": 1.0, "relu2": 2})


case(paths.straight, anywhere=True)(lambda d: call(x := d.values(d.size(), 2, 3), x + 1, d.size(2, 5)))
case(paths.without_component, anywhere=True)(
    lambda d: call(x := d.values(d.size(), 3), d.pick(0, 1) * d.values(*x.shape))
)
case(paths.geodesic, tolerance=1e-3)(lambda d: call(*ends(d), n_points=3, n_rounds=2, n_steps=2))
case(paths.joint, tolerance=1e-3)(
    lambda d: call(*ends(d), d.pick(0, 0.5), norm=d.pick("l1", "l2"), n_points=3, n_steps=2)
)
case(midpoints.midpoints, tolerance=1e-3)(lambda d: call(*ends(d), masked=d.pick(True, False), n_steps=2))
case(midpoints.recursive, tolerance=1e-3)(lambda d: call(*ends(d), d.size(0, 2), n_steps=2))
case(energies.check_pairs)(lambda d: call(*ends(d)[:3], (0, 1)))
case(energies.check_norm)(lambda d: call(d.pick("l1", "l2")))
case(energies.as_weights)(lambda d: call(d.mlp(), d.pick(["relu1"], {"relu2": 2})))
case(energies.pixel_energy)(lambda d: call(d.values(d.size(), d.size(2, 4), 3)))
case(energies.layer_energy)(lambda d: call({"a": (2.0, d.values(d.size(), 3, 2))}, d.pick("l1", "l2")))
case(energies.size)(lambda d: call(d.values(d.size(), d.size()), d.pick("l1", "l2")))
case(energies.clamp)(lambda d: call(d.values(d.size(), 3), d.pick(None, (0, 1))))


def cost(z):
    return (z**2).flatten(1).sum(1)


case(energies.minimize)(lambda d: call(cost, d.values(d.size(), 3), n_steps=3, rate=0.1, bounds=d.pick(None, (0, 1))))
case(energies.gradient)(lambda d: call(cost, d.values(d.size(), 3)))


@case(energies.representation)
def _(d):
    def values(f, *args, points):
        with f(*args) as represent:
            return represent(points)

    return call(d.mlp(), {"relu1": 1.0}, points=d.unit(d.size(), 2, 5), use=values)


@case(targets.patterns)
def _(d):
    return call(d.mlp(), d.unit(d.size(), 5), ["relu1", "relu2"])


@case(targets.between)
def _(d):
    p = d.size()
    return call({"a": d.bits(p, 4)}, {"a": d.bits(p, 4)}, generator=d.generator, share=d.pick(0, 0.5, 1))


@case(targets.seek, tolerance=1e-3)
def _(d):
    model, x = d.mlp(), d.unit(p := d.size(), 5)
    return call(model, x, targets.patterns(model, d.unit(p, 5), ["relu1"]), ["relu1"], n_steps=2)
