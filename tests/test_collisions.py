"""Contacts against boxes whose corners are projected one by one, and impulses against the laws of mechanics."""

import boxes as plain
import numpy as np
import pytest
import torch
from torch import pi

from actlib import collisions, overlaps

N = 60


def crowd(n=N, n_boxes=6, seed=0, spread=20.0):
    """Return boxes thrown anywhere, most of them overlapping: positions, halves, speeds, inverse masses."""
    generator = torch.Generator().manual_seed(seed)
    like = {"generator": generator, "dtype": torch.float64}
    halves = 2 + 4 * torch.rand(2, n_boxes, n, **like)
    positions, velocities = torch.zeros(2, 3, n_boxes + 1, n, dtype=torch.float64)
    positions[:2, :-1] = 32 + spread * (torch.rand(2, n_boxes, n, **like) - 0.5)
    positions[2, :-1] = 7 * torch.rand(n_boxes, n, **like)
    velocities[:, :-1] = torch.randn(3, n_boxes, n, **like) * torch.tensor([5.0, 5.0, 0.5])[:, None, None]
    return positions, halves, velocities, inverses(halves)


def inverses(halves):
    """Return one over mass, mass and moment of inertia, m (a^2 + b^2) / 12; nothing for the walls."""
    a, b = 2 * halves
    mass = a * b
    boxes = torch.stack((1 / mass, 1 / mass, 12 / (mass * (a**2 + b**2))))
    return torch.cat((boxes, torch.zeros_like(boxes[:, :1])), dim=1)


def plain_boxes(positions, halves, n):
    """Return the boxes of a scene for the plain loop."""
    places, sides = positions[:, :-1, n].T.numpy(), 2 * halves[:, :, n].T.numpy()
    return [plain.Box(side, place[:2], place[2]) for side, place in zip(sides, places, strict=True)]


def momenta(positions, velocities, inverse):
    """Return momentum (2, n), angular momentum about the origin (n), and energy (n)."""
    mass, inertia = 1 / inverse[0, :-1], 1 / inverse[2, :-1]
    (x, y, _), (u, v, spin) = positions[:, :-1], velocities[:, :-1]
    energy = (mass * (u**2 + v**2) + inertia * spin**2) / 2
    momentum = torch.stack(((mass * u).sum(0), (mass * v).sum(0)))
    return momentum, (mass * (x * v - y * u) + inertia * spin).sum(0), energy.sum(0)


def two(places, halves=((4.0, 4.0), (3.0, 3.0)), speeds=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))):
    """Return one scene of two boxes, as ``crowd``."""
    like = {"dtype": torch.float64}
    positions, velocities = (
        torch.tensor([*rows, (0.0, 0.0, 0.0)], **like).T[..., None].clone() for rows in (places, speeds)
    )
    halves = torch.tensor(halves, **like).T[..., None].clone()
    return positions, halves, velocities, inverses(halves)


def parting(contacts, velocities):
    """Return the speed at which the bodies of each contact part."""
    flat = velocities.flatten(1)
    return (contacts.along_first * flat[:, contacts.first] + contacts.along_second * flat[:, contacts.second]).sum(0)


def test_separations_are_those_of_the_projected_corners():
    positions, halves, *_ = crowd(spread=40.0)
    turned = overlaps.boxes(halves, positions[2, :-1])
    one, other = (overlaps.Boxes(turned.halves[:, k], turned.cos[k], turned.sin[k]) for k in (0, 1))
    found = overlaps.separations(positions[:2, 1] - positions[:2, 0], one, other)
    for n in range(N):
        a, b = plain_boxes(positions, halves, n)[:2]
        for k, axis in enumerate([*a.axes(), *b.axes()]):
            pa, pb = a.corners() @ axis, b.corners() @ axis
            gap = max(pa.min() - pb.max(), pb.min() - pa.max())
            np.testing.assert_allclose(found[k, n], gap, atol=1e-12)
    assert (found.amax(0) > 0).any()
    assert (found.amax(0) < 0).any()


@pytest.mark.parametrize("walls", [False, True])
def test_contacts_are_those_of_the_plain_loop_in_the_same_order(walls):
    positions, halves, *_ = crowd(spread=30.0)
    positions[0] -= 15
    found = collisions.find(positions, halves, world=64.0, walls=walls)
    scenes, n_found = found.first % N, 0
    for n in range(N):
        bodies = plain_boxes(positions, halves, n)
        expected = plain.contacts(bodies, 64.0 if walls else None)
        rows = (scenes == n).nonzero()[:, 0]
        assert len(rows) == len(expected)
        for k, (a, b, normal, ra, rb, depth) in zip(rows.tolist(), expected, strict=True):
            assert int(found.first[k]) // N == bodies.index(a)
            assert int(found.second[k]) // N == (len(bodies) if b is None else bodies.index(b))
            np.testing.assert_allclose(found.along_first[:, k], [*-normal, -plain.cross(ra, normal)], atol=1e-9)
            ends = np.zeros(3) if b is None else [*normal, plain.cross(rb, normal)]
            np.testing.assert_allclose(found.along_second[:, k], ends, atol=1e-9)
            np.testing.assert_allclose(found.depths[k], depth, atol=1e-12)
        n_found += len(rows)
    assert n_found > 3 * N


def test_two_upright_boxes_touch_in_the_middle_of_what_their_edges_share():
    # 0 to 8 and 7.5 to 13.5 in x; in y the edges share 3 to 4, above both centres.
    positions, halves, *_ = two([(4.0, 4.0, 0.0), (10.5, 6.0, 0.0)])
    found = collisions.find(positions, halves, world=64.0)
    torch.testing.assert_close(found.depths, torch.tensor([0.5], dtype=torch.float64))
    # Edges share y = 3 to 8, the middle is 1.5 below the one centre and 0.5 above the other.
    expected = torch.tensor([[-1.0, 0.0, 1.5], [1.0, 0.0, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(torch.stack((found.along_first[:, 0], found.along_second[:, 0])), expected)


@pytest.mark.parametrize("turn", [1e-7, -1e-7, 0.0])
def test_parallel_boxes_touch_in_one_point_whichever_of_them_gives_the_axis(turn):
    # As above, all turned by 0.3 around the origin of the world, and one of them by a hair more.
    c, s = np.cos(0.3), np.sin(0.3)
    first, second = ((x * c - y * s + 30, x * s + y * c + 30) for x, y in ((4.0, 4.0), (10.5, 6.0)))
    positions, halves, *_ = two([(*first, 0.3), (*second, 0.3 + turn)])
    found = collisions.find(positions, halves, world=64.0)
    np.testing.assert_allclose(found.along_first[:, 0], [-c, -s, 1.5], atol=1e-5)
    np.testing.assert_allclose(found.along_second[:, 0], [c, s, 0.5], atol=1e-5)


def test_boxes_whose_frames_overlap_but_not_they_themselves_do_not_touch():
    turned = [(4.0, 4.0, pi / 4), (11.0, 11.0, pi / 4)]
    found = collisions.find(*two(turned)[:2], world=64.0, walls=False)
    assert not len(found.depths)
    nearer = [(10.0, 10.0, pi / 4), (14.9, 14.9, pi / 4)]
    assert len(collisions.find(*two(nearer)[:2], world=64.0, walls=False).depths) == 1


@pytest.mark.parametrize("restitution", [0.0, 0.5, 1.0])
def test_impulses_keep_momentum_and_angular_momentum_and_add_no_energy(restitution):
    positions, halves, velocities, inverse = crowd(n=500)
    contacts = collisions.find(positions, halves, world=64.0, walls=False)
    after = collisions.resolve(positions, velocities, inverse, contacts, restitution=restitution, step=0.05)
    before, then = momenta(positions, velocities, inverse), momenta(positions, after.velocities, inverse)
    torch.testing.assert_close(then[0], before[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(then[1], before[1], atol=1e-6, rtol=0)
    assert (then[2] <= before[2] * (1 + 1e-12)).all()
    assert (after.impulses >= 0).all()
    assert (after.impulses > 0).double().mean() > 0.3
    if restitution == 1:
        torch.testing.assert_close(then[2], before[2], atol=0, rtol=1e-12)
    else:
        assert (then[2] < before[2]).double().mean() > 0.9


@pytest.mark.parametrize("restitution", [0.0, 0.6, 1.0])
def test_bodies_that_approach_part_with_restitution_times_that_speed(restitution):
    positions, halves, velocities, inverse = crowd(n=300, n_boxes=2, spread=15.0)
    contacts = collisions.find(positions, halves, world=64.0, walls=False)
    before = parting(contacts, velocities)
    after = collisions.resolve(positions, velocities, inverse, contacts, restitution=restitution, step=0.05)
    expected = torch.where(before < 0, -restitution * before, before)
    torch.testing.assert_close(parting(contacts, after.velocities), expected)
    assert (before < 0).any()
    assert (before > 0).any()


def test_boxes_at_rest_move_apart_by_their_overlap_and_their_common_centre_stays():
    positions, halves, _, inverse = crowd(n=300, n_boxes=2, spread=12.0)
    contacts = collisions.find(positions, halves, world=64.0, walls=False)
    shallow = (contacts.depths < 0.5).nonzero()[:, 0]
    after = collisions.resolve(
        positions, torch.zeros_like(positions), inverse, contacts, restitution=1.0, step=0.05
    ).positions
    mass = 1 / inverse[0, :-1]
    before, then = ((mass * places[:2, :-1]).sum(1) for places in (positions, after))
    torch.testing.assert_close(then, before)
    moved = (after - positions).flatten(1)
    part = contacts.along_first * moved[:, contacts.first] + contacts.along_second * moved[:, contacts.second]
    torch.testing.assert_close(part.sum(0), contacts.depths)
    left = collisions.find(after, halves, world=64.0, walls=False)
    rest = dict(zip((left.first % 300).tolist(), left.depths.tolist(), strict=True))
    for k in shallow.tolist():
        assert rest.get(int(contacts.first[k]) % 300, 0.0) < 0.2 * contacts.depths[k] + 1e-9
    assert len(shallow) > 20


@pytest.mark.parametrize(
    ("wall", "place"),
    [((-1, 0), (3.0, 30.0)), ((1, 0), (61.0, 30.0)), ((0, -1), (30.0, 3.0)), ((0, 1), (30.0, 61.0))],
)
def test_a_wall_sends_a_box_back_and_does_not_move(wall, place):
    outward = np.array([*wall, 0.0])
    speed = 4.0 * outward + [0.5, 0.5, 0.0] * (1 - np.abs(outward))
    positions, halves, velocities, inverse = two(
        [(*place, 0.0), (50.0, 50.0, 0.0)], speeds=[tuple(speed), (0.0, 0.0, 0.0)]
    )
    contacts = collisions.find(positions, halves, world=64.0)
    torch.testing.assert_close(contacts.depths, torch.tensor([1.0], dtype=torch.float64))
    after = collisions.resolve(positions, velocities, inverse, contacts, restitution=0.5, step=1.0)
    expected = speed - 1.5 * 4.0 * outward
    torch.testing.assert_close(after.velocities[:, 0, 0], torch.from_numpy(expected))
    torch.testing.assert_close(after.velocities[:, 2], torch.zeros(3, 1, dtype=torch.float64))
    # Out of the overlap of 1, and on by half of it: there it would be had it bounced in time.
    torch.testing.assert_close(
        after.positions[:, 0, 0] - positions[:, 0, 0], torch.from_numpy(-1.5 * outward), atol=1e-12, rtol=0
    )


def test_a_turned_box_meets_a_wall_with_its_corner():
    # A square with half-diagonal 4 sqrt 2 on its corner, a little turned on: only one corner is beyond the wall.
    positions, halves, *_ = two([(5.0, 30.0, pi / 4 + 0.1), (40.0, 40.0, 0.0)])
    found = collisions.find(positions, halves, world=64.0)
    corner = 4 * np.sqrt(2) * np.array([-np.cos(0.1), -np.sin(0.1)])
    np.testing.assert_allclose(found.depths[0], -corner[0] - 5.0)
    np.testing.assert_allclose(found.along_first[:, 0], [1.0, 0.0, -(corner[0] * 0.0 - corner[1] * -1.0)], atol=1e-12)


def test_the_inputs_are_left_as_they_were():
    positions, halves, velocities, inverse = crowd()
    copies = positions.clone(), velocities.clone(), inverse.clone()
    contacts = collisions.find(positions, halves, world=64.0)
    collisions.resolve(positions, velocities, inverse, contacts, restitution=1.0, step=0.1)
    for found, expected in zip((positions, velocities, inverse), copies, strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_a_box_alone_has_no_contacts():
    positions, halves, *_ = crowd(n_boxes=1)
    assert not len(collisions.find(positions, halves, world=64.0, walls=False).depths)


def test_without_contacts_nothing_changes():
    positions, halves, velocities, inverse = two([(10.0, 10.0, 0.3), (40.0, 40.0, 0.0)], speeds=[(1.0, 2.0, 3.0)] * 2)
    contacts = collisions.find(positions, halves, world=64.0)
    found = collisions.resolve(positions, velocities, inverse, contacts, restitution=1.0, step=0.1)
    torch.testing.assert_close(found.positions, positions, atol=0, rtol=0)
    torch.testing.assert_close(found.velocities, velocities, atol=0, rtol=0)
