"""What the tests of every function draw: sizes, values and networks, small and of every kind that is allowed."""

from collections import OrderedDict

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from actlib import models, piecewise, planes

FLOATS = (torch.float32, torch.float64)
HALVES = (*FLOATS, torch.float16, torch.bfloat16)
REALS = (*HALVES, torch.uint8, torch.int16, torch.int64)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


class Draw:
    """The source of one example: hypothesis chooses sizes and options, a seed that it chooses fills the values."""

    def __init__(self, data, dtypes=FLOATS, devices=("cpu",)):
        self._data = data
        self.dtype = self.pick(*dtypes)
        self.device = torch.device(self.pick(*devices))
        self.seed = self.size(0, 2**16)
        self.generator = self.rng()
        self.numpy = np.random.default_rng(self.seed)

    def size(self, low=1, high=4):
        return self._data.draw(st.integers(low, high))

    def pick(self, *options):
        return self._data.draw(st.sampled_from(options))

    def rng(self):
        """Return a fresh generator on the CPU: for what takes one."""
        return torch.Generator().manual_seed(self.seed)

    # ----------------------------------------------------------------------------------------------- tensors

    def values(self, *shape, scale=1.0):
        """Return normal numbers in the drawn dtype; whole numbers from 0 to 9 in one of integers."""
        if not self.dtype.is_floating_point:
            return torch.randint(0, 10, shape, generator=self.generator).to(self.device, self.dtype)
        found = torch.randn(shape, generator=self.generator, dtype=torch.float64) * scale
        return found.to(self.device, self.dtype)

    def unit(self, *shape):
        """Return numbers from 0 to 1 in the drawn dtype."""
        return torch.rand(shape, generator=self.generator, dtype=torch.float64).to(self.device, self.dtype)

    def whole(self, low, high, *shape):
        """Return int64 from ``low`` to ``high`` - 1."""
        return torch.randint(low, high, shape, generator=self.generator).to(self.device)

    def classes(self, n, k):
        """Return the class of each of n samples, each class as often as can be."""
        return (torch.arange(n) % k)[torch.randperm(n, generator=self.generator)].to(self.device)

    def bits(self, *shape):
        return (torch.rand(shape, generator=self.generator) < 0.5).to(self.device)

    def images(self, n, c=1, size=6):
        """Return images as networks take them: bytes, or floating point in [0, 1]."""
        if self.pick(True, False):
            return self.whole(0, 256, n, c, size, size).to(torch.uint8)
        return self.unit(n, c, size, size)

    # ------------------------------------------------------------------------------------------------ arrays

    def array(self, *shape, low=None, high=None):
        """Return an array of float32 or float64: normal numbers, or between two bounds."""
        found = self.numpy.normal(size=shape) if low is None else self.numpy.uniform(low, high, shape)
        return found.astype(self.pick(np.float32, np.float64))

    def flags(self, n):
        """Return n truth values of which at least two are of each kind, n being at least 4."""
        return self.numpy.permutation(np.arange(n) % 2 == 0)

    def real(self, low, high):
        """Return a number or an array of numbers between two bounds."""
        shape = self.pick((), (1,), (self.size(),), (2, self.size()))
        found = self.numpy.uniform(low, high, shape)
        return float(found) if shape == () else found

    def either(self, x):
        """Return a tensor, or the array of its values."""
        return x.cpu().numpy() if self.pick(True, False) and x.dtype != torch.bfloat16 else x

    # ---------------------------------------------------------------------------------------------- networks

    def mlp(self, n_in=5, widths=(4, 3), n_classes=3):
        """Return a perceptron for vectors (n, n_in), in eval mode, with inner units on both sides of zero."""
        layers = OrderedDict()
        for i, width in enumerate(widths, start=1):
            layers[f"fc{i}"], layers[f"relu{i}"] = nn.Linear(n_in, width), nn.ReLU()
            n_in = width
        layers["last"] = nn.Linear(n_in, n_classes)
        return self.filled(nn.Sequential(layers))

    def convnet(self, n_classes=3):
        """Return a small network of convolution, pooling and a linear layer for images (n, 1, 6, 6)."""
        layers = OrderedDict(
            conv=nn.Conv2d(1, 2, 3),
            relu=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(8, n_classes),
        )
        return self.filled(nn.Sequential(layers))

    def filled(self, model):
        """Return a network with drawn weights in the drawn dtype and place, in eval mode or not as a whole."""
        model = models.initialize(model, self.rng()).to(self.device, self.dtype)
        return model.eval()

    def lenets(self, m=2, n_classes=3, size=16):
        """Return a population of LeNets and how many classes it has."""
        networks = [models.lenet5(n_classes, size=size, generator=self.rng().manual_seed(i)) for i in range(m)]
        names = dict(networks[0].named_parameters())
        stacked = {k: torch.stack([dict(net.named_parameters())[k].detach() for net in networks]) for k in names}
        return {k: v.to(self.device, self.dtype) for k, v in stacked.items()}

    def traced(self, kind=None):
        """Return a network as steps, and the shape of a sample."""
        kind = kind or self.pick("mlp", "convnet")
        model, shape = (self.mlp(), (5,)) if kind == "mlp" else (self.convnet(), (1, 6, 6))
        return piecewise.trace(model, shape), shape

    def plane(self, shape):
        return planes.through(*(torch.rand(shape, generator=self.generator).double() for _ in range(3)))
