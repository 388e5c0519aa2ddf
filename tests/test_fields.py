"""Receptive fields against arithmetic, published tables and single pixels."""

import pytest
import torch
import torchvision
from torch import nn

from actlib import fields, models, resnets


def arithmetic(layers):
    """Return size, stride and first centre of a chain of (kernel, stride, padding) by the recursion."""
    size, jump, first = 1, 1, 0.0
    for kernel, stride, padding in layers:
        first += ((kernel - 1) / 2 - padding) * jump
        size += (kernel - 1) * jump
        jump *= stride
    return (size, size), (float(jump), float(jump)), (first, first)


ALEXNET = [(11, 4, 2), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
LENET = [(5, 1, 0), (3, 3, 0), (5, 1, 0)]


@pytest.mark.parametrize(
    ("model", "layer", "shape", "chain"),
    [
        (models.course_lenet(), "relu2", (1, 28, 28), LENET),
        (models.course_lenet(), "conv1", (1, 28, 28), LENET[:1]),
        (torchvision.models.alexnet(weights=None), "features.11", (3, 224, 224), ALEXNET),
    ],
    ids=["lenet-relu2", "lenet-conv1", "alexnet-conv5"],
)
def test_a_chain_has_the_field_of_the_recursion(model, layer, shape, chain):
    assert fields.receptive_field(model, layer, shape) == arithmetic(chain)


def test_a_residual_network_has_the_field_of_its_longest_branch():
    # ResNet-8: a 3x3 stem and three blocks of two 3x3 convolutions, the second and third with stride 2.
    model = resnets.cifar(8)
    chain = [(3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1)]
    last = [name for name, module in model.named_modules() if isinstance(module, nn.ReLU)][-1]
    found = fields.receptive_field(model, last, (3, 32, 32))
    assert found == arithmetic(chain)


def test_pixels_outside_the_field_change_nothing_and_pixels_inside_do():
    model = models.convnet(widths=(4, 4, 4)).double()
    field = fields.receptive_field(model, "conv2", (3, 32, 32))
    row, column = 7, 4
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64).requires_grad_()
    value = model[:5](images)[0, :, row, column].abs().sum()
    (gradient,) = torch.autograd.grad(value, images)
    touched = (gradient[0].abs().sum(0) > 0).nonzero()
    centre = [field.first[0] + row * field.stride[0], field.first[1] + column * field.stride[1]]
    half = [(size - 1) / 2 for size in field.size]
    low = torch.tensor([c - h for c, h in zip(centre, half, strict=True)])
    high = torch.tensor([c + h for c, h in zip(centre, half, strict=True)])
    assert (touched >= low).all()
    assert (touched <= high).all()
    # Max-pooling drops some pixels of the field, never its extent by more than its own width.
    assert (touched.min(0).values - low <= 1).all()
    assert (high - touched.max(0).values <= 1).all()


def test_the_model_is_left_as_it_was():
    model = models.course_lenet().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fields.receptive_field(model, "conv2", (1, 28, 28))
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    torch.testing.assert_close(model.state_dict(), before)


def test_a_layer_without_maps_is_refused():
    with pytest.raises(ValueError, match=r"fc1 gives \(1, 200\)"):
        fields.receptive_field(models.course_lenet(), "fc1", (1, 28, 28))


def test_a_field_without_an_end_and_a_layer_that_is_never_called_are_refused():
    class Centred(nn.Module):
        def forward(self, x):
            return x - x.mean((2, 3), keepdim=True)

    wide = nn.Sequential(nn.Conv2d(1, 1, 1), Centred())
    with pytest.raises(ValueError, match="the field of 1 is cut off by the border of a 1024 px image"):
        fields.receptive_field(wide, "1", (1, 32, 32))

    class Idle(nn.Sequential):
        def forward(self, x):
            return self[0](x)

    model = Idle(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))
    with pytest.raises(ValueError, match=r"layers \['1'\] were not called"):
        fields.receptive_field(model, "1", (1, 28, 28))


def test_dilated_pooling_is_refused_by_name():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2, dilation=2))
    with pytest.raises(ValueError, match="1 is max-pooling with dilation 2"):
        fields.receptive_field(model, "1", (1, 28, 28))


def test_a_spike_lands_at_the_centre_of_its_field():
    field = fields.ReceptiveField((5, 5), (3.0, 3.0), (2.0, 2.0))
    maps = torch.zeros(1, 8, 8)
    maps[0, 2, 6] = 1
    laid = fields.onto_image(maps, field, (28, 28))[0]
    assert laid.argmax().item() == (2 + 3 * 2) * 28 + (2 + 3 * 6)
    torch.testing.assert_close(laid.max(), torch.tensor(1.0))
    # linear in between: one pixel beside the centre is two thirds
    torch.testing.assert_close(laid[8, 21], torch.tensor(2 / 3))


def test_plain_resizing_would_have_put_the_spike_elsewhere():
    maps = torch.zeros(1, 8, 8)
    maps[0, 0, 0] = 1
    field = fields.ReceptiveField((5, 5), (3.0, 3.0), (8.0, 8.0))
    laid = fields.onto_image(maps, field, (40, 40))[0]
    resized = nn.functional.interpolate(maps[None], (40, 40), mode="bilinear")[0, 0]
    assert laid[8, 8] == 1
    assert resized[8, 8] == 0


def test_a_slope_stays_a_slope_on_a_grid_that_is_not_square():
    field = fields.ReceptiveField((3, 3), (2.0, 4.0), (1.0, 0.0))
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(4.0), indexing="ij")
    laid = fields.onto_image((rows * 2 + columns * 4)[None], field, (10, 13))[0]
    expected = (torch.arange(10.0) - 1).clamp(0, 8)[:, None] + torch.arange(13.0).clamp(0, 12)
    torch.testing.assert_close(laid, expected)


@pytest.mark.parametrize(("dilation", "size"), [(20, 28), (40, 28), (2, 28)])
def test_a_dilated_kernel_reaches_as_far_as_its_outer_weights(dilation, size):
    layer = nn.Sequential(nn.Conv2d(1, 1, 3, dilation=dilation, padding=dilation))
    field = fields.receptive_field(layer, "0", (1, size, size))
    assert field.size == (2 * dilation + 1,) * 2
    assert field.first == (0, 0)
