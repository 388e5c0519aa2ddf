"""The ball around an image: the way back into it worked by hand, and what is drawn from it."""

import math

import jaxtyping
import pytest
import torch

from actlib import balls

UNIT = (0.0, 1.0)


@pytest.fixture
def untyped(monkeypatch):
    """As outside the tests, where types go unchecked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_way_back_in_l2_as_worked_by_hand():
    # From (1, 1) to (4, 5) it is (3, 4), of length 5: at radius 2 it ends at (1 + 6 / 5, 1 + 8 / 5).
    image = torch.tensor([[1.0, 1.0]]).double()
    point = torch.tensor([[4.0, 5.0]]).double()
    found = balls.project(point, image, 2.0, "l2", (-9.0, 9.0))
    torch.testing.assert_close(found, torch.tensor([[2.2, 2.6]]).double())
    # A range that ends at 2.4 takes the second pixel back once more, and not the first.
    found = balls.project(point, image, 2.0, "l2", (-9.0, 2.4))
    torch.testing.assert_close(found, torch.tensor([[2.2, 2.4]]).double())
    # In the ball nothing moves; at radius 0 all is the image.
    assert torch.equal(balls.project(point, image, 5.5, "l2", (-9.0, 9.0)), point)
    assert torch.equal(balls.project(point, image, 0.0, "l2", (-9.0, 9.0)), image)
    assert torch.equal(balls.project(image, image, 0.0, "l2", (-9.0, 9.0)), image)


def test_the_way_back_in_linf_as_worked_by_hand():
    image, point = torch.tensor([[0.2, 0.5, 0.9]]).double(), torch.tensor([[-3.0, 0.55, 3.0]]).double()
    found = balls.project(point, image, 0.25, "linf", UNIT)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.55, 1.0]]).double())


def test_a_direction_has_length_one_however_small_the_gradient_and_none_if_it_is_zero():
    gradient = torch.tensor([[3.0, 4.0], [3e-30, -4e-30], [0.0, 0.0], [3e30, 4e30]])
    expected = torch.tensor([[0.6, 0.8], [0.6, -0.8], [0.0, 0.0], [0.6, 0.8]])
    torch.testing.assert_close(balls.unit(gradient), expected)


@pytest.mark.parametrize("norm", balls.NORMS)
def test_starts_are_uniform_in_the_ball(norm):
    # Of 3 pixels the share within half the radius is 1 / 8 in either norm; the mean is the image.
    images = torch.full((8000, 1, 1, 3), 0.5).double()
    shift = balls.random_start(images, 0.2, norm=norm, generator=seeded()) - images
    size = shift.flatten(1).abs().amax(1) if norm == "linf" else shift.flatten(1).norm(dim=1)
    assert size.max() <= 0.2 + 1e-12
    assert (size < 0.1).double().mean().item() == pytest.approx(1 / 8, abs=0.012)
    assert (size < 0.16).double().mean().item() == pytest.approx(0.8**3, abs=0.02)
    assert shift.mean(0).abs().max() < 0.004


def test_starts_keep_to_the_range_and_come_from_the_generator_only():
    images = torch.rand(20, 1, 4, 4, generator=seeded(1))
    state = torch.random.get_rng_state()
    first, second = (balls.random_start(images, 0.5, generator=seeded(2)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, balls.random_start(images, 0.5, generator=seeded(3)))
    assert (first.min(), first.max()) == (0, 1)
    assert torch.equal(state, torch.random.get_rng_state())


def bisected(image, noise_sign, eps):
    """The common length that gives a norm, by bisection, one pixel at a time."""
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        total = 0.0
        for value, sign in zip(image.flatten().tolist(), noise_sign.flatten().tolist(), strict=True):
            total += min(middle, 1 - value if sign > 0 else value) ** 2
        low, high = (middle, high) if total < eps**2 else (low, middle)
    return low


def test_random_signs_have_the_norm_that_was_asked_for_although_the_range_ends():
    images = torch.rand(30, 1, 5, 5, generator=seeded(1)).double()
    images[:, :, :2] = 0  # as the margin of a digit
    eps = torch.linspace(0, 1.5, 30).double()
    noisy = balls.random_sign(images, eps, norm="l2", generator=seeded())
    shift = noisy - images
    torch.testing.assert_close(shift.flatten(1).norm(dim=1), eps, rtol=1e-9, atol=1e-12)
    assert noisy.min() >= 0
    assert noisy.max() <= 1
    bits = torch.randint(2, images.shape, generator=seeded())
    for k in (3, 15, 29):
        sign = bits[k].double() * 2 - 1
        length = bisected(images[k], sign, eps[k].item())
        expected = (images[k] + sign * length).clamp(0, 1)
        torch.testing.assert_close(noisy[k], expected, rtol=0, atol=1e-9)
    # Clamping plain signs of that norm would fall short.
    plain = (images + (bits * 2 - 1) * eps[:, None, None, None] / 5).clamp(0, 1) - images
    assert (plain.flatten(1).norm(dim=1)[1:] < 0.95 * eps[1:]).all()


def test_random_signs_in_linf_are_fair_coins_at_the_radius():
    images = torch.full((50, 1, 10, 10), 0.5).double()
    shift = balls.random_sign(images, 0.1, generator=seeded()) - images
    torch.testing.assert_close(shift.abs(), torch.full_like(shift, 0.1))
    assert (shift > 0).double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(balls.random_sign(images, 0, generator=seeded()), images)


def test_noise_too_large_for_the_range_lies_at_its_ends():
    images = torch.rand(4, 1, 3, 3, generator=seeded())
    for norm in balls.NORMS:
        noisy = balls.random_sign(images, 50.0, norm=norm, generator=seeded())
        assert set(noisy.flatten().tolist()) == {0.0, 1.0}
    # Only a little too large: a common length would leave the pixels of much room short of their ends.
    bits = torch.randint(2, images.shape, generator=seeded(3))
    room = torch.where(bits > 0, 1 - images, images).flatten(1).norm(dim=1)
    noisy = balls.random_sign(images, 1.01 * room, norm="l2", generator=seeded(3))
    assert torch.equal(noisy, bits.float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, r"eps = -0\.1; give a finite radius, 0 or more"),
        ({"eps": math.nan}, "eps = nan"),
        ({"eps": torch.ones(3)}, r"eps has shape \(3,\) for 2 images; give one number, or one an image"),
        ({"norm": "l1"}, r"norm = 'l1'; choose one of \('linf', 'l2'\)"),
        ({"bounds": (1, 0)}, r"bounds = \(1, 0\)"),
        ({"images": torch.full((2, 1, 2, 2), 1.5)}, r"2 of 2 images leave \[0, 1\], the first is image 0"),
        ({"images": torch.full((2, 4), math.nan)}, "2 of 2 images leave"),
        ({"images": torch.zeros(2, 4, dtype=torch.uint8)}, r"images are torch\.uint8; .* images / 255"),
        ({"images": torch.zeros(0, 4)}, r"shape \(0, 4\); give"),
    ],
)
def test_bad_input_is_refused(untyped, change, message):
    arguments = {"images": torch.full((2, 1, 2, 2), 0.5), "eps": 0.1, "generator": seeded()} | change
    with pytest.raises(ValueError, match=message):
        balls.random_sign(arguments.pop("images"), arguments.pop("eps"), **arguments)


def test_only_noise_takes_a_radius_an_image(untyped):
    with pytest.raises(ValueError, match=r"shape \(2,\) for 2 images; give one number$"):
        balls.random_start(torch.zeros(2, 4), torch.ones(2), generator=seeded())
