"""Categories: counts worked out by hand, the published definition in slow NumPy, and tones of known frequency."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actlib import categories
from actlib.categories import category_map, single_counted, tally
from actlib.folds import CORRECTED, LITERAL

RULES = [
    LITERAL,
    LITERAL._replace(threshold=3, reference="mean"),
    CORRECTED,
    CORRECTED._replace(threshold=3),
    CORRECTED._replace(window="hann", reference="mean", threshold=10),
    CORRECTED._replace(dc="kept", padding="folds"),
]


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def published(y, r, threshold=20.0, reference="max"):
    """Return the counts and exclusive categories of one square map, from the definition, one frequency at a time."""
    n = len(y)
    wave = np.exp(-2j * np.pi * np.outer(np.arange(r * n), np.arange(n)) / (r * n))
    spectrum = wave @ y @ wave.T  # of y with zeros up to r n
    # S(k): the mean of the folds.
    s = np.zeros((n, n), complex)
    for k1 in range(n):
        for k2 in range(n):
            for i in range(r):
                for j in range(r):
                    s[k1, k2] += spectrum[i * n + k1, j * n + k2] / r**2
    top = np.max(np.abs(s) ** 2) if reference == "max" else np.mean(np.abs(s) ** 2)
    limit = 10 * np.log10(top) - threshold
    # Fold i is the own one of the block from floor(i n / r) on, ceil(n / r) long; where two overlap, none is.
    blocks = [range(int(np.floor(i * n / r)), int(np.floor(i * n / r)) + int(np.ceil(n / r))) for i in range(r)]
    counts, kinds = np.zeros(4, int), np.zeros((n, n), int)
    for k1 in range(n):
        for k2 in range(n):
            passing = [
                (i, j)
                for i in range(r)
                for j in range(r)
                if 10 * np.log10(np.abs(spectrum[i * n + k1, j * n + k2]) ** 2) > limit
            ]
            owners = [(i, j) for i in range(r) for j in range(r) if k1 in blocks[i] and k2 in blocks[j]]
            tangled = len(passing) >= 2
            kept = len(passing) == 1 and passing == owners
            aliased = len(passing) == 1 and not kept
            counts += [not kept and not tangled, kept, aliased, tangled]  # the first holds the aliased too
            kinds[k1, k2] = 3 if tangled else 2 if aliased else 1 if kept else 0
    return counts, np.roll(kinds, (n // 2, n // 2), (0, 1))


@pytest.mark.parametrize("r", [2, 3, 4])
@pytest.mark.parametrize("n", [4, 7, 10])
@pytest.mark.parametrize(("threshold", "reference"), [(20, "max"), (3, "max"), (0, "mean"), (10, "mean")])
def test_the_literal_rule_is_the_published_definition(n, r, threshold, reference):
    y = noise(3, n, n, seed=n * r)
    y[1] += 2
    y[2] = torch.outer(torch.linspace(0, 2, n), torch.linspace(1, -1, n)) + 0.1 * y[2]
    rule = LITERAL._replace(threshold=threshold, reference=reference)
    found, pictures = tally(y, r, rule).counts, category_map(y, r, rule)
    for k in range(3):
        counts, kinds = published(y[k].numpy(), r, threshold, reference)
        np.testing.assert_array_equal(found[k], counts)
        np.testing.assert_array_equal(pictures[k], kinds)


@pytest.mark.parametrize(
    ("y", "counts"),
    [
        # Transforms of two samples padded to four: sizes 2, sqrt 2, 0, sqrt 2; the folds of k are k and k + 2, and the
        # spectrum afterwards is 1 everywhere. At k = 0 one fold passes, at 1 both; a pair passes if both axes do.
        ([[1, 1], [1, 1]], [0, 1, 0, 3]),
        # 0, sqrt 2, 2, sqrt 2: at k = (0, 0) the fold that passes is (1, 1). It counts as no pass, too.
        ([[1, -1], [-1, 1]], [1, 0, 1, 3]),
        # Rows as the first, columns as the second: the fold (0, 1) passes.
        ([[1, -1], [1, -1]], [1, 0, 1, 3]),
        # One sample: every fold is 1.
        ([[1, 0], [0, 0]], [0, 0, 0, 4]),
        ([[0, 0], [0, 0]], [4, 0, 0, 0]),
    ],
)
def test_counts_of_four_samples_are_those_worked_out_by_hand(y, counts):
    assert tally(torch.tensor(y, dtype=torch.float64), 2, LITERAL).counts.tolist() == counts
    exclusive = tally(torch.tensor(y, dtype=torch.float64), 2, LITERAL._replace(exclusive=True)).counts.tolist()
    assert exclusive == [counts[0] - counts[2], *counts[1:]]


def test_counted_twice_is_put_right():
    shares = torch.tensor([[1.0, 0, 1, 3]]) / 5
    torch.testing.assert_close(single_counted(shares), torch.tensor([[0, 0, 0.25, 0.75]]))
    published = torch.tensor([0.363, 0.135, 0.041, 0.461], dtype=torch.float64)
    expected = torch.tensor([0.336, 0.141, 0.043, 0.481], dtype=torch.float64)
    torch.testing.assert_close(single_counted(published), expected, rtol=0, atol=6e-4)


def test_the_published_measure_sees_aliasing_in_a_constant_map_if_it_is_small():
    for n, share in ((14, 0.194), (28, 0.066), (56, 0), (112, 0)):
        flat = torch.ones(n, n)
        assert tally(flat, 2, LITERAL).counts[3].item() / n**2 == pytest.approx(share, abs=5e-4)
        for value in (1.0, 0.1, 1e-8, 0.0):  # of which ours has nothing to say
            assert tally(flat * value, 2, CORRECTED).counts.tolist() == [n**2 // 4, 0, 0, 0]


def test_the_published_measure_calls_rectified_noise_tangled_by_its_size():
    # The published figures, of a few maps: 100, 99.5, 53 and 0.4 %.
    for n, low, high in ((14, 0.98, 1), (28, 0.92, 0.995), (56, 0.48, 0.62), (112, 0.002, 0.01)):
        counts = tally(noise(8, n, n).float().relu(), 2, LITERAL).counts.double()
        assert low <= (counts[:, 3] / n**2).mean() <= high
        counts = tally(noise(8, n, n).float(), 2, LITERAL).counts.double()
        assert (counts[:, 3] / n**2).mean() > 0.99


def tone(n1, n2, f1, f2):
    """Return an oscillation of f1 and f2 periods over the map."""
    x, y = np.meshgrid(np.arange(n1), np.arange(n2), indexing="ij")
    return torch.from_numpy(np.cos(2 * np.pi * (f1 * x / n1 + f2 * y / n2) + 0.7))


def demanded(f, size, stride):
    """Return the counts that a tone demands, and its share of energy outside the own fold."""
    n = [s // r for s, r in zip(size, stride, strict=True)]
    ends = [[v % s for v, s in zip(end, size, strict=True)] for end in (f, [-v for v in f])]
    places = [tuple(v % m for v, m in zip(end, n, strict=True)) for end in ends]
    low = [min(v, s - v) for v, s in zip(ends[0], size, strict=True)]
    kind = 1 if all(2 * v <= m for v, m in zip(low, n, strict=True)) else 2
    counts = [n[0] * n[1], 0, 0, 0]
    if ends[0] != ends[1] and places[0] == places[1]:
        kind = 3  # both halves at one place
    n_places = len(set(places))
    counts[0] -= n_places
    counts[kind] += n_places
    inside = np.prod(
        [1 if r == 1 or 2 * v < m else 0.5 if 2 * v == m else 0 for v, m, r in zip(low, n, stride, strict=True)]
    )
    return counts, 1 - inside


@settings(deadline=None, max_examples=60)
@given(st.tuples(st.integers(2, 6), st.integers(2, 6)), st.tuples(st.integers(1, 4), st.integers(1, 4)), st.data())
def test_a_tone_is_where_its_frequency_demands(n, stride, data):
    if max(stride) < 2:
        return
    size = [m * r for m, r in zip(n, stride, strict=True)]
    f = [data.draw(st.integers(0, s // 2)) for s in size]
    if f == [0, 0]:
        return
    counts, outside = demanded(f, size, stride)
    y = tone(*size, *f)
    found = tally(y, stride, CORRECTED)
    assert found.counts.tolist() == counts
    assert (found.outside / found.energy).item() == pytest.approx(outside, abs=1e-9)
    assert found.energy.item() == pytest.approx(y.square().sum().item())
    picture = category_map(y, stride)
    assert torch.bincount(picture.flatten().long(), minlength=4).tolist() == counts


def test_a_picture_has_frequency_zero_in_its_centre():
    for f1, f2 in ((1, 0), (2, 3), (0, 1)):
        picture = category_map(tone(16, 16, f1, f2), 2)
        assert picture.nonzero().tolist() == [[4 - f1, 4 - f2], [4 + f1, 4 + f2]]
        assert (picture[picture > 0] == 1).all()


def test_two_tones_that_fold_together_are_tangled_unless_one_is_weak():
    near, far = tone(16, 16, 3, 1), tone(16, 16, 5, 7)  # 8 - 3, 8 - 1: they fall on each other
    assert tally(near + far, 2).counts.tolist() == [62, 0, 0, 2]
    assert tally(near + 0.05 * far, 2).counts.tolist() == [62, 2, 0, 0]
    assert tally(0.05 * near + far, 2).counts.tolist() == [62, 0, 2, 0]
    apart = tone(16, 16, 5, 2)
    assert tally(near + apart, 2).counts.tolist() == [60, 2, 2, 0]


def test_an_effective_threshold_is_12_decibels_lower_where_a_whole_fold_is_compared():
    near, apart = tone(16, 16, 3, 1), tone(16, 16, 1, 2)
    for decibels in (19.9, 20.1, 31.9, 32.1):
        y = near + 10 ** (-decibels / 20) * apart
        assert tally(y, 2).counts[1].item() == (4 if decibels < 20 else 2)
        assert tally(y, 2, CORRECTED._replace(scale="whole")).counts[1].item() == (4 if decibels < 32.04 else 2)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("stride", [2, 3, (2, 1), (1, 3), (3, 2), 4, 16])
@pytest.mark.parametrize("shape", [(16, 16), (17, 18), (20, 33)])
def test_counts_are_those_of_the_picture_and_ours_add_up(rule, stride, shape):
    y = noise(3, *shape)
    y[1] = y[1].relu()
    y[2] *= torch.linspace(0, 1, shape[1])
    found, picture = tally(y, stride, rule), category_map(y, stride, rule)
    expected = torch.stack([(picture == kind).sum((1, 2)) for kind in range(4)], 1)
    assert (expected.sum(1) == picture[0].numel()).all()
    if not rule.exclusive:
        expected[:, 0] += expected[:, 2]
    torch.testing.assert_close(found.counts, expected)
    assert ((found.outside >= 0) & (found.outside <= found.energy)).all()


@pytest.mark.parametrize("stride", [(2, 2), (2, 1), (1, 2), (3, 2), (4, 3)])
@pytest.mark.parametrize("shape", [(24, 12), (12, 36)])
def test_the_energy_outside_is_a_sum_over_frequencies(stride, shape):
    y = noise(5, *shape)
    power = np.abs(np.fft.fft2((y - y.mean((1, 2), keepdim=True)).numpy())) ** 2
    inside = []
    for side, r in zip(shape, stride, strict=True):
        periods = np.abs(np.fft.fftfreq(side) * side)
        held = 1.0 * (2 * periods * r < side) + 0.5 * (2 * periods * r == side)
        inside.append(held if r > 1 else np.ones(side))
    expected = (power * (1 - np.outer(*inside))).sum((1, 2)) / y[0].numel()
    found = tally(y, stride)
    np.testing.assert_allclose(found.outside, expected, rtol=1e-9)
    assert (found.outside > 0.1 * found.energy).all()


@pytest.mark.parametrize("stride", [2, 4, (2, 1)])
def test_a_shift_changes_no_energy_share(stride):
    y = noise(4, 16, 24)
    found = tally(y, stride)
    for shift in ((1, 0), (3, 5), (8, 12)):
        moved = tally(y.roll(shift, (1, 2)), stride)
        torch.testing.assert_close(moved.outside, found.outside)
    torch.testing.assert_close(tally(y.flip(1), stride).outside, found.outside)
    # A window sees where things are.
    hann = CORRECTED._replace(window="hann")
    assert (tally(y.roll(8, 1), stride, hann).outside - tally(y, stride, hann).outside).abs().min() > 1e-3


def test_white_noise_has_its_energy_in_all_folds_alike():
    for stride, share in ((2, 3 / 4), (3, 8 / 9), ((1, 2), 1 / 2)):
        found = tally(noise(300, 24, 24), stride)
        assert (found.outside.sum() / found.energy.sum()).item() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("rule", RULES)
def test_scale_and_company_change_nothing(rule):
    y = noise(7, 18, 18).float()
    y[3] = 0
    found = tally(y, 2, rule)
    for scale in (2.0**-90, 2.0**90):
        torch.testing.assert_close(tally(y * scale, 2, rule).counts, found.counts)
    assert found.energy[3] == 0
    assert found.counts[3].tolist() == [found.counts[3].sum(), 0, 0, 0]
    alone = torch.stack([tally(one, 2, rule).counts for one in y])
    torch.testing.assert_close(alone, found.counts)


def test_small_blocks_find_the_same(monkeypatch):
    y = noise(3, 5, 20, 20)
    found = tally(y, 2, LITERAL)
    monkeypatch.setitem(categories._VALUES, "cpu", 4000)
    torch.testing.assert_close(tally(y, 2, LITERAL), found)
    assert found.counts.shape == (3, 5, 4)
    assert found.outside.shape == (3, 5)


def test_few_maps_are_transformed_at_a_time(monkeypatch):
    sizes, half = [], categories.half
    monkeypatch.setattr(categories, "half", lambda y, size: sizes.append(len(y) * size[0] * size[1]) or half(y, size))
    tally(noise(300, 56, 56), 2, LITERAL)
    assert sum(sizes) == 300 * 112**2
    assert max(sizes) <= 2**20


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same():
    y = noise(64, 28, 28)
    for rule in RULES:
        found = tally(y.cuda(), 2, rule)
        assert found.counts.is_cuda
        torch.testing.assert_close(found.counts.cpu(), tally(y, 2, rule).counts)
        torch.testing.assert_close(category_map(y.cuda(), 2, rule).cpu(), category_map(y, 2, rule))
