import numpy as np
import pytest
import torch
from matplotlib.path import Path as Polygon
from PIL import Image, ImageChops, ImageDraw
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from actlib import shapes


@pytest.fixture(scope="module")
def sets():
    """1,500 images to fit, 1,000 to judge, each with labels."""
    return shapes.draw(1500, generator=0), shapes.draw(1000, generator=1)


def score(sets, features, model):
    """Return the share of right answers of ``model`` on ``features`` of the second set."""
    (images, labels), (others, truth) = sets
    fitted = model.fit(features(images), labels)
    return fitted.score(features(others), truth)


def histogram(images):
    """Return the share of pixels in each of 4 x 4 x 4 bins of colour."""
    pixels = images.numpy().transpose(0, 2, 3, 1).reshape(len(images), -1, 3)
    return np.stack([np.histogramdd(p, bins=4, range=[(0, 256)] * 3)[0].ravel() / len(p) for p in pixels]) * 10


def mean(images):
    return images.float().mean(dim=(2, 3)).numpy() / 64


def pixels(images):
    return images.flatten(1).numpy() / np.float32(255) - 0.5


def contrast(images):
    """Return how far each pixel is from its image's border in colour: the form without its colours."""
    values = images.float()
    border = values[:, :, 0].mean(dim=2)
    return (values - border[:, :, None, None]).abs().mean(dim=1).flatten(1).numpy() / 255


def painted(name, side=1200, reach=1.2):
    """Return the mask of an outline as Pillow fills it."""
    mask = Image.new("1", (side, side))
    for polygon in shapes.outline(name):
        layer = Image.new("1", (side, side))
        corners = ((polygon + reach) * side / (2 * reach)).ravel().tolist()
        ImageDraw.Draw(layer).polygon(corners, fill=1)
        mask = ImageChops.logical_xor(mask, layer)
    return np.array(mask)


def test_the_second_outline_of_a_ring_is_its_hole():
    outer, hole = (np.hypot(*polygon.T) for polygon in shapes.outline("ring"))
    np.testing.assert_allclose(hole.max() / outer.max(), 0.58, rtol=1e-6)


@pytest.mark.parametrize("name", shapes.CLASSES)
def test_every_outline_has_area_one_and_its_centroid_at_the_origin(name):
    mask = painted(name)
    np.testing.assert_allclose(mask.mean() * 2.4**2, 1, atol=0.015)
    rows, columns = np.nonzero(mask)
    np.testing.assert_allclose([columns.mean(), rows.mean()], 599.5, atol=3)


def test_every_outline_stays_inside_the_image_wherever_it_is_put():
    radius = max(np.hypot(*polygon.T).max() for name in shapes.CLASSES for polygon in shapes.outline(name))
    assert radius <= shapes._REACH < shapes._SPAN
    assert shapes._REACH * shapes._SCALES[1] < shapes._SIDE / 2


@pytest.mark.parametrize("name", shapes.CLASSES)
def test_the_cover_of_a_pixel_is_the_share_of_points_in_it_that_lie_in_the_turned_outline(name):
    u = torch.tensor([[0.3, 0.8, 0.1, 0.9]])
    axis = torch.arange(32) + 0.5 - 16
    y, x = axis[:, None].expand(32, 32), axis.expand(32, 32)
    cover = shapes._cover(shapes._template(name)[None], u, x, y)[0].numpy()
    scale, angle = 9.5 + 4.5 * 0.3, 0.8 * np.pi / 9
    centre = np.array([0.6, -0.8]) * (16 - shapes._REACH * scale) + 16
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    fine = (np.arange(32 * 8) + 0.5) / 8
    points = np.stack(np.meshgrid(fine, fine), axis=-1).reshape(-1, 2)
    inside = np.zeros(len(points), dtype=bool)
    for polygon in shapes.outline(name):
        inside ^= Polygon(polygon @ turn * scale + centre).contains_points(points)
    expected = inside.reshape(32, 8, 32, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(cover, expected, atol=0.3)
    np.testing.assert_allclose(np.abs(cover - expected).mean(), 0, atol=0.01)
    np.testing.assert_allclose(cover.sum(), scale**2, rtol=0.05)
    mirrored = np.abs(cover[:, ::-1] - expected).mean()
    assert mirrored > 0.05, "the place counts: a mirrored mask must not fit"


def test_the_same_seed_gives_the_same_images_on_any_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        images, labels = shapes.draw(300, n_classes=20, generator=5)
        torch.set_num_threads(4)
        again = shapes.draw(300, n_classes=20, generator=torch.Generator().manual_seed(5))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(again, (images, labels), rtol=0, atol=0)


def test_another_seed_gives_other_images_and_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    first, second = (shapes.draw(20, generator=seed)[0].float() for seed in (0, 1))
    torch.testing.assert_close(torch.get_rng_state(), state)
    assert (first - second).abs().mean() > 20


def test_32_and_64_pixels_show_the_same_scenes():
    small, labels = shapes.draw(100, size=32, n_classes=20, generator=3)
    large, same = shapes.draw(100, size=64, n_classes=20, generator=3)
    torch.testing.assert_close(same, labels)
    reduced = torch.nn.functional.avg_pool2d(large.float(), 2)
    distance = (reduced - small.float()).abs().mean(dim=(1, 2, 3))
    assert distance.max() < 16, "the noise alone, uniform over 31 levels, makes 8"
    assert (reduced.roll(1, dims=0) - small.float()).abs().mean() > 40


@pytest.mark.parametrize(("n", "n_classes"), [(1, 10), (7, 10), (103, 10), (260, 20)])
def test_classes_are_as_equal_in_number_as_possible(n, n_classes):
    images, labels = shapes.draw(n, n_classes=n_classes, generator=0)
    counts = np.bincount(labels.numpy(), minlength=n_classes)
    assert images.shape == (n, 3, 32, 32)
    assert counts.sum() == n
    assert len(counts) == n_classes
    assert counts.max() - counts.min() <= 1


def test_ten_classes_are_the_first_of_twenty():
    assert shapes.CLASSES[:6] == ("disc", "ring", "square", "triangle", "cross", "star")
    assert len(set(shapes.CLASSES)) == 20


@pytest.mark.parametrize("model", [LogisticRegression(max_iter=200), KNeighborsClassifier(5)])
@pytest.mark.parametrize("features", [histogram, mean])
def test_neither_colour_histogram_nor_mean_gives_the_class_away(sets, features, model):
    assert score(sets, features, model) < 0.3


def test_a_set_whose_colours_gave_the_class_away_would_be_noticed(sets):
    tinted = []
    for images, labels in sets:
        shift = torch.zeros(len(images), 3, 1, 1)
        shift[:, 0, 0, 0] = 75.0 * labels
        tinted.append((((images.float() + shift) / 4).to(torch.uint8), labels))
    for features in (histogram, mean):
        assert score(tinted, features, KNeighborsClassifier(5)) > 0.3


@pytest.mark.parametrize("strength", [1e-3, 1e-2])
def test_a_linear_model_on_pixels_stays_under_sixty_percent(sets, strength):
    assert score(sets, pixels, LogisticRegression(C=strength, max_iter=300)) < 0.6


def test_the_form_is_in_the_images_once_colour_is_taken_away(sets):
    assert score(sets, contrast, KNeighborsClassifier(5)) > 0.35


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 48}, "size = 48; shapes are drawn with size = 32 or 64"),
        ({"n_classes": 12}, "n_classes = 12; shapes are drawn with n_classes = 10 or 20"),
        ({"n": 0}, "n = 0; ask for at least 1 image"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        shapes.draw(**{"n": 5, "generator": 0, **options})


def test_a_disc_is_as_often_brighter_as_darker_in_each_channel_and_its_place_varies(sets):
    images, labels = sets[0]
    discs = images[labels == 0]
    values = discs.float()
    centre, border = values[:, :, 14:18, 14:18].mean(dim=(2, 3)), values[:, :, 0].mean(dim=2)
    np.testing.assert_allclose((centre > border).float().mean(dim=0), 0.5, atol=0.15)
    weight = torch.from_numpy(contrast(discs)).reshape(-1, 32, 32) ** 2
    for axis in (1, 2):
        spread = ((weight.sum(dim=axis) * torch.arange(32)).sum(dim=1) / weight.sum(dim=(1, 2))).std()
        assert 1.2 < spread < 5, "pixels, along rows and along columns"
