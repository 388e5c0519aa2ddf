"""t-SNE: 10,000 MNIST images in the plane, from pixels to points, against scikit-learn.

Both reduce the 784 pixels to 50 principal components first and have two threads, whatever ``--threads`` says.
scikit-learn's call is the one its documentation recommends: started from the components, learning rate "auto". Each
stops after its own default number of steps, so the pictures are judged too: by their trustworthiness for the pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from actlib import data, embed, neighbours
from benchmarks import Row, interleaved, ratio

# A call takes half a minute.
N_ROUNDS = 2
N_THREADS = 2
PERPLEXITY = 50
N_NEIGHBOURS = 12
# Less than what another seed changes.
LOSS = 1e-3
ASKED = {"cpu": f"faster than scikit-learn, trustworthiness at most {LOSS:g} lower"}


def rows(device: str) -> list[Row]:
    """Return one row, or none where there is no MNIST or the CPU is not asked for."""
    if device != "cpu":
        print("tsne: left out, it runs on the CPU only")
        return []
    try:
        images = data.load("mnist", "test").images
    except FileNotFoundError as error:
        print(f"tsne: left out. {error}")
        return []
    return [_row(images.flatten(1).float() / 255)]


def _row(x: torch.Tensor) -> Row:
    """Return times and trustworthiness of both."""
    pictures = {}

    def ours() -> None:
        pictures["ours"] = embed.tsne(x, perplexity=PERPLEXITY, n_threads=N_THREADS).points

    def peer() -> None:
        reduced = PCA(50, random_state=0).fit_transform(x.numpy())
        model = TSNE(perplexity=PERPLEXITY, init="pca", learning_rate="auto", n_jobs=N_THREADS, random_state=0)
        pictures["scikit-learn"] = model.fit_transform(reduced)

    with _threads(N_THREADS):
        seconds = interleaved({"ours": ours, "scikit-learn": peer}, "cpu", n_rounds=N_ROUNDS, n_warm=0)
        quality = {name: neighbours.trustworthiness(x, y, N_NEIGHBOURS) for name, y in pictures.items()}
    times = ratio(seconds["ours"], seconds["scikit-learn"])
    kept = quality["ours"] >= quality["scikit-learn"] - LOSS
    found = ", ".join(f"{value:.4f} {name}" for name, value in quality.items())
    return Row(
        f"t-SNE of {len(x):,} MNIST images, {N_THREADS} threads", median(seconds.pop("ours")),
        {name: median(values) for name, values in seconds.items()}, times,
        f"faster, trustworthiness at most {LOSS:g} lower (found {found})", times < 1 and kept, N_ROUNDS, quality,
    )  # fmt: skip


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Give OpenMP, BLAS and PyTorch ``n`` threads: scikit-learn's t-SNE takes what OpenMP has, not its ``n_jobs``."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with threadpool_limits(n):
            yield
    finally:
        torch.set_num_threads(before)
