"""PGD of 128 images on a LeNet-5 that has learned the digits, against captum's, and with early stop against without.

captum is given the summed definition: the cross-entropy of each logit vector, and no threshold below which a gradient
counts as zero. Both start at the images; their adversarial losses are compared.
"""

from statistics import median

import torch
from captum.robust import PGD
from torch import Tensor, nn
from torch.nn import functional as F

from actlib import attacks, data, models, train
from benchmarks import Row, interleaved, ratio

N_ROUNDS = 15
EPS, N_STEPS = 0.1, 20
EARLY = 1.5
ASKED = f"captum's time at the same loss; with early stop {EARLY:g} times as fast"
# Relative: by so much two losses may differ that are equal but for rounding, which a sign can make large.
SAME_LOSS = 1e-3


def rows(device: str, n: int = 128) -> list[Row]:
    """Return two rows; the number of images can be less for a trial."""
    model, images, labels = trained(n, device)
    return [_against_captum(model, images, labels, device), _early(model, images, labels, device)]


def trained(n: int, device: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a network, and images that it classifies rightly."""
    parts = {split: data.load("digits", split) for split in ("train", "test")}
    enlarged = {
        split: F.interpolate(part.images.float() / 255, size=28, mode="bilinear").clamp(0, 1).to(device)
        for split, part in parts.items()
    }
    labels = {split: part.labels.to(device) for split, part in parts.items()}
    generator = torch.Generator().manual_seed(0)
    model = models.lenet5(generator=generator).to(device)
    options = {"epochs": 6, "learning_rate": 2e-3, "optimizer": "adam", "progress": False}
    train.fit(model, enlarged["train"], labels["train"], generator=generator, **options)
    with torch.no_grad():
        right = model(enlarged["test"]).argmax(1) == labels["test"]
    return model.eval(), enlarged["test"][right][:n], labels["test"][right][:n]


def _captum(model: nn.Module) -> PGD:
    """Return captum's attack with the same loss and no threshold."""
    peer = PGD(model, lambda logits, y: F.cross_entropy(logits, y, reduction="none"), lower_bound=0, upper_bound=1)
    peer.fgsm.zero_thresh = 0.0
    return peer


def _against_captum(model: nn.Module, images: Tensor, labels: Tensor, device: str) -> Row:
    """Return the same attack by both."""
    step, peer = 2.5 * EPS / N_STEPS, _captum(model)
    calls = {
        "ours": lambda: attacks.pgd(model, images, labels, EPS, n_steps=N_STEPS, step_size=step).images,
        "captum": lambda: peer.perturb(images, EPS, step, N_STEPS, labels),
    }
    with torch.no_grad():
        losses = {name: F.cross_entropy(model(call()), labels).item() for name, call in calls.items()}
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=2)
    share, same = ratio(seconds["ours"], seconds["captum"]), abs(losses["ours"] / losses["captum"] - 1) < SAME_LOSS
    target = f"captum's time (found {share:.3f}) at the same loss ({losses['ours']:.4f}, captum {losses['captum']:.4f})"
    job = f"PGD, {N_STEPS} steps, {len(images)} images"
    peers = {"captum": median(seconds["captum"])}
    met = share <= 1 and same
    return Row(job, median(seconds["ours"]), peers, share, target, met, N_ROUNDS, quality=losses)


def _early(model: nn.Module, images: Tensor, labels: Tensor, device: str) -> Row:
    """Return the attack that leaves alone what is misclassified already."""
    calls = {
        name: lambda early=early: attacks.pgd(model, images, labels, EPS, n_steps=N_STEPS, early_stop=early)
        for name, early in (("ours", True), ("all steps", False))
    }
    with torch.no_grad():
        fooled = {
            name: (model(call().images).argmax(1) != labels).double().mean().item() for name, call in calls.items()
        }
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=2)
    times = 1 / ratio(seconds["ours"], seconds["all steps"])
    target = f"{EARLY} times as fast (found {times:.2f}), as many fooled ({fooled['ours']:.0%})"
    job, peers = f"PGD with early stop, {len(images)} images", {"all steps": median(seconds["all steps"])}
    met = times >= EARLY and fooled["ours"] >= fooled["all steps"]
    return Row(job, median(seconds["ours"]), peers, 1 / times, target, met, N_ROUNDS, quality=fooled)
