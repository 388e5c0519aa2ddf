"""Regions of small networks in exact fractions, by plain loops: an oracle that shares no code with the package.

A network is a list of layers: ("affine", weights, biases), ("relu",), ("max", windows of flat places, -1 for none). A
region is (corners, pattern, map): a polygon of the plane, or an interval of a line, as points (1, x, y) or (1, t); the
choices of all gates; the outputs as functions, one row of coefficients each.
"""

from fractions import Fraction


def regions(layers, corners):
    """Return the regions in a convex polygon (corners in order), or in an interval (two points (t,))."""
    points = [(Fraction(1), *map(Fraction, corner)) for corner in corners]
    n = len(points[0])
    cells = [(points, (), [[Fraction(int(i == k)) for i in range(n)] for k in range(1, n)])]
    for kind, *parts in layers:
        if kind == "affine":
            cells = [(points, pattern, affine(*parts, map_)) for points, pattern, map_ in cells]
        elif kind == "relu":
            for unit in range(len(cells[0][2])):
                cells = [cell for before in cells for cell in relu(*before, unit)]
        else:
            cells = [(points, pattern, (map_, [])) for points, pattern, map_ in cells]
            for window in parts[0]:
                cells = [cell for before in cells for cell in largest(*before, window)]
            cells = [(points, pattern, after) for points, pattern, (_, after) in cells]
    return cells


def affine(weights, biases, map_):
    columns = list(zip(*map_, strict=True))
    rows = [[sum(w * c for w, c in zip(row, column, strict=True)) for column in columns] for row in weights]
    return [[row[0] + b, *row[1:]] for row, b in zip(rows, biases, strict=True)]


def relu(points, pattern, map_, unit):
    off = [[Fraction(0)] * len(row) if i == unit else row for i, row in enumerate(map_)]
    parts = [
        (side(points, map_[unit], 1), (*pattern, True), map_),
        (side(points, map_[unit], -1), (*pattern, False), off),
    ]
    parts = [part for part in parts if part[0]]
    return parts or [(points, (*pattern, False), off)]  # 0 everywhere


def largest(points, pattern, maps, window):
    before, after = maps
    seen, parts = [], []
    for place in (p for p in window if p >= 0):
        part, rivals = points, [before[p] for p in window if p >= 0 and p != place]
        if any(before[p] == before[place] for p in seen):
            continue  # equal everywhere: the first counts
        for rival in rivals:
            lead = [a - b for a, b in zip(before[place], rival, strict=True)]
            if any(lead) and part:
                part = side(part, lead, 1)
        seen.append(place)
        if part:
            parts.append((part, (*pattern, place), (before, [*after, before[place]])))
    # Two that are equal in this cell, though not as functions, are none: cells have an inside.
    return parts


def side(points, function, sign):
    """Return the part where the function has the sign, or [] if it is nowhere so."""
    values = [sign * sum(f * x for f, x in zip(function, point, strict=True)) for point in points]
    if max(values) <= 0:
        return []
    if len(points[0]) == 2:
        kept = [p for p, v in zip(points, values, strict=True) if v >= 0]
        return sorted([*kept, cross(points[0], points[1], *values)] if min(values) < 0 else kept)
    found = []
    for i, (here, value) in enumerate(zip(points, values, strict=True)):
        after, later = points[(i + 1) % len(points)], values[(i + 1) % len(points)]
        found += [here] if value >= 0 else []
        found += [cross(here, after, value, later)] if value * later < 0 else []
    return found


def cross(a, b, u, v):
    share = u / (u - v)
    return tuple(x + share * (y - x) for x, y in zip(a, b, strict=True))


def area(points):
    """Return the area of a polygon."""
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return abs(sum(a[1] * b[2] - a[2] * b[1] for a, b in pairs)) / 2
