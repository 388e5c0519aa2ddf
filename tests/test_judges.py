"""Judges: each confidence by hand, the linear theory where it is exact, learners on planted truth and on noise."""

import math
import pickle

import jaxtyping
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.exceptions import NotFittedError
from torch import nn

from actlib import judges, models, robustness, scores

CORRECTNESS = ["sorted-logits", "k-nn", "boosted-trees", "mlp"]
ROBUSTNESS = ["ridge", "k-nn", "boosted-trees", "mlp"]


@pytest.fixture
def untyped(monkeypatch):
    """As outside the tests, where types go unchecked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rng(seed=0):
    return np.random.default_rng(seed)


def linear(n_classes=2, size=3, seed=0):
    """A linear network in float64, its weights and biases."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(size * size, n_classes)).double()
    net[1].weight.data = torch.randn(n_classes, size * size, generator=seeded(seed)).double()
    net[1].bias.data = 0.3 * torch.randn(n_classes, generator=seeded(seed + 1)).double()
    return net


def pictures(n=6, size=3, channels=1, seed=7):
    return torch.rand(n, channels, size, size, generator=seeded(seed)).double()


def everything(m, n):
    """A selection of all images for each of m networks."""
    labels = torch.arange(n) % 2
    return robustness.select(labels.expand(m, n), labels, n)


def study(m=3, n=12):
    """LeNets in float64, their stacked parameters, images and a selection with unequal shares."""
    nets = [models.lenet5(generator=seeded(k)).double().eval() for k in range(m)]
    images = pictures(n, 28)
    predictions = torch.randint(4, (m, n), generator=seeded(3))
    labels = torch.randint(4, (n,), generator=seeded(4))
    return nets, torch.func.stack_module_state(nets)[0], images, robustness.select(predictions, labels, 2)


def by_differences(net, image, sigma, step=1e-6):
    """The estimate for one image (1 h w), its gradient pixel by pixel from the two classes' logits alone."""
    with torch.no_grad():
        logits = net(image[None])[0].tolist()
        first, second = sorted(range(len(logits)), key=lambda k: -logits[k])[:2]
        shifts = step * torch.eye(image.numel(), dtype=image.dtype).reshape(-1, *image.shape)
        up, down = net(image + shifts), net(image - shifts)
    lead = (up[:, first] - up[:, second]) - (down[:, first] - down[:, second])
    length = math.sqrt(((lead / (2 * step)) ** 2).sum())
    return stats.norm.cdf((logits[first] - logits[second]) / (sigma * length))


@pytest.mark.parametrize("kind", [np.float64, np.float32, torch.float64, torch.float32, torch.bfloat16])
def test_confidences_are_those_of_a_loop(kind):
    logits = rng().normal(0, 3, (20, 5))
    given = torch.tensor(logits, dtype=kind) if isinstance(kind, torch.dtype) else logits.astype(kind)
    rows = given.double().numpy() if isinstance(kind, torch.dtype) else given.astype(np.float64)
    for k, row in enumerate(rows.tolist()):
        powers = [math.exp(value) for value in row]
        chances = [power / sum(powers) for power in powers]
        np.testing.assert_allclose(judges.max_softmax(given)[k], max(chances))
        np.testing.assert_allclose(judges.entropy(given)[k], sum(p * math.log(p) for p in chances))
        ordered = sorted(row, reverse=True)
        np.testing.assert_allclose(judges.margin(given)[k], ordered[0] - ordered[1])
        np.testing.assert_allclose(judges.sorted_logits(given)[k], ordered)


@pytest.mark.parametrize("name", ["max_softmax", "entropy", "margin"])
def test_confidences_grow_with_the_lead_and_know_their_limits(name):
    lead = np.array([0.0, 0.1, 1, 5, 30])
    logits = np.stack([lead, 0 * lead, 0 * lead], 1)
    found = getattr(judges, name)(logits)
    assert (np.diff(found) > 0).all()
    least = {"max_softmax": 1 / 3, "entropy": -math.log(3), "margin": 0}[name]
    np.testing.assert_allclose(found[0], least)
    np.testing.assert_allclose(getattr(judges, name)(logits[:, ::-1] + 7.0), found, atol=1e-12)  # a class is a class
    large = getattr(judges, name)(np.array([[2000.0, -2000.0, 0.0]]))
    np.testing.assert_allclose(large, {"max_softmax": 1, "entropy": 0, "margin": 2000}[name])


def test_confidences_of_a_network_s_own_output_leave_its_graph_alone():
    logits = linear(4)(pictures())
    kept = logits.detach().clone()
    judges.margin(logits)
    torch.testing.assert_close(logits.detach(), kept, rtol=0, atol=0)
    assert logits.requires_grad


def test_the_linear_estimate_is_that_of_finite_differences():
    nets, state, images, selection = study(2, 4)
    found = judges.jacobian_margin(state, images, selection, sigma=1.7)
    pairs = zip(selection.model.tolist(), selection.image.tolist(), strict=True)
    expected = [by_differences(nets[model], images[image], 1.7) for model, image in pairs]
    assert np.std(expected) > 0.03
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    net, small = models.mlp((15,), 4, input_shape=(2, 5, 5), generator=seeded(2)).double(), pictures(9, 5, 2)
    chosen = everything(1, 9)
    expected = [by_differences(net, small[k], 0.9) for k in chosen.image.tolist()]
    np.testing.assert_allclose(judges.jacobian_margin(net, small, chosen), expected, rtol=1e-5)


def test_on_a_linear_network_of_two_classes_the_estimate_is_the_share_of_copies():
    net, images = linear(), pictures(40)
    chosen = everything(1, 40)
    n = 20_000
    for sigma in (0.1, 0.9):
        found = judges.jacobian_margin(net, images, chosen, sigma=sigma)
        options = {"sigma": sigma, "n_copies": n, "noise": "independent", "generator": seeded(2)}
        ratios = robustness.selected_ratios(net, images, chosen, **options).numpy()
        spread = np.sqrt(found * (1 - found) / n)
        assert (abs(ratios - found) <= 4.5 * spread + 1e-4).all()
        assert found.std() > 0.02
    np.testing.assert_allclose(judges.jacobian_margin(net, images, chosen), found)  # the study's 0.9


def test_with_a_third_class_the_estimate_is_too_high():
    net, images = linear(6), pictures(30)
    chosen = everything(1, 30)
    found = judges.jacobian_margin(net, images, chosen)
    options = {"n_copies": 4000, "noise": "independent", "generator": seeded(2)}
    ratios = robustness.selected_ratios(net, images, chosen, **options).numpy()
    assert (found > ratios - 4.5 * 0.5 / math.sqrt(4000)).all()
    assert (found - ratios).mean() > 0.05


def test_batches_and_uint8_images_do_as_well(monkeypatch):
    net, images = linear(3, 4), (pictures(9, 4) * 255).byte()
    chosen = everything(1, 9)
    expected = judges.jacobian_margin(net, images.double() / 255, chosen)
    monkeypatch.setattr(judges, "_BATCH", 2)
    np.testing.assert_allclose(judges.jacobian_margin(net, images, chosen), expected, rtol=1e-12)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradients_modes_and_flags_stay_as_they_were(mode):
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(9, 3), nn.ReLU(), nn.Linear(3, 3)).double().train()
    net[2].weight.requires_grad_(False)
    net[4].bias.grad = torch.ones(3).double()
    images = pictures()
    kept = images.clone()
    with mode():
        before = torch.is_grad_enabled()
        found = judges.jacobian_margin(net, images, everything(1, 6))
        assert torch.is_grad_enabled() == before
    assert all(module.training for module in net.modules())
    torch.testing.assert_close(net[4].bias.grad, torch.ones(3).double())
    assert net[2].weight.grad is net[2].bias.grad is net[4].weight.grad is None
    assert [p.requires_grad for p in net.parameters()] == [False, True, True, True]
    torch.testing.assert_close(images, kept, rtol=0, atol=0)
    assert not images.requires_grad
    kept.requires_grad_()
    np.testing.assert_allclose(judges.jacobian_margin(net, kept, everything(1, 6)), found, rtol=0, atol=0)
    assert kept.grad is None
    again = judges.jacobian_margin(net, images, everything(1, 6))
    np.testing.assert_allclose(found, again, rtol=0, atol=0)  # dropout is off
    with mode():
        _, state, images, selection = study(2, 8)
        assert np.isfinite(judges.jacobian_margin(state, images, selection)).all()


def test_a_flat_network_stays_and_a_diverged_one_has_no_estimate():
    net, images = linear(), pictures()
    net[1].weight.data.zero_()
    np.testing.assert_allclose(judges.jacobian_margin(net, images, everything(1, 6)), np.ones(6))
    net[1].bias.data[:] = 0  # both logits equal: no noise turns them
    np.testing.assert_allclose(judges.jacobian_margin(net, images, everything(1, 6)), np.ones(6))
    for value in (math.nan, math.inf):
        net[1].bias.data[1] = value
        assert np.isnan(judges.jacobian_margin(net, images, everything(1, 6))).all()


def planted(n=1200, seed=0, k=10):
    """Logits, a share that is a function of their margin, and whether the prediction is right: more so for a margin."""
    logits = rng(seed).normal(0, 2, (n, k)).astype(np.float32)
    ordered = np.sort(logits, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    share = stats.norm.cdf(lead / 1.5)
    return logits, share, rng(seed + 1).random(n) < stats.norm.cdf(2 * (lead - np.median(lead)))


@pytest.mark.parametrize("name", CORRECTNESS)
def test_planted_correctness_is_found_and_shuffled_labels_give_chance(name):
    logits, _, right = planted()
    features = logits if name == "sorted-logits" else judges.sorted_logits(logits)
    train, test = slice(0, 900), slice(900, None)
    judge = judges.fit(judges.correctness(name), features[train], right[train])
    found = judges.predict(judge, features[test])
    assert found.dtype == np.float64
    best = scores.classification(stats.norm.cdf(judges.margin(logits[test])), right[test]).auroc
    assert scores.classification(found, right[test]).auroc > best - 0.1 > 0.75
    shuffled = rng(5).permutation(right)
    chance = judges.predict(judges.fit(judges.correctness(name), features[train], shuffled[train]), features[test])
    # If nothing is to be known the AUROC has this deviation (Mann and Whitney).
    n, n_right = 300, shuffled[test].sum()
    deviation = math.sqrt((n + 1) / (12 * n_right * (n - n_right)))
    assert abs(scores.classification(chance, shuffled[test]).auroc - 0.5) < 4 * deviation


@pytest.mark.parametrize("name", ROBUSTNESS)
def test_a_planted_share_is_found_and_shuffled_ones_are_not(name):
    logits, share, _ = planted()
    features = judges.sorted_logits(logits)
    train, test = slice(0, 900), slice(900, None)
    judge = judges.fit(judges.robustness(name), features[train], share[train])
    found = judges.predict(judge, features[test])
    assert found.min() >= 0
    assert found.max() <= 1
    assert scores.regression(found, share[test]).r2 > {"k-nn": 0.6}.get(name, 0.8)
    shuffled = rng(5).permutation(share[train])
    chance = judges.predict(judges.fit(judges.robustness(name), features[train], shuffled), features[test])
    assert scores.regression(chance, share[test]).r2 < 0.1


def test_the_order_of_the_classes_hides_the_margin_from_a_linear_judge():
    logits, share, _ = planted()
    raw = judges.fit(judges.robustness("ridge"), logits[:900], share[:900])
    assert scores.regression(judges.predict(raw, logits[900:]), share[900:]).r2 < 0.05


def test_sorted_logits_judge_does_not_know_the_classes_and_others_do():
    logits, _, right = planted()
    judge = judges.fit(judges.correctness("sorted-logits"), logits[:900], right[:900])
    turned = np.ascontiguousarray(logits[:, rng().permutation(10)])
    np.testing.assert_allclose(judges.predict(judge, turned), judges.predict(judge, logits), rtol=0, atol=1e-12)
    other = judges.fit(judges.correctness("k-nn"), logits[:900], right[:900])
    assert abs(judges.predict(other, turned) - judges.predict(other, logits)).max() > 0.1


def test_nearest_neighbours_are_the_mean_of_the_25_nearest_standardised_rows():
    logits, share, right = planted(200)
    features = logits * np.geomspace(1, 100, 10, dtype=np.float32)
    scale = features[:150].std(0)
    for made, target in ((judges.correctness("k-nn"), right), (judges.robustness("k-nn"), share)):
        found = judges.predict(judges.fit(made, features[:150], target[:150]), features[150:])
        for row, value in zip(features[150:], found, strict=True):
            distance = [sum(((row - other) / scale) ** 2) for other in features[:150]]
            nearest = sorted(range(150), key=distance.__getitem__)[:25]
            np.testing.assert_allclose(value, np.mean(target[nearest]), rtol=1e-9)


def test_ridge_is_least_squares_where_there_is_no_noise_and_shares_are_cut():
    features = rng().normal(0, 1, (300, 3))
    share = (0.5 + features @ [0.05, -0.03, 0.02]).clip(0, 1)
    judge = judges.fit(judges.robustness("ridge"), features, share)
    np.testing.assert_allclose(judges.predict(judge, features), share, atol=1e-4)
    far = judges.predict(judge, 100 * features)
    np.testing.assert_allclose(np.unique(far)[[0, -1]], [0, 1])


def test_a_seed_fixes_what_is_drawn_and_the_learner_stays_unfitted():
    logits, share, right = planted(400)
    for made, target in ((judges.correctness, right), (judges.robustness, share)):
        first, again, other = (made("mlp", seed=seed) for seed in (1, 1, 2))
        found = [judges.predict(judges.fit(judge, logits, target), logits) for judge in (first, again, other)]
        np.testing.assert_allclose(found[0], found[1], rtol=0, atol=0)
        assert abs(found[0] - found[2]).max() > 1e-4
        with pytest.raises(NotFittedError):
            judges.predict(first, logits)


def test_a_fitted_judge_can_be_kept_and_features_are_left_alone():
    logits, _, right = planted(100)
    kept = logits.copy()
    judge = judges.fit(judges.correctness("sorted-logits"), logits, right)
    same = pickle.loads(pickle.dumps(judge))
    np.testing.assert_allclose(judges.predict(same, logits), judges.predict(judge, logits))
    np.testing.assert_array_equal(logits, kept)


def test_logits_that_are_none_are_refused(untyped):
    for name in ("max_softmax", "entropy", "margin", "sorted_logits"):
        for logits, message in (
            (np.zeros((3, 1)), r"shape \(3, 1\); give rows of two classes"),
            (np.zeros(4), r"shape \(4,\)"),
            (torch.zeros(2, 3, 4), r"shape \(2, 3, 4\)"),
            (np.array([[1.0, 2.0], [np.inf, 0.0]]), "1 of 2 rows of logits hold NaN or infinity, the first is row 1"),
        ):
            with pytest.raises(ValueError, match=message):
                getattr(judges, name)(logits)


def test_pairs_that_do_not_belong_together_are_refused(untyped):
    nets, state, images, selection = study(2, 8)
    for sigma in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"sigma = {sigma}; give a finite standard deviation above 0"):
            judges.jacobian_margin(state, images, selection, sigma=sigma)
    for change, message in (
        ({"population": nets[0]}, "there are 1 networks"),
        ({"images": images[:3]}, "and 3 images"),
        ({"images": images[0]}, "add the missing axis"),
        ({"images": 3 * images}, r"not in \[0, 1\]"),
        ({"selection": selection._replace(image=selection.image[:0])}, "holds no pair"),
    ):
        given = {"population": state, "images": images, "selection": selection} | change
        with pytest.raises(ValueError, match=message):
            judges.jacobian_margin(**given)


def test_what_no_judge_learns_from_is_refused(untyped):
    logits, share, right = planted(60)
    for make, names in ((judges.correctness, CORRECTNESS), (judges.robustness, ROBUSTNESS)):
        with pytest.raises(ValueError, match=f"unknown judge 'oracle'; choose one of .*{names[0]}"):
            make("oracle")
    holed = logits.copy()
    holed[7, 2] = np.nan
    kind, amount = judges.correctness("k-nn"), judges.robustness("ridge")
    for judge, features, target, message in (
        (kind, holed, right, "1 of 60 rows of features hold NaN or infinity, the first is row 7"),
        (kind, logits[:, 0], right, r"shape \(60,\); give \(n, d\)"),
        (kind, logits[:, :0], right, r"shape \(60, 0\)"),
        (kind, logits[:29], right[:29], "29 rows of features .* give 30 rows or more"),
        (kind, logits, right[:59], r"target of shape \(59,\)"),
        (kind, logits, np.ones(60, bool), "bool, 60 of 60 True; give 10 bools of each kind"),
        (kind, logits, np.arange(60) < 9, "9 of 60 True"),
        (kind, logits, right.astype(np.uint8), "the target is uint8; give 10 bools"),
        (amount, logits, share + 0.5, r"the target lies in \[.*\]; give shares in \[0, 1\]"),
        (amount, logits, share - 0.9, r"give shares in \[0, 1\]"),
        (amount, logits, np.where(np.arange(60) == 3, np.nan, share), r"lies in \[nan, nan\]"),
    ):
        with pytest.raises(ValueError, match=message):
            judges.fit(judge, features, target)
    fitted = judges.fit(amount, logits, share)
    for features, message in ((holed, "row 7"), (logits[:, :9], "9 features"), (logits[0], r"shape \(10,\)")):
        with pytest.raises(ValueError, match=message):
            judges.predict(fitted, features)
