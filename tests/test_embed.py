"""t-SNE, PCA and k-means against their definitions, scikit-learn and planted structure."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from openTSNE import affinity
from openTSNE import tsne as opentsne
from scipy import special
from sklearn.datasets import make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from actlib import embed, neighbours, objective


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planted(n=200, n_classes=5, distance=8.0):
    """Return classes of points round the corners of a simplex in 50 dimensions, and their labels."""
    labels = torch.arange(n) % n_classes
    return normal(n, 50) + distance * torch.eye(50, dtype=torch.float64)[labels], labels


@pytest.fixture(scope="module")
def clusters():
    """Return the planted classes with their picture."""
    x, labels = planted()
    return x, labels, embed.tsne(x, perplexity=20)


def quick(x, n_components=2, **options):
    return embed.tsne(x, n_components, **({"perplexity": 10, "n_iterations": 100} | options))


def tree(monkeypatch):
    """Let few points take the way of many."""
    monkeypatch.setattr(embed, "N_EXACT", 0)


def kl(p, y):
    """Return KL(P || Q) by scipy, with Q from its definition."""
    weights = 1 / (1 + ((y[:, None] - y) ** 2).sum(2))
    np.fill_diagonal(weights, 0)
    return special.rel_entr(p, weights / weights.sum()).sum()


@pytest.mark.parametrize("n_components", [2, 3])
def test_for_few_points_kl_is_the_objective_of_the_paper(n_components):
    x = normal(60, 6)
    found = quick(x, n_components)
    assert (found.points.shape, found.points.dtype) == ((60, n_components), torch.float32)
    assert (found.method, found.perplexity, found.seed) == ("exact", 10, 0)
    p, q = objective.affinities(x, 10), objective.similarities(found.points)
    np.testing.assert_allclose(found.kl, objective.divergence(p, q), rtol=1e-9)
    np.testing.assert_allclose(found.kl, kl(p.numpy(), found.points.double().numpy()), rtol=1e-9)


@pytest.mark.parametrize(
    ("n_components", "grid", "method"), [(2, 90, "interpolation"), (2, 91, "Barnes-Hut"), (3, 90, "Barnes-Hut")]
)
def test_for_many_points_kl_is_exact_for_the_nearest_neighbours(monkeypatch, n_components, grid, method):
    tree(monkeypatch)
    monkeypatch.setattr(embed, "N_GRID", grid)
    x = normal(90, 6)
    found = quick(x, n_components, n_iterations=20)
    assert found.method == method
    p = affinity.PerplexityBasedNN(x.numpy(), 10, method="exact").P.toarray()
    np.testing.assert_allclose(found.kl, kl(p, found.points.double().numpy()), rtol=1e-9)


def test_the_exact_gradient_is_that_of_opentsne_with_a_tree_that_spares_nothing():
    x, y = normal(40, 5), normal(40, 2, seed=1).numpy()
    given = affinity.PerplexityBasedNN(x.numpy(), 8, method="exact", k_neighbors=39)
    _, theirs = opentsne.kl_divergence_bh(y, given.P, dof=1, bh_params={"theta": 0.0})
    _, ours = embed._exact(y, objective.affinities(x, 8).numpy(), dof=1, n_jobs=1)
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_tree_and_exact_gradient_find_pictures_that_are_equally_good(monkeypatch, clusters):
    x, labels, exact = clusters
    tree(monkeypatch)
    found = embed.tsne(x, perplexity=20)
    scores = [neighbours.trustworthiness(x, picture.points) for picture in (exact, found)]
    np.testing.assert_allclose(*scores, atol=0.03)
    assert neighbours.accuracy(found.points, labels) > 0.99
    # A tree's P leaves out all but the nearest neighbours.
    assert abs(found.kl - kl(objective.affinities(x, 20).numpy(), found.points.double().numpy())) > 1e-4


def test_more_iterations_make_the_objective_smaller():
    x = normal(80, 6)
    values = [quick(x, n_iterations=n).kl for n in (1, 30, 300)]
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("exact", [True, False])
def test_one_seed_gives_one_picture_and_leaves_other_randomness_and_the_terminal_alone(monkeypatch, capfd, exact):
    if not exact:
        tree(monkeypatch)
    x = normal(40, 6)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    pictures = [quick(x, seed=seed, initialization="random").points for seed in (3, 3, 4)]
    torch.testing.assert_close(pictures[0], pictures[1], rtol=0, atol=0)
    assert (pictures[0] - pictures[2]).abs().max() > 1
    first = [quick(x, seed=seed, n_iterations=1).points for seed in (3, 4)]
    assert (first[0] - first[1]).abs().max() > 0
    torch.testing.assert_close(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    assert capfd.readouterr() == ("", "")


def test_the_start_from_components_makes_the_seed_matter_little():
    line = normal(100, 1).cumsum(0) + 0.01 * normal(100, 5)
    by_pca, by_chance = (
        [quick(line, seed=seed, n_iterations=100, initialization=start).points for seed in (0, 1)]
        for start in ("pca", "random")
    )
    assert torch.dist(*by_pca) < 0.3 * torch.dist(*by_chance)


def test_places_of_one_s_own_are_taken_as_they_are():
    x = normal(40, 5)
    own = 1000 * embed.pca(x, 2).points
    moved = [(quick(x, initialization=start, n_iterations=1).points - own).norm(dim=1) for start in (own, "pca")]
    assert moved[0].max() < 6  # openTSNE lets a point go 5 in one step
    assert moved[1].min() > 100
    np.testing.assert_allclose(embed._start(x, 2, "pca", 0).std(0).max(), 1e-4, rtol=0.3)


def test_the_true_sheet_is_kept_where_other_starts_tear_it():
    angle = np.linspace(1.5 * np.pi, 4.5 * np.pi, 30)
    row, column = (index.ravel() for index in np.indices((30, 12)))
    roll = np.stack([angle[row] * np.cos(angle[row]), 2.9 * column, angle[row] * np.sin(angle[row])], axis=1)
    sheet = np.stack([row, column], axis=1) - [14.5, 5.5]
    true, usual = (quick(roll, perplexity=20, n_iterations=500, initialization=start) for start in (sheet, "pca"))
    assert true.kl < 0.95 * usual.kl


def test_more_than_50_dimensions_are_reduced_unless_asked_otherwise():
    x = normal(70, 60)
    reduced, whole = quick(x).points, quick(x, n_pca=None).points
    torch.testing.assert_close(quick(embed.pca(x, 50).points).points, reduced)
    torch.testing.assert_close(quick(x, n_pca=60).points, whole)
    assert (reduced - whole).abs().max() > 0.1
    few = normal(33, 60)  # fewer points than components: nothing to leave out
    torch.testing.assert_close(quick(few).points, quick(few, n_pca=None).points)


@pytest.mark.parametrize("kind", ["numpy", "float32", "images", "gradient", "bytes"])
def test_what_holds_the_same_numbers_gives_the_same_picture(kind):
    x = torch.randint(256, (40, 12), generator=torch.Generator().manual_seed(0))
    other = {
        "numpy": x.numpy(), "float32": x.float(), "images": x.view(40, 1, 3, 4),
        "gradient": x.float().requires_grad_(), "bytes": x.byte(),
    }[kind]  # fmt: skip
    torch.testing.assert_close(quick(other).points, quick(x.double()).points)


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**-66, 2.0**50, 2.0**66, 2.0**300])
@pytest.mark.parametrize("exact", [True, False])
def test_the_scale_of_the_data_does_not_matter(monkeypatch, exact, scale):
    if not exact:
        tree(monkeypatch)
    x = normal(60, 6)
    found, expected = quick(x * scale, n_iterations=1), quick(x, n_iterations=1)
    np.testing.assert_allclose(found.kl, expected.kl, rtol=1e-3)
    found, expected = embed.pca(x * scale, 3), embed.pca(x, 3)
    torch.testing.assert_close(found.points / scale, expected.points)
    torch.testing.assert_close(found[1::2], expected[1::2])
    inertias = [embed.kmeans(x * factor, 3, seed=0).inertia / factor**2 for factor in (scale, 1)]
    np.testing.assert_allclose(*inertias)


def test_points_far_apart_have_their_own_neighbours_beside_points_close_together(monkeypatch):
    tree(monkeypatch)
    shares = []
    monkeypatch.setattr(embed, "_divergence", lambda p, y: shares.append(p.toarray()[:30, :30]) or 0.0)
    for width in (2.0**40, 2.0**60, 2.0**120):
        x = normal(60, 6)
        x[:30] *= width  # seen from there, the others are one point
        quick(x, n_iterations=1)
    for found in shares[1:]:
        np.testing.assert_allclose(found, shares[0], rtol=0.05, atol=1e-5)


def test_constant_features_change_nothing():
    x = normal(60, 4)
    wider = torch.cat([torch.full((60, 2), 3.0, dtype=torch.float64), x, torch.zeros(60, 1, dtype=torch.float64)], 1)
    np.testing.assert_allclose(quick(wider).kl, quick(x).kl, rtol=0.02)
    found, plain = embed.pca(wider, 2), embed.pca(x, 2)
    torch.testing.assert_close(found.points, plain.points)
    torch.testing.assert_close(found.components[:, 2:6], plain.components)
    torch.testing.assert_close(found.components[:, [0, 1, 6]], torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("exact", [True, False])
def test_copies_end_side_by_side(monkeypatch, exact):
    if not exact:
        tree(monkeypatch)
    x = normal(90, 5)
    x[50:53] = x[0].clone()
    x[60:] = x[1].clone()  # more copies than the perplexity
    found = quick(x, n_iterations=300)
    assert found.points.isfinite().all()
    assert math.isfinite(found.kl)
    distances = torch.cdist(found.points, found.points)
    typical = distances[:50, :50].median()
    assert distances[0, 50:53].max() < 0.1 * typical
    assert neighbours.nearest(found.points[:53], 3).indices[0].sort().values.tolist() == [50, 51, 52]


def test_planted_classes_are_seen_and_shuffled_ones_are_at_chance(clusters):
    x, labels, picture = clusters
    found = embed.measures(x, picture.points, labels)
    assert min(found.accuracy_full, found.accuracy_picture) > 0.99
    assert found.silhouette_picture > 0.6
    assert min(found.trustworthiness, found.continuity) > 0.75
    shuffled = labels[torch.randperm(200, generator=torch.Generator().manual_seed(2))]
    # A share of one in five; neighbours that vote for each other agree, at most twice the variance.
    assert abs(embed.measures(x, picture.points, shuffled).accuracy_picture - 0.2) < 4 * math.sqrt(2 * 0.2 * 0.8 / 200)


def test_a_random_picture_has_low_measures(clusters):
    x, labels, _ = clusters
    found = embed.measures(x, normal(200, 2, seed=5), labels)
    assert abs(found.trustworthiness - 0.5) < 0.05
    assert abs(found.continuity - 0.5) < 0.05
    assert found.accuracy_picture < 0.35 < found.accuracy_full
    assert found.silhouette_picture < 0 < found.silhouette_full


def test_measures_are_those_of_neighbours_and_none_without_labels(clusters):
    x, labels, picture = clusters
    y = picture.points
    expected = embed.Measures(
        neighbours.accuracy(x, labels, 3), neighbours.accuracy(y, labels, 3), neighbours.trustworthiness(x, y, 7),
        neighbours.continuity(x, y, 7), neighbours.silhouette(x, labels), neighbours.silhouette(y, labels),
    )  # fmt: skip
    assert embed.measures(x, y, labels, k_accuracy=3, k=7) == expected
    assert embed.measures(x, y, k=7) == embed.Measures(None, None, *expected[2:4], None, None)


def test_a_swiss_roll_is_unrolled_better_than_by_its_principal_components(monkeypatch):
    tree(monkeypatch)
    x, _ = make_swiss_roll(300, random_state=0)
    flat, projected = embed.tsne(x, perplexity=20).points, embed.pca(x, 2).points
    assert neighbours.trustworthiness(x, flat) > 0.99 > 0.97 > neighbours.trustworthiness(x, projected)


def test_a_ball_fits_space_better_than_the_plane():
    x = normal(150, 3)
    pictures = [embed.tsne(x, k, perplexity=20, n_iterations=200) for k in (2, 3)]
    assert pictures[1].kl < pictures[0].kl
    assert neighbours.trustworthiness(x, pictures[1].points) > neighbours.trustworthiness(x, pictures[0].points)


@pytest.mark.parametrize("shape", [(80, 12), (12, 80), (20, 20)])
def test_pca_agrees_with_scikit_learn(shape):
    x = normal(*shape) * torch.linspace(5, 1, shape[1]) + 100
    theirs = PCA(6, svd_solver="full").fit(x.numpy())
    found = embed.pca(x, 6)
    np.testing.assert_allclose(found.mean, theirs.mean_)
    np.testing.assert_allclose(found.explained, theirs.explained_variance_ratio_, rtol=1e-9)
    signs = (found.components.numpy() * theirs.components_).sum(1)
    np.testing.assert_allclose(abs(signs), np.ones(6))
    np.testing.assert_allclose(found.points.numpy() * signs, theirs.transform(x.numpy()), atol=1e-9)


@pytest.mark.parametrize("shape", [(30, 7), (7, 30)])
def test_all_components_rebuild_the_points_and_explain_everything(shape):
    x = normal(*shape) * 3 + 7
    found = embed.pca(x, 7)
    torch.testing.assert_close(found.mean + found.points @ found.components, x)
    torch.testing.assert_close(found.components @ found.components.T, torch.eye(7, dtype=torch.float64))
    np.testing.assert_allclose(found.explained.sum(), 1)
    assert (found.explained.diff() <= 0).all()
    largest = found.components.gather(1, found.components.abs().argmax(1, keepdim=True))
    assert (largest > 0).all()
    torch.testing.assert_close(embed.pca(-x, 7).components, found.components)


def test_pca_finds_planted_variances_far_from_the_origin():
    n, sds = 4000, torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)
    turn = torch.linalg.qr(normal(10, 10)).Q[:3]
    found = embed.pca(((normal(n, 3, seed=1) * sds) @ turn + 1e5).float(), 3)
    np.testing.assert_allclose(found.explained, sds**2 / 21, atol=0.02)
    np.testing.assert_allclose((found.components @ turn.T).diagonal().abs(), np.ones(3), atol=0.01)


def test_kmeans_finds_planted_clusters_and_repeats_with_its_seed():
    x, labels = planted()
    found = embed.kmeans(x.float().view(200, 2, 25), 5, seed=0)
    assert adjusted_rand_score(labels, found.labels) > 0.99
    torch.testing.assert_close(embed.kmeans(x, 5, seed=0).labels, found.labels)
    centres = torch.stack([x[found.labels == k].mean(0) for k in range(5)])
    torch.testing.assert_close(found.centres, centres, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.inertia, (x - centres[found.labels]).square().sum(), rtol=1e-5)
    assert abs(adjusted_rand_score(labels, embed.kmeans(normal(200, 50, seed=9), 5, seed=0).labels)) < 0.05


def broken(value, n=60):
    x = normal(n, 4)
    x[7, 3] = value
    return x


X = normal(60, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: embed.tsne(X), "perplexity = 50 needs 150 points, x has 60; lower it to at most 20"),
        (lambda: embed.tsne(X, perplexity=20.1), "perplexity = 20.1 needs 61 points, x has 60; lower it to at most 20"),
        (lambda: quick(X, perplexity=1.0), "perplexity = 1.0; give a number above 1"),
        (lambda: quick(X, perplexity=math.inf), "perplexity = inf; give a number above 1"),
        (lambda: quick(X, perplexity=math.nan), "perplexity = nan; give a number above 1"),
        (lambda: quick(X, 4), "n_components = 4; choose 2 or 3"),
        (lambda: quick(X, 1), "n_components = 1; choose 2 or 3"),
        (lambda: quick(X, initialization="spectral"), "initialization = 'spectral'; choose 'pca' or 'random'"),
        (lambda: quick(X, initialization=X), r"initialization is \(60, 4\), not \(60, 2\): one place"),
        (lambda: quick(X, initialization=broken(math.nan)), "1 of 60 points in initialization hold NaN"),
        (lambda: quick(X, n_iterations=0), "n_iterations = 0; give at least 1"),
        (lambda: quick(X, n_threads=0), "n_threads = 0; give at least 1"),
        (lambda: quick(X, n_pca=0), "n_components = 0 for 60 points of 4 features; choose 1 to 4"),
        (lambda: quick(X[:, 0]), "n_components = 2 for 60 points of 1 features; choose 1 to 1"),
        (lambda: quick(broken(math.nan)), "1 of 60 points in x hold NaN or infinity, the first is point 7"),
        (lambda: quick(torch.ones(60, 3)), "all 60 points in x are the same"),
        (lambda: embed.pca(X, 5), "n_components = 5 for 60 points of 4 features; choose 1 to 4"),
        (lambda: embed.pca(X, 2.0), "n_components = 2.0 for 60 points of 4 features; choose 1 to 4, a whole number"),
        (lambda: embed.pca(X * 1e200, 2), r"x goes to .*e\+200 and differs by"),
        (lambda: quick(X * 1e-200), "x goes to .*e-200 and differs by"),
        (lambda: embed.kmeans(X, True, seed=0), "k = True for 60 different points; choose 1 to 60, a whole number"),
        (lambda: embed.pca(broken(math.inf), 2), "1 of 60 points in x hold NaN"),
        (lambda: embed.kmeans(X, 61, seed=0), "k = 61 for 60 different points; choose 1 to 60"),
        (lambda: embed.kmeans(X[[0, 0, 1, 1, 2]], 4, seed=0), "k = 4 for 3 different points"),
        (lambda: embed.kmeans(X, 0, seed=0), "k = 0 for 60 different points"),
        (lambda: embed.kmeans(broken(math.nan), 2, seed=0), "1 of 60 points in x hold NaN"),
        (lambda: embed.measures(X, X[:50]), "x has 60 points and y 50"),
        (lambda: embed.measures(X, X, torch.zeros(59).int()), r"labels: torch.int32 of shape \(59,\); give 60"),
        (lambda: embed.measures(X, X, torch.zeros(60).int()), "labels name 1 classes for 60 points"),
    ],
)
def test_what_cannot_be_done_is_refused(monkeypatch, call, message):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests, where types go unchecked
    with pytest.raises(ValueError, match=message):
        call()


def test_a_line_of_numbers_starts_at_random():
    assert quick(X[:, 0], initialization="random").points.isfinite().all()
