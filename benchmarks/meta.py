"""One epoch of a meta-network against the loop that its users write: a ``DataLoader`` over the arrays of the layers.

Both train the document's network of width 256 with Adam in batches of 128 and then measure the loss on the validation
rows, on the same device, with the same weights to begin with. The peer hands out the four layers of a row apart, as the
document's data set does, and its transformer is PyTorch's encoder, which computes all positions of the last layer.
"""

from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from actlib import bodies, meta
from benchmarks import Row, interleaved, ratio

N_ROUNDS = 5
SIZES = {"pool2": 256, "fc1": 120, "fc2": 84, "fc3": 10}
BATCH, RATE = 128, 1e-3
MOST = 1.0
ASKED = "at most the time of the loop over a DataLoader"


def rows(device: str, n: int = 1600) -> list[Row]:
    """Return a row for each body of the document; the number of predictions can be less for a trial."""
    return [_row(body, n, device) for body in ("rnn", "lstm", "transformer")]


class _Plain(nn.Module):
    """A judge whose forward pass takes the layers one by one."""

    def __init__(self, judge: bodies.MetaNetwork):
        super().__init__()
        self.judge = judge

    def forward(self, *layers: Tensor) -> Tensor:
        encoders = self.judge.encoders.values()
        tokens = torch.stack([encode(layer) for encode, layer in zip(encoders, layers, strict=True)], 1)
        if self.judge.kind == "transformer":
            return self.judge.decoder(nn.TransformerEncoder.forward(self.judge.body, tokens)[:, -1])
        return self.judge.decoder(self.judge.body(tokens)[0][:, -1])


def _data(n: int) -> tuple[dict[str, Tensor], Tensor]:
    """Return layers and ratios of n predictions; what they hold does not change the time."""
    generator = torch.Generator().manual_seed(0)
    layers = {name: torch.randn(n, size, generator=generator) for name, size in SIZES.items()}
    return layers, torch.rand(n, generator=generator)


def _loop(body: str, layers: dict[str, Tensor], target: Tensor, n_train: int, device: str) -> Callable[[], float]:
    """Return one epoch of the plain loop, which gives the loss on the validation rows."""

    def run() -> float:
        generator = torch.Generator().manual_seed(0)
        network = _Plain(bodies.MetaNetwork(SIZES, body=body, generator=generator)).to(device)
        stepper = torch.optim.Adam(network.parameters(), lr=RATE)
        whole = [*layers.values(), target]
        train, held = (TensorDataset(*(part[a:b] for part in whole)) for a, b in ((0, n_train), (n_train, len(target))))
        network.train()
        for *parts, aim in DataLoader(train, BATCH, shuffle=True, generator=generator):
            loss = mse_loss(network(*(part.to(device) for part in parts))[:, 0], aim.to(device))
            stepper.zero_grad()
            loss.backward()
            stepper.step()
        network.eval()
        with torch.no_grad():
            losses = [
                mse_loss(network(*(part.to(device) for part in parts))[:, 0], aim.to(device)).item() * len(aim)
                for *parts, aim in DataLoader(held, BATCH)
            ]
        return sum(losses) / len(held)

    return run


def _row(body: str, n: int, device: str) -> Row:
    """Return ours against the loop."""
    layers, target = _data(n)
    n_train = n * 4 // 5
    sides = torch.arange(n_train).numpy(), torch.arange(n_train, n).numpy()

    def ours() -> float:
        generator = torch.Generator().manual_seed(0)
        options = {"task": "ratio", "body": body, "epochs": 1, "batch_size": BATCH, "learning_rate": RATE}
        judge = meta.fit(layers, target, *sides, **options, generator=generator, device=device, progress=False)
        return judge.history.validation[0]

    calls = {"ours": ours, "DataLoader": _loop(body, layers, target, n_train, device)}
    losses = {name: call() for name, call in calls.items()}
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=1)
    share = ratio(seconds["ours"], seconds["DataLoader"])
    peers = {"DataLoader": median(seconds["DataLoader"])}
    job = f"one epoch of a meta-network, {body}, {n_train:,} pairs"
    return Row(job, median(seconds["ours"]), peers, share, "at most the time", share <= MOST, N_ROUNDS, losses)
