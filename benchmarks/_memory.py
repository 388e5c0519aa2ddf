"""The memory of a process of its own, for jobs that may not hold all they look at."""

import os
import subprocess
import sys

import torch

# Pages of files do not count, because the system takes them back when it needs them.
_CODE = """
import sys, threading, time
from pathlib import Path
import numpy as np
import torch
import actlib.{module} as module

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

def watch():
    while True:
        sizes.append(held())
        time.sleep(0.005)

torch.set_num_threads({n_threads})
sizes = [held()]
threading.Thread(target=watch, daemon=True).start()
{work}
print(max(sizes) - sizes[0])
"""


def watched(module: str, work: str, *arguments: object) -> list[float]:
    """Return the numbers that ``work`` prints, and as the last one the bytes that it took above the imports.

    ``work`` is code: it finds numpy as ``np``, a module of the package as ``module``, and the arguments, as text, in
    ``sys.argv[1:]``. It runs on a system that has ``/proc``, with as many threads as here.
    """
    n_threads = torch.get_num_threads()
    code = _CODE.format(module=module, n_threads=n_threads, work=work)
    environment = os.environ | {"OMP_NUM_THREADS": str(n_threads)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    return [float(number) for number in printed.split()]
