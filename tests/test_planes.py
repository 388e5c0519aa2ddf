"""Planes through three inputs: right angles, true lengths, and inputs that span none."""

import numpy as np
import pytest
import torch

from actlib import planes


def inputs(*shape, seed=0):
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(2,), (50,), (3, 5, 4)])
def test_lengths_are_those_of_the_input_space_and_the_inputs_come_back(shape):
    x = inputs(*shape)
    plane = planes.through(*x)
    flat = plane.axes.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(plane.points(plane.corners), x.double())
    here = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 2)))
    torch.testing.assert_close(torch.pdist(plane.points(here.numpy()).flatten(1)), torch.pdist(here))
    assert plane.corners[0].tolist() == [0, 0]
    assert plane.corners[1, 1] == 0
    assert plane.corners[2, 1] > 0


def test_a_narrow_triangle_has_axes_at_right_angles():
    x = inputs(400).double()
    x[2] = x[0] + 0.3 * (x[1] - x[0]) + 1e-7 * x[2]
    flat = planes.through(*x).axes
    assert abs(float(flat[0] @ flat[1])) < 1e-15


def test_what_spans_no_plane_is_refused():
    a, b, c = inputs(6)
    for three in ((a, a, b), (a, b, a), (b, a, a)):
        with pytest.raises(ValueError, match="two of the three inputs are the same"):
            planes.through(*three)
    for first, second in ((a, b), (a.double(), b.double())):
        for third in (first + 0.4 * (second - first), second + 3 * (first - second)):
            with pytest.raises(ValueError, match="on one line"):
                planes.through(first, second, third)
    with pytest.raises(ValueError, match=r"shapes \[\(6,\), \(6,\), \(3, 2\)\]; give three of one shape"):
        planes.through(a, b, c.view(3, 2))
    with pytest.raises(ValueError, match="one shape"):
        planes.through(a[:1], b[:1], c[:1])
    for bad in (torch.inf, torch.nan):
        with pytest.raises(ValueError, match="NaN or infinity"):
            planes.through(a, b, c.index_fill(0, torch.tensor(2), bad))
