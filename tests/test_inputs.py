import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.testing import assert_close

from actlib import inputs


def small(dtype=torch.float32):
    """Return a network that is not ours: a convolution of three channels."""
    return nn.Sequential(nn.Conv2d(3, 2, 3)).to(dtype)


def bytes_of(n=4, c=3, h=6, w=5, seed=0):
    return torch.randint(0, 256, (n, c, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_normalize_agrees_with_a_loop_over_channels():
    mean, std = [0.1, 0.2, 0.3], [0.5, 2.0, 4.0]
    images = torch.rand(2, 3, 4, 5)
    expected = np.stack([(images.numpy()[:, c] - mean[c]) / std[c] for c in range(3)], axis=1)
    np.testing.assert_allclose(inputs.Normalize(mean, std)(images).numpy(), expected, rtol=1e-5, atol=1e-7)


def test_one_mean_serves_all_channels():
    images = torch.rand(2, 3, 4, 5)
    assert_close(inputs.Normalize(0.5, 0.5)(images), 2 * images - 1)


def test_grey_images_are_not_broadcast_to_three_channels():
    with pytest.raises(ValueError, match="1 channels, but Normalize has 3 means; give the network one mean"):
        inputs.Normalize([0.1, 0.2, 0.3], [1.0, 1.0, 1.0])(torch.rand(2, 1, 4, 4))


def test_normalize_has_no_parameters_and_is_part_of_the_state():
    layer = inputs.Normalize([0.1, 0.2], [1.0, 2.0])
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["mean", "std"]
    assert "0.2" in repr(layer)


@pytest.mark.parametrize(("mean", "std"), [([0.1, 0.2], [1.0]), (0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0)])
def test_an_impossible_normalisation_is_refused(mean, std):
    with pytest.raises(ValueError, match="one finite mean and one positive std"):
        inputs.Normalize(mean, std)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_bytes_become_the_model_s_floats(dtype):
    images = bytes_of()
    prepared = inputs.prepare(small(dtype), images)
    expected = torch.tensor(images.numpy().astype(np.float64) / 255).to(dtype)
    assert_close(prepared, expected, rtol=0, atol={torch.bfloat16: 2**-8}.get(dtype, 1e-7))
    assert images.dtype == torch.uint8


def test_floats_are_moved_and_not_scaled():
    images = torch.rand(2, 3, 6, 5, dtype=torch.float64)
    prepared = inputs.prepare(small(), images)
    assert prepared.dtype == torch.float32
    assert_close(prepared.double(), images, rtol=0, atol=1e-7)


def test_a_gradient_flows_back_through_prepare():
    images = torch.rand(2, 3, 6, 5, requires_grad=True)
    inputs.prepare(small(), images).sum().backward()
    assert_close(images.grad, torch.ones(2, 3, 6, 5))


def test_a_model_without_parameters_takes_images_where_they_are():
    assert inputs.prepare(nn.ReLU(), bytes_of()).dtype == torch.float32
    assert inputs.prepare(nn.ReLU(), torch.rand(1, 7, 2, 3, dtype=torch.float64)).dtype == torch.float64


def test_buffers_tell_the_dtype_when_there_are_no_parameters():
    assert inputs.prepare(inputs.Normalize(0.0, 1.0).double(), bytes_of()).dtype == torch.float64


def test_rounding_beyond_one_is_forgiven():
    images = torch.rand(2, 3, 6, 5)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 1.0009, -0.0009
    assert_close(inputs.prepare(small(), images), images)


@pytest.mark.parametrize("value", [1.002, -0.002, 255.0])
def test_floats_outside_0_to_1_are_refused(value):
    images = torch.rand(2, 3, 6, 5)
    images[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match=r"float images lie in \[.*divide values of 0..255 by 255, and let the model"):
        inputs.prepare(small(), images)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_first_sample_that_is_not_finite_is_named(value):
    images = torch.rand(5, 3, 6, 5)
    images[3, 2, 3, 4] = images[4, 0, 0, 0] = value
    with pytest.raises(ValueError, match=r"2 of 5 images hold NaN or infinity, the first is sample 3"):
        inputs.prepare(small(), images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(3, 6, 5), r"images have shape \(3, 6, 5\), not \(n, c, h, w\); add the missing axis"),
        (torch.zeros(1, 3, 6, 5, dtype=torch.int64), r"images are torch.int64; give uint8 in 0..255 or floating"),
        (torch.zeros(1, 3, 6, 5, dtype=torch.bool), r"images are torch.bool"),
        (torch.zeros(0, 3, 6, 5), r"shape \(0, 3, 6, 5\): there is nothing in them"),
        (torch.rand(2, 1, 6, 5), r"\(c, h, w\) = \(1, 6, 5\), but Sequential takes \(3, 6, 5\); repeat the grey"),
        (torch.rand(2, 6, 5, 3), r"but Sequential takes \(3, 5, 3\); move the channels to the front"),
        (torch.rand(2, 4, 6, 5), r"load images with that number of channels"),
    ],
)
def test_images_of_another_kind_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        inputs.prepare(small(), images)


def test_a_size_is_refused_only_when_the_model_states_one():
    model = small()
    inputs.prepare(model, bytes_of(h=9))
    model.input_shape = (3, 6, 5)
    with pytest.raises(ValueError, match=r"= \(3, 9, 5\), but Sequential takes \(3, 6, 5\); load the images at that"):
        inputs.prepare(model, bytes_of(h=9))


def test_a_network_of_torchvision_is_checked_by_its_first_convolution():
    model = torchvision.models.squeezenet1_1(weights=None)
    assert inputs.prepare(model, bytes_of(2, 3, 30, 20)).shape == (2, 3, 30, 20)
    with pytest.raises(ValueError, match="but SqueezeNet takes"):
        inputs.prepare(model, bytes_of(2, 1, 30, 20))


def test_a_linear_network_is_checked_by_the_number_of_values():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    inputs.prepare(model, bytes_of(1, 3, 2, 2))
    with pytest.raises(ValueError, match="18 values, but Sequential takes 12"):
        inputs.prepare(model, bytes_of(1, 3, 2, 3))


class Rows(nn.Module):
    """An image is a sequence of its rows; the linear layer is the last one."""

    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(15, 7, batch_first=True), nn.Linear(7, 2)

    def forward(self, x):
        return self.out(self.lstm(x.transpose(1, 2).flatten(2))[0][:, -1])


def test_a_linear_layer_that_does_not_see_the_images_says_nothing_about_them():
    for model in (Rows(), nn.Sequential(nn.MultiheadAttention(15, 3), nn.Linear(7, 2))):
        assert inputs.prepare(model, bytes_of()).shape == (4, 3, 6, 5)


def test_one_image_may_be_many_rows_of_a_first_linear_layer():
    assert inputs.prepare(nn.Sequential(nn.Linear(15, 2)), bytes_of()).shape == (4, 3, 6, 5)
    with pytest.raises(ValueError, match="90 values, but Sequential takes 16"):
        inputs.prepare(nn.Sequential(nn.Linear(16, 2)), bytes_of())


def test_behind_a_flatten_one_image_is_one_row():
    parts = inputs.Normalize(0.5, 0.5), nn.Flatten()
    assert inputs.prepare(nn.Sequential(*parts, nn.Linear(90, 2)), bytes_of()).shape == (4, 3, 6, 5)
    with pytest.raises(ValueError, match="90 values, but Sequential takes 45"):
        inputs.prepare(nn.Sequential(*parts, nn.Linear(45, 2)), bytes_of())


def test_any_number_of_channels_is_a_model_s_own():
    model = nn.Sequential(inputs.Normalize(0.0, 1.0), nn.Conv2d(5, 1, 1))
    assert inputs.prepare(model, bytes_of(c=5)).shape == (4, 5, 6, 5)
    with pytest.raises(ValueError, match=r"takes \(5, 6, 5\)"):
        inputs.prepare(model, bytes_of(c=3))


def test_a_layer_without_a_shape_yet_takes_any_channels():
    assert inputs.prepare(nn.LazyConv2d(2, 1), bytes_of(c=4)).shape == (4, 4, 6, 5)
