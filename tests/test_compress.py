"""Bases, projections and what a network still knows behind them, against definitions and the whole network."""

import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn

from actlib import capture, compress, covariance, models, names, resnets, train

ACCURACY_AFTER = inspect.unwrap(compress.accuracy_after)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def principal(x, axis="all", centred=True):
    return covariance.pca(covariance.moments(x, axis=axis), centred=centred)


def energy(x):
    return x.square().sum().item()


# Bases


@pytest.mark.parametrize("draw", [compress.random_orthonormal, compress.random_uniform])
@pytest.mark.parametrize(("d", "k"), [(12, 5), (12, 12), (1, 1)])
def test_random_bases_are_orthonormal_and_settled_by_the_generator(draw, d, k):
    found = draw(d, k, generator=seeded(3))
    torch.testing.assert_close(found.T @ found, torch.eye(k, dtype=torch.float64))
    torch.testing.assert_close(found, draw(d, k, generator=seeded(3)))
    if d > 1:
        assert torch.dist(found, draw(d, k, generator=seeded(4))) > 0.1


@pytest.mark.parametrize("k", [1, 7, 16])
def test_a_uniform_basis_projects_as_the_matrix_and_its_pseudo_inverse_do(k):
    matrix = torch.rand(16, k, generator=seeded(), dtype=torch.float64).numpy()
    x = normal(9, 16)
    found = compress.Projection(compress.random_uniform(16, k, generator=seeded()))(x)
    np.testing.assert_allclose(found, x.numpy() @ matrix @ np.linalg.pinv(matrix), atol=1e-9)


def test_a_uniform_basis_keeps_the_mean_direction_and_a_haar_basis_its_share():
    flat = torch.full((1, 64), 0.125, dtype=torch.float64)
    shares = []
    for draw in (compress.random_uniform, compress.random_orthonormal):
        bases = [draw(64, 16, generator=seeded(seed)) for seed in range(100)]
        shares.append(torch.tensor([energy(flat @ basis) for basis in bases]))
    assert shares[0].min() > 0.95
    error = shares[1].std() / 10
    assert abs(shares[1].mean() - 16 / 64) < 4 * error
    assert error < 0.01


def test_haar_directions_have_no_preferred_sign():
    # QR without the signs of R would have first entries below zero only.
    entries = torch.stack([compress.random_orthonormal(4, 2, generator=seeded(seed))[0] for seed in range(1000)])
    assert (entries.mean(0).abs() < 4 * entries.std(0) / 1000**0.5).all()


def power_law(n=400, c=32, seed=0):
    """Return maps (n, c, 2, 2) whose variances fall as 1 / rank, along directions at random."""
    d = 4 * c
    turn = torch.linalg.qr(normal(d, d, seed=seed + 1)).Q
    return (normal(n, d, seed=seed) * torch.arange(1, d + 1).double() ** -0.5 @ turn.T).view(n, c, 2, 2)


@pytest.mark.parametrize("k", [8, 32, 96])
def test_random_directions_keep_k_of_d_of_the_energy_and_principal_ones_the_most(k):
    x = power_law()
    moments = covariance.moments(x)
    haar = [
        compress.kept(compress.random_orthonormal(128, k, generator=seeded(seed)), moments.covariance)[-1]
        for seed in range(40)
    ]
    haar, best = torch.stack(haar), compress.kept(covariance.pca(moments).components, moments.covariance)[k]
    assert abs(haar.mean() - k / 128) < 4 * haar.std() / 40**0.5
    assert best > haar.max() + 0.1


@pytest.mark.parametrize("k", [8, 32, 96])
def test_a_scrambled_basis_keeps_hardly_more_than_a_random_one(k):
    moments = covariance.moments(power_law())
    components = covariance.pca(moments).components
    right, wrong = (
        compress.kept(basis, moments.covariance)[k]
        for basis in (components, compress.scrambled(components, (32, 2, 2)))
    )
    assert abs(wrong - k / 128) < 0.12
    assert right > wrong + 0.15


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 2, 2), (1, 3, 2), (4, 1, 3)])
def test_scrambled_is_what_two_flattening_orders_make_of_a_basis(shape):
    maps = normal(40, *shape)
    last = maps.permute(0, 2, 3, 1).numpy()  # (n, h, w, c)
    column_major = np.stack([m.reshape(-1, order="F") for m in last])
    row_major = np.stack([m.reshape(-1) for m in last])
    basis = principal(torch.from_numpy(column_major)).components[:, :5]
    expected = (row_major @ basis.numpy() @ basis.numpy().T).reshape(last.shape)
    # The same directions in the order of PyTorch: where its entries stand in the column-major map.
    place = np.arange(math.prod(shape)).reshape(shape[1], shape[2], shape[0], order="F").transpose(2, 0, 1).reshape(-1)
    ours = compress.Projection(compress.scrambled(basis[torch.from_numpy(place)], shape))(maps)
    np.testing.assert_allclose(ours.permute(0, 2, 3, 1), expected, atol=1e-12)


def test_scrambling_permutes_and_nothing_changes_where_there_is_one_order_only():
    rows = torch.arange(60.0)[:, None]
    found = compress.scrambled(rows, (3, 4, 5))
    assert (found != rows).sum() > 50
    torch.testing.assert_close(found.sort(dim=0).values, rows)
    for shape in [(60, 1, 1), (1, 60, 1), (1, 1, 60)]:
        torch.testing.assert_close(compress.scrambled(rows, shape), rows)
    x = normal(5, 3, 4, 5)
    whole = compress.Projection(compress.scrambled(torch.linalg.qr(normal(60, 60)).Q, (3, 4, 5)))
    torch.testing.assert_close(whole(x), x)


def test_kept_is_the_share_of_the_energy_of_the_projected_data():
    x = normal(50, 6) * torch.linspace(1, 3, 6) + 2
    moments, p = covariance.moments(x), torch.linalg.qr(normal(6, 4)).Q
    shares = {
        "centred": (compress.kept(p, moments.covariance), x - x.mean(0)),
        "not": (compress.kept(p.float(), moments.second_moment), x),
    }
    for found, values in shares.values():
        expected = [energy(values @ p[:, :k]) / energy(values) for k in range(5)]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    basis = covariance.pca(moments)
    expected = torch.cat([torch.zeros(1), basis.variances.cumsum(0) / basis.variances.sum()])
    torch.testing.assert_close(compress.kept(basis.components, moments.covariance), expected)


# Projections


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("k", [1, 3, 4])
def test_along_channels_each_position_is_projected_on_its_own(centred, k):
    x = normal(2, 4, 3, 5) + 1
    basis = principal(x, "channels", centred)
    found = compress.Projection(basis.components, k, mean=basis.mean, axis="channels")(x)
    p = basis.components[:, :k].numpy()
    mean = basis.mean.numpy() if centred else np.zeros(4)
    for i, row, column in np.ndindex(2, 3, 5):
        expected = mean + p @ (p.T @ (x[i, :, row, column].numpy() - mean))
        np.testing.assert_allclose(found[i, :, row, column], expected, rtol=1e-10)
    assert found.is_contiguous()


@pytest.mark.parametrize("shape", [(30, 2, 3, 2), (30, 12)])
def test_along_all_axes_the_flattened_map_is_projected(shape):
    x = normal(*shape) + 1
    basis = principal(x)
    for mean in (basis.mean, None):
        found = compress.Projection(basis.components, 5, mean=mean)(x)
        offset = np.zeros(12) if mean is None else mean.numpy()
        p = basis.components[:, :5].numpy()
        for sample, projected in zip(x.numpy(), found.numpy(), strict=True):
            np.testing.assert_allclose(projected.ravel(), offset + p @ (p.T @ (sample.ravel() - offset)), rtol=1e-9)
        assert found.shape == x.shape


@pytest.mark.parametrize("axis", ["all", "channels"])
def test_full_rank_changes_nothing_and_rank_zero_leaves_the_mean(axis):
    x = normal(90, 5, 3, 2).float()
    basis = principal(x, axis)
    whole = compress.Projection(basis.components, mean=basis.mean, axis=axis)(x)
    torch.testing.assert_close(whole, x, atol=1e-5, rtol=1e-5)
    none = compress.Projection(basis.components, 0, mean=basis.mean, axis=axis)(x)
    expected = x.mean(0) if axis == "all" else x.mean((0, 2, 3))[:, None, None]
    torch.testing.assert_close(none, expected.expand_as(x), atol=1e-6, rtol=1e-5)


def test_projecting_twice_is_projecting_once_and_more_directions_lose_less():
    x = normal(40, 8)
    basis = principal(x)
    projections = [compress.Projection(basis.components, k, mean=basis.mean) for k in range(9)]
    torch.testing.assert_close(projections[3](projections[3](x)), projections[3](x))
    losses = [energy(x - projection(x)) for projection in projections]
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_allclose(losses, 40 * np.append(basis.variances.flip(0).cumsum(0).flip(0), 0), atol=1e-10)


def test_with_a_planted_mean_centring_loses_less():
    # The mean lies along the direction of least variance, which the first components leave out.
    x = normal(200, 6) * torch.linspace(3, 1, 6) + 50 * torch.eye(6)[5]
    basis = principal(x)
    centred, literal = (
        energy(x - compress.Projection(basis.components, 5, mean=mean)(x)) for mean in (basis.mean, None)
    )
    own = principal(x, centred=False)
    best = energy(x - compress.Projection(own.components, 5)(x))
    assert centred < best < literal / 100
    np.testing.assert_allclose(
        literal, 200 * (basis.variances[5] + (basis.mean @ basis.components[:, 5]) ** 2), rtol=1e-6
    )


def test_a_projection_is_a_layer_in_the_dtype_of_its_input(tmp_path):
    x = normal(6, 4).float()
    basis = principal(normal(30, 4))
    projection = compress.Projection(basis.components, 2, mean=basis.mean)
    before = x.clone()
    assert projection(x).dtype == torch.float32
    torch.testing.assert_close(x, before)
    torch.testing.assert_close(projection.float()(x), nn.Sequential(nn.Identity(), projection)(x))
    assert list(projection.parameters()) == []


# What a network still knows


@pytest.fixture(scope="module")
def network():
    """Return a network with an in-place ReLU, images and, as labels, what the whole network says."""
    model = models.lenet5(size=16, generator=seeded())
    model.relu1 = nn.ReLU(inplace=True)
    images = torch.rand(60, 1, 16, 16, generator=seeded(1))
    model.fc3.bias.data -= train.logits(model, images).mean(0)  # so that it does not say the same of all
    labels = train.predict(model, images)
    assert len(labels.unique()) > 4
    return model, images, labels


def whole(model, layer, images, labels, projection):
    """Return the accuracy of the whole network with the projection behind the layer."""
    with capture.edit(model, {layer: projection}):
        return train.accuracy(model, images, labels)


@pytest.mark.parametrize("layer", ["conv1", "relu1", "pool2", "flatten", "fc2", "fc3"])
@pytest.mark.parametrize("axis", ["all", "channels"])
def test_the_suffix_gives_the_accuracy_of_the_whole_network(network, layer, axis):
    model, images, labels = network
    stored = capture.collect(model, images, [layer], progress=False)[layer]
    before = stored.copy()
    basis = principal(stored, axis)
    most = basis.components.shape[1]
    projections = {
        f"k{k}": compress.Projection(basis.components, k, mean=basis.mean, axis=axis) for k in {0, 1, 2, most}
    }
    found = compress.accuracy_after(model, layer, stored, labels, {"none": nn.Identity(), **projections}, batch_size=7)
    assert found.pop("none") == 1
    assert found == {name: whole(model, layer, images, labels, each) for name, each in projections.items()}
    assert found["k0"] < 1
    np.testing.assert_array_equal(stored, before)


@pytest.mark.parametrize("layer", ["bn1", "relu1", "layer1", "layer2.0", "layer3", "pool"])
def test_residual_networks_are_cut_between_blocks(layer, tmp_path):
    model = resnets.cifar(14, widths=(4, 6, 8), size=8, n_classes=6, generator=seeded()).train()
    images = torch.rand(40, 3, 8, 8, generator=seeded(1))
    model.fc.bias.data -= train.logits(model, images).mean(0)
    labels = train.predict(model, images)
    stored = capture.collect(model, images, [layer], tmp_path, progress=False)[layer]
    basis = compress.random_orthonormal(stored.shape[1], 2, generator=seeded())
    projections = {"none": nn.Identity(), "two": compress.Projection(basis.float(), axis="channels")}
    found = compress.accuracy_after(model, layer, stored, labels, projections)
    assert found == {name: whole(model, layer, images, labels, each) for name, each in projections.items()}
    assert found["none"] == 1 > found["two"]
    assert all(module.training for module in model.modules())


def test_a_suffix_shares_the_modules_that_follow(network):
    model = network[0]
    found = compress.suffix(model, "relu3")
    following = list(model)[names.layer_names(model).index("relu3") + 1 :]
    assert [id(module) for module in found] == [id(module) for module in following]
    assert len(compress.suffix(model, "fc3")) == 0


def test_stored_activations_survive_an_in_place_layer(network):
    model, images, labels = network
    with torch.no_grad(), capture.capture(model, ["conv1"]) as activations:
        model(images)
    stored = activations["conv1"]
    before = stored.clone()
    found = compress.accuracy_after(model, "conv1", stored, labels, {"a": nn.Identity(), "b": nn.Identity()})
    assert found == {"a": 1, "b": 1}
    torch.testing.assert_close(stored, before)


# Bad input

P = torch.linalg.qr(normal(6, 6)).Q
MEAN = torch.ones(6, dtype=torch.float64)
X = normal(10, 3, 2, 1)
RESNET = resnets.cifar(8, generator=seeded())


class Wrapped(nn.Module):
    """A network that is no sequence."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.ReLU(), nn.Flatten())

    def forward(self, x):
        return self.body(x)


def shared():
    relu = nn.ReLU()
    return nn.Sequential(relu, nn.Flatten(), relu)


def after(layer="relu1", stored=None, labels=None, projection=None, **options):
    model = models.lenet5(size=16, generator=seeded())
    stored = torch.zeros(4, 6, 12, 12) if stored is None else stored
    labels = torch.zeros(4, dtype=torch.int64) if labels is None else labels
    return ACCURACY_AFTER(model, layer, stored, labels, {"p": projection or nn.Identity()}, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: compress.random_orthonormal(4, 5, generator=seeded()),
            "k = 5 directions of length d = 4; choose 1 to 4",
        ),
        (lambda: compress.random_uniform(4, 0, generator=seeded()), "k = 0 directions"),
        (lambda: compress.scrambled(P, (2, 2, 2)), r"shape \(2, 2, 2\) has 8 values, the basis is of 6; give the"),
        (lambda: inspect.unwrap(compress.kept)(P, torch.eye(5)), "the basis is of 6 values, the moment of 5"),
        (lambda: inspect.unwrap(compress.kept)(P, torch.zeros(6, 6)), "the moment is zero"),
        (lambda: compress.Projection(P, 7), "k = 7, but the basis has 6 components; choose 1 to 6$"),
        (lambda: compress.Projection(P, -1, mean=MEAN), "k = -1, .* choose 0 to 6"),
        (lambda: compress.Projection(P, 0), "k = 0, .* choose 1 to 6; 0 would leave nothing: give a mean"),
        (
            lambda: inspect.unwrap(compress.Projection.__init__)(compress.Projection(P), P, axis="rows"),
            "axis = 'rows'; choose",
        ),
        (
            lambda: inspect.unwrap(compress.Projection.__init__)(compress.Projection(P), P, mean=MEAN[:1]),
            r"the mean is of shape \(1,\), the basis of 6 values",
        ),
        (lambda: compress.Projection(torch.rand(6, 3)), "not orthonormal; take pca, a random basis"),
        (lambda: compress.Projection(P * 1.1), "not orthonormal"),
        (lambda: compress.Projection(P[:, [0, 1, 1]]), "not orthonormal"),
        (lambda: compress.Projection(P * math.nan), "not orthonormal"),
        (lambda: compress.Projection(P)(X[:, :2]), r"shape \(10, 2, 2, 1\) have 4 values along axis 'all', .* of 6"),
        (lambda: compress.Projection(P, axis="channels")(X), "have 3 values along axis 'channels', the basis is of 6"),
        (lambda: compress.suffix(RESNET, "layer2.0.relu1"), "in block 'layer2.0', a Block, .* cut behind 'layer2.0'"),
        (lambda: compress.suffix(RESNET, "layer9"), "unknown layer 'layer9'; the nearest names are"),
        (lambda: compress.suffix(Wrapped(), "body.0"), "lies in the model, a Wrapped, .* run the whole network inside"),
        (lambda: compress.suffix(shared(), "0"), "layer '0' stands in 2 places"),
        (lambda: after(labels=torch.zeros(3, dtype=torch.int64)), "4 samples and 3 labels for layer 'relu1'"),
        (lambda: after(stored=torch.zeros(0, 6, 12, 12), labels=torch.zeros(0, dtype=torch.int64)), "0 samples and 0"),
        (lambda: after(batch_size=0), "batch_size = 0; give one label a sample and a batch_size of 1 or more"),
        (lambda: after(stored=torch.full((4, 6, 12, 12), math.nan)), "(?s)4 of the 4 samples .*behind layer 'relu1'"),
        (lambda: after(projection=compress.Projection(P)), r"(?s)864 values along axis 'all'.*behind layer 'relu1'"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_network_on_a_gpu_reads_activations_from_anywhere(network):
    model, images, labels = network
    stored = capture.collect(model, images, ["relu1"], progress=False)["relu1"]
    basis = principal(stored)
    projections = {"k3": compress.Projection(basis.components, 3, mean=basis.mean), "none": nn.Identity()}
    here = compress.accuracy_after(model, "relu1", stored, labels, projections)
    try:
        model.cuda()
        assert compress.accuracy_after(model, "relu1", stored, labels, projections) == here
    finally:
        model.cpu()
