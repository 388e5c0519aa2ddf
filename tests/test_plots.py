"""Plots draw what they are given: the artists are read back."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from actlib import plots, slider


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def drawn(ax):
    return np.asarray(ax.get_images()[0].get_array())


def test_an_image_of_three_channels_is_drawn_with_channels_last(ax):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    plots.image(pixels, ax=ax, title="a")
    np.testing.assert_array_equal(drawn(ax), pixels.transpose(1, 2, 0))
    assert ax.get_title() == "a"
    assert list(ax.get_xticks()) == []


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.float32, 1)])
def test_grey_images_use_the_whole_range_of_their_type(ax, dtype, top):
    plots.image(np.zeros((1, 4, 5), dtype), ax=ax)
    assert ax.get_images()[0].get_clim() == (0, top)
    assert drawn(ax).shape == (4, 5)


def test_signed_maps_are_white_at_zero_red_above_and_blue_below(ax):
    plots.signed_map(np.array([[-1.0, 0.0, 1.0]]), ax=ax)
    negative, zero, positive = ax.get_images()[0].to_rgba(drawn(ax))[0]
    np.testing.assert_allclose(zero, 1, atol=0.01)
    assert negative[2] > negative[0]
    assert positive[0] > positive[2]


def test_a_row_shows_as_many_maps_as_there_are_and_hides_the_rest():
    fig = plt.figure()
    axes = plots.grid(1, 4, figure=fig)[0]
    plots.map_row(np.zeros((3, 2, 2)), axes=axes, label="conv1")
    assert [ax.get_visible() for ax in axes] == [True, True, True, False]
    assert axes[0].get_ylabel() == "conv1"
    plt.close(fig)


def test_a_row_of_pictures_leaves_a_place_empty_and_hides_the_rest():
    fig = plt.figure()
    axes = plots.grid(1, 3, figure=fig)[0]
    plots.picture_row([np.ones((2, 2)), None], axes=axes, label="input")
    assert [ax.get_visible() for ax in axes] == [True, True, False]
    assert [len(ax.get_images()) for ax in axes] == [1, 0, 0]
    assert axes[0].get_ylabel() == "input"
    plt.close(fig)


def test_an_overlay_is_bright_where_the_map_is_high_and_dark_elsewhere(ax):
    heat = np.array([[0.0, 1.0], [0.0, 1.0]])
    plots.overlay(np.full((3, 2, 2), 255, np.uint8), heat, ax=ax)
    np.testing.assert_allclose(drawn(ax)[0, :, 0], [0.3, 1.0])


def test_the_line_of_an_overlay_runs_where_the_map_is_one_half(ax):
    plots.overlay(np.zeros((3, 3, 5)), np.tile(np.linspace(0, 1, 5), (3, 1)), ax=ax)
    (path,) = ax.collections[0].get_paths()
    assert len(path.vertices) >= 3  # one in each row: without a line the next one would hold as well
    np.testing.assert_allclose(path.vertices[:, 0], 2)


def test_a_flat_map_has_no_line(ax):
    plots.overlay(np.zeros((3, 3, 5)), np.ones((3, 5)), ax=ax)
    assert len(ax.collections) == 0


def test_steps_draw_one_line_a_series_over_the_names(ax):
    plots.steps(["a", "b"], {"one": [1, 2], "two": [3, 4]}, ax=ax, ylabel="values")
    assert [line.get_label() for line in ax.lines] == ["one", "two"]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [3, 4])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]
    assert len({line.get_marker() for line in ax.lines}) == 2


def test_distributions_show_every_value_in_a_row_of_its_own_and_the_median(ax):
    groups = {"a": np.array([0.1, 0.2, 0.6]), "b": np.array([0.5, 0.9])}
    plots.distributions(groups, ax=ax, xlabel="x")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    dots = [np.asarray(collection.get_offsets())[:, 0] for collection in ax.collections]
    np.testing.assert_allclose(np.sort(np.concatenate(dots)), [0.1, 0.2, 0.5, 0.6, 0.9])
    upright = [
        line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1 and line.get_linewidth() == 2.5
    ]
    np.testing.assert_allclose(upright, [0.2, 0.7])


def test_ranked_values_fall_and_the_chosen_one_is_marked_at_its_rank(ax):
    plots.ranked(np.array([0.2, 0.9, 0.5]), ax=ax, label="units", highlight=2)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.9, 0.5, 0.2])
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[2, 0.5]])


def test_ranked_values_may_go_unmarked(ax):
    plots.ranked(np.array([0.2, 0.9]), ax=ax, label="units")
    assert len(ax.lines) == 1


def test_points_of_each_class_get_one_colour_and_a_name(ax):
    xy = np.random.default_rng(0).normal(size=(6, 2))
    groups = np.array([2, 0, 2, 0, 2, 2])
    plots.points(xy, ax=ax, groups=groups, names=["zero", "one", "two"], title="cloud")
    clouds = ax.collections
    assert [cloud.get_label() for cloud in clouds] == ["zero", "two"]
    np.testing.assert_allclose(clouds[0].get_offsets(), xy[groups == 0])
    np.testing.assert_allclose(clouds[1].get_offsets(), xy[groups == 2])
    assert tuple(clouds[0].get_facecolor()[0]) != tuple(clouds[1].get_facecolor()[0])
    assert ax.get_aspect() == 1
    assert list(ax.get_xticks()) == []


@pytest.mark.parametrize(("groups", "found"), [([0, 12], "0 to 12"), ([-1, 3], "-1 to 3")])
def test_more_classes_than_there_are_colours_are_refused(ax, groups, found):
    with pytest.raises(ValueError, match=f"groups are {found}; give 0 to 11"):
        plots.points(np.eye(2), ax=ax, groups=np.array(groups))
    plots.points(np.eye(12)[:, :2], ax=ax, groups=np.arange(12))
    assert len({tuple(cloud.get_facecolor()[0]) for cloud in ax.collections}) == 12


def test_points_are_coloured_along_a_scale(ax):
    plots.points(np.eye(2), ax=ax, values=np.array([0.0, 7.0]))
    assert ax.collections[0].get_clim() == (0, 7)


def test_points_in_space_have_no_ticks_in_any_direction():
    fig = plt.figure()
    ax = fig.add_subplot(projection="3d")
    xyz = np.random.default_rng(0).normal(size=(5, 3))
    plots.points(xyz, ax=ax, groups=np.zeros(5, int))
    np.testing.assert_allclose(np.array(ax.collections[0]._offsets3d).T, xyz)
    assert [*ax.get_xticks(), *ax.get_yticks(), *ax.get_zticks()] == []
    plt.close(fig)


def test_a_class_has_the_same_colour_in_figures_and_sliders():
    assert plots.COLOURS == slider.COLOURS
