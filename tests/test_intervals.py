"""Zeros and overtaking on pieces of segments against the argmax and the sign of fine grids."""

import numpy as np
import pytest

from actlib import intervals
from actlib.intervals import Intervals

TABLE = np.array([[0, 1, 2, 3], [3, 4, 5, -1], [1, 2, 4, 5]])


def pieces(n, seed=0):
    ends = np.sort(np.random.default_rng(seed).random((n, 2)), axis=1)
    return Intervals(np.arange(n), ends[:, 0], ends[:, 1])


def functions(n, n_values, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, n_values)) * 0.4, rng.normal(size=(n, n_values))


def argmax(values):
    """The candidate of each window, (..., 3)."""
    seen = np.where(TABLE < 0, -np.inf, values[..., TABLE])
    return seen.argmax(-1)


def positive(values):
    return values > 0


@pytest.mark.parametrize("kind", ["units", "windows"])
@pytest.mark.parametrize("n_block", [3, 1000])
def test_between_two_events_choices_are_those_in_the_middle(kind, n_block):
    cells, (constant, directions) = pieces(30), functions(30, 6)
    choose = positive if kind == "units" else argmax
    if kind == "units":
        choices, events = intervals.units(constant, directions, cells)
    else:
        choices, events = intervals.windows(constant, directions, TABLE, cells)
    parts = list(intervals.cut(cells, choices, events, n_block))
    assert all(len(part.parents) <= n_block for part in parts)
    parents, found = (np.concatenate([getattr(part, field) for part in parts]) for field in ("parents", "choices"))
    starts, stops, owners = (
        np.concatenate([getattr(p.cells, f) for p in parts]) for f in ("starts", "stops", "owners")
    )
    middle = ((starts + stops) / 2)[:, None]
    np.testing.assert_array_equal(found, choose(constant[parents] + middle * directions[parents]))
    np.testing.assert_array_equal(owners, cells.owners[parents])
    first = np.append(True, np.diff(parents) > 0)
    np.testing.assert_array_equal(starts[first], cells.starts)
    np.testing.assert_array_equal(stops[np.roll(first, -1)], cells.stops)
    np.testing.assert_array_equal(starts[~first], stops[:-1][~first[1:]])
    # A grid in each piece sees as many changes.
    for p in range(30):
        times = np.linspace(cells.starts[p], cells.stops[p], 20_001)[:, None]
        seen = choose(constant[p] + times * directions[p])
        assert (seen[1:] != seen[:-1]).any(1).sum() == (parents == p).sum() - 1
    assert len(parents) > 50


def test_a_candidate_that_leads_only_for_a_while_is_found():
    constant, directions = np.array([[0.0, -0.4, -1]]), np.array([[0.0, 1, 2]])  # 0 up to 0.4, then t - 0.4 up to 0.6
    table = np.array([[0, 1, 2]])
    whole = Intervals(np.zeros(1, int), np.zeros(1), np.ones(1))
    choices, events = intervals.windows(constant, directions, table, whole)
    assert choices.tolist() == [[0]]
    np.testing.assert_allclose(events.times, [0.4, 0.6])
    assert events.choices.tolist() == [1, 2]
    # All three at one time: the second never leads.
    choices, events = intervals.windows(np.array([[0.0, -0.5, -1]]), directions, table, whole)
    np.testing.assert_allclose(events.times, [0.5])
    assert events.choices.tolist() == [2]


def test_what_is_zero_at_an_end_has_the_side_of_the_piece_and_is_no_event():
    whole = Intervals(np.zeros(1, int), np.zeros(1), np.ones(1))
    constant, directions = np.array([[0.0, 0, 1, -1, 0]]), np.array([[1.0, -1, -1, 1, 0]])
    choices, events = intervals.units(constant, directions, whole)
    assert choices.tolist() == [[True, False, True, False, False]]
    assert len(events.times) == 0
    (part,) = intervals.cut(whole, choices, events, 9)
    assert len(part.parents) == 1
    choices, events = intervals.windows(constant, directions, np.array([[0, 1], [2, 3], [4, 4]]), whole)
    assert choices.tolist() == [[0, 0, 0]]
    assert len(events.times) == 0


def test_events_at_one_time_make_one_cut():
    whole = Intervals(np.zeros(1, int), np.zeros(1), np.ones(1))
    constant, directions = np.array([[-0.5, 1, -0.25]]), np.array([[1.0, -2 - 1e-13, 1]])
    choices, events = intervals.units(constant, directions, whole)
    (part,) = intervals.cut(whole, choices, events, 9)
    np.testing.assert_allclose(part.cells.starts, [0, 0.25, 0.5], atol=1e-12)
    assert part.choices.tolist() == [[False, True, False], [False, True, True], [True, False, True]]
