"""Simple judges of a prediction: whether it is right, and how often it withstands noise (M6).

What a meta-network has to beat: a confidence from the logits, the linear theory of noise, and the usual learners of
scikit-learn. Arrays of numpy come out, one number for each pair of a network and an image.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Float64, Real, Shaped
from numpy import ndarray
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn

from actlib.members import Population, members, n_members, prepared
from actlib.selection import Selection

Logits = Float[Tensor, "p k"] | Float[ndarray, "p k"]

# Images of one network in one forward and backward pass.
_BATCH = 1024
# Enough for every learner: rows, and of a classifier rows of each kind; k-nn asks so many.
_LEAST, _LEAST_OF_A_KIND, _NEIGHBOURS = 30, 10, 25
# One hidden layer as wide as the study's; a tenth of the rows says when to stop.
_MLP = {"hidden_layer_sizes": (256,), "early_stopping": True, "max_iter": 300}


def max_softmax(logits: Logits) -> Float64[ndarray, " p"]:
    """Return the largest probability of each row of logits, 1/k to 1 (Hendrycks and Gimpel 2017).

    Raises
    ------
    ValueError
        If the logits are not finite, or not those of two classes or more.
    """
    return np.exp(log_softmax(_checked_logits(logits), axis=1)).max(1)


def entropy(logits: Logits) -> Float64[ndarray, " p"]:
    """Return minus the entropy of each row's probabilities, -log k to 0 nats: higher is surer, as in all confidences.

    Errors as ``max_softmax``.
    """
    logs = log_softmax(_checked_logits(logits), axis=1)
    return (np.exp(logs) * logs).sum(1)


def margin(logits: Logits) -> Float64[ndarray, " p"]:
    """Return how far the largest logit of each row is above the second largest, 0 or more.

    It still differs where ``max_softmax`` is rounded to 1. Errors as ``max_softmax``.
    """
    ordered = sorted_logits(logits)
    return ordered[:, 0] - ordered[:, 1]


def sorted_logits(logits: Logits) -> Float64[ndarray, "p k"]:
    """Return each row's logits, the largest first, so that it no longer matters which class they are of.

    Errors as ``max_softmax``.
    """
    return -np.sort(-_checked_logits(logits), axis=1)


def jacobian_margin(
    population: Population, images: Tensor, selection: Selection, *, sigma: float | int = 0.9
) -> Float64[ndarray, " p"]:
    """Return how often normal noise would leave the prediction of each selected pair, if the network were linear.

    The margin of the two largest logits divided by sigma and by the length of the margin's gradient with respect to the
    image is how many standard deviations of the noise away the margin is from zero; its normal distribution function
    is the estimate. It is exact for a linear network of two classes. Of a linear one with more classes it is too high,
    as noise may raise a third class; how it errs for other networks is to be measured.

    Parameters
    ----------
    population, images, selection
        As for ``robustness.selected_ratios``. Gradients, modes and flags are left as they are.
    sigma
        Standard deviation of the noise, in units of a pixel's value, above 0.

    Returns
    -------
    ndarray
        0.5 to 1; 1 where the gradient is zero, and NaN where the logits are not finite, in the order of the selection.

    Raises
    ------
    ValueError
        If selection, images and networks do not belong together, or sigma is out of range.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma = {sigma}; give a finite standard deviation above 0")
    with torch.inference_mode(False), torch.enable_grad():
        images = prepared(population, images)
        rows = selection.rows(n_members(population), len(images))
        found = [
            _linear_estimate(network, images[part.to(images.device)], sigma)
            for network, own in zip(members(population, images), rows, strict=True)
            for part in own.split(_BATCH)
        ]
    return torch.cat(found).cpu().numpy()


def correctness(name: str, *, seed: int = 0) -> BaseEstimator:
    """Return a learner of whether a prediction is right, for ``fit`` and ``predict``.

    Parameters
    ----------
    name
        "sorted-logits": logistic regression on the sorted and standardised logits. "k-nn": the share of right ones
        among the 25 nearest rows, standardised. "boosted-trees": gradient boosting in histograms. "mlp": one hidden
        layer of 256 on standardised features.
    seed
        Of what a learner draws, 0 or more; "sorted-logits" and "k-nn" draw nothing.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return _choose(name, {
        "sorted-logits": lambda: make_pipeline(
            FunctionTransformer(sorted_logits), StandardScaler(), LogisticRegression(max_iter=1000)
        ),
        "k-nn": lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(_NEIGHBOURS)),
        "boosted-trees": lambda: HistGradientBoostingClassifier(random_state=seed),
        "mlp": lambda: make_pipeline(StandardScaler(), MLPClassifier(**_MLP, random_state=seed)),
    })  # fmt: skip


def robustness(name: str, *, seed: int = 0) -> BaseEstimator:
    """Return a learner of the share of noisy copies that leave a prediction, for ``fit`` and ``predict``.

    "ridge": linear on standardised features, with the penalty under which left-out rows are foretold best. "k-nn",
    "boosted-trees", "mlp", seed and errors as for ``correctness``; they learn by squared error.
    """
    return _choose(name, {
        "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 17))),
        "k-nn": lambda: make_pipeline(StandardScaler(), KNeighborsRegressor(_NEIGHBOURS)),
        "boosted-trees": lambda: HistGradientBoostingRegressor(random_state=seed),
        "mlp": lambda: make_pipeline(StandardScaler(), MLPRegressor(**_MLP, random_state=seed)),
    })  # fmt: skip


def fit(judge: BaseEstimator, features: Real[ndarray, "n d"], target: Shaped[ndarray, " n"]) -> BaseEstimator:
    """Return a fitted copy of a learner.

    Parameters
    ----------
    judge
        From ``correctness`` or ``robustness``, or any classifier or regressor of scikit-learn.
    features
        (n, d), finite, 30 rows at least: logits, or layers side by side.
    target
        For a classifier bool, whether the prediction is right, 10 rows of each kind at least; else the share, 0 to 1.

    Raises
    ------
    ValueError
        If features or target are not so.

    Examples
    --------
    >>> judge = fit(correctness("sorted-logits"), found.fc3[split.train], found.type[split.train] == 1)
    >>> probability = predict(judge, found.fc3[split.test])
    """
    features, target = _checked_features(features), np.asarray(target)
    if len(features) < _LEAST or target.shape != (len(features),):
        found = f"{len(features)} rows of features and a target of shape {target.shape}"
        raise ValueError(f"{found}; give {_LEAST} rows or more and one number for each")
    _check(target, is_classifier(judge))
    return clone(judge).fit(features, target)


def predict(judge: BaseEstimator, features: Real[ndarray, "n d"]) -> Float64[ndarray, " n"]:
    """Return a fitted judge's probability that a prediction is right, or the share that it foretells, cut to [0, 1].

    Raises
    ------
    ValueError
        If the judge is not fitted, or the features are not finite or not as many as it was fitted on.
    """
    features = _checked_features(features)
    found = judge.predict_proba(features)[:, 1] if is_classifier(judge) else judge.predict(features).clip(0, 1)
    return found.astype(np.float64)


def _linear_estimate(network: nn.Module, images: Tensor, sigma: float | int) -> Float64[Tensor, " n"]:
    """Return the estimate of ``jacobian_margin`` for some images of one network."""
    images = images.detach().requires_grad_()
    logits = network(images)
    first, second = logits.topk(2, dim=1).values.unbind(1)
    (gradient,) = torch.autograd.grad((first - second).sum(), images)
    slope = gradient.detach().double().flatten(1).norm(dim=1)
    distance = (first - second).detach().double() / (sigma * slope)
    distance = distance.where(slope != 0, math.inf)
    return torch.special.ndtr(distance).where(logits.isfinite().all(1), torch.nan)


def _checked_logits(logits: Logits) -> Float64[ndarray, "p k"]:
    """Return logits as float64 of numpy."""
    logits = logits.detach().double().cpu().numpy() if isinstance(logits, Tensor) else logits
    if np.ndim(logits) != 2 or np.shape(logits)[1] < 2:
        raise ValueError(f"logits have shape {np.shape(logits)}; give rows of two classes or more, (p, k)")
    return _finite(logits, "logits").astype(np.float64)


def _checked_features(features: ndarray) -> ndarray:
    """Return features as they are, if they are rows of finite numbers."""
    if np.ndim(features) != 2 or not np.size(features):
        raise ValueError(f"features have shape {np.shape(features)}; give (n, d): of a single one features[:, None]")
    return _finite(features, "features")


def _finite(rows: ndarray, name: str) -> ndarray:
    """Return rows as an array if all numbers are finite."""
    rows = np.asarray(rows)
    if (bad := ~np.isfinite(rows).all(1)).any():
        raise ValueError(
            f"{bad.sum()} of {len(rows)} rows of {name} hold NaN or infinity, the first is row {bad.argmax()}; leave "
            "these rows out"
        )
    return rows


def _check(target: ndarray, kinds: bool) -> None:
    """Raise ValueError if this is not right and wrong, each often enough; or if these are no shares."""
    if kinds and (target.dtype != bool or min(target.sum(), (~target).sum()) < _LEAST_OF_A_KIND):
        counts = f", {target.sum()} of {len(target)} True" if target.dtype == bool else ""
        raise ValueError(f"the target is {target.dtype}{counts}; give {_LEAST_OF_A_KIND} bools of each kind or more")
    if not kinds and not ((target >= 0) & (target <= 1)).all():
        raise ValueError(f"the target lies in [{target.min():.4g}, {target.max():.4g}]; give shares in [0, 1]")


def _choose(name: str, made: dict) -> BaseEstimator:
    """Return the estimator of a name."""
    if name not in made:
        raise ValueError(f"unknown judge {name!r}; choose one of {list(made)}")
    return made[name]()
