"""How to call the functions of pictures: moving boxes, oscillations, data sets, sliders and plots."""

import io
from pathlib import Path

import numpy as np
import torch
from laws import call, case
from matplotlib.figure import Figure

from actlib import (
    archives,
    collisions,
    data,
    detectors,
    forecasts,
    frames,
    oscillations,
    overlaps,
    pictures,
    plots,
    poses,
    rectangles,
    rendering,
    shapes,
    slider,
    sources,
    starts,
)

# ------------------------------------------------------------------------------------------------------ boxes


def scenes(d, n=None):
    return starts.sample(n or d.size(1, 2), generator=d.rng(), n_boxes=d.size(1, 3), dtype=d.dtype)


def moving(d):
    found = scenes(d)
    return found, rectangles.simulate(found, n_frames=1, n_substeps=10)


@case(starts.sample)
def _(d):
    return call(d.size(1, 3), generator=d.generator, n_boxes=d.size(1, 3), dtype=d.dtype)


case(starts.check)(lambda d: call(scenes(d)))


@case(starts.grab)
def _(d):
    found = scenes(d)
    return call(*found[:3], found.points())


@case(rectangles.simulate, tolerance=1e-2)
def _(d):
    return call(scenes(d), d.pick(None, rectangles.Physics(walls=False)), n_frames=d.size(1, 2), n_substeps=10)


case(rectangles.moved)(lambda d: call(*moving(d)))
case(rectangles.film)(lambda d: call(*moving(d), size=d.pick(1, 8)))
case(rectangles.examples)(lambda d: call(*moving(d), size=d.pick(1, 8)))
case(forecasts.alone, tolerance=1e-2)(lambda d: call(scenes(d), n_frames=1, n_substeps=10))


@case(forecasts.missed)
def _(d):
    found, motion = moving(d)
    return call(d.unit(len(found.angles), 1, 8, 8), found, motion)


def compared(d):
    n = d.size()
    return d.unit(n, 1, 3, 2), d.unit(n, 1, 3, 2)


case(forecasts.changed, anywhere=True)(lambda d: call(*compared(d), least=0.3))
case(forecasts.errors, finite=False, anywhere=True)(lambda d: call(*compared(d)))
case(forecasts.error, anywhere=True)(lambda d: call(*(x := compared(d)), torch.ones_like(x[0], dtype=torch.bool)))


@case(rendering.boxes, anywhere=True)
def _(d):
    lead = d.pick((), (2,), (1, 2))
    sides, centres = d.unit(*lead, d.size(), 2) * 20, None
    centres = d.unit(*sides.shape) * 64
    return call(sides, centres, d.values(*sides.shape[:-1]), size=d.pick(1, 8), outline=d.pick(0.0, 1.0))


case(rendering.points, anywhere=True)(lambda d: call(d.unit(*d.pick((), (2,), (1, 2)), 2) * 64, size=d.pick(1, 8)))


def box(d, k):
    return overlaps.boxes(d.unit(2, k) + 0.1, d.values(k))


case(overlaps.boxes)(lambda d: call(d.unit(2, n := d.size()), d.values(n)))
case(overlaps.cross)(lambda d: call(x := d.values(2, d.size()), d.values(*x.shape)))
case(overlaps.separations)(lambda d: call(d.values(2, k := d.size()), box(d, k), box(d, k)))


@case(overlaps.touch)
def _(d):
    k = d.size()
    near, one, other = d.values(2, k) * 0.01, box(d, k), box(d, k)
    return call(near, one, other, overlaps.separations(near, one, other))


def crowd(d):
    """Return positions (3, w, n) and half sides (2, b, n) of boxes, some of which touch; the last body is the walls."""
    b, n = d.size(1, 3), d.size(1, 2)
    positions = torch.cat([d.unit(2, b + 1, n) * 10, d.values(1, b + 1, n)])
    return positions, d.unit(2, b, n) * 3 + 0.5


case(collisions.find)(lambda d: call(*crowd(d), world=10.0, walls=d.pick(True, False)))


@case(collisions.resolve)
def _(d):
    positions, halves = crowd(d)
    contacts = collisions.find(positions, halves, world=10.0)
    inverses = torch.ones_like(positions)
    inverses[:, -1] = 0
    return call(positions, d.values(*positions.shape), inverses, contacts, restitution=0.5, step=0.05)


@case(poses.find, tolerance=1e-2)
def _(d):
    sides = torch.full((1, 2), 10.0, dtype=d.dtype) + d.unit(1, 2)
    picture = rendering.boxes(sides, torch.full((1, 2), 30.0, dtype=d.dtype), d.values(1), size=16, fill=1.0)
    return call(picture[None], sides)


case(poses.turns_between, anywhere=True)(lambda d: call(d.values(d.size(), 3), d.values(3)))

# ------------------------------------------------------------------------------------------------ oscillations

case(oscillations.draw)(
    lambda d: call(d.size(1, 2), noise=d.pick(0.0, 1.0), seed=d.seed, n_frequencies=2, size=d.size(2, 5))
)
case(oscillations.frequencies)(lambda d: call(d.size(1, 5)))
case(oscillations.signals)(lambda d: call(d.unit(n := d.size(), 2), d.values(n, 2), d.size(2, 5)))


def heard(d):
    drawn = oscillations.draw(1, noise=1.0, seed=d.seed, n_frequencies=2, size=8)
    return call(drawn.values()[: d.size(1, 3)], noise=1.0, n_frequencies=2)


case(detectors.gaussian)(heard)
case(detectors.uniform)(heard)


@case(detectors.evidence)
def _(d):
    m = d.size()
    grams = tuple(torch.eye(2).double().expand(m, 2, 2).clone() * 4 for _ in range(2))
    return call(d.values(m, 2, 2).double(), grams, 0.5, d.pick(8, 16))


# ------------------------------------------------------------------------------------------------- image sets

case(shapes.outline)(lambda d: call(d.pick("ring", *shapes.CLASSES[:3])))
case(shapes.draw)(lambda d: call(d.size(1, 3), n_classes=d.pick(10, 20), generator=d.pick(d.seed, d.generator)))
case(archives.digits)(lambda d: call(d.pick("train", "test"), d.pick(28, 32)))
case(data.load)(lambda d: call("shapes", d.pick("train", "test"), n=d.size(1, 3)))
case(sources.manifest)(lambda d: call(d.pick("digits", "mnist")))
case(sources.unknown)(lambda d: call("set", "digit", ["digits", "mnist"], use=lambda f, *args: str(f(*args))))
case(sources.missing)(lambda d: call("mnist", [Path("here")], use=lambda f, *args: str(f(*args))))


def few(d):
    n = d.size()
    return data.Images(d.whole(0, 256, n, 1, 2, 3).to(torch.uint8), d.whole(0, 2, n), ("a", "b"))


case(data.check)(lambda d: call(few(d)))

# ---------------------------------------------------------------------------------------------------- sliders


def positions(d):
    alt = "Some points that lie about the middle of frame number"
    return [frames.Frame(f"layer {i}", f"{alt} {i}.", points=d.array(5, 2)) for i in range(d.size(2, 3))]


case(frames.compact, strided=False)(lambda d: call(positions(d), label="layer", start=d.size(0, 1)))
case(slider.html)(lambda d: call(frames.compact(positions(d), label="layer")))
case(slider.escape)(lambda d: call(d.pick("", "<b> & 'c'")))
case(slider.places)(lambda d: call(d.pick("", "AAAA", "Ab9/AAAA")))


def picture(d):
    return d.numpy.integers(0, 256, (d.size(), d.size(), *d.pick((), (3,))), dtype=np.uint8)


case(pictures.encode)(lambda d: call(picture(d)))
case(pictures.lighten)(lambda d: call(pictures.encode(picture(d)), d.pick(10, 80_000)))

# ------------------------------------------------------------------------------------------------------ plots


def axes(f, *args, n=None, **kwargs):
    """Draw on axes of a figure of its own; return the picture."""
    figure = Figure(figsize=(1, 1), dpi=40)
    if n is None:
        f(*args, ax=figure.subplots(), **kwargs)
    else:
        f(*args, axes=figure.subplots(1, n), **kwargs)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba")
    return np.frombuffer(buffer.getvalue(), np.uint8)


case(plots.image)(lambda d: call(d.array(d.pick(1, 3), d.size(), d.size(), low=0, high=1), use=axes))
case(plots.signed_map)(lambda d: call(d.array(d.size(), d.size(), low=-1, high=1), use=axes))
case(plots.picture_row)(lambda d: call([d.array(2, 2, low=0, high=1), None], label="a", n=3, use=axes))
case(plots.map_row)(lambda d: call(d.array(2, d.size(), d.size(), low=-1, high=1), label="a", n=3, use=axes))
case(plots.steps)(lambda d: call(["a", "b"], {"x": d.array(2), "y": [1, 2]}, ylabel="y", use=axes))
case(plots.distributions)(lambda d: call({"a": d.array(d.size()), "b": d.array(d.size())}, xlabel="x", use=axes))
case(plots.points)(lambda d: call(d.array(n := d.size(), 2), groups=d.pick(None, np.arange(n) % 2), use=axes))
case(plots.grid)(lambda d: call(d.size(1, 3), d.size(1, 3), use=lambda f, *args: f(*args, figure=Figure()).shape))


@case(plots.overlay)
def _(d):
    h, w = d.size(2, 5), d.size(2, 5)
    return call(d.array(1, h, w, low=0, high=1), d.array(h, w, low=0, high=1), use=axes)


@case(plots.ranked)
def _(d):
    return call(d.array(n := d.size(1, 6)), label="a", highlight=d.pick(None, d.size(0, n - 1)), use=axes)
