"""Capture: the four ReLU layers of LeNet-5 in one forward pass, against the pass alone and two other libraries.

Ours is the whole block as a user writes it, hooks set and removed each time, every value safe from in-place changes.
Of the peers, captum copies too; torchvision's extractor, built once beforehand, does not, and is wrong before an
in-place ReLU. It also leaves out the last linear layer, which nobody asked it for. "References" are hooks that keep
what the layer gives, without a copy: wrong as well, and the least that keeping four outputs can cost.
"""

from collections.abc import Callable
from statistics import median

import torch
from captum.attr import LayerActivation
from torch import nn
from torch.testing import assert_close
from torchvision.models.feature_extraction import create_feature_extractor

from actlib import capture, models
from benchmarks import Row, extra, interleaved, ratio

# Batch size, calls timed together.
SIZES = [(256, 5), (1, 100)]
MOST_RATIO = 1.03
MOST_EXTRA = 80e-6
ASKED = (
    f"a batch at most {MOST_RATIO:g} times the plain forward pass, and below captum; one image at most "
    f"{MOST_EXTRA * 1e6:.0f} us more"
)
KINDS = {"plain forward": "bound", "references": "bound"}


@torch.no_grad()
def rows(device: str) -> list[Row]:
    """Return one row a batch size."""
    model = models.lenet5(generator=torch.Generator().manual_seed(0)).eval().to(device)
    found = []
    for n, n_calls in SIZES:
        images = torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(1)).to(device)
        seconds = interleaved(_calls(model, images), device, n_calls=n_calls)
        ours, plain = seconds.pop("ours"), seconds["plain forward"]
        times, more = ratio(ours, plain), extra(ours, plain)
        beats_captum = more < extra(seconds["captum"], plain)
        if n == 1:
            target, met = f"at most {MOST_EXTRA * 1e6:.0f} us more (found {more * 1e6:.0f})", more <= MOST_EXTRA
        else:
            target, met = f"at most {MOST_RATIO}, and below captum", times <= MOST_RATIO and beats_captum
        peers = {name: median(values) for name, values in seconds.items()}
        found.append(Row(f"4 ReLU layers of lenet5, batch {n}", median(ours), peers, times, target, met))
    return found


def _calls(model: nn.Module, images: torch.Tensor) -> dict[str, Callable]:
    """Return what is timed, once it is seen that all give the same."""
    layers = capture.layer_names(model, nn.ReLU)
    watcher = LayerActivation(model, [model.get_submodule(name) for name in layers])
    extractor = create_feature_extractor(model, layers)

    def ours() -> dict[str, torch.Tensor]:
        with capture.capture(model, layers) as activations:
            model(images)
        return activations

    def references() -> dict[str, torch.Tensor]:
        kept = {}
        handles = [
            model.get_submodule(name).register_forward_hook(lambda m, i, output, name=name: kept.update({name: output}))
            for name in layers
        ]
        model(images)
        for handle in handles:
            handle.remove()
        return kept

    with capture.capture(model, layers) as once:
        model(images)
    assert_close(extractor(images), once)
    assert_close(list(watcher.attribute(images)), list(once.values()))
    return {
        "ours": ours,
        "plain forward": lambda: model(images),
        "captum": lambda: watcher.attribute(images),
        "torchvision": lambda: extractor(images),
        "references": references,
    }
