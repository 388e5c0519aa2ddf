"""One scene of boxes in plain Python and NumPy, box by box and contact by contact: the rules of ``rectangles``.

It shares no code with the package. Corners are projected on the axes, edges are clipped line by line, impulses come
from the textbook's formula with cross products. The benchmark times it beside the package.
"""

import numpy as np

WALLS = [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)]


class Box:
    """A box with its speeds; ``speed`` and ``spin`` are per unit of time."""

    def __init__(self, sides, centre, angle):
        self.half = np.array(sides) / 2
        self.centre, self.angle = np.array(centre, dtype=float), float(angle)
        self.speed, self.spin = np.zeros(2), 0.0
        self.mass = sides[0] * sides[1]
        self.inertia = self.mass * (sides[0] ** 2 + sides[1] ** 2) / 12

    def axes(self):
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, s], [-s, c]])

    def corners(self):
        signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        return self.centre + (signs * self.half) @ self.axes()

    def velocity_at(self, arm):
        return self.speed + self.spin * np.array([-arm[1], arm[0]])


def cross(a, b):
    return a[0] * b[1] - a[1] * b[0]


def touch(a, b):
    """Return the normal from a to b, the point and the depth, or None."""
    ca, cb = a.corners(), b.corners()
    if (ca.max(0) <= cb.min(0)).any() or (cb.max(0) <= ca.min(0)).any():
        return None
    best, depth = None, np.inf
    for k, axis in enumerate([*a.axes(), *b.axes()]):
        pa, pb = ca @ axis, cb @ axis
        overlap = min(pa.max() - pb.min(), pb.max() - pa.min())
        if overlap <= 0:
            return None
        if overlap < depth:
            best, depth = k, overlap
    still, other = (a, b) if best < 2 else (b, a)
    normal = still.axes()[best % 2]
    if normal @ (other.centre - still.centre) < 0:
        normal = -normal
    point = clip(still, other, normal, best % 2)
    return (normal if still is a else -normal), point, depth


def clip(still, other, normal, k):
    """Return the mean of the ends of the facing edge, cut to the width of the face and weighted by depth."""
    tangent = still.axes()[1 - k]
    faces = [sign * axis for axis in other.axes() for sign in (1, -1)]
    facing = min(range(4), key=lambda i: faces[i] @ normal)
    middle = other.centre + faces[facing] * other.half[facing // 2]
    along = other.axes()[1 - facing // 2] * other.half[1 - facing // 2]
    ends = [middle - along, middle + along]
    width = still.half[1 - k]
    for side in (tangent, -tangent):
        heights = [side @ (end - still.centre) - width for end in ends]
        if heights[0] > 0 and heights[1] > 0:
            return still.centre + side * width + normal * still.half[k]
        if heights[0] > 0 or heights[1] > 0:
            out = 0 if heights[0] > 0 else 1
            share = heights[out] / (heights[out] - heights[1 - out])
            ends[out] = ends[out] + share * (ends[1 - out] - ends[out])
    depths = [max(0.0, still.half[k] - normal @ (end - still.centre)) for end in ends]
    return (depths[0] * ends[0] + depths[1] * ends[1]) / (depths[0] + depths[1])


def contacts(boxes, world):
    """Return all contacts: first box, second box (None for a wall), normal, arms, depth."""
    found = []
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            reach = np.hypot(*a.half) + np.hypot(*b.half)
            if ((a.centre - b.centre) ** 2).sum() < reach**2 and (hit := touch(a, b)) is not None:
                normal, point, depth = hit
                found.append((a, b, normal, point - a.centre, point - b.centre, depth))
    for wall in np.array(WALLS) if world else []:
        place = world if wall.sum() > 0 else 0.0
        for box in boxes:
            beyond = box.corners() @ wall - place
            if beyond.max() > 0:
                weights = beyond.clip(0)
                arm = weights @ box.corners() / weights.sum() - box.centre
                found.append((box, None, wall, arm, None, beyond.max()))
    return found


def yielding(a, b, normal, ra, rb):
    total = 1 / a.mass + cross(ra, normal) ** 2 / a.inertia
    return total if b is None else total + 1 / b.mass + cross(rb, normal) ** 2 / b.inertia


def resolve(found, restitution, step):
    """Change the speeds by one impulse a contact, then the places."""
    moves = []
    for a, b, normal, ra, rb, depth in found:
        closing = normal @ (a.velocity_at(ra) - (0 if b is None else b.velocity_at(rb)))
        k, move = yielding(a, b, normal, ra, rb), depth
        if closing > 0:
            impulse = (1 + restitution) * closing / k * normal
            move = depth + restitution * min(depth, closing * step)
            a.speed, a.spin = a.speed - impulse / a.mass, a.spin - cross(ra, impulse) / a.inertia
            if b is not None:
                b.speed, b.spin = b.speed + impulse / b.mass, b.spin + cross(rb, impulse) / b.inertia
        moves.append(move / k * normal)
    for (a, b, _, ra, rb, _), move in zip(found, moves, strict=True):
        a.centre, a.angle = a.centre - move / a.mass, a.angle - cross(ra, move) / a.inertia
        if b is not None:
            b.centre, b.angle = b.centre + move / b.mass, b.angle + cross(rb, move) / b.inertia


def simulate(boxes, grabbed, grab, *, force, drag, spin_drag, restitution, world, n_frames, n_substeps, frame_time=1.0):
    """Move the boxes; return centres (f, b, 2), angles (f, b) and the pairs that met."""
    step, met = frame_time / n_substeps, set()
    frames = [[(*box.centre, box.angle) for box in boxes]]
    for _ in range(n_frames):
        for _ in range(n_substeps):
            for k, box in enumerate(boxes):
                if k == grabbed:
                    pull = np.array([0.0, -force])
                    box.speed = box.speed + step * pull / box.mass
                    box.spin += step * cross(grab @ box.axes(), pull) / box.inertia
                box.speed, box.spin = box.speed * np.exp(-drag * step), box.spin * np.exp(-spin_drag * step)
                box.centre, box.angle = box.centre + step * box.speed, box.angle + step * box.spin
            found = contacts(boxes, world)
            met |= {(boxes.index(a), len(boxes) if b is None else boxes.index(b)) for a, b, *_ in found}
            resolve(found, restitution, step)
        frames.append([(*box.centre, box.angle) for box in boxes])
    frames = np.array(frames)
    return frames[..., :2], frames[..., 2], met
