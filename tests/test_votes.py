"""Nearest classes and votes against slow loops, scikit-learn and planted classes."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from actlib import cosines, votes


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def integers(high, *shape, seed=0):
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[None, (150, 40, 2), (1, 1, 1)], ids=["one block", "some blocks", "single vectors"])
def block(request, monkeypatch):
    """Run a test with blocks of three sizes."""
    if request.param:
        for name, size in zip(("_HELD", "_READ", "_LEAST"), request.param, strict=True):
            monkeypatch.setattr(cosines, name, size)


def slow_labels(references, others, labels, k, own=None):
    """Return the labels of the k nearest of vectors of plus and minus one, nearest first, of equals the first first."""
    found = []
    for i, reference in enumerate(references.tolist()):
        products = [sum(a * b for a, b in zip(reference, other, strict=True)) for other in others.tolist()]
        order = sorted(range(len(others)), key=lambda j: (-products[j], j))
        found.append([labels[j].item() for j in order if own is None or j != own[i]][:k])
    return found


# With 16 values of one size every step is exact, and ties are many.
SIGNS, LABELS = integers(2, 60, 16) * 2.0 - 1, integers(4, 60, seed=1) * 5 - 2
OWN = torch.tensor([4, 59, 0, 17, 33])


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("own", [None, OWN])
@pytest.mark.parametrize("k", [1, 2, 9, 30, 59])
def test_classes_and_votes_are_those_of_the_slow_loop(k, own):
    lists = slow_labels(SIGNS[OWN], SIGNS, LABELS, k, own)
    found = votes.nearest_classes(SIGNS[OWN], SIGNS, LABELS, k, reference_indices=own)
    assert found.classes.tolist() == [-2, 3, 8, 13]
    expected = [[Counter(labels)[c] for c in found.classes.tolist()] for labels in lists]
    np.testing.assert_array_equal(found.counts, expected)
    winners = [Counter(labels).most_common(1)[0] for labels in lists]  # of equals the first that was met
    said = votes.vote(SIGNS[OWN], SIGNS, LABELS, k, threshold=0.4, reference_indices=own)
    np.testing.assert_allclose(said.shares, [n / k for _, n in winners])
    assert said.decided.tolist() == [n / k >= 0.4 for _, n in winners]
    assert said.labels.tolist() == [label if n / k >= 0.4 else -1 for label, n in winners]


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("k", [1, 3, 4, 19, 20, 44, 64])
def test_of_equally_similar_ones_the_first_comes_first(k):
    # Four times each corner of a cube of four dimensions: 4, 16, 24, 16 and 4 are equally similar.
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4).repeat(4, 1)
    others = corners[torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    # Each is a class of its own: all are equally common, and the first decides.
    found = votes.vote(corners[:16], others, torch.arange(64), k, threshold=1 / 64)
    assert found.labels.tolist() == [row[0] for row in slow_labels(corners[:16], others, torch.arange(64), 1)]


@pytest.mark.usefixtures("block")
def test_they_agree_with_scikit_learn():
    x, labels = normal(90, 12), integers(3, 90, seed=1)
    near = NearestNeighbors(n_neighbors=20, metric="cosine").fit(x).kneighbors(normal(8, 12, seed=2))[1]
    found = votes.nearest_classes(normal(8, 12, seed=2), x, labels, 20)
    np.testing.assert_array_equal(found.counts, [np.bincount(labels[row], minlength=3) for row in near])
    model = KNeighborsClassifier(5, metric="cosine").fit(x, labels)
    shares = model.predict_proba(normal(8, 12, seed=2))
    said = votes.vote(normal(8, 12, seed=2), x, labels, 5)
    np.testing.assert_allclose(said.shares, shares.max(1))
    sure = said.decided.numpy()
    np.testing.assert_array_equal(said.labels[sure], shares.argmax(1)[sure])
    assert sure.any()
    assert not sure.all()


@pytest.mark.parametrize(("threshold", "decided"), [(0.5, True), (0.51, False), (1e-9, True), (1.0, False)])
def test_a_vote_is_decided_from_the_threshold_on(threshold, decided):
    # Five of ten are of class 7, three of 1, two of 0.
    others = torch.stack([torch.ones(10), torch.linspace(0, 1, 10)], 1)
    labels = torch.tensor([7, 1, 7, 0, 1, 7, 7, 1, 0, 7])
    said = votes.vote(torch.tensor([[1.0, 0.0]]), others, labels, threshold=threshold)
    assert said.decided.tolist() == [decided]
    assert said.labels.tolist() == [7 if decided else -1]
    np.testing.assert_allclose(said.shares, [0.5])


def test_of_equally_common_classes_the_most_similar_decides():
    others = torch.tensor([[0.0, 1.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]])
    said = votes.vote(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), others, torch.tensor([1, 9, 1, 9]), 4)
    # By class alone the lowest, 1, or the highest, 9, would win both.
    assert said.labels.tolist() == [9, 9]
    said = votes.vote(torch.tensor([[0.0, 1.0]]), others, torch.tensor([1, 9, 1, 9]), 4)
    assert said.labels.tolist() == [1]


@pytest.mark.usefixtures("block")
def test_a_reference_without_a_direction_has_no_nearest():
    x = normal(6, 4)
    x[2] = 0
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    said = votes.vote(x, x, labels, 3, threshold=1e-9, reference_indices=torch.arange(6))
    assert said.decided.tolist() == [True, True, False, True, True, True]
    assert (said.labels[2], said.shares[2]) == (-1, 0)
    counts = votes.nearest_classes(x, x, labels, 3, reference_indices=torch.arange(6)).counts
    np.testing.assert_array_equal(counts.sum(1), [3, 3, 0, 3, 3, 3])


def test_planted_classes_are_voted_for_and_shuffled_ones_are_not():
    labels = torch.arange(400) % 4
    x = normal(400, 30) + 2 * normal(4, 30, seed=1)[labels]
    own = torch.arange(100)
    said = votes.vote(x[own], x, labels, reference_indices=own)
    assert said.decided.all()
    assert (said.labels == labels[own]).double().mean() > 0.95
    shuffled = labels[torch.randperm(400, generator=torch.Generator().manual_seed(2))]
    chance = votes.vote(x[own], x, shuffled, reference_indices=own)
    assert (chance.labels == shuffled[own]).double().mean() < 0.4


def test_a_mean_taken_off_shows_what_it_hides():
    # Towards the origin or away from it: the same direction, unless the mean is the origin.
    labels = integers(2, 300)
    mean, own = 10 * normal(5, seed=3), torch.arange(100)
    x = mean * (1 + 0.2 * (labels * 2 - 1))[:, None] + 0.1 * normal(300, 5)
    hidden, shown = (votes.vote(x[own], x, labels, 9, mean=m, reference_indices=own) for m in (None, mean))
    assert (shown.labels == labels[own]).all()
    assert abs((hidden.labels == labels[own]).double().mean() - 0.5) < 4 * math.sqrt(2 * 0.25 / 100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: votes.vote(SIGNS, SIGNS, LABELS, 61), "k = 61 with 60 vectors to compare with; choose 1 to 60"),
        (lambda: votes.vote(SIGNS[:5], SIGNS, LABELS, 60, reference_indices=torch.arange(5)), "k = 60 with 59 vectors"),
        (lambda: votes.nearest_classes(SIGNS, SIGNS, LABELS, 0), "k = 0 with 60 vectors"),
        (lambda: votes.nearest_classes(SIGNS, SIGNS, LABELS), "k = 100 with 60 vectors"),
        (lambda: votes.vote(SIGNS, SIGNS, LABELS, threshold=0.0), "threshold = 0; give a share above 0"),
        (lambda: votes.vote(SIGNS, SIGNS, LABELS, threshold=1.5), "threshold = 1.5"),
        (lambda: votes.vote(SIGNS, SIGNS, LABELS, threshold=math.nan), "threshold = nan"),
        (lambda: votes.vote(SIGNS, SIGNS, LABELS[:59]), r"labels are torch.int64 of shape \(59,\); give 60 whole"),
        (lambda: votes.vote(SIGNS, SIGNS, LABELS.float()), "labels are torch.float32"),
        (lambda: votes.vote(SIGNS * math.nan, SIGNS, LABELS), r"references\[0\] holds NaN"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same():
    for function in (votes.vote, votes.nearest_classes):
        here = function(SIGNS[OWN], SIGNS, LABELS, 9, reference_indices=OWN)
        there = function(SIGNS[OWN].cuda(), SIGNS.numpy(), LABELS, 9, reference_indices=OWN)
        assert there[0].is_cuda
        torch.testing.assert_close(there, here, check_device=False)
