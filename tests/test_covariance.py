"""Moments and principal components against NumPy, scikit-learn and planted spectra, however the data are cut."""

import inspect
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from actlib import covariance


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def orthonormal(n, k, seed=0):
    """Return k orthonormal columns, each of mean zero."""
    matrix = normal(n, k, seed=seed)
    return torch.linalg.qr(matrix - matrix.mean(0)).Q


def planted(n, variances, mean=0.0, seed=0):
    """Return n vectors whose covariance has exactly these eigenvalues, and its eigenvectors."""
    d = len(variances)
    turn = torch.linalg.qr(normal(d, d, seed=seed + 1)).Q
    return math.sqrt(n) * orthonormal(n, d, seed) * variances.sqrt() @ turn.T + mean, turn


def expected(x):
    """Return mean and covariance by NumPy, in float64."""
    x = x.reshape(len(x), -1).double().numpy()
    return x.mean(0), np.cov(x.T, bias=True).reshape(x.shape[1], x.shape[1])


def assert_right(found, x, rtol=1e-12):
    """Compare with NumPy: covariances relative to the standard deviations."""
    mean, matrix = expected(x)
    spread = np.sqrt(np.diag(matrix).max())
    assert found.n == len(x)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12, atol=rtol * spread)
    np.testing.assert_allclose(found.covariance, matrix, atol=rtol * spread**2)


@pytest.fixture
def small_blocks(monkeypatch):
    """Let small data take the way of large ones: many blocks, and several tiles of which the last is smaller."""
    monkeypatch.setattr(covariance, "_BLOCK", 64)
    monkeypatch.setattr(covariance, "_TILE", 4)


# Moments


@pytest.mark.parametrize("shape", [(50, 11), (1, 4), (30, 1), (9, 40), (20, 2, 3, 1), (8, 100)])
def test_moments_are_those_of_numpy(shape, small_blocks):
    x = normal(*shape) + 3
    assert_right(covariance.moments(x), x)
    assert_right(covariance.moments(x.float()), x.float(), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "uint8", "int64", "bool"])
def test_other_types_are_read_as_numbers(dtype, small_blocks):
    x = (10 * normal(40, 5).abs()).to(getattr(torch, dtype))
    assert_right(covariance.moments(x), x, rtol=1e-6)
    if dtype != "bfloat16":
        assert_right(covariance.moments(x.numpy()), x, rtol=1e-6)


def test_files_arrays_and_iterators_give_the_same(tmp_path, small_blocks):
    x = normal(70, 6)
    np.save(tmp_path / "x.npy", x.numpy())
    kinds = [x.numpy(), np.load(tmp_path / "x.npy", mmap_mode="r"), iter(x.split(9)), [x[:50].numpy(), x[:0], x[50:]]]
    for given_x in [*kinds, x.T.contiguous().T, x.numpy()[::-1]]:
        assert_right(covariance.moments(given_x), x)


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=8).filter(any), offset=st.sampled_from([0, 1e3, -1e8]))
def test_it_does_not_matter_how_the_vectors_are_cut_into_blocks(sizes, offset):
    x = normal(sum(sizes), 3) + offset
    found = covariance.moments(x.split(sizes))
    np.testing.assert_allclose(found.covariance, expected(x)[1], atol=1e-13 + 1e-12 * abs(offset) * 1e-3)


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 3, 7), (40, 3)])
def test_along_channels_each_position_is_a_vector(shape, small_blocks):
    x = normal(*shape)
    vectors = torch.stack([sample[:, k] for sample in x.reshape(len(x), 3, -1) for k in range(math.prod(shape[2:]))])
    assert_right(covariance.moments(x, axis="channels"), vectors)


@pytest.mark.parametrize("offset", [3e3, 1e6])
def test_a_mean_far_from_zero_costs_no_digits(small_blocks, offset):
    x = (normal(500, 5) + offset).float()
    found = covariance.moments(x)
    assert_right(found, x, rtol=1e-6)
    naive = (x.T @ x / len(x) - torch.outer(x.mean(0), x.mean(0))).double()
    assert (naive - found.covariance).abs().max() > 0.1


def test_a_first_block_far_from_all_others_costs_no_digits_either(small_blocks):
    x = normal(4000, 5, dtype=torch.float32)
    x[:12] += 1e3
    assert_right(covariance.moments(x), x, rtol=1e-6)


def test_small_variances_beside_large_ones_survive_in_float64_but_not_in_float32():
    variances = 10.0 ** -torch.arange(0, 14, 2, dtype=torch.float64)
    x, _ = planted(300, variances)
    found = torch.linalg.eigvalsh(covariance.moments(x).covariance).flip(0)
    np.testing.assert_allclose(found, variances, rtol=1e-3)
    single = torch.linalg.eigvalsh(covariance.moments(x.float()).covariance).flip(0)
    np.testing.assert_allclose(single, variances, atol=1e-6 * variances.sum().item())
    assert abs(single[-1] / variances[-1] - 1) > 1e-3


def test_the_second_moment_is_not_centred():
    x = normal(50, 4) + 2
    np.testing.assert_allclose(covariance.moments(x).second_moment, x.T @ x / 50, rtol=1e-12)


def test_the_input_is_left_alone_and_no_gradient_is_followed():
    x = normal(20, 3).requires_grad_()
    before = x.detach().clone()
    assert not covariance.moments(x).covariance.requires_grad
    torch.testing.assert_close(x.detach(), before)


# Principal components


def agree(ours, theirs, atol=1e-8):
    """Compare directions (k, d), whatever their sign."""
    np.testing.assert_allclose(np.abs(np.sum(np.asarray(ours) * np.asarray(theirs), axis=1)), 1, atol=atol)


@pytest.mark.parametrize("k", [1, 3, 24, None])
def test_components_agree_with_scikit_learn(k):
    x = normal(80, 24) * torch.linspace(1, 4, 24) + 5
    found, theirs = covariance.pca(covariance.moments(x), k), PCA(k, svd_solver="full").fit(x.numpy())
    np.testing.assert_allclose(found.variances, theirs.explained_variance_ * 79 / 80, rtol=1e-9)
    np.testing.assert_allclose(found.mean, theirs.mean_, rtol=1e-12)
    agree(found.components.T, theirs.components_)


@pytest.mark.parametrize("k", [2, None])
def test_a_planted_spectrum_is_found(k):
    variances = torch.linspace(5, 1, 20, dtype=torch.float64) ** 2
    x, turn = planted(200, variances, mean=7.0)
    found = covariance.pca(covariance.moments(x), k)
    np.testing.assert_allclose(found.variances, variances[:k], rtol=1e-10)
    agree(found.components.T, turn[:, :k].T)


@pytest.mark.parametrize("k", [1, 4, None])
def test_components_are_orthonormal_and_their_signs_are_settled(k):
    x = normal(99, 40)
    found, mirrored = (covariance.pca(covariance.moments(sign * x), k).components for sign in (1, -1))
    torch.testing.assert_close(found.T @ found, torch.eye(found.shape[1], dtype=torch.float64))
    torch.testing.assert_close(found, mirrored)
    assert (found.gather(0, found.abs().argmax(0, keepdim=True)) > 0).all()


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("k", [1, 5, 9])
def test_what_a_projection_loses_is_the_tail_of_the_variances(centred, k):
    x = normal(70, 9) * torch.linspace(1, 3, 9) + 2
    basis = covariance.pca(covariance.moments(x), centred=centred)
    deviations = x - basis.mean if centred else x
    p = basis.components[:, :k]
    lost = (deviations - deviations @ p @ p.T).square().sum(1).mean()
    torch.testing.assert_close(lost, basis.variances[k:].sum(), atol=1e-12, rtol=1e-10)
    other, _ = torch.linalg.qr(normal(9, k))
    assert k == 9 or (deviations - deviations @ other @ other.T).square().sum(1).mean() > lost * 1.01


def test_uncentred_components_are_the_singular_vectors_and_the_first_is_mostly_the_mean():
    x = normal(60, 7) + 10 * normal(7, seed=1)
    found = covariance.pca(covariance.moments(x), centred=False)
    _, singular, vectors = np.linalg.svd(x.numpy(), full_matrices=False)
    np.testing.assert_allclose(found.variances, singular**2 / 60, rtol=1e-10)
    agree(found.components.T, vectors)
    assert found.mean is None
    agree(found.components[:, :1].T, torch.nn.functional.normalize(x.mean(0), dim=0)[None], atol=1e-2)


def test_few_vectors_define_few_components():
    moments = covariance.moments(normal(5, 9))
    assert covariance.pca(moments).components.shape == (9, 4)
    assert covariance.pca(moments, centred=False).components.shape == (9, 5)
    rest = covariance.pca(covariance.moments(normal(10, 9))).components
    assert rest.shape == (9, 9)


# Bad input

X = normal(30, 4)
BAD = X.clone()
BAD[7, 1], BAD[9] = math.nan, math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inspect.unwrap(covariance.moments)(X, axis="rows"), "axis = 'rows'; choose 'all' or 'channels'"),
        (lambda: covariance.moments(X[:0]), "there are no activations"),
        (lambda: covariance.moments(iter([])), "there are no activations"),
        (lambda: covariance.moments(X[0]), r"a block is torch.float64 of shape \(4,\); give real numbers"),
        (lambda: covariance.moments(X[:, :0]), r"of shape \(30, 0\)"),
        (lambda: covariance.moments(X.cfloat()), "a block is torch.complex64"),
        (lambda: covariance.moments(np.array([["a"]])), "a block is <U1"),
        (lambda: covariance.moments(iter([X, [1.0]])), "a block is a list; give tensors or arrays"),
        (
            lambda: covariance.moments([X, X[:, :3]]),
            r"shape \(30, 3\) has 3 values a vector along axis 'all', .* have 4",
        ),
        (lambda: covariance.moments(BAD), "2 of the 30 samples from sample 0 on hold NaN .* first is sample 7; repair"),
        (lambda: covariance.moments([X, BAD[:8].float()]), "1 of the 8 samples from sample 30 on .* is sample 37"),
        (lambda: covariance.moments(BAD[8:].reshape(22, 2, 2).numpy(), axis="channels"), "1 of the 22 .* sample 1;"),
        (lambda: covariance.moments(X * 1e200), "squares are infinite; scale"),
        (lambda: covariance.pca(covariance.moments(X), 5), "k = 5, but 30 vectors of length 4, centred, define 4"),
        (lambda: covariance.pca(covariance.moments(X), 0), "k = 0, .* choose 1 to 4"),
        (lambda: covariance.pca(covariance.moments(X[:3]), 3), "3 vectors of length 4, centred, define 2 .* 1 to 2"),
        (lambda: covariance.pca(covariance.moments(X[:3]), 4, centred=False), "3 vectors of length 4 define 3"),
        (lambda: covariance.pca(covariance.moments(X[:1])), "define 0 components; choose more vectors"),
        (lambda: covariance.pca(covariance.moments(torch.ones(5, 3))), "all 5 vectors are the same"),
        (lambda: covariance.pca(covariance.moments(torch.zeros(5, 3)), centred=False), "all 5 vectors are zero"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Memory and devices

# In a process of its own: what earlier tests have freed would hide what this one keeps.
GROWTH = """
import os
from pathlib import Path

import torch
from actlib import covariance

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def blocks(n):
    for _ in range(n):
        yield torch.rand(4096, 64)
        sizes.append(resident())

torch.set_num_threads(1)
sizes = []
assert covariance.moments(blocks(100)).n == 100 * 4096
print(max(sizes[20:]) - sizes[20])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say how much memory is used")
def test_memory_stays_flat_over_100_blocks():
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    growth, n_bytes = int(done.stdout), 100 * 4096 * 64 * 4
    assert growth < n_bytes / 5, f"{growth / 2**20:.1f} MiB more for {n_bytes / 2**20:.0f} MiB of activations"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("k", [3, None])
def test_a_gpu_gives_the_same_components(k):
    x = normal(400, 30) * torch.linspace(1, 4, 30)
    here = covariance.pca(covariance.moments(x), k)
    for there in (covariance.moments(x.cuda()), covariance.moments(x.numpy(), device="cuda")):
        assert there.covariance.is_cuda
        for ours, theirs in zip(here, covariance.pca(there, k), strict=True):
            torch.testing.assert_close(theirs.cpu(), ours)
