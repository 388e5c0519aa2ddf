"""Which predictions of a network get a label: the first right and the first wrong ones of each class."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

__all__ = ["Selection", "select"]


class Selection(NamedTuple):
    """Pairs of a network and an image, in the order of network, class, right before wrong, image.

    Attributes
    ----------
    model, image
        (p,): the numbers of the network and of the image.
    right
        (p,): whether the network gave the image its class.
    taken
        (m, k, 2): how many images of each class each network contributed, right and wrong.
    n_per_class
        How many were asked for; there are fewer where a network has too few.
    """

    model: Int64[Tensor, " p"]
    image: Int64[Tensor, " p"]
    right: Bool[Tensor, " p"]
    taken: Int64[Tensor, "m k 2"]
    n_per_class: int

    def missing(self) -> int:
        """Return how many pairs fewer there are than asked for."""
        return self.n_per_class * self.taken.numel() - len(self.image)

    def rows(self, n_models: int, n_images: int) -> list[Tensor]:
        """Return for each network the numbers of its images, once it is clear that the selection can be meant.

        Raises
        ------
        ValueError
            If the selection is empty, or of other networks or images.
        """
        if not len(self.image):
            raise ValueError("the selection holds no pair; select from networks and images that there are")
        if len(self.taken) != n_models or self.image.max() >= n_images:
            raise ValueError(
                f"the selection is of {len(self.taken)} networks and of images up to number {self.image.max()}, but "
                f"there are {n_models} networks and {n_images} images; give those that it was made from"
            )
        return list(self.image.split(self.taken.sum((1, 2)).tolist()))


def select(predictions: Int64[Tensor, "*m n"], labels: Int64[Tensor, " n"], n_per_class: int = 10) -> Selection:
    """Return the first rightly and the first wrongly classified images of each class, for each network (M1).

    Parameters
    ----------
    predictions
        (n,) of one network or (m, n) of m networks: the class that each image gets.
    labels
        The class that each image has; a wrong prediction counts for this class.
    n_per_class
        Right images and wrong images of a class, at most.

    Raises
    ------
    ValueError
        If there is no image, no network or nothing to choose from, or a number is out of range.
    """
    predictions = predictions.reshape(-1, predictions.shape[-1])
    if not predictions.numel() or len(labels) != predictions.shape[1]:
        raise ValueError(
            f"predictions are {tuple(predictions.shape)} for {len(labels)} labels; give a prediction for each image"
        )
    if n_per_class < 1 or labels.min() < 0:
        raise ValueError(f"n_per_class = {n_per_class}, least label = {labels.min()}; give 1 or more, and 0 or more")
    labels = labels.to(predictions.device)
    right, order, found = predictions == labels, [], []
    taken = labels.new_zeros(len(predictions), int(labels.max()) + 1, 2)
    for k in range(taken.shape[1]):
        numbers = (labels == k).nonzero().flatten()
        for kind, hits in enumerate((right[:, numbers], ~right[:, numbers])):
            model, place = (hits & (hits.cumsum(1) <= n_per_class)).nonzero().unbind(1)
            taken[:, k, kind] = model.bincount(minlength=len(predictions))
            found.append((model, numbers[place]))
            order.append(model * taken[0].numel() + 2 * k + kind)
    model, image = (torch.cat(part) for part in zip(*found, strict=True))
    order = torch.cat(order).argsort(stable=True)
    model, image = model[order], image[order]
    return Selection(model, image, right[model, image], taken, n_per_class)
