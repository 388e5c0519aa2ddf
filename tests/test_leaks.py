"""Work that is done again and again leaves nothing behind: no hook on the network, no tensor, no memory.

The quick half counts hooks and live tensors, the long one also the memory of the process.
"""

import gc
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from laws import n_hooks
from torch import nn

from actlib import (
    affine,
    aliasing,
    attacks,
    capture,
    checkpoints,
    fields,
    forecasts,
    grids,
    inradius,
    meta,
    midpoints,
    models,
    noise,
    paths,
    piecewise,
    planes,
    polytopes,
    populations,
    robustness,
    segments,
    slices,
    starts,
    targets,
    train,
)

# So much may the memory of the process grow over REPEATS runs: allocators keep pieces, leaks of tensors add up.
BOUND, REPEATS = 16 * 2**20, 200
STATM = Path("/proc/self/statm")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network():
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 3)]
    named = zip(("conv", "relu", "pool", "flatten", "fc"), layers, strict=True)
    model = nn.Sequential()
    for name, layer in named:
        model.add_module(name, layer)
    return models.initialize(model, seeded()).eval()


IMAGES, LABELS = torch.rand(6, 1, 12, 12, generator=seeded()), torch.arange(6) % 3


def watch(model, folder):
    with capture.capture(model, ["conv", "relu", "fc"]) as found:
        model(IMAGES).sum().backward()
    model.zero_grad(set_to_none=True)
    assert found


def change(model, folder):
    with capture.edit(model, {"relu": lambda x: 2 * x}):
        model(IMAGES)


def fail(model, folder):
    with (
        pytest.raises(ZeroDivisionError),
        capture.edit(model, {"relu": lambda x: 1 // 0}),
        capture.capture(model, ["fc"]),
    ):
        model(IMAGES)


def collect(model, folder):
    capture.collect(model, IMAGES, ["conv", "fc"], progress=False)
    capture.collect(model, IMAGES, ["conv", "fc"], folder / "activations", dtype="bits", progress=False)


def look(model, folder):
    affine.verify(model, affine.maps(model, IMAGES[:2], units=[0]), IMAGES[:2], units=[0])
    inradius.inradius(model, IMAGES[:2])
    polytopes.hit_and_run(model, IMAGES[:2], 2, generator=seeded())
    noise.noise_walk(model, IMAGES[0], n_copies=4, n_steps=2, generator=seeded())
    fields.receptive_field(model, "pool", (1, 12, 12))


def cut(model, folder):
    traced = piecewise.trace(model, (1, 12, 12))
    segments.between(traced, IMAGES[:1], IMAGES[1:2])
    slices.partition(traced, planes.through(*IMAGES[:3].double()), last="relu")


def disturb(model, folder):
    attacks.pgd(model, IMAGES, LABELS, 0.1, n_steps=3, generator=seeded())
    aliasing.measure(model, IMAGES, progress=False)
    robustness.ratios(model, IMAGES, generator=seeded(), n_copies=4)


def walk(model, folder):
    options = {"n_steps": 3}
    paths.geodesic(model, IMAGES[:1], IMAGES[1:2], ["relu"], n_points=3, n_rounds=1, **options)
    midpoints.midpoints(model, IMAGES[:1], IMAGES[1:2], ["relu"], **options)
    targets.seek(model, IMAGES[:1], targets.patterns(model, IMAGES[1:2], ["relu"]), ["relu"], **options)


def learn(model, folder):
    again = network()
    train.fit(again, IMAGES, LABELS, epochs=1, learning_rate=0.01, generator=seeded(), progress=False)
    train.accuracy(again, IMAGES, LABELS)
    build = partial(models.mlp, [4], 3, input_shape=(1, 12, 12))
    options = {"seed": 0, "epochs": 1, "learning_rate": 0.01, "progress": False, "root": folder}
    checkpoints.load_or_fit("net", build, IMAGES, LABELS, **options)


def many(model, folder):
    setting = grids.sample(1, 0)[0]._replace(epochs=1, batch_size=4)
    state = populations.fit([setting] * 2, torch.rand(4, 1, 16, 16), torch.arange(4) % 2, n_classes=2)
    populations.accuracies(state, torch.rand(4, 1, 16, 16), torch.arange(4) % 2)
    options = {"task": "ratio", "generator": seeded(), "width": 8, "epochs": 1, "progress": False}
    rows = torch.arange(12).numpy()
    judge = meta.fit({"a": torch.rand(12, 3)}, torch.rand(12), rows[:8], rows[8:], **options)
    meta.predict(judge, {"a": torch.rand(12, 3)})


def move(model, folder):
    forecasts.alone(starts.sample(2, generator=seeded(), n_boxes=2), n_frames=1, n_substeps=10)


WORK = [watch, change, fail, collect, look, cut, disturb, walk, learn, many, move]


def hooks(model):
    """Return how many hooks of any kind are on a network's modules and tensors, and on all modules of PyTorch."""
    on_modules = sum(n_hooks(module) for module in model.modules())
    on_tensors = sum(bool(p._backward_hooks) for p in model.parameters())
    return on_modules, on_tensors, n_hooks(nn.modules.module)


def tensors():
    """Return how many tensors live."""
    gc.collect()
    return sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())


def memory():
    """Return how much memory the process holds."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_repeated_work_leaves_no_hook_and_no_tensor(tmp_path):
    model = network()
    before, live = hooks(model), None
    for _ in range(2):
        for work in WORK:
            work(model, tmp_path)
            assert hooks(model) == before, work.__name__
        live = live or tensors()  # what is imported or kept once is there after the first time
    assert tensors() == live


@pytest.mark.long
@pytest.mark.skipif(not STATM.exists(), reason="reads the size of the process in /proc")
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_repeated_work_does_not_grow_the_process(work, tmp_path):
    model = network()
    for _ in range(REPEATS // 10):
        work(model, tmp_path)
    live, held = tensors(), memory()
    for _ in range(REPEATS):
        work(model, tmp_path)
    grown = memory() - held
    print(f"\n{work.__name__}: {grown / 2**20:+.1f} MiB over {REPEATS} runs")
    assert tensors() == live
    assert grown < BOUND


def test_a_leak_would_be_seen(tmp_path):
    model, kept = network(), []
    before, live = hooks(model), tensors()
    handle = model.relu.register_full_backward_hook(lambda *_: None)
    assert hooks(model) != before
    handle.remove()
    assert hooks(model) == before
    kept.append(torch.zeros(1))
    assert tensors() == live + 1
