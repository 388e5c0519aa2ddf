"""The motion of boxes against closed forms, conservation laws, an ODE solver and a plain loop over one scene."""

import boxes as plain
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import pi

from actlib import rectangles, rendering, starts
from actlib.rectangles import Physics

FREE = Physics(force=0.0, drag=0.0, spin_drag=0.0, walls=False)


@pytest.fixture(scope="module")
def scenes():
    return starts.sample(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture(scope="module")
def motion(scenes):
    return rectangles.simulate(scenes)


def part(tensors, index):
    """Return some scenes or motions."""
    return type(tensors)(*(tensor[index] for tensor in tensors))


def lone(sides=(12.0, 8.0), centre=(32.0, 40.0), angle=0.0, grab=(0.0, 0.0)):
    """Return one scene of one box, grabbed at a point along its own axes."""
    like = {"dtype": torch.float64}
    return starts.Scenes(
        torch.tensor([[sides]], **like),
        torch.tensor([[centre]], **like),
        torch.tensor([[angle]], **like),
        torch.tensor([0]),
        torch.tensor([grab], **like),
    )


def row(*boxes):
    """Return one scene of upright boxes, (x, y, side) each, grabbed in the middle of the first."""
    x, y, sides = torch.tensor(boxes, dtype=torch.float64).T
    centres = torch.stack((x, y), dim=1)[None]
    return starts.grab(sides[None, :, None].repeat(1, 1, 2), centres, torch.zeros_like(x)[None], centres[:, 0])


def kicked(scenes, seed=1):
    """Return random speeds (n, b, 2) and spins (n, b) for boxes."""
    like = {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}
    n, b = scenes.angles.shape
    return {"velocities": 4 * torch.randn(n, b, 2, **like), "spins": 0.3 * torch.randn(n, b, **like)}


def laws(scenes, motion):
    """Return momentum (n, f, 2), angular momentum about the middle of the world (n, f), and energy (n, f)."""
    a, b = scenes.sides[:, None].unbind(-1)
    mass, inertia = a * b, a * b * (a**2 + b**2) / 12
    (x, y), (u, v), spin = (motion.centres - 32).unbind(-1), motion.velocities.unbind(-1), motion.spins
    momentum = (mass[..., None] * motion.velocities).sum(2)
    angular = (mass * (x * v - y * u) + inertia * spin).sum(2)
    return momentum, angular, (mass * (u**2 + v**2) + inertia * spin**2).sum(2) / 2


def overlaps(scenes, motion):
    """Return the depth of the deepest overlap of two boxes, and of a box and a wall, of each scene and frame."""
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    own = signs * scenes.sides.numpy()[:, None, :, None] / 2
    angles = motion.angles.numpy()
    c, s = np.cos(angles)[..., None], np.sin(angles)[..., None]
    turned = np.stack((c * own[..., 0] - s * own[..., 1], s * own[..., 0] + c * own[..., 1]), -1)
    places = motion.centres.numpy()[..., None, :] + turned  # (n, f, b, 4, 2)
    gaps = np.full((*angles.shape, angles.shape[-1]), -np.inf)
    for turn in (0, np.pi / 2):
        axis = np.stack((np.cos(angles + turn), np.sin(angles + turn)), -1)
        shadows = np.einsum("nfid,nfjcd->nfijc", axis, places)  # of box j on an axis of box i
        mine = np.einsum("nfid,nficd->nfic", axis, places)[:, :, :, None]
        gap = np.maximum(shadows.min(-1) - mine.max(-1), mine.min(-1) - shadows.max(-1))
        gaps = np.maximum(gaps, np.maximum(gap, gap.swapaxes(2, 3)))
    gaps[:, :, np.eye(angles.shape[-1], dtype=bool)] = np.inf
    return -gaps.min((2, 3)), np.maximum(-places, places - 64).max((2, 3, 4))


# A plain loop, scene by scene


def test_motions_are_those_of_a_plain_loop_over_boxes(scenes, motion):
    physics = Physics()._asdict()
    del physics["walls"]
    n_met = 0
    for n in range(8):
        bodies = [plain.Box(*box) for box in zip(*(tensor[n].numpy() for tensor in scenes[:3]), strict=True)]
        centres, angles, met = plain.simulate(
            bodies, int(scenes.grabbed[n]), scenes.grabs[n].numpy(), n_frames=5, n_substeps=20, **physics
        )
        np.testing.assert_allclose(motion.centres[n], centres, atol=1e-6)
        np.testing.assert_allclose(motion.angles[n], angles, atol=1e-6)
        assert {(a, b) for a, b in motion.touched[n].nonzero().tolist() if a < b} == met
        n_met += len(met)
    assert n_met > 5


# One box alone


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_a_pull_at_the_centre_of_mass_does_not_turn_the_box(angle):
    found = rectangles.simulate(lone(angle=angle))
    torch.testing.assert_close(found.angles, torch.full_like(found.angles, angle), atol=0, rtol=0)
    rise = found.centres[0, :, 0] - found.centres[0, 0, 0]
    torch.testing.assert_close(rise[:, 0], torch.zeros(6, dtype=torch.float64), atol=0, rtol=0)
    assert (rise[1:, 1].diff() < -1).all()


@pytest.mark.parametrize(("grab", "turn"), [((6.0, -4.0), -1), ((-6.0, -4.0), 1), ((6.0, 4.0), -1), ((0.0, 4.0), 0)])
def test_a_pull_at_a_corner_turns_the_box_that_way_with_lever_times_force_over_inertia(grab, turn):
    # A pull upward at the right edge lifts it: against the clock on the screen, so the angle falls.
    physics = FREE._replace(force=300.0)
    found = rectangles.simulate(lone(grab=grab), physics, frame_time=0.001, n_frames=1)
    inertia = 96 * (12**2 + 8**2) / 12
    expected = -grab[0] * 300.0 / inertia * 0.001
    np.testing.assert_allclose(found.spins[0, 1, 0], expected, rtol=1e-5, atol=1e-12)
    assert np.sign(expected) == turn
    np.testing.assert_allclose(found.velocities[0, 1, 0], [0.0, -300.0 / 96 * 0.001], rtol=1e-12)


def test_a_pull_in_a_turned_box_has_the_lever_of_its_turned_point():
    found = rectangles.simulate(lone(angle=0.5, grab=(6.0, -4.0)), frame_time=1e-4, n_frames=1)
    lever = 6 * np.cos(0.5) + 4 * np.sin(0.5)
    np.testing.assert_allclose(found.spins[0, 1, 0], -lever * 300 / (96 * 208 / 12) * 1e-4, rtol=1e-3)


@pytest.mark.parametrize("drags", [(1.0, 1.0), (0.3, 2.0)])
def test_a_pulled_box_follows_the_differential_equation(drags):
    physics, grab = Physics(drag=drags[0], spin_drag=drags[1], walls=False), np.array([5.0, 3.0])

    def slope(_, state):
        angle, u, v, spin = state[2:]
        lever = np.cos(angle) * grab[0] - np.sin(angle) * grab[1]
        pull = -300 / 96 - drags[0] * v, -lever * 300 / (96 * 208 / 12) - drags[1] * spin
        return [u, v, spin, -drags[0] * u, *pull]

    times = np.arange(6)
    exact = solve_ivp(slope, (0, 5), [32, 40, 0.2, 0, 0, 0], t_eval=times, rtol=1e-10, atol=1e-10).y.T
    errors = []
    for n_substeps in (20, 40, 80):
        found = rectangles.simulate(lone(angle=0.2, grab=tuple(grab)), physics, n_substeps=n_substeps)
        state = torch.cat((found.centres[0, :, 0], found.angles[0]), dim=1)
        errors.append(np.abs(state.numpy() - exact[:, :3]).max())
    assert errors[0] < 0.3
    np.testing.assert_allclose(np.array(errors[:2]) / errors[1:], 2, rtol=0.1)


def test_drag_lets_speed_and_spin_decay_exponentially():
    kick = {"velocities": torch.tensor([[[3.0, -2.0]]]).double(), "spins": torch.tensor([[0.4]]).double()}
    physics = FREE._replace(drag=0.7, spin_drag=1.9)
    found = rectangles.simulate(lone(), physics, **kick)
    times = torch.arange(6, dtype=torch.float64)
    torch.testing.assert_close(found.spins[0, :, 0], 0.4 * (-1.9 * times).exp())
    torch.testing.assert_close(found.velocities[0, :, 0], kick["velocities"][0] * (-0.7 * times).exp()[:, None])
    way = found.centres[0, :, 0] - found.centres[0, 0, 0]
    # Euler sums the speeds at the ends of the steps: short by step times drag over two.
    expected = kick["velocities"][0] * ((1 - (-0.7 * times).exp()) / 0.7)[:, None]
    torch.testing.assert_close(way, expected, rtol=0.05 * 0.7 / 2 * 1.05, atol=1e-12)


def test_a_box_that_hits_a_wall_comes_back_as_if_it_had_bounced_in_time():
    kick = {"velocities": torch.tensor([[[-6.0, 0.0]]]).double()}
    found = rectangles.simulate(lone(centre=(20.0, 40.0)), FREE._replace(walls=True, restitution=0.5), **kick)
    # The left edge, at x = 14, meets the wall after 14/6; from then on it moves at half the speed.
    torch.testing.assert_close(found.centres[0, -1, 0, 0].item(), 6 + 3 * (5 - 14 / 6))
    torch.testing.assert_close(found.velocities[0, -1, 0].tolist(), [3.0, 0.0])
    assert found.touched.nonzero().tolist() == [[0, 0, 1]]
    torch.testing.assert_close(found.impulses.item(), 96 * 9.0)
    free = rectangles.simulate(lone(centre=(20.0, 40.0)), FREE, **kick)
    torch.testing.assert_close(free.centres[0, -1, 0, 0].item(), -10.0)


# Collisions


@pytest.mark.parametrize("restitution", [0.0, 0.5, 0.8, 1.0])
def test_equal_boxes_that_meet_head_on_share_the_speed_by_the_restitution(restitution):
    scene = row((10.0, 30.0, 8.0), (25.0, 30.0, 8.0))
    speeds = torch.tensor([[[6.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    found = rectangles.simulate(scene, FREE._replace(restitution=restitution), velocities=speeds)
    first, second = 6 * (1 - restitution) / 2, 6 * (1 + restitution) / 2
    torch.testing.assert_close(found.velocities[0, -1, :, 0].tolist(), [first, second])
    # They meet after 7/6, at 17 and 25.
    torch.testing.assert_close(
        found.centres[0, -1, :, 0].tolist(), [17 + first * (5 - 7 / 6), 25 + second * (5 - 7 / 6)]
    )
    torch.testing.assert_close(found.spins, torch.zeros_like(found.spins), atol=1e-12, rtol=0)
    torch.testing.assert_close(found.impulses[0].tolist(), [64 * second] * 2)
    assert found.n_collisions().tolist() == [1]


def test_a_heavy_box_pushes_a_light_one_and_a_row_hands_the_speed_on():
    scene = row((10.0, 30.0, 14.0), (25.0, 30.0, 7.0))
    speeds = torch.tensor([[[6.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    found = rectangles.simulate(scene, FREE._replace(restitution=1.0), velocities=speeds)
    torch.testing.assert_close(found.velocities[0, -1, :, 0].tolist(), [6 * 3 / 5, 6 * 8 / 5])
    cradle = row((8.0, 30.0, 8.0), (18.0, 30.0, 8.0), (27.0, 30.0, 8.0), (36.0, 30.0, 8.0))
    speeds = torch.zeros(1, 4, 2, dtype=torch.float64)
    speeds[0, 0, 0] = 6.0
    found = rectangles.simulate(cradle, FREE._replace(restitution=1.0), velocities=speeds)
    torch.testing.assert_close(found.velocities[0, -1, :, 0].tolist(), [0.0, 0.0, 0.0, 6.0])
    assert found.touched.sum() == 6


def test_without_drag_and_walls_momentum_stays_and_energy_never_grows(scenes):
    kick = kicked(scenes)
    found = rectangles.simulate(scenes, FREE, **kick)
    momentum, _, energy = laws(scenes, found)
    torch.testing.assert_close(momentum, momentum[:, :1].expand_as(momentum), atol=1e-6, rtol=0)
    assert (energy.diff(dim=1) <= 1e-9 * energy[:, :1]).all()
    assert (energy[:, -1] < 0.99 * energy[:, 0]).double().mean() > 0.8
    elastic = laws(scenes, rectangles.simulate(scenes, FREE._replace(restitution=1.0), **kick))[2]
    torch.testing.assert_close(elastic, elastic[:, :1].expand_as(elastic), rtol=1e-9, atol=0)


def test_to_move_boxes_out_of_an_overlap_changes_the_angular_momentum_little(scenes):
    kick = kicked(scenes)
    # The size of all parts of it, some to the left and some to the right.
    a, b = scenes.sides.unbind(-1)
    (x, y), (u, v) = (scenes.centres - 32).unbind(-1), kick["velocities"].unbind(-1)
    size = (a * b * ((x * v - y * u).abs() + (a**2 + b**2) / 12 * kick["spins"].abs())).sum(1)
    drifts = []
    for n_substeps in (20, 80):
        found = rectangles.simulate(scenes, FREE, n_substeps=n_substeps, **kick)
        angular = laws(scenes, found)[1]
        drifts.append((angular[:, -1] - angular[:, 0]).abs() / size)
    assert found.n_collisions().double().mean() > 4
    assert drifts[0].median() < 0.002
    assert drifts[0].max() < 0.02
    assert drifts[1].median() < 0.35 * drifts[0].median()


def test_no_two_boxes_and_no_wall_overlap_by_a_pixel_in_any_frame(scenes, motion):
    between, walls = overlaps(scenes, motion)
    assert between[:, 0].max() < 0
    assert max(between.max(), walls.max()) < 1
    hard = rectangles.simulate(scenes, Physics(force=1500.0))
    assert max(depth.max() for depth in overlaps(scenes, hard)) < 1
    assert hard.n_collisions().double().mean() > motion.n_collisions().double().mean()


def test_half_the_time_step_moves_the_ends_little(scenes, motion):
    finer = rectangles.simulate(scenes, n_substeps=40)
    apart = (finer.centres[:, -1] - motion.centres[:, -1]).norm(dim=-1).amax(1)  # the worst box of each scene
    assert apart.median() < 0.1
    assert apart.quantile(0.95) < 1


def test_scenes_have_collisions_about_as_often_as_not(scenes, motion):
    index = torch.arange(len(scenes.grabbed))
    way = (motion.centres[:, -1] - motion.centres[:, 0]).norm(dim=-1)
    assert 0.4 < (motion.n_collisions() > 0).double().mean() < 0.7
    assert 4 < way[index, scenes.grabbed].median() < 12
    moved = motion.touched.any(2)
    moved[index, scenes.grabbed] = True
    assert (way[moved] > 0).all()
    torch.testing.assert_close(way[~moved], torch.zeros_like(way[~moved]), atol=0, rtol=0)
    assert (motion.impulses > 0).double().mean() > 0.1
    assert not (motion.impulses > 0)[~motion.touched.any(2)].any()
    torch.testing.assert_close(motion.touched[..., :-1], motion.touched[..., :-1].transpose(1, 2))


# Scenes as such


def test_mirrored_scenes_have_mirrored_motions(scenes, motion):
    flip = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    mirrored = scenes._replace(
        centres=torch.stack((64 - scenes.centres[..., 0], scenes.centres[..., 1]), dim=-1),
        angles=-scenes.angles,
        grabs=scenes.grabs * flip,
    )
    found = rectangles.simulate(mirrored)
    torch.testing.assert_close(64 - found.centres[..., 0], motion.centres[..., 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(found.centres[..., 1], motion.centres[..., 1], atol=1e-6, rtol=0)
    torch.testing.assert_close(-found.angles, motion.angles, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.touched, motion.touched)


def test_a_batch_is_its_scenes_one_by_one_and_parts_of_any_size(scenes, motion, monkeypatch):
    for n in range(4):
        single = rectangles.simulate(part(scenes, slice(n, n + 1)))
        for found, expected in zip(single, part(motion, slice(n, n + 1)), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    monkeypatch.setattr(rectangles, "_BLOCK", 7)
    parts = rectangles.simulate(part(scenes, slice(16)))
    for found, expected in zip(parts, part(motion, slice(16)), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_the_same_scenes_have_the_same_motion_and_stay_as_they_are(scenes, motion):
    copies = [tensor.clone() for tensor in scenes]
    again = rectangles.simulate(scenes)
    for found, expected in zip((*again, *scenes), (*motion, *copies), strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_single_precision_is_near_double_precision(scenes, motion):
    single = part(scenes, slice(None))._replace(
        **{name: getattr(scenes, name).float() for name in ("sides", "centres", "angles", "grabs")}
    )
    found = rectangles.simulate(single)
    assert found.centres.dtype == torch.float32
    apart = (found.centres[:, -1] - motion.centres[:, -1]).norm(dim=-1).amax(1)
    assert apart.quantile(0.95) < 0.01


def test_boxes_that_moved_have_a_corner_elsewhere(scenes, motion):
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    for least in (0.0, 1.0, 3.0):
        found = rectangles.moved(scenes, motion, least=least)
        for n in range(15):
            for k in range(10):
                ends = []
                for f in (0, -1):
                    box = plain.Box(scenes.sides[n, k].numpy(), motion.centres[n, f, k].numpy(), motion.angles[n, f, k])
                    ends.append(box.centre + (signs * box.half) @ box.axes())
                assert found[n, k] == (np.hypot(*(ends[1] - ends[0]).T).max() >= least)
    turned = rectangles.simulate(lone(), FREE, spins=torch.tensor([[0.1]]).double())
    assert rectangles.moved(lone(), turned).item()
    assert not rectangles.moved(lone(), turned, least=4.0).item()


# Pictures


def test_films_show_the_boxes_of_each_frame_and_examples_the_first_and_the_last(scenes, motion):
    few, moves = part(scenes, slice(3)), part(motion, slice(3))
    film = rectangles.film(few, moves)
    assert film.shape == (3, 6, 64, 64)
    torch.testing.assert_close(film[1, 2], rendering.boxes(few.sides[1], moves.centres[1, 2], moves.angles[1, 2]))
    inputs, targets = rectangles.examples(few, moves)
    torch.testing.assert_close(inputs[:, 1], film[:, 0])
    torch.testing.assert_close(targets[:, 0], film[:, -1])
    torch.testing.assert_close(inputs[:, 0], rendering.points(few.points()))
    grabbed = (inputs[:, 0] * (inputs[:, 1] > 0.2)).sum((1, 2)) / inputs[:, 0].sum((1, 2))
    assert (grabbed > 0.3).all()
    small = rectangles.examples(few, moves, size=32, fill=1.0)
    assert small[0].shape == (3, 2, 32, 32)
    torch.testing.assert_close(small[1].sum((1, 2, 3)), few.sides.prod(2).sum(1) / 4, rtol=0.02, atol=0)


# Bad input


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"n_frames": 0}, "n_frames = 0"),
        ({"frame_time": 0.0}, r"frame_time = 0\.0"),
        ({"frame_time": float("nan")}, "frame_time = nan"),
        ({"n_substeps": 9}, "n_substeps = 9; .* at least 10"),
        ({"physics": Physics(restitution=1.01)}, r"restitution = 1\.01; .* from 0 to 1"),
        ({"physics": Physics(restitution=-0.1)}, r"restitution = -0\.1"),
        ({"physics": Physics(drag=-1.0)}, r"drag = -1\.0"),
        ({"physics": Physics(spin_drag=float("inf"))}, "spin_drag = inf"),
        ({"physics": Physics(force=float("nan"))}, "force = nan"),
        ({"physics": Physics(world=0.0)}, r"world = 0\.0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, found):
    with pytest.raises(ValueError, match=found):
        rectangles.simulate(lone(), **options)


def test_a_point_outside_the_grabbed_box_and_boxes_without_size_are_refused():
    with pytest.raises(ValueError, match=r"scene 0 is grabbed outside its box 0, at \[6.5, 0.0\]"):
        rectangles.simulate(lone(grab=(6.5, 0.0)))
    with pytest.raises(ValueError, match=r"scene 0 has centres = \[\[nan, 40\.0\]\]; give finite"):
        rectangles.simulate(lone(centre=(float("nan"), 40.0)))
    with pytest.raises(ValueError, match="scene 0, box 0 has sides"):
        rectangles.simulate(lone(sides=(12.0, 0.0)))


def test_a_quarter_turn_of_a_square_changes_nothing_but_the_angle():
    one, other = (
        rectangles.simulate(lone(sides=(9.0, 9.0), angle=k, grab=g))
        for k, g in ((0.3, (2.0, 1.0)), (0.3 + pi / 2, (1.0, -2.0)))
    )
    torch.testing.assert_close(one.centres, other.centres)
    torch.testing.assert_close(one.angles + pi / 2, other.angles)
