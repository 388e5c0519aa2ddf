"""PCA: the first components of 50,000 x 4,096 float32 in a file, against scikit-learn with all of it in memory.

The data are planted: cosines over the samples, turned by a cosine transform over the features, have exactly the
variances 1, 1/2, 1/3, ... and a mean twice as large as a feature's spread, as behind a ReLU. So the error of both is
known, and not only their difference. scikit-learn's IncrementalPCA, which reads blocks too, is timed once, on one block
of its own default size, and multiplied. On a GPU the same file is read, and the CPU is the peer.
"""

import math
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy import fft
from sklearn.decomposition import PCA, IncrementalPCA
from threadpoolctl import threadpool_limits

from actlib import covariance, store
from benchmarks import Row, interleaved, ratio
from benchmarks._memory import watched

# A call takes half a minute.
N_ROUNDS = 3
N_COMPONENTS = 50
MOST_ERROR = 1e-6
MOST_MEMORY = 1e9
LEAST_SPEED_UP = {"IncrementalPCA": 5, "cuda": 20}
ASKED = {
    "cpu": f"not slower than scikit-learn, {LEAST_SPEED_UP['IncrementalPCA']} times as fast as IncrementalPCA, "
    f"variances right to {MOST_ERROR:g} of their sum, below {MOST_MEMORY / 1e9:g} GB",
    "cuda": f"{LEAST_SPEED_UP['cuda']} times as fast as the CPU, variances right to {MOST_ERROR:g} of their sum",
}
KINDS = {"IncrementalPCA": "estimate"}

FROM_FILE = 'module.pca(module.moments(np.load(sys.argv[1], mmap_mode="r")), int(sys.argv[2]))'


def rows(device: str, n: int = 50_000, d: int = 4096) -> list[Row]:
    """Return one row; ``n`` and ``d``, of which d is the smaller, can be less for a trial."""
    with TemporaryDirectory() as folder, threadpool_limits(torch.get_num_threads()):
        path = Path(folder) / "x.npy"
        try:
            store.require_space(path, 4 * n * d)
        except OSError as error:
            print(f"pca: left out. {error}")
            return []
        plant(path, n, d)
        return [_on_cpu(path) if device == "cpu" else _on_gpu(path, device)]


def plant(path: Path, n: int, d: int) -> None:
    """Write n vectors whose covariance has exactly the eigenvalues ``variances(d)``, up to rounding to float32."""
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    sds = np.sqrt(variances(d))
    mean = 2 * math.sqrt(variances(d).mean())
    for start in range(0, n, 1000):
        i, j = np.arange(start, min(start + 1000, n))[:, None] + 0.5, np.arange(1, d + 1)
        waves = math.sqrt(2) * np.cos(np.pi / n * i * j)  # (m, d); over all i the columns have mean 0 and covariance 1
        x[start : start + 1000] = fft.idct(waves * sds, axis=1, norm="ortho") + mean
    x.flush()


def variances(d: int) -> np.ndarray:
    """Return the planted variances, descending."""
    return 1 / np.arange(1, d + 1)


def error(found: np.ndarray, d: int) -> float:
    """Return how far the variances found are from the planted ones at most, relative to the sum of all."""
    return float(np.abs(found - variances(d)[: len(found)]).max() / variances(d).sum())


def _fit(path: Path, n_components: int | None, device: str | None = None) -> np.ndarray:
    """Return the variances by ours, from the file."""
    moments = covariance.moments(np.load(path, mmap_mode="r"), device=device)
    return covariance.pca(moments, n_components).variances.cpu().numpy()


def _on_cpu(path: Path) -> Row:
    """Return ours against scikit-learn."""
    x = np.load(path)
    n, d = x.shape
    found = {}

    def ours() -> None:
        found["ours"] = _fit(path, N_COMPONENTS)

    def peer() -> None:
        model = PCA(N_COMPONENTS, svd_solver="covariance_eigh").fit(x)
        found["scikit-learn"] = model.explained_variance_ * (n - 1) / n

    def blockwise() -> None:
        IncrementalPCA(N_COMPONENTS).partial_fit(x[: 5 * d])

    seconds = interleaved({"ours": ours, "scikit-learn": peer}, "cpu", n_rounds=N_ROUNDS, n_warm=0)
    once = interleaved({"part": blockwise}, "cpu", n_rounds=1, n_warm=0)["part"][0]
    peers = {"scikit-learn": median(seconds["scikit-learn"]), "IncrementalPCA": once * n / min(n, 5 * d)}
    quality = {f"error, {name}": error(values, d) for name, values in found.items()}
    if (memory := _memory(path)) is not None:
        quality["bytes, ours"] = memory
    times = ratio(seconds["ours"], seconds["scikit-learn"])
    speed_up = peers["IncrementalPCA"] / median(seconds["ours"])
    met = times <= 1 and quality["error, ours"] <= MOST_ERROR and (memory or 0) < MOST_MEMORY
    told = "not measured" if memory is None else f"{memory / 1e6:.0f} MB"
    target = (
        f"not slower, {LEAST_SPEED_UP['IncrementalPCA']} times as fast as IncrementalPCA (found {speed_up:.1f}), "
        f"variances right to {MOST_ERROR:g} of their sum ({quality['error, ours']:.0e}), below 1 GB ({told})"
    )
    met = met and speed_up >= LEAST_SPEED_UP["IncrementalPCA"]
    job = f"{N_COMPONENTS} components of {n:,} x {d:,} in a file"
    return Row(job, median(seconds["ours"]), peers, times, target, met, N_ROUNDS, quality)


def _memory(path: Path) -> float | None:
    """Return the bytes that a process of its own needs above its imports, or None where the system does not say."""
    if not Path("/proc/self/status").exists():
        return None
    return watched("covariance", FROM_FILE, path, N_COMPONENTS)[0]


def _on_gpu(path: Path, device: str) -> Row:
    """Return ours on a GPU against ours on the CPU, both from the file and for all components, as a GPU finds them."""
    n, d = np.load(path, mmap_mode="r").shape
    found = {}

    def run(where: str) -> None:
        found[where] = _fit(path, None, where)

    seconds = interleaved({"ours": lambda: run(device), "CPU": lambda: run("cpu")}, device, n_rounds=N_ROUNDS, n_warm=1)
    quality = {f"error, {name}": error(values, d) for name, values in found.items()}
    times = ratio(seconds["ours"], seconds["CPU"])
    target = (
        f"{LEAST_SPEED_UP[device]} times as fast as the CPU (found {1 / times:.1f}), variances right to "
        f"{MOST_ERROR:g} of their sum ({quality[f'error, {device}']:.0e})"
    )
    met = times * LEAST_SPEED_UP[device] <= 1 and quality[f"error, {device}"] <= MOST_ERROR
    job = f"all components of {n:,} x {d:,} in a file"
    return Row(job, median(seconds["ours"]), {"CPU": median(seconds["CPU"])}, times, target, met, N_ROUNDS, quality)
