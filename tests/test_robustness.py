"""Labels of predictions: the loop of the study, closed forms on linear networks, what must and must not agree."""

import math

import jaxtyping
import pytest
import scipy.stats
import torch
from torch import nn

from actlib import models, perturbations, robustness


@pytest.fixture
def untyped(monkeypatch):
    """As outside the tests, where types go unchecked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def lenet(seed=0, **options):
    """A LeNet whose predictions noise can turn, in float64 so that no tie hides a fault."""
    model = models.lenet5(**options, generator=seeded(seed)).double().eval()
    model.fc3.bias.data *= 0.1
    return model


def population(m=3):
    nets = [lenet(k) for k in range(m)]
    return nets, torch.func.stack_module_state(nets)[0]


def pictures(n=5, size=28, channels=1):
    return torch.rand(n, channels, size, size, generator=seeded(7)).double()


def loop(model, images, noise):
    """The original: each image with all its noisy copies through the network; True where the prediction stays."""
    with torch.no_grad():
        clean = model(images).argmax(1)
        return torch.stack([model(x + noise).argmax(1) == k for x, k in zip(images, clean, strict=True)])


def drawn(n, shape, seed=42):
    """The study's noise: one large draw after one seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.randn(n, *shape, dtype=torch.float64)


@pytest.mark.parametrize("n_copies", [7, 256, 530])
def test_ratios_are_those_of_the_loop_over_pairs_with_the_noise_of_the_study(n_copies, monkeypatch):
    monkeypatch.setattr(perturbations, "_BLOCK", 256)
    nets, state = population(2)
    images = pictures(3)
    noise = 0.9 * drawn(n_copies, images.shape[1:])
    expected = torch.stack([loop(net, images, noise).double().mean(1) for net in nets])
    assert expected.std() > 0.02  # the labels differ, so the test can see something
    found = robustness.ratios(state, images, n_copies=n_copies, generator=seeded(42))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    alone = robustness.ratios(nets[1], images, n_copies=n_copies, generator=seeded(42))
    torch.testing.assert_close(alone, expected[1], rtol=0, atol=1e-12)
    other = robustness.ratios(state, images, n_copies=n_copies, generator=seeded(43))
    assert (other - expected).abs().max() > 0.5 / n_copies


def test_float32_agrees_with_the_loop_up_to_ties():
    net, images = lenet(3).float(), pictures(8).float()
    noise = torch.randn(500, 1, 28, 28, generator=seeded(1))
    expected = loop(net, images, noise).double().mean(1)
    found = robustness.ratios(net, images, sigma=1, n_copies=500, generator=seeded(1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1.5 / 500)


NETWORKS = {
    "lenet of odd size, colour, normalised": (lambda: lenet(size=23, channels=3, mean=0.3, std=0.7), (3, 23, 23)),
    "odd maps before pooling": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 5, 2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(20, 4),
        ),
        (1, 14, 16),
    ),
    "another pooling": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(27, 4)),
        (1, 9, 9),
    ),
    "pooling before the ReLU": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4)),
        (1, 9, 9),
    ),
    "nothing affine first": (
        lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(18, 4)),
        (1, 8, 8),
    ),
    "a perceptron": (lambda: models.mlp((20, 15), 4, input_shape=(1, 6, 6), generator=seeded(2)), (1, 6, 6)),
    "a linear network": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), (1, 6, 6)),
    "no plain sequence": (lambda: Residual(), (1, 6, 6)),
    "dropout and batch norm": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(),
            nn.Linear(27, 4),
        ),
        (1, 6, 6),
    ),
}  # fmt: skip


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(36, 36), nn.Linear(36, 4)

    def forward(self, images):
        flat = images.flatten(1)
        return self.outer(flat + self.inner(flat).relu())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", ["common", "independent"])
def test_any_network_gets_the_labels_of_the_loop(name, kind):
    build, shape = NETWORKS[name]
    net = build().double()
    images = torch.rand(4, *shape, generator=seeded(5)).double()
    before = [module.training for module in net.modules()]
    found = robustness.ratios(net, images, sigma=0.7, n_copies=90, noise=kind, generator=seeded(3))
    assert [module.training for module in net.modules()] == before
    net.eval()
    if kind == "common":
        expected = loop(net, images, 0.7 * drawn(90, shape, 3)).double().mean(1)
    else:  # on a CPU all four images share a block, copy by copy
        generator = seeded(3)
        noise = torch.randn(90, 4, *shape, generator=generator, dtype=torch.float64)
        expected = [loop(net, images[[k]], 0.7 * noise[:, k]).double().mean() for k in range(4)]
        expected = torch.stack(expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_common_noise_is_shared_and_independent_noise_is_not():
    nets, _ = population(1)
    twice, images = torch.func.stack_module_state(nets * 2)[0], pictures(1).expand(3, -1, -1, -1)
    options = {"n_copies": 200, "sigma": 1.5}
    common = robustness.ratios(twice, images, generator=seeded(), **options)
    torch.testing.assert_close(common, common[:1, :1].expand(2, 3), rtol=0, atol=0)
    other = robustness.ratios(twice, images, noise="independent", generator=seeded(), **options)
    assert len(other.unique()) > 3
    p = common[0, 0].item()
    assert (other - p).abs().max() < 6 * math.sqrt(p * (1 - p) / 200 * 2)


@pytest.mark.parametrize("noise", ["common", "independent"])
def test_on_two_classes_the_ratio_is_the_normal_law_of_the_margin(noise):
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double()
    images = torch.rand(6, 1, 3, 3, generator=seeded(1)).double()
    lead = (net[1].weight[1] - net[1].weight[0]).detach()
    margin = (images.flatten(1) @ lead + net[1].bias[1] - net[1].bias[0]).abs().detach()
    n = 20_000
    for sigma in (0.1, 0.9):
        expected = torch.tensor(scipy.stats.norm.cdf((margin / (sigma * lead.norm())).numpy()))
        options = {"sigma": sigma, "n_copies": n, "noise": noise, "generator": seeded(2)}
        found = robustness.ratios(net, images, **options)
        assert (found - expected).abs().max() < 4.5 * 0.5 / math.sqrt(n)
        assert (found - expected).abs().max() > 0


@pytest.mark.parametrize("sigma", [0, 0.4, 0.9])
def test_no_noise_changes_nothing_and_scales_share_their_noise(sigma):
    nets, state = population()
    images = pictures()
    found = robustness.ratios(state, images, sigma=sigma, n_copies=80, generator=seeded(42))
    assert (sigma > 0) == bool((found < 1).any())
    noise = drawn(80, (1, 28, 28))
    expected = torch.stack([loop(net, images, sigma * noise).double().mean(1) for net in nets])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_repeats_spread_as_the_binomial_law_says():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).double()
    net[1].bias.data.zero_()
    images = torch.full((400, 1, 2, 2), 0.5, dtype=torch.float64)
    options = {"noise": "independent", "sigma": 2.0, "generator": seeded()}
    for n_copies in (25, 100):
        labels = robustness.ratios(net, images, n_copies=n_copies, **options)
        p = labels.mean().item()
        assert abs(labels.std().item() / math.sqrt(p * (1 - p) / n_copies) - 1) < 0.15
    shared = robustness.ratios(net, images, sigma=2.0, n_copies=25, generator=seeded())
    assert shared.std() == 0


@pytest.mark.parametrize("noise", ["common", "independent"])
def test_divergences_are_those_of_scipy(noise):
    net, images = lenet(2), pictures(3)
    net.fc3.weight.data *= 5
    found = robustness.divergences(net, images, n_copies=40, noise=noise, generator=seeded(42))
    if noise == "common":
        with torch.no_grad():
            copies = images[:, None] + 0.9 * drawn(40, (1, 28, 28))
            q, p = net(copies.flatten(0, 1)).softmax(1).numpy(), net(images).softmax(1).numpy()
        expected = scipy.stats.entropy(p.repeat(40, 0), q, axis=1).reshape(3, 40).mean(1)
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-9, atol=0)
        backward = scipy.stats.entropy(q, p.repeat(40, 0), axis=1).reshape(3, 40).mean(1)
        assert abs(expected - backward).max() > 1e-3 * expected.max()  # it has a direction
    assert (found > 0).all()
    none = robustness.divergences(net, images, n_copies=40, sigma=0, noise=noise, generator=seeded(42))
    torch.testing.assert_close(none, torch.zeros(3).double(), rtol=0, atol=1e-12)


def test_selected_labels_are_those_of_all_pairs():
    nets, state = population()
    images = pictures(30)
    predictions, labels = torch.randint(4, (4, 30), generator=seeded()).tensor_split([3])
    chosen = robustness.select(predictions, labels[0], 3)
    counts = chosen.taken.sum((1, 2)).tolist()
    assert len(set(counts)) > 1
    options = {"n_copies": 60, "sigma": 1.2}
    every = robustness.ratios(state, images, generator=seeded(4), **options)
    found = robustness.selected_ratios(state, images, chosen, generator=seeded(4), **options)
    torch.testing.assert_close(found, every[chosen.model, chosen.image], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="3 networks"):
        robustness.selected_ratios(nets[0], images, chosen, generator=seeded())


def test_blocks_and_groups_change_nothing(monkeypatch):
    _, state = population(2)
    images = pictures(7)
    options = {"n_copies": 100, "sigma": 1.1}
    expected = robustness.ratios(state, images, generator=seeded(8), **options)
    for block, rows in ((16, 16), (32, 200), (48, 1), (256, 4096)):
        monkeypatch.setattr(perturbations, "_BLOCK", block)
        monkeypatch.setitem(perturbations._ROWS, "cpu", rows)
        found = robustness.ratios(state, images, generator=seeded(8), **options)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_memory_does_not_grow_with_the_copies(monkeypatch):
    sizes = []
    draw = perturbations._draw
    monkeypatch.setattr(perturbations, "_draw", lambda *args: sizes.append(args[1]) or draw(*args))
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    robustness.ratios(net, torch.rand(2, 1, 2, 2), n_copies=5000, generator=seeded())
    assert max(sizes) <= 1024
    assert sum(sizes) == 5000


def test_a_network_that_diverged_has_no_label():
    _, state = population(2)
    state = {name: value.detach().clone() for name, value in state.items()}
    state["fc3.bias"][1, 4] = torch.nan
    for label in (robustness.ratios, robustness.divergences):
        found = label(state, pictures(), n_copies=10, generator=seeded())
        assert found[0].isfinite().all()
        assert found[1].isnan().all()


def test_images_generators_and_weights_are_left_alone():
    net, images = lenet(), pictures()
    kept, weights = images.clone(), [parameter.clone() for parameter in net.parameters()]
    state = torch.get_rng_state()
    robustness.ratios(net, images, n_copies=10, generator=seeded())
    torch.testing.assert_close(images, kept, rtol=0, atol=0)
    torch.testing.assert_close(list(net.parameters()), weights, rtol=0, atol=0)
    torch.testing.assert_close(torch.get_rng_state(), state, rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": -1}, "sigma = "),
        ({"sigma": math.inf}, "sigma = "),
        ({"n_copies": 0}, "n_copies = 0"),
        ({"noise": "shared"}, "choose 'common' or 'independent'"),
        ({"images": torch.rand(28, 28)}, "add the missing axis"),
        ({"images": torch.rand(1, 1, 28, 28) * 3}, r"not in \[0, 1\]"),
        ({"images": torch.rand(1, 1, 20, 20)}, "takes"),
        ({"images": torch.rand(0, 1, 28, 28)}, "nothing in them"),
    ],
)
def test_what_cannot_be_meant_is_refused(untyped, options, message):
    options = {"images": torch.rand(1, 1, 28, 28), "generator": seeded()} | options
    with pytest.raises(ValueError, match=message):
        robustness.ratios(models.lenet5(), **options)
