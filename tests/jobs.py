"""Jobs for the tests of workers: other processes import them."""

import os
import signal
import time
from pathlib import Path


def fragile(folder, job):
    """Return twice the job; one is killed when it comes first, after it has said so."""
    mark = Path(folder) / f"{job}-{os.getpid()}"
    first = not list(Path(folder).glob(f"{job}-*"))
    mark.touch()
    if job == 1 and first:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * job


def sleep(job):
    """Say that the job has begun, and take longer than any test."""
    print("begun", flush=True)
    time.sleep(600)
