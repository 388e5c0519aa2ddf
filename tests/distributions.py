"""What a list of requirements brings along in this environment; for the tests of the package and its environment."""

from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure(requirements):
    """Return the canonical names of all distributions that ``requirements`` bring, as (installed, absent).

    Extras and markers are followed. Absent are those that only some builds need, such as the CUDA packages beside a
    torch for the CPU.
    """
    installed, absent, seen, queue = set(), set(), set(), [Requirement(line) for line in requirements]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                brought = [Requirement(line) for line in metadata.requires(name) or []]
            except metadata.PackageNotFoundError:
                absent.add(name)
                continue
            installed.add(name)
            queue += [r for r in brought if r.marker is None or r.marker.evaluate({"extra": extra})]
    return installed, absent
