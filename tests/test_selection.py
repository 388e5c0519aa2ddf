"""The choice of predictions: the scan of the study as a slow loop, what is missing, what is refused."""

import jaxtyping
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actlib import selection


def scan(predictions, labels, n_per_class):
    """Look at one image after the other and keep it while its class has room, as the study does."""
    found = []
    for model, classes in enumerate(predictions.tolist()):
        bins = {(k, right): [] for k in range(max(labels.tolist()) + 1) for right in (True, False)}
        for image, (guess, label) in enumerate(zip(classes, labels.tolist(), strict=True)):
            kept = bins[label, guess == label]
            if len(kept) < n_per_class:
                kept.append(image)
        found += [(model, image, right) for (_, right), kept in bins.items() for image in kept]
    return found


def pairs(chosen):
    return list(zip(chosen.model.tolist(), chosen.image.tolist(), chosen.right.tolist(), strict=True))


@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 4), st.integers(1, 5), st.integers(0, 99))
def test_the_first_right_and_wrong_images_of_each_class_are_taken(m, n, k, n_per_class, seed):
    generator = torch.Generator().manual_seed(seed)
    predictions = torch.randint(k, (m, n), generator=generator)
    labels = torch.randint(k, (n,), generator=generator)
    chosen = selection.select(predictions, labels, n_per_class)
    assert pairs(chosen) == scan(predictions, labels, n_per_class)
    assert chosen.taken.sum() == len(chosen.image)
    assert chosen.missing() == m * (int(labels.max()) + 1) * 2 * n_per_class - len(chosen.image)
    for model, image, right in pairs(chosen):
        assert right == bool(predictions[model, image] == labels[image])
    if len(chosen.image):
        rows = chosen.rows(m, n)
        torch.testing.assert_close(torch.cat(rows), chosen.image)
        assert [len(own) for own in rows] == [chosen.model.tolist().count(k) for k in range(m)]


def test_a_network_that_is_too_good_gives_fewer_pairs_and_they_are_counted():
    labels = torch.arange(3).repeat(4)
    chosen = selection.select(labels, labels, 2)
    assert chosen.taken.tolist() == [[[2, 0]] * 3]
    assert chosen.image.tolist() == [0, 3, 1, 4, 2, 5]
    assert chosen.missing() == 6
    worse = labels.clone()
    worse[4] = 0  # an image of class 1: its true class counts
    chosen = selection.select(torch.stack([labels, worse]), labels, 2)
    assert chosen.taken.tolist() == [[[2, 0]] * 3, [[2, 0], [2, 1], [2, 0]]]
    assert pairs(chosen)[-5:] == [(1, 1, True), (1, 7, True), (1, 4, False), (1, 2, True), (1, 5, True)]


def test_what_cannot_be_meant_is_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    labels = torch.tensor([0, 1, 1])
    for predictions in (torch.zeros(2, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.int64)):
        with pytest.raises(ValueError, match="give a prediction for each image"):
            selection.select(predictions, labels)
    for options in ({"n_per_class": 0}, {"labels": labels - 1}):
        with pytest.raises(ValueError, match="least label"):
            selection.select(**{"predictions": labels, "labels": labels} | options)
    chosen = selection.select(labels, labels)
    for m, n in ((2, 3), (1, 2)):
        with pytest.raises(ValueError, match=f"there are {m} networks and {n} images"):
            chosen.rows(m, n)
    with pytest.raises(ValueError, match="holds no pair"):
        chosen._replace(image=chosen.image[:0]).rows(1, 3)
