"""Neighbours, ranks and silhouettes against slow loops, scikit-learn and closed forms."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.metrics import silhouette_score

from actlib import neighbours


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def integers(high, *shape, seed=0):
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[2**22, 100, 1], ids=["one block", "some blocks", "a row a block"])
def block(request, monkeypatch):
    """Run a test with blocks of three sizes, the smallest of single rows and columns."""
    monkeypatch.setattr(neighbours, "_BLOCK", request.param)


def slow_order(x):
    """Return for each point the others, nearest first, of equals the first first, and all squared distances."""
    rows = [[float(value) for value in row] for row in x.reshape(len(x), -1).tolist()]
    squares = [[math.fsum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in rows] for p in rows]
    return [
        sorted(set(range(len(rows))) - {i}, key=lambda j, i=i: (squares[i][j], j)) for i in range(len(rows))
    ], squares


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("k", [1, 4, 38])
@pytest.mark.parametrize(
    "x",
    [
        normal(39, 5),
        integers(3, 39, 2),  # ties and copies in plenty
        integers(256, 39, 1, 3, 4).byte(),
        integers(2, 39, 6).bool(),
        integers(9, 39, 2, 2).half(),
        integers(3, 39, 3).numpy().astype(np.float32),
        integers(5, 39),
    ],
    ids=["continuous", "grid", "images", "bits", "half", "numpy", "numbers"],
)
def test_nearest_is_the_sorted_list_of_the_double_loop(x, k):
    order, squares = slow_order(x)
    found = neighbours.nearest(x, k)
    np.testing.assert_array_equal(found.indices, [row[:k] for row in order])
    expected = [[math.sqrt(squares[i][j]) for j in row[:k]] for i, row in enumerate(order)]
    np.testing.assert_allclose(found.distances, expected, rtol=1e-12)


@pytest.mark.usefixtures("block")
def test_copies_are_at_distance_0_and_come_in_order():
    # The last columns of a matrix product are added up in another order than the first: copies stand in both.
    copies = [3, 8, 17, 21, 40, 45, 46]
    x = normal(47, 300) + 0.1
    x[copies] = x[17].clone()
    x[5], x[6] = 0.0, -0.0
    found = neighbours.nearest(x, 46)
    for i in copies:
        assert found.indices[i, :6].tolist() == [j for j in copies if j != i]
        np.testing.assert_array_equal(found.distances[i, :6], np.zeros(6))
    assert (found.indices[5, 0], found.distances[5, 0]) == (6, 0)
    for i in set(range(47)) - set(copies):
        places = [found.indices[i].tolist().index(j) for j in copies]
        assert places == list(range(places[0], places[0] + 7))
    expected = [3 if i in copies else 5 if i == 6 else i for i in range(47)]
    np.testing.assert_array_equal(neighbours.first_copies(x), expected)


def test_points_that_are_nearly_copies_are_none():
    x = torch.zeros(6, 3, dtype=torch.float64)
    x[1, 1], x[2, 1], x[3, 2], x[4, 2], x[5, 2] = 1e-300, -1e-300, 1.0, 1.0 + 2**-52, 1.0
    np.testing.assert_array_equal(neighbours.first_copies(x), [0, 1, 2, 3, 4, 3])
    pairs = normal(40, 50).repeat(2, 1)
    pairs[40:] += 1e-12 * normal(40, 50, seed=1)
    found = neighbours.nearest(pairs, 1)
    np.testing.assert_array_equal(found.indices[:, 0], np.roll(np.arange(80), 40))
    assert found.distances.max() < 1e-6


@pytest.mark.usefixtures("block")
def test_a_shift_far_from_the_origin_loses_no_digits():
    x = (normal(50, 20) * 2**20).round() / 2**20  # few enough digits that a shift by 2^22 is exact
    x[0] *= 100
    expected = (x[:, None] - x).square().sum(2).sqrt()
    found = neighbours.nearest(x + 2**22, 49)
    np.testing.assert_allclose(found.distances, expected.gather(1, found.indices), rtol=1e-9)
    np.testing.assert_array_equal(found.indices, neighbours.nearest(x, 49).indices)


def test_points_that_share_a_key_are_no_copies_unless_they_are_equal(monkeypatch):
    monkeypatch.setattr(neighbours, "_keys", lambda x: torch.arange(len(x)) % 2)  # as bad as can be
    x = integers(3, 40, 2).double()
    x[20:] = x[:20].clone()  # an even distance: copies keep sharing a key
    x[::2] += 10  # so that no copies are apart in keys
    x[6], x[8] = 0.0, -0.0
    rows = x.tolist()
    np.testing.assert_array_equal(neighbours.first_copies(x), [rows.index(row) for row in rows])


@pytest.mark.parametrize("kind", ["list", "uint16", "uint16 tensor", "longdouble", "other bytes", "bool list"])
def test_points_of_any_type_of_real_numbers_are_taken(kind):
    x = integers(9, 20, 3)
    given = {
        "list": x.tolist(), "uint16": x.numpy().astype(np.uint16), "uint16 tensor": x.to(torch.uint16),
        "longdouble": x.numpy().astype(np.longdouble), "other bytes": x.numpy().astype(">f4"),
        "bool list": (x > 4).tolist(),
    }[kind]  # fmt: skip
    expected = neighbours.nearest(x > 4 if kind == "bool list" else x, 4)
    torch.testing.assert_close(neighbours.nearest(given, 4), expected)


def test_labels_may_be_a_list_or_of_any_type_of_whole_numbers():
    x, labels = normal(20, 3), integers(3, 20)
    expected = neighbours.accuracy(x, labels, 3), neighbours.silhouette(x, labels)
    for given in (labels.tolist(), labels.numpy().astype(np.uint16), labels.to(torch.uint16), labels.int().numpy()):
        np.testing.assert_allclose((neighbours.accuracy(x, given, 3), neighbours.silhouette(x, given)), expected)


@pytest.mark.parametrize("scale", [1e-90, 1e-30, 1e30, 1e90])
def test_the_scale_changes_nothing(scale):
    x, labels = normal(30, 4), torch.arange(30) % 3
    found, expected = neighbours.nearest(x * scale, 5), neighbours.nearest(x, 5)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.distances / scale, expected.distances)
    np.testing.assert_allclose(neighbours.silhouette(x * scale, labels), neighbours.silhouette(x, labels))


def test_a_constant_feature_changes_nothing():
    x = normal(30, 4)
    wider = torch.cat([x, torch.full((30, 1), 1e9, dtype=torch.float64)], 1)
    np.testing.assert_array_equal(neighbours.nearest(wider, 5).indices, neighbours.nearest(x, 5).indices)
    np.testing.assert_allclose(neighbours.trustworthiness(wider, x[:, :2]), neighbours.trustworthiness(x, x[:, :2]))


def test_inputs_stay_as_they_are_and_may_be_read_only():
    x = normal(20, 6).requires_grad_()
    before = x.detach().clone()
    neighbours.trustworthiness(x, x[:, :2], k=3)
    neighbours.silhouette(x, torch.arange(20) % 3)
    torch.testing.assert_close(x.detach(), before, rtol=0, atol=0)
    fixed = before.numpy()
    fixed.flags.writeable = False
    labels = np.arange(20) % 3
    labels.flags.writeable = False
    assert 0 <= neighbours.accuracy(fixed, labels, 3) <= 1
    for view in (fixed, fixed[:, ::-1]):
        np.testing.assert_array_equal(neighbours.nearest(view, 3).indices, neighbours.nearest(x, 3).indices)


def slow_accuracy(x, labels, k):
    """Return leave-one-out accuracy by counting votes in a dictionary."""
    right = 0
    for i, order in enumerate(slow_order(x)[0]):
        votes = {}
        for j in order[:k]:
            votes[labels[j]] = votes.get(labels[j], 0) + 1
        most = max(votes.values())
        right += next(labels[j] for j in order if votes.get(labels[j]) == most) == labels[i]
    return right / len(labels)


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_accuracy_is_the_vote_counted_slowly(k):
    x, labels = integers(6, 60, 2), integers(4, 60, seed=1) * 7 - 3
    np.testing.assert_allclose(neighbours.accuracy(x, labels, k), slow_accuracy(x, labels.tolist(), k))
    np.testing.assert_allclose(neighbours.accuracy(x.numpy(), labels.numpy(), k), slow_accuracy(x, labels.tolist(), k))


def test_of_two_equal_votes_the_nearest_decides():
    x = torch.tensor([0.0, 1.0, 2.0, -3.0, -4.0])
    labels = torch.tensor([1, 1, 0, 0, 1])
    # All five have all others as neighbours. Votes are equal for points 0, 1 and 4, whose nearest are of class 1, 1, 0:
    # two of five are right. The lower class would be right for none, the higher one for three.
    np.testing.assert_allclose(neighbours.accuracy(x, labels, 4), 2 / 5)


def test_planted_classes_are_found_and_shuffled_ones_are_at_chance():
    n, n_classes = 600, 4
    labels = torch.arange(n) % n_classes
    x = normal(n, 50) + 6 * torch.eye(50, dtype=torch.float64)[labels]
    assert neighbours.accuracy(x, labels) > 0.99
    shuffled = labels[torch.randperm(n, generator=torch.Generator().manual_seed(1))]
    # A vote knows nothing of the label it is compared with; pairs that vote for each other agree, twice the variance.
    spread = math.sqrt(2 * (1 / n_classes) * (1 - 1 / n_classes) / n)
    for k in (1, 10):
        assert abs(neighbours.accuracy(x, shuffled, k) - 1 / n_classes) < 4 * spread
    assert neighbours.silhouette(x, labels) > 0.2 > 0.02 > abs(neighbours.silhouette(x, shuffled))


def slow_trustworthiness(x, y, k):
    """Return trustworthiness from its definition, with ranks looked up in sorted lists."""
    n, true, seen = len(x), slow_order(x)[0], slow_order(y)[0]
    total = sum(true[i].index(j) + 1 - k for i in range(n) for j in set(seen[i][:k]) - set(true[i][:k]))
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("k", [1, 5, 12, 29])
def test_trustworthiness_and_continuity_agree_with_scikit_learn(k):
    x = normal(60, 7)
    y = x[:, :2] + 0.5 * normal(60, 2, seed=1)
    expected = [sklearn_trustworthiness(*pair, n_neighbors=k) for pair in ((x, y), (y, x))]
    found = neighbours.trustworthiness(x, y, k), neighbours.continuity(x, y, k)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(neighbours.trustworthiness(x.numpy(), y.float(), k), expected[0], rtol=1e-12)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("k", [1, 3, 19])
def test_ties_and_copies_count_by_index_as_in_the_definition(k):
    x, y = integers(3, 40, 2), integers(4, 40, 2, seed=1)
    np.testing.assert_allclose(neighbours.trustworthiness(x, y, k), slow_trustworthiness(x, y, k), rtol=1e-12)
    np.testing.assert_allclose(neighbours.continuity(x, y, k), slow_trustworthiness(y, x, k), rtol=1e-12)


def test_a_picture_of_the_same_neighbourhoods_has_1_and_a_random_one_the_expected_half():
    n, k = 500, 12
    x = normal(n, 10)
    turned = x @ torch.linalg.qr(normal(10, 10, seed=1)).Q * 3 + 5
    assert neighbours.trustworthiness(x, turned) == neighbours.continuity(x, turned) == 1
    # A neighbour drawn at random has each of the n - 1 ranks equally often.
    expected = 1 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1))
    found = [measure(x, normal(n, 2, seed=2)) for measure in (neighbours.trustworthiness, neighbours.continuity)]
    np.testing.assert_allclose(found, [expected] * 2, atol=0.02)
    assert abs(expected - 0.5) < 0.02


def test_showing_the_farthest_as_the_nearest_has_0():
    rectangle = torch.tensor([[0.0, 0.0], [3.0, 2.0], [0.0, 2.0], [3.0, 0.0]])
    diagonals_together = torch.tensor([0.0, 1.0, 10.0, 11.0])
    np.testing.assert_allclose(neighbours.trustworthiness(rectangle, diagonals_together, 1), 0, atol=1e-12)


def test_a_cut_is_not_continuous_and_a_fold_not_trustworthy():
    angle = torch.arange(100) * (2 * math.pi / 100) + 1e-3 * normal(100)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    cut = neighbours.trustworthiness(circle, angle, 5), neighbours.continuity(circle, angle, 5)
    assert cut[0] > 0.999 > 0.98 > cut[1]
    line = torch.linspace(-1, 1.02, 100, dtype=torch.float64)
    fold = neighbours.trustworthiness(line, line.abs(), 5), neighbours.continuity(line, line.abs(), 5)
    assert fold[0] < 0.8 < 0.95 < fold[1]


@pytest.mark.usefixtures("block")
def test_silhouette_agrees_with_scikit_learn():
    x, labels = normal(60, 4), integers(5, 60, seed=1) * 3 - 1
    labels[7] = 100  # alone in its class
    x[12] = x[30].clone()
    np.testing.assert_allclose(neighbours.silhouette(x, labels), silhouette_score(x, labels), rtol=1e-12)
    grid = integers(2, 60, 2)  # copies in several classes
    np.testing.assert_allclose(neighbours.silhouette(grid, labels), silhouette_score(grid, labels), atol=1e-12)


def test_silhouette_of_two_far_pairs_by_hand():
    # Each point: a = 1, b = 10.5 or 9.5 to the other pair.
    found = neighbours.silhouette(torch.tensor([0.0, 1.0, 10.0, 11.0]), torch.tensor([0, 0, 1, 1]))
    np.testing.assert_allclose(found, ((10.5 - 1) / 10.5 + (9.5 - 1) / 9.5) / 2)
    crossed = neighbours.silhouette(torch.tensor([0.0, 1.0, 10.0, 11.0]), torch.tensor([0, 1, 0, 1]))
    assert crossed < 0


def test_copies_in_two_classes_count_0():
    x = torch.tensor([0.0, 0.0, 0.0, 0.0, 5.0, 5.0])
    found = neighbours.silhouette(x, torch.tensor([0, 1, 0, 1, 2, 2]))
    np.testing.assert_allclose(found, 2 / 6)


def broken(value):
    x = normal(10, 3)
    x[4, 1] = x[7, 0] = x[7, 2] = value
    return x


X, Y = normal(10, 3), normal(10, 2, seed=1)
LABELS = torch.arange(10) % 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: neighbours.nearest(X, 10), "k = 10 for 10 points; choose 1 to 9"),
        (lambda: neighbours.nearest(X, 0), "k = 0 for 10 points"),
        (lambda: neighbours.trustworthiness(X, Y, 5), "k = 5 for 10 points; choose 1 to 4"),
        (lambda: neighbours.continuity(X, Y[:9], 3), "x has 10 points and y 9; give a picture of the same"),
        (lambda: neighbours.nearest(X, True), "k = True for 10 points; choose 1 to 9, a whole number"),
        (lambda: neighbours.nearest(X, 3.0), "k = 3.0 for 10 points; choose 1 to 9, a whole number"),
        (lambda: neighbours.trustworthiness(X, Y, 3.0), "k = 3.0 for 10 points; choose 1 to 4, a whole number"),
        (lambda: neighbours.nearest(X * 1e200, 3), r"x goes to .*e\+200 and differs by .*; scale it to 1e-100 to"),
        (lambda: neighbours.nearest(X * 1e-200, 3), "x goes to .*e-200 and differs by .*e-200; scale it"),
        (lambda: neighbours.continuity(X, Y * 1e170, 3), r"y goes to .*e\+170"),
        (lambda: neighbours.nearest(["a", "b"], 1), "x is of type <U1; give real numbers"),
        (lambda: neighbours.nearest(broken(math.nan), 3), "2 of 10 points in x hold NaN or infinity.* is point 4"),
        (lambda: neighbours.nearest(broken(-math.inf).numpy(), 3), "2 of 10 points in x hold NaN or inf"),
        (lambda: neighbours.trustworthiness(X, broken(math.inf), 3), "2 of 10 points in y hold NaN"),
        (lambda: neighbours.continuity(X, broken(math.inf), 3), "2 of 10 points in y hold NaN"),
        (lambda: neighbours.nearest(torch.ones(5, 2), 3), "all 5 points in x are the same"),
        (lambda: neighbours.nearest(torch.ones(1, 2), 1), r"x is torch.float32 of shape \(1, 2\); give at least two"),
        (lambda: neighbours.nearest(torch.ones(5, 0), 1), r"shape \(5, 0\)"),
        (lambda: neighbours.nearest(torch.tensor(3.0), 1), r"shape \(\)"),
        (lambda: neighbours.nearest(X * 1j, 1), "x is torch.complex128"),
        (lambda: neighbours.nearest(np.array(["a", "b"]), 1), "x is of type <U1; give real numbers"),
        (lambda: neighbours.accuracy(X, LABELS[:9], 3), r"labels: torch.int64 of shape \(9,\); give 10 whole numbers"),
        (lambda: neighbours.accuracy(X, LABELS.double(), 3), r"labels: torch.float64 of shape \(10,\)"),
        (lambda: neighbours.accuracy(X, LABELS * 1j, 3), r"labels: torch.complex64 of shape \(10,\)"),
        (lambda: neighbours.accuracy(X, list("ababababab"), 3), r"labels: <U1 of shape \(10,\); give 10 whole"),
        (lambda: neighbours.accuracy(X, LABELS, 10), "k = 10 for 10 points"),
        (lambda: neighbours.silhouette(X, LABELS[:, None]), r"labels: torch.int64 of shape \(10, 1\)"),
        (lambda: neighbours.silhouette(X, LABELS * 0), "labels name 1 classes for 10 points"),
        (lambda: neighbours.silhouette(X, torch.arange(10)), "labels name 10 classes for 10 points"),
    ],
)
def test_what_has_no_answer_is_refused(monkeypatch, call, message):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests, where types go unchecked
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same():
    x, labels = integers(4, 80, 3), integers(3, 80, seed=1)
    near, there = neighbours.nearest(x, 9), neighbours.nearest(x.cuda(), 9)
    assert there.indices.is_cuda
    torch.testing.assert_close(there, near, check_device=False)
    y = normal(80, 2)
    for measure in (neighbours.trustworthiness, neighbours.continuity):
        np.testing.assert_allclose(measure(x.cuda(), y), measure(x, y))
    np.testing.assert_allclose(neighbours.accuracy(x.cuda(), labels), neighbours.accuracy(x, labels))
    np.testing.assert_allclose(neighbours.silhouette(x.cuda(), labels), neighbours.silhouette(x, labels))
