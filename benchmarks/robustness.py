"""Labels of 100 predictions of a LeNet-5 against a loop over pairs, as in the meta-network study.

The loop sends each image with its 1,000 noisy copies through the network in one batch, with the same noise for all
images, drawn once for the network. The labels are compared.
"""

from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from actlib import robustness
from benchmarks import Row, interleaved, ratio
from benchmarks.attacks import trained

N_ROUNDS = 5
N_COPIES, SIGMA, SEED = 1000, 0.9, 42
FASTER = 5
# Of a label: what rounding may turn, one copy in a thousand.
SAME = 1 / N_COPIES
# All networks that survive in the full grid, and what their labels may take on a GPU.
N_NETWORKS, N_PAIRS, SECONDS = 3973, 200, 300
ASKED = {
    "cpu": f"common noise {FASTER} times as fast as a loop over pairs, independent noise no slower",
    "cuda": f"common noise {FASTER} times as fast as a loop over pairs, independent noise no slower; the labels of "
    f"{N_NETWORKS:,} networks in {SECONDS} s",
}
KINDS = {"time allowed": "target"}


def rows(device: str, n: int = 100) -> list[Row]:
    """Return a row for each kind of noise, on a GPU one more; the number of images can be less for a trial."""
    model, images, _ = trained(max(n, N_PAIRS if device == "cuda" else 0), device)
    found = [_row(model, images[:n], device, kind) for kind in ("common", "independent")]
    return [*found, _whole(model, images)] if device == "cuda" else found


def _ours(model: nn.Module, images: Tensor, kind: str) -> Callable[[], Tensor]:
    """Return the call that is timed; on a GPU independent noise is drawn there."""
    device = images.device if kind == "independent" else "cpu"
    options = {"sigma": SIGMA, "n_copies": N_COPIES, "noise": kind}
    return lambda: robustness.ratios(model, images, generator=torch.Generator(device).manual_seed(SEED), **options)


@torch.no_grad()
def _loop(model: nn.Module, images: Tensor, kind: str) -> Tensor:
    """Return the same labels, pair by pair."""
    device = images.device if kind == "independent" else "cpu"
    generator, shape = torch.Generator(device).manual_seed(SEED), (N_COPIES, *images.shape[1:])
    noise, labels = None, []
    for image in images:
        if noise is None or kind == "independent":
            noise = (torch.randn(shape, generator=generator, device=device) * SIGMA).to(images.device)
        clean = model(image[None]).argmax(1)
        labels.append((model(image + noise).argmax(1) == clean).double().mean())
    return torch.stack(labels)


def _row(model: nn.Module, images: Tensor, device: str, kind: str) -> Row:
    """Return ours against the loop."""
    calls = {"ours": _ours(model, images, kind), "loop over pairs": lambda: _loop(model, images, kind)}
    labels = {name: call() for name, call in calls.items()}
    apart = (labels["ours"] - labels["loop over pairs"]).abs().max().item()
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=1)
    share = ratio(seconds["ours"], seconds["loop over pairs"])
    job = f"labels of {len(images)} pairs, {N_COPIES:,} copies, {kind} noise"
    peers = {"loop over pairs": median(seconds["loop over pairs"])}
    if kind == "common":
        met = 1 / share >= FASTER and apart <= SAME
        target = f"{FASTER} times as fast (found {1 / share:.2f}), the same labels (apart at most {apart:.4f})"
    else:  # on a GPU other draws, so the labels are the same only within their error
        met, target = share <= 1, f"no slower (found {1 / share:.2f} times as fast)"
    quality = {name: label.mean().item() for name, label in labels.items()}
    return Row(job, median(seconds["ours"]), peers, share, target, met, N_ROUNDS, quality=quality)


def _whole(model: nn.Module, images: Tensor) -> Row:
    """Return one network's share of the labels of the whole grid on a GPU."""
    images = images[:N_PAIRS]
    taken = median(interleaved({"ours": _ours(model, images, "common")}, "cuda", n_rounds=20)["ours"])
    allowed = SECONDS / N_NETWORKS
    target = f"{N_NETWORKS:,} networks in {SECONDS} s (found {taken * N_NETWORKS:.0f} s)"
    job = f"labels of one network, {len(images)} pairs, {N_COPIES:,} copies"
    return Row(job, taken, {"time allowed": allowed}, taken / allowed, target, taken <= allowed, 20)
