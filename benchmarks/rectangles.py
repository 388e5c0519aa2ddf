"""Scenes of ten boxes, simulated and drawn, against a loop over boxes and contacts in plain Python and NumPy.

The loop is the one that the tests hold the simulator to, scene by scene; it is timed on a few of the scenes, and where
their boxes come to lie is compared.
"""

import runpy
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from actlib import rectangles, starts
from benchmarks import Row, interleaved

N_ROUNDS = 5
N_SCENES, N_LOOP, SEED = 4096, 20, 0
# Scenes a second, and how many times as fast as the loop.
SIMULATED, DRAWN, FASTER = {"cpu": 500, "cuda": 20_000}, {"cpu": 200, "cuda": 2_000}, 20
ASKED = {
    "cpu": f"{SIMULATED['cpu']:,} scenes/s, {FASTER} times as fast as the loop; {DRAWN['cpu']:,} drawn/s",
    "cuda": f"{SIMULATED['cuda']:,} scenes/s, {FASTER} times as fast as the loop; {DRAWN['cuda']:,} drawn/s",
}
KINDS = {"plain loop": "estimate", "time allowed": "target"}
# Pixels: rounding, which a row of collisions makes larger.
SAME = 1e-6
PLAIN = Path(__file__).parents[1] / "tests" / "boxes.py"


def rows(device: str, n: int = N_SCENES) -> list[Row]:
    """Return a row for the simulator and one for the pictures; the number of scenes can be less for a trial."""
    n = 8 * n if device == "cuda" else n
    scenes = starts.sample(n, generator=torch.Generator(device).manual_seed(SEED))
    return [_simulated(scenes, device), _drawn(scenes, device)]


def _double(scenes: starts.Scenes, n: int) -> starts.Scenes:
    """Return some scenes in double precision on the CPU."""
    parts = (part[:n].cpu() for part in scenes)
    return starts.Scenes(*(part.double() if part.is_floating_point() else part for part in parts))


def _loop(scenes: starts.Scenes) -> tuple[float, float]:
    """Return the seconds that a scene takes the loop, and how far its boxes lie from ours."""
    plain, physics = runpy.run_path(str(PLAIN)), rectangles.Physics()._asdict()
    physics.pop("walls")
    ours, seconds, apart = rectangles.simulate(scenes).centres, [], 0.0
    for n, (sides, centres, angles, grabbed, grab) in enumerate(zip(*(part.numpy() for part in scenes), strict=True)):
        start = perf_counter()
        boxes = [plain["Box"](*box) for box in zip(sides, centres, angles, strict=True)]
        found = plain["simulate"](boxes, grabbed, grab, n_frames=5, n_substeps=20, **physics)[0]
        seconds.append(perf_counter() - start)
        apart = max(apart, float(abs(found - ours[n].numpy()).max()))
    return sum(seconds) / len(seconds), apart


def _simulated(scenes: starts.Scenes, device: str) -> Row:
    """Return ours against the loop."""
    n = len(scenes.grabbed)
    seconds = interleaved({"ours": lambda: rectangles.simulate(scenes)}, device, n_rounds=N_ROUNDS, n_warm=1)["ours"]
    (alone, apart), taken = _loop(_double(scenes, N_LOOP)), median(seconds)
    share, rate = taken / (alone * n), n / taken
    target = (
        f"{SIMULATED[device]:,} scenes a second (found {rate:,.0f}), {FASTER} times as fast (found {1 / share:,.0f}), "
        f"the same places (apart at most {apart:.0e} pixels)"
    )
    met = rate >= SIMULATED[device] and 1 / share >= FASTER and apart <= SAME
    return Row(f"motion of {n:,} scenes, 100 steps", taken, {"plain loop": alone * n}, share, target, met, N_ROUNDS)


def _drawn(scenes: starts.Scenes, device: str) -> Row:
    """Return the time to draw all frames against the time allowed."""
    n, motion = len(scenes.grabbed) // 8, rectangles.simulate(scenes)
    few, moves = (type(all_)(*(part[:n] for part in all_)) for all_ in (scenes, motion))
    seconds = interleaved({"ours": lambda: rectangles.film(few, moves)}, device, n_rounds=N_ROUNDS, n_warm=1)["ours"]
    taken, allowed = median(seconds), n / DRAWN[device]
    target = f"{DRAWN[device]:,} scenes a second (found {n / taken:,.0f})"
    job = f"pictures of {n:,} scenes, {motion.centres.shape[1]} frames of 64 x 64"
    return Row(job, taken, {"time allowed": allowed}, taken / allowed, target, taken <= allowed, N_ROUNDS)
