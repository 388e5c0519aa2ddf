"""Cosines against slow loops, scikit-learn, known laws and planted means, in blocks of any size."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics.pairwise import cosine_similarity

from actlib import cosines


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[None, (30, 12, 2), (1, 1, 1)], ids=["one block", "some blocks", "single vectors"])
def block(request, monkeypatch):
    """Run a test with blocks of three sizes."""
    if request.param:
        for name, size in zip(("_HELD", "_READ", "_LEAST"), request.param, strict=True):
            monkeypatch.setattr(cosines, name, size)


def slow(references, others):
    """Return the cosines by a double loop with exact sums."""
    found = np.zeros((len(references), len(others)))
    rows = [[[float(v) for v in np.asarray(x, dtype=np.float64).ravel()] for x in xs] for xs in (references, others)]
    for (i, a), (j, b) in itertools.product(*map(enumerate, rows)):
        lengths = math.hypot(*a), math.hypot(*b)
        if all(lengths):
            found[i, j] = math.fsum(p / lengths[0] * (q / lengths[1]) for p, q in zip(a, b, strict=True))
    return found


CASES = {
    "continuous": normal(23, 7),
    "maps": normal(23, 2, 3, 2),
    "numbers": normal(23),
    "images": (normal(23, 1, 4, 3) * 60 + 128).clamp(0, 255).byte(),
    "bits": normal(23, 6) > 0,
    "half": normal(23, 5).half(),
    "wide": normal(23, 5).double() * 1e200,
    "tiny": normal(23, 5).double() * 1e-200,
    "long": torch.randint(-(2**40), 2**40, (23, 4), generator=torch.Generator().manual_seed(0)),
    "numpy": normal(23, 5).numpy()[:, ::-1],
    "unsigned": (normal(23, 5).abs() * 9999).numpy().astype(np.uint16),
}


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("name", CASES)
def test_cosines_are_those_of_the_double_loop(name):
    x = CASES[name]
    found = cosines.cosine(x[:5], x)
    np.testing.assert_allclose(found.values, slow(x[:5], x), atol=1e-6, rtol=0)
    assert found.values.dtype == torch.float32


@pytest.mark.usefixtures("block")
def test_cosines_agree_with_scikit_learn():
    x, y = normal(9, 50).numpy() + 0.5, normal(70, 50, seed=1).numpy() + 0.5
    np.testing.assert_allclose(cosines.cosine(x, y).values, cosine_similarity(x, y), atol=1e-6, rtol=0)


@pytest.mark.parametrize("d", [4_096, 262_144])
def test_the_stated_tolerance_holds_where_all_terms_are_positive(d):
    x = torch.rand(12, d, generator=torch.Generator().manual_seed(0))
    exact = torch.nn.functional.normalize(x.double(), dim=1)
    found = cosines.cosine(x[:4], x)
    np.testing.assert_allclose(found.values, exact[:4] @ exact.T, atol=cosines.TOLERANCE, rtol=0)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-12, 1e12, 1e30])
def test_only_directions_count(size):
    x = normal(8, 6)
    scaled = x.clone()
    scaled[2:5] *= size
    # Below 1e-38 float32 keeps fewer digits.
    expected = slow(scaled[:3], scaled)
    np.testing.assert_allclose(cosines.cosine(scaled[:3], scaled).values, expected, atol=1e-6)
    np.testing.assert_allclose(expected, slow(x[:3], x), atol=1e-2 if size < 1e-38 else 1e-6)
    np.testing.assert_allclose(cosines.cosine(-x, x * 3).values, -cosines.cosine(x, x).values, atol=1e-6)


def test_copies_reach_one_and_nothing_passes_it():
    x = normal(400, 33)
    found = cosines.cosine(x, x).values
    unit = x / x.norm(dim=1, keepdim=True)
    assert (unit @ unit.T).max() > 1  # what a product alone gives
    assert found.max() == 1
    assert cosines.cosine(x, -x).values.min() == -1
    torch.testing.assert_close(found.diagonal(), torch.ones(400))


@pytest.mark.usefixtures("block")
def test_a_zero_vector_has_cosine_0_and_is_counted():
    x, y = normal(5, 4), normal(9, 4, seed=1)
    x[2] = 0
    y[3], y[7] = 0, -0.0
    found = cosines.cosine(x, y)
    assert (found.n_zero_references, found.n_zero_others) == (1, 2)
    np.testing.assert_array_equal(found.values[2], np.zeros(9))
    np.testing.assert_array_equal(found.values[:, [3, 7]], np.zeros((5, 2)))
    np.testing.assert_allclose(found.values, slow(x, y), atol=1e-6)
    none = cosines.cosine(x[:1] * 1e-40, y[:3])  # small, but with a direction
    assert (none.n_zero_references, none.n_zero_others) == (0, 0)


@pytest.mark.parametrize("d", [3, 30, 300])
def test_random_directions_follow_their_law(d):
    # (1 + cos) / 2 of two of them is Beta((d - 1) / 2, (d - 1) / 2), so cos has mean 0 and variance 1 / d.
    n = 20_000
    found = cosines.cosine(normal(1, d), normal(n, d, seed=1)).values[0].double().numpy()
    assert stats.kstest((1 + found) / 2, stats.beta((d - 1) / 2, (d - 1) / 2).cdf).pvalue > 0.001
    np.testing.assert_allclose(found.var(), 1 / d, rtol=4 * math.sqrt(2 / n))
    assert stats.kstest((1 + found) / 2, stats.beta(d - 0.5, d - 0.5).cdf).pvalue < 0.001  # that of 2 d dimensions


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_shared_mean_pushes_cosines_up_and_centring_takes_it_off(kind):
    d = 400
    shared = normal(d, seed=2).to(kind)
    x, y = normal(6, d).to(kind), normal(30, d, seed=1).to(kind)
    raised = cosines.cosine(x + 2 * shared, y + 2 * shared)
    # |2 shared|^2 against |x| |y|: 4 d / (4 d + d)
    np.testing.assert_allclose(raised.values.mean(), 0.8, atol=0.03)
    found = cosines.cosine(x + 2 * shared, y + 2 * shared, mean=2 * shared)
    np.testing.assert_allclose(found.values, slow(x, y), atol=1e-6)
    assert abs(found.values.mean()) < 0.02


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_small_remainders_of_large_numbers_keep_their_digits(kind):
    x = (1000 + normal(20, 30).double().numpy()).astype(kind)
    mean = np.asarray(x, dtype=np.float64).mean(0) + 1e-5  # more digits than float32 has
    expected = slow(x[:4] - mean, x - mean)
    np.testing.assert_allclose(cosines.cosine(x[:4], x, mean=mean).values, expected, atol=2e-6)
    rounded = mean.astype(np.float32).astype(np.float64)
    assert np.abs(expected - slow(x[:4] - rounded, x - rounded)).max() > 1e-5


def test_the_mean_may_have_the_shape_of_a_vector_and_what_equals_it_is_zero():
    x = normal(7, 2, 3)
    found = cosines.cosine(x, x, mean=x[4])
    torch.testing.assert_close(found, cosines.cosine(x, x, mean=x[4].flatten().numpy()))
    assert (found.n_zero_references, found.n_zero_others) == (1, 1)
    np.testing.assert_array_equal(found.values[4], np.zeros(7))


class Watched(np.ndarray):
    """An array that remembers how many rows were read at a time."""

    def __getitem__(self, key):
        self.read.append(len(range(*key.indices(len(self)))))
        return np.asarray(self)[key]


def test_others_are_read_in_parts_and_rows_held_in_blocks(monkeypatch):
    monkeypatch.setattr(cosines, "_READ", 5 * 6)
    monkeypatch.setattr(cosines, "_LEAST", 2)
    monkeypatch.setattr(cosines, "_HELD", 3 * 17)
    others = normal(17, 6).numpy().view(Watched)
    others.read = []
    found = list(cosines.blocks(normal(7, 6, seed=1), others))
    assert [tuple(block.values.shape) for block in found] == [(3, 17), (3, 17), (1, 17)]
    assert [block.rows for block in found] == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert others.read == [5, 5, 5, 2] * 3
    monkeypatch.setattr(cosines, "_HELD", 16)  # less than one row
    assert [len(block.values) for block in cosines.blocks(normal(2, 6), others)] == [1, 1]


def test_a_file_mapped_to_memory_is_read_and_inputs_stay_as_they_are(tmp_path):
    x = normal(40, 3, 5).numpy()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    torch.testing.assert_close(cosines.cosine(mapped[:4], mapped), cosines.cosine(x[:4], x))
    before, given = x.copy(), torch.from_numpy(x).requires_grad_()
    found = cosines.cosine(given[:4], given, mean=given[0])
    np.testing.assert_array_equal(x, before)
    assert not found.values.requires_grad


@pytest.mark.usefixtures("block")
def test_a_reference_among_the_others_does_not_meet_itself():
    x = normal(12, 5)
    x[8] = 0
    own = torch.tensor([3, 8, 0, 11, 3, 5, 6])
    found = torch.cat([block.values for block in cosines.blocks(x[own], x, reference_indices=own)])
    expected = slow(x[own], x)
    expected[np.arange(7), own] = -math.inf
    np.testing.assert_allclose(found, expected, atol=1e-6)


def broken(value):
    x = normal(10, 3)
    x[4, 1] = x[7, 0] = value
    return x


X = normal(10, 3)


def blocks(references, others, **options):
    return list(cosines.blocks(references, others, **options))


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosines.cosine(X[4], X), r"values a vector differ: .*'references': 1, 'others': 3.* such as x\[\[4"),
        (lambda: cosines.cosine(X, X, mean=X[:2]), "'mean': 6"),
        (lambda: cosines.cosine(X[:0], X), r"references are torch.float32 of shape \(0, 3\); give vectors"),
        (lambda: cosines.cosine(X, X[:, :0]), r"others are torch.float32 of shape \(10, 0\)"),
        (lambda: cosines.cosine(X, X * 1j), "others are torch.complex64"),
        (lambda: cosines.cosine(np.array([["a"]]), X), "references are <U1"),
        (lambda: cosines.cosine(X, broken(math.nan)), r"others\[4\] holds NaN or infinity; repair"),
        (lambda: cosines.cosine(broken(-math.inf)[5:], X), r"references\[2\] holds NaN or infinity"),
        (lambda: cosines.cosine(X, X, mean=broken(math.nan)[4]), "the mean holds NaN or infinity"),
        (lambda: blocks(X, X, reference_indices=torch.arange(9)), r"int64 of shape \(9,\); give 10 whole numbers"),
        (lambda: blocks(X, X, reference_indices=torch.rand(10)), "reference_indices are torch.float32"),
        (lambda: blocks(X, X, reference_indices=X[:, 0] > 0), "reference_indices are torch.bool"),
        (lambda: blocks(X, X, reference_indices=torch.arange(10) + 1), "reach from 1 to 10; choose 0 to 9"),
        (lambda: blocks(X, X, reference_indices=torch.arange(10) - 1), "reach from -1 to 8"),
        (
            lambda: blocks(X, X, reference_indices=torch.arange(10).flip(0)),
            r"references\[0\] is not others\[9\], where",
        ),
        (lambda: blocks(X[5:], X, reference_indices=torch.tensor([5, 6, 7, 9, 9])), r"references\[3\] is not others"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_matrix_too_large_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(cosines, "_RETURNED", 99)
    with pytest.raises(ValueError, match="10 references and 10 others have more than 99 cosines; give fewer"):
        cosines.cosine(X, X)
    assert cosines.cosine(X[:9], X).values.shape == (9, 10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mean", [None, normal(300, seed=2)])
def test_a_gpu_finds_the_same_and_others_come_to_it(mean):
    x, y = normal(9, 300) + 1, normal(70, 300, seed=1) + 1
    expected = cosines.cosine(x, y, mean=mean).values
    for others in (y, y.cuda(), y.numpy()):
        found = cosines.cosine(x.cuda(), others, mean=mean).values
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), expected, atol=cosines.TOLERANCE, rtol=0)
