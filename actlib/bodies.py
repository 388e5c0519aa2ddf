"""Networks that judge: encoders that bring layers of any size to one width, a body that reads them in turn, a head.

The bodies are those of the meta-network project (Zhang 2023, ``Model.py``): four layers of a recurrent network or of a
transformer, all without biases, of which the decoder gets what stands at the last layer. There is no positional code:
each layer has an encoder of its own, which tells them apart.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["BODIES", "Body", "MetaNetwork", "drawing_from"]

Body = Literal["rnn", "lstm", "gru", "transformer"]
_RECURRENT = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
BODIES: tuple[str, ...] = (*_RECURRENT, "transformer")
# The document's numbers: layers of each body, heads of the transformer, how much wider its feed-forward layers are.
_DEPTH, _HEADS, _WIDER, _DROPOUT = 4, 8, 8, 0.1


@contextmanager
def drawing_from(generator: torch.Generator, device: torch.device | str = "cpu") -> Iterator[None]:
    """Let all that draws from PyTorch's global generators draw from ``generator`` instead, which moves on by it.

    Constructors and dropout know no other source. After the block the global generators are as before.

    Parameters
    ----------
    generator
        On the CPU. On a GPU the draws come from a stream that begins with its next number.
    device
        Where draws happen.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cuda":
            torch.cuda.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        torch.set_rng_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(torch.get_rng_state())


class Transformer(nn.TransformerEncoder):
    """Encoder layers of which only the last position is wanted: the last layer computes no other one.

    The document's options: normalisation after each sum, ReLU, dropout of a tenth, no biases.
    """

    def __init__(self, width: int):
        layer = nn.TransformerEncoderLayer(width, _HEADS, _WIDER * width, _DROPOUT, batch_first=True, bias=False)
        super().__init__(layer, _DEPTH, enable_nested_tensor=False)

    def forward(self, tokens: Float[Tensor, "b t w"]) -> Float[Tensor, "b w"]:
        """Return what the last position holds after the last layer."""
        for layer in self.layers[:-1]:
            tokens = layer(tokens)
        last, layer = tokens[:, -1:], self.layers[-1]
        found, _ = layer.self_attn(last, tokens, tokens, need_weights=False)
        last = layer.norm1(last + layer.dropout1(found))
        wide = layer.linear2(layer.dropout(layer.activation(layer.linear1(last))))
        return layer.norm2(last + layer.dropout2(wide))[:, 0]


class MetaNetwork(nn.Module):
    """A judge of predictions: one token a layer, in their order, through a body into a decoder (M4).

    Parameters
    ----------
    sizes
        Values of each layer, by its name; the order of the names is the order of the tokens.
    body
        ``"rnn"`` (tanh), ``"lstm"``, ``"gru"``, ``"transformer"``.
    n_outputs
        1 for a number, 2 for the logits of wrong and right.
    width
        Of the tokens and of all that follows, 256 in the document; for the transformer a multiple of 8.
    generator
        The source of the initial weights, which follow PyTorch's default laws.

    Raises
    ------
    ValueError
        If the body is unknown, or a size or the width is impossible.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        *,
        body: Body = "rnn",
        n_outputs: int = 1,
        width: int = 256,
        generator: torch.Generator,
    ):
        super().__init__()
        _check(sizes, body, n_outputs, width)
        self.sizes, self.kind = dict(sizes), body
        with drawing_from(generator):
            self.encoders = nn.ModuleDict({name: nn.Linear(size, width) for name, size in sizes.items()})
            if body == "transformer":
                self.body = Transformer(width)
            else:
                self.body = _RECURRENT[body](width, width, _DEPTH, bias=False, batch_first=True)
            # In the first group the ReLU comes last, in the others the normalisation: so in the document's code.
            self.decoder = nn.Sequential(
                nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(),
                nn.Linear(width, width), nn.ReLU(), nn.BatchNorm1d(width),
                nn.Linear(width, width), nn.ReLU(), nn.BatchNorm1d(width),
                nn.Linear(width, n_outputs),
            )  # fmt: skip

    def forward(self, values: Float[Tensor, "b d"]) -> Float[Tensor, "b o"]:
        """Return the outputs for rows that hold the values of all layers, one layer after the other.

        Raises
        ------
        ValueError
            If the rows have another length than the layers together.
        """
        if values.shape[-1] != sum(self.sizes.values()):
            raise ValueError(
                f"rows of {values.shape[-1]} values, but the layers {self.sizes} have {sum(self.sizes.values())}; "
                "give all layers, in this order"
            )
        parts = values.split(list(self.sizes.values()), dim=1)
        tokens = torch.stack([encode(part) for encode, part in zip(self.encoders.values(), parts, strict=True)], 1)
        if self.kind == "transformer":
            return self.decoder(self.body(tokens))
        return self.decoder(self.body(tokens)[0][:, -1])


def _check(sizes: Mapping[str, int], body: str, n_outputs: int, width: int) -> None:
    """Raise ValueError if there can be no such network."""
    if body not in BODIES:
        raise ValueError(f"unknown body {body!r}; give one of {list(BODIES)}")
    if not sizes or min(sizes.values()) < 1:
        raise ValueError(f"sizes = {dict(sizes)}; give at least one layer, each with one value or more")
    if min(width, n_outputs) < 1 or (body == "transformer" and width % _HEADS):
        raise ValueError(
            f"width = {width}, n_outputs = {n_outputs}; both must be positive, and the width of a transformer a "
            f"multiple of {_HEADS}, one part a head"
        )
