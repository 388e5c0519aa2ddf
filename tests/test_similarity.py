"""Histograms and separation of classes against slow loops, other libraries, closed forms and planted classes."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity

from actlib import cosines, similarity


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def integers(high, *shape, seed=0):
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[None, (150, 40, 2, 3), (1, 1, 1, 1)], ids=["one block", "some blocks", "single vectors"])
def block(request, monkeypatch):
    """Run a test with blocks of three sizes."""
    if request.param:
        for name, size in zip(("_HELD", "_READ", "_LEAST"), request.param[:3], strict=True):
            monkeypatch.setattr(cosines, name, size)
        monkeypatch.setattr(similarity, "_BINNED", request.param[3])


def signs(n, d=16, seed=0):
    """Return vectors of plus and minus one: with 4 or 16 of them every step is exact, and ties are many."""
    return integers(2, n, d, seed=seed) * 2.0 - 1


def slow(references, others, own=None):
    """Yield for each reference its similarities in float64, and whom they are with."""
    rows = cosine_similarity(references.double().flatten(1), others.double().flatten(1))
    for i, row in enumerate(rows):
        compared = [j for j in range(len(row)) if own is None or j != own[i]]
        yield np.clip(row[compared], -1, 1), compared


def planted(n=200, d=20, n_classes=5, *, strength=1.0, seed=0):
    """Return vectors about the centre of their class, and their labels."""
    labels = torch.arange(n) % n_classes * 3 - 1
    centres = normal(3 * n_classes, d, seed=seed + 1)
    return strength * centres[labels] + normal(n, d, seed=seed), labels


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("n_bins", [200, 7, 1])
@pytest.mark.parametrize("among", [True, False])
def test_histograms_are_those_of_numpy_over_a_slow_loop(n_bins, among):
    x, labels = planted(70)
    own = torch.tensor([5, 69, 0, 33, 12, 40, 41])
    options = {"reference_indices": own} if among else {}
    found = similarity.histograms(x[own], labels[own], x, labels, n_bins=n_bins, **options)
    np.testing.assert_allclose(found.edges, np.linspace(-1, 1, n_bins + 1), atol=1e-15)
    for i, (row, compared) in enumerate(slow(x[own], x, own if among else None)):
        # Nobody so near to an edge that rounding decides, but for a reference that meets itself.
        assert np.abs((row[:, None] - found.edges.numpy())[row < 0.999, :]).min() > 1e-6
        same = (labels[compared] == labels[own[i]]).numpy()
        np.testing.assert_array_equal(found.same[i], np.histogram(row[same], n_bins, (-1, 1))[0])
        np.testing.assert_array_equal(found.different[i], np.histogram(row[~same], n_bins, (-1, 1))[0])


@pytest.mark.usefixtures("block")
def test_a_bin_holds_its_lower_end_and_the_last_one_both():
    reference = torch.ones(1, 4)
    others = torch.ones(8, 4)
    for i, n in enumerate([0, 1, 2, 3, 4]):  # so many signs turned: 1, 0.5, 0, -0.5, -1
        others[i, :n] = -1
    others[7, 0] = 0
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1])
    found = similarity.histograms(reference, torch.tensor([0]), others, labels, n_bins=4)
    assert found.same.tolist() == [[1, 0, 1, 2]]
    assert found.different.tolist() == [[0, 1, 0, 3]]


def test_no_similarity_is_rounded_over_an_edge():
    # Each float32 just below or at an edge of the 200 bins, as the only feature of a direction.
    edges = (np.arange(-99, 100) / 100).astype(np.float32)
    values = torch.from_numpy(np.concatenate([edges, np.nextafter(edges, np.float32(-2))]))[None]
    same = torch.zeros_like(values, dtype=torch.bool)
    found = similarity._count(values, same, 200)[0]
    np.testing.assert_array_equal(found[0], np.histogram(values.double(), np.arange(-100, 101) / 100)[0])
    assert found[1].sum() == 0


@pytest.mark.usefixtures("block")
def test_zero_vectors_are_counted_and_stand_at_0():
    x, labels = planted(40)
    x[[3, 8, 30]] = 0
    own = torch.tensor([8, 9, 10])
    found = similarity.histograms(x[own], labels[own], x, labels, reference_indices=own)
    assert (found.n_zero_references, found.n_zero_others) == (1, 3)
    both = found.same + found.different
    assert both[0, 100] == both[0].sum() == 39
    np.testing.assert_array_equal(both.sum(1), [39, 39, 39])


def slow_precision(row, same, k):
    """Return the mean share of the same among the k largest over many orders of the equal ones."""
    draws = np.random.default_rng(0)
    shares = []
    for _ in range(3000):
        order = draws.permutation(len(row))
        shares.append(same[order][np.argsort(-row[order], kind="stable")[:k]].mean())
    return np.mean(shares)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("among", [True, False])
def test_separation_agrees_with_other_libraries(among):
    x, labels = planted(90, strength=0.4)
    own = torch.arange(4, 89, 13)
    options = {"reference_indices": own} if among else {}
    found = similarity.separation(x[own], labels[own], x, labels, k=(1, 5, 80), **options)
    for i, (row, compared) in enumerate(slow(x[own], x, own if among else None)):
        same = (labels[compared] == labels[own[i]]).numpy()
        np.testing.assert_allclose(found.auroc[i], roc_auc_score(same, row), atol=1e-12)
        spread = math.sqrt((row[same].var(ddof=1) + row[~same].var(ddof=1)) / 2)
        np.testing.assert_allclose(found.d_prime[i], (row[same].mean() - row[~same].mean()) / spread, rtol=1e-5)
        order = np.argsort(-row)
        np.testing.assert_allclose(found.precision[i], [same[order[:k]].mean() for k in (1, 5, 80)])


@pytest.mark.usefixtures("block")
def test_equal_similarities_count_half_and_share_the_last_place():
    x, labels = signs(60), integers(3, 60, seed=1)
    found = similarity.separation(x[:3], labels[:3], x, labels, k=(2, 7), reference_indices=torch.arange(3))
    for i, (row, compared) in enumerate(slow(x[:3], x, range(3))):
        same = (labels[compared] == labels[i]).numpy()
        wins = [(a > b) + 0.5 * (a == b) for a in row[same] for b in row[~same]]
        np.testing.assert_allclose(found.auroc[i], np.mean(wins), atol=1e-12)
        expected = [slow_precision(row, same, k) for k in (2, 7)]
        np.testing.assert_allclose(found.precision[i], expected, atol=4 * 0.5 / math.sqrt(3000))


def test_the_order_of_the_samples_does_not_matter():
    x, labels = signs(80), integers(3, 80, seed=1)
    x[::9] = 0
    turn = torch.randperm(80, generator=torch.Generator().manual_seed(2))
    found = similarity.separation(x[:9], labels[:9], x, labels, k=(1, 3, 20))
    again = similarity.separation(x[:9], labels[:9], x[turn], labels[turn], k=(1, 3, 20))
    torch.testing.assert_close(found, again, equal_nan=True)
    histograms = [similarity.histograms(x[:9], labels[:9], y, of) for y, of in ((x, labels), (x[turn], labels[turn]))]
    torch.testing.assert_close(*histograms)


def at_angles(cosine, d=50):
    """Return vectors of any length whose cosine with the first axis is as given."""
    n = len(cosine)
    across = normal(n, d - 1)
    across *= ((1 - cosine.square()).sqrt() / across.norm(dim=1))[:, None]
    return torch.cat([cosine[:, None], across], 1) * normal(n, 1, seed=3).exp()


def test_two_gaussians_of_angles_give_the_closed_forms():
    n, n_same, shift, wide = 20_000, 2_000, 0.2, 0.15
    labels = (torch.arange(n) < n_same).long()
    cosine = 0.1 * normal(n, seed=1)
    cosine[:n_same] = shift + wide * normal(n_same, seed=2)
    reference, others = torch.eye(50)[:1], at_angles(cosine.clamp(-1, 1))
    found = similarity.separation(reference, torch.tensor([1]), others, labels, k=(100,))
    distance = shift / math.sqrt((wide**2 + 0.1**2) / 2)
    np.testing.assert_allclose(found.d_prime, [distance], atol=0.1)
    np.testing.assert_allclose(found.auroc, [stats.norm.cdf(distance / math.sqrt(2))], atol=4 * 0.3 / math.sqrt(n_same))
    binned = similarity.histograms(reference, torch.tensor([1]), others, labels)
    for counts, mean, sd in ((binned.same, shift, wide), (binned.different, 0, 0.1)):
        expected = np.diff(stats.norm.cdf(binned.edges, mean, sd))
        share = (counts[0] / counts.sum()).numpy()
        assert np.abs(share - expected).max() < 5 * math.sqrt(expected.max() / counts.sum())


def test_planted_classes_are_found_and_shuffled_ones_are_at_chance():
    n_classes = 4
    x, labels = planted(600, 50, n_classes, strength=2)
    own = torch.arange(120)
    found = similarity.separation(x[own], labels[own], x, labels, reference_indices=own)
    assert found.auroc.min() > 0.99
    assert found.precision.min() > 0.95
    shuffled = labels[torch.randperm(600, generator=torch.Generator().manual_seed(1))]
    chance = similarity.separation(x[own], shuffled[own], x, shuffled, reference_indices=own)
    assert abs(chance.auroc.mean() - 0.5) < 0.02
    assert abs(chance.d_prime.mean()) < 0.06
    assert (chance.precision.mean(0) - 1 / n_classes).abs().max() < 4 * math.sqrt(2 * 0.25 * 0.75 / 120)
    # Who meets himself always finds his class first, even where there is none.
    trap = similarity.separation(x[own], shuffled[own], x, shuffled)
    torch.testing.assert_close(trap.precision[:, 0], torch.ones(120, dtype=torch.float64))


def test_a_shared_mean_moves_both_histograms_up_and_centring_brings_them_back():
    x, labels = planted(300, 60)
    raised = x + 3 * normal(60, seed=9)
    own = torch.arange(50)

    def middles(vectors, **options):
        found = similarity.histograms(vectors[own], labels[own], vectors, labels, reference_indices=own, **options)
        centres = (found.edges[1:] + found.edges[:-1]) / 2
        kinds = found.same.double(), found.different.double()
        return [(counts.sum(0) @ centres / counts.sum()).item() for counts in kinds]

    plain, moved = middles(x), middles(raised)
    assert abs(plain[1]) < 0.1 < 0.4 < plain[0]
    assert min(moved) > 0.7
    centred = middles(raised, mean=3 * normal(60, seed=9))
    np.testing.assert_allclose(centred, plain, atol=1e-3)
    assert moved[0] - moved[1] < 0.5 * (plain[0] - plain[1])


@pytest.mark.usefixtures("block")
def test_what_has_no_spread_has_no_d_prime():
    x, labels = planted(40, n_classes=4)
    x[6] = 0
    labels[[8, 9]] = 77  # a class of two
    own = torch.tensor([6, 8, 10])
    found = similarity.separation(x[own], labels[own], x, labels, reference_indices=own, k=(1, 10))
    assert found.d_prime.isnan().tolist() == [True, True, False]
    share = (labels == labels[6]).sum().item() - 1
    np.testing.assert_allclose(found.auroc[0], 0.5)
    np.testing.assert_allclose(found.precision[0], [share / 39, share / 39])
    assert 0 <= found.auroc[1] <= 1
    line = similarity.separation(X[:1, :1], LABELS[:1], X[:, :1].abs(), LABELS, k=(1,))
    assert line.d_prime.isnan().all()


X, LABELS = normal(10, 3), torch.arange(10) % 2
OWN = torch.arange(10)


def histograms(references=X, theirs=LABELS, others=X, labels=LABELS, **options):
    return similarity.histograms(references, theirs, others, labels, **options)


def separation(**options):
    return similarity.separation(X, LABELS, X, LABELS, **options)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: histograms(n_bins=0), "n_bins = 0; give 1 or more"),
        (lambda: histograms(theirs=LABELS[:9]), r"reference_labels are torch.int64 of shape \(9,\); give 10 whole"),
        (lambda: histograms(labels=LABELS.double()), r"labels are torch.float64 of shape \(10,\)"),
        (lambda: histograms(labels=LABELS[:, None]), r"labels are torch.int64 of shape \(10, 1\)"),
        (lambda: histograms(others=X[:9]), "labels are .*; give 9 whole numbers"),
        (lambda: histograms(others=X * math.nan), r"others\[0\] holds NaN"),
        (lambda: histograms(theirs=LABELS + 1), r"references\[1\] is of class 2, of which nobody else"),
        (lambda: histograms(X[:3], LABELS[:3] * 0, X, LABELS * 0), r"references\[0\] is of class 0, of which all the"),
        (lambda: histograms(theirs=1 - LABELS, reference_indices=OWN), r"\[0\] is of class 1, but has another label"),
        (lambda: histograms(reference_indices=OWN.flip(0)), r"references\[0\] is not others\[9\]"),
        (lambda: histograms(labels=(OWN == 4).long(), theirs=(OWN == 4).long(), reference_indices=OWN),
         r"references\[4\] is of class 1, of which nobody else"),
        (lambda: separation(), "k = 1, 10, 100 with 10 vectors to compare with; choose 1 to 10"),
        (lambda: separation(k=(10,), reference_indices=OWN), "k = 10 with 9 vectors to compare with"),
        (lambda: separation(k=(0, 1)), "k = 0, 1 with 10 vectors"),
        (lambda: separation(k=()), "k =  with 10 vectors"),
    ],
)  # fmt: skip
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numpy_arrays_give_the_same_as_tensors():
    x, labels = planted(40)
    own = np.arange(6)
    expected = similarity.separation(x[:6], labels[:6], x, labels, k=(1, 7), reference_indices=torch.arange(6))
    arrays = x.numpy(), labels.numpy().astype(np.int16)
    found = similarity.separation(arrays[0][:6], arrays[1][:6], *arrays, k=(1, 7), reference_indices=own)
    torch.testing.assert_close(found, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same():
    x, labels = signs(80), integers(3, 80, seed=1)
    x[7] = 0
    own = torch.arange(9)
    for function in (similarity.histograms, similarity.separation):
        options = {"k": (1, 10)} if function is similarity.separation else {}
        here = function(x[own], labels[own], x, labels, reference_indices=own, **options)
        there = function(x[own].cuda(), labels[own], x.numpy(), labels, reference_indices=own, **options)
        assert there[1].is_cuda
        torch.testing.assert_close(there, here, check_device=False, equal_nan=True)
