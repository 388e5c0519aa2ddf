"""FGSM and PGD: closed forms on linear networks, the published definition as a slow loop, what must stay."""

import jaxtyping
import pytest
import torch
from torch import nn

from actlib import attacks, models

WIDE = (-99.0, 99.0)


@pytest.fixture
def untyped(monkeypatch):
    """As outside the tests, where types go unchecked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=6, *, seed=1):
    return torch.rand(n, 1, 8, 8, generator=seeded(seed)).double()


@pytest.fixture
def network():
    """A convolution, batch norm, max-pooling and two layers: nothing is smooth, and modes matter."""
    layers = [
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(36, 5),
    ]
    model = models.initialize(nn.Sequential(*layers), seeded(3)).double()
    model[6].weight.data *= 4
    return model


def truth(model, images):
    """The classes that the network gives itself, so that every image counts as right."""
    model.eval()
    labels = model(images).argmax(1)
    model.train()
    return labels


def loss(model, images, labels):
    """Minus the logarithm of the probability of each label."""
    modes = [module.training for module in model.modules()]
    model.eval()
    logits = model(images).detach()
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    return logits.logsumexp(1) - logits[torch.arange(len(labels)), labels]


def published(model, images, labels, start, *, eps, step, n_steps, norm, targeted=False):
    """PGD as torchattacks defines it, one image and one step at a time; return each image's points after each step."""
    model.eval()
    paths = []
    for image, label, point in zip(images, labels, start, strict=True):
        paths.append([point])
        for _ in range(n_steps):
            point = point.clone().requires_grad_()
            probabilities = model(point[None])[0].softmax(0)
            cost = -probabilities[label].log()
            cost = -cost if targeted else cost
            cost.backward()
            gradient, point = point.grad, point.detach()
            model.zero_grad()
            if norm == "linf":
                point = point + step * gradient.sign()
                point = torch.clamp(image + torch.clamp(point - image, min=-eps, max=eps), 0, 1)
            else:
                point = point + step * gradient / (gradient.pow(2).sum() ** 0.5 + 1e-10)
                delta = point - image
                factor = min(1.0, eps / max(delta.pow(2).sum().item() ** 0.5, 1e-30))
                point = torch.clamp(image + delta * factor, 0, 1)
            paths[-1].append(point)
    model.train()
    return torch.stack([torch.stack(path) for path in paths])


def two_classes(d=12):
    """A linear network of two classes, and by how much the second weights of a label exceed its own."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(d, 2)).double()
    model[1].weight.data = torch.randn(2, d, generator=seeded(5)).double() / 3
    model[1].bias.data = torch.tensor([0.3, -0.2]).double()
    return model, model[1].weight.data[1] - model[1].weight.data[0]


def test_on_a_linear_network_the_loss_rises_to_the_closed_form():
    model, lead = two_classes()
    images, labels = torch.rand(9, 1, 3, 4, generator=seeded(2)).double(), torch.tensor([0, 1, 0] * 3)
    side = 1 - 2 * labels  # a step to class 1 hurts label 0
    margin = side * (images.flatten(1) @ lead - 0.5)
    expected = {"linf": margin + 0.1 * lead.abs().sum(), "l2": margin + 0.1 * lead.norm()}
    one = attacks.fgsm(model, images, labels, 0.1, bounds=WIDE)
    torch.testing.assert_close(loss(model, one.images, labels), torch.log1p(expected["linf"].exp()))
    assert one.n_steps.tolist() == [1] * 9
    for norm in attacks.NORMS:
        found = attacks.pgd(model, images, labels, 0.1, norm=norm, generator=seeded(), bounds=WIDE).images
        if norm == "linf":
            torch.testing.assert_close(loss(model, found, labels), torch.log1p(expected[norm].exp()))
        else:  # from a start aside a walk in L2 comes near to the one best point, and no nearer than that
            assert (loss(model, found, labels) <= torch.log1p(expected[norm].exp()) + 1e-12).all()
        found = attacks.pgd(model, images, labels, 0.1, norm=norm, bounds=WIDE).images
        torch.testing.assert_close(loss(model, found, labels), torch.log1p(expected[norm].exp()))
    # In the range each pixel goes as far as it can.
    up = side[:, None] * lead > 0
    room = torch.where(up, 1 - images.flatten(1), images.flatten(1)).clamp(max=0.3)
    for found in (attacks.fgsm(model, images, labels, 0.3), attacks.pgd(model, images, labels, 0.3)):
        torch.testing.assert_close(loss(model, found.images, labels), torch.log1p((margin + room @ lead.abs()).exp()))


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", attacks.NORMS)
def test_pgd_is_the_published_definition(network, norm, targeted):
    images = pictures()
    labels = (truth(network, images) + targeted) % 5
    eps = {"linf": 0.1, "l2": 0.8}[norm]
    options = {"norm": norm, "n_steps": 7}
    for seed in (None, 4):
        start = images if seed is None else attacks.random_start(images, eps, norm=norm, generator=seeded(seed))
        path = published(network, images, labels, start, eps=eps, step=eps / 4, targeted=targeted, **options)
        generator = None if seed is None else seeded(seed)
        for batch_size in (6, 4):
            options |= {"targeted": targeted, "step_size": eps / 4}
            found = attacks.pgd(network, images, labels, eps, generator=generator, batch_size=batch_size, **options)
            torch.testing.assert_close(found.images, path[:, -1], rtol=0, atol=1e-9)
            generator = None if seed is None else seeded(seed)
            options = {"norm": norm, "n_steps": 7}
    one = attacks.fgsm(network, images, labels, 0.05, targeted=targeted)
    path = published(network, images, labels, images, eps=0.05, step=0.05, n_steps=1, norm="linf", targeted=targeted)
    torch.testing.assert_close(one.images, path[:, -1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", attacks.NORMS)
def test_early_stop_ends_where_the_published_walk_first_arrives(network, norm, targeted):
    images = pictures(24)
    labels = (truth(network, images) + targeted) % 5
    labels[:2] = (labels[:2] + (1 if not targeted else -1)) % 5  # arrived before the first step
    eps, n_steps = {"linf": 0.08, "l2": 0.6}[norm], 12
    step = 2.5 * eps / n_steps
    path = published(network, images, labels, images, eps=eps, step=step, n_steps=n_steps, norm=norm, targeted=targeted)
    network.eval()
    classes = network(path.flatten(0, 1)).argmax(1).unflatten(0, path.shape[:2])
    network.train()
    arrived = (classes == labels[:, None]) == targeted
    arrived[:, -1] = True  # the walk is over
    first = arrived.byte().argmax(1)
    assert {0, n_steps} < set(first.tolist())  # some at once, some never, some on the way
    calls = []
    handle = network[0].register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    found = attacks.pgd(network, images, labels, eps, norm=norm, n_steps=n_steps, targeted=targeted, early_stop=True)
    handle.remove()
    assert torch.equal(found.n_steps, first)
    torch.testing.assert_close(found.images, path[torch.arange(24), first], rtol=0, atol=1e-9)
    # An image is looked at once more after its last step, and then leaves the batch.
    assert calls == [int((first >= k).sum()) for k in range(n_steps)]


def test_a_walk_that_has_arrived_everywhere_takes_no_step(network):
    images = pictures(3)
    labels = (truth(network, images) + 1) % 5
    found = attacks.pgd(network, images, labels, 0.08, early_stop=True)
    assert found.n_steps.tolist() == [0, 0, 0]
    torch.testing.assert_close(found.images, images, rtol=0, atol=0)


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_neither_the_ball_nor_the_range_is_left(network, norm):
    images = pictures(20).float()
    network.float()
    labels = truth(network, images)
    for eps in (0.0, 1e-3, 0.3, 2.0):
        # Steps far too long.
        found = attacks.pgd(network, images, labels, eps, norm=norm, n_steps=5, step_size=3 * eps, generator=seeded())
        shift = (found.images - images).flatten(1)
        size = shift.abs().amax(1) if norm == "linf" else shift.norm(dim=1)
        assert size.max() <= eps + 1e-6 * (eps > 0)
        assert size.min() >= 0.5 * min(eps, 0.5)
        assert found.images.min() >= 0
        assert found.images.max() <= 1
        assert eps > 0 or torch.equal(found.images, images)


def test_a_stated_range_is_kept_and_eps_is_in_its_units(network):
    images, labels = pictures(), torch.arange(6) % 5
    scaled = nn.Sequential(nn.Conv2d(1, 1, 1), network).double()
    scaled[0].weight.data.fill_(1 / 255)
    scaled[0].bias.data.zero_()
    options = {"n_steps": 5, "generator": seeded()}
    plain = attacks.pgd(network, images, labels, 8 / 255, **options).images
    options["generator"] = seeded()
    large = attacks.pgd(scaled, images * 255, labels, 8, bounds=(0, 255), **options).images
    torch.testing.assert_close(large / 255, plain, rtol=0, atol=1e-9)


def test_the_loss_of_a_target_falls_and_that_of_a_label_rises(network):
    images = pictures(20)
    labels = truth(network, images)
    for norm, eps in (("linf", 0.05), ("l2", 0.4)):
        rise = attacks.pgd(network, images, labels, eps, norm=norm).images
        assert (loss(network, rise, labels) > loss(network, images, labels)).all()
        target = (labels + 2) % 5
        fall = attacks.pgd(network, images, target, eps, norm=norm, targeted=True).images
        assert (loss(network, fall, target) < loss(network, images, target)).all()
    # And by more than noise of the same size does.
    size = (rise - images).flatten(1).norm(dim=1)
    noisy = attacks.random_sign(images, size, norm="l2", generator=seeded())
    assert (loss(network, rise, labels) > loss(network, noisy, labels)).all()


def test_gradients_near_the_smallest_number_count_in_full():
    # The gradient is exp(-85) * 1e-5, about 1e-42: a threshold drops it, and so does a mean over 4,096 images.
    model, images = nn.Sequential(nn.Linear(4, 2)), torch.full((4096, 4), 0.5)
    sign = torch.tensor([1.0, -1, 1, -1])
    model[0].weight.data = torch.stack([-sign, sign]) * 0.5e-5
    model[0].bias.data = torch.tensor([85.0, 0.0])
    labels = torch.zeros(4096, dtype=torch.int64)
    for norm, eps in (("linf", 0.1), ("l2", 0.2)):
        found = attacks.pgd(model, images, labels, eps, norm=norm, n_steps=2, batch_size=4096)
        torch.testing.assert_close(found.images, images + 0.1 * sign, rtol=0, atol=1e-3)
        assert found.n_flat.sum() == 0


@pytest.mark.parametrize("norm", attacks.NORMS)
def test_zero_gradients_leave_an_image_where_it_is_and_are_counted(norm):
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    model[1].weight.data = torch.eye(3, 4).double()
    model[1].bias.data.fill_(-0.5)
    model[3].weight.data = torch.tensor([[1.0, 2, 3], [3, 1, 2]]).double()
    images = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.9, 0.8, 0.7, 0.6]]).double()
    found = attacks.pgd(model, images, torch.tensor([0, 0]), 0.05, norm=norm, n_steps=4)
    assert found.n_flat.tolist() == [4, 0]
    assert torch.equal(found.images[0], images[0])
    assert not torch.equal(found.images[1], images[1])
    constant = nn.Sequential(nn.Flatten(), Constant())
    assert attacks.fgsm(constant, images, torch.tensor([0, 1]), 0.1).n_flat.tolist() == [1, 1]


class Constant(nn.Module):
    """Gives the same logits whatever it sees, and draws a number."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, 2).double())

    def forward(self, x):
        torch.rand(1)
        return self.logits.expand(len(x), 2)


class Broken(nn.Module):
    def forward(self, x):
        torch.rand(1)
        raise RuntimeError("out of order")


def snapshot(model, images):
    tensors = [*model.parameters(), *model.buffers(), images]
    return (
        [module.training for module in model.modules()],
        [(t.requires_grad, t.detach().clone(), None if t.grad is None else t.grad.clone()) for t in tensors],
        torch.random.get_rng_state(),
    )


@pytest.mark.parametrize("broken", [False, True])
def test_all_is_left_as_it_was(network, broken):
    network[3].eval()
    network[0].weight.requires_grad_(False)
    network[6].weight.grad = torch.ones_like(network[6].weight)
    model = nn.Sequential(network, Broken()) if broken else nn.Sequential(Draws(), network)
    images = pictures().requires_grad_()
    images.grad = torch.ones_like(images)
    modes, tensors, state = snapshot(model, images)
    if broken:
        with pytest.raises(RuntimeError, match="out of order"):
            attacks.pgd(model, images, torch.zeros(6, dtype=torch.int64), 0.1)
    else:
        found = attacks.pgd(model, images, torch.zeros(6, dtype=torch.int64), 0.1, generator=seeded())
        assert not found.images.requires_grad
    modes_after, tensors_after, state_after = snapshot(model, images)
    assert modes == modes_after
    assert torch.equal(state, state_after)
    for (needs, value, grad), (needs_after, value_after, grad_after) in zip(tensors, tensors_after, strict=True):
        assert needs == needs_after
        assert torch.equal(value, value_after)
        assert grad is grad_after is None or torch.equal(grad, grad_after)
    assert torch.is_grad_enabled()


class Draws(nn.Module):
    def forward(self, x):
        return x + 0 * torch.rand(1)


def test_it_runs_where_gradients_are_off_and_on_a_network_that_works_in_place(network):
    images, labels = pictures(), torch.arange(6) % 5
    expected = attacks.pgd(network, images, labels, 0.1, n_steps=3).images
    with torch.no_grad():
        assert torch.equal(attacks.pgd(network, images, labels, 0.1, n_steps=3).images, expected)
    with torch.inference_mode():
        inner = attacks.pgd(network, images.clone(), labels.clone(), 0.1, n_steps=3, generator=seeded()).images
    assert torch.equal(inner, attacks.pgd(network, images, labels, 0.1, n_steps=3, generator=seeded()).images)
    in_place = nn.Sequential(nn.ReLU(inplace=True), network)
    assert torch.equal(attacks.pgd(in_place, images, labels, 0.1, n_steps=3).images, expected)
    # A generator that is the global one goes on.
    first, second = (
        attacks.pgd(network, images, labels, 0.1, n_steps=1, generator=torch.default_generator).images for _ in "ab"
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, r"eps = -0\.1; give a finite radius"),
        ({"eps": float("inf")}, "eps = inf"),
        ({"eps": torch.ones(6)}, r"eps has shape \(6,\) for 6 images; give one number$"),
        ({"norm": "L2"}, "norm = 'L2'; choose one of"),
        ({"images": pictures() * 255}, r"6 of 6 images leave \[0, 1\], the first is image 0 with values in \[.*range"),
        ({"images": pictures() * float("nan")}, "6 of 6 images leave"),
        ({"images": (pictures() * 255).byte()}, r"images are torch\.uint8"),
        ({"images": pictures().float()}, r"images are torch\.float32 on cpu, the model is torch\.float64 on cpu; move"),
        ({"labels": torch.arange(5)}, r"labels are torch\.int64 of shape \(5,\) for 6 images; give one whole"),
        ({"labels": torch.rand(6)}, r"labels are torch\.float32"),
        ({"labels": torch.arange(6) > 2}, r"labels are torch\.bool"),
        ({"labels": torch.arange(6)}, r"labels lie in 0\.\.5, but the model has 5 classes; give labels in 0\.\.4"),
        ({"labels": torch.arange(6) - 1}, r"labels lie in -1\.\.4"),
        ({"n_steps": 0}, "n_steps = 0, .* give one step or more"),
        ({"step_size": -1.0}, r"step_size = -1\.0"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_bad_input_is_refused(untyped, network, change, message):
    arguments = {"images": pictures(), "labels": torch.zeros(6, dtype=torch.int64), "eps": 0.1} | change
    with pytest.raises(ValueError, match=message):
        attacks.pgd(network, arguments.pop("images"), arguments.pop("labels"), arguments.pop("eps"), **arguments)
    assert network.training


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (lambda z: z[:, :1], r"the model gives \(6, 1\) for 6 images"),
        (lambda z: z.sum(), r"the model gives \(\) for 6 images"),
        (lambda z: z / 0, "NaN or infinity"),
        (lambda z: z.detach(), "no gradient reaches the images"),
    ],
)
def test_networks_that_are_no_classifiers_are_refused(network, last, message):
    class Ends(nn.Module):
        def forward(self, x):
            return last(x)

    with pytest.raises(ValueError, match=message):
        attacks.fgsm(nn.Sequential(network, Ends()), pictures(), torch.zeros(6, dtype=torch.int64), 0.1)
