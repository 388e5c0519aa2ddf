"""Each chapter, run twice from empty caches, with one thread and with two, gives its numbers again.

``make test ARGS="-m long tests/test_repeat.py -k 01_maps"`` runs one chapter, without ``-k`` all of them. How far two
runs may lie apart is what each number states as its ``tol``; the comparison is that of ``--strict``.
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import chapter, records, run  # noqa: E402
from driver.chapter import Book  # noqa: E402
from driver.notebook import Event  # noqa: E402

# What a chapter's run reads or imports; its outputs go elsewhere.
_READ = ["actlib", "nbs", "results", *(f"book/{name}" for name in ("driver", "matplotlibrc", "published.yml"))]


@pytest.fixture
def book(tmp_path):
    """This checkout's book with a build folder of its own, so that a build that is going on is not disturbed."""
    for name in _READ:
        place = tmp_path / "book-root" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(ROOT / name)
    return Book(tmp_path / "book-root")


def numbers(book, slug, threads, cache, monkeypatch):
    """Return what a chapter reports in its quick profile with so many threads and an empty cache."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine threads that spin wait for each other in vain
    monkeypatch.setenv("ACTLIB_CACHE", str(cache))
    monkeypatch.delenv("ACTLIB_BOOK", raising=False)
    loaded = chapter.load(book, slug, "quick")
    ((_, done),) = run.execute(book, [loaded], {}, run.Options(plain=True))
    if isinstance(done, Exception):
        raise done
    return done.events


def differences(first, second):
    """Return a phrase for each number that two runs do not agree on, by the tolerance that the number states."""
    record = {"numbers": records.numbers(first)}
    return records.outside(record, second) + records.gaps(record, second)


def farthest(first, second):
    """Return how many numbers two runs share, how many are not the same to the last bit, and the farthest three.

    The distance is in units of the number's own tolerance: 1 is the most that is allowed.
    """
    then, now = records.numbers(first), records.numbers(second)
    apart = {id: abs(now[id]["value"] - then[id]["value"]) for id in then.keys() & now.keys()}
    shares = {id: d / (then[id].get("tol") or abs(then[id]["value"]) * 1e-6) for id, d in apart.items() if d}
    return len(apart), len(shares), sorted(((round(s, 4), id) for id, s in shares.items()), reverse=True)[:3]


@pytest.mark.long
@pytest.mark.parametrize("slug", sorted(Book(ROOT).sources))
def test_a_chapter_run_again_with_other_threads_gives_the_same_numbers(slug, book, tmp_path, monkeypatch):
    runs = [numbers(book, slug, threads, tmp_path / f"cache-{threads}", monkeypatch) for threads in (1, 2)]
    assert records.numbers(runs[0]), "a chapter reports numbers"
    n, moved, most = farthest(*runs)
    print(f"\n{slug}: {n} numbers, {moved} not the same to the last bit; in units of the tolerance: {most}")
    assert differences(*runs) == []


@pytest.mark.parametrize(("value", "tol", "apart"), [(1.05, 0.1, 0), (1.2, 0.1, 1), (1.0, None, 0), (1.001, None, 1)])
def test_two_runs_differ_where_a_number_leaves_its_own_tolerance(value, tol, apart):
    first, second = ([Event(1, "number", {"id": "F1/a", "value": v, "tol": tol})] for v in (1.0, value))
    assert len(differences(first, second)) == apart
    assert differences(first, []) == ["F1/a is in the record but was not reported"]
    assert farthest(first, second)[:2] == (1, int(value != 1.0))


def test_the_environment_of_a_run_is_this_checkout_s(book, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    env = run.environment(book, chapter.load(book, min(book.sources), "quick"), [], run.Options(plain=True))
    assert env["OMP_NUM_THREADS"] == "2"
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(book.root)
    assert (book.root / "actlib").resolve() == ROOT / "actlib"
    assert not book.build.exists()
